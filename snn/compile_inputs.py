"""Sources of inputs -> the flat arrays that kernels read."""

from typing import Any, NamedTuple

import numpy as np

from kernels.cpu import inputs as kinds
from kernels.draw import NORMAL, draw
from kernels.layout import Inputs, aligned, padded
from snn.distributions import Distribution
from snn.elements import Input
from snn.inputs import Encoded, Source
from snn.network import Network

_WITH_WORDS = (kinds.POISSON, kinds.POISSON_EACH, kinds.NOISE, kinds.OU)


def pad(array: np.ndarray) -> np.ndarray:
    """One value a neuron, with zeros up to a whole number of cache lines."""
    return np.pad(array, (0, padded(array.size) - array.size))


class Code(NamedTuple):
    """A source as kernels read it."""

    population: int
    name: str
    source: Source
    code: Encoded
    entry: Input | None  # None: it is the population's


Codes = list[Code]


def encoded(net: Network, dt: float, known: Codes | None = None) -> Codes:
    """The sources of ``net`` by population; of ``known`` ones those that are the same."""
    had = {(c.name, c.entry is None): c for c in known or ()}
    pops = list(net.populations.values())
    index = {p.name: k for k, p in enumerate(pops)}
    wanted: list[tuple[int, str, Source, Input | None]] = []
    wanted += [(index[e.target.name], e.name, e.source, e) for e in net.inputs.values()]
    wanted += [(index[p.name], p.name, p.model, None) for p in pops if isinstance(p.model, Source)]
    codes = []
    for k, name, source, entry in wanted:
        old = had.get((name, entry is None))
        if old is not None and old.source is source:
            codes.append(old._replace(entry=entry))
            continue
        owner = f"Population {name!r}" if entry is None else f"Input {name!r}"
        codes.append(Code(k, name, source, source.encode(dt, pops[k].n, owner), entry))
    return sorted(codes, key=lambda c: c.population)


def lay_out_inputs(
    net: Network, codes: Codes, float_type: Any, words: int
) -> tuple[Inputs, int, np.ndarray, np.ndarray]:
    """Inputs, number of random words, initial noise state, and most spikes a step of an element by population."""
    pops = list(net.populations.values())
    entries, most = codes, np.ones(len(pops), np.int64)
    source = np.full(len(pops), -1, np.int64)
    for x in entries:
        if x.entry is None:
            most[x.population] = x.code.max_count
    first = np.searchsorted([e[0] for e in entries], np.arange(len(pops) + 1))
    rows, thresholds, values, steps, ids, weights = [], [], [], [], [], []
    n_thresholds = n_values = 0
    out: dict[str, list[Any]] = {n: [] for n in ("kind", "receptor", "key", "words", "weight", "weights", "noise")}
    segment, event_first, noise = [0], [0], []
    n_noise = 0
    places = dict(zip(net.populations, np.cumsum([0] + [padded(p.n) for p in pops]), strict=False))
    for k, name, _, code, entry_ in entries:
        if entry_ is None:
            source[k] = len(out["kind"])
        weight = 0.0 if entry_ is None or entry_.weight is None else entry_.weight
        key = net.stream("source" if entry_ is None else "input", name)
        if isinstance(weight, Distribution):
            weight = weight.draw(pops[k].n, net.stream("input weight", name))
        event_weight = np.zeros(len(code.event_id))
        if code.event_step.size:
            given = code.event_weight
            event_weight = given if given is not None else np.broadcast_to(weight, (pops[k].n,))[code.event_id]
        out["kind"].append(code.kind)
        out["receptor"].append(-1 if entry_ is None else entry_.receptor)
        out["key"].append(key)
        out["words"].append(words)
        words += 4 * padded(pops[k].n) if code.kind in _WITH_WORDS else 0
        base = n_thresholds if code.kind in (kinds.POISSON, kinds.POISSON_SHARED) else n_values
        rows += [(s, base + at, low, count) for s, at, low, count in code.segments]
        segment.append(len(rows))
        thresholds.append(code.thresholds)
        n_thresholds += len(code.thresholds)
        values.append(code.values)
        n_values += len(code.values)
        each = np.ndim(weight) > 0 and code.kind != kinds.EVENTS  # events have theirs above
        out["weight"].append(0.0 if np.ndim(weight) else weight)
        out["weights"].append(n_values if each else -1)
        if each:
            values.append(np.asarray(weight, float))
            n_values += values[-1].size
        out["noise"].append(places[code.other] if code.other else n_noise)
        if code.initial is not None:
            vary = any(np.ndim(x) for x in code.initial)
            mean, std = (0.0, 1.0) if vary else code.initial
            drawn = draw(np.array([NORMAL, mean, std, 0.0, 1.0, 0.0]), pops[k].n, net.stream("noise", name))
            noise.append(pad(code.initial[0] + code.initial[1] * drawn if vary else drawn))
            n_noise += noise[-1].size
        steps.append(code.event_step)
        ids.append(code.event_id)
        weights.append(event_weight)
        event_first.append(event_first[-1] + len(code.event_step))
    table = np.array(rows, np.int64).reshape(-1, 4)
    flat: dict[str, Any] = {n: np.array(out[n], np.int64) for n in ("kind", "receptor", "words", "weights", "noise")}
    inputs = Inputs(
        first=first.astype(np.int64), source=source, key=np.array(out["key"], np.uint64).reshape(-1, 2),
        weight=np.array(out["weight"], float_type), segment=np.array(segment, np.int64),
        start=table[:, 0].copy(), at=table[:, 1].copy(), low=table[:, 2].copy(), size=table[:, 3].copy(),
        thresholds=np.concatenate([*thresholds, np.empty(0, np.uint32)]).astype(np.uint32),
        values=np.concatenate([*values, np.empty(0)]), event_first=np.array(event_first, np.int64),
        event_step=np.concatenate([*steps, np.empty(0, np.int64)]),
        event_id=np.concatenate([*ids, np.empty(0, np.int32)]),
        event_weight=np.concatenate([*weights, np.empty(0)]).astype(float_type), **flat,
    )  # fmt: skip
    return inputs, words, aligned(np.concatenate([*noise, np.empty(0)])), most
