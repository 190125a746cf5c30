"""What does not fit is refused before it is drawn, and files name no place outside their folder."""

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ConfigError, ModelError
from snn import memory
from snn.config import load

TEXT = """
seed = 1
[simulation]
duration = 1.0
[output]
{output}
[populations.a]
n = {n}
model = "LIFDelta"
[[projections]]
source = "a"
target = "a"
rule = "fixed_indegree"
indegree = 1000000
weight = 0.1
delay = 1.5
"""


def test_a_network_that_no_machine_holds_is_refused_before_it_is_drawn(tmp_path):
    path = tmp_path / "large.toml"
    path.write_text(TEXT.format(output="", n=4_000_000))
    net = load(path).network()
    with pytest.raises(ModelError, match=r"must fit into memory; needs about [0-9,.]+ GiB for 4,000,000 neurons and"):
        snn.Simulation(net, quiet=True)


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_the_estimate_counts_what_differs_from_synapse_to_synapse(engine):
    def needed(weight=0.5, delay=1.5, precision="float64", **more):
        net = snn.Network(seed=1)
        a = net.population("a", 1000, snn.LIFExp())
        net.connect(a, a, snn.fixed_indegree(100), weight=weight, delay=delay, **more)
        return memory.estimate(net, engine, precision)

    least = needed()
    assert least[1] == 100_000 and least[0] >= 4 * 100_000
    drawn = snn.uniform(1.0, 2.0)
    more = [needed(weight=drawn), needed(delay=drawn), needed(plasticity=plasticity.STDPPair(w_max=1.0))]
    assert all(found[0] > least[0] + 4 * 100_000 for found in more)
    # what the compiled network holds in the end is part of its peak
    net = snn.Network(seed=1)
    a = net.population("a", 1000, snn.LIFExp())
    net.connect(a, a, snn.fixed_indegree(100), weight=drawn, delay=drawn)
    held = snn.compile.compile_network(net, 0.1, "float64", 1).nbytes()["edges"] if engine == "clock" else 0
    assert held < memory.estimate(net, engine, "float64")[0] < 60 * 100_000 + 1e6


def test_limits_that_are_known(monkeypatch):
    assert 1e8 < memory.memory() < np.inf
    monkeypatch.setattr(memory, "memory", lambda: 1e6)
    net = snn.Network(seed=1)
    a = net.population("a", 1000, snn.LIFExp())
    net.connect(a, a, snn.fixed_indegree(300), weight=0.5, delay=1.5)
    with pytest.raises(ModelError, match="needs about 0.0 GiB for 1,000 neurons and 300,000 synapses"):
        snn.Simulation(net, quiet=True)


@pytest.mark.parametrize("name", ["/tmp/x.h5", "../x.h5", "a/../../x.h5", "~/x.h5"])
@pytest.mark.parametrize("key", ["file", "plot"])
def test_files_write_nowhere_but_below_their_folder(tmp_path, key, name):
    path = tmp_path / "net.toml"
    path.write_text(TEXT.format(output=f'{key} = "{name}"', n=20_000))
    with pytest.raises(ConfigError, match=f"output.{key}: must lie in the folder of the file or below; got"):
        load(path)


def test_more_threads_than_any_machine_has():
    net = snn.Network(seed=1)
    net.population("a", 3, snn.LIFDelta())
    with pytest.raises(ModelError, match="threads: must be at most 1,024; got 2,147,483,647"):
        snn.Simulation(net, threads=2**31 - 1)


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_the_estimate_counts_given_spikes(engine):
    """They are held more than once while they are sorted: of each at least a time, a step or place, and a target."""

    def needed(k):
        net = snn.Network(seed=1)
        spikes = snn.SpikeArray(np.arange(k) * 0.1, np.zeros(k, int))
        a = net.population("a", 1, snn.LIFExp())
        net.input("given", a, spikes, weight=1.0)
        net.population("sources", 1, spikes)
        return memory.estimate(net, engine, "float64")[0]

    assert needed(100_000) - needed(0) >= 2 * 100_000 * (8 + 8 + 4)
