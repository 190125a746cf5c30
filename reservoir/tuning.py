"""Where a spiking reservoir works: its effective gain, balance and sensitivity, and weights set by one of them."""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse

import snn
from kernels.errors import ModelError, ShapeError
from reservoir.base import series
from reservoir.esn import spectral_radius
from reservoir.spiking import SpikingReservoir, fan_out
from snn.units import bounded, number, whole

NEAR = 20.0  # ms


class Balance(NamedTuple):
    """What arrives at each neuron read in a second: sums of weights, each [unit of the weight x Hz], shape (n,)."""

    excitatory: np.ndarray
    inhibitory: np.ndarray  # <= 0


def balance(liquid: SpikingReservoir, u: Any) -> Balance:
    """Mean excitation and inhibition from the neurons read, while ``u``, shape (T, n_inputs), goes by."""
    u = series("balance.u", u, liquid.n_inputs)
    w, rates = _weights(liquid), liquid.rates(u)
    return Balance(w.maximum(0.0) @ rates, w.minimum(0.0) @ rates)


def linear_response(liquid: SpikingReservoir, u: Any, step: float = 0.1) -> scipy.sparse.csr_array:
    """How the rate of each neuron follows those of the others: J of shape (n, n), row = target.

    Equations
    ---------
    J_ij = chi_ps w_ij, with chi the change of the mean rate of the neurons of i's population p for a change of what
    they receive [weight x Hz] from excitatory (s = +) or inhibitory synapses. It is measured without recurrence: the
    spikes of a run are sent again; at the synapses of one sign the share ``step`` of the arrivals is left out, or comes
    twice, the second time within 20 ms of the first (other weights would change the noise twice as much as other
    rates do). The number of spikes sets its precision.
    A small change dr of the rates without recurrence becomes (1 - J)^-1 dr.

    Parameters
    ----------
    liquid : all recurrent projections static, without short-term plasticity
    u : shape (T, n_inputs);  step : > 0 and < 1
    """
    owner = "linear_response"
    u = series(f"{owner}.u", u, liquid.n_inputs)
    step = bounded(f"{owner}.step", step, 0.0, 1.0, open_low=True, open_high=True)
    w, spikes = _weights(liquid, static=True), liquid.record(u)
    seconds = 1e-3 * liquid.hold * len(u)
    rates = np.concatenate([spikes[k].rates() for k in liquid.read])
    split = np.cumsum([0] + [liquid.net.populations[k].n for k in liquid.read])
    parts = []
    for sign in (1, -1):
        side, response = (w * sign).maximum(0.0), np.zeros(liquid.n)
        drive = side @ rates
        more, less = (_again(liquid, u, spikes, sign, change) for change in (step, -step))
        for a, b in zip(split[:-1], split[1:], strict=True):
            total = 2.0 * step * drive[a:b].sum()
            response[a:b] = (more - less)[a:b].sum() / seconds / total if total > 0.0 else 0.0
        parts.append(scipy.sparse.diags_array(response) @ side)
    return scipy.sparse.csr_array(parts[0] + parts[1])


def effective_gain(liquid: SpikingReservoir, u: Any, step: float = 0.1) -> float:
    """Spectral radius of :func:`linear_response`, whose arguments it has: what a small change of the rates grows by in
    one round through the recurrent synapses."""
    return spectral_radius(linear_response(liquid, u, step))


def exponent(liquid: SpikingReservoir, u: Any, size: float, at: int = 50, window: int = 20, trials: int = 10) -> float:
    """Finite-time Lyapunov exponent [1/s]: the rate at which the states of two runs part whose input differs in one
    sample.

    The slope over ``window`` samples of the logarithm of the distance of states, root mean square over the trials.
    States are filtered spikes, so it is never much below -1/tau; above 0 the difference grows.

    Parameters
    ----------
    u : shape (T, n_inputs), T >= trials (at + window), of which each trial takes a piece of its own
    size : added to all inputs in sample ``at`` of the piece, > 0
    at, window, trials : samples before the change, samples after it, and pieces
    """
    u, size = series("exponent.u", u, liquid.n_inputs), bounded("exponent.size", size, 0.0, open_low=True)
    at, window = whole("exponent.at", at), whole("exponent.window", window, 2)
    trials = whole("exponent.trials", trials)
    if len(u) < trials * (at + window):
        raise ShapeError(
            f"exponent.u: must hold trials (at + window) = {trials * (at + window)} samples; got {len(u)}."
        )
    squares = np.zeros(window)
    for piece in np.split(u[: trials * (at + window)], trials):
        other = piece.copy()
        other[at] += size
        squares += np.sum((liquid.states(piece)[at:] - liquid.states(other)[at:]) ** 2, axis=1)
    if not np.all(squares > 0.0):
        raise ModelError(f"exponent.size: the states do not differ after {int(np.argmin(squares))} samples; raise it.")
    slope = np.polyfit(np.arange(window), 0.5 * np.log(squares / trials), 1)[0]
    return float(slope * 1000.0 / liquid.hold)


def tuned(
    liquid: SpikingReservoir, measure: Callable[[SpikingReservoir], float], target: float, low: float = 0.1,
    high: float = 10.0, rounds: int = 8,
) -> SpikingReservoir:  # fmt: skip
    """``liquid`` with its recurrent weights scaled so that ``measure`` of it is ``target``; without a readout.

    Bisection of the logarithm of the factor between ``low`` and ``high``; after ``rounds`` it is known to a factor of
    (high / low)^(2^-rounds). ``measure``, such as ``lambda x: effective_gain(x, u)``, must pass ``target`` there.

    Raises
    ------
    ModelError
        Where ``target`` is not between what ``measure`` gives at ``low`` and at ``high``.
    """
    target, rounds = number("tuned.target", target), whole("tuned.rounds", rounds, 0)
    if not 0 < number("tuned.low", low) < number("tuned.high", high):
        raise ModelError(f"tuned.low: must be > 0 and < high; got {low!r} and {high!r}.")
    ends = [measure(liquid.scaled(factor)) - target for factor in (low, high)]
    if not ends[0] * ends[1] <= 0.0:
        raise ModelError(
            f"tuned.target: the measure is {ends[0] + target:.3g} with weights times {low:g} and "
            f"{ends[1] + target:.3g} with {high:g}; got {target!r}, not between them."
        )
    for _ in range(rounds):
        middle = float(np.sqrt(low * high))
        here = measure(liquid.scaled(middle)) - target
        low, high = (middle, high) if here * ends[0] > 0.0 else (low, middle)
    return liquid.scaled(float(np.sqrt(low * high)))


def _weights(liquid: SpikingReservoir, static: bool = False) -> scipy.sparse.csr_array:
    """Weights among the neurons read, (n, n), row = target; ``static``: refuse others than static projections."""
    first, at = {}, 0
    for name in liquid.read:
        first[name], at = at, at + liquid.net.populations[name].n
    inside = {k: p for k, p in liquid.net.projections.items() if p.source.name in first and p.target.name in first}
    if not inside:
        raise ModelError(f"{type(liquid).__name__}: there are no projections among {', '.join(liquid.read)}.")
    for name, p in inside.items():
        if static and p.plastic:
            raise ModelError(f"linear_response: projection {name!r} must be static; got {p!r}.")
    sim = snn.Simulation(liquid.net, dt=liquid.dt, threads=liquid.threads, quiet=True)
    parts: list[list[np.ndarray]] = [[], [], []]
    for name, p in inside.items():
        sources, targets, weights, _ = sim.connections(name)
        found = (weights, targets + first[p.target.name], sources + first[p.source.name])
        for part, x in zip(parts, found, strict=True):
            part.append(x)
    values, rows, columns = (np.concatenate(part) for part in parts)
    return scipy.sparse.csr_array((values, (rows, columns)), shape=(liquid.n, liquid.n))


def _again(
    liquid: SpikingReservoir, u: np.ndarray, spikes: dict[str, snn.SpikeRecord], sign: int, change: float
) -> np.ndarray:  # fmt: skip
    """Spikes of each neuron where those of a run are sent again, the share ``change`` more or fewer through weights of
    ``sign``, and the neurons reach nobody themselves."""
    sim = snn.Simulation(liquid.net, dt=liquid.dt, threads=liquid.threads, quiet=True)
    open_loop, rng = copy.copy(liquid.net), np.random.default_rng(0)
    open_loop.inputs = dict(liquid.net.inputs)
    open_loop.projections = {
        name: p for name, p in liquid.net.projections.items()
        if p.source.name not in spikes or p.target.name not in spikes
    }  # fmt: skip
    for name, p in liquid.net.projections.items():
        if name in open_loop.projections:
            continue
        sources, targets, weights, delays = sim.connections(name)
        record = spikes[p.source.name]
        spike, edge = fan_out(record.ids, sources, p.source.n)
        times = record.times[spike] + delays[edge]
        chosen = (weights[edge] * sign > 0) & (rng.random(edge.size) < abs(change))
        if change < 0:
            times, edge = times[~chosen], edge[~chosen]
        else:
            again = np.abs(times[chosen] + rng.uniform(-NEAR, NEAR, int(chosen.sum())))
            times, edge = np.concatenate([times, again]), np.concatenate([edge, edge[chosen]])
        for kind, part in (("excitation", weights[edge] > 0), ("inhibition", weights[edge] < 0)):
            if part.any():
                sent = snn.SpikeArray(times[part], targets[edge][part], weights[edge][part])
                open_loop.input(f"{kind} by {name}", p.target.name, sent)
    stand_in = copy.copy(liquid)
    stand_in.net = open_loop
    return np.concatenate([np.bincount(x.ids, minlength=x.n_nodes) for x in stand_in.record(u).values()])
