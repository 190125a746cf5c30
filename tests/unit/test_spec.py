"""Registering models, what a step function may hold, and models of users."""

import dataclasses
import importlib.util
import math
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import plasticity
import snn
from kernels import scalar
from kernels.body import check_body
from kernels.spec import Check, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import MODELS

ROOT = Path(__file__).resolve().parents[2]
OUTSIDE = 3.0


def good_step(v, arrive_syn, decay, v_th):
    v = v * decay + arrive_syn
    fired = v >= v_th
    return (0.0 if fired else v), fired


def spec(step=good_step, **changes):
    fields = {
        "name": "Tried",
        "doc": "A model.",
        "state": (StateVar("v", "mV", "potential"),),
        "params": (Param("tau", "ms", 10.0, "time constant", gt=0), Param("v_th", "mV", 5.0, "threshold")),
        "derived": (Derived("decay", "1", lambda p, dt: np.exp(-dt / p.tau)),),
        "receptors": (Receptor("syn", "mV", "jump"),),
        "step": step,
        "references": ("Nobody 2024",),
    }
    return NeuronSpec(**{**fields, **changes})


# registration -------------------------------------------------------------------------------------------------------


def misspelt_step(v, arrive_syn, decay, v_the):
    return v * decay + arrive_syn, v >= v_the


def test_good_model_is_accepted():
    assert spec().arguments == ("v", "arrive_syn", "decay", "v_th")
    assert "Tried" not in MODELS  # a spec alone registers nothing


def test_unknown_argument_names_the_nearest():
    with pytest.raises(snn.ModelError, match=r"Tried.step: argument 'v_the' is no state .*Did you mean 'v_th'\?"):
        spec(misspelt_step)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"references": ()}, "Tried.references: a model cites its source"),
        ({"state": (StateVar("v", "mV", ""), StateVar("v", "mV", ""))}, "the name 'v' is used twice"),
        ({"state": (StateVar("tau", "mV", ""),)}, "the name 'tau' is used twice"),
        ({"receptors": (Receptor("v", "mV", ""),)}, "the name 'v' is used twice"),
        ({"derived": (Derived("v_th", "1", lambda p, dt: 1.0),)}, "the name 'v_th' is used twice"),
        ({"state": (StateVar("v m", "mV", ""),)}, "'v m' is not a Python name"),
        ({"state": (StateVar("v", "mV", "", dtype="bool"),)}, "Tried.v: dtype must be 'float' or 'int'; got 'bool'"),
        ({"state": (StateVar("v", "mV", "", init="e_l"),)}, "Tried.v: init names no parameter; got 'e_l'"),
        ({"params": (Param("tau", "ms", 0.0, "", gt=0), Param("v_th", "mV", 5.0, ""))}, "Tried.tau: must be > 0 ms"),
        ({"params": (Param("tau", "ms", math.nan, ""), Param("v_th", "mV", 5.0, ""))}, "Tried.tau: must be finite"),
        ({"state": (StateVar("v", "mV", ""), StateVar("w", "mV", ""))}, "Tried.step: must return v, w and whether"),
    ],
)  # fmt: skip
def test_registration_rules(changes, text):
    with pytest.raises(snn.ModelError, match=text):
        spec(**changes)


def with_import(v):
    import math as m

    return m.exp(v), False


def with_while(v):
    while v > 0:
        v = v - 1
    return v, False


def with_numpy(v):
    return np.exp(v), False


def with_closure(v):
    return v * OUTSIDE, False


def with_lambda(v):
    return (lambda x: x)(v), False


def with_list(v):
    return [v][0], False


def with_comprehension(v):
    return sum(x for x in (v, v)), False


def with_unknown_math(v):
    return math.logarithm(v), False


def with_print(v):
    print(v)
    return v, False


def with_method(v):
    return v.real, False


def with_global(v):
    global OUTSIDE
    return v, False


def with_try(v):
    try:
        v = 1 / v
    except ZeroDivisionError:
        v = 0.0
    return v, False


def with_nested(v):
    def inner(x):
        return x

    return inner(v), False


FORBIDDEN = {
    with_import: "Import is not allowed",
    with_while: "While is not allowed",
    with_numpy: "np.exp is not allowed",
    with_closure: "the name 'OUTSIDE' is not an argument",
    with_lambda: "Lambda is not allowed",
    with_list: "is not allowed",
    with_comprehension: "is not (allowed|an argument)",
    with_unknown_math: "math.logarithm is not allowed",
    with_print: "the name 'print' is not an argument",
    with_method: "v.real is not allowed",
    with_global: "Global is not allowed",
    with_try: "Try is not allowed",
}


@pytest.mark.parametrize("function", FORBIDDEN, ids=lambda f: f.__name__)
def test_forbidden_syntax(function):
    with pytest.raises(
        snn.ModelError, match=rf"Tried\.{function.__name__}, line \d+ of the function: .*{FORBIDDEN[function]}"
    ):
        check_body(function, "Tried")


def test_step_must_have_a_source():
    for step in (eval("lambda v: (v, False)"), math.exp):
        with pytest.raises(snn.ModelError, match="cannot be read|with def"):
            check_body(step, "Tried")


def allowed(v, n, u, arrive_syn):
    """Docstrings, loops over range, math, scalar, conditions of every kind."""
    x = 0.0
    for k in range(3):
        x += math.exp(-k) * exprel(v) + scalar.relax(v, 1.0, 2.0, 0.1)  # noqa: F821
    if (x > 0) & (n == 0) or not v < 1:
        x = min(x, max(v, abs(u)), float(int(v)))
    else:
        pass
    return x, (n - 1 if n > 0 else 0), 0.0 < x <= 1.0


def test_allowed_syntax():
    check_body(allowed, "Tried")


def test_parameters_of_an_instance():
    model = snn.define(spec(checks=(Check(("tau", "v_th"), lambda p: p.tau > p.v_th, "must be above v_th"),)))
    assert MODELS["Tried"] is model and model().params == {"tau": 10.0, "v_th": 5.0}
    assert repr(model(tau=20)) == "Tried(tau=20.0)"
    for text in ("A model.", "tau : float or array or distribution, [ms], default 10, > 0", "Nobody 2024"):
        assert text in model.__doc__
    for params, text in (
        ({"taw": 1.0}, "Tried.taw: no such parameter. Did you mean 'tau'"),
        ({"tau": -1.0}, "Tried.tau: must be > 0 ms; got -1.0"),
        ({"tau": [20.0, 0.0, 5.0]}, "Tried.tau: must be > 0 ms; got 0.0 at index 1"),
        ({"tau": math.inf}, "Tried.tau: must be finite"),
        ({"tau": "fast"}, "Tried.tau: must be a number"),
        ({"tau": True}, "Tried.tau: must be a number"),
        ({"tau": 4.0}, "Tried.tau: must be above v_th; got tau=4.0, v_th=5.0"),
    ):
        with pytest.raises(snn.ModelError, match=text):
            model(**params)


# models of users ----------------------------------------------------------------------------------------------------


def test_a_spec_is_pickled_by_its_name(tmp_path):
    assert pickle.loads(pickle.dumps(snn.LIFExp.spec)) is snn.LIFExp.spec
    script = """
import pickle, sys
import snn, reservoir
from kernels.spec import NeuronSpec, Param, Receptor, StateVar

def step(v, arrive_syn, i_stim, v_th):
    v = 0.5 * v + arrive_syn + i_stim
    fired = v >= v_th
    return (0.0 if fired else v), fired

if sys.argv[1] == "write":
    Other = snn.define(NeuronSpec(
        name="Of main", doc="", state=(StateVar("v", "1", "", init="v_th"),), params=(Param("v_th", "1", 1.0, ""),),
        derived=(), receptors=(Receptor("syn", "1", ""),), step=step, references=("",),
    ))
    net = reservoir.FORCE(Other(), 10, seed=1)
    data = pickle.dumps(net)
    assert pickle.loads(data)._variant.spec is Other.spec
    open("net.pickle", "wb").write(data)
else:
    pickle.load(open("net.pickle", "rb"))
"""
    (tmp_path / "main.py").write_text(script)
    path = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    first, second = (
        subprocess.run([sys.executable, "main.py", what], cwd=tmp_path, env=path, capture_output=True, text=True)
        for what in ("write", "read")
    )
    assert first.returncode == 0, first.stderr
    assert "ModelError: Of main: is no model that is defined, nor by module __main__. Import what" in second.stderr


USER_MODEL = '''
"""A model of a user, in a file of its own."""
import math
import numpy as np
import snn
from kernels import scalar
from kernels.spec import Derived, NeuronSpec, Param, Receptor, StateVar


def mine_step(v, w, left, arrive_ex, arrive_in, i_stim, u, decay, n_ref, v_th, gain):
    free = left == 0
    v = v * decay + {gain} * (arrive_ex + arrive_in) + 0.01 * i_stim if free else v
    w = scalar.relax(w, gain, 1.0 + abs(v), 0.1) + 1e-3 * math.tanh(v)
    fired = free & (v + w > v_th) & (u < 0.5)
    left = n_ref if fired else (left if free else left - 1)
    v = 0.0 if fired else v
    return v, w, left, fired


Mine = snn.define(
    NeuronSpec(
        name="{name}",
        doc="Mine.",
        state=(
            StateVar("v", "mV", "potential"), StateVar("w", "mV", "adaptation", init="gain"),
            StateVar("left", "step", "refractory steps", dtype="int"),
        ),
        params=(
            Param("tau", "ms", 8.0, "time constant", gt=0), Param("v_th", "mV", 3.0, "threshold"),
            Param("gain", "mV", 0.5, "gain"), Param("t_ref", "ms", 0.5, "refractory period", ge=0),
        ),
        derived=(
            Derived("decay", "1", lambda p, dt: np.exp(-dt / p.tau)),
            Derived("n_ref", "step", lambda p, dt: np.rint(p.t_ref / dt), dtype="int"),
        ),
        receptors=(Receptor("ex", "mV", "excites", sign=1), Receptor("in", "mV", "inhibits", sign=-1)),
        step=mine_step,
        references=("A user",),
    )
)
'''


def load(path, name, gain="1.0"):
    """Write the file and import it; returns the model."""
    path.write_text(USER_MODEL.replace("{name}", name).replace("{gain}", gain))
    found = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.Mine


def run_mine(models, **options):
    """Times, ids and v of populations, one of each of ``models``, driven alike (by one and the same name)."""
    out = []
    net = snn.Network(seed=5)
    src = net.population("src", 5, snn.SpikeArray(np.arange(1.0, 21.0), np.arange(20) % 5))
    for k, model in enumerate(models):
        pop = net.population(f"p{k}", 6, model)
        net.connect(src, pop, snn.all_to_all(), weight=1.3, delay=1.5)
        net.connect(src, pop, snn.one_to_one() if pop.n == 5 else snn.from_arrays([0, 1, 2], [0, 1, 5]), weight=-0.7,
                    delay=1.5, name=f"in{k}")  # fmt: skip
        net.record(pop)
        net.record(pop, "v")
    result = snn.Simulation(net, quiet=True, **options).run(30.0)
    for k in range(len(models)):
        spikes = result.spikes[f"p{k}"]
        out.append((spikes.times, spikes.ids, result.states[f"p{k}"]["v"]))
    return out


def test_user_model_on_both_backends(tmp_path):
    model = load(tmp_path / "mine.py", "Mine")
    assert snn.neurons.base.MODELS["Mine"] is model
    reference = run_mine([model(tau=np.linspace(5, 9, 6))], backend="reference")
    assert len(reference[0][0]) > 5
    for threads in (1, 3):
        for x, y in zip(reference[0], run_mine([model(tau=np.linspace(5, 9, 6))], threads=threads)[0], strict=True):
            np.testing.assert_array_equal(x, y)


def test_redefinition(tmp_path):
    """The file is written again under the same name: the new class has the new law, the old one keeps its own, and
    both may be in one network."""
    path = tmp_path / "again.py"
    old = load(path, "Again")
    before = run_mine([old()], backend="reference")[0]
    new = load(path, "Again", gain="0.25 +\\\n        1.0 * 0.0 +\\\n        0.25")
    assert MODELS["Again"] is new is not old
    for x, y in zip(before, run_mine([old()])[0], strict=True):
        np.testing.assert_array_equal(x, y)
    both = run_mine([old(), new()])
    reference = run_mine([old(), new()], backend="reference")
    for one, other in zip(both, reference, strict=True):
        for x, y in zip(one, other, strict=True):
            np.testing.assert_array_equal(x, y)
    assert np.abs(both[0][2] - both[1][2]).max() > 0.1


def fires_float(v, i_stim):
    v = v + i_stim
    return v, v - 3.5


def fires_far(v, i_stim):
    v = v + i_stim
    return v, v - 1e9


def fires_many(v, i_stim):
    v = v + i_stim
    return v, 256 * (v > 3.5)


def fires_half(v, i_stim):
    v = v + i_stim
    return v, (v > 3.5) * 0.5


def fires_never(v, i_stim):
    v = v + i_stim
    return v, 0.0 * v


@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize(
    ("step", "first"), [(fires_float, 1), (fires_far, 1), (fires_many, 4), (fires_half, 4), (fires_never, 21)]
)
def test_any_number_but_zero_is_a_spike(step, first, precision):
    """One spike a neuron and step, however large: a byte of it was added to the number of spikes."""
    model = snn.define(spec(step, name="Numbers", params=(), derived=(), receptors=()))
    out = []
    for backend in ("cpu", "reference") if precision == "float64" else ("cpu",):
        net = snn.Network()
        pop = net.population("p", 70, model)
        net.input("drive", pop, snn.StepCurrent(1.0))
        net.record(pop)
        spikes = snn.Simulation(net, 1.0, backend=backend, precision=precision, quiet=True).run(20.0).spikes["p"]
        out.append((spikes.times.tolist(), spikes.ids.tolist()))
    steps = np.arange(first, 21)
    assert out == [(np.repeat(steps, 70).tolist(), np.tile(np.arange(70), steps.size).tolist())] * len(out)


COUNTER = (StateVar("k", "1", "count", dtype="int"),)


def whole_half(k):
    return k + 0.5, False


def whole_mixed(k, tau):
    m = k + 1
    if k > 3:
        m = tau
    return m, False


def whole_divided(k):
    return (k / 2 if k > 2 else k), False


def whole_least(k):
    return min(k, 3.0), False


def whole_scalar(k):
    return scalar.exprel(k), False


@pytest.mark.parametrize("step", [whole_half, whole_mixed, whole_divided, whole_least, whole_scalar])
def test_int_states_take_whole_numbers_alone(step):
    with pytest.raises(snn.ModelError, match=r"Tried.step: the int state 'k' must stay a whole number.*Return int\("):
        spec(step, state=COUNTER, receptors=())


def wraps(k, n_ref):
    n = k
    for j in range(3):
        n += int(0.4 * j) + (j > 0)
    k = n * 100003 + n_ref if n != 7 else -n // 2
    k = k % 1000000007 * 5 + abs(math.floor(0.5)) - 2**30
    return k, k % 2 == 0


def test_int_states_wrap_alike():
    """As int32 on both backends; the reference one ended with an OverflowError."""
    steps = (Derived("n_ref", "step", lambda p, dt: np.rint(p.tau / dt), dtype="int"),)
    model = snn.define(spec(wraps, name="Wraps", state=COUNTER, derived=steps, receptors=()))
    out = []
    for backend in ("cpu", "reference"):
        net = snn.Network()
        pop = net.population("p", 3, model)
        net.record(pop, "k")
        net.record(pop)
        result = snn.Simulation(net, backend=backend, quiet=True).run(20.0)
        out.append((result.states["p"]["k"], result.spikes["p"].times))
    np.testing.assert_array_equal(out[0][0], out[1][0])
    np.testing.assert_array_equal(out[0][1], out[1][1])
    k, wrapped, n_ref = 0, 0, 100
    for value in out[0][0][:, 0]:
        n = k + 2
        k = n * 100003 + n_ref if n != 7 else -n // 2
        k = k % 1000000007 * 5 - 2**30
        wrapped += not -(2**31) <= k < 2**31
        k = (k + 2**31) % 2**32 - 2**31
        assert value == k
    assert wrapped > 3


def takes_none(v):
    return v, False


def test_receptors_must_be_taken():
    with pytest.raises(snn.ModelError, match="Tried.step: must take arrive_syn, or spikes at receptor 'syn' have no"):
        spec(takes_none)
    form = snn.LIFDelta.spec.closed_form
    with pytest.raises(snn.ModelError, match="LIFDelta.closed_form.arrive: must take arrive_syn"):
        dataclasses.replace(snn.LIFDelta.spec, closed_form=dataclasses.replace(form, arrive=form.fire))


def test_references_may_be_left_out():
    fields = {f.name: getattr(spec(), f.name) for f in dataclasses.fields(NeuronSpec) if f.name != "references"}
    assert NeuronSpec(**fields).references == ("own model",)


def test_names_of_the_package_are_taken():
    for name in ("LIFExp", "Poisson"):
        with pytest.raises(snn.ModelError, match=f"define: '{name}' is a model of the package. Give yours another"):
            snn.define(spec(name=name))
    assert MODELS["LIFExp"] is snn.LIFExp
    rule = dataclasses.replace(plasticity.STDPPair.spec, on_pre=own_on_pre)
    with pytest.raises(snn.ModelError, match="define: 'STDPPair' is a rule of the package. Give yours another name"):
        plasticity.define(rule)


def own_on_pre(w):
    return w


def noisy(x, u, decay, kick):
    return x * decay + kick * scalar.normal(u), False


def test_normal_numbers():
    """An Ornstein-Uhlenbeck process: reference and cpu bit for bit; mean, variance, law and memory of the stationary
    state within 4 standard errors; the quantile is SciPy's."""
    u = np.concatenate([(np.array([0, 1, 2, 2**32 - 1]) + 0.5) * 2.0**-32, np.linspace(1e-9, 1.0 - 1e-9, 4001)])
    np.testing.assert_allclose([scalar.normal(x) for x in u], stats.norm.ppf(u), rtol=1e-14, atol=1e-15)
    model = snn.define(
        spec(
            noisy, name="Noisy", state=(StateVar("x", "mV", "noise"),), receptors=(),
            derived=(
                Derived("decay", "1", lambda p, dt: np.exp(-dt / p.tau)),
                Derived("kick", "1", lambda p, dt: np.sqrt(-np.expm1(-2 * dt / p.tau))),
            ),
        )
    )  # fmt: skip

    def run(n, duration, every, **options):
        net = snn.Network(seed=3)
        pop = net.population("p", n, model(tau=5.0), init={"x": snn.normal(0.0, 1.0)})
        net.record(pop, "x", every=every)
        return snn.Simulation(net, 0.5, quiet=True, **options).run(duration).states["p"]["x"]

    np.testing.assert_array_equal(run(50, 20.0, 0.5), run(50, 20.0, 0.5, backend="reference"))
    for precision in ("float64", "float32"):
        x = run(4000, 500.0, 50.0, precision=precision).astype(float)  # 10 time constants: as good as independent
        assert x.shape == (10, 4000) and stats.kstest(x.ravel(), "norm").pvalue > 1e-3
        assert abs(x.mean()) < 4 / np.sqrt(x.size) and abs(x.var() - 1.0) < 4 * np.sqrt(2 / x.size)
    y = run(4000, 100.0, 2.5)
    assert abs(np.mean(y[20:-1] * y[21:]) - np.exp(-0.5)) < 4 * np.sqrt(2.0 / (4000 * 10))
