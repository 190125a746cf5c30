"""Currents with numbers of their own for each neuron: against formulas, and the same noise in units of std."""

import math

import numpy as np
import pytest

import snn

N, DT = 5, 0.1
RNG = np.random.default_rng(8)
MEAN, STD = RNG.uniform(-300.0, 300.0, N), RNG.uniform(0.0, 200.0, N)


def currents(source, backend="cpu", threads=1, ids=None, cut=False):
    """Current of each step, (steps, n): what a neuron without leak adds up."""
    net = snn.Network(seed=3)
    a = net.population("a", N, snn.IF(v_th=1e12, r=1.0))
    net.input("x", a if ids is None else a[ids], source)
    net.record(a, "v")
    sim = snn.Simulation(net, dt=DT, backend=backend, threads=threads, quiet=True)
    parts = [sim.run(t) for t in ((20.3, 19.7) if cut else (40.0,))]
    v = snn.Result.concatenate(parts).states["a"]["v"]
    return np.diff(np.concatenate((np.zeros((1, N)), v)), axis=0) / DT


SOURCES = {
    "sine": snn.ACCurrent(MEAN, np.linspace(5.0, 90.0, N), np.linspace(0.0, 6.0, N), STD, start=3.0, stop=31.0),
    "some": snn.ACCurrent(100.0, np.linspace(5.0, 90.0, N), 0.5),
    "noise": snn.NoiseCurrent(MEAN, STD, dt=0.5, start=3.0, stop=31.0),
    "coloured": snn.OrnsteinUhlenbeck(MEAN, STD, 4.0, start=3.0, stop=31.0),
    "mean alone": snn.OrnsteinUhlenbeck(MEAN, 50.0, 4.0),
}


@pytest.mark.parametrize("name", SOURCES)
def test_any_backend_threads_and_cuts(name):
    found = currents(SOURCES[name])
    assert np.unique(found, axis=1).shape[1] == N
    for other in ({"backend": "reference"}, {"threads": 2}, {"cut": True}, {"backend": "reference", "cut": True}):
        assert np.array_equal(currents(SOURCES[name], **other), found), other


def test_sines():
    t = np.arange(400)[:, None] * DT
    found, source = currents(SOURCES["sine"]), SOURCES["sine"]
    wanted = source.offset + source.amplitude * np.sin(2e-3 * np.pi * source.frequency * t + source.phase)
    wanted[(t[:, 0] < 3.0 - 1e-9) | (t[:, 0] > 31.0 - 1e-9)] = 0.0
    assert found == pytest.approx(wanted, abs=1e-8)


def test_noise_is_scaled():
    unit = currents(snn.NoiseCurrent(0.0, 1.0, dt=0.5, start=3.0, stop=31.0))
    on = np.any(unit != 0.0, axis=1)
    assert on.sum() == 280
    assert currents(SOURCES["noise"]) == pytest.approx(on[:, None] * (MEAN + STD * unit), abs=1e-6)
    unit = currents(snn.OrnsteinUhlenbeck(0.0, 1.0, 4.0))
    assert currents(SOURCES["coloured"]) == pytest.approx(on[:, None] * (MEAN + STD * unit), abs=1e-6)
    assert currents(SOURCES["mean alone"]) == pytest.approx(MEAN + 50.0 * unit, abs=1e-6)
    assert currents(snn.OrnsteinUhlenbeck(MEAN[0], STD[0], 4.0)) == pytest.approx(MEAN[0] + STD[0] * unit, abs=1e-6)


def test_statistics_of_coloured_noise():
    """Mean, variance and correlation in time, each within five standard errors for 200 s at 4 ms."""
    net = snn.Network(seed=5)
    a = net.population("a", N, snn.IF(v_th=1e12, r=1.0))
    net.input("x", a, snn.OrnsteinUhlenbeck(MEAN, STD, 4.0))
    net.record(a, "v")
    v = snn.Simulation(net, dt=DT, quiet=True).run(200_000.0).states["a"]["v"]
    x = np.diff(v, axis=0) / DT
    error = math.sqrt(2.0 * 4.0 / 200_000.0)  # of the mean, in units of std
    assert np.all(np.abs(x.mean(axis=0) - MEAN) < 5.0 * error * STD)
    assert x.std(axis=0) == pytest.approx(STD, rel=5.0 * error)
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    assert np.mean(z[40:] * z[:-40], axis=0) == pytest.approx(math.exp(-1.0), abs=5.0 * error)


@pytest.mark.parametrize("name", ["noise", "coloured", "sine"])
def test_parts(name):
    """Numbers for the part's neurons, in their order; the others get none."""
    ids, whole = np.array([3, 0, 4]), SOURCES[name]
    given = {k: v[ids] if np.ndim(v) else v for k, v in vars(whole).items()}
    found = currents(type(whole)(**given), ids=ids)
    assert np.array_equal(found[:, ids], currents(whole)[:, ids])
    assert np.all(np.delete(found, ids, axis=1) == 0.0)


def test_what_is_refused():
    for source, text in (
        (lambda: snn.NoiseCurrent(np.ones((2, N))), r"NoiseCurrent.mean: must be a number or of shape \(n,\)"),
        (lambda: snn.NoiseCurrent(0.0, -STD - 1.0), "NoiseCurrent.std: must be >= 0"),
        (
            lambda: currents(snn.NoiseCurrent(0.0, np.ones(N + 1))),
            r"Input 'x'.std: .* of shape \(5,\)",
        ),
        (
            lambda: currents(snn.ACCurrent(1.0, 5.0, np.ones(2))),
            r"Input 'x'.phase: .* of shape \(5,\)",
        ),
        (lambda: snn.OrnsteinUhlenbeck(start=5.0, stop=1.0), "OrnsteinUhlenbeck.stop: must be > start"),
    ):
        with pytest.raises((snn.ModelError, snn.ShapeError), match=text):
            source()
