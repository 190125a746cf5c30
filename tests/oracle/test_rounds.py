"""Step functions that loop: rounds that neurons take together, and others; the same numbers as one by one."""

import ast
from pathlib import Path

import numpy as np
import pytest

import snn
from kernels import codegen, rounds
from kernels.names import definition, own
from kernels.spec import Derived, NeuronSpec, Param, Receptor, StateVar


def plain(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    drive = i_stim * gain
    for _ in range(n):
        old = v
        v = v + 0.1 * (drive - v - x)
        x = 0.9 * x + 0.01 * old
        wait = -1 if (v > 1.0) & (wait == 0) else wait
    fired = wait < 0
    wait = n_ref if fired else max(wait - 1, 0)
    return (0.0 if fired else v) + arrive_syn, x + (0.3 if fired else 0.0), wait, fired


def condition(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """A statement's condition, and a name that a round gives itself."""
    drive = i_stim * gain
    for _ in range(n):
        slope = drive - v - x
        if slope > 0.2:
            slope = 0.2
            x = x + 0.01
        v += 0.2 * slope
    fired = v > 1.0
    return (0.0 if fired else v) + arrive_syn, x * 0.95, n_ref, fired


def early(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """What begins names what only the end changes."""
    start = i_stim * gain - 0.5 * wait
    for _ in range(n):
        v = v + 0.1 * (start - v)
    wait = 1 - wait
    fired = v > 1.0
    return (0.0 if fired else v) + arrive_syn, x, wait, fired


def hands_on(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """A number goes from round to round."""
    slope = 0.0
    for _ in range(n):
        slope = 0.5 * slope + i_stim * gain - v
        v = v + 0.1 * slope
    fired = v > 1.0
    return (0.0 if fired else v) + arrive_syn, x, wait, fired


def may_hand_on(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """A number does where a condition does not hold."""
    for _ in range(n):
        if v < 0.98:
            i_stim = 1.0 - 0.1 * v
        v = v + 0.1 * (i_stim * gain - v)
    fired = v > 1.0
    return (0.0 if fired else v) + arrive_syn, x, wait, fired


def leaves(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """The last round's number is used."""
    for _ in range(n):
        slope = i_stim * gain - v
        v = v + 0.1 * slope
    fired = v > 1.0
    return (0.0 if fired else v) + arrive_syn, x + 0.01 * slope, wait, fired


def moves(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """What begins changes the state."""
    v = v + 0.1
    for _ in range(n):
        v = v + 0.1 * (i_stim * gain - v)
    fired = v > 1.0
    return (0.0 if fired else v) + arrive_syn, x, wait, fired


def adds(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """What begins changes a variable that rounds only read."""
    x = 0.9 * x + 0.05
    for _ in range(n):
        v = v + 0.1 * (i_stim * gain + x - v)
    fired = v > 1.0
    return (0.0 if fired else v) + arrive_syn, x, wait, fired


def stale(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """What begins reads what rounds change."""
    start = v
    for _ in range(n):
        v = v + 0.1 * (i_stim * gain - start)
    fired = v > 1.0
    return (0.0 if fired else v) + arrive_syn, x, wait, fired


def halves(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """An integer is none within the step."""
    for _ in range(n):
        wait = wait + 0.5
        v = v + 0.1 * (i_stim * gain - v) * wait
    fired = v > 1.0
    return (0.0 if fired else v) + arrive_syn, x, int(0.0 * wait), fired


def numbered(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """Rounds know their number."""
    for k in range(n):
        v = v + 0.1 * k * (i_stim * gain - v)
    fired = v > 1.0
    return (0.0 if fired else v) + arrive_syn, x, wait, fired


def breaks(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """Rounds may end."""
    for _ in range(n):
        v = v + 0.1 * (i_stim * gain - v)
        if v > 0.9:
            break
    fired = v > 0.95
    return (0.0 if fired else v) + arrive_syn, x, wait, fired


def each_its_own(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """A neuron has a number of rounds of its own."""
    for _ in range(int(1.0 + gain)):
        v = v + 0.1 * (i_stim * gain - v)
    fired = v > 1.0
    return (0.0 if fired else v) + arrive_syn, x, wait, fired


def ends_within(v, x, wait, arrive_syn, i_stim, gain, n, n_ref):
    """A sum that is begun anew by an argument of the step."""
    for _ in range(n):
        arrive_syn *= 0.5
        v = v + 0.1 * (i_stim * gain - v) + arrive_syn
    fired = v > 1.0
    return (0.0 if fired else v), x, wait, fired


TOGETHER = [plain, condition, early]
APART = [hands_on, may_hand_on, leaves, moves, adds, stale, halves, numbered, breaks, each_its_own, ends_within]


def model(step):
    return snn.define(
        NeuronSpec(
            name=f"Rounds_{step.__name__}",
            doc="Rounds.",
            state=(StateVar("v", "1", "v"), StateVar("x", "1", "x"), StateVar("wait", "step", "wait", dtype="int")),
            params=(Param("gain", "1", 1.5, "gain"), Param("t_ref", "ms", 1.0, "time")),
            derived=(
                Derived("n", "1", lambda p, dt: np.rint(dt / 0.02), dtype="int"),
                Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
            ),
            receptors=(Receptor("syn", "1", "jump"),),
            step=step,
            references=("this test",),
        )
    )


@pytest.mark.parametrize("step", TOGETHER + APART, ids=lambda step: step.__name__)
def test_the_same_numbers(step):
    """More neurons than take rounds together, no multiple of a vector, with parameters of their own."""
    n, runs = codegen.TOGETHER * 2 + 37, []
    for backend, threads in (("reference", 1), ("cpu", 1), ("cpu", 2)):
        net = snn.Network(seed=3)
        cells = net.population("cells", n, model(step)(gain=snn.uniform(0.5, 2.0)))
        net.input("drive", cells, snn.StepCurrent(1.0))
        net.connect(cells, cells, snn.fixed_indegree(3), weight=0.1, delay=0.3)
        net.record(cells, ["spikes", "v", "x"])
        sim = snn.Simulation(net, backend=backend, threads=threads, quiet=True)
        if backend == "cpu":
            text = "".join(Path(path).read_text() for path in sim.kernel_sources)
            assert ("def round_function(" in text) == (step in TOGETHER)
        runs.append(sim.run(4.0))
    first, *others = runs
    assert len(first.spikes["cells"]) > 100
    for other in others:
        for name in ("v", "x"):
            np.testing.assert_array_equal(other.states["cells"][name], first.states["cells"][name])
        for name in ("times", "ids"):
            np.testing.assert_array_equal(getattr(other.spikes["cells"], name), getattr(first.spikes["cells"], name))


def test_where_neurons_differ_in_the_number_of_rounds():
    """It must be a number that all have alike; and there must be one return, at the end."""
    state = {own("v"): "float", own("x"): "float", own("wait"): "int"}
    tree = definition(plain, "step_function")
    assert rounds.split(tree, state, [own("n")]) is not None and rounds.split(tree, state, [own("n_ref")]) is None
    tree.body.insert(0, ast.parse("if q_gain > 2.0:\n    return 0.0, 0.0, 0, True").body[0])
    assert rounds.split(tree, state, [own("n")]) is None
