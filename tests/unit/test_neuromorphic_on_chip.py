"""Float rules as on-chip rules: the STDP window that comes out, and weights from 0 to w_max."""

import dataclasses
import math

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ExportError
from neuromorphic import quantize
from neuromorphic.learning import learn
from neuromorphic.on_chip import on_chip


def change(rule, distance, start, runs=60, pairs=8, gap=150):
    """Mean change of a weight by an isolated pair, post ``distance`` steps after pre; random numbers differ by run."""
    found = []
    for seed in range(runs):
        at = 40 + np.arange(pairs) * gap + np.random.default_rng(seed).integers(0, 30, pairs)
        pre, post = np.zeros((2, pairs * gap, 1))
        pre[at], post[at + distance] = 1, 1
        w = learn(dataclasses.replace(rule, seed=seed), pre, post, np.full((1, 1), start), sign_mode=2).w[:, 0, 0]
        found.append((w[-1] - start) / pairs)
    return np.mean(found), np.std(found) / math.sqrt(runs)


@pytest.mark.parametrize("interval", [1, 6])
@pytest.mark.parametrize("distance", [-20, -4, -1, 0, 1, 4, 20])
def test_a_pair_changes_weights_as_the_float_rule_says(interval, distance):
    """Mean change of 480 pairs within 5 standard errors (14 tests, p < 1e-5) and the errors that the report states."""
    tau, rate, alpha = 12.0, 0.01, 1.3
    rule = plasticity.STDPPair(tau_plus=tau, tau_minus=tau, lambda_=rate, alpha=alpha, mu_plus=0, mu_minus=0)
    report = on_chip("P", rule, 1.0, interval, 0)
    for asked, real in (report.potentiation, report.depression):
        assert abs(real / asked - 1) < 1e-3
    seen = distance + 1 if distance >= 0 else distance  # a step late; depression: one step of distance ahead
    expected = 255 * rate * (math.exp(-seen / tau) if distance >= 0 else -alpha * math.exp(seen / tau))
    mean, error = change(report.rule, distance, 128)
    assert error < 0.2 and abs(mean - expected) < 5 * error + 0.02 * abs(expected) + 0.02 * 255 * rate * (distance == 0)


def test_depression_and_potentiation_scale_with_the_weight():
    """mu 1: a pair changes w by a part of w, or of what is left to w_max; five bits of the product are made up for."""
    rule = plasticity.STDPPair(tau_plus=12.0, tau_minus=12.0, lambda_=0.05, alpha=1.0, mu_plus=1, mu_minus=1)
    report = on_chip("P", rule, 1.0, 6, 0)
    assert max(report.lost) == 5 and "5" in str(report)
    for start in (40, 200):
        for distance, expected in (
            (3, 0.05 * (255 - start) * math.exp(-4 / 12)),
            (-4, -0.05 * start * math.exp(-4 / 12)),
        ):
            mean, error = change(report.rule, distance, start, pairs=1)
            assert abs(mean - expected) < 5 * error + 0.03 * abs(expected) + 0.02, (start, distance, mean, expected)


STARTS = np.linspace(0.0, 1.0, 12).reshape(4, 3)


def learning(w_max=0.4, **rule):
    net = snn.Network(seed=5)
    src = net.population("in", 4, snn.SpikeArray([2.0, 12.0], [0, 1]))
    out = net.population("out", 3, snn.CubaLIF(alpha=0.0, beta=0.9))
    rule = {"mu_plus": 0, "mu_minus": 0} | rule
    net.connect(src, out, snn.all_to_all(), weight=w_max * STARTS, delay=1.0, name="a",
                plasticity=plasticity.STDPPair(w_max=w_max, **rule))  # fmt: skip
    return net


def test_the_largest_weight_is_w_max_and_cannot_wrap():
    net = learning()
    quantized = quantize(net, 1.0)
    p, about = quantized.network.projections["a"], quantized.populations["out"]
    assert 0.4 * about.scale / 64 / 2.0**p.exponent == pytest.approx(255, rel=1e-12)
    assert p.sign_mode == 2 and p.learning == quantized.projections["a"].learning.rule
    assert 0 <= about.headroom < 1.1  # all four at w_max: a power of 2 at most is lost
    assert "a learns: dw = " in str(quantized)
    assert np.abs(p.weights - 255 * STARTS[p.sources, p.targets]).max() <= 0.5 + 1e-6


def test_synapses_share_their_rule():
    with pytest.raises(
        ExportError, match="P.plasticity.lambda_: must be one number, because synapses on the chip share"
    ):
        on_chip("P", plasticity.STDPPair(lambda_=[0.1, 0.2]), 1.0, 6, 0)


def test_several_projections_that_learn_share_a_grid():
    net = learning()
    again = {"delay": 1.0, "weight": 0.01}
    net.connect("in", "out", snn.all_to_all(), plasticity=plasticity.STDPPair(w_max=0.05), name="b", **again)
    both = quantize(net, 1.0).network.projections
    assert both["a"].exponent - both["b"].exponent == 3
    net.connect("in", "out", snn.all_to_all(), plasticity=plasticity.STDPPair(w_max=0.06), name="c", **again)
    with pytest.raises(
        ExportError, match="Population 'out': w_max of the projections that learn must differ by powers"
    ):
        quantize(net, 1.0)


def dopamine(delay=1.0, source="dopamine", seed=1, **rule):
    """60 times: a presynaptic spike, a postsynaptic one two steps later, dopamine 21 steps after that."""
    at = 100.0 + 1500.0 * np.arange(60) + np.random.default_rng(seed).integers(0, 300, 60)
    net = snn.Network(seed=seed)
    pre, kick, _ = (net.population(name, 1, snn.SpikeArray(at + late, np.zeros(60, int)))
                         for name, late in (("pre", 0.0), ("kick", 1.0), ("dopamine", 22.0)))  # fmt: skip
    out = net.population("out", 1, snn.CubaLIF(alpha=0.0, beta=0.5))
    net.connect(kick, out, snn.all_to_all(), weight=1.5, delay=1.0)
    given = {"tau_plus": 15.0, "tau_minus": 25.0, "a_plus": 0.006, "a_minus": 0.002, "tau_c": 300.0, "tau_n": 60.0}
    made = plasticity.DopamineSTDP(**given | {"w_max": 0.8} | rule)
    net.connect(pre, out, snn.all_to_all(), weight=0.1, delay=1.0, plasticity=made, name="learns")
    net.modulate("learns", source, delay=delay)
    return net


def test_dopamine_turns_eligibility_into_weight_as_the_float_rule_says():
    """dw = a_plus exp(-3 / 15) exp(-21 / 300) tau_c / (tau_c + tau_n): within 4 standard errors and 2 % for tau_c."""
    quantized = quantize(dopamine(), 1.0, interval=8)
    report = quantized.projections["learns"].learning
    for asked, real in (report.potentiation, report.depression, report.gain):
        assert abs(real / asked - 1) < 0.01
    assert abs(report.tau_c[1] / 300 - 1) < 0.12 and "u" in report.rule.dw and max(report.lost) == 5
    assert quantized.network.projections["learns.modulator"].weights.tolist() == [report.dopamine]
    steps = 100 + 1500 * 60
    changes = []
    for seed in range(8):
        network = quantize(dopamine(seed=seed), 1.0, interval=8).network
        result = network.run(steps)
        assert np.array_equal(result.steps["out"], network.sources["pre"].steps + 2)
        changes.append(result.learned["learns"][0].item() / 255 * 0.8 - 0.1)
    expected = 60 * 0.006 * math.exp(-3 / 15) * math.exp(-21 / 300) * 300 / 360
    error = np.std(changes) / math.sqrt(8)
    assert error < 0.06 * expected and abs(np.mean(changes) - expected) < 4 * error + 0.02 * expected


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"b": 0.1}, "plasticity.b: must be 0; got 0.1"),
        ({"w_min": -1.0}, "plasticity.w_min: must be 0; got -1"),
        ({"a_plus": 0.0, "a_minus": 0.0}, "plasticity: a_plus or a_minus must not be 0"),
        ({"a_minus": 1e-7}, "plasticity.a_minus: must be 0, or at least"),
        ({"w_max": 1e5}, "plasticity: w_max, tau_n and tau_c leave no gain"),
        ({"source": None}, "modulator: must be dopamine of DopamineSTDP, released by a population"),
        ({"delay": 80.0}, "modulator: its delay must be at most 63 ms"),
    ],
)
def test_dopamine_that_has_no_counterpart_is_refused(given, why):
    with pytest.raises(ExportError, match="Projection 'learns'." + why):
        quantize(dopamine(**given), 1.0, interval=8)
