"""Reservoir computing: spiking and rate reservoirs, readouts, measures and tasks."""

from reservoir import measures, motion, tasks
from reservoir.base import Reservoir
from reservoir.delay_layer import DelayLayer
from reservoir.esn import EchoStateNetwork, spectral_radius
from reservoir.force import FORCE
from reservoir.readouts import NLMS, RLS, Readout, Ridge, Softmax
from reservoir.spiking import SpikingReservoir, filtered, random_network

__all__ = [
    "DelayLayer", "EchoStateNetwork", "FORCE", "NLMS", "RLS", "Readout", "Reservoir", "Ridge", "Softmax",
    "SpikingReservoir", "filtered", "measures", "motion", "random_network", "spectral_radius", "tasks",
]  # fmt: skip
