"""The event engine in :class:`snn.Simulation`: continuous time, from event to event.

``at`` is how far a run has come, in ms (``unit`` = 1). :mod:`snn.drive_clock` has the same methods.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.errors import ModelError
from kernels.event.layout import LONG_AGO
from snn import compile_event, state_event
from snn.changes import changed_source
from snn.compile_edges import draw_edges, edge_values
from snn.compile_event_plastic import one_modulator, places_of
from snn.elements import SPIKES, Projection, unknown_variable
from snn.fingerprint import digest
from snn.inputs import StepCurrent
from snn.network import Network
from snn.neurons.base import NeuronModel
from snn.recorders import Recorder

if TYPE_CHECKING:
    from snn.io.checkpoint import Saved


class Event:
    """The event engine: continuous time, from event to event."""

    def __init__(self, net: Network, dt: float, backend: str, threads: int) -> None:
        self.net, self.backend, self.threads = net.copied(), backend, threads
        self.unit, self.resolution = 1.0, math.nan
        self.compiled = compile_event.compile_event(net, threads)
        self.hash = digest(self.compiled.parts)
        self.index = {name: k for k, name in enumerate(net.populations)}
        self.models = [f.spec.name for f in self.compiled.forms]
        self.at = 0.0
        self.chunk = 10.0
        self.probes = [p for p in net.probes if p.variable != SPIKES]
        self.every = [dt if p.every is None else p.every for p in self.probes]
        for probe in self.probes:
            self._place(probe.population.name, probe.variable)

    def start(self, compiling: Any, say: Any) -> None:
        """Make the engine; compile its kernels, or load them."""
        if self.backend == "cpu":
            from kernels.event.engine import Engine

            self.engine: Any = Engine(self.compiled, compiling)
        else:
            from kernels.reference.event import Engine as Reference

            self.engine = Reference(self.compiled)
        self.engine.advance(0.0)

    def after(self, duration: float) -> float:
        """Where a run of ``duration`` ms from here ends."""
        return self.at + duration

    def next_chunk(self, wanted: float) -> float:
        """``wanted``, as it can be."""
        return max(self.compiled.net.width, wanted)

    def take(self, recorder: Recorder, stop: float) -> None:
        """Advance to ``stop``, all that happens then included, and hand on what was recorded."""
        due = [math.floor(self.at / every * (1 + 1e-12)) + 1 for every in self.every]
        collected: list[list[tuple[float, np.ndarray]]] = [[] for _ in self.probes]
        while True:
            at = [k * every for k, every in zip(due, self.every, strict=True)]
            to = min([*at, math.inf])
            reached = math.nextafter(min(to, stop), math.inf)  # what happens at that time is done
            done = False
            while not done:
                done, times, ids = self.engine.advance(reached)
                hand_on(recorder, self.net, self.compiled.net.gid, self.index, times, ids)
            if to > stop * (1 + 1e-12):  # multiples of ``every`` miss an end by an ulp: not due again after it
                break
            for q, probe in enumerate(self.probes):
                if at[q] == to:
                    k, j = self._place(probe.population.name, probe.variable)
                    collected[q].append((to, self.engine.state(k, math.nextafter(to, math.inf), probe.ids)[j]))
                    due[q] += 1
        for probe, rows in zip(self.probes, collected, strict=True):
            if rows:
                times, values = np.array([t for t, _ in rows]), np.array([x for _, x in rows])
                recorder.states(probe.population.name, probe.variable, times, values)
        self.at = stop

    def save(self) -> dict[str, np.ndarray]:
        """Everything that changes."""
        return state_event.save(self.engine)

    def load(self, file: "Saved", at: float) -> None:
        """Go on at ``at`` from what :meth:`save` gave."""
        state_event.load(self.engine, next(file.parts()), at)
        self.at = at

    def state(self, name: str, variable: str) -> np.ndarray:
        """Values of a state variable; a copy."""
        k, j = self._place(name, variable)
        return np.asarray(self.engine.state(k, self.at, np.arange(self.net.populations[name].n))[j])

    def set_state(self, name: str, variable: str, values: np.ndarray) -> None:
        """Set a state variable."""
        k, j = self._place(name, variable)
        all_ = self.engine.state(k, self.at, np.arange(self.net.populations[name].n))
        all_[j] = values
        self.engine.set_state(k, self.at, all_)

    def set_model(self, name: str, model: NeuronModel) -> None:
        """Give the neurons of a population other parameters, from just after now."""
        net, k = self.net.copied(), self.index[name]
        net.populations[name] = replace(net.populations[name], model=model)
        c, state = self.compiled, self.engine.state(k, self.at, np.arange(net.populations[name].n))
        before = c.forms, c.net, c.capacity, list(c.blocks)
        try:
            compile_event.set_parameters(c, net)
            self.engine.renew(c.forms != before[0])
        except BaseException:  # nothing stays half changed
            c.forms, c.net, c.capacity, c.blocks[:] = before
            raise
        self.net = net
        self.engine.set_state(k, self.at, state)

    def set_current(self, name: str, values: np.ndarray) -> None:
        """Set the amplitude of an input that is a current of one segment."""
        source: Any = self.net.inputs[name].source
        self.set_source(name, StepCurrent(values[None], source.times), own=False)

    def set_source(self, name: str, source: Any, own: bool) -> None:
        """As :mod:`snn.drive_clock`, from just after now."""
        net, engine = changed_source(self.net, name, source, own), self.engine
        changed, now = compile_event.set_sources(self.compiled, net, name, own, engine.reached)
        if now is not None:
            k, current = now
            state = engine.state(k, self.at, np.arange(self.compiled.net.n[k]))
            engine.set_current(k, current)
            engine.set_state(k, self.at, state)
        engine.renew_inputs(changed, self.at)
        self.net = net

    def connections(self, p: Projection) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(sources, targets, weights, delays)."""
        edges = draw_edges(self.net, p, self.threads)
        targets = np.repeat(np.arange(p.target.n), np.diff(edges.indptr))
        weights, delays = (edge_values(self.net, p, edges, which, "float64") for which in (0, 1))
        if p.plastic:
            found = self.engine.values(self.plastic_number(p), self.at)
            for values, (part, places) in zip(found, self._places(p, edges), strict=True):
                weights[part] = values[places]
        return edges.sources.astype(np.int64), targets, weights, delays

    def _places(self, p: Projection, edges: Any) -> Iterator[tuple[slice, np.ndarray]]:
        """By block: which synapses of a plastic projection, by target, lie there, and at which places."""
        c, number = self.compiled, self.plastic_number(p)
        for block, rows, learned in zip(c.blocks, c.edges, c.plastic, strict=True):
            x = learned[number]
            lo, hi = int(block.lo[x.target]), int(block.hi[x.target])
            part = slice(int(edges.indptr[lo]), int(edges.indptr[hi]))
            yield part, places_of(rows, x.group, p.source.n, edges, lo, hi)

    def set_synapses(self, projection: Projection, values: np.ndarray, which: int = 0) -> None:
        """Set weights (``which`` = 0) or a state variable (1, ..) of the rule of a plastic projection.

        ``values``: a number, or in the order of :meth:`connections`.
        """
        number, edges = self.plastic_number(projection), draw_edges(self.net, projection, self.threads)
        for b, (part, places) in enumerate(self._places(projection, edges)):
            plastic = self.engine.sweep(number, b, self.at, True)
            held = plastic.variables[which - 1] if which else plastic.weights
            held[places] = values[part] if np.ndim(values) else values

    def synapses(self, projection: Projection, which: int) -> np.ndarray:
        """A state variable (1, ..) of the rule, in the order of :meth:`connections`."""
        edges = draw_edges(self.net, projection, self.threads)
        found, out = self.engine.values(self.plastic_number(projection), self.at, which), np.empty(edges.sources.size)
        for values, (part, places) in zip(found, self._places(projection, edges), strict=True):
            out[part] = values[places]
        return out

    def short(self, projection: Projection, which: int) -> np.ndarray:
        """A state variable (0, ..) of the short-term rule, by source."""
        found: np.ndarray = self.compiled.plastic[0][self.plastic_number(projection)].short[:, which].copy()
        return found

    def begin_short(self, projection: Projection) -> None:
        """Let the short-term state of sources that have not fired be as of now; it was as of long ago."""
        number = self.plastic_number(projection)
        for b, row in enumerate(self.compiled.plastic):
            if np.any(row[number].last == LONG_AGO):
                last = self.engine.sweep(number, b, self.at, True).last
                last[last == LONG_AGO] = self.at

    def set_short(self, projection: Projection, values: np.ndarray, which: int) -> None:
        """Set a state variable of the short-term rule; ``values``: a number, or by source."""
        for row in self.compiled.plastic:
            row[self.plastic_number(projection)].short[:, which] = values

    def plastic_number(self, projection: Projection) -> int:
        """Number of a plastic projection in the engine."""
        return [rule.projection for rule in self.compiled.rules].index(projection.name)

    def learning(self, projection: Projection, on: bool) -> None:
        """Let the projection's weights change from now on, or not."""
        self.engine.learning(self.plastic_number(projection), self.at, on)

    def set_modulator(self, projection: Projection, value: float | np.ndarray) -> None:
        """Set the modulator of the projection's rule just after now."""
        one_modulator(projection, value)
        self.engine.set_signal(self.plastic_number(projection), self.at, value)

    def _place(self, name: str, variable: str) -> tuple[int, int]:
        """Number of the population, and of the variable among its float state variables."""
        spec = self.net.populations[name].spec
        for s in spec.state if spec else ():
            if s.name == variable and s.dtype == "int":
                raise ModelError(
                    f'Population {name!r}.{variable}: counts steps, which engine="event" has not. Use engine="clock".'
                )
        names = [s.name for s in spec.state if s.dtype == "float"] if spec else []
        if variable not in names:
            raise unknown_variable(name, spec, variable)
        return self.index[name], names.index(variable)


def hand_on(
    recorder: Recorder, net: Network, first: np.ndarray, index: dict[str, int], times: np.ndarray, ids: np.ndarray
) -> None:
    """Give a recorder spikes by population, from global ids."""
    for probe in (p for p in net.probes if p.variable == SPIKES):
        gid = first[index[probe.population.name]]
        mine = (ids >= gid) & (ids < gid + probe.population.n)
        recorder.spikes(probe.population.name, times[mine], ids[mine].astype(np.int64) - gid)
