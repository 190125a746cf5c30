"""What a network is made of: populations and their parts, projections, inputs, probes. Made by :class:`snn.Network`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from kernels.errors import ModelError, nearest
from kernels.spec import NeuronSpec
from plasticity.base import PlasticityRule, ShortTerm
from plasticity.static import Static
from snn.among import chosen
from snn.connect import Rule
from snn.inputs import CurrentInput, Poisson, SpikeArray, SpikeInput
from snn.neurons.base import NeuronModel
from snn.units import brief

SPIKES = "spikes"
T = TypeVar("T", bound=type)


def _settled(advice: str, swap: str = "") -> Callable[[T], T]:
    """Class decorator: attributes cannot be assigned, which would pass by all checks; the error gives ``advice``.

    ``swap``: the attribute that holds a source of spikes or current, which another of its kind may replace.
    """

    def settled(cls: T) -> T:
        def assign(self: Any, name: str, value: Any = None) -> None:
            before = getattr(self, name, None)
            if name != swap or not _replaces(before, value):
                raise ModelError(f"{cls.__name__} {self.name!r}.{name}: cannot be assigned or deleted. {advice}")
            object.__setattr__(self, name, value)

        cls.__setattr__ = cls.__delattr__ = assign  # type: ignore[assignment,method-assign]
        return cls

    return settled


def _replaces(before: Any, source: Any) -> bool:
    for kind in (CurrentInput, SpikeInput):
        if isinstance(before, kind) and isinstance(source, kind):
            return getattr(before, "weights", None) is None and getattr(source, "weights", None) is None
    return False


@_settled(
    "Give parameters to its model and initial values to net.population(init=); sim.set_parameters, sim.set_source and "
    "sim.set_state change them between runs.",
    swap="model",
)
@dataclass(frozen=True, eq=False)
class Population:
    """``n`` neurons of one model, or ``n`` spike sources. Made by :meth:`Network.population`.

    Cannot be changed, but that ``model``, where it is a spike source, may be replaced by another.
    """

    name: str
    n: int
    model: NeuronModel | Poisson | SpikeArray
    init: dict[str, Any] = field(default_factory=dict)
    positions: np.ndarray | None = None
    wrap: np.ndarray | None = None  # period of each dimension, inf where it is open; None: all are

    @property
    def spec(self) -> NeuronSpec | None:
        """The model's spec; None for spike sources."""
        return self.model.spec if isinstance(self.model, NeuronModel) else None

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, ids: Any) -> "Part":
        """Some of its neurons, at least one, to be connected, driven or recorded: by a slice, a mask or numbers."""
        if isinstance(ids, (int, np.integer)) and not isinstance(ids, bool) and not 0 <= ids < self.n:
            raise IndexError(f"Population {self.name!r}: neuron {ids} of {self.n}.")  # ends a loop over neurons
        return Part(self, chosen(f"Population {self.name!r}[...]", ids, self.n))

    def __repr__(self) -> str:
        model = self.model.text(brief) if isinstance(self.model, NeuronModel) else repr(self.model)
        return f"Population({self.name!r}, {self.n}, {model})"


@dataclass(frozen=True, eq=False)
class Part:
    """Neurons ``ids`` of a population. Made by indexing it, ``exc[:100]``."""

    population: Population
    ids: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, ids: Any) -> "Part":
        """Some of these neurons, counted within the part."""
        if isinstance(ids, (int, np.integer)) and not isinstance(ids, bool) and not 0 <= ids < len(self):
            raise IndexError(f"{self!r}: neuron {ids} of {len(self)}.")  # ends a loop over neurons
        return Part(self.population, self.ids[chosen(f"{self!r}[...]", ids, len(self))])

    def __repr__(self) -> str:
        return f"{self.population.name}[{len(self.ids)} of {self.population.n}]"


@_settled(
    "Give rule, weights, delays and plasticity to net.connect; sim.set_weights changes weights between runs, also of "
    "plasticity.Static()."
)
@dataclass(frozen=True, eq=False)
class Projection:
    """Edges from ``source`` to ``target``. Made by :meth:`Network.connect`.

    ``receptors``: the receptor (by number) of weights >= 0 and of negative ones.
    """

    name: str
    source: Population
    target: Population
    rule: Rule
    weight: Any
    delay: Any
    receptors: tuple[int, int]
    plasticity: PlasticityRule | None = None
    short_term: ShortTerm | None = None
    axonal_delay: float = 0.0
    modulation: "Modulation | None" = None

    def __post_init__(self) -> None:
        if self.plastic and self.receptors[0] != self.receptors[1]:
            names = [r.name for r in self.target.spec.receptors] if self.target.spec else []
            raise ModelError(
                f"Projection {self.name!r}.receptor: must be one where weights change or short-term plasticity scales "
                f"them; got {' and '.join(names[r] for r in self.receptors)}. Name one, or connect weights of either "
                "sign apart."
            )

    @property
    def plastic(self) -> bool:
        """Whether anything about its synapses changes, or can be set."""
        return self.plasticity is not None or self.short_term is not None

    @property
    def learns(self) -> bool:
        """Whether a rule changes its weights."""
        return self.plasticity is not None and not isinstance(self.plasticity, Static)

    def __repr__(self) -> str:
        learns = "" if self.plasticity is None else f", plasticity={self.plasticity!r}"
        learns += "" if self.short_term is None else f", short_term={self.short_term!r}"
        learns += f", axonal_delay={self.axonal_delay!r}" if self.axonal_delay else ""
        learns += "" if self.modulation is None else f", modulated by {self.modulation!r}"
        values = f"weight={brief(self.weight)}, delay={brief(self.delay)}"
        return f"Projection({self.name!r}, {self.rule!r}, {values}{learns})"


@dataclass(frozen=True, eq=False)
class Modulation:
    """The signal of a projection's rule. Made by :meth:`Network.modulate`."""

    source: Population | None  # None: only the user sets it
    delay: float
    value: float | np.ndarray

    def __repr__(self) -> str:
        if self.source:
            return f"{self.source.name!r} after {self.delay:g} ms"
        value = f"{np.size(self.value)} values" if np.ndim(self.value) else f"{self.value:g}"
        return f"the user, {value} at first"


@_settled(
    "Give source, weight and receptor to net.input; sim.set_source changes the source between runs.", swap="source"
)
@dataclass(frozen=True, eq=False)
class Input:
    """A source of spikes or current for every neuron of ``target``. Made by :meth:`Network.input`.

    Cannot be changed, but that ``source`` may be replaced by another of its kind: of spikes, or of current.
    """

    name: str
    target: Population
    source: SpikeInput | CurrentInput
    weight: Any
    receptor: int  # -1 for a current
    ids: np.ndarray | None = None  # where a part of the population was given

    def __repr__(self) -> str:
        to = self.target.name if self.ids is None else f"{self.target.name}[{len(self.ids)} of {self.target.n}]"
        weight = "" if self.weight is None else f", weight={brief(self.weight)}"
        return f"Input({self.name!r}, {to}, {self.source!r}{weight})"


@_settled("Give what to record to net.record.")
@dataclass(frozen=True, eq=False)
class Probe:
    """What is recorded of a population. Made by :meth:`Network.record`."""

    population: Population
    variable: str
    ids: np.ndarray
    every: float | None

    def __repr__(self) -> str:
        every = "" if self.every is None else f", every={self.every:g}"
        return f"Probe({self.name!r}, {len(self.ids)} of {self.population.n}{every})"

    @property
    def whole(self) -> bool:
        """Whether all neurons are recorded."""
        return self.ids.size == self.population.n

    @property
    def name(self) -> str:
        """Population and variable."""
        return f"{self.population.name}.{self.variable}"

    @property
    def unit(self) -> str:
        """Unit of the recorded variable."""
        state = self.population.spec.state if self.population.spec else ()
        return next((s.unit for s in state if s.name == self.variable), "ms")


def of_rule(owner: str, variable: Any, known: Iterable[str]) -> str:
    """Which of the ``known`` names, "plasticity.x" or "short_term.x", is meant by one of them or "x" alone."""
    names = list(known)
    found = [name for name in names if variable in (name, name.partition(".")[2])]
    if len(found) == 1:
        return found[0]
    if found:
        raise ModelError(
            f"{owner}: {variable!r} is a state variable of both rules. Name {' or '.join(map(repr, found))}."
        )
    bare = [name.partition(".")[2] for name in names]
    there = ", ".join(name if bare.count(short) > 1 else short for name, short in zip(names, bare, strict=True))
    raise ModelError(f"{owner}: no state variable {variable!r}; there are {there or 'none'}.")


@dataclass(frozen=True, eq=False)
class WeightProbe:
    """Weights, or a state variable of synapses, to record. Made by :meth:`Network.record_weights`."""

    projection: Projection
    every: float | None
    variable: str = "weights"

    @property
    def name(self) -> str:
        """What the record calls it: the projection, with the variable where it is not the weights."""
        return self.projection.name if self.variable == "weights" else f"{self.projection.name}.{self.variable}"


def unknown_variable(population: str, spec: NeuronSpec | None, variable: str) -> ModelError:
    """The error about a name that is no state variable of the population, with what to use in its place."""
    if spec is None:
        use = " Spike sources have none."
    elif variable in [p.name for p in spec.params]:
        use = f" It is a parameter of {spec.name}: Simulation.set_parameters changes it."
    else:
        use = nearest(variable, [s.name for s in spec.state])
    return ModelError(f"Population {population!r}: no state variable {variable!r}.{use}")
