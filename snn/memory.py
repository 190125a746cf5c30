"""How much memory a network will take, before anything of it is drawn."""

import os
from pathlib import Path

import numpy as np

from kernels.errors import ModelError
from kernels.spec import synapse_rows
from snn.compile_edges import is_convolution, is_number, recipe_of, weight_type
from snn.compile_synapses import rule_of, short_term_of
from snn.connect import distance_dependent
from snn.distributions import Distribution
from snn.elements import Projection
from snn.inputs import SpikeArray
from snn.network import Network

SPIKE_BYTES = {"clock": 40, "event": 56}  # of a given spike, while it is sorted by time and target
NEURON_COPIES = 3  # of states and constants: resolved, as the engine has them, padding


def estimate(net: Network, engine: str, precision: str, on_device: bool = False) -> tuple[float, float]:
    """(bytes, synapses) that compiling takes at its peak, about; what is recorded in memory is not in it.

    The lists of a projection's sources are all there when the edges are laid out. Distance-dependent projections are
    left out: how many synapses they have shows when they are drawn. Kernels of convolutions are taken as stored once.
    ``on_device``: left out, too, is what a GPU draws itself.
    """
    size = 4 if precision == "float32" else 8
    neurons = sum(
        float(p.n) * size * (len(p.spec.state) + len(p.spec.params) + len(p.spec.receptors))
        for p in net.populations.values()
        if p.spec
    )
    sources = [*(p.model for p in net.populations.values()), *(i.source for i in net.inputs.values())]
    given = sum(x.times.size for x in sources if isinstance(x, SpikeArray))
    total, synapses = NEURON_COPIES * neurons + SPIKE_BYTES[engine] * float(given), 0.0
    for q in net.projections.values():
        if isinstance(q.rule, distance_dependent) or (on_device and recipe_of(net, q)):
            continue
        n = float(q.rule.expected(q.source.n, q.target.n))
        synapses += n
        if engine == "clock" and is_convolution(q) and not on_device:
            total += 3.0 * q.weight.nbytes
            continue
        total += n * synapse_bytes(q, engine, precision)
    return total, synapses


def synapse_bytes(q: Projection, engine: str, precision: str) -> int:
    """Bytes of a synapse while its projection is laid out: source, target, and what differs from one to the next.

    What is drawn is there more than once then: as it is drawn, by source, and with the event engine joined to others.
    """
    source = 2 if q.source.n <= 2**16 else 4
    receptors = len(q.target.spec.receptors) if q.target.spec else 1
    target = 2 if q.target.n * receptors <= 2**16 else 4
    weight = delay = 0
    if q.plastic:
        rows = synapse_rows(rule_of(q), short_term_of(q))
        weight = 8 * (1 + len(rows[0]) + len(rows[1])) + (16 if engine == "event" else 0)
    elif not is_number(q.weight):
        size = np.dtype(weight_type(q.weight, precision) if isinstance(q.weight, Distribution) else float).itemsize
        weight = (3 if engine == "event" else 2) * size
    if not is_number(q.delay):
        delay = 32 if engine == "event" else 10
    return source + target + weight + delay


def check_memory(net: Network, engine: str, precision: str, ranks: int = 1, on_device: bool = False) -> None:
    """Refuse a network that this machine, or what the process may take of it, cannot hold.

    Raises
    ------
    ModelError
        Where the estimate is more than there is, also where nothing else is running.
    """
    needed, synapses = estimate(net, engine, precision, on_device)
    needed /= ranks  # nearly all of it is edges, and each holds its own
    there = memory()
    if needed > there:
        neurons = sum(p.n for p in net.populations.values() if p.spec)
        raise ModelError(
            f"Network: must fit into memory; needs about {needed / 2**30:,.1f} GiB for {neurons:,} neurons and "
            f"{synapses:,.0f} synapses; there are {there / 2**30:,.1f} GiB. Use fewer synapses, constant weights and "
            "delays, precision='float32', or a larger machine."
        )


def memory() -> float:
    """Bytes that this process may hold: of the machine, its control group and its own limit; inf where unknown."""
    limits = [float("inf")]
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        limits.append(float(os.sysconf("SC_PHYS_PAGES")) * os.sysconf("SC_PAGE_SIZE"))
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text(encoding="ascii").strip()
        except OSError:
            continue
        limits += [float(text)] if text.isdigit() else []
    if os.name == "posix":
        import resource

        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        limits += [float(soft)] if soft != resource.RLIM_INFINITY else []
    return min(limits)
