"""A neuron model as users see it: a class made from its spec; an instance holds parameter values."""

import copyreg
import importlib
import inspect
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from kernels.body import raised
from kernels.errors import ModelError, nearest
from kernels.spec import NeuronSpec
from plasticity.settled import Fixed, Settled
from snn.distributions import Distribution
from snn.units import plain

MODELS: dict[str, type["NeuronModel"]] = {}


class NeuronModel(Fixed):
    """Base of all neuron models; see :func:`define`. ``params`` maps names to a number, an array or a distribution."""

    spec: ClassVar[NeuronSpec]
    advice = "Give parameters when the model is made; sim.set_parameters changes them between runs."

    def __init__(self, /, **params: Any) -> None:
        known = {p.name: p for p in self.spec.params}
        values: dict[str, Any] = {p.name: float(p.default) for p in self.spec.params}
        for name, value in params.items():
            if name not in known:
                raise ModelError(f"{self.spec.name}.{name}: no such parameter.{nearest(name, known)}")
            if not isinstance(value, Distribution):
                value = plain(value, known[name].unit, f"{self.spec.name}.{name}")
                known[name].check(self.spec.name, value)
            values[name] = value
        if not any(isinstance(v, Distribution) for v in values.values()):
            check_rules(self.spec, values)
        self.params: dict[str, Any] = Settled(values, f"{self.spec.name}.params", self.advice)

    def __repr__(self) -> str:
        return self.text(repr)

    def text(self, show: Callable[[Any], str]) -> str:
        """The model and what of its parameters is not the default, each as ``show`` has it."""
        changed = {p.name: self.params[p.name] for p in self.spec.params}
        text = ", ".join(f"{k}={show(v)}" for k, v in changed.items() if not _is_default(self.spec, k, v))
        return f"{self.spec.name}({text})"


def _is_default(spec: NeuronSpec, name: str, value: Any) -> bool:
    default = next(p.default for p in spec.params if p.name == name)
    return np.ndim(value) == 0 and not isinstance(value, Distribution) and value == default


class Values:
    """Parameter values by attribute, for derived constants and rules."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.__dict__.update(values)


def check_rules(spec: NeuronSpec, params: dict[str, Any]) -> None:
    """Raise ModelError where a rule between parameters is broken."""
    for rule in spec.checks:
        try:
            ok = np.asarray(rule.ok(Values(params)))
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ModelError(f"{spec.name}: the check of {rule.rule!r} {raised(error)}") from error
        if not np.all(ok):
            at = int(np.argmin(ok))
            got = ", ".join(f"{n}={float(np.broadcast_to(params[n], ok.shape).flat[at])!r}" for n in rule.names)
            where = f" at index {at}" if ok.ndim else ""
            raise ModelError(f"{spec.name}.{rule.names[0]}: {rule.rule}; got {got}{where}.")


def define(spec: NeuronSpec) -> type[NeuronModel]:
    """Register ``spec`` and return its class: ``LIFDelta = define(NeuronSpec(...))``.

    Defining a name of one's own again replaces it, so that a file can be run twice in a notebook; names of models that
    come with the package are taken, because files name models.
    """
    known = MODELS.get(spec.name)
    ours = known is not None and known.__module__.startswith("snn.") and known.__module__ != spec.step.__module__
    if ours or spec.name in ("Poisson", "SpikeArray"):
        raise ModelError(f"define: {spec.name!r} is a model of the package. Give yours another name.")
    rows = "\n".join(
        f"    {p.name} : float or array or distribution, [{p.unit}], default {p.default:g}"
        f"{', ' + p.bounds() if p.bounds() else ''}\n        {p.doc}"
        for p in spec.params
    )
    states = "\n".join(f"    {s.name} : [{s.unit}] {s.doc}" for s in spec.state)
    receptors = "\n".join(f"    {r.name} : weights in [{r.unit}]. {r.doc}" for r in spec.receptors)
    references = "\n".join(f"    {r}" for r in spec.references)
    model = type(
        spec.name,
        (NeuronModel,),
        {
            "spec": spec,
            "__doc__": f"{inspect.cleandoc(spec.doc)}\n\nParameters\n----------\n{rows}\n\nState\n-----\n{states}\n\n"
            f"Receptors\n---------\n{receptors}\n\nReferences\n----------\n{references}\n",
            "__module__": spec.step.__module__,
        },
    )
    model.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(p.name, inspect.Parameter.KEYWORD_ONLY, default=p.default) for p in spec.params]
    )
    MODELS[spec.name] = model
    return model


def _reduced(spec: NeuronSpec) -> Any:
    """A registered spec is pickled by its name: its functions may be lambdas."""
    known = MODELS.get(spec.name)
    if known is not None and known.spec is spec:
        return _spec, (spec.step.__module__, spec.name)
    return object.__reduce_ex__(spec, 2)


def _spec(module: str, name: str) -> NeuronSpec:
    if name not in MODELS:
        importlib.import_module(module)
    if name not in MODELS:
        raise ModelError(f"{name}: is no model that is defined, nor by module {module}. Import what defines it before.")
    return MODELS[name].spec


copyreg.pickle(NeuronSpec, _reduced)
