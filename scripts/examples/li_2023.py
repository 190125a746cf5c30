"""Inference that stops as soon as it may: Dynamic Confidence after Li, Jones & Furber (2023), arXiv 2303.10276.

    python scripts/examples/li_2023.py --out results

A network of quantised activations (QCFS) learns scikit-learn's digits in torch and is converted to integrate-and-fire
neurons with soft reset. The spiking network's answer is there from the first step and grows better with time. An agent
watches its outputs and stops each image by itself: fitted on the images that the network has learned, it is given a bar
with a guarantee on 548 others (at most 2 % of answers differ from those after all steps, with probability 90 %), and
tried on 549 more. The paper has CIFAR-10 and ImageNet; here are digits, so only the form of the result compares: 40 %
fewer steps on average in the paper, at equal accuracy.

Needs the extra ``torch`` and scikit-learn.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import snn
from snn.confidence import DynamicConfidence, EarlyExit, FixedT, compare

STEPS = 32
LEVELS, THRESHOLD = 4, 2.0
SIZES = (64, 128, 128, 128, 128, 10)


def digits(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(images, labels) to learn, 700, to calibrate, 548, and to test, 549; pixels in [0, 1]."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    order = np.random.default_rng(seed).permutation(len(images))
    return [(images[part] / 16.0, labels[part]) for part in np.split(order, [700, 1248])]


def learn(images: np.ndarray, labels: np.ndarray, epochs: int, seed: int) -> Any:
    """The artificial network."""
    import torch
    from torch import nn

    from snn.torch import QCFS, train

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    layers: list[Any] = []
    for inputs, outputs in zip(SIZES[:-1], SIZES[1:], strict=True):
        layers += [nn.Linear(inputs, outputs), QCFS(LEVELS, THRESHOLD)]
        nn.init.kaiming_normal_(layers[-2].weight)
    ann = nn.Sequential(*layers[:-1])
    train(ann, images, labels, epochs=epochs)
    return ann


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=80, help="of training, >= 1 [80]")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    if options.epochs < 1:
        parser.error("--epochs: must be >= 1")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    import torch

    from snn.torch import from_torch

    options.out.mkdir(parents=True, exist_ok=True)
    learned, calibration, test = digits(options.seed)
    ann = learn(*learned, options.epochs, options.seed)
    with torch.no_grad():
        right = ann(torch.tensor(test[0], dtype=torch.float32)).argmax(1).numpy() == test[1]
    classifier: snn.Classifier = from_torch(ann, SIZES[0])
    fit, certify, tried = (classifier.record(images, STEPS, labels) for images, labels in (learned, calibration, test))
    print(f"artificial network: {right.mean():.1%} of {len(right)} test images")

    agent = EarlyExit("margin").fit(fit)
    certificate = agent.certify(certify, risk="disagreement", eps=0.02, delta=0.1)
    print(certificate.statement())
    other = DynamicConfidence().fit(fit).for_budget(fit, mean_steps=certificate.expected_steps)
    report = compare(tried, [agent, other, FixedT(STEPS)])
    print(report.table())

    seconds = []
    for rule in (FixedT(STEPS), agent):
        classifier.run(test[0], rule, STEPS)  # kernels are compiled
        begin = time.perf_counter()
        decisions = classifier.run(test[0], rule, STEPS)
        seconds.append(time.perf_counter() - begin)
    print(f"{len(test[0])} images: all steps {seconds[0]:.3f} s, with the agent {seconds[1]:.3f} s")
    same = np.mean((decisions.labels == agent.decide(tried).labels) & (decisions.steps == agent.decide(tried).steps))
    print(f"answers and steps equal to the agent's on the recorded trace: {same:.1%}")

    figure, ax = plt.subplots(figsize=(6, 4.5), layout="constrained")
    report.plot(ax)
    path = options.out / "li_2023.png"
    figure.savefig(path, dpi=130)
    plt.close(figure)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
