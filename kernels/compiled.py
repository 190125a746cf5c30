"""A network as an engine takes it: flat arrays, and which generated functions work on them."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.codegen import Variant
from kernels.layout import Constants, Edges, Inputs, Plastic, Probes, State, Tables
from kernels.spec import RuleSpec, ShortTermSpec

HASH_PIECE = 2**25


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
    edges: list[Edges]
    learned: list[Edges]  # of plastic projections, in their order
    plastic: list[Plastic]
    rules: list[tuple[RuleSpec, ShortTermSpec | None]]
    probes: Probes
    n_edges: int

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

    def digest(self, threads: int) -> str:
        """Hash of constants, inputs, initial state and edges, before the first step."""
        tuples = (self.constants, self.state, self.inputs, self.probes, *self.edges, *self.learned, *self.plastic)
        arrays = [np.ascontiguousarray(a).reshape(-1).view(np.uint8) for t in tuples for a in t if _is_array(a)]
        pieces = [a[k : k + HASH_PIECE] for a in arrays for k in range(0, max(a.size, 1), HASH_PIECE)]
        with ThreadPoolExecutor(threads) as pool:  # hashlib lets other threads run
            parts = list(pool.map(lambda piece: hashlib.sha256(piece.data).digest(), pieces))
        return hashlib.sha256(b"".join([repr((self.dt, self.precision)).encode(), *parts])).hexdigest()[:32]


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)
