"""Convolutions and pooling of images as sparse matrices."""

from typing import Any

import numpy as np
import scipy.sparse


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
