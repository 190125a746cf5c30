"""Plasticity rules, one a file."""

from plasticity.base import PlasticityRule, define
from plasticity.stdp_pair import STDPPair

__all__ = ["PlasticityRule", "STDPPair", "define"]
