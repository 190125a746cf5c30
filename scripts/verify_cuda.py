"""The cuda backend without a device: every kernel of every model and rule compiled for sm_90, what ptxas says of it."""

import importlib.util
import time

import numpy as np
from verify_common import ROOT, Line, Options, module

import snn
from plasticity.base import RULES
from snn.compile import compile_network
from snn.neurons.base import MODELS

REGISTERS = 128  # of a thread: two blocks of 256 threads then fit on a multiprocessor


def cuda_machine_code(options: Options) -> list[Line]:
    """Kernels of every storage kind, neuron model and rule: PTX and machine code for sm_90, registers, spills."""
    if importlib.util.find_spec("numba_cuda") is None:
        return [Line("machine code", "ptxas", "numba-cuda is not installed (extra cuda)", "can be compiled", False)]
    from kernels.cuda import machine_code

    tests, lines = module(ROOT / "tests" / "oracle" / "test_cuda.py"), []

    def check(what: str, net: snn.Network, only: str = "", deterministic: bool = False, dt: float = 0.1) -> None:
        begin = time.perf_counter()
        for precision in ("float64",) if options.quick else ("float64", "float32"):
            found = machine_code.reports(compile_network(net, dt, precision, 1), deterministic, only=only)
            registers = max(r.registers for r in found.values())
            spills, stack = (sum(getattr(r, name) for r in found.values()) for name in ("spills", "stack"))
            kind = f"{precision}{', fixed point' if deterministic else ''}"
            text = f"{registers} registers, {spills} bytes spilled, {stack} of local memory"
            text += f"; {len(found)} kernels in {time.perf_counter() - begin:.0f} s"
            passed = spills == 0 and registers <= 255
            lines.append(Line(f"{what} ({kind})", "ptxas, sm_90", text, "no spills", passed))
            print(f"  {lines[-1].what}: {text}", flush=True)

    for fixed in (False, True):
        check("all storage kinds and inputs", tests.mixed_network(), deterministic=fixed)
    for name in sorted(MODELS):
        net = snn.Network(seed=2)
        p = net.population("a", 3, MODELS[name]())
        if "i_stim" in MODELS[name].spec.arguments:
            net.input("ac", p, snn.ACCurrent(amplitude=1.0, frequency=40.0))
        for receptor in p.spec.receptors if p.spec else ():
            net.input(receptor.name, p, snn.Poisson(10.0), weight=-1.0 if receptor.sign < 0 else 1.0,
                      receptor=receptor.name)  # fmt: skip
        check(name, net, only="neurons_launch")
    for name in sorted(RULES):
        net = snn.Network(seed=2)
        model = snn.GIF() if name == "RMax" else snn.LIFDelta()
        a, rule = net.population("a", 3, model), RULES[name]()
        net.connect(a, a, snn.all_to_all(), weight=float(np.sign(rule.spec.bounds(_values(rule))[1] - 1e-9)) * 0.1,
                    delay=snn.uniform(1.0, 2.0), plasticity=rule, name="x")  # fmt: skip
        if rule.spec.modulator:
            net.modulate("x", a if rule.spec.modulator.jump else None, delay=1.0, value=0.0)
        check(name, net, only="advance")
    return lines


def _values(rule: object) -> object:
    from types import SimpleNamespace

    return SimpleNamespace(**rule.params)  # type: ignore[attr-defined]
