"""Integer networks against lava-nc 0.10.0: its process models in fuzzed runs, its runtime through exported bundles."""

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

import snn
from kernels.errors import BackendUnavailable
from kernels.jit import jit
from neuromorphic.fixed_point import IntegerLIF, IntegerNetwork, IntegerProjection, IntegerSource, lif
from neuromorphic.fixed_point_neurons import IntegerGraded, IntegerRF, IntegerSigmaDelta
from neuromorphic.lava import export_classifier, export_lava, lava_python, run_lava
from neuromorphic.quantization import quantize
from neuromorphic.readout import IntegerReadout, classify, record
from neuromorphic.split import split
from neuromorphic.targets import map_network
from snn.confidence import EarlyExit

pytestmark = pytest.mark.cross


@pytest.fixture(scope="module")
def python():
    try:
        return lava_python()
    except BackendUnavailable as error:
        pytest.skip(str(error))


def worker(python, what, folder, arrays):
    np.savez(folder / "in.npz", **arrays)
    script = Path(__file__).with_name("lava_models.py")
    subprocess.run([python, script, what, folder / "in.npz", folder / "out.npz"], check=True, timeout=300)
    with np.load(folder / "out.npz") as file:
        return dict(file)


@jit
def drive(u, v, a, du, dv, bias, threshold):
    shape = a.shape
    us, vs, ss = np.empty(shape, np.int64), np.empty(shape, np.int64), np.empty(shape, np.int64)
    for t in range(shape[0]):
        for i in range(shape[1]):
            u[i], v[i], ss[t, i], _, _ = lif(u[i], v[i], a[t, i], du[i], dv[i], bias[i], threshold[i], 0)
            us[t, i], vs[t, i] = u[i], v[i]
    return us, vs, ss


def test_neurons_equal_lavas_lif_in_a_million_fuzzed_steps(python, tmp_path):
    rng = np.random.default_rng(7)
    n, steps = 10_000, 110
    p = {
        "du": rng.choice([0, 1, 4094, 4095, *rng.integers(0, 4096, 8)], n), "dv": rng.choice([0, 4095, 100, 7], n),
        "bias_mant": rng.integers(-4096, 4096, n), "bias_exp": rng.integers(0, 8, n),
        "vth": rng.choice([0, 1, 100, 131071, *rng.integers(0, 131072, 8)], n),
        "u": rng.integers(-(2**23) + 1, 2**23, n), "v": rng.integers(-(2**23) + 1, 2**23, n),
    }  # fmt: skip
    size = 2.0 ** rng.uniform(0, 18, n)  # up to several wraps
    p["a"] = np.rint(rng.normal(0, size, (steps, n))).astype(np.int64)
    p["a"][rng.random((steps, n)) < 0.001] = 2**17  # u at the wrap exactly
    theirs = worker(python, "lif", tmp_path, p)
    ours = drive(p["u"], p["v"], p["a"], p["du"], p["dv"], p["bias_mant"] << p["bias_exp"], p["vth"] << 6)
    assert 0.01 < ours[2].mean() < 0.9
    for mine, name in zip(ours, "uvs", strict=True):
        assert np.array_equal(mine, theirs[name]), f"{np.sum(mine != theirs[name])} of {mine.size} {name} differ"


def resonators(rng, n, steps):
    """(ours, Lava's model, its constants, inputs) of one random case."""
    given = {"period": float(rng.uniform(2.5, 40)), "alpha": float(rng.uniform(0, 0.3)),
             "vth": int(rng.integers(1, 2000)),
             "state_exp": int(rng.integers(0, 7)), "decay_bits": int(rng.integers(4, 13))}  # fmt: skip
    model = IntegerRF(**given, izhikevich=bool(rng.integers(0, 2)))
    size = 2.0 ** rng.uniform(4, 17, n)  # up to the clip
    a, b = (np.rint(rng.normal(0, size, (steps, n))).astype(np.int64) for _ in range(2))
    angle, b_ = 2 * np.pi / given["period"], given["decay_bits"]
    constants = {
        f"{f.__name__}_decay": int(np.int32((1 - given["alpha"]) * f(angle) * (1 << b_))) for f in (np.sin, np.cos)
    }
    constants |= {"vth": given["vth"] << given["state_exp"], "state_exp": given["state_exp"], "decay_bits": b_}
    return model, "PyRF_IZModelFixed" if model.izhikevich else "PyRFModelFixed", constants, (a, b)


def sigma_deltas(rng, n, steps):
    model = IntegerSigmaDelta(
        int(rng.integers(0, 200)), int(rng.integers(-100, 100)), bool(rng.integers(0, 2)), True,
        int(rng.integers(0, 4)), int(rng.integers(0, 4)), bool(rng.integers(0, 2)),
    )  # fmt: skip
    f = model.spike_exp + model.state_exp
    constants = {"vth": model.vth << f, "bias": model.bias << f, "spike_exp": model.spike_exp,
                 "state_exp": model.state_exp, "cum_error": model.cum_error}  # fmt: skip
    name = "PySigmaDeltaModelFixed"
    if rng.random() < 0.4:
        model, name = dataclasses.replace(model, sigma=False, bias=0), "PyDeltaModelFixed"
        del constants["bias"]
    else:
        constants["act_mode"] = "RELU" if model.relu else "UNIT"
    return model, name, constants, (rng.integers(-3, 4, (steps, n)) * 2 ** rng.integers(0, 9, n),)


def graded(rng, n, steps):
    model = IntegerGraded(int(rng.integers(0, 300)), bool(rng.integers(0, 2)))
    name = "PyGradedReluVecModelFixed" if model.relu else "PyGradedVecModelFixed"
    return model, name, {"vth": model.vth}, (rng.integers(-400, 400, (steps, n)),)


@pytest.mark.parametrize("make", [resonators, sigma_deltas, graded])
def test_further_neurons_equal_lavas_in_fuzzed_steps(python, tmp_path, make):
    """60 populations of 50 neurons for 60 steps: 180,000 neuron-steps a kind."""
    rng = np.random.default_rng(5)
    cases = [make(rng, 50, 60) for _ in range(60)]
    arrays = {"cases": np.array(len(cases))}
    for k, (_, name, constants, inputs) in enumerate(cases):
        arrays |= {f"model{k}": np.array(name), f"constants{k}": np.array(json.dumps(constants)), f"a{k}": inputs[0]}
        if len(inputs) == 2:
            arrays[f"b{k}"] = inputs[1]
    theirs, sent = worker(python, "neurons", tmp_path, arrays), []
    for k, (model, name, constants, inputs) in enumerate(cases):
        found = model.run(*inputs)
        s, *states = found if isinstance(found, tuple) else (found,)
        assert np.array_equal(s, theirs[f"s{k}"]), (name, constants, int(np.sum(s != theirs[f"s{k}"])))
        for state, key in zip(states, ("real", "imag"), strict=False):
            assert np.array_equal(state, theirs[f"{key}{k}"]), (name, constants, key)
        sent.append(np.mean(s != 0))
    assert len({name for _, name, *_ in cases}) > 1 and 0.02 < np.mean(sent) < 0.98


@pytest.mark.parametrize("model", ["Dense", "Sparse", "DelayDense", "DelaySparse"])
def test_connections_equal_lavas_in_fuzzed_outputs(python, tmp_path, model):
    rng = np.random.default_rng(len(model))
    steps, cases, count = 40, 60, 0
    arrays, expected = {"cases": cases}, []
    for k in range(cases):
        exponent, bits, mode = int(rng.integers(-6, 8)), int(rng.integers(1, 9)), int(rng.integers(0, 4))
        n_in = int(rng.integers(2, 25)) if exponent <= 3 else int(rng.integers(2, 5))  # below u's wrap
        n_out = int(rng.integers(2, 25))
        dense = rng.integers(-256, 256, (n_out, n_in))
        if mode >= 2 or rng.random() < 0.3:
            dense = np.minimum(np.abs(dense), 255) * (-1 if mode == 3 else 1)
        dense[rng.random(dense.shape) < 0.3] = 0
        dense[0, 0], late = 1 if mode != 3 else -1, np.zeros_like(dense)
        if model.startswith("Delay"):
            late = np.where(dense != 0, rng.integers(0, 63 if k == 0 else 6, dense.shape), 0)
        spikes = rng.random((steps, n_in)) < 0.3
        arrays |= {f"w{k}": dense, f"d{k}": late, f"s{k}": spikes, f"o{k}": np.array([exponent, bits, mode])}
        targets, sources = np.nonzero(dense)
        when, which = np.nonzero(spikes)
        at = (targets, sources)
        net = IntegerNetwork(
            {"out": IntegerLIF(n_out, du=4095, vth=131071)}, {"in": IntegerSource(n_in, when + 1, which)},
            {"": IntegerProjection("in", "out", sources, targets, dense[at], late[at], exponent, bits, mode)},
        )  # fmt: skip
        result = net.run(steps, ["out"])
        assert not result.wraps["out"].any()
        expected.append(result.u["out"] >> 6)  # du = 4095 keeps nothing of the last step
        count += expected[-1].size
    theirs = worker(python, model, tmp_path, arrays)
    assert count > 25_000
    for k in range(cases):
        assert np.array_equal(theirs[f"a{k}"], expected[k]), (k, arrays[f"o{k}"])


def recurrent(seed, n=200, steps=500, delays=0):
    rng = np.random.default_rng(seed)
    when, which = np.nonzero(rng.random((steps, 40)) < 0.2)
    neurons = IntegerLIF(
        n, du=rng.integers(200, 4096, n), dv=rng.integers(0, 1000, n), bias_mant=rng.integers(-50, 100, n),
        bias_exp=rng.integers(0, 5, n), vth=rng.integers(100, 2000, n), subtract=rng.integers(0, 2, n) * (seed % 2),
    )  # fmt: skip

    def edges(source, n_source, exponent):
        sources, targets = np.nonzero(rng.random((n_source, n)) < 0.1)
        late = rng.integers(0, delays + 1, len(sources))
        return IntegerProjection(source, "pop", sources, targets, rng.integers(-256, 256, len(sources)), late, exponent)

    projections = {"in": edges("in", 40, 1), "rec": edges("pop", n, int(rng.integers(-1, 1)))}
    return IntegerNetwork({"pop": neurons}, {"in": IntegerSource(40, when + 1, which)}, projections)


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
@pytest.mark.parametrize(("seed", "delays"), [*((k, 0) for k in range(6)), *((k, 5) for k in range(6, 10))])
def test_a_recurrent_network_runs_equally_in_lavas_runtime(python, tmp_path, seed, delays, dense):
    run = run_lava(export_lava(recurrent(seed, delays=delays), tmp_path / "b", 500), python, dense, timeout=240)
    assert 1000 < run.spikes["pop"].sum() < 90_000
    assert run.spikes["pop"].shape == run.u["pop"].shape == run.v["pop"].shape == (500, 200)
    assert run.equal, run.differ


@pytest.mark.parametrize(("dense", "delays"), [(False, 5), (True, 0)], ids=["sparse", "dense"])
def test_a_network_split_over_cores_runs_in_lava_as_the_whole_does(python, tmp_path, dense, delays):
    """Four parts, whose sums are shifted down together: Lava's spikes are those of the network in one piece."""
    net = recurrent(9, delays=delays)
    net.projections["rec"].exponent = -1
    core = {"pop": np.searchsorted([30, 31, 150], np.arange(200), side="right")}
    mapping = dataclasses.replace(map_network(net), core=core)
    parts = split(net, mapping)
    run = run_lava(export_lava(parts, tmp_path / "b", 500), python, dense, timeout=240)
    whole = net.run(500, ["pop"])
    spikes = np.concatenate([run.spikes[name] for name in parts.populations], axis=1)
    assert spikes.sum() > 1000
    assert np.array_equal(np.argwhere(spikes) + [1, 0], np.stack((whole.steps["pop"], whole.ids["pop"]), axis=1))
    assert np.array_equal(np.concatenate([run.v[name] for name in parts.populations], axis=1), whole.v["pop"])
    assert run.equal, run.differ


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_parts_that_nothing_joins_run_too(python, tmp_path, dense):
    """A population without input, two without a path between them, a projection without synapses, weights of 0."""
    nothing = np.empty(0, np.int64)
    net = IntegerNetwork(
        {"alone": IntegerLIF(1, bias_mant=100, vth=3), "b": IntegerLIF(3, vth=5), "c": IntegerLIF(2, vth=5)},
        {"in": IntegerSource(2, [1, 2, 90], [0, 1, 0]), "idle": IntegerSource(1, nothing, nothing)},
        {"none": IntegerProjection("in", "b", nothing, nothing, nothing),
         "some": IntegerProjection("in", "b", [0, 1], [0, 2], [0, 9]),
         "zero": IntegerProjection("idle", "c", [0], [1], [0], 3)},
    )  # fmt: skip
    run = run_lava(export_lava(net, tmp_path / "b", 40), python, dense, timeout=240)
    assert run.spikes["alone"].sum() == 20 and run.spikes["b"].sum() == 1 and run.spikes["c"].sum() == 0
    assert run.equal, run.differ


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_a_float_network_runs_equally_in_lava_once_quantised(python, tmp_path, dense):
    """Balanced network of 200 LIFExp neurons with drawn delays: described, quantised, exported, run by Lava."""
    rng = np.random.default_rng(3)
    when, which = np.nonzero(rng.random((500, 40)) < 0.1)
    net = snn.Network(seed=11)
    src = net.population("in", 40, snn.SpikeArray(when + 1.0, which))
    lif = snn.LIFExp(tau_syn_ex=3.0, tau_syn_in=3.0, t_ref=0.0)
    exc, inh = net.population("exc", 160, lif), net.population("inh", 40, lif)
    for target in (exc, inh):
        net.connect(src, target, snn.fixed_indegree(10), weight=snn.normal(300.0, 30.0, low=0.0), delay=1.0)
        net.connect(exc, target, snn.pairwise_bernoulli(0.1), weight=60.0, delay=snn.uniform(1.0, 5.0))
        net.connect(inh, target, snn.pairwise_bernoulli(0.1), weight=-300.0, delay=snn.uniform(1.0, 5.0))
    run = run_lava(export_lava(quantize(net, 1.0).network, tmp_path / "b", 500), python, dense, timeout=240)
    rate = sum(s.sum() for s in run.spikes.values()) / 200 / 0.5
    assert 2 < rate < 300
    assert run.equal, run.differ


def test_a_converted_digits_classifier_stops_in_lava_where_it_stops_here(python, tmp_path):
    """QCFS trained on digits, converted, quantised, with an agent's integer bar: stop steps, answers, spikes."""
    torch, sets = pytest.importorskip("torch"), pytest.importorskip("sklearn.datasets")
    from snn.torch import QCFS, from_torch, train

    data = sets.load_digits()
    x, y, steps = data.data / 16.0, data.target, 20
    torch.manual_seed(0)
    ann = torch.nn.Sequential(torch.nn.Linear(64, 40), QCFS(4, 2.0), torch.nn.Linear(40, 10))
    train(ann, x[:600], y[:600], epochs=40, seed=0)
    encoder = snn.encode.Rate("input")
    network = quantize(from_torch(ann, (64,), encoder=encoder).network, 1.0, steps=steps).network
    trace = record(network, encoder, x[600:800], "output", steps, labels=y[600:800])
    agent = EarlyExit("margin")
    fit, calibrate = trace.split([0.3, 0.7], seed=0)
    agent.fit(fit).certify(calibrate, risk="disagreement", eps=0.05, delta=0.2)
    run = classify(network, encoder, x[800:840], IntegerReadout.of(agent, "output", trace))
    assert len(np.unique(run.steps)) > 3 and np.mean(run.labels == y[800:840]) > 0.85
    found = run_lava(export_classifier(run, tmp_path / "b"), python, timeout=240)
    assert found.equal, (found.differ, found.decisions_differ)
    assert np.array_equal(found.decisions, np.stack((run.steps, run.labels), axis=1))
    assert sum(s.sum() for s in found.spikes.values()) == sum(len(s) for s in run.result.steps.values()) > 1000
    assert len(found.spikes["output"]) == run.total < 0.7 * 41 * steps
