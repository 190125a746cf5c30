"""Promises of the early-termination agent on problems whose risks are known, and published figures.

Rates of violation are binomial: with 2,000 draws and a true rate of at most delta = 0.1, more than delta + 0.02 has a
probability of P(Binomial(2000, 0.1) > 240) = 0.002.
"""

import math

import numpy as np
import pytest
import scipy.special
from scipy import stats

from snn import confidence
from snn.confidence import EarlyExit, SpikeCP, Trace, certify
from snn.confidence.evaluate import exits
from snn.confidence.learn import exit_mass

EPS, DELTA, DRAWS = 0.02, 0.1, 2000


def fingerprint(t_max):
    return {
        "t_max": t_max, "encoder": "synthetic", "seed": 0, "precision": "float64", "network": "none",
        "latency": "synchronous", "depth": 1,
    }  # fmt: skip


def trace(outputs, y=None, first_id=0):
    return Trace(np.cumsum(outputs, axis=0), np.arange(outputs.shape[1]) + first_id, fingerprint(len(outputs)), y)


def losses(k, n):
    """One setting that loses on k of n samples."""
    return (np.arange(n) < k).astype(int)[None]


@pytest.mark.parametrize(("n", "eps", "most"), [(500, 0.02, 5), (500, 0.01, 1), (2000, 0.02, 31), (2000, 0.01, 13)])
def test_ltt_is_an_exact_test(n, eps, most):
    allowed = [k for k in range(60) if certify.ltt(losses(k, n), eps, DELTA) == 0]
    assert allowed == list(range(most + 1))
    # at a risk of just eps: wrong with probability <= delta, and one loss more would be too many
    assert stats.binom.cdf(most, n, eps) <= DELTA < stats.binom.cdf(most + 1, n, eps)


@pytest.mark.parametrize(
    ("eps", "delta", "n"), [(0.02, 0.1, 114), (0.01, 0.1, 230), (0.01, 0.05, 299), (0.001, 0.05, 2995)]
)
def test_fewest_samples(eps, delta, n):
    assert certify.samples_needed("ltt", eps, delta) == n
    assert certify.ltt(losses(0, n), eps, delta) == 0 and certify.ltt(losses(0, n - 1), eps, delta) == -1


def test_fewest_samples_of_other_methods():
    n = certify.samples_needed("crc", EPS, DELTA)
    assert n == 49 and certify.crc(losses(0, n), EPS) == 0 and certify.crc(losses(0, n - 1), EPS) == -1
    n = certify.samples_needed("ucb", EPS, DELTA)
    assert certify.ucb(losses(0, n), EPS, DELTA) == 0 and certify.ucb(losses(0, n - 1), EPS, DELTA) == -1


def test_ltt_never_returns_a_setting_that_failed():
    rng = np.random.default_rng(0)
    for _ in range(200):
        x = rng.random((30, 400)) < np.linspace(0.0, 0.04, 30)[:, None]
        g = certify.ltt(x, EPS, DELTA)
        p = stats.binom.cdf(x.sum(axis=1), 400, EPS)
        assert np.all(p[: g + 1] <= DELTA) and (g == 29 or p[g + 1] > DELTA)


def violations(method, risks, n, nested, seed=0):
    """Share of draws in which the chosen setting's risk exceeds EPS, and the mean risk; -1 has risk 0."""
    rng = np.random.default_rng(seed)
    risks = np.asarray(risks)
    chosen = np.empty(DRAWS, int)
    for k in range(DRAWS):
        u = rng.random((1, n)) if nested else rng.random((risks.size, n))
        x = u < risks[:, None]
        chosen[k] = method(x)
    risk = np.where(chosen < 0, 0.0, risks[chosen])
    return float(np.mean(risk > EPS)), float(risk.mean())


WALKS = {
    "fine": np.linspace(0.0, 0.04, 60),
    "twelve": np.linspace(0.0, 0.12, 12),
    "a step just too far": np.array([0.0, 0.005, 1.0001 * EPS]),
    "up and down": np.array([0.0, 0.0201, 0.001, 0.03, 0.002, 0.0205, 0.0]),  # no risk of this walk is monotone
}


@pytest.mark.parametrize("walk", WALKS)
@pytest.mark.parametrize("nested", [True, False])
def test_ltt_and_ucb_keep_their_promise(walk, nested):
    for method in (lambda x: certify.ltt(x, EPS, DELTA), lambda x: certify.ucb(x, EPS, DELTA)):
        wrong, _ = violations(method, WALKS[walk], 500, nested)
        assert wrong <= DELTA + 0.02


def test_contrast_the_first_failure_or_the_share_itself_would_break_it():
    def off_by_one(x):  # the first setting that failed
        return min(certify.ltt(x, EPS, DELTA) + 1, len(x) - 1)

    def tuned(x):  # the last setting whose measured share of losses is within eps
        return int(np.flatnonzero(x.mean(axis=1) <= EPS)[-1])

    assert violations(off_by_one, WALKS["twelve"], 500, True)[0] > 0.3
    assert violations(tuned, WALKS["fine"], 500, True)[0] > 0.3


@pytest.mark.parametrize("nested", [True, False])
def test_crc_keeps_the_mean_risk_and_not_each(nested):
    wrong, mean = violations(lambda x: certify.crc(x, EPS), WALKS["fine"], 500, nested)
    # the mean of 2,000 risks of standard deviation below 0.01 has a standard error below 0.0003
    assert mean <= EPS + 0.001
    if nested:  # losses that only grow: what is promised is also used
        assert mean > 0.8 * EPS and wrong > DELTA


def test_hoeffding_bentkus_and_betting_hold_for_losses_between_0_and_1():
    rng = np.random.default_rng(1)
    a, b = 0.5, 0.5 * (1.0 / EPS - 1.0)  # Beta, of mean EPS
    x = rng.beta(a, b, (DRAWS, 300))
    assert x.mean() == pytest.approx(EPS, rel=0.02)
    p = certify.hoeffding_bentkus_p(x.mean(axis=1), 300, EPS)
    assert np.mean(p <= DELTA) <= DELTA + 0.02
    assert np.mean([certify.ucb(row[None], EPS, DELTA) == 0 for row in x]) <= DELTA + 0.02
    bounds = np.array([certify.betting_bound(row, DELTA) for row in x[:300]])
    assert np.mean(bounds < EPS) <= DELTA + 0.055  # 3 standard errors of 300 draws
    assert np.all(bounds > x[:300].mean(axis=1)) and np.median(bounds) < 3 * EPS  # a bound, and no idle one
    # power: with a mean of a fifth of eps both allow it
    small = 0.2 * x[:200]
    assert np.mean(certify.hoeffding_bentkus_p(small.mean(axis=1), 300, EPS) <= DELTA) > 0.5
    assert np.mean([certify.ucb(row[None], EPS, DELTA) == 0 for row in small]) > 0.5


def test_hoeffding_bentkus_is_weaker_than_the_binomial_test():
    k = np.arange(1, 12)
    assert np.all(certify.hoeffding_bentkus_p(k / 500, 500, EPS) >= certify.binomial_p(k, 500, EPS))


def evidence(n, t_max, n_classes, strength, seed, hopeless=0.0):
    """Gaussian evidence for the label; a share of samples gives weak noise instead."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, n_classes, n)
    o = rng.normal(0.0, 1.0, (t_max, n, n_classes))
    o[:, np.arange(n), y] += strength
    none = np.flatnonzero(rng.random(n) < hopeless)
    o[:, none] = rng.normal(0.0, 0.3, (t_max, none.size, n_classes))
    return o, y


def test_conditional_ltt_protects_early_exits():
    """Risks among those stopped by t, for every t, against a pool of 20,000 samples; LTT protects only the whole."""
    t_max, n, eps = 12, 1500, 0.05
    o, y = evidence(20_000, t_max, 3, 0.8, 1)
    pool, agent = trace(o, y), EarlyExit()
    scores, labels, _ = agent.follow(pool)
    lost = (labels != labels[-1]).astype(float)
    grid = np.concatenate([[np.inf], np.quantile(scores, np.linspace(1.0, 0.0, 100))])
    steps_all, _ = exits(scores, np.full_like(scores, np.inf), grid.tolist(), [None] * grid.size)

    def worst(stop):
        lose = lost[stop - 1, np.arange(pool.n)]
        by = [stop <= t for t in range(1, t_max + 1)]
        return max(float(lose[b].mean()) if b.any() else 0.0 for b in by)

    rng = np.random.default_rng(2)
    wrong, wrong_marginal, mean = [], [], []
    for _ in range(300):
        some = rng.integers(0, pool.n, n)
        bars = certify.conditional_ltt(scores[:, some], lost[:, some], grid, eps, DELTA, np.arange(n) % 2 == 0)
        above = scores > bars[:, None]
        stop = np.where(above.any(axis=0), above.argmax(axis=0) + 1, t_max)
        wrong.append(worst(stop) > eps)
        mean.append(stop.mean())
        g = certify.ltt(lost[steps_all[:, some] - 1, some], eps, DELTA)
        wrong_marginal.append(worst(steps_all[g]) > eps)
    assert np.mean(wrong) <= DELTA + 0.055 and np.mean(mean) < t_max - 1  # 3 standard errors of 300 draws
    assert np.mean(wrong_marginal) > 0.5


def test_sets_hold_the_class():
    """SpikeCP: coverage over 1,000 draws, 8 steps asked, a = 0.1; a draw is 200 to calibrate and 200 to test."""
    o, y = evidence(4000, 16, 5, 0.7, 3)
    pool = trace(o, y)
    rng, covered, sizes, steps = np.random.default_rng(4), [], [], []
    for _ in range(1000):
        some = rng.permutation(pool.n)[:400]
        agent = SpikeCP(check_every=2, scale=1.4)
        certificate = agent.certify(pool.take(some[:200]), risk="miscoverage", eps=0.1)
        test = pool.take(some[200:])
        sets = agent.sets(test)
        covered.append(sets[np.arange(200), test.labels].mean())
        sizes.append(sets.sum(axis=1).mean())
        steps.append(agent.decide(test).steps.mean())
        assert certificate.ok
    assert np.mean(covered) >= 0.9 - 0.02
    assert np.mean(steps) < 15 and np.mean(sizes) < 1.5  # neither waiting for the end nor holding everything
    # the fewest samples are K / a - 1
    few = SpikeCP(check_every=2, scale=1.4)
    with pytest.warns(UserWarning, match="78 samples are too few for eps 0.1 at 8 steps: 79 are needed"):
        assert not few.certify(pool.take(np.arange(78)), risk="miscoverage", eps=0.1).ok
    assert set(few.decide(pool.take(np.arange(100, 200))).steps) == {16}
    assert SpikeCP(check_every=2, scale=1.4).certify(pool.take(np.arange(79)), risk="miscoverage", eps=0.1).ok


@pytest.mark.parametrize(
    ("m", "error", "mean", "tolerance", "share", "t_max"),
    [(0.1, 0.05, 139.5, 3.5, 0.50, 900), (0.25, 0.05, 24.26, 0.6, 0.50, 200), (0.5, 0.05, 6.925, 0.16, 0.50, 80),
     (0.1, 0.01, None, None, 0.44, 1500)],
)  # fmt: skip
def test_sequential_test_of_two_gaussians(m, error, mean, tolerance, share, t_max):
    """N(+m, 1) or N(-m, 1): Wald's test keeps its error in half of the samples of a fixed size.

    Means within 3 standard errors of those of 80,000 samples each in a plain loop over log likelihood ratios.
    """
    n = 8000
    rng, steps, wrong = np.random.default_rng(5), [], []
    for y in (0, 1):
        x = rng.normal(m if y == 0 else -m, 1.0, (t_max, n // 2))
        done = confidence.SPRT(error).decide(trace(m * np.stack([x, -x], axis=2)))
        assert done.count("cap") < 0.002 * n
        steps.append(done.steps)
        wrong.append(done.labels != y)
    measured = np.mean(wrong)
    assert measured <= error
    if mean is not None:
        assert np.mean(steps) == pytest.approx(mean, abs=tolerance)
    a = math.log((1 - error) / error)
    assert np.mean(steps) > a / (2 * m**2) * math.tanh(a / 2)  # Wald's, which knows no overshoot
    fixed = (stats.norm.isf(measured) / m) ** 2
    assert np.mean(steps) / fixed <= share


def test_sequential_test_of_many_classes():
    o, y = evidence(20_000, 200, 6, 0.7, 6)
    done = confidence.SPRT(0.05, scale=1.0 / 0.7).decide(trace(o, y))
    wrong = np.mean(done.labels != y)
    assert 0.02 < wrong <= 0.05 and done.count("cap") == 0
    fixed = np.mean(np.cumsum(o, axis=0).argmax(axis=2) != y, axis=1)
    assert np.mean(done.steps) < 0.75 * (np.argmax(fixed <= wrong) + 1)


def test_giving_up_saves_the_steps_of_hopeless_inputs():
    """A fifth of the samples holds no evidence; the same promise is kept with fewer steps."""
    sizes = ((7, 2000), (8, 3000), (9, 6000))
    parts = [trace(*evidence(n, 32, 10, 1.0, seed, hopeless=0.2), seed * 10**6) for seed, n in sizes]
    means, hopeless = [], []
    for give_up in (None, (8, 0.5)):
        agent = EarlyExit("margin", give_up=give_up).fit(parts[0])
        assert agent.certify(parts[1], risk="accuracy_gap", eps=0.03).ok
        done = agent.decide(parts[2])
        full = parts[2].outputs[-1].argmax(axis=1) == parts[2].labels
        given_up = done.reasons == confidence.agent.REASONS.index("hopeless")
        assert np.mean(full & (given_up | (done.labels != parts[2].labels))) <= 0.03
        means.append(done.steps.mean())
        hopeless.append(done.count("hopeless"))
    assert hopeless[0] == 0 and hopeless[1] > 1000
    assert means[1] < 0.85 * means[0]


def test_own_losses_are_certified_between_0_and_1():
    """A function as risk: half a loss for a decision that differs from step T's; its mean is kept."""
    parts = [trace(*evidence(n, 16, 4, 0.6, seed), seed * 10**6) for seed, n in ((10, 1000), (11, 2000), (12, 6000))]
    agent = EarlyExit().fit(parts[0])
    certificate = agent.certify(parts[1], risk=lambda t, labels: 0.5 * (labels != labels[-1]), eps=0.03)
    done = agent.decide(parts[2])
    loss = 0.5 * np.mean(done.labels != parts[2].outputs[-1].argmax(axis=1))
    assert certificate.ok and certificate.risk == "custom" and 0.01 < loss <= 0.03 and done.steps.mean() < 12


def test_the_published_log_of_dynamic_confidence():
    """CIFAR-10, ResNet-18, QCFS: github.com/chenlicodebank/Dynamic-Confidence-in-Spiking-Neural-Networks, log.txt."""
    mean = [
        1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 7.9988, 8.9594, 9.653, 10.047, 10.3062, 10.5022, 10.6575, 10.7855, 10.8938,
        10.9872, 11.0685, 11.1401, 11.2036, 11.2605, 11.3108, 11.3578, 11.4004, 11.44, 11.4759, 11.5097,
    ]  # fmt: skip
    accuracy = [
        78.76, 84.28, 87.07, 88.89, 90.11, 90.96, 91.68, 92.17, 92.49, 92.79, 93.08, 93.18, 93.4, 93.53, 93.63, 93.76,
        93.85, 93.92, 94.01, 94.01, 94.08, 94.13, 94.21, 94.22, 94.21, 94.21, 94.27,
    ]  # fmt: skip
    text = str(confidence.replay(mean, np.array(accuracy) / 100))
    assert text == (
        "57.4 % fewer steps at 94.27 % (mean 11.51); no sample stops before step 7; 3.4 % of the samples run to the cap"
    )


def test_joint_training_weighs_the_classifiers_by_their_gates():
    """The gradient of sum_t P_t L_t differs from that of the plain sum where gates differ, and only there.

    In the released code of JEI-DNN the weights cancel: (sum P L) (sum L) / (sum P L) is sum L.
    """
    rng = np.random.default_rng(13)
    z, y = rng.normal(size=(4, 200, 3)), rng.integers(0, 3, 200)
    slope = scipy.special.softmax(z, axis=2)  # d L / d z of each step's cross-entropy
    slope[:, np.arange(200), y] -= 1.0
    plain = slope / 4
    even = exit_mass(np.full((4, 200), 0.25))
    assert np.allclose(even[..., None] * slope, plain)
    gates = rng.random((4, 200))
    mass = exit_mass(gates)
    assert np.allclose(mass.sum(axis=0), 1.0) and mass.min() >= 0.0
    assert np.abs(mass[..., None] * slope - plain).max() > 0.1


def test_the_hazard_gate_leaves_when_half_of_what_is_left_leaves():
    agent = confidence.JEIGate(0.5)
    parts = [trace(*evidence(500, 10, 3, 0.8, seed), seed * 10**6) for seed in (14, 15)]
    agent.fit(parts[0])
    gate = EarlyExit("gate", target="correct", bar=0.0).fit(parts[0])
    gate.gate, gate.scales = agent.gate, agent.scales  # its log odds, without the hazard
    g = scipy.special.expit(gate.follow(parts[1])[0])
    left, want = np.ones(500), np.zeros(500, int)
    for t in range(10):
        mass = np.minimum(g[t], left)
        hazard = np.where(left > 0, mass / np.where(left > 0, left, 1.0), 1.0)
        want = np.where((want == 0) & (hazard >= 0.5), t + 1, want)
        left = left - mass
    want = np.where(want == 0, 10, want)
    steps = agent.decide(parts[1]).steps
    assert np.array_equal(steps, want) and 1 < steps.mean() < 10


def test_optimal_cutoff_bars_by_their_definition():
    part = trace(*evidence(400, 10, 3, 0.8, 16))
    agent = confidence.TopK(0.05).fit(part)
    scores, labels, _ = agent.follow(part)
    right = labels == part.labels
    for t in range(10):
        settled = right[t:].all(axis=0)
        chosen = scores[t] > agent.bar[t]
        assert not chosen.any() or settled[chosen].mean() >= 0.95
        for lower in np.unique(scores[t][scores[t] <= agent.bar[t]])[::-1][:1]:  # one sample more would be too many
            assert settled[scores[t] >= lower].mean() < 0.95
    assert np.isfinite(agent.bar).sum() >= 5
