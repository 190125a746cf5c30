"""What calibration data allow one to promise: tests of risks with finite samples, and the certificate.

Losses come as an array (G, N): N samples, G settings in an order fixed without these samples, the safest first. Every
procedure walks that order and returns the index of the last setting that it allows, -1 where it allows none.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]


def binomial_p(losses: Any, n: Any, eps: float) -> Any:
    """P(Binomial(n, eps) <= losses): p value of "the risk of a loss of 0 or 1 exceeds eps", elementwise."""
    return special.bdtr(losses, n, eps)


def hoeffding_bentkus_p(mean: Any, n: int, eps: float) -> Any:
    """P value of "the mean of losses in [0, 1] exceeds eps", from the mean of n of them; arrays elementwise.

    min( exp(-n kl(min(mean, eps) || eps)), e P(Binomial(n, eps) <= ceil(n mean)) ); Bates et al. 2021,
    doi:10.1145/3478535.
    """
    m = np.minimum(mean, eps)
    kl = special.rel_entr(m, eps) + special.rel_entr(1.0 - m, 1.0 - eps)
    # the mean is a sum divided by n: what rounding adds to n mean is no loss
    return np.minimum(
        np.exp(-n * kl), np.minimum(1.0, math.e * binomial_p(np.ceil(n * np.asarray(mean) - 1e-9), n, eps))
    )


def ltt(losses: NDArray[Any], eps: float, delta: float, bounded: bool = False) -> int:
    """Learn then test, fixed sequence: P(risk > eps) <= delta, whatever the shape of the risk along the walk.

    Each setting is tested at level delta, in order, until the first that fails: no correction for their number is
    needed, as only one true null can be met first. Losses of 0 or 1, or in [0, 1] with ``bounded``.

    References
    ----------
    Angelopoulos et al. 2025, doi:10.1214/24-AOAS1998 (arXiv 2110.01052)
    """
    n = losses.shape[1]
    if bounded:
        p = hoeffding_bentkus_p(losses.mean(axis=1), n, eps)
    else:
        p = binomial_p(losses.sum(axis=1, dtype=np.int64), n, eps)
    return _last(p <= delta)


def _last(passed: NDArray[np.bool_]) -> int:
    """Index of the last of those that passed before the first that did not; -1 where none did."""
    return int(np.logical_and.accumulate(passed).sum()) - 1


def crc(losses: NDArray[Any], eps: float) -> int:
    """Conformal risk control: E[risk] <= eps, the mean over calibrations too. Losses in [0, 1].

    The last setting with n/(n+1) R + 1/(n+1) <= eps. It needs losses that only grow along the walk, so each sample's
    loss is replaced by its largest so far, which is an upper bound.

    References
    ----------
    Angelopoulos et al. 2024, arXiv 2208.02814
    """
    n = losses.shape[1]
    risk = np.maximum.accumulate(losses, axis=0).mean(axis=1)
    allowed = n / (n + 1) * risk + 1 / (n + 1) <= eps
    return int(allowed.sum()) - 1  # the risk only grows


BLOCK = 8  # settings of a walk that are looked at together


def _bets(x: Floats, delta: float) -> Floats:
    """Bets nu_i of `betting_bound`, each from the losses before; x of shape (.., n)."""
    n = x.shape[-1]
    i = np.arange(1, n + 1)
    mu = (0.5 + np.cumsum(x, axis=-1)) / (i + 1)
    s2 = (0.25 + np.cumsum((x - mu) ** 2, axis=-1)) / (i + 1)
    before = np.concatenate([np.full_like(s2[..., :1], 0.25), s2[..., :-1]], axis=-1)
    return np.asarray(np.minimum(1.0, np.sqrt(2.0 * math.log(1.0 / delta) / (n * before))))


def _wealth(x: Floats, nu: Floats, m: float) -> Floats:
    """Largest log wealth, (..), of bets that the mean is below m."""
    with np.errstate(divide="ignore"):
        return np.asarray(np.cumsum(np.log1p(-nu * (x - m)), axis=-1).max(axis=-1))


def betting_bound(losses: NDArray[Any], delta: float) -> float:
    """Upper bound of the mean of losses (n,) in [0, 1], right with probability >= 1 - delta, by betting.

    The root m of max_j sum_(i<=j) log(1 - nu_i (x_i - m)) = log(1 / delta); nu_i = min(1, sqrt(2 log(1/delta) /
    (n s_(i-1)^2))), with s_i^2 = (1/4 + sum (x - mu)^2) / (i + 1), mu_i = (1/2 + sum x) / (i + 1).

    References
    ----------
    Waudby-Smith & Ramdas 2024, doi:10.1093/jrsssb/qkad009
    """
    x = np.asarray(losses, np.float64)
    nu, goal = _bets(x, delta), math.log(1.0 / delta)
    if _wealth(x, nu, 1.0) <= goal:
        return 1.0
    low, high = 0.0, 1.0  # wealth grows with m
    while high - low > 1e-9:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if _wealth(x, nu, middle) > goal else (middle, high)
    return high


def ucb(losses: NDArray[Any], eps: float, delta: float) -> int:
    """The last setting of those whose `betting_bound`, and all before, is below eps: P(risk > eps) <= delta.

    "The bound is below eps" is a test at level delta, and the walk is that of `ltt`. Losses in [0, 1].
    """
    new = np.append(True, (losses[1:] != losses[:-1]).any(axis=1))  # neighbours with equal losses pass or fail together
    rows, goal = np.flatnonzero(new), math.log(1.0 / delta)
    for begin in range(0, rows.size, BLOCK):  # what comes after the first that fails has no say
        x = np.asarray(losses[rows[begin : begin + BLOCK]], np.float64)
        good = _last(_wealth(x, _bets(x, delta), eps) > goal) + 1
        if good < len(x):
            return int(rows[begin + good]) - 1
    return len(losses) - 1


def conditional_ltt(
    scores: Floats, lost: NDArray[Any], grid: Floats, eps: float, delta: float, first: NDArray[np.bool_]
) -> Floats:
    """Bars for every step such that P(for every t: risk among samples stopped at or before t <= eps) >= 1 - delta.

    Stage 1, on the samples ``first``: for t = 1, 2, .. the lowest bar of the grid with which the share of losses among
    the samples stopped by t stays <= eps. Stage 2, on the others: bars of t = T - 1, T - 2, .. are switched on one by
    one, while with them every share among those stopped by t' >= t is tested <= eps at level delta.

    Parameters
    ----------
    scores, lost : (T, N); lost[t, n] is 1 where stopping sample n at step t loses
    grid : bars, fixed without these samples
    first : (N,) bool

    Returns
    -------
    (T,) bars, infinite where the samples do not allow one

    References
    ----------
    Ringel et al. 2024, arXiv 2402.00857
    """
    bars = _greedy(scores[:, first], lost[:, first], np.unique(grid[np.isfinite(grid)]), eps)
    out = np.full(len(scores), np.inf)
    s, loss = scores[:, ~first], lost[:, ~first]
    for t in range(len(s) - 2, -1, -1):
        if np.isinf(bars[t]):
            continue
        trial = out.copy()
        trial[t] = bars[t]
        at = np.where(np.isinf(trial[:-1, None]), False, s[:-1] > trial[:-1, None])
        stop = np.where(at.any(axis=0), at.argmax(axis=0), len(s) - 1)
        losses = loss[stop, np.arange(stop.size)]
        for end in range(t, len(s)):
            by = stop <= end
            if binomial_p(losses[by].sum(), by.sum(), eps) > delta:
                return out
        out = trial
    return out


def _greedy(scores: Floats, lost: NDArray[Any], grid: Floats, eps: float) -> Floats:
    bars = np.full(len(scores), np.inf)
    open_ = np.ones(scores.shape[1], bool)
    stopped, losses = 0, 0.0
    for t in range(len(scores) - 1):
        s, loss = scores[t, open_], lost[t, open_]
        order = np.argsort(-s, kind="stable")
        count = np.searchsorted(-s[order], -grid, side="left")  # samples with score > bar
        total = np.concatenate([[0.0], np.cumsum(loss[order])])[count]
        fits = (count > 0) & (losses + total <= eps * (stopped + count))
        if fits.any():
            k = int(np.argmax(fits))  # the grid ascends
            bars[t] = grid[k]
            stopped, losses = stopped + int(count[k]), losses + float(total[k])
            open_ &= scores[t] <= grid[k]
    return bars


def samples_needed(method: str, eps: float, delta: float) -> int:
    """Fewest samples with which a setting that never loses is allowed."""
    if method == "crc":
        return math.ceil(1.0 / eps - 1.0 - 1e-9)
    if method == "ucb":
        n = 1
        while ucb(np.zeros((1, n)), eps, delta) < 0:
            n = math.ceil(1.05 * n)
        while n > 1 and ucb(np.zeros((1, n - 1)), eps, delta) == 0:
            n -= 1
        return n
    n = math.ceil(math.log(delta) / math.log1p(-eps) - 1e-9)
    return 2 * n if method == "conditional-ltt" else n


RISKS = {
    "accuracy_gap": "the full run is right and early stopping is not on at most {eps:.4g} of the samples",
    "disagreement": "early stopping changes the decision of at most {eps:.4g} of the samples",
    "error": "at most {eps:.4g} of the decisions are wrong",
    "miscoverage": "the set of classes at the stop misses the true class with probability at most {eps:.4g}",
    "custom": "the mean loss is at most {eps:.4g}",
}


@dataclass(frozen=True)
class Certificate:
    """What `EarlyExit.certify` found; `statement` says it.

    ``ok`` False: the data do not allow the promise and the bar never stops a sample (``note`` says why). ``threshold``:
    the bar, or one a step; ``losses`` of ``n`` calibration samples (a mean loss times n, where losses are no 0 and 1),
    ``expected_steps`` their mean step of stopping; ``bound``: what is promised of the risk (eps, or 1 where nothing
    is); ``fingerprint``: what the promise holds for; ``max_steps`` of the agent, None where it stops nothing before T.
    """

    ok: bool
    agent: str
    risk: str
    method: str
    eps: float
    delta: float | None
    n: int
    threshold: float | list[float]
    give_up: float | None
    losses: float
    expected_steps: float
    t_max: int
    note: str = ""
    fingerprint: dict[str, Any] = field(default_factory=dict)
    max_steps: int | None = None

    @property
    def bound(self) -> float:
        """Bound of the risk that holds as `statement` says."""
        return self.eps if self.ok else 1.0

    def statement(self) -> str:
        """The promise in one or two sentences, to be quoted."""
        if not self.ok:
            if self.max_steps is None:
                does = f"never stops early: it runs all {self.t_max} steps"
            else:
                does = f"runs to step {self.max_steps} of {self.t_max}, its max_steps, of which nothing is promised"
            return f"Not certified: {self.note} The agent {does}."
        what = RISKS[self.risk].format(eps=self.eps)
        if self.method == "conditional-ltt":
            what = f"at every step t, among the samples stopped at or before t, {what}"
        if self.method in ("crc", "conformal"):
            text = f"On average over calibration sets of {self.n} samples, {what}"
        else:
            sure = 1.0 - (self.delta or 0.0)
            text = f"With probability >= {sure:.4g} over the draw of {self.n} calibration samples, {what}"
        text += (
            f" (runs of {self.max_steps or self.t_max} steps at most; {self.losses:g} of {self.n} lost in calibration, "
            f"mean stop at step {self.expected_steps:.2f})."
        )
        return f"{text} It holds for samples drawn as those were and for this network, encoder and t_max alone."

    def to_dict(self) -> dict[str, Any]:
        """All fields and the statement, for JSON; infinite bars as None."""
        bars = [self.threshold] if isinstance(self.threshold, float) else self.threshold
        finite = [b if math.isfinite(b) else None for b in bars]
        return {
            **asdict(self), "threshold": finite[0] if isinstance(self.threshold, float) else finite,
            "bound": self.bound, "statement": self.statement(),
        }  # fmt: skip
