"""How a series drives a spiking reservoir by spikes, and series made of others or of events."""

import copy
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from reservoir.base import series
from reservoir.checks import finite
from snn.units import bounded, real, whole

MOST = 1e9  # bins
ROUNDING = 1e-9  # of a threshold or bin, by which a number may be short of it


class Encoder:
    """Base of encoders: a series of shape (T, n_inputs) becomes spikes of channels. Those of a sample depend on the
    samples up to it alone."""

    def inputs(self, channels: int) -> int:
        """How many inputs give that many channels: by default one each."""
        return channels

    def spikes(self, u: np.ndarray, hold: float, dt: float) -> tuple[np.ndarray, np.ndarray]:
        """(times [ms] ascending, channels) of the spikes, where sample k lasts from k ``hold`` to (k+1) ``hold`` ms.

        A time lies in its sample, the begin included, and stands for the step of ``dt`` ms that holds it.
        """
        raise NotImplementedError

    def redrawn(self, draw: tuple[int, int]) -> "Encoder":
        """The encoder with random numbers of their own for each ``draw``; itself where it draws none."""
        return self


class Poisson(Encoder):
    """Spikes at random: of channel c, in each step of sample k, with probability rate u_c(k) dt.

    Parameters
    ----------
    rate : of an input of 1, [Hz], > 0
    seed : fixes the numbers: the same series gives the same spikes. In a reservoir they depend on the series' place in
        its list and on ``draw``, too; see :class:`reservoir.Reservoir`

    Raises
    ------
    ModelError
        Where an input is below 0 or a probability above 1.
    """

    def __init__(self, rate: float, seed: int = 0) -> None:
        self.rate, self.seed = bounded("Poisson.rate", rate, 0.0, open_low=True), whole("Poisson.seed", seed, 0)
        self._draw: tuple[int, ...] = ()

    def redrawn(self, draw: tuple[int, int]) -> "Poisson":
        """See :class:`Encoder`."""
        new = copy.copy(self)
        new._draw = draw
        return new

    def spikes(self, u: np.ndarray, hold: float, dt: float) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Encoder`."""
        p = self.rate * dt * 1e-3 * u
        if p.min() < 0.0 or p.max() > 1.0:
            raise ModelError(
                f"Poisson: rate u dt must be 0 to 1; got {p.min():g} to {p.max():g}. Scale the input or the rate."
            )
        steps = round(hold / dt)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=self._draw))
        parts = [np.nonzero(rng.random((steps, len(row))) < row) for row in p]
        step = np.concatenate([k * steps + at for k, (at, _) in enumerate(parts)])
        return dt * step, np.concatenate([channel for _, channel in parts])


class Delta(Encoder):
    """Spikes for changes: channel c where input c has risen by ``threshold`` since its last spike, channel n_inputs + c
    where it has fallen by as much, as often as it holds in a sample; 0 before the first. All at the sample's begin.

    Parameters
    ----------
    threshold : > 0
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = bounded("Delta.threshold", threshold, 0.0, open_low=True)

    def inputs(self, channels: int) -> int:
        """See :class:`Encoder`; two channels an input."""
        if channels % 2:
            raise ShapeError(f"Delta: w_in must have two columns an input, for rises and falls; got {channels}.")
        return channels // 2

    def spikes(self, u: np.ndarray, hold: float, dt: float) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Encoder`."""
        counts = np.zeros((len(u), 2 * u.shape[1]), np.int64)
        sent = np.zeros(u.shape[1])  # in thresholds: what the spikes so far add up to
        for row, now in zip(counts, u / self.threshold, strict=True):
            change = now - sent
            change = np.trunc(change + np.copysign(ROUNDING, change))
            row[:] = np.concatenate([np.maximum(change, 0), np.maximum(-change, 0)])
            sent += change
        return Events().spikes(counts, hold, dt)


class Events(Encoder):
    """Address events: u_c(k) is the number of spikes of channel c in sample k, all at its begin; see :func:`binned`."""

    def spikes(self, u: np.ndarray, hold: float, dt: float) -> tuple[np.ndarray, np.ndarray]:
        """See :class:`Encoder`."""
        if u.min() < 0 or np.any(u != np.rint(u)):
            raise ModelError(f"Events: the input must hold numbers of spikes, integers >= 0; got {u.min():g} and more.")
        sample, channel = np.nonzero(u)
        times = u[sample, channel].astype(np.int64)
        return hold * np.repeat(sample, times), np.repeat(channel, times)


def binned(times: Any, channels: Any, n_channels: int, every: float, duration: float | None = None) -> np.ndarray:
    """Address events as a series of counts.

    Parameters
    ----------
    times : of the events, [ms], >= 0;  channels : of the events, integers 0 .. n_channels - 1; both of shape (k,)
    every : width of a bin, [ms];  duration : [ms]; later events are left out; None: up to the last event

    Returns
    -------
    Array of shape (T, n_channels), float64

    Examples
    --------
    >>> binned([0.0, 1.5, 2.0], [0, 1, 1], n_channels=2, every=1.0).tolist()
    [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    n_channels = whole("binned.n_channels", n_channels)
    if duration is not None:
        bounded("binned.duration", duration, 0.0, open_low=True)
    at, channel = finite("binned.times", times), real("binned.channels", channels)
    every = bounded("binned.every", every, 0.0, open_low=True)
    if at.ndim != 1 or at.shape != channel.shape:
        raise ShapeError(f"binned.channels: must have the shape of times, (k,); got {at.shape} and {channel.shape}.")
    if at.size and at.min() < 0:
        raise ModelError(f"binned.times: must be >= 0 ms; got {at.min():g}.")
    if at.size and (channel.dtype.kind not in "iu" or channel.min() < 0 or channel.max() >= n_channels):
        raise ModelError(
            f"binned.channels: must be integers 0 to {n_channels - 1}; got {channel.min()} to {channel.max()}."
        )
    place = at / every
    for name, last in (("times", place.max(initial=0.0)), ("duration", 0.0 if duration is None else duration / every)):
        if last > MOST:
            raise ModelError(f"binned.{name}: must be at most {MOST:g} bins of {every:g} ms; got {last:g}.")
    bins = np.floor(place + np.maximum(ROUNDING, 2.0 * np.spacing(place))).astype(np.int64)
    if duration is None and not at.size:
        raise ModelError("binned.duration: must be given where there are no events; got None.")
    steps = int(bins.max()) + 1 if duration is None else max(1, int(np.ceil(duration / every - ROUNDING)))
    keep = bins < steps
    cell = bins[keep] * n_channels + channel[keep].astype(np.int64)
    return np.bincount(cell, minlength=steps * n_channels).reshape(steps, n_channels).astype(np.float64)


def population(u: Any, centres: Any, width: float) -> np.ndarray:
    """Tuning curves: each input becomes as many as there are ``centres``, exp(-(u - centre)^2 / (2 width^2)).

    Parameters
    ----------
    u : shape (T, d);  centres : shape (m,);  width : > 0

    Returns
    -------
    Array of shape (T, d m), values in 0 to 1: currents, or rates for :class:`Poisson`

    References
    ----------
    Bohte, Kok & La Poutre 2002, doi:10.1016/S0925-2312(01)00658-0

    Examples
    --------
    >>> population([0.0, 1.0], centres=[0.0, 1.0], width=0.5).round(3).tolist()
    [[1.0, 0.135], [0.135, 1.0]]
    """
    x, at = series("population.u", u), series("population.centres", centres, 1)[:, 0]
    distance = (x[:, :, None] - at) / bounded("population.width", width, 0.0, open_low=True)
    return np.asarray(np.exp(-0.5 * distance**2).reshape(len(x), -1))
