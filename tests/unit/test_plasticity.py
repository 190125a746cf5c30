"""What plasticity refuses, and says: definitions of rules, modulators, delays, numbers that are none."""

import math

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ModelError, ShapeError, SimError
from kernels.spec import Integral, Modulator, Observer, Param, RuleSpec, ShortTermSpec, StateVar, Trace

PARAMS = (Param("tau", "ms", 20.0, "of the trace", gt=0), Param("a", "1", 0.1, "rate"))


def on_pre(w, post, a):
    return w - a * post


def with_state(w, c, post, a):
    return w, c + a * post


def gated(w, reward, post):
    return w + reward * post


def broken(w, post, a):
    return w + a * math_nan(post)  # noqa: F821 - it is refused


def flow_of_traces(w, post, h):
    return w * post * h


def on_spike(u, h, a):
    return u, a * h


def observe(v, fired, u, u_late, a):
    return u + a * (v - u), v - u_late + fired


def observing(w, depth):
    return w + depth


def observer(**changes):
    given = {
        "reads": ("v",), "state": (StateVar("u", "mV", "filtered", "v"),), "step": observe, "signals": ("depth",),
        "delay": "tau",
    }  # fmt: skip
    return {"observer": Observer(**(given | changes))}


def spec(**changes):
    given = {
        "name": "Own", "doc": "test", "params": PARAMS, "derived": (), "traces": (Trace("post", "post", "tau"),),
        "on_pre": on_pre, "on_post": None, "references": ("test",), "bounds": lambda p: (0.0, 10.0),
    }  # fmt: skip
    return RuleSpec(**(given | changes))


@pytest.fixture(autouse=True)
def registered_nowhere(monkeypatch):
    monkeypatch.setattr("plasticity.base.RULES", {})
    monkeypatch.setattr("plasticity.base.SHORT_TERM", {})


C = StateVar("c", "1", "eligibility")


@pytest.mark.parametrize(
    "changes, text",
    [
        ({"on_pre": gated}, "gated: unknown argument 'reward'"),
        ({"on_pre": broken}, "the name 'math_nan' is not an argument"),
        ({"state": (C,)}, "on_pre: must return w, c; got"),
        ({"on_pre": with_state}, "with_state: unknown argument 'c'"),
        ({"flow": flow_of_traces}, "flow_of_traces: unknown argument 'post'"),
        ({"state": (StateVar("c", "1", "e", "b"),), "on_pre": with_state}, "Own.c: init names no parameter; got 'b'"),
        ({"state": (StateVar("c", "1", "e", 0.0, "int"),), "on_pre": with_state}, "dtype must be 'float'"),
        ({"state": (StateVar("a", "1", "e"),)}, "the name 'a' is used twice"),
        ({"state": (StateVar("h", "1", "e"),)}, "the name 'h' is used twice, or taken"),
        ({"modulator": Modulator("reward", "1", "r", "tau_r")}, "modulator.tau: names no parameter; got 'tau_r'"),
        ({"modulator": Modulator("reward", "1", "r", None, "step")}, "modulator.jump: names no parameter"),
        ({"traces": (Trace("post", "both", "tau"),)}, "needs side 'pre', 'post' or 'between'"),
        ({"traces": (Trace("post", "between", "tau"),)}, "unknown argument 'post'"),
        ({"modulator": Modulator("reward", "1", "r", discount="post")}, "modulator.discount: names no trace 'between'"),
        ({"references": ()}, "a rule cites its source"),
        (observer(step=on_spike), "Own.on_spike: unknown argument 'h'"),
        (observer(step=observing), "Own.observing: unknown argument 'w'"),
        (observer(reads=("u",)), "Own.observer: the name 'u' is used twice, or taken"),
        (observer(state=(StateVar("u", "mV", "filtered", "w"),)), "Own.observer.u: init names no parameter; got 'w'"),
        (observer(signals=()), "Own.observe: must return u; got"),
        (observer(signals=("post",)), "the name 'post' is used twice, or taken"),
        (observer(delay=None), "Own.observe: unknown argument 'u_late'"),
        (observer(delay="late"), "Own.observer.delay: names no parameter; got 'late'"),
        (observer(integrals=(Integral("all", "u", "tau"),)), "Own.observer.all: needs of, a signal, and discount"),
        ({"on_pre": observing}, "Own.observing: unknown argument 'depth'"),
    ],
)
def test_definitions(changes, text):
    with pytest.raises(ModelError, match=r".*") as error:
        spec(**changes)
    assert text in str(error.value)


def test_short_term_definitions():
    u = (StateVar("u", "1", "use"),)
    ShortTermSpec("Short", "test", PARAMS, u, on_spike, ("test",))
    with pytest.raises(ModelError, match="must return u, factor; got 'return w - a"):
        ShortTermSpec(
            "Short", "test", (*PARAMS, Param("w", "1", 0.0, ""), Param("post", "1", 0.0, "")), u, on_pre, ("x",)
        )


def network(rule=None, **options):
    net = snn.Network(seed=1)
    a = net.population("a", 3, snn.SpikeArray([1.0, 2.0, 5.0], [0, 1, 2]))
    b = net.population("b", 2, snn.LIFDelta())
    net.connect(a, b, snn.all_to_all(), weight=0.5, delay=1.5, plasticity=rule, **options)
    return net


def three():
    return plasticity.define(spec(on_pre=gated, modulator=Modulator("reward", "1", "r")))()


def test_modulator_never_connected():
    net = network(three())
    with pytest.raises(
        ModelError, match=r"'a->b'.modulator: Own.* needs 'reward', which was never connected. Use net.m"
    ):
        snn.Simulation(net, backend="reference")
    net.modulate("a->b", value=0.5)
    snn.Simulation(net, backend="reference").run(5.0)


def test_modulators():
    net = network(three())
    with pytest.raises(ModelError, match="no projection 'b->a'"):
        net.modulate("b->a")
    with pytest.raises(ModelError, match="reward of Own.* is set by the user; got 'a'"):
        net.modulate("a->b", "a")
    with pytest.raises(ModelError, match="value: must be a finite number; got nan"):
        net.modulate("a->b", value=float("nan"))
    with pytest.raises(ModelError, match="delay: must be a number > 0 ms; got 0.0"):
        net.modulate("a->b", delay=0.0)
    with pytest.raises(ModelError, match="takes none. Use a three-factor rule"):
        network(plasticity.STDPPair()).modulate("a->b")


def test_modulators_of_neurons():
    net = network(three())
    with pytest.raises(
        ShapeError, match=r"value: must be a number or of shape \(2,\), one a target neuron; got \(3,\)"
    ):
        net.modulate("a->b", value=np.ones(3))
    with pytest.raises(ModelError, match="value: must be finite numbers; got"):
        net.modulate("a->b", value=[1.0, float("inf")])
    net.modulate("a->b", value=[1.0, 2.0])
    assert "modulated by the user, 2 values at first" in repr(net.projections["a->b"])
    sim = snn.Simulation(net, backend="reference")
    with pytest.raises(ShapeError, match=r"'a->b'.modulator: must be a number or of shape \(2,\)"):
        sim.set_modulator("a->b", np.ones((2, 2)))
    with pytest.raises(ModelError, match="'a->b'.modulator: must be a number in 1; got True"):
        sim.set_modulator("a->b", True)
    with pytest.raises(ModelError, match="must be one number where spikes of 'a' change it; got 2 of them"):
        network(plasticity.DopamineSTDP()).modulate("a->b", "a", value=[1.0, 2.0])


def test_observers():
    rule = plasticity.define(spec(on_pre=observing, **observer()))()
    with pytest.raises(
        ModelError, match=r"plasticity: RMax.* reads 'hazard' of its target; LIFDelta has v. Use a model"
    ):
        network(plasticity.RMax())
    with pytest.raises(ModelError, match=r"'a->b'.plasticity: Own.* reads v of its targets at every step, which en"):
        snn.Simulation(network(rule), engine="event", backend="reference")
    net = network(plasticity.RewardSTDP())
    net.modulate("a->b", value=[1.0, 2.0])
    with pytest.raises(ModelError, match="'a->b'.modulator: must be one number with engine=\"event\"; got 2 of them"):
        snn.Simulation(net, engine="event", backend="reference")
    net.modulate("a->b", value=1.0)
    sim = snn.Simulation(net, engine="event", backend="reference")
    with pytest.raises(ModelError, match="'a->b'.modulator: must be one number with engine=\"event\"; got 2 of them"):
        sim.set_modulator("a->b", [1.0, 2.0])


def test_between_runs():
    sim = snn.Simulation(network(plasticity.STDPPair()), backend="reference")
    with pytest.raises(ModelError, match="there is none; got 1.0"):
        sim.set_modulator("a->b", 1.0)
    with pytest.raises(ModelError, match="must be True or False; got 'off'"):
        sim.learning("a->b", "off")
    static = snn.Simulation(network(), backend="reference")
    with pytest.raises(ModelError, match="'a->b' is no projection with plasticity; there are none"):
        static.learning("a->b", False)


def test_delays_and_kinds():
    with pytest.raises(
        ModelError, match=r"axonal_delay: must be at least dt = 0.1 ms below every delay; got 1.5 ms of 1.5"
    ):
        snn.Simulation(network(plasticity.STDPPair(), axonal_delay=1.5), backend="reference")
    with pytest.raises(ModelError, match="axonal_delay: must be a number >= 0 ms; got -1.0"):
        network(axonal_delay=-1.0)
    for several in (snn.uniform(0.0, 1.0), [0.1, 0.2], lambda d: d, snn.per_source([0.1, 0.2])):
        with pytest.raises(ModelError, match=r"axonal_delay: must be one number in ms; .* Give the synapses of each"):
            network(axonal_delay=several)
    with pytest.raises(ModelError, match="short_term: must be a short-term rule; got STDPPair"):
        network(short_term=plasticity.STDPPair())


def grow(w, post, a):
    w = w * 1e200 * (1.0 + a * post)
    return w if w > 0.0 else 0.0


def lose(w, a):
    return w * math.inf - w * math.inf


@pytest.mark.parametrize(
    "options", [{"backend": "reference"}, {"threads": 2}, {"engine": "event", "backend": "reference"}]
)
@pytest.mark.parametrize("driven", [False, True])
def test_no_finite_number(options, driven):
    """By a presynaptic spike, or by a postsynaptic one, after which the bound of ``grow`` would make 0 of it."""
    net = snn.Network(seed=1)
    spikes = ([1.0, 5.0], [0, 2]) if driven else ([1.0, 2.0, 2.5, 5.0], [0, 1, 1, 2])
    a, b = net.population("a", 3, snn.SpikeArray(*spikes)), net.population("b", 2, snn.LIFDelta())
    rule = plasticity.define(spec(on_pre=grow, on_post=lose))()
    net.connect(a, b, snn.from_arrays([0, 1, 2], [1, 1, 0]), weight=0.5, delay=1.5, plasticity=rule)
    if driven:
        net.input("drive", b, snn.SpikeArray([1.5], [0]), weight=100.0)
    # the clock engine says when it was seen, the event engine when it came
    where, t, found = ("2 and target 0", r"(5|3\.0)", "nan") if driven else ("1 and target 1", "2.5", "inf")
    text = f"'a->b': Own.* made the synapse of source {where} no finite number at t = {t} ms; got {found}. Check the"
    with pytest.raises(SimError, match=text):
        snn.Simulation(net, quiet=True, **options).run(10.0)


def divide(w, post):
    return w / post


def root(w, post):
    return (w - 5.0 + post) ** 0.5


def overflow(w, post):
    return w * math.exp(2e3 * w + post)


@pytest.mark.parametrize("engine", ["clock", "event"])
@pytest.mark.parametrize("on_pre", [divide, root, overflow])
def test_what_python_raises_is_no_finite_number_either(on_pre, engine):
    net = snn.Network(seed=1)
    a, b = net.population("a", 1, snn.SpikeArray([1.0])), net.population("b", 1, snn.LIFDelta())
    rule = plasticity.define(spec(on_pre=on_pre))()
    net.connect(a, b, snn.one_to_one(), weight=0.5, plasticity=rule)
    with pytest.raises(SimError, match="made the synapse of source 0 and target 0 no finite number"):
        snn.Simulation(net, engine=engine, backend="reference", quiet=True).run(10.0)


def test_short_term_plasticity_of_negative_weights():
    """On a model with two receptors; once written outside the arrays."""
    results = []
    for weight in (-100.0, np.full((3, 2), -100.0)):
        net = snn.Network(seed=1)
        a, b = net.population("a", 3, snn.Poisson(rate=100.0)), net.population("b", 2, snn.LIFExp())
        short = plasticity.TsodyksMarkram()
        net.connect(a, b, snn.all_to_all(), weight=weight, delay=1.5, short_term=short)
        with pytest.raises(ModelError, match="'mixed'.weight: must be of one sign with short-term"):
            net.connect(a, b, snn.all_to_all(), weight=snn.normal(0.0, 1.0), short_term=short, name="mixed")
        net.record(b, "v")
        for engine in ("clock", "event"):
            sim = snn.Simulation(net, dt=0.5, engine=engine, backend="reference", quiet=True)
            results.append(sim.run(50.0).states["b"]["v"][-1])
            assert np.all(results[-1] < -70.0)
    np.testing.assert_array_equal(results[0], results[2])
