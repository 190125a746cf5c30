"""Spike-driven learning of bistable synapses that stops when the target answers well."""

from collections.abc import Callable
from typing import Any

import numpy as np

from kernels.spec import Check, Derived, Observer, Param, RuleSpec, StateVar, Trace
from plasticity.base import define


def _observe(v):  # type: ignore[no-untyped-def]
    return v


def _on_pre(  # type: ignore[no-untyped-def]
    w, x, ca, v_post, a, b, theta_v, theta_up_low, theta_up_high, theta_down_low, theta_down_high, theta_x, w_min,
    w_max, middle,
):  # fmt: skip
    x = x if x >= 0.0 else (1.0 if w > middle else 0.0)
    high = v_post > theta_v
    up = a if high and ca > theta_up_low and ca < theta_up_high else 0.0
    down = b if not high and ca > theta_down_low and ca < theta_down_high else 0.0
    x = min(max(x + up - down, 0.0), 1.0)
    return w_max if x > theta_x else w_min, x


def _flow(w, x, h, alpha, beta, theta_x, w_min, w_max, middle):  # type: ignore[no-untyped-def]
    x = x if x >= 0.0 else (1.0 if w > middle else 0.0)
    x = min(x + alpha * h, 1.0) if x > theta_x else max(x - beta * h, 0.0)
    return w_max if x > theta_x else w_min, x


def _ordered(side: str) -> Callable[[Any], Any]:
    return lambda p: np.less_equal(getattr(p, f"theta_{side}_low"), getattr(p, f"theta_{side}_high"))


BraderSennFusi = define(
    RuleSpec(
        name="BraderSennFusi",
        doc="""
        Spike-driven learning of synapses with two weights: a presynaptic spike moves an internal variable up or down by
        the target's potential, and not at all where the target fires as little or as much as it should; in between
        the variable drifts to the nearer of its ends. The rule of many neuromorphic chips.

        Equations
        ---------
        tau_ca dca/dt = -ca; a postsynaptic spike adds 1. A presynaptic spike arriving: x += a where v > theta_v and
        theta_up_low < ca < theta_up_high; x -= b where v <= theta_v and theta_down_low < ca < theta_down_high.
        Between spikes dx/dt = alpha where x > theta_x, else -beta. Always 0 <= x <= 1; w = w_max where x > theta_x,
        else w_min.

        Numerics
        --------
        Exact between spikes, as the drift leads away from theta_x. v, a variable of the target, is as at the end of a
        step; a synapse sees it and ca the dendritic part of its delay late. A synapse begins with x = 1 where its
        weight is nearer to w_max, else 0; afterwards its weight follows x, which ``sim.set_state`` sets. x is the
        article's internal variable over its largest value, ca its calcium over the jump at a spike. The default values
        are those of the article; theta_v is four fifths of the way from rest to threshold, here those of ``LIFExp``.
        """,
        params=(
            Param("tau_ca", "ms", 60.0, "time constant of calcium", gt=0),
            Param("a", "1", 0.1, "step of x up", ge=0),
            Param("b", "1", 0.1, "step of x down", ge=0),
            Param("theta_v", "mV", -58.0, "potential above which x goes up"),
            Param("theta_up_low", "1", 3.0, "calcium above which x goes up", ge=0),
            Param("theta_up_high", "1", 13.0, "calcium below which x goes up", ge=0),
            Param("theta_down_low", "1", 3.0, "calcium above which x goes down", ge=0),
            Param("theta_down_high", "1", 4.0, "calcium below which x goes down", ge=0),
            Param("theta_x", "1", 0.5, "x above which the weight is w_max", ge=0, lt=1),
            Param("alpha", "1/ms", 0.0035, "drift up", ge=0),
            Param("beta", "1/ms", 0.0035, "drift down", ge=0),
            Param("w_min", "weight", 0.0, "the smaller weight"),
            Param("w_max", "weight", 100.0, "the larger weight"),
        ),
        derived=(Derived("middle", "weight", lambda p, dt: 0.5 * p.w_min + 0.5 * p.w_max),),
        traces=(Trace("ca", "post", "tau_ca"),),
        state=(StateVar("x", "1", "internal variable; -1 before the first event: as the weight says", -1.0),),
        observer=Observer(reads=("v",), state=(), step=_observe, signals=("v_post",)),
        on_pre=_on_pre,
        on_post=None,
        flow=_flow,
        bounds=lambda p: (p.w_min, p.w_max),
        references=("Brader, Senn & Fusi 2007, doi:10.1162/neco.2007.19.11.2881",),
        checks=(
            Check(("w_min", "w_max"), lambda p: p.w_min <= p.w_max, "must be <= w_max"),
            *(
                Check((f"theta_{x}_low", f"theta_{x}_high"), _ordered(x), f"must be <= theta_{x}_high")
                for x in ("up", "down")
            ),
        ),
    )
)
