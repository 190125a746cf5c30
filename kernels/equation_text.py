"""Expressions of equations: what they hold, and as text under other names."""

import ast
import math
import re
from collections.abc import Container, Iterable, Mapping, Sequence, Set

from kernels.body import scalar_functions
from kernels.errors import ModelError
from kernels.names import Powers
from kernels.spec import UNIFORMS

FORM = "write 'dx/dt = ... : unit', 'name = ... : unit' or, for a parameter, 'name = number : unit'"
NOISE = re.compile("xi(_[A-Za-z0-9_]+)?")
DRAWS = ("rand", "randn")  # functions without arguments


def joined(owner: str, equations: str) -> list[str]:
    """Lines with content; a line goes on in the next until it has its unit."""
    if not isinstance(equations, str):
        raise ModelError(f"{owner}: must be a text; got {equations!r}.")
    found, open_ = [], ""
    for line in equations.splitlines():
        code, mark, doc = line.partition("#")
        if not code.strip():
            continue
        open_ = f"{open_} {code.strip()}".strip()
        if ":" in open_:
            found.append(open_ + mark + doc)
            open_ = ""
    if open_:
        raise ModelError(f"{owner}: cannot read {open_!r}; {FORM}.")
    return found


class _Renamed(ast.NodeTransformer):
    """Puts other names for variables, ``math.`` before functions, and products for quotients by ``divisors``."""

    def __init__(self, other: Mapping[str, str], divisors: Container[str] = ()) -> None:
        self.other, self.divisors = other, divisors

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if isinstance(node.op, ast.Div) and isinstance(node.right, ast.Name) and node.right.id in self.divisors:
            return ast.BinOp(self.visit(node.left), ast.Mult(), ast.Name(f"{node.right.id}__inverse", ast.Load()))
        left, right = self.visit(node.left), self.visit(node.right)
        if isinstance(node.op, ast.Pow) and not _is_product(right):
            return ast.Call(ast.parse("scalar.power", mode="eval").body, [left, right], [])
        return ast.BinOp(left, node.op, right)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        args = [self.visit(x) for x in node.args]
        called = node.func.id if isinstance(node.func, ast.Name) else ""
        if called == "rand":
            return ast.Name(ast.unparse(args[0]), ast.Load())
        if called == "randn":
            called = "normal"
        if called == "clip":
            return ast.parse(
                f"min(max({ast.unparse(args[0])}, {ast.unparse(args[1])}), {ast.unparse(args[2])})", mode="eval"
            ).body
        if called == "int":  # of a condition
            return ast.IfExp(args[0], ast.Constant(1.0), ast.Constant(0.0))
        if called not in ("abs", "min", "max"):
            called = f"scalar.{called}" if called in scalar_functions() else f"math.{called}"
        return ast.Call(ast.parse(called, mode="eval").body, args, [])

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == "pi":
            return ast.Constant(math.pi)
        return ast.Name("whole__" if node.id == "dt" else self.other.get(node.id, node.id), node.ctx)


def _is_product(exponent: ast.expr) -> bool:
    """Whether a power with this exponent becomes products or a root."""
    powers = Powers()
    powers.visit(ast.BinOp(ast.Name("x", ast.Load()), ast.Pow(), exponent))
    return powers.changed


def is_condition(node: ast.expr) -> bool:
    """Whether ``node`` is true or false, not a number."""
    if isinstance(node, ast.BoolOp):
        return all(is_condition(x) for x in node.values)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, (ast.BitAnd, ast.BitOr)) and is_condition(node.left) and is_condition(node.right)
    return isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not))


def names_in(expression: ast.expr) -> set[str]:
    """All names in ``expression``, of functions too."""
    return {n.id for n in ast.walk(expression) if isinstance(n, ast.Name)}


def renamed(expression: ast.expr, names: Mapping[str, str], divisors: Container[str] = ()) -> str:
    """``expression`` with other ``names``, as text."""
    return ast.unparse(_Renamed(names, divisors).visit(ast.parse(ast.unparse(expression), mode="eval").body))


class _Expanded(ast.NodeTransformer):
    """Puts expressions for names."""

    def __init__(self, other: Mapping[str, ast.expr]) -> None:
        self.other = other

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return self.other.get(node.id, node)


def factor_of(name: str, expression: ast.expr, short: Iterable[tuple[str, ast.expr]]) -> ast.expr | None:
    """The factor b of ``expression`` = a + b ``name``; None: 0. ``short``: abbreviations, each after those it holds.

    Raises
    ------
    ValueError
        With the part that is not linear in ``name``.
    """
    held: dict[str, ast.expr] = {}
    for other, right in short:
        if {name, *held} & names_in(right):
            held[other] = expanded(right, held)
    return _factor(name, expanded(expression, held))


def expanded(expression: ast.expr, names: Mapping[str, ast.expr]) -> ast.expr:
    """``expression`` with expressions for ``names``."""
    found: ast.expr = _Expanded(names).visit(ast.parse(ast.unparse(expression), mode="eval").body)
    return found


def _factor(name: str, node: ast.expr) -> ast.expr | None:
    if name not in names_in(node):
        return None
    if isinstance(node, ast.Name):
        return ast.Constant(1.0)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.UAdd, ast.USub)):
        factor = _factor(name, node.operand)
        return ast.UnaryOp(node.op, factor) if factor else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
        left, right = _factor(name, node.left), _factor(name, node.right)
        if left and right:
            return ast.BinOp(left, node.op, right)
        return left or (ast.UnaryOp(ast.USub(), right) if right and isinstance(node.op, ast.Sub) else right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        left, there = _factor(name, node.left), name in names_in(node.right)
        if left and not there:
            return ast.BinOp(left, node.op, node.right)
        if there and not left and isinstance(node.op, ast.Mult):
            factor = _factor(name, node.right)
            return ast.BinOp(node.left, ast.Mult(), factor) if factor else None
    raise ValueError(ast.unparse(node))


def constant_of(names: Set[str], node: ast.expr) -> ast.expr | None:
    """What ``node``, linear in ``names``, is where they are 0; None: 0."""
    if not names & names_in(node):
        return node
    if isinstance(node, ast.UnaryOp):
        rest = constant_of(names, node.operand)
        return ast.UnaryOp(node.op, rest) if rest else None
    if not isinstance(node, ast.BinOp):
        return None
    left, right = constant_of(names, node.left), constant_of(names, node.right)
    if isinstance(node.op, (ast.Add, ast.Sub)) and not (left and right):
        return left or (ast.UnaryOp(ast.USub(), right) if right and isinstance(node.op, ast.Sub) else right)
    return ast.BinOp(left, node.op, right) if left and right else None


def noises(owner: str, slopes: Mapping[str, ast.expr], short: Iterable[tuple[str, ast.expr]]) -> list[str]:
    """Names of the noises in ``slopes``, which must be linear in them. ``short`` as in :func:`factor_of`."""
    names = sorted({n for right in slopes.values() for n in names_in(right) if NOISE.fullmatch(n)})
    for variable, right in slopes.items():
        for name in names:
            try:
                factor = factor_of(name, right, short)
            except ValueError as error:
                part = str(error)
            else:
                if factor is None or not names_in(factor) & set(names):
                    continue
                part = ast.unparse(right)
            raise ModelError(f"{owner}, d{variable}/dt: must be linear in the noise {name}; got {part!r}.")
    _check_number(owner, names)
    return names


def with_draws(
    owner: str, expression: ast.expr, drawn: list[str], names: Sequence[str] = UNIFORMS, each: str = "neuron and step"
) -> ast.expr:
    """``expression`` with one of ``names`` for each ``rand()`` and ``randn()``, which are put to those ``drawn``."""
    for node in ast.walk(expression):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in DRAWS:
            drawn.append(ast.unparse(node))
            _check_number(owner, drawn, len(names), each)
            node.args = [ast.Name(names[len(drawn) - 1], ast.Load())]
    return expression


def _check_number(owner: str, drawn: list[str], most: int = len(UNIFORMS), each: str = "neuron and step") -> None:
    if len(drawn) > most:
        raise ModelError(f"{owner}: draws more than {most} random numbers a {each}: {', '.join(drawn)}. Use fewer.")


def is_linear(value: ast.expr) -> bool:
    """Whether ``value`` is a multiple of w."""
    if isinstance(value, ast.Name):
        return value.id == "w"
    if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub):
        return is_linear(value.operand)
    if isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Mult, ast.Div)):
        left, right = "w" in names_in(value.left), "w" in names_in(value.right)
        if isinstance(value.op, ast.Div):
            return is_linear(value.left) and not right
        return (is_linear(value.left) and not right) or (is_linear(value.right) and not left)
    return False
