"""Float networks as integer networks: equal dynamics, bounds that hold and are tight, and what is refused."""

import re
from pathlib import Path

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ExportError, ModelError
from neuromorphic.fixed_point import IntegerSource
from neuromorphic.quantization import quantize

MODELS = {
    "CubaLIF": (lambda **p: snn.CubaLIF(alpha=0.8, beta=0.95, bias=0.01, v_leak=0.5, v_reset=0.3, **p), 0.1, 0.3),
    "LIFDelta": (lambda **p: snn.LIFDelta(t_ref=2.0, i_e=100.0, **p), 2.0, -70.0),
    "LIFExp": (lambda **p: snn.LIFExp(t_ref=3.0, tau_syn_ex=5.0, tau_syn_in=5.0, i_e=200.0, **p), 50.0, -70.0),
}


def driven(model, weight, v_th, steps=200):
    """40 neurons with drawn weights and delays, recurrent, and one input without a connection."""
    rng = np.random.default_rng(1)
    when, which = np.nonzero(rng.random((steps, 20)) < 0.1)
    net = snn.Network(seed=3)
    src = net.population("in", 20, snn.SpikeArray(when + 1.0, which))
    pop = net.population("pop", 40, model(v_th=v_th))
    net.connect(src, pop, snn.fixed_indegree(8), weight=snn.normal(weight, weight), delay=3.0)
    delay = snn.uniform(1.0, 6.0)
    net.connect(pop, pop, snn.fixed_indegree(5, multapses=False), weight=snn.normal(0, weight), delay=delay, name="rec")
    net.input("direct", pop, snn.SpikeArray([4.0, 9.0, 11.0], [3, 7, 0]), weight=weight * 5)
    net.record(pop, "v")
    net.record(pop, "spikes")
    return net


@pytest.mark.parametrize("name", MODELS)
def test_potentials_follow_the_float_model(name):
    """No spikes: every potential of every step, in float units, is within 2 % of the largest excursion."""
    model, weight, v_reset = MODELS[name]
    net = driven(model, weight, v_th=v_reset + 60.0)
    floats = np.asarray(snn.Simulation(net, dt=1.0).run(200.0).states["pop"]["v"])
    quantized = quantize(net, dt=1.0)
    run = quantized.network.run(200, ["pop"])
    ours = run.v["pop"] / quantized.populations["pop"].scale + v_reset
    size = np.abs(floats - v_reset).max()
    assert run.steps["pop"].size == 0 and size > (5.0 if name == "CubaLIF" else 20.0)
    assert np.abs(ours - floats).max() < 0.02 * size
    assert np.abs(ours[1:] - floats[:-1]).max() > 0.05 * size  # a step too late would be seen


@pytest.mark.parametrize("name", MODELS)
def test_spikes_are_the_float_models_until_rounding_tells_and_rates_stay(name):
    model, weight, v_reset = MODELS[name]
    net = driven(model, weight, v_th=v_reset + {"CubaLIF": 2.0, "LIFDelta": 6.0, "LIFExp": 12.0}[name])
    spikes = snn.Simulation(net, dt=1.0).run(200.0).spikes["pop"]
    when = np.rint(spikes.times).astype(int)
    run = quantize(net, dt=1.0).network.run(200)
    early = [set(zip(t[t <= 40].tolist(), i[t <= 40].tolist(), strict=True))
             for t, i in ((when, spikes.ids), (run.steps["pop"], run.ids["pop"]))]  # fmt: skip
    theirs, ours = (np.bincount(i, minlength=40) for i in (spikes.ids, run.ids["pop"]))
    near = {(t + late, i) for t, i in early[1] for late in (-1, 0, 1)}
    assert len(early[0]) > 40 and len(early[0] & near) > 0.9 * len(early[0])
    assert abs(ours.sum() - theirs.sum()) < 0.03 * theirs.sum() and np.corrcoef(theirs, ours)[0, 1] > 0.95


@pytest.mark.parametrize("interval", [1, 7])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_bound_on_u_holds_and_is_tight_for_the_worst_input(interval, sign):
    """Only the synapses of one sign, all active as often as allowed: u comes near 2^23 and does not wrap."""
    rng = np.random.default_rng(5)
    weights = rng.normal(0, 1, (60, 10))
    net = snn.Network()
    src = net.population("in", 60, snn.SpikeArray([], []))
    pop = net.population("pop", 10, snn.CubaLIF(alpha=0.95, beta=0.0, v_th=1.0))
    net.connect(src, pop, snn.all_to_all(), weight=weights, delay=1.0)
    quantized = quantize(net, 1.0, interval)
    headroom, found = quantized.populations["pop"].headroom, []
    for target in range(10):
        ids = np.flatnonzero(sign * weights[:, target] > 0)
        steps = np.repeat(np.arange(1, 400, interval), len(ids))
        quantized.network.sources["in"] = IntegerSource(60, steps, np.tile(ids, len(steps) // len(ids)))
        run = quantized.network.run(400, ["pop"])
        assert run.wraps["pop"][target] == 0
        found.append(np.abs(run.u["pop"][:, target]).max())
    assert 0 < headroom < 0.1
    larger = np.abs(np.minimum(sign * weights, 0)).sum(0).max() > np.maximum(sign * weights, 0).sum(0).max()
    assert max(found) > (0.5 if larger else 0.97) * 2**23


def test_dead_and_always_spiking_neurons_are_named():
    net = snn.Network()
    src = net.population("in", 1, snn.SpikeArray(np.arange(2.0, 90.0), np.zeros(88, int)))
    pop = net.population("pop", 3, snn.CubaLIF(alpha=0.5, beta=0.9, bias=np.array([0.0, 0.05, 1.5])))
    net.connect(src, pop, snn.all_to_all(), weight=np.array([[0.04, 0.04, -0.01]]))
    quantized = quantize(net, 1.0)
    report = quantized.populations["pop"]
    assert report.dead.tolist() == [True, False, False] and report.always.tolist() == [False, False, True]
    run = quantized.network.run(90)
    assert np.bincount(run.ids["pop"], minlength=3).tolist()[::2] == [0, 90]
    assert "1 dead, 1 always spike" in str(quantized)


def test_the_report_tells_realised_time_constants_and_errors():
    net = snn.Network()
    src = net.population("in", 2, snn.SpikeArray([1.0], [0]))
    tau = np.array([5.0, 200.0, 2000.0])
    pop = net.population("pop", 3, snn.CubaLIF(alpha=np.exp(-1 / tau), beta=np.exp(-1 / tau)))
    net.connect(src, pop, snn.all_to_all(), weight=np.array([[1.0, 1.0, 1.0], [1e-3, 1.0, 1.0]]), name="p")
    quantized = quantize(net, 1.0)
    report, synapses = quantized.populations["pop"], quantized.projections["p"]
    assert np.allclose(report.tau_u, tau) and np.allclose(report.tau_v, tau)
    assert report.tau_v_realised[1] == pytest.approx(-1 / np.log1p(-20 / 4096))  # 20.43 is wanted
    assert report.tau_u_realised[2] == pytest.approx(2047.5, abs=0.1)
    stored = quantized.network.projections["p"].weights * 2.0**synapses.exponent * 64 / report.scale
    wanted = np.array([1.0, 1.0, 1.0, 1e-3, 1.0, 1.0])
    assert synapses.snr == pytest.approx(10 * np.log10(np.sum(wanted**2) / np.sum((stored - wanted) ** 2)))
    assert synapses.lost == 1


def test_a_pair_joined_twice_gets_the_sum():
    net = snn.Network(seed=2)
    src = net.population("in", 2, snn.SpikeArray([1.0], [0]))
    pop = net.population("pop", 5, snn.CubaLIF())
    net.connect(src, pop, snn.fixed_indegree(6), weight=0.25, name="p")
    p = quantize(net, 1.0).network.projections["p"]
    counts = np.rint(p.weights / p.weights.max() * 6).astype(int)  # of six draws from two sources
    assert len(p.weights) <= 10
    sums = np.bincount(p.targets, p.weights)
    assert np.allclose(sums, sums[0], atol=2) and counts.max() <= 6


def network(model=None, source=None, interval=1, **connection):
    net = snn.Network()
    src = net.population("in", 1, source or snn.SpikeArray([2.0, 4.0], [0, 0]))
    pop = net.population("pop", 2, model or snn.CubaLIF())
    net.connect(src, pop, snn.all_to_all(), **({"weight": 0.5} | connection))
    return net


STDP = plasticity.STDPPair
EXP = {"tau_syn_ex": 5.0, "tau_syn_in": 5.0, "t_ref": 0.0}
REFUSED = {
    "model": (network(snn.Izhikevich()), "Population 'pop'.model: must be one of .*CubaLIF.*; got Izhikevich"),
    "subtracts": (network(snn.Leaky()), "Population 'pop'.reset_mechanism: must be 1, with reset_delay=0"),
    "never fires": (network(snn.Accumulator()), "Population 'pop'.v_th: must be finite"),
    "reset": (network(snn.CubaLIF(reset=1)), "Population 'pop'.reset: must be 0"),
    "refractory": (network(snn.LIFExp(**EXP | {"t_ref": 64.0})), "'pop'.t_ref: must be at most 63 steps .* got 64"),
    "two currents": (network(snn.LIFExp(**EXP | {"tau_syn_in": 6.0})), "Population 'pop'.tau_syn_in: must equal"),
    "slow": (network(snn.CubaLIF(beta=0.99999)), "Population 'pop': the potential must lose at least"),
    "no decay of u": (network(snn.CubaLIF(alpha=1.0)), "Population 'pop': the current must lose at least"),
    "threshold": (network(snn.CubaLIF(v_th=0.0)), "Population 'pop'.v_th: must be above v_reset"),
    "delay": (network(delay=64.0), "Projection 'in->pop'.delay: must be at most 63 ms .* got 64"),
    "Poisson": (network(source=snn.Poisson(rate=10.0)), "Population 'in': must be a SpikeArray; got Poisson"),
    "rule": (
        network(plasticity=plasticity.STDPTriplet()),
        "Projection 'in->pop'.plasticity: must be STDPPair, or DopamineSTDP with a modulator; got STDPTriplet",
    ),
    "powers": (network(plasticity=STDP(mu_plus=0.5)), "Projection 'in->pop'.plasticity.mu_plus: must be 0 or 1"),
    "slow trace": (network(plasticity=STDP(tau_plus=400.0)), "Projection 'in->pop'.plasticity: a trace of 400 steps"),
    "slow learning": (network(plasticity=STDP(lambda_=1e-6)), "Projection 'in->pop'.plasticity.lambda_: a pair must"),
    "late learning": (network(plasticity=STDP(), delay=2.0), "Projection 'in->pop'.delay: must be one step, 1 ms"),
    "two units": (network(snn.CubaLIF(w_in=[1.0, 2.0]), plasticity=STDP()), "'in->pop'.plasticity: all target neurons"),
    "short-term": (network(short_term=plasticity.TsodyksMarkram()), "Projection 'in->pop': short-term plasticity"),
    "twice": (network(source=snn.SpikeArray([2.0, 2.0], [0, 0])), "Population 'in'.times: .* once in 1 steps"),
    "too strong": (network(snn.CubaLIF(alpha=0.999), weight=1e5), "Population 'pop': a threshold of 1 is less than"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_counterpart_is_refused(case):
    net, text = REFUSED[case]
    with pytest.raises(ExportError, match=text):
        quantize(net, 1.0)


def test_just_below_the_limits_is_accepted():
    quantize(network(delay=63.0), 1.0)
    assert quantize(network(snn.LIFExp(**EXP | {"t_ref": 63.0})), 1.0).network.populations["pop"].refractory[0] == 63
    quantize(network(snn.CubaLIF(beta=1.0)), 1.0)  # no leak is a Loihi neuron
    quantize(network(snn.CubaLIF(alpha=0.9998, beta=0.9998)), 1.0)


def test_all_problems_are_told_at_once():
    net = network(snn.CubaLIF(reset=2), source=snn.Poisson(rate=1.0))
    net.input("direct", net.population("other", 1, snn.CubaLIF()), snn.SpikeArray([0.5], [0]), weight=1.0)
    with pytest.raises(ExportError) as error:
        quantize(net, 1.0)
    for text in ("Population 'in'", "Population 'pop'.reset", "Input 'direct'.times"):
        assert text in str(error.value)


@pytest.mark.parametrize("dt", [0, -1, "1", np.nan, None, True, np.ones(2)], ids=repr)
def test_a_step_must_be_a_time(dt):
    with pytest.raises(ModelError, match=r"quantize\.dt: must be a time > 0 ms; got"):
        quantize(network(), dt)


def test_an_interval_that_the_given_spikes_break_is_refused():
    with pytest.raises(ExportError, match="at most once in 3 steps; got two 2 apart"):
        quantize(network(), 1.0, interval=3)
    with pytest.raises(ModelError, match=r"quantize\.interval: must be an integer >= 1; got 0"):
        quantize(network(), 1.0, interval=0)


def test_the_documentations_example_runs(tmp_path, monkeypatch, capsys):
    text = (Path(__file__).resolve().parents[2] / "docs" / "neuromorphic.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", text, re.S).group(1), names := {})
    integer, floats = len(names["integer"].steps["exc"]), len(names["float_"].spikes["exc"])
    assert floats > 500 and abs(integer - floats) < 0.1 * floats
    assert (tmp_path / "bundle" / "run_lava.py").exists() and "headroom" in capsys.readouterr().out


def test_a_classifier_takes_its_samples_as_spikes():
    """Without an encoder its samples are currents, and the integers would get nothing."""
    torch = pytest.importorskip("torch")
    from snn.torch import QCFS, from_torch

    layers = [torch.nn.Linear(4, 3), QCFS(4, 1.0), torch.nn.Linear(3, 2)]
    with pytest.raises(ExportError, match=r"Input 'sample': must be spikes .* encoder=snn\.encode\.Rate\('input'\)"):
        quantize(from_torch(layers, (4,)).network, dt=1.0, steps=9)
    made = quantize(from_torch(layers, (4,), encoder=snn.encode.Rate("input")).network, dt=1.0, steps=9)
    assert list(made.network.sources) == ["input"]
    with torch.no_grad():
        layers[2].bias.fill_(0.1)
        layers.insert(2, torch.nn.Linear(3, 3))
        layers.insert(3, QCFS(4, 1.0))
        layers[2].bias.fill_(-2.0)
    made = quantize(from_torch(layers, (4,), encoder=snn.encode.Rate("input")).network, dt=1.0, steps=9)
    assert made.network.projections["bias layer2->layer2"].source == "bias"  # no start stands for so strong a bias
