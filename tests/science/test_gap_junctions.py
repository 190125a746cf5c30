"""Gap junctions against closed forms and a network written out in NumPy; engines against each other; bad input."""

from types import SimpleNamespace

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import BackendUnavailable, ModelError, ShapeError
from snn.compile import compile_network

TAU, C_M, E_L = 20.0, 200.0, -70.0


def passive(n, **given):
    """LIFExp that does not reach its threshold."""
    return snn.LIFExp(**({"tau_m": TAU, "c_m": C_M, "e_l": E_L, "v_th": 1e3, "v_reset": E_L} | given)), n


def two_passive(dt, g, duration=30.0):
    net = snn.Network()
    model, n = passive(2)
    pair = net.population("pair", n, model, init={"v": np.array([-50.0, -65.0])})
    net.gap_junctions(pair, pair, snn.from_arrays([0], [1]), g)
    net.record(pair, "v", every=1.0)
    result = snn.Simulation(net, dt=dt, quiet=True).run(duration)
    return result.states["pair"]["v"]


@pytest.mark.parametrize("g", [0.5, 20.0])
def test_two_passive_neurons(g):
    """Their sum decays with tau, their difference with 1 / tau + 2 g / c_m; the error is of first order in dt."""
    t = np.arange(1.0, 31.0)
    total, apart = 25.0 * np.exp(-t / TAU), 15.0 * np.exp(-t * (1.0 / TAU + 2.0 * g / C_M))
    exact = E_L + np.stack([total + apart, total - apart], axis=1) / 2.0
    errors = [abs(two_passive(dt, g) - exact).max() for dt in (0.1, 0.05, 0.025)]
    assert errors[0] < 0.004 * 15.0
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 2.0, rtol=0.05)


def test_sum_of_potentials_is_kept():
    """What leaves one neuron enters the other: of equal neurons the sum does not know of the junctions."""
    net = snn.Network(seed=2)
    model, n = passive(40)
    pop = net.population("pop", n, model, init={"v": snn.uniform(-80.0, -40.0)})
    net.gap_junctions(pop, pop, snn.pairwise_bernoulli(0.3), snn.uniform(0.0, 5.0))
    net.record(pop, "v")
    v = snn.Simulation(net, quiet=True).run(20.0).states["pop"]["v"] - E_L
    sums = v.sum(axis=1)
    np.testing.assert_allclose(sums, sums[0] * np.exp(-0.1 * np.arange(200) / TAU), rtol=1e-12)
    assert v.std(axis=1)[-1] < 0.01 * v.std(axis=1)[0]


def network(seed=3, drawn=True):
    """Two populations of different models, joined inside and to each other, with spikes, noise and a current beside."""
    net = snn.Network(seed=seed)
    a = net.population("a", 40, snn.LIFExp(i_e=snn.uniform(300.0, 500.0)), init={"v": snn.uniform(-70.0, -55.0)})
    b = net.population("b", 23, snn.AdExCondExp(i_e=1200.0))
    net.input("noise", a, snn.Poisson(rate=2000.0), weight=20.0)
    net.input("current", b[5:9], snn.ACCurrent(100.0, 20.0))
    net.connect(a, a, snn.fixed_indegree(4), weight=20.0, delay=snn.uniform(0.5, 2.0))
    net.connect(a, b, snn.fixed_indegree(5), weight=2.0, delay=1.5, plasticity=plasticity.STDPPair(w_max=5.0))
    net.gap_junctions(a, a, snn.pairwise_bernoulli(0.1), snn.uniform(0.1, 1.0))
    net.gap_junctions(a[:20], b, snn.fixed_indegree(3), 2.0)
    net.record(a)
    net.record(b)
    net.record(a, "v")
    net.record(b, "v")
    return net


def outcome(*results):
    joined = snn.Result.concatenate(results) if len(results) > 1 else results[0]
    spikes = [(joined.spikes[p].times, joined.spikes[p].ids) for p in "ab"]
    return [x for pair in spikes for x in pair] + [joined.states[p]["v"] for p in "ab"]


def same(one, other):
    assert one[0].size > 30
    assert one[2].size > 5
    for x, y in zip(one, other, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.fixture(scope="module")
def whole():
    return outcome(snn.Simulation(network(), backend="reference", quiet=True).run(50.0))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_and_pieces(whole, threads, tmp_path):
    same(outcome(snn.Simulation(network(), threads=threads, quiet=True).run(50.0)), whole)
    sim = snn.Simulation(network(), threads=threads, quiet=True)
    first = [sim.run(0.1), sim.run(20.0)]
    sim.checkpoint(tmp_path / "c.h5")
    again = snn.Simulation.resume(tmp_path / "c.h5", network(), threads=4 - threads, quiet=True)
    same(outcome(*first, again.run(29.9)), whole)


def test_single_precision():
    single = snn.Simulation(network(), precision="float32", quiet=True).run(5.0).states["a"]["v"]
    double = snn.Simulation(network(), quiet=True).run(5.0).states["a"]["v"]
    assert 0.0 < abs(single - double).max() < 1e-3


def test_potentials_set_between_runs():
    net = snn.Network()
    model, n = passive(2)
    pair = net.population("pair", n, model)
    net.gap_junctions(pair, pair, snn.from_arrays([0], [1]), 10.0)
    sim = snn.Simulation(net, quiet=True)
    sim.run(1.0)
    sim.set_state(pair, "v", [-60.0, -70.0])
    sim.run(0.1)
    decay = np.exp(-0.1 / TAU)
    change = 10.0 * 10.0 * TAU / C_M * (1.0 - decay)  # what 10 nS times 10 mV move in a step
    np.testing.assert_allclose(sim.state(pair, "v"), [-70.0 + 10.0 * decay - change, -70.0 + change], rtol=1e-13)


def test_against_numpy():
    """A hundred LIF neurons with drawn junctions: potentials and spikes of a simulation written out here."""
    rng = np.random.default_rng(5)
    n, dt, steps = 100, 0.1, 1000
    net = snn.Network(seed=1)
    current, v = rng.uniform(180.0, 320.0, n), rng.uniform(-70.0, -52.0, n)
    lif = {"tau_m": 15.0, "c_m": 150.0, "e_l": -70.0, "v_th": -50.0, "v_reset": -65.0, "t_ref": 1.0}
    cells = net.population("cells", n, snn.LIFExp(**lif, i_e=current), init={"v": v})
    i, j, g = rng.integers(0, n, 400), rng.integers(0, n, 400), rng.uniform(0.0, 2.0, 400)
    net.gap_junctions(cells, cells, snn.from_arrays(i, j), g)
    net.record(cells)
    net.record(cells, "v")
    result = snn.Simulation(net, dt=dt, threads=2, quiet=True).run(steps * dt)

    matrix = np.zeros((n, n))
    np.add.at(matrix, (i, j), g)
    matrix += matrix.T
    np.fill_diagonal(matrix, 0.0)
    decay, wait, spikes = np.exp(-dt / 15.0), np.zeros(n, int), []
    for step in range(steps):
        drive = current + matrix @ v - matrix.sum(axis=1) * v
        free = -70.0 + (v + 70.0) * decay + drive * 15.0 / 150.0 * (1.0 - decay)
        v = np.where(wait > 0, v, free)
        wait = np.maximum(wait - 1, 0)
        fired = v >= -50.0
        v[fired], wait[fired] = -65.0, 10
        spikes += [(step + 1, k) for k in np.flatnonzero(fired)]
        np.testing.assert_allclose(result.states["cells"]["v"][step], v, rtol=0, atol=1e-9)
    record = result.spikes["cells"]
    assert len(spikes) > 200
    assert list(zip(np.rint(record.times / dt).astype(int), record.ids, strict=True)) == spikes


def test_coupling_coefficient():
    """Of a steady current into one of two neurons the other feels g / (g + g_l), its potential over the first's."""
    net = snn.Network()
    model, n = passive(1)
    a, b = (net.population(name, n, model) for name in "ab")
    net.gap_junctions(a, b, snn.one_to_one(), 2.0)
    net.input("current", a, snn.StepCurrent(100.0))
    sim = snn.Simulation(net, quiet=True)
    sim.run(1000.0)
    first, second = (sim.state(name, "v")[0] - E_L for name in "ab")
    g_l = C_M / TAU
    np.testing.assert_allclose(second / first, 2.0 / (2.0 + g_l), rtol=1e-10)
    np.testing.assert_allclose(first, 100.0 / (g_l + 2.0 * g_l / (2.0 + g_l)), rtol=1e-10)


def test_what_is_drawn():
    net = snn.Network(seed=1)
    a, b = (net.population(name, 30, snn.LIFExp()) for name in "ab")
    (inside,) = net.gap_junctions(a, a, snn.pairwise_bernoulli(0.2), snn.normal(1.0, 0.2, low=0.1))
    ends = sorted(zip(inside.source.neurons, inside.source.others, inside.source.conductance, strict=True))
    assert ends == sorted(zip(inside.source.others, inside.source.neurons, inside.source.conductance, strict=True))
    assert all(i != j for i, j, _ in ends)
    assert 0.7 * 0.4 < len(ends) / 870 < 1.3 * 0.4  # both ways, from either side
    weights = np.arange(12.0).reshape(4, 3)
    into_b, into_a = net.gap_junctions(a[:4], b[[7, 5, 20]], snn.all_to_all(), weights, name="some")
    assert [x.name for x in (into_b, into_a)] == ["some", "some (back)"]
    found = {(o, n): g for n, o, g in zip(into_b.source.neurons, into_b.source.others, into_b.source.conductance,
                                          strict=True)}  # fmt: skip
    assert found == {(i, j): weights[i, k] for i in range(4) for k, j in enumerate((7, 5, 20))}
    back = {(n, o): g for n, o, g in zip(into_a.source.neurons, into_a.source.others, into_a.source.conductance,
                                         strict=True)}  # fmt: skip
    assert back == found


def test_joined_networks():
    nets = [network(seed) for seed in (3, 8)]
    both = snn.join(nets)
    parts = both.split(snn.Simulation(both, quiet=True).run(50.0))
    for net, part in zip(nets, parts, strict=True):
        same(outcome(part), outcome(snn.Simulation(net, quiet=True).run(50.0)))


def test_what_is_refused(tmp_path):
    net = snn.Network(seed=1)
    a, s = net.population("a", 5, snn.LIFExp()), net.population("s", 5, snn.Poisson(rate=5.0))
    rule = snn.one_to_one()
    for call, error, text in (
        (lambda: net.gap_junctions(a, s, rule), ModelError, "'s' is of Poisson, which has no potential v or takes no"),
        (lambda: net.gap_junctions(a, a, 0.1), ModelError, "rule: must be a rule such as snn.pairwise_bernoulli"),
        (lambda: net.gap_junctions(a, a, rule, -1.0), ModelError, "must be >= 0 nS; got -1."),
        (lambda: net.gap_junctions(a, a, rule, snn.normal(0.0, 1.0)), ModelError, "must be >= 0 nS; got -"),
        (lambda: net.gap_junctions(a, a, rule, np.nan), ModelError, "conductance: must be finite"),
        (lambda: net.gap_junctions(a, a, rule, [1.0, 2.0]), ShapeError, "conductance: must have shape"),
        (lambda: net.gap_junctions(a, "x", rule), ModelError, "no population 'x'"),
    ):  # fmt: skip
        with pytest.raises(error, match=text):
            call()
    assert not net.inputs
    net.gap_junctions(a, a, snn.all_to_all(), 100.0, name="strong")
    with pytest.raises(ModelError, match="an input 'strong' exists already"):
        net.gap_junctions(a, a, snn.all_to_all(), name="strong")
    with pytest.raises(ModelError, match=r"neuron 0 conduct 800 nS together; at dt = 0.5 ms .* below .* = 500 nS"):
        snn.Simulation(net, dt=0.5, quiet=True)
    sim = snn.Simulation(net, dt=0.1, quiet=True)
    with pytest.raises(ModelError, match=r"neuron 0 conduct 800 nS together; at dt = 0.1 ms .* below .* = 500 nS"):
        sim.set_parameters("a", c_m=50.0)
    with pytest.raises(ModelError, match="gap junctions cannot be replaced in a simulation"):
        sim.set_source("strong", net.inputs["strong"].source)
    with pytest.raises(ModelError, match='GapJunctions changes all the time; engine="event"'):
        snn.Simulation(net, engine="event", quiet=True)
    with pytest.raises(ModelError, match="nothing can be added to a joined network"):
        snn.join([net]).gap_junctions("0:a", "0:a", rule)


def test_ranks_are_refused():
    with pytest.raises(BackendUnavailable, match="'a~a': gap junctions join neurons of one process; got 2 ranks"):
        compile_network(network(), 0.1, "float64", 1, SimpleNamespace(size=2, rank=0))
