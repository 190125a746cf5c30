"""The checks of verify.py on what goes to Loihi: the examples at several seeds, each stage beside the one before."""

from __future__ import annotations

import loihi_digits
import loihi_reservoir
import numpy as np
from verify_common import Line, Options, say


def digits_on_loihi(options: Options) -> list[Line]:
    """Digits: float against integers, the certified agent's integer bar, and Lava with its readout."""
    seeds = range(1 if options.quick else 5)
    found = []
    for seed in seeds:
        found.append(loihi_digits.run(seed, options.out, lava=100 if seed == 0 else 0))
        say(f"seed {seed}: {found[-1]}")
    n = found[0]["samples"]
    lost = [f["float"] - f["integers"] for f in found]
    changed = [f["changed by stopping"] for f in found]
    bound = 0.02 + 2 * np.sqrt(0.02 * 0.98 / n)
    steps = [f["steps"] / f["steps of all"] for f in found]
    spikes = [f["spikes stopped"] / f["spikes all steps"] for f in found]
    energy = [f["sanafe-loihi1 stopped nJ"] / f["sanafe-loihi1 all steps nJ"] for f in found]
    what = f"digits 64-128-10, {len(found)} seeds of {n} test samples"
    spans = ", ".join(f"{k} {_span([f[k] for f in found], '.1%')}" for k in ("ann", "float", "integers", "stopped"))
    text = f"right: {spans}; integers lose {np.mean(lost):.2%} in the mean"
    two = 2 * np.sqrt(2 * 0.025 * 0.975 / (n * len(found)))
    lines = [
        Line(f"{what}: Loihi's integers", "float spiking network", text, f"{two:.2%}, two standard errors",
             bool(np.mean(lost) <= two)),
        Line(f"{what}: stopped at the integer bar", "all 34 steps; certified for 2 %, delta 0.1",
             f"decisions changed {_span(changed, '.1%')}; steps {_span(steps, '.1%')}, spikes {_span(spikes, '.1%')}, "
             f"energy (SANA-FE, Loihi 1) {_span(energy, '.1%')} of all", f"{bound:.1%} for 9 of 10 seeds",
             bool(np.sum(np.array(changed) > bound) <= max(1, len(found) // 10))),
    ]  # fmt: skip
    first = found[0]
    text = f"{first['lava samples']} samples, {first['lava steps']} steps, equal: {first['lava equal']}"
    lines.append(
        Line(
            "spikes, u, v, stop steps, answers", "Lava 0.10.0 with our readout", text, "all equal", first["lava equal"]
        )
    )
    return lines


def reservoir_on_loihi(options: Options) -> list[Line]:
    """Reservoir: float against integers and Lava on whether a pattern is as the one before."""
    found = []
    for seed in range(1 if options.quick else 5):
        found.append(loihi_reservoir.run(seed, options.out, lava=20 if seed == 0 else 0))
        say(f"seed {seed}: {found[-1]}")
    names = ("input alone", "float", "integers, readout of floats", "integers, trained anew")
    n = found[0]["trials tested"]
    right = {k: [f[k] for f in found] for k in names}
    two = 2 * np.sqrt(2 * 0.85 * 0.15 / (n * len(found)))
    lost = np.mean(right["float"]) - np.mean(right["integers, readout of floats"])
    text = "; ".join(f"{k} {_span(v, '.1%')}" for k, v in right.items())
    what = f"reservoir of 200, same pattern as before?, {len(found)} seeds of {n} test trials"
    first = found[0]
    return [
        Line(what, "float network", f"right: {text}; lost {lost:.2%}", f"{two:.2%}, two standard errors",
             bool(lost <= two)),
        Line("spikes, u, v", "Lava 0.10.0", f"{first['lava steps']} steps, {first['lava spikes']} spikes, equal: "
             f"{first['lava equal']}", "all equal", first["lava equal"]),
    ]  # fmt: skip


def _span(values: list[float], form: str) -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"
