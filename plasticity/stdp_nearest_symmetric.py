"""Pair STDP that pairs each spike with the nearest one before it."""

from dataclasses import replace

from kernels.spec import Trace
from plasticity.base import define
from plasticity.stdp_pair import STDPPair

STDPNearestSymmetric = define(
    replace(
        STDPPair.spec,
        name="STDPNearestSymmetric",
        doc="""
        Pair STDP, symmetric nearest-neighbour pairing; weight dependence as in :class:`STDPPair`.

        Equations
        ---------
        Traces: tau_plus dpre/dt = -pre, set to 1 at presynaptic spikes; tau_minus dpost/dt = -post, set to 1 at
        postsynaptic ones. Presynaptic spike arriving: w -= lambda alpha w_max (w / w_max)**mu_minus post;
        postsynaptic spike seen: w += lambda w_max (1 - w / w_max)**mu_plus pre; always 0 <= w <= w_max.

        Numerics
        --------
        As :class:`STDPPair`; equal to NEST's ``stdp_nn_symm_synapse``, but that a source has no trace before its first
        spike (there: as if it had spiked at time 0).
        """,
        traces=(Trace("pre", "pre", "tau_plus", nearest=True), Trace("post", "post", "tau_minus", nearest=True)),
        references=(
            "Morrison, Diesmann & Gerstner 2008, doi:10.1007/s00422-008-0233-1",
            "NEST 3.10, stdp_nn_symm_synapse",
        ),
    )
)
