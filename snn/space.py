"""Where neurons lie to each other: displacements and distances in an open or periodic space, and functions of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError, UnitError
from kernels.units import plain, refuse_units
from plasticity.settled import settled


@dataclass(frozen=True)
class displacement:
    """A function of the displacements from source to target, where otherwise one of their distances is given.

    Parameters
    ----------
    function : takes an array a dimension, (dx), (dx, dy) or (dx, dy, dz): position of the target minus position of the
        source, in a periodic space those of the shortest way; gives a number a pair

    Examples
    --------
    Three neurons on a line, each connected with those on its right:

    >>> import snn
    >>> net = snn.Network()
    >>> a = net.population("a", 3, snn.LIFDelta(), positions=[[0.0], [1.0], [2.0]])
    >>> right = snn.distance_dependent(snn.displacement(lambda dx: dx > 0))
    >>> net.connect(a, a, right, weight=snn.displacement(lambda dx: 0.5 * dx)).weight
    array([0.5, 1. , 0.5])
    """

    function: Callable[..., Any]

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise ModelError(f"displacement.function: must be a function of displacements; got {self.function!r}.")

    def __call__(self, *apart: np.ndarray) -> Any:
        """The function's values at displacements, an array a dimension."""
        return self.function(*apart)


def given_wrap(owner: str, wrap: Any, dimensions: int) -> np.ndarray | None:
    """``wrap`` as period of each dimension, inf where it is open; None where all are."""
    box = np.asarray(plain(wrap, "1", owner), float)
    if box.shape not in ((), (1,), (dimensions,)) or not np.all(box > 0):
        rule = f"must be a length > 0 or one for each of {dimensions} dimensions, inf where it is open"
        raise ShapeError(f"{owner}: {rule}; got {wrap!r}.")
    return settled(np.broadcast_to(box, dimensions).copy()) if np.any(np.isfinite(box)) else None


def displacements(here: np.ndarray, there: np.ndarray, box: np.ndarray | None) -> np.ndarray:
    """The shortest ways from positions ``here`` to ``there``, both (k, d), as (d, k); ``box``: periods, or None.

    Half a period leads to the side to which the difference of the positions points.
    """
    delta = np.ascontiguousarray((there - here).T, float)  # numpy is slow along an axis of two or three
    if box is None:
        return delta
    ahead, period = np.abs(delta), box[:, None]
    if np.any(ahead >= period):
        ahead %= period
    back = period - ahead
    np.negative(delta, where=ahead > back, out=delta)
    return np.asarray(np.copysign(np.minimum(ahead, back, out=ahead), delta, out=delta))


def values(
    owner: str,
    function: Callable[..., Any],
    here: np.ndarray,
    there: np.ndarray,
    box: np.ndarray | None,
    quantities: bool = False,
) -> Any:
    """``function`` of the ways from ``here`` to ``there``, one finite float64 a pair; errors name ``owner``.

    With ``quantities``, what has units keeps them: one quantity a pair.
    """
    apart = displacements(here, there, box)
    what = "an array of distances, such as lambda d: np.where(d < 0.3, 1.0, 0.0)"
    if isinstance(function, displacement):
        what = f"arrays of displacements, one for each of {len(apart)} dimensions"
    try:
        if isinstance(function, displacement):
            found = function(*apart)
        else:
            found = function(np.sqrt(np.sum(apart * apart, axis=0)))
    except (TypeError, ValueError) as error:
        raise ModelError(f"{owner}: must be a function of {what}; it fails: {error}.") from error
    try:
        for x in found if isinstance(found, (list, tuple)) else (found,):  # an array would drop units
            refuse_units(owner, x)
    except UnitError:
        listed = isinstance(found, (list, tuple)) or not hasattr(found, "__mul__")
        if not quantities or listed or np.shape(found) not in ((), apart.shape[1:]):
            raise
        return found * np.ones(apart.shape[1:])
    try:
        array = np.asarray(found, float)
    except (TypeError, ValueError) as error:
        raise ModelError(f"{owner}: must give one finite number a pair; got {found!r}.") from error
    if array.shape not in ((), apart.shape[1:]) or not np.all(np.isfinite(array)):
        raise ModelError(f"{owner}: must give one finite number a pair; got {found!r}.")
    return np.broadcast_to(array, apart.shape[1:]).copy()
