"""Inhibitory STDP that drives postsynaptic neurons to a target rate: one for all, or each to its own."""

from dataclasses import replace

import numpy as np

from kernels.spec import Check, Derived, Modulator, Param, RuleSpec, Trace
from plasticity.base import define


def _on_pre(w, post, eta, alpha, sign, most):  # type: ignore[no-untyped-def]
    s = w * sign + eta * (post - alpha)
    s = s if s > 0.0 else 0.0
    return (s if s < most else most) * sign


def _on_pre_to_rates(w, post, target, tau, eta, sign, most):  # type: ignore[no-untyped-def]
    s = w * sign + eta * (post - 2.0 * tau * target)
    s = s if s > 0.0 else 0.0
    return (s if s < most else most) * sign


def _on_post(w, pre, eta, sign, most):  # type: ignore[no-untyped-def]
    s = w * sign + eta * pre
    return (s if s < most else most) * sign


VogelsSprekeler = define(
    RuleSpec(
        name="VogelsSprekeler",
        doc="""
        Symmetric Hebbian STDP with depression at every presynaptic spike; at inhibitory synapses it drives the
        postsynaptic rate to rho0 = alpha / (2 tau).

        Equations
        ---------
        Traces: tau dpre/dt = -pre, +1 at presynaptic spikes; tau dpost/dt = -post, +1 at postsynaptic ones.
        Presynaptic spike arriving: s += eta (post - alpha); postsynaptic spike seen: s += eta pre, for the strength
        s = abs(w), always 0 <= s <= abs(w_max). The weight has the sign of w_max: negative for an inhibitory synapse.

        Numerics
        --------
        As :class:`STDPPair`; equal to NEST's ``vogels_sprekeler_synapse`` with the neuron's tau_minus = tau, but at
        w_max: there a presynaptic spike's two parts are bounded one after the other, so that no weight stays at w_max.
        """,
        params=(
            Param("tau", "ms", 20.0, "time constant of both traces", gt=0),
            Param("eta", "weight", 0.001, "learning rate", ge=0),
            Param("alpha", "1", 0.12, "depression at presynaptic spikes: 2 tau rho0, rho0 in 1/ms (0.12: 3 Hz)", ge=0),
            Param("w_max", "weight", -100.0, "weight of greatest strength; its sign is that of the synapse"),
        ),
        derived=(
            Derived("sign", "1", lambda p, dt: np.copysign(1.0, p.w_max)),
            Derived("most", "weight", lambda p, dt: abs(p.w_max)),
        ),
        traces=(Trace("pre", "pre", "tau"), Trace("post", "post", "tau")),
        on_pre=_on_pre,
        on_post=_on_post,
        bounds=lambda p: (np.minimum(p.w_max, 0.0), np.maximum(p.w_max, 0.0)),
        references=(
            "Vogels, Sprekeler, Zenke, Clopath & Gerstner 2011, doi:10.1126/science.1211095",
            "NEST 3.10, vogels_sprekeler_synapse",
        ),
        checks=(Check(("w_max",), lambda p: p.w_max != 0.0, "must not be 0"),),
    )
)

VogelsSprekelerRates = define(
    replace(
        VogelsSprekeler.spec,
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
        As :class:`VogelsSprekeler`, whose alpha is 2 tau target; with one target the same. A rule of its own, because a
        modulator costs every synapse that has one.
        """,
        params=tuple(p for p in VogelsSprekeler.spec.params if p.name != "alpha"),
        modulator=Modulator("target", "1/ms", "target rate of the postsynaptic neuron"),
        on_pre=_on_pre_to_rates,
        references=(
            "Vogels, Sprekeler, Zenke, Clopath & Gerstner 2011, doi:10.1126/science.1211095",
            "Srinivasan, Plenz & Girvan 2025, arXiv:2504.12480 (rates that differ)",
        ),
    )
)
