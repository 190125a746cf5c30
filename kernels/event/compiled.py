"""A network as the event engines take it."""

from dataclasses import dataclass

import numpy as np

from kernels.errors import SimError
from kernels.event.generate import Form
from kernels.event.layout import Block, Edges, Inputs, Net, Plastic, Streams
from kernels.spec import RuleSpec, ShortTermSpec


@dataclass
class Rule:
    """What changes a plastic projection."""

    projection: str
    spec: RuleSpec
    short_term: ShortTermSpec | None
    about: str  # projection and rule, for errors


@dataclass
class EventNetwork:
    """Everything that the event engines need."""

    net: Net
    forms: list[Form]  # by Net.kind
    blocks: list[Block]
    edges: list[Edges]  # by block
    rules: list[Rule]  # of plastic projections, in the order of their groups in Edges
    plastic: list[list[Plastic]]  # by block, then plastic projection
    inputs: Inputs
    streams: list[Streams]  # by block
    capacity: int  # most spikes of a block in a window
    names: list[str]  # of populations
    parts: dict[str, str]  # hash of each part of the network

    @property
    def n_edges(self) -> int:
        """Number of synapses."""
        return sum(int(e.targets.size) for e in self.edges)

    def check_weights(self) -> None:
        """Raise SimError if a rule made a weight or variable of a synapse no finite number."""
        for q, rule in enumerate(self.rules):
            found = []
            for block, edges, row in zip(self.blocks, self.edges, self.plastic, strict=True):
                x = row[q]
                if np.isfinite(x.fault[0]):
                    at, k = int(edges.at[x.group]), int(x.fault[1])
                    starts = edges.rows[at : at + len(x.last) + 1]
                    source = int(np.searchsorted(starts, starts[0] + k, side="right")) - 1
                    code = int(edges.targets[starts[0] + k]) & ((1 << self.net.bits) - 1)
                    target = code - int(block.first[x.target]) + int(block.lo[x.target])
                    what, value = rule.spec.not_finite(
                        float(x.weights[k]), x.variables[: len(rule.spec.state), k].tolist()
                    )
                    found.append((float(x.fault[0]), source, target, what, value))
            for t, source, target, what, value in sorted(found)[:1]:
                raise SimError(
                    f"{rule.about} made the {what} of source {source} and target {target} no finite number at "
                    f"t = {float(t)!r} ms; got {value!r}. Check the rule."
                )
