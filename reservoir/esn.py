"""Echo-state networks: leaky rate units with fixed sparse weights."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.sparse
import scipy.sparse.csgraph
import scipy.sparse.linalg

from kernels.codegen import inlined_scalar
from kernels.cpu.deliver import prefetch_to_write
from kernels.cpu.lanes import LANES, add_rows
from kernels.cpu.sync import wait
from kernels.errors import ModelError, ShapeError
from kernels.jit import inlined, kernel
from reservoir.base import Reservoir, series
from reservoir.checks import each, finite, generator, matrix
from snn.host import cores
from snn.units import bounded, whole

_UNIT = 7  # weights that take the time of one unit
_THREADED = 60_000  # weights, with those for units, below which a barrier a step costs more than a second thread gives

DENSE = 1000  # rows up to which all eigenvalues are computed: about a second
DENSE_AT_LAST = 5000  # .. where ARPACK fails: some minutes
RESTARTS = 100  # of ARPACK; of random matrices it takes a few

_decay = inlined_scalar("decay")


@inlined
def _tanh(x):  # type: ignore[no-untyped-def]
    """Absolute error below 3e-16. That of kernels.scalar has a relative one; a step takes an eighth longer."""
    e = _decay(2.0 * abs(x))
    t = (1.0 - e) / (1.0 + e)
    return t if x >= 0.0 else -t


@kernel
def _advance(u, states, z, sums, weights, columns, begin, rows, keep, leak, first, last, parts, arrived):  # type: ignore[no-untyped-def]
    """All steps of ``u``, of the groups of rows ``first`` to ``last``; z[t % 2] holds (x, u, 1) before step t, x in the
    order of ``rows`` and filled up to whole groups; ``keep`` is 1 - leak."""
    low, high = np.uint64(first * LANES), np.uint64(last * LANES)
    n, at = np.uint64(states.shape[1]), np.uint64(len(leak))
    for t in range(np.uint64(len(u))):
        old, new = z[t & np.uint64(1)], z[(t + np.uint64(1)) & np.uint64(1)]
        if parts > 1:  # others have read these cache lines, for which each store would wait
            for i in range(low, high, np.uint64(LANES)):
                prefetch_to_write(new, i)
        for g in range(np.uint64(first), np.uint64(last)):
            add_rows(weights, columns, old, begin[g], begin[g + np.uint64(1)], sums, np.uint64(LANES) * g)
        for i in range(low, high):
            new[i] = keep[i] * old[i] + leak[i] * _tanh(sums[i])
        state = states[t]
        for i in range(low, min(high, n)):
            state[rows[i]] = new[i]
        if first == 0 and t + np.uint64(1) < len(u):
            for j in range(np.uint64(u.shape[1])):
                new[at + j] = u[t + np.uint64(1), j]
        if parts > 1:
            wait(arrived, np.int64(t + np.uint64(1)) * parts)


class EchoStateNetwork(Reservoir):
    """Echo-state network: leaky tanh units with fixed sparse weights, of which only the readout is trained.

    Equations
    ---------
    x(t) = (1 - leak) x(t-1) + leak tanh(w x(t-1) + w_in u(t) + bias), x = 0 at rest

    Numerics
    --------
    float64; a unit adds its inputs one after the other in the order of its row of w, then w_in, then bias, so that
    states are the same bits for any number of threads.

    Parameters
    ----------
    w : array or scipy.sparse matrix of shape (n, n), row = target
    w_in : array or scipy.sparse matrix of shape (n, n_inputs)
    bias : number or array of shape (n,)
    leak : number or array of shape (n,), > 0 and <= 1
    readout : such as :class:`reservoir.Ridge`; None: states only
    threads : None: one for each core, or one where a step takes less than some 10 us

    ``w``, ``w_in``, ``bias`` and ``leak`` are copies and stay as they are: another network is a new one.
    :meth:`run`, :meth:`step` and :meth:`generate` go on from the present state, ``x``, which may be set; :meth:`reset`
    returns to rest.

    Raises
    ------
    ShapeError, ModelError
        Where an array has the wrong shape, is not finite or out of bounds.

    References
    ----------
    Jaeger 2001, GMD report 148; Jaeger et al. 2007, doi:10.1016/j.neunet.2007.04.016 (leaky units)

    Examples
    --------
    >>> import reservoir
    >>> u, y = reservoir.tasks.narma(3000, order=10, seed=1)
    >>> net = reservoir.EchoStateNetwork.random(200, radius=0.9, input_scale=0.2, bias_scale=0.2, seed=1)
    >>> net.readout = reservoir.Ridge()
    >>> prediction = net.fit(u[:2000], y[:2000], washout=100).predict(u)
    >>> bool(reservoir.measures.nrmse(prediction[2000:], y[2000:]) < 0.4)
    True
    """

    _fixed: tuple[str, ...] = ("w", "w_in", "bias", "leak", "n", "n_inputs")

    def __init__(
        self, w: Any, w_in: Any, bias: Any = 0.0, leak: Any = 1.0, readout: Any = None, threads: int | None = None
    ) -> None:
        self.w, self.w_in = frozen(matrix("EchoStateNetwork.w", w)), frozen(matrix("EchoStateNetwork.w_in", w_in))
        self.n, self.n_inputs = self.w_in.shape
        if self.w.shape != (self.n, self.n):
            raise ShapeError(
                f"EchoStateNetwork.w: must be (n, n), w_in (n, n_inputs); got {self.w.shape} and {self.w_in.shape}."
            )
        self.bias, self.leak = each("EchoStateNetwork.bias", bias, self.n), each("EchoStateNetwork.leak", leak, self.n)
        if np.any((self.leak <= 0) | (self.leak > 1)):
            raise ModelError(f"EchoStateNetwork.leak: must be > 0 and <= 1; got {leak!r}.")
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise ModelError(f"EchoStateNetwork.threads: must be an integer >= 1, or None; got {threads!r}.")
        self.readout = readout
        whole_row = scipy.sparse.hstack([self.w, self.w_in, scipy.sparse.csr_array(self.bias[:, None])], format="csr")
        self._weights, self._columns, self._begin, self._rows = _lanes(whole_row)
        self._leak = np.append(self.leak[self._rows], np.ones(-self.n % LANES))
        self.threads = threads if threads is not None else cores() if whole_row.nnz + _UNIT * self.n >= _THREADED else 1
        self.reset()

    @classmethod
    def random(
        cls, n: int, n_inputs: int = 1, radius: float = 0.9, density: float = 0.1, input_scale: float = 1.0,
        bias_scale: float = 0.0, leak: Any = 1.0, seed: int = 0, readout: Any = None, threads: int | None = None,
    ) -> "EchoStateNetwork":  # fmt: skip
        """A network with random weights.

        Parameters
        ----------
        n, n_inputs : number of units and of inputs
        radius : spectral radius of w
        density : share of the weights w that are not 0; they are normal, as many in each row
        input_scale, bias_scale : w_in and bias are uniform in (-input_scale, input_scale), (-bias_scale, bias_scale)
        leak, readout, threads : see the class
        seed : fixes all weights
        """
        owner = "EchoStateNetwork.random"
        n, n_inputs = whole(f"{owner}.n", n, 3), whole(f"{owner}.n_inputs", n_inputs)
        bounded(f"{owner}.density", density, 0.0, 1.0, open_low=True)
        for name, value in (("radius", radius), ("input_scale", input_scale), ("bias_scale", bias_scale)):
            bounded(f"{owner}.{name}", value, 0.0)
        rng = generator(owner, seed)
        each = max(1, round(density * n))
        columns = np.concatenate([rng.choice(n, each, replace=False) for _ in range(n)])
        w = scipy.sparse.csr_array((rng.normal(size=n * each), (np.repeat(np.arange(n), each), columns)), shape=(n, n))
        w *= radius / spectral_radius(w)
        w_in = rng.uniform(-input_scale, input_scale, (n, n_inputs))
        return cls(w, w_in, rng.uniform(-bias_scale, bias_scale, n), leak, readout, threads)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._fixed and name in self.__dict__:
            owner = type(self).__name__
            raise ModelError(f"{owner}.{name}: cannot be changed, for the network runs on a copy. Make a new {owner}.")
        super().__setattr__(name, value)

    @property
    def x(self) -> np.ndarray:
        """Present state, shape (n,)."""
        return self._x

    @x.setter
    def x(self, values: Any) -> None:
        array = finite(f"{type(self).__name__}.x", values)
        if array.shape != (self.n,):
            raise ShapeError(f"{type(self).__name__}.x: must have shape ({self.n},); got {array.shape}.")
        self._x = array.copy()

    def reset(self) -> None:
        """Return to x = 0."""
        self._x = np.zeros(self.n)

    def run(self, u: Any) -> np.ndarray:
        """States after each step of the input ``u``, shape (T, n_inputs), from the present state: shape (T, n)."""
        u = series("EchoStateNetwork.run.u", u, self.n_inputs)
        states = np.empty((len(u), self.n))
        z = np.ones((2, len(self._leak) + self.n_inputs + 1))
        z[0, : self.n], z[0, len(self._leak) : -1] = self._x[self._rows], u[0]
        groups = len(self._begin) - 1
        share = np.linspace(0, self._begin[-1], self.threads + 1)
        bounds = np.searchsorted(self._begin, share[:-1]).tolist() + [groups]
        sums, arrived = np.empty(groups * LANES), np.zeros(1, np.int64)

        def work(part: int) -> None:
            _advance(u, states, z, sums, self._weights, self._columns, self._begin, self._rows, 1.0 - self._leak,
                     self._leak, bounds[part], bounds[part + 1], self.threads, arrived)  # fmt: skip

        if self.threads == 1:
            work(0)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(work, range(self.threads)))
        self._x = states[-1].copy()
        return states

    def _drawn(self, u: Any, draw: tuple[int, int]) -> np.ndarray:
        """See :class:`Reservoir`; there is no noise."""
        present = self._x
        self.reset()
        try:
            return self.run(u)
        finally:
            self._x = present


def frozen(matrix: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """``matrix``, which nobody can write into any more."""
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.flags.writeable = False
    return matrix


def _lanes(matrix: scipy.sparse.csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Rows in groups of LANES of similar length, filled up with weights 0: (weights, columns, begin, rows).

    weights[k], columns[k] hold one element of each row of a group, k in begin[g]..begin[g+1]; row i of all the groups
    is row rows[i] of the matrix, those that fill up the last group come after. Columns number units in the new order,
    too, after which come the other columns.
    """
    n = matrix.shape[0]
    lengths = np.diff(matrix.indptr)
    rows = np.argsort(-lengths, kind="stable")
    padded = np.append(lengths[rows], np.zeros(-n % LANES, np.int64)).reshape(-1, LANES)
    begin = np.concatenate([[0], np.cumsum(padded.max(axis=1))])
    weights = np.zeros((begin[-1], LANES))
    columns = np.zeros((begin[-1], LANES), np.uint16 if matrix.shape[1] + LANES <= 2**16 else np.uint32)
    place = np.empty(n, np.int64)
    place[rows] = np.arange(n)
    target = np.repeat(np.arange(n), lengths)
    k = begin[place[target] // LANES] + np.arange(matrix.nnz) - matrix.indptr[target]
    weights[k, place[target] % LANES] = matrix.data
    others = padded.size + np.arange(matrix.shape[1] - n)
    columns[k, place[target] % LANES] = np.append(place, others)[matrix.indices]
    return weights, columns, begin, rows


def spectral_radius(w: Any) -> float:
    """Largest absolute eigenvalue of a square matrix, dense or sparse.

    Numerics
    --------
    Up to 1,000 rows all eigenvalues. Beyond that, of each strongly connected part of the graph of ``w`` (others have
    none but 0 and their diagonal), the six largest ones by ARPACK from a subspace of 80, because next to the largest
    there may be many of almost its size; where that does not converge, all of them, for parts of up to 5,000 rows.
    5,000 rows of random weights take 0.3 s with a density of 0.01, 6 s with 0.1 (one core).

    Raises
    ------
    ShapeError, ModelError
        Where ``w`` is no square matrix of finite numbers; where a larger part does not converge.

    Examples
    --------
    >>> round(spectral_radius([[0.0, 4.0], [1.0, 0.0]]), 9)
    2.0
    """
    given = matrix("spectral_radius.w", w)
    if given.shape[0] != given.shape[1]:
        raise ShapeError(f"spectral_radius.w: must be (n, n); got {given.shape}.")
    if given.shape[0] <= DENSE:
        return _dense_radius(given)
    radius = float(np.abs(given.diagonal()).max())
    _, part = scipy.sparse.csgraph.connected_components(given, connection="strong")
    for k in np.flatnonzero(np.bincount(part) > 1):
        inside = np.flatnonzero(part == k)
        block = given[inside][:, inside]
        radius = max(radius, _dense_radius(block) if inside.size <= DENSE else _arpack_radius(block))
    return radius


def _dense_radius(matrix: scipy.sparse.csr_array) -> float:
    return float(np.abs(np.linalg.eigvals(matrix.toarray())).max())


def _arpack_radius(matrix: scipy.sparse.csr_array) -> float:
    start = np.random.default_rng(0).normal(size=matrix.shape[0])
    try:
        found = scipy.sparse.linalg.eigs(
            matrix, k=6, ncv=80, v0=start, maxiter=RESTARTS, tol=1e-8, return_eigenvectors=False
        )
    except scipy.sparse.linalg.ArpackError as error:
        if matrix.shape[0] > DENSE_AT_LAST:
            raise ModelError(
                f"spectral_radius.w: ARPACK must find its largest eigenvalues, for more than {DENSE_AT_LAST:,} rows; "
                f"got none of {matrix.shape[0]:,} rows: {error}. Scale w by another measure."
            ) from error
        return _dense_radius(matrix)
    return float(np.abs(found).max())
