"""Plasticity in the reference engine: all events are kept, every synapse replays what it has not yet seen."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.body import argument_names
from kernels.layout import NEVER, Edges, Plastic, Tables
from kernels.philox import uniforms
from kernels.reference.call import call
from kernels.rule_text import TRACE_END, decayed
from kernels.spec import NUMBER, UNIFORM, RuleSpec, ShortTermSpec, synapse_rows

Spike = tuple[int, int, int]  # step, population, neuron


def called(function: Callable[..., Any], given: dict[str, float], library: bool = False) -> list[float]:
    """The values that a rule's function gives; ``library``: as for :func:`call`."""
    result = call(function, [given[a] for a in argument_names(function)], library)
    return list(result) if isinstance(result, tuple) else [result]


def short_called(
    spec: ShortTermSpec, constants: np.ndarray, given: dict[str, float], h: float, library: bool = False
) -> list[float]:
    """New state and factor that a short-term rule gives; ``given``: state and constants of a synapse."""
    shared = dict(zip(spec.shared, constants[: len(spec.shared)].tolist(), strict=True))
    return called(spec.on_spike, shared | given | {"h": h}, library)


def move_short(
    x: Any, spec: ShortTermSpec, rows: dict[str, int], i: int, k: int, h: float, library: bool = False
) -> float:
    """Move the short-term state of synapse ``k``, of source ``i``, of ``x``, a Plastic, that is its own.

    Returns its weight's factor. Random numbers are keyed by the synapse's number and that of the spike.
    """
    given = {name: float(x.variables[row, k]) for name, row in rows.items()}
    if spec.draws:
        drawn = uniforms.py_func(given[NUMBER], x.short[i, 0], *x.short_constants[-2:].astype(np.uint64))
        given |= dict(zip(UNIFORM, map(float, drawn), strict=True))
    *state, factor = short_called(spec, x.short_constants, given, h, library)
    for v, value in zip(spec.state, state, strict=True):
        x.variables[rows[v.name], k] = value
    return float(factor)


def drawn(x: Any, rule: RuleSpec, function: str, variables: list[float], spike: int) -> dict[str, float]:
    """Random numbers that a function of the rule takes at spike number ``spike`` of its side; ``x``: a Plastic."""
    if function not in rule.draws:
        return {}
    number = variables[synapse_rows(rule, None)[0][NUMBER]]
    found = uniforms.py_func(number, 2 * spike + (function == "on_post"), *x.key)
    return dict(zip(UNIFORM, map(float, found), strict=True))


class Learner:
    """One plastic projection. Steps are those at the synapse: its source's spikes arrive ``axonal`` steps late."""

    def __init__(
        self, tables: Tables, edges: Edges, plastic: Plastic, rule: RuleSpec, short_term: ShortTermSpec | None
    ) -> None:
        self.tables, self.edges, self.plastic, self.rule, self.short_term = tables, edges, plastic, rule, short_term
        self.rows, self.short_rows = synapse_rows(rule, short_term)
        self.constants = dict(zip(rule.shared, plastic.constants.tolist(), strict=True))
        self.post_spikes: list[list[int]] = [[] for _ in range(plastic.n)]
        # postsynaptic traces of each neuron at each step, without a spike of that very step
        self.post = [[dict.fromkeys((t.name for t in rule.side("post")), 0.0)] for _ in range(plastic.n)]
        n_source = int(tables.n[plastic.source])
        self.pre = [dict.fromkeys((t.name for t in rule.side("pre")), 0.0) for _ in range(n_source)]
        self.sent = [0] * n_source
        self.last = [NEVER] * n_source
        self.done = [-1] * n_source
        self.waiting: list[Spike] = []  # spikes of the source on their way along the axon
        self.settled = -1  # step up to which all synapses were last settled
        self.signal: list[float] = []  # the modulator at each step
        self.sums: list[float] = []  # its discounted integral from the beginning of the epoch to each step
        self.signal_now = [float(x) for x in plastic.signal_now[0]]  # at the next step: modulator but for jumps, sum
        self.jumps: dict[int, int] = {}
        # of each target at each step: signals of the observer, and integrals from the beginning of the epoch
        self.signals: list[list[dict[str, float]]] = [[] for _ in range(plastic.n)]
        self.totals: list[list[list[float]]] = [[] for _ in range(plastic.n)]

    def observe(self, step: int, fired: list[int], state: np.ndarray) -> None:
        """Move the observer of every target through ``step``; ``state``: State.f at its end."""
        x, observer = self.plastic, self.rule.observer
        if observer is None:
            return
        names = [v.name for v in observer.state]
        for j in range(x.n):
            given = {**self.constants, "fired": float(j in fired)}
            given |= {name: float(state[at + j]) for name, at in zip(observer.reads, x.reads, strict=True)}
            given |= dict(zip(names, x.observed[:, j].tolist(), strict=True))
            if observer.delay is not None:
                late = x.late[step % len(x.late), :, j].tolist()
                given |= {f"{name}_late": value for name, value in zip(names, late, strict=True)}
            result = called(observer.step, given)
            x.observed[:, j] = result[: len(names)]
            if observer.delay is not None:
                x.late[step % len(x.late), :, j] = result[: len(names)]
            signals = dict(zip(observer.signals, map(float, result[len(names) :]), strict=True))
            between, totals = [t.name for t in self.rule.side("between")], []
            for k, integral in enumerate(observer.integrals):
                begin = step % int(x.sums_epoch[k])
                row = len(self.rule.side("pre")) + between.index(integral.discount)
                discount = float(decayed(x.decay, row, begin))
                before = self.totals[j][-1][k] if begin else 0.0
                totals.append(before + signals[integral.of] * (discount * x.dt))
            self.signals[j].append(signals)
            self.totals[j].append(totals)

    def observed(self, j: int, step: int, d: int) -> dict[str, float]:
        """Signals of target ``j`` as a synapse with dendritic delay ``d`` sees them at ``step``."""
        if self.rule.observer is None:
            return {}
        at = step - d if self.rule.observer.dendritic else step
        return self.signals[j][at] if at >= 0 else dict.fromkeys(self.rule.observer.signals, 0.0)

    def stretch(self, number: int, start: int, stop: int, j: int) -> float:
        """Integral ``number`` of target ``j`` from after step ``start`` to the end of ``stop``, discount 1 at start."""
        x = self.plastic

        def total(step: int) -> float:
            return self.totals[j][step][number] if step >= 0 else 0.0

        epoch, factor, value = int(x.sums_epoch[number]), 1.0, -total(start)
        end = start | (epoch - 1)
        while end < stop and factor > TRACE_END:
            value += factor * total(end)
            factor *= float(x.sums_across[number])
            end += epoch
        return (value + factor * total(min(end, stop))) * float(x.sums_growth[number, start % epoch])

    def deliver(self, step: int, fired: list[Spike], ring: list[list[list[float]]], slots: int) -> None:
        """Deliver the source's spikes that arrive in ``step``, then note those of target and modulator."""
        x = self.plastic
        self.waiting += [(s + x.axonal, p, i) for s, p, i in fired if p == x.source]
        if self.rule.modulator:
            self.move_signal(step)
        elif self.rule.observer and step % x.epoch == 0:
            self.sweep(step, settle=True)
        for _, _, i in [spike for spike in self.waiting if spike[0] == step]:
            self.arrive(i, step, ring, slots)
        self.waiting = [spike for spike in self.waiting if spike[0] > step]
        spikes = set(fired)
        for j in range(x.n):
            spike = (step, x.target, j) in spikes
            if spike:
                self.post_spikes[j].append(step)
            self.post[j].append(self.next_step(self.post[j][step], spike))
        self.jumps[step + x.signal_delay] = sum(p == x.signal for _, p, _ in fired)

    def arrive(self, i: int, s: int, ring: list[list[list[float]]], slots: int) -> None:
        """Deliver a spike of source ``i`` at step ``s``."""
        x = self.plastic
        factor = self.short_factor(i, s) if self.short_term and not self.short_rows else 1.0
        for b, k, j, d in self.synapses(i):
            if x.learning[0] or self.rule.state:  # state variables go on while learning is off
                values = self.bring_up(i, j, d, self.read(k), s, settle=True)
                if np.isfinite(values[: 1 + len(self.rule.state)]).all():  # else on_pre might hide it by a bound
                    given = self.seen(i, j, s, d) | drawn(x, self.rule, "on_pre", values[1:], self.sent[i])
                    values = self.call(self.rule.on_pre, values, given, s, j)
                self.write(b, k, s, values)
            if self.short_term and self.short_rows:
                factor = move_short(x, self.short_term, self.short_rows, i, k, (s - self.last[i]) * x.dt)
            weight = float(self.edges.weights[k])
            ring[b][(s + d) % slots][self.edges.targets[k]] += weight * factor if self.short_term else weight
        if self.short_term and self.short_term.draws:
            x.short[i :: len(self.last)] += 1.0  # every block has its own
        old = self.pre_at(i, s)
        self.pre[i] = {t.name: 1.0 if t.nearest else old[t.name] + 1.0 for t in self.rule.side("pre")}
        self.last[i] = self.done[i] = s
        self.sent[i] += 1

    def move_signal(self, step: int) -> None:
        """Bring the modulator to ``step``; at the end of an epoch, settle all synapses."""
        x = self.plastic
        value = self.signal_now[0] + x.signal_jump * self.jumps.get(step, 0)
        self.signal.append(value)
        self.sums.append(self.signal_now[1])
        if step % x.epoch == 0 or step == x.signal_set[0]:
            self.sweep(step, settle=True)
            x.signal_each[1] = x.signal_each[0]
        if step % x.epoch == 0:
            self.sums[step] = self.signal_now[1] = 0.0
        names = [t.name for t in self.rule.side("between")]
        discount = 1.0
        if self.rule.modulator and self.rule.modulator.discount:
            row = len(self.rule.side("pre")) + names.index(self.rule.modulator.discount)
            discount = float(decayed(x.decay, row, step % x.epoch))
        self.signal_now[0] = value * x.signal_factor
        self.signal_now[1] += value * discount * x.signal_gain

    def short_factor(self, i: int, step: int) -> float:
        """Move the short-term state of source ``i`` to its spike of ``step``; returns the factor of its weights."""
        x, spec = self.plastic, self.short_term
        assert spec is not None
        given = dict(zip((v.name for v in spec.state), x.short[i].tolist(), strict=True))
        *state, factor = short_called(spec, x.short_constants, given, (step - self.last[i]) * x.dt)
        for row in range(i, len(x.short), len(self.last)):  # every block has its own
            x.short[row] = state
        return float(factor)

    def next_step(self, traces: dict[str, float], spike: bool) -> dict[str, float]:
        """Postsynaptic traces one step later."""
        new = {}
        for k, t in enumerate(self.rule.side("post")):
            x = traces[t.name]
            if spike:
                x = 1.0 if t.nearest else x + 1.0
            x *= float(self.plastic.factor[k])
            new[t.name] = x if x > TRACE_END else 0.0
        return new

    def pre_at(self, i: int, step: int) -> dict[str, float]:
        """Presynaptic traces of source ``i`` at ``step``, without a spike of that very step."""
        decay, h, traces = self.plastic.decay, step - self.last[i], self.rule.side("pre")
        return {t.name: self.pre[i][t.name] * float(decayed(decay, k, h)) for k, t in enumerate(traces)}

    def post_at(self, j: int, step: int) -> dict[str, float]:
        """Postsynaptic traces of neuron ``j`` at ``step``, without a spike of that very step."""
        return self.post[j][max(step, 0)]

    def seen(self, i: int, j: int, step: int, d: int) -> dict[str, float]:
        """Traces and signals that a synapse with dendritic delay ``d`` sees at ``step``."""
        return self.pre_at(i, step) | self.post_at(j, step - d) | self.observed(j, step, d)

    def call(
        self, function: Callable[..., Any], before: list[float], traces: dict[str, float], step: int, j: int
    ) -> list[float]:
        """Weight and state variables after one of the rule's functions."""
        given = {**self.constants, **traces}
        given |= dict(zip(["w", *self.rows], before[: 1 + len(self.rows)], strict=True))
        if self.rule.modulator and self.rule.modulator.name not in given:
            given[self.rule.modulator.name] = self.signal[step] * float(self.plastic.signal_each[0, j])
        values = called(function, given)
        values += before[len(values) :]
        return values if self.plastic.learning[0] else [before[0], *values[1:]]

    def read(self, k: int) -> list[float]:
        """Weight and all ``variables`` of synapse ``k``."""
        return [float(self.edges.weights[k]), *self.plastic.variables[:, k].tolist()]

    def write(self, block: int, k: int, step: int, values: list[float]) -> None:
        """Store weight and state variables of synapse ``k``."""
        self.edges.weights[k] = values[0]
        self.plastic.variables[:, k] = values[1:]
        if not np.isfinite(values[: 1 + len(self.rule.state)]).all() and self.plastic.fault[block, 0] < 0:
            self.plastic.fault[block] = step, k

    def synapses(self, i: int) -> list[tuple[int, int, int, int]]:
        """(block, place, target, dendritic delay) of the synapses of source ``i``."""
        e, x, found = self.edges, self.plastic, []
        for b in range(len(x.origin)):
            r = int(e.at[0] + b * (e.n_source[0] + 1) + i)
            for k in range(e.rows[r], e.rows[r + 1]):
                j = int(e.targets[k]) + int(x.origin[b])
                found.append((b, k, j, int(e.delays[k] if e.delays.size else e.delay[0]) - x.axonal))
        return found

    def bring_up(self, i: int, j: int, d: int, values: list[float], until: int, settle: bool) -> list[float]:
        """Weight and state variables after the events that the synapse sees up to step ``until``.

        They are as of the last such event, or of ``until`` itself where ``settle``.
        """
        posts = [h + d for h in self.post_spikes[j]]
        now = max([t for t in (*posts, self.last[i]) if t <= self.done[i]] + [self.settled])
        for c, t in ((c, t) for c, t in enumerate(posts) if self.done[i] < t <= until):
            values, now = self.flow(values, now, t, j, d), t
            if self.rule.on_post:
                given = self.seen(i, j, t, d) | drawn(self.plastic, self.rule, "on_post", values[1:], c)
                values = self.call(self.rule.on_post, values, given, t, j)
        return self.flow(values, now, until, j, d) if settle else values

    def flow(self, values: list[float], start: int, stop: int, j: int, d: int) -> list[float]:
        """Weight and state variables at ``stop`` if nothing happens after ``start``."""
        if self.rule.flow is None:
            return values
        x, first = self.plastic, len(self.rule.side("pre"))
        h, between = stop - start, self.rule.side("between")
        given = {"h": h * x.dt}
        given |= {t.name: float(decayed(x.decay, first + k, h)) for k, t in enumerate(between)}
        if self.rule.modulator:
            sums = [self.sums[t] if t >= 0 else 0.0 for t in (start, stop)]
            integral = (sums[1] - sums[0]) * float(x.signal_growth[start % x.epoch])
            given[self.rule.modulator.name] = integral * float(x.signal_each[1, j])
        if self.rule.observer:
            late = d if self.rule.observer.dendritic else 0
            for k, integral_ in enumerate(self.rule.observer.integrals):
                given[integral_.name] = self.stretch(k, start - late, stop - late, j)
        return self.call(self.rule.flow, values, given, stop, j)

    def sweep(self, until: int, settle: bool) -> None:
        """Bring all synapses up to date at step ``until``."""
        for i in range(len(self.last)):
            for b, k, j, d in self.synapses(i):
                if self.plastic.learning[0] or self.rule.state:
                    self.write(b, k, until, self.bring_up(i, j, d, self.read(k), until, settle))
            self.done[i] = until
        if settle:
            self.settled = until

    def values(self, until: int, which: int) -> np.ndarray:
        """The weights (``which`` = 0) or a state variable at step ``until``; a copy."""
        found = (self.plastic.variables[which - 1] if which else self.edges.weights).copy()
        for i in range(len(self.last)):
            for _, k, j, d in self.synapses(i) if self.plastic.learning[0] or which else ():
                found[k] = self.bring_up(i, j, d, self.read(k), until, settle=True)[which]
        return found

    def set_signal(self, step: int, value: float | np.ndarray) -> None:
        """Set the modulator to ``value`` at ``step``, the next one; an array: for each target."""
        x = self.plastic
        if np.ndim(value) or np.any(x.signal_each != 1.0) or self.rule.observer:
            self.sweep(step - 1, settle=False)  # what has been before the step takes the old value
            x.signal_each[0] = value if np.ndim(value) else 1.0
            x.signal_set[0] = step
        self.signal_now[0] = 1.0 if np.ndim(value) else float(value)
