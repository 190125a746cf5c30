"""Integer networks as bundles that run in Lava 0.10.0: written here, run there by an interpreter of their own.

Lava is published for Python 3.10 alone, forces the start method of multiprocessing and hangs when a script ends too
early. So this package never imports it: :func:`export_lava` writes a folder with a self-contained ``run_lava.py``, and
:func:`run_lava` runs that in a subprocess and compares.
"""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kernels.errors import BackendUnavailable, ExportError, FormatError
from neuromorphic.fixed_point import NEURON_ARRAYS, IntegerNetwork, IntegerResult
from neuromorphic.readout import Classified

FORMAT = 3
EDGE_ARRAYS = ("sources", "targets", "weights", "delays")


@dataclass
class LavaRun:
    """What Lava did, beside what was expected.

    Attributes
    ----------
    spikes, u, v : by population, what Lava computed, shape (steps, n); a spike is its value
    differ : by population, how many entries of spikes, u and v are not the expected ones
    learned : by learning projection, w, d and t of its synapses at the end, shape (3, synapses)
    learned_differ : how many of them are not the expected ones
    seconds : Lava's wall time with its start and stop, s
    decisions : of a classifier, (step, label) of each sample, shape (N, 2); where not all samples were decided, fewer
    decisions_differ : how many of them are not the expected ones
    """

    spikes: dict[str, np.ndarray]
    u: dict[str, np.ndarray]
    v: dict[str, np.ndarray]
    differ: dict[str, dict[str, int]]
    seconds: float
    decisions: np.ndarray | None = None
    decisions_differ: int = 0
    learned: dict[str, np.ndarray] = field(default_factory=dict)
    learned_differ: dict[str, int] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        """Whether every spike, u and v of every step, every weight learned and every decision is the expected one."""
        wrong = [sum(counts.values()) for counts in self.differ.values()]
        return not self.decisions_differ and not any([*wrong, *self.learned_differ.values()])


def export_lava(net: IntegerNetwork, folder: str | os.PathLike[str], steps: int) -> Path:
    """Write ``net`` with the spikes, u, v and weights expected of ``steps`` steps into a new folder; return its path.

    The folder holds network.json, arrays.npz (integers only), expected.npz and run_lava.py, which needs nothing but
    lava-nc 0.10.0. Spikes are numbered as in :mod:`neuromorphic.fixed_point`: from step 1.

    Raises
    ------
    ExportError
        Where u would wrap within these steps (Lava and the chip then differ), the folder holds something already, or
        cannot be written.
    """
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ExportError(f"export_lava.steps: must be an integer >= 1; got {steps!r}.")
    arrays: dict[str, Any] = {}
    for k, source in enumerate(net.sources.values()):
        arrays |= {f"source{k}/{a}": getattr(source, a) for a in ("steps", "ids", "values")}
    return _write("export_lava", net, Path(folder), int(steps), net.run(steps, net.populations), arrays, {}, {})


def export_classifier(run: Classified, folder: str | os.PathLike[str]) -> Path:
    """Write a classifier with its samples and readout into a new folder, as :func:`export_lava` does; return its path.

    Lava then stops every sample by itself; expected are the spikes, u and v of every step, and every decision.

    Parameters
    ----------
    run : from :func:`neuromorphic.classify`
    """
    arrays: dict[str, Any] = {
        "samples/first": np.cumsum([0, *(len(steps) for steps, _ in run.sources)]),
        "samples/steps": np.concatenate([steps for steps, _ in run.sources]),
        "samples/ids": np.concatenate([ids for _, ids in run.sources]),
    }
    r = run.readout
    about = {"population": r.population, "steps": r.steps, "bar": r.bar, "t_min": r.t_min, "every": r.every}
    expected = {"decisions": np.stack((run.steps, run.labels), axis=1)}
    return _write(
        "export_classifier", run.network, Path(folder), run.total, run.result, arrays, {"readout": about}, expected
    )


def _write(
    owner: str, net: IntegerNetwork, path: Path, steps: int, result: IntegerResult, arrays: dict[str, Any],
    more: dict[str, Any], expected: dict[str, Any],
) -> Path:  # fmt: skip
    wrapped = [f"{name} (neuron {np.argmax(w)}: {w.max()} times)" for name, w in result.wraps.items() if w.any()]
    if wrapped:
        raise ExportError(f"{owner}: u leaves 24 bits in {', '.join(wrapped)}. Scale the weights down, or raise du.")
    for k, population in enumerate(net.populations.values()):
        arrays |= {f"population{k}/{a}": getattr(population, a).astype(np.int32) for a in NEURON_ARRAYS}
    for k, p in enumerate(net.projections.values()):
        arrays |= {f"projection{k}/{a}": getattr(p, a).astype(np.int32) for a in EDGE_ARRAYS}
    for k, (name, population) in enumerate(net.populations.items()):
        spikes = np.zeros((steps, population.n), np.int32)
        spikes[result.steps[name] - 1, result.ids[name]] = result.values[name]
        expected |= {f"s{k}": spikes, f"u{k}": result.u[name], f"v{k}": result.v[name]}
    expected |= {
        f"learned{k}": result.learned[name] for k, name in enumerate(net.projections) if name in result.learned
    }
    everyone: dict[str, Any] = {**net.populations, **net.sources}
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise ExportError(f"{owner}.folder: must be new or empty; {path} is not. Name another.")
        np.savez_compressed(path / "arrays.npz", **arrays)
        np.savez_compressed(path / "expected.npz", **expected)
        shutil.copyfile(Path(__file__).with_name("lava_worker.py"), path / "run_lava.py")
        graph = {
            "format": FORMAT,
            "steps": steps,
            **more,
            "sources": {name: s.n for name, s in net.sources.items()},
            "populations": {name: p.n for name, p in net.populations.items()},
            "projections": {
                name: {
                    "sources": p.parts,
                    "graded": any(everyone[part].graded for part in p.parts),
                    **{k: getattr(p, k) for k in ("target", "exponent", "bits", "sign_mode", "third")},
                    "learning": None if p.learning is None else asdict(p.learning),
                }
                for name, p in net.projections.items()
            },
            "sha256": {f: _digest(path / f) for f in ("arrays.npz", "expected.npz", "run_lava.py")},
        }
        (path / "network.json").write_text(json.dumps(graph, indent=1), encoding="utf-8")
    except OSError as error:
        raise ExportError(f"{owner}.folder: {path} cannot be written ({error}).") from error
    return path


def run_lava(
    folder: str | os.PathLike[str], python: str | None = None, dense: bool = False, timeout: float = 600.0
) -> LavaRun:
    """Run a bundle in Lava and compare every spike, u and v, and weights learned, with what was expected.

    Parameters
    ----------
    folder : written by :func:`export_lava`
    python : interpreter with lava-nc 0.10.0; None: $VOLLEY_LAVA_PYTHON; if unset, what scripts/lava_env.sh made, or
        this one
    dense : store connections as matrices (Lava's Dense) in place of Sparse
    timeout : s; then Lava and every process that it started is killed

    Raises
    ------
    BackendUnavailable
        No interpreter with Lava, or Lava failed or took too long.
    FormatError
        The bundle is not whole.
    """
    path = Path(folder).resolve()
    graph, expected = _read(path)
    (path / "result.npz").unlink(missing_ok=True)
    command = [lava_python(python), str(path / "run_lava.py"), *(["--dense"] if dense else [])]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=path
    ) as worker:
        try:
            out, err = worker.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise BackendUnavailable(
                f"run_lava: Lava was still running after timeout={timeout:g} s and was killed. Give a longer timeout."
            ) from None
        finally:  # Lava forks; what it leaves behind would wait for ever
            with suppress(ProcessLookupError):
                os.killpg(worker.pid, signal.SIGKILL)
    if worker.returncode != 0 or not (path / "result.npz").exists():
        raise BackendUnavailable(f"run_lava: {command[0]} ended with code {worker.returncode}:\n{err[-2000:]}")
    with np.load(path / "result.npz", allow_pickle=False) as file:
        found = dict(file)
    names = {name: k for k, name in enumerate(graph["populations"])}
    learning = {name: f"learned{k}" for k, (name, p) in enumerate(graph["projections"].items()) if p["learning"]}
    decisions, wanted = found.get("decisions"), expected.get("decisions")
    wrong = 0
    if decisions is not None and wanted is not None:
        both = min(len(decisions), len(wanted))
        wrong = int(np.any(decisions[:both] != wanted[:both], axis=1).sum()) + abs(len(decisions) - len(wanted))
    return LavaRun(
        spikes={name: found[f"s{k}"] for name, k in names.items()},
        u={name: found[f"u{k}"] for name, k in names.items()},
        v={name: found[f"v{k}"] for name, k in names.items()},
        differ={
            name: {w: int(np.sum(found[f"{w[0]}{k}"] != expected[f"{w[0]}{k}"])) for w in ("spikes", "u", "v")}
            for name, k in names.items()
        },
        seconds=float(json.loads(out.splitlines()[-1])["seconds"]),
        decisions=decisions,
        decisions_differ=wrong,
        learned={name: found[key] for name, key in learning.items()},
        learned_differ={name: int(np.sum(found[key] != expected[key])) for name, key in learning.items()},
    )


def lava_python(python: str | None = None) -> str:
    """Path of an interpreter that has lava-nc 0.10.0; an error lists what was tried."""
    tried = []
    for origin, candidate in _candidates(python):
        ask = "import importlib.metadata as m; print(m.version('lava-nc'))"
        try:
            answer = subprocess.run([candidate, "-c", ask], capture_output=True, text=True, timeout=60)
        except (OSError, subprocess.TimeoutExpired) as error:
            tried.append(f"{origin} {candidate}: {error}")
            continue
        if answer.stdout.strip() == "0.10.0":
            return candidate
        tried.append(f"{origin} {candidate}: has {answer.stdout.strip() or 'no lava-nc'}")
        if origin in ("python=", "VOLLEY_LAVA_PYTHON="):
            break  # asked for by name: nothing else is used in its place
    raise BackendUnavailable(
        "run_lava: no interpreter with lava-nc 0.10.0 found. Tried " + "; ".join(tried) + ". Make one with "
        "scripts/lava_env.sh, or name it with python= or VOLLEY_LAVA_PYTHON."
    )


def _candidates(python: str | None) -> Iterator[tuple[str, str]]:
    if python is not None:
        yield "python=", python
    elif "VOLLEY_LAVA_PYTHON" in os.environ:
        yield "VOLLEY_LAVA_PYTHON=", os.environ["VOLLEY_LAVA_PYTHON"]
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        yield "scripts/lava_env.sh:", str(cache / "volley-lava-0.10.0" / "bin" / "python")
        yield "this interpreter:", sys.executable


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        graph = json.loads((path / "network.json").read_text(encoding="utf-8"))
        if graph["format"] != FORMAT:
            raise FormatError(f"{path}: must be a bundle of format {FORMAT}; got {graph['format']!r}. Export it again.")
        for file, digest in graph["sha256"].items():
            if _digest(path / file) != digest:
                raise FormatError(f"{path / file}: is not as it was written. Export it again.")
        with np.load(path / "expected.npz", allow_pickle=False) as arrays:
            return graph, dict(arrays)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, zipfile.BadZipFile) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: is no bundle of export_lava ({error!r}). Export it again.") from error
