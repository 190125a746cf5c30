"""The commands on unfinished runs and damaged files: ``snn resume``, ``snn repair``; what ``snn validate`` reads."""

import time
from pathlib import Path

import typer

from kernels.errors import SimError
from snn import cli_sweep
from snn.cli_common import FAILED, WRONG, exit_on_error, print_rates
from snn.host import to_stderr


def resume(
    file: Path = typer.Argument(help="Checkpoint (.h5) of snn run --checkpoint."),
    out: Path | None = typer.Option(None, help="The record, where it is not in the checkpoint's folder or below."),
    threads: int | None = typer.Option(None, help="Number of threads; never changes a spike [default: as before]."),
    quiet: bool = typer.Option(False, "--quiet", help="No progress and no messages; errors and the table stay."),
    allow_code: bool = typer.Option(False, "--allow-code", help="Run the Python files that the configuration names."),
) -> None:
    """Finish a run that was killed or stopped, and its record, as if nothing had been."""
    with exit_on_error(WRONG):
        from snn.config import from_configuration
        from snn.io.checkpoint import Saved
        from snn.ranks import Ranks, world
        from snn.simulation import Simulation

        ranks = Ranks(world())
        with ranks.together():
            about = Saved(file).abouts[0]
            net = from_configuration(file, about.get("configuration"), allow_code=allow_code).network()
        ranks.gather(None)
        simulation = Simulation.resume(file, net, threads, quiet, ranks.comm)
    begin, start = time.perf_counter(), simulation.t
    with exit_on_error(FAILED):
        result = simulation.proceed(to=out, progress=not quiet and ranks.rank == 0)
        if not quiet and ranks.rank == 0:
            to_stderr(f"from {start:g} to {simulation.t:g} ms in {time.perf_counter() - begin:.3g} s; in {result.path}")
        print_rates(result, ranks)


def repair(
    file: Path = typer.Argument(help="What a killed run left (.h5.part)."),
    out: Path | None = typer.Option(None, help="File to write [default: FILE with .salvaged.h5]."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing file."),
) -> None:
    """Save what an unfinished record holds up to its last flush, as a file that every reader of HDF5 opens."""
    with exit_on_error(WRONG):
        from snn.io.sonata_resume import salvage

        target = out or file.with_name(f"{file.name.removesuffix('.part').removesuffix('.h5')}.salvaged.h5")
        until = salvage(file, target, overwrite)
        print(f"{target}: up to {until:g} ms")


def saved_info(file: Path) -> str | None:
    """What ``snn info`` says of a checkpoint, or of another file that carries a hash; None of a record."""
    from snn.io import checkpoint
    from snn.io.checkpoint import check_about
    from snn.io.saves import Saves
    from snn.sweeps import summary

    kind, version = _kind(file)
    if kind == summary.FORMAT:
        return cli_sweep.table_info(file)
    if kind != checkpoint.FORMAT:
        return None if version is None else f"{file}: {kind.removeprefix('volley ')}, version {version}"
    about, _ = checkpoint.read(file)
    check_about(file, about)
    options, run = about["options"], Saves.of(file, about["run"])
    unit = options["dt"] if options["engine"] == "clock" else 1.0
    how = (f"{k} {options[k]}" for k in ("engine", "backend", "threads", "precision"))
    lines = [
        f"{file}: checkpoint at {about['at'] * unit:g} ms" + (f" of a run to {run.until * unit:g} ms" if run else ""),
        f"made by       volley-snn {about['software']}, {', '.join(how)}, seed {about['seed']}",
    ]
    if "ranks" in about:
        lines.append(f"ranks         {about['ranks']}, of which this is one; give the name without .rank")
    if run and run.record != Path():
        lines.append(f"record        {run.record or 'in memory'}")
    python = "in Python: snn.Simulation.resume"
    lines.append(f"go on         {f'snn resume {file}' if run and about.get('configuration') else python}")
    return "\n".join(lines)


def _kind(file: Path) -> tuple[str, int | None]:
    """Format of a file, "" where it tells none; and version, of files that carry a hash."""
    from snn.io.sonata_file import reading, text_of

    with reading(file) as opened:
        kind = text_of(opened.attrs["format"]) if "format" in opened.attrs else ""
        return kind, int(opened.attrs["version"]) if "sha256" in opened.attrs else None


def check_file(file: Path) -> None:
    """Read everything of a record, checkpoint, trace or table of a sweep; ConfigError with all that is wrong."""
    from snn.confidence import trace
    from snn.io import checkpoint, own
    from snn.sweeps import summary

    kind, version = _kind(file)
    if kind == checkpoint.FORMAT:
        checkpoint.read(file)
    elif kind == trace.FORMAT:
        trace.Trace.load(file)
    elif kind == summary.FORMAT:
        summary.read_summary(file)
    elif version is not None:  # of the layers above
        own.read(file, kind, version, "save()")
    else:
        _check_record(file)


def _check_record(file: Path) -> None:
    from snn.config import listed
    from snn.io.sonata import read_result

    result, problems = read_result(file), []
    if not result.complete:
        problems.append(f"is incomplete: the run has not ended; readable up to {result.t_stop:g} ms.")
    for part, names in (("spikes", result.spikes), ("states", result.states), ("weights", result.weights)):
        for name in names:
            try:
                record = getattr(result, part)[name]
            except SimError as error:
                problems.append(f"{part} of {name!r}: {error}")
                continue
            if part == "spikes" and len(record):
                first, last = record.times[0], record.times[-1]
                if not record.t_start <= first <= last <= record.t_stop:
                    span = f"{record.t_start:g} to {record.t_stop:g} ms"
                    problems.append(f"spikes of {name!r}: must lie within {span}; got {first:g} to {last:g}.")
    if problems:
        raise listed(file, problems)
