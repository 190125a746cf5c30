"""Convolutions whose kernel is stored once: equal, bit for bit, to the same synapses written out, in all engines."""

import numpy as np
import pytest

import snn
from snn.compile import compile_network
from snn.config import load
from snn.memory import estimate
from snn.sliding import sliding

RULES = {
    "a": snn.conv2d((3, 6, 7), (20, 3, 3, 3), padding=1),
    "b": snn.conv2d((20, 6, 7), (6, 10, 2, 3), stride=(1, 2), padding=(0, 1), dilation=(2, 1), groups=2),
    "pool": snn.conv2d((6, 4, 4), (6, 1, 2, 2), stride=2, groups=6),
}
RNG = np.random.default_rng(0)
KERNELS = {name: RNG.normal(0.02, 0.3, rule.kernel).astype(np.float32) for name, rule in RULES.items()}
KERNELS["pool"][:] = 0.25


def network(expanded=False, **changes):
    """Sources that emit several spikes a step, and convolutions one after another; one turned back onto its source."""
    net = snn.Network(seed=3)
    before = net.population("src", 3 * 6 * 7, snn.Poisson(rate=150.0))
    for k, (name, rule) in enumerate(RULES.items()):
        pop = net.population(name, int(np.prod(rule.result)), snn.SoftResetIF(v_th=1.0), init={"v": 0.5})
        weight: object = KERNELS[name]
        given = [(before, pop, rule, weight)]
        if name == "a":  # the same kernel from another place, with the same delay
            again = snn.conv2d((20, 6, 7), (20, 1, 1, 3), padding=(0, 1), groups=20)
            given.append((pop, pop, again, KERNELS["a"][:, :1, :1]))
        for source, target, r, w in given:
            if expanded:
                matrix, _ = sliding(r.image, w.astype(float), r.groups, r.stride, r.padding, r.dilation)
                r, w = snn.from_sparse(matrix.T)
            net.connect(source, target, r, weight=w, delay=1.0 + k, **changes)
        net.record(pop)
        net.record(pop, "v")
        before = pop
    return net


def outcome(net, **options):
    sim = snn.Simulation(net, dt=1.0, quiet=True, **options)
    result = sim.run(40.0)
    return sim, [x for p in RULES for x in (result.spikes[p].ids, result.spikes[p].times, result.states[p]["v"])]


def test_engines_and_written_out_synapses_agree(tmp_path):
    reference, expected = outcome(network(), backend="reference")
    assert set(reference.compiled.kinds) == {"kc"}
    assert min(len(ids) for ids in expected[::3]) > 50
    for threads in (1, 3):  # blocks end inside channels
        sim, found = outcome(network(), threads=threads)
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_array_equal(x, y)
        assert sim.compiled.parts == reference.compiled.parts
    half = snn.Simulation(network(), dt=1.0, quiet=True, threads=3)
    half.run(20.0)
    half.checkpoint(tmp_path / "half.h5")
    rest = snn.Simulation.resume(tmp_path / "half.h5", network(), threads=1, quiet=True).run(20.0)
    np.testing.assert_array_equal(rest.states["pool"]["v"], expected[8][20:])
    written, found = outcome(network(expanded=True), backend="reference")
    assert written.compiled.n_edges == sim.compiled.n_edges
    for x, y in zip(found[:2], expected[:2], strict=True):
        np.testing.assert_array_equal(x, y)
    # another order of sums where two projections reach a neuron
    np.testing.assert_allclose(found[2], expected[2], rtol=0.0, atol=1e-12)
    for p in sim.net.projections.values():
        for x, y in zip(sim.connections(p.name), written.connections(p.name), strict=True):
            np.testing.assert_array_equal(x, y)
        np.testing.assert_array_equal(p.rule.fan(), np.bincount(sim.connections(p.name)[0], minlength=p.source.n))
        assert p.rule.most() == np.bincount(sim.connections(p.name)[1]).max()


def test_where_kernels_are_written_out():
    """The event engine and the cuda backend have lists of synapses; so have drawn weights, delays and plasticity."""
    spikes = []
    for expanded in (False, True):
        net = snn.Network()
        src = net.population("src", 126, snn.SpikeArray(np.arange(1.0, 40.0), np.arange(39) * 3))
        pop = net.population("a", 840, snn.LIFDelta(v_th=-69.0))
        rule, weight = RULES["a"], 3.0 * KERNELS["a"]
        if expanded:
            rule, weight = snn.from_sparse(sliding(rule.image, weight, 1, 1, 1, 1)[0].T)
        net.connect(src, pop, rule, weight=weight, delay=1.0)
        net.record(pop)
        spikes.append(snn.Simulation(net, engine="event", backend="reference", quiet=True).run(45.0).spikes["a"])
    assert spikes[0].ids.size > 100
    np.testing.assert_array_equal(spikes[0].ids, spikes[1].ids)
    np.testing.assert_array_equal(spikes[0].times, spikes[1].times)
    assert set(compile_network(network(), 1.0, "float64", 1, on_device=True).kinds) == {"vc"}

    def kinds(**changes):
        net = snn.Network()
        src, pop = net.population("src", 126, snn.Poisson(rate=1.0)), net.population("a", 840, snn.LIFExp())
        given = {"weight": KERNELS["a"], "delay": 1.0} | changes
        net.connect(src, pop, RULES["a"], **given)
        return compile_network(net, 1.0, "float64", 1).kinds

    assert kinds(weight=abs(KERNELS["a"])) == ["kc"]
    assert kinds() == ["vc"]  # excitatory and inhibitory receptors
    assert kinds(weight=2.0) == ["bc"]
    assert kinds(weight=snn.normal(1.0, 0.1)) == ["vc"]
    assert kinds(weight=abs(KERNELS["a"]), delay=1.0 + abs(KERNELS["a"])) == ["vv"]


def test_memory():
    """A kernel takes memory once, however large the image; the estimate before compiling says so."""
    bytes_ = []
    for side in (8, 64):
        net = snn.Network()
        src = net.population("src", 16 * side * side, snn.SpikeArray([]))
        pop = net.population("a", 32 * side * side, snn.SoftResetIF())
        net.connect(src, pop, snn.conv2d((16, side, side), (32, 16, 3, 3), padding=1), weight=np.ones((32, 16, 3, 3)))
        compiled = compile_network(net, 1.0, "float32", 1)
        (edges,) = compiled.edges
        assert edges.weights.size == 32 * 16  # all places of this kernel are the same
        bytes_.append(sum(a.nbytes for a in edges) - edges.sums.nbytes)
        assert compiled.n_edges == 16 * 32 * (3 * side - 2) ** 2
        needed = estimate(net, "clock", "float32")[0]
        assert needed < 1.5e8 and estimate(net, "event", "float32")[0] > 10 * compiled.n_edges
    assert bytes_[1] < 20 * (3 * 64) ** 2


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"image": (3, 6)}, r"conv2d.image: must be 3 integers >= 1; got \(3, 6\)"),
        ({"kernel": (4, 2, 3, 3)}, r"conv2d.kernel: must be \(out, 3 / groups"),
        ({"kernel": (4, 3, 9, 3)}, r"conv2d.kernel: must fit an image of \(6, 7\)"),
        ({"stride": 0}, "conv2d.stride: must be 2 integers >= 1; got 0"),
        ({"padding": -1}, "conv2d.padding: must be 2 integers >= 0; got -1"),
        ({"dilation": 1.5}, "conv2d.dilation: must be 2 integers >= 1; got 1.5"),
        ({"groups": 0}, "conv2d.groups: must be an integer >= 1; got 0"),
    ],
)
def test_errors(changes, text):
    with pytest.raises(snn.SimError, match=text):
        snn.conv2d(**({"image": (3, 6, 7), "kernel": (4, 3, 3, 3)} | changes))


def test_sizes_of_populations():
    net = snn.Network()
    src, pop = net.population("src", 126, snn.Poisson(rate=1.0)), net.population("a", 839, snn.SoftResetIF())
    net.connect(src, pop, RULES["a"], weight=KERNELS["a"])
    with pytest.raises(snn.ShapeError, match=r"'src->a'.target: must have 840 neurons, \(20, 6, 7\)"):
        compile_network(net, 1.0, "float64", 1)
    with pytest.raises(snn.ShapeError, match=r"weight: must have shape \(20, 3, 3, 3\); got \(20, 3, 3\)"):
        net.connect(src, pop, RULES["a"], weight=KERNELS["a"][..., 0], name="other")


def test_file(tmp_path):
    path = tmp_path / "net.toml"
    np.save(tmp_path / "kernel.npy", KERNELS["a"])
    path.write_text("""
[simulation]
duration = 20.0
[populations.src]
n = 126
model = "Poisson"
rate = 100.0
[populations.a]
n = 840
model = "SoftResetIF"
[[projections]]
source = "src"
target = "a"
rule = "conv2d"
image = [3, 6, 7]
kernel = [20, 3, 3, 3]
padding = 1
weight = {file = "kernel.npy"}
delay = 1.0
""")
    made = load(path).network().projections["src->a"]
    assert made.rule == RULES["a"]
    np.testing.assert_array_equal(made.weight, KERNELS["a"])
