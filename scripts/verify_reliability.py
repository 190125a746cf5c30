"""The checks of verify.py on long runs: killed and resumed at random, everything resumed, memory over hours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
from verify_common import DT, ROOT, Line, Options, axes, module, save
from verify_records import MIB, check_with_libsonata, growth, kill_network, sampled_rss, source_network

import plasticity
import snn


def child(*arguments: str) -> subprocess.Popen[str]:
    """This file as a program in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, str(Path(__file__).resolve()), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def learning_network() -> snn.Network:
    """``kill_network`` with a plastic projection, whose weights are recorded too."""
    net = kill_network()
    exc = net.populations["exc"]
    rule = plasticity.STDPPair(lambda_=0.01, w_max=1.0)
    net.connect(exc, exc, snn.fixed_indegree(10), weight=0.1, delay=1.5, plasticity=rule, name="plastic")
    net.record_weights("plastic", every=500.0)
    return net


def keep_child(path: str, duration: float) -> None:
    """Run, or go on with, a record until killed or done; "go" is printed when the first step is taken."""
    from snn import drive_clock, simulation

    simulation.FLUSH_SECONDS = 0.0
    drive_clock.Clock.next_chunk = lambda self, wanted: 200  # type: ignore[method-assign]
    state = Path(path).with_suffix(".state.h5")
    net = learning_network()
    if state.exists():
        sim = snn.Simulation.resume(state, net, threads=int(np.random.default_rng().integers(1, 3)), quiet=True)
        print("go", flush=True)
        sim.proceed()
    else:
        sim = snn.Simulation(net, dt=DT, threads=1, quiet=True)
        print("go", flush=True)
        sim.run(duration, to=path, checkpoint=state, every=100.0, overwrite=True)


def chain(path: Path, duration: float, most: int, longest: float, straight: snn.Result) -> tuple[int, list[float]]:
    """Start the run, kill it at a random moment, go on, kill it, .., until it ends or was killed ``most`` times.

    Returns how often it was killed and the ms that were safe each time. AssertionError where anything is lost.
    """
    from snn.io.sonata import read_result
    from snn.io.sonata_file import part_path

    rng, kills, safe = np.random.default_rng(), 0, []
    while not path.exists():
        with child("keep", str(path), str(duration)) as process:
            assert process.stdout is not None
            watch = threading.Timer(300.0, process.kill)
            watch.start()
            if process.stdout.readline() != "go\n":
                raise AssertionError("the process did not start")
            if kills < most:
                time.sleep(float(rng.uniform(0.0, longest)))
                process.send_signal(signal.SIGKILL)
            process.wait()
            watch.cancel()
        if process.returncode == 0:
            break
        if process.returncode != -signal.SIGKILL:
            raise AssertionError(f"the process failed: {process.returncode}")
        kills += 1
        part = part_path(path)
        if not part.exists():  # killed before the record was begun, or after its end
            continue
        found = read_result(part)
        safe.append(found.t_stop)
        record = straight.spikes["exc"]
        n = int(np.searchsorted(record.times, found.t_stop, side="right"))
        if not np.array_equal(found.spikes["exc"].times, record.times[:n]):
            raise AssertionError(f"{len(found.spikes['exc'])} spikes in the .part, {n} expected to {found.t_stop} ms")
    same(straight, read_result(path))
    return kills, safe


def same(one: snn.Result, other: snn.Result) -> None:
    """AssertionError unless two records hold the same."""
    if not other.complete or (one.t_start, one.t_stop) != (other.t_start, other.t_stop):
        raise AssertionError(f"{other.t_start} to {other.t_stop} ms, complete: {other.complete}")
    pairs: list[tuple[str, Any, Any]] = []
    for name, record in one.spikes.items():
        pairs += [(name, getattr(record, k), getattr(other.spikes[name], k)) for k in ("times", "ids")]
    for name, states in one.states.items():
        pairs += [(f"{name}.{v}", states[v], other.states[name][v]) for v in states]
    for name, weights in one.weights.items():
        pairs += [(name, x, y) for x, y in zip(weights, other.weights[name], strict=True)]
    for name, x, y in pairs:
        if not np.array_equal(x, y):
            raise AssertionError(f"{name}: differs from the undisturbed run")


def kill_resume(options: Options) -> list[Line]:
    """SIGKILL at 50 random moments of runs with checkpoints: all go on and end with the undisturbed record."""
    wanted, duration = (6 if options.quick else 50), 6_000.0
    kills, chains, safe, failed = 0, 0, list[float](), ""
    with tempfile.TemporaryDirectory() as folder:
        straight = snn.Simulation(learning_network(), dt=DT, threads=1, quiet=True).run(
            duration, to=Path(folder) / "straight.h5"
        )
        try:
            while kills < wanted:
                n, times = chain(Path(folder) / f"{chains}.h5", duration, min(10, wanted - kills), 0.8, straight)
                kills, chains, safe = kills + n, chains + 1, safe + times
        except AssertionError as error:
            failed = f"; {error}"
        spikes = sum(n for _, n in straight.sizes().values())
    figure, panels = axes(1, 1, 5.0, 3.2)
    panels[0, 0].plot(np.arange(len(safe)) + 1, np.array(safe) / 1000.0, "o")
    panels[0, 0].set(xlabel="kill", ylabel="model time safe in the record (s)", title=f"{chains} runs, {kills} kills")
    save(figure, options, "kill_resume")
    text = f"{kills} kills in {chains} runs of {spikes:,} spikes; 1 or 2 threads at random after each{failed}"
    bound = f"{wanted}; every file opens, every run ends with the undisturbed record, bit for bit"
    return [Line("kill -9 and resume", "the undisturbed run", text, bound, not failed and kills >= wanted)]


# ------------------------------------------------------------------------------------------------- everything resumed

SPLIT = (37.3, 52.1)  # ms


def cases() -> dict[str, tuple[str, Any]]:
    """Networks by name: engine, and what makes the network. Those of the tests of the reference engine."""
    from plasticity.base import RULES
    from snn.neurons.base import MODELS

    clock = module(ROOT / "tests" / "oracle" / "test_reference_cpu.py")
    event = module(ROOT / "tests" / "oracle" / "test_event.py")
    learns = module(ROOT / "tests" / "oracle" / "test_event_plasticity.py")
    kept = module(ROOT / "tests" / "unit" / "test_event_checkpoint.py")
    out: dict[str, tuple[str, Any]] = {}
    for name in sorted(MODELS):
        out[name] = "clock", lambda name=name: clock.network(MODELS[name])
    for name in sorted(RULES):
        rules = [RULES[name](**p) for p in clock.STRONG.get(name, [{}])[:1]]
        out[name] = "clock", lambda rules=rules: clock.plastic_network(*rules)
    for name in event.CLOSED:
        out[f"{name}, event"] = "event", lambda name=name: event.network(MODELS[name])
    out["rules, event"] = "event", lambda: learns.network(*map(learns.rule, learns.PARAMS))
    for engine in ("clock", "event"):
        out[f"inputs, modulator, short term, {engine}"] = engine, lambda engine=engine: kept.network(engine)
    return out


def outcome(sim: snn.Simulation, duration: float) -> list[np.ndarray]:
    """Spikes and samples of a run, states and weights at its end."""
    result = sim.run(duration)
    out = [getattr(record, k) for record in result.spikes.values() for k in ("times", "ids")]
    out += [states[v] for states in result.states.values() for v in states]
    for p in sim.net.populations.values():
        names = [v.name for v in p.spec.state if v.dtype == "float"] if p.spec else []
        out += [sim.state(p, name) for name in names]
    return out + [sim.connections(q)[2] for q in sim.net.projections.values()]


def resume_child(folder: str) -> None:
    """Go on with every checkpoint in the folder, on two threads."""
    for name, (_, make) in cases().items():
        path = Path(folder) / f"{name}.h5"
        if path.exists():
            sim = snn.Simulation.resume(path, make(), threads=2, quiet=True)
            np.savez(path.with_suffix(".npz"), *outcome(sim, SPLIT[1]))


def resume_everything(options: Options) -> list[Line]:
    """All models, rules, engines: run, checkpoint on 1 thread, go on in a new process on 2; as the straight run."""
    found, different, spikes = 0, [], 0
    some = dict(list(cases().items())[:: 8 if options.quick else 1])
    with tempfile.TemporaryDirectory() as folder:
        expected = {}
        for name, (engine, make) in some.items():
            straight, cut = (snn.Simulation(make(), engine=engine, threads=1, quiet=True) for _ in range(2))
            for sim in (straight, cut):
                sim.run(SPLIT[0])
            cut.checkpoint(Path(folder) / f"{name}.h5")
            expected[name] = outcome(straight, SPLIT[1])
        with child("resume", folder) as process:
            process.wait()
        for name, arrays in expected.items():
            with np.load(Path(folder) / f"{name}.npz") as rest:
                equal = len(rest.files) == len(arrays)
                equal &= all(np.array_equal(x, y) for x, y in zip(arrays, rest.values(), strict=False))
            found += 1
            spikes += len(arrays[0])
            different += [] if equal else [name]
    text = f"{found - len(different)} of {found} networks equal in spikes, samples, states and weights"
    text += f"; different: {', '.join(different)}" if different else f"; {spikes:,} spikes of their first populations"
    bound = "all of them, bit for bit"
    return [Line("checkpoint, new process, 1 then 2 threads", "the straight run", text, bound, not different)]


# --------------------------------------------------------------------------------------------------------- long runs


def ten_million(options: Options) -> list[Line]:
    """Ten million spikes a second of model time, recorded for a minute of it: flat memory, throughput."""
    duration = 6_000.0 if options.quick else 60_000.0
    net = source_network(populations=10, n=20_000, rate=50.0)
    sim = snn.Simulation(net, dt=1.0, threads=1, quiet=True)
    bound = 64 * MIB  # of 9.6 GB, 60 % would be between the two times if they were kept
    with tempfile.TemporaryDirectory(dir=options.out) as folder:
        path = Path(folder) / "many.h5"
        begin = time.perf_counter()
        with sampled_rss(0.1) as samples:
            result = sim.run(duration, to=path)
        seconds, size = time.perf_counter() - begin, path.stat().st_size
        sizes = result.sizes()
        total = sum(n for _, n in sizes.values())
        read = check_with_libsonata(path, sizes, duration)
    more, held = growth(samples), max(m for _, m in samples)
    text = (
        f"{total / 1e6:.0f} M spikes in {seconds:.0f} s: {total / seconds / 1e6:.1f} M/s, {size / seconds / 1e6:.0f} "
        f"MB/s; memory {more / MIB:+.0f} MiB from the second to the last fifth, largest {held / MIB:.0f} MiB"
    )
    expected = 1e7 * duration / 1000.0
    good = more <= bound and read == total and abs(total - expected) < 5 * expected**0.5
    return [
        Line(f"10 M spikes/s for {duration / 1000:g} s", "libsonata", text, f"<= {bound // MIB} MiB; all there", good)
    ]


def one_day(options: Options) -> list[Line]:
    """24 hours of model time of a small plastic network with checkpoints: memory does not drift."""
    hours = 1.0 if options.quick else 24.0
    net = snn.Network(seed=4)
    exc = net.population("exc", 40, snn.LIFDelta(tau_m=20.0))
    net.input("noise", exc, snn.Poisson(rate=2000.0), weight=0.4)
    rule = plasticity.STDPPair(lambda_=0.01, w_max=1.0)
    net.connect(exc, exc, snn.fixed_indegree(5), weight=0.3, delay=1.5, plasticity=rule, name="plastic")
    net.record(exc)
    net.record_weights("plastic", every=600_000.0)
    sim = snn.Simulation(net, dt=1.0, threads=1, quiet=True)
    with tempfile.TemporaryDirectory(dir=options.out) as folder:
        path = Path(folder) / "day.h5"
        begin = time.perf_counter()
        with sampled_rss(0.2) as samples:
            result = sim.run(hours * 3.6e6, to=path, checkpoint=Path(folder) / "state.h5", every=3.6e6)
        seconds = time.perf_counter() - begin
        n_spikes = result.sizes()["exc"][1]
        rates = np.histogram(result.spikes["exc"].times, bins=24)[0] / (40 * hours * 3600 / 24)
    more, bound = growth(samples), 32 * MIB  # the writer's buffer
    text = (
        f"{hours:g} h in {seconds:.0f} s, {n_spikes / 1e6:.1f} M spikes, {rates.min():.2f} to {rates.max():.2f} Hz; "
        f"memory {more / MIB:+.1f} MiB from the second to the last fifth"
    )
    good = more <= bound and bool(rates.min() > 0.1)
    return [Line(f"{hours:g} h of model time", "-", text, f"<= {bound // MIB} MiB (buffer)", good)]


if __name__ == "__main__":
    if sys.argv[1] == "keep":
        keep_child(sys.argv[2], float(sys.argv[3]))
    else:
        resume_child(sys.argv[2])
