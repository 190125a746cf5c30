"""Reservoirs made of reservoirs: one after the other, and side by side."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from reservoir.base import Reservoir, series


class _Composed(Reservoir):
    """Base of both: ``parts`` and the states of all of them, in their order."""

    def __init__(self, parts: Any, readout: Any) -> None:
        self.parts, self.readout = list(parts), readout
        owner = type(self).__name__
        if not self.parts or not all(isinstance(part, Reservoir) for part in self.parts):
            raise ModelError(f"{owner}.parts: must be reservoirs, at least one; got {parts!r}.")
        if len({id(part) for part in self.parts}) < len(self.parts):
            raise ModelError(f"{owner}.parts: must be different objects, because each has a state; got one twice.")
        self.n, self.n_inputs = sum(part.n for part in self.parts), self.parts[0].n_inputs

    def _through(self, u: np.ndarray, states: Callable[[Reservoir, np.ndarray], np.ndarray]) -> np.ndarray:
        raise NotImplementedError

    def reset(self) -> None:
        """See :class:`Reservoir`."""
        for part in self.parts:
            part.reset()

    def run(self, u: Any) -> np.ndarray:
        """See :class:`Reservoir`."""
        u = series(f"{type(self).__name__}.run.u", u, self.n_inputs)
        return self._through(u, lambda part, x: part.run(x))

    def _drawn(self, u: Any, draw: tuple[int, int]) -> np.ndarray:
        u = series(f"{type(self).__name__}.states.u", u, self.n_inputs)
        return self._through(u, lambda part, x: part._drawn(x, draw))


class Deep(_Composed):
    """Layers: the states of each reservoir are the input of the next; the readout sees all of them.

    Parameters
    ----------
    parts : reservoirs, each with as many inputs as the one before has states; their own readouts are not used
    readout : such as :class:`reservoir.Ridge`

    References
    ----------
    Gallicchio, Micheli & Pedrelli 2017, doi:10.1016/j.neucom.2016.12.089

    Examples
    --------
    >>> import reservoir
    >>> first = reservoir.EchoStateNetwork.random(50, seed=1)
    >>> second = reservoir.EchoStateNetwork.random(30, n_inputs=50, input_scale=0.1, leak=0.3, seed=2)
    >>> Deep([first, second]).states([0.1, -0.2, 0.3]).shape
    (3, 80)
    """

    def __init__(self, parts: Any, readout: Any = None) -> None:
        super().__init__(parts, readout)
        for k, (before, after) in enumerate(zip(self.parts, self.parts[1:], strict=False)):
            if after.n_inputs != before.n:
                raise ShapeError(
                    f"Deep.parts: part {k + 1} must have {before.n} inputs, the states of part {k}; "
                    f"got {after.n_inputs}."
                )

    def _through(self, u: np.ndarray, states: Callable[[Reservoir, np.ndarray], np.ndarray]) -> np.ndarray:
        found = []
        for part in self.parts:
            u = states(part, u)
            found.append(u)
        return np.hstack(found)


class Parallel(_Composed):
    """Reservoirs side by side: all get the same input, the readout sees the states of all of them.

    Parameters
    ----------
    parts : reservoirs with equally many inputs; their own readouts are not used
    readout : such as :class:`reservoir.Ridge`
    """

    def __init__(self, parts: Any, readout: Any = None) -> None:
        super().__init__(parts, readout)
        widths = [part.n_inputs for part in self.parts]
        if len(set(widths)) > 1:
            raise ShapeError(f"Parallel.parts: must have equally many inputs; got {widths}.")

    def _through(self, u: np.ndarray, states: Callable[[Reservoir, np.ndarray], np.ndarray]) -> np.ndarray:
        return np.hstack([states(part, u) for part in self.parts])
