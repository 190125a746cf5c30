"""NMDA receptors that saturate: each spike opens a share of the channels that are closed."""

import math

import numpy as np
from scipy import special

from kernels.spec import Check, Derived, Param, ShortTermSpec, StateVar
from plasticity.base import define


def _on_spike(s, h, closed, opened, rate):  # type: ignore[no-untyped-def]
    s = s * math.exp(-h * rate)
    jump = opened - closed * s
    return s + jump, jump


def _opened(p, dt):  # type: ignore[no-untyped-def]
    x, ratio = p.alpha * p.tau_rise, p.tau_rise / p.tau_decay
    return x**ratio * special.gamma(1.0 - ratio) * special.gammainc(1.0 - ratio, x)


SaturatingNMDA = define(
    ShortTermSpec(
        name="SaturatingNMDA",
        doc="""
        NMDA gating that saturates: a spike opens a share of the source's closed channels, so that s is bounded.

        Equations
        ---------
        Of ds/dt = -s / tau_decay + alpha x (1 - s), dx/dt = -x / tau_rise, with x += 1 at each spike of the source, the
        synapse delivers w times the jump of s that is left when x has decayed: s += k_0 + k_1 s at a spike, between
        spikes tau_decay ds/dt = -s, with k_1 = exp(-alpha tau_rise) - 1 and k_0 = (alpha tau_rise)^r gamma(1 - r, alpha
        tau_rise), r = tau_rise / tau_decay, gamma the lower incomplete gamma function. s stays below k_0 / -k_1: 1.026
        with the defaults, more where tau_rise is not short (12.5 with alpha = 1, tau_rise = 50, tau_decay = 100).
        Arriving at a receptor that decays with tau_decay (``LIFCondNMDA``, ``receptor="nmda"``) the jumps add up to
        sum w s.

        Numerics
        --------
        Equal to NEST's ``iaf_bw_2001``; against the two equations (``iaf_bw_2001_exact``, Wang 1999) the rise of a few
        ms is a jump, which later is exact for spikes far apart compared with tau_rise.
        """,
        params=(
            Param("alpha", "1/ms", 0.5, "rate at which channels open while x = 1", gt=0),
            Param("tau_rise", "ms", 2.0, "time constant of x", gt=0),
            Param("tau_decay", "ms", 100.0, "time constant at which channels close", gt=0),
        ),
        state=(StateVar("s", "1", "share of open channels just after the last spike", 0.0),),
        derived=(
            Derived("closed", "1", lambda p, dt: -np.expm1(-p.alpha * p.tau_rise)),
            Derived("opened", "1", _opened),
            Derived("rate", "1/ms", lambda p, dt: 1.0 / p.tau_decay),
        ),
        on_spike=_on_spike,
        checks=(Check(("tau_rise", "tau_decay"), lambda p: p.tau_rise < p.tau_decay, "must be below tau_decay"),),
        references=(
            "Wang 1999, doi:10.1523/JNEUROSCI.19-21-09587.1999",
            "Brunel & Wang 2001, doi:10.1023/A:1011204814320",
            "NEST 3.10, iaf_bw_2001",
        ),
    )
)
