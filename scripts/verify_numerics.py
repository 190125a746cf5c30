"""The checks of verify.py on numerics: orders in dt, the clock engine against the event engine, threads."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from verify_common import DT, ROOT, Line, Options, axes, flat, module, save

import snn


# Parameters, initial values and equations of the Runge-Kutta models are those of tests/science/test_neuron_models.py.
def _cases() -> dict[str, tuple[int, tuple[Any, ...], tuple[int, ...], int]]:
    """Model -> (order, (params, init, current, slope, names), steps per ms, duration in ms)."""
    science = module(ROOT / "tests" / "science" / "test_neuron_models.py")
    cases = {name: (4, case, (2, 4, 8, 16), 10) for name, case in science.RK4.items()}

    cases["ALIFCondExp"] = (2, science.RK4["LIFCondExp"], (4, 8, 16, 32), 10)

    def izhikevich(v: float, u: float, i: float) -> list[float]:
        return [0.04 * v * v + 5 * v + 140 - u + i, 0.02 * (0.2 * v - u)]

    start = {"v": -70.0, "u_m": -12.0}
    params = {"a": 0.02, "b": 0.2, "consistent_integration": 1.0}
    cases["Izhikevich"] = (1, (params, start, 2.0, izhikevich, ("v", "u_m")), (20, 40, 80, 160), 10)
    traub = ({}, {}, 500.0, science.traub, ("v", "m", "h", "n"))
    cases["HodgkinHuxley"] = (2, traub, (40, 80, 160, 320), 20)  # through two spikes; from 40 on one substep a step
    return cases


def convergence(options: Options) -> list[Line]:
    """Observed order in dt of every model without an exact scheme, against DOP853 with a tolerance of 1e-12."""
    from scipy.integrate import solve_ivp

    lines, cases = [], _cases()
    figure, panels = axes(1, 1, 6.0, 4.5)
    for name, (order, (params, init, current, slope, names), steps, duration) in cases.items():
        model = getattr(snn, name)(**params)

        def run(n: int, model: Any = model, init: Any = init, current: float = current) -> Any:
            net = snn.Network()
            population = net.population("p", 1, model, init=init)
            net.input("step", population, snn.StepCurrent([current]))
            net.record(population, "v", every=1.0)
            return snn.Simulation(net, dt=1.0 / n, threads=1, quiet=True)

        start = [float(run(steps[0]).state("p", s)[0]) for s in names]
        at = np.arange(1, duration + 1)
        truth = solve_ivp(
            lambda t, y, slope=slope, current=current: slope(*y, current), (0, duration), start, "DOP853", t_eval=at,
            rtol=1e-12, atol=1e-12,
        ).y[0]  # fmt: skip
        error = [float(np.abs(run(n).run(duration).states["p"]["v"][:, 0] - truth).max()) for n in steps]
        observed = np.log2(np.array(error[:-1]) / np.array(error[1:]))
        # The leading term must rule: half an order below is the usual reading of an observed order.
        passed = bool(observed.min() > order - 0.5)
        text = f"orders {', '.join(f'{o:.2f}' for o in observed)}; error {error[0]:.1e} to {error[-1]:.1e} mV"
        what = f"convergence of {name}, dt 1/{steps[0]} to 1/{steps[-1]} ms"
        lines.append(Line(what, "DOP853", text, f"order > {order - 0.5:g} (scheme: {order})", passed))
        panels[0, 0].loglog(1.0 / np.array(steps), error, "o-", label=f"{name} ({order})")
    panels[0, 0].set(
        xlabel="dt (ms)", ylabel="largest error of v at whole ms (mV)", title="in brackets: order of the scheme"
    )
    panels[0, 0].legend(fontsize="small", frameon=False)
    save(figure, options, "convergence")
    return lines


def event_convergence(options: Options) -> list[Line]:
    """The clock engine's spikes converge to the event engine's as dt falls, for every model of both; order 1."""
    cases = module(ROOT / "tests" / "oracle" / "test_event.py")
    steps = 2.0 ** -np.arange(4, 12 if options.quick else 14)
    figure, panels = axes(1, 1, 6.5, 4.5)
    lines = []
    for case, (model, _, _) in cases.CASES.items():
        late = cases.grid_errors(case, steps)
        same = np.array([e is not None for e in late])
        # Of the spikes that the grid moves (those at an arrival it does not), the median: where currents jump, another
        # arrival may be the one that reaches the threshold, and such single errors say nothing about the order.
        typical = np.array([np.median(np.abs(e[np.abs(e) > 1e-9])) if e is not None else np.nan for e in late])
        # Coarse steps make other spikes in some networks; of the rest a line of slope 1 is expected: a spike is late by
        # half a step on average, and later ones by that times what the network makes of it, which contracts.
        order = float(np.polyfit(np.log2(steps[same]), np.log2(typical[same]), 1)[0]) if same.sum() > 2 else np.nan
        passed = bool(same[-4:].all() and 0.8 < order < 1.2)
        n = len(late[-1]) if late[-1] is not None else 0
        text = f"order {order:.2f}; {n} spikes, median lateness {np.nanmax(typical):.1e} to {typical[-1]:.1e} ms"
        if not same.all():
            text += f"; other spikes at dt = {', '.join(f'1/{1 / dt:g}' for dt in steps[~same])} ms"
        what = f"clock converges to event: {case}, dt 1/{1 / steps[0]:g} to 1/{1 / steps[-1]:g} ms"
        bound = "0.8 < order < 1.2 (threshold seen at the end of a step: 1)"
        lines.append(Line(what, f"event engine, {model}", text, bound, passed))
        panels[0, 0].loglog(steps[same], typical[same], "o-", ms=3, lw=1, label=f"{case} ({order:.2f})")
    panels[0, 0].loglog(steps, steps / 2, "k:", lw=0.8, label="dt / 2")
    panels[0, 0].set(
        xlabel="dt (ms)",
        ylabel="median lateness of spikes (ms)",
        title="clock against event engine; in brackets: order",
    )
    panels[0, 0].legend(fontsize="x-small", frameon=False)
    save(figure, options, "event_convergence")
    return lines


def threads(options: Options) -> list[Line]:
    """The same spikes for 1, 2, 3 and 4 threads: Brunel, microcircuit at 0.05, CUBA."""
    import brunel_2000
    import potjans_diesmann_2014
    import vogels_abbott_2005

    duration = 200.0 if options.quick else 1000.0
    cases: dict[str, Callable[[], snn.Network]] = {
        "brunel": lambda: brunel_2000.build(2500 if options.quick else 12500, seed=5),
        "microcircuit at 0.05": lambda: potjans_diesmann_2014.build(scale=0.05, seed=5),
        "CUBA": lambda: vogels_abbott_2005.build("CUBA", seed=5),
    }
    lines = []
    figure, panels = axes(1, len(cases), 3.4, 3.0)
    for ax, (name, build) in zip(panels[0], cases.items(), strict=True):
        runs, seconds = [], []
        for k in (1, 2, 3, 4):
            sim = snn.Simulation(build(), dt=DT, threads=k, quiet=True)
            begin = time.perf_counter()
            runs.append(flat(sim.run(duration)))
            seconds.append(time.perf_counter() - begin)
        same = all(np.array_equal(a, b) for run in runs[1:] for a, b in zip(run, runs[0], strict=True))
        n = len(runs[0][0])
        text = f"{', '.join(f'{len(t):,}' for t, _ in runs)} spikes, {'equal' if same else 'DIFFERENT'}"
        lines.append(
            Line(f"threads 2, 3, 4: {name}, {duration:g} ms", "1 thread", text, "bit for bit", same and n > 1000)
        )
        for k, (t, _) in enumerate(runs):
            ax.step(
                np.arange(0.0, duration, 5.0),
                np.histogram(t, np.arange(0.0, duration + 1e-6, 5.0))[0],
                lw=2.0 - 0.4 * k,
            )
        ax.set(title=f"{name}, s: " + ", ".join(f"{s:.2f}" for s in seconds), xlabel="ms", ylabel="spikes in 5 ms")
        ax.title.set_fontsize("small")
    save(figure, options, "threads")
    return lines
