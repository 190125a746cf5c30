"""STDP gated by reward, with eligibility traces."""

from kernels.spec import Check, Modulator, Param, RuleSpec, StateVar, Trace
from plasticity.base import define


def _on_pre(w, z, post, a_minus, tau_z):  # type: ignore[no-untyped-def]
    return w, z - a_minus * post / tau_z


def _on_post(w, z, pre, a_plus, tau_z):  # type: ignore[no-untyped-def]
    return w, z + a_plus * pre / tau_z


def _flow(w, z, reward, fade, gamma, w_min, w_max):  # type: ignore[no-untyped-def]
    w = w + gamma * z * reward
    w = w if w > w_min else w_min
    return w if w < w_max else w_max, z * fade


RewardSTDP = define(
    RuleSpec(
        name="RewardSTDP",
        doc="""
        Reward-modulated STDP with eligibility traces (MSTDPET): pairs of spikes leave an eligibility, which reward of
        either sign turns into weight. Florian's rule without the trace is the limit of small tau_z.

        Equations
        ---------
        Traces: tau_plus dpre/dt = -pre, +1 at presynaptic spikes; tau_minus dpost/dt = -post, +1 at postsynaptic ones.
        In each synapse tau_z dz/dt = -z; presynaptic spike arriving: z -= a_minus post / tau_z; postsynaptic spike
        seen: z += a_plus pre / tau_z. dw/dt = gamma reward z, always w_min <= w <= w_max.
        The modulator ``reward`` stays as it was set (``net.modulate``, ``Simulation.set_modulator``).

        Numerics
        --------
        Exact between spikes of either side; bounded at those. For a reward that spikes release and that decays, see
        :class:`DopamineSTDP`.
        """,
        params=(
            Param("tau_plus", "ms", 20.0, "time constant of the presynaptic trace", gt=0),
            Param("tau_minus", "ms", 20.0, "time constant of the postsynaptic trace", gt=0),
            Param("a_plus", "1", 1.0, "eligibility by a postsynaptic spike after a presynaptic one"),
            Param("a_minus", "1", 1.0, "loss of eligibility by a presynaptic spike after a postsynaptic one"),
            Param("tau_z", "ms", 25.0, "time constant of eligibility", gt=0),
            Param("gamma", "weight", 0.1, "learning rate: weight per ms of reward 1 and eligibility 1/ms", ge=0),
            Param("w_min", "weight", 0.0, "smallest weight"),
            Param("w_max", "weight", 100.0, "largest weight"),
        ),
        derived=(),
        traces=(Trace("pre", "pre", "tau_plus"), Trace("post", "post", "tau_minus"), Trace("fade", "between", "tau_z")),
        state=(StateVar("z", "1/ms", "eligibility"),),
        modulator=Modulator("reward", "1", "reward, of either sign", discount="fade"),
        on_pre=_on_pre,
        on_post=_on_post,
        flow=_flow,
        bounds=lambda p: (p.w_min, p.w_max),
        references=("Florian 2007, doi:10.1162/neco.2007.19.6.1468",),
        checks=(Check(("w_min", "w_max"), lambda p: p.w_min <= p.w_max, "must be <= w_max"),),
    )
)
