"""Inhibitory STDP that drives each postsynaptic neuron to a target rate of its own."""

import math

from kernels.spec import Check, Derived, Modulator, Param, RuleSpec, Trace
from plasticity.base import define


def _on_pre(w, post, target, tau, eta, sign, most):  # type: ignore[no-untyped-def]
    s = w * sign + eta * (post - 2.0 * tau * target)
    s = s if s > 0.0 else 0.0
    return (s if s < most else most) * sign


def _on_post(w, pre, eta, sign, most):  # type: ignore[no-untyped-def]
    s = w * sign + eta * pre
    return (s if s < most else most) * sign


VogelsSprekelerRates = define(
    RuleSpec(
        name="VogelsSprekelerRates",
        doc="""
        :class:`VogelsSprekeler` with a target rate for each postsynaptic neuron: inhibitory synapses drive it there.

        Equations
        ---------
        Traces: tau dpre/dt = -pre, +1 at presynaptic spikes; tau dpost/dt = -post, +1 at postsynaptic ones.
        Presynaptic spike arriving: s += eta (post - 2 tau target); postsynaptic spike seen: s += eta pre, for the
        strength s = abs(w), always 0 <= s <= abs(w_max). The weight has the sign of w_max: negative for an inhibitory
        synapse. The modulator ``target``, in 1/ms, stays as it was set (``net.modulate``,
        ``Simulation.set_modulator``).

        Numerics
        --------
        As :class:`VogelsSprekeler`, whose alpha is 2 tau target; with one target the same.
        """,
        params=(
            Param("tau", "ms", 20.0, "time constant of both traces", gt=0),
            Param("eta", "weight", 0.001, "learning rate", ge=0),
            Param("w_max", "weight", -100.0, "weight of greatest strength; its sign is that of the synapse"),
        ),
        derived=(
            Derived("sign", "1", lambda p, dt: math.copysign(1.0, p.w_max)),
            Derived("most", "weight", lambda p, dt: abs(p.w_max)),
        ),
        traces=(Trace("pre", "pre", "tau"), Trace("post", "post", "tau")),
        modulator=Modulator("target", "1/ms", "target rate of the postsynaptic neuron"),
        on_pre=_on_pre,
        on_post=_on_post,
        bounds=lambda p: (min(p.w_max, 0.0), max(p.w_max, 0.0)),
        references=(
            "Vogels, Sprekeler, Zenke, Clopath & Gerstner 2011, doi:10.1126/science.1211095",
            "Srinivasan, Plenz & Girvan 2025, arXiv:2504.12480 (rates that differ)",
        ),
        checks=(Check(("w_max",), lambda p: p.w_max != 0.0, "must not be 0"),),
    )
)
