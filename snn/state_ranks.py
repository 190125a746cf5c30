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
PAIRS = ("source", "target", "delay")  # of synapses that were rewired


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
        numbers = None if name.startswith("plastic/") else _numbers_of(engine, name, array, own)
        out[name] = array if numbers is None else array[..., numbers]
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
    out, plastic, t = save(engine, 0), range(len(engine.net.plastic)), engine.net.tables
    mine = np.column_stack((t.lo[t.first_block[0]], t.hi[t.first_block[-1] - 1])).tolist()
    lists: dict[str, list[np.ndarray]] = {}
    moved: dict[str, list[np.ndarray]] = {}  # synapses that were rewired
    here = [np.array(ranks.gather(_counts(engine, k))) for k in plastic]
    there: list[Any] = [[] for _ in plastic]
    rewired = [False for _ in plastic]
    for part in parts():
        for k, h in enumerate(here):
            rewired[k] |= bool(np.any(part.get(f"plastic/{k}/rewired", 0)))
            there[k].append(part.get(f"plastic/{k}/counts", h.sum(axis=0)))
            _same(f"plastic/{k}/counts", there[k][-1], h.dtype, h.shape[1:])
    for k, h in enumerate(here):
        there[k] = np.array(there[k])
        axis = None if rewired[k] else 0
        if np.any(h.sum(axis=axis) != there[k].sum(axis=axis)):
            raise FormatError(f"plastic/{k}/counts: the files hold other synapses than this network has.")
    counts = {f"plastic/{k}/counts" for k in plastic}
    for number, (own, part) in enumerate(zip(owners, parts(), strict=True)):
        if set(part) - counts != set(out):
            raise FormatError(f"holds other arrays than this network has: {', '.join(set(part) - counts ^ set(out))}.")
        for name in part.keys() - counts:
            array, last = part[name], name.split("/")[-1]
            k = int(name.split("/")[1]) if name.startswith("plastic/") else -1
            if k >= 0 and rewired[k] and last in SYNAPSES + PAIRS:
                n = int(there[k][number].sum()) if last != "delay" or engine.net.learned[k].delay[0] == 0 else 0
                _same(name, array, out[name].dtype, (*out[name].shape[:-1], n))
                moved.setdefault(name, []).append(array)
            elif k >= 0 and last in SYNAPSES:
                to, at = _numbers(here[k], ranks.rank), _numbers(there[k], number)
                own_of, found = np.isin(to, at, assume_unique=True), np.isin(at, to, assume_unique=True)
                _same(name, array, out[name].dtype, (*out[name].shape[:-1], at.size))
                out[name][..., own_of] = array[..., found]
            elif name.startswith("queue/") or last in LISTS[1]:
                lists.setdefault(name, []).append(array)
            elif len(owners) == 1 and not name.startswith("plastic/"):  # whole, with what lies between populations
                out[name] = array
            elif (there_of := _numbers_of(engine, name, out[name], own)) is not None:
                _take(name, array, out[name], there_of, _numbers_of(engine, name, out[name], mine))
            elif number == 0:
                out[name] = array
        for k in (k for k in plastic if rewired[k]):  # leave of this file what ends here
            x = engine.net.plastic[k]
            ends = (part[f"plastic/{k}/target"] >= x.first) & (part[f"plastic/{k}/target"] < x.first + x.n)
            for name in (f"plastic/{k}/{last}" for last in SYNAPSES + PAIRS):
                moved[name][-1] = moved[name][-1][..., ends[: moved[name][-1].shape[-1]]]
    for k in (k for k in plastic if rewired[k]):
        whole = {last: np.concatenate(moved[f"plastic/{k}/{last}"], axis=-1) for last in SYNAPSES + PAIRS}
        order = np.lexsort((whole["target"], whole["source"]))
        out |= {f"plastic/{k}/{last}": array[..., order[: array.shape[-1]]] for last, array in whole.items()}
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


def _numbers_of(engine: "Engine", name: str, array: np.ndarray, own: Own) -> np.ndarray | None:
    """Which columns of an array with all neurons are those of ``own``, ascending; of a plastic projection's, which
    targets. None where all ranks have the same."""
    t, field = engine.net.tables, name.split("/")[-1]
    if name == "ring":
        first = np.concatenate(([0], np.cumsum(t.n * t.receptors)))
        numbers = [
            first[p] + r * t.n[p] + np.arange(lo, hi) for p, (lo, hi) in enumerate(own) for r in range(t.receptors[p])
        ]
    elif name in ("state/f", "state/i"):
        at = np.append(t.state_f if field == "f" else t.state_i, array.size)
        numbers = [
            (np.arange(at[p] + lo, at[p + 1], t.pad[p])[:, None] + np.arange(hi - lo)).ravel()
            for p, (lo, hi) in enumerate(own)
        ]
    elif name == "state/noise":
        inputs = engine.net.inputs
        numbers = []
        for p, (lo, hi) in enumerate(own):
            for k in range(inputs.first[p], inputs.first[p + 1]):
                end = inputs.noise[k + 1] if k + 1 < inputs.noise.size else array.size
                numbers.append(inputs.noise[k] + np.arange(lo, hi) if end > inputs.noise[k] else np.empty(0, np.int64))
    elif name.startswith("plastic/") and field in FIRST + LAST:
        numbers = [np.arange(*own[engine.net.plastic[int(name.split("/")[1])].target])]
    else:
        return None
    return np.asarray(np.concatenate([*numbers, np.empty(0, np.int64)]), np.int64)


def _take(name: str, given: np.ndarray, out: np.ndarray, there: np.ndarray, here: Any) -> None:
    """Set those values of ``out`` that a file has; ``there``, ``here``: numbers of its columns and of this rank's."""
    both = np.intersect1d(there, here, assume_unique=True)
    if not both.size:
        return
    to = both
    if name.startswith("plastic/"):  # with own targets alone; what is flat has targets last
        to = both - here[0]
        if name.endswith(FIRST):
            _same(name, given, out.dtype, (there.size, *out.shape[1:]))
            given, out = np.moveaxis(given, 0, -1), np.moveaxis(out, 0, -1)
        else:
            _same(name, given, out.dtype, (*out.shape[:-1], out.shape[-1] // here.size * there.size))
            given, out = given.reshape(-1, there.size), out.reshape(-1, here.size)
    _same(name, given, out.dtype, (*out.shape[:-1], there.size))
    out[..., to] = given[..., np.searchsorted(there, both)]


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
