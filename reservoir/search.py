"""Search for the parameters of a reservoir, scored on validation data only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.errors import BackendUnavailable, ModelError, ShapeError, SimError
from reservoir.base import Reservoir, is_list
from reservoir.measures import nrmse
from snn.plot import COLOURS, new_axes
from snn.sweeps.design import Axis, Range, axes, combinations
from snn.units import bounded, whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

METHODS = ("grid", "random", "lhs", "optuna")


@dataclass(frozen=True)
class Trial:
    """One set of parameters and its score; where there is none it is infinite, and ``error`` says why."""

    parameters: dict[str, Any]
    score: float
    error: str = ""


@dataclass
class Search:
    """What :func:`search` found."""

    best: Reservoir  # with the parameters of the lowest score, fitted on all the data that the search was given
    trials: list[Trial] = field(repr=False)

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of the lowest score."""
        return min(self.trials, key=lambda t: t.score).parameters

    @property
    def score(self) -> float:
        """The lowest, on the validation data: as the least of many a little too good. Report that of unseen data."""
        return min(t.score for t in self.trials)

    def plot(self, parameter: str, ax: Axes | None = None) -> Axes:
        """Scores over one parameter, a dot a trial, the best one filled; trials without a score as crosses on top."""
        if parameter not in self.trials[0].parameters:
            known = ", ".join(self.trials[0].parameters)
            raise ModelError(f"Search.plot.parameter: must be one of {known}; got {parameter!r}.")
        values = [t.parameters[parameter] for t in self.trials]
        scores = np.array([t.score for t in self.trials])
        ax, ok = new_axes(ax, 4.0, 3.0), np.isfinite(scores)
        numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
        names = values if numbers else [str(v) for v in values]
        order = list(dict.fromkeys(names))
        x = np.array(names if numbers else [order.index(v) for v in names], float)
        best = int(np.argmin(scores))
        ax.plot(x[ok], scores[ok], "o", markerfacecolor="none", color=COLOURS[0], markersize=5)
        ax.plot(x[best], scores[best], "o", color=COLOURS[1], markersize=7)
        ax.plot(x[~ok], np.full((~ok).sum(), 0.98), "x", color=COLOURS[1], transform=ax.get_xaxis_transform())
        if numbers and x.min() > 0 and x.max() > 20 * x.min():
            ax.set_xscale("log")
        if not numbers:
            ax.set_xticks(range(len(order)), order)
        ax.set(xlabel=parameter, ylabel="score (validation)")
        return ax


def search(
    make: Callable[..., Reservoir], space: Mapping[str, Any], u: Any, y: Any, method: str = "random",
    trials: int | None = None, validation: float = 0.25, washout: int = 0,
    score: Callable[[Any, Any], float] = nrmse, seed: int = 0,
) -> Search:  # fmt: skip
    """Try parameters of a reservoir: fit each on the first part of the data, score it on the rest.

    Keep the data that you report on out of ``u`` and ``y``: what is given here is used for the choice.

    Parameters
    ----------
    make : ``make(**parameters)`` gives a reservoir with a readout
    space : for each parameter a list of values, or a :class:`snn.sweeps.Range`
    u, y : as in :meth:`Reservoir.fit`. Of one series the last share ``validation`` of the steps is held back; of a list
        the last sequences are, at least one
    method : "grid" (all combinations), "random", "lhs" (Latin hypercube), or "optuna" (TPE; extra ``search``)
    trials : number of sets of parameters; None for a grid, which has its own
    validation : > 0 and < 1;  washout : as in :meth:`Reservoir.fit`; left out of the scores of sequences, too
    score : ``score(prediction, target)``, lower is better; that of several sequences is their mean
    seed : of the parameters drawn

    Raises
    ------
    ModelError, ConfigError, ShapeError
        Where an argument is out of bounds, or no trial could be fitted.
    BackendUnavailable
        ``method="optuna"`` without optuna.

    References
    ----------
    Bergstra et al. 2011 (tree-structured Parzen estimator), NIPS 24; Akiba et al. 2019, doi:10.1145/3292500.3330701

    Examples
    --------
    >>> import reservoir
    >>> from snn.sweeps import Range
    >>> u, y = reservoir.tasks.narma(1200, order=10, seed=1)
    >>> def make(radius, leak):
    ...     return reservoir.EchoStateNetwork.random(
    ...         50, radius=radius, leak=leak, input_scale=0.2, bias_scale=0.2, readout=reservoir.Ridge()
    ...     )
    >>> found = search(make, {"radius": Range(0.3, 1.2), "leak": [0.3, 1.0]}, u[:900], y[:900], trials=8, washout=50)
    >>> len(found.trials), sorted(found.parameters)
    (8, ['leak', 'radius'])
    """
    owner = "search"
    if not isinstance(method, str) or method not in METHODS:
        raise ModelError(f"{owner}.method: must be one of {', '.join(METHODS)}; got {method!r}.")
    if (trials is None) != (method == "grid"):
        raise ModelError(f'{owner}.trials: is for every method but "grid"; got {trials!r} with {method!r}.')
    if trials is not None:
        whole(f"{owner}.trials", trials)
    whole(f"{owner}.seed", seed, 0)
    validation = bounded(f"{owner}.validation", validation, 0.0, 1.0, open_low=True, open_high=True)
    washout = whole(f"{owner}.washout", washout, 0)
    given, done = axes(space), list[Trial]()
    held = _Held(owner, u, y, validation, washout, score)

    def run(parameters: dict[str, Any]) -> float:
        try:
            found = held.score_of(make(**parameters))
            done.append(Trial(parameters, found) if np.isfinite(found) else Trial(parameters, np.inf, f"it is {found}"))
        except SimError as error:
            done.append(Trial(parameters, np.inf, str(error)))
        return done[-1].score

    if method == "optuna":
        _with_optuna(run, given, int(trials or 0), seed)
    else:
        for parameters in combinations(given, method, trials, seed):
            run(parameters)
    if not any(np.isfinite(t.score) for t in done):
        first = done[0]
        raise ModelError(
            f"{owner}.space: none of {len(done)} reservoirs has a score. The first, {first.parameters}: {first.error}"
        )
    best = make(**min(done, key=lambda t: t.score).parameters).fit(u, y, washout)
    return Search(best, done)


class _Held:
    """Data divided into what is fitted and what is scored."""

    def __init__(
        self, owner: str, u: Any, y: Any, validation: float, washout: int, score: Callable[[Any, Any], float]
    ) -> None:
        self.many, self.u, self.y, self.washout, self.score = is_list(f"{owner}.u", u), u, y, washout, score
        if len(u) != len(y):
            raise ShapeError(f"{owner}.y: must be as long as u; got {len(y)} and {len(u)}.")
        self.cut = len(u) - max(1, round(validation * len(u)))
        if self.cut <= (0 if self.many else washout):
            raise ShapeError(f"{owner}.u: leaves nothing to fit of {len(u)}; give more, or a smaller validation.")

    def score_of(self, net: Reservoir) -> float:
        """On what was held back. A series is predicted from its beginning, so that the state is what it would be."""
        net.fit(self.u[: self.cut], self.y[: self.cut], self.washout)
        if self.many:
            pairs = zip(net.predict(self.u[self.cut :]), self.y[self.cut :], strict=True)
            return float(np.mean([self.score(p[self.washout :], t[self.washout :]) for p, t in pairs]))
        return float(self.score(net.predict(self.u)[self.cut :], self.y[self.cut :]))


def _with_optuna(run: Callable[[dict[str, Any]], float], given: list[Axis], trials: int, seed: int) -> None:
    try:
        import optuna
    except ImportError as error:
        raise BackendUnavailable(
            'search.method="optuna": optuna is not installed. pip install "volley-snn[search]", or use "random".'
        ) from error

    def parameters(trial: Any) -> Iterator[tuple[str, Any]]:
        for axis in given:
            if not isinstance(axis.values, Range):
                choice = trial.suggest_categorical(axis.name, list(range(len(axis.values))))
                yield axis.name, axis.values[choice]
            elif axis.values.integer:
                low, high = int(axis.values.low), int(axis.values.high)
                yield axis.name, trial.suggest_int(axis.name, low, high, log=axis.values.log)
            else:
                yield axis.name, trial.suggest_float(axis.name, axis.values.low, axis.values.high, log=axis.values.log)

    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
        study.optimize(lambda trial: run(dict(parameters(trial))), n_trials=trials)
    finally:
        optuna.logging.set_verbosity(level)
