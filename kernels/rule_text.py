"""How generated code reaches what a plasticity rule's functions take: expressions for one synapse, for every backend.

They name what the code around them has at hand: ``decayed``, below; ``plastic`` and its array ``history``; ``block``,
synapse ``k``, its target ``j``, its dendritic delay ``d``; ``last`` and ``trace_<name>`` of its source; of a
postsynaptic spike its number ``c``, its step ``h`` and that of the one before, ``g``; ``nth``, the number of the
source's spike; ``now``, as of when the synapse is; ``until``, up to when it is brought; ``learns``, whether its weight
changes.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.body import argument_names
from kernels.spec import NUMBER, UNIFORM, RuleSpec, ShortTermSpec, Trace, synapse_rows

TRACE_END = 1e-18  # below it, a trace is 0

_REPLAY = """\
m = plastic.seen[j]
while history[j, np.uint64((m - 1) & mask)] > until - d:
    m -= 1
q = m
while history[j, np.uint64((q - 1) & mask)] > done - d:
    q -= 1
g = history[j, np.uint64((q - 1) & mask)]
for c in range(q, m):
    h = history[j, np.uint64(c & mask)]"""

_OBSERVE = '''
END = {end}


@inner
def observe(reads, observed, late, values, sums, epochs, decay, constants, state, flags, n, span, dt, lo, m, step):
    """Move the observer of targets ``lo`` to ``lo + m`` through ``step``; flags: whether they fired."""
{observer_constants}
    lo, place = np.uint64(lo), np.uint64(step % max(late.shape[0], 1))
    now, before = (step & (span - 1)) * n, ((step - 1) & (span - 1)) * n
{places}
    for x in range(np.uint64(m)):
        j = lo + x
        {results} = observer_step({arguments})
{store}


@inlined
def stretch(plastic, number, start, stop, j):
    """Integral ``number`` of target ``j`` from after step ``start`` to the end of ``stop``, discount 1 at start."""
    sums, n, mask, first = plastic.sums, plastic.n, plastic.span - 1, number * plastic.span
    epoch, across = plastic.sums_epoch[number], plastic.sums_across[number]
    end, factor, value = start | (epoch - 1), 1.0, -sums[np.uint64((first + (start & mask)) * n) + j]
    while end < stop and factor > END:
        value += factor * sums[np.uint64((first + (end & mask)) * n) + j]
        factor *= across
        end += epoch
    value += factor * sums[np.uint64((first + (min(end, stop) & mask)) * n) + j]
    return value * plastic.sums_growth[number, np.uint64(start & (epoch - 1))]
'''


def decayed(decay, row, steps):  # type: ignore[no-untyped-def]
    """The factor of a trace after some steps, from the tables of Plastic.decay. Compiled, it has no branch."""
    if decay.ndim == 2:
        return decay[row, np.uint64(min(steps, decay.shape[1] - 1))]
    few = row * 0xC000 + (steps & 0x3FFF)
    some = row * 0xC000 + 0x4000 + ((steps >> 14) & 0x3FFF)
    many = row * 0xC000 + 0x8000 + min(steps >> 28, 0x3FFF)
    return decay[np.uint64(few)] * decay[np.uint64(some)] * decay[np.uint64(many)]


def _taken(spec: RuleSpec, function: str, names: list[str]) -> list[str]:
    """Those of ``names`` that a function of the rule takes."""
    found = spec.functions().get(function)
    return [name for name in names if found and name in argument_names(found)]


def _names(traces: list[Trace]) -> list[str]:
    return [t.name for t in traces]


def post_at_spike(spec: RuleSpec) -> list[str]:
    """Postsynaptic traces that on_post takes: their values just before each spike are kept beside it."""
    return _taken(spec, "on_post", _names(spec.side("post")))


def watched(spec: RuleSpec) -> list[str]:
    """Signals of the observer whose values on_pre or on_post takes."""
    signals = list(spec.observer.signals) if spec.observer else []
    return [x for x in signals if x in _taken(spec, "on_pre", signals) + _taken(spec, "on_post", signals)]


def gathered(spec: RuleSpec) -> list[tuple[str, str]]:
    """What the first passes note of each synapse: (for which call, argument)."""
    signal = [spec.modulator.name] if spec.modulator else []
    integrals = [x.name for x in spec.observer.integrals] if spec.observer else []
    flow = _taken(spec, "flow", ["h", *_names(spec.side("between")), *signal, *integrals])
    signal += watched(spec)
    on_post = _taken(spec, "on_post", _names(spec.side("pre")) + _names(spec.side("post")) + signal)
    on_pre = _taken(spec, "on_pre", _names(spec.side("post")) + signal)
    calls = {"to newest": flow, "on_post": on_post, "settle": flow, "on_pre": on_pre}
    return [(at, name) for at, names in calls.items() for name in names]


def applied(spec: RuleSpec) -> str:
    """Condition under which the rule's functions are called: state variables go on while learning is off."""
    return "True" if spec.state else "plastic.learning[0] > 0"


def learns(spec: RuleSpec) -> list[str]:
    """The line that tells :func:`assign` whether weights change."""
    return ["learns = plastic.learning[0]"] if spec.state else []


def assign(spec: RuleSpec, to: list[str], call: str, before: str) -> list[str]:
    """Lines that put what a call gives in ``to``; while learning is off, the weight stays as it was in ``before``.

    A choice, not a branch, so that loops are vectorised. Rules without state variables are not called then.
    """
    if not spec.state:
        return [f"{', '.join(to)} = {call}"]
    return [f"{', '.join(['weight', *to[1:]])} = {call}", f"{to[0]} = weight if learns > 0 else {before}"]


def of_synapse(spec: RuleSpec) -> dict[str, str]:
    """Constants with a value for each synapse, by name."""
    rows, _ = synapse_rows(spec, None)
    return {name: f"variables[{rows[name]}, k]" for name in spec.of_synapse}


def spike_factor(rule: RuleSpec, short_term: ShortTermSpec, call: str, held: list[str], prefix: str) -> list[str]:
    """Lines that move a short-term rule's state through a spike, ``<prefix>h`` ms after the last, to get ``scale``.

    ``held``: where the state of a source lies; constants are ``<prefix><name>``. Where synapses have a state of their
    own, it is in ``variables``, as constants are that have values for each.
    """
    names = [v.name for v in short_term.state]
    _, rows = synapse_rows(rule, short_term)
    known = {name: f"variables[{row}, k]" for name, row in rows.items()} or dict(zip(names, held, strict=True))
    arguments = (known.get(a, f"{prefix}{a}") for a in argument_names(short_term.on_spike))
    return [f"{', '.join([*(known[name] for name in names), 'scale'])} = {call}({', '.join(arguments)})"]


def of_source(spec: RuleSpec) -> list[str]:
    """Local names of what is kept of each source, in the order of Plastic.pre."""
    return [*(f"trace_{t.name}" for t in spec.side("pre")), *(["nth"] if "on_pre" in spec.draws else [])]


def drawn(spec: RuleSpec, function: str, spike: str) -> dict[str, str]:
    """Random numbers that a function of the rule takes at a spike of this number, by name; of synapse ``k``.

    Those of spikes of both sides are keyed alike, by even and odd numbers.
    """
    if function not in spec.draws:
        return {}
    number = f"variables[{synapse_rows(spec, None)[0][NUMBER]}, k]"
    found = f"uniforms({number}, {spike_number(function, spike)}, plastic.key[0], plastic.key[1])"
    return {name: f"{found}[{x}]" for x, name in enumerate(UNIFORM) if name in _taken(spec, function, [name])}


def spike_number(function: str, spike: str) -> str:
    """What keys the random numbers of a function at spike number ``spike``."""
    return f"2 * {spike}" if function == "on_pre" else f"2 * {spike} + 1"


def draw(rule: RuleSpec, short_term: ShortTermSpec, prefix: str) -> list[str]:
    """The line that draws the random numbers of synapse ``k``, if the rule takes any."""
    if not short_term.draws:
        return []
    number = synapse_rows(rule, short_term)[1][NUMBER]
    drawn = ", ".join(f"{prefix}{name}" for name in UNIFORM)
    return [f"{drawn} = uniforms(variables[{number}, k], sent, key_0, key_1)"]


def draw_keys(short_term: ShortTermSpec, sent: str) -> list[str]:
    """Lines for a rule that draws: the key of its random numbers, behind the constants, and the number of the spike."""
    if not short_term.draws:
        return []
    m = len(short_term.shared)
    found = (f"key_{x} = np.uint64(plastic.short_constants[{m + x}])" for x in range(2))
    return [*found, f"sent = {sent}"]


class RuleText:
    """Pieces of code for a rule whose functions are called on_pre, on_post and flow, each with ``suffix``."""

    def __init__(self, spec: RuleSpec, suffix: str = "") -> None:
        self.spec, self.suffix = spec, suffix
        self.pre, self.post, self.between = spec.side("pre"), spec.side("post"), spec.side("between")
        self.kept = post_at_spike(spec)
        self.counts = bool(self.kept) or "on_post" in spec.draws  # whether the number of a target's spike is needed
        self.rows = {found: r for r, found in enumerate(gathered(spec))}
        self.values = ["weights[k]", *(f"variables[{m}, k]" for m in range(len(spec.state)))]
        signal = spec.modulator
        since = "max(h + d - last, 0)"
        at_post = {t.name: f"trace_{t.name} * {self.decayed(k, since)}" for k, t in enumerate(self.pre)}
        at_post |= {name: f"plastic.post[j, np.uint64(c & mask), {k}]" for k, name in enumerate(self.kept)}
        each = " * plastic.signal_each[0, j]"
        if signal:
            at_post[signal.name] = "plastic.signal_value[block, np.uint64((h + d) & signal_mask)]" + each
        at_post |= {name: self._signal(name, "h", "d") for name in watched(spec)}
        at_post |= drawn(spec, "on_post", "c")
        at_pre = {
            t.name: f"plastic.trace[np.uint64({k} * plastic.slots * n_target) + at]" for k, t in enumerate(self.post)
        }
        if signal:
            at_pre[signal.name] = "plastic.signal_value[block, np.uint64(until & signal_mask)]" + each
        at_pre |= {name: self._signal(name, "(until - d)", "d") for name in watched(spec)}
        at_pre |= drawn(spec, "on_pre", "nth")
        # by call and argument: flow to the newest spike, on_post, flow to ``until``, on_pre
        self.found = {
            "to newest": self._gap("now", "(h + d)"), "on_post": at_post, "settle": self._gap("now", "until"),
            "on_pre": at_pre,
        }  # fmt: skip

    def call(self, name: str, places: list[str], to: list[str] | None = None) -> list[str]:
        """Lines that call a function, weight and state variables being in ``places``; the new ones go ``to`` there."""
        known = dict(zip(["w", *(v.name for v in self.spec.state)], places, strict=True))
        known |= of_synapse(self.spec)
        function: Callable[..., Any] = self.spec.functions()[name]
        arguments = ", ".join(known.get(a, f"rule_{a}") for a in argument_names(function))
        return assign(self.spec, to or places, f"{name}{self.suffix}({arguments})", places[0])

    def decayed(self, number: int, steps: str) -> str:
        """The factor of trace ``number`` after some steps."""
        return f"decayed(plastic.decay, {number}, {steps})"

    def _gap(self, begin: str, end: str) -> dict[str, str]:
        """Arguments of flow from step ``begin`` to ``end``."""
        steps, signal, observer = f"max({end} - {begin}, 0)", self.spec.modulator, self.spec.observer
        found = {"h": f"{steps} * plastic.dt"}
        found |= {t.name: self.decayed(len(self.pre) + k, steps) for k, t in enumerate(self.between)}
        if signal:
            sums = f"(sums[np.uint64({end} & signal_mask)] - sums[np.uint64({begin} & signal_mask)])"
            growth = f"plastic.signal_growth[np.uint64({begin} & (plastic.epoch - 1))]"
            found[signal.name] = f"{sums} * {growth} * plastic.signal_each[1, j]"
        if observer:
            late = " - d" if observer.dendritic else ""
            for k, x in enumerate(observer.integrals):
                found[x.name] = f"stretch(plastic, np.int64({k}), {begin}{late}, {end}{late}, j)"
        return found

    def _signal(self, name: str, step: str, late: str) -> str:
        """Signal ``name`` of target j as a synapse sees it ``late`` after ``step``."""
        observer = self.spec.observer
        at = step if observer and observer.dendritic else f"({step} + {late})"
        row = f"{watched(self.spec).index(name)} * plastic.span"
        return f"plastic.values[np.uint64(({row} + ({at} & (plastic.span - 1))) * plastic.n) + j]"

    def arguments(self, at: str) -> list[str]:
        """Lines that compute what the call ``at`` takes."""
        names = [name for where, name in self.rows if where == at]
        names += [name for name in UNIFORM if name in self.found[at]]
        return [f"rule_{name} = {self.found[at][name]}" for name in names]

    def see(self, number: str) -> list[str]:
        """Flow to the spike of step h, the one before having been at step g, and on_post."""
        text = [f"c = {number}"] if self.counts and number else []
        for function, at in (("flow", "to newest"), ("on_post", "on_post")):
            if function in self.spec.functions():
                text += ["now = max(before, g + d)"] if function == "flow" else []
                text += self.arguments(at)
                text += self.call(function, self.values)
        return text

    def replay(self) -> list[str]:
        """Lines that replay in order what the synapse has yet to see: target's spikes after ``done``, up to ``until``;
        ``mask``: places of ``history`` - 1."""
        return [*_REPLAY.splitlines(), *(f"    {line}" for line in self.see("")), "    g = h"]

    def jump_pre(self) -> list[str]:
        """What is kept of the source after a spike that comes ``since`` steps after its last, in plastic.pre[row]."""
        return self.after_pre([f"plastic.pre[row, {k}]" for k in range(len(of_source(self.spec)))])

    def after_pre(self, places: list[str]) -> list[str]:
        """The same in other ``places``."""
        found = [
            f"{place} = " + ("1.0" if t.nearest else f"{place} * {self.decayed(k, 'since')} + 1.0")
            for k, (place, t) in enumerate(zip(places, self.pre, strict=False))
        ]
        return found + [f"{place} += 1.0" for place in places[len(self.pre) :]]

    def hoist(self) -> list[str]:
        """What is read before synapses are walked: whether they learn, the sums of the modulator."""
        if not self.spec.modulator:
            return learns(self.spec)
        return [*learns(self.spec), "sums, signal_mask = plastic.signal_sum[block], plastic.signal_sum.shape[1] - 1"]

    def at_arrival(self) -> list[str]:
        """Presynaptic traces that on_pre takes."""
        return [f"rule_{t.name} = trace_{t.name} * {self.decayed(k, 'until - last')}"
                for k, t in enumerate(self.pre) if _taken(self.spec, "on_pre", [t.name])]  # fmt: skip

    def constants(self) -> list[str]:
        """The rule's constants by name."""
        return [f"rule_{name} = plastic.constants[{k}]" for k, name in enumerate(self.spec.shared)]

    def discount(self) -> str:
        """The discount of the modulator at ``step``."""
        signal = self.spec.modulator
        number = next((r for r, t in enumerate(self.between) if signal and t.name == signal.discount), None)
        return "1.0" if number is None else self.decayed(len(self.pre) + number, "step & (plastic.epoch - 1)")


def observe_source(spec: RuleSpec) -> str:
    """Source of ``observe``, which moves a rule's observer through a step, and ``stretch``; empty if it has none."""
    x = spec.observer
    if x is None:
        return ""
    places, store = [f"read_{k} = np.uint64(reads[{k}])" for k in range(len(x.reads))], []
    known = {name: f"np.float64(state[read_{k} + j])" for k, name in enumerate(x.reads)}
    known["fired"] = "np.float64(flags[x])"
    for k, var in enumerate(x.state):
        known |= {var.name: f"observed[{k}, j]", f"{var.name}_late": f"late[place, {k}, j]"}
        store.append(f"observed[{k}, j] = new_{k}")
        store += [f"late[place, {k}, j] = new_{k}"] if x.delay is not None else []
    taken = argument_names(x.step)
    for k, name in enumerate(watched(spec)):
        places.append(f"value_{k} = np.uint64({k} * span * n + now)")
        store.append(f"values[value_{k} + j] = signal_{name}")
    rows = {t.name: len(spec.side("pre")) + k for k, t in enumerate(spec.side("between"))}
    for k, integral in enumerate(x.integrals):
        places.append(f"sum_{k}, from_{k} = np.uint64({k} * span * n + now), np.uint64({k} * span * n + before)")
        places.append(f"begin = step & (epochs[{k}] - 1)")
        places.append(f"weight_{k} = decayed(decay, {rows[integral.discount]}, begin) * dt")
        places.append(f"kept_{k} = 0.0 if begin == 0 else 1.0")
        store.append(f"sums[sum_{k} + j] = sums[from_{k} + j] * kept_{k} + signal_{integral.of} * weight_{k}")
    return _OBSERVE.format(
        end=TRACE_END,
        observer_constants="\n".join(f"    rule_{c} = constants[{k}]" for k, c in enumerate(spec.shared) if c in taken),
        places="\n".join(f"    {line}" for line in places),
        results=", ".join([*(f"new_{k}" for k in range(len(x.state))), *(f"signal_{name}" for name in x.signals)]),
        arguments=", ".join(known.get(a, f"rule_{a}") for a in taken),
        store="\n".join(f"        {line}" for line in store),
    )
