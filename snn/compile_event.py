"""Network -> flat arrays of the event engine: closed forms, edges with real delays, streams of input."""

import math
from typing import Any, NamedTuple

import numpy as np

from kernels import connectivity
from kernels.errors import ModelError
from kernels.event import layout
from kernels.event.compiled import EventNetwork
from kernels.event.generate import Form
from kernels.event.layout import Block, Edges, Inputs, Net, Streams
from kernels.layout import LINE, aligned, zeros
from snn.compile import _slices, initial_values, resolve_parameters
from snn.compile_edges import draw_edges, given_values, is_number, weight_type
from snn.compile_event_axons import dendritic, with_relays
from snn.compile_event_plastic import plastic_projection, rule_of
from snn.compile_synapses import constants_of
from snn.connect import EdgeList
from snn.distributions import Distribution
from snn.elements import SPIKES, Population, Projection
from snn.fingerprint import network_parts
from snn.inputs import Continuous
from snn.network import Network
from snn.neurons.base import MODELS, NeuronModel

NO_PROJECTION = 1.0  # ms, width of a window where there is no delay to choose it by
MARGIN = 1.0 - 2.0**-20  # a window is this much shorter than the smallest delay, so that rounding cannot matter
MAX_SLOTS = 2**22
LEAST_DELAY = 1e-9  # ms; numbers of windows stay far below 2**53
MOST_SPIKES = 64  # of a neuron with little or no refractory period in a window, on average


class Made(NamedTuple):
    """An input, and what it drives."""

    number: int
    population: int
    code: Continuous
    source: bool  # whether that is a population of sources
    name: str  # of the input, or of the population: of sources, or of which it is the sum of all currents


def compile_event(net: Network, threads: int) -> EventNetwork:
    """Compile ``net`` for ``threads`` threads."""
    if not net.populations:
        raise ModelError("Network: has no population. Add one with net.population(name, n, model).")
    pops, given, axons = with_relays(net)
    index = {p.name: k for k, p in enumerate(pops)}
    sizes = np.array([p.n for p in pops], np.int64)
    gid = np.concatenate(([0], np.cumsum(sizes)[:-1])).astype(np.int64)
    values = {p.name: _constants(net, p) for p in pops if p.spec}
    drawn = [*net.projections.values(), *axons]  # from its own source: it matters whether that is the target, too
    lists = {q.name: draw_edges(net, q, threads) for q in drawn}
    delays = {q.name: _delays(net, q, lists[q.name]) for q in drawn}
    for q in drawn:
        _check_delay(q, delays[q.name])
    projections = sorted([*given, *axons], key=lambda q: (index[q.source.name], q.plastic))
    rules = [rule_of(q) for q in projections if q.plastic]
    waits = [float(d.min()) for d in delays.values() if d.size]
    waits += [q.modulation.delay for q in projections if q.modulation and q.modulation.source]
    least = min(waits, default=NO_PROJECTION)
    most = max((float(d.max()) for d in delays.values() if d.size), default=NO_PROJECTION)
    width = least * MARGIN
    slots = 1 << int(most / width + 3).bit_length()
    if slots > MAX_SLOTS:
        raise ModelError(
            f"Network: the largest delay, {most:g} ms, must be < {MAX_SLOTS // 4:,} times the smallest, {least:g} ms. "
            "Raise the smallest delay."
        )

    forms, kind, par, par_at = _parameters(pops, values)
    recorded = np.zeros(len(pops), np.int64)
    for probe in net.probes:
        if probe.variable == SPIKES:
            recorded[index[probe.population.name]] = 1
    inputs, made = _inputs(net, pops)
    lo, hi = _slices(sizes, threads)
    neurons = np.array([p.spec is not None for p in pops])
    local = int(((hi - lo) * neurons).sum(axis=1).max())
    table = Net(
        width=width, bits=max(local - 1, 1).bit_length(), slots=slots, kind=kind, n=sizes, gid=gid, recorded=recorded,
        par=par, par_at=par_at,
        record=-(-(layout.STATE + max((len(f.states) for f in forms), default=0)) // 8) * 8,
    )  # fmt: skip
    streams = [_streams(made, inputs, sizes, lo[b], hi[b]) for b in range(threads)]
    blocks = [
        _block(net, pops, forms, kind, values, lo[b], hi[b], len(streams[b].kind), threads, table.record)
        for b in range(threads)
    ]
    edges, weights = zip(*(_edges(net, index, projections, lists, delays, table, b) for b in blocks), strict=True)
    groups = [g for g, q in enumerate(projections) if q.plastic]
    own = {q.name: constants_of(net, q, lists[q.name], 0.0) for q in projections if q.plastic}
    plastic = [
        [
            plastic_projection(net, q, rule, own[q.name], index, g, b, e, lists[q.name], delays[q.name], w[q.name])
            for g, q, rule in zip(groups, (projections[g] for g in groups), rules, strict=True)
        ]
        for b, e, w in zip(blocks, edges, weights, strict=True)
    ]
    capacity = max(_capacity(pops, values, width, axons, made, lo[b], hi[b]) for b in range(threads))
    return EventNetwork(
        table, forms, blocks, list(edges), rules, plastic, inputs, streams, capacity,
        [p.name for p in pops], network_parts(net, {"engine": "event"}, values, lists, threads),
    )  # fmt: skip


def set_parameters(compiled: EventNetwork, net: Network) -> None:
    """Take the neurons' parameters from ``net``; what was an array stays one, so that little need be compiled."""
    pops, _, axons = with_relays(net)
    table = compiled.net
    values = {p.name: _constants(net, p) for p in pops if p.spec}
    arrays = {p.name: compiled.forms[k].varying for p, k in zip(pops, table.kind, strict=True) if k >= 0}
    forms, kind, par, par_at = _parameters(pops, values, arrays)
    _, made = _inputs(net, pops)
    compiled.capacity = max(
        [compiled.capacity] + [_capacity(pops, values, table.width, axons, made, b.lo, b.hi) for b in compiled.blocks]
    )
    compiled.forms, compiled.net = forms, table._replace(kind=kind, par=par, par_at=par_at)
    for b, block in enumerate(compiled.blocks):
        het, het_at = _varying(pops, forms, kind, values, block.lo, block.hi)
        compiled.blocks[b] = block._replace(het=het, het_at=het_at)


def set_sources(compiled: EventNetwork, net: Network, name: str, own: bool, reached: float) -> tuple[np.ndarray, Any]:
    """Take the source of input ``name``, or (``own``) of the population ``name``, from ``net``; other inputs go on.

    Everything before ``reached`` has happened. Returns flags of the inputs that are not as before, and None or (number
    of a population, the current that it gets now). Streams stay; Poisson ones are left for the engine to draw.
    """
    pops, _, axons = with_relays(net)
    inputs, made = _inputs(net, pops)
    values = {p.name: _constants(net, p) for p in pops if p.spec}
    width, old = compiled.net.width, compiled.inputs
    compiled.capacity = max(
        [compiled.capacity] + [_capacity(pops, values, width, axons, made, b.lo, b.hi) for b in compiled.blocks]
    )
    target = name if own else net.inputs[name].target.name
    current = not own and net.inputs[name].receptor < 0  # all of a population are one stream
    changed, now = np.zeros(len(made), np.bool_), None
    for x in made:
        steps = x.code.values
        mine = steps is not None if current else x.name == name and x.source == own
        if mine and pops[x.population].name == target:
            changed[x.number] = True
            if steps is not None:
                row = int(np.searchsorted(x.code.times, reached)) - 1
                now = x.population, steps[row] if row >= 0 else 0.0
    for streams in compiled.streams:
        for s, (kind, k) in enumerate(zip(streams.kind.tolist(), streams.input.tolist(), strict=True)):
            spikes = kind in (layout.EVENTS, layout.SOURCE_EVENTS)
            first, times = (inputs.event, inputs.event_time) if spikes else (inputs.segment, inputs.start)
            if not changed[k]:
                streams.cursor[s] += first[k] - (old.event if spikes else old.segment)[k]
                continue
            at = first[k] + int(np.searchsorted(times[first[k] : first[k + 1]], reached))
            if spikes or kind == layout.CURRENT:
                streams.cursor[s], streams.next[s] = at, times[at] if at < first[k + 1] else math.inf
            else:
                streams.cursor[s] = max(at - 1, first[k])
    compiled.inputs = inputs
    return changed, now


def _parameters(
    pops: list[Population], values: dict[str, dict[str, Any]], arrays: dict[str, frozenset[str]] | None = None
) -> tuple[list[Form], np.ndarray, np.ndarray, np.ndarray]:
    """Forms, the number of each population's, and constants shared by populations with where each one's begin.

    ``arrays``: constants that are arrays in any case.
    """
    forms: list[Form] = []
    kind = np.full(len(pops), -1, np.int64)
    for k, p in enumerate(pops):
        if p.spec:
            given = frozenset(n for n, v in values[p.name].items() if np.ndim(v))
            form = Form(p.spec, given | (arrays or {}).get(p.name, frozenset()))
            form = Form(p.spec, frozenset(form.constants()[1]))
            if form not in forms:
                forms.append(form)
            kind[k] = forms.index(form)
    par: list[float] = []
    par_at = np.zeros(len(pops), np.int64)
    for k, p in enumerate(pops):
        par_at[k] = len(par)
        par += [float(values[p.name][n]) for n in forms[kind[k]].constants()[0]] if p.spec else []
    return forms, kind, np.array([*par, 0.0]), par_at


def _varying(
    pops: list[Population], forms: list[Form], kind: np.ndarray, values: dict[str, dict[str, Any]], lo: np.ndarray,
    hi: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Constants of a block that differ from neuron to neuron, and where each population's begin."""
    het: list[np.ndarray] = [np.zeros(0)]
    at = np.zeros(len(pops), np.int64)
    for k, p in enumerate(pops):
        at[k] = sum(x.size for x in het)
        for name in forms[kind[k]].constants()[1] if p.spec else ():
            het.append(np.broadcast_to(np.asarray(values[p.name][name], float), (p.n,))[lo[k] : hi[k]])
    return aligned(np.concatenate([*het, np.zeros(1)])), at


def _constants(net: Network, population: Population) -> dict[str, Any]:
    """Parameters and constants of the closed form."""
    spec = population.spec
    if spec is None or spec.closed_form is None:
        able = ", ".join(sorted(name for name, m in MODELS.items() if m.spec.closed_form is not None))
        name = spec.name if spec else "?"
        raise ModelError(
            f'Population {population.name!r}.model: engine="event" needs a closed form, which {name} has not. '
            f'Models that have one: {able}. Or use engine="clock".'
        )
    for var in spec.state:
        if var.dtype == "int" and var.name in population.init:
            raise ModelError(
                f'Population {population.name!r}.init[{var.name!r}]: counts steps, which engine="event" has not. '
                "Leave it out."
            )
    return resolve_parameters(net, population, 0.0, spec.closed_form.derived)


def _delays(net: Network, projection: Projection, edges: EdgeList) -> np.ndarray:
    """Delays in ms by edge; one element where they are equal."""
    n = int(edges.indptr[-1])
    key = net.stream("values", projection.name)
    constant, values, order, _ = given_values(projection.delay, edges, 0, n, 1, key)
    if is_number(projection.delay):
        return dendritic(projection, np.array([constant]), LEAST_DELAY)
    values = values[order] if order.size else values
    return dendritic(projection, values, LEAST_DELAY)


def _check_delay(projection: Projection, delays: np.ndarray) -> None:
    if delays.size and not delays.min() >= LEAST_DELAY:
        raise ModelError(
            f'Projection {projection.name!r}.delay: must be >= {LEAST_DELAY:g} ms with engine="event"; '
            f"got {delays.min():g}."
        )
    found = projection.modulation
    if found and found.source and found.delay < LEAST_DELAY:
        raise ModelError(
            f'Projection {projection.name!r}.modulator.delay: must be >= {LEAST_DELAY:g} ms with engine="event"; '
            f"got {found.delay:g}."
        )


def _block(
    net: Network, pops: list[Population], forms: list[Form], kind: np.ndarray, values: dict[str, dict[str, Any]],
    lo: np.ndarray, hi: np.ndarray, n_streams: int, threads: int, record: int,
) -> Block:  # fmt: skip
    het, het_at = _varying(pops, forms, kind, values, lo, hi)
    sizes = np.array([h - a if p.spec else 0 for p, a, h in zip(pops, lo, hi, strict=True)])
    first = np.concatenate(([0], np.cumsum(sizes))).astype(np.int64)
    records = np.zeros((int(first[-1]), record))
    for k, p in enumerate(pops):
        if p.spec:
            part = slice(lo[k], hi[k])
            state = [initial_values(net, p, v, values[p.name])[part] for v in p.spec.state if v.dtype == "float"]
            records[first[k] : first[k + 1], layout.STATE : layout.STATE + len(state)] = np.transpose(state)
    n = int(first[-1])
    items = n + n_streams
    return Block(
        lo=lo.copy(), hi=hi.copy(), first=first, population=np.repeat(np.arange(len(pops)), sizes).astype(np.int32),
        het_at=het_at, f=aligned(records.ravel()), het=het,
        counted=zeros(n, np.int32), end=zeros(n, np.int64),
        touched=zeros(n, np.int32), n_touched=zeros(len(pops), np.int64), order=zeros(n, np.int32),
        bins=zeros(layout.BINS + 1, np.int64), key=zeros(items, np.int64), item=zeros(items, np.int32),
        place=np.full(items, -1, np.int32), timer=np.full(n, layout.NEVER), timer_next=zeros(n, np.int32),
        timer_before=np.full(n, layout.NOT_LISTED, np.int32), timer_head=np.full(layout.TIMER_SLOTS, -1, np.int32),
        deferred=zeros(max(n_streams, 1), np.int32), counts=zeros(LINE, np.int64),
        since=np.full(1, -np.inf), heads=zeros(threads, np.int64),
    )  # fmt: skip


def _edges(
    net: Network, index: dict[str, int], projections: list[Projection], lists: dict[str, EdgeList],
    delays: dict[str, np.ndarray], table: Net, block: Block,
) -> tuple[Edges, dict[str, np.ndarray]]:  # fmt: skip
    """Rows of all projections, by source population, that end in ``block``, and weights of plastic ones by name."""
    n_source = np.array([p.source.n for p in projections], np.int64)
    at = np.concatenate(([0], np.cumsum(n_source + 1))).astype(np.int64)
    rows = np.zeros(int(at[-1]), np.int64)
    for g, p in enumerate(projections):
        e, t = lists[p.name], index[p.target.name]
        connectivity.count_rows(e.indptr, e.sources, block.lo[t], block.hi[t], rows, at[g])
    np.cumsum(rows, out=rows)
    total = int(rows[-1]) if rows.size else 0
    own = [not (is_number(p.weight) or p.plastic) for p in projections]
    single = all(weight_type(p.weight, "float64") == np.float32 for p, w in zip(projections, own, strict=True) if w)
    most = max((len(p.spec.receptors) for p in net.populations.values() if p.spec), default=1) << table.bits
    targets = np.empty(total, np.uint16 if most <= 2**16 else np.uint32)
    weights: list[np.ndarray] = []
    given: list[np.ndarray] = []
    learned: dict[str, np.ndarray] = {}
    weight_shift = np.full(len(projections), layout.NEVER, np.int64)
    delay_shift = weight_shift.copy()
    for g, p in enumerate(projections):
        e, t = lists[p.name], index[p.target.name]
        lo, hi = int(block.lo[t]), int(block.hi[t])
        start, stop = int(rows[at[g]]), int(rows[at[g] + n_source[g]])
        position = rows[at[g] : at[g] + n_source[g]] - start
        positive, negative = ((r << table.bits) + int(block.first[t]) for r in p.receptors)
        if is_number(p.weight) and p.weight < 0:
            positive = negative
        stored = own[g] or p.plastic
        w = np.empty(stop - start if stored else 0, np.float32 if single and not p.plastic else np.float64)
        first, last = int(e.indptr[lo]), int(e.indptr[hi])
        constant, *weight = given_values(p.weight, e, first, last, 0, net.stream("values", p.name))
        if isinstance(p.weight, Distribution):
            weight[0] = np.asarray(weight[0], np.float64)  # one type for the layout function
        nothing = np.empty(0)
        connectivity.fill_rows(
            e.indptr, e.sources, lo, hi, position.copy(), positive, negative, constant, *weight, nothing,
            np.empty(0, np.int64), 0, 1.0, targets[start:stop], w, np.empty(0, np.uint8),
        )  # fmt: skip
        if own[g]:
            weight_shift[g] = sum(x.size for x in weights) - start
            weights.append(w)
        elif p.plastic:
            learned[p.name] = w
        if not is_number(p.delay):
            places = np.empty(int(e.indptr[-1]), np.int64)
            connectivity.find_places(e.indptr, e.sources, lo, hi, position.copy(), places)
            d = np.empty(stop - start)
            d[places[first:last]] = delays[p.name][first:last]
            delay_shift[g] = sum(x.size for x in given) - start
            given.append(d)
    sources = [index[p.source.name] for p in projections]
    plastic = np.array([p.plastic for p in projections], bool)
    edges = Edges(
        by_source=np.searchsorted(sources, np.arange(len(index) + 1)).astype(np.int64), at=at[:-1].copy(),
        weight=np.array([float(p.weight) if is_number(p.weight) else 0.0 for p in projections]),
        delay=np.array([float(delays[p.name][0]) if is_number(p.delay) else 0.0 for p in projections]),
        weight_shift=weight_shift, delay_shift=delay_shift,
        learner=np.where(plastic, np.cumsum(plastic) - 1, -1).astype(np.int64), rows=rows, targets=targets,
        weights=np.concatenate([*weights, np.empty(0, np.float32 if single else np.float64)]),
        delays=np.concatenate([*given, np.empty(0)]),
    )  # fmt: skip
    return edges, learned


def _inputs(net: Network, pops: list[Population]) -> tuple[Inputs, list[Made]]:
    """All inputs."""
    made: list[Made] = []
    out: dict[str, list[Any]] = {n: [] for n in ("receptor", "key", "weight", "weights", "own_rates")}
    start: list[float] = []
    rate: list[float] = []
    at: list[int] = []
    size: list[int] = []
    values = [np.empty(0)]
    segment, event, times, ids, event_weights = [0], [0], [np.empty(0)], [np.empty(0, np.int64)], [np.empty(0)]

    def add(code: Continuous, stream: str, name: str, receptor: int, weight: Any, k: int) -> None:
        n = pops[k].n
        made.append(Made(len(out["key"]), k, code, stream == "source", name))
        placed = sum(v.size for v in values)
        out["key"].append(net.stream(stream, name))
        out["receptor"].append(receptor)
        spikes = code.ids is not None
        each = np.ndim(weight) > 0 and not spikes
        out["weight"].append(0.0 if np.ndim(weight) else float(weight))
        out["weights"].append(placed if each else -1)
        if each:
            values.append(np.asarray(weight, float))
            placed += n
        out["own_rates"].append(int(code.each is not None))
        if code.each is not None:
            values.append(code.each.ravel())
        if spikes:
            given = np.broadcast_to(np.asarray(weight, float), (n,))[code.ids] if code.weights is None else code.weights
            times.append(code.times)
            ids.append(np.asarray(code.ids, np.int64))
            event_weights.append(given)
        else:
            width = 0 if code.values is None else code.values[0].size
            start.extend(code.times)
            rate.extend(np.zeros(len(code.times)) if code.rates is None else code.rates)
            at.extend(placed + (width if code.each is None else n) * np.arange(len(code.times)))
            size.extend([width] * len(code.times))
            if code.values is not None:
                values.append(code.values.ravel())
        segment.append(len(start))
        event.append(sum(len(x) for x in times))

    for k, p in enumerate(pops):
        if not isinstance(p.model, NeuronModel):
            add(p.model.continuous(p.n, f"Population {p.name!r}"), "source", p.name, 0, 0.0, k)
            continue
        mine = [i for i in net.inputs.values() if i.target.name == p.name]
        currents = [i.source.continuous(p.n, f"Input {i.name!r}") for i in mine if i.receptor < 0]
        if currents:
            add(_sum(currents), "current", p.name, -1, 0.0, k)
        for i in mine:
            if i.receptor >= 0:
                code = i.source.continuous(p.n, f"Input {i.name!r}")
                weight = i.weight
                if isinstance(weight, Distribution):
                    weight = weight.draw(p.n, net.stream("input weight", i.name))
                add(code, "input", i.name, i.receptor, 0.0 if weight is None else weight, k)
    inputs = Inputs(
        receptor=np.array(out["receptor"], np.int64), key=np.array(out["key"], np.uint64).reshape(-1, 2),
        weight=np.array(out["weight"], float), weights=np.array(out["weights"], np.int64),
        own_rates=np.array(out["own_rates"], np.int64), segment=np.array(segment, np.int64),
        start=np.array(start, float), rate=np.array(rate, float),
        at=np.array(at, np.int64), size=np.array(size, np.int64),
        event=np.array(event, np.int64), event_time=np.concatenate(times), event_id=np.concatenate(ids),
        event_weight=np.concatenate(event_weights), values=np.concatenate(values),
    )  # fmt: skip
    return inputs, made


def _sum(currents: list[Continuous]) -> Continuous:
    """Several step currents as one."""
    times = np.unique(np.concatenate([c.times for c in currents]))
    total: Any = np.zeros(len(times))
    for c in currents:
        place = np.searchsorted(c.times, times, side="right") - 1
        values = np.asarray(c.values)
        part = values[np.maximum(place, 0)]
        part[place < 0] = 0.0
        total = (total[:, None] if total.ndim < part.ndim else total) + (
            part[:, None] if part.ndim < total.ndim else part
        )
    return Continuous(times, values=total)


def _streams(made: list[Made], inputs: Inputs, sizes: np.ndarray, lo: np.ndarray, hi: np.ndarray) -> Streams:
    """The streams of a block. A group of a Poisson input that two blocks share is drawn by both."""
    rows: list[tuple[int, int, int, int, int, float, int]] = []
    for k, p, code, source, _ in made:
        base = layout.SOURCE_EVENTS - layout.EVENTS if source else 0
        segment = int(inputs.segment[k])
        if lo[p] == hi[p]:
            continue
        if code.ids is not None:
            first = float(code.times[0]) if code.times.size else math.inf
            rows.append((layout.EVENTS + base, k, p, 0, 0, first, int(inputs.event[k])))
        elif code.values is not None:
            rows.append((layout.CURRENT, k, p, 0, 0, float(code.times[0]), segment))
        elif code.shared:
            rows.append((layout.SHARED + base, k, p, 0, 1, 0.0, segment))
        else:
            group = layout.OWN_RATES_GROUP if inputs.own_rates[k] else layout.GROUP
            for at in range(int(lo[p]) // group * group, int(hi[p]), group):
                rows.append((layout.POISSON + base, k, p, at, min(group, int(sizes[p]) - at), 0.0, segment))
    names = ("kind", "input", "population", "first", "n", "next", "cursor")
    table = {n: np.array([r[j] for r in rows], float if n == "next" else np.int64) for j, n in enumerate(names)}
    return Streams(**table, draws=np.zeros(len(rows), np.uint64), word=np.zeros(len(rows), np.uint64))


def _capacity(
    pops: list[Population], values: dict[str, dict[str, Any]], width: float, axons: list[Projection],
    made: list[Made], lo: np.ndarray, hi: np.ndarray,
) -> int:  # fmt: skip
    """Most spikes of a block in a window that there is room for."""
    most = {p.name: 0 for p in pops}
    for k, p in enumerate(pops):
        n = int(hi[k] - lo[k])
        if p.spec and p.spec.closed_form:
            name = p.spec.closed_form.t_ref
            t_ref = float(np.min(values[p.name][name])) if name else 0.0
            most[p.name] = n * (min(MOST_SPIKES, int(width / t_ref) + 2) if t_ref > 0 else MOST_SPIKES)
    for _, k, code, source, _ in made:
        if source and code.ids is not None:
            at = np.searchsorted(code.times, code.times + width * (1 + 1e-9), side="right")
            most[pops[k].name] += int((at - np.arange(at.size)).max(initial=0)) + 1
        elif source and code.rates is not None:
            each = float(code.each.sum(axis=1).max()) if code.each is not None else pops[k].n
            mean = float(code.rates.max()) * width * (1.0 if code.shared else each)
            most[pops[k].name] += int(mean + 12 * math.sqrt(mean) + 30) * (pops[k].n if code.shared else 1)
    for axon in axons:  # a relay does what its source does
        most[axon.target.name] = most[axon.source.name]
    return 1024 + sum(most.values())
