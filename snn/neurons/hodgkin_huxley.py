"""Hodgkin-Huxley neuron after Traub & Miles with exponentially decaying synaptic conductances."""

import numpy as np

from kernels.scalar import exp, linoid, relax
from kernels.spec import Check, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def hodgkin_huxley_step(  # type: ignore[no-untyped-def]
    v, m, h, n, g_ex, g_in, refractory, arrive_ex, arrive_in, i_stim, g_na, g_k, g_l, e_na, e_k, e_l, e_ex, e_in,
    v_t, i_e, inv_c, sub, half, p_ex_1, p_in_1, p_ex_3, p_in_3, p_ex, p_in, n_sub, n_ref,
):  # fmt: skip
    i = g_l * e_l + i_e + i_stim
    # substeps hand on nothing but the state, so that neurons take each of them in a loop that vectorises
    for _ in range(n_sub):
        before = v
        # half a substep of v with fixed gates; synaptic conductances taken in its middle
        na = g_na * m * m * m * h
        k = g_k * n * n * n * n
        ex = g_ex * p_ex_1
        inh = g_in * p_in_1
        drive = i + na * e_na + k * e_k + ex * e_ex + inh * e_in
        v = relax(v, drive * inv_c, (g_l + na + k + ex + inh) * inv_c, half)
        # a substep of the gates with fixed v; the bounds lie far outside the reversal potentials and keep exp finite
        x = min(max(v - v_t, -250.0), 250.0)
        a = 0.32 * linoid(13.0 - x, 4.0)
        m = relax(m, a, a + 0.28 * linoid(x - 40.0, 5.0), sub)
        a = 0.128 * exp((17.0 - x) / 18.0)
        h = relax(h, a, a + 4.0 / (1.0 + exp((40.0 - x) / 5.0)), sub)
        a = 0.032 * linoid(15.0 - x, 5.0)
        n = relax(n, a, a + 0.5 * exp((10.0 - x) / 40.0), sub)
        # the other half substep of v
        na = g_na * m * m * m * h
        k = g_k * n * n * n * n
        ex = g_ex * p_ex_3
        inh = g_in * p_in_3
        drive = i + na * e_na + k * e_k + ex * e_ex + inh * e_in
        v = relax(v, drive * inv_c, (g_l + na + k + ex + inh) * inv_c, half)
        g_ex = g_ex * p_ex
        g_in = g_in * p_in
        # a peak of this step: -1
        refractory = -1 if (refractory == 0) & (v >= v_t + 30.0) & (before > v) else refractory
    g_ex = g_ex + arrive_ex
    g_in = g_in - arrive_in
    fired = refractory < 0
    refractory = n_ref if fired else max(refractory - 1, 0)
    return v, m, h, n, g_ex, g_in, refractory, fired


HodgkinHuxley = define(
    NeuronSpec(
        name="HodgkinHuxley",
        doc="""
        Hodgkin-Huxley neuron after Traub & Miles as modified for the benchmarks of Brette et al. 2007, with
        exponentially decaying synaptic conductances.

        Equations
        ---------
        c_m dv/dt = -g_na m^3 h (v - e_na) - g_k n^4 (v - e_k) - g_l (v - e_l) - g_ex (v - e_ex) - g_in (v - e_in)
        + i_e + i_stim;  dx/dt = alpha_x (1 - x) - beta_x x for x = m, h, n, with V = v - v_t:
        alpha_m = 0.32 (13 - V) / (exp((13 - V) / 4) - 1),  beta_m = 0.28 (V - 40) / (exp((V - 40) / 5) - 1),
        alpha_h = 0.128 exp((17 - V) / 18),                 beta_h = 4 / (1 + exp((40 - V) / 5)),
        alpha_n = 0.032 (15 - V) / (exp((15 - V) / 5) - 1), beta_n = 0.5 exp((10 - V) / 40);
        tau_syn_ex dg_ex/dt = -g_ex, tau_syn_in dg_in/dt = -g_in;  a spike of weight w arriving: g_ex += w (w > 0) or
        g_in -= w (w < 0).  A spike is the peak of v at v >= v_t + 30 mV; no other is registered for t_ref after it.

        Numerics
        --------
        Strang splitting of order 2, in substeps of at most 0.025 ms: half a substep of v with fixed gates, a substep of
        the gates with fixed v, half a substep of v, each part exact in its own variable, so that nothing can become
        unstable (m relaxes within 0.03 ms at the peak of a spike). The substep makes interspike intervals about 0.1 %
        too long, at every dt. A peak is found in the substeps and stamped with the end of the step. NEST's
        ``hh_cond_exp_traub`` integrates by adaptive RKF45 with an error of up to 1e-3 a step, finds peaks on the grid
        only (up to a step later) and starts its gates from other values; here they start from their steady state at
        the default e_l and v_t. With the defaults the cell fires by itself about every 72 ms, in NEST too.
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init="e_l"),
            StateVar("m", "1", "activation of the sodium channels", init=0.0268633),
            StateVar("h", "1", "inactivation of the sodium channels", init=0.991306),
            StateVar("n", "1", "activation of the potassium channels", init=0.060434),
            StateVar("g_ex", "nS", "excitatory conductance"),
            StateVar("g_in", "nS", "inhibitory conductance"),
            StateVar("refractory", "step", "steps left in which no spike is registered", dtype="int"),
        ),
        params=(
            Param("c_m", "pF", 200.0, "membrane capacitance", gt=0),
            Param("g_na", "nS", 20000.0, "peak conductance of sodium", ge=0),
            Param("g_k", "nS", 6000.0, "peak conductance of potassium", ge=0),
            Param("g_l", "nS", 10.0, "leak conductance", gt=0),
            Param("e_na", "mV", 50.0, "reversal potential of sodium"),
            Param("e_k", "mV", -90.0, "reversal potential of potassium"),
            Param("e_l", "mV", -60.0, "leak reversal potential"),
            Param("v_t", "mV", -63.0, "shift of the rate functions; sets the threshold near -50 mV"),
            Param("e_ex", "mV", 0.0, "excitatory reversal potential"),
            Param("e_in", "mV", -80.0, "inhibitory reversal potential"),
            Param("tau_syn_ex", "ms", 5.0, "time constant of the excitatory conductance", gt=0),
            Param("tau_syn_in", "ms", 10.0, "time constant of the inhibitory conductance", gt=0),
            Param("t_ref", "ms", 2.0, "time after a spike in which none is registered; rounded to steps", ge=0),
            Param("i_e", "pA", 0.0, "constant current"),
        ),
        derived=(
            # the small number keeps rounding from adding a substep
            Derived("n_sub", "1", lambda p, dt: np.ceil(dt / 0.025 - 1e-9), dtype="int"),
            Derived("sub", "ms", lambda p, dt: dt / p.n_sub),
            Derived("half", "ms", lambda p, dt: 0.5 * p.sub),
            Derived("inv_c", "1/pF", lambda p, dt: 1.0 / p.c_m),
            Derived("p_ex_1", "1", lambda p, dt: np.exp(-0.25 * p.sub / p.tau_syn_ex)),
            Derived("p_in_1", "1", lambda p, dt: np.exp(-0.25 * p.sub / p.tau_syn_in)),
            Derived("p_ex_3", "1", lambda p, dt: np.exp(-0.75 * p.sub / p.tau_syn_ex)),
            Derived("p_in_3", "1", lambda p, dt: np.exp(-0.75 * p.sub / p.tau_syn_in)),
            Derived("p_ex", "1", lambda p, dt: np.exp(-p.sub / p.tau_syn_ex)),
            Derived("p_in", "1", lambda p, dt: np.exp(-p.sub / p.tau_syn_in)),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        receptors=(
            Receptor("ex", "nS", "jump of the excitatory conductance", sign=1),
            Receptor("in", "nS", "jump of the inhibitory conductance (weights are negative)", sign=-1),
        ),
        step=hodgkin_huxley_step,
        checks=(Check(("e_k", "e_na"), lambda p: p.e_k < p.e_na, "must be below e_na"),),
        refractory="refractory",
        references=(
            "Traub & Miles 1991, Neuronal Networks of the Hippocampus, doi:10.1017/CBO9780511895401",
            "Brette et al. 2007, doi:10.1007/s10827-007-0038-6",
            "NEST 3.10, hh_cond_exp_traub",
        ),
    )
)
