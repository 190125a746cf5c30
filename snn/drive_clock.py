"""The clock engine in :class:`snn.Simulation`: all neurons, step by step; on this machine, on ranks of it, or on a GPU.

``at`` is how far a run has come, in steps of ``unit`` = dt ms. :mod:`snn.drive_event` has the same methods.
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.errors import BackendUnavailable, SimError
from kernels.layout import Edges
from kernels.spec import NUMBER, synapse_rows
from snn import state_clock, state_ranks
from snn.changes import changed_source
from snn.compile import check_whole, compile_network, set_parameters, set_sources
from snn.compile_edges import draw_edges, edge_places, edge_values
from snn.compile_inputs import Codes, encoded
from snn.compile_synapses import number_new, renewed, rule_of, short_term_of
from snn.elements import SPIKES, Projection, unknown_variable
from snn.fingerprint import digest
from snn.inputs import StepCurrent
from snn.network import Network
from snn.neurons.base import NeuronModel
from snn.ranks import Ranks
from snn.recorders import Recorder

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

        for names in synapse_rows(rule_of(projection), short_term_of(projection)):
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
        self.engine.begin_short(self.plastic_number(projection), self.at - 1)

    def set_short(self, projection: Projection, values: np.ndarray, which: int) -> None:
        """Set a state variable of the short-term rule; ``values``: a number, or by source."""
        number, n = self.plastic_number(projection), projection.source.n
        rows = self.engine.short(number)
        rows.reshape(-1, n, rows.shape[1])[:, :, which] = values
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
        source: Any = self.net.inputs[name].source
        if np.ndim(values) and source.amplitudes.ndim == 1:  # a number becomes an array: there is no room for it
            self.set_source(name, StepCurrent(values[None], source.times), own=False)
            return
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
        net, before = changed_source(self.net, name, source, own), self.compiled.inputs
        codes = encoded(net, self.dt, self._encoded())
        set_sources(self.compiled, net, codes)
        try:
            self.engine.renew(False)
        except BaseException:
            self.compiled.inputs = before
            raise
        self.net, self.codes = net, codes

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
        raise unknown_variable(name, spec, variable)


def _delays(rows: Edges, places: np.ndarray) -> np.ndarray:
    """Delays in steps of a plastic projection's synapses."""
    return rows.delays[places] if rows.delays.size else np.full(places.size, rows.delay[0])
