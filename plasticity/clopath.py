"""Voltage-based STDP."""

import math

from kernels.spec import Check, Derived, Integral, Observer, Param, RuleSpec, StateVar, Trace
from plasticity.base import define


def _observe(  # type: ignore[no-untyped-def]
    v, u, u_minus, u_plus, u_bar, u_minus_late, u_plus_late, a_ltd, a_ltp, theta_minus, theta_plus, p_minus, p_plus,
    p_bar, e_bar, homeostasis, constant,
):  # fmt: skip
    # the filters take the potential as it was during the step: as of its beginning, after what arrived there
    u_bar = u_minus + (u_bar - u_minus) * p_bar
    u_minus = u + (u_minus - u) * p_minus
    u_plus = u + (u_plus - u) * p_plus
    rest = u_bar - e_bar
    low, high = u_minus_late - theta_minus, u_plus_late - theta_minus
    depress = a_ltd * (constant + homeostasis * rest * rest) * max(low, 0.0)
    return v, u_minus, u_plus, u_bar, depress, a_ltp * max(v - theta_plus, 0.0) * max(high, 0.0)


def _on_pre(w, x, depress, tau_x, w_min):  # type: ignore[no-untyped-def]
    w = w - depress
    return w if w > w_min else w_min, x + 1.0 / tau_x


def _flow(w, x, growth, fade, w_max):  # type: ignore[no-untyped-def]
    w = w + x * growth
    return w if w < w_max else w_max, x * fade


Clopath = define(
    RuleSpec(
        name="Clopath",
        doc="""
        Voltage-based STDP: depression at presynaptic spikes while the target is depolarised, potentiation while it is
        strongly depolarised, after a presynaptic spike and some earlier depolarisation.

        Equations
        ---------
        Of the target's potential u: tau_minus du_minus/dt = u - u_minus, tau_plus du_plus/dt = u - u_plus, tau_bar
        du_bar/dt = u_minus - u_bar. [y]+ is y where positive, else 0; t' = t - delay.
        Presynaptic spike arriving: w -= a_ltd(u_bar) [u_minus(t') - theta_minus]+, x += 1 / tau_x; tau_x dx/dt = -x;
        dw/dt = a_ltp x [u - theta_plus]+ [u_plus(t') - theta_minus]+; always w_min <= w <= w_max.
        a_ltd(u_bar) = a_ltd or, where u_ref_squared > 0, a_ltd (u_bar - e_bar)^2 / u_ref_squared.

        Numerics
        --------
        The filters of u, a variable ``v`` of the target, move at every step, with u held within one, and so does the
        factor of x in dw/dt, one sum a target; synapses change at spikes, when the sums are read. A synapse sees its
        target the dendritic part of its delay late. NEST's ``clopath_synapse`` is the same, with filters integrated as
        part of the neuron. Delay and clamped spikes are of the authors' code, not in the article.
        """,
        params=(
            Param("a_ltd", "weight/mV", 14e-5, "amplitude of depression", ge=0),
            Param("a_ltp", "weight/mV^2", 8e-5, "amplitude of potentiation", ge=0),
            Param("theta_minus", "mV", -70.6, "threshold of the filtered potentials"),
            Param("theta_plus", "mV", -45.3, "threshold of the potential"),
            Param("tau_x", "ms", 15.0, "time constant of the presynaptic trace", gt=0),
            Param("tau_minus", "ms", 10.0, "time constant of u_minus", gt=0),
            Param("tau_plus", "ms", 7.0, "time constant of u_plus", gt=0),
            Param("delay", "ms", 5.0, "delay of u_minus and u_plus, rounded to steps, at least one", gt=0),
            Param("u_ref_squared", "mV^2", 0.0, "reference of homeostasis; 0: there is none", ge=0),
            Param("e_bar", "mV", -70.6, "potential from which homeostasis measures u_bar"),
            Param("tau_bar", "ms", 500.0, "time constant of u_bar", gt=0),
            Param("w_min", "weight", 0.0, "smallest weight"),
            Param("w_max", "weight", 100.0, "largest weight"),
        ),
        derived=(
            Derived("p_minus", "1", lambda p, dt: math.exp(-dt / p.tau_minus)),
            Derived("p_plus", "1", lambda p, dt: math.exp(-dt / p.tau_plus)),
            Derived("p_bar", "1", lambda p, dt: math.exp(-dt / p.tau_bar)),
            Derived("homeostasis", "1/mV^2", lambda p, dt: 1.0 / p.u_ref_squared if p.u_ref_squared > 0 else 0.0),
            Derived("constant", "1", lambda p, dt: 0.0 if p.u_ref_squared > 0 else 1.0),
        ),
        traces=(Trace("fade", "between", "tau_x"),),
        state=(StateVar("x", "1/ms", "presynaptic trace"),),
        observer=Observer(
            reads=("v",),
            state=(
                StateVar("u", "mV", "potential at the end of the step", init="v"),
                StateVar("u_minus", "mV", "filtered potential", init="v"),
                StateVar("u_plus", "mV", "filtered potential", init="v"),
                StateVar("u_bar", "mV", "u_minus, filtered slowly", init="v"),
            ),
            step=_observe,
            signals=("depress", "potentiate"),
            integrals=(Integral("growth", "potentiate", "fade"),),
            delay="delay",
        ),
        on_pre=_on_pre,
        on_post=None,
        flow=_flow,
        bounds=lambda p: (p.w_min, p.w_max),
        references=("Clopath, Büsing, Vasilaki & Gerstner 2010, doi:10.1038/nn.2479", "NEST 3.10, clopath_synapse"),
        checks=(Check(("w_min", "w_max"), lambda p: p.w_min <= p.w_max, "must be <= w_max"),),
    )
)
