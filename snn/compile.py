"""Network -> flat arrays: parameters resolved, propagators derived in float64, edges drawn and laid out in blocks."""

import math
from typing import Any

import numpy as np

from kernels.codegen import Variant
from kernels.compiled import CompiledNetwork
from kernels.errors import BackendUnavailable, ModelError
from kernels.layout import (
    LINE,
    Constants,
    Probes,
    State,
    Tables,
    aligned,
    padded,
    zeros,
)  # fmt: skip
from kernels.spec import Derived, NeuronSpec, StateVar
from snn import gap
from snn.compile_edges import draw_edges, is_convolution, is_number, lay_out, lay_out_drawn, pair, recipe_of
from snn.compile_inputs import Codes, encoded, lay_out_inputs, pad
from snn.compile_plastic import plastic
from snn.compile_synapses import has_own, rule_of, short_term_of
from snn.connect import EdgeList
from snn.distributions import Distribution
from snn.elements import SPIKES, Population, Projection
from snn.fingerprint import network_parts
from snn.network import Network
from snn.neurons.base import NeuronModel, Values, check_rules
from snn.ranks import Ranks
from snn.sliding import conv2d

MAX_WINDOW = 64
MAX_DELAY_STEPS = 65535
_U16 = 2**16
SHORT_ROW = 32  # synapses


def compile_network(
    net: Network, dt: float, precision: str, threads: int, ranks: Ranks | None = None, on_device: bool = False
) -> CompiledNetwork:
    """Compile ``net`` for a grid of ``dt`` ms into blocks for ``threads`` threads of each rank.

    Edges are drawn and laid out where their targets are; all ranks compile at the same time. ``on_device``: for an
    engine that draws the edges of all projections that have a recipe, and takes no convolutions as such.
    """
    ranks = ranks or Ranks()
    if not net.populations:
        raise ModelError("Network: has no population. Add one with net.population(name, n, model).")
    float_type = np.dtype(precision).type
    pops = list(net.populations.values())
    index = {p.name: k for k, p in enumerate(pops)}
    sizes = np.array([p.n for p in pops], np.int64)
    gid = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64)
    receptors = np.array([len(p.spec.receptors) if p.spec else 0 for p in pops], np.int64)

    delays = {name: delay_steps(p, dt) for name, p in net.projections.items()}
    window = min([reaction_steps(p, delays[p.name][0], dt) for p in net.projections.values()] + [MAX_WINDOW])
    joined = list(gap.junctions_of(net))
    if joined:
        window = 1  # potentials are seen in the next step
        if ranks.size > 1:
            raise BackendUnavailable(
                f"Input {joined[0].name!r}: gap junctions join neurons of one process; got {ranks.size} ranks. "
                "Use threads."
            )
    for q in net.projections.values():
        if np.size(q.delay) == 0:  # what no synapse has must not be shorter than the window either
            delays[q.name] = (round(q.axonal_delay / dt) + window,) * 2

    lists, totals, recipes = {}, {}, {}
    for q in net.projections.values():
        recipe = recipe_of(net, q) if on_device else None
        if recipe:
            recipes[q.name], totals[q.name] = recipe, (round(q.rule.expected(q.source.n, q.target.n)), 0)
            continue
        if isinstance(q.rule, conv2d) and is_convolution(q) and not on_device:
            q.rule.fits(pair(net, q, threads))
            totals[q.name] = int(q.rule.expected(q.source.n, q.target.n)), q.rule.most()
            continue
        lists[q.name] = draw_edges(net, q, threads, ranks.part(q.target.n) if ranks.size > 1 else None)
        totals[q.name] = _totals(lists[q.name], q.target.n, ranks)
    workers = threads * ranks.size
    n_edges = sum(n for n, _ in totals.values())
    blocks = _block_count(sizes * receptors, _mean_row(net, n_edges), workers)
    lo, hi = _slices(sizes, blocks)
    acc = np.zeros((blocks, len(pops)), np.int64)
    acc[:, 1:] = np.cumsum((hi - lo) * receptors, axis=1)[:, :-1]
    stride = padded(np.sum((hi - lo) * receptors, axis=1))
    # unread slots lie at most a delay ahead; drawn and given delays of static edges are queued
    dense = [delays[p.name][1] for p in net.projections.values() if p.plastic or is_number(p.delay)]
    queued = [delays[p.name][1] for p in net.projections.values() if not (p.plastic or is_number(p.delay))]
    slots = 1 << (max(dense, default=1) - 1).bit_length()
    queue_slots = 1 << (max(queued) - 1).bit_length() if queued else 0
    ring = np.concatenate(([0], np.cumsum(stride * slots)[:-1])).astype(np.int64)

    values = {p.name: resolve_parameters(net, p, dt) for p in pops if p.spec}
    gap.check_stable(joined, values, dt)
    currents = {i.target.name for i in net.inputs.values() if i.receptor < 0}
    variants, kind = _variants(pops, values, currents)
    constants, offsets = _constants(pops, values, variants, kind, float_type)
    state_f, state_i, at_f, at_i = _initial_state(net, pops, values, float_type)
    words = 0
    draws = np.array([len(p.spec.uniforms) if p.spec else 0 for p in pops], np.int64)
    uniform = np.zeros(len(pops), np.int64)
    keys = np.zeros((len(pops), 2), np.uint64)
    for k, p in enumerate(pops):
        keys[k] = net.stream("escape", p.name)
        uniform[k], words = words, words + int(draws[k]) * 4 * padded(p.n)
    inputs, words, noise, most = lay_out_inputs(net, encoded(net, dt), float_type, words)

    capacity = (hi - lo) * window * most[None, :]
    capacity[:, -1] = padded(capacity.sum(axis=1)) - capacity[:, :-1].sum(axis=1)
    spikes = np.concatenate(([0], np.cumsum(capacity.ravel())[:-1])).reshape(capacity.shape).astype(np.int64)
    recorded = np.zeros(len(pops), np.int64)
    for probe in net.probes:
        if probe.variable == SPIKES:
            recorded[index[probe.population.name]] = 1
    tables = Tables(
        window=window, ring_mask=slots - 1, queue_mask=queue_slots - 1, dt=dt, kind=kind, n=sizes, gid=gid,
        pad=padded(sizes),
        at=np.concatenate(([0], np.cumsum(padded(sizes))[:-1])).astype(np.int64), state_f=at_f, state_i=at_i,
        par_f=offsets["par_f"], par_i=offsets["par_i"], het_f=offsets["het_f"], het_i=offsets["het_i"],
        receptors=receptors, current=np.array([int(p.name in currents) for p in pops], np.int64), draws=draws,
        uniform=uniform, key=keys, v=gap.potentials(joined, pops, at_f), lo=lo, hi=hi, acc=acc, stride=stride,
        ring=ring, spikes=spikes, spike_capacity=int(capacity.sum()), recorded=recorded,
        first_block=np.array([blocks * (ranks.rank * threads + t) // workers for t in range(threads + 1)], np.int64),
        shared=int(ranks.size > 1),
    )  # fmt: skip
    state = State(
        f=state_f, i=state_i, ring=zeros(int(np.sum(stride * slots)), float_type),
        current=zeros(int(padded(sizes).sum()) if currents else 0, float_type),
        words=zeros(words, np.uint32), noise=noise,
        v=zeros(2 * int(padded(sizes).sum()) if joined else 0, float_type).reshape(2, -1),
    )  # fmt: skip
    parts = network_parts(net, {"engine": "clock", "dt": dt, "precision": precision}, values, lists, threads, recipes)
    later = lay_out_drawn(recipes, net, index, tables, delays, precision)
    nothing = EdgeList(np.empty(0), np.empty(0))  # lists are freed as they are laid out
    own = {p.name: lists[p.name] if has_own(p) else nothing for p in net.projections.values() if p.plastic}
    edges, learned = lay_out(lists, totals, net, index, tables, delays, most, precision, threads)
    pairs = list(zip((p for p in net.projections.values() if p.plastic), learned, strict=True))
    learning = [plastic(net, p, own[p.name], e, index, tables, most, delays[p.name], state_f) for p, e in pairs]
    return CompiledNetwork(
        dt=dt, precision=precision, variants=variants, tables=tables, constants=constants, state=state, inputs=inputs,
        kinds=[k for k, _ in edges] + [k for k, _, _ in later], edges=[e for _, e in edges] + [e for _, e, _ in later],
        drawn={len(edges) + k: drawn for k, (_, _, drawn) in enumerate(later)}, probes=_probes(net, index, tables, dt),
        learned=learned, plastic=learning,
        rules=[(rule_of(p), short_term_of(p)) for p, _ in pairs],
        n_edges=n_edges, parts=parts, room=most,
    )  # fmt: skip


def set_parameters(compiled: CompiledNetwork, net: Network) -> None:
    """Take the neurons' parameters from ``net``; what was an array stays one, so that little need be compiled."""
    pops, before = list(net.populations.values()), compiled.tables.kind
    values = {p.name: resolve_parameters(net, p, compiled.dt) for p in pops if p.spec}
    gap.check_stable(list(gap.junctions_of(net)), values, compiled.dt)
    old = [compiled.variants[k] if k >= 0 else None for k in before]
    arrays = {p.name: v.varying for p, v in zip(pops, old, strict=True) if v}
    currents = {p.name for p, v in zip(pops, old, strict=True) if v and v.current}
    compiled.variants, kind = _variants(pops, values, currents, arrays)
    compiled.constants, offsets = _constants(pops, values, compiled.variants, kind, compiled.state.f.dtype.type)
    compiled.tables = compiled.tables._replace(kind=kind, **offsets)  # type: ignore[arg-type]


def set_sources(compiled: CompiledNetwork, net: Network, codes: Codes) -> None:
    """Take the sources of inputs from ``net``; ``codes`` as :func:`encoded` gives them.

    Raises
    ------
    ModelError
        A source may emit more spikes in a step than there is room for.
    """
    inputs, *_, most = lay_out_inputs(net, codes, compiled.state.f.dtype.type, 0)
    for p, n, room in zip(net.populations.values(), most.tolist(), compiled.room.tolist(), strict=True):
        if n > room:
            raise ModelError(
                f"Population {p.name!r}.model: {p.model!r} may emit {n} spikes of an element in one step; this "
                f"simulation has room for {room}. Begin with the busiest, or use a smaller dt."
            )
    compiled.inputs = inputs._replace(words=compiled.inputs.words)


def _variants(
    pops: list[Population], values: dict[str, dict[str, Any]], currents: set[str],
    arrays: dict[str, frozenset[str]] | None = None,
) -> tuple[list[Variant], np.ndarray]:  # fmt: skip
    """The different functions of models, and the number of each population's, -1 for spike sources.

    ``currents``: names of populations with injected currents; ``arrays``: constants that are arrays in any case.
    """
    variants: list[Variant] = []
    kind = np.full(len(pops), -1, np.int64)
    for k, p in enumerate(pops):
        if p.spec:
            varying = frozenset(a for a in p.spec.arguments if np.ndim(values[p.name].get(a, 0.0)))
            varying |= (arrays or {}).get(p.name, frozenset())
            variant = Variant(p.spec, varying, p.name in currents and "i_stim" in p.spec.arguments)
            if variant not in variants:
                variants.append(variant)
            kind[k] = variants.index(variant)
    return variants, kind


def _slices(sizes: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """First neuron and last + 1 of each population (column) in each block (row), at cache lines if there are many."""
    bounds = np.array([sizes * b // blocks for b in range(blocks + 1)], np.int64)
    large = sizes >= LINE * blocks
    bounds[1:-1, large] = padded(bounds[1:-1, large])
    return bounds[:-1].copy(), bounds[1:].copy()


def _block_count(accumulators: np.ndarray, row: float, threads: int) -> int:
    """Blocks, a multiple of threads; enough for 16-bit numbers of a block's accumulators, unless rows grow short.

    Not more: shorter rows cost more than a smaller slot of the ring saves.
    """
    wanted = math.ceil(int(accumulators.sum()) / (threads * (_U16 - LINE)))
    return threads * max(1, min(wanted, int(row / (threads * SHORT_ROW))))


def _totals(edges: EdgeList, n: int, ranks: Ranks) -> tuple[int, int]:
    """Edges of a whole projection to ``n`` targets, and most of one target, from the ranks' parts."""
    first, last = (n * (ranks.rank + k) // ranks.size for k in (0, 1))
    degrees = np.diff(edges.indptr[first : last + 1])
    found = ranks.gather((int(degrees.sum()), int(degrees.max(initial=0))))
    return sum(number for number, _ in found), max(most for _, most in found)


def _mean_row(net: Network, n_edges: int) -> float:
    """Mean number of targets of a neuron that has any."""
    sources = {p.source.name: p.source.n for p in net.projections.values()}
    return n_edges / max(sum(sources.values()), 1)


def delay_steps(projection: Projection, dt: float) -> tuple[int, int]:
    """Smallest and largest delay in steps; (1, 1) of an array for no edges, which :func:`reaction_steps` passes by."""
    owner, delay = f"Projection {projection.name!r}", projection.delay
    if isinstance(delay, Distribution):
        low, high = delay.bounds()
        if low < dt * (1 - 1e-9):
            raise ModelError(f"{owner}.delay: must be >= dt = {dt} ms, but {delay!r} reaches {low}. Give low={dt}.")
        row = delay.row()
        if math.isinf(high):  # the largest value that a 32-bit uniform number reaches
            from kernels.draw import quantile

            high = float(quantile(row, 1.0 - 2.0**-33))
    else:
        low, high = float(np.min(delay, initial=math.inf)), float(np.max(delay, initial=0.0))
        if np.size(delay) == 0:
            return 1, 1
        if low < dt * (1 - 1e-9):
            raise ModelError(f"{owner}.delay: must be >= dt = {dt} ms; got {low}.")
    steps = max(1, round(low / dt)), max(1, math.ceil(high / dt))
    if steps[1] > MAX_DELAY_STEPS:
        raise ModelError(
            f"{owner}.delay: must be at most {MAX_DELAY_STEPS} steps = {MAX_DELAY_STEPS * dt:g} ms; got {high:g}. "
            "Give the distribution high=."
        )
    return steps


def reaction_steps(projection: Projection, shortest: int, dt: float) -> int:
    """Steps after which the projection acts on a spike at the earliest; ``shortest``: its smallest delay in steps.

    Refuses an axonal delay and a modulator that do not fit.
    """
    axonal = round(projection.axonal_delay / dt)
    soonest = shortest - axonal if np.size(projection.delay) else MAX_WINDOW  # without edges never
    if soonest < 1:
        raise ModelError(
            f"Projection {projection.name!r}.axonal_delay: must be at least dt = {dt} ms below every delay; got "
            f"{projection.axonal_delay} ms of {shortest * dt:g} ms."
        )
    check_modulated(projection)
    if projection.modulation is None or projection.modulation.source is None:
        return soonest
    delay = projection.modulation.delay
    if delay < dt * (1 - 1e-9):
        raise ModelError(f"Projection {projection.name!r}.modulator.delay: must be >= dt = {dt} ms; got {delay}.")
    return min(soonest, max(1, round(delay / dt)))


def check_modulated(projection: Projection) -> None:
    """Refuse a rule that takes a modulator and has none."""
    plasticity = projection.plasticity
    signal = plasticity.spec.modulator if plasticity else None
    if plasticity and signal and projection.modulation is None:
        raise ModelError(
            f"Projection {projection.name!r}.modulator: {plasticity.spec.name} needs {signal.name!r}, which was "
            "never connected. Use net.modulate(projection, population) or net.modulate(projection); in a file, "
            "modulator = {source = ...} or {value = ...}."
        )


def resolve_parameters(
    net: Network, population: Population, dt: float, constants: tuple[Derived, ...] | None = None
) -> dict[str, Any]:
    """Parameters and derived constants (those of the step function by default) by name, float64."""
    model = population.model
    if not isinstance(model, NeuronModel):  # pragma: no cover - callers pass populations with a spec
        raise ModelError(f"Population {population.name!r}: has no parameters.")
    spec = model.spec
    values: dict[str, Any] = {}
    for parameter in spec.params:
        value = model.params[parameter.name]
        if isinstance(value, Distribution):
            value = value.draw(population.n, net.stream("parameter", population.name, parameter.name))
            parameter.check(f"{spec.name} of population {population.name!r}", value)
        values[parameter.name] = value
    check_rules(spec, values)
    for derived in spec.derived if constants is None else constants:
        value = np.asarray(derived.value(spec.name, Values(values), dt), float)
        if not np.all(np.isfinite(value)):
            raise ModelError(f"{spec.name}.{derived.name}: is not finite at dt = {dt} ms. Check the parameters.")
        if derived.dtype == "int" and np.any(np.abs(value) >= 2**31):
            raise ModelError(
                f"{spec.name}.{derived.name} of population {population.name!r}: must be below 2**31, as numbers of "
                f"steps are; got {value.flat[np.argmax(np.abs(value))]:g} at dt = {dt} ms. Use shorter times."
            )
        if np.ndim(value) and value.shape != (population.n,):
            raise ModelError(
                f"{spec.name}.{derived.name}: compute must give a number or one a neuron; got {value.shape}."
            )
        values[derived.name] = float(value) if value.ndim == 0 else value
    return values


def _constants(
    pops: list[Population],
    values: dict[str, dict[str, Any]],
    variants: list[Variant],
    kind: np.ndarray,
    float_type: Any,
) -> tuple[Constants, dict[str, np.ndarray]]:
    parts: dict[str, list[np.ndarray]] = {name: [] for name in Constants._fields}
    sizes = dict.fromkeys(parts, 0)
    offsets = {name: np.zeros(len(pops), np.int64) for name in parts}
    for k, p in enumerate(pops):
        for store, names in variants[kind[k]].constants().items() if kind[k] >= 0 else ():
            offsets[store][k] = sizes[store]
            for name in names:
                array = np.asarray(values[p.name][name], float)
                each = store.startswith("het")
                parts[store].append(pad(np.broadcast_to(array, (p.n,))) if each else array.reshape(1))
                sizes[store] += parts[store][-1].size
    types = {"f": float_type, "i": np.int32}
    flat = {s: aligned(np.concatenate([*x, np.empty(0)]).astype(types[s[-1]])) for s, x in parts.items()}
    return Constants(**flat), offsets


def _initial_state(
    net: Network, pops: list[Population], values: dict[str, dict[str, Any]], float_type: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    arrays: dict[str, list[np.ndarray]] = {"float": [], "int": []}
    sizes = {"float": 0, "int": 0}
    at = {"float": np.zeros(len(pops), np.int64), "int": np.zeros(len(pops), np.int64)}
    for k, p in enumerate(pops):
        at["float"][k], at["int"][k] = sizes["float"], sizes["int"]
        for var in p.spec.state if p.spec else ():
            arrays[var.dtype].append(pad(initial_values(net, p, var, values[p.name])))
            sizes[var.dtype] += arrays[var.dtype][-1].size
    floats, ints = (np.concatenate([*arrays[kind], np.empty(0)]) for kind in ("float", "int"))
    return aligned(floats.astype(float_type)), aligned(ints.astype(np.int32)), at["float"], at["int"]


def initial_values(net: Network, population: Population, var: StateVar, values: dict[str, Any]) -> np.ndarray:
    """Values of a state variable at the start, shape (n,)."""
    value = population.init.get(var.name, var.init)
    if isinstance(value, str):
        value = values[value]
    elif isinstance(value, Distribution):
        value = value.draw(population.n, net.stream("init", population.name, var.name))
    check_whole(f"Population {population.name!r}.init[{var.name!r}]", var, value)
    return np.broadcast_to(np.asarray(value, float), (population.n,))


def check_whole(owner: str, var: StateVar, values: Any) -> None:
    """Refuse values that an integer state variable cannot hold; a number of steps is >= 0, or it never ends."""
    least = 0 if var.unit == "step" else -(2**31)
    if var.dtype == "int":
        array = np.atleast_1d(np.asarray(values, float))
        wrong = array[~((array == np.rint(array)) & (array >= least) & (array < 2**31))]
        if wrong.size:
            raise ModelError(f"{owner}: must be integers >= {least} and < 2**31; got {wrong[0]:g}.")


def _probes(net: Network, index: dict[str, int], tables: Tables, dt: float) -> Probes:
    found = []
    for probe in net.probes:
        spec: NeuronSpec | None = probe.population.spec
        if probe.variable == SPIKES or spec is None:
            continue
        k = index[probe.population.name]
        dtype = next(s.dtype for s in spec.state if s.name == probe.variable)
        place = [s.name for s in spec.state if s.dtype == dtype].index(probe.variable)
        base = tables.state_f[k] if dtype == "float" else tables.state_i[k]
        every = dt if probe.every is None else probe.every
        steps = round(every / dt)
        if steps < 1 or abs(steps * dt - every) > 1e-6 * dt:
            raise ModelError(
                f"record({probe.population.name!r}, {probe.variable!r}).every: must be a multiple of dt = {dt} ms; "
                f"got {every}."
            )
        found.append((k, base + place * tables.pad[k], dtype == "int", steps, probe.ids))
    ids = [f[4] for f in found]
    return Probes(
        population=np.array([f[0] for f in found], np.int64), offset=np.array([f[1] for f in found], np.int64),
        is_int=np.array([f[2] for f in found], np.bool_), every=np.array([f[3] for f in found], np.int64),
        first=np.concatenate(([0], np.cumsum([len(x) for x in ids]))).astype(np.int64),
        ids=np.concatenate([*ids, np.empty(0, np.int64)]).astype(np.int64), at=np.zeros(len(found), np.int64),
        samples=np.empty(0),
    )  # fmt: skip
