"""Leaky integrate-and-fire neuron with alpha-shaped synaptic currents."""

import numpy as np
from scipy.special import hyp1f1

from kernels import scalar
from kernels.spec import Check, ClosedForm, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define
from snn.neurons.lif_delta import lif_rate
from snn.neurons.lif_exp import exp_to_v, psp_peak


def lif_alpha_step(  # type: ignore[no-untyped-def]
    v, i_ex, di_ex, i_in, di_in, refractory, arrive_ex, arrive_in, i_stim, v_reset, v_th, v_inf, p_vv, p_vi,
    p_v_ex, p_v_dex, p_v_in, p_v_din, p_ex, p_i_dex, p_in, p_i_din, peak_ex, peak_in, n_ref,
):  # fmt: skip
    free = refractory == 0
    ex = i_ex * p_v_ex + di_ex * p_v_dex
    inh = i_in * p_v_in + di_in * p_v_din
    v = v_inf + (v - v_inf) * p_vv + i_stim * p_vi + ex + inh if free else v
    i_ex = i_ex * p_ex + di_ex * p_i_dex
    i_in = i_in * p_in + di_in * p_i_din
    di_ex = di_ex * p_ex + arrive_ex * peak_ex
    di_in = di_in * p_in + arrive_in * peak_in
    fired = free & (v >= v_th)
    refractory = n_ref if fired else (refractory if free else refractory - 1)
    v = v_reset if fired else v
    return v, i_ex, di_ex, i_in, di_in, refractory, fired


def ramp_to_v(dt, tau_syn, tau_m, c_m):  # type: ignore[no-untyped-def]
    """What a current s exp(-s / tau_syn) pA, s in ms, adds to v in one step.

    The integral (1/C) int_0^dt exp(-(dt-s)/tau_m) s exp(-s/tau_syn) ds as a confluent hypergeometric function, whose
    argument is kept negative by Kummer's transformation, so that nothing cancels and nothing overflows.
    """
    x = dt / tau_m - dt / tau_syn
    shape = np.where(x > 0.0, hyp1f1(1.0, 3.0, -np.abs(x)), hyp1f1(2.0, 3.0, -np.abs(x)))
    return 0.5 * dt * dt / c_m * np.exp(-dt / np.maximum(tau_m, tau_syn)) * shape


def ramp_peak(tau_m, tau_syn):  # type: ignore[no-untyped-def]
    """A bound, in ms^2, of the response of a membrane to a current s exp(-s / tau_syn), s in ms.

    The response is that to exp(-s / tau_syn), then decaying once more alike; and the current is at most tau_syn / e.
    """
    return tau_syn * np.minimum(psp_peak(tau_m, tau_syn), tau_m / np.e)


def flow(  # type: ignore[no-untyped-def]
    v, i_ex, di_ex, i_in, di_in, i_stim, h, v_inf, r_m, inv_c, leak, rate_ex, rate_in
):
    top = v_inf + i_stim * r_m
    v, i_ex, di_ex, i_in, di_in = scalar.leaky_alpha(h, v, top, i_ex, di_ex, i_in, di_in, inv_c, leak, rate_ex, rate_in)
    return v, i_ex, di_ex, i_in, di_in


def hold(v, i_ex, di_ex, i_in, di_in, h, rate_ex, rate_in):  # type: ignore[no-untyped-def]
    e_ex = scalar.decay(rate_ex * h)
    e_in = scalar.decay(rate_in * h)
    return v, (i_ex + di_ex * h) * e_ex, di_ex * e_ex, (i_in + di_in * h) * e_in, di_in * e_in


def arrive(v, i_ex, di_ex, i_in, di_in, arrive_ex, arrive_in, held, step_ex, step_in):  # type: ignore[no-untyped-def]
    return v, i_ex, di_ex + arrive_ex * step_ex, i_in, di_in + arrive_in * step_in


def fire(v_reset, i_ex, di_ex, i_in, di_in):  # type: ignore[no-untyped-def]
    return v_reset, i_ex, di_ex, i_in, di_in


def earliest(  # type: ignore[no-untyped-def]
    v, i_ex, di_ex, i_in, di_in, i_stim, v_inf, r_m, inv_c, v_th, tau_m, tau_syn_ex, tau_syn_in, peak_ex, peak_in,
    ramp_ex, ramp_in, cancel,
):  # fmt: skip
    return scalar.leaky_alpha_earliest(
        v, v_th, v_inf + i_stim * r_m, i_ex * inv_c, di_ex * inv_c, i_in * inv_c, di_in * inv_c, tau_m, tau_syn_ex,
        tau_syn_in, peak_ex, peak_in, ramp_ex, ramp_in, cancel,
    )  # fmt: skip


def crossing(  # type: ignore[no-untyped-def]
    v, i_ex, di_ex, i_in, di_in, i_stim, h, v_inf, r_m, inv_c, v_th, leak, rate_ex, rate_in
):
    top = v_inf + i_stim * r_m
    return scalar.leaky_alpha_crossing(h, v, v_th, top, i_ex, di_ex, i_in, di_in, inv_c, leak, rate_ex, rate_in)


LIFAlpha = define(
    NeuronSpec(
        name="LIFAlpha",
        doc="""
        Leaky integrate-and-fire neuron; an arriving spike makes an alpha-shaped current whose peak is the weight.

        Equations
        ---------
        tau_m dv/dt = -(v - e_l) + (tau_m / c_m) (i_ex + i_in + i_e + i_stim);  a spike of weight w arriving at t0
        adds the current w e ((t - t0) / tau_syn) exp(-(t - t0) / tau_syn), to i_ex if w > 0 and to i_in if w < 0;
        v >= v_th: spike, v = v_reset, held for t_ref. The currents go on in the refractory period.

        Numerics
        --------
        Exact integration on the grid (Rotter & Diesmann 1999), for every dt and every ratio of the time constants,
        tau_syn = tau_m too; only threshold crossings are bound to the grid. Equal to NEST's ``iaf_psc_alpha``. In
        continuous time v can cross the threshold only while the slope that it would have there is positive: that splits
        time into intervals with at most one crossing each, found by a bracketed Newton method, so none is missed.
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init="e_l"),
            StateVar("i_ex", "pA", "excitatory synaptic current"),
            StateVar("di_ex", "pA/ms", "di_ex/dt + i_ex / tau_syn_ex, the exponential that drives i_ex"),
            StateVar("i_in", "pA", "inhibitory synaptic current"),
            StateVar("di_in", "pA/ms", "di_in/dt + i_in / tau_syn_in, the exponential that drives i_in"),
            StateVar("refractory", "step", "steps left of the refractory period", dtype="int"),
        ),
        params=(
            Param("tau_m", "ms", 10.0, "membrane time constant", gt=0),
            Param("c_m", "pF", 250.0, "membrane capacitance", gt=0),
            Param("e_l", "mV", -70.0, "resting potential"),
            Param("v_th", "mV", -55.0, "spike threshold"),
            Param("v_reset", "mV", -70.0, "reset potential"),
            Param("t_ref", "ms", 2.0, "refractory period; the clock engine rounds it to steps", ge=0),
            Param("tau_syn_ex", "ms", 2.0, "rise time of the excitatory current", gt=0),
            Param("tau_syn_in", "ms", 2.0, "rise time of the inhibitory current", gt=0),
            Param("i_e", "pA", 0.0, "constant current"),
        ),
        derived=(
            Derived("p_vv", "1", lambda p, dt: np.exp(-dt / p.tau_m)),
            Derived("p_vi", "mV/pA", lambda p, dt: -np.expm1(-dt / p.tau_m) * p.tau_m / p.c_m),
            Derived("p_v_ex", "mV/pA", lambda p, dt: exp_to_v(dt, p.tau_syn_ex, p.tau_m, p.c_m)),
            Derived("p_v_dex", "mV ms/pA", lambda p, dt: ramp_to_v(dt, p.tau_syn_ex, p.tau_m, p.c_m)),
            Derived("p_v_in", "mV/pA", lambda p, dt: exp_to_v(dt, p.tau_syn_in, p.tau_m, p.c_m)),
            Derived("p_v_din", "mV ms/pA", lambda p, dt: ramp_to_v(dt, p.tau_syn_in, p.tau_m, p.c_m)),
            Derived("p_ex", "1", lambda p, dt: np.exp(-dt / p.tau_syn_ex)),
            Derived("p_i_dex", "ms", lambda p, dt: dt * p.p_ex),
            Derived("p_in", "1", lambda p, dt: np.exp(-dt / p.tau_syn_in)),
            Derived("p_i_din", "ms", lambda p, dt: dt * p.p_in),
            Derived("peak_ex", "1/ms", lambda p, dt: np.e / p.tau_syn_ex),
            Derived("peak_in", "1/ms", lambda p, dt: np.e / p.tau_syn_in),
            Derived("v_inf", "mV", lambda p, dt: p.e_l + p.i_e * p.tau_m / p.c_m),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        receptors=(
            Receptor("ex", "pA", "peak of the excitatory current", sign=1),
            Receptor("in", "pA", "peak of the inhibitory current (weights are negative)", sign=-1),
        ),
        step=lif_alpha_step,
        checks=(Check(("v_reset", "v_th"), lambda p: p.v_reset < p.v_th, "must be below v_th"),),
        refractory="refractory",
        rate=lif_rate,
        closed_form=ClosedForm(
            derived=(
                Derived("v_inf", "mV", lambda p, dt: p.e_l + p.i_e * p.tau_m / p.c_m),
                Derived("r_m", "mV/pA", lambda p, dt: p.tau_m / p.c_m),
                Derived("inv_c", "1/pF", lambda p, dt: 1.0 / p.c_m),
                Derived("leak", "1/ms", lambda p, dt: 1.0 / p.tau_m),
                Derived("rate_ex", "1/ms", lambda p, dt: 1.0 / p.tau_syn_ex),
                Derived("rate_in", "1/ms", lambda p, dt: 1.0 / p.tau_syn_in),
                Derived("step_ex", "1/ms", lambda p, dt: np.e / p.tau_syn_ex),
                Derived("step_in", "1/ms", lambda p, dt: np.e / p.tau_syn_in),
                Derived("peak_ex", "ms", lambda p, dt: psp_peak(p.tau_m, p.tau_syn_ex)),
                Derived("peak_in", "ms", lambda p, dt: psp_peak(p.tau_m, p.tau_syn_in)),
                Derived("ramp_ex", "ms^2", lambda p, dt: ramp_peak(p.tau_m, p.tau_syn_ex)),
                Derived("ramp_in", "ms^2", lambda p, dt: ramp_peak(p.tau_m, p.tau_syn_in)),
                Derived("cancel", "1", lambda p, dt: np.where(p.tau_syn_in >= p.tau_syn_ex, 1.0, 0.0)),
            ),
            flow=flow,
            hold=hold,
            arrive=arrive,
            fire=fire,
            earliest=earliest,
            crossing=crossing,
            t_ref="t_ref",
        ),
        references=("Rotter & Diesmann 1999, doi:10.1007/s004220050570", "NEST 3.10, iaf_psc_alpha"),
    )
)
