"""A network that stops each inference as soon as it may: Li, Jones & Furber (2023), arXiv 2303.10276.

    python scripts/examples/dynamic_confidence.py --task digits --out results     (or: --task shapes)

1. Train an artificial network with quantised activations (QCFS, Bu et al. 2022), torch on the CPU.
2. Convert it to integrate-and-fire neurons, an ordinary ``snn.Network`` on the event kernels.
3. Record the outputs of three disjoint sets of samples; fit an agent on the first, certify it on the second.
4. Run the third, each sample stopped by the agent, and compare with the published agents: table and Pareto plot.
5. Write what others need: trace (HDF5), agent with certificate (JSON), and for Lava and Loihi a bundle of the network
   in integers, with spikes as input, an agent of its own and 20 samples (:func:`neuromorphic.export_classifier`).

digits: 8 x 8 pixels as a current in each step (scikit-learn's set). shapes: ON and OFF events of an event camera before
which one of four shapes goes round (:func:`reservoir.tasks.moving_shapes`); the network sees nothing but events.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import snn
from neuromorphic import IntegerReadout, classify, export_classifier, quantize, record
from reservoir import tasks
from snn.confidence import DTSNN, DynamicConfidence, EarlyExit, Patience, TopK, compare
from snn.torch import QCFS, from_torch, train


def digits(seed: int) -> tuple[Any, np.ndarray, nn.Sequential, tuple[int, ...], int]:
    """Samples for the classifier, labels, the network (trained on the first 700), shape of its input, steps."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.target))
    x, y = data.data[order] / 16.0, data.target[order]
    ann = nn.Sequential(nn.Linear(64, 128), QCFS(4, 2.0), nn.Linear(128, 128), QCFS(4, 2.0), nn.Linear(128, 10))
    train(ann, x[:700], y[:700], epochs=80, seed=seed)
    return x, y, ann, (64,), 32


def shapes(seed: int) -> tuple[Any, np.ndarray, nn.Sequential, tuple[int, ...], int]:
    """As :func:`digits`; trained on the numbers of events of the first 3,000."""
    steps = 128
    x, y = tasks.moving_shapes(6000, steps=steps, seed=seed)
    frames = np.zeros((3000, 512))
    for frame, (_, address) in zip(frames, x, strict=False):
        np.add.at(frame, address, 1.0 / steps)
    ann = nn.Sequential(
        nn.Conv2d(2, 8, 5, padding=2), QCFS(8, 0.5), nn.AvgPool2d(2), nn.Conv2d(8, 16, 3, padding=1), QCFS(8, 0.5),
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(256, 4),
    )  # fmt: skip
    train(ann, frames.reshape(-1, 2, 16, 16), y[:3000], epochs=25, lr=5e-3, seed=seed)
    return x, y, ann, (2, 16, 16), steps


def export(ann: nn.Sequential, shape: tuple[int, ...], encoder: Any, x: Any, y: Any, steps: int, folder: Path) -> str:
    """Write the network in integers, with an agent fitted to it, for Lava; what it does with the samples after 600."""
    network = quantize(from_torch(ann, shape, encoder=encoder).network, 1.0, steps=steps).network
    trace = record(network, encoder, x[:600], "output", steps, labels=y[:600])
    fit, calibrate = trace.split([0.3, 0.7], seed=0)
    agent = EarlyExit("margin").fit(fit)
    agent.certify(calibrate, risk="disagreement", eps=0.05, delta=0.2)
    run = classify(network, encoder, x[600:620], IntegerReadout.of(agent, "output", trace))
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run
    export_classifier(run, folder)
    right = np.mean(run.labels == y[600:620])
    return f"{folder}: in integers {run.steps.mean():.1f} of {steps} steps, {right:.0%} of 20 samples right"


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("digits", "shapes"), default="digits")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--eps", type=float, default=0.02, help="share of decisions that may differ from all steps'")
    parser.add_argument("--delta", type=float, default=0.1, help="chance that the calibration set misleads")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(args.seed)
    begin = time.perf_counter()
    x, y, ann, shape, steps = {"digits": digits, "shapes": shapes}[args.task](args.seed)
    events = snn.encode.Events("input")
    classifier = from_torch(ann, shape) if args.task == "digits" else from_torch(ann, shape, encoder=events)
    print(f"trained and converted in {time.perf_counter() - begin:.1f} s: {list(classifier.network.populations)}")
    seen = 700 if args.task == "digits" else 3000
    x, y = x[seen:], y[seen:]
    trace = classifier.record(x, steps, labels=y)
    fit, calibrate, test = trace.split([0.2, 0.4, 0.4], seed=args.seed)
    agent = EarlyExit("margin").fit(fit)
    certificate = agent.certify(calibrate, risk="disagreement", eps=args.eps, delta=args.delta)
    print(certificate.statement())

    others = [other.fit(fit) for other in (DynamicConfidence(scale="auto"), DTSNN(scale="auto"), TopK(), Patience(3))]
    for other in others[:2]:  # which have no bar of their own
        other.for_budget(fit, mean_steps=certificate.expected_steps)
    report = compare(test, [agent, *others])
    print(report.table())

    chosen = [k for k, name in enumerate(trace.ids) if name in set(test.ids.tolist())]
    samples = [x[k] for k in chosen] if isinstance(x, list) else x[chosen]
    took = {}
    for name, run in (("all steps", lambda: classifier.predict(samples, steps)),
                      ("stopped", lambda: classifier.run(samples, agent).labels)):  # fmt: skip
        begin = time.perf_counter()
        labels = run()
        took[name] = time.perf_counter() - begin
        print(f"{name}: {np.mean(labels == y[chosen]):.2%} right, {took[name] / len(chosen) * 1e6:.0f} us a sample")
    done = classifier.run(samples, agent)
    full = trace.take(chosen)
    print(
        f"{done.steps.mean():.2f} of {steps} steps, {done.spikes.mean() / full.spikes[-1].mean():.1%} of the spikes, "
        f"{took['all steps'] / took['stopped']:.1f} times faster"
    )
    report.plot().figure.savefig(args.out / f"dynamic_confidence_{args.task}.png", dpi=150, bbox_inches="tight")
    trace.save(args.out / f"dynamic_confidence_{args.task}.h5")
    document = json.dumps(agent.to_dict(), indent=1)
    (args.out / f"dynamic_confidence_{args.task}.json").write_text(document, encoding="utf-8")
    spikes = snn.encode.Rate("input") if args.task == "digits" else events
    print(export(ann, shape, spikes, x, y, steps, args.out / f"dynamic_confidence_{args.task}_lava"))


if __name__ == "__main__":
    main()
