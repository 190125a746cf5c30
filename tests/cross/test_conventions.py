"""What docs/coming_from.md says of Brian2's and NEST's conventions."""

import numpy as np
import pytest

import plasticity
import snn

DT = 0.1
LIF = {"tau_m": 10.0, "c_m": 10.0, "e_l": 0.0, "v_th": 15.0, "v_reset": 0.0}


@pytest.fixture
def b2():
    b2 = pytest.importorskip("brian2", reason="peers extra not installed")
    b2.prefs.codegen.target = "numpy"
    b2.start_scope()
    b2.defaultclock.dt = DT * b2.ms
    return b2


def lif(b2, drive, refractory):
    return b2.NeuronGroup(
        1, f"dv/dt = ({drive} - v) / (10*ms) : 1 (unless refractory)", threshold="v >= 15", reset="v = 0",
        refractory=refractory * b2.ms, method="exact",
    )  # fmt: skip


def here(drive=0.0, given=(), weight=0.0):
    """Spikes of one LIFDelta in 40 ms; sources spike at ``given``, 1 ms before their spikes arrive."""
    net = snn.Network()
    cell = net.population("cell", 1, snn.LIFDelta(**LIF, t_ref=2.0))
    net.input("drive", cell, snn.StepCurrent(drive))
    source = net.population("source", 1, snn.SpikeArray(np.array(given)))
    net.connect(source, cell, snn.one_to_one(), weight=weight, delay=1.0)
    net.record(cell)
    return snn.Simulation(net, dt=DT, quiet=True).run(40.0).spikes["cell"].times


@pytest.mark.cross
def test_times_of_spikes_and_refractory_steps(b2):
    """Brian2 names a spike by the begin of its step, and counts that step to the refractory period."""
    for refractory, late in ((2.0, DT), (2.0 + DT, 0.0)):
        group = lif(b2, 20, refractory)
        monitor = b2.SpikeMonitor(group)
        b2.Network(group, monitor).run(40 * b2.ms)
        there = np.array(monitor.t / b2.ms)
        assert len(there) == 2
        assert here(20.0) - there == pytest.approx([DT, DT + late])


@pytest.mark.cross
def test_jumps_of_the_potential(b2):
    """One that barely reaches the threshold leaks below it in Brian2; in the refractory period both lose it."""
    for weight, given, spikes in ((15.05, [10.0], (1, 0)), (15.5, [10.0], (1, 1)), (15.5, [10.0, 11.0], (1, 1))):
        group = lif(b2, 0, 2.0)
        source = b2.SpikeGeneratorGroup(1, [0] * len(given), np.array(given) * b2.ms)
        synapse = b2.Synapses(source, group, on_pre=f"v += {weight}", delay=1 * b2.ms)
        synapse.connect()
        monitor = b2.SpikeMonitor(group)
        b2.Network(group, source, synapse, monitor).run(40 * b2.ms)
        assert (len(here(0.0, given, weight)), len(monitor.t)) == spikes


def test_a_plastic_synapse_delivers_the_weight_after_the_change():
    net = snn.Network()
    source = net.population("source", 1, snn.SpikeArray([10.0, 30.0]))
    cell = net.population("cell", 1, snn.LIFDelta(tau_m=1e9, e_l=0.0, v_th=100.0, v_reset=0.0, t_ref=DT))
    net.input("kick", cell, snn.SpikeArray([20.0]), weight=1000.0)
    rule = plasticity.STDPPair(lambda_=0.1, mu_plus=0.0, mu_minus=0.0, w_max=2.0)
    net.connect(source, cell, snn.one_to_one(), weight=1.0, delay=1.0, plasticity=rule)
    net.record(cell, "v", every=1.0)
    sim = snn.Simulation(net, dt=DT, quiet=True)
    sim.run(29.0)
    (before,) = sim.connections("source->cell")[2]
    v = sim.run(6.0).states["cell"]["v"][:, 0]
    (after,) = sim.connections("source->cell")[2]
    # the source's second spike meets the synapse at 30 ms, the cell's, seen 1 ms late, did at 21 ms
    assert before - after == pytest.approx(0.1 * 2.0 * np.exp(-9.0 / 20.0), rel=1e-9)
    assert v[-1] - v[0] == pytest.approx(after, rel=1e-6)


@pytest.mark.cross
def test_arrays_of_weights_and_delays_off_the_grid():
    nest = pytest.importorskip("nest", reason="peers extra not installed")
    nest.ResetKernel()
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.resolution = DT
    a, b = nest.Create("iaf_psc_exp", 2), nest.Create("iaf_psc_exp", 3)
    weights = np.arange(1.0, 7.0).reshape(2, 3)  # (source, target)
    nest.Connect(a, b, "all_to_all", {"weight": weights.T, "delay": 0.25})
    there = nest.GetConnections(a, b)
    net = snn.Network()
    x, y = net.population("x", 2, snn.LIFExp()), net.population("y", 3, snn.LIFExp())
    net.connect(x, y, snn.all_to_all(), weight=weights, delay=0.25)
    sources, targets, w, delays = snn.Simulation(net, dt=DT, quiet=True).connections("x->y")
    edges = dict(zip(zip(there.source, there.target, strict=True), there.weight, strict=True))
    assert {(s + 1, t + 3): v for s, t, v in zip(sources, targets, w, strict=True)} == edges
    assert delays == pytest.approx(0.2) and there.delay == pytest.approx([0.3] * 6)
