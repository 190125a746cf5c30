"""Graphs that are written here and read by snnTorch and Norse, and the other way round: not a spike may differ.

Both compute in float32 and pass all layers in a step.
"""

import numpy as np
import pytest

nir = pytest.importorskip("nir", reason="needs the extra nir")
torch = pytest.importorskip("torch", reason="needs the extra torch")

import snn  # noqa: E402
from neuromorphic import check_nir, from_nir, latency, to_nir  # noqa: E402

pytestmark = pytest.mark.cross
DT = 0.1  # ms: the step that snnTorch's reader has built in
STEPS = 300


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def network(recurrent, hidden, output):
    net = snn.Network(seed=3)
    src = net.population("in", 20, snn.SpikeArray([]))
    a, b = net.population("a", 30, hidden), net.population("b", 10, output)
    net.connect(src, a, snn.fixed_indegree(8), weight=snn.normal(0.3, 0.1), delay=DT)
    net.connect(a, b, snn.fixed_indegree(5), weight=snn.normal(0.3, 0.3), delay=DT)
    if recurrent:
        net.connect(a, a, snn.fixed_indegree(5), weight=snn.normal(0.0, 0.3), delay=DT)
    return net


def snntorch_reads(graph):
    pytest.importorskip("nirtorch", reason="needs nirtorch")
    reader = pytest.importorskip("snntorch.import_nir", reason="needs the extra torch")

    def run(given):
        module, state, found = reader.import_from_nir(graph), None, []
        for x in torch.tensor(given["in"], dtype=torch.float32):
            out, state = module(x[None], state) if state is not None else module(x[None])
            found.append(out[0].detach().numpy())
        return {"output": np.array(found)}

    return run


def norse_reads(graph):
    norse = pytest.importorskip("norse.torch", reason="needs norse")

    def run(given):
        module, state, found = norse.from_nir(graph, dt=graph.metadata["dt"]), None, []
        for x in torch.tensor(given["in"], dtype=torch.float32):
            out, state = module(x[None], state)
            found.append(out[0].detach().numpy())
        return {"output": np.array(found)}

    return run


READERS = {"snntorch": snntorch_reads, "norse": norse_reads}
PAIRS = {
    "CubaLIF": (snn.CubaLIF(alpha=snn.uniform(0.0, 0.8), beta=snn.uniform(0.5, 0.95)), snn.CubaLIF(alpha=0, beta=0.8)),
    "LIFDelta": (
        snn.LIFDelta(tau_m=1.0, e_l=0.0, v_reset=0.0, v_th=1.0, t_ref=0.0),
        snn.LIFDelta(tau_m=0.5, e_l=0.0, v_reset=0.0, v_th=1.0, t_ref=0.0),
    ),
}


@pytest.mark.parametrize("models", PAIRS)
@pytest.mark.parametrize("reader", READERS)
def test_feedforward_graphs_are_read_as_they_are_meant(reader, models, tmp_path):
    graph = to_nir(network(False, *PAIRS[models]), DT, check=STEPS)
    nir.write(tmp_path / "g.nir", graph)
    graph = nir.read(tmp_path / "g.nir")
    assert spikes(graph) > 500 and check_nir(graph, READERS[reader](graph)) == {"output": 0}


def test_norse_reads_recurrent_graphs():
    graph = to_nir(network(True, *PAIRS["CubaLIF"]), DT, check=STEPS)
    assert spikes(graph) > 500 and check_nir(graph, norse_reads(graph)) == {"output": 0}


def test_the_check_flags_snntorchs_reading_of_recurrent_graphs():
    """snnTorch 1.0 feeds the input through the recurrent matrix. If this fails, that is mended: test for equality."""
    graph = to_nir(network(True, *PAIRS["CubaLIF"]), DT, check=STEPS)
    assert check_nir(graph, snntorch_reads(graph))["output"] > 100


@pytest.mark.parametrize("model", [snn.Accumulator(), snn.CubaLIF(alpha=0, v_th=1e300)], ids=["I", "LI"])
def test_the_check_flags_norses_reading_of_units_that_never_fire(model):
    """Norse 1.1 does not keep their potential from step to step. If this fails, that is mended: test for equality."""
    graph = to_nir(network(False, snn.CubaLIF(alpha=0, beta=0.9), model), DT, check=STEPS)
    assert check_nir(graph, norse_reads(graph))["output"] > 2000


def spikes(graph):
    """Number of spikes that the graph's check expects."""
    none = {}

    def run(given):
        none["output"] = np.zeros((STEPS, 10))
        return none

    return check_nir(graph, run)["output"]


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "RLeaky"])
def test_what_snntorch_writes_spikes_here_as_there(kind, tmp_path):
    """With the reset that NIR has: to zero, in the step of the spike (with which snnTorch's RSynaptic fails)."""
    pytest.importorskip("nirtorch", reason="needs nirtorch")
    snntorch = pytest.importorskip("snntorch", reason="needs the extra torch")
    writer = pytest.importorskip("snntorch.export_nir", reason="needs the extra torch")
    torch.manual_seed(2)

    def layer(n):
        each = {"beta": torch.linspace(0.7, 0.95, n), "threshold": torch.ones(n)}
        each |= {"alpha": torch.linspace(0.3, 0.6, n)} if kind == "Synaptic" else {}
        each |= {"linear_features": n} if kind == "RLeaky" else {}
        return getattr(snntorch, kind)(init_hidden=True, reset_mechanism="zero", reset_delay=False, **each)

    model = torch.nn.Sequential(torch.nn.Linear(20, 30), layer(30), torch.nn.Linear(30, 10), layer(10))
    for module in model:
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, 0.1, 0.3)
        elif kind == "RLeaky":
            torch.nn.init.normal_(module.recurrent.weight, 0.0, 0.2)
    x = np.random.default_rng(1).random((STEPS, 20)) < 0.15
    with torch.no_grad():
        theirs = np.array([model(torch.tensor(row[None], dtype=torch.float32)).numpy()[0] for row in x]) > 0
    nir.write(tmp_path / "g.nir", writer.export_to_nir(model, torch.zeros(1, 20), ignore_dims=[0]))  # runs the model
    when, ids = np.nonzero(x)
    net = from_nir(tmp_path / "g.nir", dt=DT, inputs={"input": snn.SpikeArray((when + 1) * DT, ids)})
    (last,) = [p.population.name for p in net.probes]
    behind = latency(net, DT)[last]
    found = snn.Simulation(net, dt=DT, backend="reference", quiet=True).run((STEPS + behind) * DT).spikes[last]
    ours = np.zeros((STEPS + behind, 10), bool)
    ours[np.rint(np.asarray(found.times) / DT).astype(int) - 1, found.ids] = True
    assert behind == 2 and 300 < theirs.sum() < 0.8 * theirs.size
    assert np.array_equal(ours[behind:], theirs)
