"""Connection rules: which source reaches which target. A rule yields, for every target, a list of sources."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kernels import connectivity
from kernels.connectivity import Recipe
from kernels.errors import ModelError, ShapeError
from kernels.philox import fill_words, stream_key
from plasticity.settled import Fixed
from snn.space import values
from snn.units import real

Key = tuple[Any, Any]


@dataclass
class EdgeList:
    """Edges sorted by target: those of target t come from sources[indptr[t]:indptr[t+1]], which ascend by chunks of
    2**CHUNK_BITS sources.

    ``order[k]`` is the place of edge k in the arrays of weights and delays that the user gave; None if the same.
    ``first``: how many edges of the projection come before these, where they are those of a range of targets.
    """

    indptr: np.ndarray
    sources: np.ndarray
    order: np.ndarray | None = None
    first: int = 0

    def part(self, lo: int, hi: int) -> "EdgeList":
        """The edges of targets lo .. hi - 1 alone."""
        begin, end = int(self.indptr[lo]), int(self.indptr[hi])
        order = None if self.order is None else self.order[begin:end].copy()
        return EdgeList(np.clip(self.indptr, begin, end) - begin, self.sources[begin:end].copy(), order, begin)


@dataclass(frozen=True)
class Pair:
    """What a rule draws for: ``same`` says that source and target are one population."""

    owner: str
    n_source: int
    n_target: int
    same: bool
    key: Key
    threads: int = 1
    source_positions: np.ndarray | None = None
    target_positions: np.ndarray | None = None
    source_wrap: np.ndarray | None = None
    target_wrap: np.ndarray | None = None

    def space(self, what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """Positions of source and target, shape (n, d), and the period of each dimension; ``what`` needs them."""
        here, there = self.source_positions, self.target_positions
        if here is None or there is None:
            raise ModelError(f"{what} needs positions; give positions= to both populations.")
        if here.shape[1] != there.shape[1]:
            raise ShapeError(f"{self.owner}: positions have {here.shape[1]} and {there.shape[1]} dimensions.")
        periods = [None if box is None else box.tolist() for box in (self.source_wrap, self.target_wrap)]
        if periods[0] != periods[1]:
            raise ModelError(
                f"{self.owner}: source and target must lie in one space; got wrap={periods[0]} and {periods[1]}. Give "
                "both populations the same wrap=."
            )
        return here, there, self.source_wrap


def _ids(n: int) -> type[np.unsignedinteger[Any]]:
    return np.uint16 if n <= 2**16 else np.uint32


def _parts(n: int, threads: int) -> list[tuple[int, int]]:
    bounds = np.linspace(0, n, threads + 1).astype(int)
    return [(int(a), int(b)) for a, b in zip(bounds[:-1], bounds[1:], strict=True)]


def _each(threads: int, n: int, work: Callable[[int, int], Any]) -> list[Any]:
    """work(first, last) over parts of range(n), on threads."""
    if threads == 1:
        return [work(0, n)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda part: work(*part), _parts(n, threads)))


def by_target(sources: np.ndarray, targets: np.ndarray, n_source: int, n_target: int) -> EdgeList:
    """Edges in any order, sorted by target, then source."""
    indptr = np.zeros(n_target + 1, np.int64)
    np.cumsum(np.bincount(targets, minlength=n_target), out=indptr[1:])
    order = np.lexsort((sources, targets))
    return EdgeList(indptr, sources[order].astype(_ids(n_source)), order)


class Rule:
    """Base of connection rules."""

    def edges(self, pair: Pair) -> EdgeList:
        """Draw the edges: a function of ``pair`` and the rule alone."""
        raise NotImplementedError

    def part(self, pair: Pair, lo: int, hi: int) -> EdgeList:
        """The edges of targets lo .. hi - 1, as :meth:`edges` draws them; by default all are drawn for it."""
        return self.edges(pair).part(lo, hi)

    def expected(self, n_source: int, n_target: int) -> float:
        """Expected number of edges, or at least an upper bound: by default every pair."""
        return n_source * n_target

    def shape(self, n_source: int, n_target: int) -> tuple[int, ...] | None:
        """Shape of an array of weights or delays, None where the rule takes none."""
        return None

    def check(self, owner: str, n_source: int, n_target: int) -> None:
        """Refuse populations of sizes that the rule is not made for; an error names ``owner``."""

    def recipe(self, pair: Pair) -> Recipe | None:
        """What an engine needs to draw the same edges itself; None where it cannot."""
        return None


def _flags(rule: Any) -> None:
    """Refuse ``autapses`` and ``multapses`` that are not True or False: the text "no" would be true."""
    for name in ("autapses", "multapses"):
        value = getattr(rule, name, True)
        if not isinstance(value, (bool, np.bool_)):
            raise ModelError(f"{type(rule).__name__}.{name}: must be True or False; got {value!r}.")


def _kernel(rule: Any) -> None:
    """Refuse a ``p`` that is neither left out nor a function."""
    if rule.p is not None and not callable(rule.p):
        name = f"{type(rule).__name__}.p"
        raise ModelError(f"{name}: must be a function of distances, or snn.displacement; got {rule.p!r}.")


def _count(owner: str, value: Any, bits: int = 31) -> None:
    """Refuse what is no count below 2**bits: edges are counted in 64 bits, and no memory holds so many."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 0 <= value < 2**bits:
        raise ModelError(f"{owner}: must be an integer >= 0 and < 2**{bits}; got {value!r}.")


def _check_room(owner: str, need: int, n: int, pair: Pair, rule: Any) -> None:
    left = n - (1 if pair.same and not rule.autapses else 0)
    if need and left <= 0:
        raise ModelError(f"{owner}: there is nothing to choose from ({n} neurons, autapses={rule.autapses}).")
    if need > left and not rule.multapses:
        raise ModelError(f"{owner}: must be at most {left} without multapses; got {need}. Give multapses=True.")


def _pick(
    rule: Any, counts: np.ndarray, n_other: int, pair: Pair, lo: int = 0, hi: int | None = None
) -> EdgeList:  # fmt: skip
    """For each element e of lo .. hi - 1 (all by default) counts[e] of ``n_other``."""
    n = len(counts)
    hi = n if hi is None else hi
    indptr = np.zeros(n + 1, np.int64)
    np.cumsum(counts, out=indptr[1:])
    first = int(indptr[lo])
    indptr = np.clip(indptr, first, indptr[hi]) - first
    out = np.empty(indptr[-1], _ids(n_other))
    auto = rule.autapses or not pair.same

    def work(a: int, b: int) -> None:
        connectivity.pick(n, indptr, n_other, auto, rule.multapses, *pair.key, lo + a, lo + b, out)

    _each(pair.threads, hi - lo, work)
    return EdgeList(indptr, out, first=first)


def _pick_in_space(
    rule: Any, what: str, need: int, pair: Pair, lo: int, hi: int, of_source: bool = False
) -> EdgeList:  # fmt: skip
    """For each target e of lo .. hi - 1 ``need`` sources (or for each source ``need`` targets), drawn by ``rule.p``."""
    owner = f"{pair.owner}.p"
    here, there, box = pair.space(f"{owner}: a function of distance")
    n, n_other = (pair.n_source, pair.n_target) if of_source else (pair.n_target, pair.n_source)
    found = np.empty((hi - lo, need), _ids(n_other))
    for e in range(lo, hi if need else lo):
        source, target = (here[e], there) if of_source else (here, there[e])
        chance = values(owner, rule.p, source, target, box)
        if chance.min() < 0:
            raise ModelError(f"{owner}: must give numbers >= 0; got {chance.min():g}.")
        if pair.same and not rule.autapses:
            chance[e] = 0.0
        possible = np.count_nonzero(chance)
        if need > possible and (possible == 0 or not rule.multapses):
            one, others = (f"source {e}", "targets") if of_source else (f"target {e}", "sources")
            if not possible:
                raise ModelError(
                    f"{pair.owner}.{what}: there is nothing to choose from: {one} has no {others} with p > 0."
                )
            raise ModelError(
                f"{pair.owner}.{what}: must be at most {possible} without multapses: {one} has no more {others} with "
                f"p > 0; got {need}. Give multapses=True or a wider p."
            )
        u = _uniforms(e, need if rule.multapses else n_other, pair.key)
        found[e - lo] = _draw_by(chance, u, need, rule.multapses)
    return EdgeList(need * (np.clip(np.arange(n + 1), lo, hi) - lo), found.ravel(), first=need * lo)


def _draw_by(chance: np.ndarray, u: np.ndarray, need: int, multapses: bool) -> np.ndarray:
    """``need`` places of ``chance``, ascending, drawn one after the other by ``u`` with probabilities proportional to
    it: among all, or without ``multapses`` among those left."""
    if multapses:
        total = np.cumsum(chance / chance.max())
        found = np.searchsorted(total, u * total[-1], side="right")
        return np.sort(np.minimum(found, np.flatnonzero(chance)[-1]))  # the product may round to the total
    with np.errstate(divide="ignore"):  # log of a waiting time at rate ``chance``: the first to arrive are such a draw
        late = np.log(-np.log(u)) - np.log(chance)
    return np.sort(np.argpartition(late, need - 1)[:need])


@dataclass(frozen=True)
class fixed_indegree(Rule):
    """Each target draws ``indegree`` sources.

    Parameters
    ----------
    indegree : number of sources of a target
    autapses : a neuron may choose itself
    multapses : it may choose a source more than once (both True by default, as in NEST)
    p : None: sources are drawn uniformly. Function of distances or :class:`snn.displacement` of the ``positions``, as
        of :class:`distance_dependent`: sources are drawn one after the other with probabilities proportional to it,
        among all or, without multapses, among those left
    """

    indegree: int
    autapses: bool = True
    multapses: bool = True
    p: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        _count("fixed_indegree.indegree", self.indegree)
        _flags(self)
        _kernel(self)

    def expected(self, n_source: int, n_target: int) -> float:
        """See :class:`Rule`."""
        return self.indegree * n_target

    def edges(self, pair: Pair) -> EdgeList:
        """See :class:`Rule`."""
        return self.part(pair, 0, pair.n_target)

    def part(self, pair: Pair, lo: int, hi: int) -> EdgeList:
        """See :class:`Rule`."""
        return self.drawn(pair, lo, hi)

    def drawn(self, pair: Pair, lo: int, hi: int) -> EdgeList:
        """What targets lo .. hi - 1 draw."""
        _check_room(f"{pair.owner}.indegree", self.indegree, pair.n_source, pair, self)
        if self.p is not None:
            return _pick_in_space(self, "indegree", self.indegree, pair, lo, hi)
        return _pick(self, np.full(pair.n_target, self.indegree), pair.n_source, pair, lo, hi)

    def recipe(self, pair: Pair) -> Recipe | None:
        """See :class:`Rule`."""
        _check_room(f"{pair.owner}.indegree", self.indegree, pair.n_source, pair, self)
        if self.p is not None:
            return None
        return Recipe(connectivity.INDEGREE, self.indegree, 0.0, self.autapses or not pair.same, self.multapses)


@dataclass(frozen=True)
class fixed_outdegree(Rule):
    """Each source draws ``outdegree`` targets; the arguments are those of :class:`fixed_indegree`."""

    outdegree: int
    autapses: bool = True
    multapses: bool = True
    p: Callable[..., Any] | None = None

    def __post_init__(self) -> None:
        _count("fixed_outdegree.outdegree", self.outdegree)
        _flags(self)
        _kernel(self)

    def expected(self, n_source: int, n_target: int) -> float:
        """See :class:`Rule`."""
        return self.outdegree * n_source

    def edges(self, pair: Pair) -> EdgeList:
        """See :class:`Rule`."""
        n_source, n_target = pair.n_source, pair.n_target
        drawn = self.drawn(pair, 0, n_source)
        indptr = np.zeros(n_target + 1, np.int64)
        np.cumsum(np.bincount(drawn.sources, minlength=n_target), out=indptr[1:])
        sources = np.empty(len(drawn.sources), _ids(n_source))
        connectivity.transpose(drawn.indptr, drawn.sources, 0, n_source, indptr[:-1].copy(), sources)
        return EdgeList(indptr, sources)

    def drawn(self, pair: Pair, lo: int, hi: int) -> EdgeList:
        """What sources lo .. hi - 1 draw: lists by source."""
        _check_room(f"{pair.owner}.outdegree", self.outdegree, pair.n_target, pair, self)
        if self.p is not None:
            return _pick_in_space(self, "outdegree", self.outdegree, pair, lo, hi, of_source=True)
        return _pick(self, np.full(pair.n_source, self.outdegree), pair.n_target, pair, lo, hi)


@dataclass(frozen=True)
class fixed_total_number(Rule):
    """``number`` edges, the two ends of each drawn uniformly (with multapses, as in NEST)."""

    number: int
    autapses: bool = True

    multapses = True

    def __post_init__(self) -> None:
        _count("fixed_total_number.number", self.number, 40)
        _flags(self)

    def expected(self, n_source: int, n_target: int) -> float:
        """See :class:`Rule`."""
        return self.number

    def edges(self, pair: Pair) -> EdgeList:
        """Targets fall by the multinomial law; each target then draws its sources."""
        return self.part(pair, 0, pair.n_target)

    def part(self, pair: Pair, lo: int, hi: int) -> EdgeList:
        """See :class:`Rule`."""
        n_target = pair.n_target
        _check_room(f"{pair.owner}.number", self.number, pair.n_source, pair, self)

        def work(first: int, last: int) -> np.ndarray:
            counts = np.zeros(n_target, np.int64)
            connectivity.spread(self.number, n_target, *pair.key, 4 * first, min(4 * last, self.number), counts)
            return counts

        counts = np.sum(_each(pair.threads, -(-self.number // 4), work), axis=0)
        return _pick(self, counts, pair.n_source, pair, lo, hi)

    def recipe(self, pair: Pair) -> Recipe:
        """See :class:`Rule`."""
        _check_room(f"{pair.owner}.number", self.number, pair.n_source, pair, self)
        return Recipe(connectivity.TOTAL, self.number, 0.0, self.autapses or not pair.same)


@dataclass(frozen=True)
class pairwise_bernoulli(Rule):
    """Each pair is connected with probability ``p``."""

    p: float
    autapses: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.p, bool) or not isinstance(self.p, (int, float, np.number)) or not 0 <= self.p <= 1:
            hint = " For functions of distance use distance_dependent." if callable(self.p) else ""
            raise ModelError(f"pairwise_bernoulli.p: must be >= 0 and <= 1; got {self.p!r}.{hint}")
        _flags(self)

    def expected(self, n_source: int, n_target: int) -> float:
        """See :class:`Rule`."""
        return self.p * n_source * n_target

    def edges(self, pair: Pair) -> EdgeList:
        """See :class:`Rule`."""
        return self.part(pair, 0, pair.n_target)

    def part(self, pair: Pair, lo: int, hi: int) -> EdgeList:
        """See :class:`Rule`; how many each target has is drawn for all, their sources for the range."""
        n_source, n_target = pair.n_source, pair.n_target
        indptr, counts = np.zeros(n_target + 1, np.int64), np.zeros(n_target, np.int64)
        auto = self.autapses or not pair.same

        def run(a: int, b: int, out: np.ndarray) -> None:
            connectivity.bernoulli(float(self.p), n_source, auto, *pair.key, a, b, counts, indptr, out)

        if self.p > 0:
            _each(pair.threads, n_target, lambda a, b: run(a, b, np.empty(0, _ids(n_source))))
        np.cumsum(counts, out=indptr[1:])
        first = int(indptr[lo])
        indptr = np.clip(indptr, first, indptr[hi]) - first
        sources = np.empty(indptr[-1], _ids(n_source))
        if sources.size:
            _each(pair.threads, hi - lo, lambda a, b: run(lo + a, lo + b, sources))
        return EdgeList(indptr, sources, first=first)

    def recipe(self, pair: Pair) -> Recipe:
        """See :class:`Rule`."""
        return Recipe(connectivity.BERNOULLI, 0, float(self.p), self.autapses or not pair.same)


@dataclass(frozen=True)
class distance_dependent(Rule):
    """Each pair is connected with a probability that depends on the distance or displacement of their ``positions``.

    Parameters
    ----------
    p : function of an array of distances, vectorised, giving probabilities, e.g. ``lambda d: 0.3 * np.exp(-d / 0.2)``,
        or of displacements, see :class:`snn.displacement`; both are periodic where the populations have ``wrap``
    """

    p: Callable[..., Any]
    autapses: bool = False

    def __post_init__(self) -> None:
        if not callable(self.p):
            raise ModelError(f"distance_dependent.p: must be a function of distances; got {self.p!r}.")
        _flags(self)

    def edges(self, pair: Pair) -> EdgeList:
        """See :class:`Rule`; needs positions."""
        owner, n_source, n_target = pair.owner, pair.n_source, pair.n_target
        here, there, box = pair.space(f"{owner}: distance_dependent")
        lists, ids = [], np.arange(n_source)
        for t in range(n_target):
            p = values(f"{owner}.p", self.p, here, there[t], box)
            if not np.all((p >= 0) & (p <= 1)):
                raise ModelError(f"{owner}.p: must give one probability in [0, 1] a pair; got {p!r}.")
            u = _uniforms(t, n_source, pair.key)
            chosen = u < p
            if pair.same and not self.autapses:
                chosen[t] = False
            lists.append(ids[chosen])
        indptr = np.zeros(n_target + 1, np.int64)
        np.cumsum([len(x) for x in lists], out=indptr[1:])
        return EdgeList(indptr, np.concatenate([*lists, ids[:0]]).astype(_ids(n_source)))


def _uniforms(row: int, n: int, key: Key) -> np.ndarray:
    """Uniform numbers in (0, 1); number i depends on (key, row, i) alone."""
    sub = stream_key(int(key[0]) << 32 | int(key[1]), "row", row)
    words = np.empty(4 * n, np.uint32)
    fill_words(0, n, 0, *sub, words, 0)
    bits = words[:n].astype(np.uint64) << np.uint64(32) | words[n : 2 * n]
    return np.asarray(((bits >> np.uint64(12)) + 0.5) * 2.0**-52)  # as kernels.philox.unit


@dataclass(frozen=True)
class all_to_all(Rule):
    """Every source to every target. Weights and delays may be arrays of shape (n_source, n_target)."""

    autapses: bool = True

    def __post_init__(self) -> None:
        _flags(self)

    def edges(self, pair: Pair) -> EdgeList:
        """See :class:`Rule`."""
        n_source, n_target = pair.n_source, pair.n_target
        keep = np.ones((n_target, n_source), bool)
        if pair.same and not self.autapses:
            np.fill_diagonal(keep, False)
        targets, sources = np.nonzero(keep)
        indptr = np.zeros(n_target + 1, np.int64)
        np.cumsum(keep.sum(axis=1), out=indptr[1:])
        return EdgeList(indptr, sources.astype(_ids(n_source)), sources * n_target + targets)

    def recipe(self, pair: Pair) -> Recipe:
        """See :class:`Rule`."""
        return Recipe(connectivity.ALL_TO_ALL, 0, 0.0, self.autapses or not pair.same)

    def shape(self, n_source: int, n_target: int) -> tuple[int, ...]:
        """(n_source, n_target)."""
        return (n_source, n_target)


@dataclass(frozen=True)
class one_to_one(Rule):
    """Source i to target i. Weights and delays may be arrays of shape (n,)."""

    def edges(self, pair: Pair) -> EdgeList:
        """See :class:`Rule`."""
        self.recipe(pair)
        return EdgeList(
            np.arange(pair.n_target + 1, dtype=np.int64), np.arange(pair.n_source).astype(_ids(pair.n_source))
        )

    def recipe(self, pair: Pair) -> Recipe:
        """See :class:`Rule`."""
        n_source, n_target = pair.n_source, pair.n_target
        if n_source != n_target:
            raise ShapeError(f"{pair.owner}: one_to_one needs populations of one size; got {n_source} and {n_target}.")
        return Recipe(connectivity.ONE_TO_ONE)

    def expected(self, n_source: int, n_target: int) -> float:
        """See :class:`Rule`."""
        return n_target

    def shape(self, n_source: int, n_target: int) -> tuple[int, ...]:
        """(n,)."""
        return (n_source,)


class from_arrays(Fixed, Rule):
    """Given edges: ``sources[k]`` to ``targets[k]``. Weights and delays may be arrays of shape (k,)."""

    advice = "Make another for net.connect; sim.rewire joins other pairs between runs."
    sizes: tuple[int, int] | None = None  # of the two populations, where known: those of a matrix

    def __init__(self, sources: Any, targets: Any) -> None:
        try:
            self.sources, self.targets = np.array(sources), np.array(targets)
        except ValueError as error:
            raise ShapeError(f"from_arrays: sources and targets must have shape (k,); {error}.") from error
        for name, ids in (("sources", self.sources), ("targets", self.targets)):
            if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
                raise ShapeError(f"from_arrays.{name}: must be integers of shape (k,); got {ids.dtype} of {ids.shape}.")
            if ids.size and ids.min() < 0:
                raise ModelError(f"from_arrays.{name}: must be >= 0; got {ids.min()}.")
        if self.sources.shape != self.targets.shape:
            raise ShapeError(
                f"from_arrays.targets: must be as long as sources; got {self.targets.shape}, {self.sources.shape}."
            )

    def __repr__(self) -> str:
        return f"from_arrays({self.sources.size} edges)"

    def check(self, owner: str, n_source: int, n_target: int) -> None:
        """See :class:`Rule`."""
        if self.sizes not in (None, (n_source, n_target)):
            hint = " Transpose it?" if self.sizes == (n_target, n_source) else ""
            raise ShapeError(
                f"{owner}.rule: the matrix must have shape ({n_source}, {n_target}) = (source, target); "
                f"got {self.sizes}.{hint}"
            )
        for name, ids, n in (("sources", self.sources, n_source), ("targets", self.targets, n_target)):
            if ids.size and ids.max() >= n:
                raise ModelError(f"{owner}.{name}: must be < {n}; got {ids.max()}.")

    def edges(self, pair: Pair) -> EdgeList:
        """See :class:`Rule`."""
        n_source, n_target = pair.n_source, pair.n_target
        self.check(pair.owner, n_source, n_target)
        return by_target(self.sources.astype(np.int64), self.targets.astype(np.int64), n_source, n_target)

    def expected(self, n_source: int, n_target: int) -> float:
        """See :class:`Rule`."""
        return self.sources.size

    def shape(self, n_source: int, n_target: int) -> tuple[int, ...]:
        """(k,)."""
        return self.sources.shape


def from_sparse(matrix: Any) -> tuple[from_arrays, np.ndarray]:
    """(rule, weights) of a ``scipy.sparse`` matrix, or of a dense one's entries != 0, of shape (n_source, n_target):

    >>> import scipy.sparse
    >>> rule, weights = from_sparse(scipy.sparse.coo_array(([0.5], ([0], [1])), shape=(2, 2)))
    """
    from scipy import sparse

    if not sparse.issparse(matrix):
        matrix = real("from_sparse.matrix", matrix)
        matrix = sparse.coo_array(matrix) if matrix.ndim == 2 else matrix
    if matrix.ndim != 2:
        raise ShapeError(f"from_sparse.matrix: must have shape (n_source, n_target); got {matrix.shape}.")
    coo = matrix.tocoo()
    rule = from_arrays(coo.row, coo.col)
    object.__setattr__(rule, "sizes", (int(coo.shape[0]), int(coo.shape[1])))
    return rule, real("from_sparse.matrix", coo.data).astype(float)


def from_sonata(
    path: str | Path, population: str | None = None
) -> tuple[from_arrays, np.ndarray | None, np.ndarray | None]:
    """(rule, weights, delays) of a SONATA edges file; weights and delays are None where the file holds none."""
    from snn.io.sonata_edges import read_edges

    sources, targets, weights, delays, *_ = read_edges(path, population)
    return from_arrays(sources.astype(np.int64), targets.astype(np.int64)), weights, delays


__all__ = [
    "Pair", "Rule", "all_to_all", "distance_dependent", "fixed_indegree", "fixed_outdegree", "fixed_total_number",
    "from_arrays", "from_sonata", "from_sparse", "one_to_one", "pairwise_bernoulli",
]  # fmt: skip
