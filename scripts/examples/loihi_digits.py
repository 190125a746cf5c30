"""A digits classifier on its way to Loihi: trained, converted to spikes, quantised, stopped early, run by Lava.

    python scripts/examples/loihi_digits.py --out results --seed 0 [--lava 100]

1. Train 64-128-10 with quantised activations (QCFS, Bu et al. 2022, doi:10.48550/arXiv.2303.04347) on 700 samples.
2. Convert it to integrate-and-fire neurons; a pixel x sends round(x t) spikes in t steps, evenly spread.
3. Quantise it to Loihi's integers; record the integer outputs of 1,097 other samples, in three parts: an agent of early
   termination is fitted on the first and certified on the second. Its bar is an integer.
4. Classify the third part with and without the agent: accuracy, steps, spikes, synaptic operations, energy.
5. Write a bundle of the first of them, let Lava run it with its readout and compare every spike, state and decision.

Needs the ``torch`` extra, and an environment with Lava (scripts/lava_env.sh); --lava 0 leaves Lava out.
"""

from __future__ import annotations

import argparse
import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import snn
from neuromorphic import IntegerReadout, classify, cost, export_classifier, quantize, record, run_lava
from snn.confidence import EarlyExit

STEPS = 34  # two of them until the output hears of the input
ENCODER = snn.encode.Events("input")


def digits(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples, 0 to 1, and labels of scikit-learn's digits in an order of their own."""
    from sklearn.datasets import load_digits

    data = load_digits()
    order = np.random.default_rng(seed).permutation(len(data.target))
    return data.data[order] / 16.0, data.target[order]


def train(x: np.ndarray, y: np.ndarray, seed: int) -> tuple[snn.Classifier, Any]:
    """The converted classifier, and a function that gives the artificial network's answers."""
    import torch

    from snn.torch import QCFS, from_torch
    from snn.torch import train as fit

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    ann = torch.nn.Sequential(torch.nn.Linear(64, 128), QCFS(4, 2.0), torch.nn.Linear(128, 10))
    fit(ann, x, y, epochs=80, seed=seed)

    def answers(x: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return ann(torch.tensor(x, dtype=torch.float32)).argmax(1).numpy()

    return from_torch(ann, (64,), encoder=ENCODER, latency="pipelined"), answers


def evenly(x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """(steps, pixels) of each sample: round(x t) spikes in the first t steps."""
    counts = np.floor(x[:, None] * np.arange(STEPS + 1)[:, None] + 0.5)
    return [np.nonzero(sample) for sample in np.diff(counts, axis=1)]


def float_spikes(net: snn.Network, sample: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(steps, neurons) of layer 1 in the float network."""
    net = copy.deepcopy(net)
    net.populations["input"].model = snn.SpikeArray(sample[0] + 1.0, sample[1])
    net.record("layer1")
    spikes = snn.Simulation(net, dt=1.0, quiet=True).run(float(STEPS)).spikes["layer1"]
    return np.rint(spikes.times), spikes.ids


def run(seed: int, out: Path, lava: int, eps: float = 0.02, delta: float = 0.1) -> dict[str, Any]:
    """All stages; figures by name. Writes a raster of the first sample at each stage."""
    x, y = digits(seed)
    classifier, answers = train(x[:700], y[:700], seed)
    samples, x, y = evenly(x[700:]), x[700:], y[700:]
    names = np.arange(len(y))
    quantized = quantize(classifier.network, dt=1.0, steps=STEPS)
    print(quantized)
    net = quantized.network
    floats = classifier.record(samples, STEPS, labels=y, ids=names)
    integers = record(net, ENCODER, samples, "output", STEPS, labels=y, ids=names)

    fit, calibrate, test = integers.split([0.2, 0.4, 0.4], seed=seed)
    agent = EarlyExit("margin").fit(fit)
    print(agent.certify(calibrate, risk="disagreement", eps=eps, delta=delta).statement())
    stopping = IntegerReadout.of(agent, "output", integers)
    chosen, labels = [samples[k] for k in test.ids], y[test.ids]
    whole = classify(net, ENCODER, chosen, IntegerReadout("output", STEPS), ids=test.ids)
    early = classify(net, ENCODER, chosen, stopping, ids=test.ids)
    found: dict[str, Any] = {
        "seed": seed, "samples": len(labels), "ann": np.mean(answers(x[test.ids]) == labels),
        "float": np.mean(floats.outputs[-1, test.ids].argmax(1) == labels),
        "integers": np.mean(whole.labels == labels), "stopped": np.mean(early.labels == labels),
        "agree": np.mean(floats.outputs[-1, test.ids].argmax(1) == whole.labels),
        "changed by stopping": np.mean(early.labels != whole.labels), "bar": stopping.bar,
        "steps": early.steps.mean(), "steps at least": integers.first_step, "steps of all": STEPS,
        "spikes float": floats.spikes[-1, test.ids].mean(),
    }  # fmt: skip
    for name, done in (("all steps", whole), ("stopped", early)):
        report = cost(done.network, done.result, done.total, "loihi1")
        print(f"-- {name}, {len(labels)} samples\n{report}")
        found |= {
            f"spikes {name}": sum(report.spikes.values()) / len(labels),
            f"synops {name}": report.synops / len(labels),
        }
        found |= {f"{profile} {name} nJ": e / len(labels) for profile, e in report.energy.items()}
    panels = {"float": float_spikes(classifier.network, chosen[0])}
    first = whole.result.steps["layer1"] <= STEPS
    panels["integers"] = whole.result.steps["layer1"][first], whole.result.ids["layer1"][first]
    if lava:
        some = classify(net, ENCODER, chosen[:lava], stopping, ids=test.ids[:lava])
        with tempfile.TemporaryDirectory() as folder:
            done = run_lava(export_classifier(some, Path(folder) / "bundle"))
        found |= {
            "lava samples": lava,
            "lava steps": some.total,
            "lava equal": done.equal,
            "lava seconds": done.seconds,
        }
        found["lava"] = np.mean(done.decisions[:, 1] == labels[:lava]) if done.decisions is not None else None
        when, which = np.nonzero(done.spikes["layer1"][: some.steps[0]])
        panels[f"Lava, stopped in step {some.steps[0]}"] = when + 1, which
    draw(panels, out / "loihi_digits.png", f"hidden layer, one sample (a {labels[0]})")
    return found


def draw(panels: dict[str, tuple[np.ndarray, np.ndarray]], path: Path, title: str) -> None:
    """Rasters side by side."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 3.2), sharex=True, sharey=True)
    for axis, (name, (steps, ids)) in zip(axes, panels.items(), strict=True):
        axis.plot(steps, ids, "k.", markersize=2)
        axis.set(title=name, xlabel="step")
    axes[0].set_ylabel("neuron")
    figure.suptitle(title)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(path)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lava", type=int, default=100, help="samples that Lava runs; 0: none")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    found = run(args.seed, args.out, args.lava)
    print(json.dumps(found, indent=1, default=float))


if __name__ == "__main__":
    main()
