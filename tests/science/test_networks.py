"""The example networks against their papers: short runs, bands wide enough for the length of the run and the seed.

Seeds are fixed and a seed fixes every spike, so no test fails by chance; the bands say what another seed or a change of
the random streams may do.
"""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import snn

EXAMPLES = Path(__file__).resolve().parents[2] / "scripts" / "examples"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def microcircuit() -> ModuleType:
    return load("potjans_diesmann_2014")


def test_microcircuit_tables(microcircuit):
    m = microcircuit
    assert m.sizes().sum() == 77169
    # 0.3 billion synapses; the in-degrees of the paper's text: about 3,900 recurrent inputs a neuron
    total = m.synapse_numbers().sum()
    assert 2.98e8 < total < 3.0e8
    assert 3800 < total / 77169 < 3950
    assert m.psc(0.15) == pytest.approx(87.81, abs=0.01)
    w = m.weights()
    assert w[0, 2] == pytest.approx(2 * 87.81, abs=0.02)
    assert np.all(w[:, 1::2] < 0) and np.all(w[:, 0::2] > 0)
    assert w[1, 1] == pytest.approx(-4 * 87.81, abs=0.05)
    np.testing.assert_array_equal(m.constant_current(1.0), np.zeros(8))


@pytest.mark.parametrize("scale", [0.02, 0.1, 0.5])
def test_microcircuit_scaling_keeps_mean_and_variance(microcircuit, scale):
    """Mean and variance of the input current at the published rates, from the tables alone."""
    m = microcircuit

    def moments(s: float) -> tuple[np.ndarray, np.ndarray]:
        degrees, w = m.synapse_numbers(s) / m.sizes(s)[:, None], m.weights(s)
        external = np.rint(m.K_EXTERNAL * s) * m.RATE_EXTERNAL
        w_ext = m.psc(m.PSP) / np.sqrt(s)
        tau = 1e-3 * m.NEURON["tau_syn_ex"]
        mean = tau * ((w * degrees) @ m.PUBLISHED_RATES + w_ext * external) + m.constant_current(s)
        variance = tau / 2 * ((w**2 * degrees) @ m.PUBLISHED_RATES + w_ext**2 * external)
        return mean, variance

    mean, variance = moments(scale)
    mean_full, variance_full = moments(1.0)
    # populations are rounded to whole neurons: at most 0.5 of 21 (L5I at 0.02), in the in-degrees of all its targets
    tolerance = 0.5 / m.sizes(scale).min()
    np.testing.assert_allclose(variance, variance_full, rtol=tolerance)
    gain = m.NEURON["tau_m"] / m.NEURON["c_m"]
    spread = gain * m.psc(m.PSP) * 1e-3 * m.NEURON["tau_syn_ex"] * 2000 * 8.0  # mV, drive of one population
    np.testing.assert_allclose(gain * mean, gain * mean_full, atol=tolerance * spread)


def test_microcircuit_rates(microcircuit):
    """At scale 0.1. A down-scaled network is more correlated and its rates lie below the published ones, most where
    they are lowest (L2/3E, L6E); NEST and Brian2 show the same (all neurons 2.7 Hz at 0.1; published 3.2 Hz at 1).
    Bands: 0.55 to 1.2 times the published rate where that is above 2.5 Hz (106 neurons x 8 Hz x 0.6 s = 500 spikes and
    more, a standard deviation of 5 % at most), 0.2 to 1.5 Hz for the two slow populations, 2.3 to 3.1 Hz for all."""
    result = snn.Simulation(microcircuit.build(scale=0.1, seed=1), dt=0.1, quiet=True).run(800.0)
    rows = microcircuit.rates_table(result)
    for row in rows:
        published, rate = row["published_hz"], row["rate_hz"]
        if published > 2.5:
            assert 0.55 * published < rate < 1.2 * published, row
            assert 0.3 < row["cv_isi"] < 1.1, row
        else:
            assert 0.2 < rate < 1.5, row
    mean = sum(r["rate_hz"] * r["neurons"] for r in rows) / sum(r["neurons"] for r in rows)
    assert 2.3 < mean < 3.1


def test_brunel_asynchronous_irregular():
    """Table 1 of the paper: 37.7 Hz (simulation), 38.0 Hz (theory). NEST and Brian2: 36.5 to 38.6 Hz, CV 0.33 to 0.40
    over some hundred ms. The 140,000 spikes of 0.3 s pin the rate; the band is for slow fluctuations of all."""
    brunel = load("brunel_2000")
    result = snn.Simulation(brunel.build(seed=3), dt=0.1, quiet=True).run(500.0)
    m = brunel.measure(result)
    assert 35.0 < m["rate"] < 40.0
    assert 0.3 < m["cv"] < 0.55


def test_brunel_slow_oscillation():
    """Figure 8D: 5.5 Hz and an oscillation of 22 Hz in the paper's table 1."""
    brunel = load("brunel_2000")
    regime = brunel.REGIMES["SI-slow"]
    result = snn.Simulation(brunel.build(g=regime.g, eta=regime.eta, seed=3), dt=0.1, quiet=True).run(1200.0)
    m = brunel.measure(result)
    assert 4.0 < m["rate"] < 8.0
    assert 15.0 < m["frequency"] < 30.0


@pytest.mark.parametrize(("kind", "low", "high", "cv"), [("CUBA", 4.8, 6.5, 0.4), ("COBA", 15.0, 24.0, 0.9)])
def test_vogels_abbott(kind, low, high, cv):
    """Brette et al. 2007: CUBA fires at 5 to 6 Hz, COBA near 20 Hz (bursting: CV above 1); NEST and Brian2 the same."""
    example = load("vogels_abbott_2005")
    result = snn.Simulation(example.build(kind, seed=1), dt=0.1, threads=1, quiet=True).run(1000.0)
    rate, measured_cv = example.measure(result)
    assert low < rate < high
    assert measured_cv > cv


def test_izhikevich_rate_and_rhythm():
    """NEST and Brian2 give 7.1 to 7.4 Hz for the published script. Figure 3: alpha- and gamma-like synchrony, so more
    power at 5 to 60 Hz than a flat spectrum has below 200 Hz (32 %)."""
    example = load("izhikevich_2003")
    m = example.measure(snn.Simulation(example.build(seed=2), dt=1.0, threads=1, quiet=True).run(2000.0))
    assert 6.0 < m["rate"] < 8.5
    assert m["alpha"] + m["gamma"] > 0.45


# --- Song, Miller & Abbott 2000: competition between synapses ---


@pytest.fixture(scope="module")
def song() -> ModuleType:
    return load("song_2000")


def song_weights(song, rule, duration=100_000.0, seed=3):
    sim = snn.Simulation(song.network(snn.Poisson(rate=15.0), rule, seed), dt=song.DT, threads=1, quiet=True)
    spikes = len(sim.run(duration).spikes["cell"])
    return song.measure(song.strengths(sim), spikes, duration)


def test_additive_stdp_makes_weights_bimodal(song):
    """The figures of Brian2's example; over six seeds the rate is 19 to 23 Hz, the parts move by 0.02."""
    rate, mean, sd, low, high = song_weights(song, "additive")
    expected = song.PEER["additive"]
    assert rate == pytest.approx(expected[0], abs=2.5)
    assert mean == pytest.approx(expected[1], abs=0.02)
    assert sd == pytest.approx(expected[2], abs=0.02)
    assert low == pytest.approx(expected[3], abs=0.04) and high == pytest.approx(expected[4], abs=0.04)


@pytest.mark.parametrize("rule, sd", [("Guetig, mu = 0.1", 0.10), ("van Rossum", 0.030), ("multiplicative", 0.020)])
def test_weight_dependence_makes_weights_unimodal(song, rule, sd):
    """Widths that an event-driven program of its own gives for the same parameters."""
    _, mean, got, low, high = song_weights(song, rule)
    assert got == pytest.approx(sd, rel=0.1)
    assert 0.45 < mean < 0.55 and low == high == 0.0


def test_stdp_moves_the_response_to_earlier_times(song):
    onsets, latencies, trains = song.stimuli(40_000.0, seed=1)
    net = song.network(snn.SpikeArray.from_spiketrains(trains), seed=1, first=song.FIRST)
    sim = snn.Simulation(net, dt=song.DT, threads=1, quiet=True)
    found = song.responses(onsets, sim.run(40_000.0).spikes["cell"].times)
    assert np.nanmean(found[:20]) - np.nanmean(found[-20:]) > 8.0
    assert np.corrcoef(latencies, song.strengths(sim))[0, 1] < -0.4


def test_distal_reward_strengthens_the_synapse_that_earns_it():
    """A part of the hour that the whole task takes: from weight 2 the chosen synapse grows towards 4 if rewarded
    (of 4 seeds, 400 s: highest weights 3.6 to 4), and not without (highest 2.0 to 2.2)."""
    example = load("izhikevich_2007")
    highest = {}
    for reward in (example.REWARD, 0.0):
        states = list(example.Task(seed=1, window=20.0, reward=reward, first=2.0).run(400.0, 50.0))
        highest[reward] = max(s.chosen for s in states)
        assert 1.4 < np.mean([s.rate for s in states]) < 2.2 and states[-1].rewards > 15
        assert states[-1].weights.min() >= 0.0 and states[-1].weights.max() <= example.W_MAX
        assert states[-1].mean < 0.8, "the others decline"
    assert highest[example.REWARD] > 3.2 and highest[0.0] < 2.5


def test_digits_are_learned_without_labels():
    """The paper's 87 % is for MNIST; these digits are easier. Three seeds: 90.0 to 92.5 % of those held out."""
    pytest.importorskip("sklearn", reason="scikit-learn brings the digits")
    example = load("diehl_cook_2015")
    images, labels, held_out, held_out_labels = example.digits(seed=1)
    weights, theta = example.learn(images, epochs=1, seed=1)
    assert weights.min() >= 0.0 and weights.max() <= example.W_MAX
    names = example.named(example.responses(images, weights, theta, seed=2), labels)
    assert np.mean(names < 0) < 0.05 and set(range(10)) <= set(names)
    answers = example.classified(example.responses(held_out, weights, theta, seed=3), names)
    assert np.mean(answers == held_out_labels) > 0.87
    shuffled = np.random.default_rng(0).permuted(weights, axis=1)
    names = example.named(example.responses(images[:400], shuffled, 0.5 * theta, seed=2), labels[:400])
    answers = example.classified(example.responses(held_out, shuffled, 0.5 * theta, seed=3), names)
    assert np.mean(answers == held_out_labels) < 0.7, "the figure must come from the weights that were learned"


def test_inhibitory_plasticity_balances_network_and_memory():
    """Rates of Brian2's example of Vogels et al. 2011 with 2,500 neurons; one seed differs from another by a tenth."""
    example = load("vogels_2011")
    n, threads = 2500, 2
    before = snn.Simulation(example.build(n, learning=False), dt=example.DT, threads=threads, quiet=True).run(300.0)
    assert example.rate(before.spikes["exc"], 0.0, 0.3) == pytest.approx(example.PEER_UNBALANCED, rel=0.05)
    sim = snn.Simulation(example.build(n), dt=example.DT, threads=threads, quiet=True)
    spikes = sim.run(13_000.0).spikes["exc"]
    for window in ((1, 3), (3, 8), (8, 13)):
        assert example.rate(spikes, *window) == pytest.approx(example.PEER[window], rel=0.15)
    assert np.nanmean(spikes.slice(8000.0, 13_000.0).cv()) > 0.85

    net = example.with_memory(sim, n, seed=2, on=13.0)
    spikes = snn.Simulation(net, dt=example.DT, threads=threads, quiet=True).run(14_000.0).spikes["exc"]
    _, others, rest = example.groups(n)
    assert example.rate(spikes, 0.0, 0.3, others) > 50.0, "strong connections must raise the rate at first"
    quiet = example.rate(spikes, 8.0, 13.0, others)
    assert quiet == pytest.approx(example.rate(spikes, 8.0, 13.0, rest), rel=0.3), "balanced: rates alike"
    assert example.rate(spikes, 13.0, 14.0, others) > 5 * quiet, "the cue recalls the others"
    assert example.rate(spikes, 13.0, 14.0, rest) < 2 * quiet


def test_wang_decides_and_remembers():
    """Wang 2002: spontaneous rates of some Hz; then a group wins by its evidence, and holds on when that has gone."""
    wang = load("wang_2002")
    result = snn.Simulation(wang.build(0.512, seed=3), dt=wang.DT, quiet=True).run(wang.STOP)
    before = {name: x.slice(200.0, wang.ON) for name, x in result.spikes.items()}
    rates = {name: len(x) / x.n_nodes / 0.3 for name, x in before.items()}
    assert 0.5 < rates["exc"] < 5.0  # 3 Hz in the paper
    assert 5.0 < rates["inh"] < 14.0  # 9 Hz
    choice, when, held = wang.decision(result)
    assert (choice, held) == (1.0, True)
    assert 100.0 < when < 900.0
    _, (a, b, _) = wang.rates(result)
    assert 15.0 < a[-1] < 80.0 and b[-1] < 10.0
