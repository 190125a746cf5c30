"""What comes when, and how probably: Yamada & Chao (2025), arXiv:2510.14382, doi:10.1038/s42003-026-10836-2.

    python scripts/examples/yamada_chao_2025.py --out results

A cue is followed by event A or event B, each with its own latency and probability (multi-event expectation task).
A reservoir of 1,000 Izhikevich neurons learns both with local rules: a gated three-factor rule for when, a two-factor
rule for what. Learning is off in the tests, which give the cue alone.

1. The amplitude of what is predicted, against the probability of A (11 levels, 100 trials each).
2. The error while a block is learned, and after a switch of timing, of probability, and of both; beside it recursive
   least squares without forgetting (FORCE), and a single readout of what and when (merged).
3. Noise in every neuron, in every ms.
4. Weights of the readouts for different probabilities and latencies: principal components and angles.

The paper gives the task, the neurons and the rules; its constants could not be had and are chosen here, on networks and
trials that are not those reported. Its definition of the error is unknown too; here it is :meth:`reservoir.MEET.error`.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import reservoir

BLOCK = reservoir.MEET(latencies=(300, 600), probabilities=(0.7, 0.3))
SWITCHES: dict[str, dict[str, Any]] = {
    "timing": {"latencies": (450, 200)},
    "probability": {"probabilities": (0.3, 0.7)},
    "both": {"latencies": (450, 200), "probabilities": (0.3, 0.7)},
}
MARKS = (1, 10, 50, 100)  # trials after which the paper tells the error
PUBLISHED = (0.192, 0.136, 0.092, 0.085)
AFTER = (1, 5, 10, 20, 50, 100)  # trials after a switch
NOISE = {"noise": 0.05, "jitter": 0.02}
LEVELS = np.linspace(0.0, 1.0, 11)
LATENCIES = (200, 300, 400, 500, 600)
FAR, NEAR = (200, 350, 500), (300, 340, 380)  # ms; one further apart than what is expected is wide, the other not


def learn(
    net: reservoir.WhatWhen, block: reservoir.MEET, marks: Sequence[int], seed: int, tests: int = 1
) -> list[float]:
    """Errors after the trials in ``marks`` of ``block``, each the mean of ``tests`` tests with their own noise."""
    events, at, errors = block.events(marks[-1], seed), 0, []
    for mark in marks:
        net.partial_fit(block, events[at:mark])
        errors.append(float(np.mean([block.error(net.predict(block, draw).joint) for draw in range(tests)])))
        at = mark
    return errors


def switch(seed: int, kind: str, after: Sequence[int] = AFTER, tests: int = 1, **changes: Any) -> np.ndarray:
    """Errors after the trials MARKS of the first block and ``after`` of the second."""
    net = reservoir.WhatWhen(seed=seed, **changes)
    first = learn(net, BLOCK, MARKS, 2 * seed, tests)
    return np.array(first + learn(net, BLOCK.switched(**SWITCHES[kind]), after, 2 * seed + 1, tests))


def amplitudes(seed: int, levels: Iterable[float] = LEVELS, trials: int = 100, **changes: Any) -> np.ndarray:
    """For each probability of A: amplitudes of A and B, and the relative frequency of A in the trials."""
    net, out = reservoir.WhatWhen(seed=seed, **changes), []
    for k, p in enumerate(levels):
        block = BLOCK.switched(probabilities=(p, 1.0 - p))
        events = block.events(trials, 1000 * seed + k)
        net.fit(block, events)
        out.append([*block.amplitudes(net.predict(block).joint), np.mean(events == 0)])
    return np.array(out)


def correlations(found: np.ndarray, levels: Sequence[float] = tuple(LEVELS)) -> np.ndarray:
    """Pearson correlation of each column of :func:`amplitudes` with the probability of A."""
    return np.array([np.corrcoef(column, levels)[0, 1] for column in found.T])


def trained(seed: int, block: reservoir.MEET, trials: int = 100, **changes: Any) -> reservoir.WhatWhen:
    """A network that has learned one block."""
    return reservoir.WhatWhen(seed=seed, **changes).fit(block, block.events(trials, seed))


def readout_weights(seed: int, trials: int = 100, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Weights of channel A: "what" for five probabilities, "when" for five latencies, each (5, n)."""
    what = [trained(seed, BLOCK.switched(probabilities=(p, 1.0 - p)), trials, **changes).what[0]
            for p in (0.1, 0.3, 0.5, 0.7, 0.9)]  # fmt: skip
    when = [trained(seed, BLOCK.switched(latencies=(t, 700)), trials, **changes).when[0] for t in LATENCIES]
    return np.array(what), np.array(when)


def weight_map(seed: int, latencies: Sequence[int] = FAR, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    """All weights of both readouts for 3 probabilities and ``latencies`` of A: their first two principal components,
    (conditions, 2), and the conditions, (conditions, 2). Weights of each readout are scaled to total variance 1."""
    grid = list(itertools.product((0.2, 0.5, 0.8), latencies))
    rows = []
    for p, t in grid:
        net = trained(seed, BLOCK.switched(probabilities=(p, 1.0 - p), latencies=(t, 700)), **changes)
        rows.append((net.what.ravel(), net.when.ravel()))
    parts = []
    for readout in zip(*rows, strict=True):
        weights = np.array(readout) - np.mean(readout, axis=0)
        parts.append(weights / np.sqrt(np.sum(weights**2)))
    u, size, _ = np.linalg.svd(np.hstack(parts), full_matrices=False)
    return u[:, :2] * size[:2], np.array(grid)


def endpoint(seed: int, kind: str, trials: int = 100, **changes: Any) -> tuple[float, float]:
    """How far the weights after a switch still are from those of a network that learned the second block alone, as a
    share of the distance between networks of either block: for "what" (nan where it has none to go) and for "when"."""
    after = BLOCK.switched(**SWITCHES[kind])
    before, alone = trained(seed, BLOCK, trials, **changes), trained(seed, after, trials, **changes)
    net = trained(seed, BLOCK, trials, **changes).partial_fit(after, after.events(trials, seed))
    shares = []
    for name, moved in (("what", "probabilities"), ("when", "latencies")):
        a, b, c = (getattr(x, name) for x in (before, alone, net))
        shares.append(np.linalg.norm(c - b) / np.linalg.norm(a - b) if moved in SWITCHES[kind] else np.nan)
    return shares[0], shares[1]


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n", type=int, default=1000, help="neurons [1000]")
    options = parser.parse_args(arguments)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    options.out.mkdir(parents=True, exist_ok=True)
    seed, size = options.seed, {"n": options.n}
    fig, axes = plt.subplots(2, 3, figsize=(13, 7), layout="constrained")

    net, ax = trained(seed, BLOCK, **size), axes[0, 0]
    t = np.arange(BLOCK.duration) - BLOCK.cue[0]
    ax.plot(t, net.predict(BLOCK).joint)
    ax.plot(t, BLOCK.expected(), "k:", lw=0.8)
    ax.set(title="100 trials (dotted: expected)", xlabel="time from cue (ms)", ylabel="prediction")
    print(f"rate {net.rate:.1f} Hz")

    found = amplitudes(seed, **size)
    r = correlations(found)
    print(f"amplitude against p(A): r = {r[0]:.4f} (A), {r[1]:.4f} (B); published 0.978, -0.989; "
          f"of the relative frequency itself {r[2]:.4f}")  # fmt: skip
    axes[0, 1].plot(LEVELS, found[:, :2], "o-")
    axes[0, 1].set(title=f"r = {r[0]:.3f}, {r[1]:.3f}", xlabel="probability of A", ylabel="amplitude")

    trials = [*MARKS, *(MARKS[-1] + k for k in AFTER)]
    print("\n| | " + " | ".join(map(str, trials)) + " |\n|---|" + "--:|" * len(trials))
    for name, kind, changes in (
        ("timing", "timing", {}), ("probability", "probability", {}), ("both", "both", {}),
        ("timing, merged", "timing", {"merged": True}), ("timing, RLS", "timing", {"rule": "rls"}),
        ("timing, noise", "timing", NOISE),
    ):  # fmt: skip
        errors = switch(seed, kind, tests=5 if changes is NOISE else 1, **size, **changes)
        print(f"| {name} | " + " | ".join(f"{e:.3f}" for e in errors) + " |")
        ax = axes[1, 0] if "," in name else axes[0, 2]
        ax.plot(trials, errors, ".-", label=name)
    for ax in (axes[0, 2], axes[1, 0]):
        ax.plot(MARKS, PUBLISHED, "kx", label="published")
        ax.axvline(MARKS[-1], color="0.7", lw=0.8)
        ax.set(xlabel="trial", ylabel="error")
        ax.legend(fontsize=7)

    what, when = readout_weights(seed, **size)
    cosine, angles = reservoir.measures.subspaces(what, when)
    print(f"\nwhat and when: cosine of the first components {cosine:.3f} (random directions "
          f"{np.sqrt(2 / np.pi / what.shape[1]):.3f}), principal angles {np.round(angles, 1)} degrees")  # fmt: skip
    points, grid = weight_map(seed, NEAR, **size)
    for ax, column, name in zip(axes[1, 1:], (0, 1), ("probability", "latency (ms)"), strict=True):
        dots = ax.scatter(*points.T, c=grid[:, column])
        fig.colorbar(dots, ax=ax, label=f"{name} of A")
        ax.set(xlabel="PC 1", ylabel="PC 2", title="weights of both readouts")
        both = [abs(np.corrcoef(points[:, k], grid[:, column])[0, 1]) for k in (0, 1)]
        print(f"correlation with the {name}: PC1 {both[0]:.2f}, PC2 {both[1]:.2f}")
    path = options.out / "yamada_chao_2025.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
