"""Neurons in space as NEST has them: distances in open and periodic layers, by any rule."""

import numpy as np
import pytest

import snn

nest = pytest.importorskip("nest", reason="peers extra not installed")

N = 60
AT = np.random.default_rng(4).uniform(-0.5, 0.5, (N, 2)) * [1.0, 2.0]


def layer(wrap):
    """A new layer of N neurons, and what gives its numbers from 0 on."""
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    positions = nest.spatial.free(AT.tolist(), extent=[1.0, 2.0], edge_wrap=wrap)
    made = nest.Create("iaf_psc_delta", positions=positions)
    return made, made.tolist()[0]


def ours(rule, wrap, **values):
    net = snn.Network(seed=3)
    a = net.population("a", N, snn.LIFDelta(), positions=AT, wrap=(1.0, 2.0) if wrap else None)
    net.connect(a, a, rule, **values)
    return snn.Simulation(net, quiet=True).connections("a->a")


@pytest.mark.parametrize("wrap", [False, True])
def test_weights_and_delays_of_distance(wrap):
    cells, first = layer(wrap)
    synapses = {"weight": nest.spatial.distance, "delay": 0.5 + 10.0 * nest.spatial.distance}
    nest.Connect(cells, cells, {"rule": "fixed_indegree", "indegree": 9}, synapses)
    made = nest.GetConnections()
    edges = np.array(made.source) - first, np.array(made.target) - first
    order = np.lexsort(edges)
    weights, delays = (np.array(made.get(x))[order] for x in ("weight", "delay"))
    got = ours(snn.from_arrays(*edges), wrap, weight=lambda d: d, delay=lambda d: 0.5 + 10.0 * d)
    np.testing.assert_array_equal(got[1], edges[1][order])
    np.testing.assert_allclose(got[2], weights, atol=1e-12)
    # NEST stores delays as steps of 0.1 ms, too; half a step may be rounded otherwise
    assert len(weights) == 9 * N and np.ptp(weights) > 0.5 and np.max(np.abs(got[3] - delays)) < 0.1 + 1e-9
    assert np.mean(np.abs(got[3] - delays) < 1e-9) > 0.99


@pytest.mark.parametrize("wrap", [False, True])
def test_displacements(wrap):
    """NEST's difference of positions has a sign and no periods, its components of distance have periods and no sign."""
    space, values = nest.spatial, []
    for weight in (space.target_pos.x - space.source_pos.x, space.distance.x, space.distance.y):
        cells, first = layer(wrap)
        nest.Connect(cells, cells, {"rule": "pairwise_bernoulli", "p": 1.0}, {"weight": weight})
        made = nest.GetConnections()
        values.append(np.zeros((N, N)))
        values[-1][np.array(made.source) - first, np.array(made.target) - first] = made.weight
    signed, *sizes = values
    for k, function in enumerate((lambda dx, dy: dx, lambda dx, dy: dy)):
        sources, targets, weights, _ = ours(snn.all_to_all(), wrap, weight=snn.displacement(function))
        np.testing.assert_allclose(np.abs(weights), sizes[k][sources, targets], atol=1e-12)
        if k == 0:
            straight = np.abs(signed[sources, targets]) < 0.5 if wrap else np.full(len(weights), True)
            np.testing.assert_allclose(weights[straight], signed[sources, targets][straight], atol=1e-12)
            assert 0.6 < np.mean(straight) <= 1.0 and np.any(weights < -0.4)


@pytest.mark.parametrize("wrap", [False, True])
def test_an_uneven_mask_has_the_same_edges(wrap):
    """Targets that lie in a rectangle around the source, which is longer to the right and below."""
    cells, first = layer(wrap)
    mask = {"rectangular": {"lower_left": [-0.1, -0.6], "upper_right": [0.35, 0.2]}}
    nest.Connect(cells, cells, {"rule": "pairwise_bernoulli", "p": 1.0, "mask": mask})
    made = nest.GetConnections()
    inside = snn.displacement(lambda dx, dy: (dx >= -0.1) & (dx <= 0.35) & (dy >= -0.6) & (dy <= 0.2))
    got = ours(snn.distance_dependent(inside, autapses=True), wrap)
    wanted = sorted(zip(np.array(made.source) - first, np.array(made.target) - first, strict=True))
    assert sorted(zip(*got[:2], strict=True)) == wanted and len(wanted) > 300


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("multapses", [False, True])
@pytest.mark.parametrize("end", ["indegree", "outdegree"])
def test_fixed_degrees_by_a_kernel(wrap, multapses, end):
    """Edges in six rings of distance, of three networks each. Whether one neuron draws another is of variance < its
    mean, or negatively correlated with its other draws, so the difference of two counts has a variance of at most
    their sum; 48 comparisons at 1e-4 together: 4.9 std."""
    rings, degree, scale = np.array([0.0, 0.1, 0.2, 0.3, 0.45, 0.6, 9.0]), 12, 0.15
    theirs, here = np.zeros(6), np.zeros(6)
    rule = getattr(snn, f"fixed_{end}")(degree, autapses=False, multapses=multapses, p=lambda d: np.exp(-d / scale))
    for seed in range(3):
        cells, _ = layer(wrap)
        nest.rng_seed = seed + 1
        kernel = nest.spatial_distributions.exponential(nest.spatial.distance, beta=scale)
        flags = {"allow_autapses": False, "allow_multapses": multapses}
        nest.Connect(cells, cells, {"rule": f"fixed_{end}", end: degree, "p": kernel, **flags},
                     {"weight": nest.spatial.distance})  # fmt: skip
        theirs += np.histogram(nest.GetConnections().weight, rings)[0]
        net = snn.Network(seed=seed)
        a = net.population("a", N, snn.LIFDelta(), positions=AT, wrap=(1.0, 2.0) if wrap else None)
        net.connect(a, a, rule, weight=lambda d: d)
        here += np.histogram(snn.Simulation(net, quiet=True).connections("a->a")[2], rings)[0]
    assert theirs.sum() == here.sum() == 3 * degree * N and np.all(theirs + here > 20)
    assert np.all(np.abs(theirs - here) < 4.9 * np.sqrt(theirs + here))
