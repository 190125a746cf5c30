"""Leaky integrate-and-fire neuron with delta-shaped synapses."""

import math

import numpy as np

from kernels import scalar
from kernels.spec import Check, ClosedForm, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def lif_rate(current, *, tau_m, c_m, e_l, v_th, v_reset, t_ref, i_e=0.0, **_):  # type: ignore[no-untyped-def]
    """Firing rate in Hz of a leaky integrate-and-fire neuron at constant current in pA; 0 up to the rheobase."""
    v_inf = e_l + (np.asarray(current, dtype=float) + i_e) * tau_m / c_m
    above = v_inf > v_th
    gap = np.where(above, v_inf - v_th, 1.0)
    interval = t_ref + tau_m * np.log1p((v_th - v_reset) / gap)
    return np.where(above, 1000.0 / interval, 0.0)


def lif_delta_step(v, refractory, arrive_syn, i_stim, v_reset, v_th, p_vv, p_vi, v_inf, n_ref):  # type: ignore[no-untyped-def]
    free = refractory == 0
    v = v_inf + (v - v_inf) * p_vv + i_stim * p_vi + arrive_syn if free else v
    fired = free & (v >= v_th)
    refractory = n_ref if fired else (refractory if free else refractory - 1)
    v = v_reset if fired else v
    return v, refractory, fired


def flow(v, i_stim, h, v_inf, r_m, leak):  # type: ignore[no-untyped-def]
    return (v + (v_inf + i_stim * r_m - v) * (1.0 - scalar.decay(leak * h)),)


def hold(v, h):  # type: ignore[no-untyped-def]
    return (v,)


def arrive(v, arrive_syn, held):  # type: ignore[no-untyped-def]
    return (v + arrive_syn if held == 0 else v,)


def fire(v_reset):  # type: ignore[no-untyped-def]
    return (v_reset,)


def earliest(v, i_stim, v_inf, r_m, v_th, tau_m):  # type: ignore[no-untyped-def]
    # log(1 + x) > 2 x / (2 + x)
    top = v_inf + i_stim * r_m
    rounding = 1e-12 * (abs(v) + abs(v_th) + abs(top))
    gap = v_th - v
    near = max(gap - rounding, 1e-3 * gap)
    reach = top - v + rounding
    t = 2.0 * near * tau_m / max(2.0 * reach - near, 1e-300)
    return 0.0 if gap <= 0.0 else (math.inf if reach < gap else t)


def crossing(v, i_stim, h, v_inf, r_m, v_th, tau_m):  # type: ignore[no-untyped-def]
    top = v_inf + i_stim * r_m
    t = 0.0 if v >= v_th else (tau_m * math.log1p((v_th - v) / (top - v_th)) if top > v_th else math.inf)
    return t if t <= h else math.inf


LIFDelta = define(
    NeuronSpec(
        name="LIFDelta",
        doc="""
        Leaky integrate-and-fire neuron; an arriving spike moves the membrane potential by its weight.

        Equations
        ---------
        tau_m dv/dt = -(v - e_l) + (tau_m / c_m) (i_e + i_stim);  a spike of weight w arriving: v += w;
        v >= v_th: spike, v = v_reset, held for t_ref. Spikes that arrive in the refractory period are lost.

        Numerics
        --------
        Exact integration on the grid (Rotter & Diesmann 1999); equal to NEST's ``iaf_psc_delta``. In continuous time
        the crossing of the threshold is a logarithm.
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init="e_l"),
            StateVar("refractory", "step", "steps left of the refractory period", dtype="int"),
        ),
        params=(
            Param("tau_m", "ms", 10.0, "membrane time constant", gt=0),
            Param("c_m", "pF", 250.0, "membrane capacitance", gt=0),
            Param("e_l", "mV", -70.0, "resting potential"),
            Param("v_th", "mV", -55.0, "spike threshold"),
            Param("v_reset", "mV", -70.0, "reset potential"),
            Param("t_ref", "ms", 2.0, "refractory period; the clock engine rounds it to steps", ge=0),
            Param("i_e", "pA", 0.0, "constant current"),
        ),
        derived=(
            Derived("p_vv", "1", lambda p, dt: np.exp(-dt / p.tau_m)),
            Derived("p_vi", "mV/pA", lambda p, dt: -np.expm1(-dt / p.tau_m) * p.tau_m / p.c_m),
            Derived("v_inf", "mV", lambda p, dt: p.e_l + p.i_e * p.tau_m / p.c_m),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        receptors=(Receptor("syn", "mV", "jump of the membrane potential"),),
        step=lif_delta_step,
        checks=(Check(("v_reset", "v_th"), lambda p: p.v_reset < p.v_th, "must be below v_th"),),
        refractory="refractory",
        rate=lif_rate,
        closed_form=ClosedForm(
            derived=(
                Derived("v_inf", "mV", lambda p, dt: p.e_l + p.i_e * p.tau_m / p.c_m),
                Derived("r_m", "mV/pA", lambda p, dt: p.tau_m / p.c_m),
                Derived("leak", "1/ms", lambda p, dt: 1.0 / p.tau_m),
            ),
            flow=flow,
            hold=hold,
            arrive=arrive,
            fire=fire,
            earliest=earliest,
            crossing=crossing,
            t_ref="t_ref",
        ),
        references=("Rotter & Diesmann 1999, doi:10.1007/s004220050570", "NEST 3.10, iaf_psc_delta"),
    )
)
