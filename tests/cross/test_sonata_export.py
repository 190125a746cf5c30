"""Networks as SONATA folders: read back by libsonata, run by bmtk in NEST with the same spikes, and what is refused."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ExportError, ModelError
from neuromorphic import export_sonata

pytestmark = pytest.mark.cross
DT, DURATION = 0.1, 300.0


def network():
    """Drawn thresholds, initial values, weights, delays; Poisson sources, given spikes, a direct input."""
    net = snn.Network(seed=3)
    src = net.population("in", 40, snn.Poisson(rate=300.0))
    exc = net.population(
        "exc",
        60,
        snn.LIFExp(tau_syn_ex=3.0, v_th=snn.normal(-55.0, 1.0), t_ref=1.24),
        init={"v": snn.uniform(-70.0, -56.0)},
    )
    inh = net.population("inh", 15, snn.LIFAlpha(i_e=50.0))
    net.connect(src, exc, snn.fixed_indegree(10), weight=snn.normal(60.0, 5.0), delay=1.0)
    net.connect(src, inh, snn.fixed_indegree(10), weight=80.0, delay=1.0)
    net.connect(exc, inh, snn.pairwise_bernoulli(0.1), weight=30.0, delay=snn.uniform(0.5, 3.0))
    net.connect(inh, exc, snn.pairwise_bernoulli(0.2), weight=-50.0, delay=1.5)
    rng = np.random.default_rng(0)
    given = snn.SpikeArray(np.sort(rng.integers(2, 2999, 1500)) * DT, rng.integers(0, 60, 1500))
    net.input("noise", exc, given, weight=np.linspace(20.0, 40.0, 60))
    for pop in (exc, inh):
        net.record(pop, "spikes")
    return net


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return export_sonata(network(), tmp_path_factory.mktemp("sonata") / "net", DT, DURATION)


RUN = """
from bmtk.simulator import pointnet
config = pointnet.Config.from_json("simulation_config.json")
config.build_env()
network = pointnet.PointNetwork.from_config(config)
pointnet.PointSimulator.from_config(config, network).run()
"""


def test_bmtk_runs_the_folder_in_nest_with_our_spikes(folder):
    pytest.importorskip("bmtk")
    pytest.importorskip("nest")
    subprocess.run([sys.executable, "-c", RUN], cwd=folder, check=True, capture_output=True, timeout=300)
    ours = snn.Simulation(network(), dt=DT).run(DURATION).spikes
    with h5py.File(folder / "output" / "spikes.h5") as file:
        for name in ("exc", "inh"):
            group = file["spikes"][name]
            steps, ids = np.rint(group["timestamps"][...] / DT).astype(int), group["node_ids"][...].astype(int)
            theirs = set(zip(steps.tolist(), ids.tolist(), strict=True))
            mine = set(zip(np.rint(ours[name].times / DT).astype(int).tolist(), ours[name].ids.tolist(), strict=True))
            assert len(mine) > 300 and len(ours[name].times) == len(steps)
            assert theirs == mine, (len(theirs - mine), len(mine - theirs))


def test_libsonata_reads_what_was_drawn(folder):
    libsonata = pytest.importorskip("libsonata")
    circuit = libsonata.CircuitConfig.from_file(str(folder / "circuit_config.json"))
    assert circuit.node_populations == {"in", "exc", "inh", "noise"}
    assert circuit.edge_populations == {"in->exc", "in->inh", "exc->inh", "inh->exc", "noise->exc"}
    exc = circuit.node_population("exc")
    every = libsonata.Selection([(0, 60)])
    assert exc.size == 60 and exc.dynamics_attribute_names == {"V_m", "V_th"}
    threshold = exc.get_dynamics_attribute("V_th", every)
    assert np.std(threshold) > 0.5 and abs(np.mean(threshold) + 55.0) < 0.5
    sim = snn.Simulation(network(), dt=DT)
    for name in ("inh->exc", "exc->inh"):
        edges, (sources, targets, weights, delays) = circuit.edge_population(name), sim.connections(name)
        order = np.lexsort((sources, targets))
        all_ = libsonata.Selection([(0, edges.size)])
        assert edges.source_nodes(all_).tolist() == sources[order].tolist()
        assert edges.target_nodes(all_).tolist() == targets[order].tolist()
        assert np.allclose(edges.get_attribute("syn_weight", all_), weights[order])
        assert np.allclose(edges.get_attribute("delay", all_), delays[order])
        for node in range(15):
            side = "efferent" if name == "inh->exc" else "afferent"
            found = getattr(edges, f"{side}_edges")([node]).flatten()
            ids = (edges.source_nodes if side == "efferent" else edges.target_nodes)(all_)
            assert found.tolist() == np.flatnonzero(ids == node).tolist()
    spikes = libsonata.SpikeReader(str(folder / "inputs" / "in_spikes.h5"))["in"].get()
    assert 2000 < len(spikes) < 5000 and spikes[0][1] > 0.0


def test_types_hold_nests_names_and_values(folder):
    with open(folder / "network" / "inh_node_types.csv", encoding="utf-8") as file:
        (row,) = csv.DictReader(file, delimiter=" ")
    assert row["model_template"] == "nest:iaf_psc_alpha" and row["model_type"] == "point_neuron"
    values = json.loads((folder / "components" / "point_neuron_models" / row["dynamics_params"]).read_text())
    assert values == {"tau_m": 10.0, "C_m": 250.0, "E_L": -70.0, "V_th": -55.0, "V_reset": -70.0, "t_ref": 2.0,
                      "tau_syn_ex": 2.0, "tau_syn_in": 2.0, "I_e": 50.0, "V_m": -70.0}  # fmt: skip
    with open(folder / "network" / "exc_node_types.csv", encoding="utf-8") as file:
        assert len({r["node_type_id"] for r in csv.DictReader(file, delimiter=" ")}) == 60
    run = json.loads((folder / "simulation_config.json").read_text())["run"]
    assert (run["dt"], run["tstop"]) == (DT, DURATION)


def one(model=None, source=None, init=None, **options):
    net = snn.Network()
    src = net.population("in", 2, source or snn.SpikeArray([1.0], [0]))
    net.connect(src, net.population("p", 2, model or snn.LIFExp(), init=init), snn.all_to_all(), **options)
    return net


def direct(source, **options):
    net = one()
    net.input("i", "p", source, **options)
    return net


REFUSED = {
    "model": (one(snn.CubaLIF()), "Population 'p'.model: must be one of LIFDelta, .*; got CubaLIF"),
    "plastic": (one(plasticity=plasticity.STDPPair()), "Projection 'in->p'.plasticity: must be None"),
    "short term": (one(short_term=plasticity.TsodyksMarkram()), "Projection 'in->p'.short_term: must be None"),
    "current": (direct(snn.StepCurrent([1.0])), "Input 'i': must be SpikeArray or Poisson .* parameter i_e"),
    "state": (one(init={"i_ex": 3.0}), "Population 'p'.init: 'i_ex' must start at 0"),
    "first step": (
        direct(snn.SpikeArray([0.1], [0]), weight=1.0),
        "Input 'i'.times: must be later than the first step",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_counterpart_is_named(case, tmp_path):
    net, text = REFUSED[case]
    with pytest.raises(ExportError, match=text):
        export_sonata(net, tmp_path / "net", DT, 10.0)


def test_a_folder_that_is_not_empty_and_a_name_that_is_none(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(ExportError, match="folder: must be new or empty"):
        export_sonata(one(), tmp_path, DT, 10.0)
    net = snn.Network()
    net.population("exc l4", 3, snn.LIFExp())
    with pytest.raises(ExportError, match="Population 'exc l4': must have no space in its name"):
        export_sonata(net, tmp_path / "y", DT, 10.0)  # bmtk runs it and writes no spikes
    net = one()
    net.connect("in", "p", snn.all_to_all(), name="a/b")
    with pytest.raises(ModelError, match="must not be empty, hold '/'"):
        export_sonata(net, tmp_path / "y", DT, 10.0)


def test_the_documentations_example_runs(tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", text, re.S).group(1), {})
    assert (tmp_path / "net.sonata" / "circuit_config.json").exists() and (
        tmp_path / "net.pynn" / "network.h5"
    ).exists()
