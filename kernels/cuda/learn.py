"""Plastic synapses on the device (phase 4): each is brought up to date, changed and delivered by one thread.

A window is one step here, so that a source's spikes come one after another. What a source was before its spike is kept
aside (``came_...``) when it fires, because many threads read it then. Targets note their spikes and traces as they
fire; synapses read them when they are brought up to date. Where part of the delay is axonal, spikes wait by the step in
which they meet the synapses, and the source is moved then. Before a target's notes run full, all synapses are brought
up to date (a sweep), and where the rule has a modulator or an observer, at the ends of epochs, as in the other engines.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from kernels import codegen, packed
from kernels.cuda.layout import Learned, Synapses
from kernels.rule_text import TRACE_END, RuleText, applied, draw, draw_keys, observe_source, of_source, spike_factor
from kernels.spec import RuleSpec, ShortTermSpec

_RULE = '''
@inner
def bring_up_{n}(learned, n, k, j, d, done, last, settled, until, fire, settle{lasts}):
    """Replay what synapse ``k`` of projection ``n`` has yet to see up to step ``until``; ``fire``: its source's
    spike arrives then."""
    plastic, edges = plastic_{n}(learned, n), synapses_{n}(learned, n)
{constants}
    history, variables, weights, block = plastic.history, plastic.variables, edges.weights, 0
    mask, before = history.shape[1] - 1, max(last, settled)
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
def arrive_{n}(plan, tables, n, ring, b, i, k, step, number):
    """Deliver ``number`` spikes of source ``i`` through synapse ``k`` of projection ``n`` and block ``b``."""
    plastic, edges = plastic_{n}(plan.learned, n), synapses_{n}(plan.learned, n)
    variables, d, target = plastic.variables, {delay} - plastic.axonal, np.int64(edges.targets[k])
    at = plan.ring[b] + ((step + d) & plan.mask) * tables.stride[b] + target
    j = np.uint64(target + plastic.origin[b])
    # all may have been settled since the source fired
    last, done = plastic.came_last[i], max(plastic.came_done[i], plastic.settled[0])
{came}
    for _ in range(number):
        since = step - last
{short}
        if {applied}:
            bring_up_{n}(plan.learned, n, k, j, d, done, last, plastic.settled[0], step, 1, 1{lasts})
        add(ring, at, {delivered}, plan.unit)
{jump}
        last = done = step


@inner
def learn_{n}(thread, threads, step, half, plan, tables, n, ring, out):
    """The spikes of ``step`` through projection ``n``: a team of warps for each and a block."""
    plastic, edges = plastic_{n}(plan.learned, n), synapses_{n}(plan.learned, n)
    blocks, warps = tables.lo.shape[0], threads // plan.width
    m = {number} * blocks
    team = max(warps // max(m, 1), 1)
    first, width = thread % (team * plan.width), team * plan.width
    for y in range(thread // width, m if thread < warps // team * width else 0, warps // team):
        x, b = y // blocks, y % blocks
        if {is_source}:
            i, number = {spike}
            r = edges.at + b * (edges.n_source + 1) + i
            for k in range(edges.rows[r] + first, edges.rows[r + 1], width):
                arrive_{n}(plan, tables, n, ring, b, i, k, step, number)


@inner
def meet_{n}(learned, n, row, step, number):
    """A spike of source ``row`` of projection ``n`` meets its synapses."""
    plastic = plastic_{n}(learned, n)
    since = step - plastic.last[row]
    plastic.came_last[row], plastic.came_done[row] = plastic.last[row], plastic.done[row]
{keep}
    for _ in range(number):
{move}
        since = np.int64(0)
    plastic.last[row] = plastic.done[row] = step


@inner
def fired_{n}(learned, n, p, row, step, number):
    """Neuron ``row`` of population ``p`` fires: as source of projection ``n``, as carrier of its modulator."""
    plastic = plastic_{n}(learned, n)
    if p == plastic.source:
{leave}
{carry}

{observe}


@inner
def note_{n}(learned, n, out, half, state, j, step, fired, window):
    """Target ``j`` of projection ``n`` moves through ``step``: its traces, its notes of its spikes, its observer."""
    plastic = plastic_{n}(learned, n)
    mask, c = plastic.history.shape[1] - 1, plastic.seen[j]
    now = (step & (plastic.slots - 1)) * plastic.n + j
    then = ((step + 1) & (plastic.slots - 1)) * plastic.n + j
{traces}
    if fired > 0:
        plastic.history[j, c & mask] = step
        plastic.seen[j] = c + 1
        if c + 1 - plastic.swept[j] >= mask - plastic.longest - 2 * window:
            out.counts[{flags} + 2 * n + half] = 1
{call_observe}


@inner
def sweep_{n}(thread, threads, plan, tables, n, until, settle, epoch):
    """Bring all synapses of projection ``n`` up to date at step ``until``; ``settle``: they are then as of ``until``,
    not of an event. ``epoch``: spikes of that step are yet to be delivered.
    """
    plastic, edges = plastic_{n}(plan.learned, n), synapses_{n}(plan.learned, n)
    blocks, rows, lane = tables.lo.shape[0], edges.n_source, thread % plan.width
    for y in range(thread // plan.width, rows * blocks if {applied} else 0, threads // plan.width):
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
                plan.learned, n, k, j, d, done, last, plastic.settled[0], until, 0, settle{lasts}
            )


@inner
def swept_{n}(thread, threads, learned, n, out, until, settle, epoch):
    """After a sweep, and when all threads have ended it; ``epoch``: it was one of the modulator's."""
    plastic = plastic_{n}(learned, n)
    for i in range(thread, plastic.done.size, threads):
        plastic.done[i] = until
    for j in range(thread, plastic.n, threads):
        plastic.swept[j] = plastic.seen[j]
{new_each}
    if thread == 0:
        out.counts[{flags} + 2 * n] = out.counts[{flags} + 2 * n + 1] = 0
        if settle > 0:
            plastic.settled[0] = until
{new_epoch}

{signal}

'''
_SIGNAL = '''
@inner
def begin_signal_{n}(learned, n, step):
    """The modulator at ``step``; one thread."""
    plastic = plastic_{n}(learned, n)
    at, place = step & (plastic.signal_value.shape[1] - 1), step & (plastic.signal_jumps.shape[1] - 1)
    plastic.signal_value[0, at] = plastic.signal_now[0, 0] + plastic.signal_jump * plastic.signal_jumps[0, place]
    plastic.signal_jumps[0, place] = 0
    plastic.signal_sum[0, at] = plastic.signal_now[0, 1]


@inner
def end_signal_{n}(learned, n, step):
    """The modulator just before the next step; one thread."""
    plastic = plastic_{n}(learned, n)
    value = plastic.signal_value[0, step & (plastic.signal_value.shape[1] - 1)]
    plastic.signal_now[0, 0] = value * plastic.signal_factor
    plastic.signal_now[0, 1] += value * {discount} * plastic.signal_gain
'''
_ENDS = '''
@inner
def ends_{n}(learned, n, begin):
    """Whether an epoch of projection ``n`` ends at step ``begin``, or its modulator is set there."""
    plastic = plastic_{n}(learned, n)
    return begin & (plastic.epoch - 1) == 0 or begin == plastic.signal_set[0]
'''
_AXON = '''
@inner
def arrivals_{n}(thread, threads, learned, n, step):
    """Spikes that have come along the axon meet the synapses; those of the step before have been delivered."""
    plastic = plastic_{n}(learned, n)
    mask = plastic.axon_count.size - 1
    for x in range(thread, plastic.axon_count[step & mask], threads):
        meet_{n}(learned, n, np.int64(plastic.axon[step & mask, x, 0]), step, np.int64(plastic.axon[step & mask, x, 1]))
    if thread == 0:
        plastic.axon_count[(step - 1) & mask] = 0
'''
_LEAVE = """\
place = (step + plastic.axonal) & (plastic.axon_count.size - 1)
x = cuda.atomic.add(plastic.axon_count, place, 1)
plastic.axon[place, x, 0], plastic.axon[place, x, 1] = row, number"""
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
FLAGS = 4  # of Out.counts, those before serve all networks
TARGET = 1 + Learned._fields.index("target")  # in a row of Plan.learned, after numbers that all have


def due(n: int) -> slice:
    """Places in Out.counts of the flags that ask for a sweep of plastic projection ``n``, in windows of each parity."""
    return slice(FLAGS + 2 * n, FLAGS + 2 * n + 2)


def moves(spec: RuleSpec) -> bool:
    """Whether the rule has a modulator or an observer: its synapses are settled at the ends of epochs."""
    return spec.modulator is not None or spec.observer is not None


def _lines(indent: int, lines: list[str]) -> str:
    return "\n".join(" " * indent + line for text in lines for line in text.splitlines())


class Rule(NamedTuple):
    """What the code for a plastic projection depends on."""

    spec: RuleSpec
    short_term: ShortTermSpec | None
    drawn: bool  # whether synapses have delays of their own
    axonal: bool  # whether part of the delay is axonal
    plastic: str  # forms of Learned and Synapses, see kernels.packed
    synapses: str


@cache
def fields(rule: Rule) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Those of Learned and of Synapses that the rule's code reads: what all have in memory compiles for a minute."""
    text = _body(0, rule)

    def read(cls: Any, name: str) -> tuple[str, ...]:
        found = {"source", "target", *re.findall(rf"\b{name}\.(\w+)", text)}
        return tuple(field for field in cls._fields if field in found)

    return read(Learned, "plastic"), read(Synapses, "edges")


def source(n: int, rule: Rule) -> str:
    """Source text for plastic projections of rule number ``n`` of the network's."""
    classes: tuple[tuple[str, Any], ...] = (("plastic", Learned), ("synapses", Synapses))
    text, at = "", 1
    for (name, cls), form, kept in zip(classes, rule[4:], fields(rule), strict=True):
        kinds = " ".join(kind for field, kind in zip(cls._fields, form.split(), strict=True) if field in kept)
        text += f"{name}_{n} = reader(part({cls.__name__}, {kept!r}), {kinds!r}, {at})\n"
        at += packed.width(kinds)
    return f"{text}\n\n{_body(n, rule)}"


def _body(n: int, rule: Rule) -> str:
    spec, short_term, drawn, axonal = rule[:4]
    text = RuleText(spec, f"_{n}")
    lasts = of_source(spec)
    replay, settle = [], []
    if spec.on_post or spec.flow:
        replay = text.replay()
    if spec.flow:
        settle = ["if settle > 0:", "    now = max(before, g + d)"]
        settle += [f"    {line}" for line in text.arguments("settle")]
        settle += [f"    {line}" for line in text.call("flow", text.values)]
    arrival = [*text.at_arrival(), *text.arguments("on_pre"), *text.call("on_pre", text.values)]
    jump = text.after_pre(lasts)
    came = [f"{name} = plastic.came_pre[i, {k}]" for k, name in enumerate(lasts)]
    keep = [f"plastic.came_pre[row, {k}] = plastic.pre[row, {k}]" for k in range(len(lasts))]
    short: list[str] = []
    move: list[str] = []
    functions: dict[str, Callable[..., object]] = {f"{name}_{n}": f for name, f in spec.functions().items()}
    if short_term:
        names = [v.name for v in short_term.state]
        functions[f"on_spike_{n}"] = short_term.on_spike
        constants = [f"rule_{c} = plastic.short_constants[{k}]" for k, c in enumerate(short_term.shared)]
        came += [*constants, *draw_keys(short_term, "plastic.came_short[i, 0]")]
        places = [(short, [f"short_{name}" for name in names])]
        if short_term.draws:
            keep.append("plastic.came_short[row, 0] = plastic.short[row, 0]")
            move.append("plastic.short[row, 0] += 1.0")
        if not short_term.own:  # else the thread of a synapse moves its own
            came += [f"short_{name} = plastic.came_short[i, {m}]" for m, name in enumerate(names)]
            keep += [f"plastic.came_short[row, {m}] = plastic.short[row, {m}]" for m in range(len(names))]
            move += constants
            places.append((move, [f"plastic.short[row, {m}]" for m in range(len(names))]))
        for where, held in places:
            where.append("rule_h = since * plastic.dt")
            where += draw(spec, short_term, "rule_")
            where += spike_factor(spec, short_term, f"on_spike_{n}", held, "rule_")
        short += ["sent += 1.0"] if short_term.draws else []
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
    slot = "step & (plastic.axon_count.size - 1)"
    written = _RULE.format(
        n=n,
        flags=FLAGS,
        applied=applied(spec),
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
        keep=_lines(4, keep),
        move=_lines(8, [*move, *text.jump_pre()]),
        leave=_lines(8, [_LEAVE if axonal else f"meet_{n}(learned, n, row, step, number)"]),
        number=f"plastic.axon_count[{slot}]" if axonal else "out.counts[half]",
        is_source="True" if axonal else "out.spikes[half, x, 0] == plastic.source",
        spike=", ".join(f"np.int64(plastic.axon[{slot}, x, {k}])" for k in (0, 1))
        if axonal
        else "np.int64(out.spikes[half, x, 1]), out.spikes[half, x, 3]",
        observe=observe,
        traces=_lines(4, traces),
        call_observe=_lines(4, call_observe),
        carry=_lines(4, [_CARRY] if spec.modulator else []),
        new_each=_lines(8, [_NEW_EACH] if moves(spec) else []),
        new_epoch=_lines(8, [_NEW_EPOCH] if moves(spec) else []),
        signal=(_SIGNAL.format(n=n, discount=text.discount()) if spec.modulator else "")
        + (_ENDS.format(n=n) if moves(spec) else "")
        + (_AXON.format(n=n) if axonal else ""),
    )
    return "\n\n".join([*codegen.sources(functions, False), written])


def calls(k: int, rule: Rule) -> dict[str, str]:
    """What the loop does for projection ``n`` of rule number ``k``, by place: see kernels.cuda.generate."""
    found = {
        "neurons": f"note_{k}(plan.learned, n, out, half, state, i, step, fired, plan.window)",
        "emit": f"fired_{k}(plan.learned, n, p, i, step, number)",
        "deliver": f"learn_{k}(thread, threads, begin, half, plan, tables, n, ring, out)",
        "sweep": f"sweep_{k}(thread, threads, plan, tables, n, until, settle, epoch)",
        "swept": f"swept_{k}(thread, threads, plan.learned, n, out, until, settle, epoch)",
    }
    spec = rule.spec
    if rule.axonal:
        found["arrivals"] = f"arrivals_{k}(thread, threads, plan.learned, n, begin)"
    if spec.modulator:
        found["begin"] = f"begin_signal_{k}(plan.learned, n, begin)"
        found["end"] = f"end_signal_{k}(plan.learned, n, begin)"
    if moves(spec):
        found["settle"] = f"return ends_{k}(plan.learned, n, begin)"
    return found
