"""Models and rules of one's own that go wrong: taken names, numbers that are not finite, constants that fail."""

import math

import numpy as np
import pytest

import plasticity
import snn
from kernels.body import check_body
from kernels.spec import Check, ClosedForm, Derived, NeuronSpec, Param, Receptor, RuleSpec, StateVar


def neuron(step, **changes):
    fields = {"name": "Own", "doc": "A model.", "state": (StateVar("v", "mV", "v"),), "params": (), "derived": (),
              "receptors": (), "step": step}  # fmt: skip
    return NeuronSpec(**{**fields, **changes})


def run(spec, steps=4, **options):
    net = snn.Network(seed=1)
    pop = net.population("p", 3, snn.define(spec)())
    net.record(pop, "v")
    return snn.Simulation(net, quiet=True, **options).run(0.1 * steps).states["p"]["v"]


def still(v):
    return v, v > 1.0


def takes_it(v, arrive_syn):
    return v + arrive_syn, v > 1.0


@pytest.mark.parametrize("field", ["state", "params", "derived"])
@pytest.mark.parametrize(
    ("name", "what"),
    [("u", "a uniform random number"), ("i_stim", "the injected current"), ("arrive_syn", "what arrives at receptor")],
)
def test_taken_names(field, name, what):
    """What a step would get by these names is another number."""
    entry = {
        "state": (StateVar("v", "mV", "v"), StateVar(name, "mV", "x")), "params": (Param(name, "1", 1.0, "x"),),
        "derived": (Derived(name, "1", lambda p, dt: dt),),
    }[field]  # fmt: skip
    with pytest.raises(snn.ModelError, match=f"Own: the name '{name}' is taken; .*{what}.*for instance to '{name}_m'"):
        neuron(takes_it, receptors=(Receptor("syn", "mV", "x"),), **{field: entry})
    if name != "u":
        return
    with pytest.raises(snn.ModelError, match="for instance to 'u_mm'"):
        neuron(still, params=(Param("u", "1", 1.0, "x"), Param("u_m", "1", 1.0, "x")))


def relaxed(v, h):
    return (v * h,)


def unmoved(v):
    return (v,)


def unmoved_arrive(v, held):
    return (v,)


def never(v):
    return math.inf


@pytest.mark.parametrize("name", ["h", "held"])
def test_names_taken_by_a_closed_form(name):
    form = ClosedForm((), relaxed, None, unmoved_arrive, unmoved, never, never)
    given = {"state": (StateVar("v", "mV", "v"),), "params": (Param(name, "1", 1.0, "x"),)}
    neuron(still, **given)  # the clock engine has no such names
    with pytest.raises(snn.ModelError, match=f"Own: the name '{name}' is taken"):
        neuron(still, closed_form=form, **given)


def shadowed(v, math):
    return v * math.exp(v), v > 1.0


def called(v, decay):
    return decay(v), v > 1.0


@pytest.mark.parametrize(("function", "name"), [(shadowed, "math"), (called, "decay")])
def test_names_that_hide_functions(function, name):
    with pytest.raises(snn.ModelError, match=f"'{name}' .*is an argument or variable here. Rename it."):
        check_body(function, "Own")


def singular(v, left):
    """1 / 0, 0 / 0 of literals, overflow, log 0, roots of -1 and a complex number that is compared: then finite."""
    x = 1.0 / max(left - 2.0, 0.0)
    y = math.exp(1e3 * x) - 1.0 / math.log(max(left - 2.0, 0.0))
    z = math.sqrt(left - 2.0) * (left - 2.0) ** 0.5
    worst = (x > 1e300) + (y > 1e300) + (z != z) + (0 if (left - 3.0) ** 0.5 > 0.0 else 1)
    return (v + worst if left < 3.0 else v), left - 1.0, worst > 3


def whole(v, k):
    return v + 1 / (k - 2) + 7 % max(k, 1), k - 1, v > 5.0


def test_reference_goes_on_as_machine_code_does():
    """Once ZeroDivisionError, OverflowError, ValueError or TypeError, without a name of the model."""
    spec = neuron(singular, state=(StateVar("v", "mV", "v"), StateVar("left", "1", "x", 4.0)))
    v = run(spec, backend="reference")
    assert v[-1, 0] > 1.0
    np.testing.assert_array_equal(v, run(spec, backend="cpu"))
    for backend in ("reference", "cpu"):
        with pytest.raises(snn.SimError, match=r"Population 'p'.v: is not finite at neuron 0 by t = 0.4 ms"):
            run(neuron(whole, state=(StateVar("v", "mV", "v"), StateVar("k", "1", "x", 4, "int"))), backend=backend)


def scaled(v, gain):
    return v * gain, v > 1.0


@pytest.mark.parametrize(
    ("compute", "error"),
    [
        (lambda p, dt: 1.0 if p.tau > 1.0 else 0.0, "ValueError: The truth value of an array"),
        (lambda p, dt: math.exp(p.tau), "TypeError: only"),
    ],
)
def test_a_constant_that_takes_no_array(compute, error):
    spec = neuron(scaled, params=(Param("tau", "ms", 2.0, "x"),), derived=(Derived("gain", "1", compute),))
    model = snn.define(spec)
    for tau, fine in ((2.0, True), (np.array([0.5, 2.0]), False)):
        net = snn.Network()
        net.population("p", 2, model(tau=tau))
        if fine:
            snn.Simulation(net, quiet=True)
            continue
        with pytest.raises(snn.ModelError, match=rf"Own.gain: its compute raised {error}.*use np.where\("):
            snn.Simulation(net, quiet=True)


def test_a_check_that_takes_no_array():
    spec = neuron(
        still, params=(Param("a", "1", 1.0, "x"), Param("b", "1", 2.0, "x")),
        checks=(Check(("a", "b"), lambda p: 0.0 < p.a < p.b, "a must be below b"),),
    )  # fmt: skip
    snn.define(spec)(a=1.5)
    with pytest.raises(snn.ModelError, match="Own: the check of 'a must be below b' raised ValueError.*use np.where"):
        snn.define(spec)(a=np.array([0.5, 1.0]))


def grows(w, c):
    return w, c * 1e200


def unbounded(w, c):
    return w / (c - c), c


OPTIONS = [{}, {"backend": "reference"}, {"engine": "event"}, {"engine": "event", "backend": "reference"}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("on_pre", "what"), [(grows, r"variable 'c' \(c\) of the synapse"), (unbounded, "synapse")])
def test_what_of_a_synapse_is_not_finite(options, on_pre, what):
    """Once it told the weight, which was fine."""
    rule = plasticity.define(
        RuleSpec(
            name="OwnRule", doc="A rule.", params=(), derived=(), traces=(), state=(StateVar("c", "1", "c", 1.0),),
            on_pre=on_pre, on_post=None, bounds=lambda p: (0.0, 1.0), references=("this test",),
        )
    )()  # fmt: skip
    net = snn.Network()
    a, b = net.population("a", 1, snn.SpikeArray([1.0, 2.0, 3.0])), net.population("b", 1, snn.LIFDelta())
    net.connect(a, b, snn.one_to_one(), weight=0.5, delay=1.0, plasticity=rule)
    text = f"made the {what} of source 0 and target 0 no finite number at t = .*; got inf. Check the rule."
    with pytest.raises(snn.SimError, match=text):
        snn.Simulation(net, quiet=True, **options).run(10.0)
