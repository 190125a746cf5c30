"""Parts of populations: connected as if there were no other neurons, and recorded."""

import numpy as np
import pytest

import snn
from kernels.errors import ModelError, ShapeError
from snn.among import among, places
from snn.connect import Pair

RNG = np.random.default_rng(3)
SOURCES, TARGETS = RNG.permutation(50)[:20], RNG.permutation(30)[:20]
RULES = {
    "all": (snn.all_to_all(), RNG.uniform(0.1, 0.5, (20, 20))),
    "one": (snn.one_to_one(), RNG.uniform(0.1, 0.5, 20)),
    "in": (snn.fixed_indegree(5), 0.3),
    "out": (snn.fixed_outdegree(4, multapses=False), snn.uniform(0.1, 0.5)),
    "number": (snn.fixed_total_number(70), 0.3),
    "bernoulli": (snn.pairwise_bernoulli(0.3), 0.3),
    "near": (snn.distance_dependent(lambda d: np.exp(-d / 0.3)), 0.3),
    "given": (snn.from_arrays([0, 3, 3], [5, 1, 19]), [0.1, 0.2, 0.3]),
}
PLACES = {n: RNG.uniform(0.0, 1.0, (n, 2)) for n in (50, 30)}


def network(whole, sources=SOURCES, targets=TARGETS):
    """Parts of populations, or populations that are of the parts' size."""
    net = snn.Network(seed=5)
    at, to = (PLACES[50], PLACES[30]) if whole else (PLACES[50][SOURCES], PLACES[30][TARGETS])
    a = net.population("a", len(at), snn.Poisson(rate=200.0), positions=at)
    b = net.population("b", len(to), snn.LIFDelta(), positions=to)
    for name, (rule, weight) in RULES.items():
        pre, post = (a[sources], b[targets]) if whole else (a, b)
        net.connect(pre, post, rule, weight=weight, delay=1.5, name=name)
    net.record(b)
    return net


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_connected_as_if_there_were_no_others(engine):
    part, alone = (snn.Simulation(network(whole), engine=engine, quiet=True) for whole in (True, False))
    for name, (_, weight) in RULES.items():
        sources, targets, weights, delays = part.connections(name)
        pre, post, given, _ = alone.connections(name)
        wanted = sorted(zip(SOURCES[pre], TARGETS[post], strict=True))
        assert sorted(zip(sources, targets, strict=True)) == wanted and len(wanted) > 2, name
        assert np.all(np.diff(targets) >= 0) and np.all(delays == 1.5)
        if isinstance(weight, (float, np.ndarray, list)):
            pairs = dict(zip(zip(SOURCES[pre], TARGETS[post], strict=True), given, strict=True))
            assert [pairs[e] for e in zip(sources, targets, strict=True)] == weights.tolist(), name
        else:
            assert len(np.unique(weights)) == len(weights) and 0.1 <= weights.min() and weights.max() <= 0.5
    assert part.network_hash != alone.network_hash


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_runs_alike_on_all_backends(engine):
    spikes = [
        snn.Simulation(network(True), engine=engine, quiet=True, **options).run(60.0).spikes["b"]
        for options in ({"backend": "reference"}, {"threads": 1}, {"threads": 2})
    ]
    assert len(spikes[0]) > 20 and set(spikes[0].ids) <= set(TARGETS.tolist())
    for other in spikes[1:]:
        np.testing.assert_array_equal(other.times, spikes[0].times)
        np.testing.assert_array_equal(other.ids, spikes[0].ids)


def test_ways_to_say_which():
    net = snn.Network()
    a = net.population("a", 10, snn.LIFDelta())
    mask = np.zeros(10, bool)
    mask[[2, 7]] = True
    for name, part, ids in (
        ("slice", a[6:], [6, 7, 8, 9]), ("step", a[::-4], [9, 5, 1]), ("list", a[[3, 1]], [3, 1]),
        ("mask", a[mask], [2, 7]), ("one", a[4], [4]),
    ):  # fmt: skip
        assert part.ids.tolist() == ids and len(part) == len(ids)
        net.connect(part, a, snn.all_to_all(), weight=np.ones((len(ids), 10)), name=name)
    assert repr(a[:3]) == "a[3 of 10]" and "among(all_to_all" in repr(net.projections["list"])
    net.record(a[:3], "v", every=1.0)
    sim = snn.Simulation(net, quiet=True)
    assert sim.run(5.0).states["a"].ids("v").tolist() == [0, 1, 2]
    assert sorted(set(sim.connections("step")[0])) == [1, 5, 9]
    assert [part.ids[0] for part in a] == list(range(10))


def test_autapses_are_those_of_neurons():
    net = snn.Network(seed=2)
    a = net.population("a", 20, snn.LIFDelta())
    some = [4, 9, 11, 17, 2]
    net.connect(a[some], a[some], snn.all_to_all(autapses=False), name="same")
    net.connect(a[:10], a[10:], snn.pairwise_bernoulli(1.0, autapses=False), name="apart")
    net.connect(a[:10], a[5:], snn.all_to_all(), name="over")
    sim = snn.Simulation(net, quiet=True)
    sources, targets, *_ = sim.connections("same")
    assert sources.size == 20 and np.all(sources != targets) and set(sources) == set(some)
    assert sim.connections("apart")[0].size == 100
    sources, targets, *_ = sim.connections("over")
    assert sources.size == 150 and np.sum(sources == targets) == 5
    net.connect(a[:10], a[5:], snn.fixed_total_number(9, autapses=False), name="wrong")
    with pytest.raises(ModelError, match="'wrong'.rule: with autapses=False .* 5 are in both"):
        snn.Simulation(net, quiet=True)


POINTS = np.random.default_rng(1).uniform(size=(30, 2))
OVERLAPPING = {  # probability of each pair, or expected number, given what there is to choose from
    "all_to_all": (snn.all_to_all(autapses=False), 1.0, None),
    "bernoulli": (snn.pairwise_bernoulli(0.3, autapses=False), 0.3, None),
    "distance": (snn.distance_dependent(lambda d: np.exp(-d)), lambda d: np.exp(-d), None),
    "indegree": (snn.fixed_indegree(3, autapses=False), 3, 0),
    "indegree once": (snn.fixed_indegree(3, autapses=False, multapses=False), 3, 0),
    "most once": (snn.fixed_indegree(5, autapses=False, multapses=False), 5, 0),
    "outdegree": (snn.fixed_outdegree(3, autapses=False), 3, 1),
    "outdegree once": (snn.fixed_outdegree(3, autapses=False, multapses=False), 3, 1),
    "indegree in space": (snn.fixed_indegree(1, autapses=False, p=lambda d: np.exp(-3 * d)), lambda d: np.exp(-3 * d),
                          0),
    "outdegree in space": (snn.fixed_outdegree(1, autapses=False, p=snn.displacement(lambda x, y: np.exp(x + y))),
                           None, 1),
}  # fmt: skip


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("name", OVERLAPPING)
def test_parts_that_overlap_without_autapses(name, nested):
    """How often each pair is joined, over many seeds: no neuron to itself, what is left by the rule's own law."""
    rule, given, axis = OVERLAPPING[name]
    sources, targets = np.array([7, 3, 29, 5, 1, 12]), np.array([20, 5, 3, 8, 1, 13, 0, 28, 22])
    chosen = among(rule, sources, targets)
    if nested:
        chosen = among(among(rule, places(np.sort(sources), sources), places(np.sort(targets), targets)),
                       np.sort(sources), np.sort(targets))  # fmt: skip
    repeats, found = 600, np.zeros((30, 30))
    for seed in range(repeats):
        pair = Pair("p", 30, 30, True, snn.Network(seed).stream("edges", "p"), 1, POINTS, POINTS)
        edges = chosen.edges(pair)
        post = np.repeat(np.arange(30), np.diff(edges.indptr))
        np.add.at(found, (edges.sources, post), 1.0)
        if seed == 0:
            again = found.copy()
            if "once" in name:
                assert found.max() == 1.0
    weight = np.zeros((30, 30))
    between = np.linalg.norm(POINTS[targets][None] - POINTS[sources][:, None], axis=2)
    if given is None:
        between = np.exp((POINTS[targets][None] - POINTS[sources][:, None]).sum(axis=2))
    elif callable(given):
        between = given(between)
    else:
        between = np.ones_like(between)
    weight[np.ix_(sources, targets)] = between
    np.fill_diagonal(weight, 0.0)
    if axis is not None:  # of each target's sources, or each source's targets
        total = weight.sum(axis=axis, keepdims=True)
        weight = np.divide(weight, total, where=total > 0, out=np.zeros_like(weight)) * rule_size(rule)
    elif not callable(given):
        weight *= given
    error = np.sqrt(np.maximum(weight, 1e-12) / repeats)
    assert np.all(np.abs(found / repeats - weight) < 5.0 * error + 1e-9)
    assert np.all(np.diag(found) == 0.0) and found.sum() > 0 and again.sum() > 0
    if axis is not None:
        degrees = again.sum(axis=axis)[targets if axis == 0 else sources]
        assert np.all(degrees == rule_size(rule))


def rule_size(rule):
    return getattr(rule, "indegree", None) or rule.outdegree


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_weights_of_parts_that_overlap(engine):
    """Arrays have a place for every pair, the one of a neuron with itself unused."""
    net = snn.Network(seed=2)
    a = net.population("a", 20, snn.LIFDelta(), positions=np.arange(20.0))
    weights = np.arange(1.0, 13.0).reshape(4, 3)
    sources, targets = np.array([9, 4, 2, 11]), np.array([2, 3, 9])
    net.connect(a[sources], a[targets], snn.all_to_all(autapses=False), weight=weights, name="all")
    net.connect(a[sources], a[targets], snn.fixed_indegree(3, autapses=False, multapses=False), name="in",
                weight=lambda d: d, delay=2.0)  # fmt: skip
    sim = snn.Simulation(net, engine=engine, quiet=True)
    pre, post, found, _ = sim.connections("all")
    wanted = {(s, t): weights[i, j] for i, s in enumerate(sources) for j, t in enumerate(targets) if s != t}
    assert dict(zip(zip(pre.tolist(), post.tolist(), strict=True), found.tolist(), strict=True)) == wanted
    pre, post, found, _ = sim.connections("in")
    assert np.array_equal(found, np.abs(pre - post)) and np.all(found > 0.0)
    assert np.bincount(post)[targets].tolist() == [3, 3, 3]


INPUTS = {
    "spikes": (snn.SpikeArray([1.0, 2.0, 7.0], [0, 4, 2]), RNG.uniform(2.0, 9.0, 5)),
    "weights": (snn.SpikeArray([1.0, 2.0, 7.0], [0, 4, 2], [3.0, 4.0, 25.0]), None),
    "current": (snn.StepCurrent([300.0, 800.0], [0.0, 5.0]), None),
    "currents": (snn.StepCurrent(RNG.uniform(0.0, 900.0, (2, 5)), [0.0, 5.0]), None),
}


@pytest.mark.parametrize("engine", ["clock", "event"])
@pytest.mark.parametrize("name", INPUTS)
def test_inputs_of_parts(engine, name):
    """As the input of a population that is the part; the others get nothing."""
    some, (source, weight) = np.array([7, 2, 9, 0, 4]), INPUTS[name]
    whole, alone = snn.Network(seed=1), snn.Network(seed=1)
    for net, n in ((whole, 12), (alone, 5)):
        a = net.population("a", n, snn.LIFDelta())
        net.input("i", a[some] if n == 12 else a, source, weight)
        net.record(a, ["spikes", "v"])
    found, wanted = (snn.Simulation(net, engine=engine, quiet=True).run(20.0) for net in (whole, alone))
    v = found.states["a"]["v"]
    assert np.array_equal(v[:, some], wanted.states["a"]["v"]) and np.ptp(wanted.states["a"]["v"]) > 1.0
    assert np.ptp(np.delete(v, some, axis=1)) == 0.0
    assert np.array_equal(np.sort(found.spikes["a"].ids), np.sort(some[wanted.spikes["a"].ids]))


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_poisson_trains_of_parts(engine):
    """Each its rate, within five standard deviations; shared ones the same train; nothing for the others."""
    net, ids = snn.Network(seed=3), np.array([30, 3, 17])
    a = net.population("a", 40, snn.LIFDelta(tau_m=1e9, v_th=1e9, e_l=0.0), init={"v": 0.0})
    b = net.population("b", 40, snn.LIFDelta(tau_m=1e9, v_th=1e9, e_l=0.0), init={"v": 0.0})
    rates = np.array([500.0, 1000.0, 3000.0])
    net.input("one", a[ids], snn.Poisson(400.0), weight=1.0)
    net.input("each", a[ids], snn.Poisson(rates), weight=np.array([1.0, 1.0, 2.0]))
    net.input("later", a[ids], snn.Poisson([0.0, 100.0], times=[0.0, 2500.0]), weight=1.0)
    net.input("together", b[ids], snn.Poisson(300.0, shared=True), weight=snn.uniform(1.0, 2.0))
    sim = snn.Simulation(net, engine=engine, quiet=True)
    sim.run(5000.0)
    v, shared = sim.state("a", "v"), sim.state("b", "v")
    assert set(np.flatnonzero(v)) == set(np.flatnonzero(shared)) == set(ids)
    mean = 5.0 * np.array([400.0 + 500.0 + 50.0, 400.0 + 1000.0 + 50.0, 400.0 + 2 * 3000.0 + 50.0])
    variance = 5.0 * np.array([950.0, 1450.0, 450.0 + 4 * 3000.0])
    assert np.all(np.abs(v[ids] - mean) < 5.0 * np.sqrt(variance))
    count = 1500.0
    for value in shared[ids]:
        assert count - 5 * count**0.5 < value < 2 * (count + 5 * count**0.5)
    assert np.unique(shared[ids]).size == 3
    if engine == "clock":
        before = sim.state("a", "v")
        for name in ("one", "each", "later"):
            sim.set_source(name, snn.Poisson(0.0) if name != "one" else snn.Poisson([200.0, 0.0, 0.0]))
        sim.run(1000.0)
        more = sim.state("a", "v") - before
        assert list(np.flatnonzero(more > 0.5)) == [30] and abs(more[30] - 200.0) < 5 * 200.0**0.5


def test_several_variables():
    net = snn.Network()
    a = net.population("a", 4, snn.LIFExp())
    probes = net.record(a[1:3], ["v", "i_ex"], every=0.5)
    assert [p.name for p in probes] == ["a.v", "a.i_ex"] and [p.ids.tolist() for p in probes] == [[1, 2]] * 2
    with pytest.raises(ModelError, match="'vv'.: no such variable"):
        net.record(a, ["i_in", "vv"])
    assert net.probes == probes, "all of it or nothing"


def test_bad_parts():
    net = snn.Network()
    a = net.population("a", 10, snn.LIFDelta())
    other = snn.Network().population("a", 10, snn.LIFDelta())
    for wrong, error, text in (
        (lambda: a[[1, 10]], ModelError, r"'a'\[...\]: must be >= 0 and < 10; got 10"),
        (lambda: a[[1, -1]], ModelError, "got -1"),
        (lambda: a[[1, 1]], ModelError, "must differ"),
        (lambda: a[[0.5]], ModelError, "must be a slice, a mask or integers"),
        (lambda: a["v"], ModelError, "must be a slice, a mask or integers"),
        (lambda: a[np.ones(9, bool)], ShapeError, r"a mask must be of shape \(10,\); got \(9,\)"),
        (lambda: a[10], IndexError, "neuron 10 of 10"),
        (lambda: net.connect(a[:3], a, snn.all_to_all(), weight=np.ones((10, 10))), ShapeError, r"shape \(3, 10\)"),
        (lambda: net.connect(a[:3], a[:4], snn.one_to_one()) and snn.Simulation(net), ShapeError, "got 3 and 4"),
        (lambda: net.connect(a[:3], a, snn.from_sparse(np.ones((10, 3)))[0], name="s"), ShapeError, "Transpose it"),
        (lambda: net.connect(a, other[:4], snn.one_to_one()), ModelError, "belongs to another network"),
        (lambda: net.input("i", a[:4], snn.NoiseCurrent(std=np.ones(10))), ShapeError, r"'i'.std: .* of shape \(4,\)"),
        (lambda: net.input("i", a[:4], snn.SpikeArray([1.0], [4]), 1.0), ModelError, "ids: must be < 4, the number of"),
        (lambda: net.input("i", a[:4], snn.Poisson(np.ones(10)), 1.0), ShapeError, r"rate: must have shape \(4,\)"),
        (lambda: net.input("i", a[:4], snn.Poisson(1.0), np.ones(10)), ShapeError, r"weight: must have shape \(4,\)"),
        (lambda: net.input("i", a[:4], snn.StepCurrent([[1.0] * 10])), ShapeError, r"must have shape \(k, 4\)"),
        (lambda: net.modulate("p", a[:4]), ModelError, "no projection 'p'"),
        (lambda: net.record(a, every=1.0), ModelError, "spikes have their times; got 1.0"),
        (lambda: a[20:], ModelError, r"'a'\[...\]: must be one neuron of 10 at least; got slice\(20, None"),
        (lambda: a[np.zeros(10, bool)], ModelError, "must be one neuron of 10 at least; got 0"),
        (lambda: a[[]], ModelError, "must be one neuron of 10 at least; got 0"),
        (lambda: a[None], ModelError, "must be a slice, a mask or integers of shape .*; got None"),
        (
            lambda: net.connect(a, a, among(snn.all_to_all(), []), name="x"),
            ModelError,
            "among.sources: must be one neuron",
        ),
        (
            lambda: net.connect(a[:3], a, snn.from_arrays([2, 3], [1, 9]), name="x"),
            ModelError,
            "'x'.sources: must be < 3; got",
        ),
        (
            lambda: net.connect(a, a[5:], snn.from_arrays([2], [5]), name="x"),
            ModelError,
            "'x'.targets: must be < 5; got 5",
        ),
    ):
        with pytest.raises(error, match=text):
            wrong()


@pytest.mark.parametrize("wrap", [None, 1.0, (1.0, 2.0)])
def test_functions_of_distance(wrap):
    net = snn.Network(seed=5)
    a = net.population("a", 50, snn.Poisson(rate=20.0), positions=PLACES[50], wrap=wrap)
    b = net.population("b", 30, snn.LIFDelta(), positions=PLACES[30], wrap=wrap)
    rule = snn.distance_dependent(lambda d: np.exp(-d / 0.3))
    near = {"weight": lambda d: 2.0 * np.exp(-d), "delay": lambda d: 0.5 + 10.0 * d}
    net.connect(a, b, rule, name="n", **near)
    net.connect(a, b, snn.fixed_indegree(4), name="delay", weight=snn.uniform(0.1, 0.2), delay=near["delay"])
    net.connect(a[:5], b[3:], rule, name="part", weight=near["weight"])
    plain = snn.Network(seed=5)
    for p in (a, b):
        plain.population(p.name, p.n, p.model, positions=p.positions, wrap=p.wrap)
    plain.connect("a", "b", rule, name="n")
    sim, other = snn.Simulation(net, quiet=True), snn.Simulation(plain, quiet=True)
    for x, y in zip(sim.connections("n")[:2], other.connections("n")[:2], strict=True):
        np.testing.assert_array_equal(x, y)  # the edges are those that the rule draws otherwise
    for name in ("n", "part", "delay"):
        sources, targets, weights, delays = sim.connections(name)
        delta = np.abs(PLACES[50][sources] - PLACES[30][targets])
        if wrap is not None:
            delta = np.minimum(delta, np.array(wrap) - delta)
        d = np.hypot(*delta.T)
        assert len(d) > 10
        if name != "delay":
            np.testing.assert_allclose(weights, 2.0 * np.exp(-d), rtol=1e-12)
        if name != "part":
            np.testing.assert_allclose(delays, 0.5 + 10.0 * d, atol=0.05 + 1e-9)  # on the grid
    assert len(np.unique(sim.connections("delay")[2])) > 100


def test_bad_functions_of_distance():
    net = snn.Network()
    a = net.population("a", 4, snn.LIFDelta(), positions=PLACES[50][:4])
    b = net.population("b", 4, snn.LIFDelta())
    for target, given, text in (
        (b, {"weight": lambda d: d}, "'x'.weight: a function of distance needs positions; give"),
        (
            a,
            {"delay": lambda d: 1.0 if d > 0.1 else 2.0},
            "'x'.delay: must be a function of an array .* it fails: The truth",
        ),
        (a, {"delay": lambda d: d - 5.0}, "'x'.delay: must be > 0 ms; got -5"),
        (a, {"weight": lambda d: d / 0.0}, "'x'.weight: must give one finite number a pair"),
        (a, {"weight": lambda d: [1.0, 2.0]}, "'x'.weight: must give one finite number a pair"),
        (a, {"weight": lambda d: d, "delay": np.ones((4, 4))}, "'x'.delay: must be a number, distribution or function"),
    ):
        with np.errstate(all="ignore"), pytest.raises(ModelError, match=text):
            net.connect(a, target, snn.all_to_all(), name="x", **given)


def test_part_of_a_part():
    a = snn.Network().population("a", 9, snn.LIFDelta())
    np.testing.assert_array_equal(a[::-1][:3].ids, [8, 7, 6])
