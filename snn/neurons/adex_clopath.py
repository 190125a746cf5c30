"""Adaptive exponential integrate-and-fire neuron with after-depolarisation and a moving threshold (Clopath et al.)."""

import numpy as np

from kernels.scalar import exponential_leak
from kernels.spec import Check, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def adex_clopath_step(  # type: ignore[no-untyped-def]
    v, w, z, v_t, clamp, arrive_syn, i_stim, g_l, e_l, v_th, v_th_max, v_reset, v_peak, v_clamp, a, b, i_e, i_sp,
    g_delta, inv_delta, inv_c, inv_tau_w, half, sixth, p_z_half, p_z, p_t_half, p_t, n_clamp,
):  # fmt: skip
    free = clamp == 0
    z_end = z * p_z
    v_t_half = v_th + (v_t - v_th) * p_t_half
    v_t_end = v_th + (v_t - v_th) * p_t
    drive1 = i_stim + i_e + z
    drive2 = i_stim + i_e + z * p_z_half
    drive4 = i_stim + i_e + z_end
    # v is limited to v_peak in the slopes, so the exponential is bounded; v and w are held while clamped
    x = min(v, v_peak)
    v1 = (exponential_leak(x, g_l, e_l, v_t, g_delta, inv_delta) + drive1 - w) * inv_c
    w1 = (a * (x - e_l) - w) * inv_tau_w
    x = min(v + half * v1, v_peak)
    y = w + half * w1
    v2 = (exponential_leak(x, g_l, e_l, v_t_half, g_delta, inv_delta) + drive2 - y) * inv_c
    w2 = (a * (x - e_l) - y) * inv_tau_w
    x = min(v + half * v2, v_peak)
    y = w + half * w2
    v3 = (exponential_leak(x, g_l, e_l, v_t_half, g_delta, inv_delta) + drive2 - y) * inv_c
    w3 = (a * (x - e_l) - y) * inv_tau_w
    x = min(v + 2.0 * half * v3, v_peak)
    y = w + 2.0 * half * w3
    v4 = (exponential_leak(x, g_l, e_l, v_t_end, g_delta, inv_delta) + drive4 - y) * inv_c
    w4 = (a * (x - e_l) - y) * inv_tau_w
    v = v + sixth * (v1 + 2.0 * (v2 + v3) + v4) if free else v
    w = w + sixth * (w1 + 2.0 * (w2 + w3) + w4) if free else w
    fired = free & (v >= v_peak)
    v = v + arrive_syn if free else v
    v = v_reset if clamp == 1 else v
    v = v_clamp if fired else v
    w = w + b if fired else w
    z = i_sp if fired else z_end
    v_t = v_th_max if fired else v_t_end
    clamp = n_clamp if fired else (clamp if free else clamp - 1)
    return v, w, z, v_t, clamp, fired


AdExClopath = define(
    NeuronSpec(
        name="AdExClopath",
        doc="""
        Adaptive exponential integrate-and-fire neuron with a depolarising spike after-current and an adaptive
        threshold, as used with the voltage-based plasticity of :class:`plasticity.Clopath`.

        Equations
        ---------
        c_m dv/dt = -g_l (v - e_l) + g_l delta_t exp((v - v_t) / delta_t) - w + z + i_e + i_stim;
        tau_w dw/dt = a (v - e_l) - w;  tau_z dz/dt = -z;  tau_v_th dv_t/dt = v_th - v_t;
        a spike of weight w arriving: v += w;
        v >= v_peak: spike, w += b, z = i_sp, v_t = v_th_max; v is v_clamp and w is held for t_clamp, then v = v_reset.

        Numerics
        --------
        Runge-Kutta of order 4 with step dt between spikes, z and v_t exact at its stages; v is limited to v_peak in the
        slopes, so the exponential is bounded. A spike is late by up to dt, so dt <= 0.1 ms; spikes that arrive while v
        is clamped are lost. NEST's ``aeif_psc_delta_clopath`` integrates by adaptive RKF45 and has the spike within the
        step, so v is v_clamp up to a step longer there.
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init="e_l"),
            StateVar("w", "pA", "adaptation current"),
            StateVar("z", "pA", "spike after-current"),
            StateVar("v_t", "mV", "threshold", init="v_th"),
            StateVar("clamp", "step", "steps left of the clamp after a spike", dtype="int"),
        ),
        params=(
            Param("c_m", "pF", 281.0, "membrane capacitance", gt=0),
            Param("g_l", "nS", 30.0, "leak conductance", gt=0),
            Param("e_l", "mV", -70.6, "leak reversal potential"),
            Param("v_th", "mV", -50.4, "threshold at rest, where the spike current starts to grow"),
            Param("v_th_max", "mV", 30.4, "threshold just after a spike"),
            Param("tau_v_th", "ms", 50.0, "time constant of the threshold", gt=0),
            Param("delta_t", "mV", 2.0, "sharpness of spike initiation", gt=0),
            Param("v_peak", "mV", 33.0, "potential at which a spike is registered"),
            Param("v_clamp", "mV", 33.0, "potential during the clamp"),
            Param("t_clamp", "ms", 2.0, "duration of the clamp, rounded to steps, at least one", ge=0),
            Param("v_reset", "mV", -60.0, "reset potential"),
            Param("a", "nS", 4.0, "subthreshold adaptation"),
            Param("b", "pA", 80.5, "jump of the adaptation current at a spike"),
            Param("tau_w", "ms", 144.0, "time constant of the adaptation current", gt=0),
            Param("i_sp", "pA", 400.0, "spike after-current just after a spike"),
            Param("tau_z", "ms", 40.0, "time constant of the spike after-current", gt=0),
            Param("i_e", "pA", 0.0, "constant current"),
        ),
        derived=(
            Derived("g_delta", "pA", lambda p, dt: p.g_l * p.delta_t),
            Derived("inv_delta", "1/mV", lambda p, dt: 1.0 / p.delta_t),
            Derived("inv_c", "1/pF", lambda p, dt: 1.0 / p.c_m),
            Derived("inv_tau_w", "1/ms", lambda p, dt: 1.0 / p.tau_w),
            Derived("half", "ms", lambda p, dt: 0.5 * dt),
            Derived("sixth", "ms", lambda p, dt: dt / 6.0),
            Derived("p_z_half", "1", lambda p, dt: np.exp(-0.5 * dt / p.tau_z)),
            Derived("p_z", "1", lambda p, dt: np.exp(-dt / p.tau_z)),
            Derived("p_t_half", "1", lambda p, dt: np.exp(-0.5 * dt / p.tau_v_th)),
            Derived("p_t", "1", lambda p, dt: np.exp(-dt / p.tau_v_th)),
            Derived("n_clamp", "step", lambda p, dt: np.maximum(1, np.rint(p.t_clamp / dt)), dtype="int"),
        ),
        receptors=(Receptor("syn", "mV", "jump of the membrane potential"),),
        step=adex_clopath_step,
        checks=(
            Check(("v_reset", "v_peak"), lambda p: p.v_reset < p.v_peak, "must be below v_peak"),
            # exp(600) is finite with room for the products
            Check(
                ("delta_t", "v_peak", "v_th"),
                lambda p: p.v_peak - p.v_th < 600.0 * p.delta_t,
                "must be above (v_peak - v_th) / 600, lest the exponential overflow",
            ),
            Check(("v_th_max", "v_th"), lambda p: p.v_th_max >= p.v_th, "must be >= v_th"),
        ),
        references=(
            "Clopath, Büsing, Vasilaki & Gerstner 2010, doi:10.1038/nn.2479",
            "NEST 3.10, aeif_psc_delta_clopath",
        ),
    )
)
