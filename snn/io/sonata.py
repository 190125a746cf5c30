"""Results as SONATA files: spikes and state reports, streamed, read and described.

Layout of a result file::

    /spikes/<population>/timestamps  float64 (n_spikes,), units="ms"     node_ids  uint64 (n_spikes,)
        recorded: uint64 (n,), the neurons recorded, where it is not all
        attributes: sorting (HDF5 enum, by_time), n_nodes, t_start, t_stop, dt, n_flushed
    /report/<population>/data        float32 (n_samples, n_ids), units   mapping/{node_ids, index_pointers, ...}
    /weights/<projection>/data       float64 (n_times, n_synapses)       time float64 (n_times,), units="ms"
    /provenance                      one JSON document
    attributes: magic, version, format, format_version, t_start, t_flushed, complete

A population with several sampled variables has one report ``<population>.<variable>`` for each.

What makes a killed run readable: everything waits in memory until a flush; disk space is reserved before HDF5
touches the file; the file is open only within a flush, and then in HDF5's single-writer mode, which orders its writes
so that the file can be read after any of them; ``n_flushed`` and ``t_flushed`` move only after the data are in the
file. Between flushes the file is closed and every HDF5 reader opens it. A reader that holds it open locks it: what
is to be written then waits for it, `PATIENCE` seconds at most. After that it is written all the same, in the same
order: such a reader finds the rows that it knew, or gets an error, and has to open the file anew. Killed within a flush
the file carries HDF5's mark of an open file: `read_result` and ``h5py.File(path, swmr=True)`` read it, others refuse.
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.errors import FormatError, ModelError, ShapeError
from snn.io.sonata_file import (
    LIBVER,
    MARGIN,
    OutputError,
    PathLike,
    check_destination,
    check_name,
    claim_space,
    part_path,
    reading,
    write_root,
    writing,
)  # fmt: skip
from snn.io.sonata_read import FORMAT, FORMAT_VERSION, describe, read_result, read_spikes
from snn.io.sonata_resume import check_same, closed, rows_until, salvage
from snn.recorders import KeptNeurons, Report, check_reports, parts, samples
from snn.records import Floats, Result, in_order

__all__ = ["SonataWriter", "describe", "read_result", "read_spikes"]

SORTING = {"none": 0, "by_id": 1, "by_time": 2}
CHUNK = 8192  # rows: 64 KiB of times
BUFFER = 32 << 20  # bytes kept in memory before they are written without waiting for a flush
PATIENCE = 10.0  # seconds that rows wait for readers who hold the file
PAUSE = 0.1  # seconds of it that a flush halts the run


class _Column:
    """One growing dataset and the rows that wait for it."""

    def __init__(self, data: Any) -> None:
        self.path, self.chunks, self.itemsize = str(data.name), data.chunks, int(data.dtype.itemsize)
        self.columns, self.rows = data.shape[1:], 0
        self.waiting: list[NDArray[Any]] = []

    def room(self) -> int:
        """Bytes the waiting rows may need on disk: whole chunks."""
        n = sum(len(chunk) for chunk in self.waiting)
        if n == 0:
            return 0
        rows, *across = self.chunks
        size = self.itemsize * (n // rows + 2) * rows
        for columns, wide in zip(self.columns, across, strict=True):
            size *= -(-columns // wide) * wide
        return int(size)

    def write(self, file: Any) -> None:
        if self.waiting:
            block = np.concatenate(self.waiting)
            data = file[self.path]
            if self.rows + len(block) > len(data):
                data.resize(self.rows + len(block), axis=0)
            data[self.rows : self.rows + len(block)] = block
            self.rows += len(block)
            self.waiting.clear()


class SonataWriter:
    """Streams a run into a SONATA file.

    Writes ``<path>.part`` and renames it when the run ends, so that a file under its own name is always complete.
    After `flush` everything up to that time survives a killed process and a full disk; read it from the ``.part``
    with `read_result`.

    Parameters
    ----------
    path : str or Path
        Final name of the file.
    populations, reports, t_start, dt, provenance, weights, recorded
        As for `snn.recorders.MemoryRecorder`. Reports are float32 in the file, as SONATA wants; in memory float64.
    overwrite : bool
        Replace a finished file and a ``.part`` of that name.
    compress : bool
        gzip. A fifth of the size; h5py and bmtk read it, the libsonata wheel does not.
    checksum : bool
        A checksum for every chunk (Fletcher32), which readers check.
    resume_at : float, optional
        Go on with the ``.part`` of an interrupted run of the same network at this time in ms. What it holds later is
        written anew, the same numbers: so nothing is unsafe in between. Its layout stays.

    Raises
    ------
    OutputError
        Missing or unwritable folder, existing file, full disk.
    """

    def __init__(
        self,
        path: PathLike,
        populations: Mapping[str, int],
        reports: Sequence[Report | tuple[str, str, str, ArrayLike, float]] = (),
        t_start: float = 0.0,
        dt: float = 0.1,
        provenance: Mapping[str, Any] | None = None,
        weights: Mapping[str, int] | None = None,
        overwrite: bool = False,
        compress: bool = False,
        checksum: bool = False,
        resume_at: float | None = None,
        recorded: Mapping[str, ArrayLike] | None = None,
    ) -> None:
        self._parts: dict[str, KeptNeurons] = parts(populations, recorded)
        self.path = check_destination(path, overwrite) if resume_at is None else Path(path)
        self.part = part_path(self.path)
        self._new = self.part.with_name(f"{self.part.name}.new")  # killed while it begins, no damaged .part is left
        self._t_start, self._t_flushed, self._dt = float(t_start), float(t_start), float(dt)
        self._options: dict[str, Any] = {"compression": "gzip", "shuffle": True} if compress else {}
        self._options |= {"fletcher32": True} if checksum else {}
        self._reports = check_reports(reports)
        names = _report_names(self._reports)
        for name in [*populations, *names.values(), *(weights or {})]:
            check_name(name)
        self._beyond = set[tuple[str, str]]()  # reports with values that float32 does not hold
        self._spikes: dict[str, tuple[_Column, _Column]] = {}
        self._states: dict[tuple[str, str], _Column] = {}
        self._first: dict[tuple[str, str], float] = {}
        self._weights: dict[str, tuple[_Column, _Column]] = {}
        self._groups: list[tuple[str, _Column]] = []  # whose attribute n_flushed says how many rows are safe
        self._last = dict.fromkeys(populations, -np.inf)
        self._waiting = 0
        self._held_since: float | None = None  # a reader has kept the file from being written
        self._failed: str | None = None
        self._closed = False
        self._kept = resume_at is not None  # something was flushed
        try:
            with writing(self.path):
                if resume_at is None:
                    claim_space(self._new, 64 * sum(np.size(report.ids) for report in self._reports.values()))
                    with h5py.File(self._new, "w", libver=LIBVER, locking="best-effort") as file:
                        self._start(file, populations, names, provenance or {}, weights or {})
                    os.replace(self._new, self.part)
                else:
                    self._continue(float(resume_at), populations, names, provenance or {}, weights or {})
                self._reserve(MARGIN)
        except BaseException:
            self.abort()
            raise

    def _start(
        self,
        root: Any,
        populations: Mapping[str, int],
        names: Mapping[tuple[str, str], str],
        provenance: Mapping[str, Any],
        weights: Mapping[str, int],
    ) -> None:
        write_root(root)
        root.attrs["format"], root.attrs["format_version"] = _fixed(FORMAT), np.uint32(FORMAT_VERSION)
        root.attrs["t_start"] = root.attrs["t_flushed"] = self._t_start
        root.attrs["complete"] = np.uint8(0)
        root["provenance"] = _fixed(json.dumps(dict(provenance), default=_plain, indent=1))
        root.create_group("spikes")
        for name, n_nodes in populations.items():
            group = root.create_group(f"spikes/{name}")
            group.attrs.create("sorting", SORTING["by_time"], dtype=h5py.enum_dtype(SORTING, basetype="u1"))
            group.attrs["n_nodes"] = np.uint64(n_nodes)
            group.attrs["t_start"] = group.attrs["t_stop"] = self._t_start
            group.attrs["dt"] = self._dt
            if name in self._parts:
                group["recorded"] = self._parts[name].nodes.astype(np.uint64)
            times = self._grow(group, "timestamps", "f8", units="ms")
            self._spikes[name] = times, self._grow(group, "node_ids", "u8")
            self._track(group, times)
        for key, name in names.items():
            report = self._reports[key]
            group, n = root.create_group(f"report/{name}"), np.size(report.ids)
            data = self._grow(group, "data", "f4", n, units=_fixed(report.unit))
            for place in (group, group["data"]):
                place.attrs["variable"] = _fixed(report.variable)
            group.attrs["population"], group.attrs["dt"] = _fixed(report.population), self._dt
            mapping = group.create_group("mapping")
            mapping["node_ids"] = np.asarray(report.ids, dtype=np.uint64)
            mapping["index_pointers"] = np.arange(n + 1, dtype=np.uint64)
            mapping["index_pointer"] = mapping["index_pointers"]  # a hard link: bmtk's name for the same thing
            mapping["element_ids"] = np.zeros(n, dtype=np.uint32)
            mapping["element_pos"] = np.zeros(n, dtype=np.float32)
            mapping["time"] = np.array([self._t_start, self._t_start, report.every_ms])
            mapping["time"].attrs["units"] = _fixed("ms")
            self._states[key] = data
            self._track(group, data)
        for name, n_synapses in weights.items():
            group = root.create_group(f"weights/{name}")
            at = self._grow(group, "time", "f8", units="ms")
            self._weights[name] = at, self._grow(group, "data", "f8", n_synapses)
            self._track(group, at)

    def _continue(
        self, t: float, populations: Mapping[str, int], names: Mapping[tuple[str, str], str],
        provenance: Mapping[str, Any], weights: Mapping[str, int],
    ) -> None:  # fmt: skip
        if not self.part.exists():
            raise FormatError(f"{self.part}: no such file: the record to go on with is missing. Name it, or run anew.")
        if not closed(self.part):  # killed in a flush: HDF5 writes to no such file
            spare = self.part.with_name(f"{self.part.name}.salvaged")
            salvage(self.part, spare, overwrite=True)
            os.replace(spare, self.part)
        with reading(self.part) as file:
            reports = {name: self._reports[key] for key, name in names.items()}
            kept = {name: part.nodes for name, part in self._parts.items()}
            check_same(file, t, populations, kept, reports, weights, self._dt, str(provenance.get("network_hash")))
            self._t_start, self._t_flushed = float(file.attrs["t_start"]), float(file.attrs["t_flushed"])
            for name in populations:
                times, ids = self._found(file[f"spikes/{name}"], t, "timestamps", "node_ids")
                self._spikes[name] = times, ids
                self._last[name] = float(file[times.path][times.rows - 1]) if times.rows else -np.inf
            for key, name in names.items():
                (self._states[key],) = self._found(file[f"report/{name}"], t, "data")
                if self._states[key].rows:
                    self._first[key] = float(file[f"report/{name}/mapping/time"][0])
            for name in weights:
                at, data = self._found(file[f"weights/{name}"], t, "time", "data")
                self._weights[name] = at, data

    def _found(self, group: Any, t: float, *names: str) -> tuple[_Column, ...]:
        """Columns of a group to be written from after ``t`` on."""
        columns = tuple(_Column(group[name]) for name in names)
        for column in columns:
            column.rows = rows_until(group, t)
        self._groups.append((str(group.name), columns[0]))
        return columns

    def _grow(self, group: Any, name: str, dtype: str, columns: int | None = None, units: Any = "") -> _Column:
        """A growable dataset: (0,), or (0, columns)."""
        shape: tuple[int, ...] = (0,) if columns is None else (0, columns)
        wide = min(max(columns or 1, 1), CHUNK)
        rows = max(1, CHUNK // wide)
        chunks = (rows,) if columns is None else (rows, wide)
        maximum = (None, *(max(n, 1) for n in shape[1:]))  # a chunk is no wider, and no synapses still have times
        data = group.create_dataset(name, shape, dtype, maxshape=maximum, chunks=chunks, **self._options)
        if units:
            data.attrs["units"] = units
        return _Column(data)

    def _track(self, group: Any, column: _Column) -> None:
        group.attrs["n_flushed"] = np.uint64(0)
        self._groups.append((str(group.name), column))

    def _open(self) -> None:
        if self._failed:
            raise OutputError(self._failed)
        if self._closed:
            raise OutputError(f"{self.path}: the recording has ended. Start a new run.")

    def spikes(self, population: str, times: ArrayLike, ids: ArrayLike) -> None:
        """Take spikes: times in ms and ids, both (n,)."""
        self._open()
        t, i = np.array(times, dtype=np.float64), np.array(ids, dtype=np.uint64)
        if t.shape != i.shape or t.ndim != 1:
            raise ShapeError(f"{population}: times and ids must be 1-D and equally long; got {t.shape} and {i.shape}.")
        if population in self._parts:
            t, i = self._parts[population].of(t, i)
        if t.size:
            for column, chunk in zip(self._spikes[population], (t, i), strict=True):
                column.waiting.append(chunk)
            self._count(t.nbytes + i.nbytes)

    def states(self, population: str, variable: str, times: ArrayLike, values: ArrayLike) -> None:
        """Take samples: times in ms (n_times,), values (n_times, n_ids)."""
        self._open()
        key = population, variable
        t, v = samples(times, values, self._reports[key])
        if t.size:
            self._first.setdefault(key, float(t[0]))
            with np.errstate(over="ignore"):
                narrow = v.astype(np.float32)
            if key not in self._beyond and np.any(np.isinf(narrow) & np.isfinite(v)):
                self._beyond.add(key)
                warnings.warn(
                    f"{population}.{variable}: values beyond 3.4e38 become inf in {self.path}, whose states are "
                    "float32. Record in memory to keep them.",
                    RuntimeWarning,
                    stacklevel=2,
                )
            self._states[key].waiting.append(narrow)
            self._count(v.nbytes // 2)

    def weights(self, projection: str, time: float, values: ArrayLike) -> None:
        """Take the weights of a projection at one time in ms, values (n_synapses,)."""
        self._open()
        row = np.array(values, dtype=np.float64).reshape(1, -1)
        at, data = self._weights[projection]
        if row.shape[1:] != data.columns:
            raise ShapeError(f"{projection}: weights must be {data.columns}; got {row.shape[1:]}.")
        at.waiting.append(np.array([float(time)]))
        data.waiting.append(row)
        self._count(row.nbytes)

    def _count(self, nbytes: int) -> None:
        self._waiting += nbytes
        if self._waiting > BUFFER:  # memory stays bounded even where nobody flushes
            with self._guard(), self._file() as file:
                self._write(file)

    @contextmanager
    def _file(self, may_wait: bool = False) -> Iterator[Any]:
        """The file, open in single-writer mode, with room for all that waits; None if readers hold it and the rows
        ``may_wait`` for the next flush.
        """
        columns = [c for pair in (*self._spikes.values(), *self._weights.values()) for c in pair]
        room = sum(column.room() for column in (*columns, *self._states.values()))
        self._reserve(room + room // 50 + MARGIN)
        opened = self._opened(may_wait)
        if opened is None:
            yield None
            return
        with h5py.File(opened) as file:
            yield file

    def _opened(self, may_wait: bool) -> Any:
        access = h5py.h5p.create(h5py.h5p.FILE_ACCESS)
        access.set_libver_bounds(h5py.h5f.LIBVER_V110, h5py.h5f.LIBVER_V110)
        access.set_file_locking(True, True)  # the second: where the file system knows locks
        flags = h5py.h5f.ACC_RDWR | h5py.h5f.ACC_SWMR_WRITE  # h5py.File would set the mode a write too late
        begin = time.monotonic()
        while True:
            try:
                found = h5py.h5f.open(os.fsencode(self.part), flags, access)
                self._held_since = None
                return found
            except BlockingIOError:
                now = time.monotonic()
            if self._held_since is None:
                self._held_since = now
            if now - self._held_since > PATIENCE:
                break
            if may_wait and now - begin > PAUSE:
                return None
            time.sleep(0.005)
        # The lock is for the readers' sake. Another writer is refused by the mark of an open file.
        access.set_file_locking(False, True)
        try:
            return h5py.h5f.open(os.fsencode(self.part), flags, access)
        except BlockingIOError as error:  # where HDF5_USE_FILE_LOCKING insists on locks
            raise OutputError(
                f"{self.part}: another program holds it open, so it cannot be written. Up to {self._t_flushed:g} ms is "
                "safe in it. Read it with read_result, or with HDF5_USE_FILE_LOCKING=FALSE, or close it."
            ) from error

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Remember the first failure; what was flushed stays as it is."""
        kept = f"Up to {self._t_flushed:g} ms is safe in {self.part}; free space or choose another place."
        try:
            with writing(self.path, kept):
                yield
        except OutputError as error:
            self._failed = str(error)
            raise

    def _reserve(self, nbytes: int) -> None:
        """Claim disk space first: HDF5 does not recover from a full disk, the system refuses cleanly."""
        if hasattr(os, "posix_fallocate"):
            with open(self.part, "rb+") as handle:
                os.posix_fallocate(handle.fileno(), os.fstat(handle.fileno()).st_size, nbytes)

    def _write(self, file: Any) -> None:
        for name, (times, ids) in self._spikes.items():
            if times.waiting:
                t, i = np.concatenate(times.waiting), np.concatenate(ids.waiting)
                if t[0] < self._last[name] or not in_order(t, i.view(np.int64)):
                    t, i = self._sorted(name, t, i)
                self._last[name] = float(t[-1])
                times.waiting, ids.waiting = [t], [i]
                times.write(file)
                ids.write(file)
        for pair in self._weights.values():
            for column in pair:
                column.write(file)
        for key, column in self._states.items():
            if column.waiting:
                column.write(file)
                first, every = self._first[key], self._reports[key].every_ms
                file[column.path].parent["mapping/time"][...] = [first, _stop(first, every, column.rows), every]
        file.flush()
        self._waiting = 0

    def _sorted(self, name: str, t: Floats, i: NDArray[np.uint64]) -> tuple[Floats, NDArray[np.uint64]]:
        order = np.lexsort((i, t))
        if t[order[0]] < self._last[name]:
            raise ModelError(
                f"{name}: spikes must come in time order; got {t[order[0]]:g} ms after {self._last[name]:g} ms."
            )
        return t[order], i[order]

    def flush(self, t_now: float, durable: bool = False) -> None:
        """Write all that waits and say so in the file: from now on a killed process loses nothing before t_now.

        ``durable``: nor does a power cut. Else, while a reader holds the file, the rows wait for the next flush.
        """
        self._open()
        with self._guard():
            with self._file(may_wait=not durable) as file:
                if file is None:
                    return
                self._write(file)
                self._mark(file, t_now)
            if durable:
                self._sync()
        self._kept = True
        self._t_flushed = max(self._t_flushed, float(t_now))

    def _sync(self) -> None:
        with open(self.part, "rb+") as handle:
            os.fsync(handle.fileno())

    def _mark(self, file: Any, t_now: float) -> None:
        if t_now < self._t_flushed:  # a run that goes on has not yet come to where it had been
            return
        for path, column in self._groups:
            file[path].attrs.modify("n_flushed", np.uint64(column.rows))
        for name in self._spikes:
            file[f"spikes/{name}"].attrs.modify("t_stop", float(t_now))
        file.attrs.modify("t_flushed", float(t_now))
        file.flush()

    def close(self, t_stop: float) -> Result:
        """Write the rest, rename the file to its final name and open it; records are read when first used."""
        self._open()
        with self._guard():
            with self._file() as file:
                self._write(file)
                self._check_ends(file)
                self._mark(file, t_stop)
                file.attrs.modify("complete", np.uint8(1))
            self._closed = True
            self._sync()
            os.replace(self.part, self.path)
        return read_result(self.path)

    def _check_ends(self, file: Any) -> None:
        """What a run that goes on had recorded before it was killed is all written anew."""
        pairs = (*self._spikes.values(), *self._weights.values(), *((c,) for c in self._states.values()))
        for column in (c for pair in pairs for c in pair):
            if len(file[column.path]) != column.rows:
                raise OutputError(
                    f"{self.part}: {column.path}: had {len(file[column.path]):,} rows; this run made {column.rows:,}. "
                    "It was changed on the way: use the checkpoint of the run that wrote it."
                )

    def abort(self) -> None:
        """End without renaming: the ``.part`` keeps what was flushed, and goes where nothing was."""
        if self._closed:
            return
        self._closed = True
        if not self._kept:
            for left in (self.part, self._new):
                with suppress(OSError):
                    left.unlink()


def _report_names(reports: Mapping[tuple[str, str], Report]) -> dict[tuple[str, str], str]:
    """Group of every report: the population, or population.variable where it has several."""
    populations = [population for population, _ in reports]
    names = {key: key[0] if populations.count(key[0]) == 1 else ".".join(key) for key in reports}
    owners: dict[str, tuple[str, str]] = {}
    for key, name in names.items():
        if owners.setdefault(name, key) != key:
            one, other = (f"{variable!r} of {population!r}" for population, variable in (owners[name], key))
            raise ModelError(f"{one} and {other}: would both be the report {name!r} in a file. Rename a population.")
    return names


def _stop(start: float, every: float, n: int) -> float:
    """End of n samples, nudged so that readers that truncate (stop - start) / step still find n."""
    stop = start + n * every
    while int((stop - start) / every) < n:
        stop = float(np.nextafter(stop, np.inf))
    return stop


def _fixed(text: str) -> Any:
    """A string of fixed length: HDF5's other strings live in a heap without checksums, which it may read for ever
    where it is damaged. Only ``timestamps.units`` stays one, because bmtk needs it.
    """
    return np.bytes_(text.encode() or b" ")


def _plain(value: Any) -> Any:
    """What JSON does not know."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)
