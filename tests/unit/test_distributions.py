"""Distributions follow their laws, keep their bounds, and value i depends on (key, i) alone."""

import math

import numpy as np
import pytest
from scipy import special, stats

import snn
from kernels.draw import CONSTANT, NORMAL, draw, normal_quantile, normal_quantile_scalar, quantile
from kernels.philox import stream_key

N = 20_000
INF = math.inf


def truncated(law, low=-INF, high=INF):
    """Distribution function of ``law`` drawn again until it lies in [low, high]."""
    a, b = law.cdf(low), law.cdf(high)
    return lambda x: np.clip((law.cdf(x) - a) / (b - a), 0.0, 1.0)


CASES = [
    (snn.uniform(-2.0, 5.0), truncated(stats.uniform(-2.0, 7.0)), (-2.0, 5.0)),
    (snn.normal(3.0, 2.0), truncated(stats.norm(3.0, 2.0)), (-INF, INF)),
    (snn.normal(1.5, 0.7, low=0.1), truncated(stats.norm(1.5, 0.7), 0.1), (0.1, INF)),
    (snn.normal(0.0, 1.0, high=-1.0), truncated(stats.norm(), high=-1.0), (-INF, -1.0)),
    (snn.normal(0.0, 1.0, low=3.0, high=3.5), truncated(stats.norm(), 3.0, 3.5), (3.0, 3.5)),
    (snn.normal(0.0, 1.0, low=6.0), truncated(stats.norm(), 6.0), (6.0, INF)),
    (snn.lognormal(-1.0, 0.8), truncated(stats.lognorm(0.8, scale=math.exp(-1.0))), (0.0, INF)),
    (snn.lognormal(0.5, 0.4, low=1.0, high=2.0), truncated(stats.lognorm(0.4, scale=math.exp(0.5)), 1, 2), (1.0, 2.0)),
    (snn.lognormal(0.0, 1.0, low=-1.0), truncated(stats.lognorm(1.0)), (0.0, INF)),
    (snn.exponential(4.0), truncated(stats.expon(scale=4.0)), (0.0, INF)),
]  # fmt: skip
IDS = [repr(case[0]) for case in CASES]


@pytest.mark.parametrize(("law", "cdf", "bounds"), CASES, ids=IDS)
def test_law(law, cdf, bounds):
    """Kolmogorov-Smirnov, one test a case: family-wise alpha 0.01 by Bonferroni."""
    values = law.draw(N, stream_key(7, repr(law)))
    assert values.dtype == np.float64 and values.shape == (N,)
    assert stats.kstest(values, cdf).pvalue > 0.01 / len(CASES)
    assert law.bounds() == bounds
    assert values.min() >= bounds[0] and values.max() <= bounds[1]


@pytest.mark.parametrize("law", [case[0] for case in CASES], ids=IDS)
def test_prefix(law):
    """The number of values asked for changes none of them; another key changes all."""
    key = stream_key(7, "prefix")
    values = law.draw(1000, key)
    for n in (0, 1, 2, 999):
        np.testing.assert_array_equal(law.draw(n, key), values[:n])
    assert np.mean(values == law.draw(1000, stream_key(7, "other"))) < 0.01


def test_neighbours_are_independent():
    """Correlations at lags 1, 2, 3 and 7 are normal with std 1/sqrt(n): alpha 0.001 / 4 each, so 3.66 std."""
    x = snn.normal(0.0, 1.0).draw(N, stream_key(7, "lags"))
    for lag in (1, 2, 3, 7):
        assert abs(np.corrcoef(x[:-lag], x[lag:])[0, 1]) < 3.66 / math.sqrt(N)


@pytest.mark.parametrize("function", [normal_quantile, normal_quantile_scalar])
def test_normal_quantile(function):
    """AS 241 claims a relative error of about 1e-16; the tail beyond r = 5 (p < 1.4e-11) is covered."""
    p = np.concatenate([2.0 ** -np.arange(1.0, 54), np.geomspace(1e-300, 0.4999, 400), np.linspace(0.01, 0.99, 99)])
    got = np.array([function(x) for x in p])
    np.testing.assert_allclose(got, special.ndtri(p), rtol=2e-15, atol=2e-15)
    upper = 1.0 - 2.0 ** -np.arange(2.0, 54)
    np.testing.assert_array_equal([function(x) for x in upper], [-function(1.0 - x) for x in upper])
    assert function(0.5) == 0.0


def test_nothing_infinite_at_the_ends_of_the_unit_interval():
    """A truncated law's uniform number may round to 1, whose quantile is infinite. At 6 std the spacing of float64
    below 1, 1e-16, moves the quantile by 1e-8: hence the tolerance."""
    for law, _, bounds in CASES:
        for u in (2.0**-53, 1.0 - 2.0**-53):
            x = quantile(law.row(), u)
            assert math.isfinite(x) and bounds[0] - 1e-7 <= x <= bounds[1] + 1e-7, law
    for low in np.linspace(0.1, 3.0, 59):  # delays need the largest value to size the queues
        net = snn.Network()
        pop = net.population("a", 2, snn.LIFDelta())
        net.connect(pop, pop, snn.one_to_one(), weight=snn.uniform(0.0, 1.0), delay=snn.normal(1.5, 0.7, low=low))
        assert 1.5 / 0.1 < snn.Simulation(net, quiet=True).compiled.tables.queue_mask + 1 <= 128


def test_rounding_and_constants():
    row = snn.uniform(0.0, 1.0).row(quantum=0.25)
    values, counts = np.unique(draw(row, N, stream_key(1, "quantum")), return_counts=True)
    np.testing.assert_array_equal(values, [0.0, 0.25, 0.5, 0.75, 1.0])
    assert stats.chisquare(counts, np.array([1, 2, 2, 2, 1]) / 8 * N).pvalue > 0.001
    assert set(draw(np.array([CONSTANT, 4.5, 0, 0, 1, 0]), 5, stream_key(1, "constant"))) == {4.5}
    plain = draw(np.array([NORMAL, 0.0, 1.0, 0.0, 1.0, 0.0]), 9, stream_key(1, "row"))
    np.testing.assert_array_equal(plain, snn.normal(0.0, 1.0).draw(9, stream_key(1, "row")))


def test_mirrored_and_repr():
    assert snn.uniform(-2.0, 0.0).mirrored() and snn.normal(0.0, 1.0, high=0.0).mirrored()
    assert not snn.normal(-9.0, 1.0).mirrored() and not snn.exponential(1.0).mirrored()
    assert repr(snn.normal(1.0, 2.0, low=0.5)) == "normal(mean=1, std=2, low=0.5)"
    assert repr(snn.uniform(1.0, 2.0)) == "uniform(low=1, high=2)"
    assert repr(snn.exponential(3.0)) == "exponential(scale=3)"


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: snn.uniform(1.0, 1.0), "uniform.high: must be > low"),
        (lambda: snn.uniform(2.0, 1.0), "uniform.high: must be > low"),
        (lambda: snn.uniform(math.nan, 1.0), "uniform.low: must be a finite number"),
        (lambda: snn.uniform(0.0, math.inf), "uniform.high: must be a finite number"),
        (lambda: snn.normal(0.0, 0.0), "normal.std: must be > 0"),
        (lambda: snn.normal(0.0, -1.0), "normal.std: must be > 0"),
        (lambda: snn.normal("1", 1.0), "normal.mean: must be a finite number"),
        (lambda: snn.normal(True, 1.0), "normal.mean: must be a finite number"),
        (lambda: snn.normal([0.0, 1.0], 1.0), "normal.mean: must be a finite number"),
        (lambda: snn.normal(0.0, 1.0, low=1.0, high=1.0), "positive probability"),
        (lambda: snn.normal(0.0, 1.0, low=2.0, high=1.0), "positive probability"),
        (lambda: snn.normal(0.0, 1.0, low=40.0), "positive probability"),
        (lambda: snn.normal(0.0, 1.0, low=math.nan), "normal.low: must be a finite number"),
        (lambda: snn.lognormal(0.0, 1.0, high=-1.0), "positive probability"),
        (lambda: snn.lognormal(0.0, 0.0), "lognormal.std: must be > 0"),
        (lambda: snn.exponential(0.0), "exponential.scale: must be > 0"),
        (lambda: snn.exponential(math.inf), "exponential.scale: must be a finite number"),
    ],
)
def test_errors(make, text):
    with pytest.raises(snn.ModelError, match=text):
        make()
