"""Running a sweep: its points are handed to an executor until every one is done, failed or somebody else's."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kernels.errors import BackendUnavailable, ConfigError, SimError
from snn.config import read_toml
from snn.io.sonata_file import writing
from snn.sweeps.content import require_sent
from snn.sweeps.design import Axis, Point, axes, combinations, points
from snn.sweeps.executors import executor, lost, share
from snn.sweeps.points import DONE, FAILED, RECORD, WAITING, claim, died, run_point, state, write
from snn.sweeps.runners import Called, Configured, Measure
from snn.sweeps.summary import Summary, summarise

LOOK = 1.0  # s between looks at how far the points are
LOOKED_AT = 64  # points at most


def sweep(
    what: str | os.PathLike[str] | Callable[..., Any],
    parameters: Mapping[Any, Any],
    out: str | os.PathLike[str],
    *,
    method: str = "grid",
    n: int | None = None,
    repetitions: int = 1,
    seed: int | None = None,
    measures: Sequence[Measure] | None = None,
    on: str = "processes",
    workers: int | None = None,
    address: str | None = None,
    threads: int | None = None,
    retry: bool = False,
    allow_code: bool = False,
    progress: bool = False,
) -> Summary:
    """Run an experiment, or a function, at many points; what is done already is not done again.

    Parameters
    ----------
    what : a TOML file, or a function (defined in a module) that gives a number or a dict of numbers. It is called with
        the parameters by name and, where it has arguments of these names, ``seed``, ``folder`` (of the point) and
        ``threads``
    parameters : key path of the file, such as "projections.0.weight", or argument of the function, to its values: a
        list, or a :class:`snn.sweeps.Range`. A tuple of key paths gets each value together
    out : folder of the sweep; ``points/<name>/`` holds configuration, record and result of a point, ``summary.h5`` the
        table
    method : "grid" (all combinations), "zip" (first with first, ..), "random" or "lhs" (Latin hypercube), both of ``n``
        combinations
    repetitions : runs of each combination, each with a seed of its own
    seed : of the sweep; default that of the file, or 0. A point's seed depends on it, the values and the repetition
    measures : for files: names in ``snn.sweeps.MEASURES``, or functions (defined in a module) of a :class:`snn.Result`
        that give a number or a dict of numbers; default "rate" and "cv"
    on : "processes"; "dask": a LocalCluster, or the scheduler at ``address``; "mpi": mpi4py.futures, started as
        ``mpiexec -n N python -m mpi4py.futures script.py``
    workers : processes; default as many as there are cores
    threads : of a point, at most; default the cores at hand shared among the workers, one with an address and on "mpi"
    retry : run failed points again
    allow_code : run the Python files that the file names under ``models``
    progress : show on stderr how many points are done

    Raises
    ------
    ConfigError
        A parameter, one of its values, an option, or the file with the values of a point is wrong.
    BackendUnavailable
        The extra of the executor is missing, or there is no scheduler at the address.

    Notes
    -----
    Points are known by what their values hold: numbers, texts, arrays, lists and dicts of these, dataclasses, models,
    rules, sources and distributions of the package, functions of a module. Other objects are refused.

    A point that raises, SystemExit too, is failed: its error is in the table and in ``failed.json``; the others go on.
    KeyboardInterrupt ends the sweep, wherever it is raised, and the point is run again by the next call. Any number of
    sweeps may work on one folder at a time; each point is run by one of them (a lock, which ends with its process).
    Those that others were still running at the end are "waiting" in the table; whoever ends last writes it whole.
    Several processes start: guard the script by ``if __name__ == "__main__":``.
    """
    plan = Plan.make(what, parameters, out, method, n, repetitions, seed, measures, allow_code)
    plan.check()
    return plan.run(on, workers, address, threads, retry, progress)


@dataclass(frozen=True)
class Plan:
    """A sweep, checked, and not yet run. Made by :meth:`make`."""

    runner: Configured | Called
    axes: list[Axis]
    points: list[Point]
    root: Path
    about: dict[str, Any]  # goes to sweep.json

    @classmethod
    def make(
        cls, what: Any, parameters: Mapping[Any, Any], out: str | os.PathLike[str], method: str, n: int | None,
        repetitions: int, seed: int | None, measures: Sequence[Measure] | None, allow_code: bool,
    ) -> Plan:  # fmt: skip
        """As for :func:`sweep`."""
        on = axes(parameters)
        runner: Configured | Called
        if callable(what):
            if measures is not None:
                raise ConfigError("sweep.measures: are of records; what a function measures is what it gives.")
            runner, name = Called(what, tuple(on)), f"{what.__module__}.{getattr(what, '__qualname__', what)}"
        else:
            path = Path(what)
            measures = ("rate", "cv") if measures is None else measures
            runner, name = Configured.read(path, on, measures, allow_code), str(path.absolute())
            if seed is None:
                seed = read_toml(path).get("seed", 0)
        seed = 0 if seed is None else seed
        rows = combinations(on, method, n, seed)
        found, given = points(rows, repetitions, seed, runner.identity), len(rows) * repetitions
        for axis in on:
            require_sent(f"parameter {axis.name}: values", axis.values)
        if len(found) < given:
            where, alike = "parameters" if n is None else "n", f"{given - len(found)} of {given} points"
            warnings.warn(
                f"sweep.{where}: {alike} are equal to others, and left out. Give fewer, or repetitions.", stacklevel=3
            )
        root = Path(out)
        if root.exists() and not root.is_dir():
            raise ConfigError(f"sweep.out: must be a folder; {root} is a file. Choose another name.")
        about = {"what": name, "method": method, "n": n, "repetitions": repetitions, "seed": seed,
                 "parameters": {axis.name: repr(axis.values) for axis in on}, "measures": runner.kinds}  # fmt: skip
        return cls(runner, on, found, root, about)

    def check(self) -> None:
        """Read the file with the values of every point that was not begun, once for all repetitions: what is wrong is
        said before anything runs.
        """
        if not isinstance(self.runner, Configured):
            return
        self.runner.experiment(self.points[0])  # of the file itself, also where all points were begun
        wrong: list[tuple[Point, str]] = []
        asked = [p for p in self.points if p.repetition == 0 and not (self.root / "points" / p.name).exists()]
        for point in asked:
            try:
                self.runner.experiment(point)
            except ConfigError as error:
                wrong.append((point, str(error)))
        if wrong:
            point, text = wrong[0]
            where = ", ".join(f"{key} = {value!r}" for key, value in point.values.items())
            raise ConfigError(f"sweep: at {len(wrong)} of {len(asked)} combinations of values, first {where}: {text}")

    def states(self) -> dict[str, int]:
        """How many points are "done", "failed", "waiting" and, of these, "running"."""
        counts = dict.fromkeys((DONE, FAILED, WAITING, "running"), 0)
        for point in self.points:
            folder = self.root / "points" / point.name
            found = state(folder, self.runner.kinds)
            counts[found] += 1
            if found == WAITING and folder.exists():
                with claim(folder) as note:
                    counts["running"] += note is None
        return counts

    def run(
        self, on: str, workers: int | None, address: str | None, threads: int | None, retry: bool, progress: bool
    ) -> Summary:
        """As for :func:`sweep`."""
        workers, threads = share(on, workers, address, threads)
        with writing(self.root):
            (self.root / "points").mkdir(parents=True, exist_ok=True)
        write(self.root / "sweep.json", json.dumps(self.about, indent=1, default=str))
        kinds = self.runner.kinds
        states = {point.name: state(self.root / "points" / point.name, kinds) for point in self.points}
        left = [p for p in self.points if states[p.name] == WAITING or (retry and states[p.name] == FAILED)]
        bar = _Bar(self, len(self.points) - len(left)) if progress else None
        while left:
            if bar is not None:
                bar.before = len(self.points) - len(left)
            with executor(on, min(workers, len(left)) if on == "processes" else workers, address, threads) as pool:
                futures: dict[Future[str], Point] = {}
                with suppress(BrokenProcessPool):  # also what was handed over says so
                    for point in left:
                        task = (self.runner, point, self.root.absolute(), threads, kinds, retry)
                        futures[pool.submit(run_point, *task)] = point
                left = [p for p in left if p not in futures.values()] + self.collect(futures, bar)
            left = self.settle(left, threads, retry) if left else []
        if bar is not None:
            bar.close()
        return summarise(self.root, self.points, kinds)

    def collect(self, futures: dict[Future[str], Point], bar: _Bar | None) -> list[Point]:
        """Wait for all; the points whose pool broke. What is no point's fault is raised here."""
        waiting, broken = set(futures), []
        while waiting:
            ended, waiting = wait(waiting, LOOK if bar else None, FIRST_COMPLETED)
            for future in ended:
                error = future.exception()
                if isinstance(error, BrokenProcessPool) or (error is not None and lost(error)):
                    broken.append(futures[future])
                elif error is not None:
                    raise error
            if bar is not None:
                bar.show(len(futures) - len(waiting), (futures[f] for f in futures if f in waiting))
        return broken

    def settle(self, left: list[Point], threads: int, retry: bool) -> list[Point]:
        """Points that a broken pool left, or that Dask gave up. Those that were begun are run again here, each alone:
        whichever process dies again has failed. Gives those that were never begun.
        """
        begun = [p for p in left if (self.root / "points" / p.name).exists()]
        if not begun:
            raise BackendUnavailable(
                "sweep: the processes ended before they ran anything; see what they said. A script that sweeps needs "
                'if __name__ == "__main__": around it, and functions in a module that can be imported.'
            )
        for point in begun:
            try:
                with executor("processes", 1, None, threads) as pool:
                    pool.submit(
                        run_point, self.runner, point, self.root.absolute(), threads, self.runner.kinds, retry
                    ).result()
            except BrokenProcessPool:
                died(point, self.root)
        return [p for p in left if p not in begun]


class _Bar:
    """Points done, with the parts of those that run, as far as their records say."""

    def __init__(self, plan: Plan, done: int) -> None:
        from tqdm import tqdm

        self.plan, self.before = plan, done
        form = "{l_bar}{bar}| {n:.1f}/{total:.0f} points [{elapsed}<{remaining}]"
        self.bar = tqdm(total=len(plan.points), initial=done, bar_format=form, file=sys.stderr)

    def show(self, ended: int, running: Iterator[Point]) -> None:
        """Count the points that ``ended``, and look at what is running."""
        parts = [self.part(point) for point, _ in zip(running, range(LOOKED_AT), strict=False)]
        self.bar.n = min(self.before + ended + sum(parts), len(self.plan.points))
        self.bar.refresh()

    def part(self, point: Point) -> float:
        """Of a running point, from the last flush of its record."""
        from snn.io.sonata import describe

        file = self.plan.root / "points" / point.name / f"{RECORD}.part"
        if file.exists():
            with suppress(SimError, KeyError, TypeError, ZeroDivisionError):
                found = describe(file)
                duration = found["provenance"]["configuration"]["simulation"]["duration"]
                return min(float(found["t_stop"] / duration), 1.0)
        return 0.0

    def close(self) -> None:
        """End the line."""
        self.bar.n = len(self.plan.points)
        self.bar.close()
