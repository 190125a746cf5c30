"""Networks cut where cores end: spikes, u and v of the whole, bit for bit."""

from dataclasses import replace

import numpy as np
import pytest

from kernels.errors import ExportError, ModelError
from neuromorphic import IntegerLIF, IntegerNetwork, IntegerProjection, IntegerSource, cost, gather, map_network, split


def network(n, seed=0, exponent=-2, delays=4, steps=150):
    rng = np.random.default_rng(seed)
    when, which = np.nonzero(rng.random((steps, 40)) < 0.2)

    def edges(source, n_source, target, n_target, mode=0, chance=0.1):
        sources, targets = np.nonzero(rng.random((n_source, n_target)) < chance)
        weights = rng.integers(-256, 256, len(sources)) if mode == 0 else rng.integers(0, 256, len(sources))
        late = rng.integers(0, delays + 1, len(sources))
        return IntegerProjection(source, target, sources, targets, weights, late, exponent, int(rng.integers(5, 9)))

    def neurons(n):
        return IntegerLIF(n, du=rng.integers(500, 4096, n), dv=rng.integers(0, 1000, n), vth=rng.integers(50, 300, n),
                          bias_mant=rng.integers(0, 100, n), bias_exp=rng.integers(0, 3, n))  # fmt: skip

    projections = {
        "in->a": edges("in", 40, "a", n), "a->a": edges("a", n, "a", n, chance=10 / n),
        "a->b": edges("a", n, "b", 30, mode=1), "b->a": edges("b", 30, "a", n),
    }  # fmt: skip
    return IntegerNetwork({"a": neurons(n), "b": neurons(30)}, {"in": IntegerSource(40, when + 1, which)}, projections)


def by_hand(net, cuts):
    """A mapping that cuts ``a`` and ``b`` where told, as a placement of one's own would."""
    core = {name: np.searchsorted(cuts[name], np.arange(p.n), side="right") for name, p in net.populations.items()}
    return replace(map_network(net), core=core)


def same(net, mapping, steps=150):
    whole, parts = net.run(steps, net.populations), split(net, mapping)
    joined = gather(parts.run(steps, parts.populations), net, mapping)
    return {
        f"{what} of {name}": np.array_equal(getattr(whole, what)[name], getattr(joined, what)[name])
        for what in ("steps", "ids", "u", "v", "wraps", "clips")
        for name in net.populations
    }


@pytest.mark.parametrize("seed", range(8))
def test_parts_do_what_the_whole_does(seed):
    net = network(90, seed, exponent=int(np.random.default_rng(seed).integers(-4, 2)))
    mapping = by_hand(net, {"a": [7, 8, 60], "b": [15]})
    assert list(split(net, mapping).populations) == ["a@0", "a@1", "a@2", "a@3", "b@0", "b@1"]
    assert net.run(150).steps["a"].size > 300
    assert all(same(net, mapping).values()), same(net, mapping)


def test_placed_on_the_cores_of_loihi_1():
    net = network(1500, delays=0)
    mapping = map_network(net, "loihi1")
    parts = split(net, mapping)
    assert mapping.cores > 1 and len(parts.populations) > 2
    assert all(same(net, mapping).values())
    again = map_network(parts, "loihi1")  # the same cores hold the same
    for what in ("neurons", "memory", "axons_in", "axons_out"):
        assert np.array_equal(getattr(again, what), getattr(mapping, what)), what
    one, two = cost(net, net.run(50), 50, "loihi1"), cost(parts, parts.run(50), 50, "loihi1")
    assert (one.synops, one.messages, one.energy) == (two.synops, two.messages, two.energy)


def test_sums_shifted_apart_are_others():
    """Why the parts of a source share a connection: one for each gives other currents, since each floors."""
    net = network(90, 1)
    parts = split(net, by_hand(net, {"a": [7, 8, 60], "b": [15]}))
    apart = {}
    for name, p in parts.projections.items():
        ends = np.cumsum([parts.sizes[part] for part in p.parts])
        for part, low, high in zip(p.parts, [0, *ends[:-1]], ends, strict=True):
            mine = (p.sources >= low) & (p.sources < high)
            apart[f"{name} {part}"] = replace(
                p, source=part, sources=p.sources[mine] - low, targets=p.targets[mine], weights=p.weights[mine],
                delays=p.delays[mine],
            )  # fmt: skip
    one, two = (n.run(150, ["a@0"]).u["a@0"] for n in (parts, replace(parts, projections=apart)))
    assert np.any(one != two)


def test_sign_modes_are_those_of_the_whole():
    """3 is stored as 2 beside a negative weight, and stays so on a core of its own."""
    p = IntegerProjection("in", "p", [0, 0], [0, 1], [3, -5])
    net = IntegerNetwork({"p": IntegerLIF(2, vth=100)}, {"in": IntegerSource(1, [1], [0])}, {"in->p": p})
    mapping = replace(map_network(net), core={"p": np.array([0, 1])})
    assert net.run(2, ["p"]).u["p"][1].tolist() == [2 * 64, -6 * 64]
    assert same(net, mapping, steps=5) == dict.fromkeys(same(net, mapping, steps=5), True)
    parts = split(net, mapping)
    parts.projections["in->p@0"] = replace(parts.projections["in->p@0"], sign_mode=0)
    assert parts.run(2, ["p@0"]).u["p@0"][1].tolist() == [3 * 64]


def test_bad_input_is_refused():
    net = network(20)
    with pytest.raises(ExportError, match="the mapping is not of this network: population 'a'. Map this one"):
        split(net, map_network(network(21)))
    mapping = by_hand(net, {"a": [5], "b": []})
    net.populations["a@1"] = IntegerLIF(1)
    with pytest.raises(ExportError, match="'a@1' is the name of a part and of a population. Rename"):
        split(net, replace(mapping, core=mapping.core | {"a@1": np.zeros(1, int)}))
    apart = IntegerProjection(("a", "c"), "b", [0], [0], [1])
    with pytest.raises(ModelError, match="its sources must follow each other in the network; got .'a', 'c'."):
        IntegerNetwork({"a": IntegerLIF(1), "b": IntegerLIF(1), "c": IntegerLIF(1)}, {}, {"p": apart})
