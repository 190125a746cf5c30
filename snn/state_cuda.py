"""What changes in a simulation on a GPU, as arrays that depend on neither blocks nor launches; see state_clock."""

from typing import TYPE_CHECKING

import numpy as np

from kernels.cuda.jit import fetch
from kernels.cuda.layout import Learned
from snn.state_clock import Places, check, load_synapses, of_projection, synapses, within

if TYPE_CHECKING:
    from kernels.cuda.engine import Engine

STATE = ("settled", "pre", "last", "done", "short", "seen", "swept", "history", "post", "trace", "signal_jumps",
         "signal_now", "signal_value", "signal_sum", "signal_each", "signal_set", "observed", "late", "values",
         "sums")  # fmt: skip
HOST = ("learning", "rewired")  # as the host last set them


def _places(engine: "Engine") -> Places:
    return Places(engine.tables, engine.arrays.plan.mask + 1, fetch(engine.arrays.plan.ring))


def _on_their_way(x: Learned, at: int) -> np.ndarray:
    """(A, sources) spikes along the axon by step of arrival; on the device they have no order."""
    axon, count = fetch(x.axon), fetch(x.axon_count)
    numbers = np.zeros(axon.shape[:2], np.int32)
    for step in range(at, at + len(count) - 1):  # those of the step before have arrived
        place = step & (len(count) - 1)
        source, number = axon[place, : count[place]].T
        numbers[place, source] = number
    return numbers


def _set_on_their_way(engine: "Engine", x: Learned, numbers: np.ndarray) -> None:
    axon, count = np.zeros((*numbers.shape, 2), np.int32), np.count_nonzero(numbers, axis=1)
    for place, n in enumerate(count):
        source = np.flatnonzero(numbers[place])
        axon[place, :n] = np.stack((source, numbers[place, source]), axis=1)
    engine.put(x.axon, axon)
    engine.put(x.axon_count, count)


def save(engine: "Engine", at: int) -> dict[str, np.ndarray]:
    """Copies of all that changes, at step ``at``, which the engine has reached."""
    net, x = engine.net, engine.arrays
    out = {"state/f": net.state.f.copy(), "state/i": net.state.i.copy(), "state/noise": fetch(x.state.noise)}
    out["ring"] = _places(engine).gather(fetch(x.state.ring))
    for k, plastic in enumerate(net.plastic):
        engine.sweep(k, at - 1)  # weights and variables come to the host
        out |= {f"plastic/{k}/{name}": fetch(getattr(x.learned[k], name)) for name in STATE}
        out |= {f"plastic/{k}/{name}": getattr(plastic, name).copy() for name in HOST}
        out[f"plastic/{k}/axon"] = _on_their_way(x.learned[k], at)
        out |= {f"plastic/{k}/{name}": a for name, a in synapses(net, k).items()}
    return out


def load(engine: "Engine", at: int, given: dict[str, np.ndarray]) -> None:
    """Go on from what :func:`save` gave, at step ``at``.

    Raises
    ------
    FormatError
        Where an array is missing, of another shape, or holds what no run could have left.
    """
    net, x = engine.net, engine.arrays
    check(save(engine, 0), given, ("/source", "/target", "/delay"))
    net.state.f[...], net.state.i[...] = given["state/f"], given["state/i"]
    engine.put(x.state.noise, given["state/noise"])
    engine.put(x.state.ring, _places(engine).scatter(given["ring"], fetch(x.state.ring)))
    for k, plastic in enumerate(net.plastic):
        part = of_projection(given, k)
        for name in ("last", "done", "settled", "history"):
            within(f"plastic/{k}/{name}", part[name], np.iinfo(np.int64).min, at)
        within(f"plastic/{k}/axon", part["axon"], 0, np.iinfo(np.int32).max)
        _set_on_their_way(engine, x.learned[k], part["axon"])
        for name in STATE:
            engine.put(getattr(x.learned[k], name), part[name])
        for name in HOST:
            getattr(plastic, name)[...] = part[name]
        load_synapses(net, k, part)
        engine.stale.add(k)  # taken over with the next step
