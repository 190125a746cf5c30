"""The multi-event expectation task: after a cue, one of several events comes, each with a probability and a latency."""

import dataclasses
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from reservoir.checks import finite, generator
from snn.units import bounded, whole


@dataclasses.dataclass(frozen=True)
class MEET:
    """A block of the multi-event expectation task, whose statistics do not change.

    A trial begins with rest; at ``cue[0]`` a cue comes, and ``latencies[k]`` later, with probability
    ``probabilities[k]``, event k: one of them in each trial. What is to be predicted after the cue, in each ms, is
    probabilities[k] exp(-(t - cue[0] - latencies[k])^2 / (2 sigma^2)).

    Parameters
    ----------
    latencies : of each event from the begin of the cue, [ms], > 0 and within the trial
    probabilities : of each event, of sum 1
    sigma : width of what is expected, [ms]
    duration : of a trial, [ms];  cue : its begin and end, [ms]. Whole numbers, as steps are 1 ms.

    Raises
    ------
    ModelError, ShapeError

    References
    ----------
    Yamada & Chao 2026, doi:10.1038/s42003-026-10836-2, for the task; widths and times are chosen here.

    Examples
    --------
    >>> block = MEET()
    >>> block.events(10, seed=1).tolist()
    [0, 1, 0, 1, 0, 0, 1, 0, 0, 0]
    >>> block.expected().shape
    (1000, 2)
    >>> block.switched(latencies=(450, 200)).probabilities
    (0.7, 0.3)
    """

    latencies: tuple[int, ...] = (300, 600)
    probabilities: tuple[float, ...] = (0.7, 0.3)
    sigma: float = 40.0
    duration: int = 1000
    cue: tuple[int, int] = (100, 150)

    def __post_init__(self) -> None:
        for name in ("latencies", "probabilities", "cue"):
            array = finite(f"MEET.{name}", getattr(self, name))
            if array.ndim != 1 or not array.size:
                raise ModelError(f"MEET.{name}: must be numbers in a row; got {getattr(self, name)!r}.")
            if name != "probabilities" and np.any(array != np.round(array)):
                raise ModelError(f"MEET.{name}: must be whole ms; got {getattr(self, name)!r}.")
            kind: Any = float if name == "probabilities" else int
            object.__setattr__(self, name, tuple(kind(x) for x in array))
        whole("MEET.duration", self.duration)
        if len(self.cue) != 2 or not 0 <= self.cue[0] < self.cue[1] <= self.duration:
            raise ModelError(f"MEET.cue: must be begin and end, in order, within the trial; got {self.cue!r}.")
        if min(self.latencies) <= 0 or self.cue[0] + max(self.latencies) >= self.duration:
            raise ModelError(
                f"MEET.latencies: must be > 0 and < {self.duration - self.cue[0]} ms, the end of the trial; "
                f"got {self.latencies!r}."
            )
        if len(self.probabilities) != len(self.latencies):
            raise ShapeError(
                f"MEET.probabilities: must be as many as latencies; got {len(self.probabilities)} and "
                f"{len(self.latencies)}."
            )
        if min(self.probabilities) < 0 or abs(sum(self.probabilities) - 1.0) > 1e-9:
            raise ModelError(f"MEET.probabilities: must be >= 0, of sum 1; got {self.probabilities!r}.")
        bounded("MEET.sigma", self.sigma, 0.0, open_low=True)

    def switched(self, **changes: Any) -> "MEET":
        """The block after a switch of ``latencies``, of ``probabilities`` or of both."""
        return dataclasses.replace(self, **changes)

    def events(self, trials: int, seed: int = 0) -> np.ndarray:
        """Which event comes in each trial: integers of shape (trials,), drawn independently."""
        trials = whole("MEET.events.trials", trials)
        return np.asarray(generator("MEET.events", seed).choice(len(self.latencies), trials, p=self.probabilities))

    def timing(self) -> np.ndarray:
        """When each event is expected if it comes, shape (duration, n_channels): height 1, and 0 before the cue."""
        t = np.arange(self.duration)[:, None] - self.cue[0]
        bumps = np.exp(-((t - np.array(self.latencies)) ** 2) / (2.0 * self.sigma**2))
        return np.asarray(np.where(t >= 0, bumps, 0.0))

    def expected(self) -> np.ndarray:
        """What is to be predicted, shape (duration, n_channels)."""
        return np.asarray(self.timing() * np.array(self.probabilities))

    def error(self, prediction: Any) -> float:
        """Root mean square of ``prediction`` minus :meth:`expected`, over channels and from the begin of the cue on."""
        prediction, wanted = self._prediction("error", prediction), self.expected()
        return float(np.sqrt(np.mean((prediction - wanted)[self.cue[0] :] ** 2)))

    def amplitudes(self, prediction: Any) -> np.ndarray:
        """Mean of each channel of ``prediction`` within 1 ``sigma`` of its event, shape (n_channels,)."""
        prediction = self._prediction("amplitudes", prediction)
        near = np.abs(np.arange(self.duration)[:, None] - self.cue[0] - np.array(self.latencies)) <= self.sigma
        return np.asarray(np.sum(prediction * near, axis=0) / near.sum(axis=0))

    def _prediction(self, owner: str, values: Any) -> np.ndarray:
        array, shape = finite(f"MEET.{owner}.prediction", values), (self.duration, len(self.latencies))
        if array.shape != shape:
            raise ShapeError(f"MEET.{owner}.prediction: must have shape {shape}; got {array.shape}.")
        return array
