"""``snn sweep`` and ``snn.sweep``, run: nothing lost, nothing twice, in processes, Dask, MPI and a SLURM script.

The networks run on the reference backend, which compiles nothing.
"""

import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import snn
from kernels.errors import ConfigError
from snn.cli import app
from snn.io.sonata import read_result, read_spikes
from snn.sweeps import Range, read_summary
from snn.sweeps.points import claim

ROOT = Path(__file__).parents[2]

NET = """
seed = 7
[simulation]
duration = 100.0
dt = 1.0
backend = "reference"
[populations.exc]
n = 5
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
rule = "all_to_all"
weight = 0.5
delay = 1.5
"""
SWEEP = """
experiment = "net.toml"
out = "sweep"
measures = ["rate", "spikes", "active"]
repetitions = 2
[[parameters]]
key = "inputs.noise.rate"
low = 6000.0
high = 12000.0
num = 3
[[parameters]]
key = "populations.exc.params.tau_m"
values = [10.0, 20.0]
[executor]
workers = 2
"""
FUNCTION = """
import os, time
def f(x, y, seed, folder):
    assert folder.is_dir()
    if x == 2 and y == "dies":
        os._exit(9)
    if x == 3:
        raise ValueError("x is 3")
    if x == 5:
        raise SystemExit("x is 5")
    if x == 6:
        raise KeyboardInterrupt
    return {"double": 2.0 * x, "seed": seed % 1000, "parts": {"a": 1}}
"""


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The folder of a sweep of the files above."""
    place = tmp_path_factory.mktemp("straight")
    (place / "net.toml").write_text(NET)
    (place / "sweep.toml").write_text(SWEEP)
    done = command(place / "sweep.toml")
    assert done.exit_code == 0, done.output
    assert "12 points: 12 done, 0 failed" in done.stdout and "12.0/12 points" in done.stderr
    return place / "sweep"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])))
    Path("net.toml").write_text(NET)
    Path("sweep.toml").write_text(SWEEP)
    return tmp_path


def command(*args):
    return CliRunner().invoke(app, ["sweep", *map(str, args)])


def started(*args, **more):
    return subprocess.Popen([sys.executable, "-m", "snn", "sweep", *map(str, args)], stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **more)  # fmt: skip


def logged(root="sweep"):
    """How often each point was begun and ended."""
    return {
        p.parent.name: [line.split()[3] for line in p.read_text().splitlines()]
        for p in sorted(Path(root).glob("points/*/log"))
    }


def same(first, second):
    assert list(first.columns) == list(second.columns)
    for name in first.columns:
        np.testing.assert_array_equal(first[name], second[name], err_msg=name)
    return True


def test_sweep(straight, folder):
    """Points are those of the file, run as ``snn run`` would; a second call adds what is new and repeats nothing."""
    shutil.copytree(straight, "sweep")  # also a folder that was moved goes on
    summary = read_summary("sweep")
    assert len(summary) == 12 and set(summary["status"]) == {"done"} and summary["rate.exc"].max() > 10.0
    row = 7
    name, seed = summary["point"][row], summary["seed"][row]
    assert (summary["inputs.noise.rate"][row], summary["repetition"][row]) == (9000.0, 1)
    overrides = {"inputs.noise.rate": 9000.0, "populations.exc.params.tau_m": 20.0, "seed": int(seed)}
    net = snn.config.load("net.toml", overrides).network()
    alone = snn.Simulation(net, 1.0, backend="reference").run(100.0).spikes["exc"]
    record = read_spikes(f"sweep/points/{name}/record.h5")["exc"]
    np.testing.assert_array_equal(record.times, alone.times)
    assert summary["rate.exc"][row] == alone.rate() and summary["spikes.exc"][row] == len(alone) > 0
    assert Path(f"sweep/points/{name}/configuration.json").exists()

    assert set(map(tuple, logged().values())) == {("start", "done")}
    Path("sweep.toml").write_text(SWEEP.replace("10.0, 20.0", "20.0, 10.0, 30.0").replace("repetitions = 2", ""))
    assert "9 points: 9 done" in command("sweep.toml", "--quiet", "--workers", "1").stdout
    assert len(logged()) == 15 and set(map(tuple, logged().values())) == {("start", "done")}
    before = {p: p.stat().st_mtime_ns for p in Path("sweep").rglob("record.h5")}
    Path("sweep.toml").write_text(SWEEP.replace('"active"', '"cv"'))  # measured anew, not run again
    assert "12 points: 12 done" in command("sweep.toml", "--quiet", "--workers", "1").stdout
    assert "cv.exc" in read_summary("sweep").columns
    assert before == {p: p.stat().st_mtime_ns for p in Path("sweep").rglob("record.h5")}


def test_pandas_reads_the_table(straight):
    pandas = pytest.importorskip("pandas")
    with h5py.File(straight / "summary.h5") as file:
        raw = pandas.DataFrame({name: data[:] for name, data in file["columns"].items()})
    frame = read_summary(straight).to_pandas()
    assert list(raw) == list(frame) and raw["rate.exc"].equals(frame["rate.exc"])
    assert frame["status"].tolist() == ["done"] * 12 and frame["seed"].dtype == np.int64


def test_killed_and_two_tasks_at_a_time(folder):
    """Killed with its processes, then run by the two tasks of a SLURM array at once (the script is run by bash): each
    point once to its end, as in a straight run.
    """
    slurm = '\n[slurm]\ntasks = 2\noptions = {time = "00:10:00", mem = "2G"}\nsetup = ["export FROM_SETUP=1"]\n'
    Path("sweep.toml").write_text(SWEEP.replace("repetitions = 2", "") + slurm)
    Path("net.toml").write_text(NET.replace("duration = 100.0", "duration = 2000.0"))
    first = started("sweep.toml", "--quiet", start_new_session=True)
    end = time.monotonic() + 300
    while sum("done" in x for x in logged().values()) < 1 or not list(Path("sweep").rglob("record.h5.part")):
        assert time.monotonic() < end and first.poll() is None
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.communicate()
    cut = logged()
    assert any(x == ["start"] for x in cut.values())
    assert command("sweep.toml", "--slurm").exit_code == 0
    text = Path("sweep/sweep.sbatch").read_text()
    assert "#SBATCH --array=0-1\n" in text and "#SBATCH --time=00:10:00\n" in text and "\nexport FROM_SETUP=1\n" in text
    tasks = [
        subprocess.Popen(["bash", "sweep/sweep.sbatch"], env={**os.environ, "SLURM_ARRAY_TASK_ID": str(k)})
        for k in range(2)
    ]
    assert [task.wait(timeout=300) for task in tasks] == [0, 0]
    ended = logged()
    assert len(ended) == 6 and all(x.count("done") == 1 for x in ended.values())
    assert all(x == ["start", "done"] for k, x in ended.items() if cut.get(k) != ["start"])
    assert not list(Path("sweep").rglob("*.part"))
    assert command("sweep.toml", "--quiet", "--workers", "1", "--out", "straight").exit_code == 0
    assert same(read_summary("sweep"), read_summary("straight"))


def test_functions_fail_and_die(folder, monkeypatch):
    """What raises is listed with its error; a process that dies takes no other point with it; retried on request."""
    monkeypatch.syspath_prepend(folder)
    (folder / "mine_to_sweep.py").write_text(FUNCTION)
    import mine_to_sweep

    def sweep(workers=2, x=(1, 2, 3, 4), **more):
        parameters = {"x": list(x), "y": ["lives", "dies"]}
        return snn.sweep(mine_to_sweep.f, parameters, "out", workers=workers, seed=1, **more)

    found = sweep()
    status = {(x, y): s for x, y, s in zip(found["x"], found["y"], found["status"], strict=True)}
    assert [k for k, s in status.items() if s != "done"] == [(2, "dies"), (3, "lives"), (3, "dies")]
    assert sorted(set(found.failures().values()))[0] == "ValueError: x is 3"
    assert any("the process died" in error for error in found.failures().values())
    done = found["status"] == "done"
    assert found["double"][done].tolist() == [2.0, 2.0, 4.0, 8.0, 8.0] and np.isnan(found["double"][~done]).all()
    np.testing.assert_array_equal(found["measure seed"][done], found["seed"][done] % 1000)
    assert found["parts.a"][done].tolist() == [1.0] * 5
    before = logged("out")
    assert same(sweep(), found) and logged("out") == before
    (folder / "mine_to_sweep.py").write_text(FUNCTION.replace("x == 3", "x == 7").replace("x == 2", "x == 7"))
    assert sweep(1, retry=True).count("done") == 8
    assert sum(len(x) for x in logged("out").values()) == sum(map(len, before.values())) + 3 * 2
    found = sweep(1, (5, 4))  # SystemExit is an error like others
    assert found["status"].tolist() == ["failed", "failed", "done", "done"]
    assert set(found.failures().values()) == {"SystemExit: x is 5"}
    with pytest.raises(KeyboardInterrupt):  # as if the user had pressed Ctrl-C: nothing has failed
        sweep(1, (6,))
    assert ["start", "stopped"] in logged("out").values()
    assert not [p for p in Path("out").glob("points/*/failed.json") if "Keyboard" in p.read_text()]


MINE = """
def two(result):
    return 2.0
def error(result):
    return {"a/b": 3.0}
def clash(x, error):
    return {"error": x, "parameter error": 2.0 * x, "a/b": 3.0 * x, "a:b": 4.0 * x}
def here(x):
    return __name__
"""


def test_no_column_hides_another(folder, monkeypatch):
    """Names that are taken, also in the file, where "/" is ":"; numbers that no integer of the table holds."""
    monkeypatch.syspath_prepend(folder)
    (folder / "mine_to_clash.py").write_text(MINE)
    import mine_to_clash

    found = snn.sweep(mine_to_clash.clash, {"x": [1, 2], "error": [5, 2**70]}, "out", workers=1)
    assert list(found.columns)[4:] == [
        "x", "parameter error", "measure error", "measure parameter error", "a/b", "measure a:b", "error",
    ]  # fmt: skip
    assert found["measure error"].tolist() == [1.0, 1.0, 2.0, 2.0] and found["measure a:b"].tolist() == [4, 4, 8, 8]
    assert found["parameter error"].tolist() == [5.0, 2.0**70] * 2 and set(found["error"]) == {""}
    assert same(read_summary("out"), found)
    info = CliRunner().invoke(app, ["info", "out/summary.h5"]).stdout.splitlines()
    assert info[0] == "4 points: 4 done, 0 failed" and len(info) == 7 and "measure a:b" in info[2]
    assert CliRunner().invoke(app, ["validate", "out/summary.h5"]).stdout == "ok\n"


def test_functions_are_told_apart_by_their_modules(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    for k, name in enumerate(("mine_of_one", "mine_of_two")):
        (folder / f"{name}.py").write_text(MINE.replace("2.0", f"{k}.0").replace("return __name__", f"return {k}"))
    import mine_of_one
    import mine_of_two

    for k, module in enumerate((mine_of_one, mine_of_two)):
        assert snn.sweep(module.here, {"x": [1]}, "out", workers=1)["value"].tolist() == [k]
        found = snn.sweep("net.toml", {"seed": [3]}, "net", measures=[module.two, module.error], workers=1)
        assert found["two"].tolist() == [k] and found["error.a/b"].tolist() == [3.0]
    assert len(logged("net")) == 1
    with pytest.raises(snn.ConfigError, match=r"sweep.measures: names must differ; got two twice"):
        snn.sweep("net.toml", {"seed": [3]}, "net", measures=[mine_of_one.two, mine_of_two.two])


def test_a_sweep_of_no_time(folder):
    Path("net.toml").write_text(
        NET + '[[record]]\npopulation = "exc"\nvariable = "v"\n[[record]]\npopulation = "exc"\n'
    )
    found = snn.sweep("net.toml", {"simulation.duration": [0.0]}, "out", measures=list(snn.sweeps.MEASURES), workers=1)
    assert found["status"].tolist() == ["done"], found.failures()
    again = snn.sweep("net.toml", {"simulation.duration": [0.0]}, "out", measures=["mean", "rate", "active"], workers=1)
    assert np.isnan(again["mean.exc.v"]).all()
    point = read_result("out/points/" + found["point"][0] + "/record.h5")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for measure in snn.sweeps.MEASURES.values():
            measure(point)


def test_equal_draws_are_said(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    (folder / "mine_to_draw.py").write_text(MINE.replace("__name__", "x"))
    import mine_to_draw

    with pytest.warns(UserWarning, match=r"sweep.n: \d of 6 points are equal to others, and left out"):
        found = snn.sweep(mine_to_draw.here, {"x": Range(1, 3, integer=True)}, "out", method="random", n=6, workers=1)
    assert len(found) <= 3


def test_validate_and_info_know_a_sweep(folder):
    def snn_(*args):
        return CliRunner().invoke(app, list(args))

    assert snn_("validate", "sweep.toml").stdout == "ok\n"
    assert "sweep.toml: sweep of net.toml at 12 points, into" in snn_("info", "sweep.toml").stdout
    assert "--set is for TOML files of experiments" in snn_("validate", "sweep.toml", "--set", "n=1").stderr
    Path("sweep.toml").write_text(SWEEP.replace('rate"\nlow', 'rat"\nlow'))
    done = snn_("validate", "sweep.toml")
    assert done.exit_code == 2 and "inputs.noise.rat: no such key" in done.stderr
    assert not Path("sweep").exists() and not Path("results").exists()


@pytest.mark.parametrize("option", ["--workers", "--threads"])
def test_none_is_no_number_of_workers(folder, option):
    done = command("sweep.toml", option, "0")
    assert done.exit_code == 2 and f"sweep.{option[2:]}: must be an integer >= 1; got 0" in done.stderr
    assert not Path("sweep").exists()


def test_a_claimed_point_is_left_alone(folder):
    Path("sweep.toml").write_text(SWEEP.replace("num = 3", "num = 2").replace("repetitions = 2", ""))
    from snn.sweeps.file import read_sweep

    _, plan = read_sweep(Path("sweep.toml"), None, False)
    mine = Path("sweep/points") / plan.points[2].name
    mine.mkdir(parents=True)
    with claim(mine) as note:
        assert note is not None
        with claim(mine) as second:
            assert second is None
        assert "(1 of them running)" in command("sweep.toml", "--status").stdout
        done = command("sweep.toml", "--quiet", "--workers", "1")
        assert "4 points: 3 done, 0 failed, 1 still run by another sweep" in done.stdout
    assert "4 points: 3 done, 0 failed, 1 waiting\n" == command("sweep.toml", "--status").stdout


def test_status_runs_no_code(folder):
    Path("mine.py").write_text("raise SystemExit('ran')\n")
    experiment = next(Path().glob("*.toml"), None)
    text = Path("sweep.toml").read_text()
    name = text.split('experiment = "')[1].split('"')[0]
    Path(name).write_text('models = ["mine.py"]\n' + Path(name).read_text())
    done = command("sweep.toml", "--status")
    assert done.exit_code == 0 and "12 points: 0 done, 0 failed, 12 waiting\n" == done.stdout, (experiment, done.stderr)
    assert "would run" in command("sweep.toml").stderr


def test_slurm_options(folder):
    for bad in ('{array = "0-9"}', '{"mem\\nx" = 3}', '{mem = "a\\nb"}'):
        Path("bad.toml").write_text(SWEEP + f"[slurm]\ntasks = 2\noptions = {bad}\n")
        assert "must be an option of sbatch other than array" in command("bad.toml", "--slurm").stderr
    assert "[slurm] is missing" in command("sweep.toml", "--slurm").stderr
    assert not Path("sweep/sweep.sbatch").exists()


def test_dask(straight, folder):
    pytest.importorskip("distributed", reason="needs the extra dask")
    assert command("sweep.toml", "--quiet", "--workers", "1", "--on", "dask", "--out", "dask").exit_code == 0
    assert same(read_summary("dask"), read_summary(straight))


def test_mpi(straight, folder):
    pytest.importorskip("mpi4py", reason="needs the extra mpi")
    mpiexec = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if mpiexec is None:
        pytest.skip("no mpiexec")
    more = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }
    run = [mpiexec, "-n", "2", sys.executable, "-m", "mpi4py.futures", "-m", "snn", "sweep", "sweep.toml", "--quiet"]
    done = subprocess.run(
        [*run, "--on", "mpi", "--out", "mpi"], env={**os.environ, **more}, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert same(read_summary("mpi"), read_summary(straight))
    assert "mpiexec -n N python -m mpi4py.futures" in command("sweep.toml", "--on", "mpi", "--out", "more").stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate\"\nlow", "rat\"\nlow", "inputs.noise.rat: no such key"),
        ("inputs.noise.rate", "inputs.nois.rate", "no 'nois' in inputs"),
        ("low = 6000.0", "low = 60000.0", "parameters.0.high: must be > low"),
        ("low = 6000.0", "values = [1.0]", "parameters.0: must have either values, or low and high"),
        ("high = 12000.0", "", "parameters.0: needs values, or low and high"),
        ("num = 3", "number = 3", "parameters.0.number: no such key. Did you mean 'num'"),
        ("num = 3", "", "parameter inputs.noise.rate: Range.num: is missing"),
        ('"spikes"', '"spike"', "sweep.measures: no measure 'spike'. Did you mean 'spikes'"),
        ("net.toml", "none.toml", "none.toml: no such file"),
        ('out = "sweep"', 'out = "../sweep"', 'must lie in the folder of the file or below; got "../sweep". Use --out'),
        ("repetitions = 2", 'method = "sobol"', 'method: must be "grid", "zip", "random" or "lhs"; got \'sobol\''),
        ("workers = 2", "workers = 0", "executor.workers: must be >= 1; got 0"),
        ("[executor]", '[[parameters]]\nkey = "inputs.noise.rate"\nvalues = [1.0]\n[executor]',
         "parameters.2.key: inputs.noise.rate is given twice"),
    ],
)  # fmt: skip
def test_bad_files(folder, old, new, message):
    assert old in SWEEP
    Path("sweep.toml").write_text(SWEEP.replace(old, new))
    done = command("sweep.toml")
    assert done.exit_code == 2 and message in done.stderr and "Traceback" not in done.output, done.stderr
    assert not Path("sweep").exists() and not Path("results").exists()


def test_bad_calls(folder):
    def inner(x):
        return x

    for what, more, message in (
        (inner, {}, "must be defined in a module by name"),
        (shutil.copy, {"parameters": {"src": [1], "dst": [2]}, "measures": ["nonsense"]}, "measures: are of records"),
        ("net.toml", {"parameters": {"output.file": ["a.h5", "b.h5"]}}, "parameter output.file: [output] is not used"),
        ("net.toml", {"measures": [functools.partial(len)]}, "sweep.measures: a measure must be defined in a module"),
        ("net.toml", {"measures": [lambda r: 1.0]}, "sweep.measures: a measure must be defined in a module"),
        (np.sin, {}, "sin cannot be called with these parameters"),
        (shutil.copy, {"parameters": {"source": [1]}}, "copy cannot be called with these parameters"),
        ("net.toml", {"on": "threads"}, "sweep.on: must be one of processes, dask, mpi; got 'threads'"),
        ("net.toml", {"workers": 0}, "sweep.workers: must be an integer >= 1; got 0"),
        ("net.toml", {"address": "tcp://x"}, 'sweep.address: is that of a Dask scheduler, for on="dask"'),
        ("net.toml", {"out": "net.toml"}, "sweep.out: must be a folder; net.toml is a file"),
    ):
        arguments = {"parameters": {"inputs.noise.rate": Range(1.0, 2.0, num=2)}, "out": "out"} | more
        with pytest.raises(snn.SimError, match=re.escape(message)):
            snn.sweep(what, **arguments)
    with pytest.raises(snn.FormatError, match="must be a table of format|no such file"):
        read_summary(folder)


def test_the_example_of_the_documentation():
    """The file in docs/sweeps.md, as text, is one that is accepted, and so is the example on disk."""
    from snn.sweeps.file import SweepTable, read_sweep
    from snn.tables import check

    text = re.search(r"```toml\n(.*?)```", (ROOT / "docs" / "sweeps.md").read_text("utf-8"), re.S)[1]
    table = check(SweepTable, snn.config.tomllib.loads(text))
    assert [len(axis.key) for axis in table.parameters] == [2, 2]
    _, plan = read_sweep(ROOT / "scripts" / "examples" / "brunel_sweep.toml", None, False)
    assert len(plan.points) == 200


def test_values_that_are_wrong_beyond_the_first_point_are_said_before_anything_runs(folder):
    """dt = 0.4 does not divide the interval of a record; it comes second."""
    Path("net.toml").write_text(NET + '[[record]]\npopulation = "exc"\nvariable = "v"\nevery = 1.0\n')
    Path("dt.toml").write_text('experiment = "net.toml"\nout = "dt"\nrepetitions = 3\n[[parameters]]\n'
                               'key = "simulation.dt"\nvalues = [0.5, 0.4, 0.3]\n')  # fmt: skip
    text = r"at 2 of 3 combinations of values, first simulation\.dt = 0\.4: [^§]*every: must be a multiple of dt = 0\.4"
    for words in (("validate", "dt.toml"), ("sweep", "dt.toml"), ("sweep", "dt.toml", "--slurm")):
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 2 and not Path("dt").exists()
        assert words[-1] == "--slurm" or re.search(text, " ".join(done.stderr.split())), done.stderr
    with pytest.raises(ConfigError, match=text):
        snn.sweep("net.toml", {"simulation.dt": [0.5, 0.4, 0.3]}, "dt")
    assert not Path("dt").exists()
