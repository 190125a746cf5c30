"""Spike-timing rules on given spike trains: windows, sums over pairs and triplets, published data, rates.

Every synapse has its own source and target, so that one run holds many experiments. Postsynaptic spikes are caused by
drivers alone; a delay is dendritic, so a postsynaptic spike reaches the synapse that much later.
"""

import math

import numpy as np
import pytest

import plasticity
import snn

DT = 0.1
POST = {"tau_m": 5.0, "e_l": 0.0, "v_th": 1e6, "v_reset": 0.0, "t_ref": 0.0}


def weights_after(rule, pre, post, weight, delay=1.0, dt=DT):
    """Weight after the spike trains of each experiment; times in ms from 0."""
    n = len(pre)
    stop = max(float(np.max(t, initial=0.0)) for t in (*pre, *post)) + float(np.max(delay)) + 10.0
    net = snn.Network()
    a = net.population("a", n, snn.SpikeArray.from_spiketrains(pre))
    b = net.population("b", n, snn.LIFDelta(**POST))
    net.input("drive", b, snn.SpikeArray.from_spiketrains(post), weight=1e9)
    net.connect(a, b, snn.one_to_one(), weight=weight, delay=delay, plasticity=rule, name="p")
    net.record(b)
    sim = snn.Simulation(net, dt=dt, threads=1, quiet=True)
    assert len(sim.run(stop).spikes["b"]) == sum(map(len, post)), "the drivers alone must cause the spikes"
    source, _, w, _ = sim.connections("p")
    return w[np.argsort(source)]


# --- one pair ---

LAGS = np.concatenate((-np.arange(0.1, 90.0, 2.3), np.arange(0.1, 90.0, 2.3))).round(1)  # post at the synapse - pre


def window(rule, w=0.5, delay=1.0):
    """Change of weight by one pair for each of LAGS."""
    pre = [np.array([200.0]) for _ in LAGS]
    post = [np.array([round(200.0 + lag - delay, 1)]) for lag in LAGS]
    return weights_after(rule, pre, post, w, delay) - w


def two_sided(potentiation, tau_plus, depression, tau_minus):
    """Exponential window."""
    up, down = potentiation * np.exp(-LAGS / tau_plus), -depression * np.exp(LAGS / tau_minus)
    return np.where(LAGS > 0, up, down)


@pytest.mark.parametrize("delay", [0.1, 1.0, 12.3])
@pytest.mark.parametrize(
    "rule, mu_plus, mu_minus",
    [
        (plasticity.STDPPair, 0.0, 0.0),
        (plasticity.STDPPair, 1.0, 1.0),
        (plasticity.STDPPair, 0.0, 1.0),
        (plasticity.STDPPair, 0.3, 0.6),
        (plasticity.STDPNearestSymmetric, 0.0, 0.0),
    ],
)
def test_pair_window(rule, mu_plus, mu_minus, delay):
    params = {"tau_plus": 17.0, "tau_minus": 34.0, "lambda_": 0.01, "alpha": 1.2, "w_max": 2.0}
    got = window(rule(mu_plus=mu_plus, mu_minus=mu_minus, **params), 0.5, delay)
    x = 0.25
    want = two_sided(0.01 * 2.0 * (1 - x) ** mu_plus, 17.0, 0.01 * 1.2 * 2.0 * x**mu_minus, 34.0)
    np.testing.assert_allclose(got, want, rtol=1e-11)


def test_power_law_window():
    got = window(plasticity.STDPPowerLaw(tau_plus=17.0, tau_minus=34.0, lambda_=0.01, alpha=0.3, mu=0.4))
    np.testing.assert_allclose(got, two_sided(0.01 * 0.5**0.4, 17.0, 0.01 * 0.3 * 0.5, 34.0), rtol=1e-11)


def test_vogels_window():
    rule = plasticity.VogelsSprekeler(tau=20.0, eta=0.01, alpha=0.25, w_max=-1.0)
    got = window(rule, -0.5)  # a stronger synapse is more negative
    np.testing.assert_allclose(got, -0.01 * (np.exp(-np.abs(LAGS) / 20.0) - 0.25), rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("rule", [plasticity.STDPTriplet, plasticity.STDPTripletNearest])
def test_triplet_rules_on_one_pair(rule):
    """No triplet in one pair, so only the pair terms act."""
    got = window(rule(a_plus=5e-3, a_minus=7e-3, w_max=1.0))
    np.testing.assert_allclose(got, two_sided(5e-3, 16.8, 7e-3, 33.7), rtol=1e-11)


def test_equal_times_are_no_pair():
    """A postsynaptic spike that reaches the synapse with a presynaptic one pairs in neither direction."""
    rule = plasticity.STDPPair(lambda_=0.1, w_max=1.0)
    assert weights_after(rule, [np.array([50.0])], [np.array([49.0])], 0.5, delay=1.0)[0] == 0.5


# --- many spikes: sums over pairs and triplets, written out from the definition ---


def random_trains(n=8, count=70, seed=3):
    rng = np.random.default_rng(seed)
    return [[np.sort(rng.choice(8_000, count, replace=False)) * DT + 5.0 for _ in range(n)] for _ in range(2)]


def kernel(times, at, tau, nearest):
    """Sum (or the largest) of exp(-(at - t) / tau) over ``times`` before ``at``."""
    ages = at - times[times < at - DT / 2]
    terms = np.exp(-ages / tau)
    return (terms.max(initial=0.0) if nearest else terms.sum()) if ages.size else 0.0


@pytest.mark.parametrize("nearest", [False, True])
def test_pairs_are_summed(nearest):
    pre, post = random_trains()
    delay, tau_plus, tau_minus, up, down = 2.4, 13.0, 40.0, 2e-4, 3e-4
    rule = plasticity.STDPNearestSymmetric if nearest else plasticity.STDPPair
    got = weights_after(
        rule(tau_plus=tau_plus, tau_minus=tau_minus, lambda_=up, alpha=down / up, mu_plus=0, mu_minus=0, w_max=1.0),
        pre, post, 0.5, delay,
    )  # fmt: skip
    seen = [t + delay for t in post]
    want = [
        0.5
        + up * sum(kernel(x, t, tau_plus, nearest) for t in y)
        - down * sum(kernel(y, t, tau_minus, nearest) for t in x)
        for x, y in zip(pre, seen, strict=True)
    ]
    np.testing.assert_allclose(got, want, rtol=1e-10)
    assert np.ptp(got) > 1e-3


# Pfister & Gerstner 2006: a_plus, a_plus_triplet, a_minus, a_minus_triplet, tau_x, tau_y; the minimal
# models have no tau_x (any will do)
TABLES = {
    "visual, all, full": (5e-10, 6.2e-3, 7e-3, 2.3e-4, 101.0, 125.0),
    "visual, all, minimal": (0.0, 6.5e-3, 7.1e-3, 0.0, 101.0, 114.0),
    "visual, nearest, full": (8.8e-11, 5.3e-2, 6.6e-3, 3.1e-3, 714.0, 40.0),
    "visual, nearest, minimal": (0.0, 5e-2, 8e-3, 0.0, 714.0, 40.0),
    "hippocampal, all, full": (6.1e-3, 6.7e-3, 1.6e-3, 1.4e-3, 946.0, 27.0),
    "hippocampal, all, minimal": (5.3e-3, 8e-3, 3.5e-3, 0.0, 946.0, 40.0),
    "hippocampal, nearest, full": (4.6e-3, 9.1e-3, 3e-3, 7.5e-9, 575.0, 47.0),
    "hippocampal, nearest, minimal": (4.6e-3, 9.1e-3, 3e-3, 0.0, 575.0, 48.0),
}


def triplet(name, scale=1.0):
    rule = plasticity.STDPTripletNearest if "nearest" in name else plasticity.STDPTriplet
    a_plus, a_plus_triplet, a_minus, a_minus_triplet, tau_x, tau_y = TABLES[name]
    return rule(
        a_plus=scale * a_plus, a_plus_triplet=scale * a_plus_triplet, a_minus=scale * a_minus,
        a_minus_triplet=scale * a_minus_triplet, tau_plus_triplet=tau_x, tau_minus_triplet=tau_y, w_max=100.0,
    )  # fmt: skip


def by_hand(pre, post, p, nearest):
    """The change of weight by the triplet rule, from the definition: sums over pairs and triplets, without traces."""
    up, down = 0.0, 0.0
    for t in post:
        slow = kernel(post, t, p["tau_minus_triplet"], nearest)
        up += kernel(pre, t, p["tau_plus"], nearest) * (p["a_plus"] + p["a_plus_triplet"] * slow)
    for t in pre:
        slow = kernel(pre, t, p["tau_plus_triplet"], nearest)
        down += kernel(post, t, p["tau_minus"], nearest) * (p["a_minus"] + p["a_minus_triplet"] * slow)
    return up - down


@pytest.mark.parametrize("name", TABLES)
def test_triplets_are_summed(name):
    pre, post = random_trains(seed=5)
    got = weights_after(triplet(name), pre, post, 50.0, 2.4)
    want = [by_hand(x, t + 2.4, triplet(name).params, "nearest" in name) for x, t in zip(pre, post, strict=True)]
    np.testing.assert_allclose(got, 50.0 + np.array(want), rtol=1e-12)
    np.testing.assert_allclose(got - 50.0, want, rtol=1e-10, atol=1e-11)
    assert np.ptp(got) > 1e-3


# --- triplet rule against data ---

RATES = np.array([0.1, 10.0, 20.0, 40.0, 50.0])  # Hz
# Sjoestroem, Turrigiano & Nelson 2001, as used by Pfister & Gerstner 2006: relative change and its standard
# error for post after pre (+10 ms) and before it (-10 ms)
DATA = np.array([[-0.04, 0.14, 0.29, 0.53, 0.56], [-0.29, -0.41, -0.34, 0.56, 0.75]])
ERROR = np.array([[0.05, 0.10, 0.14, 0.11, 0.26], [0.08, 0.11, 0.10, 0.32, 0.19]])
PUBLISHED = {
    "visual, all, full": 0.33,
    "visual, all, minimal": 0.34,
    "visual, nearest, full": 0.22,
    "visual, nearest, minimal": 0.34,
}


def frequency_curve(rule, pairs=60):
    """Relative change by 60 pairs at each of RATES, 10 ms apart: shape (2, 5), post after pre first."""
    pre, post = [], []
    for lag in (10.0, -10.0):
        for rate in RATES:
            times = 100.0 + 1000.0 / rate * np.arange(pairs)
            pre.append(times)
            post.append(times + lag - 1.0)
    return weights_after(rule, pre, post, 1.0, dt=1.0).reshape(2, 5) - 1.0


@pytest.mark.parametrize("name", PUBLISHED)
def test_frequency_dependence(name):
    curve = frequency_curve(triplet(name))
    error = np.mean(((curve - DATA) / ERROR) ** 2)
    # the paper rounds parameters to two digits, which moves the error by a few hundredths
    assert error == pytest.approx(PUBLISHED[name], abs=0.03)


def test_frequency_curve_of_the_minimal_model():
    curve = frequency_curve(triplet("visual, all, minimal"))
    # computed apart from this package
    want = [[0.000, 0.119, 0.228, 0.532, 0.763], [-0.317, -0.332, -0.342, 0.174, 0.749]]
    np.testing.assert_allclose(curve, want, atol=6e-4)


def test_pair_rule_cannot_do_that():
    """Without triplet terms no amplitudes follow the data: the least error is an order of magnitude larger."""
    none = {"a_plus": 0.0, "a_minus": 0.0, "a_plus_triplet": 0.0, "a_minus_triplet": 0.0}
    up, down = (frequency_curve(plasticity.STDPTriplet(**none | {a: 1e-3})) for a in ("a_plus", "a_minus"))
    design = np.stack([(up / ERROR).ravel(), (down / ERROR).ravel()], axis=1)
    _, residual, _, _ = np.linalg.lstsq(design, (DATA / ERROR).ravel(), rcond=None)
    assert residual[0] / DATA.size > 10 * PUBLISHED["visual, all, minimal"]


# Wang, Gerkin, Nauen & Bi 2005 (hippocampal cultures), as used by Pfister & Gerstner 2006: presynaptic and postsynaptic
# spikes [ms], 60 times at 1 Hz; the relative change and its standard error
HIPPOCAMPUS = (
    ([0.0], [10.0], 0.25, 0.05), ([10.0], [0.0], -0.17, 0.05),
    ([0.0, 10.0], [5.0], -0.01, 0.04), ([0.0, 20.0], [10.0], 0.03, 0.04),
    ([0.0, 20.0], [15.0], 0.01, 0.03), ([0.0, 20.0], [5.0], 0.24, 0.06),
    ([5.0], [0.0, 10.0], 0.33, 0.04), ([10.0], [0.0, 20.0], 0.34, 0.04),
    ([5.0], [0.0, 20.0], 0.22, 0.08), ([15.0], [0.0, 20.0], 0.29, 0.05),
    *(([95.0, 90.0 + t], [90.0, 95.0 + t], *found)  # post-pre, and pre-post t later; the other way about where t < 0
      for t, *found in ((-88.5, -0.003, 0.03), (20.0, 0.21, 0.04), (83.7, 0.06, 0.04))),
)  # fmt: skip


@pytest.mark.parametrize("scheme", ["all", "nearest"])
def test_hippocampal_data(scheme):
    """Pairs, triplets and quadruplets: changes as summed by hand, and the published error of the full models.

    The paper gives 2.9 for both. With its rounded parameters it is 2.83 and 2.72 here, less than at the minimum:
    some datum differs from the one that was fitted (standard errors of the two pairs are from one source only). Hence
    a tolerance, relatively that of the visual data: a tenth.
    """
    begin = 100.0 + 1000.0 * np.arange(60)
    pre, post = ([np.add.outer(begin, np.sort(h[k])).ravel() for h in HIPPOCAMPUS] for k in (0, 1))
    change, error = np.array([h[2:] for h in HIPPOCAMPUS]).T
    found = {}
    for model in ("full", "minimal"):
        rule = triplet(f"hippocampal, {scheme}, {model}")
        got = weights_after(rule, pre, [t - 1.0 for t in post], 1.0) - 1.0
        want = [by_hand(x, y, rule.params, scheme == "nearest") for x, y in zip(pre, post, strict=True)]
        np.testing.assert_allclose(got, want, rtol=1e-10)
        found[model] = np.mean(((got - change) / error) ** 2)
    assert found["full"] == pytest.approx(2.9, rel=0.1)


# --- rates ---


def poisson_trains(rng, rate, n, stop):
    return [np.flatnonzero(rng.random(int(stop / DT)) < rate * DT / 1000.0) * DT + DT for _ in range(n)]


def drift(rule, x, y, weight, stop=10_000.0, n=400, seed=1):
    """(mean change of the weight, its standard error) over ``n`` synapses with independent trains of x and y Hz."""
    rng = np.random.default_rng(seed)
    change = weights_after(rule, poisson_trains(rng, x, n, stop), poisson_trains(rng, y, n, stop), weight) - weight
    return change.mean(), change.std() / math.sqrt(n)


@pytest.mark.parametrize("rate", [5.0, 10.0, 20.0])
def test_triplet_rule_is_bcm(rate):
    """The minimal model with Poisson trains: dw/dt = a3 tau+ tau_y x y**2 - a2 tau- x y (x, y: rates), up to chance.

    Five standard errors: one seed in 1.7 million fails.
    """
    a3, a2, tau_y, stop, x = 6.5e-3, 7.1e-3, 114.0, 10_000.0, 10.0
    change, error = drift(triplet("visual, all, minimal"), x, rate, 50.0, stop)
    growth = a3 * 16.8 * tau_y * (x / 1000.0) * (rate / 1000.0) ** 2
    onset = growth * (tau_y + 16.8)  # the traces grow from 0
    assert abs(change - stop * (growth - a2 * 33.7 * x * rate / 1e6)) < 5 * error + onset
    threshold = a2 * 33.7 / (a3 * 16.8 * tau_y) * 1000.0  # Hz
    assert np.sign(change) == np.sign(rate - threshold) and abs(change) > 2 * error


@pytest.mark.parametrize("rate", [3.0, 12.0, 20.0])
def test_bcm_drift(rate):
    """dw/dt = eta tau**2 x y (y - theta). Traces of one train are correlated, which raises theta: exactly so."""
    t, m, eta, rho0, stop = 20.0, 500.0, 1e-2, 10.0 / 1000.0, 60_000.0
    change, error = drift(plasticity.BCM(tau=t, tau_theta=m, rho0=rho0 * 1000.0, eta=eta), 10.0, rate, 50.0, stop)
    x, y = 10.0 / 1000.0, rate / 1000.0
    # cumulants of the traces post and mean: of order k, y times the integral of the product of the k exponentials
    together, thrice = y * t * m / (t + m), y * t * m / (2 * t + m)
    post_mean_mean = t * y * ((m * y) ** 2 + m * y / 2) + 2 * together * m * y + thrice
    depression = post_mean_mean * t / (m**2 * rho0)
    want = eta * x * (stop * ((t * y) ** 2 - depression) + 1.5 * m * depression)  # the mean grows from 0
    assert change == pytest.approx(want, abs=5 * error)
    assert np.sign(change) == np.sign(rho0 - y) and abs(change) > 5 * error


@pytest.mark.parametrize("w", [0.3, 1.5])
def test_oja_drift(w):
    """dw/dt = eta tau y (x - y w): towards w = x / y."""
    change, error = drift(plasticity.Oja(eta=1e-4, tau=20.0, w_max=10.0), 12.0, 15.0, w)
    x, y = 0.012, 0.015
    assert change == pytest.approx(10_000.0 * 1e-4 * 20.0 * y * (x - y * w), abs=5 * error + 2e-5)
    assert np.sign(change) == np.sign(x / y - w)


def test_oja_settles():
    """With independent trains of x and y Hz every weight goes to x / y on average."""
    rng = np.random.default_rng(2)
    pre, post = (poisson_trains(rng, rate, 50, 100_000.0) for rate in (12.0, 15.0))
    w = weights_after(plasticity.Oja(eta=2e-2, tau=20.0, w_max=10.0), pre, post, 0.1)
    assert w.mean() == pytest.approx(12.0 / 15.0, abs=5 * w.std() / math.sqrt(50))
    assert w.std() < 0.2


@pytest.mark.parametrize(("x", "y"), [(5.0, 5.0), (5.0, 30.0), (30.0, 5.0)])
def test_covariance_rule_does_not_care_for_rates(x, y):
    """Independent trains change nothing, whatever their rates, where Hebb's rule would grow by eta tau 2 x y."""
    rule = plasticity.Covariance(tau=20.0, tau_mean=500.0, eta=1e-4)
    change, error = drift(rule, x, y, 50.0, 20_000.0)
    # until the means have grown: the integral of exp(-t / tau_mean), less that of exp(-t / tau)
    onset = 1e-4 * 2 * 20.0 * x * y / 1e6 * (500.0 - 20.0)
    assert abs(change - onset) < 5 * error
    assert 5 * error < 0.2 * 1e-4 * 2 * 20.0 * x * y / 1e6 * 20_000.0


def test_covariance_rule_follows_covariance():
    """Both rates switch together, or against each other, between 0 and 20 Hz every 100 to 300 ms."""
    rng = np.random.default_rng(3)
    stop, n = 20_000.0, 200
    edges = np.cumsum(rng.uniform(100.0, 300.0, 200))
    high = np.searchsorted(edges, np.arange(int(stop / DT)) * DT) % 2 == 0
    rates = {True: np.where(high, 20.0, 0.0), False: np.where(high, 0.0, 20.0)}

    def trains(rate):
        return [np.flatnonzero(rng.random(rate.size) < rate * DT / 1000.0) * DT + DT for _ in range(n)]

    rule = plasticity.Covariance(tau=20.0, tau_mean=2000.0, eta=1e-4)
    together, against = (
        weights_after(rule, trains(rates[True]), trains(rates[same]), 50.0) - 50.0 for same in (True, False)
    )
    # 2 eta tau times +-(10 Hz)**2; tau and tau_mean are not far from the times of switching, hence a wide band
    want = 2 * 1e-4 * 20.0 * 1e-4 * stop
    assert together.mean() == pytest.approx(want, rel=0.3)
    assert against.mean() == pytest.approx(-want, rel=0.3)
