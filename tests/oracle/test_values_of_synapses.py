"""Parameters of rules with a value for each synapse: arrays and distributions, on every engine."""

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

import plasticity
import snn
from kernels.errors import ModelError, ShapeError
from kernels.spec import Derived, Param, RuleSpec, ShortTermSpec, StateVar
from plasticity.base import RULES
from snn.cli import app
from snn.io.sonata import read_result

ENGINES = {
    "cpu": {"threads": 1},
    "cpu, 2 threads": {"threads": 2},
    "reference": {"backend": "reference"},
    "event": {"engine": "event", "threads": 2},
    "event, reference": {"engine": "event", "backend": "reference"},
}
EACH = {
    "STDPPair": {"lambda_": [0.02, 0.1], "mu_plus": [0.4, 1.0], "w_max": [8.0, 12.0]},
    "DopamineSTDP": {"a_plus": [0.05, 0.5], "tau_c": 300.0, "w_max": [8.0, 12.0]},
    "STDPTriplet": {"a_plus": [0.02, 0.1], "a_minus": [0.05, 0.02], "w_max": [8.0, 12.0]},
}
SHORT = {"u_se": [0.3, 0.7], "tau_rec": [15.0, 60.0], "tau_fac": [0.0, 50.0]}


def values(params, which):
    """Of two values the one that ``which`` says, for each synapse."""
    return {k: np.array(x)[which] if np.ndim(x) else x for k, x in params.items()}


def network(rule, short_term, apart, seed=3):
    """Given edges whose synapses are of two kinds: one projection, or one for each kind."""
    net, rng, n = snn.Network(seed=seed), np.random.default_rng(seed), 200
    source = net.population("source", 30, snn.Poisson(rate=60.0))
    target = net.population("target", 20, snn.LIFDelta(t_ref=1.0, e_l=-70.0, v_th=-62.0))
    pairs, weight = rng.integers(0, [[30], [20]], (2, n)), rng.uniform(4.0, 8.0, n)
    delay, which = rng.choice([1.0, 1.5, 2.0, 3.5], n), rng.integers(0, 2, n)
    for name, m in (("0", which == 0), ("1", which == 1)) if apart else (("all", which >= 0),):
        changes = {
            "plasticity": RULES[rule](**values(EACH[rule], which[m][0] if apart else which)) if rule else None,
            "short_term": plasticity.TsodyksMarkram(**values(SHORT, which[m][0] if apart else which))
            if short_term
            else None,
        }
        net.connect(source, target, snn.from_arrays(*pairs[:, m]), weight[m], delay[m], name=name, **changes)
        if rule and RULES[rule].spec.modulator:
            net.modulate(name, target, delay=1.0)
    net.record(target)
    return net


@pytest.mark.parametrize("options", ENGINES.values(), ids=ENGINES)
@pytest.mark.parametrize("rule, short_term", [(None, True), ("STDPPair", True), *((r, False) for r in EACH)])
def test_two_kinds_of_synapses_are_two_projections(rule, short_term, options):
    found = []
    for apart in (False, True):
        sim = snn.Simulation(network(rule, short_term, apart), quiet=True, **options)
        spikes = sim.run(250.0).spikes["target"]
        edges = np.concatenate([sim.connections(name) for name in sim.net.projections], axis=1)
        found.append((spikes.times, spikes.ids, edges[:, np.lexsort(edges)]))
    assert len(found[0][0]) > 100
    for x, y in zip(*found, strict=True):  # pow of arrays and of numbers may differ in the last digit
        np.testing.assert_allclose(x, y, rtol=1e-12)


def own_values(rule, n):
    """The rule with an array of equal values for every parameter that may have one."""
    spec = rule.spec
    for name in (name for name in (p.name for p in spec.params) if name not in spec.of_neurons()):
        try:
            changed = type(rule)(**rule.params | {name: np.full(n, rule.params[name])})
        except ModelError as error:
            assert "which its synapses share, takes it" in str(error), error
        else:
            rule = changed if changed.of_synapse else rule
            yield name, changed


@pytest.mark.parametrize("name", sorted(RULES))
def test_equal_values_are_one_number(name):
    """Every parameter of every rule, together as far as may be: the same run as with numbers."""
    sign = 1.0 if RULES[name]().bounds()[1] > 0.0 else -1.0

    def run(rule):
        net = snn.Network(seed=4)
        model = snn.GIF(v_t_star=-60.0, delta_v=5.0, lambda_0=40.0, i_e=30.0) if name == "RMax" else snn.LIFDelta()
        a = net.population("a", 6, model, init={"v": snn.uniform(-70.0, -55.0)})
        net.input("noise", a, snn.Poisson(rate=3000.0), weight=0.9)
        pairs = np.array([(i, j) for i in range(6) for j in range(6) if i != j]).T
        net.connect(a, a, snn.from_arrays(*pairs), 0.5 * sign, 1.5, plasticity=rule, name="p")
        if rule.spec.modulator:
            net.modulate("p", a if rule.spec.modulator.jump else None, value=0.05)
        sim = snn.Simulation(net, backend="reference", quiet=True)
        sim.run(60.0)
        return sim.connections("p")[2]

    rule, each = RULES[name](), {}
    for parameter, _ in own_values(rule, 30):
        each[parameter] = np.full(30, rule.params[parameter])
    assert each, "no parameter of the rule may have values"
    np.testing.assert_allclose(run(RULES[name](**each)), run(rule), rtol=1e-12)


def test_tsodyks_1998_by_closed_form():
    """A regular train through synapses of different u_se, tau_rec, tau_fac against the recursion by hand."""
    n, interval = 40, 20.0
    rng = np.random.default_rng(2)
    u_se, rec, fac = rng.uniform(0.1, 0.9, n), rng.uniform(50.0, 900.0, n), rng.choice([0.0, 20.0, 600.0], n)
    u, x, want = u_se.copy(), np.ones(n), []
    for k in range(8):
        if k:
            x = 1.0 - (1.0 - x + u * x) * np.exp(-interval / rec)
            u = u_se + u * (1.0 - u_se) * np.exp(-interval / np.where(fac > 0, fac, 1e-3))
        want.append(u * x)
    for options in ENGINES.values():
        net = snn.Network(seed=1)
        one = net.population("one", 1, snn.SpikeArray(interval * np.arange(1, 9), np.zeros(8, int)))
        many = net.population("many", n, snn.LIFDelta(tau_m=1e9, v_th=1e3, e_l=0.0, v_reset=0.0), init={"v": 0.0})
        rule = plasticity.TsodyksMarkram(u_se=u_se[None], tau_rec=rec[None], tau_fac=fac[None])
        net.connect(one, many, snn.all_to_all(), weight=2.0, delay=1.0, short_term=rule, name="p")
        sim, got = snn.Simulation(net, quiet=True, **options), []
        for _ in range(9):
            got.append(sim.state("many", "v"))
            sim.run(interval)
        np.testing.assert_allclose(
            np.diff(np.array([*got, sim.state("many", "v")]), axis=0)[1:], 2.0 * np.array(want), rtol=1e-5
        )
        np.testing.assert_array_equal(sim.state("p", "tau_rec"), rec)
        np.testing.assert_allclose(sim.state("p", "x"), x, rtol=1e-9)


def drawn(seed=5, **options):
    net = snn.Network(seed=seed)
    a = net.population("a", 60, snn.LIFDelta())
    rules = {
        "plasticity": plasticity.STDPPair(lambda_=snn.lognormal(-4.0, 0.5), w_max=snn.uniform(2.0, 5.0)),
        "short_term": plasticity.TsodyksMarkram(u_se=snn.normal(0.5, 0.25, low=0.01, high=1.0)),
    }
    net.input("noise", a, snn.Poisson(rate=2000.0), weight=1.2)
    net.connect(
        a, a, snn.fixed_indegree(50, autapses=False, multapses=False), 0.5, snn.uniform(1.0, 3.0), name="p", **rules
    )
    net.record(a)
    return snn.Simulation(net, quiet=True, **options)


def test_values_are_drawn():
    """By seed, projection, rule and name alone; with the law that was given."""
    first = drawn(threads=1)
    got = {name: first.state("p", name) for name in ("lambda_", "w_max", "u_se")}
    for options in ({"threads": 2}, {"engine": "event"}, {"backend": "reference"}):
        for name, x in got.items():
            np.testing.assert_array_equal(drawn(**options).state("p", name), x)
    assert not np.array_equal(drawn(seed=6).state("p", "u_se"), got["u_se"])
    laws = {
        "lambda_": stats.lognorm(0.5, scale=np.exp(-4.0)),
        "w_max": stats.uniform(2.0, 3.0),
        "u_se": stats.truncnorm(-0.49 / 0.25, 2.0, 0.5, 0.25),
    }
    for name, law in laws.items():
        assert got[name].size == 3000
        assert stats.kstest(got[name], law.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(got["w_max"], got["u_se"])[0, 1]) < 0.08  # 4 standard errors


@pytest.mark.parametrize("options", [{"threads": 2}, {"engine": "event", "threads": 2}], ids=["clock", "event"])
def test_resumed(options, tmp_path):
    whole, cut = drawn(**options), drawn(**options)
    whole.run(40.0)
    cut.run(17.3)
    cut.checkpoint(tmp_path / "state.h5")
    again = snn.Simulation.resume(tmp_path / "state.h5", cut.net, threads=1, quiet=True)
    again.run(40.0 - again.t)
    for x, y in zip(whole.connections("p"), again.connections("p"), strict=True):
        np.testing.assert_array_equal(x, y)
    for name in ("w_max", "u", "x", "u_se"):
        np.testing.assert_array_equal(whole.state("p", name), again.state("p", name))


def test_rewired(tmp_path):
    """A synapse takes over the constants of the one whose place it takes, and begins with state variables anew."""
    found = []
    for threads in (1, 2):
        sim = drawn(threads=threads)
        sim.run(20.0)
        sources, targets, *_ = sim.connections("p")
        before = {name: sim.state("p", name) for name in ("w_max", "u_se", "u", "x")}
        where = [0, 1500, 2999]
        given = where, sources[where], targets[where], np.full(3, 0.7)  # to the same pairs: the order stays
        assert sim.rewire("p", lambda *_, given=given: given) == 3
        for name, old in before.items():
            fresh = {"u": np.zeros(3000), "x": np.ones(3000)}.get(name, old)
            want = old.copy()
            want[where] = fresh[where]
            np.testing.assert_array_equal(sim.state("p", name), want[np.lexsort((sources, targets))])
        sim.checkpoint(tmp_path / f"{threads}.h5")
        sim = snn.Simulation.resume(tmp_path / f"{threads}.h5", sim.net, threads=3 - threads, quiet=True)
        sim.run(20.0)
        found.append([*sim.connections("p"), *(sim.state("p", name) for name in before)])
    for x, y in zip(*found, strict=True):
        np.testing.assert_array_equal(x, y)


def test_bounds_of_each():
    sim = drawn()
    w_max = sim.state("p", "w_max")
    sim.set_weights("p", w_max)
    sim.run(50.0)
    assert np.all(sim.connections("p")[2] <= w_max)
    wrong = w_max.copy()
    wrong[7] += 0.1
    with pytest.raises(
        ModelError, match=r"'p'.weight: must be in \[0, [\d.]+\], the bounds of STDPPair for synapse 7; got"
    ):
        sim.set_weights("p", wrong)
    with pytest.raises(ModelError, match=r"set_state\('w_max'\): is a constant of STDPPair"):
        sim.set_state("p", "w_max", 1.0)
    with pytest.raises(
        ModelError, match="no state variable 'tau_plus'; there are lambda_, w_max, a_plus, a_minus, u, x, u_se"
    ):
        sim.state("p", "tau_plus")
    sim.set_state("p", "x", 0.25)
    np.testing.assert_array_equal(sim.state("p", "x"), np.full(3000, 0.25))


@pytest.mark.parametrize("options", [{"threads": 2}, {"engine": "event"}], ids=["clock", "event"])
def test_values_of_neurons_and_of_distance(options):
    """Each synapse has the value of its source or target, or that of its length; parts count in their order."""
    rng, net = np.random.default_rng(3), snn.Network(seed=7)
    a = net.population("a", 20, snn.LIFDelta(), positions=rng.uniform(0.0, 1.0, 20))
    b = net.population("b", 15, snn.LIFDelta(), positions=rng.uniform(0.0, 1.0, 15))
    w, eta, alpha, part = rng.uniform(1.0, 2.0, 20), rng.uniform(0.1, 1.0, 15), rng.uniform(0.1, 3.0, 15), [9, 2, 14, 0]
    rule = plasticity.VogelsSprekeler(eta=snn.per_target(eta), alpha=snn.per_target(alpha), w_max=5.0)
    short = plasticity.TsodyksMarkram(u_se=lambda d: 0.1 + 0.5 * d, tau_rec=snn.per_source(100.0 * w))
    net.connect(a, b, snn.fixed_indegree(6), snn.per_source(w), 1.0, name="all", plasticity=rule, short_term=short)
    rule = plasticity.STDPPair(w_max=snn.per_target([2.0, 3.0, 4.0, 5.0]))
    net.connect(a[5:], b[part], snn.pairwise_bernoulli(0.5), 1.0, snn.per_target([1.0, 2.0, 3.0, 4.0]), name="part",
                plasticity=rule)  # fmt: skip
    sim = snn.Simulation(net, quiet=True, **options)
    sources, targets, weights, _ = sim.connections("all")
    apart = np.abs(b.positions[targets] - a.positions[sources]).ravel()
    want = {"eta": eta[targets], "alpha": alpha[targets], "tau_rec": 100.0 * w[sources], "u_se": 0.1 + 0.5 * apart}
    np.testing.assert_array_equal(weights, w[sources])
    for name, x in want.items():
        np.testing.assert_allclose(sim.state("all", name), x, rtol=1e-14)
    _, targets, _, delays = sim.connections("part")
    number = np.array([part.index(t) for t in targets])
    np.testing.assert_allclose(delays, 1.0 + number)
    np.testing.assert_array_equal(sim.state("part", "w_max"), 2.0 + number)
    with pytest.raises(
        ShapeError, match=r"'c'.weight: per_target must have shape \(15,\), one a target neuron; got \(20,\)"
    ):
        net.connect(a, b, snn.fixed_indegree(6), snn.per_target(w), 1.0, name="c")
    with pytest.raises(ShapeError, match="per_source: must be one value a neuron"):
        snn.per_source(1.0)
    with pytest.raises(
        ModelError, match="'c'.plasticity.w_max: must be a number, distribution or function where delay is"
    ):
        net.connect(a, b, snn.all_to_all(), 1.0, lambda d: 1.0 + d, name="c",
                    plasticity=plasticity.STDPPair(w_max=np.full((20, 15), 3.0)))  # fmt: skip
    with pytest.raises(ModelError, match="TsodyksMarkram.u_se: must be > 0 and <= 1; got"):
        net.connect(a, b, snn.fixed_indegree(6), 1.0, 1.0, name="c",
                    short_term=plasticity.TsodyksMarkram(u_se=lambda d: 2.0 + d))  # fmt: skip


def test_errors():
    with pytest.raises(ModelError, match="STDPPair.tau_plus: must be one number a projection, because trace 'pre'"):
        plasticity.STDPPair(tau_plus=[10.0, 20.0])
    with pytest.raises(ModelError, match=r"TsodyksMarkram.u_se: must be > 0 and <= 1; got 2.0 at index 1"):
        plasticity.TsodyksMarkram(u_se=[0.5, 2.0])
    net = snn.Network(seed=1)
    a = net.population("a", 4, snn.LIFDelta())
    rule = plasticity.STDPPair(lambda_=[0.1, 0.2])
    with pytest.raises(ShapeError, match=r"'a->a'.plasticity.lambda_: fixed_indegree takes a number or a distribution"):
        net.connect(a, a, snn.fixed_indegree(2), 0.5, 1.0, plasticity=rule)
    with pytest.raises(ShapeError, match=r"'a->a'.plasticity.lambda_: must have shape \(4,\); got \(2,\)"):
        net.connect(a, a, snn.one_to_one(), 0.5, 1.0, plasticity=rule)
    with pytest.raises(ModelError, match=r"weight: must be in \[0, 5\], the bounds of STDPPair; got 7"):
        net.connect(a, a, snn.one_to_one(), 7.0, 1.0, plasticity=plasticity.STDPPair(w_max=snn.uniform(2.0, 5.0)))
    net.connect(a, a, snn.one_to_one(), 4.9, 1.0, plasticity=plasticity.STDPPair(w_max=snn.uniform(2.0, 5.0)), name="w")
    with pytest.raises(
        ModelError, match=r"'w'.weight: must be in \[0, [\d.]+\], the bounds of STDPPair for synapse \d; got 4.9"
    ):
        snn.Simulation(net, quiet=True)
    net = snn.Network(seed=1)
    a = net.population("a", 4, snn.LIFDelta())
    net.connect(a, a, snn.one_to_one(), 0.5, 1.0, short_term=plasticity.TsodyksMarkram(u_se=snn.normal(0.5, 2.0)))
    with pytest.raises(ModelError, match="Projection 'a->a'.short_term: TsodyksMarkram.u_se: must be > 0 and <= 1"):
        snn.Simulation(net, quiet=True)


def _on_pre(w, gain, twice):  # type: ignore[no-untyped-def]
    return w + gain * twice


def _on_spike(r, h, tau, p):  # type: ignore[no-untyped-def]
    r = 1.0 - (1.0 - r) * (1.0 if h < tau else 0.0)
    return r * (1.0 - p), r


def test_rules_of_ones_own():
    """Constants that are derived one by one, and a short-term rule, against the same by hand."""
    rule = plasticity.define(
        RuleSpec(
            name="OwnGain", doc="w grows at each spike.", traces=(), on_pre=_on_pre, on_post=None, references=("test",),
            params=(Param("gain", "weight", 0.1, "step"), Param("kind", "1", 0.0, "which")), state=(),
            derived=(Derived("twice", "1", lambda p, dt: 2.0 if p.kind > 0.5 else 1.0),),
            bounds=lambda p: (0.0, 100.0),
        )
    )  # fmt: skip
    short = plasticity.define(
        ShortTermSpec(
            name="OwnPool", doc="Spent until tau ms after a spike.", on_spike=_on_spike, references=("test",),
            params=(Param("tau", "ms", 5.0, "wait", gt=0), Param("p", "1", 0.5, "share", ge=0, le=1)),
            state=(StateVar("r", "1", "left", 1.0),),
        )
    )  # fmt: skip
    gain, kind, tau, p = np.array([0.1, 0.2, 0.3]), np.array([0.0, 1.0, 1.0]), np.array([4.0, 15.0, 40.0]), 0.5
    for options in ENGINES.values():
        net = snn.Network(seed=1)
        one = net.population("one", 1, snn.SpikeArray([1.0, 11.0, 21.0, 31.0], np.zeros(4, int)))
        many = net.population("many", 3, snn.LIFDelta(tau_m=1e9, v_th=1e3, e_l=0.0, v_reset=0.0), init={"v": 0.0})
        net.connect(one, many, snn.from_arrays([0, 0, 0], [0, 1, 2]), 1.0, 1.0, name="p",
                    plasticity=rule(gain=gain, kind=kind), short_term=short(tau=tau, p=p))  # fmt: skip
        sim = snn.Simulation(net, quiet=True, **options)
        sim.run(40.0)
        w, r, v = np.ones(3), np.ones(3), np.zeros(3)
        for k in range(4):
            w = w + gain * (1.0 + kind)
            r = np.where((10.0 if k else np.inf) < tau, r, 1.0)
            v += w * r
            r = r * (1.0 - p)
        np.testing.assert_allclose(sim.connections("p")[2], w, rtol=1e-12)
        np.testing.assert_allclose(sim.state("many", "v"), v, rtol=1e-5)


def _grow(w, k):  # type: ignore[no-untyped-def]
    return w + k


@pytest.mark.parametrize("given", [{"mode": 1.0}, {"mode": np.ones(3)}])
def test_constant_that_takes_a_parameter_by_another(given):
    """Which parameters a derived constant takes is seen at the rule's own numbers, not at the defaults."""
    rule = plasticity.define(
        RuleSpec(
            name="OwnChoice", doc="w grows at each spike.", traces=(), on_pre=_grow, on_post=None, references=("test",),
            params=(Param("mode", "1", 0.0, "which"), Param("a", "1", 0.1, "a"), Param("b", "1", 0.2, "b")), state=(),
            derived=(Derived("k", "1", lambda p, dt: p.a if p.mode > 0 else p.b),), bounds=lambda p: (0.0, 100.0),
        )
    )  # fmt: skip
    net = snn.Network(seed=1)
    one, many = net.population("one", 1, snn.SpikeArray([1.0])), net.population("many", 3, snn.LIFDelta())
    net.connect(one, many, snn.from_arrays([0, 0, 0], [0, 1, 2]), name="p",
                plasticity=rule(a=np.array([0.3, 0.4, 0.5]), **given))  # fmt: skip
    sim = snn.Simulation(net, quiet=True)
    sim.run(5.0)
    np.testing.assert_allclose(sim.connections("p")[2], [1.3, 1.4, 1.5], rtol=1e-12)


def test_in_a_file(tmp_path):
    """Distributions in TOML; the record can be run again from what it says of itself."""
    (tmp_path / "net.toml").write_text("""
        seed = 3
        simulation = {duration = 50.0}
        record = [{population = "a"}, {projection = "a->a", variable = ["weights", "x"], every = 25.0}]
        [populations.a]
        model = "LIFDelta"
        n = 30
        [inputs.noise]
        target = "a"
        type = "Poisson"
        rate = 2500.0
        weight = 1.2
        [[projections]]
        source = "a"
        target = "a"
        rule = "fixed_indegree"
        indegree = 5
        weight = 0.5
        delay = 1.0
        plasticity = {rule = "STDPPair", lambda_ = {uniform = {low = 0.1, high = 0.3}}, w_max = 2.0}
        short_term = {rule = "TsodyksMarkram", u_se = {uniform = {low = 0.2, high = 0.6}}}
    """)
    for given, out in (("net.toml", "out.h5"), ("out.h5", "again.h5")):
        result = CliRunner().invoke(app, ["run", str(tmp_path / given), "--out", str(tmp_path / out)])
        assert result.exit_code == 0, result.output
    first, again = (read_result(tmp_path / name) for name in ("out.h5", "again.h5"))
    assert len(first.spikes["a"].times) > 20
    np.testing.assert_array_equal(first.spikes["a"].times, again.spikes["a"].times)
    np.testing.assert_array_equal(first.weights["a->a.x"][1], again.weights["a->a.x"][1])
    assert len(first.weights["a->a.x"][0]) == 2 and np.ptp(first.weights["a->a.x"][1]) > 0.0


@pytest.mark.parametrize("options", ENGINES.values(), ids=ENGINES)
def test_variables_are_recorded(options, tmp_path):
    """An eligibility and resources over time: what ``state`` gives when a run is cut there."""

    def made():
        net = network("DopamineSTDP", True, False)
        net.record_weights("all", 20.0, "c")
        net.record_weights("all", variable="x")
        net.record_weights("all", 40.0)
        return net

    result = snn.Simulation(made(), quiet=True, **options).run(
        70.0, tmp_path / "a.h5" if "backend" not in options else None
    )
    times, values = result.weights["all.c"]
    np.testing.assert_allclose(times, [20.0, 40.0, 60.0, 70.0])
    assert [len(result.weights[name][0]) for name in ("all.x", "all")] == [1, 2]
    sim = snn.Simulation(made(), quiet=True, **options)
    for t, c in zip(times, values, strict=True):
        sim.run(t - sim.t)
        np.testing.assert_array_equal(sim.state("all", "c"), c)
    np.testing.assert_array_equal(sim.state("all", "x"), result.weights["all.x"][1][0])
    assert np.ptp(values) > 0.0
    net = made()
    for wrong, text in (("q", "no state variable 'q'; there are c, u, x"), ("c", "'all.c' is recorded already")):
        with pytest.raises(ModelError, match=rf"record_weights\('all', '{wrong}'\): {text}"):
            net.record_weights("all", variable=wrong)
