"""Oja's rule, on traces of spikes."""

from kernels.spec import Derived, Param, RuleSpec, Trace
from plasticity.base import define


def _arrive(w):  # type: ignore[no-untyped-def]
    return w


def _learn(w, pre, post, eta, per_scale, w_max):  # type: ignore[no-untyped-def]
    w = w + eta * (pre - post * w * per_scale)
    w = w if w > 0.0 else 0.0
    return w if w < w_max else w_max


Oja = define(
    RuleSpec(
        name="Oja",
        doc="""
        Oja's rule: Hebbian growth with a decay that keeps the weights of a neuron normalised.

        Equations
        ---------
        Traces: tau dpre/dt = -pre, +1 at presynaptic spikes; tau dpost/dt = -post, +1 at postsynaptic ones.
        Postsynaptic spike seen: w += eta (pre - post w / w_scale); always 0 <= w <= w_max.
        On average, for rates x and y in 1/ms: dw/dt = eta tau y (x - y w / w_scale).

        Numerics
        --------
        As :class:`STDPPair`. For a linear neuron y = sum(w x) / w_scale the weights become the first principal
        component of the inputs' correlations, with sum(w**2) = w_scale**2.
        """,
        params=(
            Param("tau", "ms", 20.0, "time constant of both traces", gt=0),
            Param("eta", "weight", 1e-3, "learning rate", ge=0),
            Param("w_scale", "weight", 1.0, "norm of the weights of a linear neuron", gt=0),
            Param("w_max", "weight", 100.0, "largest weight", gt=0),
        ),
        derived=(Derived("per_scale", "1/weight", lambda p, dt: 1.0 / p.w_scale),),
        traces=(Trace("pre", "pre", "tau"), Trace("post", "post", "tau")),
        on_pre=_arrive,
        on_post=_learn,
        bounds=lambda p: (0.0, p.w_max),
        references=("Oja 1982, doi:10.1007/BF00275687",),
    )
)
