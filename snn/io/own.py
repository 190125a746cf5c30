"""HDF5 files of our own: a format and version, one JSON document, arrays, and a hash of all of it.

A file appears whole or not at all, also after a power cut. It is read only where its hash is right, so that what a
reader gets is what was written. HDF5's own structures carry checksums (``LIBVER``), without which the library may read
for ever where a file is damaged.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from kernels.errors import FormatError
from snn.fingerprint import digest
from snn.io.damage import check_sizes
from snn.io.sonata_file import LIBVER, PathLike, claim_space, part_path, reading, text_of, writing


def write(path: PathLike, kind: str, version: int, about: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
    """Write a file of ``kind``; an existing one is replaced when the new one is safe on the disk.

    Raises
    ------
    OutputError
        Missing or unwritable folder, full disk. What had the name before stays.
    """
    path = Path(path)
    part = part_path(path)
    document = json.dumps(dict(about))
    given = {name: np.asarray(array) for name, array in arrays.items()}
    try:
        with writing(path, "What was there before is as it was. Free space or choose another place."):
            claim_space(part, sum(array.nbytes for array in given.values()) + 2048 * len(given) + len(document))
            with h5py.File(part, "w", libver=LIBVER) as file:
                file.attrs["format"], file.attrs["version"] = np.bytes_(kind), np.uint32(version)
                file.attrs["sha256"] = np.bytes_(_hash(document, given))
                file["about"] = np.bytes_(document)
                for name, array in given.items():
                    file.create_dataset(f"arrays/{name}", data=array)
            with open(part, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(part, path)
            _sync_folder(path.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _hash(document: str, arrays: Mapping[str, Any]) -> str:
    return digest(document, [(name, np.asarray(arrays[name])) for name in sorted(arrays)])


def _sync_folder(folder: Path) -> None:
    """Make a rename safe; not every system knows how."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read(path: PathLike, kind: str, version: int, maker: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The JSON document and the arrays of a file that ``maker`` wrote.

    Raises
    ------
    FormatError
        Missing, of another kind or version, damaged.
    """
    path = Path(path)
    what = kind.removeprefix("volley ")
    with reading(path) as file:
        if "format" not in file.attrs or text_of(file.attrs["format"]) != kind:
            raise FormatError(f"{path}: is no {what} of this package. Give a file that {maker} wrote.")
        if int(file.attrs["version"]) != version:
            raise FormatError(
                f"{path}: is a {what} of version {int(file.attrs['version'])}; this program reads {version}."
            )
        check_sizes(file)  # what claims gigabytes would be read and hashed before it is found to be another's
        document = text_of(file["about"][()])
        arrays: dict[str, np.ndarray] = {}
        if "arrays" in file:
            file["arrays"].visititems(lambda n, x: arrays.update({n: x[()]}) if isinstance(x, h5py.Dataset) else None)
        if text_of(file.attrs["sha256"]) != _hash(document, arrays):
            raise FormatError(f"{path}: is damaged: its content has another hash than was written. Use an older file.")
        about = json.loads(document)
        if not isinstance(about, dict):
            raise FormatError(f"{path}: /about: must be a table; got {type(about).__name__}.")
        return about, arrays
