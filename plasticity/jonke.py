"""STDP with an exponential weight dependence and a constant decrease at each spike."""

from kernels.scalar import exp
from kernels.spec import Param, RuleSpec, Trace
from plasticity.base import define


def _on_pre(w, post, lambda_, alpha, mu_minus, beta):  # type: ignore[no-untyped-def]
    w = w - lambda_ * (alpha * exp(mu_minus * w) * post + beta)
    return w if w > 0.0 else 0.0


def _on_post(w, pre, lambda_, mu_plus, beta, w_max):  # type: ignore[no-untyped-def]
    w = w + lambda_ * (exp(mu_plus * w) * pre - beta)
    w = w if w > 0.0 else 0.0
    return w if w < w_max else w_max


Jonke = define(
    RuleSpec(
        name="Jonke",
        doc="""
        Pair STDP, all-to-all, whose weight dependence is exponential; with mu_plus = -1 and beta > 0 weights tend to
        logarithms of probabilities, as in networks that learn mixtures of causes.

        Equations
        ---------
        Traces: tau_plus dpre/dt = -pre, +1 at presynaptic spikes; tau_minus dpost/dt = -post, +1 at postsynaptic ones.
        Presynaptic spike arriving: w -= lambda (alpha exp(mu_minus w) post + beta);
        postsynaptic spike seen: w += lambda (exp(mu_plus w) pre - beta); always 0 <= w <= w_max.

        Numerics
        --------
        As :class:`STDPPair`; equal to NEST's ``jonke_synapse`` while weights stay above 0.
        """,
        params=(
            Param("tau_plus", "ms", 20.0, "time constant of the presynaptic trace", gt=0),
            Param("tau_minus", "ms", 20.0, "time constant of the postsynaptic trace", gt=0),
            Param("lambda_", "weight", 0.01, "learning rate", ge=0),
            Param("alpha", "1", 1.0, "asymmetry: depression / potentiation", ge=0),
            Param("beta", "1", 0.0, "decrease at each spike of either side, in units of lambda", ge=0),
            Param("mu_plus", "1/weight", 0.0, "weight dependence of potentiation"),
            Param("mu_minus", "1/weight", 0.0, "weight dependence of depression"),
            Param("w_max", "weight", 100.0, "largest weight", gt=0),
        ),
        derived=(),
        traces=(Trace("pre", "pre", "tau_plus"), Trace("post", "post", "tau_minus")),
        on_pre=_on_pre,
        on_post=_on_post,
        bounds=lambda p: (0.0, p.w_max),
        references=(
            "Nessler, Pfeiffer, Buesing & Maass 2013, doi:10.1371/journal.pcbi.1003037",
            "Jonke, Legenstein, Habenschuss & Maass 2017, doi:10.1523/JNEUROSCI.2078-16.2017",
            "NEST 3.10, jonke_synapse",
        ),
    )
)
