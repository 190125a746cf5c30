"""Structural plasticity: rewiring between runs."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ModelError, ShapeError
from plasticity.hebbian_rewiring import coactivity
from plasticity.structural import free_pairs
from snn.among import among


def network(delay=1.5, rule=None, seed=3):
    net = snn.Network(seed=seed)
    a = net.population("a", 40, snn.LIFDelta(), init={"v": snn.uniform(-70.0, -56.0)})
    b = net.population("b", 23, snn.LIFExp())
    net.input("noise", a, snn.Poisson(rate=2000.0), weight=1.5)
    net.input("noise b", b, snn.Poisson(rate=3000.0), weight=120.0)
    net.connect(a, a, snn.fixed_outdegree(8, autapses=False, multapses=False), weight=snn.uniform(0.1, 0.4),
                delay=delay, plasticity=rule or plasticity.STDPPair(lambda_=0.05, w_max=0.5), name="aa")  # fmt: skip
    net.connect(a, b, snn.fixed_indegree(6), weight=snn.uniform(10.0, 40.0), delay=delay,
                plasticity=plasticity.STDPPair(lambda_=0.05, w_max=50.0), name="ab",
                short_term=plasticity.QuantalSTP(n=2.0))  # fmt: skip
    net.record(a)
    net.record(b)
    return net


def run(net, rounds=3, **options):
    sim = snn.Simulation(net, quiet=True, **options)
    found = []
    for _ in range(rounds):
        found.append(sim.run(40.0).spikes)
        assert sim.rewire("aa", plasticity.SET(fraction=0.2, weight=0.2)) == 64
        sim.rewire("ab", plasticity.DeepR(weight=20.0, threshold=15.0))
    found.append(sim.run(40.0).spikes)
    spikes = [np.concatenate([getattr(f[p], x) for f in found]) for p in "ab" for x in ("times", "ids")]
    return [*spikes, *sim.connections("aa"), *sim.connections("ab")]


@pytest.mark.parametrize("delay", [1.5, snn.uniform(0.3, 4.0)])
def test_backends_and_threads_agree(delay):
    reference = run(network(delay), backend="reference")
    assert len(reference[0]) > 100
    assert len(reference[2]) > 100
    for threads in (1, 2, 3):
        for x, y in zip(reference, run(network(delay), threads=threads), strict=True):
            np.testing.assert_array_equal(x, y)


def test_a_rule_with_variables_and_a_modulator():
    def trained(**options):
        rule = plasticity.DopamineSTDP(w_max=0.5)
        net = network(rule=rule)
        net.modulate("aa", value=0.01)
        return run(net, **options)

    reference = trained(backend="reference")
    for x, y in zip(reference, trained(threads=2), strict=True):
        np.testing.assert_array_equal(x, y)


def test_what_goes_and_what_stays():
    sim = snn.Simulation(network(), quiet=True, threads=2)
    sim.run(50.0)
    sources, targets, weights, delays = sim.connections("aa")
    before = {(s, t): w for s, t, w in zip(sources, targets, weights, strict=True)}
    sim.rewire("aa", plasticity.SET(fraction=0.25, weight=0.31))
    new_sources, new_targets, new_weights, new_delays = sim.connections("aa")
    after = {(s, t): w for s, t, w in zip(new_sources, new_targets, new_weights, strict=True)}
    assert len(after) == 320 and np.all(new_sources != new_targets)
    assert np.all(np.diff(new_targets) >= 0)
    kept = before.keys() & after.keys()
    assert len(kept) == 240
    assert all(before[pair] == after[pair] for pair in kept)
    assert {after[pair] for pair in after.keys() - kept} == {0.31}
    assert max(abs(before[pair]) for pair in before.keys() - kept) <= min(abs(before[pair]) for pair in kept)
    np.testing.assert_array_equal(np.sort(delays), np.sort(new_delays))


@pytest.mark.parametrize("n", [7, 10, 30, 100, 1000])
def test_fractions_are_decimal(n):
    """k hundredths of n, rounded down, though 0.29 * 100 is less than 29."""
    silent = SimpleNamespace(times=np.empty(0), ids=np.empty(0, int))
    sources, targets = np.divmod(np.arange(n), 2)
    for k in range(101):
        assert plasticity.SET(k / 100).pruned(np.arange(n)).size == k * n // 100
    rule = plasticity.HebbianRewiring(silent, silent, 1.0, fraction=0.29)
    rng = np.random.default_rng(1)
    assert rule(sources, targets, np.ones(n), (n, 3), False, rng)[0].size == 29 * n // 100


def test_a_spike_goes_where_the_new_synapse_leads():
    net = snn.Network()
    a = net.population("a", 3, snn.SpikeArray([1.0, 11.0], [2, 2]))
    b = net.population("b", 4, snn.LIFDelta())
    net.connect(a, b, snn.from_arrays([2, 0], [0, 1]), weight=1.0, delay=[1.0, 3.0], name="p",
                plasticity=plasticity.STDPPair(lambda_=0.0, w_max=9.0))  # fmt: skip
    net.record(b, "v")
    sim = snn.Simulation(net, quiet=True)
    first = sim.run(8.0).states["b"]["v"]
    assert np.flatnonzero(np.ptp(first, axis=0)).tolist() == [0]
    sim.rewire("p", lambda s, t, w, n, same, rng: ([0], [2], [3], [5.0]))
    assert [x.tolist() for x in sim.connections("p")] == [[0, 2], [1, 3], [1.0, 5.0], [3.0, 1.0]]
    second = sim.run(12.0).states["b"]["v"]
    jump = np.diff(second[:, 3])
    assert np.argmax(jump) == round((12.0 - 8.0) / 0.1) - 2 and abs(jump.max() - 5.0) < 1e-9
    assert np.ptp(second[:, 0] + 70.0) < np.ptp(first[:, 0])  # nothing new arrives there


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_new_synapse_with_short_term_values_delivers_what_a_first_spike_does(backend):
    """Also if its source has spiked before: it had other synapses then."""
    net = snn.Network()
    a = net.population("a", 2, snn.SpikeArray([10.0, 14.0, 10.0], [0, 0, 1]))
    b = net.population("b", 2, snn.LIFDelta(tau_m=1e12, e_l=0.0, v_th=1e3, v_reset=0.0), init={"v": 0.0})
    short = plasticity.TsodyksMarkram(u_se=[0.5, 0.25], tau_rec=100.0, tau_fac=50.0)
    net.connect(a, b, snn.one_to_one(), weight=1.0, delay=1.0, name="p", plasticity=plasticity.Static(),
                short_term=short)  # fmt: skip
    sim = snn.Simulation(net, backend=backend, quiet=True)
    sim.run(12.0)
    np.testing.assert_allclose(sim.state("b", "v"), [0.5, 0.25], rtol=1e-9)
    sim.rewire("p", lambda s, t, w, n, same, rng: ([1], [0], [1], [1.0]))
    sim.run(10.0)
    x, left = 1.0 - 0.5 * math.exp(-4.0 / 100.0), 0.5 * math.exp(-4.0 / 50.0)
    np.testing.assert_allclose(sim.state("b", "v"), [0.5 + (0.5 + 0.5 * left) * x, 0.25 + 0.25], rtol=1e-9)


@pytest.mark.parametrize("threads", [1, 3])
def test_new_synapses_draw_by_themselves(threads):
    """Numbers of synapses stay apart where new ones join pairs that are joined already, or were."""
    net = snn.Network(seed=1)
    a = net.population("a", 3, snn.SpikeArray.from_spiketrains([np.arange(5.0, 200.0, 2.0)] * 3))
    b = net.population("b", 4, snn.LIFDelta(tau_m=1e12, e_l=0.0, v_th=1e9, v_reset=-1.0))
    net.connect(a, b, snn.fixed_indegree(6), weight=1.0, delay=1.0, name="p", plasticity=plasticity.Static(),
                short_term=plasticity.Bernoulli(p_transmit=0.5))  # fmt: skip
    sim = snn.Simulation(net, threads=threads, quiet=True)
    sim.run(10.0)
    for k in range(3):  # always the same pair, of which there are three in the end
        sim.rewire("p", lambda s, t, w, n, same, rng, k=k: ([10 + k], [1], [0], [1.0]))
    sim.rewire("p", lambda s, t, w, n, same, rng: ([0, 1], [2, 2], [3, 3], [1.0, 1.0]))
    sources, targets, _, _ = sim.connections("p")
    numbers = sim.compiled.plastic[0].variables[0]
    assert np.unique(numbers).size == numbers.size == 24
    np.testing.assert_array_equal(np.sort(numbers % 12), np.sort(sources * 4 + targets))
    sim.set_weights("p", np.where((sources == 1) & (targets == 0), 1.0, 0.0))
    before = sim.state("b", "v")[0]
    joined = int(np.sum((sources == 1) & (targets == 0)))
    assert joined >= 3
    sim.run(180.0)
    passed = sim.state("b", "v")[0] - before
    spikes = 90 * joined
    assert 0 < passed < spikes and abs(passed - 0.5 * spikes) < 5.0 * np.sqrt(0.25 * spikes)


def test_resume(tmp_path):
    whole = run(network(), rounds=2, threads=2)
    sim = snn.Simulation(network(), quiet=True, threads=2)
    found = []
    for k in range(2):
        found.append(sim.run(40.0).spikes)
        sim.rewire("aa", plasticity.SET(fraction=0.2, weight=0.2))
        sim.rewire("ab", plasticity.DeepR(weight=20.0, threshold=15.0))
        sim.checkpoint(tmp_path / f"{k}.h5")
        sim = snn.Simulation.resume(tmp_path / f"{k}.h5", network(), threads=3 - 2 * k, quiet=True)
    found.append(sim.run(40.0).spikes)
    np.testing.assert_array_equal(whole[0], np.concatenate([f["a"].times for f in found]))
    for x, y in zip(whole[4:], [*sim.connections("aa"), *sim.connections("ab")], strict=True):
        np.testing.assert_array_equal(x, y)


def test_free_pairs_are_uniform():
    rng = np.random.default_rng(0)
    sources, targets = np.array([0, 0, 2, 3]), np.array([1, 2, 0, 3])
    counts = np.zeros(16)
    for _ in range(4000):
        pairs = free_pairs(sources, targets, (4, 4), True, 3, rng)
        assert len(set(pairs.tolist())) == 3
        counts[pairs] += 1
    taken = [0, 5, 10, 15, 1, 2, 8]
    assert counts[taken].sum() == 0
    free = np.delete(counts, taken)
    expected = 12000 / free.size
    assert np.sum((free - expected) ** 2 / expected) < 26.1  # chi-square of 8 degrees, p = 0.001


class Spikes:
    def __init__(self, *trains):
        self.times = np.concatenate([np.array(t, float) for t in trains])
        self.ids = np.repeat(np.arange(len(trains)), [len(t) for t in trains])


def test_coactivity_is_a_count_of_pairs():
    """Against all differences, window edges on the grid included."""
    rng = np.random.default_rng(5)
    trains = [[np.sort(rng.choice(400, 60, replace=False)) * 0.1 for _ in range(n)] for n in (4, 3)]
    trains[0][2] = np.empty(0)
    sources, targets = np.divmod(np.arange(12), 3)
    got = coactivity(Spikes(*trains[0]), Spikes(*trains[1]), sources, targets, (4, 3), 1.5, 1.0)
    for s, t, c in zip(sources, targets, got, strict=True):
        x, y = trains[0][s], trains[1][t]
        steps = np.rint(10 * y)[None, :] - np.rint(10 * x)[:, None]
        assert c == pytest.approx(np.sum(np.abs(steps - 15) <= 5) / 60.0 if x.size else 0.0)
    same = coactivity(Spikes(*trains[1]), Spikes(*trains[1]), np.arange(3), np.arange(3), (3, 3), 0.0, 0.1)
    np.testing.assert_allclose(same, 1.0)


def test_the_correlated_pair_is_joined():
    """One of 6 pairs coincides at lag 2; all free ones are candidates."""
    pre, post = Spikes([1.0, 20.0], [5.0, 31.0]), Spikes([9.0], [7.0, 33.0], [4.0])
    for k in range(5):
        rule = plasticity.HebbianRewiring(pre, post, lag=2.0, fraction=0.5, weight=0.3)
        given = rule(np.array([0, 0]), np.array([0, 2]), np.ones(2), (2, 3), False, np.random.default_rng(k))
        assert [x.tolist() for x in given] == [[0], [1], [1], [0.3]]


PARTS = np.arange(30)[4:20:2], np.arange(50)[30:45]


def parts(whole, sources=PARTS[0], targets=PARTS[1], same=False):
    """Plastic projections between parts of populations, or between populations that are of the parts' size."""
    net = snn.Network(seed=4)
    at = [np.linspace(0.0, 1.0, n)[:, None] for n in (30, 50)]
    at = at if whole else [at[0][sources], at[1][targets]]
    a = net.population("a", len(at[0]), snn.LIFDelta(), positions=at[0])
    b = a if same else net.population("b", len(at[1]), snn.LIFDelta(), positions=at[1])
    for k, p in enumerate((a, b)):
        net.input(f"noise {k}", p, snn.Poisson(rate=2000.0), weight=1.5)
    pre, post = (a[sources], b[targets]) if whole else (a, b)
    rule = plasticity.STDPPair(lambda_=0.05, w_max=0.5)
    net.connect(pre, post, snn.fixed_indegree(3, autapses=False), weight=0.2, delay=1.5, name="drawn", plasticity=rule)
    net.connect(pre, post, snn.pairwise_bernoulli(0.3, autapses=False), weight=lambda d: 0.1 + 0.3 * d, name="near",
                delay=lambda d: 1.0 + d, plasticity=rule)  # fmt: skip
    return net


def rewired(net, **options):
    """Connections after each of some rewirings, some of which move nothing."""
    sim, found = snn.Simulation(net, quiet=True, **options), []
    for _ in range(3):
        for name in ("drawn", "near"):
            sim.rewire(name, plasticity.SET(0.4, weight=0.3))
            sim.rewire(name, plasticity.DeepR(weight=0.2, threshold=0.15))
            found += [sim.connections(name)]
    return found


def test_parts_are_rewired_as_if_there_were_no_others():
    for (sources, targets, weights, _), wanted in zip(rewired(parts(True)), rewired(parts(False)), strict=True):
        np.testing.assert_array_equal(sources, PARTS[0][wanted[0]])
        np.testing.assert_array_equal(targets, PARTS[1][wanted[1]])
        np.testing.assert_allclose(weights, wanted[2], rtol=1e-12)
        assert len(np.unique(sources * 50 + targets)) > 20


@pytest.mark.parametrize("sources", [[3, 28, 11, 2, 9, 20, 1], np.arange(7)], ids=["any order", "first"])
def test_a_part_with_itself_is_rewired_without_autapses(sources, tmp_path):
    net = parts(True, sources, sources, same=True)
    for k, (pre, post, *_) in enumerate(rewired(net)):
        assert set(pre) <= set(sources) and set(post) <= set(sources) and not np.any(pre == post), k
    sim = snn.Simulation(net, quiet=True)
    sim.rewire("near", plasticity.SET(0.5, weight=0.3))
    sim.checkpoint(tmp_path / "state.h5")
    other = snn.Simulation.resume(tmp_path / "state.h5", net, threads=2, quiet=True)
    for x in (sim, other):
        x.run(20.0)
        assert x.rewire("near", plasticity.SET(0.5, weight=0.1)) > 2
    for x, y in zip(sim.connections("near"), other.connections("near"), strict=True):
        np.testing.assert_array_equal(x, y)
    assert set(np.concatenate(other.connections("near")[:2])) <= set(sources)


def test_what_a_rule_is_told_of_parts():
    """Numbers in the part, in its order; also of a part of a part."""
    net, seen = snn.Network(seed=1), []
    a, b = (net.population(name, 9, snn.LIFDelta()) for name in "ab")
    learns = {"plasticity": plasticity.Static(w_max=9.0), "weight": [1.0, 2.0, 3.0]}
    given = snn.from_arrays([0, 1, 1], [2, 0, 1])
    net.connect(a[[7, 2]], b[[8, 0, 4]], given, name="once", **learns)
    net.connect(a[[5, 7, 2]], b[[8, 0, 4]], among(given, [1, 2]), name="twice", **learns)
    sim = snn.Simulation(net, quiet=True)
    for name in ("once", "twice"):

        def rule(*told):  # fmt: skip
            seen.append(told[:5])
            return [0], [0], [1], [4.0]

        assert sorted(zip(*sim.connections(name)[:3], strict=True)) == [(2, 0, 3.0), (2, 8, 2.0), (7, 4, 1.0)]
        sim.rewire(name, rule)  # prunes the first by target, 2 to 0, and joins 7 to 0
        assert sorted(zip(*sim.connections(name)[:3], strict=True)) == [(2, 8, 2.0), (7, 0, 4.0), (7, 4, 1.0)]
    for sources, targets, weights, n, same in seen:
        assert [x.tolist() for x in (sources, targets, weights)] == [[1, 0, 1], [1, 2, 0], [3.0, 1.0, 2.0]]
        assert n == (2, 3) and not same
    net.connect(a[:5], a[3:], snn.all_to_all(), name="over", plasticity=plasticity.Static(w_max=9.0))
    with pytest.raises(ModelError, match="'over': rewire: .* so that none is joined to itself; 2 are in both parts"):
        snn.Simulation(net, quiet=True).rewire("over", plasticity.SET())


def test_correlation_of_parts():
    """Spikes of the populations, of which those of other neurons count for nothing."""
    net = snn.Network(seed=1)
    a, b = (net.population(name, 6, snn.LIFDelta()) for name in "ab")
    net.connect(a[[4, 1]], b[[5, 0, 3]], snn.from_arrays([0, 0], [0, 2]), name="p", plasticity=plasticity.Static())
    none = [1.0, 2.0, 3.0]
    pre, post = Spikes(none, [5.0, 31.0], none, none, [1.0, 20.0]), Spikes([7.0, 33.0], none, none, [4.0], none, [9.0])
    sim = snn.Simulation(net, quiet=True)
    sim.rewire("p", plasticity.HebbianRewiring(pre, post, lag=2.0, fraction=0.5, weight=0.3))
    assert sorted(zip(*sim.connections("p")[:3], strict=True)) == [(1, 0, 0.3), (4, 5, 1.0)]
    with pytest.raises(ShapeError, match="coactivity.pre: its ids must be from 0 to 5; got 0 to 6"):
        sim.rewire("p", plasticity.HebbianRewiring(Spikes(none, *[none] * 6), post, lag=2.0))


def bad(*given):
    return lambda *_: given


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (bad([0], [1], [2]), None),
        (bad([0, 1], [1], [2], [0.1]), "'aa': rewire: .* must give four arrays of one length"),
        (bad([320], [1], [2], [0.1]), "'aa': rewire: synapses must be integers from 0 to 319; got"),
        (bad([0], [40], [2], [0.1]), "'aa': rewire: sources must be integers from 0 to 39; got"),
        (bad([0], [1], [-1], [0.1]), "'aa': rewire: targets must be integers from 0 to 39; got"),
        (bad([0, 0], [1, 1], [2, 3], [0.1, 0.1]), "'aa': rewire: a synapse can be pruned once"),
        (bad([0], [1], [2], [np.nan]), "'aa': rewire: weights must be finite"),
        (bad([0], [1], [2], [0.6]), r"'aa'.weight: must be in \[0, 0.5\], the bounds of STDPPair; got 0.6"),
    ],
)
def test_bad_rules(rule, message):
    sim = snn.Simulation(network(), backend="reference")
    with pytest.raises((ModelError, ShapeError), match=message or "must give four arrays"):
        sim.rewire("aa", rule)


def test_refusals():
    with pytest.raises(ModelError, match="SET.fraction: must be in \\[0, 1\\]; got 1.5."):
        plasticity.SET(fraction=1.5)
    with pytest.raises(ModelError, match="DeepR.weight: must be above threshold = 0.2 in magnitude; got 0.1."):
        plasticity.DeepR(weight=0.1, threshold=0.2)
    with pytest.raises(ModelError, match="rewire: 9 pairs are wanted and 8 are free. Give a sparser projection."):
        free_pairs(np.array([0]), np.array([1]), (3, 3), False, 9, np.random.default_rng(0))
    none = Spikes([], [1.0])
    for given, message in (
        ({"lag": np.nan}, "HebbianRewiring.lag: must be finite, in ms; got nan."),
        ({"lag": 1.0, "width": 0.0}, "HebbianRewiring.width: must be > 0 ms; got 0.0."),
        ({"lag": 1.0, "fraction": -0.1}, r"HebbianRewiring.fraction: must be in \[0, 1\]; got -0.1."),
        ({"lag": 1.0, "candidates": 0}, "HebbianRewiring.candidates: must be an integer >= 1; got 0."),
    ):
        with pytest.raises(ModelError, match=message):
            plasticity.HebbianRewiring(none, none, **given)
    one = np.zeros(1, np.int64)
    with pytest.raises(ShapeError, match="coactivity.post: its ids must be from 0 to 0; got 1 to 1."):
        coactivity(none, none, one, one, (2, 1), 1.0, 1.0)
    with pytest.raises(ModelError, match="coactivity.pre: must have spikes as arrays times and ids; got 3."):
        coactivity(3, none, one, one, (2, 2), 1.0, 1.0)
    sim = snn.Simulation(network(), engine="event", backend="reference")
    with pytest.raises(ModelError, match="'aa': rewire: the event engine has fixed connections"):
        sim.rewire("aa", plasticity.SET())
