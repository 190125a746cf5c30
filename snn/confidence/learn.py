"""What an agent learns from a trace: the scale of a softmax, gates, bars a step. Plain functions of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special
from numpy.typing import NDArray

Floats = NDArray[np.float64]
MOST = 100_000  # rows that a scale is fitted on


def fit_scale(z: Floats, y: NDArray[np.int64]) -> float:
    """Scale a of softmax(z / a), z of shape (M, C), with the least negative log-likelihood of classes ``y``.

    A right class counts as 1 - 1 / (M + 2), the others share the rest (Platt 1999), so that classes that z separates
    have a finite scale. More than 100,000 rows are thinned evenly.
    """
    z, y = z[:: -(-len(z) // MOST)], y[:: -(-len(z) // MOST)]
    m, n = z.shape
    gap = z - z[np.arange(m), y][:, None]
    unit = float(np.mean(np.abs(gap))) * n / max(n - 1, 1)
    if unit == 0.0:
        return 1.0
    rest = 1.0 / (m + 2)
    slack = rest * gap.sum(axis=1).mean() / (n - 1)

    def loss(log_b: float) -> float:  # of the inverse scale, in units of the mean gap
        b = np.exp(log_b) / unit
        return float(scipy.special.logsumexp(b * gap, axis=1).mean() - b * slack)

    from scipy.optimize import minimize_scalar  # here, so that `import snn` stays light

    done = minimize_scalar(loss, bounds=(-7.0, 7.0), method="bounded", options={"xatol": 1e-4})
    return float(unit / np.exp(done.x))


def fit_gate(x: Floats, goal: NDArray[np.bool_], balanced: bool = False) -> Floats:
    """Weights and bias, (F + 1,), of the logistic regression of ``goal`` (T, N) on features ``x`` (T, N, F).

    Least mean cross-entropy + 1e-4 / 2 |w|^2 on standardised features; with ``balanced``, both outcomes weigh alike.
    """
    a = x.reshape(-1, x.shape[-1])
    y = goal.reshape(-1).astype(np.float64)
    mean, size = a.mean(axis=0), a.std(axis=0)
    size = np.where(size > 1e-9, size, np.inf)  # what never varies gets no weight
    a = (a - mean) / size
    share = min(max(y.mean(), 1.0 / (y.size + 2)), 1.0 - 1.0 / (y.size + 2))
    weight = np.where(y > 0, 0.5 / share, 0.5 / (1.0 - share)) if balanced else np.ones(y.size)

    def loss(theta: Floats) -> tuple[float, Floats]:
        z = a @ theta[:-1] + theta[-1]
        error = weight * (scipy.special.expit(z) - y) / y.size
        value = np.mean(weight * (np.logaddexp(0.0, z) - y * z)) + 0.5e-4 * theta @ theta
        return float(value), np.append(a.T @ error, error.sum()) + 1e-4 * theta

    from scipy.optimize import minimize

    done = minimize(loss, np.zeros(a.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    w = done.x[:-1] / size
    return np.append(w, done.x[-1] - mean @ w)


def step_costs(z: Floats, y: NDArray[np.int64], cost: float) -> Floats:
    """Cross-entropy of softmax(z), z (T, N, C), plus ``cost`` t / T; shape (T, N)."""
    t_max, n, _ = z.shape
    entropy = scipy.special.logsumexp(z, axis=2) - z[:, np.arange(n), y]
    return np.asarray(entropy + cost * np.arange(1, t_max + 1)[:, None] / t_max)


def oct_bars(scores: Floats, right: NDArray[np.bool_], tolerance: float) -> Floats:
    """Bars a step, (T,): the least such that of the samples above it, and above any higher, a share >= 1 - tolerance
    is right at every later step too. Infinite where none qualifies; scores and right have shape (T, N).

    References
    ----------
    Wu et al. 2023, arXiv 2301.09522; there the least bar counts although higher ones may fail
    """
    settled = np.logical_and.accumulate(right[::-1], axis=0)[::-1]  # right from t on
    bars = np.full(len(scores), np.inf)
    for t, (score, good) in enumerate(zip(scores, settled, strict=True)):
        values, first = np.unique(-score, return_inverse=True)  # highest first
        n = np.cumsum(np.bincount(first, minlength=values.size))
        bad = np.cumsum(np.bincount(first, weights=~good, minlength=values.size))
        fits = np.logical_and.accumulate(bad <= tolerance * n)
        k = int(fits.sum())
        if k:
            bars[t] = -values[k] if k < values.size else np.nextafter(-values[-1], -np.inf)
    return bars


def exit_mass(gates: Any) -> Floats:
    """Share of a sample that leaves at each step, (T, N), from probabilities of gates (T, N); each column has sum 1.

    P_t = min(g_t, 1 - sum_(s<t) P_s), the last step takes what is left. Weights, held constant, of the classifiers'
    losses in joint training: sum_t P_t L_t.

    References
    ----------
    Regol et al. 2024, arXiv 2310.09163
    """
    g = np.array(gates, np.float64)
    mass, left = np.empty_like(g), np.ones(g.shape[1:])
    for t in range(len(g)):
        mass[t] = np.minimum(g[t], left) if t < len(g) - 1 else left
        left = left - mass[t]
    return mass
