"""Processes that simulate one network together over MPI: which of them this is, and what it asks of the others.

A rank holds the state of a slice of every population and all edges that end in it. Which spikes come out depends on
neither the number of ranks nor that of threads. All ranks run the same program: what is documented as asked of all must
be called by all.
"""

import hashlib
import sys
import traceback
from pathlib import Path
from typing import Any

from kernels.errors import BackendUnavailable, SimError
from kernels.layout import padded


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
        answers = self.comm.allgather((value, None))
        for rank, (_, error) in enumerate(answers):
            if error is not None:
                raise RankError(f"rank {rank} of {self.size} ended the run: {error}")
        return [value for value, _ in answers]

    def failed(self, error: BaseException) -> None:
        """Tell the others what ended this rank's run; they hear it when they next gather."""
        if self.comm is not None and not isinstance(error, RankError):
            self.comm.allgather((None, f"{type(error).__name__}: {error}"))

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
        return path if self.size == 1 else path.with_name(f"{path.stem}.rank{self.rank}{path.suffix}")
