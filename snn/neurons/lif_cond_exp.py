"""Leaky integrate-and-fire neuron with exponentially decaying synaptic conductances."""

import numpy as np

from kernels import scalar
from kernels.spec import Check, ClosedForm, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define
from snn.neurons.lif_delta import lif_rate
from snn.neurons.lif_exp import psp_peak


def cond_rate(current, *, c_m, g_l, **params):  # type: ignore[no-untyped-def]
    """Firing rate in Hz at constant current in pA and no synaptic input."""
    return lif_rate(current, tau_m=c_m / g_l, c_m=c_m, **params)


def lif_cond_exp_step(  # type: ignore[no-untyped-def]
    v, g_ex, g_in, refractory, arrive_ex, arrive_in, i_stim, e_ex, e_in, v_reset, v_th, half, sixth, inv_c, leak,
    drive_0, p_ex_half, p_in_half, p_ex, p_in, n_ref,
):  # fmt: skip
    free = refractory == 0
    g_ex_half = g_ex * p_ex_half
    g_in_half = g_in * p_in_half
    g_ex_end = g_ex * p_ex
    g_in_end = g_in * p_in
    # v' = a - b v at the beginning, middle and end of the step
    drive = drive_0 + i_stim * inv_c
    a0 = drive + (g_ex * e_ex + g_in * e_in) * inv_c
    b0 = leak + (g_ex + g_in) * inv_c
    a1 = drive + (g_ex_half * e_ex + g_in_half * e_in) * inv_c
    b1 = leak + (g_ex_half + g_in_half) * inv_c
    a2 = drive + (g_ex_end * e_ex + g_in_end * e_in) * inv_c
    b2 = leak + (g_ex_end + g_in_end) * inv_c
    k1 = a0 - b0 * v
    k2 = a1 - b1 * (v + half * k1)
    k3 = a1 - b1 * (v + half * k2)
    k4 = a2 - b2 * (v + 2.0 * half * k3)
    v = v + sixth * (k1 + 2.0 * (k2 + k3) + k4) if free else v
    g_ex = g_ex_end + arrive_ex
    g_in = g_in_end - arrive_in
    fired = free & (v >= v_th)
    refractory = n_ref if fired else (refractory if free else refractory - 1)
    v = v_reset if fired else v
    return v, g_ex, g_in, refractory, fired


def flow(v, g_ex, g_in, i_stim, h, v_inf, r_m, e_ex, e_in, inv_c, leak, rate_ex, rate_in):  # type: ignore[no-untyped-def]
    top = v_inf + i_stim * r_m
    v, x, y = scalar.leaky_cond(h, v, top, g_ex * inv_c, g_in * inv_c, e_ex, e_in, leak, rate_ex, rate_in)
    return v, g_ex * scalar.decay(rate_ex * h), g_in * scalar.decay(rate_in * h)


def hold(v, g_ex, g_in, h, rate_ex, rate_in):  # type: ignore[no-untyped-def]
    return v, g_ex * scalar.decay(rate_ex * h), g_in * scalar.decay(rate_in * h)


def arrive(v, g_ex, g_in, arrive_ex, arrive_in, held):  # type: ignore[no-untyped-def]
    return v, g_ex + arrive_ex, g_in - arrive_in


def fire(v_reset, g_ex, g_in):  # type: ignore[no-untyped-def]
    return v_reset, g_ex, g_in


def earliest(  # type: ignore[no-untyped-def]
    v, g_ex, g_in, i_stim, v_inf, r_m, e_ex, e_in, inv_c, v_th, tau, peak_ex, peak_in, cancel
):
    top = v_inf + i_stim * r_m
    x = g_ex * inv_c
    y = g_in * inv_c
    return scalar.leaky_cond_earliest(v, v_th, top, x, y, e_ex, e_in, tau, peak_ex, peak_in, cancel)


def crossing(  # type: ignore[no-untyped-def]
    v, g_ex, g_in, i_stim, h, v_inf, r_m, e_ex, e_in, inv_c, v_th, leak, rate_ex, rate_in
):
    top = v_inf + i_stim * r_m
    x = g_ex * inv_c
    y = g_in * inv_c
    return scalar.leaky_cond_crossing(h, v, v_th, top, x, y, e_ex, e_in, leak, rate_ex, rate_in)


LIFCondExp = define(
    NeuronSpec(
        name="LIFCondExp",
        doc="""
        Leaky integrate-and-fire neuron; an arriving spike opens a conductance that jumps and decays exponentially.

        Equations
        ---------
        c_m dv/dt = -g_l (v - e_l) - g_ex (v - e_ex) - g_in (v - e_in) + i_e + i_stim;
        tau_syn_ex dg_ex/dt = -g_ex, tau_syn_in dg_in/dt = -g_in;  a spike of weight w arriving: g_ex += w (w > 0) or
        g_in -= w (w < 0);  v >= v_th: spike, v = v_reset, held for t_ref. The conductances go on meanwhile.

        Numerics
        --------
        Runge-Kutta of order 4 with step dt for v, with exactly decayed conductances at its stages; spikes on the grid.
        Stable while (g_l + g_ex + g_in) dt / c_m < 2.7: up to about 6700 nS with the defaults at dt = 0.1 ms. NEST's
        ``iaf_cond_exp`` integrates the same equations by adaptive RKF45 with an error of up to 1e-3 mV a step, and
        limits v to v_th within the step that crosses it. In continuous time v is its exponential of the integrated
        conductance times an integral, taken by Gauss-Legendre quadrature to rounding (for any two time constants;
        Brette 2006 has a series for one); as with LIFExp, no crossing is missed.
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init="e_l"),
            StateVar("g_ex", "nS", "excitatory conductance"),
            StateVar("g_in", "nS", "inhibitory conductance"),
            StateVar("refractory", "step", "steps left of the refractory period", dtype="int"),
        ),
        params=(
            Param("c_m", "pF", 250.0, "membrane capacitance", gt=0),
            Param("g_l", "nS", 16.6667, "leak conductance", gt=0),
            Param("e_l", "mV", -70.0, "leak reversal potential"),
            Param("e_ex", "mV", 0.0, "excitatory reversal potential"),
            Param("e_in", "mV", -85.0, "inhibitory reversal potential"),
            Param("v_th", "mV", -55.0, "spike threshold"),
            Param("v_reset", "mV", -60.0, "reset potential"),
            Param("t_ref", "ms", 2.0, "refractory period; the clock engine rounds it to steps", ge=0),
            Param("tau_syn_ex", "ms", 0.2, "time constant of the excitatory conductance", gt=0),
            Param("tau_syn_in", "ms", 2.0, "time constant of the inhibitory conductance", gt=0),
            Param("i_e", "pA", 0.0, "constant current"),
        ),
        derived=(
            Derived("half", "ms", lambda p, dt: 0.5 * dt),
            Derived("sixth", "ms", lambda p, dt: dt / 6.0),
            Derived("inv_c", "1/pF", lambda p, dt: 1.0 / p.c_m),
            Derived("leak", "1/ms", lambda p, dt: p.g_l / p.c_m),
            Derived("drive_0", "mV/ms", lambda p, dt: (p.g_l * p.e_l + p.i_e) / p.c_m),
            Derived("p_ex_half", "1", lambda p, dt: np.exp(-0.5 * dt / p.tau_syn_ex)),
            Derived("p_in_half", "1", lambda p, dt: np.exp(-0.5 * dt / p.tau_syn_in)),
            Derived("p_ex", "1", lambda p, dt: np.exp(-dt / p.tau_syn_ex)),
            Derived("p_in", "1", lambda p, dt: np.exp(-dt / p.tau_syn_in)),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        receptors=(
            Receptor("ex", "nS", "jump of the excitatory conductance", sign=1),
            Receptor("in", "nS", "jump of the inhibitory conductance (weights are negative)", sign=-1),
        ),
        step=lif_cond_exp_step,
        checks=(Check(("v_reset", "v_th"), lambda p: p.v_reset < p.v_th, "must be below v_th"),),
        refractory="refractory",
        rate=cond_rate,
        closed_form=ClosedForm(
            derived=(
                Derived("v_inf", "mV", lambda p, dt: p.e_l + p.i_e / p.g_l),
                Derived("r_m", "mV/pA", lambda p, dt: 1.0 / p.g_l),
                Derived("inv_c", "1/pF", lambda p, dt: 1.0 / p.c_m),
                Derived("tau", "ms", lambda p, dt: p.c_m / p.g_l),
                Derived("leak", "1/ms", lambda p, dt: p.g_l / p.c_m),
                Derived("rate_ex", "1/ms", lambda p, dt: 1.0 / p.tau_syn_ex),
                Derived("rate_in", "1/ms", lambda p, dt: 1.0 / p.tau_syn_in),
                Derived("peak_ex", "ms", lambda p, dt: psp_peak(p.c_m / p.g_l, p.tau_syn_ex)),
                Derived("peak_in", "ms", lambda p, dt: psp_peak(p.c_m / p.g_l, p.tau_syn_in)),
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
        references=(
            "Meffin, Burkitt & Grayden 2004, doi:10.1023/B:JCNS.0000014108.03012.81",
            "Brette 2006, doi:10.1162/neco.2006.18.8.2004",
            "NEST 3.10, iaf_cond_exp",
        ),
    )
)
