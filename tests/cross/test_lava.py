"""Integer networks against lava-nc 0.10.0: its process models in fuzzed runs, its runtime through exported bundles."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import snn
from kernels.errors import BackendUnavailable
from neuromorphic.fixed_point import NEVER, IntegerLIF, IntegerNetwork, IntegerProjection, IntegerSource
from neuromorphic.lava import export_classifier, export_lava, run_lava
from neuromorphic.quantization import quantize
from neuromorphic.readout import IntegerReadout, classify, record
from neuromorphic.split import split
from neuromorphic.targets import map_network
from snn.confidence import EarlyExit

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
try:
    import lava_fuzz
finally:
    sys.path.pop(0)

pytestmark = pytest.mark.cross


@pytest.mark.parametrize("name", lava_fuzz.LIFS)
def test_neurons_equal_lavas_in_fuzzed_steps(python, tmp_path, name):
    found = lava_fuzz.lif(python, tmp_path, name, cases=4)
    assert found.count == 440_000 and found.differ == 0 and 0.005 < found.active < 0.9, found


@pytest.mark.parametrize("name", lava_fuzz.FURTHER)
def test_further_neurons_equal_lavas_in_fuzzed_steps(python, tmp_path, name):
    found = lava_fuzz.further(python, tmp_path, name)
    assert found.count == 90_000 and found.differ == 0 and 0.01 < found.active < 0.98, found


@pytest.mark.parametrize("name", lava_fuzz.CONNECTIONS)
def test_connections_equal_lavas_in_fuzzed_outputs(python, tmp_path, name):
    found = lava_fuzz.connection(python, tmp_path, name)
    assert found.count > 25_000 and found.differ == 0 and found.active > 0.3, found


def recurrent(seed, n=200, steps=500, delays=0):
    rng = np.random.default_rng(seed)
    when, which = np.nonzero(rng.random((steps, 40)) < 0.2)
    neurons = IntegerLIF(
        n, du=rng.integers(200, 4096, n), dv=rng.integers(0, 1000, n), bias_mant=rng.integers(-50, 100, n),
        bias_exp=rng.integers(0, 5, n), vth=rng.integers(100, 2000, n), subtract=rng.integers(0, 2, n) * (seed % 2),
    )  # fmt: skip
    if seed in (4, 8):  # neurons of all kinds, half of them with spikes of either sign
        neurons.refractory, neurons.reset_interval = rng.choice([0, 1, 5, 30], n), rng.choice([0, 17, 100], n)
        neurons.reset_offset, neurons.vth_lo = rng.integers(0, 50, n), rng.choice([NEVER, -100, -800], n)

    def edges(source, n_source, exponent):
        sources, targets = np.nonzero(rng.random((n_source, n)) < 0.1)
        late = rng.integers(0, delays + 1, len(sources))
        return IntegerProjection(source, "pop", sources, targets, rng.integers(-256, 256, len(sources)), late, exponent)

    projections = {"in": edges("in", 40, 1), "rec": edges("pop", n, int(rng.integers(-1, 1)))}
    return IntegerNetwork({"pop": neurons}, {"in": IntegerSource(40, when + 1, which)}, projections)


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
@pytest.mark.parametrize(("seed", "delays"), [*((k, 0) for k in range(6)), *((k, 5) for k in range(6, 10))])
def test_a_recurrent_network_runs_equally_in_lavas_runtime(lava, tmp_path, seed, delays, dense):
    run = lava(export_lava(recurrent(seed, delays=delays), tmp_path / "b", 500), dense)
    assert 1000 < np.count_nonzero(run.spikes["pop"]) < 90_000
    assert np.any(run.spikes["pop"] < 0) == (seed in (4, 8))
    assert run.spikes["pop"].shape == run.u["pop"].shape == run.v["pop"].shape == (500, 200)
    assert run.equal, run.differ


@pytest.mark.parametrize(("dense", "delays"), [(False, 5), (True, 0)], ids=["sparse", "dense"])
def test_a_network_split_over_cores_runs_in_lava_as_the_whole_does(lava, tmp_path, dense, delays):
    """Four parts, whose sums are shifted down together: Lava's spikes are those of the network in one piece."""
    net = recurrent(9, delays=delays)
    net.projections["rec"].exponent = -1
    core = {"pop": np.searchsorted([30, 31, 150], np.arange(200), side="right")}
    mapping = dataclasses.replace(map_network(net), core=core)
    parts = split(net, mapping)
    run = lava(export_lava(parts, tmp_path / "b", 500), dense)
    whole = net.run(500, ["pop"])
    spikes = np.concatenate([run.spikes[name] for name in parts.populations], axis=1)
    assert spikes.sum() > 1000
    assert np.array_equal(np.argwhere(spikes) + [1, 0], np.stack((whole.steps["pop"], whole.ids["pop"]), axis=1))
    assert np.array_equal(np.concatenate([run.v[name] for name in parts.populations], axis=1), whole.v["pop"])
    assert run.equal, run.differ


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_parts_that_nothing_joins_run_too(lava, tmp_path, dense):
    """A population without input, two without a path between them, a projection without synapses, weights of 0."""
    nothing = np.empty(0, np.int64)
    net = IntegerNetwork(
        {"alone": IntegerLIF(1, bias_mant=100, vth=3), "b": IntegerLIF(3, vth=5), "c": IntegerLIF(2, vth=5)},
        {"in": IntegerSource(2, [1, 2, 90], [0, 1, 0]), "idle": IntegerSource(1, nothing, nothing)},
        {"none": IntegerProjection("in", "b", nothing, nothing, nothing),
         "some": IntegerProjection("in", "b", [0, 1], [0, 2], [0, 9]),
         "zero": IntegerProjection("idle", "c", [0], [1], [0], 3)},
    )  # fmt: skip
    run = lava(export_lava(net, tmp_path / "b", 40), dense)
    assert run.spikes["alone"].sum() == 20 and run.spikes["b"].sum() == 1 and run.spikes["c"].sum() == 0
    assert run.equal, run.differ


def test_clearing_ends_refractory_periods(lava, tmp_path):
    """Samples of refractory and ternary neurons, each stopped as soon as one class leads: as here in every step."""
    rng, hidden, out = np.random.default_rng(4), np.arange(12), np.arange(3)
    pairs = np.repeat(np.arange(5), 12), np.tile(hidden, 5)
    net = IntegerNetwork(
        {"h": IntegerLIF(12, vth=100, vth_lo=-150, refractory=rng.integers(0, 20, 12)), "o": IntegerLIF(3, vth=131071)},
        {"in": IntegerSource(5, [1], [0])},
        {"in": IntegerProjection("in", "h", *pairs, rng.integers(-100, 200, 60)),
         "out": IntegerProjection("h", "o", np.repeat(hidden, 3), np.tile(out, 12), rng.integers(-90, 90, 36))},
    )  # fmt: skip
    samples = [
        tuple(k + j for k, j in zip(np.nonzero(rng.random((15, 5)) < 0.4), (1, 0), strict=True)) for _ in range(9)
    ]
    run = classify(net, snn.encode.Events("in"), samples, IntegerReadout("o", 15, bar=12_000))
    assert 3 < run.steps.min() < run.steps.max() and set(run.result.values["h"]) == {1, -1}
    found = lava(export_classifier(run, tmp_path / "b"))
    assert found.equal, (found.differ, found.decisions_differ)


def test_a_graph_in_which_lava_deadlocks_is_killed(lava, python, tmp_path):
    """A neuron that hears itself through no synapse: each of two processes waits for what the other has to send."""
    loop = IntegerProjection("a", "a", [0], [0], [5])
    path = export_lava(
        IntegerNetwork({"a": IntegerLIF(1, bias_mant=100, vth=3)}, {}, {"loop": loop}), tmp_path / "b", 9
    )
    assert lava(path).equal
    code, graph = (path / "run_lava.py").read_text(), json.loads((path / "network.json").read_text())
    joined = 'nodes[p["sources"][0]].s_out.connect(connection.s_in)'
    assert code.count(joined) == 1
    short = (
        'place = Place((1,), 0, 1); place.s_out.connect(nodes["a"].a_in); nodes["a"].s_out.connect(place.a_in); break'
    )
    (path / "run_lava.py").write_text(code.replace(joined, short).replace("strict=True", "strict=False"))
    graph["sha256"].pop("run_lava.py")
    (path / "network.json").write_text(json.dumps(graph))
    with pytest.raises(BackendUnavailable, match="still running after timeout=5 s and was killed"):
        run_lava(path, python, timeout=5.0)  # whole, it takes one


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_a_float_network_runs_equally_in_lava_once_quantised(lava, tmp_path, dense):
    """Balanced network of 200 LIFExp neurons with drawn delays: described, quantised, exported, run by Lava."""
    rng = np.random.default_rng(3)
    when, which = np.nonzero(rng.random((500, 40)) < 0.1)
    net = snn.Network(seed=11)
    src = net.population("in", 40, snn.SpikeArray(when + 1.0, which))
    lif = snn.LIFExp(tau_syn_ex=3.0, tau_syn_in=3.0, t_ref=0.0)
    exc, inh = net.population("exc", 160, lif), net.population("inh", 40, lif)
    for target in (exc, inh):
        net.connect(src, target, snn.fixed_indegree(10), weight=snn.normal(300.0, 30.0, low=0.0), delay=1.0)
        net.connect(exc, target, snn.pairwise_bernoulli(0.1), weight=60.0, delay=snn.uniform(1.0, 5.0))
        net.connect(inh, target, snn.pairwise_bernoulli(0.1), weight=-300.0, delay=snn.uniform(1.0, 5.0))
    run = lava(export_lava(quantize(net, 1.0).network, tmp_path / "b", 500), dense)
    rate = sum(s.sum() for s in run.spikes.values()) / 200 / 0.5
    assert 2 < rate < 300
    assert run.equal, run.differ


def test_a_converted_digits_classifier_stops_in_lava_where_it_stops_here(lava, tmp_path):
    """QCFS trained on digits, converted, quantised, with an agent's integer bar: stop steps, answers, spikes."""
    torch, sets = pytest.importorskip("torch"), pytest.importorskip("sklearn.datasets")
    from snn.torch import QCFS, from_torch, train

    data = sets.load_digits()
    x, y, steps = data.data / 16.0, data.target, 20
    torch.manual_seed(0)
    ann = torch.nn.Sequential(torch.nn.Linear(64, 40), QCFS(4, 2.0), torch.nn.Linear(40, 10))
    train(ann, x[:600], y[:600], epochs=40, seed=0)
    encoder = snn.encode.Rate("input")
    network = quantize(from_torch(ann, (64,), encoder=encoder).network, 1.0, steps=steps).network
    trace = record(network, encoder, x[600:800], "output", steps, labels=y[600:800])
    agent = EarlyExit("margin")
    fit, calibrate = trace.split([0.3, 0.7], seed=0)
    agent.fit(fit).certify(calibrate, risk="disagreement", eps=0.05, delta=0.2)
    run = classify(network, encoder, x[800:840], IntegerReadout.of(agent, "output", trace))
    assert len(np.unique(run.steps)) > 3 and np.mean(run.labels == y[800:840]) > 0.85
    found = lava(export_classifier(run, tmp_path / "b"))
    assert found.equal, (found.differ, found.decisions_differ)
    assert np.array_equal(found.decisions, np.stack((run.steps, run.labels), axis=1))
    assert sum(s.sum() for s in found.spikes.values()) == sum(len(s) for s in run.result.steps.values()) > 1000
    assert len(found.spikes["output"]) == run.total < 0.7 * 41 * steps
