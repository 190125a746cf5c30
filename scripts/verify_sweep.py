"""The check of verify.py on sweeps: killed and restarted, in processes, Dask and MPI, nothing lost, none twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from verify_common import ROOT, Line, Options, axes, save

from snn.io.sonata import read_spikes
from snn.sweeps import Summary, read_summary

FILE = ROOT / "scripts" / "examples" / "brunel_sweep.toml"
POINTS = 200


def start(out: Path, *more: str, launcher: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """``snn sweep`` of the example into a folder, in a process group of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    python = [*launcher, sys.executable, *(["-m", "mpi4py.futures"] if launcher else [])]
    command = [*python, "-m", "snn", "sweep", str(FILE), "--out", str(out), "--quiet", "--workers", "2", *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
                            start_new_session=True)  # fmt: skip


def finish(run: subprocess.Popen[str]) -> None:
    """Wait for the end; AssertionError with what it said where it failed."""
    out, err = run.communicate(timeout=3600)
    if run.returncode != 0:
        raise AssertionError(f"exit code {run.returncode}: {out[-300:]} {err[-600:]}")


def logs(out: Path) -> dict[str, list[str]]:
    """What happened to each point: "start" and "done", in order."""
    found = {p.parent.name: p.read_text(encoding="utf-8") for p in out.glob("points/*/log")}
    return {name: [line.split()[3] for line in text.splitlines()] for name, text in found.items()}


def kill_after(run: subprocess.Popen[str], out: Path, done: int) -> tuple[int, int]:
    """SIGKILL to the group once ``done`` points are; (points done, points that it cut off)."""
    before = sum(log.count("start") - log.count("done") for log in logs(out).values())
    while len(list(out.glob("points/*/result.json"))) < done:
        if run.poll() is not None:
            raise AssertionError(f"ended before it was killed: {run.communicate()}")
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGKILL)
    run.communicate()
    cut = sum(log.count("start") - log.count("done") for log in logs(out).values()) - before
    return len(list(out.glob("points/*/result.json"))), cut


def compare(out: Path, straight: Path) -> str:
    """Empty where tables and all spikes are equal, else what differs."""
    a, b = read_summary(out), read_summary(straight)
    if list(a.columns) != list(b.columns) or not all(
        np.array_equal(a[c], b[c], equal_nan=a[c].dtype.kind == "f") for c in a.columns
    ):
        return "tables differ"
    for name in b["point"]:
        one, other = (read_spikes(folder / "points" / name / "record.h5") for folder in (out, straight))
        for key, record in other.items():
            if not np.array_equal(one[key].times, record.times) or not np.array_equal(one[key].ids, record.ids):
                return f"spikes of {name} differ"
    return ""


def line(what: str, text: str, out: Path, straight: Path) -> Line:
    """The line for one way of running it."""
    ended = logs(out)
    once = sum(log.count("done") == 1 for log in ended.values())
    left = len(list(out.rglob("*.part")))
    differs = compare(out, straight)
    said = f"{text}{once} of {POINTS} points ended once; {differs or 'table and all spikes equal'}; {left} .part files"
    bound = "every point once to its end, equal bit for bit, nothing left over"
    return Line(what, "a straight run on two processes", said, bound,
                once == len(ended) == POINTS and not differs and left == 0)  # fmt: skip


def plane(options: Options, summary: Summary) -> None:
    """Rate and CV over the plane."""
    g, rate = summary["projections.1.weight"] / -0.5, summary["inputs.noise_exc.rate"]
    figure, panels = axes(1, 2, 3.2, 2.8)
    for ax, column in zip(panels[0], ("rate.exc", "cv.exc"), strict=True):
        grid = np.array([[np.nanmean(summary[column][(g == x) & (rate == y)]) for x in np.unique(g)]
                         for y in np.unique(rate)])  # fmt: skip
        mesh = ax.pcolormesh(np.unique(g), np.unique(rate), grid)
        ax.set(xlabel="g", ylabel="input (Hz)", title=column)
        figure.colorbar(mesh, ax=ax)
    save(figure, options, "sweep")


def sweep(options: Options) -> list[Line]:
    """200 points on two processes killed twice and restarted, and the same through Dask and MPI: all equal."""
    lines = []
    rng = np.random.default_rng()
    with tempfile.TemporaryDirectory(dir=options.out) as folder:
        straight, killed = Path(folder) / "straight", Path(folder) / "killed"
        begin = time.perf_counter()
        finish(start(straight))
        seconds = time.perf_counter() - begin
        failed = POINTS - read_summary(straight).count("done")
        plane(options, read_summary(straight))
        cuts = [kill_after(start(killed), killed, int(n)) for n in np.sort(rng.integers(20, 160, 2))]
        finish(start(killed))
        told = "; ".join(f"killed with {done} done, {cut} in the middle" for done, cut in cuts)
        lines.append(line("sweep, kill -9 of its processes, twice", f"{told}; ", killed, straight))
        two = Path(folder) / "two"
        both = [start(two), start(two)]
        for run in both:
            finish(run)
        lines.append(line("two sweeps on one folder at a time", "", two, straight))
        shutil.rmtree(two)
        begin = time.perf_counter()
        finish(start(straight))
        again = time.perf_counter() - begin
        lines.append(
            Line("sweep of 200 runs of 300 ms, 1,000 neurons", "two processes",
                 f"{seconds:.0f} s, {1e3 * seconds / POINTS:.0f} ms a point with its files; {failed} failed; "
                 f"{again:.1f} s where all is done", "none failed", failed == 0)
        )  # fmt: skip
        lines += [_dask(Path(folder), straight), _mpi(Path(folder), straight)]
    return lines


def _dask(folder: Path, straight: Path) -> Line:
    try:
        import distributed
    except ImportError:
        return Line("sweep through Dask", "-", "distributed is not installed", "runs to its end", False)
    out = folder / "dask"
    finish(start(out, "--on", "dask"))
    return line(f"sweep through Dask's LocalCluster ({distributed.__version__})", "", out, straight)


def _mpi(folder: Path, straight: Path) -> Line:
    mpiexec = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    try:
        import mpi4py
    except ImportError:
        mpiexec = None
    if mpiexec is None:
        return Line("sweep through mpi4py.futures", "-", "mpi4py or mpiexec is not installed", "runs to its end", False)
    out = folder / "mpi"
    run = start(out, "--on", "mpi", launcher=(mpiexec, "-n", "3", "--oversubscribe"))
    cut = kill_after(run, out, 60)
    finish(start(out, "--on", "mpi", launcher=(mpiexec, "-n", "3", "--oversubscribe")))
    text = f"killed with {cut[0]} done, {cut[1]} in the middle; "
    return line(f"sweep through mpi4py.futures ({mpi4py.__version__}), killed once", text, out, straight)
