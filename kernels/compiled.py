"""A network as an engine takes it: flat arrays, and which generated functions work on them."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from kernels.codegen import Variant
from kernels.connectivity import Recipe
from kernels.layout import Constants, Edges, Inputs, Plastic, Probes, State, Tables
from kernels.spec import RuleSpec, ShortTermSpec


class Drawn(NamedTuple):
    """A static projection whose edges the engine draws."""

    group: int  # of Edges that they belong to
    recipe: Recipe
    source: int  # populations
    target: int
    receptors: tuple[int, int]  # of weights >= 0, of negative ones
    key: tuple[Any, Any]  # of the edges
    values_key: tuple[Any, Any]  # of weights and delays
    weight: np.ndarray  # distribution as kernels.draw has it
    delay: np.ndarray  # the same, ms
    expected: float  # number of edges


@dataclass
class CompiledNetwork:
    """Everything an engine needs."""

    dt: float
    precision: str
    variants: list[Variant]  # by Tables.kind
    tables: Tables
    constants: Constants
    state: State
    inputs: Inputs
    kinds: list[str]  # storage kind of each of edges
    edges: list[Any]  # Edges, or Convolutions where the kind is "kc"
    learned: list[Edges]  # of plastic projections, in their order
    plastic: list[Plastic]
    rules: list[tuple[RuleSpec, ShortTermSpec | None]]
    probes: Probes
    n_edges: int  # about, where the engine draws some
    parts: dict[str, str]  # hash of each part of the network
    room: np.ndarray  # (P,) spikes of an element in one step that there is room for
    drawn: dict[int, list[Drawn]] = field(default_factory=dict)  # what belongs to edges[k], which has none yet

    def show(self, step: int) -> None:
        """Copy the potentials that junctions see to their place at the begin of ``step``."""
        for at, first, n in zip(self.tables.v, self.tables.at, self.tables.n, strict=True):
            if at >= 0:
                self.state.v[step & 1, first : first + n] = self.state.f[at : at + n]

    def nbytes(self) -> dict[str, int]:
        """Bytes by part; "edges" includes the row tables."""
        parts: dict[str, list[Any]] = {
            "constants": [self.constants],
            "state": [self.state],
            "inputs": [self.inputs],
            "edges": [*self.edges, *self.learned],
            "plasticity": list(self.plastic),
        }
        return {name: sum(a.nbytes for t in tuples for a in t if _is_array(a)) for name, tuples in parts.items()}


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)
