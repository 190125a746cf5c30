"""Recorded address events from files that are on disk already: nothing here uses the network."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kernels.errors import BackendUnavailable, FormatError, ModelError, SimError
from snn.io.sonata_file import open_to_read
from snn.units import whole

SHD_CHANNELS = 700


class Recordings(NamedTuple):
    """Address events of some samples; :func:`reservoir.encoders.binned` makes series of them."""

    events: list[tuple[np.ndarray, np.ndarray]]  # of each sample: times [ms], ascending, and channels, both (k,)
    labels: np.ndarray  # (samples,)
    n_channels: int


def shd(path: str | os.PathLike[str], select: Iterable[int] | None = None) -> Recordings:
    """Spoken digits or commands as spikes of 700 channels: a file of the Spiking Heidelberg Digits (``shd_train.h5``,
    ``shd_test.h5``) or Spiking Speech Commands (``ssc_train.h5`` ..), unpacked.

    Parameters
    ----------
    path : of the file, HDF5: ``spikes/times`` [s] and ``spikes/units``, an array a sample, and ``labels``
    select : numbers of the samples to read; None: all

    Raises
    ------
    FormatError
        Where there is no such file, or it has another layout.

    References
    ----------
    Cramer, Stradmann, Schemmel & Zenke 2022, doi:10.1109/TNNLS.2020.3044364
    """
    if not Path(path).is_file():
        raise FormatError(f"{path}: no such file. Unpack shd_train.h5.zip of https://zenkelab.org/datasets/ there.")
    try:
        with open_to_read(path) as file:
            times, units, labels = file["spikes/times"], file["spikes/units"], np.asarray(file["labels"], np.int64)
            if not len(times) == len(units) == len(labels):
                sizes = f"{len(times)}, {len(units)} and {len(labels)}"
                raise FormatError(f"{path}: spikes/times, spikes/units and labels must be of one length; got {sizes}.")
            chosen = _selected("shd", select, len(labels))
            pairs = [(1e3 * times[k].astype(np.float64), units[k].astype(np.int64)) for k in chosen]
    except SimError:
        raise
    except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{path}: is no file of the Spiking Heidelberg Datasets: {error}.") from error
    return _recordings(str(path), pairs, labels[chosen], SHD_CHANNELS)


def tonic_set(
    name: str, path: str | os.PathLike[str], select: Iterable[int] | None = None, pool: int = 1, **options: Any
) -> Recordings:  # fmt: skip
    """A set of an event camera, such as "DVSGesture" or "NMNIST", read by tonic (extra ``datasets``).

    Pixel (x, y) of ``width`` x ``height`` sends to channel width y + x where it became brighter, and to width height
    more where darker.

    Parameters
    ----------
    name : of a class of ``tonic.datasets``
    path : folder where tonic has saved the set, its ``save_to``; it is never downloaded
    select : numbers of the samples to read; None: all
    pool : >= 1; squares of so many pixels along an edge are one
    options : of the class, such as ``train=False``

    Raises
    ------
    BackendUnavailable
        Without tonic.
    FormatError
        Where the set is not there as tonic expects it.
    """
    whole("tonic_set.pool", pool)
    try:
        import tonic.datasets
    except ImportError as error:
        raise BackendUnavailable(
            f'tonic_set: tonic cannot be imported ({error}). pip install "volley-snn[datasets]".'
        ) from error
    found = getattr(tonic.datasets, str(name), None)
    if not isinstance(found, type) or not hasattr(found, "download"):
        raise ModelError(f"tonic_set.name: tonic has no data set {name!r}; give one such as 'DVSGesture' or 'NMNIST'.")

    def refuse(self: Any) -> None:
        raise FormatError(
            f"{self.location_on_system}: tonic does not find {name} there (archive and unpacked files). Save it "
            f"before, by tonic.datasets.{name}({str(path)!r}), where there is a network."
        )

    # a class of the same name, which is that of the set's folder
    local = type(found.__name__, (found,), {"download": refuse})
    data: Any = local(os.fspath(path), **options)
    chosen = _selected("tonic_set", select, len(data))
    size, pairs, labels = data.sensor_size, [], []
    width, height = (-(-int(n) // pool) for n in size[:2])
    for k in chosen:
        events, label = data[int(k)]
        channel = np.asarray(events["x"], np.int64) // pool
        if "y" in events.dtype.names:
            channel = channel + width * (np.asarray(events["y"], np.int64) // pool)
        if size[2] > 1:
            channel = channel + width * height * (np.asarray(events["p"]) <= 0).astype(np.int64)
        pairs.append((1e-3 * np.asarray(events["t"], np.float64), channel))
        labels.append(label)
    return _recordings(f"tonic_set {name}", pairs, np.array(labels, np.int64), width * height * int(size[2]))


def _selected(owner: str, select: Iterable[int] | None, n: int) -> np.ndarray:
    if select is None:
        return np.arange(n)
    chosen = np.array(list(select))
    if chosen.ndim != 1 or (chosen.size and (chosen.dtype.kind not in "iu" or chosen.min() < 0 or chosen.max() >= n)):
        raise ModelError(f"{owner}.select: must be numbers of samples, 0 to {n - 1}; got {select!r}.")
    return chosen.astype(np.int64)


def _recordings(
    owner: str, pairs: list[tuple[np.ndarray, np.ndarray]], labels: np.ndarray, n_channels: int
) -> Recordings:  # fmt: skip
    """Events by time, checked."""
    events = []
    for k, (times, channels) in enumerate(pairs):
        if times.shape != channels.shape or times.ndim != 1:
            raise FormatError(f"{owner}: sample {k} must have as many times as channels; got {times.shape}.")
        bad = times.size and (
            not np.all(np.isfinite(times)) or times.min() < 0 or channels.min() < 0 or channels.max() >= n_channels
        )
        if bad:
            raise FormatError(f"{owner}: sample {k} must have times >= 0 and channels 0 to {n_channels - 1}.")
        order = np.argsort(times, kind="stable")
        events.append((times[order], channels[order]))
    return Recordings(events, labels, n_channels)
