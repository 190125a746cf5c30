"""Spike-driven learning of bistable synapses (Brader, Senn & Fusi 2007) against Brian2."""

import numpy as np
import pytest

import plasticity
import snn

b2 = pytest.importorskip("brian2", reason="peers extra not installed")

DT, STOP, N = 0.25, 1000.0, 120
SYNAPSES = """
w : 1
x : 1
seen : second
dca/dt = -ca / (60 * ms) : 1 (event-driven)
"""
ON_PRE = """
x = clip(x + (3.5 * int(x > 0.5) - 3.5 * int(x <= 0.5)) * (t - seen) / second, 0, 1)
seen = t
x += 0.1 * int(v_post > -58) * int(ca > 3) * int(ca < 13)
x -= 0.1 * int(v_post <= -58) * int(ca > 3) * int(ca < 4)
x = clip(x, 0, 1)
w = 0.2 + 0.5 * int(x > 0.5)
"""


def test_weights_and_internal_variables():
    """Targets with given spikes and, in between, given potentials; rates below, within and above those that learn."""
    rng = np.random.default_rng(1)
    # pre- and postsynaptic spikes and changes of the potential never meet a synapse in the same step
    rates = np.stack([np.full(N, 90.0), np.where(rng.random(N) < 0.5, 60.0, rng.uniform(20.0, 260.0, N))])
    side, ids, steps = np.nonzero(rng.random((2, N, round(STOP / DT) // 4 - 10)) < 4e-3 * DT * rates[..., None])
    steps = 4 * steps + 4 + 2 * side
    pre, post = side == 0, side == 1
    begin = np.where(rng.random(N) < 0.5, 0.2, 0.7)
    level = np.where(rng.random((round(STOP / 10), N)) < rng.random(N), -56.0, -60.0)  # mV, each for 10 ms

    net = snn.Network()
    a = net.population("a", N, snn.SpikeArray(steps[pre] * DT, ids[pre]))
    # a membrane so fast that its potential follows the current within a step
    model = snn.LIFDelta(tau_m=1e-3, c_m=1e-3, e_l=0.0, v_th=500.0, v_reset=-60.0, t_ref=0.0)
    b = net.population("b", N, model)
    net.input("drive", b, snn.SpikeArray(steps[post] * DT, ids[post]), weight=1e3)
    net.input("level", b, snn.StepCurrent(level, times=10.0 * np.arange(len(level))))
    rule = plasticity.BraderSennFusi(w_min=0.2, w_max=0.7)
    net.connect(a, b, snn.one_to_one(), weight=begin, delay=3 * DT, axonal_delay=DT, plasticity=rule, name="p")
    net.record(b)
    sim = snn.Simulation(net, dt=DT, backend="reference")
    assert len(sim.run(STOP).spikes["b"]) == post.sum()
    source, _, w, _ = sim.connections("p")
    order = np.argsort(source)

    b2.prefs.codegen.target = "numpy"
    b2.start_scope()
    b2.defaultclock.dt = DT * b2.ms
    fires = np.zeros((round(STOP / DT) + 10, N))
    fires[steps[post] + 2, ids[post]] = 1.0
    given = {"levels": b2.TimedArray(level, dt=10 * b2.ms), "fires": b2.TimedArray(fires, dt=DT * b2.ms)}
    first = b2.SpikeGeneratorGroup(N, ids[pre], (steps[pre] + 1) * DT * b2.ms)
    second = b2.NeuronGroup(N, "v = levels(t - 0.5*ms, i) : 1", threshold="fires(t, i) > 0", namespace=given)
    synapses = b2.Synapses(first, second, SYNAPSES, on_pre=ON_PRE, on_post="ca += 1", namespace=given)
    synapses.connect(j="i")
    synapses.w, synapses.x = begin, begin > 0.5
    b2.Network(first, second, synapses).run(STOP * b2.ms)
    x, gone = np.asarray(synapses.x), STOP - np.asarray(synapses.seen) * 1e3
    x = np.clip(x + np.where(x > 0.5, 0.0035, -0.0035) * gone, 0.0, 1.0)
    expected = np.asarray(synapses.w)
    assert (expected > begin).sum() > 5 and (expected < begin).sum() > 5 and (expected == begin).sum() > 5
    np.testing.assert_array_equal(w[order], expected)
    assert np.unique(x).size > 5
    np.testing.assert_allclose(sim.state("p", "x")[order], x, rtol=0, atol=1e-9)
