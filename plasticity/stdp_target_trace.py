"""STDP at postsynaptic spikes alone, towards inputs whose trace exceeds a target."""

from kernels.spec import Param, RuleSpec, Trace
from plasticity.base import define


def _on_pre(w):  # type: ignore[no-untyped-def]
    return w


def _on_post(w, pre, eta, pre_target, mu, w_max):  # type: ignore[no-untyped-def]
    w = w + eta * (pre - pre_target) * (w_max - w) ** mu
    w = w if w > 0.0 else 0.0
    return w if w < w_max else w_max


STDPTargetTrace = define(
    RuleSpec(
        name="STDPTargetTrace",
        doc="""
        STDP of unsupervised feature learning: a postsynaptic spike strengthens inputs that spiked lately and weakens
        the others, so the weights of a neuron become the pattern to which it responds.

        Equations
        ---------
        Trace: tau dpre/dt = -pre, +1 at presynaptic spikes.
        Postsynaptic spike seen: w += eta (pre - pre_target) (w_max - w)**mu; always 0 <= w <= w_max.

        Numerics
        --------
        As :class:`STDPPair`; nothing happens at presynaptic spikes. Scale the weights of each neuron between runs
        (``Simulation.set_weights``), as the paper does, so that neurons compete by pattern.
        """,
        params=(
            Param("tau", "ms", 20.0, "time constant of the presynaptic trace", gt=0),
            Param("eta", "weight^(1 - mu)", 0.01, "learning rate", ge=0),
            Param("pre_target", "1", 0.4, "trace at which an input neither grows nor shrinks", ge=0),
            Param("mu", "1", 1.0, "weight dependence", ge=0),
            Param("w_max", "weight", 1.0, "largest weight", gt=0),
        ),
        derived=(),
        traces=(Trace("pre", "pre", "tau"),),
        on_pre=_on_pre,
        on_post=_on_post,
        bounds=lambda p: (0.0, p.w_max),
        references=("Diehl & Cook 2015, doi:10.3389/fncom.2015.00099",),
    )
)
