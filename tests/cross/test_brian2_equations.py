"""Models from equations against Brian2, given the same text, by Runge-Kutta of order 4 with the same step."""

import numpy as np
import pytest

import snn
from snn.neurons.base import MODELS

b2 = pytest.importorskip("brian2", reason="peers extra not installed")

NUMBERS = {"c_m": "200", "g_l": "10", "e_l": "-65", "e_ex": "0", "e_in": "-80", "tau_ex": "4", "tau_in": "8",
           "tau_w": "60", "a": "0.3", "b": "6", "v_r": "-60", "top": "-45", "t_ref": "1.5", "i_e": "40"}  # fmt: skip


def test_adaptive_neuron_with_two_conductances(monkeypatch):
    """A nonlinear membrane with adaptation, refractory period and given spikes: v at each step, and all spikes."""
    monkeypatch.setattr("snn.neurons.base.MODELS", dict(MODELS))
    b2.prefs.codegen.target = "numpy"
    b2.start_scope()
    dt, steps, n = 0.1, 3000, 5
    rng = np.random.default_rng(1)
    times = np.sort(rng.choice(np.arange(20, steps - 20), 900, replace=False)) * dt
    ids = rng.integers(0, n, 900)
    share = rng.random(900) < 0.7

    slope = "(0.4 * g_l * (v - e_l) * (v + 50) / 15 + g_ex * (e_ex - v) + g_in * (e_in - v) - y + i_e) / c_m"
    states = {"v": slope, "y": "(a * (v - e_l) - y) / tau_w", "g_ex": "-g_ex / tau_ex", "g_in": "-g_in / tau_in"}

    own = "\n".join(
        [f"d{x}/dt = {right} : 1 {'(unless refractory)' if x == 'v' else ''}" for x, right in states.items()]
        + [f"{name} = {value} : {'ms' if name == 't_ref' else '1'}" for name, value in NUMBERS.items()]
    )
    model = snn.from_equations(
        "Two", own, threshold="v > top", reset="v = v_r; y += b", refractory="t_ref",
        receptors={"ex": "g_ex += w", "in": "g_in -= w"}, init={"v": "e_l"},
    )  # fmt: skip
    net = snn.Network()
    cells = net.population("cells", n, model())
    for receptor, chosen, weight in (("ex", share, 9.0), ("in", ~share, -12.0)):
        net.input(receptor, cells, snn.SpikeArray(times[chosen], ids[chosen]), weight=weight, receptor=receptor)
    net.record(cells)
    net.record(cells, ["v", "y", "g_ex", "g_in"], every=dt)
    result = snn.Simulation(net, dt=dt, quiet=True).run(steps * dt)

    equations = "\n".join(
        f"d{x}/dt = ({right}) / ms : 1 {'(unless refractory)' if x == 'v' else ''}" for x, right in states.items()
    )
    group = b2.NeuronGroup(  # there the step of the spike counts as one of the refractory period
        n, equations, threshold="v > top", reset="v = v_r; y += b", refractory=(1.5 + dt) * b2.ms, method="rk4",
        namespace={name: float(value) for name, value in NUMBERS.items()}, dt=dt * b2.ms,
    )  # fmt: skip
    group.v = -65.0
    # a spike given at t arrives here at the end of the step before t; there one step later, and is sent after synapses
    inputs = []
    for chosen, statement in ((share, "g_ex += 9.0"), (~share, "g_in += 12.0")):
        source = b2.SpikeGeneratorGroup(n, ids[chosen], (times[chosen] - 2 * dt) * b2.ms, dt=dt * b2.ms)
        synapses = b2.Synapses(source, group, on_pre=statement)
        synapses.connect(j="i")
        inputs += [source, synapses]
    spikes = b2.SpikeMonitor(group)
    record = b2.StateMonitor(group, ["v", "y", "g_ex", "g_in"], record=True, when="end")
    network = b2.Network(group, spikes, record, *inputs)
    network.schedule = ["start", "groups", "synapses", "thresholds", "resets", "end"]
    network.run(steps * dt * b2.ms)

    ours = result.spikes["cells"]
    order = np.lexsort((ours.ids, ours.times))
    theirs = np.array(sorted(zip(np.rint(spikes.t / b2.ms / dt), spikes.i, strict=True)))
    assert len(theirs) > 60
    np.testing.assert_array_equal(ours.ids[order], theirs[:, 1])
    np.testing.assert_array_equal(np.rint(ours.times[order] / dt), theirs[:, 0] + 1)  # end and begin of the step
    for name in ("v", "y", "g_ex", "g_in"):
        there = np.asarray(getattr(record, name)).T
        np.testing.assert_allclose(result.states["cells"][name], there, rtol=1e-7, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("kind", ["upstroke", "held"])
def test_refractory_while_a_condition_holds(kind, monkeypatch):
    """The same text for both: a neuron that is refractory until its upstroke is over, and one until its fatigue is."""
    monkeypatch.setattr("snn.neurons.base.MODELS", dict(MODELS))
    b2.prefs.codegen.target = "numpy"
    b2.start_scope()
    dt, steps, n = 0.05, 4000, 4
    if kind == "upstroke":  # FitzHugh & Nagumo: no reset; one spike for each time that v is above 1
        slopes = {"v": "v - v**3 / 3 - y + i_e", "y": "0.08 * (v + 0.7 - 0.8 * y)"}
        threshold, reset, refractory, held = "v > 1", "", "v > 1", ""
        start, drive = {"v": -1.2, "y": -0.6}, 0.5 + 0.1 * np.arange(n)
    else:
        slopes = {"v": "(i_e - v) / 10", "y": "-y / 30"}
        threshold, reset, refractory, held = "v > 1", "v = 0; y += 1", "y > 0.3 + 0.1 * v", "(unless refractory)"
        start, drive = {"v": 0.0, "y": 0.0}, 1.2 + 0.5 * np.arange(n)
    own = "\n".join(f"d{x}/dt = {right} : 1 {held if x == 'v' else ''}" for x, right in slopes.items())
    model = snn.from_equations(
        "Tired", own + "\ni_e = 0 : 1", threshold=threshold, reset=reset, refractory=refractory, init=start
    )
    net = snn.Network()
    net.record(net.population("cells", n, model(i_e=drive)), ["spikes", "v", "y"], every=dt)
    result = snn.Simulation(net, dt=dt, quiet=True).run(steps * dt)
    plain = snn.Simulation(net, dt=dt, backend="reference").run(20.0)
    np.testing.assert_array_equal(plain.states["cells"]["v"], result.states["cells"]["v"][: round(20.0 / dt)])

    theirs = "\n".join(f"d{x}/dt = ({right}) / ms : 1 {held if x == 'v' else ''}" for x, right in slopes.items())
    group = b2.NeuronGroup(
        n, theirs + "\ni_e : 1", threshold=threshold, reset=reset, refractory=refractory, method="rk4", dt=dt * b2.ms
    )
    group.v, group.y, group.i_e = start["v"], start["y"], drive
    spikes, record = b2.SpikeMonitor(group), b2.StateMonitor(group, ["v", "y"], record=True, when="end")
    b2.Network(group, spikes, record).run(steps * dt * b2.ms)
    for name in ("v", "y"):
        there = np.asarray(getattr(record, name)).T
        np.testing.assert_allclose(result.states["cells"][name], there, rtol=1e-8, atol=1e-9, err_msg=name)
    ours = result.spikes["cells"]
    order, given = np.lexsort((ours.ids, ours.times)), np.rint(spikes.t / b2.ms / dt)
    expected = np.array(sorted(zip(given, spikes.i, strict=True)))
    np.testing.assert_array_equal(ours.ids[order], expected[:, 1])
    np.testing.assert_array_equal(np.rint(ours.times[order] / dt), expected[:, 0] + 1)
    assert 10 < len(ours) < 400 and len({*ours.ids.tolist()}) == n
