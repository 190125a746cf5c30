"""A unit that sums its input and never fires: the readout of a classifier."""

from kernels.spec import NeuronSpec, Receptor, StateVar
from snn.neurons.base import define


def accumulator_step(v, arrive_syn, i_stim):  # type: ignore[no-untyped-def]
    v = v + (arrive_syn + i_stim)
    return v, False


Accumulator = define(
    NeuronSpec(
        name="Accumulator",
        doc="""
        Unit that sums its input and never fires: the last layer of a classifier, whose largest v is the answer. In
        discrete time, dimensionless.

        Equations
        ---------
        With X the sum of the weights that arrive in the step and i_stim: v <- v + X.

        Numerics
        --------
        Computed as written: a step is a step whatever dt is. There is no counterpart in NEST.
        """,
        state=(StateVar("v", "1", "what came in"),),
        params=(),
        derived=(),
        receptors=(Receptor("syn", "1", "jump of v"),),
        step=accumulator_step,
        current_unit="1",
        references=("Bu et al. 2022, doi:10.48550/arXiv.2303.04347",),
    )
)
