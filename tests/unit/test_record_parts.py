"""Spikes recorded of some neurons of a population: in memory, in files, over ranks of results, in plots and exports."""

from __future__ import annotations

import numpy as np
import pytest

import snn
from kernels.errors import FormatError, ModelError
from snn.io.merge import merge
from snn.io.sonata import describe
from snn.sweeps.runners import MEASURES

IDS = [3, 7, 1]


def network(what: str = "part") -> snn.Network:
    net = snn.Network(seed=4)
    cells = net.population("cells", 20, snn.LIFDelta(i_e=snn.uniform(300.0, 600.0)))
    net.input("noise", cells, snn.Poisson(rate=2000.0), weight=0.3)
    other = net.population("other", 5, snn.Poisson(rate=50.0))
    if what == "part":
        net.record(cells[[3, 7, 1]], "spikes")
        net.record(other[:2])
    else:
        net.record(cells)
        net.record(other)
    return net


def chosen(record: snn.SpikeRecord, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    keep = np.isin(record.ids, ids)
    return record.times[keep], record.ids[keep]


@pytest.mark.parametrize("options", [{}, {"backend": "reference"}, {"threads": 2}, {"engine": "event"}])
def test_spikes_are_those_of_the_whole(options):
    some, all_ = (snn.Simulation(network(x), quiet=True, **options).run(300.0) for x in ("part", "whole"))
    for name, ids in (("cells", IDS), ("other", [0, 1])):
        record, whole = some.spikes[name], all_.spikes[name]
        times, owners = chosen(whole, ids)
        assert len(times) > 3
        np.testing.assert_array_equal(record.times, times)
        np.testing.assert_array_equal(record.ids, owners)
        assert record.recorded.tolist() == sorted(ids) == record.nodes.tolist()
        assert record.n_nodes == whole.n_nodes and record.n_recorded == len(ids)
        np.testing.assert_array_equal(record.rates()[sorted(ids)], whole.rates()[sorted(ids)])
        assert np.isnan(np.delete(record.rates(), ids)).all()
        assert record.rate() == pytest.approx(whole.rates()[ids].mean())
        assert [len(x) for x in record.spiketrains()] == [int((owners == k).sum()) for k in range(whole.n_nodes)]
    assert "3 of 20 neurons" in repr(some.spikes["cells"])
    assert MEASURES["active"](some)["cells"] == 1.0


def test_file(tmp_path):
    memory = snn.Simulation(network(), quiet=True).run(300.0).spikes["cells"]
    path = tmp_path / "part.h5"
    result = snn.Simulation(network(), quiet=True).run(300.0, to=path)
    for found in (result, snn.read_result(path)):
        record = found.spikes["cells"]
        np.testing.assert_array_equal(record.times, memory.times)
        np.testing.assert_array_equal(record.recorded, memory.recorded)
        assert record.n_nodes == 20 and record.slice(100.0, 200.0).recorded.tolist() == [1, 3, 7]
        assert found.sizes()["cells"] == (3, len(memory))
    about = describe(path)["populations"]["cells"]
    assert (about["n_nodes"], about["n_recorded"]) == (20, 3)
    assert about["rate"] == pytest.approx(memory.rate())
    libsonata = pytest.importorskip("libsonata", reason="the reference reader of SONATA")
    theirs = libsonata.SpikeReader(str(path))["cells"].get_dict()
    np.testing.assert_array_equal(theirs["node_ids"], memory.ids)
    np.testing.assert_array_equal(theirs["timestamps"], memory.times)


def test_runs_are_joined_if_they_recorded_the_same():
    sim = snn.Simulation(network(), quiet=True)
    joined = snn.Result.concatenate([sim.run(100.0), sim.run(200.0)])
    straight = snn.Simulation(network(), quiet=True).run(300.0)
    record = joined.spikes["cells"]
    np.testing.assert_array_equal(record.times, straight.spikes["cells"].times)
    assert record.recorded.tolist() == [1, 3, 7] and record.t_stop == 300.0
    sim = snn.Simulation(network("whole"), quiet=True)
    first, second = sim.run(100.0), sim.run(100.0)
    part = snn.SpikeRecord("cells", [], [], 20, 100.0, 200.0, 0.1, recorded=[1, 3, 7])
    other = snn.Result({**second.spikes, "cells": part}, {}, {}, second.provenance, 100.0, 200.0)
    with pytest.raises(ModelError, match="recorded the same"):
        snn.Result.concatenate([first, other])


def test_parts_of_ranks():
    result = snn.Simulation(network(), quiet=True).run(100.0)
    assert merge([result]).spikes["cells"].recorded.tolist() == [1, 3, 7]


def test_a_killed_record_goes_on_with_the_same_neurons_only(tmp_path):
    path, state = tmp_path / "run.h5", tmp_path / "state.h5"
    sim = snn.Simulation(network(), quiet=True)
    sim.run(100.0)
    sim.checkpoint(state)
    writer = sim._recorder(path)
    writer.flush(100.0)
    other = network("whole")
    with pytest.raises(FormatError, match="other neurons. Record the same"):
        snn.Simulation.resume(state, other, quiet=True)._recorder(path, resume_at=100.0)
    writer.abort()


def test_raster_and_exports(tmp_path):
    result = snn.Simulation(network(), quiet=True).run(300.0)
    axes = snn.plot.raster(result)
    labels = [text.get_text() for text in axes.texts] + [tick.get_text() for tick in axes.get_yticklabels()]
    assert any("3 of 20" in text for text in labels)
    trains = result.spikes["cells"].to_neo()
    assert [t.annotations["node_id"] for t in trains] == [1, 3, 7]
    assert sum(len(t) for t in trains) == len(result.spikes["cells"])
    pynwb = pytest.importorskip("pynwb")
    with pynwb.NWBHDF5IO(str(result.to_nwb(tmp_path / "x.nwb")), "r") as io:
        units = io.read().units
        assert sorted(units["node_id"][:]) == [0, 1, 1, 3, 7]


def test_several_variables():
    net = network("whole")
    cells = net.populations["cells"]
    del net.probes[:]
    net.record(cells[:4], ["spikes", "v"], every=1.0)
    result = snn.Simulation(net, quiet=True).run(50.0)
    assert result.spikes["cells"].recorded.tolist() == [0, 1, 2, 3]
    assert result.states["cells"]["v"].shape == (50, 4)
    del net.probes[:]
    with pytest.raises(ModelError, match="every: is for states"):
        net.record("other", "spikes", every=1.0)


def test_a_classifier_wants_all_of_the_output():
    net = snn.Network(seed=1)
    pixels = net.population("pixels", 4, snn.SpikeArray([]))
    out = net.population("out", 3, snn.LIFDelta())
    net.connect(pixels, out, snn.all_to_all(), weight=1.0, delay=1.0)
    net.record(out[:2])
    with pytest.raises(ModelError, match="spikes of all of population 'out'"):
        snn.EventClassifier(net, "out", 10.0, 10)


def test_bad_neurons():
    with pytest.raises(ModelError, match="among the neurons recorded"):
        snn.SpikeRecord("a", [1.0], [2], 5, 0.0, 10.0, 0.1, recorded=[0, 1])
    with pytest.raises(ModelError, match="recorded: must be 0 to n_nodes - 1 = 4"):
        snn.SpikeRecord("a", [], [], 5, 0.0, 10.0, 0.1, recorded=[5])
