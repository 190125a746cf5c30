"""How many steps a population runs behind the network's inputs."""

from collections.abc import Iterable

import numpy as np
import scipy.sparse
from scipy.sparse.csgraph import connected_components


def levels(
    names: Iterable[str], edges: Iterable[tuple[str, str, int]], least: dict[str, int]
) -> tuple[dict[str, int], dict[str, int]]:
    """(level, cycle) by name.

    Populations that reach each other form a cycle and share its number and level. A level is the largest sum of steps
    over edges (source, target, steps) between cycles that lead to it, and at least ``least``.
    """
    index = {name: k for k, name in enumerate(names)}
    pairs = [(index[a], index[b], s) for a, b, s in edges]
    rows, columns = [a for a, _, _ in pairs], [b for _, b, _ in pairs]
    graph = scipy.sparse.coo_array((np.ones(len(pairs)), (rows, columns)), shape=(len(index), len(index)))
    _, part = connected_components(graph, directed=True, connection="strong")
    level = np.zeros(len(index), np.int64)  # by cycle
    for name, k in index.items():
        level[part[k]] = max(level[part[k]], least[name])
    between = {(part[a], part[b], s) for a, b, s in pairs if part[a] != part[b]}
    moved = True
    while moved:  # ends: no cycles are left between cycles
        moved = False
        for a, b, s in between:
            if level[a] + s > level[b]:
                level[b], moved = level[a] + s, True
    return {n: int(level[part[k]]) for n, k in index.items()}, {n: int(part[k]) for n, k in index.items()}
