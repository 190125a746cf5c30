"""A step function that loops over rounds, taken apart, so that each round is a loop over neurons, which vectorises.

Nothing around a loop vectorises; where rounds hand on nothing but state variables, neurons can take them together.
"""

import ast
from collections.abc import Collection, Iterable, Mapping
from copy import deepcopy


def split(
    tree: ast.FunctionDef, state: Mapping[str, str], shared: Collection[str]
) -> tuple[ast.FunctionDef, ast.FunctionDef, str] | None:
    """``begin; for _ in range(n): body; end`` as functions (begin; body; return state) and (begin; end), and n.

    None where that is not what the function is, ``n`` is not among ``shared``, whole numbers that all neurons have
    alike, or anything but ``state`` (types by name) goes from round to round.
    """
    nodes = [type(node) for node in ast.walk(tree)]
    if (nodes.count(ast.For), nodes.count(ast.Return), nodes.count(ast.Break)) != (1, 1, 0):
        return None
    at = next((k for k, statement in enumerate(tree.body) if isinstance(statement, ast.For)), -1)
    begin, loop, end = tree.body[:at], tree.body[at], tree.body[at + 1 :]
    if not isinstance(loop, ast.For) or not end or not isinstance(end[-1], ast.Return):
        return None
    body = loop.body
    times = loop.iter.args[0] if isinstance(loop.iter, ast.Call) and len(loop.iter.args) == 1 else None
    fixed, changed = _names(begin, ast.Store), _names(body, ast.Store)
    if not isinstance(times, ast.Name) or times.id not in set(shared) - fixed - changed:
        return None
    counted = _names(body) & _names([loop.target])
    handed_on = (_read_first(body) | _names(end, ast.Load)) & (changed - set(state))
    # what begins is computed in each round anew
    if counted or handed_on or fixed & set(state) or (fixed | _names(begin, ast.Load)) & changed:
        return None
    if not _stay_whole(body, {name for name in state if state[name] == "int"}, shared):
        return None
    once, last = deepcopy(tree), deepcopy(tree)
    values = ast.Tuple([ast.Name(name, ast.Load()) for name in state], ast.Load())
    once.name, once.body = "round_function", [*deepcopy(begin), *deepcopy(body), ast.Return(values)]
    last.body = [*deepcopy(begin), *deepcopy(end)]
    return ast.fix_missing_locations(once), ast.fix_missing_locations(last), times.id


def _stay_whole(statements: list[ast.stmt], state: set[str], shared: Collection[str]) -> bool:
    """Whether nothing is lost where the variables ``state`` are kept as integers of 32 bits after each round."""

    def whole(value: ast.expr | None) -> bool:
        if isinstance(value, ast.IfExp):
            return whole(value.body) and whole(value.orelse)
        if isinstance(value, ast.UnaryOp):
            return isinstance(value.op, ast.USub) and whole(value.operand)
        if isinstance(value, ast.Constant):
            return isinstance(value.value, int)
        return isinstance(value, ast.Name) and (value.id in state or value.id in shared)

    for node in (n for statement in statements for n in ast.walk(statement)):
        if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)) and _names([node], ast.Store) & state:
            targets = node.targets if isinstance(node, ast.Assign) else []
            if not all(isinstance(target, ast.Name) for target in targets) or not targets or not whole(node.value):
                return False
    return True


def _names(nodes: Iterable[ast.AST], context: type[ast.expr_context] = ast.expr_context) -> set[str]:
    every = (n for node in nodes for n in ast.walk(node))
    return {n.id for n in every if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


def _read_first(statements: list[ast.stmt]) -> set[str]:
    """Names that may be read before these statements have given them a value."""
    found, given = set[str](), set[str]()
    for statement in statements:
        read = _names([statement], ast.Load)
        if isinstance(statement, ast.AugAssign):
            read |= _names([statement.target])
        found |= read - given
        given |= set() if isinstance(statement, ast.If) else _names([statement], ast.Store)
    return found
