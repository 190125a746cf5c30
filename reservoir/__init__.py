"""Reservoir computing: echo-state networks, readouts, measures and tasks."""

from reservoir import measures, tasks
from reservoir.base import Reservoir
from reservoir.esn import EchoStateNetwork, spectral_radius
from reservoir.readouts import NLMS, RLS, Readout, Ridge

__all__ = [
    "EchoStateNetwork", "NLMS", "RLS", "Readout", "Reservoir", "Ridge", "measures", "spectral_radius", "tasks",
]  # fmt: skip
