"""The check of verify.py on readers: mutated files are read or refused with an error of ours, never a crash or a hang.

    python scripts/verify.py fuzz --out results/verify            # 100,000 inputs a reader: hours on one core
    python scripts/verify_fuzz.py work toml 0 500 /tmp/somewhere  # inputs 0 to 499 of one reader; --list names them

An input is a file that the package wrote, changed in a few places: bits, bytes, parts cut, doubled or moved, numbers
replaced by extreme ones; in texts also words and lines; in HDF5 files (one of two) also objects and attributes that are
missing, renamed, links, or of another type, shape or value, so that the library opens them. Files of our own carry a
hash, so that any such change is found; what lies behind it is tried (one of two) with changed content and a right hash,
as a forger would make it. Inputs depend on reader and number alone. A worker that dies, computes for STILL seconds, or
waits for WAITS, is a failure; its input is kept.
"""

from __future__ import annotations

import copy
import faulthandler
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
from fuzz_mutations import forged, forged_arrays, mutate, mutate_hdf5
from verify_common import ROOT, Line, Options
from verify_ranks import MPI, mpiexec

import snn
from kernels.errors import SimError

N = 100_000  # inputs a reader
STILL = 30  # s of processor time; the largest input takes milliseconds
WAITS = 300  # s in which nothing happens
MANY = 50  # failures, after which a reader is left
MEMORY = 4 << 30  # bytes of address space that a worker may take beyond what it begins with
NOW = "now.json"  # what a worker is at


class Reader(NamedTuple):
    """``files``: an undamaged input; ``read`` gets the folder that holds it, changed in one of ``mutable``.

    ``forge``, of files with a hash: reads one whose content was changed by somebody who made the hash anew.
    """

    files: dict[str, bytes]
    mutable: list[str]
    read: Callable[[Path], Any]
    text: bool = False
    forge: Callable[[np.random.Generator], Any] | None = None
    writes: tuple[str, ...] = ()  # files that reading makes


def changed(data: bytes, rng: np.random.Generator, text: bool) -> bytes:
    """A mutated file; of HDF5 files one of two is sound for the library, with other content."""
    out = data
    if data.startswith(b"\x89HDF") and rng.random() < 0.5:
        with suppress(OSError):  # one that its writer left open
            out = mutate_hdf5(data, rng)
    if out == data:
        out = mutate(data, rng, text)
    return out if out != data else data + b" "


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


def sonata(folder: Path) -> Reader:
    """Records of other programs: texts of variable length, no checksums, spikes in no order."""
    from snn.io.sonata import describe, read_result, read_spikes

    path = folder / "seed.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        file.attrs["magic"], file.attrs["version"] = np.uint32(0x0A7A), np.array((0, 1), np.uint32)
        file["spikes/a/timestamps"], file["spikes/a/node_ids"] = np.arange(60.0)[::-1], np.arange(60, dtype="u8") % 7
        file["spikes/a/timestamps"].attrs["units"] = "ms"
        report = file.create_group("report/a")
        report["data"] = np.zeros((20, 3), "f4")
        report["data"].attrs["units"] = "mV"
        report["mapping/node_ids"], report["mapping/index_pointer"] = np.arange(3, dtype="u8"), np.arange(4, dtype="u8")
        report["mapping/time"] = np.array((0.0, 20.0, 1.0))
        report["mapping/time"].attrs["units"] = "ms"

    def read(f: Path) -> None:
        describe(f / "r.h5")
        read_spikes(f / "r.h5")
        result = read_result(f / "r.h5")
        for name in result.states:
            result.states[name]

    return Reader({"r.h5": path.read_bytes()}, ["r.h5"], read)


def part(folder: Path) -> Reader:
    """What a killed run left, in a flush and between two: read, and salvaged."""
    from snn.io.sonata import SonataWriter, read_result
    from snn.io.sonata_resume import salvage

    writer = SonataWriter(folder / "seed.h5", {"p": 5}, [("p", "v", "mV", [0, 1], 1.0)], overwrite=True)
    writer.spikes("p", np.arange(300.0), np.arange(300) % 5)
    writer.states("p", "v", np.arange(1.0, 200.0), np.zeros((199, 2)))
    writer.flush(200.0)
    files = {"between.h5.part": writer.part.read_bytes()}
    with writer._file() as file:
        file.flush()
        files["within.h5.part"] = writer.part.read_bytes()
    writer.abort()

    def read(f: Path) -> None:
        changed = next(n for n in files if (f / n).read_bytes() != files[n])
        result = read_result(f / changed)
        for name in result.spikes:
            result.spikes[name]
        salvage(f / changed, f / "saved.h5", overwrite=True)

    return Reader(files, list(files), read, writes=("saved.h5",))


def edges(folder: Path) -> Reader:
    """SONATA edges."""
    from snn.io.sonata_edges import read_edges, write_edges

    rng = np.random.default_rng(0)
    path = write_edges(
        folder / "e.h5", "a_to_b", "a", "b", rng.integers(0, 9, 50), rng.integers(0, 9, 50), rng.random(50), np.ones(50)
    )
    return Reader({"e.h5": path.read_bytes()}, ["e.h5"], lambda f: read_edges(f / "e.h5"))


def _own(load: Callable[[Path], Any], path: Path, *files: Path) -> Reader:
    """A file of our own with a hash, or the ``files`` that are read by the name ``path``: one input of two is content
    that was changed and has a right hash.
    """
    from snn.io import own

    files = files or (path,)
    original, found = own.read, {}

    def forge(rng: np.random.Generator) -> Any:
        chosen = files[rng.integers(len(files))]

        def other(file: Any, *arguments: Any) -> Any:
            if file not in found:
                found[file] = original(file, *arguments)
            about, arrays = copy.deepcopy(found[file])
            if file != chosen:
                return about, arrays
            if rng.random() < 0.4:
                about = forged(about, rng)
                about = about if isinstance(about, dict) else {}
            return about, forged_arrays(arrays, rng)

        own.read = other
        try:
            return load(path)
        finally:
            own.read = original

    seeds = {file.name: file.read_bytes() for file in files}
    return Reader(seeds, list(seeds), lambda f: load(f / path.name), forge=forge)


def checkpoint(folder: Path) -> Reader:
    """Checkpoints of the clock engine; those that are accepted go on for 2 ms."""
    net = _network()
    net.input("step", "exc", snn.StepCurrent([0.0]))
    sim = snn.Simulation(net, quiet=True)
    sim.run(10.0)
    sim.set_parameters("exc", tau_m=np.linspace(15.0, 25.0, 12), v_th=14.0)
    sim.set_source("noise", snn.Poisson(rate=np.full(12, 3500.0)))
    sim.set_current("step", 5.0)
    sim.run(20.0, checkpoint=folder / "seed.h5")
    return _own(lambda path: snn.Simulation.resume(path, net, quiet=True).run(2.0), folder / "seed.h5")


def checkpoint_event(folder: Path) -> Reader:
    """Checkpoints of the event engine; those that are accepted go on for 2 ms."""
    net = _network()
    sim = snn.Simulation(net, engine="event", quiet=True)
    sim.run(30.03)
    sim.set_parameters("exc", tau_m=np.linspace(15.0, 25.0, 12))
    sim.checkpoint(folder / "seed.h5")
    return _own(lambda path: snn.Simulation.resume(path, net, quiet=True).run(2.0), folder / "seed.h5")


def checkpoint_ranks(folder: Path) -> Reader:
    """Checkpoints of two ranks, put together from their files; those that are accepted go on for 2 ms."""
    command = [mpiexec(), "-n", "2", sys.executable, str(Path(__file__).resolve()), "ranks", str(folder / "seed.h5")]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | MPI)
    net = _network()
    files = folder / "seed.rank0.h5", folder / "seed.rank1.h5"
    return _own(lambda path: snn.Simulation.resume(path, net, quiet=True).run(2.0), folder / "seed.h5", *files)


def write_ranks(path: Path) -> None:
    """What each rank does for :func:`checkpoint_ranks`."""
    from snn.ranks import world

    sim = snn.Simulation(_network(), quiet=True, comm=world())
    sim.run(30.0)
    sim.checkpoint(path)


def force(folder: Path) -> Reader:
    """FORCE networks; those that are accepted go on for 2 ms."""
    import reservoir

    net = reservoir.FORCE(snn.LIFDelta(), 40, seed=1)
    net.fit(np.sin(np.arange(50) * 0.1))
    net.save(folder / "seed.h5")
    net.generate(2.0)  # compiles, which counts as no input's time
    return _own(lambda path: reservoir.FORCE.load(path).generate(2.0), folder / "seed.h5")


def what_when(folder: Path) -> Reader:
    """WhatWhen networks; those that are accepted predict."""
    import reservoir

    block = reservoir.MEET((20, 40), sigma=4.0, duration=60, cue=(5, 10))
    net = reservoir.WhatWhen(40, seed=1)
    net.fit(block, block.events(1, seed=1))
    net.save(folder / "seed.h5")
    net.predict(block)  # compiles, which counts as no input's time
    return _own(lambda path: reservoir.WhatWhen.load(path).predict(block), folder / "seed.h5")


def trace(folder: Path) -> Reader:
    """Traces of inferences."""
    from snn.confidence import Trace

    rng = np.random.default_rng(0)
    about = {"t_max": 4, "encoder": "e", "seed": 0, "precision": "float64", "network": "n", "latency": "synchronous",
             "depth": 1}  # fmt: skip
    made = Trace(np.cumsum(rng.normal(size=(4, 20, 3)), axis=0), np.arange(20), about, rng.integers(0, 3, 20))
    made.save(folder / "seed.h5")
    return _own(Trace.load, folder / "seed.h5")


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


def sweep(folder: Path) -> Reader:
    """Files of sweeps."""
    from snn.sweeps.file import read_sweep

    examples = ROOT / "scripts" / "examples"
    text = (examples / "brunel_sweep.toml").read_text() + "[executor]\nworkers = 2\n[slurm]\ntasks = 4\n"
    files = {"sweep.toml": text.encode(), "brunel_small.toml": (examples / "brunel_small.toml").read_bytes()}
    return Reader(files, ["sweep.toml"], lambda f: read_sweep(f / "sweep.toml", None, False), text=True)


def points(folder: Path) -> Reader:
    """Points of sweeps and their table."""
    from snn.sweeps.design import Point
    from snn.sweeps.summary import read_summary, summarise

    point = Point("name", {"a": 1.5}, 0, 7)
    result = {"values": {"a": 1.5}, "repetition": 0, "seed": 7, "kinds": ["rate"], "measures": {"rate.exc": 2.5},
              "seconds": 1.0}  # fmt: skip
    (folder / "points" / "name").mkdir(parents=True)
    (folder / "points" / "name" / "result.json").write_text(json.dumps(result))
    summarise(folder, [point], ["rate"])
    text, table = json.dumps(result).encode(), (folder / "summary.h5").read_bytes()

    def read(f: Path) -> None:
        if (f / "summary.h5").read_bytes() != table:
            read_summary(f / "summary.h5").failures()
        else:
            (f / "points" / "name").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(f / "result.json", f / "points" / "name" / "result.json")
            summarise(f, [point], ["rate"])

    writes = ("points", "points/name", "points/name/result.json")
    return Reader({"summary.h5": table, "result.json": text}, ["summary.h5", "result.json"], read, True, writes=writes)


def arrays(folder: Path) -> Reader:
    """Arrays and matrices that a configuration names: .npy, .npz, scipy.sparse."""
    import scipy.sparse

    from snn.tables import from_sparse, load_array

    np.save(folder / "a.npy", np.arange(12.0).reshape(3, 4))
    np.savez(folder / "b.npz", weights=np.arange(12.0))
    scipy.sparse.save_npz(folder / "c.npz", scipy.sparse.csr_array(np.eye(4)))
    files = {n: (folder / n).read_bytes() for n in ("a.npy", "b.npz", "c.npz")}

    def read(f: Path) -> None:
        changed = next(n for n in files if (f / n).read_bytes() != files[n])
        (from_sparse if changed == "c.npz" else load_array)(str(f / changed))

    return Reader(files, list(files), read)


READERS = (
    toml, record, sonata, part, edges, checkpoint, checkpoint_event, checkpoint_ranks, force, what_when, trace, agent,
    events, nir, lava, sweep, points, arrays,
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
    endless = resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_CPU, (endless, endless))  # that of the reader before; here kernels compile
    reader = make(seeds)
    _laid(reader, inside)
    os.chdir(inside)
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, endless))
    before = sorted(str(p) for p in folder.rglob("*"))
    faulthandler.enable()
    faulthandler.register(signal.SIGXCPU, chain=True)  # says where it was, and dies
    counts: dict[str, Any] = {"read": 0, "refused": 0, "slowest": [0.0, first]}
    failed: list[str] = []
    for k in range(first, first + count):
        (folder / NOW).write_text(json.dumps({"now": k, **counts, "failed": failed}))
        rng = np.random.default_rng([zlib.crc32(name.encode()), k])
        name_of = reader.mutable[k % len(reader.mutable)]
        forging = reader.forge is not None and rng.random() < 0.5
        if not forging:
            (inside / name_of).write_bytes(changed(reader.files[name_of], rng, reader.text))
        begin = time.process_time()
        resource.setrlimit(resource.RLIMIT_CPU, (int(begin) + STILL, endless))
        try:
            if forging and reader.forge is not None:
                reader.forge(rng)
            else:
                reader.read(inside)
            counts["read"] += 1
        except SimError:
            counts["refused"] += 1
        except BaseException as error:  # whatever else is a failure
            failed.append(f"{k}: {type(error).__name__}: {str(error)[:100]}")
            if len(failed) > MANY:
                break
        seconds = time.process_time() - begin
        if seconds > counts["slowest"][0]:
            counts["slowest"] = [round(seconds, 3), k]
        if not forging:
            (inside / name_of).write_bytes(reader.files[name_of])
    new = set(map(str, folder.rglob("*"))) - set(before)
    allowed = {str(folder / NOW), *(str(inside / n) for n in reader.writes)}
    failed += [f"wrote {path}" for path in sorted(new - allowed)]
    (folder / NOW).write_text(json.dumps({"now": first + count - 1, **counts, "failed": failed}))
    return counts | {"failed": failed}


def _laid(reader: Reader, folder: Path) -> Path:
    for name, data in reader.files.items():
        (folder / name).write_bytes(data)
    return folder


def fuzz_reader(name: str, count: int, keep: Path | None = None) -> tuple[dict[str, Any], list[str], float]:
    """Counts, failures and seconds of ``count`` inputs of a reader, in a process of their own; where it dies, the input
    is named and kept in ``keep``, and another process goes on behind it.
    """
    totals: dict[str, Any] = {"read": 0, "refused": 0, "slowest": [0.0, 0]}
    failed: list[str] = []
    begin, at = time.perf_counter(), 0
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    while at < count and len(failed) <= MANY:
        with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
            command = [sys.executable, str(Path(__file__).resolve()), "work", name, str(at), str(count - at), folder]
            code, error = _watched(command, Path(folder) / NOW, environment)
            found = json.loads((Path(folder) / NOW).read_text()) if (Path(folder) / NOW).exists() else {}
            if not found:
                return totals, [*failed, f"the process did not begin: {error}"], time.perf_counter() - begin
            at = found["now"] + 1
            failed += found["failed"]
            if code != 0:
                failed.append(f"{found['now']}: the process ended with {code}: {error}")
                if keep is not None:
                    shutil.copytree(Path(folder) / "input", keep / f"{name}-{found['now']}", dirs_exist_ok=True)
        for key in ("read", "refused"):
            totals[key] += found[key]
        totals["slowest"] = max(totals["slowest"], found["slowest"])
    return totals, failed, time.perf_counter() - begin


def _watched(command: list[str], now: Path, environment: dict[str, str]) -> tuple[int, str]:
    """Exit code of a worker and what it said last; one that waits for WAITS seconds without computing is killed."""
    with tempfile.TemporaryFile("w+") as said:
        worker = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said, env=environment)
        moved, seen = time.monotonic(), 0
        while worker.poll() is None:
            time.sleep(0.2)
            latest = now.stat().st_mtime_ns if now.exists() else 0
            if latest != seen:
                moved, seen = time.monotonic(), latest
            elif time.monotonic() - moved > WAITS:
                worker.kill()
        said.seek(0)
        return worker.returncode, said.read()[:1500]


def fuzz(options: Options) -> list[Line]:
    """Mutated inputs of every reader: read or refused with an error of ours; no crash, hang, or file elsewhere."""
    lines = []
    for make in READERS:
        count = N // 100 if options.quick else N
        totals, failed, seconds = fuzz_reader(make.__name__, count, options.out / "fuzz")
        text = (
            f"{totals['refused'] + totals['read']:,} inputs: {totals['refused']:,} refused, {totals['read']:,} read; "
        )
        text += f"slowest {totals['slowest'][0]:.2f} s; {len(failed)} failures in {seconds:.0f} s"
        text += "".join(f"; {x}" for x in failed[:3])
        about = " ".join((make.__doc__ or "").split()).rstrip(".")
        lines.append(Line(f"fuzzing: {about}", "-", text.replace("\n", " "), "no failure", not failed))
    return lines


if __name__ == "__main__":
    if sys.argv[1] == "--list":
        print("\n".join(f.__name__ for f in READERS))
    elif sys.argv[1] == "ranks":
        write_ranks(Path(sys.argv[2]))
    else:
        print(json.dumps(work(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))))
