"""SONATA files of edges: written, read back, read by others."""

import os

import h5py
import numpy as np
import pytest

from kernels.errors import FormatError, ModelError, ShapeError
from snn.io.sonata_edges import read_edges, write_edges
from snn.io.sonata_file import OutputError


def edges(n=1000, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 80, n), rng.integers(0, 20, n), rng.normal(size=n), rng.uniform(0.1, 5.0, n)


def test_edges_round_trip(tmp_path):
    src, tgt, weight, delay = edges()
    path = write_edges(tmp_path / "edges.h5", "exc_to_inh", "exc", "inh", src, tgt, weight, delay)
    out = read_edges(path)
    for mine, theirs in zip((src, tgt, weight, delay), out[:4], strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert out[4:] == ("exc", "inh") and os.listdir(tmp_path) == ["edges.h5"]
    write_edges(path, "e", "a", "b", [0], [1], weight=0.5, overwrite=True)
    out = read_edges(path, "e")
    assert out[2].tolist() == [0.5] and out[3] is None
    with pytest.raises(FormatError, match="holds e"):
        read_edges(path, "other")
    with pytest.raises(OutputError, match="overwrite"):
        write_edges(path, "e", "a", "b", [0], [1])


def test_edges_read_by_libsonata(tmp_path):
    libsonata = pytest.importorskip("libsonata", reason="the reference reader of SONATA")
    src, tgt, weight, delay = edges()
    path = write_edges(tmp_path / "edges.h5", "exc_to_inh", "exc", "inh", src, tgt, weight, delay)
    storage = libsonata.EdgeStorage(str(path))
    assert storage.population_names == {"exc_to_inh"}
    population = storage.open_population("exc_to_inh")
    everything = population.select_all()
    assert (population.source, population.target, population.size) == ("exc", "inh", 1000)
    np.testing.assert_array_equal(population.source_nodes(everything), src)
    np.testing.assert_array_equal(population.target_nodes(everything), tgt)
    np.testing.assert_array_equal(population.get_attribute("syn_weight", everything), weight)
    np.testing.assert_array_equal(population.get_attribute("delay", everything), delay)


def test_edges_read_by_bmtk(tmp_path):
    pytest.importorskip("bmtk", reason="a second reader of SONATA")
    from bmtk.utils import sonata as bmtk_sonata

    src, tgt, weight, delay = edges(50)
    path = write_edges(tmp_path / "edges.h5", "exc_to_inh", "exc", "inh", src, tgt, weight, delay)
    (tmp_path / "types.csv").write_text("edge_type_id model\n0 static\n")
    file = bmtk_sonata.File(data_files=str(path), data_type_files=str(tmp_path / "types.csv"))
    found = [(e.source_node_id, e.target_node_id, e["syn_weight"], e["delay"]) for e in file.edges["exc_to_inh"]]
    assert found == list(zip(src, tgt, weight, delay, strict=True))


def test_edges_in_several_groups(tmp_path):
    """Groups with their own columns, as NetworkBuilder writes them."""
    path = tmp_path / "e.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("edges/a_to_a")
        for side in ("source", "target"):
            group[f"{side}_node_id"] = np.array([0, 1, 2], dtype=np.uint64)
            group[f"{side}_node_id"].attrs["node_population"] = "a"
        group["edge_group_id"], group["edge_group_index"] = [0, 1, 0], [1, 0, 0]
        group["0/syn_weight"], group["1/syn_weight"] = [10.0, 11.0], [20.0]
        group["0/delay"] = [1.0, 1.0]
    with pytest.raises(FormatError, match="delay is missing"):
        read_edges(path)
    with h5py.File(path, "a") as file:
        file["edges/a_to_a/1/delay"] = [2.0]
    out = read_edges(path)
    assert out[2].tolist() == [11.0, 20.0, 10.0] and out[3].tolist() == [1.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("src", "tgt", "options"),
    [
        ([0, 1], [0], {}),
        ([-1], [0], {}),
        ([0.5], [0], {}),
        ([0], [0], {"weight": [1.0, 2.0]}),
        ([0], [0], {"delay": np.nan}),
    ],
)
def test_wrong_edges_leave_no_file(tmp_path, src, tgt, options):
    with pytest.raises((ShapeError, ModelError)):
        write_edges(tmp_path / "e.h5", "e", "a", "b", src, tgt, **options)
    assert not list(tmp_path.iterdir())
