"""Inputs follow their laws and arrive when they should. A LIFDelta neuron that never fires is the meter: its potential
gives back what arrived in each step, and the current during it."""

import math

import numpy as np
import pytest
from scipy import stats

import snn

DT, TAU, C = 0.1, 10.0, 250.0
METER = {"tau_m": TAU, "c_m": C, "e_l": 0.0, "v_reset": 0.0, "v_th": 1e9}


def potentials(inputs, n, duration, dt=DT, seed=1, threads=1, before=(), splits=()):
    """v of each input's own population, shape (steps, n), by name. ``before``: names of populations made earlier;
    ``splits``: times of runs that come first, out of ``duration``."""
    net = snn.Network(seed=seed)
    for name in before:
        net.input(f"into {name}", net.population(name, 7, snn.LIFDelta(**METER)), snn.Poisson(500.0), weight=1.0)
    for name, source in inputs.items():
        pop = net.population(name, n, snn.LIFDelta(**METER))
        net.input(name, pop, source, **({} if isinstance(source, snn.inputs.CurrentInput) else {"weight": 1.0}))
        net.record(pop, "v")
    sim = snn.Simulation(net, dt=dt, threads=threads, quiet=True)
    results = [sim.run(t) for t in (*splits, duration - sum(splits))]
    return {name: np.concatenate([r.states[name]["v"] for r in results]) for name in inputs}


def jumps(v, dt=DT):
    """What was added in each step."""
    return v - math.exp(-dt / TAU) * np.vstack((np.zeros(v.shape[1]), v[:-1]))


def counts(inputs, n, duration, **options):
    """Spikes of weight 1 that arrived, shape (steps, n)."""
    out = {}
    for name, v in potentials(inputs, n, duration, **options).items():
        out[name] = np.rint(jumps(v)).astype(int)
        assert np.abs(jumps(v) - out[name]).max() < 1e-6
    return out


def currents(inputs, n, duration, dt=DT, **options):
    """Injected currents in pA, shape (steps, n)."""
    gain = -math.expm1(-dt / TAU) * TAU / C
    return {name: jumps(v, dt) / gain for name, v in potentials(inputs, n, duration, dt, **options).items()}


def poisson_pvalue(sample, mean):
    """Chi-square of counts against the Poisson law, in bins of expectation >= 10."""
    law, n = stats.poisson(mean), sample.size
    borders, below = [], 0.0
    for k in range(int(law.ppf(1 - 10 / n)) + 1):
        if (law.cdf(k) - below) * n >= 10 and law.sf(k) * n >= 10:
            borders.append(k)
            below = law.cdf(k)
    expected = np.diff([0.0, *law.cdf(borders), 1.0]) * n
    return stats.chisquare(
        np.bincount(np.searchsorted(borders, sample.ravel()), minlength=len(expected)), expected
    ).pvalue


# Poisson ------------------------------------------------------------------------------------------------------------

MEANS = (0.01, 0.1, 0.5, 1.0, 3.0, 10.0, 50.0, 200.0, 500.0)
N = 500


def test_poisson_counts():
    """Two kernels (one rate; one a neuron) at nine means: 18 tests, family-wise alpha 0.01."""
    inputs = {f"one {m}": snn.Poisson(m / DT * 1e3) for m in MEANS}
    inputs |= {f"each {m}": snn.Poisson(np.full(N, m / DT * 1e3)) for m in MEANS}
    for name, k in counts(inputs, N, 5.0).items():
        assert poisson_pvalue(k, float(name.split()[1])) > 0.01 / 18, name


def test_poisson_source_population():
    """Spikes of a population of sources: counts by neuron and step; 2 tests at 0.001 / 2."""
    for mean in (0.02, 2.0):
        net = snn.Network(seed=2)
        net.record(net.population("a", N, snn.Poisson(mean / DT * 1e3)))
        spikes = snn.Simulation(net, dt=DT, quiet=True).run(5.0).spikes["a"]
        step = np.rint(spikes.times / DT).astype(int)
        assert step.min() >= 1 and step.max() <= 50
        assert poisson_pvalue(np.bincount((step - 1) * N + spikes.ids, minlength=50 * N), mean) > 0.0005


def test_poisson_rates_of_each_neuron():
    """Totals over 100 ms: chi-square of the standardised counts, alpha 0.001 two-sided."""
    rates = np.linspace(0.0, 8000.0, N)
    total = counts({"a": snn.Poisson(rates)}, N, 100.0)["a"].sum(axis=0)
    assert total[0] == 0
    statistic = np.sum((total[1:] - rates[1:] * 0.1) ** 2 / (rates[1:] * 0.1))
    assert 0.0005 < stats.chi2.cdf(statistic, N - 1) < 0.9995


def test_poisson_intervals():
    """A mean of 40 a step is never 0 (probability 4e-18): the active steps show."""
    rate = 40.0 / DT * 1e3
    inputs = {
        "start": snn.Poisson(rate, start=2.0),
        "stop": snn.Poisson(rate, stop=3.0),
        "both": snn.Poisson(np.full(5, rate), start=1.0, stop=1.5),
        "off grid": snn.Poisson(rate, start=0.95, stop=1.91),
        "shared": snn.Poisson(rate, shared=True, start=4.8),
        "segments": snn.Poisson([rate, 0.0, rate, 0.0], times=[0.5, 1.0, 2.0, 4.0]),
        "cut": snn.Poisson([rate, 0.0, rate, 0.0], times=[0.5, 1.0, 2.0, 4.0], start=0.7, stop=2.5),
        "late": snn.Poisson([rate, 0.0], times=[0.0, 1.0], start=1.5),
    }
    active = {
        "start": [(20, 50)], "stop": [(0, 30)], "both": [(10, 15)], "off grid": [(10, 20)], "shared": [(48, 50)],
        "segments": [(5, 10), (20, 40)], "cut": [(7, 10), (20, 25)], "late": [],
    }  # fmt: skip
    for name, k in counts(inputs, 5, 5.0).items():
        expected = np.zeros(50, bool)
        for first, last in active[name]:
            expected[first:last] = True
        np.testing.assert_array_equal(k > 0, np.repeat(expected[:, None], 5, axis=1), err_msg=name)


def test_poisson_segment_rates():
    """Each segment has its own mean; 3 tests, alpha 0.001 / 3."""
    k = counts({"a": snn.Poisson([5e3, 4e4, 1e3], times=[0.0, 1.0, 3.0])}, N, 6.0)["a"]
    for first, last, mean in ((0, 10, 0.5), (10, 30, 4.0), (30, 60, 0.1)):
        assert poisson_pvalue(k[first:last], mean) > 0.001 / 3


@pytest.mark.parametrize("engine", ["clock", "event"])
@pytest.mark.parametrize("each", [False, True], ids=["one rate", "one a neuron"])
def test_rate_that_is_a_function_of_time(engine, each):
    """Counts in bins of 25 ms against the integral of the rate, alpha 0.001; the same spikes as of segments by hand."""
    n, start, stop, period = 40, 100.0, 610.3, 170.0
    factors = np.linspace(0.5, 1.5, n) if each else np.ones(n)

    def rate(t):
        return 800.0 * (1.0 + 0.9 * math.sin(2 * math.pi * t / period)) * (factors if each else 1.0)

    def spikes(source):
        net = snn.Network(seed=7)
        net.record(net.population("source", n, source))
        return snn.Simulation(net, engine=engine, quiet=True).run(700.0).spikes["source"]

    record = spikes(snn.Poisson(rate, start=start, stop=stop, every=2.0))
    edges = np.append(np.arange(start, stop, 25.0), stop)
    found = np.array([np.histogram(record.times[record.ids == i] - 1e-6, edges)[0] for i in range(n)]).T
    assert found.sum() == len(record) > 10_000
    integral = 0.8 * (edges - 0.9 * period / (2 * math.pi) * np.cos(2 * math.pi * edges / period))
    expected = np.diff(integral)[:, None] * factors
    some = expected > 5.0
    statistic = np.sum((found - expected)[some] ** 2 / expected[some])
    assert some.mean() > 0.7 and 0.0005 < stats.chi2.cdf(statistic, some.sum()) < 0.9995
    times = np.arange(start, stop, 2.0)
    middles = (times + np.append(times[1:], stop)) / 2
    same = spikes(snn.Poisson(np.array([rate(t) for t in middles]), times=times, start=start, stop=stop))
    assert np.array_equal(record.times, same.times) and np.array_equal(record.ids, same.ids)


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_rates_that_change_for_each_neuron(engine):
    """Spikes of every neuron and segment against its rate; chi-square of 60 numbers, alpha 0.001."""
    rates = np.random.default_rng(1).uniform(0.0, 4e3, (3, 20))
    rates[1, :5] = 0.0
    net = snn.Network(seed=7)
    source = net.population("source", 20, snn.Poisson(rates, times=[0.0, 150.0, 350.0], start=50.0, stop=500.0))
    net.record(source)
    record = snn.Simulation(net, engine=engine, quiet=True).run(600.0).spikes["source"]
    edges = [0.0, 50.0, 150.0, 350.0, 500.0, 600.0]
    found = np.array([np.histogram(record.times[record.ids == i] - 1e-6, edges)[0] for i in range(20)]).T
    assert not found[[0, -1]].any() and not found[2, :5].any()
    expected = rates * np.array([[0.1], [0.2], [0.15]])
    some = expected > 5.0
    statistic = np.sum((found[1:4] - expected)[some] ** 2 / expected[some])
    assert 0.0005 < stats.chi2.cdf(statistic, some.sum()) < 0.9995


def test_shared_train():
    """One train for all neurons, Poisson in time, alpha 0.001; without ``shared`` the trains differ."""
    k = counts({"a": snn.Poisson(7e3, shared=True), "b": snn.Poisson(7e3)}, 20, 300.0)
    assert np.all(k["a"] == k["a"][:, :1])
    assert poisson_pvalue(k["a"][:, 0], 0.7) > 0.001
    assert not np.any(np.all(k["b"][:, 1:] == k["b"][:, :1], axis=0))


def test_trains_are_independent():
    """Correlations of T counts are about normal with std 1/sqrt(T): of all pairs of 30 neurons of two inputs, and of
    each with itself shifted by 1 to 4 steps. Family-wise alpha 0.001."""
    steps = 4000
    k = counts({"a": snn.Poisson(1e4), "b": snn.Poisson(np.full(15, 1e4))}, 15, steps * DT)
    x = np.concatenate((k["a"], k["b"]), axis=1).astype(float)
    r = np.corrcoef(x.T)[np.triu_indices(30, 1)]
    shifted = [np.corrcoef(x[:-lag, i], x[lag:, i])[0, 1] for lag in (1, 2, 3, 4) for i in range(30)]
    limit = stats.norm.isf(0.001 / 2 / (len(r) + len(shifted))) / math.sqrt(steps - 4)
    assert np.abs(r).max() < limit and np.abs(shifted).max() < limit
    assert np.std(r) * math.sqrt(steps) == pytest.approx(1.0, abs=0.15)  # 4.5 std of a std of 435


@pytest.mark.parametrize(
    "source",
    [
        snn.Poisson(5e3), snn.Poisson(np.linspace(0, 5e3, 9)), snn.Poisson(5e3, shared=True),
        snn.NoiseCurrent(std=50.0, dt=0.1), snn.NoiseCurrent(std=50.0, dt=0.3, start=0.4),
        snn.OrnsteinUhlenbeck(std=50.0),
    ],
    ids=["poisson", "each", "shared", "noise", "held noise", "ou"],
)  # fmt: skip
def test_streams_have_names(source):
    """The name and the seed choose the noise; other populations, their order, threads and splits of the run do not."""
    v = potentials({"a": source, "z": source}, 9, 6.0)
    np.testing.assert_array_equal(v["a"], potentials({"z": source, "a": source}, 9, 6.0, before=("x", "y"))["a"])
    np.testing.assert_array_equal(v["a"], potentials({"a": source}, 9, 6.0, threads=3)["a"])
    np.testing.assert_array_equal(v["a"], potentials({"a": source}, 9, 6.0, splits=(0.1, 0.5, 0.2, 2.5, 0.3))["a"])
    other = potentials({"a": source}, 9, 6.0, seed=2)["a"]
    for w in (v["z"], other):
        assert np.abs(v["a"] - w)[-1].max() > 1e-6


def test_too_many_spikes_a_step():
    for rate, most in ((2e8, 10000), (np.full(3, 1e7), 700)):
        net = snn.Network()
        net.input("a", net.population("a", 3, snn.LIFDelta()), snn.Poisson(rate), weight=1.0)
        with pytest.raises(snn.ModelError, match=f"at most {most} spikes a step"):
            snn.Simulation(net, quiet=True)


# given spikes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dt", [0.1, 0.25, 1.0])
def test_spike_array_moves_v_at_its_time(dt):
    """v sampled at t includes a spike at t; a time off the grid moves to the end of its step."""
    times = np.array([1.0, 3.0, 3.0, 3.0, 7.0, 9.0 - 0.4 * dt, 11.0 + 0.01 * dt, 1e-9])
    ids = np.array([0, 1, 1, 0, 2, 2, 3, 3])
    moved = np.array([1.0, 3.0, 3.0, 3.0, 7.0, 9.0, 11.0 + dt, dt])
    added = jumps(potentials({"a": snn.SpikeArray(times, ids)}, 4, 20.0, dt)["a"], dt)
    expected = np.zeros_like(added)
    np.add.at(expected, (np.rint(moved / dt).astype(int) - 1, ids), 1.0)
    np.testing.assert_allclose(added, expected, atol=1e-12)


def test_spike_array_weights():
    net = snn.Network()
    pop = net.population("a", 3, snn.LIFDelta(**METER))
    net.input("own", pop, snn.SpikeArray([1.0, 2.0, 2.0], [0, 1, 1], weights=[0.5, -2.0, 0.25]), receptor="syn")
    net.input("by neuron", pop, snn.SpikeArray([3.0, 3.0], [0, 2]), weight=[10.0, 20.0, 30.0])
    net.input("none", pop, snn.SpikeArray([], weights=[]))
    net.input("after it", pop, snn.Poisson(np.array([0.0, 0.0, 4e5])), weight=[1.0, 2.0, 3.0])
    net.record(pop, "v")
    added = jumps(snn.Simulation(net, dt=DT, quiet=True).run(5.0).states["a"]["v"])
    expected = np.zeros((50, 2))
    expected[9, 0], expected[19, 1], expected[29, 0] = 0.5, -1.75, 10.0
    np.testing.assert_allclose(added[:, :2], expected, atol=1e-12)

    assert 100 < added[:29, 2].mean() < 140  # 3 * 40; the std of the mean is 3.5


@pytest.mark.parametrize("delay", [0.1, 0.7, 1.5, 25.6, 40.0])
def test_spike_array_through_a_connection(delay):
    """From a source of spikes: v moves at t + delay exactly."""
    net = snn.Network()
    src = net.population("src", 2, snn.SpikeArray([1.0, 2.34, 2.4, 5.0], [0, 1, 1, 0]))
    pop = net.population("a", 2, snn.LIFDelta(**METER))
    net.connect(src, pop, snn.one_to_one(), weight=0.5, delay=delay)
    net.record(pop, "v")
    net.record(src)
    result = snn.Simulation(net, dt=DT, quiet=True).run(50.0)
    np.testing.assert_allclose(result.spikes["src"].times, [1.0, 2.4, 2.4, 5.0], rtol=1e-12)
    np.testing.assert_array_equal(result.spikes["src"].ids, [0, 1, 1, 0])
    expected = np.zeros((500, 2))
    for t, i, w in ((1.0, 0, 0.5), (2.4, 1, 1.0), (5.0, 0, 0.5)):
        expected[round((t + delay) / DT) - 1, i] = w
    np.testing.assert_allclose(jumps(result.states["a"]["v"]), expected, atol=1e-12)


def test_spike_array_from_spiketrains():
    added = jumps(potentials({"a": snn.SpikeArray.from_spiketrains([[2.0, 1.0], [], [3.0]])}, 3, 4.0)["a"])
    assert [(int(s), int(i)) for s, i in zip(*np.nonzero(added > 0.5), strict=True)] == [(9, 0), (19, 0), (29, 2)]


# currents -----------------------------------------------------------------------------------------------------------


def charged(v, current, time):
    """v after ``time`` ms of a constant current: tau dv/dt = -v + tau / c * current."""
    end = current * TAU / C
    return end + (v - end) * np.exp(-time / TAU)


@pytest.mark.parametrize("dt", [0.1, 0.5])
def test_step_current(dt):
    """Exact where the current is constant in a step: 1e-9 mV after a sum of three closed forms."""
    amplitudes, times = np.array([200.0, -50.0, 700.0]), [2.0, 5.0, 11.5]
    v = potentials(
        {"a": snn.StepCurrent(amplitudes, times), "b": snn.StepCurrent([[100.0, 200.0], [0.0, -30.0]], [0.0, 3.0])},
        2,
        20.0,
        dt,
    )
    t = dt * np.arange(1, len(v["a"]) + 1)
    expected = np.zeros_like(t)
    at = 0.0
    for current, start, stop in zip([0.0, *amplitudes], [0.0, *times], [*times, 20.0], strict=True):
        inside = (t > start + 1e-9) & (t < stop + 1e-9)
        expected[inside] = charged(at, current, t[inside] - start)
        at = charged(at, current, stop - start)
    for i in (0, 1):
        np.testing.assert_allclose(v["a"][:, i], expected, atol=1e-9)
        first = charged(0.0, (100.0, 200.0)[i], np.minimum(t, 3.0))
        second = charged(charged(0.0, (100.0, 200.0)[i], 3.0), (0.0, -30.0)[i], t - 3.0)
        np.testing.assert_allclose(v["b"][:, i], np.where(t < 3.0 + 1e-9, first, second), atol=1e-9)


def test_currents_add():
    v = potentials({"a": snn.StepCurrent([200.0])}, 1, 10.0)["a"]
    net = snn.Network()
    pop = net.population("a", 1, snn.LIFDelta(**METER | {"i_e": 150.0}))
    net.input("one", pop, snn.StepCurrent([80.0]))
    net.input("two", pop, snn.StepCurrent([-30.0]))
    net.record(pop, "v")
    w = snn.Simulation(net, quiet=True).run(10.0).states["a"]["v"]
    np.testing.assert_allclose(w, v, rtol=1e-12)


def test_ac_current():
    """Held during a step: exact for the held current, first order in dt for the sine itself."""
    amplitude, frequency, phase, offset = 300.0, 40.0, 0.7, 90.0
    source = snn.ACCurrent(amplitude, frequency, phase, offset)
    w = 2 * math.pi * frequency * 1e-3
    # dv/dt = -v / tau + (offset + amplitude * sin(w t + phase)) / c with v(0) = 0
    gain = amplitude / C / (1 / TAU**2 + w**2)

    def particular(t):
        return offset * TAU / C + gain * (np.sin(w * t + phase) / TAU - w * np.cos(w * t + phase))

    errors = []
    for dt in (0.2, 0.1, 0.05):
        v = potentials({"a": source}, 1, 60.0, dt)["a"][:, 0]
        t = dt * np.arange(1, len(v) + 1)
        errors.append(np.abs(v - particular(t) + particular(0.0) * np.exp(-t / TAU)).max())
        held, x = offset + amplitude * np.sin(w * (t - dt) + phase), 0.0
        for k, current in enumerate(held):
            x = charged(x, current, dt)
            assert abs(x - v[k]) < 1e-9
    assert errors[0] < 0.2 * amplitude * w * TAU / C  # dt times the largest slope of the current, in mV
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 2.0, rtol=0.03)


def test_current_intervals():
    inputs = {
        "ac": snn.ACCurrent(100.0, 0.0, phase=math.pi / 2, start=1.0, stop=2.0),
        "noise": snn.NoiseCurrent(mean=100.0, std=0.0, dt=0.1, start=0.5, stop=1.25),
        "step": snn.StepCurrent([100.0, 0.0], [0.31, 0.9]),
    }
    active = {"ac": (10, 20), "noise": (5, 13), "step": (4, 9)}
    for name, i in currents(inputs, 2, 3.0).items():
        expected = np.zeros((30, 2))
        expected[slice(*active[name])] = 100.0
        np.testing.assert_allclose(i, expected, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    ("source", "first", "second"),
    [
        (snn.StepCurrent([10.0, 20.0, 30.0, 0.0], [0.0, 0.03, 0.06, 0.96]), 0.03, 0.06),
        (snn.StepCurrent([[10.0], [20.0]], [0.41, 0.5]), 0.41, 0.5),
        (snn.Poisson([0.0, 4000.0, 0.0], times=[0.0, 0.25, 0.28]), 0.25, 0.28),
        (snn.Poisson([[40.0], [0.0]], times=[0.01, 0.05], start=0.02), 0.02, 0.05),
        (snn.Poisson([4000.0, 50.0], times=[0.0, 0.55], stop=0.6), 0.55, 0.6),
        (snn.Poisson(4000.0, start=0.51, stop=0.6), 0.51, 0.6),
        (snn.ACCurrent(1.0, 1.0, start=0.51, stop=0.59), 0.51, 0.59),
        (snn.NoiseCurrent(0.0, 1.0, dt=0.1, start=0.51, stop=0.59), 0.51, 0.59),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_is_shorter_than_a_step_is_refused(source, first, second):
    """It was lost silently. A grid that resolves it takes it."""
    text = f"what begins at {first} ms ends at {second} ms, before a step of dt = 0.1 ms begins"
    with pytest.raises(snn.ModelError, match=f"Input 'a'.*: {text}"):
        potentials({"a": source}, 1, 1.0)
    if not isinstance(source, snn.NoiseCurrent):
        assert potentials({"a": source}, 1, 1.0, dt=0.01)["a"].shape == (100, 1)


def test_segments_before_the_start_or_after_the_stop_do_not_count():
    """Of those before the start the last acts, on any grid."""
    times = [0.0, 0.01, 0.02, 0.5, 0.61, 0.62]
    found = counts({"a": snn.Poisson([0.0, 0.0, 1e6, 0.0, 1e6, 1e6], times=times, start=0.1, stop=0.6)}, 50, 1.0)["a"]
    assert found[1:5].min() > 50 and found[0].max() == found[5:].max() == 0


@pytest.mark.parametrize("every", [1, 5])
def test_noise_current(every):
    """Held for ``dt``; normal (KS), neurons and intervals uncorrelated: three tests a case, alpha 0.001 / 6 each."""
    n = 300
    i = currents({"a": snn.NoiseCurrent(mean=30.0, std=80.0, dt=every * DT)}, n, every * 5.0)["a"]
    held = i.reshape(50, every, n)
    assert np.ptp(held, axis=1).max() < 1e-6 and np.abs(np.diff(held[:, 0], axis=0)).min() > 1e-6
    x = (held[:, 0] - 30.0) / 80.0
    assert stats.kstest(x.ravel(), stats.norm.cdf).pvalue > 0.001 / 6
    for a, b in ((x[1:], x[:-1]), (x[:, 1:], x[:, :-1])):  # sums of products of independent normal numbers
        assert abs(np.sum(a * b)) < stats.norm.isf(0.001 / 12) * math.sqrt(a.size)


def test_ornstein_uhlenbeck():
    """Stationary from the start: mean, std, normality over neurons at three times; exp(-lag / tau) by Fisher's
    transform of correlations; variance of 900000 kicks. 3 * 3 + 4 + 1 + 2 tests, alpha 0.001 / 16 each."""
    n, mean, std, tau = 3000, 40.0, 60.0, 5.0
    x = currents({"a": snn.OrnsteinUhlenbeck(mean=mean, std=std, tau=tau)}, n, 30.0)["a"]
    alpha = 0.001 / 16
    z = stats.norm.isf(alpha / 2)
    for step in (0, 50, 299):
        now = (x[step] - mean) / std
        assert abs(now.mean()) < z / math.sqrt(n)
        assert alpha / 2 < stats.chi2.cdf(np.sum((now - now.mean()) ** 2), n - 1) < 1 - alpha / 2
        assert stats.kstest(now, stats.norm.cdf).pvalue > alpha
    for lag in (1, 10, 50, 150):
        r = np.corrcoef(x[100], x[100 + lag])[0, 1]
        assert abs(math.atanh(r) - math.atanh(math.exp(-lag * DT / tau))) < z / math.sqrt(n - 3)
    kicks = (x[1:] - mean) - (x[:-1] - mean) * math.exp(-DT / tau)
    ratio = np.sum(kicks**2) / (std**2 * -math.expm1(-2 * DT / tau))
    assert alpha / 2 < stats.chi2.cdf(ratio, kicks.size) < 1 - alpha / 2
    # neighbours are independent, and the law does not hang on dt
    assert abs(np.corrcoef(x[0, 1:], x[0, :-1])[0, 1]) < z / math.sqrt(n)
    coarse = currents({"a": snn.OrnsteinUhlenbeck(mean=mean, std=std, tau=tau)}, n, 10.0, dt=1.0)["a"]
    r = np.corrcoef(coarse[2], coarse[7])[0, 1]
    assert abs(math.atanh(r) - math.atanh(math.exp(-1.0))) < z / math.sqrt(n - 3)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: snn.Poisson(-1.0), "Poisson.rate: must be >= 0 Hz"),
        (lambda: snn.Poisson(math.nan), "Poisson.rate: must be finite"),
        (lambda: snn.Poisson(1.0, start=2.0, stop=2.0), "Poisson.stop: must be > start"),
        (lambda: snn.Poisson(1.0, start=-1.0), "start >= 0"),
        (
            lambda: snn.Poisson(lambda t: t),
            "Poisson.stop: must be finite where the rate is a function of time; got inf",
        ),
        (lambda: snn.Poisson(lambda t: t, times=[0.0], stop=9.0), "Poisson.times: must be left out"),
        (lambda: snn.Poisson(lambda t: t, stop=9.0, every=0.0), "Poisson.every: must be > 0 ms; got 0"),
        (lambda: snn.Poisson(lambda t: -t, stop=9.0), "Poisson.rate: must be >= 0 Hz"),
        (lambda: snn.Poisson(lambda t: [t] * int(t), stop=9.0), r"must give a number or shape \(n,\), always"),
        (lambda: snn.Poisson(1.0, every=1.0), "Poisson.every: is for a rate that is a function of time; got 1.0"),
        (lambda: snn.Poisson([1.0, 2.0], times=[0.0]), "one start time for each value"),
        (lambda: snn.Poisson([1.0, 2.0], times=[1.0, 1.0]), "must ascend"),
        (lambda: snn.Poisson([1.0, 2.0], shared=True), "a shared train has one rate"),
        (lambda: snn.Poisson([[1.0, 2.0]], times=[0.0], shared=True), "a shared train has one rate"),
        (lambda: snn.Poisson([[1.0, 2.0]]), r"Poisson.rate: must be a number or of shape \(n,\); got \(1, 2\)"),
        (lambda: potentials({"a": snn.Poisson([[1.0, 2.0]], times=[0.0])}, 3, 1.0), r"must have shape \(1, 3\)"),
        (lambda: snn.SpikeArray([-0.1]), "SpikeArray.times: must be >= 0 ms"),
        (lambda: snn.SpikeArray([1.0], [0, 1]), "SpikeArray.ids"),
        (lambda: snn.SpikeArray([1.0], [-1]), "SpikeArray.ids: must be >= 0"),
        (lambda: snn.SpikeArray([1.0], weights=[1.0, 2.0]), "SpikeArray.weights: must have shape"),
        (lambda: snn.StepCurrent([1.0, 2.0], [1.0]), "StepCurrent.times"),
        (lambda: snn.ACCurrent(1.0, -1.0), "ACCurrent.frequency: must be >= 0 Hz"),
        (lambda: snn.NoiseCurrent(std=-1.0), "NoiseCurrent.std: must be >= 0 pA"),
        (lambda: snn.OrnsteinUhlenbeck(tau=0.0), "OrnsteinUhlenbeck.tau: must be > 0 ms"),
        (lambda: potentials({"a": snn.Poisson([1.0, 2.0])}, 3, 1.0), "rate: must have shape"),
        (lambda: potentials({"a": snn.SpikeArray([1.0], [3])}, 3, 1.0), "ids: must be < 3"),
        (lambda: potentials({"a": snn.StepCurrent([[1.0, 2.0]])}, 3, 1.0), "amplitudes: must have shape"),
        (lambda: potentials({"a": snn.NoiseCurrent(dt=0.25)}, 3, 1.0), "must be a multiple of the simulation's dt"),
    ],
)
def test_errors(make, text):
    with pytest.raises(snn.SimError, match=text):
        make()
