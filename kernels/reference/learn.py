"""Plasticity in the reference engine: all spikes are kept, every synapse replays what it has not yet seen."""

import inspect
from collections.abc import Callable
from typing import Any

from kernels.layout import Edges, Plastic, Tables
from kernels.spec import RuleSpec


class Learner:
    """One plastic projection."""

    def __init__(self, tables: Tables, edges: Edges, plastic: Plastic, rule: RuleSpec) -> None:
        self.tables, self.edges, self.plastic, self.rule = tables, edges, plastic, rule
        names = [p.name for p in rule.params] + [d.name for d in rule.derived]
        self.constants = dict(zip(names, plastic.constants.tolist(), strict=True))
        self.post_spikes: list[list[int]] = [[] for _ in range(int(tables.n[plastic.target]))]
        self.post: list[list[dict[str, float]]] = [[] for _ in self.post_spikes]  # traces just after each spike
        n_source = int(tables.n[plastic.source])
        self.pre = [dict.fromkeys((t.name for t in rule.side("pre")), 0.0) for _ in range(n_source)]
        self.last = [0] * n_source
        self.done = [-1] * n_source

    def decayed(self, trace: str, value: float, steps: int) -> float:
        """``value`` of ``trace`` after ``steps``."""
        number = [t.name for t in self.rule.traces].index(trace)
        return value * float(self.plastic.decay[number, min(steps, self.plastic.decay.shape[1] - 1)])

    def jumped(self, side: str, old: dict[str, float], steps: int) -> dict[str, float]:
        """Traces of ``side`` just after a spike ``steps`` after the one that left ``old``."""
        return {
            t.name: 1.0 if t.nearest or not old else self.decayed(t.name, old[t.name], steps) + 1.0
            for t in self.rule.side(side)
        }

    def call(self, function: Callable[..., Any], w: float, traces: dict[str, float]) -> float:
        """The rule's function with the arguments it names."""
        given = {"w": w, **self.constants, **traces}
        return float(function(*(given[a] for a in inspect.signature(function).parameters)))

    def deliver(self, fired: list[tuple[int, int, int]], ring: list[list[list[float]]], slots: int) -> None:
        """Note postsynaptic spikes (step, population, neuron), then deliver presynaptic ones."""
        for s, p, j in fired:
            if p == self.plastic.target:
                old = self.post[j][-1] if self.post[j] else {}
                steps = s - self.post_spikes[j][-1] if self.post_spikes[j] else 0
                self.post[j].append(self.jumped("post", old, steps))
                self.post_spikes[j].append(s)
        for s, p, i in fired:
            if p != self.plastic.source:
                continue
            for b, k, j, d in self.synapses(i):
                w = self.bring_up(i, j, d, float(self.edges.weights[k]), s)
                traces = {t: self.decayed(t, x, s - self.last[i]) for t, x in self.pre[i].items()}
                traces |= self.post_before(j, s - d)
                self.edges.weights[k] = self.call(self.rule.on_pre, w, traces)
                ring[b][(s + d) % slots][self.edges.targets[k]] += float(self.edges.weights[k])
            self.pre[i] = self.jumped("pre", self.pre[i], s - self.last[i])
            self.last[i] = self.done[i] = s

    def synapses(self, i: int) -> list[tuple[int, int, int, int]]:
        """(block, place, target, delay) of the synapses of source ``i``."""
        e, x, found = self.edges, self.plastic, []
        for b in range(len(x.base)):
            r = int(e.at[0] + b * (e.n_source[0] + 1) + i)
            for k in range(e.rows[r], e.rows[r + 1]):
                j = int(e.targets[k]) - int(x.base[b]) + int(self.tables.lo[b, x.target])
                found.append((b, k, j, int(e.delays[k] if e.delays.size else e.delay[0])))
        return found

    def post_before(self, j: int, step: int) -> dict[str, float]:
        """Postsynaptic traces of neuron ``j`` at ``step``, without a spike of that very step."""
        entry = sum(h < step for h in self.post_spikes[j]) - 1
        if entry < 0:
            return {t.name: 0.0 for t in self.rule.side("post")}
        return {t: self.decayed(t, x, step - self.post_spikes[j][entry]) for t, x in self.post[j][entry].items()}

    def bring_up(self, i: int, j: int, d: int, w: float, until: int) -> float:
        """The weight after the postsynaptic spikes that the synapse sees up to step ``until``."""
        for h in self.post_spikes[j]:
            if self.done[i] - d < h <= until - d:
                traces = {t: self.decayed(t, x, h + d - self.last[i]) for t, x in self.pre[i].items()}
                w = self.call(self.rule.on_post, w, traces | self.post_before(j, h))
        return w

    def sweep(self, until: int) -> None:
        """Bring all synapses up to date at step ``until``."""
        for i in range(len(self.last)):
            for _, k, j, d in self.synapses(i):
                self.edges.weights[k] = self.bring_up(i, j, d, float(self.edges.weights[k]), until)
            self.done[i] = until
