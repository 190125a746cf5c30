"""Layers between neurons stay one convolution while they can, and compute what torch computes."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("snntorch")

from torch import nn  # noqa: E402

import snn  # noqa: E402
from snn.torch import QCFS, QFFS, from_torch  # noqa: E402
from snn.torch.affine import Affine, Convolution, affine  # noqa: E402


def chain(*layers, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(*layers).double().train()
    with torch.no_grad():
        model(torch.randn(16, 4, 9, 8, dtype=torch.float64) * 2.0 + 0.3)  # running statistics
        for p in model.parameters():
            p.add_(0.3 * torch.randn_like(p))
    return model.eval()


CHAINS = {  # layers, whether they are one convolution
    "conv": ([nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2)], True),
    "batch norm before and after": ([nn.BatchNorm2d(4), nn.Conv2d(4, 6, (2, 3), groups=2), nn.BatchNorm2d(6)], True),
    "conv, pool": ([nn.Conv2d(4, 6, 3, padding=1), nn.AvgPool2d(2)], True),
    "overlapping pools": ([nn.AvgPool2d(3, stride=2, padding=1), nn.AvgPool2d(2, stride=1)], True),
    "pool, conv of groups": ([nn.AvgPool2d((3, 2)), nn.Conv2d(4, 8, 2, padding=1, groups=2), nn.Flatten()], True),
    "conv, conv": ([nn.Conv2d(4, 6, 3, groups=2), nn.Conv2d(6, 2, 2, stride=(1, 2))], True),
    "points, spread conv": ([nn.Conv2d(4, 3, 1), nn.Conv2d(3, 5, 3, dilation=2)], True),
    "same": ([nn.Conv2d(4, 6, (3, 5), padding="same", dilation=(2, 1), groups=2)], True),
    "same, of even size": ([nn.Conv2d(4, 6, (4, 3), padding="same"), nn.AvgPool2d(2)], True),
    "valid": ([nn.Conv2d(4, 6, 3, padding="valid", stride=2)], True),
    "padding of a pool's rest": ([nn.AvgPool2d(2), nn.Conv2d(4, 8, 3, padding=1)], False),  # 9 rows: one is left over
    "padding seen twice": ([nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 2, 3, padding=1)], False),
    "gaps": ([nn.Conv2d(4, 6, 1, stride=2), nn.Conv2d(6, 2, 2)], False),
    "spread twice": ([nn.Conv2d(4, 6, 2, dilation=2), nn.Conv2d(6, 2, 2, dilation=3)], False),
    "linear": ([nn.AvgPool2d(2), nn.Flatten(), nn.Linear(64, 5)], False),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains(name):
    layers, one = CHAINS[name]
    model = chain(*layers)
    made = Affine.identity((4, 9, 8))
    for layer in model:
        made = affine(layer, made)
    assert isinstance(made.linear, Convolution) == one
    x = np.random.default_rng(0).normal(size=(3, 4, 9, 8))
    expected = model(torch.from_numpy(x)).detach().numpy().reshape(3, -1)
    for sample, y in zip(x, expected, strict=True):
        np.testing.assert_allclose(made.matrix @ sample.ravel() + made.offset, y, rtol=0.0, atol=1e-12)
        np.testing.assert_allclose(made.linear @ sample.ravel() + made.offset, y, rtol=0.0, atol=1e-12)
    assert made.shape == tuple(model(torch.from_numpy(x)).shape[1:])


@pytest.mark.parametrize("activation", [QCFS(4, 0.7), QFFS(2)], ids=lambda a: type(a).__name__)
def test_projections(activation):
    """A kernel with what a spike is worth, also where a unit is two neurons of opposite sign."""
    model = chain(nn.Conv2d(4, 6, 3, padding=1), nn.AvgPool2d((3, 2)), nn.Conv2d(6, 4, 2, groups=2))
    layers = [model[0], activation, model[1], model[2], activation, nn.Flatten(), nn.Linear(24, 3).double()]
    net = from_torch(layers, (4, 9, 8)).network
    one, two = net.projections["layer1->layer2"], net.projections["layer2->output"]
    assert isinstance(one.rule, snn.conv2d) and not isinstance(two.rule, snn.conv2d)
    between = Affine.identity((6, 9, 8))
    for layer in model[1:]:
        between = affine(layer, between)
    worth = activation.threshold.item() if isinstance(activation, QCFS) else activation.step.item() * activation.most
    signs = [1.0] if isinstance(activation, QCFS) else [1.0, -1.0]
    expected = np.block([[between.matrix.toarray() * s * worth for s in signs] for _ in signs])
    sources, targets, weights, _ = snn.Simulation(net, dt=1.0, backend="reference").connections("layer1->layer2")
    found = np.zeros_like(expected)
    found[targets, sources] = weights
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_a_kernel_that_sees_padding_alone():
    """It gives its bias, as in torch; no synapse is left of it."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 2, 1), QCFS(4, 0.5), nn.Conv2d(2, 3, 1, padding=1, stride=3)]
    model = nn.Sequential(*layers).double()
    made, x = from_torch(model, (1, 1, 1)), np.random.default_rng(0).random((5, 1, 1, 1))
    assert isinstance(made.network.projections["layer1->output"].rule, snn.conv2d)
    expected = model(torch.from_numpy(x)).detach().numpy().reshape(5, 3)
    np.testing.assert_allclose(made.record(x, 4).outputs[-1] / 4.0, expected, rtol=1e-12)
    assert np.all(np.abs(expected) > 0.01)


def test_kernel_that_does_not_fit():
    with pytest.raises(
        snn.ModelError, match=r"^\[0\]: Conv2d does not fit: conv2d.kernel: must fit an image of \(4, 4\)"
    ):
        from_torch([nn.Conv2d(1, 2, 5), QCFS(4, 1.0)], (1, 4, 4))
