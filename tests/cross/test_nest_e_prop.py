"""e-prop against NEST's ``eprop_synapse_bsshslm_2020`` and its neurons: readouts, and weights after four updates.

NEST's neurons have no factor 1 - alpha before their input, so its thresholds are ours over 1 - alpha; its ``t_ref`` of
n + 1 steps keeps a neuron silent for n. A spike of a source in the second step of a trial (the first has none) NEST
counts to the trial before. Trials begin with two silent steps here; a test says what a spike in the second does.
"""

import numpy as np
import pytest

from plasticity import EProp

nest = pytest.importorskip("nest", reason="peers extra not installed")

N_IN, N, N_OUT, STEPS, TRIALS, ETA = 12, 16, 2, 120, 4, 1e-4
NAMES = ("w_in", "w_rec", "w_out")


def nest_run(net, x, target, window):
    """(weights by name, readouts of shape (TRIALS, STEPS, N_OUT)) after plain gradient descent on every trial."""
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.set(resolution=1.0, eprop_update_interval=float(STEPS), eprop_learning_window=float(window),
             eprop_reset_neurons_on_update=True)  # fmt: skip
    late = 4.0  # from the generators' first step to the readout's
    tau_m, tau_a, tau_out = (-1.0 / np.log(decay) for decay in (net.alpha, net.rho, net.kappa))
    v_th = net.v_th / (1.0 - net.alpha)
    cell = {
        "C_m": 1.0, "E_L": 0.0, "V_m": 0.0, "V_th": v_th, "tau_m": tau_m, "c_reg": net.c_reg, "f_target": net.f_target,
        "surrogate_gradient_function": "piecewise_linear", "surrogate_gradient_height": net.gamma / v_th,
        "surrogate_gradient_width": v_th, "t_ref": net.n_ref + 1.0 if net.n_ref else 0.0,
    }  # fmt: skip
    adaptive = np.flatnonzero(net.beta)
    cells = nest.Create("eprop_iaf_bsshslm_2020", N - adaptive.size, cell)
    strength = net.beta[adaptive] * (1.0 - net.rho) / (1.0 - net.alpha)
    cells += (more := nest.Create("eprop_iaf_adapt_bsshslm_2020", adaptive.size, cell | {"adapt_tau": tau_a}))
    more.set([{"adapt_beta": beta} for beta in strength])
    loss = {"mse": "mean_squared_error"}.get(net.loss, net.loss)
    readouts = nest.Create("eprop_readout_bsshslm_2020", N_OUT,
                           {"C_m": 1.0, "tau_m": tau_out, "loss": loss, "regular_spike_arrival": False})  # fmt: skip
    generators, inputs = nest.Create("spike_generator", N_IN), nest.Create("parrot_neuron", N_IN)
    goals = nest.Create("step_rate_generator", N_OUT)
    time = 1.0 + np.arange(TRIALS * STEPS)
    generators.set([{"spike_times": time[s > 0]} for s in np.concatenate(x).T])
    goals.set([{"amplitude_times": time - 1.0 + late, "amplitude_values": v} for v in np.concatenate(target).T])
    optimizer = {"type": "gradient_descent", "eta": ETA, "batch_size": 1, "Wmin": -100.0, "Wmax": 100.0}
    nest.SetDefaults("eprop_synapse_bsshslm_2020", {"optimizer": optimizer, "average_gradient": False})
    pairs = {"rule": "all_to_all", "allow_autapses": False}
    rate = {"synapse_model": "rate_connection_delayed", "delay": 1.0}
    learned = {"w_in": (inputs, cells), "w_rec": (cells, cells), "w_out": (cells, readouts)}
    for name, ends in learned.items():
        nest.Connect(*ends, pairs, {"synapse_model": "eprop_synapse_bsshslm_2020", "delay": 1.0,
                                    "tau_m_readout": tau_out, "weight": getattr(net, name)})  # fmt: skip
    nest.Connect(generators, inputs, "one_to_one", {"delay": 1.0})
    nest.Connect(readouts, cells, pairs, {"synapse_model": "eprop_learning_signal_connection_bsshslm_2020",
                                          "delay": 1.0, "weight": net.feedback_weights})  # fmt: skip
    nest.Connect(goals, readouts, "one_to_one", rate | {"receptor_type": 2})
    if net.loss == "cross_entropy":
        nest.Connect(readouts, readouts, pairs, rate | {"receptor_type": 1})
    meter = nest.Create("multimeter", {"interval": 1.0, "record_from": ["V_m"], "start": late - 1.0})
    nest.Connect(meter, readouts)
    # changes are applied by the next spike of a source: each gets one more at the end
    end = nest.Create("spike_generator", {"spike_times": [time[-1] + late + 2.0]})
    nest.Connect(end, inputs + cells, "all_to_all", {"weight": 1000.0})
    nest.Simulate(time[-1] + late + 4.0)
    weights = {}
    for name, (sources, targets) in learned.items():
        found = nest.GetConnections(sources, targets).get(["source", "target", "weight"], output="pandas")
        weights[name] = np.zeros((len(targets), len(sources)))
        weights[name][found["target"] - targets[0].global_id, found["source"] - sources[0].global_id] = found["weight"]
    seen = meter.events
    y = [seen["V_m"][seen["senders"] == r][: TRIALS * STEPS] for r in readouts.tolist()]
    return weights, np.transpose(y).reshape(TRIALS, STEPS, N_OUT)


def our_run(net, x, target, mask):
    readouts = []
    for trial, goal in zip(x, target, strict=True):
        readouts.append(net.run(trial)[0])
        _, gradients = net.gradients(trial, goal, mask)
        for name in NAMES:
            setattr(net, name, getattr(net, name) - ETA * gradients[name])
    return {name: getattr(net, name) for name in NAMES}, np.array(readouts)


def case(loss, t_ref, silent):
    rng = np.random.default_rng(1)
    net = EProp(N_IN, N, N_OUT, v_th=0.05, tau_m=20.0, tau_out=15.0, tau_a=150.0, beta=np.repeat([0.0, 0.7], N // 2),
                t_ref=t_ref, c_reg=30.0, f_target=10.0, feedback="random", loss=loss, seed=3)  # fmt: skip
    x = (rng.random((TRIALS, STEPS, N_IN)) < 0.06).astype(float)
    x[:, :silent] = 0.0
    window = STEPS if loss == "mse" else 40
    target = 0.2 * np.cumsum(rng.normal(size=(TRIALS, STEPS, N_OUT)), axis=1)
    if loss == "cross_entropy":
        target = np.repeat(np.eye(N_OUT)[rng.integers(0, N_OUT, TRIALS)][:, None], STEPS, axis=1)
    return net, x, target, (np.arange(STEPS) >= STEPS - window).astype(float), window


@pytest.mark.parametrize("loss, t_ref", [("mse", 0.0), ("mse", 3.0), ("cross_entropy", 3.0)])
def test_four_updates(loss, t_ref):
    net, x, target, mask, window = case(loss, t_ref, silent=2)
    before = {name: getattr(net, name).copy() for name in NAMES}
    expected, nest_readouts = nest_run(net, x, target, window)
    weights, readouts = our_run(net, x, target, mask)
    np.testing.assert_allclose(readouts, nest_readouts, rtol=0.0, atol=1e-13)
    for name in NAMES:
        change = np.abs(expected[name] - before[name]).max()
        assert change > 1e-4
        np.testing.assert_allclose(weights[name], expected[name], rtol=0.0, atol=1e-10 * change, err_msg=name)


def test_what_a_spike_in_the_second_step_does():
    """Only the synapses of a source that spikes there learn otherwise, and those by less than a per cent."""
    net, x, target, mask, window = case("mse", 0.0, silent=1)
    early = x[1:, 1].any(axis=0)
    assert 0 < early.sum() < N_IN // 2
    before = net.w_in.copy()
    expected, _ = nest_run(net, x, target, window)
    weights, _ = our_run(net, x, target, mask)
    error = np.abs(weights["w_in"] - expected["w_in"]).max(axis=0) / np.abs(expected["w_in"] - before).max()
    assert 1e-3 < error[early].max() < 0.01 and error[~early].max() < 1e-4
