"""``snn sweep``. Everything slow is imported inside."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kernels.errors import ConfigError
from snn.cli_common import FAILED, WRONG, columns, exit_on_error
from snn.host import to_stderr

if TYPE_CHECKING:
    from snn.sweeps import Summary

SHOWN = 20  # errors that are listed


def sweep(
    file: Path = typer.Argument(help="TOML file of a sweep."),
    out: Path | None = typer.Option(None, help="Folder to write [default: results/NAME]."),
    on: str | None = typer.Option(None, help="processes, dask or mpi."),
    workers: int | None = typer.Option(None, help="Processes [default: the cores at hand]."),
    address: str | None = typer.Option(None, metavar="TCP", help="Dask scheduler, such as tcp://host:8786."),
    threads: int | None = typer.Option(None, help="Threads of a point, at most [default: cores / workers]."),
    retry: bool = typer.Option(False, "--retry", help="Run failed points again."),
    status: bool = typer.Option(False, "--status", help="Only say how many points are done."),
    slurm: bool = typer.Option(False, "--slurm", help="Only write the script of a SLURM array into the folder."),
    quiet: bool = typer.Option(False, "--quiet", help="No progress; errors and the last lines stay."),
    allow_code: bool = typer.Option(False, "--allow-code", help="Run the Python files that the experiment names."),
) -> None:
    """Run an experiment at many points; a second call goes on where the first was stopped."""
    from snn.sweeps.executors import share
    from snn.sweeps.file import read_sweep, write_slurm

    with exit_on_error(WRONG):
        table, plan = read_sweep(file, out, allow_code)
        if status:
            counts = plan.states()
            running = counts.pop("running")
            print(f"{len(plan.points)} points: " + ", ".join(f"{n} {s}" for s, n in counts.items()) + _running(running))
            return
        plan.check()
        if slurm:
            if table.slurm is None:
                raise ConfigError(f"{file}: [slurm] is missing. Give at least tasks.")
            print(write_slurm(table.slurm, plan, file, allow_code))
            return
        given = table.executor
        pairs = (on, given.on), (workers, given.workers), (address, given.address), (threads, given.threads)
        arguments: Any = [theirs if mine is None else mine for mine, theirs in pairs]
        share(*arguments)
        arguments += retry, not quiet
    with exit_on_error(FAILED):
        summary = plan.run(*arguments)
    _report(summary)
    if summary.count("failed"):
        raise typer.Exit(FAILED)


def is_sweep(file: Path) -> bool:
    """Whether a TOML file describes a sweep, not an experiment."""
    from snn.config import read_toml

    return "experiment" in read_toml(file)


def check_sweep(file: Path, allow_code: bool) -> str:
    """What ``snn info`` says of the file of a sweep; ConfigError with all that is wrong, also of its points."""
    from snn.sweeps.file import read_sweep

    table, plan = read_sweep(file, None, allow_code)
    plan.check()
    return f"{file}: sweep of {table.experiment} at {len(plan.points)} points, into {plan.root}"


def table_info(file: Path) -> str:
    """What ``snn info`` says of the table of a sweep."""
    from snn.sweeps import read_summary

    summary = read_summary(file)
    rows = [[_cell(value) for value in row] for row in zip(*summary.columns.values(), strict=True)]
    lines = [_counted(summary), "", columns([list(summary.columns), *rows[:SHOWN]])]
    return "\n".join(lines + [f"and {len(rows) - SHOWN} more"] * (len(rows) > SHOWN))


def _cell(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())


def _running(n: int) -> str:
    return f" ({n} of them running)" if n else ""


def _counted(summary: "Summary") -> str:
    return f"{len(summary)} points: {summary.count('done')} done, {summary.count('failed')} failed"


def _report(summary: "Summary") -> None:
    failures = summary.failures()
    errors: dict[str, list[str]] = {}
    for name, error in failures.items():
        errors.setdefault(" ".join(error.split()), []).append(name)
    for error, names in list(errors.items())[:SHOWN]:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        to_stderr(f"failed: points/{names[0]}{more}: {error}")
    if len(errors) > SHOWN:
        to_stderr(f"and {len(errors) - SHOWN} other errors, see the column error")
    waiting = summary.count("waiting")
    print(_counted(summary) + (f", {waiting} still run by another sweep" if waiting else ""))
    print(summary.path)
