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
