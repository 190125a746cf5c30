"""Compiled functions called at their addresses: what arrives, what is refused."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import pytest

from kernels.entry import address, call, call_int, signature
from kernels.jit import inner, kernel

ROOT = Path(__file__).resolve().parents[2]


class Some(NamedTuple):
    """A tuple of a number and arrays, as the step loop has them."""

    n: int
    values: np.ndarray
    small: np.ndarray


@inner
def add(some, k, weight):
    for i in range(some.n):
        some.values[i] += weight * k


@inner
def pick(some, k):
    return np.int64(some.small[k]) + k


@kernel
def loop(entries, some):
    total = 0
    for k in range(3):
        call(entries[0], some, np.uint32(k), np.float32(0.5))
        total += call_int(entries[1], some, k)
    return total


@kernel
def wrong(entries, some):
    call(entries[0], some, 1, 2, 3)


def test_entries():
    """Numbers of any width arrive as int64 and float64, tuples of arrays as they are."""
    some = Some(2, np.arange(4.0), np.array([7, 8, 9], np.uint16))
    known = signature(some, 0, 0.0)
    entries = np.array([address(add, known), address(pick, signature(some, 0, result=numba.types.int64))])
    assert loop(entries, some) == 7 + 8 + 9 + 0 + 1 + 2
    assert list(some.values) == [1.5, 2.5, 2.0, 3.0]
    with pytest.raises(numba.TypingError, match="no function is called with the signature"):
        wrong(entries, some)
    with pytest.raises(AssertionError):  # its result would be read as something else
        address(pick, signature(some, 0, result=numba.types.float64))


SHORT = """
import snn
net = snn.Network(seed=1)
net.record(net.population("p", 3, snn.LIFExp(i_e=500.0)))
print(len(snn.Simulation(net, quiet=True, threads=1).run(100.0).spikes["p"]))
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A folder of compiled kernels of a short run, what runs it, and what that says."""
    folder = tmp_path_factory.mktemp("cache")

    def run():
        environment = {**os.environ, "VOLLEY_CACHE_DIR": str(folder)}
        environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), environment.get("PYTHONPATH", "")])
        done = subprocess.run([sys.executable, "-c", SHORT], capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    return folder, run, run()


@pytest.mark.parametrize("kind", ["py", "nbi", "nbc"])
def test_a_damaged_cache_is_mended(kind, cache):
    """Files that a full disk cut short are made anew, once."""
    folder, run, first = cache
    files = [f for f in folder.rglob(f"*.{kind}") if f.name.startswith("volley_")]
    assert files
    for file in files:
        os.truncate(file, file.stat().st_size // 2)
    found, said = run()
    assert found == first[0]
    assert ("is damaged" in said and str(folder) in said) == (kind != "py")
    assert run() == (found, "")
