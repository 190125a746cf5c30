"""The checks of verify.py on reservoirs whose inhibition adapts to target rates."""

from __future__ import annotations

import numpy as np
import srinivasan_2025 as paper
from verify_common import Line, Options, axes, save, say

GATED = ("in-degree 50, input 0.02", "in-degree 50, input 0.1")  # the others are reported


def balance_rate(options: Options) -> list[Line]:
    """Rate reservoirs after Srinivasan et al. (2025): balance scan, memory and NARMA-10 of adapted inhibition."""
    seeds = range(1, 3 if options.quick else 6)
    figure, panels = axes(1, 2, 4.5, 3.2)
    lines = []
    for title, setting in paper.SETTINGS.items():
        found, errors, chosen, scans = [], [], [], []
        for seed in seeds:
            task = paper.random_tasks(seed)
            ways, scan, error = paper.study(seed, task, **setting)
            found.append([[ways[w][name][1] for w in paper.WAYS] for name in task[1]])
            scans.append([[scan[g][name][1] for g in paper.GAINS] for name in task[1]])
            errors.append(error)
            chosen.append(ways["global gain"]["memory capacity"][0])
            say(f"{title}, seed {seed}: {np.round(found[-1], 3).tolist()}, {error:.4f}, gain {chosen[-1]}")
        memory, narma = np.array(found).transpose(1, 0, 2)
        by_gain = np.array(scans)[:, 0]
        for panel, part in zip(panels[0], np.array(scans).mean(axis=0), strict=True):
            panel.plot(paper.GAINS, part, ".-", label=title)
        more = 100.0 * (memory[:, 1:] / memory[:, :1] - 1.0)
        untuned = 100.0 * (memory[:, 1] / by_gain[:, paper.GAINS.index(1.0)] - 1.0)
        ratio, gated = narma[:, 3].mean() / narma[:, 0].mean(), title in GATED
        text = (
            f"{memory[:, 0].mean():.1f} to {memory[:, 1].mean():.1f}: {more[:, 0].mean():+.0f} % "
            f"({more[:, 0].min():+.0f} to {more[:, 0].max():+.0f}), designed {more[:, 1].mean():+.0f} %, rates that "
            f"differ {more[:, 2].mean():+.0f} %; over gain 1 {untuned.mean():+.0f} %; rate error {max(errors):.4f}"
        )
        passed = not gated or bool(more[:, 0].mean() >= 10.0 and max(errors) <= 0.01)
        what = f"memory at one rate, 0.5: {title}, {len(seeds)} seeds"
        lines.append(Line(what, "the best gain", text, "+10 %; 0.01" if gated else "none, reported", passed))
        text = (
            f"{ratio:.3f} ({narma[:, 3].mean():.3f} and {narma[:, 0].mean():.3f}; one rate {narma[:, 1].mean():.3f}), "
            f"by seed {', '.join(f'{x:.2f}' for x in narma[:, 3] / narma[:, 0])}"
        )
        passed = not gated or bool(ratio <= 1.05)
        what = f"NRMSE of NARMA-10 with rates that differ: {title}"
        lines.append(Line(what, "the best gain", text, "1.05" if gated else "none, reported", passed))
        if gated:
            low = by_gain[:, 0] / memory[:, 0]
            text = f"gains {', '.join(f'{g:g}' for g in chosen)}; at 0.6 {100 * low.max():.0f} % of the memory"
            passed = bool(min(chosen) >= 1.0 and max(chosen) <= 1.3 and low.max() < 0.25)
            lines.append(Line(f"balance scan: {title}", "1 is balanced", text, "1.0 to 1.3; 25 %", passed))
    for panel, name in zip(panels[0], ("memory capacity", "NRMSE of NARMA-10"), strict=True):
        panel.set(xlabel="gain of inhibition", ylabel=name, xscale="log")
    panels[0, 0].legend(fontsize=6)
    save(figure, options, "balance_rate")
    return lines
