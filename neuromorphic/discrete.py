"""The form to which leaky integrate-and-fire models are brought before they are exported.

u <- k_u u + x,  v <- k_v v + u + b,  spike where v > theta, there v <- 0;  v is counted from v_reset, x is the sum of
what arrives, in units of v. It is Loihi's LIF, and NIR's CubaLIF integrated by Euler's method. Models that subtract
have v <- v - theta in place of v <- 0.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.errors import ExportError, ModelError
from snn.compile import initial_values, resolve_parameters
from snn.elements import Population
from snn.network import Network

NEVER = 1e300  # a threshold from here on is none: the unit is read by its potential
MODELS = ("Accumulator", "CubaLIF", "LIFDelta", "LIFExp", "Leaky", "SoftResetIF", "Synaptic")


@dataclass
class Discrete:
    """A population in the form above, in float; arrays of shape (n,).

    Attributes
    ----------
    loss_u, loss_v : 1 - k_u, 1 - k_v
    factor : of arriving weights
    bias, theta : b and the threshold
    u, v : at the start
    late : steps from a spike's arrival to its effect on v
    current : what a current i_stim adds in a step, as weights that arrive do; None where that has no counterpart
    subtract : whether a spike takes theta from v
    refractory : steps after a spike for which v stays 0, while u goes on; integers
    reset : v_reset of the model, from which v is counted
    """

    loss_u: np.ndarray
    loss_v: np.ndarray
    factor: np.ndarray
    bias: np.ndarray
    theta: np.ndarray
    u: np.ndarray
    v: np.ndarray
    late: int
    current: np.ndarray | None
    subtract: bool
    refractory: np.ndarray
    reset: np.ndarray

    @property
    def spiking(self) -> bool:
        """Whether the population fires at all."""
        return bool(np.all(self.theta < NEVER))


def step_length(owner: str, dt: Any) -> float:
    """``dt`` in ms; ModelError where it is no step."""
    if isinstance(dt, bool) or not isinstance(dt, (int, float, np.integer, np.floating)) or not 0 < dt < np.inf:
        raise ModelError(f"{owner}: must be a time > 0 ms; got {dt!r}.")
    return float(dt)


def lateness(population: Population) -> int:
    """Steps from a spike's arrival at a neuron to its effect on v."""
    return int(population.spec is not None and population.spec.name == "LIFExp")


def discrete(net: Network, p: Population, dt: float) -> Discrete:
    """The form of a population; ExportError where its model or a parameter has none."""
    if p.spec is None:  # pragma: no cover - callers pass neurons
        raise ExportError(f"Population {p.name!r}: has no model.")
    owner, model = f"Population {p.name!r}", p.spec.name
    if model not in MODELS:
        raise ExportError(f"{owner}.model: must be one of {', '.join(MODELS)}; got {model}. Use CubaLIF or LIFExp.")
    values = resolve_parameters(net, p, dt)

    def of(name: str) -> np.ndarray:
        return np.broadcast_to(np.asarray(values[name], float), (p.n,))

    start = {s.name: initial_values(net, p, s, values) for s in p.spec.state}
    one, none = np.ones(p.n), np.zeros(p.n)
    refractory = np.zeros(p.n, np.int64)
    if model in ("LIFDelta", "LIFExp"):
        refractory = of("n_ref").astype(np.int64)
        if np.any(start["refractory"]):
            raise ExportError(f"{owner}.init: refractory must start at 0; got {np.max(start['refractory']):g}.")
    if model == "CubaLIF":
        if np.any(of("reset") != 0):
            raise ExportError(f"{owner}.reset: must be 0 (the target resets to a value); got {of('reset').max():g}.")
        loss_u, loss_v, factor = 1.0 - of("alpha"), 1.0 - of("beta"), of("w_in") * of("gain")
        reset = of("v_reset")
        bias, theta = of("offset") - loss_v * reset, of("v_th") - reset
        u, current = of("gain") * start["i"], one if np.all(loss_u == 1) else None
    elif model in ("Leaky", "Synaptic"):
        # 3 drops the input of the step after a spike whose reset is late; at once, it is 1
        if not np.all(np.isin(of("reset_mechanism"), (1, 3))) or np.any(of("reset_delay") != 0):
            raise ExportError(
                f"{owner}.reset_mechanism: must be 1, with reset_delay=0 (the target resets to a value, at once); got "
                f"{of('reset_mechanism').max():g} and {of('reset_delay').max():g}. Train the model with these; in "
                'snnTorch, reset_mechanism="zero" and reset_delay=False.'
            )
        loss_u = one if model == "Leaky" else 1.0 - of("alpha")
        loss_v, factor, bias, reset, theta = 1.0 - of("beta"), one, none, none, of("threshold")
        u, current = start.get("i", none), one
    elif model in ("Accumulator", "SoftResetIF"):  # the latter fires at v >= v_th; so close, rounding decides
        loss_u, loss_v, factor, bias, reset, u, current = one, none, one, none, none, none, one
        theta = np.full(p.n, np.inf) if model == "Accumulator" else of("v_th")
    else:
        loss_v, reset = 1.0 - of("p_vv"), of("v_reset")
        bias = loss_v * (of("v_inf") - reset)
        theta = np.nextafter(of("v_th") - reset, -np.inf)  # theirs fire at v >= v_th
        u, current = none, None
        if model == "LIFDelta":
            loss_u, factor, current = one, one, of("p_vi")
        else:
            if np.any(of("tau_syn_ex") != of("tau_syn_in")):
                raise ExportError(
                    f"{owner}.tau_syn_in: must equal tau_syn_ex (the target has one current); it does not."
                )
            if np.any(start["i_ex"]) or np.any(start["i_in"]):
                raise ExportError(f"{owner}.init: currents must start at 0 pA.")
            loss_u, factor = 1.0 - of("p_ex"), of("p_v_ex")
    if np.any(theta <= 0):
        raise ExportError(f"{owner}.v_th: must be above v_reset; got a distance of {theta.min():g}.")
    late, subtract = lateness(p), model == "SoftResetIF"
    v = start["v"] - reset
    return Discrete(loss_u, loss_v, factor, bias, theta, u, v, late, current, subtract, refractory, reset)
