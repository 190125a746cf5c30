"""While learning is off only the weights stay: state variables go on as if it were on, on every engine and backend."""

import numpy as np
import pytest

import plasticity
import snn
from kernels.spec import Modulator, Param, RuleSpec, StateVar, Trace
from plasticity.base import RULES

WIDE = {"w_min": -1e6, "w_max": 1e6}
TINY = {"lambda_": 1e-5, "w_max": 100.0, "mu_plus": 0.0, "mu_minus": 0.0}
# With these, changes of the weights do not depend on the weights, which are far from the bounds and move no potential
ADDITIVE = {
    # its weights are one of two, whatever they were
    "BraderSennFusi": {"theta_v": -45.0, "theta_up_high": 99.0, "theta_down_high": 99.0, "a": 0.3, "b": 0.3,
                       "w_min": 0.5, "w_max": 0.5 + 1e-9},
    "Clopath": {"a_ltd": 14e-13, "a_ltp": 8e-12},
    "DopamineSTDP": WIDE,
    "GraupnerBrunel": WIDE | {"tau": 1.5e11},
    "RMax": {"eta": 1e-9},
    "RewardSTDP": WIDE,
    "STDPNearestPreCentered": TINY,
    "STDPNearestRestricted": TINY,
}  # fmt: skip
DT, SPAN = 0.25, 120.0  # ms, of each part of a run
ENGINES = [("clock", "reference"), ("clock", "cpu"), ("event", "reference"), ("event", "cpu")]


def count_pre(w, s, post, up):
    return w + up * (1.0 + post), s + w


def count_post(w, s, pre, up):
    return w + 2.0 * up * (1.0 + pre), 0.5 * s - w


def count_flow(w, s, level, h, up):
    return w + up * (level + h), s + 0.125 * w * h


@pytest.fixture
def counting(monkeypatch):
    """A rule whose state variable depends on the weight that each call gets."""
    monkeypatch.setattr("plasticity.base.RULES", {})
    return plasticity.define(
        RuleSpec(
            "Counting", "test",
            (Param("tau", "ms", 20.0, "of traces", gt=0), Param("up", "1", 1e-3, "growth"),
             Param("w_max", "1", 1e6, "bound", gt=0)), (),
            (Trace("pre", "pre", "tau"), Trace("post", "post", "tau")), count_pre, count_post, ("test",),
            lambda p: (0.0, p.w_max), state=(StateVar("s", "1", "sum of weights"),), flow=count_flow,
            modulator=Modulator("level", "1", "set by the user"),
        )
    )()  # fmt: skip


def forced(rate=60.0, **rules):
    """Each rule between populations whose spikes are given, drawn delays and one for all by turns.

    A rule that observes its targets has some of its own, whose potential moves.
    """
    rng = np.random.default_rng(6)

    def spikes(n, rate):
        steps, ids = np.nonzero(rng.random((int(4 * SPAN / DT), n)) < rate * DT / 1000.0)
        return snn.SpikeArray((steps + 1) * DT, ids)

    net = snn.Network(seed=6)
    pre = net.population("pre", 5, spikes(5, 60.0))
    post = net.population("post", 4, snn.LIFDelta(v_th=1e6, t_ref=0.0))
    net.input("force", post, spikes(4, rate), weight=1e9)
    reward = net.population("reward", 2, spikes(2, 20.0))
    for k, (name, rule) in enumerate(rules.items()):
        target = post
        if rule.spec.observer:
            escape = snn.GIF(v_t_star=-60.0, delta_v=5.0, lambda_0=40.0, i_e=30.0)
            target = net.population(f"of {name}", 4, escape if name == "RMax" else snn.LIFDelta(e_l=-40.0, v_th=-30.0))
            net.input(f"noise of {name}", target, snn.Poisson(rate=3000.0), weight=1.5)
        delay = snn.uniform(1.0, 6.0) if k % 2 else 2.0
        net.connect(
            pre, target, snn.all_to_all(), weight=50.0 if "Nearest" in name else 0.5, delay=delay, plasticity=rule,
            axonal_delay=(0.0, 0.5)[k % 2], name=name,
        )  # fmt: skip
        if rule.spec.modulator:
            jumps = rule.spec.modulator.jump is not None
            net.modulate(name, reward if jumps else None, delay=1.0, value=0.0 if jumps else 0.1)
    net.record(post)
    return net


def parts(net, names, switch, cut=SPAN, **options):
    """Weights after each of four parts; ``switch``: learning is off in the second and third."""
    sim = snn.Simulation(net, dt=DT, quiet=True, **options)
    found = []
    for part in range(4):
        for name in names if switch else ():
            sim.learning(name, part in (0, 3))
        for _ in range(round(SPAN / cut)):
            sim.run(cut)
        found.append(np.concatenate([sim.connections(name)[2] for name in names]))
    return np.array(found)


def test_every_rule_with_state_variables_is_here():
    known = {n for n, r in RULES.items() if r.__module__.startswith("plasticity.") and r.spec.state}
    assert known == set(ADDITIVE)


def rules_of(engine):
    return {n: RULES[n](**x) for n, x in ADDITIVE.items() if engine == "clock" or not RULES[n].spec.observer}


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_weights_go_on_as_if_learning_had_never_been_off(engine):
    """Switched on again, a weight gains what it gains in the same time where it has learned all along."""
    rules = rules_of(engine)
    net = forced(**rules)
    always, switched = (parts(net, list(rules), switch, engine=engine, backend="reference") for switch in (False, True))
    np.testing.assert_array_equal(switched[0], always[0])
    np.testing.assert_array_equal(switched[1], switched[0])
    np.testing.assert_array_equal(switched[2], switched[0])
    gains, expected = switched[3] - switched[2], always[3] - always[2]
    for k, name in enumerate(rules):
        mine = slice(20 * k, 20 * k + 20)
        if name == "BraderSennFusi":
            assert np.unique(expected[mine]).size == 3, "up, down and as they were"
            np.testing.assert_array_equal(switched[3][mine], always[3][mine])
            continue
        scale = np.abs(expected[mine]).max()
        assert scale > 0.0, name
        np.testing.assert_allclose(gains[mine], expected[mine], rtol=1e-5, atol=1e-5 * scale, err_msg=name)
    assert np.abs(always[2] - switched[2]).max() > 0.1


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_any_number_of_threads_and_cuts(engine):
    rules = rules_of(engine)
    net = forced(**rules)
    expected = parts(net, list(rules), True, engine=engine, backend="reference")
    for threads, cut in ((1, SPAN), (2, SPAN / 8), (3, 7.5)):
        found = parts(net, list(rules), True, cut, engine=engine, threads=threads)
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_small_notes(engine, monkeypatch):
    """Notes that run full while learning is off, so that synapses are swept, change no state variable."""
    rules = {name: rule for name, rule in rules_of(engine).items() if not rule.spec.observer}
    net = forced(rate=500.0, **rules)
    expected = parts(net, list(rules), True, engine=engine, backend="reference")
    if engine == "event":
        monkeypatch.setattr("snn.compile_event_plastic.HISTORY", 1)
        monkeypatch.setattr("snn.compile_event_plastic.SIGNALS", 1)
    else:
        monkeypatch.setattr("snn.compile_plastic.HISTORY", 1)
    np.testing.assert_array_equal(parts(net, list(rules), True, engine=engine), expected)
    sim = snn.Simulation(net, dt=DT, quiet=True, engine=engine)
    sim.run(SPAN)
    found = sim.compiled.plastic if engine == "clock" else sim.compiled.plastic[0]
    assert all((x.swept if engine == "clock" else x.oldest).min() > 0 for x in found), "no longer than a part"


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_checkpoint_while_off(engine, tmp_path):
    rules = rules_of(engine)
    net = forced(**rules)
    expected = parts(net, list(rules), True, engine=engine)
    sim = snn.Simulation(net, dt=DT, quiet=True, engine=engine)
    sim.run(SPAN)
    for name in rules:
        sim.learning(name, False)
    sim.run(0.75 * SPAN)
    sim.checkpoint(tmp_path / "c.h5")
    sim = snn.Simulation.resume(tmp_path / "c.h5", net, quiet=True, threads=2)
    sim.run(1.25 * SPAN)
    for name in rules:
        sim.learning(name, True)
    sim.run(SPAN)
    np.testing.assert_array_equal(np.concatenate([sim.connections(name)[2] for name in rules]), expected[3])


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
def test_each_call_gets_the_weight_that_stays(counting, engine, backend):
    """The state variable of one synapse, with up to five postsynaptic spikes between presynaptic ones, by hand."""
    arrive, fire = [10.0, 12.5, 40.0, 41.0, 70.0], [11.0, 15.0, 20.0, 30.0, 35.5, 36.0, 41.0, 55.0, 80.0]
    net = snn.Network()
    pre = net.population("pre", 1, snn.SpikeArray(arrive))
    post = net.population("post", 1, snn.LIFDelta(v_th=1e6, t_ref=0.0))
    net.input("force", post, snn.SpikeArray(fire), weight=1e9)
    net.connect(pre, post, snn.all_to_all(), weight=0.5, delay=2.0, plasticity=counting, name="c")
    net.modulate("c", value=0.3)
    sim = snn.Simulation(net, dt=DT, quiet=True, engine=engine, backend=backend)
    sim.learning("c", False)
    sim.run(75.0)
    sim.set_weights("c", 2.0)
    sim.run(25.0)
    sim.learning("c", True)
    sim.learning("c", True)
    assert sim.connections("c")[2] == 2.0
    s = now = 0.0
    for t, side in sorted([(t, "pre") for t in arrive] + [(t + 2.0, "post") for t in fire] + [(75.0, ""), (100.0, "")]):
        w = 0.5 if t <= 75.0 else 2.0
        s, now = s + 0.125 * w * (t - now), t
        s = {"pre": s + w, "post": 0.5 * s - w, "": s}[side]
    plastic = sim.compiled.plastic[0]
    assert (plastic if engine == "clock" else plastic[0]).variables[0, 0] == pytest.approx(s, rel=1e-12)
    sim.run(5.0)
    assert sim.connections("c")[2] == pytest.approx(2.0 + 1e-3 * (0.3 * 5.0 + 5.0), rel=1e-9)
