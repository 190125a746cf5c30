"""Adaptive leaky integrate-and-fire neuron of recurrent networks that learn (LSNN)."""

import numpy as np

from kernels.spec import Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def alif_step(  # type: ignore[no-untyped-def]
    v, b, z, refractory, arrive_syn, i_stim, v_th, beta, reset_share, i_e, alpha, rho, p_vi, p_v_syn, p_bz,
    n_ref,
):  # fmt: skip
    spiked = z == 1
    v = alpha * v + (i_stim + i_e) * p_vi + arrive_syn * p_v_syn - (v_th + reset_share * beta * b if spiked else 0.0)
    b = rho * b + (p_bz if spiked else 0.0)
    free = refractory == 0
    fired = free & (v > v_th + beta * b)
    refractory = n_ref if fired else (refractory if free else refractory - 1)
    z = 1 if fired else 0
    return v, b, z, refractory, fired


ALIF = define(
    NeuronSpec(
        name="ALIF",
        doc="""
        Leaky integrate-and-fire neuron whose threshold rises with each of its spikes (Bellec et al. 2018). Potential
        and current are dimensionless, as in the paper.

        Equations
        ---------
        With alpha = exp(-dt / tau_m), rho = exp(-dt / tau_a), threshold B = v_th + beta b and spike train z in {0, 1 /
        dt}: v(t + dt) = alpha v(t) + (1 - alpha) r_m I(t) - (v_th + reset_share beta b(t)) z(t) dt;
        b(t + dt) = rho b(t) + (1 - rho) z(t);  z(t) = 1 / dt where v(t) > B(t), else 0; 0 for t_ref after a spike.
        A spike subtracts B in the paper of 2018 (reset_share = 1), v_th alone in that of 2020 (reset_share = 0).
        I is i_e + i_stim + (sum of the weights that arrive in the step) / dt; dt in ms.

        Numerics
        --------
        The model is defined in discrete time, usually with dt = 1 ms, and computed as written; other dt keep its
        meaning because a spike has area 1. The recorded v of a spike is the one before the reset, which comes one step
        later. With reset_share = 0 NEST's ``eprop_iaf_adapt_bsshslm_2020`` fires alike (``docs/plasticity.md``).
        """,
        state=(
            StateVar("v", "1", "membrane potential"),
            StateVar("b", "1/ms", "low-pass filtered spike train"),
            StateVar("z", "1", "1 if the neuron fired in the step before", dtype="int"),
            StateVar("refractory", "step", "steps left of the refractory period", dtype="int"),
        ),
        params=(
            Param("tau_m", "ms", 20.0, "membrane time constant", gt=0),
            Param("tau_a", "ms", 700.0, "time constant of the adaptation", gt=0),
            Param("v_th", "1", 0.01, "threshold at rest, b0 in the paper", gt=0),
            Param("beta", "ms", 1.8, "strength of the adaptation", ge=0),
            Param("reset_share", "1", 1.0, "share of the adaptation that a spike's reset subtracts, too", ge=0),
            Param("r_m", "1", 1.0, "membrane resistance", gt=0),
            Param("t_ref", "ms", 5.0, "refractory period; the clock engine rounds it to steps", ge=0),
            Param("i_e", "1", 0.0, "constant current"),
        ),
        derived=(
            Derived("alpha", "1", lambda p, dt: np.exp(-dt / p.tau_m)),
            Derived("rho", "1", lambda p, dt: np.exp(-dt / p.tau_a)),
            Derived("p_vi", "1", lambda p, dt: -np.expm1(-dt / p.tau_m) * p.r_m),
            Derived("p_v_syn", "1/ms", lambda p, dt: p.p_vi / dt),
            Derived("p_bz", "1/ms", lambda p, dt: -np.expm1(-dt / p.tau_a) / dt),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        receptors=(Receptor("syn", "ms", "area of the current pulse in the step in which the spike arrives"),),
        step=alif_step,
        current_unit="1",
        refractory="refractory",
        references=(
            "Bellec et al. 2018, doi:10.48550/arXiv.1803.09574",
            "Bellec et al. 2020, doi:10.1038/s41467-020-17236-y",
        ),
    )
)
