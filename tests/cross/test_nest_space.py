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
