"""Networks side by side in one: each gives what it gives alone."""

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ModelError
from snn.compile import compile_network
from snn.fingerprint import digest


def network(seed, rate, w):
    net = snn.Network(seed=seed)
    a = net.population("a", 30, snn.LIFDelta(tau_m=snn.uniform(15.0, 25.0)), init={"v": snn.uniform(-70.0, -55.0)})
    src = net.population("src", 20, snn.Poisson(rate=40.0))
    net.input("noise", a, snn.Poisson(rate=rate), weight=snn.uniform(0.8, 1.6))
    net.input("current", a, snn.NoiseCurrent(mean=20.0, std=50.0))
    net.connect(a, a, snn.fixed_indegree(5), weight=snn.normal(w, 0.1), delay=snn.uniform(0.5, 3.0))
    net.connect(src, a, snn.pairwise_bernoulli(0.3), weight=snn.uniform(0.5, 1.0), delay=1.0, name="learns",
                plasticity=plasticity.RewardSTDP(gamma=3.0, w_max=1.0))  # fmt: skip
    net.modulate("learns", value=w)
    for p in (a, src):
        net.record(p)
    net.record(a, "v", ids=[2, 5])
    net.record_weights("learns")
    return net


PARTS = (1, 3000.0, 0.2), (2, 4000.0, 0.5)


def test_each_gives_what_it_gives_alone():
    joined = snn.join([network(*part) for part in PARTS])
    sim = snn.Simulation(joined, dt=0.1, threads=1, quiet=True)
    results = joined.split(sim.run(60.0))
    found = []
    for k, (part, result) in enumerate(zip(PARTS, results, strict=True)):
        alone = snn.Simulation(network(*part), dt=0.1, threads=1, quiet=True)
        expected = alone.run(60.0)
        assert list(result.spikes) == list(expected.spikes) and result.t_stop == 60.0
        for name, x in expected.spikes.items():
            np.testing.assert_array_equal(result.spikes[name].times, x.times)
            np.testing.assert_array_equal(result.spikes[name].ids, x.ids)
        np.testing.assert_array_equal(result.states["a"]["v"], expected.states["a"]["v"])
        np.testing.assert_array_equal(result.weights["learns"][1], expected.weights["learns"][1])
        np.testing.assert_array_equal(sim.state(f"{k}:a", "v"), alone.state("a", "v"))
        for x, y in zip(sim.connections(f"{k}:learns"), alone.connections("learns"), strict=True):
            np.testing.assert_array_equal(x, y)
        found.append(tuple(expected.spikes["a"].times))
    assert len(set(found)) == 2 and min(map(len, found)) > 30, "they must differ"


def test_each_is_told_its_own_changes():
    """So that runs of one part are joined or refused as runs of its own would be; nested joins, too."""

    def part(seed):
        net = snn.Network(seed=seed)
        a = net.population("a", 3, snn.LIFDelta(i_e=500.0))
        net.connect(a, a, snn.all_to_all(), 0.1, plasticity=plasticity.STDPPair(), name="p")
        net.record(a, ["spikes", "v"])
        net.record_weights("p")
        return net

    joined = snn.join([part(1), snn.join([part(2)])])
    sim = snn.Simulation(joined, backend="reference", quiet=True)
    results = [joined.split(sim.run(5.0))]
    sim.set_parameters("0:a", v_th=-58.0)
    sim.rewire("0:p", lambda s, t, w, n, same, rng: ([0], [0], [0], [0.2]))
    results.append(joined.split(sim.run(5.0)))
    (before, other), (after, _) = results
    assert [(x.spikes["a"].population, x.states["a"].population) for x in (before, after)] == [("a", "a")] * 2
    assert other.spikes["0:a"].population == "0:a" and list(other.weights) == ["0:p"]
    assert (before.provenance["seed"], other.provenance["seed"]) == (1, joined.parts[1].seed)
    assert [(x["call"], x["name"]) for x in after.provenance["changes"]] == [("set_parameters", "a"), ("rewire", "p")]
    assert before.provenance["changes"] == results[1][1].provenance["changes"] == []
    with pytest.raises(ModelError, match="Result.concatenate: 'p' was rewired between these runs"):
        snn.Result.concatenate([before, after])
    assert snn.Result.concatenate([other, results[1][1]]).weights["0:p"][1].shape == (2, 9)


@pytest.mark.parametrize("delays", [(1.5, 1.5), (1.5, 0.4)])
def test_on_the_event_engine_it_depends_on_the_smallest_delay(delays):
    """Windows follow the smallest of all; where it is the same, so is every bit, else times agree to rounding."""
    nets = []
    for seed, delay in zip((1, 2), delays, strict=True):
        net = snn.Network(seed=seed)
        a = net.population("a", 20, snn.LIFExp(i_e=snn.normal(400.0, 50.0)))
        net.input("noise", a, snn.Poisson(rate=800.0), receptor="ex", weight=40.0)
        net.connect(a, a, snn.fixed_indegree(3), weight=-20.0, delay=delay)
        net.record(a)
        nets.append(net)
    joined = snn.join(nets)
    results = joined.split(snn.Simulation(joined, engine="event", threads=1, quiet=True).run(200.0))
    for net, result in zip(nets, results, strict=True):
        alone = snn.Simulation(net, engine="event", threads=1, quiet=True).run(200.0).spikes["a"]
        assert len(alone) > 100
        np.testing.assert_array_equal(result.spikes["a"].ids, alone.ids)
        if delays[0] == delays[1]:
            np.testing.assert_array_equal(result.spikes["a"].times, alone.times)
        np.testing.assert_allclose(result.spikes["a"].times, alone.times, rtol=0, atol=1e-9)


def test_its_hash_names_the_seeds_of_all():
    joined = [snn.join([network(1, 3000.0, 0.2), network(seed, 3000.0, 0.2)]) for seed in (1, 2, 2)]
    hashes = {digest(compile_network(net, 0.1, "float64", 1).parts) for net in joined}
    assert len(hashes) == 2


@pytest.mark.parametrize("given", [[], [1], [snn.Network(), None]])
def test_what_is_no_network_is_refused(given):
    with pytest.raises(ModelError, match="join: must be a list of networks, one at least"):
        snn.join(given)


def test_nothing_is_added_to_a_joined_network():
    net = snn.join([network(1, 3000.0, 0.2), network(2, 3000.0, 0.2)])
    known = list(net.populations), list(net.projections), list(net.inputs)
    for call in (
        lambda: net.population("b", 3, snn.LIFExp()),
        lambda: net.input("more", "0:a", snn.Poisson(1.0), weight=1.0),
        lambda: net.connect("0:a", "1:a", snn.fixed_indegree(1), weight=1.0, delay=1.5),
        lambda: net.modulate("0:learns", value=1.0),
    ):
        with pytest.raises(ModelError, match="join: nothing can be added to a joined network"):
            call()
    assert (list(net.populations), list(net.projections), list(net.inputs)) == known
