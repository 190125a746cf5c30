"""What a model is: state, parameters, derived constants, receptors, and one pure scalar step function.

A :class:`NeuronSpec` is one definition for every backend. The step function's arguments are names of

- state variables, parameters, derived constants;
- ``arrive_<receptor>``: the sum of the weights that arrive at the end of this step;
- ``i_stim``: injected current during this step, in the unit of ``NeuronSpec.current_unit``;
- ``u``, ``u_2``, ``u_3``, ``u_4``: uniform random numbers in (0, 1), new ones for each neuron and step.

The last of these are taken: nothing else may be called so.

It returns the new state variables in their declared order, then whether the neuron fired (any number but 0 is yes).
Integer state variables are int32 and wrap around; they take whole numbers alone. The function may use arithmetic,
comparisons, conditional expressions, ``math`` and functions of ``kernels.scalar``; ``&`` and ``|`` on comparisons
vectorise, ``and`` and ``or`` do not.
"""

import ast
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from kernels import dtypes
from kernels.body import argument_names, check_body, raised, source_tree
from kernels.errors import ModelError, nearest

UNIFORMS = ("u", "u_2", "u_3", "u_4")


@dataclass(frozen=True)
class StateVar:
    """A state variable. ``init`` is a number or the name of a parameter; ``dtype`` is "float" or "int"."""

    name: str
    unit: str
    doc: str
    init: float | str = 0.0
    dtype: str = "float"


@dataclass(frozen=True)
class Param:
    """A parameter with its default and bounds (``gt`` >, ``ge`` >=, ``lt`` <, ``le`` <=)."""

    name: str
    unit: str
    default: float
    doc: str
    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def bounds(self) -> str:
        """The bounds in words, e.g. ``> 0``; empty if there are none."""
        limits = ((">", self.gt), (">=", self.ge), ("<", self.lt), ("<=", self.le))
        text = " and ".join(f"{sign} {limit:g}" for sign, limit in limits if limit is not None)
        return text if self.ge is None or self.ge != self.le else f"{self.ge:g}"

    def check(self, owner: str, value: Any) -> None:
        """Raise ModelError unless every entry of ``value`` is a finite number inside the bounds."""
        values = np.asarray(value)
        if values.dtype.kind not in "iuf":
            raise ModelError(f"{owner}.{self.name}: must be a number in {self.unit}; got {value!r}.")
        bad = ~np.isfinite(values)
        if bad.any():
            raise ModelError(f"{owner}.{self.name}: must be finite; got {_first(values, bad)}.")
        for limit, wrong in (
            (self.gt, np.less_equal),
            (self.ge, np.less),
            (self.lt, np.greater_equal),
            (self.le, np.greater),
        ):
            if limit is not None and (bad := wrong(values, limit)).any():
                unit = f" {self.unit}" if self.unit != "1" else ""
                raise ModelError(f"{owner}.{self.name}: must be {self.bounds()}{unit}; got {_first(values, bad)}.")


def _first(values: np.ndarray, bad: np.ndarray) -> str:
    if values.ndim == 0:
        return f"{values.item()!r}"
    index = int(np.argmax(bad))
    return f"{values.flat[index].item()!r} at index {index}"


@dataclass(frozen=True)
class Derived:
    """A constant computed once in float64 from parameters and dt: ``compute(p, dt)``, with ``p.tau_m`` and so on.

    A parameter may be an array, so ``compute`` uses NumPy functions. It may use earlier derived constants too.
    """

    name: str
    unit: str
    compute: Callable[[Any, float], Any]
    dtype: str = "float"

    def value(self, owner: str, p: Any, dt: float) -> Any:
        """What ``compute`` gives; ModelError where it fails."""
        try:
            return self.compute(p, dt)
        except (ArithmeticError, TypeError, ValueError) as error:
            raise ModelError(f"{owner}.{self.name}: its compute {raised(error)}") from error


@dataclass(frozen=True)
class Receptor:
    """An input channel. ``sign`` is +1 or -1 where only such weights may arrive, 0 where any may."""

    name: str
    unit: str
    doc: str
    sign: int = 0


@dataclass(frozen=True)
class Check:
    """A rule between parameters: ``ok(p)`` is true (everywhere), or the error says ``rule`` and shows ``names``."""

    names: tuple[str, ...]
    ok: Callable[[Any], Any]
    rule: str


@dataclass(frozen=True)
class ClosedForm:
    """The solution of a model's equations between events, for the event engine. Times in ms, float64, no dt.

    Functions take arguments by name: float state variables of the spec, its parameters, constants ``derived`` here
    (``compute`` gets dt = 0), ``i_stim`` (injected current, constant between events), and those named below. ``flow``,
    ``hold``, ``arrive`` and ``fire`` return a tuple of the float state variables in declared order.

    Parameters
    ----------
    flow : ``flow(.., h)``: state after h ms without spike or event
    hold : as ``flow`` in the refractory period; None if there is none
    arrive : ``arrive(.., arrive_<receptor>.., held)``: state just after weights arrive; held is 1 in the refractory
        period, else 0
    fire : state just after a spike
    earliest : lower bound of the time to the next threshold crossing if nothing arrives; inf proves that there is
        none, 0.0 at or above threshold
    crossing : ``crossing(.., h)``: time in [0, h] of the first crossing, inf if there is none, 0.0 at or above
        threshold; agrees with ``flow`` to rounding, finds the briefest excursion
    t_ref : name of the parameter that holds the refractory period in ms; None if there is none
    """

    derived: tuple[Derived, ...]
    flow: Callable[..., Any]
    hold: Callable[..., Any] | None
    arrive: Callable[..., Any]
    fire: Callable[..., Any]
    earliest: Callable[..., Any]
    crossing: Callable[..., Any]
    t_ref: str | None = None

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The functions by name; ``hold`` only where there is one."""
        names = ("flow", "hold", "arrive", "fire", "earliest", "crossing")
        return {name: f for name in names if (f := getattr(self, name)) is not None}

    def check(self, spec: "NeuronSpec") -> None:
        """Raise ModelError unless the functions fit ``spec``."""
        states = [v.name for v in spec.state if v.dtype == "float"]
        owner = f"{spec.name}.closed_form"
        common = [*states, *(p.name for p in spec.params), *(d.name for d in self.derived), "i_stim"]
        for name in (d.name for d in self.derived):
            if not name.isidentifier() or common.count(name) > 1:
                raise ModelError(f"{owner}.derived: {name!r} is no Python name, or used twice. Rename it.")
        if (self.hold is None) != (self.t_ref is None):
            raise ModelError(f"{owner}.hold: goes with t_ref, the name of a parameter; got only one of them.")
        if self.t_ref is not None and self.t_ref not in [p.name for p in spec.params]:
            raise ModelError(f"{owner}.t_ref: names no parameter; got {self.t_ref!r}.")
        arrivals = [f"arrive_{r.name}" for r in spec.receptors]
        own = {"flow": ["h"], "hold": ["h"], "crossing": ["h"], "arrive": [*arrivals, "held"]}
        for name, function in self.functions().items():
            known = [*common, *own.get(name, [])]
            for argument in argument_names(function):
                if argument not in known:
                    raise ModelError(f"{owner}.{name}: unknown argument {argument!r}.{nearest(argument, known)}")
            check_body(function, owner)
            if name == "arrive":
                _check_taken(f"{owner}.arrive", spec.receptors, argument_names(function))
            if name in ("earliest", "crossing"):
                continue
            for node in ast.walk(source_tree(function)):
                if isinstance(node, ast.Return):
                    values = node.value.elts if isinstance(node.value, ast.Tuple) else []
                    if len(values) != len(states):
                        raise ModelError(
                            f"{owner}.{name}: must return a tuple of {', '.join(states)}; got {ast.unparse(node)!r}."
                        )


@dataclass(frozen=True)
class NeuronSpec:
    """A neuron model. ``doc`` holds equations, numerics and references, as shown to users."""

    name: str
    doc: str
    state: tuple[StateVar, ...]
    params: tuple[Param, ...]
    derived: tuple[Derived, ...]
    receptors: tuple[Receptor, ...]
    step: Callable[..., Any]
    references: tuple[str, ...] = ("own model",)
    checks: tuple[Check, ...] = ()
    current_unit: str = "pA"
    refractory: str | None = None  # the int state variable that counts refractory steps down, if there is one
    rate: Callable[..., Any] | None = field(default=None, compare=False)  # rate(current, **params) in Hz
    closed_form: ClosedForm | None = None  # None: the event engine refuses the model

    def __post_init__(self) -> None:
        names = [x.name for group in (self.state, self.params, self.derived, self.receptors) for x in group]
        for name in names:
            if not name.isidentifier():
                raise ModelError(f"{self.name}: {name!r} is not a Python name. Rename it.")
            if names.count(name) > 1:
                raise ModelError(f"{self.name}: the name {name!r} is used twice. Rename one.")
        self._check_taken_names()
        if not self.references:
            raise ModelError(f"{self.name}.references: a model cites its source; got none. Add a DOI.")
        for param in self.params:
            param.check(self.name, param.default)
        for var in self.state:
            if var.dtype not in ("float", "int"):
                raise ModelError(f"{self.name}.{var.name}: dtype must be 'float' or 'int'; got {var.dtype!r}.")
            if isinstance(var.init, str) and var.init not in {p.name for p in self.params}:
                raise ModelError(f"{self.name}.{var.name}: init names no parameter; got {var.init!r}.")
        unknown = [a for a in self.arguments if a not in self.known_arguments]
        if unknown:
            hint = nearest(unknown[0], self.known_arguments)
            raise ModelError(
                f"{self.name}.step: argument {unknown[0]!r} is no state variable, parameter, derived constant, "
                f"arrive_<receptor>, i_stim or {', '.join(UNIFORMS)}.{hint}"
            )
        check_body(self.step, self.name)
        for node in ast.walk(source_tree(self.step)):
            if isinstance(node, ast.Return):
                values = node.value.elts if isinstance(node.value, ast.Tuple) else []
                if len(values) != len(self.state) + 1:
                    raise ModelError(
                        f"{self.name}.step: must return {', '.join(v.name for v in self.state)} and whether the neuron "
                        f"fired; got {ast.unparse(node)!r}."
                    )
        for results in dtypes.returned(source_tree(self.step), self.argument_dtypes):
            for var, dtype in zip(self.state, results, strict=False):
                if var.dtype == "int" and dtype == "float":
                    raise ModelError(
                        f"{self.name}.step: the int state {var.name!r} must stay a whole number; got one that may be "
                        "a float. Return int(...) of it, or make its dtype 'float'."
                    )
        _check_taken(f"{self.name}.step", self.receptors, self.arguments)
        if self.closed_form is not None:
            self.closed_form.check(self)

    def _check_taken_names(self) -> None:
        """Raise ModelError where a function would get something else under the name of a variable or constant."""
        taken = dict.fromkeys(UNIFORMS, "a uniform random number") | {"i_stim": "the injected current"}
        taken |= {f"arrive_{r.name}": f"what arrives at receptor {r.name!r}" for r in self.receptors}
        if self.closed_form is not None:
            taken |= {"h": "the time that passes in its closed form", "held": "whether it is refractory"}
        derived = self.closed_form.derived if self.closed_form is not None else ()
        groups: Iterable[Any] = (*self.state, *self.params, *self.derived, *derived)
        names = [x.name for x in groups]
        for name in names:
            if name in taken:
                free = f"{name}_m"
                while free in names:
                    free += "m"
                raise ModelError(
                    f"{self.name}: the name {name!r} is taken; functions of a model get {taken[name]} by it. Rename "
                    f"the variable or constant, for instance to {free!r}."
                )

    @cached_property
    def arguments(self) -> tuple[str, ...]:
        """Names of the step function's arguments, in order."""
        return argument_names(self.step)

    @cached_property
    def uniforms(self) -> tuple[str, ...]:
        """The random numbers, uniform in (0, 1) and independent, that the step function takes."""
        return tuple(name for name in UNIFORMS if name in self.arguments)

    @cached_property
    def known_arguments(self) -> tuple[str, ...]:
        """Every name that a step function of this model may take."""
        groups: Iterable[Any] = (*self.state, *self.params, *self.derived)
        return (*(x.name for x in groups), *(f"arrive_{r.name}" for r in self.receptors), "i_stim", *UNIFORMS)

    @cached_property
    def argument_dtypes(self) -> dict[str, str]:
        """What the step function's arguments are, "int" or "float", by name."""
        groups: Iterable[Any] = (*self.state, *self.derived)
        ints = {x.name for x in groups if x.dtype == "int"}
        return {name: "int" if name in ints else "float" for name in self.arguments}


@dataclass(frozen=True)
class Trace:
    """An exponential trace of a synapse's pre- or postsynaptic spikes: ``side`` is "pre" or "post", ``tau`` names a
    parameter in ms. At a spike it jumps by 1, or to 1 where ``nearest`` (nearest-neighbour pairing). A trace of side
    "between" is 1 just after each event of the synapse: ``flow`` gets exp(-h / tau) without computing it."""

    name: str
    side: str
    tau: str
    nearest: bool = False


@dataclass(frozen=True)
class Modulator:
    """A signal that all synapses of a projection see, the third factor of a rule; the user may set it to another value
    for each target neuron.

    At a spike of the population that carries it, it jumps by ``jump``; between spikes it decays with time constant
    ``tau``, or stays where tau is None. Both name a parameter or derived constant. on_pre and on_post get its value,
    ``flow`` its integral over h ms, times the trace "between" that ``discount`` names, if any.
    """

    name: str
    unit: str
    doc: str
    tau: str | None = None
    jump: str | None = None  # None: only the user sets it
    discount: str | None = None


@dataclass(frozen=True)
class Integral:
    """The integral over time of an observer's signal ``of``, times the trace "between" that ``discount`` names."""

    name: str
    of: str
    discount: str


@dataclass(frozen=True)
class Observer:
    """What a rule takes from each target neuron at every step: signals, such as a filtered membrane potential.

    ``step(..)`` takes by name float state variables of the target's model (``reads``) as they are at the end of the
    step, ``fired`` (1.0 or 0.0), variables of its own (``state``, float64; init is a number, or names a parameter or
    one of ``reads``), the rule's parameters and derived constants; it returns the new variables of its own, then the
    ``signals``, in declared order. on_pre and on_post get signals by name, as of that step; ``flow`` gets
    ``integrals``, over the steps after the event before and up to the one at hand.

    Parameters
    ----------
    delay : names a parameter in ms: ``step`` may then take ``<variable>_late`` too, what the observer's variable was
        this long ago, at least one step
    dendritic : a synapse sees the signals, as it sees postsynaptic spikes, the dendritic part of its delay late;
        otherwise at once
    """

    reads: tuple[str, ...]
    state: tuple[StateVar, ...]
    step: Callable[..., Any]
    signals: tuple[str, ...]
    integrals: tuple[Integral, ...] = ()
    delay: str | None = None
    dendritic: bool = True

    def check(self, owner: str, constants: tuple[str, ...], between: list[str]) -> None:
        """Raise ModelError unless it fits a rule called ``owner``."""
        names = [v.name for v in self.state]
        late = [f"{name}_late" for name in names] if self.delay is not None else []
        _check_names(f"{owner}.observer", ["fired", *self.reads, *names, *late, *self.signals, *constants])
        _check_state(f"{owner}.observer", self.state, (*constants, *self.reads))
        _check_function(owner, self.step, [*self.reads, "fired", *names, *late, *constants], [*names, *self.signals])
        if self.delay is not None and self.delay not in constants:
            raise ModelError(f"{owner}.observer.delay: names no parameter; got {self.delay!r}.")
        for x in self.integrals:
            if x.of not in self.signals or x.discount not in between:
                raise ModelError(
                    f"{owner}.observer.{x.name}: needs of, a signal, and discount, a trace 'between'; got {x}."
                )


UNIFORM = ("uniform", "uniform_2")  # random numbers that rules may take
NUMBER = "number of the synapse"  # what keys them: no Python name, so that no rule's own variable is called so


@dataclass(frozen=True)
class RuleSpec:
    """A plasticity rule: traces, variables of a synapse, and what happens to them at spikes and in between.

    Functions are pure and scalar; they take arguments by name and return the new weight, or a tuple of it and the new
    ``state`` variables in their order where there are any.

    Parameters
    ----------
    on_pre, on_post : ``on_pre(w, ...)``: at a spike of either side. Arguments are ``w``, state variables, traces, the
        modulator, parameters and derived constants; ``uniform`` and ``uniform_2``, independent random numbers in
        (0, 1), others for each synapse and spike. Traces are taken just before the spike's own jump. on_post is None
        where nothing happens at postsynaptic spikes
    state : variables of a synapse beside its weight, float64; init is a number or names a parameter
    flow : ``flow(w, ..., h)``: the solution over h ms without events, from just after one event of the synapse (spike
        of either side) to just before the next; None: nothing changes in between. Of traces it takes those "between";
        of the modulator, the integral. It is called from event to event and never sooner, but where the rule has a
        modulator or an observer, also at the ends of epochs: fixed times, some of discount's time constants apart
    modulator : see :class:`Modulator`; ``net.modulate`` connects it
    observer : see :class:`Observer`; for the clock engine
    bounds : ``bounds(p)``: smallest and largest weight, kept by the functions; numbers, or arrays of one a synapse
    of_synapse : names of constants with a value for each synapse; set where a user gives them

    A presynaptic spike meets the synapse when it arrives there, an axonal delay after it; a postsynaptic one is seen
    the dendritic rest of the delay after it. All of the delay is dendritic by default, as in NEST. Of events of one
    step (event engine: one instant) the modulator's comes first, then the postsynaptic, then the presynaptic one.
    """

    name: str
    doc: str
    params: tuple[Param, ...]
    derived: tuple[Derived, ...]
    traces: tuple[Trace, ...]
    on_pre: Callable[..., Any]
    on_post: Callable[..., Any] | None
    references: tuple[str, ...]
    bounds: Callable[[Any], tuple[float, float]]
    checks: tuple[Check, ...] = ()
    state: tuple[StateVar, ...] = ()
    flow: Callable[..., Any] | None = None
    modulator: Modulator | None = None
    observer: Observer | None = None
    of_synapse: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        signals = (self.modulator,) if self.modulator else ()
        observed = self.observer.signals if self.observer else ()
        integrals = [x.name for x in self.observer.integrals] if self.observer else []
        names = [x.name for group in (self.state, self.traces, signals, self.params, self.derived) for x in group]
        _check_names(self.name, ["w", "h", *UNIFORM, *names, *observed, *integrals])
        for trace in self.traces:
            if trace.side not in ("pre", "post", "between") or trace.tau not in self.constants:
                raise ModelError(
                    f"{self.name}.{trace.name}: needs side 'pre', 'post' or 'between', and tau, a parameter; "
                    f"got {trace}."
                )
        _check_state(self.name, self.state, tuple(p.name for p in self.params))
        for attribute in ("tau", "jump"):
            value = getattr(self.modulator, attribute, None)
            if value is not None and value not in self.constants:
                raise ModelError(f"{self.name}.modulator.{attribute}: names no parameter; got {value!r}.")
        discount, between = getattr(self.modulator, "discount", None), [t.name for t in self.side("between")]
        if discount is not None and discount not in between:
            raise ModelError(f"{self.name}.modulator.discount: names no trace 'between'; got {discount!r}.")
        if self.observer:
            self.observer.check(self.name, self.constants, between)
        results = ["w", *(v.name for v in self.state)]
        common = [*results, *(m.name for m in signals), *self.constants]
        spikes = [t.name for t in (*self.side("pre"), *self.side("post"))]
        for name, function in self.functions().items():
            known = [*common, *between, *integrals, "h"] if name == "flow" else [*common, *spikes, *observed, *UNIFORM]
            _check_function(self.name, function, known, results)
        if not self.references:
            raise ModelError(f"{self.name}.references: a rule cites its source; got none. Add a DOI.")

    @cached_property
    def constants(self) -> tuple[str, ...]:
        """Names of parameters, then of derived constants."""
        return (*(p.name for p in self.params), *(d.name for d in self.derived))

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """Those that are one number for all synapses."""
        return tuple(name for name in self.constants if name not in self.of_synapse)

    @cached_property
    def draws(self) -> tuple[str, ...]:
        """Those of its functions that take random numbers."""
        return tuple(name for name, f in self.functions().items() if not {*UNIFORM}.isdisjoint(argument_names(f)))

    @cached_property
    def own(self) -> tuple[str, ...]:
        """What each synapse has of its own beside its weight."""
        return (*(v.name for v in self.state), *self.of_synapse, *((NUMBER,) if self.draws else ()))

    def of_neurons(self) -> dict[str, str]:
        """Constants that can have no values of synapses, because traces and signals of neurons take them: by whom."""
        found = {t.tau: f"trace {t.name!r}" for t in self.traces}
        if self.modulator:
            found |= {x: f"modulator {self.modulator.name!r}" for x in (self.modulator.tau, self.modulator.jump) if x}
        if self.observer:
            taken: list[Any] = [*argument_names(self.observer.step), self.observer.delay]
            taken += [v.init for v in self.observer.state]
            found |= {str(x): "observer" for x in taken if x in self.constants}
        return found

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The functions by name; on_post and flow only where there are such."""
        functions = {"on_pre": self.on_pre, "on_post": self.on_post, "flow": self.flow}
        return {name: function for name, function in functions.items() if function is not None}

    def not_finite(self, weight: float, variables: Iterable[float]) -> tuple[str, float]:
        """What of a synapse is no finite number, in words, and its value; the weight if it is gone by now."""
        named = {f"variable {v.name!r} ({v.doc}) of the synapse": x for v, x in zip(self.state, variables, strict=True)}
        values = {"synapse": weight, **named}
        return next((found for found in values.items() if not math.isfinite(found[1])), ("synapse", weight))

    def side(self, side: str) -> list[Trace]:
        """Traces of one side, in declared order."""
        return [t for t in self.traces if t.side == side]


@dataclass(frozen=True)
class ShortTermSpec:
    """Short-term plasticity: variables of a source that scale what its spikes deliver.

    ``on_spike(..., h)`` takes state variables, parameters, derived constants and ``h``, the ms since the source's last
    spike (very many at the first); it returns the new state variables in their order, then the factor that multiplies
    the weights of this spike. It may take ``uniform`` and ``uniform_2``, independent random numbers in (0, 1), others
    for each synapse and spike. ``state`` init is a number or names a parameter. Where constants have values for each
    synapse (``of_synapse``), or random numbers are taken, synapses have state variables of their own.
    """

    name: str
    doc: str
    params: tuple[Param, ...]
    state: tuple[StateVar, ...]
    on_spike: Callable[..., Any]
    references: tuple[str, ...]
    derived: tuple[Derived, ...] = ()
    checks: tuple[Check, ...] = ()
    of_synapse: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        names = [x.name for group in (self.state, self.params, self.derived) for x in group]
        given = ["h", *UNIFORM]
        _check_names(self.name, [*given, *names])
        _check_state(self.name, self.state, tuple(p.name for p in self.params))
        _check_function(self.name, self.on_spike, [*given, *names], [*(v.name for v in self.state), "factor"])
        if not self.references:
            raise ModelError(f"{self.name}.references: a rule cites its source; got none. Add a DOI.")

    @cached_property
    def constants(self) -> tuple[str, ...]:
        """Names of parameters, then of derived constants."""
        return (*(p.name for p in self.params), *(d.name for d in self.derived))

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """Those that are one number for all synapses."""
        return tuple(name for name in self.constants if name not in self.of_synapse)

    @cached_property
    def draws(self) -> bool:
        """Whether it takes random numbers."""
        return any(name in UNIFORM for name in argument_names(self.on_spike))

    @cached_property
    def own(self) -> tuple[str, ...]:
        """What each synapse has of its own; nothing where its source has one state for all."""
        if not self.of_synapse and not self.draws:
            return ()
        return (*(v.name for v in self.state), *self.of_synapse, *((NUMBER,) if self.draws else ()))

    def of_neurons(self) -> dict[str, str]:
        """Constants that can have no values of synapses: none."""
        return {}

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The function by name."""
        return {"on_spike": self.on_spike}


def synapse_rows(rule: RuleSpec, short_term: ShortTermSpec | None) -> tuple[dict[str, int], dict[str, int]]:
    """What a synapse has beside its weight, by name: rows of a projection's ``variables``, the rule's and those of the
    short-term rule, which has none where its state is that of the source."""
    first, second = rule.own, short_term.own if short_term else ()
    return {name: k for k, name in enumerate(first)}, {name: len(first) + k for k, name in enumerate(second)}


def _check_taken(owner: str, receptors: tuple[Receptor, ...], arguments: Iterable[str]) -> None:
    taken = set(arguments)
    for name in (r.name for r in receptors):
        if f"arrive_{name}" not in taken:
            raise ModelError(
                f"{owner}: must take arrive_{name}, or spikes at receptor {name!r} have no effect. Take it, or leave "
                "the receptor out."
            )


def _check_names(owner: str, names: list[str]) -> None:
    for name in names:
        if not name.isidentifier():
            raise ModelError(f"{owner}: {name!r} is not a Python name. Rename it.")
        if names.count(name) > 1:
            raise ModelError(f"{owner}: the name {name!r} is used twice, or taken. Rename one.")


def _check_state(owner: str, state: tuple[StateVar, ...], known: tuple[str, ...]) -> None:
    for var in state:
        if var.dtype != "float":
            raise ModelError(f"{owner}.{var.name}: dtype must be 'float'; got {var.dtype!r}.")
        if isinstance(var.init, str) and var.init not in known:
            raise ModelError(f"{owner}.{var.name}: init names no parameter; got {var.init!r}.")


def _check_function(owner: str, function: Callable[..., Any], known: list[str], results: list[str]) -> None:
    """Raise ModelError unless ``function`` takes names of ``known`` alone and returns ``results``."""
    owner_function = f"{owner}.{function.__name__}"
    for argument in argument_names(function):
        if argument not in known:
            raise ModelError(f"{owner_function}: unknown argument {argument!r}.{nearest(argument, known)}")
    check_body(function, owner)
    returns = [node for node in ast.walk(source_tree(function)) if isinstance(node, ast.Return)]
    for node in returns:
        got = len(node.value.elts) if isinstance(node.value, ast.Tuple) else 1
        if got != len(results) or node.value is None:
            raise ModelError(f"{owner_function}: must return {', '.join(results)}; got {ast.unparse(node)!r}.")
    if not returns:
        raise ModelError(f"{owner_function}: must return {', '.join(results)}; got no return.")
