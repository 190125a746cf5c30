"""A network as the event engines take it."""

import hashlib
from dataclasses import dataclass

import numpy as np

from kernels.event.generate import Form
from kernels.event.layout import Block, Edges, Inputs, Net, Streams


@dataclass
class EventNetwork:
    """Everything that the event engines need."""

    net: Net
    forms: list[Form]  # by Net.kind
    blocks: list[Block]
    edges: list[Edges]  # by block
    inputs: Inputs
    streams: list[Streams]  # by block
    capacity: int  # most spikes of a block in a window
    names: list[str]  # of populations

    @property
    def n_edges(self) -> int:
        """Number of synapses."""
        return sum(int(e.targets.size) for e in self.edges)

    def digest(self) -> str:
        """Hash of constants, initial state, inputs and edges, before the first event."""
        parts = [self.net, self.inputs, *self.edges, *self.blocks, *self.streams]
        digest = hashlib.sha256()
        for array in (a for part in parts for a in part):
            digest.update(np.ascontiguousarray(array).view(np.uint8).data if np.size(array) else b"")
        return digest.hexdigest()[:32]
