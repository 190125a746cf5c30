"""When a run keeps its state, and what of the run a checkpoint tells who goes on with it."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from kernels.errors import FormatError, ModelError


@dataclass
class Saves:
    """Checkpoints of one run: ``path``, ``every`` ms (None: at its ends), ``until`` where it ends, its ``record``."""

    path: Path
    every: float | None
    until: float
    record: Path | None

    def following(self, at: float, unit: float, whole: bool) -> float:
        """Where the next checkpoint after ``at`` is due, in units of ``unit`` ms; ``whole``: these are steps."""
        if self.every is None:
            return math.inf
        every = self.every / unit
        k = math.floor(at / every * (1 + 1e-12)) + 1
        if not whole:
            return k * every
        while round(k * every) <= at:  # of an interval below a step
            k += 1
        return round(k * every)

    def table(self) -> dict[str, Any]:
        """The same for a file: the record by its path from the checkpoint's folder, "" where it is not below that."""
        record: str | None = None
        if self.record is not None:
            name = os.path.relpath(self.record.absolute(), self.path.absolute().parent)
            record = "" if name.startswith("..") or os.path.isabs(name) else Path(name).as_posix()
        return {"every": self.every, "until": self.until, "record": record}

    @classmethod
    def of(cls, path: Path, table: Any) -> Saves | None:
        """What :meth:`table` gave, from the checkpoint ``path``; None where it was written between runs."""
        if table is None:
            return None
        found: Any = [table.get(k) for k in ("every", "until", "record")] if isinstance(table, dict) else [0, "", 0]
        every, until, name = found
        number = isinstance(until, (int, float)) and math.isfinite(until)
        if not number or not (every is None or isinstance(every, (int, float)) and every > 0):
            raise FormatError(f"{path}: /about.run: must tell until and every as numbers; got {table!r}.")
        if name is None:
            return cls(path, every, until, None)
        if not isinstance(name, str) or PurePosixPath(name).is_absolute() or ".." in Path(name).parts or ":" in name:
            raise FormatError(f"{path}: /about.run.record: must lie below the checkpoint's folder; got {name!r}.")
        return cls(path, every, until, Path(name) if name else Path())

    def find_record(self, to: Any) -> Path:
        """The record to go on with: ``to`` if given, else as the checkpoint tells."""
        if to is not None:
            return Path(to)
        if self.record is None or self.record == Path():
            raise ModelError(
                f"Simulation.proceed.to: the record is not in the folder of {self.path}. Name it: proceed(to=...), "
                "snn resume --out."
            )
        return self.path.parent / self.record
