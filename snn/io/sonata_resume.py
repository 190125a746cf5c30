"""Unfinished records: where to go on with one, and saving what can be read of one."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from kernels.errors import FormatError
from snn.io.sonata_file import (
    LIBVER,
    PathLike,
    check_destination,
    claim_space,
    groups,
    part_path,
    reading,
    text_of,
    writing,
)
from snn.recorders import Report
from snn.records import Ints

PIECE = 1 << 20  # rows copied at a time


def check_same(
    file: Any, t: float, populations: Mapping[str, int], recorded: Mapping[str, Ints], reports: Mapping[str, Report],
    weights: Mapping[str, int], dt: float, network_hash: str,
) -> None:  # fmt: skip
    """Refuse to go on at ``t`` with a record of another run."""
    name, found = file.filename, json.loads(text_of(file["provenance"][()]))
    if found.get("network_hash") != network_hash:
        raise FormatError(f"{name}: is the record of another network. Give the record of the run to be continued.")
    start, flushed = float(file.attrs["t_start"]), float(file.attrs["t_flushed"])
    if not start <= t <= flushed:
        raise FormatError(
            f"{name}: holds {start:g} to {flushed:g} ms; the checkpoint is of {t:g} ms. Use the checkpoint of that run."
        )
    wanted = {"spikes": dict(populations), "report": {k: np.size(r.ids) for k, r in reports.items()},
              "weights": dict(weights)}  # fmt: skip
    there = {
        "spikes": {k: int(g.attrs["n_nodes"]) for k, g in groups(file, "spikes").items()},
        "report": {k: int(g["data"].shape[1]) for k, g in groups(file, "report").items()},
        "weights": {k: int(g["data"].shape[1]) for k, g in groups(file, "weights").items()},
    }
    for part, names in wanted.items():
        if names != there[part]:
            raise FormatError(f"{name}: /{part}: holds {there[part]}; this run records {names}. Record the same.")
    for key, group in groups(file, "spikes").items():
        there_too = group["recorded"][...] if "recorded" in group else np.arange(populations[key])
        if not np.array_equal(there_too, recorded.get(key, np.arange(populations[key]))):
            raise FormatError(f"{name}: /spikes/{key}: holds spikes of other neurons. Record the same.")
    for key, report in reports.items():
        mapping = file[f"report/{key}/mapping"]
        if not np.array_equal(mapping["node_ids"][...], report.ids) or mapping["time"][2] != report.every_ms:
            raise FormatError(f"{name}: /report/{key}: holds other neurons or intervals. Record the same.")
    if any(not (g.attrs["dt"] == dt or np.isnan(dt)) for g in groups(file, "spikes").values()):
        raise FormatError(f"{name}: was recorded with another dt; got {dt}. Use the dt of that run.")


def rows_until(group: Any, t: float) -> int:
    """Flushed rows of a group of spikes, samples or weights that are not later than ``t`` ms."""
    flushed = int(group.attrs["n_flushed"])
    times = group.get("timestamps", group.get("time"))
    if times is not None:
        low, high = 0, flushed
        while low < high:  # in order of time; few chunks are read
            middle = (low + high) // 2
            low, high = (middle + 1, high) if times[middle] <= t else (low, middle)
        return low
    first, _, every = group["mapping/time"][...]
    return int(min(max(np.floor((t - first) / every + 1e-6) + 1, 0), flushed))


def columns(group: Any) -> list[str]:
    """Names of the growing datasets of a group of spikes, samples or weights."""
    return [name for name in ("timestamps", "node_ids", "time", "data") if name in group]


def closed(part: Path) -> bool:
    """Whether the file was closed by who wrote it last; a writer that was killed in a flush leaves it open."""
    with open(part, "rb") as handle:
        head = handle.read(12)
    return len(head) == 12 and not head[11]


def salvage(source: PathLike, target: PathLike, overwrite: bool = False) -> float:
    """Copy what an unfinished record holds up to its last flush to a file that every reader opens; ms that it holds.

    The copy says that it is incomplete.

    Raises
    ------
    FormatError
        Nothing can be read.
    OutputError
        The copy cannot be written.
    """
    source, target = Path(source), check_destination(target, overwrite)
    part = part_path(target)
    try:
        with reading(source) as file, writing(target):
            if "format" not in file.attrs or "t_flushed" not in file.attrs:
                raise FormatError(f"{source}: is no record of this package. Give a .part that a run left.")
            claim_space(part, source.stat().st_size)
            with h5py.File(part, "w", libver=LIBVER) as copy:
                _copy(file, copy, set())
            until = float(file.attrs["t_flushed"])
        with open(part, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(part, target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return until


def _copy(source: Any, target: Any, known: set[int]) -> None:
    """Copy a group, of what grows only the rows that were flushed; ``known``: where groups lie that were begun."""
    address = h5py.h5o.get_info(source.id).addr
    if address in known:  # it may hold itself
        raise FormatError(f"{source.file.filename}: {source.name}: is there under another name, too. Damaged.")
    known.add(address)
    for name, value in source.attrs.items():
        target.attrs.create(name, value, dtype=source.attrs.get_id(name).dtype)
    growing = columns(source) if "n_flushed" in source.attrs else []
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            _copy(item, target.create_group(name), known)
        elif name in growing:
            n = int(source.attrs["n_flushed"])
            if n > item.shape[0]:
                raise FormatError(
                    f"{item.file.filename}: {item.name}: {n:,} rows were flushed, {len(item):,} are there."
                )
            new = target.create_dataset(
                name, (n, *item.shape[1:]), item.dtype, maxshape=(None, *item.shape[1:]), chunks=item.chunks,
                compression=item.compression, shuffle=item.shuffle, fletcher32=item.fletcher32,
            )  # fmt: skip
            for k in range(0, n, PIECE):
                new[k : k + PIECE] = item[k : min(k + PIECE, n)]
            for key, value in item.attrs.items():
                new.attrs.create(key, value, dtype=item.attrs.get_id(key).dtype)
        else:
            source.copy(item, target, name)
