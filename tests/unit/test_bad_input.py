"""Bad input at the Python API: every bound of every model, and the rest of what a user can get wrong.

Each must raise an error of the family, in the words of the house: *object.attribute: rule; got value.*
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import snn
from kernels.errors import BackendUnavailable, FormatError, ModelError, ShapeError, SimError
from snn.io.sonata import read_result
from snn.neurons.base import MODELS

ROOT = Path(__file__).parents[2]
SPECS = {name: MODELS[name].spec for name in snn.__all__ if name in MODELS}
PARAMS = [(name, p) for name, spec in SPECS.items() for p in spec.params]
BOUNDS = [(name, p, k) for name, p in PARAMS for k in ("gt", "ge", "lt", "le") if getattr(p, k) is not None]
SIGNED = [(name, r) for name, spec in SPECS.items() for r in spec.receptors if r.sign]


def ids(cases):
    return ["-".join(x if isinstance(x, str) else x.name for x in case) for case in cases]


def refused(error, text, call, *args, **kwargs):
    """``call`` raises exactly ``error``, whose text begins with ``text``."""
    with pytest.raises(SimError) as caught:
        call(*args, **kwargs)
    assert type(caught.value) is error
    assert str(caught.value).startswith(text), str(caught.value)
    assert str(caught.value)[-1] in ".?)"
    return str(caught.value)


def outside(limit, kind):
    """The value nearest to the bound that breaks it."""
    beyond = {"gt": limit, "lt": limit, "ge": np.nextafter(limit, -np.inf), "le": np.nextafter(limit, np.inf)}
    return float(beyond[kind])


# ------------------------------------------------------------------------------------------------------- models


def test_there_are_models_and_bounds():
    assert len(SPECS) >= 15 and len(BOUNDS) >= 60 and len(SIGNED) >= 14


@pytest.mark.parametrize(("name", "param", "kind"), BOUNDS, ids=ids(BOUNDS))
def test_bound(name, param, kind):
    value = outside(getattr(param, kind), kind)
    unit = "" if param.unit == "1" else f" {param.unit}"
    text = f"{name}.{param.name}: must be {param.bounds()}{unit}; got "
    refused(ModelError, f"{text}{value!r}.", MODELS[name], **{param.name: value})
    array = np.full(4, param.default)
    array[2] = value
    refused(ModelError, f"{text}{value!r} at index 2.", MODELS[name], **{param.name: array})


@pytest.mark.parametrize(("name", "param", "kind"), BOUNDS, ids=ids(BOUNDS))
def test_bound_of_a_distribution(name, param, kind):
    """Drawn values are checked too, when the network is compiled."""
    value = outside(getattr(param, kind), kind)
    low, high = (value - 1.0, value) if kind in ("gt", "ge") else (value, value + 1.0)
    if kind == "le":
        low = param.le + 1e-6
    net = snn.Network()
    net.population("p", 4, MODELS[name](**{param.name: snn.uniform(low, high)}))
    text = f"{name} of population 'p'.{param.name}: must be {param.bounds()}"
    refused(ModelError, text, snn.Simulation, net, backend="reference")


@pytest.mark.parametrize(("name", "param"), PARAMS, ids=ids(PARAMS))
def test_parameter_is_a_finite_number_of_the_right_shape(name, param):
    owner, model = f"{name}.{param.name}", MODELS[name]
    for value in (np.nan, np.inf, -np.inf):
        refused(ModelError, f"{owner}: must be finite; got {value!r}.", model, **{param.name: value})
    bad = np.array([param.default, np.nan])
    refused(ModelError, f"{owner}: must be finite; got nan at index 1.", model, **{param.name: bad})
    for value in ("1", True, None, [1.0, [2.0]]):
        refused(ModelError, f"{owner}: must be a number", model, **{param.name: value})
    for shape in ((3,), (1,), (4, 1), (0,)):
        made = model(**{param.name: np.full(shape, param.default)})
        text = f"{owner}: must be a number or of shape (4,), the size of population 'p'; got {shape}."
        refused(ShapeError, text, snn.Network().population, "p", 4, made)


@pytest.mark.parametrize(("name", "param"), PARAMS, ids=ids(PARAMS))
def test_unknown_parameter(name, param):
    """A slip of one letter is answered with the name that was meant (or one that is as near)."""
    text = refused(ModelError, f"{name}.{param.name}x: no such parameter.", MODELS[name], **{f"{param.name}x": 1.0})
    known = {p.name for p in SPECS[name].params}
    suggested = re.search(r"Did you mean '(\w+)'\?", text)
    if len(param.name) > 1:
        assert suggested[1] == param.name
    else:  # one letter of two is too little to go by: then all are listed
        assert suggested[1] in known if suggested else all(k in text for k in known)


@pytest.mark.parametrize("name", SPECS)
def test_initial_values(name):
    net, state = snn.Network(), SPECS[name].state[0].name
    model = MODELS[name]()
    refused(ModelError, "Population 'p'.init: no state variable 'vv'.", net.population, "p", 2, model, {"vv": 0.0})
    text = f"Population 'p'.init['{state}']: must"
    refused(ModelError, f"{text} be finite; got nan.", net.population, "p", 2, model, {state: np.nan})
    refused(ShapeError, f"{text} have shape (2,); got (3,).", net.population, "p", 2, model, {state: np.zeros(3)})
    assert not net.populations  # nothing is left of what was refused


@pytest.mark.parametrize(("name", "receptor"), SIGNED, ids=ids(SIGNED))
def test_weight_of_the_wrong_sign(name, receptor):
    net = snn.Network()
    pop = net.population("p", 3, MODELS[name]())
    rule, sign = ">= 0" if receptor.sign > 0 else "<= 0", receptor.sign
    text = f".weight: receptor '{receptor.name}' of {name} takes weights {rule}; got"
    bad = [-sign * 1.0, np.array([sign, sign, -sign]) * 1.0, snn.uniform(-1.0, 1.0), snn.normal(sign * 9.0, 1.0)]
    for weight in bad:
        one = snn.one_to_one()
        refused(ModelError, f"Projection 'p->p'{text}", net.connect, pop, pop, one, weight, 1.0, receptor.name)
        refused(ModelError, f"Input 'i'{text}", net.input, "i", pop, snn.Poisson(1.0), weight, receptor.name)
    text = f"Projection 'p->p'.receptor: {name} has no receptor 'x'."
    refused(ModelError, text, net.connect, pop, pop, snn.all_to_all(), 1.0, 1.0, "x")
    assert not net.projections and not net.inputs


# ------------------------------------------------------------------------------------------------------ network


@pytest.fixture
def net():
    net = snn.Network(seed=1)
    net.population("exc", 4, snn.LIFDelta())
    net.population("inh", 3, snn.LIFExp())
    return net


@pytest.mark.parametrize(
    ("delay", "text"),
    [
        (-1.0, "must be > 0 ms; got -1.0."),
        (0.0, "must be > 0 ms; got 0.0."),
        (np.nan, "must be finite; got nan."),
        (np.inf, "must be finite; got inf."),
        (snn.normal(1.5, 0.5), "must be > 0 ms, but normal(mean=1.5, std=0.5) reaches -inf. Give low=, e.g. low=0.1."),
        (snn.uniform(-1.0, 1.0), "must be > 0 ms, but uniform(low=-1, high=1) reaches -1.0."),
        (np.array([1.0, 1.0, 1.0, -1.0]), "must be > 0 ms; got -1.0."),
    ],
    ids=str,
)
def test_delay(net, delay, text):
    text = f"Projection 'exc->exc'.delay: {text}"
    refused(ModelError, text, net.connect, "exc", "exc", snn.one_to_one(), 1.0, delay)
    assert not net.projections


@pytest.mark.parametrize(
    ("delay", "got"), [(0.05, "; got 0.05."), (snn.uniform(0.05, 1.0), ", but uniform(low=0.05, high=1) reaches 0.05.")]
)
def test_delay_below_dt(net, delay, got):
    net.connect("exc", "exc", snn.all_to_all(), 1.0, delay)
    refused(ModelError, f"Projection 'exc->exc'.delay: must be >= dt = 0.1 ms{got}", snn.Simulation, net, dt=0.1)
    snn.Simulation(net, dt=0.05, backend="reference")  # the same network on a finer grid


def test_delay_shape(net):
    for rule, delay, shape in ((snn.one_to_one(), np.ones(3), "(4,)"), (snn.all_to_all(), np.ones((3, 4)), "(4, 4)")):
        text = f"Projection 'exc->exc'.delay: must have shape {shape}"
        refused(ShapeError, text, net.connect, "exc", "exc", rule, 1.0, delay)
    text = "Projection 'exc->inh'.weight: fixed_indegree takes a number or a distribution; got an array."
    refused(ShapeError, text, net.connect, "exc", "inh", snn.fixed_indegree(2), np.ones(6))


@pytest.mark.parametrize("count", [-1, 2**31, 2**40, 2**70, 2.0, True, np.int64(-3)])
@pytest.mark.parametrize("rule", ["fixed_indegree", "fixed_outdegree", "fixed_total_number"])
def test_counts_of_rules(rule, count):
    if rule == "fixed_total_number" and count == 2**31:
        snn.fixed_total_number(count)
        return
    argument, bits = {"fixed_indegree": ("indegree", 31), "fixed_outdegree": ("outdegree", 31)}.get(
        rule, ("number", 40)
    )
    text = f"{rule}.{argument}: must be an integer >= 0 and < 2**{bits}; got {count!r}."
    refused(ModelError, text, getattr(snn, rule), count)


@pytest.mark.parametrize("wrap", [[1.0, 1.0, 1.0], [[1.0, 1.0]], 0.0, [1.0, -1.0], np.nan, -np.inf])
def test_wrap(wrap):
    net = snn.Network()
    text = "Population 'x'.wrap: must be a length > 0 or one for each of 2 dimensions, inf where it is open; got "
    refused(ShapeError, text, net.population, "x", 4, snn.LIFExp(), positions=np.zeros((4, 2)), wrap=wrap)


@pytest.mark.parametrize("wrap", ["1 m", [[1.0], 2.0], {}])
def test_wrap_that_is_no_number(wrap):
    text = "Population 'x'.wrap: must be a number or an array"
    refused(ModelError, text, snn.Network().population, "x", 4, snn.LIFExp(), positions=np.eye(4), wrap=wrap)


def test_wrap_of_no_positions():
    text = "Population 'x'.wrap: is the period of positions; give positions=, too. Got 1.0."
    refused(ModelError, text, snn.Network().population, "x", 4, snn.LIFExp(), wrap=1.0)


def test_spaces_of_their_own():
    net = snn.Network()
    a = net.population("a", 2, snn.LIFExp(), positions=np.eye(2), wrap=1.0)
    b = net.population("b", 2, snn.LIFExp(), positions=np.eye(2))
    net.connect(a, b, snn.distance_dependent(lambda d: 0.0 * d))
    text = (
        "Projection 'a->b': source and target must lie in one space; got wrap=[1.0, 1.0] and None. Give both "
        "populations the same wrap=."
    )
    refused(ModelError, text, snn.Simulation, net)
    refused(ModelError, text.replace("a->b", "x"), net.connect, a, b, snn.one_to_one(), lambda d: d, name="x")


@pytest.mark.parametrize("value", [1.5, [1.0, 2.0, 3.0, 3.01], 2.0**31, -3.0, -(2.0**40)])
def test_set_state_of_an_integer(net, value):
    sim = snn.Simulation(net, backend="reference")
    text = f"set_state('refractory'): must be integers >= 0 and < 2**31; got {np.atleast_1d(value)[-1]:g}."
    refused(ModelError, text, sim.set_state, "exc", "refractory", value)
    sim.set_state("exc", "refractory", 3.0)
    np.testing.assert_array_equal(sim.state("exc", "refractory"), np.full(4, 3.0))


def test_unknown_population(net):
    text = "Network: no population 'exd'. Did you mean 'exc'?"
    refused(ModelError, text, net.connect, "exd", "inh", snn.all_to_all())
    refused(ModelError, text, net.connect, "inh", "exd", snn.all_to_all())
    refused(ModelError, text, net.input, "i", "exd", snn.Poisson(1.0), 1.0)
    refused(ModelError, text, net.record, "exd")
    other = snn.Network().population("exc", 1, snn.LIFDelta())
    refused(ModelError, "Population 'exc' belongs to another network.", net.record, other)


@pytest.mark.parametrize("n", [0, -1, 2.0, True, "3", None])
def test_population_size(net, n):
    refused(
        ModelError, f"Population 'x'.n: must be an integer >= 1; got {n!r}.", net.population, "x", n, snn.LIFDelta()
    )
    assert "x" not in net.populations


def test_population_names_and_models(net):
    refused(ModelError, "Network.population: 'exc' exists already.", net.population, "exc", 1, snn.LIFDelta())
    for name in ("", "a/b", 3):
        refused(ModelError, "Network.population: the name must be", net.population, name, 1, snn.LIFDelta())
    refused(ModelError, "Population 'x'.model: must be a neuron model", net.population, "x", 1, "LIFDelta")
    text = "Population 'x'.positions: must be finite, of shape (2, d) or (2,); got (3, 2)."
    refused(ShapeError, text, net.population, "x", 2, snn.LIFDelta(), None, np.zeros((3, 2)))
    refused(ModelError, "Network.seed: must be an integer >= 0; got -1.", snn.Network, -1)


def test_empty_network():
    refused(ModelError, "Network: has no population.", snn.Simulation, snn.Network())


def test_records(net):
    refused(ModelError, "record('exc', 'vv'): no such variable.", net.record, "exc", "vv")
    for bad in ([4], [-1], [0.5], []):
        refused(ModelError, "record('exc', 'v').ids: must be integers >= 0 and < 4; got", net.record, "exc", "v", bad)
    for every in (0.0, -1.0, np.nan):
        text = f"record('exc', 'v').every: must be > 0 ms; got {every!r}."
        refused(ModelError, text, net.record, "exc", "v", None, every)
    net.record("exc", "v", every=0.15)
    text = "record('exc', 'v').every: must be a multiple of dt = 0.1 ms; got 0.15."
    refused(ModelError, text, snn.Simulation, net, dt=0.1, backend="reference")


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"dt": 0.0}, ModelError, "Simulation.dt: must be a number >= 1e-09 ms; got 0.0."),
        ({"dt": 1e-320}, ModelError, "Simulation.dt: must be a number >= 1e-09 ms; got 1e-320."),
        ({"dt": np.nan}, ModelError, "Simulation.dt: must be a number >= 1e-09 ms; got nan."),
        ({"threads": 0}, ModelError, "Simulation.threads: must be an integer >= 1, or None; got 0."),
        (
            {"precision": "float16"},
            ModelError,
            'Simulation.precision: must be "float64" or "float32"; got \'float16\'.',
        ),
        ({"backend": "gpux"}, BackendUnavailable, "Simulation.backend: must be "),
        ({"engine": "clocks"}, BackendUnavailable, 'Simulation.engine: must be "clock"'),
        (
            {"backend": "reference", "precision": "float32"},
            BackendUnavailable,
            'backend="reference": computes in float64',
        ),
    ],
    ids=str,
)
def test_simulation_options(net, options, error, text):
    refused(error, text, snn.Simulation, net, **options)


@pytest.mark.parametrize("duration", [-1.0, np.nan, np.inf, "1", True])
def test_duration(net, duration, tmp_path):
    simulation = snn.Simulation(net, backend="reference")
    text = f"Simulation.run: the duration must be >= 0 ms; got {duration!r}."
    if isinstance(duration, (str, bool)):
        text = "Simulation.run: must be a number"
    refused(ModelError, text, simulation.run, duration, to=tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


# -------------------------------------------------------------------------------------------------------- files


def test_output_file(net, tmp_path):
    """Existing file, unfinished file, folder, missing folder: refused before anything is written or replaced."""
    net.record("exc")
    simulation = snn.Simulation(net, backend="reference")
    (tmp_path / "a.h5").write_text("mine")
    (tmp_path / "b.h5.part").write_text("mine")
    for target, text in (
        (tmp_path / "a.h5", "exists already. Choose another name or pass overwrite=True."),
        (tmp_path / "b.h5", "is left from an unfinished run."),
        (tmp_path, "is a folder. Give a file name inside it."),
        (tmp_path / "none" / "c.h5", "Create it first."),
    ):
        with pytest.raises(SimError, match=re.escape(text)) as caught:
            simulation.run(1.0, to=target)
        assert isinstance(caught.value, OSError)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.h5", "b.h5.part"]
    assert (tmp_path / "a.h5").read_text() == (tmp_path / "b.h5.part").read_text() == "mine"
    simulation.run(1.0, to=tmp_path / "a.h5", overwrite=True)
    assert read_result(tmp_path / "a.h5").complete


def test_input_file(tmp_path):
    """Missing, foreign, cut at every length and scrambled: FormatError that names the file, never something else."""
    path = tmp_path / "a.h5"
    net = snn.Network()
    net.record(net.population("p", 2, snn.SpikeArray(np.arange(1.0, 50.0))))
    snn.Simulation(net, backend="reference").run(50.0, to=path)
    whole = path.read_bytes()
    bad = tmp_path / "bad.h5"
    refused(FormatError, f"{bad}: no such file.", read_result, bad)
    refused(FormatError, f"{tmp_path}: is a folder.", read_result, tmp_path)
    for content in (b"", b"no HDF5", b"\x89HDF\r\n\x1a\n", *(whole[: len(whole) * k // 8] for k in range(1, 8))):
        bad.write_bytes(content)
        refused(FormatError, f"{bad}: ", read_result, bad)
    with h5py.File(bad, "w") as file:
        file["other"] = 1
    refused(FormatError, f"{bad}: HDF5, but no SONATA result", read_result, bad)
    with h5py.File(bad, "w") as file:
        file["spikes/p/timestamps"] = np.zeros(3)
    refused(FormatError, f"{bad}: /spikes/p/node_ids: is missing.", lambda: dict(read_result(bad).spikes))


def test_failed_run_leaves_no_file(net, tmp_path):
    net.record("exc")
    net.input("i", "exc", snn.Poisson(50_000.0), weight=-1e308)
    simulation = snn.Simulation(net, backend="reference")
    with np.errstate(over="ignore", invalid="ignore"):
        refused(SimError, "Population 'exc'.v: is not finite at neuron", simulation.run, 50.0, to=tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())


def test_unwritable_kernel_cache(tmp_path):
    """Compiles into a temporary folder, says so once, and works."""
    (tmp_path / "file").write_text("")
    (tmp_path / "tmp").mkdir()
    code = """
import snn
net = snn.Network()
net.record(net.population("p", 1, snn.LIFDelta(i_e=500.0)))
print(len(snn.Simulation(net, threads=1, quiet=True).run(100.0).spikes["p"]))
"""
    cache = tmp_path / "file" / "cache"
    env = {**os.environ, "VOLLEY_CACHE_DIR": str(cache), "TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "6\n"), done.stderr
    assert done.stderr.count("Warning") == 1
    assert f"kernel cache: {cache} cannot be written" in done.stderr and "Set VOLLEY_CACHE_DIR" in done.stderr


FAR = {
    "start": snn.Poisson(1e3, start=1e18), "stop": snn.Poisson(1e3, stop=1e300),
    "rates": snn.Poisson(np.array([1e3, 5.0, 7.0]), times=[0.0, 1e300, 1e301]),
    "spikes": snn.SpikeArray([1.0, 1e18, 1e300, 1e308], [0, 0, 1, 1]), "later": snn.SpikeArray([1e18]),
    "steps": snn.StepCurrent([500.0, 1.0], [0.0, 1e300]), "step": snn.StepCurrent([500.0], [1e300]),
    "sine": snn.ACCurrent(1.0, 5.0, stop=1e300), "noise": snn.NoiseCurrent(500.0, 0.0, dt=1e300),
}  # fmt: skip
NEAR = {
    "start": snn.Poisson(0.0), "stop": snn.Poisson(1e3), "rates": snn.Poisson(1e3),
    "spikes": snn.SpikeArray([1.0]), "later": snn.SpikeArray([]),
    "steps": snn.StepCurrent(500.0), "step": snn.StepCurrent(0.0),
    "sine": snn.ACCurrent(1.0, 5.0), "noise": snn.NoiseCurrent(500.0, 0.0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "engine"), [(x, e) for x in FAR for e in ("clock", "event") if e == "clock" or x not in ("sine", "noise")]
)
def test_times_beyond_any_run_never_come(name, engine):
    found = []
    for source in (FAR[name], NEAR[name]):
        net = snn.Network(seed=1)
        pop = net.population("a", 2, snn.LIFExp())
        net.input("i", pop, source, **({} if isinstance(source, snn.inputs.CurrentInput) else {"weight": 500.0}))
        net.record(pop, "v", every=1.0)
        found.append(snn.Simulation(net, engine=engine, backend="reference", quiet=True).run(20.0).states["a"]["v"])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_arguments_that_are_none(engine, net):
    sim = snn.Simulation(net, engine=engine, quiet=True, threads=1)
    refused(ModelError, "Simulation.run: must end before", sim.run, 1e300)
    refused(ModelError, "Simulation.run.to: must be the path of a file; got 3.", sim.run, 1.0, to=3)
    refused(ModelError, "Simulation.run.checkpoint: must be the path of a file", sim.run, 1.0, checkpoint=3)
    refused(ModelError, "Simulation.checkpoint.path: must be the path of a file; got None.", sim.checkpoint, None)
    if engine == "clock":
        for name in (None, ["i"]):
            refused(ModelError, f"Simulation.set_current: no input {name}.", sim.set_current, name, 1.0)
