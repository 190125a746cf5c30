"""Structural plasticity: which synapses are pruned and which pairs are joined instead; the number stays the same.

An instance goes to :meth:`snn.Simulation.rewire`. A rule of one's own is any function of the same arguments.
"""

from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError

Array = np.ndarray


def free_pairs(
    sources: Array, targets: Array, n: tuple[int, int], same: bool, k: int, rng: np.random.Generator, times: int = 1
) -> Array:
    """Different pairs, uniform among those not joined: numbers source * n[1] + target, int64, in random order.

    They are ``times`` k or, where fewer are free, all of them, but at least k. ``same``: source and target are one
    population, and no neuron is joined to itself.
    """
    joined = np.unique(sources * n[1] + targets)
    loops = np.arange(n[0]) * (n[1] + 1) if same else np.empty(0, np.int64)
    taken = np.union1d(joined, loops)
    free = n[0] * n[1] - taken.size
    if free < k:
        raise ModelError(f"rewire: {k} pairs are wanted and {free} are free. Give a sparser projection.")
    # the r-th free pair: as many taken ones lie before it as there are with taken[i] - i <= r
    ranks = rng.choice(free, min(times * k, free), replace=False)
    return ranks + np.searchsorted(taken - np.arange(taken.size), ranks, side="right")


def share(fraction: float, n: int) -> int:
    """``fraction`` of ``n``, rounded down but for the rounding of the product: 0.29 * 100 is 28.999999999999996."""
    return int(fraction * n * (1.0 + 1e-12))


class Structural:
    """Base of the rules: ``weight`` is that of new synapses."""

    def __init__(self, weight: float) -> None:
        if not np.isfinite(weight):
            raise ModelError(f"{type(self).__name__}.weight: must be finite; got {weight!r}.")
        self.weight = float(weight)

    def among(self, sources: Array, targets: Array, n: tuple[int, int]) -> "Structural":
        """The rule for a projection between these neurons of ``n``, which are numbered in this order from then on."""
        return self

    def pruned(self, weights: Array) -> Array:
        """Numbers of the synapses to prune."""
        raise NotImplementedError

    def __call__(
        self, sources: Array, targets: Array, weights: Array, n: tuple[int, int], same: bool, rng: np.random.Generator
    ) -> tuple[Array, Array, Array, Array]:
        """(synapses pruned, sources, targets and weights of those that take their places)."""
        removed = self.pruned(weights)
        pairs = free_pairs(sources, targets, n, same, removed.size, rng)
        return removed, pairs // n[1], pairs % n[1], np.full(removed.size, self.weight)


class SET(Structural):
    """Sparse evolutionary training: the ``fraction`` of synapses closest to 0 goes, random pairs are joined.

    Parameters
    ----------
    fraction : of all synapses, in [0, 1]; 0.3 in the paper
    weight : of new synapses

    References
    ----------
    Mocanu et al. 2018, doi:10.1038/s41467-018-04316-3
    """

    def __init__(self, fraction: float = 0.3, weight: float = 0.0) -> None:
        super().__init__(weight)
        if not 0.0 <= fraction <= 1.0:
            raise ModelError(f"SET.fraction: must be in [0, 1]; got {fraction!r}.")
        self.fraction = float(fraction)

    def pruned(self, weights: Array) -> Array:
        """The smallest by magnitude; of equal ones the first."""
        return np.argsort(np.abs(weights), kind="stable")[: share(self.fraction, weights.size)]


class DeepR(Structural):
    """Deep rewiring: a synapse whose weight has come to 0, where its sign would change, goes; random pairs are joined.

    What moves the weights (a rule, noise, :meth:`snn.Simulation.set_weights`) is not part of it.

    Parameters
    ----------
    weight : of new synapses, not 0
    threshold : synapses of at most this magnitude go

    References
    ----------
    Bellec, Kappel, Maass & Legenstein 2018, arXiv:1711.05136
    """

    def __init__(self, weight: float, threshold: float = 0.0) -> None:
        super().__init__(weight)
        if not threshold >= 0.0:
            raise ModelError(f"DeepR.threshold: must be >= 0; got {threshold!r}.")
        if abs(weight) <= threshold:
            raise ModelError(f"DeepR.weight: must be above threshold = {threshold:g} in magnitude; got {weight!r}.")
        self.threshold = float(threshold)

    def pruned(self, weights: Array) -> Array:
        """Those at or below the threshold."""
        return np.flatnonzero(np.abs(weights) <= self.threshold)


def checked_rewiring(
    owner: str, rule: Any, given: Any, synapses: int, n: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What ``rule`` gave for a projection of so many synapses, between populations of ``n`` = (sources, targets).

    Raises
    ------
    ModelError, ShapeError
        It is not of one length, or names no synapse or neuron.
    """
    wanted = "four arrays of one length: numbers of synapses, sources, targets, weights"
    try:
        arrays = [np.asarray(x) for x in given]
    except (TypeError, ValueError) as error:
        raise ShapeError(f"{owner}: rewire: {rule!r} must give {wanted}; got {given!r}.") from error
    if len(arrays) != 4 or len({x.shape for x in arrays}) > 1 or arrays[0].ndim != 1:
        raise ShapeError(f"{owner}: rewire: {rule!r} must give {wanted}; got {given!r}.")
    for name, ids, limit in zip(("synapses", "sources", "targets"), arrays, (synapses, *n), strict=False):
        if ids.size and not (ids.dtype.kind in "iu" and ids.min() >= 0 and ids.max() < limit):
            raise ModelError(f"{owner}: rewire: {name} must be integers from 0 to {limit - 1}; got {ids!r}.")
    removed, sources, targets = (ids.astype(np.int64) for ids in arrays[:3])
    if np.unique(removed).size < removed.size:
        raise ModelError(f"{owner}: rewire: a synapse can be pruned once; got {removed!r}.")
    if arrays[3].dtype.kind not in "iuf" or not np.all(np.isfinite(arrays[3])):
        raise ModelError(f"{owner}: rewire: weights must be finite numbers; got {arrays[3]!r}.")
    return removed, sources, targets, arrays[3].astype(float)
