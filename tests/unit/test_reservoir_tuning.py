"""Graphs of reservoirs, and where a spiking reservoir works: gain, balance, branching, sensitivity."""

import numpy as np
import pytest
import scipy.sparse.csgraph

import reservoir
import snn
from reservoir import graphs, measures, tuning


def test_ring_and_small_world():
    ring = graphs.ring(50, 5)
    targets, sources = ring.nonzero()
    away = (sources - targets + 25) % 50 - 25
    assert sorted(set(away.tolist())) == [-3, -2, -1, 1, 2] and np.all(ring.sum(axis=1) == 5)
    small = graphs.small_world(400, 8, 0.1, seed=1)
    assert np.all(small.sum(axis=1) == 8) and small.diagonal().sum() == 0 and small.data.max() == 1
    kept = small.multiply(graphs.ring(400, 8)).sum()
    assert abs(kept - 0.9 * 3200) < 5.0 * np.sqrt(3200 * 0.09)  # 5 SD of the binomial law: 6e-7
    lengths = [scipy.sparse.csgraph.shortest_path(g, unweighted=True).mean() for g in (graphs.ring(400, 8), small)]
    closed = [float((g @ g).multiply(g).sum() / (g @ g).sum()) for g in (graphs.ring(400, 8), small)]
    print("path lengths, closed triangles", lengths, closed)
    assert lengths[1] < 0.3 * lengths[0] and closed[1] > 0.5 * closed[0]  # small world: short paths, still clustered
    assert graphs.small_world(400, 8, 0.0, seed=1).nnz == small.nnz
    assert graphs.small_world(10, 9, 1.0).nnz == 90  # nothing to rewire to


def test_clusters_hold_their_share():
    graph = graphs.clusters(103, 4, 20, inside=0.6, seed=2)
    own = np.arange(103) * 4 // 103
    targets, sources = graph.nonzero()
    assert np.all(graph.sum(axis=1) == 20) and not np.any(targets == sources)
    assert np.all(np.bincount(targets[own[targets] == own[sources]], minlength=103) == 12)


def test_network_of_a_graph_has_its_edges():
    graph, positions = graphs.small_world(60, 6, 0.2, seed=3), np.arange(60.0)[:, None]
    net = reservoir.random_network(60, snn.LIFDelta(), graph, weight=0.1, positions=positions, seed=4)
    found = []
    for p in net.projections.values():
        pre, post = (x.positions[:, 0].astype(int) for x in (p.source, p.target))
        found += list(zip(post[p.rule.targets], pre[p.rule.sources], strict=True))
    assert sorted(found) == sorted(zip(*graph.nonzero(), strict=True))
    assert np.ptp(net.populations["inh"].positions) > 30 and net.populations["inh"].n == 12


def test_branching_ratio_of_a_branching_process():
    rng = np.random.default_rng(5)
    for m in (0.7, 0.95):
        active, seen = np.empty(60_000), []
        now = 100
        for t in range(len(active)):
            now = rng.poisson(m * now + 100 * (1 - m))
            active[t] = now
        seen = rng.binomial(active.astype(int), 0.1)  # one neuron in ten is recorded
        got = [measures.branching_ratio(x[1000:], lags=30) for x in (active, seen)]
        print(m, got)
        assert got == pytest.approx([m, m], abs=0.02)


@pytest.fixture(scope="module")
def linear():
    """Neurons without leak, whose rates are linear in what they receive, and an input."""
    net = reservoir.random_network(
        40, snn.IF(i_e=snn.uniform(0.02, 0.04)), graphs.clusters(40, 2, 8, 0.75, seed=6), weight=0.05, balance=2.0,
        delay=snn.uniform(1.0, 9.0), seed=7,
    )  # fmt: skip
    u = np.random.default_rng(8).uniform(-1.0, 1.0, (2000, 1))
    w = np.random.default_rng(9).uniform(-0.005, 0.005, (40, 1))
    return reservoir.SpikingReservoir(net, {"exc": w[:32], "inh": w[32:]}, threads=1), u


def test_gain_of_linear_neurons_is_that_of_their_weights(linear):
    liquid, u = linear
    w = tuning._weights(liquid)  # a spike of weight 1 makes a spike: chi = 1
    radius = reservoir.spectral_radius(w)
    assert w.nnz == 320 and radius > 0.1
    spikes = liquid.record(u)
    again = tuning._again(liquid, u, spikes, 1, 0.0)
    assert np.array_equal(again, np.concatenate([np.bincount(x.ids, minlength=x.n_nodes) for x in spikes.values()]))
    gain = tuning.effective_gain(liquid, u, step=0.2)
    print("gain", gain, "spectral radius", radius)
    assert gain == pytest.approx(radius, rel=0.03)  # some hundred spikes a neuron, of which one is lost at either end
    rates, arrives = liquid.rates(u), tuning.balance(liquid, u)
    assert np.allclose(arrives.excitatory + arrives.inhibitory, w @ rates)
    assert arrives.excitatory.min() >= 0 >= arrives.inhibitory.max() and arrives.inhibitory.min() < 0


def test_weights_are_tuned_to_a_gain(linear):
    liquid, _ = linear
    radius = reservoir.spectral_radius(tuning._weights(liquid))

    def measure(x):
        return reservoir.spectral_radius(tuning._weights(x))

    tuned = tuning.tuned(liquid, measure, 2.0 * radius, rounds=12)
    assert measure(tuned) == pytest.approx(2.0 * radius, rel=2e-3)
    assert measure(liquid) == radius and tuned.readout is None
    with pytest.raises(snn.ModelError, match="not between them"):
        tuning.tuned(liquid, measure, 100.0 * radius)


class Leaky:
    """States that follow x(t+1) = keep x(t) + u(t)."""

    hold, n_inputs = 5.0, 1

    def __init__(self, keep):
        self.keep = keep

    def states(self, u):
        x = np.zeros((len(u) + 1, 3))
        for t, now in enumerate(u):
            x[t + 1] = self.keep * x[t] + now
        return x[1:]


def test_exponent_of_a_linear_system():
    u = np.random.default_rng(10).normal(size=(700, 1))
    for keep in (0.8, 1.1):
        got = tuning.exponent(Leaky(keep), u, size=0.1)
        assert got == pytest.approx(np.log(keep) / 5e-3, rel=1e-6)
    with pytest.raises(snn.ModelError, match="do not differ after 1 samples"):
        tuning.exponent(Leaky(0.0), u, size=0.1)
    with pytest.raises(snn.ShapeError, match="must hold trials"):
        tuning.exponent(Leaky(0.5), u[:100], size=0.1)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: graphs.ring(10, 10), "ring.indegree: must be an integer 1 to 9; got 10"),
        (lambda: graphs.small_world(10, 2, 1.5), "small_world.rewired: must be >= 0 and <= 1; got 1.5"),
        (lambda: graphs.clusters(10, 5, 4, 1.0), "asks for 4 sources of 1 in a cluster"),
        (lambda: graphs.clusters(10, 0, 4, 1.0), "clusters.count: must be an integer 1 to 10"),
        (
            lambda: reservoir.random_network(10, snn.LIFDelta(), graphs.ring(9, 2), weight=0.1),
            "a graph must have shape (10, 10); got (9, 9)",
        ),
        (lambda: measures.branching_ratio(np.ones(500)), "must vary; got a constant"),
        (lambda: measures.branching_ratio(np.arange(50.0)), "to a tenth of the 50 bins"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises((snn.ModelError, snn.ShapeError)) as error:
        call()
    assert text in str(error.value)


def test_gain_refuses_what_changes_in_between(linear):
    liquid, u = linear
    with pytest.raises(snn.ModelError, match="step: must be > 0 and < 1"):
        tuning.effective_gain(liquid, u, step=1.0)
    column = reservoir.SpikingReservoir(reservoir.maass_column((2, 2, 4), seed=1), {"exc": np.ones((13, 1))})
    with pytest.raises(snn.ModelError, match="must be static"):
        tuning.effective_gain(column, np.ones(5))
    with pytest.raises(snn.ModelError, match="factor: must be > 0"):
        liquid.scaled(0.0)
