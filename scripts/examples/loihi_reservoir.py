"""A reservoir on its way to Loihi: in floats, in Loihi's integers, and run by Lava.

    python scripts/examples/loihi_reservoir.py --out results --seed 0 [--lava 30]

One of two templates of Poisson spikes on 20 channels (Maass et al. 2002, doi:10.1162/089976602760407955) comes every
100 ms, its spikes moved about, into a recurrent network of 200 neurons. Was it the same as the one before? No linear
readout of the input can tell; a linear readout of the neurons' filtered spikes can, for the network mixes both. The
readout stays on the host.

1. Floats: simulate, train the readout on the first trials, choose its penalty on further ones, test it on the last.
2. Integers: quantise, run; the readout as it was trained on floats, and trained anew on what the integers did.
3. Lava: run a bundle of the first trials of the test, and compare every spike and state.

Needs an environment with Lava (scripts/lava_env.sh); --lava 0 leaves Lava out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from loihi_digits import draw

import reservoir
import snn
from neuromorphic import IntegerNetwork, IntegerSource, cost, export_lava, quantize, run_lava

CHANNELS, TRIAL, RATE, JITTER = 20, 100, 20.0, 4.0  # ms, Hz, ms
TRAIN, CHOOSE, TEST = 500, 250, 250  # trials
DRIVE, WEIGHT, INPUT = 60.0, 15.0, 200.0  # pA; chosen on the trials CHOOSE of seed 100
PENALTIES = 10.0 ** np.arange(-1, 5)


def network(seed: int, steps: np.ndarray, ids: np.ndarray) -> snn.Network:
    """160 excitatory and 40 inhibitory neurons, 10 % joined, driven by the channels; dt = 1 ms."""
    model = snn.LIFExp(tau_m=30.0, tau_syn_ex=5.0, tau_syn_in=5.0, t_ref=0.0, i_e=snn.normal(DRIVE, 15.0))
    net = reservoir.random_network(
        200, model, snn.pairwise_bernoulli(0.1), weight=WEIGHT, delay=snn.uniform(1.0, 20.0), seed=seed
    )
    source = net.population("in", CHANNELS, snn.SpikeArray(steps, ids))
    for name in ("exc", "inh"):
        net.connect(source, name, snn.pairwise_bernoulli(0.3), weight=snn.normal(0.0, INPUT), delay=1.0)
        net.record(name, "spikes")
    return net


def patterns(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(steps, channels) of all trials one after the other, and by trial whether it is as the one before."""
    count = TRAIN + CHOOSE + TEST
    trains, labels = reservoir.tasks.spike_templates(
        count, 2, CHANNELS, rate=RATE, duration=TRIAL, jitter=JITTER, seed=seed
    )
    steps = np.concatenate([np.floor(t) + 1 + k * TRIAL for k, (t, _) in enumerate(trains)])
    ids = np.concatenate([i for _, i in trains])
    found = np.unique(np.stack((steps, ids), axis=1), axis=0)  # a channel spikes once a step
    return found[:, 0], found[:, 1].astype(np.int64), np.equal(labels, np.roll(labels, 1)).astype(np.int64)


def states(steps: np.ndarray, ids: np.ndarray, n: int) -> np.ndarray:
    """Spikes through an exponential filter of 30 ms at the end of each trial; shape (trials, n)."""
    trials = TRAIN + CHOOSE + TEST
    record = snn.SpikeRecord("all", np.asarray(steps, float), ids, n, 0.0, float(trials * TRIAL), 1.0)
    return reservoir.filtered(record, float(TRIAL), 30.0)


def joined(spikes: dict[str, tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of both populations as of one of 200, in order of time."""
    steps = np.concatenate([s for s, _ in spikes.values()])
    ids = np.concatenate([spikes["exc"][1], spikes["inh"][1] + 160])
    order = np.lexsort((ids, steps))
    return steps[order], ids[order]


class Answers:
    """A ridge readout of one-hot labels; its penalty is chosen on trials that it is not trained on."""

    def __init__(self, x: np.ndarray, labels: np.ndarray) -> None:
        self.targets = np.eye(2)[labels]
        self.labels = labels
        self.readouts = [reservoir.Ridge(penalty=p).fit(x[:TRAIN], self.targets[:TRAIN]) for p in PENALTIES]
        self.readout = max(self.readouts, key=lambda r: self.right(x, slice(TRAIN, TRAIN + CHOOSE), r))

    def right(self, x: np.ndarray, trials: slice = slice(TRAIN + CHOOSE, None), readout: Any = None) -> float:
        """Share of right answers."""
        found = (readout or self.readout).predict(x[trials]).argmax(1)
        return float(np.mean(found == self.labels[trials]))


def run(seed: int, out: Path, lava: int) -> dict[str, Any]:
    """All stages; figures by name. Writes a raster of a trial at each."""
    steps, ids, labels = patterns(seed)
    total = len(labels) * TRIAL
    net = network(seed, steps, ids)
    result = snn.Simulation(net, dt=1.0, quiet=True).run(float(total))
    floats = joined({k: (np.rint(s.times), s.ids) for k, s in result.spikes.items()})
    quantized = quantize(net, dt=1.0)
    print(quantized)
    done = quantized.network.run(total)
    integers = joined({k: (done.steps[k], done.ids[k]) for k in ("exc", "inh")})
    if any(w.any() for w in done.wraps.values()):
        raise SystemExit("u wrapped")
    x, y, z = states(*floats, 200), states(*integers, 200), states(steps, ids, CHANNELS)
    answers, again, direct = Answers(x, labels), Answers(y, labels), Answers(z, labels)
    report = cost(quantized.network, done, total, "loihi1")
    print(report)
    counts = [np.bincount(s[1], minlength=200) for s in (floats, integers)]
    found: dict[str, Any] = {
        "seed": seed, "trials tested": TEST, "chosen on": answers.right(x, slice(TRAIN, TRAIN + CHOOSE)),
        "input alone": direct.right(z),
        "float": answers.right(x), "integers, readout of floats": answers.right(y),
        "integers, trained anew": again.right(y), "rate float Hz": len(floats[0]) / 200 / total * 1e3,
        "rate integers Hz": len(integers[0]) / 200 / total * 1e3,
        "correlation of the neurons' rates": np.corrcoef(*counts)[0, 1],
    } | {f"{name} nJ a trial": e / len(labels) for name, e in report.energy.items()}  # fmt: skip
    begin = (TRAIN + CHOOSE) * TRIAL
    panels = {name: trial(s, begin) for name, s in (("float", floats), ("integers", integers))}
    if lava:
        some = part(quantized.network, begin, lava * TRIAL)
        with tempfile.TemporaryDirectory() as folder:
            theirs = run_lava(export_lava(some, Path(folder) / "bundle", lava * TRIAL))
        spikes = joined({k: (np.nonzero(s)[0] + 1, np.nonzero(s)[1]) for k, s in theirs.spikes.items()})
        found |= {"lava steps": lava * TRIAL, "lava equal": theirs.equal, "lava spikes": len(spikes[0])}
        found["lava seconds"] = theirs.seconds
        padded = states(spikes[0] + begin, spikes[1], 200)
        found["lava, trained on integers"] = again.right(padded, slice(TRAIN + CHOOSE, TRAIN + CHOOSE + lava))
        panels["Lava"] = trial(spikes, 0)
    draw(panels, out / "loihi_reservoir.png", "reservoir, one trial")
    return found


def trial(spikes: tuple[np.ndarray, np.ndarray], begin: int) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of the trial that begins after step ``begin``."""
    mine = (spikes[0] > begin) & (spikes[0] <= begin + TRIAL)
    return spikes[0][mine] - begin, spikes[1][mine]


def part(net: IntegerNetwork, begin: int, steps: int) -> IntegerNetwork:
    """The network with the input of ``steps`` steps after step ``begin``, from its initial state."""
    source = net.sources["in"]
    mine = (source.steps > begin) & (source.steps <= begin + steps)
    return IntegerNetwork(
        net.populations, {"in": IntegerSource(source.n, source.steps[mine] - begin, source.ids[mine])}, net.projections
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lava", type=int, default=30, help="trials that Lava runs; 0: none")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    print(json.dumps(run(args.seed, args.out, args.lava), indent=1, default=float))


if __name__ == "__main__":
    main()
