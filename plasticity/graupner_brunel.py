"""Calcium-based plasticity: what time calcium spends above two thresholds decides."""

import math

from kernels.scalar import decay, log
from kernels.spec import Check, Derived, Param, RuleSpec, StateVar
from plasticity.base import define

_WAITS = tuple(f"wait_{k}" for k in range(1, 9))


def _on_pre(  # type: ignore[no-untyped-def]
    w, c, wait_1, wait_2, wait_3, wait_4, wait_5, wait_6, wait_7, wait_8, c_pre, delay
):
    if delay == 0.0:
        c = c + c_pre
    elif wait_1 < 0.0:
        wait_1 = delay
    elif wait_2 < 0.0:
        wait_2 = delay
    elif wait_3 < 0.0:
        wait_3 = delay
    elif wait_4 < 0.0:
        wait_4 = delay
    elif wait_5 < 0.0:
        wait_5 = delay
    elif wait_6 < 0.0:
        wait_6 = delay
    elif wait_7 < 0.0:
        wait_7 = delay
    elif wait_8 < 0.0:
        wait_8 = delay
    else:
        c = math.inf  # which is reported: a ninth cannot wait
    return w, c, wait_1, wait_2, wait_3, wait_4, wait_5, wait_6, wait_7, wait_8


def _on_post(  # type: ignore[no-untyped-def]
    w, c, wait_1, wait_2, wait_3, wait_4, wait_5, wait_6, wait_7, wait_8, c_post
):
    return w, c + c_post, wait_1, wait_2, wait_3, wait_4, wait_5, wait_6, wait_7, wait_8


def _flow(  # type: ignore[no-untyped-def]
    w, c, wait_1, wait_2, wait_3, wait_4, wait_5, wait_6, wait_7, wait_8, c_pre, tau_ca, theta_d, theta_p, rate_d,
    rate_p, middle, w_min, w_max, h,
):  # fmt: skip
    for _ in range(9):
        comes = (wait_1 >= 0.0) & (wait_1 <= h)
        t = wait_1 if comes else h
        end = c * decay(t / tau_ca)
        high = t if end >= theta_p else tau_ca * log(c / theta_p) if c > theta_p else 0.0
        low = t if end >= theta_d else tau_ca * log(c / theta_d) if c > theta_d else 0.0
        both = high if high < low else low
        if both > 0.0:
            w = middle + (w - middle) * decay(both * (rate_p + rate_d))
        if high > low:
            w = w_max + (w - w_max) * decay((high - low) * rate_p)
        elif low > high:
            w = w_min + (w - w_min) * decay((low - high) * rate_d)
        c = end
        if not comes:
            if wait_1 >= 0.0:
                wait_1 = wait_1 - t
                wait_2 = wait_2 - t if wait_2 >= 0.0 else -1.0
                wait_3 = wait_3 - t if wait_3 >= 0.0 else -1.0
                wait_4 = wait_4 - t if wait_4 >= 0.0 else -1.0
                wait_5 = wait_5 - t if wait_5 >= 0.0 else -1.0
                wait_6 = wait_6 - t if wait_6 >= 0.0 else -1.0
                wait_7 = wait_7 - t if wait_7 >= 0.0 else -1.0
                wait_8 = wait_8 - t if wait_8 >= 0.0 else -1.0
            break
        c = c + c_pre
        h = h - t
        wait_1 = wait_2 - t if wait_2 >= 0.0 else -1.0
        wait_2 = wait_3 - t if wait_3 >= 0.0 else -1.0
        wait_3 = wait_4 - t if wait_4 >= 0.0 else -1.0
        wait_4 = wait_5 - t if wait_5 >= 0.0 else -1.0
        wait_5 = wait_6 - t if wait_6 >= 0.0 else -1.0
        wait_6 = wait_7 - t if wait_7 >= 0.0 else -1.0
        wait_7 = wait_8 - t if wait_8 >= 0.0 else -1.0
        wait_8 = -1.0
    return w, c, wait_1, wait_2, wait_3, wait_4, wait_5, wait_6, wait_7, wait_8


GraupnerBrunel = define(
    RuleSpec(
        name="GraupnerBrunel",
        doc="""
        Calcium-based plasticity: the weight is depressed while calcium is above one threshold, potentiated while it is
        above another.

        Equations
        ---------
        In each synapse tau_ca dc/dt = -c; a presynaptic spike adds c_pre, ``delay`` after its arrival, a postsynaptic
        one c_post. tau dw/dt = gamma_p (w_max - w) [c > theta_p] - gamma_d (w - w_min) [c > theta_d].

        Numerics
        --------
        Exact between spikes, by the times at which c meets the thresholds; done when the next presynaptic spike
        arrives, with the synapse as it then is. (w - w_min) / (w_max - w_min) is the article's efficacy rho, without
        its noise, which does not change the mean, and with a flat potential: where c is low the weight stays. Up to
        eight presynaptic spikes may be within ``delay`` of one another; a ninth makes c infinite, which ends the run
        with an error. The default values are those of the article's curve "DP", depression where the postsynaptic
        spike comes first, else potentiation.
        """,
        params=(
            Param("tau_ca", "ms", 20.0, "time constant of calcium", gt=0),
            Param("c_pre", "1", 1.0, "calcium by a presynaptic spike", ge=0),
            Param("c_post", "1", 2.0, "calcium by a postsynaptic spike", ge=0),
            Param("theta_d", "1", 1.0, "calcium above which the weight is depressed", gt=0),
            Param("theta_p", "1", 1.3, "calcium above which the weight is potentiated", gt=0),
            Param("gamma_d", "1", 200.0, "strength of depression", ge=0),
            Param("gamma_p", "1", 321.808, "strength of potentiation", ge=0),
            Param("tau", "ms", 150e3, "time constant of the weight", gt=0),
            Param("delay", "ms", 13.7, "from the arrival of a presynaptic spike to its calcium", ge=0),
            Param("w_min", "weight", 0.0, "smallest weight"),
            Param("w_max", "weight", 100.0, "largest weight"),
        ),
        derived=(
            Derived("rate_d", "1/ms", lambda p, dt: p.gamma_d / p.tau),
            Derived("rate_p", "1/ms", lambda p, dt: p.gamma_p / p.tau),
            Derived(
                "middle",
                "weight",
                # where both strengths are 0 nothing moves, wherever it is
                lambda p, dt: p.w_min + (p.w_max - p.w_min) * p.gamma_p / (p.gamma_p + p.gamma_d + 1e-300),
            ),
        ),
        traces=(),
        state=(
            StateVar("c", "1", "calcium; infinite where nine presynaptic spikes are within delay"),
            *(StateVar(x, "ms", "time to a spike's calcium", -1.0) for x in _WAITS),
        ),
        on_pre=_on_pre,
        on_post=_on_post,
        flow=_flow,
        bounds=lambda p: (p.w_min, p.w_max),
        references=(
            "Graupner & Brunel 2012, doi:10.1073/pnas.1109359109",
            "Higgins, Graupner & Brunel 2014, doi:10.1371/journal.pcbi.1003834",
        ),
        checks=(Check(("w_min", "w_max"), lambda p: p.w_min <= p.w_max, "must be <= w_max"),),
    )
)
