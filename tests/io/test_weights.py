"""Weights of a plastic projection: recorded at intervals and at the end of a run, and set between runs."""

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ModelError, ShapeError
from snn.io.sonata import read_result


def network(every=None, record=True, rule=None):
    net = snn.Network(seed=2)
    a = net.population("a", 30, snn.LIFDelta(), init={"v": snn.uniform(-70.0, -55.0)})
    net.input("noise", a, snn.Poisson(rate=2000.0), weight=1.5)
    rule = plasticity.STDPPair(lambda_=0.1, w_max=1.0) if rule is None else rule
    learned = net.connect(a, a, snn.fixed_indegree(6), weight=0.5, delay=1.0, plasticity=rule)
    if rule.spec.modulator:
        net.modulate(learned, a)
    if record:
        net.record_weights(learned, every)
    net.record(a)
    return net


def test_recorded_in_memory_and_in_a_file(tmp_path):
    sim = snn.Simulation(network(), quiet=True)
    times, values = sim.run(100.0).weights["a->a"]
    np.testing.assert_array_equal(times, [100.0])
    assert values.shape == (1, 180)
    assert np.ptp(values) > 0.05
    path = tmp_path / "w.h5"
    sim.run(100.0, to=path)
    stored_times, stored = read_result(path).weights["a->a"]
    np.testing.assert_array_equal(stored_times, [200.0])
    np.testing.assert_array_equal(stored[0], sim.connections("a->a")[2])
    assert 0.0 <= stored.min() and stored.max() <= 1.0


@pytest.mark.parametrize("rule", [plasticity.STDPPair(lambda_=0.1, w_max=1.0), plasticity.DopamineSTDP(w_max=1.0)])
def test_recorded_at_intervals(tmp_path, rule):
    """Multiples of the interval in all runs, and the ends; samples are those that shorter runs end with, and taking
    them changes nothing."""
    sim = snn.Simulation(network(30.0, rule=rule), quiet=True)
    first = sim.run(100.0)
    second = sim.run(80.0, to=tmp_path / "w.h5")
    in_file = read_result(tmp_path / "w.h5").weights["a->a"]
    np.testing.assert_array_equal(first.weights["a->a"][0], [30.0, 60.0, 90.0, 100.0])
    np.testing.assert_array_equal(in_file[0], [120.0, 150.0, 180.0])
    np.testing.assert_array_equal(second.weights["a->a"][1], in_file[1])
    plain = snn.Simulation(network(record=False, rule=rule), quiet=True)
    values = np.concatenate([first.weights["a->a"][1], in_file[1]])
    spikes = [len(plain.run(0.0).spikes["a"])]
    for time, row in zip((30.0, 60.0, 90.0, 100.0, 120.0, 150.0, 180.0), values, strict=True):
        spikes.append(len(plain.run(time - plain.t).spikes["a"]))
        np.testing.assert_array_equal(row, plain.connections("a->a")[2])
    assert sum(spikes) == len(first.spikes["a"]) + len(second.spikes["a"]) > 100
    assert np.ptp(values, axis=0).max() > 0.02
    whole = snn.Simulation(network(record=False, rule=rule), quiet=True)
    whole.run(180.0)
    np.testing.assert_array_equal(values[-1], whole.connections("a->a")[2])


def test_event_engine_records_at_intervals():
    net = snn.Network()
    a = net.population("a", 4, snn.LIFDelta())
    net.connect(a, a, snn.all_to_all(), weight=snn.uniform(0.1, 0.2), delay=1.0)
    net.record_weights("a->a", every=0.75)
    times, values = snn.Simulation(net, engine="event", quiet=True).run(2.0).weights["a->a"]
    np.testing.assert_array_equal(times, [0.75, 1.5, 2.0])
    assert np.ptp(values, axis=0).max() == 0.0 and np.ptp(values) > 0.0


def test_bad_weight_records():
    net = network(record=False)
    with pytest.raises(
        ModelError, match=r"record_weights: 'a->b' is no projection of this network. Did you mean 'a->a'"
    ):
        net.record_weights("a->b")
    with pytest.raises(ModelError, match=r"record_weights\('a->a'\).every: must be > 0 ms; got -1.0."):
        net.record_weights("a->a", -1.0)
    net.record_weights("a->a", 0.25)
    with pytest.raises(ModelError, match=r"record_weights\('a->a'\): 'a->a' is recorded already."):
        net.record_weights("a->a")
    with pytest.raises(ModelError, match=r"'a->a'\).every: must be a multiple of dt = 0.1 ms; got 0.25."):
        snn.Simulation(net, backend="reference")


@pytest.mark.parametrize("rule", [plasticity.STDPPair(lambda_=0.1, w_max=1.0), plasticity.DopamineSTDP(w_max=1.0)])
@pytest.mark.parametrize("engine", ["clock", "event"])
def test_set_weights(rule, engine):
    """What was learned before is overwritten, each synapse gets its own, and learning goes on alike on all backends."""

    def run(**options):
        sim = snn.Simulation(network(record=False, rule=rule), engine=engine, quiet=True, **options)
        before = sim.run(60.0).spikes["a"]
        new = np.linspace(0.2, 0.8, 180)
        sim.set_weights("a->a", new)
        np.testing.assert_array_equal(sim.connections("a->a")[2], new)
        after = sim.run(60.0).spikes["a"]
        return np.concatenate([before.times, after.times]), sim.connections("a->a")[2]

    spikes, weights = run(backend="reference")
    for threads in (1, 3):
        again, same = run(threads=threads)
        np.testing.assert_array_equal(again, spikes)
        np.testing.assert_array_equal(same, weights)
    assert np.abs(weights - np.linspace(0.2, 0.8, 180)).max() > 1e-3


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_static_weights_that_are_set(engine, tmp_path):
    """As a projection without a rule; and after a change as one with the new weights, from the same state on."""
    sources, targets = (x.ravel() for x in np.meshgrid(range(4), range(3)))
    old, new = np.linspace(1.0, 3.0, 12), np.linspace(4.0, 2.0, 12)
    # none is on its way at 20 ms: it would arrive with the weight that it was sent with
    times = np.concatenate([np.arange(1.0, 17.5, 0.5), np.arange(20.5, 40.0, 0.5)])
    ids = np.arange(times.size) % 4

    def make(weights, rule, v=-70.0):
        net = snn.Network(seed=2)
        a = net.population("a", 4, snn.SpikeArray(times, ids))
        b = net.population("b", 3, snn.LIFExp(), init={"v": v})
        net.connect(
            a, b, snn.from_arrays(sources, targets), weight=10.0 * weights, delay=2.0, name="w", plasticity=rule
        )
        net.record(b, "v")
        return net

    def run(**options):
        sim = snn.Simulation(make(old, plasticity.Static()), engine=engine, quiet=True, **options)
        first = sim.run(20.0).states["b"]["v"]
        sim.set_weights("w", 10.0 * new)
        if sim.backend == "cpu":
            sim.checkpoint(tmp_path / "state.h5")
            sim = snn.Simulation.resume(tmp_path / "state.h5", net=sim.net, quiet=True)
        np.testing.assert_array_equal(sim.connections("w")[2], 10.0 * new)
        return [first, sim.run(20.0).states["b"]["v"]]

    expected = run(backend="reference")
    for threads in (1, 2):
        for x, y in zip(run(threads=threads), expected, strict=True):
            np.testing.assert_array_equal(x, y)
    plain = snn.Simulation(make(old, None), engine=engine, quiet=True)
    np.testing.assert_allclose(plain.run(20.0).states["b"]["v"], expected[0], rtol=1e-12)
    other = snn.Simulation(make(new, None), engine=engine, quiet=True)
    other.run(20.0)
    for variable in ("v", "i_ex"):
        other.set_state("b", variable, plain.state("b", variable))
    np.testing.assert_allclose(other.run(20.0).states["b"]["v"], expected[1], rtol=1e-12)
    assert np.abs(expected[1] - plain.run(20.0).states["b"]["v"]).max() > 0.1


def test_bad_weights():
    sim = snn.Simulation(network(), backend="reference")
    with pytest.raises(ShapeError, match=r"'a->a'.weight: must be a number or of shape \(180,\); got \(3,\)."):
        sim.set_weights("a->a", [0.1, 0.2, 0.3])
    with pytest.raises(ModelError, match="'a->a'.weight: must be finite; got nan."):
        sim.set_weights("a->a", np.nan)
    with pytest.raises(ModelError, match=r"'a->a'.weight: must be in \[0, 1\], the bounds of STDPPair; got 1.5."):
        sim.set_weights("a->a", 1.5)
    with pytest.raises(
        ModelError,
        match=r"'a->b' is no projection with plasticity; there are a->a. Connect it with plasticity=plasticity.Static",
    ):
        sim.set_weights("a->b", 0.5)


def test_weights_due_where_a_checkpoint_is_written(tmp_path):
    """573 * 0.1 is not 57.3 in binary: what is due there must neither be lost nor come twice."""
    net = snn.Network()
    a = net.population("a", 2, snn.LIFDelta())
    net.connect(a, a, snn.all_to_all(), weight=1.0, delay=1.0, plasticity=plasticity.STDPPair(), name="w")
    net.record_weights("w", every=0.1)
    sim = snn.Simulation(net, engine="event", quiet=True)
    times = sim.run(60.0, checkpoint=tmp_path / "s.h5", every=57.3).weights["w"][0]
    np.testing.assert_allclose(times, 0.1 * np.arange(1, 601), atol=1e-9)


def test_records_of_rewired_projections_are_not_joined():
    """Their columns are other synapses; those of other projections, and runs with one wiring, are."""
    net = network(every=10.0)
    net.connect("a", "a", snn.fixed_indegree(3), weight=0.1, name="other", plasticity=plasticity.Static())
    sim = snn.Simulation(net, quiet=True)
    assert sim.rewire("a->a", plasticity.SET(0.3, weight=0.4)) > 0
    parts = [sim.run(20.0), sim.run(20.0)]
    assert sim.rewire("other", plasticity.SET(0.3, weight=0.4)) > 0
    parts.append(sim.run(20.0))
    assert snn.Result.concatenate(parts).weights["a->a"][0].tolist() == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    assert sim.rewire("a->a", plasticity.SET(0.3, weight=0.4)) > 0
    parts.append(sim.run(20.0))
    with pytest.raises(ModelError, match="concatenate: 'a->a' was rewired between these runs"):
        snn.Result.concatenate(parts)
    assert snn.Result.concatenate(parts[-1:]).t_stop == 80.0
