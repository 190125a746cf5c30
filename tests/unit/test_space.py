"""Neurons in space: distances around a periodic box by any rule, against all images of a neuron."""

import itertools
import re

import numpy as np
import pytest
from scipy import stats

import snn
from kernels.philox import stream_key
from snn.compile_edges import recipe_of
from snn.connect import Pair
from snn.fingerprint import _plain, describe, description
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
    forth = forth.T
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
    short = snn.Network().population("a", 3, snn.LIFDelta(), positions=np.array([5, 0, 250], np.uint8)).positions
    assert displacements(short[:1], short, None).tolist() == [[0.0, -5.0, 245.0]]
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


# fixed degrees ------------------------------------------------------------------------------------------------------


def in_or_out(rule, n_source, n_target, at, wrap=None, seed=1, weight=0.1):
    """(near, far) of the edges: neurons that have the degree, and those that they drew; one population if n_target is
    None."""
    net = snn.Network(seed=seed)
    a = net.population("a", n_source, snn.LIFDelta(), positions=at[0], wrap=wrap)
    b = a if n_target is None else net.population("b", n_target, snn.LIFDelta(), positions=at[1], wrap=wrap)
    net.connect(a, b, rule, name="p", weight=weight)
    sources, targets, weights, _ = snn.Simulation(net, quiet=True).connections("p")
    return (targets, sources, weights) if isinstance(rule, snn.fixed_indegree) else (sources, targets, weights)


def both_sided(observed, expected):
    """p-value of chi-square counts, small where they fit too badly or too well."""
    statistic, free = np.sum((observed - expected) ** 2 / expected), len(expected) - 1
    return 2 * min(stats.chi2.cdf(statistic, free), stats.chi2.sf(statistic, free))


@pytest.mark.parametrize("rule", [snn.fixed_indegree, snn.fixed_outdegree])
@pytest.mark.parametrize("autapses", [True, False])
@pytest.mark.parametrize("multapses", [True, False])
@pytest.mark.parametrize("degree", [3, 17, 40])
def test_fixed_degree_in_space(rule, autapses, multapses, degree):
    """Exactly so many each, all from where the kernel is > 0, whose size is of no matter."""
    n, at = 80, np.random.default_rng(1).random((80, 2))
    far_away = np.linalg.norm(ways(at, at, (1.0, 1.0)), axis=2)
    lists = []
    for factor in (1e-200, 3.0, 1e200):
        p = lambda d, f=factor: f * np.exp(-d) * (d < 0.45)  # noqa: E731
        near, far, _ = in_or_out(rule(degree, autapses, multapses, p), n, None, [at], 1.0)
        lists.append((near, far))
        assert np.all(np.bincount(near, minlength=n) == degree) and np.all(far_away[near, far] < 0.45)
        assert (not np.any(near == far)) or autapses
        assert (len(np.unique(near * n + far)) == n * degree) or multapses
    for _, far in lists:  # another factor may round a draw otherwise
        assert np.mean(far == lists[0][1]) > 0.99
    if degree == 40:
        assert np.any(near == far) == autapses and (len(np.unique(near * n + far)) < n * degree) == multapses


@pytest.mark.parametrize("rule", [snn.fixed_indegree, snn.fixed_outdegree])
def test_draws_follow_the_kernel_around_a_ring(rule):
    """With multapses all draws are independent: offsets are multinomial with the kernel's probabilities. An uneven
    kernel tells the direction: far minus near is dx of the way from source to target, or against it. alpha 0.001."""
    n, degree = 60, 200
    step = (np.arange(n) + n // 2) % n - n // 2  # of offset k around the ring
    dx = step / n if rule is snn.fixed_outdegree else -step / n
    kernel = lambda dx: np.exp(-np.abs(dx) / 0.2) * np.where(dx > 0, 1.0, 0.5)  # noqa: E731
    made = rule(degree, p=snn.displacement(lambda dx: kernel(np.where(np.abs(dx) > 0.4999, -0.5, dx))))
    near, far, _ = in_or_out(made, n, None, [np.arange(n) / n], 1.0)
    chances = kernel(np.where(np.abs(dx) > 0.4999, -0.5, dx))
    counts = np.bincount((far - near) % n, minlength=n)
    assert both_sided(counts, n * degree * chances / chances.sum()) > 0.001
    assert both_sided(counts, n * degree * chances[-np.arange(n)] / chances.sum()) < 1e-6  # the other way round


@pytest.mark.parametrize("rule", [snn.fixed_indegree, snn.fixed_outdegree])
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_sets_without_multapses_are_drawn_one_after_the_other(rule, degree):
    """Brute force over all orders: p of a set is the sum over its orders of products p_i / what is left. 3000 neurons
    at one place draw of five at others, one of which has p = 0. alpha 0.001 / 6."""
    places, n = np.array([0.1, 0.2, 0.5, 0.9, 2.0]), 3000
    chance = np.where(places < 1.5, np.exp(-places / 0.3), 0.0)
    expected = {}
    for order in itertools.permutations(range(4), degree):
        left, p = chance.sum(), 1.0
        for k in order:
            p, left = p * chance[k] / left, left - chance[k]
        expected[frozenset(order)] = expected.get(frozenset(order), 0.0) + p
    assert abs(sum(expected.values()) - 1.0) < 1e-12
    at = [places, np.zeros(n)] if rule is snn.fixed_indegree else [np.zeros(n), places]
    made = rule(degree, multapses=False, p=lambda d: np.where(d < 1.5, np.exp(-d / 0.3), 0.0))
    near, far, _ = in_or_out(made, len(at[0]), len(at[1]), at)
    sets = far[np.argsort(near, kind="stable")].reshape(n, degree)
    counts = [sum(frozenset(row) == drawn for row in sets.tolist()) for drawn in expected]
    assert sum(counts) == n and both_sided(np.array(counts), n * np.array(list(expected.values()))) > 0.001 / 6


@pytest.mark.parametrize("multapses", [True, False])
def test_degrees_of_ranks_threads_and_parts(multapses):
    """Targets of a range alone, as a rank draws them; any threads; weights of distance; parts as if alone."""
    at = [AT["a"], AT["b"]]
    rule = snn.fixed_indegree(7, multapses=multapses, p=lambda d: np.exp(-d / 0.3))
    pair = Pair("p", 40, 30, False, stream_key(3), 1, *at)
    whole = rule.edges(pair)
    for lo, hi in ((0, 30), (0, 0), (0, 11), (11, 12), (12, 30), (30, 30)):
        some, same = rule.part(pair, lo, hi), whole.part(lo, hi)
        assert some.first == same.first and rule.expected(40, 30) == 210 == len(whole.sources)
        np.testing.assert_array_equal(some.indptr, same.indptr)
        np.testing.assert_array_equal(some.sources, same.sources)
    net, a, b = network(1.0)
    net.connect(a, b, rule, weight=snn.normal(1.0, 0.1), delay=snn.uniform(1.0, 3.0))
    net.connect(a, b, rule, weight=lambda d: np.exp(-d), name="distance")
    net.connect(a[5:20], b[[7, 2, 9]], rule, name="part")
    net.input("noise", b, snn.Poisson(3000.0), weight=1.5)
    net.record(b)
    runs = []
    for options in ({"backend": "reference"}, {"threads": 1}, {"threads": 3}):
        sim = snn.Simulation(net, quiet=True, **options)
        spikes = sim.run(50.0).spikes["b"]
        runs.append([spikes.times, spikes.ids, *(x for name in net.projections for x in sim.connections(name))])
    assert len(runs[0][0]) > 20
    for other in runs[1:]:
        for x, y in zip(runs[0], other, strict=True):
            np.testing.assert_array_equal(x, y)
    event = snn.Simulation(net, engine="event", quiet=True)
    for name in net.projections:
        for x, y in zip(sim.connections(name)[:3], event.connections(name), strict=False):
            np.testing.assert_array_equal(x, y)
    sources, targets, weights, _ = sim.connections("distance")
    near = np.linalg.norm(ways(AT["a"], AT["b"], (1.0, 1.0)), axis=2)
    np.testing.assert_allclose(weights, np.exp(-near[sources, targets]), atol=1e-12)
    assert np.all(np.bincount(targets) == 7)
    sources, targets, *_ = sim.connections("part")
    assert set(sources) <= set(range(5, 20)) and np.bincount(targets).tolist() == [0, 0, 7, 0, 0, 0, 0, 7, 0, 7]


@pytest.mark.parametrize("rule", [snn.fixed_indegree, snn.fixed_outdegree])
def test_no_engine_draws_degrees_in_space(rule):
    """They are drawn on the host for every backend: an engine knows uniform draws alone."""
    net, a, b = network(1.0)
    assert recipe_of(net, net.connect(a, b, rule(3, p=lambda d: 1.0 + d))) is None
    if rule is snn.fixed_indegree:
        assert recipe_of(net, net.connect(a, b, rule(3), name="uniform")).number == 3


def test_a_network_with_degrees_in_space_is_exported(tmp_path):
    """Exporters get what was drawn."""
    from neuromorphic import export_sonata
    from snn.io.sonata_edges import read_edges

    net = snn.Network(seed=1)
    a = net.population("a", 40, snn.LIFDelta(), positions=AT["a"], wrap=1.0)
    rule = snn.fixed_indegree(7, p=snn.displacement(lambda dx, dy: np.exp(-np.abs(dx) / 0.3)))
    net.connect(a, a, rule, weight=lambda d: 0.5 + d, delay=snn.displacement(lambda dx, dy: 2.0 + dx))
    export_sonata(net, tmp_path / "net", dt=0.1, duration=1.0)
    (path,) = (tmp_path / "net" / "network").glob("*_edges.h5")
    sources, targets, weights, *_ = read_edges(path)
    drawn = snn.Simulation(net, quiet=True).connections("a->a")
    for x, y in zip((sources, targets, weights), drawn, strict=False):
        np.testing.assert_allclose(x, y, rtol=1e-12)


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (lambda: snn.fixed_indegree(2, p=0.5), "fixed_indegree.p: must be a function of distances, or snn.displacem"),
        (lambda: snn.pairwise_bernoulli(abs), "<= 1; got <built-in function abs>. For functions of distance"),
        (lambda: snn.fixed_outdegree(2, p=[1.0]), "fixed_outdegree.p: must be a function of distances"),
        (lambda: snn.fixed_indegree(2, p=lambda d: d - 0.1), "'x'.p: must give numbers >= 0; got -0.1"),
        (lambda: snn.fixed_indegree(2, p=lambda d: d / 0.0), "'x'.p: must give one finite number a pair"),
        (lambda: snn.fixed_indegree(2, p=lambda d: 1.0 if d > 0 else 2.0), "'x'.p: must be a function of an array"),
        (lambda: snn.fixed_indegree(3, multapses=False, p=lambda d: d > 0.15), "'x'.indegree: must be at most 2 "
         "without multapses: target 0 has no more sources with p > 0; got 3. Give multapses=True or a wider p."),
        (lambda: snn.fixed_outdegree(1, p=lambda d: 0.0 * d), "'x'.outdegree: there is nothing to choose from: "
         "source 0 has no targets with p > 0."),
        (lambda: snn.fixed_indegree(5, multapses=False, p=lambda d: d), "'x'.indegree: must be at most 4 without"),
    ],
)  # fmt: skip
def test_bad_kernels_of_degrees(rule, text):
    net = snn.Network(seed=1)
    a = net.population("a", 4, snn.LIFDelta(), positions=[0.0, 0.1, 0.2, 0.3])
    with np.errstate(all="ignore"), pytest.raises(snn.ModelError, match=re.escape(text)):
        net.connect(a, a, rule(), weight=lambda d: d, name="x")


def test_degrees_in_space_need_positions():
    net = snn.Network(seed=1)
    a = net.population("a", 4, snn.LIFDelta())
    net.connect(a, a, snn.fixed_indegree(1, p=lambda d: d), name="x")
    with pytest.raises(snn.ModelError, match="'x'.p: a function of distance needs positions; give positions= to both"):
        snn.Simulation(net, quiet=True)


def test_a_description_holds_no_address():
    """Two networks described alike have one description, also in two processes with functions of their own."""

    def described():
        net, a, b = network(1.0)
        net.connect(a, b, snn.distance_dependent(lambda d: np.exp(-d)), name="distance")
        net.connect(a[:9], b, snn.fixed_indegree(7, p=snn.displacement(lambda dx, dy: np.exp(-dx))), name="part")
        return net, describe(net)

    (one, text), (other, same) = described(), described()
    assert repr(one.projections["part"].rule) != repr(other.projections["part"].rule)
    assert description(one) == description(other)
    different, a, b = network(1.0)
    for rule in (
        snn.fixed_indegree(1, p=snn.displacement(np.hypot)),
        snn.fixed_indegree(1, p=snn.displacement(np.add)),
    ):
        different.connect(a, b, rule, name=f"{len(different.projections)}")
    first, second = (_plain(p.rule) for p in different.projections.values())
    assert first != second and first[1]["p"] == ["displacement", {"function": "hypot"}]
    assert text == same and "p=<function " in text["projections"]["distance"]["rule"]
