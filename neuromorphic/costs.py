"""What an integer network costs on a chip: cores, memory, spikes, synaptic operations, and energy where it is known.

Energy is counts times coefficients, each with its source. Left out, since no figure or no placement is public: hops
between tiles, barriers, static power, input and output. No energy per operation is public for Loihi 2.
"""

from dataclasses import dataclass

import numpy as np

from kernels.errors import ModelError
from neuromorphic.fixed_point import IntegerNetwork, IntegerResult
from neuromorphic.targets import CHIPS, Mapping, map_network


@dataclass(frozen=True)
class Profile:
    """Energy of single events, pJ.

    Attributes
    ----------
    synop : a synaptic operation
    update : of a synapse that learns, at the end of an epoch; None where no figure is known, and none is counted
    quiet, fired : the update of a neuron that does not spike, or does, with what a spike costs its core
    message : a spike sent to a core, without hops
    """

    synop: float
    update: float | None
    quiet: float
    fired: float
    message: float
    source: str


PROFILES = {
    "davies2018": Profile(
        23.6, 120.0, 52.0, 81.0, 1.7,
        "Davies et al. 2018, Table 2, 0.75 V, simulated before silicon; a synaptic operation at least; neurons that do "
        "not spike counted as inactive: a lower bound; updates of synapses as in pair STDP",
    ),
    "sanafe-loihi1": Profile(
        33.6, None, 51.2 + 21.6, 51.2 + 21.6 + 69.3, 111.0,
        "SANA-FE 2.2.9, architecture loihi (Boyle et al. 2025), fitted to Loihi 1; sparse synapses; without learning",
    ),
}  # fmt: skip


@dataclass
class Cost:
    """Counts and energy of a run.

    Attributes
    ----------
    mapping : the network on the chip's cores
    steps : length of the run
    spikes : by population and source
    updates : of synapses that learn, summed over epochs
    synops : synaptic operations: a spike's synapses, summed over all spikes
    messages : spikes times the cores that they are sent to
    energy : by profile, nJ of the whole run; empty where no figure is public
    """

    mapping: Mapping
    steps: int
    spikes: dict[str, int]
    synops: int
    messages: int
    updates: int
    energy: dict[str, float]

    def __str__(self) -> str:
        m, chip = self.mapping, self.mapping.chip
        rows = [
            f"{chip.name}: {m.cores} cores on {m.chips} chip(s), {chip.cores} on each",
            f"fullest core: {m.neurons.max():,} neurons of {chip.neurons}",
            f"  {m.memory.max():,} bits of synaptic memory of {chip.memory}",
            f"  {m.axons_in.max():,} axons in of {chip.axons_in}; {m.axons_out.max():,} out of {chip.axons_out}",
            f"{self.steps} steps: {self.synops:,} synaptic operations, {self.messages:,} messages; spikes: "
            + ", ".join(f"{k} {n:,}" for k, n in self.spikes.items()),
        ]
        rows += [f"learning: {self.updates:,} updates of synapses"] * bool(self.updates)
        for name, energy in self.energy.items():
            rows.append(
                f"energy ({name}): {energy:.4g} nJ, {energy / self.steps:.4g} nJ a step. {PROFILES[name].source}"
            )
        if not self.energy:
            rows.append(f"energy: no public figure for an operation of {chip.name}; multiply the counts by your own")
        return "\n".join(rows)


def cost(net: IntegerNetwork, result: IntegerResult, steps: int, chip: str = "loihi2", chips: int = 1) -> Cost:
    """What ``net`` costs on a chip in the ``steps`` steps that gave ``result``.

    Parameters
    ----------
    result : from ``net.run(steps)``
    chip, chips : see :func:`neuromorphic.map_network`

    Raises
    ------
    ModelError
        Where the result is of another number of steps.
    ExportError
        Where it does not fit: see :func:`neuromorphic.map_network`.
    """
    if isinstance(steps, bool) or steps != result.total:
        raise ModelError(f"cost.steps: must be those of the result, {result.total}; got {steps!r}.")
    mapping = map_network(net, chip, chips)
    counts = {name: np.bincount(ids, minlength=net.populations[name].n) for name, ids in result.ids.items()}
    for name, s in net.sources.items():
        counts[name] = np.bincount(s.ids[s.steps <= steps], minlength=s.n)
    fan = np.zeros(sum(net.sizes.values()), np.int64)
    for p in net.projections.values():
        np.add.at(fan, net.first[p.parts[0]] + p.sources, 1)
    synops = int(np.sum(np.concatenate([counts[k] for k in net.sizes]) * fan))
    messages = int(sum(np.sum(counts[k] * mapping.reached[k]) for k in counts))
    fired = int(sum(counts[k].sum() for k in net.populations))
    updates = steps * int(sum(p.n for p in net.populations.values()))
    learned, energy = sum(result.updates.values()), {}
    if mapping.chip is CHIPS["loihi1"]:
        for name, each in PROFILES.items():
            picojoule = (
                synops * each.synop + (updates - fired) * each.quiet + fired * each.fired + messages * each.message
                + learned * (each.update or 0.0)
            )  # fmt: skip
            energy[name] = picojoule * 1e-3
    return Cost(mapping, steps, {k: int(c.sum()) for k, c in counts.items()}, synops, messages, learned, energy)
