"""State variables of synapses, read and set between runs: against closed forms, on all engines."""

import math

import numpy as np
import pytest

import plasticity
import snn
from kernels.spec import RuleSpec, StateVar

ENGINES = [("clock", "cpu"), ("clock", "reference"), ("event", "cpu"), ("event", "reference")]
PRE, POST = np.array([10.0, 40.0, 82.0]), np.array([16.0, 39.0, 90.0])  # at the synapse: the delay is dendritic, 1 ms


def network(n=3):
    """``n`` sources fire at PRE, each a millisecond after the one before; targets at POST - 1."""
    net = snn.Network(seed=1)
    times = np.concatenate([PRE + k for k in range(n)])
    a = net.population("a", n, snn.SpikeArray(times, np.repeat(np.arange(n), 3)))
    b = net.population("b", 2, snn.LIFDelta(tau_m=10.0, v_th=20.0, v_reset=0.0, e_l=0.0, t_ref=0.5))
    net.input("force", b, snn.SpikeArray(np.tile(POST - 1.0, 2), np.repeat([0, 1], 3)), weight=1e3)
    rule = plasticity.DopamineSTDP(a_plus=1.0, a_minus=1.5, tau_c=200.0, w_max=50.0)
    net.connect(a, b, snn.all_to_all(), weight=1.0, delay=1.0, name="p", plasticity=rule,
                short_term=plasticity.TsodyksMarkram(u_se=0.3, tau_rec=100.0, tau_fac=50.0))  # fmt: skip
    net.modulate("p", value=0.0)
    net.record_weights("p")
    return net


def eligibility(shift, t):
    """c of a synapse whose presynaptic spikes come ``shift`` ms after PRE, by the equations of the rule."""
    c, now, pre, post = 0.0, 0.0, 0.0, 0.0
    for at, kind in sorted([(x + shift, 0) for x in PRE] + [(x, 1) for x in POST]):
        if at > t:
            break
        h, now = at - now, at
        c, pre, post = c * math.exp(-h / 200.0), pre * math.exp(-h / 20.0), post * math.exp(-h / 20.0)
        c, pre, post = (c - 1.5 * post, pre + 1.0, post) if kind == 0 else (c + pre, pre, post + 1.0)
    return c * math.exp(-(t - now) / 200.0)


def short_term(shift, t):
    u, x, last = 0.3, 1.0, -math.inf
    for at in (s + shift for s in PRE if s + shift <= t):
        x = 1.0 + (x - x * u - 1.0) * math.exp(-(at - last) / 100.0)
        u, last = 0.3 + u * 0.7 * math.exp(-(at - last) / 50.0), at
    return u, x


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
def test_as_the_equations_have_it(engine, backend):
    sim = snn.Simulation(network(), engine=engine, backend=backend, quiet=True, threads=1)
    for t in (20.0, 40.5, 100.0):
        sim.run(t - sim.t)
        sources, _, weights, _ = sim.connections("p")
        assert sim.state("p", "c") == pytest.approx([eligibility(float(i), t) for i in sources], rel=1e-9)
        for k, name in enumerate("ux"):
            assert sim.state("p", name) == pytest.approx([short_term(i, t)[k] for i in range(3)], rel=1e-9)
        assert np.all(weights == 1.0)
    assert np.all(np.abs(sim.state("p", "c")) > 1e-3)


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
def test_set_between_runs(engine, backend):
    """dw/dt = c (n - b): what is left of an eligibility that was set is learned from, and nothing else."""
    sim = snn.Simulation(network(), engine=engine, backend=backend, quiet=True, threads=1)
    sim.run(60.0)
    given = np.arange(6.0)
    sim.set_state("p", "c", given)
    assert np.array_equal(sim.state("p", "c"), given)
    sim.set_state("p", "x", [0.1, 0.2, 0.3])
    sim.set_state("p", "u", 0.9)
    assert sim.state("p", "x").tolist() == [0.1, 0.2, 0.3] and sim.state("p", "u").tolist() == [0.9] * 3
    sim.set_modulator("p", 0.01)
    sim.run(10.0)
    tau = 1.0 / (1.0 / 200.0 + 1.0 / 200.0)  # of c and of dopamine
    grown = 0.01 * tau * (1.0 - math.exp(-10.0 / tau)) * given
    assert sim.connections("p")[2] == pytest.approx(1.0 + grown, rel=1e-2 if engine == "clock" else 1e-9)
    assert sim.state("p", "c") == pytest.approx(given * math.exp(-10.0 / 200.0), rel=1e-9)


@pytest.mark.parametrize("engine", ["clock", "event"])
def test_reading_changes_nothing(engine, tmp_path):
    def run(read, threads=1, stop=None):
        sim = snn.Simulation(network(), engine=engine, quiet=True, threads=threads)
        sim.set_modulator("p", 0.02)
        for k in range(10):
            if read:
                sim.state("p", "c"), sim.state("p", "u")
            for name in "ux" if read and k > 1 else "":  # all sources have fired: what was read is given back
                sim.set_state("p", name, sim.state("p", name))
            sim.run(10.0)
            if k == stop:
                sim.checkpoint(tmp_path / "c.h5")
                sim = snn.Simulation.resume(tmp_path / "c.h5", network(), quiet=True)
        return [*sim.connections("p"), *(sim.state("p", name) for name in "cux")]

    straight = run(False)
    for other in (run(True), run(True, threads=2), run(True, stop=5)):
        assert all(np.array_equal(x, y) for x, y in zip(other, straight, strict=True))


def test_what_is_refused():
    sim = snn.Simulation(network(), quiet=True)
    for call, text in (
        (lambda: sim.state("p", "e"), "Projection 'p': no state variable 'e'; there are c, u, x."),
        (lambda: sim.set_state("p", "c", np.ones(5)), r"a number or of shape \(6,\)"),
        (lambda: sim.set_state("p", "u", np.ones(6)), r"a number or of shape \(3,\)"),
        (lambda: sim.set_state("p", "c", math.nan), "must be finite"),
        (lambda: sim.state("q", "c"), "no population 'q'"),
    ):
        with pytest.raises((snn.ModelError, snn.ShapeError), match=text):
            call()


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
@pytest.mark.parametrize("each", [False, True])
def test_variables_of_one_name(engine, backend, each):
    """x is Clopath's trace of presynaptic spikes and the resources of Tsodyks and Markram: both by their full names."""
    net = snn.Network(seed=1)
    a = net.population("a", 2, snn.SpikeArray([10.0, 30.0, 30.0], [0, 0, 1]))
    b = net.population("b", 2, snn.LIFExp(v_th=1e3))
    short = plasticity.TsodyksMarkram(u_se=np.full((2, 2), 0.5) if each else 0.5, tau_rec=800.0)
    rule = own("NamedX", state=(StateVar("x", "1", "a count"),))
    net.connect(a, b, snn.all_to_all(), weight=1.0, delay=1.0, name="p", plasticity=rule(), short_term=short)
    for variable in ("plasticity.x", "short_term.x", "u"):
        net.record_weights("p", variable=variable)
    with pytest.raises(snn.ModelError, match="'x' is a state variable of both rules. Name 'plasticity.x' or 'short_t"):
        net.record_weights("p", variable="x")
    sim = snn.Simulation(net, engine=engine, backend=backend, quiet=True)
    result = sim.run(35.0)
    rest = 1.0 - 0.5 * math.exp(-20.0 / 800.0)
    resources = np.array([rest, 1.0])[[0, 1, 0, 1] if each else [0, 1]]  # what the last spike found
    counts = np.array([2.0, 1.0, 2.0, 1.0])  # by target, then source
    for read in (sim.state, lambda p, variable: result.weights[f"{p}.{variable}"][1][0]):
        assert read("p", "short_term.x") == pytest.approx(resources, rel=1e-9)
        assert read("p", "plasticity.x") == pytest.approx(counts)
    sim.set_state("p", "plasticity.x", 7.0)
    sim.set_state("p", "short_term.x", 0.25)
    assert np.all(sim.state("p", "plasticity.x") == 7.0) and np.all(sim.state("p", "short_term.x") == 0.25)
    assert sim.provenance()["changes"][0]["values"] == {"plasticity.x": 7.0}
    for call in (lambda: sim.state("p", "x"), lambda: sim.set_state("p", "x", 1.0)):
        with pytest.raises(snn.ModelError, match="'p': 'x' is a state variable of both rules"):
            call()
    with pytest.raises(snn.ModelError, match="no state variable 'y'; there are plasticity.x, u, short_term.x"):
        sim.state("p", "y")


def counted(w, x):
    return w, x + 1.0


def own(name, **more):
    return plasticity.define(
        RuleSpec(name=name, doc="Counts.", params=(), derived=(), traces=(), on_pre=counted, on_post=None,
                 references=("ours",), bounds=lambda p: (0.0, 1e9), **more)
    )  # fmt: skip


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
@pytest.mark.parametrize("rule", [None, plasticity.Static()])
def test_short_term_state_behind_an_axon(engine, backend, rule):
    """A spike on its axon has not met the synapse: the state is that before it, and what is set then acts on it."""
    net = snn.Network(seed=1)
    a = net.population("a", 1, snn.SpikeArray([10.0, 30.0]))
    b = net.population("b", 1, snn.LIFDelta(tau_m=1e9, e_l=0.0, v_th=1e3, v_reset=0.0), init={"v": 0.0})
    net.connect(a, b, snn.all_to_all(), weight=1.0, delay=6.0, axonal_delay=5.0, name="p", plasticity=rule,
                short_term=plasticity.TsodyksMarkram(u_se=0.5, tau_rec=800.0))  # fmt: skip
    sim = snn.Simulation(net, engine=engine, backend=backend, quiet=True)
    sim.run(32.0)
    assert sim.state("p", "x").tolist() == [1.0] and sim.state("b", "v") == pytest.approx([0.5], rel=1e-6)
    sim.set_state("p", "x", 0.0)
    sim.run(10.0)
    rest = (1.0 - 0.5) * 0.0 + 1.0 - math.exp(-20.0 / 800.0)
    assert sim.state("b", "v") == pytest.approx([0.5 + 0.5 * rest], rel=1e-6)


FIRED = ([20.0, 60.0, 5.0, 50.0], [0, 1, 2, 2])  # the state is set at 10 ms: before the first spike of 0 and 1
U, X = np.array([0.9, 0.2, 0.6]), np.array([0.3, 0.5, 0.25])


@pytest.mark.parametrize(("engine", "backend"), ENGINES)
@pytest.mark.parametrize("axonal", [0.0, 3.0])
@pytest.mark.parametrize("each", [False, True], ids=["one of all", "values of synapses"])
def test_short_term_state_set_before_the_first_spike(engine, backend, axonal, each):
    """It goes on from then; that of a source that has fired from its last spike, as it was read."""
    net = snn.Network(seed=1)
    a = net.population("a", 3, snn.SpikeArray(*FIRED))
    b = net.population("b", 3, snn.LIFDelta(tau_m=1e9, e_l=0.0, v_th=1e3, v_reset=-1.0), init={"v": 0.0})
    short = plasticity.TsodyksMarkram(u_se=np.full(3, 0.3) if each else 0.3, tau_rec=100.0, tau_fac=50.0)
    net.connect(a, b, snn.one_to_one(), weight=1.0, delay=5.0, axonal_delay=axonal, name="p", short_term=short)
    sim = snn.Simulation(net, engine=engine, backend=backend, quiet=True, threads=1)
    sim.run(10.0)
    before = sim.state("b", "v")
    sim.set_state("p", "u", U)
    sim.set_state("p", "x", X)
    assert np.array_equal(sim.state("p", "u"), U) and np.array_equal(sim.state("p", "x"), X)
    sim.run(70.0)
    h = np.array([20.0 + axonal - 10.0, 60.0 + axonal - 10.0, 50.0 - 5.0])
    x = 1.0 + (X - U * X - 1.0) * np.exp(-h / 100.0)
    u = 0.3 + U * 0.7 * np.exp(-h / 50.0)
    assert sim.state("b", "v") - before == pytest.approx(u * x, rel=1e-6)
    assert sim.state("p", "u") == pytest.approx(u, rel=1e-9) and sim.state("p", "x") == pytest.approx(x, rel=1e-9)


@pytest.mark.parametrize("rule", ["STDPPair", "STDPTriplet"])
@pytest.mark.parametrize(("engine", "backend"), ENGINES)
def test_setting_short_term_state_leaves_weights_alone(engine, backend, rule, tmp_path):
    """Half of the sources have not fired: that their state is as of now tells no weight; a checkpoint keeps it."""

    def run(given, threads=1, resume=False):
        net, rng = snn.Network(seed=1), np.random.default_rng(3)
        early, late = rng.uniform(1.0, 60.0, 12), rng.uniform(31.0, 60.0, 12)
        ids = np.concatenate([rng.integers(0, 4, 12), rng.integers(4, 8, 12)])
        a = net.population("a", 8, snn.SpikeArray(np.concatenate([early, late]), ids))
        b = net.population("b", 6, snn.LIFDelta(tau_m=10.0, v_th=20.0, v_reset=0.0, e_l=0.0, t_ref=0.5))
        net.input("force", b, snn.SpikeArray(rng.uniform(1.0, 60.0, 40), rng.integers(0, 6, 40)), weight=1e3)
        net.connect(a, b, snn.all_to_all(), weight=1.0, delay=snn.uniform(2.0, 8.0), axonal_delay=1.0, name="p",
                    plasticity=getattr(plasticity, rule)(), short_term=plasticity.TsodyksMarkram(u_se=0.3, tau_fac=50.0)
                    )  # fmt: skip
        sim = snn.Simulation(net, engine=engine, backend=backend, quiet=True, threads=threads)
        sim.run(30.0)
        for name, value in given.items():
            sim.set_state("p", name, value)
        if resume:
            sim.checkpoint(tmp_path / "c.h5")
            sim = snn.Simulation.resume(tmp_path / "c.h5", net, quiet=True)
        sim.run(40.0)
        return [sim.connections("p")[2], sim.state("p", "u"), sim.state("p", "x")]

    plain, given = run({}), {"u": 0.7, "x": 0.2}
    found = run(given)
    assert np.unique(plain[0]).size > 20 and np.array_equal(found[0], plain[0])
    assert np.all(found[1][4:] != plain[1][4:])
    for more in ({"threads": 2}, {"resume": True}) if backend == "cpu" else ():
        assert all(np.array_equal(x, y) for x, y in zip(run(given, **more), found, strict=True))
