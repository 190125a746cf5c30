"""Pair-based spike-timing dependent plasticity, all-to-all pairing."""

from kernels.scalar import power
from kernels.spec import Derived, Param, RuleSpec, Trace
from plasticity.base import define


def _depress(w, post, a_minus, mu_minus):  # type: ignore[no-untyped-def]
    w = w - a_minus * power(w, mu_minus) * post
    return w if w > 0.0 else 0.0


def _potentiate(w, pre, a_plus, mu_plus, w_max):  # type: ignore[no-untyped-def]
    w = w + a_plus * power(w_max - w, mu_plus) * pre
    return w if w < w_max else w_max


STDPPair = define(
    RuleSpec(
        name="STDPPair",
        doc="""
        Pair STDP, all-to-all: additive (mu = 0), multiplicative (mu = 1) or between (Guetig).

        Equations
        ---------
        Traces: tau_plus dpre/dt = -pre, +1 at presynaptic spikes; tau_minus dpost/dt = -post, +1 at postsynaptic ones.
        Presynaptic spike arriving: w -= lambda alpha w_max (w / w_max)**mu_minus post;
        postsynaptic spike seen: w += lambda w_max (1 - w / w_max)**mu_plus pre; always 0 <= w <= w_max.

        Numerics
        --------
        Computed at presynaptic spikes only, from each target's recent spikes, in order of time; the delay is dendritic;
        equal to NEST's ``stdp_synapse``. On the clock engine decays come from tables; a trace below 1e-18 may be 0.
        """,
        params=(
            Param("tau_plus", "ms", 20.0, "time constant of the presynaptic trace", gt=0),
            Param("tau_minus", "ms", 20.0, "time constant of the postsynaptic trace", gt=0),
            Param("lambda_", "1", 0.01, "learning rate", ge=0),
            Param("alpha", "1", 1.0, "asymmetry: depression / potentiation", ge=0),
            Param("mu_plus", "1", 1.0, "weight dependence of potentiation", ge=0),
            Param("mu_minus", "1", 1.0, "weight dependence of depression", ge=0),
            Param("w_min", "weight", 0.0, "smallest weight", ge=0, le=0),
            Param("w_max", "weight", 100.0, "largest weight", gt=0),
        ),
        derived=(
            Derived("a_plus", "weight^(1 - mu)", lambda p, dt: p.lambda_ * p.w_max ** (1.0 - p.mu_plus)),
            Derived("a_minus", "weight^(1 - mu)", lambda p, dt: p.alpha * p.lambda_ * p.w_max ** (1.0 - p.mu_minus)),
        ),
        traces=(Trace("pre", "pre", "tau_plus"), Trace("post", "post", "tau_minus")),
        on_pre=_depress,
        on_post=_potentiate,
        bounds=lambda p: (0.0, p.w_max),
        references=(
            "Song, Miller & Abbott 2000, doi:10.1038/78829",
            "Guetig et al. 2003, doi:10.1523/JNEUROSCI.23-09-03697.2003",
            "NEST 3.10, stdp_synapse",
        ),
    )
)
