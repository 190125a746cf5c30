"""Search for parameters: what is scored, and that the data held back decide."""

import sys

import numpy as np
import pytest

import reservoir
import snn
from snn.sweeps import Range


class Shift(reservoir.Reservoir):
    """Its states are the input of some steps ago; it keeps what it was fitted on."""

    n = n_inputs = 1

    def __init__(self, lag, log, scale=1.0):
        self.lag, self.log, self.scale, self.readout = lag, log, scale, reservoir.Ridge()

    def states(self, u):
        u = np.asarray(u, float).reshape(-1, 1)
        self.log.append(u.copy())
        if self.scale < 0:
            raise snn.ModelError("Shift.scale: must be >= 0; got a negative number.")
        return np.concatenate([np.zeros((self.lag, 1)), u])[: len(u)]


def problem(seed=1, steps=400):
    u = np.random.default_rng(seed).normal(size=(steps, 1))
    return u, np.concatenate([np.zeros((3, 1)), u])[:steps]


METHODS = ["grid", "random", "lhs", "optuna"]


@pytest.mark.parametrize("method", METHODS)
def test_finds_the_lag_and_fits_nothing_that_is_held_back(method):
    if method == "optuna":
        pytest.importorskip("optuna")
    (u, y), log = problem(), []
    found = reservoir.search(
        lambda lag: Shift(lag, log), {"lag": [0, 1, 2, 3, 4]}, u, y, method, None if method == "grid" else 20, 0.25
    )  # fmt: skip
    assert found.parameters == {"lag": 3} and found.score < 1e-6
    assert len(found.trials) == (5 if method == "grid" else 20)
    fitted, whole = log[0::2][: len(found.trials)], log[-1]
    assert all(len(x) == 300 for x in fitted) and len(whole) == 400  # the best is fitted on all of it
    wrong = [t.score for t in found.trials if t.parameters["lag"] != 3]
    assert min(wrong, default=1.0) > 0.9


def test_ranges_reach_the_reservoir():
    pytest.importorskip("optuna")
    (u, y), log = problem(), []
    space = {"lag": Range(0, 4, integer=True), "scale": Range(1e-3, 1.0, log=True)}
    for method in ("random", "optuna"):
        found = reservoir.search(lambda lag, scale: Shift(lag, log, scale), space, u, y, method, 12, seed=2)
        again = reservoir.search(lambda lag, scale: Shift(lag, log, scale), space, u, y, method, 12, seed=2)
        scales = [t.parameters["scale"] for t in found.trials]
        assert 1e-3 <= min(scales) < 0.1 < max(scales) <= 1.0
        assert all(type(t.parameters["lag"]) is int for t in found.trials)
        assert [t.parameters for t in found.trials] == [t.parameters for t in again.trials]


def test_scores_are_of_the_held_back_data_alone():
    """A readout that has learned noise by heart is good on what it saw, and chance on the rest."""
    rng, log = np.random.default_rng(3), []
    u, y = rng.normal(size=(100, 1)), rng.normal(size=(100, 1))

    class ByHeart(Shift):
        n = 100

        def states(self, u):
            return np.eye(100)[: len(u)]

    net = ByHeart(0, log)
    net.readout = reservoir.Ridge(penalty=1e-9)
    assert reservoir.measures.nrmse(net.fit(u, y).predict(u), y) < 1e-3
    found = reservoir.search(lambda lag: net, {"lag": [0]}, u, y, "grid")
    assert found.score > 0.9


def test_whole_sequences_are_held_back():
    log = []
    pairs = [problem(seed, steps) for seed, steps in ((1, 60), (2, 80), (3, 70), (4, 50))]
    u, y = ([p[k] for p in pairs] for k in (0, 1))
    found = reservoir.search(lambda lag: Shift(lag, log), {"lag": [1, 3]}, u, y, "grid", washout=5)
    assert [len(x) for x in log[:4]] == [60, 80, 70, 50] and np.array_equal(log[3], u[3])  # three fitted, one predicted
    assert found.parameters == {"lag": 3}


def test_a_failed_trial_says_why_and_the_plot_shows_all():
    (u, y), log = problem(), []
    found = reservoir.search(
        lambda lag, scale: Shift(lag, log, scale), {"lag": [2, 3], "scale": [-1.0, 1.0]}, u, y, "grid"
    )  # fmt: skip
    bad = [t for t in found.trials if not np.isfinite(t.score)]
    assert len(bad) == 2 and all("scale: must be >= 0" in t.error for t in bad)
    import matplotlib

    matplotlib.use("Agg")
    ax = found.plot("scale")
    assert sum(len(line.get_xdata()) for line in ax.lines) == 5 and ax.get_xlabel() == "scale"  # the best one twice
    with pytest.raises(snn.ModelError, match="must be one of lag, scale"):
        found.plot("gain")
    with pytest.raises(snn.ModelError, match=r"none of 2 reservoirs has a score\. The first, .*must be >= 0"):
        reservoir.search(lambda lag: Shift(lag, log, -1.0), {"lag": [0, 1]}, u, y, "grid")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"method": "best"}, "method: must be one of grid, random, lhs, optuna"),
        ({"method": "grid", "trials": 3}, 'trials: is for every method but "grid"'),
        ({"method": "random"}, 'trials: is for every method but "grid"; got None'),
        ({"trials": 0}, "trials: must be an integer >= 1"),
        ({"trials": 3, "validation": 1.0}, "validation: must be > 0 and < 1"),
        ({"trials": 3, "washout": 350}, "leaves nothing to fit of 400"),
        ({"trials": 3, "space": {"lag": "13"}}, "must be a list of values or a Range"),
    ],
)
def test_bad_input(options, text):
    u, y = problem()
    with pytest.raises(snn.SimError) as error:
        reservoir.search(lambda lag: Shift(lag, []), options.pop("space", {"lag": [1, 3]}), u, y, **options)
    assert text in str(error.value)


def test_without_optuna(monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    u, y = problem()
    with pytest.raises(snn.BackendUnavailable, match=r"volley-snn\[search\]"):
        reservoir.search(lambda lag: Shift(lag, []), {"lag": [1]}, u, y, "optuna", 3)
