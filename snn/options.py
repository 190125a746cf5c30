"""What :class:`snn.Simulation` may be asked for, checked before any work."""

import math
from typing import Any

import numpy as np

from kernels.errors import BackendUnavailable, ModelError
from snn.network import Network

ENGINES = ("clock", "event")
BACKENDS = ("cpu", "cuda", "reference")
LEAST_DT = 1e-9  # ms: a smaller step cannot be told from none beside a delay
MOST_THREADS = 1024


def check_options(
    net: Any, dt: Any, engine: Any, backend: Any, threads: Any, precision: Any, device: Any, deterministic: Any
) -> None:
    """Refuse what :class:`snn.Simulation` does not take, and what does not go together."""
    if not isinstance(net, Network):
        raise ModelError(f"Simulation.net: must be a snn.Network; got {net!r}.")
    if np.ndim(dt) or not LEAST_DT <= dt < math.inf:
        raise ModelError(f"Simulation.dt: must be a number >= {LEAST_DT:g} ms; got {dt!r}.")
    if engine not in ENGINES:
        known = " or ".join(f'"{e}"' for e in ENGINES)
        raise BackendUnavailable(f"Simulation.engine: must be {known}; got {engine!r}.")
    if backend not in BACKENDS:
        known = " or ".join(f'"{b}"' for b in BACKENDS)
        raise BackendUnavailable(f"Simulation.backend: must be {known}; got {backend!r}.")
    if precision not in ("float64", "float32"):
        raise ModelError(f'Simulation.precision: must be "float64" or "float32"; got {precision!r}.')
    if backend == "reference" and precision != "float64":
        raise BackendUnavailable(f'backend="reference": computes in float64; got precision={precision!r}.')
    if engine == "event" and precision != "float64":
        raise BackendUnavailable(f'engine="event": computes in float64; got precision={precision!r}.')
    if engine == "event" and backend == "cuda":
        raise BackendUnavailable('backend="cuda": runs engine="clock" only; got engine="event". Use backend="cpu".')
    for name, value, other in (("device", device, 0), ("deterministic", deterministic, False)):
        if isinstance(value, bool) != isinstance(other, bool) or not isinstance(value, (bool, int)) or value < 0:
            kind = "True or False" if name == "deterministic" else "an integer >= 0"
            raise ModelError(f"Simulation.{name}: must be {kind}; got {value!r}.")
        if backend != "cuda" and value != other:
            raise ModelError(f'Simulation.{name}: is for backend="cuda"; got {value!r} with backend="{backend}".')
    if threads is None:
        return
    if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)) or threads < 1:
        raise ModelError(f"Simulation.threads: must be an integer >= 1, or None; got {threads!r}.")
    if threads > MOST_THREADS:
        raise ModelError(f"Simulation.threads: must be at most {MOST_THREADS:,}; got {threads:,}.")
