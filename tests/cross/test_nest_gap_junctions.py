"""Gap junctions against NEST's, which are exchanged several times a step (waveform relaxation), and Brian2's."""

import numpy as np
import pytest

import snn

# hh_psc_alpha_gap of NEST (doi 10.1523/JNEUROSCI.2715-06.2007), without synapses
FAST_SPIKING = """
dv/dt = (i_stim + i_e - i_na - i_k - g_l * (v - e_l)) / c_m : mV
dm/dt = 40 * (v - 75.5) / (1 - exp((75.5 - v) / 13.5)) * (1 - m) - 1.2262 / exp(v / 42.248) * m : 1
dh/dt = 0.0035 / exp(v / 24.186) * (1 - h) - 0.017 * (51.25 + v) / (1 - exp(-(51.25 + v) / 5.2)) * h : 1
dp/dt = (v - 95) / (1 - exp((95 - v) / 11.8)) * (1 - p) - 0.025 / exp(v / 22.222) * p : 1
dn/dt = 0.014 * (v + 44) / (1 - exp(-(v + 44) / 2.3)) * (1 - n) - 0.0043 / exp((v + 44) / 34) * n : 1
i_na = g_na * m**3 * h * (v - e_na) : pA
i_k = (g_kv1 * n**4 + g_kv3 * p**2) * (v - e_k) : pA
c_m = 40 : pF
i_e = 100 : pA
g_na = 4500 : nS
g_kv1 = 9 : nS
g_kv3 = 9000 : nS
g_l = 10 : nS
e_na = 74 : mV
e_k = -90 : mV
e_l = -70 : mV
"""


@pytest.mark.cross
@pytest.mark.parametrize("g", [0.5, 5.0])
def test_two_fast_spiking_neurons(g):
    """Potentials of two Hodgkin-Huxley neurons, one let go from -10 mV: NEST's as dt falls, of first order."""
    nest = pytest.importorskip("nest", reason="peers extra not installed")
    duration = 25.0
    nest.ResetKernel()
    nest.set(resolution=0.01, use_wfr=True, wfr_comm_interval=1.0, wfr_tol=1e-8, wfr_max_iterations=50,
             wfr_interpolation_order=3)  # fmt: skip
    pair = nest.Create("hh_psc_alpha_gap", 2, {"I_e": 100.0})
    pair[0].V_m = -10.0
    names = {"v": "V_m", "m": "Act_m", "h": "Inact_h", "n": "Act_n", "p": "Inact_p"}
    init = {ours: np.array(pair.get(theirs)) for ours, theirs in names.items()}
    nest.Connect(pair, pair, {"rule": "all_to_all", "allow_autapses": False},
                 {"synapse_model": "gap_junction", "weight": g})  # fmt: skip
    meter = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": 0.1})
    nest.Connect(meter, pair)
    nest.Simulate(duration + 1.0)
    events = meter.events
    theirs = np.stack([events["V_m"][events["senders"] == k] for k in pair.tolist()], axis=1)[:250]

    model = snn.from_equations("FastSpiking", FAST_SPIKING, threshold="v > 1e6", reset="v = v")
    errors = []
    for dt in (0.004, 0.002):
        net = snn.Network()
        cells = net.population("cells", 2, model(), init=init)
        net.gap_junctions(cells, cells, snn.from_arrays([0], [1]), g)
        net.record(cells, "v", every=0.1)
        v = snn.Simulation(net, dt=dt, quiet=True).run(duration).states["cells"]["v"]
        errors.append(abs(v - theirs).mean())
    assert theirs.max() > 60.0
    assert errors[0] < 0.012  # mV, of potentials from -89 to 64
    assert 1.8 < errors[0] / errors[1] < 2.2


@pytest.mark.cross
def test_like_brian2():
    """The sum over junctions that Brian2 takes in each step, of LIF neurons: every spike, potentials to rounding."""
    b2 = pytest.importorskip("brian2", reason="peers extra not installed")
    b2.prefs.codegen.target = "numpy"
    b2.start_scope()
    rng = np.random.default_rng(2)
    n, dt, duration = 30, 0.1, 100.0
    current, v = rng.uniform(220.0, 360.0, n), rng.uniform(-70.0, -52.0, n)
    i, j, g = rng.integers(0, n, 90), rng.integers(0, n, 90), rng.uniform(0.1, 2.0, 90)
    net = snn.Network()
    lif = {"tau_m": 15.0, "c_m": 150.0, "e_l": -70.0, "v_th": -50.0, "v_reset": -65.0, "t_ref": 1.0}
    cells = net.population("cells", n, snn.LIFExp(**lif, i_e=current), init={"v": v})
    net.gap_junctions(cells, cells, snn.from_arrays(i, j), g)
    net.record(cells)
    net.record(cells, "v")
    found = snn.Simulation(net, dt=dt, quiet=True).run(duration)

    group = b2.NeuronGroup(  # the step of the spike counts as one of the refractory period there
        n, """dv/dt = (-70 - v + (drive + junctions) * 0.1) / (15*ms) : 1 (unless refractory)
        drive : 1
        junctions : 1""",
        threshold="v >= -50", reset="v = -65", refractory=(1.0 + dt) * b2.ms, method="exact", dt=dt * b2.ms,
    )  # fmt: skip
    group.drive, group.v = current, v
    synapses = b2.Synapses(group, group, "w : 1\njunctions_post = w * (v_pre - v_post) : 1 (summed)", dt=dt * b2.ms)
    synapses.connect(i=np.append(i, j), j=np.append(j, i))
    synapses.w = np.append(g, g)
    spikes, trace = b2.SpikeMonitor(group), b2.StateMonitor(group, "v", record=True, dt=dt * b2.ms)
    b2.Network(group, synapses, spikes, trace).run((duration + dt) * b2.ms)
    theirs = np.asarray(trace.v).T[1:]  # sampled at the begin of a step, here at its end
    np.testing.assert_allclose(found.states["cells"]["v"], theirs, rtol=0, atol=1e-8)
    times = np.rint(np.asarray(spikes.t / b2.ms) / dt).astype(int) + 1
    kept = times <= round(duration / dt)
    record = found.spikes["cells"]
    assert len(record) > 100
    ours = sorted(zip(np.rint(record.times / dt).astype(int), record.ids, strict=True))
    assert ours == sorted(zip(times[kept], np.asarray(spikes.i)[kept], strict=True))
