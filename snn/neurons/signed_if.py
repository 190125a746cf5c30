"""Integrate-and-fire neuron with soft reset, a limit on its spikes, and negative ones that take spikes back."""

import numpy as np

from kernels.spec import Check, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def signed_if_step(v, sent, arrive_syn, i_stim, v_th, n_max, sign):  # type: ignore[no-untyped-def]
    v = v + (arrive_syn + i_stim)
    up = (v >= v_th) & (sent < n_max)
    down = (v < 0.0) & (sent > 0)
    v = v - v_th if up else (v + v_th if down else v)
    sent = sent + 1 if up else (sent - 1 if down else sent)
    fired = up if sign > 0.0 else down
    return v, sent, fired


SignedIF = define(
    NeuronSpec(
        name="SignedIF",
        doc="""
        Integrate-and-fire neuron without leak, reset by subtraction, that sends at most n_max spikes more than it has
        taken back, and takes one back by a negative spike where its potential falls below 0: the neuron that removes
        the transients of networks converted from QFFS activations. In discrete time, dimensionless.

        Equations
        ---------
        With X the sum of the weights that arrive in the step and i_stim: v <- v + X;

        - v >= v_th and sent < n_max: positive spike, v <- v - v_th, sent <- sent + 1
        - v < 0 and sent > 0: negative spike, v <- v + v_th, sent <- sent - 1

        A spike of the simulator has no sign. So a unit is two neurons with the same input, and thus the same state: the
        one with sign 1 emits the positive spikes, the one with sign -1 the negative ones; weights from the latter have
        the other sign. ``snn.torch.from_torch`` builds them.

        Numerics
        --------
        The model is defined in discrete time and computed as written: a step is a step whatever dt is. There is no
        counterpart in NEST.
        """,
        state=(
            StateVar("v", "1", "membrane potential"),
            StateVar("sent", "1", "positive less negative spikes", dtype="int"),
        ),
        params=(
            Param("v_th", "1", 1.0, "spike threshold, subtracted at a spike", gt=0),
            Param("n_max", "1", 3.0, "most spikes, 2**bits - 1", ge=1),
            Param("sign", "1", 1.0, "1: emits the positive spikes, -1: the negative ones", ge=-1, le=1),
        ),
        derived=(),
        receptors=(Receptor("syn", "1", "jump of the membrane potential"),),
        step=signed_if_step,
        checks=(Check(("sign",), lambda p: np.isin(p.sign, (-1, 1)), "must be 1 or -1"),),
        current_unit="1",
        references=("Li, Ma & Furber 2022, doi:10.3389/fnins.2022.918793",),
    )
)
