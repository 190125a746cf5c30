"""Spiking networks as reservoirs: what is built, what is read, what is refused."""

import copy
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import plasticity
import reservoir
import snn
from kernels.errors import SimError

MODEL = {"tau_m": 20.0, "c_m": 20.0, "e_l": 0.0, "v_th": 1.0, "v_reset": 0.0, "t_ref": 2.0}


def network(seed=1, rule=None, delay=1.0, i_e=0.9, **options):
    rule = snn.fixed_indegree(16, autapses=False, multapses=False) if rule is None else rule
    model = snn.LIFExp(**MODEL, i_e=i_e)
    return reservoir.random_network(100, model, rule, weight=0.1, delay=delay, seed=seed, **options)


def liquid(net=None, readout=None, win=0.6, **options):
    w_in = np.random.default_rng(3).uniform(-win, win, (100, 1))
    return reservoir.SpikingReservoir(
        network() if net is None else net, {"exc": w_in[:80], "inh": w_in[80:]}, readout=readout, **options
    )


def test_filter_is_the_sum_over_spikes():
    rng = np.random.default_rng(1)
    times, ids = np.sort(np.round(rng.uniform(5.1, 95.0, 200), 1)), rng.integers(0, 7, 200)
    times[0], times[-1] = 15.0, 95.0  # on an edge, which belongs to the sample before
    record = snn.SpikeRecord("a", times, ids, 7, 5.0, 95.0, 0.1)
    for tau, rise in ((20.0, 0.0), (20.0, 5.0)):
        got = reservoir.filtered(record, 10.0, tau, rise)
        assert got.shape == (9, 7)
        for k in range(9):
            since = 5.0 + 10.0 * (k + 1) - record.times
            past = since > -1e-9
            for i in range(7):
                s = since[past & (record.ids == i)]
                want = np.exp(-s / tau).sum() - (np.exp(-s / rise).sum() if rise else 0.0)
                assert got[k, i] == pytest.approx(want, abs=1e-10)


def test_random_network_obeys_dale_and_keeps_the_indegree():
    sim = snn.Simulation(network(delay=snn.uniform(1.0, 30.0)), dt=1.0, quiet=True)
    for name, sign, indegree in (("exc->exc", 1, 16), ("exc->inh", 1, 16), ("inh->exc", -1, 4), ("inh->inh", -1, 4)):
        sources, targets, weights, delays = sim.connections(name)
        assert np.all(sign * weights >= 0)
        assert np.all(np.bincount(targets) == indegree)
        assert 1.0 <= delays.min() and delays.max() <= 30.0 and np.ptp(delays) > 20.0
    # 20 * 4 inhibitory weights: mean -0.4, SD 0.12 (the truncation at 3.3 SD moves neither by 1 %), 4 SE
    weights = sim.connections("inh->inh")[2]
    assert weights.mean() == pytest.approx(-0.4, abs=4 * 0.12 / np.sqrt(80) + 0.004)


def test_distance_rule_and_heterogeneous_neurons():
    positions = np.random.default_rng(2).uniform(size=(100, 2))
    rule = snn.distance_dependent(lambda d: 1.0 * (d < 0.2))
    for wrap in (None, 1.0):
        net = network(rule=rule, positions=positions, i_e=snn.normal(0.9, 0.2), wrap=wrap)
        sources, targets, *_ = snn.Simulation(net, dt=1.0, quiet=True).connections("inh->exc")
        delta = np.abs(positions[80 + sources] - positions[targets])
        assert len(sources) and np.any(delta > 0.8) == (wrap is not None)
        assert np.all(np.linalg.norm(delta if wrap is None else np.minimum(delta, 1.0 - delta), axis=1) < 0.2)


def test_a_degree_by_distance_is_counted_as_any():
    positions = np.random.default_rng(2).uniform(size=100)
    net = network(rule=snn.fixed_indegree(16, p=lambda d: d < 0.2), positions=positions, wrap=1.0)
    for name, indegree in (("exc->exc", 16), ("inh->exc", 4)):
        sources, targets, *_ = snn.Simulation(net, dt=1.0, quiet=True).connections(name)
        delta = np.abs(positions[(80 if name == "inh->exc" else 0) + sources] - positions[targets])
        assert np.all(np.minimum(delta, 1.0 - delta) < 0.2) and np.all(np.bincount(targets) == indegree)


def test_states_depend_on_the_input_alone_and_leave_the_network_as_it_is():
    u = np.random.default_rng(4).uniform(-1.0, 1.0, 60)
    net = network()
    first = liquid(net)
    states = first.states(u)
    assert states.shape == (60, 100) and states.std() > 0.05
    assert not net.inputs and not net.probes
    first.states(-u)
    assert np.array_equal(first.states(u), states)
    assert np.array_equal(first.states(u[:30]), states[:30])  # causal
    assert not np.array_equal(liquid(network(seed=2)).states(u), states)
    assert np.array_equal(liquid(net, read="inh").states(u), states[:, 80:])


def test_fit_and_predict_sequences_of_different_length():
    rng = np.random.default_rng(5)
    u = [rng.uniform(-1.0, 1.0, (t, 1)) for t in (300, 500, 200)]
    y = [a.copy() for a in u]
    # neurons that differ: equal ones fire together
    net = liquid(network(i_e=snn.normal(0.9, 0.3)), reservoir.Ridge(), win=1.2, hold=20.0, tau=20.0)
    out = net.fit(u[:2], y[:2], washout=10).predict(u[2:])
    assert out[0].shape == (200, 1)
    assert reservoir.measures.nrmse(out[0][10:], y[2][10:]) < 0.5  # 1: nothing learned
    assert np.array_equal(net.predict(u[2]), out[0])
    for one in (net, reservoir.EchoStateNetwork.random(20, seed=1)):
        states = one.states(u)
        assert [x.shape for x in states] == [(len(a), one.n) for a in u]
        assert all(np.array_equal(x, one.states(a)) for x, a in zip(states, u, strict=True))


def test_sample_by_sample_is_the_whole_series():
    u = np.random.default_rng(9).uniform(-1.0, 1.0, (40, 1))
    net = liquid(network(delay=snn.uniform(1.0, 30.0)), tau_rise=5.0)
    states = net.states(u)
    assert np.allclose(np.vstack([net.run(u[:25]), net.run(u[25:])]), states, rtol=0, atol=1e-12)
    net.scaled(2.0).run(u[:3])  # has a state of its own
    net.readout = reservoir.Ridge(1.0).fit(states[:-1], u[1:])
    net.reset()
    net.run(u[:20])
    alone = net.generate(10, u[20])  # closed loop: its outputs, given as a series, lead to the same outputs
    series = np.concatenate([u[:21], alone[:-1]])
    assert np.allclose(net.predict(series)[20:], alone, rtol=0, atol=1e-9) and np.ptp(alone) > 0.01


@pytest.mark.parametrize("rule", [snn.all_to_all(), snn.from_arrays([5, 4, 0, 4], [1, 3, 5, 0])], ids=["all", "arrays"])
def test_scaled_keeps_the_short_term_values_of_each_synapse(rule):
    """Also where weights are drawn, so that edges take another order."""
    net, rng = snn.Network(seed=2), np.random.default_rng(0)
    a = net.population("a", 6, snn.LIFExp(i_e=300.0))
    u_se = rng.uniform(0.1, 0.9, rule.shape(6, 6))
    short = plasticity.TsodyksMarkram(u_se=u_se, tau_fac=snn.uniform(10.0, 90.0))
    net.connect(a, a, rule, snn.uniform(1.0, 2.0), 1.0, name="p", short_term=short)
    other = reservoir.SpikingReservoir(net, {"a": np.ones((6, 1))}).scaled(2.0).net
    sims = [snn.Simulation(x, dt=1.0, backend="reference", quiet=True) for x in (net, other)]
    (sources, targets, weights, _), (*ends, doubled, _) = (sim.connections("p") for sim in sims)
    np.testing.assert_array_equal(ends, [sources, targets])
    np.testing.assert_array_equal(doubled, 2.0 * weights)
    at = (sources, targets) if u_se.ndim == 2 else [[3, 0, 1, 2]]  # by target
    np.testing.assert_array_equal(sims[1].state("p", "u_se"), u_se[tuple(at)])
    np.testing.assert_array_equal(*(sim.state("p", "tau_fac") for sim in sims))


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_copies(again):
    u = np.random.default_rng(9).uniform(-1.0, 1.0, (10, 1))
    net = liquid()
    states = net.states(u)
    assert np.array_equal(again(net).states(u), states)
    net.run(u[:4])
    with pytest.raises(snn.ModelError, match=r"SpikingReservoir: is running, .* Call reset\(\) before"):
        again(net)
    shallow = copy.copy(net)  # has a state of its own, at rest
    assert np.array_equal(shallow.run(u), states) and np.allclose(net.run(u[4:]), states[4:], rtol=0, atol=1e-12)
    net.reset()
    assert np.array_equal(again(net).run(u), states)


def test_states_of_counts_and_membranes():
    u, net = np.random.default_rng(9).uniform(-1.0, 1.0, (40, 1)), network(delay=snn.uniform(1.0, 30.0))
    counted = liquid(net, state="counts", tau=3.0)
    states, spikes = counted.states(u), counted.record(u)
    assert states.shape == (40, 100) and states.max() >= 1 and np.array_equal(counted.run(u), states)
    for k, (name, i) in enumerate((("exc", 7), ("inh", 3))):
        times = spikes[name].times[spikes[name].ids == i]
        want = np.histogram(times - 1e-6, 10.0 * np.arange(41))[0]
        assert np.array_equal(states[:, 80 * k + i], want)
    membrane = liquid(net, state="v")
    v = membrane.states(u)
    assert v.shape == (40, 100) and np.ptp(v) > 0.3 and v.max() < 1.0  # below the threshold
    assert np.array_equal(membrane.run(u), v)
    sim = membrane._simulation(net, u)
    sim.run(10.0)
    assert np.array_equal(v[0, :80], sim.state("exc", "v"))


def test_inhibition_adapts_to_rates_that_differ_and_then_stays():
    u = np.random.default_rng(6).uniform(-1.0, 1.0, 800)
    net = network(i_e=1.6, delay=snn.uniform(1.0, 20.0))
    start = liquid(net)
    target = np.random.default_rng(7).uniform(10.0, 30.0, 100)
    adapted = start.adapted(u, target)
    errors = [np.abs(x.rates(u) - target).mean() for x in (start, adapted)]
    print("rate errors", errors)
    assert errors[1] < errors[0] / 3
    assert np.corrcoef(adapted.rates(u), target)[0, 1] > 0.9
    assert net.projections["inh->exc"].plasticity is None and not net.projections["inh->exc"].modulation
    before, after = (snn.Simulation(x.net, dt=1.0, quiet=True) for x in (start, adapted))
    for name in net.projections:
        old, new = before.connections(name), after.connections(name)
        for k in (0, 1, 3):
            assert np.array_equal(old[k], new[k])
        assert np.array_equal(old[2], new[2]) == name.startswith("exc") and np.all(
            new[2] * (-1) ** (name[0] == "i") >= 0
        )
    assert np.array_equal(adapted.states(u), adapted.states(u))  # nothing learns any more


def test_self_tuning_knows_no_scale_of_its_input():
    u = np.random.default_rng(8).uniform(-1.0, 1.0, 120)
    net, other = (reservoir.SelfTuningReservoir(n=100, seed=3, readout=reservoir.Ridge()) for _ in range(2))
    states = net.fit(u, u, washout=20).states(u)
    scaled = other.fit(64.0 * u + 1024.0, u, washout=20).states(64.0 * u + 1024.0)  # powers of 2, but for the sum
    assert np.abs(states - scaled).mean() < 0.05 * states.std()
    assert states.std() > 0.1 and net.std[0] == pytest.approx(u.std(), rel=1e-9)
    assert measured(net, u) > 0.5
    assert np.allclose(net.run(u[:20]), states[:20], rtol=0, atol=1e-12)


def test_a_self_tuning_reservoir_adapts_to_the_input_that_its_neurons_get():
    u = np.random.default_rng(8).uniform(0.0, 0.02, 800)
    net = reservoir.SelfTuningReservoir(n=100, seed=3).tune(u)
    adapted = net.adapted(u, 10.0)
    before, after = (np.abs(x.rates(u) - 10.0).mean() for x in (net, adapted))
    assert after < 2.0 < 20.0 < before
    with pytest.raises(snn.ModelError, match="knows no input yet"):
        reservoir.SelfTuningReservoir(n=100).adapted(u, 10.0)


def measured(net, u):
    """Correlation of what is said with the present input."""
    return np.corrcoef(net.predict(u)[20:, 0], u[20:])[0, 1]


def test_silent_and_saturated_reservoirs_warn():
    with pytest.warns(RuntimeWarning, match=r"0 Hz: silent\. Raise w_in"):
        liquid(network(i_e=0.0), win=0.01).states(np.ones(20))
    with pytest.warns(RuntimeWarning, match=r"Hz: saturated\. Lower w_in"):
        liquid(network(i_e=50.0)).states(np.ones(20))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: reservoir.SpikingReservoir(network(), {"ex": np.ones((80, 1))}), "no population of neurons 'ex'"),
        (lambda: reservoir.SpikingReservoir(network(), {}), "must name a population each"),
        (lambda: reservoir.SpikingReservoir(network(), {"exc": np.ones((8, 1))}), "must have shape (80, n_inputs)"),
        (lambda: reservoir.SpikingReservoir(network(), {"exc": np.full((80, 1), np.nan)}), "must be finite"),
        (lambda: liquid(hold=10.5), "hold: must be a multiple of dt"),
        (lambda: liquid(tau=0.0), "tau: must be > tau_rise"),
        (lambda: liquid(state="u"), 'must be "filter", "counts" or a variable of exc: v, i_ex, i_in; got \'u\''),
        (lambda: liquid(tau=5.0, tau_rise=5.0), "tau: must be > tau_rise"),
        (lambda: liquid().fit(np.ones(5), np.ones(5)), "there is no readout"),
        (lambda: liquid().states([1.0, np.nan]), "finite; got [nan] at step 1"),
        (lambda: network(excitatory=1.0), "excitatory: must leave neurons of both kinds"),
        (lambda: network(balance=-1.0), "random_network.balance: must be >= 0; got -1.0"),
        (lambda: liquid().adapted(np.ones(5), 0.0), "adapted.target: must be > 0 Hz"),
        (lambda: liquid().adapted(np.ones(5), np.ones(5)), "adapted.target: must be a number or of shape (100,)"),
        (lambda: liquid().adapted(np.ones(5), 5.0, eta=-1.0), "adapted.eta: must be > 0"),
        (lambda: liquid(network(balance=0.0)).adapted(np.ones(5), 5.0), "no static projection of weights <= 0"),
        (lambda: reservoir.SelfTuningReservoir(n=5), "SelfTuningReservoir.n: must be an integer >= 50"),
        (lambda: reservoir.SelfTuningReservoir(n=100).states(np.ones(5)), "knows no input yet. Call tune"),
        (lambda: reservoir.SelfTuningReservoir(n=100).tune(np.ones(5)), "each input must vary"),
    ],
)
def test_refused(call, text):
    with pytest.raises(SimError) as error:
        call()
    assert text in str(error.value)


def test_documentation_runs(capsys):
    text = (Path(__file__).resolve().parents[2] / "docs" / "reservoirs.md").read_text()
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    for block in blocks:
        if "maass_column" not in block:  # compiled for that alone; verify.py runs it
            exec(block, names)
    assert len(blocks) == 4 and names["unseen"] < 0.5
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("NRMSE of NARMA-10: rate 0.1") and re.fullmatch(r"alpha .*, NRMSE 0\.1\d", printed[1])
    assert names["rate"] < 0.2 and 0.3 < names["spikes"] < 0.7
