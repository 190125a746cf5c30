"""Leaky integrate-and-fire neuron with exponentially decaying synaptic currents."""

import numpy as np
from scipy.special import exprel

from kernels import scalar
from kernels.spec import Check, ClosedForm, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define
from snn.neurons.lif_delta import lif_rate


def lif_exp_step(  # type: ignore[no-untyped-def]
    v, i_ex, i_in, refractory, arrive_ex, arrive_in, i_stim, v_reset, v_th, v_inf, p_vv, p_vi, p_v_ex, p_v_in,
    p_ex, p_in, n_ref,
):  # fmt: skip
    free = refractory == 0
    v = v_inf + (v - v_inf) * p_vv + i_stim * p_vi + i_ex * p_v_ex + i_in * p_v_in if free else v
    i_ex = i_ex * p_ex + arrive_ex
    i_in = i_in * p_in + arrive_in
    fired = free & (v >= v_th)
    refractory = n_ref if fired else (refractory if free else refractory - 1)
    v = v_reset if fired else v
    return v, i_ex, i_in, refractory, fired


def exp_to_v(dt, tau_syn, tau_m, c_m):  # type: ignore[no-untyped-def]
    """What 1 pA of current decaying with ``tau_syn`` adds to v in one step.

    The integral (1/C) int_0^dt exp(-(dt-s)/tau_m) exp(-s/tau_syn) ds, written with the slower decay in front, so that
    nothing cancels at tau_syn = tau_m and nothing overflows.
    """
    x = np.abs(dt / tau_m - dt / tau_syn)
    return dt / c_m * np.exp(-dt / np.maximum(tau_m, tau_syn)) * exprel(-x)


def psp_peak(tau_m, tau_syn):  # type: ignore[no-untyped-def]
    """The largest value, in ms, of the response of a membrane to a current that decays with ``tau_syn``."""
    x = tau_m / tau_syn - 1.0
    at = tau_m * np.where(np.abs(x) < 1e-6, 1.0 - 0.5 * x, np.log1p(x) / np.where(x == 0.0, 1.0, x))
    return tau_m * np.exp(-at / tau_syn)


def cancelled(tau_m, tau_ex, tau_in):  # type: ignore[no-untyped-def]
    """The least ratio of the responses to an inhibitory and an excitatory current, over all times.

    1 where inhibition is slower. Where it is faster the ratio falls from 1 towards this limit.
    """
    a, b, leak = 1.0 / tau_ex, 1.0 / tau_in, 1.0 / tau_m
    excess = np.maximum(a - leak, 0.0)
    return np.where(tau_in >= tau_ex, 1.0, excess / np.where((excess > 0.0) & (b > a), b - leak, 1.0))


def flow(  # type: ignore[no-untyped-def]
    v, i_ex, i_in, i_stim, h, v_inf, r_m, inv_c, leak, rate_ex, rate_in, gap_ex, gap_in
):
    top = v_inf + i_stim * r_m
    v, i_ex, i_in = scalar.leaky_exp(h, v, top, i_ex, i_in, inv_c, leak, rate_ex, rate_in, gap_ex, gap_in)
    return v, i_ex, i_in


def hold(v, i_ex, i_in, h, rate_ex, rate_in):  # type: ignore[no-untyped-def]
    return v, i_ex * scalar.decay(rate_ex * h), i_in * scalar.decay(rate_in * h)


def arrive(v, i_ex, i_in, arrive_ex, arrive_in, held):  # type: ignore[no-untyped-def]
    return v, i_ex + arrive_ex, i_in + arrive_in


def fire(v_reset, i_ex, i_in):  # type: ignore[no-untyped-def]
    return v_reset, i_ex, i_in


def earliest(v, i_ex, i_in, i_stim, v_inf, r_m, inv_c, v_th, tau_m, peak_ex, peak_in, cancel):  # type: ignore[no-untyped-def]
    top = v_inf + i_stim * r_m
    return scalar.leaky_exp_earliest(v, v_th, top, i_ex * inv_c, i_in * inv_c, tau_m, peak_ex, peak_in, cancel)


def crossing(  # type: ignore[no-untyped-def]
    v, i_ex, i_in, i_stim, h, v_inf, r_m, inv_c, v_th, leak, rate_ex, rate_in, gap_ex, gap_in
):
    top = v_inf + i_stim * r_m
    return scalar.leaky_exp_crossing(h, v, v_th, top, i_ex, i_in, inv_c, leak, rate_ex, rate_in, gap_ex, gap_in)


LIFExp = define(
    NeuronSpec(
        name="LIFExp",
        doc="""
        Leaky integrate-and-fire neuron; an arriving spike makes a current that jumps and decays exponentially.

        Equations
        ---------
        tau_m dv/dt = -(v - e_l) + (tau_m / c_m) (i_ex + i_in + i_e + i_stim);
        tau_syn_ex di_ex/dt = -i_ex, tau_syn_in di_in/dt = -i_in;  a spike of weight w arriving: i_ex += w (w > 0) or
        i_in += w (w < 0);  v >= v_th: spike, v = v_reset, held for t_ref. The currents go on in the refractory period.

        Numerics
        --------
        Exact integration on the grid (Rotter & Diesmann 1999), for every dt and every ratio of the time constants,
        tau_syn = tau_m too; only threshold crossings are bound to the grid. Equal to NEST's ``iaf_psc_exp`` with
        ``delta`` = 0. In continuous time v can cross the threshold only while the slope that it would have there is
        positive: that splits time into intervals with at most one crossing each, found by a bracketed Newton method, so
        none is missed (see Brette 2007 and Krishnan et al. 2018 for other criteria).
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init="e_l"),
            StateVar("i_ex", "pA", "excitatory synaptic current"),
            StateVar("i_in", "pA", "inhibitory synaptic current"),
            StateVar("refractory", "step", "steps left of the refractory period", dtype="int"),
        ),
        params=(
            Param("tau_m", "ms", 10.0, "membrane time constant", gt=0),
            Param("c_m", "pF", 250.0, "membrane capacitance", gt=0),
            Param("e_l", "mV", -70.0, "resting potential"),
            Param("v_th", "mV", -55.0, "spike threshold"),
            Param("v_reset", "mV", -70.0, "reset potential"),
            Param("t_ref", "ms", 2.0, "refractory period; the clock engine rounds it to steps", ge=0),
            Param("tau_syn_ex", "ms", 2.0, "time constant of the excitatory current", gt=0),
            Param("tau_syn_in", "ms", 2.0, "time constant of the inhibitory current", gt=0),
            Param("i_e", "pA", 0.0, "constant current"),
        ),
        derived=(
            Derived("p_vv", "1", lambda p, dt: np.exp(-dt / p.tau_m)),
            Derived("p_vi", "mV/pA", lambda p, dt: -np.expm1(-dt / p.tau_m) * p.tau_m / p.c_m),
            Derived("p_v_ex", "mV/pA", lambda p, dt: exp_to_v(dt, p.tau_syn_ex, p.tau_m, p.c_m)),
            Derived("p_v_in", "mV/pA", lambda p, dt: exp_to_v(dt, p.tau_syn_in, p.tau_m, p.c_m)),
            Derived("p_ex", "1", lambda p, dt: np.exp(-dt / p.tau_syn_ex)),
            Derived("p_in", "1", lambda p, dt: np.exp(-dt / p.tau_syn_in)),
            Derived("v_inf", "mV", lambda p, dt: p.e_l + p.i_e * p.tau_m / p.c_m),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        receptors=(
            Receptor("ex", "pA", "jump of the excitatory current", sign=1),
            Receptor("in", "pA", "jump of the inhibitory current (weights are negative)", sign=-1),
        ),
        step=lif_exp_step,
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
                Derived("gap_ex", "1/ms", lambda p, dt: np.abs(p.tau_m - p.tau_syn_ex) / (p.tau_m * p.tau_syn_ex)),
                Derived("gap_in", "1/ms", lambda p, dt: np.abs(p.tau_m - p.tau_syn_in) / (p.tau_m * p.tau_syn_in)),
                Derived("peak_ex", "ms", lambda p, dt: psp_peak(p.tau_m, p.tau_syn_ex)),
                Derived("peak_in", "ms", lambda p, dt: psp_peak(p.tau_m, p.tau_syn_in)),
                Derived("cancel", "1", lambda p, dt: cancelled(p.tau_m, p.tau_syn_ex, p.tau_syn_in)),
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
            "Rotter & Diesmann 1999, doi:10.1007/s004220050570",
            "Tsodyks, Uziel & Markram 2000, doi:10.1523/JNEUROSCI.20-01-j0003.2000",
            "Brette 2007, doi:10.1162/neco.2007.19.10.2604",
            "Krishnan et al. 2018, doi:10.3389/fninf.2017.00075",
            "NEST 3.10, iaf_psc_exp",
        ),
    )
)
