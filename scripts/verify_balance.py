"""The checks of verify.py on reservoirs whose inhibition adapts to target rates."""

from __future__ import annotations

import time

import numpy as np
from verify_common import (  # first: it puts the folder of the examples on the path
    ROOT,
    Line,
    Options,
    axes,
    module,
    save,
    say,
)

# isort: split
import srinivasan_2025 as paper

import reservoir
import snn
from reservoir import measures, tasks

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


LAGS, WASHOUT, FITTED, CHOSEN, REPORTED = 40, 200, 3500, 1000, 1000  # of spiking reservoirs


def spiking_task(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Input uniform in (-1, 1), its past of 1 to LAGS samples, and NARMA-10."""
    u = np.random.default_rng([seed, 3]).uniform(-1.0, 1.0, WASHOUT + FITTED + CHOSEN + REPORTED)
    lagged = np.stack([np.concatenate([np.zeros(k), u[:-k]]) for k in range(1, LAGS + 1)], axis=1)
    return u, lagged, tasks.narma(len(u), order=10, u=0.25 * (u + 1.0))[1]


def spiking_scores(x: np.ndarray, lagged: np.ndarray, y: np.ndarray) -> list[tuple[float, float]]:
    """(memory capacity, NRMSE of NARMA-10) of the part to choose by, then of that to report."""
    fit, middle = slice(WASHOUT, WASHOUT + FITTED), WASHOUT + FITTED + CHOSEN
    memory = reservoir.Ridge().fit(x[fit], lagged[fit]).predict(x)
    narma = reservoir.Ridge().fit(x[fit], y[fit]).predict(x)
    return [
        (paper.memory(memory[part], lagged[part]), measures.nrmse(narma[part], y[part]))
        for part in (slice(fit.stop, middle), slice(middle, None))
    ]


DRIVES = (3.0, 6.0)  # largest weights of the input
GIVEN = (0.9, 0.2, 3.0)  # mean bias current, recurrent weight, drive; others are second controls
SPIKING_GAINS = {  # of inhibition, by bias and weight; no optimum at an end
    (0.9, 0.2): (2.5, 2.75, 3.0, 3.25, 3.5, 3.75, 4.0, 5.0),
    (2.0, 0.2): (3.0, 3.5, 4.0, 4.5, 5.0, 6.0),
    (0.9, 0.3): (2.75, 3.0, 3.25, 3.5, 3.75, 4.0),
}
SPIKING_RATES = {(0.9, 0.2): (40.0, 50.0, 60.0, 70.0, 80.0), (2.0, 0.2): (60.0, 80.0), (0.9, 0.3): (60.0, 70.0)}  # Hz
SPIKING_MEANS = (40.0, 60.0)  # Hz, of gamma distributions of shape 4
Found = dict[tuple[float, ...], list[tuple[float, float]]]  # by bias, weight, drive, gain or target


def liquid(
    seed: int, balance: float, bias: float, weight: float, drive: float, threads: int
) -> reservoir.SpikingReservoir:
    """1,000 LIF neurons with delays up to 200 ms; ``balance`` is the global gain of inhibition."""
    model = snn.LIFExp(
        tau_m=20.0, c_m=20.0, e_l=0.0, v_th=1.0, v_reset=0.0, t_ref=2.0, tau_syn_ex=5.0, tau_syn_in=5.0,
        i_e=snn.normal(bias, 0.2),
    )  # fmt: skip
    net = reservoir.random_network(
        1000, model, snn.pairwise_bernoulli(0.1), weight, snn.uniform(1.0, 200.0), balance=balance, seed=seed
    )
    w_in = np.random.default_rng(seed).uniform(-drive, drive, (1000, 1))
    return reservoir.SpikingReservoir(net, {"exc": w_in[:800], "inh": w_in[800:]}, dt=1.0, threads=threads)


def spiking_study(seed: int, threads: int) -> dict[str, Found]:
    """Scores of all settings of a global gain and of inhibitory plasticity, to one rate and to rates that differ."""
    u, lagged, y = spiking_task(seed)
    draw = np.random.default_rng([seed, 4])
    gamma = {mean: draw.gamma(4.0, mean / 4.0, 1000) for mean in SPIKING_MEANS}
    found: dict[str, Found] = {"gain": {}, "one rate": {}, "rates that differ": {}}

    def note(way: str, key: tuple[float, ...], net: reservoir.SpikingReservoir) -> None:
        x = net.states(u)
        found[way][key] = spiking_scores(x, lagged, y)
        rate = 1000.0 / net.tau * x[WASHOUT:].mean()
        say(f"seed {seed}, {way} {key}: {np.round(found[way][key], 3).tolist()}, {rate:.0f} Hz")

    for drive in DRIVES:
        for rest, gains in SPIKING_GAINS.items():
            for gain in gains:
                note("gain", (*rest, drive, gain), liquid(seed, gain, *rest, drive, threads))
            net = liquid(seed, 4.0, *rest, drive, threads)
            for rate in SPIKING_RATES[rest]:
                note("one rate", (*rest, drive, rate), net.adapted(u[:1000], rate))
            for mean in SPIKING_MEANS if rest == GIVEN[:2] else ():
                note("rates that differ", (*rest, drive, mean), net.adapted(u[:1000], gamma[mean]))
    return found


def balance_spiking(options: Options) -> list[Line]:
    """Spiking reservoirs: memory after inhibitory plasticity to target rates, beside the best gain of inhibition."""
    studies = [spiking_study(seed, options.threads) for seed in range(1, 2 if options.quick else 6)]

    def best(way: str, task: int, given: tuple[int, ...]) -> np.ndarray:
        """What is reported of the settings that are best on the part to choose by; these places as in ``GIVEN``."""
        out = []
        for study in studies:
            some = {k: v for k, v in study[way].items() if all(k[i] == GIVEN[i] for i in given)}
            key = (min if task else max)(some, key=lambda k: some[k][0][task])
            say(f"{way}, {('memory', 'NARMA-10')[task]}: {key}, {some[key][1][task]:.3f}")
            out.append(some[key][1][task])
        return np.array(out)

    lines = []
    for given, title in (
        ((0, 1, 2), "input, bias and weight given"),
        ((1,), "scale of the input and bias chosen, too"),
        ((), "scale of the input, bias and weight chosen, too"),
    ):
        gain, one, differ = (best(way, 0, given) for way in ("gain", "one rate", "rates that differ"))
        more, gated = 100.0 * (one / gain - 1.0), bool(given)
        text = (
            f"{gain.mean():.1f} to {one.mean():.1f}: {more.mean():+.0f} % ({more.min():+.0f} to {more.max():+.0f}); "
            f"rates that differ {100.0 * np.mean(differ / gain - 1.0):+.0f} %"
        )
        what = f"memory after inhibitory plasticity to one rate, 1,000 LIF neurons, {len(studies)} seeds; {title}"
        passed = not gated or bool(more.mean() >= 10.0)
        lines.append(Line(what, "the best gain", text, "+10 %" if gated else "none, reported", passed))
        gain, one, differ = (best(way, 1, given).mean() for way in ("gain", "one rate", "rates that differ"))
        text = f"{differ / gain:.2f} ({differ:.3f} and {gain:.3f}; one rate {one:.3f})"
        what = f"NRMSE of NARMA-10 after plasticity to rates that differ; {title}"
        lines.append(Line(what, "the best gain", text, "none, reported", True))
    return lines


def self_tuning(options: Options) -> list[Line]:
    """SelfTuningReservoir: memory, NARMA-10 and time for inputs over two decades of scale; nothing is chosen."""
    rows = []
    for seed in range(1, 2 if options.quick else 4):
        u, lagged, y = spiking_task(10 + seed)
        for scale, shift in ((0.1, 5.0), (1.0, 0.0), (10.0, -3.0)):
            begin, used = time.perf_counter(), time.process_time()
            net = reservoir.SelfTuningReservoir(seed=seed, threads=options.threads).tune(scale * u + shift)
            memory, error = spiking_scores(net.states(scale * u + shift), lagged, y)[1]
            rows.append([memory, error, time.perf_counter() - begin, time.process_time() - used])
            say(f"seed {seed}, {scale:g} u {shift:+g}: {np.round(rows[-1], 3).tolist()}")
    memory, error, wall, used = np.array(rows).T
    text = (
        f"memory {memory.min():.1f} to {memory.max():.1f}, NRMSE {error.min():.3f} to {error.max():.3f}; "
        f"{wall.max():.0f} s, {used.max():.0f} s of processors"
    )
    passed = bool(memory.min() >= 12.0 and error.max() <= 0.6 and wall[1:].max() < 60.0)
    what = f"self-tuning reservoir, 1,000 LIF neurons, {len(rows)} runs, input scale 0.1 to 10"
    return [Line(what, "-", text, "memory 12; NRMSE 0.6; 60 s but for the first, which compiles", passed)]


def delays(options: Options) -> list[Line]:
    """Memory and NARMA-10 of a spiking reservoir with delays, without, and of a tapped delay line."""
    test = module(ROOT / "tests" / "science" / "test_reservoir_delays.py")
    seeds = (1,) if options.quick else (1, 2, 3)
    memory = np.array([test.scores(2.0, 1.2, snn.uniform(1.0, 200.0), seed) for seed in seeds])[:, 0]
    error = np.array([test.scores(2.0, 1.2, snn.uniform(1.0, 100.0), seed) for seed in seeds])[:, 1]
    none = np.array([test.scores(gain, win, 1.0, 1) for gain in (1e-9, 0.5, 2.0) for win in (0.6, 1.2)])
    rng = np.random.default_rng(1)
    rng.uniform(size=(test.N, 1))  # the input weights, so that the input is that of the network of seed 1
    u = rng.uniform(-1.0, 1.0, test.STEPS)
    line = test.judged(np.stack([np.concatenate([np.zeros(k), u[: len(u) - k]]) for k in range(21)], axis=1), u)
    text = (
        f"{memory.mean():.1f} ({memory.min():.1f} to {memory.max():.1f}), the best of six without "
        f"{none[:, 0].max():.1f}; a tapped delay line of 200 ms {line[0]:.1f}"
    )
    passed = bool(memory.mean() >= 11.0 and memory.mean() >= 2.5 * none[:, 0].max())
    lines = [Line("memory with delays of 1 to 200 ms", "delays of 1 ms", text, "11; 2.5 times", passed)]
    text = f"{error.mean():.3f}, without {none[:, 1].min():.3f}; the tapped delay line {line[1]:.3f}"
    lines.append(Line("NRMSE of NARMA-10, 1 to 100 ms", "delays of 1 ms", text, "0.62", bool(error.mean() <= 0.62)))
    return lines
