"""Compile the kernels of a network for a GPU that is not here: PTX by NVVM, machine code and its report by ptxas."""

import importlib.util
import re
import shutil
import subprocess
import tempfile
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
from numba import cuda, types
from numba.np.numpy_support import from_dtype

from kernels.compiled import CompiledNetwork
from kernels.cpu.infer import Found, Layout, typed_rule
from kernels.cuda import connect, infer
from kernels.cuda.arrays import arrays, module
from kernels.cuda.jit import named_errors, unfused
from kernels.decide import Rule
from kernels.errors import BackendUnavailable


class Report(NamedTuple):
    """What ptxas says of a kernel."""

    registers: int  # of a thread
    stack: int  # bytes of local memory of a thread
    spills: int  # bytes stored and loaded because registers ran out
    fusible: int  # multiplications and additions that ptxas may fuse
    waiting: int  # atomic additions of floating-point numbers that wait for the old value


def ptxas() -> str:
    """Path of ptxas: on the path, or from the wheel of NVIDIA's compiler."""
    found = shutil.which("ptxas")
    if found is None:
        spec = importlib.util.find_spec("nvidia")
        roots = [Path(p) for p in spec.submodule_search_locations or ()] if spec else []
        found = next((str(p) for root in roots for p in sorted(root.glob("*/bin/ptxas"))), None)
    if found is None:
        raise BackendUnavailable("ptxas: not found. Install nvidia-cuda-nvcc-cu12, or a CUDA toolkit.")
    return found


def signature(value: Any) -> Any:
    """Numba's type of a kernel argument."""
    if isinstance(value, np.ndarray):
        return types.Array(from_dtype(value.dtype), value.ndim, "C")
    if isinstance(value, tuple):
        return types.NamedTuple([signature(x) for x in value], type(value))
    return types.float64 if isinstance(value, float) else types.int64


def to_ptx(kernel: Any, arguments: tuple[Any, ...], capability: tuple[int, int]) -> str:
    """PTX of a kernel for arguments of these types."""
    # compiling device functions asks for the present device, though only for its capability
    absent = SimpleNamespace(compute_capability=capability)
    with mock.patch("numba.cuda.dispatcher.get_current_device", lambda: absent):
        with named_errors(), unfused():
            kind = types.void(*map(signature, arguments))
            text, _ = cuda.compile_ptx(kernel.py_func, kind, cc=capability, device=False)
    return str(text)


def assemble(ptx: str, capability: tuple[int, int]) -> Report:
    """Machine code of a module with one kernel, thrown away, and what ptxas says of it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "kernel.ptx")
        path.write_text(ptx)
        target = f"sm_{capability[0]}{capability[1]}"
        command = [ptxas(), "-c", "-v", f"-arch={target}", str(path), "-o", str(path.with_suffix(".cubin"))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BackendUnavailable(f"ptxas: refused a kernel for {target}: {done.stderr.strip()}")

    def total(pattern: str) -> int:
        return sum(map(int, re.findall(pattern, done.stderr)))

    return Report(
        max(map(int, re.findall(r"Used (\d+) registers", done.stderr)), default=0),
        total(r"(\d+) bytes stack frame"),
        total(r"(\d+) bytes spill"),
        len(re.findall(r"^\s*(?:mul|add|sub)\.f(?:32|64)", ptx, re.MULTILINE)),
        len(re.findall(r"\batom\.global\.add\.f(?:32|64)", ptx)),
    )


def kernels(net: CompiledNetwork, deterministic: bool) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """The kernels of a network and their arguments, by name."""
    generated = module(net, deterministic)
    found = {name: (getattr(generated, name), given)
             for name, given in arrays(net, 32, deterministic).arguments(net, 0, 1).items()}  # fmt: skip
    found |= drawing(net)
    if not net.rules and deterministic:
        found["infer"] = inferring(net)
    return found


def reports(
    net: CompiledNetwork, deterministic: bool = False, capability: tuple[int, int] = (9, 0),
    only: Collection[str] = ("",),
) -> dict[str, Report]:  # fmt: skip
    """Report of each kernel of a network, by name; ``only``: of those whose names begin with one of these."""
    return {
        name: assemble(to_ptx(kernel, given, capability), capability)
        for name, (kernel, given) in kernels(net, deterministic).items()
        if name.startswith(tuple(only))
    }


def drawing(net: CompiledNetwork) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """The kernels that draw edges and their arguments, by name and storage; the arrays are of the right types only."""
    t, counts = net.tables, np.zeros(1, np.int64)
    found: dict[str, tuple[Any, tuple[Any, ...]]] = {}
    lists, marks = np.zeros((1, 1, 1), np.uint32), np.zeros((1, 1), np.uint32)
    for k, drawn in net.drawn.items():
        e = net.edges[k]
        what = connect.job(drawn[0], net, e)
        found["count_sources"] = connect.count_sources, (what, counts)
        given = what, t.lo, t.hi, t.acc, counts, e.rows, e.targets, e.weights, e.delays, lists, marks, 0
        found[f"place {e.targets.dtype} {e.delays.dtype}"] = connect.place, given
    return found


def inferring(net: CompiledNetwork) -> tuple[Any, tuple[Any, ...]]:
    """The kernel of inference and its arguments; the arrays are of the right types only."""
    none, number, row = np.zeros(0), np.zeros(0, np.int64), np.zeros((1, 1))
    layout = Layout(0, 0, 0, 2, 0, 1, number, net.state.f, net.state.i)
    rule = typed_rule(Rule(0, 1.0, 0, none, none, none, row, none, none, 1))
    batch = infer.Events(row, number, number, np.zeros(0, np.int32), net.inputs.event_weight)
    x, work = infer.host(net, 1, 32), infer.work(net, 1, layout, rule)
    return infer.kernels(net).infer, infer.arguments(1, batch, layout, rule, Found.empty(1, 1, 2), work, x)
