"""The TOML file of a sweep, and the SLURM script it describes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator

from snn.config import leaves, listed, read_toml
from snn.sweeps.design import METHODS, Range
from snn.sweeps.executors import PLACES, slurm_script
from snn.sweeps.points import write
from snn.sweeps.run import Plan
from snn.tables import Names, Problems, Table, check, within

SCRIPT = "sweep.sbatch"


class AxisTable(Table):
    """``[[parameters]]``: ``values``, or the keys of a :class:`Range`."""

    key: Names
    values: list[Any] | None = None
    low: float | None = None
    high: float | None = None
    num: int | None = None
    log: bool = False
    integer: bool = False

    def points(self) -> list[Any] | Range:
        """The values."""
        if self.values is not None:
            if self.model_fields_set - {"key", "values"}:
                raise Problems(": must have either values, or low and high.")
            return self.values
        if self.low is None or self.high is None:
            raise Problems(": needs values, or low and high.")
        return Range(self.low, self.high, self.num, self.log, self.integer)


class ExecutorTable(Table):
    """``[executor]``."""

    on: Literal[PLACES] = "processes"  # type: ignore[valid-type]
    workers: int | None = Field(None, ge=1)
    address: str | None = None
    threads: int | None = Field(None, ge=1)


class SlurmTable(Table):
    """``[slurm]``."""

    tasks: int = Field(ge=1, description="processes of the array")
    options: dict[str, str | int] = {}
    setup: list[str] = []


def _table(table: type[Table]) -> PlainValidator:
    return PlainValidator(lambda raw: check(table, raw))


class SweepTable(Table):
    """The file."""

    experiment: str = Field(description="the TOML file that is run")
    out: str | None = None
    method: Literal[METHODS] = "grid"  # type: ignore[valid-type]
    n: int | None = Field(None, ge=1)
    repetitions: int = Field(1, ge=1)
    seed: int | None = Field(None, ge=0)
    measures: list[str] = ["rate", "cv"]
    parameters: list[Annotated[AxisTable, _table(AxisTable)]] = Field(min_length=1, description="[[parameters]]")
    executor: Annotated[ExecutorTable, _table(ExecutorTable)] = Field({}, validate_default=True)
    slurm: Annotated[SlurmTable, _table(SlurmTable)] | None = None


def read_sweep(path: Path, out: Path | None, allow_code: bool) -> tuple[SweepTable, Plan]:
    """The sweep of a file, checked; ConfigError lists every problem of its tables."""
    parameters: dict[Any, Any] = {}
    try:
        table = check(SweepTable, read_toml(path))
        for k, axis in enumerate(table.parameters):
            with within(f".parameters.{k}", "Range"):
                parameters[axis.key[0] if len(axis.key) == 1 else tuple(axis.key)] = axis.points()
                if len(parameters) <= k:
                    raise Problems(f".key: {', '.join(axis.key)} is given twice.")
    except Problems as error:
        raise listed(path, [text.lstrip(".") for text in error.found]) from None
    if out is None and table.out and leaves(table.out):
        problem = f'out: must lie in the folder of the file or below; got "{table.out}". Use --out for another place.'
        raise listed(path, [problem])
    here = path.absolute().parent
    folder = out or (here / Path(table.out).expanduser() if table.out else Path("results") / path.stem)
    experiment = Path(os.path.relpath(here / Path(table.experiment).expanduser()))
    return table, Plan.make(
        experiment, parameters, folder, table.method, table.n, table.repetitions, table.seed, table.measures, allow_code
    )


def write_slurm(table: SlurmTable, plan: Plan, file: Path, allow_code: bool) -> Path:
    """Write the script into the folder of the sweep."""
    root = plan.root.absolute()
    root.mkdir(parents=True, exist_ok=True)
    command = [
        sys.executable,
        "-m",
        "snn",
        "sweep",
        str(file.absolute()),
        "--out",
        str(root),
        "--quiet",
        "--workers",
        "1",
    ]
    command += ["--allow-code"] if allow_code else []
    path = plan.root / SCRIPT
    write(path, slurm_script(command, root, table.tasks, table.options, table.setup))
    return path
