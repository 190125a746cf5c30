"""Address-event streams of event cameras: (x, y, polarity, time) to spikes of an input population."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kernels.errors import ConfigError, FormatError, ModelError, ShapeError, SimError
from snn.records import Floats, Ints

NAMES = {
    "x": ("x", "xs"),
    "y": ("y", "ys"),
    "t": ("t", "ts", "time", "timestamp", "timestamps"),
    "p": ("p", "ps", "pol", "polarity", "polarities"),
}
MS = {"us": 1e-3, "ms": 1.0, "s": 1e3, "ns": 1e-6}
MOST_PIXELS = 2**30  # two neurons each, whose numbers are 32 bits
POLARITY = ("split", "merge", "on", "off")


def read_events(
    source: Mapping[str, Any] | NDArray[Any] | str | os.PathLike[str],
    shape: tuple[int, int] | None = None,
    polarity: str = "split",
    time_unit: str = "us",
    relative: bool = False,
) -> tuple[Ints, Floats, int]:
    """Spikes for one input neuron per pixel and polarity.

    Neuron ``(channel * height + y) * width + x``: the order of an array (channel, height, width). Channel 0 holds
    OFF events (polarity 0, -1 or False), channel 1 ON.

    Parameters
    ----------
    source : dict, structured array, or path
        Fields x, y, t, p under these or usual longer names (timestamps, polarity, ...), one entry an event. Files are
        ``.npz``, ``.npy`` with fields, or HDF5 with the fields at the root or in a group ``events``.
    shape : (height, width), optional
        Sensor size; by default just large enough for the events.
    polarity : {"split", "merge", "on", "off"}
        Two channels; one channel for both; or only the events of one kind.
    time_unit : {"us", "ms", "s", "ns"}
        Unit of t in the source.
    relative : bool
        Subtract the first time.

    Returns
    -------
    ids : (n_events,) int64
    times : (n_events,) float64
        In ms, sorted by time, then id.
    n : int
        Number of input neurons.

    Examples
    --------
    >>> read_events({"x": [1, 0], "y": [0, 0], "t": [2000, 500], "p": [1, 0]}, shape=(1, 2))
    (array([0, 3]), array([0.5, 2. ]), 4)
    """
    if polarity not in POLARITY:
        raise ConfigError(f"read_events.polarity: must be one of {', '.join(POLARITY)}; got {polarity!r}.")
    if time_unit not in MS:
        raise ConfigError(f"read_events.time_unit: must be one of {', '.join(MS)}; got {time_unit!r}.")
    fields = _fields(source)
    found = {key: next((name for name in names if name in fields), None) for key, names in NAMES.items()}
    needed = [key for key in "xyt" if found[key] is None]
    if found["p"] is None and polarity != "merge":
        needed.append("p")
    if needed:
        raise FormatError(
            f"read_events: no field {', '.join(needed)}; got {', '.join(map(str, fields)) or 'nothing'}. "
            'Rename the fields, or pass polarity="merge" where there is none.'
        )
    columns = {key: np.asarray(fields[name]) for key, name in found.items() if name is not None}
    sizes = {key: column.shape for key, column in columns.items()}
    if len(set(sizes.values())) != 1 or columns["t"].ndim != 1:
        raise ShapeError(f"read_events: x, y, t, p must be 1-D and equally long; got {sizes}.")
    for key, column in columns.items():
        if column.dtype.kind not in "iufb":
            raise FormatError(f"read_events.{key}: must be numbers; got {column.dtype}.")
    x, y = _pixels(columns["x"], "x"), _pixels(columns["y"], "y")
    height, width = _sensor(x, y, shape)
    times = columns["t"].astype(np.float64)
    if not np.isfinite(times).all():
        raise ModelError("read_events.t: must be finite; got NaN or infinity.")
    if relative and times.size:
        times = times - times.min()
    if times.size and times.min() < 0:
        raise ModelError(f"read_events.t: must be >= 0; got {times.min():g}. Pass relative=True to start at 0.")
    times = times * MS[time_unit]
    ids = y * width + x
    if polarity != "merge":
        on = _on(columns["p"])
        if polarity == "split":
            ids = ids + on * (height * width)
        else:
            keep = on if polarity == "on" else ~on
            ids, times = ids[keep], times[keep]
    order = np.lexsort((ids, times))
    return ids[order], times[order], height * width * (2 if polarity == "split" else 1)


def _fields(source: Any) -> Mapping[str, Any]:
    """Named columns of any accepted source."""
    if isinstance(source, Mapping):
        return source
    if isinstance(source, np.ndarray):
        if source.dtype.names is None:
            raise FormatError(
                f"read_events: an array needs named fields x, y, t, p; got {source.dtype} {source.shape}. Pass a dict."
            )
        return {name: source[name] for name in source.dtype.names}
    if isinstance(source, str | os.PathLike):
        return _file_fields(Path(source))
    raise FormatError(f"read_events: must be a dict, a structured array or a path; got {type(source).__name__}.")


def _file_fields(path: Path) -> Mapping[str, Any]:
    if not path.is_file():
        raise FormatError(f"{path}: no such file. Check the name.")
    import h5py

    from snn.io.damage import check_bytes, check_content, check_sizes
    from snn.io.sonata_file import open_to_read

    try:
        if path.suffix in (".npz", ".npy"):
            loaded = np.load(path, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return _fields(loaded)
            with loaded:
                columns = {name: loaded[name] for name in loaded.files}
        else:
            check_bytes(path)
            with open_to_read(path) as file:
                check_content(file, path)
                check_sizes(file)
                group = file["events"] if "events" in file else file
                if isinstance(group, h5py.Dataset):
                    return _fields(group[()])
                columns = {name: data[()] for name, data in group.items() if isinstance(data, h5py.Dataset)}
    except SimError:
        raise
    except Exception as error:  # of NumPy, zipfile, tokenize, HDF5: of many kinds
        raise FormatError(f"{path}: neither .npz, .npy with fields nor HDF5: {error}. Convert it.") from error
    if len(columns) == 1:
        only = next(iter(columns.values()))
        if isinstance(only, np.ndarray) and only.dtype.names:
            return _fields(only)
    return columns


def _pixels(values: NDArray[Any], name: str) -> Ints:
    if not np.isfinite(values).all():
        raise ModelError(f"read_events.{name}: must be integers >= 0; got NaN or infinity.")
    whole = values.astype(np.int64)
    if not np.array_equal(whole, values) or (whole.size and whole.min() < 0):
        raise ModelError(f"read_events.{name}: must be integers >= 0.")
    return whole


def _sensor(x: Ints, y: Ints, shape: tuple[int, int] | None) -> tuple[int, int]:
    """Height and width, large enough for every event."""
    needed = (int(y.max(initial=-1)) + 1, int(x.max(initial=-1)) + 1)
    if needed[0] * needed[1] > MOST_PIXELS:
        raise ShapeError(f"read_events: events reach {needed} (height, width), more than {MOST_PIXELS:,} pixels.")
    if shape is None:
        return needed
    if len(shape) != 2 or any(int(size) != size or size < 1 for size in shape):
        raise ShapeError(f"read_events.shape: must be (height, width), both >= 1; got {shape!r}.")
    if needed[0] > shape[0] or needed[1] > shape[1]:
        raise ShapeError(f"read_events.shape: events reach {needed} (height, width); got {shape!r}. Enlarge it.")
    return int(shape[0]), int(shape[1])


def _on(values: NDArray[Any]) -> NDArray[np.bool_]:
    kinds = set(np.unique(values).tolist())
    if not (kinds <= {0, 1} or kinds <= {-1, 1}):
        raise ModelError(f"read_events.p: must be 0 and 1, or -1 and 1; got {sorted(kinds)[:5]}.")
    on: NDArray[np.bool_] = values > 0
    return on
