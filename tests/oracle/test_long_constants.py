"""Time constants of minutes to years on the clock engine: memory, closed forms, any number of threads."""

from fractions import Fraction

import numpy as np
import pytest

import plasticity
import snn
import snn.compile_plastic
from kernels.rule_text import decayed
from kernels.spec import Modulator, Param, RuleSpec, StateVar, Trace

MIB = 2**20
# of two sources and two targets [ms], nothing at once, pauses of seconds: more than 2^14 steps of 0.1 ms
PRE = [(4.0, 31.0, 2450.0, 2457.0, 2601.0, 9011.0, 9940.0), (12.0, 13.0, 5007.0, 9025.0, 9800.0, 9822.0)]
POST = [(8.5, 2040.5, 2456.5, 9016.5, 9833.5), (2.5, 33.5, 5009.5, 5010.5, 9037.5, 9901.5)]


def kept_pre(w, c, slow, fast, post):
    return w + 0.1 * slow, c + 0.5 * fast + post


def kept_post(w, c, slow, post):
    return w * (1.0 + 0.01 * slow), c + slow + 0.1 * post


def kept_flow(w, c, fade, h):
    return w + 1e-4 * c * (1.0 - fade) + 1e-7 * h, c * fade


def gated_flow(w, c, reward, fade):
    return w + 1e-6 * c * reward, c * fade


@pytest.fixture
def rules(monkeypatch):
    """State variables that fade with ``tau_c``, with a modulator (so that there are epochs) and without."""
    monkeypatch.setattr("plasticity.base.RULES", {})

    def rule(name, flow, **more):
        return plasticity.define(
            RuleSpec(
                name, "test",
                (Param("tau", "ms", 1e6, "slow", gt=0), Param("tau_c", "ms", 1e6, "slow", gt=0),
                 Param("tau_fast", "ms", 20.0, "fast", gt=0), Param("tau_post", "ms", 20.0, "of targets", gt=0)), (),
                (Trace("fast", "pre", "tau_fast"), Trace("slow", "pre", "tau"), Trace("post", "post", "tau_post"),
                 Trace("fade", "between", "tau_c")),
                kept_pre, kept_post, ("test",), lambda p: (-np.inf, np.inf),
                state=(StateVar("c", "1", "fades"),), flow=flow, **more,
            )
        )  # fmt: skip

    gate = Modulator("reward", "1", "set by the user", discount="fade")
    return {"kept": rule("Kept", kept_flow), "gated": rule("Gated", gated_flow, modulator=gate)}


def simulation(rule, dt=0.1, delay=1.0, **options):
    net = snn.Network(seed=1)
    pre, post = (
        snn.SpikeArray(np.concatenate(trains), np.repeat([0, 1], [len(x) for x in trains])) for trains in (PRE, POST)
    )
    a = net.population("a", 2, pre)
    b = net.population("b", 2, snn.LIFDelta(v_th=1e6, t_ref=0.0))
    net.input("force", b, post, weight=1e9)
    net.connect(a, b, snn.all_to_all(), 1.0, delay, plasticity=rule, name="p")
    if rule.spec.modulator:
        net.modulate("p", value=0.8)
    net.record(b)
    return snn.Simulation(net, dt=dt, quiet=True, **options)


def by_hand(name, tau, tau_c, posts, until, delay=1.0):
    """Weights and c of the synapses by source and target, from one event to the next."""
    weights, values = np.zeros((2, 2)), np.zeros((2, 2))
    for i, j in np.ndindex(2, 2):
        events = sorted([(t, True) for t in PRE[i]] + [(t + delay, False) for t in posts[j]] + [(until, None)])
        w, c, now, spikes, seen = 1.0, 0.0, 0.0, [], []
        for t, is_pre in events:
            h, fade = t - now, np.exp((now - t) / tau_c)
            grown = 1e-4 * (1.0 - fade) if name == "kept" else 1e-6 * 0.8 * -tau_c * np.expm1((now - t) / tau_c)
            w, c, now = w + grown * c + (1e-7 * h if name == "kept" else 0.0), c * fade, t
            slow, fast = (np.exp((np.array(spikes) - t) / x).sum() for x in (tau, 20.0))
            post = np.exp((np.array(seen) - t) / 20.0).sum()
            if is_pre:
                w, c = w + 0.1 * slow, c + 0.5 * fast + post
                spikes.append(t)
            elif is_pre is False:
                w, c = w * (1.0 + 0.01 * slow), c + slow + 0.1 * post
                seen.append(t)
        weights[i, j], values[i, j] = w, c
    return weights, values


@pytest.mark.parametrize("tau", [1e6, 1e9])
@pytest.mark.parametrize("name", ["kept", "gated"])
def test_in_little_memory_by_closed_forms(rules, name, tau):
    """Of 1,000 s at 0.1 ms, one table of all steps took 3 GB a constant; of 10^6 s, it fitted into no memory."""
    sim = simulation(rules[name](tau=tau, tau_c=2.0 * tau), threads=1)
    compiled = sim._drive.compiled.plastic[0]
    assert compiled.decay.nbytes <= 3 * MIB  # of three constants
    assert compiled.signal_growth.nbytes + compiled.signal_value.nbytes + compiled.signal_sum.nbytes <= 1.5 * MIB
    until = 10_000.0
    spikes = sim.run(until).spikes["b"]
    posts = [spikes.times[spikes.ids == j] for j in range(2)]
    assert [len(x) for x in posts] == [len(x) for x in POST]
    if name == "gated":
        assert 2 < until / 0.1 / compiled.epoch < 10, "there must be several epochs"
    sources, targets, found = sim.connections("p")[:3]
    weights, values = by_hand(name, tau, 2.0 * tau, posts, until)
    np.testing.assert_allclose(found, weights[sources, targets], rtol=1e-12)
    np.testing.assert_allclose(sim.state("p", "c"), values[sources, targets], rtol=1e-12)
    assert np.ptp(found) > 0.1


def test_tables_up_to_years():
    """A factor after any number of steps, in one table or three; 0 where nothing of a trace is left."""
    rng = np.random.default_rng(4)
    for dt, taus in ((0.1, [5.0, 20.0]), (0.1, [20.0, 400.0, 1e6]), (0.01, [1e9]), (1.0, [1e12])):
        table = snn.compile_plastic._decay_table(np.array(taus), np.zeros(0), 1, dt)
        assert table.nbytes <= MIB * len(taus) and table.ndim == (2 if max(taus) < 100.0 else 1)
        for row, tau in enumerate(taus):
            ends = min(700.0 * tau / dt, 2.0**41)
            drawn = np.exp(rng.uniform(0, np.log(ends), 200))
            for k in map(int, [0, 1, 2**14 - 1, 2**14, 2**28, *drawn]):
                x = float(Fraction(k) * Fraction(dt) / Fraction(tau))
                exact, found = np.exp(-x), decayed(table, row, k)
                assert abs(found - exact) <= 1e-15 * (1.0 + x) * exact or max(found, exact) < 1.1e-18, (dt, tau, k)
            never = decayed(table, row, 2**40 + 5)  # since a spike that has not been: the trace is 0
            assert never == 0.0 if 2.0**40 * dt / tau > 800.0 else 0.0 < never <= 1.0


@pytest.mark.parametrize("delay", [1.0, "drawn"])
@pytest.mark.parametrize("name", ["kept", "gated"])
def test_every_number_of_threads(rules, name, delay, monkeypatch):
    """Slow traces of sources, of targets and of synapses; pauses reach into the second table, and there are epochs."""
    monkeypatch.setattr(snn.compile_plastic, "EPOCH", 2**12)

    def go(**options):
        given = snn.uniform(1.0, 6.0) if delay == "drawn" else delay
        sim = simulation(rules[name](tau=1e6, tau_c=3e5, tau_post=1e6), dt=0.5, delay=given, **options)
        found = []
        for part in (3000.0, 7000.0):
            sim.run(part)
            found += [sim.connections("p")[2], sim.state("p", "c")]
        assert sim._drive.compiled.plastic[0].decay.ndim == 1
        return found

    expected = go(backend="reference")
    assert np.ptp(expected[-2]) > 0.1
    for threads in (1, 2):
        for x, y in zip(expected, go(threads=threads), strict=True):
            np.testing.assert_array_equal(x, y)
