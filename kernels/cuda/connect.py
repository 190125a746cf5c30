"""Edges drawn on the device, straight into rows by source: those of kernels.connectivity, from the same counters.

A thread takes a target at a time through two passes: the first counts what each row will hold, the second draws the
same once more and writes it. Between them the host adds up the rows. The order inside a row is the order in which
threads come to it; nothing depends on it but the rounding of floating-point sums. Of a target's sources, those that
were drawn in turn are put in the order of kernels.connectivity.gather, because an edge's number is the counter of its
weight and delay.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import cuda

from kernels.compiled import CompiledNetwork, Drawn
from kernels.connectivity import ALL_TO_ALL, BERNOULLI, CHUNK_BITS, INDEGREE, ONE_TO_ONE, TOTAL, below
from kernels.cuda.inputs import normal_quantile, philox
from kernels.cuda.jit import SIMULATED, device, empty, fetch, inner, kernel, send
from kernels.draw import _BELOW_ONE, CONSTANT, EXPONENTIAL, LOGNORMAL, UNIFORM, quantile
from kernels.layout import Array, Edges
from kernels.philox import unit_scalar

_LOW, _32, _12 = np.uint64(0xFFFFFFFF), np.uint64(32), np.uint64(12)
_ZERO, _ONE, _TWO, _THREE = (np.uint64(k) for k in range(4))
SCRATCH = 2**28  # bytes of lists that threads work on
THREADS = 128  # of a block
MOST = 2**18  # threads, about as many as a large device runs at once
below_ = device(below.py_func)
unit = device(unit_scalar)


class Job(NamedTuple):
    """What the threads draw: a projection, as numbers."""

    kind: int
    number: int
    p: float
    autapses: int
    multapses: int
    n_source: int
    n_target: int
    target: int  # population
    at: int  # first row of the group
    positive: int  # receptors
    negative: int
    dt: float
    key: Array  # (4,) uint64: of the edges, of their values
    weight: Array  # (6,) see kernels.draw
    delay: Array


def job(drawn: Drawn, net: CompiledNetwork, edges: Edges) -> Job:
    """The job of a projection that belongs to ``edges``."""
    recipe, n = drawn.recipe, net.tables.n
    return Job(
        recipe.kind, recipe.number, recipe.p, int(recipe.autapses), int(recipe.multapses), int(n[drawn.source]),
        int(n[drawn.target]), drawn.target, int(edges.at[drawn.group]), *drawn.receptors, net.dt,
        np.array([*drawn.key, *drawn.values_key], np.uint64), drawn.weight, drawn.delay,
    )  # fmt: skip


@inner
def value(row, word):  # type: ignore[no-untyped-def]
    """Value of the distribution ``row`` at a word of 32 bits, as kernels.draw.fill_values."""
    kind, a, b = row[0], row[1], row[2]
    if kind == CONSTANT:
        return a
    u = row[3] + (np.float64(word) + 0.5) * ((row[4] - row[3]) * 2.3283064365386963e-10)
    if kind == UNIFORM:
        return a + u * (b - a)
    u = min(u, _BELOW_ONE)
    if kind == EXPONENTIAL:
        return -a * math.log1p(-u)
    x = a + b * normal_quantile(u)
    return math.exp(x) if kind == LOGNORMAL else x


@inner
def steps(x):  # type: ignore[no-untyped-def]
    """The nearest integer, the even one of two, but at least 1: a delay."""
    low = math.floor(x)
    up = x - low > 0.5 or (x - low == 0.5 and np.int64(low) & 1 == 1)
    return max(1, np.int64(low) + (1 if up else 0))


@inner
def bernoulli(job, t, lists, lane, keep):  # type: ignore[no-untyped-def]
    """As kernels.connectivity.bernoulli for target ``t``; returns how many, and keeps them where ``keep`` says so."""
    scale = 1.0 / math.log1p(-job.p) if 0.0 < job.p < 1.0 else 0.0
    i, number, draw = -1, 0, _ZERO
    a, b, c, d = _ZERO, _ZERO, _ZERO, _ZERO
    while job.p > 0.0:
        if draw & _ONE == _ZERO:
            a, b, c, d = philox(np.uint64(t), draw >> _ONE, _TWO, _ZERO, job.key[0], job.key[1])
            u = unit(a, b)
        else:
            u = unit(c, d)
        draw += _ONE
        jump = math.log(u) * scale
        if jump >= job.n_source:
            break
        i += 1 + int(jump)
        if i >= job.n_source:
            break
        if job.autapses > 0 or i != t:
            if keep > 0:
                lists[0, number, lane] = i
            number += 1
    return number


@inner
def pick(job, e, need, lists, lane, marks):  # type: ignore[no-untyped-def]
    """As kernels.connectivity.pick for target ``e``; ``marks`` hold a bit for each source, all 0 before and after."""
    n = job.n_source
    left = n if job.autapses > 0 else n - 1
    invert = job.multapses == 0 and need > left // 2
    todo = left - need if invert else need
    draw, done = _ZERO, 0
    a, b, c, d = _ZERO, _ZERO, _ZERO, _ZERO
    while done < todo:
        turn = draw & _THREE
        if turn == _ZERO:
            a, b, c, d = philox(np.uint64(e), draw >> _TWO, _ZERO, _ZERO, job.key[0], job.key[1])
            word = a
        elif turn == _ONE:
            word = b
        elif turn == _TWO:
            word = c
        else:
            word = d
        draw += _ONE
        other = np.int64(below_(word, n))
        if job.autapses == 0 and other == e:
            continue
        if job.multapses == 0:
            bit = np.uint32(1) << np.uint32(other & 31)
            if marks[other >> 5, lane] & bit:
                continue
            marks[other >> 5, lane] |= bit
        if not invert:
            lists[0, done, lane] = other
        done += 1
    if invert:
        done = 0
        for kept in range(n):
            marked = marks[kept >> 5, lane] & (np.uint32(1) << np.uint32(kept & 31))
            if marked == 0 and (job.autapses > 0 or kept != e):
                lists[0, done, lane] = kept
                done += 1
    if job.multapses == 0:
        for word_ in range(marks.shape[0]):
            marks[word_, lane] = 0


@inner
def ordered(lists, lane, m):  # type: ignore[no-untyped-def]
    """Put a thread's list in the order of kernels.connectivity.gather: merged upwards, which keeps equals in turn.

    ``lists[0]`` holds it; returns which of the two does in the end.
    """
    shift, width, now = 0 if m <= 32 else CHUNK_BITS, 1, 0
    while width < m:
        for lo in range(0, m, 2 * width):
            middle, end = min(lo + width, m), min(lo + 2 * width, m)
            i, j = lo, middle
            for k in range(lo, end):
                if i < middle and (j >= end or (lists[now, i, lane] >> shift) <= (lists[now, j, lane] >> shift)):
                    lists[1 - now, k, lane] = lists[now, i, lane]
                    i += 1
                else:
                    lists[1 - now, k, lane] = lists[now, j, lane]
                    j += 1
        now = 1 - now
        width *= 2
    return now


@kernel
def count_sources(job, counts):  # type: ignore[no-untyped-def]
    """counts[t] = number of sources of target t, where it is drawn; of the rules that fix a total, 0 before."""
    if job.kind == TOTAL:
        for block in range(cuda.grid(1), (job.number + 3) // 4, cuda.gridsize(1)):
            w = np.uint64(block)
            words = philox(w & _LOW, w >> _32, _ONE, _ZERO, job.key[0], job.key[1])
            for i in range(4):
                if 4 * block + i < job.number:
                    cuda.atomic.add(counts, np.int64(below_(words[i], job.n_target)), 1)
    else:
        nothing = cuda.local.array((1, 1, 1), np.uint32)
        for t in range(cuda.grid(1), job.n_target, cuda.gridsize(1)):
            counts[t] = bernoulli(job, t, nothing, 0, 0)


@kernel
def place(job, lo, hi, acc, indptr, rows, targets, weights, delays, lists, marks, fill):  # type: ignore[no-untyped-def]
    """The edges of a projection: ``fill`` 0: rows[r + 1] += those of row r; 1: written at rows[r], which moves on."""
    lane = cuda.grid(1)
    for t in range(lane, job.n_target, cuda.gridsize(1)):
        first, half = indptr[t], 0
        m = indptr[t + 1] - first
        if job.kind == INDEGREE or job.kind == TOTAL:
            pick(job, t, m, lists, lane, marks)
            if fill > 0 and weights.size + delays.size > 0:
                half = ordered(lists, lane, m)
        elif job.kind == BERNOULLI:
            bernoulli(job, t, lists, lane, 1)
        b = 0
        while hi[b, job.target] <= t:
            b += 1
        n = hi[b, job.target] - lo[b, job.target]
        slot = acc[b, job.target] + t - lo[b, job.target]
        row = job.at + b * (job.n_source + 1)
        for j in range(m):
            if job.kind == ALL_TO_ALL:
                s = np.int64(j + (1 if job.autapses == 0 and j >= t else 0))
            elif job.kind == ONE_TO_ONE:
                s = np.int64(t)
            else:
                s = np.int64(lists[half, j, lane])
            if fill == 0:
                cuda.atomic.add(rows, row + s + 1, 1)
                continue
            at, receptor = cuda.atomic.add(rows, row + s, 1), job.positive
            k = np.uint64(first + j)
            words = philox(k & _LOW, _ZERO, _ZERO, k >> _32, job.key[2], job.key[3])
            if weights.size > 0:
                w = np.float32(value(job.weight, words[0]))
                weights[at] = w
                if w < 0.0:
                    receptor = job.negative
            targets[at] = slot + receptor * n
            if delays.size > 0:
                delays[at] = steps(value(job.delay, words[1]) / job.dt)


def launch(longest: int, words: int) -> tuple[int, int]:
    """(blocks, threads of a block) so that their lists and marks fit."""
    if SIMULATED:
        return 1, 4
    number = max(32, min(MOST, SCRATCH // (8 * longest + 4 * words)))
    return max(1, number // THREADS), min(THREADS, number)


class Draw:
    """The edges of one storage kind, from counting to the rows."""

    def __init__(self, net: CompiledNetwork, edges: Edges, kind: str, drawn: list[Drawn]) -> None:
        self.net, self.edges, self.kind = net, edges, kind
        self.jobs = [job(d, net, edges) for d in drawn]
        self.places = send((net.tables.lo, net.tables.hi, net.tables.acc))

    def build(self) -> Edges:
        """The edges on the device."""
        e, kind = self.edges, self.kind
        rows, none = send(e.rows), tuple(send(a) for a in (e.targets, e.weights, e.delays))
        indptrs = [self._indptr(job) for job in self.jobs]
        for job_, indptr in zip(self.jobs, indptrs, strict=True):
            self._place(job_, indptr, rows, none, 0)
        ends = np.cumsum(fetch(rows))
        total = int(ends[-1])
        # weights and delays that are the same for a group have no arrays
        sizes = total, total if kind[0] == "v" else 0, total if kind[1] == "v" else 0
        arrays = tuple(empty(n, x.dtype) if n else y for n, x, y in zip(sizes, none, none, strict=True))
        rows = send(ends)
        for job_, indptr in zip(self.jobs, indptrs, strict=True):
            self._place(job_, indptr, rows, arrays, 1)
        rest = send(e._replace(rows=ends, targets=e.targets[:0], weights=e.weights[:0], delays=e.delays[:0]))
        return Edges(*rest)._replace(**dict(zip(("targets", "weights", "delays"), arrays, strict=True)))

    def _indptr(self, job_: Job) -> np.ndarray:
        n_source, n = job_.n_source, job_.n_target
        if job_.kind in (TOTAL, BERNOULLI):
            counts = send(np.zeros(n, np.int64))
            count_sources[launch(1, 0)](send(job_), counts)
            each = fetch(counts)
        elif job_.kind == ALL_TO_ALL:
            each = np.full(n, n_source - (0 if job_.autapses else 1))
        else:
            each = np.full(n, job_.number if job_.kind == INDEGREE else 1)
        return np.concatenate(([0], np.cumsum(each))).astype(np.int64)

    def _place(self, job_: Job, indptr: np.ndarray, rows: Any, arrays: tuple[Any, ...], fill: int) -> None:
        listed = job_.kind in (INDEGREE, TOTAL, BERNOULLI)
        longest = int(np.diff(indptr).max(initial=1)) if listed else 1
        words = 1 if job_.multapses else -(-job_.n_source // 32)
        config = launch(longest, words)
        lanes = config[0] * config[1]
        lists = empty((2, longest, lanes), np.uint32)
        marks = send(np.zeros((words, lanes), np.uint32))
        place[config](send(job_), *self.places, send(indptr), rows, *arrays, lists, marks, fill)


def drawn_bytes(net: CompiledNetwork) -> tuple[int, int]:
    """(bytes of the edges that are to be drawn, bytes needed beside them while they are), about.

    Where a number is random it is taken six standard deviations above its mean.
    """
    kept = most = 0
    for k, drawn in net.drawn.items():
        e, kind = net.edges[k], net.kinds[k]
        size = e.targets.itemsize + (4 if kind[0] == "v" else 0) + (e.delays.itemsize if kind[1] == "v" else 0)
        n = sum(_high(d.expected) if d.recipe.kind == BERNOULLI else d.expected for d in drawn)
        kept += int(n) * size + sum(a.nbytes for a in e)
        most = max([most, *(e.rows.nbytes + _scratch(d, net) for d in drawn)])
    return kept, most


def _high(mean: float) -> float:
    return mean + 6.0 * math.sqrt(mean)


def _scratch(drawn: Drawn, net: CompiledNetwork) -> int:
    n_source, n_target = (int(net.tables.n[p]) for p in (drawn.source, drawn.target))
    listed = drawn.recipe.kind in (TOTAL, BERNOULLI)
    longest = math.ceil(_high(drawn.expected / n_target)) if listed else max(drawn.recipe.number, 1)
    words = 1 if drawn.recipe.multapses else -(-n_source // 32)
    blocks, threads = launch(longest, words)
    return blocks * threads * (8 * longest + 4 * words) + 8 * (n_target + 1)


def largest_weight(drawn: Drawn) -> float:
    """No weight of the projection is larger in size: the larger of its law's quantiles at both ends of 32 bits."""
    return max(abs(float(quantile(drawn.weight, u))) for u in (2.0**-33, 1.0 - 2.0**-33))


__all__ = ["Draw", "drawn_bytes", "largest_weight"]
