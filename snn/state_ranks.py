"""Checkpoints of ranks: what one of them holds of the state, and the state for one from the files of any number.

A file has the arrays of :mod:`snn.state_clock`, of those with a value a neuron the rank's own neurons alone; of
plastic synapses its own, by source, and how many there are of each source.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from kernels.errors import FormatError
from snn.ranks import Ranks
from snn.state_clock import save

if TYPE_CHECKING:
    from kernels.cpu.engine import Engine

Own = list[list[int]]  # of each population, the first neuron of a rank and last + 1
FIRST = ("history", "post")  # of a plastic projection, by target
LAST = ("seen", "swept", "recent", "trace", "signal_each", "observed", "late", "values", "sums")  # the target is last
LISTS = ("slot", "target", "weight"), ("fired_step", "fired")
SYNAPSES = ("weights", "variables")


def check_owners(found: list[Any], sizes: np.ndarray) -> list[Own]:
    """Which neurons each file holds, as their descriptions tell; those of one file alone need not tell."""
    whole = [[0, int(n)] for n in sizes]
    if len(found) == 1 and found[0] is None:
        return [whole]
    for k, (_, n) in enumerate(whole):
        end = 0
        for own in found:
            part = own[k] if isinstance(own, list) and len(own) == len(whole) else None
            if not isinstance(part, list) or len(part) != 2 or part[0] != end or not isinstance(part[1], int):
                raise FormatError(f"/about.own: must share {n} neurons among the ranks; got {part!r}.")
            end = part[1]
            if end < part[0]:
                raise FormatError(f"/about.own: must share {n} neurons among the ranks; got {part!r}.")
        if end != n:
            raise FormatError(f"/about.own: must share {n} neurons among the ranks; got {end}.")
    return found


def own_part(engine: "Engine", arrays: dict[str, np.ndarray], own: Own) -> dict[str, np.ndarray]:
    """Of the arrays that :func:`snn.state_clock.save` gave on this rank, what it holds."""
    out = {}
    for name, array in arrays.items():
        place = _place(engine, name, array, own)
        out[name] = array if place is None else place[0][place[1]]
    return out | {f"plastic/{k}/counts": _counts(engine, k) for k in range(len(engine.net.plastic))}


def assemble(
    engine: "Engine", ranks: Ranks, owners: list[Own], parts: Callable[[], Iterator[dict[str, np.ndarray]]]
) -> dict[str, np.ndarray]:
    """What :func:`snn.state_clock.load` takes on this rank, from the arrays of all files in the order of their ranks;
    asked of all ranks. ``parts`` reads them, one after another, as they may not fit in memory together.

    Raises
    ------
    FormatError
        The files hold other arrays than this network has.
    """
    out, plastic = save(engine, 0), range(len(engine.net.plastic))
    lists: dict[str, list[np.ndarray]] = {}
    here = [np.array(ranks.gather(_counts(engine, k))) for k in plastic]
    there = [np.array([part.get(f"plastic/{k}/counts", h.sum(axis=0)) for part in parts()]) for k, h in enumerate(here)]
    for k in plastic:
        if here[k].shape[1:] != there[k].shape[1:] or np.any(here[k].sum(axis=0) != there[k].sum(axis=0)):
            raise FormatError(f"plastic/{k}/counts: the files hold other synapses than this network has.")
    counts = {f"plastic/{k}/counts" for k in plastic}
    for number, (own, part) in enumerate(zip(owners, parts(), strict=True)):
        if set(part) - counts != set(out):
            raise FormatError(f"holds other arrays than this network has: {', '.join(set(part) - counts ^ set(out))}.")
        for name in part.keys() - counts:
            array, last = part[name], name.split("/")[-1]
            if last in SYNAPSES and name.startswith("plastic"):
                k = int(name.split("/")[1])
                to, at = _numbers(here[k], ranks.rank), _numbers(there[k], number)
                mine, found = np.isin(to, at, assume_unique=True), np.isin(at, to, assume_unique=True)
                _same(name, array, out[name].dtype, (*out[name].shape[:-1], at.size))
                out[name][..., mine] = array[..., found]
            elif name.startswith("queue/") or last in LISTS[1]:
                lists.setdefault(name, []).append(array)
            elif len(owners) == 1:
                out[name] = array
            elif (place := _place(engine, name, out[name], own)) is not None:
                _same(name, array, out[name].dtype, place[0][place[1]].shape)
                place[0][place[1]] = array
            elif number == 0:
                out[name] = array
            if last in ("source", "rewired") and ranks.size > 1 and np.any(array):
                raise FormatError(f"{name}: connections were rewired, which ranks do not know. Resume in one process.")
    out |= {name: np.concatenate(found) for name, found in lists.items()}
    for prefix, names in [("queue/", LISTS[0]), *((f"plastic/{k}/", LISTS[1]) for k in plastic)]:
        order = np.argsort(out[prefix + names[0]], kind="stable")
        for name in names:
            if len(out[prefix + name]) != order.size:
                raise FormatError(f"{prefix}{name}: must be as long as {prefix}{names[0]}.")
            out[prefix + name] = out[prefix + name][order]
    return out


def _same(name: str, array: np.ndarray, dtype: Any, shape: tuple[int, ...]) -> None:
    if array.dtype != dtype or array.shape != shape:
        raise FormatError(f"{name}: must be {dtype} {shape}; got {array.dtype} {array.shape}.")


def _place(engine: "Engine", name: str, array: np.ndarray, own: Own) -> tuple[np.ndarray, Any] | None:
    """(a view of ``array``, index in it) of the values of a rank's neurons; None where all ranks have the same."""
    t, field = engine.net.tables, name.split("/")[-1]
    if name == "ring":
        first = np.concatenate(([0], np.cumsum(t.n * t.receptors)))
        numbers = [
            first[p] + r * t.n[p] + np.arange(lo, hi) for p, (lo, hi) in enumerate(own) for r in range(t.receptors[p])
        ]
        return array, (slice(None), np.concatenate([*numbers, np.empty(0, np.int64)]).astype(np.int64))
    if name in ("state/f", "state/i"):
        at = np.append(t.state_f if field == "f" else t.state_i, array.size)
        numbers = [
            np.arange(at[p] + lo, at[p + 1], t.pad[p])[:, None] + np.arange(hi - lo) for p, (lo, hi) in enumerate(own)
        ]
        return array, np.concatenate([*(x.ravel() for x in numbers), np.empty(0, np.int64)]).astype(np.int64)
    if name == "state/noise":
        inputs = engine.net.inputs
        numbers = []
        for p, (lo, hi) in enumerate(own):
            for k in range(inputs.first[p], inputs.first[p + 1]):
                end = inputs.noise[k + 1] if k + 1 < inputs.noise.size else array.size
                numbers.append(inputs.noise[k] + np.arange(lo, hi) if end > inputs.noise[k] else np.empty(0, np.int64))
        return array, np.concatenate([*numbers, np.empty(0, np.int64)]).astype(np.int64)
    if name.startswith("plastic/"):
        x = engine.net.plastic[int(name.split("/")[1])]
        lo, hi = own[x.target]
        if field in FIRST:
            return array, slice(lo, hi)
        if field in LAST:
            return array.reshape(-1, x.n), (slice(None), slice(lo, hi))
    return None


def _counts(engine: "Engine", k: int) -> np.ndarray:
    """Synapses of plastic projection ``k`` that this rank holds, by source."""
    n = int(engine.net.tables.n[engine.net.plastic[k].source])
    lengths = np.diff(engine.net.learned[k].rows.reshape(-1, n + 1))
    return np.asarray(lengths.sum(axis=0), np.int64)


def _numbers(counts: np.ndarray, rank: int) -> np.ndarray:
    """Numbers of a rank's synapses among those of all, by source, then target; ``counts`` (ranks, sources)."""
    each, mine = counts.sum(axis=0), counts[rank]
    begin = np.cumsum(each) - each + counts[:rank].sum(axis=0)
    return np.repeat(begin - (np.cumsum(mine) - mine), mine) + np.arange(mine.sum())
