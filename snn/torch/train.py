"""Training: a loop over minibatches, a spiking network over time as one module, and a network with its gate."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import scipy.special
import snntorch
import torch
from torch import nn

from kernels.errors import ModelError, ShapeError, SimError
from snn.confidence import EarlyExit, Trace
from snn.confidence.learn import exit_mass
from snn.torch.neurons import Neurons
from snn.units import number, real, whole


class Unrolled(nn.Module):
    """A spiking network over ``steps`` steps, from rest: the sum of its last layer's outputs.

    Parameters
    ----------
    layers : an ``nn.Sequential`` of layers that keep their state: :class:`snn.torch.Neurons`, or snnTorch's with
        ``init_hidden=True``
    steps : integer >= 1
    static : True: a sample is the input of each step. False: it has one for each, and x is of shape
        (batch, steps, ...); of tensors with time first give ``x.transpose(0, 1)``
    """

    def __init__(self, layers: nn.Module, steps: int, static: bool = True) -> None:
        super().__init__()
        if not isinstance(layers, nn.Module):
            raise ModelError(f"Unrolled.layers: must be a torch module such as nn.Sequential(..); got {layers!r}.")
        self.layers, self.steps, self.static = layers, whole("Unrolled.steps", steps, 1), static
        if not isinstance(static, bool):
            raise ModelError(f"Unrolled.static: must be True or False; got {static!r}.")

    def forward(self, x: Any) -> Any:
        """Sum over the steps, shape (batch, outputs)."""
        return sum(self._outputs(x))

    def accumulated(self, x: Any) -> Any:
        """Sums up to each step, S_t, shape (steps, batch, outputs)."""
        return torch.cumsum(torch.stack(list(self._outputs(x))), 0)

    def _outputs(self, x: Any) -> Iterator[Any]:
        if not self.static and (x.ndim < 3 or x.shape[1] != self.steps):
            raise ShapeError(
                f"Unrolled: input over time must be of shape (batch, {self.steps}, *sample); got {tuple(x.shape)}."
            )
        self.reset()
        for k in range(self.steps):
            yield self.layers(x if self.static else x[:, k])

    def reset(self) -> None:
        """Forget the state of all layers."""
        for layer in self.layers.modules():
            for name in ("reset", "reset_mem"):  # ours; snnTorch's
                if callable(getattr(layer, name, None)):
                    getattr(layer, name)()


def train(
    model: nn.Module, x: Any, y: Any, *, epochs: int, batch: int = 64, lr: float = 2e-3, weight_decay: float = 1e-4,
    seed: int = 0,
) -> list[float]:  # fmt: skip
    """Train a classifier with Adam and a cosine schedule on the cross entropy.

    It begins with the weights that ``model`` has; for QCFS, QFFS and ReLU give it those of ``nn.init.kaiming_normal_``.
    ``seed`` gives the order of samples; a single one left over joins the batch before it, as batch norm needs two. For
    anything else write the loop: models here are ordinary torch modules.

    Parameters
    ----------
    model : gives one output a class: an artificial network, or :class:`Unrolled`
    x : samples, array or tensor of shape (n, *sample), (n, steps, *sample) for ``Unrolled(..., static=False)``
    y : classes, integers of shape (n,)

    Returns
    -------
    list of float
        mean loss of each epoch

    Raises
    ------
    ModelError
        where an argument is wrong, or the loss is no longer finite
    """
    x, y = _samples(model, x, y)

    def loss(chosen: Any) -> Any:
        return nn.functional.cross_entropy(model(x[chosen]), y[chosen])

    return _descend(model, loss, len(x), epochs, batch, lr, weight_decay, seed)


def train_jointly(
    model: Unrolled, x: Any, y: Any, agent: EarlyExit, *, epochs: int, warm_up: int, every: int = 5, batch: int = 64,
    lr: float = 2e-3, weight_decay: float = 1e-4, seed: int = 0,
) -> list[float]:  # fmt: skip
    """Train a spiking network for the steps at which a gate lets its samples go, and the gate with it.

    The two take turns. The network's loss is sum_t P_t CE(S_t, y): P_t is the share of a sample that leaves at step t,
    held constant while the network learns. Every few epochs the gate is fitted anew to "cross-entropy + cost t / T is
    least now or before", and with it P. During the warm-up P_t = 1 / T.

    Parameters
    ----------
    model, x, y : as for :func:`train`
    agent : ``snn.confidence.JEIGate(cost)``. What it learns here is a means of training: fit it anew on a trace of the
        finished network, and on samples that this has not seen
    epochs : in all;  warm_up : of them with even shares;  every : epochs between two fits of the gate

    Returns
    -------
    list of float
        mean loss of each epoch

    References
    ----------
    Regol et al. 2024, arXiv 2310.09163: exits are layers there, steps here. The loss is that of the paper; in its
    public code the shares cancel
    """
    if not isinstance(model, Unrolled):
        raise ModelError(f"train_jointly.model: must be Unrolled, a network over steps; got {type(model).__name__}.")
    if agent.score != "gate" or agent.target != "cost":
        raise ModelError(f'train_jointly.agent: must be a gate of target "cost", such as JEIGate(); got {agent!r}.')
    if not 0 < warm_up < epochs or every < 1:
        raise ModelError(
            f"train_jointly: must have 0 < warm_up < epochs and every >= 1; got {warm_up}, {epochs}, {every}."
        )
    x, y = _samples(model, x, y)
    shares = torch.full((model.steps, len(x)), 1.0 / model.steps, dtype=x.dtype)

    def loss(chosen: Any) -> Any:
        return exit_loss(model.accumulated(x[chosen]), y[chosen], shares[:, chosen])

    def begin(epoch: int) -> None:
        if epoch >= warm_up and (epoch - warm_up) % every == 0:
            shares[:] = torch.as_tensor(_exit_shares(model, x, y, agent))

    return _descend(model, loss, len(x), epochs, batch, lr, weight_decay, seed, begin)


def exit_loss(sums: Any, y: Any, shares: Any) -> Any:
    """Mean over samples of sum_t shares_t CE(S_t, y); sums (T, N, C), classes (N,), shares (T, N)."""
    steps, n, classes = sums.shape
    each = nn.functional.cross_entropy(sums.reshape(-1, classes), y.repeat(steps), reduction="none")
    return (shares * each.reshape(steps, n)).sum(0).mean()


def _exit_shares(model: Unrolled, x: Any, y: Any, agent: EarlyExit) -> np.ndarray:
    """Share of each sample that leaves at each step, (T, N), by the agent, fitted to the network as it is."""
    with torch.no_grad():
        sums = torch.cat([model.accumulated(part) for part in x.split(1024)], 1).double().numpy()
    about = {
        "t_max": model.steps, "encoder": "the model's input", "seed": "no random numbers", "precision": str(x.dtype),
        "network": "in training", "latency": "synchronous", "depth": 1,
    }  # fmt: skip
    trace = Trace(sums, np.arange(len(x)), about, y.numpy())
    agent.fit(trace)
    gate = EarlyExit("gate")  # its log odds, without the hazard
    gate.gate, gate.scales = agent.gate, agent.scales
    return exit_mass(scipy.special.expit(gate.follow(trace)[0]))


def _samples(model: nn.Module, x: Any, y: Any) -> tuple[Any, Any]:
    """Samples and classes as tensors; errors where they do not fit the model or each other."""
    parameter = next(model.parameters(), None)
    if parameter is None:
        raise ModelError("train.model: has no parameters.")
    x, y = real("train.x", x), real("train.y", y)
    if x.ndim < 2 or not x.size or not np.isfinite(x).all():
        raise ShapeError(f"train.x: must be finite samples, one at least, shape (n, *sample); got {x.shape}.")
    if y.shape != x.shape[:1]:
        raise ShapeError(f"train.y: must be of shape ({len(x)},), one class a sample; got {y.shape}.")
    if y.dtype.kind == "f":
        raise ModelError(f"train.y: must be integers, the classes; got {y.dtype}.")
    x, y = torch.as_tensor(x).to(parameter.dtype), torch.as_tensor(y).long()
    classes = _classes(model, x[:1])
    if y.min() < 0 or y.max() >= classes:
        raise ModelError(f"train.y: must be 0 to {classes - 1}, the model's outputs; got {y.min()} to {y.max()}.")
    return x, y


def _classes(model: nn.Module, sample: Any) -> int:
    """Outputs of the model, found on one sample."""
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            shape: tuple[int, ...] = getattr(model(sample), "shape", ())
    except SimError:
        raise
    except (IndexError, RuntimeError, ValueError) as error:
        raise ShapeError(
            f"train.x: must fit the model; it fails on a sample of shape {tuple(sample.shape[1:])}: {error}."
        ) from error
    finally:
        _forget(model)
    if len(shape) != 2:
        raise ShapeError(f"train.model: must give outputs of shape (n, classes); got {tuple(shape)}.")
    return int(shape[1])


def _descend(
    model: nn.Module, loss_of: Callable[[Any], Any], n: int, epochs: int, batch: int, lr: float, weight_decay: float,
    seed: int, begin: Callable[[int], None] = lambda epoch: None,
) -> list[float]:  # fmt: skip
    """Adam with a cosine schedule over minibatches of ``n`` samples; mean loss of each epoch."""
    epochs, batch = whole("train.epochs", epochs, 1), whole("train.batch", batch, 1)
    lr, weight_decay = number("train.lr", lr), number("train.weight_decay", weight_decay)
    if min(lr, weight_decay) < 0:
        raise ModelError(f"train.lr, weight_decay: must be >= 0; got {lr:g} and {weight_decay:g}.")
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    generator = torch.Generator().manual_seed(whole("train.seed", seed, 0))
    parts = [batch] * (n // batch) + [n % batch] * (n % batch > 0)
    if len(parts) > 1 and parts[-1] == 1:
        parts[-2:] = [batch + 1]
    losses = []
    model.train()
    try:
        for epoch in range(epochs):
            begin(epoch)
            total = 0.0
            for chosen in torch.randperm(n, generator=generator).split(parts):
                try:
                    loss = loss_of(chosen)
                except SimError:
                    raise
                except ValueError as error:
                    raise ModelError(f"train.batch: the model fails on one of {len(chosen)}: {error}") from error
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.item() * len(chosen)
            if not np.isfinite(total) or not all(torch.isfinite(p).all() for p in model.parameters()):
                raise ModelError(
                    f"train.lr: training diverged: in epoch {epoch + 1} of {epochs} the mean loss is {total / n:g}, or "
                    f"a parameter no longer finite; got lr={lr:g}. Begin anew with a smaller lr."
                )
            schedule.step()
            losses.append(total / n)
    finally:
        model.eval()
        _forget(model)
    return losses


def _forget(model: nn.Module) -> None:
    """Leave no state of neurons behind; its graph would keep memory, and the model could not be copied."""
    for layer in model.modules():
        if isinstance(layer, (Unrolled, Neurons)):
            layer.reset()
        elif isinstance(layer, snntorch.SpikingNeuron) and hasattr(layer, "reset_mem"):
            layer.reset_mem()
