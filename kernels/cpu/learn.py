"""Plastic projections (phase 4): a synapse is brought up to date when its presynaptic spike arrives.

Post-side changes are made late, from each target's recent spikes, in the order in which they happened; nothing is done
at a postsynaptic spike but to note it. When a target's notes run full, all rows of the block are brought up to date
(a sweep), which changes no weight's history of operations.
"""

import inspect

from kernels.spec import RuleSpec

_TEMPLATE = '''
@kernel
def note(tables, plastic, sync, half, block, steps, start):
    """Append the window's spikes of the block's targets to their histories; returns whether a sweep is due."""
    p = plastic.target
    mask = plastic.history.shape[1] - 1
    last_entry = plastic.decay.shape[1] - 1
    limit = plastic.history.shape[1] - plastic.longest - 2 * tables.window
    where = tables.spikes[block, p] + half * (sync.spikes.size // 2)
    due = False
    first = 0
    for offset in range(steps):
        end = sync.counts[half, block, p, offset]
        for x in range(where + first, where + end):
            j = sync.spikes[x]
            c = plastic.seen[j]
            step = start + offset
            before = step - plastic.history[j, (c - 1) & mask]
{jump_post}
            plastic.history[j, c & mask] = step
            plastic.seen[j] = c + 1
            due |= c + 1 - plastic.swept[j] >= limit
        first = end
    return due


@kernel
def bring_up(plastic, row, j, d, w, until):
    """(weight after the postsynaptic spikes that are seen up to step ``until``, number of the newest one)."""
{constants}
    mask = plastic.history.shape[1] - 1
    last_entry = plastic.decay.shape[1] - 1
    after, upto = plastic.done[row] - d, until - d
    oldest = max(np.int64(0), plastic.seen[j] - plastic.history.shape[1])
    newest = plastic.seen[j] - 1
    while newest >= oldest and plastic.history[j, newest & mask] > upto:
        newest -= 1
    q = newest
    while q >= oldest and plastic.history[j, q & mask] > after:
        q -= 1
    for m in range(q + 1, newest + 1):
        h = plastic.history[j, m & mask]
{traces_on_post}
        w = on_post({on_post})
    return w, newest


@kernel
def sweep(tables, edges, plastic, block, until):
    """Bring all synapses of ``block`` up to date at step ``until``."""
    n, first_target = plastic.last.size // tables.lo.shape[0], tables.lo[block, plastic.target]
    at = edges.at[0] + block * (n + 1)
    for i in range(n):
        row = block * n + i
        for k in range(edges.rows[at + i], edges.rows[at + i + 1]):
            j = np.int64(edges.targets[k]) - plastic.base[block] + first_target
            d = np.int64(edges.delays[k]) if edges.delays.size > 0 else edges.delay[0]
            edges.weights[k], _ = bring_up(plastic, row, j, d, edges.weights[k], until)
        plastic.done[row] = until
    for j in range(first_target, tables.hi[block, plastic.target]):
        plastic.swept[j] = plastic.seen[j]


@kernel
def learn(tables, edges, plastic, ring, sync, half, block, start, steps):
    """Deliver the window's spikes to ``block`` through plastic synapses."""
{constants}
    mask = plastic.history.shape[1] - 1
    last_entry = plastic.decay.shape[1] - 1
    slots, stride, origin = tables.ring_mask, tables.stride[block], tables.ring[block]
    due = note(tables, plastic, sync, half, block, steps, start)
    p = plastic.source
    n, first_target = tables.n[p], tables.lo[block, plastic.target]
    at = edges.at[0] + block * (n + 1)
    for offset in range(steps):
        step = start + offset
        for b in range(tables.lo.shape[0]):
            where = tables.spikes[b, p] + half * (sync.spikes.size // 2)
            first = sync.counts[half, b, p, offset - 1] if offset > 0 else 0
            for x in range(where + first, where + sync.counts[half, b, p, offset]):
                i = np.int64(sync.spikes[x])
                row = block * n + i
                for k in range(edges.rows[at + i], edges.rows[at + i + 1]):
                    target = np.int64(edges.targets[k])
                    j = target - plastic.base[block] + first_target
                    d = np.int64(edges.delays[k]) if edges.delays.size > 0 else edges.delay[0]
                    w, q = bring_up(plastic, row, j, d, edges.weights[k], step)
                    if q >= 0 and plastic.history[j, q & mask] == step - d:
                        q -= 1
                    h = step - d
{traces_on_pre}
                    w = on_pre({on_pre})
                    edges.weights[k] = w
                    ring[origin + ((step + d) & slots) * stride + target] += edges.weights[k]
                before = step - plastic.last[row]
{jump_pre}
                plastic.last[row] = step
                plastic.done[row] = step
    if due:
        sweep(tables, edges, plastic, block, start + steps - 1)
'''


def constant_names(spec: RuleSpec) -> list[str]:
    """Names in the order of Plastic.constants."""
    return [p.name for p in spec.params] + [d.name for d in spec.derived]


def source(spec: RuleSpec) -> str:
    """Source text of ``learn`` and ``sweep`` for a rule whose functions are called on_pre and on_post."""
    order = {t.name: k for k, t in enumerate(spec.traces)}

    def jump(side: str, indent: str, old: str, new: str) -> str:
        lines = []
        for number, trace in enumerate(spec.side(side)):
            kept = f"{old.format(number)} * plastic.decay[{order[trace.name]}, min(before, last_entry)]"
            first = " if c > 0 else 1.0" if side == "post" else ""
            lines.append(f"{new.format(number)} = " + ("1.0" if trace.nearest else f"{kept} + 1.0{first}"))
        return "\n".join(indent + line for line in lines)

    def traces(function: object, indent: str, seen: str, entry: str) -> str:
        """Lines that give the traces a function takes their values; ``entry``: number of the last spike before."""
        wanted = inspect.signature(function).parameters  # type: ignore[arg-type]
        lines = []
        for number, trace in enumerate(spec.side("pre")):
            if trace.name in wanted:
                table = f"plastic.decay[{order[trace.name]}, min({seen} - plastic.last[row], last_entry)]"
                lines.append(f"{trace.name} = plastic.pre[row, {number}] * {table}")
        for number, trace in enumerate(spec.side("post")):
            if trace.name in wanted:
                since = f"min(h - plastic.history[j, ({entry}) & mask], last_entry)"
                value = f"plastic.post[j, ({entry}) & mask, {number}] * plastic.decay[{order[trace.name]}, {since}]"
                lines.append(f"{trace.name} = {value} if {entry} >= 0 else 0.0")
        return "\n".join(indent + line for line in lines)

    return _TEMPLATE.format(
        constants="\n".join(f"    {name} = plastic.constants[{k}]" for k, name in enumerate(constant_names(spec))),
        jump_post=jump("post", " " * 12, "plastic.post[j, (c - 1) & mask, {}]", "plastic.post[j, c & mask, {}]"),
        jump_pre=jump("pre", " " * 16, "plastic.pre[row, {}]", "plastic.pre[row, {}]"),
        traces_on_post=traces(spec.on_post, " " * 8, "h + d", "m - 1"),
        traces_on_pre=traces(spec.on_pre, " " * 20, "step", "q"),
        on_post=", ".join(inspect.signature(spec.on_post).parameters),
        on_pre=", ".join(inspect.signature(spec.on_pre).parameters),
    )
