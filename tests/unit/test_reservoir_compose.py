"""Reservoirs one after the other and side by side; closed loop from the present state."""

import numpy as np
import pytest

import reservoir
import snn


def rate(n, n_inputs=1, seed=1, **options):
    return reservoir.EchoStateNetwork.random(
        n, n_inputs, input_scale=0.3, bias_scale=0.1, seed=seed, threads=1, **options
    )


def test_layers_get_the_states_of_the_one_before():
    u = np.random.default_rng(1).normal(size=(50, 1))
    parts = [rate(20), rate(15, 20, seed=2), rate(10, 15, seed=3)]
    deep = reservoir.Deep(parts)
    states, x = deep.states(u), u
    at = 0
    for part in parts:
        x = part.states(x)
        assert np.array_equal(states[:, at : at + part.n], x)
        at += part.n
    assert deep.n == at == 45 and deep.n_inputs == 1


def test_side_by_side_and_nested():
    u = np.random.default_rng(2).normal(size=(30, 2))
    a, b = rate(12, 2), reservoir.Deep([rate(8, 2, seed=2), rate(6, 8, seed=3)])
    both = reservoir.Parallel([a, b])
    assert np.array_equal(both.states(u), np.hstack([a.states(u), b.states(u)]))


def test_a_run_in_pieces_is_one_run():
    u = np.random.default_rng(3).normal(size=(40, 1))
    net = reservoir.Parallel([rate(10), reservoir.Deep([rate(10, seed=2), rate(5, 10, seed=3)])])
    whole = net.states(u)
    net.reset()
    assert np.array_equal(np.vstack([net.run(u[:17]), net.run(u[17:])]), whole)
    net.reset()
    assert np.array_equal(net.step(u[0]), whole[0])


def spiking():
    net = snn.Network(seed=1)
    model = snn.LIFExp(tau_m=20.0, c_m=20.0, e_l=0.0, v_th=1.0, v_reset=0.0, i_e=snn.normal(1.1, 0.2))
    net.population("p", 20, model)
    return reservoir.SpikingReservoir(net, {"p": np.ones((20, 1))}, threads=1)


KINDS = {
    "echo state": lambda: rate(12),
    "Dale": lambda: reservoir.DaleNetwork.random(30, indegree=10),
    "deep": lambda: reservoir.Deep([rate(8), rate(6, 8, seed=2)]),
    "parallel": lambda: reservoir.Parallel([rate(8), reservoir.DaleNetwork.random(30, indegree=10), spiking()]),
    "spiking": spiking,
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_begins_at_rest_leaves_the_present_state(kind):
    u = np.random.default_rng(4).uniform(-1.0, 1.0, (40, 1))
    net, other = KINDS[kind](), KINDS[kind]()
    net.readout = reservoir.Ridge(1.0)
    net.run(u[:20])
    rest = net.fit(u, u).states(u[:5])
    net.predict([u[:7], u[3:9]])
    with pytest.raises(snn.ShapeError, match="must have shape"):
        net.states(np.ones((3, 2)))
    other.run(u[:20])
    assert np.array_equal(net.run(u[20:]), other.run(u[20:]))
    assert np.array_equal(net.states(u[:5]), rest)
    net.reset()
    assert np.allclose(net.run(u[:5]), rest, rtol=0, atol=1e-12)


def test_fits_sequences_of_different_length_and_generates():
    t = np.arange(600)
    wave = (np.sin(0.2 * t) + 0.5 * np.sin(0.311 * t))[:, None]
    net = reservoir.Deep([rate(60), rate(40, 60, seed=2, leak=0.5)], reservoir.Ridge(1e-8))
    parts = [wave[:300], wave[300:420], wave[420:]]
    net.fit([p[:-1] for p in parts], [p[1:] for p in parts], washout=30)
    net.reset()
    net.run(wave[:500])
    ahead = net.generate(40, wave[500])
    error = reservoir.measures.nrmse(ahead, wave[501:541])
    print("NRMSE of 40 steps alone", error)
    assert error < 0.1


def test_what_has_no_present_state_says_so():
    class Still(reservoir.Reservoir):
        n = n_inputs = 1
        readout = None

    for call in (Still().reset, lambda: Still().run([1.0]), lambda: Still().step(1.0)):
        with pytest.raises(snn.ModelError, match="Still: begins every series at rest"):
            call()


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: reservoir.Deep([]), "Deep.parts: must be reservoirs, at least one"),
        (lambda: reservoir.Deep([rate(10), rate(5, 9)]), "part 1 must have 10 inputs, the states of part 0; got 9"),
        (lambda: reservoir.Parallel([rate(10), rate(5, 2)]), "must have equally many inputs; got [1, 2]"),
        (lambda: reservoir.Parallel([rate(10)] * 2), "different objects"),
        (lambda: reservoir.Parallel([reservoir.Ridge()]), "must be reservoirs"),
        (lambda: reservoir.Parallel([rate(10)]).states(np.ones((4, 2))), "must have shape (T, 1)"),
        (lambda: reservoir.Deep([rate(10)]).fit(np.ones(4), np.ones(4)), "there is no readout"),
    ],
)
def test_bad_input(call, text):
    with pytest.raises((snn.ModelError, snn.ShapeError)) as error:
        call()
    assert text in str(error.value)
