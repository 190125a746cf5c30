"""The text of equations: functions, units, receptors and resets as they are read, and what is refused."""

import numpy as np
import pytest
from scipy import special

import snn
from kernels.errors import ModelError

FUNCTIONS = {
    "abs(v)": abs, "fabs(v)": abs, "exp(v)": np.exp, "expm1(v)": np.expm1, "exprel(v)": special.exprel,
    "log(1 + v * v)": lambda v: np.log(1 + v * v), "log1p(v * v)": lambda v: np.log1p(v * v),
    "log2(1 + v * v)": lambda v: np.log2(1 + v * v), "log10(1 + v * v)": lambda v: np.log10(1 + v * v),
    "sqrt(v * v + 1)": lambda v: np.sqrt(v * v + 1), "sin(v)": np.sin, "cos(v)": np.cos, "tan(v)": np.tan,
    "asin(sin(v))": lambda v: np.arcsin(np.sin(v)), "acos(sin(v))": lambda v: np.arccos(np.sin(v)),
    "atan(v)": np.arctan,
    "sinh(v)": np.sinh, "cosh(v)": np.cosh, "tanh(v)": np.tanh, "asinh(v)": np.arcsinh,
    "acosh(1 + v * v)": lambda v: np.arccosh(1 + v * v), "atanh(sin(v) / 2)": lambda v: np.arctanh(np.sin(v) / 2),
    "erf(v)": special.erf, "erfc(v)": special.erfc, "floor(v)": np.floor, "ceil(v)": np.ceil,
    "atan2(v, 2)": lambda v: np.arctan2(v, 2), "copysign(2, v)": lambda v: np.copysign(2, v),
    "linoid(v, 3)": lambda v: v / np.expm1(v / 3), "clip(v, -1, 2 * pi / 5)": lambda v: np.clip(v, -1, 2 * np.pi / 5),
    "relax(v, 1, 2, 3)": lambda v: 0.5 + (v - 0.5) * np.exp(-6), "min(v, 1, v * v)": lambda v: min(v, 1, v * v),
    "max(v, 1)": lambda v: max(v, 1), "int(v > 1 or v < -2)": lambda v: float(v > 1 or v < -2),
}  # fmt: skip


def test_functions_are_right_and_equal_bit_for_bit_on_both_backends():
    from kernels.equation_lines import FUNCTIONS as KNOWN

    assert {text.partition("(")[0] for text in FUNCTIONS} == set(KNOWN)
    text = "dv/dt = 0 : 1\n" + "\n".join(f"dx{k}/dt = {f} : 1/ms" for k, f in enumerate(FUNCTIONS))
    model = snn.from_equations("All", text, threshold="v > 1e9")
    v = np.random.default_rng(3).uniform(-3.0, 3.0, 40)
    sims = []
    for backend in ("reference", "cpu"):
        net = snn.Network()
        net.population("a", 40, model(), init={"v": v})
        sims.append(snn.Simulation(net, dt=1.0, quiet=True, backend=backend))
        sims[-1].run(3.0)
    for k, (name, function) in enumerate(FUNCTIONS.items()):
        here, there = (sim.state("a", f"x{k}") for sim in sims)
        np.testing.assert_array_equal(here, there, err_msg=name)
        np.testing.assert_allclose(there, [3.0 * function(x) for x in v], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("statements", ["g += w; h += k * w", "g += w\nh += k * w", "g -= -w; h -= -(k * w)"])
def test_receptor_of_several_statements(statements):
    text = "dg/dt = -g / tau : mV\ndh/dt = 0 : mV\ntau = 5 : ms\nk = 3 : 1"
    model = snn.from_equations("Two", text, threshold="g > 1e9", receptors={"r": statements})
    net = snn.Network()
    a = net.population("a", 1, model())
    minus = "-=" in statements
    net.input("in", a, snn.SpikeArray([1.0, 2.0]), weight=-2.0 if minus else 2.0)
    net.record(a, ["g", "h"], every=0.1)
    states = snn.Simulation(net, quiet=True).run(5.0).states["a"]
    sign = -1.0 if minus else 1.0
    assert states["h"][-1, 0] == sign * 12.0
    np.testing.assert_allclose(np.max(sign * states["g"]), 2.0 * (1 + np.exp(-0.2)))


def test_statements_of_a_reset_see_what_those_before_left():
    """An abbreviation is computed anew: 0.5 in Brian2, too."""
    text = "dv/dt = 0 : 1\ndz/dt = 0 : 1\ndy/dt = 0 : 1\nx = 2 * v : 1\nxx = x + 1 : 1"
    model = snn.from_equations("Turn", text, threshold="x > 2", reset="y = xx; v = 0.25; z = x", init={"v": 3.0})
    net = snn.Network()
    net.population("a", 1, model())
    sim = snn.Simulation(net, quiet=True)
    sim.run(0.1)
    assert [float(sim.state("a", x)[0]) for x in "vzy"] == [0.25, 0.5, 7.0]


UNITS = {"mV": "mV", "": "1", "1": "1", "1/(ms*mV)": "1/ms/mV", "kHz": "1/ms", "pA / ms": "pA/ms", "mV**2": "mV^2",
         "nS/(mV^2)": "nS/mV^2", "volt": "V", "Mohm": "Mohm", "MOhm": "Mohm", "nS*mV": "nS*mV", "mM": "mM", "um": "um",
         "nsiemens": "nS", "mV*mV": "mV^2"}  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_units(unit):
    model = snn.from_equations("U", f"dv/dt = -v * k : mV\nk = 2 : {unit}", threshold="v > 1")
    assert model.spec.params[0].unit == UNITS[unit]


@pytest.mark.parametrize("unit", ["s", "second", "us", "msecond", "min", "hour", "Hz", "MHz", "mV/s", "1/s", "pA*us"])
def test_units_of_time_that_are_not_ms_are_refused(unit):
    rule = r"equations, 'k = 2 : .*': times are in ms, rates in 1/ms; got '\w+'. Convert the number"
    with pytest.raises(ModelError, match=rule):
        snn.from_equations("U", f"dv/dt = -v * k : mV\nk = 2 : {unit}", threshold="v > 1")
    with pytest.raises(ModelError, match="times are in ms"):
        snn.from_equations("U", f"dv/dt = -v : {unit}", threshold="v > 1")


def test_what_divides_is_not_zero():
    text = "dv/dt = (1 - v) / tau + (v / d if d > 0 else 0) : 1\ntau = 5 : ms\nd = 0 : 1"
    model = snn.from_equations("Zero", text, threshold="v > 9")
    assert model(d=0.0).params["d"] == 0.0
    with pytest.raises(ModelError, match=r"Zero.tau: must not be 0, as it divides; got tau=0"):
        model(tau=0)
    with pytest.raises(ModelError, match=r"Zero.tau: must not be 0"):
        model(tau=[1.0, 0.0])


@pytest.mark.parametrize(("ratio", "grows"), [(2.7, False), (2.9, True)])
def test_stiff_equations_grow_beyond_a_step_of_2_78_time_constants(ratio, grows):
    """As docs/adding_a_model.md says of Runge-Kutta of order 4; what decays by itself is exact at any step."""
    text = f"dx/dt = (1 - x) / tau : 1\ndy/dt = -y / tau : 1\ntau = {0.1 / ratio} : ms"
    model = snn.from_equations("Stiff", text, threshold="x > 1e300", init={"y": 1.0})
    net = snn.Network()
    net.population("a", 1, model())
    sim = snn.Simulation(net, dt=0.1, backend="reference", quiet=True)
    sim.run(20.0)
    assert (abs(sim.state("a", "x")[0]) > 1e9) == grows and (grows or abs(sim.state("a", "x")[0] - 1.0) < 1e-6)
    assert sim.state("a", "y")[0] == pytest.approx(np.exp(-200 * ratio), rel=1e-6)


def test_exponential_euler_against_its_formula():
    """Coefficients through abbreviations, of each form that is linear; each variable sees the step's begin."""
    text = """
    dx/dt = pull - (2 * x - y) * y / 3 + -x : 1
    dy/dt = 0.5 * (+y - 4 * x) * -0.2 + sin(z) : 1
    dz/dt = 1 - x * x : 1
    pull = both / 4 : 1
    both = y * (1 - x) : 1
    """
    start = {"x": 0.2, "y": 1.5, "z": 0.3}
    model = snn.from_equations("Exp", text, threshold="x > 99", init=start, method="exponential_euler")
    net = snn.Network()
    net.record(net.population("a", 1, model()), ["x", "y", "z"], every=0.25)
    dt, (x, y, z), expected = 0.25, start.values(), []
    for _ in range(200):
        b, c = -y / 4 - 2 * y / 3 - 1, -0.1
        f, g = y * (1 - x) / 4 - (2 * x - y) * y / 3 - x, -0.1 * (y - 4 * x) + np.sin(z)
        x, y, z = x + f / b * np.expm1(b * dt), y + g / c * np.expm1(c * dt), z + dt * (1 - x * x)
        expected.append((x, y, z))
    for backend in ("cpu", "reference"):
        found = snn.Simulation(net, dt=dt, backend=backend, quiet=True).run(50.0).states["a"]
        np.testing.assert_allclose(np.stack([found[k][:, 0] for k in "xyz"], 1), expected, rtol=1e-11)
    assert np.ptp(expected, axis=0).min() > 0.2


def test_exponential_euler_is_stable_where_equations_are_stiff():
    text = "dx/dt = (1 - x) / tau : 1\ntau = 0.001 : ms"
    model = snn.from_equations("Stiff", text, threshold="x > 1e300", method="exponential_euler")
    net = snn.Network()
    net.population("a", 1, model())
    sim = snn.Simulation(net, dt=0.1, quiet=True)
    sim.run(5.0)
    assert sim.state("a", "x")[0] == pytest.approx(1.0, rel=1e-12)


BASE = "dv/dt = -v / tau : mV\ntau = 10 : ms"
EXPONENTIAL = {"method": "exponential_euler"}
BAD = {
    "method": ({"method": "euler"}, "M.method: must be 'rk4' or 'exponential_euler'; got 'euler'."),
    "square": (
        {"equations": "dv/dt = 3 * (1 - v * half) : 1\nhalf = v / 2 : 1"} | EXPONENTIAL,
        "M, dv/dt: must be linear in v for method='exponential_euler'; got 'v * (v / 2)'. Use method='rk4'.",
    ),
    "exp of v": (
        {"equations": "dv/dt = 1 - exp(v) : 1"} | EXPONENTIAL,
        "M, dv/dt: must be linear in v for method='exponential_euler'; got 'exp(v)'.",
    ),
    "divided by v": (
        {"equations": "dv/dt = 2 / v : 1"} | EXPONENTIAL,
        "M, dv/dt: must be linear in v for method='exponential_euler'; got '2 / v'.",
    ),
    "unit": ({"equations": BASE + "\nk = 1 : blorg"}, "M.equations, 'k = 1 : blorg': unknown unit 'blorg'."),
    "unit form": ({"equations": BASE + "\nk = 1 : 3 mV"}, "M.equations, 'k = 1 : 3 mV': cannot read the unit '3 mV'"),
    "flag": ({"equations": "dv/dt = 1 : mV (constant)"}, "M.equations, 'dv/dt = 1 : mV (constant)': cannot read"),
    "current": ({"current_unit": "pX"}, "M.current_unit: unknown unit 'pX'."),
    "declared": ({"equations": "dv/dt = -v / tau : 1\ntau : second"}, "M.equations: 'tau : second' has no value. A pa"),
    "keyword": ({"equations": BASE + "\nlambda = 1 : 1"}, "M.equations: 'lambda' is a word of Python. Rename it."),
    "None": ({"equations": BASE + "\nNone = 1 : 1"}, "M.equations: 'None' is a word of Python. Rename it."),
    "arrive": ({"equations": BASE + "\narrive_r = 1 : 1"}, "M.equations: the name 'arrive_r' is taken. Rename it."),
    "abs": ({"equations": BASE + "\nabs = 1 : 1"}, "M.equations: the name 'abs' is taken. Rename it."),
    "model keyword": ({"name": "class"}, "from_equations.name: must be a Python name; got 'class'."),
    "function and name": ({"equations": "dv/dt = sqrt : 1\nsqrt = sqrt(4) : 1"}, "M, sqrt: 'sqrt' is called, but is a"),
    "gamma": ({"equations": "dv/dt = gamma(v) : 1"}, "M, dv/dt: unknown function 'gamma'."),
    "fmod": ({"equations": "dv/dt = fmod(v, 2) : 1"}, "M, dv/dt: unknown function 'fmod'."),
    "module": ({"equations": "dv/dt = np.exp(v) : 1"}, "M, dv/dt: unknown function 'np.exp'. Did you mean 'exp'?"),
    "arguments": ({"equations": "dv/dt = exp(v, 2) : 1"}, "M, dv/dt: exp takes 1 argument; got 'exp(v, 2)'."),
    "whole part": (
        {"equations": "dv/dt = int(v) : 1"},
        "M, dv/dt: int takes a condition, as in int(v > 0), which is 1 or 0; got 'int(v)'. floor gives",
    ),
    "one": ({"equations": "dv/dt = max(v) : 1"}, "M, dv/dt: max takes two or more arguments; got 'max(v)'."),
    "number": ({"equations": "dv/dt = -v / (10 * ms) : 1"}, "M, dv/dt: unknown name 'ms'. Numbers have no units:"),
    "tuple": ({"equations": "dv/dt = (v, v) : 1"}, "M, dv/dt: '(v, v)' is not allowed."),
    "in": ({"equations": "dv/dt = 1 if v is v else 0 : 1"}, "M, dv/dt: '1 if v is v else 0' is not allowed."),
    "text": ({"equations": BASE + "\nk = 'a' : 1"}, "M, k: must be made of finite real numbers; got 'a'."),
    "no value": ({"equations": BASE + "\nk = None : 1"}, "M, k: must be made of finite real numbers; got None."),
    "true": ({"equations": BASE + "\nk = True : 1"}, "M, k: must be made of finite real numbers; got True."),
    "complex": ({"equations": BASE + "\nk = 2j : 1"}, "M, k: must be made of finite real numbers; got 2j."),
    "infinite": ({"equations": BASE + "\nk = 1e999 : 1"}, "M, k: must be made of finite real numbers; got inf."),
    "and": ({"equations": "dv/dt = v & 1 : 1"}, "M, dv/dt: & and | join conditions; got 'v & 1'."),
    "threshold": ({"threshold": "v - 1"}, "M.threshold: must be a condition such as 'v > 1'; got 'v - 1'."),
    "threshold type": ({"threshold": 3}, "M.threshold: must be a text such as 'v > 1'; got 3."),
    "reset type": ({"reset": None}, "M.reset: must be a text such as 'v = 1'; got None."),
    "refractory type": ({"refractory": 2.0}, "M.refractory: must name a parameter in ms; got 2.0. Write 't_ref = 2 :"),
    "refractory number": ({"refractory": "2 * ms"}, "M, refractory: unknown name 'ms'. Numbers have no units"),
    "refractory sum": ({"refractory": "v + 1"}, "M.refractory: must name a parameter in ms, or be a condition such as"),
    "refractory name": ({"refractory": "u > 1"}, "M, refractory: unknown name 'u'."),
    "refractory empty": ({"refractory": ""}, "M, refractory: cannot read '': invalid syntax."),
    "refractory unit": ({"refractory": "k", "equations": BASE + "\nk = 1 : mV"}, "M.refractory: k must be in ms; got"),
    "receptors": ({"receptors": ["v += w"]}, "M.receptors: must be a dictionary such as {'ex': 'g += w'}; got ['v"),
    "receptor type": ({"receptors": {"a": 3}}, "M, receptor 'a': must add a multiple of the weight w to a state"),
    "receptor key": ({"receptors": {"a b": "v += w"}}, "M.receptors: a receptor's name must be a Python name; got 'a"),
    "receptor second": ({"receptors": {"r": "v += w; tau += w"}}, "M, receptor 'r': must add a multiple of the weight"),
    "receptor signs": ({"receptors": {"r": "v += w; v -= w"}}, "M, receptor 'r': must add in all statements, or subtr"),
    "receptor factor": (
        {"equations": BASE + "\nk = 2 * tau : 1", "receptors": {"r": "v += k * w"}},
        "M, receptor 'r': w may be multiplied by numbers and parameters alone; got 'v += k * w', where 'k' is an abbre",
    ),
    "init": ({"init": [3]}, "M.init: must be a dictionary such as {'v': -70.0}; got [3]."),
    "init value": ({"init": {"v": [1.0]}}, "M.init: v must be a number or the name of a parameter; got [1.0]."),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_refused(case):
    given, text = BAD[case]
    with pytest.raises(ModelError) as caught:
        snn.from_equations(**{"name": "M", "equations": BASE, "threshold": "v > 1"} | given)
    assert str(caught.value).startswith(text), str(caught.value)
