"""Plasticity rules, one a file."""

from plasticity.base import PlasticityRule, ShortTerm, define
from plasticity.stdp_pair import STDPPair

__all__ = ["PlasticityRule", "STDPPair", "ShortTerm", "define"]
