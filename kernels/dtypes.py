"""What type of number a scalar function returns: read from its text, so that every backend says the same."""

import ast

KINDS = ("bool", "int", "float")  # each contains those before it


def returned(tree: ast.FunctionDef, arguments: dict[str, str]) -> list[list[str]]:
    """For each ``return`` of a tuple the kinds of its elements; ``arguments``: kinds by name.

    A name that is assigned more than once has the widest kind of all that it is given, as compiled.
    """
    known = dict(arguments)
    while True:
        before = dict(known)
        for node in ast.walk(tree):
            if isinstance(node, ast.For):
                _assign(known, node.target, ast.Constant(0))
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    _assign(known, target, node.value)
            elif isinstance(node, ast.AugAssign):
                _assign(known, node.target, ast.BinOp(ast.Name(ast.unparse(node.target)), node.op, node.value))
            elif isinstance(node, ast.AnnAssign) and node.value is not None:
                _assign(known, node.target, node.value)
        if known == before:
            break
    returns = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    return [[kind(x, known) for x in value.elts] for value in returns if isinstance(value, ast.Tuple)]


def kind(node: ast.expr, known: dict[str, str]) -> str:
    """The kind of an expression of names with ``known`` kinds."""
    if isinstance(node, ast.Constant):
        return type(node.value).__name__ if type(node.value).__name__ in KINDS else "float"
    if isinstance(node, ast.Name):
        return known.get(node.id, "bool")  # a name yet to be assigned: the narrowest
    if isinstance(node, ast.Compare) or (isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not)):
        return "bool"
    if isinstance(node, ast.UnaryOp):
        return _widest("int", kind(node.operand, known))
    if isinstance(node, ast.BoolOp):
        return _widest(*(kind(x, known) for x in node.values))
    if isinstance(node, ast.IfExp):
        return _widest(kind(node.body, known), kind(node.orelse, known))
    if isinstance(node, ast.BinOp):
        both = _widest(kind(node.left, known), kind(node.right, known))
        if isinstance(node.op, (ast.BitAnd, ast.BitOr, ast.BitXor)):
            return both
        return "float" if isinstance(node.op, ast.Div) else _widest("int", both)
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        if name in ("int", "math.floor", "math.ceil", "math.trunc"):
            return "int"
        if name in ("min", "max", "abs"):
            return _widest(*(kind(x, known) for x in node.args))
        return "bool" if name in ("math.isnan", "math.isinf", "math.isfinite") else "float"
    return "float"


def _assign(known: dict[str, str], target: ast.expr, value: ast.expr) -> None:
    if isinstance(target, ast.Tuple):
        values = value.elts if isinstance(value, ast.Tuple) else [ast.Constant(0.0)] * len(target.elts)
        for x, y in zip(target.elts, values, strict=False):
            _assign(known, x, y)
    elif isinstance(target, ast.Name):
        known[target.id] = _widest(known.get(target.id, "bool"), kind(value, known))


def _widest(*kinds: str) -> str:
    return max(kinds, key=KINDS.index)
