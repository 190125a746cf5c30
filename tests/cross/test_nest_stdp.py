"""Pair STDP against NEST's stdp_synapse: the same pre- and postsynaptic spikes, the same weights."""

import numpy as np
import pytest

import plasticity
import snn

nest = pytest.importorskip("nest", reason="peers extra not installed")

DT, DURATION, N_PRE, N_POST = 0.1, 10_000.0, 12, 8


@pytest.mark.parametrize("mu_plus, mu_minus, alpha", [(0.0, 0.0, 1.0), (1.0, 1.0, 1.3), (0.4, 0.2, 0.9)])
def test_weights_after_ten_seconds(mu_plus, mu_minus, alpha):
    rng = np.random.default_rng(4)
    # all sources spike once more at the end, which brings NEST's weights up to date
    pre = [np.append(np.unique(rng.integers(20, 97_000, 200)), 99_000) * DT for _ in range(N_PRE)]
    post = [np.unique(rng.integers(10, 32_000, 150)) * 3 * DT for _ in range(N_POST)]
    source, target = (x.ravel() for x in np.meshgrid(np.arange(N_PRE), np.arange(N_POST), indexing="ij"))
    delay = rng.integers(1, 80, source.size) * DT
    weight = rng.uniform(0.05, 0.95, source.size)

    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus({"resolution": DT})
    neuron = {"tau_m": 10.0, "c_m": 250.0, "e_l": -70.0, "v_th": -55.0, "v_reset": -70.0, "t_ref": 0.1}
    names = {"e_l": "E_L", "v_th": "V_th", "v_reset": "V_reset", "c_m": "C_m"}
    cells = nest.Create("iaf_psc_delta", N_POST, {**{names.get(k, k): v for k, v in neuron.items()}, "tau_minus": 25.0})
    sources, drivers = nest.Create("spike_generator", N_PRE), nest.Create("spike_generator", N_POST)
    sources.set([{"spike_times": t - DT} for t in pre])
    drivers.set([{"spike_times": t - DT} for t in post])
    relays = nest.Create("parrot_neuron", N_PRE)
    nest.Connect(sources, relays, "one_to_one", {"delay": DT})
    nest.Connect(drivers, cells, "one_to_one", {"delay": DT, "weight": 1000.0})
    rule = {"tau_plus": 15.0, "lambda": 0.05, "alpha": alpha, "mu_plus": mu_plus, "mu_minus": mu_minus, "Wmax": 1.0}
    nest.CopyModel("stdp_synapse", "learning", rule)
    first, cell = relays.tolist()[0], cells.tolist()[0]
    nest.Connect(first + source, cell + target, "one_to_one",
                 {"weight": weight, "delay": delay, "synapse_model": "learning"})  # fmt: skip
    recorder = nest.Create("spike_recorder")
    nest.Connect(cells, recorder)
    nest.Simulate(DURATION)
    found = nest.GetConnections(relays, cells).get(["source", "target", "weight"])
    expected = np.full((N_PRE, N_POST), np.nan)
    expected[np.array(found["source"]) - first, np.array(found["target"]) - cell] = found["weight"]

    net = snn.Network()
    a = net.population("a", N_PRE, snn.SpikeArray.from_spiketrains(pre))
    b = net.population("b", N_POST, snn.LIFDelta(**neuron))
    net.input("drive", b, snn.SpikeArray.from_spiketrains(post), weight=1000.0)
    learning = plasticity.STDPPair(tau_plus=15.0, tau_minus=25.0, lambda_=0.05, alpha=alpha, mu_plus=mu_plus,
                                   mu_minus=mu_minus, w_max=1.0)  # fmt: skip
    net.connect(a, b, snn.from_arrays(source, target), weight=weight, delay=delay, plasticity=learning)
    net.record(b)
    sim = snn.Simulation(net, dt=DT, quiet=True)
    spikes = sim.run(DURATION).spikes["b"]
    assert len(spikes) == sum(map(len, post)) == len(recorder.events["times"]), (
        "the drivers alone must cause the spikes"
    )
    ours = np.full((N_PRE, N_POST), np.nan)
    s, t, w, _ = sim.connections("a->b")
    ours[s, t] = w
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-14)
    assert np.ptp(ours) > 0.1
