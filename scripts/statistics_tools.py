"""Statistics of recorded spikes, and a test whether two simulators draw them from the same distribution.

Neurons of one network share its input and its fluctuations, so their rates, CVs and correlations are no independent
sample: a Kolmogorov-Smirnov test over neurons rejects equal simulators far too often. What is independent is a seed.
Here a seed (connections, initial values, noise, all drawn anew) is one observation, and seeds are exchanged between
the simulators: if both make the same distribution of networks, every assignment of the 2 n runs to two groups of n is
equally likely, whatever happens within a network.

For one quantity, such as the CVs of one population, the distance of two runs is the Kolmogorov-Smirnov distance of
the two samples (of two numbers, their absolute difference), and the statistic is the mean distance of runs of
different groups less the mean distance of runs of the same group. For a family of quantities each is standardised over
all assignments and the largest is the family's statistic (Westfall & Young 1993): one p value, exact for the family,
with no correction for the number of quantities, however they depend on each other. The smallest p with n seeds each is
2 n!^2 / (2 n)!: 1/126 for 5, 1/462 for 6, 1/1716 for 7, 1/6435 for 8.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

MIN_VALUES = 5  # of a sample; below it a quantity is left out
Summary = dict[str, np.ndarray]  # quantity -> values of one run


def intervals(times: np.ndarray, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Intervals between the spikes of each neuron, and the neuron of each."""
    order = np.lexsort((times, ids))
    times, ids = times[order], ids[order]
    same = ids[1:] == ids[:-1]
    return np.diff(times)[same], ids[1:][same]


def cv_isi(times: np.ndarray, ids: np.ndarray, n: int, least: int = 3) -> np.ndarray:
    """CV of the intervals of every neuron that has ``least`` of them."""
    gaps, owner = intervals(times, ids)
    count = np.bincount(owner, minlength=n)
    mean = np.bincount(owner, gaps, n) / np.maximum(count, 1)
    variance = np.bincount(owner, (gaps - mean[owner]) ** 2, n) / np.maximum(count, 1)
    some = count >= least
    return np.sqrt(variance[some]) / mean[some]


def correlations(
    times: np.ndarray, ids: np.ndarray, start: float, stop: float, bin_size: float = 5.0, neurons: int = 150
) -> np.ndarray:
    """Pearson correlations of the counts in ``bin_size`` ms of all pairs among the first ``neurons`` that fired.

    Which neurons are first is a matter of their numbers, and those say nothing in a random network.
    """
    fired = np.unique(ids)[:neurons]
    n_bins = round((stop - start) / bin_size)
    keep = np.isin(ids, fired)
    row = np.searchsorted(fired, ids[keep])
    column = np.minimum(((times[keep] - start) / bin_size).astype(int), n_bins - 1)
    counts = np.bincount(row * n_bins + column, minlength=fired.size * n_bins).reshape(fired.size, n_bins)
    if fired.size < 2:
        return np.empty(0)
    return np.corrcoef(counts)[np.triu_indices(fired.size, 1)]


def summarise(
    times: np.ndarray, ids: np.ndarray, sizes: Mapping[str, int], start: float, stop: float, bin_size: float = 5.0
) -> Summary:
    """Samples of one run, keyed "population quantity".

    Parameters
    ----------
    times, ids : spikes; ids run over all populations in the order of ``sizes``
    sizes : neurons of every population
    start, stop : what to look at, ms

    Returns
    -------
    dict
        rate of each neuron (Hz), CV of its intervals, correlations of pairs, and as one number a run: mean rate and
        synchrony (variance over mean of the population's count in 2 ms).
    """
    keep = (times > start + 1e-6) & (times <= stop + 1e-6)
    order = np.argsort(times[keep], kind="stable")
    times, ids = times[keep][order] - 1e-6, ids[keep][order]
    out: Summary = {}
    first = 0
    for name, n in sizes.items():
        mine = (ids >= first) & (ids < first + n)
        t, i = times[mine], ids[mine] - first
        rates = 1000.0 * np.bincount(i, minlength=n) / (stop - start)
        counts = np.histogram(t, np.arange(start, stop + 1e-6, 2.0))[0]
        out[f"{name} rate"] = rates
        out[f"{name} CV"] = cv_isi(t, i, n)
        out[f"{name} correlation"] = correlations(t, i, start, stop, bin_size)
        out[f"{name} mean rate"] = np.array([rates.mean()])
        out[f"{name} synchrony"] = np.array([counts.var() / max(counts.mean(), 1e-12)])
        first += n
    return out


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Kolmogorov-Smirnov distance of two samples; of two numbers, their absolute difference."""
    if a.size == b.size == 1:
        return float(abs(a[0] - b[0]))
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate((a, b))
    return float(np.abs(np.searchsorted(a, both, "right") / a.size - np.searchsorted(b, both, "right") / b.size).max())


def splits(n: int, limit: int = 20_000) -> np.ndarray:
    """Assignments of 2 n runs to the first group, (k, 2 n) of 0 and 1, the given one first; all, or ``limit`` drawn."""
    m = 2 * n
    if (
        math.comb(m, n) // 2 <= limit
    ):  # run 0 always in the first group: the statistic is the same with groups exchanged
        rows = [(0, *rest) for rest in itertools.combinations(range(1, m), n - 1)]
        out = np.zeros((len(rows), m))
        out[np.arange(len(rows))[:, None], np.array(rows)] = 1.0
        return out
    rng = np.random.default_rng(0)
    out = np.zeros((limit, m))
    out[0, :n] = 1.0
    for row in out[1:]:
        row[rng.permutation(m)[:n]] = 1.0
    return out


def max_permutation_test(distances: np.ndarray) -> tuple[float, np.ndarray]:
    """(p of the family, standardised statistic of each quantity) of ``distances`` (k, 2 n, 2 n), first group first."""
    n = distances.shape[1] // 2
    s = splits(n)
    between = np.einsum("pi,kij,pj->pk", s, distances, 1.0 - s, optimize=True) / n**2
    total = distances.sum(axis=(1, 2)) / 2.0
    statistic = between - (total - between * n**2) / (n * (n - 1))
    spread = statistic.std(axis=0)
    z = (statistic - statistic.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    largest = z.max(axis=1)
    return float(np.mean(largest >= largest[0] - 1e-9)), z[0]


@dataclass(frozen=True)
class Comparison:
    """Outcome of `compare`: the family's p, and what differs by how much."""

    p: float
    seeds: int
    quantities: tuple[str, ...]
    z: np.ndarray  # standardised statistic of each quantity
    excess: np.ndarray  # mean KS distance between simulators less that within; of single numbers, relative difference
    rates: dict[
        str, tuple[float, float]
    ]  # population -> relative difference of mean rates, half width of its 95 % interval

    @property
    def worst(self) -> str:
        """The quantity that differs most, with its standardised statistic."""
        k = int(np.argmax(self.z))
        return f"{self.quantities[k]} (z = {self.z[k]:.1f})"

    def largest(self, kind: str) -> float:
        """Largest excess of the KS distance among quantities that end in ``kind``."""
        values = [e for q, e in zip(self.quantities, self.excess, strict=True) if q.endswith(kind) and "mean" not in q]
        return max(values, default=float("nan"))

    def effect(self) -> str:
        """Effect sizes as text."""
        name = max(self.rates, key=lambda k: abs(self.rates[k][0]))
        difference, half = self.rates[name]
        ks = ", ".join(f"{kind} {self.largest(kind):+.3f}" for kind in (" rate", " CV", " correlation"))
        return f"rate of {name} {100 * difference:+.1f} +- {100 * half:.1f} % (largest); excess KS:{ks}"


def compare(first: Sequence[Summary], second: Sequence[Summary]) -> Comparison:
    """Test that two simulators, n runs each, make the same distribution of networks."""
    n = len(first)
    if n != len(second) or n < 2:
        raise ValueError(f"compare: needs as many runs of both, at least 2; got {n} and {len(second)}.")
    runs = [*first, *second]
    names, matrices, excess = [], [], []
    rates = {}
    for name in first[0]:
        samples = [r[name] for r in runs]
        single = all(s.size == 1 for s in samples)
        if not single and min(s.size for s in samples) < MIN_VALUES:
            continue
        d = np.zeros((2 * n, 2 * n))
        for i, j in itertools.combinations(range(2 * n), 2):
            d[i, j] = d[j, i] = distance(samples[i], samples[j])
        names.append(name)
        matrices.append(d)
        if single:
            a, b = np.concatenate(samples[:n]), np.concatenate(samples[n:])
            scale = max(abs(b.mean()), 1e-12)
            excess.append((a.mean() - b.mean()) / scale)
            if name.endswith(" mean rate"):
                va, vb = a.var(ddof=1) / n, b.var(ddof=1) / n
                freedom = (va + vb) ** 2 / max((va**2 + vb**2) / (n - 1), 1e-300)
                half = stats.t.ppf(0.975, max(freedom, 1.0)) * math.sqrt(va + vb)
                rates[name.removesuffix(" mean rate")] = (excess[-1], half / scale)
        else:
            within = (d[:n, :n].sum() + d[n:, n:].sum()) / (2 * n * (n - 1))
            excess.append(d[:n, n:].mean() - within)
    p, z = max_permutation_test(np.array(matrices))
    return Comparison(p, n, tuple(names), z, np.array(excess), rates)
