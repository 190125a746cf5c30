"""Mutated files are read or refused with an error of ours; ``fuzz`` of scripts/verify.py tries 100,000 a reader."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COUNT = 40
LACKING = [
    name
    for name, module in (("nir", "nir"), ("checkpoint_ranks", "mpi4py"))
    if importlib.util.find_spec(module) is None
]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory held is read from /proc")
def test_some_inputs_of_every_reader(tmp_path):
    code = f"""
import json, sys
sys.path.insert(0, {str(ROOT / "scripts")!r})
import verify_fuzz
from pathlib import Path
some = {{f.__name__ for f in verify_fuzz.READERS}} - set({LACKING})
names = sorted(some)
print(json.dumps({{name: verify_fuzz.work(name, 0, {COUNT}, Path(sys.argv[1]) / name) for name in names}}))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) >= 11
    for name, counts in found.items():
        assert not counts["failed"], (name, counts["failed"])
        assert counts["read"] + counts["refused"] == COUNT
    assert sum(counts["refused"] for counts in found.values()) > COUNT * len(found) / 3, "mutations that change nothing"
