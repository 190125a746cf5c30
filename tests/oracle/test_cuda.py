"""backend="cuda" against the reference engine: on a device where there is one, else in Numba's simulator of one.

The simulator must be chosen before Numba is imported, so without a device one test runs this file and others again.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cuda_networks import STRONG, coupled_network, drawn_network, learning_network, mixed_network
from numba import cuda

import plasticity
import snn
from kernels.errors import FormatError
from plasticity.base import RULES
from snn.neurons.base import MODELS

DT = 0.1
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
RTOL = 1e-9 if SIMULATED else 1e-6  # a device has its own exp, and adds in any order
IN_THE_SIMULATOR = ("test_cuda.py", "test_cuda_device.py", "test_gpu_check.py")


@pytest.mark.skipif(cuda.is_available(), reason="the tests run here already")
@pytest.mark.slow
def test_in_the_simulator():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "not in_the_simulator",
         *(Path(__file__).with_name(name) for name in IN_THE_SIMULATOR)],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and "FAILED" not in done.stdout


def run(net, parts=(6.0, 4.1), **options):
    """Spikes and states by population and variable, of several runs in turn, and final states."""
    sim = snn.Simulation(net, dt=DT, quiet=True, **options)
    results = [sim.run(t) for t in parts]
    found = {}
    for name in results[0].spikes:
        found[name, "times"] = np.concatenate([r.spikes[name].times for r in results])
        found[name, "ids"] = np.concatenate([r.spikes[name].ids for r in results])
    for name in results[0].states:
        for variable in results[0].states[name]:
            found[name, variable] = np.concatenate([r.states[name][variable] for r in results])
    for name, p in net.populations.items():
        for var in p.spec.state if p.spec else ():
            found[name, f"{var.name} at the end"] = sim.state(name, var.name)
    return sim, found


def assert_close(expected, found, rtol=RTOL):
    """The same spikes; states but for the rounding of sums in another order."""
    for key, x in expected.items():
        if key[1] in ("times", "ids"):
            np.testing.assert_array_equal(found[key], x, err_msg=str(key))
        else:
            np.testing.assert_allclose(found[key], x, rtol=rtol, atol=1e-9, err_msg=str(key))


@pytest.mark.gpu
def test_storage_and_inputs():
    sim, reference = run(mixed_network(), backend="reference")
    assert set(sim.compiled.kinds) == {"bc", "cc", "cv", "mc", "vc", "vv"}
    assert len(reference["a", "ids"]) > 20 and len(reference["b", "ids"]) > 10 and len(reference["src", "ids"]) > 50
    sim, found = run(mixed_network(), backend="cuda", threads=3)  # of building: as many blocks
    assert set(sim.compiled.kinds) == {"bc", "cc", "cv", "mc", "vc", "vv"}, "some on the device, some on the host"
    assert_close(reference, found)


def edges_on_device(sim):
    """(source, target, receptor, weight, delay in steps) of all edges of an engine's list storage, by global id."""
    from kernels.cuda.jit import fetch

    tables, found = sim.compiled.tables, []
    blocks, populations = tables.lo.shape
    for kind, e in zip(sim.compiled.kinds, sim._drive.engine.arrays.edges, strict=True):
        rows, targets, weights, delays = (fetch(x) for x in (e.rows, e.targets, e.weights, e.delays))
        by_source, at = fetch(e.by_source), fetch(e.at)
        for p in range(populations):
            for g in range(by_source[p], by_source[p + 1]):
                for b in range(blocks):
                    size = tables.hi[b] - tables.lo[b]
                    for i in range(tables.n[p]):
                        r = at[g] + b * (tables.n[p] + 1) + i
                        for j in range(rows[r], rows[r + 1]):
                            q = np.searchsorted(tables.acc[b], targets[j], side="right") - 1
                            receptor, neuron = divmod(int(targets[j]) - int(tables.acc[b, q]), int(size[q]))
                            found.append((
                                int(tables.gid[p]) + i, int(tables.gid[q] + tables.lo[b, q]) + neuron, receptor,
                                float(fetch(e.weight)[g] if kind[0] == "c" else weights[j]),
                                int(fetch(e.delay)[g] if kind[1] == "c" else delays[j]),
                            ))  # fmt: skip
    return sorted(found)


@pytest.mark.gpu
def test_edges_drawn_on_the_device_are_those_of_the_host():
    net, expected = drawn_network(), []
    sim = snn.Simulation(net, dt=DT, backend="cuda", threads=2, quiet=True)  # two blocks
    gid = dict(zip(net.populations, sim.compiled.tables.gid.tolist(), strict=True))
    for p in net.projections.values():
        sources, targets, weights, delays = sim.connections(p)
        receptor = np.where(weights < 0.0, *p.receptors[::-1])
        expected += zip(
            (sources + gid[p.source.name]).tolist(), (targets + gid[p.target.name]).tolist(), receptor.tolist(),
            weights.tolist(), np.rint(delays / DT).astype(int).tolist(), strict=True,
        )  # fmt: skip
    expected.sort()
    found = edges_on_device(sim)
    assert len(found) == len(expected) == sim.compiled.n_edges > 800
    np.testing.assert_array_equal([x[:3] + x[4:] for x in found], [x[:3] + x[4:] for x in expected])
    np.testing.assert_allclose([x[3] for x in found], [x[3] for x in expected], rtol=1e-15 if SIMULATED else 1e-6)
    assert len(sim.compiled.drawn) == len(sim.compiled.edges), "nothing was built on the host"


def launch(monkeypatch, blocks, threads, width, cooperative):
    """Engines get this launch from now on; on a device, a warp is 32 threads."""
    from kernels.cuda import engine

    shape = (blocks, threads, width) if SIMULATED else (blocks, 32 * threads // width, 32)
    original = getattr(engine.Engine.__init__, "original", engine.Engine.__init__)

    def initialise(self, net, number, deterministic, **options):
        original(self, net, number, deterministic, shape, cooperative, **options)

    initialise.original = original
    monkeypatch.setattr(engine.Engine, "__init__", initialise)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["float64", "float32"])
def test_fixed_point_gives_the_same_for_any_launch(monkeypatch, precision):
    results = []
    for shape in ((1, 4, 4, True), (3, 4, 2, False), (1, 12, 4, True)):
        launch(monkeypatch, *shape)
        results.append(run(mixed_network(), backend="cuda", deterministic=True, precision=precision)[1])
    for other in results[1:]:
        for key, x in results[0].items():
            np.testing.assert_array_equal(other[key], x, err_msg=str(key))
    if precision == "float64":
        assert_close(run(mixed_network(), backend="reference")[1], results[0], rtol=10 * RTOL)


def drive(spec):
    """(spikes a second, weight) of each receptor that make every model fire."""
    defaults = {p.name: p.default for p in spec.params}
    units = {"mV": 2.0, "pA": 1200.0 * 2.0 / defaults.get("tau_syn_ex", 2.0), "nS": 60.0, "1": 0.4, "ms": 4.0}
    return {r.name: (200.0, -0.2 * units[r.unit]) if r.sign < 0 else (3000.0, units[r.unit]) for r in spec.receptors}


@pytest.mark.gpu
def test_every_model():
    def network():
        net = snn.Network(seed=2)
        for name, model in MODELS.items():
            p = net.population(name, 3, model())
            for receptor, (rate, w) in drive(model.spec).items():
                w = 4.0 * w if name == "QIF" else w
                net.input(f"{name} {receptor}", p, snn.Poisson(rate=rate), weight=w, receptor=receptor)
                net.connect(
                    p, p, snn.fixed_indegree(2), weight=0.5 * w, delay=0.6, receptor=receptor, name=f"{name}>{receptor}"
                )
            net.record(p)
        return net

    _, reference = run(network(), parts=(8.0,), backend="reference")
    silent = [name for name in MODELS if not len(reference[name, "ids"])]
    assert silent == ["Accumulator"], "a silent population tests little"
    _, found = run(network(), parts=(8.0,), backend="cuda")
    assert_close(reference, found)


# on a device, all in one kernel would compile for minutes
@pytest.mark.gpu
@pytest.mark.parametrize("names", [sorted(RULES)] if SIMULATED else [sorted(RULES)[k::4] for k in range(4)])
def test_every_rule(names):
    def go(**options):
        sim = snn.Simulation(learning_network(names), dt=0.25, quiet=True, **options)
        results, weights = [sim.run(70.0)], [sim.connections(f"to {name}")[2] for name in names]
        if "RewardSTDP" in names:
            sim.set_modulator("to RewardSTDP", [0.05, 0.1, 0.3])
        sim.set_weights(f"to {names[0]}", 0.3)
        for on in (False, True):  # while it is off, state variables go on
            for name in names:
                if name == names[-2] or RULES[name].spec.state:
                    sim.learning(f"to {name}", on)
            results.append(sim.run(10.0))
            weights += [sim.connections(f"to {name}")[2] for name in names]
        return results, weights

    reference, expected = go(backend="reference")
    results, weights = go(backend="cuda", threads=2)
    for k, (x, y) in enumerate(zip(expected, weights, strict=True)):
        np.testing.assert_allclose(y, x, rtol=RTOL, atol=1e-3 * RTOL, err_msg=(3 * names)[k])
        assert k >= len(names) or np.ptp(x) > 0.02, f"weights of {names[k]} must have moved apart"
    for x, y in zip(reference, results, strict=True):
        for name in x.spikes:
            np.testing.assert_array_equal(y.spikes[name].times, x.spikes[name].times, err_msg=name)
            np.testing.assert_array_equal(y.spikes[name].ids, x.spikes[name].ids, err_msg=name)
        np.testing.assert_allclose(y.states["short"]["v"], x.states["short"]["v"], rtol=RTOL)
    assert sum(len(x) for x in reference[0].spikes.values()) > 60


@pytest.mark.gpu
def test_modulator_set_just_before_a_spike_of_its_source():
    """The spike counts."""

    def go(**options):
        net = snn.Network(seed=3)
        a, d = net.population("a", 1, snn.SpikeArray([2.0])), net.population("d", 1, snn.SpikeArray([9.25]))
        b = net.population("b", 1, snn.LIFDelta(v_th=1e6))
        net.input("force", b, snn.SpikeArray([4.0]), weight=1e9)
        net.connect(a, b, snn.all_to_all(), weight=1.0, delay=1.0, plasticity=plasticity.DopamineSTDP(), name="c")
        net.modulate("c", d, delay=1.0, value=0.0)
        sim = snn.Simulation(net, dt=0.25, quiet=True, **options)
        sim.run(10.0)
        sim.set_modulator("c", 1e-3)
        sim.run(10.0)
        return sim.connections("c")[2]

    expected = go(backend="reference")
    assert expected > 1.03
    np.testing.assert_allclose(go(backend="cuda"), expected, rtol=RTOL)


@pytest.mark.gpu
def test_any_number_of_plastic_projections():
    """Thirty take the code of one; each has its own synapses and parameters."""

    def go(number, **options):
        net = snn.Network(seed=3)
        a = net.population("a", 4, snn.LIFDelta(), init={"v": snn.uniform(-70.0, -55.0)})
        net.input("noise", a, snn.Poisson(rate=3000.0), weight=1.4)
        for k in range(number):
            rule = plasticity.STDPPair(lambda_=0.01 * (k + 1), w_max=1.0)
            net.connect(a, a, snn.fixed_indegree(2), weight=0.3, delay=1.0 + k % 3, plasticity=rule, name=str(k))
        net.record(a)
        sim = snn.Simulation(net, dt=0.25, quiet=True, **options)
        spikes = sim.run(20.0).spikes["a"]
        return sim, spikes, [sim.connections(str(k))[2] for k in range(number)]

    _, spikes, weights = go(30, backend="reference")
    sim, found, learned = go(30, backend="cuda")
    np.testing.assert_array_equal(found.times, spikes.times)
    np.testing.assert_array_equal(found.ids, spikes.ids)
    np.testing.assert_allclose(learned, weights, rtol=RTOL)
    assert len({tuple(w) for w in weights}) == 30 and len(spikes) > 10
    alone = go(1, backend="cuda")[0]
    assert sim.kernel_sources == alone.kernel_sources, "compiling must not take longer"


@pytest.mark.gpu
@pytest.mark.parametrize("shape, deterministic", [((1, 4, 4, True), False), ((2, 4, 2, False), True)])
def test_notes_that_run_full(monkeypatch, shape, deterministic):
    """Few spikes are noted, so that synapses are swept; some are rewired; in one launch, and in many."""
    import snn.compile_plastic

    def go(**options):
        net = snn.Network(seed=5)
        a = net.population("a", 6, snn.LIFDelta(t_ref=0.5), init={"v": snn.uniform(-70.0, -55.0)})
        net.input("noise", a, snn.Poisson(rate=3000.0), weight=4.0)
        net.connect(a, a, snn.fixed_indegree(3), weight=snn.uniform(0.2, 0.8), delay=snn.uniform(0.25, 1.0),
                    plasticity=RULES["STDPTriplet"](**STRONG["STDPTriplet"]), name="triplet")  # fmt: skip
        net.connect(a, a, snn.fixed_indegree(2), weight=0.5, delay=0.75, axonal_delay=0.5, name="reward",
                    plasticity=RULES["RewardSTDP"](tau_z=5.0, **STRONG["RewardSTDP"]))  # fmt: skip
        net.modulate("reward", value=0.1)
        net.record(a)
        sim = snn.Simulation(net, dt=0.25, quiet=True, **options)
        result = sim.run(15.0)
        assert sim.rewire("triplet", lambda *given: ([0, 7], [5, 4], [0, 3], [0.3, 0.7])) == 2
        sim.run(5.0)
        return result.spikes["a"], [x for name in ("triplet", "reward") for x in sim.connections(name)]

    spikes, expected = go(backend="reference")
    monkeypatch.setattr(snn.compile_plastic, "HISTORY", 0)
    launch(monkeypatch, *shape)
    found, weights = go(backend="cuda", deterministic=deterministic)
    np.testing.assert_array_equal(found.times, spikes.times)
    np.testing.assert_array_equal(found.ids, spikes.ids)
    assert len(spikes) > 30
    for x, y in zip(expected, weights, strict=True):
        np.testing.assert_allclose(y, x, rtol=RTOL)


@pytest.mark.gpu
def test_long_time_constants(monkeypatch):
    """Traces of sources and of synapses, with epochs and without, decay by tables of steps and of leaps."""
    import snn.compile_plastic

    monkeypatch.setattr(snn.compile_plastic, "EPOCH", 2**6)
    rules = {
        "Covariance": {"eta": 0.003, "tau_mean": 1e6, "w_max": 5.0},
        "RewardSTDP": {"gamma": 3.0, "w_max": 1.0, "tau_plus": 1e5, "tau_z": 1e6},
        "STDPNearestPreCentered": {"lambda_": 0.2, "w_max": 1.0, "tau_plus": 1e6},
    }
    for name, params in rules.items():
        monkeypatch.setitem(STRONG, name, params)

    def go(**options):
        sim = snn.Simulation(learning_network(list(rules)), dt=0.25, quiet=True, **options)
        assert [x.decay.ndim for x in sim._drive.compiled.plastic[: len(rules)]] == [1] * len(rules)
        sim.run(60.0)
        return [sim.connections(f"to {name}")[2] for name in rules]

    for x, y in zip(go(backend="reference"), go(backend="cuda"), strict=True):
        np.testing.assert_allclose(y, x, rtol=RTOL)
        assert np.ptp(x) > 0.02


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(1, 4, 4, True), (2, 4, 2, False)])
def test_gap_junctions(monkeypatch, tmp_path, shape):
    """In pieces, potentials set between them, and resumed."""

    def go(resume, **options):
        sim = snn.Simulation(coupled_network(), dt=DT, quiet=True, **options)
        results = [sim.run(8.0)]
        sim.set_state("a", "v", np.linspace(-65.0, -52.0, 13))
        results.append(sim.run(4.1))
        if resume:
            sim.checkpoint(tmp_path / "state.h5")
            sim = snn.Simulation.resume(tmp_path / "state.h5", coupled_network(), quiet=True)
        return snn.Result.concatenate([*results, sim.run(5.0)])

    expected = go(False, backend="reference")
    launch(monkeypatch, *shape)
    found = go(True, backend="cuda", deterministic=True)
    alone = coupled_network()
    for name in list(alone.inputs)[2:]:
        del alone.inputs[name]
    apart = snn.Simulation(alone, dt=DT, quiet=True).run(8.0)
    for name in "ab":
        np.testing.assert_array_equal(found.spikes[name].times, expected.spikes[name].times)
        np.testing.assert_array_equal(found.spikes[name].ids, expected.spikes[name].ids)
        np.testing.assert_allclose(found.states[name]["v"], expected.states[name]["v"], rtol=1e-6)
        difference = apart.states[name]["v"] - expected.states[name]["v"][: len(apart.states[name]["v"])]
        assert np.abs(difference).max() > 0.1
    assert len(expected.spikes["a"]) > 20


@pytest.mark.gpu
@pytest.mark.parametrize(
    "rules", [(), ("STDPTriplet", "Clopath", "RewardSTDP", "DopamineSTDP")], ids=["static", "plastic"]
)
def test_resumed_from_a_checkpoint(tmp_path, rules):
    """With other blocks; the checkpoint changes nothing, and what follows it is the same, bit for bit."""
    net, dt, parts = (learning_network(rules), 0.25, (20.0, 10.0)) if rules else (mixed_network(), DT, (5.0, 3.0))

    def rest(sim):
        result = sim.run(parts[1])
        found = [x for r in result.spikes.values() for x in (r.times, r.ids)]
        found += [values[v] for values in result.states.values() for v in values]
        return found + [sim.connections(f"to {name}")[2] for name in rules]

    def go():
        sim = snn.Simulation(net, dt=dt, backend="cuda", deterministic=True, quiet=True)
        sim.run(parts[0])
        if rules:
            sim.set_modulator("to RewardSTDP", [0.05, 0.1, 0.3])
            sim.rewire("to STDPTriplet", lambda *given: ([0, 7], [2, 1], [0, 2], [0.3, 0.7]))
        return sim

    sim = go()
    sim.checkpoint(tmp_path / "state.h5")
    resumed = snn.Simulation.resume(tmp_path / "state.h5", net, threads=2, quiet=True)
    assert resumed.deterministic and resumed.backend == "cuda" and resumed.t == sim.t
    expected = rest(sim)
    for other in (resumed, go()) if rules else (resumed,):
        for x, y in zip(expected, rest(other), strict=True):
            np.testing.assert_array_equal(y, x)
    assert sum(x.size for x in expected) > 100
    with pytest.raises(FormatError, match="another network: population 'a' differ"):
        snn.Simulation.resume(tmp_path / "state.h5", changed(net), quiet=True)


def changed(net):
    object.__setattr__(net.populations["a"], "init", {"v": -60.0})
    return net


@pytest.mark.gpu
def test_several_networks_in_one_launch():
    """Other seeds and parameters; each as the reference engine gives it alone."""

    def network(seed, weight):
        net = snn.Network(seed=seed)
        a = net.population(
            "a", 5, snn.LIFExp(i_e=300.0, tau_m=snn.uniform(8.0, 12.0)), init={"v": snn.uniform(-70, -56)}
        )
        net.input("noise", a, snn.Poisson(rate=2000.0), weight=90.0)
        net.connect(a, a, snn.pairwise_bernoulli(0.5), weight=weight, delay=snn.uniform(0.5, 2.0))
        net.record(a)
        return net

    parts = [(1, 50.0), (2, 50.0), (1, 90.0)]
    both = snn.join([network(*part) for part in parts])
    found = both.split(snn.Simulation(both, dt=DT, backend="cuda", quiet=True).run(10.0))
    times = []
    for part, result in zip(parts, found, strict=True):
        expected = snn.Simulation(network(*part), dt=DT, backend="reference", quiet=True).run(10.0).spikes["a"]
        np.testing.assert_array_equal(result.spikes["a"].times, expected.times)
        np.testing.assert_array_equal(result.spikes["a"].ids, expected.ids)
        times.append(tuple(expected.times))
    assert len(set(times)) == 3 and min(map(len, times)) >= 5


@pytest.mark.gpu
def test_set_state_and_current_between_runs():
    def network():
        net = snn.Network(seed=1)
        a = net.population("a", 4, snn.LIFExp(i_e=300.0))
        net.input("other", a, snn.StepCurrent([50.0, 20.0], [0.0, 7.0]))
        net.input("given", a, snn.StepCurrent(np.zeros((1, 4))))
        net.record(a, "v")
        return net

    def go(backend):
        sim = snn.Simulation(network(), dt=DT, backend=backend, quiet=True)
        sim.run(1.0)
        sim.set_state("a", "v", [-70.0, -65.0, -60.0, -56.0])
        steered = []
        for k in range(3):
            sim.set_current("given", [300.0 * k, 0.0, 50.0, -400.0])
            steered.append(sim.run(1.0).states["a"]["v"])
        sim.set_parameters("a", tau_m=30.0, e_l=-60.0)
        steered.append(sim.run(1.0).states["a"]["v"])
        return np.concatenate(steered)

    found = go("cuda")
    np.testing.assert_allclose(found, go("reference"), rtol=RTOL)
    assert found[-1, 0] > found[9, 0] + 0.5, "the current must have told"


def steered(sim):
    """Runs that end within windows, with another source for every input and more numbers that become arrays."""
    rng = np.random.default_rng(8)
    yield sim.run(3.3)
    sim.set_source("src", snn.Poisson(rate=np.linspace(1500.0, 0.0, 5)))
    sim.set_source("given", snn.SpikeArray([3.35, 3.45, 3.45, 7.0, 9.0], [3, 1, 1, 0, 2]))
    sim.set_source("each", snn.Poisson(rate=3000.0))
    sim.set_source("each changes", snn.Poisson(rate=np.linspace(900.0, 0.0, 9)))
    sim.set_source("shared", snn.Poisson([3000.0, 0.0], times=[0.0, 5.0], shared=True))
    sim.set_source("segments", snn.Poisson([500.0, 4000.0, 0.0, 900.0], times=[0.0, 4.0, 6.0, 7.0]))
    sim.set_source("spikes", snn.SpikeArray([0.2, 3.4, 3.75, 3.75, 6.5, 9.0], [7, 1, 2, 2, 4, 12]))
    sim.set_source("weights", snn.SpikeArray([3.4, 3.5, 8.0], [4, 5, 6], [450.0, 30.0, 499.0]))
    sim.set_source("ac", snn.ACCurrent(amplitude=90.0 * rng.random(13), frequency=70.0))
    sim.set_source("ou", snn.OrnsteinUhlenbeck(mean=-10.0, std=50.0, tau=2.0))
    sim.set_source("noise", snn.NoiseCurrent(mean=15.0, std=40.0 * rng.random(9), dt=0.3))
    sim.set_source("step", snn.StepCurrent(90.0, times=[4.0]))
    sim.set_current("number", np.linspace(0.0, 200.0, 9))
    sim.set_parameters("b", tau_m=np.linspace(7.0, 20.0, 9), v_th=-53.0)
    sim.set_parameters("a", t_ref=rng.uniform(0.5, 2.0, 13))
    yield sim.run(2.9)
    sim.set_source("given", snn.SpikeArray([]))
    sim.set_source("spikes", snn.SpikeArray([6.3, 6.4, 9.0], [0, 12, 12]))
    sim.set_source("weights", snn.SpikeArray([], [], []))
    sim.set_current("number", 150.0)
    sim.set_parameters("b", v_th=-54.0)


def steered_network():
    """Spikes are given just after the first change, which takes them back."""
    net = mixed_network()
    net.input("weights", "a", snn.SpikeArray([1.0, 3.4, 3.5], [0, 4, 5], [500.0, 500.0, 500.0]))
    net.input("number", "b", snn.StepCurrent(20.0))
    return net


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(1, 4, 4, True), (2, 4, 2, False)])
@pytest.mark.parametrize("deterministic", [True, False])
def test_changes_between_runs(monkeypatch, tmp_path, shape, deterministic):
    """As the reference engine, and resumed from a checkpoint after the changes."""

    def go(resume=False, **options):
        sim = snn.Simulation(steered_network(), dt=DT, quiet=True, **options)
        results = list(steered(sim))
        if resume:
            sim.checkpoint(tmp_path / "state.h5")
            sim = snn.Simulation.resume(tmp_path / "state.h5", steered_network(), quiet=True)
        return snn.Result.concatenate([*results, sim.run(4.1)])

    expected = go(backend="reference")
    launch(monkeypatch, *shape)
    found = go(resume=deterministic, backend="cuda", deterministic=deterministic)
    for name, n in (("a", 20), ("b", 10), ("src", 40), ("given", 3)):
        np.testing.assert_array_equal(found.spikes[name].times, expected.spikes[name].times)
        np.testing.assert_array_equal(found.spikes[name].ids, expected.spikes[name].ids)
        assert len(expected.spikes[name]) > n, name
    for name in "ab":
        rtol = 1e-6 if deterministic else RTOL
        np.testing.assert_allclose(found.states[name]["v"], expected.states[name]["v"], rtol=rtol)


@pytest.mark.gpu
def test_what_cannot_be_changed():
    """Refused, and the simulation goes on as if nothing had been asked."""
    plain, sim = (
        snn.Simulation(steered_network(), dt=DT, backend="cuda", deterministic=True, quiet=True) for _ in "ab"
    )
    sim.run(2.0)
    with pytest.raises(snn.BackendUnavailable, match=r"room for weights up to 512, .* got 513. Describe the network"):
        sim.set_source("weights", snn.SpikeArray([5.0], [0], [513.0]))
    with pytest.raises(snn.ModelError, match="tau_m: must be > 0"):
        sim.set_parameters("b", tau_m=np.linspace(-1.0, 7.0, 9))
    found, expected = snn.Result.concatenate([plain.run(2.0), plain.run(3.0)]), sim.run(3.0)
    np.testing.assert_array_equal(found.states["a"]["v"][-len(expected.states["a"]["v"]) :], expected.states["a"]["v"])


@pytest.mark.gpu
@pytest.mark.parametrize("each", [False, True], ids=["one of all", "values of synapses"])
def test_state_of_synapses(each):
    a_plus, u_se = (snn.uniform(0.5, 2.0), snn.uniform(0.2, 0.7)) if each else (1.0, 0.3)

    def go(backend):
        net = snn.Network(seed=2)
        a = net.population("a", 3, snn.Poisson(rate=2000.0))
        b = net.population("b", 4, snn.LIFDelta(i_e=3000.0))
        net.connect(a, b, snn.all_to_all(), weight=1.0, delay=0.5, name="p",
                    plasticity=plasticity.DopamineSTDP(a_plus=a_plus),
                    short_term=plasticity.TsodyksMarkram(u_se=u_se, tau_fac=50.0))  # fmt: skip
        net.modulate("p", value=0.01)
        sim, found = snn.Simulation(net, dt=DT, backend=backend, quiet=True), []
        for name in "ux":  # no source has fired: as of now
            sim.set_state("p", name, 0.1)
        for _ in range(3):
            sim.run(1.0)
            found += [sim.state("p", name) for name in "cux"]
            sim.set_state("p", "c", found[-3][::-1] + 0.1)
            sim.set_state("p", "x", 0.8)
        return np.concatenate([*found, sim.connections("p")[2]])

    found = go("cuda")
    np.testing.assert_allclose(found, go("reference"), rtol=1e-9)
    assert np.unique(found).size > 20


@pytest.mark.gpu
def test_currents_of_each_neuron():
    def go(backend):
        net = snn.Network(seed=2)
        a = net.population("a", 4, snn.IF(v_th=1e9, r=1.0))
        net.input("sine", a, snn.ACCurrent([1.0, 2.0, 3.0, 4.0], 40.0, 0.3))
        net.input("noise", a, snn.NoiseCurrent(5.0, [1.0, 2.0, 0.0, 4.0], dt=2 * DT, start=1.0))
        net.input("coloured", a, snn.OrnsteinUhlenbeck([1.0, 2.0, 3.0, 4.0], 1.5, 3.0, start=0.5, stop=2.0))
        net.record(a, "v")
        return snn.Simulation(net, dt=DT, backend=backend, quiet=True).run(3.0).states["a"]["v"]

    np.testing.assert_allclose(go("cuda"), go("reference"), rtol=RTOL)


@pytest.mark.gpu
def test_several_random_numbers_of_a_neuron():
    equations = "dv/dt = -v / 5 + xi + 0.3 * xi_y : 1\ndy/dt = xi_y : 1"
    model = snn.from_equations("Noises", equations, threshold="v > rand()", reset="v = randn()")

    def go(backend):
        net = snn.Network(seed=2)
        net.record(net.population("a", 7, model()), ["spikes", "v", "y"])
        return snn.Simulation(net, dt=DT, backend=backend, quiet=True).run(3.3)

    expected, found = go("reference"), go("cuda")
    for name in "vy":
        np.testing.assert_allclose(found.states["a"][name], expected.states["a"][name], rtol=RTOL, atol=1e-12)
    np.testing.assert_array_equal(found.spikes["a"].times, expected.spikes["a"].times)
    assert len(expected.spikes["a"]) > 10
