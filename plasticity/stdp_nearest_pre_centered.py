"""Pair STDP in which every presynaptic spike has one partner on each side."""

from dataclasses import replace

from kernels.scalar import power
from kernels.spec import StateVar, Trace
from plasticity.base import define
from plasticity.stdp_pair import STDPPair


def _depress(w, k, post, a_minus, mu_minus):  # type: ignore[no-untyped-def]
    w = w - a_minus * power(w, mu_minus) * post
    return w if w > 0.0 else 0.0, k + 1.0


def _potentiate(w, k, a_plus, mu_plus, w_max):  # type: ignore[no-untyped-def]
    w = w + a_plus * power(w_max - w, mu_plus) * k
    return w if w < w_max else w_max, 0.0


def _flow(w, k, fade):  # type: ignore[no-untyped-def]
    return w, k * fade


STDPNearestPreCentered = define(
    replace(
        STDPPair.spec,
        name="STDPNearestPreCentered",
        doc="""
        Pair STDP, presynaptic-centred nearest-neighbour pairing: a presynaptic spike pairs with the last postsynaptic
        spike before it and the first after it; weight dependence as in :class:`STDPPair`.

        Equations
        ---------
        tau_minus dpost/dt = -post, set to 1 at postsynaptic spikes. In each synapse tau_plus dk/dt = -k, +1 when a
        presynaptic spike arrives, set to 0 when a postsynaptic one is seen.
        Presynaptic spike arriving: w -= lambda alpha w_max (w / w_max)**mu_minus post;
        postsynaptic spike seen: w += lambda w_max (1 - w / w_max)**mu_plus k; always 0 <= w <= w_max.

        Numerics
        --------
        As :class:`STDPPair`; equal to NEST's ``stdp_nn_pre_centered_synapse``. One number a synapse beside the weight.
        """,
        state=(StateVar("k", "1", "trace of presynaptic spikes since the last postsynaptic one"),),
        traces=(Trace("post", "post", "tau_minus", nearest=True), Trace("fade", "between", "tau_plus")),
        on_pre=_depress,
        on_post=_potentiate,
        flow=_flow,
        references=(
            "Morrison, Diesmann & Gerstner 2008, doi:10.1007/s00422-008-0233-1",
            "NEST 3.10, stdp_nn_pre_centered_synapse",
        ),
    )
)
