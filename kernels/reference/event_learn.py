"""Plasticity in the reference event engine: all events are kept, every synapse replays what it has not yet seen."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from kernels.event.compiled import Rule
from kernels.event.layout import NEVER, Block, Edges, Net, Plastic
from kernels.reference.learn import called, drawn, move_short, short_called
from kernels.spec import synapse_rows


class Learner:
    """One plastic projection."""

    def __init__(self, net: Net, block: Block, edges: Edges, plastic: Plastic, rule: Rule) -> None:
        self.net, self.block, self.edges, self.plastic = net, block, edges, plastic
        self.rule, self.short_term = rule.spec, rule.short_term
        self.rows, self.short_rows = synapse_rows(rule.spec, rule.short_term)
        self.constants = dict(zip(self.rule.shared, plastic.constants.tolist(), strict=True))
        self.sent = [0] * len(plastic.last)
        self.pre = [dict.fromkeys((t.name for t in self.rule.side("pre")), 0.0) for _ in plastic.last]
        # of each target's spikes: time, postsynaptic traces just before
        self.posts: list[list[tuple[float, dict[str, float]]]] = [[] for _ in plastic.seen]
        self.signal = [(0.0, float(plastic.signal_value[0]))]  # the modulator: time, value just after each event

    def spike(self, t: float, p: int, i: int) -> list[tuple[int, int, float, float]]:
        """All that a spike of neuron ``i`` of population ``p`` means: (place in Edges, code, arrival, weight)."""
        x = self.plastic
        events = list(self.deliver(i, t)) if p == x.source else []
        if p == x.target:
            self.posts[i].append((t, self.post_after(self.posts[i][-1:], t)))
        if p == x.signal:
            at = t + x.signal_delay
            self.signal.append((at, self.signal_at(len(self.signal) - 1, at) + x.signal_jump))
        return events

    def deliver(self, i: int, t: float) -> Iterator[tuple[int, int, float, float]]:
        """Change the synapses of source ``i`` at its spike; give what they deliver."""
        x = self.plastic
        factor = self.short_factor(i, t) if self.short_term and not self.short_rows else 1.0
        for place, k, j, d in self.synapses(i):
            if x.learning[0] or self.rule.state:  # state variables go on while learning is off
                values = self.bring_up(i, k, j, d, t, settle=True)
                if np.isfinite(values[: 1 + len(self.rule.state)]).all():  # else on_pre might hide it by a bound
                    given = self.pre_at(i, t) | self.post_at(j, d, t)
                    given |= drawn(x, self.rule, "on_pre", values[1:], self.sent[i])
                    values = self.call(self.rule.on_pre, values, given, t)
                self.write(k, t, values)
            if self.short_term and self.short_rows:
                factor = move_short(x, self.short_term, self.short_rows, i, k, t - float(x.last[i]), library=True)
                if self.short_term.draws and factor == 0.0:
                    continue  # nothing is released, and the target has no event
            weight = float(x.weights[k])
            yield place, int(self.edges.targets[place]), t + d, weight * factor if self.short_term else weight
        if self.short_term and self.short_term.draws:
            x.short[i] += 1.0
        old = self.pre_at(i, t)
        self.pre[i] = {s.name: 1.0 if s.nearest else old[s.name] + 1.0 for s in self.rule.side("pre")}
        x.last[i] = t
        self.sent[i] += 1

    def synapses(self, i: int) -> list[tuple[int, int, int, float]]:
        """(place in Edges, number, target, delay) of the synapses of source ``i``."""
        e, x, found = self.edges, self.plastic, []
        r, shift = int(e.at[x.group]) + i, int(e.delay_shift[x.group])
        for place in range(int(e.rows[r]), int(e.rows[r + 1])):
            j = (int(e.targets[place]) & ((1 << self.net.bits) - 1)) - int(self.block.first[x.target])
            d = float(e.delay[x.group] if shift == NEVER else e.delays[place + shift])
            found.append((place, place - int(e.rows[e.at[x.group]]), j, d))
        return found

    def short_factor(self, i: int, t: float) -> float:
        """Move the short-term state of source ``i`` to its spike at ``t``; returns the factor of its weights."""
        x, spec = self.plastic, self.short_term
        assert spec is not None
        given = dict(zip((v.name for v in spec.state), x.short[i].tolist(), strict=True))
        *state, factor = short_called(spec, x.short_constants, given, t - float(x.last[i]), library=True)
        x.short[i] = state
        return float(factor)

    def pre_at(self, i: int, t: float) -> dict[str, float]:
        """Presynaptic traces of source ``i`` at ``t``, without a spike of that very time."""
        h, taus = t - float(self.plastic.last[i]), self.plastic.tau_pre.tolist()
        return {
            s.name: self.pre[i][s.name] * math.exp(-h / tau) for s, tau in zip(self.rule.side("pre"), taus, strict=True)
        }

    def post_at(self, j: int, d: float, t: float) -> dict[str, float]:
        """Postsynaptic traces of target ``j`` as seen ``d`` ms late at ``t``, without a spike seen just then."""
        last = next(([(h + d, x)] for h, x in reversed(self.posts[j]) if h + d < t), [])
        return self.post_after(last, t)

    def post_after(self, last: list[tuple[float, dict[str, float]]], t: float) -> dict[str, float]:
        """Postsynaptic traces at ``t`` after the last spike (time, traces just before), if there is one."""
        side, taus = self.rule.side("post"), self.plastic.tau_post.tolist()
        for h, before in last:
            after = {s.name: 1.0 if s.nearest else before[s.name] + 1.0 for s in side}
            return {s.name: after[s.name] * math.exp(-(t - h) / tau) for s, tau in zip(side, taus, strict=True)}
        return {s.name: 0.0 for s in side}

    def until(self, t: float) -> int:
        """How many of the modulator's events there were up to ``t``."""
        return sum(at <= t for at, _ in self.signal)

    def signal_at(self, e: int, t: float) -> float:
        """The modulator at ``t``, of whose events number ``e`` is the last one before."""
        at, value = self.signal[e]
        return value * math.exp(-(t - at) / self.plastic.signal_tau)

    def integral(self, start: float, stop: float) -> float:
        """The modulator's integral from ``start`` to ``stop``, discounted since ``start``."""
        x, total, reached, e = self.plastic, 0.0, start, self.until(start)
        rate = 1.0 / x.signal_tau + 1.0 / x.signal_discount
        while reached < stop:
            then = min(stop, self.signal[e][0]) if e < len(self.signal) else stop
            h = then - reached
            part = -math.expm1(-h * rate) / rate if rate > 0.0 else h
            part *= self.signal_at(e - 1, reached) * math.exp(-(reached - start) / x.signal_discount)
            total, reached, e = total + part, then, e + 1
        return total

    def call(
        self, function: Callable[..., Any], before: list[float], traces: dict[str, float], t: float
    ) -> list[float]:
        """Weight and state variables after one of the rule's functions."""
        given = {**self.constants, **traces}
        given |= dict(zip(["w", *self.rows], before[: 1 + len(self.rows)], strict=True))
        if self.rule.modulator:
            given.setdefault(self.rule.modulator.name, self.signal_at(self.until(t) - 1, t))
        values = called(function, given, library=True)
        values += before[len(values) :]
        return values if self.plastic.learning[0] else [before[0], *values[1:]]

    def write(self, k: int, t: float, values: list[float]) -> None:
        """Store weight and state variables of synapse ``k`` as of ``t``."""
        x = self.plastic
        x.weights[k], x.at[k] = values[0], t
        x.variables[:, k] = values[1:]
        if not np.isfinite(values[: 1 + len(self.rule.state)]).all() and x.fault[0] == math.inf:
            x.fault[:] = t, k

    def bring_up(self, i: int, k: int, j: int, d: float, until: float, settle: bool) -> list[float]:
        """Weight and state variables of synapse ``k`` after the events that it sees up to ``until``.

        They are stored as of the last such event, or of ``until`` itself where ``settle`` and the rule has a flow.
        """
        x, now = self.plastic, float(self.plastic.at[k])
        values = [float(x.weights[k]), *x.variables[:, k].tolist()]
        posts = enumerate(self.posts[j])
        for c, t, before in [(c, h + d, before) for c, (h, before) in posts if now < h + d <= until]:
            values, now = self.flow(values, now, t), t
            if self.rule.on_post:
                given = self.pre_at(i, t) | before | drawn(x, self.rule, "on_post", values[1:], c)
                values = self.call(self.rule.on_post, values, given, t)
        if settle and self.rule.flow:
            values, now = self.flow(values, now, until), until
        self.write(k, now, values)
        return values

    def flow(self, values: list[float], start: float, stop: float) -> list[float]:
        """Weight and state variables at ``stop`` if no spike is seen after ``start``."""
        if self.rule.flow is None:
            return values
        h, taus = stop - start, self.plastic.tau_between.tolist()
        given = {"h": h} | {t.name: math.exp(-h / tau) for t, tau in zip(self.rule.side("between"), taus, strict=True)}
        if self.rule.modulator:
            given[self.rule.modulator.name] = self.integral(start, stop)
        return self.call(self.rule.flow, values, given, stop)

    def settle(self, t: float) -> None:
        """Bring all synapses up to date at ``t``."""
        for i in range(len(self.plastic.last)):
            for _, k, j, d in self.synapses(i) if self.plastic.learning[0] or self.rule.state else ():
                self.bring_up(i, k, j, d, t, settle=True)

    def values(self, t: float, which: int) -> np.ndarray:
        """The weights (``which`` = 0) or a state variable at ``t``; a copy."""
        x = self.plastic
        arrays = [x.weights, x.variables, x.at, x.fault]
        saved = [array.copy() for array in arrays]
        self.settle(t)
        found = (x.variables[which - 1] if which else x.weights).copy()
        for array, before in zip(arrays, saved, strict=True):
            array[...] = before
        return found

    def learning(self, t: float, on: bool) -> None:
        """Let weights change from ``t`` on, or not."""
        if self.plastic.learning[0] == on:
            return
        if on and not self.rule.state:
            self.plastic.at[:] = t  # what came before is not seen
        else:
            self.settle(t)
        self.plastic.learning[0] = on

    def set_signal(self, t: float, value: float) -> None:
        """Set the modulator just after ``t``."""
        t = math.nextafter(t, math.inf)
        c = self.until(t)
        change = value - self.signal_at(c - 1, t)
        tau = self.plastic.signal_tau
        later = [(at, x + change * math.exp(-(at - t) / tau)) for at, x in self.signal[c:]]
        self.signal[c:] = [(t, value), *later]
