"""snnTorch's Alpha: neuron whose potential is a difference of two decaying currents, in discrete time."""

import numpy as np

from kernels.spec import Check, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define
from snn.neurons.leaky import SNNTORCH


def alpha_step(v, i_exc, i_inh, arrive_syn, i_stim, alpha, beta, threshold, reset_mechanism, tau_alpha):  # type: ignore[no-untyped-def]
    late = v > threshold  # fired in the last step
    subtract = reset_mechanism < 0.5
    zero = (reset_mechanism > 0.5) & (reset_mechanism < 1.5)
    x = arrive_syn + i_stim
    before = i_inh
    i_exc = alpha * i_exc + x
    i_inh = beta * i_inh - x
    v = tau_alpha * (i_exc + i_inh) + (before if late & subtract else 0.0)
    v = 0.0 if late & zero else v
    i_exc = 0.0 if late & zero else i_exc - (threshold if late & subtract else 0.0)
    i_inh = 0.0 if late & (zero | subtract) else i_inh
    fired = v > threshold
    return v, i_exc, i_inh, fired


Alpha = define(
    NeuronSpec(
        name="Alpha",
        doc="""
        Neuron whose potential is the difference of two exponentially decaying currents, so that a spike's effect rises
        and falls: snnTorch's ``Alpha``. Dimensionless.

        Equations
        ---------
        With X the sum of the weights that arrive in the step and i_stim, and r = 1 where v > threshold at its
        beginning, else 0:

        - i_exc <- alpha i_exc + X;  i_inh' = beta i_inh - X
        - v <- tau_alpha (i_exc + i_inh'),  tau_alpha = ln(alpha) / (ln(beta) - ln(alpha)) + 1;  i_inh <- i_inh'

        Where r = 1, then:

        - reset_mechanism 0 ("subtract"): i_exc <- i_exc - threshold, v <- v + (i_inh before the step), i_inh <- 0
        - 1 ("zero"): i_exc, i_inh, v <- 0
        - 2 ("none"): nothing

        Spike where v > threshold. So a spike's reset comes one step later.

        Numerics
        --------
        The model is defined in discrete time and computed as written: a step is a step whatever dt is. Equal to
        snnTorch in float64 but for the order in which arriving weights are summed. There is no counterpart in NEST.
        """,
        state=(
            StateVar("v", "1", "membrane potential"),
            StateVar("i_exc", "1", "current that decays by alpha"),
            StateVar("i_inh", "1", "current that decays by beta"),
        ),
        params=(
            Param("alpha", "1", 0.9, "what is left of i_exc after a step", gt=0, le=1),
            Param("beta", "1", 0.8, "what is left of i_inh after a step", gt=0, lt=1),
            Param("threshold", "1", 1.0, "spike threshold", ge=0),
            Param("reset_mechanism", "1", 1.0, "0: subtract, 1: zero, 2: none", ge=0, le=2),
        ),
        derived=(Derived("tau_alpha", "1", lambda p, dt: np.log(p.alpha) / (np.log(p.beta) - np.log(p.alpha)) + 1.0),),
        receptors=(Receptor("syn", "1", "jump of i_exc, and of i_inh with the other sign"),),
        step=alpha_step,
        checks=(
            Check(("alpha", "beta"), lambda p: p.alpha > p.beta, "must be above beta"),
            Check(("reset_mechanism",), lambda p: np.isin(p.reset_mechanism, (0, 1, 2)), "must be 0, 1 or 2"),
        ),
        current_unit="1",
        references=SNNTORCH,
    )
)
