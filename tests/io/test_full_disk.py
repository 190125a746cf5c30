"""A file system that is full, of a few MB, mounted for the test: clear errors, and what was there before is whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MOUNT = 'mount -t tmpfs -o size=3m none "$1" && cd "$1" && shift && exec "$@"'
NET = """
seed = 7
[simulation]
duration = 400.0
threads = 1
[populations.exc]
n = 20
model = "LIFDelta"
params = {e_l = 0.0, v_th = 15.0, v_reset = 0.0}
[inputs.noise]
target = "exc"
type = "Poisson"
rate = 8000.0
weight = 0.3
[[record]]
population = "exc"
[[record]]
population = "exc"
variable = "v"
[output]
every = 20.0
"""
COMMON = """
import hashlib, os
from pathlib import Path
import snn
from snn import simulation
from snn.config import load
from snn.io.sonata_file import OutputError

simulation.FLUSH_SECONDS = 0.0

def fill(left):
    # take all of the disk but ``left`` bytes
    here = os.statvfs(".")
    with open("filler", "wb") as filler:
        os.posix_fallocate(filler.fileno(), 0, here.f_bavail * here.f_frsize - left)

def hashes():
    names = sorted(p for p in Path(".").rglob("*") if p.is_file() and p.name not in ("filler", "log"))
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in names}

def refused(run, *words):
    try:
        run()
    except OutputError as error:
        for word in ("cannot be written", "No space left on device", *words):
            assert word in str(error), error
        return
    raise AssertionError("the disk was not full")
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.toml"
    path.write_text(NET)
    return path


def on_a_small_disk(tmp_path, code, *arguments):
    """Run ``code`` in a folder that holds 3 MB; the mount is seen, and ends, with its process alone."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", str(tmp_path)]
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("no unshare(1), with which to mount a small file system")
    if tried.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {tried.stderr.strip()}")
    done = subprocess.run(
        [*command, sys.executable, "-c", COMMON + code, *map(str, arguments)],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def test_record_checkpoint_and_merge(file, tmp_path):
    code = """
import sys
import numpy as np
from snn.io.merge import merge_files
from snn.io.sonata import SonataWriter, read_result
from snn.io.sonata_edges import write_edges
from snn.io.sonata_resume import salvage

def make():
    return snn.Simulation(load(sys.argv[1]).network(), threads=1, quiet=True)

sim, straight = make(), make().run(400.0).spikes["exc"]
sim.run(10.0, to="earlier.h5")
sim.checkpoint("earlier.state.h5")
for rank in (0, 1):  # as two ranks leave them
    about = {"ranks": 2, "rank": rank, "seed": 1, "dt": 0.1, "network_hash": "x"}
    writer = SonataWriter(f"m.rank{rank}.h5", {"p": 6}, provenance=about)
    writer.spikes("p", np.repeat(np.arange(1.0, 9001.0), 2), np.tile([2 * rank, 2 * rank + 1], 9000))
    writer.close(9001.0)
before = hashes()

fill(100_000)
refused(lambda: sim.checkpoint("earlier.state.h5"), "What was there before is as it was")
refused(lambda: merge_files(["m.rank0.h5", "m.rank1.h5"], "m.h5"))
refused(lambda: salvage("m.rank0.h5", "saved.h5"))
refused(lambda: write_edges("e.h5", "a_to_b", "a", "b", np.arange(5000), np.arange(5000)))
refused(lambda: make().run(400.0, to="new.h5"))
assert hashes() == before, hashes()

os.remove("filler")
fill(900_000)  # fills while it runs
other = make()
refused(lambda: other.run(400.0, to="new.h5", checkpoint="state.h5", every=20.0), "ms is safe in new.h5.part")
assert before.items() <= hashes().items()
part = read_result("new.h5.part")
assert 0.0 < part.t_stop < 400.0 and not part.complete
np.testing.assert_array_equal(part.spikes["exc"].times, straight.times[straight.times <= part.t_stop])

os.remove("filler")
result = snn.Simulation.resume("state.h5", other.net, quiet=True).proceed().spikes["exc"]
np.testing.assert_array_equal(result.times, straight.times)
np.testing.assert_array_equal(result.ids, straight.ids)
assert len(merge_files(["m.rank0.h5", "m.rank1.h5"], "m.h5").spikes["p"]) == 36_000
"""
    on_a_small_disk(tmp_path, code, file)


def test_sweep_stops_and_goes_on(file, tmp_path):
    code = """
import json
import sys
import numpy as np
from snn.io.sonata import read_result
from snn.sweeps.points import run_point
from snn.sweeps.run import Plan

values = {"populations.exc.params.tau_m": [10.0, 15.0, 20.0]}
plan = Plan.make(sys.argv[1], values, "out", "grid", None, 1, None, ["rate"], False)
one, two, three = plan.points

def run(point):
    return run_point(plan.runner, point, plan.root, 1, plan.runner.kinds, False)

assert run(one) == "done"
before = hashes()
fill(100_000)
refused(lambda: run(two))
assert before.items() <= hashes().items()
assert not list(Path("out").rglob("failed.json")), "a full disk is no failure of a point"
assert plan.states() == {"done": 1, "failed": 0, "waiting": 2, "running": 0}
os.remove("filler")
fill(900_000)  # fills while it runs
refused(lambda: run(two))
assert before.items() <= hashes().items() and Path("out/points", two.name, "state.h5").exists()
os.remove("filler")
begins = simulation.Simulation.run
simulation.Simulation.run = None  # a point goes on at its checkpoint
assert run(two) == "done" and not Path("out/points", two.name, "state.h5").exists()
simulation.Simulation.run = begins
os.mkdir("straight")
measured = plan.runner(two, Path("straight"), 1)
folder = Path("out/points", two.name)
spikes = [read_result(place / "record.h5").spikes["exc"] for place in (Path("straight"), folder)]
np.testing.assert_array_equal(spikes[0].times, spikes[1].times)
assert len(spikes[0]) > 100 and json.loads((folder / "result.json").read_text())["measures"] == measured
fill(0)
refused(lambda: run(three))
os.remove("filler")
assert [run(point) for point in plan.points] == ["done"] * 3
logs = [Path("out/points", point.name, "log").read_text() for point in plan.points]
assert [log.count(" done") for log in logs] == [1, 1, 1] and "disk full" in logs[1], logs
"""
    on_a_small_disk(tmp_path, code, file)
