"""Leaky integrate-and-fire neuron with AMPA, GABA and voltage-dependent NMDA conductances."""

import numpy as np

from kernels.scalar import exp
from kernels.spec import Check, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def lif_cond_nmda_step(  # type: ignore[no-untyped-def]
    v, g_ex, g_in, g_nmda, refractory, arrive_ex, arrive_in, arrive_nmda, i_stim, e_ex, e_in, v_reset, v_th, block,
    half, sixth, inv_c, leak, drive_0, p_ex_half, p_in_half, p_nmda_half, p_ex, p_in, p_nmda, n_ref,
):  # fmt: skip
    free = refractory == 0
    g_ex_half = g_ex * p_ex_half
    g_in_half = g_in * p_in_half
    g_ex_end = g_ex * p_ex
    g_in_end = g_in * p_in
    # v' = a - b v at the beginning, middle and end of the step; the NMDA conductance is that of the v at hand
    drive = drive_0 + i_stim * inv_c
    a0 = drive + (g_ex * e_ex + g_in * e_in) * inv_c
    b0 = leak + (g_ex + g_in) * inv_c
    a1 = drive + (g_ex_half * e_ex + g_in_half * e_in) * inv_c
    b1 = leak + (g_ex_half + g_in_half) * inv_c
    a2 = drive + (g_ex_end * e_ex + g_in_end * e_in) * inv_c
    b2 = leak + (g_ex_end + g_in_end) * inv_c
    nmda = g_nmda * inv_c
    open_1 = nmda / (1.0 + block * exp(-0.062 * v))
    k1 = a0 + open_1 * e_ex - (b0 + open_1) * v
    v_2 = v + half * k1
    open_2 = nmda * p_nmda_half / (1.0 + block * exp(-0.062 * v_2))
    k2 = a1 + open_2 * e_ex - (b1 + open_2) * v_2
    v_3 = v + half * k2
    open_3 = nmda * p_nmda_half / (1.0 + block * exp(-0.062 * v_3))
    k3 = a1 + open_3 * e_ex - (b1 + open_3) * v_3
    v_4 = v + 2.0 * half * k3
    open_4 = nmda * p_nmda / (1.0 + block * exp(-0.062 * v_4))
    k4 = a2 + open_4 * e_ex - (b2 + open_4) * v_4
    v = v + sixth * (k1 + 2.0 * (k2 + k3) + k4) if free else v
    g_ex = g_ex_end + arrive_ex
    g_in = g_in_end - arrive_in
    g_nmda = g_nmda * p_nmda + arrive_nmda
    fired = free & (v >= v_th)
    refractory = n_ref if fired else (refractory if free else refractory - 1)
    v = v_reset if fired else v
    return v, g_ex, g_in, g_nmda, refractory, fired


LIFCondNMDA = define(
    NeuronSpec(
        name="LIFCondNMDA",
        doc="""
        Leaky integrate-and-fire neuron with AMPA, GABA and NMDA conductances; magnesium blocks the last near rest.

        Equations
        ---------
        c_m dv/dt = -g_l (v - e_l) - g_ex (v - e_ex) - g_in (v - e_in) - g_nmda B(v) (v - e_ex) + i_e + i_stim;
        B(v) = 1 / (1 + conc_mg2 / 3.57 exp(-0.062 v)), v in mV;  tau_syn dg/dt = -g for each conductance.
        A spike of weight w arriving: g_ex += w (w > 0) or g_in -= w (w < 0); by ``receptor="nmda"`` g_nmda += w.
        v >= v_th: spike, v = v_reset, held for t_ref. The conductances go on meanwhile.
        A projection to the receptor nmda with ``short_term=plasticity.SaturatingNMDA(..)`` of the same tau_decay is the
        saturating synapse of Wang (1999).

        Numerics
        --------
        Runge-Kutta of order 4 with step dt for v, with exactly decayed conductances at its stages; spikes on the grid.
        Stable while (g_l + g_ex + g_in + g_nmda) dt / c_m < 2.7. NEST's ``iaf_bw_2001`` integrates the same equations
        by adaptive RKF45 with an error of up to 1e-3 mV a step, has positive weights at its receptor GABA, and its
        NMDA synapses saturate always.
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init="e_l"),
            StateVar("g_ex", "nS", "AMPA conductance"),
            StateVar("g_in", "nS", "GABA conductance"),
            StateVar("g_nmda", "nS", "NMDA conductance without magnesium"),
            StateVar("refractory", "step", "steps left of the refractory period", dtype="int"),
        ),
        params=(
            Param("c_m", "pF", 500.0, "membrane capacitance", gt=0),
            Param("g_l", "nS", 25.0, "leak conductance", gt=0),
            Param("e_l", "mV", -70.0, "leak reversal potential"),
            Param("e_ex", "mV", 0.0, "reversal potential of AMPA and NMDA"),
            Param("e_in", "mV", -70.0, "reversal potential of GABA"),
            Param("v_th", "mV", -50.0, "spike threshold"),
            Param("v_reset", "mV", -55.0, "reset potential"),
            Param("t_ref", "ms", 2.0, "refractory period; rounded to steps", ge=0),
            Param("tau_syn_ex", "ms", 2.0, "time constant of AMPA", gt=0),
            Param("tau_syn_in", "ms", 5.0, "time constant of GABA", gt=0),
            Param("tau_syn_nmda", "ms", 100.0, "time constant of NMDA", gt=0),
            Param("conc_mg2", "mM", 1.0, "concentration of magnesium outside the cell; 0: no block", ge=0),
            Param("i_e", "pA", 0.0, "constant current"),
        ),
        derived=(
            Derived("half", "ms", lambda p, dt: 0.5 * dt),
            Derived("sixth", "ms", lambda p, dt: dt / 6.0),
            Derived("inv_c", "1/pF", lambda p, dt: 1.0 / p.c_m),
            Derived("leak", "1/ms", lambda p, dt: p.g_l / p.c_m),
            Derived("drive_0", "mV/ms", lambda p, dt: (p.g_l * p.e_l + p.i_e) / p.c_m),
            Derived("block", "1", lambda p, dt: p.conc_mg2 / 3.57),
            Derived("p_ex_half", "1", lambda p, dt: np.exp(-0.5 * dt / p.tau_syn_ex)),
            Derived("p_in_half", "1", lambda p, dt: np.exp(-0.5 * dt / p.tau_syn_in)),
            Derived("p_nmda_half", "1", lambda p, dt: np.exp(-0.5 * dt / p.tau_syn_nmda)),
            Derived("p_ex", "1", lambda p, dt: np.exp(-dt / p.tau_syn_ex)),
            Derived("p_in", "1", lambda p, dt: np.exp(-dt / p.tau_syn_in)),
            Derived("p_nmda", "1", lambda p, dt: np.exp(-dt / p.tau_syn_nmda)),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        receptors=(
            Receptor("ex", "nS", "jump of the AMPA conductance", sign=1),
            Receptor("in", "nS", "jump of the GABA conductance (weights are negative)", sign=-1),
            Receptor("nmda", "nS", "jump of the NMDA conductance; only by name", sign=1),
        ),
        step=lif_cond_nmda_step,
        checks=(Check(("v_reset", "v_th"), lambda p: p.v_reset < p.v_th, "must be below v_th"),),
        refractory="refractory",
        references=(
            "Wang 1999, doi:10.1523/JNEUROSCI.19-21-09587.1999",
            "Brunel & Wang 2001, doi:10.1023/A:1011204814320",
            "Jahr & Stevens 1990, doi:10.1523/JNEUROSCI.10-09-03178.1990 (magnesium block)",
            "NEST 3.10, iaf_bw_2001",
        ),
    )
)
