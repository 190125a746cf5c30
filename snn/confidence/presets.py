"""Published stopping rules, each an `EarlyExit` with its authors' settings where they gave any."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from kernels.errors import ModelError, ShapeError
from snn.confidence.agent import EarlyExit
from snn.units import bounded, real


def FixedT(t: int) -> EarlyExit:
    """Every sample runs ``t`` steps: what an agent has to beat."""
    return EarlyExit("margin", bar=math.inf, max_steps=t, name=f"fixed T = {t}")


def DynamicConfidence(bar: float | None = None, scale: float | str = "auto") -> EarlyExit:
    """Largest softmax of accumulated outputs over a scale, one bar.

    The authors choose the bar on the Pareto front of a calibration set; their public code has scale 30 and bar 0.6 for
    CIFAR-10. Li, Jones & Furber 2023, arXiv 2303.10276.
    """
    return EarlyExit("maxprob", bar=bar, scale=scale, name="Dynamic Confidence")


def TopK(tolerance: float = 0.0) -> EarlyExit:
    """Gap of the two largest accumulated outputs, one bar a step from the optimal cutoff times (OCT) of labelled data.

    Wu et al. 2023, arXiv 2301.09522.
    """
    return EarlyExit("margin", target="oct", tolerance=tolerance, name="Top-K")


def SEENN1(bar: float = 0.9, scale: float | str | None = None) -> EarlyExit:
    """Largest softmax of accumulated outputs, one bar; the authors divide those of converted networks by 8.

    Li et al. 2023, arXiv 2304.01230 (SEENN-I. SEENN-II predicts the number of steps from the input.)
    """
    return EarlyExit("maxprob", bar=bar, scale=scale, name="SEENN-I")


def DTSNN(bar: float | None = None, scale: float | str | None = None) -> EarlyExit:
    """One less the normalised entropy of the softmax of accumulated outputs, one bar.

    Li et al. 2023, arXiv 2305.17346.
    """
    return EarlyExit("entropy", bar=bar, scale=scale, name="DT-SNN")


def Patience(steps: int = 3) -> EarlyExit:
    """Stop where the decision has not changed for ``steps`` steps. Zhou et al. 2020, arXiv 2006.04152 (by layers)."""
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 1:
        raise ModelError(f"Patience.steps: must be an integer >= 1; got {steps!r}.")
    return EarlyExit("patience", bar=steps - 0.5, name=f"patience {steps}")


def SPRT(error: float = 0.05, scale: float | str | None = None) -> EarlyExit:
    """Sequential probability ratio test: stop where the posterior, of a flat prior, is above 1 - ``error``.

    Outputs are log likelihoods of the classes, up to a common term and ``scale``; the error is then at most ``error``.
    With two classes Wald's test (1945, doi:10.1214/aoms/1177731118) with bars log((1 - error) / error) on both sides,
    with more the MSPRT of Baum & Veeravalli 1994, IEEE Trans. Inf. Theory 40(6), 1994-2007.
    """
    if not isinstance(error, float) or not 0.0 < error < 0.5:
        raise ModelError(f"SPRT.error: must be > 0 and < 0.5; got {error!r}.")
    return EarlyExit("llr", bar=math.log((1.0 - error) / error), scale=scale, name="SPRT")


def SpikeCP(set_size: int = 1, check_every: int = 1, scale: float | str | None = "auto") -> EarlyExit:
    """Stop where the set of classes that cannot be excluded is small enough; the set holds the class with a guarantee.

    Levels come from ``certify(trace, risk="miscoverage", eps=...)``: split-conformal at each step asked, and at T, with
    Bonferroni's division by their number. Chen et al. 2023, arXiv 2305.11322.
    """
    if not isinstance(set_size, int) or isinstance(set_size, bool) or set_size < 1:
        raise ModelError(f"SpikeCP.set_size: must be an integer >= 1; got {set_size!r}.")
    return EarlyExit("setsize", bar=-set_size - 0.5, scale=scale, check_every=check_every, name="SpikeCP")


def JEIGate(cost: float = 0.7) -> EarlyExit:
    """A learned gate that leaves once waiting costs more than it brings, over time steps; hazard above one half.

    The gates of JEI-DNN on a network that stays as it is; `snn.torch.train_jointly` trains both. Regol et al. 2024,
    arXiv 2310.09163.
    """
    return EarlyExit("gate", bar=math.nextafter(0.5, 0.0), scale="auto", target="cost", cost=cost, name="JEI gate")


def Lossless(weights: ArrayLike, bias: ArrayLike, v_th: float = 1.0) -> EarlyExit:
    """Stop where nothing that can still come changes the decision. Needs no data.

    The output layer adds bias + v_th sum of the weights of the hidden neurons that spike, each at most once a step, so
    that S_k - S_j changes by at least floor[k, j] = b_k - b_j + v_th sum_i min(0, w_ik - w_ij) a step.

    Parameters
    ----------
    weights : (n, C), from the last hidden layer; bias : (C,); v_th : what a spike carries, 1 where weights hold it
    """
    w, b = (real(f"Lossless.{k}", x).astype(np.float64) for k, x in (("weights", weights), ("bias", bias)))
    if w.ndim != 2 or b.shape != w.shape[1:]:
        raise ShapeError(f"Lossless.weights: must be (n, C) with bias (C,); got {w.shape} and {b.shape}.")
    v_th = bounded("Lossless.v_th", v_th, 0.0, open_low=True)
    floor = np.array([(b[k] - b) + v_th * np.minimum(0.0, w[:, k : k + 1] - w).sum(axis=0) for k in range(b.size)])
    # rounding of sums of a thousand steps: far below any gap that a network makes by itself
    slack = 1e3 * len(w) * np.finfo(float).eps * (np.abs(b).max() + v_th * np.abs(w).sum(axis=0).max())
    return EarlyExit("lossless", bar=float(slack), floor=floor, name="lossless")
