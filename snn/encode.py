"""From samples to what drives a network. What an encoder makes of a sample depends on the sample, its id and the seed
alone, so it is the same in whatever batch the sample comes."""

import hashlib
import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from kernels.cpu.infer import Batch
from kernels.errors import ModelError, ShapeError
from kernels.jit import jit
from kernels.philox import philox, stream_key
from snn.units import exact, number, real, whole

_32, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)


class Encoder:
    """Base of encoders. ``target`` names what samples drive: an input (currents) or a population of spike sources.

    The ``repr`` and :meth:`digest` tell an encoder from all others: certificates bind them.
    """

    target: str
    seed: int | None = None  # of random numbers, keyed by (seed, sample id, source, step); None: there are none

    def digest(self) -> str:
        """Hash of what is no part of the text that stands for the encoder."""
        return ""

    def check(self, x: Any, size: int) -> Any:
        """The samples as :meth:`encode` takes them, for a target of ``size``; errors where they are none."""
        array = np.ascontiguousarray(real(f"{self!r}: samples", x), float)
        if array.ndim < 2 or not array.size:
            raise ShapeError(f"{self!r}: samples must have shape (N, ...); got {array.shape}.")
        # each takes a fraction of the time; of many numbers a dot product wakes BLAS's threads, which spin beside ours
        total = np.vdot(array, array) if array.size < 4096 else array.sum()
        if not math.isfinite(total) and not np.isfinite(array).all():
            raise ModelError(
                f"{self!r}: samples must be finite; sample {int(np.argwhere(~np.isfinite(array))[0, 0])} is not."
            )
        return array

    def encode(self, x: Any, ids: np.ndarray, t_max: int) -> Batch:
        """Samples ``x`` for ``t_max`` steps."""
        raise NotImplementedError


_NO_WEIGHT = np.empty((0, 0)), np.empty(0)
_NO_EVENTS = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32)


@jit
def _sparse(x, indptr, indices, weight, bias, out):  # type: ignore[no-untyped-def]
    for s in range(len(x)):
        out[s] = bias
        for k in range(x.shape[1]):
            if x[s, k] != 0.0:
                for j in range(indptr[k], indptr[k + 1]):
                    out[s, indices[j]] += x[s, k] * weight[j]


class Direct(Encoder):
    """A current that is the same in each step: weight @ x + bias, the first layer of a network with analog input.

    Parameters
    ----------
    target : str
        An input that is a ``StepCurrent`` of one value a neuron; a sample takes the place of its values.
    weight : (n, features) array or scipy.sparse matrix
    bias : (n,)
        Default 0.
    """

    def __init__(self, target: str, weight: Any, bias: Any = None) -> None:
        from scipy import sparse  # here, so that `import snn` stays light

        self.target = target
        given: Any = weight
        self._columns = sparse.csc_array(given.astype(float)) if sparse.issparse(weight) else None
        dense = np.empty((0, 0)) if sparse.issparse(weight) else real("Direct.weight", weight).astype(float)
        self.shape = given.shape if sparse.issparse(weight) else dense.shape
        if len(self.shape) != 2:
            raise ShapeError(f"Direct.weight: must have shape (n, features); got {self.shape}.")
        self._rows = np.ascontiguousarray(dense.T)
        with np.errstate(over="ignore"):
            narrow = self._rows.astype(np.float32)  # half as much to read, where that is all there is to a weight
        self._read = narrow if np.array_equal(narrow, self._rows) else self._rows
        self.bias = np.zeros(self.shape[0]) if bias is None else real("Direct.bias", bias).astype(float)
        if self.bias.shape != self.shape[:1]:
            raise ShapeError(f"Direct.bias: must have shape {self.shape[:1]}; got {self.bias.shape}.")
        values = self._columns.data if self._columns is not None else self._rows
        for name, array in (("weight", values), ("bias", self.bias)):
            if not np.all(np.isfinite(array)):
                raise ModelError(f"Direct.{name}: must be finite; got {float(array[~np.isfinite(array)][0])}.")

    @property
    def weight(self) -> Any:
        """The weights: an array, or a scipy.sparse one where they were given as such."""
        return self._rows.T if self._columns is None else self._columns

    def digest(self) -> str:
        """See :class:`Encoder`."""
        c = self._columns
        arrays = [self._rows, self.bias] if c is None else [c.indptr, c.indices, c.data, self.bias]
        return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()

    def __repr__(self) -> str:
        return f"Direct({self.target!r}, weight of shape {self.shape})"

    def check(self, x: Any, size: int) -> Any:
        """See :class:`Encoder`."""
        if self.shape[0] != size:
            raise ShapeError(f"{self!r}: weight must have a row for each of the {size} neurons; got {self.shape}.")
        array = super().check(x, size)
        array = array.reshape(len(array), -1)
        if array.shape[1] != self.shape[1]:
            raise ShapeError(f"{self!r}: samples must have {self.shape[1]} features; got {array.shape[1]}.")
        return array

    def encode(self, x: Any, ids: np.ndarray, t_max: int) -> Batch:
        """See :class:`Encoder`. Sums are over features in order, so that a sample's do not depend on the others."""
        if self._columns is None:
            return Batch(x, self._read, self.bias, *_NO_EVENTS)
        c, out = self._columns, np.empty((len(x), self.shape[0]))
        _sparse(x, c.indptr.astype(np.int64), c.indices.astype(np.int64), c.data, self.bias, out)
        return Batch(out, *_NO_WEIGHT, *_NO_EVENTS)


class _Spikes(Encoder):
    """Base of encoders to spikes of a population of sources."""

    def __init__(self, target: str) -> None:
        self.target = target

    def check(self, x: Any, size: int) -> Any:
        """See :class:`Encoder`."""
        array = super().check(x, size)
        if array[0].size != size:
            raise ShapeError(f"{self!r}: samples must have {size} features, one a source; got {array[0].size}.")
        return array.reshape(len(array), -1)

    def spikes(self, x: Any, ids: np.ndarray, t_max: int) -> np.ndarray:
        """Which sources spike, (samples, steps, sources)."""
        raise NotImplementedError

    def encode(self, x: Any, ids: np.ndarray, t_max: int) -> Batch:
        """See :class:`Encoder`."""
        spikes = self.spikes(x, ids, t_max)
        sample, step, source = np.nonzero(spikes)
        first = np.searchsorted(sample, np.arange(len(spikes) + 1))
        return Batch(
            np.empty((len(spikes), 0)),
            *_NO_WEIGHT,
            first.astype(np.int64),
            step.astype(np.int64),
            source.astype(np.int32),
        )


@jit
def _bernoulli(x, ids, k0, k1, out):  # type: ignore[no-untyped-def]
    for s in range(len(x)):
        low, high = np.uint64(ids[s]) & _LOW, np.uint64(ids[s]) >> _32
        for i in range(x.shape[1]):
            bar = x[s, i] * 4294967296.0
            if bar > 0.0:
                for t in range(0, out.shape[1], 4):
                    words = philox(np.uint64(i), np.uint64(t // 4), low, high, k0, k1)
                    for j in range(min(4, out.shape[1] - t)):
                        out[s, t + j, i] = np.float64(words[j]) < bar


class Rate(_Spikes):
    """A spike of source i in a step with probability gain * x_i, independently (Bernoulli).

    Parameters
    ----------
    target : str
        A population of spike sources, one a feature.
    gain : float
    seed : int
        Numbers are keyed by (seed, sample's id, source, step).
    """

    seed: int

    def __init__(self, target: str, gain: float = 1.0, seed: int = 0) -> None:
        super().__init__(target)
        self.gain, self.seed = number("Rate.gain", gain), whole("Rate.seed", seed, 0)
        if self.gain <= 0:
            raise ModelError(f"Rate.gain: must be > 0; got {gain!r}.")

    def __repr__(self) -> str:
        return f"Rate({self.target!r}, gain={exact(self.gain)}, seed={self.seed})"

    def check(self, x: Any, size: int) -> Any:
        """See :class:`Encoder`."""
        array = super().check(x, size) * self.gain
        if array.min() < 0 or array.max() > 1:
            raise ModelError(
                f"{self!r}: gain * x must be 0 to 1; got {array.min():g} to {array.max():g}. Scale the samples."
            )
        return array

    def spikes(self, x: Any, ids: np.ndarray, t_max: int) -> np.ndarray:
        """See :class:`_Spikes`."""
        out = np.zeros((len(x), t_max, x.shape[1]), np.bool_)
        _bernoulli(x, ids, *stream_key(self.seed, "encode", self.target), out)
        return out


class Latency(_Spikes):
    """One spike a source, the sooner the larger x: in step round((1 - x) (steps - 1)); none where x <= threshold.

    Parameters
    ----------
    target : str
        A population of spike sources, one a feature.
    steps : int
        Steps that latencies are spread over.
    threshold : float
        Of the samples' values, which are 0 to 1.
    """

    def __init__(self, target: str, steps: int, threshold: float = 0.0) -> None:
        super().__init__(target)
        self.steps, self.threshold = whole("Latency.steps", steps, 1), number("Latency.threshold", threshold)

    def __repr__(self) -> str:
        return f"Latency({self.target!r}, steps={self.steps}, threshold={exact(self.threshold)})"

    def check(self, x: Any, size: int) -> Any:
        """See :class:`Encoder`."""
        array = super().check(x, size)
        if array.min() < 0 or array.max() > 1:
            raise ModelError(f"{self!r}: x must be 0 to 1; got {array.min():g} to {array.max():g}. Scale the samples.")
        return array

    def spikes(self, x: Any, ids: np.ndarray, t_max: int) -> np.ndarray:
        """See :class:`_Spikes`."""
        step = np.where(x > self.threshold, np.rint((1.0 - x) * (self.steps - 1)), -1.0)
        return np.asarray(step[:, None] == np.arange(t_max)[None, :, None])


class Delta(_Spikes):
    """A spike where a series rises by at least ``threshold`` from one step to the next, the first from 0.

    As ``snntorch.spikegen.delta``. Samples have shape (N, steps, features); after their last step nothing is sent.

    Parameters
    ----------
    target : str
        A population of spike sources, one a feature; with ``off`` as many again, for falls.
    threshold : float, > 0
    off : bool
    """

    def __init__(self, target: str, threshold: float, off: bool = False) -> None:
        super().__init__(target)
        self.threshold, self.off = number("Delta.threshold", threshold), bool(off)
        if self.threshold <= 0:
            raise ModelError(f"Delta.threshold: must be > 0; got {threshold!r}.")

    def __repr__(self) -> str:
        return f"Delta({self.target!r}, threshold={exact(self.threshold)}, off={self.off})"

    def check(self, x: Any, size: int) -> Any:
        """See :class:`Encoder`."""
        array = Encoder.check(self, x, size)
        if array.ndim != 3 or array.shape[2] * (1 + self.off) != size:
            wanted = f"(N, steps, {size // (1 + self.off)})"
            raise ShapeError(f"{self!r}: samples must have shape {wanted} for {size} sources; got {array.shape}.")
        return array

    def spikes(self, x: Any, ids: np.ndarray, t_max: int) -> np.ndarray:
        """See :class:`_Spikes`."""
        change = np.diff(x, axis=1, prepend=0.0)[:, :t_max]
        rises = change >= self.threshold
        return np.concatenate((rises, change <= -self.threshold), axis=2) if self.off else rises


class Events(_Spikes):
    """Address events: each sample a pair (steps, sources) of integers; events of one source in one step are one spike.

    Parameters
    ----------
    target : str
        A population of spike sources, one an address.
    """

    def __repr__(self) -> str:
        return f"Events({self.target!r})"

    def check(self, x: Any, size: int) -> Any:
        """See :class:`Encoder`."""
        out = []
        if not isinstance(x, Iterable):
            raise ShapeError(f"{self!r}: samples must be pairs (steps, sources), one a sample; got {x!r}.")
        for n, sample in enumerate(x):
            try:
                step, source = (np.atleast_1d(np.asarray(part)) for part in sample)
            except (TypeError, ValueError) as error:
                raise ShapeError(
                    f"{self!r}: sample {n} must be a pair (steps, sources) of arrays; got {type(sample).__name__} "
                    f"({error})."
                ) from error
            if step.shape != source.shape or step.ndim != 1:
                raise ShapeError(
                    f"{self!r}: sample {n} must be a pair of equally long arrays; got {step.shape}, {source.shape}."
                )
            if step.size and (step.dtype.kind not in "iu" or source.dtype.kind not in "iu"):
                raise ModelError(
                    f"{self!r}: sample {n}: steps and sources must be integers; got {step.dtype}, {source.dtype}."
                )
            if step.size and (step.min() < 0 or source.min() < 0 or source.max() >= size):
                raise ModelError(f"{self!r}: sample {n}: steps must be >= 0 and sources 0 to {size - 1}.")
            out.append(np.unique(np.stack((step, source), axis=1).astype(np.int64).reshape(-1, 2), axis=0))
        if not out:
            raise ShapeError(f"{self!r}: there must be a sample; got none.")
        return out

    def encode(self, x: Any, ids: np.ndarray, t_max: int) -> Batch:
        """See :class:`Encoder`."""
        first = np.concatenate(([0], np.cumsum([len(sample) for sample in x]))).astype(np.int64)
        events = np.concatenate(x)
        return Batch(np.empty((len(x), 0)), *_NO_WEIGHT, first, events[:, 0].copy(), events[:, 1].astype(np.int32))
