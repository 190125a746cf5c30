"""Reservoir computing: spiking and rate reservoirs, readouts, measures and tasks."""

from reservoir import datasets, encoders, graphs, measures, motion, tasks, tuning
from reservoir.base import Reservoir
from reservoir.column import maass_column
from reservoir.compose import Deep, Parallel
from reservoir.dale import DaleNetwork
from reservoir.delay_layer import DelayLayer
from reservoir.esn import EchoStateNetwork, spectral_radius
from reservoir.files import load, save
from reservoir.force import FORCE
from reservoir.meet import MEET
from reservoir.readouts import NLMS, RLS, Readout, Ridge, Softmax
from reservoir.search import Search, Trial, search
from reservoir.self_tuning import SelfTuningReservoir
from reservoir.spiking import SpikingReservoir, filtered, random_network
from reservoir.what_when import Prediction, WhatWhen

__all__ = [
    "FORCE", "MEET", "DaleNetwork", "Deep", "DelayLayer", "EchoStateNetwork", "NLMS", "Parallel", "Prediction", "RLS",
    "Readout", "Reservoir", "Ridge", "Search", "SelfTuningReservoir", "Softmax", "SpikingReservoir", "Trial",
    "WhatWhen", "datasets", "encoders", "filtered", "graphs", "load", "maass_column", "measures", "motion",
    "random_network", "save", "search", "spectral_radius", "tasks", "tuning",
]  # fmt: skip
