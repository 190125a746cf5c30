"""What else the event engine refuses: steps, delays too far apart; and a failure ends all threads."""

import math

import numpy as np
import pytest

import plasticity
import snn
from kernels.errors import ModelError, ShapeError, SimError
from kernels.spec import Derived, RuleSpec


def one(model=None, n=2, **params):
    net = snn.Network(seed=1)
    return net, net.population("pop", n, model or snn.LIFExp(**params))


def simulate(net, **options):
    return snn.Simulation(net, engine="event", **({"backend": "reference", "quiet": True} | options))


def refused(net, *texts, error=ModelError, **options):
    with pytest.raises(error) as raised:
        simulate(net, **options)
    for text in texts:
        assert text in str(raised.value)


def _step_on_pre(w, a):
    return w + a


def test_plastic_projection(monkeypatch):
    net, pop = one()
    rule = plasticity.STDPPair(w_max=2.0)
    net.connect(pop, pop, snn.all_to_all(), weight=1.0, delay=1.0, plasticity=rule, axonal_delay=1.0)
    refused(net, "Projection 'pop->pop'.axonal_delay: must be 0, or at least 1e-09 ms and that much below every delay")
    net, pop = one()
    net.connect(pop, pop, snn.all_to_all(), weight=1.0, plasticity=plasticity.DopamineSTDP())
    refused(net, "Projection 'pop->pop'.modulator: DopamineSTDP", "needs 'n', which was never connected")
    net.modulate("pop->pop", pop, delay=1e-10)
    refused(net, "Projection 'pop->pop'.modulator.delay: must be >= 1e-09 ms", "got 1e-10")
    monkeypatch.setattr("plasticity.base.RULES", {})
    rule = plasticity.define(
        RuleSpec(
            "OfStep", "test", (), (Derived("a", "1", lambda p, dt: 2.0 * dt),), (), _step_on_pre, None, ("test",),
            lambda p: (0.0, 10.0),
        )
    )()  # fmt: skip
    net, pop = one()
    net.connect(pop, pop, snn.all_to_all(), weight=1.0, plasticity=rule)
    refused(net, "Projection 'pop->pop'.plasticity", "has no step, on which derived constants of OfStep() depend")


def test_delays_too_far_apart():
    net, pop = one(n=1)
    net.connect(pop, pop, snn.all_to_all(), delay=1e-6, name="short")
    net.connect(pop, pop, snn.all_to_all(), delay=100.0, name="long")
    refused(net, "largest delay, 100 ms", "smallest, 1e-06")


def test_steps_of_the_refractory_period():
    net = snn.Network()
    pop = net.population("pop", 2, snn.LIFExp(), init={"refractory": 3})
    refused(net, "init['refractory']", "counts steps")
    net = snn.Network()
    pop = net.population("pop", 2, snn.LIFExp())
    net.record(pop, "refractory")
    refused(net, "refractory", "counts steps")
    sim = simulate(one()[0])
    with pytest.raises(ModelError, match="counts steps"):
        sim.state("pop", "refractory")
    with pytest.raises(ModelError, match="no state variable 'u'"):
        sim.state("pop", "u")
    with pytest.raises(ShapeError, match="finite"):
        sim.set_state("pop", "v", np.nan)


def test_shapes_and_ids_of_inputs():
    net, pop = one()
    net.input("given", pop, snn.SpikeArray([1.0], [2]), weight=1.0)
    refused(net, "Input 'given'.ids", "< 2")
    net, pop = one()
    net.input("rates", pop, snn.Poisson([1.0, 2.0, 3.0]), weight=1.0)
    refused(net, "Input 'rates'.rate", "(2,)", error=ShapeError)
    net, pop = one()
    net.input("current", pop, snn.StepCurrent([[1.0, 2.0, 3.0]]))
    refused(net, "Input 'current'.amplitudes", error=ShapeError)


@pytest.mark.parametrize("threads", [1, 3])
def test_failure_releases_all_threads(threads):
    net = snn.Network()
    pop = net.population("pop", 30, snn.LIFDelta(t_ref=0.0))
    net.connect(pop, pop, snn.all_to_all(), weight=0.1, delay=0.1)
    net.input("drive", pop, snn.StepCurrent([np.arange(30) * 1e30], times=[2.5]))
    with pytest.raises(SimError, match="fires infinitely often at t = 2.5"):
        simulate(net, backend="cpu", threads=threads).run(10.0)


def test_dt_is_only_the_interval_of_samples():
    net, pop = one(snn.LIFExp(i_e=500.0))
    net.record(pop)
    net.record(pop, "v")
    coarse, fine = (snn.Simulation(net, dt=dt, engine="event", quiet=True).run(40.0) for dt in (1.0, 0.25))
    assert len(coarse.spikes["pop"]) > 2
    np.testing.assert_array_equal(coarse.spikes["pop"].times, fine.spikes["pop"].times)
    np.testing.assert_array_equal(coarse.states["pop"]["v"], fine.states["pop"]["v"][3::4])
    assert math.isnan(coarse.spikes["pop"].dt)


def test_rate_that_would_fill_the_memory():
    net, pop = one()
    net.input("noise", pop, snn.Poisson(1e12), weight=1.0)
    refused(net, "Input 'noise'.rate: must be <= 1e+07 Hz; got 1e+12")
