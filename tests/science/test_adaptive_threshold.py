"""ALIFCondExp: its voltage against the equations, its threshold in closed form, the rates it keeps alike."""

import math

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import snn

PARAMS = {"tau_syn_ex": 2.0, "tau_syn_in": 5.0}


def trace(dt, duration, weights, **params):
    """v of a cell without spikes after one arrival at each receptor, at 1 ms and every ms after."""
    net = snn.Network()
    a = net.population("a", 1, snn.ALIFCondExp(**PARAMS | {"v_th": 1e3} | params))
    for name, weight in zip(("ex", "in"), weights, strict=True):
        net.input(name, a, snn.SpikeArray([1.0]), weight=weight)
    net.record(a, "v", every=1.0)
    return snn.Simulation(net, dt=dt, backend="reference").run(duration).states["a"]["v"][:, 0]


def test_order_2_between_spikes():
    def slope(t, y):
        v, g, h = y
        return [(-16.6667 * (v + 70) - g * v - h * (v + 85)) / 250, -g / 2, -h / 5]

    truth = solve_ivp(slope, (0, 10), [-70.0, 60.0, 30.0], "DOP853", t_eval=np.arange(11.0), rtol=1e-12, atol=1e-12).y[
        0
    ]
    errors = [np.abs(trace(dt, 11.0, (60.0, -30.0)) - truth).max() for dt in (0.2, 0.1, 0.05)]
    assert np.ptp(truth) > 5.0 and errors[1] < 5e-3
    assert 1.9 < np.log2(errors[0] / errors[1]) < 2.1 and 1.9 < np.log2(errors[1] / errors[2]) < 2.1


def test_huge_inhibition_is_stable():
    """1e6 nS at dt = 0.5 ms, where Runge-Kutta methods diverge: v goes to the reversal potential and comes back."""
    v = trace(0.5, 300.0, (0.0, -1e6))
    assert v.min() >= -85.0 and v[1] == pytest.approx(-85.0, abs=1e-2)
    assert np.all(np.diff(v[60:]) >= 0.0) and v[-1] == pytest.approx(-70.0, abs=0.1)


def test_threshold_rises_by_theta_plus_and_decays():
    """Against the sum over all spikes; and a spike comes only above v_th + theta."""
    net = snn.Network()
    a = net.population("a", 1, snn.ALIFCondExp(theta_plus=1.5, tau_theta=80.0, i_e=600.0))
    net.record(a)
    net.record(a, "theta", every=0.1)
    net.record(a, "v", every=0.1)
    result = snn.Simulation(net, dt=0.1, backend="reference").run(300.0)
    times, theta = result.spikes["a"].times, result.states["a"]["theta"][:, 0]
    at = result.states["a"].times("theta")
    expected = [sum(1.5 * math.exp(-(t - s) / 80.0) for s in times if s <= t + 1e-9) for t in at]
    np.testing.assert_allclose(theta, expected, atol=1e-9)
    assert len(times) > 8 and np.all(np.diff(np.diff(times))[:3] > 0.0), "intervals grow"
    assert np.all(result.states["a"]["v"][1:, 0] < -55.0 + theta[:-1])


def test_homeostasis_evens_out_rates():
    """Cells of weaker and stronger input, ten each: their rates differ less where the threshold follows the rate."""
    ratio = {}
    for theta_plus in (0.0, 0.2):
        net = snn.Network(seed=3)
        a = net.population("a", 20, snn.ALIFCondExp(theta_plus=theta_plus, tau_theta=2000.0))
        net.input("noise", a, snn.Poisson(rate=np.repeat([6000.0, 9000.0], 10)), weight=3.0)
        net.record(a)
        spikes = snn.Simulation(net, dt=0.1, threads=1, quiet=True).run(20_000.0).spikes["a"]
        weak, strong = spikes.slice(10_000.0, 20_000.0).rates().reshape(2, 10).mean(axis=1)
        assert weak > 0.2
        ratio[theta_plus] = strong / weak
    assert ratio[0.0] > 3.0 and ratio[0.2] < 0.5 * ratio[0.0], ratio
