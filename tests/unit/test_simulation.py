"""Running: splitting a run, threads, dt, states, precision, small and odd networks, buffers that fill up."""

import gc
import math
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import snn

DT = 0.1


def network(seed=3, n=60, constant=False, record=True):
    """Excitation and inhibition driven by noise; random or constant weights and delays."""
    net = snn.Network(seed=seed)
    exc = net.population("exc", n, snn.LIFDelta(), init={"v": snn.uniform(-70.0, -55.0)})
    inh = net.population("inh", n // 4, snn.LIFDelta())
    for pop in (exc, inh):
        net.input(f"noise {pop.name}", pop, snn.Poisson(6000.0), weight=0.28)
        weight, delay = (0.5, 1.3) if constant else (snn.uniform(0.2, 0.8), snn.uniform(0.7, 4.0))
        net.connect(exc, pop, snn.fixed_indegree(9), weight=weight, delay=delay)
        net.connect(inh, pop, snn.fixed_indegree(5), weight=-1.0, delay=1.1)
        if record:
            net.record(pop)
    if record:
        net.record(exc, "v", ids=[0, 7, 8], every=0.4)
    return net


def simulate(net, **options):
    return snn.Simulation(net, **{"dt": DT, "quiet": True, **options})


def joined(results):
    """Spikes by population and the trace of "exc", over several results."""
    out = []
    for p in ("exc", "inh"):
        out += [
            np.concatenate([r.spikes[p].times for r in results]),
            np.concatenate([r.spikes[p].ids for r in results]),
        ]
    return [*out, np.concatenate([r.states["exc"]["v"] for r in results])]


def final(sim):
    return [sim.state(p, v) for p in ("exc", "inh") for v in ("v", "refractory")]


def assert_equal(one, other):
    for x, y in zip(one, other, strict=True):
        np.testing.assert_array_equal(x, y)


# splitting and threads ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_many_runs_equal_one(threads):
    """Splits off the window, off the sampling interval, off the four steps that share random words."""
    one, many = simulate(network(), threads=threads), simulate(network(), threads=threads)
    whole = one.run(200.0)
    parts = [many.run(t) for t in (0.1, 0.2, 33.3, 0.0, 0.5, 100.0, 65.9)]
    assert len(whole.spikes["exc"]) > 100 and len(whole.states["exc"]["v"]) == 500
    assert_equal(joined([whole]), joined(parts))
    assert_equal(final(one), final(many))
    assert one.t == many.t == pytest.approx(200.0)
    for before, after in zip(parts[:-1], parts[1:], strict=True):
        assert before.t_stop == after.t_start


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("constant", [True, False])
def test_threads_change_nothing(precision, constant):
    runs = []
    for threads in (1, 2, 3, 5):
        sim = simulate(network(constant=constant), threads=threads, precision=precision)
        runs.append([*joined([sim.run(150.0)]), *final(sim)])
    assert len(runs[0][0]) > 100
    for run in runs[1:]:
        assert_equal(runs[0], run)


def test_choice_of_threads(monkeypatch):
    assert simulate(network()).threads == 1  # a small network
    monkeypatch.setattr("snn.host.os.sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    big = snn.Network()
    big.population("a", 3000, snn.LIFDelta())
    assert simulate(big).threads == 3
    assert simulate(big, threads=2).threads == 2
    assert simulate(network(), backend="reference", threads=4).threads == 1
    for rule in (snn.all_to_all(), snn.fixed_outdegree(1100), snn.fixed_total_number(1_000_000)):
        dense = snn.Network()
        cells = dense.population("a", 1000, snn.LIFDelta())
        dense.connect(cells, cells, rule, 0.1, 1.0)
        assert simulate(dense).threads == 3


def test_seed():
    one, same, other = (joined([simulate(network(seed)).run(100.0)]) for seed in (3, 3, 4))
    assert_equal(one, same)
    assert len(one[0]) != len(other[0]) or not np.array_equal(one[0], other[0])
    digests = [simulate(network(seed)).provenance()["network_hash"] for seed in (3, 3, 4)]
    assert digests[0] == digests[1] != digests[2]


def test_fewer_neurons_than_threads():
    runs = []
    for threads in (1, 7):
        net = snn.Network(seed=1)
        a = net.population("a", 2, snn.LIFDelta(i_e=450.0))
        b = net.population("b", 1, snn.LIFDelta(i_e=450.0))
        src = net.population("src", 3, snn.Poisson(300.0))
        net.connect(a, b, snn.fixed_indegree(1), weight=0.5, delay=0.3)
        net.connect(src, a, snn.fixed_indegree(3), weight=0.5, delay=0.3)
        for pop in (a, b, src):
            net.record(pop)
        net.record(a, "v")
        result = simulate(net, threads=threads).run(50.0)
        runs.append([x for p in "a b src".split() for x in (result.spikes[p].times, result.spikes[p].ids)])
        runs[-1].append(result.states["a"]["v"])
    assert len(runs[0][0]) > 4 and len(runs[0][4]) > 20
    assert_equal(*runs)


# time ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dt", [0.05, 0.1, 0.5, 2.0])
def test_decay_is_exact_at_every_dt(dt):
    net = snn.Network()
    pop = net.population("a", 3, snn.LIFDelta(tau_m=[5.0, 10.0, 20.0], i_e=100.0), init={"v": -60.0})
    net.record(pop, "v")
    sim = simulate(net, dt=dt)
    result = sim.run(30.0)
    times = dt * np.arange(1, 1 + round(30 / dt))
    tau = np.array([5.0, 10.0, 20.0])
    v_inf = -70.0 + 100.0 * tau / 250.0
    expected = v_inf + (-60.0 - v_inf) * np.exp(-times[:, None] / tau)
    np.testing.assert_allclose(result.states["a"]["v"], expected, rtol=1e-12)
    assert sim.t == pytest.approx(30.0)


def test_spike_times_are_on_the_grid():
    """A neuron under constant current crosses at t = -tau log(1 - gap / v_inf): at the end of the step that holds t."""
    for dt in (0.1, 0.25):
        net = snn.Network()
        pop = net.population("a", 1, snn.LIFDelta(i_e=500.0, t_ref=2.0))
        net.record(pop)
        times = simulate(net, dt=dt).run(60.0).spikes["a"].times
        first = math.ceil(10.0 * math.log(20.0 / 5.0) / dt) * dt
        np.testing.assert_allclose(times, first + (first + 2.0) * np.arange(len(times)), rtol=1e-12)
        assert len(times) == 3


def test_duration_is_rounded_to_steps():
    sim = simulate(network())
    sim.run(1.04)
    assert sim.t == pytest.approx(1.0)
    sim.run(0.07)
    assert sim.t == pytest.approx(1.1)


def test_zero_duration():
    sim = simulate(network())
    before = final(sim)
    result = sim.run(0.0)
    assert result.t_start == result.t_stop == sim.t == 0.0
    assert len(result.spikes["exc"]) == 0 and result.states["exc"]["v"].shape == (0, 3)
    assert_equal(before, final(sim))


def test_rates_at_another_dt():
    """Poisson drive: another dt draws other numbers. Rates over 60 neurons and 2 s agree within 10 %."""
    rates = [simulate(network(), dt=dt).run(2000.0).spikes["exc"].rate() for dt in (0.1, 0.05)]
    assert rates[0] > 2 and rates[1] == pytest.approx(rates[0], rel=0.1)


# states and records -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_state(backend):
    sim = simulate(network(), backend=backend)
    v = sim.state("exc", "v")
    assert v.shape == (60,) and v.dtype == np.float64 and -70 <= v.min() < v.max() <= -55
    v[:] = 0.0
    assert sim.state("exc", "v").max() <= -55  # a copy
    values = np.linspace(-70.0, -60.0, 60)
    sim.set_state("exc", "v", values)
    sim.set_state(sim.net.populations["inh"], "v", -80.0)
    sim.set_state("inh", "refractory", 3)
    np.testing.assert_array_equal(sim.state("exc", "v"), values)
    np.testing.assert_array_equal(sim.state("inh", "refractory"), np.full(15, 3.0))
    sim.run(0.2)
    np.testing.assert_array_equal(sim.state("inh", "v"), np.full(15, -80.0))  # held while refractory
    np.testing.assert_array_equal(sim.state("inh", "refractory"), np.full(15, 1.0))
    for args, error, text in (
        (("exc", "w", 0.0), snn.ModelError, "no state variable 'w'. Known: v, "),
        (("exc", "tau_m", 1.0), snn.ModelError, "no state variable 'tau_m'. It is a parameter of LIF"),
        (("exk", "v", 0.0), snn.ModelError, "no population 'exk'"),
        (("exc", "v", [1.0, 2.0]), snn.ShapeError, "shape .60,."),
        (("exc", "v", math.nan), snn.ShapeError, "must be finite"),
    ):
        with pytest.raises(error, match=text):
            sim.set_state(*args)


def test_set_state_goes_on_from_there():
    """Copying every state to a new simulation of a network without delays in flight continues the run."""
    net = snn.Network()
    pop = net.population("a", 5, snn.LIFDelta(i_e=np.linspace(400.0, 600.0, 5)))
    net.record(pop)
    one, other = simulate(net), simulate(net)
    one.run(33.3)
    for variable in ("v", "refractory"):
        other.set_state(pop, variable, one.state(pop, variable))
    x, y = one.run(50.0).spikes["a"], other.run(50.0).spikes["a"]
    assert len(x) > 5
    np.testing.assert_array_equal(x.ids, y.ids)
    np.testing.assert_allclose(x.times - 33.3, y.times, atol=1e-9)


def test_record_every_and_ids():
    """Samples are those of a full record, at multiples of ``every``, in order of ids."""

    def run(threads, **record):
        net = network(record=False)
        net.record("exc", "v", **record)
        net.record("exc", "refractory", **record)
        result = simulate(net, threads=threads).run(21.0)
        return result.states["exc"]["v"], result.states["exc"]["refractory"]

    full = run(1)
    assert full[0].shape == (210, 60) and full[1].max() == 20
    for threads in (1, 3):
        for every, ids in ((0.1, [5]), (0.7, [59, 0, 20, 20]), (5.0, range(60)), (21.0, [3]), (30.0, [3])):
            step, kept = round(every / DT), sorted(set(ids))
            for got, all_ in zip(run(threads, every=every, ids=list(ids)), full, strict=True):
                np.testing.assert_array_equal(got, all_[step - 1 :: step][:, kept].reshape(-1, len(kept)))


def test_recording_changes_no_spike():
    """Unrecorded populations fire as well; other samplers move nothing."""
    net = network(record=False)
    net.record("inh")
    result = simulate(net).run(150.0)
    assert list(result.spikes) == ["inh"]
    full = simulate(network()).run(150.0)
    np.testing.assert_array_equal(result.spikes["inh"].times, full.spikes["inh"].times)
    assert len(full.spikes["inh"]) > 10


def test_infinite_state_is_named():
    """A weight that is too large: the run ends with population, variable, neuron and time."""
    for threads in (1, 2):
        net = snn.Network()
        net.population("src", 3, snn.Poisson(10.0))
        net.population("fine", 4, snn.LIFDelta())
        bad = net.population("bad", 5, snn.LIFDelta())
        net.input("blow", bad, snn.SpikeArray([1.0, 1.0], [3, 3]), weight=-1e308)
        net.record(bad)
        sim = simulate(net, threads=threads)
        with pytest.raises(snn.SimError, match=r"Population 'bad'\.v: is not finite at neuron 3 by t = 5 ms"):
            sim.run(5.0)


def test_every_place_of_an_infinite_state_is_named():
    net = snn.Network()
    net.population("src", 3, snn.Poisson(10.0))
    for name, n in (("a", 2), ("b", 3)):
        net.population(name, n, snn.LIFExp())
    net.population("more", 3, snn.Poisson(10.0))
    sim = simulate(net, backend="reference")
    for name, n in (("a", 2), ("b", 3)):
        for variable in ("v", "i_ex", "i_in"):
            for neuron in range(n):
                view = sim._drive._view(name, variable)
                for value in (math.nan, math.inf, -math.inf):
                    saved, view[neuron] = view[neuron], value
                    with pytest.raises(snn.SimError, match=rf"'{name}'\.{variable}: is not finite at neuron {neuron} "):
                        sim._drive._check_finite(1)
                    view[neuron] = saved
    sim._drive._check_finite(1)


# precision ----------------------------------------------------------------------------------------------------------


def test_float32():
    """Traces without spikes agree to single precision; rates of a network within 10 %."""
    traces = []
    for precision in ("float64", "float32"):
        net = snn.Network(seed=2)
        pop = net.population("a", 20, snn.LIFDelta(v_th=1e9))
        net.input("noise", pop, snn.Poisson(6000.0), weight=0.28)
        net.connect(net.population("b", 9, snn.Poisson(100.0)), pop, snn.all_to_all(), weight=snn.uniform(0.1, 0.9))
        net.record(pop, "v")
        sim = simulate(net, precision=precision)
        assert sim.compiled.state.f.dtype == sim.compiled.state.ring.dtype == np.dtype(precision)
        traces.append(sim.run(100.0).states["a"]["v"])
    assert traces[1].dtype == np.float64
    error = np.abs(traces[1] - traces[0]).max()
    assert 0 < error < 1e-4  # about 60 roundings of 2**-24 at 70 mV
    rates = [simulate(network(), precision=p).run(2000.0).spikes["exc"].rate() for p in ("float64", "float32")]
    assert rates[0] > 2 and rates[1] == pytest.approx(rates[0], rel=0.1)


# small and odd networks ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
def test_one_neuron(threads):
    """With itself as its only partner: each spike comes back after the delay."""
    net = snn.Network()
    pop = net.population("a", 1, snn.LIFDelta(t_ref=0.0))
    net.input("kick", pop, snn.SpikeArray([1.0]), weight=20.0)
    net.connect(pop, pop, snn.one_to_one(), weight=20.0, delay=2.5)
    net.record(pop)
    times = simulate(net, threads=threads).run(20.0).spikes["a"].times
    np.testing.assert_allclose(times, 1.0 + 2.5 * np.arange(8), rtol=1e-12)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_sources_only(backend, threads):
    net = snn.Network(seed=1)
    net.record(net.population("noise", 40, snn.Poisson(100.0)))
    net.record(net.population("given", 2, snn.SpikeArray([1.0, 2.0, 2.0], [1, 0, 1])))
    result = simulate(net, backend=backend, threads=threads).run(500.0)
    assert list(zip(result.spikes["given"].times, result.spikes["given"].ids, strict=True)) == [(1, 1), (2, 0), (2, 1)]
    assert abs(len(result.spikes["noise"]) - 2000) < 4 * math.sqrt(2000)
    assert len(np.unique(result.spikes["noise"].ids)) == 40


@pytest.mark.parametrize("delay", [[25.5, 25.5], [25.6, 1.0], [25.5, 90.0], [6553.5, 0.1]])
def test_large_delays(delay):
    """Delays are kept in 8 bits up to 255 steps, in 16 beyond; each spike arrives at its time."""
    net = snn.Network()
    src = net.population("src", 2, snn.SpikeArray([1.0, 1.0], [0, 1]))
    pop = net.population("a", 2, snn.LIFDelta(v_th=-69.5, t_ref=0.0))
    net.connect(src, pop, snn.one_to_one(), weight=[1.0, 2.0], delay=delay)
    net.record(pop)
    sim = simulate(net)
    assert sim.compiled.edges[0].delays.dtype == (np.uint8 if max(delay) < 25.55 else np.uint16)
    spikes = sim.run(max(delay) + 2.0).spikes["a"]
    order = np.argsort(delay, kind="stable")
    np.testing.assert_array_equal(spikes.ids, order)
    np.testing.assert_allclose(spikes.times, 1.0 + np.asarray(delay)[order], rtol=1e-12)


# buffers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_full_record_stops_early(threads):
    """A record with room for few spikes: the engine comes back early, often, and nothing is lost."""
    plain = simulate(network(constant=True), threads=threads)
    expected = [*joined([plain.run(300.0)]), *final(plain)]
    sim = simulate(network(constant=True), threads=threads)
    engine = sim._drive.engine
    room = 10
    engine.sync = engine.sync._replace(record=np.zeros(engine.sync.spikes.size + room, np.uint32))
    early, advance = [], engine.advance

    def watched(start, stop):
        reached, *rest = advance(start, stop)
        assert start < reached <= stop
        if reached < min(stop, start + engine.chunk):
            early.append(sum(times.size for times, _ in rest[0]))
            assert early[-1] > room
        return reached, *rest

    engine.advance = watched
    assert_equal(expected, [*joined([sim.run(300.0)]), *final(sim)])
    assert len(early) > 20


def test_many_chunks():
    """Chunks of 13 steps, with windows of 11 and samples every 4."""
    expected = joined([simulate(network(constant=True)).run(100.0)])
    sim = simulate(network(constant=True))
    sim._drive.engine.chunk = 13
    assert_equal(expected, joined([sim.run(100.0)]))


def test_memory_does_not_grow():
    """Python's and NumPy's memory over 30 runs grows by a fraction of what their results take."""
    sim = simulate(network(), threads=2)

    def grown(keep):
        before, kept = tracemalloc.get_traced_memory()[0], []
        for _ in range(30):
            result = sim.run(100.0)
            kept += [result] if keep else []
        del result
        gc.collect()
        return tracemalloc.get_traced_memory()[0] - before

    tracemalloc.start()
    try:
        grown(False)
        dropped = min(grown(False) for _ in range(3))  # what leaks does so each time; what other tests left does not
        kept = grown(True)
    finally:
        tracemalloc.stop()
    assert kept > 200_000 and dropped < kept / 5


def test_progress(capsys):
    simulate(network()).run(20.0, progress=True)
    text = capsys.readouterr().err
    assert "20/20 ms" in text and "real-time factor" in text


# errors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"dt": 0.0}, snn.ModelError, "Simulation.dt: must be a number >= 1e-09 ms; got 0.0"),
        ({"dt": math.nan}, snn.ModelError, "Simulation.dt"),
        ({"dt": "0.1"}, snn.ModelError, "Simulation.dt"),
        ({"threads": 0}, snn.ModelError, "Simulation.threads: must be an integer >= 1"),
        ({"threads": 1.0}, snn.ModelError, "Simulation.threads"),
        ({"threads": True}, snn.ModelError, "Simulation.threads"),
        ({"backend": "gpu"}, snn.BackendUnavailable, 'Simulation.backend: must be "cpu"'),
        ({"engine": "fast"}, snn.BackendUnavailable, "Simulation.engine"),
        ({"precision": "float16"}, snn.ModelError, "Simulation.precision"),
        ({"precision": "float32", "backend": "reference"}, snn.BackendUnavailable, "computes in float64"),
    ],
)
def test_options(options, error, text):
    with pytest.raises(error, match=text):
        simulate(network(), **options)


def test_wrong_calls():
    sim = simulate(network())
    for duration in (-1.0, math.nan, math.inf, "1", True):
        with pytest.raises(snn.ModelError, match="Simulation.run: (the duration must be >= 0 ms|must be a number)"):
            sim.run(duration)
    with pytest.raises(snn.ModelError, match="no projection 'x'; there are exc->exc, inh->exc"):
        sim.connections("x")
    with pytest.raises(snn.ModelError, match="has no population"):
        simulate(snn.Network())
    net = network()
    net.record("exc", "refractory", every=0.25)
    with pytest.raises(snn.ModelError, match="every: must be a multiple of dt = 0.1 ms; got 0.25"):
        simulate(net)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_set_current_is_a_series_given_ahead(backend):
    values = np.random.default_rng(1).uniform(0.0, 600.0, (6, 3))

    def run(steered):
        net = snn.Network(seed=1)
        net.population("source", 2, snn.Poisson(rate=500.0))
        net.population("a", 3, snn.LIFExp())
        net.connect("source", "a", snn.all_to_all(), weight=100.0)
        net.input("other", "a", snn.StepCurrent([50.0, 20.0], [0.0, 7.0]))
        net.input(
            "given", "a", snn.StepCurrent(values[:1] if steered else values, [0.0] if steered else 5.0 * np.arange(6))
        )
        net.input("later", "a", snn.StepCurrent([5.0], [50.0]))
        net.record("a", "v")
        sim = snn.Simulation(net, dt=0.5, backend=backend, threads=1, quiet=True)
        if not steered:
            return sim, sim.run(30.0).states["a"]["v"]
        parts = []
        for row in values:
            sim.set_current("given", row)
            parts.append(sim.run(5.0).states["a"]["v"])
        return sim, np.concatenate(parts)

    sim, steered = run(True)
    assert np.array_equal(steered, run(False)[1])
    for name, value, text in (
        ("give", 1.0, "no input 'give'. Did you mean 'given'?"),
        ("other", 1.0, "must be a StepCurrent of one amplitude"),
        ("given", [1.0, 2.0], "a number or of shape (3,)"),
        ("given", np.nan, "must be finite"),
        ("later", 1.0, "'later'.source: injects from 50 ms on, later than now. Begin it at 0."),
    ):
        with pytest.raises((snn.ModelError, snn.ShapeError)) as error:
            sim.set_current(name, value)
        assert text in str(error.value)


def test_signal_while_ranks_ask():
    """One that comes while ranks exchange what they know is heard by all the next time, not by this rank alone now."""
    sim = simulate(network())
    came = []

    class Asked:
        size = 2

        def gather(self, value):
            came[:] = came or [15]  # after ``value`` was taken
            return [value, []]

    sim._ranks = Asked()
    assert not sim._hear(came) and came == [15]
    assert sim._hear(came) and came == [15]


FORK = """
import multiprocessing, sys, snn
net = snn.Network(seed=1)
pop = net.population("p", 20, snn.LIFExp(i_e=500.0))
net.connect(pop, pop, snn.fixed_indegree(4), weight=5.0, delay=1.5)
net.record(pop)
sim = snn.Simulation(net, threads=2, quiet=True, engine=sys.argv[1])
sim.run(100.0)
def job(duration):
    return sim.run(duration).spikes["p"].times.tolist()
with multiprocessing.get_context("fork").Pool(1) as pool:
    there = pool.apply_async(job, (100.0,)).get(timeout=300)
assert len(there) > 20 and there == job(100.0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("engine", ["clock", "event"])
def test_forked_with_threads(engine):
    """A forked process has none of its parent's threads: it makes its own."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-c", FORK, engine], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("name", "value"),
    [("dt", 0.5), ("engine", "event"), ("backend", "reference"), ("threads", 2), ("precision", "float32"),
     ("deterministic", True), ("net", snn.Network(seed=5)), ("network_hash", "")],
)  # fmt: skip
def test_what_a_simulation_was_made_with_stays(name, value):
    """Assigned later it would change nothing but what provenance() and connections() say."""
    sim = simulate(network(), backend="reference")
    before = getattr(sim, name), sim.provenance()["seed"]
    with pytest.raises(snn.ModelError, match=f"Simulation.{name}: is fixed when the simulation is made; got"):
        setattr(sim, name, value)
    with pytest.raises(snn.ModelError, match="Network.seed: cannot be assigned; got 5"):
        sim.net.seed = 5
    assert (getattr(sim, name), sim.provenance()["seed"]) == before


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_one_thread_at_a_time(engine):
    """Two threads in the same arrays would write beyond them."""
    sim = simulate(network(), backend="reference", engine=engine)
    inside, on = threading.Event(), threading.Event()
    advance = sim._drive.engine.advance

    def slow(*arguments):
        inside.set()
        assert on.wait(60)
        return advance(*arguments)

    sim._drive.engine.advance = slow
    first = threading.Thread(target=sim.run, args=(1.0,))
    first.start()
    assert inside.wait(60)
    calls = {
        "run": (1.0,), "proceed": (), "checkpoint": ("a.h5",), "state": ("exc", "v"), "set_state": ("exc", "v", -70.0),
        "connections": ("exc->inh",), "set_parameters": ("exc",), "set_source": ("noise exc", snn.Poisson(1.0)),
    }  # fmt: skip
    for name, given in calls.items():
        with pytest.raises(snn.ModelError, match=f"Simulation.{name}: another thread is running this simulation"):
            getattr(sim, name)(*given)
    on.set()
    first.join()
    assert sim.t == pytest.approx(1.0)
    with pytest.raises(snn.ModelError, match="duration"):  # what fails leaves no lock behind
        sim.run(-1.0)
    other = threading.Thread(target=sim.run, args=(1.0,))
    other.start()
    other.join()
    assert sim.t == pytest.approx(2.0)


def test_no_pickles():
    with pytest.raises(snn.ModelError, match=r"cannot be pickled or copied. Use checkpoint\(path\)"):
        pickle.dumps(simulate(network(), backend="reference"))
