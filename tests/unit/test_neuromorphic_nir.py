"""NIR graphs: each node against Euler's method written out, networks there and back, what is refused."""

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import correlate2d

nir = pytest.importorskip("nir", reason="needs the extra nir")

import plasticity  # noqa: E402
import snn  # noqa: E402
from kernels.errors import ExportError, FormatError, ModelError, ShapeError  # noqa: E402
from neuromorphic import check_nir, from_nir, latency, to_nir  # noqa: E402

STEPS = 60


def simulated(net, dt, steps, **record):
    """The result, and spikes of each population as an array (steps, n), counted as NIR does."""
    behind = latency(net, dt)
    result = snn.Simulation(net, dt=dt, backend="reference", quiet=True).run((steps + max(behind.values())) * dt)
    found = {}
    for name, spikes in result.spikes.items():
        found[name] = np.zeros((steps + max(behind.values()), net.populations[name].n), bool)
        found[name][np.rint(np.asarray(spikes.times) / dt).astype(int) - 1, spikes.ids] = True
        found[name] = found[name][behind[name] : behind[name] + steps]
    return result, found, behind


def randoms(n, seed=4):
    """Parameters of n neurons, different for each: seconds and numbers."""
    rng = np.random.default_rng(seed)
    draw = {
        "tau": (3e-3, 9e-3), "tau_mem": (3e-3, 9e-3), "tau_syn": (1e-3, 4e-3), "r": (0.8, 1.4), "v_leak": (-0.1, 0.2),
        "v_threshold": (0.5, 0.9), "threshold": (0.5, 0.9), "v_reset": (-0.3, 0.1), "w_in": (0.7, 2.0),
    }  # fmt: skip
    return {k: rng.uniform(*bounds, n) for k, bounds in draw.items()}


def make(kind, p, **changes):
    fields = nir.ir.__dict__[kind].__dataclass_fields__
    values = {k: v for k, v in (p | changes).items() if k in fields}
    if kind in ("I", "IF"):
        values["r"] = values["r"] * 100.0  # a step is 1/1000 of NIR's unit
    return getattr(nir, kind)(**values)


def euler(node, drive, dt):
    """(v, spikes) of a neuron node whose input in step t is drive[t]; NIR's equations, dt in seconds."""
    kind, n = type(node).__name__, drive.shape[1]
    rest = getattr(node, "v_leak", np.zeros(n))
    v, i, vs, zs = rest.copy(), np.zeros(n), [], []
    for x in drive:
        if kind.startswith("Cuba"):
            i = i + dt / node.tau_syn * (-i + node.w_in * x)
            v = v + dt / node.tau_mem * (rest - v + node.r * i)
        elif kind in ("LI", "LIF"):
            v = v + dt / node.tau * (rest - v + node.r * x)
        elif kind in ("I", "IF"):
            v = v + dt * node.r * x
        else:
            v = x
        z = v > getattr(node, "v_threshold", getattr(node, "threshold", np.inf))
        v = np.where(z, getattr(node, "v_reset", 0.0), v)
        vs.append(v)
        zs.append(z)
    return np.array(vs), np.array(zs)


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF", "IF", "Threshold", "LI", "CubaLI", "I"])
def test_each_neuron_is_eulers_method(kind):
    rng = np.random.default_rng(2)
    x, w, b = rng.normal(0, 1, (STEPS, 5)), rng.normal(0.3, 1.0, (7, 5)), rng.uniform(0, 1, 7)
    node = make(kind, randoms(7))
    nodes = {"in": nir.Input([5]), "w": nir.Affine(w, b), "n": node, "out": nir.Output([7])}
    net = from_nir(nir.NIRGraph(nodes, [("in", "w"), ("w", "n"), ("n", "out")]), dt=1.0, inputs={"in": x})
    if not any(p.variable == "v" for p in net.probes):
        net.record("n", "v")
    result, found, behind = simulated(net, 1.0, STEPS)
    v, z = euler(node, x @ w.T + b, 1e-3)
    ours = np.asarray(result.states["n"]["v"])[behind["n"] :][:STEPS]
    reset = getattr(node, "v_reset", np.zeros(7))
    if kind == "Threshold":
        v = np.where(z, 0.0, v)  # reset here, but read by nothing
    assert behind["n"] == 1 and np.allclose(ours, v, rtol=1e-9, atol=1e-9)
    if kind in ("LIF", "CubaLIF", "IF", "Threshold"):
        assert 15 < z.sum() < 0.9 * z.size and np.array_equal(found["n"], z)
        assert kind == "Threshold" or np.any(reset != 0)
    else:
        assert "n" not in found


def test_recurrence_delays_skips_and_subgraphs():
    """Two layers, a recurrent subgraph, a connection that skips a layer, two delays and a readout."""
    rng = np.random.default_rng(7)
    x = (rng.random((STEPS, 6)) < 0.3).astype(float)
    w1, wr, w2, skip, read = (rng.normal(0.6, 2.0, s) for s in ((8, 6), (8, 8), (5, 8), (5, 6), (3, 5)))
    lif1, lif2 = make("LIF", randoms(8, 1)), make("CubaLIF", randoms(5, 2))
    inner = nir.NIRGraph(
        {"input": nir.Input([8]), "lif": lif1, "w_rec": nir.Linear(wr), "output": nir.Output([8])},
        [("input", "lif"), ("lif", "w_rec"), ("w_rec", "lif"), ("lif", "output")],
    )
    delays = np.array([0.0, 2e-3, 1e-3, 2e-3, 0.0])
    nodes = {
        "x": nir.Input([6]), "w1": nir.Linear(w1), "layer": inner, "s": nir.Scale(np.full(8, 0.5)),
        "w2": nir.Linear(w2), "d": nir.Delay(delays), "two": lif2, "skip": nir.Linear(skip),
        "read": nir.Linear(read), "y": nir.Output([3]),
    }  # fmt: skip
    edges = [("x", "w1"), ("w1", "layer"), ("layer", "s"), ("s", "w2"), ("w2", "d"), ("d", "two"), ("x", "skip"),
             ("skip", "two"), ("two", "read"), ("read", "y")]  # fmt: skip
    when, ids = np.nonzero(x)
    spikes = snn.SpikeArray(when + 1.0, ids)
    net = from_nir(nir.NIRGraph(nodes, edges), dt=1.0, inputs={"x": spikes})
    net.record("layer.lif", "spikes")
    net.record("two", "spikes")
    result, found, behind = simulated(net, 1.0, STEPS)
    assert behind == {"x": 0, "layer.lif": 1, "two": 2, "y": 3}

    z1 = np.zeros((STEPS + 1, 8), bool)
    for t in range(STEPS):  # z1[t + 1]: the spikes of step t
        drive = x[: t + 1] @ w1.T + z1[: t + 1] @ wr.T
        z1[t + 1] = euler(lif1, drive, 1e-3)[1][-1]
    z1 = z1[1:]
    late = (0.5 * z1 @ w2.T)[np.maximum(np.arange(STEPS)[:, None] - (delays * 1e3).astype(int), 0), np.arange(5)]
    late[np.arange(STEPS)[:, None] < delays * 1e3] = 0.0
    z2 = euler(lif2, late + x @ skip.T, 1e-3)[1]
    assert 30 < z1.sum() < 0.9 * z1.size and 30 < z2.sum() < 0.9 * z2.size
    assert np.array_equal(found["layer.lif"], z1) and np.array_equal(found["two"], z2)
    readout = np.asarray(result.states["y"]["v"])[behind["y"] :][:STEPS]
    assert np.allclose(readout, z2 @ read.T) and np.abs(readout).max() > 1


def test_images_through_a_file(tmp_path):
    """Convolutions with stride, padding, dilation and groups, both poolings, Flatten, Conv1d."""
    rng = np.random.default_rng(5)
    x = rng.random((12, 2, 8, 8))
    w, b = rng.normal(0, 0.4, (4, 1, 3, 3)), rng.normal(0, 0.2, 4)
    one = nir.Conv1d(4, rng.normal(0, 0.5, (3, 8, 2)), 2, 1, 1, 1, rng.normal(0, 0.2, 3))
    nodes = {
        "in": nir.Input([2, 8, 8]), "conv": nir.Conv2d((8, 8), w, (2, 1), (2, 1), (2, 1), 2, b),
        "sum": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "avg": nir.AvgPool2d(np.array([1, 3]), np.array([1, 1]), np.array([0, 1])),
        "flat": nir.Flatten({"input": np.array([4, 2, 4])}, 0, 1), "one": one, "out": nir.Output([3, 3]),
    }  # fmt: skip
    order = list(nodes)
    nir.write(tmp_path / "g.nir", nir.NIRGraph(nodes, list(zip(order[:-1], order[1:], strict=True)), type_check=False))
    net = from_nir(tmp_path / "g.nir", dt=1.0, inputs={"in": x})
    result, _, behind = simulated(net, 1.0, 12)
    ours = np.asarray(result.states["out"]["v"])[behind["out"] :][:12].reshape(12, 3, 3)

    padded = np.pad(x, [(0, 0), (0, 0), (2, 2), (1, 1)])
    made = np.empty((12, 4, 4, 8))
    for k in range(4):  # kernels 0 and 1 see channel 0, the others channel 1
        kernel = np.zeros((5, 3))
        kernel[::2] = w[k, 0]
        made[:, k] = [correlate2d(image[k // 2], kernel, mode="valid")[::2] + b[k] for image in padded]
    pooled = np.pad(made.reshape(12, 4, 2, 2, 4, 2).sum((3, 5)), [(0, 0), (0, 0), (0, 0), (1, 1)])
    average = (pooled[..., :-2] + pooled[..., 1:-1] + pooled[..., 2:]) / 3
    line = np.pad(average.reshape(12, 8, 4), [(0, 0), (0, 0), (1, 1)])
    windows = np.stack(
        [line[:, :, k : k + 2] for k in (0, 2, 4)], axis=2
    )  # sample, channel, place, place in the kernel
    wanted = np.einsum("scpk,ock->sop", windows, one.weight) + one.bias[:, None]
    assert np.allclose(ours, wanted) and np.abs(wanted).max() > 0.5


MODELS = {
    "CubaLIF": (lambda: snn.CubaLIF(alpha=0.7, beta=snn.uniform(0.8, 0.95), w_in=0.5, gain=1.5, v_leak=0.2, bias=0.02,
                                    v_th=2.5, v_reset=-0.1), 0.5),
    "IF": (lambda: snn.CubaLIF(alpha=0.0, beta=1.0, bias=0.05), 0.3),
    "LIFDelta": (lambda: snn.LIFDelta(t_ref=0.0, i_e=150.0), 5.0),
    "LIFExp": (lambda: snn.LIFExp(t_ref=0.0, tau_syn_ex=3.0, tau_syn_in=3.0), 400.0),
    "Leaky": (lambda: snn.Leaky(reset_mechanism=1, reset_delay=0), 0.4),
    "Synaptic": (lambda: snn.Synaptic(alpha=0.5, reset_mechanism=1, reset_delay=0), 0.2),
}  # fmt: skip


def random_net(model, weight):
    rng = np.random.default_rng(1)
    when, which = np.nonzero(rng.random((STEPS, 20)) < 0.3)
    net = snn.Network(seed=3)
    src = net.population("in put", 20, snn.SpikeArray((when + 1) * 0.5, which))
    a, b = net.population("a", 30, model()), net.population("b", 10, model())
    net.connect(src, a, snn.fixed_indegree(8), weight=snn.normal(weight, weight), delay=0.5)
    net.connect(a, a, snn.fixed_indegree(5), weight=snn.normal(0, weight), delay=snn.uniform(0.5, 2.0))
    net.connect(a, b, snn.fixed_indegree(8), weight=snn.normal(weight, weight), delay=1.5)
    net.connect(src, b, snn.fixed_indegree(5), weight=snn.normal(0, weight), delay=1.0)
    net.input("direct", a, snn.SpikeArray([4.0, 9.0, 11.0], [3, 7, 0]), weight=weight * 9)
    net.record(a, "spikes")
    net.record(b, "spikes")
    return net


@pytest.mark.parametrize("name", MODELS)
def test_there_and_back_the_spikes_are_the_same(name, tmp_path):
    net = random_net(*MODELS[name])
    graph = to_nir(net, dt=0.5)
    assert graph.metadata["dt"] == 0.5e-3 and "forward Euler" in graph.metadata["discretisation"]
    nir.write(tmp_path / "net.nir", graph)
    given = {"in_put": net.populations["in put"].model, "direct": net.inputs["direct"].source}
    back = from_nir(tmp_path / "net.nir", inputs=given)
    _, ours, _ = simulated(net, 0.5, STEPS)
    _, theirs, _ = simulated(back, 0.5, STEPS)
    for population in ("a", "b"):
        first = ours[population].sum()
        assert 50 < first < 0.9 * ours[population].size
        assert np.array_equal(ours[population], theirs[population])


def test_constants_come_back_as_offsets(tmp_path):
    """An Affine node becomes a neuron that fires in every step, and is an Affine node again; so does a StepCurrent."""
    rng = np.random.default_rng(3)
    w, b, w2, b2 = rng.normal(0, 1, (6, 4)), rng.uniform(0, 1, 6), rng.normal(0, 1, (3, 6)), rng.uniform(0, 1, 3)
    nodes = {
        "in": nir.Input([4]), "w": nir.Affine(w, b), "n": make("CubaLIF", randoms(6), v_reset=np.zeros(6)),
        "w2": nir.Affine(w2, b2), "m": make("LIF", randoms(3), v_reset=np.zeros(3)), "out": nir.Output([3]),
    }  # fmt: skip
    order = list(nodes)
    first = nir.NIRGraph(nodes, list(zip(order[:-1], order[1:], strict=True)))
    again = to_nir(from_nir(first, dt=1.0), dt=1.0)
    kinds = {k: type(v).__name__ for k, v in again.nodes.items()}
    assert kinds == {"in": "Input", "n": "CubaLIF", "m": "CubaLIF", "in_to_n": "Affine", "n_to_m": "Affine",
                     "output": "Output"}  # fmt: skip
    scale = nodes["n"].w_in * nodes["n"].r * 1e-6 / nodes["n"].tau_mem / nodes["n"].tau_syn  # weights in units of v
    assert np.allclose(again.nodes["in_to_n"].weight, w * scale[:, None])
    assert np.allclose(again.nodes["in_to_n"].bias, b * scale)
    net = snn.Network()
    src = net.population("in", 1, snn.SpikeArray([1.0]))
    net.connect(src, net.population("p", 2, snn.CubaLIF(alpha=0.0)), snn.all_to_all(), weight=0.5)
    net.input("bias p", "p", snn.StepCurrent([[0.25, 0.5]], times=[1.0]))
    assert np.array_equal(to_nir(net, 1.0).nodes["in_to_p"].bias, [0.25, 0.5])


def test_offsets_pass_delays():
    """NIR's Delay gives I(t - tau), an offset's as well: through two nodes, of a delay for each value, before a layer
    of its own and beside an offset that is not delayed."""
    a, b, late = nir.Affine(np.ones((2, 2)), np.array([1.0, 0.75])), nir.Affine(np.eye(2), np.zeros(2)), [3e-3, 0.0]
    c, early = (
        nir.Affine(np.array([[0.5, 0.0], [0.0, 2.0]]), np.array([0.25, 0.125])),
        nir.Affine(np.eye(2), [0.0, 0.5]),
    )
    nodes = {
        "in": nir.Input([2]), "a": a, "d": nir.Delay(np.full(2, 2e-3)), "b": b, "e": nir.Delay(np.array(late)), "c": c,
        "lif": make("LIF", randoms(2), v_threshold=np.full(2, 1e9)), "early": early, "out": nir.Output([2]),
    }  # fmt: skip
    chain = ["in", "a", "d", "b", "e", "c", "lif", "out"]
    edges = [*zip(chain[:-1], chain[1:], strict=True), ("in", "early"), ("early", "lif")]
    net = from_nir(nir.NIRGraph(nodes, edges), dt=1.0)
    net.record("lif", "v")
    result, _, behind = simulated(net, 1.0, 20)
    drive = np.zeros((20, 2)) + c.bias + [0.0, 0.5]
    drive[5:, 0] += 0.5 * 1.0
    drive[2:, 1] += 2.0 * 0.75
    v, _ = euler(nodes["lif"], drive, 1e-3)
    np.testing.assert_allclose(np.asarray(result.states["lif"]["v"])[behind["lif"] :][:20], v, rtol=1e-12)
    one = np.ones(1)
    nodes = {"in": nir.Input([1]), "a": nir.Affine(np.zeros((1, 1)), one), "d": nir.Delay(0.005 * one),
             "th": nir.Threshold(0.5 * one), "out": nir.Output([1])}  # fmt: skip
    order = list(nodes)
    net = from_nir(nir.NIRGraph(nodes, list(zip(order[:-1], order[1:], strict=True))), dt=1.0)
    assert np.flatnonzero(simulated(net, 1.0, 9)[1]["th"]).tolist() == [5, 6, 7, 8]


def test_initial_values_go_along():
    """The layer runs a step behind: in NIR's first step it is as in its own, and so it is when it comes back."""
    net = snn.Network()
    net.population("in", 1, snn.SpikeArray([1.0]))
    net.population("p", 2, snn.CubaLIF(alpha=0.5, beta=0.75, v_leak=0.5), init={"v": [0.5, 0.75], "i": 0.125})
    net.connect("in", "p", snn.all_to_all(), weight=0.1)
    graph = to_nir(net, 1.0)
    assert "v0, i0" in graph.metadata["notes"]
    assert np.allclose(graph.nodes["p"].metadata["v0"], [0.5625, 0.75]) and np.allclose(
        graph.nodes["p"].metadata["i0"], 0.0625
    )
    init = from_nir(graph).populations["p"].init
    assert np.allclose(init["v"], [0.5, 0.75]) and np.allclose(init["i"], [0.125, 0.125])


def test_the_paper_s_neuron():
    """Pedersen et al. 2024, figure 2: one LIF, dt = 0.1 ms; Norse, snnTorch, Nengo, SpiNNaker2 and the exact solution
    spike in steps 460, 510, 710 and 760 (repository neuromorphs/NIR, paper/01_lif)."""
    bits = "0000001000000000000000100001000110010100110111111111110000000000000111111111111000001100000000000000"
    ones = np.array([1.0])
    lif = nir.LIF(tau=0.0025 * ones, r=ones, v_leak=0 * ones, v_threshold=0.1 * ones)
    nodes = {"in": nir.Input([1]), "w": nir.Affine(np.eye(1), 0 * ones), "lif": lif, "out": nir.Output([1])}
    when = 10 * np.flatnonzero([b == "1" for b in bits])
    given = {"in": snn.SpikeArray((when + 1) * 0.1, np.zeros_like(when))}
    net = from_nir(nir.NIRGraph(nodes, [("in", "w"), ("w", "lif"), ("lif", "out")]), dt=0.1, inputs=given)
    assert np.flatnonzero(simulated(net, 0.1, 1000)[1]["lif"]).tolist() == [460, 510, 710, 760]


def test_the_check_tells_a_wrong_reader_from_a_right_one(tmp_path):
    net = random_net(*MODELS["CubaLIF"])
    graph = to_nir(net, 0.5, check=STEPS)
    nir.write(tmp_path / "c.nir", graph)
    graph = nir.read(tmp_path / "c.nir")

    def reader(wrong):
        def run(given):
            read = {k: snn.SpikeArray((np.nonzero(x)[0] + 1) * 0.5, np.nonzero(x)[1]) for k, x in given.items()}
            other = nir.read(tmp_path / "c.nir")
            other.nodes["a_to_a"].weight *= 0.0 if wrong else 1.0
            found = simulated(from_nir(other, inputs=read), 0.5, STEPS)[1]
            return {f"{k}_output": x for k, x in found.items()}

        return run

    assert check_nir(graph, reader(wrong=False)) == {"a_output": 0, "b_output": 0}
    assert check_nir(graph, reader(wrong=True))["a_output"] > 10
    with pytest.raises(ModelError, match="check_nir.run: must give 'a_output'"):
        check_nir(graph, lambda given: {})
    with pytest.raises(ModelError, match="has no check in its metadata"):
        check_nir(to_nir(net, 0.5), reader(wrong=False))


@pytest.mark.parametrize("model", [snn.Accumulator(), snn.CubaLIF(alpha=0.5, beta=0.9, v_th=1e300)], ids=repr)
def test_the_check_compares_potentials_of_units_that_never_fire(model):
    net = snn.Network(seed=1)
    a = net.population("a", 5, snn.CubaLIF(alpha=0.0, beta=0.9))
    net.connect(net.population("in", 6, snn.SpikeArray([])), a, snn.all_to_all(), weight=snn.normal(0.3, 0.1))
    net.connect(a, net.population("sum", 2, model), snn.all_to_all(), weight=snn.normal(0.0, 1.0))
    net.record("a", "spikes")
    net.record("sum", "v")
    graph = to_nir(net, 1.0, check=STEPS)

    def run(given, change=lambda v: v):
        w1, w2 = (graph.nodes[k].weight for k in ("in_to_a", "a_to_sum"))
        z = euler(graph.nodes["a"], given["in"] @ w1.T, 1e-3)[1]
        return {"a_output": z, "sum_output": change(euler(graph.nodes["sum"], z @ w2.T, 1e-3)[0])}

    assert check_nir(graph, run) == {"a_output": 0, "sum_output": 0}
    for wrong in (lambda v: v + 99.0, lambda v: v * np.nan, lambda v: np.roll(v, 1, axis=0)):
        assert check_nir(graph, partial(run, change=wrong))["sum_output"] > 60
    with pytest.raises(ModelError, match="check_nir.run: must give 'a_output'"):
        check_nir(graph, lambda given: {})


def chain(*middle, n=2):
    nodes = {"in": nir.Input([n])} | {f"{type(x).__name__.lower()}": x for x in middle} | {"out": nir.Output([n])}
    order = list(nodes)
    return nir.NIRGraph(nodes, list(zip(order[:-1], order[1:], strict=True)), type_check=False)


def lif(**changes):
    return make("LIF", randoms(2), **changes)


REFUSED = {
    "short tau": (chain(lif(tau=np.full(2, 1e-4))), r"Node 'lif' \(LIF\)\.tau: must be at least a step, 1 ms"),
    "sizes": (chain(nir.Linear(np.ones((3, 4))), lif()), r"Node 'linear' \(Linear\): \.weight: takes 4 values"),
    "channels": (chain(nir.Conv2d((2, 2), np.ones((1, 3, 1, 1)), 1, 0, 1, 1, np.zeros(1)), lif()),
                 r"Node 'conv2d' \(Conv2d\): \.weight: takes 3 channels of images"),
    "kernel": (nir.NIRGraph({"in": nir.Input([1, 2, 2]), "c": nir.SumPool2d(np.array([3, 3]), np.ones(2), np.zeros(2))},
                            [("in", "c")], type_check=False), r"Node 'c' \(SumPool2d\): .* does not fit"),
    "meet": (chain(nir.Linear(np.ones((3, 2))), lif()), r"Node 'lif' \(LIF\): 2 and 3 values meet"),
    "delay": (chain(nir.Delay(np.full(2, 1.5e-3)), lif()), r"Node 'delay' \(Delay\)\.delay: must be .* whole steps"),
    "graded": (chain(make("LI", randoms(2)), nir.Linear(np.eye(2)), lif()), r"Node 'li' \(LI\): sends its potential"),
    "infinite": (chain(lif(r=np.full(2, np.inf))), r"Node 'lif' \(LIF\): parameters must be finite"),
    "reset": (chain(lif(v_reset=np.full(2, 9.0))), r"Node 'lif' \(LIF\): CubaLIF.v_reset: must not be above v_th"),
    "unreached": (nir.NIRGraph({"in": nir.Input([2]), "one": nir.Linear(np.eye(2)), "out": nir.Output([2])},
                               [("in", "out")], type_check=False), r"Node 'one' \(Linear\): nothing leads"),
    "loop": (nir.NIRGraph({"in": nir.Input([2]), "a": nir.Linear(np.eye(2)), "b": nir.Linear(np.eye(2)), "lif": lif()},
                          [("in", "a"), ("a", "b"), ("b", "a"), ("b", "lif")], type_check=False),
             "lies on a cycle without a neuron"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_graphs_that_cannot_be_read(case):
    graph, text = REFUSED[case]
    with pytest.raises(ModelError, match=text):
        from_nir(graph, dt=1.0)


def test_all_problems_of_a_graph_are_told_at_once():
    graph = chain(nir.Delay(np.full(2, 1.5e-3)), lif(tau=np.full(2, 1e-4)), make("LI", randoms(2)))
    with pytest.raises(ModelError) as error:
        from_nir(graph, dt=1.0, inputs={"imp": 1})
    assert "Node 'delay'" in str(error.value) and "no Input node 'imp'" in str(error.value)
    with pytest.raises(ModelError, match="dt: is needed"):
        from_nir(chain(lif()))
    with pytest.raises(ModelError, match="must be a time > 0 ms; got -1"):
        from_nir(chain(lif()), dt=-1.0)
    with pytest.raises(ModelError, match="must be a nir.NIRGraph or a path; got int"):
        from_nir(3, dt=1.0)
    with pytest.raises(ShapeError, match=r"inputs\['in'\]: must be finite, of shape \(steps, 2\)"):
        from_nir(chain(lif()), dt=1.0, inputs={"in": np.ones((5, 3))})


def test_files_that_are_none(tmp_path):
    (tmp_path / "bad.nir").write_text("no")
    for name in ("bad.nir", "missing.nir"):
        with pytest.raises(FormatError, match=f"{name}: cannot be read as a NIR file"):
            from_nir(tmp_path / name, dt=1.0)


@pytest.mark.parametrize("dt", [0.0, -1.0, np.nan, "1", True], ids=repr)
def test_a_step_must_be_a_time(dt):
    net = random_net(*MODELS["CubaLIF"])
    for name, call in {
        "to_nir": to_nir,
        "latency": latency,
        "from_nir": lambda _, dt: from_nir(chain(lif()), dt),
    }.items():
        with pytest.raises(ModelError, match=rf"{name}\.dt: must be a time > 0 ms; got"):
            call(net, dt)


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (np.ones((0, 2)), ShapeError, r"must be finite, of shape \(steps, 2\), or a SpikeArray; got \(0, 2\)"),
        ([[1.0, 2.0], [3.0]], ModelError, "must be an array of numbers; got list"),
        (1j * np.ones((3, 2)), ModelError, "must be real numbers; got ndarray of dtype complex128"),
        ("spikes", ModelError, "must be real numbers; got str"),
        (snn.SpikeArray([1.0], [7]), ModelError, r"ids: must be < 2, the number of targets; got 7"),
    ],
)
def test_what_an_input_cannot_be(given, error, text):
    with pytest.raises(error, match=r"from_nir\.inputs\['in'\][.:] ?" + text):
        from_nir(chain(lif()), 1.0, {"in": given})


def test_a_graph_needs_sources_and_neurons():
    net = snn.Network()
    net.population("in", 2, snn.SpikeArray([1.0]))
    with pytest.raises(ExportError, match="Network: must have a population of neurons; got none"):
        to_nir(net, 1.0)
    net = snn.Network()
    net.population("p", 2, snn.CubaLIF(bias=0.1))
    with pytest.raises(ExportError, match="Network: must have spike sources, at which a graph begins; got none"):
        to_nir(net, 1.0)


def test_networks_that_nir_cannot_hold():
    """Everything is told at once."""
    net = snn.Network()
    src = net.population("in", 2, snn.SpikeArray([1.0]))
    models = {"izh": snn.Izhikevich(), "sub": snn.CubaLIF(reset=1), "slow": snn.CubaLIF(alpha=1.0),
              "held": snn.LIFExp(), "ok": snn.CubaLIF(), "mix": snn.CubaLIF(beta=[0.5, 1.0])}  # fmt: skip
    for name, model in models.items():
        net.connect(src, net.population(name, 2, model), snn.all_to_all(), weight=0.5)
    net.connect("ok", "ok", snn.all_to_all(), weight=0.5, plasticity=plasticity.STDPPair())
    net.input("wave", "ok", snn.ACCurrent(amplitude=1.0, frequency=10.0))
    net.input(
        "ramp", net.population("direct", 2, snn.CubaLIF(alpha=0.0)), snn.StepCurrent([1.0, 2.0], times=[0.0, 5.0])
    )
    with pytest.raises(ExportError) as error:
        to_nir(net, 1.0)
    for text in ("'izh'.model: must be one of", "'sub'.reset: must be 0", "'slow': its current never decays",
                 "'held'.t_ref: must be 0 ms", "'mix': a potential without a leak", "'ok->ok': changes as it runs",
                 "Input 'wave'", "Input 'ramp': must be constant from 0 ms"):  # fmt: skip
        assert text in str(error.value), text


def test_nir_is_imported_only_when_asked():
    code = "import sys, neuromorphic, snn; print(*({'nir', 'torch', 'lava'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


def test_the_documentations_example_runs(tmp_path, monkeypatch, capsys):
    text = (Path(__file__).resolve().parents[2] / "docs" / "neuromorphic.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    (block,) = [b for b in re.findall(r"```python\n(.*?)```", text, re.S) if "from_nir" in b]
    exec(block, {})
    assert int(capsys.readouterr().out.split()[0]) > 100
