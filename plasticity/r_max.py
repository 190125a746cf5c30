"""R-max: reward-modulated learning that climbs the expected reward, for neurons with escape noise."""

import math

import numpy as np

from kernels.scalar import exp, exprel
from kernels.spec import Check, Derived, Integral, Modulator, Observer, Param, RuleSpec, StateVar, Trace
from plasticity.base import define


def _observe(hazard, fired, held, n_ref, dt):  # type: ignore[no-untyped-def]
    # of log p = log(1 - exp(-hazard)) or -hazard, times hazard: the derivative by log hazard
    score = 1.0 / exprel(min(hazard, 700.0)) if fired > 0.0 else -hazard
    held = n_ref if fired > 0.0 else max(held - 1.0, 0.0)
    return held, score / dt, held


def _on_pre(w, e, a, b, hold, gain_m, gain_s, log_ratio):  # type: ignore[no-untyped-def]
    # the current begins a step later; it moves the potential from then on, or from the end of the refractory period
    later = max(hold - 1.0, 0.0)
    return w, e, a + gain_m * exp(later * log_ratio), b - gain_s


def _on_post(w, e, a, b, reset):  # type: ignore[no-untyped-def]
    return w, e, -b * reset, b


def _flow(  # type: ignore[no-untyped-def]
    w, e, a, b, reward, of_m, of_s, of_m_e, of_s_e, fade_e, fade_m, fade_s, h, eta, tau_e, inv_delta, w_min, w_max,
):  # fmt: skip
    end = fade_e * (e + (a * of_m_e + b * of_s_e) * inv_delta)
    area = tau_e * (e + (a * of_m + b * of_s) * inv_delta - end)
    w = w + eta * (reward / h if h > 0.0 else 0.0) * area
    w = w if w > w_min else w_min
    return w if w < w_max else w_max, end, a * fade_m, b * fade_s


RMax = define(
    RuleSpec(
        name="RMax",
        doc="""
        R-max: reward turns into weight an eligibility that says how much more likely a larger weight would have made
        the spikes that were and were not fired. For targets of the model :class:`snn.GIF`.

        Equations
        ---------
        A presynaptic spike of weight w moves the potential by w eps(t), eps'' of the membrane (tau_m, c_m) and the
        synaptic current (tau_syn); eps is 0 from a postsynaptic spike to the end of the refractory period, as the
        potential is reset. The target fires at rate rho. S is its spikes; in each synapse
        de/dt = -e / tau_e + (S - rho) eps / delta_v;  dw/dt = eta reward e, always w_min <= w <= w_max.
        The modulator ``reward`` stays as it was set (``net.modulate``, ``Simulation.set_modulator``).

        Numerics
        --------
        Exact on the grid: with a very long tau_e, e is the derivative by w of the log-likelihood of the target's
        spikes, where a step with hazard x = rho dt has a spike with probability 1 - exp(-x); so (S - rho) dt is
        x / (exp(x) - 1) in a step with a spike, -x in one without. dw/dt is exact for a reward that is constant between
        settings, but for rounding, which grows as 1e-16 tau_e / ms. Give tau_m, tau_syn, c_m, delta_v and t_ref of the
        target, and all of the delay but a step as axonal delay: eps comes early by the rest. Adaptation of the target
        is taken as given.
        """,
        params=(
            Param("eta", "pA^2/ms", 1.0, "learning rate, for reward 1"),
            Param("tau_e", "ms", 500.0, "time constant of eligibility", gt=0),
            Param("tau_m", "ms", 20.0, "time constant of the target's membrane, c_m / g_l", gt=0),
            Param("tau_syn", "ms", 2.0, "time constant of its synaptic current", gt=0),
            Param("c_m", "pF", 80.0, "its capacitance", gt=0),
            Param("delta_v", "mV", 0.5, "width of its noise", gt=0),
            Param("t_ref", "ms", 4.0, "its refractory period, rounded to steps, at least one", gt=0),
            Param("w_min", "pA", 0.0, "smallest weight"),
            Param("w_max", "pA", 1000.0, "largest weight"),
        ),
        derived=(
            Derived("dt", "ms", lambda p, dt: dt),
            Derived("n_ref", "step", lambda p, dt: max(1.0, float(np.rint(p.t_ref / dt)))),
            Derived("log_ratio", "1", lambda p, dt: dt / p.tau_m - dt / p.tau_syn),
            Derived("reset", "1", lambda p, dt: math.exp((p.n_ref - 1.0) * p.log_ratio)),
            Derived("gain", "mV/pA", lambda p, dt: p.tau_m * p.tau_syn / (p.c_m * (p.tau_m - p.tau_syn))),
            Derived("gain_m", "mV/pA", lambda p, dt: p.gain * math.exp(dt / p.tau_m)),
            Derived("gain_s", "mV/pA", lambda p, dt: p.gain * math.exp(dt / p.tau_syn)),
            Derived("inv_delta", "1/mV", lambda p, dt: 1.0 / p.delta_v),
            Derived("tau_m_e", "ms", lambda p, dt: p.tau_m / (1.0 - p.tau_m / p.tau_e)),
            Derived("tau_s_e", "ms", lambda p, dt: p.tau_syn / (1.0 - p.tau_syn / p.tau_e)),
        ),
        traces=(
            Trace("fade_e", "between", "tau_e"),
            Trace("fade_m", "between", "tau_m"),
            Trace("fade_s", "between", "tau_syn"),
            Trace("fade_m_e", "between", "tau_m_e"),
            Trace("fade_s_e", "between", "tau_s_e"),
        ),
        state=(
            StateVar("e", "1/pA", "eligibility"),
            StateVar("a", "mV/pA", "part of eps that decays with tau_m"),
            StateVar("b", "mV/pA", "part of eps that decays with tau_syn"),
        ),
        modulator=Modulator("reward", "1", "reward, of either sign"),
        observer=Observer(
            reads=("hazard",),
            state=(StateVar("held", "step", "steps left of the refractory period"),),
            step=_observe,
            signals=("score", "hold"),
            integrals=(
                Integral("of_m", "score", "fade_m"),
                Integral("of_s", "score", "fade_s"),
                Integral("of_m_e", "score", "fade_m_e"),
                Integral("of_s_e", "score", "fade_s_e"),
            ),
            dendritic=False,
        ),
        on_pre=_on_pre,
        on_post=_on_post,
        flow=_flow,
        bounds=lambda p: (p.w_min, p.w_max),
        references=(
            "Frémaux & Gerstner 2016, doi:10.3389/fncir.2015.00085",
            "Pfister, Toyoizumi, Barber & Gerstner 2006, doi:10.1162/neco.2006.18.6.1318",
        ),
        checks=(
            Check(("w_min", "w_max"), lambda p: p.w_min <= p.w_max, "must be <= w_max"),
            Check(("tau_syn", "tau_m"), lambda p: p.tau_syn != p.tau_m, "must not be tau_m"),
            Check(
                ("tau_e", "tau_m", "tau_syn"),
                lambda p: p.tau_e > max(p.tau_m, p.tau_syn),
                "must be > tau_m and tau_syn",
            ),
        ),
    )
)
