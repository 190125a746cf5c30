"""Where the points of a sweep run: executors of concurrent.futures, and the script of a SLURM array."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import shlex
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from kernels.errors import BackendUnavailable, ConfigError
from snn.host import cores

PLACES = ("processes", "dask", "mpi")
CLOSING = 15.0  # s for a LocalCluster to end
POOLS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # of BLAS; read when a process starts


def share(on: str, workers: int | None, address: str | None, threads: int | None) -> tuple[int, int]:
    """(workers, threads of each): together no more than the cores at hand; one thread on other machines."""
    for name, value in (("workers", workers), ("threads", threads)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ConfigError(f"sweep.{name}: must be an integer >= 1; got {value!r}.")
    if on not in PLACES:
        raise ConfigError(f"sweep.on: must be one of {', '.join(PLACES)}; got {on!r}.")
    if address is not None and on != "dask":
        raise ConfigError(f'sweep.address: is that of a Dask scheduler, for on="dask"; got on="{on}".')
    here = on == "processes" or (on == "dask" and address is None)
    workers = workers or cores()
    return workers, threads or (max(1, cores() // workers) if here else 1)


@contextmanager
def executor(on: str, workers: int, address: str | None, threads: int) -> Iterator[Executor]:
    """The executor; what waits in it is given up where the block ends by an exception.

    Raises
    ------
    BackendUnavailable
        Where its extra is not installed, or the scheduler cannot be reached.
    """
    if on == "processes":
        with _processes(workers, threads) as processes:
            yield processes
    elif on == "mpi":
        with _mpi() as ranks:
            yield ranks
    else:
        with _dask(workers, address) as client:
            yield _Dask(client)


def _mpi() -> Executor:
    """The pool of the processes that mpiexec started; starting some from here fails or hangs on many systems."""
    try:
        from mpi4py import MPI
        from mpi4py.futures import MPIPoolExecutor, _core
    except (ImportError, RuntimeError) as error:
        raise BackendUnavailable(f"sweep: {error}. Install the extra: pip install volley-snn[mpi]") from error
    if MPI.COMM_WORLD.Get_size() < 2 or getattr(_core, "SharedPool", True) is None:
        raise BackendUnavailable(
            'sweep.on: "mpi" needs processes that MPI started: mpiexec -n N python -m mpi4py.futures -m snn sweep '
            "FILE, N >= 2; or a script of your own in place of -m snn."
        )
    pool: Executor = MPIPoolExecutor()
    return pool


@contextmanager
def _dask(workers: int, address: str | None) -> Iterator[Any]:
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise BackendUnavailable(f"sweep: {error}. Install the extra: pip install volley-snn[dask]") from error
    if address is None:
        cluster = LocalCluster(workers, threads_per_worker=1, dashboard_address=None)
        try:
            with Client(cluster) as client:
                yield client
        finally:
            with suppress(TimeoutError):  # it may wait for ever for a worker that died and is started again
                cluster.close(timeout=CLOSING)
        return
    try:
        client = Client(address)
    except (OSError, ValueError) as error:
        raise BackendUnavailable(f"sweep.address: no Dask scheduler at {address!r}: {error}.") from error
    with client:
        yield client


class _Dask(Executor):
    """Futures of Dask as those of concurrent.futures, without what they give: the folder has it.

    ``Client.get_executor`` fetches every result, and may wait for ever for one whose worker died after it was done.
    """

    def __init__(self, client: Any) -> None:
        self.client, self.kept = client, []  # type: Any, list[Any]

    def submit(self, function: Any, /, *args: Any, **more: Any) -> Future[Any]:
        """As of an executor."""
        theirs, ours = self.client.submit(function, *args, pure=False, **more), Future[Any]()
        self.kept.append(theirs)

        def tell(_: Any) -> None:
            if theirs.status == "finished":
                ours.set_result(None)
            elif theirs.status == "error":
                ours.set_exception(theirs.exception())
            else:
                ours.set_exception(BackendUnavailable(f"sweep: Dask gave up a point: {theirs.status}."))

        theirs.add_done_callback(tell)
        return ours


def lost(error: BaseException) -> bool:
    """Whether Dask gave a point up because workers died, maybe of another point; a pool of processes breaks instead."""
    return type(error).__name__ == "KilledWorker"


@contextmanager
def _processes(workers: int, threads: int) -> Iterator[Executor]:
    """A pool whose processes are started afresh, with BLAS limited to ``threads`` unless the user set it.

    Its processes end when this one does, however it ends; else they would wait for work for ever. Where the block is
    left by an exception they end at once.
    """
    for name in POOLS:
        os.environ.setdefault(name, str(threads))
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with, initargs=(theirs,))
    try:
        yield pool
    except BaseException:
        ours.close()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
        ours.close()
        theirs.close()


def _end_with(pipe: Any) -> None:
    """End this process when the other end of ``pipe`` is closed."""

    def watch() -> None:
        multiprocessing.connection.wait([pipe])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def slurm_script(
    command: Sequence[str], root: Path, tasks: int, options: Mapping[str, Any], setup: Sequence[str]
) -> str:
    """An array job of ``tasks`` processes that all work on the folder ``root`` until nothing is left to do.

    ``options``: those of sbatch without dashes, such as {"time": "02:00:00", "cpus-per-task": 4}; ``setup``: lines of
    shell before the command. Tasks need no numbers: they share the points by claiming them, so that one that is killed
    by its time limit leaves the rest to the others, or to the next submission.
    """
    if isinstance(tasks, bool) or not isinstance(tasks, int) or tasks < 1:
        raise ConfigError(f"slurm.tasks: must be an integer >= 1; got {tasks!r}.")
    lines = ["#!/usr/bin/env bash", f"#SBATCH --array=0-{tasks - 1}"]
    defaults = {"job-name": "snn-sweep", "ntasks": 1, "output": str(root / "slurm-%A_%a.log")}
    for key, value in (defaults | dict(options)).items():
        texts = str(key), str(value)
        if key == "array" or not texts[0].replace("-", "").isalnum() or any("\n" in t or '"' in t for t in texts):
            raise ConfigError(f"slurm.{key}: must be an option of sbatch other than array; got {value!r}.")
        lines.append(f'#SBATCH --{key}="{value}"' if " " in texts[1] else f"#SBATCH --{key}={value}")
    for line in setup:
        if not isinstance(line, str) or "\n" in line:
            raise ConfigError(f"slurm.setup: must be a list of lines of shell; got {line!r}.")
    return "\n".join([*lines, "set -euo pipefail", *setup, f"exec {shlex.join(command)}", ""])
