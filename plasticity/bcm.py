"""The rule of Bienenstock, Cooper and Munro, on traces of spikes."""

from kernels.spec import Derived, Param, RuleSpec, Trace
from plasticity.base import define


def _depress(w, post, mean, eta, theta_scale):  # type: ignore[no-untyped-def]
    w = w - eta * post * theta_scale * mean * mean
    return w if w > 0.0 else 0.0


def _potentiate(w, pre, post, eta, w_max):  # type: ignore[no-untyped-def]
    w = w + eta * pre * post
    return w if w < w_max else w_max


BCM = define(
    RuleSpec(
        name="BCM",
        doc="""
        BCM: potentiation above, depression below a threshold that slides with the square of the mean postsynaptic rate.

        Equations
        ---------
        Traces: tau dpre/dt = -pre, +1 at presynaptic spikes; tau dpost/dt = -post and tau_theta dmean/dt = -mean, +1 at
        postsynaptic ones. Presynaptic spike arriving: w -= eta post tau theta, theta = (mean / tau_theta)**2 / rho0;
        postsynaptic spike seen: w += eta pre post; always 0 <= w <= w_max.
        On average, for rates x and y in 1/ms: dw/dt = eta tau**2 x y (y - theta), where theta follows y**2 / rho0.

        Numerics
        --------
        As :class:`STDPPair`. The second factor y of potentiation is that of earlier spikes (a triplet, as in
        :class:`STDPTriplet`). A postsynaptic rate of rho0 is stable if tau_theta is short against learning.
        """,
        params=(
            Param("tau", "ms", 20.0, "time constant of the traces that stand for rates", gt=0),
            Param("tau_theta", "ms", 1000.0, "time constant of the mean rate that moves the threshold", gt=0),
            Param("rho0", "Hz", 10.0, "postsynaptic rate at which the threshold is that rate", gt=0),
            Param("eta", "weight", 1e-3, "learning rate", ge=0),
            Param("w_max", "weight", 100.0, "largest weight", gt=0),
        ),
        derived=(Derived("theta_scale", "1", lambda p, dt: p.tau / (p.tau_theta**2 * p.rho0 / 1000.0)),),
        traces=(Trace("pre", "pre", "tau"), Trace("post", "post", "tau"), Trace("mean", "post", "tau_theta")),
        on_pre=_depress,
        on_post=_potentiate,
        bounds=lambda p: (0.0, p.w_max),
        references=(
            "Bienenstock, Cooper & Munro 1982, doi:10.1523/JNEUROSCI.02-01-00032.1982",
            "Pfister & Gerstner 2006, doi:10.1523/JNEUROSCI.1425-06.2006",
        ),
    )
)
