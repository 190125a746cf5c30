"""Distributions of parameters, initial values, weights and delays."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtr

from kernels import draw
from kernels.errors import ModelError


@dataclass(frozen=True)
class Distribution:
    """A distribution of numbers, drawn per element from counter-based random numbers. Make one with :func:`normal` etc.

    ``low`` and ``high`` truncate it: the law of drawing again until the value lies inside.
    """

    kind: int
    name: str
    a: float
    b: float
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        u_low, u_high = self._cdf(self.low), self._cdf(self.high)
        if not self.low < self.high or u_high - u_low < 1e-12:
            raise ModelError(
                f"{self.name}.low: the interval [low, high] must have a positive probability; "
                f"got [{self.low}, {self.high}] for {self!r}."
            )

    def _cdf(self, x: float) -> float:
        if math.isinf(x):
            return 0.0 if x < 0 else 1.0
        if self.kind == draw.UNIFORM:
            return min(max((x - self.a) / (self.b - self.a), 0.0), 1.0)
        if self.kind == draw.EXPONENTIAL:
            return -math.expm1(-max(x, 0.0) / self.a)
        if self.kind == draw.LOGNORMAL:
            if x <= 0:
                return 0.0
            x = math.log(x)
        return float(ndtr((x - self.a) / self.b))

    def row(self, quantum: float = 0.0) -> np.ndarray:
        """The distribution as kernels read it (see ``kernels.draw``)."""
        return np.array([self.kind, self.a, self.b, self._cdf(self.low), self._cdf(self.high), quantum])

    def draw(self, n: int, key: tuple[Any, Any]) -> np.ndarray:
        """``n`` values, float64; value i depends on (key, i) alone."""
        return draw.draw(self.row(), n, key)

    def bounds(self) -> tuple[float, float]:
        """The interval that holds every value."""
        support = {draw.UNIFORM: (self.a, self.b), draw.EXPONENTIAL: (0.0, math.inf), draw.LOGNORMAL: (0.0, math.inf)}
        low, high = support.get(self.kind, (-math.inf, math.inf))
        return max(low, self.low), min(high, self.high)

    def mirrored(self) -> bool:
        """Whether all values are <= 0."""
        return self.bounds()[1] <= 0

    def __repr__(self) -> str:
        names = {draw.UNIFORM: ("low", "high"), draw.EXPONENTIAL: ("scale",)}.get(self.kind, ("mean", "std"))
        text = ", ".join(f"{k}={v:g}" for k, v in zip(names, (self.a, self.b), strict=False))
        limits = ""
        if not math.isinf(self.low):
            limits += f", low={self.low:g}"
        if not math.isinf(self.high):
            limits += f", high={self.high:g}"
        return f"{self.name}({text}{limits})"


def _number(owner: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
        raise ModelError(
            f"{owner}: must be a finite number, without unit: it is in the unit of what is drawn; got {value!r}."
        )
    return float(value)


def _limit(owner: str, value: float | None, default: float) -> float:
    return default if value is None else _number(owner, value)


def uniform(low: float, high: float) -> Distribution:
    """Uniform between ``low`` and ``high``."""
    low, high = _number("uniform.low", low), _number("uniform.high", high)
    if not low < high:
        raise ModelError(f"uniform.high: must be > low = {low}; got {high}.")
    return Distribution(draw.UNIFORM, "uniform", low, high)


def normal(mean: float, std: float, low: float | None = None, high: float | None = None) -> Distribution:
    """Normal with ``mean`` and ``std`` > 0; values outside [low, high] are drawn again."""
    return _normal("normal", draw.NORMAL, mean, std, low, high)


def lognormal(mean: float, std: float, low: float | None = None, high: float | None = None) -> Distribution:
    """exp of a normal number with ``mean`` and ``std`` (of the logarithm, as in NEST and NumPy), maybe truncated."""
    return _normal("lognormal", draw.LOGNORMAL, mean, std, low, high)


def _normal(name: str, kind: int, mean: float, std: float, low: float | None, high: float | None) -> Distribution:
    mean, std = _number(f"{name}.mean", mean), _number(f"{name}.std", std)
    if std <= 0:
        raise ModelError(f"{name}.std: must be > 0; got {std}. For a constant give the number itself.")
    return Distribution(
        kind, name, mean, std, _limit(f"{name}.low", low, -math.inf), _limit(f"{name}.high", high, math.inf)
    )


def exponential(scale: float) -> Distribution:
    """Exponential with mean ``scale`` > 0."""
    if _number("exponential.scale", scale) <= 0:
        raise ModelError(f"exponential.scale: must be > 0; got {scale}.")
    return Distribution(draw.EXPONENTIAL, "exponential", float(scale), 0.0)
