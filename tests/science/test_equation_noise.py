"""Noise in equations against closed forms: of linear equations, of escape rates, and by Stratonovich's rule."""

import numpy as np
import pytest
import scipy.stats

import snn

LINEAR = """
dv/dt = (mu - v) / tau + sigma * sqrt(2 / tau) * xi_a : mV
dy/dt = (mu - y) / tau_y + sigma * sqrt(2 / tau_y) * (0.6 * xi_a + 0.8 * xi_b) : mV
mu = 1 : mV
tau = 10 : ms
tau_y = 10 : ms
sigma = 2 : mV
"""
N = 40_000


def late(model, variables, dt, t, precision="float64"):
    """State variables at the end of a run."""
    net = snn.Network(seed=5)
    net.record(net.population("a", N, model), variables, every=t)
    states = snn.Simulation(net, dt=dt, quiet=True, precision=precision).run(t).states["a"]
    return [states[x][-1] for x in variables]


def assert_std(x, expected):
    """Within four standard errors."""
    assert abs(x.std() / expected - 1.0) < 4.0 / np.sqrt(2 * N)


@pytest.mark.parametrize("method", ["rk4", "exponential_euler"])
@pytest.mark.parametrize(("dt", "precision"), [(0.1, "float64"), (10.0, "float64"), (1.0, "float32")])
def test_ornstein_uhlenbeck(method, dt, precision):
    """Stationary. Noise held over steps gives (2 tau / dt) tanh(dt / (2 tau)) of the variance of white noise;
    Runge-Kutta's powers of dt / tau are not exp, so that it has that to fourth order."""
    model = snn.from_equations("Linear", LINEAR, threshold="v > 1e9", method=method)
    v, y = late(model(), ["v", "y"], dt, 100.0, precision=precision)
    h = dt / 10.0
    if method == "rk4":
        left = 1.0 - h + h**2 / 2 - h**3 / 6 + h**4 / 24
        variance = 2.0 / h * (1.0 - left) / (1.0 + left)
    else:
        variance = 2.0 / h * np.tanh(0.5 * h)
    assert abs(variance - (1.0 - h**2 / 12)) < 0.01 * h**3 + 0.01 * h**2
    for x in (v, y):
        assert_std(x, 2.0 * np.sqrt(variance))
        assert abs(x.mean() - 1.0) < 4 * 2.0 / np.sqrt(N)
    assert abs(np.corrcoef(v, y)[0, 1] - 0.6) < 4 * (1 - 0.6**2) / np.sqrt(N), "xi_a is one noise, xi_b another"
    assert scipy.stats.kstest((v - v.mean()) / v.std(), "norm").pvalue > 1e-4


def test_independent_of_other_neurons_and_of_the_past():
    """White: what a step adds is uncorrelated with what the step before added, and with what the next neuron got."""
    model = snn.from_equations("Wiener", "dv/dt = xi : 1\ndx/dt = xi_x : 1", threshold="v > 1e9")
    net = snn.Network(seed=1)
    net.record(net.population("a", 400, model()), ["v", "x"])
    states = snn.Simulation(net, dt=0.25, quiet=True).run(100.0).states["a"]
    steps = {name: np.diff(states[name], axis=0) for name in "vx"}
    for given in (
        (steps["v"][1:], steps["v"][:-1]), (steps["v"][4:], steps["v"][:-4]), (steps["v"][:, 1:], steps["v"][:, :-1]),
        (steps["v"], steps["x"]), (steps["v"][:, 1:], steps["x"][:, :-1]), (steps["v"]**2, steps["x"]**2),
    ):  # fmt: skip
        assert abs(np.corrcoef(*map(np.ravel, given))[0, 1]) < 4 / np.sqrt(given[0].size)
    assert abs(steps["v"].var() / 0.25 - 1.0) < 4 * np.sqrt(2 / steps["v"].size)


@pytest.mark.parametrize("method", ["rk4", "exponential_euler"])
def test_noise_that_multiplies(method):
    """Stratonovich's rule: dx = s x xi is x = exp(s W); Ito's would be smaller by exp(-s^2 t / 2), ten percent here."""
    equations = "dx/dt = s * x * xi : 1\ndv/dt = 0 * x : 1\ns = 0.1 : 1"
    model = snn.from_equations("Geometric", equations, threshold="v > 1", init={"x": 1.0}, method=method)
    (x,) = late(model(), ["x"], 0.1, 20.0)
    assert_std(np.log(x), 0.1 * np.sqrt(20.0))
    assert abs(np.log(x).mean()) < 4 * 0.1 * np.sqrt(20.0 / N)


def test_held_in_the_refractory_period():
    """A held variable gets no noise."""
    model = snn.from_equations(
        "Held", "dv/dt = 1 + 0.1 * xi : 1 (unless refractory)\ndx/dt = 0.1 * xi : 1\nt_ref = 3 : ms",
        threshold="v > 1", reset="v = -5", refractory="t_ref",
    )  # fmt: skip
    net = snn.Network(seed=1)
    net.record(net.population("a", 50, model()), ["v", "x"])
    states = snn.Simulation(net, dt=0.5, quiet=True).run(4.0).states["a"]
    held = (states["v"][1:] == -5.0) & (states["v"][:-1] == -5.0)
    assert held.sum() > 100
    assert np.all(np.diff(states["x"], axis=0)[held] != 0.0)


def test_escape_rate():
    """``rand()`` in the threshold: intervals are exponential, with the rate that was asked for."""
    model = snn.from_equations(
        "Escape", "dv/dt = 0 * v : 1\nrate = 0.05 : 1/ms", threshold="rand() < 1 - exp(-rate * dt)", reset="v += 1",
    )  # fmt: skip
    net = snn.Network(seed=2)
    net.record(net.population("a", 500, model(rate=np.repeat([0.02, 0.2], 250))))
    spikes = snn.Simulation(net, dt=0.5, quiet=True).run(2000.0).spikes["a"]
    for part, rate in ((spikes.ids < 250, 0.02), (spikes.ids >= 250, 0.2)):
        times, ids = spikes.times[part], spikes.ids[part]
        expected = 250 * 2000.0 * (1 - np.exp(-rate * 0.5)) / 0.5
        assert abs(times.size - expected) < 4 * np.sqrt(expected)
        order = np.lexsort((times, ids))
        gaps = np.diff(times[order])[np.diff(ids[order]) == 0]
        p = 1 - np.exp(-rate * 0.5)  # geometric, in steps
        assert abs(gaps.std() / gaps.mean() - np.sqrt(1 - p)) < 0.02


def test_reset_at_random():
    """``randn()`` and ``rand()`` in the reset are drawn for each spike anew, one for each place that names them."""
    model = snn.from_equations(
        "Reset", "dv/dt = 0 * v : 1\nda/dt = 0 * a : 1\ndb/dt = 0 * b : 1\ndc/dt = 0 * c : 1", threshold="v > -1",
        reset="a = randn(); b = a + 0.5 * randn(); c = rand()",
    )  # fmt: skip
    net = snn.Network(seed=3)
    net.record(net.population("a", 500, model()), ["a", "b", "c"])
    states = snn.Simulation(net, dt=1.0, quiet=True).run(40.0).states["a"]
    a, b, c = (states[name].ravel() for name in "abc")
    assert scipy.stats.kstest(a, "norm").pvalue > 1e-4
    assert scipy.stats.kstest(2 * (b - a), "norm").pvalue > 1e-4
    assert scipy.stats.kstest(c, "uniform").pvalue > 1e-4
    assert np.abs(np.corrcoef([a, b - a, c]) - np.eye(3)).max() < 4 / np.sqrt(a.size)


def all_noises():
    model = snn.from_equations(
        "Mixed",
        """
        dv/dt = (i_stim - v) / tau + 0.4 * xi : mV (unless refractory)
        dy/dt = -y / 5 + 0.1 * v * xi_y       : mV
        tau = 10 : ms
        t_ref = 1 : ms
        """,
        threshold="v > 0.5 + rand()", reset="v = 0.1 * randn(); y += 1", refractory="t_ref",
        receptors={"in": "v += w"},
    )  # fmt: skip
    net = snn.Network(seed=4)
    a = net.population("a", 37, model(tau=snn.uniform(5.0, 15.0)))
    net.population("b", 9, snn.GIF())
    net.input("current", a, snn.StepCurrent(1.0))
    net.connect(a, a, snn.pairwise_bernoulli(0.3), weight=0.2, delay=1.0)
    net.record(a, ["spikes", "v", "y"])
    return net


def test_reference_threads_and_checkpoints(tmp_path):
    """The same numbers whatever computes them, and after a checkpoint within four steps that share words."""
    expected = snn.Simulation(all_noises(), backend="reference").run(12.3)
    assert len(expected.spikes["a"]) > 100
    for threads in (1, 2, 3):
        sim = snn.Simulation(all_noises(), threads=threads, quiet=True)
        parts = [sim.run(5.1)]
        sim.checkpoint(tmp_path / "state.h5")
        sim = snn.Simulation.resume(tmp_path / "state.h5", all_noises(), quiet=True)
        found = snn.Result.concatenate([*parts, sim.run(7.2)])
        np.testing.assert_array_equal(found.spikes["a"].times, expected.spikes["a"].times)
        np.testing.assert_array_equal(found.spikes["a"].ids, expected.spikes["a"].ids)
        for name in "vy":
            np.testing.assert_array_equal(found.states["a"][name], expected.states["a"][name])
