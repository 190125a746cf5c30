"""Synapses with random release against the laws that they draw from; every level is family-wise (Bonferroni)."""

import numpy as np
import pytest
from scipy import stats

import plasticity
import snn
from kernels import scalar
from kernels.spec import Param, ShortTermSpec
from snn.compile_synapses import check_numbers

ALPHA = 1e-4  # of each test function; draws depend on seeds alone, so what passes once passes always
GAP = 20.0
SPIKES = 12
TRAIN = 10.0 + GAP * np.arange(SPIKES)
SITES = {
    "depression": {"u_se": 0.5, "tau_rec": 100.0, "tau_fac": 0.0},
    "facilitation": {"u_se": 0.1, "tau_rec": 30.0, "tau_fac": 300.0},
    "all that is there": {"u_se": 1.0, "tau_rec": 40.0, "tau_fac": 10.0},
}


def network(short_term, n=2000, pairs=None, seed=1, name="p", train=TRAIN):
    """A train to ``n`` cells that add up what arrives: one source for all, or for each (``pairs``: one to one)."""
    net = snn.Network(seed=seed)
    sources = n if pairs else 1
    a = net.population("a", sources, snn.SpikeArray.from_spiketrains([train] * sources))
    b = net.population("b", n, snn.LIFDelta(tau_m=1e15, e_l=0.0, v_th=1e9, v_reset=-1.0))
    net.connect(a, b, pairs or snn.all_to_all(), weight=1.0, delay=1.0, short_term=short_term, name=name)
    net.record(b, "v", every=GAP)
    return net


def delivered(net, **options):
    """What each synapse delivers of each spike, shape (spikes, synapses)."""
    v = snn.Simulation(net, dt=1.0, quiet=True, **options).run(GAP * SPIKES).states["b"]["v"]
    return np.round(np.diff(v, axis=0, prepend=0.0), 6)


def assert_binomial(found, n, p, tests):
    """Chi-square test of whole numbers ``found``, rare ones together."""
    expected = stats.binom.pmf(np.arange(n + 1), n, p) * found.size
    counts = np.bincount(found.astype(int), minlength=n + 1)
    rare = expected < 5.0
    groups = [(x[~rare], [x[rare].sum()] if expected[rare].sum() >= 1.0 else []) for x in (counts, expected)]
    counts, expected = (np.concatenate(x) for x in groups)
    statistic = np.sum((counts - expected) ** 2 / expected)
    assert stats.chi2.sf(statistic, len(expected) - 1) > ALPHA / tests


def assert_uncorrelated(x, y, p, tests):
    """Of products of deviations, each with mean 0 and variance (p (1 - p))^2 if ``x`` and ``y`` are independent."""
    z = np.sum((x - p) * (y - p)) / (p * (1.0 - p) * np.sqrt(x.size))
    assert 2.0 * stats.norm.sf(abs(z)) > ALPHA / tests


@pytest.mark.parametrize("n", [1.0, 2.0, 7.0, 60.0, 1000.0])
def test_binomial_numbers_are_quantiles(n):
    u = (np.arange(4000) + 0.5) / 4000
    for p in (0.003, 0.3, 0.5, 0.77, 0.999):
        found = np.array([scalar.binomial(n, p, x) for x in u])
        law = stats.binom(n, p)
        assert np.all(law.cdf(found) >= u - 1e-11) and np.all(law.cdf(found - 1.0) <= u + 1e-11)
    assert {scalar.binomial(n, 0.0, x) for x in u} == {0.0} and {scalar.binomial(n, 1.0, x) for x in u} == {n}
    assert {scalar.binomial(0.0, 0.4, x) for x in u} == {0.0}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("pairs", [None, snn.one_to_one()], ids=["one source", "a source each"])
def test_bernoulli_counts(p, pairs):
    """By spike, by synapse, and all; six cases of each."""
    found = delivered(network(plasticity.Bernoulli(p_transmit=p), pairs=pairs))
    assert set(np.unique(found)) == {0.0, 1.0}  # the weight, or nothing
    n = found.shape[1]
    tests = 6 * (SPIKES + 2)
    assert stats.binomtest(int(found.sum()), found.size, p).pvalue > ALPHA / tests
    for count in found.sum(axis=1):
        assert stats.binomtest(int(count), n, p).pvalue > ALPHA / tests
    assert_binomial(found.sum(axis=0), SPIKES, p, tests)


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_certain_and_impossible_release(engine):
    """p = 1 is a synapse without the rule, p = 0 none at all, bit for bit."""

    def run(short_term, joined=True):
        net = snn.Network(seed=3)
        a = net.population("a", 20, snn.Poisson(rate=300.0))
        b = net.population("b", 10, snn.LIFDelta())
        net.input("noise", b, snn.Poisson(rate=2000.0), weight=0.9)
        if joined:
            net.connect(a, b, snn.fixed_indegree(8), weight=1.1, delay=1.5, short_term=short_term)
        net.record(b)
        spikes = snn.Simulation(net, engine=engine, quiet=True).run(300.0).spikes["b"]
        return spikes.times, spikes.ids

    always, never = (run(plasticity.Bernoulli(p_transmit=p)) for p in (1.0, 0.0))
    np.testing.assert_array_equal(always, run(None))
    np.testing.assert_array_equal(never, run(None, joined=False))
    assert len(always[0]) > len(never[0]) > 20


def test_draws_are_independent():
    """Of spikes, of targets and sources beside each other, of projections, seeds, and synapses that join one pair."""
    p, rule = 0.3, plasticity.Bernoulli(p_transmit=0.3)
    one, each = delivered(network(rule)), delivered(network(rule, pairs=snn.one_to_one()))
    twice = snn.from_arrays(np.repeat(np.arange(1000), 2), np.repeat(np.arange(1000), 2))
    repeated = delivered(network(rule, n=1000, pairs=twice))
    others = [delivered(network(rule, **change)) for change in ({"seed": 2}, {"name": "q"})]
    tests = 3 * 6 + len(others) + 1
    for lag in (1, 2, 3):
        for found in (one, each):
            assert_uncorrelated(found[:-lag], found[lag:], p, tests)
            assert_uncorrelated(found[:, :-lag], found[:, lag:], p, tests)
        for found in (one, each):  # diagonals: a counter that mixed spike and synapse would show here
            assert_uncorrelated(found[:-lag, lag:], found[lag:, :-lag], p, tests)
    for other in others:
        assert_uncorrelated(one, other, p, tests)
    assert_binomial(repeated.ravel(), 2, p, tests)  # two draws a pair


def test_spikes_of_one_step_draw_apart():
    train = np.repeat(TRAIN, 3)
    found = delivered(network(plasticity.Bernoulli(p_transmit=0.4), train=train))
    assert_binomial(found.ravel(), 3, 0.4, 1)


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("n", [1, 5, 1000])
def test_mean_follows_tsodyks_and_markram(n, name):
    """n times u x of the deterministic rule at every spike; with n = 1000 each synapse is near it by itself."""
    found = delivered(network(plasticity.QuantalSTP(n=n, **SITES[name])))
    mean = delivered(network(plasticity.TsodyksMarkram(**SITES[name]), n=1))[:, 0]
    spread = found.std(axis=1, ddof=1) / np.sqrt(found.shape[1])
    z = (found.mean(axis=1) - n * mean) / np.maximum(spread, 1e-4)
    assert np.all(2.0 * stats.norm.sf(np.abs(z)) > ALPHA / (9 * SPIKES))
    if n == 1000:
        assert np.abs(found / n - mean[:, None]).max() < 6.0 * 0.5 / np.sqrt(n)


@pytest.mark.parametrize("name", ["depression", "facilitation"])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_first_two_spikes_of_release_sites(n, name):
    """Sites are independent; one releases at both spikes with probability u_1 (1 - exp(-h / tau_rec)) u_2."""
    values = SITES[name]
    found = delivered(network(plasticity.QuantalSTP(n=n, **values), n=20000))
    u = values["u_se"]
    left = np.exp(-GAP / values["tau_fac"]) if values["tau_fac"] else 0.0
    u_2, recovered = u + u * (1.0 - u) * left, 1.0 - np.exp(-GAP / values["tau_rec"])
    p_2 = u_2 * (1.0 - u * (1.0 - recovered))
    tests = 6 * 4
    assert_binomial(found[0], n, u, tests)
    assert_binomial(found[1], n, p_2, tests)
    variance, kurtosis = found[0].var(ddof=1), stats.binom(n, u).stats("k") + 2.0
    z = (variance / (n * u * (1.0 - u)) - 1.0) / np.sqrt(kurtosis / found.shape[1])
    assert 2.0 * stats.norm.sf(abs(z)) > ALPHA / tests
    x, y = found[0] - n * u, found[1] - n * p_2
    z = np.mean(x * y - n * u * (recovered * u_2 - p_2)) / ((x * y).std() / np.sqrt(x.size))
    assert 2.0 * stats.norm.sf(abs(z)) > ALPHA / tests


RULES = {"Bernoulli": plasticity.Bernoulli(p_transmit=0.4), "QuantalSTP": plasticity.QuantalSTP(n=4, tau_fac=80.0)}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_engines_draw_the_same(rule):
    """The n-th spike of a source draws the same at a synapse on the clock and in continuous time."""
    net = network(rule, n=300)
    clock = delivered(net)
    np.testing.assert_array_equal(delivered(net, engine="event"), clock)
    assert np.unique(clock).size > 1


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_other_parts_of_a_network_change_no_draw(engine):
    net = network(RULES["QuantalSTP"], n=300)
    alone = delivered(net, engine=engine)
    c = net.population("c", 5, snn.LIFDelta())
    net.connect("a", c, snn.all_to_all(), weight=1.0, delay=1.0, short_term=RULES["Bernoulli"], name="other")
    np.testing.assert_array_equal(delivered(net, engine=engine), alone)


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_values_of_synapses(engine):
    """Each synapse has its probability, or its number of sites."""
    p = np.tile([0.0, 1.0, 0.5], 100)
    found = delivered(network(plasticity.Bernoulli(p_transmit=p[None]), n=300), engine=engine)
    assert not found[:, p == 0.0].any() and found[:, p == 1.0].all() and 0.3 < found[:, p == 0.5].mean() < 0.7
    n = np.tile([1.0, 3.0, 8.0], 100)
    found = delivered(network(plasticity.QuantalSTP(n=n[None], u_se=1.0), n=300), engine=engine)
    np.testing.assert_array_equal(found[0], n)


def test_combines_with_a_rule_that_learns():
    """The weight changes at every spike, released or not."""
    net = snn.Network(seed=4)
    a = net.population("a", 30, snn.Poisson(rate=40.0))
    stdp, weights = plasticity.STDPPair(w_max=2.0, lambda_=0.05), []
    for short in (None, *RULES.values()):
        cells = net.population(f"cells {len(weights)}", 4, snn.LIFDelta(v_th=1e6))
        net.input(f"force {len(weights)}", cells, snn.SpikeArray(np.arange(5.0, 400.0, 17.0)), weight=1e9)
        net.connect(
            a, cells, snn.all_to_all(), weight=1.0, delay=1.5, plasticity=stdp, short_term=short, name=f"{short}"
        )
        weights.append(f"{short}")
    sim = snn.Simulation(net, quiet=True)
    sim.run(400.0)
    plain, *others = (sim.connections(name)[2] for name in weights)
    assert np.ptp(plain) > 0.05
    for other in others:
        np.testing.assert_array_equal(other, plain)


def test_release_sites_are_a_whole_number():
    with pytest.raises(snn.ModelError, match=r"QuantalSTP.n: must be a whole number; got n=2.5"):
        plasticity.QuantalSTP(n=2.5)


def test_joined_networks_draw_what_they_draw_alone():
    nets = [network(RULES["QuantalSTP"], n=50, seed=seed) for seed in (1, 2)]
    states = snn.Simulation(snn.join(nets), dt=1.0, quiet=True).run(GAP * SPIKES).states
    for k, net in enumerate(nets):
        v = states[f"{k}:b"]["v"]
        np.testing.assert_array_equal(np.round(np.diff(v, axis=0, prepend=0.0), 6), delivered(net))


def test_synapses_that_cannot_be_numbered():
    net = snn.Network()
    a = net.population("a", 2, snn.SpikeArray([1.0]))
    b = net.population("b", 3, snn.LIFDelta())
    net.connect(a, b, snn.all_to_all(), weight=1.0, delay=1.0, short_term=RULES["Bernoulli"], name="p")
    numbers = np.array([0.0, 2.0**53])
    with pytest.raises(snn.ModelError, match=r"Projection 'p': Bernoulli.* below 2\^53; got 2 by 3 neurons"):
        check_numbers(net.projections["p"], numbers)
    check_numbers(net.projections["p"], numbers - 1.0)


def test_names_of_random_numbers_are_taken():
    def on_spike(uniform, p):
        return 1.0 if uniform < p else 0.0

    given = Param("uniform_2", "1", 0.5, "clashes")
    with pytest.raises(snn.ModelError, match="Clash: the name 'uniform_2' is used twice, or taken"):
        ShortTermSpec("Clash", "test", (Param("p", "1", 0.5, "probability"), given), (), on_spike, ("test",))
