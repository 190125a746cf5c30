"""Limits of chips, with their sources, and how an integer network is spread over a chip's cores.

Synaptic memory is counted as nengo-loihi does for Loihi 1: each source neuron and projection that reaches a core has a
list there, in blocks of up to 64 synapses; a block has a header of 10 bits and is rounded up to words of 64; a synapse
takes its weight bits, delay bits and the bits of a neuron's index; one that learns 9 bits of weight (8 where weights
have one sign) and 9 of each tag that its rule reads or changes, Lava's widths. For Loihi 2 the layout is not public;
the same is assumed.
"""

import math
from dataclasses import dataclass

import numpy as np

from kernels.errors import ExportError, ModelError, nearest
from kernels.jit import jit
from neuromorphic.fixed_point import IntegerNetwork
from neuromorphic.fixed_point_step import MIXED
from snn.units import whole

WORD, HEADER, BLOCK = 64, 10, 64
DAVIES = "Davies et al. 2018, doi:10.1109/MM.2018.112130359"
BRIEF = "Intel, Loihi 2 technology brief, 2021"


@dataclass(frozen=True)
class Limit:
    """A figure with its source; ``value`` None where none is public, and nothing is checked."""

    value: int | None
    source: str

    def __str__(self) -> str:
        return "no public figure" if self.value is None else f"{self.value:,} ({self.source})"


@dataclass(frozen=True)
class Chip:
    """Limits of a chip: cores, and per core neurons, bits of synaptic memory, axons in and out, kinds of x1 and x2."""

    name: str
    cores: Limit
    neurons: Limit
    memory: Limit
    axons_in: Limit
    axons_out: Limit
    pre_traces: Limit


CHIPS = {
    "loihi1": Chip(
        "Loihi 1", Limit(128, DAVIES), Limit(1024, DAVIES), Limit(128 * 1024 * 8, DAVIES), Limit(4096, DAVIES),
        Limit(4096, DAVIES), Limit(3, "nengo-loihi 1.1.0, whose authors call it unconfirmed"),
    ),
    "loihi2": Chip(
        "Loihi 2", Limit(120, "Lava 0.10.0, logical cores of N3; the brief says 128"), Limit(8192, BRIEF),
        Limit(128 * 1024 * 8, BRIEF), Limit(None, "-"), Limit(None, "-"), Limit(None, "-"),
    ),
}  # fmt: skip


@dataclass
class Mapping:
    """A network on cores, in order of populations and neurons.

    Attributes
    ----------
    chip : its limits
    core : by population, the core of each neuron, shape (n,)
    neurons, memory, axons_in, axons_out : what each core holds, shape (cores,); memory in bits
    reached : by population and source, the number of cores that a spike of each neuron is sent to, shape (n,)
    """

    chip: Chip
    core: dict[str, np.ndarray]
    neurons: np.ndarray
    memory: np.ndarray
    axons_in: np.ndarray
    axons_out: np.ndarray
    reached: dict[str, np.ndarray]

    @property
    def cores(self) -> int:
        """Number of cores used."""
        return len(self.neurons)

    @property
    def chips(self) -> int:
        """Number of chips that have as many cores."""
        return math.ceil(self.cores / (self.chip.cores.value or 1))


@jit
def bits_of_row(synapses, width):  # type: ignore[no-untyped-def]
    """Bits of a list of so many synapses of ``width`` bits each."""
    rest = synapses % BLOCK
    bits = synapses // BLOCK * -(-(HEADER + BLOCK * width) // WORD) * WORD
    return bits + (-(-(HEADER + rest * width) // WORD) * WORD if rest else 0)


def map_network(net: IntegerNetwork, chip: str = "loihi2", chips: int = 1) -> Mapping:
    """Spread a network over cores: neurons in order, a new core where the next one would break a limit.

    Parameters
    ----------
    net : IntegerNetwork
    chip : "loihi1" or "loihi2"
    chips : how many there are

    Raises
    ------
    ExportError
        With every limit broken: the population, what it uses, what is allowed, and the nearest fix.

    Examples
    --------
    >>> from neuromorphic import IntegerLIF, IntegerNetwork, map_network
    >>> map_network(IntegerNetwork({"a": IntegerLIF(3000)}, {}, {}), "loihi1").neurons
    array([1024, 1024,  952])
    """
    if chip not in CHIPS:
        raise ModelError(
            f"map_network.chip: must be one of {', '.join(CHIPS)}; got {chip!r}.{nearest(str(chip), CHIPS)}"
        )
    chips = whole("map_network.chips", chips)
    limits, rows, sizes = CHIPS[chip], _Rows(net, CHIPS[chip]), [p.n for p in net.populations.values()]
    owner = np.repeat(np.arange(len(sizes)), sizes)
    names = list(net.populations)
    none = np.iinfo(np.int64).max
    top = np.array([none if x.value is None else x.value for x in (limits.neurons, limits.memory, limits.axons_in)])
    core, used, most = pack(rows.first, rows.of_target, rows.width, top)
    out, reached = rows.messages(core)
    problems = []
    for j, name in enumerate(names):
        for k in range(1, 3):
            alone = most[owner == j, k]
            if np.any(alone > top[k]):
                problems.append(
                    f"Population {name!r}: {np.sum(alone > top[k])} neurons need up to {alone.max():,} {_WHAT[k][0]} "
                    f"each; a core of {limits.name} has {top[k]:,}. {_WHAT[k][1]}"
                )
    axons = np.bincount(core, out, len(used)).astype(np.int64)
    if limits.axons_out.value is not None:
        for c in np.flatnonzero(axons > limits.axons_out.value):
            inside = ", ".join(sorted({names[owner[i]] for i in np.flatnonzero(core == c)}))
            problems.append(
                f"Core {c} ({inside}): sends {axons[c]:,} axons; {limits.name} allows {limits.axons_out.value:,}. "
                "Connect to fewer populations, or use smaller ones."
            )
    kinds: dict[int, set[tuple[tuple[float, float], ...]]] = {}
    for p in net.projections.values():
        if p.learning is not None:
            for c in np.unique(core[p.targets + net.first[p.target]]).tolist():
                kinds.setdefault(c, set()).add((p.learning.x1, p.learning.x2))
    for c, found in sorted(kinds.items()):
        if limits.pre_traces.value is not None and len(found) > limits.pre_traces.value:
            problems.append(
                f"Core {c}: {len(found)} kinds of presynaptic traces; {limits.name} allows {limits.pre_traces.value}. "
                "Let rules have the same x1 and x2."
            )
    cores, last = len(used), chips * (limits.cores.value or 1)
    if cores > last:
        first = np.searchsorted(core, last)
        place, need = first - int(np.sum(sizes[: owner[first]])), math.ceil(cores / (limits.cores.value or 1))
        problems.append(
            f"Population {names[owner[first]]!r}: neuron {place} is the first that finds no core: the network needs "
            f"{cores:,} cores, {chips} x {limits.name} have {last:,}. Use chips={need}."
        )
    if problems:
        raise ExportError("map_network:\n  " + "\n  ".join(problems))
    begin = np.cumsum([0, *sizes])
    neurons, memory, axons_in = used.T
    places = {name: core[begin[k] : begin[k + 1]] for k, name in enumerate(names)}
    return Mapping(limits, places, neurons, memory, axons_in, axons, reached)


_WHAT = (
    ("neurons", "Use another chip."),
    ("bits of synaptic memory", "Use fewer synapses a neuron, or fewer weight bits."),
    ("input axons", "Let fewer neurons reach one."),
)


@jit
def pack(first, of_target, width, top):  # type: ignore[no-untyped-def]
    """Neurons in order on cores: (core of each, what each core holds, what each neuron added to its core).

    The last two are of shape (.., 3): neurons, bits, axons in. Neuron i has the rows of_target[first[i]:first[i + 1]],
    each once.
    """
    n = len(first) - 1
    core, used, most = np.zeros(n, np.int64), np.zeros((n, 3), np.int64), np.zeros((n, 3), np.int64)
    held = np.zeros(len(width), np.int64)  # synapses of each row on core ``on``
    on = np.full(len(width), -1)
    last = 0
    for i in range(n):
        for _ in range(2):  # beside what the core holds, then on an empty one
            cost = np.zeros(3, np.int64)
            cost[0] = 1
            for e in range(first[i], first[i + 1]):
                row = of_target[e]
                if on[row] != last:
                    held[row], on[row] = 0, last
                if held[row] == 0:
                    cost[2] += 1
                cost[1] += bits_of_row(held[row] + 1, width[row]) - bits_of_row(held[row], width[row])
                held[row] += 1
            fits = True
            for k in range(3):
                fits = fits and used[last, k] + cost[k] <= top[k]
            if fits or used[last, 0] == 0:
                break
            last += 1
        most[i] = cost
        used[last] += cost
        core[i] = last
    return core, used[: last + 1], most


class _Rows:
    """Synapses as rows: one for each projection and source that has any. Neurons are counted through."""

    def __init__(self, net: IntegerNetwork, chip: Chip) -> None:
        self.net = net
        index = max(1, math.ceil(math.log2(chip.neurons.value or 1)))
        total = sum(p.n for p in net.populations.values())
        targets, keys, widths, self.owners, at = [], [], [], [], 0
        for p in net.projections.values():
            sources, row = np.unique(p.sources, return_inverse=True)
            targets.append(p.targets + net.first[p.target])
            keys.append(row + at)
            delay = int(np.max(p.delays, initial=0)).bit_length()
            bits = p.bits if p.learning is None else 8 + (p.sign_mode == MIXED) + 9 * len(p.learning.tags)
            widths.append(np.full(len(sources), bits + delay + index))
            self.owners.append((sources + net.first[p.parts[0]], at))
            at += len(sources)
        none = np.empty(0, np.int64)
        target, key = np.concatenate([*targets, none]), np.concatenate([*keys, none])
        order = np.lexsort((key, target))
        self.target, self.of_target = target[order], key[order]
        self.first = np.searchsorted(self.target, np.arange(total + 1))
        self.width, self.count = np.concatenate([*widths, none]), at

    def messages(self, core: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Axons that each neuron sends, and by population and source the cores that each neuron reaches."""
        pairs = np.unique(np.stack((self.of_target, core[self.target])), axis=1)
        lists = np.bincount(pairs[0], minlength=self.count)
        reached = np.zeros(sum(self.net.sizes.values()), np.int64)
        for sources, at in self.owners:
            reached[sources] += lists[at : at + len(sources)]
        first, sizes = self.net.first, self.net.sizes
        return reached[: len(core)], {k: reached[first[k] : first[k] + n] for k, n in sizes.items()}
