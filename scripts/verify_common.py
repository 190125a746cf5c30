"""What the parts of verify.py share: options, lines of the table, figures."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import snn

ROOT = Path(__file__).resolve().parents[1]
# On the path for the modules of the same folders, which import each other by name.
for _folder in (ROOT, ROOT / "scripts", ROOT / "scripts" / "examples", ROOT / "scripts" / "bench"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

DT = 0.1  # ms


@dataclasses.dataclass(frozen=True)
class Options:
    """What the command line gives every check."""

    out: Path
    quick: bool = False
    seeds: int = 8
    threads: int = 2


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of the table."""

    what: str
    against: str
    statistic: str
    bound: str
    passed: bool


def axes(rows: int, columns: int, width: float = 2.6, height: float = 2.3) -> tuple[Any, np.ndarray]:
    """A figure and its panels, shape (rows, columns); width and height of one in inches."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt.subplots(
        rows, columns, figsize=(max(width * columns, 5.0), height * rows), layout="constrained", squeeze=False
    )


def save(figure: Any, options: Options, name: str) -> None:
    """Write the figure to the folder of the results."""
    import matplotlib.pyplot as plt

    figure.savefig(options.out / f"{name}.png", dpi=110)
    plt.close(figure)


def say(text: str) -> None:
    """A line on stderr."""
    print(f"  {text}", file=sys.stderr, flush=True)


def module(path: Path) -> ModuleType:
    """The module in a file that is on no path."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(str(path))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def flat(result: snn.Result) -> tuple[np.ndarray, np.ndarray]:
    """Times and ids of all populations, numbered one after the other."""
    records = list(result.spikes.values())
    first = np.cumsum([0, *(r.n_nodes for r in records)])
    ids = [r.ids + k for r, k in zip(records, first, strict=False)]
    return np.concatenate([r.times for r in records]), np.concatenate(ids)
