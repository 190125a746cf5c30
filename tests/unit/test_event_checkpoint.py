"""Checkpoint and resume: what follows equals the straight run, bit for bit, in both engines, in another process too."""

import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import BackendUnavailable, FormatError
from snn.io import checkpoint
from snn.io.sonata_file import OutputError

CUT, END = 20.37, 50.0  # in the middle of a window of the event engine


def network(engine="event", seed=2, n=60):
    net = snn.Network(seed=seed)
    exc = net.population("exc", n, snn.LIFExp(i_e=snn.uniform(100.0, 300.0)), init={"v": snn.uniform(-70.0, -56.0)})
    inh = net.population("inh", 20, snn.LIFDelta())
    source = net.population("source", 10, snn.Poisson(rate=200.0))
    net.input("noise", exc, snn.Poisson(rate=800.0), weight=150.0)
    net.input("noise inh", inh, snn.Poisson(rate=np.linspace(0.0, 3000.0, 20), start=3.0), weight=3.0)
    net.input("step", exc, snn.StepCurrent([50.0, 0.0], times=[10.0, 30.0]))
    net.input("given", inh, snn.SpikeArray([5.0, 20.4, 30.2], [0, 1, 2]), weight=20.0)
    net.connect(exc, inh, snn.fixed_indegree(10), weight=snn.uniform(0.5, 2.0), delay=snn.uniform(0.9, 8.0))
    net.connect(inh, exc, snn.fixed_indegree(5), weight=-100.0, delay=1.5)
    net.connect(source, exc, snn.fixed_indegree(3), weight=200.0, delay=snn.uniform(1.0, 3.0))
    rule, short = plasticity.DopamineSTDP(w_max=200.0, a_plus=9.0, a_minus=9.0), plasticity.TsodyksMarkram(tau_fac=50.0)
    more = {"name": "plastic", "plasticity": rule, "short_term": short}
    net.connect(exc, exc, snn.fixed_indegree(5), weight=50.0, delay=snn.uniform(1.0, 4.0), **more)
    net.modulate("plastic", inh, delay=2.0)
    release = plasticity.QuantalSTP(n=4.0, u_se=snn.uniform(0.2, 0.8), tau_fac=50.0)
    net.connect(source, exc, snn.fixed_indegree(15), weight=20.0, delay=1.5, name="release", short_term=release)
    if engine == "clock":
        net.input("ou", exc, snn.OrnsteinUhlenbeck(0.0, 20.0))
        net.input("white", inh, snn.NoiseCurrent(0.0, 20.0))
    for p in (exc, inh, source):
        net.record(p)
    net.record(exc, "v", ids=[0, 7], every=0.5)
    return net


def joined(results):
    """Everything that was recorded."""
    spikes = [np.concatenate([getattr(r.spikes[p], k) for r in results])
              for p in results[0].spikes for k in ("times", "ids")]  # fmt: skip
    return [*spikes, np.concatenate([r.states["exc"]["v"] for r in results])]


def simulate(engine, threads):
    return snn.Simulation(network(engine), engine=engine, threads=threads, quiet=True)


@pytest.mark.parametrize(("threads", "then"), [(1, 1), (1, 2), (2, 3), (3, 1)])
@pytest.mark.parametrize("engine", ["clock", "event"])
def test_resumed_run_equals_straight_run(tmp_path, engine, threads, then):
    straight = simulate(engine, threads)
    whole = joined([straight.run(END)])
    sim = simulate(engine, threads)
    first = sim.run(CUT)
    sim.checkpoint(tmp_path / "state.h5")
    sim.run(5.0)  # what follows the checkpoint does not change it
    again = snn.Simulation.resume(tmp_path / "state.h5", network(engine), threads=then, quiet=True)
    assert again.threads == then
    assert again.t == pytest.approx(CUT, abs=0.051)
    parts = joined([first, again.run(END - again.t)])
    assert len(whole[0]) > 100
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one, other)
    for p, v in (("exc", "i_ex"), ("inh", "v")):
        np.testing.assert_array_equal(straight.state(p, v), again.state(p, v))
    weights = straight.connections("plastic")[2]
    assert np.ptp(weights) > 1.0
    np.testing.assert_array_equal(weights, again.connections("plastic")[2])
    assert [p.name for p in tmp_path.iterdir()] == ["state.h5"]


def test_another_process(tmp_path):
    straight = simulate("event", 1)
    whole = joined([straight.run(END)])
    sim = simulate("event", 1)
    first = sim.run(CUT)
    sim.checkpoint(tmp_path / "state.h5")
    script = f"""
import importlib.util, numpy as np, snn
spec = importlib.util.spec_from_file_location("checkpointed", {str(Path(__file__))!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
sim = snn.Simulation.resume({str(tmp_path / "state.h5")!r}, module.network(), quiet=True)
np.savez({str(tmp_path / "rest.npz")!r}, *module.joined([sim.run(module.END - sim.t)]))
"""
    subprocess.run([sys.executable, "-c", script], check=True)
    with np.load(tmp_path / "rest.npz") as rest:
        for one, begin, end in zip(whole, joined([first]), rest.values(), strict=True):
            np.testing.assert_array_equal(one, np.concatenate((begin, end)))


def test_wrong_files(tmp_path):
    sim = simulate("event", 1)
    path = tmp_path / "state.h5"
    sim.checkpoint(path)
    with pytest.raises(FormatError, match="another network"):
        snn.Simulation.resume(path, network(seed=3), quiet=True)
    with pytest.raises(FormatError, match="another network"):
        snn.Simulation.resume(path, network(n=61), quiet=True)
    with pytest.raises(FormatError, match="no such file"):
        snn.Simulation.resume(tmp_path / "other.h5", network())
    (tmp_path / "text.h5").write_text("no HDF5")
    with pytest.raises(FormatError, match="not a readable HDF5 file"):
        snn.Simulation.resume(tmp_path / "text.h5", network())
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(FormatError, match="is no checkpoint"):
        snn.Simulation.resume(tmp_path / "empty.h5", network())
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 99
    with pytest.raises(FormatError, match="version 99"):
        snn.Simulation.resume(path, network())
    with pytest.raises(OutputError, match="there is no folder"):
        sim.checkpoint(tmp_path / "no folder" / "state.h5")
    with pytest.raises(BackendUnavailable, match="reference"):
        snn.Simulation(network(), engine="event", backend="reference").checkpoint(path)


def test_forged_times(tmp_path):
    """Times that would have all of the past, or nearly for ever, simulated."""
    sim, path = simulate("event", 1), tmp_path / "state.h5"
    sim.run(CUT)
    sim.checkpoint(path)
    about, arrays = checkpoint.read(path)
    snn.Simulation.resume(path, network(), quiet=True)
    due = arrays["streams/next"].copy()
    for given, changed, message in (
        ({**about, "at": 2147483647}, arrays, "reached: must be 2147483647 ms"),
        (about, {**arrays, "reached": np.array(np.nan)}, "reached: must be 20.37 ms"),
        (about, {**arrays, "streams/next": np.where(np.arange(due.size) == 3, -9e18, due)}, "must lie after 20.37 ms"),
        (about, {**arrays, "streams/next": np.where(np.arange(due.size) == 3, np.nan, due)}, "must lie after 20.37 ms"),
    ):
        checkpoint.write(path, given, changed)
        with pytest.raises(FormatError, match=message):
            snn.Simulation.resume(path, network(), quiet=True)
