"""Triplet STDP: all-to-all pairing, and nearest-spike pairing."""

from dataclasses import replace

from kernels.spec import Param, RuleSpec, Trace
from plasticity.base import define


def _depress(w, post, pre_triplet, a_minus, a_minus_triplet):  # type: ignore[no-untyped-def]
    w = w - post * (a_minus + a_minus_triplet * pre_triplet)
    return w if w > 0.0 else 0.0


def _potentiate(w, pre, post_triplet, a_plus, a_plus_triplet, w_max):  # type: ignore[no-untyped-def]
    w = w + pre * (a_plus + a_plus_triplet * post_triplet)
    return w if w < w_max else w_max


STDPTriplet = define(
    RuleSpec(
        name="STDPTriplet",
        doc="""
        Triplet STDP, all-to-all. The minimal models have a_minus_triplet = 0, for visual cortex also a_plus = 0.

        Equations
        ---------
        Traces: tau_plus dpre/dt = -pre and tau_plus_triplet dpre_triplet/dt = -pre_triplet, +1 at presynaptic spikes;
        tau_minus dpost/dt = -post and tau_minus_triplet dpost_triplet/dt = -post_triplet, +1 at postsynaptic ones.
        Presynaptic spike arriving: w -= post (a_minus + a_minus_triplet pre_triplet);
        postsynaptic spike seen: w += pre (a_plus + a_plus_triplet post_triplet); always 0 <= w <= w_max.

        Numerics
        --------
        As :class:`STDPPair`; equal to NEST's ``stdp_triplet_synapse``. Defaults: visual cortex, full model.
        """,
        params=(
            Param("tau_plus", "ms", 16.8, "time constant of the presynaptic trace", gt=0),
            Param("tau_plus_triplet", "ms", 101.0, "time constant of the slow presynaptic trace (tau_x)", gt=0),
            Param("tau_minus", "ms", 33.7, "time constant of the postsynaptic trace", gt=0),
            Param("tau_minus_triplet", "ms", 125.0, "time constant of the slow postsynaptic trace (tau_y)", gt=0),
            Param("a_plus", "weight", 5e-10, "potentiation by pairs (A2+)", ge=0),
            Param("a_plus_triplet", "weight", 6.2e-3, "potentiation by triplets (A3+)", ge=0),
            Param("a_minus", "weight", 7e-3, "depression by pairs (A2-)", ge=0),
            Param("a_minus_triplet", "weight", 2.3e-4, "depression by triplets (A3-)", ge=0),
            Param("w_max", "weight", 100.0, "largest weight", gt=0),
        ),
        derived=(),
        traces=(
            Trace("pre", "pre", "tau_plus"),
            Trace("pre_triplet", "pre", "tau_plus_triplet"),
            Trace("post", "post", "tau_minus"),
            Trace("post_triplet", "post", "tau_minus_triplet"),
        ),
        on_pre=_depress,
        on_post=_potentiate,
        bounds=lambda p: (0.0, p.w_max),
        references=(
            "Pfister & Gerstner 2006, doi:10.1523/JNEUROSCI.1425-06.2006",
            "NEST 3.10, stdp_triplet_synapse",
        ),
    )
)

_NEAREST = {"tau_plus_triplet": 714.0, "tau_minus_triplet": 40.0, "a_plus": 8.8e-11, "a_plus_triplet": 5.3e-2,
            "a_minus": 6.6e-3, "a_minus_triplet": 3.1e-3}  # fmt: skip

STDPTripletNearest = define(
    replace(
        STDPTriplet.spec,
        name="STDPTripletNearest",
        doc="""
        Triplet STDP, nearest-spike pairing: as :class:`STDPTriplet`, but traces are set to 1 where those grow by 1.

        Equations
        ---------
        Traces: tau_plus dpre/dt = -pre and tau_plus_triplet dpre_triplet/dt = -pre_triplet, set to 1 at presynaptic
        spikes; tau_minus dpost/dt = -post and tau_minus_triplet dpost_triplet/dt = -post_triplet, set to 1 at
        postsynaptic ones. Presynaptic spike arriving: w -= post (a_minus + a_minus_triplet pre_triplet);
        postsynaptic spike seen: w += pre (a_plus + a_plus_triplet post_triplet); always 0 <= w <= w_max.

        Numerics
        --------
        As :class:`STDPPair`. Defaults: visual cortex, full model.
        """,
        params=tuple(replace(p, default=_NEAREST.get(p.name, p.default)) for p in STDPTriplet.spec.params),
        traces=tuple(replace(t, nearest=True) for t in STDPTriplet.spec.traces),
        references=("Pfister & Gerstner 2006, doi:10.1523/JNEUROSCI.1425-06.2006",),
    )
)
