"""Connection rules: who reaches whom, with which weight and delay, however many threads and blocks there are."""

import math

import numpy as np
import pytest
import scipy.sparse
from scipy import stats

import plasticity
import snn
from snn.io.sonata_edges import write_edges

DT = 0.1
SILENT = {"e_l": 0.0, "v_reset": 0.0, "v_th": 1e9}  # a target that never fires, at rest at 0 mV


def simulation(rule, n_source=50, n_target=None, seed=1, threads=1, positions=None, wrap=None, **options):
    """A projection "p" from "a" to "b", or from "a" to itself where n_target is None."""
    net = snn.Network(seed=seed)
    place = {"positions": positions, "wrap": wrap}
    a = net.population("a", n_source, snn.LIFDelta(), **place)
    b = a if n_target is None else net.population("b", n_target, snn.LIFDelta(), **place)
    net.connect(a, b, rule, name="p", **{"weight": 0.1, "delay": 1.5, **options})
    return snn.Simulation(net, dt=DT, threads=threads, quiet=True)


def draw(rule, *args, **options):
    """(sources, targets) of the projection."""
    return simulation(rule, *args, **options).connections("p")[:2]


def table(compiled):
    """All compiled edges, sorted: source population, source, target population, receptor, target, weight, delay."""
    t, rows = compiled.tables, []
    for kind, e in zip(compiled.kinds, compiled.edges, strict=True):
        source_of = np.searchsorted(e.by_source, np.arange(len(e.at)), side="right") - 1
        for g in range(len(e.at)):
            for b in range(len(t.lo)):
                at = e.at[g] + b * (e.n_source[g] + 1)
                row = e.rows[at : at + e.n_source[g] + 1]
                source = np.repeat(np.arange(e.n_source[g]), np.diff(row))
                place = e.targets[row[0] : row[-1]].astype(np.int64)
                if kind == "bc":  # bits, and in the rows what repeats one
                    words = e.bits[e.bits_at[g, b] :][: e.n_source[g] * e.words[g, b]].reshape(e.n_source[g], -1)
                    first, bit = np.nonzero(np.unpackbits(words.view(np.uint8), axis=1, bitorder="little"))
                    source, place = np.append(source, first), np.append(place, bit + e.base[g, b])
                pop = np.searchsorted(t.acc[b], place, side="right") - 1
                receptor, neuron = np.divmod(place - t.acc[b, pop], (t.hi - t.lo)[b, pop])
                part = slice(row[0], row[-1])
                w = e.weights[part] if kind[0] == "v" else np.full(len(place), e.weight[g])
                d = e.delays[part] if kind[1] == "v" else np.full(len(place), e.delay[g])
                first = np.full(len(place), source_of[g])
                rows.append(np.column_stack((first, source, pop, receptor, neuron + t.lo[b, pop], w, d)))
    out = np.concatenate([*rows, np.empty((0, 7))])
    return out[np.lexsort(out.T[::-1])]


def arrivals(weight, delay, rule, n_source, n_target, threads=1, model=None):
    """Let source i fire once, alone, at 8 i + 1 ms; returns {(source, target, delay in steps): weight that arrived}."""
    net = snn.Network(seed=4)
    times = 8.0 * np.arange(n_source) + 1.0
    a = net.population("a", n_source, snn.SpikeArray(times, np.arange(n_source)))
    b = net.population("b", n_target, model or snn.LIFDelta(**SILENT))
    net.connect(a, b, rule, name="p", weight=weight, delay=delay)
    net.record(b, "v")
    sim = snn.Simulation(net, dt=DT, threads=threads, quiet=True)
    v = sim.run(8.0 * n_source + 1.0).states["b"]["v"]
    jump = np.diff(v, axis=0, prepend=0.0)
    jump[1:] = v[1:] - v[:-1] * math.exp(-DT / 10.0)
    found = {}
    for step, target in zip(*np.nonzero(np.abs(jump) > 1e-9), strict=True):
        since = step + 1 - 10  # steps since the first spike, at step 10
        found[since // 80, int(target), since % 80] = jump[step, target]
    return found, sim


def uniform_pvalue(chosen, n, draws, per_draw):
    """Chi-square of how often each of ``n`` was chosen; ``per_draw`` of them at a time without repetition in each of
    ``draws`` (1 where repetition is allowed): the covariance is then smaller by (n - per_draw) / (n - 1)."""
    expected = draws * per_draw / n
    statistic = np.sum((np.bincount(chosen, minlength=n) - expected) ** 2) / (expected * (n - per_draw) / (n - 1))
    return 2 * min(stats.chi2.cdf(statistic, n - 1), stats.chi2.sf(statistic, n - 1))


# degrees ------------------------------------------------------------------------------------------------------------

# 40 <= 99 // 2 < 60: picking by rejection, and by leaving out the complement. 32 p-values: alpha 0.01 / 32.
FLAGS = [(d, auto, multi) for d in (7, 40, 60, 99) for auto in (True, False) for multi in (True, False)]


@pytest.mark.parametrize(("degree", "autapses", "multapses"), FLAGS)
@pytest.mark.parametrize("rule", [snn.fixed_indegree, snn.fixed_outdegree])
def test_fixed_degree(rule, degree, autapses, multapses):
    n = 100
    sources, targets = draw(rule(degree, autapses=autapses, multapses=multapses), n)
    near, far = (targets, sources) if rule is snn.fixed_indegree else (sources, targets)
    assert np.all(np.bincount(near, minlength=n) == degree) and np.all(np.diff(targets) >= 0)
    assert far.min() >= 0 and far.max() < n
    pairs, own = len(np.unique(near * n + far)), np.sum(near == far)
    assert (own == 0) or autapses
    assert (pairs == n * degree) or multapses
    if autapses and degree > 7:
        assert own > 0
    if multapses and degree > 7:
        assert pairs < n * degree
    choices = n if autapses else n - 1
    offset = (far - near) % n - (0 if autapses else 1)
    if multapses:
        assert uniform_pvalue(offset, choices, n * degree, 1) > 0.01 / 32
    elif degree < choices:
        assert uniform_pvalue(offset, choices, n, degree) > 0.01 / 32
    else:
        assert np.all(np.bincount(offset, minlength=choices) == n)


def test_fixed_degree_between_two_populations():
    """Unequal sizes; without autapses neuron k may still reach neuron k of another population."""
    sources, targets = draw(snn.fixed_indegree(3, autapses=False, multapses=False), 5, 400)
    assert np.all(np.bincount(targets) == 3) and np.any(sources == targets)
    assert uniform_pvalue(sources, 5, 400, 3) > 0.001
    sources, targets = draw(snn.fixed_outdegree(300, autapses=False, multapses=False), 5, 400)
    assert np.all(np.bincount(sources) == 300) and np.any(sources == targets)
    assert len(np.unique(sources * 400 + targets)) == 1500


def test_whole_range_is_reached():
    """More sources than 16 bits number."""
    n = 2**16 + 100
    sources, targets = draw(snn.fixed_indegree(200_000), n, 2)
    assert np.bincount(targets).tolist() == [200_000, 200_000]
    assert sources.min() < 100 and n - 100 < sources.max() < n
    assert uniform_pvalue(sources * 64 // n, 64, 400_000, 1) > 0.001


def test_fixed_total_number():
    """Targets by the multinomial law, sources uniform; two p-values for each of two cases: alpha 0.01 / 4 each."""
    for number, autapses in ((20_001, True), (20_003, False)):
        sources, targets = draw(snn.fixed_total_number(number, autapses=autapses), 60)
        assert len(sources) == number
        assert (np.sum(sources == targets) > 0) == autapses
        for ids in (sources, targets):
            assert uniform_pvalue(ids, 60, number, 1) > 0.01 / 4
    for number in range(10):
        assert len(draw(snn.fixed_total_number(number), 3, 4)[0]) == number


@pytest.mark.parametrize("autapses", [True, False])
@pytest.mark.parametrize("p", [0.003, 0.1, 0.5, 0.97])
def test_pairwise_bernoulli(p, autapses):
    """Number of edges (binomial), variance of in- and outdegrees (chi-square): 3 p-values, 8 cases, alpha 0.01 / 24."""
    n = 300
    sources, targets = draw(snn.pairwise_bernoulli(p, autapses=autapses), n)
    assert len(np.unique(targets * n + sources)) == len(sources)
    own = np.sum(sources == targets)
    assert own == 0 if not autapses else True
    choices = n if autapses else n - 1
    assert stats.binomtest(len(sources), n * choices, p).pvalue > 0.01 / 24
    for ids in (sources, targets):
        counts = np.bincount(ids, minlength=n)
        statistic = np.sum((counts - choices * p) ** 2) / (choices * p * (1 - p))
        assert 0.01 / 48 < stats.chi2.cdf(statistic, n) < 1 - 0.01 / 48
    if autapses:
        assert stats.binomtest(int(own), n, p).pvalue > 0.001


def test_pairwise_bernoulli_ends():
    assert len(draw(snn.pairwise_bernoulli(0.0), 9)[0]) == 0
    assert len(draw(snn.pairwise_bernoulli(5e-324), 9)[0]) == 0
    sources, targets = draw(snn.pairwise_bernoulli(1.0), 9, 5)
    np.testing.assert_array_equal(sources, np.tile(np.arange(9), 5))
    np.testing.assert_array_equal(targets, np.repeat(np.arange(5), 9))
    sources, targets = draw(snn.pairwise_bernoulli(1, autapses=False), 9)
    assert len(sources) == 72 and not np.any(sources == targets)


EMPTY = [
    snn.fixed_indegree(0), snn.fixed_outdegree(0), snn.fixed_total_number(0), snn.pairwise_bernoulli(0.0),
    snn.from_arrays([], []), snn.distance_dependent(lambda d: 0.0 * d),
]  # fmt: skip


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("rule", EMPTY, ids=lambda rule: repr(rule).split("(")[0])
def test_empty_projection(rule, threads):
    sim = simulation(rule, 6, threads=threads, positions=np.zeros((6, 2)))
    assert [len(x) for x in sim.connections("p")] == [0, 0, 0, 0] and sim.compiled.n_edges == 0
    sim.run(5.0)
    assert np.all(sim.state("a", "v") == -70.0)


@pytest.mark.parametrize("engine", ["clock", "event"])
@pytest.mark.parametrize("rule", [snn.pairwise_bernoulli(0.0), snn.from_arrays([], [])], ids=["drawn", "given"])
def test_delays_of_no_edges(rule, engine):
    """They bound no axonal delay and no window: all is as if the projection were not there."""

    def run(empty, **options):
        net = snn.Network(seed=2)
        s = net.population("s", 20, snn.Poisson(300.0), positions=np.zeros((20, 1)))
        t = net.population("t", 20, snn.LIFDelta(), positions=np.ones((20, 1)))
        net.connect(s, t, snn.fixed_indegree(5), weight=4.0, delay=2.0, plasticity=plasticity.STDPPair(w_max=9.0))
        for name, learns in (("a", plasticity.STDPPair(w_max=9.0)), ("b", None)) if empty else ():
            net.connect(s, t, rule, delay=lambda d: 0.6 + d, axonal_delay=0.4, name=name, plasticity=learns)
        net.record(t)
        sim = snn.Simulation(net, engine=engine, quiet=True, **options)
        if engine == "clock":
            assert sim.compiled.tables.window == 20
        spikes = sim.run(60.0).spikes["t"]
        return [spikes.times, spikes.ids, sim.connections("s->t")[2]]

    wanted = run(False)
    assert len(wanted[0]) > 20
    for options in ({"backend": "reference"}, {"threads": 2}):
        for x, y in zip(wanted, run(True, **options), strict=True):
            np.testing.assert_array_equal(x, y)


# given edges --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 3])
def test_all_to_all_arrays(threads):
    rng = np.random.default_rng(1)
    weight, delay = rng.uniform(0.5, 1.0, (4, 6)), rng.integers(1, 60, (4, 6)) * DT
    found, sim = arrivals(weight, delay, snn.all_to_all(), 4, 6, threads)
    assert len(found) == 24
    for (i, j, steps), w in found.items():
        assert abs(w - weight[i, j]) < 1e-9 and steps == round(delay[i, j] / DT)
    sources, targets, w, d = sim.connections("p")
    np.testing.assert_array_equal(w, weight[sources, targets])
    np.testing.assert_allclose(d, delay[sources, targets], rtol=1e-12)
    np.testing.assert_array_equal(targets, np.repeat(np.arange(6), 4))


def test_all_to_all_without_autapses():
    weight = np.arange(9.0).reshape(3, 3)
    sources, targets, w, _ = simulation(snn.all_to_all(autapses=False), 3, weight=weight).connections("p")
    assert list(zip(sources, targets, w, strict=True)) == [
        (1, 0, 3.0), (2, 0, 6.0), (0, 1, 1.0), (2, 1, 7.0), (0, 2, 2.0), (1, 2, 5.0)
    ]  # fmt: skip


def test_one_to_one_arrays():
    weight, delay = np.array([1.0, 2.0, 3.0, 4.0, 5.0]) / 3, np.array([0.1, 5.0, 0.3, 2.0, 1.0])
    found, sim = arrivals(weight, delay, snn.one_to_one(), 5, 5, threads=2)
    assert set(found) == {(i, i, round(d / DT)) for i, d in enumerate(delay)}
    for (i, _, _), w in found.items():
        assert abs(w - weight[i]) < 1e-9
    np.testing.assert_array_equal(sim.connections("p")[2], weight)


@pytest.mark.parametrize("threads", [1, 2])
def test_from_arrays_order(threads):
    """Edges in any order, one of them twice: each keeps the weight and delay of its place."""
    sources, targets = np.array([3, 0, 2, 0, 3, 1, 0]), np.array([1, 4, 0, 1, 0, 4, 4])
    weight = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    delay = np.array([7, 6, 5, 4, 3, 2, 1]) * DT
    found, sim = arrivals(weight, delay, snn.from_arrays(sources, targets), 4, 5, threads)
    assert set(found) == {(s, t, round(d / DT)) for s, t, d in zip(sources, targets, delay, strict=True)}
    for s, t, w, d in zip(sources, targets, weight, delay, strict=True):
        assert abs(found[s, t, round(d / DT)] - w) < 1e-9
    order = np.lexsort((sources, targets))
    got = sim.connections("p")
    for x, y in zip(got, (sources, targets, weight, delay), strict=True):
        np.testing.assert_allclose(x, y[order], rtol=1e-12)


def test_weights_keep_their_precision():
    """float64 where an array needs it, float32 where that is exact."""
    exact, inexact = np.array([0.5, 0.25, 3.0]), np.array([0.1, 0.25, 3.0])
    for weight, dtype in ((exact, np.float32), (inexact, np.float64)):
        sim = simulation(snn.one_to_one(), 3, weight=weight)
        assert sim.compiled.edges[0].weights.dtype == dtype
        np.testing.assert_array_equal(sim.connections("p")[2], weight)


def test_from_sparse():
    dense = np.array([[0.0, 1.5, 0.0], [2.0, 0.0, -3.0]])
    for kind in (scipy.sparse.csr_array, scipy.sparse.coo_array, scipy.sparse.csc_array):
        rule, weights = snn.from_sparse(kind(dense))
        sources, targets, w, _ = simulation(rule, 2, 3, weight=weights).connections("p")
        again = np.zeros_like(dense)
        again[sources, targets] = w
        np.testing.assert_array_equal(again, dense)


def test_from_sonata(tmp_path):
    sources, targets = np.array([4, 1, 1, 0]), np.array([0, 2, 0, 1])
    weights, delays = np.array([0.1, -0.2, 0.3, 0.4]), np.array([1.0, 2.0, 3.0, 0.5])
    path = write_edges(tmp_path / "edges.h5", "a_to_b", "a", "b", sources, targets, weights, delays)
    rule, w, d = snn.from_sonata(path)
    got = simulation(rule, 5, 3, weight=w, delay=d).connections("p")
    order = np.lexsort((sources, targets))
    for x, y in zip(got, (sources, targets, weights, delays), strict=True):
        np.testing.assert_allclose(x, y[order], rtol=1e-12)
    bare = write_edges(tmp_path / "bare.h5", "a_to_b", "a", "b", sources, targets)
    assert snn.from_sonata(bare)[1:] == (None, None)


# distance -----------------------------------------------------------------------------------------------------------


def distances(positions, box=None):
    delta = np.abs(positions[:, None] - positions[None])
    if box is not None:
        delta = np.minimum(delta, np.asarray(box) - delta)
    return np.sqrt(np.sum(delta**2, axis=2))


@pytest.mark.parametrize("box", [None, 1.0, (1.0, 2.0)])
@pytest.mark.parametrize("autapses", [True, False])
def test_distance_with_certain_probability(box, autapses):
    """A disc: every pair nearer than 0.3 and no other."""
    positions = np.random.default_rng(3).random((40, 2)) * (np.asarray(box) if box is not None else 1.0)
    near = distances(positions, box) < 0.3
    if not autapses:
        np.fill_diagonal(near, False)
    sources, targets = draw(
        snn.distance_dependent(lambda d: d < 0.3, autapses=autapses), 40, positions=positions, wrap=box
    )
    got = np.zeros((40, 40), bool)
    got[sources, targets] = True
    np.testing.assert_array_equal(got, near)
    if box is not None:
        assert np.any(near & (distances(positions) > 0.5)), "no pair reaches across the border"


def test_distance_with_probability():
    """Sum of independent edges: mean sum(p), variance sum(p (1 - p)), in four rings; alpha 0.001 / 4: 3.66 std."""
    n = 400
    positions = np.random.default_rng(3).random((n, 1))
    d = distances(positions, 1.0)
    rule = snn.distance_dependent(lambda x: 0.8 * np.exp(-x / 0.1))
    sources, targets = draw(rule, n, positions=positions, wrap=1.0)
    p = 0.8 * np.exp(-d / 0.1)
    np.fill_diagonal(p, 0.0)
    ring = np.minimum(d / 0.125, 3).astype(int)
    got = np.bincount(ring[sources, targets], minlength=4)
    for k in range(4):
        mean, variance = p[ring == k].sum(), (p * (1 - p))[ring == k].sum()
        assert abs(got[k] - mean) < 3.66 * math.sqrt(variance)


# reproducible -------------------------------------------------------------------------------------------------------

POSITIONS = np.random.default_rng(2).random((53, 2))
RULES = {
    "in": snn.fixed_indegree(11),
    "in, one each": snn.fixed_indegree(11, autapses=False, multapses=False),
    "in, most": snn.fixed_indegree(40, multapses=False),
    "out": snn.fixed_outdegree(9),
    "out, one each": snn.fixed_outdegree(9, autapses=False, multapses=False),
    "total": snn.fixed_total_number(501),
    "bernoulli": snn.pairwise_bernoulli(0.2, autapses=False),
    "distance": snn.distance_dependent(lambda d: 0.5 * np.exp(-d)),
    "all": snn.all_to_all(),
    "one": snn.one_to_one(),
    "given": snn.from_arrays([1, 1, 50, 3], [2, 2, 0, 52]),
    "in, near": snn.fixed_indegree(11, p=lambda d: np.exp(-d / 0.3)),
    "out, near": snn.fixed_outdegree(9, autapses=False, multapses=False, p=lambda d: np.exp(-d / 0.3)),
}


def rich(seed=5, prefix="", extra=False):
    """Every rule from "a" to "a", with random weights and delays (or constant ones), and into 3 of population "b"."""
    net = snn.Network(seed=seed)
    if extra:
        z = net.population("z", 7, snn.LIFDelta())
    a = net.population("a", 53, snn.LIFDelta(), positions=POSITIONS, wrap=1.0)
    if extra:
        net.connect(z, a, snn.fixed_indegree(2), weight=0.1, delay=1.5)
    b = net.population("b", 3, snn.LIFDelta())
    for k, (name, rule) in enumerate(RULES.items()):
        weight, delay = (snn.normal(0.5, 1.0), snn.uniform(1.0, 9.0)) if k % 2 else (0.1 * (k % 3), 1.0 + k % 4)
        net.connect(a, a, rule, weight=weight, delay=delay, name=prefix + name if k == 0 else name)
    net.connect(a, b, snn.fixed_indegree(7), weight=snn.normal(0.5, 1.0), delay=2.0)
    return net


def assert_same_edges(x, y):
    for u, v in zip(x, y, strict=True):
        np.testing.assert_array_equal(u, v)


def test_threads_and_blocks_change_no_edge(monkeypatch):
    one = snn.Simulation(rich(), threads=1, quiet=True)
    expected = table(one.compiled)
    assert len(expected) == one.compiled.n_edges > 5000
    total = 0
    for name in RULES:  # what is compiled is what connections() says
        s, t, w, d = one.connections(name)
        total += len(s)
    s, t, w, d = (np.concatenate(x) for x in zip(*(one.connections(n) for n in one.net.projections), strict=True))
    b = np.repeat([0, 1], [total, len(s) - total])
    rows = np.column_stack((0 * s, s, b, 0 * s, t, w, np.rint(d / DT)))
    np.testing.assert_array_equal(rows[np.lexsort(rows.T[::-1])], expected)

    def compare(threads):
        other = snn.Simulation(rich(), threads=threads, quiet=True)
        for name in one.net.projections:
            assert_same_edges(one.connections(name), other.connections(name))
        np.testing.assert_array_equal(table(other.compiled), expected)
        return len(other.compiled.tables.lo)

    assert [compare(threads) for threads in (2, 3, 4)] == [2, 3, 4]
    for blocks in (2, 7, 60):
        monkeypatch.setattr("snn.compile._block_count", lambda *args, k=blocks: k)
        assert compare(2) == blocks


def test_names_are_streams():
    """Another name draws one projection anew; another population, projection or order changes nothing."""
    one, renamed, extra = (snn.Simulation(rich(**o), quiet=True) for o in ({}, {"prefix": "x"}, {"extra": True}))
    other = snn.Simulation(rich(seed=6), quiet=True)
    first, *rest = RULES
    assert np.mean(one.connections(first)[0] == renamed.connections("x" + first)[0]) < 0.2
    for name in rest:
        assert_same_edges(one.connections(name), renamed.connections(name))
        assert_same_edges(one.connections(name), extra.connections(name))
        if name not in ("all", "one", "given"):
            x, y = one.connections(name)[0], other.connections(name)[0]
            assert len(x) != len(y) or np.mean(x == y) < 0.9
        w, v = one.connections(name)[2], other.connections(name)[2]
        assert np.all(w == w[0]) or not np.array_equal(w, v)


def test_drawn_weights_and_delays():
    """Kolmogorov-Smirnov of weights, chi-square of delays in steps, correlation between them: alpha 0.001 each."""
    sim = simulation(snn.fixed_indegree(400), weight=snn.normal(3.0, 0.5), delay=snn.uniform(1.0, 2.0))
    _, _, w, d = sim.connections("p")
    assert stats.kstest(w, stats.norm(3.0, 0.5).cdf).pvalue > 0.001
    steps = np.rint(d / DT).astype(int)
    counts = np.bincount(steps - 10, minlength=11)
    expected = np.array([0.5, *[1.0] * 9, 0.5]) / 10 * len(d)
    assert stats.chisquare(counts, expected).pvalue > 0.001
    assert abs(np.corrcoef(w, d)[0, 1]) < 3.3 / math.sqrt(len(w))


# receptors ----------------------------------------------------------------------------------------------------------


def test_signs_choose_receptors():
    """Weights of mixed sign: each edge ends in the receptor of its sign, in the tables and in what arrives."""
    n = 12
    weight = np.random.default_rng(8).normal(0.0, 10.0, (n, n))
    net = snn.Network(seed=1)
    a = net.population("a", n, snn.SpikeArray(np.ones(n), np.arange(n)))
    b = net.population("b", n, snn.LIFExp(tau_syn_ex=1e9, tau_syn_in=1e9))
    net.connect(a, b, snn.all_to_all(), weight=weight, delay=1.5)
    net.connect(a, b, snn.fixed_indegree(5), weight=snn.normal(0.0, 1.0), delay=1.5, name="drawn")
    net.connect(a, b, snn.one_to_one(), weight=-0.5, delay=1.5, name="constant")
    sim = snn.Simulation(net, quiet=True, threads=2)
    sim.run(3.0)
    edges = table(sim.compiled)
    np.testing.assert_array_equal(edges[:, 3], edges[:, 5] < 0)
    total = {sign: np.zeros(n) for sign in (1, -1)}
    for name in net.projections:
        _, targets, w, _ = sim.connections(name)
        for sign in total:
            np.add.at(total[sign], targets[w * sign > 0], w[w * sign > 0])
    assert np.all(total[1] > 0) and np.all(total[-1] < 0)
    np.testing.assert_allclose(sim.state(b, "i_ex"), total[1], rtol=1e-6)
    np.testing.assert_allclose(sim.state(b, "i_in"), total[-1], rtol=1e-6)


# storage ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("weight", "delay", "most"),
    [(0.1, 1.5, 4.0), (snn.normal(1.0, 0.1), 1.5, 7.0), (snn.normal(1.0, 0.1), snn.uniform(1.0, 20.0), 8.0)],
)
def test_bytes_per_synapse(weight, delay, most, threads):
    """Row tables included."""
    sim = simulation(snn.fixed_indegree(120), 1000, weight=weight, delay=delay, threads=threads)
    assert sim.compiled.n_edges == 120_000
    assert 0 < sim.compiled.nbytes()["edges"] / sim.compiled.n_edges <= most


# errors -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: snn.fixed_indegree(-1), snn.ModelError, "fixed_indegree.indegree: must be an integer >= 0 and < 2"),
        (lambda: snn.fixed_outdegree(2.0), snn.ModelError, "fixed_outdegree.outdegree"),
        (lambda: snn.fixed_total_number(True), snn.ModelError, "fixed_total_number.number"),
        (lambda: snn.pairwise_bernoulli(1.5), snn.ModelError, "pairwise_bernoulli.p: must be >= 0 and <= 1"),
        (lambda: snn.pairwise_bernoulli(math.nan), snn.ModelError, "pairwise_bernoulli.p"),
        (lambda: snn.from_arrays([0, 1], [0]), snn.ShapeError, "from_arrays.targets"),
        (lambda: snn.from_arrays([0.5], [0]), snn.ShapeError, "from_arrays.sources: must be integers"),
        (lambda: snn.from_arrays([0], [-1]), snn.ModelError, "from_arrays.targets: must be >= 0"),
        (lambda: draw(snn.fixed_indegree(6, multapses=False), 5), snn.ModelError, "at most 5 without multapses"),
        (lambda: draw(snn.fixed_indegree(5, False, False), 5), snn.ModelError, "at most 4 without multapses"),
        (lambda: draw(snn.fixed_outdegree(5, False, False), 5), snn.ModelError, "at most 4 without multapses"),
        (lambda: draw(snn.fixed_indegree(1, autapses=False), 1), snn.ModelError, "nothing to choose from"),
        (lambda: draw(snn.fixed_total_number(1, autapses=False), 1), snn.ModelError, "nothing to choose from"),
        (lambda: draw(snn.one_to_one(), 3, 4), snn.ShapeError, "populations of one size; got 3 and 4"),
        (lambda: draw(snn.from_arrays([3], [0]), 3), snn.ModelError, "sources: must be < 3; got 3"),
        (lambda: draw(snn.from_arrays([0], [3]), 3), snn.ModelError, "targets: must be < 3; got 3"),
        (lambda: draw(snn.distance_dependent(lambda d: d), 3), snn.ModelError, "needs positions"),
        (lambda: draw(snn.distance_dependent(lambda d: d + 2), 3, positions=np.eye(3)), snn.ModelError, "in .0, 1."),
        (lambda: draw(snn.all_to_all(), 3, 2, weight=np.ones((2, 3))), snn.ShapeError, "Transpose it"),
        (lambda: draw(snn.fixed_indegree(2), 3, weight=np.ones(3)), snn.ShapeError, "takes a number or a distribution"),
        (lambda: draw(snn.one_to_one(), 3, weight=math.nan), snn.ModelError, "must be finite"),
        (lambda: draw(snn.one_to_one(), 3, delay=0.0), snn.ModelError, "delay: must be > 0 ms"),
        (lambda: draw(snn.one_to_one(), 3, delay=0.05), snn.ModelError, "delay: must be >= dt = 0.1 ms"),
        (lambda: draw(snn.one_to_one(), 3, delay=snn.normal(1.0, 1.0)), snn.ModelError, "Give low="),
        (lambda: draw(snn.one_to_one(), 3, delay=7000.0), snn.ModelError, "at most 65535 steps"),
        (lambda: draw(lambda: None, 3), snn.ModelError, "must be a rule"),
        (lambda: draw(snn.one_to_one(), 3, receptor="sin"), snn.ModelError, "no receptor 'sin'. Did you mean 'syn'"),
    ],
)  # fmt: skip
def test_errors(make, error, text):
    with pytest.raises(error, match=text):
        make()


@pytest.mark.parametrize(
    "rule",
    [
        snn.fixed_indegree(7), snn.fixed_outdegree(7), snn.fixed_total_number(777), snn.one_to_one(), snn.all_to_all(),
        snn.from_arrays([0, 1], [2, 3]),
    ],
)  # fmt: skip
def test_expected_number_of_edges(rule):
    sources, _ = draw(rule, 30)
    assert rule.expected(30, 30) == len(sources)


def test_expected_number_of_edges_of_random_rules():
    sources, _ = draw(snn.pairwise_bernoulli(0.3), 200)
    expected = snn.pairwise_bernoulli(0.3).expected(200, 200)
    assert expected == 0.3 * 200**2 and abs(len(sources) - expected) < 5 * np.sqrt(0.7 * expected)
    assert snn.distance_dependent(lambda d: d).expected(4, 5) == 20  # a bound
