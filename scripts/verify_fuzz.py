"""The check of verify.py on readers: mutated files are read or refused with an error of ours, never a crash or a hang.

    python scripts/verify.py fuzz --out results/verify            # 100,000 inputs a reader: hours on one core
    python scripts/verify_fuzz.py work toml 0 500 /tmp/somewhere  # inputs 0 to 499 of one reader; --list names them

An input is a file that the package wrote, changed in a few places: bits, bytes, parts cut, doubled or moved, numbers
replaced by extreme ones; in texts also words and lines. Files of our own carry a hash, so that any such change is
found; what lies behind it is tried with changed content and a right hash, as a forger would make it. Inputs depend on
reader and number alone. A worker that dies, or computes for STILL seconds, is a failure.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from verify_common import ROOT, Line, Options

import snn
from kernels.errors import SimError

N = 100_000  # inputs a reader
BATCH = 20_000  # inputs of a process
STILL = 30  # s of processor time; the largest input takes milliseconds
MEMORY = 4 << 30  # bytes of address space that a worker may take beyond what it begins with
EXTREME = (0, 1, -1, 2**31 - 1, 2**31, 2**63 - 1, -(2**63), 255, 65536, float("nan"), float("inf"), 1e300, -0.0, 1e-320)
WORDS = ("nan", "-inf", "1e400", "-1", "0", "999999999999", "true", '""', '"../../x"', "[]", "{}", '"\\u0000"', "1e9")


class Reader(NamedTuple):
    """``files``: an undamaged input; ``read`` gets the folder that holds it, changed in one of ``mutable``."""

    files: dict[str, bytes]
    mutable: list[str]
    read: Callable[[Path], Any]
    text: bool = False


# ----------------------------------------------------------------------------------------------------------- mutations


def mutate(data: bytes, rng: np.random.Generator, text: bool) -> bytes:
    """``data`` with one to eight changes."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 9)) if rng.random() < 0.5 else 1):
        if text and rng.random() < 0.7:
            out = bytearray(_mutate_text(out.decode("utf-8", "replace"), rng).encode("utf-8", "replace"))
            continue
        at, kind = int(rng.integers(0, max(len(out), 1))), int(rng.integers(0, 7))
        n = int(min(2 ** rng.integers(0, 9), len(out) - at))
        if kind == 0 and out:
            out[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1 and out:
            out[at] = int(rng.integers(0, 256))
        elif kind == 2:
            del out[at : at + n]
        elif kind == 3:
            out[at:at] = out[at : at + n]
        elif kind == 4:
            out[at : at + n] = rng.bytes(n)
        elif kind == 5:
            out = out[:at]
        else:
            value = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1, 2**62]))
            out[at : at + 8] = value.to_bytes(8, "little")
    return bytes(out)


def _mutate_text(text: str, rng: np.random.Generator) -> str:
    """One change of a word, number or line."""
    kind = int(rng.integers(0, 5))
    if kind < 2:
        found = list(re.finditer(r"-?[0-9]+\.?[0-9e+-]*" if kind == 0 else r"[\"A-Za-z_]+", text))
        if found:
            m = found[int(rng.integers(0, len(found)))]
            word = (
                str(rng.choice(WORDS))
                if kind == 0 or rng.random() < 0.4
                else found[int(rng.integers(0, len(found)))][0]
            )
            return text[: m.start()] + word + text[m.end() :]
    lines = text.split("\n")
    a, b = (int(x) for x in rng.integers(0, len(lines), 2))
    if kind == 2:
        del lines[a]
    elif kind == 3:
        lines.insert(b, lines[a])
    else:
        lines[a], lines[b] = lines[b], lines[a]
    return "\n".join(lines)


def forged(value: Any, rng: np.random.Generator) -> Any:
    """Nested tables with one leaf or key changed."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = list(value)[int(rng.integers(0, len(value)))]
        if rng.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: forged(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.8:
        k = int(rng.integers(0, len(value)))
        return [*value[:k], forged(value[k], rng), *value[k + 1 :]]
    return [None, True, "x", "", [], {}, [[1]], *EXTREME][int(rng.integers(0, 7 + len(EXTREME)))]


def forged_arrays(arrays: dict[str, np.ndarray], rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Arrays with one missing, renamed, of another type or shape, or with other numbers."""
    name = list(arrays)[int(rng.integers(0, len(arrays)))]
    array, kind = np.array(arrays[name]), int(rng.integers(0, 6))
    if kind == 0:
        return {k: a for k, a in arrays.items() if k != name}
    if kind == 1:
        return arrays | {"other": array}
    if kind == 2:
        array = array.astype([np.float32, np.int8, np.complex128, np.uint64][int(rng.integers(0, 4))])
    elif kind == 3:
        array = np.repeat(array.ravel(), 2) if rng.random() < 0.5 else array.ravel()[: array.size // 2]
    elif array.size:
        flat = array.ravel()
        with np.errstate(all="ignore"):
            for _ in range(int(rng.integers(1, 4))):
                value = EXTREME[int(rng.integers(0, len(EXTREME)))]
                if array.dtype.kind in "iu":
                    whole = int(value) if np.isfinite(value) else 7
                    limit = np.iinfo(array.dtype)
                    value = min(max(whole, int(limit.min)), int(limit.max))
                flat[int(rng.integers(0, flat.size))] = value
        array = flat.reshape(array.shape)
    return arrays | {name: array}


# ------------------------------------------------------------------------------------------------------------- readers


def _network() -> snn.Network:
    net = snn.Network(seed=3)
    exc = net.population("exc", 12, snn.LIFDelta(tau_m=20.0))
    net.input("noise", exc, snn.Poisson(rate=3000.0), weight=0.9)
    import plasticity

    rule = plasticity.STDPPair(lambda_=0.1, w_max=1.0)
    delay = snn.uniform(1.0, 4.0)
    net.connect(exc, exc, snn.fixed_indegree(3), weight=0.5, delay=delay, plasticity=rule, name="rec")
    net.connect(exc, exc, snn.fixed_indegree(3), weight=0.5, delay=delay, name="static")
    net.record(exc)
    net.record(exc, "v", every=1.0)
    net.record_weights("rec", every=10.0)
    return net


def toml(folder: Path) -> Reader:
    """Configuration files."""
    from snn.config import load

    text = """
seed = 7
[simulation]
duration = 100.0
dt = 0.1
threads = 1
[output]
file = "out.h5"
[populations.exc]
n = 20
model = "LIFDelta"
params = {e_l = 0.0, v_th = 15.0, v_reset = 0.0, tau_m = {normal = {mean = 20.0, std = 1.0, low = 5.0}}}
init = {v = {uniform = {low = 0.0, high = 10.0}}}
[populations.src]
n = 5
model = "Poisson"
rate = 30.0
[inputs.noise]
target = "exc"
type = "Poisson"
rate = 8000.0
weight = 0.3
[[projections]]
source = "exc"
target = "exc"
rule = "fixed_indegree"
indegree = 2
weight = 0.5
delay = {uniform = {low = 0.5, high = 3.0}}
plasticity = {rule = "STDPPair", lambda_ = 0.1, w_max = 1.0}
[[projections]]
source = "src"
target = "exc"
rule = "pairwise_bernoulli"
p = 0.3
weight = 0.5
delay = 1.5
[[record]]
population = "exc"
variable = "v"
ids = [0, 1]
every = 1.0
"""
    return Reader({"net.toml": text.encode()}, ["net.toml"], lambda f: load(f / "net.toml").network(), text=True)


def record(folder: Path) -> Reader:
    """SONATA records, finished and not."""
    from snn.io.sonata import read_result

    path = folder / "seed.h5"
    snn.Simulation(_network(), quiet=True).run(50.0, to=path, overwrite=True)

    def read(f: Path) -> None:
        result = read_result(f / "r.h5")
        for part in (result.spikes, result.states, result.weights):
            for name in part:
                part[name]
        repr(result)

    return Reader({"r.h5": path.read_bytes()}, ["r.h5"], read)


def part(folder: Path) -> Reader:
    """What a killed run left: read, and salvaged."""
    from snn.io.sonata import SonataWriter, read_result
    from snn.io.sonata_resume import salvage

    writer = SonataWriter(folder / "seed.h5", {"p": 5}, [("p", "v", "mV", [0, 1], 1.0)], overwrite=True)
    writer.spikes("p", np.arange(300.0), np.arange(300) % 5)
    writer.states("p", "v", np.arange(1.0, 200.0), np.zeros((199, 2)))
    writer.flush(200.0)
    with writer._file() as file:  # killed in a flush
        file.flush()
        data = writer.part.read_bytes()
    writer.abort()

    def read(f: Path) -> None:
        result = read_result(f / "r.h5.part")
        for name in result.spikes:
            result.spikes[name]
        salvage(f / "r.h5.part", f / "saved.h5", overwrite=True)

    return Reader({"r.h5.part": data}, ["r.h5.part"], read)


def edges(folder: Path) -> Reader:
    """SONATA edges."""
    from snn.io.sonata_edges import read_edges, write_edges

    rng = np.random.default_rng(0)
    path = write_edges(
        folder / "e.h5", "a_to_b", "a", "b", rng.integers(0, 9, 50), rng.integers(0, 9, 50), rng.random(50), np.ones(50)
    )
    return Reader({"e.h5": path.read_bytes()}, ["e.h5"], lambda f: read_edges(f / "e.h5"))


def _forge(kind: str, load: Callable[[Path], Any], data: bytes, name: str) -> Reader:
    """One input of ten is content that was changed and has a right hash, the others are changed files."""
    from snn.io import own

    original = own.read

    def read(f: Path) -> Any:
        damaged = (f / name).read_bytes()
        rng = np.random.default_rng(zlib.crc32(damaged))
        if rng.random() > 0.1:
            return load(f / name)
        (f / "good.h5").write_bytes(data)

        def changed(*arguments: Any) -> Any:
            about, arrays = original(*arguments)
            if rng.random() < 0.4:
                about = forged(about, rng)
                about = about if isinstance(about, dict) else {}
            return about, forged_arrays(arrays, rng)

        own.read = changed
        try:
            return load(f / "good.h5")
        finally:
            own.read = original

    return Reader({name: data}, [name], read)


def checkpoint(folder: Path) -> Reader:
    """Checkpoints of the clock engine."""
    net = _network()
    sim = snn.Simulation(net, quiet=True)
    sim.run(30.0, checkpoint=folder / "seed.h5")
    load = lambda path: snn.Simulation.resume(path, net, quiet=True)  # noqa: E731
    return _forge("checkpoint", load, (folder / "seed.h5").read_bytes(), "c.h5")


def checkpoint_event(folder: Path) -> Reader:
    """Checkpoints of the event engine."""
    net = _network()
    sim = snn.Simulation(net, engine="event", quiet=True)
    sim.run(30.03)
    sim.checkpoint(folder / "seed.h5")
    load = lambda path: snn.Simulation.resume(path, net, quiet=True)  # noqa: E731
    return _forge("checkpoint", load, (folder / "seed.h5").read_bytes(), "c.h5")


def force(folder: Path) -> Reader:
    """FORCE networks."""
    import reservoir

    net = reservoir.FORCE(snn.LIFDelta(), 40, seed=1)
    net.fit(np.sin(np.arange(50) * 0.1))
    net.save(folder / "seed.h5")
    return _forge("force", reservoir.FORCE.load, (folder / "seed.h5").read_bytes(), "f.h5")


def trace(folder: Path) -> Reader:
    """Traces of inferences."""
    from snn.confidence import Trace

    rng = np.random.default_rng(0)
    about = {"t_max": 4, "encoder": "e", "seed": 0, "precision": "float64", "network": "n", "latency": "synchronous",
             "depth": 1}  # fmt: skip
    made = Trace(np.cumsum(rng.normal(size=(4, 20, 3)), axis=0), np.arange(20), about, rng.integers(0, 3, 20))
    made.save(folder / "seed.h5")
    return _forge("trace", Trace.load, (folder / "seed.h5").read_bytes(), "t.h5")


def agent(folder: Path) -> Reader:
    """Agents as JSON."""
    from snn.confidence import EarlyExit, Trace

    rng = np.random.default_rng(0)
    about = {"t_max": 6, "encoder": "e", "seed": 0, "precision": "float64", "network": "n", "latency": "synchronous",
             "depth": 1}  # fmt: skip
    made = Trace(np.cumsum(rng.normal(size=(6, 200, 3)), axis=0), np.arange(200), about, rng.integers(0, 3, 200))
    document = EarlyExit("gate", scale="auto").fit(made).to_dict()

    def read(f: Path) -> None:
        rng = np.random.default_rng(zlib.crc32((f / "a.json").read_bytes()))
        EarlyExit.from_dict(forged(forged(document, rng), rng))

    return Reader({"a.json": json.dumps(document).encode()}, ["a.json"], read)


def events(folder: Path) -> Reader:
    """Address events: .npz, .npy, HDF5."""
    from snn.io.events import read_events

    columns = {"x": np.arange(40) % 8, "y": np.arange(40) % 6, "t": np.arange(40) * 100, "p": np.arange(40) % 2}
    np.savez(folder / "e.npz", **columns)
    table = np.zeros(40, [(k, "i8") for k in columns])
    for k, values in columns.items():
        table[k] = values
    np.save(folder / "e.npy", table)
    with h5py.File(folder / "e.h5", "w") as file:
        for k, values in columns.items():
            file[f"events/{k}"] = values
    names = ["e.npz", "e.npy", "e.h5"]

    def read(f: Path) -> None:
        changed = next(n for n in names if (f / n).read_bytes() != seeds[n])
        read_events(f / changed)

    seeds = {n: (folder / n).read_bytes() for n in names}
    return Reader(seeds, names, read)


def nir(folder: Path) -> Reader:
    """NIR graphs."""
    import nir as package

    from neuromorphic import from_nir

    one = np.ones(3)
    neurons = package.LIF(tau=0.01 * one, r=one, v_leak=0 * one, v_threshold=0.5 * one)
    nodes = {"in": package.Input([2]), "w": package.Affine(np.ones((3, 2)), one), "lif": neurons,
             "out": package.Output([3])}  # fmt: skip
    graph = package.NIRGraph(nodes, [("in", "w"), ("w", "lif"), ("lif", "out")])
    package.write(folder / "g.nir", graph)
    data = (folder / "g.nir").read_bytes()
    return Reader({"g.nir": data}, ["g.nir"], lambda f: from_nir(f / "g.nir", dt=1.0))


def lava(folder: Path) -> Reader:
    """Bundles for Lava."""
    from neuromorphic import lava as bundles
    from neuromorphic.fixed_point import IntegerLIF, IntegerNetwork, IntegerProjection, IntegerSource

    net = IntegerNetwork(
        {"out": IntegerLIF(2, vth=100)}, {"in": IntegerSource(1, [1, 5], [0, 0])},
        {"in->out": IntegerProjection("in", "out", [0], [0], [60])},
    )  # fmt: skip
    path = bundles.export_lava(net, folder / "seed", 8)
    files = {p.name: p.read_bytes() for p in path.iterdir()}
    return Reader(files, sorted(files), bundles._read)


READERS = (
    toml, record, part, edges, checkpoint, checkpoint_event, force, trace, agent, events, nir, lava,
)  # fmt: skip


# -------------------------------------------------------------------------------------------------------------- workers


def work(name: str, first: int, count: int, folder: Path) -> dict[str, Any]:
    """Try inputs ``first`` to ``first + count``; what happened."""
    import resource
    import warnings

    warnings.simplefilter("ignore")
    make = {f.__name__: f for f in READERS}[name]
    seeds, inside = folder / "seeds", folder / "input"
    seeds.mkdir(parents=True, exist_ok=True)
    inside.mkdir(exist_ok=True)
    reader = make(seeds)
    _laid(reader, inside)
    os.chdir(inside)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, resource.RLIM_INFINITY))
    before = sorted(str(p) for p in folder.rglob("*"))
    faulthandler.register(signal.SIGXCPU, chain=True)  # says where it was, and dies
    counts, failed = {"read": 0, "refused": 0}, []
    for k in range(first, first + count):
        rng = np.random.default_rng([zlib.crc32(name.encode()), k])
        changed = reader.mutable[k % len(reader.mutable)]
        data = mutate(reader.files[changed], rng, reader.text)
        if data == reader.files[changed]:
            data += b" "
        (inside / changed).write_bytes(data)
        resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + STILL, resource.RLIM_INFINITY))
        try:
            reader.read(inside)
            counts["read"] += 1
        except SimError:
            counts["refused"] += 1
        except BaseException as error:  # whatever else is a failure
            failed.append(f"{k}: {type(error).__name__}: {str(error)[:100]}")
        (inside / changed).write_bytes(reader.files[changed])
    new = set(map(str, folder.rglob("*"))) - set(before)
    allowed = {str(inside / n) for n in ("saved.h5", "good.h5")}
    failed += [f"wrote {path}" for path in sorted(new - allowed)]
    return counts | {"failed": failed}


def _laid(reader: Reader, folder: Path) -> Path:
    for name, data in reader.files.items():
        (folder / name).write_bytes(data)
    return folder


def fuzz_reader(name: str, count: int, batch: int = BATCH) -> tuple[dict[str, int], list[str], float]:
    """Counts, failures and seconds of ``count`` inputs of a reader, in processes of their own."""
    totals, failed, begin = {"read": 0, "refused": 0}, [], time.perf_counter()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    for first in range(0, count, batch):
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            some = str(min(batch, count - first))
            command = [sys.executable, str(Path(__file__).resolve()), "work", name, str(first), some, folder]
            done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode != 0:
            failed.append(f"inputs from {first}: the process ended with {done.returncode}: {done.stderr[-600:]}")
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        failed += found.pop("failed")
        totals = {k: totals[k] + found[k] for k in totals}
    return totals, failed, time.perf_counter() - begin


def fuzz(options: Options) -> list[Line]:
    """Mutated inputs of every reader: read or refused with an error of ours; no crash, hang, or file elsewhere."""
    lines = []
    for make in READERS:
        count = N // 100 if options.quick else N
        totals, failed, seconds = fuzz_reader(make.__name__, count)
        text = f"{sum(totals.values()):,} inputs: {totals['refused']:,} refused, {totals['read']:,} read; "
        text += f"{len(failed)} failures in {seconds:.0f} s" + "".join(f"; {x}" for x in failed[:3])
        about = " ".join((make.__doc__ or "").split()).rstrip(".")
        lines.append(Line(f"fuzzing: {about}", "-", text.replace("\n", " "), "no failure", not failed))
    return lines


if __name__ == "__main__":
    if sys.argv[1] == "--list":
        print("\n".join(f.__name__ for f in READERS))
    else:
        print(json.dumps(work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))))
