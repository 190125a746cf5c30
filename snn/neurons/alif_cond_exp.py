"""Leaky integrate-and-fire neuron with conductances and a threshold that rises with each of its spikes."""

from dataclasses import replace

import numpy as np

from kernels import scalar
from kernels.spec import Derived, Param, StateVar
from snn.neurons.base import define
from snn.neurons.lif_cond_exp import LIFCondExp


def alif_cond_exp_step(  # type: ignore[no-untyped-def]
    v, g_ex, g_in, theta, refractory, arrive_ex, arrive_in, i_stim, e_ex, e_in, v_reset, v_th, theta_plus, h, inv_c,
    leak, drive_0, m_ex, m_in, p_ex, p_in, p_theta, n_ref,
):  # fmt: skip
    free = refractory == 0
    # v' = a - b v with the mean conductances of the step
    x = g_ex * m_ex
    y = g_in * m_in
    b = leak + x + y
    top = (drive_0 + i_stim * inv_c + x * e_ex + y * e_in) / b
    v = top + (v - top) * scalar.decay(b * h) if free else v
    g_ex = g_ex * p_ex + arrive_ex
    g_in = g_in * p_in - arrive_in
    theta = theta * p_theta
    fired = free & (v >= v_th + theta)
    refractory = n_ref if fired else (refractory if free else refractory - 1)
    v = v_reset if fired else v
    theta = theta + theta_plus if fired else theta
    return v, g_ex, g_in, theta, refractory, fired


_LIF = LIFCondExp.spec

ALIFCondExp = define(
    replace(
        _LIF,
        name="ALIFCondExp",
        doc="""
        Leaky integrate-and-fire neuron with conductances as :class:`LIFCondExp`, whose threshold rises with each of its
        spikes: adaptation, or, with a time constant far longer than what is shown, homeostasis of its rate.

        Equations
        ---------
        c_m dv/dt = -g_l (v - e_l) - g_ex (v - e_ex) - g_in (v - e_in) + i_e + i_stim;
        tau_syn_ex dg_ex/dt = -g_ex, tau_syn_in dg_in/dt = -g_in;  a spike of weight w arriving: g_ex += w (w > 0) or
        g_in -= w (w < 0);  tau_theta dtheta/dt = -theta;  v >= v_th + theta: spike, v = v_reset, held for t_ref,
        theta += theta_plus. The conductances go on meanwhile.

        Numerics
        --------
        Exponential of the mean conductances of each step: order 2 in dt for v, stable for any conductance, so that many
        inhibitory spikes may come at once; conductances and theta decay exactly. Spikes on the grid. The defaults of
        theta are those of Diehl & Cook. There is no counterpart in NEST.
        """,
        state=(*_LIF.state[:-1], StateVar("theta", "mV", "rise of the threshold"), _LIF.state[-1]),
        params=(
            *_LIF.params,
            Param("tau_theta", "ms", 1e7, "time constant of theta", gt=0),
            Param("theta_plus", "mV", 0.05, "rise of theta at a spike", ge=0),
        ),
        derived=(
            Derived("h", "ms", lambda p, dt: dt),
            Derived("inv_c", "1/pF", lambda p, dt: 1.0 / p.c_m),
            Derived("leak", "1/ms", lambda p, dt: p.g_l / p.c_m),
            Derived("drive_0", "mV/ms", lambda p, dt: (p.g_l * p.e_l + p.i_e) / p.c_m),
            Derived("m_ex", "1/pF", lambda p, dt: -p.tau_syn_ex * np.expm1(-dt / p.tau_syn_ex) / (dt * p.c_m)),
            Derived("m_in", "1/pF", lambda p, dt: -p.tau_syn_in * np.expm1(-dt / p.tau_syn_in) / (dt * p.c_m)),
            Derived("p_ex", "1", lambda p, dt: np.exp(-dt / p.tau_syn_ex)),
            Derived("p_in", "1", lambda p, dt: np.exp(-dt / p.tau_syn_in)),
            Derived("p_theta", "1", lambda p, dt: np.exp(-dt / p.tau_theta)),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        step=alif_cond_exp_step,
        rate=None,
        closed_form=None,
        references=("Diehl & Cook 2015, doi:10.3389/fncom.2015.00099",),
    )
)
