"""FORCE learning in spiking networks: Nicola & Clopath (2017), doi:10.1038/s41467-017-01827-3.

    python scripts/examples/nicola_clopath_2017.py --out results

1. A sine of 5 Hz, by networks of LIF, theta and Izhikevich neurons: learned for 10 s, then generated for 5 s.
2. Ode to Joy, five notes as five outputs, by Izhikevich neurons: 10 times 4 s are enough with a clock, 32 pulses one
   after the other as inputs (the paper's high-dimensional temporal signal). Without it the paper trains 5,000 neurons
   for 900 s.
3. The Lorenz attractor, by theta neurons: learned for 45 s, then generated for 30 s.

Parameters are those of the authors' code (ModelDB 190565) where it has them. Errors are those of a sine fitted to 5 s
of output (amplitude, phase and frequency free), and of a sine of amplitude 1 that is put to the phase of each period;
the output drifts against the clock, as it must.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import scipy.optimize

import reservoir

FREQUENCY = 5.0  # Hz
BEAT = 250.0  # ms
SONG = (("E", 1), ("E", 1), ("F", 1), ("G", 1), ("G", 1), ("F", 1), ("E", 1), ("D", 1), ("C", 1), ("C", 1), ("D", 1),
        ("E", 1), ("E", 1.5), ("D", 0.5), ("D", 2))  # fmt: skip
NOTES = "CDEFG"
PULSES = 32
SONG_OPTIONS = {"b": 0.0, "n_outputs": len(NOTES), "n_inputs": PULSES, "gain": 5.0, "feedback": 400.0,
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


def ode_to_joy(dt: float) -> tuple[np.ndarray, np.ndarray]:
    """One song of 4 s: the notes, a half wave each, shape (steps, 5), and the clock, shape (steps, PULSES)."""
    notes = []
    for name, beats in SONG:
        steps = round(beats * BEAT / dt)
        note = np.zeros((steps, len(NOTES)))
        note[:, NOTES.index(name)] = np.sin(np.pi * np.arange(steps) / steps)
        notes.append(note)
    song = np.concatenate(notes)
    place = np.arange(len(song)) / len(song) * PULSES
    clock = np.abs(np.sin(np.pi * place))[:, None] * (place.astype(int)[:, None] == np.arange(PULSES))
    return song, clock


def right_notes(z: np.ndarray, song: np.ndarray) -> float:
    """Share of the time in which the strongest output is the note that is on (where one is above 0.5)."""
    on = song.max(axis=1) > 0.5
    return float(np.mean(np.argmax(z[on], axis=1) == np.argmax(song[on], axis=1)))


def lorenz(duration: float, dt: float, unit: float = 500.0) -> np.ndarray:
    """The attractor at ``unit`` ms for a unit of its time, shape (steps, 3), scaled to about -1 to 1."""
    return (reservoir.tasks.lorenz(round(duration / dt), every=dt / unit) - [0.0, 0.0, 25.0]) / [20.0, 25.0, 25.0]
