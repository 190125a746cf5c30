"""Neo, NWB, pandas and event streams, read back by their own libraries."""

import builtins

import h5py
import numpy as np
import pytest

from kernels.errors import ConfigError, FormatError, ModelError, ShapeError, SimError
from snn.io.events import read_events
from snn.io.sonata_file import OutputError
from snn.recorders import MemoryRecorder


@pytest.fixture(scope="module")
def result():
    rng = np.random.default_rng(2)
    m = MemoryRecorder({"exc": 6, "none": 3}, [("exc", "v", "mV", [4, 1], 0.5), ("exc", "x", "1", [0], 1.0)])
    m.spikes("exc", np.sort(rng.integers(1, 1001, 50)) * 0.1, rng.integers(0, 5, 50))  # neuron 5 is silent
    m.states("exc", "v", np.arange(200) * 0.5, rng.normal(-60, 2, (200, 2)))
    m.states("exc", "x", np.arange(100) * 1.0, rng.normal(size=(100, 1)))
    return m.close(100.0)


def test_neo_round_trip(result, tmp_path):
    pytest.importorskip("neo", reason="extra analysis")
    pytest.importorskip("nixio", reason="Neo's file format")
    import neo

    block = result.to_neo()
    with neo.NixIO(str(tmp_path / "a.nix"), "ow") as io:
        io.write_block(block)
    with neo.NixIO(str(tmp_path / "a.nix"), "ro") as io:
        segment = io.read_block().segments[0]
        trains = {(t.annotations["population"], t.annotations["node_id"]): t for t in segment.spiketrains}
        assert len(trains) == 9
        for name, record in result.spikes.items():
            for node, times in enumerate(record.spiketrains()):
                train = trains[name, node]
                np.testing.assert_array_equal(train.rescale("ms").magnitude, times)
                assert (float(train.t_start), float(train.t_stop)) == (0.0, 100.0)
        v, x = segment.analogsignals
        np.testing.assert_allclose(v.rescale("mV").magnitude, result.states["exc"]["v"])
        np.testing.assert_allclose(v.times.rescale("ms").magnitude, result.states["exc"].times("v"))
        assert v.array_annotations["node_id"].tolist() == [4, 1] and x.units.dimensionality.string == "dimensionless"


def test_nwb_round_trip(result, tmp_path):
    pynwb = pytest.importorskip("pynwb", reason="extra nwb")
    path = result.to_nwb(tmp_path / "a.nwb", institution="here")
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        file = io.read()
        units = file.units.to_dataframe()
        assert file.institution == "here" and len(units) == 9 and file.units.resolution == pytest.approx(1e-4)
        for _, row in units.iterrows():
            times = result.spikes[row.population].spiketrains()[row.node_id]
            np.testing.assert_allclose(row.spike_times, times / 1000)
            np.testing.assert_allclose(row.obs_intervals, [[0.0, 0.1]])
        series = file.acquisition["exc_v"]
        assert (series.unit, series.conversion) == ("volts", 1e-3) and series.rate == pytest.approx(2000.0)
        np.testing.assert_array_equal(series.data[:], result.states["exc"]["v"])
    with pytest.raises(OutputError, match="overwrite"):
        result.to_nwb(path)
    with pytest.raises(OutputError, match="no folder"):
        result.to_nwb(tmp_path / "missing" / "a.nwb")


def test_nwb_of_silence(tmp_path):
    pynwb = pytest.importorskip("pynwb", reason="extra nwb")
    path = MemoryRecorder({"p": 2}).close(10.0).to_nwb(tmp_path / "a.nwb")
    with pynwb.NWBHDF5IO(str(path), "r") as io:
        assert [len(io.read().units["spike_times"][k]) for k in range(2)] == [0, 0]


def test_pandas(result):
    pytest.importorskip("pandas", reason="extra analysis")
    frame = result.to_pandas()
    assert list(frame.columns) == ["time_ms", "population", "node_id"] and len(frame) == 50
    assert frame.time_ms.is_monotonic_increasing
    assert list(frame.population.cat.categories) == ["exc", "none"]
    record = result.spikes["exc"]
    np.testing.assert_array_equal(frame.node_id, record.ids)
    np.testing.assert_array_equal(record.to_pandas().time_ms, record.times)
    assert len(result.spikes["none"].to_pandas()) == 0


@pytest.mark.parametrize(
    ("library", "call", "extra"),
    [
        ("neo", lambda r, p: r.to_neo(), "analysis"),
        ("pandas", lambda r, p: r.to_pandas(), "analysis"),
        ("pynwb", lambda r, p: r.to_nwb(p), "nwb"),
    ],
)
def test_missing_extra_is_named(result, tmp_path, monkeypatch, library, call, extra):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.split(".")[0] == library:
            raise ModuleNotFoundError(f"No module named {name!r}")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SimError, match=rf"pip install volley-snn\[{extra}\]"):
        call(result, tmp_path / "a.nwb")


# ------------------------------------------------------------------------------------------------------ events

EVENTS = {"x": [2, 0, 1], "y": [1, 0, 1], "t": [3000, 1000, 2000], "p": [1, 0, 1]}


def as_structured(events):
    out = np.zeros(3, dtype=[("x", "<i2"), ("y", "<i2"), ("t", "<i8"), ("p", "?")])
    for name, values in events.items():
        out[name] = values
    return out


@pytest.mark.parametrize("form", ["dict", "structured", "npz", "npy", "h5", "h5 group", "h5 table", "long names"])
def test_event_sources(tmp_path, form):
    source = {key: np.array(value) for key, value in EVENTS.items()}
    if form == "structured":
        source = as_structured(EVENTS)
    elif form == "npz":
        np.savez(tmp_path / "e.npz", **source)
        source = tmp_path / "e.npz"
    elif form == "npy":
        np.save(tmp_path / "e.npy", as_structured(EVENTS))
        source = str(tmp_path / "e.npy")
    elif form.startswith("h5"):
        with h5py.File(tmp_path / "e.h5", "w") as file:
            if form == "h5 table":
                file["events"] = as_structured(EVENTS)
            else:
                for key, value in source.items():
                    file[key if form == "h5" else f"events/{key}"] = value
        source = tmp_path / "e.h5"
    elif form == "long names":
        source = {"x": source["x"], "y": source["y"], "timestamps": source["t"], "polarity": 2 * source["p"] - 1}
    ids, times, n = read_events(source, shape=(2, 3))
    assert ids.tolist() == [0, 6 + 4, 6 + 5] and times.tolist() == [1.0, 2.0, 3.0] and n == 12
    assert ids.dtype == np.int64 and times.dtype == np.float64


def test_event_options():
    ids, _, n = read_events(EVENTS, polarity="merge")
    assert ids.tolist() == [0, 4, 5] and n == 6
    assert read_events(EVENTS, polarity="on")[0].tolist() == [4, 5]
    assert read_events(EVENTS, polarity="off")[1].tolist() == [1.0]
    assert read_events(EVENTS, relative=True, time_unit="ms")[1].tolist() == [0.0, 1000.0, 2000.0]
    assert read_events(EVENTS, shape=(10, 10))[2] == 200
    ids, times, n = read_events({"x": [], "y": [], "t": [], "p": []}, shape=(4, 4))
    assert ids.size == times.size == 0 and n == 32


@pytest.mark.parametrize(
    ("change", "options", "error", "match"),
    [
        ({"x": [0, 1]}, {}, ShapeError, "equally long"),
        ({"x": [0, -1, 0]}, {}, ModelError, r"\.x"),
        ({"y": [0.5, 1, 0]}, {}, ModelError, r"\.y"),
        ({"x": [0, np.nan, 0]}, {}, ModelError, r"\.x"),
        ({"t": [0, np.nan, 1]}, {}, ModelError, "finite"),
        ({"t": [-5, 0, 1]}, {}, ModelError, "relative=True"),
        ({"p": [0, 1, 2]}, {}, ModelError, r"\.p"),
        ({"p": ["a", "b", "c"]}, {}, FormatError, "numbers"),
        ({}, {"shape": (1, 3)}, ShapeError, "Enlarge"),
        ({}, {"shape": (0, 3)}, ShapeError, "height"),
        ({}, {"polarity": "both"}, ConfigError, "polarity"),
        ({}, {"time_unit": "fortnight"}, ConfigError, "time_unit"),
    ],
)
def test_wrong_events(change, options, error, match):
    with pytest.raises(error, match=match):
        read_events({**EVENTS, **change}, **options)


def test_wrong_event_sources(tmp_path):
    for source, match in [
        ({"x": [1]}, "no field"),
        (np.zeros((3, 4)), "named fields"),
        (7, "path"),
        (tmp_path / "none.npz", "no such file"),
    ]:
        with pytest.raises(FormatError, match=match):
            read_events(source)
    for name in ("bad.npz", "bad.npy", "bad.h5"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 rubbish")
        with pytest.raises(FormatError, match=name):
            read_events(tmp_path / name)
