"""Files of ranks become one, piece by piece: the same as together in memory."""

import numpy as np
import pytest

from kernels.errors import FormatError
from snn.io import merge
from snn.io.sonata import SonataWriter, read_result

ABOUT = {"ranks": 3, "seed": 1, "dt": 0.5, "network_hash": "x"}


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    out = []
    for rank, ids in enumerate(([0, 3], [], [1, 2])):
        path = tmp_path / f"a.rank{rank}.h5"
        reports = [("p", "v", "mV", ids, 1.0)] if ids else []
        weights = {"w": 5} if rank == 0 else {}
        writer = SonataWriter(path, {"p": 4, "q": 9}, reports, 0.0, 0.5, ABOUT | {"rank": rank}, weights)
        times = np.sort(rng.integers(1, 100, 700)) * 0.5  # many at the same time
        if rank != 1:
            writer.spikes("p", times, rng.choice(ids, times.size))
            writer.states("p", "v", np.arange(1.0, 51.0), rng.normal(size=(50, 2)).astype(np.float32))
        writer.spikes("q", times[rank:], rng.integers(3 * rank, 3 * rank + 3, times.size - rank))
        for k in range(3 if weights else 0):
            writer.weights("w", 10.0 * k, rng.normal(size=5))
        writer.close(50.0)
        out.append(path)
    return out


@pytest.mark.parametrize("piece", [1 << 21, 100, 3])
def test_same_as_in_memory(files, tmp_path, monkeypatch, piece):
    monkeypatch.setattr(merge, "PIECE", piece)
    found, wanted = merge.merge_files(files, tmp_path / "all.h5"), merge.merge([read_result(f) for f in files])
    for name in ("p", "q"):
        order = np.lexsort((wanted.spikes[name].ids, wanted.spikes[name].times))
        np.testing.assert_array_equal(found.spikes[name].times, wanted.spikes[name].times[order])
        np.testing.assert_array_equal(found.spikes[name].ids, wanted.spikes[name].ids[order])
    assert len(found.spikes["q"]) == 2097 and found.spikes["q"].n_nodes == 9 and found.spikes["p"].dt == 0.5
    np.testing.assert_array_equal(found.states["p"]["v"], wanted.states["p"]["v"])
    np.testing.assert_array_equal(found.states["p"].ids("v"), [0, 1, 2, 3])
    assert found.states["p"].unit("v") == "mV"
    for k in (0, 1):
        np.testing.assert_array_equal(found.weights["w"][k], wanted.weights["w"][k])


def test_parts_of_other_runs(files, tmp_path):
    SonataWriter(tmp_path / "b.h5", {"p": 4, "q": 9}, provenance=ABOUT | {"rank": 1, "seed": 2}).close(50.0)
    with pytest.raises(FormatError, match="parts must be of one run; got seed 1 and 2"):
        merge.merge_files([files[0], tmp_path / "b.h5", files[2]], tmp_path / "all.h5")
    assert not list(tmp_path.glob("all*"))
