"""Running a network: compile once, advance in chunks, hand what is recorded to a recorder."""

import math
import os
import platform
import signal
import threading
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from kernels.errors import BackendUnavailable, FormatError, ModelError, SimError
from snn import changes
from snn.drive_clock import Clock
from snn.drive_event import Event
from snn.elements import SPIKES, Probe, WeightProbe
from snn.fingerprint import describe, description, differences, digest
from snn.host import STOPPING, cores, deferred_signals, progress_bar, to_stderr, version
from snn.inputs import LATEST
from snn.io.saves import Saves
from snn.memory import check_memory
from snn.network import Network
from snn.options import check_options
from snn.ranks import Ranks
from snn.recorders import MemoryRecorder, Recorder
from snn.records import Result
from snn.steering import Steering, alone
from snn.units import plain

FLUSH_SECONDS = 1.0
CHUNK_SECONDS = 0.25  # of work between looks at the clock
FIXED = "net", "dt", "engine", "backend", "threads", "precision", "deterministic", "network_hash"


class Simulation(Steering):
    """A compiled network, ready to run.

    What it is made with stays; one thread uses it at a time. It cannot be pickled: see :meth:`checkpoint`.

    Parameters
    ----------
    net : Network
    dt : step in ms, at least 1e-9; for engine="event" no more than the default interval at which states are sampled
    engine : "clock" (grid; exact integration of linear models) or "event" (continuous time, exact spike times, for
        models with a closed form)
    backend : "cpu" (Numba), "cuda" (an NVIDIA GPU; `docs/cuda.md` says what runs there) or "reference" (plain Python,
        slow: the oracle)
    threads : number of threads, of each rank; None chooses one for small networks and where there are ranks, else the
        cores at hand. Never changes a spike. With backend="cuda" they build the network
    precision : "float64" or "float32"
    comm : communicator of mpi4py, such as ``MPI.COMM_WORLD``: its processes simulate the network together, each a part
        of every population (engine="clock", backend="cpu"). All of them make the same calls with the same arguments.
        Never changes a spike
    device : number of the GPU, for backend="cuda"
    deterministic : for backend="cuda": sums of weights in fixed point, so that the same network gives the same spikes
        in every run; without it they depend on the order in which threads add. The other backends always repeat

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
        precision: str = "float64", quiet: bool = False, comm: Any = None, device: int = 0,
        deterministic: bool = False,
    ) -> None:  # fmt: skip
        self._lock = threading.RLock()
        dt = plain(dt, "ms", "Simulation.dt")
        check_options(net, dt, engine, backend, threads, precision, device, deterministic)
        self.net, self.dt, self.engine, self.backend, self.precision = net, dt, engine, backend, precision
        self.deterministic = deterministic
        self._ranks = Ranks(comm)
        if self._ranks.size > 1 and (engine, backend) != ("clock", "cpu"):
            raise BackendUnavailable(
                f'Simulation.comm: needs engine="clock" and backend="cpu"; got engine={engine!r}, backend={backend!r}.'
            )
        if threads is None:
            threads = 1 if self._ranks.size > 1 else choose_threads(net)
        self.threads = 1 if backend == "reference" else int(threads)
        self._say = (lambda text: None) if quiet or self._ranks.rank > 0 else to_stderr
        self._versions = {p: version(p) for p in ("numpy", "numba", "scipy", "h5py")}  # here: it takes milliseconds
        check_memory(net, engine, precision, self._ranks.size, on_device=backend == "cuda")
        begin = time.perf_counter()
        self._drive: Any
        with self._ranks.together():
            self._check_ranks(net)
            if engine == "clock":
                self._drive = Clock(net, self.dt, backend, self.threads, precision, self._ranks, device, deterministic)
            else:
                self._drive = Event(net, self.dt, backend, self.threads)
            self.compiled, self.network_hash = self._drive.compiled, self._drive.hash
            self.build_seconds = time.perf_counter() - begin
            self._weight_intervals()  # refuses what does not fit dt
            self._network = describe(net)  # here: it takes milliseconds, and runs may be many and short
            self._described = net.members()
            self._drive.start(self._compiling, self._say)
        self._changes: changes.Changes = {}
        self._log: list[changes.Row] = []
        self._log_resumed = self._log  # as a checkpoint had it
        self._unfinished: Saves | None = None  # the run that a checkpoint was written in
        self._ranks_before = self._ranks.size  # how many wrote it

    def _check_ranks(self, net: Network) -> None:
        """Refuse ranks that describe other networks: each would simulate its part of another."""
        if self._ranks.size == 1:
            return
        options = {"dt": self.dt, "precision": self.precision, "threads": self.threads}
        text = {"version": version("volley-snn"), "seed": net.seed, **options, **describe(net)}
        found = self._ranks.gather((digest(description(net), options, text["version"]), text))
        for rank, (code, text) in enumerate(found):
            if code != found[0][0]:
                parts = differences(found[0][1], text, "", ("on rank 0", f"on rank {rank}"))
                said = "; ".join(x for x in parts if " at 0x" not in x) or "values of arrays, or what is recorded"
                raise ModelError(
                    f"Simulation.net: all ranks must describe the same network; rank {rank} has another than rank 0 "
                    f"({said}). Seed what draws random numbers for it."
                )

    def __setattr__(self, name: str, value: Any) -> None:
        if name in FIXED and name in self.__dict__:
            raise ModelError(
                f"Simulation.{name}: is fixed when the simulation is made; got {value!r}. Make another Simulation."
            )
        super().__setattr__(name, value)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise ModelError(
            "Simulation: cannot be pickled or copied. Use checkpoint(path), and Simulation.resume(path, net) there."
        )

    def _compiling(self, cached: bool, names: list[str]) -> None:
        if not cached:
            models = ", ".join(sorted(set(names))) or "spike sources"
            self._say(f"compiling kernels for {models} ({self.precision}); kept for later runs")

    @property
    def kernel_sources(self) -> list[str]:
        """Paths of the modules that were generated for the network; none for the reference backend."""
        return [str(module.__file__) for module in getattr(self._drive.engine, "modules", ())]

    @alone
    def run(
        self, duration: float, to: str | os.PathLike[str] | None = None, progress: bool = False,
        overwrite: bool = False, compress: bool = False, checksum: bool = False,
        checkpoint: str | os.PathLike[str] | None = None, every: float | None = None,
    ) -> Result:  # fmt: skip
        """Advance by ``duration`` ms and return what was recorded on the way.

        Parameters
        ----------
        duration : ms; on the clock engine rounded to whole steps, as ``t`` and the result's ``t_stop`` then tell
        to : path of a SONATA file to stream to; in memory if None. Written as ``<to>.part``, renamed at the end. Each
            rank writes what its neurons did, to ``<to>.rank<k>.h5``; :func:`snn.io.merge.merge_files` makes one file of
            them. In memory every rank returns everything
        progress : show model time, real-time factor and time left on stderr
        overwrite, compress, checksum : see :class:`snn.io.sonata.SonataWriter`
        checkpoint : file to keep the state in: at the beginning, every ``every`` ms, at the end, and where SIGTERM or
            SIGUSR1 comes, which then ends the process with exit code 128 + the signal's number. :meth:`resume` and
            :meth:`proceed` go on from it. Each replaces the one before
        every : ms of model time

        Raises
        ------
        OutputError
            Record or checkpoint cannot be written. What was flushed, and the checkpoint before, stay.
        """
        duration = plain(duration, "ms", "Simulation.run")
        if np.ndim(duration) or not 0 <= duration < math.inf:
            raise ModelError(f"Simulation.run: the duration must be >= 0 ms; got {duration!r}.")
        stop = self._drive.after(duration)
        if duration > 0 and stop == self._drive.at:
            raise ModelError(
                f"Simulation.run: the duration must be 0 or more than half a step of {self.dt:g} ms; got {duration!r}."
            )
        if stop * self._drive.unit > LATEST or stop > 2**53:
            end = min(LATEST, 2**53 * self._drive.unit)
            raise ModelError(f"Simulation.run: must end before {end:g} ms; from {self.t:g} ms, got {duration:g} ms.")
        for name, path in (("to", to), ("checkpoint", checkpoint)):
            _check_path(f"run.{name}", path)
        self.net.refuse_changes(self._described, "Simulation.run")
        saves = None
        with self._ranks.together():
            self._ranks.agree("run", stop, *map(str, (to, overwrite, compress, checksum, checkpoint, every)))
            if checkpoint is not None or every is not None:
                saves = self._saves(checkpoint, every, stop, to)
            recorder = self._recorder(to, overwrite, compress, checksum)
            return self._whole(self._advance_to(stop, recorder, progress, saves))

    @alone
    def proceed(self, to: str | os.PathLike[str] | None = None, progress: bool = False) -> Result:
        """Finish the run in which the checkpoint of :meth:`resume` was written, as if it had never stopped.

        A streamed record goes on at the checkpoint; what the run had recorded later is replaced by the same.
        Checkpoints go on too. What was recorded in memory before the checkpoint is lost.

        Parameters
        ----------
        to : the record, where it is not in the checkpoint's folder or below
        progress : see :meth:`run`

        Raises
        ------
        ModelError
            The checkpoint was written between runs; or the simulation was changed since, and its record is in a file.
        FormatError, OutputError
            The record is missing, or that of another run.
        """
        from snn.io.sonata_file import part_path

        _check_path("proceed.to", to)
        self.net.refuse_changes(self._described, "Simulation.proceed")
        if self._unfinished is None:
            raise ModelError("Simulation.proceed: the checkpoint was not written within a run. Use run(duration).")
        if self._unfinished.record is not None and self._log is not self._log_resumed:
            raise ModelError(
                f"Simulation.proceed: the simulation was changed since it was resumed, by {self._log[-1]['call']}, "
                "which the record that goes on would not tell. Use run(duration), with a record of its own."
            )
        saves, self._unfinished = self._unfinished, None
        with self._ranks.together():
            self._ranks.agree("proceed", str(to))
            if saves.record is None:
                return self._whole(self._advance_to(saves.until, self._recorder(None), progress, saves))
            if self._ranks_before != self._ranks.size:
                raise ModelError(
                    f"Simulation.proceed: the record is that of {self._ranks_before} ranks; got {self._ranks.size}. "
                    "Go on with as many, or with run(duration) into another record."
                )
            saves.record = saves.find_record(to)
            file = self._ranks.file(saves.record)
            ended = saves.until == self._drive.at and file.exists() and not part_path(file).exists()
            if ended:  # it was stopped between its last checkpoint and the end
                from snn.io.sonata import read_result

                return read_result(file)
            recorder = self._recorder(saves.record, resume_at=self.t)
            return self._advance_to(saves.until, recorder, progress, saves, taken=self._drive.at == saves.until)

    def _whole(self, result: Result) -> Result:
        """What all ranks recorded in memory; asked of all."""
        results = self._ranks.gather(result if result.path is None else None)
        if len(results) == 1 or result.path is not None:
            return result
        from snn.io.merge import merge

        return merge(results)

    def _advance_to(
        self, stop: float, recorder: Recorder, progress: bool, saves: Saves | None, taken: bool = False
    ) -> Result:
        """``taken``: the weights at the end of the run are recorded already."""
        self._weights_at: dict[str, float] = {}  # when they were last recorded in this run
        try:
            with deferred_signals(STOPPING if saves else STOPPING[:1]) as came:
                if saves:
                    self._save_in_run(saves, recorder)
                self._advance(stop, recorder, progress, came, saves)
                for probe in self.net.weight_probes:
                    ended = self._drive.at == stop and not taken
                    if ended and self._weights_at.get(probe.name) != stop:
                        self._take_weights(recorder, probe)
                if saves:
                    self._save_in_run(saves, recorder)
                    if came:
                        name, saved = signal.Signals(came[0]).name, f"{self.t:g} ms is kept in {saves.path}"
                        to_stderr(f"{name}: stopped; the state at {saved}. Go on with snn resume {saves.path}")
            return recorder.close(self.t)
        except BaseException:
            recorder.abort()
            raise

    def _saves(self, path: Any, every: Any, until: float, record: Any) -> Saves:
        """What :meth:`run` was asked to keep, checked before the run."""
        from snn.io.checkpoint import check_target

        if path is None:
            raise ModelError(f"Simulation.run.every: needs checkpoint=, the file to write; got {every!r} ms alone.")
        interval = None if every is None else plain(every, "ms", "Simulation.run.every")
        if interval is not None and (np.ndim(interval) or not 0 < interval < math.inf):
            raise ModelError(f"Simulation.run.every: must be > 0 ms; got {every!r}.")
        self._check_saving("run.checkpoint")
        saves = Saves(Path(path), interval, until, None if record is None else Path(record))
        check_target(self._ranks.file(saves.path), saves.record and self._ranks.file(saves.record))
        return saves

    def _save_in_run(self, saves: Saves, recorder: Recorder) -> None:
        recorder.flush(self.t, durable=True)  # first: a record must reach as far as its checkpoint
        self._write_checkpoint(saves.path, saves.table())

    @alone
    def checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Write everything that changes to an HDF5 file, so that :meth:`resume` goes on, bit for bit.

        Of ranks each writes what it holds to ``<path>.rank<k>.h5``; asked of all.

        Raises
        ------
        BackendUnavailable
            With backend="reference".
        OutputError
            ``path`` is there and no checkpoint, or cannot be written.
        """
        from snn.io.checkpoint import check_target

        self._check_saving("checkpoint")
        _check_path("checkpoint.path", path, needed=True)
        with self._ranks.together():
            self._ranks.agree("checkpoint", str(path))
            check_target(self._ranks.file(Path(path)))
            self._write_checkpoint(path, None)

    def _check_saving(self, what: str) -> None:
        if self.backend == "reference":
            raise BackendUnavailable(f'Simulation.{what}: backend="reference" has none; use backend="cpu".')

    def _write_checkpoint(self, path: Any, run: dict[str, Any] | None) -> None:
        from snn.io import checkpoint

        about = {
            "class": "Simulation", "run": run, "configuration": self.net.configuration,
            "software": version("volley-snn"), "options": {name: getattr(self, name) for name in checkpoint.OPTIONS},
            "at": self._drive.at, "seed": self.net.seed, "network": self._network,
            "parts": self.compiled.parts | {"kernels": self._drive.engine.code},
        }  # fmt: skip
        about["changes"], arrays = changes.packed(self._changes)
        about["log"] = self._log
        if self._ranks.size > 1:
            about |= {"ranks": self._ranks.size, "own": self._drive.owned()}
        checkpoint.write(path, about, arrays | self._drive.save(), self._ranks)

    @classmethod
    def resume(
        cls, path: str | os.PathLike[str], net: Network, threads: int | None = None, quiet: bool = False,
        comm: Any = None, device: int = 0,
    ) -> "Simulation":  # fmt: skip
        """The simulation of :meth:`checkpoint`, where it stood.

        Parameters
        ----------
        path : file that :meth:`checkpoint` wrote, or the name that it was given on ranks
        net : the same network; what is recorded of it may differ
        threads : as many as before, if None; never changes a spike
        device : number of the GPU, for a checkpoint of backend="cuda"
        comm : as of :class:`Simulation`; any number of ranks goes on with what any number left

        Raises
        ------
        FormatError
            Where the file is no checkpoint, or one of another network or version.
        """
        from snn.io import checkpoint

        ranks = Ranks(comm)
        with ranks.together():
            file = checkpoint.Saved(path)
            for about in file.abouts:
                if about.get("class") != "Simulation":
                    raise FormatError(f"{path}: holds no simulation. Give a file that Simulation.checkpoint() wrote.")
                checkpoint.check_about(path, about)
            about = file.abouts[ranks.rank if ranks.size == len(file.files) else 0]
            options = {name: about["options"][name] for name in checkpoint.OPTIONS} | (
                {} if threads is None else {"threads": threads}
            )
            if about["software"] != version("volley-snn"):
                raise FormatError(
                    f"{path}: was written by version {about['software']}; this is {version('volley-snn')}. "
                    "Resume with the version that wrote it."
                )
        sim = cls(net, **options, quiet=quiet, device=device, comm=comm)
        with sim._ranks.together():
            parts = sim.compiled.parts | {"kernels": sim._drive.engine.code}
            checkpoint.refuse_other(path, about, parts, sim._network, net.seed, ranks.size == len(file.files))
            try:
                sim._change(file.changes())
                sim._log = sim._log_resumed = changes.check_log(about["log"])
                sim._drive.load(file, about["at"])
            except (SimError, TypeError) as error:
                raise FormatError(f"{path}: {error} The file is damaged; use an earlier checkpoint.") from None
            sim._unfinished = Saves.of(Path(path), about["run"])
        sim._ranks_before = len(file.files)
        return sim

    def provenance(self) -> dict[str, Any]:
        """What made this run: versions, seed, configuration, backend, hash of the compiled network, and ``changes``.

        These are a list of the calls that have changed the simulation since the network was described, such as
        :meth:`set_parameters`: {t (ms), call, name, number (of such calls so far), values (of long arrays shape, range
        and hash)}. Of many calls of one kind for one thing the first hundred and the last are there.
        """
        return {
            "software": "volley-snn",
            "version": version("volley-snn"),
            "python": platform.python_version(),
            "versions": self._versions,
            "seed": self.net.seed,
            "dt": self.dt,
            "engine": self.engine,
            "backend": self.backend,
            "threads": self.threads,
            "rank": self._ranks.rank,
            "ranks": self._ranks.size,
            "precision": self.precision,
            "network_hash": self.network_hash,
            "network": self._network,
            "configuration": self.net.configuration,
            "changes": self._log,
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }

    def _recorder(
        self, to: Any, overwrite: bool = False, compress: bool = False, checksum: bool = False,
        resume_at: float | None = None,
    ) -> Recorder:  # fmt: skip
        fired = [p for p in self.net.probes if p.variable == SPIKES]
        spikes = {p.population.name: p.population.n for p in fired}
        recorded = {p.population.name: p.ids for p in fired if not p.whole}
        reports = [
            (p.population.name, p.variable, p.unit, self._own(p), p.every if p.every is not None else self.dt)
            for p in self.net.probes
            if p.variable != SPIKES and (self._ranks.size == 1 or self._own(p).size)
        ]
        weights = {p.name: len(self._recorded(p)) for p in self.net.weight_probes}
        if self._ranks.rank > 0:
            weights = {}
        if to is None:
            resolution, about = self._drive.resolution, self.provenance()
            return MemoryRecorder(spikes, reports, self.t, resolution, about, weights, recorded)
        from snn.io.sonata import SonataWriter

        return SonataWriter(
            self._ranks.file(Path(to)),
            spikes,
            reports,
            self.t,
            self._drive.resolution,
            self.provenance(),
            weights,
            overwrite=overwrite,
            compress=compress,
            checksum=checksum,
            resume_at=resume_at,
            recorded=recorded,
        )

    def _own(self, probe: Probe) -> np.ndarray:
        """Neurons of a probe that this rank holds."""
        if self._ranks.size == 1:
            return probe.ids
        return np.asarray(probe.ids[self._drive.is_own(probe.population.name, probe.ids)])

    def _advance(
        self, stop: float, recorder: Recorder, progress: bool, interrupted: list[int], saves: Saves | None
    ) -> None:
        drive = self._drive
        begin = drive.at
        bar = progress_bar((stop - begin) * drive.unit) if progress else None
        chunk = drive.chunk
        clock = flushed = time.perf_counter()
        first = clock
        intervals = self._weight_intervals()
        while drive.at < stop:
            start = drive.at
            due = [(math.floor(start / every * (1 + 1e-12)) + 1) * every for every in intervals]
            save = saves.following(start, drive.unit, whole=self.engine == "clock") if saves else math.inf
            drive.take(recorder, min([stop, start + chunk, save, *due]))
            heard = self._hear(interrupted)
            for probe, at in zip(self.net.weight_probes, due, strict=True):
                if drive.at >= at * (1 - 1e-12):  # an end within rounding of it: it is not due again
                    self._take_weights(recorder, probe)
            now = time.perf_counter()
            chunk = drive.next_chunk(min((drive.at - start) * CHUNK_SECONDS / max(now - clock, 1e-6), 4 * chunk))
            drive.chunk, clock = chunk, now  # the next run begins with it
            if now - flushed > FLUSH_SECONDS or heard:
                recorder.flush(self.t)
                flushed = now
            if bar is not None:
                model = (drive.at - begin) * drive.unit
                bar.n = model
                bar.set_postfix_str(f"real-time factor {(now - first) / model * 1e3:.3g}", refresh=False)
                bar.refresh()
            if heard:
                break
            if drive.at == save and drive.at < stop and saves:
                self._save_in_run(saves, recorder)
                flushed = now
        if bar is not None:
            bar.close()

    def _hear(self, interrupted: list[int]) -> bool:
        """Whether a signal came; one that came to one rank has come to all.

        All go by what was gathered: a signal that comes meanwhile is heard the next time, or ranks would part.
        """
        heard = [n for came in self._ranks.gather(interrupted[:1]) for n in came]
        if heard and not interrupted:
            interrupted.append(heard[0])
        return bool(heard)

    def _weight_intervals(self) -> list[float]:
        """Intervals of the weight probes, in units of ``drive.at``; inf where only the end of a run counts."""
        intervals = []
        for probe in self.net.weight_probes:
            every = math.inf if probe.every is None else probe.every / self._drive.unit
            if self.engine == "clock" and every < math.inf:
                if round(every) < 1 or abs(every - round(every)) > 1e-6:
                    raise ModelError(
                        f"record_weights({probe.projection.name!r}).every: must be a multiple of dt = {self.dt} ms; "
                        f"got {probe.every}."
                    )
                every = round(every)
            intervals.append(every)
        return intervals

    def _take_weights(self, recorder: Recorder, probe: WeightProbe) -> None:
        values = self._recorded(probe)
        if self._ranks.rank == 0:
            recorder.weights(probe.name, self.t, values)
        self._weights_at[probe.name] = self._drive.at

    def _recorded(self, probe: WeightProbe) -> np.ndarray:
        if probe.variable == "weights":
            return self.connections(probe.projection)[2]
        return self.state(probe.projection, probe.variable)


def _check_path(where: str, path: Any, needed: bool = False) -> None:
    if (needed or path is not None) and not isinstance(path, (str, os.PathLike)):
        raise ModelError(f"Simulation.{where}: must be the path of a file; got {path!r}.")


def choose_threads(net: Network) -> int:
    """Threads for a network when nobody says: one for small ones, else the cores at hand."""
    neurons = sum(p.n for p in net.populations.values() if p.spec)
    synapses = sum(p.rule.expected(p.source.n, p.target.n) for p in net.projections.values())
    return cores() if neurons >= 2000 or synapses >= 1_000_000 else 1
