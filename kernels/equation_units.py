"""Units in the text of equations: names that are checked, not converted."""

import ast
from collections.abc import Sequence

from kernels.errors import ModelError

# names of units without prefix, and the symbols they are shown by; of those of time only ms is allowed, and 1/ms
_TIMES = set("s sec second seconds Hz hertz min minute minutes h hour hours day days".split())
_UNITS = {
    "volt": "V", "amp": "A", "ampere": "A", "siemens": "S", "farad": "F", "Ohm": "ohm", "coulomb": "C", "meter": "m",
    "metre": "m", "gram": "g", "molar": "M", "mole": "mol", "kelvin": "K", "joule": "J", "watt": "W",
}  # fmt: skip
_UNITS |= {symbol: symbol for symbol in (*_UNITS.values(), "rad", "deg", "step")}
_PREFIXES = ("", "f", "p", "n", "u", "m", "c", "k", "M", "G")


def known_unit(where: str, text: str, more: Sequence[str] = ()) -> str:
    """The unit ``text`` as ``a*b/c/d^2``; ModelError where it holds an unknown one, or one of time that is not ms.
    ``more``: units beside those of physics."""
    plain = text.strip().replace("^", "**").replace("\u00b5", "u").replace("\u03bc", "u").replace("\u03a9", "ohm")
    try:
        powers = _powers(ast.parse(plain or "1", mode="eval").body)
    except (SyntaxError, ValueError) as error:
        raise ModelError(
            f"{where}: cannot read the unit {text.strip()!r}; write it as in 'mV', '1/(ms*mV)'."
        ) from error
    found: dict[str, int] = {}
    for name, power in powers:
        parts = [(p, name.removeprefix(p)) for p in _PREFIXES if name.startswith(p)]
        symbol = next((p + _UNITS[stem] for p, stem in parts if stem in _UNITS), "")
        if name in more:
            symbol = name
        elif name in ("ms", "kHz"):
            symbol, power = "ms", power if name == "ms" else -power
        elif any(stem in _TIMES for _, stem in parts):
            raise ModelError(
                f"{where}: times are in ms, rates in 1/ms; got {name!r}. Convert the number: 0.01 s is 10 ms."
            )
        if not symbol:
            known = ", ".join((*more, "ms"))
            raise ModelError(
                f"{where}: unknown unit {name!r}. Use {known}, V, A, S, F, ohm, C, m, g, M, mol, K with prefixes, or 1."
            )
        found[symbol] = found.get(symbol, 0) + power
    over = [x if k == 1 else f"{x}^{k}" for x, k in found.items() if k > 0]
    under = [x if k == -1 else f"{x}^{-k}" for x, k in found.items() if k < 0]
    return "/".join(["*".join(over) or "1", *under])


def _powers(node: ast.expr, sign: int = 1) -> list[tuple[str, int]]:
    """(name, power) of each unit in a product; ValueError where it is none."""
    if isinstance(node, ast.Name):
        return [(node.id, sign)]
    if isinstance(node, ast.Constant) and node.value == 1:
        return []
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        return _powers(node.left, sign) + _powers(node.right, sign if isinstance(node.op, ast.Mult) else -sign)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        power = ast.literal_eval(node.right)
        if isinstance(power, int):
            return _powers(node.left, sign * power)
    raise ValueError(ast.unparse(node))
