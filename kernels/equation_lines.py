"""Equations given as text: their lines, read and checked, for models and rules."""

import ast
import inspect
import keyword
import linecache
import math
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

from kernels import scalar
from kernels.equation_text import DRAWS, FORM, NOISE, is_condition, joined
from kernels.equation_units import known_unit
from kernels.errors import ModelError, nearest

_LINE = re.compile(r"(?P<left>[^=]+)=(?P<right>[^:]+):(?P<unit>[^:]*?)(?P<held>\(\s*unless\s+refractory\s*\))?\s*")
# how many arguments a function takes (0: two or more); all are equal bit for bit on the backends of the CPU
FUNCTIONS = dict.fromkeys(
    ("abs fabs exp expm1 exprel log log1p log2 log10 sqrt sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
     "erf erfc floor ceil int").split(), 1
) | {"atan2": 2, "copysign": 2, "linoid": 2, "clip": 3, "relax": 4, "min": 0, "max": 0}  # fmt: skip
_PARTS = (
    ast.Name, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.expr_context, ast.Add, ast.Sub, ast.Mult,
    ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.BitAnd, ast.BitOr, ast.UAdd, ast.USub, ast.Not, ast.And, ast.Or,
    ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE,
)  # fmt: skip


@dataclass
class Line:
    """One equation: a derivative, an expression or a parameter."""

    name: str
    right: ast.expr
    unit: str
    doc: str
    derivative: bool
    held: bool  # unless refractory
    decay: str | None = None  # dx/dt = -x / decay

    @property
    def number(self) -> float | None:
        """The default of a parameter."""
        try:
            value = ast.literal_eval(self.right)
        except (TypeError, ValueError):
            return None
        known = not self.derivative and isinstance(value, (int, float)) and not isinstance(value, bool)
        return float(value) if known else None


class Lines:
    """The equations of the model or rule ``name``. ``taken``: names that none of them may have."""

    always: tuple[str, ...] = ("pi",)  # names that every expression may hold
    units: tuple[str, ...] = ()  # beside those of physics
    noisy = False  # whether dx/dt may hold noise

    def __init__(self, name: str, equations: str, taken: Container[str]) -> None:
        self.name = name
        self.seen: list[ast.expr] = []
        lines = [self._line(text) for text in joined(f"{name}.equations", equations)]
        self.lines = {x.name: x for x in lines}
        for x in lines:
            if sum(other.name == x.name for other in lines) > 1:
                raise ModelError(f"{name}.equations: {x.name!r} is given twice. Remove one.")
            if "__" in x.name or x.name.startswith("arrive_") or x.name in taken or NOISE.fullmatch(x.name):
                raise ModelError(f"{name}.equations: the name {x.name!r} is taken. Rename it.")
        self.states = {x.name: x for x in lines if x.derivative}
        self.numbers = {x.name: x.number for x in lines if x.number is not None}

    def _line(self, text: str) -> Line:
        line, _, doc = text.partition("#")
        found = _LINE.fullmatch(line.strip())
        if found is None:
            declared = re.fullmatch(r"\s*(\w+)\s*:[^:]*", line)
            if declared:
                raise ModelError(
                    f"{self.name}.equations: {line.strip()!r} has no value. A parameter needs a default, as in "
                    f"'{declared[1]} = 10 : ms'; another is given as {self.name}({declared[1]}=...)."
                )
            raise ModelError(f"{self.name}.equations: cannot read {line.strip()!r}; {FORM}.")
        left = found["left"].strip()
        derivative = re.fullmatch(r"d(\w+)\s*/\s*dt", left)
        name = derivative[1] if derivative else left
        if not name.isidentifier():
            raise ModelError(f"{self.name}.equations: cannot read {line.strip()!r}; {FORM}.")
        if not usable(name):
            raise ModelError(f"{self.name}.equations: {name!r} is a word of Python. Rename it.")
        right = self.parsed(left, found["right"])
        if found["held"] and not derivative:
            raise ModelError(f"{self.name}.equations: '(unless refractory)' is for dx/dt; got {line.strip()!r}.")
        unit = known_unit(f"{self.name}.equations, {line.strip()!r}", found["unit"], self.units)
        return Line(name, right, unit, doc.strip(), bool(derivative), bool(found["held"]))

    def parsed(self, what: str, text: str) -> ast.expr:
        """The expression ``text``."""
        try:
            return ast.parse(text.strip(), mode="eval").body
        except SyntaxError as error:
            raise ModelError(f"{self.name}, {what}: cannot read {text.strip()!r}: {error.msg}.") from error

    def known(self, what: str, expression: ast.expr, more: tuple[str, ...] = (), draws: bool = False) -> None:
        """Raise ModelError where ``expression`` holds what is neither of the lines nor of ``more``. ``draws``: it may
        hold ``rand()``."""
        self.seen.append(expression)
        where = f"{self.name}, {what}"
        called = {id(n.func) for n in ast.walk(expression) if isinstance(n, ast.Call)}
        more = (*more, *self.always)
        for node in ast.walk(expression):
            if isinstance(node, ast.Call):
                self._call(where, node, draws)
            elif isinstance(node, ast.Constant):
                if isinstance(node.value, bool) or not isinstance(node.value, (int, float)) or not _finite(node.value):
                    raise ModelError(f"{where}: must be made of finite real numbers; got {node.value!r}.")
            elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitXor):
                raise ModelError(f"{where}: a power is written a**b; got {ast.unparse(node)!r}.")
            elif isinstance(node, ast.Name) and NOISE.fullmatch(node.id):
                if not self.noisy:
                    raise ModelError(f"{where}: {node.id} is noise, which is for dx/dt of neurons.")
                if not what.endswith("/dt"):
                    raise ModelError(f"{where}: the noise {node.id} is for dx/dt alone. Write it there.")
            elif isinstance(node, ast.Name) and id(node) not in called:
                if node.id not in self.lines and node.id not in more:
                    hint = nearest(node.id, [*self.lines, *more])
                    if node.id in ("ms", "second", "mV", "volt", "pA", "amp", "nS", "siemens", "pF", "farad"):
                        hint = " Numbers have no units: write 10 for 10 ms."
                    raise ModelError(f"{where}: unknown name {node.id!r}.{hint}")
            elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr)):
                if not is_condition(node):
                    raise ModelError(f"{where}: & and | join conditions; got {ast.unparse(node)!r}.")
            elif not isinstance(node, _PARTS):
                shown = ast.unparse(node) if isinstance(node, ast.expr) else ast.unparse(expression)
                raise ModelError(
                    f"{where}: {shown!r} is not allowed. Use numbers, names, + - * / ** // %, comparisons, and, or, "
                    "not, 'a if condition else b' and functions such as exp(v)."
                )

    def _call(self, where: str, node: ast.Call, draws: bool) -> None:
        """Raise ModelError unless ``node`` calls a function that there is, with as many arguments as it takes."""
        name = ast.unparse(node.func)
        if name in self.lines:
            raise ModelError(f"{where}: {name!r} is called, but is a variable or parameter here. Rename that.")
        if name in DRAWS:
            if draws and not node.args and not node.keywords:
                return
            use = "for threshold and reset, and takes nothing; noise of dx/dt is xi"
            if not self.noisy:
                use = "for on_pre and on_post, and takes nothing"
            raise ModelError(f"{where}: {ast.unparse(node)!r} is not allowed. {name}() is {use}.")
        if name not in FUNCTIONS:
            raise ModelError(f"{where}: unknown function {name!r}.{nearest(name.rpartition('.')[2], FUNCTIONS)}")
        count = FUNCTIONS[name]
        if node.keywords or (len(node.args) != count if count else len(node.args) < 2):
            takes = f"{count} argument{'s' if count > 1 else ''}" if count else "two or more arguments"
            raise ModelError(f"{where}: {name} takes {takes}; got {ast.unparse(node)!r}.")
        if name == "int" and not is_condition(node.args[0]):
            raise ModelError(
                f"{where}: int takes a condition, as in int(v > 0), which is 1 or 0; got {ast.unparse(node)!r}. floor "
                "gives the whole part of a number."
            )

    def statements(
        self, what: str, text: str, targets: Container[str], rule: str, **more: Any
    ) -> list[tuple[str, ast.expr]]:
        """(variable, its new value) of each statement of ``text``, in turn. ``rule``: what they must be; ``more``: for
        :meth:`known`."""
        found = []
        try:
            statements = ast.parse(inspect.cleandoc(text)).body
        except SyntaxError as error:
            raise ModelError(f"{self.name}.{what}: cannot read {text!r}: {error.msg}.") from error
        for node in statements:
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                target, value = node.targets[0], node.value
            elif isinstance(node, ast.AugAssign):
                before = ast.Name(ast.unparse(node.target), ast.Load())
                target, value = node.target, ast.BinOp(before, node.op, node.value)
            else:
                target, value = None, None
            if not isinstance(target, ast.Name) or target.id not in targets or value is None:
                raise ModelError(f"{self.name}.{what}: must be {rule}; got {ast.unparse(node)!r}.")
            self.known(what, value, **more)
            found.append((target.id, value))
        return found


def function_of(name: str, source: str, module: str) -> Callable[..., Any]:
    """The function that ``source`` defines; its text can be read as that of one in a file."""
    file = f"<equations: {name} {hash(source):x}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    found: dict[str, Any] = {"math": math, "scalar": scalar, "__name__": module}
    exec(compile(source, file, "exec"), found)
    function: Callable[..., Any] = found[name]
    return function


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def usable(name: str) -> bool:
    """Whether ``name`` can be that of a variable."""
    return name.isidentifier() and not keyword.iskeyword(name)
