"""What plasticity refuses, and says: definitions of rules, modulators, delays, numbers that are none."""

import pytest

import plasticity
import snn
from kernels.errors import ModelError, SimError
from kernels.spec import Modulator, Param, RuleSpec, ShortTermSpec, StateVar, Trace

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
    with pytest.raises(ModelError, match="its rule takes none"):
        network(plasticity.STDPPair()).modulate("a->b")


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
    with pytest.raises(ModelError, match="short_term: must be a short-term rule; got STDPPair"):
        network(short_term=plasticity.STDPPair())


def grow(w, post, a):
    return w * 1e200 * (1.0 + a * post)


@pytest.mark.parametrize("options", [{"backend": "reference"}, {"threads": 2}])
def test_no_finite_number(options):
    net = snn.Network(seed=1)
    a = net.population("a", 3, snn.SpikeArray([1.0, 2.0, 2.5, 5.0], [0, 1, 1, 2]))
    b = net.population("b", 2, snn.LIFDelta())
    rule = plasticity.define(spec(on_pre=grow))()
    net.connect(a, b, snn.from_arrays([0, 1, 2], [1, 1, 0]), weight=0.5, delay=1.5, plasticity=rule)
    text = r"'a->b': Own.* made the synapse of source 1 and target 1 no finite number at t = 2.5 ms; got inf. Check the"
    with pytest.raises(SimError, match=text):
        snn.Simulation(net, quiet=True, **options).run(10.0)
