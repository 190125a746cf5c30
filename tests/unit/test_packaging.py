"""What the wheel holds, and what the packages may import."""

import ast
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LAYERS = {  # package -> what it may import of ours
    "kernels": {"kernels"},
    "plasticity": {"kernels", "plasticity"},
    "snn": {"kernels", "plasticity", "snn"},
    "reservoir": {"kernels", "plasticity", "snn", "reservoir"},
    "neuromorphic": {"kernels", "plasticity", "snn", "neuromorphic"},
}
# Modules and folders of the Hugging Face distribution `kernels`, which shares the import name with ours
TAKEN_NAMES = set(
    "_rust _system _versions _windows archs backends benchmark benchmarks cli compat deps hf_hub importer install layer"
    " load locking python_deps resolver status validate variants verify".split()
)
# Optional or slow to import: only inside functions, or in modules named after them (`snn/torch/`, `lava_worker.py`)
LAZY = {"torch", "snntorch", "neo", "nir", "lava", "mpi4py", "matplotlib", "pandas"}
NEVER = {"nest", "brian2"}  # GPL family: for tests and benchmarks
NEST_WORKER = ROOT / "snn" / "nest" / "worker.py"  # a program of its own, run where the user asks for NEST
# Not named as dependencies: Numba brings llvmlite; tomllib is in the standard library where tomli is not asked for
IMPLIED = {"llvmlite", "tomllib"}
MODULES = sorted(path for package in LAYERS for path in (ROOT / package).rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def top_names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module.partition(".")[0]]
    return []


def statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """What runs when a module is imported: no function bodies, nothing under ``if TYPE_CHECKING``."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        yield node
        typing_only = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for field in ("body", "orelse", "finalbody"):
            if not (typing_only and field == "body"):
                yield from statements(getattr(node, field, []))
        for handler in getattr(node, "handlers", []):
            yield from statements(handler.body)


def named_after(path: Path, library: str) -> bool:
    library = "torch" if library == "snntorch" else library  # one extra
    parts = path.relative_to(ROOT).with_suffix("").parts[1:]
    return any(part == library or part.startswith(library + "_") for part in parts)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built from a copy: a build folder left in the checkout would be packed again."""
    work = tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, work)
    for package in LAYERS:
        shutil.copytree(ROOT / package, work / package, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
    try:
        here = int(metadata.version("setuptools").partition(".")[0]) >= 77
    except metadata.PackageNotFoundError:
        here = False
    if here:
        command.append("--no-build-isolation")
    done = subprocess.run([*command, "--wheel-dir", "dist", "."], cwd=work, capture_output=True, text=True)
    if done.returncode and not here:
        pytest.skip("needs setuptools >= 77, or a package index to fetch it from (install the extra `dev`)")
    assert done.returncode == 0, done.stdout + done.stderr
    return zipfile.ZipFile(next((work / "dist").glob("*.whl")))


def test_wheel_holds_exactly_five_packages(wheel: zipfile.ZipFile) -> None:
    version = PROJECT["project"]["version"]
    assert {name.partition("/")[0] for name in wheel.namelist()} == {*LAYERS, f"volley_snn-{version}.dist-info"}


def test_wheel_holds_every_module(wheel: zipfile.ZipFile) -> None:
    files = {name for name in wheel.namelist() if name.endswith(".py")}
    assert files == {name_of(path) for path in MODULES}, (
        "name every folder in pyproject.toml, [tool.setuptools] packages"
    )


def test_wheel_is_typed_and_licensed(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert {f"{package}/py.typed" for package in LAYERS} <= set(names)
    assert any(name.endswith("licenses/LICENSE") for name in names)
    scripts = next(name for name in names if name.endswith("entry_points.txt"))
    assert "snn = snn.cli:main" in wheel.read(scripts).decode()


def test_kernels_shares_no_file_with_the_other_distribution(wheel: zipfile.ZipFile) -> None:
    inside = {name.split("/")[1] for name in wheel.namelist() if name.startswith("kernels/")}
    assert "__init__.py" not in inside
    assert not TAKEN_NAMES & {name.partition(".")[0] for name in inside}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_go_downward_only(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    used = {name for node in nodes for name in top_names(node)}
    assert not (used & set(LAYERS)) - LAYERS[package], f"{package} may import only {sorted(LAYERS[package])}"
    assert not used & NEVER or path == NEST_WORKER, "other simulators are for tests and benchmarks only"
    assert "tests" not in used and "scripts" not in used


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_optional_packages_are_imported_late(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    used = {name for node in statements(body) for name in top_names(node)}
    used = {name for name in used if not named_after(path, name)}
    assert not used & LAZY, "import inside the function that needs it"
    core = {re.split(r"[^A-Za-z0-9_-]", text)[0].replace("-", "_") for text in PROJECT["project"]["dependencies"]}
    unknown = used - core - set(LAYERS) - IMPLIED - set(sys.stdlib_module_names)
    assert not unknown, "not a core dependency in pyproject.toml"


WITHOUT_TORCH = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "snntorch"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import snn
try:
    import snn.torch
except snn.BackendUnavailable as error:
    print(error)
"""


def test_snn_torch_without_torch_says_what_to_install() -> None:
    run = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True, check=True, cwd=ROOT)
    assert run.stdout.startswith("snn.torch: No module named 'snntorch'. Install the extra: pip install")


@pytest.mark.parametrize(
    "path", [path for path in MODULES if path.stem == "__init__" or path.stem[0] != "_"], ids=name_of
)
def test_public_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_one_version() -> None:
    version = PROJECT["project"]["version"]
    found = re.search(r"^version: *['\"]?([^'\"\s]+)", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.M)
    assert found and found[1] == version
    # Hugging Face's transformers reads the version of whichever distribution owns `kernels`, and takes 0.18 for its own
    assert not version.startswith("0.18.")
