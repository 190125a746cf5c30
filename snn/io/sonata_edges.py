"""SONATA edge files."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias

import h5py
import numpy as np
from numpy.typing import ArrayLike

from kernels.errors import FormatError, ModelError, ShapeError
from snn.io.sonata_file import (
    PathLike,
    check_destination,
    check_name,
    claim_space,
    dataset,
    groups,
    part_path,
    reading,
    text_of,
    write_root,
    writing,
)  # fmt: skip
from snn.records import Floats, Ints

Edges: TypeAlias = tuple[Ints, Ints, Floats | None, Floats | None, str, str]


def _edge_attribute(group: Any, name: str, n: int) -> Floats | None:
    """One attribute of all edges from its numbered subgroups; None where no subgroup has it."""
    parts = [key for key, part in group.items() if key.isdigit() and isinstance(part, h5py.Group) and name in part]
    if not parts:
        return None
    if "edge_group_id" in group:
        owner, index = dataset(group, "edge_group_id")[...], dataset(group, "edge_group_index")[...]
    else:
        owner, index = np.zeros(n, dtype=np.int64), np.arange(n)
    out = np.full(n, np.nan)
    for key in parts:
        mine = owner == int(key)
        out[mine] = np.asarray(dataset(group[key], name)[...], dtype=np.float64)[index[mine]]
    if np.isnan(out).any():
        raise FormatError(f"{group.file.filename}: {group.name}: {name} is missing or NaN for some edges.")
    return out


def read_edges(path: PathLike, population: str | None = None) -> Edges:
    """Read a SONATA edge population.

    Parameters
    ----------
    path : str or Path
    population : str, optional
        Needed where the file holds several.

    Returns
    -------
    source_ids, target_ids : (n_edges,) int64
    weights, delays : (n_edges,) float64 or None
        ``syn_weight`` in the file's own unit and ``delay`` in ms; None where only the edge types file has them.
    source_population, target_population : str
    """
    path = Path(path)
    with reading(path) as file:
        found = groups(file, "edges")
        held = ", ".join(found) or "none"
        if population is None and len(found) == 1:
            population = next(iter(found))
        if population not in found:
            raise FormatError(f"{path}: edge population {population!r} not found; the file holds {held}. Name one.")
        group = found[population]
        ids, owners = [], []
        for side in ("source", "target"):
            data = dataset(group, f"{side}_node_id")
            owner = data.attrs.get("node_population", data.attrs.get("network"))
            if owner is None:
                raise FormatError(f"{path}: {data.name}: attribute node_population is missing.")
            ids.append(np.asarray(data[...]).astype(np.int64))
            owners.append(text_of(owner))
        if ids[0].shape != ids[1].shape:
            raise FormatError(f"{path}: {group.name}: source and target ids differ in length.")
        weights, delays = (_edge_attribute(group, name, ids[0].size) for name in ("syn_weight", "delay"))
        return ids[0], ids[1], weights, delays, owners[0], owners[1]


def write_edges(
    path: PathLike,
    name: str,
    source_pop: str,
    target_pop: str,
    src: ArrayLike,
    tgt: ArrayLike,
    weight: ArrayLike | None = None,
    delay: ArrayLike | None = None,
    overwrite: bool = False,
) -> Path:
    """Write one edge population as SONATA (edge type 0 for all, no index tables).

    Parameters
    ----------
    path : str or Path
        New file, or with ``overwrite`` a replaced one.
    name : str
        Edge population, by custom ``<source>_to_<target>``.
    source_pop, target_pop : str
        Node populations that the ids count in.
    src, tgt : (n_edges,) integers, 0-based
    weight : number or (n_edges,), optional
        ``syn_weight``.
    delay : number or (n_edges,), optional
        ``delay`` in ms.
    """
    source, target = (np.asarray(a) for a in (src, tgt))
    if source.ndim != 1 or source.shape != target.shape:
        raise ShapeError(f"write_edges.src, tgt: must be 1-D and equally long; got {source.shape}, {target.shape}.")
    for label, ids in (("src", source), ("tgt", target)):
        if ids.size and (ids.dtype.kind not in "iu" or ids.min() < 0):
            raise ModelError(f"write_edges.{label}: must be integers >= 0; got {ids.dtype} from {ids.min()}.")
    n = source.size
    columns = {}
    for label, value in (("syn_weight", weight), ("delay", delay)):
        if value is not None:
            column = np.asarray(value, dtype=np.float64)
            if column.shape not in ((), (n,)) or not np.isfinite(column).all():
                raise ShapeError(f"write_edges.{label}: must be one finite number or {n} of them; got {column.shape}.")
            columns[label] = np.broadcast_to(column, (n,))
    check_name(name)
    target_path = check_destination(path, overwrite)
    part = part_path(target_path)
    try:
        with writing(target_path):
            claim_space(part, 48 * n)
        with writing(target_path), h5py.File(part, "w", libver="earliest") as file:
            write_root(file)
            group = file.create_group(f"edges/{name}")
            for side, ids, owner in (("source", source, source_pop), ("target", target, target_pop)):
                data = group.create_dataset(f"{side}_node_id", data=ids.astype(np.uint64))
                data.attrs["node_population"] = owner
            group["edge_group_id"] = np.zeros(n, dtype=np.uint32)
            group["edge_group_index"] = np.arange(n, dtype=np.uint64)
            group["edge_type_id"] = np.zeros(n, dtype=np.uint32)
            for label, column in columns.items():
                group.create_dataset(f"0/{label}", data=column)
            group.require_group("0")
        with writing(target_path):
            os.replace(part, target_path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return target_path
