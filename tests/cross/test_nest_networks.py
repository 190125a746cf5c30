"""Spike for spike against NEST: recurrent networks with fixed input, random weights, heterogeneous delays."""

import numpy as np
import pytest

import snn

nest = pytest.importorskip("nest", reason="peers extra not installed")

N, DURATION, DT = 200, 1000.0, 0.1
MODELS = {
    "LIFDelta": ("iaf_psc_delta", 1.0, {}),
    "LIFExp": ("iaf_psc_exp", 90.0, {"tau_syn_ex": 1.5, "tau_syn_in": 4.0}),
    "LIFExp, equal time constants": ("iaf_psc_exp", 30.0, {"tau_syn_ex": 10.0, "tau_syn_in": 10.0}),
    "LIFAlpha": ("iaf_psc_alpha", 60.0, {"tau_syn_ex": 1.5, "tau_syn_in": 4.0}),
}


def description(seed, strength):
    """Edges and input spikes as plain arrays, for both simulators."""
    rng = np.random.default_rng(seed)
    n_edges, n_in = 20 * N, 40
    source, target = rng.integers(0, N, (2, n_edges))
    sign = np.where(source < 160, 1.0, -5.0)
    weight = sign * strength * rng.uniform(0.2, 1.0, n_edges)
    delay = rng.integers(1, 60, n_edges) * DT
    trains = [np.unique(rng.integers(10, int(DURATION / DT), 250)) * DT for _ in range(n_in)]
    in_source, in_target = rng.integers(0, n_in, 10 * N), np.repeat(np.arange(N), 10)
    in_weight = strength * rng.uniform(0.5, 2.0, 10 * N)
    in_delay = rng.integers(1, 30, 10 * N) * DT
    return (source, target, weight, delay), trains, (in_source, in_target, in_weight, in_delay)


def run_nest(model, params, seed, strength, local_threads=1):
    edges, trains, inputs = description(seed, strength)
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus({"resolution": DT, "local_num_threads": local_threads})
    names = {"e_l": "E_L", "v_th": "V_th", "v_reset": "V_reset", "t_ref": "t_ref", "tau_m": "tau_m", "c_m": "C_m"}
    pop = nest.Create(model, N, {names.get(k, k): v for k, v in params.items()})
    sources = nest.Create("spike_generator", len(trains))
    sources.set([{"spike_times": t} for t in trains])
    for pre, (s, t, w, d) in ((pop, edges), (sources, inputs)):
        nest.Connect(np.array(pre.tolist())[s], np.array(pop.tolist())[t], "one_to_one",
                     {"weight": w, "delay": d, "synapse_model": "static_synapse"})  # fmt: skip
    spikes, meter = nest.Create("spike_recorder"), nest.Create("multimeter", {"record_from": ["V_m"], "interval": DT})
    nest.Connect(pop, spikes)
    nest.Connect(meter, pop)
    nest.Simulate(DURATION + DT)  # the meter's last sample lies one step before the end
    fired, seen = spikes.events, meter.events  # each time that they are asked for takes a second
    times, senders = (np.asarray(fired[k]) for k in ("times", "senders"))
    order = np.lexsort((senders, times))
    v, at = np.asarray(seen["V_m"]), np.rint(np.asarray(seen["times"]) / DT).astype(int)
    trace = np.full((int(DURATION / DT), N), np.nan)
    keep = at <= len(trace)
    trace[at[keep] - 1, np.asarray(seen["senders"])[keep] - pop.tolist()[0]] = v[keep]
    inside = times[order] < DURATION + DT / 2
    return np.rint(times[order] / DT).astype(int)[inside], (senders[order] - pop.tolist()[0])[inside], trace


def run_ours(model, params, seed, strength, threads):
    (source, target, weight, delay), trains, (in_s, in_t, in_w, in_d) = description(seed, strength)
    net = snn.Network(seed=1)
    pop = net.population("pop", N, getattr(snn, model)(**params))
    src = net.population("src", len(trains), snn.SpikeArray.from_spiketrains(trains))
    net.connect(pop, pop, snn.from_arrays(source, target), weight=weight, delay=delay)
    net.connect(src, pop, snn.from_arrays(in_s, in_t), weight=in_w, delay=in_d)
    net.record(pop)
    net.record(pop, "v")
    result = snn.Simulation(net, dt=DT, threads=threads, quiet=True).run(DURATION)
    record = result.spikes["pop"]
    return np.rint(record.times / DT).astype(int), record.ids, result.states["pop"]["v"]


@pytest.mark.parametrize("case", MODELS)
@pytest.mark.parametrize("seed", [11, 12, 13])
def test_spike_for_spike(case, seed):
    model, strength, more = MODELS[case]
    params = {"tau_m": 10.0, "c_m": 250.0, "e_l": -70.0, "v_th": -55.0, "v_reset": -70.0, "t_ref": 2.0, **more}
    steps, ids, v = run_ours(case.split(",")[0], params, seed, strength, threads=2)
    nest_steps, nest_ids, nest_v = run_nest(model, params, seed, strength)
    assert len(steps) > 10 * N, "a quiet network tests little"
    np.testing.assert_array_equal(steps, nest_steps)
    np.testing.assert_array_equal(ids, nest_ids)
    np.testing.assert_allclose(v, nest_v, rtol=0, atol=1e-9)
