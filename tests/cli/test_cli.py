"""The ``snn`` command: what it writes and prints, exit codes, killed and interrupted runs, and the generated page."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import snn
from kernels.errors import FormatError
from plasticity.base import RULES
from snn.cli import app
from snn.io.sonata import read_result, read_spikes
from snn.neurons.base import MODELS

ROOT = Path(__file__).parents[2]

NET = """
seed = 7
[simulation]
duration = 100.0
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
source = "exc"
target = "exc"
rule = "fixed_indegree"
indegree = 2
weight = 0.5
delay = 1.5
[[record]]
population = "exc"
[[record]]
population = "exc"
variable = "v"
ids = [0, 1]
every = 1.0
"""


@pytest.fixture
def net(tmp_path, monkeypatch):
    """A TOML file in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.toml"
    path.write_text(NET)
    return path


def command(*args):
    """In this process; ``result.exit_code``, ``stdout``, ``stderr``."""
    return CliRunner().invoke(app, [str(a) for a in args])


def process(*args, code="from snn.cli import main; main()", **more):
    """The environment and arguments of the command in a process of its own."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return [sys.executable, "-c", code, *map(str, args)], dict(
        env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more
    )


def same(first, second):
    a, b = read_spikes(first), read_spikes(second)
    assert a.keys() == b.keys()
    return all(np.array_equal(a[k].times, b[k].times) and np.array_equal(a[k].ids, b[k].ids) for k in a)


# ------------------------------------------------------------------------------------------------------------ run


def test_run(net):
    done = command("run", net, "--plot", "raster.png")
    assert done.exit_code == 0, done.output
    record = read_spikes("results/net.h5")["exc"]
    assert len(record) > 0 and record.t_stop == 100.0
    header, row = done.stdout.splitlines()
    assert header.split() == ["population", "n", "spikes", "rate", "(Hz)", "CV"]
    assert row.split()[:4] == ["exc", "20", f"{len(record):,}", f"{record.rate():.3f}"]
    assert row.split()[4] == f"{np.nanmean(record.cv()):.3f}"
    assert "100/100 ms" in done.stderr and "real-time factor" in done.stderr
    assert Path("raster.png").read_bytes().startswith(b"\x89PNG")
    assert not list(Path().rglob("*.part"))


def test_event_engine(net):
    assert command("run", net, "--out", "a.h5", "--set", "simulation.engine=event").exit_code == 0
    assert command("run", "a.h5", "--out", "b.h5").exit_code == 0
    assert same("a.h5", "b.h5")
    record = read_spikes("a.h5")["exc"]
    off = np.abs(record.times / 0.1 - np.rint(record.times / 0.1))
    assert len(record) > 0 and np.median(off) > 0.01, "spikes on the grid"


def test_quiet(net):
    done = command("run", net, "--quiet", "--out", "a.h5")
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith("population")


def test_a_record_runs_again(net):
    assert command("run", net, "--out", "a.h5", "--set", "projections.0.weight=0.7", "--seed", "5").exit_code == 0
    net.unlink()  # the record is enough
    assert command("run", "a.h5", "--out", "b.h5", "--threads", "2").exit_code == 0
    assert same("a.h5", "b.h5")
    assert command("run", "a.h5", "--seed", "6").exit_code == 0
    assert not same("a.h5", "results/a.rerun.h5")
    configuration = read_result("b.h5").provenance["configuration"]
    assert configuration["seed"] == 5 and configuration["projections"][0]["weight"] == 0.7
    assert configuration["simulation"]["threads"] == 2


def test_a_record_of_a_changed_simulation_is_not_run_again(net):
    """The file alone cannot repeat what a program did between runs."""
    sim = snn.Simulation(snn.config.load(net).network(), quiet=True)
    sim.run(10.0, to="first.h5")
    sim.set_parameters("exc", v_th=12.0)
    sim.run(10.0, to="second.h5")
    assert command("run", "first.h5", "--out", "a.h5").exit_code == 0
    done = command("run", "second.h5", "--out", "b.h5")
    assert done.exit_code == 2 and "second.h5: is of a simulation that a program had changed (set_param" in done.stderr
    assert not Path("b.h5").exists()
    assert "no: a program changed the simulation" in command("info", "second.h5").stdout


def test_a_record_of_files_that_changed_is_not_run_again(net):
    np.save("w.npy", np.full((2, 2), 0.5))
    net.write_text(
        'seed = 3\n[simulation]\nduration = 20.0\n[populations.s]\nn = 2\nmodel = "Poisson"\nrate = 100.0\n'
        '[populations.p]\nn = 2\nmodel = "LIFDelta"\n[[projections]]\nsource = "s"\ntarget = "p"\n'
        'rule = "all_to_all"\nweight = {file = "w.npy"}\ndelay = 1.0\n[[record]]\npopulation = "p"\nvariable = "v"\n'
    )
    assert command("run", net, "--out", "a.h5").exit_code == 0
    assert command("run", "a.h5", "--out", "b.h5", "--threads", "2", "--duration", "10").exit_code == 0
    np.save("w.npy", np.full((2, 2), 0.6))
    done = command("run", "a.h5", "--out", "c.h5")
    assert done.exit_code == 2 and "a.h5: was made by another network than its configuration gives now" in done.stderr
    assert not Path("c.h5").exists()
    assert command("run", "a.h5", "--out", "c.h5", "--set", "seed=3").exit_code == 0


def test_overrides_and_flags(net):
    args = [
        "--set",
        "simulation.duration=50",
        "--set",
        "populations.exc.n=10",
        "--duration",
        "20",
        "--backend",
        "reference",
    ]
    assert command("run", net, "--out", "a.h5", *args).exit_code == 0
    result = read_result("a.h5")
    assert result.t_stop == 20.0 and result.spikes["exc"].n_nodes == 10
    assert result.provenance["backend"] == "reference"
    # the backends agree bit for bit, so the flag changed nothing else
    assert command("run", net, "--out", "b.h5", *args[:-1], "cpu").exit_code == 0
    assert same("a.h5", "b.h5")


PLASTIC = """
[[record]]
variable = "weights"
projection = "exc->exc"
"""


def test_plastic_weights(net):
    """They change, are recorded at the end, and a rerun of the record gives the same."""
    net.write_text(NET.replace("delay = 1.5", 'delay = 1.5\nplasticity = {rule = "STDPPair", w_max = 2.0}') + PLASTIC)
    assert "exc->exc    fixed_indegree  STDPPair(tau_plus=20, " in command("info", net).stdout
    assert "weights of exc->exc" in command("info", net).stdout
    assert command("run", net, "--out", "a.h5").exit_code == 0
    assert "weights of exc->exc: 40 at 1 times" in command("info", "a.h5").stdout
    assert command("validate", "a.h5").stdout == "ok\n"
    assert command("run", "a.h5", "--out", "b.h5").exit_code == 0
    first, second = (read_result(name).weights["exc->exc"] for name in ("a.h5", "b.h5"))
    times, values = first
    assert times.tolist() == [100.0] and values.shape == (1, 40)
    assert np.array_equal(values, second[1]) and same("a.h5", "b.h5")
    assert np.all((values >= 0) & (values <= 2)) and np.ptp(values) > 0


def test_compress(net):
    assert command("run", net, "--out", "a.h5", "--compress").exit_code == 0
    assert command("run", net, "--out", "b.h5").exit_code == 0
    with h5py.File("a.h5") as a, h5py.File("b.h5") as b:
        assert a["spikes/exc/timestamps"].compression == "gzip" and b["spikes/exc/timestamps"].compression is None
    assert same("a.h5", "b.h5")


def test_output_table(net):
    net.write_text(NET + '[output]\nfile = "sub/x.h5"\nplot = "sub/x.png"\noverwrite = true\n')
    Path("sub").mkdir()
    elsewhere = net.parent / "elsewhere"
    elsewhere.mkdir()
    os.chdir(elsewhere)  # the paths are relative to the file; the fixture goes back
    for _ in range(2):
        assert command("run", net).exit_code == 0
    assert sorted(p.name for p in (net.parent / "sub").iterdir()) == ["x.h5", "x.png"]
    assert not list(elsewhere.iterdir())


def test_existing_output(net):
    assert command("run", net, "--out", "a.h5").exit_code == 0
    before = Path("a.h5").read_bytes()
    done = command("run", net, "--out", "a.h5", "--seed", "8")
    assert done.exit_code == 2
    assert done.stderr == "snn: error: a.h5: exists already. Choose another name or pass --overwrite.\n"
    assert Path("a.h5").read_bytes() == before
    assert command("run", net, "--out", "a.h5", "--seed", "8", "--overwrite").exit_code == 0
    assert read_result("a.h5").provenance["seed"] == 8


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (["--out", "net.toml", "--overwrite"], "net.toml: is the file that is read, and would be lost."),
        (["--checkpoint", "net.toml"], "net.toml: exists and is no checkpoint, which alone one replaces."),
        (["--out", "a.h5", "--checkpoint", "./a.h5"], "a.h5: the record a.h5 is written there."),
        (["--out", "a.h5", "--checkpoint", "a.h5.part"], "a.h5.part: the record a.h5 is written there."),
        (["--out", "none/a.h5"], "none"),
        (["--out", "."], "is a folder"),
        (["--plot", "a.txt"], "a.txt: the name must end in one of"),
        (["--plot", "none/a.png"], "none/a.png: its folder does not exist. Create it first."),
        (["--set", "populations.exd.n=1"], "override populations.exd.n: no 'exd' in populations. Did you mean 'exc'?"),
        (["--set", "populations.exc.n"], "--set populations.exc.n: must be KEY=VALUE"),
        (["--set", "projections.5.weight=1"], "projections has no entry '5'; entries: 0 to 0."),
        (["--set", "simulation.treads=1"], "simulation.treads: no such key. Did you mean 'threads'?"),
        (["--threads", "0"], "simulation.threads: must be >= 1; got 0."),
        (["--backend", "gpux"], "simulation.backend: must be"),
        (["--duration", "-1"], "simulation.duration: must be >= 0 ms; got -1.0."),
        (["--duration", "0.01"], "simulation.duration: must be 0 or more than half a step of "),
        (["--seed", "-1"], "seed: must be >= 0; got -1."),
    ],
)
def test_refused_before_the_run(net, args, text):
    done = command("run", net, *args)
    assert done.exit_code == 2 and text in done.stderr and done.stdout == ""
    assert "Traceback" not in done.output
    assert {p.name for p in net.parent.rglob("*") if p.is_file()} == {"net.toml"}


def test_plot_needs_spikes(net):
    net.write_text(NET.replace('[[record]]\npopulation = "exc"\n[[record]]', "[[record]]"))
    done = command("run", net, "--plot", "a.png")
    assert done.exit_code == 2 and "a raster needs recorded spikes" in done.stderr


def test_failed_run(net):
    """A state that overflows: exit code 1, one line, nothing under the final name."""
    done = command("run", net, "--out", "a.h5", "--quiet", "--set", "inputs.noise.weight=-1e308")
    assert done.exit_code == 1
    assert done.stderr.startswith("snn: error: Population 'exc'.v: is not finite") and done.stderr.count("\n") == 1
    assert not Path("a.h5").exists() and not Path("a.h5.part").exists()


# ---------------------------------------------------------------------------------------- killed, interrupted


LONG = "import snn.simulation as s; s.FLUSH_SECONDS = 0.2; from snn.cli import main; main()"


def started(net, *args):
    """A run that would take hours, once it has written something."""
    call, more = process("run", net, "--out", "long.h5", "--duration", "1e9", "--quiet", *args, code=LONG)
    running = subprocess.Popen(call, **more)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and running.poll() is None:
        try:
            if read_result("long.h5.part").t_stop > 0:
                return running
        except FormatError:
            pass  # not there yet
        time.sleep(0.1)
    running.kill()
    pytest.fail(f"the run wrote nothing: {running.communicate()}")


def test_kill_leaves_what_was_flushed(net):
    running = started(net)
    os.kill(running.pid, signal.SIGKILL)
    running.communicate()
    assert not Path("long.h5").exists()
    result = read_result("long.h5.part")
    assert not result.complete and result.t_stop > 0
    done = command("info", "long.h5.part")
    assert done.exit_code == 0
    assert f"INCOMPLETE: the run has not ended; readable up to {result.t_stop:g} ms" in done.stdout
    done = command("validate", "long.h5.part")
    assert (
        done.exit_code == 2
        and f"is incomplete: the run has not ended; readable up to {result.t_stop:g} ms" in done.stderr
    )
    # and it holds exactly the first part of the same run
    part = result.spikes["exc"]
    assert command("run", net, "--out", "short.h5", "--duration", "100").exit_code == 0
    short = read_spikes("short.h5")["exc"]
    assert len(short) and np.array_equal(part.times[: len(short)], short.times)
    assert np.array_equal(part.ids[: len(short)], short.ids)
    # the name is taken until somebody decides
    done = command("run", net, "--out", "long.h5")
    assert done.exit_code == 2 and "left from an unfinished run" in done.stderr and "--overwrite" in done.stderr
    assert command("run", net, "--out", "long.h5", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [("--every", "0", "--every: must be > 0 ms; got 0."), ("--every", "inf", "--every: must be > 0 ms; got inf."),
     ("--duration", "1e300", "simulation.duration: must be <= 9.0072e+14 ms; got 1e+300.")],
)  # fmt: skip
def test_wrong_times_are_refused_before_anything_is_built(option, value, text, net, monkeypatch):
    monkeypatch.setattr("snn.config.Experiment.network", lambda self: pytest.fail("built"))
    done = command("run", net, option, value)
    assert done.exit_code == 2 and text in done.stderr, done.output


def test_interrupt_keeps_the_part(net):
    running = started(net)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=120)
    assert running.returncode == 130
    assert err == "snn: interrupted; long.h5.part holds what was written so far, see snn info\n"
    assert not Path("long.h5").exists() and read_result("long.h5.part").t_stop > 0


# ---------------------------------------------------------------------------------------- info, validate, plot


def test_info(net):
    assert command("run", net, "--out", "a.h5").exit_code == 0
    text = command("info", "a.h5").stdout
    assert text.startswith("a.h5: complete\n") and "0 to 100 ms" in text and "run again     yes: snn run a.h5" in text
    assert "exc.v [mV]: 100 samples of 2 neurons every 1 ms" in text
    assert command("run", net, "--out", "b.h5", "--checkpoint", "state.h5").exit_code == 0
    text = command("info", "state.h5").stdout
    assert text.startswith("state.h5: checkpoint at 100 ms of a run to 100 ms\nmade by       volley-snn"), text
    assert "record        b.h5\ngo on         snn resume state.h5\n" in text
    text = command("info", net).stdout
    assert "100 ms in steps of 0.1 ms" in text and "LIFDelta" in text and "exc->exc" in text and "exc.v" in text
    text = command("info").stdout
    assert snn.__version__ in text and "cpu, cuda, reference" in text


def test_validate(net):
    assert command("validate", net).stdout == "ok\n"
    assert command("run", net, "--out", "a.h5").exit_code == 0
    assert command("validate", "a.h5").stdout == "ok\n"
    done = command("validate", net, "--set", "populations.exc.n=0", "--set", "seed=-1")
    assert done.exit_code == 2 and "net.toml: 2 problems\n" in done.stderr and done.stdout == ""
    with h5py.File("a.h5", "r+") as file:
        file["spikes/exc/timestamps"][-1] = 1e6
    done = command("validate", "a.h5")
    assert done.exit_code == 2 and "spikes of 'exc': must lie within 0 to 100 ms" in done.stderr


@pytest.mark.parametrize("name", ["info", "validate", "plot", "run"])
def test_bad_files(net, name):
    Path("text.h5").write_text("no HDF5")
    with h5py.File("foreign.h5", "w") as file:
        file["x"] = 1
    assert command("run", net, "--out", "whole.h5").exit_code == 0
    Path("cut.h5").write_bytes(Path("whole.h5").read_bytes()[:-5000])
    before = {p.name for p in Path().rglob("*")} | {"results"}
    for file in ("text.h5", "foreign.h5", "cut.h5", "none.h5"):
        done = command(name, file)
        assert done.exit_code == 2 and done.stderr.startswith(f"snn: error: {file}: "), (file, done.output)
        assert done.stdout == "" and "Traceback" not in done.output
    assert {p.name for p in Path().rglob("*")} | {"results"} == before


def test_export_spares_its_input(net):
    before = net.read_bytes()
    done = command("export", "nir", net, "--out", "net.toml", "--overwrite")
    assert done.exit_code == 2 and "net.toml: is the file that is read" in done.stderr and net.read_bytes() == before


def test_plot_of_no_record(net):
    done = command("plot", net)
    assert done.exit_code == 2 and "net.toml: is no HDF5 file. Give a record" in done.stderr
    assert "net.tom: no such file" in command("plot", "net.tom").stderr


def test_plot(net):
    assert command("run", net, "--out", "a.h5").exit_code == 0
    for kind in ("raster", "rates", "isi", "cv", "states"):
        done = command("plot", "a.h5", "--kind", kind)
        assert done.exit_code == 0 and done.stdout == f"a.{kind}.png\n", done.output
        assert Path(f"a.{kind}.png").stat().st_size > 2000
    assert command("plot", "a.h5", "--out", "b.pdf").exit_code == 0
    assert Path("b.pdf").read_bytes().startswith(b"%PDF")
    assert command("plot", "a.h5", "--kind", "stars").exit_code == 2
    assert command("plot", "a.h5", "--population", "inh").exit_code == 2
    assert not list(Path().glob("*.part"))


# --------------------------------------------------------------------------------------------------------- export

EXPORTED = """
[simulation]
duration = 50.0
dt = 1.0
[populations.stimulus]
n = 3
model = "SpikeArray"
times = [2.0, 5.0, 9.0]
ids = [0, 1, 2]
[populations.out]
n = 4
model = "CubaLIF"
params = {alpha = 0.5, beta = 0.875}
[[projections]]
source = "stimulus"
target = "out"
rule = "all_to_all"
weight = 0.6
delay = 1.0
"""


def test_export(tmp_path, monkeypatch):
    nir = pytest.importorskip("nir", reason="needs the extra nir")
    monkeypatch.chdir(tmp_path)
    Path("net.toml").write_text(EXPORTED)
    done = command("export", "nir", "net.toml")
    assert done.exit_code == 0, done.output
    graph = nir.read("results/net.nir")
    assert graph.metadata["dt"] == 1e-3 and "stimulus_to_out" in graph.nodes
    assert "1 Input, 1 CubaLIF, 1 Linear, 1 Output" in done.stdout
    assert "stimulus: was SpikeArray(" in done.stdout
    assert command("export", "nir", "net.toml").exit_code == 2
    assert command("export", "nir", "net.toml", "--overwrite", "--set", "simulation.dt=0.5").exit_code == 0
    assert nir.read("results/net.nir").metadata["dt"] == 5e-4
    done = command("export", "lava", "net.toml", "--out", "bundle")
    assert done.exit_code == 0 and Path("bundle/run_lava.py").exists() and "headroom" in done.stdout
    done = command("export", "report", "net.toml", "--chip", "loihi1")
    assert done.exit_code == 0 and "50 steps: 12 synaptic operations" in done.stdout
    assert "energy (davies2018)" in done.stdout
    done = command("export", "nir", "net.toml", "--out", "no.nir", "--set", "populations.out.params.reset=1")
    assert done.exit_code == 2 and "'out'.reset: must be 0" in done.stderr and not Path("no.nir").exists()
    assert command("export", "nir", "net.toml", "--out", "new/er/net.nir", "--check", "9").exit_code == 0
    assert "check" in nir.read("new/er/net.nir").metadata
    done = command("export", "nir", "net.toml", "--out", "new", "--overwrite")
    assert done.exit_code == 2 and "error: new: must be a file for NIR; it is a folder." in done.stderr
    assert Path("new/er/net.nir").exists()


@pytest.mark.parametrize(
    ("target", "option", "value"),
    [
        ("lava", "check", "10"), ("lava", "overwrite", None), ("report", "out", "rr.txt"), ("nir", "interval", "1"),
        ("sonata", "chip", "loihi2"), ("pynn", "chips", "1"),
    ],
)  # fmt: skip
def test_export_refuses_options_of_other_targets(target, option, value, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.toml").write_text(EXPORTED)
    done = command("export", target, "net.toml", f"--{option}", *([] if value is None else [value]))
    assert done.exit_code == 2 and f"error: --{option}: is for " in done.stderr and f"got {target}." in done.stderr
    assert [p.name for p in Path().iterdir()] == ["net.toml"]


def test_export_to_sonata_and_pynn(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.toml").write_text(EXPORTED)
    model = ("--set", "populations.out.model=LIFExp", "--set", "populations.out.params={}")
    done = command("export", "sonata", "net.toml", *model)
    assert done.exit_code == 0, done.output
    assert Path("results/net.sonata/circuit_config.json").exists() and "PointNet" in done.stdout
    done = command("export", "pynn", "net.toml", "--out", "script", *model)
    assert done.exit_code == 0, done.output
    assert Path("script/run_pynn.py").exists() and "run_pynn.py nest" in done.stdout
    done = command("export", "pynn", "net.toml", "--out", "other")
    assert done.exit_code == 2 and "'out'.model: must be one of LIFDelta" in done.stderr and not Path("other").exists()


# ---------------------------------------------------------------------------------------------- models, usage


def test_models_page_is_up_to_date():
    done = command("models", "--markdown")
    assert done.stdout == (ROOT / "docs" / "models.md").read_text("utf-8"), (
        "run: snn models --markdown > docs/models.md"
    )


def test_models():
    listed = [line.split() for line in command("models").stdout.splitlines()]
    assert {"LIFDelta", "STDPPair"} <= {line[0] for line in listed if line}
    for model in (*MODELS.values(), *RULES.values()):
        one = command("models", model.spec.name).stdout
        assert one == f"{model.spec.name}\n\n{model.__doc__}\n" and "Equations" in one
        for p in model.spec.params:
            assert f"{p.name} {p.default:.12g} {p.unit} {p.bounds()} {p.doc}".split() in listed
            default = re.escape(f"[{p.unit}], default {p.default:g}")
            assert re.search(rf"^    {p.name} : .*{default}", one, re.MULTILINE)
        assert all(r in one for r in model.spec.references)
    done = command("models", "LIFDlta")
    assert done.exit_code == 2 and done.stderr == "snn: error: models: no model 'LIFDlta'. Did you mean 'LIFDelta'?\n"


@pytest.mark.parametrize(
    ("args", "code"), [(["--help"], 0), (["run"], 2), (["rum"], 2), (["run", "a.toml", "--thread", "2"], 2), ([], 2)]
)
def test_usage(args, code):
    assert command(*args).exit_code == code


def test_as_a_process(net):
    """Entry point, exit codes and streams as a shell sees them."""
    call, more = process("--version")
    done = subprocess.run(call, **more)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"volley-snn {snn.__version__}\n", "")
    call, more = process("run", "none.toml")
    done = subprocess.run([sys.executable, "-m", "snn", *call[3:]], **more)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "snn: error: none.toml: no such file. Check the name.\n"


def test_start_is_light():
    """The command line loads none of what only some commands need."""
    heavy = ["matplotlib", "pydantic", "h5py", "pandas", "scipy.sparse", "snn.config", "snn.io.sonata"]
    call, more = process(code=f"import sys, snn.cli; print([m for m in {heavy} if m in sys.modules])")
    done = subprocess.run(call, **more)
    assert (done.stdout, done.stderr) == ("[]\n", "")
