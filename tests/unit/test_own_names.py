"""Names in models and rules of one's own: none meets a name of the text that is generated around them."""

import ast
import importlib.util
import keyword
import re
from pathlib import Path

import numpy as np
import pytest

import plasticity
import snn
from kernels import codegen
from kernels.cuda import generate, learn
from kernels.names import own
from kernels.spec import (
    ClosedForm,
    Derived,
    Integral,
    Modulator,
    NeuronSpec,
    Observer,
    Param,
    Receptor,
    RuleSpec,
    ShortTermSpec,
    StateVar,
    Trace,
)
from plasticity.base import RULES, SHORT_TERM
from snn.neurons.base import MODELS

# a model of which every name is given ------------------------------------------------------------------------------

TAKEN = {"u", "i_stim", "h", "held", "v", "tau", "v_th", "math", "scalar"}
KINDS = ("params", "derived", "states", "receptors", "locals")
STEP = """
import math

from kernels import scalar


def step(v, {states}, {arrive}, i_stim, tau, v_th, {params}, {derived}):
    {first} = 0.01 * ({total})
    {rest}
    v = v * scalar.decay(0.1 / tau) + {last} + i_stim + {arriving}
    fired = v >= v_th
    return 0.0 if fired else v, {new}, fired


def flow(v, {states}, i_stim, tau, {params}, {derived}, h):
    {first} = scalar.decay(h / tau)
    {rest}
    return v * {last} + (i_stim + 0.01 * ({total})) * (1.0 - {last}), {flown}


def arrive(v, {states}, {arrive}, held):
    return v + {arriving}, {kept}


def fire({states}):
    return 0.0, {kept}


def earliest(v, v_th):
    return 0.0


def crossing(v, i_stim, tau, v_th, {params}, {derived}, h):
    {first} = i_stim + 0.01 * ({total})
    {rest}
    t = tau * math.log1p((v_th - v) / ({last} - v_th)) if ({last} > v_th) & (v < v_th) else math.inf
    t = 0.0 if v >= v_th else t
    return t if t <= h else math.inf
"""


def model(folder, kind, names, each=False):
    """A model whose names of one kind are ``names``, and how it is called; ``each``: derived ones are whole numbers."""
    lists = {k: [f"zz{k}{j}" for j in range(2)] for k in KINDS} | {kind: names}
    states, local = lists["states"], lists["locals"]

    def several(values):
        return ", ".join(values)

    constants = [*lists["params"], *lists["derived"]]
    text = STEP.format(
        states=several(states), params=several(lists["params"]), derived=several(lists["derived"]),
        arrive=several(f"arrive_{r}" for r in lists["receptors"]),
        total=" + ".join(f"{k + 1}.0 * {name}" for k, name in enumerate(constants)),
        arriving=" + ".join(f"{k + 1}.0 * arrive_{name}" for k, name in enumerate(lists["receptors"])),
        first=local[0], last=local[-1], rest="\n    ".join(f"{b} = {a}" for a, b in zip(local, local[1:], strict=False)),
        new=several(f"0.5 * {name} + {k}.0 + v" for k, name in enumerate(states)),
        flown=several(f"{name} * scalar.decay(h) + {k}.0 * h" for k, name in enumerate(states)), kept=several(states),
    )  # fmt: skip
    path = folder / f"{kind}_{abs(hash(tuple(names)))}.py"
    path.write_text(text)
    found = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    whole = tuple(Derived(name, "1", lambda p, dt, k=k: k % 5, "int") for k, name in enumerate(lists["derived"]))
    return snn.define(
        NeuronSpec(
            name=f"Own{kind.title()}", doc="Names.",
            state=(StateVar("v", "mV", "v"), *(StateVar(n, "1", "x", float(k)) for k, n in enumerate(states))),
            params=(
                Param("tau", "ms", 5.0, "tau"), Param("v_th", "mV", 1.0, "threshold"),
                *(Param(n, "mV", 0.1 * (k % 7), "x") for k, n in enumerate(lists["params"])),
            ),
            derived=whole, receptors=tuple(Receptor(n, "mV", "x") for n in lists["receptors"]), step=module.step,
            closed_form=ClosedForm(
                whole, module.flow, None, module.arrive, module.fire, module.earliest, module.crossing
            ),
        )
    ), lists  # fmt: skip


def network(folder, chosen):
    """A population for each kind, half of them with parameters that differ from neuron to neuron."""
    net = snn.Network(seed=1)
    for kind in KINDS:
        made, lists = model(folder, kind, chosen)
        arrays = {name: 0.1 * (k % 7) + np.linspace(0.0, 0.1, 5) for k, name in enumerate(lists["params"])}
        pop = net.population(kind, 5, made(**(arrays if kind in ("params", "locals") else {})))
        net.input(f"drive {kind}", pop, snn.StepCurrent(np.linspace(0.0, 2.0, 5)[None]))
        for k, name in enumerate(lists["receptors"]):
            spikes = snn.SpikeArray([0.5 + 0.1 * (k % 20)], [k % 5])
            net.input(f"{kind} {k}", pop, spikes, weight=0.5, receptor=name)
        net.record(pop)
        net.record(pop, ["v", *lists["states"]])
    return net


@pytest.fixture
def clean(monkeypatch):
    """No other test shall find the models and rules."""
    for known, where in ((MODELS, "snn.neurons.base.MODELS"), (RULES, "plasticity.base.RULES")):
        monkeypatch.setattr(where, dict(known))
    monkeypatch.setattr("plasticity.base.SHORT_TERM", dict(SHORT_TERM))


def outcome(net, **options):
    result = snn.Simulation(net, quiet=True, **options).run(6.0)
    states = [np.array(list(result.states[kind].values())) for kind in KINDS]
    return [result.spikes[kind].ids for kind in KINDS], states


def template_names(text):
    """Names in a generated module but those that come from a model whose names have a mark."""
    found = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    found |= {n.arg for n in ast.walk(ast.parse(text)) if isinstance(n, ast.arg)}
    found |= {n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)}
    return {name for name in found if "zz" not in name}


# a module with every name of the text takes long to compile, so there test_prefixes covers the event engine
FEW = ["i", "at", "te", "x", "block", "lanes", "v_1", "v_free", "v_now", "a_syn", "decay", "name", "self", "_where", "F"]


@pytest.mark.parametrize("options", [{}, {"precision": "float32"}, {"engine": "event"}], ids=str)
def test_no_name_of_a_model_meets_one_of_the_kernels(options, tmp_path, clean):
    """Names that the generated modules have, as parameters, derived constants, states, receptors and locals."""
    engine = options.get("engine", "clock")
    names = set(FEW)
    if engine == "clock":
        sim = snn.Simulation(network(tmp_path, [f"zza{k}" for k in range(3)]), quiet=True)
        for text in (*map(read, sim.kernel_sources), generate.source(sim.compiled.variants, ["cc"], [], "float32", True)):
            names |= template_names(text)
    names = sorted(x for x in names - TAKEN if not keyword.iskeyword(x) and not x.startswith(("arrive_", "scalar_")))
    assert {"i", "F", *(("m", "np", "fired", "float", "slot") if engine == "clock" else ())} <= set(names)
    plain = network(tmp_path, [f"zzb{k}" for k in range(len(names))])
    for backend in ("reference", "cpu"):
        expected = outcome(plain, engine=engine, backend="reference")
        found = outcome(network(tmp_path, names), backend=backend, **(options if backend == "cpu" else {"engine": engine}))
        for kind, a, b, x, y in zip(KINDS, expected[0], found[0], expected[1], found[1], strict=True):
            assert len(a) and abs(x).max() > 1.0
            np.testing.assert_array_equal(a, b, err_msg=kind)
            np.testing.assert_allclose(x, y, rtol=1e-3 if "precision" in options else 1e-9, atol=1e-3, err_msg=kind)


def read(path):
    return Path(path).read_text(encoding="utf-8")
