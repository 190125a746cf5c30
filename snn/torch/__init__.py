"""Training in torch, and networks from torch and snnTorch (extra ``torch``)."""

from kernels.errors import BackendUnavailable

try:
    import snntorch as _snntorch  # noqa: F401
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise BackendUnavailable(f'snn.torch: {error}. Install the extra: pip install "volley-snn[torch]".') from error

from snn.torch.activations import QCFS, QFFS
from snn.torch.convert import from_snntorch, from_torch
from snn.torch.export import to_snntorch
from snn.torch.neurons import Neurons
from snn.torch.train import Unrolled, train, train_jointly

__all__ = [
    "QCFS", "QFFS", "Neurons", "Unrolled", "from_snntorch", "from_torch", "to_snntorch", "train", "train_jointly",
]  # fmt: skip
