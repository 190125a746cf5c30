"""On-chip learning against lava-nc 0.10.0: random rules in its process model, learning networks in its runtime."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from kernels import onchip
from neuromorphic import learning
from neuromorphic.lava import export_lava

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
pytestmark = pytest.mark.cross


@pytest.fixture(scope="module")
def verify():
    sys.path.insert(0, str(SCRIPTS))
    try:
        import verify_learning
    finally:
        sys.path.remove(str(SCRIPTS))
    return verify_learning


@pytest.fixture(scope="module")
def cases(python, verify, tmp_path_factory):
    """(case, what Lava made of it): 40 two-factor, 40 three-factor rules, and one that is at the clips all the time."""
    rng = np.random.default_rng(11)
    cases = [verify.random_case(rng, third=k % 2 == 1) for k in range(80)]
    clips = learning.OnChipRule(dt="-7*2^8*u0 + 7*2^8*u0")  # leaves -2 of 128: the clips are -32769 and 32767
    one = np.ones((1, 1), np.int64)
    cases.append(verify.Case(clips, np.zeros((600, 1)), np.zeros((600, 1)), 2 * one, one, 200 * one, None, 1))
    return list(zip(cases, verify.lava_learns(cases, python, tmp_path_factory.mktemp("rules")), strict=True))


def test_random_rules_change_weights_tags_and_traces_as_in_lava(cases, verify):
    """``learning_rules`` of scripts/verify.py does so with 1000 rules."""
    for case, theirs in cases:
        assert not any(verify.mismatches(case.run(), theirs).values()), case.rule
    changes = [np.sum(np.diff(x, axis=0) != 0) for _, theirs in cases for x in theirs[:3]]
    assert np.sum(changes) > 2000 and np.mean(np.array(changes) > 0) > 0.4


MISTAKES = {
    "decay floors": ("int(low) + (r < exact - low)", "int(low)"),
    "decay rounds at <=": ("(r < exact - low)", "(r <= 1 - exact + low)"),
    "impulse without its fraction": ("x + whole + (r < fraction)", "x + whole"),
    "a trace of 8 bits": ("(r < fraction), 0), 127)", "(r < fraction), 0), 255)"),
    "no early impulse": ("if learners.tx[at + i] > 0:", "if learners.tx[at + i] > 99:"),
    "no early impulse of y": ("if learners.ty[to + j] > 0:", "if learners.ty[to + j] > 99:"),
    "x's early impulse rounds at random": ("whole[k], fraction[k], 0)", "whole[k], fraction[k], draws[X_IMPULSE])"),
    "y's early impulse draws late": ("draws[POST]", "draws[Y_IMPULSE]"),
    "impulse before decay": ("if spike == k:", "if spike == k + 1:"),
    "no shift": (">> right << left", "<< left"),
    "products clip evenly": ("product, -32769), 32767)", "product, -32768), 32767)"),
    "sums do not clip": ("-32769), 32767)\n    return", "-(2**40)), 2**40)\n    return"),
    "factors do not clip": ("min(max(value, -top), top - 1)", "value"),
    "no sign": ("if factors[f, 2]:", "if factors[f, 2] > 1:"),
    "weights floor": ("(total >> 7) + (r < (total & 127) / 128.0)", "total >> 7"),
    "excitatory weights may turn": ("(0, 255) if mode == 2", "(-1, 255) if mode == 2"),
    "inhibitory weights end at -256": ("(-255, 0)", "(-256, 0)"),
    "u an epoch late": ("t // steps % max(period, 1) == 0", "(t // steps - 1) % max(period, 1) == 0"),
    "traces at the end of the epoch": ("tx if dependency == X0", "steps if dependency == X0"),
    "three-factor traces kept": ("if not learners.third[me]:", "if True:"),
    "tag from the new weight": ("w, d, tag = seen[0, W], seen[0, D], seen[0, T]",
                                "w, d, tag = seen[0, W], seen[0, D], seen[0, T] | 1"),
    "spikes carried over": ("learners.tx[at + i] = 0", "pass"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", ["none", *MISTAKES])
def test_a_mistake_in_the_engine_is_seen(cases, verify, monkeypatch, mistake):
    old, new = MISTAKES.get(mistake, ("jit", "jit"))
    source = Path(onchip.__file__).read_text()
    assert old in source
    changed = types.ModuleType("changed")
    exec(source.replace(old, new).replace("@jit\n", ""), changed.__dict__)
    monkeypatch.setattr(learning, "onchip", changed)
    monkeypatch.setattr(learning, "_drive", learning._drive.py_func)
    seen = any(any(verify.mismatches(case.run(), theirs).values()) for case, theirs in cases)
    assert seen == (mistake != "none")


@pytest.mark.parametrize("make", ["stdp_network", "reward_network"])
def test_a_network_learns_in_lavas_runtime_what_it_learns_here(lava, verify, tmp_path, make):
    """Spikes, u, v, w, d, t; ``learning_networks`` of scripts/verify.py does so with ten seeds of each."""
    net = getattr(verify, make)(11)
    run = lava(export_lava(net, tmp_path / "b", 300))
    assert run.equal, (run.differ, run.learned_differ)
    assert sum(s.sum() for s in run.spikes.values()) > 1000
    for name, (w, _, t) in run.learned.items():
        assert np.mean(w != net.projections[name].weights) > 0.5 and (make == "stdp_network" or np.any(t != 0))
