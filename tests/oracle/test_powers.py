"""Powers in functions of models: the same bits from machine code and from the reference engine."""

import numpy as np
import pytest

import plasticity
import snn
from kernels.reference.call import call
from kernels.spec import Param, RuleSpec, ShortTermSpec, StateVar

EXPONENTS = [
    "2",
    "3",
    "4",
    "5",
    "7",
    "11",
    "16",
    "17",
    "20",
    "-1",
    "-2",
    "-3",
    "-20",
    "2.0",
    "3.0",
    "1.5",
    "0.5",
    "-0.5",
]


def test_reference_and_cpu():
    """Each exponent in an equation of its own, of a base that is no name in one."""
    text = "dv/dt = (1.5 + 0.3 * sin(x0) - v - 0.1 * (v - 0.01 * x1)**3) / 5 : 1\n"
    text += "\n".join(f"dx{k}/dt = (v**{power} - x{k}) / 10 : 1" for k, power in enumerate(EXPONENTS))
    model = snn.from_equations("Powers", text, threshold="v > 100", reset="v = v")
    names = ["v", *(f"x{k}" for k in range(len(EXPONENTS)))]
    found = []
    for backend in ("reference", "cpu"):
        net = snn.Network(seed=1)
        cells = net.population("cells", 50, model(), init={"v": snn.uniform(0.7, 2.0)})
        net.record(cells, names)
        found.append(snn.Simulation(net, backend=backend, quiet=True).run(5.0).states["cells"])
    for name in names:
        np.testing.assert_array_equal(found[0][name], found[1][name], err_msg=name)
        assert np.ptp(found[0][name]) > 0.0


def powers(x):
    return x**2, x**3, x**-1, x**20, -(x**2), (x + 1.0) ** 2, x**0.5


@pytest.mark.parametrize("x", [3.0, -1.25, 1e200, 0.0])
def test_values(x):
    """Also where Python raises: of 0 and beyond the largest number."""
    with np.errstate(all="ignore"):
        y = np.float64(x)
        fifth = y * y * (y * y) * y
        expected = (
            y * y,
            y * y * y,
            1.0 / y,
            fifth * fifth * (fifth * fifth),
            -(y * y),
            (y + 1.0) * (y + 1.0),
            np.sqrt(y),
        )
    np.testing.assert_array_equal(call(powers, [x]), expected)


def _grown(w, mu):
    return w * 2.0**mu


def _weakened(r, h, mu):
    return r * 0.25**mu, (0.5 * r) ** mu


@pytest.mark.parametrize("options", [{}, {"engine": "event"}, {"backend": "reference"}], ids=str)
def test_exponents_of_one_name(options):
    """A rule and a short-term rule each have their own; that of the rule is 1."""
    shared = {"derived": (), "references": ("test",)}
    rule = plasticity.define(
        RuleSpec(
            name="Doubled", doc="w doubles.", params=(Param("mu", "1", 1.0, "exponent"),), traces=(), on_pre=_grown,
            on_post=None, bounds=lambda p: (0.0, 100.0), **shared,
        )
    )  # fmt: skip
    short = plasticity.define(
        ShortTermSpec(
            name="Weakened", doc="Weaker by each spike.", params=(Param("mu", "1", 0.5, "exponent"),),
            state=(StateVar("r", "1", "left", 1.0),), on_spike=_weakened, **shared,
        )
    )  # fmt: skip
    net = snn.Network(seed=1)
    one = net.population("one", 1, snn.SpikeArray([1.0, 11.0, 21.0], np.zeros(3, int)))
    cell = net.population("cell", 1, snn.LIFDelta(tau_m=1e9, v_th=1e3, e_l=0.0, v_reset=0.0), init={"v": 0.0})
    net.connect(one, cell, snn.one_to_one(), 1.0, 1.0, plasticity=rule(), short_term=short())
    sim = snn.Simulation(net, quiet=True, **options)
    sim.run(30.0)
    expected = sum(2.0**k * np.sqrt(0.5 * r) for k, r in ((1, 1.0), (2, 0.5), (3, 0.25)))
    np.testing.assert_allclose(sim.state("cell", "v"), expected, rtol=1e-6)
