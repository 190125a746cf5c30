"""Izhikevich's simple model of 2007, in biophysical units."""

import numpy as np

from kernels.spec import Check, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def izhikevich_2007_step(  # type: ignore[no-untyped-def]
    v, u_m, i_ex, i_in, arrive_ex, arrive_in, i_stim, k, v_r, v_t, v_peak, a, b, c, d, i_e, half, sixth, inv_c,
    p_ex_half, p_in_half, p_ex, p_in,
):  # fmt: skip
    i1 = i_stim + i_e + i_ex + i_in
    i2 = i_stim + i_e + i_ex * p_ex_half + i_in * p_in_half
    i4 = i_stim + i_e + i_ex * p_ex + i_in * p_in
    # v is limited to v_peak in the slopes: above it the parabola would run away within the step
    x = min(v, v_peak)
    v1 = (k * (x - v_r) * (x - v_t) - u_m + i1) * inv_c
    u1 = a * (b * (x - v_r) - u_m)
    x = min(v + half * v1, v_peak)
    u = u_m + half * u1
    v2 = (k * (x - v_r) * (x - v_t) - u + i2) * inv_c
    u2 = a * (b * (x - v_r) - u)
    x = min(v + half * v2, v_peak)
    u = u_m + half * u2
    v3 = (k * (x - v_r) * (x - v_t) - u + i2) * inv_c
    u3 = a * (b * (x - v_r) - u)
    x = min(v + 2.0 * half * v3, v_peak)
    u = u_m + 2.0 * half * u3
    v4 = (k * (x - v_r) * (x - v_t) - u + i4) * inv_c
    u4 = a * (b * (x - v_r) - u)
    v = v + sixth * (v1 + 2.0 * (v2 + v3) + v4)
    u_m = u_m + sixth * (u1 + 2.0 * (u2 + u3) + u4)
    i_ex = i_ex * p_ex + arrive_ex
    i_in = i_in * p_in + arrive_in
    fired = v >= v_peak
    v = c if fired else v
    u_m = u_m + d if fired else u_m
    return v, u_m, i_ex, i_in, fired


Izhikevich2007 = define(
    NeuronSpec(
        name="Izhikevich2007",
        doc="""
        Izhikevich's two-variable model in biophysical units, with exponentially decaying synaptic currents. The
        defaults are the book's regular-spiking cell.

        Equations
        ---------
        c_m dv/dt = k (v - v_r) (v - v_t) - u_m + i_ex + i_in + i_e + i_stim,  du_m/dt = a (b (v - v_r) - u_m);
        tau_syn_ex di_ex/dt = -i_ex, tau_syn_in di_in/dt = -i_in;  a spike of weight w arriving: i_ex += w (w > 0) or
        i_in += w (w < 0);  v >= v_peak: spike, v = c, u_m += d.

        Numerics
        --------
        Runge-Kutta of order 4 with step dt between spikes, with exactly decayed currents at its stages; spikes on the
        grid. dt <= 0.2 ms resolves the upstroke of a spike. The book's scripts use forward Euler with dt = 1 ms; NEST
        has no counterpart.
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init="v_r"),
            StateVar("u_m", "pA", "recovery current, u in the book"),
            StateVar("i_ex", "pA", "excitatory synaptic current"),
            StateVar("i_in", "pA", "inhibitory synaptic current"),
        ),
        params=(
            Param("c_m", "pF", 100.0, "membrane capacitance, C in the book", gt=0),
            Param("k", "nS/mV", 0.7, "curvature of the current-voltage relation", gt=0),
            Param("v_r", "mV", -60.0, "resting potential"),
            Param("v_t", "mV", -40.0, "instantaneous threshold potential"),
            Param("v_peak", "mV", 35.0, "peak of a spike"),
            Param("a", "1/ms", 0.03, "rate of the recovery current; may be negative"),
            Param("b", "nS", -2.0, "sensitivity of the recovery current to v"),
            Param("c", "mV", -50.0, "reset potential"),
            Param("d", "pA", 100.0, "jump of the recovery current at a spike"),
            Param("tau_syn_ex", "ms", 2.0, "time constant of the excitatory current", gt=0),
            Param("tau_syn_in", "ms", 2.0, "time constant of the inhibitory current", gt=0),
            Param("i_e", "pA", 0.0, "constant current"),
        ),
        derived=(
            Derived("half", "ms", lambda p, dt: 0.5 * dt),
            Derived("sixth", "ms", lambda p, dt: dt / 6.0),
            Derived("inv_c", "1/pF", lambda p, dt: 1.0 / p.c_m),
            Derived("p_ex_half", "1", lambda p, dt: np.exp(-0.5 * dt / p.tau_syn_ex)),
            Derived("p_in_half", "1", lambda p, dt: np.exp(-0.5 * dt / p.tau_syn_in)),
            Derived("p_ex", "1", lambda p, dt: np.exp(-dt / p.tau_syn_ex)),
            Derived("p_in", "1", lambda p, dt: np.exp(-dt / p.tau_syn_in)),
        ),
        receptors=(
            Receptor("ex", "pA", "jump of the excitatory current", sign=1),
            Receptor("in", "pA", "jump of the inhibitory current (weights are negative)", sign=-1),
        ),
        step=izhikevich_2007_step,
        checks=(
            Check(("c", "v_peak"), lambda p: p.c < p.v_peak, "must be below v_peak"),
            Check(("v_t", "v_peak"), lambda p: p.v_t < p.v_peak, "must be below v_peak"),
        ),
        references=(
            "Izhikevich 2007, Dynamical Systems in Neuroscience, chapter 8, doi:10.7551/mitpress/2526.001.0001",
        ),
    )
)
