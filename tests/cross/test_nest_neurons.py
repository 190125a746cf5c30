"""Single neurons against NEST, executed: the same parameters, spikes and currents into both, compared step by step.

The linear models and Izhikevich's are the same arithmetic and must agree to rounding. NEST integrates the conductance,
AdEx and Hodgkin-Huxley models with adaptive RKF45 whose allowed error is 1e-3 mV (AdEx: 1e-6) a step, so there the bounds
are set by NEST's error, a few times above the difference measured.
"""

import numpy as np
import pytest

import snn.neurons as neurons
from snn.neurons.base import Values

nest = pytest.importorskip("nest", reason="peers extra not installed")

DT = 0.1
DELAY = 1.0
NAMES = {"v_reset": "V_reset", "v_peak": "V_peak", "i_e": "I_e", "delta_t": "Delta_T"}  # NEST's, where they differ


def simulate(model, steps, arrive, stim, **params):
    """State after each step (a dict of arrays) and times of the spikes, from the pure step function."""
    spec = model.spec
    values = dict(model(**params).params)
    for constant in spec.derived:
        value = constant.compute(Values(values), DT)
        values[constant.name] = int(value) if constant.dtype == "int" else float(value)
    state = {s.name: values[s.init] if isinstance(s.init, str) else s.init for s in spec.state}
    state |= {s.name: int(state[s.name]) for s in spec.state if s.dtype == "int"}
    trace = {name: np.empty(steps) for name in state}
    times = []
    zeros = np.zeros(steps)
    inputs = {f"arrive_{r.name}": arrive.get(r.name, zeros) for r in spec.receptors} | {"i_stim": stim}
    for step in range(steps):
        values |= state | {name: float(array[step]) for name, array in inputs.items()}
        *new, fired = spec.step(*(values[a] for a in spec.arguments))
        state = dict(zip(state, new, strict=True))
        for name in state:
            trace[name][step] = state[name]
        if fired:
            times.append((step + 1) * DT)
    return trace, np.array(times)


def in_nest(name, steps, trains, current, record="V_m", **status):
    """Recorded variable after each step and spike times, with spikes {weight: times} and current [(time, amplitude)]."""
    nest.verbosity = nest.VerbosityLevel.ERROR
    nest.ResetKernel()
    nest.resolution = DT
    cell = nest.Create(name, params=status)
    for weight, times in trains.items():
        source = nest.Create("spike_generator", params={"spike_times": times})
        nest.Connect(source, cell, syn_spec={"weight": weight, "delay": DELAY})
    if current:
        times, amplitudes = zip(*current, strict=True)
        params = {"amplitude_times": list(times), "amplitude_values": list(amplitudes)}
        source = nest.Create("step_current_generator", params=params)
        nest.Connect(source, cell, syn_spec={"delay": DELAY})
    meter = nest.Create("multimeter", params={"record_from": [record], "interval": DT})
    recorder = nest.Create("spike_recorder")
    nest.Connect(meter, cell)
    nest.Connect(cell, recorder)
    nest.Simulate(steps * DT + 2.0)
    events = meter.events
    np.testing.assert_allclose(events["times"][:steps], DT * np.arange(1, steps + 1), atol=1e-9)
    spikes = recorder.events["times"]
    return events[record][:steps], spikes[spikes < (steps + 0.5) * DT]


def both(model, name, *, duration=1000.0, weight=1.0, rates=(0.2, 0.1), current=(), receptors=("ex", "in"), seed=1, **p):
    """Voltages and spike times here and in NEST under fixed trains of ``rates`` spikes per ms and a step current."""
    steps = round(duration / DT)
    rng = np.random.default_rng(seed)
    trains, arrive = {}, {r: np.zeros(steps) for r in receptors}
    for receptor, rate, w in zip((receptors * 2)[:2], rates, (weight, -weight), strict=True):
        ticks = np.flatnonzero(rng.random(steps - 30) < rate * DT) + 10
        trains[w] = [float(t) for t in np.round(ticks * DT, 1)]
        # a spike at t arrives at t + delay, which is the end of step (t + delay) / dt - 1
        np.add.at(arrive[receptor], ticks + round(DELAY / DT) - 1, w)
    stim = np.zeros(steps)
    for time, amplitude in current:
        stim[round((time + DELAY) / DT) :] = amplitude
    trace, times = simulate(model, steps, arrive, stim, **p)
    v, nest_times = in_nest(name, steps, trains, current, **{NAMES.get(k, k): x for k, x in p.items()})
    return trace["v"], times, v, nest_times


STEPS = ((100.0, 200.0), (300.0, 420.0), (600.0, -100.0), (800.0, 300.0))


@pytest.mark.parametrize(
    ("model", "name", "receptors", "weight", "params"),
    [
        (neurons.LIFDelta, "iaf_psc_delta", ("syn",), 3.0, {}),
        (neurons.LIFDelta, "iaf_psc_delta", ("syn",), 3.0, {"t_ref": 0.0, "v_reset": -75.0, "i_e": 120.0}),
        (neurons.LIFExp, "iaf_psc_exp", ("ex", "in"), 500.0, {}),
        (neurons.LIFExp, "iaf_psc_exp", ("ex", "in"), 500.0, {"tau_syn_ex": 10.0, "tau_syn_in": 10.0 + 1e-7}),
        (neurons.LIFExp, "iaf_psc_exp", ("ex", "in"), 900.0, {"tau_syn_in": 3.0, "t_ref": 0.3, "i_e": -50.0}),
        (neurons.LIFAlpha, "iaf_psc_alpha", ("ex", "in"), 300.0, {}),
        (neurons.LIFAlpha, "iaf_psc_alpha", ("ex", "in"), 150.0, {"tau_syn_ex": 10.0, "tau_syn_in": 10.0}),
        (neurons.LIFAlpha, "iaf_psc_alpha", ("ex", "in"), 900.0, {"tau_syn_ex": 1.3, "tau_syn_in": 0.4, "i_e": 90.0}),
    ],
)
def test_linear_models_are_identical(model, name, receptors, weight, params):
    v, times, nest_v, nest_times = both(
        model, name, weight=weight, receptors=receptors, current=STEPS, **params
    )
    assert len(times) > 10
    np.testing.assert_allclose(times, nest_times, atol=1e-9)
    np.testing.assert_allclose(v, nest_v, rtol=0, atol=1e-9)


@pytest.mark.parametrize("consistent", [True, False])
def test_izhikevich_is_identical(consistent):
    # a spike of NEST moves v in the consistent scheme and is a current in the other
    steps, rng = 10_000, np.random.default_rng(3)
    ticks = np.flatnonzero(rng.random(steps - 30) < 0.02) + 10
    weight = 2.0 if consistent else 20.0
    arrive = np.zeros(steps)
    arrive[ticks + round(DELAY / DT) - 1] = weight
    stim = np.zeros(steps)
    stim[round(201.0 / DT) :] = 10.0
    trace, times = simulate(
        neurons.Izhikevich, steps, {"syn" if consistent else "cur": arrive}, stim,
        consistent_integration=float(consistent),
    )  # fmt: skip
    trains = {weight: [float(t) for t in np.round(ticks * DT, 1)]}
    v, nest_times = in_nest("izhikevich", steps, trains, [(200.0, 10.0)], consistent_integration=consistent)
    assert len(times) > 10
    np.testing.assert_allclose(times, nest_times, atol=1e-9)
    np.testing.assert_allclose(trace["v"], v, rtol=0, atol=1e-9)

