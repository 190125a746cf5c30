"""Names in models and rules of one's own: none meets a name of the text that is generated around them."""

import ast
import importlib.util
import re

import numpy as np
import pytest

import snn
from kernels import codegen
from kernels.cuda import generate, learn
from kernels.event import generate as event
from kernels.event import learn as event_learn
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

# a model of which every name is given ------------------------------------------------------------------------------

KINDS = ("params", "derived", "states", "receptors", "locals")
STEP = """
import math

from kernels import scalar


def step(v, {states}, {arrive}, i_stim, tau, v_th, {params}, {derived}):
    {first} = 0.01 * ({total})
    {rest}
    v = v * scalar.decay(0.1 / tau) + {last} + i_stim + {arriving}
    crossed = v >= v_th
    return 0.0 if crossed else v, {new}, crossed


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
        first=local[0], last=local[-1],
        rest="\n    ".join(f"{b} = {a}" for a, b in zip(local, local[1:], strict=False)),
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


def outcome(net, **options):
    result = snn.Simulation(net, quiet=True, **options).run(6.0)
    states = [
        np.array([result.states[kind][variable.name] for variable in net.populations[kind].spec.state])
        for kind in KINDS
    ]
    return [result.spikes[kind].ids for kind in KINDS], states


def template_names(text, marked=False):
    """Names in a generated module; but those that come from a model whose names have a mark, unless ``marked``."""
    found = {n.id for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Name)}
    found |= {n.arg for n in ast.walk(ast.parse(text)) if isinstance(n, ast.arg)}
    found |= {n.name for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)}
    return {name for name in found if marked or "zz" not in name}


NAMES = {
    "clock": ["i", "m", "F", "np", "pad", "slot", "fired", "current", "words", "ring", "flags", "constants", "range",
              "decay", "at_v", "new_v", "state_f", "at_state_f", "at_current", "step_function", "self", "name"],
    "event": ["i", "p", "at", "te", "x", "v_1", "v_free", "v_now", "a_zz", "decay", "name", "self"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("engine", NAMES)
def test_no_name_of_a_model_meets_one_of_the_kernels(engine, tmp_path):
    """As parameters, derived constants, states, receptors and local variables."""
    names = NAMES[engine]
    plain = network(tmp_path, [f"zzb{k}" for k in range(len(names))])
    expected = outcome(plain, engine=engine, backend="reference")
    net = network(tmp_path, names)
    for options in ({"backend": "reference"}, {}):
        found = outcome(net, engine=engine, **options)
        for kind, a, b, x, y in zip(KINDS, expected[0], found[0], expected[1], found[1], strict=True):
            assert len(a) and abs(x).max() > 1.0
            np.testing.assert_array_equal(a, b, err_msg=kind)
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9, err_msg=kind)


def marked_pre(w, zzc, zzpost, zzpre, zzpar, zzm, zzd):
    return w + zzpar * zzpost * zzpre * zzm * zzd, zzc


def marked_post(w, zzc, zzpre, zzpost, zzpar, zzm):
    return w + zzpar * zzpost * zzpre * zzm, zzc


def marked_flow(w, zzc, zzm, zzbetween, h, zzpar):
    zzlocal = zzbetween * zzm
    return w + zzlocal * h * zzpar, zzc


def marked_spike(zzs, zzpar, h):
    return zzs * h, zzpar


def marked_observe(v, zzo, zzo_late, fired, zzpar):
    return zzo + v + fired, zzo_late * zzpar


def marked_watched(w, zzc, zzsig, zzpar):
    return w + zzsig * zzpar, zzc


def marked_integral(w, zzc, zzint):
    return w + zzint, zzc


def marked_rules():
    shared = {
        "doc": "Names.", "params": (Param("tau", "ms", 5.0, "tau"), Param("zzpar", "1", 0.1, "x")),
        "derived": (Derived("zzd", "1", lambda p, dt: 1.0),), "state": (StateVar("zzc", "1", "x"),),
        "bounds": lambda p: (-np.inf, np.inf), "references": ("this test",),
    }  # fmt: skip
    traces = tuple(Trace(f"zz{side}", side, "tau") for side in ("pre", "post", "between"))
    modulated = RuleSpec(
        name="OwnModulated", traces=traces, modulator=Modulator("zzm", "1", "x", "tau", "zzpar", "zzbetween"),
        on_pre=marked_pre, on_post=marked_post, flow=marked_flow, **shared,
    )  # fmt: skip
    observer = Observer(
        ("v",),
        (StateVar("zzo", "mV", "x"),),
        marked_observe,
        ("zzsig",),
        (Integral("zzint", "zzsig", "zzbetween"),),
        "tau",
    )
    watching = RuleSpec(
        name="OwnWatching", traces=traces[2:], observer=observer, on_pre=marked_watched, on_post=marked_watched,
        flow=marked_integral, **shared,
    )  # fmt: skip
    short = ShortTermSpec(
        "OwnShort", "Names.", shared["params"], (StateVar("zzs", "1", "x"),), marked_spike, ("this test",)
    )
    return modulated, watching, short


UNMARKED = {"v", "tau", "v_th", "i_stim", "h"}  # of the models below, and names that are taken


def assert_apart(text):
    """A name of a model is a prefix and its own; no other name begins with that prefix, inside its functions all do."""
    written = re.compile("(step_function|observer_step|on_|flow|scalar_|arrive$|fire$|earliest|cross)")
    prefixes, others = set(), set()
    for part in ast.parse(text).body:
        if isinstance(part, ast.FunctionDef) and written.match(part.name):
            bound = {n.id for n in ast.walk(part) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
            assert all(name.startswith("q_") for name in bound | {a.arg for a in part.args.args})
            others.add(part.name)
            continue
        for name in template_names(ast.unparse(part), marked=True):
            prefix, mark, _ = name.partition("zz")
            (prefixes if mark else others).add(prefix)
    for prefix in prefixes:
        met = {
            x for x in others | prefixes - {prefix} if x.startswith(prefix) and x.removeprefix(prefix) not in UNMARKED
        }
        assert prefix.endswith("_") and not met, (prefix, met)
    return prefixes


def test_prefixes(tmp_path):
    """So no name, whatever it is, can meet another; in every engine's text."""
    modulated, watching, short = marked_rules()
    specs = [model(tmp_path, kind, ["zza0", "zza1"])[0].spec for kind in KINDS]
    each = [codegen.Variant(spec, frozenset({"zza0", "zzparams1"}), True) for spec in specs]
    found = set()
    for variant in each:
        found |= assert_apart(codegen.update_source(variant, "float32"))
        found |= assert_apart(event.model_source(event.Form(variant.spec, variant.varying), {}))
    for rule in (modulated, watching):
        found |= assert_apart(codegen.learn_source(rule, short, np.ones(3), True))
    functions = codegen.sources(modulated.functions() | short.functions(), False)
    found |= assert_apart("\n".join([*functions, event_learn._text(modulated, short)]))
    assert found >= {"q_", "at_q_", "new_q_", "rule_", "trace_", "short_", "free_q_", "signal_"}
    found = assert_apart(generate.source(each, ["cc"], [], "float32", True))
    for rule in (modulated, watching):
        found |= assert_apart(learn._body(0, learn.Rule(rule, short, True, True, "", "")))
    assert found >= {"q_", "at_q_", "new_q_", "rule_", "trace_", "short_"}
