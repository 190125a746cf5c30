"""Limits of chips, each just below and just above; counts and energy worked out by hand."""

import dataclasses

import numpy as np
import pytest

import neuromorphic.targets
import plasticity
import snn
from kernels.errors import ExportError, ModelError
from neuromorphic import IntegerLIF, IntegerNetwork, IntegerProjection, IntegerSource, OnChipRule, cost, map_network
from neuromorphic.realised import realise
from neuromorphic.targets import bits_of_row
from snn.nest.graph import to_graph


def joined(sources, targets, n_source, n_target, **options):
    """``n_source`` sources joined to ``n_target`` neurons by the pairs given."""
    projection = IntegerProjection("in", "p", sources, targets, np.full(len(sources), 5), **options)
    return IntegerNetwork({"p": IntegerLIF(n_target)}, {"in": IntegerSource(n_source, [1], [0])}, {"in->p": projection})


def fan_in(n):
    """One neuron with ``n`` sources."""
    return joined(np.arange(n), np.zeros(n, int), n, 1)


def dense(n_source, n_target, **options):
    sources, targets = (x.ravel() for x in np.meshgrid(np.arange(n_source), np.arange(n_target), indexing="ij"))
    return joined(sources, targets, n_source, n_target, **options)


@pytest.mark.parametrize(("chip", "most"), [("loihi1", 1024), ("loihi2", 8192)])
def test_neurons_of_a_core(chip, most):
    assert map_network(IntegerNetwork({"p": IntegerLIF(most)}, {}, {}), chip).cores == 1
    assert map_network(IntegerNetwork({"p": IntegerLIF(most + 1)}, {}, {}), chip).neurons.tolist() == [most, 1]


@pytest.mark.parametrize(("chip", "cores", "neurons"), [("loihi1", 128, 1024), ("loihi2", 120, 8192)])
def test_cores_of_a_chip(chip, cores, neurons):
    full = {"a": IntegerLIF(cores * neurons - 1), "b": IntegerLIF(1)}
    assert map_network(IntegerNetwork(full, {}, {}), chip).chips == 1
    over = IntegerNetwork(full | {"c": IntegerLIF(3)}, {}, {})
    with pytest.raises(
        ExportError, match=f"'c': neuron 0 is the first .* needs {cores + 1} cores, .* have {cores}. .*=2"
    ):
        map_network(over, chip)
    assert map_network(over, chip, chips=2).chips == 2


def test_axons_into_a_core():
    """4096 sources may reach a core of Loihi 1; a neuron with more fits nowhere, two with less take two cores."""
    assert map_network(fan_in(4096), "loihi1").axons_in.tolist() == [4096]
    with pytest.raises(ExportError, match="'p': 1 neurons need up to 4,097 input axons each; .* has 4,096. Let fewer"):
        map_network(fan_in(4097), "loihi1")
    assert map_network(fan_in(4097), "loihi2").cores == 1  # no public limit, so none is checked
    for second, cores in ((2048, 1), (2049, 2)):  # beside 2048 sources of the first, one of which both have
        sources = np.concatenate((np.arange(2048), np.arange(second) + 2048, [0]))
        targets = np.repeat([0, 1], [2048, second + 1])
        assert map_network(joined(sources, targets, 4097, 2), "loihi1").cores == cores


def test_axons_out_of_a_core():
    """512 neurons that each reach 8 cores send 4096; one more to one of them is too much."""

    def net(more=()):
        targets = np.arange(0, 1024 * 8, 1024)
        sources = np.concatenate((np.repeat(np.arange(512), 8), more)).astype(int)
        targets = np.concatenate((np.tile(targets, 512), np.zeros(len(more), int)))
        p = IntegerProjection("a", "b", sources, targets, np.ones(len(sources), int))
        return IntegerNetwork({"a": IntegerLIF(1024), "b": IntegerLIF(1024 * 8)}, {}, {"p": p})

    mapping = map_network(net(), "loihi1")
    assert mapping.axons_out[0] == 4096 and mapping.reached["a"][:513].tolist() == [8] * 512 + [0]
    with pytest.raises(ExportError, match=r"Core 0 \(a\): sends 4,097 axons; Loihi 1 allows 4,096"):
        map_network(net([512]), "loihi1")


def test_synaptic_memory():
    """A list of 64 synapses of 8 + 10 bits, with its header: 1162 bits, 19 words."""
    assert [bits_of_row(n, 18) for n in (0, 1, 3, 64, 65)] == [0, 64, 64, 1216, 1280]
    assert map_network(dense(862, 64), "loihi1").memory.tolist() == [862 * 1216]  # of 1,048,576
    assert map_network(dense(863, 64), "loihi1").cores == 2
    wide = dense(3, 64, delays=np.tile([0, 62, 1], 64))  # 6 bits of delay
    assert map_network(wide, "loihi1").memory[0] == 3 * 64 * -(-(10 + 64 * 24) // 64)
    few = dense(3, 64, bits=4)
    assert map_network(few, "loihi1").memory[0] == 3 * 64 * -(-(10 + 64 * 14) // 64)
    assert map_network(fan_in(16_384), "loihi2").memory.tolist() == [1_048_576]  # each synapse is a list of its own
    with pytest.raises(
        ExportError, match="'p': 1 neurons need up to 1,048,640 bits .* has 1,048,576. Use fewer synapses"
    ):
        map_network(fan_in(16_385), "loihi2")


def test_every_problem_is_told_at_once():
    net = joined(np.arange(17_000), np.zeros(17_000, int), 17_000, 1)
    net.populations["q"] = IntegerLIF(1024 * 128)
    with pytest.raises(ExportError) as error:
        map_network(net, "loihi1")
    for text in ("input axons", "synaptic memory", "Population 'q': neuron"):
        assert text in str(error.value)
    with pytest.raises(ModelError, match=r"chip: must be one of loihi1, loihi2; got 'loihi'"):
        map_network(net, "loihi")
    with pytest.raises(ModelError, match=r"chips: must be an integer >= 1; got 0"):
        map_network(net, "loihi1", 0)


def test_counts_and_energy():
    """Two sources, three neurons: source 0 to all, neuron 0 to neuron 2."""
    into = IntegerProjection("in", "p", [0, 0, 0], [0, 1, 2], [100, 0, 0])
    on = IntegerProjection("p", "p", [0], [2], [1])
    net = IntegerNetwork({"p": IntegerLIF(3, vth=50)}, {"in": IntegerSource(2, [1, 3, 4, 30], [0, 0, 1, 0])},
                         {"in->p": into, "p->p": on})  # fmt: skip
    found = cost(net, net.run(10), 10, "loihi1")
    assert found.spikes == {"p": 2, "in": 3}  # the one of step 30 is not seen
    assert found.synops == 2 * 3 + 2 * 1 and found.messages == 2 + 2
    by_hand = 8 * 23.6 + 28 * 52 + 2 * 81 + 4 * 1.7
    assert found.energy["davies2018"] == pytest.approx(by_hand / 1e3, rel=1e-12)
    by_hand = 8 * 33.6 + 30 * (51.2 + 21.6) + 2 * 69.3 + 4 * 111
    assert found.energy["sanafe-loihi1"] == pytest.approx(by_hand / 1e3, rel=1e-12)
    assert "lower bound" in str(found) and "128 (Davies" in str(found)
    second = cost(net, net.run(10), 10, "loihi2")
    assert second.energy == {} and "no public figure for an operation of Loihi 2" in str(second)
    assert second.synops == found.synops
    for steps in (0, 50, True):
        with pytest.raises(ModelError, match=f"cost.steps: must be those of the result, 10; got {steps}."):
            cost(net, net.run(10), steps, "loihi1")


def learning(count, **rule):
    """One neuron; ``count`` projections that learn, each by a rule with its own x1."""
    source = {f"s{k}": IntegerSource(2, [1, 4], [0, 1]) for k in range(count)}
    rules = [OnChipRule(**{"dw": "x1*y0 - y1*x0"} | rule, x1=(16, 5 + k), y1=(16, 5)) for k in range(count)]
    edges = {k: IntegerProjection(k, "p", [0, 1], [0, 0], [5, 5], learning=r)
             for k, r in zip(source, rules, strict=True)}  # fmt: skip
    return IntegerNetwork({"p": IntegerLIF(1, vth=100)}, source, edges)


def test_kinds_of_presynaptic_traces():
    assert map_network(learning(3), "loihi1").cores == 1
    with pytest.raises(ExportError, match="Core 0: 4 kinds of presynaptic traces; Loihi 1 allows 3. Let rules"):
        map_network(learning(4), "loihi1")
    assert map_network(learning(4), "loihi2").cores == 1  # no public limit


def test_memory_of_synapses_that_learn():
    """8 bits of weight, or 9 with a sign, 10 of index, 9 a tag: two lists of a synapse."""
    for rule, sign, bits in (({}, 2, 18), ({}, 1, 19), ({"dt": "x0"}, 2, 27), ({"dt": "x0", "dw": "u1*d"}, 1, 37)):
        net = learning(1, **rule)
        net.projections["s0"].sign_mode = sign
        assert map_network(net, "loihi1").memory.tolist() == [2 * bits_of_row(1, bits)]


def test_updates_of_synapses_are_counted():
    """Two sources spike once each, one step apart: in the epoch of 2 steps each wakes its synapse; 120 pJ an update."""
    net = learning(1, epoch=2)
    result = net.run(10)
    found = cost(net, result, 10, "loihi1")
    assert not result.ids["p"].size and found.updates == result.updates["s0"] == 2
    assert "learning: 2 updates of synapses" in str(found)
    still = dataclasses.replace(result, updates={})
    without = cost(net, still, 10, "loihi1")
    assert found.energy["davies2018"] - without.energy["davies2018"] == pytest.approx(0.24)
    assert found.energy["sanafe-loihi1"] == without.energy["sanafe-loihi1"] and "without learning" in str(found)


def test_weights_that_can_be_set_are_static_to_exporters():
    def network(rule):
        net = snn.Network(seed=3)
        a = net.population("a", 4, snn.SpikeArray([1.0, 2.0], [0, 3]))
        b = net.population("b", 3, snn.LIFDelta(t_ref=0.0))
        net.connect(a, b, snn.all_to_all(), weight=snn.uniform(1.0, 2.0), delay=1.0, name="w", plasticity=rule)
        net.record(b)
        return net

    plain, other = network(None), network(plasticity.Static())
    one, two = (neuromorphic.quantize(net, 1.0).network.projections["w"] for net in (plain, other))
    np.testing.assert_array_equal(one.weights, two.weights)
    one, two = (neuromorphic.to_nir(net, 1.0).nodes["a_to_b"].weight for net in (plain, other))
    np.testing.assert_array_equal(one, two)
    one, two = (realise("x", net, 0.1, 10.0, {"LIFDelta": object()}).synapses["w"].weights for net in (plain, other))
    np.testing.assert_array_equal(one, two)
    one, two = (to_graph(net, 10.0, 0.1, 1) for net in (plain, other))
    assert one.text == two.text and one.arrays.keys() == two.arrays.keys()
    assert all(np.array_equal(one.arrays[k], two.arrays[k]) for k in one.arrays)
