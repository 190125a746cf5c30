"""Quantised activations of networks that shall be converted to spikes."""

from typing import Any

import torch

from snn.units import bounded, whole


def _straight_through(x: Any, value: Any) -> Any:
    """``value`` with the gradient of ``x``."""
    return x + (value - x).detach()


class QCFS(torch.nn.Module):
    """Quantisation-clip-floor-shift activation: what an integrate-and-fire neuron with soft reset sends in L steps.

    h(z) = threshold clip(floor(z L / threshold + 1/2) / L, 0, 1), with the gradient of the floor taken as 1.

    Parameters
    ----------
    levels : L, integer >= 1; 4 for CIFAR, 8 for ImageNet in the paper
    threshold : initial value of the trained threshold, > 0

    References
    ----------
    Bu et al. 2022, doi:10.48550/arXiv.2303.04347
    """

    def __init__(self, levels: int = 4, threshold: float = 8.0) -> None:
        super().__init__()
        self.levels = whole("QCFS.levels", levels, 1)
        self.threshold = torch.nn.Parameter(torch.tensor(bounded("QCFS.threshold", threshold, 0.0, open_low=True)))

    def forward(self, z: Any) -> Any:
        """The activation of ``z``."""
        x = z * self.levels / self.threshold + 0.5
        return self.threshold * torch.clamp(_straight_through(x, torch.floor(x)) / self.levels, 0.0, 1.0)

    def extra_repr(self) -> str:
        """What print shows."""
        return f"levels={self.levels}, threshold={self.threshold.item():g}"


class QFFS(torch.nn.Module):
    """Activation quantised to ``bits`` with a learned step (LSQ), for conversion to neurons with negative spikes.

    h(z) = step round(clip(z / step, 0, 2^bits - 1)), with the gradient of the rounding taken as 1, and that of the step
    divided by sqrt(elements of a sample (2^bits - 1)). Converted, it is right for input of about 2^bits - 1 steps.

    Parameters
    ----------
    bits : integer >= 1
    step : initial value of the trained step, > 0

    References
    ----------
    Li, Ma & Furber 2022, doi:10.3389/fnins.2022.918793; Esser et al. 2020, doi:10.48550/arXiv.1902.08153
    """

    def __init__(self, bits: int = 2, step: float = 1.0) -> None:
        super().__init__()
        self.bits = whole("QFFS.bits", bits, 1)
        self.step = torch.nn.Parameter(torch.tensor(bounded("QFFS.step", step, 0.0, open_low=True)))

    @property
    def most(self) -> int:
        """The largest level, 2^bits - 1."""
        return int(2**self.bits - 1)

    def forward(self, z: Any) -> Any:
        """The activation of ``z``."""
        share = (z[0].numel() * self.most) ** -0.5 if z.ndim > 1 else 1.0
        step = _straight_through(self.step * share, self.step)
        x = torch.clamp(z / step, 0.0, self.most)
        return step * _straight_through(x, torch.round(x))

    def extra_repr(self) -> str:
        """What print shows."""
        return f"bits={self.bits}, step={self.step.item():g}"
