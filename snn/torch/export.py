"""Networks to snnTorch."""

from collections.abc import Callable
from typing import Any

import numpy as np
import snntorch
import torch
from torch import nn

from kernels.errors import ExportError
from snn.distributions import Distribution
from snn.elements import Population, Projection
from snn.encode import Direct
from snn.inference import Classifier
from snn.inputs import StepCurrent
from snn.network import Network
from snn.simulation import Simulation

MECHANISMS = ("subtract", "zero", "none", "zero")  # by Leaky.reset_mechanism; the last is RLeaky's


def to_snntorch(
    network: Network | Classifier, dt: float = 1.0, spike_grad: Callable[[Any], Any] | None = None
) -> nn.Sequential:
    """The network as snnTorch modules with ``init_hidden=True``, dense ``nn.Linear`` between them, to train further.

    Populations form a chain, each but the first fed by the one before with a delay of one step; one may feed itself,
    too. A layer of the module runs ahead of its population by the layers passed. A first population of spike sources
    gives way to the module's input; a first population of neurons gets the module's input as current, beside constant
    ones of its own, and through the weights of the encoder where ``network`` is a :class:`snn.Classifier` with
    :class:`snn.encode.Direct`. A last :class:`snn.Accumulator` is left out: the sum of the module's outputs over the
    steps is its v.

    Parameters
    ----------
    network : of :class:`snn.Leaky`, :class:`snn.Synaptic` and :class:`snn.Alpha`
    dt : [ms], the length of a step
    spike_grad : surrogate, as in snnTorch

    Returns
    -------
    nn.Sequential
        in torch's default dtype

    Raises
    ------
    ExportError
        where the network has no counterpart
    """
    if not isinstance(network, (Network, Classifier)):
        raise ExportError(f"to_snntorch.network: must be a Network or a Classifier; got {network!r:.80}.")
    net, layers = network.network if isinstance(network, Classifier) else network, list[nn.Module]()
    direct = network.encoder if isinstance(network, Classifier) and isinstance(network.encoder, Direct) else None
    dt = network.dt if isinstance(network, Classifier) else dt
    chain, between = _order(net)
    if direct is not None and net.inputs[direct.target].target is not chain[0]:
        raise ExportError(f"Classifier.encoder: must drive the first population, {chain[0].name!r}; got {direct!r}.")
    sim = Simulation(net, dt=dt, backend="reference", quiet=True)
    for k, population in enumerate(chain):
        weight, bias = None, _bias(net, population, k * dt, direct)
        if k:
            weight = _dense(sim, between[chain[k - 1].name, population.name], dt)
        elif direct is not None:
            weight = direct.weight if isinstance(direct.weight, np.ndarray) else direct.weight.toarray()
            bias = direct.bias if bias is None else direct.bias + bias
        elif bias is not None and np.any(bias):
            weight = np.eye(population.n)
        if weight is not None:
            layers.append(_linear(weight, bias))
        if population.spec is not None:
            own = between.get((population.name, population.name))
            layer = _neurons(population, None if own is None else _dense(sim, own, dt), spike_grad, k == len(chain) - 1)
            layers += [] if layer is None else [layer]
    return nn.Sequential(*layers).to(torch.get_default_dtype())


def _order(net: Network) -> tuple[list[Population], dict[tuple[str, str], Projection]]:
    """The populations from first to last, and the projections by what they join."""
    between: dict[tuple[str, str], Projection] = {}
    for p in net.projections.values():
        ends = (p.source.name, p.target.name)
        if p.plastic or ends in between:
            why = "is plastic" if p.plastic else "is the second one of its pair"
            raise ExportError(f"Projection {p.name!r}: {why}; snnTorch has static layers, one between two populations.")
        between[ends] = p
    following = {a: b for a, b in between if a != b}
    starts = set(net.populations) - {b for a, b in between if a != b}
    chain = [*starts][:1]
    while chain and chain[-1] in following and len(chain) <= len(net.populations):
        chain.append(following[chain[-1]])
    links = sum(a != b for a, b in between)
    if sorted(chain) != sorted(net.populations) or links != len(chain) - 1:
        raise ExportError(f"Network: populations must form a chain; got {', '.join(f'{a}->{b}' for a, b in between)}.")
    return [net.populations[name] for name in chain], between


def _dense(sim: Simulation, projection: Projection, dt: float) -> np.ndarray:
    """Weights of shape (targets, sources)."""
    sources, targets, weights, delays = sim.connections(projection.name)
    if np.any(np.abs(delays - dt) > 1e-6 * dt):
        raise ExportError(f"Projection {projection.name!r}.delay: must be one step, {dt} ms; got up to {delays.max()}.")
    matrix = np.zeros((projection.target.n, projection.source.n))
    np.add.at(matrix, (targets, sources), weights)
    return matrix


def _bias(net: Network, population: Population, first: float, samples: Direct | None) -> np.ndarray | None:
    """The constant current that begins with the population's first step, without that of the samples."""
    total = None
    for given in (x for x in net.inputs.values() if x.target is population):
        source = given.source
        if samples is not None and given.name == samples.target:
            continue
        if not isinstance(source, StepCurrent) or np.ptp([*source.times, first]) > 1e-9:
            raise ExportError(
                f"Input {given.name!r}: must be one StepCurrent from {first} ms on, the layer's bias; got {source!r}."
            )
        total = np.zeros(population.n) + source.amplitudes[0] + (0.0 if total is None else total)
    return total


def _linear(weight: np.ndarray, bias: np.ndarray | None) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
        if bias is not None:
            layer.bias.copy_(torch.from_numpy(bias))
    return layer


def _neurons(population: Population, recurrent: np.ndarray | None, spike_grad: Any, last: bool) -> nn.Module | None:
    name, owner = type(population.model).__name__, f"Population {population.name!r}"
    if name == "Accumulator" and last:
        return None
    if name not in ("Leaky", "Synaptic", "Alpha") or (name == "Alpha" and recurrent is not None):
        raise ExportError(f"{owner}.model: snnTorch has no counterpart; got {population.model!r}. Use snn.Leaky.")
    if population.init:
        raise ExportError(f"{owner}.init: snnTorch starts from 0; got {population.init!r}.")
    params = dict(population.model.params)  # type: ignore[union-attr]
    for key, value in params.items():
        chooses = key in ("reset_mechanism", "reset_delay")
        if isinstance(value, Distribution) or (chooses and np.ptp(value) > 0):
            raise ExportError(f"{owner}.{key}: must be a number{'' if chooses else ' or an array'}; got {value!r}.")
    mechanism = int(np.max(params.pop("reset_mechanism")))
    if name == "Leaky" and mechanism in (1, 3) and (mechanism == 3) != (recurrent is not None):
        raise ExportError(f"{owner}.reset_mechanism: snnTorch's Leaky has 1, RLeaky 3; got {mechanism}.")
    options: dict[str, Any] = {"init_hidden": True, "spike_grad": spike_grad, "reset_mechanism": MECHANISMS[mechanism]}
    if "reset_delay" in params:
        options["reset_delay"] = bool(np.max(params.pop("reset_delay")))
    options |= {key: torch.tensor(value, dtype=torch.float64) for key, value in params.items()}
    if recurrent is None:
        return getattr(snntorch, name)(**options)
    layer = getattr(snntorch, f"R{name}")(linear_features=population.n, **options)
    with torch.no_grad():
        layer.recurrent.weight.copy_(torch.from_numpy(recurrent))
        layer.recurrent.bias.zero_()
    return layer
