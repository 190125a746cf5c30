"""Calls of a model's or rule's scalar functions as they are; where Python raises, again with IEEE arithmetic.

Python refuses 1.0 / 0.0, math.exp(1e4) and math.log(0.0), and makes (-1.0)**0.5 complex; machine code gives inf, -inf
and NaN and goes on. So does the second call, with NumPy's numbers and functions in place of Python's.
"""

import ast
import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np

from kernels.body import scalar_functions, source_tree
from kernels.names import SCALAR, Powers, definition


def call(function: Callable[..., Any], arguments: Sequence[Any], library: bool = False) -> Any:
    """What machine code of ``function`` gives; ``library``: as for :func:`definition`."""
    try:
        result = _plain(function, library)(*arguments)
        if not any(isinstance(x, complex) for x in _listed(result)):
            return result
    except (ArithmeticError, ValueError, TypeError):  # TypeError: complex numbers are not ordered
        pass
    with np.errstate(all="ignore"):
        result = _ieee(function, library)(*map(_number, arguments))
    plain = tuple(x.item() if isinstance(x, np.generic) else x for x in _listed(result))
    return plain if isinstance(result, tuple) else plain[0]


def _listed(result: Any) -> tuple[Any, ...]:
    return result if isinstance(result, tuple) else (result,)


def _number(x: Any) -> Any:
    return np.int64(x) if isinstance(x, int) else np.float64(x) if isinstance(x, float) else x


class _Math:
    """``math``; outside a function's domain and range what IEEE 754 says."""

    def __getattr__(self, name: str) -> Any:
        plain = getattr(math, name)
        if not callable(plain):
            return np.float64(plain)

        def function(*arguments: Any) -> Any:
            try:
                return _number(plain(*arguments))
            except (ValueError, OverflowError):
                return getattr(np, name, lambda *_: np.float64(math.nan))(*arguments)

        return function


class _Numbers(ast.NodeTransformer):
    """Literals are NumPy's numbers; comparisons stay Python's, which can be added up."""

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        return _called("_number", node) if type(node.value) in (int, float) else node

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        return _called("bool", node)


def _called(name: str, argument: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), [argument], [])


@cache
def _plain(function: Callable[..., Any], library: bool) -> Callable[..., Any]:
    """The function, its powers as compilers write them."""
    powers = Powers()
    powers.visit(source_tree(function))
    if not (powers.changed or library):
        return function
    names: dict[str, Any] = {"math": math, **{SCALAR + k: f for k, f in scalar_functions().items()}}
    exec(compile(ast.Module([definition(function, "function", library)], []), f"<{function.__name__}>", "exec"), names)
    return names["function"]  # type: ignore[no-any-return]


@cache
def _ieee(function: Callable[..., Any], library: bool) -> Callable[..., Any]:
    names: dict[str, Any] = {
        "math": _Math(), "_number": _number, "int": lambda x: np.asarray(x).astype(np.int64)[()], "float": np.float64,
    }  # fmt: skip
    for name, f in {"function": function, **{SCALAR + k: f for k, f in scalar_functions().items()}}.items():
        module = ast.Module([_Numbers().visit(definition(f, name, library and f is function))], [])
        exec(compile(ast.fix_missing_locations(module), f"<{f.__name__}>", "exec"), names)
    return names["function"]  # type: ignore[no-any-return]
