"""Plastic synapses on the device (phase 4): each is brought up to date, changed and delivered by one thread.

A window is one step here, so that a source's spikes come one after another. What a source was before its spike is kept
aside (``came_...``) when it fires, because many threads read it then. Targets note their spikes and traces as they
fire; synapses read them when they are brought up to date. Before a target's notes run full, all synapses are (a sweep),
and where the rule has a modulator or an observer, at the ends of epochs, as in the other engines.
"""

import inspect
import re
from collections import namedtuple
from collections.abc import Callable
from functools import cache
from typing import Any

from kernels import codegen
from kernels.cuda.layout import Learned, Synapses
from kernels.rule_text import TRACE_END, RuleText, observe_source
from kernels.spec import RuleSpec, ShortTermSpec

_RULE = '''
@inner
def bring_up_{n}(plastic, edges, k, j, d, done, last, settled, until, fire, settle{lasts}):
    """Replay what synapse ``k`` has yet to see up to step ``until``; ``fire``: its source's spike arrives then."""
{constants}
    history, decay, variables, weights, block = plastic.history, plastic.decay, plastic.variables, edges.weights, 0
    last_entry, mask = decay.shape[1] - 1, history.shape[1] - 1
    before = max(last, settled)
{hoist}
{replay}
{settle}
    bad = {bad}
    if fire > 0:
        n_target, offset = plastic.n, plastic.slots - 1
        at = np.uint64(((until - d) & offset) * n_target) + j
{arrival}
        bad = bad or {bad}
    if bad and plastic.fault[0, 0] < 0:
        plastic.fault[0, 0], plastic.fault[0, 1] = until, k


@inner
def arrive_{n}(plan, tables, plastic, edges, ring, b, i, k, step, number):
    """Deliver ``number`` spikes of source ``i`` through synapse ``k`` of block ``b``."""
    decay, d = plastic.decay, {delay} - plastic.axonal
    last_entry, target = decay.shape[1] - 1, np.int64(edges.targets[k])
    at = plan.ring[b] + ((step + d) & plan.mask) * tables.stride[b] + target
    j = np.uint64(target + plastic.origin[b])
    # all may have been settled since the source fired
    last, done = plastic.came_last[i], max(plastic.came_done[i], plastic.settled[0])
{came}
    for _ in range(number):
        since = step - last
{short}
        if plastic.learning[0] > 0:
            bring_up_{n}(plastic, edges, k, j, d, done, last, plastic.settled[0], step, 1, 1{lasts})
        add(ring, at, {delivered}, plan.unit)
{jump}
        last = done = step


@inner
def learn_{n}(thread, threads, step, half, plan, tables, plastic, edges, ring, out):
    """The spikes of ``step``: a team of warps for each and a block."""
    blocks, warps = tables.lo.shape[0], threads // plan.width
    m = out.counts[half] * blocks
    team = max(warps // max(m, 1), 1)
    first, width = thread % (team * plan.width), team * plan.width
    for y in range(thread // width, m if thread < warps // team * width else 0, warps // team):
        x, b = y // blocks, y % blocks
        if out.spikes[half, x, 0] == plastic.source:
            i, number = np.int64(out.spikes[half, x, 1]), out.spikes[half, x, 3]
            r = edges.at + b * (edges.n_source + 1) + i
            for k in range(edges.rows[r] + first, edges.rows[r + 1], width):
                arrive_{n}(plan, tables, plastic, edges, ring, b, i, k, step, number)


@inner
def fired_{n}(plastic, p, row, step, number):
    """Neuron ``row`` of population ``p`` fires: as source, as carrier of the modulator."""
    if p == plastic.source:
        decay, since = plastic.decay, step - plastic.last[row]
        last_entry = decay.shape[1] - 1
        plastic.came_last[row], plastic.came_done[row] = plastic.last[row], plastic.done[row]
{keep}
        for _ in range(number):
{move}
            since = np.int64(0)
        plastic.last[row] = plastic.done[row] = step
{carry}

{observe}


@inner
def note_{n}(plastic, out, state, j, step, fired, window):
    """Target ``j`` moves through ``step``: its traces, its notes of its spikes, its observer."""
    mask, c = plastic.history.shape[1] - 1, plastic.seen[j]
    now = (step & (plastic.slots - 1)) * plastic.n + j
    then = ((step + 1) & (plastic.slots - 1)) * plastic.n + j
{traces}
    if fired > 0:
        plastic.history[j, c & mask] = step
        plastic.seen[j] = c + 1
        if c + 1 - plastic.swept[j] >= mask - plastic.longest - 2 * window:
            out.counts[{due}] = 1
{call_observe}


@inner
def sweep_{n}(thread, threads, plan, tables, plastic, edges, until, settle, epoch):
    """Bring all synapses up to date at step ``until``; ``settle``: they are then as of ``until``, not of an event.

    ``epoch``: spikes of that step are yet to be delivered.
    """
    blocks, rows, lane = tables.lo.shape[0], edges.n_source, thread % plan.width
    for y in range(thread // plan.width, rows * blocks if plastic.learning[0] > 0 else 0, threads // plan.width):
        b, i = y // rows, y % rows
        r = edges.at + b * (rows + 1) + i
        done, last = plastic.done[i], plastic.last[i]
{pres}
        if epoch > 0 and last == until:
            done, last = plastic.came_done[i], plastic.came_last[i]
{came_pres}
        for k in range(edges.rows[r] + lane, edges.rows[r + 1], plan.width):
            j, d = np.uint64(np.int64(edges.targets[k]) + plastic.origin[b]), {delay} - plastic.axonal
            bring_up_{n}(
                plastic, edges, k, j, d, done, last, plastic.settled[0], until, 0, settle{lasts}
            )


@inner
def swept_{n}(thread, threads, plastic, edges, out, until, settle, epoch):
    """After a sweep, and when all threads have ended it; ``epoch``: it was one of the modulator's."""
    for i in range(thread, edges.n_source, threads):
        plastic.done[i] = until
    for j in range(thread, plastic.n, threads):
        plastic.swept[j] = plastic.seen[j]
{new_each}
    if thread == 0:
        out.counts[{due}] = 0
        if settle > 0:
            plastic.settled[0] = until
{new_epoch}

{signal}


@cuda.jit
def sweep_launch_{n}(plan, tables, plastic, edges, until, settle, epoch):
    """A sweep by itself, first part."""
    sweep_{n}(cuda.grid(1), cuda.gridsize(1), plan, tables, plastic, edges, until, settle, epoch)


@cuda.jit
def swept_launch_{n}(plastic, edges, out, until, settle, epoch):
    """A sweep by itself, second part."""
    swept_{n}(cuda.grid(1), cuda.gridsize(1), plastic, edges, out, until, settle, epoch)
'''
_SIGNAL = '''
@inner
def begin_signal_{n}(plastic, step):
    """The modulator at ``step``; one thread."""
    at, place = step & (plastic.signal_value.shape[1] - 1), step & (plastic.signal_jumps.shape[1] - 1)
    plastic.signal_value[0, at] = plastic.signal_now[0, 0] + plastic.signal_jump * plastic.signal_jumps[0, place]
    plastic.signal_jumps[0, place] = 0
    plastic.signal_sum[0, at] = plastic.signal_now[0, 1]


@inner
def end_signal_{n}(plastic, step):
    """The modulator just before the next step; one thread."""
    value = plastic.signal_value[0, step & (plastic.signal_value.shape[1] - 1)]
    plastic.signal_now[0, 0] = value * plastic.signal_factor
    plastic.signal_now[0, 1] += value * {discount} * plastic.signal_gain
'''
# parts of what is above, for rules with a modulator, and for those whose synapses are settled at the ends of epochs
_CARRY = """\
if p == plastic.signal:
    place = (step + plastic.signal_delay) & (plastic.signal_jumps.shape[1] - 1)
    cuda.atomic.add(plastic.signal_jumps, (0, place), number)"""
_NEW_EACH = """\
if epoch > 0:
    plastic.signal_each[1, j] = plastic.signal_each[0, j]"""
_NEW_EPOCH = """\
if epoch > 0 and until & (plastic.epoch - 1) == 0:
    plastic.signal_sum[0, until & (plastic.signal_sum.shape[1] - 1)] = plastic.signal_now[0, 1] = 0.0"""
_FLAGS = 4  # of Out.counts, those before serve all networks


def due(n: int) -> int:
    """Place in Out.counts of the flag that asks for a sweep of plastic projection ``n``."""
    return _FLAGS + n


def moves(spec: RuleSpec) -> bool:
    """Whether the rule has a modulator or an observer: its synapses are settled at the ends of epochs."""
    return spec.modulator is not None or spec.observer is not None


def _lines(indent: int, lines: list[str]) -> str:
    return "\n".join(" " * indent + line for text in lines for line in text.splitlines())


def source(n: int, spec: RuleSpec, short_term: ShortTermSpec | None, drawn: bool) -> str:
    """Source text for plastic projection ``n``; ``drawn``: synapses have delays of their own."""
    text = RuleText(spec, f"_{n}")
    values, lasts = ", ".join(text.values), [f"last_{t.name}" for t in text.pre]
    replay, settle = [], []
    if spec.on_post or spec.flow:
        replay = text.replay()
    if spec.flow:
        settle = ["if settle > 0:", "    now = max(before, g + d)"]
        settle += [f"    {line}" for line in text.arguments("settle")]
        settle += [f"    {values} = flow_{n}({text.call('flow', text.values)})"]
    arrival = [*text.at_arrival(), *text.arguments("on_pre")]
    arrival.append(f"{values} = on_pre_{n}({text.call('on_pre', text.values)})")
    jump = [
        f"last_{t.name} = " + ("1.0" if t.nearest else f"last_{t.name} * {text.decayed(k, 'since')} + 1.0")
        for k, t in enumerate(text.pre)
    ]
    came = [f"last_{t.name} = plastic.came_pre[i, {k}]" for k, t in enumerate(text.pre)]
    keep = [f"plastic.came_pre[row, {k}] = plastic.pre[row, {k}]" for k in range(len(text.pre))]
    short: list[str] = []
    move: list[str] = []
    functions: dict[str, Callable[..., object]] = {f"{name}_{n}": f for name, f in spec.functions().items()}
    if short_term:
        names = [v.name for v in short_term.state]
        functions[f"on_spike_{n}"] = short_term.on_spike
        came += [f"short_{name} = plastic.came_short[i, {m}]" for m, name in enumerate(names)]
        keep += [f"plastic.came_short[row, {m}] = plastic.short[row, {m}]" for m in range(len(names))]
        constants = [f"rule_{c} = plastic.short_constants[{k}]" for k, c in enumerate(short_term.constants)]
        came += constants
        for where, held in ((short, [f"short_{name}" for name in names]),
                            (move, [f"plastic.short[row, {m}]" for m in range(len(names))])):  # fmt: skip
            known = dict(zip(names, held, strict=True))
            taken = inspect.signature(short_term.on_spike).parameters
            where += constants if where is move else []
            where.append("rule_h = since * plastic.dt")
            where.append(f"{', '.join([*held, 'scale'])} = on_spike_{n}("
                         + ", ".join(known.get(a, f"rule_{a}") for a in taken) + ")")  # fmt: skip
    traces = []
    for k, t in enumerate(text.post):
        at = f"{k} * plastic.slots * plastic.n"
        traces.append(f"value = plastic.trace[{at} + now]")
        traces.append("if fired > 0:")
        traces += [f"    plastic.post[j, c & mask, {text.kept.index(t.name)}] = value"] if t.name in text.kept else []
        traces.append(f"    value = {'1.0' if t.nearest else 'value + 1.0'}")
        traces.append(f"value *= plastic.factor[{k}]")
        traces.append(f"plastic.trace[{at} + then] = value if value > {TRACE_END} else 0.0")
    observe, call_observe = observe_source(spec), []
    if spec.observer:
        functions[f"observer_step_{n}"] = spec.observer.step
        observe = observe.replace("def observe(", f"def observe_{n}(").replace("observer_step(", f"observer_step_{n}(")
        call_observe = [
            f"observe_{n}(",
            "    plastic.reads, plastic.observed, plastic.late, plastic.values, plastic.sums, plastic.sums_epoch,",
            "    plastic.decay, plastic.constants, state.f, (fired,), plastic.n, plastic.span, plastic.dt, j, 1, step",
            ")",
        ]
    rule = _RULE.format(
        n=n,
        due=due(n),
        lasts="".join(f", {name}" for name in lasts),
        pres=_lines(8, [f"{name} = plastic.pre[i, {k}]" for k, name in enumerate(lasts)]),
        came_pres=_lines(12, [f"{name} = plastic.came_pre[i, {k}]" for k, name in enumerate(lasts)]),
        constants=_lines(4, text.constants()),
        hoist=_lines(4, text.hoist()),
        replay=_lines(4, replay),
        settle=_lines(4, settle),
        arrival=_lines(8, arrival),
        bad=" or ".join(f"not abs({value}) < np.inf" for value in text.values),
        delay="np.int64(edges.delays[k])" if drawn else "edges.delay",
        came=_lines(4, came),
        short=_lines(8, short),
        delivered="edges.weights[k] * scale" if short_term else "edges.weights[k]",
        jump=_lines(8, jump),
        keep=_lines(8, keep),
        move=_lines(12, [*move, *text.jump_pre()]),
        observe=observe,
        traces=_lines(4, traces),
        call_observe=_lines(4, call_observe),
        carry=_lines(4, [_CARRY] if spec.modulator else []),
        new_each=_lines(8, [_NEW_EACH] if moves(spec) else []),
        new_epoch=_lines(8, [_NEW_EPOCH] if moves(spec) else []),
        signal=_SIGNAL.format(n=n, discount=text.discount()) if spec.modulator else "",
    )
    return "\n\n".join([*codegen.sources(functions, False), rule])


@cache
def _part(name: str, fields: tuple[str, ...]) -> Any:
    return namedtuple(name, fields)


def used(
    spec: RuleSpec, short_term: ShortTermSpec | None, drawn: bool, learned: Learned, synapses: Synapses
) -> tuple[Any, Any]:
    """Of the arrays of a plastic projection those that its code reads: what a kernel takes as arguments is limited."""
    found = []
    for name, value in (("plastic", learned), ("edges", synapses)):
        fields = re.findall(rf"\b{name}\.(\w+)", _text(spec, short_term, drawn))
        kept = tuple(f for f in value._fields if f in fields)
        found.append(_part(name, kept)(*(getattr(value, f) for f in kept)))
    return found[0], found[1]


@cache
def _text(spec: RuleSpec, short_term: ShortTermSpec | None, drawn: bool) -> str:
    return source(0, spec, short_term, drawn) + "".join(calls(0, spec).values()).replace("learned_0", "plastic")


def calls(n: int, spec: RuleSpec) -> dict[str, str]:
    """What the loop does for plastic projection ``n``, by place: see kernels.cuda.generate."""
    x = f"learned_{n}, synapses_{n}"
    found = {
        "neurons": f"if p == learned_{n}.target:\n    note_{n}(learned_{n}, out, state, i, step, fired, plan.window)\n",
        "emit": f"fired_{n}(learned_{n}, p, i, step, number)",
        "deliver": f"learn_{n}(thread, threads, begin, half, plan, tables, {x}, ring, out)",
        "ask": f"due_{n} = out.counts[{due(n)}]",  # here: in the next window, neurons set it while others still read
        "due": f"if due_{n} > 0:\n"
        f"    sweep_{n}(thread, threads, plan, tables, {x}, begin, 0, 0)\n"
        "    grid.sync()\n"
        f"    swept_{n}(thread, threads, {x}, out, begin, 0, 0)\n"
        "    grid.sync()",
    }
    if spec.modulator:
        found["begin"] = f"begin_signal_{n}(learned_{n}, begin)"
        found["end"] = f"end_signal_{n}(learned_{n}, begin)"
    if moves(spec):
        found["settle"] = (
            f"if begin & (learned_{n}.epoch - 1) == 0 or begin == learned_{n}.signal_set[0]:\n"
            f"    sweep_{n}(thread, threads, plan, tables, {x}, begin, 1, 1)\n"
            "    grid.sync()\n"
            f"    swept_{n}(thread, threads, {x}, out, begin, 1, 1)\n"
            "    grid.sync()"
        )
    return found
