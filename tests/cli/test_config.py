"""The TOML file: what it may say, every problem reported under its key, overrides and paths."""

import json

import numpy as np
import pytest
import scipy.sparse

import snn
from kernels.errors import ConfigError, FormatError
from snn.config import load, load_provenance, parse_override
from snn.tables import Profile

BASE = """
seed = 3
[simulation]
duration = 50.0
[populations.exc]
n = 10
model = "LIFExp"
[populations.inh]
n = 5
model = "LIFExp"
"""


def test_network(write):
    net = load(
        write(
            BASE
            + """
[populations.source]
n = 10
model = "Poisson"
rate = 8.0
stop = 40.0
[inputs.noise]
target = "exc"
type = "Poisson"
rate = 100.0
weight = {normal = {mean = 20.0, std = 1.0, low = 0.0}}
[inputs.bias]
target = "inh"
type = "ACCurrent"
amplitude = 10.0
frequency = 8.0
[[projections]]
source = "exc"
target = "inh"
rule = "fixed_indegree"
indegree = 4
multapses = false
weight = 30.0
delay = {uniform = {low = 1.0, high = 2.0}}
[[projections]]
source = "source"
target = "exc"
rule = "one_to_one"
name = "drive"
weight = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
delay = 1
receptor = "ex"
[[record]]
population = ["exc", "inh"]
[[record]]
population = "exc"
variable = ["v", "i_ex"]
ids = [1, 2]
every = 0.5
"""
        )
    ).network()
    assert net.seed == 3
    assert {p.name: (p.n, type(p.model).__name__) for p in net.populations.values()} == {
        "exc": (10, "LIFExp"), "inh": (5, "LIFExp"), "source": (10, "Poisson"),
    }  # fmt: skip
    assert net.populations["source"].model.rate == 8.0 and net.populations["source"].model.stop == 40.0
    noise = net.inputs["noise"]
    assert noise.target is net.populations["exc"] and noise.source.rate == 100.0
    assert noise.weight == snn.normal(20.0, 1.0, low=0.0)
    assert net.inputs["bias"].source.amplitude == 10.0 and net.inputs["bias"].receptor == -1
    first, second = net.projections.values()
    assert first.rule == snn.fixed_indegree(4, multapses=False) and first.delay == snn.uniform(1.0, 2.0)
    assert second.name == "drive" and second.receptors == (0, 0)
    assert second.weight.tolist() == list(range(1, 11)) and second.delay == 1.0
    probes = {(p.population.name, p.variable): (p.ids.tolist(), p.every) for p in net.probes}
    assert set(probes) == {("exc", "spikes"), ("inh", "spikes"), ("exc", "v"), ("exc", "i_ex")}
    assert probes["exc", "v"] == ([1, 2], 0.5) and probes["inh", "spikes"] == (list(range(5)), None)


def test_records_default_to_all_spikes(write):
    probes = load(write(BASE)).network().probes
    assert [(p.population.name, p.variable) for p in probes] == [("exc", "spikes"), ("inh", "spikes")]


def test_same_as_python(write):
    """The file is only another way to write the calls: the compiled networks are equal, byte for byte."""
    text = BASE + '[[projections]]\nsource = "exc"\ntarget = "inh"\nrule = "pairwise_bernoulli"\np = 0.5\n'
    text += "weight = {normal = {mean = 5.0, std = 0.5, low = 0.0}}\ndelay = 1.5\n"
    net = snn.Network(seed=3)
    exc, inh = net.population("exc", 10, snn.LIFExp()), net.population("inh", 5, snn.LIFExp())
    net.connect(exc, inh, snn.pairwise_bernoulli(0.5), weight=snn.normal(5.0, 0.5, low=0.0), delay=1.5)
    net.record(exc), net.record(inh)
    digests = [
        snn.Simulation(n, backend="reference").provenance()["network_hash"] for n in (net, load(write(text)).network())
    ]
    assert digests[0] == digests[1]
    other = load(write(text), {"seed": 4}).network()
    assert snn.Simulation(other, backend="reference").provenance()["network_hash"] != digests[0]


def test_five_mistakes(write, problems):
    text = (
        BASE
        + """
[populations.bad]
n = 0
model = "LIFExp"
params = {tau_m = -1.0, tau_n = 1.0}
[[projections]]
source = "ex"
target = "inh"
rule = "fixed_indegre"
weight = 1.0
delay = 1.0
"""
    )
    assert problems(write(text)) == [
        "populations.bad.n: must be >= 1; got 0.",
        "populations.bad.params.tau_m: must be > 0 ms; got -1.0.",
        "populations.bad.params.tau_n: no such parameter of LIFExp. Did you mean 'tau_m'?",
        "projections.0.rule: no rule 'fixed_indegre'. Did you mean 'fixed_indegree'?",
        "projections.0.source: no population 'ex'. Did you mean 'exc'?",
    ]


def test_spikes_beside_states_take_no_interval(write):
    text = BASE + '[[record]]\npopulation = "exc"\nvariable = ["spikes", "v"]\nids = [1]\nevery = 0.5\n'
    probes = {p.variable: (len(p.ids), p.every) for p in load(write(text)).network().probes}
    assert probes == {"spikes": (1, None), "v": (1, 0.5)}


FAULTY = """
[[projections]]
source = "exc"
target = "inh"
rule = "fixed_indegree"
indegree = 20
multapses = false
weight = {normal = {mean = 1.0, std = -1.0}}
delay = 0.01
receptor = "gaba"
axonal_delay = -2.0
[[projections]]
source = "exc"
target = "inh"
name = "learns"
rule = "all_to_all"
weight = 9.0
delay = 0.04
axonal_delay = 3.0
plasticity = {rule = "DopamineSTDP", w_max = 5.0}
[[projections]]
source = "inh"
target = "exc"
rule = "fixed_indegree"
indegree = 2
plasticity = {rule = "STDPPair", w_min = 1.0}
"""


def test_every_fault_of_a_projection(write, problems):
    """Each value is told, and what depends on another that is refused is not."""
    found = problems(write(BASE + FAULTY))
    expected = [
        "projections.0.weight.normal.std: must be > 0; got -1.0.",
        "projections.0.receptor: LIFExp has no receptor 'gaba'. Known: ex, in.",
        "projections.0.axonal_delay: must be a number >= 0 ms; got -2.0.",
        "projections.0.delay: must be >= dt = 0.1 ms; got 0.01.",
        "projections.0.indegree: must be at most 10 without multapses; got 20.",
        "projections.1.weight: must be in [0, 5], the bounds of DopamineSTDP; got 9. Give a weight within them",
        "projections.1.delay: must be >= dt = 0.1 ms; got 0.04.",
        "projections.1.modulator: DopamineSTDP needs 'n', which was never connected.",
        "projections.2.plasticity.w_min: must be 0 weight; got 1.",
        "projections.2.weight: is missing.",
        "projections.2.delay: is missing.",
    ]
    assert len(found) == len(expected)
    for text, begin in zip(found, expected, strict=True):
        assert text.startswith(begin), text


def test_the_event_engine_has_no_step(write, problems):
    """Delays shorter than a step, and intervals between two, which the clock engine cannot have."""
    text = (
        BASE.replace("duration = 50.0", 'duration = 50.0\nengine = "event"')
        + """
[[projections]]
source = "exc"
target = "inh"
rule = "all_to_all"
weight = 1.0
delay = 0.037
[[record]]
population = "inh"
variable = "v"
every = 0.25
"""
    )
    net = load(write(text)).network()
    assert net.projections["exc->inh"].delay == 0.037
    result = snn.Simulation(net, engine="event", quiet=True).run(1.0)
    assert result.states["inh"].times("v").tolist() == [0.25, 0.5, 0.75, 1.0]
    delay, every = problems(write(text.replace('engine = "event"', "")))
    assert "delay: must be >= dt" in delay and "every: must be a multiple" in every


def test_a_fault_of_two_variables_is_told_once(write, problems):
    text = BASE + '[[record]]\npopulation = "exc"\nvariable = ["v", "i_ex"]\nids = [10]\n'
    assert problems(write(text)) == ["record.0.ids: must be integers >= 0 and < 10; got array of shape (1,), 10 to 10."]


def test_a_mended_projection_has_no_fault(write):
    text = FAULTY.replace("-1.0", "1.0").replace("0.01", "1.0").replace('"gaba"', '"ex"').replace("-2.0", "0.5")
    text = text.replace("20", "3").replace("9.0", "4.0").replace("0.04", "3.5").replace("w_min = 1.0", "w_min = 0.0")
    text = text.replace("w_max = 5.0}", "w_max = 5.0}\nmodulator = {value = 1.0}")
    text = text.replace("indegree = 2\n", "indegree = 2\nweight = 1.0\ndelay = 1.0\n").replace(
        "1.0}}", "0.1, low = 0.0}}"
    )
    assert list(load(write(BASE + text)).network().projections) == ["exc->inh", "learns", "inh->exc"]


JUNCTIONS = """
[[gap_junctions]]
a = "exc"
b = "inh"
rule = "fixed_indegree"
indegree = 3
"""


def test_gap_junctions(write, problems):
    """The same as from Python; each fault under its key."""
    net = snn.Network(seed=3)
    exc, inh = net.population("exc", 10, snn.LIFExp()), net.population("inh", 5, snn.LIFExp())
    net.gap_junctions(exc, inh, snn.fixed_indegree(3), snn.uniform(0.5, 1.0), name="electrical")
    more = 'conductance = {uniform = {low = 0.5, high = 1.0}}\nname = "electrical"\n'
    found = load(write(BASE + JUNCTIONS + more)).network()
    assert list(found.inputs) == ["electrical", "electrical (back)"]
    for name, expected in net.inputs.items():
        np.testing.assert_array_equal(found.inputs[name].source.neurons, expected.source.neurons)
        np.testing.assert_array_equal(found.inputs[name].source.conductance, expected.source.conductance)
    for text, expected in (
        (JUNCTIONS + "conductance = -1.0", "gap_junctions.0.conductance: must be >= 0 nS; got -1."),
        (JUNCTIONS.replace('"inh"', '"int"'), "gap_junctions.0.b: no population 'int'. Did you mean 'inh'?"),
        (JUNCTIONS.replace("indegree = 3", ""), "gap_junctions.0.indegree: is missing."),
        (JUNCTIONS + "delay = 1.0", "gap_junctions.0.delay: no such key."),
        (JUNCTIONS + JUNCTIONS, "gap_junctions.1: an input 'exc~inh' exists already. Choose another name."),
    ):
        (line,) = problems(write(BASE + text))
        assert line.startswith(expected)


PROJECTION = """
[[projections]]
source = "exc"
target = "inh"
rule = "fixed_indegree"
indegree = 4
weight = 1.0
delay = 1.0
"""
INPUT = '[inputs.a]\ntarget = "exc"\ntype = "Poisson"\nrate = 1.0\nweight = 1.0\n'
NEURONS = '[populations.x]\nn = 2\nmodel = "LIFExp"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sed = 1", "sed: no such key. Did you mean 'seed'?"),
        ("[simulations]\ndt = 1.0", "simulations: no such key. Did you mean 'simulation'?"),
        ('projections = "exc"', "projections: must be a list of tables [[projections]]; got 'exc'."),
        ("[projections.a]", "projections: must be a list of tables [[projections]]; got {'a': {}}."),
        ("[[inputs]]", "inputs: must be a table [inputs.NAME]; got [{}]."),
        ("inputs = {a = 3}", "inputs.a: must be a table; got 3."),
        ("[output]\ncompress = 1", "output.compress: must be true or false; got 1."),
        (NEURONS.replace("LIFExp", "LIFEx"), "populations.x.model: no model 'LIFEx'. Did you mean 'LIFExp'?"),
        (NEURONS.replace("n = 2", ""), "populations.x.n: is missing."),
        (NEURONS.replace("n = 2", "n = 2.5"), "populations.x.n: must be an integer; got 2.5."),
        (NEURONS.replace("n = 2", "n = true"), "populations.x.n: must be an integer; got true."),
        (NEURONS + "positon = 1", "populations.x.positon: no such key. Did you mean 'positions'?"),
        (NEURONS + "params.v_reset = -50.0\nparams.v_th = -50.0",
         "populations.x.params.v_reset: must be below v_th; got v_reset=-50.0, v_th=-50.0."),
        (NEURONS + "params.tau_m = nan", "populations.x.params.tau_m: must be finite; got nan."),
        (NEURONS + "params.tau_m = true",
         "populations.x.params.tau_m: must be a number, a list, a distribution or a file; got true."),
        (NEURONS + "params.tau_m = [1.0, 2.0, 3.0]",
         "populations.x.params.tau_m: must be a number or of shape (2,), the size of population 'x'; got (3,)."),
        (NEURONS + "params.tau_m = [[1.0], 2.0]",
         "populations.x.params.tau_m: must be a list of numbers, rows of one length."),
        (NEURONS + "params.tau_m = {normal = {mean = 1.0, std = 0.0}}",
         "populations.x.params.tau_m.normal.std: must be > 0; got 0.0. For a constant give the number itself."),
        (NEURONS + "params.tau_m = {normal = {mean = 1.0, std = 1.0, lo = 0.0}}",
         "populations.x.params.tau_m.normal.lo: no such key. Did you mean 'low'?"),
        (NEURONS + "params.tau_m = {norm = {mean = 1.0}}",
         "populations.x.params.tau_m: no distribution 'norm'. Did you mean 'normal'?"),
        (NEURONS + "params.tau_m = {uniform = {low = -2.0, high = -1.0}}",
         "populations.x.params.tau_m: must be > 0 ms; got"),
        (NEURONS + "init.w = 1.0", "populations.x.init.w: no such state variable. Known: v, i_ex, i_in, refractory."),
        (NEURONS + "init.v = [1.0]", "populations.x.init.v: must have shape (2,); got (1,)."),
        (NEURONS + "positions = [[1.0, 2.0]]",
         "populations.x.positions: must be finite, of shape (2, d) or (2,); got (1, 2)."),
        (NEURONS.replace('"LIFExp"', '"Poisson"'), "populations.x.rate: is missing."),
        (NEURONS.replace('"LIFExp"', '"Poisson"\nrate = -1.0'), "populations.x.rate: must be >= 0 Hz; got -1.0."),
        (NEURONS.replace('"LIFExp"', '"SpikeArray"\ntimes = [1.0]\nids = [2]'),
         "populations.x.ids: must be < 2, the number of targets; got 2."),
        (INPUT.replace("exc", "exx"), "inputs.a.target: no population 'exx'. Did you mean 'exc'?"),
        (INPUT.replace("Poisson", "Poison"), "inputs.a.type: no input 'Poison'. Did you mean 'Poisson'?"),
        (INPUT.replace("weight", "wieght"), "inputs.a.wieght: no such key. Did you mean 'weight'?"),
        (INPUT.replace("weight = 1.0", ""), "inputs.a.weight: spikes need a weight; got none."),
        (INPUT + 'receptor = "in"', "inputs.a.weight: receptor 'in' of LIFExp takes weights <= 0; got 1."),
        (INPUT + 'receptor = "inn"', "inputs.a.receptor: LIFExp has no receptor 'inn'. Did you mean 'in'?"),
        (INPUT.replace("rate = 1.0", "rate = 1e9"), "inputs.a.rate: must be at most 10000 spikes a step"),
        ('[inputs.a]\ntarget = "exc"\ntype = "NoiseCurrent"\ndt = 0.25',
         "inputs.a.dt: must be a multiple of the simulation's dt = 0.1 ms; got 0.25."),
        (PROJECTION.replace("inh", "int"), "projections.0.target: no population 'int'. Did you mean 'inh'?"),
        (PROJECTION.replace("weight = 1.0", ""), "projections.0.weight: is missing."),
        (PROJECTION.replace("delay = 1.0", "delay = -1.0"), "projections.0.delay: must be > 0 ms; got -1.0."),
        (PROJECTION.replace("delay = 1.0", "delay = 0.05"), "projections.0.delay: must be >= dt = 0.1 ms; got 0.05."),
        (PROJECTION.replace("indegree = 4", "indegree = 11\nmultapses = false"),
         "projections.0.indegree: must be at most 10 without multapses; got 11."),
        (PROJECTION.replace("indegree = 4", ""), "projections.0.indegree: is missing."),
        (PROJECTION.replace("fixed_indegree", "one_to_one").replace("indegree = 4", ""),
         "projections.0: one_to_one needs populations of one size; got 10 and 5."),
        (PROJECTION.replace("fixed_indegree", "distance_dependent").replace("indegree = 4", "profile = {gauss = {}}"),
         "projections.0.profile: no profile 'gauss'. Did you mean 'gaussian'?"),
        (PROJECTION.replace("fixed_indegree", "from_arrays").replace("indegree = 4", "sources = [1]\ntargets = [7]"),
         "projections.0.targets: must be < 5; got 7."),
        (PROJECTION + PROJECTION, "projections.1: 'exc->inh' exists already. Give this projection a name of its own."),
        ("[[record]]\npopulation = []", "record.0.population: has too few entries; got []."),
        ('[[record]]\npopulation = "exd"', "record.0.population: no population 'exd'. Did you mean 'exc'?"),
        ('[[record]]\npopulation = "exc"\nvariable = "v"\nids = [10]',
         "record.0.ids: must be integers >= 0 and < 10; got"),
        ('[[record]]\npopulation = "exc"\nvariable = "v"\nevery = 0.15',
         "record.0.every: must be a multiple of dt = 0.1 ms; got 0.15."),
        ('[[record]]\npopulation = "exc"\nvariable = "v"\nevery = 0.0', "record.0.every: must be > 0 ms; got 0.0."),
    ],
)  # fmt: skip
def test_one_mistake(write, text, expected, problems):
    """Exactly one line, under its key. Top-level keys come first in a TOML file, hence the order."""
    path = write(text + "\n" + BASE if "=" in text.split("\n")[0] else BASE + text)
    (line,) = problems(path)
    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("duration = -1.0", "simulation.duration: must be >= 0 ms; got -1.0."),
        ("duration = 1e16\ndt = 1.0", "simulation.duration: must be <= 1e+15 ms; got 1e+16."),
        ("duration = 1e7\ndt = 1e-9", "simulation.duration: must be <= 9.0072e+06 ms; got 1e+07."),
        ("duration = 0.05\ndt = 0.1", "simulation.duration: must be 0 or more than half a step of 0.1 ms; got 0.05."),
        ("duration = inf", "simulation.duration: must be finite; got inf."),
        ('duration = "1"', "simulation.duration: must be a number; got '1'."),
        ("dt = 0.1", "simulation.duration: is missing."),
        ("duration = 1.0\ndt = 0.0", "simulation.dt: must be > 0 ms; got 0.0."),
        ("duration = 1.0\nthreads = 0", "simulation.threads: must be >= 1; got 0."),
        ('duration = 1.0\nbackend = "gpux"', "simulation.backend: must be "),
        ('duration = 1.0\nengine = "clocks"', 'simulation.engine: must be "clock" or "event"; got \'clocks\'.'),
        ('duration = 1.0\nprecision = "float16"', "simulation.precision: must be "),
        ('duration = 1.0\nbackend = "reference"\nprecision = "float32"',
         'simulation: backend = "reference" computes in float64; got precision = "float32".'),
        ("duration = 1.0\nthread = 1", "simulation.thread: no such key. Did you mean 'threads'?"),
    ],
)  # fmt: skip
def test_simulation_table(write, keys, expected, problems):
    (line,) = problems(write(BASE.replace("duration = 50.0", keys)))
    assert line.startswith(expected)


def test_a_faulty_population_hides_nothing_and_invents_nothing(write, problems):
    """What refers to it is checked against a stand-in, and is not blamed for it."""
    text = BASE.replace('model = "LIFExp"', 'model = "LIFExp"\nparams = {c_m = 0.0}', 1) + PROJECTION
    assert problems(write(text)) == ["populations.exc.params.c_m: must be > 0 pF; got 0.0."]
    assert problems(write(text.replace("delay = 1.0", "delay = 0.0"))) == [
        "populations.exc.params.c_m: must be > 0 pF; got 0.0.",
        "projections.0.delay: must be > 0 ms; got 0.0.",
    ]


def test_not_toml(write, tmp_path):
    with pytest.raises(ConfigError, match=r"net.toml: is not valid TOML: .*line 2"):
        load(write("a = 1\nb = = 2\n"))
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9\n")
    with pytest.raises(ConfigError, match="is not valid TOML: 'utf-8' codec"):
        load(tmp_path / "latin.toml")
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)


def test_empty_file(write, problems):
    assert problems(write("")) == [
        "simulation.duration: is missing.",
        "populations: is missing. Describe it: [populations.NAME].",
    ]


def test_files_are_relative_to_the_toml(tmp_path, monkeypatch, problems):
    """Arrays, edges, matrices, events and recorded spikes; moved as a folder, and read from elsewhere."""
    folder = tmp_path / "here"
    folder.mkdir()
    np.save(folder / "tau.npy", np.linspace(10, 20, 10))
    np.savez(folder / "edges.npz", s=np.array([0, 1]), t=np.array([2, 3]))
    scipy.sparse.save_npz(folder / "m.npz", scipy.sparse.coo_array(([5.0], ([1], [2])), shape=(10, 10)))
    np.savez(folder / "events.npz", x=[0, 1], y=[0, 0], t=[1000, 2000], p=[0, 1])
    net = snn.Network(seed=1)
    net.record(net.population("p", 3, snn.SpikeArray([1.0, 2.0], [0, 2])))
    snn.Simulation(net, backend="reference").run(3.0, to=folder / "old.h5")
    (folder / "net.toml").write_text("""
[simulation]
duration = 5.0
[populations.exc]
n = 10
model = "LIFExp"
params = {tau_m = {file = "tau.npy"}}
[populations.replay]
n = 3
model = "SonataSpikes"
file = "old.h5"
population = "p"
[populations.camera]
n = 4
model = "AddressEvents"
file = "events.npz"
shape = [1, 2]
[[projections]]
source = "exc"
target = "exc"
rule = "from_arrays"
sources = {file = "edges.npz", key = "s"}
targets = {file = "edges.npz", key = "t"}
weight = 1.0
delay = 1.0
[[projections]]
source = "exc"
target = "exc"
name = "sparse"
rule = "from_sparse"
file = "m.npz"
delay = 1.0
""")
    monkeypatch.chdir(tmp_path)
    net = load("here/net.toml").network()
    assert net.populations["exc"].model.params["tau_m"].tolist() == np.linspace(10, 20, 10).tolist()
    assert net.populations["replay"].model.times.tolist() == [1.0, 2.0]
    assert net.populations["replay"].model.ids.tolist() == [0, 2]
    assert net.populations["camera"].model.ids.tolist() == [0, 3]
    assert net.projections["exc->exc"].rule.targets.tolist() == [2, 3]
    assert net.projections["sparse"].weight.tolist() == [5.0]
    text = json.dumps(net.configuration)
    assert str(folder / "tau.npy") in text and str(folder / "old.h5") in text
    for name in ("tau.npy", "edges.npz", "m.npz", "events.npz", "old.h5"):
        (folder / name).unlink()
    lines = problems("here/net.toml")
    assert [line.split(":")[0] for line in lines] == [
        "populations.exc.params.tau_m", "populations.replay", "populations.camera",
        "projections.0.sources", "projections.0.targets", "projections.1",
    ]  # fmt: skip
    assert all("no such file" in line for line in lines)


def test_pickles_are_refused(write, tmp_path, problems):
    np.save(tmp_path / "bad.npy", np.array([{"a": 1}], object), allow_pickle=True)
    (line,) = problems(write(BASE + NEURONS + 'params.tau_m = {file = "bad.npy"}'))
    assert line.startswith(f"populations.x.params.tau_m: {tmp_path / 'bad.npy'}: cannot be read")


def test_overrides(write):
    path = write(BASE + PROJECTION + PROJECTION.replace("weight", 'name = "b"\nweight'))
    given = {
        "seed": 9, "simulation.dt": 0.2, "populations.inh.n": 7, "populations.inh.params.tau_m": 12.0,
        "projections.1.weight": {"normal": {"mean": 1.0, "std": 0.1, "low": 0.0}}, 
        "projections.1.weight.normal.std": 0.3,
    }  # fmt: skip
    experiment = load(path, given)
    net = experiment.network()
    assert (net.seed, experiment.simulation.dt, net.populations["inh"].n) == (9, 0.2, 7)
    assert net.populations["inh"].model.params["tau_m"] == 12.0
    assert net.projections["exc->inh"].weight == 1.0 and net.projections["b"].weight == snn.normal(1.0, 0.3, low=0.0)
    assert net.configuration["seed"] == 9 and net.configuration["populations"]["inh"]["n"] == 7


def test_paths_of_overrides_are_relative_to_the_working_folder(write, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    np.save(tmp_path / "work" / "tau.npy", np.full(10, 12.0))
    path = write(BASE)
    monkeypatch.chdir(tmp_path / "work")
    net = load(path, {"populations.exc.params.tau_m": {"file": "tau.npy"}, "output.file": "a.h5"}).network()
    assert net.populations["exc"].model.params["tau_m"].tolist() == [12.0] * 10
    assert net.configuration["populations"]["exc"]["params"]["tau_m"] == {"file": str(tmp_path / "work" / "tau.npy")}
    assert net.configuration["output"]["file"] == str(tmp_path / "work" / "a.h5")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("population.exc.n", "override population.exc.n: no 'population' in the file. Did you mean 'populations'?"),
        ("populations.exd.n", "override populations.exd.n: no 'exd' in populations. Did you mean 'exc'?"),
        ("populations.exc.m", "populations.exc.m: no such key."),
        ("projections.1.weight", "override projections.1.weight: projections has no entry '1'; entries: 0 to 0."),
        ("projections.a.weight", "override projections.a.weight: projections has no entry 'a'; entries: 0 to 0."),
        ("seed.x", "override seed.x: seed is no table; it is 3."),
        ("populations.exc.n.x", "override populations.exc.n.x: populations.exc.n is no table; it is 10."),
        ("a b", "override a b: is no key path"),
    ],
)
def test_bad_override(write, key, expected, problems):
    (line,) = problems(write(BASE + PROJECTION), {key: 1})
    assert line.startswith(expected)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=1", 1), ("a.b = 1.5", 1.5), ("a.b=true", True), ('a.b="x y"', "x y"), ("a.b=cpu", "cpu"),
        ("a.b=[1, 2]", [1, 2]), ("a.b={normal = {mean = 1.0, std = 2.0}}", {"normal": {"mean": 1.0, "std": 2.0}}),
    ],
)  # fmt: skip
def test_parse_override(text, value):
    key, parsed = parse_override(text)
    assert key == "a.b" and parsed == value and type(parsed) is type(value)


@pytest.mark.parametrize("text", ["a.b", "=1", "a.b=", "a.b=1\nc=2", "a.b=x y", "a.b=[1", "a=os.system('x')"])
def test_parse_override_refuses(text):
    with pytest.raises(ConfigError, match="--set"):
        parse_override(text)


def test_provenance_needs_a_configuration(tmp_path):
    net = snn.Network()
    net.record(net.population("p", 1, snn.SpikeArray([1.0])))
    snn.Simulation(net, backend="reference").run(2.0, to=tmp_path / "a.h5")
    with pytest.raises(FormatError, match="holds no configuration"):
        load_provenance(tmp_path / "a.h5")


@pytest.mark.parametrize("populations", ["populations = 3", "[[populations]]", "[populations]", "populations.x = 1"])
def test_faulty_as_a_whole(write, populations, problems):
    """No list of populations: one line says so, and nothing is invented about what refers to them."""
    lines = problems(write(f"{populations}\n[simulation]\nduration = 1.0\n"))
    assert len(lines) == 1 and lines[0].startswith("populations")


def test_network_is_new_each_time(write):
    experiment = load(write(BASE))
    first, second = experiment.network(), experiment.network()
    assert first is not second and list(first.populations) == list(second.populations)
    first.configuration["seed"] = 99
    assert second.configuration["seed"] == 3


def test_positions_from_distributions(write):
    text = BASE + NEURONS + "positions = [{uniform = {low = 0.0, high = 1.0}}, {uniform = {low = 5.0, high = 6.0}}]\n"
    positions = [load(write(text), o).network().populations["x"].positions for o in ({}, {}, {"seed": 4})]
    assert positions[0].shape == (2, 2)
    assert np.all((positions[0] >= [0, 5]) & (positions[0] <= [1, 6]))
    assert np.array_equal(positions[0], positions[1]) and not np.array_equal(positions[0], positions[2])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("gaussian", [0.5, 0.5 * np.exp(-0.5), 0.5 * np.exp(-2.0)]), ("exponential", [0.5, 0.5 / np.e, 0.5 / np.e**2]),
     ("disc", [0.5, 0.5, 0.0])],
)  # fmt: skip
def test_profiles(kind, expected):
    assert Profile(kind, 2.0, 0.5)(np.array([0.0, 2.0, 4.0])) == pytest.approx(expected)
