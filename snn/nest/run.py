"""Running a network in NEST: the worker in a process of its own, its results as records."""

from __future__ import annotations

import json
import math
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.errors import BackendUnavailable, ConfigError, ModelError
from snn.elements import SPIKES
from snn.fingerprint import describe
from snn.nest.graph import Graph, to_graph
from snn.network import Network
from snn.recorders import MemoryRecorder, Recorder
from snn.records import Result
from snn.simulation import choose_threads

if TYPE_CHECKING:
    from snn.tables import SimulationTable

WORKER = Path(__file__).with_name("worker.py")
VARIABLE = "VOLLEY_NEST_PYTHON"


def run_nest(
    net: Network, duration: float, dt: float = 0.1, threads: int | None = None,
    to: str | os.PathLike[str] | None = None, overwrite: bool = False, compress: bool = False,
) -> Result:  # fmt: skip
    """Run a network in NEST, with the same edges, weights, delays, parameters and initial values as here.

    Parameters
    ----------
    net : of models in ``snn.nest.models.MODELS``, static projections, inputs Poisson, SpikeArray and StepCurrent
    duration, dt : [ms]
    threads : of each process; default as for :class:`snn.Simulation`
    to, overwrite, compress : as for :meth:`snn.Simulation.run`; written when NEST has ended

    Raises
    ------
    ExportError
        Lists everything that NEST has no counterpart of.
    BackendUnavailable
        No NEST where ``$VOLLEY_NEST_PYTHON`` says (a command that is a Python with NEST, such as
        "mpiexec -n 4 python3"; default this interpreter), or it failed.

    Notes
    -----
    Poisson trains are NEST's own: equal in law, not in time. With given spikes and currents the linear models and
    Izhikevich's fire at the same steps as here; the others differ by NEST's adaptive solver.
    """
    for name, value in (("duration", duration), ("dt", dt)):
        if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 <= value < math.inf:
            raise ModelError(f"run_nest.{name}: must be a number >= 0 ms; got {value!r}.")
    threads = choose_threads(net) if threads is None else threads
    steps = round(float(duration) / dt)
    graph = to_graph(net, round(steps * dt, 9), float(dt), threads)
    recorder = _recorder(net, dt, to, overwrite, compress, threads)
    try:
        with tempfile.TemporaryDirectory(prefix="volley-nest-") as name:
            found = _work(graph, Path(name))
            _record(net, graph, Path(name), found["processes"], steps, dt, recorder)
        return recorder.close(round(steps * dt, 9))
    except BaseException:
        recorder.abort()
        raise


def far_run(on: str, net: Network, table: SimulationTable) -> Callable[..., Result]:
    """What runs ``net`` as :meth:`snn.Simulation.run` would, but ``on`` NEST."""
    if on != "nest":
        raise ConfigError(f'--on: must be nest; got "{on}".')
    for name, wanted in (("engine", "clock"), ("precision", "float64")):
        if getattr(table, name) != wanted:
            raise ConfigError(f'simulation.{name}: must be "{wanted}" with --on nest; got "{getattr(table, name)}".')

    def run(duration: float, *, progress: bool, **options: Any) -> Result:
        return run_nest(net, duration, table.dt, table.threads, **options)

    return run


def _command() -> list[str]:
    return shlex.split(os.environ.get(VARIABLE, "")) or [sys.executable]


def _work(graph: Graph, folder: Path) -> dict[str, Any]:
    """Run the worker; what it printed last."""
    (folder / "network.json").write_text(json.dumps(graph.text), encoding="utf-8")
    np.savez(folder / "arrays.npz", **graph.arrays)  # type: ignore[arg-type]
    command = [*_command(), str(WORKER), str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError as error:
        raise BackendUnavailable(f"NEST: {command[0]}: {error.strerror}. Name another command in {VARIABLE}.") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        texts = [line for line in (*lines, *done.stderr.splitlines()) if any(map(str.isalnum, line))]
        said = texts or ["nothing was said"]
        raise BackendUnavailable(
            f"NEST: {shlex.join(_command())} ended with exit code {done.returncode}: {said[-1]}. Install "
            f"nest-simulator 3 there, or name a command that is a Python with NEST in {VARIABLE}."
        )
    found: dict[str, Any] = json.loads(lines[-1])
    return found


def _recorder(net: Network, dt: float, to: Any, overwrite: bool, compress: bool, threads: int) -> Recorder:
    fired = [p for p in net.probes if p.variable == SPIKES]
    spikes = {p.population.name: p.population.n for p in fired}
    kept = {p.population.name: p.ids for p in fired if not p.whole}
    reports = [
        (p.population.name, p.variable, p.unit, p.ids, p.every if p.every is not None else dt)
        for p in net.probes if p.variable != SPIKES
    ]  # fmt: skip
    import snn

    about = {"software": "volley-snn", "version": snn.__version__, "python": platform.python_version(),
             "seed": net.seed, "dt": dt, "engine": "clock", "backend": "nest", "command": _command(),
             "threads": threads, "precision": "float64", "network": describe(net), "configuration": net.configuration,
             "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}  # fmt: skip
    if to is None:
        return MemoryRecorder(spikes, reports, 0.0, dt, about, recorded=kept)
    from snn.io.sonata import SonataWriter

    return SonataWriter(
        Path(to), spikes, reports, 0.0, dt, about, overwrite=overwrite, compress=compress, recorded=kept
    )


def _record(
    net: Network, graph: Graph, folder: Path, processes: int, steps: int, dt: float, recorder: Recorder
) -> None:
    """Hand what every process recorded to the recorder, in order, on the grid."""
    parts = []
    for rank in range(processes):
        path = folder / f"result.{rank}.npz"
        if not path.exists():
            raise BackendUnavailable(
                f"NEST: process {rank} of {processes} left no result. Do all see the folder {folder}?"
            )
        with np.load(path, allow_pickle=False) as file:
            parts.append(dict(file))
    recorded = {p.population.name for p in net.probes if p.variable == SPIKES}
    for name, (times, ids) in graph.given.items():
        if name in recorded:
            _spikes(recorder, name, np.rint(times / dt).astype(np.int64), ids, steps, dt)
    for number, entry in enumerate(graph.text["recorders"]):
        at, ids = (np.concatenate([part[f"{number}:{k}"] for part in parts]) for k in ("times", "ids"))
        if not entry["variables"]:
            _spikes(recorder, entry["population"], np.rint(at / dt).astype(np.int64), ids, steps, dt)
            continue
        values = np.concatenate([part[f"{number}:{entry['variables'][0]}"] for part in parts])
        chosen, every = graph.arrays[entry["ids"]], entry["interval"]
        row = np.rint(at / every).astype(np.int64) - 1
        count = int(np.floor(steps * dt / every * (1 + 1e-12)))
        inside = row < count
        table = np.empty((count, len(chosen)))
        if np.sum(inside) != table.size:
            raise BackendUnavailable(
                f"NEST: {np.sum(inside)} samples of {entry['variable']} of {entry['population']!r} came; {table.size} "
                "were due."
            )
        table[row[inside], np.searchsorted(chosen, ids[inside])] = values[inside]
        recorder.states(entry["population"], entry["variable"], every * np.arange(1, count + 1), table)


def _spikes(recorder: Recorder, name: str, at: np.ndarray, ids: np.ndarray, steps: int, dt: float) -> None:
    """Spikes of a population at multiples of dt, up to the end of the run."""
    order = np.lexsort((ids, at))
    order = order[at[order] <= steps]
    recorder.spikes(name, at[order] * dt, ids[order])
