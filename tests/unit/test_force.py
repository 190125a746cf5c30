"""FORCE networks: against the equations in plain Python, cut anywhere, saved, and given bad input."""

import copy
import doctest
import importlib
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

import reservoir
import snn
from kernels.errors import FormatError, ModelError, ShapeError
from snn.cli_files import check_file
from snn.io import own

STEPS = 400
SCALE = {"lif": 20.0, "theta": 2e4, "izhikevich": 1e3}  # of the input


def plain(net, target, u, every, learn_from):
    """Outputs and decoders by the equations of the class, with the model's step function as it is written."""
    spec, n, dt = net._variant.spec, net.n, net.dt
    stores = net._variant.constants()
    constants = {}
    for store, names in stores.items():
        constants |= dict(zip(names, getattr(net._constants, store).tolist(), strict=False))
    pad, counters, state = -(-n // 16) * 16, {"float": 0, "int": 0}, {}
    for var in spec.state:
        k = counters[var.dtype]
        state[var.name] = net._initial[0 if var.dtype == "float" else 1][k * pad :][:n].tolist()
        counters[var.dtype] += 1
    w = np.zeros((n, n))
    for i in range(n):
        at = slice(net._loop.first[i], net._loop.first[i + 1])
        w[net._loop.targets[at], i] = net._loop.weights[at]
    tau_r, tau_d = 2.0, 20.0
    p_r, p_d = np.exp(-dt / tau_r), np.exp(-dt / tau_d)
    mix = (p_d - p_r) / (1 / tau_r - 1 / tau_d)
    s, h, r, g = (np.zeros(n) for _ in range(4))
    z, phi, p = np.zeros(net.n_outputs), np.zeros((net.n_outputs, n)), np.eye(n) / net.alpha
    out, spikes = [], 0
    for t in range(len(u)):
        current = s + z @ net._loop.encoders + u[t] @ net._loop.w_in
        fired = np.zeros(n, bool)
        for i in range(n):
            given = constants | {name: x[i] for name, x in state.items()} | {"i_stim": current[i]}
            given |= {f"arrive_{x.name}": 0.0 for x in spec.receptors}
            *new, fired[i] = spec.step(*(given[a] for a in spec.arguments))
            for name, value in zip(state, new, strict=True):
                state[name][i] = value
        s, h = s * p_r + h * mix, h * p_d + w @ fired * 1000.0 / (tau_r * tau_d)
        r, g = r * p_r + g * mix, g * p_d + fired * 1000.0 / (tau_r * tau_d)
        z = phi @ r
        out.append(z)
        spikes += fired.sum()
        if t >= learn_from and t % every == 0:
            q = p @ r
            k = q / (1.0 + r @ q)
            phi = phi - np.outer(z - target[t], k)
            p = p - np.outer(k, q)
    return np.array(out), phi, p, spikes


@pytest.mark.parametrize("kind", SCALE)
def test_equations(kind):
    """Sums are in another order here: 1e-9 of the largest number, as long as no spike moves."""
    make = getattr(reservoir.FORCE, kind)
    net = make(37, n_outputs=2, n_inputs=1, input_scale=SCALE[kind], learn_every=0.5, dt=0.1, seed=3)
    t = net.dt * np.arange(STEPS)
    target = np.stack([np.sin(0.3 * t), np.cos(0.2 * t)], axis=1)
    u = np.sin(0.5 * t)[:, None]
    out, phi, p, spikes = plain(net, target, u, 5, 100)
    net.fit(target, u, washout=100 * net.dt)
    assert spikes > 30 and np.abs(out).max() > 0.3
    assert net._loop.spikes.sum() == spikes
    assert net.rate == pytest.approx(spikes / net.n / (STEPS * net.dt) * 1000.0)
    np.testing.assert_allclose(net.outputs, out, rtol=0, atol=1e-9 * np.abs(out).max())
    np.testing.assert_allclose(net.decoders, phi, rtol=0, atol=1e-9 * np.abs(phi).max())
    waiting = net._loop.waiting[0]  # updates of P that are put off
    q, scale = net._loop.put_off[:waiting], net._loop.scale[:waiting]
    assert waiting == (STEPS - 100) // 5 % 8
    np.testing.assert_allclose(net._loop.p - (q.T * scale) @ q, p, rtol=0, atol=1e-9 * p.max())


def trained():
    net = reservoir.FORCE.lif(100, seed=5)
    return net.fit(np.sin(0.03 * net.dt * np.arange(6000)), washout=50.0)


def test_runs_can_be_cut():
    net, again = trained(), reservoir.FORCE.lif(100, seed=5)
    y = np.sin(0.03 * net.dt * np.arange(6000))
    again.fit(y[:2020], washout=50.0)
    again.partial_fit(y[2020:])
    np.testing.assert_array_equal(net.decoders, again.decoders)
    whole = net.generate(90.0)
    parts = [again.generate(x) for x in (0.05, 59.95, 30.0)]
    assert np.ptp(whole) > 0.1
    np.testing.assert_array_equal(whole, np.concatenate(parts))
    assert np.array_equal(trained().generate(90.0), whole)
    other = reservoir.FORCE.lif(100, seed=6).fit(y, washout=50.0)
    assert not np.array_equal(other.generate(90.0), whole)


def test_learning_does_not_change_what_is_fixed():
    net = trained()
    before = net.decoders.copy()
    net.generate(50.0)
    np.testing.assert_array_equal(net.decoders, before)
    assert np.abs(before).max() > 0
    net.reset()
    assert not net.decoders.any() and net.outputs.shape == (0, 1)
    silent = reservoir.FORCE.lif(100, seed=5)
    np.testing.assert_array_equal(silent.generate(20.0), 0.0)  # nothing is learned yet
    assert silent.rate > 0.1


def test_different_neurons():
    """Parameters may be drawn: the model's own variance goes into the kernel."""
    model = snn.LIFDelta(tau_m=snn.uniform(8.0, 12.0), c_m=10.0, e_l=-40.0, v_th=-40.0, v_reset=-65.0)
    net = reservoir.FORCE(model, 100, gain=0.05, feedback=20.0, init={"v": snn.uniform(-65.0, 30.0)}, seed=1)
    net.generate(50.0)
    assert net._variant.varying and net.rate > 1.0


def test_save_and_load(tmp_path):
    net = trained()
    net.save(tmp_path / "net.h5")
    twin = reservoir.FORCE.load(tmp_path / "net.h5")
    np.testing.assert_array_equal(net.generate(50.0), twin.generate(50.0))
    y = np.cos(0.05 * net.dt * np.arange(1000))
    np.testing.assert_array_equal(net.partial_fit(y).decoders, twin.partial_fit(y).decoders)
    np.testing.assert_array_equal(net.fit(y).generate(5.0), twin.fit(y).generate(5.0))
    check_file(tmp_path / "net.h5")  # snn validate
    about, arrays = own.read(tmp_path / "net.h5", "volley FORCE", 1, "FORCE.save()")
    own.write(tmp_path / "net.h5", "volley FORCE", 1, about | {"model": "Nobody"}, arrays)
    with pytest.raises(FormatError, match="no model 'Nobody' is defined. Import the module"):
        reservoir.FORCE.load(tmp_path / "net.h5")
    with pytest.raises(FormatError, match="no such file"):
        reservoir.FORCE.load(tmp_path / "none.h5")
    own.write(tmp_path / "net.h5", "volley FORCE", 1, about, arrays | {"loop/p": arrays["loop/p"][1:]})
    with pytest.raises(FormatError, match="/arrays/loop/p: must be float64 of shape"):
        reservoir.FORCE.load(tmp_path / "net.h5")
    own.write(tmp_path / "net.h5", "volley checkpoint", 2, about, arrays)
    with pytest.raises(FormatError, match=r"is no FORCE of this package\. Give a file that FORCE\.save\(\) wrote"):
        reservoir.FORCE.load(tmp_path / "net.h5")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 1}, "FORCE.n: must be an integer >= 2; got 1."),
        ({"n_outputs": 0}, "FORCE.n_outputs: must be an integer >= 1; got 0."),
        ({"gain": -1.0}, "FORCE.gain: must be >= 0; got -1.0."),
        ({"feedback": np.nan}, "FORCE.feedback: must be >= 0; got nan."),
        ({"density": 1.5}, "FORCE.density: must be > 0 and <= 1; got 1.5."),
        ({"alpha": 0.0}, "FORCE.alpha: must be > 0; got 0.0."),
        ({"tau_rise": 20.0, "tau_decay": 0.0}, "FORCE.tau_decay: must be > 0; got 0.0."),
        ({"learn_every": 0.07}, "FORCE.learn_every: must be a multiple of dt = 0.05 ms, >= 1 dt; got 0.07."),
        ({"model": 3}, "FORCE.model: must be a neuron model; got 3."),
        ({"model": snn.GIF()}, "FORCE.model: must take a current and draw no random numbers; got GIF."),
    ],
)
def test_bad_parameters(given, message):
    with pytest.raises(ModelError, match=message):
        reservoir.FORCE(**{"model": snn.LIFDelta(), "n": 10} | given)


def test_bad_series():
    net = reservoir.FORCE(snn.LIFDelta(), 10, n_inputs=2)
    y, u = np.zeros(100), np.zeros((100, 2))
    for call, error, message in (
        (lambda: net.fit(np.zeros((100, 2)), u), ShapeError, r"FORCE.fit.target: must have shape \(T, 1\)"),
        (lambda: net.fit(np.r_[y, np.nan], u), ModelError, "FORCE.fit.target: must be finite; got .* at step 100."),
        (lambda: net.fit(y), ShapeError, "FORCE.fit.inputs: there are n_inputs = 2; got NoneType."),
        (lambda: net.fit(y, u[:50]), ShapeError, "FORCE.fit.inputs: must have 100 steps; got 50."),
        (lambda: net.fit(y, u, washout=5.0), ShapeError, "must be longer than washout = 100 steps; got 100."),
        (lambda: net.fit(y, u, washout=-1.0), ModelError, "FORCE.fit.washout: must be a multiple of dt"),
        (lambda: net.partial_fit(y, u[:, :1]), ShapeError, r"FORCE.partial_fit.inputs: must have shape \(T, 2\)"),
        (lambda: net.generate(0.0, u), ModelError, "FORCE.generate.duration: must be a multiple of dt"),
        (lambda: net.generate(5.0), ShapeError, "FORCE.generate.inputs: there are n_inputs = 2; got NoneType."),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_copies_go_on_bit_for_bit(again):
    net = reservoir.FORCE.lif(60, seed=1).fit(np.sin(0.01 * np.arange(2000)))
    other = again(net)
    assert other._variant.spec is snn.LIFDelta.spec
    target = np.sin(0.01 * np.arange(2000, 2500))
    np.testing.assert_array_equal(other.partial_fit(target).decoders, net.partial_fit(target).decoders)
    np.testing.assert_array_equal(other.generate(20.0), net.generate(20.0))


def test_a_network_that_cannot_learn_says_so():
    still = reservoir.FORCE(snn.LIFDelta(), 10)
    with pytest.warns(RuntimeWarning, match="FORCE.generate: neurons fire at 0 Hz; raise gain, feedback or the model"):
        still.generate(100.0)
    busy = reservoir.FORCE(snn.LIFDelta(i_e=1e5), 10)
    with pytest.warns(RuntimeWarning, match="Hz; lower gain, feedback or i_e"):
        busy.generate(100.0)


def test_documentation(tmp_path, monkeypatch):
    text = (Path(__file__).resolve().parents[2] / "docs" / "force.md").read_text()
    names = {}
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", text, re.S).group(1), names)
    assert names["wave"].max() > 0.5 and names["wave"].min() < -0.5
    np.testing.assert_array_equal(names["net"].generate(100.0), names["again"])
    result = doctest.testmod(importlib.import_module("reservoir.force"))
    assert result.attempted > 0 and result.failed == 0
