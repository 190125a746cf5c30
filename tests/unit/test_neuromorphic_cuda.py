"""Integer networks on CUDA: on a device where there is one, else in Numba's simulator, are those of the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import cuda

from kernels.errors import BackendUnavailable, ModelError
from neuromorphic.fixed_point import NEVER, IntegerLIF, IntegerNetwork, IntegerProjection, IntegerSource

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
if SIMULATED:
    sys.setswitchinterval(1e-5)  # the simulator's threads wait for each other at every step


def recurrent(n=200, steps=40):
    """Neurons of all kinds, delays, exponents of either sign, graded spikes."""
    rng = np.random.default_rng(8)
    when, which = np.nonzero(rng.random((steps, 30)) < 0.3)
    plain = rng.integers(0, 2, n)
    neurons = IntegerLIF(
        n, du=rng.integers(0, 4096, n), dv=rng.integers(0, 1000, n), bias_mant=rng.integers(-50, 100, n), bias_exp=3,
        vth=rng.integers(100, 2000, n), subtract=plain * rng.integers(0, 2, n),
        refractory=(1 - plain) * rng.integers(0, 4, n), vth_lo=np.where(plain, NEVER, -200),
        reset_interval=rng.choice([0, 9], n), reset_offset=4,
    )  # fmt: skip

    def edges(source, n_source, exponent, delays):
        sources, targets = np.nonzero(rng.random((n_source, n)) < 0.05)
        weights, late = rng.integers(-256, 256, len(sources)), rng.integers(0, delays + 1, len(sources))
        return IntegerProjection(source, "n", sources, targets, weights, late, exponent)

    source = IntegerSource(30, when + 1, which, rng.choice([1, -2, 30], len(when)))
    projections = {"in": edges("in", 30, 2, 0), "fast": edges("n", n, -2, 0), "late": edges("n", n, -1, 6)}
    return IntegerNetwork({"n": neurons, "idle": IntegerLIF(3)}, {"in": source}, projections)


@pytest.mark.skipif(not cuda.is_available(), reason="no CUDA device here; test_in_the_simulator runs it")
def test_all_integers_are_those_of_the_cpu(monkeypatch):
    monkeypatch.setattr("neuromorphic.fixed_point.CHUNK", 203 * 39)  # two launches, the second of one step
    net = recurrent()
    ours, theirs = (net.run(40, ["n"], backend=backend) for backend in ("cpu", "cuda"))
    assert ours.steps["n"].size > 500 and set(ours.values["n"]) == {1, -1}
    for name in ("steps", "ids", "values", "u", "v", "wraps", "clips"):
        for population, array in getattr(ours, name).items():
            assert np.array_equal(array, getattr(theirs, name)[population]), (name, population)


@pytest.mark.skipif(not cuda.is_available(), reason="no CUDA device here; test_in_the_simulator runs it")
@pytest.mark.parametrize("seed", [3, 4])
@pytest.mark.parametrize("make", ["stdp_network", "reward_network"])
def test_learned_integers_are_those_of_the_cpu(monkeypatch, make, seed):
    """Spikes, weights, delays and tags, with a third factor too; epochs go on from launch to launch."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "scripts"))
    import verify_learning

    monkeypatch.setattr("neuromorphic.fixed_point.CHUNK", 21 * 37)
    net = getattr(verify_learning, make)(seed, n=20, steps=90)
    ours, theirs = (net.run(90, backend=backend) for backend in ("cpu", "cuda"))
    for name, ids in ours.ids.items():
        assert np.array_equal(ours.steps[name], theirs.steps[name]) and np.array_equal(ids, theirs.ids[name])
    assert ours.updates == theirs.updates and sum(map(len, ours.ids.values())) > 100
    for name, learned in ours.learned.items():
        assert np.array_equal(learned, theirs.learned[name])
        assert np.mean(learned[0] != net.projections[name].weights) > 0.2


@pytest.mark.skipif(cuda.is_available(), reason="the test runs here already")
def test_in_the_simulator():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "integers", __file__],
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0 and "5 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.skipif(cuda.is_available(), reason="there is a device")
def test_absent_or_unknown():
    with pytest.raises(BackendUnavailable, match='backend="cuda": .* Install the extra "cuda"'):
        recurrent().run(5, backend="cuda")
    with pytest.raises(ModelError, match=r'IntegerNetwork\.run\.backend: must be "cpu" or "cuda"; got \'gpu\''):
        recurrent().run(5, backend="gpu")
