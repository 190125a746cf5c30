"""snnTorch's Synaptic: leaky integrate-and-fire neuron with a synaptic current, in discrete time."""

import numpy as np

from kernels.spec import Check, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define
from snn.neurons.leaky import SNNTORCH


def synaptic_step(v, i, arrive_syn, i_stim, alpha, beta, threshold, reset_mechanism, reset_delay):  # type: ignore[no-untyped-def]
    late = v > threshold  # fired in the last step
    subtract = reset_mechanism < 0.5
    zero = (reset_mechanism > 0.5) & (reset_mechanism < 1.5)
    i = alpha * i + (arrive_syn + i_stim)
    v = beta * v + i - (threshold if late & subtract else 0.0)
    v = 0.0 if late & zero else v
    fired = v > threshold
    at_once = reset_delay < 0.5
    v = v + (threshold if late & subtract & at_once else 0.0) - (threshold if fired & subtract & at_once else 0.0)
    v = 0.0 if fired & zero & at_once else v
    return v, i, fired


Synaptic = define(
    NeuronSpec(
        name="Synaptic",
        doc="""
        Leaky integrate-and-fire neuron with an exponentially decaying synaptic current, given by decay factors per
        step: snnTorch's ``Synaptic`` and, with a recurrent projection of one step's delay, ``RSynaptic``.
        Dimensionless.

        Equations
        ---------
        With X the sum of the weights that arrive in the step and i_stim, and r = 1 where v > threshold at its
        beginning, else 0:

        - i <- alpha i + X
        - reset_mechanism 0 ("subtract"): v <- beta v + i - r threshold
        - 1 ("zero"): v <- (1 - r) (beta v + i)
        - 2 ("none"): v <- beta v + i

        Spike where v > threshold. So a spike's reset comes one step later, as ``reset_delay`` = 1 is in snnTorch. With
        ``reset_delay`` 0 the reset of this step's spike follows at once, and r's, by then double, is taken back.

        Numerics
        --------
        The model is defined in discrete time and computed as written: a step is a step whatever dt is. Equal to
        snnTorch in float64 but for the order in which arriving weights are summed. There is no counterpart in NEST.
        """,
        state=(
            StateVar("v", "1", "membrane potential"),
            StateVar("i", "1", "synaptic current"),
        ),
        params=(
            Param("alpha", "1", 0.9, "what is left of the current after a step", ge=0, le=1),
            Param("beta", "1", 0.8, "what is left of the potential after a step", ge=0, le=1),
            Param("threshold", "1", 1.0, "spike threshold", ge=0),
            Param("reset_mechanism", "1", 0.0, "0: subtract, 1: zero, 2: none", ge=0, le=2),
            Param("reset_delay", "1", 1.0, "1: reset in the step after the spike, 0: at once", ge=0, le=1),
        ),
        derived=(),
        receptors=(Receptor("syn", "1", "jump of the synaptic current"),),
        step=synaptic_step,
        checks=(
            Check(("reset_mechanism",), lambda p: np.isin(p.reset_mechanism, (0, 1, 2)), "must be 0, 1 or 2"),
            Check(("reset_delay",), lambda p: np.isin(p.reset_delay, (0, 1)), "must be 0 or 1"),
        ),
        current_unit="1",
        references=SNNTORCH,
    )
)
