"""Weights of a plastic projection, recorded at the end of a run."""

import numpy as np

import plasticity
import snn
from snn.io.sonata import read_result


def test_recorded_in_memory_and_in_a_file(tmp_path):
    net = snn.Network(seed=2)
    a = net.population("a", 30, snn.LIFDelta(), init={"v": snn.uniform(-70.0, -55.0)})
    net.input("noise", a, snn.Poisson(rate=2000.0), weight=1.5)
    rule = plasticity.STDPPair(lambda_=0.1, w_max=1.0)
    learned = net.connect(a, a, snn.fixed_indegree(6), weight=0.5, delay=1.0, plasticity=rule)
    net.record_weights(learned)
    net.record(a)
    sim = snn.Simulation(net, quiet=True)
    times, values = sim.run(100.0).weights["a->a"]
    np.testing.assert_array_equal(times, [100.0])
    assert values.shape == (1, 180)
    assert np.ptp(values) > 0.05
    path = tmp_path / "w.h5"
    sim.run(100.0, to=path)
    stored_times, stored = read_result(path).weights["a->a"]
    np.testing.assert_array_equal(stored_times, [200.0])
    np.testing.assert_array_equal(stored[0], sim.connections(learned)[2])
    assert 0.0 <= stored.min() and stored.max() <= 1.0
