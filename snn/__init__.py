"""Volley: describe a spiking network once; simulate it on event kernels, let it learn, export it."""

from typing import TYPE_CHECKING, Any

try:
    import kernels.spec as _spec  # noqa: F401
except ImportError as error:  # the Hugging Face distribution `kernels` alone, or an uninstalled checkout
    raise ImportError("snn: the folder `kernels` of volley-snn is missing; install it (pip install -e .)") from error

from kernels.errors import (
    BackendUnavailable,
    ConfigError,
    ExportError,
    FormatError,
    ModelError,
    ShapeError,
    SimError,
    UnitError,
)
from snn import encode, plot
from snn.batch import join
from snn.connect import (
    all_to_all,
    distance_dependent,
    fixed_indegree,
    fixed_outdegree,
    fixed_total_number,
    from_arrays,
    from_sonata,
    from_sparse,
    one_to_one,
    pairwise_bernoulli,
)
from snn.distributions import exponential, lognormal, normal, uniform
from snn.elements import Population, Projection
from snn.equations import from_equations
from snn.inference import Classifier
from snn.inference_event import EventClassifier
from snn.inputs import ACCurrent, NoiseCurrent, OrnsteinUhlenbeck, Poisson, SpikeArray, StepCurrent
from snn.network import Network
from snn.neurons import *  # noqa: F403
from snn.neurons import __all__ as _models
from snn.neurons.base import NeuronModel, define
from snn.of_edges import per_source, per_target
from snn.records import Result, SpikeRecord, StateRecord
from snn.simulation import Simulation
from snn.sliding import conv2d
from snn.space import displacement

if TYPE_CHECKING:
    from snn.io.sonata import read_result
    from snn.sweeps import sweep

__version__ = "0.1.0"

__all__ = [
    "ACCurrent", "BackendUnavailable", "Classifier", "ConfigError", "EventClassifier",
    "ExportError", "FormatError", "ModelError",
    "Network",
    "NeuronModel", "NoiseCurrent", "OrnsteinUhlenbeck", "Poisson", "Population", "Projection", "Result", "ShapeError",
    "SimError", "Simulation", "SpikeArray", "SpikeRecord", "StateRecord", "StepCurrent", "UnitError", "all_to_all",
    "conv2d", "define", "displacement", "distance_dependent", "encode", "exponential", "fixed_indegree",
    "fixed_outdegree", "fixed_total_number", "from_arrays", "from_equations", "from_sonata", "from_sparse",
    "join", "lognormal", "normal", "one_to_one", "pairwise_bernoulli", "per_source", "per_target", "plot",
    "read_result", "sweep", "uniform", *_models,
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """``sweep`` and ``read_result``, imported when they are first used: files take half as long as all else."""
    if name == "sweep":
        from snn.sweeps import sweep

        return sweep
    if name == "read_result":
        from snn.io.sonata import read_result

        return read_result
    raise AttributeError(f"module 'snn' has no attribute {name!r}")
