"""NIR's current-based leaky integrate-and-fire neuron, in continuous time."""

import numpy as np

from kernels import scalar
from kernels.spec import Check, ClosedForm, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define
from snn.neurons.lif_exp import exp_to_v, psp_peak


def nir_cuba_rate(current, *, tau_mem, r, v_leak, v_th, v_reset, i_e, **_):  # type: ignore[no-untyped-def]
    """Firing rate in Hz at constant current and no synaptic input."""
    v_inf = v_leak + r * (np.asarray(current, dtype=float) + i_e)
    above = v_inf > v_th
    gap = np.where(above, v_inf - v_th, 1.0)
    return np.where(above, 1000.0 / (tau_mem * np.log1p((v_th - v_reset) / gap)), 0.0)


def nir_cuba_lif_step(v, i, arrive_syn, i_stim, w_in, v_th, v_reset, v_inf, p_vv, p_vc, p_vi, p_ii):  # type: ignore[no-untyped-def]
    v = v_inf + (v - v_inf) * p_vv + i_stim * p_vc + i * p_vi
    i = i * p_ii + w_in * arrive_syn
    fired = v >= v_th
    v = v_reset if fired else v
    return v, i, fired


def flow(v, i, i_stim, h, r, v_inf, gain, leak, rate, gap):  # type: ignore[no-untyped-def]
    e_m = scalar.decay(leak * h)
    e_s = scalar.decay(rate * h)
    top = v_inf + r * i_stim
    return v + ((top - v) * (1.0 - e_m) + gain * i * scalar.overlap(h, e_m, e_s, gap)), i * e_s


def arrive(v, i, arrive_syn, w_in, held):  # type: ignore[no-untyped-def]
    return v, i + w_in * arrive_syn


def fire(i, v_reset):  # type: ignore[no-untyped-def]
    return v_reset, i


def earliest(v, i, i_stim, r, v_inf, gain, tau_mem, v_th, peak):  # type: ignore[no-untyped-def]
    return scalar.leaky_exp_earliest(v, v_th, v_inf + r * i_stim, gain * i, 0.0, tau_mem, peak, 0.0, 0.0)


def crossing(v, i, i_stim, h, r, v_inf, gain, leak, rate, gap, v_th):  # type: ignore[no-untyped-def]
    # gain may be negative, and the current's sign is free
    return scalar.leaky_exp_crossing(h, v, v_th, v_inf + r * i_stim, i, 0.0, gain, leak, rate, rate, gap, gap)


NIRCubaLIF = define(
    NeuronSpec(
        name="NIRCubaLIF",
        doc="""
        Current-based leaky integrate-and-fire neuron given by its time constants: the continuous-time model that NIR
        calls ``CubaLIF``. ``CubaLIF`` is its discrete form, given by factors per step. Dimensionless but for time.

        Equations
        ---------
        tau_mem dv/dt = v_leak - v + r (i + i_e + i_stim),  tau_syn di/dt = -i;  a spike of weight w arriving:
        i += w_in w;  v >= v_th: spike, v = v_reset.

        Where NIR multiplies its input by w_in and integrates it with a step dt, i grows by w_in dt / tau_syn at a
        spike: multiply NIR's w_in by dt / tau_syn. ``CubaLIF`` with alpha = exp(-dt / tau_syn), beta = exp(-dt /
        tau_mem) and gain = r (1 - beta) decays alike, but holds i constant within a step and adds the arriving weight
        before it.

        Numerics
        --------
        Exact integration on the grid (Rotter & Diesmann 1999) for every dt and every ratio of the time constants; only
        threshold crossings are bound to the grid. In continuous time they are found as for ``LIFExp``.
        """,
        state=(
            StateVar("v", "1", "membrane potential", init="v_leak"),
            StateVar("i", "1", "synaptic current"),
        ),
        params=(
            Param("tau_syn", "ms", 5.0, "time constant of the current", gt=0),
            Param("tau_mem", "ms", 10.0, "time constant of the membrane", gt=0),
            Param("r", "1", 1.0, "resistance, factor of all currents"),
            Param("v_leak", "1", 0.0, "resting potential"),
            Param("v_th", "1", 1.0, "spike threshold"),
            Param("v_reset", "1", 0.0, "reset potential"),
            Param("w_in", "1", 1.0, "factor of arriving weights"),
            Param("i_e", "1", 0.0, "constant current"),
        ),
        derived=(
            Derived("p_vv", "1", lambda p, dt: np.exp(-dt / p.tau_mem)),
            Derived("p_vc", "1", lambda p, dt: -np.expm1(-dt / p.tau_mem) * p.r),
            Derived("p_vi", "1", lambda p, dt: p.r * exp_to_v(dt, p.tau_syn, p.tau_mem, p.tau_mem)),
            Derived("p_ii", "1", lambda p, dt: np.exp(-dt / p.tau_syn)),
            Derived("v_inf", "1", lambda p, dt: p.v_leak + p.r * p.i_e),
        ),
        receptors=(Receptor("syn", "1", "jump of the current, times w_in"),),
        step=nir_cuba_lif_step,
        checks=(Check(("v_reset", "v_th"), lambda p: p.v_reset < p.v_th, "must be below v_th"),),
        current_unit="1",
        rate=nir_cuba_rate,
        closed_form=ClosedForm(
            derived=(
                Derived("v_inf", "1", lambda p, dt: p.v_leak + p.r * p.i_e),
                Derived("gain", "1/ms", lambda p, dt: p.r / p.tau_mem),
                Derived("leak", "1/ms", lambda p, dt: 1.0 / p.tau_mem),
                Derived("rate", "1/ms", lambda p, dt: 1.0 / p.tau_syn),
                Derived("gap", "1/ms", lambda p, dt: np.abs(p.tau_mem - p.tau_syn) / (p.tau_mem * p.tau_syn)),
                Derived("peak", "ms", lambda p, dt: psp_peak(p.tau_mem, p.tau_syn)),
            ),
            flow=flow,
            hold=None,
            arrive=arrive,
            fire=fire,
            earliest=earliest,
            crossing=crossing,
        ),
        references=(
            "Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9",
            "Rotter & Diesmann 1999, doi:10.1007/s004220050570",
        ),
    )
)
