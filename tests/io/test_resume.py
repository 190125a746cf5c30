"""Runs that keep checkpoints: killed or stopped anywhere, they go on, and the record is that of the undisturbed run."""

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import snn
from kernels.errors import BackendUnavailable, FormatError, ModelError
from snn.cli import app
from snn.io.sonata import SonataWriter, read_result
from snn.io.sonata_file import OutputError
from snn.io.sonata_resume import salvage

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
[[projections]]
name = "rec"
source = "exc"
target = "exc"
rule = "fixed_indegree"
indegree = 2
weight = 0.5
delay = {uniform = {low = 0.5, high = 3.0}}
plasticity = {rule = "STDPPair", lambda_ = 0.1, w_max = 1.0}
[[record]]
population = "exc"
[[record]]
population = "exc"
variable = "v"
ids = [0, 1]
every = 1.0
[[record]]
projection = "rec"
variable = "weights"
every = 70.0
"""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("net") / "net.toml"
    path.write_text(NET)
    return path


@pytest.fixture(scope="module")
def straight(file):
    """The record of the undisturbed run."""
    path = file.with_name("straight.h5")
    return simulate(file).run(400.0, to=path)


def simulate(file):
    from snn.config import load

    return snn.Simulation(load(file).network(), threads=1, quiet=True)


def same(one, other):
    assert one.complete and other.complete and (one.t_start, one.t_stop) == (other.t_start, other.t_stop)
    for name in one.spikes:
        np.testing.assert_array_equal(one.spikes[name].times, other.spikes[name].times)
        np.testing.assert_array_equal(one.spikes[name].ids, other.spikes[name].ids)
    for name in one.states:
        for variable in one.states[name]:
            np.testing.assert_array_equal(one.states[name][variable], other.states[name][variable])
            np.testing.assert_array_equal(one.states[name].times(variable), other.states[name].times(variable))
    for name in one.weights:
        for x, y in zip(one.weights[name], other.weights[name], strict=True):
            np.testing.assert_array_equal(x, y)


class Cut(Exception):
    """Stands for the end of a process."""


def interrupted(file, folder, monkeypatch, at, kill=lambda writer: None, **options):
    """A run that ends as if its process did, at the flush after ``at`` ms; ``kill`` is called before."""
    from snn.io.sonata import SonataWriter

    flush = SonataWriter.flush

    def flush_or_die(self, t_now, durable=False):
        flush(self, t_now, durable)
        if t_now > at:
            kill(self)
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr("snn.simulation.FLUSH_SECONDS", 0.0)
        patch.setattr("snn.drive_clock.Clock.next_chunk", lambda self, wanted: 130)
        patch.setattr(SonataWriter, "flush", flush_or_die)
        with pytest.raises(Cut):
            simulate(file).run(400.0, to=folder / "out.h5", checkpoint=folder / "state.h5", **options)


@pytest.mark.parametrize("at", [0.0, 33.0, 210.0])
def test_a_run_goes_on_and_its_record_equals_the_undisturbed_one(file, straight, tmp_path, monkeypatch, at):
    interrupted(file, tmp_path, monkeypatch, at, every=25.0)
    sim = snn.Simulation.resume(tmp_path / "state.h5", simulate(file).net, threads=2, quiet=True)
    assert sim.t <= at and read_result(tmp_path / "out.h5.part").t_stop > at
    same(straight, sim.proceed())
    changed = snn.Simulation.resume(tmp_path / "state.h5", simulate(file).net, quiet=True)
    changed.set_state("exc", "v", 0.0)
    with pytest.raises(ModelError, match="changed since it was resumed, by set_state, which the record"):
        changed.proceed()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.h5", "state.h5"]
    end = snn.Simulation.resume(tmp_path / "state.h5", simulate(file).net, quiet=True)
    assert end.t == 400.0
    same(straight, end.proceed())  # there is nothing left to do
    with pytest.raises(ModelError, match="was not written within a run"):
        end.proceed()


def test_killed_in_the_middle_of_a_flush(file, straight, tmp_path, monkeypatch):
    """HDF5's mark of an open file, and a last chunk that was not noted: the record is copied and goes on."""

    def kill(writer):
        with writer._file() as opened:  # what a flush has done before it notes how far it came
            opened["spikes/exc/timestamps"].resize(opened["spikes/exc/timestamps"].shape[0] + 5, axis=0)
            opened.flush()
            left.append(writer.part.read_bytes())
        writer.part.write_bytes(left[0])

    left: list[bytes] = []
    interrupted(file, tmp_path, monkeypatch, 120.0, kill, every=50.0)
    with pytest.raises(OSError):
        h5py.File(tmp_path / "out.h5.part", "r+")
    done = CliRunner().invoke(app, ["repair", str(tmp_path / "out.h5.part")])
    assert done.exit_code == 0, done.output
    saved = read_result(tmp_path / "out.salvaged.h5")
    n = np.searchsorted(straight.spikes["exc"].times, saved.t_stop, side="right")
    assert saved.t_stop > 120.0 and not saved.complete and n > 100
    np.testing.assert_array_equal(saved.spikes["exc"].times, straight.spikes["exc"].times[:n])
    with h5py.File(tmp_path / "out.salvaged.h5", "r+"):
        pass
    done = CliRunner().invoke(app, ["resume", str(tmp_path / "state.h5"), "--quiet"])
    assert done.exit_code == 0, done.output
    same(straight, read_result(tmp_path / "out.h5"))


def test_record_that_holds_itself_is_not_salvaged(tmp_path):
    """It would be copied for ever, deeper and deeper."""
    writer = SonataWriter(tmp_path / "out.h5", {"p": 5}, [])
    writer.spikes("p", np.arange(30.0), np.arange(30) % 5)
    writer.flush(30.0)
    with h5py.File(writer.part, "r+") as opened:
        opened["spikes/p/again"] = opened["spikes"]
    with pytest.raises(FormatError, match="/spikes.*: is there under another name, too. Damaged."):
        salvage(writer.part, tmp_path / "saved.h5")
    assert [file.name for file in tmp_path.iterdir()] == ["out.h5.part"]
    writer.abort()


@pytest.mark.skipif(sys.platform == "win32", reason="no such signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1"])
def test_signals_keep_the_state_and_end_the_process(file, tmp_path, name):
    run = [
        sys.executable,
        "-m",
        "snn",
        "run",
        str(file),
        "--quiet",
        "--duration",
        "2e6",
        "--out",
        str(tmp_path / "o.h5"),
    ]
    with subprocess.Popen([*run, "--checkpoint", str(tmp_path / "s.h5")], stderr=subprocess.PIPE, text=True) as child:
        begin = time.monotonic()
        while not (tmp_path / "s.h5").exists():  # written when the run begins
            assert child.poll() is None and time.monotonic() - begin < 300
            time.sleep(0.1)
        time.sleep(0.5)
        child.send_signal(getattr(signal, name))
        said = child.communicate(timeout=120)[1]
    assert child.returncode == 128 + getattr(signal, name), said
    assert f"{name}: stopped; the state at" in said and f"snn resume {tmp_path / 's.h5'}" in said
    from snn.config import load

    net = load(file, {"simulation.duration": 2e6}).network()
    sim = snn.Simulation.resume(tmp_path / "s.h5", net, quiet=True)
    assert sim.t == read_result(tmp_path / "o.h5.part").t_stop > 0.0
    assert sim._unfinished.until == 20_000_000


def test_records_of_other_runs_are_refused(file, tmp_path, monkeypatch):
    interrupted(file, tmp_path, monkeypatch, 60.0, every=50.0)
    from snn.config import load

    def resumed(folder=tmp_path, **changes):
        return snn.Simulation.resume(folder / "state.h5", load(file, changes).network(), quiet=True)

    with pytest.raises(FormatError, match="report.*Record the same"):
        resumed(record=[{"population": "exc"}]).proceed()
    with pytest.raises(FormatError, match=r"population 'exc'.* differ .*populations.exc.n: 20 in the file, 21 here"):
        resumed(**{"populations.exc.n": 21})
    with pytest.raises(FormatError, match=r"seed.* differ \(seed: 7 in the file, 8 here"):
        resumed(seed=8)
    other = tmp_path / "other"
    other.mkdir()
    (other / "state.h5").write_bytes((tmp_path / "state.h5").read_bytes())
    with pytest.raises(FormatError, match=r"out\.h5\.part: no such file"):
        resumed(other).proceed()
    simulate(file).run(10.0, to=other / "part.h5")
    os.replace(other / "part.h5", other / "out.h5.part")
    with pytest.raises(FormatError, match="holds 0 to 10 ms; the checkpoint is of 50 ms"):
        resumed(other).proceed()
    assert (other / "out.h5.part").exists() and (tmp_path / "out.h5.part").exists()


def test_a_checkpoint_never_points_out_of_its_folder(file, tmp_path, monkeypatch):
    from snn.io import checkpoint

    interrupted(file, tmp_path, monkeypatch, 60.0)
    about, arrays = checkpoint.read(tmp_path / "state.h5")
    for name in ("/tmp/x.h5", "../x.h5", "a/../../x.h5", 5):
        checkpoint.write(tmp_path / "forged.h5", about | {"run": about["run"] | {"record": name}}, arrays)
        with pytest.raises(FormatError, match="must lie below the checkpoint's folder"):
            snn.Simulation.resume(tmp_path / "forged.h5", simulate(file).net, quiet=True)
    far = tmp_path / "far"
    far.mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(far)
        simulate(file).run(1.0, to=tmp_path / "b.h5", checkpoint="s.h5")
    sim = snn.Simulation.resume(far / "s.h5", simulate(file).net, quiet=True)
    with pytest.raises(ModelError, match="Name it: proceed"):
        sim.proceed()


def test_what_cannot_be_kept_is_refused_before_the_run(file, tmp_path):
    sim = simulate(file)
    with pytest.raises(ModelError, match="every: needs checkpoint="):
        sim.run(1.0, every=1.0)
    for every in (0.0, -1.0, float("nan"), "1"):
        with pytest.raises(ModelError, match="every: must be (> 0 ms|a number)"):
            sim.run(1.0, checkpoint=tmp_path / "s.h5", every=every)
    with pytest.raises(OutputError, match="there is no folder"):
        sim.run(1.0, checkpoint=tmp_path / "no" / "s.h5")
    with pytest.raises(BackendUnavailable, match="reference"):
        snn.Simulation(sim.net, backend="reference").run(1.0, checkpoint=tmp_path / "s.h5")
    record = tmp_path / "r.h5"
    for taken in ("r.h5", "r.h5.part"):
        with pytest.raises(OutputError, match=r"the record .*r\.h5 is written there"):
            sim.run(1.0, to=record, checkpoint=tmp_path / taken)
    assert sim.t == 0.0 and not list(tmp_path.iterdir())
    simulate(file).run(1.0, to=record)
    (tmp_path / "text").write_text("mine")
    for other in (record, tmp_path / "text"):
        before = other.read_bytes()
        with pytest.raises(OutputError, match="exists and is no checkpoint"):
            sim.run(1.0, checkpoint=other)
        assert other.read_bytes() == before and sim.t == 0.0


FULL = """
import json, resource, signal, sys
from pathlib import Path
import snn
from snn import simulation
from snn.config import load
from snn.io.sonata_file import OutputError
from snn.io.sonata_resume import salvage

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
simulation.FLUSH_SECONDS = 0.0
folder = Path(sys.argv[2])
sim = snn.Simulation(load(sys.argv[1]).network(), threads=1, quiet=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    sim.run(400.0, to=folder / "out.h5", checkpoint=folder / "state.h5", every=20.0)
except OutputError as error:
    print(json.dumps(str(error)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    snn.Simulation.resume(folder / "state.h5", sim.net, quiet=True).proceed()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit on the size of files")
def test_full_disk_stops_cleanly_and_goes_on_when_there_is_space(file, straight, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(file), str(tmp_path), "1000000"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert "cannot be written" in said and "is safe in" in said and "free space" in said.lower()
    same(straight, read_result(tmp_path / "out.h5"))


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder(file, tmp_path):
    tmp_path.chmod(0o500)
    try:
        for more in ({"to": tmp_path / "o.h5"}, {"checkpoint": tmp_path / "s.h5"}):
            with pytest.raises(OutputError, match="not writable"):
                simulate(file).run(1.0, **more)
    finally:
        tmp_path.chmod(0o700)


def test_validate_reads_every_file_of_ours(file, tmp_path):
    simulate(file).run(20.0, to=tmp_path / "o.h5", checkpoint=tmp_path / "s.h5", checksum=True)
    for name in ("o.h5", "s.h5"):
        done = CliRunner().invoke(app, ["validate", str(tmp_path / name)])
        assert (done.exit_code, done.output) == (0, "ok\n")
    with h5py.File(tmp_path / "o.h5") as opened:
        data = opened["report/exc/data"]
        assert data.fletcher32
        at = data.id.get_chunk_info(0).byte_offset
    for name, place in (("o.h5", at + 9), ("s.h5", len((tmp_path / "s.h5").read_bytes()) // 2)):
        content = bytearray((tmp_path / name).read_bytes())
        content[place] ^= 0x10
        (tmp_path / name).write_bytes(content)
        done = CliRunner().invoke(app, ["validate", str(tmp_path / name)])
        assert done.exit_code == 2 and name in done.output


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_killed_twice_at_random_moments(file, tmp_path):
    """The commands as a user gives them; ``kill_resume`` of scripts/verify.py does so 50 times."""
    from snn.config import load

    state, out, duration = tmp_path / "s.h5", tmp_path / "o.h5", 60_000.0
    command = ["run", str(file), "--duration", str(duration), "--out", str(out), "--checkpoint", str(state)]
    command += ["--every", "2000", "--quiet"]
    kills = 0
    for arguments in (command, ["resume", str(state), "--quiet", "--threads", "2"]):
        before = state.stat().st_mtime_ns if state.exists() else 0
        with subprocess.Popen([sys.executable, "-m", "snn", *arguments], stdout=subprocess.DEVNULL) as child:
            while child.poll() is None and (not state.exists() or state.stat().st_mtime_ns == before):
                time.sleep(0.01)  # it writes a checkpoint when it begins
            time.sleep(float(np.random.default_rng().uniform(0.0, 0.3)))
            child.kill()
        kills += child.returncode == -signal.SIGKILL
        assert out.exists() or read_result(tmp_path / "o.h5.part").t_stop >= 0.0
    assert kills == 2, "killed too late to show anything"
    done = CliRunner().invoke(app, ["resume", str(state), "--quiet"])
    assert done.exit_code == 0, done.output
    net = load(file, {"simulation.duration": duration}).network()
    straight = snn.Simulation(net, threads=1, quiet=True).run(duration, to=tmp_path / "straight.h5")
    assert straight.sizes()["exc"][1] > 1000
    same(straight, read_result(out))
