"""Neuron models as torch modules, trained with surrogate gradients: made from the models' own step functions."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import snntorch.surrogate
import torch

from kernels.errors import ModelError, ShapeError, nearest
from kernels.spec import Param
from snn.compile import check_whole
from snn.distributions import Distribution
from snn.neurons.base import NeuronModel, Values, check_rules
from snn.torch.tensors import tensor_function
from snn.units import number, plain

STRICT = 1e-3  # share of its first distance from a strict bound that a learned parameter keeps


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
    learn : names of parameters to train. They are kept within the model's bounds, from a strict one (v_th > 0) a
        thousandth of the distance at which they begin; a rule between parameters (v_reset < v_th) that training breaks
        is an error
    dt : [ms], > 0, the length of a step, for models in continuous time

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
        self.kind, self.spec, self.dt = type(model), model.spec, number("Neurons.dt", dt)
        owner = f"Neurons({self.spec.name})"
        if self.dt <= 0:
            raise ModelError(f"{owner}.dt: must be > 0 ms; got {dt!r}.")
        if surrogate is not None and not callable(surrogate):
            raise ModelError(f"{owner}.surrogate: must be a function x -> (x > 0), or None; got {surrogate!r}.")
        drawn = [name for name, value in model.params.items() if isinstance(value, Distribution)]
        if drawn:
            raise ModelError(f"{owner}.{drawn[0]}: must be a number or an array; got {model.params[drawn[0]]!r}.")
        if self.spec.uniforms:
            raise ModelError(f"{owner}: draws random numbers, which it does not get here. Use a deterministic model.")
        self.values: dict[str, Any] = dict(model.params)
        needed = _Needed(self.values)
        for constant in self.spec.derived:
            value = constant.value(self.spec.name, needed, self.dt)
            if np.ndim(value) == 0:
                value = int(value) if constant.dtype == "int" else float(value)
            needed.values[constant.name] = self.values[constant.name] = value
        states = {s.name: s for s in self.spec.state}
        self.init: dict[str, Any] = {name: s.init for name, s in states.items()}
        if not isinstance(init, (dict, type(None))):
            raise ModelError(f"{owner}.init: must be a dictionary of state variables; got {init!r}.")
        for name, value in (init or {}).items():
            if name not in states:
                raise ModelError(f"{owner}.init: no state variable {name!r}.{nearest(str(name), states)}")
            what = f"{owner}.init[{name!r}]"
            self.init[name] = plain(value, states[name].unit, what)
            if not np.isfinite(self.init[name]).all():
                raise ModelError(f"{what}: must be finite; got {value!r}.")
            check_whole(what, states[name], self.init[name])
        if isinstance(learn, str):
            raise ModelError(f"{owner}.learn: must be a list of names; got {learn!r}. Write [{learn!r}].")
        names = list(learn) if isinstance(learn, Iterable) else [learn]
        if not all(isinstance(name, str) for name in names):
            raise ModelError(f"{owner}.learn: must be a list of names of parameters; got {learn!r}.")
        self.bounds: dict[str, tuple[float | None, float | None]] = {}
        for name in names:
            if name not in model.params:
                raise ModelError(f"{owner}.learn: no parameter {name!r}.{nearest(name, model.params)}")
            if name in needed.names:
                raise ModelError(f"{owner}.learn: {name!r} enters derived constants, so it cannot be trained.")
            self.values[name] = torch.nn.Parameter(torch.tensor(model.params[name], dtype=torch.get_default_dtype()))
            self.register_parameter(name, self.values.pop(name))
            self.bounds[name] = _closed(next(p for p in self.spec.params if p.name == name), model.params[name])
        self.surrogate = surrogate
        self.step = tensor_function(self.spec.step, surrogate or snntorch.surrogate.atan())
        self.state: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: without the functions made of the model, and the state without its graph."""
        kept = {name: value for name, value in self.__dict__.items() if name not in ("spec", "step")}
        return kept | {"state": {name: value.detach() for name, value in self.state.items()}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.spec = self.kind.spec
        self.step = tensor_function(self.spec.step, self.surrogate or snntorch.surrogate.atan())

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
        """Spikes (0 or 1, in the dtype of ``x``) of one step, in the shape that all inputs and parameters broadcast to.

        Parameters
        ----------
        x : tensor of shape (batch, *sample), the sum of the weights that arrive; a dictionary of one for each receptor
            where the model has several; {} where it has none
        i_stim : injected current, a number or tensor

        Raises
        ------
        ShapeError
            where the shape is not that of the last call; see :meth:`reset`
        """
        owner = f"Neurons({self.spec.name})"
        if not self.spec.receptors and not isinstance(x, dict):
            raise ShapeError(f"{owner}: has no receptor that x could arrive at. Give x={{}}, and i_stim as a tensor.")
        arriving = x if isinstance(x, dict) else {self.spec.receptors[0].name: x}
        if set(arriving) != {r.name for r in self.spec.receptors}:
            names = ", ".join(r.name for r in self.spec.receptors)
            raise ShapeError(f"{owner}: needs one input for each receptor: {names}; got one tensor.")
        like = next(iter(arriving.values()), i_stim)
        if not torch.is_tensor(like) or not like.is_floating_point():
            raise ShapeError(f"{owner}: needs tensors of floating dtype; got {type(like).__name__}.")
        values = {name: self._tensor(value, like) for name, value in self.values.items()}
        values |= {name: self._learned(name) for name in self.bounds}
        if any(name in self.bounds for rule in self.spec.checks for name in rule.names):
            self._keep_rules()
        values |= {f"arrive_{name}": value for name, value in arriving.items()} | {"i_stim": self._tensor(i_stim, like)}
        first = self._first(values, like)
        shape = self._shape(values, first)
        if not self.state:
            self.state = {name: _full(value, like, shape) for name, value in first.items()}
        before = next(iter(self.state.values())).shape
        if before != shape:
            raise ShapeError(
                f"{owner}: inputs must have the shape of the last call, {tuple(before)}; got {tuple(shape)}. Call "
                "reset() before other samples."
            )
        values |= self.state
        *new, fired = self.step(*(values[a] for a in self.spec.arguments))
        self.state = {s.name: _full(value, like, shape) for s, value in zip(self.spec.state, new, strict=True)}
        return _full(fired, like, shape)

    def rests(self, n: int) -> bool:
        """Whether ``n`` neurons without input stay as they are at the start."""
        like = torch.zeros(1, n, dtype=torch.float64)
        first = {k: _full(v, like, like.shape) for k, v in self._first(self.values | self.params(), like).items()}
        self.reset()
        fired = self({r.name: like for r in self.spec.receptors}, torch.zeros_like(like))
        same = all(torch.equal(self.state[k], v) for k, v in first.items())
        self.reset()
        return same and not fired.any()

    def extra_repr(self) -> str:
        """What print shows."""
        return repr(self.model)

    def _learned(self, name: str) -> Any:
        low, high = self.bounds[name]
        value = getattr(self, name)
        return value if low is None and high is None else torch.clamp(value, low, high)

    def _keep_rules(self) -> None:
        try:
            check_rules(self.spec, self.params())
        except ModelError as error:
            raise ModelError(
                f"Neurons({self.spec.name}).learn: training has broken a rule. {error} Use a smaller learning rate, or "
                "begin further from it."
            ) from None

    def _first(self, values: dict[str, Any], like: Any) -> dict[str, Any]:
        """The state before the first step; some initial values are parameters."""
        named = {name: values[x] if isinstance(x, str) else x for name, x in self.init.items()}
        return {name: self._tensor(value, like) for name, value in named.items()}

    def _shape(self, values: dict[str, Any], first: dict[str, Any]) -> Any:
        """What all that a step takes broadcasts to."""
        names = [name for name in self.spec.arguments if torch.is_tensor(values.get(name))]
        shapes = {name: values[name].shape for name in names}
        shapes |= {f"init[{name!r}]": value.shape for name, value in first.items() if torch.is_tensor(value)}
        try:
            return torch.broadcast_shapes(*shapes.values())
        except RuntimeError:
            found = ", ".join(f"{name} {tuple(shape)}" for name, shape in shapes.items() if shape)
            raise ShapeError(f"Neurons({self.spec.name}): inputs and arrays must broadcast; got {found}.") from None

    @staticmethod
    def _tensor(value: Any, like: Any) -> Any:
        if torch.is_tensor(value) or np.ndim(value) == 0:
            return value
        return torch.tensor(value, dtype=like.dtype, device=like.device)


def _full(value: Any, like: Any, shape: Any) -> Any:
    """``value``, a number or a tensor, in ``shape`` and the dtype of ``like``."""
    if torch.is_tensor(value) and value.shape == shape:
        return value
    return torch.zeros(shape, dtype=like.dtype, device=like.device) + value


def _closed(param: Param, value: Any) -> tuple[float | None, float | None]:
    """The bounds of a learned parameter that begins as ``value``, strict ones moved towards it."""
    low, high = param.ge, param.le
    if param.gt is not None:
        low = param.gt + STRICT * (float(np.min(value)) - param.gt)
    if param.lt is not None:
        high = param.lt - STRICT * (param.lt - float(np.max(value)))
    return low, high


class _Needed(Values):
    """Notes which parameters the derived constants are computed from."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values, self.names = dict(values), set[str]()

    def __getattr__(self, name: str) -> Any:
        self.names.add(name)
        return self.values[name]
