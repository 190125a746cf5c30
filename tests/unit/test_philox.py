"""Philox-4x32-10: published answers, and every way of drawing gives the same words."""

import numpy as np
import pytest
from scipy import stats

from kernels.philox import (
    fill_uniforms,
    fill_words,
    philox,
    philox_scalar,
    step_word_scalar,
    stream_key,
    uniforms,
    unit,
    unit_scalar,
)

# kat_vectors of Random123 (Salmon et al. 2011): counter, key, answer
KNOWN = [
    ("00000000 00000000 00000000 00000000", "00000000 00000000", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff", "ffffffff ffffffff", "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344", "a4093822 299f31d0", "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(text):
    return [np.uint64(int(word, 16)) for word in text.split()]


@pytest.mark.parametrize("function", [philox, philox_scalar])
@pytest.mark.parametrize(("counter", "key", "answer"), KNOWN)
def test_known_answers(function, counter, key, answer):
    assert list(function(*words(counter), *words(key))) == words(answer)


@pytest.mark.parametrize("sent", [0, 1, 2**32 - 1, 2**32, 2**40 + 3])
def test_uniforms_of_synapses(sent):
    """Of counter (synapse, spike): one by one, in Python and compiled, and many at a time."""
    numbers = np.array([0, 1, 7, 2**32 - 1, 2**32, 2**53 - 1], float)
    key, out = stream_key(3, "release", "p"), np.empty((2, 4))
    fill_uniforms(numbers, 2, 4, float(sent), *key, *out)
    for k, number in enumerate(numbers[2:].astype(int).tolist()):
        counter = [np.uint64(x % 2**32) for x in (number, number >> 32, sent, sent >> 32)]
        a, b, c, d = philox_scalar(*counter, *key)
        expected = [float(unit_scalar(a, b)), float(unit_scalar(c, d))]
        assert list(uniforms(float(number), float(sent), *key)) == expected
        assert list(uniforms.py_func(float(number), float(sent), *key)) == expected
        assert out[:, k].tolist() == expected


@pytest.mark.parametrize("first", [0, 3, 2**32 - 2, 2**40 + 5])
@pytest.mark.parametrize("step", [0, 1, 7, 2**34 - 1, 2**34, 2**45 + 2])
@pytest.mark.parametrize("n", [1, 5, 259])  # 256 is the size of a chunk
def test_fill_words_equals_step_word(first, step, n):
    key = stream_key(3, "words")
    at, guard = 11, np.uint32(0xABCDEF01)
    out = np.full(at + 4 * n + 9, guard)
    fill_words(first, n, step, *key, out, at)
    assert np.all(out[:at] == guard) and np.all(out[at + 4 * n :] == guard)
    block = out[at : at + 4 * n].reshape(4, n)
    for j in range(4):
        for i in {0, n // 2, n - 1}:
            assert block[j, i] == step_word_scalar(first + i, step // 4 * 4 + j, *key)


def test_words_do_not_repeat():
    """Distinct (index, step) give distinct counters, across the 32-bit borders too."""
    key = stream_key(0, "distinct")
    places = [0, 1, 2**32 - 1, 2**32, 2**33, 2**40]
    pairs = {(int(step_word_scalar(i, 4 * s, *key)), int(step_word_scalar(i, 4 * s + 1, *key)))
             for i in places for s in places}  # fmt: skip
    assert len(pairs) == len(places) ** 2  # a chance repeat has probability 36**2 / 2**65


@pytest.mark.parametrize("function", [unit, unit_scalar])
def test_unit_lies_inside(function):
    top, zero = np.uint64(2**32 - 1), np.uint64(0)
    assert function(zero, zero) == 2.0**-53
    assert function(top, top) == 1.0 - 2.0**-53
    assert 0.0 < function(zero, top) < function(top, zero) < 1.0


def test_words_are_uniform():
    """Chi-square of the high and the low byte of 4 * 50000 words; two tests at 5e-4 each: alpha = 1e-3."""
    out = np.zeros(200_000, np.uint32)
    fill_words(0, 50_000, 0, *stream_key(1, "uniform"), out, 0)
    for byte in (out >> np.uint32(24), out & np.uint32(255)):
        assert stats.chisquare(np.bincount(byte, minlength=256)).pvalue > 5e-4


def test_stream_keys():
    names = [(0,), (0, ""), (0, "a"), (0, "a", "b"), (0, "ab"), (0, "b", "a"), (0, "a, b"), (1, "a"), (2**70, "a")]
    keys = {stream_key(*name) for name in names}
    assert len(keys) == len(names)
    assert stream_key(1, "a") == stream_key(np.int64(1), "a")
    for key in keys:
        for word in key:
            assert isinstance(word, np.uint64) and word < 2**32
    # a change here changes every network of every user
    assert [int(word) for word in stream_key(12, "edges", "exc->exc")] == [329934582, 1705693344]
