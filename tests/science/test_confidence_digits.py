"""Early termination on digits: networks of integrate-and-fire neurons converted from a quantised ANN, in plain NumPy.

A short form of confidence_digits and confidence_coverage of scripts/verify.py: two seeds, 1,000 draws. Networks are
trained anew here, and not every machine trains them alike: bounds leave room for another seed.
"""

import sys
from pathlib import Path

import numpy as np
import pytest

from snn.confidence import DynamicConfidence, EarlyExit, Lossless, Trace, compare

pytest.importorskip("sklearn", reason="needs scikit-learn (extra dev)")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))
try:
    import digits_qcfs
    import verify_confidence
finally:
    sys.path.pop(0)


@pytest.fixture(scope="module")
def direct():
    return [digits_qcfs.traces(seed, noisy=False) for seed in (0, 1)]


@pytest.fixture(scope="module")
def poisson():
    return [digits_qcfs.traces(0, noisy=True, t_max=48)]


def reports(runs, *agents):
    return [compare(test, [make().fit(calibrate) for make in agents]) for _, (_, calibrate, test), _ in runs]


def gap():
    return EarlyExit("margin", name="gap")


def mean_logits():
    return EarlyExit("maxprob", readout="mean", scale="auto", name="mean")


def gates():
    return [lambda k=k: EarlyExit("gate", target=k, name=k) for k in ("stability", "correct")]


def at(found, name, steps):
    return np.mean([r.at(steps)[name] for r in found])


def test_conversion_keeps_the_accuracy(direct):
    for _, (_, _, test), ann in direct:
        right = np.mean(test.outputs.argmax(axis=2) == test.labels, axis=1)
        assert right[-1] >= 0.95 and abs(right[-1] - ann) <= 0.015
        assert 0.70 <= right[0] <= 0.88 and right[3] >= 0.94


def test_accumulated_outputs_and_not_their_mean(direct):
    found = reports(direct, gap, mean_logits, DynamicConfidence, *gates())
    fixed = at(found, "fixed T", 3)
    assert at(found, "gap", 3) >= 0.955 and at(found, "gap", 3) - fixed >= 0.008
    assert at(found, "mean", 3) < fixed
    assert at(found, "stability", 3) - at(found, "correct", 3) > 0.0
    for name in ("gap", "Dynamic Confidence"):
        assert verify_confidence.saved(found, name)[0] >= 0.4


def test_noisy_input(poisson):
    found = reports(poisson, gap, *gates())
    assert at(found, "gap", 4) >= 0.945 and at(found, "gap", 4) - at(found, "fixed T", 4) >= 0.012
    assert at(found, "stability", 4) - at(found, "correct", 4) > 0.0


def test_certificate_without_labels(direct):
    for _, (fit, calibrate, test), _ in direct:
        blind = [Trace(t.outputs, t.ids, t.fingerprint, None, t.spikes, t.synops) for t in (fit, calibrate)]
        agent = EarlyExit("margin").fit(blind[0])
        assert agent.certify(blind[1], risk="disagreement", eps=0.02, delta=0.1).ok
        done, full = agent.decide(test), test.outputs[-1].argmax(axis=1)
        assert done.steps.mean() <= 3.5 and done.spikes.mean() / test.spikes[-1].mean() <= 0.12
        # 2 % of all that might come, on 549 of them: 0.02 and 2.5 standard errors
        assert np.mean(done.labels != full) <= 0.035
        assert np.mean(full == test.labels) - np.mean(done.labels == test.labels) <= 0.02


@pytest.mark.parametrize("t_max", [8, 32])
def test_the_lossless_rule_never_differs(direct, t_max):
    for net, parts, _ in direct:
        agent = Lossless(net.weights[-1], net.biases[-1], float(net.thresholds[-1]))
        for part in parts:
            cut = verify_confidence.shorter(part, t_max)
            done = agent.decide(cut)
            assert np.array_equal(done.labels, cut.outputs[-1].argmax(axis=1))
            assert done.steps.mean() <= 0.85 * t_max


def test_certificates_hold_in_a_large_pool():
    bars, trace = verify_confidence.pool(3)
    for risk in ("accuracy_gap", "disagreement"):
        found = verify_confidence.coverage(bars, trace, risk, 500, 0.02, 0.1, 1000)
        assert found["ltt"][0] <= 0.12 and found["ucb"][0] <= 0.12
        assert found["ltt"][2] < 6.0  # mean steps of 32: the promise is not kept by idling
        assert found["crc"][1] <= 0.0205 and found["tuned"][0] > 0.2
