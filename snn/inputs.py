"""What drives a network from outside. Every class serves ``net.input(name, population, source, ...)``;
:class:`Poisson` and :class:`SpikeArray` also serve as the model of a population of spike sources.

Steps: step s lasts from s*dt to (s+1)*dt. A spike at time t arrives at the end of the step that ends at t; a current
acts during the steps that begin inside its interval.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kernels.cpu import inputs as kinds
from kernels.errors import ModelError, ShapeError
from plasticity.settled import Fixed
from snn.units import plain

LATEST = 1e15  # ms: a run ends before; times are known to 0.125 ms there
NEVER = 2**62  # a step that never comes
MAX_MEAN = 1.0e4
MAX_RATE = 1.0e7  # Hz of one train in continuous time: as many on a grid of 1 ms
MAX_MEAN_EACH = 700.0  # the inversion of one rate a neuron begins at exp(-mean)
LEAST_ROOM = 8  # spikes of a Poisson source in one step, so that its rate can be raised between runs


@dataclass
class Encoded:
    """An input as kernels read it: events, or segments (first step, offset, low, size) of thresholds or values."""

    kind: int
    segments: list[tuple[int, int, int, int]] = field(default_factory=list)
    thresholds: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint32))
    values: np.ndarray = field(default_factory=lambda: np.empty(0))
    event_step: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    event_id: np.ndarray = field(default_factory=lambda: np.empty(0, np.int32))
    event_weight: np.ndarray | None = None
    max_count: int = 1  # largest number of spikes of one element in one step
    initial: tuple[Any, Any] | None = None  # mean and std of the noise state at the start, numbers or (n,)
    other: str = ""  # population on the other side of junctions


@dataclass
class Continuous:
    """An input in continuous time, for the event engine; times in ms."""

    times: np.ndarray  # of events, or where segments begin
    ids: np.ndarray | None = None  # of events: spikes
    weights: np.ndarray | None = None
    rates: np.ndarray | None = None  # of segments, 1/ms of one neuron: Poisson trains
    each: np.ndarray | None = None  # (k, n) factors of the rates, by segment and neuron
    values: np.ndarray | None = None  # of segments, (k,) or (k, n): a current
    shared: bool = False


def _time(owner: str, value: Any) -> float:
    value = plain(value, "ms", owner)
    if np.ndim(value) or math.isnan(value):
        raise ModelError(f"{owner}: must be a time in ms; got {value!r}.")
    return float(value)


def _finite(owner: str, value: Any, unit: str, minimum: float = -math.inf) -> Any:
    value = plain(value, unit, owner)
    if not np.all(np.isfinite(value)):
        raise ModelError(f"{owner}: must be finite; got {value!r}.")
    if np.any(np.asarray(value) < minimum):
        raise ModelError(f"{owner}: must be >= {minimum:g} {unit}; got {np.min(value)}.")
    return value


def _number(owner: str, value: Any, unit: str, minimum: float = -math.inf) -> float:
    value = _finite(owner, value, unit, minimum)
    if np.ndim(value):
        raise ShapeError(f"{owner}: must be one number in {unit}; got shape {np.shape(value)}.")
    return float(value)


def _interval(owner: str, start: Any, stop: Any) -> tuple[float, float]:
    start, stop = _time(f"{owner}.start", start), _time(f"{owner}.stop", stop)
    if not 0 <= start < stop:
        raise ModelError(f"{owner}.stop: must be > start >= 0 ms; got start={start}, stop={stop}.")
    return start, stop


def _first_step(time: float, dt: float) -> int:
    return NEVER if time > min(LATEST, NEVER * dt) else math.ceil(time / dt - 1e-6)


def _starts(owner: str, times: Sequence[float], dt: float) -> list[int]:
    """First steps of segments that begin at ``times``; refused are two in one step: the first would be lost."""
    steps = [_first_step(t, dt) for t in times]
    for k in range(1, len(steps)):
        if steps[k] == steps[k - 1] < NEVER:
            raise ModelError(
                f"{owner}: what begins at {times[k - 1]:g} ms ends at {times[k]:g} ms, before a step of dt = {dt:g} ms "
                "begins: it would be lost. Use a smaller dt, or merge them."
            )
    return steps


def _segments(owner: str, given: Any, values: np.ndarray) -> np.ndarray:
    times: np.ndarray = np.atleast_1d(_finite(f"{owner}.times", given, "ms", 0.0))
    if times.ndim != 1 or len(times) != len(values) or len(times) == 0:
        raise ShapeError(f"{owner}.times: needs one start time for each value; got {len(times)} and {len(values)}.")
    if np.any(np.diff(times) <= 0):
        raise ModelError(f"{owner}.times: must ascend; got {times.tolist()}.")
    return times


class Source(Fixed):
    """Base of all inputs. One that is made cannot be changed."""

    advice = "Make another; sim.set_source gives it to an input or a population of sources between runs."

    def encode(self, dt: float, n: int, owner: str) -> Encoded:
        """The input for ``n`` targets on the grid ``dt``."""
        raise NotImplementedError

    def continuous(self, n: int, owner: str) -> Continuous:
        """The input for ``n`` targets in continuous time."""
        raise ModelError(
            f'{owner}: {type(self).__name__} changes all the time; engine="event" takes Poisson, SpikeArray and '
            'StepCurrent. Use engine="clock".'
        )

    def among(self, owner: str, ids: np.ndarray, n: int) -> "Source":
        """The input for neurons ``ids`` of ``n`` targets, as one for all of them."""
        raise NotImplementedError

    def __repr__(self) -> str:
        texts = {k: _short(v) for k, v in vars(self).items() if v is not None}
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in texts.items())})"


def _short(value: Any) -> str:
    if np.size(value) <= 8:
        return repr(np.asarray(value).tolist())
    return f"array of shape {np.shape(value)}, sum {np.sum(value):g}"


class SpikeInput(Source):
    """Base of inputs that are spikes."""


class CurrentInput(Source):
    """Base of inputs that are currents."""


class Poisson(SpikeInput):
    """Poisson spike trains, one independent train for each target (or one shared by all).

    Counts per step are exact Poisson numbers (to 2**-32 in probability), keyed by (seed, name, neuron, step).

    >>> import numpy as np
    >>> import snn
    >>> drive = snn.Poisson(rate=lambda t: 50.0 + 40.0 * np.sin(2 * np.pi * t / 200.0), every=50.0, stop=200.0)
    >>> drive.times.tolist(), drive.rate.round(2).tolist()
    ([0.0, 50.0, 100.0, 150.0], [78.28, 78.28, 21.72, 21.72])

    Parameters
    ----------
    rate : float, or array of shape (n,), or with ``times`` array of shape (k,) or (k, n), [Hz], >= 0; or a function of
        the time [ms] that gives a number or an array of shape (n,): segments from ``start`` to ``stop``, with the rate
        in the middle of each; of arrays n numbers a segment are kept
    times : start times of the k segments, [ms], ascending; the rate is 0 before the first
    every : length of a segment where ``rate`` is a function, [ms]
    shared : one train for all targets
    start, stop : active interval, [ms]

    On a grid, starts and stop move to the next step's begin; no two may begin in one step.
    """

    def __init__(
        self, rate: Any, times: Any = None, shared: bool = False, start: float = 0.0, stop: float = math.inf,
        every: Any = None,
    ) -> None:  # fmt: skip
        if callable(rate):
            rate, times = _sampled(rate, times, start, stop, 1.0 if every is None else every)
        elif every is not None:
            raise ModelError(f"Poisson.every: is for a rate that is a function of time; got {rate!r}. Leave it out.")
        self.rate = _finite("Poisson.rate", rate, "Hz", 0.0)
        if not isinstance(shared, (bool, np.bool_)):
            raise ModelError(f"Poisson.shared: must be True or False; got {shared!r}.")
        self.shared = bool(shared)
        self.start, self.stop = _interval("Poisson", start, stop)
        self.times = None
        if times is not None:
            self.rate = np.atleast_1d(self.rate)
            self.times = _segments("Poisson", times, self.rate)
        if np.ndim(self.rate) > 1 + (self.times is not None):
            wanted = "(n,)" if self.times is None else "(k,) or (k, n)"
            raise ShapeError(f"Poisson.rate: must be a number or of shape {wanted}; got {np.shape(self.rate)}.")
        if self.each and shared:
            raise ModelError(
                "Poisson.rate: a shared train has one rate; got one a target. Give times for rates of segments."
            )

    @property
    def each(self) -> bool:
        """Whether every target has a rate of its own."""
        return np.ndim(self.rate) > (self.times is not None)

    def encode(self, dt: float, n: int, owner: str) -> Encoded:
        """Thresholds on a 32-bit word whose number exceeded is the count; one mean a neuron where rates differ."""
        most = MAX_MEAN_EACH if self.each else MAX_MEAN
        if np.any(np.asarray(self.rate) * dt * 1e-3 > most):
            raise ModelError(
                f"{owner}.rate: must be at most {most:g} spikes a step; got {np.max(self.rate):g} Hz. "
                "Merge fewer trains into one."
            )
        times = np.zeros(1) if self.times is None else self.times
        firsts = [_first_step(max(t, self.start), dt) for t in times]
        begins = sorted({max(float(t), self.start) for t in times if t < self.stop})
        _starts(f"{owner}.times", [*begins, self.stop], dt)
        if self.each:
            self._check_each(n, owner)
            code = Encoded(kinds.POISSON_EACH, values=np.ravel(self.rate) * dt * 1e-3)
            code.segments = [(first, k * n, 0, n) for k, first in enumerate(firsts)]
            largest = kinds.poisson_count.py_func(2**32 - 1, float(np.max(code.values)))  # of any word
            code.max_count = max(LEAST_ROOM, largest + 1)
        else:
            code = Encoded(kinds.POISSON_SHARED if self.shared else kinds.POISSON, max_count=LEAST_ROOM)
            for first, rate in zip(firsts, np.atleast_1d(self.rate), strict=True):
                low, table = poisson_thresholds(float(rate) * dt * 1e-3)
                code.segments.append((first, len(code.thresholds), low, len(table)))
                code.thresholds = np.concatenate((code.thresholds, table))
                code.max_count = max(code.max_count, low + len(table))
        if not math.isinf(self.stop):
            stop = _first_step(self.stop, dt)
            code.segments = [s for s in code.segments if s[0] < stop] + [(stop, 0, 0, 0)]
        return code

    def continuous(self, n: int, owner: str) -> Continuous:
        """Segments of constant rate."""
        if np.any(np.asarray(self.rate) > MAX_RATE):
            raise ModelError(
                f"{owner}.rate: must be <= {MAX_RATE:g} Hz; got {np.max(self.rate):g}. Give a current instead."
            )
        times = np.zeros(1) if self.times is None else np.asarray(self.times, float)
        rates, each = np.atleast_1d(np.asarray(self.rate, float)) * 1e-3, None
        if self.each:
            self._check_each(n, owner)
            rates, each = np.ones(len(times)), rates.reshape(-1, n)
        begins = np.maximum(times, self.start).tolist()
        at = {0.0: (0.0, 0)} | dict(zip(begins, zip(rates.tolist(), range(len(times)), strict=True), strict=True))
        at = {t: x for t, x in at.items() if t < self.stop and t <= LATEST}
        if self.stop <= LATEST:
            at[self.stop] = 0.0, 0
        found = [at[t] for t in sorted(at)]
        if each is not None:
            each = each[[row for _, row in found]]
        return Continuous(np.array(sorted(at)), rates=np.array([rate for rate, _ in found]), each=each,
                          shared=self.shared)  # fmt: skip

    def among(self, owner: str, ids: np.ndarray, n: int) -> "Poisson":
        """Trains of rate 0 for the others; one that is shared comes to all, and needs weights of 0 for them."""
        if self.shared:
            return self
        if self.each:
            self._check_each(ids.size, owner)
        rate = np.asarray(self.rate, float)
        one = rate.reshape(-1, ids.size if self.each else 1)
        rates = spread(np.broadcast_to(one, (len(one), ids.size)), ids, n)
        return Poisson(rates[0] if self.times is None else rates, self.times, False, self.start, self.stop)

    def _check_each(self, n: int, owner: str) -> None:
        if np.shape(self.rate)[-1] != n:
            wanted = f"({n},)" if self.times is None else f"({len(self.times)}, {n})"
            raise ShapeError(f"{owner}.rate: must have shape {wanted}, one a neuron; got {np.shape(self.rate)}.")


def _sampled(rate: Any, times: Any, start: Any, stop: Any, every: Any) -> tuple[np.ndarray, np.ndarray]:
    """(rates, start times) of segments for a rate that is a function of the time in ms."""
    start, stop = _interval("Poisson", start, stop)
    every = _number("Poisson.every", every, "ms")
    if times is not None:
        raise ModelError("Poisson.times: must be left out where the rate is a function of time. Give every, in ms.")
    if math.isinf(stop):
        raise ModelError("Poisson.stop: must be finite where the rate is a function of time; got inf. Give it in ms.")
    if every <= 0.0:
        raise ModelError(f"Poisson.every: must be > 0 ms; got {every}.")
    edges = np.append(start + every * np.arange(math.ceil((stop - start) / every - 1e-9)), stop)
    rates = [plain(rate(float(t)), "Hz", "Poisson.rate") for t in (edges[:-1] + edges[1:]) / 2]
    if len({np.shape(x) for x in rates}) > 1 or np.ndim(rates[0]) > 1:
        raise ShapeError(f"Poisson.rate: must give a number or shape (n,), always; got {np.shape(rates[0])} first.")
    return np.array(rates, float), edges[:-1]


def poisson_thresholds(mean: float) -> tuple[int, np.ndarray]:
    """(low, thresholds): low + the number of thresholds below a uniform 32-bit word is Poisson(mean).

    The last ones are 2**32 - 1, which no word exceeds, so that their number is a multiple of four.
    """
    from scipy.special import pdtr

    if mean == 0.0:
        return 0, np.empty(0, np.uint32)
    cdf = pdtr(np.arange(int(mean + 12 * math.sqrt(mean) + 30)), mean)
    table = np.rint(cdf * 2.0**32)
    inner = table[(table >= 1) & (table < 2.0**32)] - 1
    padded = np.pad(inner, (0, -len(inner) % 4), constant_values=2.0**32 - 1)
    return int(np.sum(table < 1)), padded.astype(np.uint32)


class SpikeArray(SpikeInput):
    """Given spikes.

    Parameters
    ----------
    times : array of shape (k,), [ms], >= 0; moved to the end of the step that holds them, so 0 to the first step's
    ids : array of shape (k,), target of each spike; default all 0
    weights : array of shape (k,), weight of each spike, only as a direct input; default the weight of the input
    """

    def __init__(self, times: Any, ids: Any = None, weights: Any = None) -> None:
        self.times = np.atleast_1d(_finite("SpikeArray.times", times, "ms"))
        shape = self.times.shape
        if len(shape) != 1:
            raise ShapeError(f"SpikeArray.times: must have shape (k,); got {shape}.")
        if np.any(self.times < 0):
            raise ModelError(f"SpikeArray.times: must be >= 0 ms; got {self.times.min()}.")
        raw = np.zeros(shape, np.int64) if ids is None else np.atleast_1d(np.asarray(ids))
        if raw.shape != shape or (raw.size and raw.dtype.kind not in "iu"):
            raise ShapeError(f"SpikeArray.ids: must be integers of shape {shape}; got {raw.dtype} of {raw.shape}.")
        if raw.size and raw.min() < 0:
            raise ModelError(f"SpikeArray.ids: must be >= 0; got {raw.min()}.")
        self.ids = raw.astype(np.int64)
        self.weights = None if weights is None else np.atleast_1d(_finite("SpikeArray.weights", weights, "weight"))
        if self.weights is not None and self.weights.shape != shape:
            raise ShapeError(f"SpikeArray.weights: must have shape {shape}; got {self.weights.shape}.")

    @classmethod
    def from_spiketrains(cls, spiketrains: Sequence[Any]) -> "SpikeArray":
        """One sequence of times for each target."""
        trains = [np.atleast_1d(plain(s, "ms", "SpikeArray.from_spiketrains")) for s in spiketrains]
        return cls(np.concatenate(trains or [np.empty(0)]), np.repeat(np.arange(len(trains)), [len(s) for s in trains]))

    @classmethod
    def from_sonata(cls, path: str | Path, population: str) -> "SpikeArray":
        """The recorded spikes of ``population`` in a SONATA file; neurons that were not recorded stay silent."""
        from snn.io.sonata import read_spikes

        spikes = read_spikes(path)
        if population not in spikes:
            raise ModelError(f"{path}: holds no population {population!r}; it holds {', '.join(spikes)}.")
        return cls(spikes[population].times, spikes[population].ids)

    @classmethod
    def from_events(cls, events: Any, **options: Any) -> "SpikeArray":
        """Address events with fields x, y, polarity, t; see :func:`snn.io.events.read_events`."""
        from snn.io.events import read_events

        ids, times, _ = read_events(events, **options)
        return cls(times, ids)

    def encode(self, dt: float, n: int, owner: str) -> Encoded:
        """Events sorted by step, then target."""
        if self.ids.size and self.ids.max() >= n:
            raise ModelError(f"{owner}.ids: must be < {n}, the number of targets; got {self.ids.max()}.")
        late = self.times > min(LATEST, NEVER * dt)
        steps = np.where(late, NEVER, np.maximum(np.ceil(np.where(late, 0.0, self.times) / dt - 1e-6) - 1, 0))
        steps = steps.astype(np.int64)
        order = np.lexsort((self.ids, steps))
        code = Encoded(kinds.EVENTS, event_step=steps[order], event_id=self.ids[order].astype(np.int32))
        if self.weights is not None:
            code.event_weight = self.weights[order]
        if steps.size:
            new = (np.diff(steps[order]) != 0) | (np.diff(self.ids[order]) != 0)
            code.max_count = int(np.diff(np.flatnonzero(np.concatenate(([True], new, [True])))).max())
        return code

    def continuous(self, n: int, owner: str) -> Continuous:
        """Events sorted by time, then target."""
        if self.ids.size and self.ids.max() >= n:
            raise ModelError(f"{owner}.ids: must be < {n}, the number of targets; got {self.ids.max()}.")
        order = np.lexsort((self.ids, self.times))
        order = order[self.times[order] <= LATEST]
        weights = None if self.weights is None else np.asarray(self.weights, float)[order]
        return Continuous(np.asarray(self.times, float)[order], ids=self.ids[order], weights=weights)

    def among(self, owner: str, ids: np.ndarray, n: int) -> "SpikeArray":
        """Spikes of the neurons that are meant."""
        if self.ids.size and self.ids.max() >= ids.size:
            raise ModelError(f"{owner}.ids: must be < {ids.size}, the number of targets; got {self.ids.max()}.")
        return SpikeArray(self.times, ids[self.ids], self.weights)


def spread(values: np.ndarray, ids: np.ndarray, n: int) -> np.ndarray:
    """Values of neurons ``ids``, shape (..., k), as values of ``n`` neurons: 0 of the others."""
    out = np.zeros((*values.shape[:-1], n))
    out[..., ids] = values
    return out


class StepCurrent(CurrentInput):
    """Piecewise constant current: ``amplitudes[k]`` from ``times[k]`` on; 0 before the first.

    Parameters
    ----------
    amplitudes : array of shape (k,) or (k, n), [pA]
    times : array of shape (k,), [ms], ascending; default 0. On a grid, they move to the next step's begin; no two may
        begin in one step
    """

    def __init__(self, amplitudes: Any, times: Any = 0.0) -> None:
        self.amplitudes = np.atleast_1d(_finite("StepCurrent.amplitudes", amplitudes, "pA"))
        if self.amplitudes.ndim > 2:
            raise ShapeError(f"StepCurrent.amplitudes: must have shape (k,) or (k, n); got {self.amplitudes.shape}.")
        self.times = _segments("StepCurrent", times, self.amplitudes)

    def encode(self, dt: float, n: int, owner: str) -> Encoded:
        """One segment a value."""
        width = 1 if self.amplitudes.ndim == 1 else self.amplitudes.shape[1]
        if self.amplitudes.ndim == 2 and width != n:
            raise ShapeError(f"{owner}.amplitudes: must have shape (k, {n}); got {self.amplitudes.shape}.")
        code = Encoded(kinds.STEP, values=self.amplitudes.ravel())
        starts = _starts(f"{owner}.times", self.times.tolist(), dt)
        code.segments = [(first, k * width, 0, width) for k, first in enumerate(starts)]
        return code

    def continuous(self, n: int, owner: str) -> Continuous:
        """Segments of constant current."""
        if self.amplitudes.ndim == 2 and self.amplitudes.shape[1] != n:
            raise ShapeError(f"{owner}.amplitudes: must have shape (k, {n}); got {self.amplitudes.shape}.")
        comes = self.times <= LATEST
        if not comes.any():
            return Continuous(np.zeros(1), values=np.zeros_like(self.amplitudes[:1], float))
        return Continuous(np.asarray(self.times[comes], float), values=np.asarray(self.amplitudes[comes], float))

    def among(self, owner: str, ids: np.ndarray, n: int) -> "StepCurrent":
        """No current for the others."""
        each = self.amplitudes.reshape(len(self.amplitudes), -1)
        if self.amplitudes.ndim == 2 and each.shape[1] != ids.size:
            raise ShapeError(f"{owner}.amplitudes: must have shape (k, {ids.size}); got {self.amplitudes.shape}.")
        return StepCurrent(spread(np.broadcast_to(each, (len(each), ids.size)), ids, n), self.times)


class ACCurrent(CurrentInput):
    """Sinusoidal current: offset + amplitude * sin(2 pi frequency t + phase), t the step's begin.

    Parameters
    ----------
    amplitude, offset : [pA];  frequency : [Hz], >= 0;  phase : [rad]; numbers, or arrays of shape (n,)
    start, stop : [ms]
    """

    def __init__(
        self, amplitude: Any, frequency: Any, phase: Any = 0.0, offset: Any = 0.0,
        start: float = 0.0, stop: float = math.inf,
    ) -> None:  # fmt: skip
        self.amplitude = _each("ACCurrent.amplitude", amplitude, "pA")
        self.frequency = _each("ACCurrent.frequency", frequency, "Hz", 0.0)
        self.phase = _each("ACCurrent.phase", phase, "1")
        self.offset = _each("ACCurrent.offset", offset, "pA")
        self.start, self.stop = _interval("ACCurrent", start, stop)

    def encode(self, dt: float, n: int, owner: str) -> Encoded:
        """Values (offset, amplitude, phase a step, phase), numbers or arrays."""
        step = 2.0 * math.pi * self.frequency * dt * 1e-3
        values = _columns(owner, n, offset=self.offset, amplitude=self.amplitude, frequency=step, phase=self.phase)
        return _from_to(Encoded(kinds.AC, values=values), owner, self.start, self.stop, dt)

    def among(self, owner: str, ids: np.ndarray, n: int) -> "ACCurrent":
        """Amplitude and offset 0 for the others."""
        names = ("amplitude", "frequency", "phase", "offset")
        given: Any = {x: _spread_each(owner, x, getattr(self, x), ids, n) for x in names}
        return ACCurrent(**given, start=self.start, stop=self.stop)


class NoiseCurrent(CurrentInput):
    """Gaussian white-noise current, a new independent value for each neuron every ``dt`` (NEST ``noise_generator``).

    Parameters
    ----------
    mean, std : [pA], std >= 0; numbers, or arrays of shape (n,)
    dt : interval of equal values, [ms];  start, stop : [ms]
    """

    def __init__(
        self, mean: Any = 0.0, std: Any = 1.0, dt: Any = 1.0, start: float = 0.0, stop: float = math.inf
    ) -> None:
        self.mean = _each("NoiseCurrent.mean", mean, "pA")
        self.std = _each("NoiseCurrent.std", std, "pA", 0.0)
        self.dt = _number("NoiseCurrent.dt", dt, "ms")
        self.start, self.stop = _interval("NoiseCurrent", start, stop)

    def encode(self, dt: float, n: int, owner: str) -> Encoded:
        """Values (steps held, mean, std), the last two numbers or arrays."""
        every = round(min(self.dt, LATEST, NEVER * dt) / dt)
        if every < NEVER and self.dt <= LATEST and (every < 1 or abs(every * dt - self.dt) > 1e-6 * dt):
            raise ModelError(f"{owner}.dt: must be a multiple of the simulation's dt = {dt} ms; got {self.dt}.")
        values = _columns(owner, n, mean=self.mean, std=self.std)
        code = Encoded(kinds.NOISE, values=np.append(float(every), values), initial=(0.0, 0.0))
        return _from_to(code, owner, self.start, self.stop, dt)

    def among(self, owner: str, ids: np.ndarray, n: int) -> "NoiseCurrent":
        """Mean and standard deviation 0 for the others."""
        mean, std = (_spread_each(owner, name, getattr(self, name), ids, n) for name in ("mean", "std"))
        return NoiseCurrent(mean, std, self.dt, self.start, self.stop)


class OrnsteinUhlenbeck(CurrentInput):
    """Ornstein-Uhlenbeck current, independent for each neuron, integrated exactly, stationary from the start.

    tau dx/dt = mean - x + std sqrt(2 tau) xi(t): stationary mean and standard deviation ``mean`` and ``std``.

    Parameters
    ----------
    mean, std : [pA], std >= 0; numbers, or arrays of shape (n,)
    tau : [ms], > 0
    start, stop : interval in which it is injected, [ms]; it fluctuates all the time
    """

    def __init__(
        self, mean: Any = 0.0, std: Any = 1.0, tau: Any = 5.0, start: float = 0.0, stop: float = math.inf
    ) -> None:
        self.mean = _each("OrnsteinUhlenbeck.mean", mean, "pA")
        self.std = _each("OrnsteinUhlenbeck.std", std, "pA", 0.0)
        self.tau = _time("OrnsteinUhlenbeck.tau", tau)
        if not 0 < self.tau < math.inf:
            raise ModelError(f"OrnsteinUhlenbeck.tau: must be > 0 ms; got {self.tau}.")
        self.start, self.stop = _interval("OrnsteinUhlenbeck", start, stop)

    def encode(self, dt: float, n: int, owner: str) -> Encoded:
        """Values (decay a step, mean, std of the kick a step), the last two numbers or arrays."""
        kick = self.std * math.sqrt(-math.expm1(-2.0 * dt / self.tau))
        values = _columns(owner, n, mean=self.mean, std=kick)
        code = Encoded(kinds.OU, values=np.append(math.exp(-dt / self.tau), values), initial=(self.mean, self.std))
        return _from_to(code, owner, self.start, self.stop, dt)

    def among(self, owner: str, ids: np.ndarray, n: int) -> "OrnsteinUhlenbeck":
        """Mean and standard deviation 0 for the others."""
        mean, std = (_spread_each(owner, name, getattr(self, name), ids, n) for name in ("mean", "std"))
        return OrnsteinUhlenbeck(mean, std, self.tau, self.start, self.stop)


def _each(owner: str, value: Any, unit: str, minimum: float = -math.inf) -> Any:
    """A number, or one a neuron."""
    value = _finite(owner, value, unit, minimum)
    if np.ndim(value) > 1:
        raise ShapeError(f"{owner}: must be a number or of shape (n,); got {np.shape(value)}.")
    return value if np.ndim(value) else float(value)


def _columns(owner: str, n: int, **values: Any) -> np.ndarray:
    """Numbers one after another, or where one of them is an array, arrays of ``n``."""
    for name, value in values.items():
        if np.ndim(value) and np.shape(value) != (n,):
            raise ShapeError(f"{owner}.{name}: must be a number or of shape ({n},); got {np.shape(value)}.")
    width = n if any(np.ndim(value) for value in values.values()) else 1
    return np.concatenate([np.broadcast_to(np.asarray(value, float), (width,)) for value in values.values()])


def _from_to(code: Encoded, owner: str, start: float, stop: float, dt: float) -> Encoded:
    """``code`` with its values between ``start`` and ``stop``, nothing after."""
    first, last = _starts(f"{owner}.stop", (start, stop), dt)
    code.segments = [(first, 0, 0, len(code.values)), (last, 0, 0, 0)]
    return code


def _spread_each(owner: str, name: str, value: Any, ids: np.ndarray, n: int) -> np.ndarray:
    """A value of the neurons ``ids`` as one of ``n``: 0 of the others."""
    if np.ndim(value) and np.shape(value) != ids.shape:
        raise ShapeError(f"{owner}.{name}: must be a number or of shape ({ids.size},); got {np.shape(value)}.")
    return spread(np.broadcast_to(np.asarray(value, float), ids.shape), ids, n)
