"""What a user describes stays as he gave it, and what cannot be meant is refused by name."""

import copy
import pickle

import numpy as np
import pytest
from scipy import sparse

import plasticity
import snn
from kernels.errors import ModelError, ShapeError


def pair(n=3):
    net = snn.Network(seed=1)
    return net, net.population("a", n, snn.LIFExp(i_e=2000.0))


def test_arrays_are_copied():
    net = snn.Network()
    numbers = {name: np.ones(3) for name in ("weight", "delay", "tau", "v", "rate", "amplitude", "times")}
    ids = {name: np.arange(3) for name in ("sources", "targets")}
    a = net.population("a", 3, snn.LIFExp(tau_m=numbers["tau"]), init={"v": numbers["v"]})
    rule = snn.from_arrays(ids["sources"], ids["targets"])
    net.connect(a, a, rule, weight=numbers["weight"], delay=numbers["delay"])
    net.input("poisson", a, snn.Poisson(numbers["rate"]), weight=1.0)
    net.input("current", a, snn.StepCurrent(numbers["amplitude"][None]))
    net.input("spikes", a, snn.SpikeArray(numbers["times"]), weight=1.0)
    before = snn.Simulation(net, quiet=True)
    for array in (*numbers.values(), *ids.values()):
        array[:] = 2
    after = snn.Simulation(net, quiet=True)
    assert before.network_hash == after.network_hash
    assert after.compiled.parts == before.compiled.parts
    np.testing.assert_array_equal(after.connections("a->a")[2], np.ones(3))
    np.testing.assert_array_equal(before.connections("a->a")[1], [0, 1, 2])


@pytest.mark.parametrize("engine", ["clock", "event"])
@pytest.mark.parametrize(
    "change",
    [
        lambda net, a: net.record(a),
        lambda net, a: net.record(a, "v"),
        lambda net, a: net.connect(a, a, snn.all_to_all(), weight=5000.0),
        lambda net, a: net.input("late", a, snn.StepCurrent(9.0)),
        lambda net, a: net.population("late", 2, snn.LIFExp()),
    ],
    ids=["record", "state", "connect", "input", "population"],
)
def test_a_network_changed_after_its_simulation_was_made(change, engine):
    net, a = pair()
    sim = snn.Simulation(net, engine=engine, quiet=True)
    sim.run(1.0)
    change(net, a)
    for use in (lambda: sim.run(1.0), lambda: sim.connections("a->a")):
        with pytest.raises(ModelError, match="changed after this Simulation was made: .*Make a Simulation"):
            use()
    for use in (lambda: sim.state("late", "v"), lambda: sim.set_state("late", "v", -60.0)):
        with pytest.raises(ModelError, match="Simulation: no population 'late'; there are a"):
            use()
    assert np.isfinite(sim.state("a", "v")).all()
    snn.Simulation(net, engine=engine, quiet=True).run(1.0)


@pytest.mark.parametrize("value", [-5, 0.5, 3e9, [0, 1, -2], snn.uniform(0.0, 5.0)])
def test_steps_left_are_whole_and_not_negative(value):
    net = snn.Network()
    net.population("a", 3, snn.LIFExp(i_e=500.0), init={"refractory": value})
    with pytest.raises(ModelError, match=r"Population 'a'\.init\['refractory'\]: must be integers >= 0"):
        snn.Simulation(net, quiet=True)


BAD = {
    "autapses": (lambda net, a: snn.all_to_all(autapses="no"), "all_to_all.autapses: must be True or False"),
    "multapses": (lambda net, a: snn.fixed_indegree(1, multapses="False"), "fixed_indegree.multapses: must be True"),
    "outdegree": (lambda net, a: snn.fixed_outdegree(1, autapses=1), "fixed_outdegree.autapses: must be True"),
    "total": (lambda net, a: snn.fixed_total_number(1, autapses="no"), "fixed_total_number.autapses: must be True"),
    "bernoulli": (lambda net, a: snn.pairwise_bernoulli(0.5, np.array([1, 0])), "pairwise_bernoulli.autapses: must"),
    "distance": (lambda net, a: snn.distance_dependent("x"), "distance_dependent.p: must be a function"),
    "shared": (lambda net, a: snn.Poisson(10.0, shared="no"), "Poisson.shared: must be True or False"),
    "ragged": (lambda net, a: snn.from_arrays([[1], [1, 2]], [0]), "from_arrays: sources and targets must have shape"),
    "weights twice": (
        lambda net, a: net.input("x", a, snn.SpikeArray([1.0], weights=[7.0]), weight=50.0),
        "Input 'x'.weight: the spikes have weights of their own",
    ),
    "weights of sources": (
        lambda net, a: net.population("b", 1, snn.SpikeArray([1.0], weights=[7.0])),
        "Population 'b'.model: spikes have weights of their own as a direct input only",
    ),
    "input's name": (lambda net, a: net.input(5, a, snn.Poisson(1.0), weight=1.0), "Network.input: the name must be"),
    "connection's name": (lambda net, a: net.connect(a, a, snn.all_to_all(), name=""), "Network.connect: the name"),
    "population's name": (lambda net, a: net.population("a\0b", 1, snn.LIFExp()), "Network.population: the name"),
    "source": (lambda net, a: net.connect([a], a, snn.all_to_all()), "Network: no population"),
    "receptor": (lambda net, a: net.connect(a, a, snn.all_to_all(), receptor=0), "LIFExp has no receptor 0"),
    "init": (lambda net, a: net.population("b", 1, snn.LIFExp(), init=[("v", 1)]), "Population 'b'.init: must be a"),
    "positions": (
        lambda net, a: net.population("b", 2, snn.LIFExp(), positions=[[1.0], [1.0, 2.0]]),
        "Population 'b'.positions: must be a number or an array",
    ),
    "variable": (lambda net, a: net.record(a, None), "no such variable"),
    "ids": (lambda net, a: net.record(a, "v", ids=[[0, 1]]), "ids: must be integers"),
    "every": (lambda net, a: net.record(a, "v", every=float("inf")), "every: must be > 0 ms"),
    "network": (lambda net, a: snn.Simulation(None), "Simulation.net: must be a snn.Network"),
    "threads": (lambda net, a: snn.Simulation(net, threads=0), "Simulation.threads: must be an integer >= 1"),
    "state of": (lambda net, a: snn.Simulation(net, quiet=True).state(None, "v"), "Simulation: no population None"),
    "state": (lambda net, a: snn.Simulation(net, quiet=True).set_state("a", "v", "x"), "must be a number or an array"),
    "true": (lambda net, a: snn.Simulation(net, quiet=True).set_state("a", "v", True), "must be a number"),
    "connections of": (lambda net, a: snn.Simulation(net, quiet=True).connections(None), "no projection None"),
    "less than a step": (lambda net, a: snn.Simulation(net, quiet=True).run(0.04), "0 or more than half a step of 0.1"),
}


@pytest.mark.parametrize("case", BAD)
def test_refused_by_name(case):
    call, text = BAD[case]
    with pytest.raises((ModelError, ShapeError), match=text):
        call(*pair())


def test_numpy_integers_and_flags_are_numbers_and_flags():
    net, a = pair()
    net.connect(a, a, snn.all_to_all(autapses=np.bool_(False)), weight=1.0)
    sim = snn.Simulation(net, threads=np.int64(2), quiet=True)
    assert sim.threads == 2 and sim.connections("a->a")[0].size == 6


def sized(n_source, n_target):
    net = snn.Network()
    model = snn.LIFDelta()
    return net, net.population("a", n_source, model), net.population("b", n_target, model)


@pytest.mark.parametrize("kind", [sparse.coo_matrix, sparse.csr_array, sparse.csc_matrix, np.asarray])
def test_matrices_keep_their_shape(kind):
    """Also where no edge shows it: a matrix of another shape was taken as long as its indices fit."""
    dense = np.zeros((20, 30))
    dense[[0, 1, 7], [5, 19, 29]] = [0.5, -1.0, 2.0]
    rule, weights = snn.from_sparse(kind(dense))
    net, a, b = sized(20, 30)
    net.connect(a, b, rule, weight=weights)
    sources, targets, found, _ = snn.Simulation(net, backend="reference", quiet=True).connections("a->b")
    back = np.zeros((20, 30))
    back[sources, targets] = found
    np.testing.assert_array_equal(back, dense)
    for n_source, n_target, hint in ((30, 20, " Transpose it?"), (30, 30, ""), (50, 40, "")):
        net, a, b = sized(n_source, n_target)
        text = rf"'a->b'.rule: the matrix must have shape \({n_source}, {n_target}\) = \(source, target\); got "
        with pytest.raises(ShapeError, match=text + rf"\(20, 30\)\.{hint.replace('?', '.')}$"):
            net.connect(a, b, rule, weight=weights)


def test_what_is_no_matrix():
    for given, text in (
        (np.ones(3), r"must have shape \(n_source, n_target\); got \(3,\)"),
        ("x", "must be real numbers"),
    ):
        with pytest.raises((ModelError, ShapeError), match=f"from_sparse.matrix: {text}"):
            snn.from_sparse(given)


@pytest.mark.parametrize("p", [lambda d: 1.0 if d < 0.3 else 0.0, lambda d: d + "a", lambda: 1.0])
def test_probabilities_of_single_distances(p):
    net = snn.Network()
    a = net.population("a", 3, snn.LIFExp(), positions=[[0.0], [0.1], [0.2]])
    net.connect(a, a, snn.distance_dependent(p))
    with pytest.raises(ModelError, match="'a->a'.p: must be a function of an array of distances, such as lambda d: np"):
        snn.Simulation(net, quiet=True)


def test_periodic_distances_of_positions_outside_the_box():
    net = snn.Network()
    a = net.population("a", 2, snn.LIFExp(), positions=[[0.05], [3.95]], wrap=1.0)
    net.connect(a, a, snn.distance_dependent(lambda d: (d < 0.11) * 1.0))
    assert snn.Simulation(net, quiet=True).connections("a->a")[0].size == 2


@pytest.mark.parametrize("engine", ["clock", "event"])
@pytest.mark.parametrize("streamed", [False, True], ids=["memory", "file"])
def test_weights_of_no_synapses_are_recorded(tmp_path, engine, streamed):
    net, a = pair()
    projection = net.connect(a, a, snn.from_arrays([], []), weight=1.0, plasticity=plasticity.STDPPair(w_max=2.0))
    net.record(a)
    net.record_weights(projection, every=1.0)
    result = snn.Simulation(net, engine=engine, quiet=True).run(10.0, to=tmp_path / "x.h5" if streamed else None)
    times, weights = result.weights["a->a"]
    assert times.tolist() == list(range(1, 11)) and weights.shape == (10, 0)
    assert len(result.spikes["a"])


def everything():
    net, a = pair()
    src = net.population("src", 3, snn.SpikeArray([1.0]))
    made = net.connect(src, a, snn.one_to_one(), weight=1.0)
    return net, a, src, made, net.input("x", a, snn.SpikeArray([1.0]), weight=1.0), net.record(a, "v")


@pytest.mark.parametrize(
    ("assign", "text"),
    [
        (lambda x: setattr(x[1], "i_e", 3.0), r"Population 'a'.i_e: cannot be assigned.*parameters to its model"),
        (lambda x: setattr(x[1], "v", -60.0), "Population 'a'.v: cannot be assigned.*sim.set_state"),
        (lambda x: setattr(x[1], "n", 7), "Population 'a'.n: cannot be assigned"),
        (lambda x: setattr(x[1], "model", snn.LIFDelta()), "Population 'a'.model: cannot be assigned"),
        (lambda x: setattr(x[2], "model", snn.SpikeArray([1.0], weights=[2.0])), "Population 'src'.model: cannot be"),
        (lambda x: x[1].init.update(v=-60.0), "Population.init: cannot be changed. Give init="),
        (lambda x: x[1].init.__setitem__("v", -60.0), "Population.init: cannot be changed"),
        (lambda x: setattr(x[1].model, "i_e", 7.0), r"LIFExp.i_e: cannot be assigned or deleted. Give parameters when"),
        (lambda x: setattr(x[1].model, "params", {}), "LIFExp.params: cannot be assigned"),
        (lambda x: setattr(x[3], "weight", -500.0), "Projection 'src->a'.weight: cannot be assigned.*sim.set_weights"),
        (lambda x: setattr(x[3], "plasticity", plasticity.STDPPair()), "Projection 'src->a'.plasticity: cannot be"),
        (lambda x: delattr(x[3], "delay"), "Projection 'src->a'.delay: cannot be assigned or deleted"),
        (lambda x: setattr(x[4], "weight", 5.0), "Input 'x'.weight: cannot be assigned.*net.input; sim.set_source"),
        (lambda x: setattr(x[4], "source", snn.StepCurrent(1.0)), "Input 'x'.source: cannot be assigned"),
        (lambda x: setattr(x[5], "every", 5.0), "Probe 'a.v'.every: cannot be assigned"),
    ],
)  # fmt: skip
def test_what_is_described_cannot_be_assigned(assign, text):
    """It was ignored, or taken without a check."""
    with pytest.raises(ModelError, match=text):
        assign(everything())


def test_sources_may_be_replaced_before_a_simulation_is_made():
    net, a, src, _, given, _ = everything()
    net.record(src)
    src.model, given.source = snn.SpikeArray([2.0, 3.0]), snn.Poisson(0.0)
    sim = snn.Simulation(net, backend="reference", quiet=True)
    assert sim.run(5.0).spikes["src"].times.tolist() == pytest.approx([2.0, 3.0])
    src.model = snn.SpikeArray([2.0])
    with pytest.raises(ModelError, match="the network was changed after this Simulation was made: SpikeArray"):
        sim.run(5.0)


def test_networks_are_copied_and_pickled():
    net, *_ = everything()
    net.population("c", 2, snn.LIFExp(), init={"v": -61.0})
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert repr(other) == repr(net) and other.populations["c"].init == {"v": -61.0}
        with pytest.raises(ModelError, match="cannot be changed"):
            other.populations["c"].init["v"] = 0.0
        with pytest.raises(ModelError, match="cannot be assigned"):
            other.populations["c"].n = 3


def test_what_is_made_prints_in_a_line():
    """Of arrays, also those of functions of distance, shape and range."""
    net = snn.Network(seed=1)
    a = net.population("a", 30, snn.LIFDelta(), positions=np.linspace(0.0, 1.0, 30)[:, None])
    made = net.connect(a, a, snn.all_to_all(), weight=lambda d: 2.0 * d, delay=lambda d: 1.0 + d)
    assert repr(made) == (
        "Projection('a->a', from_arrays(900 edges), weight=array of shape (900,), 0 to 2, "
        "delay=array of shape (900,), 1 to 2)"
    )
    assert "\n  Projection('a->a', from" in repr(net) and len(repr(net)) < 200
    none = net.connect(a, a, snn.pairwise_bernoulli(0.0), weight=lambda d: d, name="none")
    assert "weight=array of shape (0,), delay=1.0" in repr(none)
    driven = net.input("i", a[:20], snn.Poisson(5.0), weight=np.arange(20.0))
    assert repr(driven).startswith("Input('i', a[20 of 30], Poisson(") and "(30,), 0 to 19)" in repr(driven)
    many = snn.Network().population(
        "b", 30, snn.LIFDelta(v_th=np.linspace(-55.0, -50.0, 30), e_l=snn.normal(-70.0, 1.0))
    )
    assert "v_th=array of shape (30,), -55 to -50" in repr(many) and "e_l=normal(mean=-70, std=1)" in repr(many)
    assert repr(net.record(a, "v", every=0.5)) == "Probe('a.v', 30 of 30, every=0.5)"


MADE = {
    "Poisson": (lambda: snn.Poisson([[5.0, 6.0]], times=[0.0]), "rate"),
    "SpikeArray": (lambda: snn.SpikeArray([1.0, 2.0], [0, 1], [3.0, 4.0]), "ids"),
    "StepCurrent": (lambda: snn.StepCurrent([5.0, 6.0], [0.0, 1.0]), "amplitudes"),
    "ACCurrent": (lambda: snn.ACCurrent(5.0, 6.0), "frequency"),
    "NoiseCurrent": (lambda: snn.NoiseCurrent(std=5.0), "std"),
    "OrnsteinUhlenbeck": (lambda: snn.OrnsteinUhlenbeck(tau=5.0), "tau"),
    "LIFDelta": (lambda: snn.LIFDelta(tau_m=np.array([5.0, 6.0])), "params"),
    "STDPPair": (lambda: plasticity.STDPPair(tau_plus=5.0), "params"),
    "TsodyksMarkram": (lambda: plasticity.TsodyksMarkram(tau_rec=5.0), "params"),
    "from_arrays": (lambda: snn.from_arrays([5, 6], [0, 1]), "sources"),
}
COPIES = {
    "itself": lambda x: x, "copy": copy.copy, "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}  # fmt: skip


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("kind", MADE)
def test_what_is_made_cannot_be_changed(kind, copied):
    """A change would pass by the checks, and do nothing to a simulation; nor can copies be changed."""
    make, name = MADE[kind]
    made = COPIES[copied](make())
    assert repr(made) == repr(make()) and type(made) is type(make())
    for change in (
        lambda: setattr(made, name, 7.0), lambda: setattr(made, "new", 7.0), lambda: delattr(made, name),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=f"^{kind}.(new|{name}): cannot be assigned or deleted. "):
            change()
    value = getattr(made, name)
    if isinstance(value, dict):
        for change in (lambda: value.update(tau_m=-5.0), lambda: value.pop("tau_m"), lambda: value.__setitem__("x", 1)):
            with pytest.raises(ModelError, match=f"{kind}.params: cannot be changed. Give parameters when the"):
                change()
    for array in [
        x for x in (*vars(made).values(), *(value.values() if isinstance(value, dict) else ())) if np.ndim(x)
    ]:
        if isinstance(array, np.ndarray):
            with pytest.raises(ValueError, match="read-only"):
                array[:] = 9.0
    assert repr(made) == repr(make())


def test_arrays_of_a_network_cannot_be_written_to():
    """Which would pass by the checks of bounds, signs and finite numbers."""
    net = snn.Network(seed=1)
    a = net.population("a", 3, snn.LIFExp(), init={"v": np.full(3, -60.0)}, positions=np.zeros((3, 2)))
    made = net.connect(a, a, snn.all_to_all(), weight=np.ones((3, 3)), delay=np.ones((3, 3)))
    driven = net.input("i", a, snn.Poisson(5.0), weight=np.ones(3))
    for array in (a.init["v"], a.positions, made.weight, made.delay, driven.weight):
        with pytest.raises(ValueError, match="read-only"):
            array[:] = -5.0
    before = net.connect(a, a, snn.one_to_one(), weight=lambda d: 1.0 + d, name="near")
    with pytest.raises(ValueError, match="read-only"):
        before.weight[:] = np.nan
    assert snn.Simulation(net, quiet=True).run(2.0).t_stop == 2.0


def test_sources_of_ones_own():
    """Also of classes that derive from others, with attributes of their own."""

    class Twice(snn.Poisson):
        def __init__(self, rate):
            super().__init__(rate)
            self.rate *= 2.0

    net, a = pair()
    driven = net.input("i", a, Twice(200.0), weight=1.0)
    assert driven.source.rate == 400.0
    with pytest.raises(ModelError, match="Twice.rate: cannot be assigned"):
        driven.source.rate = 5.0
    net.input("same", a, snn.Poisson(400.0), weight=1.0)
    assert snn.Simulation(net, quiet=True, backend="reference").run(5.0).t_stop == 5.0
    with pytest.raises(ModelError, match="Population.init: cannot be changed. Give init="):
        a.init["v"] = -60.0
