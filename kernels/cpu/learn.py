"""Change and deliver through plastic synapses (phase 4): each is brought up to date when its source's spike arrives.

Post-side changes are made late, from each target's recent spikes, in the order in which they happened; nothing is done
at a postsynaptic spike but to note it. When a target's notes run full, all rows of the block are brought up to date
(a sweep), which changes no weight's history of operations.

How many spikes a synapse has yet to see is as good as random (about one where both sides fire at one rate), so a
branch on it is mispredicted. A row is therefore walked in pieces, in passes without such branches. The first pass reads
what lies scattered (spikes and traces of the targets) into ``work``, and lists the synapses that have two spikes to
see, of these those that have three, and so on. The lists are replayed from the deepest up. The newest spike, the time
since and the presynaptic change are then made for the whole piece in loops that LLVM vectorises, because all they
touch lies in order; a synapse without a spike to see keeps its values.

A modulator's integral over any stretch of time is the difference of two sums, which are noted at each step. They are
relative to the beginning of an epoch; at its end all synapses are settled. So they are where the modulator is set to
values of their own for the targets: these are factors of one signal, constant between two settlings.

Signals of an observer are noted for each target at each step, with sums likewise, which have epochs of their own, some
of their time constants long. A stretch may pass through several, of which the first few count. Synapses are settled
because what is noted is kept for some time only.
"""

from typing import Any

from kernels.rule_text import (
    TRACE_END,
    RuleText,
    applied,
    draw_keys,
    gathered,
    observe_source,
    of_source,
    spike_factor,
    spike_number,
)
from kernels.spec import NUMBER, UNIFORM, RuleSpec, ShortTermSpec, synapse_rows

_NOTE = '''
RECENT = {recent}
decayed = inlined(plain_decayed)


@inner
def note(tables, plastic, sync, half, block, start, begin, end):
    """Move the traces of the block's targets through the steps, put their spikes on their way, note the modulator's."""
    p, own = plastic.target, block - tables.first_block[0]
    trace, fired, fired_end = plastic.trace, plastic.fired[own], plastic.fired_end[own]
    n, slots = plastic.n, plastic.slots
    lo, hi = tables.lo[block, p] - plastic.first, tables.hi[block, p] - plastic.first
    where = tables.spikes[block, p] + half * (sync.spikes.size // 2)
    head = fired_end[(start + begin - 1) & (fired_end.size - 1)]
    first = sync.counts[half, block, p, begin - 1] if begin > 0 else 0
    for offset in range(begin, end):
        last = sync.counts[half, block, p, offset]
        step = start + offset
        now, then = (step & (slots - 1)) * n, ((step + 1) & (slots - 1)) * n
{decay_post}
        for x in range(where + first, where + last):
            j = np.int64(sync.spikes[x]) - plastic.first
            fired[head & np.uint64(fired.size - 1)] = j
            head += np.uint64(1)
{jump_post}
        fired_end[step & (fired_end.size - 1)] = head
        first = last
{note_signal}


@inner
def see(tables, plastic, block, step):
    """Show the synapses of ``block`` the spikes that the first of them sees at ``step``; returns if a sweep is due."""
    recent, history, h = plastic.recent, plastic.history, step - plastic.lag
    mask = history.shape[1] - 1
    limit = mask - plastic.longest - 2 * tables.window
    own = block - tables.first_block[0]
    fired, fired_end = plastic.fired[own], plastic.fired_end[own]
    first, end = fired_end[(h - 1) & (fired_end.size - 1)], fired_end[h & (fired_end.size - 1)]
    due = False
    for s in range(first, end):
        j = np.int64(fired[s & np.uint64(fired.size - 1)])
        c = plastic.seen[j]
        for r in range(RECENT, 0, -1):
            recent[r, j] = recent[r - 1, j]
        recent[0, j] = history[j, c & mask] = h
{keep_post}
        plastic.seen[j] = c + 1
        due |= c + 1 - plastic.swept[j] >= limit
    return due
'''
_NOTE_SIGNAL = """
    p = plastic.signal
    for offset in range(begin, end if p >= 0 else begin):
        jumps = 0
        for b in range(tables.lo.shape[0]):
            jumps += sync.counts[half, b, p, offset] - (sync.counts[half, b, p, offset - 1] if offset > 0 else 0)
        at = (start + offset + plastic.signal_delay) & (plastic.signal_jumps.shape[1] - 1)
        plastic.signal_jumps[own, at] = jumps
"""
_MOVE_SIGNAL = """
        at, place = step & (plastic.signal_value.shape[1] - 1), step & (plastic.signal_jumps.shape[1] - 1)
        value = plastic.signal_now[own, 0] + plastic.signal_jump * plastic.signal_jumps[own, place]
        plastic.signal_jumps[own, place] = 0
        plastic.signal_value[own, at] = value
        plastic.signal_sum[own, at] = plastic.signal_now[own, 1]
        if (step & (plastic.epoch - 1) == 0) | (step == plastic.signal_set[0]):
            bring_all_up(tables, learned, k, ring, block, step, np.int64(1), visitor)
            p = plastic.target
            for j in range(tables.lo[block, p] - plastic.first, tables.hi[block, p] - plastic.first):
                plastic.signal_each[1, j] = plastic.signal_each[0, j]
        if step & (plastic.epoch - 1) == 0:
            plastic.signal_sum[own, at] = plastic.signal_now[own, 1] = 0.0
        plastic.signal_now[own, 0] = value * plastic.signal_factor
        plastic.signal_now[own, 1] += value * {discount} * plastic.signal_gain
"""
_END_EPOCH = """
        if step & (plastic.epoch - 1) == 0:
            bring_all_up(tables, learned, k, ring, block, step, np.int64(1), visitor)
"""
_BRING_UP = '''
@inlined
def bring_up(plastic, edges, row, block, first, n, until, fire, settle):
    """Replay what synapses ``first`` to ``first + n`` of a row have yet to see up to step ``until``.

    ``block``: of those of this process. ``settle``: synapses are then as of ``until``, else as of the last event that
    they have seen. ``fire``: the source's spike arrives at ``until``.
    """
{rule_constants}
    history, variables, work = plastic.history, plastic.variables, plastic.work[block]
    lists, ends = plastic.lists[block], plastic.ends[block]
    targets, weights, delays = edges.targets, edges.weights, edges.delays
    axonal, mask = plastic.axonal, history.shape[1] - 1
    last, done, delay = plastic.last[row], plastic.done[row], edges.delay[0] - axonal
    origin = np.uint64(plastic.origin[block])
    before = max(last, plastic.settled[block])
{hoist}
{replay}
{settle}
    bad = False
    if fire > 0:
{at_arrival}
{gather}
{draw_pre}
        for x in range(n):
            k = first + x
            {new} = {values}
{noted}
{on_pre}
            {values} = {kept}
            bad |= {bad_there}
    else:
        for x in range(n):
            k = first + x
            bad |= {bad_there}
    if bad and plastic.fault[block, 0] < 0:
        k = first
        while not ({bad_there}):
            k += np.uint64(1)
        plastic.fault[block, 0], plastic.fault[block, 1] = until, np.int64(k)
'''
_REPLAY = """
    newest, second, newer, listed = plastic.recent[0], plastic.recent[1], lists[0], lists[1]
    some = np.uint64(0)
    for x in range(n):
        k = first + x
        d = {delay}
        j = np.uint64(targets[k]) + origin
        h, g = newest[j], second[j]
        late = 0
{unseen}
        newer[x] = np.int64(h > done - d) & ~late
        listed[some] = x
        some += np.uint64(np.int64(g > done - d) & ~late)
{first}
{draw_post}
    ends[1] = some
    level = np.uint64(1)
    while some > np.uint64(0) and level < np.uint64(RECENT - 1):
        recent = plastic.recent[level + np.uint64(1)]
        above, listed = lists[level], lists[level + np.uint64(1)]
        level += np.uint64(1)
        kept = np.uint64(0)
        for y in range(some):
            x = np.uint64(above[y])
            k = first + x
            listed[kept] = x
            kept += np.uint64(recent[np.uint64(targets[k]) + origin] > done - {delay})
        some = kept
        ends[level] = some
    for y in range(some):  # seldom: more spikes to see than are kept by age
        k = first + np.uint64(listed[y])
        j, d = np.uint64(targets[k]) + origin, {delay}
        m = plastic.seen[j] - RECENT
        q = m
        while history[j, np.uint64((q - 1) & mask)] > done - d:
            q -= 1
        g = history[j, np.uint64((q - 1) & mask)]
        for c in range(q, m):
            h = history[j, np.uint64(c & mask)]
{see_oldest}
            g = h
    while level > np.uint64(0):
        listed, recent, earlier = lists[level], plastic.recent[level], plastic.recent[level + np.uint64(1)]
        for y in range(ends[level]):
            k = first + np.uint64(listed[y])
            j = np.uint64(targets[k]) + origin
            h, g, d = recent[j], earlier[j], {delay}
{see_level}
        level -= np.uint64(1)
    for x in range(n):
        k = first + x
        {new} = {values}
{newest}
        {values} = {chosen}
"""
_UNSEEN = """
        if h > until - d:  # seldom: seen by synapses with shorter delays only
            late = 1
{replay}
            h = g
"""
_SETTLE = """
    if settle > 0:
        for x in range(n):
            k = first + x
            {new} = {values}
{noted}
{flow}
"""
_GATHER = """
        n_target, offset = plastic.n, plastic.slots - 1
        for x in range(n):
            k = first + x
            target, d = np.uint64(targets[k]), {delay}
            j = origin + target
            at = np.uint64(((until - d) & offset) * n_target) + j
{note}
"""
_REST = '''
@inner
def visit(tables, learned, projection, ring, block, first, end, step, fire, settle):
    """Bring rows of ``block`` up to date at ``step``; where ``fire``, deliver their sources' spikes of that step.

    The rows are those of waiting spikes ``first`` to ``end`` where ``fire``, else of sources ``first`` to ``end``.
    ``settle``: as for bring_up. One function with one call of each part, because compilers copy a function into each
    place that calls it; the others call it at its address, ``visitor``.
    """
    edges, plastic = edges_of(learned, projection), plastic_of(learned, projection)
    slots, stride, base = tables.ring_mask, tables.stride[block], tables.ring[block]
    targets, weights, delays, axonal = edges.targets, edges.weights, edges.delays, plastic.axonal
    piece, delay = np.uint64(plastic.lists.shape[2]), edges.delay[0] - axonal
    variables = plastic.variables
    n, own = tables.n[plastic.source], block - tables.first_block[0]
    spikes = plastic.waiting[own]
    mask = np.uint64(spikes.size - 1)
    at = edges.at[0] + block * (n + 1)
    for s in range(np.uint64(first), np.uint64(end)):
        i = np.int64(spikes[s & mask] if fire > 0 else s)
        if fire > 0 and s + np.uint64(1) < np.uint64(end):
            then = at + np.int64(spikes[(s + np.uint64(1)) & mask])
            lo, hi = np.uint64(edges.rows[then]), np.uint64(edges.rows[then + 1])
            prefetch_row(targets, lo, hi, np.uint64(64 // targets.itemsize))
            prefetch_row(weights, lo, hi, np.uint64(64 // weights.itemsize))
{prefetch_delays}
        row = own * n + i
        since = step - plastic.last[row]
{short}
        lo, hi = np.uint64(edges.rows[at + i]), np.uint64(edges.rows[at + i + 1])
        while lo < hi:
            size = min(piece, hi - lo)
            if {applied}:
                bring_up(plastic, edges, row, own, lo, size, step, fire, settle)
            if fire > 0:
{short_each}
                for k in range(lo, lo + size):
                    d = {delay}
                    ring[np.uint64(base + ((step + d) & slots) * stride) + np.uint64(targets[k])] += {delivered}
            lo += size
        plastic.done[row] = step
        if fire > 0:
{jump_pre}
            plastic.last[row] = step


@inner
def bring_all_up(tables, learned, k, ring, block, until, settle, visitor):
    """Bring all synapses of ``block`` up to date at step ``until``; ``settle``: as for bring_up."""
    plastic = plastic_of(learned, k)
    p, own = plastic.target, block - tables.first_block[0]
    call(visitor, tables, learned, k, ring, block, 0, tables.n[plastic.source], until, 0, settle)
    for j in range(tables.lo[block, p] - plastic.first, tables.hi[block, p] - plastic.first):
        plastic.swept[j] = plastic.seen[j]
    if settle > 0:
        plastic.settled[own] = until


@kernel
def sweep(tables, learned, k, ring, block, until, settle, visitor):
    """As bring_all_up, called from Python."""
    bring_all_up(tables, learned, k, ring, block, until, settle, visitor)


@inner
def learn(tables, learned, k, ring, sync, half, block, start, begin, end, visitor):
    """Deliver spikes of steps start + begin to start + end - 1 to ``block`` through plastic projection ``k``."""
    plastic = plastic_of(learned, k)
    p, axonal, blocks, own = plastic.source, plastic.axonal, tables.lo.shape[0], block - tables.first_block[0]
    waiting, waiting_end = plastic.waiting[own], plastic.waiting_end[own]
    mask, end_mask = np.uint64(waiting.size - 1), waiting_end.size - 1
    for offset in range(begin, end):
        step = start + offset
        head = waiting_end[(step - 1) & end_mask]
        for b in range(blocks):
            where = tables.spikes[b, p] + half * (sync.spikes.size // 2)
            earlier = sync.counts[half, b, p, offset - 1] if offset > 0 else 0
            for s in range(where + earlier, where + sync.counts[half, b, p, offset]):
                waiting[head & mask] = sync.spikes[s]
                head += np.uint64(1)
        waiting_end[step & end_mask] = head
    due = False
    for step in range(start + begin, start + end):
        due |= see(tables, plastic, block, step)
{move_signal}
        if step >= axonal:
            first, last = waiting_end[(step - axonal - 1) & end_mask], waiting_end[(step - axonal) & end_mask]
            call(visitor, tables, learned, k, ring, block, first, last, step, 1, 1)
    # these steps' own events are seen later: no delay is shorter than a window
    note(tables, plastic, sync, half, block, start, begin, end)
    if due:
        bring_all_up(tables, learned, k, ring, block, start + end - 1, np.int64(0), visitor)
'''
_OBSERVE = '''

@inner
def watch(learned, k, p, f, flags, lo, m, step):
    """Note what plastic projection ``k`` observes of neurons lo .. lo + m - 1 of population ``p``, if its target."""
    x = plastic_of(learned, k)
    if x.target == p:
        observe(
            x.reads, x.observed, x.late, x.values, x.sums, x.sums_epoch, x.decay, x.constants, f, flags, x.n, x.span,
            x.dt, lo - x.first, m, step
        )
'''
RECENT = 8  # newest spikes of a target that are kept by age, and one more to tell when the oldest's predecessor was


def _keep(w):  # type: ignore[no-untyped-def]
    return w


STATIC = RuleSpec(
    name="Kept", doc="Weights of a projection that has short-term plasticity alone.", params=(), derived=(),
    traces=(), on_pre=_keep, on_post=None, references=("none",), bounds=lambda p: (-float("inf"), float("inf")),
)  # fmt: skip


def work_rows(spec: RuleSpec, short_term: ShortTermSpec | None) -> dict[Any, int]:
    """Rows of Plastic.work: what the passes note, by :func:`gathered`; "factor" of a short-term rule; random numbers by
    name; "spike", the numbers of targets' spikes that key them."""
    names: list[Any] = [*gathered(spec), *(["factor"] if short_term and short_term.own else [])]
    names += UNIFORM if spec.draws or (short_term and short_term.draws) else ()
    names += ["spike"] if "on_post" in spec.draws else []
    return {name: row for row, name in enumerate(names)}


def source(spec: RuleSpec, short_term: ShortTermSpec | None, drawn: bool) -> str:
    """Source text of ``learn``, ``sweep`` and, of an observer, ``watch`` for a rule.

    Its functions are called on_pre, on_post, flow and on_spike.

    ``drawn``: synapses have delays of their own. The rule's names get a prefix, so that they cannot meet those of the
    template.
    """
    text = RuleText(spec)
    post, kept, values, call, see = text.post, text.kept, text.values, text.call, text.see
    rows = work_rows(spec, short_term)
    signal, observer = spec.modulator, spec.observer
    local = [f"new_{m}" for m in range(len(values))]
    fine = " & ".join(f"(abs({value}) < np.inf)" for value in local)

    def lines(indent: int, found: list[str]) -> str:
        return "\n".join(" " * indent + line for line in found)

    def note(at: str) -> list[str]:
        return [f"work[{rows[at, name]}, x] = {text.found[at][name]}" for where, name in text.rows if where == at]

    def noted(at: str) -> list[str]:
        found = {name: rows[at, name] for where, name in text.rows if where == at}
        found |= {name: rows[name] for name in UNIFORM if name in text.found[at]}
        return [f"rule_{name} = work[{row}, x]" for name, row in found.items()]

    def fill(function: str, spike: str) -> list[str]:
        number = synapse_rows(spec, None)[0][NUMBER]
        given = f"variables[{number}], first, n, {spike}, plastic.key[0], plastic.key[1]"
        return [f"{function}({given}, {', '.join(f'work[{rows[u]}]' for u in UNIFORM)})"]

    decay_post, jump_post = [], []
    for k, t in enumerate(post):
        at = f"{k} * slots * n"
        decay_post += [
            f"factor, at_now, at_then = plastic.factor[{k}], np.uint64({at} + now), np.uint64({at} + then)",
            "for j in range(np.uint64(lo), np.uint64(hi)):",
            "    value = trace[at_now + j] * factor",
            f"    trace[at_then + j] = value if value > {TRACE_END} else 0.0",
        ]
        jumped = "1.0" if t.nearest else f"(trace[{at} + now + j] + 1.0)"
        jump_post.append(f"trace[{at} + then + j] = {jumped} * plastic.factor[{k}]")
    keep_post = [
        f"plastic.post[j, c & mask, {kept.index(t.name)}] = "
        f"plastic.trace[({k} * plastic.slots + (h & (plastic.slots - 1))) * plastic.n + j]"
        for k, t in enumerate(post)
        if t.name in kept
    ]
    hoist = [f"{name} = plastic.pre[row, {k}]" for k, name in enumerate(of_source(spec))] + text.hoist()
    newest = [*noted("to newest"), *call("flow", local)] if spec.flow else []
    newest += [*noted("on_post"), *call("on_post", local)] if spec.on_post else []
    first = ["now = max(before, g + d)", *note("to newest")] if spec.flow else []
    first += ["c = plastic.seen[j] - 1"] if text.counts else []
    first += note("on_post")
    draw_pre = fill("fill_uniforms", spike_number("on_pre", "nth")) if "on_pre" in spec.draws else []
    draw_post: list[str] = []
    if "on_post" in spec.draws:
        first.append(f"work[{rows['spike']}, x] = {spike_number('on_post', 'c')}")
        draw_post = fill("fill_uniforms_each", f"work[{rows['spike']}]")
    first += ["now = max(before, h + d)", *note("settle")] if spec.flow else []
    short: list[str] = []
    short_each: list[str] = []
    if short_term:
        short = [f"rule_{c} = plastic.short_constants[{k}]" for k, c in enumerate(short_term.shared)]
        short.append("rule_h = since * plastic.dt")
        short += draw_keys(short_term, "plastic.short[row, 0]")
        short += ["plastic.short[row, 0] = sent + 1.0"] if short_term.draws else []
        held = [f"plastic.short[row, {m}]" for m in range(len(short_term.state))]
        moved = spike_factor(spec, short_term, "on_spike", held, "rule_")
        short = ["if fire > 0:", *(f"    {line}" for line in (short if short_term.own else short + moved))]
        if short_term.own:  # many at a time, in a loop that vectorises
            short_each = [f"factors = plastic.work[own, {rows['factor']}]"]
            if short_term.draws:
                number = synapse_rows(spec, short_term)[1][NUMBER]
                places = [f"plastic.work[own, {rows[u]}]" for u in UNIFORM]
                line = f"fill_uniforms(variables[{number}], lo, size, sent, key_0, key_1, {', '.join(places)})"
                drawn_there = [f"rule_{u} = {place}[x]" for u, place in zip(UNIFORM, places, strict=True)]
                short_each, moved = [*short_each, line], drawn_there + moved
            each = ["k = lo + x", *moved, "factors[x] = scale"]
            short_each += ["for x in range(size):", *(f"    {line}" for line in each)]
    texts = {
        "delay": "(np.int64(delays[k]) - axonal)" if drawn else "delay",
        "values": ", ".join(values),
        "new": ", ".join(local),
    }
    replay = _REPLAY.format(
        **texts,
        unseen=_UNSEEN.format(replay=lines(12, text.replay())) if drawn else "",
        see_oldest=lines(12, see("")),
        see_level=lines(12, see("plastic.seen[j] - 1 - np.int64(level)")),
        first=lines(8, first),
        draw_post=lines(4, draw_post),
        newest=lines(8, newest),
        chosen=", ".join(f"{new} if newer[x] > 0 else {old}" for new, old in zip(local, values, strict=True)),
    )  # fmt: skip
    settle = ""
    if spec.flow:
        settle = _SETTLE.format(**texts, noted=lines(12, noted("settle")), flow=lines(12, call("flow", local, values)))
    gather = _GATHER.format(**texts, note=lines(12, note("on_pre"))) if note("on_pre") else ""
    template = _NOTE + "{observe}" + _BRING_UP + _REST + (_OBSERVE if observer else "")
    return template.format(
        **texts,
        observe=observe_source(spec),
        recent=RECENT,
        note_signal=_NOTE_SIGNAL if signal else "",
        move_signal=_MOVE_SIGNAL.format(discount=text.discount()) if signal else _END_EPOCH if observer else "",
        rule_constants=lines(4, text.constants()),
        decay_post=lines(8, decay_post),
        jump_post=lines(12, jump_post),
        keep_post=lines(8, keep_post),
        jump_pre=lines(12, text.jump_pre()),
        hoist=lines(4, hoist),
        replay=replay if spec.on_post or spec.flow else "",
        settle=settle,
        at_arrival=lines(8, text.at_arrival()),
        gather=gather,
        draw_pre=lines(8, draw_pre),
        noted=lines(12, noted("on_pre")),
        on_pre=lines(12, call("on_pre", local, [f"changed_{m}" for m in range(len(values))])),
        # a value that was no finite number before stays one: on_pre might hide it by a bound
        kept=", ".join(f"changed_{m} if {fine} else new_{m}" for m in range(len(values))),
        bad_there=" or ".join(f"not abs({value}) < np.inf" for value in values),
        applied=applied(spec),
        short=lines(8, short),
        short_each=lines(16, short_each),
        prefetch_delays=" " * 12 + "prefetch_row(delays, lo, hi, np.uint64(64 // delays.itemsize))" if drawn else "",
        delivered=f"weights[k] * {'factors[k - lo]' if short_term.own else 'scale'}" if short_term else "weights[k]",
    )
