"""Plasticity rules, one a file."""

from plasticity.base import PlasticityRule, ShortTerm, define
from plasticity.bcm import BCM
from plasticity.covariance import Covariance
from plasticity.oja import Oja
from plasticity.stdp_nearest_symmetric import STDPNearestSymmetric
from plasticity.stdp_pair import STDPPair
from plasticity.stdp_power_law import STDPPowerLaw
from plasticity.stdp_triplet import STDPTriplet, STDPTripletNearest
from plasticity.vogels_sprekeler import VogelsSprekeler

__all__ = [
    "BCM",
    "Covariance",
    "Oja",
    "PlasticityRule",
    "STDPNearestSymmetric",
    "STDPPair",
    "STDPPowerLaw",
    "STDPTriplet",
    "STDPTripletNearest",
    "ShortTerm",
    "VogelsSprekeler",
    "define",
]
