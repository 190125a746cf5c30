"""Quadratic integrate-and-fire neuron with delta-shaped synapses."""

import math

import numpy as np

from kernels import scalar
from kernels.spec import Check, ClosedForm, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def qif_rate(current, *, c_m, k, e_l, v_t, v_peak, v_reset, t_ref, i_e):  # type: ignore[no-untyped-def]
    """Firing rate in Hz at constant current in pA."""
    arrays = np.broadcast_arrays(current, c_m, k, e_l, v_t, v_peak, v_reset, t_ref, i_e)
    rates = []
    for i, c, k_, rest, threshold, peak, reset, wait, bias in zip(*(a.ravel() for a in arrays), strict=True):
        slope = (i + bias - 0.25 * k_ * (threshold - rest) ** 2) / c
        t = scalar.quadratic_time(float(reset), float(peak), 0.5 * (rest + threshold), k_ / c, slope)
        rates.append(1000.0 / (wait + t))
    return np.reshape(rates, arrays[0].shape)


def qif_step(  # type: ignore[no-untyped-def]
    v, refractory, arrive_syn, i_stim, v_peak, v_reset, middle, bend, slope, inv_c, dt_ms, n_ref,
):  # fmt: skip
    free = refractory == 0
    rate = slope + i_stim * inv_c
    peaked = scalar.quadratic_time(v, v_peak, middle, bend, rate) <= dt_ms
    v = scalar.quadratic(dt_ms, v, middle, bend, rate) + arrive_syn if free & (not peaked) else v
    fired = free & (peaked | (v >= v_peak))
    refractory = n_ref if fired else (refractory if free else refractory - 1)
    v = v_reset if fired else v
    return v, refractory, fired


def flow(v, i_stim, h, middle, bend, slope, inv_c):  # type: ignore[no-untyped-def]
    return (scalar.quadratic(h, v, middle, bend, slope + i_stim * inv_c),)


def hold(v, h):  # type: ignore[no-untyped-def]
    return (v,)


def arrive(v, arrive_syn, held):  # type: ignore[no-untyped-def]
    return (v + arrive_syn if held == 0 else v,)


def fire(v_reset):  # type: ignore[no-untyped-def]
    return (v_reset,)


def earliest(v, i_stim, v_peak, middle, bend, slope, inv_c):  # type: ignore[no-untyped-def]
    return (1.0 - 1e-12) * scalar.quadratic_time(v, v_peak, middle, bend, slope + i_stim * inv_c)


def crossing(v, i_stim, h, v_peak, middle, bend, slope, inv_c):  # type: ignore[no-untyped-def]
    t = scalar.quadratic_time(v, v_peak, middle, bend, slope + i_stim * inv_c)
    return t if t <= h else math.inf


MIDDLE = Derived("middle", "mV", lambda p, dt: 0.5 * (p.e_l + p.v_t))
BEND = Derived("bend", "1/(mV ms)", lambda p, dt: p.k / p.c_m)
SLOPE = Derived("slope", "mV/ms", lambda p, dt: (p.i_e - 0.25 * p.k * (p.v_t - p.e_l) ** 2) / p.c_m)
INV_C = Derived("inv_c", "1/pF", lambda p, dt: 1.0 / p.c_m)

QIF = define(
    NeuronSpec(
        name="QIF",
        doc="""
        Quadratic integrate-and-fire neuron, the normal form of neurons that start to fire at any low rate; an arriving
        spike moves the membrane potential by its weight.

        Equations
        ---------
        c_m dv/dt = k (v - e_l) (v - v_t) + i_e + i_stim;  a spike of weight w arriving: v += w;
        v >= v_peak: spike, v = v_reset, held for t_ref. Spikes that arrive in the refractory period are lost.
        At rest e_l is the stable and v_t the unstable fixed point; they meet at the rheobase k (v_t - e_l)^2 / 4. With
        v - (e_l + v_t) / 2 = s tan(theta / 2), v_peak and -v_reset far away, it is the theta neuron; with v_peak =
        1e9 mV a spike comes c_m / k / 1e9 ms before v is infinite.

        Numerics
        --------
        Exact for constant current: the solution is a tangent (above the rheobase) or a hyperbolic tangent, taken as a
        fraction linear in v, so that nothing cancels at the rheobase. On the grid v's own peak within a step is seen
        too, however fast the upstroke; spikes are stamped with the end of the step. In continuous time the spike time
        is an arc tangent or a logarithm. NEST has no counterpart.
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init="e_l"),
            StateVar("refractory", "step", "steps left of the refractory period", dtype="int"),
        ),
        params=(
            Param("c_m", "pF", 100.0, "membrane capacitance", gt=0),
            Param("k", "nS/mV", 0.7, "curvature of the current-voltage relation", gt=0),
            Param("e_l", "mV", -60.0, "resting potential, the stable fixed point without current"),
            Param("v_t", "mV", -40.0, "threshold potential, the unstable fixed point without current"),
            Param("v_peak", "mV", 35.0, "peak of a spike"),
            Param("v_reset", "mV", -60.0, "reset potential"),
            Param("t_ref", "ms", 0.0, "refractory period; the clock engine rounds it to steps", ge=0),
            Param("i_e", "pA", 0.0, "constant current"),
        ),
        derived=(
            MIDDLE,
            BEND,
            SLOPE,
            INV_C,
            Derived("dt_ms", "ms", lambda p, dt: dt),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        receptors=(Receptor("syn", "mV", "jump of the membrane potential"),),
        step=qif_step,
        checks=(
            Check(("e_l", "v_t"), lambda p: p.e_l <= p.v_t, "must not be above v_t"),
            Check(("v_t", "v_peak"), lambda p: p.v_t < p.v_peak, "must be below v_peak"),
            Check(("v_reset", "v_peak"), lambda p: p.v_reset < p.v_peak, "must be below v_peak"),
        ),
        refractory="refractory",
        rate=qif_rate,
        closed_form=ClosedForm(
            derived=(MIDDLE, BEND, SLOPE, INV_C),
            flow=flow,
            hold=hold,
            arrive=arrive,
            fire=fire,
            earliest=earliest,
            crossing=crossing,
            t_ref="t_ref",
        ),
        references=(
            "Ermentrout & Kopell 1986, doi:10.1137/0146017",
            "Latham et al. 2000, doi:10.1152/jn.2000.83.2.808",
            "Izhikevich 2007, Dynamical Systems in Neuroscience, chapter 3, doi:10.7551/mitpress/2526.001.0001",
        ),
    )
)
