"""Graphs of reservoirs: who reaches whom. Each is a scipy.sparse array of ones of shape (n, n), row = target, without
autapses, for :func:`reservoir.random_network` or, times weights, for :class:`reservoir.EchoStateNetwork`."""

from typing import Any

import numpy as np
import scipy.sparse

from kernels.errors import ModelError
from reservoir.checks import generator
from snn.units import bounded, whole


def ring(n: int, indegree: int) -> scipy.sparse.csr_array:
    """Each neuron has the ``indegree`` nearest others of a ring as sources, half of them on either side (of an odd
    number one more before it)."""
    _check("ring", n, indegree)
    near = np.arange(1, indegree + 1)
    offsets = np.where(near % 2, -(near + 1) // 2, near // 2)
    targets = np.repeat(np.arange(n), indegree)
    return _graph(n, (targets + np.tile(offsets, n)) % n, targets)


def small_world(n: int, indegree: int, rewired: float, seed: int = 0) -> scipy.sparse.csr_array:
    """A :func:`ring` of which each edge, with probability ``rewired``, begins elsewhere: at a neuron drawn from those
    that do not reach the target.

    Parameters
    ----------
    n, indegree : numbers of neurons, and of sources of each
    rewired : 0 to 1;  seed : fixes everything drawn

    References
    ----------
    Watts & Strogatz 1998, doi:10.1038/30918

    Examples
    --------
    >>> small_world(100, 10, rewired=0.1, seed=1).sum(axis=1).tolist() == [10.0] * 100
    True
    """
    _check("small_world", n, indegree)
    rewired = bounded("small_world.rewired", rewired, 0.0, 1.0)
    rng, graph = generator("small_world", seed), ring(n, indegree)
    sources = graph.indices.reshape(n, indegree).copy()
    for target, row in enumerate(sources):
        moved = rng.random(indegree) < rewired
        free = np.setdiff1d(np.arange(n), np.append(row, target))
        count = min(int(moved.sum()), len(free))
        row[np.flatnonzero(moved)[:count]] = rng.choice(free, count, replace=False)
    return _graph(n, sources.ravel(), np.repeat(np.arange(n), indegree))


def clusters(n: int, count: int, indegree: int, inside: float, seed: int = 0) -> scipy.sparse.csr_array:
    """``count`` clusters of neighbours, equally large but for one; a neuron draws the share ``inside`` of its
    ``indegree`` sources from its own cluster, the rest from the others.

    Parameters
    ----------
    n, count, indegree : numbers of neurons, of clusters, 1 to n, and of sources of each neuron
    inside : 0 to 1;  seed : fixes everything drawn

    Raises
    ------
    ModelError
        Where a cluster, or what lies outside it, has fewer neurons than are to be drawn.

    References
    ----------
    Litwin-Kumar & Doiron 2012, doi:10.1038/nn.3220
    """
    _check("clusters", n, indegree)
    inside = bounded("clusters.inside", inside, 0.0, 1.0)
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)) or not 1 <= count <= n:
        raise ModelError(f"clusters.count: must be an integer 1 to {n}; got {count!r}.")
    own, numbers, rng, parts = np.arange(n) * count // n, np.arange(n), generator("clusters", seed), []
    few = round(inside * indegree)
    for target in range(n):
        same = own == own[target]
        near, far = numbers[same & (numbers != target)], numbers[~same]
        if few > len(near) or indegree - few > len(far):
            raise ModelError(
                f"clusters.inside: asks for {few} sources of {len(near)} in a cluster and {indegree - few} of "
                f"{len(far)} others. Change inside, count or indegree."
            )
        parts += [rng.choice(near, few, replace=False), rng.choice(far, indegree - few, replace=False)]
    return _graph(n, np.concatenate(parts), np.repeat(numbers, indegree))


def _check(owner: str, n: Any, indegree: Any) -> None:
    whole(f"{owner}.n", n, 2)
    if isinstance(indegree, bool) or not isinstance(indegree, (int, np.integer)) or not 1 <= indegree < n:
        raise ModelError(f"{owner}.indegree: must be an integer 1 to {n - 1}; got {indegree!r}.")


def _graph(n: int, sources: np.ndarray, targets: np.ndarray) -> scipy.sparse.csr_array:
    graph = scipy.sparse.csr_array((np.ones(len(sources)), (targets, sources)), shape=(n, n))
    graph.sort_indices()
    return graph
