"""Checkpoints: everything of a simulation that changes, in an HDF5 file, so that a run can go on in another process.

Of ranks that simulate one network together each writes a file of what it holds, as ``NAME.rank0.h5``. It gets that name
when all have written theirs (as ``.next``), so that a state is whole on the disk at any moment, of one time.
"""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from kernels.errors import FormatError
from snn.changes import Changes, unpacked
from snn.fingerprint import differences
from snn.io import own
from snn.io.sonata_file import OutputError, PathLike, check_destination, part_path, reading, text_of
from snn.ranks import Ranks, rank_file

FORMAT, VERSION = "volley checkpoint", 3
OPTIONS = ("dt", "engine", "backend", "threads", "precision", "deterministic")  # of Simulation


def write(path: PathLike, about: dict[str, Any], arrays: dict[str, np.ndarray], ranks: Ranks | None = None) -> None:
    """Write ``arrays`` and the description ``about``; the file appears whole or not at all. Asked of all ranks."""
    if ranks is None or ranks.size == 1:
        own.write(path, FORMAT, VERSION, about, arrays)
        return
    file = ranks.file(Path(path))
    own.write(_following(file), FORMAT, VERSION, about, arrays)
    ranks.gather(None)
    os.replace(_following(file), file)
    ranks.gather(None)


def check_target(path: Path, record: Path | None = None) -> None:
    """OutputError where a run that writes ``record`` may not keep its state: only a checkpoint is ever replaced.

    Called before a run, as ``check_destination``.
    """
    taken = set() if record is None else {os.path.realpath(file) for file in (record, part_path(record))}
    if taken & {os.path.realpath(file) for file in (path, part_path(path))}:
        raise OutputError(f"{path}: the record {record} is written there. Choose another name for the checkpoint.")
    check_destination(path, overwrite=True)
    if not path.exists():
        return
    kind: Any = ""
    with suppress(FormatError), reading(path) as file:
        kind = text_of(file.attrs.get("format", ""))
    if kind != FORMAT:
        raise OutputError(f"{path}: exists and is no checkpoint, which alone one replaces. Choose another name.")


def read(path: PathLike) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Description and arrays of a checkpoint.

    Raises
    ------
    FormatError
        Where the file is missing, no checkpoint, of another version, or damaged.
    """
    return own.read(path, FORMAT, VERSION, "Simulation.checkpoint()")


def _following(file: Path) -> Path:
    return file.with_name(f"{file.name}.next")


class Saved:
    """A checkpoint on the disk, of one file or of one of each rank.

    Parameters
    ----------
    path : as for ``Simulation.checkpoint``; where there is no such file, those of ranks are looked for

    Attributes
    ----------
    files : by rank;  abouts : their descriptions

    Raises
    ------
    FormatError
        Where a file is missing, no checkpoint, damaged, or they are not of one time.
    """

    def __init__(self, path: PathLike) -> None:
        path = Path(path)
        first = [file for file in _both(rank_file(path, 0)) if file.exists()]
        if path.exists() or not first:
            self.files, self.abouts = [path], [read(path)[0]]
            return
        count = read(first[0])[0].get("ranks")
        if not isinstance(count, int) or not 1 < count <= 1 << 20:
            raise FormatError(f"{first[0]}: /about.ranks: must be the number of ranks; got {count!r}.")
        found: list[dict[Any, tuple[Path, dict[str, Any]]]] = []
        for rank in range(count):
            files = [file for file in _both(rank_file(path, rank)) if file.exists()]
            if not files:
                raise FormatError(f"{rank_file(path, rank)}: no such file; the checkpoint is of {count} ranks.")
            abouts = [read(file)[0] for file in files]
            kept = zip(files, abouts, strict=True)
            found.append({at: (file, about) for file, about in kept if isinstance(at := about.get("at"), (int, float))})
        common = set.intersection(*(set(times) for times in found))
        if not common:
            raise FormatError(
                f"{path}: the files of its {count} ranks are of different times. Use an earlier checkpoint."
            )
        at = max(common)
        self.files, self.abouts = [times[at][0] for times in found], [times[at][1] for times in found]

    def parts(self) -> Iterator[dict[str, np.ndarray]]:
        """The arrays of each file that are state, read now."""
        for file in self.files:
            yield {name: array for name, array in read(file)[1].items() if not name.startswith("changes/")}

    def changes(self) -> Changes:
        """What was changed since the network was described."""
        about, arrays = read(self.files[0])
        return unpacked(about.get("changes"), arrays)


def _both(file: Path) -> tuple[Path, Path]:
    return file, _following(file)


def check_about(path: Any, about: dict[str, Any]) -> None:
    """Refuse the description of a checkpoint that lacks something or has it of another kind."""
    kinds: dict[str, Any] = {
        "software": str,
        "options": dict,
        "at": (int, float),
        "network": dict,
        "parts": dict,
        "seed": int,
        "changes": list,
        "log": list,
    }
    for name, kind in kinds.items():
        if not isinstance(about.get(name), kind) or isinstance(about[name], bool):
            raise FormatError(f"{path}: /about.{name}: is missing or of another kind; got {about.get(name)!r}.")
    if "run" not in about:
        raise FormatError(f"{path}: /about.run: is missing. Use an earlier checkpoint.")
    options, at = about["options"], about["at"]
    if set(options) != set(OPTIONS):
        raise FormatError(f"{path}: /about.options: must hold {', '.join(OPTIONS)}; got {', '.join(options)}.")
    if not (0 <= at < math.inf and (isinstance(at, int) and at < 2**62 or options["engine"] == "event")):
        raise FormatError(f"{path}: /about.at: must be a number of steps, or ms with engine='event'; got {at!r}.")


def refuse_other(
    path: PathLike, about: dict[str, Any], parts: dict[str, str], network: dict[str, Any], seed: int, edges: bool
) -> None:
    """Refuse a checkpoint of another network than the one described, and say what differs.

    ``parts``: hashes of the network's parts and kernels; ``edges``: whether those of this rank are in the file.
    """
    before = about["parts"]
    others = [
        name
        for name in {**before, **parts}
        if before.get(name) != parts.get(name) and (edges or name == "kernels" or not name.startswith("projection"))
    ]
    if not others and (edges or about["network"] == network):
        return
    found = differences({"seed": about["seed"], **about["network"]}, {"seed": seed, **network})
    said = "; ".join(found[:5]) or "values of arrays, or the code of a model"
    raise FormatError(
        f"{path}: is a checkpoint of another network: {', '.join(others) or 'projections'} differ ({said}). "
        "Give the same description and seed."
    )
