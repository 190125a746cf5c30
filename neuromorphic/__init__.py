"""Ways to neuromorphic hardware: quantisation, constraints of targets, and exports."""

from neuromorphic.fixed_point import IntegerLIF, IntegerNetwork, IntegerProjection, IntegerResult, IntegerSource
from neuromorphic.lava import LavaRun, export_lava, run_lava
from neuromorphic.nir_export import check_nir, latency, to_nir
from neuromorphic.nir_import import from_nir
from neuromorphic.quantization import Quantized, quantize

__all__ = [
    "IntegerLIF",
    "IntegerNetwork",
    "IntegerProjection",
    "IntegerResult",
    "IntegerSource",
    "LavaRun",
    "Quantized",
    "check_nir",
    "export_lava",
    "from_nir",
    "latency",
    "quantize",
    "run_lava",
    "to_nir",
]
