"""Processes that simulate one network together over MPI: which of them this is, and what it asks of the others.

A rank holds the state of a slice of every population and all edges that end in it. Which spikes come out depends on
neither the number of ranks nor that of threads. All ranks run the same program: what is documented as asked of all must
be called by all.
"""

import hashlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kernels.errors import BackendUnavailable, ModelError, SimError
from kernels.layout import padded
from snn.fingerprint import digest


def world() -> Any:
    """Communicator of the processes that mpiexec started with this one; None where it was started alone.

    Raises
    ------
    BackendUnavailable
        Where mpi4py is missing.
    """
    size = next((os.environ[name] for name in ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE") if name in os.environ), "1")
    if size == "1":
        return None
    try:
        from mpi4py import MPI
    except ImportError as error:
        raise BackendUnavailable(
            f"mpiexec started {size} processes, but mpi4py cannot be loaded: {error}. pip install 'volley-snn[mpi]'"
        ) from error
    return MPI.COMM_WORLD


class RankError(SimError):
    """Another rank ended the run."""


class Ranks:
    """The processes of ``comm``, an ``mpi4py.MPI.Comm``; None: this process alone."""

    def __init__(self, comm: Any = None) -> None:
        if comm is not None and not hasattr(comm, "Allgatherv"):
            raise BackendUnavailable(
                f"Simulation.comm: must be a communicator of mpi4py, such as MPI.COMM_WORLD; got {comm!r}."
            )
        self.comm = None if comm is None or comm.size == 1 else comm
        self._ended = ""  # why, once a rank has failed
        self.rank, self.size = (0, 1) if self.comm is None else (int(comm.rank), int(comm.size))

    def part(self, n: int) -> tuple[int, int]:
        """First of ``n`` neurons that this rank may hold, and last + 1: its share, and the few up to a cache line."""
        first, last = (n * (self.rank + k) // self.size for k in (0, 1))
        return first, min(n, int(padded(last)))

    def gather(self, value: Any) -> list[Any]:
        """``value`` of every rank, by rank; asked of all.

        Raises
        ------
        RankError
            Where another rank failed since.
        """
        if self.comm is None:
            return [value]
        if self._ended:
            raise RankError(self._ended)
        answers = self.comm.allgather((value, None))
        for rank, (_, error) in enumerate(answers):
            if error is not None:
                self._ended = f"rank {rank} of {self.size} ended the run: {error}"
                raise RankError(self._ended)
        return [value for value, _ in answers]

    def agree(self, call: str, *arguments: Any) -> None:
        """Refuse a call that not all ranks make, or not with the same arguments; asked of all.

        Raises
        ------
        ModelError
            On all ranks.
        """
        if self.comm is None:
            return
        found = self.gather((call, digest(*arguments)))
        for rank, (name, _) in enumerate(found):
            if found[rank] != found[0]:
                did = "gave it others" if name == found[0][0] else f"called {name}"
                raise ModelError(
                    f"Simulation.{found[0][0]}: all ranks must make the same calls with the same arguments; rank "
                    f"{rank} {did}."
                )

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is raised inside ends the run of the others too: they hear it when they next gather."""
        try:
            yield
        except BaseException as error:
            if self.comm is not None and not self._ended:
                self._ended = f"{type(error).__name__}: {error}"
                self.comm.allgather((None, self._ended))
            raise

    def one_hash(self, digest: str) -> str:
        """One hash of those of all ranks; of one rank, its own."""
        found = self.gather(digest)
        return digest if self.size == 1 else hashlib.sha256("".join(found).encode()).hexdigest()[:32]

    def abort(self) -> None:
        """End all ranks, where the others wait in an exchange of spikes and cannot be told."""
        if self.comm is not None:
            traceback.print_exc()
            sys.stderr.flush()
            self.comm.Abort(1)

    def file(self, path: Path) -> Path:
        """Where this rank writes what goes to ``path``."""
        return path if self.size == 1 else rank_file(path, self.rank)


def rank_file(path: Path, rank: int) -> Path:
    """Where a rank writes what goes to ``path``."""
    return path.with_name(f"{path.stem}.rank{rank}{path.suffix}")
