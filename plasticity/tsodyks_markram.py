"""Short-term depression and facilitation."""

from kernels.scalar import exp
from kernels.spec import Derived, Param, ShortTermSpec, StateVar
from plasticity.base import define, rate


def _on_spike(u, x, h, u_se, rate_fac, rate_rec):  # type: ignore[no-untyped-def]
    x = 1.0 + (x - x * u - 1.0) * exp(-h * rate_rec)
    left = exp(-h * rate_fac) if rate_fac < 1e300 else 0.0  # no facilitation, also in one and the same step
    u = u_se + u * (1.0 - u_se) * left
    return u, x, u * x


TsodyksMarkram = define(
    ShortTermSpec(
        name="TsodyksMarkram",
        doc="""
        Short-term plasticity: a spike uses the share u of the resources x; both recover.

        Equations
        ---------
        tau_rec dx/dt = 1 - x, tau_fac du/dt = -u. At a spike u += u_se (1 - u), the synapse delivers w u x, x -= u x.
        At the first spike u = u_se and x = 1.

        Numerics
        --------
        Exact from spike to spike; equal to NEST's ``tsodyks2_synapse`` with ``U`` = ``u`` = u_se. ``tsodyks_synapse``
        keeps resources in an active state besides: equal as its tau_psc goes to 0.
        """,
        params=(
            Param("u_se", "1", 0.5, "share of resources that a spike uses at rest (U)", gt=0, le=1),
            Param("tau_rec", "ms", 800.0, "time constant of recovery", gt=0),
            Param("tau_fac", "ms", 0.0, "time constant of facilitation; 0: none", ge=0),
        ),
        state=(StateVar("u", "1", "share used by the last spike", 0.0), StateVar("x", "1", "resources", 1.0)),
        derived=(
            Derived("rate_fac", "1/ms", lambda p, dt: rate(p.tau_fac)),
            Derived("rate_rec", "1/ms", lambda p, dt: rate(p.tau_rec)),
        ),
        on_spike=_on_spike,
        references=(
            "Tsodyks & Markram 1997, doi:10.1073/pnas.94.2.719",
            "Maass & Markram 2002, doi:10.1016/S0893-6080(01)00144-7",
            "NEST 3.10, tsodyks2_synapse",
        ),
    )
)
