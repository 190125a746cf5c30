"""Standard tasks, generated offline. Series have shape (T, d); a seed gives the same series everywhere."""

from typing import Any

import numpy as np
import scipy.integrate

from kernels.errors import ModelError, ShapeError
from reservoir.base import row, series
from reservoir.checks import generator
from snn.units import bounded, whole

NARMA = {5: (0.3, 0.05, 1.5, 0.1), 10: (0.3, 0.05, 1.5, 0.1), 20: (0.3, 0.05, 1.5, 0.01), 30: (0.2, 0.04, 1.5, 0.001)}


def narma(steps: int, order: int, seed: int = 0, u: Any = None) -> tuple[np.ndarray, np.ndarray]:
    """Nonlinear autoregressive moving average of ``order`` 5, 10, 20 or 30.

    y(t+1) = a y(t) + b y(t) sum_{i<order} y(t-i) + c u(t-order+1) u(t) + d, u uniform in (0, 0.5), y = 0 at first;
    (a, b, c, d) is (0.3, 0.05, 1.5, 0.1) for orders 5 and 10, with d = 0.01 for 20 (its y within tanh, without which it
    may run away), and (0.2, 0.04, 1.5, 0.001) for 30. The target of input t is y(t+1). (reservoirpy 0.4.2 begins the
    sum, and takes the older input, one step earlier.)

    Parameters
    ----------
    steps : length of both series
    u : the input, shape (steps,), in place of a random one

    Returns
    -------
    (u, y), each of shape (steps, 1)

    Raises
    ------
    ModelError
        For another order, and where the series runs away (rare; another seed helps).

    References
    ----------
    Atiya & Parlos 2000, doi:10.1109/72.846741; Schrauwen et al. 2008, doi:10.1016/j.neucom.2007.12.020 (order 30)

    Examples
    --------
    >>> u, y = narma(100, order=10, seed=1)
    >>> u.shape, y.shape
    ((100, 1), (100, 1))
    """
    steps = whole("narma.steps", steps)
    if not isinstance(order, (int, np.integer)) or order not in NARMA:
        raise ModelError(f"narma.order: must be 5, 10, 20 or 30; got {order!r}.")
    if u is None:
        u = generator("narma", seed).uniform(0.0, 0.5, (steps, 1))
    u = series("narma.u", u, 1)
    if len(u) != steps:
        raise ShapeError(f"narma.u: must have shape ({steps},); got {len(u)} values.")
    a, b, c, d = NARMA[order]
    x = np.concatenate([np.zeros(order - 1), u[:, 0]])  # x[t + order - 1] is u(t)
    y = np.zeros(order + steps)  # y[t + order - 1] is y(t)
    for t in range(steps):
        k = t + order - 1
        value = a * y[k] + b * y[k] * y[k - order + 1 : k + 1].sum() + c * x[t] * x[k] + d
        y[k + 1] = np.tanh(value) if order == 20 else value
        if not abs(y[k + 1]) < 1e3:
            raise ModelError(f"narma.seed: the series runs away at step {t}; got seed={seed!r}. Choose another.")
    return u, y[order:, None]


def mackey_glass(
    steps: int, tau: float = 17.0, every: float = 1.0, dt: float = 0.1, start: float = 1.2, washout: float = 1000.0
) -> np.ndarray:
    """Mackey-Glass equation dx/dt = 0.2 x(t-tau) / (1 + x(t-tau)^10) - 0.1 x(t); chaotic for tau > 16.8.

    Runge-Kutta of order 4 with step ``dt``; x(t-tau) half a step on is interpolated by cubics through four points. The
    kink that a constant history has at 0 leaves an error of order dt^2 (3e-5 at dt = 1/8 and t = 60).
    Until 0, x = ``start``. Samples are ``every`` apart, the first at ``washout``; times have no unit.

    Returns
    -------
    Array of shape (steps, 1)

    Raises
    ------
    ModelError
        Unless ``tau``, ``every`` and ``washout`` are multiples of ``dt``, tau at least three, every at least one.

    References
    ----------
    Mackey & Glass 1977, doi:10.1126/science.267326

    Examples
    --------
    >>> mackey_glass(500).shape
    (500, 1)
    """
    steps = whole("mackey_glass.steps", steps)
    bounded("mackey_glass.dt", dt, 0.0, open_low=True)
    lag, stride = _multiple("tau", tau, dt, 3), _multiple("every", every, dt, 1)
    skip = _multiple("washout", washout, dt, 0)
    x = np.full(lag + 2 + skip + steps * stride, bounded("mackey_glass.start", start, -np.inf))

    def slope(now: float, past: float) -> float:
        return 0.2 * past / (1.0 + past**10) - 0.1 * now

    for k in range(lag + 1, len(x) - 1):
        p, q, r, s = x[k - lag - 1], x[k - lag], x[k - lag + 1], x[k - lag + 2]
        half = (9.0 * (q + r) - p - s) / 16.0
        k1 = slope(x[k], q)
        k2 = slope(x[k] + 0.5 * dt * k1, half)
        k3 = slope(x[k] + 0.5 * dt * k2, half)
        k4 = slope(x[k] + dt * k3, r)
        x[k + 1] = x[k] + dt * (k1 + 2.0 * k2 + 2.0 * k3 + k4) / 6.0
    return x[lag + 1 + skip :: stride][:steps, None].copy()


def lorenz(steps: int, every: float = 0.02, start: Any = (1.0, 1.0, 1.0), washout: float = 20.0) -> np.ndarray:
    """Lorenz equations x' = 10 (y - x), y' = x (28 - z) - y, z' = x y - 8/3 z, sampled ``every`` time units.

    Adaptive Runge-Kutta of order 8 (relative tolerance 1e-10). The largest Lyapunov exponent is about 0.906.

    Parameters
    ----------
    steps : number of samples
    every, washout : time units between samples, and before the first
    start : (x, y, z) at time 0

    Returns
    -------
    Array of shape (steps, 3)

    References
    ----------
    Lorenz 1963, doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2

    Examples
    --------
    >>> lorenz(100).shape
    (100, 3)
    """
    steps = whole("lorenz.steps", steps)
    first = row("lorenz.start", start, 3)
    every, washout = bounded("lorenz.every", every, 0.0, open_low=True), bounded("lorenz.washout", washout, 0.0)
    times = washout + every * np.arange(steps)
    if times[-1] == 0.0:
        return first.copy()

    def slope(_: float, v: np.ndarray) -> list[float]:
        return [10.0 * (v[1] - v[0]), v[0] * (28.0 - v[2]) - v[1], v[0] * v[1] - 8.0 / 3.0 * v[2]]

    done = scipy.integrate.solve_ivp(slope, (0.0, times[-1]), first[0], "DOP853", times, rtol=1e-10, atol=1e-10)
    return np.ascontiguousarray(done.y.T)


def temporal_parity(steps: int, delays: Any = (0, 1), hold: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Parity of a random binary input at ``delays``: y(t) = u(t - d1) xor u(t - d2) xor ..; two delays: temporal XOR.

    Every bit is held for ``hold`` steps and delays count bits. Inputs before the first are 0.

    Returns
    -------
    (u, y), each of shape (steps, 1), of zeros and ones

    Examples
    --------
    >>> u, y = temporal_parity(6, delays=(0, 1), seed=3)
    >>> u[:, 0].astype(int).tolist(), y[:, 0].astype(int).tolist()
    ([1, 0, 0, 0, 0, 1], [1, 1, 0, 0, 0, 1])
    """
    steps, hold = whole("temporal_parity.steps", steps), whole("temporal_parity.hold", hold)
    delays = np.atleast_1d(np.asarray(delays))
    if delays.ndim != 1 or delays.dtype.kind not in "iu" or delays.size == 0 or delays.min() < 0:
        raise ModelError(f"temporal_parity.delays: must be integers >= 0; got {delays!r}.")
    bits = generator("temporal_parity", seed).integers(0, 2, -(-steps // hold))
    past = np.concatenate([np.zeros(delays.max(), np.int64), bits])
    parity = np.bitwise_xor.reduce([past[delays.max() - d :][: len(bits)] for d in delays])
    u, y = (np.repeat(a, hold)[:steps, None].astype(float) for a in (bits, parity))
    return u, y


def delayed_match(
    trials: int, symbols: int = 4, cue: int = 5, gap: int = 20, seed: int = 0
) -> tuple[list[np.ndarray], np.ndarray]:
    """Delayed match to sample: a symbol, a gap, a second symbol; are they equal (in half of the trials)?

    Parameters
    ----------
    trials, symbols : numbers of trials and of different symbols
    cue, gap : steps for which a symbol is shown, and between the two
    seed : fixes everything drawn

    Returns
    -------
    (u, y): a list of ``trials`` arrays of shape (2 cue + gap, symbols), one column a symbol; matches, shape (trials,)

    Examples
    --------
    >>> u, y = delayed_match(10, symbols=3)
    >>> len(u), u[0].shape, y.shape
    (10, (30, 3), (10,))
    """
    trials, symbols = whole("delayed_match.trials", trials), whole("delayed_match.symbols", symbols, 2)
    cue, gap = whole("delayed_match.cue", cue), whole("delayed_match.gap", gap, 0)
    rng = generator("delayed_match", seed)
    match = rng.permutation(trials) % 2
    first = rng.integers(0, symbols, trials)
    second = np.where(match == 1, first, (first + rng.integers(1, symbols, trials)) % symbols)
    u = np.zeros((trials, 2 * cue + gap, symbols))
    u[np.arange(trials), :cue, first] = 1.0
    u[np.arange(trials), cue + gap :, second] = 1.0
    return list(u), match


def spike_templates(
    trials: int, templates: int = 2, channels: int = 1, rate: float = 20.0, duration: float = 500.0,
    jitter: float = 4.0, seed: int = 0,
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:  # fmt: skip
    """Which of some fixed Poisson spike trains was it? Each trial is a template whose spikes move by normal ``jitter``.

    Parameters
    ----------
    trials, templates, channels : numbers of each
    rate : of a channel, [Hz];  duration : [ms];  jitter : standard deviation, [ms]; spikes that leave are lost

    Returns
    -------
    (trains, labels): a list of (times [ms] ascending, channels), and the number of each one's template, (trials,)

    References
    ----------
    Maass, Natschlaeger & Markram 2002, doi:10.1162/089976602760407955

    Examples
    --------
    >>> trains, labels = spike_templates(4, templates=2, seed=1)
    >>> len(trains), sorted(labels.tolist())
    (4, [0, 0, 1, 1])
    """
    trials, templates = whole("spike_templates.trials", trials), whole("spike_templates.templates", templates)
    channels = whole("spike_templates.channels", channels)
    rate, jitter = bounded("spike_templates.rate", rate, 0.0), bounded("spike_templates.jitter", jitter, 0.0)
    duration = bounded("spike_templates.duration", duration, 0.0, open_low=True)
    rng = generator("spike_templates", seed)
    fixed = []
    for _ in range(templates):
        n = rng.poisson(channels * rate * duration * 1e-3)
        fixed.append((rng.uniform(0.0, duration, n), rng.integers(0, channels, n)))
    labels = rng.permutation(trials) % templates
    trains = []
    for label in labels:
        times, ids = fixed[label]
        moved = times + jitter * rng.normal(size=times.size)
        order = np.argsort(moved)
        order = order[(moved[order] >= 0.0) & (moved[order] < duration)]
        trains.append((moved[order], ids[order]))
    return trains, labels


SHAPES = ("disc", "square", "cross", "ring")


def moving_shapes(
    samples: int, steps: int = 32, size: int = 16, noise: float = 0.01, seed: int = 0
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """Shapes that move in front of an event camera; which of four it is, is to be told.

    A disc, square, cross or ring of random size (radius 0.2 to 0.3 of the picture) goes round on a circle of radius
    1.5 to 3 pixels about the middle of the picture (off by up to 1.5 pixels), one to two rounds in 32 steps, either
    way. A pixel sends an event where it became covered (ON) or uncovered (OFF) since the step before, and, of either
    kind, by chance.

    Parameters
    ----------
    samples, steps, size : numbers of samples, of steps, and of pixels along an edge, at least 8
    noise : probability of a chance event of each kind in a step at a pixel

    Returns
    -------
    (events, labels): for each sample (steps, addresses), ascending, as :class:`snn.encode.Events` takes them, address =
    size**2 * (1 if OFF) + size * y + x; and the number of its shape in ``SHAPES``, (samples,)

    Examples
    --------
    >>> events, labels = moving_shapes(4, seed=1)
    >>> len(events), sorted(labels.tolist()), len(events[0])
    (4, [0, 1, 2, 3], 2)
    """
    samples, steps = whole("moving_shapes.samples", samples), whole("moving_shapes.steps", steps)
    size = whole("moving_shapes.size", size, 8)
    noise = bounded("moving_shapes.noise", noise, 0.0, 1.0)
    rng = generator("moving_shapes", seed)
    labels = rng.permutation(samples) % len(SHAPES)
    pixel, events = np.arange(size), []
    for label in labels:
        radius, angle, speed, path = rng.uniform((0.2, 0.0, 1 / 32, 1.5), (0.3, 1.0, 1 / 16, 3.0))
        turn = 2 * np.pi * (angle + rng.choice((-1.0, 1.0)) * speed * np.arange(steps + 1))
        at = size / 2 - 0.5 + rng.uniform(-1.5, 1.5, 2) + path * np.stack((np.cos(turn), np.sin(turn)), axis=1)
        x, y = ((pixel - at[:, k, None]) / (radius * size) for k in (0, 1))  # from the centre, in radii
        x, y = x[:, None, :], y[:, :, None]
        distance, near, far = np.hypot(x, y), np.minimum(abs(x), abs(y)), np.maximum(abs(x), abs(y))
        covered = (distance < 1.1, far < 0.95, (near < 0.35) & (far < 1.3), (distance < 1.3) & (distance > 0.7))[label]
        on, off = covered[1:] & ~covered[:-1], covered[:-1] & ~covered[1:]
        seen = np.stack((on, off), axis=1) | (rng.random((steps, 2, size, size)) < noise)
        step, address = np.nonzero(seen.reshape(steps, -1))
        events.append((step, address))
    return events, labels


def _multiple(name: str, value: float, dt: float, least: int) -> int:
    steps = bounded(f"mackey_glass.{name}", value, 0.0) / dt
    if not abs(steps - round(steps)) <= 1e-6 or round(steps) < least:
        raise ModelError(
            f"mackey_glass.{name}: must be a multiple of dt, at least {least} dt; got {value!r} and dt={dt!r}."
        )
    return round(steps)
