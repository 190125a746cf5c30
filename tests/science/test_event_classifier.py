"""An agent on the event engine: asked at output spikes, it stops where the full record says, and the run ends."""

import numpy as np
import pytest

import snn
from kernels.errors import ModelError, ShapeError
from snn.confidence import EarlyExit

T, DURATION = 40, 120.0


def network(recorded=True):
    net = snn.Network(seed=3)
    eyes = net.population("eyes", 9, snn.SpikeArray([]))
    cell = snn.LIFDelta(e_l=0.0, v_reset=0.0, v_th=1.0, tau_m=20.0, t_ref=1.0)
    hidden, out = net.population("hidden", 12, cell), net.population("out", 3, cell)
    rng = np.random.default_rng(0)
    seen = np.kron(np.eye(3), np.full((3, 4), 0.5)) + rng.uniform(0.0, 0.2, (9, 12))
    net.connect(eyes, hidden, snn.all_to_all(), weight=seen, delay=1.3)
    w = np.kron(np.eye(3), np.ones((4, 1))) * 0.5
    net.connect(hidden, out, snn.all_to_all(), weight=w + rng.normal(0.0, 0.1, w.shape), delay=snn.uniform(0.4, 2.0))
    if recorded:
        net.record(out)
    return net


def samples(n, seed=1):
    """Sources of a third of the field spike more often; some samples are nearly silent."""
    rng = np.random.default_rng(seed)
    y, x = rng.integers(0, 3, n), []
    for k, label in enumerate(y):
        rate = 0.02 + 0.05 * (np.arange(9) // 3 == label)
        counts = rng.poisson(rate * (DURATION if k % 5 else 4.0))
        ids = np.repeat(np.arange(9), counts)
        x.append((rng.uniform(0.0, DURATION, ids.size), ids))
    return x, y


@pytest.fixture(scope="module")
def recorded():
    classifier = snn.EventClassifier(network(), "out", DURATION, T, window=7.0, backend="reference")
    x, y = samples(20)
    return classifier, x, y, classifier.record(x, y)


def output_spikes(x):
    """Times and neurons of the output's spikes, by an undisturbed run."""
    net = network()
    net.populations["eyes"].model = snn.SpikeArray(*x)
    found = snn.Simulation(net, engine="event", backend="reference", quiet=True).run(DURATION).spikes["out"]
    return found.times, found.ids


def test_changes_of_its_network_are_refused():
    """A simulation made for each sample would have them, its agent's certificate not."""
    net = network()
    classifier = snn.EventClassifier(net, "out", DURATION, T, backend="reference")
    net.connect("out", "out", snn.one_to_one(), weight=0.1, delay=1.0, name="later")
    with pytest.raises(ModelError, match=r"after this EventClassifier was made: Projection 'later'"):
        classifier.record([([], [])])


def test_stops_where_the_full_record_says(recorded):
    classifier, x, _, trace = recorded
    numpys = snn.EventClassifier(network(), "out", np.float32(DURATION), np.int64(T), backend="reference")
    assert numpys.fingerprint() == classifier.fingerprint()
    longer = snn.EventClassifier(network(), "out", DURATION + 1e-6, T, backend="reference").fingerprint()
    assert longer["encoder"] == "events of 120.000001 ms" != classifier.fingerprint()["encoder"] == "events of 120 ms"
    done = classifier.run(x, EarlyExit("margin", bar=2.0))
    for n, sample in enumerate(x):
        times, ids = output_spikes(sample)
        number, stop = np.zeros(3), None
        for k, neuron in enumerate(ids[:T]):
            number[neuron] += 1
            assert np.array_equal(trace.outputs[k, n], number)
            second, first = np.sort(number)[-2:]
            if stop is None and (first - second > 2.0 or k + 1 == T):
                stop = k + 1, times[k], int(number.argmax())
        assert np.all(trace.outputs[ids.size :, n] == number)
        assert (done.steps[n], done.times[n], done.labels[n]) == (stop or (T, DURATION, int(number.argmax())))
    assert {1, 4} == set(np.unique(done.reasons)) and (done.times < 0.7 * DURATION).sum() >= 5


@pytest.mark.parametrize("score", ["margin", "maxprob", "patience", "gate"])
def test_decisions_are_those_on_the_trace(recorded, score):
    classifier, x, _, trace = recorded
    agent = EarlyExit(score).fit(trace).for_budget(trace, mean_steps=20.0)
    live, offline = classifier.run(x, agent), agent.decide(trace)
    for name in ("steps", "labels", "reasons"):
        assert np.array_equal(getattr(live, name), getattr(offline, name)), name
    assert live.steps.min() < T


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_spikes_at_the_same_time_are_one_step(backend):
    """A tie leaves the agent undecided; the first neuron is not ahead because it is counted first."""
    net = snn.Network()
    eyes = net.population("eyes", 2, snn.SpikeArray([]))
    out = net.population("out", 3, snn.LIFDelta(e_l=0.0, v_reset=0.0, v_th=1.0, tau_m=20.0, t_ref=0.0))
    net.connect(eyes, out, snn.all_to_all(), weight=np.array([[1.5, 0.0, 1.5], [0.0, 0.0, 1.5]]), delay=1.5)
    net.record(out)
    classifier = snn.EventClassifier(net, out, duration=20.0, t_max=4, backend=backend)
    x = [([1.0, 5.0, 9.0], [0, 0, 1])]
    np.testing.assert_array_equal(classifier.record(x).outputs[:, 0], [[1, 0, 1], [2, 0, 2], [2, 0, 3], [2, 0, 3]])
    done = classifier.run(x, EarlyExit("margin", bar=0.5))
    assert (done.labels[0], done.steps[0], done.times[0], done.count("confident")) == (2, 3, 10.5, 1)


def test_a_stopped_sample_is_simulated_no_further(recorded, monkeypatch):
    classifier, x, _, _ = recorded
    ran, run = [], snn.Simulation.run
    monkeypatch.setattr(snn.Simulation, "run", lambda sim, duration: ran.append(duration) or run(sim, duration))
    done = classifier.run(x[1:2], EarlyExit("margin", bar=0.0))
    assert done.times[0] <= sum(ran) < done.times[0] + 7.0 < DURATION


def test_bad_input(recorded):
    classifier, x, y, trace = recorded
    cases = [
        (lambda: snn.EventClassifier(network(False), "out", 10.0, 5), ModelError, "must be recorded. Call net.record"),
        (lambda: snn.EventClassifier(network(), "none", 10.0, 5), ModelError, "no population 'none'"),
        (lambda: snn.EventClassifier(network(), "out", np.nan, 5), ModelError, "duration: must be > 0 ms; got nan"),
        (lambda: snn.EventClassifier(network(), "out", 10.0, 0), ModelError, "t_max: must be an integer >= 1; got 0"),
        (lambda: classifier.record([]), ShapeError, "there must be a sample"),
        (lambda: classifier.record([([1.0], [9])]), ModelError, "sample 0: sources must be 0 to 8; got 9"),
        (lambda: classifier.record([([1.0], [0], [1])]), ShapeError, "must be a pair"),
        (lambda: classifier.record([1]), ShapeError, r"sample 0 must be a pair \(times in ms, sources\); got 1"),
        (
            lambda: classifier.record(1),
            ShapeError,
            r"samples must be pairs \(times in ms, sources\), one a sample; got 1",
        ),
        (
            lambda: classifier.record([([1.0], [0]), ([2.0, 120.5], [0, 0])]),
            ModelError,
            "sample 1: events must end with the duration, 120 ms; got one at 120.5 ms, which would be lost",
        ),
        (lambda: classifier.run(x, None), ModelError, "EventClassifier.run.agent: must be an EarlyExit or a preset"),
    ]
    for make, kind, text in cases:
        with pytest.raises(kind, match=text):
            make()
    driven = network()
    driven.populations["eyes"].model = snn.SpikeArray([1.0])
    with pytest.raises(ModelError, match=r"must have one population of sources, SpikeArray\(\[\]\)"):
        snn.EventClassifier(driven, "out", 10.0, 5)
    agent = EarlyExit("margin").fit(trace)
    agent.bar = 1.0
    other = snn.EventClassifier(network(), "out", DURATION, T - 1, backend="reference")
    with pytest.raises(ModelError, match="was fitted on another network or setting: t_max 40 and 39"):
        other.run(x, agent)
