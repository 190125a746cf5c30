"""What a reservoir remembers, tells apart and computes: functions of recorded states."""

import itertools
from typing import Any

import numpy as np
import scipy.linalg
import scipy.special

from kernels.errors import ModelError, ShapeError
from reservoir.base import check_readout, series
from reservoir.checks import generator
from reservoir.esn import EchoStateNetwork
from reservoir.readouts import Readout, Ridge
from snn.units import bounded, whole

CHANCE = 1e-4  # of a target unrelated to the states to count


def nrmse(prediction: Any, target: Any) -> float:
    """Root mean square error over the standard deviation of the target; both of shape (T, n_outputs).

    Of several outputs: root of the mean squared error over the mean variance.

    Raises
    ------
    ModelError
        Where the target is constant.
    """
    y = series("nrmse.target", target)
    p = series("nrmse.prediction", prediction, y.shape[1])
    if p.shape != y.shape:
        raise ShapeError(f"nrmse.prediction: must have the shape of the target, {y.shape}; got {p.shape}.")
    variance = np.var(y, axis=0).mean()
    if variance == 0.0:
        raise ModelError("nrmse.target: must vary; got a constant.")
    return float(np.sqrt(np.mean((p - y) ** 2) / variance))


def memory_capacity(
    states: Any, u: Any, lags: int, train: float = 0.8, washout: int | None = None, readout: Readout | None = None
) -> np.ndarray:
    """Memory of each delay: squared correlation of u(t - k) with its best linear estimate from the state at t.

    Parameters
    ----------
    states : shape (T, n), driven by ``u``
    u : independent random input of shape (T,)
    lags : delays k = 1 .. lags
    train : share of the steps after the washout on which the readout is fitted; the others are what is reported
    washout : steps left out at the begin, >= lags; None: lags
    readout : default ``Ridge()``

    Returns
    -------
    Capacity of each delay, shape (lags,), each in 0 to 1; their sum is the memory capacity, at most n.

    References
    ----------
    Jaeger 2001, GMD report 152
    """
    x, u = _driven("memory_capacity", states, u)
    lags, washout = _lags("memory_capacity", lags, washout, len(x))
    targets = np.stack([u[washout - k : len(u) - k] for k in range(1, lags + 1)], axis=1)
    x = x[washout:]
    cut = round(bounded("memory_capacity.train", train, 0.0, 1.0, open_low=True, open_high=True) * len(x))
    if not 1 <= cut <= len(x) - 2:
        raise ModelError(f"memory_capacity.train: leaves {cut} of {len(x)} steps to fit; got {train!r}.")
    readout = Ridge() if readout is None else readout
    check_readout("memory_capacity", readout)
    estimate = readout.fit(x[:cut], targets[:cut]).predict(x[cut:])
    return _squared_correlation(estimate, targets[cut:])


def information_processing_capacity(
    states: Any, u: Any, lags: dict[int, int], washout: int | None = None, threshold: float | None = None
) -> dict[tuple[tuple[int, int], ...], float]:
    """Capacity for products of Legendre polynomials of delayed inputs, in sample.

    C[z] = 1 - min |z - w x|^2 / |z|^2 for every target z(t) = prod_i P_{d_i}(u(t - k_i)). Over all targets the sum is
    at most the rank of the states, and equal to it for a reservoir with fading memory (theorem 7 of the paper).

    Parameters
    ----------
    states : shape (T, n)
    u : independent input, uniform in [-1, 1], shape (T,)
    lags : for each total degree, the largest delay; delays k = 0 .. lags[degree]
    washout : None: the largest delay
    threshold : smaller values are returned as 0; None: 2 q / steps; chi-squared with as many degrees
        of freedom as the states have dimensions exceeds q once in 10,000. Without the 2 that holds for unrelated series

    Returns
    -------
    Capacity by target; a target is a tuple of (delay, degree).

    References
    ----------
    Dambre, Verstraeten, Schrauwen & Massar 2012, doi:10.1038/srep00514
    """
    x, u = _driven("information_processing_capacity", states, u)
    owner = "information_processing_capacity"
    if not isinstance(lags, dict) or not lags:
        raise ModelError(f"{owner}.lags: must map degrees >= 1 to delays >= 0; got {lags!r}. Give such as {{1: 20}}.")
    for degree, most in lags.items():
        whole(f"{owner}.lags: a degree", degree)
        whole(f"{owner}.lags[{degree}]", most, 0)
    if threshold is not None:
        bounded(f"{owner}.threshold", threshold, 0.0)
    if np.max(np.abs(u)) > 1.0:
        raise ModelError(f"information_processing_capacity.u: must lie in [-1, 1]; got {np.max(np.abs(u)):g}.")
    _, washout = _lags("information_processing_capacity", max(1, *lags.values()), washout, len(x))
    x = x[washout:]
    left, size, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    basis = left[:, size > 1e-10 * size[0]]
    if threshold is None:
        threshold = 2.0 * float(scipy.special.chdtri(basis.shape[1], CHANCE)) / len(x)
    steps = np.arange(washout, len(u))
    powers = {d: np.polynomial.legendre.Legendre.basis(d)(u) for d in range(1, max(lags) + 1)}
    out = {}
    for degree, most in lags.items():
        for parts in _compositions(degree, most + 1):
            z = np.prod([powers[d][steps - k] for k, d in parts], axis=0)
            z = z - z.mean()
            capacity = float(np.sum((basis.T @ z) ** 2) / (z @ z))
            out[parts] = capacity if capacity >= threshold else 0.0
    return out


def rank(states: Any, energy: float = 0.99) -> int:
    """Number of singular values that hold ``energy`` of the sum of squares; ``states`` has one row an input.

    Kernel quality is the rank of states after different inputs (high: they are told apart); generalisation rank that of
    states after inputs that differ only long ago (low: noise is forgotten).

    References
    ----------
    Legenstein & Maass 2007, doi:10.1016/j.neunet.2007.04.017; Buesing et al. 2010, doi:10.1162/neco.2009.01-09-947
    """
    x = series("rank.states", states)
    energy = bounded("rank.energy", energy, 0.0, 1.0, open_low=True)
    squares = np.linalg.svd(x, compute_uv=False) ** 2
    if squares[0] == 0.0:
        return 0
    squares = squares[squares > (1e-10**2) * squares[0]]
    return int(np.searchsorted(np.cumsum(squares) / squares.sum(), energy * (1.0 - 1e-12)) + 1)


def subspaces(a: Any, b: Any, energy: float = 0.9) -> tuple[float, np.ndarray]:
    """How far two sets of vectors, such as a readout's weights under different conditions, vary in the same directions.

    Parameters
    ----------
    a, b : shapes (conditions, n), at least two conditions each
    energy : share of the variance that the principal components kept hold, > 0 and <= 1

    Returns
    -------
    (cosine, angles): |cosine| between the first principal components, and the principal angles between the subspaces
    of the components that are kept, [degrees], largest first. Random directions have |cosine| sqrt(2 / (pi n)).

    References
    ----------
    Bjorck & Golub 1973, doi:10.1090/S0025-5718-1973-0348991-3
    """
    x = series("subspaces.a", a)
    y = series("subspaces.b", b, x.shape[1])
    energy = bounded("subspaces.energy", energy, 0.0, 1.0, open_low=True)
    axes = []
    for name, rows in (("a", x), ("b", y)):
        _, size, components = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
        if size[0] <= 1e-12 * np.linalg.norm(rows):
            raise ModelError(f"subspaces.{name}: must differ between conditions; got equal rows. Give several.")
        share = np.cumsum(size**2) / np.sum(size**2)
        axes.append(components[: int(np.searchsorted(share, energy * (1.0 - 1e-12)) + 1)])
    angles = np.degrees(scipy.linalg.subspace_angles(axes[0].T, axes[1].T))
    return float(abs(axes[0][0] @ axes[1][0])), angles


def separation(a: Any, b: Any) -> np.ndarray:
    """Euclidean distance of two runs' states, both of shape (T, n), at each step: shape (T,).

    References
    ----------
    Maass, Natschlaeger & Markram 2002, doi:10.1162/089976602760407955
    """
    x = series("separation.a", a)
    y = series("separation.b", b, x.shape[1])
    if x.shape != y.shape:
        raise ShapeError(f"separation.b: must have the shape of a, {x.shape}; got {y.shape}.")
    return np.asarray(np.linalg.norm(x - y, axis=1))


def branching_ratio(counts: Any, lags: int = 20) -> float:
    """How many spikes a spike causes in the next bin, from the spikes of a population alone.

    Regressions of the counts on those k bins before have the slopes b m^k, k = 1 .. lags, where each spike causes m on
    average and others come from outside; m, 0.001 to 1.5, is fitted with b free, so neurons that are not seen do not
    bias it. Below 1 activity dies out, at 1 it is critical. An input whose changes all neurons share adds to it.

    Parameters
    ----------
    counts : spikes in each bin, such as ``SpikeRecord.counts(4.0)``, shape (T,); the input must be stationary
    lags : as long as the correlations last, >= 3

    References
    ----------
    Wilting & Priesemann 2018, doi:10.1038/s41467-018-04725-4
    """
    a = series("branching_ratio.counts", counts, 1)[:, 0]
    lags, _ = _lags("branching_ratio", lags, None, len(a))
    if lags < 3 or len(a) < 10 * lags:
        raise ModelError(f"branching_ratio.lags: must be 3 to a tenth of the {len(a)} bins; got {lags}.")
    if a.std() == 0.0:
        raise ModelError("branching_ratio.counts: must vary; got a constant.")
    k = np.arange(1, lags + 1)
    slopes = np.array([np.cov(a[:-d], a[d:])[0, 1] / np.var(a[:-d]) for d in k])
    m = np.linspace(0.001, 1.5, 1500)
    powers = m[:, None] ** k
    b = powers @ slopes / np.sum(powers**2, axis=1)
    return float(m[np.argmin(np.sum((b[:, None] * powers - slopes) ** 2, axis=1))])


def lyapunov(net: EchoStateNetwork, u: Any, distance: float = 1e-8, washout: int = 100, seed: int = 0) -> float:
    """Largest finite-time Lyapunov exponent of a rate reservoir along its response to ``u``, per step.

    Mean of log(d(t) / distance): a second copy starts ``distance`` away and is drawn back to it after every step.
    Below 0 the state forgets where it began (echo states); above 0 it is chaotic.

    Parameters
    ----------
    net : its state is put back afterwards
    u : input of shape (T, n_inputs)
    distance : > 0, small
    washout : first steps, >= 0, in which the copy turns to the fastest direction and which do not count

    References
    ----------
    Benettin et al. 1976, doi:10.1103/PhysRevA.14.2338
    """
    _rate("lyapunov", net)
    u = series("lyapunov.u", u, net.n_inputs)
    washout = whole("lyapunov.washout", washout, 0)
    bounded("lyapunov.distance", distance, 0.0, open_low=True)
    if len(u) <= washout:
        raise ShapeError(f"lyapunov.u: must be longer than washout = {washout}; got {len(u)} steps.")
    kept = net.x.copy()
    direction = generator("lyapunov", seed).normal(size=net.n)
    here, offset = kept, distance * direction / np.linalg.norm(direction)
    total = 0.0
    for t in range(len(u)):
        net.x = here + offset
        there = net.run(u[t : t + 1])[0]
        net.x = here
        here = net.run(u[t : t + 1])[0]
        offset = there - here
        d = np.linalg.norm(offset)
        if d == 0.0:
            net.x = kept
            return -np.inf
        total += np.log(d / distance) if t >= washout else 0.0
        offset *= distance / d
    net.x = kept
    return float(total / (len(u) - washout))


def echo_state_distance(net: EchoStateNetwork, u: Any, starts: Any) -> np.ndarray:
    """Distance at each step of two runs of a rate reservoir on the same ``u`` from two states ``starts``, shape (2, n).

    The reservoir has echo states for this input where the distance goes to 0. Its state is put back afterwards.
    """
    _rate("echo_state_distance", net)
    u, starts = series("echo_state_distance.u", u, net.n_inputs), series("echo_state_distance.starts", starts, net.n)
    if len(starts) != 2:
        raise ShapeError(f"echo_state_distance.starts: must have shape (2, {net.n}); got {starts.shape}.")
    kept = net.x.copy()
    runs = []
    for start in starts:
        net.x = start.copy()
        runs.append(net.run(u))
    net.x = kept
    return separation(*runs)


def _rate(owner: str, net: Any) -> None:
    """Refuse what has no state ``x`` to begin from."""
    if not isinstance(net, EchoStateNetwork):
        raise ModelError(
            f"{owner}.net: must be an EchoStateNetwork or DaleNetwork; got {type(net).__name__}. Give one part of a "
            "composition, or of a spiking reservoir reservoir.tuning.exponent."
        )


def _driven(owner: str, states: Any, u: Any) -> tuple[np.ndarray, np.ndarray]:
    x, u = series(f"{owner}.states", states), series(f"{owner}.u", u, 1)[:, 0]
    if len(x) != len(u):
        raise ShapeError(f"{owner}.u: must be as long as the states; got {len(u)} and {len(x)} steps.")
    return x, u


def _lags(owner: str, lags: int, washout: int | None, steps: int) -> tuple[int, int]:
    lags = whole(f"{owner}.lags", lags)
    washout = lags if washout is None else whole(f"{owner}.washout", washout, 0)
    if not lags <= washout < steps - 1:
        raise ModelError(f"{owner}.washout: must be >= lags = {lags} and < {steps - 1}, the steps; got {washout!r}.")
    return lags, washout


def _squared_correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    size = np.sum(a * a, axis=0) * np.sum(b * b, axis=0)
    return np.asarray(np.where(size > 0.0, np.sum(a * b, axis=0) ** 2 / np.where(size > 0.0, size, 1.0), 0.0))


def _compositions(degree: int, delays: int) -> list[tuple[tuple[int, int], ...]]:
    """All ways to give ``degree`` to delays 0 .. delays - 1, as tuples of (delay, degree > 0)."""
    picks = itertools.combinations_with_replacement(range(delays), degree)
    return [tuple((k, len(list(same))) for k, same in itertools.groupby(pick)) for pick in picks]
