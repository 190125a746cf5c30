"""Plastic synapses in continuous time: brought up to date when their source fires, then changed, then delivered.

Nothing is done at a postsynaptic spike or a modulator's event but to note it: a synapse replays in order what arrived
at it since it was last looked at. A presynaptic spike at t meets the synapse at t; a postsynaptic one, or an event of
the modulator, arrives a delay after it. No delay is shorter than a window, so what happens in a window is noted in
time. When the notes run full, all synapses are brought up to date (a sweep), which changes none's history.
"""

from kernels import packed
from kernels.body import argument_names
from kernels.codegen import HEADER, _function, _scalars, fixed_exponents
from kernels.event.generate import readers
from kernels.event.layout import Plastic
from kernels.jit import inner
from kernels.rule_text import applied, assign, draw, draw_keys, drawn, learns, of_synapse, spike_factor
from kernels.spec import RuleSpec, ShortTermSpec

_SIGNAL = '''
@inlined
def signal_at(plastic, e, t):
    """The modulator at ``t``, of whose events number e is the last one before."""
    x = np.uint64(e & (plastic.signal_time.size - 1))
    return plastic.signal_value[x] * math.exp(-(t - plastic.signal_time[x]) / plastic.signal_tau)


@inlined
def signals_until(plastic, t):
    """How many of the modulator's events there were up to ``t``."""
    e, mask = plastic.signal_seen[0], plastic.signal_time.size - 1
    while e > plastic.signal_oldest[0] and plastic.signal_time[np.uint64((e - 1) & mask)] > t:
        e -= 1
    return e


@inlined
def integrate(plastic, start, reached, stop, total):
    """``total``, the modulator's integral from ``start`` to ``reached``, taken to ``stop``; discounted since ``start``.

    The parts end at events, so that they are the same numbers wherever a sweep came between.
    """
    rate = 1.0 / plastic.signal_tau + 1.0 / plastic.signal_discount
    e = signals_until(plastic, reached)
    while reached < stop:
        then = stop
        if e < plastic.signal_seen[0]:
            then = min(stop, plastic.signal_time[np.uint64(e & (plastic.signal_time.size - 1))])
        h = then - reached
        part = -math.expm1(-h * rate) / rate if rate > 0.0 else h
        part *= signal_at(plastic, e - 1, reached) * math.exp(-(reached - start) / plastic.signal_discount)
        total, reached = total + part, then
        e += 1
    return total
'''
_BRING_UP = '''
@inlined
def bring_up(plastic, row, k, j, d, until, settle):
    """Apply to synapse ``k`` what it has yet to see up to ``until``; it is then as of the last such event.

    Where ``settle``, it is as of ``until`` itself.
    """
{constants}
    history, variables, mask = plastic.history, plastic.variables, plastic.history.shape[1] - 1
    now, m, oldest = plastic.at[k], plastic.seen[j], plastic.oldest[j]
    while m > oldest and history[j, np.uint64((m - 1) & mask)] + d > until:
        m -= 1
    c = m
    while c > oldest and history[j, np.uint64((c - 1) & mask)] + d > now:
        c -= 1
{signals}
    while c < m:
        then = history[j, np.uint64(c & mask)] + d
{flow}
        now = then
{on_post}
        c += 1
{settle}
    plastic.at[k] = now
    if ({bad}) and plastic.fault[0] == np.inf:
        plastic.fault[0], plastic.fault[1] = now, k
'''
_NO_BRING_UP = '''
@inlined
def bring_up(plastic, row, k, j, d, until, settle):
    """Nothing happens to a synapse but at presynaptic spikes."""
'''
_REST = '''
@kernel
def sweep(net, block, edges, plastic, until, settle):
    """Bring all synapses up to date at ``until``, and forget what none needs any more."""
    g, first = np.uint64(plastic.group), block.first[plastic.target]
    start, shift, code_mask = edges.rows[np.uint64(edges.at[g])], edges.delay_shift[g], (1 << net.bits) - 1
    for i in range(np.uint64(plastic.last.size) if {applied} else np.uint64(0)):
        r = np.uint64(edges.at[g]) + i
        for x in range(edges.rows[r], edges.rows[r + np.uint64(1)]):
            j = np.uint64((np.int64(edges.targets[np.uint64(x)]) & code_mask) - first)
            d = edges.delay[g] if shift == NEVER else edges.delays[np.uint64(x + shift)]
            bring_up(plastic, i, np.uint64(x - start), j, d, until, settle)
    history, mask = plastic.history, plastic.history.shape[1] - 1
    for j in range(np.uint64(plastic.seen.size)):
        c = plastic.oldest[j]
        while c < plastic.seen[j] and history[j, np.uint64(c & mask)] + plastic.longest < until:
            c += 1
        plastic.oldest[j] = max(plastic.oldest[j], c - 1)  # the last spike before: presynaptic changes take its traces
{sweep_signal}


@inner
def full(words, learned, number, thread, half):
    """1 where there is no room to note the window's spikes for plastic projection ``number``, else 0."""
    plastic = plastic_of(learned, number)
    return np.int64(no_room(net_of(words, 0), block_of(words, 0), plastic, sync_of(words, 0), thread, half))


@inner
def learn(words, learned, number, t, spike, population, window):
    """All that the spike of a population at ``t``, in ``window``, means to plastic projection ``number``."""
    net, block, queue, edges = net_of(words, 0), block_of(words, 0), queue_of(words, 0), edges_of(words, 0)
    plastic, p = plastic_of(learned, number), np.int64(population)
    history, variables, mask = plastic.history, plastic.variables, plastic.history.shape[1] - 1
    if p == plastic.source:  # bring its synapses up to date, make the presynaptic change, deliver
        i, g, first = np.uint64(spike - net.gid[p]), np.uint64(plastic.group), block.first[plastic.target]
        r = np.uint64(edges.at[g]) + i
        start, shift, code_mask = edges.rows[np.uint64(edges.at[g])], edges.delay_shift[g], (1 << net.bits) - 1
{constants_of_learn}
{hoist}
        for x in range(edges.rows[r], edges.rows[r + np.uint64(1)]):
            code, k = edges.targets[np.uint64(x)], np.uint64(x - start)
            d = edges.delay[g] if shift == NEVER else edges.delays[np.uint64(x + shift)]
            if {applied}:
                j = np.uint64((np.int64(code) & code_mask) - first)
                bring_up(plastic, i, k, j, d, t, True)
{traces}
                if {fine}:  # else on_pre might hide it by a bound
{on_pre}
                plastic.at[k] = t
                if ({bad}) and plastic.fault[0] == np.inf:
                    plastic.fault[0], plastic.fault[1] = t, k
{short_each}
            push_event(queue, slot_of(net, block, queue, t + d, window), t + d, code, {delivered})
{jump}
        plastic.last[i] = t
    target = spike - net.gid[p] - block.lo[p]
    if p == plastic.target and 0 <= target < plastic.seen.size:  # note it, and traces just before
        j, post = np.uint64(target), plastic.post
        n = plastic.seen[j]
        y, z = np.uint64(n & mask), np.uint64((n - 1) & mask)
{note}
        history[j, y] = t
        plastic.seen[j] = n + 1
{note_signal}
'''
_NOTE_SIGNAL = """\
    if p == plastic.signal:
        c, at = plastic.signal_seen[0], t + plastic.signal_delay
        value = signal_at(plastic, c - 1, at) + plastic.signal_jump
        x = np.uint64(c & (plastic.signal_time.size - 1))
        plastic.signal_time[x], plastic.signal_value[x] = at, value
        plastic.signal_seen[0] = c + 1"""
_IMPORTS = """\
from kernels.event import layout
from kernels.event.calendar import push_event
from kernels.event.deliver import slot_of
from kernels.event.layout import NEVER, Plastic
from kernels.event.learn import no_room
from kernels.packed import reader
"""


@inner
def no_room(net, block, plastic, sync, thread, half):  # type: ignore[no-untyped-def]
    """Whether there is no room to note the window's spikes; sync.wanted: how many, of a target, of the modulator."""
    most, due = 0, False
    begin = net.gid[plastic.target] + block.lo[plastic.target]
    for x in range(sync.n_spikes[half, thread, 0]):
        j = sync.spike_id[half, thread, x] - begin
        if 0 <= j < plastic.new.size:
            plastic.new[j] += 1
            most = max(most, plastic.new[j])
            due |= plastic.seen[j] + plastic.new[j] - plastic.oldest[j] > plastic.history.shape[1]
    for x in range(sync.n_spikes[half, thread, 0]):
        j = sync.spike_id[half, thread, x] - begin
        if 0 <= j < plastic.new.size:
            plastic.new[j] = 0
    events = 0
    if plastic.signal >= 0:
        begin, end = net.gid[plastic.signal], net.gid[plastic.signal] + net.n[plastic.signal]
        for b in range(sync.n_spikes.shape[1]):
            for x in range(sync.n_spikes[half, b, 0]):
                if begin <= sync.spike_id[half, b, x] < end:
                    events += 1
    due |= plastic.signal_seen[0] + events - plastic.signal_oldest[0] > plastic.signal_time.size
    if due:
        sync.wanted[thread, 1], sync.wanted[thread, 2] = most, events
    return due


def replays(spec: RuleSpec) -> bool:
    """Whether anything happens to a synapse but at presynaptic spikes."""
    return spec.on_post is not None or spec.flow is not None


def source(spec: RuleSpec, short_term: ShortTermSpec | None, plastic: Plastic, layouts: dict[str, str]) -> str:
    """Source of a module with ``learn``, ``full`` and ``sweep`` for a rule with these constants; ``layouts``: forms of
    the tuples in ``words``."""
    short = short_term.functions() if short_term else {}
    exponents = fixed_exponents(spec, plastic.constants)
    written = [_function(f, name, False, exponents, library=True) for name, f in spec.functions().items()]
    written += [_function(f, name, False, library=True) for name, f in short.items()]
    draws = spec.draws or (short_term and short_term.draws)
    imports = _IMPORTS + ("from kernels.philox import uniforms\n" if draws else "")
    header = HEADER.format(title=f"Plasticity rule {spec.name}, in continuous time.", imports=imports)
    read = f"plastic_of = reader(Plastic, {packed.form(plastic)!r}, 1)\n"
    read += readers(layouts, ("net", "block", "sync", "queue", "edges"))
    scalars = _scalars((*spec.functions().values(), *short.values()), False)
    parts = [header, read, scalars, *written, _text(spec, short_term)]
    return "\n\n".join(part for part in parts if part)


def _text(spec: RuleSpec, short_term: ShortTermSpec | None) -> str:
    """The templates filled in. The rule's names get a prefix, so that they cannot meet those of the template."""
    pre, post, between = spec.side("pre"), spec.side("post"), spec.side("between")
    takes = {name: argument_names(f) for name, f in spec.functions().items()}
    values = ["plastic.weights[k]", *(f"variables[{m}, k]" for m in range(len(spec.state)))]
    places = dict(zip(["w", *(v.name for v in spec.state)], values, strict=True)) | of_synapse(spec)
    modulator = spec.modulator.name if spec.modulator else ""
    summed = bool(modulator and modulator in takes.get("flow", ()))

    def lines(indent: int, text: list[str]) -> str:
        return "\n".join(" " * indent + line for line in text or ["pass"])

    def call(name: str) -> list[str]:
        given = ", ".join(places.get(a, f"rule_{a}") for a in takes[name])
        return assign(spec, values, f"{name}({given})", values[0])

    def used(traces: list, name: str) -> list[tuple[int, str]]:  # type: ignore[type-arg]
        return [(m, t.name) for m, t in enumerate(traces) if t.name in takes.get(name, ())]

    def pre_at(m: int, t: str) -> str:
        return f"plastic.pre[{{row}}, {m}] * math.exp(-({t} - plastic.last[{{row}}]) / plastic.tau_pre[{m}])"

    def after(trace: int, spike: str) -> str:
        """A postsynaptic trace just after noted spike ``spike``."""
        return "1.0" if post[trace].nearest else f"(plastic.post[j, {spike}, {trace}] + 1.0)"

    def signal(name: str, e: str, t: str) -> list[str]:
        return [f"rule_{modulator} = signal_at(plastic, {e}, {t})"] if modulator in takes.get(name, ()) else []

    def flow(to: str) -> list[str]:
        text = [f"rule_h = {to} - now"]
        text += [f"rule_{t.name} = math.exp(-rule_h / plastic.tau_between[{m}])" for m, t in enumerate(between)]
        if summed:
            text += [f"rule_{modulator} = integrate(plastic, now, reached, {to}, total)", f"total, reached = 0.0, {to}"]
        return [*text, *call("flow")] if spec.flow else []

    at_post = signal("on_post", "signals_until(plastic, then) - 1", "then")
    at_post += [f"rule_{name} = {pre_at(m, 'then').format(row='row')}" for m, name in used(pre, "on_post")]
    at_post += [f"rule_{name} = plastic.post[j, np.uint64(c & mask), {m}]" for m, name in used(post, "on_post")]
    at_post += [f"rule_{name} = {number}" for name, number in drawn(spec, "on_post", "c").items()]
    if spec.on_post:
        at_post += call("on_post")
    hoist = [f"rule_{name} = {pre_at(m, 't').format(row='i')}" for m, name in used(pre, "on_pre")]
    hoist += signal("on_pre", "signals_until(plastic, t) - 1", "t")
    hoist += [f"nth = plastic.pre[i, {len(pre)}]"] if "on_pre" in spec.draws else []
    short_each: list[str] = []
    if short_term:
        # not rule_..: the rule may have constants of the same names
        hoist += [f"short_{c} = plastic.short_constants[{m}]" for m, c in enumerate(short_term.shared)]
        hoist.append("short_h = t - plastic.last[i]")
        hoist += draw_keys(short_term, "plastic.short[i, 0]")
        held = [f"plastic.short[i, {m}]" for m in range(len(short_term.state))]
        short_each += draw(spec, short_term, "short_")
        (short_each if short_term.own else hoist).extend(spike_factor(spec, short_term, "on_spike", held, "short_"))
        if short_term.draws:
            short_each += ["if scale == 0.0:  # nothing is released, and the target has no event", "    continue"]
    traces = [f"rule_{name} = 0.0" for _, name in used(post, "on_pre")]
    if traces:
        traces += [
            "c = plastic.seen[j]",
            "while c > plastic.oldest[j] and history[j, np.uint64((c - 1) & mask)] + d >= t:",
            "    c -= 1",
            "if c > plastic.oldest[j]:",
            "    y = np.uint64((c - 1) & mask)",
            "    past = t - (history[j, y] + d)",
        ]
        traces += [f"    rule_{name} = {after(m, 'y')} * math.exp(-past / plastic.tau_post[{m}])"
                   for m, name in used(post, "on_pre")]  # fmt: skip
    traces += [f"rule_{name} = {number}" for name, number in drawn(spec, "on_pre", "nth").items()]
    jump = [
        f"plastic.pre[i, {m}] = " + ("1.0" if x.nearest else pre_at(m, "t").format(row="i") + " + 1.0")
        for m, x in enumerate(pre)
    ]
    jump += [f"plastic.pre[i, {len(pre)}] = nth + 1.0"] if "on_pre" in spec.draws else []
    jump += ["plastic.short[i, 0] = sent + 1.0"] if short_term and short_term.draws else []
    note = [
        f"post[j, y, {m}] = {after(m, 'z')} * math.exp(-(t - history[j, z]) / plastic.tau_post[{m}]) if n > 0 else 0.0"
        for m in range(len(post))
    ]
    settle = ["if settle:", *("    " + line for line in flow("until")), "    now = until"] if spec.flow else []
    if summed:
        settle += [
            "else:",
            "    e = np.uint64((signals_until(plastic, until) - 1) & (plastic.signal_time.size - 1))",
            "    if plastic.signal_time[e] > reached:",
            "        total = integrate(plastic, now, reached, plastic.signal_time[e], total)",
            "        reached = plastic.signal_time[e]",
            "plastic.total[k], plastic.reached[k] = total, reached",
        ]
    constants = [f"rule_{name} = plastic.constants[{m}]" for m, name in enumerate(spec.shared)] + learns(spec)
    text = (_SIGNAL if modulator else "") + (_BRING_UP if replays(spec) else _NO_BRING_UP) + _REST
    return text.format(
        constants=lines(4, constants),
        constants_of_learn=lines(8, constants),
        applied=applied(spec),
        bad=" or ".join(f"not abs({value}) < np.inf" for value in values),
        fine=" and ".join(f"abs({value}) < np.inf" for value in values),
        signals=lines(4, ["total, reached = plastic.total[k], plastic.reached[k]"] if summed else []),
        flow=lines(8, flow("then")),
        on_post=lines(8, at_post),
        settle=lines(4, settle),
        sweep_signal=lines(
            4, ["plastic.signal_oldest[0] = max(signals_until(plastic, until) - 1, 0)"] if modulator else []
        ),
        hoist=lines(8, hoist),
        short_each="\n".join(" " * 12 + line for line in short_each),
        traces=lines(16, traces),
        on_pre=lines(20, call("on_pre")),
        delivered="plastic.weights[k] * scale" if short_term else "plastic.weights[k]",
        jump=lines(8, jump),
        note=lines(8, note),
        note_signal=_NOTE_SIGNAL if modulator else "",
    )
