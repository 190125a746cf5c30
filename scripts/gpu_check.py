"""Everything that needs a GPU, in one call of under eight minutes: correctness first, then the benchmark.

    python scripts/gpu_check.py --out results/gpu

Every section is a process of its own, because a fault on a device ends the context of the process that made it: one
that fails, or takes longer than its seconds, is reported, and the others still run. What would begin after ``--limit``
seconds is left out and said to be; ``--only`` runs it in another call, beside what is there. Written after each:
``gpu_check.json`` with all figures, ``gpu_check.md`` with the table for docs/performance.md. Needs the extras ``cuda``
and ``dev``. The exit code is 0 only if all sections passed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "examples")]
FOUND: dict[str, Any] = {}  # figures by section, as in gpu_check.json


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def seeing(*folders: Path) -> dict[str, str]:
    """The environment of a process that imports from these folders too, before what this one does."""
    path = [*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path)}


def timed(work: Callable[[], Any], repeats: int = 3) -> float:
    """Least seconds of some calls, each waited for; one call before them compiles."""
    from numba import cuda

    work()
    cuda.synchronize()
    best = np.inf
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        cuda.synchronize()
        best = min(best, time.perf_counter() - begin)
    return best


def environment() -> dict[str, Any]:
    """Device, driver and versions."""
    from numba import cuda

    import snn

    device = cuda.get_current_device()
    name = device.name.decode() if isinstance(device.name, bytes) else str(device.name)
    free, total = cuda.current_context().get_memory_info()
    found = {
        "device": name, "capability": device.compute_capability, "multiprocessors": device.MULTIPROCESSOR_COUNT,
        "free_gib": free / 2**30, "total_gib": total / 2**30,
        "volley": snn.__version__, "python": sys.version.split()[0],
    }  # fmt: skip
    for package in ("numba", "numba-cuda", "numpy"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name,driver_version,clocks.sm,clocks.mem", "--format=csv,noheader"]
        found["nvidia-smi"] = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    return found


def limits() -> dict[str, Any]:
    """What the device can do at most: bytes copied, scattered atomic additions, meetings of a cooperative grid."""
    from numba import cuda

    from kernels.cuda.jit import add_to

    @cuda.jit
    def copy(a, b):  # type: ignore[no-untyped-def]
        for i in range(cuda.grid(1), a.size, cuda.gridsize(1)):
            b[i] = a[i]

    @cuda.jit
    def scatter(a, n, mask):  # type: ignore[no-untyped-def]
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            add_to(a, (i * 2654435761) & mask, 1)

    @cuda.jit
    def meet(n):  # type: ignore[no-untyped-def]
        grid = cuda.cg.this_grid()
        for _ in range(n):
            grid.sync()

    blocks = cuda.get_current_device().MULTIPROCESSOR_COUNT
    found: dict[str, Any] = {}
    a, b = cuda.device_array(2**28, np.float32), cuda.device_array(2**28, np.float32)
    found["copy_tb_s"] = 2 * a.nbytes / timed(lambda: copy[blocks * 16, 256](a, b)) / 1e12
    for dtype in (np.float32, np.float64, np.int64):
        for megabytes in (1, 256):
            target = cuda.to_device(np.zeros(megabytes * 2**20 // np.dtype(dtype).itemsize, dtype))
            seconds = timed(lambda t=target: scatter[blocks * 8, 256](t, 2**26, t.size - 1))  # type: ignore[misc]
            found[f"atomics_g_s_{np.dtype(dtype).name}_{megabytes}mb"] = 2**26 / seconds / 1e9
    for per, threads in ((1, 256), (2, 256), (1, 512), (1, 1024)):  # blocks of a multiprocessor, their threads
        seconds = timed(lambda p=per, t=threads: meet[blocks * p, t](1000))  # type: ignore[misc]
        found[f"grid_sync_us_{per}x{threads}"] = seconds * 1e3
    return found


def tests() -> dict[str, Any]:
    """The tests of the simulator, on the device."""
    env = {k: v for k, v in seeing(ROOT).items() if k != "NUMBA_ENABLE_CUDASIM"}
    # most of it is compiling, on the host
    parallel = ["-n", str(min(16, os.cpu_count() or 1))] if importlib.util.find_spec("xdist") else []
    command = [sys.executable, "-m", "pytest", "-q", *parallel, "--durations=5", "tests/oracle/test_cuda.py",
               "tests/oracle/test_cuda_device.py", "-k", "not simulator and not absent"]  # fmt: skip
    last = ""
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as p:
        for line in p.stdout or ():  # as it comes: what is stopped has said how far it was
            say(line.rstrip())
            last = line.strip() or last
    if p.returncode:
        raise RuntimeError(f"pytest: exit code {p.returncode}: {last}")
    return {"summary": last}


def small() -> tuple[int, list[int]]:
    """Drawing, delivery of lists and bits, plasticity, a checkpoint and inference, small enough for compute-sanitizer:
    number of spikes, classes found."""
    import plasticity
    import snn
    from kernels.cuda import engine

    engine.BLOCKS_PER_MULTIPROCESSOR = 1  # what is watched takes more registers
    net, rng = snn.Network(seed=1), np.random.default_rng(1)
    a = net.population("a", 50, snn.LIFExp(i_e=1000.0), init={"v": snn.uniform(-70.0, -55.0)})
    values = {"weight": snn.uniform(10.0, 50.0), "delay": snn.uniform(1.0, 3.0)}
    net.connect(a, a, snn.fixed_indegree(40), **values, name="drawn")
    net.connect(a, a, snn.pairwise_bernoulli(0.3), weight=1.0, delay=1.0, name="bits")
    net.connect(a, a, snn.fixed_indegree(5), **values, plasticity=plasticity.STDPTriplet(w_max=100.0), name="learns")
    net.record(a)
    sim = snn.Simulation(net, backend="cuda")
    with tempfile.TemporaryDirectory() as folder:
        sim.checkpoint(Path(folder, "state.h5"))
    spikes = len(sim.run(6.0).spikes["a"])
    net = snn.Network()
    hidden = net.population("hidden", 8, snn.CubaLIF(alpha=0.0, beta=1.0, v_th=1.0, reset=1))
    out = net.population("out", 3, snn.CubaLIF(alpha=0.0, beta=1.0, v_th=1e9))
    net.input("x", hidden, snn.StepCurrent(np.zeros((1, 8))))
    net.connect(hidden, out, snn.all_to_all(), weight=rng.normal(size=(8, 3)), delay=1.0)
    classifier = snn.Classifier(net, snn.encode.Direct("x", np.eye(8)), out, backend="cuda")
    return spikes, classifier.predict(2.0 * np.eye(9, 8), 6).tolist()


def sanitizer() -> dict[str, Any]:
    """compute-sanitizer on small networks, where it is installed."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return {"skipped": "compute-sanitizer is not on the path"}
    done = subprocess.run(
        # of what the driver refuses the program hears itself
        [tool, "--report-api-errors", "no", "--error-exitcode", "9",
         sys.executable, "-c", "import gpu_check; print(gpu_check.small())"],
        env=seeing(ROOT, ROOT / "scripts"), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    say(done.stdout[-1500:])
    if done.returncode:
        raise RuntimeError(f"compute-sanitizer: exit code {done.returncode}: {done.stderr[-500:]}")
    return {"summary": done.stdout.strip().splitlines()[-1]}


def measure(
    net: Any, duration: float, warm_up: float, shapes: bool = False, static: bool = True, **options: Any
) -> dict[str, Any]:
    """Build and run a network: times, memory, rates, and how events compare with the device's limits.

    static : time the phases of a window too; a network that learns does more between them than is timed there
    """
    from numba import cuda

    import snn

    free = cuda.current_context().get_memory_info()[0]
    begin = time.perf_counter()
    sim = snn.Simulation(net, backend="cuda", **options)
    ready = time.perf_counter() - begin
    engine, tables = sim._drive.engine, sim.compiled.tables
    edge_bytes = sum(
        a.nbytes for e in (*engine.arrays.edges, *engine.arrays.synapses) for a in e if hasattr(a, "nbytes")
    )
    found: dict[str, Any] = {
        "neurons": int(tables.n.sum()), "synapses": sim.compiled.n_edges, "build_s": sim.build_seconds,
        "kernels_s": ready - sim.build_seconds, "planned_gib": {k: n / 2**30 for k, n in engine.memory.items()},
        "taken_gib": (free - cuda.current_context().get_memory_info()[0]) / 2**30,
        "bytes_per_synapse": edge_bytes / max(sim.compiled.n_edges, 1),
        "blocks": engine.blocks, "threads": engine.threads, "cooperative": engine.cooperative,
    }  # fmt: skip
    say(f"    {found}")
    sim.run(warm_up)
    begin = time.perf_counter()
    result = sim.run(duration)
    seconds = time.perf_counter() - begin
    spikes = sum(len(x) for x in result.spikes.values())
    found["real_time_factor"] = seconds / duration * 1e3
    found["rates_hz"] = {name: round(x.rate(), 3) for name, x in result.spikes.items()}
    events = spikes * sim.compiled.n_edges / max(found["neurons"], 1)  # as if all had the mean number of targets
    found["events_g_s"] = events / seconds / 1e9
    limit = FOUND.get("limits", {})
    adds = "int64" if options.get("deterministic") else sim.precision
    if f"atomics_g_s_{adds}_256mb" in limit:
        found["share_of_atomics"] = found["events_g_s"] / limit[f"atomics_g_s_{adds}_256mb"]
    if "copy_tb_s" in limit:  # rows read; state read and written at each step
        state = sum(a.nbytes for a in (engine.arrays.state.f, engine.arrays.state.i))
        moved = events * found["bytes_per_synapse"] + 2 * state * duration / sim.dt
        found["share_of_bandwidth"] = moved / seconds / 1e12 / limit["copy_tb_s"]
    say(f"    real-time factor {found['real_time_factor']:.4f}, {found['events_g_s']:.3g} G events/s")
    if shapes:
        found["shapes"] = {}
        attempt(found, "shapes", lambda: launch_shapes(sim, found["shapes"]))
    if static:
        attempt(found, "phases", lambda: found.update(phases=phases(sim)))
    return found


def attempt(found: dict[str, Any], name: str, work: Callable[[], None]) -> None:
    """Do ``work``; if it fails, the section has, but what it found before stays."""
    try:
        work()
    except Exception as error:
        found["failed"] = f"{name}: {type(error).__name__}: {error}"[:500]
        say(f"    failed: {found['failed']}")


def launch_shapes(sim: Any, found: dict[str, float]) -> None:
    """Real-time factors by shape of the launch."""
    from numba import cuda

    engine = sim._drive.engine
    kernel, chosen = next(iter(engine.module.advance.overloads.values())), (engine.blocks, engine.threads)
    for blocks, threads in ((1, 128), (2, 128), (4, 128), (1, 256), (2, 256), (1, 512), (1, 576), (1, 640), (1, 1024)):
        count = min(blocks * cuda.get_current_device().MULTIPROCESSOR_COUNT,
                    kernel.max_cooperative_grid_blocks(threads))  # fmt: skip
        if count < 1:
            continue
        engine.blocks, engine.threads = int(count), threads
        sim.run(20.0)
        begin = time.perf_counter()
        sim.run(1000.0)
        found[f"{count}x{threads}"] = factor = time.perf_counter() - begin
        say(f"    {count} blocks of {threads}: real-time factor {factor:.4f}")
    engine.blocks, engine.threads = chosen


# the loop of kernels.cuda.generate with the clock of the first thread: what it does itself, and until all have met
_TIMED = '''


@kernel
def timed(start, windows, clock, plan, tables, constants, state, inputs, probes, out{edges}):
    """So many windows."""
    thread, threads, grid = cuda.grid(1), cuda.gridsize(1), cuda.cg.this_grid()
    begin, half, stop = start, 0, start + windows * plan.window
    give(thread, threads, start, min(start + plan.window, stop), plan, tables, inputs, state.ring)
    grid.sync()
    for w in range(windows):
        end = begin + plan.window
        if thread == 0:
            clock[w, 0] = cycles()
        neurons(thread, threads, start, begin, end, half, plan, tables, constants, state, inputs, probes, out)
        if thread == 0:
            clock[w, 1] = cycles()
        grid.sync()
        if thread == 0:
            clock[w, 2] = cycles()
        deliver(thread, threads, begin, end, stop, half, plan, tables, inputs, state.ring, out{edges})
        if thread == 0:
            clock[w, 3] = cycles()
        grid.sync()
        if thread == 0:
            clock[w, 4] = cycles()
        begin, half = end, 1 - half
'''


def phases(sim: Any, windows: int = 200) -> dict[str, float]:
    """Microseconds of a window: neurons, delivery, each until the grid has met; "alone": until one thread is ready."""
    from numba import cuda

    from kernels.cuda.arrays import module
    from kernels.cuda.jit import SIMULATED, fetch, send

    engine, start = sim._drive.engine, sim._drive.at
    if not engine.cooperative:
        return {}
    read = "from time import perf_counter_ns as cycles" if SIMULATED else "from kernels.cuda.jit import cycles"
    text = _TIMED.format(edges="".join(f", edges_{k}" for k in range(len(engine.arrays.edges))))
    timed = module(engine.net, sim.deterministic, f"\n\n{read}{text}").timed
    clock, given = send(np.zeros((windows, 5), np.int64)), engine.arguments(start, start)["advance"][2:]
    engine.put(engine.arrays.out.counts, np.zeros(engine.arrays.out.counts.size, np.int64))
    timed[1, engine.threads](start, 0, clock, *given)  # compiles
    blocks = engine.blocks
    if not SIMULATED:
        kernel = next(iter(timed.overloads.values()))
        blocks = min(blocks, int(kernel.max_cooperative_grid_blocks(engine.threads)))
    timed[blocks, engine.threads](start, windows, clock, *given)
    per_us = 1e3 if SIMULATED else cuda.get_current_device().CLOCK_RATE / 1e3
    sim._drive.at = start + windows * engine.window
    times = fetch(clock)[min(5, windows - 1) :] / per_us
    engine.net.state.f[:] = fetch(engine.arrays.state.f)
    engine.net.state.i[:] = fetch(engine.arrays.state.i)
    names = {"neurons_us": (0, 2), "deliver_us": (2, 4)} | {"neurons_alone_us": (0, 1), "deliver_alone_us": (2, 3)}
    found = {name: float((times[:, end] - times[:, begin]).mean()) for name, (begin, end) in names.items()}
    say(f"    a window: {found}")
    return found


def microcircuit() -> dict[str, Any]:
    """The full-scale microcircuit of Potjans & Diesmann (2014), float32; published rates beside."""
    import potjans_diesmann_2014 as pd

    found = measure(pd.build(1.0), 1000.0, 200.0, shapes=True, dt=pd.DT, precision="float32")
    found["published_hz"] = dict(zip(pd.POPULATIONS, pd.PUBLISHED_RATES.tolist(), strict=True))
    found["rates that differ by more than a tenth"] = [
        name for name, rate in found["published_hz"].items() if abs(found["rates_hz"][name] / rate - 1.0) > 0.1
    ]
    return found


def microcircuit_fixed() -> dict[str, Any]:
    """The same at scale 0.5, float64 in fixed point."""
    import potjans_diesmann_2014 as pd

    return measure(pd.build(0.5), 500.0, 200.0, dt=pd.DT, deterministic=True)


def brunel_network(n: int, indegree: int, seed: int = 7, values: str = "constant") -> Any:
    """Brunel (2000), state AI (g = 5, eta = 2): n neurons, four fifths of them and of their inputs excitatory.

    values : of weights and delays: "constant", "drawn", or "learned": weights among excitatory neurons by pair STDP
    """
    import plasticity
    import snn

    net, excitatory = snn.Network(seed=seed), n * 4 // 5
    model = snn.LIFDelta(tau_m=20.0, v_th=20.0, v_reset=10.0, e_l=0.0, t_ref=2.0)
    weight = 0.1 * 1000.0 / (indegree * 0.8)
    populations = [
        net.population(name, size, model, init={"v": snn.uniform(0.0, 20.0)})
        for name, size in (("exc", excitatory), ("inh", n - excitatory))
    ]
    for k, target in enumerate(populations):
        rate = 2.0 * 20.0 / (weight * 20.0) * 1e3
        net.input(f"noise {k}", target, snn.Poisson(rate=rate), weight=weight)
        for source, number, w in zip(populations, (indegree * 4 // 5, indegree // 5), (1.0, -5.0), strict=True):
            drawn = values == "drawn"
            rule = plasticity.STDPPair(lambda_=0.01, alpha=1.05, w_max=2.0 * weight)
            net.connect(
                source, target, snn.fixed_indegree(number),
                weight=snn.normal(w * weight, 0.1 * abs(w) * weight) if drawn else w * weight,
                delay=snn.normal(1.5, 0.5, low=0.5, high=5.0) if drawn else 1.5,
                plasticity=rule if values == "learned" and source is target is populations[0] else None,
            )  # fmt: skip
        net.record(target)
    return net


def brunel(n: int, indegree: int, duration: float, values: str = "constant") -> Callable[[], dict[str, Any]]:
    """The section for one size."""
    return lambda: measure(
        brunel_network(n, indegree, values=values), duration, 100.0, static=values != "learned", dt=0.1,
        precision="float32",
    )  # fmt: skip


def batch(parts: int = 64, n: int = 1000, duration: float = 500.0, warm_up: float = 100.0) -> dict[str, Any]:
    """Networks of one seed each in one launch, against one alone."""
    import snn

    found = {}
    for count in (1, parts):
        net = snn.join([brunel_network(n, 100, seed) for seed in range(count)])
        say(f"    {count} networks")
        found[f"{count} networks"] = measure(net, duration, warm_up, dt=0.1, precision="float32")
        for row in found.values():
            row["rates_hz"] = {name: rate for name, rate in row["rates_hz"].items() if name.startswith("0:")}
    alone, together = (row["real_time_factor"] for row in found.values())
    return found | {"throughput_ratio": parts * alone / together}


def inference(samples: int = 20_000, hidden: int = 256, t_max: int = 32) -> dict[str, Any]:
    """Classification of random samples of the size of the digits images by random weights: samples a second, whole and
    with early exit; the GPU's decisions against the cpu's, whose sums are rounded otherwise."""
    import snn
    from snn.confidence import EarlyExit

    rng = np.random.default_rng(0)
    first, second = rng.normal(0.0, 0.25, (hidden, 64)), rng.normal(0.0, 0.25, (hidden, 10))
    x, fire = rng.random((samples, 64)), {"alpha": 0.0, "beta": 1.0, "reset": 1}
    found: dict[str, Any] = {"samples": samples}
    for backend in ("cpu", "cuda"):
        net = snn.Network()
        h = net.population("h", hidden, snn.CubaLIF(v_th=1.0, **fire))
        out = net.population("out", 10, snn.CubaLIF(v_th=1e9, **fire))
        net.input("x", h, snn.StepCurrent(np.zeros((1, hidden))))
        net.connect(h, out, snn.all_to_all(), weight=second, delay=1.0)
        classifier = snn.Classifier(net, snn.encode.Direct("x", first), out, backend=backend)
        for name, agent in (("whole", EarlyExit(bar=np.inf)), ("early", EarlyExit("margin", bar=10.0))):
            classifier.run(x[:100], agent, t_max)  # compiles
            begin = time.perf_counter()
            decisions = classifier.run(x, agent, t_max)
            found[f"{name} {backend}, samples a second"] = samples / (time.perf_counter() - begin)
            found[f"{name} {backend}, mean step"] = float(decisions.steps.mean())
            found[f"{name} {backend}"] = decisions.labels
            say(f"    {name}, {backend}: {found[f'{name} {backend}, samples a second']:.0f} samples a second")
    for name in ("whole", "early"):
        differ = found.pop(f"{name} cuda") != found.pop(f"{name} cpu")
        found[f"{name}, decisions that differ"] = int(differ.sum())
        if differ.mean() > 0.01:
            raise RuntimeError(f"{differ.sum()} of {samples} decisions differ between cuda and cpu")
    return found


def edges(n: int = 20_000, indegree: int = 500) -> dict[str, Any]:
    """Edges drawn on the device against those of the host, at a size that tests do not reach: sorted, all equal but for
    weights that differ by a rounding to float32."""
    import snn
    from kernels.cuda.jit import fetch

    net = snn.Network(seed=3)
    a, b = (net.population(name, size, snn.LIFExp()) for name, size in (("a", n), ("b", n // 7)))
    values = {"weight": snn.normal(1.0, 5.0), "delay": snn.uniform(0.5, 3.0)}
    net.connect(a, b, snn.fixed_indegree(indegree), **values)
    net.connect(b, b, snn.pairwise_bernoulli(0.1, autapses=False), **values)
    net.connect(b, a, snn.fixed_total_number(n * indegree // 4), **values)
    sim = snn.Simulation(net, backend="cuda", precision="float32", quiet=True)
    t, found = sim.compiled.tables, {"edges": sim.compiled.n_edges}
    names = list(net.populations)
    if len(t.lo) > 1:
        raise RuntimeError("this check reads one block")
    columns = []
    for e in sim._drive.engine.arrays.edges:
        rows, targets, delays, weights = (fetch(x) for x in (e.rows, e.targets, e.delays, e.weights))
        for p in range(len(names)):
            for g in range(*fetch(e.by_source)[p : p + 2]):
                ends = rows[fetch(e.at)[g] :][: t.n[p] + 1]
                mine = slice(ends[0], ends[-1])
                source = np.repeat(np.arange(t.n[p]) + t.gid[p], np.diff(ends))
                columns.append((source, targets[mine], delays[mine], weights[mine]))
    drawn = [np.concatenate(x) for x in zip(*columns, strict=True)]
    columns = []
    for q in net.projections.values():
        sources, ends, weights, delays = sim.connections(q)
        p, k = names.index(q.source.name), names.index(q.target.name)
        receptor = np.where(weights < 0.0, q.receptors[1], q.receptors[0])
        columns.append((sources + t.gid[p], t.acc[0, k] + receptor * t.n[k] + ends, np.rint(delays / 0.1), weights))
    host = [np.concatenate(x) for x in zip(*columns, strict=True)]
    if len(drawn[0]) != len(host[0]):
        raise RuntimeError(f"{len(drawn[0])} edges on the device, {len(host[0])} on the host")
    # by source, target, delay, weight: what is rounded otherwise keeps its place
    drawn, host = ([x[np.lexsort(side[::-1])] for x in side] for side in (drawn, host))
    for name, x, y in zip(("source", "target", "delay"), drawn, host, strict=False):
        found[f"{name}s that differ"] = int(np.sum(x != y))
    found["largest relative difference of a weight"] = float(np.max(np.abs(drawn[3] / host[3] - 1.0)))
    if any(found[f"{name}s that differ"] for name in ("source", "target", "delay")):
        raise RuntimeError(f"edges differ: {found}")
    return found


# in their order, what matters most first: what they do, seconds after which they are stopped
SECTIONS: dict[str, tuple[Callable[[], dict[str, Any]], float]] = {
    "environment": (environment, 60),
    "limits": (limits, 60),
    "tests": (tests, 200),
    "sanitizer": (sanitizer, 120),
    "edges": (edges, 90),
    "microcircuit": (microcircuit, 120),
    "brunel 12,500": (brunel(12_500, 1250, 1000.0), 60),
    "brunel 1,000,000, drawn": (brunel(1_000_000, 1000, 100.0, "drawn"), 90),
    "brunel 100,000": (brunel(100_000, 1250, 500.0), 60),
    "microcircuit 0.5, fixed point": (microcircuit_fixed, 90),
    "brunel 12,500 with STDP": (brunel(12_500, 1250, 500.0, "learned"), 90),
    "inference": (inference, 90),
    "64 networks at once": (batch, 90),
    "brunel 1,000,000": (brunel(1_000_000, 1000, 200.0), 90),
}
COLUMNS = {
    "neurons": "{:,}", "synapses": "{:.3g}", "build_s": "{:.1f}", "kernels_s": "{:.1f}", "real_time_factor": "{:.4f}",
    "events_g_s": "{:.2f}", "share_of_atomics": "{:.0%}", "share_of_bandwidth": "{:.0%}", "bytes_per_synapse": "{:.1f}",
    "taken_gib": "{:.1f}",
}  # fmt: skip


def table(found: dict[str, Any]) -> str:
    """Markdown: what was measured of each network, then what became of the other sections."""
    rows = {name: x for name, x in found.items() if "real_time_factor" in x}
    rows |= {f"{name}: {part}": x for name, parts in found.items() for part, x in parts.items()
             if isinstance(x, dict) and "real_time_factor" in x}  # fmt: skip
    lines = ["| network | " + " | ".join(COLUMNS) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    for name, x in rows.items():
        cells = (text.format(x[key]) if key in x else "" for key, text in COLUMNS.items())
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines.append("")
    for name, x in found.items():
        if name not in rows:
            lines.append(f"- {name}: {json.dumps(x, default=str)}")
    return "\n".join(lines) + "\n"


def section(name: str, folder: Path) -> None:
    """Run one section in this process; what it found goes to a file of its own."""
    before = folder / "gpu_check.json"
    if before.exists():
        FOUND.update(json.loads(before.read_text(encoding="utf-8")))
    found = SECTIONS[name][0]()
    (folder / "section.json").write_text(json.dumps(found, default=str), encoding="utf-8")


def outcome(name: str, folder: Path, seconds: float) -> dict[str, Any]:
    """Run a section in a process of its own and give what it found, or how it failed."""
    file = folder / "section.json"
    file.unlink(missing_ok=True)
    command = [sys.executable, __file__, "--out", str(folder), "--section", name]
    # a group, to be stopped with what it starts; no session, so that what ends this one's ends it too
    with subprocess.Popen(command, preexec_fn=os.setpgrp) as process:
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with what it started
            return {"failed": f"stopped after {seconds:g} s"}
    if code or not file.exists():
        return {"failed": f"exit code {code}"}
    return dict(json.loads(file.read_text(encoding="utf-8")))


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), help="folder of what is written [results/gpu]")
    parser.add_argument("--limit", type=float, default=400.0, help="begin no section after so many seconds [400]")
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), help="these sections only")
    parser.add_argument("--section", choices=list(SECTIONS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    from kernels.cuda.jit import SIMULATED, select
    from kernels.errors import SimError

    try:
        select(0)
    except SimError as error:
        say(str(error))
        return 1
    if SIMULATED:
        say("NUMBA_ENABLE_CUDASIM is set: this is no GPU. Unset it.")
        return 1
    if options.section:
        section(options.section, options.out)
        return 0
    return sections(options.only or list(SECTIONS), options.out, options.limit)


def sections(names: list[str], folder: Path, limit: float) -> int:
    """Run sections one after another; 1 if one failed or was left out, else 0."""
    folder.mkdir(parents=True, exist_ok=True)
    file, found = folder / "gpu_check.json", dict[str, Any]()
    if file.exists() and len(names) < len(SECTIONS):  # what a call before has found stays beside
        found = json.loads(file.read_text(encoding="utf-8"))
    first = time.perf_counter()
    for name in names:
        begin = time.perf_counter()
        say(f"\n== {name} (at {begin - first:.0f} s)")
        if begin - first > limit:
            found[name] = {"left out": f"it would have begun after {limit:g} s"}
        else:
            found[name] = outcome(name, folder, SECTIONS[name][1])
        found[name]["seconds"] = round(time.perf_counter() - begin, 1)
        say(json.dumps(found[name], indent=1))
        file.write_text(json.dumps(found, indent=1), encoding="utf-8")
        (folder / "gpu_check.md").write_text(table(found), encoding="utf-8")
    failed = [name for name in names if "failed" in found[name] or "left out" in found[name]]
    say(f"\n{table(found)}\n{len(names)} sections in {time.perf_counter() - first:.0f} s; "
        f"failed or left out: {', '.join(failed) or 'none'}")  # fmt: skip
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
