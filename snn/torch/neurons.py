"""Neuron models as torch modules, trained with surrogate gradients: made from the models' own step functions."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import snntorch.surrogate
import torch

from kernels.errors import ModelError, ShapeError
from kernels.spec import nearest
from snn.distributions import Distribution
from snn.neurons.base import NeuronModel, Values
from snn.torch.tensors import tensor_function


class Neurons(torch.nn.Module):
    """Neurons of ``model`` as a layer that keeps its state from call to call; a call is a step.

    The forward pass is the model's own step function, applied to tensors: the same spikes, step for step, as in
    :class:`snn.Simulation`. What arrives in step s there is the input of call s here.

    Parameters
    ----------
    model : a neuron model such as ``snn.Leaky(beta=0.9)``; a parameter is a number, or an array that broadcasts to the
        shape of a sample's input
    surrogate : function x -> (x > 0) with a gradient of its own, default ``snntorch.surrogate.atan()``
    init : initial values of state variables, by name, as in :meth:`snn.Network.population`
    learn : names of parameters to train. They are kept within the model's bounds
    dt : [ms], the length of a step, for models in continuous time

    Raises
    ------
    ModelError
        where the model draws random numbers, or a parameter cannot be trained because derived constants depend on it

    Examples
    --------
    >>> import torch, snn.torch
    >>> layer = snn.torch.Neurons(snn.Leaky(beta=0.5), learn=["beta"])
    >>> [layer(torch.tensor([[0.75]])).item() for _ in range(4)]
    [0.0, 1.0, 0.0, 0.0]
    """

    def __init__(
        self, model: NeuronModel, surrogate: Callable[[Any], Any] | None = None, init: dict[str, Any] | None = None,
        learn: Iterable[str] = (), dt: float = 1.0,
    ) -> None:  # fmt: skip
        super().__init__()
        if isinstance(model, type) and issubclass(model, NeuronModel):
            model = model()
        if not isinstance(model, NeuronModel):
            raise ModelError(f"Neurons.model: must be a neuron model such as snn.Leaky(); got {model!r}.")
        self.kind, self.spec, self.dt = type(model), model.spec, float(dt)
        owner = f"Neurons({self.spec.name})"
        drawn = [name for name, value in model.params.items() if isinstance(value, Distribution)]
        if drawn:
            raise ModelError(f"{owner}.{drawn[0]}: must be a number or an array; got {model.params[drawn[0]]!r}.")
        if "u" in self.spec.arguments:
            raise ModelError(f"{owner}: fires at random, which has no gradient here. Use a deterministic model.")
        self.values: dict[str, Any] = dict(model.params)
        needed = _Needed(self.values)
        for constant in self.spec.derived:
            value = constant.compute(needed, self.dt)
            if np.ndim(value) == 0:
                value = int(value) if constant.dtype == "int" else float(value)
            needed.values[constant.name] = self.values[constant.name] = value
        states = {s.name: s for s in self.spec.state}
        self.init = {name: s.init for name, s in states.items()} | (init or {})
        for name in self.init:
            if name not in states:
                raise ModelError(f"{owner}.init: no state variable {name!r}.{nearest(name, states)}")
        for name in learn:
            if name not in model.params:
                raise ModelError(f"{owner}.learn: no parameter {name!r}.{nearest(name, model.params)}")
            if name in needed.names:
                raise ModelError(f"{owner}.learn: {name!r} enters derived constants, so it cannot be trained.")
            self.values[name] = torch.nn.Parameter(torch.as_tensor(model.params[name], dtype=torch.get_default_dtype()))
            self.register_parameter(name, self.values.pop(name))
        self.step = tensor_function(self.spec.step, surrogate or snntorch.surrogate.atan())
        self.state: dict[str, Any] = {}

    def reset(self) -> None:
        """Forget the state: the next call is the first step."""
        self.state = {}

    @property
    def model(self) -> NeuronModel:
        """The neuron model with its parameters as they are now."""
        return self.kind(**self.params())

    def params(self) -> dict[str, Any]:
        """Parameters by name, as numbers and arrays."""
        learned = {name: self._learned(name).detach().cpu().double().numpy() for name, _ in self.named_parameters()}
        plain = {p.name: self.values[p.name] for p in self.spec.params if p.name in self.values}
        return plain | {name: x if x.ndim else x.item() for name, x in learned.items()}

    def forward(self, x: Any, i_stim: Any = 0.0) -> Any:
        """Spikes (0 or 1, in the dtype of ``x``) of one step.

        Parameters
        ----------
        x : tensor of shape (batch, *sample), the sum of the weights that arrive; a dictionary of one for each receptor
            where the model has several
        i_stim : injected current, a number or tensor
        """
        arriving = x if isinstance(x, dict) else {self.spec.receptors[0].name: x}
        if set(arriving) != {r.name for r in self.spec.receptors}:
            names = ", ".join(r.name for r in self.spec.receptors)
            raise ShapeError(f"Neurons({self.spec.name}): needs one input for each receptor: {names}; got one tensor.")
        like = next(iter(arriving.values()))
        if not torch.is_tensor(like) or not like.is_floating_point():
            raise ShapeError(f"Neurons({self.spec.name}): needs tensors of floating dtype; got {type(like).__name__}.")
        values = {name: self._tensor(value, like) for name, value in self.values.items()}
        values |= {name: self._learned(name) for name, _ in self.named_parameters()}
        if not self.state or next(iter(self.state.values())).shape != like.shape:
            self.state = self.start(like, values)
        values |= self.state | {f"arrive_{name}": value for name, value in arriving.items()} | {"i_stim": i_stim}
        *new, fired = self.step(*(values[a] for a in self.spec.arguments))
        self.state = dict(zip((s.name for s in self.spec.state), new, strict=True))
        return fired if torch.is_tensor(fired) else torch.full_like(like, float(fired))

    def rests(self, n: int) -> bool:
        """Whether ``n`` neurons without input stay as they are at the start."""
        like = torch.zeros(1, n, dtype=torch.float64)
        first = self.start(like, self.values | self.params())
        self.state = dict(first)
        fired = self({r.name: like for r in self.spec.receptors})
        same = all(torch.equal(self.state[k], v) for k, v in first.items())
        self.reset()
        return same and not fired.any()

    def start(self, like: Any, values: dict[str, Any]) -> dict[str, Any]:
        """The state before the first step, in the shape and dtype of ``like``."""
        first = {name: values[value] if isinstance(value, str) else value for name, value in self.init.items()}
        return {name: torch.zeros_like(like) + self._tensor(value, like) for name, value in first.items()}

    def extra_repr(self) -> str:
        """What print shows."""
        return repr(self.model)

    def _learned(self, name: str) -> Any:
        bounds = next(p for p in self.spec.params if p.name == name)
        low, high = (None if x is None else float(x) for x in (bounds.ge, bounds.le))
        value = getattr(self, name)
        return value if low is None and high is None else torch.clamp(value, low, high)

    @staticmethod
    def _tensor(value: Any, like: Any) -> Any:
        if torch.is_tensor(value) or np.ndim(value) == 0:
            return value
        return torch.tensor(value, dtype=like.dtype, device=like.device)


class _Needed(Values):
    """Notes which parameters the derived constants are computed from."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values, self.names = dict(values), set[str]()

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return self.values[name]
