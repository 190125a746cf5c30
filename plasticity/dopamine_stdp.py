"""STDP gated by dopamine: eligibility traces in the synapses, one signal for all."""

from kernels.spec import Check, Derived, Modulator, Param, RuleSpec, StateVar, Trace
from plasticity.base import define


def _on_pre(w, c, post, a_minus):  # type: ignore[no-untyped-def]
    return w, c - a_minus * post


def _on_post(w, c, pre, a_plus):  # type: ignore[no-untyped-def]
    return w, c + a_plus * pre


def _flow(w, c, n, fade, b, tau_c, w_min, w_max):  # type: ignore[no-untyped-def]
    w = w + c * (n - b * tau_c * (1.0 - fade))
    w = w if w > w_min else w_min
    return w if w < w_max else w_max, c * fade


DopamineSTDP = define(
    RuleSpec(
        name="DopamineSTDP",
        doc="""
        Dopamine-modulated STDP: pairs of spikes leave an eligibility, which dopamine turns into weight.

        Equations
        ---------
        Traces: tau_plus dpre/dt = -pre, +1 at presynaptic spikes; tau_minus dpost/dt = -post, +1 at postsynaptic ones.
        In each synapse tau_c dc/dt = -c; presynaptic spike arriving: c -= a_minus post; postsynaptic spike seen:
        c += a_plus pre. Dopamine, the modulator: tau_n dn/dt = -n, +1 / tau_n at a spike of its source.
        dw/dt = c (n - b), always w_min <= w <= w_max.

        Numerics
        --------
        Exact between spikes of either side, whatever the number of dopamine spikes; bounded at those spikes. They are
        applied in order when the next presynaptic one arrives. Equal to NEST's ``stdp_dopamine_synapse``, which bounds
        at dopamine spikes too: other weights may come out where one meets a bound and turns back in between. Connect
        the source with ``net.modulate``.
        """,
        params=(
            Param("tau_plus", "ms", 20.0, "time constant of the presynaptic trace", gt=0),
            Param("tau_minus", "ms", 20.0, "time constant of the postsynaptic trace", gt=0),
            Param("a_plus", "weight", 1.0, "eligibility by a postsynaptic spike after a presynaptic one"),
            Param("a_minus", "weight", 1.5, "loss of eligibility by a presynaptic spike after a postsynaptic one"),
            Param("tau_c", "ms", 1000.0, "time constant of eligibility", gt=0),
            Param("tau_n", "ms", 200.0, "time constant of dopamine", gt=0),
            Param("b", "1/ms", 0.0, "baseline of dopamine"),
            Param("w_min", "weight", 0.0, "smallest weight"),
            Param("w_max", "weight", 200.0, "largest weight"),
        ),
        derived=(Derived("jump", "1/ms", lambda p, dt: 1.0 / p.tau_n),),
        traces=(Trace("pre", "pre", "tau_plus"), Trace("post", "post", "tau_minus"), Trace("fade", "between", "tau_c")),
        state=(StateVar("c", "weight", "eligibility"),),
        modulator=Modulator("n", "1/ms", "dopamine", tau="tau_n", jump="jump", discount="fade"),
        on_pre=_on_pre,
        on_post=_on_post,
        flow=_flow,
        bounds=lambda p: (p.w_min, p.w_max),
        references=(
            "Izhikevich 2007, doi:10.1093/cercor/bhl152",
            "Potjans, Morrison & Diesmann 2010, doi:10.3389/fncom.2010.00141",
            "NEST 3.10, stdp_dopamine_synapse",
        ),
        checks=(Check(("w_min", "w_max"), lambda p: p.w_min <= p.w_max, "must be <= w_max"),),
    )
)
