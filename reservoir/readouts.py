"""Readouts: targets from states by linear functions, or a softmax of them. All have a bias, so states need no ones."""

from typing import Any

import numpy as np
import scipy.linalg
import scipy.optimize
import scipy.special

from kernels.errors import ModelError, ShapeError
from reservoir.base import series
from snn.units import bounded


class Readout:
    """Base of linear readouts: y = weights^T x + bias; ``weights`` (n, n_outputs) and ``bias`` (n_outputs,)."""

    weights: np.ndarray
    bias: np.ndarray

    def reset(self) -> None:
        """Forget everything that was learned."""
        raise NotImplementedError

    def partial_fit(self, x: Any, y: Any) -> None:
        """Learn from states ``x``, shape (T, n), and targets ``y``, shape (T, n_outputs), besides earlier ones."""
        raise NotImplementedError

    def fit(self, x: Any, y: Any) -> "Readout":
        """As :meth:`partial_fit` after :meth:`reset`."""
        self.reset()
        self.partial_fit(x, y)
        self.solve()
        return self

    def solve(self) -> None:
        """Bring ``weights`` and ``bias`` up to date, where learning only gathers sums."""

    def predict(self, x: Any) -> np.ndarray:
        """Outputs of shape (T, n_outputs) from states of shape (T, n)."""
        owner = f"{type(self).__name__}.predict"
        self._fitted(owner)
        return np.asarray(series(f"{owner}.x", x, len(self.weights)) @ self.weights + self.bias)

    def _fitted(self, owner: str) -> None:
        if getattr(self, "weights", None) is None:
            raise ModelError(f"{owner}: the readout has seen no states. Call fit before.")

    def _pair(self, x: Any, y: Any, n: int | None, n_outputs: int | None) -> tuple[np.ndarray, np.ndarray]:
        owner = f"{type(self).__name__}.fit"
        x, y = series(f"{owner}.x", x, n), series(f"{owner}.y", y, n_outputs)
        if len(x) != len(y):
            raise ShapeError(f"{owner}.y: must be as long as x; got {len(y)} and {len(x)} steps.")
        return x, y


class Ridge(Readout):
    """Ridge regression on streaming sums: memory is n^2 whatever the length of the series.

    Equations
    ---------
    weights = (S_xx + penalty I)^-1 S_xy, with S_xx, S_xy the sums of (x - m_x)(x - m_x)^T and (x - m_x)(y - m_y)^T over
    all steps, m the means; bias = m_y - weights^T m_x. The bias is not penalised.

    Without a penalty, it minimises generalised cross-validation, T |y - y'|^2 / (T - df)^2 summed over the outputs, on
    a grid of 121 values, 1e-12 to 1 of the largest eigenvalue of S_xx; df = 1 + sum d / (d + penalty), d eigenvalues.
    With about as many states as steps that itself may be far too small: give a penalty, or more steps.

    Numerics
    --------
    Sums are moved to the joint mean chunk by chunk (Chan et al. 1983, doi:10.1080/00031305.1983.10483115), in float64.
    The eigenvalues lie on the squared scale of the states: directions weaker than 1e-8 of the strongest are lost.

    Parameters
    ----------
    penalty : >= 0; None: chosen by generalised cross-validation (Golub et al. 1979, doi:10.1080/00401706.1979.10489751)

    Raises
    ------
    ModelError
        With penalty = 0 and states that are linearly dependent.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 1.0]])
    >>> readout = Ridge(penalty=0.0).fit(x, 2.0 * x[:, :1] + 1.0)
    >>> bool(np.allclose(readout.weights, [[2.0], [0.0]])), bool(np.allclose(readout.bias, 1.0))
    (True, True)
    """

    def __init__(self, penalty: float | None = None) -> None:
        if penalty is not None:
            penalty = bounded("Ridge.penalty", penalty, 0.0)
        self.penalty = penalty
        self.reset()

    def reset(self) -> None:
        """See :class:`Readout`."""
        self._count, self._stale = 0, False
        self._xx = self._xy = np.empty((0, 0))
        self._yy = self._mean_x = self._mean_y = np.empty(0)
        self.chosen: float | None = None  # penalty in use
        self.weights = self.bias = None  # type: ignore[assignment]

    def partial_fit(self, x: Any, y: Any) -> None:
        """See :class:`Readout`; sums only, until :meth:`solve`."""
        known = (self._xx.shape[0], self._xy.shape[1]) if self._count else (None, None)
        x, y = self._pair(x, y, *known)
        mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
        a, b = x - mean_x, y - mean_y
        xx, xy, yy = a.T @ a, a.T @ b, np.sum(b * b, axis=0)
        if self._count:
            step_x, step_y = mean_x - self._mean_x, mean_y - self._mean_y
            share = len(x) / (self._count + len(x))
            scale = self._count * share
            xx += self._xx + scale * np.outer(step_x, step_x)
            xy += self._xy + scale * np.outer(step_x, step_y)
            yy += self._yy + scale * step_y**2
            mean_x, mean_y = self._mean_x + share * step_x, self._mean_y + share * step_y
        self._xx, self._xy, self._yy, self._mean_x, self._mean_y = xx, xy, yy, mean_x, mean_y
        self._count, self._stale = self._count + len(x), True

    def predict(self, x: Any) -> np.ndarray:
        """See :class:`Readout`."""
        self.solve()
        return super().predict(x)

    def solve(self) -> None:
        """Compute ``weights``, ``bias`` and ``chosen``, the penalty, from the sums."""
        if not self._stale:
            return
        d, v = scipy.linalg.eigh(self._xx)
        d = np.maximum(d, 0.0)
        floor = 1e-13 * d[-1] * len(d)
        if self.penalty == 0.0 and d[0] <= floor:
            raise ModelError("Ridge.penalty: must be > 0, for the states are linearly dependent; got 0. Give 1e-6.")
        if d[-1] == 0.0:
            raise ModelError("Ridge.fit: all states are constant: the reservoir is silent or saturated. Drive it.")
        projected = v.T @ self._xy
        reached = d > floor
        self.chosen = self.penalty if self.penalty is not None else self._chosen(d[reached], projected[reached])
        self.weights = v @ (projected / (d + self.chosen)[:, None])
        self.bias = self._mean_y - self._mean_x @ self.weights
        self._stale = False

    def _chosen(self, d: np.ndarray, projected: np.ndarray) -> float:
        """Penalty by cross-validation; ``d``: eigenvalues that are not 0, ``projected``: S_xy in their directions."""
        part = np.sum(projected**2, axis=1) / d  # of the targets' squares, along each direction
        beyond = max(self._count - 1 - len(d), 0)  # dimensions of the steps that no state reaches
        rest = max(np.sum(self._yy) - np.sum(part), 0.0) if beyond else 0.0
        penalties = d[-1] * np.logspace(-12.0, 0.0, 121)
        left = penalties[:, None] / (d + penalties[:, None])  # what is not fitted; as 1 - d / (d + penalty) it cancels
        scores = (left**2 @ part + rest) / (left.sum(axis=1) + beyond) ** 2
        return float(penalties[int(np.argmin(scores))])


class RLS(Readout):
    """Recursive least squares with forgetting: learns step by step, the past counts less and less.

    Equations
    ---------
    With x the state and a last element of 1, e = y - weights^T x:
    k = P x / (forgetting + x^T P x), weights += k e^T, P = (P - k x^T P) / forgetting; P = I / alpha at first.
    After T steps the weights minimise sum_t forgetting^(T-t) |e_t|^2 + alpha forgetting^T |weights|^2.

    Numerics
    --------
    A square root of P is kept, P = L L^T, with which P stays positive (Andrews 1968, AIAA Journal 6:1165). Steps given
    together are learned in blocks of up to 64, as long as they count within a factor of 100: with R the states of m
    steps, one a row, E the errors, D the roots of what the steps count, L = L / forgetting^(m/2), F = D R L, and
    C C^T = I + F F^T (C by QR), weights += L F^T C^-T C^-1 D E, L -= L F^T C^-T (C + I)^-1 F. That is the same minimum.

    Where states do not move (a silent reservoir, a dead or saturated unit), forgetting makes P grow without bound. Past
    1e16 / alpha its eigenvalues are cut to 1e12 / alpha: weights there stay, and are learned anew as soon as the states
    move. The cut takes n^3 operations, at most once in 9.2 / (1 - forgetting) steps or so.

    Parameters
    ----------
    alpha : > 0, penalty of the start
    forgetting : > 0 and <= 1, weight of a step relative to the next

    References
    ----------
    Haykin 2002, Adaptive Filter Theory, chapter 9; as FORCE in Sussillo & Abbott 2009, doi:10.1016/j.neuron.2009.07.018
    """

    def __init__(self, alpha: float = 1.0, forgetting: float = 1.0) -> None:
        self.alpha = bounded("RLS.alpha", alpha, 0.0, open_low=True)
        self.forgetting = bounded("RLS.forgetting", forgetting, 0.0, 1.0, open_low=True)
        self._block = 64 if self.forgetting > 100.0 ** (-1 / 64) else max(1, int(-2.0 / np.log10(self.forgetting)))
        self.reset()

    def reset(self) -> None:
        """See :class:`Readout`."""
        self._root: np.ndarray | None = None  # L
        self.weights = self.bias = None  # type: ignore[assignment]

    def partial_fit(self, x: Any, y: Any) -> None:
        """See :class:`Readout`."""
        known = (None, None) if self._root is None else self.weights.shape
        x, y = self._pair(x, y, *known)
        n = x.shape[1]
        if self._root is None:
            self._root, theta = np.eye(n + 1) / np.sqrt(self.alpha), np.zeros((n + 1, y.shape[1]))
        else:
            theta = np.vstack([self.weights, self.bias])
        ones = np.hstack([x, np.ones((len(x), 1))])
        for first in range(0, len(x), self._block):
            rows = ones[first : first + self._block]
            if self.forgetting < 1.0:
                self._root /= self.forgetting ** (0.5 * len(rows))
            older = self.forgetting ** (0.5 * np.arange(len(rows) - 1.0, -1.0, -1.0))[:, None]  # long ago weighs less
            error, one = older * (y[first : first + self._block] - rows @ theta), np.eye(len(rows))
            f = older * (rows @ self._root)
            c = np.asarray(np.linalg.qr(np.vstack([one, f.T]), mode="r")).T
            c *= np.sign(np.diag(c))
            gain = _solved(c, f @ self._root.T).T
            theta += gain @ _solved(c, error)
            self._root -= gain @ _solved(c + one, f)
            if self.forgetting < 1.0:
                self._root = self._bound(self._root)
        self.weights, self.bias = theta[:n].copy(), theta[n].copy()

    def _bound(self, root: np.ndarray) -> np.ndarray:
        """``root``; cut where P has grown too large because states do not move."""
        start = 1.0 / np.sqrt(self.alpha)
        if max(root.max(), -root.min()) <= 1e8 * start:
            return root
        u, size, _ = scipy.linalg.svd(root)
        return np.asarray(u * np.minimum(size, 1e6 * start))


def _solved(c: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray(scipy.linalg.solve_triangular(c, right, lower=True, check_finite=False))


class NLMS(Readout):
    """Normalised least mean squares on centred states: one state's worth of memory, no matrix. With a gate it is a
    three-factor rule: presynaptic state, error, and a signal that says when and for which output to learn.

    Equations
    ---------
    x' = x - mean, with mean += (x - mean) / tau after each step (the mean of all steps while there are fewer than tau;
    at the first step the mean is x);
    e = gate (y - weights^T x' - bias); weights += rate e x' / (|x'|^2 + 1), bias += rate e / (|x'|^2 + 1).
    The mean goes on only while learning; ``bias`` as given out includes it, so that y = weights^T x + bias.

    Parameters
    ----------
    rate : > 0 and < 2, step size
    tau : > 0, steps over which the mean is taken

    References
    ----------
    Haykin 2002, Adaptive Filter Theory, chapter 6; Gerstner et al. 2018, doi:10.3389/fncir.2018.00053 (three factors)
    """

    def __init__(self, rate: float = 0.05, tau: float = 1000.0) -> None:
        self.rate = bounded("NLMS.rate", rate, 0.0, 2.0, open_low=True, open_high=True)
        self.tau = bounded("NLMS.tau", tau, 0.0, open_low=True)
        self.reset()

    def reset(self) -> None:
        """See :class:`Readout`."""
        self._seen = 0
        self.weights = self.bias = None  # type: ignore[assignment]

    def partial_fit(self, x: Any, y: Any, gate: Any = None) -> None:
        """See :class:`Readout`; ``gate`` : >= 0 and <= 1, shape (T, n_outputs), or (T,) for all outputs; None: 1."""
        known = self.weights.shape if self._seen else (None, None)
        x, y = self._pair(x, y, *known)
        gates = np.ones_like(y) if gate is None else series("NLMS.fit.gate", gate)
        if len(gates) != len(y) or gates.shape[1] not in (1, y.shape[1]):
            raise ShapeError(f"NLMS.fit.gate: must have shape ({len(y)},) or {y.shape}; got {np.shape(gate)}.")
        if gates.min() < 0 or gates.max() > 1:
            raise ModelError(f"NLMS.fit.gate: must be 0 to 1; got {gates.min():g} to {gates.max():g}.")
        if not self._seen:
            self.weights, self._mean, self._offset = (
                np.zeros((x.shape[1], y.shape[1])),
                x[0].copy(),
                np.zeros(y.shape[1]),
            )
        for state, target, open_ in zip(x, y, gates, strict=True):
            a = state - self._mean
            e = open_ * (target - a @ self.weights - self._offset) * (self.rate / (a @ a + 1.0))
            self.weights += np.outer(a, e)
            self._offset += e
            self._seen += 1
            self._mean += a / min(self._seen, self.tau) if self.tau > 1.0 else a
        self.bias = self._offset - self._mean @ self.weights


class Softmax(Readout):
    """Multinomial logistic regression: probabilities of classes from states.

    Equations
    ---------
    p_k = exp(z_k) / sum_j exp(z_j), z = weights^T x + bias. Minimises - sum_t sum_k y_k log p_k
    + penalty/2 |weights|^2; the bias is not penalised.

    Numerics
    --------
    Keeps all states that it was given. L-BFGS on centred states over the root of variance + penalty / T, T the steps,
    until no element of the gradient of the mean loss exceeds 1e-6; refused where one stays above 1e-4.

    Parameters
    ----------
    penalty : > 0

    Raises
    ------
    ModelError
        Where targets are not probabilities, one column a class, in each row of sum 1; where the minimum is not reached.

    References
    ----------
    Bishop 2006, Pattern Recognition and Machine Learning, section 4.3.4
    """

    def __init__(self, penalty: float = 1.0) -> None:
        self.penalty = bounded("Softmax.penalty", penalty, 0.0, open_low=True)
        self.reset()

    def reset(self) -> None:
        """See :class:`Readout`."""
        self._parts: list[tuple[np.ndarray, np.ndarray]] = []
        self.weights = self.bias = None  # type: ignore[assignment]

    def partial_fit(self, x: Any, y: Any) -> None:
        """See :class:`Readout`; ``y`` holds probabilities, one column a class. :meth:`solve` computes."""
        known = (self._parts[0][0].shape[1], self._parts[0][1].shape[1]) if self._parts else (None, None)
        x, y = self._pair(x, y, *known)
        if y.shape[1] < 2 or np.any(y < 0) or not np.allclose(y.sum(axis=1), 1.0):
            raise ModelError(
                f"Softmax.fit.y: must be probabilities of at least two classes, of sum 1; got shape {y.shape}, "
                f"sums from {y.sum(axis=1).min():g} to {y.sum(axis=1).max():g}. "
                "Give one-hot rows, such as np.eye(k)[labels]."
            )
        self._parts.append((x.copy(), y.copy()))

    def solve(self) -> None:
        """See :class:`Readout`."""
        if not self._parts:
            self._fitted("Softmax.solve")
        x, y = (np.vstack(part) for part in zip(*self._parts, strict=True))
        n, k, steps = x.shape[1], y.shape[1], len(x)
        mean, size = x.mean(axis=0), np.sqrt(x.var(axis=0) + self.penalty / steps)
        a = (x - mean) / size  # the loss is about as steep along all, so that few iterations are needed
        shrink = self.penalty / (steps * size**2)[:, None]

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            theta = flat.reshape(n + 1, k)
            z = a @ theta[:n] + theta[n]
            log_p = z - scipy.special.logsumexp(z, axis=1, keepdims=True)
            error = (np.exp(log_p) - y) / steps
            slope = np.vstack([a.T @ error + shrink * theta[:n], error.sum(axis=0)])
            value = -np.sum(y * log_p) / steps + 0.5 * np.sum(shrink * theta[:n] ** 2)
            return float(value), slope.ravel()

        done = scipy.optimize.minimize(
            loss, np.zeros((n + 1) * k), jac=True, method="L-BFGS-B",
            options={"maxiter": 10_000, "maxfun": 20_000, "gtol": 1e-6, "ftol": 0.0},
        )  # fmt: skip
        if np.abs(loss(done.x)[1]).max() > 1e-4:
            raise ModelError(f"Softmax.fit: the minimum was not reached ({done.message}). Raise the penalty.")
        theta = done.x.reshape(n + 1, k)
        self.weights = theta[:n] / size[:, None]
        self.bias = theta[n] - mean @ self.weights

    def predict(self, x: Any) -> np.ndarray:
        """Probabilities, shape (T, n_classes), from states of shape (T, n)."""
        return np.asarray(scipy.special.softmax(super().predict(x), axis=1))
