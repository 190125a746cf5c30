"""Running a network: compile once, advance in chunks, hand what is recorded to a recorder."""

import importlib.metadata
import math
import os
import platform
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from kernels.errors import BackendUnavailable, ModelError, ShapeError, SimError
from snn.compile import compile_network, draw_edges, edge_places, edge_values
from snn.network import SPIKES, Network, Population, Projection
from snn.records import MemoryRecorder, Recorder, Result

BACKENDS = ("cpu", "reference")
FLUSH_SECONDS = 1.0


class Simulation:
    """A compiled network, ready to run.

    Parameters
    ----------
    net : Network
    dt : step in ms
    engine : "clock" (grid; exact integration of linear models)
    backend : "cpu" (Numba) or "reference" (plain Python, slow: the oracle)
    threads : number of threads; None chooses one for small networks and else the cores at hand. Never changes a spike.
    precision : "float64" or "float32"

    Raises
    ------
    ModelError, ShapeError
        Where the description does not fit dt or itself.
    BackendUnavailable
        Where engine or backend cannot be had; nothing is ever switched silently.

    Examples
    --------
    >>> import snn
    >>> net = snn.Network(seed=1)
    >>> pop = net.population("exc", 10, snn.LIFDelta(i_e=500.0))
    >>> _ = net.record(pop)
    >>> result = snn.Simulation(net, dt=0.1).run(100.0)
    >>> len(result.spikes["exc"])
    60
    """

    def __init__(
        self, net: Network, dt: float = 0.1, engine: str = "clock", backend: str = "cpu", threads: int | None = None,
        precision: str = "float64", quiet: bool = False,
    ) -> None:  # fmt: skip
        if isinstance(dt, bool) or not isinstance(dt, (int, float, np.number)) or not 0 < dt < math.inf:
            raise ModelError(f"Simulation.dt: must be a number > 0 ms; got {dt!r}.")
        if engine != "clock":
            raise BackendUnavailable(f'Simulation.engine: must be "clock"; got {engine!r}.')
        if backend not in BACKENDS:
            known = " or ".join(f'"{b}"' for b in BACKENDS)
            raise BackendUnavailable(f"Simulation.backend: must be {known}; got {backend!r}.")
        if precision not in ("float64", "float32"):
            raise ModelError(f'Simulation.precision: must be "float64" or "float32"; got {precision!r}.')
        if backend == "reference" and precision != "float64":
            raise BackendUnavailable(f'backend="reference": computes in float64; got precision={precision!r}.')
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise ModelError(f"Simulation.threads: must be an integer >= 1, or None; got {threads!r}.")
        self.net, self.dt, self.backend, self.precision = net, float(dt), backend, precision
        self.threads = 1 if backend == "reference" else _choose_threads(net) if threads is None else threads
        self._say = (lambda text: None) if quiet else _to_stderr
        begin = time.perf_counter()
        self.compiled = compile_network(net, self.dt, precision, self.threads)
        self.network_hash = self.compiled.digest(self.threads)
        self.build_seconds = time.perf_counter() - begin
        self._step = 0
        self._index = {name: k for k, name in enumerate(net.populations)}
        self._engine: Any
        if backend == "cpu":
            from kernels.cpu.engine import Engine

            self._engine = Engine(self.compiled)
            if not self._engine.cached:
                models = ", ".join(sorted({v.spec.name for v in self.compiled.variants})) or "spike sources"
                self._say(f"compiling kernels for {models} ({precision}); kept for later runs")
            self._engine.advance(0, 0)  # compiles, or loads from the cache
        else:
            from kernels.reference.engine import Engine as Reference

            self._engine = Reference(self.compiled)

    @property
    def t(self) -> float:
        """Time reached, ms."""
        return self._step * self.dt

    @property
    def kernel_source(self) -> str:
        """Path of the generated kernel module; empty for the reference backend."""
        return str(self._engine.module.__file__) if self.backend == "cpu" else ""

    def run(
        self, duration: float, to: str | os.PathLike[str] | None = None, progress: bool = False,
        overwrite: bool = False, compress: bool = False,
    ) -> Result:  # fmt: skip
        """Advance by ``duration`` ms and return what was recorded on the way.

        Parameters
        ----------
        duration : ms, rounded to steps
        to : path of a SONATA file to stream to; in memory if None. Written as ``<to>.part``, renamed at the end
        progress : show model time, real-time factor and time left on stderr
        overwrite, compress : see :class:`snn.io.sonata.SonataWriter`
        """
        if (
            isinstance(duration, bool)
            or not isinstance(duration, (int, float, np.number))
            or not 0 <= duration < math.inf
        ):
            raise ModelError(f"Simulation.run: the duration must be >= 0 ms; got {duration!r}.")
        stop = self._step + round(duration / self.dt)
        recorder = self._recorder(to, overwrite, compress)
        try:
            with _deferred_interrupt() as interrupted:
                self._advance(stop, recorder, progress, interrupted)
            for probe in self.net.weight_probes:
                recorder.weights(probe.name, self.t, self.connections(probe)[2])
            return recorder.close(self.t)
        except BaseException:
            recorder.abort()
            raise

    def state(self, population: Population | str, variable: str) -> np.ndarray:
        """Present values of a state variable, shape (n,), float64; a copy."""
        return self._view(population, variable).astype(np.float64)

    def set_state(self, population: Population | str, variable: str, values: Any) -> None:
        """Set a state variable to a number or an array of shape (n,)."""
        view = self._view(population, variable)
        array = np.asarray(values, float)
        if array.shape not in ((), view.shape) or not np.all(np.isfinite(array)):
            raise ShapeError(
                f"set_state({variable!r}): must be finite, a number or of shape {view.shape}; got {values!r}."
            )
        if view.dtype.kind == "i" and not np.all((array == np.rint(array)) & (np.abs(array) < 2**31)):
            raise ModelError(f"set_state({variable!r}): must be integers of 32 bits; got {values!r}.")
        view[:] = array

    def connections(self, projection: Projection | str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(sources, targets, weights, delays in ms) of a projection by target, drawn again from the seed.

        Weights of a plastic projection are as of now: every spike that its synapses have seen is applied.
        """
        name = projection if isinstance(projection, str) else projection.name
        if name not in self.net.projections:
            raise ModelError(
                f"Simulation.connections: no projection {name!r}; there are {', '.join(self.net.projections)}."
            )
        p = self.net.projections[name]
        edges = draw_edges(self.net, p, self.threads)
        targets = np.repeat(np.arange(p.target.n), np.diff(edges.indptr))
        weights, delays = (edge_values(self.net, p, edges, which, self.precision) for which in (0, 1))
        if p.plasticity is not None:
            number = [q.name for q in self.net.projections.values() if q.plasticity].index(name)
            self._engine.sweep(number, self._step - 1)
            rows = self.compiled.learned[number]
            weights = rows.weights[edge_places(self._index, self.compiled.tables, p, edges, rows)].astype(float)
        return edges.sources.astype(np.int64), targets, weights, np.maximum(1, np.rint(delays / self.dt)) * self.dt

    def provenance(self) -> dict[str, Any]:
        """What made this run: versions, seed, configuration, backend, hash of the compiled network."""
        return {
            "software": "volley-snn",
            "version": _version("volley-snn"),
            "python": platform.python_version(),
            "versions": {p: _version(p) for p in ("numpy", "numba", "scipy", "h5py")},
            "seed": self.net.seed,
            "dt": self.dt,
            "engine": "clock",
            "backend": self.backend,
            "threads": self.threads,
            "precision": self.precision,
            "network_hash": self.network_hash,
            "network": describe(self.net),
            "configuration": self.net.configuration,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }

    def _recorder(self, to: Any, overwrite: bool, compress: bool) -> Recorder:
        spikes = {p.population.name: p.population.n for p in self.net.probes if p.variable == SPIKES}
        reports = [
            (p.population.name, p.variable, p.unit, p.ids, p.every if p.every is not None else self.dt)
            for p in self.net.probes
            if p.variable != SPIKES
        ]
        weights = {p.name: len(self.connections(p)[2]) for p in self.net.weight_probes}
        if to is None:
            return MemoryRecorder(spikes, reports, self.t, self.dt, self.provenance(), weights)
        from snn.io.sonata import SonataWriter

        return SonataWriter(
            Path(to),
            spikes,
            reports,
            self.t,
            self.dt,
            self.provenance(),
            weights,
            overwrite=overwrite,
            compress=compress,
        )

    def _advance(self, stop: int, recorder: Recorder, progress: bool, interrupted: list[int]) -> None:
        begin = self._step
        bar = _bar((stop - begin) * self.dt) if progress else None
        chunk = max(self.compiled.tables.window, 100)
        clock = flushed = time.perf_counter()
        first = clock
        while self._step < stop:
            start = self._step
            self._step = self._take(recorder, start, min(stop, start + chunk))
            now = time.perf_counter()
            chunk = _next_chunk(self._step - start, now - clock, chunk)
            clock = now
            if now - flushed > FLUSH_SECONDS or interrupted:
                recorder.flush(self.t)
                flushed = now
            if bar is not None:
                model = (self._step - begin) * self.dt
                bar.n = model
                bar.set_postfix_str(f"real-time factor {(now - first) / model * 1e3:.3g}", refresh=False)
                bar.refresh()
            if interrupted:
                break
        if bar is not None:
            bar.close()

    def _take(self, recorder: Recorder, start: int, stop: int) -> int:
        """Advance one chunk and hand on what it recorded; returns the step reached."""
        reached, spikes, samples = self._engine.advance(start, stop)
        self._check_finite(reached)
        for probe in (p for p in self.net.probes if p.variable == SPIKES):
            name = probe.population.name
            recorder.spikes(name, *spikes[self._index[name]])
        traces = [p for p in self.net.probes if p.variable != SPIKES]
        for probe, values, every in zip(traces, samples, self.compiled.probes.every.tolist(), strict=True):
            at = np.arange(start // every + 1, reached // every + 1) * every
            recorder.states(probe.population.name, probe.variable, at * self.dt, values)
        return int(reached)

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

    def _view(self, population: Population | str, variable: str) -> np.ndarray:
        name = population if isinstance(population, str) else population.name
        if name not in self._index:
            raise ModelError(f"Simulation: no population {name!r}; there are {', '.join(self._index)}.")
        k, p = self._index[name], self.net.populations[name]
        for dtype, array, at in (
            ("float", self.compiled.state.f, self.compiled.tables.state_f),
            ("int", self.compiled.state.i, self.compiled.tables.state_i),
        ):
            names = [s.name for s in p.spec.state if s.dtype == dtype] if p.spec else []
            if variable in names:
                first = int(at[k]) + names.index(variable) * int(self.compiled.tables.pad[k])
                return array[first : first + p.n]
        raise ModelError(f"Population {name!r}: no state variable {variable!r}.")


@contextmanager
def _deferred_interrupt() -> Iterator[list[int]]:
    """Ctrl-C ends a run between chunks, so that nothing recorded is lost and the run can be continued.

    Gives a list that is not empty once the signal came; KeyboardInterrupt follows at the end. In other threads than the
    main one, signals are left alone.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


def _choose_threads(net: Network) -> int:
    neurons = sum(p.n for p in net.populations.values() if p.spec)
    synapses = sum(p.rule.expected(p.source.n, p.target.n) for p in net.projections.values())
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if neurons >= 2000 or synapses >= 1_000_000 else 1


def _next_chunk(steps: int, seconds: float, chunk: int) -> int:
    """Steps for about a quarter of a second, at most doubling each time."""
    wanted = int(steps * 0.25 / max(seconds, 1e-6))
    return max(1, min(wanted, 4 * chunk))


def _to_stderr(text: str) -> None:
    print(f"snn: {text}", file=sys.stderr, flush=True)


def _bar(total: float) -> Any:
    from tqdm import tqdm

    form = "{l_bar}{bar}| {n:.0f}/{total:.0f} ms [{elapsed}<{remaining}, {postfix}]"
    return tqdm(total=total, bar_format=form, file=sys.stderr)


@cache
def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        import snn

        return snn.__version__ if package == "volley-snn" else "unknown"


def describe(net: Network) -> dict[str, Any]:
    """The network as plain text by part, for provenance."""
    return {
        "populations": {p.name: {"n": p.n, "model": repr(p.model), "init": {k: repr(v) for k, v in p.init.items()}}
                        for p in net.populations.values()},
        "inputs": {i.name: {"target": i.target.name, "source": repr(i.source), "weight": repr(i.weight)}
                   for i in net.inputs.values()},
        "projections": {
            p.name: {"source": p.source.name, "target": p.target.name, "rule": repr(p.rule), "weight": repr(p.weight),
                     "delay": repr(p.delay), "plasticity": repr(p.plasticity)}
            for p in net.projections.values()
        },
    }  # fmt: skip
