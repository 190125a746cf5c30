"""Generalised integrate-and-fire neuron: escape noise and spike-triggered adaptation."""

import numpy as np

from kernels.scalar import exp, exprel
from kernels.spec import Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define
from snn.neurons.lif_exp import exp_to_v


def gif_step(  # type: ignore[no-untyped-def]
    v, i_ex, i_in, i_stc, e_sfa, refractory, arrive_ex, arrive_in, i_stim, u, v_reset, v_t_star, q_stc, q_sfa,
    inv_delta_v, lambda_dt, v_inf, p_vv, p_vi, p_v_ex, p_v_in, p_v_stc, p_ex, p_in, p_stc, p_sfa, n_ref,
):  # fmt: skip
    free = refractory == 0
    syn = i_ex * p_v_ex + i_in * p_v_in - i_stc * p_v_stc
    v = v_inf + (v - v_inf) * p_vv + i_stim * p_vi + syn if free else v
    i_ex = i_ex * p_ex + arrive_ex
    i_in = i_in * p_in + arrive_in
    i_stc = i_stc * p_stc
    e_sfa = e_sfa * p_sfa
    # beyond exp(80) the neuron fires for certain; the bound keeps exp finite
    hazard = lambda_dt * exp(min((v - v_t_star - e_sfa) * inv_delta_v, 80.0))
    fired = free & (u < hazard * exprel(-hazard))
    refractory = n_ref if fired else (refractory if free else refractory - 1)
    i_stc = i_stc + q_stc if fired else i_stc
    e_sfa = e_sfa + q_sfa if fired else e_sfa
    v = v_reset if fired else v
    return v, i_ex, i_in, i_stc, e_sfa, hazard if free else 0.0, refractory, fired


GIF = define(
    NeuronSpec(
        name="GIF",
        doc="""
        Leaky integrate-and-fire neuron that fires at random at a rate that grows exponentially with v (escape noise),
        with a spike-triggered current and a moving threshold; both are off by default.

        Equations
        ---------
        c_m dv/dt = -g_l (v - e_l) + i_ex + i_in - i_stc + i_e + i_stim;
        rate of firing: lambda_0 exp((v - v_t_star - e_sfa) / delta_v);
        a spike: v = v_reset, held for t_ref, i_stc += q_stc, e_sfa += q_sfa;
        tau_stc di_stc/dt = -i_stc, tau_sfa de_sfa/dt = -e_sfa, tau_syn_ex di_ex/dt = -i_ex, tau_syn_in di_in/dt =
        -i_in; a spike of weight w arriving: i_ex += w (w > 0) or i_in += w (w < 0).

        Numerics
        --------
        Exact integration of the linear part on the grid; a neuron fires in a step with probability
        1 - exp(-rate dt), the rate taken at the end of the step (order 1 in dt; the rate should change little within
        a step). NEST's ``gif_psc_exp`` has lists of adaptation terms, holds i_stc constant within a step, and lets
        arriving spikes act one step earlier.
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init="e_l"),
            StateVar("i_ex", "pA", "excitatory synaptic current"),
            StateVar("i_in", "pA", "inhibitory synaptic current"),
            StateVar("i_stc", "pA", "spike-triggered current"),
            StateVar("e_sfa", "mV", "shift of the threshold"),
            StateVar("hazard", "1", "rate of firing in the last step, times dt; 0 in the refractory period"),
            StateVar("refractory", "step", "steps left of the refractory period", dtype="int"),
        ),
        params=(
            Param("c_m", "pF", 80.0, "membrane capacitance", gt=0),
            Param("g_l", "nS", 4.0, "leak conductance", gt=0),
            Param("e_l", "mV", -70.0, "resting potential"),
            Param("v_t_star", "mV", -35.0, "threshold at rest"),
            Param("delta_v", "mV", 0.5, "width of the noise", gt=0),
            Param("lambda_0", "Hz", 1.0, "rate of firing at threshold", ge=0),
            Param("v_reset", "mV", -55.0, "reset potential"),
            Param("t_ref", "ms", 4.0, "refractory period; the clock engine rounds it to steps", ge=0),
            Param("q_stc", "pA", 0.0, "jump of the spike-triggered current"),
            Param("tau_stc", "ms", 100.0, "time constant of the spike-triggered current", gt=0),
            Param("q_sfa", "mV", 0.0, "jump of the threshold"),
            Param("tau_sfa", "ms", 100.0, "time constant of the threshold", gt=0),
            Param("tau_syn_ex", "ms", 2.0, "time constant of the excitatory current", gt=0),
            Param("tau_syn_in", "ms", 2.0, "time constant of the inhibitory current", gt=0),
            Param("i_e", "pA", 0.0, "constant current"),
        ),
        derived=(
            Derived("p_vv", "1", lambda p, dt: np.exp(-dt * p.g_l / p.c_m)),
            Derived("p_vi", "mV/pA", lambda p, dt: -np.expm1(-dt * p.g_l / p.c_m) / p.g_l),
            Derived("p_v_ex", "mV/pA", lambda p, dt: exp_to_v(dt, p.tau_syn_ex, p.c_m / p.g_l, p.c_m)),
            Derived("p_v_in", "mV/pA", lambda p, dt: exp_to_v(dt, p.tau_syn_in, p.c_m / p.g_l, p.c_m)),
            Derived("p_v_stc", "mV/pA", lambda p, dt: exp_to_v(dt, p.tau_stc, p.c_m / p.g_l, p.c_m)),
            Derived("p_ex", "1", lambda p, dt: np.exp(-dt / p.tau_syn_ex)),
            Derived("p_in", "1", lambda p, dt: np.exp(-dt / p.tau_syn_in)),
            Derived("p_stc", "1", lambda p, dt: np.exp(-dt / p.tau_stc)),
            Derived("p_sfa", "1", lambda p, dt: np.exp(-dt / p.tau_sfa)),
            Derived("inv_delta_v", "1/mV", lambda p, dt: 1.0 / p.delta_v),
            Derived("lambda_dt", "1", lambda p, dt: 1e-3 * p.lambda_0 * dt),
            Derived("v_inf", "mV", lambda p, dt: p.e_l + p.i_e / p.g_l),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        receptors=(
            Receptor("ex", "pA", "jump of the excitatory current", sign=1),
            Receptor("in", "pA", "jump of the inhibitory current (weights are negative)", sign=-1),
        ),
        step=gif_step,
        refractory="refractory",
        references=(
            "Gerstner et al. 2014, Neuronal Dynamics, chapter 9, doi:10.1017/CBO9781107447615",
            "Mensi et al. 2012, doi:10.1152/jn.00408.2011",
            "NEST 3.10, gif_psc_exp",
        ),
    )
)
