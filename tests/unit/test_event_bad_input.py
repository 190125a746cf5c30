"""What the event engine refuses, in the words of the house, and that nothing hangs."""

import numpy as np
import pytest

import snn
from kernels.errors import BackendUnavailable, ModelError, SimError


def network(model=None, source=None):
    net = snn.Network(seed=1)
    pop = net.population("p", 5, model or snn.LIFExp())
    net.record(pop)
    if source is not None:
        weighs = isinstance(source, snn.inputs.SpikeInput) and getattr(source, "weights", None) is None
        net.input("x", pop, source, weight=1.0 if weighs else None)
    return net, pop


def simulation(net, **options):
    return snn.Simulation(net, engine="event", quiet=True, **options)


def refused(error, parts, call):
    with pytest.raises(SimError) as caught:
        call()
    assert type(caught.value) is error
    for part in parts:
        assert part in str(caught.value), str(caught.value)


@pytest.mark.parametrize(
    "delay",
    [0.0, -1.0, np.nan, np.inf, 1e-300, np.where(np.eye(5) > 0, 0.0, 1.0), snn.uniform(0.0, 1.0), snn.normal(1.0, 1.0)],
    ids=str,
)
def test_delays(delay):
    def build():
        net, pop = network()
        net.input("drive", pop, snn.Poisson(1000.0), weight=300.0)
        net.connect(pop, pop, snn.all_to_all(), weight=1.0, delay=delay)
        simulation(net).run(100.0)

    refused(ModelError, ["Projection 'p->p'.delay: must be "], build)


@pytest.mark.parametrize("time", [-1.0, np.nan, np.inf])
def test_times(time):
    refused(ModelError, ["SpikeArray.times: must be "], lambda: snn.SpikeArray([1.0, time]))
    sim = simulation(network()[0])
    refused(ModelError, ["Simulation.run: the duration must be >= 0 ms; got"], lambda: sim.run(time))


def test_model_without_a_closed_form():
    parts = ["Population 'p'.model: ", "AdExPscExp", "LIFExp", "LIFCondExp", 'engine="clock"']
    refused(ModelError, parts, lambda: simulation(network(snn.AdExPscExp())[0]))


@pytest.mark.parametrize("source", [snn.ACCurrent(1.0, 10.0), snn.NoiseCurrent(), snn.OrnsteinUhlenbeck(std=1.0)])
def test_currents_that_change_all_the_time(source):
    parts = ["Input 'x': ", type(source).__name__, "StepCurrent"]
    refused(ModelError, parts, lambda: simulation(network(source=source)[0]))


def test_what_is_not_there():
    refused(BackendUnavailable, ['engine="event"', "float64"], lambda: simulation(network()[0], precision="float32"))
    refused(BackendUnavailable, ["Simulation.engine: must be "], lambda: snn.Simulation(network()[0], engine="evnt"))


INFINITE = {
    "one huge weight": (snn.IF(), snn.SpikeArray([3.5], [2], [1e9]), 2, "3.5"),
    "huge current": (snn.LIFDelta(t_ref=0.0), snn.StepCurrent([0.0, 1e20], times=[0.0, 4.0]), 0, "4"),
    "tiny threshold": (snn.IF(v_th=1e-300), snn.StepCurrent([0.0, 1.0], times=[0.0, 4.0]), 0, "4"),
}


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("case", INFINITE)
def test_firing_infinitely_often(case, backend):
    model, source, neuron, time = INFINITE[case]
    sim = simulation(network(model, source)[0], backend=backend)
    with pytest.raises(SimError, match=rf"Population 'p'.*t = {time}(\.0*1?)? ms") as caught:
        sim.run(10.0)
    assert type(caught.value) is SimError
    if case == "one huge weight":
        assert f"neuron {neuron}" in str(caught.value)


def test_a_high_rate_is_not_infinite():
    """A thousand spikes a ms are many, but the clock moves."""
    net, _ = network(snn.LIFDelta(t_ref=0.0), snn.StepCurrent(1e6))
    interval = 10.0 * np.log1p(15.0 / (1e6 * 10.0 / 250.0 - 15.0))
    assert len(simulation(net).run(5.0).spikes["p"]) == 5 * int(5.0 / interval)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_state_that_is_not_finite(backend):
    source = snn.SpikeArray([3.5, 3.5], [2, 2], [1e308, 1e308])
    sim = simulation(network(source=source)[0], backend=backend)
    with pytest.raises(SimError, match=r"Population 'p'\.i_ex: is not finite at neuron 2"):
        sim.run(10.0)
