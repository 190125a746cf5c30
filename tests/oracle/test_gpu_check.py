"""scripts/gpu_check.py as far as it goes without a GPU: what it computes, in Numba's simulator, and how it fails."""

import importlib.util
import json
import os
from functools import partial
from pathlib import Path

import pytest

SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"
simulated = pytest.mark.skipif(not SIMULATED, reason="test_cuda.py runs it in the simulator")


@pytest.fixture
def check():
    path = Path(__file__).resolve().parents[2] / "scripts" / "gpu_check.py"
    spec = importlib.util.spec_from_file_location("gpu_check", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@simulated
def test_what_sections_compute(check, monkeypatch):
    check.FOUND["limits"] = {"copy_tb_s": 4.0, "atomics_g_s_float32_256mb": 10.0}
    monkeypatch.setattr(check, "phases", partial(check.phases, windows=2))
    found = {}
    for values in ("constant", "learned"):
        net = check.brunel_network(20, 5, values=values)
        found[values] = check.measure(net, 1.5, 0.5, static=values != "learned", dt=0.1, precision="float32")
    assert found["constant"]["phases"]["neurons_us"] > 0.0 and "phases" not in found["learned"]
    found["edges"] = check.edges(35, 5)
    assert found["edges"]["edges"] > 60
    found["inference"] = check.inference(6, 4, 4)
    assert found["inference"]["whole, decisions that differ"] == 0
    found["batch"] = check.batch(2, 10, 0.5, 0.5)
    text = check.table(json.loads(json.dumps(found, default=str)))
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == ["| constant", "| learned", "| batch: 1 networks", "| batch: 2 networks"]
    assert rows[1][1:3] == ["20", "100"] and all(len(row) == 1 + len(check.COLUMNS) for row in rows)
    assert "- inference: " in text


@simulated
def test_what_the_sanitizer_sees(check):
    spikes, classes = check.small()
    assert spikes > 40 and len(set(classes)) > 1, "a silent network shows no fault"


def test_a_section_that_fails_is_told_and_others_run(check, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("NUMBA_ENABLE_CUDASIM", "1")  # refused: no GPU, whatever is here
    monkeypatch.setitem(check.SECTIONS, "limits", (check.limits, 0.01))
    assert check.sections(["environment", "limits"], tmp_path, 400.0) == 1
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    assert found["environment"]["failed"] == "exit code 1" and found["limits"]["failed"] == "stopped after 0.01 s"
    out = capfd.readouterr().out
    assert "this is no GPU" in out and "failed or left out: environment, limits" in out
    assert "- limits: " in (tmp_path / "gpu_check.md").read_text()
    assert check.sections(["environment"], tmp_path, -1.0) == 1
    found = json.loads((tmp_path / "gpu_check.json").read_text())
    assert "left out" in found["environment"] and "failed" in found["limits"], "what was found before stays"


def test_what_was_measured_before_a_failure_stays(check):
    found = {"real_time_factor": 0.1}
    check.attempt(found, "phases", lambda: found.update(phases=1 / 0))
    check.attempt(found, "more", lambda: found.update(more=1))
    assert found == {"real_time_factor": 0.1, "failed": "phases: ZeroDivisionError: division by zero", "more": 1}
    assert "| a | " in check.table({"a": found})


def test_what_it_starts_imports_what_it_imports(check, monkeypatch, tmp_path):
    for before, expected in ((str(tmp_path), f"a{os.pathsep}{tmp_path}"), ("", "a")):
        monkeypatch.setenv("PYTHONPATH", before)
        assert check.seeing(Path("a"))["PYTHONPATH"] == expected
