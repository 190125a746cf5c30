"""Integrate-and-fire neuron with soft reset in discrete time: what rectified units convert to."""

from kernels.spec import NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def soft_reset_if_step(v, arrive_syn, i_stim, v_th):  # type: ignore[no-untyped-def]
    v = v + (arrive_syn + i_stim)
    fired = v >= v_th
    v = v - v_th if fired else v
    return v, fired


SoftResetIF = define(
    NeuronSpec(
        name="SoftResetIF",
        doc="""
        Integrate-and-fire neuron without leak, reset by subtraction, in discrete time: what a unit of an artificial
        network converts to. With v(0) = v_th / 2 and constant input, its number of spikes in T steps is that of the
        quantisation-clip-floor-shift activation (QCFS) with L = T. Dimensionless.

        Equations
        ---------
        With X the sum of the weights that arrive in the step and i_stim: v <- v + X;  v >= v_th: spike, v <- v - v_th.

        Numerics
        --------
        The model is defined in discrete time: a step is a step whatever dt is, and i_stim is per step. The threshold
        is not strict, to match a floor; ``IF`` is the model in continuous time. There is no counterpart in NEST.
        """,
        state=(StateVar("v", "1", "membrane potential"),),
        params=(Param("v_th", "1", 1.0, "spike threshold, subtracted at a spike", gt=0),),
        derived=(),
        receptors=(Receptor("syn", "1", "jump of the membrane potential"),),
        step=soft_reset_if_step,
        current_unit="1",
        references=(
            "Bu et al. 2022, doi:10.48550/arXiv.2303.04347",
            "Rueckauer et al. 2017, doi:10.3389/fnins.2017.00682",
        ),
    )
)
