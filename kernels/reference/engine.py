"""The reference engine: readable, never fast. The oracle of every other engine.

One step s, from t = s*dt to t + dt, in this order:

1. **Inputs** (reads queues, Inputs, potentials; writes the ring's slot s, currents, noise). What arrives at t + dt is
   added to slot s: first what was queued, then inputs; currents of the step are summed, those through gap junctions by
   the potentials at t. Populations of spike sources emit their spikes of the step.
2. **Update** (reads slot s, currents, constants; writes state). The model's step function, neuron by neuron; the slot
   is cleared.
3. **Collect** (writes spike lists). Neurons that fired, ascending; their time is t + dt. Observers of plasticity rules
   read their targets' state. Due probes sample the state.

After a window of min-delay steps:

4. **Deliver** (reads spike lists, edges; writes the ring). Step by step; in each, storage kind by storage kind, in
   each of these spikes by global id, of each spike its groups, then its row. A spike of step s with delay d is added to
   slot s + d, or, where delays are stored one a synapse, queued for step s + d. Then plastic projections, each spike's
   synapses brought up to date, changed and delivered (kernels/reference/learn.py). Each accumulator thus sees its
   additions in one order, whatever the blocks and threads, and wherever a window or a run ends.
5. **Record** (reads spike lists). Spikes by step, then global id.
"""

import itertools
import math
from typing import Any

import numpy as np

from kernels.compiled import CompiledNetwork
from kernels.cpu import inputs as kinds
from kernels.draw import normal_quantile_scalar
from kernels.layout import NEVER, Convolutions, Edges
from kernels.philox import philox_scalar, step_word_scalar
from kernels.reference.call import call
from kernels.reference.learn import Learner


class Engine:
    """Advance a compiled network step by step in plain Python, float64."""

    def __init__(self, net: CompiledNetwork) -> None:
        self.net, self.dt = net, net.dt
        self.state, self.kinds, self.edges, self.probes = net.state, net.kinds, net.edges, net.probes
        self.renew()
        tables, state = net.tables, net.state
        self.learners = [Learner(tables, e, x, *r) for e, x, r in zip(net.learned, net.plastic, net.rules, strict=True)]
        self.slots = tables.ring_mask + 1
        blocks, populations = tables.lo.shape
        # ring[b][slot][accumulator], as plain lists: Python floats are float64 exactly
        self.ring = [
            state.ring[tables.ring[b] :][: self.slots * tables.stride[b]].reshape(self.slots, -1).tolist()
            for b in range(blocks)
        ]
        self.queue: dict[int, list[tuple[int, int, float]]] = {}  # by step: block, accumulator, weight
        self.block_of = [
            np.searchsorted(tables.hi[:, p], np.arange(tables.n[p]), side="right") for p in range(populations)
        ]

    def renew(self, models: bool = False) -> None:
        """As kernels.cpu.engine."""
        net = self.net
        self.tables, self.constants, self.inputs, self.variants = net.tables, net.constants, net.inputs, net.variants

    def advance(self, start: int, stop: int) -> tuple[int, list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
        """Run steps start .. stop-1; returns as kernels.cpu.engine does."""
        record: list[list[tuple[int, int]]] = [[] for _ in range(self.tables.n.size)]
        samples: list[list[list[float]]] = [[] for _ in range(self.probes.population.size)]
        begin, t = start, self.tables
        while begin < stop:
            end = min(begin + t.window, stop)
            fired = [(s, p, i) for s in range(begin, end) for p, i in self.step(s, samples)]
            for at in range(begin, end):
                self.deliver(at, [spike for spike in fired if spike[0] == at])
            for s, p, i in fired:
                if t.recorded[p]:
                    record[p].append((s, i))
            begin = end
        table = [np.array(x, np.int64).reshape(-1, 2) for x in record]
        spikes = [((x[:, 0] + 1) * self.dt, x[:, 1]) for x in table]
        widths = np.diff(self.probes.first)
        return stop, spikes, [np.array(x, float).reshape(-1, w) for x, w in zip(samples, widths, strict=True)]

    def step(self, s: int, samples: list[list[list[float]]]) -> list[tuple[int, int]]:
        """Phases 1 to 3; returns (population, neuron) of the spikes, ascending."""
        fired: list[tuple[int, int]] = []
        self.net.show(s)
        for b, target, weight in self.queue.pop(s, ()):
            self.ring[b][s % self.slots][target] += weight
        for p in range(self.tables.n.size):
            if self.tables.kind[p] < 0:
                fired += [(p, i) for i in self.emit(p, s)]
                continue
            current = self.apply_inputs(p, s)
            spikes = self.update(p, s, current)
            for learner in self.learners:
                if learner.plastic.target == p:
                    learner.observe(s, spikes, self.state.f)
            fired += [(p, i) for i in spikes]
        q = self.probes
        for k in range(q.population.size):
            if (s + 1) % q.every[k] == 0:
                source = self.state.i if q.is_int[k] else self.state.f
                samples[k].append([float(source[q.offset[k] + i]) for i in q.ids[q.first[k] : q.first[k + 1]]])
        return fired

    def place(self, p: int, receptor: int, i: int) -> tuple[int, int]:
        """Block and accumulator of neuron i of population p."""
        t, b = self.tables, int(self.block_of[p][i])
        return b, int(t.acc[b, p] + receptor * (t.hi[b, p] - t.lo[b, p]) + i - t.lo[b, p])

    # phase 1 ------------------------------------------------------------------------------------------------------

    def counts(self, k: int, s: int, n: int) -> list[int]:
        """Poisson counts of input ``k`` in step ``s``, one an element."""
        x, row = self.inputs, self.segment(k, s)
        if row < 0 or x.size[row] == 0:
            return [0] * n
        table = x.thresholds[x.at[row] : x.at[row] + x.size[row]]
        if x.kind[k] == kinds.POISSON_EACH:
            return [_poisson(w, float(x.values[x.at[row] + i])) for i, w in enumerate(_words(n, s, x.key[k]).tolist())]
        if x.kind[k] == kinds.POISSON_SHARED:
            c0, c1 = np.uint64(s & 0xFFFFFFFF), np.uint64(s >> 32)
            word = int(philox_scalar(np.uint64(0), c0, c1, np.uint64(0), *x.key[k])[0])
            return [int(x.low[row] + np.sum(word > table))] * n
        return (x.low[row] + np.sum(_words(n, s, x.key[k])[:, None] > table, axis=1)).tolist()  # type: ignore[no-any-return]

    def segment(self, k: int, s: int) -> int:
        """Row of the segment of input ``k`` that holds step ``s``, or -1."""
        rows = range(self.inputs.segment[k], self.inputs.segment[k + 1])
        return max((r for r in rows if self.inputs.start[r] <= s), default=-1)

    def events(self, k: int, s: int) -> list[tuple[int, float]]:
        """(target, weight) of the given spikes of step ``s``."""
        x = self.inputs
        span = range(x.event_first[k], x.event_first[k + 1])
        return [(int(x.event_id[j]), float(x.event_weight[j])) for j in span if x.event_step[j] == s]

    def emit(self, p: int, s: int) -> list[int]:
        """Spikes of source population ``p``."""
        k = int(self.inputs.source[p])
        if self.inputs.kind[k] == kinds.EVENTS:
            return [i for i, _ in self.events(k, s)]
        return [i for i, c in enumerate(self.counts(k, s, int(self.tables.n[p]))) for _ in range(c)]

    def apply_inputs(self, p: int, s: int) -> list[float]:
        """Add spikes to slot s; returns the current of each neuron."""
        x, n = self.inputs, int(self.tables.n[p])
        current = [0.0] * n
        for k in range(x.first[p], x.first[p + 1]):
            kind, receptor = int(x.kind[k]), int(x.receptor[k])
            if receptor >= 0:
                if kind == kinds.EVENTS:
                    arriving = self.events(k, s)
                else:
                    each = int(x.weights[k])
                    weight = [float(x.values[each + i] if each >= 0 else x.weight[k]) for i in range(n)]
                    arriving = [(i, c * weight[i]) for i, c in enumerate(self.counts(k, s, n))]
                for i, w in arriving:
                    b, a = self.place(p, receptor, i)
                    self.ring[b][s % self.slots][a] += w
            else:
                through = self.coupled(k, s, p) if kind == kinds.JUNCTIONS else self.injected(k, s, n)
                for i, value in enumerate(through):
                    current[i] += value
        return current

    def injected(self, k: int, s: int, n: int) -> list[float]:
        """Current of input ``k`` in step ``s`` for each neuron; coloured noise moves on."""
        x, row = self.inputs, self.segment(k, s)
        acts = row >= 0 and x.size[row] > 0
        if not acts and x.kind[k] != kinds.OU:
            return [0.0] * n
        row = row if acts else int(x.segment[k])
        v = [float(a) for a in x.values[x.at[row] : x.at[row] + x.size[row]]]
        if x.kind[k] == kinds.STEP:
            return v * n if len(v) == 1 else v
        if x.kind[k] == kinds.AC:
            rows = _each(v, 4, n)
            return [offset + amplitude * math.sin(w * s + phase) for offset, amplitude, w, phase in rows]
        rows = _each(v[1:], 2, n)
        if x.kind[k] == kinds.NOISE:
            normals = _normals(n, s // int(v[0]), x.key[k])
            return [mean + std * z for (mean, std), z in zip(rows, normals, strict=True)]
        y = [float(a) for a in self.state.noise[x.noise[k] : x.noise[k] + n]]
        for i, ((mean, kick), z) in enumerate(zip(rows, _normals(n, s, x.key[k]), strict=True)):
            self.state.noise[x.noise[k] + i] = mean + (y[i] - mean) * v[0] + kick * z
        return y if acts else [0.0] * n

    def coupled(self, k: int, s: int, p: int) -> list[float]:
        """Current through junctions ``k`` into each neuron of population ``p``, by the potentials at t."""
        x, v, current = self.inputs, self.state.v[s & 1], [0.0] * int(self.tables.n[p])
        for j in range(x.event_first[k], x.event_first[k + 1]):
            i, other = int(x.event_step[j]), int(x.noise[k] + x.event_id[j])
            current[i] += float(x.event_weight[j]) * (float(v[other]) - float(v[self.tables.at[p] + i]))
        return current

    # phase 2 ------------------------------------------------------------------------------------------------------

    def update(self, p: int, s: int, current: list[float]) -> list[int]:
        """One step of every neuron of population ``p``; returns those that fired."""
        t, n, pad = self.tables, int(self.tables.n[p]), int(self.tables.pad[p])
        variant = self.variants[t.kind[p]]
        spec = variant.spec
        given: dict[str, list[Any]] = {"i_stim": current if variant.current else [0.0] * n}
        for store, names in variant.constants().items():
            array, at = getattr(self.constants, store), int(getattr(t, store)[p])
            for j, name in enumerate(names):
                each = store.startswith("het")
                given[name] = array[at + j * pad :][:n].tolist() if each else [array[at + j].item()] * n
        place: dict[str, np.ndarray] = {}
        for dtype, array, base in (("float", self.state.f, t.state_f[p]), ("int", self.state.i, t.state_i[p])):
            for j, name in enumerate(v.name for v in spec.state if v.dtype == dtype):
                place[name] = array[int(base) + j * pad :][:n]
                given[name] = place[name].tolist()
        for j, receptor in enumerate(spec.receptors):
            given[f"arrive_{receptor.name}"] = arrived = []
            for i in range(n):
                b, a = self.place(p, j, i)
                arrived.append(self.ring[b][s % self.slots][a])
                self.ring[b][s % self.slots][a] = 0.0
        for j, name in enumerate(spec.uniforms):
            given[name] = _uniforms(_words(n, s, t.key[p], j))
        fired = []
        for i in range(n):
            *new, spiked = call(spec.step, [given[a][i] for a in spec.arguments])
            for var, value in zip(spec.state, new, strict=True):
                # as int32 wraps
                place[var.name][i] = value if var.dtype == "float" else (value + 2**31) % 2**32 - 2**31
            if spiked:
                fired.append(i)
        return fired

    # phase 4 ------------------------------------------------------------------------------------------------------

    def deliver(self, step: int, fired: list[tuple[int, int, int]]) -> None:
        """Add the spikes (step, population, neuron) of ``step`` to the ring."""
        for kind, e in zip(self.kinds, self.edges, strict=True):
            queued = kind[1] == "v"
            if isinstance(e, Convolutions):
                self.deliver_convolutions(e, fired)
                continue
            if kind in ("bc", "mc"):
                self.deliver_dense(e, fired) if kind == "bc" else self.deliver_matrix(e, fired)
                continue
            for s, p, i in fired:
                for b, ring in enumerate(self.ring):
                    for g in range(e.by_source[p], e.by_source[p + 1]):
                        r = int(e.at[g] + b * (e.n_source[g] + 1) + i)
                        for k in range(e.rows[r], e.rows[r + 1]):
                            weight = e.weight[g] if kind[0] == "c" else e.weights[k]
                            arrival = s + int(e.delays[k] if queued else e.delay[g])
                            if queued:
                                self.queue.setdefault(arrival, []).append((b, int(e.targets[k]), float(weight)))
                            else:
                                ring[arrival % self.slots][e.targets[k]] += float(weight)
        for learner in self.learners:
            learner.deliver(step, fired, self.ring, self.slots)

    def deliver_dense(self, e: Edges, fired: list[tuple[int, int, int]]) -> None:
        """Add the numbers of spikes, step by step, times the weight."""
        for (s, p), members in itertools.groupby(fired, key=lambda spike: spike[:2]):
            spikes = [i for _, _, i in members]
            for g in range(e.by_source[p], e.by_source[p + 1]):
                for b, ring in enumerate(self.ring):
                    number, words = [0] * int(e.span[g, b]), int(e.words[g, b])
                    for i in spikes:
                        first = int(e.bits_at[g, b]) + i * words
                        for k in range(len(number)):
                            number[k] += int(e.bits[first + k // 32]) >> k % 32 & 1
                        r = int(e.at[g] + b * (e.n_source[g] + 1) + i)
                        for target in e.targets[e.rows[r] : e.rows[r + 1]]:
                            number[int(target) - int(e.base[g, b])] += 1
                    slot = ring[(s + int(e.delay[g])) % self.slots]
                    for k, count in enumerate(number):
                        slot[int(e.base[g, b]) + k] += float(e.weight[g]) * count

    def deliver_matrix(self, e: Edges, fired: list[tuple[int, int, int]]) -> None:
        """Add rows of weights to neighbouring accumulators."""
        for (s, p), members in itertools.groupby(fired, key=lambda spike: spike[:2]):
            spikes = [i for _, _, i in members]
            for g in range(e.by_source[p], e.by_source[p + 1]):
                for b, ring in enumerate(self.ring):
                    slot, n = ring[(s + int(e.delay[g])) % self.slots], int(e.span[g, b])
                    for i in spikes:
                        first = int(e.rows[e.at[g] + b * (e.n_source[g] + 1) + i])
                        for k in range(n):
                            slot[int(e.base[g, b]) + k] += float(e.weights[first + k])

    def deliver_convolutions(self, e: Convolutions, fired: list[tuple[int, int, int]]) -> None:
        """Sum what a step's spikes bring to each target, then add the sums."""
        for (s, p), members in itertools.groupby(fired, key=lambda spike: spike[:2]):
            spikes = [i for _, _, i in members]
            for g in range(e.by_source[p], e.by_source[p + 1]):
                (pixels, pixels_to), (ours, theirs) = e.pixels[g].tolist(), e.group[g].tolist()
                for b, ring in enumerate(self.ring):
                    lo, sums = int(e.lo[g, b]), [0.0] * int(e.span[g, b])
                    for i in spikes:
                        channel, pixel = divmod(i, pixels)
                        for k in range(e.rows[e.at[g] + pixel], e.rows[e.at[g] + pixel + 1]):
                            first = e.first[g] + (channel * e.places[g] + e.place[k]) * theirs
                            for o in range(theirs):
                                target = (channel // ours * theirs + o) * pixels_to + int(e.to[k]) - lo
                                if 0 <= target < len(sums):
                                    sums[target] += float(e.weights[first + o])
                    slot, base = ring[(s + int(e.delay[g])) % self.slots], int(e.base[g, b])
                    for k, total in enumerate(sums):
                        slot[base + k] += total

    def sweep(self, number: int, step: int, settle: bool = False) -> None:
        """Bring the synapses of plastic projection ``number`` up to date at ``step``."""
        self.learners[number].sweep(step, settle)

    def values(self, number: int, step: int, which: int = 0) -> np.ndarray:
        """As kernels.cpu.engine."""
        return self.learners[number].values(step, which)

    def short(self, number: int) -> np.ndarray:
        """As kernels.cpu.engine."""
        return self.learners[number].plastic.short

    def set_short(self, number: int, values: np.ndarray) -> None:
        """As kernels.cpu.engine."""
        self.learners[number].plastic.short[...] = values

    def begin_short(self, number: int, step: int) -> None:
        """As kernels.cpu.engine."""
        learner = self.learners[number]
        if NEVER in learner.last:
            learner.sweep(step, True)
            learner.last = [step if last == NEVER else last for last in learner.last]

    def set_signal(self, number: int, step: int, value: float | np.ndarray) -> None:
        """Set the modulator of plastic projection ``number`` at ``step``; an array: for each target."""
        self.learners[number].set_signal(step, value)


def _each(values: list[float], columns: int, n: int) -> list[tuple[float, ...]]:
    """Rows of ``n`` elements, from columns of one number for all or one each."""
    width = len(values) // columns
    parts = [values[k * width : (k + 1) * width] * (n if width == 1 else 1) for k in range(columns)]
    return list(zip(*parts, strict=True))


def _words(n: int, step: int, key: np.ndarray, draw: int = 0) -> np.ndarray:
    """Number ``draw`` of each element in a step: a random word of 32 bits."""
    return step_word_scalar((draw << 32) + np.arange(n), step, *key)  # type: ignore[no-any-return]


def _uniforms(words: np.ndarray) -> list[float]:
    return ((words.astype(float) + 0.5) * 2.3283064365386963e-10).tolist()  # type: ignore[no-any-return]


def _normals(n: int, step: int, key: np.ndarray) -> list[float]:
    return [normal_quantile_scalar(u) for u in _uniforms(_words(n, step, key))]


def _poisson(word: int, mean: float) -> int:
    u = (float(word) + 0.5) * 2.3283064365386963e-10
    k, p = 0, math.exp(-mean)
    total = p
    while u > total and k < 1000:
        k += 1
        p *= mean / k
        total += p
    return k
