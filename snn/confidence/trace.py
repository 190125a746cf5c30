"""A recorded inference: what the network's outputs were after every step, so that every agent can be tried on it."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.errors import FormatError, ModelError, ShapeError
from snn.units import real, whole

FORMAT, VERSION = "volley trace", 2
KEYS = ("t_max", "encoder", "seed", "precision", "network", "latency", "depth")  # of a fingerprint
LATENCIES = ("synchronous", "pipelined")


def sample_ids(x: Iterable[ArrayLike]) -> NDArray[np.int64]:
    """Ids of samples, shape (N,), from their content, ``x`` of shape (N, ...), or N arrays: equal ones have equal ids.

    So that a sample is known again wherever it stands, and calibration data cannot be used twice by mistake. Numbers
    count as float64, as encoders take them: another type makes no other sample.
    """
    digests = (hashlib.blake2b(_content(row), digest_size=8).digest() for row in x)
    return np.array([int.from_bytes(d, "little", signed=True) for d in digests], np.int64)


def _content(row: ArrayLike) -> bytes:
    return (real("sample_ids.x", row).astype(np.float64) + 0.0).tobytes()  # -0.0 is 0.0


@dataclass(frozen=True, eq=False)
class Trace:
    """Outputs of N inferences over T steps, C classes, recorded once.

    Parameters
    ----------
    outputs : (T, N, C) float64 or int32
        Accumulated and not normalised: S_t = sum of the outputs of steps 1 .. t.
    ids : (N,) int64
        Names of the samples, as from `sample_ids`; data are known again by them.
    fingerprint : dict
        What a certificate binds, all keys needed: ``t_max`` (T), ``encoder``, ``seed`` (how random numbers are keyed),
        ``precision``, ``network`` (its hash), ``latency`` ("synchronous": a step passes all layers; "pipelined": a step
        a layer), ``depth`` (layers from input to output). ``dt`` (ms a step) besides, where a step has a length.
    labels : (N,) int64, optional
        True classes, 0 .. C - 1.
    spikes, synops : (T, N) int64, optional
        Spikes, and synaptic operations (spikes times real fan-out), up to step t. A :class:`snn.Classifier` counts all
        that its populations have sent by the time that step t's output is there: with ``latency="synchronous"`` the
        first layers have run depth - 1 steps further by then, and what they sent in these counts as well.

    Raises
    ------
    ShapeError, ModelError
        For shapes that do not fit, numbers that are not finite, counts that fall, labels that are no class, T < depth.
    """

    outputs: NDArray[Any]
    ids: NDArray[np.int64]
    fingerprint: dict[str, Any]
    labels: NDArray[np.int64] | None = None
    spikes: NDArray[np.int64] | None = None
    synops: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        s = np.asarray(self.outputs)
        if s.ndim != 3 or not s.size or s.shape[2] < 2:
            raise ShapeError(f"Trace.outputs: must have shape (T, N, C), at least two classes; got {s.shape}.")
        if s.dtype != np.int32:
            if s.dtype.kind not in "iuf":
                raise ModelError(f"Trace.outputs: must be numbers; got {s.dtype}.")
            s = s.astype(np.float64, copy=False)
            if not np.isfinite(s).all():
                t, n, k = np.argwhere(~np.isfinite(s))[0]
                raise ModelError(f"Trace.outputs: must be finite; got {s[t, n, k]} at step {t + 1} of sample {n}.")
        _set(self, "outputs", np.ascontiguousarray(s))
        ids = np.asarray(self.ids)
        if ids.shape != s.shape[1:2] or ids.dtype.kind not in "iu":
            raise ShapeError(f"Trace.ids: must be {s.shape[1]} integers; got {ids.dtype} {ids.shape}. See sample_ids.")
        _set(self, "ids", ids.astype(np.int64))
        _set(self, "fingerprint", _checked(self.fingerprint, len(s)))
        if self.labels is not None:
            labels = np.asarray(self.labels)
            if labels.shape != s.shape[1:2] or labels.dtype.kind not in "iu":
                raise ShapeError(f"Trace.labels: must be {s.shape[1]} integers; got {labels.dtype} {labels.shape}.")
            if labels.min() < 0 or labels.max() >= s.shape[2]:
                span = f"{labels.min()} to {labels.max()}"
                raise ModelError(f"Trace.labels: must be 0 to {s.shape[2] - 1}, one an output; got {span}.")
            _set(self, "labels", labels.astype(np.int64))
        for name in ("spikes", "synops"):
            if getattr(self, name) is not None:
                count = np.asarray(getattr(self, name))
                if count.shape != s.shape[:2] or count.dtype.kind not in "iu":
                    rule = f"must be integers of shape {s.shape[:2]}"
                    raise ShapeError(f"Trace.{name}: {rule}; got {count.dtype} {count.shape}.")
                if count.min() < 0 or np.any(np.diff(count.astype(np.int64), axis=0) < 0):
                    raise ModelError(
                        f"Trace.{name}: must count from step 1 on and so never fall. Give cumulative sums."
                    )
                _set(self, name, count.astype(np.int64))

    @property
    def t_max(self) -> int:
        """Steps T."""
        return int(self.outputs.shape[0])

    @property
    def n(self) -> int:
        """Samples N."""
        return int(self.outputs.shape[1])

    @property
    def n_classes(self) -> int:
        """Classes C."""
        return int(self.outputs.shape[2])

    @property
    def first_step(self) -> int:
        """First step at which the output layer can have heard of the input."""
        return int(self.fingerprint["depth"]) if self.fingerprint["latency"] == "pipelined" else 1

    def right(self, owner: str) -> NDArray[np.int64]:
        """Labels; ``owner`` needs them."""
        if self.labels is None:
            raise ModelError(
                f"{owner}: needs labels, and the trace has none. Record with labels, or choose a rule without."
            )
        return self.labels

    def take(self, which: NDArray[Any]) -> Trace:
        """The samples ``which`` (indices or a mask), in that order."""
        parts = {k: getattr(self, k) for k in ("spikes", "synops")}
        labels = None if self.labels is None else self.labels[which]
        return Trace(
            self.outputs[:, which], self.ids[which], self.fingerprint, labels,
            **{k: None if v is None else v[:, which] for k, v in parts.items()},
        )  # fmt: skip

    def split(self, shares: Sequence[float], seed: int = 0) -> list[Trace]:
        """Disjoint parts with ``shares`` of the samples, drawn; samples of one id stay together.

        Parameters
        ----------
        shares : numbers > 0, of sum at most 1
        """
        given = real("Trace.split.shares", shares).astype(float)
        shares = given.tolist() if given.ndim == 1 else []
        if not shares or not all(x > 0 for x in shares) or sum(shares) > 1.0 + 1e-9:
            raise ModelError(f"Trace.split.shares: must be a list of numbers > 0, of sum <= 1; got {given.tolist()}.")
        whole("Trace.split.seed", seed, 0)
        names, which = np.unique(self.ids, return_inverse=True)
        place = np.random.default_rng(seed).permutation(names.size)[which]  # of each sample's id in the draw
        ends = np.rint(np.cumsum([0.0, *shares]) * names.size).astype(int)
        picks = [np.flatnonzero((place >= a) & (place < b)) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        if not all(p.size for p in picks):
            raise ModelError(f"Trace.split.shares: a part is empty; got {shares} of {names.size} samples.")
        return [self.take(p) for p in picks]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write an HDF5 file, which appears whole or not at all; an existing one is replaced."""
        from snn.io import own  # here, so that `import snn` stays light

        names = ("outputs", "ids", "labels", "spikes", "synops")
        arrays = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        own.write(path, FORMAT, VERSION, {"fingerprint": self.fingerprint}, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Trace:
        """Read a file that :meth:`save` wrote.

        Raises
        ------
        FormatError
            Where the file is missing, no trace, of another version, or broken.
        """
        from snn.io import own

        about, arrays = own.read(path, FORMAT, VERSION, "Trace.save()")
        try:
            return cls(arrays.pop("outputs"), arrays.pop("ids"), about["fingerprint"], **arrays)
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"{path}: cannot be read as a trace: {error}") from error


def different(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """What differs between two fingerprints, as text; empty where nothing does."""
    keys = sorted({*first, *second})
    return ", ".join(f"{k} {first.get(k)!r} and {second.get(k)!r}" for k in keys if first.get(k) != second.get(k))


def _checked(fingerprint: Any, t_max: int) -> dict[str, Any]:
    """The fingerprint as JSON gives it back."""
    owner = "Trace.fingerprint"
    if not isinstance(fingerprint, Mapping) or (missing := [k for k in KEYS if k not in fingerprint]):
        what = ", ".join(missing) if isinstance(fingerprint, Mapping) else repr(fingerprint)
        raise ModelError(f"{owner}: must be a dict with {', '.join(KEYS)}; missing: {what}.")
    try:
        out: dict[str, Any] = json.loads(json.dumps(dict(fingerprint), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ModelError(f"{owner}: must hold what JSON can: numbers, texts, lists; {error}.") from None
    if out["t_max"] != t_max:
        raise ModelError(f"{owner}.t_max: must be the {t_max} steps of the outputs; got {out['t_max']!r}.")
    if out["latency"] not in LATENCIES:
        raise ModelError(f"{owner}.latency: must be one of {', '.join(LATENCIES)}; got {out['latency']!r}.")
    depth = out["depth"]
    if not isinstance(depth, int) or isinstance(depth, bool) or depth < 1:
        raise ModelError(f"{owner}.depth: must be an integer >= 1; got {depth!r}.")
    if out["latency"] == "pipelined" and depth > t_max:
        raise ModelError(
            f"{owner}.depth: {depth} layers need as many steps, a step a layer; got t_max {t_max}. Raise t_max."
        )
    dt = out.get("dt", 1.0)
    if not isinstance(dt, (int, float)) or isinstance(dt, bool) or not 0 < dt:
        raise ModelError(f"{owner}.dt: must be > 0 ms; got {dt!r}.")
    return out


def _set(trace: Trace, name: str, value: Any) -> None:
    object.__setattr__(trace, name, value)
