"""FORCE learning in spiking networks: Nicola & Clopath (2017), doi:10.1038/s41467-017-01827-3.

    python scripts/examples/nicola_clopath_2017.py --out results

1. A sine of 5 Hz, by networks of LIF, theta and Izhikevich neurons: learned for 10 s, then generated for 5 s.
2. Ode to Joy, five notes as five outputs, by Izhikevich neurons: 10 times 4 s are enough with a clock, 32 pulses one
   after the other as inputs (the paper's high-dimensional temporal signal). Without it the paper trains 5,000 neurons
   for 900 s.
3. The Lorenz attractor, by LIF neurons: learned for 30 s, then generated for 20 s.

Parameters are those of the authors' code (ModelDB 190565) where it has them; gain and feedback of the LIF neurons are
within the range of the paper's supplement, higher than in its figure, which gives a better sine; theta neurons have a
longer step, because they are solved exactly; the speed of the Lorenz system is chosen here. Errors are those of a sine
fitted to 5 s of output (amplitude, phase and frequency free), and of a sine of amplitude 1 that is put to the phase of
each period: with nothing to hold it, the phase drifts.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import scipy.ndimage
import scipy.optimize
import scipy.signal
import scipy.spatial

import reservoir

FREQUENCY = 5.0  # Hz
BEAT = 250.0  # ms
SONG = (("E", 1), ("E", 1), ("F", 1), ("G", 1), ("G", 1), ("F", 1), ("E", 1), ("D", 1), ("C", 1), ("C", 1), ("D", 1),
        ("E", 1), ("E", 1.5), ("D", 0.5), ("D", 2))  # fmt: skip
NOTES = "CDEFG"
PULSES = 32
SINE_OPTIONS: dict[str, dict[str, float]] = {
    "lif": {"gain": 0.05, "feedback": 20.0},
    "theta": {"dt": 0.1},
    "izhikevich": {},
}
LORENZ_OPTIONS = {"n_outputs": 3, "gain": 0.05, "feedback": 20.0, "dt": 0.1}
LORENZ_UNIT = 250.0  # ms for a unit of time of the equations
SONG_OPTIONS: dict[str, float] = {"b": 0.0, "n_outputs": len(NOTES), "n_inputs": PULSES, "gain": 5.0, "feedback": 400.0,
                "input_scale": 4000.0, "learn_every": 4.0}  # fmt: skip


def sine(duration: float, dt: float) -> np.ndarray:
    """FREQUENCY for ``duration`` ms, shape (steps, 1)."""
    return np.sin(2e-3 * np.pi * FREQUENCY * dt * np.arange(round(duration / dt)))[:, None]


def sine_errors(z: np.ndarray, dt: float) -> tuple[float, float, float]:
    """(frequency in Hz, RMSE from the fitted sine, RMSE from a sine of amplitude 1 in phase with each period)."""
    t = 1e-3 * dt * np.arange(len(z))

    def fitted(f: float, part: slice = slice(None)) -> tuple[np.ndarray, float]:
        waves = np.stack([np.sin(2 * np.pi * f * t[part]), np.cos(2 * np.pi * f * t[part])], axis=1)
        c = np.linalg.lstsq(waves, z[part], rcond=None)[0]
        return waves @ c, float(np.arctan2(c[1], c[0]))

    def error(f: float) -> float:
        return float(np.mean((z[::20] - fitted(f, slice(None, None, 20))[0]) ** 2))

    grid = np.linspace(0.8 * FREQUENCY, 1.2 * FREQUENCY, 401)
    best = grid[int(np.argmin([error(f) for f in grid]))]
    step = grid[1] - grid[0]
    f = float(scipy.optimize.minimize_scalar(error, bounds=(best - step, best + step), method="bounded").x)
    period, shapes = round(1000.0 / f / dt), []
    for k in range(len(z) // period):
        part = slice(k * period, (k + 1) * period)
        phase = fitted(f, part)[1]
        shapes.append(np.mean((z[part] - np.sin(2 * np.pi * f * t[part] + phase)) ** 2))
    return f, float(np.sqrt(np.mean((z - fitted(f)[0]) ** 2))), float(np.sqrt(np.mean(shapes)))


def note(name: str, beats: float, dt: float) -> np.ndarray:
    """A half wave in the column of the note, shape (steps, 5)."""
    steps = round(beats * BEAT / dt)
    out = np.zeros((steps, len(NOTES)))
    out[:, NOTES.index(name)] = np.sin(np.pi * np.arange(steps) / steps)
    return out


def ode_to_joy(dt: float) -> tuple[np.ndarray, np.ndarray]:
    """One song of 4 s: the notes, shape (steps, 5), and the clock, shape (steps, PULSES)."""
    song = np.concatenate([note(name, beats, dt) for name, beats in SONG])
    place = np.arange(len(song)) / len(song) * PULSES
    clock = np.abs(np.sin(np.pi * place))[:, None] * (place.astype(int)[:, None] == np.arange(PULSES))
    return song, clock


def right_notes(z: np.ndarray, song: np.ndarray) -> float:
    """Share of the time in which the strongest output is the note that is on (where one is above 0.5)."""
    on = song.max(axis=1) > 0.5
    return float(np.mean(np.argmax(z[on], axis=1) == np.argmax(song[on], axis=1)))


def lorenz(duration: float, dt: float) -> np.ndarray:
    """The attractor, shape (steps, 3), scaled to about -1 to 1."""
    return (reservoir.tasks.lorenz(round(duration / dt), every=dt / LORENZ_UNIT) - [0.0, 0.0, 25.0]) / [
        20.0,
        25.0,
        25.0,
    ]


def distances(z: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Mean distance of states from the attractor ``true``, and the same for normal numbers of equal covariance."""
    tree = scipy.spatial.cKDTree(true)
    normal = np.random.default_rng(0).multivariate_normal(z.mean(axis=0), np.cov(z.T), 4000)
    return float(tree.query(z)[0].mean()), float(tree.query(normal)[0].mean())


def maxima(z: np.ndarray, dt: float) -> np.ndarray:
    """Maxima of the third variable, a mean over 20 ms: at least a quarter of a turn (0.19 units of time) apart, and 0.1
    above what lies between them."""
    smooth = scipy.ndimage.uniform_filter1d(z[:, 2], round(20.0 / dt))
    found, _ = scipy.signal.find_peaks(smooth, distance=round(0.19 * LORENZ_UNIT / dt), prominence=0.1)
    return smooth[found]


def lorenz_map(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """RMSE of maxima from what the map of the equations, maximum to next maximum, gives for the one before; and the
    same for the maxima in random order (mean of 100)."""
    order = np.argsort(true[:-1])
    expected = np.interp(found[:-1], true[:-1][order], true[1:][order])
    rng = np.random.default_rng(0)
    shuffled = [np.sqrt(np.mean((expected - rng.permutation(found[1:])) ** 2)) for _ in range(100)]
    return float(np.sqrt(np.mean((expected - found[1:]) ** 2))), float(np.mean(shuffled))


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--n", type=int, default=1000, help="neurons of parts 1 and 2, twice as many in part 3 [1000]")
    options = parser.parse_args(arguments)
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    options.out.mkdir(parents=True, exist_ok=True)
    fig, axes = plt.subplots(3, 2, figsize=(11, 8), layout="constrained")
    flat = iter(axes.ravel())
    print(
        "| neurons | frequency (Hz) | fitted sine | shape | rate (Hz) | learning, 15 s (s) |\n|---|--:|--:|--:|--:|--:|"
    )
    for name, changes in SINE_OPTIONS.items():
        net = getattr(reservoir.FORCE, name)(options.n, seed=options.seed, **changes)
        begin = time.perf_counter()
        net.fit(sine(15_000.0, net.dt), washout=5000.0)
        took = time.perf_counter() - begin
        z = net.generate(5000.0)[:, 0]
        print(
            f"| {name} | "
            + " | ".join(f"{x:.3f}" for x in sine_errors(z, net.dt))
            + f" | {net.rate:.1f} | {took:.1f} |"
        )
        every, ax = round(1.0 / net.dt), next(flat)
        ax.plot(1e-3 * np.arange(1000), z[::every][:1000], lw=0.8)
        ax.set(title=f"5 Hz, {name}", xlabel="time (s)", ylabel="z")

    net = reservoir.FORCE.izhikevich(options.n, seed=options.seed, **SONG_OPTIONS)
    song, clock = ode_to_joy(net.dt)
    net.fit(np.tile(song, (10, 1)), np.tile(clock, (10, 1)))
    errors = [np.sqrt(np.mean(e**2)) for e in np.split(net.outputs - np.tile(song, (10, 1)), 10)]
    z = net.generate(4000.0, clock)
    played, right = np.sqrt(np.mean((z - song) ** 2)), right_notes(z, song)
    print(f"\nOde to Joy: RMSE {errors[0]:.3f} in the first repetition, {errors[-1]:.3f} in the tenth, {played:.3f} "
          f"played; right notes {100 * right:.1f} %")  # fmt: skip
    ax, every = next(flat), round(1.0 / net.dt)
    for k in range(len(NOTES)):
        ax.plot(1e-3 * np.arange(4000), k + z[::every, k][:4000], lw=0.8)
        ax.plot(1e-3 * np.arange(4000), k + song[::every, k][:4000], "k:", lw=0.6)
    ax.set(title="Ode to Joy (dotted: target)", xlabel="time (s)", yticks=range(len(NOTES)), yticklabels=NOTES)

    net = reservoir.FORCE.lif(2 * options.n, seed=options.seed, **LORENZ_OPTIONS)
    net.fit(lorenz(35_000.0, net.dt), washout=5000.0)
    z, true = net.generate(20_000.0), lorenz(200_000.0, 1.0)
    found, known = maxima(z, net.dt), maxima(true, 1.0)
    error, shuffled = lorenz_map(found, known)
    near, far = distances(z[:: round(5.0 / net.dt)], true)
    print(f"Lorenz: SD {np.round(z.std(axis=0), 3)} (equations {np.round(true.std(axis=0), 3)}); "
          f"{len(found) / 20:.2f} maxima/s ({len(known) / 200:.2f}); {near:.3f} from the attractor (normal numbers of "
          f"the same covariance {far:.3f}); error of the map {error:.3f} (maxima shuffled {shuffled:.3f})")  # fmt: skip
    every = round(5.0 / net.dt)
    for ax, x, title in zip(flat, (lorenz(20_000.0, 5.0), z[::every]), ("equations", "network"), strict=True):
        ax.plot(x[:, 0], x[:, 2], lw=0.4)
        ax.set(title=f"Lorenz, {title}", xlabel="x", ylabel="z")
    path = options.out / "nicola_clopath_2017.png"
    fig.savefig(path, dpi=130)
    plt.close(fig)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
