"""Pair-based spike-timing dependent plasticity, all-to-all pairing."""

from kernels.spec import Param, RuleSpec, Trace
from plasticity.base import define


def _depress(w, post, lambda_, alpha, mu_minus, w_max):  # type: ignore[no-untyped-def]
    x = w / w_max
    x = x - alpha * lambda_ * (1.0 if mu_minus == 0.0 else x if mu_minus == 1.0 else x**mu_minus) * post
    return x * w_max if x > 0.0 else 0.0


def _potentiate(w, pre, lambda_, mu_plus, w_max):  # type: ignore[no-untyped-def]
    x = w / w_max
    y = 1.0 - x
    x = x + lambda_ * (1.0 if mu_plus == 0.0 else y if mu_plus == 1.0 else y**mu_plus) * pre
    return x * w_max if x < 1.0 else w_max


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
        equal to NEST's ``stdp_synapse``. Decays come from tables on the grid; a trace is 0 below 1e-18.
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
        derived=(),
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
