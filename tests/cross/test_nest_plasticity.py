"""Plasticity rules against NEST's synapses: the same pre- and postsynaptic spikes, the same weights after 10 s.

Delays differ from synapse to synapse, and spikes of both sides often meet a synapse in the same step. NEST applies
postsynaptic spikes when the next presynaptic spike is sent, so all sources spike once more at the end. Where NEST
approximates:

- stdp_nn_symm_synapse and stdp_nn_restr_synapse take a source that has not spiked yet as one that spiked at time 0; so
  all sources spike before the first postsynaptic spike there;
- vogels_sprekeler_synapse bounds the two parts of a presynaptic change one after the other; so w_max is not reached;
- jonke_synapse lets postsynaptic spikes take a weight below 0; so 0 is not reached.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest

import plasticity
import snn

nest = pytest.importorskip("nest", reason="peers extra not installed")

DT, DURATION, N_PRE, N_POST = 0.1, 10_000.0, 12, 8
NEURON = {"tau_m": 10.0, "c_m": 250.0, "e_l": -70.0, "v_th": -55.0, "v_reset": -70.0, "t_ref": 0.1}
NAMES = {"e_l": "E_L", "v_th": "V_th", "v_reset": "V_reset", "c_m": "C_m"}


class Case(NamedTuple):
    """A rule in both simulators; ``archive``: traces that NEST keeps in the postsynaptic neuron."""

    rule: plasticity.PlasticityRule
    nest: str
    params: dict[str, float]
    archive: dict[str, float]
    weights: tuple[float, float] = (0.05, 0.95)
    pre_first: bool = False


def pair(rule: Any, model: str, mu_plus: float, mu_minus: float, alpha: float, **more: Any) -> Case:
    ours = rule(tau_plus=15.0, tau_minus=25.0, lambda_=0.05, alpha=alpha, mu_plus=mu_plus, mu_minus=mu_minus, w_max=1.0)
    params = {"tau_plus": 15.0, "lambda": 0.05, "alpha": alpha, "mu_plus": mu_plus, "mu_minus": mu_minus, "Wmax": 1.0}
    return Case(ours, model, params, {"tau_minus": 25.0}, **more)


def triplet(
    a_plus: float, a_plus_triplet: float, a_minus: float, a_minus_triplet: float, tau_x: float, tau_y: float
) -> Case:
    ours = plasticity.STDPTriplet(
        tau_plus_triplet=tau_x, tau_minus_triplet=tau_y, a_plus=a_plus, a_plus_triplet=a_plus_triplet,
        a_minus=a_minus, a_minus_triplet=a_minus_triplet, w_max=1.0,
    )  # fmt: skip
    params = {"tau_plus": 16.8, "tau_plus_triplet": tau_x, "Aplus": a_plus, "Aplus_triplet": a_plus_triplet,
              "Aminus": a_minus, "Aminus_triplet": a_minus_triplet, "Wmax": 1.0}  # fmt: skip
    return Case(ours, "stdp_triplet_synapse", params, {"tau_minus": 33.7, "tau_minus_triplet": tau_y})


def power_law(mu: float, alpha: float) -> Case:
    ours = plasticity.STDPPowerLaw(tau_plus=15.0, tau_minus=30.0, lambda_=0.05, alpha=alpha, mu=mu)
    params = {"tau_plus": 15.0, "lambda": 0.05, "alpha": alpha, "mu": mu}
    return Case(ours, "stdp_pl_synapse_hom", params, {"tau_minus": 30.0})


def vogels(sign: float, eta: float, alpha: float) -> Case:
    ours = plasticity.VogelsSprekeler(tau=25.0, eta=eta, alpha=alpha, w_max=20.0 * sign)
    params = {"tau": 25.0, "eta": eta, "alpha": alpha, "weight": sign, "Wmax": 20.0 * sign}
    low, high = sorted((0.05 * sign, 0.95 * sign))
    return Case(ours, "vogels_sprekeler_synapse", params, {"tau_minus": 25.0}, (low, high))


def jonke(alpha: float, beta: float, mu_plus: float, mu_minus: float) -> Case:
    params = {"tau_plus": 15.0, "lambda": 0.002, "alpha": alpha, "beta": beta, "mu_plus": mu_plus, "mu_minus": mu_minus,
              "Wmax": 1.0}  # fmt: skip
    ours = plasticity.Jonke(tau_plus=15.0, tau_minus=25.0, lambda_=0.002, alpha=alpha, beta=beta, mu_plus=mu_plus,
                            mu_minus=mu_minus, w_max=1.0)  # fmt: skip
    return Case(ours, "jonke_synapse", params, {"tau_minus": 25.0}, (0.3, 0.7))


CASES = {
    "additive": pair(plasticity.STDPPair, "stdp_synapse", 0.0, 0.0, 1.0),
    "multiplicative": pair(plasticity.STDPPair, "stdp_synapse", 1.0, 1.0, 1.3),
    "Guetig": pair(plasticity.STDPPair, "stdp_synapse", 0.4, 0.2, 0.9),
    "power law": power_law(0.4, 1.0),
    "power law, mu = 0": power_law(0.0, 0.7),
    "nearest symmetric, additive": pair(
        plasticity.STDPNearestSymmetric, "stdp_nn_symm_synapse", 0.0, 0.0, 1.0, pre_first=True
    ),
    "nearest symmetric, Guetig": pair(
        plasticity.STDPNearestSymmetric, "stdp_nn_symm_synapse", 0.4, 0.2, 0.9, pre_first=True
    ),
    "nearest pre-centred, additive": pair(
        plasticity.STDPNearestPreCentered, "stdp_nn_pre_centered_synapse", 0.0, 0.0, 1.0
    ),
    "nearest pre-centred, Guetig": pair(
        plasticity.STDPNearestPreCentered, "stdp_nn_pre_centered_synapse", 0.4, 0.2, 0.9
    ),
    "nearest restricted, additive": pair(
        plasticity.STDPNearestRestricted, "stdp_nn_restr_synapse", 0.0, 0.0, 1.0, pre_first=True
    ),
    "nearest restricted, Guetig": pair(
        plasticity.STDPNearestRestricted, "stdp_nn_restr_synapse", 0.4, 0.2, 0.9, pre_first=True
    ),
    "triplet, visual full": triplet(5e-10, 6.2e-3, 7e-3, 2.3e-4, 101.0, 125.0),
    "triplet, visual minimal": triplet(0.0, 6.5e-3, 7.1e-3, 0.0, 101.0, 114.0),
    "triplet, all four terms": triplet(6.1e-3, 6.7e-3, 1.6e-3, 2.5e-4, 946.0, 27.0),
    "triplet, hippocampal minimal": triplet(5.3e-3, 8e-3, 3.5e-3, 0.0, 101.0, 40.0),
    "Vogels, inhibitory": vogels(-1.0, 0.01, 0.7),
    "Vogels, excitatory": vogels(1.0, 0.02, 0.8),
    "Jonke, constant decrease": jonke(0.6, 0.1, 0.0, 0.0),
    "Jonke, exponential": jonke(0.6, 0.0, 0.5, -0.3),
    "Jonke, all terms": jonke(0.5, 0.1, -1.0, -0.7),
}


def trains(pre_first: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """(presynaptic, postsynaptic) spike times of each neuron in ms."""
    rng = np.random.default_rng(4)
    pre = [np.append(np.unique(rng.integers(20, 97_000, 200)), 99_000) * DT for _ in range(N_PRE)]
    post = [np.unique(rng.integers(10, 32_000, 150)) * 3 * DT for _ in range(N_POST)]
    if pre_first:
        pre = [np.concatenate(([(3 + k) * DT], times)) for k, times in enumerate(pre)]
    return pre, post


def nest_weights(case: Case, pre: list, post: list, source: Any, target: Any, weight: Any, delay: Any) -> np.ndarray:
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus({"resolution": DT})
    cells = nest.Create("iaf_psc_delta", N_POST, {**{NAMES.get(k, k): v for k, v in NEURON.items()}, **case.archive})
    sources, drivers = nest.Create("spike_generator", N_PRE), nest.Create("spike_generator", N_POST)
    sources.set([{"spike_times": t - DT} for t in pre])
    drivers.set([{"spike_times": t - DT} for t in post])
    relays = nest.Create("parrot_neuron", N_PRE)
    nest.Connect(sources, relays, "one_to_one", {"delay": DT})
    nest.Connect(drivers, cells, "one_to_one", {"delay": DT, "weight": 1000.0})
    nest.CopyModel(case.nest, "learning", case.params)
    first, cell = relays.tolist()[0], cells.tolist()[0]
    nest.Connect(first + source, cell + target, "one_to_one",
                 {"weight": weight, "delay": delay, "synapse_model": "learning"})  # fmt: skip
    recorder = nest.Create("spike_recorder")
    nest.Connect(cells, recorder)
    nest.Simulate(DURATION)
    assert len(recorder.events["times"]) == sum(map(len, post)), "the drivers alone must cause the spikes"
    found = nest.GetConnections(relays, cells).get(["source", "target", "weight"])
    weights = np.full((N_PRE, N_POST), np.nan)
    weights[np.array(found["source"]) - first, np.array(found["target"]) - cell] = found["weight"]
    return weights


def our_weights(case: Case, pre: list, post: list, source: Any, target: Any, weight: Any, delay: Any) -> np.ndarray:
    net = snn.Network()
    a = net.population("a", N_PRE, snn.SpikeArray.from_spiketrains(pre))
    b = net.population("b", N_POST, snn.LIFDelta(**NEURON))
    net.input("drive", b, snn.SpikeArray.from_spiketrains(post), weight=1000.0)
    net.connect(a, b, snn.from_arrays(source, target), weight=weight, delay=delay, plasticity=case.rule)
    net.record(b)
    sim = snn.Simulation(net, dt=DT, quiet=True)
    spikes = sim.run(DURATION).spikes["b"]
    assert len(spikes) == sum(map(len, post)), "the drivers alone must cause the spikes"
    weights = np.full((N_PRE, N_POST), np.nan)
    s, t, w, _ = sim.connections("a->b")
    weights[s, t] = w
    return weights


@pytest.mark.parametrize("name", CASES)
def test_weights_after_ten_seconds(name):
    case = CASES[name]
    pre, post = trains(case.pre_first)
    rng = np.random.default_rng(5)
    source, target = (x.ravel() for x in np.meshgrid(np.arange(N_PRE), np.arange(N_POST), indexing="ij"))
    delay = rng.integers(1, 80, source.size) * DT
    weight = rng.uniform(*case.weights, source.size)
    ours = our_weights(case, pre, post, source, target, weight, delay)
    expected = nest_weights(case, pre, post, source, target, weight, delay)
    np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-14)
    assert np.median(np.abs(ours.ravel() - weight)) > 0.01, "weights must have moved"
    assert len(np.unique(ours)) > ours.size / 3, "not all of them to a bound"


@pytest.mark.parametrize("b", [0.0, 2e-3])
def test_dopamine(b):
    """stdp_dopamine_synapse with a volume_transmitter, which brings all weights up to date at the end."""
    rng = np.random.default_rng(6)
    pre, post = trains(pre_first=False)
    dopa = np.unique(rng.integers(30, 97_000, 60)) * DT
    source, target = (x.ravel() for x in np.meshgrid(np.arange(N_PRE), np.arange(N_POST), indexing="ij"))
    delay = rng.integers(1, 80, source.size) * DT
    weight = rng.uniform(5.0, 15.0, source.size)
    dopa_delay = 2.3

    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus({"resolution": DT})
    neuron = {**{NAMES.get(k, k): v for k, v in NEURON.items()}, "V_th": 1e6, "tau_minus": 25.0}
    cells = nest.Create("iaf_psc_delta", N_POST, neuron)
    sources, drivers, releases = (nest.Create("spike_generator", k) for k in (N_PRE, N_POST, 1))
    sources.set([{"spike_times": t - DT} for t in pre])
    drivers.set([{"spike_times": t - DT} for t in post])
    releases.set(spike_times=dopa - DT)
    relays, dopaminergic = nest.Create("parrot_neuron", N_PRE), nest.Create("parrot_neuron")
    transmitter = nest.Create("volume_transmitter")
    nest.Connect(sources, relays, "one_to_one", {"delay": DT})
    nest.Connect(releases, dopaminergic, "one_to_one", {"delay": DT})
    nest.Connect(drivers, cells, "one_to_one", {"delay": DT, "weight": 1e9})
    nest.Connect(dopaminergic, transmitter, "one_to_one", {"delay": dopa_delay})
    params = {"A_plus": 0.1, "A_minus": 0.1, "tau_plus": 15.0, "tau_c": 400.0, "tau_n": 150.0, "b": b, "Wmin": -50.0,
              "Wmax": 50.0, "volume_transmitter": transmitter}  # fmt: skip
    nest.CopyModel("stdp_dopamine_synapse", "learning", params)
    first, cell = relays.tolist()[0], cells.tolist()[0]
    nest.Connect(first + source, cell + target, "one_to_one",
                 {"weight": weight, "delay": delay, "synapse_model": "learning"})  # fmt: skip
    nest.Simulate(DURATION)
    found = nest.GetConnections(relays, cells).get(["source", "target", "weight"])
    expected = np.full((N_PRE, N_POST), np.nan)
    expected[np.array(found["source"]) - first, np.array(found["target"]) - cell] = found["weight"]

    net = snn.Network()
    a = net.population("a", N_PRE, snn.SpikeArray.from_spiketrains(pre))
    release = net.population("dopamine", 1, snn.SpikeArray.from_spiketrains([dopa]))
    cells_ = net.population("b", N_POST, snn.LIFDelta(**NEURON | {"v_th": 1e6}))
    net.input("drive", cells_, snn.SpikeArray.from_spiketrains(post), weight=1e9)
    rule = plasticity.DopamineSTDP(a_plus=0.1, a_minus=0.1, tau_plus=15.0, tau_minus=25.0, tau_c=400.0, tau_n=150.0,
                                   b=b, w_min=-50.0, w_max=50.0)  # fmt: skip
    net.connect(a, cells_, snn.from_arrays(source, target), weight=weight, delay=delay, plasticity=rule, name="p")
    net.modulate("p", release, delay=dopa_delay)
    sim = snn.Simulation(net, dt=DT, quiet=True)
    sim.run(DURATION)
    s, t, w, _ = sim.connections("p")
    ours = np.full((N_PRE, N_POST), np.nan)
    ours[s, t] = w
    np.testing.assert_allclose(ours, expected, rtol=1e-10)
    assert np.median(np.abs(ours.ravel() - weight)) > 1.0 and len(np.unique(ours)) > ours.size / 3


@pytest.mark.parametrize("u_se, tau_rec, tau_fac", [(0.5, 800.0, 0.0), (0.05, 125.0, 1200.0), (0.3, 200.0, 50.0)])
def test_short_term_plasticity(u_se, tau_rec, tau_fac):
    """tsodyks2_synapse: the membrane potential of cells without threshold."""
    pre, _ = trains(pre_first=False)
    rng = np.random.default_rng(7)
    weight, delay = rng.uniform(0.5, 2.0, N_PRE), rng.integers(1, 80, N_PRE) * DT
    neuron = NEURON | {"v_th": 1e6}

    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus({"resolution": DT})
    cells = nest.Create("iaf_psc_delta", N_PRE, {NAMES.get(k, k): v for k, v in neuron.items()})
    sources, relays = nest.Create("spike_generator", N_PRE), nest.Create("parrot_neuron", N_PRE)
    sources.set([{"spike_times": t - DT} for t in pre])
    nest.Connect(sources, relays, "one_to_one", {"delay": DT})
    nest.Connect(relays, cells, "one_to_one",
                 {"synapse_model": "tsodyks2_synapse", "weight": weight, "delay": delay, "U": u_se, "u": u_se,
                  "x": 1.0, "tau_rec": tau_rec, "tau_fac": tau_fac})  # fmt: skip
    meter = nest.Create("multimeter", {"record_from": ["V_m"], "interval": DT})
    nest.Connect(meter, cells)
    nest.Simulate(3000.0)
    events = meter.events
    order = np.lexsort((events["times"], events["senders"]))
    expected = events["V_m"][order].reshape(N_PRE, -1)

    net = snn.Network()
    a = net.population("a", N_PRE, snn.SpikeArray.from_spiketrains(pre))
    b = net.population("b", N_PRE, snn.LIFDelta(**neuron))
    rule = plasticity.TsodyksMarkram(u_se=u_se, tau_rec=tau_rec, tau_fac=tau_fac)
    pairs = snn.from_arrays(np.arange(N_PRE), np.arange(N_PRE))
    net.connect(a, b, pairs, weight=weight, delay=delay, short_term=rule)
    net.record(b, "v", every=DT)
    ours = snn.Simulation(net, dt=DT, quiet=True).run(3000.0).states["b"]["v"].T[:, :-1]
    np.testing.assert_allclose(ours - NEURON["e_l"], expected - NEURON["e_l"], rtol=1e-10, atol=1e-12)
    assert ours.max() > NEURON["e_l"] + 0.1
