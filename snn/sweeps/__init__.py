"""Many runs of one experiment: grids and samples of parameters, spread over processes and machines, resumable."""

from snn.sweeps.design import Range
from snn.sweeps.run import sweep
from snn.sweeps.runners import MEASURES
from snn.sweeps.summary import Summary, read_summary

__all__ = ["MEASURES", "Range", "Summary", "read_summary", "sweep"]
