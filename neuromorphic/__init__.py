"""Ways to neuromorphic hardware: quantisation, constraints of targets, and exports."""

from neuromorphic.costs import Cost, cost
from neuromorphic.fixed_point import IntegerLIF, IntegerNetwork, IntegerProjection, IntegerResult, IntegerSource
from neuromorphic.fixed_point_neurons import IntegerGraded, IntegerRF, IntegerSigmaDelta
from neuromorphic.lava import LavaRun, export_classifier, export_lava, run_lava
from neuromorphic.learning import OnChipRule
from neuromorphic.nir_export import check_nir, latency, to_nir
from neuromorphic.nir_import import from_nir
from neuromorphic.pynn_export import export_pynn
from neuromorphic.quantization import Quantized, quantize
from neuromorphic.readout import Classified, IntegerReadout, classify, record
from neuromorphic.sonata_export import export_sonata
from neuromorphic.split import gather, split
from neuromorphic.targets import CHIPS, Mapping, map_network

__all__ = [
    "CHIPS",
    "Classified",
    "Cost",
    "IntegerGraded",
    "IntegerLIF",
    "IntegerNetwork",
    "IntegerProjection",
    "IntegerRF",
    "IntegerReadout",
    "IntegerResult",
    "IntegerSigmaDelta",
    "IntegerSource",
    "LavaRun",
    "Mapping",
    "OnChipRule",
    "Quantized",
    "check_nir",
    "classify",
    "cost",
    "export_classifier",
    "export_lava",
    "export_pynn",
    "export_sonata",
    "from_nir",
    "gather",
    "latency",
    "map_network",
    "quantize",
    "record",
    "run_lava",
    "split",
    "to_nir",
]
