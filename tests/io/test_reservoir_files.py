"""Reservoirs and readouts written and read back: they go on bit for bit."""

import h5py
import numpy as np
import pytest

import reservoir
import snn


def rate(n, n_inputs=1, seed=1, **options):
    return reservoir.EchoStateNetwork.random(n, n_inputs, bias_scale=0.1, seed=seed, threads=1, **options)


def reservoirs():
    return [
        rate(30, leak=np.linspace(0.2, 1.0, 30)),
        reservoir.DaleNetwork.random(40, indegree=10, threshold=0.1, seed=2, threads=1),
        reservoir.Deep([rate(12), reservoir.Parallel([rate(10, 12, seed=3), rate(8, 12, seed=4)])]),
    ]


@pytest.mark.parametrize("k", range(3))
def test_reservoir_goes_on_from_its_state(tmp_path, k):
    net = reservoirs()[k]
    net.readout = reservoir.Ridge()
    u = np.random.default_rng(5).normal(size=(200, 1))
    net.fit(u, np.roll(u, 2), washout=10)
    net.run(u[:50])
    reservoir.save(tmp_path / "net.h5", net)
    again = reservoir.load(tmp_path / "net.h5")
    assert type(again) is type(net) and again.readout.chosen == net.readout.chosen
    assert np.array_equal(again.run(u[50:60]), net.run(u[50:60]))
    assert np.array_equal(again.predict(u), net.predict(u))


READOUTS = [reservoir.Ridge(), reservoir.RLS(0.3, 0.99), reservoir.NLMS(0.2, tau=50.0), reservoir.Softmax(0.5)]


@pytest.mark.parametrize("readout", READOUTS, ids=lambda r: type(r).__name__)
def test_readout_goes_on_learning(tmp_path, readout):
    rng = np.random.default_rng(6)
    x, labels = rng.normal(size=(120, 7)), rng.integers(0, 2, 120)
    y = np.eye(2)[labels]
    readout.reset()
    reservoir.save(tmp_path / "unfitted.h5", readout)
    readout.partial_fit(x[:60], y[:60])
    reservoir.save(tmp_path / "readout.h5", readout)
    again, first = reservoir.load(tmp_path / "readout.h5"), reservoir.load(tmp_path / "unfitted.h5")
    with pytest.raises(snn.ModelError, match="has seen no states"):
        first.predict(x)
    for one in (readout, again):
        one.partial_fit(x[60:], y[60:])
        one.solve()
    assert np.array_equal(again.predict(x), readout.predict(x)) and readout.weights.any()


def test_other_objects_and_files_are_refused(tmp_path):
    net = reservoir.random_network(10, snn.LIFDelta(), snn.fixed_indegree(2), weight=0.1)
    liquid = reservoir.SpikingReservoir(net, {"exc": np.ones((8, 1))})
    with pytest.raises(snn.ModelError, match=r"got SpikingReservoir\. Of others save the readout"):
        reservoir.save(tmp_path / "a.h5", liquid)
    assert not list(tmp_path.iterdir())
    with pytest.raises(snn.FormatError, match="a.h5"):
        reservoir.load(tmp_path / "a.h5")
    reservoir.save(tmp_path / "a.h5", rate(10))
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["arrays/what/x"][3] = 1.0
    with pytest.raises(snn.FormatError, match="is damaged"):
        reservoir.load(tmp_path / "a.h5")
    from snn.io import own

    for what in ({"class": "Network", "fields": {}}, {"class": "Ridge", "fields": {}}, {"array": "none"},
                 {"class": "Ridge", "fields": {"penalty": 1.0, "_older": 1.0}}):  # fmt: skip
        own.write(tmp_path / "b.h5", "volley reservoir", 1, {"what": what}, {})
        with pytest.raises(snn.FormatError, match="is no whole reservoir"):
            reservoir.load(tmp_path / "b.h5")
