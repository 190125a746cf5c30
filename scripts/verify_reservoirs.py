"""The checks of verify.py on reservoirs: FORCE learning after Nicola & Clopath (2017)."""

from __future__ import annotations

import time

import nicola_clopath_2017 as paper
import numpy as np
from verify_common import Line, Options, axes, save, say

import reservoir


def force_sine(options: Options) -> list[Line]:
    """FORCE: 5 Hz by 1,000 LIF, theta and Izhikevich neurons, seeds of each; 2,000 Izhikevich neurons in a minute."""
    seeds = range(1, 2 if options.quick else 6)
    figure, panels = axes(len(paper.SINE_OPTIONS), 1, 6.0, 1.8)
    lines = []
    for panel, (name, changes) in zip(panels[:, 0], paper.SINE_OPTIONS.items(), strict=True):
        make = getattr(reservoir.FORCE, name)
        make(10, **changes).generate(1.0)  # compiles
        found, seconds = [], []
        for seed in seeds:
            begin = time.process_time()
            net = make(1000, seed=seed, **changes).fit(paper.sine(15_000.0, make(10, **changes).dt), washout=5000.0)
            z = net.generate(5000.0)[:, 0]
            seconds.append(time.process_time() - begin)
            found.append(paper.sine_errors(z, net.dt))
            say(f"{name}, seed {seed}: {found[-1]}, {seconds[-1]:.1f} s")
            panel.plot(net.dt * 1e-3 * np.arange(len(z))[::20], z[::20], lw=0.6)
        panel.set(title=name, xlabel="time (s)", ylabel="z")
        f, rms, shape = np.array(found).T
        off = np.abs(f / paper.FREQUENCY - 1.0).max()
        text = (
            f"frequency off by {100 * off:.2f} %, shape {shape.min():.3f} to {shape.max():.3f} (fitted sine of 5 s "
            f"{rms.min():.3f} to {rms.max():.3f}), {max(seconds):.1f} s of one core"
        )
        passed = bool(off <= 0.01 and shape.max() <= 0.06 and max(seconds) <= 30.0)
        what = f"FORCE, {name}, n = 1,000, 10 s learned, {len(seeds)} seeds"
        lines.append(Line(what, "a sine of 5 Hz", text, "1 %; 0.06; 30 s", passed))
    net = reservoir.FORCE.izhikevich(2000, seed=1)
    begin = time.process_time()
    net.fit(paper.sine(10_000.0, net.dt), washout=5000.0)
    f, rms, shape = paper.sine_errors(net.generate(5000.0)[:, 0], net.dt)
    took = time.process_time() - begin
    text = f"{took:.1f} s of one core; frequency {f:.3f} Hz, shape {shape:.3f}"
    passed = bool(took <= 60.0 and abs(f / paper.FREQUENCY - 1.0) <= 0.01 and shape <= 0.06)
    what = "FORCE, izhikevich, n = 2,000: 15 s, of which 5 learned, one thread"
    lines.append(Line(what, "a sine of 5 Hz", text, "60 s; 1 %; 0.06", passed))
    save(figure, options, "force_sine")
    return lines


def force_signals(options: Options) -> list[Line]:
    """FORCE: Ode to Joy with a clock by 1,000 Izhikevich neurons, and the Lorenz attractor by 2,000 LIF neurons."""
    figure, panels = axes(1, 3, 3.2, 3.0)
    net = reservoir.FORCE.izhikevich(1000, seed=1, **paper.SONG_OPTIONS)
    song, clock = paper.ode_to_joy(net.dt)
    net.fit(np.tile(song, (10, 1)), np.tile(clock, (10, 1)))
    z = net.generate(3 * 4000.0, np.tile(clock, (3, 1)))
    error, right = np.sqrt(np.mean((z - np.tile(song, (3, 1))) ** 2)), paper.right_notes(z, np.tile(song, (3, 1)))
    text = f"right notes {100 * right:.1f} % of the time, RMSE {error:.3f} (song {song.std():.3f})"
    passed = bool(right > 0.98 and error < 0.06)
    lines = [Line("FORCE, Ode to Joy, 10 repetitions learned, 3 played", "the song", text, "98 %; 0.06", passed)]
    for k in range(len(paper.NOTES)):
        panels[0, 0].plot(net.dt * 1e-3 * np.arange(len(song))[::50], k + z[: len(song) : 50, k], lw=0.7)
    panels[0, 0].set(xlabel="time (s)", yticks=range(len(paper.NOTES)), yticklabels=paper.NOTES)
    true = paper.lorenz(200_000.0, 1.0)
    known = paper.maxima(true, 1.0)
    sizes, paces, nears, fars = [], [], [], []
    for seed in range(1, 3 if options.quick else 7):
        net = reservoir.FORCE.lif(2000, seed=seed, **paper.LORENZ_OPTIONS)
        net.fit(paper.lorenz(65_000.0, net.dt), washout=5000.0)
        z = net.generate(20_000.0)
        near, far = paper.distances(z[:: round(5.0 / net.dt)], true)
        sizes.append(z.std(axis=0) / true.std(axis=0))
        paces.append(len(paper.maxima(z, net.dt)) / 20.0 / (len(known) / 200.0))
        nears.append(near)
        fars.append(far)
        print(
            f"  Lorenz, seed {seed}: SD {sizes[-1].round(2)}, pace {paces[-1]:.2f}, {near:.3f} of {far:.3f}", flush=True
        )
    size, pace = np.array(sizes), np.array(paces)
    typical = np.median(size, axis=0)
    text = (
        f"SD {size.min():.2f} to {size.max():.2f} of theirs, medians {typical.min():.2f} to {typical.max():.2f}; "
        f"maxima {pace.min():.2f} to {pace.max():.2f} times as often; {min(nears):.3f} to {max(nears):.3f} from the "
        f"attractor, normal numbers of the same covariance {min(fars):.3f} to {max(fars):.3f}"
    )
    # rounding decides on the way, so that a seed is another run on another machine; the medians are not
    passed = bool(
        np.all(np.abs(typical - 1.0) < 0.15) and np.all(np.abs(size - 1.0) < 0.3) and np.all(np.abs(pace - 1.0) < 0.15)
        and np.all(np.array(nears) < 0.25 * np.array(fars))
    )  # fmt: skip
    what = f"FORCE, Lorenz, 60 s learned, 20 s alone, {len(sizes)} seeds"
    lines.append(Line(what, "the equations", text, "medians 15 %, each 30 %; 15 %; a quarter", passed))
    step = round(5.0 / net.dt)
    for panel, x, title in zip(panels[0, 1:], (true[:20_000:5], z[::step]), ("equations", "network"), strict=True):
        panel.plot(x[:, 0], x[:, 2], lw=0.3)
        panel.set(title=title, xlabel="x", ylabel="z")
    save(figure, options, "force_signals")
    return lines


def _resemblance(z: np.ndarray, song: np.ndarray) -> float:
    """Correlation of all outputs with the song, shifted in time (as a ring) to where it is largest."""
    a, b = (np.fft.fft(x - x.mean(), axis=0) for x in (z, song))
    shifted = np.fft.ifft(np.sum(a * np.conj(b), axis=1)).real
    return float(shifted.max() / (z.std() * song.std() * z.size))


def force_song(options: Options) -> list[Line]:
    """FORCE: Ode to Joy without a clock by 2,000 Izhikevich neurons, 160 s learned; minutes."""
    net = reservoir.FORCE.izhikevich(
        2000, b=0.0, n_outputs=len(paper.NOTES), gain=10.0, feedback=4000.0, learn_every=4.0, seed=1
    )
    song, _ = paper.ode_to_joy(net.dt)
    net.fit(song)
    for k in range(5 if options.quick else 39):
        net.partial_fit(song)
        say(f"repetition {k + 2}: RMSE {np.sqrt(np.mean((net.outputs - song) ** 2)):.3f}")
    z = net.generate(3 * 4000.0)
    found = [_resemblance(part, song) for part in np.split(z, 3)]
    other, rng, tune = [], np.random.default_rng(0), paper.SONG
    for _ in range(200):
        parts = [paper.note(*tune[k], net.dt) for k in rng.permutation(len(tune))]
        other.append(_resemblance(np.concatenate(parts), song))
    figure, panels = axes(1, 1, 7.0, 3.0)
    for k in range(len(paper.NOTES)):
        panels[0, 0].plot(net.dt * 1e-3 * np.arange(len(z))[::50], k + z[::50, k], lw=0.6)
    panels[0, 0].set(xlabel="time (s)", yticks=range(len(paper.NOTES)), yticklabels=paper.NOTES)
    save(figure, options, "force_song")
    text = (
        f"correlation {', '.join(f'{x:.2f}' for x in found)}; of 200 tunes of the same notes at most {max(other):.2f}"
    )
    what = "FORCE, Ode to Joy, no clock, 12 s alone, in pieces of 4 s"
    return [Line(what, "the song, shifted", text, "each > 0.8", bool(min(found) > 0.8))]
