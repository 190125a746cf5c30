"""Which points a sweep has: grid, zip, random, Latin hypercube; and the name and the seed of each."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.errors import ConfigError
from kernels.philox import philox_scalar, stream_key, unit_scalar
from snn.sweeps.content import content

METHODS = ("grid", "zip", "random", "lhs")
MOST = 100_000  # points: each has a folder


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included, for one parameter of a sweep.

    Parameters
    ----------
    low, high : float, low < high
    num : how many of them a grid or zip takes, at equal distances
    log : equal ratios in place of equal distances; low > 0
    integer : whole numbers only; those that a grid rounds to the same are taken once
    """

    low: float
    high: float
    num: int | None = None
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not math.isfinite(value):
                raise ConfigError(f"Range.{name}: must be a finite number; got {value!r}.")
        if not self.low < self.high:
            raise ConfigError(f"Range.high: must be > low; got low={self.low!r}, high={self.high!r}.")
        if self.num is not None and (isinstance(self.num, bool) or not isinstance(self.num, int) or self.num < 2):
            raise ConfigError(f"Range.num: must be an integer >= 2; got {self.num!r}.")
        _check_count("Range.num", self.num or 2)
        for name in ("log", "integer"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"Range.{name}: must be True or False; got {getattr(self, name)!r}.")
        if self.log and self.low <= 0:
            raise ConfigError(f"Range.low: must be > 0 for log; got {self.low!r}.")
        if self.integer and not (float(self.low).is_integer() and float(self.high).is_integer()):
            raise ConfigError(f"Range.low, high: must be whole for integer; got {self.low!r} and {self.high!r}.")

    def at(self, u: float) -> float | int:
        """The number at ``u`` in [0, 1): by area, so that equal parts of [0, 1) are equally probable."""
        low, high = (self.low - 0.5, self.high + 0.5) if self.integer else (self.low, self.high)
        x = low * (high / low) ** u if self.log else low + (high - low) * u
        return int(min(max(round(x), self.low), self.high)) if self.integer else float(x)

    def points(self) -> list[float | int]:
        """The ``num`` numbers of a grid."""
        if self.num is None:
            raise ConfigError("Range.num: is missing; a grid and zip need it.")
        spaced = (np.geomspace if self.log else np.linspace)(self.low, self.high, self.num).tolist()
        return list(dict.fromkeys(round(x) for x in spaced)) if self.integer else spaced


@dataclass(frozen=True)
class Axis:
    """One parameter of a sweep: the ``keys`` that get its value, and its values or range."""

    name: str
    keys: tuple[str, ...]
    values: tuple[Any, ...] | Range

    def points(self) -> list[Any]:
        """All its values."""
        if not isinstance(self.values, Range):
            return list(self.values)
        try:
            return self.values.points()
        except ConfigError as error:
            raise ConfigError(f"parameter {self.name}: {error}") from None

    def at(self, u: float) -> Any:
        """The value at ``u`` in [0, 1)."""
        if isinstance(self.values, Range):
            return self.values.at(u)
        return self.values[min(int(u * len(self.values)), len(self.values) - 1)]


@dataclass(frozen=True)
class Point:
    """One run: values by name of the axis, number of the repetition, seed, and the name of its folder."""

    name: str
    values: dict[str, Any]
    repetition: int
    seed: int


def axes(parameters: Mapping[Any, Any]) -> list[Axis]:
    """The axes that ``parameters`` describe: key, or tuple of keys moved as one, to values or :class:`Range`."""
    if not isinstance(parameters, Mapping) or not parameters:
        raise ConfigError(f"sweep.parameters: must name at least one parameter; got {parameters!r}.")
    out: list[Axis] = []
    seen: set[str] = set()
    for given, values in parameters.items():
        keys = (given,) if isinstance(given, str) else tuple(given)
        if not keys or not all(isinstance(k, str) and k for k in keys):
            raise ConfigError(f"sweep.parameters: keys must be texts or tuples of texts; got {given!r}.")
        if not isinstance(values, Range):
            if isinstance(values, (str, bytes)) or not isinstance(values, (Sequence, np.ndarray)) or not len(values):
                raise ConfigError(f"parameter {keys[0]}: must be a list of values or a Range; got {values!r}.")
            values = tuple(v.item() if isinstance(v, np.generic) else v for v in values)
        twice = seen.intersection(keys)
        if twice or len(set(keys)) < len(keys):
            raise ConfigError(f"parameter {keys[0]}: {', '.join(sorted(twice)) or keys[0]} is given twice.")
        if "seed" in keys and len(keys) > 1:
            raise ConfigError(f'parameter {keys[0]}: "seed" must be a parameter of its own.')
        seen.update(keys)
        out.append(Axis(keys[0], keys, values))
    return out


def _check_count(where: str, count: int) -> None:
    if count > MOST:
        raise ConfigError(f"{where}: a sweep has at most {MOST:,} points; got {count:,}. Make several sweeps.")


def combinations(axes: Sequence[Axis], method: str, n: int | None, seed: int) -> list[dict[str, Any]]:
    """Values by name of the axis for every combination, in order; the last axis runs fastest in a grid.

    Combination k of "random" depends on the seed, the axis and k alone, so more of them leave the first as they are.
    Those of "lhs" depend on n (scipy.stats.qmc.LatinHypercube).
    """
    if method not in METHODS:
        raise ConfigError(f"sweep.method: must be one of {', '.join(METHODS)}; got {method!r}.")
    names = [axis.name for axis in axes]
    if method in ("grid", "zip"):
        if n is not None:
            raise ConfigError(f'sweep.n: is for method "random" and "lhs"; "{method}" has the points of its values.')
        columns = [axis.points() for axis in axes]
        if method == "zip" and len({len(c) for c in columns}) > 1:
            sizes = ", ".join(f"{name} {len(c)}" for name, c in zip(names, columns, strict=True))
            raise ConfigError(f"sweep.parameters: zip needs as many values of each; got {sizes}.")
        if method == "grid":
            _check_count("sweep.parameters", math.prod(len(c) for c in columns))
        rows: Iterable[tuple[Any, ...]] = (
            itertools.product(*columns) if method == "grid" else zip(*columns, strict=True)
        )
        return [dict(zip(names, row, strict=True)) for row in rows]
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ConfigError(f'sweep.n: method "{method}" needs the number of combinations, >= 1; got {n!r}.')
    _check_count("sweep.n", n)
    if method == "random":
        u = np.array([[_uniform(seed, name, k) for name in names] for k in range(n)])
    else:
        from scipy.stats import qmc

        key = [int(word) for word in stream_key(seed, "sweep", "lhs")]  # a seed sequence: scipy spawns from it
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
        u = qmc.LatinHypercube(len(names), seed=rng).random(n)
    return [{axis.name: axis.at(float(x)) for axis, x in zip(axes, row, strict=True)} for row in u]


def _uniform(seed: int, name: str, k: int) -> float:
    zero = np.uint64(0)
    a, b, *_ = philox_scalar(np.uint64(k), zero, zero, zero, *stream_key(seed, "sweep", name))
    return float(unit_scalar(a, b))


def points(values: Sequence[dict[str, Any]], repetitions: int, seed: int, identity: str) -> list[Point]:
    """Every combination in every repetition.

    The seed of a point depends on the sweep's seed, the values (500 is 500.0) and the number of the repetition; its
    name on these and on ``identity``, what is run. So neither depends on the order or on the other points, and a sweep
    may grow.
    """
    if isinstance(repetitions, bool) or not isinstance(repetitions, int) or repetitions < 1:
        raise ConfigError(f"sweep.repetitions: must be an integer >= 1; got {repetitions!r}.")
    _check_count("sweep.repetitions", len(values) * repetitions)
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ConfigError(f"sweep.seed: must be an integer >= 0; got {seed!r}.")
    if any("seed" in row for row in values) and repetitions > 1:
        raise ConfigError('sweep.repetitions: with "seed" among the parameters each value is one; leave it at 1.')
    out: dict[str, Point] = {}
    for row in values:
        text = json.dumps({k: content(_alike(v), f"parameter {k}") for k, v in row.items()}, sort_keys=True)
        name = hashlib.blake2b(f"{identity}\n{int(seed)}\n{text}".encode(), digest_size=8).hexdigest()
        for repetition in range(repetitions):
            low, high = (int(word) for word in stream_key(seed, "sweep point", text, repetition))
            one = row.get("seed", (low | high << 32) >> 11)  # 53 bits: exact also where tables hold floats
            out.setdefault(f"{name}-{repetition}", Point(f"{name}-{repetition}", row, repetition, one))
    return list(out.values())  # combinations that are the same are one


def _alike(value: Any) -> Any:
    """``value``, whole floats in it as integers: 500.0 and 500 are one point."""
    if isinstance(value, dict):
        return {key: _alike(x) for key, x in value.items()}
    if isinstance(value, (list, tuple)):
        return [_alike(x) for x in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value
