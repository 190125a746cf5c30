"""Learning a temporal pattern by e-prop: Bellec et al. (2020), doi:10.1038/s41467-020-17236-y, pattern generation.

    python scripts/examples/bellec_2020.py --out results

100 LIF neurons get frozen noise; a linear readout is to give a sum of four sinusoids over one second. Each synapse
changes by its own eligibility and a learning signal of its neuron; the three kinds of feedback bring the signal there.
Printed is the normalised mean squared error: 1 for a readout that stays at the target's mean.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from plasticity import EProp

STEPS = 1000  # ms
N = 100


def task(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(input spikes of shape (STEPS, N), target of shape (STEPS, 1))."""
    rng = np.random.default_rng(seed)
    x = (rng.random((STEPS, N)) < 0.05).astype(float)
    t = np.linspace(0.0, 2.0 * np.pi, STEPS)
    waves = zip(rng.uniform(0.5, 2.0, 4), (1, 2, 3, 5), rng.uniform(0.0, 2.0 * np.pi, 4), strict=True)
    target = sum(a * np.sin(f * t + p) for a, f, p in waves)
    return x, (target / np.abs(target).max())[:, None]


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=500)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.updates < 1:
        parser.error("--updates: must be >= 1")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    options.out.mkdir(parents=True, exist_ok=True)
    x, target = task(options.seed)
    scale = 0.5 * float(np.sum((target - target.mean()) ** 2))
    fig, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    print("| feedback | error at first | at half | at the end | mean rate (Hz) | run (s) |\n|---|--:|--:|--:|--:|--:|")
    for feedback in ("symmetric", "random", "adaptive"):
        net = EProp(
            N, N, 1, tau_m=30.0, tau_out=30.0, c_reg=30.0, feedback=feedback, learning_rate=1e-3, seed=options.seed
        )
        begin = time.perf_counter()
        errors = [net.update(x, target) / scale for _ in range(options.updates)]
        took = time.perf_counter() - begin
        y, z = net.run(x)
        half = errors[options.updates // 2]
        row = f"{errors[0]:.2f} | {half:.3f} | {errors[-1]:.3f} | {1e3 * z.mean():.1f} | {took:.1f}"
        print(f"| {feedback} | {row} |", flush=True)
        left.semilogy(errors, label=feedback)
        right.plot(y[:, 0], lw=1, label=feedback)
    left.set(xlabel="update", ylabel="normalised squared error")
    right.plot(target[:, 0], "k--", lw=1, label="target")
    right.set(xlabel="time (ms)", ylabel="readout")
    right.legend()
    path = options.out / "bellec_2020.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
