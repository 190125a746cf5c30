"""Specs -> one generated source module, named by a hash of its content, compiled once and cached on disk.

Numba's disk cache never hits for kernels specialised by closures or function arguments; it does for a module that
exists as a file. The module is self-contained: the step functions' sources are written into it.
"""

import ast
import hashlib
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np

from kernels import packed, rounds
from kernels.body import scalar_functions
from kernels.cpu import deliver, learn
from kernels.cpu.record import GROUP
from kernels.jit import cache_dir, in_cache
from kernels.layout import Convolutions, Edges, Plastic
from kernels.names import SCALAR, assigned, definition, own
from kernels.spec import NeuronSpec, RuleSpec, ShortTermSpec


@dataclass(frozen=True)
class Variant:
    """An update kernel: a model, which constants differ from neuron to neuron, whether a current is injected."""

    spec: NeuronSpec
    varying: frozenset[str]
    current: bool

    def constants(self) -> dict[str, list[str]]:
        """Names of the step function's constants by storage: par_f, par_i, het_f, het_i."""
        kinds = {d.name: d.dtype for d in self.spec.derived} | {p.name: "float" for p in self.spec.params}
        names = [a for a in self.spec.arguments if a in kinds]
        return {
            f"{store}_{kind[0]}": [a for a in names if (a in self.varying) == (store == "het") and kinds[a] == kind]
            for store in ("par", "het")
            for kind in ("float", "int")
        }


class _Literals(ast.NodeTransformer):
    """Wrap float literals, and numbers made of integers, so that single precision stays single."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if isinstance(node.func, ast.Name) and node.func.id == "float":
            node.func = ast.Name("F", ast.Load())
        return self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.expr:
        if isinstance(node.value, float):
            return ast.Call(func=ast.Name("F", ast.Load()), args=[node], keywords=[])
        return node


@cache  # a network that is built again writes nothing anew
def _function(
    function: object, name: str, single: bool, exponents: tuple[tuple[str, float], ...] = (), library: bool = False
) -> str:
    return _text(definition(function, name, library), single, exponents)  # type: ignore[arg-type]


def _text(tree: ast.FunctionDef, single: bool, exponents: tuple[tuple[str, float], ...] = ()) -> str:
    changed = assigned(tree)
    constants = {own(argument): value for argument, value in exponents if own(argument) not in changed}
    tree = _Exponents(constants).visit(tree) if constants else tree
    if single:
        tree = _Literals().visit(tree)
    loops = any(isinstance(node, ast.For) for node in ast.walk(tree))  # nothing around them vectorises
    decorator = "@inner\n" if loops else "@inlined\n"
    return decorator + ast.unparse(ast.fix_missing_locations(tree)) + "\n"


BY_BITS = {"_frexp": "frexp", "_two_to": "two_to", "_whole": "whole"}  # functions of kernels.jit in their place


@cache
def _scalars(functions: tuple[object, ...], single: bool, by_bits: bool = True) -> str:
    """Sources of the functions of kernels.scalar that ``functions`` call, directly or not."""
    known, needed, queue = scalar_functions(), list[str](), list(functions)
    while queue:
        for node in ast.walk(definition(queue.pop(), "")):  # type: ignore[arg-type]
            name = node.id.removeprefix(SCALAR) if isinstance(node, ast.Name) and node.id.startswith(SCALAR) else ""
            if name in known and name not in needed:
                needed.append(name)
                queue.append(known[name])
    return "\n".join(
        f"{SCALAR}{name} = {BY_BITS[name]}\n"
        if by_bits and name in BY_BITS
        else _function(known[name], SCALAR + name, single)
        for name in reversed(needed)
    )


def places(variant: Variant) -> tuple[list[str], dict[str, str]]:
    """Lines that compute where a slice's values begin, and for each argument of the step function its value for i."""
    spec, stores = variant.spec, variant.constants()
    load, call = [], {}
    for array, offset, names in (
        ("par_f", "at_par_f", stores["par_f"]),
        ("par_i", "at_par_i", stores["par_i"]),
    ):
        for j, name in enumerate(names):
            load.append(f"{own(name)} = constants.{array}[{offset} + {j}]")
            call[name] = own(name)
    for array, names in (("het_f", stores["het_f"]), ("het_i", stores["het_i"])):
        for j, name in enumerate(names):
            load.append(f"at_{own(name)} = np.uint64(at_{array} + {j} * pad)")
            call[name] = f"constants.{array}[at_{own(name)} + i]"
    counters = {"float": 0, "int": 0}
    for var in spec.state:
        array = {"float": "f", "int": "i"}[var.dtype]
        load.append(f"at_{own(var.name)} = np.uint64(at_state_{array} + {counters[var.dtype]} * pad)")
        counters[var.dtype] += 1
        call[var.name] = f"state_{array}[at_{own(var.name)} + i]"
    for j, receptor in enumerate(spec.receptors):
        load.append(f"at_arrive_{own(receptor.name)} = np.uint64(slot + {j} * m)")
        call[f"arrive_{receptor.name}"] = f"ring[at_arrive_{own(receptor.name)} + i]"
    if "i_stim" in spec.arguments:
        call["i_stim"] = "current[at_current + i]" if variant.current else "F(0.0)"
    for j, name in enumerate(spec.uniforms):
        at = f"at_words + np.uint64({4 * j}) * pad + i" if j else "at_words + i"
        call[name] = f"F((np.float64(words[{at}]) + 0.5) * 2.3283064365386963e-10)"
    return load, call


def sources(functions: dict[str, Callable[..., object]], single: bool, by_bits: bool = False) -> list[str]:
    """Sources of scalar functions under these names, after those of kernels.scalar that they call."""
    written = [_function(f, name, single) for name, f in functions.items()]
    return [_scalars(tuple(functions.values()), single, by_bits), *written]


def inlined_scalar(name: str) -> Any:
    """A function of kernels.scalar for code that is not generated, inlined where it is called."""
    parts = sources({name: scalar_functions()[name]}, False, by_bits=True)
    return getattr(load("\n\n".join([HEADER.format(title=f"scalar.{name}", imports=""), *parts])), name)


TOGETHER = 256  # neurons that take rounds together: what they hold stays in L1


def update_source(variant: Variant, precision: str) -> str:
    """Source of a module with ``update``: one step of a slice (phase 2) by the variant's model."""
    spec, single = variant.spec, precision == "float32"
    load, call = places(variant)
    results = ", ".join(f"new_{own(v.name)}" for v in spec.state)
    arguments = ", ".join(call[a] for a in spec.arguments)
    store = [f"{call[var.name]} = new_{own(var.name)}" for var in spec.state]
    step = [f"{results}, fired = step_function({arguments})", *store]
    step += [f"ring[at_arrive_{own(r.name)} + i] = F(0.0)" for r in spec.receptors]
    step.append("flags[i] = fired != 0")  # flags are added up
    functions, times = _step(
        spec.step,
        tuple((own(v.name), v.dtype) for v in spec.state),
        tuple(map(own, variant.constants()["par_i"])),
        single,
    )
    body = ["for i in range(np.uint64(m)):", *_in(step)]
    if times:
        together = ["for i in range(begin, end):", *_in([f"{results}, = round_function({arguments})", *store])]
        body = [
            f"for begin in range(np.uint64(0), np.uint64(m), np.uint64({TOGETHER})):",
            *_in([
                f"end = min(begin + np.uint64({TOGETHER}), np.uint64(m))", f"for _ in range({times}):",
                *_in(together), "for i in range(begin, end):", *_in(step),
            ]),
        ]  # fmt: skip
    body += [
        f"for i in range(np.uint64(m), (np.uint64(m) + np.uint64({GROUP - 1})) & ~np.uint64({GROUP - 1})):",
        "    flags[i] = 0",
    ]
    start = "at_current, at_words = np.uint64(at_current), np.uint64(at_words)"
    update = "\n".join([f"@inner\ndef update({_UPDATE}):", *_in([start, *load, *body])]) + "\n"
    header = HEADER.format(title=f"One step of {spec.name}.", imports="") + f"\nF = np.{precision}\n"
    parts = (header, _scalars((spec.step,), single), *functions, update)
    return "\n\n".join(part for part in parts if part)


@cache
def _step(
    function: Callable[..., object], state: tuple[tuple[str, str], ...], shared: tuple[str, ...], single: bool
) -> tuple[list[str], str]:
    """Sources of the step function, taken apart where it loops and can be, and the name of its number of rounds."""
    tree = definition(function, "step_function")
    apart = rounds.split(tree, dict(state), shared)
    *parts, times = apart or (tree, "")
    return [_text(part, single) for part in parts], times


def _in(lines: list[str]) -> list[str]:
    return ["    " + line for line in lines]


# m neurons from the places at_...; arrays and numbers, no tuples of many arrays, which calls copy word by word
_UPDATE = """m, pad, slot, at_state_f, at_state_i, at_par_f, at_par_i, at_het_f, at_het_i, at_current, at_words,
           state_f, state_i, ring, current, words, constants, flags"""

HEADER = '''"""Generated by kernels.codegen; do not edit. {title}"""

import math

import numpy as np

{imports}from kernels.jit import frexp, inlined, inner, kernel, two_to, whole
'''


def deliver_source(kind: str) -> str:
    """Source of a module with ``deliver`` for a storage kind of edges (phase 4); :func:`with_edges` completes it."""
    imports = f"from kernels.cpu.deliver import {deliver.names(kind)}\n"
    imports += "from kernels.layout import Convolutions, Edges\nfrom kernels.packed import reader\n"
    return HEADER.format(title="Delivery of spikes.", imports=imports) + "\n" + deliver.source(kind)


def with_edges(source: str, edges: Edges | Convolutions) -> str:
    """The module of a storage kind for edges of this form: how wide blocks are changes it, but not what it computes."""
    return f"{source}\n\nedges_of = reader({type(edges).__name__}, {packed.form(edges)!r}, 1)\n"


class _Exponents(ast.NodeTransformer):
    """``x**mu`` and ``power(x, mu)`` where mu is 0 or 1 -> 1.0 or x."""

    def __init__(self, constants: dict[str, float]) -> None:
        self.constants = constants

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        return self._power(node, node.left, node.right) if isinstance(node.op, ast.Pow) else node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        power = ast.unparse(node.func) == f"{SCALAR}power" and len(node.args) == 2
        return self._power(node, *node.args) if power else node

    def _power(self, node: ast.expr, base: ast.expr, exponent: ast.expr) -> ast.expr:
        value = self.constants.get(exponent.id) if isinstance(exponent, ast.Name) else None
        return {None: node, 0.0: ast.Constant(1.0), 1.0: base}[value]


def fixed_exponents(spec: RuleSpec, constants: np.ndarray) -> tuple[tuple[str, float], ...]:
    """Constants of a rule that are written as numbers where they are exponents."""
    return tuple((name, value) for name, value in zip(spec.shared, constants.tolist(), strict=True) if value in (0, 1))


def learn_source(spec: RuleSpec, short_term: ShortTermSpec | None, constants: np.ndarray, drawn: bool) -> str:
    """Source of a module with ``learn`` and ``sweep`` for a plasticity rule with these constants (phase 4).

    It lacks what :func:`with_readers` adds. ``drawn``: synapses have delays of their own.
    """
    exponents = fixed_exponents(spec, constants)
    imports = (
        "from kernels.cpu.deliver import prefetch_row\n"
        "from kernels.entry import call\n"
        "from kernels.layout import Edges, Plastic\n"
        "from kernels.packed import reader\n"
        "from kernels.rule_text import decayed as plain_decayed\n"
    )
    if spec.draws or (short_term and short_term.draws):
        imports += "from kernels.philox import fill_uniforms, fill_uniforms_each, uniforms\n"
    header = HEADER.format(title=f"Plasticity rule {spec.name}.", imports=imports)
    functions = spec.functions() | ({"observer_step": spec.observer.step} if spec.observer else {})
    short = short_term.functions() if short_term else {}
    written = [_function(f, name, False, exponents) for name, f in functions.items()]
    written += [_function(f, name, False) for name, f in short.items()]
    scalars = _scalars((*functions.values(), *short.values()), False)
    parts = [header, scalars, *written, learn.source(spec, short_term, drawn)]
    return "\n\n".join(part for part in parts if part)


def with_readers(source: str, edges: Edges, plastic: Plastic) -> str:
    """The rule's module for edges and state of these types: they depend on how wide blocks are, what it does not."""
    edges_form, plastic_form = packed.form(edges), packed.form(plastic)
    return (
        f"{source}\n\nedges_of = reader(Edges, {edges_form!r}, 1)\n"
        f"plastic_of = reader(Plastic, {plastic_form!r}, {1 + packed.width(edges_form)})\n"
    )


def name_of(source: str) -> str:
    """Name of the module with this source."""
    return "volley_" + hashlib.blake2b(source.encode(), digest_size=10).hexdigest()


def load(source: str) -> ModuleType:
    """Import ``source`` as a module from the kernel cache, writing it there first if it is not, or is damaged."""
    name = name_of(source)
    if name in sys.modules:
        return sys.modules[name]
    path, text = cache_dir() / f"{name}.py", source.encode()
    if not path.exists() or path.read_bytes() != text:
        with tempfile.NamedTemporaryFile("wb", dir=path.parent, suffix=".part", delete=False) as file:
            file.write(text)
        os.replace(file.name, path)  # atomic: many processes may start together
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:  # pragma: no cover - only if Python cannot load .py files
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def compiled_before(module: ModuleType, *functions: str) -> bool:
    """Whether machine code of one of these functions of ``module``, not all of which it need have, is in the cache."""
    return any(in_cache(getattr(module, name, None)) for name in functions)
