"""Rate reservoirs of excitatory and inhibitory units, whose inhibition is tuned globally or to target rates."""

from typing import Any

import numpy as np
import scipy.sparse
import scipy.special

from kernels.errors import ModelError, ShapeError
from reservoir.base import series
from reservoir.checks import each, finite, flag, generator, learning_rates, matrix
from reservoir.esn import EchoStateNetwork, frozen
from snn.units import bounded, brief, whole


class DaleNetwork(EchoStateNetwork):
    """Rate reservoir that obeys Dale's law: sigmoid units, each all excitatory or all inhibitory.

    Equations
    ---------
    v(t) = (excitatory - inhibitory) r(t-1) + w_in u(t)
    r(t) = (1 - leak) r(t-1) + leak / (1 + exp(-slope (v(t) - threshold))), r = 1/2 at rest

    Inhibition is set in one of three ways, each of which gives a new network without a readout:

    - :meth:`scaled`: all of it by one gain, global tuning
    - :meth:`adapted`: online and locally; inhibitory synapses that there are follow
      inhibitory_ij += eta (r_i(t) - target_i), not below 0
    - :meth:`designed`: in one step; row i of ``inhibitory`` is scaled so that unit i has its target rate where the
      others have theirs and the input its mean

    Targets that differ from unit to unit keep terms of even order: with all at 1/2, r - 1/2 is an odd function of v.

    Numerics
    --------
    With r = (1 + x) / 2 it is an echo-state network of tanh units x, which is what runs. States are r, so that a run in
    pieces equals one in one piece but for rounding.

    Parameters
    ----------
    excitatory, inhibitory : arrays or scipy.sparse matrices >= 0 of shape (n, n), row = target
    w_in : array of shape (n, n_inputs)
    slope : > 0;  threshold : number or array of shape (n,)
    leak, readout, threads : as :class:`EchoStateNetwork`

    Raises
    ------
    ShapeError, ModelError
        Where an array has the wrong shape, is not finite or out of bounds, or a unit is excitatory and inhibitory.

    References
    ----------
    Srinivasan, Plenz & Girvan 2025, arXiv:2504.12480

    Examples
    --------
    >>> import numpy as np, reservoir
    >>> u = np.random.default_rng(1).uniform(-1.0, 1.0, 3000)
    >>> net = reservoir.DaleNetwork.random(100, indegree=20, input_scale=0.1, seed=1).adapted(u, 0.5)
    >>> bool(net.rate_error(u, 0.5) < 0.01)
    True
    """

    _fixed = (*EchoStateNetwork._fixed, "excitatory", "inhibitory", "inputs", "slope", "threshold")

    def __init__(
        self, excitatory: Any, inhibitory: Any, w_in: Any, slope: float = 10.0, threshold: Any = 0.0, leak: Any = 1.0,
        readout: Any = None, threads: int | None = None,
    ) -> None:  # fmt: skip
        slope = bounded("DaleNetwork.slope", slope, 0.0, open_low=True)
        self.excitatory, self.inhibitory = (
            _side(name, m) for name, m in (("excitatory", excitatory), ("inhibitory", inhibitory))
        )
        if self.excitatory.shape != self.inhibitory.shape:
            raise ShapeError(
                f"DaleNetwork.inhibitory: must have the shape of excitatory, {self.excitatory.shape}; "
                f"got {self.inhibitory.shape}."
            )
        both = np.intersect1d(self.excitatory.indices, self.inhibitory.indices)
        if both.size:
            raise ModelError(f"DaleNetwork: a unit is excitatory or inhibitory; got both of unit {both[0]}.")
        self.inputs, self.slope = np.array(finite("DaleNetwork.w_in", w_in)), slope
        self.inputs.flags.writeable = False
        self.threshold = each("DaleNetwork.threshold", threshold, self.excitatory.shape[0])
        w = self.excitatory - self.inhibitory
        bias = 0.25 * slope * np.asarray(w.sum(axis=1)).ravel() - 0.5 * slope * self.threshold
        super().__init__(0.25 * slope * w, 0.5 * slope * self.inputs, bias, leak, readout, threads)

    @classmethod
    def random(  # type: ignore[override]
        cls, n: int, n_inputs: int = 1, indegree: int = 50, excitatory: float = 0.8, spread: float = 0.2,
        fixed: bool = True, driven: float = 0.3, input_scale: float = 0.5, slope: float = 10.0, threshold: Any = 0.0,
        leak: Any = 1.0, seed: int = 0, readout: Any = None, threads: int | None = None,
    ) -> "DaleNetwork":  # fmt: skip
        """A balanced network with random weights: of each unit, the expected sum is 0.

        Parameters
        ----------
        n, n_inputs : number of units and of inputs
        indegree : inputs a unit, of which the share ``excitatory`` (of the units, too) is excitatory
        spread : standard deviation of weights relative to their mean, normal, not below 0. The mean of excitatory ones
            is 1 / (indegree excitatory), so that their sum is 1 on average, as is that of inhibitory ones
        fixed : True: each unit has that many inputs; False: each pair is joined with probability indegree / n
        driven : share of the units that get input;  input_scale : w_in is uniform in (-input_scale, input_scale)
        slope, threshold, leak, readout, threads : see the class
        seed : fixes all weights
        """
        owner = "DaleNetwork.random"
        n, n_inputs = whole(f"{owner}.n", n, 3), whole(f"{owner}.n_inputs", n_inputs)
        input_scale, indegree = bounded(f"{owner}.input_scale", input_scale, 0.0), whole(f"{owner}.indegree", indegree)
        excitatory = bounded(f"{owner}.excitatory", excitatory, 0.0, 1.0)
        spread = bounded(f"{owner}.spread", spread, 0.0)
        driven, fixed = bounded(f"{owner}.driven", driven, 0.0, 1.0, open_low=True), flag(f"{owner}.fixed", fixed)
        sizes = (round(excitatory * n), n - round(excitatory * n))
        if not all(0 < size < n for size in sizes):
            raise ModelError(f"{owner}.excitatory: must leave units of both kinds; got {excitatory!r} of n={n!r}.")
        each = (round(excitatory * indegree), indegree - round(excitatory * indegree))
        if not all(0 < few <= size for few, size in zip(each, sizes, strict=True)):
            raise ModelError(
                f"{owner}.indegree: must leave 1 to {sizes[0]} excitatory and 1 to {sizes[1]} inhibitory inputs a "
                f"unit; got {indegree!r}."
            )
        rng = generator(owner, seed)
        sides = []
        for first, size, few in ((0, sizes[0], each[0]), (sizes[0], sizes[1], each[1])):
            if fixed:
                columns = np.concatenate([rng.choice(size, few, replace=False) for _ in range(n)])
                rows = np.repeat(np.arange(n), few)
            else:
                rows, columns = np.nonzero(rng.uniform(size=(n, size)) < few / size)
            weights = np.maximum(rng.normal(1.0, spread, len(rows)), 0.0) / few
            sides.append(scipy.sparse.csr_array((weights, (rows, first + columns)), shape=(n, n)))
        w_in = rng.uniform(-input_scale, input_scale, (n, n_inputs))
        w_in[rng.permutation(n)[max(1, round(driven * n)) :]] = 0.0
        return cls(sides[0], sides[1], w_in, slope, threshold, leak, readout, threads)

    def reset(self) -> None:
        """Return to r = 1/2."""
        self._x = np.full(self.n, 0.5)

    def run(self, u: Any) -> np.ndarray:
        """Rates after each step of the input ``u``, shape (T, n_inputs), from the present state: shape (T, n)."""
        u = series("DaleNetwork.run.u", u, self.n_inputs)
        self._x = 2.0 * self._x - 1.0
        rates = 0.5 * (super().run(u) + 1.0)
        self._x = rates[-1].copy()
        return rates

    @property
    def balance(self) -> np.ndarray:
        """Sum of excitatory less sum of inhibitory weights of each unit, shape (n,)."""
        return np.asarray((self.excitatory - self.inhibitory).sum(axis=1)).ravel()

    def scaled(self, gain: float) -> "DaleNetwork":
        """Inhibition times ``gain``, >= 0, for all units."""
        return self._with(self.inhibitory * bounded("DaleNetwork.scaled.gain", gain, 0.0))

    def adapted(self, u: Any, target: Any, eta: Any = (1e-2, 1e-3)) -> "DaleNetwork":
        """Inhibition after local adaptation to the rates ``target`` while ``u`` goes by.

        Parameters
        ----------
        u : input without labels, shape (T, n_inputs)
        target : rate of each unit, > 0 and < 1: a number or an array of shape (n,)
        eta : learning rates, > 0; ``u`` goes by once with each
        """
        u, target = series("DaleNetwork.adapted.u", u, self.n_inputs), self._targets("adapted", target)
        drive, inhibitory, r = u @ self.inputs.T, self.inhibitory.copy(), np.full(self.n, 0.5)
        lengths = np.diff(inhibitory.indptr)
        for rate in learning_rates("DaleNetwork.adapted.eta", eta):
            for now in drive:
                v = self.excitatory @ r - inhibitory @ r + now
                r = r + self.leak * (scipy.special.expit(self.slope * (v - self.threshold)) - r)
                inhibitory.data += np.repeat(rate * (r - target), lengths)
                np.maximum(inhibitory.data, 0.0, out=inhibitory.data)
        return self._with(inhibitory)

    def designed(self, mean: Any, target: Any) -> "DaleNetwork":
        """Inhibition by design in one step.

        Row i is scaled by ((excitatory target)_i + (w_in mean)_i - threshold_i - logit(target_i) / slope) /
        (inhibitory target)_i, 0 where that is negative.

        Parameters
        ----------
        mean : of the input, a number or an array of shape (n_inputs,)
        target : as in :meth:`adapted`
        """
        target = self._targets("designed", target)
        excess = self.excitatory @ target + self.inputs @ each("DaleNetwork.designed.mean", mean, self.n_inputs)
        excess = excess - self.threshold - scipy.special.logit(target) / self.slope
        against = self.inhibitory @ target
        factor = np.divide(np.maximum(excess, 0.0), against, out=np.zeros(self.n), where=against > 0.0)
        return self._with(scipy.sparse.csr_array(self.inhibitory * factor[:, None]))

    def rate_error(self, u: Any, target: Any, washout: int = 100) -> float:
        """Mean over the units of the distance of their mean rate under ``u``, from rest, from ``target``.

        Parameters
        ----------
        u : input, shape (T, n_inputs)
        target : a number or an array of shape (n,)
        washout : steps at the begin that do not count
        """
        target, washout = self._targets("rate_error", target), whole("DaleNetwork.rate_error.washout", washout, 0)
        states = self.states(u)
        if len(states) <= washout:
            raise ShapeError(
                f"DaleNetwork.rate_error.u: must be longer than washout = {washout}; got {len(states)} steps."
            )
        return float(np.abs(states[washout:].mean(axis=0) - target).mean())

    def _with(self, inhibitory: Any) -> "DaleNetwork":
        return DaleNetwork(
            self.excitatory, inhibitory, self.inputs, self.slope, self.threshold, self.leak, threads=self.threads
        )

    def _targets(self, method: str, target: Any) -> np.ndarray:
        array = each(f"DaleNetwork.{method}.target", target, self.n)
        if not np.all((array > 0.0) & (array < 1.0)):
            raise ModelError(f"DaleNetwork.{method}.target: must be > 0 and < 1; got {brief(target)}.")
        return array


def _side(name: str, values: Any) -> scipy.sparse.csr_array:
    side = matrix(f"DaleNetwork.{name}", values)
    if np.any(side.data < 0):
        raise ModelError(f"DaleNetwork.{name}: must be >= 0; got {side.data.min()}.")
    return frozen(side)
