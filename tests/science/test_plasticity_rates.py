"""Rules that act on rates: fixed points."""

import numpy as np
import pytest

import plasticity
import snn


@pytest.mark.parametrize("rho0", [2.0, 5.0, 10.0])
@pytest.mark.parametrize("start", [-0.01, -0.18], ids=["from above", "from below"])
def test_vogels_drives_neurons_to_the_target_rate(rho0, start):
    """Weak inhibition at first lets the cells fire faster than rho0, strong inhibition silences them.

    The rate comes out 2 to 4 % above rho0: a spike inhibits, so fewer postsynaptic spikes follow it than chance has,
    the more so the stronger a single synapse is (8 % with 200 inputs of 10 Hz).
    """
    net = snn.Network(seed=1)
    neuron = {"c_m": 200.0, "g_l": 10.0, "e_l": -60.0, "v_th": -50.0, "v_reset": -60.0, "t_ref": 5.0, "e_ex": 0.0,
              "e_in": -80.0, "tau_syn_ex": 5.0, "tau_syn_in": 10.0}  # fmt: skip
    cells = net.population("cells", 10, snn.LIFCondExp(**neuron))
    sources = net.population("sources", 1000, snn.Poisson(rate=20.0))
    net.input("excitation", cells, snn.Poisson(rate=8000.0), weight=0.3)
    rule = plasticity.VogelsSprekeler(tau=20.0, eta=0.0025, alpha=2 * 20.0 * rho0 / 1000.0, w_max=-100.0)
    net.connect(sources, cells, snn.all_to_all(), weight=start, delay=0.5, plasticity=rule)
    net.record(cells)
    spikes = snn.Simulation(net, dt=0.5, threads=1, quiet=True).run(160_000.0).spikes["cells"]
    first = np.sum(spikes.times < 1000.0) / 10
    assert first > 2 * rho0 if start == -0.01 else first < rho0 / 2, "the start must be on the side that is tested"
    late = spikes.slice(80_000.0, 160_000.0)
    assert len(late) / 10 / 80.0 == pytest.approx(rho0, rel=0.05)


def test_target_trace_rule_by_hand():
    """Two presynaptic and three postsynaptic spikes, seen 1 ms late: growth, more growth, decline."""
    tau, eta, target, w_max, mu = 20.0, 0.3, 0.4, 1.5, 0.8
    net = snn.Network()
    a = net.population("a", 1, snn.SpikeArray([5.0, 25.0]))
    b = net.population("b", 1, snn.LIFDelta(tau_m=5.0, v_th=-50.0, t_ref=0.0))
    net.input("drive", b, snn.SpikeArray([10.0, 30.0, 90.0]), weight=1e6)
    rule = plasticity.STDPTargetTrace(tau=tau, eta=eta, pre_target=target, mu=mu, w_max=w_max)
    net.connect(a, b, snn.one_to_one(), weight=0.2, delay=1.0, plasticity=rule)
    net.record_weights("a->b", every=20.0)
    got = snn.Simulation(net, backend="reference").run(100.0).weights["a->b"][1][:, 0]
    first = 0.2 + eta * (np.exp(-6.0 / tau) - target) * (w_max - 0.2) ** mu
    second = first + eta * (np.exp(-26.0 / tau) + np.exp(-6.0 / tau) - target) * (w_max - first) ** mu
    third = second + eta * (np.exp(-86.0 / tau) + np.exp(-66.0 / tau) - target) * (w_max - second) ** mu
    np.testing.assert_allclose(got, [first, second, second, second, third], rtol=1e-12)
    assert 0.0 < third < second < w_max
