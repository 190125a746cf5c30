"""Quantities of other libraries become plain floats; what would lose its unit is refused by name."""

import numpy as np
import pytest

import plasticity
import reservoir
import snn
from kernels import spec
from kernels.errors import UnitError
from kernels.units import plain, refuse_units

BRIAN2 = {"ms": "msecond", "s": "second", "mV": "mvolt", "V": "volt", "pF": "pfarad", "pA": "pamp",
          "kHz": "khertz"}  # fmt: skip


def library_of(name):
    """A function (value, unit) -> the library's quantity."""
    module = pytest.importorskip(name)
    if name == "brian2":
        return lambda value, unit: np.asarray(value) * getattr(module, BRIAN2[unit])
    if name == "quantities":
        return lambda value, unit: np.asarray(value) * module.Quantity(1.0, unit)
    if name == "unyt":
        return lambda value, unit: module.unyt_array(value, unit)
    return (module.UnitRegistry() if name == "pint" else pytest.importorskip("astropy.units")).Quantity


LIBRARIES = ("brian2", "quantities", "pint", "astropy", "unyt")


@pytest.mark.parametrize("library", LIBRARIES)
def test_quantities_are_converted(library):
    """The same numbers as given plainly, and wrong dimensions refused; astropy, pint and unyt where installed."""
    of = library_of(library)
    for given, wanted, target in (
        (of(20.0, "ms"), 20.0, "ms"), (of(0.02, "s"), 20.0, "ms"), (of([0.1, 7.5], "s"), [100.0, 7500.0], "ms"),
        (of(-50.0, "mV"), -50.0, "mV"), (of(-0.05, "V"), -50.0, "mV"), (of(2.5, "kHz"), 2500.0, "Hz"),
        (of(3.0, "pA"), 3.0, "pA"), (of(250.0, "pF"), 250.0, "pF"), (of(2.0, "mV") / of(0.5, "ms"), 4.0, "mV/ms"),
        (of(4.0, "mV") * of(1.0, "V"), 4000.0, "mV^2"), (1 / of(5.0, "ms"), 0.2, "1/ms"),
    ):  # fmt: skip
        found = plain(given, target, "x")
        assert type(found) is (np.ndarray if np.ndim(wanted) else float)
        np.testing.assert_allclose(found, wanted, rtol=1e-14)
    assert plain([of(20.0, "ms"), of(0.03, "s")], "ms", "x").tolist() == pytest.approx([20.0, 30.0])
    for wrong, unit in ((of(20.0, "mV"), "ms"), (of(20.0, "ms"), "1"), (of(1.0, "ms"), "mV/ms"), (of(1.0, "ms"), "w")):
        with pytest.raises(snn.UnitError, match=r"^x: must be in "):
            plain(wrong, unit, "x")


@pytest.mark.parametrize("library", LIBRARIES[:2])
def test_quantities_wherever_numbers_go(library):
    of = library_of(library)
    net = snn.Network()
    model = snn.LIFExp(tau_m=of(0.02, "s"), v_th=of(-50.0, "mV"))
    assert model.params["tau_m"] == 20.0 and model.params["v_th"] == -50.0
    pop = net.population("p", 2, model, init={"v": of(-0.06, "V")})
    assert pop.init == {"v": -60.0}
    rule = plasticity.STDPPair(tau_plus=of(0.015, "s"), w_max=500.0)
    assert rule.params["tau_plus"] == 15.0
    made = net.connect(pop, pop, snn.all_to_all(), weight=of(1.0, "pA"), delay=of(0.0015, "s"), plasticity=rule)
    assert (made.weight, made.delay) == (1.0, 1.5)
    assert net.record(pop, "v", every=of(0.001, "s")).every == 1.0
    assert snn.Poisson(of(1.0, "kHz")).rate == 1000.0
    assert snn.SpikeArray.from_spiketrains([of([0.001, 0.002], "s"), [3.0]]).times.tolist() == [1.0, 2.0, 3.0]
    sim = snn.Simulation(net, dt=of(0.0001, "s"), backend="reference", quiet=True)
    assert sim.dt == 0.1 and sim.run(of(0.002, "s")).t_stop == pytest.approx(2.0)
    for call in (
        lambda: snn.LIFExp(tau_m=of(20.0, "mV")), lambda: plasticity.STDPPair(tau_plus=of(20.0, "mV")),
        lambda: snn.Simulation(net, dt=of(1.0, "mV")), lambda: sim.run(of(1.0, "mV")),
        lambda: net.connect(pop, pop, snn.all_to_all(), delay=of(1.0, "mV"), name="b"),
    ):  # fmt: skip
        with pytest.raises(snn.UnitError, match="must be in"):
            call()
    with pytest.raises(snn.ModelError, match="uniform.low: must be a finite number, without unit"):
        snn.uniform(of(1.0, "ms"), of(2.0, "ms"))


@pytest.mark.parametrize("library", LIBRARIES[:2])
def test_quantities_in_lists_of_neurons(library):
    """Converted one by one; functions of distance give arrays of them, and lists of quantities are refused."""
    of, net = library_of(library), snn.Network()
    a = net.population("a", 2, snn.LIFDelta(), positions=[0.0, 1.0])
    net.population("d", 4, snn.LIFDelta(), positions=[0.0, 1.0, 2.0, 3.0])
    short = plasticity.TsodyksMarkram(tau_rec=snn.per_source([of(0.8, "s"), of(300.0, "ms")]))
    weight, delay = snn.per_target([of(1.0, "mV"), of(0.002, "V")]), snn.per_target((of(0.0015, "s"), 2.0))
    made = net.connect(a, a, snn.all_to_all(), weight, delay, short_term=short)
    assert made.weight.tolist() == [1.0, 1.0, 2.0, 2.0] and made.delay.tolist() == [1.5, 1.5, 2.0, 2.0]
    assert made.short_term.params["tau_rec"].tolist() == [800.0, 300.0, 800.0, 300.0]
    with pytest.raises(snn.UnitError, match=r"'b'.delay: must be in ms; got"):
        net.connect(a, a, snn.one_to_one(), delay=snn.per_source([of(1.0, "mV"), of(1.0, "mV")]), name="b")
    functions = {"weight": lambda d: of(0.001 + 0.002 * d, "V"), "delay": lambda d: of(0.0015, "s")}
    made = net.connect(a, a, snn.all_to_all(), **functions, name="c")
    assert made.weight.tolist() == [1.0, 3.0, 3.0, 1.0] and made.delay.tolist() == [1.5] * 4
    for function in (lambda d: [of(0.001, "V") for _ in d], lambda d: of(np.ones(3), "mV"), lambda d: HasUnit()):
        with pytest.raises(snn.UnitError, match="'b'.weight: must be plain numbers"):
            net.connect(a, a, snn.one_to_one(), weight=function, name="b")
    with pytest.raises(snn.UnitError, match=r"'b'.delay: must be in ms; got .* of shape \(16,\)"):
        net.connect("d", "d", snn.all_to_all(), delay=lambda d: of(d, "V"), name="b")


def test_columns_of_tables_count_by_position():
    frame = pytest.importorskip("pandas").DataFrame({"w": [3.0, 1.0, 2.0]}).sort_values("w")
    net = snn.Network()
    net.population("a", 3, snn.LIFDelta())
    given = snn.per_target(frame["w"]), frame["w"], snn.per_source(frame["w"][1:].to_list() + [9.0])
    made = [net.connect("a", "a", snn.one_to_one(), x, name=str(k)).weight.tolist() for k, x in enumerate(given)]
    assert made == [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [2.0, 3.0, 9.0]]


class Strange(np.ndarray):
    """An array of a library nobody knows."""


class HasUnit:
    unit = "mV"

    def __array__(self, dtype=None, copy=None):
        return np.array([1.0, 2.0])


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (np.ones(2).view(Strange), snn.UnitError, "Strange, which may carry units. Give its numbers in ms"),
        (HasUnit(), snn.UnitError, "HasUnit, with 'unit'"),
        ([HasUnit(), 1.0], snn.UnitError, "HasUnit, with 'unit'"),
        (np.ma.masked_array([1.0, 2.0], [False, True]), snn.ModelError, "must have no masked entries; got 1"),
        (np.timedelta64(20, "ms"), snn.ModelError, "must be a number or an array in ms; got"),
        (np.array([20], "m8[ms]"), snn.ModelError, "must be a number or an array in ms; got"),
    ],
)  # fmt: skip
def test_what_would_lose_its_unit_is_refused(value, error, text):
    with pytest.raises(error, match=f"^x: .*{text}"):
        plain(value, "ms", "x")


def test_arrays_of_plain_numbers_pass():
    torch = pytest.importorskip("torch")
    for value in (
        np.ma.masked_array([1.0, 2.0]), torch.tensor([1.0, 2.0]), (1, 2.0), [np.float32(1), np.int8(2)],
        np.array([1, 2], np.uint8),
    ):  # fmt: skip
        assert plain(value, "ms", "x").tolist() == [1.0, 2.0]
        refuse_units("x", value)
    assert plain([[1, 2], (3.0, 4)], "1", "x").tolist() == [[1.0, 2.0], [3.0, 4.0]]


def _two_units(second="nS"):
    """A model of two receptors, in mV and ``second``; the sign chooses between them."""

    def step(v, g, arrive_syn, arrive_cond):  # fmt: skip
        return v + arrive_syn, g + arrive_cond, v > 1e9

    return snn.define(spec.NeuronSpec(
        name=f"UnitsOfReceptors{second}", doc="Two receptors.", step=step, references=("none",), params=(), derived=(),
        state=(spec.StateVar("v", "mV", "v"), spec.StateVar("g", second, "g")),
        receptors=(spec.Receptor("syn", "mV", "x", sign=1), spec.Receptor("cond", second, "x", sign=-1)),
    ))()  # fmt: skip


@pytest.mark.parametrize("library", LIBRARIES[:2])
def test_a_weight_has_the_unit_of_its_receptor(library):
    of, net = library_of(library), snn.Network()
    s, p = net.population("s", 3, snn.SpikeArray([1.0])), net.population("p", 3, _two_units("mV^2"))
    square = of(0.002, "V") * of(1.0, "mV")
    rule = plasticity.Static(w_min=-9.0, w_max=0.0)
    made = net.connect(s, p, snn.one_to_one(), weight=-square, receptor="cond", plasticity=rule, name="c")
    assert made.weight == pytest.approx(-2.0)
    assert net.connect(s, p, snn.one_to_one(), weight=of(2.0, "mV"), receptor="syn").weight == 2.0
    assert net.input("i", p, snn.Poisson(1.0), weight=-square, receptor="cond").weight == pytest.approx(-2.0)
    sim = snn.Simulation(net, quiet=True, backend="reference")
    sim.set_weights("c", -2.0 * square)
    np.testing.assert_allclose(sim.connections("c")[2], -4.0)
    for call in (
        lambda: net.connect(s, p, snn.one_to_one(), weight=square, receptor="syn", name="d"),
        lambda: net.input("j", p, snn.Poisson(1.0), weight=of(2.0, "mV"), receptor="cond"),
        lambda: sim.set_weights("c", of(-2.0, "mV")),
    ):  # fmt: skip
        with pytest.raises(snn.UnitError, match=r"weight: must be in mV"):
            call()


@pytest.mark.parametrize("library", LIBRARIES[:2])
def test_the_sign_chooses_no_unit(library):
    """Where it chooses among receptors of different units, only plain numbers say the same for both."""
    of, net = library_of(library), snn.Network()
    s = net.population("s", 3, snn.SpikeArray([1.0]))
    p, same = (net.population(unit, 3, _two_units(unit)) for unit in ("V", "mV"))
    for weight in (of(2.0, "mV"), [of(-0.2, "V"), 1.0, 1.0], of(-2.0, "ms")):
        with pytest.raises(snn.UnitError, match=r"Projection 'd'.weight: the sign chooses .* in mV and V; .*'cond'"):
            net.connect(s, p, snn.one_to_one(), weight=weight, name="d")
    with pytest.raises(snn.UnitError, match=r"Input 'i'.weight: the sign chooses"):
        net.input("i", p, snn.Poisson(1.0), weight=of(2.0, "mV"))
    at, of_one = (net.population(f"at {unit}", 3, _two_units(unit), positions=np.eye(3)) for unit in ("V", "mV"))
    with pytest.raises(snn.UnitError, match=r"Projection 'd'.weight: the sign chooses"):
        net.connect(at, at, snn.one_to_one(), weight=lambda d: of(d + 0.002, "V"), name="d")
    made = net.connect(of_one, of_one, snn.one_to_one(), weight=lambda d: of(d + 0.002, "V"), name="e")
    np.testing.assert_allclose(made.weight, 2.0)
    weights = [1.0, -2.0, 3.0]
    assert net.connect(s, p, snn.one_to_one(), weight=weights).weight.tolist() == weights
    assert net.connect(s, same, snn.one_to_one(), weight=of(weights, "mV")).weight.tolist() == weights


def test_reservoirs_take_plain_numbers():
    """What converts nothing says so, and not that 20 ms were no number."""
    ms = pytest.importorskip("brian2").ms
    for make in (lambda: reservoir.FORCE.lif(10, tau_decay=20 * ms), lambda: reservoir.RLS(forgetting=1 * ms)):
        with pytest.raises(UnitError, match="must be a plain number, in the unit of its documentation"):
            make()
