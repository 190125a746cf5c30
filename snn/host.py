"""A run and the process that it is in: cores, versions, messages, signals."""

import importlib.metadata
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

STOPPING = ("SIGINT", "SIGTERM", "SIGUSR1")  # a batch system sends the others some time before the end


class Stopped(SystemExit):
    """A signal of `STOPPING` other than SIGINT ended a run; the exit code tells which, as a shell does."""


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def to_stderr(text: str) -> None:
    """Say something to the user."""
    print(f"snn: {text}", file=sys.stderr, flush=True)


def progress_bar(total: float) -> Any:
    """Bar on stderr over ``total`` ms of model time."""
    from tqdm import tqdm

    form = "{l_bar}{bar}| {n:.0f}/{total:.0f} ms [{elapsed}<{remaining}, {postfix}]"
    return tqdm(total=total, bar_format=form, file=sys.stderr)


@cache
def version(package: str) -> str:
    """Installed version of a distribution, or "unknown"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        import snn

        return snn.__version__ if package == "volley-snn" else "unknown"


@contextmanager
def deferred_signals(names: tuple[str, ...]) -> Iterator[list[int]]:
    """Signals end a run between chunks, so that nothing recorded is lost and the run can be continued.

    Gives a list that is not empty once one came; KeyboardInterrupt or `Stopped` follows at the end. In other threads
    than the main one, signals are left alone.
    """
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield came
        return
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda n, _: came.append(n)) for number in numbers}
    try:
        yield came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came and came[0] == signal.SIGINT:
        raise KeyboardInterrupt
    if came:
        raise Stopped(128 + came[0])
