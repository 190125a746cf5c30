"""The event engine in plain Python: the oracle of the compiled one, never fast.

Time is cut into windows a little shorter than the smallest delay, so that what neurons do in one window cannot reach
each other in it. A window k, of the times t with floor(t / width) = k, goes as follows:

1. Inputs bring their events of this window, sources their spikes.
2. Every neuron that has events, or may cross the threshold, takes its events in canonical order: by time, then inputs
   before rows (one delay for a projection) before other synapses, then by the order of their spikes (time, global id),
   then by place in the source's row. Between two events, and from the last one to the end of the window, it may fire
   and leave the refractory period. Its state stays as of its last event: nothing depends on where a run stops.
3. Spikes, in the order of time, then global id, are recorded and become events of later windows. Each passes static
   synapses first, then plastic ones, which it changes (kernels/reference/event_learn.py), and is noted for learning.

A run may stop inside a window: events from there on wait. What a neuron would do by itself is asked for on the same
stretches of time as without the stop.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kernels.body import argument_names
from kernels.errors import SimError
from kernels.event import layout
from kernels.event.compiled import EventNetwork
from kernels.event.exponential import exponential_scalar
from kernels.event.layout import Plastic
from kernels.philox import philox_scalar, unit_scalar
from kernels.reference.call import call
from kernels.reference.event_learn import Learner

SHORT, MOST_AT_ONCE = 1e-6, 1000
_LOW, _32 = np.uint64(0xFFFFFFFF), np.uint64(32)


@dataclass
class Neuron:
    """A neuron: state ``x`` as of ``last``; it does nothing by itself before ``check``; refractory to ``until``."""

    population: int
    number: int  # in its population
    x: tuple[float, ...]
    values: dict[str, float]  # constants and i_stim
    last: float = 0.0
    check: float = 0.0
    until: float = 0.0
    events: list[tuple[Any, ...]] = field(default_factory=list)  # (time, order.., receptor, weight) of this window


class Engine:
    """Advance a network in continuous time."""

    def __init__(self, compiled: EventNetwork) -> None:
        self.compiled, self.net, self.inputs = compiled, compiled.net, compiled.inputs
        self.block, self.edges, self.streams = compiled.blocks[0], compiled.edges[0], compiled.streams[0]
        self.learners = [
            Learner(self.net, self.block, self.edges, x, rule)
            for x, rule in zip(compiled.plastic[0], compiled.rules, strict=True)
        ]
        self.reached = -math.inf
        self.arrivals: dict[int, list[tuple[Any, ...]]] = {}  # by window: (neuron, time, order.., receptor, weight)
        self.neurons: list[Neuron] = []
        for p in range(len(compiled.names)):
            for i in range(int(self.block.first[p + 1] - self.block.first[p])):
                self.neurons.append(self._neuron(p, i))
        for neuron in self.neurons:
            self._look(neuron)
        self.renew_inputs(np.ones(len(self.inputs.receptor), bool), 0.0)

    def _neuron(self, p: int, i: int) -> Neuron:
        form, block = self.compiled.forms[self.net.kind[p]], self.block
        record = block.f.reshape(-1, self.net.record)[block.first[p] + i, layout.STATE :]
        x = tuple(record[: len(form.states)].tolist())
        return Neuron(p, i, x, self._values(p, i) | {"i_stim": 0.0})

    def _values(self, p: int, i: int) -> dict[str, float]:
        """Constants of neuron ``i`` of population ``p``."""
        block, (shared, varying) = self.block, self.compiled.forms[self.net.kind[p]].constants()
        m = int(block.hi[p] - block.lo[p])
        values = {name: float(self.net.par[self.net.par_at[p] + j]) for j, name in enumerate(shared)}
        return values | {name: float(block.het[block.het_at[p] + j * m + i]) for j, name in enumerate(varying)}

    def renew(self, models: bool) -> None:
        """As kernels.event.engine."""
        self.net, self.block = self.compiled.net, self.compiled.blocks[0]
        for neuron in self.neurons:
            neuron.values = self._values(neuron.population, neuron.number) | {"i_stim": neuron.values["i_stim"]}

    def renew_inputs(self, which: np.ndarray, t: float) -> None:
        """As kernels.event.engine."""
        self.inputs = self.compiled.inputs

        def stays(t: float, kind: int, s: int) -> bool:
            return kind > 0 or t < self.reached or not which[self.streams.input[s]]

        for k, arrivals in self.arrivals.items():
            self.arrivals[k] = [x for x in arrivals if stays(*x[1:4])]
        for neuron in self.neurons:
            neuron.events = [x for x in neuron.events if stays(*x[:3])]
        poisson = (layout.POISSON, layout.SHARED, layout.SOURCE_POISSON, layout.SOURCE_SHARED)
        for s, kind in enumerate(self.streams.kind):
            if kind in poisson and which[self.streams.input[s]]:
                self._draw(s, t)

    def set_current(self, p: int, values: np.ndarray) -> None:
        """As kernels.event.engine."""
        for i, value in enumerate(np.broadcast_to(values, (int(self.net.n[p]),)).tolist()):
            self.neurons[int(self.block.first[p]) + i].values["i_stim"] = value

    def _window(self, t: float) -> int:
        k = np.floor(np.float64(t) / self.net.width)
        return int(k) if k < 4.0e18 else layout.NEVER

    def _call(self, neuron: Neuron, name: str, x: tuple[float, ...], **given: Any) -> Any:
        """A function of the closed form at state ``x``."""
        form = self.compiled.forms[self.net.kind[neuron.population]]
        function = form.closed.functions()[name]
        known = neuron.values | dict(zip(form.states, x, strict=True)) | given
        return call(function, [known[a] for a in argument_names(function)])

    def _look(self, neuron: Neuron) -> None:
        """Find the time before which the neuron does nothing by itself."""
        if neuron.last < neuron.until:
            neuron.check = neuron.until
        else:
            neuron.check = neuron.last + self._call(neuron, "earliest", neuron.x)

    # inputs ---------------------------------------------------------------------------------------------------------

    def _rate(self, s: int, row: int) -> float:
        streams, inputs = self.streams, self.inputs
        rate, at = float(inputs.rate[row]), int(inputs.at[row])
        if inputs.own_rates[streams.input[s]] == 0:
            shared = streams.kind[s] in (layout.SHARED, layout.SOURCE_SHARED)
            return rate if shared else rate * int(streams.n[s])
        total = 0.0
        for i in range(int(streams.n[s])):
            total += float(inputs.values[at + streams.first[s] + i])
        return rate * total

    def _draw(self, s: int, t: float) -> None:
        """Draw a Poisson stream's next event after ``t``; at the end of a segment the wait begins anew."""
        streams, inputs = self.streams, self.inputs
        k = int(streams.input[s])
        last = int(inputs.segment[k + 1]) - 1
        while True:
            row = int(streams.cursor[s])
            end = float(inputs.start[row + 1]) if row < last else math.inf
            rate = self._rate(s, row)
            if rate > 0.0:
                m = streams.draws[s]
                group = np.uint64(streams.first[s])
                a, b, c, d = philox_scalar(m & _LOW, m >> _32, group, np.uint64(0), *inputs.key[k])
                streams.draws[s] = m + np.uint64(1)
                after = t + exponential_scalar(unit_scalar(a, b)) / rate
                if after < end:
                    streams.next[s], streams.word[s] = after, (c << _32) | d
                    return
            if row == last:
                streams.next[s] = math.inf
                return
            t = end
            streams.cursor[s] = row + 1

    def _picked(self, s: int) -> int:
        """The neuron that a Poisson stream's next event falls on."""
        streams, inputs = self.streams, self.inputs
        first, n, word = int(streams.first[s]), int(streams.n[s]), streams.word[s]
        row = int(streams.cursor[s])
        at = int(inputs.at[row])
        if inputs.own_rates[streams.input[s]] == 0:
            return first + int(((word >> _32) * np.uint64(n)) >> _32)
        x = float(word >> np.uint64(11)) * 2.0**-53 * self._rate(s, row) / float(inputs.rate[row])
        for i in range(first, first + n - 1):
            x -= float(inputs.values[at + i])
            if x < 0.0:
                return i
        return first + n - 1

    def _run_stream(self, s: int, k: int, stop: float, spikes: list[tuple[float, int]]) -> None:
        """Take a stream's events of window ``k``; the spikes of a source only before ``stop``."""
        streams, inputs = self.streams, self.inputs
        kind, p, number = int(streams.kind[s]), int(streams.population[s]), int(streams.input[s])
        everyone = range(int(self.net.n[p]))
        while self._window(streams.next[s]) <= k:
            t, cursor = float(streams.next[s]), int(streams.cursor[s])
            if kind >= layout.SOURCE_EVENTS and t >= stop:
                return
            if kind in (layout.EVENTS, layout.SOURCE_EVENTS):
                who: Any = [int(inputs.event_id[cursor])]
            else:
                who = [self._picked(s)] if kind in (layout.POISSON, layout.SOURCE_POISSON) else everyone
            for i in who:
                if kind >= layout.SOURCE_EVENTS:
                    spikes.append((t, int(self.net.gid[p]) + i))
                    continue
                receptor = int(inputs.receptor[number])
                if kind == layout.EVENTS:
                    weight = float(inputs.event_weight[cursor])
                elif kind == layout.CURRENT:
                    weight = float(inputs.values[inputs.at[cursor] + (i if inputs.size[cursor] > 1 else 0)])
                else:
                    at = int(inputs.weights[number])
                    weight = float(inputs.weight[number] if at < 0 else inputs.values[at + i])
                neuron = int(self.block.first[p]) + i
                self.arrivals.setdefault(k, []).append((neuron, t, 0, s, cursor, 0, 0, receptor, weight))
            if kind in (layout.EVENTS, layout.SOURCE_EVENTS):
                streams.cursor[s] += 1
                streams.next[s] = inputs.event_time[cursor + 1] if cursor + 1 < inputs.event[number + 1] else math.inf
            elif kind == layout.CURRENT:
                streams.cursor[s] += 1
                streams.next[s] = inputs.start[cursor + 1] if cursor + 1 < inputs.segment[number + 1] else math.inf
            else:
                self._draw(s, t)

    # neurons --------------------------------------------------------------------------------------------------------

    def _bring(
        self, neuron: Neuron, te: float, last: bool, stop: float, k: int, spikes: list[tuple[float, int]]
    ) -> None:
        """Everything that a neuron does by itself up to ``te``, an event or (``last``) the end of window ``k``."""
        form = self.compiled.forms[self.net.kind[neuron.population]]
        before, quick = -math.inf, 0
        while neuron.check <= te and te > neuron.last:
            if neuron.last < neuron.until:
                if neuron.until >= stop or (last and self._window(neuron.until) > k):
                    return
                neuron.x = self._call(neuron, "hold", neuron.x, h=neuron.until - neuron.last)
                neuron.last = neuron.until
                self._look(neuron)
                continue
            h = te - neuron.last
            c = self._call(neuron, "crossing", neuron.x, h=h)
            if not c <= h:
                if last:
                    x = self._call(neuron, "flow", neuron.x, h=h)
                    neuron.check = te + self._call(neuron, "earliest", x)
                return
            t = min(neuron.last + c, te)
            if t >= stop:
                return
            if last and self._window(t) > k:
                neuron.check = te
                return
            if c > 0.0:
                neuron.x = self._call(neuron, "flow", neuron.x, h=c)
            neuron.x = self._call(neuron, "fire", neuron.x)
            neuron.last = t
            spikes.append((t, int(self.net.gid[neuron.population]) + neuron.number))
            quick = quick + 1 if t - before < SHORT else 0
            before = t
            if quick > MOST_AT_ONCE:
                raise SimError(
                    f"Population {self.compiled.names[neuron.population]!r}: neuron {neuron.number} fires infinitely "
                    f"often at t = {float(t)!r} ms. Give it a refractory period, or less drive."
                )
            if form.closed.t_ref is not None:
                neuron.until = t + neuron.values[form.closed.t_ref]
            self._look(neuron)

    def _take(self, neuron: Neuron, t: float, receptor: int, weight: float) -> None:
        """Give a neuron an event; what it did before is done."""
        form = self.compiled.forms[self.net.kind[neuron.population]]
        h, held = t - neuron.last, t < neuron.until
        if h > 0.0:
            neuron.x = self._call(neuron, "hold" if held else "flow", neuron.x, h=h)
            neuron.last = t
        if receptor < 0:
            neuron.values["i_stim"] = weight
        else:
            weights = {f"arrive_{r.name}": weight if j == receptor else 0.0 for j, r in enumerate(form.spec.receptors)}
            neuron.x = self._call(neuron, "arrive", neuron.x, held=int(held), **weights)
        self._look(neuron)

    def _advance_neuron(self, neuron: Neuron, k: int, stop: float, spikes: list[tuple[float, int]]) -> None:
        """A neuron's part of window ``k``."""
        neuron.events.sort()
        while neuron.events:
            t, receptor, weight = neuron.events[0][0], *neuron.events[0][-2:]
            self._bring(neuron, t, False, stop, k, spikes)
            if t >= stop:
                return
            self._take(neuron, t, receptor, weight)
            neuron.events.pop(0)
        end = (k + 1) * self.net.width
        if neuron.check <= end and self._window(neuron.check) <= k:
            self._bring(neuron, end, True, stop, k, spikes)
        for variable, x in zip(self.compiled.forms[self.net.kind[neuron.population]].states, neuron.x, strict=True):
            if not math.isfinite(x):
                raise SimError(
                    f"Population {self.compiled.names[neuron.population]!r}.{variable}: is not finite at neuron "
                    f"{neuron.number} by t = {neuron.last:g} ms. Check parameters and weights."
                )

    # the network ----------------------------------------------------------------------------------------------------

    def _deliver(self, t: float, spike: int, k: int) -> None:
        """Make a spike's events."""
        net, edges = self.net, self.edges
        p = int(np.searchsorted(net.gid, spike, side="right")) - 1
        mask = (1 << net.bits) - 1
        for g in range(int(edges.by_source[p]), int(edges.by_source[p + 1])):
            if edges.learner[g] >= 0:
                continue
            row = int(edges.at[g]) + spike - int(net.gid[p])
            d_shift, w_shift = int(edges.delay_shift[g]), int(edges.weight_shift[g])
            for j in range(int(edges.rows[row]), int(edges.rows[row + 1])):
                constant = d_shift == layout.NEVER
                at = t + float(edges.delay[g] if constant else edges.delays[j + d_shift])
                weight = float(edges.weight[g] if w_shift == layout.NEVER else edges.weights[j + w_shift])
                code = int(edges.targets[j])
                event = (code & mask, at, 1 if constant else 2, t, spike, g, j, code >> net.bits, weight)
                self.arrivals.setdefault(max(self._window(at), k + 1), []).append(event)
        for learner in self.learners:
            for j, code, at, weight in learner.spike(t, p, spike - int(net.gid[p])):
                event = (code & mask, at, 2, t, spike, learner.plastic.group, j, code >> net.bits, weight)
                self.arrivals.setdefault(max(self._window(at), k + 1), []).append(event)

    def advance(self, stop: float) -> tuple[bool, np.ndarray, np.ndarray]:
        """Run to ``stop`` ms: do everything before it. Returns True, and times and global ids of recorded spikes."""
        out: list[tuple[float, int]] = []
        while stop > self.reached:
            windows = [*self.arrivals, *(self._window(t) for t in self.streams.next)]
            windows += [self._window(n.check) for n in self.neurons] + [self._window(stop)]
            windows += [self._window(max(self.reached, 0.0)) for n in self.neurons if n.events]
            k = max(min(windows), self._window(max(self.reached, 0.0)))
            spikes: list[tuple[float, int]] = []
            for s in range(len(self.streams.kind)):
                self._run_stream(s, k, stop, spikes)
            for target, *event in self.arrivals.pop(k, []):
                self.neurons[target].events.append(tuple(event))
            for neuron in self.neurons:
                if neuron.events or self._window(neuron.check) <= k:
                    self._advance_neuron(neuron, k, stop, spikes)
            spikes.sort()
            for t, spike in spikes:
                self._deliver(t, spike, k)
            self.compiled.check_weights()
            out += spikes
            if k >= self._window(stop):
                self.reached = stop
            else:
                self.reached = max(self.reached, self._after(k))
        kept = [(t, i) for t, i in out if self.net.recorded[np.searchsorted(self.net.gid, i, side="right") - 1]]
        return True, np.array([t for t, _ in kept]), np.array([i for _, i in kept], np.int64)

    def _after(self, k: int) -> float:
        """A time in window ``k + 1``, as early as rounding allows."""
        t = (k + 1) * self.net.width
        while self._window(t) <= k:
            t = math.nextafter(t, math.inf)
        return t

    def state(self, p: int, t: float, ids: np.ndarray) -> np.ndarray:
        """Float state variables of neurons ``ids`` at ``t``, where the engine stands: (variables, n)."""
        columns = []
        for i in ids:
            neuron = self.neurons[int(self.block.first[p]) + int(i)]
            x, h = neuron.x, t - neuron.last
            if h > 0.0:
                held = self.compiled.forms[self.net.kind[p]].closed.hold is not None and t <= neuron.until
                x = self._call(neuron, "hold" if held else "flow", x, h=h)
            columns.append(x)
        return np.array(columns, float).T.reshape(-1, len(ids))

    def set_state(self, p: int, t: float, values: np.ndarray) -> None:
        """Set the state of population ``p`` at ``t``, shape (variables, n)."""
        first = int(self.block.first[p])
        for i in range(int(self.net.n[p])):
            neuron = self.neurons[first + i]
            neuron.x, neuron.last = tuple(float(v) for v in values[:, i]), t
            self._look(neuron)

    def values(self, number: int, t: float, which: int = 0) -> list[np.ndarray]:
        """As kernels.event.engine; there is one block."""
        return [self.learners[number].values(t, which)]

    def sweep(self, number: int, b: int, t: float, settle: bool) -> Plastic:
        """Bring the synapses of plastic projection ``number`` up to date at ``t``; there is one block."""
        self.learners[number].settle(t)
        return self.compiled.plastic[b][number]

    def learning(self, number: int, t: float, on: bool) -> None:
        """Let the weights of plastic projection ``number`` change from ``t`` on, or not."""
        self.learners[number].learning(t, on)

    def set_signal(self, number: int, t: float, value: float) -> None:
        """Set the modulator of plastic projection ``number`` just after ``t``."""
        self.learners[number].set_signal(t, value)
