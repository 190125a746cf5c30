"""Named tuples of arrays are read back by compiled functions as they were packed."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

import snn
from kernels import packed
from kernels.cpu.engine import Engine
from kernels.jit import kernel
from kernels.layout import Array
from plasticity import STDPPair
from snn.compile import compile_network


class Some(NamedTuple):
    number: int
    ratio: float
    small: Array
    cube: Array
    none: Array


def some(k):
    rng = np.random.default_rng(k)
    small = rng.integers(0, 9, 5 + k).astype(np.uint16)
    return Some(7 + k, np.float32(0.5) + k, small, rng.normal(size=(2, 3 + k, 4)), np.empty((0, 2)))


FORM = packed.form(some(0))
read = packed.reader(Some, FORM, 3)


@kernel
def total(table, row, out):
    x = read(table, row)
    out[0], out[1], out[2] = x.number, x.ratio, x.none.shape[0] * 10 + x.none.shape[1]
    for j in range(x.small.size):
        out[3] += x.small[j] * (j + 1)
    for a in range(x.cube.shape[0]):
        for b in range(x.cube.shape[1]):
            for c in range(x.cube.shape[2]):
                out[4] += x.cube[a, b, c] * (100 * a + 10 * b + c)
    x.small[0] += 1


def test_tuples_are_read_back():
    assert FORM == "i f u2:1 f8:3 f8:2" and packed.width(FORM) == 11
    rows = [some(k) for k in range(3)]
    table = packed.pack([(1, x) for x in rows])
    assert table.shape == (3, 12) and list(table[:, 0]) == [1, 1, 1]
    shifted = np.hstack([np.zeros((3, 2), np.int64), table])  # the tuple begins at word 3
    for k, x in enumerate(rows):
        before, out = x.small.copy(), np.zeros(5)
        total(shifted, k, out)
        i = np.indices(x.cube.shape)
        weights = before @ (np.arange(before.size) + 1)
        np.testing.assert_allclose(
            out, [x.number, x.ratio, 2, weights, np.sum(x.cube * (100 * i[0] + 10 * i[1] + i[2]))], rtol=1e-12
        )
        assert x.small[0] == before[0] + 1, "not a copy"


def test_what_is_computed_does_not_depend_on_how_edges_are_stored():
    """Wide blocks have targets of four bytes; a checkpoint must go on with them after narrow ones."""
    net = snn.Network()
    a = net.population("a", 5, snn.LIFDelta())
    for name in ("one", "other"):
        net.connect(a, a, snn.fixed_indegree(2), weight=1.0, delay=1.0, plasticity=STDPPair(w_max=2.0), name=name)
    narrow = compile_network(net, 0.1, "float64", 1)
    wide = replace(narrow, learned=[e._replace(targets=e.targets.astype(np.uint32)) for e in narrow.learned])
    first, second = Engine(narrow), Engine(wide)
    assert first.code == second.code and first.learners[0] is not second.learners[0]
    assert first.learners[0] is first.learners[1], "two projections with one rule share its code"
