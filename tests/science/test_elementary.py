"""Elementary functions of arithmetic alone against mpmath, as functions and in the loops of models."""

import math

import mpmath
import numba
import numpy as np
import pytest

import snn
from kernels import scalar
from kernels.jit import frexp
from kernels.spec import NeuronSpec, Receptor, StateVar

RNG = np.random.default_rng(3)
NEAR = np.concatenate([RNG.uniform(-3.0, 3.0, 1000), *(s * 10.0 ** RNG.uniform(-300, 2.8, 300) for s in (-1, 1))])
POSITIVE = np.concatenate(
    [RNG.uniform(0.5, 2.0, 1000), 10.0 ** RNG.uniform(-307, 308, 300)]
    + [1.0 + s * 10.0 ** RNG.uniform(-16, -1, 300) for s in (-1, 1)]
    + [[5e-324, 1e-310, 2.0**-1022, 0.5, math.sqrt(0.5), math.sqrt(2.0), 1.7e308]]
)
CASES = {
    "exp": (np.append(NEAR, RNG.uniform(-708.0, 709.7, 1000)), 3e-16), "exprel": (NEAR, 1e-15), "expm1": (NEAR, 1e-15),
    "sinh": (NEAR, 1e-15), "cosh": (NEAR, 1e-15), "tanh": (NEAR, 1e-15), "log": (POSITIVE, 3e-16),
}  # fmt: skip


def _exact(name, x):
    return mpmath.expm1(x) / x if name == "exprel" else getattr(mpmath, name)(x)


@pytest.mark.parametrize("name", CASES)
def test_relative_error(name):
    function, (x, bound) = getattr(scalar, name), CASES[name]
    with mpmath.workprec(150):
        exact = [_exact(name, mpmath.mpf(float(v))) for v in x]
        errors = [abs(mpmath.mpf(function(float(v))) - e) / abs(e) if e else 0 for v, e in zip(x, exact, strict=True)]
        assert float(max(errors)) < bound


@pytest.mark.parametrize("name", ["sin", "cos"])
@pytest.mark.parametrize("most", [1.0, 10.0, 1e4, 1e9])
def test_absolute_error_of_sine_and_cosine(name, most):
    x = np.append(RNG.uniform(-most, most, 500), np.pi / 4 * np.arange(-12, 13) * min(most, 1.0))
    with mpmath.workprec(150):
        exact = [getattr(mpmath, name)(mpmath.mpf(float(v))) for v in x]
        found = [mpmath.mpf(getattr(scalar, name)(float(v))) for v in x]
        assert max(abs(float(a - b)) for a, b in zip(found, exact, strict=True)) < 2e-16


@pytest.mark.parametrize("y", [0.02, 0.4, 0.94, 1 / 3, 1.7, 3.0, -0.5, -2.0])
def test_power(y):
    x = 10.0 ** RNG.uniform(-6, 6, 300)
    with mpmath.workprec(150):
        for v in map(float, x):
            error = abs(mpmath.mpf(scalar.power(v, y)) / mpmath.mpf(v) ** mpmath.mpf(y) - 1)
            assert error < 3e-16 * (1 + abs(y * math.log(v)))


def test_power_where_python_knows_it():
    for x in (0.0, 1.0, 2.5, -2.0, -0.5, math.inf, math.nan):
        for y in (0.0, 1.0, 2.0, 3.0, 0.5, -1.0, -2.0, 2.5, math.inf, -math.inf, math.nan):
            try:
                expected = x**y
            except ZeroDivisionError:
                expected = math.inf
            if isinstance(expected, complex):
                expected = math.nan
            if abs(x) == 1.0 and not math.isfinite(y):
                continue  # C says 1, as if y were exact
            if x < 0.0 and math.isinf(y):
                continue  # C takes infinite exponents for even
            np.testing.assert_allclose(scalar.power(x, y), expected, rtol=1e-15, err_msg=f"{x}**{y}")
    assert scalar.power(0.3, 1.0) == 0.3
    assert scalar.power(0.0, 0.0) == scalar.power(math.nan, 0.0) == 1.0


@pytest.mark.parametrize("name", ["exp", "expm1", "sinh", "cosh", "tanh", "log", "sin", "cos"])
@pytest.mark.parametrize("x", [0.0, math.inf, -math.inf, math.nan, 1e308, -1e308, 800.0, -800.0, 3, -2])
def test_at_the_edges(name, x):
    """What C gives; of integers too. Sine and cosine of huge numbers are NaN."""
    with np.errstate(all="ignore"):
        expected = getattr(np, name)(np.float64(x))
    if name in ("sin", "cos") and abs(x) > 1e15:
        expected = math.nan
    np.testing.assert_allclose(getattr(scalar, name)(x), expected, rtol=3e-16)


def test_frexp():
    """By bits as by the C library, in both precisions, subnormal numbers too."""
    found = numba.njit(lambda x: frexp(x))
    for x in (0.0, -0.0, 1.0, 0.5, 3.0, -3.0, 5e-324, -1e-310, 1.7e308, math.inf, -math.inf, math.nan):
        for y in (np.float64(x), np.float32(x) if abs(x) < 1e300 else np.float32(1e-40)):
            half, power = found(y)
            assert (repr(float(half)), power) == (repr(math.frexp(y)[0]), math.frexp(y)[1])


EXPRESSIONS = {
    "exp(v)": np.exp, "exp(-v)": lambda v: np.exp(-v), "log(1.5 + v)": lambda v: np.log(1.5 + v), "tanh(v)": np.tanh,
    "sinh(v)": np.sinh, "cosh(v)": np.cosh, "expm1(v)": np.expm1, "sin(v)": np.sin, "cos(v)": np.cos,
    "(v + 2)**1.3": lambda v: (v + 2.0) ** 1.3, "(v + 2)**(-1 / 3)": lambda v: (v + 2.0) ** (-1 / 3),
    "2**v": lambda v: 2.0**v, "v**k": lambda v: v**3, "log(7) * v": lambda v: np.log(7.0) * v,
}  # fmt: skip


@pytest.mark.parametrize("precision, rtol", [("float64", 5e-15), ("float32", 3e-6)])
def test_compiled(precision, rtol):
    """In the loops of a model, where both backends have the same bits."""
    text = "dv/dt = 0 : 1\nk = 3 : 1\n" + "\n".join(f"dx{i}/dt = 0 : 1" for i in range(len(EXPRESSIONS)))
    reset = "; ".join(f"x{i} = {x}" for i, x in enumerate(EXPRESSIONS))
    model = snn.from_equations("Elementary", text, threshold="v > -9999", reset=reset)
    v = np.random.default_rng(1).uniform(-1.0, 1.0, 203).astype(np.float32).astype(float)
    found = []
    for backend in ("cpu", "reference") if precision == "float64" else ("cpu",):
        net = snn.Network()
        net.population("a", v.size, model(), init={"v": v})
        sim = snn.Simulation(net, dt=0.1, precision=precision, quiet=True, backend=backend)
        sim.run(0.1)
        found.append([sim.state("a", f"x{i}") for i in range(len(EXPRESSIONS))])
    for i, (name, function) in enumerate(EXPRESSIONS.items()):
        np.testing.assert_allclose(found[0][i], function(v), rtol=rtol, atol=rtol, err_msg=name)
    np.testing.assert_array_equal(found[0], found[-1])


@pytest.mark.parametrize(
    "kind, least, most, rtol", [("float64", -740.0, 709.0, 5e-16), ("float32", -100.0, 88.0, 1e-6)]
)
def test_compiled_exp(kind, least, most, rtol):
    """Over the whole range of the type, in the loops of a model; beyond, inf and 0."""
    text = "dv/dt = 0 : 1\ndz/dt = 0 : 1\ndy/dt = 0 : 1"
    model = snn.from_equations("Exp", text, threshold="v > -9999", reset="z = exp(v); y = 1 / exp(-v)")
    v = np.append(np.linspace(least, most, 303), -2000.0).astype(kind)
    net = snn.Network()
    net.population("a", v.size, model(), init={"v": v.astype(float)})
    sim = snn.Simulation(net, dt=0.1, precision=kind, quiet=True)
    sim.run(0.1)
    exact, smallest = np.exp(v.astype(np.longdouble)).astype(float), np.finfo(kind).tiny
    np.testing.assert_allclose(sim.state("a", "z"), exact, rtol=rtol, atol=smallest)
    np.testing.assert_allclose(sim.state("a", "y"), exact, rtol=2 * rtol, atol=smallest if kind == "float64" else 1e-38)
    assert sim.state("a", "z")[-1] == sim.state("a", "y")[-1] == 0.0


def _decayed(v, y, arrive_syn):
    return v, scalar.decay(v), v > 1e9


@pytest.mark.parametrize("kind, rtol", [("float64", 3e-16), ("float32", 1e-6)])
def test_compiled_decay(kind, rtol):
    """In both precisions: its rounding was that of double precision."""
    model = snn.define(
        NeuronSpec(
            name="Decayed", doc="y is exp(-v).", step=_decayed, params=(), derived=(),
            state=(StateVar("v", "1", "", 0.0), StateVar("y", "1", "", 0.0)), receptors=(Receptor("syn", "1", ""),),
            current_unit="1", references=("test",),
        )
    )  # fmt: skip
    v = np.append(np.linspace(0.0, 86.0, 500), 100.0).astype(kind)
    net = snn.Network()
    net.population("a", v.size, model(), init={"v": v.astype(float)})
    sim = snn.Simulation(net, dt=0.1, precision=kind, quiet=True)
    sim.run(0.1)
    exact = np.exp(-np.minimum(v, 86.0).astype(np.longdouble)).astype(float)
    np.testing.assert_allclose(sim.state("a", "y"), exact, rtol=rtol)
