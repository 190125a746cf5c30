"""Plasticity on the cpu engine equals the reference engine bit for bit: state, flow, modulator, short term, delays."""

import math

import numpy as np
import pytest

import plasticity
import snn
from kernels.spec import Derived, Integral, Modulator, Observer, Param, RuleSpec, ShortTermSpec, StateVar, Trace


def three_pre(w, c, post, a_minus):
    return w, c - a_minus * post


def three_post(w, c, pre, dopa, a_plus):
    return w, c + a_plus * pre + 1e-3 * dopa


def three_flow(w, c, dopa, fade, h, w_max):
    w = w + c * dopa + 1e-5 * h
    w = min(max(w, 0.0), w_max)
    return w, c * fade


def watch(v, fired, slow, fast, slow_late, tau):
    slow = slow + 0.1 * (v - slow) / tau
    fast = fast + 0.3 * (v - fast)
    return slow, fast, slow - slow_late, fast - slow - 0.5 * fired


def watched_pre(w, c, change, post, a_minus):
    return w - 1e-3 * a_minus * change, c + 0.1 - a_minus * post


def watched_post(w, c, pre, change, depth, a_plus):
    return w + 1e-3 * a_plus * pre * (change + depth), c


def gated_post(w, c, pre, change, depth, dopa, a_plus):
    return w + 1e-3 * a_plus * pre * (change + depth) + 1e-3 * dopa, c


def watched_flow(w, c, rise, lasting, fade, h, w_max):
    return min(max(w + 2e-3 * c * (rise - 0.1 * lasting) + 1e-5 * h, 0.0), w_max), c * fade


def gated_flow(w, c, dopa, rise, lasting, fade, w_max):
    return min(max(w + 1e-2 * c * dopa * (rise - 0.1 * lasting), 0.0), w_max), c * fade


PARAMS = (
    Param("tau", "ms", 20.0, "of both traces", gt=0),
    Param("a_plus", "1", 0.05, "growth"),
    Param("a_minus", "1", 0.06, "decline"),
    Param("w_max", "1", 1.0, "bound", gt=0),
)
TRACES = (Trace("pre", "pre", "tau"), Trace("post", "post", "tau"))
NEAREST = (Trace("pre1", "pre", "tau", nearest=True), Trace("post1", "post", "tau", nearest=True))


@pytest.fixture
def rules(monkeypatch):
    """Rules that the package does not have; no other test shall find them registered."""
    monkeypatch.setattr("plasticity.base.RULES", {})
    monkeypatch.setattr("plasticity.base.SHORT_TERM", {})
    more = {
        "references": ("test",), "bounds": lambda p: (0.0, p.w_max), "traces": TRACES, "params": PARAMS,
        "derived": (), "doc": "test",
    }  # fmt: skip
    times = (Param("tau_c", "ms", 50.0, "eligibility"), Param("tau_n", "ms", 30.0, "modulator"))
    return {
        "three": plasticity.define(
            RuleSpec(
                "Three", on_pre=three_pre, on_post=three_post, flow=three_flow,
                state=(StateVar("c", "1", "eligibility", "a_plus"),),
                modulator=Modulator("dopa", "1", "dopamine", "tau_n", "jump", "fade"),
                **(more | {
                    "params": (*PARAMS, *times), "traces": (*TRACES, Trace("fade", "between", "tau_c")),
                    "derived": (Derived("jump", "1", lambda p, dt: 3.0 / p.tau_n),),
                }),
            )
        ),
        "watching": plasticity.define(watching(watched_post, watched_flow, None, True, more, times)),
        "watching, modulated": plasticity.define(
            watching(
                gated_post, gated_flow, Modulator("dopa", "1", "dopamine", "tau_n", discount="fade"), False, more, times
            )
        ),
        "traces": plasticity.define(
            RuleSpec("AllTraces", on_pre=all_pre, on_post=all_post, state=(StateVar("n", "1", "count"),),
                     **(more | {"traces": TRACES + NEAREST}))
        ),
    }  # fmt: skip


def watching(on_post, flow, modulator, dendritic, more, times):
    """A rule with an observer that has all parts."""
    integrals = (Integral("rise", "depth", "fade"), Integral("lasting", "change", "slow_fade"))
    return RuleSpec(
        f"Watching{dendritic}", on_pre=watched_pre, on_post=on_post, flow=flow,
        state=(StateVar("c", "1", "eligibility"),), modulator=modulator,
        observer=Observer(
            ("v",), (StateVar("slow", "mV", "filtered", "v"), StateVar("fast", "mV", "filtered", -60.0)), watch,
            ("change", "depth"), integrals, delay="late", dendritic=dendritic,
        ),
        **(more | {
            "params": (*PARAMS, *times, Param("late", "ms", 1.2, "delay"), Param("tau_s", "ms", 30.0, "integral")),
            "traces": (*TRACES, Trace("fade", "between", "tau_c"), Trace("slow_fade", "between", "tau_s")),
        }),
    )  # fmt: skip


def all_pre(w, n, pre, pre1, post, post1, a_minus):
    n = n + 1.0
    return max(w - a_minus * (post / n + 0.5 * post1 * pre + 0.1 * pre1), 0.0), n


def all_post(w, n, pre, pre1, post, post1, a_plus, w_max):
    return min(w + a_plus * (pre1 * n + 0.5 * pre * post + 0.1 * post1), w_max), 0.0


def depress(u, x, h, u_0, tau):
    x = 1.0 + (x - x * u - 1.0) * math.exp(-h / tau)
    u = u_0 + u * (1.0 - u_0) * math.exp(-h / (2.0 * tau))
    return u, x, 2.0 * u * x


@pytest.fixture
def short_term(monkeypatch):
    monkeypatch.setattr("plasticity.base.SHORT_TERM", {})
    return plasticity.define(
        ShortTermSpec(
            "Depress", "test", (Param("u_0", "1", 0.4, "use", gt=0), Param("tau", "ms", 30.0, "recovery", gt=0)),
            (StateVar("u", "1", "use"), StateVar("x", "1", "resources", 1.0)), depress, ("test",),
        )
    )()  # fmt: skip


def network(seed=8, modulate=False, fast=False, **plastic):
    """Two plastic projections: drawn delays, and one constant delay.

    ``fast``: bursts, with many spikes unseen, and a modulator that jumps in most steps.
    """
    net = snn.Network(seed=seed)
    a = net.population("a", 14, snn.LIFDelta(tau_m=20.0), init={"v": snn.uniform(-70.0, -55.0)})
    b = net.population("b", 6, snn.LIFDelta(tau_m=20.0))
    d = net.population("d", 2, snn.Poisson(rate=6000.0 if fast else 150.0))
    rate = 9000.0 if fast else 3000.0
    net.input("noise", a, snn.Poisson(rate=3000.0), weight=0.9)
    net.input("more", b, snn.Poisson(rate=rate), weight=0.9)
    net.connect(a, a, snn.fixed_indegree(5), weight=snn.uniform(0.2, 0.8), delay=snn.uniform(1.5, 6.0), **plastic)
    net.connect(a, b, snn.fixed_indegree(9), weight=0.5, delay=1.5, **plastic)
    net.connect(b, a, snn.fixed_indegree(2), weight=-2.0, delay=snn.uniform(1.0, 2.0))
    if modulate:
        jumps = plastic["plasticity"].spec.modulator.jump is not None
        net.modulate("a->a", d if jumps else None, delay=2.0, value=0.0 if jumps else np.linspace(-1.0, 1.0, 14))
        net.modulate("a->b", d if jumps else None, delay=1.3, value=0.2)
    for p in (a, b):
        net.record(p)
    return net


def outcome(net, action=lambda sim, part: None, **options):
    sim = snn.Simulation(net, quiet=True, **options)
    out = []
    for part in range(3):
        spikes = sim.run(80.0 + part).spikes
        out += [x for p in "ab" for x in (spikes[p].times, spikes[p].ids)]
        out += [sim.connections(name)[2] for name in ("a->a", "a->b")]
        action(sim, part)
    return out


def check(net, action=lambda sim, part: None, moved=True):
    reference = outcome(net, action, backend="reference")
    assert len(reference[-6]) > 30 and len(reference[-4]) > 10, "a silent network tests little"
    if moved:
        assert all(np.ptp(w) > 0.01 for w in reference[-2:]), "weights must have moved apart"
    for threads in (1, 2, 3):
        for x, y in zip(reference, outcome(net, action, threads=threads), strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", ["three", "traces"])
def test_rules(rules, name):
    check(network(plasticity=rules[name](), modulate=name == "three"))


def test_modulator_of_spikes_and_of_the_user(rules):
    def action(sim, part):
        sim.set_modulator("a->b", 0.7)

    check(network(plasticity=rules["three"](), modulate=True), action)


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", ["watching", "watching, modulated"])
def test_observer(rules, name, fast):
    check(network(plasticity=rules[name](), modulate="modulated" in name, fast=fast, axonal_delay=0.4))


def test_modulators_of_neurons(rules):
    """A number, values of the targets' own, other ones twice in a step, and one number again."""

    def action(sim, part):
        for value in ((0.7,), (np.linspace(-1.0, 1.0, 6), np.linspace(0.0, 2.0, 6)), (0.3,))[part]:
            sim.set_modulator("a->b", value)

    check(network(plasticity=rules["watching, modulated"](), modulate=True), action)


@pytest.mark.parametrize("name", ["three", "traces"])
def test_axonal_delay(rules, name):
    check(network(plasticity=rules[name](), modulate=name == "three", axonal_delay=0.9))


@pytest.mark.parametrize("name", ["three", "traces"])
def test_many_unseen_spikes(rules, name):
    check(network(fast=True, plasticity=rules[name](), modulate=name == "three"))


@pytest.mark.parametrize("name", ["", "traces"])
def test_short_term(rules, name, short_term):
    rule = rules[name]() if name else None
    check(network(plasticity=rule, short_term=short_term, axonal_delay=0.5), moved=rule is not None)


@pytest.mark.parametrize("name", ["three", "traces"])
def test_learning_switch(rules, name):
    def action(sim, part):
        sim.learning("a->a", part == 1)

    net = network(plasticity=rules[name](), modulate=name == "three")
    check(net, action)
    out = outcome(net, action, threads=1)
    np.testing.assert_array_equal(out[4], out[10], "weights stay while learning is off")
    assert np.any(out[10] != out[16])
    assert np.any(out[5] != out[11]), "the other projection learns"


@pytest.mark.parametrize("name", ["three", "watching, modulated"])
def test_reading_weights_changes_nothing(rules, name):
    net = network(plasticity=rules[name](), modulate=True)
    whole, cut = (snn.Simulation(net, quiet=True, threads=2) for _ in range(2))
    whole.run(100.0)
    for _ in range(10):
        cut.run(10.0)
        cut.connections("a->b")
    for name in ("a->a", "a->b"):
        np.testing.assert_array_equal(whole.connections(name)[2], cut.connections(name)[2])


@pytest.mark.parametrize("name", ["three", "traces", "watching, modulated"])
def test_checkpoint(rules, short_term, name, tmp_path):
    more = {"short_term": short_term} if name == "traces" else {"modulate": True}
    net = network(plasticity=rules[name](), axonal_delay=0.7, **more)
    whole, first = (snn.Simulation(net, quiet=True, threads=2) for _ in range(2))
    for sim in (whole, first):
        sim.run(60.0)
        if name == "three":
            sim.set_modulator("a->a", 0.4)
        if name == "watching, modulated":
            sim.set_modulator("a->a", np.linspace(0.0, 1.0, 14))
        sim.learning("a->b", False)
    first.checkpoint(tmp_path / "c.h5")
    second = snn.Simulation.resume(tmp_path / "c.h5", net, quiet=True)
    spikes = [sim.run(60.0).spikes for sim in (whole, second)]
    for p in "ab":
        np.testing.assert_array_equal(spikes[0][p].times, spikes[1][p].times)
    for p in ("a->a", "a->b"):
        np.testing.assert_array_equal(whole.connections(p)[2], second.connections(p)[2])
