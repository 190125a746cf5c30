"""Where neurons lie to each other: distances between positions in an open or periodic space, and functions of them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from kernels.units import plain, refuse_units
from plasticity.settled import settled


def given_wrap(owner: str, wrap: Any, dimensions: int) -> np.ndarray | None:
    """``wrap`` as period of each dimension, inf where it is open; None where all are."""
    box = np.asarray(plain(wrap, "1", owner), float)
    if box.shape not in ((), (1,), (dimensions,)) or not np.all(box > 0):
        rule = f"must be a length > 0 or one for each of {dimensions} dimensions, inf where it is open"
        raise ShapeError(f"{owner}: {rule}; got {wrap!r}.")
    return settled(np.broadcast_to(box, dimensions).copy()) if np.any(np.isfinite(box)) else None


def displacements(here: np.ndarray, there: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """The shortest ways from positions ``here`` to ``there``, both (k, d); ``box``: period of each dimension, or None.

    Half a period leads to the side to which the difference of the positions points.
    """
    delta = there - here
    if box is None:
        return np.asarray(delta)
    ahead = np.abs(delta) % box
    return np.asarray(np.copysign(np.minimum(ahead, box - ahead), np.where(ahead <= box - ahead, delta, -delta)))


def values(
    owner: str, function: Callable[..., Any], here: np.ndarray, there: np.ndarray, box: np.ndarray | None
) -> np.ndarray:
    """``function`` of the distances from ``here`` to ``there``, one finite float64 a pair; errors name ``owner``."""
    apart = displacements(here, there, box)
    try:
        found = function(np.sqrt(np.sum(apart * apart, axis=1)))
        array = np.asarray(found, float)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{owner}: must be a function of an array of distances, such as lambda d: np.where(d < 0.3, 1.0, 0.0); "
            f"it fails: {error}."
        ) from error
    refuse_units(owner, found)
    if array.shape not in ((), apart.shape[:1]) or not np.all(np.isfinite(array)):
        raise ModelError(f"{owner}: must give one finite number a distance; got {found!r}.")
    return np.broadcast_to(array, apart.shape[:1]).copy()
