"""Hashes of what a network is, part by part: the same for any number of threads, and they tell which part differs."""

import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from kernels.connectivity import Recipe
from snn.connect import EdgeList
from snn.definition import definition
from snn.distributions import Distribution
from snn.network import Network
from snn.sliding import conv2d

PIECE = 2**25  # bytes that a thread hashes at a time


def digest(*things: Any, threads: int = 1) -> str:
    """Hash of numbers, texts, arrays, distributions, and lists, tuples and dicts of these; else of the ``repr``."""
    whole = hashlib.sha256()
    with ThreadPoolExecutor(threads) as pool:  # hashlib lets other threads run
        for text, array in _flat(things):
            whole.update(text.encode())
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            pieces = [data[k : k + PIECE] for k in range(0, data.size, PIECE)]
            for part in pool.map(_sha256, pieces) if len(pieces) > 1 else map(_sha256, pieces):
                whole.update(part)
    return whole.hexdigest()[:32]


def _sha256(piece: np.ndarray) -> bytes:
    return hashlib.sha256(piece.data).digest()


_NOTHING = np.empty(0)


def _flat(thing: Any) -> Iterable[tuple[str, np.ndarray]]:
    """(text, array) of everything in ``thing``, in its order."""
    if isinstance(thing, Distribution):
        thing = thing.row()
    if isinstance(thing, np.ndarray) and thing.dtype != object:
        yield f"{thing.dtype.str}{thing.shape};", thing
    elif isinstance(thing, Mapping):
        yield from _flat([x for item in thing.items() for x in item])
    elif isinstance(thing, (list, tuple)):
        yield f"{len(thing)}[", _NOTHING
        for value in thing:
            yield from _flat(value)
    else:
        yield f"{thing!r};", _NOTHING


def network_parts(
    net: Network, options: Mapping[str, Any], values: Mapping[str, Mapping[str, Any]], lists: Mapping[str, EdgeList],
    threads: int, recipes: Mapping[str, Recipe] | None = None,
) -> dict[str, str]:  # fmt: skip
    """Hash of every part of a network before the first step; what is recorded does not count.

    Parameters
    ----------
    options : dt, engine and the like
    values : parameters and constants by population of neurons
    lists : edges by projection, but for convolutions
    recipes : how edges are drawn that are not in ``lists``
    """
    parts = {name: digest(value) for name, value in {**options, "seed": net.seed}.items()}
    specs: list[Any] = [p.spec for p in net.populations.values()]
    specs += [r.spec for q in net.projections.values() for r in (q.plasticity, q.short_term) if r]
    says = {id(spec): definition(spec) for spec in {id(x): x for x in specs if x}.values()}  # each once
    for p in net.populations.values():
        what = (says[id(p.spec)], values[p.name], p.init) if p.spec else (type(p.model).__name__, vars(p.model))
        parts[f"population {p.name!r}"] = digest(p.n, what)
    for i in net.inputs.values():
        source = type(i.source).__name__, vars(i.source)
        parts[f"input {i.name!r}"] = digest(i.target.name, i.receptor, i.weight, source)
    for q in net.projections.values():
        found = q.modulation
        joined: tuple[Any, ...]
        if isinstance(q.rule, conv2d):  # the same, whether its edges are drawn or not
            joined = (repr(q.rule),)
        elif q.name in lists:
            joined = lists[q.name].indptr, lists[q.name].sources, lists[q.name].order
        else:
            joined = (recipes or {})[q.name], q.name
        rules = [(says[id(r.spec)], r.params) if r else None for r in (q.plasticity, q.short_term)]
        modulator = (found.source.name if found.source else None, found.delay, found.value) if found else None
        parts[f"projection {q.name!r}"] = digest(
            q.source.name, q.target.name, q.receptors, *joined, q.weight, q.delay, q.axonal_delay, rules, modulator,
            threads=threads,
        )  # fmt: skip
    return parts


def differences(
    before: Any, now: Any, place: str = "", where: tuple[str, str] = ("in the file", "here")
) -> list[str]:  # fmt: skip
    """``place: old in the file, new here`` of two descriptions as :func:`describe` gives them."""
    if isinstance(before, dict) and isinstance(now, dict):
        keys = {**before, **now}
        at = {k: f"{place}.{k}" if place else str(k) for k in keys}
        return [x for k in keys for x in differences(before.get(k), now.get(k), at[k], where)]
    return [] if before == now else [f"{place}: {_short(before)} {where[0]}, {_short(now)} {where[1]}"]


def _short(value: Any) -> str:
    text = "none" if value is None else value if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def description(net: Network) -> str:
    """Hash of all that was described, arrays included; what is drawn from the seed is not drawn for it."""
    rows: list[Any] = [net.seed]
    for p in net.populations.values():
        rows.append((p.name, p.n, _plain(p.model), p.init, p.positions, p.wrap))
    for i in net.inputs.values():
        rows.append((i.name, i.target.name, _plain(i.source), i.weight, i.receptor))
    for q in net.projections.values():
        found = q.modulation
        rows.append((q.name, q.source.name, q.target.name, _plain(q.rule), q.weight, q.delay, q.receptors))
        rows.append((_plain(q.plasticity), _plain(q.short_term), q.axonal_delay))
        rows.append((found.source.name if found.source else None, found.delay, found.value) if found else None)
    rows += [(x.population.name, x.variable, x.ids, x.every) for x in net.probes]
    rows += [(x.name, x.every) for x in net.weight_probes]
    return digest(rows)


def _plain(thing: Any) -> Any:
    """A model, rule or source as its name and values; functions as their names, which are the same in all processes."""
    if thing is None or isinstance(thing, (Distribution, np.ndarray, bool, int, float, str)):
        return thing
    if callable(thing) and not dataclasses.is_dataclass(thing):
        return getattr(thing, "__qualname__", type(thing).__name__)
    if isinstance(thing, (list, tuple)):
        return [_plain(x) for x in thing]
    if isinstance(thing, Mapping):
        return {k: _plain(v) for k, v in thing.items()}
    return [type(thing).__name__, {k: _plain(v) for k, v in vars(thing).items()}]


def _text(thing: Any) -> str:
    """The ``repr`` without the addresses of functions, which are others in another process."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(thing))


def describe(net: Network) -> dict[str, Any]:
    """The network as plain text by part, for provenance."""
    return {
        "populations": {p.name: {"n": p.n, "model": repr(p.model), "init": {k: repr(v) for k, v in p.init.items()}}
                        for p in net.populations.values()},
        "inputs": {i.name: {"target": i.target.name, "source": repr(i.source), "weight": repr(i.weight)}
                   for i in net.inputs.values()},
        "projections": {
            p.name: {"source": p.source.name, "target": p.target.name, "rule": _text(p.rule), "weight": repr(p.weight),
                     "delay": repr(p.delay), "axonal_delay": p.axonal_delay, "plasticity": repr(p.plasticity),
                     "short_term": repr(p.short_term), "modulator": repr(p.modulation)}
            for p in net.projections.values()
        },
    }  # fmt: skip
