"""Three-factor rules against their differential equations."""

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


@pytest.mark.parametrize("engine", ["clock", "event"])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_dopamine_set_just_before_a_spike_of_its_source(engine, backend):
    """The spike of the next step adds to the value that was set: both parts decay, integrated in closed form."""
    net = snn.Network()
    a, release = net.population("a", 1, snn.SpikeArray([100.0])), net.population("dopamine", 1, snn.SpikeArray([200.0]))
    b = net.population("b", 1, snn.LIFDelta(**POST))
    net.input("drive", b, snn.SpikeArray([104.0]), weight=1e9)
    net.connect(a, b, snn.one_to_one(), weight=0.0, delay=1.0, plasticity=plasticity.DopamineSTDP(**PARAMS), name="p")
    net.modulate("p", release, delay=0.5)
    sim = snn.Simulation(net, dt=0.125, engine=engine, backend=backend, threads=1, quiet=True)
    sim.run(200.375)
    sim.set_modulator("p", 0.25)
    sim.run(2000.125 - 200.375)
    c = [math.exp(-5.0 / 20.0) * math.exp(-(t - 105.0) / 1000.0) for t in (200.375, 200.5)]
    rate = 1 / 1000.0 + 1 / 200.0

    def integral(h):
        return (1.0 - math.exp(-rate * h)) / rate

    # the clock engine takes a value that was set to be that at the end of the next step
    start, left = (0.125, c[1]) if engine == "clock" else (0.0, c[0])
    expected = 0.25 * left * integral(1799.75 - start) + c[1] / 200.0 * integral(1799.625)
    assert sim.connections("p")[2][0] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("engine", ["clock", "event"])
@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_dopamine_at_the_start(engine, backend, tmp_path):
    """``value`` is the modulator at 0 ms and decays from then on: closed form, coarse steps, resumed in between."""
    net, value = snn.Network(), np.array([1.0, 0.25, 0.0]) if engine == "clock" else 0.25
    a, b = net.population("a", 1, snn.SpikeArray([2.0])), net.population("b", 3, snn.LIFDelta(**POST))
    net.input("drive", b, snn.SpikeArray([4.0] * 3, [0, 1, 2]), weight=1e9)
    rule = plasticity.DopamineSTDP(**PARAMS | {"tau_n": 5.0, "tau_c": 50.0})
    net.connect(a, b, snn.all_to_all(), weight=0.0, delay=1.0, plasticity=rule, name="p")
    net.modulate("p", value=value)
    sim = snn.Simulation(net, dt=1.0, engine=engine, backend=backend, threads=1, quiet=True)
    sim.run(3.0)
    if backend == "cpu":
        sim.checkpoint(tmp_path / "state.h5")
        sim = snn.Simulation.resume(tmp_path / "state.h5", net, threads=2, quiet=True)
    sim.run(47.0)
    rate = 1.0 / 5.0 + 1.0 / 50.0
    want = value * math.exp(-3.0 / 20.0) * math.exp(-5.0 / 5.0) * (1.0 - math.exp(-45.0 * rate)) / rate
    np.testing.assert_allclose(sim.connections("p")[2], want, rtol=1e-9)


def test_no_dopamine_no_change():
    train = np.arange(10.0, 500.0, 7.0)
    assert weight_after(train, train + 3.0, np.array([]), 600.0, start=0.5) == 0.5


# --- RewardSTDP ---

REWARD = {"tau_plus": 18.0, "tau_minus": 23.0, "a_plus": 1.0, "a_minus": 0.8, "tau_z": 40.0, "gamma": 0.1,
          "w_min": -1000.0, "w_max": 1000.0}  # fmt: skip


def rewarded(pre, post, rewards, delay=1.0, **params):
    """Weight after ``rewards``: (ms, reward from the next step of 0.1 ms on) until (end, None)."""
    net = snn.Network()
    a = net.population("a", 1, snn.SpikeArray.from_spiketrains([pre]))
    b = net.population("b", 1, snn.LIFDelta(**POST))
    net.input("drive", b, snn.SpikeArray.from_spiketrains([post]), weight=1e9)
    rule = plasticity.RewardSTDP(**REWARD | params)
    net.connect(a, b, snn.one_to_one(), weight=0.0, delay=delay, plasticity=rule, name="p")
    net.modulate("p", value=rewards[0][1])
    sim = snn.Simulation(net, dt=0.1, threads=1, quiet=True)
    for time, reward in rewards[1:]:
        sim.run(time - sim.t)
        if reward is not None:
            sim.set_modulator("p", reward)
    return sim.connections("p")[2][0]


def test_reward_turns_eligibility_into_weight():
    """A pair 5 ms apart at the synapse, rewarded from 30 to 70 ms later, punished three times as much afterwards."""
    got = rewarded([100.0], [104.0], [(0.0, 0.0), (135.0, 1.0), (175.0, -3.0), (400.0, None)])
    z = math.exp(-5.0 / 18.0)  # times tau_z
    left = [math.exp(-(t - 105.0) / 40.0) for t in (135.1, 175.1, 400.0)]
    assert got == pytest.approx(0.1 * z * (left[0] - left[1] - 3.0 * (left[1] - left[2])), rel=1e-9)
    reverse = rewarded([108.0], [104.0], [(0.0, 1.0), (1000.0, None)])
    assert reverse == pytest.approx(-0.1 * 0.8 * math.exp(-3.0 / 23.0), rel=1e-9)


def test_reward_of_one_neuron():
    """Given as an array, the reward counts from the same step on."""
    rng = np.random.default_rng(5)
    pre, post = (np.sort(rng.choice(3_900, 40, replace=False)) * 0.1 + 1.0 for _ in range(2))
    rewards = [(0.0, 0.3), (105.3, -0.5), (210.0, 1.0), (333.3, 0.2), (400.0, None)]
    expected = rewarded(pre, post, rewards)
    assert abs(expected) > 0.01
    arrays = [(time, None if reward is None else np.array([reward])) for time, reward in rewards]
    for given in (arrays, [rewards[0], arrays[1], rewards[2], *arrays[3:]]):
        assert rewarded(pre, post, given) == pytest.approx(expected, rel=1e-11)


def test_reward_stdp_is_the_limit_of_small_steps():
    rng = np.random.default_rng(3)
    pre, post = (np.sort(rng.choice(9_000, 80, replace=False)) * 0.1 + 1.0 for _ in range(2))
    rewards = [(0.0, 0.3), (200.0, -0.5), (450.0, 1.0), (700.0, 0.0), (800.0, 0.4), (950.0, None)]
    exact = rewarded(pre, post, rewards)
    p = REWARD

    def euler(step):
        size = round(950.0 / step) + 1
        arrives, seen = (np.bincount(np.rint(t / step).astype(int), minlength=size) for t in (pre, post + 1.0))
        starts, levels = zip(*rewards[:-1], strict=True)
        reward = np.array(levels)[np.maximum(np.searchsorted(starts, np.arange(size) * step - 0.1 + 1e-9) - 1, 0)]
        x = y = z = w = 0.0
        for a, s, r in zip(arrives[: size - 1].tolist(), seen.tolist(), reward.tolist(), strict=False):
            z += (s * p["a_plus"] * x - a * p["a_minus"] * y) / p["tau_z"]
            x, y = x + a, y + s
            w += step * p["gamma"] * r * z
            x, y, z = (v * (1.0 - step / p[tau]) for v, tau in ((x, "tau_plus"), (y, "tau_minus"), (z, "tau_z")))
        return w

    coarse, fine = (abs(euler(step) / exact - 1.0) for step in (0.01, 0.002))
    assert abs(exact) > 0.05
    assert coarse < 5e-3 and fine < 0.4 * coarse
