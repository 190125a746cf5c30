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


def test_positions_on_a_line():
    """Of shape (n,): the same as (n, 1)."""
    found = []
    for at in (AT["a"][:, 0], AT["a"][:, :1].tolist(), AT["a"][:, 0].tolist()):
        net = snn.Network(seed=1)
        a = net.population("a", 40, snn.LIFDelta(), positions=at, wrap=1.0)
        assert a.positions.shape == (40, 1)
        net.connect(a, a, snn.distance_dependent(lambda d: d < 0.2), weight=snn.displacement(lambda dx: dx))
        found.append(snn.Simulation(net, quiet=True).connections("a->a")[:3])
    dx = ways(AT["a"][:, :1], AT["a"][:, :1], (1.0,))[:, :, 0]
    for sources, targets, weights in found:
        np.testing.assert_allclose(weights, dx[sources, targets], atol=1e-12)
        assert len(weights) == np.sum(np.abs(dx) < 0.2) - 40
    for bad in (np.zeros(39), np.zeros((40, 1, 1)), 1.0, np.full(40, np.nan)):
        with pytest.raises(snn.ShapeError, match=r"positions: must be finite, of shape \(40, d\) or \(40,\); got \("):
            snn.Network().population("a", 40, snn.LIFDelta(), positions=bad)


# displacements ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrap", "box"), [(None, (0.0, 0.0)), (1.0, (1.0, 1.0)), ((0.8, 2.0), (0.8, 2.0)), ((1.0, np.inf), (1.0, 0.0))]
)
def test_displacement_is_target_minus_source(wrap, box):
    net, a, b = network(wrap)
    to = ways(AT["a"], AT["b"], box)
    net.connect(
        a, b, snn.fixed_indegree(12), weight=snn.displacement(lambda dx, dy: 3.0 + dx - 0.25 * dy),
        delay=snn.displacement(lambda dx, dy: 1.0 + 10.0 * (dx > 0) + 20.0 * (dy > 0)),
    )  # fmt: skip
    inside = snn.displacement(lambda dx, dy: (dx > -0.1) & (dx < 0.3) & (np.abs(dy) < 0.35))
    net.connect(a, b, snn.distance_dependent(inside), name="right")
    net.connect(a[10:], b[[3, 1]], snn.all_to_all(), weight=snn.displacement(lambda dx, dy: dx), name="part")
    sim = snn.Simulation(net, quiet=True)
    sources, targets, weights, delays = sim.connections("a->b")
    dx, dy = to[sources, targets].T
    np.testing.assert_allclose(weights, 3.0 + dx - 0.25 * dy, atol=1e-12)
    np.testing.assert_allclose(delays, 1.0 + 10.0 * (dx > 0) + 20.0 * (dy > 0))
    assert len(np.unique(delays)) == 4
    dx, dy = np.moveaxis(to, 2, 0)
    wanted = np.argwhere(((dx > -0.1) & (dx < 0.3) & (np.abs(dy) < 0.35)).T)[:, ::-1]
    np.testing.assert_array_equal(np.array(sim.connections("right")[:2]).T, wanted)
    assert len(wanted) > 15
    sources, targets, weights, _ = sim.connections("part")
    np.testing.assert_allclose(weights, to[sources, targets, 0], atol=1e-12)


def test_an_oriented_kernel_is_drawn_with_its_probabilities():
    """Edges in four sectors of the displacement: mean sum(p), variance sum(p (1 - p)); alpha 0.001 / 4: 3.66 std."""
    net = snn.Network(seed=2)
    at = np.random.default_rng(3).random((300, 2))
    a = net.population("a", 300, snn.LIFDelta(), positions=at, wrap=1.0)
    kernel = snn.displacement(lambda dx, dy: 0.9 * np.exp(-dx / 0.2 - (dy / 0.1) ** 2) * (dx > 0))
    net.connect(a, a, snn.distance_dependent(kernel))
    got = np.zeros((300, 300))
    got[snn.Simulation(net, quiet=True).connections("a->a")[:2]] = 1.0
    dx, dy = np.moveaxis(ways(at, at, (1.0, 1.0)), 2, 0)
    p = 0.9 * np.exp(-np.abs(dx) / 0.2 - (dy / 0.1) ** 2) * (dx > 0)
    sector = 2 * (dx > 0.1) + (dy > 0)
    for k in range(4):
        mean, variance = p[sector == k].sum(), (p * (1 - p))[sector == k].sum()
        assert mean > 300 and abs(got[sector == k].sum() - mean) < 3.66 * np.sqrt(variance)
    assert got[dx <= 0].sum() == 0


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda dx: dx, "'x'.weight: must be a function of arrays of displacements, one for each of 2 dimensions; it"),
        (lambda dx, dy: dx if dx.sum() is None else [0.0], "'x'.weight: must give one finite number a pair; got .0.0."),
    ],
)
def test_bad_functions_of_displacement(function, text):
    net, a, b = network(None)
    with pytest.raises(snn.ModelError, match=text):
        net.connect(a, b, snn.all_to_all(), weight=snn.displacement(function), name="x")
    with pytest.raises(snn.ModelError, match=text.replace("weight", "p")):
        net.connect(a, b, snn.distance_dependent(snn.displacement(function)), weight=lambda d: d, name="x")
    with pytest.raises(snn.ModelError, match="displacement.function: must be a function of displacements; got 1.0"):
        snn.displacement(1.0)
