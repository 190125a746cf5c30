"""Rules of on-chip learning: reading them, what does not fit, and what a product is worth."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from kernels.errors import ExportError, ModelError, ShapeError
from neuromorphic import (
    IntegerLIF,
    IntegerNetwork,
    IntegerProjection,
    IntegerSource,
    OnChipRule,
    gather,
    map_network,
    split,
)
from neuromorphic.fixed_point_step import effective_weights
from neuromorphic.learning import Factor, Product, learn, parse


def test_sums_of_products_are_read():
    assert parse("2^-2*x1*y0 - 2^-2*y1*x0") == (
        Product("y0", 1, -2, (Factor("x1"),)),
        Product("x0", -1, -2, (Factor("y1"),)),
    )
    assert parse("(-2) * 2 ^ -1 * x0 * y1") == (Product("x0", -2, -1, (Factor("y1"),)),)
    assert parse("u3*sgn(w-3)*(5+t)*d*x0") == (
        Product("u", 1, 0, (Factor("w", -3, True), Factor("t", 5), Factor("d"), Factor("x0")), 8),
    )
    assert parse("12*x0")[0][1:3] == (6, 1) and parse("-16*y0*2^2")[0][1:3] == (-4, 4)
    assert parse("x0*(y1-2^3)")[0].factors == (Factor("y1", -8),)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "the end"),
        ("x1*y1", "every product needs"),
        ("x0*y4", "'y4' is no"),
        ("x0*import", "'import' is no"),
        ("x0*y1 y2", "'y1y2' is no|'y2' where"),
        ("x0**y1", "'\\*' where a factor"),
        ("x0+", "the end"),
        ("--x0", "'-' where a factor"),
        ("9*x0", "9\\*2\\^0 is no"),
        ("2^-8*x0", "1\\*2\\^-8 is no"),
        ("3^2*x0", "powers are of 2"),
        ("u12*t", "one digit"),
        ("x0*u1*t", "must come first"),
        ("x0*(y1+200)", "-128 to 127"),
        ("x0*(y1+2^-1)", "-128 to 127"),
        ("x0*(-y1)", "in a bracket"),
        ("x0*(y1+y2)", "in a bracket"),
        ("x0*(y1+1+2)", "a bracket holds"),
        ("x0*(y1", "in a bracket"),
        ("x0*sgn(y1)", "sgn is of w, d or t"),
        ("x0*w*t*d*y1", "34 bits"),
        (3, "must be a string"),
    ],
)
def test_what_is_no_rule_is_named(text, why):
    with pytest.raises(ModelError, match=f"OnChipRule.dw: .*({why})" if text else why):
        OnChipRule(dw=text) if text else parse(text)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, "one of dw, dd and dt"),
        ({"dw": "x0", "epoch": 0}, "epoch: must be an integer, 1 to 63; got 0"),
        ({"dw": "x0", "epoch": 64}, "epoch"),
        ({"dw": "x0", "seed": -1}, "seed"),
        ({"dw": "x0", "x1": (128, 1)}, "x1: must be \\(impulse 0..127, tau >= 0 steps\\); got"),
        ({"dw": "x0", "y1": (1, -1)}, "y1"),
        ({"dw": "x0", "y1": 3}, "y1"),
        ({"dw": "x0", "y2": (1, 1), "third_factor": True}, "y2: must be \\(0, tau\\)"),
        ({"dw": "x0", "y3": (0, 1), "third_factor": True}, "y3: must be \\(0, 0\\)"),
        ({"dw": "x0", "bits": 1}, "bits: must be an integer, 0 to 0"),
        ({"dw": "u1*t", "dt": "u2*t"}, "same k"),
    ],
)
def test_what_a_rule_cannot_have_is_named(given, why):
    with pytest.raises(ModelError, match=f"OnChipRule.*{why}"):
        OnChipRule(**given)


def test_spikes_and_weights_must_fit():
    rule, two = OnChipRule(dw="x0"), np.zeros((5, 2))
    with pytest.raises(ShapeError, match="learn.weights"):
        learn(rule, two, two, np.zeros((2, 3), int))
    with pytest.raises(ShapeError, match="learn.y: a three-factor rule"):
        learn(rule, two, two, np.zeros((2, 2), int), y=np.zeros((5, 3, 2)))


@pytest.mark.parametrize(("dt", "lost"), [("2^4*x0", 0), ("2^4*u0*y1", 0), ("2^4*u0*y1*x1", 3), ("2^4*u0*w*y1", 5)])
def test_the_hidden_shift_is_what_it_says(dt, lost):
    """The change in one epoch, traces and w 8 and nothing to round, is 2^4 times the factors, halved ``lost`` times."""
    rule = OnChipRule(dt=dt, x1=(8, 0), y1=(8, 0), seed=1)
    assert rule.products("dt")[0].lost == lost
    one = np.ones((1, 1))
    factors = len(rule.products("dt")[0].factors)
    assert learn(rule, one, one, np.full((1, 1), 8)).t.item() == min(16 * 8**factors >> lost, 255)


def test_example_of_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (Path(__file__).resolve().parents[2] / "docs" / "neuromorphic.md").read_text(encoding="utf-8")
    names = {}
    exec(re.search(r"## Learning on the chip.*?```python\n(.*?)```", text, re.S).group(1), names)
    assert np.mean(names["w"] != names["weights"]) > 0.5 and (tmp_path / "learns" / "run_lava.py").exists()


STDP = {"x1": (16, 10), "y1": (16, 10)}
R_STDP = {"dw": "u0*t*y2", "third_factor": True}
TAG = "(1)*(-2)*x0*y1 + (1)*(4)*y0*x1 - u0*t*"


@pytest.mark.parametrize(
    ("rule", "pre", "post", "start", "expected"),
    [
        (OnChipRule(dw="-2*x0*y1 + 4*y0*x1", epoch=2, **STDP), [3125 * 8], [2500 * 8], 1, [[56]]),
        (OnChipRule(dw="-2*x0*y1 + y0*x1", **STDP), [2750 * 8, 3125 * 8, 3250 * 8], [2500 * 8, 2875 * 8], 0,
         [[31, 2, -24], [-64, 30, 14]]),
        (OnChipRule(dt=TAG + "2^-1", **STDP, **R_STDP), [3600], [3700], 1, [[64]]),
        (OnChipRule(dt=TAG + "(2)*2^0", x1=(20, 10), y1=(20, 10), **R_STDP), [1900, 2500, 1200], [2400, 1600], 0,
         [[2, 1, -1], [15, 20, 9]]),
    ],
)  # fmt: skip
def test_weights_that_lavas_own_tests_expect(rule, pre, post, start, expected):
    """The four networks of Lava 0.10.0's test_stdp_sim.py in fixed point: two-factor and reward-modulated STDP."""
    n, m, large = len(pre), len(post), max(pre) > 4095
    vth = 10_000 if large else 100 if n == 1 else 90
    one = {k: IntegerLIF(len(b), du=0, dv=0, vth=vth, bias_mant=np.array(b) // (8 if large else 1),
                         bias_exp=3 * large) for k, b in (("pre", pre), ("post", post))}  # fmt: skip
    sources, targets = np.divmod(np.arange(n * m), m)
    weights = start * (sources == targets)
    projections = {"syn": IntegerProjection("pre", "post", sources, targets, weights, learning=rule, sign_mode=1)}
    when = np.arange(33, 50) + 1
    if rule.third_factor:
        projections["reward"] = IntegerProjection("reward", "post", [0] * m, np.arange(m), [1] * m, third=True)
    net = IntegerNetwork(one, {"reward": IntegerSource(1, when, 0 * when)}, projections)
    assert net.run(100).learned["syn"][0].reshape(n, m).T.tolist() == expected


def network(seed, third):
    """Two projections that learn, one of them recurrent, and where ``third`` is asked for a third factor for them."""
    rng = np.random.default_rng(seed)
    n, steps = 12, 120
    when, which = np.nonzero(rng.random((steps, 8)) < 0.2)
    rule = OnChipRule(dw="2^-2*x1*y0 - 2^-3*w*y1*x0 + u1*t*y2", dt="2^-1*y1*x0 - 2^-3*u1*t", dd="x0", x1=(20.5, 15),
                      y1=(20, 9), y2=(0, 3), epoch=3, seed=seed, third_factor=third, bits=4 * third)  # fmt: skip

    def edges(source, k, low, **more):
        sources, targets = np.nonzero(rng.random((k, n)) < 0.6)
        order = rng.permutation(len(sources))
        weights = rng.integers(low, 150, len(sources))
        return IntegerProjection(source, "out", sources[order], targets[order], weights, **more)

    projections = {"in": edges("in", 8, 0, learning=rule), "rec": edges("out", n, -100, exponent=-1, learning=rule)}
    if third:
        projections["reward"] = edges("in", 8, -100, third=True)
    neurons = IntegerLIF(n, du=4095, dv=600, vth=600, bias_mant=rng.integers(0, 60, n), bias_exp=4)
    return IntegerNetwork({"out": neurons}, {"in": IntegerSource(8, when + 1, which)}, projections), steps


@pytest.mark.parametrize("third", [False, True], ids=["two factors", "three factors"])
def test_a_network_learns_what_its_spikes_say(third):
    """Final w, d, t of a run are those of the rule alone with the run's spikes."""
    net, steps = network(3, third)
    result = net.run(steps)
    spikes = {k: np.zeros((steps, n), np.int64) for k, n in net.sizes.items()}
    spikes["out"][result.steps["out"] - 1, result.ids["out"]] = 1
    spikes["in"][net.sources["in"].steps - 1, net.sources["in"].ids] = 1
    assert 100 < spikes["out"].sum() < steps * 12 / 2
    for name in ("in", "rec"):
        p = net.projections[name]
        weights = np.zeros((net.sizes[p.source], 12), np.int64)
        at = (p.sources, p.targets)
        weights[at] = effective_weights(p.weights, 8, p.sign_mode)
        y = np.zeros((steps, 3, 12), np.int64) if third else None
        if third:
            q, y1, y2 = net.projections["reward"], np.zeros(12), np.zeros(12)
            matrix = np.zeros((8, 12), np.int64)
            matrix[q.sources, q.targets] = effective_weights(q.weights, 8, q.sign_mode)
            for t in range(1, steps):
                y1 = np.floor(y1 * np.exp(-1 / 9) + 16 * 20 * spikes["out"][t - 1])
                y2 = np.floor(y2 * np.exp(-1 / 3) + 16 * (spikes["in"][t - 1] @ matrix))
                y[t, 0], y[t, 1] = (np.floor(x / 16 + 0.5) for x in (y1, y2))
        alone = learn(p.learning, spikes[p.source], spikes["out"], weights, y=y, sign_mode=p.sign_mode)
        for found, wanted in zip(result.learned[name], (alone.w, alone.d, alone.t), strict=True):
            assert np.array_equal(found, wanted[-1][at])
        assert np.mean(result.learned[name][0] != weights[at]) > 0.5


@pytest.mark.parametrize("third", [False, True], ids=["two factors", "three factors"])
def test_chunks_and_parts_learn_as_the_whole(monkeypatch, third):
    net, steps = network(4, third)
    whole = net.run(steps)
    mapping = dataclasses.replace(map_network(net), core={"out": np.repeat([0, 1, 2], [5, 1, 6])})
    parts = split(net, mapping)
    monkeypatch.setattr("neuromorphic.fixed_point.CHUNK", 12 * 7)
    for result in (net.run(steps), gather(parts.run(steps), net, mapping)):
        assert np.array_equal(result.steps["out"], whole.steps["out"]) and whole.steps["out"].size > 100
        for name in ("in", "rec"):
            assert np.array_equal(result.learned[name], whole.learned[name])


def test_a_network_that_cannot_learn_is_named():
    rule = OnChipRule(dw="x1*y0", x1=(16, 10))
    edges = {"source": "in", "target": "out", "sources": [0], "targets": [0], "learning": rule}
    with pytest.raises(ModelError, match="IntegerProjection.delays: must be 0 where weights learn; got 2"):
        IntegerProjection(weights=[1], delays=[2], **edges)
    with pytest.raises(ModelError, match="IntegerProjection.weights: must be of the sign mode"):
        IntegerProjection(weights=[-1], sign_mode=2, **edges)
    with pytest.raises(ModelError, match="IntegerProjection.learning: must be an OnChipRule"):
        IntegerProjection(weights=[1], third=True, **edges)
    with pytest.raises(ModelError, match="IntegerProjection.learning: must be an OnChipRule"):
        IntegerProjection(weights=[1], **edges | {"learning": "x1*y0"})
    out, source = {"out": IntegerLIF(1)}, {"in": IntegerSource(1, [1], [0])}
    reward = IntegerProjection("in", "out", [0], [0], [1], third=True)
    with pytest.raises(ModelError, match="third: no projection to 'out' has a three-factor rule"):
        IntegerNetwork(out, source, {"a": IntegerProjection(weights=[1], **edges), "b": reward})


def test_a_classifier_must_not_learn():
    from neuromorphic.readout import record
    from snn import encode

    net, _ = network(3, False)
    with pytest.raises(ExportError, match="Projection 'in': must not learn"):
        record(net, encode.Rate("in"), np.zeros((1, 8)), "out", 5)
