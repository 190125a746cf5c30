"""e-prop 1: online learning in recurrent networks of spiking neurons, whole trials at a time, in machine code."""

from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from kernels.jit import jit
from kernels.units import plain

Array = np.ndarray
FEEDBACK = ("symmetric", "random", "adaptive")
LOSSES = ("mse", "cross_entropy")


@jit
def _forward(x, w_in, w_rec, alpha, rho, p_bz, beta, v_th, n_ref, gamma, z, psi):  # type: ignore[no-untyped-def]
    """Spikes z and pseudo-derivatives psi, both (T, n); w_in and w_rec are transposed: a row a source."""
    steps, n = z.shape
    v, b, refractory, current = np.zeros(n), np.zeros(n), np.zeros(n, np.int64), np.zeros(n)
    for t in range(steps):
        current[:] = 0.0
        for i in range(x.shape[1]):
            if x[t, i] != 0.0:
                for j in range(n):
                    current[j] += w_in[i, j] * x[t, i]
        if t > 0:
            for i in range(n):
                if z[t - 1, i] != 0.0:
                    for j in range(n):
                        current[j] += w_rec[i, j]
        for j in range(n):
            before = z[t - 1, j] if t > 0 else 0.0
            v[j] = alpha * v[j] + (1.0 - alpha) * current[j] - v_th * before
            b[j] = rho * b[j] + p_bz * before
            threshold = v_th + beta[j] * b[j]
            free = refractory[j] == 0
            if free:
                psi[t, j] = gamma / v_th * max(0.0, 1.0 - abs(v[j] - threshold) / v_th)
            fires = free and v[j] > threshold
            z[t, j] = 1.0 if fires else 0.0
            refractory[j] = n_ref if fires else (refractory[j] if free else refractory[j] - 1)


@jit
def _low_pass(values, decay, gain, late, out):  # type: ignore[no-untyped-def]
    """out[t] = decay out[t-1] + gain values[t - late]."""
    for t in range(values.shape[0]):
        for i in range(values.shape[1]):
            now = values[t - late, i] if t >= late else 0.0
            out[t, i] = (decay * out[t - 1, i] if t > 0 else 0.0) + gain * now


@jit
def _shares(c, psi, beta, rho, share):  # type: ignore[no-untyped-def]
    """share[t, j]: what the sum over time of c e of a synapse onto neuron j takes of its presynaptic trace at t.

    A neuron whose threshold adapts has a memory in each synapse, eps(t + 1) = e(t) + rho eps(t), and e = psi (trace -
    beta eps). All is linear in the trace, so that what is asked of eps is handed back through time, once a neuron.
    """
    asked = np.zeros(beta.size)
    for t in range(len(c) - 1, -1, -1):
        for j in range(beta.size):
            share[t, j] = psi[t, j] * (c[t, j] + asked[j])
            asked[j] = rho * asked[j] - beta[j] * share[t, j]


def _number(name: str, value: Any, unit: str = "1") -> float:
    found = plain(value, unit, f"EProp.{name}")
    if np.ndim(found) or not (np.isfinite(found) and found >= 0):
        raise ModelError(f"EProp.{name}: must be a number >= 0; got {value!r}.")
    return float(found)


def _above(name: str, value: Any, unit: str = "1") -> float:
    found = plain(value, unit, f"EProp.{name}")
    if np.ndim(found) or not (np.isfinite(found) and found > 0):
        raise ModelError(f"EProp.{name}: must be a number > 0; got {value!r}.")
    return float(found)


def _numbers(name: str, value: Any) -> Array:
    try:
        return np.ascontiguousarray(value, float)
    except (TypeError, ValueError) as error:
        raise ShapeError(f"EProp.{name}: must be numbers, as many in each trial and step: {error}.") from error


def _series(name: str, value: Any, shape: tuple[int, ...]) -> Array:
    """Finite numbers of ``shape``."""
    found = _numbers(name, value)
    if found.shape != shape:
        raise ShapeError(f"EProp.{name}: must be of shape {shape}; got {found.shape}.")
    if not np.all(np.isfinite(found)):
        raise ModelError(f"EProp.{name}: must be finite; got NaN or infinity.")
    return found


class EProp:
    """A recurrent network of LIF and adaptive LIF neurons with a linear readout, trained by e-prop 1.

    Neurons are :class:`snn.ALIF` with ``reset_share=0`` (LIF where ``beta`` is 0), in steps of ``dt``: with
    alpha = exp(-dt / tau_m), rho = exp(-dt / tau_a), v(t) = alpha v(t-1) + (1 - alpha) (w_in x(t) + w_rec z(t-1)) -
    v_th z(t-1), threshold B = v_th + beta b, b(t) = rho b(t-1) + (1 - rho) z(t-1) / dt. The readout is
    y(t) = kappa y(t-1) + (1 - kappa) w_out z(t) + bias, kappa = exp(-dt / tau_out).

    Learning: eligibility e_ji = psi_j (zbar_i - beta' eps_ji), eps_ji(t+1) = e_ji + rho eps_ji, beta' = beta (1 - rho)
    / dt, zbar the source's spikes through the filter of the membrane, psi_j = gamma / v_th max(0, 1 - abs(v - B) /
    v_th), 0 in the refractory period. dE/dw_ji = sum over t of L_j ebar_ji + c_reg (f_j - f_target) mean of e_ji, with
    ebar filtered as the readout and L = feedback (y - target). The sum is taken trial by trial with the filter moved
    from the eligibilities to the learning signals, which gives the same number. It equals back-propagation through time
    where the paths through recurrent spikes and through the reset are left out.

    Parameters
    ----------
    n_in, n_rec, n_out : numbers of inputs, neurons and readouts
    dt, tau_m, tau_a, tau_out, t_ref : [ms]
    v_th : threshold at rest
    beta : [ms], a number or of shape (n_rec,), strength of the adaptation
    gamma : height of the pseudo-derivative
    c_reg, f_target : strength of the regularisation of rates, and their target [Hz]
    feedback : "symmetric" (w_out), "random" (fixed), or "adaptive" (random, changed and decayed as w_out is)
    loss : "mse" (half the sum of squares) or "cross_entropy" (of the softmax of y)
    learning_rate, decay : of Adam; decay of w_out and feedback per update where feedback is adaptive
    seed : of the initial weights, Gaussian with variance 1 / number of sources

    Attributes
    ----------
    w_in, w_rec, w_out, bias, feedback_weights : of shapes (n_rec, n_in), (n_rec, n_rec), (n_out, n_rec), (n_out,) and
        (n_rec, n_out); may be set. w_rec has a diagonal of zeros

    References
    ----------
    Bellec, Scherr, Subramoney, Hajek, Salaj, Legenstein & Maass 2020, doi:10.1038/s41467-020-17236-y

    Examples
    --------
    >>> import numpy as np
    >>> net = EProp(20, 30, 1, v_th=0.03, seed=1)
    >>> x = (np.random.default_rng(0).random((200, 20)) < 0.05).astype(float)
    >>> target = np.sin(np.arange(200) / 30.0)[:, None]
    >>> losses = [net.update(x, target) for _ in range(50)]
    >>> losses[-1] < 0.5 * losses[0]
    True
    """

    def __init__(
        self, n_in: int, n_rec: int, n_out: int, *, dt: float = 1.0, tau_m: float = 20.0, tau_a: float = 200.0,
        tau_out: float = 20.0, t_ref: float = 0.0, v_th: float = 0.03, beta: Any = 0.0, gamma: float = 0.3,
        c_reg: float = 0.0, f_target: float = 10.0, feedback: str = "symmetric", loss: str = "mse",
        learning_rate: float = 1e-3, decay: float = 1e-3, seed: int = 0,
    ) -> None:  # fmt: skip
        for name, number in (("n_in", n_in), ("n_rec", n_rec), ("n_out", n_out)):
            if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < 1:
                raise ModelError(f"EProp.{name}: must be an integer >= 1; got {number!r}.")
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ModelError(f"EProp.seed: must be an integer >= 0; got {seed!r}.")
        dt, tau_m, tau_a = _above("dt", dt, "ms"), _above("tau_m", tau_m, "ms"), _above("tau_a", tau_a, "ms")
        tau_out, v_th, gamma = _above("tau_out", tau_out, "ms"), _above("v_th", v_th), _above("gamma", gamma)
        learning_rate, t_ref = _above("learning_rate", learning_rate), _number("t_ref", t_ref, "ms")
        c_reg, f_target, decay = _number("c_reg", c_reg), _number("f_target", f_target, "Hz"), _number("decay", decay)
        if decay > 1:
            raise ModelError(f"EProp.decay: must be <= 1; got {decay:g}.")
        for name, chosen, known in (("feedback", feedback, FEEDBACK), ("loss", loss, LOSSES)):
            if chosen not in known:
                raise ModelError(f"EProp.{name}: must be one of {', '.join(known)}; got {chosen!r}.")
        strength = np.asarray(plain(beta, "ms", "EProp.beta"), float)
        if strength.shape not in ((), (n_rec,)) or not np.all((strength >= 0) & np.isfinite(strength)):
            raise ModelError(f"EProp.beta: must be a number >= 0 or {n_rec} of them; got {beta!r}.")
        self.dt, self.v_th, self.gamma, self.c_reg, self.f_target = dt, v_th, gamma, c_reg, f_target
        self.feedback, self.loss, self.learning_rate, self.decay = feedback, loss, learning_rate, decay
        self.alpha, self.rho, self.kappa = (float(np.exp(-dt / tau)) for tau in (tau_m, tau_a, tau_out))
        self.n_ref, self.beta = round(t_ref / dt), np.broadcast_to(strength, (n_rec,)).copy()
        rng = np.random.default_rng(seed)
        self.w_in = rng.normal(size=(n_rec, n_in)) / np.sqrt(n_in)
        self.w_rec = rng.normal(size=(n_rec, n_rec)) / np.sqrt(n_rec)
        np.fill_diagonal(self.w_rec, 0.0)
        self.w_out = rng.normal(size=(n_out, n_rec)) / np.sqrt(n_rec)
        self.bias = np.zeros(n_out)
        self.feedback_weights = rng.normal(size=(n_rec, n_out)) / np.sqrt(n_rec)
        self._shapes = {
            "w_in": (n_rec, n_in), "w_rec": (n_rec, n_rec), "w_out": (n_out, n_rec), "bias": (n_out,),
            "feedback_weights": (n_rec, n_out),
        }  # fmt: skip
        self._moments: dict[str, tuple[Array, Array]] = {}
        self._updates = 0

    def run(self, x: Array) -> tuple[Array, Array]:
        """(y, z) of a trial: readout of shape (T, n_out) and spikes of shape (T, n_rec); ``x``: (T, n_in)."""
        z, _ = self._spikes(self._input(x))
        return self._readout(z)[0], z

    def gradients(self, x: Array, target: Array, mask: Array | None = None) -> tuple[float, dict[str, Array]]:
        """(loss, gradient by name of the weights) of one trial.

        ``x``: (T, n_in); ``target``: (T, n_out), probabilities of classes for the cross entropy; ``mask``: (T,),
        weights >= 0 of the steps in the loss, 1 by default.
        """
        x = self._input(x)
        steps = x.shape[0]
        target = _series("target", target, (steps, self.bias.size))
        weight = np.ones(steps) if mask is None else _series("mask", mask, (steps,))
        if np.any(weight < 0):
            raise ModelError(f"EProp.mask: must be >= 0; got {weight.min():g}.")
        z, psi = self._spikes(x)
        y, filtered = self._readout(z)
        if self.loss == "mse":
            error = (y - target) * weight[:, None]
            loss = 0.5 * float(np.sum((y - target) ** 2 * weight[:, None]))
        else:
            log_p = y - y.max(axis=1, keepdims=True)
            log_p -= np.log(np.sum(np.exp(log_p), axis=1, keepdims=True))
            error = (np.exp(log_p) * target.sum(axis=1, keepdims=True) - target) * weight[:, None]
            loss = -float(np.sum(target * log_p * weight[:, None]))
        symmetric = self.feedback == "symmetric"
        signal = error @ (self.w_out if symmetric else self.feedback_weights.T)
        c = np.empty_like(signal)
        _low_pass(signal[::-1], self.kappa, 1.0 - self.kappa, 0, c[::-1])
        c += self.c_reg * (z.mean(axis=0) - 1e-3 * self.f_target * self.dt) / steps
        share = np.empty_like(psi)
        _shares(c, psi, self.beta * (1.0 - self.rho) / self.dt, self.rho, share)
        gradients = {"w_out": error.T @ filtered, "bias": error.sum(axis=0)}
        for name, spikes, late in (("w_in", x, 0), ("w_rec", z, 1)):
            trace = np.empty_like(spikes)
            _low_pass(spikes, self.alpha, 1.0 - self.alpha, late, trace)
            gradients[name] = share.T @ trace
        np.fill_diagonal(gradients["w_rec"], 0.0)
        return loss, gradients

    def update(self, x: Array, target: Array, mask: Array | None = None) -> float:
        """One step of Adam down the mean gradient of trials; returns their mean loss.

        One trial, as :meth:`gradients` takes it, or several: ``x`` of shape (trials, T, n_in), others likewise.
        """
        xs, targets = (_numbers(name, value) for name, value in (("x", x), ("target", target)))
        if xs.ndim == 2:
            xs, targets, mask = xs[None], targets[None], None if mask is None else np.asarray(mask)[None]
        if not len(xs) == len(targets) == (len(xs) if mask is None else len(mask)) > 0:
            raise ShapeError(f"EProp.update: must get as many targets and masks as trials; got {len(xs)} trials.")
        masks = [None] * len(xs) if mask is None else list(mask)
        done = [self.gradients(*trial) for trial in zip(xs, targets, masks, strict=True)]
        mean = {name: np.mean([g[name] for _, g in done], axis=0) for name in done[0][1]}
        if self.feedback == "adaptive":
            mean["feedback_weights"] = mean["w_out"].T
        self._updates += 1
        for name, gradient in mean.items():
            m, s = self._moments.get(name, (0.0, 0.0))
            m, s = 0.9 * m + 0.1 * gradient, 0.999 * s + 0.001 * gradient**2
            self._moments[name] = m, s
            unbiased = m / (1 - 0.9**self._updates), s / (1 - 0.999**self._updates)
            weights = getattr(self, name)
            weights -= self.learning_rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
            if self.feedback == "adaptive" and name in ("w_out", "feedback_weights"):
                weights *= 1.0 - self.decay
        return float(np.mean([loss for loss, _ in done]))

    def _input(self, x: Array) -> Array:
        """``x``, checked, and so are the weights, which may have been set."""
        for name, shape in self._shapes.items():
            setattr(self, name, _series(name, getattr(self, name), shape))
        found = _numbers("x", x)
        if found.ndim != 2 or found.shape[1] != self._shapes["w_in"][1] or not len(found):
            raise ShapeError(f"EProp.x: must be of shape (T, {self._shapes['w_in'][1]}); got {found.shape}.")
        return _series("x", found, found.shape)

    def _spikes(self, x: Array) -> tuple[Array, Array]:
        shape = len(x), self.beta.size
        z, psi = np.zeros(shape), np.zeros(shape)
        _forward(
            x, np.ascontiguousarray(self.w_in.T), np.ascontiguousarray(self.w_rec.T), self.alpha, self.rho,
            (1.0 - self.rho) / self.dt, self.beta, self.v_th, self.n_ref, self.gamma, z, psi,
        )  # fmt: skip
        return z, psi

    def _readout(self, z: Array) -> tuple[Array, Array]:
        filtered = np.empty_like(z)
        _low_pass(z, self.kappa, 1.0 - self.kappa, 0, filtered)
        return filtered @ self.w_out.T + self.bias, filtered
