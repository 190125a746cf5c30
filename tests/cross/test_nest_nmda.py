"""Saturating NMDA synapses against NEST's ``iaf_bw_2001``, executed; its allowed error is set to 1e-12."""

import numpy as np
import pytest

import plasticity
import snn

nest = pytest.importorskip("nest", reason="peers extra not installed")

GATING = {"alpha": 0.4, "tau_rise": 3.0, "tau_decay": 80.0}
OURS = {"tau_syn_nmda": 80.0, "conc_mg2": 1.4, "c_m": 300.0, "e_in": -75.0}
THEIRS = {
    "alpha": 0.4, "tau_rise_NMDA": 3.0, "tau_decay_NMDA": 80.0, "conc_Mg2": 1.4, "C_m": 300.0, "E_in": -75.0,
    "V_th": -50.0, "V_reset": -55.0, "gsl_error_tol": 1e-12,
}  # fmt: skip
STRONG = 1e4  # nS: one arrival makes one spike where tau_AMPA is 0.1 ms


def reset():
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.ResetKernel()
    nest.resolution = 0.1


@pytest.mark.parametrize("v_th", [-50.0, -1.0])
def test_voltage_and_gating(v_th):
    """Bursts, pairs and lone spikes of two sources; v and the NMDA conductance at every step."""
    trains = [[20.0, 25.0, 30.0, 33.0, 36.0, 150.0, 400.0, 402.5], [50.0, 90.0, 130.0, 170.0, 401.0]]
    reset()
    sources, cell = nest.Create("iaf_bw_2001", 2, params=THEIRS), nest.Create("iaf_bw_2001", params=THEIRS)
    sources.tau_AMPA, cell.V_th = 0.1, v_th
    types = cell.receptor_types
    for source, times in zip(sources, trains, strict=True):
        drive = nest.Create("spike_generator", params={"spike_times": times})
        nest.Connect(drive, source, syn_spec={"weight": STRONG, "delay": 1.0, "receptor_type": types["AMPA"]})
    for kind, weight in {"NMDA": 300.0, "AMPA": 20.0, "GABA": 2.0}.items():
        nest.Connect(sources, cell, syn_spec={"weight": weight, "delay": 1.5, "receptor_type": types[kind]})
    meter = nest.Create("multimeter", params={"record_from": ["V_m", "s_NMDA"], "interval": 0.1})
    recorder = nest.Create("spike_recorder", params={"time_in_steps": True})
    nest.Connect(meter, cell)
    nest.Connect(sources, recorder)
    own = nest.Create("spike_recorder", params={"time_in_steps": True})
    nest.Connect(cell, own)
    nest.Simulate(600.0)
    events = recorder.events
    sent = [0.1 * events["times"][events["senders"] == s] for s in sources.tolist()]
    assert [len(x) for x in sent] == [8, 5]

    net = snn.Network()
    source = net.population("source", 2, snn.SpikeArray.from_spiketrains(sent))
    target = net.population("target", 1, snn.LIFCondNMDA(v_th=v_th, **OURS))
    gating = plasticity.SaturatingNMDA(**GATING)
    net.connect(source, target, snn.all_to_all(), 300.0, 1.5, receptor="nmda", short_term=gating, name="nmda")
    net.connect(source, target, snn.all_to_all(), 20.0, 1.5, name="ampa")
    net.connect(source, target, snn.all_to_all(), -2.0, 1.5, name="gaba")
    net.record(target)
    net.record(target, ["v", "g_nmda"], every=0.1)
    result = snn.Simulation(net, dt=0.1, quiet=True).run(600.0)
    seen = meter.events
    n = len(seen["times"])
    states = {name: x[:n, 0] for name, x in result.states["target"].items()}
    np.testing.assert_allclose(states["g_nmda"], seen["s_NMDA"], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(states["v"], seen["V_m"], rtol=0, atol=1e-5)  # measured: 2.2e-6
    spikes = result.spikes["target"].times
    np.testing.assert_array_equal(np.rint(10.0 * spikes), own.events["times"])
    assert len(spikes) >= 8 if v_th < -40.0 else len(spikes) == 0


def test_recurrent_network():
    """20 neurons, each NMDA and AMPA to all, of which a quarter send GABA: the spikes of 300 ms."""
    n, rng = 20, np.random.default_rng(3)
    trains = [np.unique(np.round(rng.uniform(2.0, 295.0, 60), 1)) for _ in range(n)]
    reset()
    cells = nest.Create("iaf_bw_2001", n, params=THEIRS)
    types = cells.receptor_types[0]
    for cell, times in zip(cells, trains, strict=True):
        drive = nest.Create("spike_generator", params={"spike_times": times})
        nest.Connect(drive, cell, syn_spec={"weight": 30.0, "delay": 1.0, "receptor_type": types["AMPA"]})
    parts = {"NMDA": (cells[:15], 0.6), "AMPA": (cells[:15], 0.5), "GABA": (cells[15:], 4.0)}
    for kind, (source, weight) in parts.items():
        nest.Connect(source, cells, syn_spec={"weight": weight, "delay": 1.5, "receptor_type": types[kind]})
    recorder = nest.Create("spike_recorder", params={"time_in_steps": True})
    nest.Connect(cells, recorder)
    nest.Simulate(300.0)
    events = recorder.events
    expected = sorted(zip(events["times"].tolist(), events["senders"].tolist(), strict=True))

    net = snn.Network()
    a = net.population("a", n, snn.LIFCondNMDA(**OURS))
    net.input("drive", a, snn.SpikeArray.from_spiketrains([t + 1.0 for t in trains]), weight=30.0)
    gating = plasticity.SaturatingNMDA(**GATING)
    net.connect(a[:15], a, snn.all_to_all(), 0.6, 1.5, receptor="nmda", short_term=gating, name="nmda")
    net.connect(a[:15], a, snn.all_to_all(), 0.5, 1.5, name="ampa")
    net.connect(a[15:], a, snn.all_to_all(), -4.0, 1.5, name="gaba")
    net.record(a)
    spikes = snn.Simulation(net, dt=0.1, quiet=True).run(300.0).spikes["a"]
    first = cells.tolist()[0]
    found = sorted(zip(np.rint(10.0 * spikes.times).astype(int).tolist(), (spikes.ids + first).tolist(), strict=True))
    found = [x for x in found if x[0] < 3000]  # NEST does not record its last step
    assert len(found) > 200
    assert found == expected
