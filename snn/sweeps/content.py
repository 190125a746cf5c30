"""What a sweep is run with, as text that tells it from all else, in every process: points get names and seeds of it."""

from __future__ import annotations

import datetime
import decimal
import fractions
import hashlib
import inspect
import json
import pickle
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from types import ModuleType
from typing import Any

import numpy as np

from kernels.errors import ConfigError
from plasticity.base import OfEdges
from plasticity.settled import Fixed

PLAIN = (str, int, float, type(None))
BY_TEXT = (complex, decimal.Decimal, fractions.Fraction, PurePath, datetime.date, datetime.time)  # the text has it all


def canonical(value: Any, owner: str = "sweep") -> str:
    """JSON text that is the same for the same values, and another for others; errors name ``owner``."""
    return json.dumps(content(value, owner), sort_keys=True)


def content(value: Any, owner: str = "sweep") -> Any:
    """``value`` as JSON has it: plain values as they are, arrays by hash, models, rules and the like by their values.

    Raises
    ------
    ConfigError
        Of what cannot be told from others by what it holds, so that a result might be taken for another's.
    """
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, BY_TEXT):
        return str(value)
    if isinstance(value, np.generic) and not isinstance(value.item(), np.generic):
        return content(value.item(), owner)
    if isinstance(value, dict):
        parts = [(k if isinstance(k, str) else canonical(k, owner), content(v, owner)) for k, v in value.items()]
        if all(isinstance(k, str) for k in value):
            return dict(parts)
        return {"dict": sorted(parts, key=lambda part: part[0])}
    if isinstance(value, (list, tuple)):
        return [content(x, owner) for x in value]
    if type(value) is np.ndarray and value.dtype == object:
        return {"array": [list(value.shape), content(value.ravel().tolist(), owner)]}
    if type(value) is np.ndarray:  # no subclass: those hold more, such as units and masks
        hashed = hashlib.blake2b(value.tobytes(), digest_size=16).hexdigest()
        return {"array": [str(value.dtype), list(value.shape), hashed]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if (is_dataclass(value) and not isinstance(value, type)) or isinstance(value, (Fixed, OfEdges)):
        name = full_name(f"{owner}: the class of {value!r:.80}", type(value))
        held = {f.name: getattr(value, f.name) for f in fields(value)} if is_dataclass(value) else {}
        return {name: content(held | getattr(value, "__dict__", {}), owner)}
    if callable(value) and hasattr(value, "__qualname__"):
        return {"function": full_name(f"{owner}: a function", value)}
    raise ConfigError(
        f"{owner}: values must be numbers, texts, arrays, lists or dicts of these, dataclasses, models, rules and "
        f"sources of the package, or functions of a module; got {type(value).__name__} {value!r:.80}. Give what it is "
        "made of, and make it in the function."
    )


def full_name(what: str, function: Callable[..., Any]) -> str:
    """Module and name of a function or class that other processes can import.

    Raises
    ------
    ConfigError
        Of a lambda, a partial, a method of an object, one that is defined in another; ``what`` it is for.
    """
    name, module = (getattr(function, key, None) for key in ("__qualname__", "__module__"))
    owner = getattr(function, "__self__", None)  # of a method the object, whose values the name does not tell
    if not name or "<" in name or not (owner is None or isinstance(owner, ModuleType)):
        raise ConfigError(f"{what} must be defined in a module by name; got {function!r}.")
    if module == "__main__":  # the same function when it is imported, and another in another script
        module = inspect.getmodulename(inspect.getfile(function))
    return f"{module}.{name}"


def require_sent(what: str, value: Any) -> None:
    """Refuse what cannot be pickled, and so not be sent to the processes that run points."""
    try:
        pickle.dumps(value)
    except Exception as error:  # whatever a class raises that refuses
        raise ConfigError(
            f"{what} must be such that pickle can send it to other processes; got {value!r:.80}: {error}."
        ) from error
