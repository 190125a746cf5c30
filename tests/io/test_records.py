"""Records in memory: statistics against plain loops and elephant, edge cases, errors."""

import dataclasses
import subprocess
import sys
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import plasticity
import snn
from kernels.errors import ConfigError, ModelError, ShapeError
from snn.io.sonata import SonataWriter, read_result, read_spikes
from snn.io.sonata_file import groups, text_of
from snn.recorders import MemoryRecorder
from snn.records import Result, SpikeRecord, StateRecord, Trace

ROOT = Path(__file__).resolve().parents[2]


def record(times, ids, n=4, stop=100.0):
    return SpikeRecord("p", np.array(times, dtype=float), np.array(ids, dtype=int), n, 0.0, stop, 0.1)


spikes = st.lists(st.tuples(st.integers(0, 999), st.integers(0, 6)), max_size=60, unique=True)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(spikes)
def test_statistics_against_plain_loops(pairs):
    r = record([t * 0.1 for t, _ in pairs], [i for _, i in pairs], n=7)
    keys = list(zip(r.times, r.ids, strict=True))
    assert keys == sorted(keys) and len(r) == len(pairs)
    per_neuron = [np.array(sorted(t * 0.1 for t, i in pairs if i == k)) for k in range(7)]
    for trains, expected in ((r.spiketrains(), per_neuron), (r.isi(), [np.diff(t) for t in per_neuron])):
        assert len(trains) == 7
        for mine, theirs in zip(trains, expected, strict=True):
            np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_allclose(r.rates(), [len(t) * 10.0 for t in per_neuron])
    assert r.rate() == pytest.approx(np.mean(r.rates()))
    for mine, train in zip(r.cv(), per_neuron, strict=True):
        if len(train) < 3:
            assert np.isnan(mine)
        else:
            assert mine == pytest.approx(np.diff(train).std() / np.diff(train).mean(), abs=1e-9)
    counts = r.counts(0.7, per_neuron=True)
    expected = np.zeros((7, 143), dtype=int)
    for t, i in pairs:
        expected[i, t // 7] += 1  # in whole steps of 0.1 ms: no rounding
    np.testing.assert_array_equal(counts, expected)
    np.testing.assert_array_equal(r.counts(0.7), expected.sum(axis=0))


def test_cv_equals_elephant():
    pytest.importorskip("elephant", reason="reference for spike statistics")
    from elephant.statistics import cv, isi

    rng = np.random.default_rng(1)
    r = record(rng.uniform(0, 100, 80), rng.integers(0, 4, 80))
    np.testing.assert_allclose(r.cv(), [cv(isi(train.magnitude)) for train in r.to_neo()])


def test_empty_and_silent():
    r = record([], [], n=3)
    assert len(r) == 0 and r.rate() == 0.0 and r.rates().tolist() == [0.0, 0.0, 0.0]
    assert [t.size for t in r.spiketrains()] == [0, 0, 0] == [t.size for t in r.isi()]
    assert np.isnan(r.cv()).all() and r.counts(10.0).tolist() == [0] * 10
    nobody = record([], [], n=0)
    assert np.isnan(nobody.rate()) and nobody.spiketrains() == [] == nobody.isi() and nobody.cv().shape == (0,)
    assert np.isnan(record([], [], n=2, stop=0.0).rates()).all()


def test_slice():
    r = record([1.0, 2.0, 3.0, 100.0], [0, 1, 2, 3])
    part = r.slice(2.0, 3.0)
    assert part.times.tolist() == [2.0] and (part.t_start, part.t_stop, part.n_nodes) == (2.0, 3.0, 4)
    assert r.slice(3.0, 100.0).times.tolist() == [3.0, 100.0]  # the end of the record belongs to it
    whole = [r.slice(a, b) for a, b in [(0.0, 2.0), (2.0, 50.0), (50.0, 100.0)]]
    assert sum(map(len, whole)) == len(r)
    for window in [(-1.0, 3.0), (3.0, 2.0), (0.0, 101.0), (np.nan, 2.0)]:
        with pytest.raises(ModelError, match="slice"):
            r.slice(*window)
    with pytest.raises(ShapeError, match="SpikeRecord.slice: must be two numbers in ms; got"):
        r.slice([1.0, 2.0], 3.0)


@pytest.mark.parametrize("library", ["quantities", "brian2"])
def test_times_with_units(library):
    units = pytest.importorskip(library)
    s, volt = (units.s, units.V) if library == "quantities" else (units.second, units.volt)
    r = snn.SpikeRecord("a", np.array([0.001, 0.02, 0.03]) * s, [0, 1, 0], 2, 0.0, 0.1 * s, 0.0001 * s)
    assert r.times.tolist() == [1.0, 20.0, 30.0] and (r.t_stop, r.dt) == (100.0, 0.1)
    part = r.slice(0.01 * s, 0.03 * s)
    assert part.times.tolist() == [20.0] and (part.t_start, part.t_stop) == (10.0, 30.0)
    assert r.counts(0.05 * s).tolist() == [3, 0]
    with pytest.raises(snn.UnitError, match="SpikeRecord.slice: must be in ms; got"):
        r.slice(0.01 * volt, 30.0)


@pytest.mark.parametrize(
    ("times", "ids", "error"),
    [
        ([1.0, 2.0], [0], ShapeError),
        ([1.0], [4], ModelError),
        ([1.0], [-1], ModelError),
        ([np.nan], [0], ModelError),
        ([np.inf], [0], ModelError),
        ([[1.0]], [[0]], ShapeError),
    ],
)
def test_wrong_records_are_refused(times, ids, error):
    with pytest.raises(error, match="SpikeRecord"):
        record(times, ids)


@pytest.mark.parametrize("bin_size", [0, -1.0, np.nan, np.inf])
def test_wrong_bins_are_refused(bin_size):
    with pytest.raises(ModelError, match="bin_size"):
        record([1.0], [0]).counts(bin_size)


@pytest.mark.parametrize("dt", [0.1, 0.3, 0.7])
def test_slices_meet_the_grid(dt):
    """Ends written in decimals, times that are multiples of dt: which of them are an ulp apart is chance."""
    k = np.arange(1, 400)
    record = SpikeRecord("p", k * dt, k % 3, 3, 0.0, 400 * dt, dt)
    for a in range(0, 400, 7):
        low, high = round(a * dt, 1), round((a + 20) * dt, 1)
        if a + 20 > 400:
            continue
        part = record.slice(low, high)
        assert np.rint(part.times / dt).tolist() == list(range(max(a, 1), a + 20))
        assert sum(map(len, part.to_neo())) == len(part)  # neo refuses spikes outside by an ulp
    assert len(record.slice(round(390 * dt, 1), round(400 * dt, 1))) == 10
    whole = [record.slice(round(a * dt, 1), round((a + 10) * dt, 1)) for a in range(0, 400, 10)]
    assert sum(map(len, whole)) == len(record)
    with pytest.raises(ModelError, match="SpikeRecord.slice: must lie within"):
        record.slice(0.0, 400.01 * dt)
    off = SpikeRecord("p", [1.0, 2.0], [0, 0], 1, 0.0, 3.0, np.nan)
    assert len(off.slice(0.0, 2.0)) == 1 and len(off.slice(0.0, np.nextafter(2.0, 3.0))) == 2


def recorded(names, variables, path, value=1.0):
    net = snn.Network()
    for name, recorded in zip(names, variables, strict=True):
        pop = net.population(name, 2, snn.LIFExp(e_l=0.0, v_reset=0.0, v_th=1e300), init={"v": value})
        for variable in recorded:
            net.record(pop, variable)
    return snn.Simulation(net, backend="reference", quiet=True).run(1.0, to=path)


@pytest.mark.parametrize("name", ["a ", " a", "\ta", " "])
def test_names_have_no_outer_spaces(name, tmp_path):
    """They were lost when a file was read, so that two populations became one."""
    for add in (lambda net: net.population(name, 1, snn.LIFExp()), lambda net: net.connect("b", "b", None, name=name)):
        net = snn.Network()
        net.population("b", 1, snn.LIFExp())
        with pytest.raises(ModelError, match="the name must be a non-empty text without outer spaces"):
            add(net)
    with pytest.raises(ModelError, match="must not be empty, hold '/' or begin or end with a space"):
        SonataWriter(tmp_path / "x.h5", {name: 1})
    assert text_of(b"a \0\0") == "a " and text_of(b" ") == "" and text_of("a ") == "a "


def test_reports_of_one_name_are_refused(tmp_path):
    """Two variables of p lie beside each other as p.v and p.i_ex."""
    with pytest.raises(ModelError, match="'i_ex' of 'p' and 'v' of 'p.i_ex': would both be the report 'p.i_ex' in a"):
        recorded(["p", "p.i_ex"], [["v", "i_ex"], ["v"]], tmp_path / "x.h5")
    assert not list(tmp_path.iterdir())
    fine = recorded(["p", "p.i_ex"], [["v"], ["v"]], tmp_path / "x.h5")
    assert list(fine.states) == ["p", "p.i_ex"]


def test_states_in_files_are_float32(tmp_path):
    """Told where a finite value does not fit, once a variable; infinite ones are as they were."""
    memory = recorded(["p"], [["v"]], None, value=1.1).states["p"]["v"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        file = recorded(["p"], [["v"]], tmp_path / "x.h5", value=1.1).states["p"]["v"]
    np.testing.assert_array_equal(file, memory.astype(np.float32))
    assert np.any(file != memory)
    with pytest.warns(RuntimeWarning, match=r"p.v: values beyond 3.4e38 become inf in .*y.h5") as told:
        file = recorded(["p"], [["v"]], tmp_path / "y.h5", value=1e39).states["p"]["v"]
    assert len(told) == 1 and np.all(np.isinf(file))
    memory = recorded(["p"], [["v"]], None, value=1e39).states["p"]["v"]
    assert np.all(np.isfinite(memory)) and memory.max() > 9e38


def test_states():
    traces = {
        "v": Trace(np.array([0.0, 0.1]), np.array([4, 2]), np.ones((2, 2)), "mV"),
        "w": Trace(np.array([0.0]), np.array([1]), np.zeros((1, 1)), "pA"),
    }
    s = StateRecord("exc", traces)
    assert list(s) == ["v", "w"] == list(s.keys()) and len(s) == 2 and "v" in s and "x" not in s
    assert s["v"].shape == (2, 2) and s.times("w").tolist() == [0.0] and s.ids("v").tolist() == [4, 2]
    assert (s.unit("v"), s.unit("w")) == ("mV", "pA") and dict(s.items())["w"].shape == (1, 1)
    assert "v (2, 2) mV" in repr(s)
    with pytest.raises(KeyError, match="was not recorded"):
        s["x"]
    with pytest.raises(ConfigError, match="recorded: v, w"):
        s.times("x")


def test_memory_recorder_joins_chunks():
    m = MemoryRecorder({"a": 3, "b": 2}, [("a", "v", "mV", [2], 0.5)], 5.0, 0.5, {"seed": 1}, {"w": 2})
    for k in range(4):
        m.spikes("a", [5.5 + k, 6.0 + k], [k % 3, 0])
        m.states("a", "v", [5.5 + k, 6.0 + k], [[k], [k + 0.5]])
        m.flush(6.0 + k)
    m.weights("w", 6.0, [1.0, 2.0])
    r = m.close(9.0)
    assert isinstance(r, Result) and r.path is None and r.complete and r.provenance == {"seed": 1}
    assert len(r.spikes["a"]) == 8 and (r.spikes["b"].t_start, r.spikes["b"].t_stop) == (5.0, 9.0)
    assert r.states["a"]["v"][:, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5]
    assert r.weights["w"][1].tolist() == [[1.0, 2.0]]
    with pytest.raises(ShapeError):
        m.weights("w", 7.0, [1.0])
    assert repr(r).splitlines()[0] == "Result: 5 to 9 ms, in memory"
    assert "a" in repr(r) and "666.667" in repr(r) and "states: a" in repr(r)


def test_light_import():
    """Tables and plots load their libraries only when used."""
    code = (
        "import sys, types; pkg = types.ModuleType('snn'); pkg.__path__ = ['snn']; sys.modules['snn'] = pkg\n"
        "import snn.records, snn.plot, snn.io.sonata, snn.io.neo, snn.io.nwb, snn.io.frames, snn.io.events\n"
        "heavy = {'pandas', 'matplotlib', 'scipy', 'numba', 'neo', 'pynwb'} & set(sys.modules)\n"
        "sys.exit(str(heavy or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_runs_that_follow_each_other_make_one_result(engine, tmp_path):
    def simulation():
        net = snn.Network(seed=4)
        a = net.population("a", 12, snn.LIFExp(i_e=400.0), init={"v": snn.uniform(-70.0, -56.0)})
        b = net.population("b", 3, snn.Poisson(rate=30.0))
        net.connect(b, a, snn.all_to_all(), weight=20.0, delay=1.5, plasticity=plasticity.STDPPair(), name="w")
        net.record_weights("w", every=10.0)
        for population in (a, b):
            net.record(population)
        net.record(a, "v", ids=[1, 4], every=2.0)
        net.record(a, "i_ex")
        return snn.Simulation(net, engine=engine, quiet=True)

    whole, sim = simulation().run(100.0), simulation()
    parts = [sim.run(30.0), sim.run(0.0), sim.run(27.3, to=tmp_path / "part.h5"), sim.run(42.7)]
    joined = snn.Result.concatenate(parts)
    assert (joined.t_start, joined.t_stop, joined.path, joined.complete) == (0.0, 100.0, None, True)
    assert len(joined.spikes["a"]) > 20 and joined.sizes() == whole.sizes()
    for name, record in whole.spikes.items():
        np.testing.assert_array_equal(joined.spikes[name].times, record.times)
        np.testing.assert_array_equal(joined.spikes[name].ids, record.ids)
        assert joined.spikes[name].rate() == record.rate()
    for variable in ("v", "i_ex"):
        ours, theirs = joined.states["a"].trace(variable), whole.states["a"].trace(variable)
        np.testing.assert_allclose(ours.times, theirs.times, rtol=1e-12)
        np.testing.assert_array_equal(ours.ids, theirs.ids)
        np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-6)  # those of the file are float32
        assert ours.unit == theirs.unit
    times, values = joined.weights["w"]
    ends = [30.0, 57.3, 100.0]  # weights are recorded at the end of every run as well
    np.testing.assert_allclose(np.unique(np.round(times, 9)), sorted({*whole.weights["w"][0], *ends}))
    np.testing.assert_array_equal(values[-1], whole.weights["w"][1][-1])
    with pytest.raises(ModelError, match="one ends at 30 ms, the next begins at 57.3 ms"):
        snn.Result.concatenate([parts[0], parts[3]])
    with pytest.raises(ModelError, match="needs one result at least"):
        snn.Result.concatenate([])
    with pytest.raises(ModelError, match="must have recorded the same"):
        snn.Result.concatenate([dataclasses.replace(parts[0], states={}), parts[1]])
    with pytest.raises(ModelError, match="ends at 30 ms, incomplete"):
        snn.Result.concatenate([dataclasses.replace(parts[0], complete=False), parts[1]])


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_results_of_one_simulation_alone_are_joined(engine, tmp_path):
    """Also where it was resumed on other threads and changed in between; any iterable will do."""

    def network(seed=4, i_e=400.0):
        net = snn.Network(seed=seed)
        a = net.population("a", 12, snn.LIFExp(i_e=i_e), init={"v": snn.uniform(-70.0, -56.0)})
        net.record(a)
        return net

    def second(net, first=10.0):
        sim = snn.Simulation(net, engine=engine, quiet=True)
        sim.run(first)
        return sim.run(10.0)

    sim = snn.Simulation(network(), engine=engine, quiet=True)
    parts = [sim.run(10.0)]
    sim.set_parameters("a", v_th=-52.0)
    sim.checkpoint(tmp_path / "state.h5")
    sim = snn.Simulation.resume(tmp_path / "state.h5", network(), threads=2, quiet=True)
    parts.append(sim.run(10.0, to=tmp_path / "part.h5"))
    sim.set_parameters("a", tau_m=15.0)
    parts.append(sim.run(10.0))
    joined = snn.Result.concatenate(part for part in parts)
    assert joined.t_stop == 30.0 and len(joined.spikes["a"]) == sum(len(part.spikes["a"]) for part in parts) > 5
    with pytest.raises(ModelError, match="runs must be of one simulation; got seed 4 and 5."):
        snn.Result.concatenate([parts[0], second(network(seed=5))])
    with pytest.raises(ModelError, match="runs must be of one simulation; got network_hash .* and "):
        snn.Result.concatenate([parts[0], second(network(i_e=500.0))])


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_states_are_told_by_ascending_number(engine):
    """Whatever the order that was asked for; ids says so."""
    net = snn.Network()
    a = net.population("a", 10, snn.LIFExp(e_l=-70.0), init={"v": np.arange(10.0) - 70.0})
    net.record(a[[7, 3]], "v", every=1.0)
    net.record(a, "i_ex", ids=[8, 2, 5], every=1.0)
    sim = snn.Simulation(net, engine=engine, quiet=True)
    states = sim.run(1.0).states["a"]
    assert states.ids("v").tolist() == [3, 7] and states.ids("i_ex").tolist() == [2, 5, 8]
    np.testing.assert_array_equal(states["v"][-1], sim.state("a", "v")[[3, 7]])
    assert states["v"][-1, 0] < states["v"][-1, 1]


@pytest.mark.parametrize("dt", [0.1, 0.05])
@pytest.mark.parametrize("late", [0.0, 1e5, 3.6e6, 8.64e7, 1e10])
def test_bins_meet_the_grid_however_late(dt, late):
    """Against whole numbers of steps. A day is 8.64e7 ms."""
    rng = np.random.default_rng(0)
    for steps in (1, 10, 37):
        first = int(late / dt) + int(rng.integers(0, 1000))
        k = np.arange(first + 1, first + 2001)
        record = SpikeRecord("p", k * dt, np.zeros(k.size, int), 1, first * dt, (first + 2000) * dt, dt)
        bins = -(-2000 // steps)
        expected = np.bincount(np.minimum((k - first) // steps, bins - 1), minlength=bins)
        np.testing.assert_array_equal(record.counts(steps * dt), expected)
        cut = int(rng.integers(1, 1900))
        part = record.slice(record.t_start + cut * dt, record.t_start + (cut + 50) * dt)
        assert np.rint(part.times / dt).astype(int).tolist() == list(range(max(first + cut, k[0]), first + cut + 50))


def test_bins_of_spikes_off_the_grid():
    record = SpikeRecord("p", 1e8 + np.arange(1, 11) * 0.7, np.zeros(10, int), 1, 1e8, 1e8 + 7.0, np.nan)
    assert record.counts(0.7).tolist() == [0, *[1] * 8, 2]
    assert record.counts(1.4).tolist() == [1, 2, 2, 2, 3]


@pytest.mark.parametrize(
    ("bin_size", "text"),
    [("a", "must be a number"), ([1.0, 2.0], "must be > 0 ms"), (1e-9, "100,000,000,000. Use wider bins.")],
)
def test_bins_that_are_none(bin_size, text):
    with pytest.raises(ModelError, match="SpikeRecord.counts.bin_size: ") as error:
        SpikeRecord("p", [1.0], [0], 1, 0.0, 100.0, 0.1).counts(bin_size)
    assert text in str(error.value)


def test_reading_does_not_list_all_populations_for_each(tmp_path, monkeypatch):
    """The time to read a file is linear in the number of its populations."""
    from snn.io import sonata_read

    listed = []
    monkeypatch.setattr(sonata_read, "groups", lambda file, name: listed.append(name) or groups(file, name))
    calls = []
    for n in (3, 12):
        result = recorded([f"p{k}" for k in range(n)], [["spikes", "v"]] * n, tmp_path / f"{n}.h5")
        listed.clear()
        again = sonata_read.read_result(result.path)
        assert len([len(x) for x in again.spikes.values()]) == len([x["v"] for x in again.states.values()]) == n
        sonata_read.describe(result.path)
        sonata_read.read_spikes(result.path)
        calls.append(len(listed))
    assert calls[0] == calls[1]


@pytest.mark.parametrize(("engine", "every"), [("clock", None), ("clock", 0.3), ("event", 0.7)])
def test_sample_times_in_files_are_those_in_memory(engine, every, tmp_path, monkeypatch):
    """Bit for bit; and a file that was named by a relative path is read from another folder."""

    def simulation():
        net = snn.Network(seed=1)
        net.record(net.population("a", 2, snn.LIFExp()), "v", every=every)
        sim = snn.Simulation(net, engine=engine, backend="reference", quiet=True)
        sim.run(12.3)
        return sim

    monkeypatch.chdir(tmp_path)
    expected, found = simulation().run(50.0), simulation().run(50.0, to="a.h5")
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert found.path == tmp_path / "a.h5"
    np.testing.assert_array_equal(found.states["a"].times("v"), expected.states["a"].times("v"))
    assert found.states["a"].times("v").size > 50


@pytest.mark.parametrize("locking", [None, "best-effort", True, False])
def test_a_file_that_this_process_has_open_is_read(locking, tmp_path):
    """HDF5 opens a file twice in a process only with the same locks."""
    net = snn.Network()
    a = net.population("a", 2, snn.SpikeArray([1.0, 2.0], [0, 1]))
    net.record(a)
    wanted = snn.Simulation(net, backend="reference", quiet=True).run(3.0, to=tmp_path / "a.h5").spikes["a"].times
    given = {} if locking is None else {"locking": locking}
    with h5py.File(tmp_path / "a.h5", "r", **given) as file:
        found = read_result(tmp_path / "a.h5").spikes["a"]
        assert np.array_equal(found.times, wanted) and len(wanted) == 2
        assert np.array_equal(read_spikes(tmp_path / "a.h5")["a"].times, file["spikes/a/timestamps"][...])
