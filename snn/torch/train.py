"""Training: a loop over minibatches, and a spiking network over time as one module."""

from typing import Any

import numpy as np
import torch
from torch import nn

from kernels.errors import ModelError, ShapeError


class Unrolled(nn.Module):
    """A spiking network over ``steps`` steps, from rest: the sum of its last layer's outputs.

    Parameters
    ----------
    layers : an ``nn.Sequential`` of layers that keep their state: :class:`snn.torch.Neurons`, or snnTorch's with
        ``init_hidden=True``
    steps : integer >= 1; a sample is the input of each step
    """

    def __init__(self, layers: nn.Module, steps: int) -> None:
        super().__init__()
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ModelError(f"Unrolled.steps: must be an integer >= 1; got {steps!r}.")
        self.layers, self.steps = layers, steps

    def forward(self, x: Any) -> Any:
        """Sum over the steps, shape (batch, outputs)."""
        for layer in self.layers.modules():
            for name in ("reset", "reset_mem"):  # ours; snnTorch's
                if callable(getattr(layer, name, None)):
                    getattr(layer, name)()
        return sum(self.layers(x) for _ in range(self.steps))


def train(
    model: nn.Module, x: Any, y: Any, *, epochs: int, batch: int = 64, lr: float = 2e-3, weight_decay: float = 1e-4,
    seed: int = 0,
) -> list[float]:  # fmt: skip
    """Train a classifier with Adam and a cosine schedule on the cross entropy.

    It begins with the weights that ``model`` has; for QCFS, QFFS and ReLU give it those of ``nn.init.kaiming_normal_``.
    ``seed`` gives the order of samples. For anything else write the loop: models here are ordinary torch modules.

    Parameters
    ----------
    model : gives one output a class: an artificial network, or :class:`Unrolled`
    x : samples, array or tensor of shape (n, *sample);  y : classes, integers of shape (n,)

    Returns
    -------
    list of float
        mean loss of each epoch
    """
    parameter = next(model.parameters(), None)
    if parameter is None:
        raise ModelError("train.model: has no parameters.")
    x = torch.as_tensor(np.asarray(x)).to(parameter.dtype)
    y = torch.as_tensor(np.asarray(y)).long()
    if y.shape != x.shape[:1]:
        raise ShapeError(f"train.y: must be of shape ({len(x)},), one class a sample; got {tuple(y.shape)}.")
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    generator = torch.Generator().manual_seed(seed)
    losses = []
    model.train()
    for _ in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x), generator=generator).split(batch):
            loss = nn.functional.cross_entropy(model(x[chosen]), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chosen)
        schedule.step()
        losses.append(total / len(x))
    model.eval()
    return losses
