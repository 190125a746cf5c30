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

from kernels.spec import RuleSpec

_TEMPLATE = '''
RECENT = {recent}


@kernel
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
    return due


@kernel
def bring_up(plastic, edges, row, block, first, n, until):
    """Replay what synapses ``first`` to ``first + n`` of a row have yet to see up to step ``until``."""
{constants}
    newest, history, decay = plastic.recent[0], plastic.history, plastic.decay
    lists, ends = plastic.lists[block], plastic.ends[block]
    targets, weights, delays = edges.targets, edges.weights, edges.delays
    last_entry, mask = decay.shape[1] - 1, history.shape[1] - 1
    last, done, delay = plastic.last[row], plastic.done[row], edges.delay[0]
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
{traces_deep}
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
{traces_older}
            {changed} = on_post({on_post})
    level += np.uint64(1)
    while level > np.uint64(0):
        level -= np.uint64(1)
        listed, recent = lists[level], plastic.recent[level]
        for y in range(ends[level]):
            k = first + np.uint64(listed[y])
            j = np.uint64(targets[k]) + origin
            h, d = recent[j], {delay}
{traces_on_post}
            {changed} = on_post({on_post})


@kernel
def sweep(tables, edges, plastic, block, until):
    """Bring all synapses of ``block`` up to date at step ``until``."""
    n, p, piece = tables.n[plastic.source], plastic.target, np.uint64(plastic.lists.shape[2])
    at = edges.at[0] + block * (n + 1)
    for i in range(n):
        row = block * n + i
        first, end = np.uint64(edges.rows[at + i]), np.uint64(edges.rows[at + i + 1])
        while first < end:
            size = min(piece, end - first)
            bring_up(plastic, edges, row, block, first, size, until)
            first += size
        plastic.done[row] = until
    for j in range(tables.lo[block, p], tables.hi[block, p]):
        plastic.swept[j] = plastic.seen[j]


@kernel
def prefetch_next(edges, r):
    """Ask for row ``r``."""
    first, end = np.uint64(edges.rows[r]), np.uint64(edges.rows[r + 1])
    prefetch_row(edges.targets, first, end, np.uint64(64 // edges.targets.itemsize))
    prefetch_row(edges.weights, first, end, np.uint64(64 // edges.weights.itemsize))
    if edges.delays.size > 0:
        prefetch_row(edges.delays, first, end, np.uint64(64 // edges.delays.itemsize))


@kernel
def deliver_row(plastic, edges, ring, slots, stride, base, row, block, first, end, step):
    """Bring a row up to date, make the presynaptic change of its source's spike of ``step``, and deliver it."""
{constants}
    trace, decay = plastic.trace, plastic.decay
    targets, weights, delays, delay = edges.targets, edges.weights, edges.delays, edges.delay[0]
    last_entry, piece = decay.shape[1] - 1, np.uint64(plastic.lists.shape[2])
    before = step - plastic.last[row]
    n, origin, mask = plastic.n, plastic.origin[block], plastic.slots - 1
{hoist_on_pre}
    while first < end:
        size = min(piece, end - first)
        bring_up(plastic, edges, row, block, first, size, step)
        for k in range(first, first + size):
            target, d = np.uint64(targets[k]), {delay}
            now = np.uint64(((step - d) & mask) * n + origin) + target
{traces_on_pre}
            {changed} = on_pre({on_pre})
            to = np.uint64(base + ((step + d) & slots) * stride) + target
            ring[to] += weights[k]
        first += size
{jump_pre}
    plastic.last[row] = step
    plastic.done[row] = step


@kernel
def learn(tables, edges, plastic, ring, sync, half, block, start, steps):
    """Deliver the window's spikes to ``block`` through plastic synapses."""
    slots, stride, base = tables.ring_mask, tables.stride[block], tables.ring[block]
    p = plastic.source
    n = tables.n[p]
    at = edges.at[0] + block * (n + 1)
    for offset in range(steps):
        for b in range(tables.lo.shape[0]):
            where = tables.spikes[b, p] + half * (sync.spikes.size // 2)
            earlier = sync.counts[half, b, p, offset - 1] if offset > 0 else 0
            beyond = where + sync.counts[half, b, p, offset]
            for s in range(where + earlier, beyond):
                i = np.int64(sync.spikes[s])
                if s + 1 < beyond:
                    prefetch_next(edges, at + np.int64(sync.spikes[s + 1]))
                first, end = np.uint64(edges.rows[at + i]), np.uint64(edges.rows[at + i + 1])
                deliver_row(
                    plastic, edges, ring, slots, stride, base, block * n + i, block, first, end, start + offset
                )
    # the window's own spikes are seen later: no delay is shorter than a window
    if note(tables, plastic, sync, half, block, steps, start):
        sweep(tables, edges, plastic, block, start + steps - 1)
'''
TRACE_END = 1e-18  # below it, a trace is 0
RECENT = 8  # newest spikes of a target that are kept by age


def constant_names(spec: RuleSpec) -> list[str]:
    """Names of the entries of Plastic.constants."""
    return [p.name for p in spec.params] + [d.name for d in spec.derived]


def post_at_spike(spec: RuleSpec) -> list[str]:
    """Postsynaptic traces that on_post takes: their values just before each spike are kept beside it."""
    taken = inspect.signature(spec.on_post).parameters
    return [t.name for t in spec.side("post") if t.name in taken]


def source(spec: RuleSpec, drawn: bool) -> str:
    """Source text of ``learn`` and ``sweep`` for a rule whose functions are called on_pre and on_post.

    ``drawn``: synapses have delays of their own. The rule's names get a prefix, so that they cannot meet those of the
    template.
    """
    pre, post, kept = spec.side("pre"), spec.side("post"), post_at_spike(spec)
    takes = {f: inspect.signature(f).parameters for f in (spec.on_pre, spec.on_post)}

    def lines(indent: int, text: list[str]) -> str:
        return "\n".join(" " * indent + line for line in text)

    def decayed(value: str, number: int, steps: str) -> str:
        return f"{value} * decay[{number}, np.uint64(min({steps}, last_entry))]"

    def call(function: object) -> str:
        return ", ".join("weights[k]" if a == "w" else f"rule_{a}" for a in takes[function])  # type: ignore[index]

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
    on_post = [(k, t.name) for k, t in enumerate(pre) if t.name in takes[spec.on_post]]

    def traces_on_post(number: str) -> list[str]:
        return [f"rule_{name} = " + decayed(f"last_{name}", k, "h + d - last") for k, name in on_post] + [
            f"rule_{name} = plastic.post[j, np.uint64({number} & mask), {k}]" for k, name in enumerate(kept)
        ]

    on_pre_row = [
        f"rule_{t.name} = " + decayed(f"plastic.pre[row, {k}]", k, "before")
        for k, t in enumerate(pre)
        if t.name in takes[spec.on_pre]
    ]
    on_pre = [
        f"rule_{t.name} = trace[np.uint64({k} * plastic.slots * n) + now]"
        for k, t in enumerate(post)
        if t.name in takes[spec.on_pre]
    ]
    return _TEMPLATE.format(
        recent=RECENT,
        delay="np.int64(delays[k])" if drawn else "delay",
        changed="weights[k]",
        constants=lines(4, [f"rule_{name} = plastic.constants[{k}]" for k, name in enumerate(constant_names(spec))]),
        decay_post=lines(8, decay_post),
        jump_post=lines(12, jump_post),
        jump_pre=lines(4, jump_pre),
        hoist=lines(4, [f"last_{name} = plastic.pre[row, {k}]" for k, name in on_post]),
        traces_deep=lines(16, traces_on_post("c")),
        traces_older=lines(12, traces_on_post("c")),
        traces_on_post=lines(12, traces_on_post("(plastic.seen[j] - 1 - np.int64(level))")),
        hoist_on_pre=lines(4, on_pre_row),
        traces_on_pre=lines(12, on_pre),
        on_post=call(spec.on_post),
        on_pre=call(spec.on_pre),
    )
