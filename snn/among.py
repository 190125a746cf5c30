"""A connection rule for some neurons of each population."""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from snn.connect import (
    EdgeList,
    Pair,
    Rule,
    all_to_all,
    by_target,
    distance_dependent,
    fixed_indegree,
    fixed_outdegree,
    pairwise_bernoulli,
)


def chosen(owner: str, given: Any, n: int) -> np.ndarray:
    """Numbers of neurons, int64, in the order given: of a slice, a mask of shape (n,) or numbers; at least one."""
    ids = np.arange(n)[given] if isinstance(given, slice) else np.atleast_1d(np.asarray(given))
    if ids.dtype == bool:
        if ids.shape != (n,):
            raise ShapeError(f"{owner}: a mask must be of shape ({n},); got {ids.shape}.")
        ids = np.flatnonzero(ids)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise ModelError(f"{owner}: must be a slice, a mask or integers of shape (k,); got {given!r}.")
    if not ids.size:
        raise ModelError(
            f"{owner}: must be one neuron of {n} at least; got {given if isinstance(given, slice) else 0}."
        )
    outside = ids[(ids < 0) | (ids >= n)]
    if outside.size:
        raise ModelError(f"{owner}: must be >= 0 and < {n}; got {outside[0]}.")
    if np.unique(ids).size < ids.size:
        raise ModelError(f"{owner}: must differ; got {ids.tolist()!r}.")
    return ids.astype(np.int64)


def places(ids: np.ndarray, some: np.ndarray) -> np.ndarray:
    """Where in ``ids``, which differ, each of ``some`` is."""
    order = np.argsort(ids)
    return np.asarray(order[np.searchsorted(ids, some, sorter=order)])


def _between(pair: Pair, sources: np.ndarray, targets: np.ndarray, same: bool) -> Pair:
    """``pair`` as if there were no neurons but these."""
    here, there = (p if p is None else p[ids]
                   for p, ids in ((pair.source_positions, sources), (pair.target_positions, targets)))  # fmt: skip
    return dataclasses.replace(
        pair, n_source=sources.size, n_target=targets.size, same=same, source_positions=here, target_positions=there
    )


@dataclass(frozen=True, eq=False)
class among(Rule):
    """``rule`` between some neurons of the source and some of the target population, as if there were no others.

    The same as connecting parts of populations, ``net.connect(exc[:100], inh[50:], rule)``. With ``autapses=False`` no
    neuron is joined to itself, where parts of one population overlap, too (which ``fixed_total_number`` refuses).

    Parameters
    ----------
    rule : any rule; arrays of weights and delays have its shape for so many neurons
    sources, targets : slice, mask or numbers of neurons, whose order counts for ``one_to_one`` and arrays; None: all
    """

    rule: Rule
    sources: Any = None
    targets: Any = None

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):
            raise ModelError(f"among.rule: must be a rule such as snn.fixed_indegree(10); got {self.rule!r}.")

    def __repr__(self) -> str:
        def text(ids: Any) -> str:
            return repr(ids) if ids is None or isinstance(ids, slice) else f"{np.size(ids)} ids"

        return f"among({self.rule!r}, {text(self.sources)}, {text(self.targets)})"

    def _ids(self, n_source: int, n_target: int) -> tuple[np.ndarray, np.ndarray]:
        sources = np.arange(n_source) if self.sources is None else chosen("among.sources", self.sources, n_source)
        return sources, np.arange(n_target) if self.targets is None else chosen("among.targets", self.targets, n_target)

    def ends(self, n_source: int, n_target: int) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the neurons that edges can begin and end at, in the order that the rule numbers them."""
        sources, targets = self._ids(n_source, n_target)
        if not isinstance(self.rule, among):
            return sources, targets
        inner = self.rule.ends(sources.size, targets.size)
        return sources[inner[0]], targets[inner[1]]

    def edges(self, pair: Pair) -> EdgeList:
        """See :class:`Rule`."""
        sources, targets = self.ends(pair.n_source, pair.n_target)
        rule = self.rule
        while isinstance(rule, among):
            rule = rule.rule
        same = pair.same and np.array_equal(sources, targets)
        shared = np.intersect1d(sources, targets) if pair.same and not same else np.empty(0, np.int64)
        if shared.size and not getattr(rule, "autapses", True):
            pre, post, order = self._without_autapses(rule, pair, sources, targets, shared)
        else:
            found = rule.edges(_between(pair, sources, targets, same))
            pre, post, order = sources[found.sources], np.repeat(targets, np.diff(found.indptr)), found.order
        made = by_target(pre, post, pair.n_source, pair.n_target)
        if order is not None:
            made.order = order[made.order]
        return made

    def _without_autapses(
        self, rule: Rule, pair: Pair, sources: np.ndarray, targets: np.ndarray, shared: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """(sources, targets, order) of edges between parts that are other neurons but for those ``shared``."""
        if isinstance(rule, (all_to_all, pairwise_bernoulli, distance_dependent)):  # pairs are independent
            found = rule.edges(_between(pair, sources, targets, False))
            pre, post = sources[found.sources], np.repeat(targets, np.diff(found.indptr))
            keep = pre != post
            return pre[keep], post[keep], None if found.order is None else found.order[keep]
        if not isinstance(rule, (fixed_indegree, fixed_outdegree)):
            raise ModelError(
                f"{pair.owner}.rule: with autapses=False sources and targets must be the same neurons, or others; "
                f"{shared.size} are in both of {self!r}. Connect those apart."
            )
        # the shared ones first on both sides: they choose among all but themselves, the others among all
        sources, targets = (np.concatenate((shared, x[~np.isin(x, shared)])) for x in (sources, targets))
        ends = [sources, targets] if isinstance(rule, fixed_outdegree) else [targets, sources]
        chosen_by, chosen_from = [], []
        for first, last, same in ((0, shared.size, True), (shared.size, ends[0].size, False)):
            found = rule.drawn(_between(pair, sources, targets, same), first, last)
            chosen_by.append(np.repeat(ends[0], np.diff(found.indptr)))
            chosen_from.append(ends[1][found.sources])
        both = np.concatenate(chosen_by), np.concatenate(chosen_from)
        return (*both, None) if isinstance(rule, fixed_outdegree) else (*both[::-1], None)

    def expected(self, n_source: int, n_target: int) -> float:
        """See :class:`Rule`."""
        return self.rule.expected(*(ids.size for ids in self._ids(n_source, n_target)))

    def check(self, owner: str, n_source: int, n_target: int) -> None:
        """See :class:`Rule`."""
        self.rule.check(owner, *(ids.size for ids in self._ids(n_source, n_target)))

    def shape(self, n_source: int, n_target: int) -> tuple[int, ...] | None:
        """That of the rule, for so many neurons."""
        return self.rule.shape(*(ids.size for ids in self._ids(n_source, n_target)))
