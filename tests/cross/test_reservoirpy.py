"""Echo-state networks, ridge regression and scores beside reservoirpy 0.4.2 and scikit-learn, executed."""

import numpy as np
import pytest
import scipy.sparse

import reservoir
from reservoir import measures, tasks

nodes = pytest.importorskip("reservoirpy.nodes", reason="peers extra not installed")
observables = pytest.importorskip("reservoirpy.observables")

pytestmark = pytest.mark.cross


def twins(n, leak=1.0, seed=1, **options):
    """(theirs, ours) with the weights that reservoirpy draws for one input."""
    theirs = nodes.Reservoir(n, lr=leak, seed=seed, **options)
    theirs.run(np.zeros((1, 1)))
    theirs.reset()
    return theirs, reservoir.EchoStateNetwork(theirs.W, theirs.Win, theirs.bias, leak)


@pytest.mark.parametrize(("n", "leak", "threads"), [(100, 1.0, 1), (1003, 0.3, 2), (1003, 0.3, 1)])
def test_same_weights_give_the_same_states(n, leak, threads):
    rng = np.random.default_rng(2)
    theirs = nodes.Reservoir(n, lr=leak, seed=4, sr=0.95, input_scaling=0.5, bias=rng.uniform(-0.3, 0.3, n))
    u = rng.uniform(-1.0, 1.0, (400, 3))
    want = theirs.run(u)
    ours = reservoir.EchoStateNetwork(theirs.W, theirs.Win, theirs.bias, leak, threads=threads)
    got = np.concatenate([ours.run(u[:150]), ours.run(u[150:])])
    assert want.std() > 0.1
    assert np.abs(got - want).max() < 1e-10


def test_bits_do_not_depend_on_threads():
    rng = np.random.default_rng(3)
    w = scipy.sparse.random_array((203, 203), density=0.2, rng=rng, data_sampler=rng.normal) * 0.2
    runs = [
        reservoir.EchoStateNetwork(w, rng.permutation(np.ones((203, 1))), threads=k).run(rng.permutation(np.ones(50)))
        for k in (1, 2, 5)
    ]
    assert np.array_equal(runs[0], runs[1]) and np.array_equal(runs[0], runs[2])


def test_memory_capacity_as_documented():
    # reservoirpy.observables documents 18.78 for 100 units, radius 1, ridge 1e-4, 50 lags, seed 1
    model = nodes.Reservoir(100, sr=1, seed=1) >> nodes.Ridge(ridge=1e-4)
    documented = observables.memory_capacity(model, k_max=50, seed=1)
    assert documented == pytest.approx(18.78, abs=0.01)
    theirs, ours = twins(100, sr=1)
    del theirs
    u = np.random.default_rng(1).uniform(-0.8, 0.8, (500, 1))
    # it starts at the 51st step, takes the last 100 for the test, and leaves 50 out before the training
    ours.reset()
    states = ours.run(u[50:])
    readout = reservoir.Ridge(1e-4)
    targets = np.stack([u[50 - k : 500 - k, 0] for k in range(1, 51)], axis=1)
    estimate = readout.fit(states[50:350], targets[50:350]).predict(states[350:])
    ours_sum = sum(np.corrcoef(a, b)[0, 1] ** 2 for a, b in zip(estimate.T, targets[350:].T, strict=True))
    assert ours_sum == pytest.approx(documented, rel=0.02)


def test_narma_score():
    u, y = tasks.narma(6000, order=10, seed=5)
    theirs, ours = twins(200, sr=0.95, input_scaling=0.3, seed=2)
    ours.readout = reservoir.Ridge(1e-7)
    mine = ours.fit(u[:4000], y[:4000], washout=200).predict(u)[4000:]
    readout = nodes.Ridge(ridge=1e-7)
    states = theirs.run(u)
    other = readout.fit(states[200:4000], y[200:4000]).run(states[4000:])
    scores = measures.nrmse(mine, y[4000:]), measures.nrmse(other, y[4000:])
    assert scores[0] == pytest.approx(scores[1], rel=0.02) and scores[0] < 0.5


def test_ridge_beside_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model", reason="peers extra not installed")
    rng = np.random.default_rng(6)
    x = rng.normal(size=(400, 30)) + rng.normal(size=30)
    y = x @ rng.normal(size=(30, 2)) + rng.normal(size=(400, 2))
    ours, theirs = reservoir.Ridge(3.0).fit(x, y), linear.Ridge(3.0).fit(x, y)
    assert np.allclose(ours.weights.T, theirs.coef_, rtol=0, atol=1e-11)
    assert np.allclose(ours.bias, theirs.intercept_, rtol=0, atol=1e-10)


def test_softmax_beside_scikit_learn():
    linear = pytest.importorskip("sklearn.linear_model", reason="peers extra not installed")
    rng = np.random.default_rng(7)
    x = rng.normal(size=(500, 8)) * np.array([0.01, 1, 1, 1, 1, 10, 100, 1]) + 3.0
    labels = np.argmax(x[:, 1:4] + 0.1 * x[:, 5:6] + rng.gumbel(size=(500, 3)), axis=1)
    readout = reservoir.Softmax(0.5)
    readout.partial_fit(x[:100], np.eye(3)[labels[:100]])
    readout.partial_fit(x[100:], np.eye(3)[labels[100:]])
    readout.solve()
    theirs = linear.LogisticRegression(C=2.0, solver="newton-cholesky", tol=1e-10, max_iter=1000).fit(x, labels)
    assert np.allclose(readout.predict(x), theirs.predict_proba(x), rtol=0, atol=1e-4)
    assert (readout.predict(x).argmax(axis=1) == labels).mean() > 0.5
