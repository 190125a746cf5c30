"""Every plasticity rule: parameters out of bounds, weights it cannot hold, its documentation."""

import re

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ModelError
from kernels.spec import Param, RuleSpec
from plasticity.base import RULES, SHORT_TERM

KINDS = RULES | SHORT_TERM
SPECS = {name: KINDS[name].spec for name in plasticity.__all__ if name in KINDS}
PARAMS = [(name, p) for name, spec in SPECS.items() for p in spec.params]
BOUNDS = [(name, p, k) for name, p in PARAMS for k in ("gt", "ge", "lt", "le") if getattr(p, k) is not None]


def refused(text, call, *args, **kwargs):
    with pytest.raises(ModelError) as caught:
        call(*args, **kwargs)
    assert str(caught.value).startswith(text), str(caught.value)


def test_there_are_rules_and_bounds():
    assert len(SPECS) >= 6 and len(BOUNDS) >= 30


@pytest.mark.parametrize(("name", "param", "kind"), BOUNDS, ids=lambda x: getattr(x, "name", x))
def test_bound(name, param, kind):
    limit = getattr(param, kind)
    value = limit if kind in ("gt", "lt") else float(np.nextafter(limit, -np.inf if kind == "ge" else np.inf))
    refused(f"{name}.{param.name}: must be {param.bounds()}", KINDS[name], **{param.name: value})


# parameters that traces, modulators or observers take, which all synapses share
SHARED = {
    name: {p.name for p in spec.params if p.name.startswith("tau") and name not in SHORT_TERM}
    for name, spec in SPECS.items()
}
SHARED["Clopath"] |= {"a_ltd", "a_ltp", "theta_minus", "theta_plus", "delay", "u_ref_squared", "e_bar"}
SHARED["GraupnerBrunel"] = set()  # it has no traces
SHARED["RMax"] |= {"t_ref"}


@pytest.mark.parametrize(("name", "param"), PARAMS, ids=lambda x: getattr(x, "name", x))
def test_parameter_is_one_finite_number(name, param):
    owner, rule = f"{name}.{param.name}", KINDS[name]
    refused(f"{owner}: must be finite; got nan.", rule, **{param.name: np.nan})
    refused(f"{owner}: must be finite; got inf.", rule, **{param.name: np.inf})
    refused(f"{owner}: must be a number", rule, **{param.name: "fast"})
    if param.name in SHARED[name]:
        refused(f"{owner}: must be one number a projection", rule, **{param.name: np.full(3, param.default)})
    else:
        assert rule(**{param.name: np.full(3, param.default)}).of_synapse == (param.name,)
    refused(f"{owner}x: no such parameter. Did you mean", rule, **{param.name + "x": param.default})


@pytest.mark.parametrize("name", SPECS)
def test_documentation(name):
    text = KINDS[name].__doc__
    for heading in ("Equations", "Numerics", "Parameters", "References"):
        assert re.search(rf"^{heading}\n-+$", text, re.M), heading
    assert "doi:10." in text
    for param in SPECS[name].params:
        assert re.search(rf"^    {param.name} : float, \[.+\], default", text, re.M)


@pytest.mark.parametrize("name", [name for name in SPECS if name in RULES])
def test_first_weight_out_of_bounds(name):
    rule = RULES[name]()
    low, high = rule.spec.bounds(type("Values", (), rule.params))
    outside = [w for w in (np.nextafter(low, -np.inf), np.nextafter(high, np.inf)) if np.isfinite(w)]
    assert outside, "a rule without bounds belongs in no list of outside weights"
    for w in outside:
        net = snn.Network()
        a = net.population("a", 3, snn.LIFDelta())
        text = f"Projection 'a->a'.weight: must be in [{low:g}, {high:g}], the bounds of {name}; got "
        refused(text, net.connect, a, a, snn.all_to_all(), weight=w, delay=1.0, plasticity=rule)


def test_target_weight_of_zero():
    refused("VogelsSprekeler.w_max: must not be 0; got w_max=0.0.", plasticity.VogelsSprekeler, w_max=0.0)


def _either_way(w, step):
    return w + step


def test_weights_of_both_signs_need_one_receptor():
    rule = plasticity.define(
        RuleSpec(
            name="EitherWay", doc="w += step.", params=(Param("step", "weight", 0.1, "step"),), derived=(), traces=(),
            on_pre=_either_way, on_post=_either_way, references=("this test",), bounds=lambda p: (-np.inf, np.inf),
        )
    )()  # fmt: skip
    net = snn.Network()
    a = net.population("a", 3, snn.LIFDelta())
    b = net.population("b", 3, snn.LIFCondExp())
    net.connect(a, a, snn.all_to_all(), weight=0.5, delay=1.0, plasticity=rule)
    text = (
        "Projection 'a->b'.plasticity: a plastic weight has one receptor, LIFCondExp has one for each sign; got Either"
    )
    refused(text, net.connect, a, b, snn.all_to_all(), weight=0.5, delay=1.0, plasticity=rule)
