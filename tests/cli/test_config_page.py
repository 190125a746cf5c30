"""What docs/configuration.md says of the TOML file, the example file, and models of one's own."""

import copy
import functools
import inspect
import re
import shutil
from pathlib import Path

import pytest

import snn
from snn.build import Builder
from snn.config import load, parse_override, tomllib
from snn.distributions import Distribution
from snn.tables import CURRENTS, RULES, SPIKE_SOURCES

ROOT = Path(__file__).parents[2]


def page():
    return (ROOT / "docs" / "configuration.md").read_text("utf-8")


def test_example_of_the_page_runs(tmp_path):
    text = re.search(r"```toml\n(.*?)```", page(), re.DOTALL)[1]
    (tmp_path / "example.toml").write_text(text, "utf-8")
    overrides = dict(map(parse_override, re.findall(r"--set ([\w.]+=[\w.]+)(?=[ \n])", page())))
    overridden = load(tmp_path / "example.toml", overrides)
    assert overridden.simulation.dt == 0.05 and snn.Simulation(overridden.network(), 0.05, quiet=True).t == 0.0
    experiment = load(tmp_path / "example.toml", {"simulation.duration": 60.0, "simulation.backend": "reference"})
    net = experiment.network()
    assert set(net.populations) == {"exc", "inh", "stimulus"} and len(net.projections) == 4
    assert isinstance(net.populations["exc"].model.params["tau_m"], Distribution)
    assert [(p.projection.name, p.every) for p in net.weight_probes] == [("drive", 10.0)] and net.projections[
        "drive"
    ].plasticity is not None
    result = snn.Simulation(net, experiment.simulation.dt, backend="reference").run(60.0)
    assert len(result.spikes["exc"]) > 0 and result.states["exc"]["v"].shape == (120, 3)
    # the stimulus at 50 ms fires neurons 0 and 1 a delay later, unless they fired less than t_ref before
    late = result.spikes["exc"].slice(49.0, 51.1)
    assert {0, 1} <= set(late.ids.tolist())


def places(raw, path=()):
    """Key paths of everything in a document."""
    for key, value in raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ():
        yield (*path, key)
        yield from places(value, (*path, key))


@pytest.mark.parametrize("odd", [None, -1, 1.5, float("nan"), True, "exc", [], {}, [[1], [2]], {"a": 1}], ids=str)
def test_odd_values_are_refused_or_taken(odd):
    """Every value of the page's example, replaced (None: left out): a problem under a key path or a network."""
    example = tomllib.loads(re.search(r"```toml\n(.*?)```", page(), re.DOTALL)[1])
    for *parents, last in places(example):
        raw = copy.deepcopy(example)
        place = functools.reduce(lambda table, key: table[key], parents, raw)
        place[last] = odd
        if odd is None:
            del place[last]
        for line in Builder(raw).problems:
            assert re.match(r"[\w>-]+(\.[\w>-]+)*: .*[.?]$", line, re.DOTALL), line


def test_page_lists_everything():
    tables = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", page(), re.MULTILINE))
    for name, make in {**SPIKE_SOURCES, **CURRENTS, **RULES}.items():
        missing = [key for key in inspect.signature(make).parameters if f"`{key}`" not in tables[name]]
        assert not missing, (name, missing)


def test_example_file_is_valid(tmp_path):
    path = ROOT / "scripts" / "examples" / "brunel_small.toml"
    assert sum(p.n for p in load(path).network().populations.values()) == 1000
    shutil.copy(path, tmp_path / "copy.toml")  # stands alone
    load(tmp_path / "copy.toml")


MY_MODEL = """
import snn
from kernels.spec import NeuronSpec, Param, Receptor, StateVar

def counter_step(v, arrive_syn, i_stim, v_th):
    v = v + arrive_syn
    fired = v >= v_th
    return 0.0 if fired else v, fired

snn.define(NeuronSpec(
    name="{name}", doc="Counts its input.", state=(StateVar("v", "1", "count"),),
    params=(Param("v_th", "1", 3.0, "threshold", gt=0),), derived=(),
    receptors=(Receptor("syn", "1", "jump"),), step=counter_step, references=("this test",),
))
"""
OWN = """models = ["my/models.py"]
[simulation]
duration = 50.0
backend = "reference"
[populations.a]
n = 3
model = "{name}"
params = {{v_th = 2.0}}
[populations.b]
n = 3
model = "SpikeArray"
times = [1.0, 2.0, 3.0, 4.0]
ids = [0, 0, 0, 1]
[[projections]]
source = "b"
target = "a"
rule = "one_to_one"
weight = 1.0
delay = 1.0
"""


def test_models_of_ones_own(write, tmp_path, monkeypatch, problems):
    (tmp_path / "my").mkdir()
    write(MY_MODEL.format(name="CountingCell"), "my/models.py")
    path = write(OWN.format(name="CountingCell"))
    monkeypatch.chdir(tmp_path.parent)  # the path is relative to the file
    (refused,) = problems(path)  # and not that there is no such model
    assert refused.startswith(f"models.0: would run {tmp_path}/my/models.py as a program. Allow it with --allow-code")
    experiment = load(path, allow_code=True)
    assert experiment.configuration["models"] == [str(tmp_path / "my/models.py")]
    for _ in range(2):  # the second network comes from the configuration
        result = snn.Simulation(experiment.network(), backend="reference").run(10.0)
        assert result.spikes["a"].ids.tolist() == [0]
    (found,) = problems(path, {"populations.a.params.v_th": -1.0}, allow_code=True)
    assert found.startswith("populations.a.params.v_th: must be > 0")


def test_models_that_cannot_be_imported(write, tmp_path, problems):
    path = write(OWN.format(name="NoSuchCell"))
    (missing,) = problems(path, allow_code=True)
    assert (
        missing == f"models.0: no such file: {tmp_path}/my/models.py. Check the name; it is relative to the TOML file."
    )
    (tmp_path / "my").mkdir()
    for text, error in (("1 / 0", "ZeroDivisionError: division by zero"), ("def", "SyntaxError: ")):
        write(text, "my/models.py")
        assert problems(path, allow_code=True)[0].startswith(
            f"models.0: {tmp_path}/my/models.py cannot be imported: {error}"
        )
    write(MY_MODEL.format(name="Bad").replace("v + arrive_syn", "open(arrive_syn)"), "my/models.py")
    assert problems(path, allow_code=True)[0].startswith("models.0: ")
    write(MY_MODEL.format(name="Fine"), "my/models.py")
    (unknown,) = problems(path, allow_code=True)
    assert unknown.startswith("populations.a.model: no model 'NoSuchCell'.")
    text = 'models = "a.py"\nsimulation.duration = 50.0\n[populations.a]\nn = 10\nmodel = "LIFExp"\n'
    (found,) = problems(write(text))
    assert found.startswith("models: must be a list")
