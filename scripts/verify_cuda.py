"""The cuda backend without a device: every kernel of every model and rule compiled for sm_90, what ptxas says of it."""

import importlib.util
import time

from verify_common import ROOT, Line, Options, module

import snn
from plasticity.base import RULES
from snn.compile import compile_network
from snn.neurons.base import MODELS


def cuda_machine_code(options: Options) -> list[Line]:
    """Kernels of every storage kind, neuron model and rule: PTX and machine code for sm_90, registers, spills."""
    if importlib.util.find_spec("numba_cuda") is None:
        return [Line("machine code", "ptxas", "numba-cuda is not installed (extra cuda)", "can be compiled", False)]
    from kernels.cuda import machine_code

    tests, lines = module(ROOT / "tests" / "oracle" / "test_cuda.py"), []

    def check(what: str, net: snn.Network, only: str, deterministic: bool = False, dt: float = 0.1) -> None:
        for precision in ("float64",) if options.quick else ("float64", "float32"):
            begin = time.perf_counter()
            found = machine_code.reports(
                compile_network(net, dt, precision, 1, on_device=True), deterministic, only=only
            )
            registers = max(r.registers for r in found.values())
            spills, stack = (sum(getattr(r, name) for r in found.values()) for name in ("spills", "stack"))
            kind = f"{precision}{', fixed point' if deterministic else ''}"
            text = f"{registers} registers, {spills} bytes spilled, {stack} of local memory"
            text += f"; {len(found)} kernels in {time.perf_counter() - begin:.0f} s"
            lines.append(Line(f"{what} ({kind})", "ptxas, sm_90", text, "no spills", spills == 0))
            print(f"  {lines[-1].what}: {text}", flush=True)

    models, rules = sorted(MODELS), sorted(RULES)
    for names in (models,) if options.quick else ([name] for name in models):
        check(", ".join(names), model_network(names), "neurons_launch")
    for k in range(4):  # a device has no room for the arguments of all at once
        names = rules[k::4]
        check(f"short-term, {', '.join(names)}", tests.learning_network(names), "advance", dt=0.25)
    check("edges drawn on the device", tests.drawn_network(), "place")
    check("inference with every score", tests.classifying(True, "spikes")[0], "infer", True, dt=1.0)
    for fixed in (False, True):
        check("all storage kinds and inputs", tests.mixed_network(), "", fixed)
    return lines


def model_network(names: list[str]) -> snn.Network:
    """A population of each model, with all that it may receive."""
    net = snn.Network(seed=2)
    for name in names:
        p = net.population(name, 3, MODELS[name]())
        if "i_stim" in MODELS[name].spec.arguments:
            net.input(f"ac {name}", p, snn.ACCurrent(amplitude=1.0, frequency=40.0))
        for receptor in MODELS[name].spec.receptors:
            net.input(f"{receptor.name} {name}", p, snn.Poisson(10.0), weight=-1.0 if receptor.sign < 0 else 1.0,
                      receptor=receptor.name)  # fmt: skip
    return net
