"""Classification of many samples in one compiled loop: equal to plain NumPy and to Simulation, sample by sample."""

import numpy as np
import pytest
from scipy import sparse

import snn
from snn.confidence import DTSNN, EarlyExit

T, N_IN, N_HIDDEN, N_OUT = 12, 20, 30, 4
RNG = np.random.default_rng(0)
W = [RNG.normal(0.0, 0.5, shape) for shape in ((N_HIDDEN, N_IN), (N_HIDDEN, N_HIDDEN), (N_OUT, N_HIDDEN))]
BIAS = RNG.normal(0.0, 0.1, N_HIDDEN)
DIRECT = snn.encode.Direct("x", W[0], BIAS)
X = np.where(RNG.random((70, N_IN)) < 0.2, 0.0, RNG.random((70, N_IN)))
IF = dict(alpha=0.0, beta=1.0, v_th=1.0, reset=1)
READER = dict(alpha=0.0, beta=1.0, v_th=1e300)


def direct(recurrent=None, delay=1.0):
    """Two layers with soft reset and a sum; recurrent weights of the second layer if wanted."""
    net = snn.Network(seed=4)
    layers = [net.population(name, N_HIDDEN, snn.CubaLIF(**IF), init={"v": 0.5}) for name in ("one", "two")]
    out = net.population("out", N_OUT, snn.CubaLIF(**READER))
    net.input("x", layers[0], snn.StepCurrent(np.zeros((1, N_HIDDEN))))
    net.connect(*layers, snn.all_to_all(), weight=W[1].T, delay=delay)
    net.connect(layers[1], out, snn.all_to_all(), weight=W[2].T, delay=1.0)
    if recurrent is not None:
        net.connect(layers[1], layers[1], snn.all_to_all(), weight=recurrent, delay=snn.uniform(1.0, 5.0))
    return net


def spiking(n=N_IN):
    """Spike sources, a layer whose spikes are counted."""
    net = snn.Network()
    sources = net.population("sources", n, snn.SpikeArray([]))
    out = net.population("out", N_OUT, snn.CubaLIF(**IF))
    net.connect(sources, out, snn.all_to_all(), weight=np.resize(W[2].T, (n, N_OUT)), delay=1.0)
    return net


def counts(spikes, weights):
    """Accumulated spikes of ``spiking`` for input spikes (samples, steps, sources); (samples, steps, classes)."""
    v, total, out = np.zeros((len(spikes), N_OUT)), np.zeros((len(spikes), N_OUT)), []
    for s in spikes.transpose(1, 0, 2):
        v = v + s @ weights
        fired = v > 1.0
        v, total = v - fired, total + fired
        out.append(total)
    return np.stack(out, axis=1)


def test_direct_current_equals_numpy():
    classifier = snn.Classifier(direct(), snn.encode.Direct("x", W[0], BIAS), "out", threads=2)
    assert classifier.depth == 3
    trace = classifier.record(X, T)
    v = [np.full((len(X), N_HIDDEN), 0.5) for _ in range(2)]
    total, spikes, outputs = np.zeros((len(X), N_OUT)), np.zeros((2, T + 2, len(X))), []
    for t in range(T + 2):
        fired = []
        for k, weight in enumerate((None, W[1])):
            v[k] = v[k] + (X @ W[0].T + BIAS if weight is None else fired[0] @ weight.T)
            fired.append(v[k] > 1.0)
            v[k] = v[k] - fired[k]
            spikes[k, t] = fired[k].sum(axis=1)
        total = total + fired[1] @ W[2].T
        outputs.append(total)
    np.testing.assert_allclose(trace.outputs, outputs[:T], atol=1e-12)
    assert spikes.sum() > 1000
    pipelined = snn.Classifier(direct(), classifier.encoder, "out", latency="pipelined").record(X, T)
    assert not np.any(pipelined.outputs[:2])
    np.testing.assert_array_equal(pipelined.outputs[2:], trace.outputs[: T - 2])
    ends = spikes.cumsum(axis=1)  # of all steps up to t; layer two is a step behind
    late = np.concatenate((np.zeros((1, len(X))), ends[1, :-1]))
    # what is sent by the time that the output is there: where a step passes all layers, they have run depth - 1 further
    for found, when in ((pipelined, slice(T)), (trace, slice(2, T + 2))):
        np.testing.assert_array_equal(found.spikes, (ends[0] + late)[when])
        np.testing.assert_array_equal(found.synops, (ends[0] * N_HIDDEN + late * N_OUT)[when])
    np.testing.assert_array_equal(classifier.predict(X, T), np.argmax(outputs[T - 1], axis=1))


def test_neither_batch_nor_order_nor_threads_matter():
    net = direct(recurrent=RNG.normal(0.0, 0.6, (N_HIDDEN, N_HIDDEN)), delay=RNG.integers(1, 40, (N_HIDDEN, N_HIDDEN)))
    encoder = snn.encode.Direct("x", sparse.csr_matrix(W[0]), BIAS)
    whole = snn.Classifier(net, encoder, "out", threads=3).record(X, 40)
    other = snn.Classifier(net, encoder, "out", threads=1)
    order = RNG.permutation(len(X))
    for name in ("outputs", "spikes", "synops"):
        expected = getattr(whole, name)
        np.testing.assert_array_equal(getattr(other.record(X[order], 40), name), expected[:, order])
        np.testing.assert_array_equal(getattr(other.record(X[7:8], 40), name), expected[:, 7:8])
    np.testing.assert_array_equal(snn.Classifier(net, snn.encode.Direct("x", W[0], BIAS), "out").record(X, 40).outputs,
                                  whole.outputs)  # fmt: skip


def test_a_sample_is_a_simulation():
    """Delays of their own, recurrence, a bias that begins later: queues and rings are as new for every sample."""
    net = direct(recurrent=RNG.normal(0.0, 0.6, (N_HIDDEN, N_HIDDEN)))
    net.input("bias", net.populations["two"], snn.StepCurrent(RNG.normal(0.0, 0.1, (1, N_HIDDEN)), times=[1.0]))
    trace = snn.Classifier(net, DIRECT, "out", latency="pipelined").record(X[:9], T)
    net.record("out", "v", every=1.0)
    for n in (0, 4, 8):
        net.inputs["x"].source = snn.StepCurrent((X[n] @ W[0].T + BIAS)[None])
        found = snn.Simulation(net, dt=1.0, quiet=True).run(float(T))
        np.testing.assert_allclose(trace.outputs[:, n], found.states["out"]["v"], atol=1e-12)


@pytest.mark.parametrize(
    "agent",
    [
        EarlyExit("margin", bar=2.5), EarlyExit("patience", bar=4, t_min=3), DTSNN(scale=2.0, bar=0.5),
        EarlyExit("maxprob", scale=1.5, bar=0.9, max_steps=9, check_every=2), EarlyExit(bar=np.inf),
        EarlyExit("margin", readout="window", span=3, bar=2.0),
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("latency", ["synchronous", "pipelined"])
def test_an_agent_decides_as_on_a_trace(agent, latency):
    classifier = snn.Classifier(direct(), DIRECT, "out", latency=latency, threads=2)
    expected = agent.decide(classifier.record(X, T))
    for which in (slice(None), slice(11, 12)):
        found = classifier.run(X[which], agent, T)
        for name in ("steps", "labels", "reasons", "spikes", "synops"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name)[which], err_msg=name)


def test_rate():
    rate = snn.encode.Rate("sources", gain=0.5, seed=3)
    ids = np.arange(len(X), dtype=np.int64)
    spikes = rate.spikes(rate.check(X, N_IN), ids, 400)
    p = np.clip(0.5 * X, 1e-9, 1)
    z = (spikes.mean(axis=1) - p) / np.sqrt(p * (1 - p) / 400)
    assert (
        np.abs(z[X > 0]).max() < 5
        and abs(np.mean(z[X > 0] ** 2) - 1) < 0.15
        and not spikes[:, :, :][X[:, None].repeat(400, 1) == 0].any()
    )
    assert (
        abs(np.corrcoef(spikes[:, :-1].ravel(), spikes[:, 1:].ravel())[0, 1]) < 0.6
    )  # p differs from feature to feature
    trace = snn.Classifier(spiking(), rate, "out", readout="spikes", threads=2).record(X, T, ids=ids)
    expected = counts(rate.spikes(rate.check(X, N_IN), ids, T + 1)[:, :T], np.resize(W[2].T, (N_IN, N_OUT)))
    np.testing.assert_array_equal(trace.outputs, expected.transpose(1, 0, 2))
    np.testing.assert_array_equal(rate.spikes(X[5:6] * 0.5, ids[5:6], 400), spikes[5:6])
    assert not np.array_equal(snn.encode.Rate("sources", seed=4).spikes(X[:1] * 0.5, ids[:1], 400), spikes[:1])


def test_equal_samples_are_one_in_any_type():
    """Spikes of Rate are keyed by the samples' ids; numbers of steps may be NumPy's."""
    whole = np.random.default_rng(0).integers(0, 5, (6, N_IN)).astype(np.uint8)
    rate = snn.encode.Rate("sources", gain=0.2, seed=3)
    classifier = snn.Classifier(spiking(), rate, "out", readout="spikes", threads=1)
    traces = [classifier.record(x, t_max=np.int64(T)) for x in (whole, whole.astype(np.float32), whole.astype(float))]
    for trace in traces[1:]:
        np.testing.assert_array_equal(trace.ids, traces[0].ids)
        np.testing.assert_array_equal(trace.outputs, traces[0].outputs)
    assert traces[0].fingerprint["t_max"] == T


def test_latency_delta_events():
    steps = 9
    x = RNG.integers(0, steps, (5, N_IN)) / (steps - 1)
    spikes = snn.encode.Latency("sources", steps).spikes(x, np.arange(5), T)
    assert np.array_equal(spikes.sum(axis=1), x > 0)
    assert np.array_equal(spikes.argmax(axis=1)[x > 0], np.rint((1 - x) * (steps - 1))[x > 0])
    series = np.cumsum(RNG.normal(0.0, 0.2, (5, T, N_IN // 2)), axis=1)
    delta = snn.encode.Delta("sources", 0.1, off=True)
    spikes = delta.spikes(delta.check(series, N_IN), np.arange(5), T)
    change = np.diff(series, axis=1, prepend=0.0)
    assert np.array_equal(spikes, np.concatenate((change >= 0.1, change <= -0.1), axis=2))
    expected = counts(spikes, np.resize(W[2].T, (N_IN, N_OUT)))
    classifier = snn.Classifier(spiking(), delta, "out", readout="spikes")
    np.testing.assert_array_equal(classifier.record(series, T).outputs, expected.transpose(1, 0, 2))
    events = [np.nonzero(sample) for sample in spikes]
    events = [(np.repeat(t, 2)[::-1], np.repeat(i, 2)[::-1]) for t, i in events]  # in any order, repeated
    classifier = snn.Classifier(spiking(), snn.encode.Events("sources"), "out", readout="spikes")
    np.testing.assert_array_equal(classifier.record(events, T).outputs, expected.transpose(1, 0, 2))


GAINS = 0.12345671, 0.12345699


def test_fingerprints_hold_every_digit():
    """An agent that was certified with one gain or threshold is refused with another, however near; texts of six digits
    are those that agents were saved with before.
    """
    encode = snn.encode
    for make in (
        lambda x: encode.Rate("sources", gain=x),
        lambda x: encode.Latency("sources", 5, threshold=x),
        lambda x: encode.Delta("sources", x),
    ):
        prints = [snn.Classifier(spiking(), make(x), "out", readout="spikes").fingerprint(5) for x in GAINS]
        assert prints[0] != prints[1] and "0.12345671" in prints[0]["encoder"]
    assert repr(encode.Rate("a", gain=1e-7)) == "Rate('a', gain=1e-07, seed=0)"
    classifiers = [snn.Classifier(spiking(), encode.Rate("sources", gain=x), "out", "spikes") for x in GAINS]
    agent = EarlyExit().fit(classifiers[0].record(X, T))
    agent.bar = 1.0
    with pytest.raises(snn.ModelError, match=r"fitted on another .* gain=0.12345671, .* gain=0.12345699"):
        classifiers[1].run(X, EarlyExit.from_dict(agent.to_dict()))


def plastic():
    import plasticity

    net = direct()
    net.connect("one", "one", snn.one_to_one(), weight=0.1, delay=1.0, plasticity=plasticity.STDPPair())
    return net


def noisy():
    net = direct()
    net.input("noise", "one", snn.Poisson(rate=10.0), weight=0.1)
    return net


def other_network():
    agent = EarlyExit().fit(snn.Classifier(direct(), DIRECT, "out").record(X, T))
    agent.bar = 1.0
    snn.Classifier(direct(), snn.encode.Direct("x", 2 * W[0], BIAS), "out").run(X, agent)


def test_changes_of_its_network_are_refused():
    """They would be lost."""
    net = direct()
    classifier = snn.Classifier(net, DIRECT, "out")
    classifier.predict(X, T)
    net.connect("one", "one", snn.one_to_one(), weight=0.1, delay=1.0, name="later")
    with pytest.raises(snn.ModelError, match=r"after this Classifier was made: Projection 'later'. Make a Classifier"):
        classifier.predict(X, T)
    snn.Classifier(net, DIRECT, "out").predict(X, T)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: snn.Classifier(direct(), DIRECT, "none"), snn.ModelError, "no population 'none'"),
        (lambda: snn.Classifier(direct(), "Rate", "out"), snn.ModelError, "Classifier.encoder: must be one of snn.enc"),
        (
            lambda: snn.Classifier(direct(), DIRECT, "out").run(X, "margin", T),
            snn.ModelError,
            "Classifier.run.agent: must be an EarlyExit or a preset; got str 'margin'",
        ),
        (lambda: snn.Classifier(direct(), DIRECT, "out", readout="u"), snn.ModelError, "readout"),
        (lambda: snn.Classifier(direct(), DIRECT, "out", threads=0), snn.ModelError, "threads: must be an integer"),
        (lambda: snn.Classifier(plastic(), DIRECT, "out"), snn.ModelError, "static"),
        (lambda: snn.Classifier(noisy(), DIRECT, "out"), snn.ModelError, "Use an encoder"),
        (lambda: snn.Classifier(direct(), snn.encode.Direct("y", W[0]), "out"), snn.ModelError, "no input 'y'"),
        (lambda: snn.Classifier(direct(), snn.encode.Rate("one"), "out"), snn.ModelError, "spike sources"),
        (lambda: snn.Classifier(spiking(), snn.encode.Rate("sources"), "sources"), snn.ModelError, "has no v"),
        (lambda: snn.Classifier(direct(), DIRECT, "out").predict(X[:, 1:], T), snn.ShapeError, "20 features"),
        (
            lambda: snn.Classifier(direct(), DIRECT, "out").predict(np.full((2, N_IN), np.nan), T),
            snn.ModelError,
            "finite",
        ),
        (lambda: snn.Classifier(direct(), DIRECT, "out").predict(X, 0), snn.ModelError, "t_max"),
        (lambda: snn.Classifier(direct(), DIRECT, "out", latency="pipelined").predict(X, 2), snn.ModelError, "step 3"),
        (lambda: snn.Classifier(direct(), DIRECT, "out", latency="none").predict(X, 2), snn.ModelError, "latency"),
        (
            lambda: snn.Classifier(direct(), DIRECT, "out").run(X, EarlyExit(bar=1.0)),
            snn.ModelError,
            "t_max: is needed",
        ),
        (other_network, snn.ModelError, "another network"),
        (lambda: snn.encode.Direct("x", np.ones(3)), snn.ShapeError, "weight"),
        (lambda: snn.encode.Direct("x", np.ones((3, 2)), [0.0, np.inf, 0.0]), snn.ModelError, "bias: must be finite"),
        (lambda: snn.encode.Rate("sources").check(2 * np.ones((1, 3)), 3), snn.ModelError, "0 to 1"),
        (lambda: snn.encode.Latency("sources", 0), snn.ModelError, "steps"),
        (lambda: snn.encode.Latency("sources", 2.9), snn.ModelError, "Latency.steps: must be an integer >= 1; got 2.9"),
        (lambda: snn.encode.Latency("sources", 3, np.nan), snn.ModelError, "Latency.threshold: must be a finite numb"),
        (lambda: snn.encode.Rate("sources", seed=1.7), snn.ModelError, "Rate.seed: must be an integer >= 0; got 1.7"),
        (lambda: snn.encode.Rate("sources", gain="2"), snn.ModelError, "Rate.gain: must be a finite number; got '2'"),
        (lambda: snn.encode.Direct("x", 1j * np.eye(2)), snn.ModelError, "Direct.weight: must be real numbers; got nd"),
        (lambda: snn.encode.Direct("x", [[1], [2, 3]]), snn.ModelError, "Direct.weight: must be an array of numbers"),
        (lambda: DIRECT.check(1j * X, N_HIDDEN), snn.ModelError, "samples: must be real numbers; got ndarray of dtype"),
        (lambda: DIRECT.check(X.astype(str), N_HIDDEN), snn.ModelError, "samples: must be real numbers; got ndarray"),
        (lambda: DIRECT.check([[1.0, 2.0], [3.0]], N_HIDDEN), snn.ModelError, "must be an array of numbers; got list"),
        (lambda: snn.encode.Delta("sources", 0.0), snn.ModelError, "threshold"),
        (lambda: snn.encode.Delta("sources", np.inf), snn.ModelError, "Delta.threshold: must be a finite number"),
        (lambda: snn.encode.Events("sources").check(None, 4), snn.ShapeError, "samples must be pairs"),
        (
            lambda: snn.encode.Events("sources").check([5], 4),
            snn.ShapeError,
            "sample 0 must be a pair",
        ),
        (lambda: snn.encode.Events("sources").check([(1, 2, 3)], 4), snn.ShapeError, "sample 0 must be a pair"),
        (lambda: snn.encode.Delta("sources", 1.0).check(X, N_IN), snn.ShapeError, "steps"),
        (lambda: snn.encode.Events("sources").check([([0, 1], [3])], 4), snn.ShapeError, "pair"),
        (lambda: snn.encode.Events("sources").check([([0], [4])], 4), snn.ModelError, "0 to 3"),
    ],
)
def test_bad_input(make, error, text):
    with pytest.raises(error, match=text):
        make()
