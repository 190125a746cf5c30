"""Several MPI processes simulate one network: the same spikes, states and weights as one process, and a clean end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

import snn
from snn.io.merge import merge_files
from snn.io.sonata import read_result

MPIEXEC = shutil.which("mpiexec", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
pytest.importorskip("mpi4py", reason="needs mpi4py")
pytestmark = pytest.mark.skipif(MPIEXEC is None, reason="needs mpiexec")

ENV = os.environ | {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    "OMPI_MCA_mpi_yield_when_idle": "1",
    "OMP_NUM_THREADS": "1",
}

NETWORK = """
import numpy as np
import plasticity, snn

def network():
    net = snn.Network(seed=5)
    e = net.population("e", 240, snn.LIFExp(), init={"v": snn.uniform(-70.0, -52.0)}, positions=np.arange(240.0) / 240,
                       wrap=1.0)
    i = net.population("i", 57, snn.LIFExp(), positions=np.arange(57.0) / 57, wrap=1.0)
    d = net.population("d", 3, snn.Poisson(rate=50.0))
    for p in (e, i):
        net.input(f"to {p.name}", p, snn.Poisson(rate=8000.0), weight=80.0)
        net.record(p)
    net.record(e, "v", ids=[0, 7, 120, 200, 239], every=1.0)
    rule = plasticity.DopamineSTDP(w_max=200.0, a_plus=3.0, a_minus=3.0)
    net.connect(e, e, snn.fixed_indegree(20), weight=snn.uniform(40.0, 60.0), delay=2.5, plasticity=rule, name="ee",
                short_term=plasticity.TsodyksMarkram())
    net.modulate("ee", d, delay=2.0, value=0.2)
    net.record_weights("ee", every=20.0)
    net.connect(e, i, snn.pairwise_bernoulli(0.3), weight=20.0, delay=2.5)
    net.connect(i, e, snn.fixed_total_number(3000), weight=-200.0, delay=snn.normal(3.0, 0.5, low=2.0))
    net.connect(i, i, snn.fixed_outdegree(10), weight=-200.0, delay=2.0)
    for rule_ in (snn.fixed_indegree, snn.fixed_outdegree):
        near = rule_(5, multapses=False, p=snn.displacement(lambda dx: np.exp(-abs(dx) / 0.1)))
        net.connect(e, i, near, weight=snn.uniform(5.0, 15.0), delay=2.5, name=rule_.__name__)
    matrix = np.random.default_rng(1).uniform(0.0, 3.0, (240, 57))
    net.connect(e, i, snn.all_to_all(), weight=matrix, delay=2.0, name="matrix")
    net.connect(e, i, snn.fixed_indegree(9), weight=50.0, delay=2.5, axonal_delay=0.3, plasticity=rule, name="ei",
                short_term=plasticity.TsodyksMarkram())
    net.modulate("ei", value=np.linspace(0.2, 1.5, 57))
    net.connect(e[220:10:-3], i[5:50], snn.fixed_indegree(4), weight=20.0, delay=2.5, name="parts",
                plasticity=plasticity.STDPPair(w_max=snn.uniform(58.0, 65.0)),
                short_term=plasticity.TsodyksMarkram(u_se=snn.uniform(0.2, 0.8)))
    net.connect(e, i, snn.fixed_indegree(40), weight=5.0, delay=2.5, name="release", plasticity=plasticity.Static(),
                short_term=plasticity.QuantalSTP(n=3.0, u_se=snn.uniform(0.2, 0.8)))
    clopath = plasticity.Clopath(theta_minus=-70.0, theta_plus=-60.0, a_ltp=1e-3, a_ltd=1e-2, w_max=60.0)
    net.connect(i, e, snn.fixed_indegree(7), weight=10.0, delay=2.5, plasticity=clopath, name="voltage")
    net.record_weights("voltage", 20.0, "x")
    chance = plasticity.from_equations("Chance", "p = 0.4 : 1", bounds=(0, 60), on_pre="w -= rand() * (rand() < p)",
                                       on_post="w += randn()")
    net.connect(e, i, snn.fixed_indegree(6), weight=20.0, delay=2.5, name="chance", plasticity=chance())
    return net

def outcome(threads, comm):
    \"\"\"Everything that a rank is given, by name.\"\"\"
    sim, found = snn.Simulation(network(), threads=threads, comm=comm, quiet=True), {}
    for k, duration in enumerate((61.0, 40.0)):
        result = sim.run(duration)
        for p in "ei":
            found |= {f"{k} {p} times": result.spikes[p].times, f"{k} {p} ids": result.spikes[p].ids}
        found |= {f"{k} v": result.states["e"]["v"], f"{k} weights": result.weights["ee"][1]}
        sim.set_modulator("ee", 0.5)
        sim.set_weights("ee", np.linspace(30.0, 70.0, 4800))
        assert sim.rewire("ei", plasticity.SET(fraction=0.3, weight=55.0)) > 150
        assert sim.rewire("parts", plasticity.SET(fraction=0.3, weight=55.0)) == 54
        assert sim.rewire("release", plasticity.SET(fraction=0.3, weight=5.0)) > 600
        assert sim.rewire("chance", plasticity.SET(fraction=0.3, weight=20.0)) > 90
        found |= {f"{k} sites": sim.state("release", "a")}
        sim.set_modulator("ei", np.where(np.arange(57) < 30, 1.0, 0.5) if k == 0 else 0.3)
        found |= {f"{k} c": sim.state("ee", "c"), f"{k} u": sim.state("ee", "x"), f"{k} x": sim.state("voltage", "x")}
        found |= {f"{k} {name} of parts": sim.state("parts", name) for name in ("w_max", "u_se", "x")}
        found |= {f"{k} recorded": result.weights["voltage.x"][1]}
        sim.set_state("ee", "c", found[f"{k} c"][::-1].copy())
        sim.set_state("ei", "x", 0.9)
        sim.set_parameters("i", v_th=np.linspace(-58.0, -54.0, 57))
        sim.set_source("to e", snn.Poisson(rate=np.linspace(7000.0, 9000.0, 240)))
        sim.set_source("d", snn.Poisson(rate=90.0))
    for name in sim.net.projections:
        found |= {f"{name} {k}": part for k, part in enumerate(sim.connections(name))}
    found["v"] = sim.state("i", "v")
    found["targets held"] = sum(x.history.nbytes + x.trace.nbytes + x.sums.nbytes for x in sim.compiled.plastic)
    assert all(len(x.lists) == len(x.waiting) == threads for x in sim.compiled.plastic), "of other ranks' blocks too"
    found["edges held"] = sum(e.targets.size for e in [*sim.compiled.edges, *sim.compiled.learned])
    return found
"""

RANK = """
import sys
from mpi4py import MPI
comm = MPI.COMM_WORLD
np.savez(f"rank{comm.rank}.npz", **outcome(int(sys.argv[1]), comm))
"""


def mpi(ranks, *command, **options):
    """A started process of ``ranks`` ranks."""
    whole = [MPIEXEC, "-n", str(ranks), sys.executable, *map(str, command)]
    return subprocess.Popen(whole, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.fixture(scope="module")
def alone():
    """What one process finds; kernels are compiled then."""
    names = {}
    exec(NETWORK, names)
    found = names["outcome"](1, None)
    assert all(len(found[f"{k} {p} ids"]) > 150 for k in (0, 1) for p in "ei")
    assert np.ptp(found["0 weights"][-1] - found["0 weights"][0]) > 0.01
    assert np.ptp(found["0 c"]) > 0.01 and np.ptp(found["0 u"]) > 0.0 and np.ptp(found["0 x"]) > 0.0
    assert all(np.ptp(found[f"{name} 2"]) > 0.01 for name in ("ei", "voltage", "chance"))
    return found


@pytest.mark.parametrize(("ranks", "threads"), [(2, 1), (3, 2)])
def test_same_as_one_process(tmp_path, alone, ranks, threads):
    (tmp_path / "rank.py").write_text(NETWORK + RANK)
    process = mpi(ranks, "rank.py", threads, cwd=tmp_path)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    for rank in range(ranks):
        found = np.load(tmp_path / f"rank{rank}.npz")
        assert set(found) == set(alone)
        for name, expected in alone.items():
            if name.endswith("held"):
                assert found[name] < 0.7 * expected, "edges and what they learn by are held where their targets are"
            else:
                np.testing.assert_array_equal(found[name], expected, err_msg=name)


TOML = """
seed = 3
[simulation]
duration = DURATION
[populations.exc]
n = 400
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
indegree = 5
weight = 0.1
delay = 1.5
[[record]]
population = "exc"
[[record]]
population = "exc"
variable = "v"
ids = [0, 1]
every = 1.0
"""


def test_files_of_ranks_are_merged(tmp_path):
    (tmp_path / "net.toml").write_text(TOML.replace("DURATION", "200.0"))
    process = mpi(2, "-m", "snn", "run", "net.toml", "--out", "shared.h5", cwd=tmp_path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    files = sorted(tmp_path.glob("*.h5"))
    assert [f.name for f in files] == ["shared.rank0.h5", "shared.rank1.h5"]
    assert "2 files like" in err
    subprocess.run([sys.executable, "-m", "snn", "run", "net.toml", "--out", "alone.h5"], cwd=tmp_path, check=True)
    command = [sys.executable, "-m", "snn", "merge", *(f.name for f in files), "--out", "merged.h5"]
    subprocess.run(command, cwd=tmp_path, check=True)
    alone, merged = read_result(tmp_path / "alone.h5"), read_result(tmp_path / "merged.h5")
    assert f"{len(alone.spikes['exc']):,}" in out, "the table counts the spikes of all ranks"
    for part in ("times", "ids"):
        np.testing.assert_array_equal(getattr(alone.spikes["exc"], part), getattr(merged.spikes["exc"], part))
    np.testing.assert_array_equal(alone.states["exc"]["v"], merged.states["exc"]["v"])
    assert merged.complete and merged.t_stop == 200.0
    with pytest.raises(ValueError, match=r"one of 2 ranks' files; got 1\. Give each of them once"):
        merge_files(files[:1], tmp_path / "half.h5")
    assert not (tmp_path / "half.h5").exists()


def test_killed_rank_ends_the_job(tmp_path):
    (tmp_path / "net.toml").write_text(TOML.replace("DURATION", "1e7"))
    process = mpi(2, "-m", "snn", "run", "net.toml", "--out", "out.h5", cwd=tmp_path)
    parts = [tmp_path / f"out.rank{rank}.h5.part" for rank in (0, 1)]
    deadline = time.monotonic() + 300

    def flushed(part):
        with suppress(snn.FormatError):  # not there yet, or being made
            return read_result(part).t_stop > 0
        return False

    while not all(map(flushed, parts)):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    ranks = [int(child) for child in children.stdout.split()]
    os.kill(max(ranks), signal.SIGKILL)
    killed = time.monotonic()
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - killed < 30 and process.returncode != 0
    assert "rank 1" in err.lower(), err
    for part in parts:
        result = read_result(part)
        assert not result.complete and result.t_stop > 0 and len(result.spikes["exc"]) > 0


def test_error_of_one_rank_reaches_all(tmp_path):
    (tmp_path / "net.toml").write_text(TOML.replace("DURATION", "100.0"))
    (tmp_path / "out.rank1.h5").write_text("in the way")
    process = mpi(2, "-m", "snn", "run", "net.toml", "--out", "out.h5", cwd=tmp_path)
    _, err = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "rank 1 of 2 ended the run" in err and "out.rank1.h5" in err
    assert (tmp_path / "out.rank1.h5").read_text() == "in the way"


APART = """
from mpi4py import MPI
comm = MPI.COMM_WORLD
k = comm.rank // 2  # the last rank differs

def small(n=12, weight=150.0, seed=1, record=True):
    net = snn.Network(seed=seed)
    p = net.population("p", n, snn.LIFExp(i_e=400.0), positions=np.linspace(0.0, 1.0, n)[:, None])
    net.connect(p, p, snn.all_to_all(), weight=weight, delay=1.0)
    net.connect(p, p, snn.distance_dependent(lambda d: np.exp(-d)), weight=1.0, delay=1.0, name="near")
    if record:
        net.record(p)
    return net

other = {"n": {"n": 12 + k}, "seed": {"seed": 1 + k}, "number": {"weight": 150.0 + k}, "record": {"record": k == 0},
         "array": {"weight": np.arange(144.0).reshape(12, 12)[:: 1 - 2 * k]}, "dt": {}}
calls = {
    "run": lambda sim: sim.run(10.0 + k),
    "state": lambda sim: sim.set_state("p", "v", np.linspace(-70.0, -60.0 - k, 12)),
    "one call": lambda sim: sim.set_parameters("p", i_e=300.0) if k else sim.run(5.0),
    "nothing": lambda sim: sim.run(1.0),
}
for case in [*other, *calls]:
    said = "nothing was said"
    try:
        sim = snn.Simulation(small(**other.get(case, {})), dt=0.2 if case == "dt" and k else 0.1, comm=comm, quiet=True)
        calls[case](sim)
    except snn.ModelError as error:
        said = str(error)
    said = comm.allgather(said)
    if comm.rank == 0:
        print(case, "|", said[0] if len(set(said)) == 1 else said)
"""


def test_ranks_that_part_are_refused(tmp_path):
    (tmp_path / "apart.py").write_text(NETWORK + APART)
    out, err = (process := mpi(3, "apart.py", cwd=tmp_path)).communicate(timeout=300)
    assert process.returncode == 0, err
    for case, said in (
        ("n", "rank 2 has another than rank 0 (populations.p.n: 12 on rank 0, 13 on rank 2"),
        ("seed", "(seed: 1 on rank 0, 2 on rank 2)"),
        ("number", "(projections.p->p.weight: 150.0 on rank 0, 151.0 on rank 2)"),
        ("record", "rank 2 has another than rank 0 (values of arrays, or what is recorded)"),
        ("array", "rank 2 has another than rank 0 (projections.p->p.weight: "),
        ("dt", "(dt: 0.1 on rank 0, 0.2 on rank 2)"),
        ("run", "Simulation.run: all ranks must make the same calls with the same arguments; rank 2 gave it others."),
        ("state", "Simulation.set_state: all ranks must make the same calls"),
        ("one call", "with the same arguments; rank 2 called set_parameters."),
        ("nothing", "nothing was said"),
    ):
        assert said in out.split(f"{case} | ")[1].split(" | ")[0], out


STATE = """
def proceed(sim):
    sim.rewire("ee", plasticity.SET(fraction=0.05, weight=50.0))
    result = sim.run(40.0)
    found = {f"{p} {k}": getattr(result.spikes[p], k) for p in "ei" for k in ("times", "ids")}
    return found | {"v": result.states["e"]["v"], "weights": sim.connections("ee")[2],
                    "ei": sim.connections("ei")[2], "to": sim.connections("ee")[1],
                    "voltage": sim.connections("voltage")[2], "state": sim.state("i", "v")}
"""
STATE_RANK = """
import sys
from pathlib import Path
from mpi4py import MPI
comm, (action, threads) = MPI.COMM_WORLD, sys.argv[1:]
if action == "begin":
    sim = snn.Simulation(network(), threads=int(threads), comm=comm, quiet=True)
    sim.run(33.3)
    sim.set_modulator("ee", 0.3)
    sim.set_parameters("e", tau_m=np.linspace(8.0, 12.0, 240))
    sim.set_source("to i", snn.Poisson(rate=7000.0))
else:
    sim = snn.Simulation.resume("state.h5", network(), threads=int(threads), comm=comm, quiet=True)
    found = proceed(sim)
    if comm.rank == 0:
        np.savez(f"{action}.npz", **found)
sim.checkpoint("state.h5")
if action == "three":  # as a job that was killed while it renamed leaves them
    file = Path(f"state.rank{comm.rank}.h5")
    file.rename(f"{file}.next")
"""


def test_checkpoints_of_any_number_of_ranks(tmp_path, monkeypatch):
    (tmp_path / "state.py").write_text(NETWORK + STATE + STATE_RANK)
    monkeypatch.chdir(tmp_path)

    def ranks(number, action, threads):
        _, err = (process := mpi(number, "state.py", action, threads, cwd=tmp_path)).communicate(timeout=300)
        assert process.returncode == 0, err

    def same(found, expected):
        for name, array in expected.items():
            np.testing.assert_array_equal(found[name], array, err_msg=name)

    names = {}
    exec(NETWORK + STATE, names)
    network, proceed = names["network"], names["proceed"]
    straight = names["snn"].Simulation(network(), threads=1, quiet=True)
    straight.run(33.3)
    straight.set_modulator("ee", 0.3)
    straight.set_parameters("e", tau_m=np.linspace(8.0, 12.0, 240))
    straight.set_source("to i", names["snn"].Poisson(rate=7000.0))
    ranks(2, "begin", 1)
    ranks(3, "three", 2)
    expected = proceed(straight)
    assert expected["e ids"].size > 50
    same(np.load("three.npz"), expected)
    alone = names["snn"].Simulation.resume("state.h5", network(), threads=1, quiet=True)
    same(proceed(alone), proceed(straight))
    alone.checkpoint("state.h5")
    for file in tmp_path.glob("state.rank*"):
        file.unlink()
    ranks(2, "two", 2)
    same(np.load("two.npz"), proceed(straight))
    (tmp_path / "state.h5").unlink()
    (tmp_path / "state.rank1.h5").unlink()
    with pytest.raises(ValueError, match=r"state\.rank1\.h5: no such file; the checkpoint is of 2 ranks"):
        names["snn"].Simulation.resume("state.h5", network())


def test_stopped_job_goes_on(tmp_path):
    (tmp_path / "net.toml").write_text(TOML.replace("DURATION", "3000.0"))
    options = ("--checkpoint", "state.h5", "--every", "100", "--quiet")
    process = mpi(2, "-m", "snn", "run", "net.toml", "--out", "out.h5", *options, cwd=tmp_path)
    deadline = time.monotonic() + 300
    while not (tmp_path / "state.rank1.h5").exists():
        assert time.monotonic() < deadline and process.poll() is None, process.communicate()
        time.sleep(0.05)
    children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
    os.kill(int(children.stdout.split()[-1]), signal.SIGTERM)  # one rank hears it, all stop
    _, err = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM and "Go on with snn resume" in err, err
    assert {p.name for p in tmp_path.glob("*.h5.part")} == {"out.rank0.h5.part", "out.rank1.h5.part"}
    process = mpi(2, "-m", "snn", "resume", "state.h5", cwd=tmp_path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0 and "ms; in" not in out, err
    subprocess.run([sys.executable, "-m", "snn", "run", "net.toml", "--out", "alone.h5"], cwd=tmp_path, check=True)
    merged = merge_files(sorted(tmp_path.glob("out.rank?.h5")), tmp_path / "merged.h5")
    alone = read_result(tmp_path / "alone.h5")
    np.testing.assert_array_equal(alone.spikes["exc"].times, merged.spikes["exc"].times)
    np.testing.assert_array_equal(alone.spikes["exc"].ids, merged.spikes["exc"].ids)
    np.testing.assert_array_equal(alone.states["exc"]["v"], merged.states["exc"]["v"])
