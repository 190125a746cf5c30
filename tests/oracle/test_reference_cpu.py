"""The cpu engine equals the reference engine bit for bit in float64: all models, inputs, rules, thread counts."""

from types import SimpleNamespace

import numpy as np
import pytest

import plasticity
import snn
from plasticity.base import RULES, SHORT_TERM
from snn.neurons.base import MODELS

STEPS = 300
DT = 0.1
SILENT = ("Accumulator",)  # models that never fire


def drive(spec):
    """(spikes a second, weight) of each receptor that make every model fire."""
    defaults = {p.name: p.default for p in spec.params}
    units = {"mV": 2.0, "pA": 1200.0 * 2.0 / defaults.get("tau_syn_ex", 2.0), "nS": 60.0, "1": 0.4, "ms": 4.0}
    return {r.name: (200.0, -0.2 * units[r.unit]) if r.sign < 0 else (900.0, units[r.unit]) for r in spec.receptors}


def network(model, seed=3, current=True):
    """Two populations of ``model`` with every kind of edge storage and several inputs."""
    spec = model.spec
    net = snn.Network(seed=seed)
    a = net.population("a", 13, model())
    b = net.population("b", 9, model())
    rng = np.random.default_rng(seed)
    src = net.population("src", 5, snn.Poisson(rate=300.0))
    given = net.population("given", 4, snn.SpikeArray([1.0, 1.0, 2.35, 7.0, 7.0], [0, 3, 1, 2, 2]))
    for receptor, (rate, w) in drive(spec).items():
        net.input(f"noise {receptor}", a, snn.Poisson(rate=rate), weight=w, receptor=receptor)
        net.input(f"each {receptor}", b, snn.Poisson(rate=np.linspace(0.0, 2 * rate, 9)), weight=w, receptor=receptor)
        net.connect(a, b, snn.fixed_indegree(3), weight=0.3 * w, delay=1.5, receptor=receptor, name=f"bc {receptor}")
        net.connect(
            a, b, snn.fixed_total_number(7), weight=0.4 * w, delay=1.5, receptor=receptor, name=f"cc {receptor}"
        )
        low, high = sorted((0.1 * w, 0.5 * w))
        net.connect(b, a, snn.fixed_total_number(20), weight=snn.uniform(low, high), delay=0.7, receptor=receptor,
                    name=f"vc {receptor}")  # fmt: skip
        net.connect(a, a, snn.pairwise_bernoulli(0.3), weight=0.2 * w, delay=snn.normal(1.5, 0.7, low=0.4),
                    receptor=receptor, name=f"cv {receptor}")  # fmt: skip
        net.connect(src, b, snn.all_to_all(), weight=w * rng.random((5, 9)), delay=snn.uniform(0.4, 40.0),
                    receptor=receptor, name=f"vv {receptor}")  # fmt: skip
        for k, target in enumerate((a, b)):
            net.connect(src, target, snn.all_to_all(), weight=0.4 * w * rng.random((5, target.n)), delay=0.9 + k,
                        receptor=receptor, name=f"mc {receptor} {k}")  # fmt: skip
        net.connect(given, a, snn.fixed_outdegree(6), weight=w, delay=0.4, receptor=receptor, name=f"given {receptor}")
    if current and "i_stim" in spec.arguments:
        net.input("ac", a, snn.ACCurrent(amplitude=50.0, frequency=40.0, offset=20.0))
        net.input("ou", a, snn.OrnsteinUhlenbeck(mean=10.0, std=30.0, tau=3.0))
        net.input("noise", b, snn.NoiseCurrent(mean=5.0, std=20.0, dt=0.2))
        net.input("step", b, snn.StepCurrent([[float(k) for k in range(9)], [40.0] * 9], times=[3.0, 9.0]))
    for p in (a, b):
        net.record(p)
        for var in spec.state:
            net.record(p, var.name, every=0.3)
    for p in (src, given):
        net.record(p)
    return net


def resumed(sim, net, path, threads):
    """The simulation, from a checkpoint of it, on as many threads."""
    sim.checkpoint(path)
    return snn.Simulation.resume(path, net, threads=threads, quiet=True)


def outcome(net, checkpoint=None, **options):
    """``checkpoint``: a file, by which the second part is run on two threads."""
    sim = snn.Simulation(net, dt=DT, quiet=True, **options)
    parts = [sim.run(STEPS * DT * 0.37)]
    sim = resumed(sim, net, checkpoint, 2) if checkpoint else sim
    parts.append(sim.run(STEPS * DT * 0.63))
    return parts, {(p, v.name): sim.state(p, v.name) for p in "ab" for v in net.populations[p].spec.state}


def assert_equal(one, other):
    for x, y in zip(one[0], other[0], strict=True):
        for name in x.spikes:
            np.testing.assert_array_equal(x.spikes[name].times, y.spikes[name].times)
            np.testing.assert_array_equal(x.spikes[name].ids, y.spikes[name].ids)
        for name in x.states:
            for variable in x.states[name]:
                np.testing.assert_array_equal(x.states[name][variable], y.states[name][variable])
    for key in one[1]:
        np.testing.assert_array_equal(one[1][key], other[1][key], err_msg=str(key))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model(name, tmp_path):
    net = network(MODELS[name])
    assert set(snn.Simulation(net, dt=DT, quiet=True).compiled.kinds) == {"bc", "cc", "cv", "mc", "vc", "vv"}
    reference = outcome(net, backend="reference")
    activity = reference[1]["a", "v"] if name in SILENT else [len(x.spikes[p]) for x in reference[0] for p in "ab"]
    assert np.sum(np.abs(activity)) > 0, "a silent network tests little"
    for threads in (1, 2, 3, 4):
        assert_equal(reference, outcome(net, threads=threads))
    assert_equal(reference, outcome(net, tmp_path / "state.h5", threads=1))


RANDOM = {"Bernoulli": {"p_transmit": 0.6}, "QuantalSTP": {"n": 4.0, "tau_fac": 30.0}}


@pytest.mark.parametrize("name", sorted(SHORT_TERM))
def test_every_short_term_rule(name, tmp_path):
    net = snn.Network(seed=6)
    a = net.population("a", 11, snn.LIFExp())
    b = net.population("b", 7, snn.LIFCondNMDA())
    net.input("drive a", a, snn.Poisson(rate=900.0), weight=400.0)
    net.input("drive b", b, snn.Poisson(rate=900.0), weight=60.0)
    rule = SHORT_TERM[name](**RANDOM.get(name, {}))
    net.connect(a, b, snn.all_to_all(), 12.0, 1.5, receptor="nmda", short_term=rule, name="one delay")
    net.connect(a, b, snn.fixed_indegree(4), 9.0, snn.uniform(0.5, 5.0), short_term=rule, name="many delays")
    net.connect(a, b, snn.fixed_indegree(20), 9.0, 1.5, short_term=rule, axonal_delay=0.3, name="repeated pairs",
                plasticity=plasticity.STDPPair(w_max=20.0))  # fmt: skip
    for p in (a, b):
        net.record(p)
    net.record(b, ["v", "g_nmda", "g_ex"], every=0.1)
    reference = outcome(net, backend="reference")
    assert all(len(x.spikes[p]) > 5 for x in reference[0] for p in "ab")
    for threads in (1, 2, 3):
        assert_equal(reference, outcome(net, threads=threads))
    assert_equal(reference, outcome(net, tmp_path / "state.h5", threads=1))


def test_parameters_that_vary():
    net = snn.Network(seed=5)
    model = snn.LIFExp(tau_m=snn.uniform(5.0, 20.0), i_e=np.linspace(300.0, 600.0, 17), t_ref=snn.uniform(1.0, 3.0))
    pop = net.population("a", 17, model, init={"v": snn.normal(-65.0, 3.0)})
    net.population("b", 3, snn.LIFExp())
    net.record(pop)
    net.record(pop, "v")

    def run(**options):
        result = snn.Simulation(net, quiet=True, **options).run(50.0)
        return result.spikes["a"].times, result.spikes["a"].ids, result.states["a"]["v"]

    reference = run(backend="reference")
    assert len(reference[0]) > 20
    for threads in (1, 3):
        for x, y in zip(reference, run(threads=threads), strict=True):
            np.testing.assert_array_equal(x, y)


def dense_network(given=None):
    """Rows of several words, that repeat targets; sources that emit several spikes a step; gaps between targets."""
    net = snn.Network(seed=11)
    src = net.population("src", 50, snn.Poisson(rate=3000.0))
    a = net.population("a", 70, snn.LIFExp(t_ref=0.5), init={"v": snn.uniform(-70.0, -56.0)})
    b = net.population("b", 45, snn.LIFCondAlpha())
    edges = {
        "many": (src, a, snn.fixed_indegree(60), 9.0, 0.7), "all": (src, b, snn.all_to_all(), 0.6, 0.7),
        "same": (a, a, snn.fixed_indegree(20), -11.0, 1.1), "other": (a, b, snn.fixed_outdegree(9), -0.3, 1.1),
    }  # fmt: skip
    for name, (source, target, rule, weight, delay) in edges.items():
        if given:
            sources, targets, weight, _ = given.connections(name)
            rule = snn.from_arrays(sources, targets)
        net.connect(source, target, rule, weight=weight, delay=delay, name=name)
    for p in (a, b):
        net.record(p)
        net.record(p, "v")
    return net


def test_dense_projections():
    def run(net, kind, **options):
        sim = snn.Simulation(net, dt=DT, quiet=True, **options)
        assert set(sim.compiled.kinds) == {kind}
        result = sim.run(30.0)
        return sim, [x for p in "ab" for x in (result.spikes[p].times, result.spikes[p].ids, result.states[p]["v"])]

    sim, reference = run(dense_network(), "bc", backend="reference")
    assert all(e.targets.size > 0 for e in sim.compiled.edges), "no edge repeats a bit"
    assert len(reference[0]) > 100
    for threads in (1, 2, 3, 4):
        for x, y in zip(reference, run(dense_network(), "bc", threads=threads)[1], strict=True):
            np.testing.assert_array_equal(x, y)
    _, lists = run(dense_network(sim), "vc")  # sums are rounded in another order
    np.testing.assert_array_equal(lists[0], reference[0])
    np.testing.assert_allclose(lists[5], reference[5], rtol=0.0, atol=1e-9)


def test_poisson_segments_and_shared_train():
    net = snn.Network(seed=6)
    pop = net.population("a", 40, snn.LIFDelta(), init={"v": -60.0})
    net.input("segments", pop, snn.Poisson([0.0, 900.0, 90.0], times=[0.0, 5.0, 12.0], stop=17.0), weight=1.5)
    net.input("shared", pop, snn.Poisson(500.0, shared=True, start=2.0), weight=snn.uniform(0.5, 2.5))
    net.input("many", pop, snn.Poisson(4.0e5), weight=0.02)
    net.record(pop, "v")
    traces = [
        snn.Simulation(net, quiet=True, **o).run(30.0).states["a"]["v"]
        for o in ({"backend": "reference"}, {"threads": 2})
    ]
    np.testing.assert_array_equal(*traces)
    assert np.ptp(traces[0]) > 5


def plastic_network(rule, seed=8):
    net = snn.Network(seed=seed)
    model = snn.LIFDelta(tau_m=20.0)
    if rule.spec.name == "RMax":  # for a model with escape noise
        model = snn.GIF(v_t_star=-60.0, delta_v=5.0, lambda_0=40.0, i_e=30.0)
    a = net.population("a", 14, model, init={"v": snn.uniform(-70.0, -55.0)})
    b = net.population("b", 6, model)
    net.input("noise", a, snn.Poisson(rate=3000.0), weight=0.9)
    net.input("more", b, snn.Poisson(rate=3000.0), weight=0.9)
    sign = 1.0 if rule.spec.bounds(SimpleNamespace(**rule.params))[1] > 0.0 else -1.0
    weight = snn.uniform(*sorted((0.2 * sign, 0.8 * sign)))
    net.connect(a, a, snn.fixed_indegree(5), weight=weight, delay=snn.uniform(0.5, 4.0), plasticity=rule)
    # one delay for all is other code, compiled for seconds: with one rule, for all share it
    delay = 1.5 if rule.spec.name == "STDPPair" else snn.uniform(1.4, 1.6)
    net.connect(a, b, snn.fixed_indegree(9), weight=0.5 * sign, delay=delay, plasticity=rule)
    net.connect(b, a, snn.fixed_indegree(2), weight=-2.0, delay=snn.uniform(0.5, 1.0))
    if rule.spec.modulator:
        jumps = rule.spec.modulator.jump is not None
        net.modulate("a->a", b if jumps else None, delay=1.3, value=0.0 if jumps else 0.1)
        net.modulate("a->b", a if jumps else None, delay=0.6, value=0.01 if jumps else 0.1)
    net.record(a)
    net.record(b)
    return net


# with these parameters weights move far in 250 ms, and not all to a bound; other rules have their defaults
STRONG = {
    "BCM": [{"eta": 0.05, "tau_theta": 100.0, "rho0": 50.0, "w_max": 1.0}],
    "BraderSennFusi": [{"theta_up_low": 0.5, "theta_down_low": 0.5, "a": 0.3, "b": 0.2, "w_max": 1.0}],
    "Clopath": [{"a_ltd": 0.03, "a_ltp": 0.02, "theta_plus": -58.0, "delay": 0.8, "u_ref_squared": 99.0, "w_max": 3.0}],
    "Covariance": [{"eta": 0.05, "tau_mean": 50.0, "w_max": 5.0}],
    "DopamineSTDP": [{"a_plus": 0.05, "a_minus": 0.05, "tau_n": 20.0, "b": 0.5, "w_max": 1.0}],
    "GraupnerBrunel": [{"tau_ca": 8.0, "c_pre": 0.6, "c_post": 0.8, "theta_p": 1.6, "tau": 3e3, "w_max": 1.0}],
    "Jonke": [{"lambda_": 0.1, "alpha": 0.8, "w_max": 2.0}],
    "RMax": [{"eta": 100.0, "tau_e": 50.0, "delta_v": 5.0, "w_max": 2.0}],
    "RewardSTDP": [{"gamma": 3.0, "w_max": 1.0}],
    "STDPNearestPreCentered": [{"lambda_": 0.2, "mu_plus": 0.4, "mu_minus": 0.2, "w_max": 1.0}],
    "STDPNearestRestricted": [{"lambda_": 0.2, "mu_plus": 0.4, "mu_minus": 0.2, "w_max": 1.0}],
    "Oja": [{"eta": 0.2, "w_max": 2.0}],
    "STDPPair": [
        {"lambda_": 0.2, "alpha": 1.1, "mu_plus": mu, "mu_minus": mu, "w_max": 1.0, "tau_minus": 30.0}
        for mu in (0.0, 0.4, 1.0)
    ],
    "STDPNearestSymmetric": [{"lambda_": 0.2, "mu_plus": 0.4, "mu_minus": 0.2, "w_max": 1.0}],
    "STDPPowerLaw": [{"lambda_": 0.2, "tau_minus": 30.0}],
    "STDPTargetTrace": [{"eta": 0.1, "pre_target": 2.0}],
    "STDPTriplet": [{"a_plus": 0.02, "a_plus_triplet": 0.01, "a_minus": 0.1, "a_minus_triplet": 0.005, "w_max": 1.0}],
    "STDPTripletNearest": [
        {"a_plus": 0.05, "a_plus_triplet": 0.05, "a_minus": 0.05, "a_minus_triplet": 0.05, "w_max": 1.0}
    ],
    "VogelsSprekeler": [{"eta": 0.1, "alpha": 3.8, "w_max": -1.0}],
    "VogelsSprekelerRates": [{"eta": 0.1, "tau": 19.0, "w_max": -1.0}],
}


@pytest.mark.parametrize(
    "name, params",
    [(name, params) for name in sorted(set(RULES) - {"Static"}) for params in STRONG.get(name, [{}])],
    ids=str,
)
def test_every_rule(name, params, tmp_path):
    rule = RULES[name](**params)

    def run(checkpoint=None, **options):
        net = plastic_network(rule)
        sim = snn.Simulation(net, quiet=True, **options)
        parts = [sim.run(250.0 if checkpoint is None else 110.3).spikes]
        if checkpoint:
            sim = resumed(sim, net, checkpoint, 2)
            parts.append(sim.run(250.0 - sim.t).spikes)
        spikes = [np.concatenate([getattr(x[p], k) for x in parts]) for p in "ab" for k in ("times", "ids")]
        states = [sim.state(name, v.name) for v in rule.spec.state for name in ("a->a", "a->b")]
        return spikes + states + [sim.connections(name)[2] for name in ("a->a", "a->b")]

    reference = run(backend="reference")
    assert len(reference[0]) > 100
    assert np.ptp(reference[-1]) > 0.2, "weights must have moved apart"
    learned = reference[-3 if name == "BraderSennFusi" else -1]  # its weights are two, what it learns is x
    assert len(np.unique(learned)) > 10, "not all of them to a bound"
    for threads in (1, 2, 3, 4):
        for x, y in zip(reference, run(threads=threads), strict=True):
            np.testing.assert_array_equal(x, y)
    for x, y in zip(reference, run(tmp_path / "state.h5", threads=1), strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("first", [-0.5, 0.0])
def test_inhibitory_plasticity_on_conductances(first):
    """Plastic weights arrive at the receptor of their rule's sign, a weight of 0 too."""
    net = snn.Network(seed=2)
    a = net.population("a", 20, snn.Poisson(rate=40.0))
    b = net.population("b", 7, snn.LIFCondExp())
    net.input("noise", b, snn.Poisson(rate=6000.0), weight=12.0)
    rule = RULES["VogelsSprekeler"](eta=0.5, alpha=0.2, w_max=-20.0)
    net.connect(a, b, snn.all_to_all(), weight=first, delay=snn.uniform(0.5, 3.0), plasticity=rule)
    net.record(b)
    for variable in ("v", "g_ex", "g_in"):
        net.record(b, variable)

    def run(**options):
        sim = snn.Simulation(net, quiet=True, **options)
        result = sim.run(200.0)
        return [*result.states["b"].values(), result.spikes["b"].times, sim.connections("a->b")[2]], result

    reference, result = run(backend="reference")
    assert len(result.spikes["b"]) > 50 and result.states["b"]["g_in"].max() > 1.0
    assert result.states["b"]["g_ex"].min() >= 0.0
    for threads in (1, 3):
        for x, y in zip(reference, run(threads=threads)[0], strict=True):
            np.testing.assert_array_equal(x, y)
