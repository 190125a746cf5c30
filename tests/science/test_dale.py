"""Rate reservoirs of Dale's law: equations, adaptation to target rates and what it does to memory, what is refused."""

import numpy as np
import pytest
import scipy.sparse

import reservoir
from kernels.errors import SimError
from reservoir import measures, tasks


def network(seed=1, **options):
    return reservoir.DaleNetwork.random(500, input_scale=0.02, seed=seed, **options)


def series(steps, seed=1):
    return np.random.default_rng(seed).uniform(-1.0, 1.0, steps)


def test_equations_and_dale():
    rng = np.random.default_rng(3)
    threshold, leak = rng.normal(0.0, 0.2, 60), rng.uniform(0.2, 1.0, 60)
    net = reservoir.DaleNetwork.random(60, 2, 20, slope=7.0, threshold=threshold, leak=leak, seed=2)
    u, r = rng.uniform(-1.0, 1.0, (40, 2)), np.full(60, 0.5)
    states = net.states(u)
    w = (net.excitatory - net.inhibitory).toarray()
    for t in range(40):
        v = w @ r + net.inputs @ u[t]
        r = (1.0 - leak) * r + leak / (1.0 + np.exp(-7.0 * (v - threshold)))
        np.testing.assert_allclose(states[t], r, rtol=0, atol=1e-13)
    assert np.all(w[:, :48] >= 0) and np.all(w[:, 48:] <= 0)
    assert np.all(np.count_nonzero(w, axis=1) == 20)
    net.reset()
    parts = np.vstack([net.run(u[:25]), net.run(u[25:]), net.step(u[0])[None]])
    np.testing.assert_allclose(parts[:-1], states, rtol=0, atol=1e-13)
    assert measures.lyapunov(net, u, washout=10) < 0  # goes through x, the present state


def test_wiring_by_probability_and_balance():
    net = network(fixed=False)
    degree = np.diff(net.excitatory.indptr)
    assert degree.mean() == pytest.approx(40.0, abs=4 * np.sqrt(40 * 0.9 / 500))
    assert degree.std() > 4.0  # binomial: 6; with an in-degree: 0
    # sums of 40 and of 10 weights of SD 0.2 and of Poisson number: SD (1/40 + 1/10) 1.04 of the balance, squared
    assert abs(net.balance.mean()) < 4 * np.sqrt(0.125 * 1.04 / 500)
    assert net.scaled(2.0).balance.mean() == pytest.approx(-1.0, abs=0.1)


@pytest.mark.parametrize("fixed", [True, False])
def test_adaptation_and_design_reach_the_rates(fixed):
    net, u = network(fixed=fixed), series(2000)
    rates = np.random.default_rng(5).beta(10, 10, 500)
    for target in (0.5, rates):
        adapted = net.adapted(u, target)
        assert adapted.rate_error(series(1000, 2), target) <= 0.01 < net.rate_error(series(1000, 2), target)
        assert (adapted.excitatory != net.excitatory).nnz == 0 and adapted.inhibitory.data.min() >= 0
    # without input, the design is a fixed point (a state that starts there stays)
    designed = net.designed(0.0, rates)
    kept = designed.inhibitory.sum(axis=1) > 0
    designed.x = rates.copy()
    np.testing.assert_allclose(designed.run(np.zeros(1))[0][kept], rates[kept], rtol=0, atol=1e-12)
    assert kept.mean() > 0.99


def test_memory_over_the_best_gain_and_even_terms():
    """Gains favoured: the best of them on the scores themselves."""
    net, u = network(), series(5000)
    adapted = net.adapted(u[:2000], 0.5)
    best = max(measures.memory_capacity(net.scaled(g).states(u), u, 60).sum() for g in (0.9, 1.0, 1.1, 1.2))
    excited = measures.memory_capacity(net.scaled(0.6).states(u), u, 60).sum()
    gained = measures.memory_capacity(adapted.states(u), u, 60).sum()
    _, y = tasks.narma(len(u), order=10, u=0.25 * (u + 1.0))
    mixed = net.adapted(u[:2000], np.random.default_rng(1).beta(10, 10, 500))
    errors = []
    for way in (adapted, mixed):
        way.readout = reservoir.Ridge()
        errors.append(measures.nrmse(way.fit(u[:4000], y[:4000], washout=200).predict(u)[4000:], y[4000:]))
    print("memory", excited, best, gained, "NARMA-10", errors)
    assert gained >= 1.1 * best and excited < 0.5 * best
    assert errors[1] < 0.6 * errors[0]


W = scipy.sparse.eye_array(3).tocsr()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: reservoir.DaleNetwork(-W, 0 * W, np.ones((3, 1))), "excitatory: must be >= 0; got -1.0"),
        (lambda: reservoir.DaleNetwork(W, W, np.ones((3, 1))), "excitatory or inhibitory; got both of unit 0"),
        (lambda: reservoir.DaleNetwork(W, np.zeros((2, 2)), np.ones((3, 1))), "inhibitory: must have the shape"),
        (lambda: reservoir.DaleNetwork(W, 0 * W, np.ones((3, 1)), slope=0.0), "slope: must be > 0"),
        (lambda: network(indegree=1), "indegree: must leave"),
        (lambda: network(indegree=501), "indegree: must leave"),
        (lambda: network().scaled(-1.0), "gain: must be >= 0"),
        (lambda: network().adapted(series(9), 1.0), "adapted.target: must be > 0 and < 1"),
        (lambda: network().adapted(series(9), np.full(3, 0.5)), "adapted.target: must be a number or of shape (500,)"),
        (lambda: network().adapted(series(9), 0.5, eta=0.0), "eta: must be > 0"),
        (lambda: network().adapted([np.nan], 0.5), "adapted.u: must be finite"),
    ],
)
def test_refused(call, text):
    with pytest.raises(SimError) as error:
        call()
    assert text in str(error.value)
