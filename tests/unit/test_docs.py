"""The examples of the documentation run."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

from snn.neurons.base import MODELS

ROOT = Path(__file__).resolve().parents[2]


def test_model_of_your_own(tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs" / "adding_a_model.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.S).group(1)
    (tmp_path / "my_model.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("snn.neurons.base.MODELS", dict(MODELS))  # no other test shall find it there
    module = importlib.import_module("my_model")
    assert "cells" in capsys.readouterr().out
    assert module.cells.spec.name == "Leaky"


def test_event_engine(capsys):
    text = (ROOT / "docs" / "event_engine.md").read_text()
    names = {}
    exec(re.search(r"```python\n(.*?)```", text, re.S).group(1), names)
    assert len(names["result"].spikes["cells"]) > 100
    assert capsys.readouterr().out.startswith("[")


@pytest.mark.parametrize("name", ["snn.network", "snn.simulation", "snn.connect"])
def test_doctests(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0 and result.failed == 0
