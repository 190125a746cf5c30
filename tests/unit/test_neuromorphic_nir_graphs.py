"""Graphs that NIR allows and few write: cycles, layers without a leak, initial values, subgraphs; malformed nodes."""

import warnings

import numpy as np
import pytest
from scipy.sparse.csgraph import connected_components

nir = pytest.importorskip("nir", reason="needs the extra nir")

import snn  # noqa: E402
from kernels.errors import ExportError, ModelError  # noqa: E402
from neuromorphic import from_nir, latency, nir_export, to_nir  # noqa: E402

STEPS = 40


def euler(graph, given, steps):
    """Spikes by neuron node: NIR's equations by Euler's method, all layers in a step, one step within a cycle."""
    names, dt = list(graph.nodes), graph.metadata["dt"]
    joined = np.zeros((len(names),) * 2)
    for a, b in graph.edges:
        joined[names.index(a), names.index(b)] = 1
    cycle = dict(zip(names, connected_components(joined, directed=True, connection="strong")[1], strict=True))
    neurons = [n for n in names if type(graph.nodes[n]).__name__ in ("CubaLIF", "IF")]
    spikes = given | {n: np.zeros((steps, len(graph.nodes[n].r))) for n in neurons}
    state, links = {}, {n: [] for n in neurons}
    for n in neurons:
        node = graph.nodes[n]
        kept = node.metadata or {"v0": getattr(node, "v_leak", 0 * node.r), "i0": 0 * node.r}
        state[n] = kept["v0"], kept["i0"]
        for link in (a for a, b in graph.edges if b == n):
            late, (before,) = 0, [a for a, b in graph.edges if b == link]
            if type(graph.nodes[link]).__name__ == "Delay":
                late, link = int(np.rint(graph.nodes[link].delay[0] / dt)), before
                (before,) = [a for a, b in graph.edges if b == link]
            links[n].append((before, graph.nodes[link], late, int(cycle[before] == cycle[n])))
    order = sorted(neurons, key=lambda n: len(_before(graph, n)))  # what leads to a node comes first, but in cycles
    for t in range(steps):
        for n in order:
            node, (v, i), x = graph.nodes[n], state[n], 0.0
            for before, linear, late, inside in links[n]:
                if t - late - inside >= 0:
                    x = x + linear.weight @ spikes[before][t - late - inside]
                if t - late >= 0:
                    x = x + getattr(linear, "bias", 0.0)
            if type(node).__name__ == "IF":
                v = v + dt * node.r * x
            else:
                i = i + dt / node.tau_syn * (-i + node.w_in * x)
                v = v + dt / node.tau_mem * (node.v_leak - v + node.r * i)
            spikes[n][t] = v > node.v_threshold
            state[n] = np.where(spikes[n][t], node.v_reset, v), i
    return {n: spikes[n] for n in neurons}


def _before(graph, name):
    found, new = set(), {name}
    while new:
        new = {a for a, b in graph.edges if b in new} - found
        found |= new
    return found


def own(net, steps, populations):
    """The network's own spikes, in the steps of their nodes."""
    behind = latency(net, 1.0)
    run = snn.Simulation(net, dt=1.0, backend="reference", quiet=True).run(steps + max(behind.values()))
    found = {}
    for name in populations:
        spikes, found[name] = run.spikes[name], np.zeros((steps, net.populations[name].n))
        when = np.rint(np.asarray(spikes.times)).astype(int) - 1 - behind[name]
        keep = (when >= 0) & (when < steps)
        found[name][when[keep], spikes.ids[keep]] = 1
    return found


def cuba(**changes):
    return snn.CubaLIF(**{"alpha": 0.0, "beta": 0.9, "v_th": 1.0, **changes})


def random_spikes(n, seed=1):
    x = np.random.default_rng(seed).random((STEPS, n)) < 0.3
    return x.astype(float), snn.SpikeArray(np.nonzero(x)[0] + 1.0, np.nonzero(x)[1])


def test_projections_that_draw_no_synapse_close_no_cycle():
    x, spikes = random_spikes(4)

    def made(empty):
        net = snn.Network(seed=1)
        src = net.population("in", 4, spikes)
        a, b = (net.population(name, 5, cuba(alpha=0.5)) for name in "ab")
        net.connect(src, a, snn.all_to_all(), weight=snn.normal(0.4, 0.3))
        net.connect(a, b, snn.all_to_all(), weight=snn.normal(0.3, 0.3), delay=3.0)
        net.connect(src, b, snn.all_to_all(), weight=snn.normal(0.4, 0.3))
        if empty:
            net.connect(b, a, snn.pairwise_bernoulli(0.0), weight=1.0)
        net.record(a)
        net.record(b)
        return net

    net = made(empty=True)
    assert latency(net, 1.0) == latency(made(empty=False), 1.0) == {"in": 0, "a": 1, "b": 1}
    graph = to_nir(net, 1.0)
    assert graph.edges == to_nir(made(empty=False), 1.0).edges
    wanted, found = euler(graph, {"in": x}, STEPS), own(net, STEPS, "ab")
    for name in "ab":
        assert 10 < wanted[name].sum() < 0.95 * wanted[name].size and np.array_equal(wanted[name], found[name])


@pytest.mark.parametrize("beta", [1.0, 0.8])
def test_a_bias_of_the_model_acts_before_the_layers_first_step(beta):
    """Three layers, which run 1, 2 and 3 steps behind; a bias without a leak becomes an offset."""
    x, spikes = random_spikes(3)
    net = snn.Network(seed=2)
    before = net.population("in", 3, spikes)
    names = ["a", "b", "c"]
    for k, name in enumerate(names):
        bias = np.array([0.11, -0.05, 0.17, 0.07]) / (k + 1)
        layer = net.population(name, 4, cuba(beta=beta, bias=bias), init={"v": 0.1 * k})
        net.connect(before, layer, snn.all_to_all(), weight=snn.normal(0.25, 0.3))
        net.record(layer)
        before = layer
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the check finds the network and the graph alike
        graph = to_nir(net, 1.0, check=STEPS)
    assert type(graph.nodes["c"]).__name__ == ("IF" if beta == 1 else "CubaLIF")
    wanted, found = euler(graph, {"in": x}, STEPS), own(net, STEPS, names)
    back = own(from_nir(graph, inputs={"in": spikes}), STEPS, ["c"])  # which is the Output
    assert np.array_equal(back["c"], wanted["c"])
    for name in names:
        assert 10 < wanted[name].sum() < 0.95 * wanted[name].size and np.array_equal(wanted[name], found[name])


def test_the_check_compares_the_graph_with_the_network(monkeypatch):
    def made(v=0.9):
        net = snn.Network()
        src = net.population("in", 2, snn.Poisson(rate=20.0))
        p = net.population("p", 3, cuba(v_leak=0.4), init={"v": v})
        never = net.population("sum", 2, cuba(v_th=1e300, v_reset=-0.5))
        net.connect(src, p, snn.all_to_all(), weight=0.3)
        net.connect(p, never, snn.all_to_all(), weight=0.3)
        net.input("more", p, snn.SpikeArray([]), weight=[0.1, 0.2, 0.3])
        net.record(p)
        net.record(never, "v")
        return net

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = to_nir(made(), 1.0, check=STEPS)
    assert "check" in graph.metadata
    early = made(v=2.0)
    del early.inputs["more"]  # which reached p at once: now p begins a step late
    early.connect("p", "p", snn.all_to_all(), weight=0.5, delay=3.0)
    with (
        pytest.warns(UserWarning, match=r"to_nir: Population 'p': 3 of 3 neurons fire without input within"),
        pytest.warns(UserWarning, match=r"to_nir\.check: .* differ from .*: p fires before its node begins"),
    ):
        to_nir(early, 1.0, check=STEPS)
    monkeypatch.setattr(nir_export._Build, "start", lambda *_: None)  # initial values are forgotten
    with pytest.warns(
        UserWarning, match=r"entries of 'p_output', .* entries of 'sum_output' differ .*: a tie, or a fa"
    ):
        to_nir(made(), 1.0, check=STEPS)


def test_initial_values_that_would_fire_on_the_way_back_are_refused():
    """p is two layers behind in from_nir's network, and its v halves in each step."""

    def made(v):
        net = snn.Network()
        src = net.population("in", 1, snn.SpikeArray([]))
        a, p = net.population("a", 1, cuba()), net.population("p", 1, cuba(beta=0.5), init={"v": v})
        net.connect(src, a, snn.all_to_all(), weight=0.1)
        net.connect(a, p, snn.all_to_all(), weight=0.1)
        net.input("d", p, snn.SpikeArray([1.0], [0]), weight=0.8)
        net.record(p)
        return net

    net, given = made(0.49), {"d": snn.SpikeArray([1.0], [0])}
    back = from_nir(to_nir(net, 1.0), inputs=given)
    assert latency(net, 1.0)["p"] == 0 and latency(back, 1.0)["p"] == 2
    for one in (net, back):  # 0.245 + 0.8 is above 1
        assert np.flatnonzero(own(one, 5, "p")["p"]).tolist() == [0]
    graph = to_nir(made(0.9), 1.0)  # would begin from 3.6, and fire
    with pytest.raises(ModelError, match=r"Node 'p' \(CubaLIF\): the initial values .* got v0 to 0.9"):
        from_nir(graph, inputs=given)
    with pytest.raises(
        ExportError, match=r"to_nir\.check: must be 0 for .*\n.*Node 'p' \(CubaLIF\): the initial values"
    ):
        to_nir(made(0.9), 1.0, check=5)
    graph.nodes["p"].metadata = {"v0": np.zeros(3)}
    with pytest.raises(ModelError, match=r"Node 'p' \(CubaLIF\): v0 and i0 .* 1 values each; got 3 and 1"):
        from_nir(graph, inputs=given)


def pacemakers(init, e_l=-70.0, current=400.0):
    """50 neurons, of which some fire without input, one step late: to_nir begins them in their second step."""
    net = snn.Network(seed=1)
    src = net.population("in", 1, snn.SpikeArray([]))
    b = net.population("b", 50, snn.LIFDelta(t_ref=0.0, e_l=e_l, i_e=current), init=init)
    net.connect(src, b, snn.all_to_all(), weight=1.0, delay=1.0)
    net.record(b)
    return net


def test_phases_of_neurons_that_fire_without_input_are_kept():
    """Against the network itself and Euler's method: who fires alone keeps its phase, and so do all the others."""
    one_of_fifty = np.where(np.arange(50) == 7, -54.0, -70.0)
    for net in (pacemakers({"v": snn.uniform(-70.0, -57.0)}), pacemakers({"v": -60.0}, one_of_fifty, 0.0)):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            graph = to_nir(net, 1.0, check=20)
        wanted = own(net, 400, ["b"])["b"]
        assert np.array_equal(own(from_nir(graph), 400, ["b"])["b"], wanted)
        assert np.array_equal(euler(graph, {"in": np.zeros((400, 1))}, 400)["b"], wanted) and wanted.any()
    assert len(set(np.argmax(own(pacemakers({"v": snn.uniform(-70.0, -57.0)}), 400, ["b"])["b"], axis=0))) > 10


def test_spikes_before_a_node_begins_are_named_and_the_phase_goes_on():
    """The first 5 neurons begin above threshold, and fire in the step before the node's first."""
    net = pacemakers({"v": np.r_[np.full(5, -40.0), np.linspace(-70.0, -57.0, 45)]})
    with pytest.warns(UserWarning, match=r"Population 'b': 5 of 50 neurons fire without input within the first 1 ms"):
        graph = to_nir(net, 1.0)
    assert "5 of 50 neurons fire without input" in graph.metadata["notes"]
    wanted = own(net, 400, ["b"])["b"]
    assert latency(net, 1.0)["b"] == 1 and wanted[:, :5].any()
    assert np.array_equal(own(from_nir(graph), 400, ["b"])["b"], wanted)


@pytest.mark.parametrize("kind", ["LIF", "CubaLIF"])
def test_neurons_that_rest_above_their_threshold_begin_with_their_layer(kind):
    """Two layers behind: by Euler's method they fire first in step 0, and here no earlier."""
    w, one = nir.Linear(np.eye(2)), np.ones(2)
    cuba = {"tau_syn": 0.005 * one, "tau_mem": 0.01 * one}

    def node(leak):
        leak = np.array(leak)
        if kind == "LIF":
            return nir.LIF(tau=0.01 * one, r=one, v_leak=leak, v_threshold=one)
        return nir.CubaLIF(**cuba, r=one, v_leak=leak, v_threshold=one)

    nodes = {"in": nir.Input([2]), "w": w, "a": node([0.0, 0.5]), "w2": w, "b": node([1.5, 0.5]), "w3": w,
             "c": node([0.0, 1.2]), "out": nir.Output([2])}  # fmt: skip
    order = list(nodes)
    net = from_nir(nir.NIRGraph(nodes, list(zip(order[:-1], order[1:], strict=True))), dt=1.0)
    net.record("b")
    assert latency(net, 1.0) == {"in": 0, "a": 1, "b": 2, "c": 3}
    found = own(net, STEPS, "bc")
    for name, neuron, leak in (("b", 0, 1.5), ("c", 1, 1.2)):
        v, steps = leak, []
        for t in range(STEPS):
            v += 0.1 * (leak - v)
            if v > 1.0:
                steps.append(t)
                v = 0.0
        assert np.flatnonzero(found[name][:, neuron]).tolist() == steps and steps[0] == 0 and len(steps) > 2
        assert simulated_early(net, name, latency(net, 1.0)[name]) == 0


def simulated_early(net, name, steps):
    return len(snn.Simulation(net, dt=1.0, backend="reference", quiet=True).run(float(steps)).spikes[name].times)


def test_neurons_that_fire_in_every_step_are_refused_where_their_layer_is_late():
    one = np.ones(1)
    for node in (
        nir.LIF(tau=0.001 * one, r=one, v_leak=1.5 * one, v_threshold=one), nir.Threshold(-0.5 * one),
        nir.IF(one, -0.5 * one),
    ):  # fmt: skip
        nodes = {"in": nir.Input([1]), "w": nir.Linear(np.eye(1)), "b": node, "out": nir.Output([1])}
        order = list(nodes)
        with pytest.raises(ModelError, match=r"Node 'b' \(\w+\): its threshold must .* layer is 1 steps late"):
            from_nir(nir.NIRGraph(nodes, list(zip(order[:-1], order[1:], strict=True))), dt=1.0)


def layers(skip=()):
    """in -> a -> b, and in -> b."""

    def one(threshold=0.5):
        return nir.LIF(tau=np.full(1, 0.01), r=np.ones(1), v_leak=np.zeros(1), v_threshold=np.full(1, threshold))

    w = nir.Linear(8.0 * np.eye(1))
    nodes = {"in": nir.Input([1]), "w": w, "a": one(), "w2": w, "b": one(), "x": nir.Output([1]), "y": nir.Output([1])}
    edges = [("in", "w"), ("w", "a"), ("a", "w2"), ("w2", "b"), ("a", "x"), ("b", "y")]
    path = ["in", *(f"skip{k}" for k in range(len(skip))), "b"]
    nodes |= dict(zip(path[1:-1], skip, strict=True))
    return nir.NIRGraph(nodes, edges + list(zip(path[:-1], path[1:], strict=True)) * bool(skip), type_check=False)


@pytest.mark.parametrize("late", [0, 3])
def test_latency_knows_where_the_values_of_an_input_went(late):
    """Values and spikes of an Input that also skips a layer: the same network, as late behind its nodes."""
    graph = layers([nir.Linear(8.0 * np.eye(1)), nir.Delay(np.full(1, late * 1e-3))])
    x = np.zeros((12, 1))
    x[3] = 1.0
    for given in (snn.SpikeArray([4.0], [0]), x):
        net = from_nir(graph, dt=1.0, inputs={"in": given})
        assert {k: v for k, v in latency(net, 1.0).items() if k != "in"} == {"a": 1, "b": 2}
        found = own(net, 12, "ab")
        assert np.flatnonzero(found["a"]).tolist() == [3]
        assert np.flatnonzero(found["b"]).tolist() == ([3, 3 + late] if late else [3])


def test_a_connection_of_no_weight_is_no_layer():
    graph = layers([nir.Linear(8.0 * np.eye(1))])
    graph.nodes["w2"] = nir.Linear(np.zeros((1, 1)))
    net = from_nir(graph, dt=1.0, inputs={"in": snn.SpikeArray([4.0], [0])})
    assert latency(net, 1.0) == {"in": 0, "a": 1, "b": 1}
    assert np.flatnonzero(own(net, 12, "b")["b"]).tolist() == [3]


def test_names_that_would_become_one_are_refused():
    graph = layers()
    graph.nodes["a/l"], graph.nodes["a.l"] = graph.nodes["a"], graph.nodes["b"]
    graph.edges += [("w", "a/l"), ("w", "a.l")]
    with pytest.raises(ModelError, match=r"Node 'a\.l': must be one; two nodes .* '/' becomes '\.'\. Rename one"):
        from_nir(graph, dt=1.0)
    inner = nir.NIRGraph({"in": nir.Input([1]), "l": graph.nodes["a"], "out": nir.Output([1])},
                         [("in", "l"), ("l", "out")])  # fmt: skip
    outer = nir.NIRGraph({"in": nir.Input([1]), "s": inner, "s.l": graph.nodes["b"], "out": nir.Output([1])},
                         [("in", "s"), ("s", "out"), ("in", "s.l")], type_check=False)  # fmt: skip
    with pytest.raises(ModelError, match=r"Node 's\.l': must be one"):
        from_nir(outer, dt=1.0)


def test_a_graph_holds_what_the_network_holds(tmp_path):
    """No Input for a population that is driven by its own v_leak, no Output for one that is not recorded."""
    net = snn.Network()
    src = net.population("in", 2, snn.SpikeArray([1.0]))
    net.connect(src, net.population("a", 1, cuba()), snn.all_to_all(), weight=0.7)
    net.population("b", 1, cuba(v_leak=0.9))
    net.connect("b", "a", snn.all_to_all(), weight=0.2)
    net.connect("a", net.population("last", 3, cuba()), snn.all_to_all(), weight=0.2)
    net.record("a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = to_nir(net, 1.0, check=STEPS)
    kinds = {k: type(node).__name__ for k, node in graph.nodes.items()}
    assert [k for k, kind in kinds.items() if kind == "Input"] == ["in"]
    assert [k for k, kind in kinds.items() if kind == "Output"] == ["output"]
    nir.write(tmp_path / "g.nir", graph)
    read = nir.read(tmp_path / "g.nir")  # which checks all types
    for name, node in graph.nodes.items():
        for side in ("input_type", "output_type"):
            ours, theirs = getattr(node, side), getattr(read.nodes[name], side)
            assert ours.keys() == theirs.keys() and all(np.array_equal(ours[k], theirs[k]) for k in ours)
    for back in (from_nir(tmp_path / "g.nir"), from_nir(read)):
        assert {"in", "a", "b", "last"} <= set(back.populations) and back.populations["b"].n == 1
    net = snn.Network()  # a cycle apart, in which a spike goes round
    src, a = net.population("in", 2, snn.SpikeArray([1.0])), net.population("a", 2, cuba())
    net.connect(src, a, snn.all_to_all(), weight=0.7)
    p, q = (net.population(name, 1, cuba(), init={"v": v}) for name, v in (("p", 1.2), ("q", 0.2)))
    net.connect(p, q, snn.all_to_all(), weight=1.2, delay=2.0)
    net.connect(q, p, snn.all_to_all(), weight=1.1)
    net.connect(q, a, snn.all_to_all(), weight=1.2)
    for name in ("p", "q", "a"):
        net.record(name)
    graph = to_nir(net, 1.0)
    back = from_nir(graph, inputs={"in": net.populations["in"].model})
    ours, theirs = own(net, STEPS, "apq"), own(back, STEPS, "apq")
    for name in "apq":
        assert ours[name].sum() > 1 and np.array_equal(ours[name], theirs[name]), name
    net = snn.Network()
    src, p = net.population("in", 2, snn.SpikeArray([1.0])), net.population("p", 2, cuba(v_leak=2.0))
    net.connect(p, p, snn.all_to_all())
    net.connect(src, p, snn.pairwise_bernoulli(0.0))
    with pytest.raises(ExportError, match="Network: its spike sources, .* must lead to neurons; none has a synapse"):
        to_nir(net, 1.0)


def image(node, shape=(1, 4, 4), **changes):
    for name, value in changes.items():  # as files may hold it; the package's own check is passed by
        setattr(node, name, value)
    return nir.NIRGraph({"in": nir.Input(list(shape)), "node": node, "out": nir.Output([1])},
                        [("in", "node"), ("node", "out")], type_check=False)  # fmt: skip


def conv(**changes):
    return image(nir.Conv2d((4, 4), np.ones((2, 1, 2, 2)), 1, 0, 1, 1, np.zeros(2)), **changes)


def conv1(**changes):
    return image(nir.Conv1d(4, np.ones((2, 1, 2)), 1, 0, 1, 1, np.zeros(2)), (1, 4), **changes)


def pool(**changes):
    return image(nir.SumPool2d(np.array([2, 2]), np.array([1, 1]), np.array([0, 0])), **changes)


def flatten(first, last):
    return image(nir.Flatten({"input": np.array([1, 4, 4])}, 0, -1), start_dim=first, end_dim=last)


MALFORMED = {
    "stride 0": (conv(stride=0), r"Conv2d\): \.stride: must be one or two integers >= 1; got 0"),
    "stride -1": (conv(stride=(1, -1)), r"Conv2d\): \.stride: must be .* got \[1, -1\]"),
    "stride 3": (conv(stride=(1, 1, 1)), r"Conv2d\): \.stride: must be .* got \[1, 1, 1\]"),
    "stride 1.5": (conv(stride=1.5), r"Conv2d\): \.stride: must be .* got 1\.5"),
    "dilation": (conv(dilation=(0, 1)), r"Conv2d\): \.dilation: must be .* got \[0, 1\]"),
    "padding": (conv(padding=(-1, 0)), r"Conv2d\): \.padding: must be one or two integers >= 0; got \[-1, 0\]"),
    "groups": (conv(groups=0), r"Conv2d\): \.groups: must be an integer >= 1; got 0"),
    "weight": (conv(weight=np.ones((2, 1, 0, 2))), r"Conv2d\): \.weight: must have .* got shape \(2, 1, 0, 2\)"),
    "bias": (conv(bias=np.zeros(3)), r"Conv2d\): \.bias: must have 2 values, one a channel; got 3"),
    "one bias": (conv1(bias=np.array([0.5])), r"Conv1d\): \.bias: must have 2 values, one a channel; got 1"),
    "two strides": (conv1(stride=(1, 2)), r"Conv1d\): \.stride: must be an integer >= 1; got \[1, 2\]"),
    "kernel": (pool(kernel_size=np.array([0, 2])), r"SumPool2d\): \.kernel_size: must be .* got \[0, 2\]"),
    "pool stride": (pool(stride=np.array([0, 0])), r"SumPool2d\): \.stride: must be .* got \[0, 0\]"),
    "pool padding": (pool(padding=np.array([-1, 0])), r"SumPool2d\): \.padding: must be .* got \[-1, 0\]"),
    "beyond": (flatten(3, -1), r"Flatten\): \.start_dim, .* of samples of shape \(1, 4, 4\), .* got \(3, -1\)"),
    "before": (flatten(0, -4), r"Flatten\): \.start_dim, .* got \(0, -4\)"),
    "order": (flatten(2, 1), r"Flatten\): \.start_dim, .* got \(2, 1\)"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_nodes_are_named(case):
    graph, text = MALFORMED[case]
    with pytest.raises(ModelError, match=r"Node 'node' \(" + text):
        from_nir(graph, dt=1.0)


def test_well_formed_nodes_are_read():
    for graph, n in ((conv(), 18), (conv1(), 6), (pool(), 9), (flatten(-3, 2), 16), (conv(padding="same"), 32)):
        assert from_nir(graph, dt=1.0).populations["out"].n == n


def test_subgraphs_may_pass_their_input_on():
    """Straight from Input to Output, beside a scale and beside the connection outside: all of it is summed."""
    inner = nir.NIRGraph({"i": nir.Input([1]), "s": nir.Scale(np.full(1, 0.5)), "o": nir.Output([1])},
                         [("i", "o"), ("i", "s"), ("s", "o")])  # fmt: skip
    graph = nir.NIRGraph({"in": nir.Input([1]), "sub": inner, "w": nir.Linear(np.eye(1)), "out": nir.Output([1])},
                         [("in", "sub"), ("sub", "w"), ("in", "w"), ("w", "out")], type_check=False)  # fmt: skip
    x = np.random.default_rng(1).normal(0, 1, (9, 1))
    net = from_nir(graph, dt=1.0, inputs={"in": x})
    v = snn.Simulation(net, dt=1.0, backend="reference", quiet=True).run(10.0).states["out"]["v"]
    assert np.allclose(v[latency(net, 1.0)["out"] :], 2.5 * x)


def test_subgraphs_whose_ends_edges_cannot_tell_apart_are_refused():
    ends = {"i": nir.Input([1]), "o": nir.Output([1])}
    scales = {"s": nir.Scale(np.ones(1)), "t": nir.Scale(np.ones(1))}
    two = [("i", "s"), ("i", "t"), ("s", "o"), ("t", "o")]
    for extra, side, edges in (
        ({"j": nir.Input([1])}, "Input", [*two[2:], ("i", "s"), ("j", "t")]),
        ({"p": nir.Output([1])}, "Output", [*two[:2], ("s", "o"), ("t", "p")]),
    ):
        inner = nir.NIRGraph(ends | scales | extra, edges, type_check=False)
        graph = nir.NIRGraph({"in": nir.Input([1]), "sub": inner, "out": nir.Output([1])},
                             [("in", "sub"), ("sub", "out")], type_check=False)  # fmt: skip
        with pytest.raises(ModelError, match=rf"Node 'sub' \(NIRGraph\): must have one {side}, .* got 2, joined by"):
            from_nir(graph, dt=1.0)
    loop = nir.NIRGraph(ends, [("i", "o")])
    graph = nir.NIRGraph({"in": nir.Input([1]), "sub": loop, "out": nir.Output([1])},
                         [("in", "sub"), ("sub", "sub"), ("sub", "out")], type_check=False)  # fmt: skip
    with pytest.raises(ModelError, match="lies on a cycle without a neuron"):
        from_nir(graph, dt=1.0)
