"""What the event engine's time depends on, and where the clock engine is the better choice.

    python scripts/bench/event_cost.py                      # all parts
    python scripts/bench/event_cost.py --parts time silent  # some

rate: synaptic events per second and core on LIFExp, for several sizes and fan-outs. time: the same number of events in
model times of 1 to 10,000 s. silent: the same activity among 10^4 to 10^6 neurons. events: decades of events in the
same network and time. engines: clock and event engine on the same networks. Every figure is the wall time of the
simulation, without building and compiling: the median of several runs, taken in turn over the points of a curve, with
the range. Beside NEST's precise models: ``peers.py --models cuba_ps brunel_ps --peers nest``.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import brunel_2000
import vogels_abbott_2005

import snn

FAN = 100


def relays(rate: float, n: int = 1000, targets: int = 10_000, cells: int = 10_000, seed: int = 3) -> snn.Network:
    """``n`` neurons that each fire once for every spike of a Poisson source, onto ``targets`` of ``cells`` neurons.

    Both are LIFExp; each relay reaches FAN neurons, which stay below threshold, with delays of 0.5 to 5 ms. Cells that
    are not targets receive nothing.
    """
    rng = np.random.default_rng(seed)
    net = snn.Network(seed=seed)
    source = net.population("source", n, snn.Poisson(rate=rate))
    relay = net.population("relay", n, snn.LIFExp(t_ref=10.0))  # one spike for one arrival, at its weight
    cell = net.population("cell", cells, snn.LIFExp())
    net.connect(source, relay, snn.one_to_one(), weight=4000.0, delay=0.5)
    post = rng.integers(0, targets, n * FAN)
    edges = snn.from_arrays(np.repeat(np.arange(n), FAN), post)
    net.connect(relay, cell, edges, weight=rng.uniform(-40.0, 40.0, n * FAN), delay=rng.uniform(0.5, 5.0, n * FAN))
    net.record(relay)
    return net


def sources(n: int, fan: int, rate: float, varying: bool, seed: int = 3) -> snn.Network:
    """``n`` LIFExp neurons that ``n`` Poisson sources drive below threshold through ``fan`` synapses each."""
    net = snn.Network(seed=seed)
    source, cell = net.population("source", n, snn.Poisson(rate=rate)), net.population("cell", n, snn.LIFExp())
    weight, delay = (snn.uniform(-30.0, 30.0), snn.uniform(0.5, 5.0)) if varying else (5.0 / fan, 1.5)
    net.connect(source, cell, snn.fixed_outdegree(fan), weight=weight, delay=delay)
    net.record(source)
    net.record(cell)
    return net


Case = tuple[Callable[[], snn.Network], float, dict[str, Any]]  # network, ms of model time, options of Simulation


def walls(cases: Iterable[Case], repeat: int) -> list[tuple[list[float], int, snn.Simulation]]:
    """(wall seconds, spikes of the last run, simulation) of each case; cases run in turn within each repetition."""
    sims, done = [], []
    for build, duration, options in cases:
        sim = snn.Simulation(build(), quiet=True, **({"threads": 1} | options))
        sim.run(0.1 * duration)  # memory in place, activity under way
        sims.append((sim, duration))
        done.append([])
    spikes = [0] * len(sims)
    for _ in range(repeat):
        for k, (sim, duration) in enumerate(sims):
            begin = time.perf_counter()
            result = sim.run(duration)
            done[k].append(time.perf_counter() - begin)
            spikes[k] = sum(len(r) for r in result.spikes.values())
    return [(w, s, sim) for w, s, (sim, _) in zip(done, spikes, sims, strict=True)]


def _table(title: str, head: list[str], rows: list[list[str]]) -> None:
    print(f"### {title}\n\n| {' | '.join(head)} |\n|{'---|' + '--:|' * (len(head) - 1)}")
    for row in rows:
        print(f"| {' | '.join(row)} |")
    print(flush=True)


def _seconds(wall: list[float]) -> list[str]:
    return [f"{statistics.median(wall):.4f}", f"{min(wall):.4f}-{max(wall):.4f}"]


EVENT = {"engine": "event"}


def rate(repeat: int) -> None:
    """Synaptic events a second and core."""
    points = [(1000, 100, 100.0, False), (1000, 100, 100.0, True), (4000, 80, 20.0, True), (10000, 1000, 10.0, False),
              (10000, 1000, 10.0, True), (100_000, 100, 2.0, True)]  # fmt: skip
    cases: list[Case] = [(lambda p=p: sources(*p), 400.0, EVENT) for p in points]
    rows = []
    for (n, fan, hz, varying), (wall, spikes, _) in zip(points, walls(cases, repeat), strict=True):
        kind = "drawn" if varying else "constant"
        events = spikes * fan
        per = statistics.median(wall) / events
        rows.append([f"{n:,} x {fan}, {kind}", f"{hz:g}", f"{events / 1e6:.1f}", *_seconds(wall), f"{1e9 * per:.1f}",
                     f"{1e-6 / per:.1f}"])  # fmt: skip
    head = ["neurons x fan-out, weights and delays", "Hz", "M events", "s", "range", "ns/event", "M events/s/core"]
    _table("Synaptic events on LIFExp, one thread, 400 ms", head, rows)


def _curve(title: str, name: str, points: list[str], cases: list[Case], repeat: int) -> None:
    """One line a point; "net" is the time less that of a run of no length, which is the same for all."""
    done = walls(cases, repeat)
    empty = []
    for _ in range(5):
        begin = time.perf_counter()
        done[0][2].run(0.0)
        empty.append(time.perf_counter() - begin)
    least = statistics.median(empty)
    rows, first = [], 0.0
    for point, (wall, spikes, _) in zip(points, done, strict=True):
        events = spikes * FAN
        net = (statistics.median(wall) - least) / max(events, 1)
        first = first or net
        rows.append([point, f"{events:,}", *_seconds(wall), f"{1e9 * net:.1f}", f"{net / first:.2f}"])
    head = [name, "events", "s", "range", "net ns/event", "over the first"]
    _table(f"{title} (a run of no length: {1e3 * least:.1f} ms)", head, rows)


def model_time(repeat: int) -> None:
    """The same number of events in 1 to 10,000 s."""
    factors = [1.0, 10.0, 100.0, 1000.0, 10_000.0]
    cases: list[Case] = [(lambda f=f: relays(10.0 / f), 1000.0 * f, EVENT) for f in factors]
    _curve("The same events in a longer time", "model time, s", [f"{f:g}" for f in factors], cases, repeat)


def silent(repeat: int) -> None:
    """The same events among more neurons."""
    sizes = [10_000, 30_000, 100_000, 300_000, 1_000_000]
    cases: list[Case] = [(lambda n=n: relays(10.0, cells=n), 1000.0, EVENT) for n in sizes]
    _curve("The same events among more neurons", "neurons", [f"{n:,}" for n in sizes], cases, repeat)


def events(repeat: int) -> None:
    """Four decades of events in the same network and time."""
    rates = [0.01, 0.1, 1.0, 10.0, 100.0]
    cases: list[Case] = [(lambda r=r: relays(r, n=2000), 2000.0, EVENT) for r in rates]
    _curve("More events in 2 s", "Hz", [f"{r:g}" for r in rates], cases, repeat)


def engines(repeat: int) -> None:
    """Clock and event engine on the same networks."""
    va = vogels_abbott_2005
    points: dict[str, tuple[Callable[[], snn.Network], float]] = {
        "CUBA 4,000, delay 0.1 ms": (lambda: va.build("CUBA"), 1000.0),
        "CUBA 4,000, delay 1.5 ms": (lambda: va.build("CUBA", delay=1.5), 1000.0),
        "COBA 4,000, delay 0.1 ms": (lambda: va.build("COBA"), 200.0),
        "Brunel 1,250, J = 1 mV": (lambda: brunel_2000.build(1250, j=1.0), 1000.0),
        "Brunel 12,500, J = 0.1 mV": (brunel_2000.build, 100.0),
        "10,000 LIFExp, 1,000 relays at 10 Hz": (lambda: relays(10.0), 1000.0),
        "the same at 1 Hz": (lambda: relays(1.0), 5000.0),
        "the same at 0.1 Hz": (lambda: relays(0.1), 20_000.0),
    }
    cases: list[Case] = [(b, t, {"engine": e}) for b, t in points.values() for e in ("clock", "event")]
    rows, done = [], walls(cases, repeat)
    for k, (name, (_, duration)) in enumerate(points.items()):
        (clock, clock_spikes, _), (event, spikes, sim) = done[2 * k : 2 * k + 2]
        n = sum(p.n for p in sim.net.populations.values() if p.spec)
        per_second = 1000.0 / duration
        rows.append(
            [name, *(f"{per_second * s / n:.2f}" for s in (clock_spikes, spikes)),
             *(f"{statistics.median(w) * per_second:.4f}" for w in (clock, event)),
             f"{statistics.median(c / e for c, e in zip(clock, event, strict=True)):.2f}"]
        )  # fmt: skip
    head = ["network", "Hz, clock", "Hz, event", "clock, real-time factor", "event", "clock over event"]
    _table("Clock (dt = 0.1 ms) and event engine, one thread", head, rows)


PARTS: dict[str, Callable[[int], None]] = {
    "rate": rate, "time": model_time, "silent": silent, "events": events, "engines": engines,
}  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args(arguments)
    for part in options.parts:
        PARTS[part](options.repeat)


if __name__ == "__main__":
    main()
