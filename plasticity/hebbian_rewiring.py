"""Structural plasticity by correlation: synapses go where pre- and postsynaptic spikes coincide at the synaptic lag."""

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from kernels.jit import jit
from plasticity.structural import Array, Structural, free_pairs, share


@jit
def _count(pre, first_pre, post, first_post, sources, targets, low, high, counts):  # type: ignore[no-untyped-def]
    """counts[k]: pairs of spikes of sources[k] and targets[k] with low <= t_post - t_pre <= high; times ascend."""
    for k in range(len(sources)):
        s, t = sources[k], targets[k]
        begin = end = first_post[t]
        stop, total = first_post[t + 1], 0
        for i in range(first_pre[s], first_pre[s + 1]):
            while begin < stop and post[begin] - pre[i] < low:
                begin += 1
            end = max(end, begin)
            while end < stop and post[end] - pre[i] <= high:
                end += 1
            total += end - begin
        counts[k] = total


def coactivity(
    pre: Any, post: Any, sources: Array, targets: Array, n: tuple[int, int], lag: float, width: float
) -> Array:
    """Coincidences of pairs of neurons at a lag, divided by the geometric mean of their numbers of spikes.

    Equations
    ---------
    c = #{(t_pre, t_post): |t_post - t_pre - lag| <= width / 2} / sqrt(n_pre n_post); 0 where one of them is silent.
    With one spike in a window at most it is the cosine between the trains, of which the second is moved by the lag;
    independent trains of rates r, s have width sqrt(r s).

    Parameters
    ----------
    pre, post : of the populations, with ``times`` in ms and ``ids``: such as :class:`snn.SpikeRecord`
    sources, targets : neurons of each pair, int64, shape (k,)
    n : neurons in the populations
    lag, width : ms

    Returns
    -------
    float64, shape (k,)

    Raises
    ------
    ModelError, ShapeError
        Where a record has no such arrays, or names a neuron that is not there.
    """
    trains = []
    for name, record, size in (("pre", pre, n[0]), ("post", post, n[1])):
        times, ids = _spikes(name, record, size)
        order = np.lexsort((times, ids))
        trains += [times[order], np.searchsorted(ids[order], np.arange(size + 1))]
    counts = np.zeros(len(sources))
    slack = 1e-6 * width  # times on a grid are rounded
    _count(*trains, sources, targets, lag - 0.5 * width - slack, lag + 0.5 * width + slack, counts)
    numbers = np.diff(trains[1])[sources] * np.diff(trains[3])[targets]
    return np.asarray(counts / np.sqrt(np.maximum(numbers, 1)))


def _spikes(name: str, record: Any, size: int) -> tuple[Array, Array]:
    """Times and ids of a record of ``size`` neurons."""
    times, ids = (np.asarray(getattr(record, a, None)) for a in ("times", "ids"))
    if times.ndim != 1 or times.shape != ids.shape or times.dtype.kind != "f" or ids.dtype.kind not in "iu":
        raise ModelError(f"coactivity.{name}: must have spikes as arrays times and ids; got {record!r}.")
    if ids.size and (ids.min() < 0 or ids.max() >= size):
        got = f"{ids.min()} to {ids.max()}"
        raise ShapeError(f"coactivity.{name}: its ids must be from 0 to {size - 1}; got {got}.")
    return times, ids


class HebbianRewiring(Structural):
    """Rewiring by correlation: the least correlated synapses go, the most correlated of some free pairs are joined.

    So edges gather between the ensembles that are active one after the other, which nobody needs to name. Correlation
    is :func:`plasticity.hebbian_rewiring.coactivity`: it must be taken at the lag at which the synapse acts, for at
    another one joined ensembles look as independent as any.

    Parameters
    ----------
    pre, post : spikes of source and target population (also where parts of them are connected), with ``times`` in ms
        and ``ids``, such as ``result.spikes["exc"]``
    lag : from the presynaptic spike to the postsynaptic one that it may have caused, ms: the delay and a rise time
    width : of the window around the lag, ms
    fraction : of all synapses that go, in [0, 1]; 0.1 in the published code
    weight : of new synapses
    candidates : free pairs drawn at random for each new synapse, of which the most correlated are taken

    Raises
    ------
    ModelError
        Where a number is out of bounds.

    References
    ----------
    Konstantaropoulos, Smirnakis & Papadopouli 2025, arXiv:2508.14140 (G2GNet)
    """

    def __init__(
        self, pre: Any, post: Any, lag: float, width: float = 1.0, fraction: float = 0.1, weight: float = 0.0,
        candidates: int = 10,
    ) -> None:  # fmt: skip
        super().__init__(weight)
        if not np.isfinite(lag):
            raise ModelError(f"HebbianRewiring.lag: must be finite, in ms; got {lag!r}.")
        if not 0.0 < width < np.inf:
            raise ModelError(f"HebbianRewiring.width: must be > 0 ms; got {width!r}.")
        if not 0.0 <= fraction <= 1.0:
            raise ModelError(f"HebbianRewiring.fraction: must be in [0, 1]; got {fraction!r}.")
        if isinstance(candidates, bool) or not isinstance(candidates, (int, np.integer)) or candidates < 1:
            raise ModelError(f"HebbianRewiring.candidates: must be an integer >= 1; got {candidates!r}.")
        self.pre, self.post, self.lag, self.width = pre, post, float(lag), float(width)
        self.fraction, self.candidates = float(fraction), int(candidates)

    def among(self, sources: Array, targets: Array, n: tuple[int, int]) -> "HebbianRewiring":
        """See :class:`plasticity.SET`: with the spikes of these neurons alone."""
        other = copy.copy(self)
        for name, some, size in (("pre", sources, n[0]), ("post", targets, n[1])):
            times, ids = _spikes(name, getattr(self, name), size)
            number = np.full(size, -1)
            number[some] = np.arange(some.size)
            known = number[ids] >= 0
            setattr(other, name, SimpleNamespace(times=times[known], ids=number[ids[known]]))
        return other

    def __call__(
        self, sources: Array, targets: Array, weights: Array, n: tuple[int, int], same: bool, rng: np.random.Generator
    ) -> tuple[Array, Array, Array, Array]:
        """See :class:`plasticity.SET`. Of equally correlated synapses the first go; of pairs, random ones come."""
        k = share(self.fraction, weights.size)
        given = (n, self.lag, self.width)
        removed = np.argsort(coactivity(self.pre, self.post, sources, targets, *given), kind="stable")[:k]
        pairs = free_pairs(sources, targets, n, same, k, rng, self.candidates)
        found = coactivity(self.pre, self.post, pairs // n[1], pairs % n[1], *given)
        pairs = pairs[np.argsort(-found, kind="stable")[:k]]
        return removed, pairs // n[1], pairs % n[1], np.full(k, self.weight)
