"""Tests marked gpu need a CUDA device, or Numba's simulator of one."""

import os
import sys

import pytest
from numba import cuda

if os.environ.get("NUMBA_ENABLE_CUDASIM") == "1":
    sys.setswitchinterval(1e-5)  # the simulator's threads wait for each other at every step


def pytest_runtest_setup(item):
    if item.get_closest_marker("gpu") and not cuda.is_available():
        pytest.skip("no CUDA device here; test_in_the_simulator runs it")
