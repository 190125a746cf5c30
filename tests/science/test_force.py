"""FORCE networks of Izhikevich neurons learn to generate the signals of Nicola & Clopath (2017)."""

import importlib.util
from pathlib import Path

import numpy as np

import reservoir

PATH = Path(__file__).resolve().parents[2] / "scripts" / "examples" / "nicola_clopath_2017.py"
spec = importlib.util.spec_from_file_location(PATH.stem, PATH)
paper = importlib.util.module_from_spec(spec)
spec.loader.exec_module(paper)


def test_errors_are_those_of_the_wave():
    """The measure itself: amplitude 0.9, 4.97 Hz, noise of 0.05."""
    t = 0.04e-3 * np.arange(125_000)
    z = 0.9 * np.sin(2 * np.pi * 4.97 * t + 1.0) + np.random.default_rng(1).normal(0.0, 0.05, t.size)
    f, rms, shape = paper.sine_errors(z, 0.04)
    assert abs(f - 4.97) < 1e-3
    assert abs(rms - 0.05) < 1e-3
    assert abs(shape - np.sqrt(0.05**2 + 0.1**2 / 2)) < 1e-3


def test_sine():
    """Frequency within 1 %, shape within 0.06. Phase drifts in 5 s, by which a fitted sine is off a little more; one
    that has been lost is 0.7 off."""
    net = reservoir.FORCE.izhikevich(1000, seed=2)
    net.fit(paper.sine(15_000.0, net.dt), washout=5000.0)
    z = net.generate(5000.0)[:, 0]
    f, rms, shape = paper.sine_errors(z, net.dt)
    assert abs(f / paper.FREQUENCY - 1.0) <= 0.01
    assert shape <= 0.06
    assert rms <= 0.15
    assert abs(z.std() * np.sqrt(2.0) - 1.0) < 0.05
    assert 20.0 < net.rate < 60.0


def test_ode_to_joy_with_a_clock():
    """Three repetitions are learned; the song is then played twice, and its notes are lost with the clock."""
    net = reservoir.FORCE.izhikevich(500, seed=1, **paper.SONG_OPTIONS)
    song, clock = paper.ode_to_joy(net.dt)
    assert len(song) == round(4000.0 / net.dt) and clock.max() <= 1.0 and np.all((clock > 0).sum(axis=1) <= 1)
    net.fit(np.tile(song, (3, 1)), np.tile(clock, (3, 1)))
    z = net.generate(8000.0, np.tile(clock, (2, 1)))
    assert np.sqrt(np.mean((z - np.tile(song, (2, 1))) ** 2)) < 0.1  # the song's own size is 0.29
    assert paper.right_notes(z, np.tile(song, (2, 1))) > 0.98
    lost = net.generate(4000.0, np.zeros_like(clock))
    assert paper.right_notes(lost, song) < 0.6
