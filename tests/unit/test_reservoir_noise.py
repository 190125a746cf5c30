"""Noise of spiking reservoirs: each sequence has its own, the same call gives the same."""

import numpy as np
import pytest

import reservoir
import snn

MODEL = {"tau_m": 20.0, "c_m": 20.0, "e_l": 0.0, "v_th": 1.0, "v_reset": 0.0, "t_ref": 2.0}
NOISE = [None, snn.Poisson(300.0), snn.NoiseCurrent(0.0, 1.0), snn.OrnsteinUhlenbeck(0.0, 1.0, 10.0)]
TRIAL = np.full((10, 5), 0.8)


class Seen:
    """A readout that keeps the states that it gets."""

    def __init__(self):
        self.reset()

    def reset(self):
        self.parts = []

    def partial_fit(self, x, y):
        self.parts.append(x)

    def solve(self):
        pass

    def predict(self, x):
        return x


def liquid(noise=None, seed=1, net_seed=1):
    """With a Poisson encoder; with ``noise``: currents and noise of the network's own."""
    model = snn.LIFExp(**MODEL, i_e=snn.normal(0.6, 0.2))
    net = reservoir.random_network(60, model, snn.fixed_indegree(8), weight=0.1, delay=snn.uniform(1, 9), seed=net_seed)
    if noise is not None:
        net.input("noise", "exc", noise, weight=0.3 if isinstance(noise, snn.Poisson) else None)
    w = np.random.default_rng(1).uniform(0.0, 0.6, (60, 5))
    encoder = reservoir.encoders.Poisson(100.0, seed=seed) if noise is None else None
    return reservoir.SpikingReservoir(
        net, {"exc": w[:48], "inh": w[48:]}, state="counts", encoder=encoder, readout=Seen()
    )


def fitted(net, draw=0):
    net.fit([TRIAL] * 3, [np.zeros(10)] * 3, draw=draw)
    return net.readout.parts


@pytest.mark.parametrize("noise", NOISE, ids=["encoder", "Poisson", "white", "Ornstein-Uhlenbeck"])
def test_each_sequence_has_noise_of_its_own_that_can_be_repeated(noise):
    net = liquid(noise)
    learned, told, others = fitted(net), net.predict([TRIAL] * 3), net.predict([TRIAL] * 3, draw=2)
    every = [*learned, *told, *others]
    for k, a in enumerate(every):
        assert not any(np.array_equal(a, b) for b in every[:k])
    assert all(np.array_equal(a, b) for a, b in zip(fitted(liquid(noise)), learned, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(net.predict([TRIAL] * 3), told, strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(net.predict([TRIAL] * 3, draw=0), learned, strict=True))
    # a series alone is the first of a list
    assert np.array_equal(net.states(TRIAL), learned[0]) and np.array_equal(net.states(TRIAL, draw=2), others[0])
    assert np.array_equal(net.predict(TRIAL), told[0]) and np.array_equal(fitted(net, draw=2)[2], others[2])
    if noise is not None:
        net.reset()
        assert np.array_equal(np.vstack([net.run(TRIAL[:4]), net.run(TRIAL[4:])]), learned[0])


@pytest.mark.parametrize("noise", ["escape", "source"])
def test_noise_of_neurons_and_sources(noise):
    net = snn.Network(seed=1)
    net.population("a", 20, snn.GIF(i_e=300.0) if noise == "escape" else snn.LIFExp())
    if noise == "source":
        net.population("from", 50, snn.Poisson(1000.0))
        net.connect("from", "a", snn.fixed_indegree(30), weight=25.0)
    driven = reservoir.SpikingReservoir(net, {"a": np.zeros((20, 1))}, state="counts", readout=Seen(), hold=20.0)
    u = np.zeros((20, 1))
    first, second = driven.predict([u, u])
    assert first.sum() > 20 and not np.array_equal(first, second)
    assert np.array_equal(driven.predict(u), first) and np.array_equal(driven.predict([u, u])[1], second)


def test_only_noise_is_drawn_anew():
    net = liquid(snn.Poisson(300.0))
    first, other = (net._simulation(net.net, TRIAL, draw) for draw in ((0, 0), (1, 3)))
    for name in net.net.projections:
        for a, b in zip(first.connections(name), other.connections(name), strict=True):
            assert np.array_equal(a, b)
    assert np.array_equal(first.compiled.constants.het_f, other.compiled.constants.het_f)  # currents that differ
    assert not net.net.probes and list(net.net.inputs) == ["noise"]


def test_trials_differ_as_poisson_counts_do():
    u = [np.full((10, 1), 1.0)] * 400
    rates = reservoir.encoders.Poisson(100.0, seed=3)
    counts = np.array([len(rates.redrawn((0, k)).spikes(a, 10.0, 1.0)[0]) for k, a in enumerate(u)])
    # binomial: 100 steps of probability 0.1; 5 SE of mean and variance
    assert counts.mean() == pytest.approx(10.0, abs=5 * 3.0 / 20)
    assert counts.var() == pytest.approx(9.0, abs=5 * 9.0 * np.sqrt(2 / 400))


def test_compositions_hand_the_draw_on():
    parts = [liquid(seed=1), liquid(seed=2, net_seed=2)]
    net = reservoir.Parallel([reservoir.Deep([parts[0]]), parts[1]], readout=Seen())
    learned, told = fitted(net), net.predict([TRIAL] * 2)
    for k in range(2):
        for draw, got in ((0, learned[k]), (1, told[k])):
            assert np.array_equal(got, np.hstack([part.predict([TRIAL] * 2, draw=draw)[k] for part in parts]))
    assert not np.array_equal(told[0], told[1]) and np.array_equal(net.states(TRIAL, draw=1), told[0])


def test_self_tuning_takes_a_draw():
    u = np.random.default_rng(1).uniform(-1.0, 1.0, (60, 1))
    net = reservoir.SelfTuningReservoir(n=60, seed=1, readout=Seen())
    net.net.input("noise", "exc", snn.Poisson(300.0), weight=0.1)
    net.fit([u, u], [u, u], draw=4)
    assert np.array_equal(net.states(u, draw=4), net.readout.parts[0])
    assert not np.array_equal(*net.readout.parts)


@pytest.mark.parametrize("call", ["fit", "predict", "states"])
def test_a_draw_is_a_number(call):
    given = (TRIAL, np.zeros(10)) if call == "fit" else (TRIAL,)
    with pytest.raises(snn.ModelError, match=rf"{call}.draw: must be an integer >= 0; got -1"):
        getattr(liquid(), call)(*given, draw=-1)
