"""Layers without state as one sparse matrix and an offset: what lies between two layers of neurons."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import scipy.sparse
from torch import nn

from snn.sliding import sliding

Array = np.ndarray


@dataclass
class Affine:
    """y = matrix x + offset on flattened samples; ``shape`` is that of y before flattening."""

    matrix: Any  # scipy.sparse.csr_array of shape (n_out, n_in), float64
    offset: Array
    shape: tuple[int, ...]

    @classmethod
    def identity(cls, shape: tuple[int, ...]) -> "Affine":
        """y = x."""
        n = prod(shape)
        return cls(scipy.sparse.eye_array(n, format="csr"), np.zeros(n), shape)

    def then(self, matrix: Any, offset: Array, shape: tuple[int, ...]) -> "Affine":
        """This, then another one."""
        matrix = scipy.sparse.csr_array(matrix)
        return Affine(scipy.sparse.csr_array(matrix @ self.matrix), matrix @ self.offset + offset, shape)


def affine(layer: nn.Module, before: Affine) -> Affine | str | None:
    """``before``, then ``layer``; None where ``layer`` is of another kind, a text that says why it cannot be taken."""
    for kind, convert in CONVERT.items():
        if isinstance(layer, kind):
            return convert(layer, before)
    return None


def array(tensor: Any) -> Array:
    """A tensor as a float64 array."""
    result: Array = tensor.detach().cpu().double().numpy()
    return result


def _same(layer: Any, before: Affine) -> Affine:
    return before


def _linear(layer: Any, before: Affine) -> Affine | str:
    if before.shape != (layer.in_features,):
        return f"takes a sample of shape ({layer.in_features},), but gets {before.shape}; put nn.Flatten() before it"
    bias = np.zeros(layer.out_features) if layer.bias is None else array(layer.bias)
    return before.then(array(layer.weight), bias, (layer.out_features,))


def _flatten(layer: Any, before: Affine) -> Affine | str:
    if layer.start_dim != 1 or layer.end_dim != -1:
        return "must flatten the whole sample: nn.Flatten()"
    return Affine(before.matrix, before.offset, (prod(before.shape),))


def _conv(layer: Any, before: Affine) -> Affine | str:
    if len(before.shape) != 3 or before.shape[0] != layer.in_channels:
        return f"takes {layer.in_channels} channels of images, but gets samples of shape {before.shape}"
    if layer.padding_mode != "zeros" or isinstance(layer.padding, str):
        return 'pads otherwise than by a number of zeros; use padding=<number>, padding_mode="zeros"'
    weight = array(layer.weight)
    matrix, shape = sliding(before.shape, weight, layer.groups, layer.stride, layer.padding, layer.dilation)
    bias = np.zeros(shape[0]) if layer.bias is None else array(layer.bias)
    return before.then(matrix, np.repeat(bias, shape[1] * shape[2]), shape)


def _average(layer: Any, before: Affine) -> Affine | str:
    if len(before.shape) != 3:
        return f"takes images, but gets samples of shape {before.shape}"
    padding = _pair(layer.padding)
    if layer.ceil_mode or layer.divisor_override or (padding != (0, 0) and not layer.count_include_pad):
        return "must have ceil_mode=False, divisor_override=None and count_include_pad=True"
    kernel, stride = _pair(layer.kernel_size), _pair(layer.stride)
    channels = before.shape[0]
    weight = np.full((channels, 1, *kernel), 1.0 / prod(kernel))
    matrix, shape = sliding(before.shape, weight, channels, stride, padding, (1, 1))
    return before.then(matrix, np.zeros(prod(shape)), shape)


def _batch_norm(layer: Any, before: Affine) -> Affine | str:
    if layer.running_mean is None:
        return "has no running statistics; use track_running_stats=True"
    if not before.shape or before.shape[0] != layer.num_features:
        return f"takes {layer.num_features} channels, but gets samples of shape {before.shape}"
    scale = 1.0 / np.sqrt(array(layer.running_var) + layer.eps)
    scale = scale if layer.weight is None else scale * array(layer.weight)
    shift = -array(layer.running_mean) * scale + (0.0 if layer.bias is None else array(layer.bias))
    each = prod(before.shape[1:])
    return before.then(scipy.sparse.diags_array(np.repeat(scale, each)), np.repeat(shift, each), before.shape)


def _pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


CONVERT: dict[Any, Callable[[Any, Affine], Affine | str]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv,
    nn.AvgPool2d: _average,
    (nn.BatchNorm1d, nn.BatchNorm2d): _batch_norm,
    nn.Flatten: _flatten,
    (nn.Dropout, nn.Dropout2d, nn.Identity): _same,
}
