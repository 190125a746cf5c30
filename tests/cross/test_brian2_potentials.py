"""Rules that read the potentials of their targets against Brian2: bistable synapses, and a rule given as text."""

import numpy as np
import pytest

import plasticity
import snn

b2 = pytest.importorskip("brian2", reason="peers extra not installed")

DT, STOP, N = 0.25, 1000.0, 120
BISTABLE = """
w : 1
x : 1
seen : second
dca/dt = -ca / (60 * ms) : 1 (event-driven)
"""
MOVES = """
x = clip(x + (3.5 * int(x > 0.5) - 3.5 * int(x <= 0.5)) * (t - seen) / second, 0, 1)
seen = t
x += 0.1 * int(v_post > -58) * int(ca > 3) * int(ca < 13)
x -= 0.1 * int(v_post <= -58) * int(ca > 3) * int(ca < 4)
x = clip(x, 0, 1)
w = 0.2 + 0.5 * int(x > 0.5)
"""


class Trains:
    """Sources and targets with given spikes, the targets in between with given potentials. Spikes of either side,
    changes of the potential and what weights deliver never meet a synapse in the same step. One synapse each, 3 steps
    of delay, 2 of them axonal."""

    def __init__(self, seed):
        rng = np.random.default_rng(seed)
        # rates below, within and above those at which bistable synapses learn
        rates = np.stack([np.full(N, 90.0), np.where(rng.random(N) < 0.5, 60.0, rng.uniform(20.0, 260.0, N))])
        side, self.ids, steps = np.nonzero(
            rng.random((2, N, round(STOP / DT) // 4 - 10)) < 4e-3 * DT * rates[..., None]
        )
        self.steps = 4 * steps + 4 + 2 * side
        self.pre, self.post = side == 0, side == 1
        self.begin = np.where(rng.random(N) < 0.5, 0.2, 0.7)
        self.level = np.where(rng.random((round(STOP / 10), N)) < rng.random(N), -56.0, -60.0)  # mV, each for 10 ms

    def ours(self, rule, variable):
        """Weights, and a variable of the synapses."""
        net = snn.Network()
        a = net.population("a", N, snn.SpikeArray(self.steps[self.pre] * DT, self.ids[self.pre]))
        # a membrane so fast that its potential follows the current within a step
        model = snn.LIFDelta(tau_m=1e-3, c_m=1e-3, e_l=0.0, v_th=500.0, v_reset=-64.0, t_ref=0.0)
        b = net.population("b", N, model)
        net.input("drive", b, snn.SpikeArray(self.steps[self.post] * DT, self.ids[self.post]), weight=1e3)
        net.input("level", b, snn.StepCurrent(self.level, times=10.0 * np.arange(len(self.level))))
        given = {"weight": self.begin, "delay": 3 * DT, "axonal_delay": 2 * DT}
        net.connect(a, b, snn.one_to_one(), **given, plasticity=rule, name="p")
        net.record(b)
        sim = snn.Simulation(net, dt=DT, backend="reference")
        assert len(sim.run(STOP).spikes["b"]) == self.post.sum()
        source, _, w, _ = sim.connections("p")
        return w[np.argsort(source)], sim.state("p", variable)[np.argsort(source)]

    def brian(self, synapses, on_pre, on_post):
        """Brian2's synapses after the run; a potential is reset where it fires."""
        b2.prefs.codegen.target = "numpy"
        b2.start_scope()
        b2.defaultclock.dt = DT * b2.ms
        fires = np.zeros((round(STOP / DT) + 10, N))
        fires[self.steps[self.post] + 1, self.ids[self.post]] = 1.0
        given = {"levels": b2.TimedArray(self.level, dt=10 * b2.ms), "fires": b2.TimedArray(fires, dt=DT * b2.ms)}
        first = b2.SpikeGeneratorGroup(N, self.ids[self.pre], (self.steps[self.pre] + 2) * DT * b2.ms)
        v = "v = (1 - fires(t, i)) * levels(t - 0.25*ms, i) - 64 * fires(t, i) : 1"
        second = b2.NeuronGroup(N, v, threshold="fires(t, i) > 0", namespace=given)
        found = b2.Synapses(first, second, synapses, on_pre=on_pre, on_post=on_post, namespace=given)
        found.connect(j="i")
        found.w = self.begin
        if "x" in found.variables:
            found.x = self.begin > 0.5
        b2.Network(first, second, found).run(STOP * b2.ms)
        return found


def test_bistable_synapses():
    """Brader, Senn & Fusi 2007: weights and internal variables."""
    trains = Trains(1)
    w, x = trains.ours(plasticity.BraderSennFusi(w_min=0.2, w_max=0.7), "x")
    synapses = trains.brian(BISTABLE, MOVES, "ca += 1")
    expected, last = np.asarray(synapses.w), np.asarray(synapses.x)
    last = np.clip(last + np.where(last > 0.5, 0.0035, -0.0035) * (STOP - np.asarray(synapses.seen) * 1e3), 0.0, 1.0)
    begin = trains.begin
    assert (expected > begin).sum() > 5 and (expected < begin).sum() > 5 and (expected == begin).sum() > 5
    np.testing.assert_array_equal(w, expected)
    assert np.unique(last).size > 5
    np.testing.assert_allclose(x, last, rtol=0, atol=1e-9)


def test_rule_from_equations():
    """Potentials that spikes of both sides read, those of the target just after its reset."""
    on_pre = "w = clip(w - 0.004 * clip(v_post + 59, 0, 9) * y, 0, 1); c += v_post + 62"
    on_post = "y += 1; w = clip(w + 1e-4 * c * (v_post + 66), 0, 1)"
    text = "dy/dt = -y / tau_y : 1\ndc/dt = -c / tau_c : 1\ntau_y = 30 : ms\ntau_c = 80 : ms"
    rule = plasticity.from_equations("Text", text, on_pre=on_pre, on_post=on_post, bounds=(0, 1))
    trains = Trains(2)
    w, c = trains.ours(rule(), "c")
    model = "w : 1\ndy/dt = -y / (30*ms) : 1 (event-driven)\ndc/dt = -c / (80*ms) : 1 (event-driven)"
    on_pre, on_post = (x.replace("; ", "\n") for x in (on_pre, on_post))
    synapses = trains.brian(model, on_pre, on_post)
    expected, last = np.asarray(synapses.w), np.asarray(synapses.lastupdate) * 1e3
    assert np.abs(expected - trains.begin).max() > 0.1 and np.unique(expected).size > N // 2
    np.testing.assert_allclose(w, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(c, np.asarray(synapses.c) * np.exp((last - STOP) / 80.0), rtol=1e-9)
