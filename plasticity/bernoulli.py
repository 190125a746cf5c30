"""Spikes that pass a synapse at random."""

from kernels.spec import Param, ShortTermSpec
from plasticity.base import define


def _on_spike(uniform, p_transmit):  # type: ignore[no-untyped-def]
    return 1.0 if uniform < p_transmit else 0.0


Bernoulli = define(
    ShortTermSpec(
        name="Bernoulli",
        doc="""
        Unreliable synapse: each spike passes with a probability, else nothing happens at the target.

        Equations
        ---------
        A spike delivers w with probability p_transmit, else nothing; synapses and spikes are independent.

        Numerics
        --------
        Exact. NEST's ``bernoulli_synapse`` in distribution; there the weight is static.
        """,
        params=(Param("p_transmit", "1", 1.0, "probability that a spike passes", ge=0, le=1),),
        state=(),
        on_spike=_on_spike,
        references=(
            "Lefort et al. 2009, doi:10.1016/j.neuron.2008.12.020",
            "Teramae et al. 2012, doi:10.1038/srep00485",
            "NEST 3.10, bernoulli_synapse",
        ),
    )
)
