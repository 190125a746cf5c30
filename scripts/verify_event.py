"""The checks of verify.py that concern the event engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from verify import Line, Options


def event_convergence(options: Options) -> list[Line]:
    """The clock engine's spikes converge to the event engine's as dt falls, for every model of both; order 1."""
    from verify import ROOT, Line, _axes, _module, _save

    cases = _module(ROOT / "tests" / "oracle" / "test_event.py")
    steps = 2.0 ** -np.arange(4, 12 if options.quick else 15)
    figure, axes = _axes(1, 1, 6.5, 4.5)
    lines = []
    for case, (model, _, _) in cases.CASES.items():
        late = cases.grid_errors(case, steps)
        same = np.array([e is not None for e in late])
        mean = np.array([np.abs(e).mean() if e is not None else np.nan for e in late])
        # Coarse steps make other spikes in some networks; of the rest a line of slope 1 is expected: a spike is late by
        # half a step on average, and later ones by that times what the network makes of it, which contracts.
        order = float(np.polyfit(np.log2(steps[same]), np.log2(mean[same]), 1)[0]) if same.sum() > 2 else np.nan
        passed = bool(same[-4:].all() and 0.8 < order < 1.2)
        n = len(late[-1]) if late[-1] is not None else 0
        text = f"order {order:.2f}; {n} spikes, mean error {np.nanmax(mean):.1e} to {mean[-1]:.1e} ms"
        if not same.all():
            text += f"; other spikes at dt = {', '.join(f'1/{1 / dt:g}' for dt in steps[~same])} ms"
        what = f"clock converges to event: {case}, dt 1/{1 / steps[0]:g} to 1/{1 / steps[-1]:g} ms"
        bound = "0.8 < order < 1.2 (threshold seen at the end of a step: 1)"
        lines.append(Line(what, f"event engine, {model}", text, bound, passed))
        axes[0, 0].loglog(steps[same], mean[same], "o-", ms=3, lw=1, label=f"{case} ({order:.2f})")
    axes[0, 0].loglog(steps, steps / 2, "k:", lw=0.8, label="dt / 2")
    axes[0, 0].set(
        xlabel="dt (ms)", ylabel="mean lateness of spikes (ms)", title="clock against event engine; in brackets: order"
    )
    axes[0, 0].legend(fontsize="x-small", frameon=False)
    _save(figure, options, "event_convergence")
    return lines
