"""Resonate-and-fire neuron."""

import numpy as np

from kernels.spec import Check, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def resonate_and_fire_step(  # type: ignore[no-untyped-def]
    x, v, arrive_syn, i_stim, v_th, x_reset, v_reset, i_e, p_cos, p_sin, p_xi, p_vi,
):  # fmt: skip
    i = i_stim + i_e
    x_next = p_cos * x - p_sin * v + p_xi * i + arrive_syn
    v_next = p_sin * x + p_cos * v + p_vi * i
    fired = v_next >= v_th
    x = x_reset if fired else x_next
    v = v_reset if fired else v_next
    return x, v, fired


ResonateAndFire = define(
    NeuronSpec(
        name="ResonateAndFire",
        doc="""
        Resonate-and-fire neuron (Izhikevich 2001): damped subthreshold oscillations, so that the timing of the input
        decides whether it fires. Dimensionless but for time.

        Equations
        ---------
        With z = x + 1j v (x is like a current, v like a potential): dz/dt = (b + 1j omega) z + i_e + i_stim;
        a spike of weight w arriving: x += w;  v >= v_th: spike, x = x_reset, v = v_reset (in the paper z = 1j).

        Numerics
        --------
        Exact rotation of z for every dt; only the threshold crossing is bound to the grid, and a crossing that goes
        back within a step is missed, so omega dt should stay below about 0.1. There is no counterpart in NEST.
        """,
        state=(
            StateVar("x", "1", "current-like variable, the real part of z"),
            StateVar("v", "1", "potential-like variable, the imaginary part of z"),
        ),
        params=(
            Param("b", "1/ms", -0.05, "damping, negative", lt=0),
            Param("omega", "1/ms", 0.25, "angular frequency in rad/ms", gt=0),
            Param("v_th", "1", 1.0, "spike threshold", gt=0),
            Param("x_reset", "1", 0.0, "value of x after a spike"),
            Param("v_reset", "1", 1.0, "value of v after a spike"),
            Param("i_e", "1/ms", 0.0, "constant current"),
        ),
        derived=(
            Derived("p_cos", "1", lambda p, dt: np.exp(p.b * dt) * np.cos(p.omega * dt)),
            Derived("p_sin", "1", lambda p, dt: np.exp(p.b * dt) * np.sin(p.omega * dt)),
            Derived("p_xi", "ms", lambda p, dt: (np.expm1((p.b + 1j * p.omega) * dt) / (p.b + 1j * p.omega)).real),
            Derived("p_vi", "ms", lambda p, dt: (np.expm1((p.b + 1j * p.omega) * dt) / (p.b + 1j * p.omega)).imag),
        ),
        receptors=(Receptor("syn", "1", "jump of x"),),
        step=resonate_and_fire_step,
        checks=(Check(("v_reset", "v_th"), lambda p: p.v_reset <= p.v_th, "must not be above v_th"),),
        current_unit="1/ms",
        references=("Izhikevich 2001, doi:10.1016/S0893-6080(01)00078-8",),
    )
)
