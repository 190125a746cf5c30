"""The early-termination agent: when an inference may stop, tried on recorded traces, with guarantees."""

from snn.confidence.agent import Decisions, EarlyExit
from snn.confidence.certify import Certificate
from snn.confidence.presets import (
    DTSNN,
    SEENN1,
    SPRT,
    DynamicConfidence,
    FixedT,
    JEIGate,
    Lossless,
    Patience,
    SpikeCP,
    TopK,
)
from snn.confidence.report import Report, calibration, compare, replay
from snn.confidence.stream import Stream
from snn.confidence.trace import Trace, sample_ids

__all__ = [
    "DTSNN", "SEENN1", "SPRT", "Certificate", "Decisions", "DynamicConfidence", "EarlyExit", "FixedT", "JEIGate",
    "Lossless", "Patience", "Report", "SpikeCP", "Stream", "TopK", "Trace", "calibration", "compare", "replay",
    "sample_ids",
]  # fmt: skip
