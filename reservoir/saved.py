"""Files of FORCE and WhatWhen networks: what both write, and what of a file is checked before compiled code gets it."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kernels import codegen
from kernels.errors import FormatError
from kernels.layout import Constants, aligned, padded
from kernels.spec import NeuronSpec
from snn.io import own
from snn.io.sonata_file import PathLike

VERSION = 1


def write(path: PathLike, owner: str, about: dict[str, Any], net: Any, **more: np.ndarray) -> None:
    """Write ``about``, the loop, constants and states of ``net``, an ``owner``, and ``more`` arrays."""
    about |= {"varying": sorted(net._variant.varying), "at": net._at}
    arrays = {f"loop/{k}": v for k, v in net._loop._asdict().items()}
    arrays |= {f"constants/{k}": v for k, v in net._constants._asdict().items()}
    for name, pair in (("initial", net._initial), ("state", net._state)):
        arrays |= {f"{name}/{k}": v for k, v in zip("fi", pair, strict=True)}
    own.write(path, f"volley {owner}", VERSION, about, arrays | more)


class Saved:
    """What a file of an ``owner`` holds; everything that is asked of it is checked.

    Raises
    ------
    FormatError
        Where the file is missing or of another kind, and where something in it is not as asked for.
    """

    def __init__(self, path: PathLike, owner: str) -> None:
        self.path = Path(path)
        self.about, self.arrays = own.read(path, f"volley {owner}", VERSION, f"{owner}.save()")

    def check(self, name: str, holds: bool, rule: str) -> None:
        """Refuse the file where the rule does not hold."""
        if not holds:
            raise FormatError(f"{self.path}: {name}: must be {rule}. Save the network again.")

    def number(self, name: str, low: float, high: float = math.inf) -> float:
        """A finite number of ``about``, ``low`` to ``high``."""
        value = self.about.get(name)
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        self.check(name, good and low <= value <= high, f"a number from {low:g} to {high:g}")  # type: ignore[operator]
        return float(value)  # type: ignore[arg-type]

    def whole(self, name: str, low: int) -> int:
        """An integer of ``about``, from ``low`` on."""
        value = self.about.get(name)
        good = isinstance(value, int) and not isinstance(value, bool) and low <= value <= 2**62
        self.check(name, good, f"an integer >= {low}")
        return int(value)  # type: ignore[arg-type]

    def numbers(self, name: str, count: int) -> list[float]:
        """``count`` finite numbers of ``about``."""
        values = self.about.get(name)
        good = isinstance(values, list) and len(values) == count and all(type(v) is float for v in values)
        self.check(name, good and bool(np.all(np.isfinite(values))), f"{count} finite numbers")  # type: ignore[arg-type]
        return list(values)  # type: ignore[arg-type]

    def array(self, name: str, shape: tuple[int, ...], dtype: Any = np.float64) -> np.ndarray:
        """The array ``name``, of this shape and type."""
        array = self.arrays.get(name)
        good = array is not None and array.shape == shape and array.dtype == dtype
        self.check(f"/arrays/{name}", good, f"{np.dtype(dtype)} of shape {shape}")
        return array  # type: ignore[return-value]

    def sizes(self, name: str) -> tuple[int, int]:
        """Rows, at least 1, and columns, at least 2, of a matrix."""
        array = self.arrays.get(name)
        shape = (0, 0) if array is None or array.ndim != 2 else array.shape
        self.check(f"/arrays/{name}", shape[0] >= 1 and shape[1] >= 2, "a matrix, a column a neuron")
        return int(shape[0]), int(shape[1])

    def synapses(self, n: int) -> dict[str, np.ndarray]:
        """first, targets and weights of the synapses of ``n`` neurons."""
        weights = self.arrays.get("loop/weights")
        many = 0 if weights is None else weights.size
        first, targets = self.array("loop/first", (n + 1,), np.int64), self.array("loop/targets", (many,), np.int32)
        rising = first[0] == 0 and first[-1] == many and bool(np.all(np.diff(first) >= 0))
        self.check("/arrays/loop/first", rising, f"from 0 to {many:,}, never falling")
        inside = not many or (targets.min() >= 0 and targets.max() < n)
        self.check("/arrays/loop/targets", bool(inside), f"from 0 to {n - 1}")
        return {"first": first, "targets": targets, "weights": self.array("loop/weights", (many,))}

    def neurons(self, net: Any, spec: NeuronSpec, n: int) -> None:
        """Give ``net`` its neurons: variant, constants and states of ``n`` of the model ``spec``."""
        varying = self.about.get("varying")
        known = {p.name for p in spec.params} | {d.name for d in spec.derived}
        good = isinstance(varying, list) and all(isinstance(name, str) and name in known for name in varying)
        self.check("varying", good, f"names of constants of {spec.name}")
        net._variant = codegen.Variant(spec, frozenset(varying or ()), True)
        pad, constants = padded(n), dict[str, np.ndarray]()
        for name, held in net._variant.constants().items():
            shape = (len(held) * (pad if name.startswith("het") else 1),)
            constants[name] = aligned(
                self.array(f"constants/{name}", shape, np.float64 if name[-1] == "f" else np.int32)
            )
        net._constants = Constants(**constants)
        kinds: Mapping[str, Any] = {"f": np.float64, "i": np.int32}
        size = {k: pad * sum(v.dtype.startswith(k) for v in spec.state) for k in kinds}
        for where in ("initial", "state"):
            pair = tuple(aligned(self.array(f"{where}/{k}", (size[k],), kind)) for k, kind in kinds.items())
            setattr(net, f"_{where}", pair)
        net._at = self.whole("at", 0)
