"""Integers against what others recorded: a Loihi 2 chip (NIR paper) and lava-dl's layers; data in tests/data."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))
try:
    import ground_truths
finally:
    sys.path.pop(0)


@pytest.fixture
def data():
    return ground_truths.load(ROOT / "tests" / "data" / "loihi.npz")


def test_every_recorded_spike_u_and_v_is_ours(data):
    assert data["nir/loihi_s"].nonzero()[0].tolist() == [461, 511, 711, 761]
    assert [int(data[k].sum()) for k in ("dense/out", "complex/rf", "complex/rf_iz")] == [347, 10478, 13548]
    found = ground_truths.compare(data)
    assert len(found) == 19 and sum(n for _, n in found.values()) > 700_000
    assert {name: wrong for name, (wrong, _) in found.items() if wrong} == {}


def test_a_wrong_weight_or_parameter_is_seen(data):
    """The weights to one neuron or channel of each layer changed by 8."""
    changed = {"dense/weight": "dense, spikes", "complex/re": "RF, spikes", "tiny/kernel1": "tinynet, layer 1, u",
               "tiny/kernel2": "tinynet, layer 2, spikes", "pilot/fc1_w": "PilotNet fc-1, u",
               "pilot/fc2_w": "PilotNet fc-2, u"}  # fmt: skip
    for name in changed:
        data[name][0] += 8
    found = ground_truths.compare(data)
    assert all(found[name][0] > 0 for name in changed.values()), found
