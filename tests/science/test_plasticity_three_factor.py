"""Dopamine-modulated STDP against its differential equations."""

import math

import numpy as np
import pytest

import plasticity
import snn

POST = {"tau_m": 5.0, "e_l": 0.0, "v_th": 1e6, "v_reset": 0.0, "t_ref": 0.0}
PARAMS = {"tau_plus": 20.0, "tau_minus": 25.0, "a_plus": 1.0, "a_minus": 1.5, "tau_c": 1000.0, "tau_n": 200.0,
          "w_min": -1000.0, "w_max": 1000.0}  # fmt: skip


def weight_after(pre, post, dopamine, stop, delay=1.0, start=0.0, **params):
    net = snn.Network()
    a = net.population("a", 1, snn.SpikeArray.from_spiketrains([pre]))
    b = net.population("b", 1, snn.LIFDelta(**POST))
    release = net.population("dopamine", 1, snn.SpikeArray.from_spiketrains([dopamine]))
    net.input("drive", b, snn.SpikeArray.from_spiketrains([post]), weight=1e9)
    rule = plasticity.DopamineSTDP(**PARAMS | params)
    net.connect(a, b, snn.one_to_one(), weight=start, delay=delay, plasticity=rule, name="p")
    net.modulate("p", release, delay=0.5)
    sim = snn.Simulation(net, dt=0.1, threads=1, quiet=True)
    sim.run(stop)
    return sim.connections("p")[2][0]


def euler(pre, post, dopamine, stop, step, b):
    """The equations in steps of ``step`` ms, times of spikes being those at the synapse."""
    p = PARAMS
    r = y = c = n = w = 0.0
    spikes = [
        np.bincount(np.rint(t / step).astype(int), minlength=round(stop / step) + 1) for t in (pre, post, dopamine)
    ]
    for arrives, fires, released in zip(*(s.tolist() for s in spikes), strict=True):
        n += released / p["tau_n"]
        r_, y_ = r, y
        c += fires * p["a_plus"] * r_ - arrives * p["a_minus"] * y_
        r, y = r + arrives, y + fires
        w += step * c * (n - b)
        c, n = c * (1.0 - step / p["tau_c"]), n * (1.0 - step / p["tau_n"])
        r, y = r * (1.0 - step / p["tau_plus"]), y * (1.0 - step / p["tau_minus"])
    return w


@pytest.mark.parametrize("b", [0.0, 1e-3])
def test_closed_form_is_the_limit_of_small_steps(b):
    """60 spikes of each side, 10 of dopamine, in 3 s: 0.01 ms agrees within 0.1 %, a tenth of it ten times better."""
    rng = np.random.default_rng(4)
    pre, post, dopamine = (np.sort(rng.choice(29_000, k, replace=False)) * 0.1 + 1.0 for k in (60, 60, 10))
    exact = weight_after(pre, post, dopamine, 3000.0, b=b)
    at_synapse = (pre, post + 1.0, dopamine + 0.5, 3000.0)
    coarse = abs(euler(*at_synapse, 0.01, b) / exact - 1.0)
    fine = abs(euler(*at_synapse, 0.002, b) / exact - 1.0)
    assert abs(exact) > 1.0
    assert coarse < 1e-3 and fine < 0.4 * coarse


def test_reward_long_after_the_pair():
    """One pair, dopamine 1 s later: the eligibility that is left times what the dopamine spike leaves, integrated."""
    stop = 8000.0
    got = weight_after(np.array([100.0]), np.array([104.0]), np.array([1100.0]), stop)
    c = math.exp(-5.0 / 20.0) * math.exp(-(1100.5 - 105.0) / 1000.0)
    rate = 1 / 1000.0 + 1 / 200.0
    assert got == pytest.approx(c / 200.0 / rate, rel=1e-9)
    wrong_order = weight_after(np.array([110.0]), np.array([104.0]), np.array([1100.0]), stop)
    assert wrong_order < -0.2 * got


def test_no_dopamine_no_change():
    train = np.arange(10.0, 500.0, 7.0)
    assert weight_after(train, train + 3.0, np.array([]), 600.0, start=0.5) == 0.5
