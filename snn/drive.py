"""What differs between the engines in running a network: one class each, used by :class:`snn.Simulation`.

``at`` is how far a run has come: in steps of ``unit`` = dt ms for the clock engine, in ms (``unit`` = 1) for the event
engine.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.errors import BackendUnavailable, ModelError, SimError, nearest
from kernels.event.layout import LONG_AGO
from kernels.layout import NEVER, Edges
from kernels.spec import NUMBER, NeuronSpec, synapse_rows
from snn import compile_event, state_clock, state_event, state_ranks
from snn.compile import check_whole, compile_network, set_parameters, set_sources
from snn.compile_edges import draw_edges, edge_places, edge_values
from snn.compile_event_plastic import one_modulator, places_of
from snn.compile_inputs import Codes, encoded
from snn.compile_synapses import number_new, renewed, rule_of, short_term_of
from snn.elements import SPIKES, Projection
from snn.fingerprint import digest
from snn.network import Network
from snn.neurons.base import NeuronModel
from snn.ranks import Ranks
from snn.records import Recorder

if TYPE_CHECKING:
    from snn.io.checkpoint import Saved


def require_cuda(device: int) -> None:
    """Raise BackendUnavailable, with the reason, unless CUDA device number ``device`` can be had."""
    try:
        from kernels.cuda.jit import select
    except ImportError as error:
        raise BackendUnavailable(f'backend="cuda": {error}. Install the extra "cuda", or use backend="cpu".') from error
    select(device)


class Clock:
    """The clock engine: all neurons, step by step."""

    def __init__(
        self, net: Network, dt: float, backend: str, threads: int, precision: str, ranks: Ranks, device: int,
        deterministic: bool,
    ) -> None:  # fmt: skip
        self.net, self.dt, self.threads, self.precision, self.ranks = net.copied(), dt, threads, precision, ranks
        self.device, self.deterministic = device, deterministic
        if backend == "cuda":  # before the work of compiling
            require_cuda(device)
        self.unit, self.resolution = dt, dt
        self.compiled = compile_network(net, dt, precision, threads, ranks, on_device=backend == "cuda")
        self.codes: Codes | None = None
        self.hash = ranks.one_hash(digest(self.compiled.parts))
        self.index = {name: k for k, name in enumerate(net.populations)}
        self.models = [v.spec.name for v in self.compiled.variants]
        self.at = 0
        self.chunk = max(self.compiled.tables.window, 100)
        self.backend = backend

    def start(self, compiling: Any, say: Any) -> None:
        """Make the engine; compile its kernels, or load them."""
        if self.backend == "cpu":
            from kernels.cpu.engine import Engine

            self.engine: Any = Engine(self.compiled, self.ranks.comm)
            compiling(self.engine.cached, self.models)
            self.engine.advance(0, 0)
        elif self.backend == "cuda":
            from kernels.cuda.engine import Engine as Cuda

            self.engine = Cuda(self.compiled, self.device, self.deterministic, say=say)
            self.chunk = max(self.chunk, 1000)  # a launch takes the host a millisecond, ten steps of a fast network
        else:
            from kernels.reference.engine import Engine as Reference

            self.engine = Reference(self.compiled)

    def after(self, duration: float) -> int:
        """Where a run of ``duration`` ms from here ends."""
        return self.at + round(duration / self.dt)

    def next_chunk(self, wanted: float) -> int:
        """``wanted``, as it can be."""
        return max(1, int(wanted))

    def take(self, recorder: Recorder, stop: float) -> None:
        """Advance to ``stop`` at most, and hand on what was recorded."""
        start = self.at
        stop = min(self.ranks.gather(stop))  # each looks at its own clock
        try:
            reached, spikes, samples = self.engine.advance(start, int(stop))
        except BaseException:
            self.ranks.abort()
            raise
        self._check_weights()
        self._check_finite(reached)
        for probe in (p for p in self.net.probes if p.variable == SPIKES):
            recorder.spikes(probe.population.name, *spikes[self.index[probe.population.name]])
        traces = [p for p in self.net.probes if p.variable != SPIKES]
        for probe, values, every in zip(traces, samples, self.compiled.probes.every.tolist(), strict=True):
            at = np.arange(start // every + 1, reached // every + 1) * every
            if self.ranks.size > 1:
                values = values[:, self.is_own(probe.population.name, probe.ids)]
                if not values.shape[1]:
                    continue
            recorder.states(probe.population.name, probe.variable, at * self.dt, values)
        self.at = int(reached)

    def save(self) -> dict[str, np.ndarray]:
        """Everything that changes; of ranks, what this one holds."""
        arrays: dict[str, np.ndarray] = self._states().save(self.engine, self.at)
        return arrays if self.ranks.size == 1 else state_ranks.own_part(self.engine, arrays, self.owned())

    def load(self, file: "Saved", at: int) -> None:
        """Go on at ``at`` from what :meth:`save` gave."""
        if self.ranks.size == 1 and len(file.files) == 1:
            arrays = next(file.parts())
        else:
            owners = state_ranks.check_owners([about.get("own") for about in file.abouts], self.compiled.tables.n)
            arrays = state_ranks.assemble(self.engine, self.ranks, owners, file.parts)
        self._states().load(self.engine, at, arrays)
        self.at = at

    def _states(self) -> Any:
        if self.backend != "cuda":
            return state_clock
        from snn import state_cuda

        return state_cuda

    def owned(self) -> list[list[int]]:
        """Of each population, the first neuron of this rank and last + 1."""
        return [list(self.own(name)) for name in self.net.populations]

    def state(self, name: str, variable: str) -> np.ndarray:
        """Values of a state variable; a copy."""
        lo, hi = self.own(name)
        return np.concatenate(self.ranks.gather(self._view(name, variable)[lo:hi].astype(np.float64)))

    def device_state(self, name: str, variable: str) -> Any:
        """The state variable where it lies on the GPU."""
        from kernels.cuda.dlpack import View

        kind, first = self._place(name, variable)
        return View(getattr(self.engine.arrays.state, kind)[first : first + self.net.populations[name].n], self.device)

    def device_spikes(self) -> tuple[int, Any, Any]:
        """(step at which the last launch began, steps since, global ids) of its recorded spikes, on the GPU."""
        from kernels.cuda.dlpack import View

        x, start, _, total = self.engine.last
        return start, View(x.out.record_step[:total], self.device), View(x.out.record_id[:total], self.device)

    def own(self, name: str) -> tuple[int, int]:
        """First neuron of a population that this rank holds, and last + 1."""
        t, k = self.compiled.tables, self.index[name]
        return int(t.lo[t.first_block[0], k]), int(t.hi[t.first_block[-1] - 1, k])

    def is_own(self, name: str, ids: np.ndarray) -> np.ndarray:
        """Which neurons ``ids`` of a population this rank holds."""
        lo, hi = self.own(name)
        return np.asarray((ids >= lo) & (ids < hi))

    def set_state(self, name: str, variable: str, values: np.ndarray) -> None:
        """Set a state variable."""
        view, spec = self._view(name, variable), self.net.populations[name].spec
        var = next(v for v in (spec.state if spec else ()) if v.name == variable)
        check_whole(f"set_state({variable!r})", var, values)
        view[:] = values

    def connections(self, p: Projection) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(sources, targets, weights, delays) of all ranks."""
        parts = zip(*self.ranks.gather(self._connections(p)), strict=True)
        sources, targets, weights, delays = (np.concatenate(part) for part in parts)
        return sources, targets, weights, delays

    def _connections(self, p: Projection) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The same for the targets of this rank."""
        if p.plastic:
            number = self.plastic_number(p)
            rows = self.compiled.learned[number]
            sources, targets, places = self._wiring(p)
            weights = self.engine.values(number, self.at - 1)[places].astype(float)
            return sources, targets, weights, _delays(rows, places) * self.dt
        edges = draw_edges(self.net, p, self.threads, self.own(p.target.name))
        targets = np.repeat(np.arange(p.target.n), np.diff(edges.indptr))
        weights, delays = (edge_values(self.net, p, edges, which, self.precision) for which in (0, 1))
        return edges.sources.astype(np.int64), targets, weights, np.maximum(1, np.rint(delays / self.dt)) * self.dt

    def _wiring(self, p: Projection) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(sources, targets, places in its rows) of a plastic projection, by target."""
        number = self.plastic_number(p)
        rows, x = self.compiled.learned[number], self.compiled.plastic[number]
        if not x.rewired[0]:
            edges = draw_edges(self.net, p, self.threads, self.own(p.target.name))
            places = edge_places(self.index, self.compiled.tables, p, edges, rows)
            return edges.sources.astype(np.int64), np.repeat(np.arange(p.target.n), np.diff(edges.indptr)), places
        blocks = len(x.origin)
        lengths = np.diff(rows.rows.reshape(blocks, p.source.n + 1))
        sources = np.repeat(np.tile(np.arange(p.source.n), blocks), lengths.ravel())
        targets = rows.targets + np.repeat(x.origin + x.first, lengths.sum(axis=1))
        places = np.lexsort((sources, targets))
        return sources[places], targets[places], places

    def rewire(
        self, projection: Projection, removed: np.ndarray, sources: np.ndarray, targets: np.ndarray, values: np.ndarray
    ) -> None:
        """Synapses ``removed`` (by the order of :meth:`connections`) of a plastic projection join other pairs."""
        number = self.plastic_number(projection)
        self.engine.sweep(number, self.at - 1, settle=True)
        rows, x = self.compiled.learned[number], self.compiled.plastic[number]
        old_sources, old_targets, places = self._wiring(projection)
        first = sum(self.ranks.gather(places.size)[: self.ranks.rank])
        stays = np.flatnonzero(~np.isin(first + np.arange(places.size), removed))
        comes = np.flatnonzero(self.is_own(projection.target.name, targets))
        # constants of a synapse, as its delay, are those of the one whose place it takes
        before = np.concatenate(self.ranks.gather(x.variables[:, places].T))[removed].T
        fresh = renewed(projection, before)
        order = np.argsort(np.concatenate((first + stays, removed[comes])))  # as on one process

        def both(old: np.ndarray, new: np.ndarray) -> np.ndarray:
            return np.asarray(np.concatenate((old[..., stays], new[..., comes]), axis=-1)[..., order])

        names = synapse_rows(rule_of(projection), short_term_of(projection))[1]
        if NUMBER in names:
            row = x.variables[names[NUMBER], places]
            fresh[names[NUMBER], comes] = number_new(projection, row[stays], sources[comes], targets[comes])
        source, target = both(old_sources, sources), both(old_targets, targets)
        by_target = np.argsort(target, kind="stable")
        delays = rows.delays
        if rows.delay[0] == 0:  # a synapse keeps that of the one whose place it takes
            delays = both(rows.delays[places], np.concatenate(self.ranks.gather(rows.delays[places]))[removed])[
                by_target
            ]
        state_clock.lay_rows(
            self.compiled, number, source[by_target], target[by_target], delays,
            both(rows.weights[places], values)[by_target],
            both(x.variables[:, places], fresh)[:, by_target],
        )  # fmt: skip
        if self.backend == "cpu":
            self.engine.pack(self.compiled)
        x.rewired[0] = 1

    def set_synapses(self, projection: Projection, values: np.ndarray, which: int = 0) -> None:
        """Set weights (``which`` = 0) or a state variable (1, ..) of the rule of a plastic projection.

        ``values``: a number, or in the order of :meth:`connections`.
        """
        number = self.plastic_number(projection)
        self.engine.sweep(number, self.at - 1, settle=True)
        places = self._wiring(projection)[2]
        if self.ranks.size > 1 and np.ndim(values):
            first = sum(self.ranks.gather(places.size)[: self.ranks.rank])
            values = values[first : first + places.size]
        edges, x = self.compiled.learned[number], self.compiled.plastic[number]
        (x.variables[which - 1] if which else edges.weights)[places] = values

    def synapses(self, projection: Projection, which: int) -> np.ndarray:
        """A state variable (1, ..) of the rule, in the order of :meth:`connections`, of all ranks."""
        places = self._wiring(projection)[2]
        own = self.engine.values(self.plastic_number(projection), self.at - 1, which)[places]
        return np.concatenate(self.ranks.gather(own))

    def short(self, projection: Projection, which: int) -> np.ndarray:
        """A state variable (0, ..) of the short-term rule, by source."""
        number = self.plastic_number(projection)
        return np.array(self.engine.short(number)[: projection.source.n, which])

    def begin_short(self, projection: Projection) -> None:
        """Let the short-term state of sources that have not fired be as of now; it was as of long ago."""
        number, now = self.plastic_number(projection), self.at - 1
        engine, x = self.engine, self.compiled.plastic[number]
        if self.backend == "cuda":
            from kernels.cuda.jit import fetch

            x = engine.arrays.learned[number]
            last = fetch(x.last)
        else:
            last = np.array(engine.learners[number].last) if self.backend == "reference" else x.last
        never = last == NEVER
        if not never.any():
            return
        engine.sweep(number, now, settle=True)  # what synapses have seen is counted from a source's last spike, too
        last[never] = now
        if self.backend == "cuda":
            engine.put(x.last, last)
        elif self.backend == "reference":
            engine.learners[number].last = last.tolist()

    def set_short(self, projection: Projection, values: np.ndarray, which: int) -> None:
        """Set a state variable of the short-term rule; ``values``: a number, or by source."""
        number, n = self.plastic_number(projection), projection.source.n
        rows = self.engine.short(number)
        rows.reshape(-1, n, rows.shape[1])[:, :, which] = values
        if self.backend == "cuda":
            self.engine.set_short(number, rows)

    def plastic_number(self, projection: Projection) -> int:
        """Number of a plastic projection in the engine."""
        return [p.name for p in self.net.projections.values() if p.plastic].index(projection.name)

    def learning(self, projection: Projection, on: bool) -> None:
        """Let the projection's weights change from now on, or not."""
        number = self.plastic_number(projection)
        if self.compiled.plastic[number].learning[0] != on:
            self.engine.sweep(number, self.at - 1, settle=True)
            self.compiled.plastic[number].learning[:] = on

    def set_modulator(self, projection: Projection, value: float | np.ndarray) -> None:
        """Set the modulator of the projection's rule from the next step on."""
        self.engine.set_signal(self.plastic_number(projection), self.at, value)

    def set_current(self, name: str, values: np.ndarray) -> None:
        """Set the amplitude of an input that is a current of one segment."""
        inputs, codes = self.compiled.inputs, self._encoded()
        number, code = next((k, c.code) for k, c in enumerate(codes) if c.name == name and c.entry)
        row = inputs.segment[number]
        inputs.values[inputs.at[row] : inputs.at[row] + inputs.size[row]] = values
        now = np.broadcast_to(values, code.values.shape).astype(float)  # for when sources are laid out anew
        codes[number] = codes[number]._replace(code=replace(code, values=now))
        if self.backend == "cuda":
            self.engine.put(self.engine.arrays.inputs.values, inputs.values)

    def _encoded(self) -> Codes:
        if self.codes is None:
            self.codes = encoded(self.net, self.dt)
        return self.codes

    def set_model(self, name: str, model: NeuronModel) -> None:
        """Give the neurons of a population other parameters."""
        c, net = self.compiled, self.net.copied()
        before = c.variants, c.constants, c.tables
        net.populations[name] = replace(net.populations[name], model=model)
        try:
            set_parameters(c, net)
            self.engine.renew(c.variants != before[0])
        except BaseException:  # nothing stays half changed
            c.variants, c.constants, c.tables = before
            raise
        self.net = net

    def set_source(self, name: str, source: Any, own: bool) -> None:
        """Let another source drive a population: that of input ``name``, or (``own``) of the population ``name``."""
        if self.backend == "cuda":
            raise BackendUnavailable(
                'Simulation.set_source: backend="cuda" takes none. Use Simulation.set_current, or backend="cpu".'
            )
        codes, net = self._encoded(), self.net.copied()
        if own:
            net.populations[name] = replace(net.populations[name], model=source)
        else:
            entry, weights = net.inputs[name], getattr(source, "weights", None)
            weight = entry.weight
            if weights is not None:  # without spikes a number of the sign that chose the receptor
                weight = weights if len(weights) else float(np.min(weight))
            net.inputs[name] = replace(entry, source=source, weight=weight)
        codes = encoded(net, self.dt, codes)
        set_sources(self.compiled, net, codes)
        self.net, self.codes = net, codes
        self.engine.renew(False)

    def _check_weights(self) -> None:
        for number, p in enumerate(p for p in self.net.projections.values() if p.plastic):
            x, edges = self.compiled.plastic[number], self.compiled.learned[number]
            found = sorted((int(step), int(k), b) for b, (step, k) in enumerate(x.fault) if step >= 0)
            for step, k, b in found[:1]:
                n = p.source.n
                source = int(np.searchsorted(edges.rows[b * (n + 1) :][: n + 1], k, side="right")) - 1
                target = int(edges.targets[k]) + int(x.origin[b]) + x.first
                rule = self.compiled.rules[number][0]
                what, value = rule.not_finite(float(edges.weights[k]), x.variables[: len(rule.state), k].tolist())
                raise SimError(
                    f"Projection {p.name!r}: {p.plasticity!r} made the {what} of source {source} and target {target} "
                    f"no finite number at t = {(step + 1) * self.dt:g} ms; got {value!r}. Check the rule."
                )

    def _check_finite(self, step: int) -> None:
        bad = np.flatnonzero(~np.isfinite(self.compiled.state.f))
        if bad.size == 0:
            return
        t = self.compiled.tables
        k = int(np.searchsorted(t.state_f, bad[0], side="right")) - 1
        while list(self.net.populations.values())[k].spec is None:
            k -= 1
        population = list(self.net.populations.values())[k]
        place, neuron = divmod(int(bad[0] - t.state_f[k]), int(t.pad[k]))
        spec = population.spec
        variable = [s.name for s in spec.state if s.dtype == "float"][place] if spec else "?"
        raise SimError(
            f"Population {population.name!r}.{variable}: is not finite at neuron {neuron} "
            f"by t = {step * self.dt:g} ms. "
            "Check parameters, weights and dt."
        )

    def _view(self, name: str, variable: str) -> np.ndarray:
        kind, first = self._place(name, variable)
        found: np.ndarray = getattr(self.compiled.state, kind)[first : first + self.net.populations[name].n]
        return found

    def _place(self, name: str, variable: str) -> tuple[str, int]:
        """Field of State ("f" or "i") that holds the variable, and where it begins there."""
        k, spec, tables = self.index[name], self.net.populations[name].spec, self.compiled.tables
        for dtype, kind, at in (("float", "f", tables.state_f), ("int", "i", tables.state_i)):
            names = [s.name for s in spec.state if s.dtype == dtype] if spec else []
            if variable in names:
                return kind, int(at[k]) + names.index(variable) * int(tables.pad[k])
        raise ModelError(f"Population {name!r}: no state variable {variable!r}.{_known(spec, variable)}")


def _known(spec: NeuronSpec | None, variable: str) -> str:
    """What to use in place of a name that is no state variable."""
    if spec is None:
        return " Spike sources have none."
    if variable in [p.name for p in spec.params]:
        return f" It is a parameter of {spec.name}: Simulation.set_parameters changes it."
    return nearest(variable, [s.name for s in spec.state])


def _delays(rows: Edges, places: np.ndarray) -> np.ndarray:
    """Delays in steps of a plastic projection's synapses."""
    return rows.delays[places] if rows.delays.size else np.full(places.size, rows.delay[0])


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

    def set_source(self, name: str, source: Any, own: bool) -> None:
        """Refused: what a source brings in a window may be drawn already."""
        raise BackendUnavailable(
            'Simulation.set_source: engine="event" takes none. Give segments, such as snn.Poisson(rate, times), or use '
            'engine="clock".'
        )

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
            raise ModelError(f"Population {name!r}: no state variable {variable!r}.{_known(spec, variable)}")
        return self.index[name], names.index(variable)


def hand_on(
    recorder: Recorder, net: Network, first: np.ndarray, index: dict[str, int], times: np.ndarray, ids: np.ndarray
) -> None:
    """Give a recorder spikes by population, from global ids."""
    for probe in (p for p in net.probes if p.variable == SPIKES):
        gid = first[index[probe.population.name]]
        mine = (ids >= gid) & (ids < gid + probe.population.n)
        recorder.spikes(probe.population.name, times[mine], ids[mine].astype(np.int64) - gid)
