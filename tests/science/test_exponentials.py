"""exp and exprel of arithmetic alone against mpmath, as functions and in the loops of models."""

import math

import mpmath
import numpy as np
import pytest

import snn
from kernels import scalar


def test_exp_and_exprel_of_arithmetic():
    rng = np.random.default_rng(3)
    x = np.concatenate(
        [rng.uniform(-708.0, 709.7, 2000), rng.uniform(-1.0, 1.0, 2000), 10.0 ** rng.uniform(-16, 0, 500)]
    )
    with mpmath.workprec(120):
        for function, exact, bound in ((scalar.exp, mpmath.exp, 3e-16), (scalar.exprel, _exprel, 1e-15)):
            errors = [abs(mpmath.mpf(function(float(v))) / exact(mpmath.mpf(float(v))) - 1) for v in x]
            assert float(max(errors)) < bound
    for v in (0.0, -0.0, math.inf, -math.inf, 1e308, -1e308, 709.8, -746.0):
        assert scalar.exp(v) == (math.exp(v) if v < 709.78 else math.inf)
    assert math.isnan(scalar.exp(math.nan)) and scalar.exprel(0.0) == scalar.exprel(-1e-300) == 1.0


def _exprel(x):
    return mpmath.expm1(x) / x


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
