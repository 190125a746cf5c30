"""The cuda backend without a device: every kernel of every model and rule compiled for sm_90, what ptxas says of it.

python scripts/verify_cuda.py part           what CI compiles, of the parts "windows" and "launches": JSON
"""

import importlib.util
import json
import math
import os
import sys
import time
from typing import Any

import numpy as np
from verify_common import ROOT, Line, Options, module

import plasticity
import snn
from plasticity.base import RULES
from snn.compile import compile_network
from snn.neurons.base import MODELS

TESTS = ROOT / "tests" / "oracle"


def cuda_machine_code(options: Options) -> list[Line]:
    """Kernels of every storage kind, neuron model and rule: PTX and machine code for sm_90, registers, spills."""
    if importlib.util.find_spec("numba_cuda") is None:
        return [Line("machine code", "ptxas", "numba-cuda is not installed (extra cuda)", "can be compiled", False)]
    from kernels.cuda import machine_code

    networks, lines = module(TESTS / "cuda_networks.py"), []
    inference = module(TESTS / "test_cuda_device.py")

    def check(what: str, net: snn.Network, only: list[str], deterministic: bool = False, dt: float = 0.1) -> None:
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
        check(", ".join(names), model_network(names), ["neurons_launch"])
    for k in range(4):  # all in one kernel take minutes and 248 registers
        names = rules[k::4]
        check(f"short-term, {', '.join(names)}", networks.learning_network(names), ["advance"], dt=0.25)
    check("edges drawn on the device", networks.drawn_network(), ["place"])
    check("inference with every score", inference.classifying(True, "spikes")[0], ["infer"], True, dt=1.0)
    for fixed in (False, True):
        check("all storage kinds and inputs", networks.mixed_network(), [""], fixed)
    return lines


def network_of_values() -> snn.Network:
    """A projection whose synapses have constants of their own."""
    net = snn.Network()
    a = net.population("a", 4, snn.LIFDelta())
    rules: dict[str, Any] = {
        "plasticity": plasticity.STDPTriplet(w_max=snn.uniform(2.0, 3.0)),
        "short_term": plasticity.TsodyksMarkram(u_se=snn.uniform(0.2, 0.8)),
    }
    net.connect(a, a, snn.fixed_indegree(2), 1.0, snn.uniform(1.0, 2.0), **rules)
    return net


def every_network() -> snn.Network:
    """One network with every neuron model, storage kind, input, rule and short-term plasticity."""
    networks = module(TESTS / "cuda_networks.py")
    parts = [networks.mixed_network(), model_network(sorted(MODELS)), networks.learning_network(sorted(RULES))]
    return snn.join([*parts, network_of_values()])


def short(part: str) -> dict[str, Any]:
    """What CI compiles. "launches": the kernels of phases and sweeps with every model, storage kind, input and rule;
    they share what they call, so that this is much less work than a kernel a model. "windows": the loop over windows
    with all storage kinds and inputs, drawing, inference, and integer networks that learn."""
    from kernels.cuda import machine_code

    networks, found = module(TESTS / "cuda_networks.py"), {}
    inference = module(TESTS / "test_cuda_device.py")
    begin = sum(os.times()[:4])
    if part == "launches":
        compiled = compile_network(every_network(), 0.1, "float64", 1, on_device=True)
        found = machine_code.reports(compiled, only=["begin", "neurons", "deliver", "sweep", "swept"])
        models, rules = (v.spec for v in compiled.variants), (rule for rule, _ in compiled.rules)
        about = {name: sorted({spec.name for spec in specs}) for name, specs in (("models", models), ("rules", rules))}
        about["kinds"] = sorted(set(compiled.kinds))
    else:
        about = {"refused": refused()}  # first: what follows shows that the process can go on
        compiled = compile_network(networks.mixed_network(), 0.1, "float64", 1, on_device=True)
        found = machine_code.reports(compiled, only=["advance"])
        compiled = compile_network(networks.drawn_network(), 0.1, "float64", 1, on_device=True)
        found |= machine_code.reports(compiled, only=["place", "count_sources"])
        compiled = compile_network(inference.classifying(True, "spikes")[0], 1.0, "float32", 1, on_device=True)
        found |= machine_code.reports(compiled, True, only=["infer"])
        found["integers"] = machine_code.assemble(machine_code.to_ptx(*integers(), (9, 0)), (9, 0))
    seconds = sum(os.times()[:4]) - begin
    return about | {"seconds": seconds, "kernels": {name: report._asdict() for name, report in found.items()}}


def integers() -> tuple[Any, tuple[Any, ...]]:
    """The kernel of integer networks, and its arguments."""
    import verify_learning

    from neuromorphic import fixed_point_cuda, fixed_point_step

    p = fixed_point_step.pack(verify_learning.reward_network(1))
    kept = np.zeros((1, len(p.neurons.u)), np.int64), np.zeros((1, len(p.neurons.u)), np.int32)
    events, draws = (np.zeros(2, np.int64), p.event_id, p.event_value), np.zeros((1, 1, 6))
    given = fixed_point_cuda.arguments(1, p.neurons, p.links, p.learners, p.buffer, p.spiked, *events, draws, *kept)
    return fixed_point_cuda.steps, (1, *given)


def lacking_step(v, arrive_syn):  # type: ignore[no-untyped-def]
    """A step function with what Numba has for a cpu, not for CUDA."""
    v = v + arrive_syn * math.gcd(4, 6)
    return v, v >= 3.0


def refused() -> str:
    """What is said of a model that no device can run."""
    from kernels.cuda import machine_code
    from kernels.errors import BackendUnavailable
    from kernels.spec import NeuronSpec, Receptor, StateVar

    model = snn.define(NeuronSpec(
        name="Lacking", doc="A greatest common divisor.", state=(StateVar("v", "1", "potential"),), params=(),
        derived=(), receptors=(Receptor("syn", "1", "jump"),), step=lacking_step, references=("none",),
    ))  # fmt: skip
    net = snn.Network()
    net.population("a", 1, model())
    try:
        machine_code.reports(compile_network(net, 1.0, "float64", 1, on_device=True), only=["neurons"])
    except BackendUnavailable as error:
        return str(error)
    return "nothing"


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


if __name__ == "__main__":
    print(json.dumps(short(sys.argv[1])))
