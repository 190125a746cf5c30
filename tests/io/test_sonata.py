"""SONATA files: layout, readers of others, killed runs, full disks, damaged files."""

import os
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kernels.errors import ConfigError, FormatError, ModelError, ShapeError, SimError
from snn.io import sonata
from snn.io.sonata import SonataWriter, describe, read_result, read_spikes
from snn.io.sonata_edges import read_edges
from snn.io.sonata_file import OutputError, part_path
from snn.recorders import MemoryRecorder

ROOT = Path(__file__).resolve().parents[2]
REPORTS = [("exc", "v", "mV", [7, 2], 0.1), ("exc", "g", "nS", [0], 0.5), ("inh", "v", "mV", [0, 1, 2], 0.2)]


def feed(recorder, windows=20, flush_every=5):
    """A run of ``windows`` ms: busy exc, sparse inh, silent none; returns the recorder's last time."""
    rng = np.random.default_rng(3)
    for k in range(windows):
        times = k + np.sort(rng.integers(1, 11, 200)) * 0.1
        recorder.spikes("exc", times, rng.integers(0, 50, 200))
        if k % 3 == 0:
            recorder.spikes("inh", [k + 0.5], [1])
        recorder.states("exc", "v", k + np.arange(10) * 0.1, rng.normal(-60, 3, (10, 2)))
        recorder.states("exc", "g", k + np.arange(2) * 0.5, rng.normal(size=(2, 1)))
        recorder.states("inh", "v", k + np.arange(5) * 0.2, np.full((5, 3), float(k)))
        recorder.weights("rec", float(k), np.arange(4) + k)
        if k % flush_every == flush_every - 1:
            recorder.flush(k + 1.0)
    return float(windows)


ARGS = (
    {"exc": 50, "inh": 10, "none": 4},
    REPORTS,
    0.0,
    0.1,
    {"seed": np.int64(3), "config": {"a": [1, 2]}},
    {"rec": 4},
)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """The same run in memory and in a file."""
    path = tmp_path_factory.mktemp("run") / "out.h5"
    memory, writer = MemoryRecorder(*ARGS), SonataWriter(path, *ARGS)
    results = []
    for recorder in (memory, writer):
        results.append(recorder.close(feed(recorder)))
    return results


def test_file_equals_memory(pair):
    memory, file = pair
    assert file.path is not None and not part_path(file.path).exists()
    assert (file.t_start, file.t_stop, file.complete) == (0.0, 20.0, True)
    assert list(file.spikes) == list(memory.spikes) == ["exc", "inh", "none"]
    for name, record in memory.spikes.items():
        other = file.spikes[name]
        np.testing.assert_array_equal(other.times, record.times)
        np.testing.assert_array_equal(other.ids, record.ids)
        assert (other.n_nodes, other.t_start, other.t_stop, other.dt) == (record.n_nodes, 0.0, 20.0, 0.1)
    for name, states in memory.states.items():
        assert set(file.states[name]) == set(states)
        for variable, values in states.items():
            np.testing.assert_array_equal(file.states[name][variable], values.astype(np.float32))
            np.testing.assert_allclose(file.states[name].times(variable), states.times(variable), atol=1e-9)
            np.testing.assert_array_equal(file.states[name].ids(variable), states.ids(variable))
            assert file.states[name].unit(variable) == states.unit(variable)
    for mine, theirs in zip(memory.weights["rec"], file.weights["rec"], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert file.provenance == {"seed": 3, "config": {"a": [1, 2]}}
    assert repr(memory).splitlines()[1:] == repr(file).splitlines()[1:]


def test_layout(pair):
    with h5py.File(pair[1].path) as file:
        assert file.attrs["magic"] == 0x0A7A and file.attrs["version"].tolist() == [0, 1]
        assert file.attrs["complete"] == 1 and file.attrs["t_flushed"] == 20.0
        group = file["spikes/exc"]
        assert h5py.check_enum_dtype(group.attrs.get_id("sorting").dtype) == {"none": 0, "by_id": 1, "by_time": 2}
        assert group.attrs["sorting"] == 2 and group["timestamps"].attrs["units"] == "ms"
        assert group["timestamps"].dtype == np.float64 and group["node_ids"].dtype == np.uint64
        assert {k: group.attrs[k] for k in ("n_nodes", "t_start", "t_stop", "dt")} == {
            "n_nodes": 50, "t_start": 0.0, "t_stop": 20.0, "dt": 0.1,
        }  # fmt: skip
        assert group["timestamps"].compression is None and group["timestamps"].maxshape == (None,)
        assert sorted(file["report"]) == ["exc.g", "exc.v", "inh"]
        report = file["report/exc.v"]
        assert report["data"].dtype == np.float32 and report["data"].shape == (200, 2)
        assert report["data"].attrs["units"] == b"mV" and report.attrs["variable"] == b"v"
        assert report["mapping/index_pointers"][:].tolist() == [0, 1, 2]
        assert report["mapping/node_ids"][:].tolist() == [7, 2]
        np.testing.assert_allclose(report["mapping/time"][:], [0.0, 20.0, 0.1])
        assert file["spikes/none/timestamps"].shape == (0,)


def test_describe(pair):
    info = describe(pair[1].path)
    assert info["complete"] and (info["t_start"], info["t_stop"]) == (0.0, 20.0)
    assert info["populations"]["exc"] == {"n_nodes": 50, "n_recorded": 50, "n_spikes": 4000, "rate": 4000.0}
    assert info["populations"]["none"] == {"n_nodes": 4, "n_recorded": 4, "n_spikes": 0, "rate": 0.0}
    assert info["reports"]["exc.v"] == {"n_samples": 200, "n_ids": 2, "every": 0.1, "unit": "mV"}
    assert info["weights"] == {"rec": {"n_times": 20, "n_synapses": 4}}
    assert info["provenance"]["seed"] == 3 and info["format"] == "volley-records 1"


def test_read_by_libsonata(pair):
    libsonata = pytest.importorskip("libsonata", reason="the reference reader of SONATA")
    path, memory = str(pair[1].path), pair[0]
    reader = libsonata.SpikeReader(path)
    assert sorted(reader.get_population_names()) == ["exc", "inh", "none"]
    assert reader["exc"].sorting == "by_time"
    spikes = reader["exc"].get()
    assert [i for i, _ in spikes] == memory.spikes["exc"].ids.tolist()
    assert [t for _, t in spikes] == memory.spikes["exc"].times.tolist()
    assert reader["none"].get() == []
    report = libsonata.ElementReportReader(path)
    assert sorted(report.get_population_names()) == ["exc.g", "exc.v", "inh"]
    exc = report["exc.v"]
    assert exc.times == pytest.approx((0.0, 20.0, 0.1)) and exc.data_units == "mV"
    frame = exc.get()
    np.testing.assert_array_equal(np.asarray(frame.ids)[:, 0], [7, 2])
    np.testing.assert_array_equal(frame.data, memory.states["exc"]["v"].astype(np.float32))
    np.testing.assert_allclose(frame.times, memory.states["exc"].times("v"), atol=1e-6)


def test_read_by_bmtk(pair):
    pytest.importorskip("bmtk", reason="a second reader of SONATA")
    from bmtk.utils.reports.compartment import CompartmentReport
    from bmtk.utils.reports.spike_trains import SpikeTrains

    path, memory = str(pair[1].path), pair[0]
    trains = SpikeTrains.load(path)
    assert trains.n_spikes(population="exc") == 4000 and trains.n_spikes(population="inh") == 7
    expected = memory.spikes["exc"].spiketrains()[13]
    np.testing.assert_array_equal(np.sort(trains.get_times(node_id=13, population="exc")), expected)
    report = CompartmentReport(path, mode="r")
    assert report.units("exc.v") == "mV" and report.variable("exc.v") == "v"
    assert report["exc.v"].n_steps() == 200
    column = report.data(node_id=2, population="exc.v")
    np.testing.assert_array_equal(column[:, 0], memory.states["exc"]["v"][:, 1].astype(np.float32))


@pytest.mark.parametrize("n", [1, 3, 7, 29, 1000, 12345])
@pytest.mark.parametrize("every", [0.1, 0.3, 0.7, 1 / 3])
def test_report_end_survives_truncating_readers(n, every):
    stop = sonata._stop(0.0, every, n)
    assert int(stop / every) == n and stop == pytest.approx(n * every)


def test_reads_bmtk_file(tmp_path):
    pytest.importorskip("bmtk", reason="writes the foreign file")
    from bmtk.utils.reports.spike_trains import SpikeTrains, sort_order

    path = tmp_path / "bmtk.h5"
    trains = SpikeTrains(populations=["lgn"])
    for time, node in [(30.0, 1), (10.0, 4), (20.5, 0)]:
        trains.add_spike(node_id=node, timestamp=time, population="lgn")
    trains.to_sonata(str(path), sort_order=sort_order.by_id)
    record = read_result(path).spikes["lgn"]
    assert record.times.tolist() == [10.0, 20.5, 30.0] and record.ids.tolist() == [4, 0, 1]
    assert (record.n_nodes, record.t_start, record.t_stop) == (5, 0.0, 30.0) and np.isnan(record.dt)
    info = describe(path)
    assert info["format"] is None and info["complete"] and info["populations"]["lgn"]["n_nodes"] == 5


def test_foreign_seconds_are_converted(tmp_path):
    with h5py.File(tmp_path / "s.h5", "w") as file:
        file["spikes/a/timestamps"], file["spikes/a/node_ids"] = [0.001, 0.25], np.array([0, 1], dtype=np.uint64)
        file["spikes/a/timestamps"].attrs["units"] = "s"
    assert read_spikes(tmp_path / "s.h5")["a"].times.tolist() == [1.0, 250.0]


def test_compressed_only_on_request(tmp_path):
    for compress in (False, True):
        writer = SonataWriter(tmp_path / f"{compress}.h5", *ARGS, compress=compress)
        result = writer.close(feed(writer))
        with h5py.File(result.path) as file:
            assert file["spikes/exc/timestamps"].compression == ("gzip" if compress else None)
        assert len(result.spikes["exc"]) == 4000
    assert (tmp_path / "True.h5").stat().st_size < 0.7 * (tmp_path / "False.h5").stat().st_size


def test_spikes_within_one_flush_are_sorted_and_across_flushes_refused(tmp_path):
    writer = SonataWriter(tmp_path / "a.h5", {"p": 5})
    writer.spikes("p", [2.0, 1.0, 1.0], [0, 4, 3])
    writer.flush(2.0)
    record = read_result(writer.part).spikes["p"]
    assert record.times.tolist() == [1.0, 1.0, 2.0] and record.ids.tolist() == [3, 4, 0]
    writer.spikes("p", [1.5], [0])
    with pytest.raises(ModelError, match="time order"):
        writer.flush(3.0)


def test_arrays_are_copied(tmp_path):
    for recorder in (MemoryRecorder({"p": 5}), SonataWriter(tmp_path / "a.h5", {"p": 5})):
        times, ids = np.array([1.0]), np.array([3])
        recorder.spikes("p", times, ids)
        times[0], ids[0] = 99.0, 0
        record = recorder.close(10.0).spikes["p"]
        assert record.times.tolist() == [1.0] and record.ids.tolist() == [3]


def test_lazy_result_notices_that_its_file_changed(tmp_path):
    first = SonataWriter(tmp_path / "a.h5", {"p": 5})
    first.spikes("p", [1.0], [1])
    result = first.close(5.0)
    second = SonataWriter(tmp_path / "a.h5", {"p": 5}, overwrite=True)
    second.spikes("p", [2.0, 3.0], [1, 2])
    assert len(second.close(6.0).spikes["p"]) == 2
    with pytest.raises(FormatError, match="changed since"):
        result.spikes["p"]


# ------------------------------------------------------------------------------------- killed, full, unwritable


WRITE_FOR_EVER = """
    import sys
    import numpy as np
    from snn.io.sonata import SonataWriter

    writer = SonataWriter(sys.argv[1], {"p": 100, "q": 3}, [("p", "v", "mV", [0, 1], 1.0)], 0.0, 1.0, {}, {"w": 3})
    n = k = 0
    while True:
        for _ in range(4):
            m = 1 + (n * 7919) % 3001
            writer.spikes("p", np.arange(n, n + m) + 1.0, np.arange(n, n + m) % 100)
            n += m
        writer.states("p", "v", [k], [[k, -k]])
        writer.weights("w", k, [k, k, k])
        k += 1
        writer.flush(float(k))
        print(k, n, flush=True)
"""


@pytest.mark.parametrize("flushes", [1, 3, 20, 60, 61, 120])
def test_sigkill_leaves_everything_up_to_the_last_flush(tmp_path, flushes):
    path = tmp_path / "run.h5"
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITE_FOR_EVER), str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    done = (0, 0)
    for _ in range(flushes):
        done = tuple(map(int, child.stdout.readline().split()))
    child.send_signal(signal.SIGKILL)
    rest = child.stdout.read().splitlines()
    assert child.wait() == -signal.SIGKILL
    if rest:
        done = tuple(map(int, rest[-1].split()))
    k, n = done
    assert not path.exists()
    result = read_result(part_path(path))
    assert not result.complete and result.t_stop >= k
    record = result.spikes["p"]
    assert len(record) >= n
    np.testing.assert_array_equal(record.times, np.arange(len(record)) + 1.0)
    np.testing.assert_array_equal(record.ids, np.arange(len(record)) % 100)
    values = result.states["p"]["v"]
    assert len(values) >= k
    np.testing.assert_array_equal(values[:, 0], np.arange(len(values)))
    times, weights = result.weights["w"]
    assert len(times) >= k and (weights == times[:, None]).all()
    assert len(result.spikes["q"]) == 0
    info = describe(part_path(path))
    assert not info["complete"] and info["t_stop"] == result.t_stop


def test_between_flushes_any_hdf5_reader_opens_the_part(tmp_path):
    writer = SonataWriter(tmp_path / "a.h5", *ARGS)
    feed(writer, windows=10)
    with h5py.File(writer.part, "r") as file:  # no swmr, while the run is still going
        assert file["spikes/exc/timestamps"].shape == (2000,) and file.attrs["complete"] == 0
        assert file.attrs["t_flushed"] == 10.0


def test_killed_within_a_flush(tmp_path):
    """The same as a kill at that moment: a copy of the file while it is open and half written."""
    writer = SonataWriter(tmp_path / "a.h5", {"p": 5})
    writer.spikes("p", np.arange(1.0, 2001.0), np.zeros(2000))
    writer.flush(2000.0)
    writer.spikes("p", np.arange(2001.0, 9001.0), np.ones(7000))
    with writer._file() as file:
        writer._write(file)  # data are there, the mark is not
        copy = tmp_path / "copy.h5.part"
        copy.write_bytes(writer.part.read_bytes())
    with pytest.raises(OSError):
        h5py.File(copy, "r")
    result = read_result(copy)
    assert len(result.spikes["p"]) == 2000 and result.t_stop == 2000.0


FILL_THE_DISK = """
    import resource, signal, sys
    import numpy as np
    from snn.io.sonata import SonataWriter
    from snn.io.sonata_file import OutputError

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
    writer = SonataWriter(sys.argv[1], {"p": 10})
    n = 0
    for k in range(1000):
        writer.spikes("p", np.arange(n, n + 5000) + 1.0, np.zeros(5000))
        try:
            if sys.argv[2] == "close" and k == 20:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 3_000_000))
                writer.close(k + 1.0)
            writer.flush(k + 1.0)
        except OutputError as error:
            print(n, k, str(error).replace(chr(10), " "))
            try:
                writer.spikes("p", [1e9], [0])
            except OutputError:
                writer.abort()
                sys.exit(0)
            sys.exit("went on after a failure")
        n += 5000
    sys.exit("never failed")
"""


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="needs a limit on the size of files")
@pytest.mark.parametrize("when", ["flush", "close"])
def test_full_disk(tmp_path, when):
    path = tmp_path / "full.h5"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FILL_THE_DISK), str(path), when],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    n, k, message = done.stdout.split(maxsplit=2)
    assert int(n) > 50_000 and str(path) in message and "cannot be written" in message and f"Up to {k} ms" in message
    assert not path.exists() and "Traceback" not in done.stderr
    result = read_result(part_path(path))
    assert result.t_stop == float(k) and not result.complete
    np.testing.assert_array_equal(result.spikes["p"].times, np.arange(int(n)) + 1.0)


def test_full_device_is_named(tmp_path, monkeypatch):
    writer = SonataWriter(tmp_path / "a.h5", {"p": 5})
    writer.spikes("p", [1.0], [0])
    writer.flush(1.0)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    writer.spikes("p", [2.0], [0])
    with pytest.raises(OutputError, match=r"a\.h5: cannot be written: No space left on device\. Up to 1 ms is safe"):
        writer.close(2.0)
    assert not (tmp_path / "a.h5").exists() and len(read_result(writer.part).spikes["p"]) == 1


def test_refusals_before_the_run(tmp_path):
    def refused(path, match, **options):
        with pytest.raises(OutputError, match=match) as caught:
            SonataWriter(path, {"p": 1}, **options)
        assert isinstance(caught.value, SimError) and str(path) in str(caught.value)

    refused(tmp_path / "missing" / "a.h5", "no folder")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file" / "a.h5", "no folder")
    refused(tmp_path, "is a folder")
    SonataWriter(tmp_path / "a.h5", {"p": 1}).close(1.0)
    refused(tmp_path / "a.h5", "overwrite=True")
    before = (tmp_path / "a.h5").read_bytes()
    SonataWriter(tmp_path / "a.h5", {"p": 1}, overwrite=True).abort()
    assert (tmp_path / "a.h5").read_bytes() == before and sorted(os.listdir(tmp_path)) == ["a.h5", "file"]
    part_path(tmp_path / "b.h5").write_bytes(b"somebody's spikes")
    refused(tmp_path / "b.h5", "unfinished run")
    assert part_path(tmp_path / "b.h5").read_bytes() == b"somebody's spikes"


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that not even root may write")
def test_unwritable_folder():
    with pytest.raises(OutputError, match="/proc/self/a.h5: (cannot be written|the folder /proc/self is not writable)"):
        SonataWriter("/proc/self/a.h5", {"p": 1})


def test_abort(tmp_path):
    writer = SonataWriter(tmp_path / "a.h5", {"p": 1})
    writer.abort()
    assert not list(tmp_path.iterdir())  # nothing was recorded: nothing stays
    writer = SonataWriter(tmp_path / "a.h5", {"p": 1})
    writer.spikes("p", [1.0], [0])
    writer.flush(2.0)
    writer.abort()
    assert [p.name for p in tmp_path.iterdir()] == ["a.h5.part"] and len(read_result(writer.part).spikes["p"]) == 1
    with pytest.raises(OutputError, match="has ended"):
        writer.flush(3.0)
    with pytest.raises(FormatError, match=r"read that"):
        read_result(tmp_path / "a.h5")


def test_wrong_arguments(tmp_path):
    with pytest.raises(ConfigError, match="twice"):
        SonataWriter(tmp_path / "a.h5", {"p": 2}, [("p", "v", "mV", [0], 1), ("p", "v", "mV", [1], 1)])
    with pytest.raises(ModelError, match="'/'"):
        SonataWriter(tmp_path / "a.h5", {"p/q": 2})
    assert not list(tmp_path.iterdir())
    writer = SonataWriter(tmp_path / "a.h5", {"p": 2}, [("p", "v", "mV", [0], 1.0)])
    with pytest.raises(ShapeError):
        writer.spikes("p", [1.0, 2.0], [0])
    with pytest.raises(ShapeError):
        writer.states("p", "v", [1.0], [[1.0, 2.0]])


def test_memory_stays_flat(tmp_path):
    """Forty times the buffer in chunks: the peak must not follow the length of the run."""

    def peak(chunks, flush):
        writer = SonataWriter(tmp_path / f"{chunks}{flush}.h5", {"p": 1000})
        t, ids = np.linspace(0.001, 1.0, 50_000), np.arange(50_000) % 1000
        writer.spikes("p", t, ids)
        writer.flush(1.0)
        tracemalloc.start()
        for k in range(1, chunks):
            writer.spikes("p", t + k, ids)
            if flush:
                writer.flush(k + 1.0)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert writer.close(float(chunks)).sizes()["p"] == (1000, 50_000 * chunks)
        return highest

    assert peak(60, True) < 1.3 * peak(10, True) + 1e6
    assert peak(100, False) < 4 * sonata.BUFFER  # nobody flushes: 80 MB of spikes pass through the buffer


# ------------------------------------------------------------------------------------------------ damaged files


@pytest.fixture(scope="module")
def intact(tmp_path_factory):
    folder = tmp_path_factory.mktemp("intact")
    writer = SonataWriter(folder / "a.h5", *ARGS)
    return writer.close(feed(writer)).path.read_bytes()


def read_all(path):
    result = read_result(path)
    for mapping in (result.spikes, result.states, result.weights):
        for name in mapping:
            mapping[name]
    repr(result)
    describe(path)
    read_spikes(path)
    return result


checked = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@settings(checked)
@given(share=st.floats(0.0, 1.0, exclude_max=True))
def test_truncated_anywhere(intact, tmp_path, share):
    path = tmp_path / "cut.h5"
    path.write_bytes(intact[: int(share * len(intact))])
    for read in (read_result, read_spikes, describe, read_edges):
        with pytest.raises(FormatError, match=r"cut\.h5"):
            read(path)


@settings(checked)
@given(at=st.integers(0, 6000), byte=st.integers(1, 255))
@example(at=11, byte=5)  # HDF5's mark of a file in single-writer mode, on a file that never was
def test_damaged_structures_raise_only_our_errors(intact, tmp_path, at, byte):
    """Any one byte of the first 6 kB, where HDF5 keeps its structures, is changed."""
    path = tmp_path / "bad.h5"
    content = bytearray(intact)
    content[at] ^= byte
    path.write_bytes(content)
    try:
        result = read_all(path)
    except SimError:
        return
    assert set(result.spikes) <= {"exc", "inh", "none"}  # the change hit nothing that matters


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"", "not a readable HDF5"), (b"hello" * 100, "not a readable HDF5"), (None, "no such file")],
)
def test_not_hdf5(tmp_path, content, match):
    path = tmp_path / "x.h5"
    if content is not None:
        path.write_bytes(content)
    for read in (read_result, read_spikes, describe, read_edges):
        with pytest.raises(FormatError, match=match):
            read(path)
    with pytest.raises(FormatError, match="is a folder"):
        read_result(tmp_path)


def test_foreign_hdf5(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros((3, 3))
    with pytest.raises(FormatError, match=r"neither /spikes nor /report; found images"):
        read_result(path)
    with h5py.File(path, "w") as file:
        file["spikes/a/timestamps"] = [1.0, 2.0]
    with pytest.raises(FormatError, match="node_ids: is missing"):
        read_result(path)
    for bad in ([1], [1, -2], [0.5, 1.0], [[0, 1]]):
        with h5py.File(path, "w") as file:
            file["spikes/a/timestamps"], file["spikes/a/node_ids"] = [1.0, 2.0], bad
        with pytest.raises(FormatError):
            read_spikes(path)
    with h5py.File(path, "w") as file:
        file["spikes/a/timestamps"], file["spikes/a/node_ids"] = [1.0, np.nan], [0, 1]
    with pytest.raises(FormatError, match="finite"):
        read_spikes(path)


@pytest.mark.parametrize("pointers", [[0, 1], [0, 2, 3], [0, 2**40, 2], [1, 1, 2]])
def test_foreign_report(tmp_path, pointers):
    """Elements of one node repeat its id; pointers that do not fit are refused, not followed."""
    path = tmp_path / "r.h5"
    with h5py.File(path, "w") as file:
        file["report/a/data"] = np.zeros((4, 3), dtype=np.float32)
        file["report/a/mapping/node_ids"], file["report/a/mapping/index_pointers"] = [5, 6], pointers
        file["report/a/mapping/time"] = [0.0, 2.0, 0.5]
    result = read_result(path)
    assert result.t_stop == 2.0
    if pointers == [0, 2, 3]:
        assert result.states["a"].ids("data").tolist() == [5, 5, 6] and result.states["a"].times("data")[-1] == 1.5
    else:
        with pytest.raises(FormatError, match="columns"):
            result.states["a"]
