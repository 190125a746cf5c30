"""Names in generated text. Those of a model or rule get a prefix, so that they cannot meet those of the text around."""

import ast
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from kernels.body import scalar_functions, source_tree
from kernels.elementary import IN_MATH

SCALAR = "scalar_"  # before the names of functions of kernels.scalar


def own(name: str) -> str:
    """How a name of a model is written; no name of a template begins so."""
    return f"q_{name}"


def definition(function: Callable[..., Any], name: str, library: bool = False) -> ast.FunctionDef:
    """The definition of a scalar function as ``name``; arguments and local variables have the prefix of :func:`own`,
    functions of kernels.scalar that it calls have :data:`SCALAR`. ``library``: the C library's instead where it can."""
    tree: ast.FunctionDef = Powers().visit(source_tree(function))
    bound = {a.arg for a in tree.args.args} | assigned(tree)
    _Apart(bound).visit(tree)
    if library:
        _Library().visit(tree)
    tree.name, tree.returns, tree.decorator_list = name, None, []
    return ast.fix_missing_locations(tree)


def assigned(tree: ast.FunctionDef) -> set[str]:
    """Names that a function gives values."""
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


class Powers(ast.NodeTransformer):
    """Powers as a compiler makes them, which the C library's pow rounds otherwise: products to the 64th, and roots."""

    changed = False

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        """The node, or what takes its place."""
        self.generic_visit(node)
        power, below = node.right, False
        if isinstance(power, ast.UnaryOp) and isinstance(power.op, ast.USub):
            power, below = power.operand, True
        value = power.value if isinstance(node.op, ast.Pow) and isinstance(power, ast.Constant) else None
        if not isinstance(value, (int, float)) or isinstance(node.left, ast.Constant):
            return node
        found: ast.expr = node
        if value == 0.5 and not below:
            found = ast.Call(ast.Attribute(ast.Name("math", ast.Load()), "sqrt", ast.Load()), [node.left], [])
        elif value in range(1, 65) and (below or value > 1):
            found = self.product(node.left, int(value))
            found = ast.BinOp(ast.Constant(1.0), ast.Div(), found) if below else found
        self.changed |= found is not node
        return found

    def product(self, base: ast.expr, power: int) -> ast.expr:
        """``base`` to the ``power`` by squaring; one that is no name is written several times and computed once."""
        if power == 1:
            return deepcopy(base)
        square = ast.BinOp(self.product(base, power // 2), ast.Mult(), self.product(base, power // 2))
        return ast.BinOp(square, ast.Mult(), deepcopy(base)) if power % 2 else square


class _Library(ast.NodeTransformer):
    """Calls of the C library for those of kernels.elementary, which are faster in loops that vectorise alone."""

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        name = ast.unparse(node.func).removeprefix(SCALAR)
        if name == "power" and len(node.args) == 2:
            return ast.BinOp(node.args[0], ast.Pow(), node.args[1])
        if name in IN_MATH:
            node.func = ast.Attribute(ast.Name("math", ast.Load()), name, ast.Load())
        return node


class _Apart(ast.NodeTransformer):
    def __init__(self, bound: set[str]) -> None:
        self.bound, self.scalars = bound, scalar_functions()

    def visit_arg(self, node: ast.arg) -> ast.arg:
        return ast.arg(own(node.arg))

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id in self.bound:
            return ast.Name(own(node.id), node.ctx)
        return ast.Name(SCALAR + node.id, node.ctx) if node.id in self.scalars else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id == "scalar":
            return ast.Name(SCALAR + node.attr, node.ctx)
        return node  # math.exp and the like
