"""Names in generated text. Those of a model or rule get a prefix, so that they cannot meet those of the text around."""

import ast
from collections.abc import Callable
from typing import Any

from kernels.body import scalar_functions, source_tree

SCALAR = "scalar_"  # before the names of functions of kernels.scalar


def own(name: str) -> str:
    """How a name of a model is written; no name of a template begins so."""
    return f"q_{name}"


def definition(function: Callable[..., Any], name: str) -> ast.FunctionDef:
    """The definition of a scalar function as ``name``; arguments and local variables have the prefix of :func:`own`,
    functions of kernels.scalar that it calls have :data:`SCALAR`."""
    tree = source_tree(function)
    bound = {a.arg for a in tree.args.args} | assigned(tree)
    _Apart(bound).visit(tree)
    tree.name, tree.returns, tree.decorator_list = name, None, []
    return ast.fix_missing_locations(tree)


def assigned(tree: ast.FunctionDef) -> set[str]:
    """Names that a function gives values."""
    return {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


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
