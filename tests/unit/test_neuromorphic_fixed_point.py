"""Integer networks against a slow twin in NumPy, deliberate mistakes in the kernels, and bad input."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from kernels.errors import ModelError, ShapeError
from neuromorphic import fixed_point, fixed_point_step
from neuromorphic.fixed_point import (
    IntegerLIF,
    IntegerNetwork,
    IntegerProjection,
    IntegerSource,
)
from neuromorphic.fixed_point_step import EXCITATORY, INHIBITORY, MIXED, effective_weights


def stored(weights, bits, mode):
    """Weights as Lava's ``truncate_weights`` defines them, one number after the other, in whole numbers of Python."""
    step = 2 ** (8 - bits + (1 if mode == MIXED else 0))
    out = []
    for w in weights.tolist():
        if mode == INHIBITORY:
            out.append(-(min(max(-w, 0), 255) // step * step))
        else:
            out.append(min(max(w, -256 if mode == MIXED else 0), 255) // step * step)
    return np.array(out, np.int64)


def shift(x, bits):
    return np.sign(x) * (np.abs(x) // 2**bits)


def twin(net, steps):
    """Spikes, u and v of every step as the module's docstring says, with dense matrices and no buffers."""
    spikes = {k: np.zeros((steps + 1, p.n), np.int64) for k, p in (net.populations | net.sources).items()}
    for name, s in net.sources.items():
        inside = s.steps <= steps
        spikes[name][s.steps[inside], s.ids[inside]] = s.values[inside]
    matrices = {}
    for name, p in net.projections.items():
        for d in np.unique(p.delays):
            m = np.zeros((spikes[p.target].shape[1], spikes[p.source].shape[1]), np.int64)
            at = p.delays == d
            m[p.targets[at], p.sources[at]] = stored(p.weights, p.bits, p.sign_mode)[at]
            matrices[name, int(d)] = m
    state = {k: (p.u, p.v) for k, p in net.populations.items()}
    last = {k: np.full(p.n, -99) for k, p in net.populations.items()}  # step of the last spike
    us, vs = ({k: [] for k in net.populations} for _ in range(2))
    for t in range(1, steps + 1):
        for name, n in net.populations.items():
            every = np.maximum(n.reset_interval, 1)
            u, v = (np.where((n.reset_interval > 0) & (t % every == n.reset_offset % every), 0, x) for x in state[name])
            a = np.zeros(n.n, np.int64)
            for (key, d), m in matrices.items():
                p = net.projections[key]
                if p.target == name and t - 1 - d >= 1:
                    a += np.floor_divide(
                        m @ spikes[p.source][t - 1 - d] * 2 ** max(p.exponent, 0), 2 ** max(-p.exponent, 0)
                    )
            u = shift(u * (4095 - n.du), 12) + a * 64
            u = np.where(u > 2**23, u - 2**24, np.where(u <= -(2**23), u + 2**24, u))
            moved = np.clip(shift(v * (4096 - n.dv), 12) + u + n.bias_mant * 2**n.bias_exp, 1 - 2**23, 2**23 - 1)
            v = np.where(t - last[name] > n.refractory, moved, v)
            spikes[name][t] = np.where(v > n.vth * 64, 1, np.where(v < n.vth_lo * 64, -1, 0))
            last[name][spikes[name][t] != 0] = t
            state[name] = u, np.where(spikes[name][t] != 0, np.where(n.subtract == 1, v - n.vth * 64, 0), v)
            us[name].append(u)
            vs[name].append(state[name][1])
    return {k: spikes[k][1:] for k in us}, us, vs


def edge_cases(module):
    """u at 2^23 and -2^23, v at either threshold, weights of which the least is 0."""
    a = module.IntegerLIF(2, du=4095, vth=131071)
    b = module.IntegerLIF(4, bias_mant=[64, 65, -64, -65], vth=3, vth_lo=[module.NEVER] * 2 + [-3] * 2)
    five = module.IntegerSource(5, [3] * 5, range(5))
    top = [254, 254, 254, 254, 8, -256, -256, -256, -256, 0]
    return module.IntegerNetwork(
        {"a": a, "b": b}, {"in": five},
        {"wrap": module.IntegerProjection("in", "a", [*range(5)] * 2, [0] * 5 + [1] * 5, top, exponent=7),
         "zero": module.IntegerProjection("in", "b", [0, 1], [0, 1], [3, 0])},
    )  # fmt: skip


def network(seed, n=12, steps=60, module=fixed_point):
    if seed == 0:
        return edge_cases(module)
    rng = np.random.default_rng(seed)

    def neurons():
        plain = rng.integers(0, 2, n)
        return module.IntegerLIF(
            n, du=rng.choice([0, 300, 4095, rng.integers(0, 4096)], n), dv=rng.choice([0, 100, 4095], n),
            bias_mant=rng.integers(-2000, 4096, n), bias_exp=rng.integers(0, 5, n), vth=rng.integers(0, 3000, n),
            u=rng.integers(1 - 2**20, 2**20, n), v=rng.integers(1 - 2**23, 2**23, n),
            subtract=plain * rng.integers(0, 2, n), refractory=(1 - plain) * rng.choice([0, 1, 2, 7, 63], n),
            vth_lo=np.where(plain == 1, module.NEVER, rng.choice([module.NEVER, -1, 0, -2000], n)),
            reset_interval=rng.choice([0, 0, 1, 7, 16], n), reset_offset=rng.integers(0, 40, n),
        )  # fmt: skip

    def edges(source, target, n_source):
        sources, targets = np.nonzero(rng.random((n_source, n)) < 0.4)
        exponent = int(rng.choice([-6, -1, 0, 2, 7]))
        late = rng.integers(0, rng.choice([1, 4, 63]), len(sources))
        return module.IntegerProjection(
            source, target, sources, targets, rng.integers(-256, 256, len(sources)), late, exponent,
            int(rng.integers(1, 9)), int(rng.integers(0, 4)),
        )  # fmt: skip

    when, which = np.nonzero(rng.random((steps, 5)) < 0.3)
    return module.IntegerNetwork(
        {"a": neurons(), "b": neurons()},
        {"in": module.IntegerSource(5, when + 1, which, rng.choice([1, 1, -1, 9], len(when)))},
        {"in": edges("in", "a", 5), "ab": edges("a", "b", n), "ba": edges("b", "a", n), "aa": edges("a", "a", n)},
    )  # fmt: skip


def differ(net, steps=60):
    """How many spikes, u and v of ``net.run`` are not the twin's."""
    spikes, us, vs = twin(net, steps)
    result = net.run(steps, ["a", "b"])
    count = 0
    for k in ("a", "b"):
        mine = np.zeros_like(spikes[k])
        mine[result.steps[k] - 1, result.ids[k]] = result.values[k]
        count += np.sum(mine != spikes[k]) + np.sum(result.u[k] != us[k]) + np.sum(result.v[k] != vs[k])
    return count, result


@pytest.mark.parametrize("seed", range(30))
def test_networks_equal_their_twin(seed):
    count, _ = differ(network(seed))
    assert count == 0


def test_the_twins_networks_spike_wrap_and_clip():
    results = [differ(network(seed))[1] for seed in range(1, 30)]
    spikes = sum(r.steps[k].size for r in results for k in "ab")
    assert 0.05 < spikes / (29 * 60 * 24) < 0.9
    assert sum(np.sum(r.values[k] == -1) for r in results for k in "ab") > 500
    assert sum(r.wraps[k].sum() for r in results for k in "ab") > 100
    assert sum(r.clips[k].sum() for r in results for k in "ab") > 100


MISTAKES = {
    "du without its offset": ("4095 - du", "4096 - du"),
    "u floors": ("toward_zero(u * (4095 - du), 12)", "(u * (4095 - du) >> 12)"),
    "v floors": ("toward_zero(v * (4096 - dv), 12)", "(v * (4096 - dv) >> 12)"),
    "input shifted by 7": ("a << 6", "a << 7"),
    "no wrap": ("u -= 16777216", "u -= 0"),
    "wrap at 2^23": ("if u > 8388608:", "if u >= 8388608:"),
    "clip below at -2^23": ("max(v, -8388607)", "max(v, -8388608)"),
    "threshold not strict": ("int(v > threshold)", "int(v >= threshold)"),
    "lower threshold not strict": ("int(v < low)", "int(v <= low)"),
    "no sign below": ("int(v > threshold) - int(v < low)", "int(v > threshold) + int(v < low)"),
    "refractory a step less": ("if wait > 0:", "if wait > 1:"),
    "u waits too": ("        wait -= 1\n", "        wait, u = wait - 1, 0\n"),
    "reset a step late": ("(t - neurons.offset[i])", "(t - 1 - neurons.offset[i])"),
    "reset of v alone": ("u, v = 0, 0", "v = 0"),
    "value forgotten": ("links.weights[e] * value[number]) <<", "links.weights[e]) <<"),
    "no reset": ("threshold if subtract else 0", "threshold if subtract else v"),
    "subtracts always": ("threshold if subtract else 0", "threshold"),
    "subtracts its mantissa": ("v - threshold if", "v - (threshold >> 6) if"),
    "exponent on each weight": ("scratch[place] += links.weights[e]", "scratch[place] += links.weights[e] & -2"),
    "delay one less": ("now + links.delays[e]", "now + max(links.delays[e] - 1, 0)"),
    "one slot too few": ("int(max(p.delays, default=0)) + 1", "max(int(max(p.delays, default=0)), 1)"),
    "bias shifted by 6": ("p.bias_mant << p.bias_exp", "p.bias_mant << p.bias_exp << 6"),
    "mixed weights keep a bit": ("8 - bits + (sign_mode == MIXED)", "8 - bits"),
    "inhibition floors": ("-((np.clip(-weights, 0, 255) >> drop) << drop)", "weights >> drop << drop"),
    "buffer not emptied": ("buffer[slot + j] = 0", "buffer[slot + j] = buffer[slot + j]"),
}  # fmt: skip


def mutant(old, new):
    """The network on a step with one expression changed and nothing compiled."""
    text = Path(fixed_point_step.__file__).read_text(encoding="utf-8")
    assert text.count(old) >= 1, f"{old!r} is not in the module"
    step, network = types.ModuleType("mutant_step"), types.ModuleType("mutant")
    sys.modules |= {"mutant_step": step, "mutant": network}  # dataclasses look their module up
    try:
        text = text.replace(old, new).replace("from kernels.jit import jit", "jit = lambda f: f")
        exec(compile(text, "mutant_step", "exec"), step.__dict__)
        text = Path(fixed_point.__file__).read_text(encoding="utf-8")
        assert "from neuromorphic.fixed_point_step import" in text
        text = text.replace("from neuromorphic.fixed_point_step import", "from mutant_step import")
        exec(compile(text, "mutant", "exec"), network.__dict__)
    finally:
        del sys.modules["mutant_step"], sys.modules["mutant"]
    return network


def caught(module):
    for seed in range(30):
        try:
            if differ(network(seed, module=module))[0]:
                return True
        except (IndexError, ZeroDivisionError):
            return True
    return False


def test_the_uncompiled_module_equals_the_twin():
    assert not any(differ(network(seed, module=mutant("jit", "jit")))[0] for seed in range(5))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_caught(mistake):
    assert caught(mutant(*MISTAKES[mistake]))


def test_runs_in_chunks_equal_one_run(monkeypatch):
    net = network(3)
    whole = net.run(60, ["a"])
    monkeypatch.setattr(fixed_point, "CHUNK", 24 * 7)
    parts = net.run(60, ["a"])
    assert whole.steps["b"].size > 30
    for k in "ab":
        assert np.array_equal(whole.steps[k], parts.steps[k]) and np.array_equal(whole.ids[k], parts.ids[k])
    assert np.array_equal(whole.v["a"], parts.v["a"])


def test_weights_as_stored():
    w = np.array([-256, -4, -3, 0, 3, 255])
    assert effective_weights(w, 8, MIXED).tolist() == [-256, -4, -4, 0, 2, 254]
    assert effective_weights(w, 8, EXCITATORY).tolist() == [0, 0, 0, 0, 3, 255]
    assert effective_weights(w, 8, INHIBITORY).tolist() == [-255, -4, -3, 0, 0, 0]
    assert effective_weights(w, 6, INHIBITORY).tolist() == [-252, -4, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("weights", "mode"), [([0, 3], EXCITATORY), ([0, 0], EXCITATORY), ([-1, 0], INHIBITORY), ([-1, 1], MIXED)]
)
def test_the_sign_mode_is_read_from_the_weights(weights, mode):
    assert IntegerProjection("a", "b", [0, 1], [0, 1], weights).sign_mode == mode


def test_one_neuron_by_hand():
    """Input 3 << 6 = 192 in step 2; u halves (du + 1 = 2048), v keeps all; threshold 6 << 6 = 384 is passed never."""
    net = IntegerNetwork(
        {"n": IntegerLIF(1, du=2047, vth=6)}, {"in": IntegerSource(1, [1], [0])},
        {"p": IntegerProjection("in", "n", [0], [0], [3], sign_mode=EXCITATORY)},
    )  # fmt: skip
    result = net.run(10, ["n"])
    assert result.u["n"].ravel().tolist() == [0, 192, 96, 48, 24, 12, 6, 3, 1, 0]
    assert result.v["n"].ravel().tolist() == [0, 192, 288, 336, 360, 372, 378, 381, 382, 382]
    assert result.steps["n"].size == 0


RANGES = {
    "du": (0, 4095), "dv": (0, 4095), "bias_mant": (-4096, 4095), "bias_exp": (0, 7), "vth": (0, 131071),
    "u": (1 - 2**23, 2**23), "v": (1 - 2**23, 2**23 - 1), "refractory": (0, 63), "vth_lo": (-131072, 0),
    "weights": (-256, 255), "delays": (0, 62), "exponent": (-8, 7), "bits": (1, 8), "sign_mode": (0, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", RANGES)
def test_each_register_takes_its_range_and_not_one_more(name):
    def make(x):
        if hasattr(LIF, name):
            return getattr(IntegerLIF(1, **{name: x}), name)
        values = {"weights": 1} | {name: x}
        return getattr(IntegerProjection("a", "b", [0], [0], **values), name)

    low, high = RANGES[name]
    assert make(high) == high and (make(low) == low or name == "sign_mode")
    for x in (low - 1, high + 1):
        with pytest.raises(ModelError, match=rf"\.{name}: must be {low} to {high}; got {x}"):
            make(x)


LIF, SOURCE = IntegerLIF(3), IntegerSource(2, [1], [0])
BAD = {
    "du": (lambda: IntegerLIF(2, du=4096), r"IntegerLIF\.du: must be 0 to 4095; got 4096"),
    "bias": (lambda: IntegerLIF(2, bias_mant=-4097), r"IntegerLIF\.bias_mant: must be -4096 to 4095"),
    "vth": (lambda: IntegerLIF(2, vth=2**17), r"IntegerLIF\.vth: must be 0 to 131071"),
    "vth_lo": (lambda: IntegerLIF(2, vth_lo=1), r"IntegerLIF\.vth_lo: must be -131072 to 0; got 1"),
    "refractory": (lambda: IntegerLIF(2, refractory=64), r"IntegerLIF\.refractory: must be 0 to 63; got 64"),
    "refractory and subtract": (
        lambda: IntegerLIF(2, refractory=1, subtract=[0, 1]),
        r"IntegerLIF\.refractory: needs a reset to 0; got subtract = 1",
    ),
    "ternary and subtract": (
        lambda: IntegerLIF(2, vth_lo=-5, subtract=[0, 1]),
        r"IntegerLIF\.vth_lo: needs a reset to 0; got subtract = 1",
    ),
    "interval": (lambda: IntegerLIF(2, reset_interval=-1), r"IntegerLIF\.reset_interval: must be 0 to"),
    "value 0": (lambda: IntegerSource(2, [1], [0], [0]), r"IntegerSource\.values: must not be 0"),
    "float": (lambda: IntegerLIF(2, dv=0.5), r"IntegerLIF\.dv: must be integers"),
    "shape": (lambda: IntegerLIF(2, dv=[1, 2, 3]), r"IntegerLIF\.dv: must be integers, one or 2"),
    "n": (lambda: IntegerLIF(0), r"IntegerLIF\.n: must be an integer >= 1"),
    "source n 2.5": (lambda: IntegerSource(2.5, [1], [0]), r"IntegerSource\.n: must be an integer >= 1; got 2\.5"),
    "source n True": (lambda: IntegerSource(True, [1], [0]), r"IntegerSource\.n: must be an integer >= 1; got True"),
    "source n 0": (lambda: IntegerSource(0, [], []), r"IntegerSource\.n: must be an integer >= 1; got 0"),
    "source n text": (lambda: IntegerSource("2", [1], [0]), r"IntegerSource\.n: must be an integer >= 1; got '2'"),
    "third": (
        lambda: IntegerProjection("a", "b", [0], [0], [1], third="no"),
        r"IntegerProjection\.third: must be True or False; got 'no'",
    ),
    "weights of none": (lambda: IntegerProjection("a", "b", [0], [0], []), r"IntegerProjection\.weights: must be int"),
    "step 0": (lambda: IntegerSource(2, [0], [0]), r"IntegerSource\.steps: must be 1 to"),
    "id": (lambda: IntegerSource(2, [1], [2]), r"IntegerSource\.ids: must be 0 to 1"),
    "twice": (lambda: IntegerSource(2, [4, 4], [1, 1]), r"IntegerSource\.ids: .*at most once"),
    "weight": (lambda: IntegerProjection("a", "b", [0], [0], [256]), r"IntegerProjection\.weights: must be -256 to"),
    "delay": (lambda: IntegerProjection("a", "b", [0], [0], [1], 63), r"IntegerProjection\.delays: must be 0 to 62"),
    "bits": (lambda: IntegerProjection("a", "b", [0], [0], [1], bits=9), r"IntegerProjection\.bits: must be 1 to 8"),
    "pair": (lambda: IntegerProjection("a", "b", [0, 0], [1, 1], [1, 2]), r"IntegerProjection\.targets: .*pair twice"),
    "empty": (lambda: IntegerNetwork({}, {}, {}), r"IntegerNetwork\.populations: .*at least one"),
    "name": (lambda: IntegerNetwork({"a": LIF}, {"a": SOURCE}, {}), r"IntegerNetwork\.sources: .*'a'"),
    "unknown": (
        lambda: IntegerNetwork({"a": LIF}, {}, {"p": IntegerProjection("x", "a", [0], [0], [1])}),
        r"IntegerNetwork\.projections\['p'\]: source must be .*'x'",
    ),
    "range": (
        lambda: IntegerNetwork({"a": LIF}, {}, {"p": IntegerProjection("a", "a", [0], [3], [1])}),
        r"IntegerNetwork\.projections\['p'\]\.targets: must be < 3; got 3",
    ),
    "steps": (lambda: IntegerNetwork({"a": LIF}, {}, {}).run(0), r"IntegerNetwork\.run\.steps: .*>= 1; got 0"),
    "record": (lambda: IntegerNetwork({"a": LIF}, {}, {}).run(5, ["b"]), r"IntegerNetwork\.run\.record: .*'b'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case):
    make, text = BAD[case]
    with pytest.raises((ModelError, ShapeError), match=text):
        make()


def test_lists_may_be_empty():
    source, joined = IntegerSource(2, [], []), IntegerProjection("in", "n", [], [], [])
    run = IntegerNetwork({"n": IntegerLIF(3, bias_mant=20, vth=1)}, {"in": source}, {"p": joined}).run(4)
    assert source.steps.dtype == joined.weights.dtype == np.int64 and run.steps["n"].tolist() == [4, 4, 4]


def test_u_beyond_32_bits_is_recorded_as_it_is():
    """u wraps once: 5000 spikes of 255 << 7 leave 5000 (255 << 13) - 2^24, which is above 2^31."""
    n = 5000
    sources = {"in": IntegerSource(n, [1] * n, range(n))}
    joined = {"p": IntegerProjection("in", "n", range(n), [0] * n, [255] * n, exponent=7)}
    run = IntegerNetwork({"n": IntegerLIF(1)}, sources, joined).run(2, ["n"])
    assert run.u["n"].ravel().tolist() == [0, n * (255 << 13) - 2**24] and run.u["n"][1, 0] > 2**31
    assert run.wraps["n"].tolist() == [1] and run.clips["n"].tolist() == [1]
