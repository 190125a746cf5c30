"""Neurons in space: distances around a periodic box by any rule, against all images of a neuron."""

import itertools

import numpy as np
import pytest

import snn
from snn.space import displacements

RNG = np.random.default_rng(8)
AT = {"a": RNG.uniform(-1.0, 3.0, (40, 2)), "b": RNG.uniform(-1.0, 3.0, (30, 2))}  # also outside the box


def ways(here, there, box):
    """The shortest of the ways from ``here`` to all images of ``there``, (n, m, d); ``box`` is 0 where open."""
    d = here.shape[1]
    images = np.array(list(itertools.product(range(-5, 6), repeat=d))) * np.asarray(box)
    all_ways = there[None, :, None] + images - here[:, None, None]
    shortest = np.argmin(np.sum(all_ways**2, axis=3), axis=2)
    return np.take_along_axis(all_ways, shortest[:, :, None, None], axis=2)[:, :, 0]


def network(wrap, seed=5):
    net = snn.Network(seed=seed)
    a = net.population("a", 40, snn.Poisson(rate=200.0), positions=AT["a"], wrap=wrap)
    b = net.population("b", 30, snn.LIFDelta(), positions=AT["b"], wrap=wrap)
    return net, a, b


@pytest.mark.parametrize(
    "rule",
    [snn.fixed_indegree(7), snn.fixed_outdegree(7, multapses=False), snn.fixed_total_number(99),
     snn.pairwise_bernoulli(0.2), snn.all_to_all(), snn.distance_dependent(lambda d: d < 0.4),
     snn.from_arrays(np.arange(20), np.arange(20)[::-1])],
    ids=lambda rule: type(rule).__name__,
)  # fmt: skip
@pytest.mark.parametrize(
    ("wrap", "box"), [(None, (0.0, 0.0)), (1.0, (1.0, 1.0)), ((0.8, 2.0), (0.8, 2.0)), ((1.0, np.inf), (1.0, 0.0))]
)
def test_weights_and_delays_around_the_box(rule, wrap, box):
    net, a, b = network(wrap)
    near = np.linalg.norm(ways(AT["a"], AT["b"], box), axis=2)
    net.connect(a, b, rule, weight=lambda d: 2.0 - d, delay=lambda d: 0.5 + 10.0 * d)
    net.connect(a[20:], b[[3, 1, 2]], snn.all_to_all(), weight=lambda d: np.exp(-d), name="part")
    sim = snn.Simulation(net, quiet=True)
    sources, targets, weights, delays = sim.connections("a->b")
    np.testing.assert_allclose(weights, 2.0 - near[sources, targets], atol=1e-12)
    np.testing.assert_allclose(delays, 0.5 + 10.0 * near[sources, targets], atol=0.05 + 1e-9)  # on the grid
    assert len(weights) >= 20 and np.ptp(near[sources, targets]) > 0.2
    sources, targets, weights, _ = sim.connections("part")
    np.testing.assert_allclose(weights, np.exp(-near[sources, targets]), atol=1e-12)
    assert len(weights) == 60
    if wrap is None:
        return
    other, *ends = network(None)
    drawn = other.connect(*ends, rule, weight=lambda d: d).rule  # the same pairs, as far apart as an open space is
    if not isinstance(rule, snn.distance_dependent):
        made = net.projections["a->b"].rule
        np.testing.assert_array_equal([made.sources, made.targets], [drawn.sources, drawn.targets])


@pytest.mark.parametrize("box", [None, np.array([1.0, 1.0]), np.array([0.7, np.inf])])
def test_the_way_back(box):
    """The shortest way to a neuron is that from it, turned round, also where two are half a period apart."""
    here, there = AT["a"][:30].copy(), AT["b"]
    here[0], there[0] = (0.25, 0.0), (0.75, 0.5)
    there[1] = here[1]
    forth = displacements(here, there, box)
    np.testing.assert_array_equal(forth, -displacements(there, here, box))
    images = (0.0, 0.0) if box is None else np.where(np.isfinite(box), box, 0.0)
    np.testing.assert_allclose(forth[1:], np.einsum("iid->id", ways(here[1:], there[1:], images)), atol=1e-12)
    if box is not None and box[1] == 1.0:
        assert forth[0].tolist() == [0.5, 0.5]


def test_a_box_without_borders_is_open():
    net, a, _ = network((np.inf, np.inf))
    assert a.wrap is None and network((1.0, np.inf))[1].wrap.tolist() == [1.0, np.inf]
    with pytest.raises(ValueError, match="read-only"):
        network(1.0)[1].wrap[0] = 2.0
    assert net.populations["b"].wrap is None
