"""Short-term depression and facilitation of release sites, each of which releases at random."""

import math

import numpy as np

from kernels import scalar
from kernels.spec import Check, Derived, Param, ShortTermSpec, StateVar
from plasticity.base import define, rate


def _on_spike(u, a, h, uniform, uniform_2, u_se, n, rate_fac, rate_rec):  # type: ignore[no-untyped-def]
    left = math.exp(-h * rate_fac) if rate_fac < 1e300 else 0.0  # no facilitation, also in one and the same step
    u = u_se + u * (1.0 - u_se) * left
    a = a + scalar.binomial(n - a, 1.0 - math.exp(-h * rate_rec), uniform)
    released = scalar.binomial(a, u, uniform_2)
    return u, a - released, released


QuantalSTP = define(
    ShortTermSpec(
        name="QuantalSTP",
        doc="""
        Short-term plasticity of n release sites: a spike makes each available one release with probability u.

        Equations
        ---------
        At a spike u += u_se (1 - u); each of the a available sites releases with probability u and is empty then; the
        synapse delivers w times the number that release: w is the weight of one. Between spikes tau_fac du/dt = -u, and
        an empty site is refilled at rate 1 / tau_rec. At the first spike u = u_se and a = n. The mean of what is
        delivered is n times that of ``TsodyksMarkram``.

        Numerics
        --------
        Exact: binomial numbers from spike to spike, each by inversion of a uniform number of 52 bits. NEST's
        ``quantal_stp_synapse`` in distribution, with ``U`` = u_se.
        """,
        params=(
            Param("u_se", "1", 0.5, "release probability at rest (U)", gt=0, le=1),
            Param("n", "1", 1.0, "number of release sites", ge=1, le=1000),
            Param("tau_rec", "ms", 800.0, "time constant of recovery", gt=0),
            Param("tau_fac", "ms", 0.0, "time constant of facilitation; 0: none", ge=0),
        ),
        state=(
            StateVar("u", "1", "release probability of the last spike", 0.0),
            StateVar("a", "1", "available sites", "n"),
        ),
        derived=(
            Derived("rate_fac", "1/ms", lambda p, dt: rate(p.tau_fac)),
            Derived("rate_rec", "1/ms", lambda p, dt: rate(p.tau_rec)),
        ),
        checks=(Check(("n",), lambda p: np.equal(np.mod(p.n, 1.0), 0.0), "must be a whole number"),),
        on_spike=_on_spike,
        references=(
            "Fuhrmann et al. 2002, doi:10.1152/jn.00258.2001",
            "Loebel et al. 2009, doi:10.3389/neuro.10.027.2009",
            "NEST 3.10, quantal_stp_synapse",
        ),
    )
)
