"""Resonate-and-fire, sigma-delta and graded neurons against a twin in whole numbers, and mistakes that it catches."""

import math
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from kernels.errors import ModelError, ShapeError
from neuromorphic import IntegerGraded, IntegerRF, IntegerSigmaDelta, fixed_point_neurons


def tz(x, bits):
    return int(math.copysign(abs(x) // 2**bits, x)) if x else 0


def rf(m, a, b):
    """(spikes, re, im) of one neuron as the docstring says."""
    c, s = (math.trunc((1 - m.alpha) * f(2 * math.pi / m.period) * 2**m.decay_bits) for f in (math.cos, math.sin))
    re, im, theta, rows = 0, 0, m.vth * 2**m.state_exp, []
    for x, y in zip(a, b, strict=True):
        old = im
        re, im = (
            tz(c * re, m.decay_bits) - tz(s * im, m.decay_bits) + x * 2**m.state_exp,
            tz(s * re, m.decay_bits) + tz(c * im, m.decay_bits) + y * 2**m.state_exp,
        )
        re, im = (min(max(v, 1 - 2**23), 2**23 - 1) for v in (re, im))
        fired = im >= theta if m.izhikevich else re >= theta and im >= 0 and old < 0
        if fired and m.izhikevich:
            re, im = 0, theta - 1
        rows.append((int(fired), re, im))
    return np.array(rows).T


def sigma_delta(m, a):
    """What one neuron sends, as the docstring says."""
    f, total, last, residue, error, out = m.spike_exp + m.state_exp, 0, 0, 0, 0, []
    for x in a:
        total += x
        now = total + m.bias * 2**f if m.sigma else x * 2**f
        now = max(now, 0) if m.sigma and m.relu else now
        d = now - last + residue
        error = error + d if m.cum_error else d
        sent = d if abs(error) >= m.vth * 2**f else 0
        error, residue, last = (0 if sent else error), d - sent, now
        out.append(sent // 2**m.state_exp)
    return np.array(out)


def differ(module):
    """Whether any of some random cases differs from the twin."""
    rng = np.random.default_rng(3)
    m = module.IntegerRF(5.0, 1.0, 7, 1)  # all is lost in a step: the threshold exactly, then the clip exactly
    a, b = np.array([[0], [7], [2**22]]), np.array([[-1], [0], [-(2**22)]])
    if not np.array_equal(np.array(m.run(a, b))[:, :, 0], rf(m, a[:, 0].tolist(), b[:, 0].tolist())):
        return True
    for k in range(24):
        a, b = (np.rint(rng.normal(0, 2.0 ** rng.integers(3, 16), (50, 2))).astype(int) for _ in range(2))
        m = module.IntegerRF(float(rng.uniform(2.5, 20)), float(rng.uniform(0, 0.2)), int(rng.integers(1, 500)),
                             int(rng.integers(0, 7)), int(rng.integers(4, 13)), k % 2 == 0)  # fmt: skip
        found, wanted = m.run(a, b), [rf(m, a[:, i].tolist(), b[:, i].tolist()) for i in range(2)]
        if not all(np.array_equal(found[j][:, i], wanted[i][j]) for i in range(2) for j in range(3)):
            return True
        a = rng.integers(-40, 41, (50, 2))
        sigma = k % 3 > 0
        m = module.IntegerSigmaDelta(int(rng.integers(0, 60)), int(rng.integers(-30, 30)) * sigma, k % 2 == 0, sigma,
                                     int(rng.integers(0, 3)), int(rng.integers(0, 3)), k % 4 > 1)  # fmt: skip
        if not all(np.array_equal(m.run(a)[:, i], sigma_delta(m, a[:, i].tolist())) for i in range(2)):
            return True
        m = module.IntegerGraded(int(rng.integers(0, 40)), k % 2 == 0)
        a[0] = [m.vth, -m.vth - 1]
        wanted = [[x if (x if m.relu else abs(x)) > m.vth else 0 for x in row] for row in a.tolist()]
        if m.run(a).tolist() != wanted:
            return True
    return False


MISTAKES = {
    "products rounded together": ("tz(c * re) - tz(s * im)", "tz(c * re - s * im)"),
    "floors": ("np.sign(x) * (np.abs(x) >> b)", "x >> b"),
    "clip at 2^23": ("STATE_LIMIT - 1, self", "STATE_LIMIT, self"),
    "strict threshold": ("(new_re >= theta)", "(new_re > theta)"),
    "no crossing asked": (" & (im < 0)", ""),
    "reset to theta": ("theta - 1, new_im", "theta, new_im"),
    "real part kept": ("np.where(fired, 0, new_re)", "new_re"),
    "threshold not shifted": ("theta = self.vth << self.state_exp", "theta = self.vth"),
    "residue forgotten": ("residue, sent[t] = d - out", "residue, sent[t] = 0 * d"),
    "error kept": ("np.where(out != 0, 0, error)", "error"),
    "not rectified": ("x = np.maximum(x, 0)", "x = x"),
    "bias not shifted": ("self.bias << f", "self.bias"),
    "sent unshifted": ("out >> self.state_exp", "out"),
    "delta strict": (">= self.vth << f", "> self.vth << f"),
    "graded not strict": (") > self.vth, a", ") >= self.vth, a"),
}


def test_the_module_equals_its_twin():
    assert not differ(fixed_point_neurons)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_caught(mistake):
    old, new = MISTAKES[mistake]
    text = Path(fixed_point_neurons.__file__).read_text(encoding="utf-8")
    assert text.count(old) == 1
    module = types.ModuleType("mutant")
    sys.modules["mutant"] = module  # dataclasses look their module up
    try:
        exec(compile(text.replace(old, new), "mutant", "exec"), module.__dict__)
    finally:
        del sys.modules["mutant"]
    assert differ(module)


BAD = {
    "period": (lambda: IntegerRF(1.0), ModelError, "IntegerRF.period: must be >= 2 steps; got 1.0"),
    "alpha": (lambda: IntegerRF(5.0, 1.5), ModelError, "IntegerRF.alpha: must be 0 to 1; got 1.5"),
    "bits": (lambda: IntegerRF(5.0, decay_bits=13), ModelError, "IntegerRF.decay_bits: must be an integer, 1 to 12"),
    "vth": (
        lambda: IntegerSigmaDelta(-1),
        ModelError,
        "IntegerSigmaDelta.vth: must be an integer, 0 to 8388607; got -1",
    ),
    "bias": (lambda: IntegerSigmaDelta(1, 5, sigma=False), ModelError, "bias: must be 0 without sigma; got 5"),
    "floats": (lambda: IntegerGraded(1).run(np.zeros((3, 1))), ShapeError, "must be integers of shape .steps, n."),
    "shape": (
        lambda: IntegerRF(5.0).run(np.zeros((3, 2), int), np.zeros((3, 1), int)),
        ShapeError,
        "run.a_im: must be",
    ),
    "wraps": (lambda: IntegerSigmaDelta(1).run(np.full((3, 1), 2**30)), ModelError, "a state leaves 32 bits"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case):
    call, error, text = BAD[case]
    with pytest.raises(error, match=text):
        call()
