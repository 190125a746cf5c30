"""Edges of the clock engine: drawn, then laid out by storage kind, source and block."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import prod
from typing import Any

import numpy as np

from kernels import connectivity
from kernels.compiled import Drawn
from kernels.connectivity import Recipe
from kernels.draw import CONSTANT
from kernels.layout import Convolutions, Edges, Tables, aligned, padded, zeros
from snn.connect import EdgeList, Pair, all_to_all
from snn.distributions import Distribution
from snn.elements import Projection
from snn.network import Network
from snn.sliding import conv2d

_U16 = 2**16
DENSE = 1 / 16  # of all pairs: from here on, bits take less time than lists of targets


def draw_edges(net: Network, projection: Projection, threads: int, targets: tuple[int, int] | None = None) -> EdgeList:
    """The edges of a projection, or those to a range of targets: a function of seed, name, sizes and rule alone."""
    ends = pair(net, projection, threads)
    return projection.rule.edges(ends) if targets is None else projection.rule.part(ends, *targets)


def pair(net: Network, projection: Projection, threads: int) -> Pair:
    """What the projection's rule draws for."""
    p = projection
    owner, key = f"Projection {p.name!r}", net.stream("edges", p.name)
    same = p.source is p.target
    positions, wraps = (p.source.positions, p.target.positions), (p.source.wrap, p.target.wrap)
    return Pair(owner, p.source.n, p.target.n, same, key, threads, *positions, *wraps)


def is_convolution(projection: Projection) -> bool:
    """Whether the clock engine stores the projection as a convolution."""
    p = projection
    given = isinstance(p.rule, conv2d) and isinstance(p.weight, np.ndarray) and is_number(p.delay)
    return given and not p.plastic and _one_receptor(p) is not None


def recipe_of(net: Network, p: Projection) -> Recipe | None:
    """How an engine may draw a projection; None where it is plastic, has values of its own, or a rule without."""
    if p.plastic or np.ndim(p.weight) or np.ndim(p.delay):
        return None
    return p.rule.recipe(pair(net, p, 1))


def is_number(value: Any) -> bool:
    """Whether a weight or delay is one for all edges."""
    return not isinstance(value, Distribution) and np.ndim(value) == 0


def weight_type(weight: Any, precision: str) -> Any:
    """Storage of weights: float32 where drawn or exact in it, float64 for arrays that need it."""
    if isinstance(weight, Distribution) or precision == "float32":
        return np.float32
    return np.float32 if np.array_equal(np.asarray(weight, np.float32), weight) else np.float64


def own_blocks(tables: Tables) -> range:
    """The blocks of this process."""
    return range(int(tables.first_block[0]), int(tables.first_block[-1]))


def lay_out(
    lists: dict[str, EdgeList],
    totals: dict[str, tuple[int, int]],
    net: Network,
    index: dict[str, int],
    tables: Tables,
    delays: dict[str, tuple[int, int]],
    most: np.ndarray,
    precision: str,
    threads: int,
) -> tuple[list[tuple[str, Edges | Convolutions]], list[Edges]]:
    """Lay static projections out by storage kind, source and block, plastic ones each by itself.

    ``totals``: edges and most edges of a target, of whole projections; ``most``: spikes a step of an element by
    population. Blocks of other processes get no edges. Projections without a list are convolutions.
    """
    groups: dict[tuple[str, Any, Any], dict[tuple[int, float, int], list[Projection]]] = {}
    single: list[tuple[Any, Any, Projection]] = []
    convolutions: dict[Any, list[tuple[Any, Projection]]] = {}
    for p in net.projections.values():
        if p.name not in lists and not isinstance(p.rule, conv2d):
            continue  # the engine draws it
        w_constant, d_constant = is_number(p.weight) and not p.plastic, is_number(p.delay)
        w_type = None if w_constant else weight_type(p.weight, precision)
        d_type = None if d_constant else (np.uint8 if delays[p.name][1] < 256 else np.uint16)
        same = _constants(p, index, tables.dt)
        if p.name not in lists:
            w_type, key = weight_type(p.weight, precision), (same[0], 0.0, same[2])
            convolutions.setdefault(w_type, []).append((key, p))
            continue
        if p.plastic:
            single.append((d_type, (same[0], 0.0, same[2]), p))
            continue
        store = ("c" if w_constant else "v") + ("c" if d_constant else "v"), w_type, d_type
        if store[0] == "vc" and _receptor(p) is not None:  # a group by itself: its number in place of the weight
            store = "mc", w_type, None
            same = same[0], float(len(groups.get(store, {}))), same[2]
        groups.setdefault(store, {}).setdefault(same, []).append(p)
    plain = groups.get(("cc", None, None), {})
    dense = {same: members for same, members in plain.items() if _is_dense(members, totals, index, tables, most)}
    if dense:
        groups["bc", None, None] = dense
        groups["cc", None, None] = {same: members for same, members in plain.items() if same not in dense}
    result: list[tuple[str, Edges | Convolutions]] = []
    for (kind, w_type, d_type), members in groups.items():
        ordered = sorted(members.items(), key=lambda item: item[0])
        if ordered:
            edges = _layout(net, index, tables, ordered, lists, w_type, d_type, precision, threads)
            if kind == "bc":
                edges = _with_bits(edges, tables, [m for _, m in ordered], index, threads)
            elif kind == "mc":
                edges = _as_matrices(edges, tables, [m[0] for _, m in ordered], index)
            result.append((kind, edges))
    for w_type, some in convolutions.items():
        ordered_ = [p for _, p in sorted(some, key=lambda item: item[0])]
        result.append(("kc", _convolutions(ordered_, index, tables, delays, w_type, precision)))
    learned = [
        _layout(net, index, tables, [(same, [p])], lists, np.dtype(precision).type, d_type, precision, threads)
        for d_type, same, p in single
    ]
    return result, learned


def _constants(p: Projection, index: dict[str, int], dt: float) -> tuple[int, float, int]:
    """(source population, weight, delay in steps), 0 where there is one a synapse: what makes a group."""
    weight = float(p.weight) if is_number(p.weight) and not p.plastic else 0.0
    return index[p.source.name], weight, max(1, round(p.delay / dt)) if is_number(p.delay) else 0


def lay_out_drawn(
    recipes: dict[str, Recipe], net: Network, index: dict[str, int], tables: Tables,
    delays: dict[str, tuple[int, int]], precision: str,
) -> list[tuple[str, Edges, list[Drawn]]]:  # fmt: skip
    """Storage kinds of the projections that an engine draws, their groups, and what is drawn; the edges are missing."""
    stores: dict[tuple[str, Any], dict[tuple[int, float, int], list[Projection]]] = {}
    for p in (p for p in net.projections.values() if p.name in recipes):
        kind = ("c" if is_number(p.weight) else "v") + ("c" if is_number(p.delay) else "v")
        d_type = np.uint16 if kind[1] == "v" and delays[p.name][1] >= 256 else np.uint8
        stores.setdefault((kind, d_type), {}).setdefault(_constants(p, index, tables.dt), []).append(p)
    found = []
    for (kind, d_type), groups in stores.items():
        ordered = sorted(groups.items(), key=lambda item: item[0])
        edges = _groups([same for same, _ in ordered], tables, range(len(tables.lo)), precision)
        target_type = np.uint16 if int(tables.stride.max(initial=0)) <= _U16 else np.uint32
        edges = edges._replace(
            targets=np.empty(0, target_type), weights=np.empty(0, np.float32), delays=np.empty(0, d_type)
        )
        found.append((kind, edges, [_drawn(net, g, p, recipes[p.name], index)
                                    for g, (_, members) in enumerate(ordered) for p in members]))  # fmt: skip
    return found


def _drawn(net: Network, group: int, p: Projection, recipe: Recipe, index: dict[str, int]) -> Drawn:
    positive, negative = p.receptors
    if is_number(p.weight) and p.weight < 0:
        positive = negative
    weight, delay = (x.row() if isinstance(x, Distribution) else np.array([CONSTANT, x, 0.0, 0.0, 1.0, 0.0])
                     for x in (p.weight, p.delay))  # fmt: skip
    return Drawn(
        group, recipe, index[p.source.name], index[p.target.name], (positive, negative),
        net.stream("edges", p.name), net.stream("values", p.name), weight, delay,
        float(p.rule.expected(p.source.n, p.target.n)),
    )  # fmt: skip


def _span(projections: list[Projection], index: dict[str, int], acc: np.ndarray, n: np.ndarray) -> tuple[int, int]:
    """First accumulator and last + 1 of a group of projections of one weight; ``acc``, ``n`` of a block's slices."""
    begin = [int(acc[t] + p.receptors[int(p.weight < 0)] * n[t]) for p in projections for t in [index[p.target.name]]]
    end = [b + int(n[index[p.target.name]]) for b, p in zip(begin, projections, strict=True)]
    return min(begin), max(end)


def _is_dense(
    projections: list[Projection],
    totals: dict[str, tuple[int, int]],
    index: dict[str, int],
    tables: Tables,
    most: np.ndarray,
) -> bool:
    """Whether a group of one weight and delay is stored as bits; the same for any number of blocks."""
    begin, end = _span(
        projections, index, np.cumsum(tables.n * tables.receptors) - tables.n * tables.receptors, tables.n
    )
    source = projections[0].source
    edges = sum(totals[p.name][0] for p in projections)
    # spikes of a step to one target are counted in 16 bits
    largest = sum(totals[p.name][1] for p in projections)
    return edges > DENSE * source.n * (end - begin) and largest * int(most[index[source.name]]) < _U16


def _receptor(projection: Projection) -> int | None:
    """The receptor of all synapses of a projection that is stored as a matrix, None if it is not."""
    p = projection
    if not isinstance(p.rule, all_to_all) or (p.source is p.target and not p.rule.autapses):
        return None
    return _one_receptor(p)


def _one_receptor(projection: Projection) -> int | None:
    """The receptor that takes all weights, None if there are two."""
    p = projection
    positive, negative = p.receptors
    if positive == negative:
        return positive
    if isinstance(p.weight, Distribution):
        return None
    below = np.asarray(p.weight) < 0
    return negative if below.all() else None if below.any() else positive


def _as_matrices(edges: Edges, tables: Tables, groups: list[Projection], index: dict[str, int]) -> Edges:
    """The same edges without lists of targets."""
    targets = [index[p.target.name] for p in groups]
    span = (tables.hi - tables.lo)[:, targets].T.copy()
    base = tables.acc[:, targets].T + span * np.array([[_receptor(p)] for p in groups])
    return edges._replace(targets=edges.targets[:0].copy(), base=base, span=span)


def _convolutions(
    projections: list[Projection], index: dict[str, int], tables: Tables, delays: dict[str, tuple[int, int]],
    w_type: Any, precision: str,
) -> Convolutions:  # fmt: skip
    """Convolutions in the order of their sources. Places of a kernel with the same weights are stored once."""
    blocks = len(tables.lo)
    sources, targets = [index[p.source.name] for p in projections], [index[p.target.name] for p in projections]
    base, lo, span = (np.zeros((len(projections), blocks), np.int64) for _ in range(3))
    parts: list[list[np.ndarray]] = []
    pixels, group, places, longest = [], [], [], 0
    for g, (p, t) in enumerate(zip(projections, targets, strict=True)):
        rule: Any = p.rule
        (out, each), k = p.weight.shape[:2], rule.groups
        weights = p.weight.reshape(k, out // k, each, -1).transpose(0, 2, 3, 1)
        rows = np.ascontiguousarray(weights.transpose(2, 0, 1, 3)).reshape(weights.shape[2], -1)
        _, which, place = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        source, to, at = rule.taps
        row = np.searchsorted(source, np.arange(prod(rule.image[1:]) + 1))
        parts.append([row, to, place.ravel()[at], weights[:, :, which].ravel()])
        pixels.append((prod(rule.image[1:]), prod(rule.result[1:])))
        group.append((each, out // k))
        places.append(len(which))
        lo[g], span[g] = tables.lo[:, t], tables.hi[:, t] - tables.lo[:, t]
        base[g] = tables.acc[:, t] + (_one_receptor(p) or 0) * span[g]
        channels = -(-tables.hi[:, t] // pixels[g][1]) - tables.lo[:, t] // pixels[g][1]
        longest = max(longest, int(channels.max()) * pixels[g][1])
    rows_, to_, place_, weights_ = ([part[k] for part in parts] for k in range(4))
    starts = [np.cumsum([0, *(x.size for x in arrays)])[:-1].astype(np.int64) for arrays in (rows_, to_, weights_)]
    return Convolutions(
        by_source=np.searchsorted(sources, np.arange(len(tables.n) + 1)).astype(np.int64),
        delay=np.array([delays[p.name][0] for p in projections], np.int64),
        pixels=np.array(pixels, np.int64), group=np.array(group, np.int64), at=starts[0],
        rows=np.concatenate([x + first for x, first in zip(rows_, starts[1], strict=True)]).astype(np.int64),
        to=np.concatenate(to_).astype(np.int32), place=np.concatenate(place_).astype(np.int32),
        places=np.array(places, np.int64), first=starts[2], weights=aligned(np.concatenate(weights_).astype(w_type)),
        base=base, lo=lo, span=span,
        sums=zeros(blocks * padded(longest), np.dtype(precision)).reshape(blocks, -1),
    )  # fmt: skip


def _with_bits(
    edges: Edges, tables: Tables, groups: list[list[Projection]], index: dict[str, int], threads: int
) -> Edges:
    """The same edges as bits, with those that repeat one in the rows."""
    blocks = len(tables.lo)
    span = np.array(
        [[_span(m, index, tables.acc[b], tables.hi[b] - tables.lo[b]) for b in range(blocks)] for m in groups], np.int64
    )
    base, width = span[..., 0].copy(), span[..., 1] - span[..., 0]
    words = -(-width // 32)
    sizes = np.zeros_like(words)
    own = own_blocks(tables)
    sizes[:, own] = (words * edges.n_source[:, None])[:, own]
    bits_at = (np.cumsum(sizes.ravel()) - sizes.ravel()).reshape(sizes.shape)
    bits, ends, longest = zeros(int(sizes.sum()), np.uint32), edges.rows.copy(), int(words.max()) * 32

    def fill(b: int) -> None:
        for g, n in enumerate(edges.n_source):
            at = edges.at[g] + b * (n + 1)
            connectivity.fill_bits(edges.rows, at, n, edges.targets, ends, base[g, b], bits, bits_at[g, b], words[g, b])

    _each_block(fill, own, threads)
    kept = connectivity.close_gaps(edges.rows, ends, edges.targets)
    return edges._replace(
        targets=edges.targets[:kept].copy(), bits=bits, bits_at=bits_at, words=words, base=base, span=width,
        number=zeros(blocks * longest, np.uint16).reshape(blocks, longest),
    )  # fmt: skip


def _each_block(work: Callable[[int], None], blocks: range, threads: int) -> None:
    if threads == 1:
        for b in blocks:
            work(b)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, blocks))


def _layout(
    net: Network, index: dict[str, int], tables: Tables, groups: list[tuple[tuple[int, float, int], list[Projection]]],
    lists: dict[str, EdgeList], w_type: Any, d_type: Any, precision: str, threads: int,
) -> Edges:  # fmt: skip
    own = own_blocks(tables)
    laid_out = _groups([same for same, _ in groups], tables, own, precision)
    at, n_source, rows = laid_out.at, laid_out.n_source, laid_out.rows

    def count(b: int) -> None:
        for g, (_, projections) in enumerate(groups):
            for p in projections:
                t = index[p.target.name]
                edges = lists[p.name]
                where = at[g] + b * (n_source[g] + 1)
                connectivity.count_rows(edges.indptr, edges.sources, tables.lo[b, t], tables.hi[b, t], rows, where)

    _each_block(count, own, threads)
    # a row table ends where the next begins, so one running sum serves all: entry 0 of a table is the total before it
    np.cumsum(rows, out=rows)
    total = int(rows[-1]) if rows.size else 0
    targets = np.empty(total, np.uint16 if int(tables.stride.max(initial=0)) <= _U16 else np.uint32)
    weights = np.empty(total if w_type else 0, w_type or np.float32)
    delays = np.empty(total if d_type else 0, d_type or np.uint8)
    nothing = np.empty(0)

    def fill(b: int) -> None:
        for g, (_, projections) in enumerate(groups):
            where = at[g] + b * (n_source[g] + 1)
            position = rows[where : where + n_source[g]].copy()
            for p in projections:
                t = index[p.target.name]
                lo, hi = tables.lo[b, t], tables.hi[b, t]
                positive, negative = (tables.acc[b, t] + r * (hi - lo) for r in p.receptors)
                if is_number(p.weight) and p.weight < 0:
                    positive = negative
                edges = lists[p.name]
                first, last = edges.indptr[lo], edges.indptr[hi]
                key = net.stream("values", p.name)
                constant, *weight = given_values(p.weight, edges, first, last, 0, key)
                _, *delay = given_values(p.delay, edges, first, last, 1, key)
                connectivity.fill_rows(
                    edges.indptr, edges.sources, lo, hi, position, positive, negative, constant, *weight, *delay,
                    tables.dt, targets, weights, delays,
                )  # fmt: skip

    _each_block(fill, own, threads)
    for _, projections in groups:
        for p in projections:
            lists[p.name] = EdgeList(nothing, nothing)  # free the lists as soon as they are laid out
    return laid_out._replace(targets=targets, weights=weights, delays=delays)


def _groups(groups: list[tuple[int, float, int]], tables: Tables, own: range, precision: str) -> Edges:
    """Edges with groups of these sources, weights and delays, and rows of the blocks ``own`` that hold nothing yet."""
    sources = np.array([source for source, _, _ in groups])
    n_source = tables.n[sources]
    ends = np.cumsum(len(own) * (n_source + 1))
    at = ends - len(own) * (n_source + 1) - own.start * (n_source + 1)  # block 0 may lie before the beginning
    nothing = np.empty(0, np.uint16)
    return Edges(
        by_source=np.searchsorted(sources, np.arange(len(tables.n) + 1)).astype(np.int64), at=at.astype(np.int64),
        n_source=n_source, weight=np.array([w for _, w, _ in groups], np.dtype(precision)),
        delay=np.array([d for _, _, d in groups], np.int64), rows=np.zeros(int(ends[-1]), np.int64),
        targets=nothing, weights=np.empty(0, np.float32), delays=nothing, bits=np.empty(0, np.uint32),
        number=np.empty((0, 0), np.uint16),
        **dict.fromkeys(("bits_at", "words", "base", "span"), np.empty((0, 0), np.int64)),
    )  # fmt: skip


def given_values(
    value: Any, edges: EdgeList, first: int, last: int, which: int, key: tuple[Any, Any]
) -> tuple[float, np.ndarray, np.ndarray, int]:
    """(constant, values, order, first edge) of the weights (which = 0) or delays (1) of edges first..last-1."""
    nothing = np.empty(0, np.int64)
    if isinstance(value, Distribution):
        drawn = np.empty(last - first, np.float64 if which else np.float32)
        connectivity.edge_values(edges.first + first, edges.first + last, value.row(), which, *key, drawn)
        return 0.0, drawn, nothing, first
    if np.ndim(value):
        given = np.ascontiguousarray(value, float).ravel()
        if edges.order is None:
            return 0.0, given[edges.first :], nothing, 0
        return 0.0, given, edges.order, 0
    return float(value), np.empty(0), nothing, 0


def edge_places(
    index: dict[str, int], tables: Tables, projection: Projection, edges: EdgeList, rows: Edges
) -> np.ndarray:
    """Place of each edge of ``edges`` in the arrays of a plastic projection's ``rows``."""
    places = np.empty(int(edges.indptr[-1]), np.int64)
    n, t = projection.source.n, index[projection.target.name]
    for b in own_blocks(tables):
        position = rows.rows[int(rows.at[0]) + b * (n + 1) :][:n].copy()
        connectivity.find_places(edges.indptr, edges.sources, tables.lo[b, t], tables.hi[b, t], position, places)
    return places


def edge_values(net: Network, projection: Projection, edges: EdgeList, which: int, precision: str) -> np.ndarray:
    """Weights (which = 0), narrowed as they are stored, or delays in ms (1) of ``edges``; float64."""
    value = projection.delay if which else projection.weight
    n = int(edges.indptr[-1])
    constant, values, order, _ = given_values(value, edges, 0, n, which, net.stream("values", projection.name))
    if is_number(value):
        return np.full(n, constant)
    values = values[order] if order.size else values[:n]
    return values.astype(float if which else weight_type(value, precision)).astype(float)
