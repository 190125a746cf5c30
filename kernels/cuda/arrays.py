"""From a compiled network to the arrays and the module of the cuda engine; nothing here needs a device."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from kernels import codegen
from kernels.compiled import CompiledNetwork
from kernels.cpu.learn import STATIC
from kernels.cuda import generate, learn
from kernels.cuda.connect import drawn_bytes, largest_weight
from kernels.cuda.layout import Learned, Out, Plan, Synapses, learned, merged, part, plan, synapses
from kernels.errors import BackendUnavailable
from kernels.layout import Array, Constants, Edges, Inputs, Probes, State, Tables
from kernels.packed import form, pack
from kernels.spec import synapse_rows

MAX_CHUNK_STEPS = 100_000
SAMPLE_BYTES = 64e6
ROOM = 2**22  # recorded spikes of a launch
DIGITS = 40  # bits of the largest weight in a fixed-point accumulator, which thus holds 2**22 times that weight


class Arrays(NamedTuple):
    """All that the kernels work on."""

    plan: Plan
    tables: Tables
    constants: Constants
    state: State
    inputs: Inputs
    probes: Probes
    out: Out
    edges: tuple[Edges, ...]
    learned: tuple[Learned, ...]
    synapses: tuple[Synapses, ...]
    spare: tuple[Array, Array, Array]  # for Out.record_step, Out.record_id and Probes.samples: used in turn with them

    def turned(self) -> "Arrays":
        """The same, but what is recorded goes to the spare arrays."""
        x = self
        return x._replace(
            out=x.out._replace(record_step=x.spare[0], record_id=x.spare[1]),
            probes=x.probes._replace(samples=x.spare[2]),
            spare=(x.out.record_step, x.out.record_id, x.probes.samples),
        )

    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return _nbytes(self)

    def arguments(self, net: CompiledNetwork, start: int, stop: int) -> dict[str, tuple[Any, ...]]:
        """Arguments of the kernels, by name, for a launch from step ``start`` to ``stop``."""
        x, end = self, min(start + self.plan.window, stop)
        neurons = (x.plan, x.tables, x.constants, x.state, x.inputs, x.probes, x.out)
        found = {
            "advance": (start, stop, *neurons, *x.edges),
            "begin_launch": (start, end, x.plan, x.tables, x.inputs, x.state),
            "neurons_launch": (start, start, end, 0, *neurons),
            "deliver_launch": (start, end, stop, 0, x.plan, x.tables, x.state, x.inputs, x.out, *x.edges),
        }
        if x.learned:
            found["sweep_launch"] = (x.plan, x.tables, 0, start, 0, 0)
            found["swept_launch"] = (x.plan, 0, x.out, start, 0, 0)
        return found

    def addressed(self, net: CompiledNetwork, address: Callable[[Any], int]) -> "Arrays":
        """The same with ``plan.learned`` on the host; an array is at its ``address``."""
        different, numbers = rules(net)
        rows: list[tuple[Any, ...]] = []
        for number, *values in zip(numbers, self.learned, self.synapses, strict=True):
            kept = zip(values, learn.fields(different[number]), strict=True)
            rows.append((number, *(part(type(x), names)(*(getattr(x, f) for f in names)) for x, names in kept)))
        return self._replace(plan=self.plan._replace(learned=pack(rows, address)))


def _nbytes(value: Any) -> int:
    if isinstance(value, np.ndarray):
        return value.nbytes
    return sum(map(_nbytes, value)) if isinstance(value, tuple) else 0


def memory_plan(net: CompiledNetwork, x: Arrays) -> dict[str, int]:
    """Bytes of device memory by what they are for, before any is taken; the last entry is free once all is built."""
    kept, beside = drawn_bytes(net)
    built = tuple(e for k, e in enumerate(x.edges) if k not in net.drawn)
    plan = {
        "neurons and inputs": _nbytes(x[:3]) + _nbytes(x.inputs) + _nbytes(x.state) - x.state.ring.nbytes,
        "sums under way": x.state.ring.nbytes, "edges built on the host": _nbytes(built),
        "edges drawn on the device": kept, "plastic projections": _nbytes((x.learned, x.synapses)),
        "records": _nbytes((x.out, x.probes, x.spare)), "while edges are drawn": beside,
    }  # fmt: skip
    return {what: n for what, n in plan.items() if n}


def chunk_steps(net: CompiledNetwork) -> int:
    """Most steps of a launch, so that samples fit their buffer."""
    probes = net.probes
    fit = SAMPLE_BYTES / 8 / max(float((np.diff(probes.first) / np.maximum(probes.every, 1)).sum()), 1e-9)
    return int(min(MAX_CHUNK_STEPS, max(fit, net.tables.window, probes.every.max(initial=1))))


def arrays(net: CompiledNetwork, width: int, deterministic: bool) -> Arrays:
    """The arrays of a network on the host, for warps of ``width`` threads."""
    tables, probes = net.tables, net.probes
    plan_ = plan(net, width, ROOM, _unit(net) if deterministic else 0.0)
    slots, capacity = plan_.mask + 1, tables.spike_capacity
    ring = np.zeros(int(np.sum(tables.stride)) * slots, np.int64 if deterministic else net.state.ring.dtype)
    samples = np.diff(probes.first) * (chunk_steps(net) // np.maximum(probes.every, 1) + 1)
    at = np.concatenate(([0], np.cumsum(samples))).astype(np.int64)
    host = Arrays(
        plan=plan_, tables=tables, constants=net.constants,
        state=net.state._replace(ring=ring, current=np.empty(0), words=np.empty(0)),
        inputs=merged(net.inputs, plan_.sources), probes=probes._replace(at=at[:-1].copy(), samples=np.zeros(at[-1])),
        out=Out(
            counts=np.zeros(learn.FLAGS + 2 * len(net.rules), np.int64), spikes=np.zeros((2, capacity, 4), np.int32),
            record_step=np.zeros(ROOM + capacity, np.int32), record_id=np.zeros(ROOM + capacity, np.uint32),
        ),
        edges=tuple(edges._replace(number=np.empty((0, 0))) for edges in net.edges),
        learned=tuple(learned(x, int(e.n_source[0])) for x, e in zip(net.plastic, net.learned, strict=True)),
        synapses=tuple(synapses(e) for e in net.learned),
        spare=(np.zeros(ROOM + capacity, np.int32), np.zeros(ROOM + capacity, np.uint32), np.zeros(at[-1])),
    )  # fmt: skip
    return host.addressed(net, lambda array: 0)  # nothing has its place yet


def module(net: CompiledNetwork, deterministic: bool, more: str = "") -> ModuleType:
    """The generated module with the kernels of a network, and ``more`` source after them."""
    return codegen.load(generate.source(net.variants, net.kinds, rules(net)[0], net.precision, deterministic) + more)


def rules(net: CompiledNetwork) -> tuple[list[learn.Rule], list[int]]:
    """The different rules of a network, and the number of each plastic projection's."""
    each = [learn.Rule(*rule, e.delays.size > 0, x.axonal > 0, form(learned(x, int(e.n_source[0]))), form(synapses(e)))
            for rule, x, e in zip(net.rules, net.plastic, net.learned, strict=True)]  # fmt: skip
    texts = [learn.source(0, rule) for rule in each]
    different = list(dict.fromkeys(texts))
    return [each[texts.index(text)] for text in different], [different.index(text) for text in texts]


def _unit(net: CompiledNetwork) -> float:
    """What 1 in a fixed-point accumulator means: a power of two, by the network's largest weight."""
    x = net.inputs
    arrays = [x.weight, x.event_weight, *(a for e in net.edges for a in (e.weight, e.weights))]
    arrays += [e.weights for e in net.learned]
    arrays += [np.array([largest_weight(d) for drawn in net.drawn.values() for d in drawn])]
    each = [x.values[w : w + net.tables.n[p]] for p in range(net.tables.n.size)
            for w in x.weights[x.first[p] : x.first[p + 1]] if w >= 0]  # fmt: skip
    limits = [0.0]
    for plastic, (rule, _) in zip(net.plastic, net.rules, strict=True):
        if rule is not STATIC:
            rows, _ = synapse_rows(rule, None)
            constants = dict(zip(rule.shared, plastic.constants, strict=True))
            constants |= {name: plastic.variables[rows[name]] for name in rule.of_synapse}
            limits += [float(x) for bound in rule.bounds(SimpleNamespace(**constants)) for x in np.ravel(bound)]
        if not np.all(np.isfinite(limits)):
            raise BackendUnavailable(
                f'backend="cuda": deterministic=True needs bounded weights, and {rule.name} has no bounds here. '
                "Give it such, or use deterministic=False."
            )
    largest = max(float(np.abs(a).max(initial=0.0)) for a in [*arrays, *each, np.array(limits)])
    return 2.0 ** (int(np.frexp(largest)[1]) - DIGITS)
