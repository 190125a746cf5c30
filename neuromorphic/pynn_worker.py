# /// script
# dependencies = ["pynn>=0.13", "h5py", "numpy"]
# ///
"""Run the network in this folder with PyNN; write its spikes, as SONATA has them, to spikes.h5.

    python run_pynn.py [nest|brian2|neuron|..] [--out spikes.h5]

Needs PyNN with that simulator, h5py and numpy; network.h5 beside this file holds everything, in PyNN's units: ms, mV,
nF, nA and uS. A spike of time t comes at the end of the step that holds it; over a delay d it acts at t + d.
"""

import argparse
import importlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

FOLDER = Path(__file__).resolve().parent


def build(sim: Any, file: Any) -> dict[str, Any]:
    """Set the simulator up and make the network; the populations of neurons by name."""
    # on NEST spikes would lie off the grid by default
    grid = {"timestep": file.attrs["dt"], "spike_precision": "on_grid"}
    sim.setup(**grid, min_delay=file.attrs["min_delay"], max_delay=file.attrs["max_delay"])
    # PyNN has NEST's generators keep exact times, which come a step later where rounding puts them behind the grid
    early = 0.5 * file.attrs["dt"] if sim.__name__ == "pyNN.nest" else 0.0
    populations, cells = {}, {}
    for name, group in file["cells"].items():
        values = {k: x[()] for k, x in group["parameters"].items()}
        cell = getattr(sim, group.attrs["type"])(**values)
        cells[name] = populations[name] = sim.Population(int(group.attrs["n"]), cell, label=name)
        cells[name].initialize(**{k: x[()] for k, x in group["initial"].items()})
        if early and group.attrs["type"] == "IF_curr_delta":  # PyNN 0.13 does not hand it on to NEST
            cells[name].node_collection.set(V_m=np.broadcast_to(group["initial/v"][()], len(cells[name])).tolist())
        cells[name].record("spikes")
    for name, group in file["sources"].items():
        n, ids, times = int(group.attrs["n"]), group["ids"][()], group["times"][()]
        order = np.argsort(ids, kind="stable")
        trains = np.split(times[order] - early, np.searchsorted(ids[order], np.arange(1, n)))
        populations[name] = sim.Population(n, sim.SpikeSourceArray(spike_times=trains), label=name)
    for name, group in file["synapses"].items():
        edges = np.stack([group[k][()] for k in ("sources", "targets", "weights", "delays")], axis=1)
        conductances = bool(group.attrs["conductances"])  # PyNN has their weights positive
        for receptor, mine in (("excitatory", edges[:, 2] >= 0), ("inhibitory", edges[:, 2] < 0)):
            if mine.any():
                rows = edges[mine]
                rows[:, 2] = np.abs(rows[:, 2]) if conductances else rows[:, 2]
                sim.Projection(
                    populations[group.attrs["source"]], populations[group.attrs["target"]],
                    sim.FromListConnector(rows, column_names=["weight", "delay"]), sim.StaticSynapse(),
                    receptor_type=receptor, label=f"{name} {receptor}",
                )  # fmt: skip
    return cells


def write(cells: dict[str, Any], path: Path) -> None:
    """Write spikes: /spikes/<population>/timestamps, node_ids."""
    with h5py.File(path, "w") as file:
        for name, cell in cells.items():
            trains = cell.get_data("spikes").segments[0].spiketrains
            times = [np.asarray(train.rescale("ms").magnitude, float) for train in trains]
            ids = [np.full(len(t), train.annotations["source_index"]) for t, train in zip(times, trains)]  # noqa: B905
            when, which = np.concatenate([*times, []]), np.concatenate([*ids, []]).astype(np.uint64)
            order = np.lexsort((which, when))
            group = file.create_group(f"spikes/{name}")
            kinds = h5py.enum_dtype({"none": 0, "by_id": 1, "by_time": 2}, basetype="u1")
            group.attrs.create("sorting", 2, dtype=kinds)
            group["timestamps"], group["node_ids"] = when[order], which[order]
            group["timestamps"].attrs["units"] = "ms"
            print(f"{name}: {len(when)} spikes")


def main() -> None:
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("simulator", nargs="?", default="nest", help="module of PyNN")
    parser.add_argument("--out", type=Path, default=FOLDER / "spikes.h5")
    options = parser.parse_args()
    sim = importlib.import_module(f"pyNN.{options.simulator}")
    with h5py.File(FOLDER / "network.h5", "r") as file:
        cells = build(sim, file)
        sim.run(float(file.attrs["duration"]))
    write(cells, options.out)
    sim.end()


if __name__ == "__main__":
    main()
