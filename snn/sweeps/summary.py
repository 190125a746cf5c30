"""The table of a sweep: a row a point, columns of what was set and what was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from kernels.errors import FormatError
from snn.io.sonata_file import claim_space, reading, text_of, writing
from snn.sweeps.content import canonical
from snn.sweeps.design import Point
from snn.sweeps.points import DONE, ERROR, FAILED, RESULT, read, state

if TYPE_CHECKING:
    import pandas as pd

FORMAT = "volley-sweep 1"
SUMMARY = "summary.h5"
FIRST, LAST = ("point", "status", "repetition", "seed"), "error"


@dataclass(frozen=True, eq=False)
class Summary:
    """Results of a sweep. Made by :func:`snn.sweep` and :func:`read_summary`.

    Parameters
    ----------
    path : file of the table; the sweep's folder is its parent
    columns : column to array of shape (n_points,): ``point`` (its folder is points/<point>), ``status`` ("done",
        "failed" or "waiting"), ``repetition``, ``seed``, the parameters, the measures (float64, nan where there is
        none), ``error``. Where a name is taken, that of a parameter is "parameter NAME", of a measure "measure NAME"
    """

    path: Path
    columns: dict[str, Any]

    def __len__(self) -> int:
        return len(self.columns["point"])

    def __getitem__(self, column: str) -> Any:
        return self.columns[column]

    def count(self, status: str) -> int:
        """How many points are "done", "failed" or "waiting"."""
        return int(np.sum(self["status"] == status))

    def failures(self) -> dict[str, str]:
        """Error of every failed point, by name."""
        failed = self["status"] == FAILED
        return dict(zip(self["point"][failed].tolist(), self["error"][failed].tolist(), strict=True))

    def to_pandas(self) -> pd.DataFrame:
        """The table as a ``pandas.DataFrame``."""
        from snn.io.frames import pandas_module

        frame: pd.DataFrame = pandas_module("Summary.to_pandas").DataFrame(self.columns)
        return frame

    def __repr__(self) -> str:
        counts = ", ".join(f"{self.count(s)} {s}" for s in ("done", "failed", "waiting") if self.count(s))
        return f"Summary({str(self.path)!r}: {len(self)} points, {counts or 'none'})"


def summarise(root: Path, points: Sequence[Point], kinds: list[str] | None) -> Summary:
    """Read what there is of every point, and write the table."""
    rows: list[dict[str, Any]] = []
    measures: dict[str, None] = {}
    for point in points:
        folder = root / "points" / point.name
        status = state(folder, kinds)
        found = (read(folder / (RESULT if status == DONE else ERROR)) if status != "waiting" else None) or {}
        measured = found.get("measures", {}) if status == DONE else {}
        measures |= dict.fromkeys(measured)
        error = found.get("error", "") if status == FAILED else ""
        rows.append({"point": point.name, "status": status, "repetition": point.repetition, "seed": point.seed,
                     "values": point.values, "measures": measured, "error": str(error)})  # fmt: skip
    columns: dict[str, Any] = {name: _column([row[name] for row in rows]) for name in FIRST}
    taken = {*FIRST, LAST}
    for name in points[0].values if points else ():
        columns[_free("parameter", name, taken)] = _column([row["values"][name] for row in rows])
    for name in measures:
        column = np.array([row["measures"].get(name, np.nan) for row in rows], float)
        columns[_free("measure", name, taken)] = column
    columns[LAST] = _column([row["error"] for row in rows])
    path = root / SUMMARY
    part = path.with_name(f"{path.name}.{platform.node()}.{os.getpid()}.part")  # another sweep may write it as well
    with writing(path):
        try:
            claim_space(part, sum(len(repr(v)) + 64 for values in columns.values() for v in values))
            with h5py.File(part, "w") as file:
                file.attrs["format"] = FORMAT
                group = file.create_group("columns", track_order=True)
                for name, values in columns.items():
                    kind = h5py.string_dtype() if values.dtype == object else values.dtype
                    group.create_dataset(_in_file(name), data=values, dtype=kind).attrs["name"] = name
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    return Summary(path, columns)


def read_summary(path: str | os.PathLike[str]) -> Summary:
    """The table of a sweep, from its folder or file.

    Raises
    ------
    FormatError
        No such table.
    """
    path = Path(path)
    path = path / SUMMARY if path.is_dir() else path
    with reading(path) as file:
        if text_of(file.attrs.get("format", "")) != FORMAT:
            raise FormatError(f"{path}: must be a table of format {FORMAT!r}. Give the folder of a sweep.")
        columns = {}
        for data in file["columns"].values():
            text = data.dtype.kind == "O"
            name = text_of(data.attrs["name"])
            columns[name] = np.array([text_of(x) for x in data[:]], object) if text else data[:]
        missing = [name for name in (*FIRST, LAST) if name not in columns]
        if missing:
            raise FormatError(f"{path}: is no table of a sweep: lacks {', '.join(missing)}. Run the sweep again.")
        for name, values in columns.items():
            if values.ndim != 1 or len(values) != len(columns["point"]) or values.dtype.kind not in "iufO":
                raise FormatError(
                    f"{path}: column {name!r}: must be a number or text for each point; got {values.dtype} of shape "
                    f"{values.shape}. Run the sweep again; what is done stays done."
                )
    return Summary(path, columns)


def _in_file(column: str) -> str:
    """Name of its dataset, where "/" would make a group."""
    return column.replace("/", ":")


def _free(kind: str, name: str, taken: set[str]) -> str:
    """A column for a parameter or measure ``name`` whose name in the file is not yet ``taken``; it is then."""
    while _in_file(name) in taken:
        name = f"{kind} {name}"
    taken.add(_in_file(name))
    return name


def _column(values: Sequence[Any]) -> Any:
    """Numbers as integers or floats, all else as text that HDF5 can hold (an error may say anything)."""
    kinds = {type(v) for v in values}
    if kinds and kinds <= {int, float}:
        for number in (np.int64, float) if kinds == {int} else (float,):
            with suppress(OverflowError):
                return np.array(values, number)
    texts = [v if isinstance(v, str) else canonical(v) for v in values]
    return np.array([t.encode("utf-8", "replace").decode().replace("\0", "?") for t in texts], object)
