"""Of all tests."""

import gc

import pytest

from plasticity.base import RULES, SHORT_TERM
from snn.neurons.base import MODELS


@pytest.fixture(autouse=True)
def registries():
    """No test finds the models and rules that another has defined."""
    before = [(known, dict(known)) for known in (MODELS, RULES, SHORT_TERM)]
    yield
    for known, was in before:
        known.clear()
        known.update(was)


def pytest_collection_modifyitems(items):
    """Long tests first, so that no process is left alone with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_collection_finish():
    """Python looks for garbage less often: that takes a tenth of the time to compile, which is half of all tests'."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
