"""A task of motion: natural-like images glide past an event camera; which of 36 motions is it?"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import scipy.fft

from kernels.errors import ModelError, ShapeError
from reservoir.base import series
from reservoir.checks import finite, generator
from snn.host import cores
from snn.units import bounded, number, whole

Events = tuple[np.ndarray, np.ndarray]

DIRECTIONS = 12
SPEEDS = tuple(0.5 * 2.0 ** (2 * k / 3 - 1) for k in range(3))  # pixels a step
MARGIN = 16  # pixels about a window that are moved with it: what lies beyond is too far to matter


def motions() -> np.ndarray:
    """The 36 motions, (vy, vx) in pixels a step, shape (36, 2): 12 directions at each of three speeds.

    Speeds are 0.25, 0.397 and 0.630; directions of the second are rotated by half of what lies between two.
    """
    out = []
    for k, speed in enumerate(SPEEDS):
        angle = 2.0 * np.pi / DIRECTIONS * (np.arange(DIRECTIONS) + 0.5 * (k % 2))
        out.append(speed * np.stack((np.sin(angle), np.cos(angle)), axis=1))
    return np.concatenate(out)


def dead_leaves(size: int = 256, smallest: float = 2.0, largest: float = 64.0, seed: int = 0) -> np.ndarray:
    """Image of discs that hide each other, whose statistics resemble those of natural images; without edges (a torus).

    Densities of radii fall with their third power from ``smallest`` to ``largest`` pixels, greys are uniform in (0, 1),
    centres anywhere; as many discs as cover the image five times over.

    Parameters
    ----------
    size : edge of the image, pixels, >= 8
    smallest, largest : radii, pixels, 0 < smallest < largest <= size / 2
    seed : fixes everything drawn

    Returns
    -------
    Array of shape (size, size)

    References
    ----------
    Lee, Mumford & Huang 2001, doi:10.1023/A:1011109015675

    Examples
    --------
    >>> dead_leaves(64, largest=16.0, seed=1).shape
    (64, 64)
    """
    size = whole("dead_leaves.size", size, 8)
    smallest, largest = number("dead_leaves.smallest", smallest), number("dead_leaves.largest", largest)
    if not 0 < smallest < largest <= size / 2:
        raise ModelError(
            f"dead_leaves.smallest: must be > 0 and < largest <= size / 2; got {smallest!r}, {largest!r}, size={size}."
        )
    rng = generator("dead_leaves", seed)
    low, high = smallest**-2, largest**-2
    area = 2.0 * np.pi * np.log(largest / smallest) / (low - high)
    n = int(np.ceil(5.0 * size**2 / area))
    radius = (low - rng.random(n) * (low - high)) ** -0.5
    image = np.full((size, size), 0.5)
    for r, y, x, grey in zip(radius, *(size * rng.random((2, n))), rng.random(n), strict=True):
        rows, columns = (np.arange(int(np.ceil(c - r)), int(np.floor(c + r)) + 1) for c in (y, x))
        inside = (rows[:, None] - y) ** 2 + (columns - x) ** 2 <= r * r
        a, b = np.nonzero(inside)
        image[rows[a] % size, columns[b] % size] = grey
    return image


def mirrored(image: Any) -> np.ndarray:
    """A picture and its mirror images, (2 height, 2 width): repeated, it has no edges."""
    image = _image("mirrored.image", image)
    tall = np.concatenate((image, image[::-1]))
    return np.concatenate((tall, tall[:, ::-1]), axis=1)


def whitened(image: Any) -> np.ndarray:
    """The image, taken as periodic, with its spectrum times f exp(-(f/0.4)^4), f in cycles a pixel; SD 1.

    ``image`` and what comes back: (height, width).

    Raises
    ------
    ModelError
        Where the image has one value everywhere.

    References
    ----------
    Olshausen & Field 1997, doi:10.1016/S0042-6989(97)00169-7
    """
    image = _image("whitened.image", image)
    f = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.rfftfreq(image.shape[1]))
    out = np.fft.irfft2(np.fft.rfft2(image) * f * np.exp(-((f / 0.4) ** 4)), s=image.shape)
    if not out.std() > 0.0:
        raise ModelError("whitened.image: must vary; got one value everywhere.")
    return np.asarray(out / out.std())


def film(image: Any, path: Any, size: int) -> np.ndarray:
    """A window of ``size`` x ``size`` pixels onto a periodic image, at each place of ``path``.

    Whole pixels are counted off, the rest is a phase in the Fourier transform of the window and MARGIN pixels about it,
    which fall off to 0. That differs from the phase of the whole image by the tails of sinc functions beyond the
    margin: for an image of :func:`whitened` by at most about 0.03 SD.

    Parameters
    ----------
    image : (height, width), periodic
    path : places of the window's first corner, (y, x) in pixels, shape (frames, 2)

    Returns
    -------
    Array of shape (frames, size, size)
    """
    image, size = _image("film.image", image), whole("film.size", size)
    path = series("film.path", path, 2)
    wide = scipy.fft.next_fast_len(size + 2 * MARGIN, real=True)
    corner = np.floor(path).astype(np.int64)
    pixel = np.arange(wide) - MARGIN
    rows, columns = ((corner[:, k, None] + pixel) % image.shape[k] for k in (0, 1))
    edge = np.clip(np.minimum(np.arange(1, wide + 1), np.arange(wide, 0, -1)) / MARGIN, 0.0, 1.0)
    taper = np.sin(0.5 * np.pi * edge) ** 2
    window = image[rows[:, :, None], columns[:, None, :]] * (taper[:, None] * taper)
    turn_y, turn_x = (
        np.exp(2j * np.pi * f * (path - corner)[:, k, None])
        for k, f in enumerate((np.fft.fftfreq(wide), np.fft.rfftfreq(wide)))
    )
    moved = scipy.fft.rfft2(window) * turn_y[:, :, None] * turn_x[:, None, :]
    return np.asarray(scipy.fft.irfft2(moved, s=(wide, wide))[:, MARGIN : MARGIN + size, MARGIN : MARGIN + size])


def camera(frames: Any, threshold: float = 1.0) -> Events:
    """Events of an event camera: where a pixel changed from one frame to the next by more than a threshold.

    With D(t) the difference of frames t + 1 and t, and s(t) in (-1, 0, 1) the event of step t: s(t) is the sign of
    D(t) - th s(t-1) where that is beyond -th to th, th = ``threshold`` times the SD of D.

    Parameters
    ----------
    frames : (steps + 1, height, width)

    Returns
    -------
    (steps, addresses), ascending, as :class:`snn.encode.Events` takes them; address = height width (1 if OFF) +
    width y + x
    """
    frames = finite("camera.frames", frames)
    if frames.ndim != 3 or len(frames) < 2:
        raise ShapeError(f"camera.frames: must have shape (steps + 1, height, width); got {frames.shape}.")
    threshold = bounded("camera.threshold", threshold, 0.0, open_low=True)
    change = np.diff(frames, axis=0)
    th = threshold * change.std()
    sent = np.zeros(change.shape, np.int8)
    before: np.ndarray = np.zeros(change.shape[1:], np.int8)
    for t, d in enumerate(change):
        left = d - th * before
        before = sent[t] = np.where(np.abs(left) > th, np.sign(left), 0.0).astype(np.int8)
    step, address = np.nonzero(np.stack((sent > 0, sent < 0), axis=1).reshape(len(sent), -1))
    return step.astype(np.int32), address.astype(np.int32)


def moving_images(
    images: Sequence[Any], samples: int, steps: int = 200, size: int = 64, segment: float | None = 24.0,
    noise: float = 0.001, threshold: float = 1.0, seed: int = 0, threads: int | None = None,
) -> tuple[list[Events], np.ndarray]:  # fmt: skip
    """Films of windows that glide over images, as events; which of the 36 :func:`motions` is it?

    The image moves by (vy, vx) a step, from a random place on. Grey values of a film are divided by the largest, then
    noise is added. Sample k depends on ``seed`` and k alone.

    Parameters
    ----------
    images : periodic, each (height, width), such as whitened(dead_leaves()); a sample takes one of them
    samples, steps, size : numbers of samples and of steps of each, pixels along an edge of the window
    segment : mean number of steps until another motion is drawn (a geometric law); None: one motion a sample, each as
        often as the others
    noise : SD of normal numbers that are added to all grey values
    threshold : see :func:`camera`
    threads : None: one for each core

    Returns
    -------
    (events, labels): for each sample (steps, addresses), see :func:`camera`; the motion of each step, (samples, steps)

    References
    ----------
    Grimaldi & Perrinet 2023, doi:10.1007/s00422-023-00975-8

    Examples
    --------
    >>> image = whitened(dead_leaves(64, largest=16.0, seed=1))
    >>> events, labels = moving_images([image], samples=2, steps=10, size=16, segment=None)
    >>> len(events), labels.shape
    (2, (2, 10))
    """
    samples, steps = whole("moving_images.samples", samples), whole("moving_images.steps", steps)
    if not len(images):
        raise ShapeError("moving_images.images: must hold at least one image; got none.")
    images = [_image(f"moving_images.images[{k}]", image) for k, image in enumerate(images)]
    if segment is not None:
        segment = bounded("moving_images.segment", segment, 1.0)
    noise = bounded("moving_images.noise", noise, 0.0)
    if threads is not None:
        whole("moving_images.threads", threads)
    velocity = motions()
    fixed = generator("moving_images", seed).permutation(samples) % len(velocity)

    def sample(k: int) -> tuple[Events, np.ndarray]:
        rng = np.random.default_rng([seed, k])
        label = np.full(steps, fixed[k])
        if segment is not None:
            number = np.cumsum(rng.random(steps) < 1.0 / segment)
            label = rng.integers(len(velocity), size=number[-1] + 1)[number]
        image = images[rng.integers(len(images))]
        place = rng.random(2) * image.shape - np.cumsum(velocity[label], axis=0)  # the image moves, not the window
        frames = film(image, np.concatenate((place[:1] + velocity[label[:1]], place)), size)
        frames /= np.abs(frames).max()
        return camera(frames + noise * rng.normal(size=frames.shape), threshold), label

    with ThreadPoolExecutor(threads or cores()) as pool:
        events, labels = zip(*pool.map(sample, range(samples)), strict=True)
    return list(events), np.array(labels)


def _image(owner: str, image: Any) -> np.ndarray:
    array = finite(owner, image)
    if array.ndim != 2 or 0 in array.shape:
        raise ShapeError(f"{owner}: must have shape (height, width); got {array.shape}.")
    return array
