"""A plasticity rule as users see it: a class made from its spec; an instance holds parameter values."""

import dataclasses
import inspect
import itertools
from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from kernels.body import raised
from kernels.errors import ModelError, nearest
from kernels.spec import Derived, Param, RuleSpec, ShortTermSpec
from kernels.units import plain
from plasticity.settled import Fixed, Settled

RULES: dict[str, type["PlasticityRule"]] = {}
SHORT_TERM: dict[str, type["ShortTerm"]] = {}


@runtime_checkable
class Law(Protocol):
    """What synapses may draw a parameter from: a distribution of :mod:`snn`."""

    def bounds(self) -> tuple[float, float]:
        """The interval that holds every value."""

    def draw(self, n: int, key: tuple[Any, Any]) -> np.ndarray:
        """``n`` values."""


class OfEdges:
    """Base of what has values as soon as edges are drawn, as functions have."""


class _Rule(Fixed):
    """``params``: what was given by name, numbers or values for each synapse, as arrays, distributions, functions."""

    advice = (
        "Give parameters when the rule is made; sim.learning, sim.set_weights and sim.set_modulator act between runs."
    )
    spec: ClassVar[Any]

    def __init__(self, /, **params: Any) -> None:
        known = {p.name: p for p in self.spec.params}
        values: dict[str, Any] = {p.name: float(p.default) for p in self.spec.params}
        for name, value in params.items():
            if name not in known:
                raise ModelError(f"{self.spec.name}.{name}: no such parameter.{nearest(name, known)}")
            if not (isinstance(value, (Law, OfEdges)) or callable(value)):
                value = plain(value, known[name].unit, f"{self.spec.name}.{name}")
                known[name].check(self.spec.name, value)
            values[name] = value
        self.params: dict[str, Any] = Settled(values, f"{self.spec.name}.params", self.advice)
        self._check_neurons()
        if not self.of_synapse:
            self._check_rules(values)

    def _check_neurons(self) -> None:
        """Refuse values of synapses for what traces and signals of neurons take."""
        taken, each = self.spec.of_neurons(), self.of_synapse
        for name in (name for name in self.lowered.of_synapse if name in taken):
            given = name if name in each else each[0]
            raise ModelError(
                f"{self.spec.name}.{given}: must be one number a projection, because {taken[name]}, which its "
                f"synapses share, takes it; got {_brief(self.params[given])}. Connect synapses with another value "
                "apart."
            )

    def _check_rules(self, values: Mapping[str, Any], owner: str = "") -> None:
        for rule in self.spec.checks:
            try:
                ok = np.asarray(rule.ok(SimpleNamespace(**values)))
            except (TypeError, ValueError) as error:
                raise ModelError(
                    f"{self.spec.name}: its check that {rule.names[0]} {rule.rule} {raised(error)}"
                ) from error
            if not np.all(ok):
                at = int(np.argmin(ok))
                got = ", ".join(
                    f"{n}={float(np.ravel(values[n])[at if np.ndim(values[n]) else 0])!r}" for n in rule.names
                )
                raise ModelError(f"{owner}{self.spec.name}.{rule.names[0]}: {rule.rule}; got {got}.")

    @property
    def of_synapse(self) -> tuple[str, ...]:
        """Parameters with a value for each synapse."""
        return tuple(name for name, value in self.params.items() if not isinstance(value, float))

    @property
    def lowered(self) -> Any:
        """The spec that kernels compile: it says which constants have a value for each synapse."""
        if not self.of_synapse:
            return self.spec
        values: dict[str, Any] = {
            p.name: x if isinstance(x := self.params[p.name], float) else p.default for p in self.spec.params
        }
        names = list(self.of_synapse)
        for derived in self.spec.derived:
            taken = _Taken(values)
            values[derived.name] = derived.value(self.spec.name, taken, 0.1)
            names += [derived.name] if taken.names.intersection(names) else []
        return _lowered(self.spec, tuple(names))

    def constants(self, dt: float, given: Mapping[str, np.ndarray] | None = None, owner: str = "") -> dict[str, Any]:
        """Parameters and derived constants on the grid ``dt``, float64.

        ``given``: values of the parameters that synapses have of their own, shape (synapses,); ``owner`` begins errors.
        """
        values: dict[str, Any] = dict(self.params)
        if self.of_synapse:
            known = {p.name: p for p in self.spec.params}
            for name, value in (given or {}).items():
                known[name].check(f"{owner}{self.spec.name}", value)
                values[name] = value
            self._check_rules(values, owner)
        n = next((np.size(values[name]) for name in self.of_synapse), 0)
        for derived in self.spec.derived:
            if derived.name in self.lowered.of_synapse:
                values[derived.name] = _of_each(self.spec.name, derived, values, n, dt)
            else:
                values[derived.name] = float(derived.value(self.spec.name, SimpleNamespace(**values), dt))
        return values

    def with_values(self, values: Mapping[str, Any]) -> Any:
        """The rule with other values of some parameters; itself where there are none."""
        return type(self)(**self.params | dict(values)) if values else self

    def depends_on_step(self) -> bool:
        """Whether a derived constant depends on dt."""
        found: list[dict[str, Any]] = []
        for dt in (1.0, 0.5):
            values = {p.name: x if isinstance(x := self.params[p.name], float) else p.default for p in self.spec.params}
            for derived in self.spec.derived:
                values[derived.name] = derived.value(self.spec.name, SimpleNamespace(**values), dt)
            found.append(values)
        return found[0] != found[1]

    def __repr__(self) -> str:
        text = ", ".join(f"{p.name}={_brief(self.params[p.name])}" for p in self.spec.params)
        return f"{self.spec.name}({text})"


@cache  # one object for equal ones
def _lowered(spec: Any, names: tuple[str, ...]) -> Any:
    return dataclasses.replace(spec, of_synapse=names)


class _Taken:
    """Values by name; notes which of them are taken."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values, self.names = values, set[str]()

    def __getattr__(self, name: str) -> Any:
        if name not in self.values:
            raise AttributeError(name)
        self.names.add(name)
        return self.values[name]


def _of_each(owner: str, derived: Derived, values: dict[str, Any], n: int, dt: float) -> np.ndarray:
    """A derived constant of each of ``n`` synapses; one by one where its compute takes no arrays."""
    try:
        value = np.asarray(derived.compute(SimpleNamespace(**values), dt), float)
    except (TypeError, ValueError):
        value = None
    if value is not None and value.shape in ((), (n,)):
        return np.broadcast_to(value, (n,))
    one = ({name: x[k] if np.ndim(x) else x for name, x in values.items()} for k in range(n))
    return np.array([float(derived.value(owner, SimpleNamespace(**x), dt)) for x in one])


def _brief(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array of {value.shape}, {np.min(value):g} to {np.max(value):g}" if value.size else "array of none"
    return f"{value:g}" if isinstance(value, float) else repr(value)


def _ends(param: Param, value: Any) -> tuple[float, ...]:
    """Smallest and largest value that a parameter takes."""
    if isinstance(value, float):
        return (value,)
    if isinstance(value, Law):
        low, high = value.bounds()
        least = max(x for x in (low, param.ge, param.gt) if x is not None)
        return least, min(x for x in (high, param.le, param.lt) if x is not None)
    return (float(np.min(value)), float(np.max(value))) if np.size(value) else (param.default,)


class PlasticityRule(_Rule):
    """Base of all rules that change weights; see :func:`define`."""

    spec: ClassVar[RuleSpec]

    def bounds(self, given: Mapping[str, np.ndarray] | None = None) -> tuple[Any, Any]:
        """Smallest and largest weight: of each synapse with ``given`` as for ``constants``, else of any of them."""
        if given is not None or not self.of_synapse:
            return self._bounds(dict(self.params) | dict(given or {}))
        ends = [_ends(p, self.params[p.name]) for p in self.spec.params]
        names = [p.name for p in self.spec.params]
        found = [self._bounds(dict(zip(names, corner, strict=True))) for corner in itertools.product(*ends)]
        return min(low for low, _ in found), max(high for _, high in found)

    def _bounds(self, values: dict[str, Any]) -> tuple[Any, Any]:
        try:
            low, high = self.spec.bounds(SimpleNamespace(**values))
            return (low, high) if np.ndim(low) or np.ndim(high) else (float(low), float(high))
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ModelError(f"{self.spec.name}.bounds: {raised(error)}") from error


class ShortTerm(_Rule):
    """Base of all short-term plasticity; see :func:`define`."""

    spec: ClassVar[ShortTermSpec]


def rate(tau: Any) -> Any:
    """1 / tau, infinite where a time constant is 0."""
    return np.divide(1.0, tau, out=np.full(np.shape(tau), np.inf), where=np.greater(tau, 0.0))


def define(spec: RuleSpec | ShortTermSpec) -> Any:
    """Register ``spec`` and return its class: ``STDPPair = define(RuleSpec(...))``.

    A parameter is a number, or has a value for each synapse: an array of the shape that weights may have, or a
    distribution. What traces and signals of neurons take is one number.

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
