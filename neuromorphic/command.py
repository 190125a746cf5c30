"""What ``snn export`` does, target by target: writes files and returns what is to be printed."""

import json
from pathlib import Path

from kernels.errors import ExportError
from neuromorphic.costs import cost
from neuromorphic.lava import export_lava
from neuromorphic.nir_export import latency, to_nir
from neuromorphic.nir_import import nir_package
from neuromorphic.pynn_export import export_pynn
from neuromorphic.quantization import quantize
from neuromorphic.sonata_export import export_sonata
from snn.network import Network


def write_nir(net: Network, dt: float, check: int, out: Path, overwrite: bool) -> str:
    """Write a NIR file."""
    nir = nir_package()
    if out.is_dir():
        raise ExportError(f"{out}: must be a file for NIR; it is a folder. Name another.")
    if out.exists() and not overwrite:
        raise ExportError(f"{out}: exists already. Name another, or give --overwrite.")
    graph = to_nir(net, dt, check)
    out.parent.mkdir(parents=True, exist_ok=True)
    nir.write(out, graph)
    kinds = [type(node).__name__ for node in graph.nodes.values()]
    counts = ", ".join(f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
    behind = ", ".join(f"{name} {steps}" for name, steps in latency(net, dt).items())
    notes = "".join(f"{name}: {note}\n" for name, note in json.loads(graph.metadata["notes"]).items())
    return f"{counts}\nsteps by which populations run behind their nodes: {behind}\n{notes}written to {out}"


def write_lava(net: Network, dt: float, interval: int, steps: int, out: Path) -> str:
    """Quantise, and write a bundle for Lava."""
    quantized = quantize(net, dt, interval)
    export_lava(quantized.network, out, steps)
    return f"{quantized}\nwritten to {out}; run it: python {out / 'run_lava.py'}"


def write_sonata(net: Network, dt: float, duration: float, out: Path) -> str:
    """Write a SONATA folder."""
    export_sonata(net, out, dt, duration)
    return (
        f"dt {dt:g} ms, {duration:g} ms\nwritten to {out}; in that folder, bmtk's PointNet runs simulation_config.json"
    )


def write_pynn(net: Network, dt: float, duration: float, out: Path) -> str:
    """Write a folder for PyNN."""
    export_pynn(net, out, dt, duration)
    return f"dt {dt:g} ms, {duration:g} ms\nwritten to {out}; run it: python {out / 'run_pynn.py'} nest"


def describe(net: Network, dt: float, interval: int, steps: int, chip: str, chips: int) -> str:
    """Quantise, run, and say what it costs on a chip."""
    quantized = quantize(net, dt, interval)
    return f"{quantized}\n{cost(quantized.network, quantized.network.run(steps), steps, chip, chips)}"
