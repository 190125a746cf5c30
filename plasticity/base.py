"""A plasticity rule as users see it: a class made from its spec; an instance holds parameter values."""

import inspect
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from kernels.errors import ModelError
from kernels.spec import RuleSpec, ShortTermSpec, nearest
from kernels.units import plain
from plasticity.settled import Fixed, Settled

RULES: dict[str, type["PlasticityRule"]] = {}
SHORT_TERM: dict[str, type["ShortTerm"]] = {}


class _Rule(Fixed):
    """``params`` maps names to numbers."""

    advice = (
        "Give parameters when the rule is made; sim.learning, sim.set_weights and sim.set_modulator act between runs."
    )
    spec: ClassVar[Any]

    def __init__(self, /, **params: float) -> None:
        known = {p.name: p for p in self.spec.params}
        values = {p.name: float(p.default) for p in self.spec.params}
        for name, value in params.items():
            if name not in known:
                raise ModelError(f"{self.spec.name}.{name}: no such parameter.{nearest(name, known)}")
            value = plain(value, known[name].unit, f"{self.spec.name}.{name}")
            if np.ndim(value):
                raise ModelError(f"{self.spec.name}.{name}: must be one number a projection; got {value!r}.")
            known[name].check(self.spec.name, value)
            values[name] = float(value)
        for rule in self.spec.checks:
            if not rule.ok(SimpleNamespace(**values)):
                got = ", ".join(f"{n}={values[n]!r}" for n in rule.names)
                raise ModelError(f"{self.spec.name}.{rule.names[0]}: {rule.rule}; got {got}.")
        self.params: dict[str, float] = Settled(values, f"{self.spec.name}.params", self.advice)

    def constants(self, dt: float) -> dict[str, float]:
        """Parameters and derived constants on the grid ``dt``, float64."""
        values: dict[str, float] = dict(self.params)
        for derived in self.spec.derived:
            values[derived.name] = float(derived.value(self.spec.name, SimpleNamespace(**values), dt))
        return values

    def __repr__(self) -> str:
        text = ", ".join(f"{p.name}={self.params[p.name]:g}" for p in self.spec.params)
        return f"{self.spec.name}({text})"


class PlasticityRule(_Rule):
    """Base of all rules that change weights; see :func:`define`."""

    spec: ClassVar[RuleSpec]


class ShortTerm(_Rule):
    """Base of all short-term plasticity; see :func:`define`."""

    spec: ClassVar[ShortTermSpec]


def define(spec: RuleSpec | ShortTermSpec) -> Any:
    """Register ``spec`` and return its class: ``STDPPair = define(RuleSpec(...))``.

    Names of rules that come with the package are taken, because files name rules.
    """
    rows = "\n".join(
        f"    {p.name} : float, [{p.unit}], default {p.default:g} {p.bounds()}\n        {p.doc}" for p in spec.params
    )
    states = "\n".join(f"    {s.name} : [{s.unit}] {s.doc}" for s in spec.state)
    references = "\n".join(f"    {r}" for r in spec.references)
    text = f"{inspect.cleandoc(spec.doc)}\n\nParameters\n----------\n{rows}\n\n"
    text += f"State\n-----\n{states}\n\n" if states else ""
    text += f"References\n----------\n{references}\n"
    base, known = (PlasticityRule, RULES) if isinstance(spec, RuleSpec) else (ShortTerm, SHORT_TERM)
    module = next(iter(spec.functions().values())).__module__
    before = known.get(spec.name)
    if before is not None and before.__module__.startswith("plasticity.") and before.__module__ != module:
        raise ModelError(f"define: {spec.name!r} is a rule of the package. Give yours another name.")
    rule = type(spec.name, (base,), {"spec": spec, "__doc__": text, "__module__": module})
    known[spec.name] = rule
    return rule
