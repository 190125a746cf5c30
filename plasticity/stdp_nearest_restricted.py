"""Pair STDP in which a spike has at most one partner on each side, and is its partner's nearest."""

from dataclasses import replace

from kernels.scalar import power
from kernels.spec import StateVar, Trace
from plasticity.base import define
from plasticity.stdp_pair import STDPPair


def _depress(w, turn, post, a_minus, mu_minus):  # type: ignore[no-untyped-def]
    # turn is -1 just after a postsynaptic spike
    w = w - a_minus * power(w, mu_minus) * (post if turn < 0.0 else 0.0)
    return w if w > 0.0 else 0.0, 1.0


def _potentiate(w, turn, pre, a_plus, mu_plus, w_max):  # type: ignore[no-untyped-def]
    w = w + a_plus * power(w_max - w, mu_plus) * (pre if turn > 0.0 else 0.0)
    return w if w < w_max else w_max, -1.0


STDPNearestRestricted = define(
    replace(
        STDPPair.spec,
        name="STDPNearestRestricted",
        doc="""
        Pair STDP, restricted symmetric nearest-neighbour pairing: only spikes that follow each other at the synapse are
        pairs; weight dependence as in :class:`STDPPair`.

        Equations
        ---------
        Traces: tau_plus dpre/dt = -pre, set to 1 at presynaptic spikes; tau_minus dpost/dt = -post, set to 1 at
        postsynaptic ones. Presynaptic spike arriving, the first since a postsynaptic one:
        w -= lambda alpha w_max (w / w_max)**mu_minus post; postsynaptic spike seen, the first since a presynaptic one:
        w += lambda w_max (1 - w / w_max)**mu_plus pre; always 0 <= w <= w_max.

        Numerics
        --------
        As :class:`STDPPair`; equal to NEST's ``stdp_nn_restr_synapse``, but that a source has no trace before its first
        spike (there: as if it had spiked at time 0). One number a synapse beside the weight.
        """,
        state=(StateVar("turn", "1", "last spike at the synapse: 1 presynaptic, -1 postsynaptic, 0 none"),),
        traces=(Trace("pre", "pre", "tau_plus", nearest=True), Trace("post", "post", "tau_minus", nearest=True)),
        on_pre=_depress,
        on_post=_potentiate,
        references=(
            "Morrison, Diesmann & Gerstner 2008, doi:10.1007/s00422-008-0233-1",
            "NEST 3.10, stdp_nn_restr_synapse",
        ),
    )
)
