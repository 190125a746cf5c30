"""Loaders of recorded events, on small files in the published layouts."""

import sys
import types

import h5py
import numpy as np
import pytest

import reservoir
import snn
from reservoir import datasets


def write_shd(path, samples=4, units=np.uint16, times=np.float16, change=None):
    """As the published files: arrays of variable length, float16 seconds; events of one sample may be out of order."""
    rng = np.random.default_rng(1)
    counts = [5, 0, 30, 7][:samples]
    with h5py.File(path, "w") as file:
        for name, dtype in (("times", times), ("units", units)):
            rows = file.create_dataset(f"spikes/{name}", (samples,), h5py.vlen_dtype(dtype))
            for k, n in enumerate(counts):
                rows[k] = rng.uniform(0, 1, n).astype(dtype) if name == "times" else rng.integers(0, 700, n)
        file["labels"] = np.array([3, 19, 0, 7][:samples], np.uint16)
        if change:
            change(file)
    return path


def test_shd_file_comes_back(tmp_path):
    path = write_shd(tmp_path / "shd_train.h5")
    data = datasets.shd(path)
    assert data.labels.tolist() == [3, 19, 0, 7] and data.n_channels == 700
    with h5py.File(path) as file:
        for k, (times, channels) in enumerate(data.events):
            raw = list(zip(1e3 * file["spikes/times"][k].astype(float), file["spikes/units"][k], strict=True))
            assert sorted(zip(times, channels, strict=True)) == sorted(raw)
            assert np.all(np.diff(times) >= 0)
    some = datasets.shd(path, select=[2, 0])
    assert some.labels.tolist() == [0, 3] and np.array_equal(some.events[0][0], data.events[2][0])
    u = reservoir.encoders.binned(*data.events[2], data.n_channels, every=10.0, duration=1000.0)
    assert u.shape == (100, 700) and u.sum() == 30


def drop(name):
    return lambda file: file.__delitem__(name)


def put(name, value):
    def change(file):
        del file[name]
        file[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (drop("spikes/units"), "is no file of the Spiking Heidelberg Datasets"),
        (put("labels", np.arange(3)), "must be of one length; got 4, 4 and 3"),
        (put("labels", [b"a"] * 4), "is no file of the Spiking Heidelberg Datasets"),
        (put("spikes/times", np.arange(4.0)), "sample 0 must have as many times as channels"),
        (put("spikes", 1.0), "is no file of the Spiking Heidelberg Datasets"),
        (
            lambda file: file["spikes/units"].__setitem__(2, np.full(30, 700)),
            "sample 2 must have times >= 0 and channels",
        ),
        (lambda file: file["spikes/times"].__setitem__(0, np.full(5, np.nan)), "sample 0 must have times >= 0"),
    ],
)
def test_other_layouts_are_refused(tmp_path, change, text):
    with pytest.raises(snn.FormatError) as error:
        datasets.shd(write_shd(tmp_path / "x.h5", change=change))
    assert text in str(error.value) and "x.h5" in str(error.value)


def test_missing_and_broken_files_are_refused(tmp_path):
    with pytest.raises(snn.FormatError, match="no such file"):
        datasets.shd(tmp_path / "shd_train.h5")
    (tmp_path / "bad.h5").write_bytes(b"nothing of the kind")
    with pytest.raises(snn.FormatError, match="is no file of"):
        datasets.shd(tmp_path / "bad.h5")
    with pytest.raises(snn.ModelError, match="select: must be numbers of samples, 0 to 3"):
        datasets.shd(write_shd(tmp_path / "shd_train.h5"), select=[4])


class Camera:
    """A set as tonic has them, which looks for its files and would download them."""

    sensor_size = (6, 4, 2)

    def __init__(self, save_to, train=True):
        self.location_on_system = f"{save_to}/{type(self).__name__}"
        self.train = train
        if "nowhere" in save_to:
            self.download()

    def download(self):
        raise AssertionError("the network was used")

    def __len__(self):
        return 2

    def __getitem__(self, k):
        kind = np.dtype([("x", np.int16), ("y", np.int16), ("p", bool), ("t", np.int64)])
        events = np.array([(5, 0, True, 3000), (0, 3, False, 1500), (1, 1, True, 500 + k)], kind)
        return events, 7 if self.train else 8


@pytest.fixture
def tonic(monkeypatch):
    module, sets = types.ModuleType("tonic"), types.ModuleType("tonic.datasets")
    sets.Camera, module.datasets = Camera, sets
    monkeypatch.setitem(sys.modules, "tonic", module)
    monkeypatch.setitem(sys.modules, "tonic.datasets", sets)


def test_events_of_a_camera(tonic, tmp_path):
    data = datasets.tonic_set("Camera", tmp_path, train=False)
    assert data.n_channels == 48 and data.labels.tolist() == [8, 8]
    assert data.events[0][0].tolist() == [0.5, 1.5, 3.0] and data.events[1][0][0] == 0.501
    assert data.events[0][1].tolist() == [6 + 1, 24 + 18, 5]
    pooled = datasets.tonic_set("Camera", tmp_path, select=[1], pool=2)
    assert pooled.n_channels == 12 and pooled.events[0][1].tolist() == [0, 6 + 3, 2] and pooled.labels.tolist() == [7]


def test_nothing_is_downloaded(tonic, tmp_path):
    with pytest.raises(snn.FormatError, match=r"nowhere/Camera: tonic does not find Camera there"):
        datasets.tonic_set("Camera", tmp_path / "nowhere")
    with pytest.raises(snn.ModelError, match="tonic has no data set 'Cinema'"):
        datasets.tonic_set("Cinema", tmp_path)
    with pytest.raises(snn.ModelError, match="pool: must be an integer >= 1"):
        datasets.tonic_set("Camera", tmp_path, pool=0)


def test_without_tonic(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "tonic", None)
    with pytest.raises(snn.BackendUnavailable, match=r"volley-snn\[datasets\]"):
        datasets.tonic_set("NMNIST", tmp_path)


def test_gestures_through_tonic(tmp_path):
    """The layout that tonic unpacks: an array (x, y, p, t in ms) a file, named after its class."""
    pytest.importorskip("tonic.datasets")
    folder = tmp_path / "DVSGesture" / "ibmGestureTrain" / "user01_led"
    folder.mkdir(parents=True)
    (folder.parent.parent / "ibmGestureTrain.tar.gz").write_bytes(b"")
    for k in range(100):  # so many, or tonic takes the set as missing
        np.save(
            folder / f"{k % 11}.npy" if k < 11 else folder / f"{k}.npy", np.array([[127, 3, 1, 20], [0, 8, 0, 41.0]])
        )
    data = datasets.tonic_set("DVSGesture", tmp_path, select=[0, 1], pool=8)
    assert data.n_channels == 512
    assert data.events[0][0].tolist() == [20.0, 41.0] and data.events[0][1].tolist() == [15, 256 + 16]
    with pytest.raises(snn.FormatError, match="does not find DVSGesture"):
        datasets.tonic_set("DVSGesture", tmp_path, train=False)
