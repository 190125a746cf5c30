"""Rules that draw random numbers against the laws that they draw from; every level is family-wise (Bonferroni)."""

import numpy as np
import pytest
from scipy import stats

import plasticity
import snn
from kernels.errors import ModelError
from kernels.spec import Param, RuleSpec

ALPHA = 1e-4  # of each test function; draws depend on seeds alone, so what passes once passes always
GAP = 20.0
SPIKES = 8
PRE, POST = 10.0 + GAP * np.arange(SPIKES), 15.0 + GAP * np.arange(SPIKES)
# what both sides draw, one spike after the other: x at presynaptic spikes, y at postsynaptic ones
TEXT = "dx/dt = 0 : 1\ndy/dt = 0 : 1\np = 0.3 : 1"


def define(name="Draws", equations=TEXT, **given):
    return plasticity.from_equations(name, equations, **{"bounds": (-1e9, 1e9)} | given)


def simulation(rule, n=2000, pre=PRE, post=POST, each=False, seed=1, name="p", delay=1.0, short_term=None, **options):
    """One source to ``n`` targets, or ``each`` to its own; targets are made to fire, all at once."""
    net = snn.Network(seed=seed)
    sources = n if each else 1
    a = net.population("a", sources, snn.SpikeArray.from_spiketrains([pre] * sources))
    b = net.population("b", n, snn.LIFDelta(tau_m=10.0, e_l=0.0, v_th=1e6, v_reset=0.0, t_ref=0.0))
    net.input("force", b, snn.SpikeArray.from_spiketrains([post] * n), weight=1e9)
    pairs = snn.one_to_one() if each else snn.all_to_all()
    net.connect(a, b, pairs, weight=0.0, delay=delay, plasticity=rule, short_term=short_term, name=name)
    engine = options.get("engine", "clock")
    return snn.Simulation(net, quiet=True, **({"dt": 1.0} if engine == "clock" else {}), **options)


def after_each(sim, *variables):
    """The variables of all synapses after each pair of spikes, shape (variables, spikes, synapses)."""
    found = []
    for _ in range(SPIKES):
        sim.run(GAP)
        found.append([sim.state("p", v) if v != "w" else sim.connections("p")[2] for v in variables])
    return np.swapaxes(found, 0, 1)


def assert_uncorrelated(x, y, tests):
    """``x`` and ``y``, uniform in (0, 1), by products of deviations, each of variance 1 / 144 if they are."""
    z = np.sum((x - 0.5) * (y - 0.5)) * 12.0 / np.sqrt(x.size)
    assert 2.0 * stats.norm.sf(abs(z)) > ALPHA / tests


@pytest.mark.parametrize("engine", ["clock", "event"])
@pytest.mark.parametrize("side", ["on_pre", "on_post"])
def test_binary_synapses_switch_with_probability_p(side, engine):
    """A share 1 - (1 - p)^n of them after n spikes; of those left each switches with p at the next."""
    rule = define(equations="p = 0.3 : 1", bounds=(0, 1), **{side: "w += rand() < p"})
    for k, p in enumerate((0.1, 0.3, 0.8)):
        (on,) = after_each(simulation(rule(p=p), seed=k, engine=engine), "w")
        assert set(np.unique(on)) == {0.0, 1.0}
        left = on.shape[1]
        for n, row in enumerate(on, 1):
            assert stats.binomtest(int(row.sum()), row.size, 1.0 - (1.0 - p) ** n).pvalue > ALPHA / (6 * SPIKES)
            switched = int(row.sum()) - (on.shape[1] - left)
            assert left == 0 or stats.binomtest(switched, left, p).pvalue > ALPHA / (6 * SPIKES)
            left -= switched
    certain, never = (
        simulation(define(equations="p = 0.3 : 1", bounds=(0, 1), **{side: "w += rand() < p"})(p=p), engine=engine)
        for p in (1.0, 0.0)
    )
    assert after_each(certain, "w").all() and not after_each(never, "w").any()


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_numbers_are_uniform_and_normal(engine):
    draws = define(on_pre="x = rand(); w = randn()", on_post="y = rand()")
    x, y, w = after_each(simulation(draws(), engine=engine), "x", "y", "w")
    for found in (x, y):
        assert found.min() > 0.0 and found.max() < 1.0
        assert stats.kstest(found.ravel(), "uniform").pvalue > ALPHA / 3
    assert stats.kstest(w.ravel(), "norm").pvalue > ALPHA / 3


def test_draws_are_independent():
    """Of spikes, sides, targets and sources beside each other, both numbers of a spike, projections, seeds, rules."""
    draws = define(on_pre="x = rand(); w = rand()", on_post="y = rand()")()
    kinds = {
        "one source": after_each(simulation(draws), "x", "y", "w"),
        "a source each": after_each(simulation(draws, each=True), "x", "y", "w"),
        "seed": after_each(simulation(draws, seed=2), "x", "y", "w"),
    }
    tests = 2 * 3 * (3 * 3 + 3) + 3 * 3 + 2 * 3
    for kind in ("one source", "a source each"):
        found = kinds[kind]
        for lag in (0, 1, 2):
            for k in range(3):
                assert_uncorrelated(found[k][lag:], found[(k + 1) % 3][: SPIKES - lag], tests)
                assert_uncorrelated(found[(k + 1) % 3][lag:], found[k][: SPIKES - lag], tests)
                assert_uncorrelated(found[k][: SPIKES - lag - 1], found[k][lag + 1 :], tests)
        for k in range(3):
            assert_uncorrelated(found[k][:, 1:], found[k][:, :-1], tests)
    for k in range(3):
        assert_uncorrelated(kinds["one source"][k], kinds["a source each"][k][:, ::-1], tests)
        assert_uncorrelated(kinds["one source"][k], kinds["seed"][k], tests)
    released = after_each(simulation(draws, short_term=plasticity.Bernoulli(p_transmit=0.5)), "x", "y", "w")
    np.testing.assert_array_equal(released, kinds["one source"])  # whatever a short-term rule draws


def test_engines_draw_the_same():
    """The n-th spike of a source, or of a target, draws the same on the clock and in continuous time."""
    draws = define(on_pre="x = rand(); w = x + randn()", on_post="y = rand()")()
    for options in ({}, {"each": True}, {"delay": snn.uniform(1.0, 5.0)}):
        clock = after_each(simulation(draws, n=200, **options), "x", "y", "w")
        event = after_each(simulation(draws, n=200, engine="event", **options), "x", "y", "w")
        np.testing.assert_array_equal(event, clock)
        assert len(np.unique(clock)) > 0.9 * clock.size


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_spikes_of_one_step_and_many_to_see_draw_apart(engine):
    """Three spikes of a source at once; twelve of a target before its source fires."""
    draws = define(on_pre="x += rand() < p", on_post="y += rand() < p")()
    sim = simulation(draws, pre=[100.0] * 3, post=np.arange(10.0, 70.0, 5.0), engine=engine)
    sim.run(150.0)
    for name, n in (("x", 3), ("y", 12)):
        expected = stats.binom.pmf(np.arange(n + 1), n, 0.3) * 2000
        counts = np.bincount(np.round(sim.state("p", name)).astype(int), minlength=n + 1)
        few = expected < 5.0
        counts, expected = (np.append(x[~few], x[few].sum()) if few.any() else x for x in (counts, expected))
        assert stats.chi2.sf(np.sum((counts - expected) ** 2 / expected), len(expected) - 1) > ALPHA / 2


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_a_resumed_run_draws_what_one_run_draws(engine, tmp_path):
    draws = define(on_pre="x += 1; w += randn()", on_post="w -= rand() * x")()
    straight, first = (simulation(draws, n=50, engine=engine, threads=threads) for threads in (2, 1))
    straight.run(SPIKES * GAP)
    first.run(3 * GAP)
    first.checkpoint(tmp_path / "state.h5")
    resumed = snn.Simulation.resume(tmp_path / "state.h5", first.net, quiet=True)
    resumed.run((SPIKES - 3) * GAP)
    np.testing.assert_array_equal(resumed.connections("p")[2], straight.connections("p")[2])


def test_what_learning_is_switched_off_for_draws_no_number_less():
    draws = define(on_pre="w = rand()", on_post="w = w")()
    straight, switched = simulation(draws, n=50), simulation(draws, n=50)
    straight.run(3 * GAP)
    for on in (True, False, True):
        switched.learning("p", on)
        switched.run(GAP)
    np.testing.assert_array_equal(switched.connections("p")[2], straight.connections("p")[2])


def test_new_synapses_draw_numbers_of_their_own():
    draws = define(on_pre="w = rand()")()
    sim = simulation(draws, n=100, each=True)
    sim.run(GAP)
    before = sim.connections("p")

    def rule(sources, targets, weights, shape, same, rng):
        return np.arange(50), np.arange(50), np.arange(50)[::-1], np.zeros(50)

    assert sim.rewire("p", rule) == 50
    sim.run(GAP)
    after = sim.connections("p")
    assert len(np.unique(np.concatenate((before[2], after[2])))) == 200


def test_names_of_random_numbers_are_taken():
    def on_pre(w, uniform, p):
        return w + p * uniform

    def flow(w, h, uniform):
        return w + h * uniform

    p, clash = Param("p", "1", 0.5, "probability"), Param("uniform_2", "1", 0.5, "clashes")
    given = {"doc": "test", "derived": (), "traces": (), "on_pre": on_pre, "on_post": None, "references": ("test",)}
    with pytest.raises(ModelError, match="Clash: the name 'uniform_2' is used twice, or taken"):
        RuleSpec(name="Clash", params=(p, clash), bounds=lambda p: (0.0, 1.0), **given)
    with pytest.raises(ModelError, match="Flows.flow: unknown argument 'uniform'"):
        RuleSpec(name="Flows", params=(p,), flow=flow, bounds=lambda p: (0.0, 1.0), **given)
    many = {"on_pre": "w += rand() + rand() * randn()"}
    with pytest.raises(ModelError, match=r"Many.on_pre: draws more than 2 random numbers a synapse and spike: rand"):
        define("Many", **many)
