"""Files whose damage would take all memory or much time in HDF5 or NumPy: refused before."""

import struct
import zipfile

import h5py
import numpy as np
import pytest

from kernels.errors import FormatError, ModelError
from snn.io import own
from snn.io.damage import check_bytes, check_content, check_sizes
from snn.io.sonata_file import reading
from snn.sweeps.summary import FORMAT, read_summary
from snn.tables import load_array


@pytest.fixture
def texts(tmp_path):
    """A file with texts of variable length, and its bytes."""
    path = tmp_path / "texts.h5"
    with h5py.File(path, "w", libver="earliest") as file:
        file["texts"] = np.array(["one", "two"], object)
        for k in range(20):  # more than one block of a header holds
            file["texts"].attrs[f"unit {k}"] = "" if k < 19 else "a text"
        file.attrs["many"] = np.array(["first", "second"], object)
    check_bytes(path)
    with h5py.File(path) as file:
        check_content(file, path)
        check_sizes(file)
    return path, bytearray(path.read_bytes())


def test_heap_that_claims_more_than_the_file(texts):
    path, data = texts
    at = data.index(b"GCOL")
    data[at + 8 : at + 16] = struct.pack("<Q", 1 << 32)
    path.write_bytes(data)
    with pytest.raises(FormatError, match="a heap of texts is damaged"):
        check_bytes(path)


def test_list_of_names_that_goes_in_a_circle(texts):
    """HDF5 follows it for ever."""
    path, data = texts
    at = data.index(b"TREE")
    data[at + 16 : at + 24] = struct.pack("<Q", at)
    path.write_bytes(data)
    with pytest.raises(FormatError, match="goes in a circle"), reading(path):
        pass


def test_text_that_claims_to_be_longer_than_the_file(texts):
    path, data = texts
    with h5py.File(path) as file:
        at = file["texts"].id.get_offset()
    data[at + 16 : at + 20] = struct.pack("<I", 2**32 - 1)
    path.write_bytes(data)
    with pytest.raises(FormatError, match="/texts: texts are longer than the file"), reading(path):
        pass


@pytest.mark.parametrize(("place", "where"), [("unit 19", "/texts"), ("many", "/")])
def test_attribute_that_claims_to_be_longer_than_the_file(texts, place, where):
    """HDF5 takes 4 GB before it finds that there is no such text."""
    path, data = texts
    length = len("a text" if place == "unit 19" else "second")
    at = data.index(struct.pack("<I", length), data.index(place.encode() + b"\0"))
    data[at : at + 4] = struct.pack("<I", 2**32 - 1)
    path.write_bytes(data)
    with pytest.raises(FormatError, match=f"{where}: texts are longer than the file"), reading(path):
        pass


def test_text_whose_type_is_damaged(texts):
    path, _ = texts
    with h5py.File(path, "a") as file:
        sequence = np.empty(1, object)
        sequence[0] = np.arange(3)
        file["texts"].attrs.create("units", sequence, dtype=h5py.vlen_dtype("i1"))
    with pytest.raises(FormatError, match="/texts: holds sequences of variable length"), reading(path):
        pass


def test_archive_that_holds_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("weights", b"text")
    with pytest.raises(FormatError, match="must hold numbers"):
        load_array(str(tmp_path / "a.npz"))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"point": [b"a"]}, "lacks status, repetition, seed, error"),
        ({"seed": [1, 2]}, "column 'seed': must be a number or text for each point; got int64 of shape"),
        ({"rate": np.zeros(1, "V3")}, "column 'rate': must be a number or text"),
    ],
)
def test_table_of_a_sweep(tmp_path, columns, message):
    text = {name: np.array(["x"], object) for name in ("point", "status", "error")}
    whole = text | {"repetition": [0], "seed": [1]} if "point" not in columns else {}
    with h5py.File(tmp_path / "summary.h5", "w") as file:
        file.attrs["format"] = FORMAT
        for name, values in (whole | columns).items():
            file.create_dataset(f"columns/{name}", data=values).attrs["name"] = name
    with pytest.raises(FormatError, match=message):
        read_summary(tmp_path)


def test_nir_graph_with_texts_as_numbers():
    nir = pytest.importorskip("nir")
    from neuromorphic import from_nir

    def graph(**changes):
        parts = {"tau": np.ones(1), "r": np.ones(1), "v_leak": np.zeros(1), "v_threshold": np.ones(1)}
        nodes = {"in": nir.Input([1]), "lif": nir.LIF(**parts), "out": nir.Output([1])}
        for key, value in changes.items():
            setattr(nodes["lif"], key, value)
        return nir.NIRGraph(nodes, [("in", "lif"), ("lif", "out")])

    from_nir(graph(), dt=1.0)
    with pytest.raises(ModelError, match=r"Node 'lif' \(LIF\): tau: must be numbers; got dict"):
        from_nir(graph(tau={}), dt=1.0)
    large = graph()
    large.nodes["in"].output_type["output"] = np.array([2**31 - 1])
    with pytest.raises(ModelError, match="Node 'in' .*: must have integers >= 1 as shape, 268,435,456 values"):
        from_nir(large, dt=1.0)


def test_array_of_our_own_file_that_claims_gigabytes(tmp_path):
    """It would be read and hashed before the hash is seen to be another."""
    path = tmp_path / "own.h5"
    own.write(path, "volley test", 1, {}, {"small": np.arange(9.0)})
    assert own.read(path, "volley test", 1, "nobody")[1]["small"].sum() == 36.0
    with h5py.File(path, "r+") as file:
        file.create_dataset("arrays/large", (1 << 40,), "f8")  # nothing of it is stored
    with pytest.raises(FormatError, match="/arrays/large: claims 8,796,093,022,208 bytes; 0 are stored"):
        own.read(path, "volley test", 1, "nobody")
