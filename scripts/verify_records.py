"""The checks of verify.py on records: streaming in constant memory, and what a killed run leaves."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from verify_common import DT, ROOT, Line, Options, axes, save

import snn

MIB = 1 << 20


def rss() -> int:
    """Bytes this process holds now; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()
    except OSError:
        return 0


@contextmanager
def sampled_rss(interval: float = 0.05) -> Iterator[list[tuple[float, int]]]:
    """A list that grows by (seconds, bytes held) while the block runs."""
    samples: list[tuple[float, int]] = [(0.0, rss())]
    begin, done = time.perf_counter(), threading.Event()

    def sample() -> None:
        while not done.wait(interval):
            samples.append((time.perf_counter() - begin, rss()))

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        done.set()
        thread.join()
        samples.append((time.perf_counter() - begin, rss()))


def growth(samples: list[tuple[float, int]]) -> float:
    """Bytes by which the memory of the last fifth of the time exceeds that of the second fifth (medians)."""
    t, held = np.array(samples).T
    at = t / t[-1]
    return float(np.median(held[at >= 0.8]) - np.median(held[(at >= 0.2) & (at < 0.4)]))


def source_network(populations: int = 10, n: int = 2000, rate: float = 50.0) -> snn.Network:
    """Recorded Poisson sources: 1 M spikes a second of model time as they stand."""
    net = snn.Network(seed=7)
    for k in range(populations):
        net.record(net.population(f"sources{k}", n, snn.Poisson(rate=rate)))
    return net


def check_with_libsonata(path: Path, expected: dict[str, tuple[int, int]], duration: float) -> int:
    """Read every population with libsonata; number of spikes. Raises AssertionError where the file is wrong."""
    import libsonata

    reader, total = libsonata.SpikeReader(str(path)), 0
    if set(reader.get_population_names()) != set(expected):
        raise AssertionError(f"populations: {reader.get_population_names()}")
    for name, (n_nodes, n_spikes) in expected.items():
        spikes = reader[name].get_dict()
        times, ids = np.asarray(spikes["timestamps"]), np.asarray(spikes["node_ids"])
        wrong = (
            times.size != n_spikes or ids.size != n_spikes or ids.max() >= n_nodes or np.any(np.diff(times) < 0)
            or times[0] <= 0 or times[-1] > duration + 1e-6 or not np.isfinite(times).all()
        )  # fmt: skip
        if wrong:
            raise AssertionError(f"{name}: {times.size} spikes of {n_spikes}, {times[0]} to {times[-1]} ms")
        total += times.size
    return total


def streaming(options: Options) -> list[Line]:
    """Ten minutes of model time at 1 M spikes a second, streamed: flat memory, a complete file, throughput."""
    duration = 60_000.0 if options.quick else 600_000.0
    # Leaking what it writes, the run would grow by 16 bytes a spike, 60 % of it between the two times: 6 GB, with
    # --quick 0.6 GB. What writer and allocator hold varies by less than the writer's buffer of 32 MiB, twice.
    bound = 64 * MIB
    net = source_network()
    expected = 1e-3 * duration * 50.0 * 20_000
    sim = snn.Simulation(net, dt=1.0, threads=1, quiet=True)
    with tempfile.TemporaryDirectory(dir=options.out) as folder:
        path = Path(folder) / "streaming.h5"
        begin = time.perf_counter()
        with sampled_rss(0.2) as samples:
            result = sim.run(duration, to=path)
        seconds = time.perf_counter() - begin
        sizes = result.sizes()
        total = sum(n for _, n in sizes.values())
        size = path.stat().st_size
        begin = time.perf_counter()
        read = check_with_libsonata(path, sizes, duration)
        reading = time.perf_counter() - begin
        left = list(Path(folder).iterdir())
    more = growth(samples)
    figure, panels = axes(1, 1, 6.0, 3.2)
    t, held = np.array(samples).T
    panels[0, 0].plot(t, held / MIB, lw=0.8)
    panels[0, 0].set(
        xlabel="s", ylabel="memory held (MiB)", ylim=(0, None), title=f"{total / 1e6:.0f} M spikes streamed"
    )
    save(figure, options, "streaming")
    minutes = duration / 60_000.0
    return [
        Line(
            f"streaming {minutes:g} min of model time: memory", "a run of no length",
            f"grows by {more / MIB:+.0f} MiB from the second to the last fifth; largest {held.max() / MIB:.0f} MiB",
            f"<= {bound // MIB} MiB (buffers; the file is {size / 2**30:.1f} GiB)", more <= bound,
        ),
        Line(
            f"streaming {minutes:g} min: the file", "libsonata",
            f"{read:,} spikes in order, read in {reading:.0f} s; expected {expected:,.0f}",
            "all of them, 5 standard deviations (Poisson)",
            read == total and abs(total - expected) < 5 * expected**0.5 and left == [path],
        ),
        Line(
            f"streaming {minutes:g} min: throughput", "1 thread",
            f"{seconds:.0f} s, {total / seconds / 1e6:.1f} M spikes/s, {size / seconds / 1e6:.0f} MB/s, "
            f"{total / duration * 1e-3:.2f} M spikes a second of model time",
            "reported", True,
        ),
    ]  # fmt: skip


def kill_network() -> snn.Network:
    """A small recurrent network with spikes and traces recorded."""
    import brunel_2000

    net = brunel_2000.build(1250, g=6.0, j=0.5, seed=3)
    net.record("exc", "v", ids=np.arange(20), every=1.0)
    return net


def kill_child(path: str, duration: float) -> None:
    """Run until killed: flush every 20 ms of model time, and print the time of every flush that is done."""
    from snn import drive_clock, simulation
    from snn.io.sonata import SonataWriter

    simulation.FLUSH_SECONDS = 0.0
    drive_clock.Clock.next_chunk = lambda self, wanted: 200
    flush = SonataWriter.flush

    def told(self: SonataWriter, t_now: float) -> None:
        flush(self, t_now)
        print(t_now, flush=True)

    SonataWriter.flush = told  # type: ignore[method-assign]
    snn.Simulation(kill_network(), dt=DT, threads=1, quiet=True).run(duration, to=path)


def kill_once(path: Path, delay: float, duration: float, undisturbed: snn.Result) -> float:
    """Kill a run ``delay`` seconds after its first flush; ms that were safe. AssertionError where anything is lost."""
    from snn.io.sonata import describe, read_result
    from snn.io.sonata_file import part_path

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(Path(__file__).resolve()), str(path), str(duration)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
        assert child.stdout is not None
        watch = threading.Timer(120.0, child.kill)  # a run that never flushes fails, it does not hang
        watch.start()
        told = [child.stdout.readline()]
        watch.cancel()
        time.sleep(delay)
        child.send_signal(signal.SIGKILL)
        told += child.stdout.read().splitlines()
    if child.returncode != -signal.SIGKILL:
        raise AssertionError(f"ended before it was killed ({child.returncode}): give a longer duration")
    flushed = [float(t) for t in told if t]
    if not flushed:
        raise AssertionError("no flush within 120 s")
    part = part_path(path)
    if path.exists() or not part.exists():
        raise AssertionError("the unfinished run has its final name, or left nothing")
    result, info = read_result(part), describe(part)
    if result.complete or info["complete"] or result.t_stop < flushed[-1] - 1e-9:
        raise AssertionError(f"complete: {result.complete}; safe to {result.t_stop} ms, told {flushed[-1]} ms")
    for name, record in undisturbed.spikes.items():
        safe = result.spikes[name]
        k = int(np.searchsorted(record.times, result.t_stop + 1e-6))
        if (
            len(safe) != k
            or not np.array_equal(safe.times, record.times[:k])
            or not np.array_equal(safe.ids, record.ids[:k])
        ):
            raise AssertionError(f"{name}: {len(safe)} spikes, {k} expected up to {result.t_stop} ms")
    v, whole = result.states["exc"]["v"], undisturbed.states["exc"]["v"]
    k = int(np.searchsorted(undisturbed.states["exc"].times("v"), result.t_stop + 1e-6))
    if len(v) != k or not np.array_equal(v, whole[:k].astype(np.float32)):
        raise AssertionError(f"v: {len(v)} samples, {k} expected")
    part.unlink()
    return result.t_stop


def kill(options: Options) -> list[Line]:
    """SIGKILL at random moments: the .part opens and holds every spike up to its last flush."""
    times = 4 if options.quick else 25
    duration = 20_000.0
    rng = np.random.default_rng()
    delays = np.sort(rng.uniform(0.0, 1.2, times))
    undisturbed = snn.Simulation(kill_network(), dt=DT, threads=1, quiet=True).run(duration)
    safe, failed = [], []
    with tempfile.TemporaryDirectory() as folder:
        for k, delay in enumerate(delays):
            try:
                safe.append(kill_once(Path(folder) / f"{k}.h5", float(delay), duration, undisturbed))
            except AssertionError as error:
                failed.append(f"after {delay:.3f} s: {error}")
                safe.append(float("nan"))
    figure, panels = axes(1, 1, 5.0, 3.2)
    panels[0, 0].plot(delays, np.array(safe) / 1000.0, "o")
    panels[0, 0].set(xlabel="killed after its first flush by (s)", ylabel="model time that was safe (s)")
    save(figure, options, "kill")
    text = f"{times - len(failed)} of {times} .part files whole, {np.nanmin(safe):.0f} to {np.nanmax(safe):.0f} ms safe"
    bound = "all: spikes and traces equal, bit for bit, to the last flush that was told"
    return [Line("kill -9 in mid-run", "the undisturbed run", "; ".join([text, *failed]), bound, not failed)]


if __name__ == "__main__":
    kill_child(sys.argv[1], float(sys.argv[2]))
