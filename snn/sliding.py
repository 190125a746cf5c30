"""Convolutions and pooling of images: as a rule that joins populations by a kernel, and as sparse matrices."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from snn.connect import EdgeList, Pair, Rule


@dataclass(frozen=True)
class conv2d(Rule):
    """A convolution of images, as ``torch.nn.Conv2d`` defines it: the kernel is not flipped, zeros surround the image.

    Neuron ``(c * height + y) * width + x`` is the pixel (y, x) of channel c, in both populations. ``weight`` is the
    kernel, an array of shape ``kernel``: pixel (y, x) of channel o gets ``weight[o, i, v, u]`` from pixel
    ``(y * stride - padding + v * dilation, x * stride - padding + u * dilation)`` of the i-th channel of its group.

    The clock engine stores a kernel once for all places, on the backends cpu and reference, where it is static, has one
    delay, and one receptor takes weights of both signs. Elsewhere each place has synapses of its own: of the same
    weights, which a plasticity rule changes apart. So has a weight that is a number or a distribution, which is drawn
    for every synapse.

    Parameters
    ----------
    image : (channels, height, width) of the source population
    kernel : (channels of the target population, channels / groups, height, width)
    stride, padding, dilation : integers, or pairs (vertical, horizontal)
    groups : integer
        Output channels of group k see input channels of group k alone.

    Raises
    ------
    ModelError, ShapeError
        Where these do not fit each other, or the sizes of the populations.

    Examples
    --------
    >>> import numpy as np, snn
    >>> net, rule = snn.Network(), snn.conv2d(image=(1, 8, 8), kernel=(2, 1, 3, 3), padding=1)
    >>> rule.result
    (2, 8, 8)
    >>> image = net.population("image", 64, snn.SpikeArray([]))
    >>> maps = net.population("maps", 128, snn.SoftResetIF())
    >>> _ = net.connect(image, maps, rule, weight=np.ones((2, 1, 3, 3)), delay=1.0)
    """

    image: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: Any = 1
    padding: Any = 0
    dilation: Any = 1
    groups: int = 1

    def __post_init__(self) -> None:
        for name, least, n in (
            ("image", 1, 3),
            ("kernel", 1, 4),
            ("stride", 1, 2),
            ("padding", 0, 2),
            ("dilation", 1, 2),
        ):
            given = getattr(self, name)
            sizes = (given, given) if n == 2 and np.ndim(given) == 0 else given
            whole = np.ndim(sizes) == 1 and all(isinstance(k, (int, np.integer)) and k >= least for k in sizes)
            if not whole or len(sizes) != n:
                raise ShapeError(f"conv2d.{name}: must be {n} integers >= {least}; got {given!r}.")
            object.__setattr__(self, name, tuple(int(k) for k in sizes))
        if isinstance(self.groups, bool) or not isinstance(self.groups, (int, np.integer)) or self.groups < 1:
            raise ModelError(f"conv2d.groups: must be an integer >= 1; got {self.groups!r}.")
        channels, g = self.image[0], self.groups
        if channels % g or self.kernel[0] % g or self.kernel[1] * g != channels:
            raise ShapeError(
                f"conv2d.kernel: must be (out, {channels} / groups, height, width), out and {channels} divisible by "
                f"groups; got {self.kernel}, groups={g}."
            )
        if min(self.result[1:]) < 1:
            raise ShapeError(f"conv2d.kernel: must fit an image of {self.image[1:]} with its padding; got {self!r}.")

    @property
    def result(self) -> tuple[int, int, int]:
        """(channels, height, width) of the target population."""
        y, x = (
            (side + 2 * p - d * (k - 1) - 1) // s + 1
            for side, k, s, p, d in zip(
                self.image[1:], self.kernel[2:], self.stride, self.padding, self.dilation, strict=True
            )
        )
        return self.kernel[0], y, x

    def shape(self, n_source: int, n_target: int) -> tuple[int, ...]:
        """``kernel``."""
        return self.kernel

    def expected(self, n_source: int, n_target: int) -> float:
        """See :class:`Rule`."""
        return self.kernel[0] * self.kernel[1] * len(self.taps[0])

    @property
    def taps(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(source pixel, target pixel, place in the kernel) of what joins a channel to another, by source, target."""
        axes = []
        for axis in (0, 1):
            n, k, s, p, d = (
                q[axis] for q in (self.result[1:], self.kernel[2:], self.stride, self.padding, self.dilation)
            )
            to, v = np.divmod(np.arange(n * k), k)
            come = to * s - p + v * d
            inside = (come >= 0) & (come < self.image[1 + axis])
            axes.append((come[inside], to[inside], v[inside]))
        widths = self.image[2], self.result[2], self.kernel[3]
        source, target, place = ((y[:, None] * w + x).ravel() for y, x, w in zip(*axes, widths, strict=True))
        order = np.lexsort((target, source))
        return source[order], target[order], place[order]

    def most(self) -> int:
        """Most synapses of a target."""
        return int(np.bincount(self.taps[1]).max(initial=0)) * self.kernel[1]

    def fan(self) -> np.ndarray:
        """Synapses of each source neuron, (n_source,) int64."""
        each = np.bincount(self.taps[0], minlength=prod(self.image[1:])) * (self.kernel[0] // self.groups)
        return np.tile(each, self.image[0])

    def fits(self, pair: Pair) -> None:
        """Raise ShapeError where the populations are of other sizes."""
        for what, n, shape in (("source", pair.n_source, self.image), ("target", pair.n_target, self.result)):
            if n != prod(shape):
                raise ShapeError(
                    f"{pair.owner}.{what}: must have {prod(shape)} neurons, {shape}, for {self!r}; got {n}."
                )

    def edges(self, pair: Pair) -> EdgeList:
        """See :class:`Rule`."""
        self.fits(pair)
        places = 1.0 + np.arange(prod(self.kernel)).reshape(self.kernel)
        matrix, _ = sliding(self.image, places, self.groups, self.stride, self.padding, self.dilation)
        matrix.sort_indices()
        sources = matrix.indices.astype(np.uint16 if pair.n_source <= 2**16 else np.uint32)
        return EdgeList(matrix.indptr.astype(np.int64), sources, matrix.data.astype(np.int64) - 1)


def sliding(
    shape: tuple[int, ...], weight: np.ndarray, groups: int, stride: Any, padding: Any, dilation: Any
) -> tuple[Any, tuple[int, ...]]:
    """(matrix, shape of the result) of a convolution, as torch defines it: the kernel is not flipped.

    Parameters
    ----------
    shape : (channels, height, width) of an image; the matrix takes it flattened
    weight : shape (out, channels / groups, height, width)
    stride, dilation : a number or (vertical, horizontal)
    padding : zeros around the image: a number, (vertical, horizontal), or ((top, bottom), (left, right))
    """
    import scipy.sparse  # here, so that `import snn` stays light

    steps, spread = _pair(stride), _pair(dilation)
    border = [(p, p) if np.ndim(p) == 0 else tuple(p) for p in _pair(padding)]
    places = np.pad(np.arange(1, np.prod(shape) + 1).reshape(shape), [(0, 0), *border])  # 0 is the padding
    reach = [d * (k - 1) + 1 for d, k in zip(spread, weight.shape[2:], strict=True)]
    if any(r > side for r, side in zip(reach, places.shape[1:], strict=True)):
        raise ValueError(f"a kernel that spans {reach} does not fit an image of {list(places.shape[1:])}")
    seen: np.ndarray = np.lib.stride_tricks.sliding_window_view(places, reach, axis=(1, 2))  # type: ignore[call-overload]
    seen = seen[:, :: steps[0], :: steps[1], :: spread[0], :: spread[1]]  # [channel, y, x, place in the kernel]
    out, sides = weight.shape[0], seen.shape[1:3]
    positions = sides[0] * sides[1]
    by_group = seen.transpose(0, 3, 4, 1, 2).reshape(groups, -1, positions)
    rows, columns, values = [], [], []
    for k in range(out):
        inputs = by_group[k // (out // groups)]
        place, position = np.nonzero(inputs)
        rows.append(k * positions + position)
        columns.append(inputs[place, position] - 1)
        values.append(weight[k].ravel()[place])
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns)))
    return scipy.sparse.csr_array(entries, shape=(out * positions, int(np.prod(shape)))), (out, *sides)


def _pair(value: Any) -> tuple[Any, Any]:
    return (value, value) if np.ndim(value) == 0 else (value[0], value[1])
