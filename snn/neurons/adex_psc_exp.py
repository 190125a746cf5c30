"""Adaptive exponential integrate-and-fire neuron with exponentially decaying synaptic currents."""

import numpy as np

from kernels.scalar import exponential_leak
from kernels.spec import Check, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def adex_psc_exp_step(  # type: ignore[no-untyped-def]
    v, w, i_ex, i_in, refractory, arrive_ex, arrive_in, i_stim, g_l, e_l, v_th, v_reset, a, b, i_e, v_spike,
    g_delta, inv_delta, inv_c, inv_tau_w, half, sixth, p_ex_half, p_in_half, p_ex, p_in, n_ref,
):  # fmt: skip
    free = refractory == 0
    # input current at the beginning, middle and end of the step
    i_ex_end = i_ex * p_ex
    i_in_end = i_in * p_in
    drive1 = i_stim + i_e + i_ex + i_in
    drive2 = i_stim + i_e + i_ex * p_ex_half + i_in * p_in_half
    drive4 = i_stim + i_e + i_ex_end + i_in_end
    # a refractory neuron holds v while w goes on; v is limited to v_spike in the slopes, as in NEST
    move = half if free else 0.0
    x = min(v, v_spike)
    v1 = (exponential_leak(x, g_l, e_l, v_th, g_delta, inv_delta) + drive1 - w) * inv_c
    w1 = (a * (x - e_l) - w) * inv_tau_w
    x = min(v + move * v1, v_spike)
    y = w + half * w1
    v2 = (exponential_leak(x, g_l, e_l, v_th, g_delta, inv_delta) + drive2 - y) * inv_c
    w2 = (a * (x - e_l) - y) * inv_tau_w
    x = min(v + move * v2, v_spike)
    y = w + half * w2
    v3 = (exponential_leak(x, g_l, e_l, v_th, g_delta, inv_delta) + drive2 - y) * inv_c
    w3 = (a * (x - e_l) - y) * inv_tau_w
    x = min(v + 2.0 * move * v3, v_spike)
    y = w + 2.0 * half * w3
    v4 = (exponential_leak(x, g_l, e_l, v_th, g_delta, inv_delta) + drive4 - y) * inv_c
    w4 = (a * (x - e_l) - y) * inv_tau_w
    v = v + sixth * (v1 + 2.0 * (v2 + v3) + v4) if free else v
    w = w + sixth * (w1 + 2.0 * (w2 + w3) + w4)
    i_ex = i_ex_end + arrive_ex
    i_in = i_in_end + arrive_in
    fired = free & (v >= v_spike)
    refractory = n_ref if fired else (refractory if free else refractory - 1)
    w = w + b if fired else w
    v = v_reset if fired else v
    return v, w, i_ex, i_in, refractory, fired


AdExPscExp = define(
    NeuronSpec(
        name="AdExPscExp",
        doc="""
        Adaptive exponential integrate-and-fire neuron (Brette & Gerstner 2005) with exponentially decaying currents.

        Equations
        ---------
        c_m dv/dt = -g_l (v - e_l) + g_l delta_t exp((v - v_th) / delta_t) - w + i_ex + i_in + i_e + i_stim;
        tau_w dw/dt = a (v - e_l) - w;  tau_syn_ex di_ex/dt = -i_ex, tau_syn_in di_in/dt = -i_in;
        a spike of weight w arriving: i_ex += w (w > 0) or i_in += w (w < 0);
        v >= v_peak: spike, v = v_reset, w += b, v held for t_ref. With delta_t = 0 the spike current vanishes and v_th
        takes the place of v_peak.

        Numerics
        --------
        Runge-Kutta of order 4 with step dt between spikes, with exactly decayed currents at its stages; v is limited
        to v_peak in the slopes, so the exponential is bounded. Spikes and the reset of v and w are on the grid: a spike
        is late by up to dt, so dt <= 0.1 ms. NEST's ``aeif_psc_exp`` integrates by adaptive RKF45, resets where the
        threshold is crossed within the step and goes on from there, so each spike shifts the two by up to dt.
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init="e_l"),
            StateVar("w", "pA", "adaptation current"),
            StateVar("i_ex", "pA", "excitatory synaptic current"),
            StateVar("i_in", "pA", "inhibitory synaptic current"),
            StateVar("refractory", "step", "steps left of the refractory period", dtype="int"),
        ),
        params=(
            Param("c_m", "pF", 281.0, "membrane capacitance", gt=0),
            Param("g_l", "nS", 30.0, "leak conductance", gt=0),
            Param("e_l", "mV", -70.6, "leak reversal potential"),
            Param("v_th", "mV", -50.4, "potential at which the spike current starts to grow"),
            Param("delta_t", "mV", 2.0, "sharpness of spike initiation", ge=0),
            Param("v_peak", "mV", 0.0, "potential at which a spike is registered"),
            Param("v_reset", "mV", -60.0, "reset potential"),
            Param("t_ref", "ms", 0.0, "refractory period; the clock engine rounds it to steps", ge=0),
            Param("a", "nS", 4.0, "subthreshold adaptation"),
            Param("b", "pA", 80.5, "jump of the adaptation current at a spike"),
            Param("tau_w", "ms", 144.0, "time constant of the adaptation current", gt=0),
            Param("tau_syn_ex", "ms", 0.2, "time constant of the excitatory current", gt=0),
            Param("tau_syn_in", "ms", 2.0, "time constant of the inhibitory current", gt=0),
            Param("i_e", "pA", 0.0, "constant current"),
        ),
        derived=(
            Derived("v_spike", "mV", lambda p, dt: np.where(np.asarray(p.delta_t) > 0, p.v_peak, p.v_th)),
            Derived("g_delta", "pA", lambda p, dt: p.g_l * p.delta_t),
            Derived("inv_delta", "1/mV", lambda p, dt: 1.0 / np.where(np.asarray(p.delta_t) > 0, p.delta_t, np.inf)),
            Derived("inv_c", "1/pF", lambda p, dt: 1.0 / p.c_m),
            Derived("inv_tau_w", "1/ms", lambda p, dt: 1.0 / p.tau_w),
            Derived("half", "ms", lambda p, dt: 0.5 * dt),
            Derived("sixth", "ms", lambda p, dt: dt / 6.0),
            Derived("p_ex_half", "1", lambda p, dt: np.exp(-0.5 * dt / p.tau_syn_ex)),
            Derived("p_in_half", "1", lambda p, dt: np.exp(-0.5 * dt / p.tau_syn_in)),
            Derived("p_ex", "1", lambda p, dt: np.exp(-dt / p.tau_syn_ex)),
            Derived("p_in", "1", lambda p, dt: np.exp(-dt / p.tau_syn_in)),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        receptors=(
            Receptor("ex", "pA", "jump of the excitatory current", sign=1),
            Receptor("in", "pA", "jump of the inhibitory current (weights are negative)", sign=-1),
        ),
        step=adex_psc_exp_step,
        checks=(
            Check(("v_reset", "v_peak"), lambda p: p.v_reset < p.v_peak, "must be below v_peak"),
            Check(
                ("v_reset", "v_th", "delta_t"), lambda p: (p.delta_t > 0) | (p.v_reset < p.v_th), "must be below v_th"
            ),
            Check(("v_th", "v_peak"), lambda p: p.v_th <= p.v_peak, "must not be above v_peak"),
            # exp(600) is finite with room for the products; NEST has a rule like it
            Check(
                ("delta_t", "v_peak", "v_th"),
                lambda p: (p.delta_t == 0) | (p.v_peak - p.v_th < 600.0 * p.delta_t),
                "must be 0 or above (v_peak - v_th) / 600, lest the exponential overflow",
            ),
        ),
        refractory="refractory",
        references=("Brette & Gerstner 2005, doi:10.1152/jn.00686.2005", "NEST 3.10, aeif_psc_exp"),
    )
)
