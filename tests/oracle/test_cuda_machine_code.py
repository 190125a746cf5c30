"""Every kernel of the cuda backend compiled to PTX and machine code for sm_90 (H100, H200); needs no device.

numba-cuda takes the place of numba.cuda, so that it has an environment of its own: scripts/cuda_env.sh.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from plasticity.base import RULES
from snn.neurons.base import MODELS

ROOT = Path(__file__).resolve().parents[2]


def compiled(part):
    python = os.environ.get("VOLLEY_CUDA_PYTHON")
    if not python:
        pytest.skip(
            "VOLLEY_CUDA_PYTHON names no interpreter with numba-cuda and its compiler: bash scripts/cuda_env.sh"
        )
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    done = subprocess.run(
        [python, ROOT / "scripts" / "verify_cuda.py", part], env=env | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    print(found)
    return found


def assert_bounded(kernels):
    """A launch of 256 threads fits, and no thread keeps numbers in memory because registers ran out."""
    for name, report in kernels.items():
        assert 0 < report["registers"] <= 255, name  # 256 * 255 < 65,536, what a multiprocessor has
        assert report["spills"] == 0, name
        assert report["stack"] <= 64, name
        assert report["fusible"] == 0, name  # the same bits wherever a function is inlined, and most often the cpu's


def assert_adds_without_waiting(*reports):
    """What is delivered is added by reductions; ptxas would not make them of atomics in a cooperative kernel."""
    assert [report["waiting"] for report in reports] == [0] * len(reports)


@pytest.mark.slow
def test_every_model_rule_storage_and_input():
    found = compiled("launches")
    assert found["models"] == sorted(MODELS)
    assert found["rules"] == sorted({"Chance", "Kept", *RULES})
    assert found["kinds"] == ["bc", "cc", "cv", "mc", "vc", "vv"]
    names = ("begin_launch", "neurons_launch", "deliver_launch", "sweep_launch", "swept_launch")
    assert set(found["kernels"]) == set(names)
    assert_bounded(found["kernels"])
    assert_adds_without_waiting(found["kernels"]["begin_launch"], found["kernels"]["deliver_launch"])


@pytest.mark.slow
def test_the_loop_drawing_and_inference():
    """Compiled after a model that uses what CUDA lacks, which is refused by name."""
    said = compiled("windows")
    found = said["kernels"]
    assert said["refused"].startswith('backend="cuda": the kernels of this network do not compile')
    assert "gcd" in said["refused"] and 'use backend="cpu"' in said["refused"]
    integers = found.pop("integers")  # one block of 512 threads, with a table of synaptic variables in each
    assert 0 < integers["registers"] <= 128 and integers["spills"] == 0 and integers["stack"] <= 512
    assert integers["fusible"] == 0
    assert set(found) == {"advance", "count_sources", "place uint16 uint8", "place uint16 uint16", "infer"}
    assert_bounded(found)
    assert_adds_without_waiting(found["advance"])
