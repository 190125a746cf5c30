"""Learning by e-prop: two tasks of Bellec et al. (2020), doi:10.1038/s41467-020-17236-y.

    python scripts/examples/bellec_2020.py --out results

1. Pattern generation. 100 LIF neurons get frozen noise; a linear readout is to give a sum of four sinusoids over one
   second. Printed is the normalised mean squared error: 1 for a readout that stays at the target's mean.
2. Accumulation of evidence. Seven cues come from left or right; after a delay of 0.5 to 1.5 s, 50 LIF and 50 adaptive
   LIF neurons are to say from where most came. What they need to remember is in their thresholds. Training ends where
   the mean error of new trials, over ten batches before their updates, is down to 7 %; published: after 200 to 500
   updates of 64 trials.

Each synapse changes by its own eligibility and a learning signal of its neuron; the three kinds of feedback bring the
signal there.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

from plasticity import EProp

STEPS = 1000  # ms
N = 100
CUES = 7


def task(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(input spikes of shape (STEPS, N), target of shape (STEPS, 1))."""
    rng = np.random.default_rng(seed)
    x = (rng.random((STEPS, N)) < 0.05).astype(float)
    t = np.linspace(0.0, 2.0 * np.pi, STEPS)
    waves = zip(rng.uniform(0.5, 2.0, 4), (1, 2, 3, 5), rng.uniform(0.0, 2.0 * np.pi, 4), strict=True)
    target = sum(a * np.sin(f * t + p) for a, f, p in waves)
    return x, (target / np.abs(target).max())[:, None]


def evidence(rng: np.random.Generator, trials: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(input spikes, targets, mask) of shapes (trials, T, 40), (trials, T, 2), (trials, T).

    Ten inputs each for left and right cues (100 ms at 40 Hz, every 150 ms), for the question (150 ms at 40 Hz) and for
    noise (10 Hz); the answer is asked for during the question.
    """
    steps = CUES * 150 + 1500 + 150
    rate, mask = np.zeros((trials, steps, 40)), np.zeros((trials, steps))
    rate[:, :, 30:] = 0.01
    right = rng.random((trials, CUES)) < np.where(rng.random(trials) < 0.5, 0.3, 0.7)[:, None]
    for trial, asked in enumerate(CUES * 150 + rng.integers(500, 1500, trials)):
        for cue, side in enumerate(right[trial].astype(int)):
            rate[trial, cue * 150 + 50 : (cue + 1) * 150, 10 * side : 10 * side + 10] = 0.04
        rate[trial, asked : asked + 150, 20:30] = 0.04
        mask[trial, asked : asked + 150] = 1.0 / 150.0
    target = np.zeros((trials, steps, 2))
    target[np.arange(trials), :, (right.sum(axis=1) > CUES / 2).astype(int)] = 1.0
    return (rng.random(rate.shape) < rate).astype(float), target, mask


def accumulate(feedback: str, trials: int, updates: int, seed: int) -> tuple[list[float], float]:
    """(error of each new batch before its update, mean rate in Hz at the end)."""
    rng = np.random.default_rng(seed)
    net = EProp(
        40, 100, 2, tau_m=20.0, tau_out=20.0, tau_a=2000.0, t_ref=5.0, v_th=0.03, beta=np.repeat([0.0, 1.7], 50),
        c_reg=1.0, f_target=10.0, feedback=feedback, loss="cross_entropy", learning_rate=5e-3, seed=seed,
    )  # fmt: skip
    errors: list[float] = []
    rates = [0.0]
    while len(errors) < updates and not (len(errors) >= 10 and np.mean(errors[-10:]) <= 0.07):
        x, target, mask = evidence(rng, trials)
        runs = [net.run(u) for u in x]
        said = [np.argmax(m @ y) for m, (y, _) in zip(mask, runs, strict=True)]
        errors.append(float(np.mean(np.array(said) != target[:, 0].argmax(axis=1))))
        rates = [1e3 * z.mean() for _, z in runs]
        net.update(x, target, mask)
    return errors, float(np.mean(rates))


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--updates", type=int, default=500, help="at most, of each task [500]")
    parser.add_argument("--trials", type=int, default=64, help="of an update of the second task [64]")
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    for name in ("updates", "trials"):
        if getattr(options, name) < 1:
            parser.error(f"--{name}: must be >= 1")
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    options.out.mkdir(parents=True, exist_ok=True)
    x, target = task(options.seed)
    scale = 0.5 * float(np.sum((target - target.mean()) ** 2))
    fig, (left, right, last) = plt.subplots(1, 3, figsize=(14, 4), layout="constrained")
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
    print("\n| feedback | updates | error of the last ten batches | mean rate (Hz) | run (s) |\n|---|--:|--:|--:|--:|")
    for feedback in ("symmetric", "random", "adaptive"):
        begin = time.perf_counter()
        errors, rate = accumulate(feedback, options.trials, options.updates, options.seed)
        took = time.perf_counter() - begin
        row = f"{len(errors)} | {np.mean(errors[-10:]):.3f} | {rate:.1f} | {took:.0f}"
        print(f"| {feedback} | {row} |", flush=True)
        last.plot(np.convolve(errors, np.full(10, 0.1), "valid"), label=feedback)
    last.set(xlabel="update", ylabel="error, mean of ten batches")
    last.legend()
    path = options.out / "bellec_2020.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
