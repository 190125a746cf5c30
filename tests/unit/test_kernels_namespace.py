"""Our folder `kernels` lives beside the Hugging Face distribution `kernels` in one environment.

Ours has no ``__init__.py``; theirs has one. Both are installed, in both orders, and either is taken away again.
"""

import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("kernels", "neuromorphic", "plasticity", "reservoir", "snn")
THEIRS = "kernels==0.17.2"
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")

# Theirs is installed without its dependencies, so modules that are missing are stood in for.
STAND_INS = """
import importlib.machinery, importlib.util, sys
from unittest.mock import MagicMock

class StandIns:
    names = {"cryptography", "huggingface_hub", "packaging", "sigstore", "tomlkit", "yaml"}
    names |= {"tomli", "typing_extensions"} if sys.version_info < (3, 11) else set()
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.names:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__ = []
        return module
    def exec_module(self, module):
        pass

sys.meta_path.insert(0, StandIns())
"""
OURS_WORKS = "import kernels.errors; assert issubclass(kernels.errors.ModelError, ValueError)\n"
THEIRS_WORKS = "import kernels.status; from kernels import get_kernel; assert kernels.__version__ == '0.17.2'\n"
OURS_GONE = "import importlib.util; assert importlib.util.find_spec('kernels.errors') is None\n"
THEIRS_GONE = "import kernels; assert getattr(kernels, '__file__', None) is None\n"


def call(command: Sequence[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Paths of both wheels."""
    work = tmp_path_factory.mktemp("wheels")
    command = [*PIP, "download", "--quiet", "--retries", "1", "--timeout", "10", "--no-deps", "--only-binary", ":all:"]
    done = subprocess.run([*command, "--dest", "theirs", THEIRS], cwd=work, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        pytest.skip(f"{THEIRS} cannot be had from the package index: {reason}")

    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, work)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, work / package, ignore=shutil.ignore_patterns("__pycache__"))
    command = [*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", "ours"]
    try:
        if int(metadata.version("setuptools").partition(".")[0]) >= 77:
            command.append("--no-build-isolation")
    except metadata.PackageNotFoundError:
        pass
    call([*command, "."], work)
    return str(next((work / "ours").glob("*.whl"))), str(next((work / "theirs").glob("*.whl")))


@pytest.mark.parametrize("ours_first", [True, False], ids=["ours first", "theirs first"])
@pytest.mark.parametrize("removed", ["volley-snn", "kernels"])
def test_both_live_in_one_environment(wheels: tuple[str, str], tmp_path: Path, ours_first: bool, removed: str) -> None:
    ours, theirs = wheels
    venv.create(tmp_path / "env", with_pip=False)
    python = tmp_path / "env" / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    pip = [*PIP, "--python", str(python)]

    def check(code: str) -> None:
        call([str(python), "-I", "-c", STAND_INS + code], tmp_path)

    for wheel in (ours, theirs) if ours_first else (theirs, ours):
        call([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], tmp_path)
    check(OURS_WORKS + THEIRS_WORKS)

    call([*pip, "uninstall", "--quiet", "--yes", removed], tmp_path)
    check(THEIRS_WORKS + OURS_GONE if removed == "volley-snn" else OURS_WORKS + THEIRS_GONE)
