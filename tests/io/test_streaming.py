"""Streaming to a file and being killed on the way, short; ``streaming`` and ``kill`` of scripts/verify.py are long."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import snn
from snn.io import sonata
from snn.io.sonata import SonataWriter, read_result

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"
MIB = 1 << 20

# In a process of its own, so that memory other tests gave back does not hide what this one takes.
RUN = """
import json, sys
sys.path.insert(0, sys.argv[1])
import snn, verify_records as verify
sim = snn.Simulation(verify.source_network(), dt=1.0, threads=1, quiet=True)
sim.run(100.0)
with verify.sampled_rss(0.02) as samples:
    result = sim.run(20_000.0, to=sys.argv[2] or None)
sizes = result.sizes()
print(json.dumps({"growth": verify.growth(samples), "samples": len(samples), "sizes": sizes}))
"""


def run(to):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", RUN, str(SCRIPTS), to]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def verify():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import verify_records
    finally:
        sys.path.remove(str(SCRIPTS))
    return verify_records


@pytest.fixture(scope="module")
def streamed(tmp_path_factory):
    path = tmp_path_factory.mktemp("streaming") / "run.h5"
    return path, run(str(path))


# 20 M spikes are 305 MiB of times and ids; from the second to the last fifth of the run a leak would show 60 % of them,
# 180 MiB. What the writer and the system's allocator hold differs by less than the writer's buffer of 32 MiB, twice.
BOUND = 64 * MIB


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory held is read from /proc")
def test_memory_is_flat_over_20_million_spikes(streamed):
    _, out = streamed
    assert out["samples"] > 20
    assert out["growth"] < BOUND
    in_memory = run("")
    assert in_memory["growth"] > 2 * BOUND, "the measure sees what a run in memory keeps"
    assert in_memory["sizes"] == out["sizes"]


@pytest.mark.slow
def test_file_is_complete(streamed):
    path, out = streamed
    total = sum(n for _, n in out["sizes"].values())
    assert abs(total - 20e6) < 5 * 20e6**0.5  # Poisson
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    result = read_result(path)
    assert result.complete and (result.t_start, result.t_stop) == (100.0, 20_100.0)
    name = "sources3"
    record = result.spikes[name]
    assert len(record) == out["sizes"][name][1]
    # a source's rate: 50 Hz; over 20 s its count has standard deviation 32, the largest of 2,000 lies within 5
    counts = np.bincount(record.ids, minlength=2000)
    assert np.abs(counts - 1000.0).max() < 5 * 1000.0**0.5


@pytest.mark.slow
@pytest.mark.cross
def test_file_is_read_by_libsonata(streamed, verify):
    pytest.importorskip("libsonata", reason="peers extra not installed")
    path, out = streamed
    sizes = {name: tuple(size) for name, size in out["sizes"].items()}
    total = verify.check_with_libsonata(path, sizes, 20_100.0)
    assert total == sum(n for _, n in sizes.values())


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_run_keeps_everything_up_to_its_last_flush(verify, tmp_path):
    """A run flushes every 20 ms of model time and is killed at a random moment: spikes and traces equal the undisturbed
    run's up to a time no earlier than the last flush it told of."""
    duration = 16_000.0
    undisturbed = snn.Simulation(verify.kill_network(), dt=0.1, threads=1, quiet=True).run(duration)
    safe = []
    for k, delay in enumerate(np.random.default_rng().uniform(0.0, 0.7, 3)):
        safe.append(verify.kill_once(tmp_path / f"{k}.h5", float(delay), duration, undisturbed))
    assert 0.0 < min(safe) and max(safe) < duration


def test_streamed_run_equals_the_run_in_memory(verify, tmp_path):
    """Spikes and traces of a recurrent network, through snn.Simulation.run(to=...)."""
    memory, file = (
        snn.Simulation(verify.kill_network(), dt=0.1, threads=1, quiet=True).run(300.0, to=to)
        for to in (None, tmp_path / "a.h5")
    )
    assert file.complete and not (tmp_path / "a.h5.part").exists()
    for name, record in memory.spikes.items():
        np.testing.assert_array_equal(record.times, file.spikes[name].times)
        np.testing.assert_array_equal(record.ids, file.spikes[name].ids)
    np.testing.assert_array_equal(memory.states["exc"]["v"].astype(np.float32), file.states["exc"]["v"])


HOLD = """
import sys, h5py
with h5py.File(sys.argv[1], "r") as file:
    print("open", flush=True)
    while sys.stdin.readline().strip() == "read":
        try:
            n = int(file["spikes/a"].attrs["n_flushed"])
            print(file["spikes/a/timestamps"][:n].tolist(), flush=True)
        except OSError:
            print("OSError", flush=True)
"""


@pytest.fixture
def reader():
    """Starts another process that holds a file open."""
    started = []

    def start(path):
        found = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        started.append(found)
        assert found.stdout.readline() == "open\n"
        return found

    yield start
    for one in started:
        one.communicate("", timeout=120)


def test_rows_wait_for_readers(reader, tmp_path):
    """No reader of the unfinished file ends the run; the rows are written when it has closed the file."""
    writer = SonataWriter(tmp_path / "run.h5", {"a": 3})
    writer.spikes("a", [1.0], [0])
    writer.flush(1.0)
    holds = reader(writer.part)
    writer.spikes("a", [2.0], [1])
    writer.flush(2.0)
    assert len(read_result(writer.part).spikes["a"]) == 1
    holds.communicate("", timeout=120)
    writer.flush(2.0)
    assert read_result(writer.part).spikes["a"].times.tolist() == [1.0, 2.0]
    assert read_result(writer.part).t_stop == 2.0
    writer.abort()


@pytest.mark.parametrize("end", ["flush", "close"])
def test_a_reader_that_never_closes_the_file(end, reader, tmp_path, monkeypatch):
    """The record becomes whole; the reader sees what it was when it opened it, or gets an error."""
    monkeypatch.setattr(sonata, "PATIENCE", 0.3)
    writer = SonataWriter(tmp_path / "run.h5", {"a": 3})
    writer.spikes("a", [1.0], [0])
    writer.flush(1.0)
    holds = reader(writer.part)
    writer.spikes("a", np.linspace(2.0, 3.0, 50_000), np.zeros(50_000, int))
    if end == "flush":
        writer.flush(3.0, durable=True)  # a checkpoint follows: it must not wait for ever
        assert len(read_result(writer.part).spikes["a"]) == 50_001
    holds.stdin.write("read\n")
    assert holds.stdout.readline() in ("[1.0]\n", "OSError\n")
    result = writer.close(3.0)
    assert result.complete
    assert len(result.spikes["a"]) == 50_001
    holds.stdin.write("read\n")
    assert holds.stdout.readline() in ("[1.0]\n", "OSError\n")
