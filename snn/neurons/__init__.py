"""Neuron models, one a file."""

from snn.neurons.accumulator import Accumulator
from snn.neurons.adex_clopath import AdExClopath
from snn.neurons.adex_cond_exp import AdExCondExp
from snn.neurons.adex_psc_exp import AdExPscExp
from snn.neurons.alif import ALIF
from snn.neurons.alif_cond_exp import ALIFCondExp
from snn.neurons.alpha import Alpha
from snn.neurons.cuba_lif import CubaLIF
from snn.neurons.gif import GIF
from snn.neurons.hodgkin_huxley import HodgkinHuxley
from snn.neurons.integrate_and_fire import IF
from snn.neurons.izhikevich import Izhikevich
from snn.neurons.izhikevich_2007 import Izhikevich2007
from snn.neurons.leaky import Leaky
from snn.neurons.lif_alpha import LIFAlpha
from snn.neurons.lif_cond_alpha import LIFCondAlpha
from snn.neurons.lif_cond_exp import LIFCondExp
from snn.neurons.lif_cond_nmda import LIFCondNMDA
from snn.neurons.lif_delta import LIFDelta
from snn.neurons.lif_exp import LIFExp
from snn.neurons.nir_cuba_lif import NIRCubaLIF
from snn.neurons.quadratic_if import QIF
from snn.neurons.resonate_and_fire import ResonateAndFire
from snn.neurons.signed_if import SignedIF
from snn.neurons.soft_reset_if import SoftResetIF
from snn.neurons.synaptic import Synaptic

__all__ = [
    "ALIF",
    "GIF",
    "IF",
    "QIF",
    "ALIFCondExp",
    "Accumulator",
    "AdExClopath",
    "AdExCondExp",
    "AdExPscExp",
    "Alpha",
    "CubaLIF",
    "HodgkinHuxley",
    "Izhikevich",
    "Izhikevich2007",
    "LIFAlpha",
    "LIFCondAlpha",
    "LIFCondExp",
    "LIFCondNMDA",
    "LIFDelta",
    "LIFExp",
    "Leaky",
    "NIRCubaLIF",
    "ResonateAndFire",
    "SignedIF",
    "SoftResetIF",
    "Synaptic",
]
