"""Where runs end, or chunks of one as the clock on the wall has it, changes no bit: sums have one order."""

import numpy as np
import pytest

import plasticity
import snn
from snn.drive_clock import Clock
from snn.drive_event import Event

T = 60.0


def network(engine):
    """Every storage kind of edges and several rules, all adding to the same accumulators after several delays."""
    net = snn.Network(seed=4)
    a = net.population("a", 60, snn.LIFExp(), init={"v": snn.uniform(-70.0, -56.0)})
    b = net.population("b", 45, snn.LIFExp(tau_m=13.0), init={"v": snn.uniform(-70.0, -56.0)})
    for p, rate in ((a, 6000.0), (b, 3000.0)):
        net.input(f"to {p.name}", p, snn.Poisson(rate=rate), weight=83.3)
        net.record(p)
        net.record(p, "v", every=1.7)
    weights = np.random.default_rng(1).uniform(1.0, 9.0, (60, 45))
    net.connect(a, b, snn.fixed_indegree(30), weight=11.1, delay=1.3, name="bc")
    net.connect(a, b, snn.fixed_total_number(40), weight=7.7, delay=0.7, name="cc")
    net.connect(b, b, snn.fixed_total_number(300), weight=snn.uniform(3.0, 20.0), delay=0.9, name="vc")
    net.connect(b, a, snn.fixed_total_number(300), weight=-30.3, delay=snn.uniform(0.7, 3.0), name="cv")
    net.connect(b, b, snn.fixed_total_number(300), weight=snn.uniform(3.0, 20.0), delay=snn.uniform(0.7, 3.0),
                name="vv")  # fmt: skip
    net.connect(a, b, snn.all_to_all(), weight=weights, delay=1.1, name="mc")
    stdp = plasticity.STDPPair(w_max=100.0, lambda_=0.1)
    net.connect(a, b, snn.fixed_indegree(30), weight=snn.uniform(3.0, 9.0), delay=1.9, plasticity=stdp,
                short_term=plasticity.TsodyksMarkram(), axonal_delay=0.4, name="pairs")  # fmt: skip
    net.connect(b, b, snn.fixed_indegree(30), weight=snn.uniform(3.0, 9.0), delay=snn.uniform(0.7, 3.0),
                plasticity=stdp, name="drawn")  # fmt: skip
    release = plasticity.QuantalSTP(n=3.0, u_se=snn.uniform(0.2, 0.8), tau_fac=40.0)
    net.connect(a, b, snn.fixed_indegree(90), weight=3.0, delay=1.6, short_term=release, name="release")
    if engine == "clock":
        kernel = np.linspace(0.1, 9.0, 9).reshape(1, 1, 3, 3)
        net.connect(a, a, snn.conv2d((1, 6, 10), (1, 1, 3, 3), padding=1), weight=kernel, delay=0.8, name="kc")
        clopath = plasticity.Clopath(theta_minus=-70.0, theta_plus=-60.0, a_ltp=1e-3, a_ltd=1e-2, w_max=60.0)
        net.connect(a, b, snn.fixed_indegree(20), weight=5.0, delay=2.5, plasticity=clopath, name="voltage")
    gated = plasticity.DopamineSTDP(w_max=200.0, a_plus=0.3, a_minus=0.3)
    net.connect(a, b, snn.fixed_indegree(30), weight=5.0, delay=1.4, plasticity=gated, name="gated")
    net.modulate("gated", net.population("d", 3, snn.Poisson(rate=90.0)), delay=0.9, value=0.2)
    return net


def outcome(engine, pieces, **options):
    sim = snn.Simulation(network(engine), engine=engine, quiet=True, **options)
    if engine == "clock":
        assert set(sim.compiled.kinds) == {"bc", "cc", "vc", "cv", "vv", "mc", "kc"}
    results = [sim.run(piece) for piece in pieces]
    assert sim.t == pytest.approx(T)
    found = {f"weights of {name}": sim.connections(name)[2] for name in sim.net.projections}
    for p in "ab":
        found |= {f"{k} of {p}": np.concatenate([getattr(r.spikes[p], k) for r in results]) for k in ("times", "ids")}
        found |= {f"v of {p}": np.concatenate([r.states[p]["v"] for r in results]), f"{p} now": sim.state(p, "v")}
        assert found[f"ids of {p}"].size > 100
    return found


@pytest.mark.parametrize("start", [4.7, 4.8, 4.9, 5.0, 5.1])
@pytest.mark.parametrize(
    "rate",
    [
        lambda start: snn.Poisson(2000.0, start=start),
        lambda start: snn.Poisson(np.linspace(500.0, 4000.0, 40), start=start),
        lambda start: snn.Poisson(np.outer([1.0, 0.0, 2.0], np.linspace(50.0, 900.0, 40)), times=[0.0, 2.0, start]),
        lambda start: snn.Poisson([2000.0, 0.0, 2000.0], times=[0.0, 2.0, start]),
        lambda start: snn.Poisson([0.0, 900.0, 2000.0], times=[0.0, start, start + 0.3]),
    ],
    ids=["one rate", "one each", "one each changes", "after silence", "rate changes"],
)
def test_poisson_trains_that_begin_at_any_step(rate, start):
    """Random words are filled four steps at a time: a train may begin between."""

    def outcome(pieces, backend="cpu", threads=1):
        net = snn.Network(seed=2)
        cells = net.population("cells", 40, snn.LIFExp())
        net.input("direct", cells, rate(start), weight=100.0)
        sources = net.population("sources", 40, rate(start))
        net.record(sources)
        net.record(cells, "i_ex")
        sim = snn.Simulation(net, backend=backend, threads=threads, quiet=True)
        results = [sim.run(piece) for piece in pieces]
        spikes = [np.column_stack((r.spikes["sources"].times, r.spikes["sources"].ids)) for r in results]
        return np.concatenate([r.states["cells"]["i_ex"] for r in results]), np.concatenate(spikes)

    states, spikes = outcome([8.0], "reference")
    assert np.count_nonzero(spikes[:, 0] > start) > 100 and np.any(states[52] > 0)
    for other in (outcome([8.0]), outcome([8.0], threads=3), outcome([5.0, 3.0]), outcome([4.9, 0.1, 0.2, 2.8])):
        np.testing.assert_array_equal(other[0], states)
        np.testing.assert_array_equal(other[1], spikes)


def some_pieces(seed, unit):
    """Lengths that add up to T, of up to a few windows each."""
    rng, ends = np.random.default_rng(seed), [0.0]
    while ends[-1] < T:
        ends.append(min(ends[-1] + unit * rng.integers(1, round(2.0 / unit)), T))
    return np.diff(ends)


@pytest.fixture(scope="module")
def whole():
    return {engine: outcome(engine, [T], threads=1) for engine in ("clock", "event")}


def same(found, expected):
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize(("engine", "unit"), [("clock", 0.1), ("event", 0.0371)])
@pytest.mark.parametrize("threads", [1, 2])
def test_runs(whole, engine, unit, threads):
    for seed in range(3):
        same(outcome(engine, some_pieces(seed, unit), threads=threads), whole[engine])


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_chunks_by_the_clock_on_the_wall(whole, engine, monkeypatch):
    rng = np.random.default_rng(9)
    for kind in (Clock, Event):
        monkeypatch.setattr(kind, "next_chunk", lambda self, wanted: int(rng.integers(1, 20)))
    same(outcome(engine, [T], threads=2), whole[engine])


def test_the_reference_engine(whole):
    same(outcome("clock", some_pieces(5, 0.1), backend="reference"), whole["clock"])


@pytest.mark.parametrize("threads", [1, 2])
def test_more_spikes_than_a_record_holds(threads, monkeypatch):
    from kernels.event import engine

    def simulation():
        net = snn.Network(seed=7)
        net.record(net.population("p", 20, snn.Poisson(1e6)))
        return snn.Simulation(net, engine="event", quiet=True, threads=threads)

    pieces = [simulation().run(15.0).spikes["p"]]  # 300 000 spikes in a record of a million
    monkeypatch.setattr(engine, "SPACE", 100)
    sim, most = simulation(), 0
    advance, sync = sim._drive.engine.advance, sim._drive.engine.sync

    def noted(stop):
        nonlocal most
        found = advance(stop)
        most = max(most, int(sync.record_size[0]))
        return found

    sim._drive.engine.advance = noted
    pieces.append(sim.run(15.0).spikes["p"])
    assert 100 < most <= sync.record_time.size
    assert len(pieces[0]) > 250_000
    np.testing.assert_array_equal(pieces[0].times, pieces[1].times)
    np.testing.assert_array_equal(pieces[0].ids, pieces[1].ids)
