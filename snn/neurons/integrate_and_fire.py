"""Integrate-and-fire neuron without leak, reset by subtraction."""

import math

import numpy as np

from kernels.spec import ClosedForm, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def if_rate(current, *, r, v_th, i_e, **_):  # type: ignore[no-untyped-def]
    """Firing rate in Hz at constant current, for rates below one spike a step."""
    return np.maximum(1000.0 * r * (np.asarray(current, dtype=float) + i_e) / v_th, 0.0)


def integrate_and_fire_step(v, arrive_syn, i_stim, v_th, r, i_e, r_dt):  # type: ignore[no-untyped-def]
    v = v + r_dt * (i_stim + i_e) + r * arrive_syn
    fired = v > v_th
    v = v - v_th if fired else v
    return v, fired


def flow(v, i_stim, h, r, i_e):  # type: ignore[no-untyped-def]
    return (v + r * (i_e + i_stim) * h,)


def arrive(v, arrive_syn, r, held):  # type: ignore[no-untyped-def]
    return (v + r * arrive_syn,)


def fire(v, v_th):  # type: ignore[no-untyped-def]
    return (v - v_th,)


def earliest(v, i_stim, r, i_e, v_th):  # type: ignore[no-untyped-def]
    slope = r * (i_e + i_stim)
    t = (1.0 - 1e-12) * max(v_th - v, 0.0) / (slope if slope > 0.0 else 1.0)
    return 0.0 if v > v_th else (t if slope > 0.0 else math.inf)


def crossing(v, i_stim, h, r, i_e, v_th):  # type: ignore[no-untyped-def]
    slope = r * (i_e + i_stim)
    t = max(v_th - v, 0.0) / slope if slope > 0.0 else (0.0 if v > v_th else math.inf)
    return t if t <= h else math.inf


IF = define(
    NeuronSpec(
        name="IF",
        doc="""
        Integrate-and-fire neuron without leak and with reset by subtraction: its rate is linear in its input, so
        networks of rectified linear units convert to it. Dimensionless but for time.

        Equations
        ---------
        dv/dt = r (i_e + i_stim);  a spike of weight w arriving: v += r w;  v > v_th: spike, v -= v_th.

        Numerics
        --------
        Exact on the grid, at most one spike a step; what is above threshold stays and fires later. The threshold is
        strict, as in NIR's ``IF``, which resets to a value instead. There is no counterpart in NEST. In continuous
        time a neuron fires as soon as v would be above threshold, as often at one instant as v holds v_th: what steps
        of length dt do in the limit dt = 0.
        """,
        state=(StateVar("v", "1", "membrane potential"),),
        params=(
            Param("v_th", "1", 1.0, "spike threshold, subtracted at a spike", gt=0),
            Param("r", "1", 1.0, "resistance, factor of all input"),
            Param("i_e", "1/ms", 0.0, "constant current"),
        ),
        derived=(Derived("r_dt", "ms", lambda p, dt: p.r * dt),),
        receptors=(Receptor("syn", "1", "jump of the membrane potential, times r"),),
        step=integrate_and_fire_step,
        current_unit="1/ms",
        rate=if_rate,
        closed_form=ClosedForm(
            derived=(), flow=flow, hold=None, arrive=arrive, fire=fire, earliest=earliest, crossing=crossing
        ),
        references=("Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682",),
    )
)
