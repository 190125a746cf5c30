"""Synapses with random release against NEST's: how often each number of quanta is delivered, spike by spike."""

import numpy as np
import pytest
from scipy import stats

import plasticity
import snn

nest = pytest.importorskip("nest", reason="peers extra not installed")

ALPHA = 1e-3  # family-wise, over all cases of this file (Bonferroni)
N, GAP, SPIKES = 4000, 20.0, 8
TRAIN = 10.0 + GAP * np.arange(SPIKES)
CASES = [
    ("bernoulli_synapse", {"p_transmit": 0.3}, plasticity.Bernoulli(p_transmit=0.3)),
    ("bernoulli_synapse", {"p_transmit": 0.85}, plasticity.Bernoulli(p_transmit=0.85)),
    *(
        (
            "quantal_stp_synapse",
            {"U": u_se, "u": u_se, "n": n, "a": n, "tau_rec": tau_rec, "tau_fac": tau_fac},
            plasticity.QuantalSTP(u_se=u_se, n=n, tau_rec=tau_rec, tau_fac=tau_fac),
        )
        for n, u_se, tau_rec, tau_fac in ((1, 0.5, 100.0, 0.0), (5, 0.2, 60.0, 300.0), (12, 0.7, 200.0, 30.0))
    ),
]
TESTS = len(CASES) * (SPIKES + 1)


def by_nest(model, params):
    """What each of N synapses of one source delivers of each spike, shape (spikes, synapses)."""
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus({"resolution": 1.0, "rng_seed": 5})
    cells = nest.Create("iaf_psc_delta", N, {"tau_m": 1e15, "E_L": 0.0, "V_m": 0.0, "V_th": 1e9, "V_reset": -1.0})
    source, relay = nest.Create("spike_generator", params={"spike_times": TRAIN}), nest.Create("parrot_neuron")
    nest.Connect(source, relay, syn_spec={"delay": 1.0})
    nest.Connect(relay, cells, syn_spec={"synapse_model": model, "weight": 1.0, "delay": 1.0, **params})
    meter = nest.Create("multimeter", params={"record_from": ["V_m"], "interval": GAP})
    nest.Connect(meter, cells)
    nest.Simulate(GAP * SPIKES + 1.0)
    events = meter.events
    order = np.lexsort((events["senders"], events["times"]))
    return np.round(np.diff(events["V_m"][order].reshape(SPIKES, N), axis=0, prepend=0.0))


def by_us(rule):
    net = snn.Network(seed=5)
    a = net.population("a", 1, snn.SpikeArray(TRAIN))
    b = net.population("b", N, snn.LIFDelta(tau_m=1e15, e_l=0.0, v_th=1e9, v_reset=-1.0))
    net.connect(a, b, snn.all_to_all(), weight=1.0, delay=1.0, short_term=rule)
    net.record(b, "v", every=GAP)
    v = snn.Simulation(net, dt=1.0, quiet=True).run(GAP * SPIKES).states["b"]["v"]
    return np.round(np.diff(v, axis=0, prepend=0.0))


def alike(x, y):
    """The level at which two samples of whole numbers are of one law (chi-square, rare numbers together)."""
    counts = np.array([np.bincount(z.astype(int), minlength=int(max(x.max(), y.max())) + 1) for z in (x, y)])
    rare = counts.sum(axis=0) < 20
    counts = np.concatenate((counts[:, ~rare], counts[:, rare].sum(axis=1, keepdims=True)), axis=1)
    return stats.chi2_contingency(counts[:, counts.sum(axis=0) > 0]).pvalue


@pytest.mark.parametrize(("model", "params", "rule"), CASES, ids=[repr(rule) for *_, rule in CASES])
def test_numbers_of_quanta(model, params, rule):
    theirs, ours = by_nest(model, params), by_us(rule)
    assert np.unique(ours).size > 1 and theirs.sum() > 1000
    for x, y in zip(theirs, ours, strict=True):
        assert alike(x, y) > ALPHA / TESTS
    assert alike(theirs.sum(axis=0), ours.sum(axis=0)) > ALPHA / TESTS  # also how spikes depend on each other
