"""One point of a sweep: who runs it, what is kept of it, and whether it is done.

The folder of a point holds ``log``, a line for every start and end, whose lock says who runs the point now: the system
drops it with the process, however that ends. ``result.json`` (or ``failed.json``) gets its name when it is whole; a
point is done when it is there. Whoever wants a point takes the lock first and looks again, so that of any number of
sweeps on one folder one runs it.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from kernels.errors import BackendUnavailable
from snn.host import Stopped
from snn.io.sonata_file import OutputError, writing
from snn.sweeps.content import content
from snn.sweeps.design import Point

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

DONE, FAILED, WAITING, ELSEWHERE = "done", "failed", "waiting", "elsewhere"
RESULT, ERROR, LOG, RECORD, STATE = "result.json", "failed.json", "log", "record.h5", "state.h5"
FULL = (errno.ENOSPC, errno.EDQUOT)
Run: TypeAlias = Callable[[Point, Path, int], dict[str, float]]  # (point, its folder, threads) -> measures


def write(path: Path, text: str) -> None:
    """Write a file that is whole under its name, also after a power cut."""
    part = path.with_name(f"{path.name}.{platform.node()}.{os.getpid()}.part")
    with writing(path):
        try:
            with open(part, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def is_name(text: str) -> bool:
    """Whether a column of the table may have this name: text that HDF5 can hold."""
    return text not in ("", ".") and "\0" not in text and text.encode("utf-8", "replace").decode() == text


def read(path: Path) -> dict[str, Any] | None:
    """The document of a file; None where there is none, or none that is whole."""
    with suppress(OSError, ValueError, RecursionError):
        found = json.loads(path.read_text("utf-8"))
        measures = found.get("measures", {}) if isinstance(found, dict) else None
        if isinstance(measures, dict) and all(
            is_name(key) and type(value) in (int, float) for key, value in measures.items()
        ):
            return found  # type: ignore[no-any-return]
    return None


def state(folder: Path, kinds: list[str] | None = None) -> str:
    """DONE, FAILED or WAITING; done with these ``kinds`` of measures, where they are given."""
    found = read(folder / RESULT)
    if found is not None and (kinds is None or found.get("kinds") == kinds):
        return DONE
    return FAILED if found is None and (folder / ERROR).exists() else WAITING


@contextmanager
def claim(folder: Path) -> Iterator[Callable[[str], None] | None]:
    """Take a point: gives a function that writes a line to its log, or None where another process has it."""
    if fcntl is None:
        raise BackendUnavailable("sweep: needs file locks of POSIX; this system has none. Use Linux, macOS or WSL.")
    with writing(folder / LOG):
        folder.mkdir(parents=True, exist_ok=True)
        log = open(folder / LOG, "a", encoding="utf-8")
    with log:
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        except OSError as error:
            raise OutputError(
                f"{folder}: files cannot be locked there ({error.strerror}). Choose a folder on another file system."
            ) from error

        def note(what: str) -> None:
            when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            with writing(folder / LOG):
                os.write(log.fileno(), f"{when} {platform.node()} {os.getpid()} {what}\n".encode())

        yield note


def run_point(run: Run, point: Point, root: Path, threads: int, kinds: list[str] | None, retry: bool) -> str:
    """Run a point if nobody does or did; DONE, FAILED or ELSEWHERE. What the point raises is kept in its folder.

    Raises
    ------
    OutputError
        The disk is full, which is no point's fault: none is failed by it.
    KeyboardInterrupt, Stopped
        As they came: the sweep ends, the point is run again by the next.
    """
    folder = root / "points" / point.name
    with claim(folder) as note:
        if note is None:
            return ELSEWHERE
        before = state(folder, kinds)
        if before == DONE or (before == FAILED and not retry):
            return before
        for part in folder.glob("*.json.*.part"):  # of a process that was killed while it wrote
            part.unlink()
        note("start")
        begin = time.perf_counter()
        about = {"values": content(point.values), "repetition": point.repetition, "seed": point.seed}
        try:
            found = run(point, folder, threads)
        except (KeyboardInterrupt, Stopped):  # the user's, or the system's, and no fault of the point
            note("stopped")
            raise
        except BaseException as error:  # SystemExit too: what a point calls may end by it
            if getattr(error.__cause__ or error, "errno", None) in FULL:
                note("stopped: disk full")
                raise
            text = f"{type(error).__name__}: {error}"
            failed = {**about, "error": text, "traceback": traceback.format_exc()}
            write(folder / ERROR, json.dumps(failed, indent=1, default=str))
            note(f"failed {type(error).__name__}")
            return FAILED
        result = {**about, "kinds": kinds, "measures": found, "seconds": time.perf_counter() - begin}
        write(folder / RESULT, json.dumps(result, indent=1, default=str))
        (folder / ERROR).unlink(missing_ok=True)
        note("done")
        return DONE


def died(point: Point, root: Path) -> None:
    """Keep that the process of a point died while it ran alone."""
    about = {"values": content(point.values), "repetition": point.repetition, "seed": point.seed}
    text = "the process died: killed by the system (out of memory?), or crashed in compiled code"
    folder = root / "points" / point.name
    with claim(folder) as note:
        if note is not None and state(folder) == WAITING:
            write(folder / ERROR, json.dumps({**about, "error": text, "traceback": ""}, indent=1, default=str))
            note("failed: the process died")
