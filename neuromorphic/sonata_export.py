"""Networks as SONATA folders: nodes, edges, types, inputs and configuration, for whatever reads SONATA.

    circuit_config.json, simulation_config.json        where the parts lie; dt, duration, inputs
    network/<population>_nodes.h5, _node_types.csv     point neurons of NEST's models, or virtual sources of spikes
    network/<projection>_edges.h5, _edge_types.csv     static synapses, syn_weight and delay, with index tables
    components/point_neuron_models/<population>.k.json parameters and initial values, NEST's names; a type for each set
    components/synaptic_models/static.json             {}
    inputs/<population>_spikes.h5                      spikes of the virtual sources

Units: ms, mV, pA, nS, pF; ``syn_weight`` in pA, nS or, for iaf_psc_delta, mV; a negative weight is inhibitory. Delays
are multiples of dt. SONATA has no plasticity and no generators of random spikes, so the spikes themselves are written.
Paths are relative to the folder: run bmtk there.

Sources: Dai et al. 2020, doi:10.1371/journal.pcbi.1007696, and the SONATA developers' guide.
"""

import csv
import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from kernels.errors import ExportError
from neuromorphic.realised import Cells, Realised, Sources, Synapses, realise
from snn.io.sonata_file import check_name, write_root
from snn.nest.models import MODELS, PARAMETERS
from snn.network import Network

TAKEN = {
    name: MODELS[name]
    for name in ("LIFDelta", "LIFExp", "LIFAlpha", "LIFCondExp", "LIFCondAlpha", "AdExCondExp", "AdExPscExp")
}


def export_sonata(net: Network, folder: str | os.PathLike[str], dt: float, duration: float) -> Path:
    """Write ``net`` into a new folder; return its path.

    Everything drawn is written as drawn: connectivity, weights, delays, parameters, initial values, and the spikes that
    Poisson populations send here.

    Parameters
    ----------
    net : of the models LIFDelta, LIFExp, LIFAlpha, LIFCondExp, LIFCondAlpha, AdExCondExp, AdExPscExp; static synapses
    folder : new or empty
    dt : step, [ms]
    duration : of the simulation configured and of the spikes of its sources, [ms]

    Raises
    ------
    ExportError
        With everything that SONATA cannot hold; or where the folder cannot be written.

    Examples
    --------
    >>> import snn, tempfile
    >>> from neuromorphic import export_sonata
    >>> net = snn.Network(seed=1)
    >>> src, out = net.population("in", 5, snn.Poisson(rate=20.0)), net.population("out", 3, snn.LIFExp())
    >>> _ = net.connect(src, out, snn.all_to_all(), weight=100.0, delay=1.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = export_sonata(net, folder, dt=0.1, duration=100.0)
    ...     sorted(p.name for p in (path / "network").glob("*.h5"))
    ['in->out_edges.h5', 'in_nodes.h5', 'out_nodes.h5']
    """
    drawn = realise("export_sonata", net, dt, duration, TAKEN)
    for name in [*drawn.cells, *drawn.sources, *drawn.synapses]:
        check_name(name)
    for name in drawn.cells:
        if " " in name:
            raise ExportError(
                f"export_sonata: Population {name!r}: must have no space in its name, or bmtk records no spikes of "
                "it. Rename it."
            )
    path = Path(folder)
    parts = ("network", "components/point_neuron_models", "components/synaptic_models", "inputs")
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise ExportError(f"export_sonata.folder: must be new or empty; {path} is not. Name another.")
        for part in parts:
            (path / part).mkdir(parents=True)
        (path / "components" / "synaptic_models" / "static.json").write_text("{}\n", encoding="utf-8")
        number = 0  # types have numbers of their own
        for name, cells in drawn.cells.items():
            _nodes(path, name, number, cells)
            number += cells.n
        for name, sources in drawn.sources.items():
            _virtual(path, name, number, sources)
            number += 1
        sizes = {name: p.n for name, p in (drawn.cells | drawn.sources).items()}
        for k, (name, synapses) in enumerate(drawn.synapses.items()):
            _edges(path, name, k, synapses, sizes)
        _configure(path, net, drawn, dt, duration)
    except OSError as error:
        raise ExportError(f"export_sonata.folder: {path} cannot be written ({error}).") from error
    return path


def _table(path: Path, columns: tuple[str, ...], *rows: tuple[Any, ...]) -> None:
    """Types files are CSV with spaces."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=" ").writerows([columns, *rows])


def _file(path: Path, kind: str, name: str, types: np.ndarray) -> Any:
    """A file with one population of nodes or edges of such types."""
    n = len(types)
    file = h5py.File(path, "w", libver="earliest")
    write_root(file)
    group = file.create_group(f"{kind}s/{name}")
    group[f"{kind}_type_id"] = types.astype(np.uint64)
    group[f"{kind}_group_id"] = np.zeros(n, np.uint32)
    group[f"{kind}_group_index"] = np.arange(n, dtype=np.uint64)
    if kind == "node":
        group["node_id"] = np.arange(n, dtype=np.uint64)
    group.create_group("0")
    return file


def _nodes(path: Path, name: str, first: int, cells: Cells) -> None:
    """Neurons with the same values are of one type."""
    model = TAKEN[cells.model]
    names = PARAMETERS | model.settable
    values = {names[k]: x for k, x in (cells.params | cells.start).items()}
    differ = [k for k, x in values.items() if np.ndim(x)]
    table = np.stack([np.asarray(values[k], float) for k in differ], axis=1) if differ else np.zeros((cells.n, 1))
    kinds, kind = np.unique(table, axis=0, return_inverse=True)
    with _file(path / "network" / f"{name}_nodes.h5", "node", name, first + kind.ravel()) as file:
        for k in differ:  # as SONATA has it, beside the types: bmtk 1.2 reads the types alone
            file[f"nodes/{name}/0/dynamics_params/{k}"] = np.asarray(values[k], float)
    components = path / "components" / "point_neuron_models"
    rows = []
    for number, row in enumerate(kinds, first):
        own = values | dict(zip(differ, row.tolist(), strict=False))
        (components / f"{name}.{number}.json").write_text(json.dumps(own, indent=1), encoding="utf-8")
        rows.append((number, name, "point_neuron", f"nest:{model.name}", f"{name}.{number}.json"))
    columns = ("node_type_id", "population", "model_type", "model_template", "dynamics_params")
    _table(path / "network" / f"{name}_node_types.csv", columns, *rows)


def _virtual(path: Path, name: str, number: int, sources: Sources) -> None:
    _file(path / "network" / f"{name}_nodes.h5", "node", name, np.full(sources.n, number)).close()
    columns = ("node_type_id", "population", "model_type")
    _table(path / "network" / f"{name}_node_types.csv", columns, (number, name, "virtual"))
    with h5py.File(path / "inputs" / f"{name}_spikes.h5", "w", libver="earliest") as file:
        write_root(file)
        group = file.create_group(f"spikes/{name}")
        kinds = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
        group.attrs.create("sorting", 2, dtype=kinds)
        group["timestamps"] = np.asarray(sources.times, float)
        group["timestamps"].attrs["units"] = "ms"
        group["node_ids"] = sources.ids.astype(np.uint64)


def _edges(path: Path, name: str, number: int, s: Synapses, sizes: dict[str, int]) -> None:
    order = np.lexsort((s.sources, s.targets))
    sources, targets = s.sources[order], s.targets[order]
    with _file(path / "network" / f"{name}_edges.h5", "edge", name, np.full(len(order), number)) as file:
        group = file[f"edges/{name}"]
        for side, ids, owner in (("source", sources, s.source), ("target", targets, s.target)):
            group[f"{side}_node_id"] = ids.astype(np.uint64)
            group[f"{side}_node_id"].attrs["node_population"] = owner
        group["0/syn_weight"], group["0/delay"] = s.weights[order], s.delays[order]
        for direction, ids, n in (("source_to_target", sources, sizes[s.source]),
                                  ("target_to_source", targets, sizes[s.target])):  # fmt: skip
            of_node, of_edges = _index(ids, n)
            group[f"indices/{direction}/node_id_to_ranges"] = of_node
            group[f"indices/{direction}/node_id_to_range"] = group[
                f"indices/{direction}/node_id_to_ranges"
            ]  # bmtk's name
            group[f"indices/{direction}/range_to_edge_id"] = of_edges
    columns = ("edge_type_id", "source_query", "target_query", "model_template", "dynamics_params")
    row = (number, "*", "*", "static_synapse", "static.json")
    _table(path / "network" / f"{name}_edge_types.csv", columns, row)


def _index(ids: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Ranges of edges of each node: (first and last + 1 range of each node, first and last + 1 edge of each range)."""
    begins = np.flatnonzero(np.diff(ids, prepend=-1) != 0)
    ends = np.append(begins[1:], len(ids))
    owner = ids[begins]
    order = np.argsort(owner, kind="stable")
    first = np.searchsorted(owner[order], np.arange(n + 1))
    of_node = np.stack((first[:-1], first[1:]), axis=1).astype(np.uint64)
    return of_node, np.stack((begins[order], ends[order]), axis=1).astype(np.uint64)


def _configure(path: Path, net: Network, drawn: Realised, dt: float, duration: float) -> None:
    def lists(kind: str, names: dict[str, str]) -> list[dict[str, Any]]:
        return [
            {
                f"{kind}s_file": f"$NETWORK_DIR/{name}_{kind}s.h5",
                f"{kind}_types_file": f"$NETWORK_DIR/{name}_{kind}_types.csv",
                "populations": {name: {"type": of}},
            }
            for name, of in names.items()
        ]

    nodes = dict.fromkeys(drawn.cells, "point_neuron") | dict.fromkeys(drawn.sources, "virtual")
    base = {"$BASE_DIR": "."}
    circuit = {
        "manifest": base | {"$NETWORK_DIR": "$BASE_DIR/network", "$COMPONENTS_DIR": "$BASE_DIR/components"},

        "components": {
            "point_neuron_models_dir": "$COMPONENTS_DIR/point_neuron_models",
            "synaptic_models_dir": "$COMPONENTS_DIR/synaptic_models",
        },
        "networks": {
            "nodes": lists("node", nodes), "edges": lists("edge", dict.fromkeys(drawn.synapses, "chemical")),
        },
    }  # fmt: skip
    inputs = {
        name: {
            "input_type": "spikes", "module": "sonata", "input_file": f"$BASE_DIR/inputs/{name}_spikes.h5",
            "node_set": {"population": name},
        }
        for name in drawn.sources
    }  # fmt: skip
    simulation = {
        "manifest": base, "network": "$BASE_DIR/circuit_config.json",
        "run": {"tstart": 0.0, "tstop": duration, "dt": dt, "random_seed": net.seed}, "inputs": inputs,
        "output": {"output_dir": "$BASE_DIR/output", "spikes_file": "spikes.h5", "spikes_sort_order": "by_time"},
    }  # fmt: skip
    for name, text in (("circuit", circuit), ("simulation", simulation)):
        (path / f"{name}_config.json").write_text(json.dumps(text, indent=1), encoding="utf-8")
