"""Heterogeneous delays are memory: 1,000 LIF neurons, current input held 10 ms, filter 30 ms; nothing is chosen by the
scores. Without delays the best of six settings is taken, on the scores themselves, which favours it.
"""

import numpy as np
import pytest

import reservoir
import snn
from reservoir import measures, tasks

N, STEPS, WASHOUT, CUT = 1000, 4000, 200, 3000


def scores(gain, win, delay, seed):
    """As :func:`judged`, of a spiking reservoir."""
    model = snn.LIFExp(
        tau_m=20.0, c_m=20.0, e_l=0.0, v_th=1.0, v_reset=0.0, t_ref=2.0, tau_syn_ex=5.0, tau_syn_in=5.0,
        i_e=snn.normal(0.9, 0.2),
    )  # fmt: skip
    net = reservoir.random_network(
        N, model, snn.pairwise_bernoulli(0.1), weight=gain / np.sqrt(0.1 * N), delay=delay, seed=seed
    )
    rng = np.random.default_rng(seed)
    w_in = rng.uniform(-win, win, (N, 1))
    liquid = reservoir.SpikingReservoir(net, {"exc": w_in[:800], "inh": w_in[800:]}, dt=1.0)
    u = rng.uniform(-1.0, 1.0, STEPS)
    return judged(liquid.states(u), u)


def judged(states, u):
    """(memory capacity of lags 1 to 40, NRMSE of NARMA-10), on the last quarter."""
    memory = measures.memory_capacity(states, u, 40, train=(CUT - WASHOUT) / (STEPS - WASHOUT), washout=WASHOUT)
    _, y = tasks.narma(STEPS, order=10, u=0.25 * (u + 1.0))
    readout = reservoir.Ridge().fit(states[WASHOUT:CUT], y[WASHOUT:CUT])
    return memory.sum(), measures.nrmse(readout.predict(states[CUT:]), y[CUT:])


def test_control_without_neurons():
    """The last 21 samples as states: what a shift register as long as the longest delay does."""
    for seed in (1, 2, 3):
        rng = np.random.default_rng(seed)
        rng.uniform(size=(N, 1))  # so that the input is that of ``scores``
        u = rng.uniform(-1.0, 1.0, STEPS)
        taps = np.stack([np.concatenate([np.zeros(k), u[: STEPS - k]]) for k in range(21)], axis=1)
        memory, error = judged(taps, u)
        print("shift register", seed, memory, error)
        assert memory == pytest.approx(20.0, abs=0.1)
        assert 0.3 < error < 0.45


@pytest.mark.slow
def test_delays_give_memory():
    long = np.array([scores(2.0, 1.2, snn.uniform(1.0, 200.0), seed) for seed in (1, 2, 3)])
    none = np.array([scores(gain, win, 1.0, 1) for gain in (1e-9, 0.5, 2.0) for win in (0.6, 1.2)])
    print("delays to 200 ms", long.round(3).tolist(), "none", none.round(3).tolist())
    assert long[:, 0].mean() >= 11.0
    assert long[:, 0].mean() >= 2.5 * none[:, 0].max()
    short = np.array([scores(2.0, 1.2, snn.uniform(1.0, 100.0), seed)[1] for seed in (1, 2, 3)])
    print("delays to 100 ms", short.round(3).tolist())
    assert short.mean() <= 0.62
    assert short.mean() < none[:, 1].min()
