"""Speed of classification beside snnTorch and SpikingJelly, in one process, in turns; medians of several rounds.

    python scripts/bench/inference.py [--rounds 5] [--threads 2] [--hidden 512]

A network of integrate-and-fire neurons 64 - hidden - hidden - 10 with random weights, direct input, soft reset, runs 32
steps in all of them, snnTorch and SpikingJelly in float32 as their users run them. Labels are compared. Then an agent
stops samples at a mean of about 4.4 steps.
"""

import argparse
import importlib.metadata
import statistics
import time
from collections.abc import Callable

import numpy as np

import snn
from snn.confidence import EarlyExit

STEPS = 32


def weights(hidden: int) -> list[np.ndarray]:
    """Weights of three layers, with which about a tenth to a third of the neurons spike in a step."""
    rng = np.random.default_rng(0)
    shapes = ((hidden, 64), (hidden, hidden), (10, hidden))
    scales = (0.12, 0.9 / np.sqrt(hidden), 1.0 / np.sqrt(hidden))
    return [rng.normal(0.0, s, shape).astype(np.float32) for shape, s in zip(shapes, scales, strict=True)]


def classifier(w: list[np.ndarray], threads: int) -> snn.Classifier:
    """The network on our kernels."""
    net, hidden = snn.Network(), len(w[0])
    soft = snn.CubaLIF(alpha=0.0, beta=1.0, v_th=1.0, reset=1)
    one, two = (net.population(name, hidden, soft, init={"v": 0.5}) for name in ("one", "two"))
    out = net.population("out", 10, snn.CubaLIF(alpha=0.0, beta=1.0, v_th=1e30))
    net.input("x", one, snn.StepCurrent(np.zeros((1, hidden))))
    net.connect(one, two, snn.all_to_all(), weight=w[1].T, delay=1.0)
    net.connect(two, out, snn.all_to_all(), weight=w[2].T, delay=1.0)
    return snn.Classifier(net, snn.encode.Direct("x", w[0]), out, precision="float32", threads=threads)


def snntorch_runner(w: list[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """The same in snnTorch: Leaky with beta 1, reset in the step of the spike."""
    import snntorch
    import torch

    linear = [torch.from_numpy(x) for x in w]
    cells = [snntorch.Leaky(beta=1.0, threshold=1.0, reset_mechanism="subtract", reset_delay=False) for _ in range(2)]

    @torch.no_grad()
    def run(x: np.ndarray) -> np.ndarray:
        current = torch.from_numpy(x) @ linear[0].T
        mem = [torch.full((len(x), len(w[0])), 0.5) for _ in range(2)]
        total = torch.zeros(len(x), 10)
        for _ in range(STEPS):
            spikes, mem[0] = cells[0](current, mem[0])
            spikes, mem[1] = cells[1](spikes @ linear[1].T, mem[1])
            total += spikes @ linear[2].T
        return total.argmax(1).numpy()

    return run


def spikingjelly_runner(w: list[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """The same in SpikingJelly: IFNode with soft reset."""
    import torch
    from spikingjelly.activation_based import functional, neuron

    linear = [torch.from_numpy(x) for x in w]
    cells = [neuron.IFNode(v_threshold=1.0, v_reset=None).eval() for _ in range(2)]

    @torch.no_grad()
    def run(x: np.ndarray) -> np.ndarray:
        current = torch.from_numpy(x) @ linear[0].T
        total = torch.zeros(len(x), 10)
        for cell in cells:
            functional.reset_net(cell)
            cell.v = torch.full((len(x), len(w[0])), 0.5)
        for _ in range(STEPS):
            total += cells[1](cells[0](current) @ linear[1].T) @ linear[2].T
        return total.argmax(1).numpy()

    return run


def seconds(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median time of each, in turns, after one that is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for k in range(rounds + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            if k:
                taken[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in taken.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=512)
    args = parser.parse_args()
    w = weights(args.hidden)
    x = np.random.default_rng(1).random((4388, 64)).astype(np.float32)
    ours = classifier(w, args.threads)
    peers: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    for name, package, make in (
        ("snnTorch", "snntorch", snntorch_runner), ("SpikingJelly", "spikingjelly", spikingjelly_runner),
    ):  # fmt: skip
        try:
            peers[f"{name} {importlib.metadata.version(package)}"] = make(w)
        except ImportError as error:
            print(f"{name}: not measured, {error}")
    if peers:
        import torch

        torch.set_num_threads(args.threads)
    expected = ours.predict(x[:256], STEPS)
    for name, run in peers.items():
        print(f"{name}: {np.mean(run(x[:256]) == expected):.1%} of labels are ours (float32, other orders of sums)")
    trace = ours.record(x, STEPS)
    print(f"spikes a sample {trace.spikes[-1].mean():.0f}, synaptic operations {trace.synops[-1].mean():.3g}")
    print(f"\n| batch | Volley, {args.threads} threads, us a sample | " + " | ".join(peers) + " (times ours) |")
    for batch in (1, 256):
        runs: dict[str, Callable[[], object]] = {"": lambda b=batch: ours.predict(x[:b], STEPS)}
        runs |= {name: lambda run=run, b=batch: run(x[:b]) for name, run in peers.items()}
        found = seconds(runs, args.rounds if batch > 1 else 10 * args.rounds)
        ratios = " | ".join(f"{found[name] / found['']:.1f}" for name in peers)
        print(f"| {batch} | {found[''] / batch * 1e6:.1f} | {ratios} |")
    agent = EarlyExit("margin").for_budget(trace, mean_steps=4.42)
    expected_steps = agent.decide(trace)
    stopped = ours.run(x, agent, STEPS)
    same = np.array_equal(stopped.labels, expected_steps.labels) and np.array_equal(stopped.steps, expected_steps.steps)
    print(f"\nagent: mean {stopped.steps.mean():.2f} of {STEPS} steps, as on the trace: {same}, "
          f"{stopped.spikes.mean() / trace.spikes[-1].mean():.1%} of the spikes")  # fmt: skip
    one = [ours.run(x[k : k + 1], agent, STEPS) for k in range(300)]
    same = all(r.labels[0] == stopped.labels[k] and r.steps[0] == stopped.steps[k] for k, r in enumerate(one))
    print(f"batch 1 equals batch {len(x)}: {same}")
    for name, batches in (("4388", [x]), ("1", [x[k : k + 1] for k in range(300)])):
        found = seconds(
            {
                "full": lambda bs=batches: [ours.predict(b, STEPS) for b in bs],
                "stopped": lambda bs=batches: [ours.run(b, agent, STEPS) for b in bs],
            },
            args.rounds,
        )
        print(f"batch {name}: full run over stopped run {found['full'] / found['stopped']:.2f}")


if __name__ == "__main__":
    main()
