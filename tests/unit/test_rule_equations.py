"""plasticity.from_equations: the package's rules written as text, solutions between spikes, mistakes."""

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ModelError

PAIR = """
dx/dt = -x / tau_plus : 1
dy/dt = -y / tau_minus : 1
tau_plus = 18 : ms
tau_minus = 27 : ms
"""
TEXTS = {  # equations, what they are given beside them, and the rule of the package
    "pairs": (
        PAIR + "a = 0.01 : weight\nb = 0.012 : weight\nw_max = 2 : weight",
        {"on_pre": "x += a; w += y", "on_post": "y -= b; w += x", "bounds": (0, "w_max")},
        plasticity.STDPPair(tau_plus=18.0, tau_minus=27.0, lambda_=0.005, alpha=1.2, mu_plus=0.0, mu_minus=0.0,
                            w_max=2.0),
    ),
    "eligibility and reward": (
        PAIR + "dz/dt = -z / tau_z : 1/ms\ndw/dt = gamma * z * reward : weight\ntau_z = 25 : ms\ngamma = 0.1 : weight",
        {"on_pre": "x += 1; z -= y / tau_z", "on_post": "y += 1; z += x / tau_z", "modulator": "reward",
         "bounds": (0, 100)},
        plasticity.RewardSTDP(tau_plus=18.0, tau_minus=27.0),
    ),
    "dopamine of spikes": (
        PAIR + "dc/dt = -c / tau_c : 1\ndn/dt = -n / tau_n : 1\ndw/dt = c * n / 500 : weight\n"
        "tau_c = 300 : ms\ntau_n = 100 : ms\ngain = 1 : 1\na = 0.1 : 1\nb = 0.15 : 1",
        {"on_pre": "c -= b * y; x += 1", "on_post": "y += 1; c += a * x", "modulator": "n", "on_modulator": "n += gain",
         "bounds": (0, 5)},
        None,
    ),
}  # fmt: skip


def weights(rule, engine, backend="cpu", threads=1, reward=0.3):
    """Weights after two runs."""
    net = snn.Network(seed=1)
    a = net.population("a", 20, snn.LIFExp())
    net.input("drive", a, snn.Poisson(rate=9000.0), weight=60.0)
    weight, delay = snn.uniform(0.5, 1.5), snn.uniform(0.5, 3.0)
    net.connect(a, a, snn.fixed_indegree(8), weight=weight, delay=delay, plasticity=rule, name="p")
    if rule.spec.modulator and rule.spec.modulator.jump:
        net.modulate("p", a, delay=1.0)
    elif rule.spec.modulator:
        net.modulate("p", value=reward)
    sim = snn.Simulation(net, engine=engine, backend=backend, threads=threads, quiet=True)
    before = sim.connections("p")[2]
    sim.run(60.0)
    if rule.spec.modulator:
        sim.set_modulator("p", -reward)
    sim.run(40.0)
    found = sim.connections("p")[2]
    assert np.abs(found - before).max() > 1e-3
    return found


@pytest.mark.parametrize(("case", "engine"), [*((case, "clock") for case in TEXTS), ("dopamine of spikes", "event")])
def test_as_the_packages_rules_and_on_every_backend(case, engine):
    text, given, known = TEXTS[case]
    rule = plasticity.from_equations("Text", text, **given)()
    found = weights(rule, engine)
    if known is not None:
        np.testing.assert_allclose(found, weights(known, engine, "reference"), rtol=1e-12)
    np.testing.assert_array_equal(found, weights(rule, engine, "reference"))
    np.testing.assert_array_equal(found, weights(rule, engine, threads=2))


def test_traces_and_variables():
    """What one statement of one side changes is a trace of the neuron; as a variable of each synapse it is the same."""
    text = PAIR + "a = 0.01 : weight"
    statements = {"on_pre": "x += a; w += 1.1 * y", "on_post": "y -= a; w += x", "bounds": (0, 2)}
    traces = plasticity.from_equations("Traces", text, **statements)
    assert [(t.name, t.side) for t in traces.spec.traces] == [("x", "pre"), ("y", "post")] and not traces.spec.state
    again = statements | {"on_pre": "x += a; w += 1.1 * y; x = x", "on_post": "y -= a; w += x; y = y"}
    own = plasticity.from_equations("Own", text, **again)
    assert [v.name for v in own.spec.state] == ["x", "y"]
    found, expected = (weights(rule(), "event", "reference") for rule in (own, traces))  # no two spikes coincide
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def alone(rule, pre=(), post=(), t=100.0, engine="clock", **connect):
    """The weight of one synapse, which spikes meet at these times, and the simulation: of the reference engine, as
    others give the same (above)."""
    net = snn.Network()
    a = net.population("a", 1, snn.SpikeArray(np.asarray(pre, float)))
    b = net.population("b", 1, snn.LIFDelta(tau_m=5.0, e_l=0.0, v_th=1e6, v_reset=0.0, t_ref=0.0))
    net.input("drive", b, snn.SpikeArray(np.asarray(post, float) - 1.0), weight=1e9)
    net.connect(a, b, snn.one_to_one(), weight=1.0, delay=1.0, plasticity=rule, name="p", **connect)
    if rule.spec.modulator:
        net.modulate("p", value=0.5)
    sim = snn.Simulation(net, engine=engine, backend="reference")
    sim.run(t)
    return sim.connections("p")[2][0], sim


@pytest.mark.parametrize("engine", ["clock", "event"])
@pytest.mark.parametrize(
    ("slope", "expected"),
    [
        ("0.01", 1 + 0.01 * 100), ("-k", 1 - 0.002 * 100), ("k * m", 1 + 0.002 * 0.5 * 100),
        ("k * c", 1 + 0.002 * 0.7 * 30 * (1 - np.exp(-80 / 30))),
        ("c * 3 / tau * m", 1 + 3 * 0.7 * 0.5 * (1 - np.exp(-80 / 30))),
        ("k * s", 1 + 0.002 * 0.25 * 80), ("-(m * s) * k", 1 - 0.002 * 0.25 * 80 * 0.5),
    ],
)  # fmt: skip
def test_weights_between_spikes(engine, slope, expected):
    """dw/dt after a presynaptic spike at 20 ms has set c and s."""
    text = f"dc/dt = -c / tau : 1\nds/dt = 0 : 1\ndw/dt = {slope} : weight\ntau = 30 : ms\nk = 0.002 : weight/ms"
    given = {"modulator": "m"} if "m" in slope else {}
    if slope == "k * m" and engine == "clock":  # a modulator that is set counts from the end of the next step
        expected -= 0.002 * 0.5 * 0.1
    rule = plasticity.from_equations("Grows", text, on_pre="c = 0.7; s += 0.25", bounds=(-10, 10), **given)
    for pre, post in (([20.0], []), ([20.0], [7.0, 41.3, 60.0])):
        w, _ = alone(rule(), pre, post, engine=engine)
        assert w == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_variables_that_go_to_a_value(engine):
    text = "dr/dt = (2 * a - r) / tau : 1\ntau = 40 : ms\na = 0.3 : 1"
    rule = plasticity.from_equations("Goes", text, on_pre="r = 0.1", bounds=(0, 2), init={"r": "a"})
    _, sim = alone(rule(), [30.0], t=10.0, engine=engine)
    assert sim.state("p", "r")[0] == pytest.approx(0.6 - 0.3 * np.exp(-10 / 40), rel=1e-12)
    sim.run(40.0)
    assert sim.state("p", "r")[0] == pytest.approx(0.6 - 0.5 * np.exp(-20 / 40), rel=1e-12)


@pytest.mark.parametrize("engine", ["clock", "event"])
@pytest.mark.parametrize("tau_z", [30.0, float(np.nextafter(30.0, 31.0)), 30.0 + 1e-9, 30.01, 4.0, 300.0])
def test_a_trace_of_a_trace(engine, tau_z):
    """A presynaptic spike at 20 ms sets x to 1; time constants that differ, hardly differ and are the same."""
    text = f"dx/dt = -x / tau : 1\ndz/dt = (x - z) / tau_z : 1\ntau = 30 : ms\ntau_z = {tau_z!r} : ms"
    rule = plasticity.from_equations("Driven", text, on_pre="x += 1", bounds=(0, 2))
    assert [v.name for v in rule.spec.state] == ["x", "z"]
    _, sim = alone(rule(), [20.0], [], engine=engine)
    h, gap = 80.0, 1 / 30.0 - 1 / tau_z
    expected = np.exp(-h / tau_z) / tau_z * (h if abs(gap) < 1e-7 else -np.expm1(-h * gap) / gap)
    assert sim.state("p", "z")[0] == pytest.approx(expected, rel=1e-12 if abs(gap) > 1e-4 or abs(gap) < 1e-14 else 1e-8)


def test_driven_variables_on_every_backend():
    """Two that drive, one of which goes to a value and one stays, in rates, and three changed by spikes."""
    text = PAIR + "ds/dt = 0 : 1\ndr/dt = (a - r) / tau_plus : 1\ntau_u = 40 : ms\na = 0.3 : 1\nk = 0.01 : 1/ms\n"
    text += "du/dt = -u / tau_u + k * (x - y) + (2 * r + s + a) / tau_u : 1"
    given = {
        "on_pre": "x += 1; s = 0.5 - s; w += 0.05 * u",
        "on_post": "y += 1; r *= 0.5; w -= 0.05 * u",
        "bounds": (0, 2),
    }
    rule = plasticity.from_equations("Drives", text, **given)()
    for engine in ("clock", "event"):
        found = weights(rule, engine)
        np.testing.assert_array_equal(found, weights(rule, engine, "reference"))
        np.testing.assert_array_equal(found, weights(rule, engine, threads=2))


def test_random_numbers_on_every_backend():
    given = {
        "on_pre": "x += 1; u += 0.1 * randn(); w += 0.2 * (rand() < p) * (1 + u) * y",
        "on_post": "y += 1; w -= 0.2 * rand() * x * (rand() < p)",
        "bounds": (0, 2),
    }
    rule = plasticity.from_equations("Draws", PAIR + "du/dt = -u / tau_plus : 1\np = 0.4 : 1", **given)
    for engine in ("clock", "event"):
        for one in (rule(), rule(p=snn.uniform(0.2, 0.8))):
            found = weights(one, engine)
            np.testing.assert_array_equal(found, weights(one, engine, "reference"))
            np.testing.assert_array_equal(found, weights(one, engine, threads=2))


VOLTAGE = """
dx/dt = -x / tau_x : 1/ms
dw/dt = a_ltp * x * max(v_post - theta_plus, 0) * max(v_post - theta_minus, 0) : weight
tau_x = 15 : ms
a_ltd = 14e-14 : weight/mV
a_ltp = 8e-14 : weight/mV^2
theta_minus = -70.6 : mV
theta_plus = -45.3 : mV
"""


def test_voltages_of_targets_as_the_packages_rule():
    """Targets held at their potentials, where the filters of Clopath's rule change nothing."""
    text = plasticity.from_equations(
        "Voltage", VOLTAGE, on_pre="w -= a_ltd * max(v_post - theta_minus, 0); x += 1 / tau_x", bounds=(-1, 1)
    )
    potentials = np.arange(-80.0, 5.0, 2.5)
    found = []
    for rule in (plasticity.Clopath(a_ltd=14e-14, a_ltp=8e-14, w_min=-1.0, w_max=1.0), text()):
        net = snn.Network()
        a = net.population("a", 1, snn.SpikeArray(10.0 + 20.0 * np.arange(10)))
        b = net.population("b", len(potentials), snn.LIFDelta(e_l=potentials, v_th=1e6, v_reset=-100.0))
        net.connect(a, b, snn.all_to_all(), weight=0.0, delay=snn.uniform(0.5, 3.0), plasticity=rule, name="p")
        sim = snn.Simulation(net, backend="reference")
        sim.set_state(b, "v", potentials)
        sim.run(250.0)
        found.append(1e9 * sim.connections("p")[2])
    assert found[1].max() > 2.0 and found[1].min() < -0.03
    np.testing.assert_allclose(*found, rtol=1e-11, atol=1e-14)
    with pytest.raises(ModelError, match='reads v of its targets at every step, which engine="event" has'):
        snn.Simulation(net, engine="event")


def test_variables_of_targets_on_every_backend():
    """Potentials and adaptation currents that move, read at spikes of both sides and in between."""
    rule = plasticity.from_equations(
        "Reads", VOLTAGE + "k = 1e-4 : weight/pA",
        on_pre="w -= 1e11 * a_ltd * max(v_post - theta_minus, 0); x += 1 / tau_x",
        on_post="w += k * (w_post - 30) + 0 * v_post", bounds=(0, 3),
    )  # fmt: skip
    assert rule.spec.observer.reads == ("v", "w") and rule.spec.observer.signals == ("v_post", "w_post", "observed__w")
    net = snn.Network(seed=4)
    a = net.population("a", 20, snn.AdExPscExp(), init={"v": snn.uniform(-70.0, -55.0)})
    net.input("drive", a, snn.Poisson(rate=9000.0), weight=300.0)
    weight, delay = snn.uniform(0.5, 1.5), snn.uniform(0.5, 3.0)
    given = {"weight": weight, "delay": delay, "axonal_delay": 0.3}
    net.connect(a, a, snn.fixed_indegree(8), **given, plasticity=rule(a_ltp=2e-3, theta_plus=-60.0), name="p")
    runs = [{"backend": "reference"}, {"threads": 1}, {"threads": 2}]
    found = []
    for options in runs:
        sim = snn.Simulation(net, quiet=True, **options)
        before = sim.connections("p")[2]
        sim.run(60.0)
        sim.run(40.0)
        found.append(sim.connections("p")[2])
    assert (found[0] - before).max() > 0.05 and (found[0] - before).min() < -0.05
    np.testing.assert_array_equal(found[1], found[0])
    np.testing.assert_array_equal(found[2], found[0])
    other = snn.Network()
    b = other.population("b", 3, snn.LIFExp())
    with pytest.raises(ModelError, match="Reads reads 'w' of its target; LIFExp has v, i_ex, i_in. Use a model"):
        other.connect(b, b, snn.all_to_all(), weight=1.0, delay=1.0, plasticity=rule())


def test_the_weight_stays_within_its_bounds():
    rule = plasticity.from_equations("Wild", "up = 5 : weight", on_pre="w += up", on_post="w -= up", bounds=(-1, "up"))
    assert alone(rule(), [20.0, 25.0])[0] == 5.0
    assert alone(rule(), [], [20.0, 25.0])[0] == -1.0
    with pytest.raises(ModelError, match="Wild.up: must have -1.0 <= up, the bounds; got up=-2.0."):
        rule(up=-2.0)


def test_values_of_synapses():
    """Parameters that no trace takes may have a value for each synapse."""
    rule = plasticity.from_equations(
        "Each", PAIR + "a = 0.1 : weight", on_pre="x += 1", on_post="w += a * x", bounds=(0, 2),
    )  # fmt: skip
    net = snn.Network()
    a = net.population("a", 3, snn.SpikeArray([10.0, 10.0, 10.0], [0, 1, 2]))
    b = net.population("b", 3, snn.LIFDelta(tau_m=5.0, e_l=0.0, v_th=1e6, v_reset=0.0, t_ref=0.0))
    net.input("drive", b, snn.SpikeArray([27.0, 27.0, 27.0], [0, 1, 2]), weight=1e9)
    each = rule(a=np.array([0.1, 0.2, 0.3]))
    net.connect(a, b, snn.one_to_one(), weight=1.0, delay=1.0, plasticity=each, name="p")
    sim = snn.Simulation(net, backend="reference")
    sim.run(50.0)
    np.testing.assert_allclose(sim.connections("p")[2], 1 + np.exp(-1.0) * np.array([0.1, 0.2, 0.3]), rtol=1e-12)


BAD = {  # what is given in place of what is right, and how the error begins
    "name": ({"name": "a b"}, "from_equations.name: must be a Python name; got 'a b'."),
    "slope": (
        {"equations": "dx/dt = -x * x : 1"},
        "R, dx/dt: must be -x / tau, (a - x) / tau or 0, tau a parameter in",
    ),
    "rate": ({"equations": "dx/dt = -r * x : 1\nr = 1 : 1/ms"}, "R, dx/dt: must be -x / tau, (a - x) / tau or 0"),
    "growing": ({"equations": "dx/dt = x / tau : 1\ntau = 1 : ms"}, "R, dx/dt: must be -x / tau, (a - x) / tau or 0"),
    "time constant": ({"equations": "dx/dt = -x / tau : 1\ntau = 1 : mV"}, "R.equations: tau must be in ms; got 'mV'."),
    "abbreviation": (
        {"equations": "dx/dt = -x / tau : 1\ntau = 1 : ms\nz = 2 * x : 1"},
        "R.equations: 'z' must be a derivative or a number. Write it out instead.",
    ),
    "weight as a parameter": ({"equations": "w = 1 : weight"}, "R.equations: the name 'w' is taken by the weight."),
    "slope of the weight": (
        {"equations": "dw/dt = -w / tau : weight\ntau = 1 : ms"},
        "R, dw/dt: must be a product of at most one variable, the modulator and parameters; got '-w / tau'.",
    ),
    "two variables": (
        {"equations": "dw/dt = x * y : weight\ndx/dt = 0 : 1\ndy/dt = 0 : 1"},
        "R, dw/dt: must be a product of at most one variable",
    ),
    "what goes to a value": (
        {"equations": "dw/dt = x : weight\ndx/dt = (1 - x) / tau : 1\ntau = 3 : ms"},
        "R, dw/dt: x must decay to 0 or stay; it goes to 1.",
    ),
    "driven twice": (
        {"equations": "dx/dt = -x / t : 1\ndy/dt = (x - y) / t : 1\ndz/dt = (y - z) / t : 1\nt = 9 : ms"},
        "R, dz/dt: 'y' is driven by others itself; what drives a variable decays, goes to a value or stays.",
    ),
    "in a circle": (
        {"equations": "dx/dt = (y - x) / t : 1\ndy/dt = (x - y) / t : 1\nt = 9 : ms"},
        "R, dx/dt: 'y' is driven by others itself; what",
    ),
    "driven by the modulator": (
        {"equations": "dx/dt = (m - x) / t : 1\ndm/dt = -m / t : 1\nt = 9 : ms", "modulator": "m"},
        "R, dx/dt: 'm' is the modulator; what drives a variable decays, goes to a value or stays.",
    ),
    "driven by a product": (
        {"equations": "dx/dt = (y * y - x) / t : 1\ndy/dt = -y / t : 1\nt = 9 : ms"},
        "R, dx/dt: must be linear in x, y; got y * y.",
    ),
    "driven, without decay": (
        {"equations": "dx/dt = y / t : 1\ndy/dt = -y / t : 1\nt = 9 : ms"},
        "R, dx/dt: must hold -x / tau, tau a parameter, and products of parameters with one of y; got 'y / t'.",
    ),
    "driven, decaying by a factor": (
        {"equations": "dx/dt = y - 2 * x / t : 1\ndy/dt = -y / t : 1\nt = 9 : ms"},
        "R, dx/dt: must hold -x / tau, tau a parameter, and products of",
    ),
    "driven with a unit that is no time": (
        {"equations": "dx/dt = (y - x) / t : 1\ndy/dt = -y / u : 1\nt = 9 : mV\nu = 3 : ms"},
        "R.equations: t must be in ms; got 'mV'.",
    ),
    "weight of one that is driven": (
        {"equations": "dw/dt = x : weight\ndx/dt = (y - x) / t : 1\ndy/dt = -y / t : 1\nt = 9 : ms"},
        "R, dw/dt: x must decay to 0 or stay; it is driven by y.",
    ),
    "voltage alone": (
        {"equations": "dw/dt = a * v_post : weight\na = 1 : weight"},
        "R, dw/dt: what is of targets, 'v_post', needs a factor that decays, and no modulator beside it",
    ),
    "voltage above a variable": (
        {"equations": "dw/dt = x * max(v_post - y, 0) : weight\ndx/dt = -x / t : 1\ndy/dt = 0 : mV\nt = 9 : ms"},
        "R, dw/dt: must be a product of at most one variable, the modulator and parameters; got",
    ),
    "voltage above the weight": (
        {"equations": "dw/dt = x / max(v_post - w, 0) : weight\ndx/dt = -x / t : 1\nt = 9 : ms"},
        "R, dw/dt: must be a product of at most one variable, the modulator and parameters; got",
    ),
    "voltage and reward": (
        {"equations": "dw/dt = x * r * v_post : weight\ndx/dt = -x / tau : 1\ntau = 1 : ms", "modulator": "r"},
        "R, dw/dt: what is of targets, 'v_post', needs a factor that decays, and no modulator beside it; got",
    ),
    "voltage of a variable": (
        {"equations": "dx/dt = (v_post - x) / tau : mV\ntau = 1 : ms"},
        "R, dx/dt: unknown name 'v_post'.",
    ),
    "target": ({"on_pre": "tau = 3"}, "R.on_pre: must be statements such as 'x += a; w = clip(w + y, 0, w_max)', of w"),
    "effect": ({"on_pre": "v_post += w"}, "R.on_pre: must be statements such as"),
    "unknown": ({"on_post": "w += z"}, "R, on_post: unknown name 'z'."),
    "syntax": ({"on_post": "w = = 3"}, "R.on_post: cannot read 'w = = 3'"),
    "random": ({"on_pre": "w = rand(2)"}, "R, on_pre: 'rand(2)' is not allowed. rand() is for on_pre and on_post, and"),
    "random slope": ({"equations": "dw/dt = rand() : weight"}, "R, dw/dt: 'rand()' is not allowed. rand() is for on_"),
    "noise": ({"equations": "dx/dt = xi : 1"}, "R, dx/dt: xi is noise, which is for dx/dt of neurons."),
    "step": ({"on_pre": "w += dt"}, "R, on_pre: unknown name 'dt'."),
    "bounds": ({"bounds": (0, "w_mx")}, "R.bounds: must be numbers or names of parameters; got 'w_mx'."),
    "one bound": ({"bounds": 3}, "R.bounds: must be two, such as (0, 'w_max'); got 3."),
    "order of bounds": ({"bounds": (1, 0)}, "R.bounds: the smallest weight must be <= the largest; got (1, 0)."),
    "init": ({"init": {"z": 1.0}}, "R.init: 'z' is no variable of a synapse."),
    "modulator": ({"modulator": "tau"}, "R.modulator: 'tau' has another meaning in the equations."),
    "modulator's slope": (
        {"equations": "dm/dt = (1 - m) / tau : 1\ntau = 1 : ms", "modulator": "m"},
        "R, dm/dt: a modulator decays, '-m / tau', or stays.",
    ),
    "no modulator": ({"on_modulator": "m += tau"}, "R.on_modulator: there is no modulator. Give its name"),
    "jump": (
        {"modulator": "m", "on_modulator": "m += 2 * tau"},
        "R.on_modulator: must be 'm += a', where a is a parameter; got 'm += 2 * tau'.",
    ),
    "unit": ({"equations": "a = 3 : sec"}, "R.equations, 'a = 3 : sec': times are in ms"),
    "unknown unit": (
        {"equations": "a = 3 : wait"},
        "R.equations, 'a = 3 : wait': unknown unit 'wait'. Use weight,",
    ),
    "package's name": ({"name": "STDPPair"}, "define: 'STDPPair' is a rule of the package. Give yours another name."),
}


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    given, text = BAD[case]
    right = {"name": "R", "equations": "dx/dt = -x / tau : 1\ntau = 10 : ms", "bounds": (0, 1)}
    with pytest.raises(ModelError) as caught:
        plasticity.from_equations(**right | given)
    assert str(caught.value).startswith(text), str(caught.value)
