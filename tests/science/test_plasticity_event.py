"""Plasticity on the clock and on the event engine: the same weights on the grid, and off it as the step falls."""

import numpy as np
import pytest

import plasticity
import snn
from plasticity.base import RULES

PARAMS = {
    "DopamineSTDP": {"w_max": 1.0, "a_plus": 0.05, "a_minus": 0.05},
    "VogelsSprekeler": {"w_max": 1.0},
    "VogelsSprekelerRates": {"w_max": 1.0},
}
NAMES = sorted(
    n for n, r in RULES.items()
    if r.__module__.startswith("plasticity.") and not r.spec.observer and n != "Static"  # learns nothing
)  # fmt: skip
DT, SPAN = 0.25, 1000.0  # ms; sums of multiples of DT are exact, so both engines see the same coincidences


def trains(rng, n, rate, gap):
    """Times on the grid and ids of ``n`` trains with ``rate`` in Hz and gaps of at least ``gap`` ms."""
    times, ids = [], []
    for i in range(n):
        t = np.cumsum(gap + rng.exponential(1000.0 / rate - gap, 200))
        t = np.rint(t[t < SPAN - 20.0] / DT) * DT
        t = t[np.concatenate(([True], np.diff(t) >= gap))]
        times.append(t)
        ids.append(np.full(len(t), i))
    return np.concatenate(times), np.concatenate(ids)


def forced(rules):
    """Every rule between populations that fire at given times on the grid: plastic synapses cause no spike."""
    rng = np.random.default_rng(5)
    net = snn.Network(seed=5)
    pre = net.population("pre", 10, snn.SpikeArray(*trains(rng, 10, 40.0, 1.0)))
    driver = net.population("driver", 6, snn.SpikeArray(*trains(rng, 6, 40.0, 3.0)))
    reward = net.population("reward", 2, snn.SpikeArray(*trains(rng, 2, 10.0, 1.0)))
    post = net.population("post", 6, snn.LIFDelta(v_th=1e6, t_ref=2.125))
    net.connect(driver, post, snn.one_to_one(), weight=1e8, delay=1.0, name="force")
    net.record(post)
    for k, rule in enumerate(rules):
        delay = DT * rng.integers(4, 24, (10, 6)) if k % 2 else 1.5
        more = {"weight": rng.uniform(0.3, 0.7, (10, 6)), "delay": delay, "plasticity": rule}
        more["axonal_delay"] = (0.0, 0.25, 0.75)[k % 3]
        net.connect(pre, post, snn.all_to_all(), name=rule.spec.name, **more)
        if rule.spec.modulator:
            jumps = rule.spec.modulator.jump is not None
            net.modulate(rule.spec.name, reward if jumps else None, delay=1.0, value=0.0 if jumps else 0.01)
    short = plasticity.TsodyksMarkram(u_se=0.4, tau_rec=80.0, tau_fac=30.0)
    net.connect(pre, post, snn.all_to_all(), weight=5.0, delay=1.5, short_term=short, name="short")
    net.record(post, "v", every=DT)
    return net


def test_weights_on_the_grid():
    net = forced([RULES[name](**PARAMS.get(name, {})) for name in NAMES])
    # the reference backend needs no compiling; tests/oracle shows that the other gives the same bits
    clock, event = (snn.Simulation(net, dt=DT / 2, engine=e, backend="reference") for e in ("clock", "event"))
    first = {name: clock.connections(name)[2] for name in NAMES}
    results = [sim.run(SPAN) for sim in (clock, event)]
    spikes = [r.spikes["post"] for r in results]
    assert len(spikes[0]) > 150
    np.testing.assert_array_equal(spikes[0].times, spikes[1].times)
    for name in NAMES:
        one, other = clock.connections(name)[2], event.connections(name)[2]
        assert np.abs(one - first[name]).max() > 1e-3, f"{name} must have learned"
        np.testing.assert_allclose(one, other, rtol=1e-9, err_msg=name)
    voltages = [r.states["post"]["v"] for r in results]
    assert np.ptp(voltages[0]) > 5.0
    np.testing.assert_allclose(*voltages, rtol=1e-9)


def test_additive_stdp_is_the_sum_over_pairs():
    """Off the grid, with real delays: each pair of spikes adds its part of the window, wherever the bounds are far."""
    rng = np.random.default_rng(3)
    net = snn.Network(seed=3)
    times = np.sort(rng.uniform(0.0, 500.0, 200))
    sources = rng.integers(0, 8, 200)
    pre = net.population("pre", 8, snn.SpikeArray(times, sources))
    post = net.population("post", 5, snn.LIFExp(i_e=np.linspace(380.0, 500.0, 5)))
    delay = rng.uniform(0.7, 40.0, (8, 5))
    rule = plasticity.STDPPair(mu_plus=0.0, mu_minus=0.0, lambda_=1e-4, alpha=1.3, tau_plus=15.0, w_max=100.0)
    for axonal in (0.0, 0.4):
        more = {"plasticity": rule, "axonal_delay": axonal, "name": f"{axonal}"}
        net.connect(pre, post, snn.all_to_all(), weight=50.0, delay=delay, **more)
    net.record(post)
    sim = snn.Simulation(net, engine="event", quiet=True)
    spikes = sim.run(600.0).spikes["post"]
    assert len(spikes) > 40 and np.mean(spikes.times * 1024 % 1 == 0) < 0.1, "they must be off the grid"
    for axonal in (0.0, 0.4):
        for i, j, weight, d in zip(*sim.connections(f"{axonal}"), strict=True):
            arrival = spikes.times[spikes.ids == j] + d - axonal
            late = arrival[arrival <= 600.0][:, None] - (times[sources == i] + axonal)
            grown = np.exp(-late[late > 0.0] / 15.0).sum()
            shrunk = np.exp(late[late < 0.0] / 20.0).sum()
            assert weight == pytest.approx(50.0 + 0.01 * (grown - 1.3 * shrunk), abs=1e-11)
            assert d == delay[i, j]


def recurrent():
    """60 neurons, plastic excitation with axonal and dendritic delays, static inhibition; all on a coarse grid."""
    rng = np.random.default_rng(5)
    n, grid = 60, 0.5
    net = snn.Network(seed=1)
    pop = net.population("pop", n, snn.LIFExp())
    source, target = rng.integers(0, 48, 380), rng.integers(0, n, 380)
    delay = np.rint(rng.uniform(0.8, 6.0, 380) / grid) * grid
    more = {"plasticity": plasticity.STDPPair(w_max=240.0, lambda_=0.05), "axonal_delay": 0.5, "name": "plastic"}
    edges = snn.from_arrays(source, target)
    net.connect(pop, pop, edges, weight=rng.uniform(40.0, 120.0, 380), delay=delay, **more)
    source, target = rng.integers(48, n, 100), rng.integers(0, n, 100)
    net.connect(pop, pop, snn.from_arrays(source, target), weight=-300.0, delay=1.5, name="inhibition")
    times = np.sort(np.rint(rng.uniform(1.0, 60.0, 5400) / grid) * grid)
    net.input("given", pop, snn.SpikeArray(times, rng.integers(0, n, 5400), 400.0 * rng.random(5400)))
    net.record(pop)
    return net


def test_weights_converge():
    """The clock engine sees a spike up to a step late: errors of weights fall as the step does.

    Medians, since the order of two spikes that nearly coincide can change, which puts a weight off by a whole pairing.
    """
    net, errors, steps = recurrent(), [], 2.0 ** -np.arange(6, 11)
    event = snn.Simulation(net, engine="event", quiet=True, threads=1)
    first = event.connections("plastic")[2]
    spikes, exact = len(event.run(60.25).spikes["pop"]), event.connections("plastic")[2]
    assert spikes > 150
    for dt in steps:
        clock = snn.Simulation(net, dt=float(dt), quiet=True, threads=1)
        assert len(clock.run(60.25).spikes["pop"]) == spikes, "other spikes"
        error = np.abs(clock.connections("plastic")[2] - exact)
        errors.append(np.median(error))
        assert np.mean(error > 20 * errors[-1]) < 0.05
    assert np.median(np.abs(exact - first)) > 100 * errors[-1], "the rule must have done more than it errs"
    assert 0.8 < np.polyfit(np.log2(steps), np.log2(errors), 1)[0] < 1.2
