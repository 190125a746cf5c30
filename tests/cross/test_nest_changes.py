"""Parameters and spikes that change between two runs, as NEST does it, executed: the same spikes."""

import numpy as np
import pytest

import plasticity
import snn

nest = pytest.importorskip("nest", reason="peers extra not installed")

N, DT, DELAY = 40, 0.1, 1.5
CHANGED = {"v_th": -57.0, "tau_m": np.linspace(8.0, 25.0, N), "v_reset": -72.0, "tau_syn_ex": 4.0}
NAMES = {"v_th": "V_th", "tau_m": "tau_m", "v_reset": "V_reset", "tau_syn_ex": "tau_syn_ex"}


def edges():
    rng = np.random.default_rng(7)
    pairs = rng.permutation(N * N)[: 8 * N]
    return pairs // N, pairs % N, rng.uniform(-60.0, 90.0, 8 * N)


def driven(seed):
    rng = np.random.default_rng(seed)
    times = np.unique(np.round(rng.uniform(1.0, 299.0, 3000), 1))
    return times, rng.integers(0, N, times.size)


def in_nest():
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.ResetKernel()
    nest.resolution = DT
    cells = nest.Create("iaf_psc_exp", N, params={"I_e": 340.0})
    for source, target, weight in zip(*edges(), strict=True):
        nest.Connect(cells[int(source)], cells[int(target)], syn_spec={"weight": weight, "delay": DELAY})
    times, ids = driven(1)
    generators = nest.Create("spike_generator", N)
    nest.Connect(generators, cells, "one_to_one", {"weight": 300.0, "delay": DT})
    recorder = nest.Create("spike_recorder")
    nest.Connect(cells, recorder)
    for k, (times, ids) in enumerate((driven(1), driven(2))):
        for i in range(N):
            later = times[(ids == i) & (times > 150.0 * k)]
            generators[i].set(spike_times=later.tolist())
        if k:
            for name, value in CHANGED.items():
                cells.set({NAMES[name]: value.tolist() if np.ndim(value) else value})
        nest.Simulate(150.0)
    return recorder.get("events", "times"), np.array(recorder.get("events", "senders")) - 1


def test_the_same_spikes():
    net = snn.Network(seed=1)
    cells = net.population("cells", N, snn.LIFExp(i_e=340.0))
    sources = net.population("sources", N, snn.SpikeArray(*driven(1)))
    net.connect(sources, cells, snn.one_to_one(), weight=300.0, delay=DT)
    source, target, weight = edges()
    net.connect(cells, cells, snn.from_arrays(source, target), weight=weight, delay=DELAY)
    net.record(cells)
    sim = snn.Simulation(net, dt=DT, quiet=True)
    parts = [sim.run(150.0)]
    sim.set_parameters(cells, **CHANGED)
    sim.set_source(sources, snn.SpikeArray(*driven(2)))
    parts.append(sim.run(150.0))
    found = snn.Result.concatenate(parts).spikes["cells"]
    times, ids = in_nest()
    order, wanted = np.lexsort((found.ids, found.times)), np.lexsort((ids, times))
    assert len(found) > 500
    assert np.array_equal(found.ids[order], ids[wanted])
    assert found.times[order] == pytest.approx(times[wanted], abs=1e-9)
    halves = [np.sum(found.times <= 150.0), np.sum(found.times > 150.0)]
    assert halves[1] > 1.5 * halves[0], "the change must have told"


def test_short_term_state_before_the_first_spike():
    """tsodyks2_synapse holds u and x that are given until its first spike, which takes them as they are. So a source
    whose state is set at that time goes on as NEST's does after it; later, values are as of the last spike in both."""
    times, rule = np.array([80.0, 120.0, 300.0]), {"tau_rec": 800.0, "tau_fac": 1500.0}
    nest.ResetKernel()
    nest.resolution = DT
    cell = nest.Create("iaf_psc_delta", params={"tau_m": 1e9, "E_L": 0.0, "V_m": 0.0, "V_th": 1e6, "V_reset": -1.0})
    spikes, parrot = nest.Create("spike_generator", params={"spike_times": times}), nest.Create("parrot_neuron")
    nest.Connect(spikes, parrot, syn_spec={"delay": DT})
    nest.Connect(parrot, cell, syn_spec={"synapse_model": "tsodyks2_synapse", "weight": 1.0, "delay": 1.0, "U": 0.2,
                                         "u": 0.8, "x": 0.3} | rule)  # fmt: skip
    net = snn.Network()
    a = net.population("a", 1, snn.SpikeArray(times[1:] + DT))
    b = net.population("b", 1, snn.LIFDelta(tau_m=1e9, e_l=0.0, v_th=1e6, v_reset=-1.0), init={"v": 0.8 * 0.3})
    net.connect(a, b, snn.one_to_one(), delay=1.0, name="p", short_term=plasticity.TsodyksMarkram(u_se=0.2, **rule))
    sim = snn.Simulation(net, dt=DT, quiet=True)
    sim.run(times[0] + DT)
    nest.Simulate(90.0)
    for u, x, until in ((0.8, 0.3, 150.0), (0.5, 0.4, 350.0)):
        nest.GetConnections(parrot, cell).set(x=x, u=u)
        sim.set_state("p", "u", u)
        sim.set_state("p", "x", x)
        nest.Simulate(until - nest.biological_time)
        sim.run(until - sim.t)
        assert sim.state("b", "v") == pytest.approx([cell.V_m], rel=1e-6)
    assert cell.V_m > 0.5
