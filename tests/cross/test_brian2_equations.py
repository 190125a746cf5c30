"""Models from equations against Brian2, given the same text, by Runge-Kutta of order 4 with the same step."""

import numpy as np
import pytest

import snn

b2 = pytest.importorskip("brian2", reason="peers extra not installed")

NUMBERS = {"c_m": "200", "g_l": "10", "e_l": "-65", "e_ex": "0", "e_in": "-80", "tau_ex": "4", "tau_in": "8",
           "tau_w": "60", "a": "0.3", "b": "6", "v_r": "-60", "top": "-45", "t_ref": "1.5", "i_e": "40"}  # fmt: skip


def test_adaptive_neuron_with_two_conductances():
    """A nonlinear membrane with adaptation, refractory period and given spikes: v at each step, and all spikes."""
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


HODGKIN_HUXLEY = {
    "v": "(g_na * m**3 * h * (50 - v) + g_k * n**4 * (-90 - v) + 10 * (-65 - v) + drive) / 200",
    "m": "0.32 * 4 * exprel_m * (1 - m) - 0.28 * 5 * exprel_k * m",
    "n": "0.032 * 5 * exprel_n * (1 - n) - 0.5 * exp((-58 - v) / 40) * n",
    "h": "0.128 * exp((-46 - v) / 18) * (1 - h) - 4 / (1 + exp((-23 - v) / 5)) * h",
}
GATES = {
    "exprel_m": "1 / exprel((-50 - v) / 4)", "exprel_k": "1 / exprel((v + 23) / 5)",
    "exprel_n": "1 / exprel((-48 - v) / 5)",
}  # fmt: skip
CONDITIONS = {  # equations, abbreviations, threshold, reset, condition, spikes
    "spikes of Hodgkin and Huxley": (HODGKIN_HUXLEY, GATES, "v > -20", "", "v > -40", 12),
    "held until a trace has decayed": (
        {"v": "(1.5 + 0.1 * drive - v) / 10", "a": "-a / 30"}, {"low": "a - 0.4 * v"}, "v > 1", "v = 0; a += 1",
        "low > 0.5 and not a < 0.1", 5,
    ),
}  # fmt: skip


@pytest.mark.parametrize("method, dt", [("rk4", 0.02), ("exponential_euler", 0.05)])
@pytest.mark.parametrize("case", CONDITIONS)
def test_refractory_while_a_condition_holds(case, method, dt):
    """One spike for each action potential, and a membrane that is held until another variable has decayed."""
    b2.prefs.codegen.target = "numpy"
    b2.start_scope()
    duration, n = 200.0, 4
    states, short, threshold, reset, refractory, least = CONDITIONS[case]
    held = "(unless refractory)" if reset else ""
    drive = np.linspace(600.0, 1500.0, n) if not reset else np.linspace(0.0, 15.0, n)

    def equations(unit):
        rows = [f"d{x}/dt = ({right}){unit} : 1 {held if x == 'v' else ''}" for x, right in states.items()]
        return "\n".join(rows + [f"{x} = {right} : 1" for x, right in short.items()])

    numbers = {"g_na": 20000.0, "g_k": 6000.0}
    own = "\n".join([equations(""), *(f"{k} = {x} : 1" for k, x in {**numbers, "drive": 0.0}.items())])
    start = {"v": 0.0 if reset else -65.0}
    model = snn.from_equations("M", own, threshold=threshold, reset=reset, refractory=refractory, init=start,
                               method=method)  # fmt: skip
    runs = []
    for backend, lasts in (("cpu", duration), ("reference", 20.0)):
        net = snn.Network()
        cells = net.population("cells", n, model(drive=drive))
        net.record(cells, ["spikes", *states])
        runs.append(snn.Simulation(net, dt=dt, backend=backend, quiet=True).run(lasts))
    result, short_run = runs
    for name in states:
        first = short_run.states["cells"][name]
        np.testing.assert_array_equal(result.states["cells"][name][: len(first)], first)

    group = b2.NeuronGroup(
        n, equations(" / ms") + "\ndrive : 1", threshold=threshold, reset=reset, refractory=refractory, method=method,
        namespace=numbers, dt=dt * b2.ms,
    )  # fmt: skip
    group.v, group.drive = start["v"], drive
    spikes = b2.SpikeMonitor(group)
    record = b2.StateMonitor(group, list(states), record=True, when="end")
    b2.Network(group, spikes, record).run(duration * b2.ms)

    ours = result.spikes["cells"]
    order = np.lexsort((ours.ids, ours.times))
    theirs = np.array(sorted(zip(np.rint(spikes.t / b2.ms / dt), spikes.i, strict=True)))
    assert np.bincount(ours.ids, minlength=n).min() >= least
    np.testing.assert_array_equal(ours.ids[order], theirs[:, 1])
    np.testing.assert_array_equal(np.rint(ours.times[order] / dt), theirs[:, 0] + 1)
    for name in states:
        there = np.asarray(getattr(record, name)).T
        np.testing.assert_allclose(result.states["cells"][name], there, rtol=1e-6, atol=1e-6, err_msg=name)


def test_noise_with_the_same_text():
    """Rate and irregularity of noisy membranes, and escape by ``rand()``; Brian2's noise is of another order in dt."""
    b2.prefs.codegen.target = "numpy"
    b2.start_scope()
    b2.seed(1)
    n, duration, dt = 2000, 500.0, 0.1
    found = {}
    for case, slope, threshold in (
        ("noise", "(mu - v) / tau + sigma * sqrt(2 / tau) * xi", "v > 10"),
        ("escape", "(mu - v) / tau", "rand() < 0.05 * exp((v - 10) / 2) * dt"),
    ):
        own = f"dv/dt = {slope} : mV (unless refractory)\nmu = 8 : mV\ntau = 20 : ms\nsigma = 3 : mV\nt_ref = 2 : ms"
        model = snn.from_equations(case, own, threshold=threshold, reset="v = randn()", refractory="t_ref")
        net = snn.Network(seed=1)
        net.record(net.population("cells", n, model()))
        spikes = snn.Simulation(net, dt=dt, quiet=True).run(duration).spikes["cells"]
        group = b2.NeuronGroup(
            n, f"dv/dt = {slope} : 1 (unless refractory)", threshold=threshold.replace("dt", "(dt / ms)"),
            reset="v = randn()", refractory=2.1 * b2.ms, method="euler", dt=dt * b2.ms,
            namespace={"mu": 8.0, "tau": 20.0 * b2.ms, "sigma": 3.0},
        )  # fmt: skip
        theirs = b2.SpikeMonitor(group)
        b2.Network(group, theirs).run(duration * b2.ms)
        for name, x, ids in (("ours", spikes.times, spikes.ids), ("theirs", np.asarray(theirs.t / b2.ms), theirs.i)):
            order = np.lexsort((x, ids))
            gaps = np.diff(np.asarray(x)[order])[np.diff(np.asarray(ids)[order]) == 0]
            found[case, name] = len(x), gaps.mean(), gaps.std() / gaps.mean()
    for case in ("noise", "escape"):
        (count, gap, cv), (count_b2, gap_b2, cv_b2) = found[case, "ours"], found[case, "theirs"]
        assert count > 10_000
        assert abs(count - count_b2) < 4 * cv * np.sqrt(count + count_b2)
        assert abs(gap - gap_b2) < 4 * cv * gap * np.sqrt(1 / count + 1 / count_b2)
        assert abs(cv - cv_b2) < 0.02
