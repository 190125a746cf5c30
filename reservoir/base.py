"""What every reservoir shares: a state driven by an input series, and a readout trained on it."""

from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from snn.units import real, whole


def series(owner: str, values: Any, width: int | None = None) -> np.ndarray:
    """``values`` as a finite float64 array of shape (T, d); (T,) is taken as (T, 1)."""
    array = real(owner, values).astype(np.float64, copy=False)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or len(array) == 0 or (width is not None and array.shape[1] != width):
        wanted = f"(T, {width})" if width is not None else "(T, d)"
        raise ShapeError(f"{owner}: must have shape {wanted}, T >= 1; got {np.shape(values)}.")
    if not np.all(np.isfinite(array)):
        where = int(np.flatnonzero(~np.isfinite(array).all(axis=1))[0])
        raise ModelError(f"{owner}: must be finite; got {array[where].tolist()} at step {where}.")
    return array


def row(owner: str, values: Any, width: int) -> np.ndarray:
    """One step of a series, ``width`` numbers (or one number), as a series of shape (1, width)."""
    return series(owner, real(owner, values).reshape(1, -1), width)


def is_list(owner: str, values: Any) -> bool:
    """Whether ``values`` are several sequences: a list or tuple of arrays of one or two dimensions."""
    if not isinstance(values, (list, tuple)) or not values:
        return False
    if all(isinstance(v, (list, tuple)) for v in values):
        raise ShapeError(
            f"{owner}: must be an array, or a list of arrays; got a {type(values).__name__} of "
            f"{type(values[0]).__name__}s. Give one series as np.array(..), several as a list of np.array(..)."
        )
    return all(np.ndim(v) >= 1 for v in values)


def check_readout(owner: str, readout: Any) -> None:
    """Refuse what is no readout."""
    parts = ("reset", "partial_fit", "solve", "predict")
    if readout is None:
        raise ModelError(f"{owner}: there is no readout; give readout=reservoir.Ridge().")
    if isinstance(readout, type) or not all(callable(getattr(readout, part, None)) for part in parts):
        raise ModelError(f"{owner}.readout: must be a readout, such as reservoir.Ridge(); got {readout!r}.")


class Reservoir:
    """Base of reservoirs: :meth:`fit`, :meth:`predict` and :meth:`states` begin every sequence at rest, so that a
    prediction depends on its input alone, and leave the present state as it is; :meth:`run`, :meth:`step` and
    :meth:`generate` go on from it, where there is one.
    ``n`` states are read; there are ``n_inputs``.

    Where there is noise, its numbers depend on ``draw`` and the sequence's place in its list: each sequence has its
    own, :meth:`predict` by default others than :meth:`fit`, and the same call gives the same.
    """

    n: int
    n_inputs: int
    readout: Any

    def states(self, u: Any, draw: int = 0) -> Any:
        """States after each step of the input ``u``, shape (T, n_inputs), from rest: array of shape (T, n), or a list
        for a list.

        ``draw`` : >= 0, of the noise, where there is any; 0 are the numbers of :meth:`fit`
        """
        owner = f"{type(self).__name__}.states"
        draw = whole(f"{owner}.draw", draw, 0)
        if is_list(f"{owner}.u", u):
            return [self._drawn(part, (draw, k)) for k, part in enumerate(u)]
        return self._drawn(u, (draw, 0))

    def _drawn(self, u: Any, draw: tuple[int, int]) -> np.ndarray:
        """States of one sequence with the noise of ``draw``: the set, and the place in a list.

        Without noise a reservoir of one's own may give :meth:`states` instead.
        """
        if type(self).states is Reservoir.states:
            raise NotImplementedError
        return np.asarray(self.states(u))

    def reset(self) -> None:
        """Return to rest."""
        raise ModelError(f"{type(self).__name__}: begins every series at rest; it has no present state. Use states().")

    def run(self, u: Any) -> np.ndarray:
        """States after each step of the input ``u``, shape (T, n_inputs), from the present state: shape (T, n)."""
        raise ModelError(f"{type(self).__name__}: begins every series at rest; it has no present state. Use states().")

    def step(self, u: Any) -> np.ndarray:
        """Output, shape (n_outputs,), after one step of input ``u``, shape (n_inputs,), from the present state; the
        state itself without a readout."""
        owner = f"{type(self).__name__}.step"
        if self.readout is not None:
            check_readout(owner, self.readout)
        state = self.run(row(f"{owner}.u", u, self.n_inputs))
        return np.asarray((state if self.readout is None else self.readout.predict(state))[0])

    def generate(self, steps: int, first: Any) -> np.ndarray:
        """Closed loop: the output is the next input; ``first`` is the input of the first step.

        Returns the outputs, shape (steps, n_inputs). Drive the reservoir with :meth:`run` before.
        """
        owner = f"{type(self).__name__}.generate"
        check_readout(owner, self.readout)
        value = row(f"{owner}.first", first, self.n_inputs)[0]
        out = np.empty((whole(f"{owner}.steps", steps, 0), self.n_inputs))
        for t in range(len(out)):
            value = self.step(value)
            if value.shape != (self.n_inputs,):
                raise ShapeError(f"{owner}: needs as many outputs as inputs; got {value.size} and {self.n_inputs}.")
            out[t] = value
        return out

    def fit(self, u: Any, y: Any, washout: int = 0, draw: int = 0) -> "Reservoir":
        """Train the readout.

        Parameters
        ----------
        u : input series of shape (T, n_inputs), or a list of such; sequences may differ in length
        y : targets of shape (T, n_outputs), or a list of as many
        washout : steps at the begin of each sequence that the readout does not see
        draw : >= 0, of the noise, where there is any

        Raises
        ------
        ModelError
            Without a readout, or where a value is not finite.
        ShapeError
            Where ``y`` does not go with ``u``, or no step is left after the washout.
        """
        owner = f"{type(self).__name__}.fit"
        check_readout(owner, self.readout)
        many = is_list(f"{owner}.u", u)
        inputs, targets = (list(u), list(y)) if many else ([u], [y])
        if len(inputs) != len(targets):
            raise ShapeError(f"{owner}: needs one target sequence for each input; got {len(targets)}, {len(inputs)}.")
        washout, draw = whole(f"{owner}.washout", washout, 0), whole(f"{owner}.draw", draw, 0)
        pairs = []
        for k, (a, b) in enumerate(zip(inputs, targets, strict=True)):
            part = f"[{k}]" if many else ""
            a, b = series(f"{owner}.u{part}", a, self.n_inputs), series(f"{owner}.y{part}", b)
            if len(a) != len(b):
                raise ShapeError(f"{owner}.y{part}: must be as long as u; got {len(b)} and {len(a)} steps.")
            if len(a) <= washout:
                raise ShapeError(f"{owner}.u{part}: must be longer than washout = {washout}; got {len(a)} steps.")
            pairs.append((a, b))
        self.readout.reset()
        for k, (a, b) in enumerate(pairs):
            self.readout.partial_fit(self._drawn(a, (draw, k))[washout:], b[washout:])
        self.readout.solve()
        return self

    def predict(self, u: Any, draw: int = 1) -> Any:
        """Output for the input ``u``, from rest: array of shape (T, n_outputs), or a list for a list.

        ``draw`` : >= 0, of the noise, where there is any; 0 are the numbers of :meth:`fit`
        """
        owner = f"{type(self).__name__}.predict"
        check_readout(owner, self.readout)
        draw = whole(f"{owner}.draw", draw, 0)
        if is_list(f"{owner}.u", u):
            return [self.readout.predict(self._drawn(part, (draw, k))) for k, part in enumerate(u)]
        return self.readout.predict(self._drawn(u, (draw, 0)))
