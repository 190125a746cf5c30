"""Current-based leaky integrate-and-fire neuron in discrete time: NIR, snnTorch and Loihi."""

from kernels.spec import Check, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import define


def cuba_lif_step(  # type: ignore[no-untyped-def]
    v, i, arrive_syn, i_stim, alpha, beta, w_in, gain, v_th, v_reset, reset, offset,
):  # fmt: skip
    i = alpha * i + w_in * arrive_syn
    late = (reset > 1.5) & (v > v_th)
    v = beta * v + gain * i + offset + i_stim - (v_th if late else 0.0)
    fired = v > v_th
    after = v_reset if reset < 0.5 else (v - v_th if reset < 1.5 else v)
    v = after if fired else v
    return v, i, fired


CubaLIF = define(
    NeuronSpec(
        name="CubaLIF",
        doc="""
        Current-based leaky integrate-and-fire neuron given by its decay factors per step, the common form of NIR's
        ``CubaLIF``, snnTorch's ``Synaptic`` and Loihi's (Lava's) ``LIF``. All quantities are dimensionless.

        Equations
        ---------
        With X the sum of the weights that arrive at the end of the step:
        i <- alpha i + w_in X;  v <- beta v + (1 - beta) v_leak + gain i + bias + i_stim;  spike where v > v_th;
        reset 0: v <- v_reset; reset 1: v <- v - v_th; reset 2: v_th is subtracted in the next step, after the decay.

        ============  ======================  =====================  =================================
        parameter     Lava LIF (float)        snnTorch Synaptic      NIR CubaLIF, Euler with step dt
        ============  ======================  =====================  =================================
        alpha         1 - du                  alpha                  1 - dt / tau_syn
        beta          1 - dv                  beta                   1 - dt / tau_mem
        w_in          1                       1                      w_in dt / tau_syn
        gain          1                       1                      r dt / tau_mem
        v_leak        0                       0                      v_leak
        bias          bias_mant               0                      0
        v_th          vth                     threshold              v_threshold
        reset         0 with v_reset 0        2 ("subtract")         0 with v_reset
        ============  ======================  =====================  =================================

        NIR's equations are solved exactly for constant current by alpha = exp(-dt / tau_syn), beta = exp(-dt /
        tau_mem). Its continuous-time form, which the event engine takes, is ``NIRCubaLIF``.

        Numerics
        --------
        The model is defined in discrete time and computed as written: a step is a step whatever dt is, and the
        threshold is strict, as in the three tools. Loihi's fixed-point rounding is not part of it. There is no
        counterpart in NEST.
        """,
        state=(
            StateVar("v", "1", "membrane potential"),
            StateVar("i", "1", "synaptic current"),
        ),
        params=(
            Param("alpha", "1", 0.9, "what is left of the current after a step", ge=0, le=1),
            Param("beta", "1", 0.9, "what is left of the potential after a step", ge=0, le=1),
            Param("w_in", "1", 1.0, "factor of arriving weights"),
            Param("gain", "1", 1.0, "factor of the current"),
            Param("v_leak", "1", 0.0, "resting potential"),
            Param("bias", "1", 0.0, "constant input per step"),
            Param("v_th", "1", 1.0, "spike threshold"),
            Param("v_reset", "1", 0.0, "reset potential of reset 0"),
            Param("reset", "1", 0.0, "0: to v_reset; 1: subtract v_th; 2: subtract v_th in the next step", ge=0, le=2),
        ),
        derived=(Derived("offset", "1", lambda p, dt: (1.0 - p.beta) * p.v_leak + p.bias),),
        receptors=(Receptor("syn", "1", "jump of the synaptic current, in the step in which the spike arrives"),),
        step=cuba_lif_step,
        checks=(
            Check(("reset",), lambda p: (p.reset == 0) | (p.reset == 1) | (p.reset == 2), "must be 0, 1 or 2"),
            Check(
                ("v_reset", "v_th", "reset"), lambda p: (p.reset > 0) | (p.v_reset <= p.v_th), "must not be above v_th"
            ),
            Check(("v_th", "reset"), lambda p: (p.reset == 0) | (p.v_th > 0), "must be > 0 where it is subtracted"),
        ),
        current_unit="1",
        references=(
            "Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9",
            "Eshraghian et al. 2023, doi:10.1109/JPROC.2023.3308088",
            "Davies et al. 2018, doi:10.1109/MM.2018.112130359",
        ),
    )
)
