"""Plasticity rules, one a file."""

from plasticity.base import PlasticityRule, ShortTerm, define
from plasticity.bcm import BCM
from plasticity.bernoulli import Bernoulli
from plasticity.brader_senn_fusi import BraderSennFusi
from plasticity.clopath import Clopath
from plasticity.covariance import Covariance
from plasticity.dopamine_stdp import DopamineSTDP
from plasticity.e_prop import EProp
from plasticity.equations import from_equations
from plasticity.graupner_brunel import GraupnerBrunel
from plasticity.hebbian_rewiring import HebbianRewiring
from plasticity.jonke import Jonke
from plasticity.oja import Oja
from plasticity.quantal_stp import QuantalSTP
from plasticity.r_max import RMax
from plasticity.reward_stdp import RewardSTDP
from plasticity.saturating_nmda import SaturatingNMDA
from plasticity.static import Static
from plasticity.stdp_nearest_pre_centered import STDPNearestPreCentered
from plasticity.stdp_nearest_restricted import STDPNearestRestricted
from plasticity.stdp_nearest_symmetric import STDPNearestSymmetric
from plasticity.stdp_pair import STDPPair
from plasticity.stdp_power_law import STDPPowerLaw
from plasticity.stdp_target_trace import STDPTargetTrace
from plasticity.stdp_triplet import STDPTriplet, STDPTripletNearest
from plasticity.structural import SET, DeepR
from plasticity.tsodyks_markram import TsodyksMarkram
from plasticity.vogels_sprekeler import VogelsSprekeler, VogelsSprekelerRates

__all__ = [
    "BCM",
    "SET",
    "Bernoulli",
    "BraderSennFusi",
    "Clopath",
    "Covariance",
    "DeepR",
    "DopamineSTDP",
    "EProp",
    "GraupnerBrunel",
    "HebbianRewiring",
    "Jonke",
    "Oja",
    "PlasticityRule",
    "QuantalSTP",
    "RMax",
    "RewardSTDP",
    "STDPNearestPreCentered",
    "STDPNearestRestricted",
    "STDPNearestSymmetric",
    "STDPPair",
    "STDPPowerLaw",
    "STDPTargetTrace",
    "STDPTriplet",
    "STDPTripletNearest",
    "SaturatingNMDA",
    "ShortTerm",
    "Static",
    "TsodyksMarkram",
    "VogelsSprekeler",
    "VogelsSprekelerRates",
    "define",
    "from_equations",
]
