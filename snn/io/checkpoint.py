"""Checkpoints: everything of a simulation that changes, in an HDF5 file, so that a run can go on in another process."""

from typing import Any

import numpy as np

from snn.io import own
from snn.io.sonata_file import PathLike

FORMAT, VERSION = "volley checkpoint", 2


def write(path: PathLike, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Write ``arrays`` and the description ``about``; the file appears whole or not at all."""
    own.write(path, FORMAT, VERSION, about, arrays)


def read(path: PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Description and arrays of a checkpoint.

    Raises
    ------
    FormatError
        Where the file is missing, no checkpoint, of another version, or damaged.
    """
    return own.read(path, FORMAT, VERSION, "Simulation.checkpoint()")
