# mypy: ignore-errors
"""Run the network in a folder in NEST 3, and write what was recorded. A program of its own; imports nothing of ours.

    [mpiexec -n N] python worker.py FOLDER

FOLDER holds network.json and arrays.npz; each process writes result.<rank>.npz. The last line printed is a JSON object.
"""

import json
import sys
from pathlib import Path

import numpy as np


def main(folder):
    """Build, run, write."""
    import nest

    graph = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    with np.load(folder / "arrays.npz", allow_pickle=False) as file:
        arrays = dict(file)
    nest.ResetKernel()
    nest.set(resolution=graph["dt"], local_num_threads=graph["threads"], rng_seed=graph["seed"])
    nodes = {}
    for entry in graph["nodes"]:
        made = nodes[entry["name"]] = nest.Create(entry["model"], entry["n"])
        if entry["each"]:  # lists of different lengths for every node
            parts = {k: np.split(arrays[key], arrays[f"{key}:at"]) for k, key in entry["each"].items()}
            made.set([{k: part[i] for k, part in parts.items()} for i in range(entry["n"])])
        values = {k: arrays[v].tolist() if isinstance(v, str) else v for k, v in entry["params"].items()}
        if values:
            made.set(values)
    for entry in graph["connections"]:
        pre, post = nodes[entry["source"]], nodes[entry["target"]]
        if "sources" not in entry:
            nest.Connect(pre, post, entry["rule"], {"weight": entry["weight"], "delay": entry["delay"]})
            continue
        sources, targets = arrays[entry["sources"]], arrays[entry["targets"]]
        if sources.size:
            values = {k: arrays[entry[k]] if isinstance(entry[k], str) else np.full(sources.size, entry[k])
                      for k in ("weight", "delay")}  # fmt: skip
            first_pre, first_post = pre[0].global_id, post[0].global_id  # ids of one Create follow each other
            nest.Connect(sources + first_pre, targets + first_post, "one_to_one",
                         {"synapse_model": "static_synapse", **values})  # fmt: skip
    recorders = []
    for entry in graph["recorders"]:
        watched = nodes[entry["node"]]
        if entry["variables"]:
            device = nest.Create(
                "multimeter", params={"record_from": entry["variables"], "interval": entry["interval"]}
            )
            nest.Connect(device, watched[arrays[entry["ids"]].tolist()])
        else:
            device = nest.Create("spike_recorder")
            nest.Connect(watched, device)
        recorders.append((entry, device, watched[0].global_id))
    # a sample at the end of the run is taken in the step after it, and all come in slices of the smallest delay
    dt, steps = graph["dt"], round(graph["duration"] / graph["dt"]) + 1
    least = max(1, round(nest.min_delay / dt))
    nest.Simulate(round(-(-steps // least) * least * dt, 9))
    result = {}
    for number, (entry, device, first) in enumerate(recorders):
        events = device.events
        result[f"{number}:times"] = np.asarray(events["times"], float)
        result[f"{number}:ids"] = np.asarray(events["senders"], np.int64) - first
        for name in entry["variables"]:
            result[f"{number}:{name}"] = np.asarray(events[name], float)
    np.savez(folder / f"result.{nest.Rank()}.npz", **result)
    if nest.Rank() == 0:
        print(json.dumps({"nest": nest.__version__, "processes": nest.NumProcesses()}), flush=True)


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file: its neighbours are not NEST's modules
    main(Path(sys.argv[1]))
