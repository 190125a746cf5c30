"""Prediction of events: the task, the compiled loop against the equations in plain Python, files, and bad input."""

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
from snn.io import own

BLOCK = reservoir.MEET(latencies=(40, 70), sigma=10.0, duration=120, cue=(10, 30))
OPTIONS = {"n": 40, "delay": (1, 20), "bias": 5.0, "density": 0.4, "seed": 3}


def test_block():
    assert BLOCK.timing()[10 + 40, 0] == BLOCK.timing()[10 + 70, 1] == 1.0
    assert not BLOCK.timing()[:10].any()
    np.testing.assert_allclose(BLOCK.timing()[50 + 10, 0], np.exp(-0.5))
    np.testing.assert_array_equal(BLOCK.expected(), BLOCK.timing() * [0.7, 0.3])
    assert BLOCK.error(BLOCK.expected()) == 0.0
    off = BLOCK.expected()
    off[:10] += 9.0  # before the cue: does not count
    off[10:, 0] += 0.2
    assert BLOCK.error(off) == pytest.approx(0.2 / np.sqrt(2.0))
    flat = np.tile([0.7, 0.3], (120, 1))
    np.testing.assert_allclose(BLOCK.amplitudes(flat), [0.7, 0.3])
    events = BLOCK.events(4000, seed=1)
    assert abs(np.mean(events == 0) - 0.7) < 4.0 * np.sqrt(0.21 / 4000)
    after = BLOCK.switched(latencies=(70, 40))
    assert after.latencies == (70, 40) and after.probabilities == BLOCK.probabilities


def plain(net, block, events, sizes):
    """Weights of both readouts by the equations of the class, with the model's step function as it is written."""
    loop, spec, n, k = net._loop, net._variant.spec, net.n, net.n_channels
    stores = net._variant.constants()
    shared = dict(zip(stores["par_f"], net._constants.par_f.tolist(), strict=False))
    pad = -(-n // 16) * 16
    own = {name: net._constants.het_f[j * pad :][:n].tolist() for j, name in enumerate(stores["het_f"])}
    w, what, mean = np.zeros((k, n)), np.zeros((k, n)), np.zeros(n)
    keep_s, keep_r, pull = (
        np.exp(-1.0 / sizes["tau_syn"]),
        np.exp(-1.0 / sizes["tau_trace"]),
        1.0 - np.exp(-1.0 / 5000.0),
    )
    p = [np.eye(n) / sizes["alpha"]] * k
    outs, spikes = [], 0
    for trial, event in enumerate(events):
        rng = np.random.default_rng([net.seed, 0, trial])
        v, u = (net._initial[0][j * pad :][:n].copy() for j in (0, 1))
        v += rng.normal(0.0, net.jitter, n)
        noise = rng.normal(0.0, net.noise, (block.duration, n))
        s, r, y, seen = np.zeros(n), np.zeros(n), np.zeros(k), np.zeros(n)
        arrives = np.zeros((block.duration + 50, n))
        for t in range(block.duration):
            cue = float(block.cue[0] <= t < block.cue[1])
            current = s + cue * loop.w_cue + y @ loop.encoders + noise[t]
            fired = np.zeros(n, bool)
            for i in range(n):
                given = shared | {name: x[i] for name, x in own.items()} | {"v": v[i], "u_m": u[i]}
                given |= {"i_stim": current[i], "arrive_syn": 0.0, "arrive_cur": 0.0}
                v[i], u[i], fired[i] = spec.step(*(given[a] for a in spec.arguments))
            spikes += fired.sum()
            for i in np.flatnonzero(fired):
                for j in range(loop.first[i], loop.first[i + 1]):
                    arrives[t + loop.delays[j], loop.targets[j]] += loop.weights[j]
            s = s * keep_s + arrives[t + 1]
            r = r * keep_r + fired
            x = r - mean
            y = w @ x
            if block.cue[0] <= t < block.cue[0] + 200:
                seen += r
            for c in range(k):
                near = abs(t - block.cue[0] - block.latencies[c]) < 3.0 * block.sigma
                gate = (c == event) * (net.gate_floor + (1.0 - net.gate_floor) * near) * (t >= block.cue[0])
                target = block.timing()[t, c]
                if net.merged:
                    gate, target = float(t >= block.cue[0]), target * (c == event)
                if gate > 0.0 and net.rule == "rls":
                    gain = p[c] @ x * gate / (sizes["forgetting"] + gate * x @ p[c] @ x)
                    w[c] += (target - y[c]) * gain
                    p[c] = (p[c] - np.outer(gain, x @ p[c])) / sizes["forgetting"]
                elif gate > 0.0:
                    w[c] += sizes["rate_when"] * gate * (target - y[c]) * x / (x @ x + 1.0)
            mean = mean + pull * (r - mean)
            outs.append(y.copy())
        seen /= min(200, block.duration - block.cue[0])
        for c in range(k):
            rate = max(net.rate_what, 1.0 / (trial + 1))
            what[c] += rate * ((c == event) - what[c] @ seen) * seen / (seen @ seen)
    return w, what, spikes


@pytest.mark.parametrize(
    "changes",
    [
        {"gate_floor": 0.2, "feedback": 3.0, "noise": 0.3, "jitter": 0.5},
        {"rule": "rls", "forgetting": 0.99, "alpha": 0.5, "gate_floor": 0.5},
        {"merged": True, "rate_when": 0.2},
    ],
)
def test_loop_is_the_equations(changes):
    net = reservoir.WhatWhen(**OPTIONS | changes)
    events = np.array([0, 1, 0, 0])
    sizes = {"tau_syn": 10.0, "tau_trace": 40.0, "alpha": 1.0, "forgetting": 1.0, "rate_when": 0.05} | changes
    w, what, spikes = plain(net, BLOCK, events, sizes)
    net.fit(BLOCK, events)
    assert spikes > 100
    assert net.rate == pytest.approx(spikes / net.n / (4 * 120) * 1000.0)
    np.testing.assert_allclose(net.when, w, rtol=0, atol=1e-9 * np.abs(w).max())
    np.testing.assert_allclose(net.what, what, rtol=0, atol=1e-9 * np.abs(what).max())


@pytest.mark.parametrize("restart", [True, False])
def test_tests_change_nothing_and_runs_can_be_cut(restart, tmp_path):
    options = OPTIONS | {"noise": 0.1, "jitter": 0.1, "restart": restart}
    events = BLOCK.events(6, seed=1)
    net, again = reservoir.WhatWhen(**options).fit(BLOCK, events), reservoir.WhatWhen(**options)
    again.partial_fit(BLOCK, events[:2])
    first = again.predict(BLOCK)
    assert np.array_equal(first.when, again.predict(BLOCK).when)
    assert not np.array_equal(first.when, again.predict(BLOCK, draw=1).when)
    again.save(tmp_path / "net.h5")
    for twin in (again, reservoir.WhatWhen.load(tmp_path / "net.h5")):
        twin.partial_fit(BLOCK, events[2:])
        np.testing.assert_array_equal(net.when, twin.when)
        np.testing.assert_array_equal(net.what, twin.what)
        np.testing.assert_array_equal(net.predict(BLOCK).joint, twin.predict(BLOCK).joint)
    twin.reset()
    assert not twin.when.any() and not twin.what.any() and twin.trials == 0
    np.testing.assert_array_equal(twin.fit(BLOCK, events).when, net.when)
    other = reservoir.WhatWhen(**options | {"seed": 4}).fit(BLOCK, events)
    assert not np.array_equal(other.when, net.when)


def test_network():
    net = reservoir.WhatWhen(200, delay=(2, 9), density=0.2, seed=5)
    loop = net._loop
    source = np.repeat(np.arange(200), np.diff(loop.first))
    assert not np.any(source == loop.targets)
    assert np.all(loop.weights[source < 160] >= 0) and np.all(loop.weights[source >= 160] <= 0)  # Dale's law
    assert set(loop.delays) == set(range(2, 10))
    assert np.count_nonzero(loop.w_cue) == 100
    assert abs(len(source) / (200 * 199) - 0.2) < 0.01


def test_bad_files(tmp_path):
    with pytest.raises(FormatError, match="no such file"):
        reservoir.WhatWhen.load(tmp_path / "none.h5")
    reservoir.WhatWhen(**OPTIONS).save(tmp_path / "net.h5")
    reservoir.FORCE(snn.LIFDelta(), 40).save(tmp_path / "force.h5")
    with pytest.raises(FormatError, match=r"is no WhatWhen of this package\. Give a file that WhatWhen\.save"):
        reservoir.WhatWhen.load(tmp_path / "force.h5")
    about, arrays = own.read(tmp_path / "net.h5", "volley WhatWhen", 1, "WhatWhen.save()")
    bad = {"loop/targets": np.full_like(arrays["loop/targets"], 40), "loop/delays": 0 * arrays["loop/delays"],
           "loop/first": arrays["loop/first"][::-1].copy(), "loop/waiting": np.full(2, 8), "what": np.zeros((2, 39)),
           "state/f": arrays["state/f"][:-1], "constants/het_f": arrays["constants/het_f"].astype("f4")}  # fmt: skip
    for name, array in bad.items():
        own.write(tmp_path / "net.h5", "volley WhatWhen", 1, about, arrays | {name: array})
        with pytest.raises(FormatError, match=f"net.h5: /arrays/{name}: must be"):
            reservoir.WhatWhen.load(tmp_path / "net.h5")
    for name, value in {"rule": "x", "seed": -1, "step": [0.0], "noise": "1", "varying": ["x"], "restart": 1}.items():
        own.write(tmp_path / "net.h5", "volley WhatWhen", 1, about | {name: value}, arrays)
        with pytest.raises(FormatError, match=f"net.h5: {name}: must be"):
            reservoir.WhatWhen.load(tmp_path / "net.h5")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 1}, "WhatWhen.n: must be an integer >= 10; got 1."),
        ({"n_channels": 0}, "WhatWhen.n_channels: must be an integer >= 1; got 0."),
        ({"gain": -1.0}, "WhatWhen.gain: must be >= 0; got -1.0."),
        ({"noise": np.nan}, "WhatWhen.noise: must be >= 0; got nan."),
        ({"gate_floor": 1.5}, "WhatWhen.gate_floor: must be >= 0 and <= 1; got 1.5."),
        ({"density": 0.0}, "WhatWhen.density: must be > 0 and <= 1; got 0.0."),
        ({"forgetting": 1.1}, "WhatWhen.forgetting: must be > 0 and <= 1; got 1.1."),
        ({"rate_when": 2.0}, "WhatWhen.rate_when: must be > 0 and < 2; got 2.0."),
        ({"bias": np.inf}, "WhatWhen.bias: must be finite; got inf."),
        ({"rule": "force"}, 'WhatWhen.rule: must be "three_factor" or "rls"; got \'force\'.'),
        ({"delay": 3}, "WhatWhen.delay: must be two whole numbers of ms"),
        ({"delay": (5, 2)}, "WhatWhen.delay: must be 1 to 1000 ms, the shortest first"),
    ],
)
def test_bad_parameters(given, message):
    with pytest.raises(ModelError, match=message):
        reservoir.WhatWhen(**OPTIONS | given)


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"latencies": (300, 950)}, ModelError, "MEET.latencies: must be > 0 and < 900 ms, the end of the trial"),
        ({"latencies": (300.5, 600)}, ModelError, "MEET.latencies: must be whole ms"),
        ({"latencies": ("soon", 600)}, ModelError, "MEET.latencies: must be real numbers"),
        ({"probabilities": (0.5, 0.6)}, ModelError, "MEET.probabilities: must be >= 0, of sum 1"),
        ({"probabilities": (1.0,)}, ShapeError, "MEET.probabilities: must be as many as latencies; got 1 and 2."),
        ({"probabilities": (np.nan, 1.0)}, ModelError, "MEET.probabilities: must be finite; got nan at 0"),
        ({"cue": (150, 100)}, ModelError, "MEET.cue: must be begin and end, in order"),
        ({"duration": 0}, ModelError, "MEET.duration: must be an integer >= 1; got 0."),
        ({"sigma": 0.0}, ModelError, "MEET.sigma: must be > 0; got 0.0."),
    ],
)
def test_bad_blocks(given, error, message):
    with pytest.raises(error, match=message):
        reservoir.MEET(**given)


def test_bad_calls():
    net = reservoir.WhatWhen(**OPTIONS)
    three = reservoir.MEET(latencies=(100, 200, 300), probabilities=(0.2, 0.3, 0.5))
    for call, error, message in (
        (lambda: net.fit(3, [0]), ModelError, "WhatWhen.fit.block: must be a reservoir.MEET; got int."),
        (lambda: net.predict(three), ShapeError, "WhatWhen.predict.block: must have n_channels = 2 latencies; got 3."),
        (lambda: net.fit(BLOCK, [0.5]), ShapeError, r"WhatWhen.fit.events: must be integers of shape \(trials,\)"),
        (lambda: net.fit(BLOCK, []), ShapeError, r"WhatWhen.fit.events: must be integers of shape \(trials,\)"),
        (
            lambda: net.partial_fit(BLOCK, [0, 2]),
            ModelError,
            "WhatWhen.partial_fit.events: must be 0 to 1; got 0 to 2.",
        ),
        (lambda: BLOCK.events(0), ModelError, "MEET.events.trials: must be an integer >= 1; got 0."),
        (
            lambda: BLOCK.amplitudes(3.0),
            ShapeError,
            r"MEET.amplitudes.prediction: must have shape \(120, 2\); got \(\)",
        ),
        (lambda: BLOCK.error(np.zeros((3, 2))), ShapeError, r"MEET.error.prediction: must have shape \(120, 2\)"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_a_silent_network_says_so():
    net = reservoir.WhatWhen(**OPTIONS | {"bias": -50.0, "cue_scale": 0.0, "gain": 0.0})
    with pytest.warns(RuntimeWarning, match="WhatWhen.predict: neurons fire at 0 Hz; raise bias or cue_scale."):
        net.predict(BLOCK)


def test_subspaces():
    e = np.eye(5)
    a, b = np.outer([-1.0, 0.0, 2.0], e[0]), np.outer([1.0, 2.0, 0.0], np.cos(0.3) * e[0] + np.sin(0.3) * e[1])
    cosine, angles = reservoir.measures.subspaces(a, b)
    assert cosine == pytest.approx(np.cos(0.3))
    np.testing.assert_allclose(angles, [np.degrees(0.3)])
    plane = np.array([e[1], e[2], e[1] + 2.0 * e[2]])
    cosine, angles = reservoir.measures.subspaces(a, plane)
    assert cosine == pytest.approx(0.0) and angles[0] == pytest.approx(90.0)
    with pytest.raises(ModelError, match="subspaces.b: must differ between conditions"):
        reservoir.measures.subspaces(a, np.ones((2, 5)))
    with pytest.raises(ModelError, match="subspaces.energy: must be > 0 and <= 1; got 0."):
        reservoir.measures.subspaces(a, b, energy=0.0)


@pytest.mark.parametrize("rule", ["three_factor", "rls"])
def test_pickled_it_goes_on_bit_for_bit(rule):
    net = reservoir.WhatWhen(**OPTIONS, rule=rule, noise=1.0, restart=False).fit(BLOCK, BLOCK.events(4, seed=1))
    other = pickle.loads(pickle.dumps(net))
    for x in (net, other):
        x.partial_fit(BLOCK, BLOCK.events(3, seed=2))
    np.testing.assert_array_equal(other.when, net.when)
    np.testing.assert_array_equal(other.predict(BLOCK).joint, net.predict(BLOCK).joint)


@pytest.mark.parametrize("name", ["meet", "what_when"])
def test_documentation(name):
    result = doctest.testmod(importlib.import_module(f"reservoir.{name}"))
    assert result.attempted > 0 and result.failed == 0


def test_page(tmp_path, monkeypatch, capsys):
    """The network of the page tells latencies, before and after a switch."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "what_when.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.*?)```", text, re.S).group(1), {})
    first, second = capsys.readouterr().out.splitlines()
    p, at, error = (float(x) for x in re.findall(r"[0-9.]+", first))
    assert abs(p - 0.7) < 0.15 and abs(at - 300) < 40 and error < 0.1
    assert abs(float(re.search(r"([0-9]+) ms", second).group(1)) - 450) < 40
