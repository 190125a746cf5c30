"""The checks of verify.py beside Lava and beside what others recorded: fuzz at full size, ground truths, speed."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import ground_truths as truths
import lava_fuzz
import numpy as np
from verify_common import ROOT, Line, Options, say

from neuromorphic.fixed_point import IntegerLIF, IntegerNetwork, IntegerProjection, IntegerSource
from neuromorphic.lava import lava_python


def loihi_fuzz(options: Options) -> list[Line]:
    """Neurons and connections beside Lava's process models: 10^6 neuron-steps and 10^5 outputs of each."""
    python, lines = lava_python(), []
    short = 10 if options.quick else 1

    def add(name: str, found: lava_fuzz.Compared, least: int, what: str) -> None:
        say(f"{name}: {found}")
        text = f"{found.differ} of {found.count:,} {what} differ; {found.active:.1%} are not 0"
        passed = found.differ == 0 and found.count >= least / short and found.active > 0.005
        lines.append(Line(name, "Lava 0.10.0", text, f"0 of at least {least // short:,}", passed))

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        for name in lava_fuzz.LIFS:
            add(name, lava_fuzz.lif(python, path, name, 101, 10 // short), 10**6, "neuron-steps")
        for name in lava_fuzz.FURTHER:
            add(name, lava_fuzz.further(python, path, name, 102, 100 // short, 100, 110), 10**6, "neuron-steps")
        for name in lava_fuzz.CONNECTIONS:
            add(name, lava_fuzz.connection(python, path, name, 103, 240 // short), 10**5, "outputs")
    return lines


def ground_truth(options: Options) -> list[Line]:
    """Loihi 2's trace and lava-dl's layers; whole, with all of PilotNet, where VOLLEY_LAVA_DL is its checkout."""
    kept = truths.load(ROOT / "tests" / "data" / "loihi.npz")
    found = truths.compare(kept)
    if checkout := os.environ.get("VOLLEY_LAVA_DL"):
        whole = truths.read(None, Path(checkout)) | {k: kept[k] for k in kept if k.startswith("nir/")}
        found = truths.compare(whole) | truths.pilotnet(Path(checkout))
    else:
        say("without VOLLEY_LAVA_DL, a checkout of github.com/lava-nc/lava-dl: the part that tests/data keeps")
    source = {"NIR, ": "Loihi 2 and Lava (NIR paper)", "PilotNet": "lava-dl, recorded for its test of the hardware"}
    return [
        Line(name, next((v for k, v in source.items() if name.startswith(k)), "lava-dl"),
             f"{wrong} of {count:,} wrong", "0", wrong == 0)
        for name, (wrong, count) in found.items()
    ]  # fmt: skip


def loihi_speed(options: Options) -> list[Line]:
    """Steps a second of a recurrent network of 200 neurons, here and in Lava's simulation (Sparse), in turns."""
    python, rng, n, steps = lava_python(), np.random.default_rng(1), 200, 50_000
    when, which = np.nonzero(rng.random((steps, 40)) < 0.2)
    neurons = IntegerLIF(
        n, du=1000, dv=rng.integers(0, 1000, n), vth=1000, bias_mant=rng.integers(-50, 100, n), bias_exp=4
    )

    def edges(source: str, n_source: int, exponent: int) -> IntegerProjection:
        sources, targets = np.nonzero(rng.random((n_source, n)) < 0.1)
        return IntegerProjection(source, "n", sources, targets, rng.integers(-256, 256, len(sources)), 0, exponent)

    net = IntegerNetwork({"n": neurons}, {"in": IntegerSource(40, when + 1, which)},
                         {"in": edges("in", 40, 1), "rec": edges("n", n, -1)})  # fmt: skip
    few = 500 if options.quick else 2000
    arrays = {name: getattr(neurons, name) for name in ("du", "dv", "bias_mant", "bias_exp", "vth")}
    spikes = np.zeros((40, few), np.int32)
    spikes[which[when < few], when[when < few]] = 1
    for name, p in net.projections.items():
        matrix = np.zeros((n, 40 if name == "in" else n), np.int64)
        matrix[p.targets, p.sources] = p.weights
        arrays |= {name: matrix, f"{name}_exponent": np.array(p.exponent)}
    net.run(10)  # compiles
    ours, theirs, equal = [], [], True
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3):
            begin = time.perf_counter()
            result = net.run(steps)
            ours.append(steps / (time.perf_counter() - begin))
            lava = lava_fuzz.worker(python, "speed", Path(folder), arrays | {"spikes": spikes})
            theirs.append(few / float(lava["seconds"]))
            mine = np.bincount(result.ids["n"][result.steps["n"] <= few], minlength=n)
            equal &= np.array_equal(lava["counts"], mine)
            say(f"{ours[-1]:,.0f} and {theirs[-1]:,.0f} steps/s")
    rate = len(result.steps["n"]) / steps / n
    text = f"{min(ours):,.0f} to {max(ours):,.0f} steps/s, {rate:.0%} of the neurons spike in a step"
    ratio = np.median(np.divide(ours, theirs))
    return [
        Line("200 recurrent neurons, one core", "-", text, "100,000 steps/s", min(ours) >= 1e5),
        Line("the same", "Lava 0.10.0, Loihi2SimCfg, Sparse, without probes",
             f"Lava: {min(theirs):,.0f} to {max(theirs):,.0f} steps/s; median ratio {ratio:.0f}; numbers of spikes "
             f"equal: {equal}", "100 times", bool(ratio >= 100 and equal)),
    ]  # fmt: skip
