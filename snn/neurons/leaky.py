"""snnTorch's Leaky: leaky integrate-and-fire neuron in discrete time, reset one step after the spike."""

import numpy as np

from kernels.spec import Check, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define

SNNTORCH = ("Eshraghian et al. 2023, doi:10.1109/JPROC.2023.3308088", "snnTorch 1.0")


def leaky_step(v, arrive_syn, i_stim, beta, threshold, reset_mechanism, reset_delay):  # type: ignore[no-untyped-def]
    late = v > threshold  # fired in the last step
    subtract = reset_mechanism < 0.5
    before = (reset_mechanism > 0.5) & (reset_mechanism < 1.5)
    after = reset_mechanism > 2.5
    v = 0.0 if late & before else v
    v = beta * v + (arrive_syn + i_stim) - (threshold if late & subtract else 0.0)
    v = 0.0 if late & after else v
    fired = v > threshold
    at_once = reset_delay < 0.5
    v = v + (threshold if late & subtract & at_once else 0.0) - (threshold if fired & subtract & at_once else 0.0)
    v = 0.0 if fired & (before | after) & at_once else v
    return v, fired


Leaky = define(
    NeuronSpec(
        name="Leaky",
        doc="""
        Leaky integrate-and-fire neuron given by its decay factor per step: snnTorch's ``Leaky`` and, with a recurrent
        projection of one step's delay, ``RLeaky``. Dimensionless.

        Equations
        ---------
        With X the sum of the weights that arrive in the step and i_stim, and r = 1 where v > threshold at its
        beginning, else 0:

        - reset_mechanism 0 ("subtract"): v <- beta v + X - r threshold
        - 1 ("zero"): v <- beta (1 - r) v + X
        - 2 ("none"): v <- beta v + X
        - 3 ("zero" of RLeaky): v <- (1 - r) (beta v + X)

        Spike where v > threshold. So a spike's reset comes one step later, as ``reset_delay`` = 1 is in snnTorch. With
        ``reset_delay`` 0 the reset of this step's spike follows at once, and r's, by then double, is taken back.

        Numerics
        --------
        The model is defined in discrete time and computed as written: a step is a step whatever dt is. Equal to
        snnTorch in float64 but for the order in which arriving weights are summed. There is no counterpart in NEST.
        """,
        state=(StateVar("v", "1", "membrane potential"),),
        params=(
            Param("beta", "1", 0.9, "what is left of the potential after a step", ge=0, le=1),
            Param("threshold", "1", 1.0, "spike threshold", ge=0),
            Param("reset_mechanism", "1", 0.0, "0: subtract, 1: zero, 2: none, 3: RLeaky's zero", ge=0, le=3),
            Param("reset_delay", "1", 1.0, "1: reset in the step after the spike, 0: at once", ge=0, le=1),
        ),
        derived=(),
        receptors=(Receptor("syn", "1", "jump of the membrane potential"),),
        step=leaky_step,
        checks=(
            Check(
                ("reset_mechanism",),
                lambda p: np.isin(p.reset_mechanism, (0, 1, 2, 3)),
                "must be 0, 1, 2 or 3",
            ),
            Check(("reset_delay",), lambda p: np.isin(p.reset_delay, (0, 1)), "must be 0 or 1"),
        ),
        current_unit="1",
        references=SNNTORCH,
    )
)
