"""``run_nest`` and ``snn run --on nest``: the same network here and in NEST, executed."""

import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import plasticity
import snn
from snn.cli import app
from snn.io.sonata import describe, read_spikes
from snn.nest import run_nest
from snn.nest.models import MODELS, PARAMETERS
from snn.neurons.base import MODELS as OURS

DT = 0.1


def network(seed=3):
    """Every kind of deterministic part that maps, in one network of two models."""
    rng = np.random.default_rng(seed)
    net = snn.Network(seed=seed)
    exp = net.population("exp", 40, snn.LIFExp(tau_m=snn.normal(10.0, 0.5), tau_syn_in=4.0, i_e=200.0,
                         t_ref=snn.uniform(0.4, 3.0)), init={"v": snn.uniform(-70.0, -56.0)})  # fmt: skip
    alpha = net.population("alpha", 20, snn.LIFAlpha(i_e=350.0))
    izhi = net.population("izhi", 10, snn.Izhikevich())
    ticks = rng.integers(2, 3000, 400)
    source = net.population("source", 8, snn.SpikeArray(ticks * DT, rng.integers(0, 8, 400)))
    net.input("given", exp, snn.SpikeArray(ticks[:200] * DT, rng.integers(0, 40, 200), rng.uniform(100.0, 900.0, 200)))
    net.input("steps", alpha, snn.StepCurrent([50.0, 300.0, -100.0], [0.0, 100.0, 200.0]))
    net.input("each", izhi, snn.StepCurrent(rng.uniform(6.0, 20.0, (2, 10)), [0.0, 120.0]))
    net.connect(source, exp, snn.fixed_indegree(3), weight=snn.uniform(200.0, 600.0), delay=snn.uniform(0.5, 3.0))
    net.connect(exp, alpha, snn.pairwise_bernoulli(0.2), weight=80.0, delay=1.5)
    net.connect(alpha, exp, snn.fixed_indegree(4), weight=-150.0, delay=1.0)
    net.connect(exp, izhi, snn.all_to_all(), weight=rng.uniform(0.0, 2.0, (40, 10)), delay=0.8)
    for population in (exp, alpha, izhi, source):
        net.record(population)
    net.record(exp, "v", ids=[0, 7, 39], every=0.5)
    net.record(alpha, "i_ex")
    return net


@pytest.fixture(scope="module")
def nest():
    return pytest.importorskip("nest", reason="peers extra not installed")


@pytest.mark.cross
def test_the_same_spikes(nest, tmp_path):
    duration = 300.3  # no multiple of the smallest delay, after which NEST hands out its samples
    here = snn.Simulation(network(), dt=DT, threads=1, quiet=True).run(duration)
    there = run_nest(network(), duration, DT, threads=2, to=tmp_path / "nest.h5")
    for name, record in here.spikes.items():
        assert len(record) > 100, f"{name}: a quiet network tests little"
        np.testing.assert_array_equal(there.spikes[name].times, record.times, err_msg=name)
        np.testing.assert_array_equal(there.spikes[name].ids, record.ids, err_msg=name)
    for name, variable in (("exp", "v"), ("alpha", "i_ex")):
        ours, theirs = here.states[name], there.states[name]
        np.testing.assert_allclose(theirs.times(variable), ours.times(variable), atol=1e-9)
        np.testing.assert_array_equal(theirs.ids(variable), ours.ids(variable))
        # records are float32: 8e-6 mV at 70 mV
        np.testing.assert_allclose(theirs[variable], ours[variable], rtol=1e-6, atol=1e-6)
    assert describe(tmp_path / "nest.h5")["provenance"]["backend"] == "nest"


@pytest.mark.cross
def test_poisson_in_law(nest):
    """Trains of NEST's own: rates of a source, of shared and single trains, and of segments."""
    net = snn.Network(seed=5)
    source = net.population("source", 400, snn.Poisson(rate=50.0))
    parts = net.population("parts", 400, snn.Poisson(rate=[20.0, 100.0], times=[0.0, 500.0]))
    each = np.outer([30.0, 90.0], np.repeat([1.0, 0.0, 2.0, 1.0], 100))
    own = net.population("own", 400, snn.Poisson(rate=each, times=[0.0, 500.0]))
    cells = {kind: net.population(kind, 100, snn.LIFDelta(t_ref=0.0)) for kind in ("single", "shared")}
    for kind, population in cells.items():  # each spike fires its neuron
        net.input(f"noise {kind}", population, snn.Poisson(rate=30.0, shared=kind == "shared"), weight=20.0)
    for population in (source, parts, own, *cells.values()):
        net.record(population)
    spikes = run_nest(net, 1000.0, DT).spikes
    for name, n, rate in (("source", 400, 50.0), ("parts", 400, 60.0), ("single", 100, 30.0)):
        assert abs(len(spikes[name]) - n * rate) < 5 * np.sqrt(n * rate), name
    found = np.histogram2d(spikes["own"].times, spikes["own"].ids, [[0.0, 500.0, 1000.0], np.linspace(0, 400, 5)])[0]
    expected = each.reshape(2, 4, 100).sum(axis=2) * 0.5
    assert np.all(np.abs(found - expected) <= 5 * np.sqrt(expected))
    early = np.sum(spikes["parts"].times < 500.0)
    assert abs(early - 400 * 10.0) < 5 * np.sqrt(4000)
    trains = spikes["shared"].spiketrains()
    assert 3 < len(trains[0]) < 60 and all(np.array_equal(t, trains[0]) for t in trains)
    assert not np.array_equal(*spikes["single"].spiketrains()[:2])


@pytest.mark.cross
@pytest.mark.parametrize("each", [False, True])
def test_poisson_begins_and_ends_where_it_does_here(nest, each):
    """Trains so dense that every step between start and stop has spikes; of populations and of direct inputs."""
    n, net = 60, snn.Network(seed=7)
    rate = np.full(n, 1500.0) if each else 1500.0
    parts = np.outer([0.0, 1500.0, 0.0], np.ones(n)) if each else [0.0, 1500.0, 0.0]
    sources = {
        "plain": lambda: snn.Poisson(rate, start=10.0, stop=20.0),
        "parts": lambda: snn.Poisson(parts, times=[0.0, 10.0, 20.0]),
        "late": lambda: snn.Poisson(parts, times=[0.0, 2.0, 15.0], start=10.0, stop=14.0),
    }
    for name, source in sources.items():
        net.record(net.population(name, n, source()))
        cell = net.population(
            f"{name} cell", n, snn.LIFDelta(t_ref=0.0, v_th=0.5, v_reset=0.0, e_l=0.0), init={"v": 0.0}
        )
        net.input(f"{name} input", cell, source(), weight=1.0)
        net.record(cell)
    here, there = snn.Simulation(net, dt=0.5, quiet=True).run(30.0), run_nest(net, 30.0, 0.5)
    for name, spikes in here.spikes.items():
        np.testing.assert_array_equal(np.unique(there.spikes[name].times), np.unique(spikes.times), err_msg=name)
    assert here.spikes["late"].times.max() == 14.0 and here.spikes["plain"].times.min() == 10.5


def test_every_model_and_parameter_maps(nest):
    """The table against the package itself: names exist there, and every parameter of ours has one."""
    for name, model in MODELS.items():
        spec, defaults = OURS[name].spec, nest.GetDefaults(model.name)
        assert {p.name for p in spec.params} <= PARAMETERS.keys()
        assert {PARAMETERS[p.name] for p in spec.params} | set(model.settable.values()) <= set(defaults)
        assert set(model.recorded.values()) <= set(defaults["recordables"])
        assert {*model.recorded, *model.settable} <= {s.name for s in spec.state}
        for p in spec.params:
            assert float(defaults[PARAMETERS[p.name]]) == pytest.approx(p.default), f"{name}.{p.name}"


def test_what_does_not_map_is_named_at_once():
    net = snn.Network()
    a = net.population("a", 2, snn.LIFDelta())
    b = net.population("b", 2, snn.QIF())
    c = net.population("c", 2, snn.LIFExp(), init={"i_ex": 3.0})
    d = net.population("d", 2, snn.Izhikevich())
    net.connect(a, a, snn.all_to_all(), weight=0.1, delay=1.0, plasticity=plasticity.STDPPair(w_max=1.0))
    net.connect(a, d, snn.all_to_all(), weight=0.1, delay=1.0, receptor="cur")
    net.input("noise", a, snn.OrnsteinUhlenbeck())
    net.input("first", a, snn.SpikeArray([DT]), weight=1.0)
    net.input("late", a, snn.StepCurrent([1.0], [DT]))
    net.record(b)
    net.record(c, "refractory")
    net.record_weights("a->a")
    with pytest.raises(snn.ExportError) as error:
        run_nest(net, 10.0)
    text = str(error.value)
    for part in ("Population 'b'.model: QIF", "Population 'c'.init['i_ex']", "'a->a'.plasticity: STDPPair",
                 "'a->d'.receptor: cur", "'noise': OrnsteinUhlenbeck", "'first': spikes in the first step",
                 "'late': a current that begins in the second step",
                 "record('c', 'refractory')", "record_weights"):  # fmt: skip
        assert part in text, part
    with pytest.raises(snn.ModelError, match="run_nest.duration"):
        run_nest(net, -1.0)


def test_command(nest, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.toml").write_text("""
    [simulation]
    duration = 100.0
    threads = 1
    [populations.cells]
    n = 3
    model = "LIFDelta"
    params = {i_e = [400.0, 500.0, 600.0]}
    """)
    run = CliRunner().invoke
    assert run(app, ["run", "net.toml", "--out", "here.h5"]).exit_code == 0
    done = run(app, ["run", "net.toml", "--out", "there.h5", "--on", "nest"])
    assert done.exit_code == 0 and "cells" in done.stdout, done.output
    here, there = read_spikes("here.h5")["cells"], read_spikes("there.h5")["cells"]
    assert len(here) > 5 and np.array_equal(here.times, there.times) and np.array_equal(here.ids, there.ids)
    assert run(app, ["run", "there.h5", "--out", "again.h5"]).exit_code == 0
    for option, message in (("simulation.engine=event", "engine"), ("simulation.precision=float32", "precision")):
        done = run(app, ["run", "net.toml", "--out", "no.h5", "--on", "nest", "--set", option])
        assert done.exit_code == 2 and message in done.stderr
    assert run(app, ["run", "net.toml", "--out", "no.h5", "--on", "brian"]).exit_code == 2
    for command in (f"{sys.executable} -S", "no-such-python"):
        monkeypatch.setenv("VOLLEY_NEST_PYTHON", command)
        done = run(app, ["run", "net.toml", "--out", "no.h5", "--on", "nest"])
        assert done.exit_code == 1 and "VOLLEY_NEST_PYTHON" in done.stderr, done.output
    assert not Path("no.h5").exists()
