"""Rules of on-chip learning: reading them, what does not fit, and what a product is worth."""

import doctest

import numpy as np
import pytest

from kernels.errors import ModelError, ShapeError
from neuromorphic import OnChipRule, learning
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
        ({"dw": "x0", "y2": (1, 1), "third_factor": True}, "y2: must be \\(0, 0\\)"),
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


def test_examples():
    assert doctest.testmod(learning).failed == 0
