"""Arguments that reservoirs share, checked where they come in."""

from typing import Any

import numpy as np
import scipy.sparse

from kernels.errors import ModelError, ShapeError
from snn.units import real, whole


def generator(owner: str, seed: Any) -> np.random.Generator:
    """Random numbers of ``seed``, an integer >= 0 or a list of such."""
    for part in seed if isinstance(seed, (list, tuple)) and seed else [seed]:
        whole(f"{owner}.seed", part, 0)
    return np.random.default_rng(seed)


def flag(owner: str, value: Any) -> bool:
    """``value``, which must be True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ModelError(f"{owner}: must be True or False; got {value!r}.")
    return bool(value)


def finite(owner: str, values: Any) -> np.ndarray:
    """``values`` as a float64 array of real, finite numbers."""
    array = real(owner, values).astype(np.float64, copy=False)
    if not np.all(np.isfinite(array)):
        at = tuple(np.argwhere(~np.isfinite(array))[0].tolist())
        where = f" at {', '.join(map(str, at))}" if at else ""
        raise ModelError(f"{owner}: must be finite; got {array[at]}{where}.")
    return array


def each(owner: str, values: Any, n: int) -> np.ndarray:
    """A number, or an array of shape (n,), as an array of shape (n,) that nobody can write into."""
    if isinstance(values, (bool, np.bool_)):
        raise ModelError(f"{owner}: must be a number or an array of them; got {values!r}.")
    array = finite(owner, values)
    if array.shape not in ((), (n,)):
        raise ShapeError(f"{owner}: must be a number or of shape ({n},); got shape {array.shape}.")
    array = np.array(np.broadcast_to(array, (n,)))
    array.flags.writeable = False
    return array


def matrix(owner: str, values: Any) -> scipy.sparse.csr_array:
    """An array or sparse matrix as a sparse copy of finite numbers."""
    given: Any = values if scipy.sparse.issparse(values) else real(owner, values)
    if given.ndim != 2 or 0 in given.shape:
        raise ShapeError(f"{owner}: must be a matrix of numbers; got shape {given.shape}.")
    given = scipy.sparse.csr_array(given, copy=True)
    finite(owner, given.data)
    return scipy.sparse.csr_array(given, dtype=np.float64)


def learning_rates(owner: str, values: Any) -> np.ndarray:
    """Learning rates > 0, one or several, as an array of shape (k,)."""
    array = np.atleast_1d(finite(owner, values))
    if array.ndim != 1 or not array.size or array.min() <= 0.0:
        raise ModelError(f"{owner}: must be > 0, a number or several; got {values!r}.")
    return array
