"""The covariance rule, on traces of spikes."""

from kernels.spec import Derived, Param, RuleSpec, Trace
from plasticity.base import define


def _on_pre(w, post, post_mean, eta, share, w_max):  # type: ignore[no-untyped-def]
    w = w + eta * (post - share * post_mean)
    w = w if w > 0.0 else 0.0
    return w if w < w_max else w_max


def _on_post(w, pre, pre_mean, eta, share, w_max):  # type: ignore[no-untyped-def]
    w = w + eta * (pre - share * pre_mean)
    w = w if w > 0.0 else 0.0
    return w if w < w_max else w_max


Covariance = define(
    RuleSpec(
        name="Covariance",
        doc="""
        Covariance rule: weights follow the covariance of both sides' activity within tau, whatever the rates.

        Equations
        ---------
        Traces: tau dpre/dt = -pre and tau_mean dpre_mean/dt = -pre_mean, +1 at presynaptic spikes;
        tau dpost/dt = -post and tau_mean dpost_mean/dt = -post_mean, +1 at postsynaptic ones.
        Presynaptic spike arriving: w += eta (post - post_mean tau / tau_mean);
        postsynaptic spike seen: w += eta (pre - pre_mean tau / tau_mean); always 0 <= w <= w_max.
        On average, for rates x and y that change slowly against tau and fast against tau_mean:
        dw/dt = 2 eta tau (mean(x y) - mean(x) mean(y)).

        Numerics
        --------
        As :class:`STDPPair`. Until tau_mean has passed the means are too small, so weights grow at first.
        """,
        params=(
            Param("tau", "ms", 20.0, "time constant of activity", gt=0),
            Param("tau_mean", "ms", 1000.0, "time constant of mean activity", gt=0),
            Param("eta", "weight", 1e-3, "learning rate", ge=0),
            Param("w_max", "weight", 100.0, "largest weight", gt=0),
        ),
        derived=(Derived("share", "1", lambda p, dt: p.tau / p.tau_mean),),
        traces=(
            Trace("pre", "pre", "tau"),
            Trace("pre_mean", "pre", "tau_mean"),
            Trace("post", "post", "tau"),
            Trace("post_mean", "post", "tau_mean"),
        ),
        on_pre=_on_pre,
        on_post=_on_post,
        bounds=lambda p: (0.0, p.w_max),
        references=("Sejnowski 1977, doi:10.1007/BF00275079",),
    )
)
