"""The hash of a network tells a changed model or rule, and nothing that changes no number."""

import importlib.util
import os
import subprocess
import sys

import pytest

import snn
from plasticity.base import RULES, SHORT_TERM
from snn.definition import OURS, definition
from snn.neurons.base import MODELS


def made(threshold, tau=20):
    model = snn.from_equations("Own", f"dv/dt=(12-v)/tau : mV\ntau={tau}:ms", threshold=f"v > {threshold}", reset="v=0")
    net = snn.Network(seed=1)
    net.population("a", 2, model())
    return snn.Simulation(net, backend="reference", quiet=True).network_hash


def test_other_equations_are_another_network():
    assert made(10) == made(10)
    assert made(10) != made(8)


SOURCE = """
from kernels.spec import Derived, Param, ShortTermSpec, StateVar
GAIN = 2.0
def of(shift):
    def constant(p, dt, power=2.0):
        return GAIN * p.rise**power + shift
    return constant
def on_spike(x, h, rise, a, b, c):
    return x + rise * a * b * c, 1.0 + x
rule = ShortTermSpec(name="Own", doc="d.", params=(Param("rise", "1", 0.2, "r", ge=0),),
    state=(StateVar("x", "1", "f", init=0.0),), on_spike=on_spike, references=("x",),
    derived=(Derived("a", "1", of(3.0)), Derived("b", "1", lambda p, dt: p.rise),
    Derived("c", "1", lambda p, dt: 4 * p.rise)))
"""


def said(folder, text):
    file = folder / f"m{len(list(folder.iterdir()))}.py"
    file.write_text(text)
    about = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(about)
    about.loader.exec_module(module)
    return definition(module.rule)


@pytest.mark.parametrize(
    "old, new",
    [("x + rise", "x - rise"), ("4 * p", "5 * p"), ("GAIN = 2.0", "GAIN = 2.5"), ("of(3.0)", "of(4.0)"),
     ("init=0.0", "init=0.5"), ("0.2", "0.3"), ("power=2.0", "power=3.0")],
)  # fmt: skip
def test_changed_rule(tmp_path, old, new):
    assert said(tmp_path, SOURCE) != said(tmp_path, SOURCE.replace(old, new))


def test_comments_and_place_do_not_count(tmp_path):
    moved = "# a line\n\n" + SOURCE.replace("rise):", "rise):  # why").replace("d.", "Other words.")
    assert said(tmp_path, SOURCE) == said(tmp_path, moved)


def test_same_in_another_process(tmp_path):
    (tmp_path / "own.py").write_text(SOURCE)
    code = "import own; from snn.definition import definition; print(definition(own.rule))"
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                       env={**os.environ, "PYTHONHASHSEED": seed}, cwd=tmp_path).stdout
        for seed in "12"
    ]  # fmt: skip
    assert runs[0] == runs[1]
    assert "1.0 + x" in runs[0] and " at 0x" not in runs[0]


def test_models_of_the_package_count_by_name():
    for known in (MODELS, RULES, SHORT_TERM):
        assert all(definition(known[name].spec) == name for name in known if known[name].__module__.startswith(OURS))
