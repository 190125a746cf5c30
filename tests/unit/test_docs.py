"""The examples of the documentation, and of docstrings, run."""

import doctest
import importlib
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = [
    path.relative_to(ROOT)
    for package in ("plasticity", "snn", "reservoir", "neuromorphic")
    for path in sorted((ROOT / package).rglob("*.py"))
    if ">>> " in path.read_text("utf-8")
]


def test_model_of_your_own(tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs" / "adding_a_model.md").read_text()
    code = re.findall(r"```python\n(.*?)```", text, re.S)
    (tmp_path / "my_model.py").write_text("".join(code))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("my_model")
    assert "cells" in capsys.readouterr().out
    assert module.Membrane.spec.name == "Membrane" and module.cells.spec.name == "NoisyMembrane"
    assert 60.0 < module.axon.spikes["squid"].rates()[0] < 80.0  # Hodgkin and Huxley's axon at 10 uA/cm^2
    assert abs(module.v.std() - 0.5) < 4 * 0.5 / (2 * module.v.size) ** 0.5  # 5 time constants apart

    snn, t_ref = module.snn, np.array([2.0, 5.0])
    two = module.Refractory(t_ref=t_ref)
    rates = []
    for weights in ({}, {"ex": 2.0}, {"ex": 2.0, "in": -3.0}):
        net = snn.Network(seed=1)
        pair = net.population("pair", 2, two)
        net.input("drive", pair, snn.StepCurrent(700.0))
        for receptor, weight in weights.items():
            net.input(receptor, pair, snn.Poisson(rate=1000.0), weight=weight)
        net.record(pair)
        spikes = snn.Simulation(net, dt=0.1).run(1000.0).spikes["pair"]
        rates.append(spikes.rates())
        if not weights:  # v_inf = -70 + 700 / 25 = -42, tau = 10 ms; the step that crosses, after t_ref in steps
            interval = np.ceil(10.0 * np.log((60.0 - 42.0) / (50.0 - 42.0)) / 0.1) * 0.1 + t_ref
            assert [x[0] for x in spikes.isi()] == pytest.approx(interval, abs=1e-9)
        assert all(x.min() > ref for x, ref in zip(spikes.isi(), t_ref, strict=True))
    assert (rates[1] > rates[0]).all() and (rates[2] < rates[1]).all()


def test_rule_of_your_own(tmp_path, monkeypatch, capsys):
    text = (ROOT / "docs" / "adding_a_rule.md").read_text()
    (tmp_path / "my_rule.py").write_text("\n".join(re.findall(r"```python\n(.*?)```", text, re.S)))
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("my_rule")
    weights = module.sim.connections("cells->cells")[2]
    learned, delivered = capsys.readouterr().out.rsplit("[", 1)
    delivered, released = delivered.split("]")
    assert abs(float(released) - 0.5) < 4.0 * np.sqrt(0.25 / 1000)  # -3 standard deviations of 0.3 are seldom below 0
    assert learned.startswith("[") and weights.min() >= 0.0 and abs(weights - 1.0).max() > 0.001
    fade, x = np.exp(-20.0 / 100.0), [0.0]
    for _ in range(2):
        x.append((x[-1] + 0.2 * (1.0 - x[-1])) * fade)
    assert [float(w) for w in delivered.split()] == pytest.approx(1.0 + np.array(x), rel=1e-6)


COMING = (ROOT / "docs" / "coming_from.md").read_text()
SECTIONS = {x.split("\n")[0]: x for x in COMING.split("\n## ")[1:4]}
ROWS = [
    (title, *re.fullmatch(r"\| (.*) \| (.*) \|", line).groups())
    for title, section in SECTIONS.items()
    for line in section.split("\n")
    if line.startswith("| ") and not line.endswith("here |")
]


def test_rows_of_coming_from():
    assert list(SECTIONS) == ["Brian2", "NEST", "PyNN"] and len(ROWS) > 70


@pytest.mark.parametrize(("here", "there"), [(here, there) for _, there, here in ROWS])
def test_coming_from(here, there, tmp_path, monkeypatch):
    """What stands on the right of the tables is code that runs: calls that describe, then those of a simulation."""
    monkeypatch.chdir(tmp_path)
    if "to_neo" in here:
        pytest.importorskip("neo", reason="extra analysis")
    spans = re.findall(r"`([^`]*)`", here)
    assert spans or "](" in here, there
    names = {}
    exec(re.search(r"```python\n(.*?)\nsim = ", COMING, re.S).group(1), names)
    later = [x for x in spans if re.search(r"\b(sim|result)\b|resume", x)]
    for code in spans:
        if code not in later:
            exec(code, names)
    if later or "net." in here:
        names["sim"] = names["snn"].Simulation(names["net"], quiet=True)
        names["result"] = names["sim"].run(10.0)
    for code in later:
        exec(code, names)


def test_event_engine(capsys):
    text = (ROOT / "docs" / "event_engine.md").read_text()
    names = {}
    exec(re.search(r"```python\n(.*?)```", text, re.S).group(1), names)
    assert len(names["result"].spikes["cells"]) > 100
    assert capsys.readouterr().out.startswith("[")


def test_networks_in_space():
    text = (ROOT / "docs" / "space.md").read_text()
    names = {}
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(code, names)
    snn = names["snn"]
    sim = snn.Simulation(names["net"], quiet=True)
    for name in names["net"].projections:
        assert len(sim.connections(name)[0]) > 100, name


def test_observing_rules(capsys):
    """Voltage-based STDP moves weights; bistable synapses learn where the target is told to respond; R-max parts the
    weights of rewarded and punished neurons."""
    text = (ROOT / "docs" / "observing_rules.md").read_text()
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(code, {})
    clopath, bistable, r_max = capsys.readouterr().out.splitlines()
    assert abs(float(clopath) - 1.0) > 0.01
    taught, *other = map(float, bistable.split())
    assert taught > 0.5 and other == [0.0, 0.0, 0.0]
    rewarded, punished = map(float, r_max.split())
    assert rewarded > 65.0 > 55.0 > punished


def test_delay_layer(capsys):
    """Motions are told from events, by most weights and by few; spikes are more often right than by chance."""
    text = (ROOT / "docs" / "delay_layer.md").read_text()
    names = {}
    exec(re.search(r"```python\n(.*?)```", text, re.S).group(1), names)
    whole, few = (float(w) for w in re.findall(r"0\.\d\d|1\.00", capsys.readouterr().out)[:2])
    assert whole > 0.75 and few > 0.5  # by chance 0.03
    assert (names["motion_seen"] == names["told"][3, 0]).mean() > 0.2
    assert 100 < len(names["step"]) < 3000


def test_homeostasis():
    """Both groups of cells come to the target rate, from rates several times as high, and without it they would not."""
    text = (ROOT / "docs" / "homeostasis.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.S).group(1)
    names = {}
    exec(code, names)
    spikes = names["sim"].run(20_000.0).spikes
    for name in ("scaled", "adapted"):
        assert spikes[name].rates().mean() == pytest.approx(names["RHO0"], rel=0.2), name
    names = {}
    exec(code.split("\nfor _ in")[0], names)
    spikes = names["sim"].run(5_000.0).spikes
    assert min(spikes[name].rates().mean() for name in ("scaled", "adapted")) > 3 * names["RHO0"]


def test_confidence(capsys):
    text = (ROOT / "docs" / "confidence.md").read_text()
    names = {}
    exec(re.search(r"```python\n(.*?)```", text, re.S).group(1), names)
    out = capsys.readouterr().out
    assert names["certificate"].ok and names["certificate"].statement() in out
    assert names["stream"].reason == "confident" and names["stream"].label == names["y"][0]


@pytest.mark.parametrize("path", EXAMPLES, ids=str)
def test_doctests(path):
    if path.parts[0] == "snn" and "torch" in path.parts:
        pytest.importorskip("torch", reason="extra torch")
    if path.name.startswith("nir_"):
        pytest.importorskip("nir", reason="extra nir")
    result = doctest.testmod(importlib.import_module(".".join(path.with_suffix("").parts)))
    assert result.attempted > 0 and result.failed == 0
