"""Reservoir computing: spiking and rate reservoirs, readouts, measures and tasks."""

from reservoir import measures, tasks
from reservoir.base import Reservoir
from reservoir.dale import DaleNetwork
from reservoir.esn import EchoStateNetwork, spectral_radius
from reservoir.force import FORCE
from reservoir.meet import MEET
from reservoir.readouts import NLMS, RLS, Readout, Ridge, Softmax
from reservoir.self_tuning import SelfTuningReservoir
from reservoir.spiking import SpikingReservoir, filtered, random_network
from reservoir.what_when import Prediction, WhatWhen

__all__ = [
    "FORCE", "MEET", "DaleNetwork", "EchoStateNetwork", "NLMS", "Prediction", "RLS", "Readout", "Reservoir", "Ridge",
    "SelfTuningReservoir", "Softmax", "SpikingReservoir", "WhatWhen", "filtered", "measures", "random_network",
    "spectral_radius", "tasks",
]  # fmt: skip
