"""Models from the text of their equations: what they compute, and what is refused."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import snn
from kernels.errors import ModelError

COND = """
    dv/dt = (g_l * (e_l - v) + drive + g_ex * (e_ex - v) + g_in * (e_in - v)) / c_m : mV (unless refractory)
    dg_ex/dt = -g_ex / tau_syn_ex : nS
    dg_in/dt = -(g_in / tau_syn_in) : nS
    drive = i_e + i_stim : pA
    c_m = 250 : pF  # membrane capacitance
    g_l = 16.6667 : nS
    e_l = -70.0 : mV
    e_ex = 0 : mV
    e_in = -85 : mV
    v_th = -55 : mV
    v_reset = -60 : mV
    t_ref = 2 : ms
    tau_syn_ex = 0.2 : ms
    tau_syn_in = 2 : ms
    i_e = 0 : pA
"""
RULES = {"threshold": "v >= v_th", "reset": "v = v_reset", "refractory": "t_ref", "init": {"v": "e_l"},
         "receptors": {"ex": "g_ex += w", "in": "g_in -= w"}}  # fmt: skip


def network(model, n=20):
    net = snn.Network(seed=4)
    a = net.population("a", n, model, init={"v": snn.uniform(-70.0, -55.0)})
    net.input("ex", a, snn.Poisson(rate=4000.0), weight=12.0)
    net.input("in", a, snn.Poisson(rate=1000.0), weight=-20.0)
    net.input("step", a, snn.StepCurrent([0.0, 300.0, -200.0], [0.0, 50.0, 120.0]))
    net.connect(a, a, snn.fixed_indegree(4), weight=3.0, delay=1.5)
    net.record(a)
    net.record(a, ["v", "g_ex", "g_in"], every=0.1)
    return net


def test_equals_the_model_of_the_package():
    """LIFCondExp has the same equations and scheme; only the order of additions differs."""
    ours, theirs = (
        snn.Simulation(network(model), quiet=True).run(200.0)
        for model in (snn.from_equations("Cond", COND, **RULES)(i_e=300.0), snn.LIFCondExp(i_e=300.0))
    )
    assert len(ours.spikes["a"]) > 60
    np.testing.assert_array_equal(ours.spikes["a"].times, theirs.spikes["a"].times)
    np.testing.assert_array_equal(ours.spikes["a"].ids, theirs.spikes["a"].ids)
    for name in ("v", "g_ex", "g_in"):
        np.testing.assert_allclose(ours.states["a"][name], theirs.states["a"][name], rtol=1e-9, atol=1e-12)


def test_reference_and_cpu_are_equal_bit_for_bit():
    net = network(snn.from_equations("Cond", COND, **RULES)(v_th=snn.uniform(-56.0, -54.0)))
    runs = [
        snn.Simulation(net, quiet=True, **options).run(60.0)
        for options in ({"backend": "reference"}, {"threads": 1}, {"threads": 3})
    ]
    for other in runs[1:]:
        np.testing.assert_array_equal(runs[0].spikes["a"].times, other.spikes["a"].times)
        np.testing.assert_array_equal(runs[0].states["a"]["v"], other.states["a"]["v"])


MORRIS_LECAR = """
    dv/dt = (i_stim - g_ca * m * (v - 120) - g_k * n * (v + 84) - g_l * (v + 60)) / c_m : mV
    dn/dt = phi * (n_end - n) * cosh(x / 2) : 1
    m = 0.5 * (1 + tanh((v + 1.2) / 18)) : 1   # after the line that uses it
    n_end = 0.5 * (1 + tanh(x)) : 1
    x = (v - 12) / 17.4
        : 1
    g_ca = 4 : nS
    g_k = 8 : nS
    g_l = 2 : nS
    c_m = 20 : pF
    phi = 6.7e-2 : 1/ms
"""


def morris_lecar(t, y):
    v, n = y
    m, x = 0.5 * (1 + np.tanh((v + 1.2) / 18)), (v - 12) / 17.4
    dv = (45.0 - 4 * m * (v - 120) - 8 * n * (v + 84) - 2 * (v + 60)) / 20
    return [dv, 0.067 * (0.5 * (1 + np.tanh(x)) - n) * np.cosh(x / 2)]


def test_order_4_against_an_ode_solver():
    model = snn.from_equations("MorrisLecar", MORRIS_LECAR, threshold="v > 1000", init={"v": -60.0, "n": 0.02})
    truth = solve_ivp(morris_lecar, (0.0, 60.0), [-60.0, 0.02], "DOP853", t_eval=[60.0], rtol=1e-12, atol=1e-12)
    error = []
    for dt in (0.4, 0.2, 0.1):
        net = snn.Network()
        a = net.population("a", 1, model())
        net.input("i", a, snn.StepCurrent(45.0))
        sim = snn.Simulation(net, dt=dt, quiet=True)
        sim.run(60.0)
        error.append(abs(sim.state("a", "v")[0] - truth.y[0, -1]))
    orders = np.log2(np.array(error[:-1]) / error[1:])
    assert orders.min() > 3.5
    assert error[1] < 1e-7


def test_decay_is_exact_at_any_step():
    text = "dx/dt = -x / tau : 1\ntau = 0.3 : ms"
    model = snn.from_equations("Decay", text, threshold="x > 1e9", receptors={"in": "x += 2 * w / 4"})
    net = snn.Network()
    a = net.population("a", 1, model())
    net.input("in", a, snn.SpikeArray([1.0], [0]), weight=6.0)
    net.record(a, "x", every=1.0)
    x = snn.Simulation(net, dt=1.0, quiet=True).run(5.0).states["a"]["x"][:, 0]
    first = np.flatnonzero(x)[0]
    np.testing.assert_allclose(x[first:], 3.0 * np.exp(-np.arange(len(x) - first) / 0.3), rtol=1e-12)
    with pytest.raises(ModelError, match=r"Decay.tau: must be > 0 ms; got 0"):
        model(tau=0.0)


def test_order_within_a_step():
    """Integration, arrivals, threshold, reset in turn; what is held takes nothing for t_ref."""
    text = """
        dv/dt = 0 : mV (unless refractory)
        dn/dt = 0 : 1
        top = 1 : mV
        t_ref = 3 : ms
    """
    model = snn.from_equations(
        "Count", text, threshold="v >= top", reset="v = 0\nn += 1; n *= 2", refractory="t_ref",
        receptors={"r": "v += w"},
    )  # fmt: skip
    net = snn.Network()
    a = net.population("a", 1, model())
    net.input("in", a, snn.SpikeArray(np.arange(1.0, 11.0)), weight=1.0)
    net.record(a)
    sim = snn.Simulation(net, dt=1.0, quiet=True)
    times = sim.run(12.0).spikes["a"].times
    np.testing.assert_array_equal(np.diff(times), 4.0)  # 3 ms held, and the next arrival
    n = 0.0
    for _ in times:
        n = (n + 1.0) * 2.0
    assert sim.state("a", "n")[0] == n


def test_upstroke_that_overflows_is_a_spike():
    text = """
        dv/dt = (e_l - v + delta * exp((v - v_t) / delta) + i_stim) / tau : mV
        e_l = -70 : mV
        delta = 0.5 : mV
        v_t = -50 : mV
        tau = 10 : ms
    """
    model = snn.from_equations("EIF", text, threshold="v > 0", reset="v = -60", init={"v": "e_l"})
    net = snn.Network()
    a = net.population("a", 1, model())
    net.input("i", a, snn.StepCurrent(40.0))
    net.record(a)
    times = snn.Simulation(net, dt=0.5, quiet=True).run(200.0).spikes["a"].times
    assert 15 < len(times) < 40


ADEX = """
    dv/dt = (g_l * (e_l - v) + i_exp - z + g_ex * (e_ex - v) + i_stim) / c_m : mV (unless refractory)
    dz/dt = (a * (v - e_l) - z) / tau_w : pA
    dg_ex/dt = -g_ex / tau_ex : nS
    i_exp = g_l * delta_t * exp((v - v_t) / delta_t) : pA
    c_m = 281 : pF
    g_l = 30 : nS
    e_l = -70.6 : mV
    e_ex = 0 : mV
    delta_t = 2 : mV
    v_t = -50.4 : mV
    tau_w = 144 : ms
    tau_ex = 5 : ms
    t_ref = 2 : ms
    a = 4 : nS
    b = 80.5 : pA
"""
ADEX_RULES = {"threshold": "v > 0", "reset": "v = -60; z += b", "refractory": "t_ref", "receptors": {"ex": "g_ex += w"},
              "init": {"v": "e_l"}}  # fmt: skip


def between_spikes(slope, start, top, reset, t_ref, end):
    """Number of spikes and final state, by an ODE solver that finds spikes; v comes first, and is held for t_ref."""

    def crossed(t, y, free):
        return y[0] - top

    crossed.terminal, crossed.direction = True, 1
    t, y, count = 0.0, start, 0
    while t < end:
        part = solve_ivp(slope, (t, end), y, args=(True,), events=crossed, rtol=1e-9, atol=1e-9)
        t, y = part.t[-1], part.y[:, -1]
        if part.status == 1:
            count, y = count + 1, reset(y)
            if t_ref:
                part = solve_ivp(slope, (t, min(t + t_ref, end)), y, args=(False,), rtol=1e-9, atol=1e-9)
                t, y = part.t[-1], part.y[:, -1]
    return count, y


def run_alone(model, current, dt, end, second):
    """Number of spikes, and the second variable at the end."""
    net = snn.Network()
    a = net.population("a", 1, model)
    net.input("i", a, snn.StepCurrent(current))
    net.record(a)
    sim = snn.Simulation(net, dt=dt, quiet=True)
    return len(sim.run(end).spikes["a"]), sim.state("a", second)[0]


def test_upstroke_leaves_the_other_variables_right():
    """Slopes at stages far up the exponential are wrong for all variables; the error falls with dt."""

    def slope(t, y, free):
        dv = (30 * (-70.6 - y[0]) + 60 * np.exp((y[0] + 50.4) / 2) - y[1] + 2000) / 281
        return [dv if free else 0.0, (4 * (y[0] + 70.6) - y[1]) / 144]

    count, (_, z) = between_spikes(slope, [-70.6, 0.0], 0.0, lambda y: [-60.0, y[1] + 80.5], 2.0, 500.0)
    model = snn.from_equations("AdEx", ADEX, **ADEX_RULES)()
    found = [run_alone(model, 2000.0, dt, 500.0, "z") for dt in (0.1, 0.05, 0.01)]
    assert [n for n, _ in found] == [count] * 3
    error = [abs(value / z - 1.0) for _, value in found]
    assert error[0] < 0.02
    assert error[2] < 0.3 * error[0]


def test_upstroke_of_a_quadratic_model_in_wide_steps():
    text = "dv/dt = 0.04 * v**2 + 5 * v + 140 - r + i_stim : mV\ndr/dt = 0.002 * (0.2 * v - r) : mV/ms"
    model = snn.from_equations("Quadratic", text, threshold="v > 1000", reset="v = -65; r += 2", init={"v": -65.0})()

    def slope(t, y, free):
        return [0.04 * y[0] ** 2 + 5 * y[0] + 140 - y[1] + 60, 0.002 * (0.2 * y[0] - y[1])]

    count, (_, r) = between_spikes(slope, [-65.0, 0.0], 1000.0, lambda y: [-65.0, y[1] + 2], 0.0, 400.0)
    for dt, missed, tolerance in ((1.0, 1, 0.05), (0.1, 0, 0.02)):
        found, value = run_alone(model, 60.0, dt, 400.0, "r")
        assert abs(found - count) <= missed, (dt, found, count)
        assert abs(value - r) < tolerance * r, (dt, value, r)


def test_network_of_exponential_neurons_as_the_model_of_the_package():
    """AdExCondExp limits v at the stages to the threshold."""
    runs = []
    own = snn.from_equations("AdEx", ADEX, **ADEX_RULES)()
    of_package = snn.AdExCondExp(tau_syn_ex=5.0, t_ref=2.0, v_peak=0.0, v_reset=-60.0)
    for model, name in ((own, "z"), (of_package, "w")):
        net = snn.Network(seed=1)
        a = net.population("a", 100, model)
        net.input("drive", a, snn.Poisson(rate=4000.0), weight=3.0)
        net.record(a)
        sim = snn.Simulation(net, quiet=True)
        runs.append((sim.run(500.0).spikes["a"].rates(), sim.state("a", name)))
    (rates, z), (theirs, w) = runs
    assert theirs.mean() > 100.0
    np.testing.assert_allclose(rates.mean(), theirs.mean(), rtol=0.01)
    np.testing.assert_allclose(rates, theirs, rtol=0.05)
    np.testing.assert_allclose(z.mean(), w.mean(), rtol=0.02)


def test_upstrokes_are_equal_bit_for_bit_on_both_backends():
    model = snn.from_equations("AdEx", ADEX, **ADEX_RULES)()
    runs = []
    for backend in ("reference", "cpu"):
        net = snn.Network(seed=1)
        a = net.population("a", 20, model)
        net.input("drive", a, snn.Poisson(rate=4000.0), weight=3.0)
        net.record(a)
        sim = snn.Simulation(net, quiet=True, backend=backend)
        runs.append((sim.run(40.0).spikes["a"].times, sim.state("a", "z")))
    assert len(runs[0][0]) > 100
    np.testing.assert_array_equal(runs[0][0], runs[1][0])
    np.testing.assert_array_equal(runs[0][1], runs[1][1])


def test_signs_of_receptors():
    model = snn.from_equations("Cond", COND, **RULES)
    assert [(r.name, r.sign, r.unit) for r in model.spec.receptors] == [("ex", 1, "nS"), ("in", -1, "nS")]
    one = snn.from_equations("One", "dx/dt = -x / t : mV\nt = 1 : ms", threshold="x > 1", receptors={"r": "x += -w"})
    assert one.spec.receptors[0].sign == 0


def test_class_is_as_any_model(tmp_path):
    model = snn.from_equations("Cond", COND, **RULES, doc="As LIFCondExp.", references=("Brette 2006",))
    assert model.__module__ == __name__
    assert model.spec.doc.startswith("As LIFCondExp.") and "dg_ex/dt = -g_ex / tau_syn_ex" in model.__doc__
    assert "membrane capacitance" in model.__doc__
    net = network(model())
    sim = snn.Simulation(net, quiet=True)
    sim.run(20.0)
    sim.checkpoint(tmp_path / "state.h5")
    straight = sim.run(30.0).spikes["a"].times
    resumed = snn.Simulation.resume(tmp_path / "state.h5", net, quiet=True).run(30.0).spikes["a"].times
    np.testing.assert_array_equal(straight, resumed)
    with pytest.raises(ModelError, match="closed form"):
        snn.Simulation(net, engine="event", quiet=True)


BASE = "dv/dt = -v / tau : mV\ntau = 10 : ms"
BAD = {
    "text": ({"equations": 3}, "M.equations: must be a text; got 3."),
    "name": ({"name": "a b"}, "from_equations.name: must be a Python name; got 'a b'."),
    "line": ({"equations": "dv/dt - v : mV"}, "M.equations: cannot read 'dv/dt - v : mV'; write 'dx/dt"),
    "no unit": ({"equations": "dv/dt = -v"}, "M.equations: cannot read 'dv/dt = -v'; write"),
    "no state": ({"equations": "tau = 10 : ms"}, "M.equations: there is no 'dx/dt = ... : unit'. Give one."),
    "twice": ({"equations": BASE + "\ntau = 3 : ms"}, "M.equations: 'tau' is given twice. Remove one."),
    "taken": ({"equations": BASE + "\nw = 3 : mV"}, "M.equations: the name 'w' is taken. Rename it."),
    "syntax": ({"equations": "dv/dt = -v / : mV"}, "M, dv/dt: cannot read '-v /': invalid syntax."),
    "unknown": ({"equations": "dv/dt = tua : mV\ntau = 1 : ms"}, "M, dv/dt: unknown name 'tua'. Did you mean 'tau'?"),
    "function": ({"equations": "dv/dt = sine(v) : mV"}, "M, dv/dt: unknown function 'sine'."),
    "power": ({"equations": "dv/dt = v^2 : mV"}, "M, dv/dt: a power is written a**b; got 'v ^ 2'."),
    "noise": ({"equations": "dv/dt = xi**2 : mV"}, "M, dv/dt: must be linear in the noise xi; got 'xi ** 2'."),
    "product of noises": (
        {"equations": "dv/dt = -v + xi_a * xi_b : mV"},
        "M, dv/dt: must be linear in the noise xi_a; got '-v + xi_a * xi_b'.",
    ),
    "noise in an abbreviation": (
        {"equations": "dv/dt = -x : mV\nx = v + xi : mV"},
        "M, x: the noise xi is for dx/dt alone. Write it there.",
    ),
    "noise in the threshold": ({"threshold": "v > xi"}, "M, threshold: the noise xi is for dx/dt alone."),
    "noise as a parameter": ({"equations": BASE + "\nxi = 3 : mV"}, "M.equations: the name 'xi' is taken. Rename it."),
    "many noises": (
        {"equations": "dv/dt = xi + xi_1 + xi_2 + xi_3 : mV", "reset": "v = randn()"},
        "M: draws more than 4 random numbers a neuron and step: xi, xi_1, xi_2, xi_3, randn(). Use fewer.",
    ),
    "random slope": ({"equations": "dv/dt = -v + rand() : mV"}, "M, dv/dt: 'rand()' is not allowed. rand() is for thr"),
    "random numbers": ({"reset": "v = rand(3)"}, "M, reset: 'rand(3)' is not allowed. rand() is for threshold and"),
    "circle": ({"equations": BASE + "\na = b : 1\nb = a : 1"}, "M.equations: a, b refer to each other in a circle."),
    "threshold": ({"threshold": "v >"}, "M, threshold: cannot read 'v >'"),
    "threshold name": ({"threshold": "v > top"}, "M, threshold: unknown name 'top'."),
    "reset": ({"reset": "tau = 3"}, "M.reset: must be statements such as 'v = v_reset; w += b', of state"),
    "reset name": ({"reset": "v = low"}, "M, reset: unknown name 'low'."),
    "reset syntax": ({"reset": "v = = 3"}, "M.reset: cannot read 'v = = 3'"),
    "refractory": ({"refractory": "t_ref"}, "M.refractory: must name a parameter in ms; got 't_ref'."),
    "held": ({"equations": "dv/dt = 1 : mV (unless refractory)"}, "M.refractory: v is held '(unless refractory)'"),
    "held what": (
        {"equations": BASE + "\nx = v : mV (unless refractory)"},
        "M.equations: '(unless refractory)' is for dx/dt; got 'x = v : mV (unless refractory)'.",
    ),
    "receptor": ({"receptors": {"r": "tau += w"}}, "M, receptor 'r': must add a multiple of the weight w"),
    "receptor form": ({"receptors": {"r": "v = w"}}, "M, receptor 'r': must add a multiple of the weight w"),
    "receptor square": ({"receptors": {"r": "v += w * w"}}, "M, receptor 'r': must add a multiple of the weight w"),
    "receptor state": (
        {"receptors": {"r": "v += w * v"}},
        "M, receptor 'r': w may be multiplied by numbers and parameters alone",
    ),
    "receptor name": ({"receptors": {"r": "v += w * k"}}, "M, receptor 'r': unknown name 'k'."),
    "init": ({"init": {"x": 1.0}}, "M.init: 'x' is no state variable."),
    "init value": ({"init": {"v": "e_l"}}, "M.v: init names no parameter; got 'e_l'."),
    "package's name": ({"name": "LIFExp"}, "define: 'LIFExp' is a model of the package. Give yours another name."),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    given, text = BAD[case]
    with pytest.raises(ModelError) as caught:
        snn.from_equations(**{"name": "M", "equations": BASE, "threshold": "v > 1"} | given)
    assert str(caught.value).startswith(text), str(caught.value)


def test_as_a_torch_module():
    torch = pytest.importorskip("torch", reason="torch extra not installed")
    import snn.torch

    rng = np.random.default_rng(1)
    arrive = {"ex": rng.uniform(0.0, 30.0, (400, 4)), "in": -rng.uniform(0.0, 5.0, (400, 4))}
    spikes = []
    for model in (snn.from_equations("Cond", COND, **RULES)(i_e=400.0), snn.LIFCondExp(i_e=400.0)):
        layer = snn.torch.Neurons(model, dt=0.1)
        steps = [layer({k: torch.tensor(x[s]) for k, x in arrive.items()}) for s in range(400)]
        spikes.append(torch.stack(steps).detach().numpy())
    assert spikes[0].sum() > 20
    np.testing.assert_array_equal(*spikes)
