"""Layers without state as one linear map and an offset: what lies between two layers of neurons.

The map stays a convolution as long as all layers are convolutions, pooling and scales of channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import scipy.sparse
import torch
from torch import nn

from kernels.errors import ShapeError
from snn.sliding import conv2d, sliding

Array = np.ndarray


@dataclass
class Convolution:
    """A convolution of images, with its kernel in float64."""

    rule: conv2d
    kernel: Array

    @classmethod
    def scale(cls, image: tuple[int, ...], factors: Array) -> "Convolution":
        """Each channel times a factor."""
        rule = conv2d(image, (image[0], 1, 1, 1), groups=image[0])
        return cls(rule, factors.reshape(rule.kernel))

    def matrix(self) -> Any:
        """The same as a sparse matrix."""
        r = self.rule
        return sliding(r.image, self.kernel, r.groups, r.stride, r.padding, r.dilation)[0]

    def __matmul__(self, x: Array) -> Array:
        """The result for a flat image."""
        r, image = self.rule, torch.from_numpy(x.reshape(1, *self.rule.image))
        options = {"stride": r.stride, "padding": r.padding, "dilation": r.dilation, "groups": r.groups}
        result: Array = nn.functional.conv2d(image, torch.from_numpy(self.kernel), **options).numpy()
        return result.ravel()

    def whole(self) -> Array:
        """The kernel without groups, (out, in, height, width)."""
        g, (out, each, *sides) = self.rule.groups, self.kernel.shape
        kernel = np.zeros((g, out // g, g, each, *sides))
        kernel[range(g), :, range(g)] = self.kernel.reshape(g, out // g, each, *sides)
        return kernel.reshape(out, g * each, *sides)

    def then(self, after: "Convolution") -> "Convolution | None":
        """This and another after it as one, None where that is no convolution, or one with many zeros."""
        a, b = self.rule, after.rule
        points = [r.kernel[2:] == r.stride == (1, 1) and r.padding == (0, 0) for r in (a, b)]
        spread = b.dilation if points[0] else a.dilation
        if not any(points) and not a.dilation == b.dilation == (1, 1):
            return None
        for n, made, k, s, p, more, around in zip(
            a.image[1:], a.result[1:], a.kernel[2:], a.stride, a.padding, b.kernel[2:], b.padding, strict=True
        ):
            if s > k and more > 1:
                return None  # pixels between those that are seen
            if around and (k - 1 >= s + p or s * made - p < n):
                return None  # the second sees zeros where the first would see pixels
        first, second = self.whole(), after.whole()
        # a place (v, u) of the second kernel sees the first kernel's place (0, 0) at this step times (v, u)
        step = (1, 1) if points[0] else a.stride
        sides = [t * (m - 1) + k for t, m, k in zip(step, b.kernel[2:], a.kernel[2:], strict=True)]
        kernel = np.zeros((len(second), first.shape[1], *sides))
        for v, u in np.ndindex(*b.kernel[2:]):
            y, x = v * step[0], u * step[1]
            kernel[:, :, y : y + a.kernel[2], x : x + a.kernel[3]] += np.einsum(
                "om,mcvu->ocvu", second[:, :, v, u], first
            )
        each = [r.groups == r.image[0] == r.kernel[0] for r in (a, b)]  # channels apart
        groups = b.groups if each[0] else a.groups if each[1] else 1
        parts = kernel.reshape(groups, len(kernel) // groups, groups, -1, *sides)[range(groups), :, range(groups)]
        kernel = parts.reshape(len(kernel), -1, *sides)
        stride = tuple(s * t for s, t in zip(a.stride, b.stride, strict=True))
        padding = tuple(p + s * q for p, s, q in zip(a.padding, a.stride, b.padding, strict=True))
        return Convolution(conv2d(a.image, kernel.shape, stride, padding, spread, groups), kernel)


@dataclass
class Affine:
    """y = A x + offset on flattened samples; ``shape`` is that of y before flattening."""

    linear: Any  # A: a Convolution, or a scipy.sparse.csr_array of shape (n_out, n_in), float64
    offset: Array
    shape: tuple[int, ...]

    @classmethod
    def identity(cls, shape: tuple[int, ...]) -> "Affine":
        """y = x."""
        n = prod(shape)
        images = len(shape) == 3
        return cls(
            Convolution.scale(shape, np.ones(shape[0])) if images else scipy.sparse.eye_array(n, format="csr"),
            np.zeros(n), shape,
        )  # fmt: skip

    @property
    def matrix(self) -> Any:
        """A as a scipy.sparse.csr_array."""
        return self.linear.matrix() if isinstance(self.linear, Convolution) else self.linear

    def then(self, linear: Any, offset: Array, shape: tuple[int, ...]) -> "Affine":
        """This, then another one: a :class:`Convolution` or a matrix."""
        joined: Any = None
        if isinstance(linear, Convolution) and isinstance(self.linear, Convolution):
            joined = self.linear.then(linear)
        if joined is None:
            second = linear.matrix() if isinstance(linear, Convolution) else scipy.sparse.csr_array(linear)
            joined = scipy.sparse.csr_array(second @ self.matrix)
        before = linear @ self.offset
        return Affine(joined, before + offset, shape)


def affine(layer: nn.Module, before: Affine) -> Affine | str | None:
    """``before``, then ``layer``; None where ``layer`` is of another kind, a text that says why it cannot be taken."""
    for kind, convert in CONVERT.items():
        if isinstance(layer, kind):
            try:
                return convert(layer, before)
            except ShapeError as error:
                return f"does not fit: {error}"
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
    return Affine(before.linear, before.offset, (prod(before.shape),))


def _conv(layer: Any, before: Affine) -> Affine | str:
    if len(before.shape) != 3 or before.shape[0] != layer.in_channels:
        return f"takes {layer.in_channels} channels of images, but gets samples of shape {before.shape}"
    if layer.padding_mode != "zeros":
        return 'pads otherwise than by zeros; use padding_mode="zeros"'
    weight, padding = array(layer.weight), layer.padding
    if isinstance(padding, str):  # "same" adds what is odd behind: as much on both sides, and a kernel with a row of 0
        spare = [d * (k - 1) * (padding == "same") for d, k in zip(layer.dilation, layer.kernel_size, strict=True)]
        odd = [n % 2 for n in spare]
        if any(n and d > 1 for n, d in zip(odd, layer.dilation, strict=True)):
            return f"pads {spare} zeros, more behind than before, at a dilation > 1; use a kernel of odd size"
        weight = np.pad(weight, ((0, 0), (0, 0), *((n, 0) for n in odd)))
        padding = tuple((n + more) // 2 for n, more in zip(spare, odd, strict=True))
    rule = conv2d(before.shape, weight.shape, layer.stride, padding, layer.dilation, layer.groups)
    bias = np.zeros(rule.kernel[0]) if layer.bias is None else array(layer.bias)
    return before.then(Convolution(rule, weight), np.repeat(bias, prod(rule.result[1:])), rule.result)


def _average(layer: Any, before: Affine) -> Affine | str:
    if len(before.shape) != 3:
        return f"takes images, but gets samples of shape {before.shape}"
    padding = _pair(layer.padding)
    if layer.ceil_mode or layer.divisor_override or (padding != (0, 0) and not layer.count_include_pad):
        return "must have ceil_mode=False, divisor_override=None and count_include_pad=True"
    kernel, stride = _pair(layer.kernel_size), _pair(layer.stride)
    channels = before.shape[0]
    weight = np.full((channels, 1, *kernel), 1.0 / prod(kernel))
    rule = conv2d(before.shape, weight.shape, stride, padding, groups=channels)
    return before.then(Convolution(rule, weight), np.zeros(prod(rule.result)), rule.result)


def _batch_norm(layer: Any, before: Affine) -> Affine | str:
    if layer.running_mean is None:
        return "has no running statistics; use track_running_stats=True"
    if not before.shape or before.shape[0] != layer.num_features:
        return f"takes {layer.num_features} channels, but gets samples of shape {before.shape}"
    scale = 1.0 / np.sqrt(array(layer.running_var) + layer.eps)
    scale = scale if layer.weight is None else scale * array(layer.weight)
    shift = -array(layer.running_mean) * scale + (0.0 if layer.bias is None else array(layer.bias))
    each = prod(before.shape[1:])
    linear: Any = scipy.sparse.diags_array(np.repeat(scale, each))
    if len(before.shape) == 3:
        linear = Convolution.scale(before.shape, scale)
    return before.then(linear, np.repeat(shift, each), before.shape)


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
