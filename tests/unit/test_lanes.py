"""Sparse rows in vector lanes, with columns of 16 and 32 bits."""

import numpy as np
import pytest
import scipy.sparse

import reservoir
from kernels.cpu.lanes import LANES, add_rows
from kernels.jit import kernel


@kernel
def rows(weights, columns, x, begin, end, sums, at):
    add_rows(weights, columns, x, begin, end, sums, at)


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_sums_are_in_order(dtype):
    """The same bits as one addition after the other; nothing beside the eight sums is touched."""
    rng = np.random.default_rng(1)
    n = 2**16 if dtype == np.uint16 else 2**17
    weights, x = rng.normal(size=(37, LANES)), rng.normal(size=n)
    columns = rng.integers(0, n, (37, LANES)).astype(dtype)
    columns[5] = n - 1
    for begin, end in ((0, 37), (3, 4), (7, 7)):
        sums, expected = np.full(3 * LANES, -1.0), np.full(3 * LANES, -1.0)
        rows(weights, columns, x, begin, end, sums, LANES)
        expected[LANES : 2 * LANES] = 0.0
        for k in range(begin, end):
            expected[LANES : 2 * LANES] += weights[k] * x[columns[k]]
        assert np.array_equal(sums, expected)


def test_more_units_than_16_bits_count():
    """A ring: a pulse goes on by one unit each step, past unit 65,536 too."""
    n = 70_001
    w = scipy.sparse.csr_array((np.ones(n), (np.arange(n), np.arange(n) - 1 + n * (np.arange(n) == 0))), shape=(n, n))
    w_in = scipy.sparse.csr_array(([1.0], ([65_530], [0])), shape=(n, 1))
    ring = reservoir.EchoStateNetwork(w, w_in, threads=2)
    states = ring.run(np.r_[0.5, np.zeros(11)])
    value = 0.5
    for t, state in enumerate(states):
        value = np.tanh(value)
        assert np.flatnonzero(state).tolist() == [65_530 + t]
        assert state[65_530 + t] == pytest.approx(value, abs=1e-15)
