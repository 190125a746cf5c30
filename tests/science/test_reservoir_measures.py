"""Tasks, readouts and measures against closed forms and published values."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse

import reservoir
from reservoir import measures, tasks


@pytest.mark.parametrize(("order", "a", "b", "c", "d"), [(10, 0.3, 0.05, 1.5, 0.1), (30, 0.2, 0.04, 1.5, 0.001)])
def test_narma_settles_at_its_fixed_point(order, a, b, c, d):
    u = 0.2
    _, y = tasks.narma(3000, order=order, u=np.full(3000, u))
    # y = a y + b order y^2 + c u^2 + d, the lower root
    p = 1.0 - a
    fixed = (p - np.sqrt(p * p - 4.0 * b * order * (c * u * u + d))) / (2.0 * b * order)
    assert y[-1, 0] == pytest.approx(fixed, rel=1e-12)


def test_narma_sees_the_input_of_order_minus_one_steps_before():
    u = np.zeros(30)
    u[[5, 14]] = 0.5, 0.4
    quiet, loud = tasks.narma(30, order=10, u=np.zeros(30))[1], tasks.narma(30, order=10, u=u)[1]
    change = (loud - quiet)[:, 0]
    assert np.all(change[:14] == 0.0)  # one alone multiplies a 0
    assert change[14] == pytest.approx(1.5 * 0.5 * 0.4)


def test_mackey_glass_rests_at_one_and_converges():
    assert np.all(np.abs(tasks.mackey_glass(300, start=1.0) - 1.0) < 1e-12)
    # the constant history has a kink at 0, which makes it second order
    runs = [tasks.mackey_glass(60, dt=dt, washout=0.0)[:, 0] for dt in (1 / 4, 1 / 8, 1 / 16, 1 / 128)]
    errors = [np.abs(run - runs[-1]).max() for run in runs[:-1]]
    assert errors[-1] < 1e-5
    assert 3.7 < errors[0] / errors[1] < 4.5 and 3.7 < errors[1] / errors[2] < 4.5


def test_mackey_glass_is_periodic_below_the_onset_of_chaos():
    # tau = 7: a limit cycle; every maximum is the same
    x = tasks.mackey_glass(4000, tau=7.0, washout=3000.0, every=0.1)[:, 0]
    inner = x[1:-1]
    peaks = inner[(inner > x[:-2]) & (inner >= x[2:])]
    assert len(peaks) > 5 and np.ptp(peaks) < 1e-3
    chaotic = tasks.mackey_glass(4000, tau=17.0, washout=3000.0, every=0.1)[:, 0]
    inner = chaotic[1:-1]
    assert np.ptp(inner[(inner > chaotic[:-2]) & (inner >= chaotic[2:])]) > 0.05


def test_lorenz_exponent():
    # growth of small distances over one time unit, averaged: 0.906 (Sprott 2003, Chaos and Time-Series Analysis)
    steps, gap = 400, 1e-7
    points = tasks.lorenz(steps, every=0.5)
    offset = gap * np.array([1.0, 0.0, 0.0])
    growth = []
    for point in points:
        ends = [tasks.lorenz(2, every=0.5, start=p, washout=0.0)[1] for p in (point, point + offset)]
        offset = ends[1] - ends[0]
        growth.append(np.log(np.linalg.norm(offset) / gap) / 0.5)
        offset *= gap / np.linalg.norm(offset)
    assert np.mean(growth[10:]) == pytest.approx(0.906, abs=0.06)


def test_temporal_parity_by_hand():
    u, y = tasks.temporal_parity(200, delays=(1, 3, 4), hold=3, seed=2)
    bits, want = u[::3, 0].astype(int), y[::3, 0].astype(int)
    assert np.array_equal(u[:198:3], u[1:198:3]) and np.array_equal(u[:198:3], u[2:198:3])
    for k in range(4, len(bits)):
        assert want[k] == (bits[k - 1] + bits[k - 3] + bits[k - 4]) % 2


def test_delayed_match_shows_two_symbols():
    u, y = tasks.delayed_match(100, symbols=5, cue=3, gap=4, seed=1)
    assert y.sum() == 50
    for trial, match in zip(u, y, strict=True):
        assert np.all(trial[3:7] == 0) and np.all(trial.sum(axis=1)[[0, 1, 2, 7, 8, 9]] == 1)
        assert (trial[0].argmax() == trial[-1].argmax()) == bool(match)


def test_spike_templates_jitter():
    trains, labels = tasks.spike_templates(400, templates=1, rate=2.0, duration=5000.0, jitter=4.0, seed=3)
    first = np.array([times[0] for times, _ in trains if len(times) == len(trains[0][0])])
    assert np.all(labels == 0)
    # the first spike is far from the second (checked here), so order is kept: its SD is the jitter, +- 4 SE
    times = trains[0][0]
    assert times[1] - times[0] > 40.0 and times[0] > 20.0
    assert first.std() == pytest.approx(4.0, abs=4 * 4.0 / np.sqrt(2 * len(first)))


def delay_line(u, taps):
    return np.stack([np.concatenate([np.zeros(k), u[: len(u) - k]]) for k in range(1, taps + 1)], axis=1)


def test_memory_of_a_delay_line():
    u = np.random.default_rng(1).uniform(-1.0, 1.0, 4000)
    capacity = measures.memory_capacity(delay_line(u, 7), u, lags=12)
    assert np.all(capacity[:7] > 1.0 - 1e-7)
    assert np.all(capacity[7:] < 25.0 / 800)  # squared correlation of unrelated series: chi2 / T, T = 797


def test_capacity_of_a_delay_line_is_linear():
    u = np.random.default_rng(2).uniform(-1.0, 1.0, 5000)
    capacity = measures.information_processing_capacity(delay_line(u, 6), u, lags={1: 9, 2: 9})
    linear = {target: value for target, value in capacity.items() if sum(d for _, d in target) == 1}
    assert sum(linear.values()) == pytest.approx(6.0, abs=1e-9)
    assert sum(capacity.values()) == pytest.approx(6.0, abs=0.05)


def test_capacities_add_up_to_the_number_of_units():
    # Dambre et al. 2012, theorem 7: all capacities of a reservoir with fading memory add up to its rank
    u = np.random.default_rng(3).uniform(-1.0, 1.0, 100_000)
    net = reservoir.EchoStateNetwork.random(5, radius=0.5, density=1.0, input_scale=0.7, bias_scale=0.5, seed=2)
    capacity = measures.information_processing_capacity(net.run(u), u, lags={1: 25, 2: 15, 3: 9, 4: 5, 5: 3})
    assert 4.85 < sum(capacity.values()) < 5.05
    assert sum(v for t, v in capacity.items() if sum(d for _, d in t) == 1) < 4.5  # not all of it is linear


@pytest.mark.parametrize("n", [1, 3, 10, 50])
def test_states_that_know_no_input_have_no_capacity(n):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        u, x = rng.uniform(-1.0, 1.0, 5000), rng.normal(size=(5000, n))
        capacity = measures.information_processing_capacity(x, u, {1: 50, 2: 30, 3: 12, 4: 6})
        assert len(capacity) == 1212 and sum(capacity.values()) < 0.01 * n


@pytest.mark.parametrize(
    ("n", "steps", "lags"), [(3, 3000, {1: 100, 2: 40, 3: 15, 4: 8}), (10, 5000, {1: 99, 2: 40, 3: 9})]
)  # fmt: skip
def test_total_capacity_is_at_most_the_rank(n, steps, lags):
    net = reservoir.EchoStateNetwork.random(
        n, density=min(1.0, 10 / n), radius=0.8, input_scale=0.3, bias_scale=0.3, seed=1
    )
    u = np.random.default_rng(0).uniform(-1.0, 1.0, steps)
    capacity = measures.information_processing_capacity(net.states(u), u, lags)
    assert 0.9 * n < sum(capacity.values()) < 1.05 * n


def test_rank():
    rng = np.random.default_rng(4)
    x = rng.normal(size=(60, 3)) @ rng.normal(size=(3, 40))
    assert measures.rank(x, energy=1.0) == 3
    assert measures.rank(np.diag([3.0, 4.0, 1.0]), energy=25 / 26) == 2
    assert measures.rank(np.zeros((3, 3))) == 0


@pytest.mark.parametrize(("n", "density"), [(600, 0.1), (1100, 0.1), (1500, 0.01)])
def test_spectral_radius_of_large_networks(n, density):
    for seed in range(3):
        w = reservoir.EchoStateNetwork.random(n, radius=0.9, density=density, seed=seed).w
        assert np.abs(np.linalg.eigvals(w.toarray())).max() == pytest.approx(0.9, rel=1e-8)


def test_spectral_radius_of_special_graphs():
    n, rng = 1100, np.random.default_rng(1)
    order = rng.permutation(n)
    forward = scipy.sparse.csr_array(np.triu(rng.normal(size=(n, n)), 1)[order][:, order])
    assert reservoir.spectral_radius(forward) == 0.0  # nothing comes back
    assert reservoir.spectral_radius(scipy.sparse.csr_array((n, n))) == 0.0
    assert reservoir.spectral_radius(scipy.sparse.diags_array(np.linspace(-3.0, 2.0, n))) == 3.0
    turn = scipy.sparse.csr_array((np.ones(n), (np.arange(n), np.roll(np.arange(n), 1))), shape=(n, n))
    # all eigenvalues of equal size, on which ARPACK does not converge
    assert reservoir.spectral_radius(turn) == pytest.approx(1.0, rel=1e-9)


def test_lyapunov_of_the_rest_state_is_the_log_of_the_spectral_radius():
    for radius in (0.5, 0.9, 1.2):
        net = reservoir.EchoStateNetwork.random(60, radius=radius, density=0.3, seed=5)
        # complex pairs make single steps swing around the mean: 1 / T
        exponent = measures.lyapunov(net, np.zeros(1500), distance=1e-9, washout=500)
        assert exponent == pytest.approx(np.log(radius), abs=0.005)
    net = reservoir.EchoStateNetwork.random(300, radius=2.0, density=0.3, seed=5)
    net.x = np.random.default_rng(1).uniform(-1.0, 1.0, 300)
    assert measures.lyapunov(net, np.zeros(600)) > 0.05  # chaotic (Sompolinsky et al. 1988)
    net = reservoir.EchoStateNetwork.random(300, radius=2.0, density=0.3, input_scale=10.0, seed=5)
    assert measures.lyapunov(net, np.random.default_rng(1).uniform(-1, 1, 600)) < -0.05  # the input suppresses chaos


def test_echo_states():
    u = np.random.default_rng(6).uniform(-1.0, 1.0, 400)
    starts = np.random.default_rng(7).uniform(-1.0, 1.0, (2, 100))
    for radius, forgets in ((0.8, True), (3.0, False)):
        net = reservoir.EchoStateNetwork.random(100, radius=radius, input_scale=0.2, seed=1)
        gap = measures.echo_state_distance(net, u, starts)
        assert (gap[-1] < 1e-10) == forgets
        assert np.array_equal(net.x, np.zeros(100))


def states_and_targets(seed=1, steps=300, n=12):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(steps, n)) + 3.0
    return x, x @ rng.normal(size=(n, 2)) - 1.0 + 0.5 * rng.normal(size=(steps, 2))


def test_ridge_solves_the_normal_equations_in_chunks():
    x, y = states_and_targets()
    a, b = x - x.mean(axis=0), y - y.mean(axis=0)
    weights = np.linalg.solve(a.T @ a + 2.5 * np.eye(12), a.T @ b)
    readout = reservoir.Ridge(2.5)
    for part in np.split(np.arange(300), [3, 90, 91, 250]):
        readout.partial_fit(x[part], y[part])
    readout.solve()
    assert np.allclose(readout.weights, weights, rtol=0, atol=1e-12)
    assert np.allclose(readout.predict(x), a @ weights + y.mean(axis=0), rtol=0, atol=1e-11)


def test_generalised_cross_validation_by_the_hat_matrix():
    x, y = states_and_targets(steps=30)
    y += 3.0 * np.random.default_rng(9).normal(size=y.shape)
    readout = reservoir.Ridge().fit(x, y)
    a, b = x - x.mean(axis=0), y - y.mean(axis=0)

    def score(penalty):
        hat = a @ np.linalg.solve(a.T @ a + penalty * np.eye(12), a.T) + 1.0 / 30
        return np.sum((b - hat @ b) ** 2) / (30 - np.trace(hat)) ** 2

    near = readout.chosen * np.array([0.5, 1.0, 2.0])
    assert score(near[1]) <= min(score(near[0]), score(near[2]))
    assert readout.chosen > 1e-6 * np.linalg.eigvalsh(a.T @ a)[-1]  # and it is not the edge of the grid


def exact_scores(x, y, penalties):
    """Generalised cross-validation by a full singular value decomposition of the states themselves."""
    a, b = x - x.mean(axis=0), y - y.mean(axis=0)
    u, size, _ = np.linalg.svd(a)
    size = np.append(size, np.zeros(max(len(x) - len(size), 0)))[: len(x)]
    squares, found = np.where(size < 1e-6 * size[0], 0.0, size) ** 2, []
    for penalty in penalties:
        left = penalty / (squares + penalty)
        found.append(np.sum((left[:, None] * (u.T @ b)) ** 2) / left[:-1].sum() ** 2)  # the last: the bias
    return np.array(found)


@pytest.mark.parametrize(
    ("steps", "n", "rank", "outputs"),
    [
        (40, 40, 40, 1), (50, 49, 49, 1), (51, 50, 50, 3), (50, 51, 51, 1), (60, 50, 50, 2), (20, 50, 50, 1),
        (200, 500, 500, 1), (1000, 30, 30, 2), (100, 60, 20, 1), (40, 60, 20, 1),
    ],
)  # fmt: skip
def test_generalised_cross_validation_for_as_many_states_as_steps(steps, n, rank, outputs):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(steps, rank))
        w = rng.normal(size=(n, outputs)) / np.sqrt(n)
        x = x @ rng.normal(size=(rank, n)) + 5.0 if rank < n else x + 5.0
        y = x @ w + rng.normal(size=(steps, outputs))
        readout = reservoir.Ridge()
        for part in np.array_split(np.arange(steps), 3):
            readout.partial_fit(x[part], y[part])
        readout.solve()
        grid = np.linalg.norm(x - x.mean(axis=0), 2) ** 2 * np.logspace(-12.0, 0.0, 121)
        scores = exact_scores(x, y, grid)
        chosen = np.argmin(np.abs(np.log(grid / readout.chosen)))
        assert readout.chosen == pytest.approx(grid[chosen], rel=1e-9)
        assert scores[chosen] <= scores.min() * (1.0 + 1e-6)


@pytest.mark.parametrize("forgetting", [1.0, 0.98])
def test_rls_is_weighted_ridge(forgetting):
    x, y = states_and_targets()
    readout = reservoir.RLS(alpha=0.3, forgetting=forgetting)
    readout.partial_fit(x[:100], y[:100])
    readout.partial_fit(x[100:], y[100:])
    one = np.hstack([x, np.ones((300, 1))])
    share = forgetting ** np.arange(299, -1, -1.0)
    gram = one.T @ (share[:, None] * one) + 0.3 * forgetting**300 * np.eye(13)
    theta = np.linalg.solve(gram, one.T @ (share[:, None] * y))
    assert np.allclose(np.vstack([readout.weights, readout.bias]), theta, rtol=0, atol=1e-8)


@pytest.mark.parametrize(("forgetting", "n"), [(1.0, 12), (0.98, 12), (0.5, 1)])  # 0.5: remembers two steps
def test_rls_in_blocks_is_step_by_step(forgetting, n):
    x, y = states_and_targets()
    x = x[:, :n]
    together = reservoir.RLS(alpha=0.3, forgetting=forgetting)
    together.partial_fit(x[:75], y[:75])
    p, theta = np.eye(n + 1) / 0.3, np.zeros((n + 1, y.shape[1]))
    for state, target in zip(np.hstack([x[:75], np.ones((75, 1))]), y, strict=False):
        k = p @ state / (forgetting + state @ p @ state)
        theta += np.outer(k, target - state @ theta)
        p = (p - np.outer(k, state @ p)) / forgetting
    assert np.allclose(np.vstack([together.weights, together.bias]), theta, rtol=0, atol=1e-8 * np.abs(theta).max())
    assert np.allclose(together._root @ together._root.T, p, rtol=1e-6, atol=1e-9 * np.abs(p).max())


def square_root_information(x, y, forgetting):
    """Weights and bias of RLS with alpha = 1, in its textbook form by QR: root^T root = P^-1."""
    rows = np.hstack([x, np.ones((len(x), 1))])
    root, right = np.eye(rows.shape[1]), np.zeros((rows.shape[1], y.shape[1]))
    for state, target in zip(rows, y, strict=True):
        q, root = np.linalg.qr(np.vstack([np.sqrt(forgetting) * root, state]))
        right = q.T @ np.vstack([np.sqrt(forgetting) * right, target])
    return scipy.linalg.solve_triangular(root, right)


@pytest.mark.parametrize(
    ("n", "forgetting", "steps", "most"),
    [(5, 0.1, 400, 1e-12), (5, 0.3, 400, 1e-12), (5, 0.95, 2000, 1e-12), (60, 0.8, 300, 1e-6), (100, 0.8, 300, 1e-6)],
)  # fmt: skip
def test_rls_that_forgets_fast_is_exact(n, forgetting, steps, most):
    x = np.tanh(np.random.default_rng(5).normal(size=(steps, n)))
    y = x[:, :1] + np.tanh(np.random.default_rng(6).normal(size=(steps, 1)))
    together, apart = reservoir.RLS(forgetting=forgetting).fit(x, y), reservoir.RLS(forgetting=forgetting)
    for k in range(0, steps, 7):
        apart.partial_fit(x[k : k + 7], y[k : k + 7])
    right = square_root_information(x, y, forgetting)
    for readout in (together, apart):
        assert np.abs(np.vstack([readout.weights, readout.bias]) - right).max() <= most * np.abs(right).max()


def test_rls_that_remembers_less_than_its_weights_is_finite():
    x = np.tanh(np.random.default_rng(5).normal(size=(2000, 300)))
    readout = reservoir.RLS(forgetting=0.9).fit(x, x[:, :1])
    assert np.abs(readout.predict(x) - x[:, :1]).max() < 1e-5


def test_rls_outlasts_silence():
    rng = np.random.default_rng(7)
    readout, w = reservoir.RLS(forgetting=0.95).fit(np.zeros((15000, 3)), np.ones(15000)), rng.normal(size=(3, 1))
    assert np.allclose(readout.bias, 1.0) and np.all(readout.weights == 0.0)
    x = rng.normal(size=(400, 3))
    readout.partial_fit(x, x @ w + 2.0)
    assert np.allclose(readout.weights, w, rtol=0, atol=1e-8) and np.allclose(readout.bias, 2.0)


def test_rls_learns_beside_units_that_are_dead_or_saturated():
    rng = np.random.default_rng(8)
    x, w = rng.normal(size=(20000, 4)), rng.normal(size=(4, 1))
    dead = np.hstack([x, np.zeros((len(x), 1)), np.ones((len(x), 1))])
    y = x @ w + rng.normal(size=(len(x), 1))
    with_them, without = (reservoir.RLS(forgetting=0.98).fit(a, y) for a in (dead, x))
    assert np.allclose(with_them.predict(dead), without.predict(x), rtol=0, atol=1e-5)


def test_nlms_learns_where_its_gate_is_open():
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(6000, 8)), rng.normal(size=(8, 2))
    y, gate = x @ w, rng.uniform(size=(6000, 2)) < 0.5
    gate[:, 1] &= np.arange(6000) > 3000
    wrong = np.where(gate, y, 100.0)  # what is not to be learned
    readout = reservoir.NLMS(rate=0.5)
    readout.partial_fit(x[:3000], wrong[:3000], gate[:3000])
    assert np.allclose(readout.weights[:, 0], w[:, 0], atol=0.05) and not readout.weights[:, 1].any()
    readout.partial_fit(x[3000:], wrong[3000:], gate[3000:])
    assert np.allclose(readout.weights, w, atol=0.05)
    plain, opened = reservoir.NLMS(), reservoir.NLMS()
    plain.partial_fit(x, y)
    opened.partial_fit(x, y, np.ones(6000))
    assert np.array_equal(plain.weights, opened.weights)


def test_nlms_learns_around_the_mean():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(20_000, 12)) + 5.0  # the common part is ten times the signal's variance
    w = rng.normal(size=(12, 1))
    y = x @ w - 2.0
    readout = reservoir.NLMS(rate=0.2, tau=1e6).fit(x, y)
    assert np.allclose(readout.weights, w, atol=0.02) and measures.nrmse(readout.predict(x), y) < 0.02


def test_softmax_solves_a_delayed_match():
    u, match = tasks.delayed_match(400, symbols=3, cue=3, gap=4, seed=1)
    net = reservoir.EchoStateNetwork.random(300, n_inputs=3, radius=0.95, input_scale=1.0, bias_scale=0.3, seed=1)
    last = np.array([net.states(trial)[-1] for trial in u])
    readout = reservoir.Softmax(0.1).fit(last[:300], np.eye(2)[match[:300]])
    assert (readout.predict(last[300:]).argmax(axis=1) == match[300:]).mean() > 0.95


@pytest.mark.parametrize("penalty", [1e-2, 1.0, 1000.0])
@pytest.mark.parametrize("scale", [1e-9, 1.0])
def test_softmax_finds_the_minimum_beside_units_that_hardly_move(penalty, scale):
    linear = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn (extra dev)")
    net = reservoir.Parallel([reservoir.EchoStateNetwork.random(n, seed=seed) for n, seed in ((20, 1), (10, 3))])
    u, y = tasks.narma(300, 5, seed=1)
    x, labels = net.states(u)[20:], (y[20:, 0] > y.mean()).astype(int)
    assert 0.0 < x.std(axis=0).min() < 1e-6
    x = np.hstack([x * scale, x[:, 5:]])
    readout = reservoir.Softmax(penalty).fit(x, np.eye(2)[labels])
    # of two classes one has the other's weights with the opposite sign: their penalty is that of half the difference
    theirs = linear.LogisticRegression(C=2.0 / penalty, tol=1e-12, max_iter=100_000).fit(x, labels)
    assert np.allclose(readout.predict(x), theirs.predict_proba(x), rtol=0, atol=1e-4)
