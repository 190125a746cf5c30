"""A network and the gate that stops it, trained in turns (JEI-DNN, over time steps)."""

import numpy as np
import pytest
import scipy.special

torch = pytest.importorskip("torch", reason="the extra torch is not installed")
pytest.importorskip("snntorch", reason="the extra torch is not installed")

from torch import nn  # noqa: E402

import snn  # noqa: E402
from kernels.errors import ModelError  # noqa: E402
from snn.confidence import EarlyExit, JEIGate  # noqa: E402
from snn.torch import Neurons, Unrolled, train_jointly  # noqa: E402
from snn.torch.train import exit_loss  # noqa: E402


def test_gradient_is_that_of_the_weighted_loss():
    rng = np.random.default_rng(0)
    sums = torch.tensor(rng.normal(0.0, 1.0, (4, 50, 3)), requires_grad=True)
    y = rng.integers(0, 3, 50)
    shares = rng.dirichlet(np.ones(4), 50).T
    exit_loss(sums, torch.tensor(y), torch.tensor(shares)).backward()
    slope = scipy.special.softmax(sums.detach().numpy(), axis=2)
    slope[:, np.arange(50), y] -= 1.0
    assert np.allclose(sums.grad.numpy(), shares[..., None] * slope / 50)
    # the classifiers' loss of the authors' public code multiplies the weights away again
    even = slope / (4 * 50)
    assert np.abs(sums.grad.numpy() - even).max() > 0.2 * np.abs(even).max()


def problem():
    """Two classes, told by noisy inputs; half of the samples are hard."""
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 300)
    x = np.where(np.arange(300) % 2, 0.2, 1.0)[:, None] * np.eye(2)[y] + 0.3 * rng.random((300, 2))
    return x, y


def network(steps=6):
    torch.manual_seed(0)
    return Unrolled(nn.Sequential(nn.Linear(2, 16), Neurons(snn.Leaky(beta=0.9)), nn.Linear(16, 2)), steps)


def test_sums_of_steps():
    model, x = network(), torch.tensor(problem()[0], dtype=torch.float32)
    with torch.no_grad():
        sums = model.accumulated(x)
        assert sums.shape == (6, 300, 2) and torch.allclose(sums[-1], model(x), atol=1e-5)


def test_a_gate_and_its_network_take_turns():
    x, y = problem()
    model, agent = network(), JEIGate(1.0)
    losses = train_jointly(model, x, y, agent, epochs=12, warm_up=4, every=4, lr=2e-2)
    assert len(losses) == 12 and losses[-1] < 0.7 * losses[0]
    assert agent.gate is not None and agent.fingerprint["network"] == "in training"
    # the samples that the gate lets go early weigh on the early steps: with another cost, another network
    other = network()
    assert train_jointly(other, x, y, JEIGate(0.01), epochs=12, warm_up=4, every=4, lr=2e-2)[:4] == losses[:4]
    assert not torch.equal(other.layers[0].weight, model.layers[0].weight)


def test_samples_over_time_that_never_change_train_alike():
    x, y = problem()
    found = []
    for static in (True, False):
        model, given = network(), x if static else np.repeat(x[:, None], 6, axis=1)
        model.static = static
        found.append(train_jointly(model, given, y, JEIGate(1.0), epochs=4, warm_up=2, every=1, lr=2e-2))
    np.testing.assert_allclose(*found, rtol=1e-6)


def test_bad_input():
    x, y = problem()
    with pytest.raises(ModelError, match="train_jointly.model: must be Unrolled"):
        train_jointly(nn.Linear(2, 2), x, y, JEIGate(), epochs=2, warm_up=1)
    with pytest.raises(ModelError, match='must be a gate of target "cost", such as JEIGate'):
        train_jointly(network(), x, y, EarlyExit("gate"), epochs=2, warm_up=1)
    with pytest.raises(ModelError, match="must have 0 < warm_up < epochs and every >= 1; got 2, 2, 5"):
        train_jointly(network(), x, y, JEIGate(), epochs=2, warm_up=2)
