"""The event engine: compiled equals reference bit for bit, however it is cut; the clock engine converges to it."""

import math

import numpy as np
import pytest

import snn
from snn.neurons.base import MODELS

DURATION = 60.0
CLOSED = sorted(name for name, model in MODELS.items() if model.spec.closed_form is not None)


def drive(spec):
    """(spikes a second, weight) of each receptor that make every model fire."""
    defaults = {p.name: p.default for p in spec.params}
    units = {"mV": 2.0, "pA": 1200.0 * 2.0 / defaults.get("tau_syn_ex", 2.0), "nS": 60.0, "1": 0.4, "ms": 4.0}
    return {r.name: (200.0, -0.2 * units[r.unit]) if r.sign < 0 else (900.0, units[r.unit]) for r in spec.receptors}


def network(model, seed=3):
    """Two populations of ``model`` with every kind of edge storage and of input."""
    spec = model.spec
    net = snn.Network(seed=seed)
    a = net.population("a", 37, model())
    b = net.population("b", 9, model())
    rng = np.random.default_rng(seed)
    src = net.population("src", 5, snn.Poisson(rate=300.0))
    given = net.population("given", 4, snn.SpikeArray([0.0, 1.0, 1.0, 2.357, 7.0, 7.0], [1, 0, 3, 1, 2, 2]))
    for receptor, (rate, w) in drive(spec).items():
        segments = snn.Poisson([0.0, rate, 0.3 * rate], times=[0.0, 5.05, 22.2], start=1.0, stop=51.7)
        for kind, target, source in (
            ("noise", a, snn.Poisson(rate=rate)),
            ("each", b, snn.Poisson(rate=np.linspace(0.0, 2 * rate, 9))),
            ("segments", a, segments),
            ("each changes", b, snn.Poisson(np.outer([0.0, rate, 0.3 * rate], np.linspace(0.0, 2.0, 9)),
                                            times=[0.0, 5.05, 22.2], start=1.0, stop=51.7)),
            ("shared", b, snn.Poisson(rate=0.2 * rate, shared=True)),
            ("array", b, snn.SpikeArray(rng.uniform(0.0, DURATION, 50), rng.integers(0, 9, 50), w * rng.random(50))),
        ):  # fmt: skip
            weight = None if kind == "array" else 0.5 * w
            net.input(f"{kind} {receptor}", target, source, weight=weight, receptor=receptor)
        low, high = sorted((0.1 * w, 0.5 * w))
        for kind, pre, post, rule, weight, delay in (
            ("cc", a, b, snn.fixed_indegree(3), 0.3 * w, 1.5),
            ("vc", b, a, snn.fixed_total_number(20), snn.uniform(low, high), 0.731),
            ("cv", a, a, snn.pairwise_bernoulli(0.15), 0.2 * w, snn.normal(1.5, 0.7, low=0.4)),
            ("vv", src, b, snn.all_to_all(), w * rng.random((5, 9)), snn.uniform(0.4, 40.0)),
            ("given", given, a, snn.fixed_outdegree(6), w, 0.4),
        ):
            net.connect(pre, post, rule, weight=weight, delay=delay, receptor=receptor, name=f"{kind} {receptor}")
    if spec.current_unit:
        at = [3.017, 9.0, 33.3]
        unit = 1.0 if spec.current_unit == "pA" else 0.01
        steps = unit * np.array([np.arange(9.0), np.full(9, 40.0), np.zeros(9)])
        net.input("step", b, snn.StepCurrent(steps, times=at))
        net.input("all", a, snn.StepCurrent([30.0 * unit, -10.0 * unit], times=[0.0, 20.02]))
    for p in (a, b):
        net.record(p)
        for var in spec.state:
            if var.dtype == "float":
                net.record(p, var.name, every=0.3)
    for p in (src, given):
        net.record(p)
    return net


def outcome(net, cuts=(DURATION,), checkpoint=None, **options):
    """Spikes by population, samples by population and variable, state at the end; ``cuts``: duration of each run.

    ``checkpoint``: a file, by which the simulation goes from run to run, on one thread more each time.
    """
    sim = snn.Simulation(net, engine="event", quiet=True, **options)
    parts = []
    for duration in cuts:
        parts.append(sim.run(duration))
        if checkpoint:
            sim.checkpoint(checkpoint)
            sim = snn.Simulation.resume(checkpoint, net, threads=sim.threads + 1, quiet=True)
    spikes = {
        name: tuple(np.concatenate([getattr(p.spikes[name], k) for p in parts]) for k in ("times", "ids"))
        for name in parts[0].spikes
    }
    traces = {
        (name, variable): np.concatenate([p.states[name][variable] for p in parts])
        for name in parts[0].states
        for variable in parts[0].states[name]
    }
    return spikes, traces, {key: sim.state(*key) for key in traces}


def assert_equal(one, other):
    for name in one[0]:
        for x, y in zip(one[0][name], other[0][name], strict=True):
            np.testing.assert_array_equal(x, y, err_msg=name)
    for x, y in zip(one[1:], other[1:], strict=True):
        for key in x:
            np.testing.assert_array_equal(x[key], y[key], err_msg=str(key))


def sparse(seed=5):
    """Windows of a few single events, some of them for one neuron, among neurons that fire by themselves."""
    net = snn.Network(seed=seed)
    source = net.population("source", 12, snn.Poisson(rate=25.0))
    cells = [
        net.population("silent", 40, snn.LIFExp(i_e=0.0)),
        net.population("pacemaker", 30, snn.LIFExp(i_e=np.linspace(300.0, 500.0, 30))),
        net.population("pair", 2, snn.LIFDelta()),
    ]
    for cell, fan, w in zip(cells, (9, 7, 2), (2500.0, 60.0, 6.0), strict=True):
        net.connect(source, cell, snn.fixed_outdegree(fan), weight=snn.uniform(0.2 * w, w), delay=snn.uniform(0.4, 3.0))
        net.connect(cell, cells[1], snn.fixed_outdegree(5), weight=snn.uniform(-20.0, 0.0), delay=snn.uniform(0.5, 4.0))
        net.record(cell)
        net.record(cell, "v", every=0.7)
    return net


@pytest.fixture(scope="module")
def reference():
    """Outcome of the reference engine, by model."""
    known = {}

    def get(name):
        if name not in known:
            known[name] = outcome(network(MODELS[name]), backend="reference")
        return known[name]

    return get


def test_models():
    assert {"LIFDelta", "LIFExp", "LIFAlpha", "LIFCondExp", "IF"} <= set(CLOSED)


@pytest.mark.parametrize("name", CLOSED)
def test_compiled_equals_reference(name, reference):
    expected = reference(name)
    for p in "ab":
        assert len(expected[0][p][0]) > 20, "a silent network tests little"
        times = expected[0][p][0]
        assert np.all(np.diff(times) >= 0) and len(np.unique(times)) > 0.9 * len(times)
    for threads in (1, 2, 3, 4):
        assert_equal(expected, outcome(network(MODELS[name]), threads=threads))


@pytest.mark.parametrize("name", CLOSED)
@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_cut_anywhere(name, backend, reference, tmp_path):
    # sums of these numbers are exact, so all end at the same time
    for cuts in ((3.75, 0.0, 56.25), (0.0625, 0.0625, 31.4375, 2.0**-20, 28.4375 - 2.0**-20)):
        assert sum(cuts) == DURATION
        assert_equal(reference(name), outcome(network(MODELS[name]), cuts, backend=backend))
        if backend == "cpu":
            assert_equal(reference(name), outcome(network(MODELS[name]), cuts, tmp_path / "state.h5", threads=1))


def test_few_events_at_a_time():
    want = outcome(sparse(), (400.0,), backend="reference")
    assert all(len(want[0][name][0]) > 20 for name in want[0])
    for threads in (1, 3):
        assert_equal(want, outcome(sparse(), (400.0,), threads=threads))
    assert_equal(want, outcome(sparse(), (100.3, 0.2, 0.05, 299.45)))


def test_cut_at_every_spike(reference):
    """A run that stops just at, before or after a spike loses none and doubles none."""
    whole = reference("LIFExp")[0]
    spikes = whole["a"][0][::7]
    stops = np.unique(np.concatenate((spikes, np.nextafter(spikes, 0.0), np.nextafter(spikes, 99.0))))
    sim = snn.Simulation(network(MODELS["LIFExp"]), engine="event", quiet=True)
    times, ids = [], []
    for stop in [*stops, DURATION]:
        while sim.t < stop:  # a duration is added to the time, which may round
            record = sim.run(stop - sim.t).spikes["a"]
            times.append(record.times)
            ids.append(record.ids)
    np.testing.assert_array_equal(np.concatenate(times), whole["a"][0])
    np.testing.assert_array_equal(np.concatenate(ids), whole["a"][1])


def test_parameters_that_vary():
    net = snn.Network(seed=5)
    model = snn.LIFExp(tau_m=snn.uniform(5.0, 20.0), i_e=np.linspace(300.0, 600.0, 17), t_ref=snn.uniform(1.0, 3.0))
    pop = net.population("a", 17, model, init={"v": snn.normal(-65.0, 3.0)})
    net.record(pop)
    net.record(pop, "v")
    expected = outcome(net, backend="reference")
    assert len(expected[0]["a"][0]) > 20
    for threads in (1, 3):
        assert_equal(expected, outcome(net, threads=threads))


def arrays(seed=4, n=60, grid=None, strength=1.0, span=DURATION):
    """Edges (source, target, weight, delay) of ``n`` neurons and input (times, ids, weights); on a grid if given."""
    rng = np.random.default_rng(seed)
    source, target = rng.integers(0, n, (2, 8 * n))
    weight = np.where(source < 0.8 * n, 1.0, -4.0) * strength * rng.uniform(0.1, 0.3, 8 * n)
    delay, times = rng.uniform(0.8, 6.0, 8 * n), np.sort(rng.uniform(1.0, span, round(1.5 * n * span)))
    if grid:
        delay, times = np.rint(delay / grid) * grid, np.rint(times / grid) * grid
    return (source, target, weight, delay), (times, rng.integers(0, n, len(times)), strength * rng.random(len(times)))


def from_arrays(model, edges, given, n=60, number=None):
    """The network of :func:`arrays`, neuron k numbered ``number[k]``."""
    (source, target, weight, delay), (times, ids, weights) = edges, given
    number = np.arange(n) if number is None else number
    net = snn.Network(seed=1)
    pop = net.population("pop", n, model)
    if len(source):
        net.connect(pop, pop, snn.from_arrays(number[source], number[target]), weight=weight, delay=delay)
    net.input("given", pop, snn.SpikeArray(times, number[ids], weights))
    net.record(pop)
    return net


@pytest.mark.parametrize("threads", [1, 3])
def test_permutation_of_ids(threads):
    edges, given = arrays(strength=300.0)
    number = np.random.default_rng(9).permutation(60)
    spikes = [
        snn.Simulation(from_arrays(snn.LIFExp(), edges, given, number=n), engine="event", threads=threads, quiet=True)
        .run(DURATION)
        .spikes["pop"]
        for n in (None, number)
    ]
    assert len(spikes[0]) > 100
    np.testing.assert_array_equal(spikes[0].times, spikes[1].times)
    np.testing.assert_array_equal(number[spikes[0].ids], spikes[1].ids)


# Model, parameters and strength of `arrays` at which most neurons fire, by crossing threshold between arrivals.
CASES = {
    "LIFDelta, biased": ("LIFDelta", {"i_e": 400.0, "t_ref": 2.125}, 1.5),
    "LIFExp": ("LIFExp", {}, 400.0),
    "LIFExp, equal time constants": ("LIFExp", {"tau_syn_ex": 10.0, "tau_syn_in": 10.0}, 120.0),
    "LIFExp, biased": ("LIFExp", {"i_e": 300.0, "tau_syn_ex": 5.0}, 90.0),
    "LIFAlpha": ("LIFAlpha", {"tau_syn_ex": 1.0}, 300.0),
    "LIFCondExp": ("LIFCondExp", {}, 40.0),
    "NIRCubaLIF, biased": ("NIRCubaLIF", {"i_e": 0.8}, 0.2),
    "IF, biased": ("IF", {"i_e": 0.03}, 0.3),
    "QIF, biased": ("QIF", {"i_e": 150.0}, 2.0),
}
APPROXIMATE = {"LIFCondExp"}  # below threshold too; Runge-Kutta
# All steps below divide GRID, so that delays and input are the same in both engines. Nothing arrives at END (the clock
# engine sees what happens just before it), or at the end of a refractory period (the last that is lost there, the first
# that is not here).
GRID, END = 0.5, DURATION + 0.25  # ms


def clock_and_event(case, dt, edges, given):
    model, params, _ = CASES[case]
    net = from_arrays(getattr(snn, model)(**params), edges, given)
    return [snn.Simulation(net, dt=dt, engine=e, quiet=True).run(END).spikes["pop"] for e in ("clock", "event")]


def test_every_model_has_a_case():
    assert {case[0] for case in CASES.values()} == set(CLOSED)


@pytest.mark.parametrize("case", [c for c in CASES if CASES[c][0] not in APPROXIMATE])
def test_first_spikes_are_those_of_the_grid_rounded_up(case):
    """Up to the first spike both engines compute the same potential; the grid then sees it at the end of a step."""
    _, given = arrays(grid=GRID, strength=CASES[case][2])
    clock, event = clock_and_event(case, 2.0**-6, ([], [], [], []), given)
    first = [{i: t[r == i][0] for i in np.unique(r)} for t, r in ((clock.times, clock.ids), (event.times, event.ids))]
    assert len(first[1]) > 40
    assert first[0].keys() == first[1].keys()
    for i, t in first[1].items():
        assert first[0][i] == pytest.approx(math.ceil(t * 2**6 - 1e-9) / 2**6, abs=1e-9)


def test_arrivals_on_the_grid_make_the_same_spikes():
    """LIFDelta without a bias fires at arrivals alone; where these lie on the grid, so do all spikes."""
    edges, given = arrays(grid=GRID, strength=8.0)
    net = from_arrays(snn.LIFDelta(t_ref=2.125), edges, given)
    clock, event = (
        snn.Simulation(net, dt=2.0**-5, engine=e, quiet=True).run(END).spikes["pop"] for e in ("clock", "event")
    )
    assert len(event) > 500
    np.testing.assert_array_equal(clock.times, event.times)
    np.testing.assert_array_equal(clock.ids, event.ids)


def grid_errors(case, steps, seed=5):
    """Lateness in ms of each spike of the clock engine, for each step; None where a step makes other spikes."""
    edges, given = arrays(seed, grid=GRID, strength=CASES[case][2])
    errors = []
    for dt in steps:
        clock, event = clock_and_event(case, float(dt), edges, given)
        (times, counts), (exact, exact_counts) = (
            (r.times[np.lexsort((r.times, r.ids))], np.bincount(r.ids, minlength=60)) for r in (clock, event)
        )
        errors.append(times - exact if np.array_equal(counts, exact_counts) else None)
    return errors


@pytest.mark.parametrize("case", CASES)
def test_clock_converges_to_event(case):
    """The clock engine sees a spike up to a step late, so errors of a network that contracts fall as dt."""
    steps = 2.0 ** -np.arange(9, 13)  # some coarser ones make other spikes
    late = grid_errors(case, steps)
    assert all(e is not None and len(e) > 100 for e in late), "other spikes"
    mean = np.array([np.abs(e).mean() for e in late])
    assert 0.8 < np.polyfit(np.log2(steps), np.log2(mean), 1)[0] < 1.2
