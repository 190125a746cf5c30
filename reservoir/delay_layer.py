"""A layer of spiking neurons whose synapses have many delays, trained from events to tell motions apart."""

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np

import snn
from kernels.cpu import delays as loops
from kernels.errors import ModelError, ShapeError
from reservoir.checks import learning_rates
from reservoir.motion import Events
from snn.host import cores
from snn.units import bounded, number, real, whole

LEAST = 1e-3  # of the mask, below which there is no synapse


class DelayLayer:
    """Neurons of each class at each pixel, alike at all pixels, with several synapses of different delays from a pixel.

    Equations
    ---------
    Evidence of class c at step t and pixel (y, x), over the events (t', p, y', x') with t' = t - d, y' = y - dy,
    x' = x - dx, of polarity p in (ON, OFF):

    - b(c, t, y, x) = max(sum weights[c, p, d, dy, dx], sum weights[c, 1 - p, d, dy, dx]) + bias[c]
    - Pr(c | t, y, x) = softmax of b over c

    dy and dx go from -(size - 1)/2 to (size - 1)/2, d from 0 to delays - 1. The second sum is that of the scene with
    its contrast inverted, which moves alike. Weights keep within a mask times the largest of them: with
    r = 2 |(dy, dx)| / size and s = d / (delays - 1), ((1 + cos pi r) / 2)^(1/4) exp(-r^2 / (2 (2.5 s + 0.05)^2)),
    0 where r >= 1: a cone, as things do not go far in short times.

    :meth:`fit` minimises the cross-entropy at randomly chosen events, by Adam: only pixels and steps where an event
    came are looked at, and only events in their past are read.

    Numerics
    --------
    float64. Results depend on ``seed`` and the data, not on the number of threads.

    Parameters
    ----------
    n_classes : number of classes
    frame : (height, width) of the sensor, in pixels
    delays, size : number of delays in steps, pixels along an edge (odd)
    rates : rate of Adam (Kingma & Ba 2014, arXiv:1412.6980) in each epoch
    voxels : events looked at in an epoch, a multiple of ``batch``;  batch : events of a step of Adam
    centre : weight at first of the neuron's own pixel without delay, ON; OFF has its negative
    looks : events of a sample at which evidence is asked for to decide, at even distances; None: all
    share : of those, the part with the largest evidence of any class, which is averaged
    threshold : evidence above which neurons spike, see :meth:`spikes`; :meth:`calibrate` sets it
    seed : fixes the first weights (0.01 times normal numbers and mask) and the choice of events
    threads : None: one for each core

    Attributes
    ----------
    weights : (n_classes, 2, delays, size, size);  bias : (n_classes,);  mask : (delays, size, size)
    losses : mean cross-entropy of each epoch, in nats
    n_synapses : weights of one neuron of each class, together, that are not 0

    Raises
    ------
    ModelError, ShapeError
        Where a number is out of bounds, events or labels have the wrong shape or lie outside the frame.

    References
    ----------
    Grimaldi & Perrinet 2023, doi:10.1007/s00422-023-00975-8

    Examples
    --------
    >>> from reservoir import motion
    >>> image = motion.whitened(motion.dead_leaves(64, largest=16.0, seed=1))
    >>> events, labels = motion.moving_images([image], samples=36, steps=30, size=16, segment=None)
    >>> layer = DelayLayer(36, frame=(16, 16), delays=7, size=5, rates=(1e-2,), voxels=1280)
    >>> layer.fit(events, labels).predict(events[:3]).shape
    (3,)
    """

    def __init__(
        self, n_classes: int, frame: tuple[int, int], delays: int = 21, size: int = 17,
        rates: Sequence[float] = (1e-3,) * 6 + (4e-4,) * 3 + (1.5e-4,) * 2, voxels: int = 51_200, batch: int = 128,
        centre: float = 0.5, looks: int | None = 1000, share: float = 0.15,
        threshold: float | None = None, seed: int = 0, threads: int | None = None,
    ) -> None:  # fmt: skip
        self.n_classes = whole("DelayLayer.n_classes", n_classes, 2)
        if not isinstance(frame, (tuple, list, np.ndarray)) or len(frame) != 2:
            raise ShapeError(f"DelayLayer.frame: must be (height, width); got {frame!r}.")
        self.height, self.width = (whole("DelayLayer.frame", n) for n in frame)
        self.delays, self.size = whole("DelayLayer.delays", delays, 2), whole("DelayLayer.size", size, 3)
        self.batch, self.voxels = whole("DelayLayer.batch", batch), whole("DelayLayer.voxels", voxels)
        if self.size % 2 == 0:
            raise ModelError(f"DelayLayer.size: must be odd; got {size!r}.")
        if self.voxels % self.batch:
            raise ModelError(f"DelayLayer.voxels: must be a multiple of batch = {batch}; got {voxels!r}.")
        if np.ndim(rates) != 1:
            raise ModelError(f"DelayLayer.rates: must be > 0, one an epoch; got {rates!r}.")
        centre = number("DelayLayer.centre", centre)
        if threshold is not None:
            threshold = number("DelayLayer.threshold", threshold)
        share = bounded("DelayLayer.share", share, 0.0, 1.0, open_low=True)
        for name, value in (("looks", looks), ("threads", threads)):
            if value is not None:
                whole(f"DelayLayer.{name}", value)
        self.rates = tuple(learning_rates("DelayLayer.rates", rates).tolist())
        self.centre, self.threshold, self.looks, self.share = centre, threshold, looks, share
        self.seed = whole("DelayLayer.seed", seed, 0)
        self.threads = threads or cores()
        self.mask = _mask(self.delays, self.size)
        self._taps, self._where = _rows(self.mask > 0.0)
        self.reset()

    def reset(self) -> None:
        """Return to the first weights."""
        normal = np.random.default_rng(self.seed).normal(size=(self.n_classes, 2, *self.mask.shape))
        self.weights, middle = 0.01 * normal * self.mask, self.size // 2
        self.weights[:, 0, 0, middle, middle], self.weights[:, 1, 0, middle, middle] = self.centre, -self.centre
        self.bias = np.zeros(self.n_classes)
        self.losses: list[float] = []

    @property
    def n_synapses(self) -> int:
        """Weights that are not 0."""
        return int(np.count_nonzero(self.weights))

    def fit(self, events: Sequence[Events], labels: Any) -> "DelayLayer":
        """Learn, from the first weights on.

        Parameters
        ----------
        events : of each sample (steps, addresses), see :func:`reservoir.motion.camera`
        labels : class of each sample, (samples,), or of each of its steps, (samples, steps)
        """
        films = self._films("fit", events)
        labels = self._labels("fit", labels, films)
        self.reset()
        n = len(self._where)
        weights = self._packed(self._where)
        net = loops.Net(weights, self.bias, *(np.zeros(s) for s in 2 * (weights.shape,) + 2 * (self.n_classes,)))
        gradient, bias_gradient = np.empty_like(weights), np.empty(self.n_classes)
        scratch = loops.Scratch(
            np.empty((self.batch, 2 * n), np.int32), np.empty(self.batch, np.int64),
            np.empty((self.batch, 2 * self.n_classes)),
        )  # fmt: skip
        first = np.concatenate([[0], np.cumsum([len(film) for film in films])])
        frames = np.concatenate(films)
        begin = np.array([np.searchsorted(step, self.delays - 1) for step, _ in events])  # with all of their past
        count = np.array([len(step) for step, _ in events]) - begin
        if not count.sum():
            raise ModelError(f"DelayLayer.fit.events: must hold events after step {self.delays - 2}; got none.")
        upper = np.cumsum(count)
        bound = np.repeat(self.mask[tuple(self._where.T)][:, None], 2 * self.n_classes, axis=1)
        bounds = np.linspace(0, n, self.threads + 1).astype(np.int64)
        rng = np.random.default_rng([self.seed, 1])
        for epoch, rate in enumerate(self.rates):
            drawn = rng.integers(upper[-1], size=self.voxels)
            sample = np.searchsorted(upper, drawn, side="right")
            k = begin[sample] + drawn - (upper - count)[sample]
            t = np.array([events[s][0][i] for s, i in zip(sample, k, strict=True)], np.int64)
            place = np.array([events[s][1][i] for s, i in zip(sample, k, strict=True)]) % (self.height * self.width)
            y, x = (a.astype(np.int64) for a in np.divmod(place, self.width))
            voxels = loops.Voxels(first[sample] + t, y, x, first[sample])
            target = labels[first[sample] + t]
            losses = np.empty((self.voxels // self.batch, self.batch))
            train = partial(
                loops.train, frames, voxels, target, self._taps, net, gradient, bias_gradient, scratch, losses, rate,
                epoch * len(losses), bounds, self.threads, np.zeros(1, np.int64),
            )  # fmt: skip
            self._each(train, self.threads)
            np.clip(net.weights, -np.abs(net.weights).max() * bound, np.abs(net.weights).max() * bound, net.weights)
            self.losses.append(float(losses.mean()))
        if not np.isfinite(self.losses[-1]):
            raise ModelError(f"DelayLayer.fit.rates: learning diverged; got {self.rates!r}. Give lower ones.")
        self.weights[:] = 0.0
        d, y, x = self._where.T
        self.weights[:, :, d, y, x] = net.weights.reshape(n, 2, -1).transpose(2, 1, 0)
        return self

    def decision_function(self, events: Sequence[Events]) -> np.ndarray:
        """Mean evidence of each class, shape (samples, n_classes), over a ``share`` of the ``looks`` at a sample.

        Events of the first ``delays`` - 1 steps, which lack a part of their past, do not count.
        """
        owner = "decision_function"
        films, packed = self._films(owner, events), self._used()
        out = np.empty((len(films), self.n_classes))

        def work(k: int) -> None:
            b = self._at_events(packed, films[k], *events[k], self.looks)[1]
            if not len(b):
                raise ModelError(f"DelayLayer.{owner}.events[{k}]: must hold events after step {self.delays - 2}.")
            out[k] = self._top(b)

        self._each(work, len(films))
        return out

    def predict(self, events: Sequence[Events]) -> np.ndarray:
        """Class of each sample, (samples,)."""
        return np.asarray(np.argmax(self.decision_function(events), axis=1))

    def score(self, events: Sequence[Events], labels: Any) -> float:
        """Share of the samples whose class is told; ``labels`` as in :meth:`fit`, one class a sample."""
        labels = self._classes("score", labels, len(events))
        labels = labels if labels.ndim == 1 else labels[:, -1]
        return float(np.mean(self.predict(events) == labels))

    def predict_steps(self, events: Sequence[Events]) -> list[np.ndarray]:
        """Class at each step, decided from all events of that step alone: (steps,) of each sample, -1 where none is.

        Steps before ``delays`` - 1 are -1.
        """
        films, packed = self._films("predict_steps", events), self._used()
        out = [np.full(len(film), -1) for film in films]

        def work(k: int) -> None:
            t, b = self._at_events(packed, films[k], *events[k], None)
            first = np.searchsorted(t, np.arange(len(films[k]) + 1))
            for step in range(len(films[k])):
                if first[step + 1] > first[step]:
                    out[k][step] = np.argmax(self._top(b[first[step] : first[step + 1]]))

        self._each(work, len(films))
        return out

    def evidence(self, events: Events) -> np.ndarray:
        """Evidence at all pixels and steps, scattered: each event of a sample adds the weights of its synapses.

        The work is the number of events times :attr:`n_synapses`: :meth:`prune` before.

        Returns
        -------
        Array of shape (steps, n_classes, height, width); steps is that of the last event + 1
        """
        film = self._films("evidence", [events])[0]
        step, address = (np.asarray(a, np.int64) for a in events)
        out = np.empty((len(film), self.n_classes, self.height, self.width))
        polarity, pixel = np.divmod(address, self.height * self.width)
        radius = self.size // 2
        tall, wide = self.height + 2 * radius, self.width + 2 * radius
        place = (step * tall + pixel // self.width) * wide + pixel % self.width  # a synapse's dy and dx are never < 0

        def work(c: int) -> None:
            p, d, y, x = np.nonzero(self.weights[c])
            begin = np.searchsorted(p, [0, 1, 2])
            both = np.zeros((2, len(film) + self.delays - 1, tall, wide))
            loops.scatter(place, polarity, begin, (d * tall + y) * wide + x, self.weights[c, p, d, y, x],
                          both[0].reshape(-1), both[1].reshape(-1))  # fmt: skip
            seen = both[:, : len(film), radius : tall - radius, radius : wide - radius]
            np.add(seen.max(axis=0), self.bias[c], out[:, c])

        self._each(work, self.n_classes)
        return out

    def calibrate(self, events: Sequence[Events], rate: float = 1e-3) -> float:
        """Set ``threshold`` so that a neuron spikes ``rate`` times a step on average over ``events``; returns it."""
        if not 0 < number("DelayLayer.calibrate.rate", rate) < 1 / self.n_classes:
            raise ModelError(f"DelayLayer.calibrate.rate: must be > 0 and < 1 / n_classes a step; got {rate!r}.")
        self._films("calibrate", events)
        top = np.concatenate([self.evidence(sample)[self.delays - 1 :].max(axis=1).ravel() for sample in events])
        if not top.size:
            raise ModelError(f"DelayLayer.calibrate.events: must go on after step {self.delays - 2}; got shorter ones.")
        self.threshold = float(np.quantile(top, 1.0 - rate * self.n_classes))
        return self.threshold

    def spikes(self, events: Events) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Spikes of the layer: at each step and pixel the neuron with the largest evidence, where above the threshold.

        Returns
        -------
        (steps, classes, y, x), each (spikes,), steps ascending
        """
        if self.threshold is None:
            raise ModelError("DelayLayer.spikes: there is no threshold. Call calibrate before, or give threshold.")
        b = self.evidence(events)
        winner = b.argmax(axis=1)
        step, y, x = np.nonzero(b.max(axis=1) > self.threshold)
        return step, winner[step, y, x], y, x

    def to_network(self, events: Events, y: int, x: int, height: int, width: int) -> snn.Network:
        """The neurons of a patch as an ordinary network, driven by ``events``; run it with dt = 1 ms, a step.

        Populations: "events" (spike sources, numbered as addresses), "straight" and "swapped" (one neuron for each
        class and pixel of the patch, class height width + width y + x, with the two sums of the evidence as
        potentials: :class:`snn.Leaky`, which forgets in a step). A neuron of the layer whose evidence is above the
        ``threshold`` is one of whose two neurons spikes; which of the classes wins is not part of the network. A
        synapse of delay d has d + 1 ms, the least being a step, so all comes 1 ms later than in :meth:`spikes`.

        Parameters
        ----------
        y, x, height, width : corner and extent of the patch, in pixels of the frame
        """
        owner = "DelayLayer.to_network"
        self._films("to_network", [events])
        if self.threshold is None or not np.all(self.threshold - self.bias >= 0.0):
            raise ModelError(f"{owner}: needs a threshold above each bias; got {self.threshold!r}. Call calibrate.")
        for name, first, n, most in (("height", y, height, self.height), ("width", x, width, self.width)):
            if not (0 <= first and 1 <= n and first + n <= most):
                raise ModelError(f"{owner}.{name}: the patch must lie in {most} pixels; got {first} and {n}.")
        step, address = (np.asarray(a) for a in events)
        net = snn.Network()
        sources = net.population("events", 2 * self.height * self.width, snn.SpikeArray(step + 0.5, address))
        c, p, d, row, column = np.nonzero(self.weights)
        weight, radius = self.weights[c, p, d, row, column], self.size // 2
        at_y, at_x = (a.ravel()[:, None] for a in np.mgrid[:height, :width])
        from_y, from_x = y + at_y - (row - radius), x + at_x - (column - radius)
        inside = (from_y >= 0) & (from_y < self.height) & (from_x >= 0) & (from_x < self.width)
        target = ((c * height + at_y) * width + at_x)[inside]
        delay, strength = (np.broadcast_to(a, inside.shape)[inside] for a in (d + 1.0, weight))
        for name, polarity in (("straight", p), ("swapped", 1 - p)):
            model = snn.Leaky(
                beta=0.0, threshold=np.repeat(self.threshold - self.bias, height * width), reset_mechanism=2
            )
            neurons = net.population(name, self.n_classes * height * width, model)
            source = ((polarity * self.height + from_y) * self.width + from_x)[inside]
            net.connect(sources, neurons, snn.from_arrays(source, target), weight=strength, delay=delay)
            net.record(neurons, "spikes")
        return net

    def prune(self, share: float) -> "DelayLayer":
        """A layer with only the largest weights: ``share``, > 0 and <= 1, of all n_classes 2 delays size^2."""
        share = bounded("DelayLayer.prune.share", share, 0.0, 1.0, open_low=True)
        size = np.abs(self.weights).ravel()
        keep = np.argsort(-size, kind="stable")[: max(1, round(share * size.size))]
        out = copy.copy(self)
        out.weights = np.zeros_like(self.weights)
        out.weights.flat[keep] = self.weights.flat[keep]
        return out

    def shorten(self, delays: int) -> "DelayLayer":
        """A layer with only the ``delays`` shortest delays, 1 to as many as it has; the others' weights are 0."""
        if not 0 < whole("DelayLayer.shorten.delays", delays) <= self.delays:
            raise ModelError(f"DelayLayer.shorten.delays: must be at most {self.delays}; got {delays!r}.")
        out = copy.copy(self)
        out.weights = self.weights.copy()
        out.weights[:, :, delays:] = 0.0
        return out

    def _top(self, b: np.ndarray) -> np.ndarray:
        n = max(1, round(self.share * len(b)))
        return np.asarray(b[np.argpartition(-b.max(axis=1), n - 1)[:n]].mean(axis=0))

    def _at_events(
        self, packed: Any, film: np.ndarray, step: np.ndarray, address: np.ndarray, looks: int | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Steps of (some of) the events from step ``delays`` - 1 on, and evidence where they are, gathered."""
        first = int(np.searchsorted(step, self.delays - 1))
        n = len(step) - first
        chosen = first + np.arange(n) if looks is None or n <= looks else first + np.arange(looks) * n // looks
        t = np.asarray(step, np.int64)[chosen]
        y, x = np.divmod(np.asarray(address, np.int64)[chosen] % (self.height * self.width), self.width)
        out = np.empty((len(t), self.n_classes))
        voxels = loops.Voxels(t, y, x, np.zeros_like(t))
        taps, weights = packed
        found, sums = np.empty(2 * len(weights), np.int32), np.empty(2 * self.n_classes)
        loops.evidence_at(film, voxels, taps, weights, self.bias, found, sums, out)
        return t, out

    def _used(self) -> tuple[loops.Taps, np.ndarray]:
        """Taps that have weights, and their weights."""
        taps, where = _rows(np.any(self.weights != 0.0, axis=(0, 1)))
        return taps, self._packed(where)

    def _packed(self, where: np.ndarray) -> np.ndarray:
        """Weights as the compiled loops take them, (taps, 2 n_classes)."""
        d, y, x = where.T
        return np.ascontiguousarray(self.weights[:, :, d, y, x].transpose(2, 1, 0).reshape(len(d), -1))

    def _each(self, work: Any, n: int) -> None:
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(work, range(n)))

    def _films(self, owner: str, events: Sequence[Events]) -> list[np.ndarray]:
        """Events as bytes, (steps, height, width) of each sample: bit 0 ON, bit 1 OFF."""
        n, films = self.height * self.width, []
        if not isinstance(events, (Sequence, np.ndarray)):
            raise ModelError(f"DelayLayer.{owner}.events: must be a list of (steps, addresses); got {events!r}.")
        for k, pair in enumerate(events):
            name = f"DelayLayer.{owner}.events[{k}]"
            if (
                not isinstance(pair, (tuple, list, np.ndarray))
                or len(pair) != 2
                or np.shape(pair[0]) != np.shape(pair[1])
                or np.ndim(pair[0]) != 1
            ):
                raise ShapeError(f"{name}: must be (steps, addresses), one-dimensional and of equal length.")
            step, address = (real(name, a) for a in pair)
            if not len(step) or step.dtype.kind not in "iu" or address.dtype.kind not in "iu":
                raise ModelError(f"{name}: must be integers, at least one; got {step.dtype}, {address.dtype}.")
            if step[0] < 0 or address.min() < 0 or address.max() >= 2 * n:
                raise ModelError(f"{name}: steps must be >= 0, addresses below 2 height width = {2 * n}.")
            if not np.all(np.diff(step.astype(np.int64) * 2 * n + address) > 0):
                raise ModelError(f"{name}: must ascend by step, then address, no event twice.")
            film = np.zeros((int(step[-1]) + 1) * n, np.uint8)
            at = step.astype(np.int64) * n + address % n
            film[at[address < n]] = 1
            film[at[address >= n]] |= 2
            films.append(film.reshape(-1, self.height, self.width))
        if not films:
            raise ShapeError(f"DelayLayer.{owner}.events: must hold at least one sample; got none.")
        return films

    def _classes(self, owner: str, labels: Any, samples: int) -> np.ndarray:
        found = real(f"DelayLayer.{owner}.labels", labels)
        if found.ndim not in (1, 2) or len(found) != samples or not found.size:
            raise ShapeError(
                f"DelayLayer.{owner}.labels: must be (samples,) or (samples, steps), of {samples} samples; "
                f"got shape {found.shape}."
            )
        if found.dtype.kind not in "iu" or found.min() < 0 or found.max() >= self.n_classes:
            raise ModelError(
                f"DelayLayer.{owner}.labels: must be integers from 0 to {self.n_classes - 1}; got {found.dtype}"
                + (f", {found.min()} to {found.max()}." if found.dtype.kind in "iu" else ".")
            )
        return found

    def _labels(self, owner: str, labels: Any, films: list[np.ndarray]) -> np.ndarray:
        """Class of each step of all films, one after the other."""
        labels = self._classes(owner, labels, len(films))
        longest = max(len(film) for film in films)
        if labels.ndim == 2 and labels.shape[1] < longest:
            raise ShapeError(f"DelayLayer.{owner}.labels: must have a class for each of {longest} steps.")
        if labels.ndim == 1:
            labels = np.broadcast_to(labels[:, None], (len(labels), longest))
        return np.concatenate([row[: len(film)] for row, film in zip(labels, films, strict=True)], dtype=np.int64)


def _mask(delays: int, size: int) -> np.ndarray:
    """The cone within which weights keep, (delays, size, size); the largest is 1."""
    place = np.arange(size) - size // 2
    r = 2.0 / size * np.hypot(place[:, None], place)
    circle = np.where(r < 1.0, (np.cos(np.pi * np.minimum(r, 1.0)) + 1.0) / 2.0, 0.0) ** 0.25
    spread = 2.5 * np.arange(delays) / (delays - 1) + 0.05
    cone = np.exp(-(r**2) / (2.0 * spread[:, None, None] ** 2))
    return np.asarray(np.where(circle * cone < LEAST, 0.0, circle * cone))


def _rows(used: np.ndarray) -> tuple[loops.Taps, np.ndarray]:
    """Rows of taps that hold all of ``used``, and of each tap (delay, y, x) there."""
    middle = used.shape[1] // 2
    far = np.abs(np.arange(used.shape[2]) - middle)
    reach = np.where(used, far, -1).max(axis=2)
    d, y = np.nonzero(reach >= 0)
    half = reach[d, y]
    first = np.concatenate([[0], np.cumsum(2 * half + 1)])
    return loops.Taps(d, y - middle, half, first), np.argwhere(far <= reach[:, :, None])
