"""NIR's nodes without state as one sparse matrix and an offset each."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import scipy.sparse

from snn.sliding import sliding

FLATTEN = "Flatten"
NEAREST = {"NIRGraph": "inline it", "Identity": "leave it out"}


@dataclass
class Affine:
    """y = matrix x + offset on flattened samples; ``shape`` is that of y before flattening."""

    matrix: Any  # scipy.sparse.csr_array, float64
    offset: np.ndarray
    shape: tuple[int, ...]


def linear_map(node: Any, shape: tuple[int, ...]) -> Affine | str:
    """The matrix of a node for samples of ``shape``, or a text that says why there is none."""
    convert = CONVERT.get(type(node).__name__)
    if convert is None:
        return f"has no counterpart here; nodes are {', '.join(sorted(CONVERT))} and neurons. Use one of these"
    try:
        return convert(node, shape)
    except ValueError as error:
        return str(error)


def _identity(node: Any, shape: tuple[int, ...]) -> Affine:
    n = prod(shape)
    return Affine(scipy.sparse.eye_array(n, format="csr"), np.zeros(n), shape)


def _linear(node: Any, shape: tuple[int, ...]) -> Affine | str:
    weight = np.asarray(node.weight, float)
    if weight.ndim != 2:
        return f".weight: must be a matrix; got shape {weight.shape}. Use one node for each"
    if prod(shape) != weight.shape[1]:
        return f".weight: takes {weight.shape[1]} values, but gets samples of shape {shape}"
    bias = np.zeros(len(weight)) if getattr(node, "bias", None) is None else np.asarray(node.bias, float).ravel()
    if bias.size != len(weight):
        return f".bias: must have {len(weight)} values; got {bias.size}"
    return Affine(scipy.sparse.csr_array(weight), bias, (len(weight),))


def _scale(node: Any, shape: tuple[int, ...]) -> Affine | str:
    scale = np.asarray(node.scale, float)
    if scale.size not in (1, prod(shape)):
        return f".scale: must have {prod(shape)} values; got {scale.size}"
    return Affine(scipy.sparse.diags_array(np.broadcast_to(scale.ravel(), prod(shape)).copy()).tocsr(),
                  np.zeros(prod(shape)), shape)  # fmt: skip


def _flatten(node: Any, shape: tuple[int, ...]) -> Affine | str:
    n, given = len(shape), (int(node.start_dim), int(node.end_dim))
    first, last = (d + n if d < 0 else d for d in given)
    if not 0 <= first <= last < n:
        return f".start_dim, .end_dim: must be dimensions of samples of shape {shape}, in this order; got {given}"
    flat = (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :])
    return Affine(_identity(node, shape).matrix, np.zeros(prod(shape)), flat)


def _conv(node: Any, shape: tuple[int, ...]) -> Affine | str:
    weight = np.asarray(node.weight, float)
    (groups,), one = _whole("groups", node.groups, 1, 1), weight.ndim == 3  # Conv1d: images of height 1
    if weight.ndim not in (3, 4) or not weight.size:
        return f".weight: must have channels and a kernel of 1 or more; got shape {weight.shape}"
    if one:
        weight = weight[:, :, None]
    if len(shape) != weight.ndim - (2 if one else 1) or shape[0] != weight.shape[1] * groups or len(weight) % groups:
        return f".weight: takes {weight.shape[1] * groups} channels of images, but gets samples of shape {shape}"
    image = (shape[0], 1, shape[1]) if one else shape
    stride, dilation = (_sides(name, getattr(node, name), one, 1, 1) for name in ("stride", "dilation"))
    padding: Any = node.padding.decode() if isinstance(node.padding, bytes) else node.padding
    if isinstance(padding, str):
        if padding not in ("same", "valid") or (padding == "same" and stride != (1, 1)):
            return f".padding: must be a number, 'valid', or 'same' with stride 1; got {padding!r}, stride {stride}"
        spare = [d * (k - 1) * (padding == "same") for d, k in zip(dilation, weight.shape[2:], strict=True)]
        padding = tuple((s // 2, s - s // 2) for s in spare)
    else:
        padding = _sides("padding", padding, one, 0, 0)
    matrix, made = sliding(image, weight, groups, stride, padding, dilation)
    bias = np.zeros(len(weight)) if node.bias is None else np.asarray(node.bias, float).ravel()
    if bias.size != len(weight):
        return f".bias: must have {len(weight)} values, one a channel; got {bias.size}"
    return Affine(matrix, np.repeat(bias, made[1] * made[2]), (made[0], made[2]) if one else made)


def _pool(node: Any, shape: tuple[int, ...]) -> Affine | str:
    if len(shape) != 3:
        return f": takes images, but gets samples of shape {shape}"
    kernel, stride = (_sides(name, getattr(node, name), False, 1, 1) for name in ("kernel_size", "stride"))
    padding = _sides("padding", node.padding, False, 0, 0)
    each = 1.0 / prod(kernel) if type(node).__name__ == "AvgPool2d" else 1.0
    matrix, made = sliding(shape, np.full((shape[0], 1, *kernel), each), shape[0], stride, padding, (1, 1))
    return Affine(matrix, np.zeros(prod(made)), made)


def _sides(name: str, value: Any, one: bool, other: int, least: int) -> tuple[int, int]:
    """(vertical, horizontal) of a number or pair; ``other`` is the vertical one of a Conv1d."""
    given = _whole(name, value, least, 1 if one else 2)
    return (other, given[0]) if one else (given[0], given[-1])


def _whole(name: str, value: Any, least: int, most: int) -> list[int]:
    """``value``, one number or up to ``most``, as integers >= ``least``."""
    given = np.atleast_1d(np.asarray(value, float))
    if given.ndim > 1 or not 1 <= given.size <= most or np.any(given != np.rint(given)) or np.any(given < least):
        count = "an integer" if most == 1 else "one or two integers"
        raise ValueError(f".{name}: must be {count} >= {least}; got {np.asarray(value).tolist()}")
    return [int(x) for x in given]


CONVERT: dict[str, Callable[[Any, tuple[int, ...]], Affine | str]] = {
    "Affine": _linear,
    "AvgPool2d": _pool,
    "Conv1d": _conv,
    "Conv2d": _conv,
    "Delay": _identity,
    FLATTEN: _flatten,
    "Identity": _identity,
    "Linear": _linear,
    "Scale": _scale,
    "SumPool2d": _pool,
}
