"""Heterogeneous delays for fast motion detection: Grimaldi & Perrinet (2023), doi:10.1007/s00422-023-00975-8.

    python scripts/examples/grimaldi_perrinet_2023.py --source leaves --out results     # some minutes on two cores

Windows of 64 x 64 pixels glide over whitened images, as events of a camera, in 36 motions (12 directions, 3 speeds). A
layer with 21 delays and 17 x 17 pixels for each of 36 classes and two polarities learns which it is, from films where
the motion changes every 24 steps on average. It is judged by films of one motion, of images that it has not seen.

``--source leaves``: dead leaves, 24 images to learn from, eight others to be judged by. ``--source photographs``: the
two of scikit-learn (extra ``dev``), their left 352 columns to learn from, the right 144 to be judged by; what lies
between is for choices. The paper has 100 natural images of van Hateren's set in windows of 128 x 128.

Figures: kernels of the fastest motions, accuracy of pruned layers and of shorter delays, spikes of the pruned layer.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from reservoir import DelayLayer, motion

SIZE, STEPS = 64, 60  # pixels along an edge; steps of the films that are judged
SHARES = (1.0, 0.1, 1 / 31, 1e-2, 3e-3, 1.5e-3, 8e-4, 4e-4, 2e-4)
DELAYS = (21, 18, 16, 14, 11, 9, 7, 4)
COLUMNS = {"train": (0, 352), "validation": (352, 496), "test": (496, 640)}  # of a photograph
IMAGES = {"train": 24, "validation": 8, "test": 8}  # of leaves


def images(source: str, part: str, seed: int) -> list[np.ndarray]:
    """Whitened periodic images of "leaves" or "photographs" for "train", "validation" or "test"."""
    if source == "leaves":
        number = list(IMAGES).index(part)
        return [motion.whitened(motion.dead_leaves(seed=[seed, number, k])) for k in range(IMAGES[part])]
    from sklearn.datasets import load_sample_image

    first, last = COLUMNS[part]
    grey = [load_sample_image(f"{name}.jpg").mean(axis=2)[:, first:last] for name in ("china", "flower")]
    return [motion.whitened(motion.mirrored(picture)) for picture in grey]


def films(
    source: str, part: str, seed: int, samples: int, changing: bool = False, noise: float = 0.001
) -> tuple[list[motion.Events], np.ndarray]:
    """Events and labels of films of one motion, or of changing ones; "train" changes and is longer."""
    number, changing = list(IMAGES).index(part), changing or part == "train"
    return motion.moving_images(
        images(source, part, seed), samples, 200 if changing else STEPS, SIZE, 24.0 if changing else None,
        noise, seed=3 * seed + number,
    )  # fmt: skip


def half(shares: np.ndarray, scores: np.ndarray) -> float:
    """The share at which accuracy falls below half of the first, on a logarithmic scale."""
    below = int(np.flatnonzero(scores < 0.5 * scores[0])[0])
    x = np.log(shares[below - 1 : below + 1])
    y = scores[below - 1 : below + 1]
    return float(np.exp(x[0] + (0.5 * scores[0] - y[0]) / (y[1] - y[0]) * (x[1] - x[0])))


def curves(layer: DelayLayer, events: list[motion.Events], labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy of the layer pruned to SHARES, and shortened to DELAYS."""
    pruned = np.array([layer.prune(share).score(events, labels) for share in SHARES])
    return pruned, np.array([layer.shorten(n).score(events, labels) for n in DELAYS])


def plot(layer: DelayLayer, events: motion.Events, pruned: np.ndarray, short: np.ndarray, path: Path) -> None:
    """Kernels, curves and the spikes that one film evokes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure = plt.figure(figsize=(11, 8), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.2, 1))
    shown = (0, 2, 4, 6, 8, 10)
    top.suptitle("weights of ON minus OFF, by delay; motions of 0.63 pixels a step")
    for row, delay in enumerate(shown):
        for column, c in enumerate(range(24, 36)):
            panel = top.add_subplot(len(shown), 12, 12 * row + column + 1)
            kernel = layer.weights[c, 0, delay] - layer.weights[c, 1, delay]
            panel.imshow(kernel, cmap="RdBu_r", vmin=-np.abs(kernel).max(), vmax=np.abs(kernel).max())
            panel.set(xticks=[], yticks=[])
            if column == 0:
                panel.set_ylabel(f"{delay}", fontsize=8)
            if row == 0:
                vy, vx = motion.motions()[c]
                panel.set_title(f"{np.degrees(np.arctan2(vy, vx)) % 360:.0f}°", fontsize=8)
    panels = bottom.subplots(1, 3)
    panels[0].semilogx(SHARES, pruned, "o-")
    panels[0].set(xlabel="share of the weights", ylabel="accuracy", ylim=(0, 1.02))
    panels[1].plot(DELAYS, short, "o-")
    panels[1].set(xlabel="delays that are left", ylim=(0, 1.02))
    step, winner, _, _ = layer.prune(1e-2).spikes(events)
    panels[2].plot(step, winner, ".", ms=2)
    panels[2].set(xlabel="step", ylabel="class of spikes", ylim=(-1, 36), xlim=(0, STEPS))
    figure.savefig(path, dpi=110)
    plt.close(figure)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=("leaves", "photographs"), default="leaves")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--samples", type=int, default=72, help="films that are judged [72]")
    parser.add_argument("--out", type=Path, default=Path("results"))
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    events, labels = films(given.source, "train", given.seed, 200)
    print(f"{sum(len(step) for step, _ in events) / 1e6:.1f} million events in {time.perf_counter() - begin:.0f} s")
    begin = time.perf_counter()
    layer = DelayLayer(36, (SIZE, SIZE), seed=given.seed).fit(events, labels)
    print(f"learned in {time.perf_counter() - begin:.0f} s; cross-entropy {layer.losses[-1]:.2f} nats")
    events, labels = films(given.source, "test", given.seed, given.samples)
    pruned, short = curves(layer, events, labels)
    print(f"accuracy {100 * pruned[0]:.1f} % of {len(events)} films; chance 2.8 %")
    for share, value in zip(SHARES[1:], pruned[1:], strict=True):
        print(f"  {share:7.2%} of the weights: {100 * value:.1f} %")
    for n, value in zip(DELAYS[1:], short[1:], strict=True):
        print(f"  {n} of 21 delays: {100 * value:.1f} %")
    small = layer.prune(1e-2)
    calm, _ = films(given.source, "validation", given.seed, 4)
    layer.threshold = small.calibrate(calm)
    found = [small.spikes(film)[1] == label[0] for film, label in zip(events[:8], labels, strict=False)]
    right = np.concatenate(found).mean()
    print(f"spikes of 1 % of the weights: {100 * right:.0f} % are of the right class, threshold {layer.threshold:.2f}")
    plot(layer, events[0], pruned, short, given.out / f"grimaldi_perrinet_2023_{given.source}.png")


if __name__ == "__main__":
    main()
