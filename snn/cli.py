"""The ``snn`` command. Everything slow is imported inside the command that needs it.

Exit codes: 0 done, 1 the run failed, 2 wrong usage, configuration or file, 130 interrupted, 143 or 138 stopped by
SIGTERM or SIGUSR1 after a checkpoint.
"""

import importlib
import math
import sys
import time
import warnings
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

import typer

from kernels.errors import ConfigError, ModelError
from snn import cli_files, cli_models, cli_sweep
from snn.cli_common import (
    FAILED,
    INTERRUPTED,
    WRONG,
    Kind,
    check_picture,
    check_place,
    columns,
    default_output,
    draw,
    exit_on_error,
    is_toml,
    print_rates,
    rates_table,
    read_experiment,
    save_picture,
    spare,
)
from snn.host import to_stderr

app = typer.Typer(
    name="snn", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Volley: simulate spiking networks described in TOML, and look at what they did.",
)  # fmt: skip


def main() -> None:
    """Entry point of the ``snn`` command."""
    warnings.showwarning = _show_warning
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    to_stderr(f"warning: {message}")


def _version(value: bool) -> None:
    if value:
        import snn

        print(f"volley-snn {snn.__version__}")
        raise typer.Exit


class Target(str, Enum):
    """What ``snn export`` writes."""

    nir = "nir"
    lava = "lava"
    sonata = "sonata"
    pynn = "pynn"
    report = "report"


@app.callback()
def _common(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


# ------------------------------------------------------------------------------------------------------------ run


@app.command()
def run(
    file: Path = typer.Argument(help="TOML file, or a record (.h5) to run again."),
    set_: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Replace a value; lists by number, from 0."),
    out: Path | None = typer.Option(None, help="File to write [default: results/NAME.h5]."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing file."),
    compress: bool = typer.Option(False, "--compress", help="Compress the file; libsonata does not read it then."),
    threads: int | None = typer.Option(None, help="Number of threads; never changes a spike."),
    seed: int | None = typer.Option(None, help="Seed of everything that is drawn."),
    backend: str | None = typer.Option(None, help="cpu or reference."),
    duration: float | None = typer.Option(None, metavar="MS", help="Model time."),
    quiet: bool = typer.Option(False, "--quiet", help="No progress and no messages; errors and the table stay."),
    plot: Path | None = typer.Option(None, metavar="PNG", help="Draw a raster as well."),
    checkpoint: Path | None = typer.Option(
        None, metavar="H5", help="Keep the state there, for snn resume [default: with --every, NAME.state.h5]."
    ),
    every: float | None = typer.Option(None, metavar="MS", help="Model time between two checkpoints."),
    checksum: bool = typer.Option(False, "--checksum", help="Write a checksum with every chunk."),
    on: str | None = typer.Option(None, metavar="nest", help="Run it in another simulator: nest."),
    allow_code: bool = typer.Option(False, "--allow-code", help="Run the Python files that the file names."),
) -> None:
    """Run an experiment, write its records and print the rates."""
    with exit_on_error(WRONG):
        from snn.io.sonata_file import check_destination, part_path
        from snn.ranks import Ranks, world

        ranks = Ranks(world())
        with ranks.together():
            flags: dict[str, Any] = {"seed": seed, "simulation.threads": threads, "simulation.backend": backend}
            flags["simulation.duration"] = duration
            experiment = read_experiment(file, set_, {k: v for k, v in flags.items() if v is not None}, allow_code)
            output = experiment.output
            overwrite, compress = overwrite or output.overwrite, compress or output.compress
            whole = out or (Path(output.file) if output.file else default_output(file))
            every = every if every is not None or checkpoint is not None else output.every
            if every is not None and not 0 < every < math.inf:
                raise ConfigError(f"--every: must be > 0 ms; got {every:g}.")
            checkpoint = whole.with_suffix(".state.h5") if checkpoint is None and every is not None else checkpoint
            target = ranks.file(whole)
            spare(target, file)
            check_destination(target, overwrite)
            if checkpoint is not None:
                from snn.io.checkpoint import check_target

                check_target(ranks.file(checkpoint), target)
            picture = plot or (Path(output.plot) if output.plot else None)
            if picture is not None and ranks.size > 1:
                raise ConfigError(f"{picture}: no rank holds all spikes. Merge the files with snn merge, then plot.")
            net = experiment.network()
            if picture is not None:
                check_picture(picture)
                if not any(p.variable == "spikes" for p in net.probes):
                    raise ConfigError(f"{picture}: a raster needs recorded spikes. Add spikes to [[record]].")
        ranks.gather(None)

        from snn.simulation import Simulation

        s = experiment.simulation
        if on is not None and (checkpoint or every or checksum or ranks.size > 1):
            raise ConfigError(f"--on {on}: goes with no --checkpoint, --every, --checksum and mpiexec. Leave them out.")
        options: dict[str, Any] = {"overwrite": overwrite, "compress": compress}
        simulate: Any
        if on is not None:
            from snn.nest.run import far_run

            simulate = far_run(on, net, s)
        else:
            sim = Simulation(net, s.dt, s.engine, s.backend, s.threads, s.precision, quiet, comm=ranks.comm)
            experiment.check_same(sim.network_hash)
            simulate = sim.run
            options |= {"checksum": checksum, "checkpoint": checkpoint, "every": every}
    begin = time.perf_counter()
    with exit_on_error(FAILED, part_path(target)):
        progress = not quiet and ranks.rank == 0
        result = simulate(s.duration, to=whole, progress=progress, **options)
    if progress:
        seconds = time.perf_counter() - begin
        factor = f", real-time factor {seconds / s.duration * 1e3:.3g}" if s.duration > 0 else ""
        where = target if ranks.size == 1 else f"{ranks.size} files like {target}"
        to_stderr(f"{s.duration:g} ms in {seconds:.3g} s{factor}; written to {where}")
    with exit_on_error(FAILED):
        if picture is not None:
            draw(result, Kind.raster, picture)
            if not quiet:
                to_stderr(f"plot written to {picture}")
        print_rates(result, ranks)


# ----------------------------------------------------------------------------------------------------------- info


@app.command()
def info(
    file: Path | None = typer.Argument(None, help="Record (.h5, .h5.part), checkpoint, table of a sweep or TOML file."),
    allow_code: bool = typer.Option(False, "--allow-code", help="Run the Python files that the file names."),
) -> None:
    """Say what a file holds; without a file, which versions and backends there are."""
    with exit_on_error(WRONG):
        if file is None:
            print(_system())
        elif is_toml(file):
            print((cli_sweep.check_sweep if cli_sweep.is_sweep(file) else _experiment_info)(file, allow_code))
        else:
            print(cli_files.saved_info(file) or _record_info(file))


def _system() -> str:
    import importlib.metadata
    import platform

    import snn
    from kernels.jit import cache_dir
    from snn.host import cores
    from snn.neurons.base import MODELS
    from snn.options import BACKENDS

    rows = [("volley-snn", snn.__version__), ("python", platform.python_version())]
    rows += [(name, importlib.metadata.version(name)) for name in ("numpy", "numba", "scipy", "h5py")]
    rows += [("backends", ", ".join(BACKENDS)), ("threads", str(cores())), ("models", str(len(MODELS)))]
    rows += [("kernel cache", str(cache_dir()))]
    return "\n".join(f"{name:<14}{value}" for name, value in rows)


def _experiment_info(file: Path, allow_code: bool) -> str:
    from snn.config import load

    experiment = load(file, allow_code=allow_code)
    net, s = experiment.network(), experiment.simulation
    lines = [f"{file}: {s.duration:g} ms in steps of {s.dt:g} ms, backend {s.backend}, {s.precision}, seed {net.seed}"]
    models = [[p.name, f"{p.n:,}", p.spec.name if p.spec else type(p.model).__name__] for p in net.populations.values()]
    sources = [[i.name, i.target.name, type(i.source).__name__] for i in net.inputs.values()]
    rules = [[p.name, type(p.rule).__name__, repr(p.plasticity) if p.plasticity else "static"]
             for p in net.projections.values()]  # fmt: skip
    tables = (
        [["population", "n", "model"], *models],
        [["input", "target", "source"], *sources],
        [["projection", "rule", "plasticity"], *rules],
    )
    lines += [f"\n{columns(rows)}" for rows in tables if len(rows) > 1]
    records = [f"{p.population.name}.{p.variable}" for p in net.probes]
    records += [f"{p.variable} of {p.projection.name}" for p in net.weight_probes]
    if records:
        lines += ["", "records: " + ", ".join(records)]
    return "\n".join(lines)


def _record_info(file: Path) -> str:
    from snn.io.sonata import describe

    d = describe(file)
    state = "complete" if d["complete"] else f"INCOMPLETE: the run has not ended; readable up to {d['t_stop']:g} ms"
    lines = [
        f"{file}: {state}",
        f"format        {d['format'] or 'SONATA of another program'}, {d['bytes']:,} bytes",
        f"model time    {d['t_start']:g} to {d['t_stop']:g} ms",
    ]
    p = d["provenance"]
    if p:
        how = (f"{k} {p[k]}" for k in ("version", "backend", "threads", "precision", "seed") if k in p)
        again = f"yes: snn run {file}" if p.get("configuration") else "no: the network was described in Python"
        again = "no: a program changed the simulation between runs" if p.get("changes") else again
        lines += [f"made by       {p.get('software', '?')} {', '.join(how)}", f"run again     {again}"]
    rows = [["population", "n", "spikes", "rate (Hz)"]]
    for name, row in d["populations"].items():
        rate = "-" if row["rate"] is None else f"{row['rate']:.3f}"
        part = "" if row["n_recorded"] == row["n_nodes"] else f"{row['n_recorded']:,} of "
        rows.append([name, f"{part}{row['n_nodes']:,}", f"{row['n_spikes']:,}", rate])
    if len(rows) > 1:
        lines += ["", columns(rows)]
    for name, row in d["reports"].items():
        shape = f"{row['n_samples']:,} samples of {row['n_ids']:,} neurons"
        lines.append(f"{name} [{row['unit']}]: {shape} every {row['every']:g} ms")
    for name, row in d["weights"].items():
        lines.append(f"weights of {name}: {row['n_synapses']:,} at {row['n_times']:,} times")
    return "\n".join(lines)


# ---------------------------------------------------------------------------------------------------------- merge


@app.command()
def merge(
    files: list[Path] = typer.Argument(help="The files of all ranks of one run, NAME.rank*.h5."),
    out: Path = typer.Option(help="File to write."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing file."),
    compress: bool = typer.Option(False, "--compress", help="Compress the file; libsonata does not read it then."),
) -> None:
    """Make one record of those that the ranks of an MPI run wrote."""
    with exit_on_error(WRONG):
        from snn.io.merge import merge_files

        print(rates_table(merge_files(files, out, overwrite, compress)))


# ------------------------------------------------------------------------------------------------------- validate


@app.command()
def validate(
    file: Path = typer.Argument(help="TOML file, record (.h5, .h5.part), checkpoint, trace or table."),
    set_: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Replace a value first, as in snn run."),
    allow_code: bool = typer.Option(False, "--allow-code", help="Run the Python files that the file names."),
) -> None:
    """Check a file without running it: "ok", or every problem."""
    with exit_on_error(WRONG):
        toml = is_toml(file)
        if set_ and (not toml or cli_sweep.is_sweep(file)):
            raise ConfigError(f"{file}: --set is for TOML files of experiments.")
        if toml and cli_sweep.is_sweep(file):
            cli_sweep.check_sweep(file, allow_code)
        elif toml:
            read_experiment(file, set_, {}, allow_code)
        else:
            cli_files.check_file(file)
        print("ok")


# --------------------------------------------------------------------------------------------------------- export


TAKEN_BY = {  # options of snn export, and the targets that know them
    "out": ("nir", "lava", "sonata", "pynn"), "overwrite": ("nir",), "check": ("nir",), "interval": ("lava", "report"),
    "chip": ("report",), "chips": ("report",),
}  # fmt: skip


@app.command()
def export(
    context: typer.Context,
    target: Target = typer.Argument(
        help="A file for NIR, a folder for Lava, SONATA or PyNN, or a report of the cost on a chip."
    ),
    file: Path = typer.Argument(help="TOML file."),
    out: Path | None = typer.Option(
        None, help="File or folder to write [default: results/NAME.TARGET]; a report is printed."
    ),
    set_: list[str] = typer.Option([], "--set", metavar="KEY=VALUE", help="Replace a value; lists by number, from 0."),
    overwrite: bool = typer.Option(False, "--overwrite", help="Replace an existing NIR file."),
    check: int = typer.Option(0, metavar="STEPS", help="nir: keep random input and the spikes expected of it."),
    interval: int = typer.Option(1, help="lava, report: fewest steps between two spikes of a neuron."),
    chip: str = typer.Option("loihi2", help="report: loihi1 or loihi2."),
    chips: int = typer.Option(1, help="report: how many there are."),
    allow_code: bool = typer.Option(False, "--allow-code", help="Run the Python files that the file names."),
) -> None:
    """Hand a network over to other simulators and chips; dt and duration are the file's."""
    with exit_on_error(WRONG):
        for option, targets in TAKEN_BY.items():
            given = context.get_parameter_source(option)
            if target.value not in targets and given is not None and given.name == "COMMANDLINE":
                raise ConfigError(f"--{option}: is for {', '.join(targets)}; got {target.value}. Leave it out.")
        # a layer above this one, so by name: only this command reaches up
        command = importlib.import_module("neuromorphic.command")
        experiment = read_experiment(file, set_, {}, allow_code)
        net, dt = experiment.network(), experiment.simulation.dt
        steps = round(experiment.simulation.duration / dt)
        if out is None and target is not Target.report:
            out = default_output(file).with_suffix(f".{target.value}")
        if out is not None:
            spare(out, file)
        if target is Target.nir:
            print(command.write_nir(net, dt, check, out, overwrite))
        elif target is Target.lava:
            print(command.write_lava(net, dt, interval, steps, out))
        elif target is Target.sonata:
            print(command.write_sonata(net, dt, experiment.simulation.duration, out))
        elif target is Target.pynn:
            print(command.write_pynn(net, dt, experiment.simulation.duration, out))
        else:
            print(command.describe(net, dt, interval, steps, chip, chips))


# ----------------------------------------------------------------------------------------------------------- plot


@app.command()
def plot(
    file: Path = typer.Argument(help="Record (.h5 or .h5.part)."),
    out: Path | None = typer.Option(None, metavar="PNG", help="File to write [default: FILE with .KIND.png]."),
    kind: Kind = typer.Option(Kind.raster, help="What to draw."),
    population: list[str] = typer.Option([], help="Only these populations; repeatable."),
) -> None:
    """Draw a record."""
    with exit_on_error(WRONG):
        from snn.io.sonata import read_result

        if file.exists() and is_toml(file):
            raise ConfigError(f"{file}: is no HDF5 file. Give a record: snn run makes one of a TOML file.")
        result = read_result(file)
        target = out or file.with_name(f"{file.name.removesuffix('.part').removesuffix('.h5')}.{kind.value}.png")
        check_picture(target)
        draw(result, kind, target, population or None)
        print(target)


# ---------------------------------------------------------------------------------------------------------- sweep

app.command()(cli_sweep.sweep)

# ----------------------------------------------------------------------------------------------------- confidence


@app.command()
def confidence(
    file: Path = typer.Argument(help="Trace (.h5); a third each to fit, certify and test, if no other is given."),
    calibrate: Path | None = typer.Option(None, help="Trace to certify with; FILE is then split to fit and test."),
    score: str = typer.Option("margin", help="margin, maxprob, entropy, patience, llr or gate."),
    readout: str = typer.Option("sum", help="sum or mean."),
    scale: str = typer.Option("none", help="none, auto, per-step or a number: outputs are divided by it."),
    target: str = typer.Option("stability", help="What a gate learns: stability, correct or cost."),
    risk: str = typer.Option("disagreement", help="disagreement, accuracy_gap or error."),
    eps: float = typer.Option(0.02, help="Bound of the risk."),
    delta: float = typer.Option(0.1, help="Chance that the calibration data mislead."),
    method: str = typer.Option("ltt", help="ltt, crc, ucb or conditional-ltt."),
    seed: int = typer.Option(0, help="Of the split."),
    plot: Path | None = typer.Option(None, metavar="PNG", help="Draw accuracy against mean steps."),
    certificate: Path | None = typer.Option(None, metavar="JSON", help="Write certificate and agent."),
) -> None:
    """Certify when inferences may stop early, and compare with other rules at as many steps."""
    with exit_on_error(WRONG):
        import json

        from snn.confidence import EarlyExit, FixedT, Trace, compare

        if plot is not None:
            check_picture(plot)
        if certificate is not None:
            check_place(certificate)
            spare(certificate, file, calibrate)
        divisor: float | str | None = scale
        if scale not in ("auto", "per-step"):
            try:
                divisor = None if scale == "none" else float(scale)
            except ValueError:
                raise ConfigError(f"--scale: must be none, auto, per-step or a number; got {scale!r}.") from None
        parts = Trace.load(file).split([0.5, 0.5] if calibrate else [1 / 3] * 3, seed)
        fit, test = parts[0], parts[-1]
        agent = EarlyExit(score, readout=readout, scale=divisor, target=target, name=f"{score}, certified").fit(fit)
        calibration = Trace.load(calibrate) if calibrate else parts[1]
        found = agent.certify(calibration, risk, eps, delta, method)
        others: list[EarlyExit] = []
        if found.ok:  # bars of the same mean cost on the data of fit; the certificate is the agent's alone
            rules: list[tuple[str, str | None]] = [("margin", None), ("patience", None), ("gate", None)]
            rules += [] if fit.labels is None else [("maxprob", "auto"), ("entropy", "auto")]
            for name, a in rules:
                if name != score:
                    with suppress(ModelError):  # labels of a single class fit no scale
                        others.append(EarlyExit(name, scale=a).fit(fit))
            for other in others:
                with suppress(ModelError):  # no bar of it stops that early: it has a curve, and no row
                    other.for_budget(fit, mean_steps=found.expected_steps)
        fixed = [FixedT(t) for t in sorted({round(found.expected_steps), test.t_max})]
        report = compare(test, [agent, *others, *fixed])
        print(f"{file}: {fit.n} samples to fit, {calibration.n} to certify, {test.n} to test\n")
        print(f"{found.statement()}\n\n{report.table()}")
        if certificate is not None:
            document = {"certificate": found.to_dict(), "agent": agent.to_dict()}
            certificate.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
            print(certificate)
        if plot is not None:
            save_picture(report.plot().figure, plot)
            print(plot)


# ------------------------------------------------------------------------------------------------ further commands

app.command()(cli_files.resume)
app.command()(cli_files.repair)
app.command()(cli_models.models)
