"""The check of verify.py on the layer of delays: motion detection after Grimaldi & Perrinet (2023)."""

from __future__ import annotations

import time

import grimaldi_perrinet_2023 as paper
import numpy as np
from verify_common import Line, Options, say

from reservoir import DelayLayer, motion

NOISE = 0.05  # of grey values, where the task is to be about as hard as in the article; see docs/delay_layer.md
FEW = {"validation": 36, "test": 108, "steps": 18, "changing": 4}  # films


def _steps(layer: DelayLayer, events: list[motion.Events], labels: np.ndarray) -> float:
    """Share of the steps with a whole past at which the class is told."""
    first = layer.delays - 1
    found = layer.predict_steps(events)
    right = [f[first:] == label[first : len(f)] for f, label in zip(found, labels, strict=True)]
    return float(np.concatenate(right).mean())


def _run(source: str, seed: int) -> dict[str, float]:
    """Figures of one layer. Nothing is chosen by the films of the test."""
    begin = time.process_time()
    layer = DelayLayer(36, (paper.SIZE, paper.SIZE), seed=seed).fit(*paper.films(source, "train", seed, 200))
    out = {"seconds": time.process_time() - begin}
    calm = paper.films(source, "validation", seed, FEW["validation"])
    out["validation"] = layer.score(*calm)
    events, labels = paper.films(source, "test", seed, FEW["test"])
    out["film"] = layer.score(events, labels)
    for name, share in (("1/31", 1 / 31), ("1.5e-3", 1.5e-3)):
        out[name] = layer.prune(share).score(events, labels)
    out["7/21"] = layer.shorten(7).score(events, labels)
    few = events[: FEW["steps"]], labels[: FEW["steps"]]
    out["steps"] = _steps(layer, *few)
    out["7/21, steps"] = _steps(layer.shorten(7), *few)
    share, layer.share = layer.share, 1.0
    out["all, steps"] = _steps(layer, *few)
    layer.share = share
    out["changing"] = _steps(layer, *paper.films(source, "test", seed, FEW["changing"], changing=True))
    small = layer.prune(1e-2)
    small.calibrate(calm[0][:3])
    spikes = [small.spikes(sample)[1] == label[0] for sample, label in zip(events[:4], labels, strict=False)]
    out["spikes"] = float(np.concatenate(spikes).mean())
    return out


def motion_detection(options: Options) -> list[Line]:
    """Delays: 36 motions told from events, leaves and photographs, three seeds; pruned and shortened; many minutes."""
    lines = []
    for source in ("leaves", "photographs"):
        runs = []
        for seed in range(1, 2 if options.quick else 4):
            runs.append(_run(source, seed))
            say(f"{source}, seed {seed}: " + ", ".join(f"{k} {v:.3f}" for k, v in runs[-1].items()))
        found = {key: np.array([run[key] for run in runs]) for key in runs[0]}

        def text(key: str, found: dict[str, np.ndarray] = found) -> str:
            return ", ".join(f"{100 * v:.1f}" for v in found[key]) + " %"

        what = f"delays, {source}, {len(runs)} seeds"
        passed = bool(found["film"].min() >= 0.93 and found["seconds"].max() <= 180.0)
        told = (
            f"{text('film')} of {FEW['test']} films (validation {text('validation')}); films made and learned in "
            f"{found['seconds'].max():.0f} s of CPU time; steps {text('steps')}, {text('all, steps')} by all events; "
            f"of changing motions {text('changing')}; spikes of 1 % of the weights {text('spikes')}"
        )
        lines.append(Line(f"{what}, accuracy", "article: 91 % of steps", told, "93 % of films; 180 s", passed))
        passed = bool(np.all(found["1/31"] >= found["film"] - 0.02) and np.all(found["1.5e-3"] >= 0.5 * found["film"]))
        told = f"1/31 of the weights: {text('1/31')}; 1.5e-3: {text('1.5e-3')}"
        lines.append(Line(f"{what}, pruned", "all weights", told, "2 points; a half", passed))
        told = f"films {text('7/21')}, steps {text('7/21, steps')}"
        passed = bool(found["7/21"].max() < 0.5)
        lines.append(Line(f"{what}, 7 of 21 delays", "article: a half at a third", told, "films below 50 %", passed))
    return lines


def motion_noisy(options: Options) -> list[Line]:
    """Delays: leaves with noise, so that not every film is told; shortened to a third of the delays, three seeds."""
    runs = []
    for seed in range(1, 2 if options.quick else 4):
        train = paper.films("leaves", "train", seed, 200, noise=NOISE)
        events, labels = paper.films("leaves", "test", seed, FEW["test"], noise=NOISE)
        layer = DelayLayer(36, (paper.SIZE, paper.SIZE), seed=seed).fit(*train)
        found = []
        for x in (layer, layer.shorten(7)):
            found += [x.score(events, labels), _steps(x, events[: FEW["steps"]], labels[: FEW["steps"]])]
        runs.append(found)
        say(f"noise {NOISE:g}, seed {seed}: films, steps, and of 7 delays: " + ", ".join(f"{v:.3f}" for v in found))
    texts = [", ".join(f"{100 * run[k]:.1f}" for run in runs) + " %" for k in range(4)]
    text = "all delays: films {}, steps {}; 7 delays: films {}, steps {}".format(*texts)
    what = f"delays, leaves with noise {NOISE:g}, {len(runs)} seeds, 7 of 21 delays"
    return [Line(what, "article: a half at a third", text, "films below 50 %", all(run[2] < 0.5 for run in runs))]
