"""Izhikevich's simple model of 2003."""

from kernels.spec import Check, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def izhikevich_step(  # type: ignore[no-untyped-def]
    v, u_m, arrive_syn, arrive_cur, i_stim, consistent_integration, a, b, c, d, v_th, i_e, h, half,
):  # fmt: skip
    i = i_stim + i_e + arrive_cur
    slope = 0.04 * v * v + 5.0 * v + 140.0 - u_m + i
    v_mid = v + half * slope
    v_published = v_mid + half * (0.04 * v_mid * v_mid + 5.0 * v_mid + 140.0 - u_m + i)
    euler = consistent_integration > 0.5
    v_next = v + h * slope if euler else v_published
    u_m = u_m + h * a * (b * (v if euler else v_next) - u_m)
    v_next = v_next + arrive_syn
    fired = v_next >= v_th
    v = c if fired else v_next
    u_m = u_m + d if fired else u_m
    return v, u_m, fired


Izhikevich = define(
    NeuronSpec(
        name="Izhikevich",
        doc="""
        Izhikevich's two-variable model with quadratic spike initiation. Currents are dimensionless as in the paper.

        Equations
        ---------
        dv/dt = 0.04 v^2 + 5 v + 140 - u_m + i_e + i_stim,  du_m/dt = a (b v - u_m);
        v >= v_th: spike, v = c, u_m += d.

        Numerics
        --------
        Order 1, and the published results depend on the scheme. ``consistent_integration`` = 1 is forward Euler, NEST's
        default; use dt <= 0.1 ms. 0 is the scheme of the published scripts, meant for dt = 1 ms: two half steps of v
        with u_m held, then u_m from the new v.
        Receptor ``syn`` moves v by the weight at the end of the step, before the threshold is tested: a spike in NEST's
        ``izhikevich`` with ``consistent_integration`` true. Receptor ``cur`` adds the weight to the current of the
        step at whose end the spike arrives: a spike in NEST's with ``consistent_integration`` false, and with
        delay = dt = 1 ms the published network script, where S(:,fired) is added to I in the iteration that finds the
        spikes. NEST's ``V_min`` is left out.
        """,
        state=(
            StateVar("v", "mV", "membrane potential", init=-65.0),
            StateVar("u_m", "mV/ms", "recovery variable, u in the paper", init=-13.0),
        ),
        params=(
            Param("a", "1/ms", 0.02, "rate of the recovery variable; may be negative"),
            Param("b", "1/ms", 0.2, "sensitivity of the recovery variable to v"),
            Param("c", "mV", -65.0, "reset potential"),
            Param("d", "mV/ms", 8.0, "jump of the recovery variable at a spike"),
            Param("v_th", "mV", 30.0, "peak of a spike"),
            Param("i_e", "1", 0.0, "constant current"),
            Param("consistent_integration", "1", 1.0, "1: forward Euler; 0: the published scheme", ge=0, le=1),
        ),
        derived=(
            Derived("h", "ms", lambda p, dt: dt),
            Derived("half", "ms", lambda p, dt: 0.5 * dt),
        ),
        receptors=(
            Receptor("syn", "mV", "jump of the membrane potential"),
            Receptor("cur", "1", "current during the step in which the spike arrives"),
        ),
        step=izhikevich_step,
        checks=(
            Check(("c", "v_th"), lambda p: p.c < p.v_th, "must be below v_th"),
            Check(
                ("consistent_integration",),
                lambda p: (p.consistent_integration == 0) | (p.consistent_integration == 1),
                "must be 0 or 1",
            ),
        ),
        current_unit="1",
        references=("Izhikevich 2003, doi:10.1109/TNN.2003.820440", "NEST 3.10, izhikevich"),
    )
)
