"""Bundles for Lava and the errors around them; what Lava computes is compared in tests/cross/test_lava.py."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from kernels.errors import BackendUnavailable, ExportError, FormatError
from neuromorphic.fixed_point import IntegerLIF, IntegerNetwork, IntegerProjection, IntegerSource
from neuromorphic.lava import export_lava, lava_python, run_lava


def small(weight=60, exponent=0):
    return IntegerNetwork(
        {"out": IntegerLIF(2, vth=100)}, {"in": IntegerSource(1, [1, 5], [0, 0])},
        {"in->out": IntegerProjection("in", "out", [0], [0], [weight], exponent=exponent)},
    )  # fmt: skip


def interpreter(folder, version="0.10.0"):
    """Answers as a Python with lava-nc of ``version``, and runs scripts with this one."""
    path = folder / "python"
    path.write_text(
        f'#!/bin/sh\nif [ "$1" = -c ]; then echo {version}; else exec {sys.executable} "$@"; fi\n', encoding="utf-8"
    )
    path.chmod(0o755)
    return str(path)


def test_a_bundle_holds_integers_and_what_is_expected(tmp_path):
    path = export_lava(small(), tmp_path / "b", 8)
    assert sorted(p.name for p in path.iterdir()) == ["arrays.npz", "expected.npz", "network.json", "run_lava.py"]
    with np.load(path / "arrays.npz", allow_pickle=False) as arrays:
        assert all(a.dtype.kind == "i" for a in arrays.values())
    with np.load(path / "expected.npz", allow_pickle=False) as expected:
        assert np.flatnonzero(expected["s0"][:, 0]).tolist() == [5]  # 3840 in step 2, 7680 in step 6 pass 6400
    assert json.loads((path / "network.json").read_text())["steps"] == 8


@pytest.mark.parametrize("steps", [0, -1, 2.5, True])
def test_steps_must_be_a_count(tmp_path, steps):
    with pytest.raises(ExportError, match=r"export_lava\.steps: must be an integer >= 1; got"):
        export_lava(small(), tmp_path / "b", steps)


def test_a_wrap_is_refused_and_nothing_is_written(tmp_path):
    net = IntegerNetwork(
        {"out": IntegerLIF(2, du=0, vth=131071)}, {"in": IntegerSource(1, np.arange(1, 9), np.zeros(8, int))},
        {"p": IntegerProjection("in", "out", [0], [1], [255], exponent=7)},
    )  # fmt: skip
    export_lava(net, tmp_path / "short", 4)
    with pytest.raises(ExportError, match=r"u leaves 24 bits in out \(neuron 1: 1 times\)"):
        export_lava(net, tmp_path / "b", 8)
    assert not (tmp_path / "b").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(ExportError, match=r"export_lava\.folder: must be new or empty"):
        export_lava(small(), tmp_path, 5)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_error(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(ExportError, match=r"export_lava\.folder: .* cannot be written"):
        export_lava(small(), tmp_path / "b", 5)


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "f").write_text("x")
    with pytest.raises(ExportError, match=r"export_lava\.folder: .* cannot be written"):
        export_lava(small(), tmp_path / "f", 5)


@pytest.mark.parametrize("file", ["arrays.npz", "expected.npz", "network.json", "run_lava.py"])
@pytest.mark.parametrize("how", ["changed", "missing"])
def test_a_bundle_that_is_not_whole_is_refused(tmp_path, file, how):
    path = export_lava(small(), tmp_path / "b", 8)
    if how == "missing":
        (path / file).unlink()
    else:
        (path / file).write_bytes((path / file).read_bytes()[:-7])
    with pytest.raises(FormatError, match="Export it again"):
        run_lava(path, interpreter(tmp_path))


def test_another_format_is_refused(tmp_path):
    path = export_lava(small(), tmp_path / "b", 8)
    text = (path / "network.json").read_text()
    (path / "network.json").write_text(text.replace('"format": 3', '"format": 1'))
    with pytest.raises(FormatError, match="must be a bundle of format 3; got 1"):
        run_lava(path, interpreter(tmp_path))


def test_an_interpreter_asked_for_is_used_or_refused(tmp_path, monkeypatch):
    with pytest.raises(BackendUnavailable, match=r"python= .*nowhere"):
        lava_python(str(tmp_path / "nowhere"))
    with pytest.raises(BackendUnavailable, match=r"python= .*: has 0\.9\.0"):
        lava_python(interpreter(tmp_path, "0.9.0"))
    monkeypatch.setenv("VOLLEY_LAVA_PYTHON", str(tmp_path / "absent"))
    with pytest.raises(BackendUnavailable, match=r"VOLLEY_LAVA_PYTHON= .*absent"):
        lava_python()
    good = interpreter(tmp_path)
    assert lava_python(good) == good


def test_the_script_says_so_where_there_is_no_lava(tmp_path):
    path = export_lava(small(), tmp_path / "b", 8)
    with pytest.raises(BackendUnavailable, match=r"needs lava-nc 0\.10\.0; .* has none"):
        run_lava(path, interpreter(tmp_path))


def test_a_run_that_hangs_is_killed_with_all_its_processes(tmp_path, monkeypatch):
    path = export_lava(small(), tmp_path / "b", 8)
    hang = (
        "import os, time\nchild = os.fork()\nopen('child', 'w').write(str(child)) if child else None\ntime.sleep(600)\n"
    )
    (path / "run_lava.py").write_text(hang)
    graph = json.loads((path / "network.json").read_text())
    del graph["sha256"]["run_lava.py"]
    (path / "network.json").write_text(json.dumps(graph))
    begin = time.monotonic()
    with pytest.raises(BackendUnavailable, match="still running after timeout=3 s and was killed"):
        run_lava(path, interpreter(tmp_path), timeout=3)
    assert time.monotonic() - begin < 20
    child = int((path / "child").read_text())
    for _ in range(100):
        try:
            state = open(f"/proc/{child}/stat").read().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            break
        if state == "Z":  # dead; whoever adopted it has not asked yet
            break
        time.sleep(0.05)
    else:
        pytest.fail("the child is alive")


def test_the_package_imports_no_lava(tmp_path):
    code = (
        "import sys, neuromorphic.quantization, neuromorphic.lava as l, neuromorphic.fixed_point as f\n"
        "net = f.IntegerNetwork({'a': f.IntegerLIF(1, bias_mant=9)}, {}, {})\n"
        f"l.export_lava(net, {str(tmp_path / 'b')!r}, 5)\n"
        "print(sorted({'lava', 'torch', 'nir'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
