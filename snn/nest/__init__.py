"""NEST as the engine of a network, where it is installed. Nothing here imports NEST: a program of its own runs it."""

from snn.nest.run import run_nest

__all__ = ["run_nest"]
