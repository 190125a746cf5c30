"""Ways to neuromorphic hardware: quantisation, constraints of targets, and exports."""

from neuromorphic.fixed_point import IntegerLIF, IntegerNetwork, IntegerProjection, IntegerResult, IntegerSource
from neuromorphic.lava import LavaRun, export_lava, run_lava
from neuromorphic.quantization import Quantized, quantize

__all__ = [
    "IntegerLIF",
    "IntegerNetwork",
    "IntegerProjection",
    "IntegerResult",
    "IntegerSource",
    "LavaRun",
    "Quantized",
    "export_lava",
    "quantize",
    "run_lava",
]
