"""Converted classifiers as integers, each sample stopped: against the float network, an agent, a tight bound."""

import dataclasses

import numpy as np
import pytest

import snn
from kernels.errors import ExportError, ModelError
from neuromorphic import (
    IntegerLIF,
    IntegerNetwork,
    IntegerProjection,
    IntegerReadout,
    IntegerSource,
    classify,
    cost,
    quantize,
    record,
    to_nir,
)
from snn.confidence import EarlyExit

STEPS, CLASSES = 24, 4
ENCODER = snn.encode.Events("input")


def description(seed=0, late=True):
    """What ``from_torch`` makes of 20-30-4: soft reset from half the threshold, biases a step a layer late."""
    rng = np.random.default_rng(seed)
    net = snn.Network()
    src = net.population("input", 20, snn.SpikeArray([]))
    hidden = net.population("layer1", 30, snn.SoftResetIF(v_th=1.5), init={"v": 0.75})
    out = net.population("output", CLASSES, snn.Accumulator())
    net.connect(src, hidden, snn.all_to_all(), weight=rng.normal(0.2, 0.4, (20, 30)), delay=1.0)
    net.connect(hidden, out, snn.all_to_all(), weight=rng.normal(0.0, 1.0, (30, CLASSES)), delay=1.0)
    for k, pop in enumerate((hidden, out)):
        bias = snn.StepCurrent(rng.normal(0.0, 0.2, (1, pop.n)), times=[(k + 1.0) * late])
        net.input(f"bias {pop.name}", pop, bias)
    return net


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(1)
    rates = rng.random((40, 20)) * rng.random((40, 1))
    return [np.nonzero(rng.random((STEPS, 20)) < r) for r in rates]


@pytest.fixture(scope="module")
def quantized():
    return quantize(description(), 1.0, steps=STEPS)


@pytest.fixture(scope="module")
def trace(quantized, samples):
    return record(quantized.network, ENCODER, samples, "output", STEPS, ids=np.arange(40))


def test_outputs_are_those_of_the_float_network(quantized, samples, trace):
    """v of every class after every step, within a spike: rounding moves one by a step here and there."""
    wanted = snn.Classifier(description(), ENCODER, "output", latency="pipelined", threads=1).record(samples, STEPS)
    ours, theirs = trace.outputs[2:] / quantized.populations["output"].scale, wanted.outputs[2:]
    spike = np.abs(description().projections["layer1->output"].weight).mean()
    assert trace.first_step == wanted.first_step == 3 and trace.t_max == STEPS
    assert np.mean(np.abs(ours - theirs)) < spike
    assert np.mean(np.abs(ours[1:] - theirs[:-1])) > 2 * spike
    assert np.abs(trace.spikes - wanted.spikes).sum() < 0.01 * wanted.spikes.sum()
    assert np.mean(ours.argmax(2) == theirs.argmax(2)) > 0.97


def test_a_bias_from_the_first_step_on_is_another_network(samples):
    """Late biases are lowered starts: with all from step 1 the outputs differ."""
    early, late = (
        record(quantize(description(late=k), 1.0, steps=STEPS).network, ENCODER, samples, "output", STEPS).outputs
        for k in (False, True)
    )
    assert np.mean(early != late) > 0.5


def test_samples_stop_where_the_agent_stops(quantized, samples, trace):
    bar = float(np.median(np.diff(np.sort(trace.outputs[8]), axis=1)[:, -1])) + 0.5
    agent = EarlyExit("margin", bar=bar, t_min=4, check_every=2)
    readout = IntegerReadout.of(agent, "output", trace)
    assert (readout.bar, readout.t_min, readout.every, readout.steps) == (int(bar), 4, 2, STEPS)
    wanted = agent.decide(trace)
    run = classify(quantized.network, ENCODER, samples, readout)
    assert np.array_equal(run.steps, wanted.steps) and np.array_equal(run.labels, wanted.labels)
    assert len(np.unique(run.steps)) > 3 and set(run.steps % 2) == {0} and run.total == run.steps.sum() + 40
    assert run.result.v["output"].shape == (run.total, CLASSES)
    begin = np.concatenate(([0], np.cumsum(run.steps + 1)))
    for k in range(40):
        assert np.array_equal(
            run.result.v["output"][begin[k] : begin[k] + run.steps[k]], trace.outputs[: run.steps[k], k]
        )
        spikes = sum(np.sum((s >= begin[k] + 1) & (s <= begin[k + 1])) for s in run.result.steps.values())
        inputs = run.network.sources["input"].steps
        spikes += np.sum((inputs >= begin[k] + 1) & (inputs <= begin[k + 1]))
        assert spikes == trace.spikes[run.steps[k] - 1, k]
    never = classify(quantized.network, ENCODER, samples, IntegerReadout("output", STEPS))
    assert set(never.steps) == {STEPS} and np.array_equal(never.labels, trace.outputs[-1].argmax(1))
    few, all_ = (cost(r.network, r.result, r.total, "loihi1") for r in (run, never))
    assert few.synops == cost_by_hand(run) and few.energy["davies2018"] < 0.8 * all_.energy["davies2018"]


def cost_by_hand(run):
    net = run.network
    fan = {
        name: np.bincount(p.sources, minlength=net.sizes[p.source])
        for p in net.projections.values()
        for name in p.parts
    }
    return sum(fan[k][i].sum() for k, i in (("input", net.sources["input"].ids), ("layer1", run.result.ids["layer1"])))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_unit_that_sums_comes_near_its_threshold_and_not_there(sign):
    """The worst input: all synapses of one sign in every step."""
    rng = np.random.default_rng(2)
    weights = rng.normal(0, 1, (50, 6))
    net = snn.Network()
    src = net.population("in", 50, snn.SpikeArray([]))
    out = net.population("out", 6, snn.Accumulator())
    net.connect(src, out, snn.all_to_all(), weight=weights)
    net.input("bias", out, snn.StepCurrent([sign * 0.5]))
    network = quantize(net, 1.0, steps=60).network
    largest = []
    for target in range(6):
        ids = np.flatnonzero(sign * weights[:, target] > 0)
        network.sources["in"] = IntegerSource(50, np.repeat(np.arange(1, 61), len(ids)), np.tile(ids, 60))
        run = network.run(60, ["out"])
        assert run.steps["out"].size == 0
        largest.append(np.abs(run.v["out"]).max())
    other = np.maximum(-sign * weights, 0).sum(0).max() > np.maximum(sign * weights, 0).sum(0).max()
    assert max(largest) < 131071 << 6 and (other or max(largest) > 0.95 * (131071 << 6))
    more = network.run(90, ["out"])
    assert sign < 0 or more.v["out"].max() <= 131071 << 6


def refused(call, text, error=ExportError):
    with pytest.raises(error, match=text):
        call()


def test_what_cannot_be_is_refused(quantized, samples):
    net = description()
    refused(lambda: quantize(net, 1.0), "Population 'output'.v_th: must be finite; inf .* give quantize steps")
    refused(lambda: quantize(net, 1.0, steps=0), "quantize.steps: must be an integer >= 1; got 0", ModelError)
    refused(lambda: to_nir(net, 1.0), "Population 'layer1'.model: must reset to a value")
    refused(
        lambda: record(quantized.network, snn.encode.Events("x"), samples, "output", 5), "must drive the one source"
    )
    refused(
        lambda: record(quantized.network, ENCODER, samples, "layer2", 5), "must be one of layer1, output; got 'layer2'"
    )
    refused(lambda: record(quantized.network, ENCODER, samples, "layer1", 9), "'layer1' must only sum; sample .* spike")
    refused(
        lambda: IntegerReadout("output", 5, bar=1.5), "IntegerReadout.bar: must be an integer .* got 1.5", ModelError
    )
    refused(lambda: IntegerReadout("output", 0), "IntegerReadout.steps: must be an integer >= 1; got 0", ModelError)
    late = description()
    late.projections["layer1->output"] = dataclasses.replace(late.projections["layer1->output"], delay=2.0)
    late = quantize(late, 1.0, steps=5).network
    refused(lambda: record(late, ENCODER, samples, "output", 5), "'layer1->output': delays must be 0, .* got 1")
    changes = snn.Network()
    leaky = snn.Leaky(reset_mechanism=1, reset_delay=0)
    changes.input("i", changes.population("p", 1, leaky), snn.StepCurrent([1.0, 2.0], [2.0, 4.0]))
    refused(lambda: quantize(changes, 1.0), "Input 'i': must be one value from a step on, at most 1000 steps late; got")
    cut = IntegerNetwork({"output": IntegerLIF(2)}, {"input": IntegerSource(1, [1], [0])}, {})
    refused(lambda: record(cut, ENCODER, [([0], [0])], "output", 5), "'output' is not reached by the input. Connect it")
    again = IntegerNetwork({"output": IntegerLIF(2, reset_interval=[0, 9])}, cut.sources, {})
    refused(lambda: record(again, ENCODER, [([0], [0])], "output", 5), "'output'.reset_interval: must be 0, .* got 9")
    gives_up = EarlyExit("margin", bar=1.0, give_up=(3, 0.1))
    refused(lambda: IntegerReadout.of(gives_up, "output", None), "an agent that gives up", ModelError)


def test_a_current_is_a_bias():
    """Of a leaky model from the first step on: v_t = i (1 - beta^t) / (1 - beta)."""
    net = snn.Network()
    pop = net.population("p", 3, snn.Leaky(beta=0.9, threshold=50.0, reset_mechanism=1, reset_delay=0))
    net.input("i", pop, snn.StepCurrent([[1.0, -0.5, 0.0]]))
    wanted = (1 - 0.9 ** np.arange(1, 41))[:, None] * np.array([10.0, -5.0, 0.0])
    quantized = quantize(net, 1.0)
    ours = quantized.network.run(40, ["p"]).v["p"] / quantized.populations["p"].scale
    assert np.abs(wanted).max() > 8 and np.abs(ours - wanted).max() < 0.02 * 10


@pytest.mark.parametrize("first", [0, 1, 3])
@pytest.mark.parametrize("model", [
    snn.Leaky(beta=[0.9, 0.0], threshold=2.0, reset_mechanism=1, reset_delay=0),
    snn.Synaptic(alpha=[0.8, 0.0], beta=0.9, threshold=2.0, reset_mechanism=1, reset_delay=0),
    snn.SoftResetIF(v_th=2.0),
    snn.CubaLIF(alpha=0.0, beta=0.9, v_th=2.0),
    snn.LIFDelta(tau_m=10.0, e_l=0.0, v_reset=0.0, v_th=2.0, c_m=1.0, t_ref=2.0),
], ids=lambda x: type(x).__name__)  # fmt: skip
def test_a_current_begins_in_its_step(model, first):
    """Spikes and v of integers are those of floats, whatever the model makes of a current."""
    net = snn.Network()
    pop = net.population("p", 2, model)
    net.input("i", pop, snn.StepCurrent([[0.31, -0.2]], times=[float(first)]))
    net.input("more", pop, snn.StepCurrent([[0.0, 0.53]], times=[2.0]))
    net.record(pop, ["spikes", "v"])
    wanted = snn.Simulation(net, dt=1.0, backend="reference").run(40.0)
    quantized = quantize(net, 1.0)
    ours = quantized.network.run(40, ["p"])
    when, which = wanted.spikes["p"].times, wanted.spikes["p"].ids
    assert when.size > 2
    np.testing.assert_array_equal(ours.steps["p"], when)
    np.testing.assert_array_equal(ours.ids["p"], which)
    v, scale = wanted.states["p"]["v"][3:], quantized.populations["p"].scale  # before, starts may be lowered
    np.testing.assert_allclose(ours.v["p"][3:] / scale, v, atol=0.02 * np.abs(v).max())


def test_a_start_above_the_threshold_is_none(samples):
    """A strong negative current without leak that begins late: no lowered start stands for it."""
    net = description()
    net.input("strong", "layer1", snn.StepCurrent(np.full((1, 30), -3.0), times=[1.0]))
    integer = quantize(net, 1.0, steps=STEPS).network
    ours = record(integer, ENCODER, samples, "output", STEPS)
    wanted = snn.Classifier(net, ENCODER, "output", latency="pipelined", threads=1).record(samples, STEPS)
    assert wanted.spikes[-1].sum() > 100
    assert np.abs(ours.spikes - STEPS - wanted.spikes)[-1].sum() < 0.05 * wanted.spikes[-1].sum()


def test_biases_of_leaky_layers_are_classified():
    """Two late layers with a leak: no delays, so samples can follow each other; "bias" begins anew with each."""
    rng = np.random.default_rng(2)
    net = snn.Network()
    before = net.population("input", 20, snn.SpikeArray([]))
    for k, n in enumerate((30, 20)):
        pop = net.population(f"layer{k}", n, snn.Leaky(beta=0.9, reset_mechanism=1, reset_delay=0))
        net.connect(before, pop, snn.all_to_all(), weight=rng.normal(0.1, 0.3, (before.n, n)))
        net.input(f"bias{k}", pop, snn.StepCurrent(rng.normal(0.0, 0.1, (1, n)), times=[k + 1.0]))
        before = pop
    out = net.population("output", CLASSES, snn.Accumulator())
    net.connect(before, out, snn.all_to_all(), weight=rng.normal(0.0, 1.0, (20, CLASSES)))
    x = [np.nonzero(rng.random((STEPS, 20)) < 0.2) for _ in range(5)]
    integer = quantize(net, 1.0, steps=STEPS).network
    trace = record(integer, ENCODER, x, "output", STEPS)
    wanted = snn.Classifier(net, ENCODER, "output", latency="pipelined", threads=1).record(x, STEPS)
    assert np.mean(trace.outputs.argmax(2) == wanted.outputs.argmax(2)) > 0.9
    run = classify(integer, ENCODER, x, IntegerReadout("output", STEPS))
    begin = np.repeat(np.arange(5) * (STEPS + 1), 2 * STEPS - 1)
    np.testing.assert_array_equal(run.result.steps["bias"] - begin, np.tile([1, *np.repeat(range(2, STEPS + 1), 2)], 5))


def test_currents_that_decay_need_an_interval_of_one():
    net = snn.Network()
    pop = net.population("p", 2, snn.Synaptic(reset_mechanism=1, reset_delay=0))
    net.input("i", pop, snn.StepCurrent([0.1]))
    refused(lambda: quantize(net, 1.0, interval=3), "Input 'i': .* quantize.interval must be 1 then; got 3")


def test_both_resets_by_hand():
    """A neuron that subtracts and one that resets to 0, by hand."""
    neurons = IntegerLIF(2, bias_mant=100, vth=2, subtract=[1, 0])  # the threshold is 128
    p = IntegerProjection("p", "p", [0], [1], [0])
    run = IntegerNetwork({"p": neurons}, {}, {"p": p}).run(5, ["p"])
    assert run.v["p"].T.tolist() == [[100, 72, 44, 16, 116], [100, 0, 100, 0, 100]]
