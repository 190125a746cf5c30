"""Pair STDP with power-law potentiation."""

import math

from kernels.scalar import power
from kernels.spec import Param, RuleSpec, Trace
from plasticity.base import define


def _depress(w, post, lambda_, alpha):  # type: ignore[no-untyped-def]
    w = w - alpha * lambda_ * w * post
    return w if w > 0.0 else 0.0


def _potentiate(w, pre, lambda_, mu):  # type: ignore[no-untyped-def]
    return w + lambda_ * power(w, mu) * pre


STDPPowerLaw = define(
    RuleSpec(
        name="STDPPowerLaw",
        doc="""
        Pair STDP, all-to-all: potentiation as a power of the weight, depression in proportion to it.

        Equations
        ---------
        Traces: tau_plus dpre/dt = -pre, +1 at presynaptic spikes; tau_minus dpost/dt = -post, +1 at postsynaptic ones.
        Presynaptic spike arriving: w -= lambda alpha w post; postsynaptic spike seen: w += lambda w**mu pre (that is
        lambda w0**(1 - mu) w**mu with w0 = 1); w >= 0, without upper bound.

        Numerics
        --------
        As :class:`STDPPair`; equal to NEST's ``stdp_pl_synapse_hom``. With mu = 0 and weight 0 a synapse grows, with
        mu > 0 it stays at 0.
        """,
        params=(
            Param("tau_plus", "ms", 20.0, "time constant of the presynaptic trace", gt=0),
            Param("tau_minus", "ms", 20.0, "time constant of the postsynaptic trace", gt=0),
            Param("lambda_", "1", 0.1, "learning rate", ge=0),
            Param("alpha", "1", 1.0, "asymmetry: depression / potentiation", ge=0),
            Param("mu", "1", 0.4, "exponent of potentiation", ge=0),
        ),
        derived=(),
        traces=(Trace("pre", "pre", "tau_plus"), Trace("post", "post", "tau_minus")),
        on_pre=_depress,
        on_post=_potentiate,
        bounds=lambda p: (0.0, math.inf),
        references=(
            "Morrison, Aertsen & Diesmann 2007, doi:10.1162/neco.2007.19.6.1437",
            "NEST 3.10, stdp_pl_synapse_hom",
        ),
    )
)
