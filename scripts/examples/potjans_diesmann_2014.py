"""The cortical microcircuit of Potjans & Diesmann (2014), doi:10.1093/cercor/bhs358.

    python scripts/examples/potjans_diesmann_2014.py --scale 0.5 --out results

Four layers, each of one excitatory and one inhibitory population of leaky integrate-and-fire neurons with exponential
currents: 77,169 neurons and 0.3 billion synapses under 1 mm2 of cortex, driven by Poisson trains of 8 Hz. ``scale``
multiplies neuron numbers and in-degrees; weights then grow by 1/sqrt(scale), and a constant current makes up for the
mean input that this takes away, so that mean and variance of each neuron's input stay (van Albada, Helias & Diesmann
2015, doi:10.1371/journal.pcbi.1004490). What scaling cannot keep are the correlations: small scales are more correlated
and their rates differ from the published ones.

Writes the spikes (SONATA HDF5), a figure and a table of layer rates beside the published ones.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import numpy as np

import snn

NAME = "potjans_diesmann_2014"
POPULATIONS = ("L23E", "L23I", "L4E", "L4I", "L5E", "L5I", "L6E", "L6I")
N_FULL = np.array([20683, 5834, 21915, 5479, 4850, 1065, 14395, 2948])
# probability that a pair (target: row, source: column) is connected at least once; table 5 of the paper
PROBABILITIES = np.array(
    [
        [0.1009, 0.1689, 0.0437, 0.0818, 0.0323, 0.0, 0.0076, 0.0],
        [0.1346, 0.1371, 0.0316, 0.0515, 0.0755, 0.0, 0.0042, 0.0],
        [0.0077, 0.0059, 0.0497, 0.1350, 0.0067, 0.0003, 0.0453, 0.0],
        [0.0691, 0.0029, 0.0794, 0.1597, 0.0033, 0.0, 0.1057, 0.0],
        [0.1004, 0.0622, 0.0505, 0.0057, 0.0831, 0.3726, 0.0204, 0.0],
        [0.0548, 0.0269, 0.0257, 0.0022, 0.0600, 0.3158, 0.0086, 0.0],
        [0.0156, 0.0066, 0.0211, 0.0166, 0.0572, 0.0197, 0.0396, 0.2252],
        [0.0364, 0.0010, 0.0034, 0.0005, 0.0277, 0.0080, 0.0658, 0.1443],
    ]
)
K_EXTERNAL = np.array([1600, 1500, 2100, 1900, 2000, 1900, 2900, 2100])
RATE_EXTERNAL = 8.0  # Hz
# Hz: full-scale rates of the PyNEST reference implementation of the model, which its down-scaling uses as well
PUBLISHED_RATES = np.array([0.903, 2.965, 4.414, 5.876, 7.569, 8.633, 1.105, 7.829])
# mV: initial potentials near the stationary state, as in the same implementation ("optimized")
V0_MEAN = np.array([-68.28, -63.16, -63.33, -63.45, -63.11, -61.66, -66.72, -61.43])
V0_STD = np.array([5.36, 4.57, 4.74, 4.94, 4.94, 4.55, 5.46, 4.48])
NEURON = {
    "tau_m": 10.0, "c_m": 250.0, "e_l": -65.0, "v_th": -50.0, "v_reset": -65.0, "t_ref": 2.0,
    "tau_syn_ex": 0.5, "tau_syn_in": 0.5,
}  # fmt: skip
PSP = 0.15  # mV, peak of the potential after an excitatory spike
G = -4.0
WEIGHT_STD = 0.1  # relative
DELAYS = (1.5, 0.75)  # ms: mean of excitatory and inhibitory sources; standard deviation half of it
DT = 0.1  # ms
TRANSIENT = 200.0  # ms left out of the rates


def psc(psp: float) -> float:
    """Jump of the current, in pA, whose potential peaks at ``psp`` mV: 87.81 pA for 0.15 mV."""
    tau_m, tau_s, c_m = NEURON["tau_m"], NEURON["tau_syn_ex"], NEURON["c_m"]
    t_peak = tau_m * tau_s / (tau_m - tau_s) * np.log(tau_m / tau_s)
    peak = tau_m * tau_s / (c_m * (tau_m - tau_s)) * (np.exp(-t_peak / tau_m) - np.exp(-t_peak / tau_s))
    return float(psp / peak)


def sizes(scale: float = 1.0) -> np.ndarray:
    """Neurons of each population."""
    return np.rint(N_FULL * scale).astype(int)


def synapse_numbers(scale: float = 1.0) -> np.ndarray:
    """Synapses of each pair (target, source), shape (8, 8).

    K edges with both ends drawn at random connect a given pair with probability p = 1 - (1 - 1/(N N'))^K.
    """
    pairs = np.outer(N_FULL, N_FULL).astype(float)
    full = np.log1p(-PROBABILITIES) / np.log1p(-1.0 / pairs)
    return np.rint(full * scale * scale).astype(int)


def weights(scale: float = 1.0) -> np.ndarray:
    """Mean weight of each pair (target, source) in pA, shape (8, 8); L4E to L23E is doubled."""
    w = np.tile(psc(PSP) * np.where(np.arange(8) % 2 == 0, 1.0, G), (8, 1))
    w[0, 2] *= 2.0
    return w / np.sqrt(scale)


def constant_current(scale: float = 1.0, poisson: bool = True) -> np.ndarray:
    """Current into each population, in pA, for the mean input lost to scaling and, without Poisson, for the drive."""
    in_degrees = synapse_numbers(1.0) / N_FULL[:, None]
    lost = 1.0 - np.sqrt(scale)
    charge = 1e-3 * NEURON["tau_syn_ex"]  # of 1 pA x 1 Hz, in pA
    recurrent = charge * (weights(1.0) * in_degrees) @ PUBLISHED_RATES
    external = charge * psc(PSP) * K_EXTERNAL * RATE_EXTERNAL
    return lost * recurrent + (lost if poisson else 1.0) * external


def build(scale: float = 0.1, seed: int = 55, poisson: bool = True) -> snn.Network:
    """The microcircuit at ``scale`` of the full size, driven by Poisson trains or their mean current.

    Weights are normal with 10 % standard deviation, drawn again where the sign would flip (10 standard deviations off,
    so never in practice). Delays are normal, drawn again below one step; above 6.4 ms (6.5 standard deviations) they
    are cut, so that delays fit in 64 steps.
    """
    if not 0.0 < scale <= 1.0:
        raise ValueError(f"scale: must be > 0 and <= 1; got {scale}.")
    net = snn.Network(seed=seed)
    numbers, means, current = synapse_numbers(scale), weights(scale), constant_current(scale, poisson)
    for k, (name, n) in enumerate(zip(POPULATIONS, sizes(scale), strict=True)):
        model = snn.LIFExp(**NEURON, i_e=current[k])
        population = net.population(name, int(n), model, init={"v": snn.normal(V0_MEAN[k], V0_STD[k])})
        if poisson:
            rate = RATE_EXTERNAL * round(K_EXTERNAL[k] * scale)
            net.input(f"background {name}", population, snn.Poisson(rate=rate), weight=psc(PSP) / np.sqrt(scale))
        net.record(population, "spikes")
    for t, target in enumerate(POPULATIONS):
        for s, source in enumerate(POPULATIONS):
            if numbers[t, s] == 0:
                continue
            w, delay = means[t, s], DELAYS[s % 2]
            sign = {"low": 0.0} if w > 0 else {"high": 0.0}
            net.connect(
                source, target, snn.fixed_total_number(int(numbers[t, s])),
                weight=snn.normal(w, WEIGHT_STD * abs(w), **sign),
                delay=snn.normal(delay, 0.5 * delay, low=DT, high=6.4),
            )  # fmt: skip
    return net


def rates_table(result: snn.Result, start: float = TRANSIENT) -> list[dict[str, float | str]]:
    """Rate and CV of intervals of each population after ``start`` ms, beside the published rates."""
    rows: list[dict[str, float | str]] = []
    for name, published in zip(POPULATIONS, PUBLISHED_RATES, strict=True):
        record = result.spikes[name].slice(min(start, result.t_stop), result.t_stop)
        cv = record.cv()
        mean_cv = float(np.nanmean(cv)) if np.isfinite(cv).any() else float("nan")
        rows.append(
            {
                "population": name,
                "neurons": record.n_nodes,
                "rate_hz": record.rate(),
                "published_hz": float(published),
                "cv_isi": mean_cv,
            }
        )
    return rows


def markdown(rows: list[dict[str, float | str]], scale: float, seconds: float) -> str:
    """The table as Markdown."""
    lines = [
        f"Layer rates at scale {scale:g}, {seconds:g} s of activity; published: PyNEST reference, scale 1.",
        "",
        "| population | neurons | rate (Hz) | published (Hz) | CV of intervals |",
        "|---|--:|--:|--:|--:|",
    ]
    for r in rows:
        lines.append(
            f"| {r['population']} | {r['neurons']:,} | {r['rate_hz']:.2f} | {r['published_hz']:.2f} "
            f"| {r['cv_isi']:.2f} |"
        )
    return "\n".join(lines) + "\n"


def figure(result: snn.Result, rows: list[dict[str, float | str]], path: Path) -> None:
    """Raster of the last 300 ms above layer rates beside the published ones."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    fig, (top, bottom) = plt.subplots(2, 1, figsize=(8.5, 8.0), height_ratios=(2.2, 1.0), layout="constrained")
    snn.plot.raster(result, ax=top, max_neurons=2000, t=(max(0.0, result.t_stop - 300.0), result.t_stop))
    place = np.arange(len(rows))
    colours = [snn.plot.COLOURS[k % len(snn.plot.COLOURS)] for k in place]
    here, published = ([float(r[key]) for r in rows] for key in ("rate_hz", "published_hz"))
    bottom.bar(place - 0.19, here, 0.36, color=colours)
    bottom.bar(place + 0.19, published, 0.36, color="white", edgecolor=colours)
    bottom.set_xticks(place, POPULATIONS)
    bottom.set(ylabel="rate (Hz)", title="rates: filled this run, open published (full scale)")
    bottom.spines[["top", "right"]].set_visible(False)
    fig.savefig(path, dpi=130)
    plt.close(fig)


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=0.5, help="0.02 to 1.0 of neurons and in-degrees [0.5]")
    parser.add_argument("--duration", type=float, default=1000.0, help="model time after the transient, ms [1000]")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder for the results [results]")
    parser.add_argument("--threads", type=int, default=None, help="threads [chosen]")
    parser.add_argument("--seed", type=int, default=55)
    parser.add_argument("--dc", action="store_true", help="constant current in place of Poisson trains")
    options = parser.parse_args(arguments)
    if not 0.02 <= options.scale <= 1.0:
        parser.error(f"--scale: must be >= 0.02 and <= 1.0; got {options.scale}")
    options.out.mkdir(parents=True, exist_ok=True)

    net = build(options.scale, options.seed, poisson=not options.dc)
    total = int(synapse_numbers(options.scale).sum())
    neurons = sizes(options.scale).sum()
    print(f"microcircuit at scale {options.scale:g}: {neurons:,} neurons, {total:,} synapses", flush=True)
    begin = time.perf_counter()
    sim = snn.Simulation(net, dt=DT, threads=options.threads)
    kernels = time.perf_counter() - begin - sim.build_seconds
    path = options.out / f"{NAME}.h5"
    begin = time.perf_counter()
    result = sim.run(TRANSIENT + options.duration, to=path, progress=True, overwrite=True)
    seconds = time.perf_counter() - begin
    rows = rates_table(result)
    text = markdown(rows, options.scale, options.duration / 1000.0)
    (options.out / f"{NAME}_rates.md").write_text(text, encoding="utf-8")
    with open(options.out / f"{NAME}_rates.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    figure(result, rows, options.out / f"{NAME}.png")
    model = (TRANSIENT + options.duration) / 1000.0
    print(f"\n{text}")
    print(f"network built in {sim.build_seconds:.2f} s ({total / max(sim.build_seconds, 1e-9) / 1e6:.1f} M synapses/s)")
    print(f"kernels ready in {kernels:.2f} s (compiled at the first run, then read from the cache)")
    print(f"memory of connections: {sim.compiled.nbytes()['edges'] / max(total, 1):.2f} bytes a synapse")
    print(
        f"{model:g} s of model time in {seconds:.2f} s on {sim.threads} threads: real-time factor {seconds / model:.3g}"
    )
    print(f"written: {path}, {NAME}.png, {NAME}_rates.csv, {NAME}_rates.md")


if __name__ == "__main__":
    main()
