"""Mistakes in reservoirs, readouts, tasks and measures are named."""

import doctest
import importlib

import numpy as np
import pytest

import reservoir
from kernels.errors import ModelError, ShapeError, SimError
from reservoir import measures, tasks

NET = {"n": 20, "n_inputs": 1, "seed": 1}


def network(readout=None):
    return reservoir.EchoStateNetwork.random(**NET, readout=readout)


@pytest.mark.parametrize("name", ["reservoir.esn", "reservoir.readouts", "reservoir.tasks", "reservoir.spiking"])
def test_doctests(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0 and result.failed == 0


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: network().fit(np.zeros(9), np.zeros(9)), "there is no readout"),
        (lambda: network().generate(3, [0.0]), "there is no readout"),
        (lambda: network(reservoir.Ridge()).predict(np.zeros(9)), "has seen no states"),
        (lambda: network(reservoir.Ridge()).fit(np.ones(9), np.ones(8)), "as long as u"),
        (lambda: network(reservoir.Ridge()).fit([np.ones(9)], [np.ones(9), np.ones(9)]), "one target sequence"),
        (lambda: network(reservoir.Ridge()).fit(np.ones(9), np.ones(9), washout=9), "longer than washout"),
        (lambda: network(reservoir.Ridge()).fit([np.ones(9), [np.nan]], 2 * [np.ones(9)]), "u[1]: must be finite"),
        (lambda: network(reservoir.Ridge()).fit(np.zeros(50), np.ones(50)), "silent or saturated"),
        (lambda: network().run(np.ones((4, 2))), "must have shape (T, 1)"),
        (lambda: network().run([]), "must have shape (T, 1)"),
        (lambda: reservoir.EchoStateNetwork(np.eye(3), np.ones((2, 1))), "must be (n, n)"),
        (lambda: reservoir.EchoStateNetwork(np.eye(2), np.ones((2, 1)), leak=0.0), "leak: must be > 0"),
        (lambda: reservoir.EchoStateNetwork(np.full((2, 2), np.inf), np.ones((2, 1))), "w: must be finite"),
        (lambda: reservoir.EchoStateNetwork(np.eye(2), np.ones((2, 1)), bias=np.ones(3)), "bias: must be finite"),
        (lambda: reservoir.EchoStateNetwork(np.eye(2), np.ones((2, 1)), threads=0), "threads: must be"),
        (lambda: reservoir.EchoStateNetwork.random(20, density=0.0), "density: must be > 0"),
        (lambda: reservoir.Ridge(penalty=-1.0), "penalty: must be >= 0"),
        (lambda: reservoir.Ridge(0.0).fit(np.ones((9, 2)) * np.arange(9)[:, None], np.arange(9)), "linearly dependent"),
        (lambda: reservoir.RLS(forgetting=1.5), "must be > 0 and <= 1"),
        (lambda: reservoir.NLMS(rate=2.0), "must be > 0 and < 2"),
        (lambda: reservoir.RLS().fit(np.ones((3, 2)), np.ones((4, 1))), "as long as x"),
        (
            lambda: reservoir.NLMS().partial_fit(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 3))),
            "gate: must have shape (3,) or (3, 2); got (3, 3)",
        ),
        (
            lambda: reservoir.NLMS().partial_fit(np.ones((3, 2)), np.ones((3, 1)), [0, 2, 1]),
            "gate: must be 0 to 1; got 0 to 2",
        ),
        (lambda: reservoir.Softmax().fit(np.ones((3, 2)), np.ones((3, 2))), "sums from 2 to 2"),
        (lambda: reservoir.Softmax(0.0), "penalty: must be > 0"),
        (lambda: tasks.narma(10, order=7), "order: must be"),
        (lambda: tasks.narma(400, order=10, u=np.full(400, 2.0)), "runs away"),
        (lambda: tasks.mackey_glass(10, tau=17.05), "multiple of dt"),
        (lambda: tasks.lorenz(10, every=0.0), "every: must be > 0"),
        (lambda: tasks.temporal_parity(10, delays=[-1]), "delays: must be"),
        (lambda: tasks.delayed_match(10, symbols=1), "symbols: must be"),
        (lambda: tasks.spike_templates(4, rate=-1.0), "rate: must be"),
        (lambda: measures.nrmse(np.ones(4), np.ones(4)), "must vary"),
        (lambda: measures.memory_capacity(np.ones((9, 2)), np.ones(9), lags=0), "lags: must be"),
        (lambda: measures.memory_capacity(np.ones((9, 2)), np.ones(9), lags=3, washout=1), "washout: must be"),
        (lambda: measures.information_processing_capacity(np.ones((9, 2)), 2 * np.ones(9), {1: 2}), "lie in [-1, 1]"),
        (lambda: measures.rank(np.ones((3, 3)), energy=0.0), "energy: must be"),
        (lambda: measures.lyapunov(network(), np.ones(10)), "longer than washout"),
    ],
)  # fmt: skip
def test_refused(call, text):
    with pytest.raises(SimError) as error:
        call()
    assert isinstance(error.value, (ModelError, ShapeError))
    assert text in str(error.value)


def test_generate_needs_as_many_outputs_as_inputs():
    net = network(reservoir.Ridge(1e-6))
    u = np.random.default_rng(0).uniform(size=(50, 1))
    net.fit(u, np.hstack([u, u]))
    with pytest.raises(ShapeError, match="as many outputs as inputs"):
        net.generate(2, [0.5])
