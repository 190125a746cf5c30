"""Reservoir computing: spiking and rate reservoirs, readouts, measures and tasks."""

from reservoir import measures, tasks
from reservoir.base import Reservoir
from reservoir.dale import DaleNetwork
from reservoir.esn import EchoStateNetwork, spectral_radius
from reservoir.force import FORCE
from reservoir.readouts import NLMS, RLS, Readout, Ridge, Softmax
from reservoir.self_tuning import SelfTuningReservoir
from reservoir.spiking import SpikingReservoir, filtered, random_network

__all__ = [
    "FORCE", "DaleNetwork", "EchoStateNetwork", "NLMS", "RLS", "Readout", "Reservoir", "Ridge", "Softmax",
    "SelfTuningReservoir", "SpikingReservoir", "filtered", "measures", "random_network", "spectral_radius", "tasks",
]  # fmt: skip
