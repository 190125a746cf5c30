"""Weights that only the user changes."""

from kernels.spec import Check, Param, RuleSpec
from plasticity.base import define


def _keep(w):  # type: ignore[no-untyped-def]
    return w


Static = define(
    RuleSpec(
        name="Static",
        doc="""
        Weights that stay until :meth:`snn.Simulation.set_weights` sets them, or ``rewire`` moves the synapses.

        Equations
        ---------
        dw/dt = 0, with w in [w_min, w_max]. Bounds of both signs need a target with one receptor; for synapses that
        inhibit a neuron with a receptor for each sign: ``Static(w_min=-1e9, w_max=0.0)``.

        Numerics
        --------
        A projection without a rule cannot be set, but is faster and smaller: its weights are stored as compactly as
        they can be.
        """,
        params=(
            Param("w_min", "weight", 0.0, "smallest weight that can be set"),
            Param("w_max", "weight", 1e9, "largest weight that can be set"),
        ),
        derived=(),
        traces=(),
        on_pre=_keep,
        on_post=None,
        bounds=lambda p: (p.w_min, p.w_max),
        checks=(Check(("w_min", "w_max"), lambda p: p.w_min <= p.w_max, "must be <= w_max"),),
        references=(
            "NEST 3.10, static_synapse",
            "PyNN, StaticSynapse: Davison et al. 2009, doi:10.3389/neuro.11.011.2008",
        ),
    )
)
