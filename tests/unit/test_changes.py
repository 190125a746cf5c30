"""Parameters and sources that change between runs, against closed forms and networks described so from the start."""

import math
import os

import numpy as np
import pytest

import plasticity
import snn
from kernels.cpu import inputs as kinds
from kernels.errors import ShapeError
from snn.neurons.base import MODELS

ENGINES = [("clock", "cpu"), ("clock", "reference"), ("event", "cpu"), ("event", "reference")]


def simulation(net, engine="clock", backend="cpu", threads=1, **more):
    return snn.Simulation(net, dt=0.1, engine=engine, backend=backend, threads=threads, quiet=True, **more)


def relaxing(n=3, **params):
    net = snn.Network(seed=2)
    net.population("a", n, snn.LIFExp(e_l=-70.0, v_th=0.0, **params), init={"v": -60.0})
    net.record("a", "v")
    return net


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
def test_parameters_from_now_on(engine, backend):
    """V relaxes to E_L with the time constant of the time: a number, then an array, then a number again."""
    sim = simulation(relaxing(), engine, backend)
    v, taus = np.full(3, 10.0), [10.0, 25.0, np.array([5.0, 10.0, 40.0]), 8.0]
    for k, tau in enumerate(taus):
        if k:
            sim.set_parameters("a", tau_m=tau)
        sim.run(7.0)
        v = v * np.exp(-7.0 / np.asarray(tau))
        assert sim.state("a", "v") + 70.0 == pytest.approx(v, rel=1e-12)
    assert simulation(sim.net, engine, backend).net.populations["a"].model.params["tau_m"] == 10.0


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
def test_threshold_and_refractory_period(engine, backend):
    """Spikes at constant current: T = t_ref + tau ln((RI - v_r) / (RI - th)), with the parameters of the time."""
    net = snn.Network(seed=1)
    net.population("a", 2, snn.LIFExp(tau_m=10.0, c_m=250.0, e_l=0.0, v_reset=0.0, v_th=15.0, i_e=500.0, t_ref=2.0),
                   init={"v": 0.0})  # fmt: skip
    net.record("a")
    sim = simulation(net, engine, backend)
    assert len(sim.run(100.0).spikes["a"].times) == 2 * int(100.0 / (2.0 + 10.0 * math.log(20.0 / 5.0)) + 2.0 / 15.9)
    sim.set_parameters("a", v_th=np.array([5.0, 15.0]), t_ref=0.1)
    for _ in range(2):  # the second begins with the new parameters alone
        sim.set_state("a", "v", 0.0)
        found = sim.run(200.0).spikes["a"]
    for neuron, threshold in enumerate((5.0, 15.0)):
        intervals = np.diff(found.times[found.ids == neuron])
        wanted = 0.1 + 10.0 * math.log(20.0 / (20.0 - threshold))
        assert intervals.mean() == pytest.approx(wanted, abs=1e-9 if engine == "event" else 0.1)


OURS = sorted(name for name, model in MODELS.items() if model.__module__.startswith("snn.") and model.spec.params)


@pytest.mark.parametrize(
    ("name", "engine"), [(n, e) for n in OURS for e in ("clock", "event") if e == "clock" or MODELS[n].spec.closed_form]
)
def test_every_model(name, engine):
    """Set before the first step, to arrays, they are those of a model that was made with them, bit for bit."""
    model = MODELS[name]
    scaled = [
        p for p in model.spec.params if p.name.startswith("tau") or p.name in ("a", "b", "beta", "r", "c_m", "v_t")
    ]
    given = {p.name: p.default * np.array([1.0, 0.99, 0.98]) for p in scaled}
    given |= {p.name: p.default + np.array([0.0, 0.5, 0.9]) for p in model.spec.params if p.name == "t_ref"}
    found = []
    for made in (model(**given), model()):
        net = snn.Network(seed=1)
        a = net.population("a", 3, made)
        if "i_stim" in model.spec.arguments:
            net.input("i", a, snn.StepCurrent(400.0))
        variable = next(v.name for v in model.spec.state if v.dtype == "float")
        net.record(a, ["spikes", variable])
        sim = snn.Simulation(net, engine=engine, backend="reference", quiet=True)
        if found:
            sim.set_parameters(a, **given)
            for v in (v for v in model.spec.state if v.init in given):  # it began with the parameter as it was
                sim.set_state(a, v.name, given[v.init])
        result = sim.run(10.0)
        found.append((result.states["a"][variable], result.spikes["a"].times))
    assert np.array_equal(found[0][0], found[1][0]) and np.array_equal(found[0][1], found[1][1])
    assert np.any(np.ptp(found[0][0], axis=1) > 0.0) or np.unique(found[0][1]).size > 1, "the numbers must have told"


@pytest.mark.parametrize(("engine", "backend"), [("event", "cpu"), ("event", "reference")])
def test_room_for_more_spikes(engine, backend):
    """A neuron without refractory period may fire far more often in a window than there was room for."""
    net = snn.Network(seed=1)
    net.population("a", 100, snn.LIFExp(tau_m=10.0, c_m=250.0, e_l=0.0, v_reset=0.0, v_th=15.0, t_ref=50.0),
                   init={"v": 0.0})  # fmt: skip
    net.connect("a", "a", snn.one_to_one(), weight=0.0, delay=20.0)
    net.record("a")
    sim = simulation(net, engine, backend)
    sim.run(30.0)
    sim.set_parameters("a", t_ref=0.0, i_e=25.0 * 15.0 / -math.expm1(-0.5 / 10.0))  # fires every 0.5 ms
    assert len(sim.run(20.06).spikes["a"]) == 100 * 40


def network(rate=0.0, seed=5):
    net = snn.Network(seed=seed)
    a = net.population("a", 30, snn.LIFExp(t_ref=1.0), init={"v": snn.uniform(-70.0, -55.0)})
    s = net.population("s", 10, snn.Poisson(rate=rate))
    net.input("n", a, snn.Poisson(rate=4000.0), weight=45.0)
    net.input("i", a, snn.StepCurrent([100.0]))
    net.connect(s, a, snn.fixed_indegree(4), weight=50.0, delay=1.5, plasticity=plasticity.STDPPair(w_max=200.0))
    net.connect(a, a, snn.fixed_indegree(4), weight=20.0, delay=snn.uniform(1.0, 3.0))
    net.record(a)
    net.record(s)
    net.record(a, "v")
    return net


def same(one, other):
    assert np.array_equal(one.spikes["a"].times, other.spikes["a"].times)
    assert np.array_equal(one.spikes["a"].ids, other.spikes["a"].ids)
    assert np.array_equal(one.states["a"]["v"], other.states["a"]["v"])
    assert len(one.spikes["a"]) > 0


SOURCES = {
    "rate": ([snn.Poisson(500.0), snn.Poisson(4000.0)], snn.Poisson([500.0, 4000.0], times=[0.0, 33.3])),
    "rate of each": ([snn.Poisson(np.full(4, 9e3)), snn.Poisson(np.arange(4) * 5e3)],
                     snn.Poisson([np.full(4, 9e3), np.arange(4) * 5e3], times=[0.0, 33.3])),
    "shared": ([snn.Poisson(500.0, shared=True), snn.Poisson(4e3, shared=True)],
               snn.Poisson([500.0, 4e3], times=[0.0, 33.3], shared=True)),
    "spikes": ([snn.SpikeArray([3.0, 50.0], [0, 1]), snn.SpikeArray([10.0, 34.0, 60.0, 60.0], [1, 2, 3, 3])],
               snn.SpikeArray([3.0, 34.0, 60.0, 60.0], [0, 2, 3, 3])),
    "weights": ([snn.SpikeArray([3.0], [0], [2e3]), snn.SpikeArray([34.0, 60.0], [3, 1], [1700.0, 1950.0])],
                snn.SpikeArray([3.0, 34.0, 60.0], [0, 3, 1], [2e3, 1700.0, 1950.0])),
    "steps": ([snn.StepCurrent([600.0, 0.0], [0.0, 50.0]), snn.StepCurrent([[9e2, 1e2, 5e2, 7e2], [0, 0, 9e2, 0]],
                                                                           [10.0, 60.0])],
              snn.StepCurrent([[6e2] * 4, [9e2, 1e2, 5e2, 7e2], [0, 0, 9e2, 0]], [0.0, 33.3, 60.0])),
}  # fmt: skip


NOT_KEYED_BY_TIME = ("rate", "rate of each", "shared")  # in continuous time: trains that begin anew are others


@pytest.mark.parametrize(
    ("engine", "backend", "name"),
    [(*e, n) for e in ENGINES for n in SOURCES if e[0] == "clock" or n not in NOT_KEYED_BY_TIME],
)
def test_sources_as_described_ahead(engine, backend, name):
    """What is set at 33.3 ms gives the spikes of a source that was described with that change."""
    (first, second), whole = SOURCES[name]

    def driven(source):
        net = snn.Network(seed=4)
        net.population("a", 4, snn.LIFExp(t_ref=1.0), init={"v": -56.0})
        net.input("other", "a", snn.Poisson(3000.0), weight=20.0)
        weight = None if name in ("weights", "steps") else 900.0 if name == "spikes" else 120.0
        net.input("x", "a", source, weight)
        net.input("last", "a", snn.Poisson(1000.0), weight=30.0)
        net.record("a")
        net.record("a", "v")
        return net

    sim = simulation(driven(first), engine, backend)
    parts = [sim.run(33.3)]
    sim.set_source("x", second)
    parts.append(sim.run(50.0))
    found, wanted = snn.Result.concatenate(parts), simulation(driven(whole), engine, backend).run(83.3)
    if engine == "clock":
        same(found, wanted)
    else:  # where a spike lies between two events depends on both in the last bit
        assert np.array_equal(found.spikes["a"].ids, wanted.spikes["a"].ids) and len(found.spikes["a"]) > 0
        assert found.spikes["a"].times == pytest.approx(wanted.spikes["a"].times, rel=1e-12)
        assert found.states["a"]["v"] == pytest.approx(wanted.states["a"]["v"], rel=1e-9)
    assert sim.net.inputs["x"].source is first


TRAINS = {
    "rate": (snn.Poisson(4000.0), snn.Poisson(7000.0), 7000.0, 0.06),
    "silence": (snn.Poisson(4000.0), snn.Poisson(0.0), 0.0, 0.0),
    "after silence": (snn.Poisson(0.0), snn.Poisson(5000.0), 5000.0, 0.06),
    "each": (snn.Poisson(4000.0), snn.Poisson(np.arange(60) * 100.0), np.arange(60) * 100.0, 0.06),
    "each before": (snn.Poisson(np.arange(60) * 100.0), snn.Poisson(6000.0), 6000.0, 0.06),
    "segments": (snn.Poisson(4000.0), snn.Poisson([9000.0, 0.0, 2000.0], times=[0.0, 20.0, 40.0]), 2000.0, 0.04),
    "shared": (snn.Poisson(4000.0, shared=True), snn.Poisson(7000.0, shared=True), 7000.0, 0.06),
}


@pytest.mark.parametrize("name", TRAINS)
@pytest.mark.parametrize("at", [19.93, 20.0])
def test_trains_in_continuous_time(name, at, tmp_path):
    """Set at any time, in a window or between two: arrivals that nothing forgets are as many as the rates say; the same
    on two threads, on the reference engine and after a checkpoint."""
    first, second, rate, duration = TRAINS[name]

    def described():
        net = snn.Network(seed=9)
        a = net.population("a", 60, snn.IF(v_th=1e9, r=1.0))
        net.input("other", a, snn.Poisson(500.0), weight=1e-6)
        net.input("x", a, first, weight=1.0)
        net.connect(a, a, snn.one_to_one(), weight=0.0, delay=0.7)
        return net

    def go(backend, threads, resumed=False):
        sim = simulation(described(), "event", backend, threads)
        sim.run(at)
        before = sim.state("a", "v")
        sim.set_source("x", second)
        if resumed:
            sim.checkpoint(tmp_path / "c.h5")
            sim = snn.Simulation.resume(tmp_path / "c.h5", described(), threads=1, quiet=True)
        sim.run(80.0 - at)
        return np.floor(before), np.floor(sim.state("a", "v")) - np.floor(before), sim.state("a", "v")

    before, after, v = go("cpu", 1)
    others = [go("cpu", 2, resumed=True)] + [go("reference", 1)] * (at < 20.0)
    for other in others:
        assert np.array_equal(other[2], v)
    known = simulation(described(), "event")
    known.run(at)
    assert np.array_equal(np.floor(known.state("a", "v")), before)
    expected = np.broadcast_to(rate, 60) * duration
    if name == "shared":
        assert np.ptp(after) == 0.0 and abs(after[0] - expected[0]) < 4.0 * math.sqrt(expected[0])
        return
    assert np.all(after[expected == 0.0] == 0.0)
    assert abs(after.sum() - expected.sum()) <= 4.0 * math.sqrt(expected.sum())
    chi2 = np.sum((after - expected)[expected > 0] ** 2 / expected[expected > 0])
    assert abs(chi2 - np.sum(expected > 0)) < 5.0 * math.sqrt(2.0 * 60)


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
def test_populations_of_sources(engine, backend):
    def run(model, later):
        net = snn.Network(seed=4)
        net.population("s", 20, model)
        net.record("s")
        sim = simulation(net, engine, backend)
        parts = [sim.run(50.0)]
        if later:
            sim.set_source("s", later)
        return snn.Result.concatenate([*parts, sim.run(50.0)]).spikes["s"]

    one = run(snn.Poisson(0.0), snn.Poisson(400.0))
    other = run(snn.Poisson([0.0, 400.0], times=[0.0, 50.0]), None)
    assert np.array_equal(one.times, other.times) and np.array_equal(one.ids, other.ids) and len(one) > 200
    each = run(snn.Poisson(0.0), snn.Poisson(np.linspace(0.0, 900.0, 20)))  # rates of each, where one was before
    assert 300 < len(each) < 600 and np.all(each.ids > 0)
    spikes = run(snn.SpikeArray([1.0]), snn.SpikeArray([20.0, 70.0, 71.0], [0, 19, 3]))
    assert spikes.times == pytest.approx([1.0, 70.0, 71.0])
    if engine == "event":  # there is room for all that come
        assert len(run(snn.Poisson(10.0), snn.Poisson(1e5))) == pytest.approx(1e5, rel=0.02)
        return
    with pytest.raises(snn.ModelError, match="may emit .* spikes of an element in one step; this simulation has room"):
        run(snn.Poisson(10.0), snn.Poisson(1e6))


def test_room_for_rates_of_each():
    """No word gives more spikes than there is room for; what there is room for does not exceed it by far."""
    largest = kinds.poisson_count.py_func
    for mean in np.concatenate((np.geomspace(1e-9, 700.0, 400), np.linspace(0.1, 700.0, 400))):
        code = snn.Poisson(np.array([mean, mean * (1.0 - 1e-12), 0.5 * mean]) * 1e4).encode(0.1, 3, "x")
        most = max(largest(2**32 - 1, m) for m in code.values)
        assert most <= code.max_count <= max(8, most + 1)


def test_noise_goes_on():
    """Given the parameters that it has, a noise current is as if nothing was set; else its scale changes alone."""

    def run(source, later=None):
        net = snn.Network(seed=6)
        net.population("a", 5, snn.IF(v_th=1e9, r=1.0))
        net.input("x", "a", source)
        net.record("a", "v")
        sim = simulation(net)
        parts = [sim.run(20.0)]
        if later:
            sim.set_source("x", later)
        return np.diff(snn.Result.concatenate([*parts, sim.run(20.0)]).states["a"]["v"], axis=0)

    for make in (lambda s: snn.NoiseCurrent(0.0, s, dt=0.5), lambda s: snn.OrnsteinUhlenbeck(0.0, s, 3.0)):
        plain = run(make(2.0))
        assert np.array_equal(run(make(2.0), make(2.0)), plain)
    louder = run(snn.NoiseCurrent(0.0, 2.0, dt=0.5), snn.NoiseCurrent(0.0, 6.0, dt=0.5))
    assert louder[202:] == pytest.approx(3.0 * run(snn.NoiseCurrent(0.0, 2.0, dt=0.5))[202:], rel=1e-9)
    silent = run(snn.OrnsteinUhlenbeck(0.0, 2.0, 3.0), snn.OrnsteinUhlenbeck(0.0, 0.0, 3.0))[202:]
    assert silent[1:] == pytest.approx(math.exp(-0.1 / 3.0) * silent[:-1], rel=1e-6)


def steered(sim):
    """Runs with changes between them; what follows is to be the same wherever a checkpoint lies."""
    sim.run(20.0)
    sim.set_parameters("a", v_th=-57.0, tau_m=np.linspace(8.0, 20.0, 30))
    sim.set_parameters("a", i_e=snn.uniform(0.0, 100.0))
    sim.set_source("s", snn.Poisson(rate=200.0))
    sim.set_source("n", snn.Poisson(np.linspace(1e3, 8e3, 30)))
    sim.set_current("i", 250.0)
    sim.run(20.0)


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_checkpoints_hold_changes(engine, tmp_path):
    net = network()
    sim = simulation(net, engine)
    steered(sim)
    sim.checkpoint(tmp_path / "c.h5")
    rest = sim.run(30.0)
    for threads in (1, 2):
        again = snn.Simulation.resume(tmp_path / "c.h5", network(), threads=threads, quiet=True)
        same(again.run(30.0), rest)
    for x in (sim, again):  # nor do other changes forget those before
        x.set_parameters("a", v_th=-56.0)
        x.set_source(x.net.inputs["n"], snn.Poisson(2000.0))
    again.checkpoint(tmp_path / "d.h5")
    same(snn.Simulation.resume(tmp_path / "d.h5", network(), quiet=True).run(30.0), sim.run(30.0))
    os.remove(tmp_path / "c.h5")


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_threads_and_backends(engine):
    found = []
    for threads, backend in ((1, "cpu"), (2, "cpu"), (1, "reference")):
        sim = simulation(network(), engine, backend, threads)
        steered(sim)
        found.append(sim.run(30.0))
    same(found[0], found[1])
    same(found[0], found[2])


def test_what_is_refused():
    net = network()
    net.population("n", 2, snn.SpikeArray([1.0]))
    net.input("w", "a", snn.SpikeArray([1.0], [0], [5.0]))
    sim, event = simulation(net), simulation(network(), "event")
    before = sim.run(5.0), sim.state("a", "v")
    for call, text in (
        (lambda: sim.set_parameters("b", v_th=1.0), "no population 'b'"),
        (lambda: sim.set_parameters("s", rate=1.0), "'s' is a population of spike sources. Use set_source."),
        (lambda: sim.set_parameters("a", v_thh=1.0), "LIFExp.v_thh: no such parameter. Did you mean 'v_th'?"),
        (lambda: sim.set_parameters("a", v=1.0), "'v' is a state variable: use set_state."),
        (lambda: sim.set_parameters("a", tau_m=-1.0), "LIFExp.tau_m: must be > 0"),
        (lambda: sim.set_parameters("a", tau_m=[1.0, 2.0]), "LIFExp.tau_m: must be a number or of shape (30,)"),
        (lambda: sim.set_parameters("a", v_reset=-20.0), "must"),
        (lambda: event.set_parameters("a", v_reset=-20.0), "must"),
        (lambda: sim.set_source("x", snn.Poisson(1.0)), "no population of spike sources 'x'; there are n, i, w, s, n"),
        (lambda: sim.set_source("a", snn.Poisson(1.0)), "no population of spike sources 'a'"),
        (lambda: sim.set_source("n", snn.Poisson(1.0)), "'n' is an input and a population. Give the object"),
        (lambda: sim.set_source("s", snn.SpikeArray([1.0])), "Population 's'.model: must stay a Poisson"),
        (lambda: sim.set_source("s", 10.0), "Population 's'.model: must stay a Poisson; got 10.0"),
        (lambda: sim.set_source("s", snn.Poisson(1.0, shared=True)), "shared: cannot change"),
        (lambda: sim.set_source("s", snn.Poisson([1.0, 2.0])), "must have shape (10,)"),
        (lambda: sim.set_source("w", snn.SpikeArray([1.0])), "keep weights of their own, or have none"),
        (lambda: sim.set_source("w", snn.SpikeArray([1.0], [0], [-1.0])), "must keep their sign"),
        (lambda: sim.set_source(net.populations["n"], snn.SpikeArray([9.0], [2])), "must be < 2, the number of"),
        (lambda: event.set_source("s", snn.Poisson([1.0, 2.0])), "must have shape (10,)"),
        (lambda: event.set_source("i", snn.StepCurrent([[1.0, 2.0]])), "must have shape"),
    ):
        with pytest.raises((snn.ModelError, snn.ShapeError, snn.BackendUnavailable)) as error:
            call()
        assert text in str(error.value), error.value
    whole = simulation(net)
    assert np.array_equal(whole.run(5.0).states["a"]["v"], before[0].states["a"]["v"])
    same(sim.run(40.0), whole.run(40.0))  # nothing was changed


def test_a_source_used_again():
    """It cannot be changed, so that two inputs may share it, and what is set is what was given."""
    net, source = network(), snn.Poisson(rate=0.0)
    sim = simulation(net)
    sim.set_source("s", source)
    with pytest.raises(snn.ModelError, match=r"Poisson.rate: cannot be assigned or deleted. Make another; sim.set"):
        source.rate = 400.0
    assert len(sim.run(50.0).spikes["s"]) == 0
    sim.set_source("s", snn.Poisson(rate=400.0))
    assert len(sim.run(50.0).spikes["s"]) > 100


def charging(engine, backend, source, new, described=False):
    """V of four neurons long after; tau / C = 0.04 mV an pA s. Input "x" comes first, then a current that is set."""
    net = snn.Network(seed=1)
    a = net.population("a", 4, snn.LIFExp(v_th=1e3))
    net.input("x", a, new if described else source)
    net.input("i", a, snn.StepCurrent([[100.0, 200.0, 300.0, 400.0]]))
    net.input("p", a, snn.Poisson(rate=1000.0), weight=[1.0, 2.0, 3.0, 4.0])
    sim = simulation(net, engine, backend)
    sim.run(5.0)
    if not described:
        sim.set_source("x", new)
    sim.run(150.0)
    return sim


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_no_spikes_left(engine, backend, sign, tmp_path):
    """Inputs after one that is emptied keep their values; its sign stays that of the receptor that was chosen."""
    nothing = snn.SpikeArray([], [], [])
    sim = charging(engine, backend, snn.SpikeArray([9.0], [0], [10.0 * sign]), nothing)
    wanted = charging(engine, backend, None, nothing, described=True)
    assert np.array_equal(sim.state("a", "v"), wanted.state("a", "v"))
    assert np.all(np.diff(sim.state("a", "v")) > 4.0)
    sims = [sim]
    if backend == "cpu":
        sim.checkpoint(tmp_path / "c.h5")
        sims.append(snn.Simulation.resume(tmp_path / "c.h5", sim.net, quiet=True))
    for x in sims:
        with pytest.raises(snn.ModelError, match="must keep their sign"):
            x.set_source("x", snn.SpikeArray([160.0], [0], [-sign]))
        x.set_source("x", snn.SpikeArray([160.0], [0], [300.0 * sign]))
        x.run(6.0)
    wanted.run(6.0)
    change = sim.state("a", "v") - wanted.state("a", "v")
    assert sign * change[0] > 0.5 and np.all(change[1:] == 0.0)
    assert len({x.state("a", "v").tobytes() for x in sims}) == 1


@pytest.mark.parametrize("amplitude", [0.0, [[0.0, 0.0]]], ids=["number", "array"])
@pytest.mark.parametrize(("engine", "backend"), ENGINES)
def test_a_current_of_a_part(engine, backend, amplitude, tmp_path):
    """Set, it drives the neurons of the part alone, in its order; V = E_L + (tau / C) I (1 - exp(-t / tau))."""
    net = snn.Network(seed=3)
    a = net.population("a", 5, snn.LIFExp(v_th=1e3, tau_m=10.0, c_m=250.0, e_l=-70.0), init={"v": -70.0})
    net.input("x", a[[3, 1]], snn.StepCurrent(amplitude))
    sim = simulation(net, engine, backend)
    for given in (100.0, [100.0, 250.0]):
        sim.set_state("a", "v", -70.0)
        sim.set_current("x", given)
        sim.run(7.0)
        wanted = np.zeros(5)
        wanted[[3, 1]] = np.asarray(given) * 0.04 * -math.expm1(-0.7)
        assert sim.state("a", "v") + 70.0 == pytest.approx(wanted, rel=1e-9, abs=1e-9)
        with pytest.raises(snn.ShapeError, match=r"a number or of shape \(2,\)"):
            sim.set_current("x", np.zeros(5))
    if backend == "cpu":
        sim.checkpoint(tmp_path / "c.h5")
        again = snn.Simulation.resume(tmp_path / "c.h5", net, quiet=True)
        for x in (sim, again):
            x.run(20.0)
        assert np.array_equal(sim.state("a", "v"), again.state("a", "v")) and sim.state("a", "v")[1] > -62.0


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
def test_one_change_after_another(engine, backend, tmp_path):
    """Numbers that become arrays, call after call without a run between, in a checkpoint too."""
    net = relaxing()
    net.population("b", 3, snn.LIFExp(e_l=-70.0, v_th=0.0), init={"v": -60.0})
    net.record("b", "v")
    sim, taus, rests = simulation(net, engine, backend), np.array([5.0, 10.0, 40.0]), np.array([-70.0, -71.0, -72.0])
    sim.run(1.0)
    v = sim.state("a", "v"), sim.state("b", "v")
    sim.set_parameters("a", tau_m=taus)
    sim.set_parameters("a", e_l=rests)
    sim.set_parameters("b", tau_m=taus)
    sims = [sim]
    if backend == "cpu":
        sim.checkpoint(tmp_path / "c.h5")
        sims.append(snn.Simulation.resume(tmp_path / "c.h5", net, quiet=True))
    for x in sims:
        x.run(7.0)
        for name, before, rest in (("a", v[0], rests), ("b", v[1], -70.0)):
            assert x.state(name, "v") == pytest.approx(rest + (before - rest) * np.exp(-7.0 / taus), rel=1e-9)


@pytest.mark.parametrize(("engine", "module"), [("clock", "kernels.codegen"), ("event", "kernels.event.engine")])
def test_nothing_is_half_changed(engine, module, monkeypatch):
    """Whatever comes between, such as a full disk, or Ctrl-C, when a model is compiled."""
    sim, other = (simulation(relaxing(), engine) for _ in range(2))

    def fails(source):
        raise KeyboardInterrupt

    sim.run(1.0)
    with monkeypatch.context() as patched:
        patched.setattr(f"{module}.load", fails)
        with pytest.raises(KeyboardInterrupt):
            sim.set_parameters("a", tau_m=np.array([5.0, 10.0, 40.0]))
    other.run(1.0)
    for _ in range(2):
        assert np.array_equal(sim.run(5.0).states["a"]["v"], other.run(5.0).states["a"]["v"])
        for x in (sim, other):
            x.set_parameters("a", c_m=100.0, i_e=np.array([1.0, 2.0, 3.0]))


def test_steps_that_no_number_holds():
    sim = simulation(relaxing())
    with pytest.raises(snn.ModelError, match=r"LIFExp.n_ref of population 'a': must be below 2\*\*31.* got 1e\+16"):
        sim.set_parameters("a", t_ref=1e15)
    with pytest.raises(snn.ModelError, match=r"must be below 2\*\*31"):
        simulation(relaxing(t_ref=[1.0, 2.0, 3e8]))


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_records_tell_what_was_changed(engine, tmp_path):
    """With times and values, in memory and in files, before a resumed simulation too; nothing where nothing was."""
    sim, rates = simulation(network(), engine), np.linspace(1e3, 8e3, 30)
    first = sim.run(5.0)
    sim.set_parameters("a", v_th=-57.0, tau_m=rates)
    sim.set_source("s", snn.Poisson(rate=200.0))
    sim.set_current("i", 250.0)
    sim.set_weights("s->a", 10.0)
    sim.run(5.0)
    sim.learning("s->a", False)
    sim.checkpoint(tmp_path / "c.h5")
    again = snn.Simulation.resume(tmp_path / "c.h5", network(), quiet=True)
    again.set_state("a", "v", rates - 70.0)
    last = again.run(5.0, to=tmp_path / "r.h5")
    wanted = [
        (5.0, "set_parameters", "a"), (5.0, "set_source", "s"), (5.0, "set_current", "i"), (5.0, "set_weights", "s->a"),
        (10.0, "learning", "s->a"), (10.0, "set_state", "a"),
    ]  # fmt: skip
    assert first.provenance["changes"] == []
    found = last.provenance["changes"]
    assert [(row["t"], row["call"], row["name"]) for row in found] == wanted
    assert sim.run(5.0).provenance["changes"] == found[:-1]
    values = {row["call"]: row["values"] for row in found}
    assert values["set_parameters"]["v_th"] == -57.0
    assert values["set_parameters"]["tau_m"].startswith("array of shape (30,), 1000 to 8000, sha256 ")
    assert values["set_parameters"]["tau_m"] != values["set_state"]["v"]
    assert values["set_source"]["rate"] == 200.0 and values["set_current"] == {"values": 250.0}
    middle = simulation(network(), engine)
    one = middle.run(5.0)
    middle.set_parameters("a", v_th=-57.0)
    two = middle.run(5.0)
    whole = snn.Result.concatenate([one, two])
    assert whole.provenance["changes"] == two.provenance["changes"] != []


def test_a_closed_loop_is_told_in_short():
    sim = simulation(network())
    for k in range(250):
        sim.set_current("i", float(k))
        if k == 120:
            sim.set_parameters("a", v_th=-50.0)
    rows = sim.run(1.0).provenance["changes"]
    told = [(row["number"], row["values"]["values"]) for row in rows if row["call"] == "set_current"]
    assert told == [(k + 1, float(k)) for k in [*range(100), 249]]
    assert len(rows) == 102 and rows[-1]["number"] == 250


def test_what_is_given_is_copied(tmp_path):
    """A closed loop may write to the array that it gave: a checkpoint holds what was set."""
    net = relaxing()
    net.input("i", "a", snn.StepCurrent([[0.0, 0.0, 0.0]]))
    sim, current, taus = simulation(net), np.array([100.0, 200.0, 300.0]), np.array([5.0, 10.0, 40.0])
    sim.run(1.0)
    sim.set_current("i", current)
    sim.set_parameters("a", tau_m=taus)
    current[:], taus[:] = 7.0, 7.0
    sim.checkpoint(tmp_path / "c.h5")
    again = snn.Simulation.resume(tmp_path / "c.h5", net, quiet=True)
    assert np.array_equal(sim.run(20.0).states["a"]["v"], again.run(20.0).states["a"]["v"])


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
def test_parts(engine, backend, tmp_path):
    """What is set of a part leaves the others as they are; V relaxes to E_L with each neuron's time constant."""
    net = relaxing(5, tau_m=snn.uniform(9.0, 11.0))
    a = net.populations["a"]
    sim = simulation(net, engine, backend)
    before = sim.run(3.0).states["a"]["v"]
    taus = -0.1 / np.log((before[10] + 70.0) / (before[9] + 70.0))  # as they were drawn
    assert np.ptp(taus) > 0.1
    part = a[[3, 0]]
    sim.set_parameters(part, tau_m=[20.0, 30.0])
    sim.set_parameters(a[1:2], tau_m=40.0)
    sim.set_state(part, "v", [-50.0, -40.0])
    taus[[3, 0, 1]] = 20.0, 30.0, 40.0
    v = before[-1].copy()
    v[[3, 0]] = -50.0, -40.0
    assert np.array_equal(sim.state(part, "v"), [-50.0, -40.0])
    sims = [sim]
    if backend == "cpu":
        sim.checkpoint(tmp_path / "c.h5")
        sims.append(snn.Simulation.resume(tmp_path / "c.h5", net, quiet=True))
    for x in sims:
        x.run(7.0)
        assert x.state(a, "v") + 70.0 == pytest.approx((v + 70.0) * np.exp(-7.0 / taus), rel=1e-9)
    for call in (lambda: sim.set_state(part, "v", np.zeros(5)), lambda: sim.set_parameters(part, tau_m=np.ones(5))):
        with pytest.raises(snn.ShapeError, match=r"shape \(2,\)"):
            call()
    drawn = simulation(net, engine, backend)
    drawn.set_parameters(part, e_l=snn.uniform(-50.0, -40.0))
    drawn.run(200.0)
    assert np.all(drawn.state(part, "v") > -51.0) and np.all(drawn.state(a[[1, 2, 4]], "v") < -69.9)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_a_current_of_one_amplitude_takes_an_array(backend, tmp_path):
    """The same as one that has an amplitude for each neuron from the beginning, also from a checkpoint."""
    given = np.linspace(0.0, 400.0, 30)

    def runs(amplitude, path):
        net = snn.Network(seed=1)
        net.population("s", 3, snn.Poisson(500.0))
        a = net.population("a", 30, snn.LIFExp())
        net.connect("s", a, snn.all_to_all(), weight=50.0)
        net.input("other", a, snn.StepCurrent([20.0, 90.0], [0.0, 7.0]))
        net.input("i", a, snn.StepCurrent(amplitude))
        net.record(a, "v")
        sim = simulation(net, backend=backend)
        parts = [sim.run(5.0)]
        sim.set_current("i", given)
        parts.append(sim.run(5.0))
        again = sim
        if backend == "cpu":
            sim.checkpoint(path)
            again = snn.Simulation.resume(path, net, quiet=True)
        for each in (sim, again):
            each.set_current("i", 300.0)
            parts.append(each.run(5.0))
            each.set_current("i", given[::-1])
            parts.append(each.run(5.0))
        return np.concatenate([x.states["a"]["v"] for x in parts])

    np.testing.assert_array_equal(runs(100.0, tmp_path / "a.h5"), runs([[100.0] * 30], tmp_path / "b.h5"))


def test_refusals_show_arrays_in_a_line():
    net = snn.Network(seed=1)
    a = net.population("a", 500, snn.LIFDelta())
    net.input("i", a, snn.StepCurrent(100.0))
    sim = snn.Simulation(net, quiet=True)
    shown = r"got array of shape \(499,\), 0 to 498.$"
    with pytest.raises(ShapeError, match=r"must be finite, a number or of shape \(500,\); " + shown):
        sim.set_current("i", np.arange(499.0))
    with pytest.raises(ShapeError, match=r"must be finite, a number or of shape \(500,\); " + shown):
        sim.set_state("a", "v", np.arange(499.0))
    with pytest.raises(
        snn.ModelError, match=r"LIFDelta.v_reset: must be below v_th; got v_reset=-60.0, v_th=-60.5 at index 499"
    ):
        sim.set_parameters("a", v_reset=np.linspace(-70.0, -60.0, 500), v_th=-55.0 - 5.5 * (np.arange(500) == 499))
    with pytest.raises(snn.ModelError, match=r"'b'.init\['v'\]: must be finite; got array of shape \(500,\)"):
        net.population("b", 500, snn.LIFDelta(), init={"v": np.full(500, np.nan)})
