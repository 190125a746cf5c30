"""Checkpoints: everything of a simulation that changes, in an HDF5 file, so that a run can go on in another process."""

import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from kernels.errors import FormatError

FORMAT, VERSION = "volley checkpoint", 1


def write(path: str | os.PathLike[str], about: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write ``arrays`` and the description ``about``; the file appears whole or not at all."""
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        with h5py.File(part, "w") as file:
            file.attrs["format"], file.attrs["version"] = FORMAT, VERSION
            file.attrs["about"] = json.dumps(about)
            for name, array in arrays.items():
                file.create_dataset(name, data=array)
            file.flush()
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise FormatError(f"{path}: the checkpoint cannot be written: {error}.") from error


def read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Description and arrays of a checkpoint.

    Raises
    ------
    FormatError
        Where the file is missing, no checkpoint, or of another version.
    """
    path = Path(path)
    if not path.exists():
        raise FormatError(f"{path}: no such file. Check the name.")
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise FormatError(f"{path}: is no checkpoint of this package. Give a file that checkpoint() wrote.")
            if int(file.attrs["version"]) != VERSION:
                raise FormatError(
                    f"{path}: is a checkpoint of version {int(file.attrs['version'])}; this program reads {VERSION}."
                )
            arrays: dict[str, np.ndarray] = {}
            file.visititems(lambda n, x: arrays.update({n: x[()]}) if isinstance(x, h5py.Dataset) else None)
            return json.loads(file.attrs["about"]), arrays
    except (OSError, KeyError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{path}: cannot be read as a checkpoint: {error}.") from error
