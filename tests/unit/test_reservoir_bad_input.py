"""Mistakes in reservoirs, readouts, tasks and measures are named."""

import copy
import re

import numpy as np
import pytest
import scipy.sparse

import reservoir
import snn
from kernels.errors import ModelError, ShapeError, SimError
from reservoir import measures, tasks

NET = {"n": 20, "n_inputs": 1, "seed": 1}


def network(readout=None):
    return reservoir.EchoStateNetwork.random(**NET, readout=readout)


def fitted():
    return network(reservoir.Ridge()).fit(*tasks.narma(50, order=5))


def memory(**options):
    return measures.memory_capacity(np.random.default_rng(1).normal(size=(30, 2)), np.arange(30.0), lags=3, **options)


def distance(starts):
    return measures.echo_state_distance(network(), np.ones(9), starts)


def capacity(lags, **options):
    u = np.random.default_rng(1).uniform(-1, 1, 30)
    return measures.information_processing_capacity(u[:, None], u, lags, **options)


SEEDED = {
    "narma": lambda seed: tasks.narma(20, 5, seed),
    "temporal_parity": lambda seed: tasks.temporal_parity(9, seed=seed),
    "delayed_match": lambda seed: tasks.delayed_match(4, seed=seed),
    "spike_templates": lambda seed: tasks.spike_templates(4, seed=seed),
    "moving_shapes": lambda seed: tasks.moving_shapes(4, seed=seed),
    "dead_leaves": lambda seed: reservoir.motion.dead_leaves(32, largest=8.0, seed=seed),
    "moving_images": lambda seed: reservoir.motion.moving_images([np.eye(20)], 2, 4, 8, seed=seed),
    "EchoStateNetwork.random": lambda seed: reservoir.EchoStateNetwork.random(20, seed=seed),
    "DaleNetwork.random": lambda seed: reservoir.DaleNetwork.random(40, indegree=10, seed=seed),
    "MEET.events": lambda seed: reservoir.MEET().events(9, seed),
    "maass_column": lambda seed: reservoir.maass_column(seed=seed),
    "small_world": lambda seed: reservoir.graphs.small_world(20, 4, 0.1, seed),
    "clusters": lambda seed: reservoir.graphs.clusters(20, 2, 4, 0.5, seed),
    "Poisson": lambda seed: reservoir.encoders.Poisson(10.0, seed),
    "DelayLayer": lambda seed: reservoir.DelayLayer(2, (16, 16), seed=seed),
    "WhatWhen": lambda seed: reservoir.WhatWhen(20, seed=seed),
    "lyapunov": lambda seed: measures.lyapunov(network(), np.ones(9), washout=1, seed=seed),
}


@pytest.mark.parametrize("owner", SEEDED)
@pytest.mark.parametrize("seed", [-1, "a", 1.5])
def test_seed_is_refused_by_name(owner, seed):
    with pytest.raises(ModelError) as error:
        SEEDED[owner](seed)
    assert f"{owner}.seed: must be an integer >= 0; got {seed!r}." in str(error.value)


def test_lorenz_begins_at_its_start():
    assert tasks.lorenz(1, washout=0.0, start=(1.0, 2.0, 3.0)).tolist() == [[1.0, 2.0, 3.0]]
    assert np.allclose(tasks.lorenz(2, washout=0.0)[0], 1.0) and tasks.lorenz(2, washout=0.0).shape == (2, 3)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: network().fit(np.zeros(9), np.zeros(9)), "there is no readout"),
        (lambda: network().generate(3, [0.0]), "there is no readout"),
        (lambda: network(reservoir.Ridge()).predict(np.zeros(9)), "has seen no states"),
        (lambda: network(reservoir.Ridge()).fit(np.ones(9), np.ones(8)), "as long as u"),
        (lambda: network(reservoir.Ridge()).fit([np.ones(9)], [np.ones(9), np.ones(9)]), "one target sequence"),
        (lambda: network(reservoir.Ridge()).fit(np.ones(9), np.ones(9), washout=9), "longer than washout"),
        (lambda: network(reservoir.Ridge()).fit([np.ones(9), [np.nan]], 2 * [np.ones(9)]), "u[1]: must be finite"),
        (lambda: network(reservoir.Ridge()).fit(np.zeros(50), np.ones(50)), "silent or saturated"),
        (lambda: network().run(np.ones((4, 2))), "must have shape (T, 1)"),
        (lambda: network().run([]), "must have shape (T, 1)"),
        (lambda: reservoir.EchoStateNetwork(np.eye(3), np.ones((2, 1))), "must be (n, n)"),
        (lambda: reservoir.EchoStateNetwork(np.eye(2), np.ones((2, 1)), leak=0.0), "leak: must be > 0"),
        (lambda: reservoir.EchoStateNetwork(np.full((2, 2), np.inf), np.ones((2, 1))), "w: must be finite"),
        (lambda: reservoir.EchoStateNetwork(np.eye(2), np.ones((2, 1)), bias=np.ones(3)), "or of shape (2,)"),
        (lambda: reservoir.EchoStateNetwork(np.eye(2), np.ones((2, 1)), threads=0), "threads: must be"),
        (lambda: reservoir.EchoStateNetwork.random(20, density=0.0), "density: must be > 0"),
        (lambda: setattr(network(), "w", np.eye(20)), "EchoStateNetwork.w: cannot be changed"),
        (lambda: setattr(network(), "leak", 0.5), "EchoStateNetwork.leak: cannot be changed"),
        (lambda: setattr(network(), "x", np.zeros(5)), "EchoStateNetwork.x: must have shape (20,); got (5,)"),
        (lambda: setattr(network(), "x", np.zeros(50)), "EchoStateNetwork.x: must have shape (20,); got (50,)"),
        (lambda: setattr(network(), "x", np.full(20, np.nan)), "EchoStateNetwork.x: must be finite; got nan at 0"),
        (lambda: measures.lyapunov(reservoir.Deep([network()]), np.ones(9)), "lyapunov.net: must be an EchoState"),
        (lambda: measures.echo_state_distance(None, np.ones(9), np.ones((2, 20))), "distance.net: must be an Echo"),
        (lambda: reservoir.spectral_radius(np.ones((2, 3))), "spectral_radius.w: must be (n, n); got (2, 3)"),
        (lambda: reservoir.spectral_radius([[np.nan]]), "spectral_radius.w: must be finite"),
        (lambda: reservoir.Ridge(penalty=-1.0), "penalty: must be >= 0"),
        (lambda: reservoir.Ridge(0.0).fit(np.ones((9, 2)) * np.arange(9)[:, None], np.arange(9)), "linearly dependent"),
        (lambda: reservoir.RLS(forgetting=1.5), "must be > 0 and <= 1"),
        (lambda: reservoir.NLMS(rate=2.0), "must be > 0 and < 2"),
        (lambda: reservoir.RLS().fit(np.ones((3, 2)), np.ones((4, 1))), "as long as x"),
        (
            lambda: reservoir.NLMS().partial_fit(np.ones((3, 2)), np.ones((3, 2)), np.ones((3, 3))),
            "gate: must have shape (3,) or (3, 2); got (3, 3)",
        ),
        (
            lambda: reservoir.NLMS().partial_fit(np.ones((3, 2)), np.ones((3, 1)), [0, 2, 1]),
            "gate: must be 0 to 1; got 0 to 2",
        ),
        (lambda: reservoir.Softmax().fit(np.ones((3, 2)), np.ones((3, 2))), "sums from 2 to 2"),
        (lambda: reservoir.Softmax(0.0), "penalty: must be > 0"),
        (lambda: tasks.narma(10, order=7), "order: must be"),
        (lambda: tasks.narma(400, order=10, u=np.full(400, 2.0)), "runs away"),
        (lambda: tasks.mackey_glass(10, tau=17.05), "multiple of dt"),
        (lambda: tasks.lorenz(10, every=0.0), "every: must be > 0"),
        (lambda: tasks.temporal_parity(10, delays=[-1]), "delays: must be"),
        (lambda: tasks.delayed_match(10, symbols=1), "symbols: must be"),
        (lambda: tasks.spike_templates(4, rate=-1.0), "rate: must be"),
        (lambda: measures.nrmse(np.ones(4), np.ones(4)), "must vary"),
        (lambda: measures.memory_capacity(np.ones((9, 2)), np.ones(9), lags=0), "lags: must be"),
        (lambda: measures.memory_capacity(np.ones((9, 2)), np.ones(9), lags=3, washout=1), "washout: must be"),
        (lambda: measures.information_processing_capacity(np.ones((9, 2)), 2 * np.ones(9), {1: 2}), "lie in [-1, 1]"),
        (lambda: measures.rank(np.ones((3, 3)), energy=0.0), "energy: must be"),
        (lambda: measures.lyapunov(network(), np.ones(10)), "longer than washout"),
        (lambda: measures.lyapunov(network(), np.ones(10), washout=-5), "lyapunov.washout: must be an integer >= 0"),
        (lambda: measures.lyapunov(network(), np.ones(10), washout=2.5), "lyapunov.washout: must be an integer >= 0"),
        (lambda: measures.lyapunov(network(), np.ones(10), 0.0, 1), "lyapunov.distance: must be > 0; got 0.0"),
        (lambda: measures.lyapunov(network(), np.ones(10), -1e-8, 1), "lyapunov.distance: must be > 0"),
        (lambda: memory(train=-0.5), "memory_capacity.train: must be > 0 and < 1; got -0.5"),
        (lambda: memory(train=np.nan), "memory_capacity.train: must be > 0 and < 1"),
        (lambda: memory(train=0.99), "memory_capacity.train: leaves 27 of 27 steps"),
        (lambda: memory(washout=5.5), "memory_capacity.washout: must be an integer"),
        (lambda: memory(readout=3), "memory_capacity.readout: must be a readout"),
        (lambda: capacity({2.5: 3}), "lags: a degree: must be an integer >= 1; got 2.5"),
        (lambda: capacity({1: 2.5}), "lags[1]: must be an integer >= 0; got 2.5"),
        (lambda: capacity([1, 2]), "lags: must map degrees >= 1 to delays >= 0; got [1, 2]"),
        (lambda: capacity({1: 2}, threshold=np.nan), "threshold: must be >= 0; got nan"),
        (lambda: distance(np.ones((1, 20))), "echo_state_distance.starts: must have shape (2, 20)"),
        (lambda: distance(np.ones((3, 20))), "echo_state_distance.starts: must have shape (2, 20)"),
        (lambda: tasks.mackey_glass(9, start=np.nan), "mackey_glass.start: must be finite; got nan"),
        (lambda: tasks.mackey_glass(9, washout=-5.0), "mackey_glass.washout: must be >= 0; got -5.0"),
        (lambda: tasks.mackey_glass(9, washout=-50), "mackey_glass.washout: must be >= 0"),
        (lambda: tasks.mackey_glass(9, washout=0.05), "mackey_glass.washout: must be a multiple of dt"),
        (lambda: tasks.mackey_glass(9, dt=0.0), "mackey_glass.dt: must be > 0"),
        (lambda: tasks.mackey_glass(9, tau=0.2), "mackey_glass.tau: must be a multiple of dt, at least 3 dt"),
        (lambda: tasks.lorenz(9, start=[1.0]), "lorenz.start: must have shape (T, 3)"),
        (lambda: tasks.lorenz(9, start="a"), "lorenz.start: must be real numbers; got str"),
        (lambda: tasks.narma(9, order=10.0), "narma.order: must be 5, 10, 20 or 30; got 10.0"),
        (lambda: fitted().generate(2.7, [0.0]), "generate.steps: must be an integer >= 0; got 2.7"),
        (lambda: fitted().generate(-5, [0.0]), "generate.steps: must be an integer >= 0; got -5"),
        (lambda: fitted().generate(2, "a"), "generate.first: must be real numbers; got str"),
        (lambda: fitted().step("a"), "step.u: must be real numbers; got str"),
        (lambda: reservoir.EchoStateNetwork.random(20, input_scale=np.nan), "input_scale: must be >= 0; got nan"),
        (lambda: reservoir.EchoStateNetwork.random(20, bias_scale=np.inf), "bias_scale: must be >= 0; got inf"),
        (lambda: reservoir.EchoStateNetwork.random(20, n_inputs=0), "n_inputs: must be an integer >= 1; got 0"),
        (lambda: reservoir.Softmax().solve(), "Softmax.solve: the readout has seen no states"),
        (lambda: network(3).fit(np.ones(9), np.ones(9)), "fit.readout: must be a readout, such as reservoir.Ridge()"),
        (lambda: network(reservoir.Ridge).fit(np.ones(9), np.ones(9)), "fit.readout: must be a readout"),
        (lambda: network(reservoir.Ridge).step(0.5), "step.readout: must be a readout"),
        (lambda: reservoir.encoders.binned([1.0], [0], 1, 1.0, np.nan), "binned.duration: must be > 0; got nan"),
        (lambda: fitted().predict([[0.1], [0.3], [0.5]]), "Give one series as np.array(..), several as a list of"),
        (lambda: fitted().fit([[0.1], [0.3], [0.5]], [[0.1], [0.3], [0.5]]), "fit.u: must be an array, or a list of"),
    ],
)  # fmt: skip
def test_refused(call, text):
    with pytest.raises(SimError) as error:
        call()
    assert isinstance(error.value, (ModelError, ShapeError))
    assert text in str(error.value)


def test_generate_needs_as_many_outputs_as_inputs():
    net = network(reservoir.Ridge(1e-6))
    u = np.random.default_rng(0).uniform(size=(50, 1))
    net.fit(u, np.hstack([u, u]))
    with pytest.raises(ShapeError, match="as many outputs as inputs"):
        net.generate(2, [0.5])


@pytest.mark.parametrize("kind", ["echo state", "Dale"])
def test_what_a_rate_network_runs_on_cannot_be_changed(kind):
    rng = np.random.default_rng(1)
    given = {"w_in": rng.normal(size=(9, 2)), "leak": np.full(9, 0.5)}
    if kind == "Dale":
        sides = {"excitatory": np.zeros((9, 9)), "inhibitory": np.zeros((9, 9))}
        sides["excitatory"][:, :6], sides["inhibitory"][:, 6:] = rng.uniform(size=(9, 6)), rng.uniform(size=(9, 3))
        given |= {k: scipy.sparse.csr_array(v) for k, v in sides.items()} | {"threshold": np.zeros(9)}
        net = reservoir.DaleNetwork(**given)
        held = {"w_in": net.inputs} | {k: getattr(net, k) for k in ("leak", "excitatory", "inhibitory", "threshold")}
        whole = ["excitatory", "inhibitory", "inputs", "slope", "threshold", "w"]
    else:
        given |= {"w": scipy.sparse.csr_array(rng.normal(size=(9, 9))), "bias": rng.normal(size=9)}
        net = reservoir.EchoStateNetwork(**given)
        held, whole = {k: getattr(net, k) for k in ("w", "w_in", "bias", "leak")}, ["w", "w_in", "bias", "leak"]
    u = rng.normal(size=(5, 2))
    states = net.states(u)
    for name, array in held.items():
        before = array.copy()
        inside, outside = (a.data if scipy.sparse.issparse(a) else a for a in (array, given[name]))
        with pytest.raises(ValueError, match="read-only"):
            inside[:] = 7.0
        outside[:] = 7.0  # what the caller gave is the caller's
        assert abs(array - before).sum() == 0.0
    for name in whole:
        with pytest.raises(ModelError, match="cannot be changed"):
            setattr(net, name, getattr(net, name))
    assert np.array_equal(net.states(u), states)
    again = copy.deepcopy(net)
    assert np.array_equal(again.states(u), states)


U = np.random.default_rng(2).uniform(0.1, 0.9, (60, 1))
SPIKING = reservoir.random_network(20, snn.LIFExp(i_e=400.0), snn.fixed_indegree(3), weight=1.0, seed=1)
W_IN = {"exc": np.ones((16, 1)), "inh": np.ones((4, 1))}


def liquid(**given):
    return reservoir.SpikingReservoir(SPIKING, W_IN, threads=1, **given)


def random_spiking(**given):
    return reservoir.random_network(
        **{"n": 20, "model": snn.LIFExp(), "rule": snn.fixed_indegree(3), "weight": 1.0} | given
    )


SERIES = {  # wherever a series or a matrix comes in
    "states": lambda x: network().states(x),
    "step": lambda x: network().step(x[:1]),
    "fit": lambda x: network(reservoir.Ridge()).fit(U[:2], x),
    "predict": lambda x: fitted().predict(x),
    "x": lambda x: setattr(network(), "x", np.resize(x, 20)),
    "w": lambda x: reservoir.EchoStateNetwork(np.diag(x), np.ones((2, 1))),
    "sparse w": lambda x: reservoir.EchoStateNetwork(scipy.sparse.coo_array(np.diag(x)), np.ones((2, 1))),
    "bias": lambda x: reservoir.EchoStateNetwork(np.eye(2), np.ones((2, 1)), bias=x),
    "excitatory": lambda x: reservoir.DaleNetwork(np.diag(x), np.zeros((2, 2)), np.ones((2, 1))),
    "threshold": lambda x: reservoir.DaleNetwork(np.eye(2), np.zeros((2, 2)), np.ones((2, 1)), threshold=x),
    "Dale w_in": lambda x: reservoir.DaleNetwork(np.eye(2), np.zeros((2, 2)), x[:, None]),
    "w_in": lambda x: reservoir.SpikingReservoir(SPIKING, {"inh": np.resize(x, (4, 1))}),
    "positions": lambda x: random_spiking(positions=np.resize(x, 20)),
    "Ridge": lambda x: reservoir.Ridge().fit(x, [1.0, 2.0]),
    "RLS": lambda x: reservoir.RLS().fit([1.0, 2.0], x),
    "Softmax": lambda x: reservoir.Softmax().fit(x, np.eye(2)),
    "gate": lambda x: reservoir.NLMS().partial_fit([1.0, 2.0], [1.0, 2.0], x),
    "nrmse": lambda x: measures.nrmse(x, [1.0, 2.0]),
    "rank": lambda x: measures.rank(x),
    "spectral radius": lambda x: reservoir.spectral_radius(np.diag(x)),
    "starts": lambda x: distance(np.resize(x, (2, 20))),
    "FORCE": lambda x: reservoir.FORCE.lif(10).fit(x),
    "binned": lambda x: reservoir.encoders.binned(x, [0, 0], 1, 1.0),
    "channels": lambda x: reservoir.encoders.binned([1.0, 2.0], x, 9, 1.0),
    "trials": lambda x: reservoir.WhatWhen(50).fit(reservoir.MEET(), x),
    "steps": lambda x: reservoir.DelayLayer(2, (9, 9)).fit([(x, [0, 1])], [0]),
    "labels": lambda x: reservoir.DelayLayer(2, (9, 9)).fit([(np.arange(40), np.zeros(40, int))] * 2, x),
    "image": lambda x: reservoir.motion.film(np.resize(x, (9, 9)), np.zeros((1, 2)), 4),
    "latencies": lambda x: reservoir.MEET(latencies=np.array([200, 400]) * x),
}


@pytest.mark.parametrize("where", SERIES)
def test_complex_numbers_are_refused(where):
    with pytest.raises(ModelError, match="must be real numbers; got ndarray of dtype complex128"):
        SERIES[where](np.array([1.0 + 1.0j, 2.0]))


@pytest.mark.parametrize(
    "where",
    [
        "states",
        "fit",
        "predict",
        "bias",
        "threshold",
        "Ridge",
        "nrmse",
        "FORCE",
        "binned",
        "channels",
        "trials",
        "steps",
        "labels",
    ],
)
def test_masked_numbers_are_refused(where):
    with pytest.raises(ModelError, match="must have no masked entries"):
        SERIES[where](np.ma.masked_array([1.0, 1e6], [False, True]))


def tuned(**given):
    return reservoir.tuning.tuned(liquid(), lambda x: 1.0, **{"target": 1.0} | given)


NUMBERS = {  # arguments that must be numbers, flags or objects of ours
    "EchoStateNetwork": (lambda **k: reservoir.EchoStateNetwork(np.eye(3), np.ones((3, 1)), **k), "bias leak threads"),
    "EchoStateNetwork.random": (
        lambda **k: reservoir.EchoStateNetwork.random(**{"n": 9} | k), 
        "n n_inputs radius density input_scale leak seed",
    ),
    "DaleNetwork.random": (
        lambda **k: reservoir.DaleNetwork.random(**{"n": 30, "indegree": 10} | k),
        "n n_inputs indegree excitatory spread fixed driven input_scale slope threshold leak seed",
    ),
    "DaleNetwork": (
        lambda **k: reservoir.DaleNetwork.random(30, indegree=10).adapted(U, **{"target": 0.5} | k), "target eta",
    ),
    "SpikingReservoir": (liquid, "hold tau tau_rise dt encoder state"),
    "adapted": (lambda **k: liquid().adapted(U, **{"target": 9.0} | k), "target eta"),
    "scaled": (liquid().scaled, "factor"),
    "random_network": (random_spiking, "n weight weight_std excitatory balance positions seed"),
    "FORCE": (
        lambda **k: reservoir.FORCE.lif(**{"n": 9} | k),
        "n n_outputs n_inputs gain density balanced feedback input_scale alpha learn_every tau_rise tau_decay dt seed",
    ),
    "FORCE.fit": (lambda **k: reservoir.FORCE.lif(9).fit(np.zeros(9), **k), "washout"),
    "FORCE.generate": (reservoir.FORCE.lif(9).generate, "duration"),
    "WhatWhen": (
        lambda **k: reservoir.WhatWhen(**{"n": 50} | k),
        "n n_channels gain density inhibition delay bias bias_sd cue_scale tau_syn tau_trace tau_mean rate_when "
        "rate_what gate_floor feedback rule merged forgetting alpha noise jitter restart seed",
    ),
    "MEET": (lambda **k: reservoir.MEET(**k), "latencies probabilities sigma duration cue"),
    "DelayLayer": (
        lambda **k: reservoir.DelayLayer(**{"n_classes": 2, "frame": (9, 9)} | k),
        "n_classes frame delays size rates voxels batch centre looks share threshold seed threads",
    ),
    "maass_column": (reservoir.maass_column, "shape length excitatory scale seed"),
    "small_world": (lambda **k: reservoir.graphs.small_world(**{"n": 9, "indegree": 2, "rewired": 0.1} | k),
                    "n indegree rewired seed"),
    "clusters": (lambda **k: reservoir.graphs.clusters(**{"n": 9, "count": 2, "indegree": 2, "inside": 0.5} | k),
                 "n count indegree inside seed"),
    "exponent": (lambda **k: reservoir.tuning.exponent(liquid(), U, **{"size": 0.1} | k), "size at window trials"),
    "tuned": (tuned, "target low high rounds"),
    "linear_response": (lambda **k: reservoir.tuning.linear_response(liquid(), U, **k), "step"),
    "rank": (lambda **k: measures.rank(np.eye(3), **k), "energy"),
    "subspaces": (lambda **k: measures.subspaces(np.eye(3), np.eye(3), **k), "energy"),
    "spike_templates": (lambda **k: tasks.spike_templates(4, **k), "templates channels rate duration jitter seed"),
    "moving_shapes": (lambda **k: tasks.moving_shapes(2, **k), "steps size noise seed"),
    "binned": (
        lambda **k: reservoir.encoders.binned(**{"times": [1.0], "channels": [0], "n_channels": 1, "every": 1.0} | k),
        "times channels n_channels every duration",
    ),
    "search": (
        lambda **k: reservoir.search(lambda: None, {"leak": [0.5]}, U, U, **{"trials": 2} | k),
        "method trials validation washout seed",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", NUMBERS)
def test_arguments_of_the_wrong_type_are_named(kind):
    make, names = NUMBERS[kind]
    for name in names.split():
        for wrong in ("x", np.nan, 1.0j, {}, b"a", object()):
            with pytest.raises(SimError) as error:
                make(**{name: wrong})
            assert re.search(rf"\.{name}\b", str(error.value)) and isinstance(error.value, (ModelError, ShapeError)), (
                name,
                wrong,
            )


@pytest.mark.parametrize("wrong", [0, "x", None, 2.0, np.inf])
def test_flags_are_true_or_false(wrong):
    for make, name in (
        (reservoir.DaleNetwork.random, "fixed"), (reservoir.FORCE.lif, "balanced"), (reservoir.WhatWhen, "merged"),
        (reservoir.WhatWhen, "restart"),
    ):  # fmt: skip
        with pytest.raises(ModelError, match=f"{name}: must be True or False; got"):
            make(n=60, **{name: wrong})


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda: reservoir.DaleNetwork.random(30, indegree=1.5), "indegree: must be an integer >= 1; got 1.5"),
        (lambda: random_spiking(positions=5), "positions: must have shape (20, d) or (20,); got ()"),
        (lambda: random_spiking(positions=np.ones(7)), "positions: must have shape (20, d) or (20,); got (7,)"),
        (lambda: liquid(read=np.nan), "read: must be names of populations, or None; got nan"),
        (lambda: liquid(read=0), "read: must be names of populations, or None; got 0"),
        (lambda: liquid(read=["exc", 0]), "no population of neurons 0"),
        (lambda: liquid(encoder=reservoir.encoders.Events), "encoder: must be an encoder such as"),
        (lambda: reservoir.SpikingReservoir(SPIKING, np.ones((16, 1))), "w_in: must be a dictionary of arrays by name"),
        (lambda: liquid(hold=None), "hold: must be a finite number; got None"),
        (lambda: liquid(tau=None), "tau: must be a finite number; got None"),
        (lambda: tuned(rounds=1.5), "tuned.rounds: must be an integer >= 0; got 1.5"),
        (
            lambda: reservoir.DaleNetwork.random(30, indegree=10, threshold=np.ones(4)),
            "or of shape (30,); got shape (4,)",
        ),
        (lambda: reservoir.encoders.binned([1.0], [0], 1, 1.0, 1e300), "binned.duration: must be at most 1e+09 bins"),
        (lambda: reservoir.encoders.binned([1e300], [0], 1, 1.0), "binned.times: must be at most 1e+09 bins"),
        (
            lambda: reservoir.DaleNetwork.random(30, indegree=10).rate_error(U, 0.5, washout=60),
            "rate_error.u: must be longer than washout = 60; got 60 steps",
        ),
        (lambda: reservoir.Ridge(10**400), "penalty: must be >= 0; got 1000"),
    ],
)
def test_mistakes_of_type_and_shape(call, text):
    with pytest.raises(SimError) as error:
        call()
    assert text in str(error.value)


def test_tuning_again_forgets_what_the_readout_learned_of_the_network_before():
    net = reservoir.SelfTuningReservoir(n=60, seed=1, readout=reservoir.Ridge(1.0), threads=1).fit(U, U)
    net.tune(3.0 * U + 1.0)
    with pytest.raises(ModelError, match="readout has seen no states"):
        net.predict(U)
