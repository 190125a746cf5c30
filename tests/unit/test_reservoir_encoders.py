"""Encoders of spiking reservoirs, the series they take, and the column of Maass et al. (2002)."""

import warnings

import numpy as np
import pytest
from scipy import stats

import plasticity
import reservoir
import snn
from reservoir import column, encoders


def test_binned_counts_every_event_once():
    rng = np.random.default_rng(1)
    times, channels = np.sort(rng.uniform(0.0, 100.0, 500)), rng.integers(0, 5, 500)
    u = encoders.binned(times, channels, 5, every=4.0, duration=100.0)
    assert u.shape == (25, 5) and u.sum() == 500
    for k, c in ((0, 0), (7, 3), (24, 4)):
        assert u[k, c] == np.sum((channels == c) & (times >= 4.0 * k) & (times < 4.0 * (k + 1)))
    assert encoders.binned(times, channels, 5, every=4.0, duration=50.0).sum() == np.sum(times < 52.0)  # 13 whole bins
    assert encoders.binned([0.3], [0], 1, every=0.1).tolist() == [[0.0]] * 3 + [[1.0]]  # 0.3 / 0.1 < 3


def test_events_come_back_from_their_spikes():
    u = np.random.default_rng(2).integers(0, 3, (20, 4)).astype(float)
    times, channels = encoders.Events().spikes(u, 5.0, 0.5)
    assert np.all(np.diff(times) >= 0)
    assert np.array_equal(encoders.binned(times, channels, 4, 5.0, 100.0), u)


def test_delta_spikes_follow_the_series_to_a_threshold():
    u = np.cumsum(np.random.default_rng(3).normal(0.0, 0.3, (200, 2)), axis=0)
    times, channels = encoders.Delta(0.25).spikes(u, 1.0, 1.0)
    counts = encoders.binned(times, channels, 4, 1.0, 200.0)
    followed = 0.25 * np.cumsum(counts[:, :2] - counts[:, 2:], axis=0)
    assert np.abs(followed - u).max() < 0.25
    assert not np.any((counts[:, :2] > 0) & (counts[:, 2:] > 0))
    assert encoders.Delta(0.25).inputs(4) == 2


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7])
def test_delta_makes_one_spike_for_each_threshold_of_a_ramp(threshold):
    for up in (1.0, -1.0):
        ramp = up * threshold * np.arange(1, 2001)[:, None]  # its values are rounded
        for u in (ramp, np.cumsum(np.full((500, 1), up * threshold), axis=0)):
            times, channels = encoders.Delta(threshold).spikes(u, 1.0, 1.0)
            assert np.array_equal(times, np.arange(len(u))) and np.all(channels == (up < 0))
    assert not len(encoders.Delta(threshold).spikes(np.full((9, 1), 0.99999 * threshold), 1.0, 1.0)[0])


def test_poisson_spikes_have_the_rate_and_depend_on_the_past_alone():
    u = np.column_stack([np.full(2000, 0.2), np.full(2000, 1.0), np.zeros(2000)])
    times, channels = encoders.Poisson(50.0, seed=4).spikes(u, 10.0, 1.0)
    counts = np.bincount(channels, minlength=3)  # binomial of 20,000 steps: p 0.01 and 0.05
    for got, p in zip(counts, (0.01, 0.05, 0.0), strict=True):
        assert abs(got - 20_000 * p) <= 5.0 * np.sqrt(20_000 * p * (1 - p))  # 5 SD: 6e-7 a channel
    early, first = encoders.Poisson(50.0, seed=4).spikes(u[:300], 10.0, 1.0)
    assert np.array_equal(early, times[: len(early)]) and times[len(early)] >= 3000.0
    assert np.array_equal(first, channels[: len(early)])


def test_population_peaks_at_its_centres():
    curves = encoders.population(np.linspace(0.0, 1.0, 101), np.linspace(0.0, 1.0, 5), 0.1)
    assert curves.shape == (101, 5)
    assert curves.argmax(axis=0).tolist() == [0, 25, 50, 75, 100] and np.all(curves.max(axis=0) == 1.0)
    assert curves[35, 1] == pytest.approx(np.exp(-0.5))
    assert encoders.population(np.ones((3, 2)), [0.0, 1.0], 1.0).shape == (3, 4)


def test_spikes_reach_the_neurons_with_their_weights():
    net = reservoir.random_network(10, snn.LIFDelta(), snn.fixed_indegree(2), weight=0.1, seed=1)
    w = np.random.default_rng(5).normal(size=(8, 3))
    w[2, 1] = w[5] = 0.0
    liquid = reservoir.SpikingReservoir(net, {"exc": w}, encoder=encoders.Events(), hold=2.0)
    u = np.zeros((4, 3))
    u[1, 0], u[1, 2], u[3, 1] = 2, 1, 1
    got = np.zeros((4, 8))
    liquid._send(net, *liquid.encoder.spikes(u, 2.0, 1.0))
    for name, x in net.inputs.items():
        times, ids, weights = x.source.times, x.source.ids, x.source.weights
        assert np.all(weights > 0) == name.endswith("+") and np.all(weights != 0)
        np.add.at(got, (np.ceil(times / 2.0 - 1e-9).astype(int) - 1, ids), weights)  # an edge ends a sample
    assert np.allclose(got, u @ w.T, atol=1e-15)


class Late(encoders.Encoder):
    """Of a user: a spike for each 1, in the last step of its sample, off the grid."""

    def spikes(self, u, hold, dt):
        sample, channel = np.nonzero(u)
        return (sample + 1) * hold - 0.5 * dt, channel


TOSSES = np.random.default_rng(11).integers(0, 2, 1000).astype(float)
TOSSES[-2:] = 0.0, 1.0  # the last one is heads, and a rise
ENCODERS = {
    "Events": lambda dt: (encoders.Events(), 1),
    "Delta": lambda dt: (encoders.Delta(0.5), 2),
    "Poisson": lambda dt: (encoders.Poisson(900.0 / dt), 1),
    "population": lambda dt: (encoders.Poisson(900.0 / dt), 2),
    "own": lambda dt: (Late(), 1),
}


@pytest.mark.parametrize("hold, dt", [(5.0, 1.0), (2.0, 0.1), (1.0, 1.0), (0.9, 0.3)])
@pytest.mark.parametrize("state", ["filter", "counts", "v"])
@pytest.mark.parametrize("kind", ENCODERS)
def test_states_tell_the_present_toss_of_a_coin_and_not_the_next(kind, state, hold, dt):
    encoder, channels = ENCODERS[kind](dt)
    u = encoders.population(TOSSES, [0.0, 1.0], 0.2) if kind == "population" else TOSSES
    net, v_th = snn.Network(), 1e9 if state == "v" else 1.0  # 1: a spike for each event
    net.population(
        "p", 2, snn.LIFDelta(tau_m=5.0, c_m=5.0, e_l=0.0, v_th=v_th, v_reset=0.0, t_ref=0.0), init={"v": 0.0}
    )
    w = {"p": 5.0 * np.eye(2) if channels == 2 else np.full((2, 1), 5.0)}
    liquid = reservoir.SpikingReservoir(net, w, encoder=encoder, hold=hold, dt=dt, state=state, tau=4.0, threads=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of the rate
        states = liquid.states(u)
        assert np.any(states[-1] != 0.0)
    x = np.column_stack([states[1:], states[:-1], np.ones(len(u) - 1)])  # both: a linear readout can undo the filter

    def error(y, x):
        return reservoir.measures.nrmse(x @ np.linalg.lstsq(x, y, rcond=None)[0], y)

    assert error(TOSSES[2:], x[:-1]) > 0.98  # by chance, four columns explain 0.4 % of the variance
    assert error(TOSSES[1:], x) < 0.8


def test_the_last_sample_is_seen_and_no_sample_before_its_time():
    net = snn.Network()
    net.population(
        "p", 1, snn.LIFDelta(tau_m=20.0, c_m=20.0, e_l=0.0, v_th=1e9, v_reset=0.0, t_ref=0.0), init={"v": 0.0}
    )
    for hold, dt in ((5.0, 1.0), (2.0, 0.1), (0.5, 0.5), (0.9, 0.3)):
        liquid = reservoir.SpikingReservoir(net, {"p": [[1.0]]}, encoder=encoders.Events(), hold=hold, dt=dt, state="v")
        u, v, expected = np.random.default_rng(12).integers(0, 3, 40).astype(float), 0.0, []
        for k in range(40):  # events arrive at the end of the sample's first step
            v = (v * np.exp(-dt / 20.0) + u[k]) * np.exp(-(hold - dt) / 20.0)
            expected.append(v)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            np.testing.assert_allclose(liquid.states(u)[:, 0], expected, rtol=1e-9, atol=1e-12)


def test_column_is_drawn_by_distance():
    counts, expected, variance = np.zeros(4), np.zeros(4), np.zeros(4)
    for seed in range(20):
        net = reservoir.maass_column(seed=seed)
        assert not np.any(np.all(net.populations["exc"].positions[:, None] == net.populations["inh"].positions, axis=2))
        for k, ((a, b), (share, *_)) in enumerate(column.SYNAPSES.items()):
            at, to = net.populations[a].positions, net.populations[b].positions
            p = share * np.exp(-np.sum((at[:, None] - to) ** 2, axis=2) / 4.0)
            if a == b:
                np.fill_diagonal(p, 0.0)
            counts[k] += net.projections[f"{a}->{b}"].rule.sources.size
            expected[k] += p.sum()
            variance[k] += np.sum(p * (1 - p))
    assert np.all(np.abs(counts - expected) <= 5.0 * np.sqrt(variance))  # 5 SD: 6e-7 each
    print("synapses a column", counts / 20)
    weights = np.concatenate([reservoir.maass_column(seed=s).projections["exc->inh"].weight for s in range(20)])
    assert weights.mean() == pytest.approx(60_000.0, rel=5.0 / np.sqrt(len(weights)))  # gamma of shape 1: SD = mean
    assert weights.std() == pytest.approx(weights.mean(), rel=0.15)
    rules = [reservoir.maass_column(seed=s).projections["inh->exc"].short_term.params for s in range(20)]
    for name, mean, most in (("u_se", 0.25, 1.0), ("tau_rec", 700.0, np.inf), ("tau_fac", 20.0, np.inf)):
        x = np.concatenate([params[name] for params in rules])
        assert np.all((x > 0.0) & (x <= most))
        rest = x[x != mean]  # the others lie outside: below 0 are 2.3 % of a normal law
        assert abs(np.mean(x == mean) - 0.0228) < 5.0 * np.sqrt(0.0228 / len(x))
        assert (
            stats.kstest(rest, stats.truncnorm(-2.0, (most - mean) / (0.5 * mean), mean, 0.5 * mean).cdf).pvalue > 1e-3
        )


def test_column_forgets_where_it_began_and_tells_inputs_apart():
    """The separation of Maass et al. in small, in the reference engine, which compiles nothing."""
    rng, states = np.random.default_rng(6), []
    trains = [(rng.random((80, 1)) < 0.1).astype(float) for _ in range(2)]
    for start, u in ((1, trains[0]), (2, trains[0]), (1, trains[1])):
        net = reservoir.maass_column((2, 2, 4), seed=3)
        net._seed = start
        for kind in ("exc", "inh"):
            n = net.populations[kind].n
            times = np.flatnonzero(u[:, 0]).astype(float)
            spikes = snn.SpikeArray(np.repeat(times, n), np.tile(np.arange(n), len(times)))
            net.input(f"train to {kind}", kind, spikes, weight=column.INPUT[kind])
            net.record(kind, "spikes")
        result = snn.Simulation(net, dt=0.5, backend="reference", quiet=True).run(80.0)
        states.append(np.hstack([reservoir.filtered(x, 1.0, 30.0) for x in result.spikes.values()]))
    same, other = (reservoir.measures.separation(states[0], x)[30:].mean() for x in states[1:])
    print("distance of states", same, other)
    assert other > 2.0 * same and states[0].max() > 0.5


def liquid(encoder, channels=2):
    net = reservoir.random_network(10, snn.LIFDelta(), snn.fixed_indegree(2), weight=0.1, seed=1)
    return reservoir.SpikingReservoir(net, {"exc": np.ones((8, channels))}, encoder=encoder)


def mixed_short_term():
    net = snn.Network()
    net.population("a", 2, snn.LIFExp())
    net.connect("a", "a", snn.one_to_one(), weight=np.array([1.0, -1.0]), short_term=plasticity.TsodyksMarkram())


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: encoders.Poisson(0.0), "Poisson.rate: must be > 0"),
        (lambda: liquid(encoders.Poisson(2000.0)).states(np.ones((5, 2))), "rate u dt must be 0 to 1"),
        (lambda: liquid(encoders.Poisson(10.0)).states(-np.ones((5, 2))), "rate u dt must be 0 to 1"),
        (lambda: encoders.Delta(-1.0), "Delta.threshold: must be > 0"),
        (lambda: liquid(encoders.Delta(1.0), 3), "two columns an input"),
        (lambda: liquid(encoders.Events()).states(np.full((5, 2), 0.5)), "integers >= 0"),
        (lambda: liquid(encoders.Events()).states(np.ones((5, 3))), "must have shape (T, 2)"),
        (lambda: encoders.binned([1.0], [0, 1], 2, 1.0), "binned.channels: must have the shape"),
        (lambda: encoders.binned([1.0], [2], 2, 1.0), "must be integers 0 to 1; got 2"),
        (lambda: encoders.binned([-1.0], [0], 2, 1.0), "binned.times: must be >= 0 ms; got -1."),
        (lambda: encoders.binned([], [], 2, 1.0), "binned.duration: must be given"),
        (lambda: encoders.population([0.0], [0.0], 0.0), "population.width: must be > 0"),
        (lambda: mixed_short_term(), "must be of one sign with short-term plasticity"),
        (lambda: reservoir.maass_column((3, 0)), "maass_column.shape"),
        (lambda: reservoir.maass_column(length=0.0), "maass_column.length: must be > 0"),
        (lambda: reservoir.maass_column(excitatory=1.0), "must leave neurons of both kinds"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises((snn.ModelError, snn.ShapeError)) as error:
        call()
    assert text in str(error.value)
