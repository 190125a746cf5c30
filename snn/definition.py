"""What a model or rule says, as values for a hash: fields, and its functions by their source."""

import ast
import functools
import inspect
import textwrap
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

ASIDE = "doc", "references", "rate"  # no run uses them
OURS = "snn.", "plasticity.", "neuromorphic.", "reservoir."


def definition(spec: Any) -> str:
    """Text of a spec, the same in all processes and places of its file: of the package's own models and rules the name.

    A function counts by its source without comments, whitespace and docstrings, its defaults, captured values, and the
    numbers and functions of its own module that it uses; without a source, by its code, which Python versions make
    differently.
    """
    functions = [f for f in (getattr(spec, field.name) for field in fields(spec)) if inspect.isfunction(f)]
    if functions and all(f.__module__.startswith(OURS) and not f.__closure__ for f in functions):
        return str(spec.name)
    return repr(_plain(spec, ()))


def _plain(thing: Any, within: tuple[Any, ...]) -> Any:
    if thing is None or isinstance(thing, (bool, int, float, complex, str, bytes)):
        return thing
    if isinstance(thing, np.generic):
        return thing.item()
    if isinstance(thing, np.ndarray):
        return thing.dtype.str, thing.tolist()
    if isinstance(thing, (list, tuple)):
        return [_plain(x, within) for x in thing]
    if isinstance(thing, Mapping):
        return [[_plain(k, within), _plain(v, within)] for k, v in thing.items()]
    if is_dataclass(thing) and not isinstance(thing, type):
        kept = [f.name for f in fields(thing) if f.name not in ASIDE]
        return [type(thing).__name__, *((k, _plain(getattr(thing, k), within)) for k in kept)]
    thing = getattr(thing, "py_func", thing)  # of a function that Numba compiles
    if isinstance(thing, functools.partial):
        return [_plain(x, within) for x in (thing.func, thing.args, thing.keywords)]
    if inspect.isfunction(thing):
        return thing.__name__ if any(thing is f for f in within) else _function(thing, (*within, thing))
    return getattr(thing, "__qualname__", type(thing).__qualname__)


def _function(function: Any, within: tuple[Any, ...]) -> list[Any]:
    code = function.__code__
    captured = []
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            captured.append((name, _plain(cell.cell_contents, within)))
        except ValueError:  # empty: not yet assigned
            captured.append((name, None))
    used = []
    for name in sorted(_names(code) & set(function.__globals__)):
        value = getattr(function.__globals__[name], "py_func", function.__globals__[name])
        own = inspect.isfunction(value) and value.__module__ == function.__module__
        if own or isinstance(value, (bool, int, float, np.ndarray, np.generic)):
            used.append((name, _plain(value, within)))
    defaults = _plain([function.__defaults__, function.__kwdefaults__], within)
    return [_source(function), defaults, captured, used]


def _names(code: Any) -> set[str]:
    """Names of a function and of those within; Python 3.12 on counts a list comprehension's to the function."""
    return set(code.co_names).union(*(_names(c) for c in code.co_consts if inspect.iscode(c)))


def _source(function: Any) -> Any:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):  # made by exec, or a lambda amid an expression
        return _code(function.__code__)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return ast.unparse(tree)  # of a lambda, all of its statement


def _code(code: Any) -> list[Any]:
    consts = [_code(c) if inspect.iscode(c) else repr(c) for c in code.co_consts]
    return [code.co_code.hex(), consts, list(code.co_names), list(code.co_varnames)]
