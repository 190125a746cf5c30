"""Threads that run compiled loops beside the caller's."""

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class Threads:
    """``n`` threads, made when they are first needed; anew in a forked process, which has none of its parent's."""

    def __init__(self, n: int) -> None:
        self._n, self._made_by = n, -1

    def submit(self, function: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """As that of ThreadPoolExecutor."""
        if self._made_by != os.getpid():
            self._pool, self._made_by = ThreadPoolExecutor(self._n), os.getpid()
        return self._pool.submit(function, *arguments)
