"""Change and deliver through plastic synapses (phase 4): each is brought up to date when its source's spike arrives.

Post-side changes are made late, from each target's recent spikes, in the order in which they happened; nothing is done
at a postsynaptic spike but to note it. When a target's notes run full, all rows of the block are brought up to date
(a sweep), which changes no weight's history of operations.

How many spikes a synapse has yet to see is as good as random (about one where both sides fire at one rate), so a
branch on it is mispredicted. A row is therefore walked in pieces, in passes without such branches: list the synapses
that have a spike to see, of these those that have two, and so on; replay from the deepest list up, so that each synapse
sees its oldest spike first; then make the presynaptic change and deliver.
"""

import inspect

from kernels.spec import RuleSpec, ShortTermSpec

_NOTE = '''
RECENT = {recent}


@inner
def note(tables, plastic, sync, half, block, steps, start):
    """Move the traces of the block's targets through the window and note its spikes; returns whether a sweep is due."""
    p = plastic.target
    recent, history, trace = plastic.recent, plastic.history, plastic.trace
    n, slots, mask = plastic.n, plastic.slots, plastic.history.shape[1] - 1
    lo, hi = tables.lo[block, p], tables.hi[block, p]
    limit = mask - plastic.longest - 2 * tables.window
    where = tables.spikes[block, p] + half * (sync.spikes.size // 2)
    due = False
    first = 0
    for offset in range(steps):
        end = sync.counts[half, block, p, offset]
        step = start + offset
        now, then = (step & (slots - 1)) * n, ((step + 1) & (slots - 1)) * n
{decay_post}
        for x in range(where + first, where + end):
            j = np.int64(sync.spikes[x])
            c = plastic.seen[j]
            for r in range(RECENT - 1, 0, -1):
                recent[r, j] = recent[r - 1, j]
            recent[0, j] = step
            history[j, c & mask] = step
{jump_post}
            plastic.seen[j] = c + 1
            due |= c + 1 - plastic.swept[j] >= limit
        first = end
{note_signal}
    return due
'''
_NOTE_SIGNAL = """
    p, mask = plastic.signal, plastic.signal_step.shape[1] - 1
    for offset in range(steps if p >= 0 else 0):
        jumps = 0
        for b in range(tables.lo.shape[0]):
            jumps += sync.counts[half, b, p, offset] - (sync.counts[half, b, p, offset - 1] if offset > 0 else 0)
        if jumps > 0:
            c, at = plastic.signal_seen[block], start + offset + plastic.signal_delay
            plastic.signal_value[block, c & mask] = signal_at(plastic, block, c - 1, at) + plastic.signal_jump * jumps
            plastic.signal_step[block, c & mask] = at
            plastic.signal_seen[block] = c + 1
            due |= c + 1 - plastic.signal_swept[block] >= mask - plastic.signal_delay - 2 * tables.window
"""
_SIGNAL = '''
@inner
def signal_at(plastic, block, c, step):
    """The modulator at ``step``; event number c is the last one before."""
    c &= plastic.signal_step.shape[1] - 1
    k = np.uint64(min(step - plastic.signal_step[block, c], plastic.signal_decay.size - 1))
    return plastic.signal_value[block, c] * plastic.signal_decay[k]


@inner
def signals_until(plastic, block, step):
    """How many of the modulator's events there were up to ``step``."""
    c, mask = plastic.signal_seen[block], plastic.signal_step.shape[1] - 1
    while plastic.signal_step[block, (c - 1) & mask] > step:
        c -= 1
    return c
'''
_BRING_UP = '''
@inlined
def bring_up(plastic, edges, row, block, first, n, until, settle):
    """Replay what synapses ``first`` to ``first + n`` of a row have yet to see up to step ``until``."""
{constants}
    newest, history, decay, variables = plastic.recent[0], plastic.history, plastic.decay, plastic.variables
    lists, ends = plastic.lists[block], plastic.ends[block]
    targets, weights, delays = edges.targets, edges.weights, edges.delays
    last_entry, mask = decay.shape[1] - 1, history.shape[1] - 1
    axonal = plastic.axonal
    last, done, delay = plastic.last[row], plastic.done[row], edges.delay[0] - axonal
    origin = np.uint64(plastic.origin[block])
{hoist}
    some = np.uint64(0)
    listed = lists[0]
    for x in range(n):
        k = first + x
        d = {delay}
        j = np.uint64(targets[k]) + origin
        h, after = newest[j], done - d
        if h > until - d:  # seldom: not seen yet
            m = plastic.seen[j]
            while history[j, np.uint64((m - 1) & mask)] > until - d:
                m -= 1
            q = m
            while history[j, np.uint64((q - 1) & mask)] > after:
                q -= 1
            for c in range(q, m):
                h = history[j, np.uint64(c & mask)]
{traces_not_seen}
                {changed} = on_post({on_post})
        else:
            listed[some] = x
            some += np.uint64(h > after)
    ends[0] = some
    level = np.uint64(0)
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
        for c in range(q, m):
            h = history[j, np.uint64(c & mask)]
{traces_deep}
            {changed} = on_post({on_post})
    level += np.uint64(1)
    while level > np.uint64(0):
        level -= np.uint64(1)
        listed, recent = lists[level], plastic.recent[level]
        for y in range(ends[level]):
            k = first + np.uint64(listed[y])
            j = np.uint64(targets[k]) + origin
            h, d = recent[j], {delay}
            c = {number}
{traces_deep}
            {changed} = on_post({on_post})
'''
_NO_BRING_UP = '''
@inlined
def bring_up(plastic, edges, row, block, first, n, until, settle):
    """Nothing happens at postsynaptic spikes."""
'''
_BRING_UP_BETWEEN = '''
@inlined
def bring_up(plastic, edges, row, block, first, n, until, settle):
    """Replay what synapses ``first`` to ``first + n`` of a row have yet to see up to step ``until``.

    They are then as of the last such event, or of ``until`` itself where ``settle``.
    """
{constants}
    history, decay, variables, dt = plastic.history, plastic.decay, plastic.variables, plastic.dt
    targets, weights, delays = edges.targets, edges.weights, edges.delays
    last_entry, mask = decay.shape[1] - 1, history.shape[1] - 1
    axonal = plastic.axonal
    last, done, delay = plastic.last[row], plastic.done[row], edges.delay[0] - axonal
    origin = np.uint64(plastic.origin[block])
    before = max(last, plastic.learning[1])
{hoist}
{signals}
    for x in range(n):
        k = first + x
        d = {delay}
        j = np.uint64(targets[k]) + origin
        m = plastic.seen[j]
        while history[j, np.uint64((m - 1) & mask)] > until - d:
            m -= 1
        c = m
        while history[j, np.uint64((c - 1) & mask)] > done - d:
            c -= 1
        now = max(before, history[j, np.uint64((c - 1) & mask)] + d)
{first_signal}
        while c < m{or_signal}:
            h = history[j, np.uint64(c & mask)] if c < m else until
            then = h + d if c < m else until
            post = True
{next_signal}
{flow}
            now = then
            if post:
{on_post_text}
                c += 1
        if settle:
            then = until
{flow_out}
'''
_REST = '''
@inlined
def change(plastic, edges, row, block, first, end, step, before):
    """Make the presynaptic change of synapses ``first`` to ``end`` of a row at ``step``."""
{constants}
    trace, decay, variables = plastic.trace, plastic.decay, plastic.variables
    targets, weights, delays, axonal = edges.targets, edges.weights, edges.delays, plastic.axonal
    delay = edges.delay[0] - axonal
    last_entry = decay.shape[1] - 1
    n, origin, mask = plastic.n, plastic.origin[block], plastic.slots - 1
{hoist_on_pre}
    bad = False
    for k in range(first, end):
        target, d = np.uint64(targets[k]), {delay}
        at = np.uint64(((step - d) & mask) * n + origin) + target
{traces_on_pre}
        {changed} = on_pre({on_pre})
        bad |= {bad}
    if bad and plastic.fault[block, 0] < 0:
        k = first
        while not ({bad}):
            k += np.uint64(1)
        plastic.fault[block, 0], plastic.fault[block, 1] = step, np.int64(k)


@inner
def visit(tables, edges, plastic, ring, spikes, mask, block, first, end, step, fire, settle):
    """Bring rows of ``block`` up to date at ``step``; where ``fire``, deliver their sources' spikes of that step.

    The rows are those of the sources spikes[first & mask], .., spikes[(end - 1) & mask] where ``fire``, else of sources
    ``first`` to ``end``. ``settle``: as for bring_up. One function with one call of each part, because compilers copy a
    function into each place that calls it; ``fire`` and ``settle`` are numbers, for which Numba makes no variants.
    """
    slots, stride, base = tables.ring_mask, tables.stride[block], tables.ring[block]
    targets, weights, delays, axonal = edges.targets, edges.weights, edges.delays, plastic.axonal
    piece, delay = np.uint64(plastic.lists.shape[2]), edges.delay[0] - axonal
    decay = plastic.decay
    last_entry = decay.shape[1] - 1
    n = tables.n[plastic.source]
    at = edges.at[0] + block * (n + 1)
    for s in range(first, end):
        i = np.int64(spikes[s & mask] if fire > 0 else s)
        if fire > 0 and s + np.uint64(1) < end:
            then = at + np.int64(spikes[(s + np.uint64(1)) & mask])
            lo, hi = np.uint64(edges.rows[then]), np.uint64(edges.rows[then + 1])
            prefetch_row(targets, lo, hi, np.uint64(64 // targets.itemsize))
            prefetch_row(weights, lo, hi, np.uint64(64 // weights.itemsize))
{prefetch_delays}
        row = block * n + i
        before = step - plastic.last[row]
{short}
        lo, hi = np.uint64(edges.rows[at + i]), np.uint64(edges.rows[at + i + 1])
        while lo < hi:
            size = min(piece, hi - lo)
            if plastic.learning[0] > 0:
                bring_up(plastic, edges, row, block, lo, size, step, settle)
                if fire > 0:
                    change(plastic, edges, row, block, lo, lo + size, step, before)
            if fire > 0:
                for k in range(lo, lo + size):
                    d = {delay}
                    ring[np.uint64(base + ((step + d) & slots) * stride) + np.uint64(targets[k])] += {delivered}
            lo += size
        plastic.done[row] = step
        if fire > 0:
{jump_pre}
            plastic.last[row] = step


@kernel
def sweep(tables, edges, plastic, ring, spikes, block, until, settle):
    """Bring all synapses of ``block`` up to date at step ``until``; ``settle``: as for bring_up."""
    p = plastic.target
    n = np.uint64(tables.n[plastic.source])
    visit(tables, edges, plastic, ring, spikes, ~np.uint64(0), block, np.uint64(0), n, until, np.int64(0), settle)
    for j in range(tables.lo[block, p], tables.hi[block, p]):
        plastic.swept[j] = plastic.seen[j]
    plastic.signal_swept[block] = plastic.signal_seen[block]


@inner
def learn(tables, edges, plastic, ring, sync, half, block, start, steps):
    """Deliver the window's spikes to ``block`` through plastic synapses."""
    p, axonal, blocks = plastic.source, plastic.axonal, tables.lo.shape[0]
    waiting, waiting_end = plastic.waiting[block], plastic.waiting_end[block]
    mask, end_mask = np.uint64(waiting.size - 1), waiting_end.size - 1
    for offset in range(steps):
        step = start + offset
        head = waiting_end[(step - 1) & end_mask]
        for b in range(blocks):
            where = tables.spikes[b, p] + half * (sync.spikes.size // 2)
            earlier = sync.counts[half, b, p, offset - 1] if offset > 0 else 0
            for s in range(where + earlier, where + sync.counts[half, b, p, offset]):
                waiting[head & mask] = sync.spikes[s]
                head += np.uint64(1)
        waiting_end[step & end_mask] = head
    for step in range(max(start, axonal), start + steps):
        first, end = waiting_end[(step - axonal - 1) & end_mask], waiting_end[(step - axonal) & end_mask]
        visit(tables, edges, plastic, ring, waiting, mask, block, first, end, step, np.int64(1), np.int64(1))
    # the window's own events are seen later: no delay is shorter than a window
    if note(tables, plastic, sync, half, block, steps, start):
        sweep(tables, edges, plastic, ring, waiting, block, start + steps - 1, np.int64(0))
'''
TRACE_END = 1e-18  # below it, a trace is 0
RECENT = 8  # newest spikes of a target that are kept by age


def _keep(w):  # type: ignore[no-untyped-def]
    return w


STATIC = RuleSpec(
    name="Static", doc="Nothing changes.", params=(), derived=(), traces=(), on_pre=_keep, on_post=None,
    references=("none",), bounds=lambda p: (-float("inf"), float("inf")),
)  # fmt: skip


def post_at_spike(spec: RuleSpec) -> list[str]:
    """Postsynaptic traces that on_post takes: their values just before each spike are kept beside it."""
    taken = inspect.signature(spec.on_post).parameters if spec.on_post else {}
    return [t.name for t in spec.side("post") if t.name in taken]


def between(spec: RuleSpec) -> bool:
    """Whether the rule has more to do than to replay postsynaptic spikes."""
    return spec.flow is not None or spec.modulator is not None


def source(spec: RuleSpec, short_term: ShortTermSpec | None, drawn: bool) -> str:
    """Source text of ``learn`` and ``sweep`` for a rule whose functions are called on_pre, on_post, flow and on_spike.

    ``drawn``: synapses have delays of their own. The rule's names get a prefix, so that they cannot meet those of the
    template.
    """
    pre, post, kept = spec.side("pre"), spec.side("post"), post_at_spike(spec)
    takes = {name: inspect.signature(f).parameters for name, f in spec.functions().items()}
    state = [v.name for v in spec.state]
    values = ["weights[k]", *(f"variables[{m}, k]" for m in range(len(state)))]
    places = dict(zip(["w", *state], values, strict=True))
    changed = ", ".join(values)

    def lines(indent: int, text: list[str]) -> str:
        return "\n".join(" " * indent + line for line in text)

    def decayed(value: str, number: int, steps: str) -> str:
        return f"{value} * decay[{number}, np.uint64(min({steps}, last_entry))]"

    def call(name: str) -> str:
        return ", ".join(places.get(a, f"rule_{a}") for a in takes.get(name, ()))

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
        if t.name in kept:
            jump_post.append(f"plastic.post[j, c & mask, {kept.index(t.name)}] = trace[{at} + now + j]")
    jump_pre = [
        f"plastic.pre[row, {k}] = "
        + ("1.0" if t.nearest else decayed(f"plastic.pre[row, {k}]", k, "before") + " + 1.0")
        for k, t in enumerate(pre)
    ]
    on_post = [(k, t.name) for k, t in enumerate(pre) if t.name in takes.get("on_post", ())]
    traces_on_post = [f"rule_{name} = " + decayed(f"last_{name}", k, "h + d - last") for k, name in on_post]
    traces_on_post += [f"rule_{name} = plastic.post[j, np.uint64(c & mask), {k}]" for k, name in enumerate(kept)]
    on_pre = [
        f"rule_{t.name} = trace[np.uint64({k} * plastic.slots * n) + at]"
        for k, t in enumerate(post)
        if t.name in takes["on_pre"]
    ]
    hoist_on_pre = [
        f"rule_{t.name} = " + decayed(f"plastic.pre[row, {k}]", k, "before")
        for k, t in enumerate(pre)
        if t.name in takes["on_pre"]
    ]
    name = spec.modulator.name if spec.modulator else ""
    if name in takes["on_pre"]:
        hoist_on_pre.append(f"rule_{name} = signal_at(plastic, block, signals_until(plastic, block, step) - 1, step)")
    read_signal = [f"rule_{name} = signal_at(plastic, block, e - 1, now)"]
    flow = [*(read_signal if name in takes.get("flow", ()) else []), "rule_h = (then - now) * dt",
            f"{changed} = flow({call('flow')})"] if spec.flow else []  # fmt: skip
    at_post = [*(read_signal if name in takes.get("on_post", ()) else []), *traces_on_post,
               f"{changed} = on_post({call('on_post')})"] if spec.on_post else []  # fmt: skip
    next_signal = [
        f"at = plastic.signal_step[block, e & {mask}] if e < signals else then + 1" for mask in ("signal_mask",)
    ] + ["if at <= then:", "    then, post = at, False", "    e += 1"]
    # the modulator's value before its jump holds until then
    if name:
        flow = [line.replace("e - 1, now", "e - 1 - (not post), now") for line in flow]
    short = []
    if short_term:
        short = [f"rule_{c} = plastic.short_constants[{k}]" for k, c in enumerate(short_term.constants)]
        held = {v.name: f"plastic.short[row, {m}]" for m, v in enumerate(short_term.state)}
        taken = inspect.signature(short_term.on_spike).parameters
        short += [
            "rule_h = before * plastic.dt",
            f"{', '.join([*held.values(), 'scale'])} = on_spike({', '.join(held.get(a, f'rule_{a}') for a in taken)})",
        ]
    signals = [
        "signal_mask = plastic.signal_step.shape[1] - 1",
        "signals, first_signal = signals_until(plastic, block, until), signals_until(plastic, block, done)",
        "before = max(before, plastic.signal_step[block, (first_signal - 1) & signal_mask])",
    ]
    bring_up = _BRING_UP_BETWEEN if between(spec) else _BRING_UP if spec.on_post else _NO_BRING_UP
    template = (_SIGNAL if name else "") + _NOTE + bring_up + _REST
    return template.format(
        recent=RECENT,
        note_signal=_NOTE_SIGNAL if name else "",
        delay="(np.int64(delays[k]) - axonal)" if drawn else "delay",
        changed=changed,
        constants=lines(4, [f"rule_{name} = plastic.constants[{k}]" for k, name in enumerate(spec.constants)]),
        decay_post=lines(8, decay_post),
        jump_post=lines(12, jump_post),
        jump_pre=lines(12, jump_pre),
        hoist=lines(4, [f"last_{name} = plastic.pre[row, {k}]" for k, name in on_post]),
        number="plastic.seen[j] - 1 - np.int64(level)" if kept else "0",
        traces_deep=lines(12, traces_on_post),
        traces_not_seen=lines(16, traces_on_post),
        hoist_on_pre=lines(4, hoist_on_pre),
        traces_on_pre=lines(8, on_pre),
        on_post=call("on_post"),
        on_pre=call("on_pre"),
        bad=" or ".join(f"not abs({value}) < np.inf" for value in values),
        signals=lines(4, signals if name else []),
        first_signal=lines(8, ["e = first_signal"] if name else []),
        or_signal=" or e < signals" if name else "",
        next_signal=lines(12, next_signal if name else []),
        flow=lines(12, flow),
        flow_out=lines(12, [line.replace(" - (not post)", "") for line in flow] or ["pass"]),
        on_post_text=lines(16, at_post or ["pass"]),
        short=lines(8, ["if fire > 0:", *(f"    {line}" for line in short)] if short else []),
        prefetch_delays=lines(12, ["prefetch_row(delays, lo, hi, np.uint64(64 // delays.itemsize))"] if drawn else []),
        delivered="weights[k] * scale" if short_term else "weights[k]",
    )
