"""Plasticity on the event engine: compiled equals reference bit for bit, however it is cut, swept and threaded."""

import math

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import SimError
from kernels.spec import Modulator, Param, RuleSpec, Trace
from plasticity.base import RULES, SHORT_TERM

# Parameters with which weights of about 0.5 move in this time
PARAMS = {
    "STDPPair": {"lambda_": 0.1, "w_max": 1.0, "mu_plus": 0.4},
    "STDPNearestSymmetric": {"lambda_": 0.1, "w_max": 1.0},
    "STDPNearestPreCentered": {"lambda_": 0.1, "w_max": 1.0},
    "STDPNearestRestricted": {"lambda_": 0.1, "w_max": 1.0},
    "STDPPowerLaw": {"lambda_": 0.05},
    "STDPTriplet": {"w_max": 1.0, "a_plus_triplet": 1e-3},
    "STDPTripletNearest": {"w_max": 1.0, "a_minus": 0.05},
    "VogelsSprekeler": {"eta": 0.02, "alpha": 8.0, "w_max": 1.0},
    "VogelsSprekelerRates": {"eta": 0.02, "w_max": 1.0},
    "BCM": {"eta": 0.05, "w_max": 1.0},
    "Oja": {"eta": 0.05},
    "Covariance": {"eta": 0.01, "tau_mean": 50.0, "w_max": 1.0},
    "DopamineSTDP": {"w_max": 1.0, "a_plus": 0.3, "a_minus": 0.3},
    "Jonke": {"lambda_": 0.1, "w_max": 1.0},
    "RewardSTDP": {"gamma": 0.5, "w_max": 1.0},
    "STDPTargetTrace": {"w_max": 1.0},
    "GraupnerBrunel": {"tau_ca": 8.0, "c_pre": 0.6, "c_post": 0.8, "tau": 6e3, "delay": 3.0, "w_max": 1.0},
}


def network(*rules, fast=False, short_term=None, source=True, axonal=0.0):
    """Plastic projections a->a with drawn delays, and a->b with equal ones of which ``axonal`` ms are axonal, by turns.

    ``fast``: bursts.
    """
    net = snn.Network(seed=8)
    a = net.population("a", 14, snn.LIFDelta(tau_m=20.0), init={"v": snn.uniform(-70.0, -55.0)})
    b = net.population("b", 6, snn.LIFDelta(tau_m=20.0, t_ref=0.3 if fast else 2.0))
    d = net.population("d", 2, snn.Poisson(rate=150.0))
    net.input("noise", a, snn.Poisson(rate=3000.0), weight=0.9)
    net.input("more", b, snn.Poisson(rate=30000.0 if fast else 3000.0), weight=0.9)
    net.connect(b, a, snn.fixed_indegree(2), weight=-0.02 if fast else -2.0, delay=snn.uniform(1.0, 2.0), name="static")
    for k, rule in enumerate(rules):
        target, delay = ((a, snn.uniform(1.5, 6.0)), (b, 1.5))[k % 2]
        weight = (snn.uniform(0.2, 0.8), 0.5)[k % 3 == 1]
        name, more = f"{k}", {"plasticity": rule, "short_term": short_term, "axonal_delay": axonal * (k % 2)}
        net.connect(a, target, snn.fixed_indegree(5), weight=weight, delay=delay, name=name, **more)
        if rule and rule.spec.modulator:
            net.modulate(name, d if source and rule.spec.modulator.jump else None, delay=1.3, value=0.2)
    for p in (a, b):
        net.record(p)
    return net


def outcome(net, action=lambda sim, part: None, cuts=(80.0, 81.0, 82.0), checkpoint=None, **options):
    """Spikes of all runs, then the weights after each; ``action`` happens between them.

    ``checkpoint``: a file, by which the simulation goes from run to run, on one thread more each time.
    """
    sim = snn.Simulation(net, engine="event", quiet=True, **options)
    spikes, weights = [], []
    for part, duration in enumerate(cuts):
        spikes.append(sim.run(duration).spikes)
        weights.append([sim.connections(q)[2] for q in net.projections.values() if q.plastic])
        action(sim, part)
        if checkpoint:
            sim.checkpoint(checkpoint)
            sim = snn.Simulation.resume(checkpoint, net, threads=sim.threads + 1, quiet=True)
    return [np.concatenate([getattr(s[p], k) for s in spikes]) for p in "ab" for k in ("times", "ids")], weights


def assert_equal(one, other):
    for x, y in zip(one[0], other[0], strict=True):
        np.testing.assert_array_equal(x, y)
    for part, (xs, ys) in enumerate(zip(one[1], other[1], strict=True)):
        for k, (x, y) in enumerate(zip(xs, ys, strict=True)):
            np.testing.assert_array_equal(x, y, err_msg=f"projection {k}, part {part}")


def check(net, action=lambda sim, part: None, moved=True):
    """The compiled engine, on any number of threads, gives the reference's outcome, which is returned."""
    reference = outcome(net, action, backend="reference")
    assert len(reference[0][0]) > 200 and len(reference[0][2]) > 60, "a silent network tests little"
    for weights in reference[1][-1] if moved else ():
        assert np.ptp(weights) > 0.01, "weights must have moved apart"
    for threads in (1, 2, 3):
        assert_equal(reference, outcome(net, action, threads=threads))
    return reference


def rule(name):
    return RULES[name](**PARAMS[name])


def test_parameters_for_every_rule():
    rules = [r for r in RULES.values() if r.__module__.startswith("plasticity.") and not r.spec.observer]
    assert {RULES[name] for name in PARAMS} | {RULES["Static"]} == set(rules)  # tests/io/test_weights.py has Static


@pytest.mark.parametrize("some", range(0, len(PARAMS), 3))  # all in one network would take longer to compile
def test_every_rule(some, tmp_path):
    net = network(*map(rule, list(PARAMS)[some : some + 3]), axonal=0.6 if some == 0 else 0.0)
    reference = check(net)
    assert_equal(reference, outcome(net, checkpoint=tmp_path / "state.h5", threads=1))


def pair():
    return network(rule("STDPPair"), rule("STDPPair"), axonal=0.6)


@pytest.fixture(scope="module")
def straight():
    """Outcome of pair STDP in one run."""
    return outcome(pair(), cuts=(243.0,), backend="reference")


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_cut_anywhere(straight, backend):
    # sums of these numbers are exact, so all end at the same time
    out = outcome(pair(), cuts=(0.0, 0.5625, 0.0625, 31.375, 2.0**-20, 211.0 - 2.0**-20), backend=backend)
    assert_equal(straight, (out[0], out[1][-1:]))


def test_small_notes(straight, monkeypatch):
    """With notes that run full all the time, synapses are swept and the notes grow."""
    monkeypatch.setattr("snn.compile_event_plastic.HISTORY", 1)
    monkeypatch.setattr("snn.compile_event_plastic.SIGNALS", 1)
    net = pair()
    sim = snn.Simulation(net, engine="event", quiet=True)
    sim.run(243.0)
    assert sim.compiled.plastic[0][0].oldest.min() > 0 and sim.compiled.plastic[0][0].history.shape[1] > 1
    np.testing.assert_array_equal(straight[1][0][1], sim.connections("1")[2])
    check(network(*[rule("DopamineSTDP")] * 2))


def dopamine(**options):
    return network(rule("DopamineSTDP"), rule("DopamineSTDP"), axonal=0.6, **options)


@pytest.mark.parametrize("source", [True, False])
def test_modulator_set_by_the_user(source, monkeypatch):
    monkeypatch.setattr("snn.compile_event_plastic.SIGNALS", 2)  # the notes grow

    def action(sim, part):
        sim.set_modulator("0", 0.1 * part - 0.2)
        sim.set_modulator("1", 3.0)
        sim.set_modulator("1", 0.3 + 0.1 * part)

    check(dopamine(source=source), action)


def test_learning_switch():
    def action(sim, part):
        sim.learning("0", part == 1)

    _, weights = check(dopamine(), action)
    np.testing.assert_array_equal(weights[0][0], weights[1][0], "weights stay while learning is off")
    assert np.any(weights[1][0] != weights[2][0])
    _, switched = outcome(pair(), action)
    np.testing.assert_array_equal(switched[0][0], switched[1][0], "weights stay while learning is off")


def test_learning_switched_on_where_it_is_on():
    assert_equal(outcome(dopamine()), outcome(dopamine(), lambda sim, part: sim.learning("1", True)))


def test_many_unseen_spikes():
    check(network(rule("STDPPair"), rule("STDPPair"), fast=True))


SHORT = {
    "TsodyksMarkram": {"u_se": 0.4, "tau_rec": 80.0, "tau_fac": 30.0},
    "SaturatingNMDA": {"alpha": 2.0, "tau_rise": 5.0, "tau_decay": 60.0},
    "Bernoulli": {"p_transmit": 0.6},
    "QuantalSTP": {"u_se": 0.4, "n": 3.0, "tau_rec": 80.0, "tau_fac": 30.0},
}


@pytest.mark.parametrize("name", sorted(SHORT_TERM))
def test_short_term(name, tmp_path):
    """On a plastic projection, and on one that is not."""
    net = network(rule("STDPPair"), None, short_term=SHORT_TERM[name](**SHORT[name]), axonal=0.6)
    reference = check(net, moved=False)
    assert_equal(reference, outcome(net, checkpoint=tmp_path / "state.h5", threads=1))
    weights = reference[1]
    assert np.ptp(weights[-1][0]) > 0.01
    np.testing.assert_array_equal(weights[-1][1], 0.5)


def gated_pre(w, pre, reward, a):
    return w + a * reward * pre


def gated_post(w, post, reward, a):
    return w - a * reward * post


def test_modulator_without_flow(monkeypatch):
    """A rule that only looks at the modulator, which stays as the user set it."""
    monkeypatch.setattr("plasticity.base.RULES", {})
    gated = plasticity.define(
        RuleSpec(
            "Gated", "test", (Param("tau", "ms", 20.0, "of traces", gt=0), Param("a", "1", 0.1, "rate")), (),
            (Trace("pre", "pre", "tau"), Trace("post", "post", "tau", nearest=True)), gated_pre, gated_post, ("test",),
            lambda p: (-10.0, 10.0), modulator=Modulator("reward", "1", "reward"),
        )
    )()  # fmt: skip

    def action(sim, part):
        sim.set_modulator("1", 0.5 - 0.4 * part)

    check(network(gated, gated, source=False), action)


def grow(w, most):
    return w + 1.0 if w < most else w * math.inf


@pytest.mark.parametrize("options", [{"backend": "reference"}, {"threads": 2}])
def test_no_finite_number(monkeypatch, options):
    monkeypatch.setattr("plasticity.base.RULES", {})
    rule = plasticity.define(
        RuleSpec(
            "Grow", "test", (Param("most", "1", 3.0, "too much"),), (), (), grow, None, ("test",),
            lambda p: (0.0, np.inf),
        )
    )()  # fmt: skip
    net = snn.Network(seed=1)
    a = net.population("a", 3, snn.SpikeArray([1.25, 2.0, 2.25, 3.5, 4.5], [1, 0, 1, 1, 1]))
    b = net.population("b", 4, snn.LIFExp())
    net.connect(a, b, snn.from_arrays([0, 1], [0, 3]), weight=0.5, delay=0.25, plasticity=rule)
    sim = snn.Simulation(net, engine="event", quiet=True, **options)
    text = (
        r"'a->b': Grow\(.*made the synapse of source 1 and target 3 no finite number at t = 4.5 ms; got inf. Check the"
    )
    with pytest.raises(SimError, match=text):
        sim.run(20.0)
