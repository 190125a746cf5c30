"""Further neurons of Lava 0.10 in fixed point, each by itself: resonate-and-fire, sigma-delta, graded spikes.

Arrays in, arrays out: what a population does with given input, bit for bit as Lava's process models for Loihi 2
do (``fixed_pt``). They are no part of :class:`neuromorphic.IntegerNetwork` and of its bundles, whose neurons are LIF.

Equations
---------
tz(x, k) = sign(x) (|x| >> k). Resonate and fire, b decay bits, C = trunc((1 - alpha) cos(2 pi / period) 2^b), S with
sin in place of cos:

    re' = tz(C re, b) - tz(S im, b) + (a_re << e),  im' = tz(S re, b) + tz(C im, b) + (a_im << e),  clipped to 24 bits
    spike where re' >= theta, im' >= 0 and im < 0;  theta = vth << e
    Izhikevich's: spike where im' >= theta; there re' <- 0, im' <- theta - 1

Sigma-delta, with f = spike_exp + state_exp, bias << f, theta = vth << f:

    sigma <- sigma + a,  x = max(0, sigma + bias) or sigma + bias        (delta alone: x = a << f)
    d = x - (x of the last step) + r;  sent d >> state_exp where |d| >= theta, else 0;  r <- 0 there, else d
    with cum_error: E <- E + d is compared in place of d, and set to 0 where something is sent

Graded: a where |a| > vth, else 0; rectified: a where a > vth. Nothing is kept from step to step.

Sources: Orchard et al. 2021, arXiv:2111.03746; Izhikevich 2001, doi:10.1016/S0893-6080(01)00078-8; Lava 0.10.0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from neuromorphic.fixed_point import STATE_LIMIT

TOP = 2**31 - 1  # Lava's states are int32


def _check(owner: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
        raise ModelError(f"{owner}: must be an integer, {low} to {high}; got {value!r}.")


def _input(owner: str, a: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
    array = np.asarray(a)
    if array.ndim != 2 or array.dtype.kind not in "iu" or (shape is not None and array.shape != shape):
        wanted = "(steps, n)" if shape is None else shape
        raise ShapeError(f"{owner}: must be integers of shape {wanted}; got {array.dtype} of {array.shape}.")
    return array.astype(np.int64)


def _fits(owner: str, *states: np.ndarray) -> None:
    if any(np.abs(x).max(initial=0) > TOP for x in states):
        raise ModelError(f"{owner}: a state leaves 32 bits, where Lava's would wrap. Scale the input down.")


@dataclass(frozen=True)
class IntegerRF:
    """Resonate-and-fire neurons, Lava's ``RF`` and, with ``izhikevich``, ``RF_IZ``.

    Parameters
    ----------
    period : of the oscillation, steps
    alpha : lost of the amplitude in a step, 0 to 1
    vth : threshold, before it is shifted
    state_exp, decay_bits : e and b above, 0..7 and 1..12
    """

    period: float
    alpha: float = 0.07
    vth: int = 1
    state_exp: int = 0
    decay_bits: int = 12
    izhikevich: bool = False

    def __post_init__(self) -> None:
        if not (np.isfinite(self.period) and self.period >= 2):
            raise ModelError(f"IntegerRF.period: must be >= 2 steps; got {self.period!r}.")
        if not 0 <= self.alpha <= 1:
            raise ModelError(f"IntegerRF.alpha: must be 0 to 1; got {self.alpha!r}.")
        for name, low, high in (("vth", 0, 2**23 - 1), ("state_exp", 0, 7), ("decay_bits", 1, 12)):
            _check(f"IntegerRF.{name}", getattr(self, name), low, high)

    def run(self, a_re: Any, a_im: Any = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Spikes (0 or 1), re and im after each step, for input to re and im; all of shape (steps, n).

        Examples
        --------
        >>> import numpy as np
        >>> from neuromorphic import IntegerRF
        >>> kick = np.zeros((30, 1), int)
        >>> kick[0] = 100
        >>> np.flatnonzero(IntegerRF(period=10, alpha=0.02, vth=50).run(kick)[0])
        array([10, 20])
        """
        a_re = _input("IntegerRF.run.a_re", a_re)
        a_im = np.zeros_like(a_re) if a_im is None else _input("IntegerRF.run.a_im", a_im, a_re.shape)
        angle, top, b = 2 * np.pi / self.period, STATE_LIMIT - 1, self.decay_bits
        c, s = (int((1 - self.alpha) * f(angle) * 2**b) for f in (np.cos, np.sin))
        theta = self.vth << self.state_exp
        re = im = np.zeros(a_re.shape[1], np.int64)
        out: tuple[list[np.ndarray], ...] = ([], [], [])

        def tz(x: np.ndarray) -> np.ndarray:
            return np.asarray(np.sign(x) * (np.abs(x) >> b))

        for x, y in zip(a_re << self.state_exp, a_im << self.state_exp, strict=True):
            new_re = np.clip(tz(c * re) - tz(s * im) + x, -top, top)
            new_im = np.clip(tz(s * re) + tz(c * im) + y, -top, top)
            if self.izhikevich:
                fired = new_im >= theta
                new_re, new_im = np.where(fired, 0, new_re), np.where(fired, theta - 1, new_im)
            else:
                fired = (new_re >= theta) & (new_im >= 0) & (im < 0)
            re, im = new_re, new_im
            for keep, value in zip(out, (fired.astype(np.int64), re, im), strict=True):
                keep.append(value)
        spikes, res, ims = (np.array(x).reshape(a_re.shape) for x in out)
        return spikes, res, ims


@dataclass(frozen=True)
class IntegerSigmaDelta:
    """Sigma-delta neurons, Lava's ``SigmaDelta``, and without ``sigma`` its ``Delta``.

    Parameters
    ----------
    vth, bias : before they are shifted; ``bias`` of sigma-delta only
    relu : negative activations count 0
    sigma : sum the input first
    spike_exp, state_exp : 0..7
    cum_error : compare the errors summed since the last message
    """

    vth: int
    bias: int = 0
    relu: bool = True
    sigma: bool = True
    spike_exp: int = 0
    state_exp: int = 0
    cum_error: bool = False

    def __post_init__(self) -> None:
        for name, low, high in (
            ("vth", 0, 2**23 - 1), ("bias", -(2**15), 2**15 - 1), ("spike_exp", 0, 7), ("state_exp", 0, 7)
        ):  # fmt: skip
            _check(f"IntegerSigmaDelta.{name}", getattr(self, name), low, high)
        if not self.sigma and self.bias:
            raise ModelError(f"IntegerSigmaDelta.bias: must be 0 without sigma; got {self.bias}.")

    def run(self, a: Any) -> np.ndarray:
        """What is sent in each step, for input ``a``; both of shape (steps, n)."""
        a = _input("IntegerSigmaDelta.run.a", a)
        f = self.spike_exp + self.state_exp
        x = (np.cumsum(a, axis=0) + (self.bias << f)) if self.sigma else a << f
        if self.sigma and self.relu:
            x = np.maximum(x, 0)
        residue = error = np.zeros(a.shape[1], np.int64)
        sent, states = np.zeros_like(a), [x]
        for t, change in enumerate(np.diff(x, axis=0, prepend=0)):
            d = change + residue
            error = error + d if self.cum_error else d
            out = np.where(np.abs(error) >= self.vth << f, d, 0)
            states += [d, error]
            error = np.where(out != 0, 0, error)
            residue, sent[t] = d - out, out >> self.state_exp
        _fits("IntegerSigmaDelta.run.a", *states)
        return np.asarray(sent)


@dataclass(frozen=True)
class IntegerGraded:
    """Neurons that pass on what exceeds a threshold, Lava's ``GradedVec`` and, with ``relu``, ``GradedReluVec``."""

    vth: int
    relu: bool = False

    def __post_init__(self) -> None:
        _check("IntegerGraded.vth", self.vth, 0, 2**23 - 1)

    def run(self, a: Any) -> np.ndarray:
        """What is sent in each step, for input ``a``; both of shape (steps, n)."""
        a = _input("IntegerGraded.run.a", a)
        _fits("IntegerGraded.run.a", a)
        return np.asarray(np.where((a if self.relu else np.abs(a)) > self.vth, a, 0))
