"""What the functions of models and rules may hold, read from their text."""

import ast
import inspect
import math
import textwrap
from collections.abc import Callable
from functools import cache
from typing import Any

from kernels import elementary, scalar
from kernels.errors import ModelError, nearest


def raised(error: Exception) -> str:
    """The end of a sentence on a function of parameters that raised."""
    return (
        f"raised {type(error).__name__}: {error}. Parameters may be arrays: use np.where(condition, a, b) in place of "
        "if, & of and, np.exp of math.exp."
    )


@cache
def argument_names(function: Callable[..., Any]) -> tuple[str, ...]:
    """Names of the function's arguments."""
    return tuple(inspect.signature(function).parameters)


@cache
def _source(function: Callable[..., Any]) -> str:
    """The function's text as it was at the first call: its file may change later."""
    return textwrap.dedent(inspect.getsource(function))


def source_tree(function: Callable[..., Any]) -> ast.FunctionDef:
    """The function's definition as a syntax tree."""
    try:
        tree = ast.parse(_source(function)).body[0]
    except (OSError, TypeError, SyntaxError) as error:
        raise ModelError(
            f"{getattr(function, '__name__', function)!s}: its source cannot be read; write it with def in a file."
        ) from error
    if not isinstance(tree, ast.FunctionDef):
        raise ModelError(f"{function!r}: must be a function written with def; got something else.")
    return tree


_ALLOWED = (
    ast.FunctionDef, ast.arguments, ast.arg, ast.Return, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.If, ast.IfExp,
    ast.Expr, ast.Name, ast.Load, ast.Store, ast.Constant, ast.Tuple, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare,
    ast.Call, ast.Attribute, ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.For, ast.Break, ast.Pass,
)  # fmt: skip


def check_body(function: Callable[..., Any], owner: str) -> None:
    """Raise ModelError unless the body holds arithmetic, ``math``, ``kernels.scalar`` and loops over range only."""
    tree = source_tree(function)
    bound = {a.arg for a in tree.args.args}
    bound |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    callables = {"min", "max", "abs", "int", "float", "range", *scalar_functions()}
    for node in (n for statement in tree.body for n in ast.walk(statement)):
        line = getattr(node, "lineno", 0)
        where = f"{owner}.{tree.name}, line {line} of the function"
        if not isinstance(node, _ALLOWED):
            raise ModelError(f"{where}: {type(node).__name__} is not allowed; use arithmetic, math and kernels.scalar.")
        if isinstance(node, ast.Attribute):
            root = node.value.id if isinstance(node.value, ast.Name) else "?"
            known = hasattr(math, node.attr) if root == "math" else node.attr in scalar_functions()
            if root in ("math", "scalar") and root in bound:
                raise ModelError(f"{where}: {ast.unparse(node)}: {root!r} is an argument or variable here. Rename it.")
            if root not in ("math", "scalar") or not known:
                raise ModelError(f"{where}: {ast.unparse(node)} is not allowed; use math and kernels.scalar.")
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in bound:
            raise ModelError(f"{where}: {node.func.id!r} is called, but is an argument or variable here. Rename it.")
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            if node.id not in bound | callables | {"math", "scalar"}:
                raise ModelError(f"{where}: the name {node.id!r} is not an argument.{nearest(node.id, sorted(bound))}")


def scalar_functions() -> dict[str, Callable[..., Any]]:
    """The functions of ``kernels.scalar`` by name, those that they call included."""
    both = vars(elementary) | vars(scalar)
    return {k: f for k, f in both.items() if inspect.isfunction(f)}
