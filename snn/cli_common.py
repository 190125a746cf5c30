"""What the commands of ``snn`` share: exit codes, messages, tables, what they read and where they write."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from kernels.errors import ConfigError, SimError
from snn.host import to_stderr

if TYPE_CHECKING:
    from snn.config import Experiment
    from snn.ranks import Ranks
    from snn.records import Result

FAILED, WRONG, INTERRUPTED = 1, 2, 130  # exit codes
MOST_FOR_CV = 20_000_000  # spikes of a population that are read back for the table
RESULTS = Path("results")


class Kind(str, Enum):
    """What ``snn plot`` draws."""

    raster = "raster"
    rates = "rates"
    isi = "isi"
    cv = "cv"
    states = "states"


@contextmanager
def exit_on_error(code: int, part: Path | None = None) -> Iterator[None]:
    """Print what went wrong, without a traceback, and leave with ``code``; ``part`` is the file being written."""
    try:
        yield
    except SimError as error:
        to_stderr(f"error: {str(error).replace('overwrite=True', '--overwrite')}")
        raise typer.Exit(code) from None
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        to_stderr(f"error: {error.filename or 'file'}: {error.strerror or error}.")
        raise typer.Exit(code) from None
    except MemoryError:
        to_stderr("error: out of memory. Use a smaller network, or record less.")
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        kept = part is not None and part.exists()
        to_stderr(f"interrupted; {part} holds what was written so far, see snn info" if kept else "interrupted")
        raise typer.Exit(INTERRUPTED) from None


def read_experiment(file: Path, settings: Sequence[str], flags: dict[str, Any], allow_code: bool) -> "Experiment":
    """An experiment from TOML or from a record; ``settings``: of --set, ``flags``: of other options, which win."""
    from snn import config

    problems, overrides = [], {}
    for text in settings:
        try:
            key, value = config.parse_override(text)
            overrides[key] = value
        except SimError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    read = config.load if is_toml(file) else config.load_provenance
    return read(file, overrides | flags, allow_code)


def is_toml(file: Path) -> bool:
    """Whether a file is to be read as TOML: by its name, else because it is no HDF5 file."""
    if file.suffix in (".toml", ".h5", ".hdf5", ".part"):
        return file.suffix == ".toml"
    try:
        with open(file, "rb") as handle:
            return handle.read(8) != b"\x89HDF\r\n\x1a\n"
    except OSError:
        return True


def spare(target: Path, *inputs: Path | None) -> None:
    """Refuse to write over what the command reads."""
    if any(file is not None and os.path.realpath(file) == os.path.realpath(target) for file in inputs):
        raise ConfigError(f"{target}: is the file that is read, and would be lost. Choose another name.")


def default_output(file: Path) -> Path:
    """results/NAME.h5, beside a record NAME.rerun.h5; the folder is made."""
    RESULTS.mkdir(exist_ok=True)
    stem = file.name.removesuffix(".part")
    return RESULTS / (f"{file.stem}.h5" if is_toml(file) else f"{Path(stem).stem}.rerun.h5")


def rates_table(result: "Result", sizes: Sequence[tuple[int, int]] | None = None) -> str:
    """Table of rates; ``sizes``: (neurons, spikes) of populations of which the result may hold a part."""
    rows = []
    for (name, own), (n, spikes) in zip(result.sizes().items(), sizes or result.sizes().values(), strict=True):
        span = n * (result.t_stop - result.t_start)
        cv = "-"
        if spikes == own[1] and spikes <= MOST_FOR_CV:
            values = result.spikes[name].cv()
            values = values[values == values]
            cv = f"{values.mean():.3f}" if values.size else "-"
        rows.append([name, f"{n:,}", f"{spikes:,}", f"{1000 * spikes / span:.3f}" if span > 0 else "-", cv])
    return columns([["population", "n", "spikes", "rate (Hz)", "CV"], *rows]) if rows else "no spikes were recorded"


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows under a header as aligned text, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    right = [all(cell[:1] in "-0123456789" for cell in column[1:]) for column in zip(*rows, strict=True)]
    right[0] = False

    def line(row: Sequence[str]) -> str:
        cells = zip(row, widths, right, strict=True)
        return "  ".join(cell.rjust(w) if numbers else cell.ljust(w) for cell, w, numbers in cells).rstrip()

    return "\n".join(map(line, rows))


def print_rates(result: "Result", ranks: "Ranks") -> None:
    """The table of what all ranks recorded; asked of all."""
    sizes = [part for part in zip(*ranks.gather(list(result.sizes().values())), strict=True)]
    if ranks.rank == 0:
        print(rates_table(result, [(part[0][0], sum(spikes for _, spikes in part)) for part in sizes]))


def check_picture(path: Path) -> None:
    """Refuse a place where no picture can be written, before the work."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.backend_bases import FigureCanvasBase

    kinds = sorted(FigureCanvasBase.get_supported_filetypes())
    if path.suffix.lstrip(".").lower() not in kinds:
        raise ConfigError(f"{path}: the name must end in one of {', '.join('.' + k for k in kinds)}.")
    check_place(path)


def check_place(path: Path) -> None:
    """Refuse a file whose folder does not exist, or that is a folder."""
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigError(
            f"{path}: {'is a folder' if path.is_dir() else 'its folder does not exist. Create it first'}."
        )


def draw(result: "Result", kind: Kind, path: Path, populations: Sequence[str] | None = None) -> None:
    """Draw a record into the file ``path``."""
    from matplotlib import pyplot

    from snn import plot as plots

    if kind is Kind.states:
        pairs = [(p, v) for p in result.states if populations is None or p in populations for v in result.states[p]]
        if not pairs:
            raise ConfigError(f"{path}: no states were recorded; see snn info.")
        figure, axes = pyplot.subplots(len(pairs), figsize=(8, 2.2 * len(pairs)), layout="constrained", squeeze=False)
        for ax, (name, variable) in zip(axes[:, 0], pairs, strict=True):
            plots.traces(result, name, variable, ax=ax)
    else:
        figure = getattr(plots, kind.value)(result, populations).figure
    save_picture(figure, path)


def save_picture(figure: Any, path: Path) -> None:
    """Write a figure into a file beside ``path`` that gets its name when it is whole."""
    from matplotlib import pyplot

    part = path.with_name(f"{path.name}.part")
    try:
        figure.savefig(part, format=path.suffix.lstrip(".").lower(), dpi=150)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
        pyplot.close(figure)
