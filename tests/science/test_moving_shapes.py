"""The task of moving shapes: what its events are, and that they tell the shapes apart."""

import numpy as np
import pytest

import snn
from reservoir import tasks


def test_events_are_the_borders_of_what_moves():
    events, labels = tasks.moving_shapes(8, steps=40, size=24, noise=0.0, seed=3)
    assert sorted(labels.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    for step, address in events:
        assert np.all(np.diff(step * 2 * 24**2 + address) > 0), "ascending, each once"
        covered = np.zeros((24, 24), int)  # at the beginning: unknown, so count from 0
        for t in range(40):
            now = [address[(step == t) & (address // 24**2 == k)] % 24**2 for k in (0, 1)]
            on, off = (np.bincount(a, minlength=24**2).reshape(24, 24) for a in now)
            assert not np.any(on & off)
            covered += on - off
            assert covered.min() >= -1 and covered.max() <= 1, "ON and OFF take turns at a pixel"
        assert 0.5 < np.sum(address < 24**2) / np.sum(address >= 24**2) < 2.0


def test_noise_has_its_rate():
    quiet, _ = tasks.moving_shapes(20, noise=0.0, seed=5)
    noisy, _ = tasks.moving_shapes(20, noise=0.02, seed=5)
    more = sum(len(s) for s, _ in noisy) - sum(len(s) for s, _ in quiet)
    expected = 0.02 * (20 * 32 * 512 - sum(len(s) for s, _ in quiet))
    assert abs(more - expected) < 5 * np.sqrt(expected)


@pytest.mark.parametrize("given", [{"samples": 0}, {"samples": 2, "size": 4}, {"samples": 2, "noise": 1.5}])
def test_bad_input(given):
    with pytest.raises(snn.ModelError, match=f"moving_shapes.{list(given)[-1]}"):
        tasks.moving_shapes(**given)


def test_counts_of_events_tell_shapes_apart():
    """A linear readout of the numbers of events by place does better than chance, and more steps help."""
    linear = pytest.importorskip("sklearn.linear_model", reason="needs scikit-learn (extra dev)")
    events, labels = tasks.moving_shapes(1200, seed=1)

    def counts(last):
        out = np.zeros((len(events), 512))
        for row, (step, address) in zip(out, events, strict=True):
            np.add.at(row, address[step < last], 1.0)
        return out

    seen = [counts(steps) for steps in (4, 32)]
    right = [linear.RidgeClassifier(30.0).fit(x[:800], labels[:800]).score(x[800:], labels[800:]) for x in seen]
    assert right[0] > 0.3 and right[1] > right[0] + 0.1, right
