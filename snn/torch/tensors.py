"""A model's scalar step function made into one of tensors, with surrogate gradients at its comparisons."""

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

import torch

from kernels.body import scalar_functions
from kernels.elementary import IN_MATH
from kernels.errors import ModelError
from kernels.names import SCALAR, definition

COMPARISONS = {
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}  # fmt: skip


class _Exp(torch.autograd.Function):
    """exp whose gradient is 0 where nothing comes back: in a branch that was not taken it may have overflowed."""

    @staticmethod
    def forward(context: Any, x: Any) -> Any:
        y = torch.exp(x)
        context.save_for_backward(y)
        return y

    @staticmethod
    def backward(context: Any, gradient: Any) -> Any:
        (y,) = context.saved_tensors
        return torch.where(gradient == 0.0, 0.0, gradient * y)


class _Math:
    """``math`` for numbers, torch's function of the same name for tensors."""

    def __getattr__(self, name: str) -> Any:
        plain = getattr(math, name)
        if not callable(plain):
            return plain
        return lambda x: (_Exp.apply if name == "exp" else getattr(torch, name))(x) if torch.is_tensor(x) else plain(x)


def tensor_function(function: Callable[..., Any], surrogate: Callable[[Any], Any]) -> Callable[..., Any]:
    """``function`` for tensors of one floating dtype, or numbers, in each of its arguments.

    The same operations in the same order, so that a step of arithmetic alone gives the same numbers. Conditions are 0
    or 1 in the arguments' dtype. What a conditional expression chooses by carries no gradient, as in snnTorch; a
    comparison that is returned has the gradient of ``surrogate``, a function x -> (x > 0) such as
    ``snntorch.surrogate.atan()``.
    """

    def compare(name: str, a: Any, b: Any) -> Any:
        test = getattr(operator, name)
        if not (torch.is_tensor(a) or torch.is_tensor(b)):
            return test(a, b)
        x = b - a if name in ("lt", "le") else a - b
        fired = test(a, b).to(x.dtype)
        if not x.requires_grad or name in ("eq", "ne"):
            return fired
        spike = surrogate(x).to(x.dtype)  # snnTorch's give float32
        return spike + (fired - spike).detach()

    names: dict[str, Any] = {
        "_compare": compare, "_where": _where, "_or": _or, "_and": lambda a, b: a * b, "_not": lambda a: 1 - a,
        "math": _Math(), "min": _least, "max": _most,
        **{SCALAR + k: getattr(_Math(), k) for k in IN_MATH},
        f"{SCALAR}power": operator.pow,
        f"{SCALAR}decay": lambda x: torch.exp(-x) if torch.is_tensor(x) else math.exp(-x),
    }  # fmt: skip
    _define(function, "step_function", names)
    return names["step_function"]  # type: ignore[no-any-return]


def _define(function: Callable[..., Any], name: str, names: dict[str, Any]) -> None:
    tree = _Tensors().visit(definition(function, name))
    for node in ast.walk(tree):
        if isinstance(node, (ast.If, ast.BoolOp)):
            raise ModelError(
                f"{function.__name__}: cannot work on tensors: {type(node).__name__} in line {node.lineno}. Use "
                "conditional expressions, & and |."
            )
        called = node.func if isinstance(node, ast.Call) else None
        if isinstance(called, ast.Name) and called.id not in names and called.id.startswith(SCALAR):
            _define(scalar_functions()[called.id.removeprefix(SCALAR)], called.id, names)
    module = ast.fix_missing_locations(ast.Module([tree], []))
    exec(compile(module, f"<{function.__name__} for tensors>", "exec"), names)


class _Tensors(ast.NodeTransformer):
    def visit_IfExp(self, node: ast.IfExp) -> ast.AST:
        return self._call("_where", node.test, node.body, node.orelse)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        parts = [node.left, *node.comparators]
        tests = [
            self._call("_compare", ast.Constant(COMPARISONS[type(op)].__name__), a, b)
            for op, a, b in zip(node.ops, parts[:-1], parts[1:], strict=True)
        ]
        result = tests[0]
        for test in tests[1:]:
            result = ast.Call(ast.Name("_and", ast.Load()), [result, test], [])
        return result

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        kinds: dict[type, str] = {ast.BitAnd: "_and", ast.BitOr: "_or"}
        if type(node.op) in kinds:
            return self._call(kinds[type(node.op)], node.left, node.right)
        return self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        return self._call("_not", node.operand) if isinstance(node.op, ast.Not) else self.generic_visit(node)

    def _call(self, name: str, *arguments: ast.expr) -> ast.Call:
        return ast.Call(ast.Name(name, ast.Load()), [self.visit(a) for a in arguments], [])


def _where(condition: Any, a: Any, b: Any) -> Any:
    if not torch.is_tensor(condition):
        return a if condition else b
    a, b = (torch.as_tensor(x, dtype=condition.dtype, device=condition.device) for x in (a, b))
    return torch.where(condition > 0.5, a, b)


def _or(a: Any, b: Any) -> Any:
    return a + b - a * b


def _least(a: Any, b: Any) -> Any:
    return _where_less(a, b, a, b)


def _most(a: Any, b: Any) -> Any:
    return _where_less(a, b, b, a)


def _where_less(a: Any, b: Any, yes: Any, no: Any) -> Any:
    if not (torch.is_tensor(a) or torch.is_tensor(b)):
        return yes if a < b else no
    like = a if torch.is_tensor(a) else b
    yes, no = (torch.as_tensor(x, dtype=like.dtype, device=like.device) for x in (yes, no))
    return torch.where(torch.as_tensor(a < b), yes, no)
