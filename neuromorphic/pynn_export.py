"""Networks for PyNN: a script that builds and runs them on NEST, Brian 2, NEURON or what else it knows, with arrays.

Written are network.h5, in PyNN's units (ms, mV, nF, nA, uS), and run_pynn.py, which needs nothing of this package.

========================== ================= ======================================================================
model                      in PyNN           on NEST the spikes are
========================== ================= ======================================================================
LIFDelta, LIFExp, LIFAlpha IF_curr_delta,    the same: both integrate exactly
                           IF_curr_exp,
                           IF_curr_alpha
LIFCondExp, LIFCondAlpha   IF_cond_exp,      nearly: NEST integrates by adaptive Runge-Kutta steps, to 1e-3 mV a step
                           IF_cond_alpha
AdExCondExp                EIF_cond_exp_     nearly: as before, and NEST resets within the step
                           isfa_ista
========================== ================= ======================================================================

Source: Davison et al. 2009, doi:10.3389/neuro.11.011.2008; PyNN 0.13.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np

from kernels.errors import ExportError
from neuromorphic.realised import Cells, realise
from snn.network import Network

CURRENT = {
    "cm": lambda p: p.c_m * 1e-3, "tau_m": lambda p: p.tau_m, "v_rest": lambda p: p.e_l, "v_thresh": lambda p: p.v_th,
    "v_reset": lambda p: p.v_reset, "tau_refrac": lambda p: p.t_ref, "i_offset": lambda p: p.i_e * 1e-3,
}  # fmt: skip
SYNAPTIC = CURRENT | {"tau_syn_E": lambda p: p.tau_syn_ex, "tau_syn_I": lambda p: p.tau_syn_in}
CONDUCTANCE = SYNAPTIC | {
    "tau_m": lambda p: p.c_m / p.g_l, "e_rev_E": lambda p: p.e_ex, "e_rev_I": lambda p: p.e_in,
}  # fmt: skip
ADAPTIVE = CONDUCTANCE | {
    "a": lambda p: p.a, "b": lambda p: p.b * 1e-3, "tau_w": lambda p: p.tau_w, "delta_T": lambda p: p.delta_t,
    "v_spike": lambda p: p.v_peak,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Callable[[Any], Any]]]] = {
    "LIFDelta": ("IF_curr_delta", CURRENT), "LIFExp": ("IF_curr_exp", SYNAPTIC),
    "LIFAlpha": ("IF_curr_alpha", SYNAPTIC), "LIFCondExp": ("IF_cond_exp", CONDUCTANCE),
    "LIFCondAlpha": ("IF_cond_alpha", CONDUCTANCE), "AdExCondExp": ("EIF_cond_exp_isfa_ista", ADAPTIVE),
}  # fmt: skip


def export_pynn(net: Network, folder: str | os.PathLike[str], dt: float, duration: float) -> Path:
    """Write ``net`` into a new folder; return its path. ``python run_pynn.py nest`` there runs it.

    Everything drawn is written as drawn, spikes of Poisson populations included.

    Parameters
    ----------
    net : of the models in the module's table; static synapses
    folder : new or empty
    dt : step, [ms]
    duration : of the run and of its sources' spikes, [ms]

    Raises
    ------
    ExportError
        With everything that PyNN cannot take; or where the folder cannot be written.

    Examples
    --------
    >>> import snn, tempfile
    >>> from neuromorphic import export_pynn
    >>> net = snn.Network(seed=1)
    >>> src, out = net.population("in", 5, snn.Poisson(rate=20.0)), net.population("out", 3, snn.LIFExp())
    >>> _ = net.connect(src, out, snn.all_to_all(), weight=100.0, delay=1.5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     sorted(p.name for p in export_pynn(net, folder, dt=0.1, duration=100.0).iterdir())
    ['network.h5', 'run_pynn.py']
    """
    drawn = realise("export_pynn", net, dt, duration, MODELS)
    early = [name for name, s in drawn.sources.items() if len(s.times) and s.times.min() < 1.5 * dt]
    if early:
        raise ExportError(
            f"export_pynn: sources must not spike in the first step, {dt:g} ms, which PyNN needs to hand them over; "
            f"got {', '.join(early)}. Move their spikes by a step, or give Poisson start={2 * dt:g}."
        )
    path = Path(folder)
    delays = np.concatenate([s.delays for s in drawn.synapses.values()] or [np.array([dt])])
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise ExportError(f"export_pynn.folder: must be new or empty; {path} is not. Name another.")
        shutil.copyfile(Path(__file__).with_name("pynn_worker.py"), path / "run_pynn.py")
        with h5py.File(path / "network.h5", "w", libver="earliest") as file:
            file.attrs["dt"], file.attrs["duration"] = dt, duration
            file.attrs["min_delay"], file.attrs["max_delay"] = dt, max(float(delays.max(initial=dt)), dt)
            for group in ("cells", "sources", "synapses"):
                file.create_group(group)
            for name, cells in drawn.cells.items():
                _cells(file.create_group(f"cells/{name}"), cells)
            for name, sources in drawn.sources.items():
                group = file.create_group(f"sources/{name}")
                group.attrs["n"], group["times"], group["ids"] = sources.n, sources.times, sources.ids
            for name, s in drawn.synapses.items():
                model, group = drawn.cells[s.target].model, file.create_group(f"synapses/{name}")
                group.attrs["source"], group.attrs["target"] = s.source, s.target
                group.attrs["conductances"] = int(MODELS[model][1] is not CURRENT and "e_rev_E" in MODELS[model][1])
                group["sources"], group["targets"], group["delays"] = s.sources, s.targets, s.delays
                group["weights"] = s.weights if model == "LIFDelta" else s.weights * 1e-3  # mV; nA or uS
    except OSError as error:
        raise ExportError(f"export_pynn.folder: {path} cannot be written ({error}).") from error
    return path


def _cells(group: Any, cells: Cells) -> None:
    kind, translate = MODELS[cells.model]
    group.attrs["n"], group.attrs["type"] = cells.n, kind
    values = SimpleNamespace(**cells.params)
    for name, value in translate.items():
        group[f"parameters/{name}"] = value(values)
    scale = {"v": 1.0, "w": 1e-3}  # mV, nA
    for name, start in cells.start.items():
        group[f"initial/{name}"] = start * scale[name]
