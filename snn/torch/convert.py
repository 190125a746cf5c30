"""Networks from torch: trained spiking models, and artificial networks converted to spikes.

A spike takes one step from layer to layer. So layer l runs l steps behind the torch model, which passes all layers
within one step; its bias starts at its own first step, before which its state is as at the start. Hence equality is
exact after a shift by the layers passed, which is what a :class:`snn.Classifier` of latency "synchronous" undoes.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import scipy.sparse
import snntorch
import torch
import torch.fx
from torch import nn
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from kernels.errors import ModelError, ShapeError
from snn.connect import all_to_all, from_sparse
from snn.elements import Population
from snn.encode import Direct, Encoder
from snn.inference import Classifier
from snn.inputs import SpikeArray, StepCurrent
from snn.network import Network
from snn.neurons import Accumulator, Alpha, Leaky, SignedIF, SoftResetIF, Synaptic
from snn.neurons.base import NeuronModel
from snn.sliding import conv2d
from snn.torch.activations import QCFS, QFFS
from snn.torch.affine import CONVERT, Affine, Convolution, affine, array
from snn.torch.neurons import Neurons
from snn.torch.train import Unrolled
from snn.units import number, real

Array = np.ndarray

NEAREST = {
    nn.MaxPool2d: "use nn.AvgPool2d",
    nn.LayerNorm: "use nn.BatchNorm1d",
    nn.Conv1d: "use nn.Conv2d with images of height 1",
    nn.Softmax: "leave it out: the largest output is the answer",
    nn.LogSoftmax: "leave it out: the largest output is the answer",
    nn.LSTM: "use snntorch.RSynaptic",
    nn.RNN: "use snntorch.RLeaky",
    nn.ConvTranspose2d: "use nn.Conv2d or nn.Linear",
    nn.AdaptiveAvgPool2d: "use nn.AvgPool2d with a kernel_size",
    nn.Unflatten: "leave it out, and give the shape of a sample as input_shape",
    nn.ReLU: "use a layer of spiking neurons in its place, or snn.from_torch",
}
ADDS_CURRENT = (Accumulator, Alpha, Leaky, SignedIF, SoftResetIF, Synaptic)  # a current is as an arriving weight


@dataclass
class _Unit:
    """What a layer of neurons becomes.

    ``scale``: what a spike of each neuron is worth. ``copies``: neurons a unit. ``gain``: of its input, shape (n,).
    """

    model: NeuronModel
    scale: Array
    init: dict[str, float] = field(default_factory=dict)
    recurrent: Affine | None = None
    copies: int = 1
    dt: float = 1.0
    gain: Array | None = None


ToUnit = Callable[[str, Any, tuple[int, ...]], _Unit | str]


def from_snntorch(model: Any, input_shape: Any, encoder: Encoder | None = None, **options: Any) -> Classifier:
    """The network of a trained spiking model, as a classifier; ``classifier.network`` is an ordinary network.

    Its populations are "layer1", "layer2", .., "output".

    Parameters
    ----------
    model : an ``nn.Sequential`` or list of layers in order: snnTorch's ``Leaky``, ``Lapicque``, ``Synaptic``,
        ``Alpha``, ``RLeaky``, ``RSynaptic`` or :class:`Neurons`, and between them ``nn.Linear``, ``Conv2d``,
        ``AvgPool2d``, ``BatchNorm`` (folded, with running statistics), ``Flatten`` and ``Dropout`` (left out). Layers
        after the last neurons become an output that sums its input; so does what the last neurons' spikes are worth,
        where that is not 1 (``graded_spikes_factor``). ``MaxPool2d`` of spikes, straight after neurons, becomes neurons
        that spike where one of theirs does, a step later. :class:`Unrolled` stands for its layers
    input_shape : shape of a sample, e.g. (64,) or (1, 28, 28)
    encoder : None: a sample is the model's input in every step (:class:`snn.encode.Direct`). One of spikes, with
        target "input", such as ``snn.encode.Rate("input")``: the first layer gets the spikes of a population "input"
    options : of :class:`snn.Classifier`: latency, precision, threads

    Raises
    ------
    ModelError
        where a layer cannot be converted: names its path in the model and the nearest option
    """
    if isinstance(model, Unrolled) and _forwards_as(model, Unrolled):
        _settle_hooks("model", model)
        model = model.layers
    layers = list(_chain(model))
    _one_state_each(layers)
    return _build(layers, input_shape, encoder, _spiking_unit, (*SPIKING, nn.MaxPool2d), options)


def from_torch(
    ann: Any, input_shape: Any, calibrate: Any = None, percentile: float = 99.9, encoder: Encoder | None = None,
    **options: Any,
) -> Classifier:  # fmt: skip
    """Convert an artificial network to integrate-and-fire neurons with soft reset, v(0) = threshold / 2.

    The result is a classifier; ``classifier.network`` is an ordinary network.

    Parameters
    ----------
    ann : an ``nn.Sequential`` or list of layers in order: ``QCFS``, ``QFFS`` and ``nn.ReLU`` with the layers between
        them that :func:`from_snntorch` takes. QCFS and ReLU become :class:`snn.SoftResetIF`, QFFS pairs of
        :class:`snn.SignedIF`. An output sums what comes after the last activation: v of ``output``, divided by the
        number of steps, goes to the network's output
    input_shape : shape of a sample
    calibrate : samples, shape (n, *input_shape), from which the thresholds of ``nn.ReLU`` are taken
    percentile : of a layer's activations on ``calibrate``, the threshold
    encoder, options : see :func:`from_snntorch`

    Raises
    ------
    ModelError
        where a layer cannot be converted: names its path in the model and the nearest option

    References
    ----------
    Bu et al. 2022, doi:10.48550/arXiv.2303.04347; Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682
    """
    layers = list(_chain(ann))
    thresholds = _balance(layers, _shape(input_shape), calibrate, percentile)
    to_unit: ToUnit = lambda path, layer, shape: _rate_unit(path, layer, shape, thresholds)  # noqa: E731
    return _build(layers, input_shape, encoder, to_unit, RATE, options)


def _chain(model: Any, path: str = "") -> Iterator[tuple[str, nn.Module]]:
    """(path, layer) in order, a layer as often as it is used."""
    if isinstance(model, nn.Module):
        _settle_hooks(path or "model", model)
    if isinstance(model, nn.Sequential) and _forwards_as(model, nn.Sequential):
        for name, layer in model._modules.items():  # named_children leaves out what comes again
            yield from _chain(layer, f"{path}.{name}" if path else name)
    elif isinstance(model, (list, tuple)):
        for k, layer in enumerate(model):
            yield from _chain(layer, f"{path}[{k}]")
    elif isinstance(model, nn.Module):
        yield path or "model", model
    else:
        raise ModelError(f"{path or 'model'}: must be a torch module or a list of them; got {type(model).__name__}.")


def _settle_hooks(path: str, layer: nn.Module) -> None:
    """Let the hooks of pruning and of norms make the weights from the parameters as they are; refuse all others."""
    inside = [] if isinstance(layer, (nn.Sequential, Unrolled)) else list(layer.named_modules())
    for name, module in inside or [("", layer)]:
        hooks = list(module._forward_pre_hooks.values())
        other = [h for h in hooks if not isinstance(h, (BasePruningMethod, SpectralNorm, WeightNorm))]
        if found := [*other, *module._forward_hooks.values()]:
            raise ModelError(
                f"{f'{path}.{name}' if name else path}: {type(module).__name__} cannot be converted: it has a hook, "
                f"{getattr(found[0], '__qualname__', type(found[0]).__name__)}, which may change what it computes. "
                "Remove it: handle.remove()."
            )
        training, module.training = module.training, False  # a spectral norm takes a step in training
        with torch.no_grad():
            for hook in hooks:
                hook(module, ())
        module.training = training


def _forwards_as(layer: nn.Module, *kinds: Any) -> bool:
    """Whether a layer does what one of ``kinds`` does: is one, without a forward of its own."""
    forward = getattr(layer.forward, "__func__", None)
    return any(isinstance(layer, kind) and forward is kind.forward for kind in kinds)


def _one_state_each(layers: list[tuple[str, nn.Module]]) -> None:
    """Refuse neurons that come again with the state of the place before."""
    first: dict[int, str] = {}
    for path, layer in layers:
        keeps = isinstance(layer, Neurons) or getattr(layer, "init_hidden", False)
        if keeps and first.setdefault(id(layer), path) != path:
            raise ModelError(
                f"{path}: {type(layer).__name__} must keep a state of its own; got the layer of {first[id(layer)]} "
                "again, which goes on from the state left there. Make a layer for each place."
            )


def _build(
    layers: Any, input_shape: Any, encoder: Encoder | None, to_unit: ToUnit, neurons: tuple[Any, ...],
    options: dict[str, Any],
) -> Classifier:  # fmt: skip
    stages = _stages(layers, _shape(input_shape), to_unit, neurons, encoder is not None)
    dts = {unit.dt for _, unit in stages}
    if len(dts) > 1:
        raise ModelError(f"Neurons.dt: must be the same in all layers; got {sorted(dts)}.")
    dt, net = dts.pop(), Network()
    before, scale = None, np.ones(prod(_shape(input_shape)))
    if encoder is not None:
        before = net.population("input", scale.size, SpikeArray([]))
    for k, (path, unit) in enumerate(stages):
        name = "output" if k == len(stages) - 1 else f"layer{k + 1}"
        pop = net.population(name, unit.scale.size, unit.model, init=unit.init)
        offset = np.tile(path.offset, unit.copies)
        if unit.recurrent is not None:
            offset = offset + unit.recurrent.offset
            _connect(net, pop, pop, unit.recurrent, unit.scale, dt)
        if before is None:
            net.input("sample", pop, StepCurrent(np.zeros((1, pop.n))))
            matrix = scipy.sparse.vstack([path.matrix] * unit.copies)
            encoder = Direct("sample", matrix.toarray() if _is_dense(matrix) else matrix, offset)
        else:
            _connect(net, before, pop, path, scale, dt)
            if np.any(offset):
                first = (len(net.populations) - 1) * dt
                net.input(f"bias {name}", pop, StepCurrent(offset[None], times=[first]))
        before, scale = pop, unit.scale
    readout = "v" if isinstance(stages[-1][1].model, Accumulator) else "spikes"
    return Classifier(net, encoder, "output", readout=readout, dt=dt, **options)  # type: ignore[arg-type]


def _connect(net: Network, source: Population, target: Population, path: Affine, scale: Array, dt: float) -> None:
    """Join two layers; each may be several populations of units in one, to and from which ``path`` leads."""
    linear = path.linear
    if isinstance(linear, Convolution) and linear.rule.expected(0, 0) <= 0.5 * source.n * target.n:
        image, pixels = linear.rule.image, prod(linear.rule.image[1:])
        factors = scale.reshape(-1, pixels)
        copies = target.n // prod(linear.rule.result), len(factors) // image[0]
        if np.all(factors == factors[:, :1]):
            kernel, groups = (linear.whole(), 1) if copies != (1, 1) else (linear.kernel, linear.rule.groups)
            kernel = np.tile(kernel, (*copies, 1, 1))
            each = kernel.reshape(groups, -1, *kernel.shape[1:]) * factors[:, 0].reshape(groups, 1, -1, 1, 1)
            rule = replace(linear.rule, image=(len(factors), *image[1:]), kernel=kernel.shape, groups=groups)
            net.connect(source, target, rule, weight=each.reshape(kernel.shape), delay=dt)
            return
    matrix = scipy.sparse.vstack([path.matrix] * (target.n // path.offset.size))
    matrix = scipy.sparse.hstack([matrix] * (scale.size // matrix.shape[1]))
    weights = scipy.sparse.coo_array((matrix @ scipy.sparse.diags_array(scale)).T)
    rule_, weight = (all_to_all(), weights.toarray()) if _is_dense(weights) else from_sparse(weights)
    net.connect(source, target, rule_, weight=weight, delay=dt)


def _is_dense(matrix: Any) -> bool:
    return bool(matrix.nnz > 0.5 * prod(matrix.shape))


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = tuple(shape) if isinstance(shape, (list, tuple, torch.Size)) else (shape,)
    if not sizes or not all(isinstance(n, (int, np.integer)) and n > 0 for n in sizes):
        raise ShapeError(f"input_shape: must be integers > 0, the shape of a sample; got {shape!r}.")
    return tuple(int(n) for n in sizes)


def _stages(
    layers: Any, shape: tuple[int, ...], to_unit: ToUnit, neurons: tuple[Any, ...], spikes: bool
) -> list[tuple[Affine, _Unit]]:
    """(what lies before it, unit) for each layer of neurons."""
    known = (*neurons, *(kind for group in CONVERT for kind in (group if isinstance(group, tuple) else (group,))))
    bad = [f"{path}: {_refusal(layer, neurons, known)}" for path, layer in layers if not _forwards_as(layer, *known)]
    if bad:
        raise ModelError("\n".join(bad))
    stages: list[tuple[Affine, _Unit]] = []
    now, open_end = Affine.identity(shape), False
    plain = now.linear if spikes else None  # what is between is 0 or a spike's worth
    for path, layer in layers:
        made: Any
        if isinstance(layer, nn.MaxPool2d):
            made = _any_spike(layer, now, stages) if now.linear is plain else _CURRENTS
            now, made = made if isinstance(made, tuple) else (now, made)
        else:
            made = affine(layer, now)
        if isinstance(made, Affine):
            open_end |= made.linear is not now.linear
            now = made
            continue
        unit = made or to_unit(path, layer, now.shape)
        if isinstance(unit, str):
            raise ModelError(f"{path}: {type(layer).__name__} {unit}.")
        if unit.gain is not None:
            now = now.then(scipy.sparse.diags_array(unit.gain), 0.0 * now.offset, now.shape)
        late = len(stages) + spikes
        if not isinstance(unit.model, ADDS_CURRENT) and (now.offset.any() or not late):
            raise ModelError(
                f"{path}: a bias or input current is no arriving weight for {type(unit.model).__name__}. Use "
                "bias=False, and an encoder of spikes."
            )
        if late and not Neurons(unit.model, init=unit.init, dt=unit.dt).rests(unit.scale.size):
            raise ModelError(
                f"{path}: {unit.model!r} does not stay as it is until the first input reaches it, {late} steps after "
                "the start. Start it at rest."
            )
        stages.append((now, unit))
        now, open_end = Affine.identity(now.shape), False
        plain = now.linear
    if not stages:
        raise ModelError("model: has no layer of neurons or activations that can be converted; add snn.torch.QCFS().")
    if open_end or np.any(stages[-1][1].scale != 1.0):  # counts of spikes would leave out what each is worth
        stages.append((now, _Unit(Accumulator(), np.ones(now.offset.size), dt=stages[0][1].dt)))
    return stages


def _refusal(layer: nn.Module, neurons: tuple[Any, ...], known: tuple[Any, ...]) -> str:
    name = type(layer).__name__
    if isinstance(layer, Unrolled):
        return "Unrolled cannot be converted here; give its layers, model.layers, to from_snntorch."
    hint = next((text for kind, text in NEAREST.items() if isinstance(layer, kind)), None)
    if hint is None and any(True for _ in layer.children()):
        hint = "give its layers in order, as a list or nn.Sequential"
        if joins := _joins(layer):
            return (
                f"{name} cannot be converted: its forward joins two paths ({joins}), a skip connection, which layers "
                "in order cannot say. Train without it; or make the populations by snn.Network, where the skip is a "
                "second projection, with a delay of one step for each layer of neurons that it passes by."
            )
    if hint is None and (kind := next((kind for kind in known if isinstance(layer, kind)), None)):
        hint = f"it has a forward of its own: use {kind.__name__} as it is"
    if hint is None:
        hint = f"use {' or '.join(kind.__name__ for kind in neurons if kind is not nn.MaxPool2d)}"
    return f"{name} cannot be converted; {hint}."


class _Outer(torch.fx.Tracer):
    """Follows a module's own forward, not those of the layers it calls."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """See torch.fx."""
        return True


def _joins(layer: nn.Module) -> str:
    """Name of the first operation of a module's forward that takes two paths; empty if none is seen."""
    try:
        nodes = _Outer().trace(layer).nodes
    except Exception:  # what depends on values cannot be followed
        return ""
    for node in nodes:
        name = str(getattr(node.target, "__name__", node.target)).strip("_")
        if node.op in ("call_function", "call_method") and name in ("add", "iadd", "cat", "concat", "mul"):
            if len(node.all_input_nodes) > 1:
                return name
    return ""


# spiking models ---------------------------------------------------------------------------------------------------

SPIKING = {
    snntorch.Leaky: Leaky, snntorch.RLeaky: Leaky, snntorch.Synaptic: Synaptic, snntorch.RSynaptic: Synaptic,
    snntorch.Alpha: Alpha, snntorch.Lapicque: Leaky, Neurons: None,
}  # fmt: skip


def _spiking_unit(path: str, layer: Any, shape: tuple[int, ...]) -> _Unit | str:
    if isinstance(layer, Neurons):
        if len(layer.spec.receptors) > 1:
            return f"of {layer.spec.name} has several receptors, which no layer before it feeds; use a model with one"
        params = {k: _each(v, shape) for k, v in layer.params().items()}
        default = {s.name: s.init for s in layer.spec.state}
        changed = {k: _each(v, shape) for k, v in layer.init.items() if v is not default[k]}
        return _Unit(type(layer.model)(**params), np.ones(prod(shape)), changed, dt=layer.dt)
    recurs = isinstance(layer, (snntorch.RLeaky, snntorch.RSynaptic))
    if layer.inhibition:
        return "has inhibition=True, which no neuron model has; connect the layer to itself by a recurrent weight"
    if layer.state_quant:
        return "has state_quant; leave it out, and quantise the network"
    delayed = getattr(layer, "reset_delay", True)
    if not delayed and isinstance(layer, snntorch.RSynaptic):
        return "has reset_delay=False, with which snnTorch fails, too; use reset_delay=True"
    params = {
        name: _each(np.clip(array(value), 0.0, 1.0) if name != "threshold" else array(value), shape)
        for name in ("alpha", "beta", "threshold")
        if (value := getattr(layer, name, None)) is not None
    }
    drops = isinstance(layer, (snntorch.RLeaky, snntorch.Lapicque))  # the step's input, too
    params["reset_mechanism"] = {"subtract": 0, "zero": 3 if drops else 1, "none": 2}[layer.reset_mechanism]
    if not isinstance(layer, snntorch.Alpha):
        params["reset_delay"] = int(delayed)
    scale = np.broadcast_to(array(layer.graded_spikes_factor), shape).ravel()
    recurrent = _recurrent(layer, shape) if recurs else None
    if isinstance(recurrent, str):
        return recurrent
    gain = None
    if isinstance(layer, snntorch.Lapicque):  # a step of Euler's method; its beta is not that of the step
        r, c, step = (array(x) for x in (layer.R, layer.C, layer.time_step))
        params["beta"], gain = _each(1.0 - step / (r * c), shape), _full(step / c, shape)
        if np.any(np.asarray(params["beta"]) < 0.0):
            return f"has time_step > R C, {np.max(step):g} > {np.min(r * c):g}; use a smaller time_step"
    model = next(made for kind, made in SPIKING.items() if isinstance(layer, kind))
    return _Unit(model(**params), scale, recurrent=recurrent, gain=gain)  # type: ignore[misc]


_CURRENTS = "takes the largest of several currents, which is no sum; put it after neurons, or use nn.AvgPool2d"


def _any_spike(layer: Any, now: Affine, stages: list[tuple[Affine, _Unit]]) -> tuple[Affine, _Unit] | str:
    """The largest of some spikes: neurons that spike where one arrives. They take a step of their own."""
    if len(now.shape) != 3 or layer.ceil_mode or layer.return_indices:
        return "must take images, with ceil_mode=False and return_indices=False"
    worth = stages[-1][1].scale if stages else np.ones(prod(now.shape))
    if worth[0] <= 0 or np.any(worth != worth[0]):
        return "compares spikes of different worth; use one graded_spikes_factor > 0 for the layer before"
    channels, sides = now.shape[0], (layer.kernel_size,) * 2 if np.ndim(layer.kernel_size) == 0 else layer.kernel_size
    rule = conv2d(now.shape, (channels, 1, *sides), layer.stride, layer.padding, layer.dilation, channels)
    unit = _Unit(
        Leaky(beta=0.0, threshold=worth[0] / 2, reset_mechanism=2), np.full(prod(rule.result), worth[0]),
        dt=stages[-1][1].dt if stages else 1.0,
    )  # fmt: skip
    return now.then(Convolution(rule, np.ones(rule.kernel)), np.zeros(unit.scale.size), rule.result), unit


def _recurrent(layer: Any, shape: tuple[int, ...]) -> Affine | str:
    before, inner = Affine.identity(shape), layer.recurrent
    if not layer.all_to_all:
        return before.then(scipy.sparse.diags_array(_full(array(inner.V), shape)), 0.0 * before.offset, shape)
    made = affine(inner, before)
    if isinstance(made, Affine) and made.shape != shape:
        return f"has a recurrent layer that changes the shape from {shape} to {made.shape}; use an odd kernel_size"
    return made or "has a recurrent layer that cannot be converted; use linear_features or conv2d_channels"


def _each(value: Any, shape: tuple[int, ...]) -> Any:
    """A number, or one number a neuron."""
    return float(value) if np.ndim(value) == 0 else _full(value, shape)


def _full(value: Any, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(np.asarray(value, float), shape).ravel()


# artificial networks ----------------------------------------------------------------------------------------------

RATE = (QCFS, QFFS, nn.ReLU)


def _rate_unit(path: str, layer: Any, shape: tuple[int, ...], thresholds: dict[str, float]) -> _Unit | str:
    n = prod(shape)
    if isinstance(layer, QFFS):
        step = layer.step.item()
        if step <= 0:
            return f"has a step of {step:g}, which must be > 0; begin training with a larger one"
        th = step * layer.most
        both = np.repeat([1.0, -1.0], n)
        model = SignedIF(v_th=th, n_max=layer.most, sign=both)
        return _Unit(model, th * both, {"v": th / 2}, copies=2)
    th = layer.threshold.item() if isinstance(layer, QCFS) else thresholds[path]
    if th <= 0:
        return f"has a threshold of {th:g}, which must be > 0; begin training with a larger one"
    return _Unit(SoftResetIF(v_th=th), np.full(n, th), {"v": th / 2})


def _balance(
    layers: list[tuple[str, nn.Module]], shape: tuple[int, ...], calibrate: Any, percentile: float
) -> dict[str, float]:
    """Thresholds of the ReLUs, by path: a percentile of their activations."""
    relus = [path for path, layer in layers if isinstance(layer, nn.ReLU)]
    if not relus:
        return {}
    if calibrate is None:
        raise ModelError(f"{relus[0]}: ReLU has no threshold of its own; give calibrate=<samples>, or use QCFS.")
    if not 0 < number("percentile", percentile) <= 100:
        raise ModelError(f"percentile: must be > 0 and <= 100; got {percentile!r}.")
    found: dict[str, float] = {}
    parameter = next((p for _, layer in layers for p in layer.parameters()), torch.zeros(0))
    given = real("calibrate", calibrate)
    if given.shape[1:] != shape or not given.size or not np.isfinite(given).all():
        sizes = ", ".join(map(str, shape))
        raise ShapeError(f"calibrate: must be finite samples, one at least, shape (n, {sizes}); got {given.shape}.")
    x = torch.as_tensor(given).to(parameter.dtype)
    with torch.no_grad():
        for path, layer in layers:
            training = layer.training
            x = layer.eval()(x)
            layer.train(training)
            if isinstance(layer, nn.ReLU):
                found[path] = float(np.percentile(array(x), percentile))
    return found
