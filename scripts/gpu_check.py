"""Everything that needs a GPU, in one call of under eight minutes: correctness first, then the benchmark.

    python scripts/gpu_check.py --out results/gpu

Every section prints as it goes; one that fails is reported, and the others still run. What would begin after
``--limit`` seconds is left out and said to be. Needs the extras ``cuda`` and ``dev``. The exit code is 0 only if all
sections passed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "examples")]
FOUND: dict[str, Any] = {}  # figures by section, written to gpu_check.json


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


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

    @cuda.jit
    def copy(a, b):  # type: ignore[no-untyped-def]
        for i in range(cuda.grid(1), a.size, cuda.gridsize(1)):
            b[i] = a[i]

    @cuda.jit
    def scatter(a, n, mask):  # type: ignore[no-untyped-def]
        for i in range(cuda.grid(1), n, cuda.gridsize(1)):
            cuda.atomic.add(a, (i * 2654435761) & mask, 1)

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
    for per in (1, 2):
        found[f"grid_sync_us_{per}_blocks"] = timed(lambda p=per: meet[blocks * p, 256](1000)) * 1e3  # type: ignore[misc]
    return found


def tests() -> dict[str, Any]:
    """The tests of the simulator, on the device."""
    env = {k: v for k, v in os.environ.items() if k != "NUMBA_ENABLE_CUDASIM"}
    env["PYTHONPATH"] = str(ROOT)
    parallel = ["-n", "4"] if importlib.util.find_spec("xdist") else []  # most of it is compiling, on the host
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *parallel, "-rA", "--durations=5", "tests/oracle/test_cuda.py",
         "-k", "not simulator and not absent"],
        cwd=ROOT, env=env, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    say(done.stdout[-6000:] + done.stderr[-2000:])
    if done.returncode:
        raise RuntimeError(f"pytest: exit code {done.returncode}")
    return {"summary": done.stdout.strip().splitlines()[-1]}


def sanitizer() -> dict[str, Any]:
    """compute-sanitizer on a small network, where it is installed."""
    tool = shutil.which("compute-sanitizer")
    if tool is None:
        return {"skipped": "compute-sanitizer is not on the path"}
    program = (
        "import snn; n = snn.Network(seed=1); a = n.population('a', 50, snn.LIFExp(i_e=400.0)); n.record(a); "
        "n.connect(a, a, snn.fixed_indegree(5), weight=snn.uniform(10.0, 50.0), delay=snn.uniform(1.0, 3.0)); "
        "print(len(snn.Simulation(n, backend='cuda').run(20.0).spikes['a']))"
    )
    done = subprocess.run(
        [tool, "--error-exitcode", "9", sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    say(done.stdout[-1500:])
    if done.returncode:
        raise RuntimeError(f"compute-sanitizer: exit code {done.returncode}: {done.stderr[-500:]}")
    return {"summary": done.stdout.strip().splitlines()[-1]}


def measure(net: Any, duration: float, warm_up: float, shapes: bool = False, **options: Any) -> dict[str, Any]:
    """Build and run a network: times, memory, rates, and how events compare with the device's limits."""
    from numba import cuda

    import snn

    free = cuda.current_context().get_memory_info()[0]
    begin = time.perf_counter()
    sim = snn.Simulation(net, backend="cuda", **options)
    ready = time.perf_counter() - begin
    engine, tables = sim._drive.engine, sim.compiled.tables
    edge_bytes = sum(a.nbytes for e in (*engine.arrays.edges, *engine.arrays.synapses) for a in e)
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
    atomics = FOUND.get("limits", {}).get(f"atomics_g_s_{sim.precision}_256mb")
    if atomics:
        found["share_of_atomics"] = found["events_g_s"] / atomics
    say(f"    real-time factor {found['real_time_factor']:.4f}, {found['events_g_s']:.3g} G events/s")
    found["phases"] = phases(sim)
    if shapes:
        found["shapes"] = {}
        for blocks, threads in ((1, 128), (2, 128), (4, 128), (1, 256), (2, 256), (1, 512), (1, 1024)):
            kernel = next(iter(engine.module.advance.overloads.values()))
            count = min(blocks * cuda.get_current_device().MULTIPROCESSOR_COUNT,
                        kernel.max_cooperative_grid_blocks(threads))  # fmt: skip
            if count < 1:
                continue
            engine.blocks, engine.threads = int(count), threads
            sim.run(20.0)
            begin = time.perf_counter()
            sim.run(100.0)
            factor = (time.perf_counter() - begin) * 10.0
            found["shapes"][f"{count}x{threads}"] = factor
            say(f"    {count} blocks of {threads}: real-time factor {factor:.4f}")
    return found


def phases(sim: Any, windows: int = 200) -> dict[str, float]:
    """Microseconds of a window in launches of its own: neurons, delivery. A launch costs some of it."""
    from numba import cuda

    engine, start = sim._drive.engine, sim._drive.at
    config, kernels, total = (engine.blocks, engine.threads), engine.module, [0.0, 0.0]
    given = engine.arguments(start, start + windows * engine.window)
    engine.put(engine.arrays.out.counts, np.zeros(4, np.int64))
    begin, half = start, 0
    for k in range(-5, windows):
        end = begin + engine.window
        clock = time.perf_counter()
        kernels.neurons_launch[config](start, begin, end, half, *given["neurons_launch"][4:])
        cuda.synchronize()
        middle = time.perf_counter()
        kernels.deliver_launch[config](begin, end, half, *given["deliver_launch"][3:])
        cuda.synchronize()
        if k >= 0:  # those before compile and warm up
            total[0] += middle - clock
            total[1] += time.perf_counter() - middle
        begin, half = end, 1 - half
    sim._drive.at, engine.given = begin, begin + engine.window
    engine.net.state.f[:] = engine.arrays.state.f.copy_to_host()
    engine.net.state.i[:] = engine.arrays.state.i.copy_to_host()
    names = ("neurons_us", "deliver_us")
    found = {name: t / windows * 1e6 for name, t in zip(names, total, strict=True)}
    say(f"    a window in two launches: {found}")
    return found


def microcircuit() -> dict[str, Any]:
    """The full-scale microcircuit of Potjans & Diesmann (2014), float32; published rates beside."""
    import potjans_diesmann_2014 as pd

    found = measure(pd.build(1.0), 1000.0, 200.0, shapes=True, dt=pd.DT, precision="float32")
    found["published_hz"] = dict(zip(pd.POPULATIONS, pd.PUBLISHED_RATES.tolist(), strict=True))
    return found


def microcircuit_fixed() -> dict[str, Any]:
    """The same at scale 0.5, float64 in fixed point."""
    import potjans_diesmann_2014 as pd

    return measure(pd.build(0.5), 500.0, 200.0, dt=pd.DT, deterministic=True)


def brunel_network(n: int, indegree: int) -> Any:
    """Brunel (2000), state AI (g = 5, eta = 2): n neurons, four fifths of them and of their inputs excitatory."""
    import snn

    net, excitatory = snn.Network(seed=7), n * 4 // 5
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
            net.connect(source, target, snn.fixed_indegree(number), weight=w * weight, delay=1.5)
        net.record(target)
    return net


def brunel(n: int, indegree: int, duration: float) -> Callable[[], dict[str, Any]]:
    """The section for one size."""
    return lambda: measure(brunel_network(n, indegree), duration, 100.0, dt=0.1, precision="float32")


SECTIONS: dict[str, Callable[[], dict[str, Any]]] = {
    "environment": environment,
    "limits": limits,
    "tests": tests,
    "sanitizer": sanitizer,
    "microcircuit": microcircuit,
    "brunel 12,500": brunel(12_500, 1250, 1000.0),
    "brunel 100,000": brunel(100_000, 1250, 500.0),
    "microcircuit 0.5, fixed point": microcircuit_fixed,
    "brunel 1,000,000": brunel(1_000_000, 1000, 200.0),
}


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/gpu"), help="folder of gpu_check.json [results/gpu]")
    parser.add_argument("--limit", type=float, default=400.0, help="begin no section after so many seconds [400]")
    parser.add_argument("--only", nargs="*", choices=list(SECTIONS), help="these sections only")
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
    options.out.mkdir(parents=True, exist_ok=True)
    first, failed = time.perf_counter(), []
    for name in options.only or SECTIONS:
        begin = time.perf_counter()
        say(f"\n== {name} (at {begin - first:.0f} s)")
        if begin - first > options.limit:
            FOUND[name] = {"left out": f"began after {options.limit:g} s"}
        else:
            try:
                FOUND[name] = SECTIONS[name]()
            except Exception as error:
                traceback.print_exc(file=sys.stdout)
                FOUND[name] = {"failed": f"{type(error).__name__}: {error}"}
                failed.append(name)
        FOUND[name]["seconds"] = time.perf_counter() - begin
        say(json.dumps(FOUND[name], indent=1, default=str))
        (options.out / "gpu_check.json").write_text(json.dumps(FOUND, indent=1, default=str), encoding="utf-8")
    say(f"\n{len(FOUND)} sections in {time.perf_counter() - first:.0f} s; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
