"""Plastic projections -> flat arrays of the clock engine."""

import math
from typing import Any

import numpy as np

from kernels.cpu.learn import RECENT, work_rows
from kernels.layout import NEVER, PIECE, Edges, Plastic, Tables, aligned, zeros
from kernels.rule_text import TRACE_END, of_source, post_at_spike, watched
from kernels.spec import RuleSpec
from snn.compile_edges import edge_places
from snn.compile_synapses import (
    constants_of,
    draw_key,
    has_own,
    part_of,
    rule_of,
    short_constants,
    short_rows,
    short_term_of,
    variables_of,
)
from snn.connect import EdgeList
from snn.elements import Projection
from snn.network import Network

EPOCH = 2**15  # steps after which all synapses of a rule with a modulator are settled at the latest
OBSERVED = 2**9  # with an observer, they are after this many at most: what is observed is kept as long
DECAYS = 2**17  # longest table of decays by single steps
HISTORY = 64  # postsynaptic spikes that a plastic synapse may have yet to see, but for those under way


def plastic(
    net: Network,
    projection: Projection,
    drawn: EdgeList,
    edges: Edges,
    index: dict[str, int],
    tables: Tables,
    most: np.ndarray,
    delays: tuple[int, int],
    state_f: np.ndarray,
) -> Plastic:
    """State of a plastic projection before the first step.

    ``drawn``: its edges, if synapses have constants of their own; ``most``: spikes a step of an element by
    population; ``delays``: the smallest and the largest, in steps; ``state_f``: State.f.
    """
    rule, short, dt = rule_of(projection), short_term_of(projection), tables.dt
    source, target = index[projection.source.name], index[projection.target.name]
    constants = constants_of(net, projection, drawn, dt)
    own = slice(*tables.first_block[[0, -1]])
    lo, hi = tables.lo[own, target], tables.hi[own, target]
    blocks, first, n = len(lo), int(lo[0]), int(hi[-1] - lo[0])
    rows, synapses = blocks * projection.source.n, edges.targets.size
    axonal = round(projection.axonal_delay / dt)
    longest, lag = delays[1], delays[0] - axonal
    fired = _power(int((tables.hi - tables.lo)[:, target].max(initial=0) * most[target]) * (lag + tables.window))
    receptor = projection.receptors[0]
    places: Any = slice(None)
    if has_own(projection):  # of ranks, ``drawn`` may reach beyond the own targets
        here = slice(*drawn.indptr[[first, first + n]].tolist())
        places = edge_places(index, tables, projection, drawn, edges)[here]
        constants = part_of(constants, here.start, here.stop)
    variables = variables_of(rule, short, constants, synapses, places)
    values, short_values = constants
    taus = {side: np.array([values[t.tau] for t in rule.side(side)]) for side in ("pre", "post", "between")}
    waiting = _power(int(projection.source.n * most[source]) * (axonal + tables.window))
    return Plastic(
        source=source, target=target, first=first, n=n, longest=longest, lag=lag, axonal=axonal, dt=dt,
        slots=_power(longest + tables.window),
        origin=lo - first - tables.acc[own, target] - receptor * (hi - lo),
        constants=np.array([values[name] for name in rule.shared]),
        decay=_decay_table(taus["pre"], taus["between"], _epoch(rule, values, dt), dt),
        factor=np.exp(-dt / taus["post"]),
        learning=np.ones(1, np.int64), settled=np.full(blocks, -1, np.int64), key=draw_key(net, projection),
        pre=np.zeros((rows, len(of_source(rule)))),
        last=np.full(rows, NEVER), done=np.full(rows, -1, np.int64), variables=variables, seen=np.zeros(n, np.int64),
        fired=np.zeros((blocks, fired), np.uint32),
        fired_end=np.zeros((blocks, _power(lag + tables.window)), np.uint64),
        swept=np.zeros(n, np.int64), recent=aligned(np.full((RECENT + 1, n), NEVER)),
        history=np.full((n, _power(longest + 2 * tables.window + HISTORY)), NEVER),
        post=np.zeros((n, _power(longest + 2 * tables.window + HISTORY), len(post_at_spike(rule)))),
        trace=zeros(len(taus["post"]) * _power(longest + tables.window) * n, np.float64),
        work=np.zeros((blocks, len(work_rows(rule, short)), PIECE)), lists=np.zeros((blocks, RECENT, PIECE), np.uint16),
        ends=np.zeros((blocks, RECENT), np.uint64),
        **_signal(projection, index, tables, values, blocks, slice(first, first + n)),
        **_observed(projection, index, tables, values, longest, state_f, first, n),
        waiting=np.zeros((blocks, waiting), np.uint32),
        waiting_end=np.zeros((blocks, _power(axonal + tables.window)), np.uint64),
        short_constants=short_constants(net, projection, short_values),
        short=short_rows(projection, short_values, rows), rewired=np.zeros(1, np.int64),
        fault=np.full((blocks, 2), -1, np.int64),
    )  # fmt: skip


def _signal(
    projection: Projection, index: dict[str, int], tables: Tables, values: dict[str, float], blocks: int, own: slice
) -> dict[str, Any]:  # fmt: skip
    """The part of Plastic that holds the modulator; ``own``: the targets of this process."""
    signal, found = rule_of(projection).modulator, projection.modulation
    dt = tables.dt
    delay = round(found.delay / dt) if found and found.source else 0
    now, rate, epoch, growth = np.zeros((blocks, 2)), 0.0, _epoch(rule_of(projection), values, dt), np.ones(1)
    each, varies = np.ones((2, own.stop - own.start)), 0
    if signal and found:
        now[:, 0] = 1.0 if np.ndim(found.value) else found.value
        if isinstance(found.value, np.ndarray):
            each[:], varies = found.value[own], int(np.any(found.value != 1.0))
        discount = [values[t.tau] for t in rule_of(projection).side("between") if t.name == signal.discount]
        rate = sum(1.0 / tau for tau in discount)
        growth = np.exp(np.arange(epoch) * dt * rate)
    decline = 1.0 / values[signal.tau] if signal and signal.tau else 0.0
    now[:, 0] *= math.exp(-dt * decline)  # that of the first step is taken at its end
    rate += decline
    return {
        "signal": index[found.source.name] if found and found.source else -1, "signal_delay": delay,
        "signal_factor": math.exp(-dt * decline), "signal_gain": -math.expm1(-dt * rate) / rate if rate else dt,
        "signal_jump": values[signal.jump] if signal and signal.jump else 0.0,
        "epoch": epoch, "signal_growth": growth, "signal_now": now, "signal_each": each,
        "signal_set": np.array([-1, varies]),
        "signal_jumps": np.zeros((blocks, _power(delay + tables.window)), np.int64),
        "signal_value": np.zeros((blocks, 2 * epoch)), "signal_sum": np.zeros((blocks, 2 * epoch)),
    }  # fmt: skip


def _epoch(rule: RuleSpec, values: dict[str, float], dt: float) -> int:
    """Steps after which all synapses are settled: a power of two; 1 where they never are."""
    signal = rule.modulator.discount if rule.modulator else None
    limits = [_sum_epoch(values[t.tau], dt) for t in rule.side("between") if t.name == signal]
    limits += [OBSERVED] if rule.observer else []
    limits += [EPOCH] if rule.modulator else []
    return min(limits, default=1)


def _sum_epoch(tau: float, dt: float) -> int:
    """Steps of a sum that is discounted by ``tau``: it loses digits where the discount has become small."""
    return _power(int(min(2.0 / (1.0 / tau) / dt, EPOCH / 2)))


def _observed(
    projection: Projection, index: dict[str, int], tables: Tables, values: dict[str, float], longest: int,
    state_f: np.ndarray, first: int, n: int,
) -> dict[str, Any]:  # fmt: skip
    """The part of Plastic that holds the observer of the rule, of ``n`` targets from ``first`` on."""
    rule, spec, dt = rule_of(projection), projection.target.spec, tables.dt
    observer, target = rule.observer, index[projection.target.name]
    if observer is None or spec is None:
        none, array = np.zeros((0, 0)), np.zeros(0)
        return {"reads": np.zeros(0, np.int64), "observed": none, "late": np.zeros((0, 0, 0)), "span": 1,
                "values": array, "sums": array, "sums_epoch": np.zeros(0, np.int64), "sums_growth": none,
                "sums_across": array}  # fmt: skip
    names = [v.name for v in spec.state if v.dtype == "float"]
    reads = {a: int(tables.state_f[target] + names.index(a) * tables.pad[target]) + first for a in observer.reads}
    observed = np.empty((len(observer.state), n))
    for k, var in enumerate(observer.state):
        at = reads.get(str(var.init))
        observed[k] = state_f[at : at + n] if at is not None else values.get(str(var.init), var.init)
    late = 0 if observer.delay is None else max(1, round(values[observer.delay] / dt))
    tau = {t.name: values[t.tau] for t in rule.side("between")}
    span = _power(_epoch(rule, values, dt) + longest + 2 * tables.window)
    rates = np.array([1.0 / tau[x.discount] for x in observer.integrals])
    epochs = np.array([min(_sum_epoch(tau[x.discount], dt), OBSERVED) for x in observer.integrals], np.int64)
    return {
        "reads": np.array(list(reads.values()), np.int64), "observed": observed,
        "late": np.tile(observed, (late, 1, 1)), "span": span,
        "values": zeros(len(watched(rule)) * span * n, np.float64),
        "sums": zeros(len(observer.integrals) * span * n, np.float64),
        "sums_epoch": epochs, "sums_across": np.exp(-epochs * dt * rates),
        # beyond its epoch a row is read where the result is not used
        "sums_growth": np.exp(np.minimum(np.arange(epochs.max(initial=1)), epochs[:, None]) * dt * rates[:, None]),
    }  # fmt: skip


def _decay_table(pre: np.ndarray, between: np.ndarray, epoch: int, dt: float) -> np.ndarray:
    """Plastic.decay: exp(-k dt / tau). The traces between events end with an epoch, if there are such."""
    ends = [-math.log(TRACE_END) * tau / dt for tau in (*pre, *(between if epoch == 1 else ()))]
    taus, length = np.concatenate((pre, between)), max([*ends, epoch]) + 2.0
    if length > DECAYS:
        steps = np.arange(2.0**14) * np.array([[1.0], [2.0**14], [2.0**28]])
        leaps: np.ndarray = np.exp(-steps * dt / taus[:, None, None])
        return leaps.ravel()
    table: np.ndarray = np.exp(-np.arange(math.ceil(length)) * dt / taus[:, None])
    table[:, -1] = 0.0
    return table


def _power(n: int) -> int:
    """The next power of two above ``n``."""
    return 1 << int(n).bit_length()
