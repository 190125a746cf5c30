"""Speed of classification beside snnTorch and SpikingJelly, in one process, in turns; medians of several rounds.

    python scripts/bench/inference.py [--rounds 5] [--threads 2] [--hidden 512]

Integrate-and-fire neurons with random weights, direct input, soft reset: a network 64 - hidden - hidden - 10 and a
small one of convolutions run 32 steps in all of them, in float32. Labels are compared. Then an agent stops samples of
the first at a mean of about 4.4 steps.
"""

import argparse
import importlib.metadata
import statistics
import time
from collections.abc import Callable
from typing import Any

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


def peers_of(layers: list[Any], threads: int) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The same in snnTorch (Leaky with beta 1, reset in the step of the spike) and SpikingJelly (IFNode, soft reset).

    ``layers``: torch modules; "neurons" stands for neurons. The first module is computed once, its result is a current.
    """
    import torch

    torch.set_num_threads(threads)
    found: dict[str, Callable[[np.ndarray], np.ndarray]] = {}
    try:
        import snntorch

        def make() -> Any:
            return snntorch.Leaky(1.0, reset_mechanism="subtract", reset_delay=False, init_hidden=True)

        cells = [make() if layer == "neurons" else layer for layer in layers]
        found[f"snnTorch {importlib.metadata.version('snntorch')}"] = runner(cells)
    except ImportError as error:
        print(f"snnTorch: not measured, {error}")
    try:
        from spikingjelly.activation_based import neuron

        cells = [neuron.IFNode(1.0, None).eval() if layer == "neurons" else layer for layer in layers]
        found[f"SpikingJelly {importlib.metadata.version('spikingjelly')}"] = runner(cells)
    except ImportError as error:
        print(f"SpikingJelly: not measured, {error}")
    return found


def runner(layers: list[Any]) -> Callable[[np.ndarray], np.ndarray]:
    """Labels by these layers, whose neurons begin at half of the threshold."""
    import torch

    def reset(layer: Any, shape: Any) -> None:
        if hasattr(layer, "reset_mem"):
            layer.mem = torch.full(shape, 0.5)
        elif hasattr(layer, "v_threshold"):
            layer.reset()
            layer.v = torch.full(shape, 0.5)

    @torch.no_grad()
    def run(x: np.ndarray) -> np.ndarray:
        current = layers[0](torch.from_numpy(x))
        total: Any = 0.0
        for step in range(STEPS):
            value = current
            for layer in layers[1:]:
                if step == 0:
                    reset(layer, value.shape)
                value = layer(value)
            total = total + value
        return np.asarray(total.argmax(1).numpy())

    return run


def dense(w: list[np.ndarray]) -> list[Any]:
    """Layers of torch with these weights."""
    import torch
    from torch import nn

    linear = [nn.Linear(x.shape[1], x.shape[0], bias=False) for x in w]
    with torch.no_grad():
        for layer, x in zip(linear, w, strict=True):
            layer.weight.copy_(torch.from_numpy(x))
    return [linear[0], "neurons", linear[1], "neurons", linear[2]]


def convolutional(threads: int) -> tuple[snn.Classifier, list[Any]]:
    """A small network of convolutions for 8 x 8 pixels, random weights: ours, converted, and layers of torch."""
    import torch
    from torch import nn

    from snn.torch import QCFS, from_torch

    torch.manual_seed(0)
    one, two, out = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, padding=1), nn.Linear(128, 10)
    with torch.no_grad():
        for layer in (one, two):
            layer.weight.mul_(1.5)
            layer.bias.zero_()
    ours = from_torch(
        nn.Sequential(one, QCFS(8, 1.0), nn.AvgPool2d(2), two, QCFS(8, 1.0), nn.AvgPool2d(2), nn.Flatten(), out),
        (1, 8, 8), precision="float32", threads=threads,
    )  # fmt: skip
    return ours, [one, "neurons", nn.AvgPool2d(2), two, "neurons", nn.AvgPool2d(2), nn.Flatten(), out]


def seconds(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median time of each, in turns. Before each one of its own is not counted: libraries' threads spin for some
    milliseconds after their work, beside whoever comes next."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            run()
            begin = time.perf_counter()
            run()
            taken[name].append(time.perf_counter() - begin)
    return {name: statistics.median(times) for name, times in taken.items()}


def compare(
    title: str, ours: snn.Classifier, peers: dict[str, Callable[[np.ndarray], np.ndarray]], x: np.ndarray,
    args: argparse.Namespace,
) -> None:  # fmt: skip
    """Print the rows of one network."""
    expected = ours.predict(x[:256], STEPS)
    trace = ours.record(x[:256], STEPS)
    print(
        f"\n{title}: spikes a sample {trace.spikes[-1].mean():.0f}, synaptic operations {trace.synops[-1].mean():.3g}; "
        + ", ".join(f"{name} has {np.mean(run(x[:256]) == expected):.1%} of our labels" for name, run in peers.items())
    )
    print(f"| batch | Volley, {args.threads} threads, us a sample | " + " | ".join(peers) + " (times ours) |")
    for batch in (1, 256):
        runs: dict[str, Callable[[], object]] = {"": lambda b=batch: ours.predict(x[:b], STEPS)}
        runs |= {name: lambda run=run, b=batch: run(x[:b]) for name, run in peers.items()}
        found = seconds(runs, args.rounds if batch > 1 else 10 * args.rounds)
        ratios = " | ".join(f"{found[name] / found['']:.1f}" for name in peers)
        print(f"| {batch} | {found[''] / batch * 1e6:.1f} | {ratios} |")


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
    compare(f"64-{args.hidden}-{args.hidden}-10", ours, peers_of(dense(w), args.threads), x, args)
    small, layers = convolutional(args.threads)
    compare("8 x 8, 16 and 32 channels, 10", small, peers_of(layers, args.threads), x.reshape(-1, 1, 8, 8), args)
    trace = ours.record(x, STEPS)
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
