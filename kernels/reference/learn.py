"""Plasticity in the reference engine: all spikes are kept, every synapse replays what it has not yet seen."""

import inspect
from collections.abc import Callable
from typing import Any

from kernels.cpu.learn import TRACE_END
from kernels.layout import NEVER, Edges, Plastic, Tables
from kernels.spec import RuleSpec


class Learner:
    """One plastic projection."""

    def __init__(self, tables: Tables, edges: Edges, plastic: Plastic, rule: RuleSpec) -> None:
        self.tables, self.edges, self.plastic, self.rule = tables, edges, plastic, rule
        names = [p.name for p in rule.params] + [d.name for d in rule.derived]
        self.constants = dict(zip(names, plastic.constants.tolist(), strict=True))
        self.post_spikes: list[list[int]] = [[] for _ in range(plastic.n)]
        # postsynaptic traces of each neuron at each step, without a spike of that very step
        self.post = [[dict.fromkeys((t.name for t in rule.side("post")), 0.0)] for _ in range(plastic.n)]
        n_source = int(tables.n[plastic.source])
        self.pre = [dict.fromkeys((t.name for t in rule.side("pre")), 0.0) for _ in range(n_source)]
        self.last = [NEVER] * n_source
        self.done = [-1] * n_source

    def deliver(
        self, start: int, stop: int, fired: list[tuple[int, int, int]], ring: list[list[list[float]]], slots: int
    ) -> None:
        """Deliver the spikes (step, population, neuron) of steps start .. stop-1, then note the postsynaptic ones."""
        for s, p, i in fired:
            if p != self.plastic.source:
                continue
            for b, k, j, d in self.synapses(i):
                w = self.bring_up(i, j, d, float(self.edges.weights[k]), s)
                traces = self.pre_at(i, s) | self.post_at(j, s - d)
                self.edges.weights[k] = self.call(self.rule.on_pre, w, traces)
                ring[b][(s + d) % slots][self.edges.targets[k]] += float(self.edges.weights[k])
            old = self.pre_at(i, s)
            self.pre[i] = {t.name: 1.0 if t.nearest else old[t.name] + 1.0 for t in self.rule.side("pre")}
            self.last[i] = self.done[i] = s
        spikes = {(s, j) for s, p, j in fired if p == self.plastic.target}
        for s in range(start, stop):
            for j in range(self.plastic.n):
                if (s, j) in spikes:
                    self.post_spikes[j].append(s)
                self.post[j].append(self.next_step(self.post[j][s], (s, j) in spikes))

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
        table = self.plastic.decay
        k = min(step - self.last[i], table.shape[1] - 1)
        return {t.name: self.pre[i][t.name] * float(table[n, k]) for n, t in enumerate(self.rule.side("pre"))}

    def post_at(self, j: int, step: int) -> dict[str, float]:
        """Postsynaptic traces of neuron ``j`` at ``step``, without a spike of that very step."""
        return self.post[j][max(step, 0)]

    def call(self, function: Callable[..., Any], w: float, traces: dict[str, float]) -> float:
        """The rule's function with the arguments it names."""
        given = {"w": w, **self.constants, **traces}
        return float(function(*(given[a] for a in inspect.signature(function).parameters)))

    def synapses(self, i: int) -> list[tuple[int, int, int, int]]:
        """(block, place, target, delay) of the synapses of source ``i``."""
        e, x, found = self.edges, self.plastic, []
        for b in range(len(x.origin)):
            r = int(e.at[0] + b * (e.n_source[0] + 1) + i)
            for k in range(e.rows[r], e.rows[r + 1]):
                j = int(e.targets[k]) + int(x.origin[b])
                found.append((b, k, j, int(e.delays[k] if e.delays.size else e.delay[0])))
        return found

    def bring_up(self, i: int, j: int, d: int, w: float, until: int) -> float:
        """The weight after the postsynaptic spikes that the synapse sees up to step ``until``."""
        for h in self.post_spikes[j]:
            if self.done[i] - d < h <= until - d:
                w = self.call(self.rule.on_post, w, self.pre_at(i, h + d) | self.post_at(j, h))
        return w

    def sweep(self, until: int) -> None:
        """Bring all synapses up to date at step ``until``."""
        for i in range(len(self.last)):
            for _, k, j, d in self.synapses(i):
                self.edges.weights[k] = self.bring_up(i, j, d, float(self.edges.weights[k]), until)
            self.done[i] = until
