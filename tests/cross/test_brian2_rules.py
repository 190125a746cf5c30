"""Plasticity rules from equations against Brian2, given the same text: weights after random spike trains."""

import numpy as np
import pytest

import plasticity
import snn

b2 = pytest.importorskip("brian2", reason="peers extra not installed")

DT, DELAY, STEPS, N = 0.1, 1.5, 2400, 12
NUMBERS = {"tau_a": 17.0, "tau_b": 34.0, "tau_c": 100.0, "a_plus": 0.02, "a_minus": 0.013, "w_max": 1.0}
SLOPES = {"x": "-x / tau_a", "y": "-y / tau_b", "x2": "-x2 / tau_c", "y2": "-y2 / tau_c", "c": "-c / tau_c",
          "r": "(0.8 - r) / tau_c", "last": "0", "z": "(x - z) / tau_b", "u": "(2 * x + r - 0.3 * y - u) / tau_a",
          "n": "(x + 0.1 * last) / tau_a - n / tau_c"}  # fmt: skip
RULES = {  # variables, on_pre, on_post
    "all pairs": ("x y", "x += a_plus; w = clip(w - y, 0, w_max)", "y += a_minus; w = clip(w + x, 0, w_max)"),
    "read after its own jump": ("x y", "x += a_plus; w = clip(w - y + 0.1 * x, 0, w_max)",
                                "y += 0.5 * a_minus; y2 = y; w = clip(w + x - y, 0, w_max)"),
    "nearest spikes": ("x y", "w = clip(w - y, 0, w_max); x = a_plus", "w = clip(w + x, 0, w_max); y = a_minus"),
    "triplets": ("x y x2 y2", "w = clip(w - a_minus * y * (1 + x2), 0, w_max); x += 1; x2 += 1",
                 "w = clip(w + a_plus * x * (1 + y2), 0, w_max); y += 1; y2 += 1"),
    "eligibility": ("x y c", "x += 1; c -= a_minus * y; w = clip(w + 0.02 * c, 0, w_max)", "y += 1; c += a_plus * x"),
    "resources": ("y r", "w = clip(w - r * y + 0.01, 0, w_max); r = 0.6 * r",
                  "y += a_minus; w = clip(w + 0.4 * a_plus, 0, w_max)"),
    "what one side changes twice": ("x y", "x += a_plus; x = clip(x, 0, 1.5 * a_plus); w = clip(w - 0.5 * y, 0, w_max)",
                                    "y += a_minus; w = clip(w + x, 0, w_max)"),
    "conditions": ("x y", "x += a_plus; w = clip(w - 0.4 * y * int(x > 2 * a_plus), 0, w_max)",
                   "y += a_minus; w = clip(w + x * int(y < 3 * a_minus and w < 0.9), 0, w_max)"),
    "a trace of a trace": ("x y z", "x += a_plus; w = clip(w - y, 0, w_max)",
                           "y += a_minus; w = clip(w + z, 0, w_max)"),
    "variables that others drive": ("x y r u", "x += a_plus; r = 0.6 * r; w = clip(w - 0.1 * u, 0, w_max)",
                                    "y += a_minus; u *= 0.5; w = clip(w + 0.2 * u, 0, w_max)"),
    "driven by one that stays": ("x last n", "x += a_plus; last = w",
                                 "n *= 0.7; w = clip(w + 0.1 * n - 0.02, 0, w_max)"),
    "a variable that stays": ("x y last", "x += a_plus; last = w; w = clip(w - y, 0, w_max)",
                              "y += a_minus; w = clip(w + x + 0.1 * (last - w), 0, w_max)"),
}  # fmt: skip


@pytest.mark.parametrize("case", RULES)
def test_weights_after_spike_trains(case):
    """No two spikes of a synapse meet it in the same step: what comes first then is a convention."""
    rng = np.random.default_rng(3)
    ids = np.repeat(np.arange(N), 30)
    pre = 2 * rng.permuted(np.tile(np.arange(10, STEPS // 2), (N, 1)), axis=1)[:, :30].ravel()
    post = 2 * rng.permuted(np.tile(np.arange(10, STEPS // 2), (N, 1)), axis=1)[:, :30].ravel() - 1
    begin = rng.uniform(0.2, 0.8, N)
    variables, on_pre, on_post = RULES[case]
    variables = [*variables.split(), *(["y2"] if "y2" in on_post and "y2" not in variables.split() else [])]

    text = "\n".join(f"d{x}/dt = {SLOPES[x]} : 1" for x in variables)
    text += "\n" + "\n".join(f"{x} = {value} : {'ms' if 'tau' in x else '1'}" for x, value in NUMBERS.items())
    rule = plasticity.from_equations("Text", text, on_pre=on_pre, on_post=on_post, bounds=(0, "w_max"))
    found = {}
    for engine in ("clock", "event"):
        net = snn.Network()
        a = net.population("a", N, snn.SpikeArray(pre * DT, ids))
        b = net.population("b", N, snn.LIFDelta(tau_m=5.0, e_l=0.0, v_th=1e6, v_reset=0.0, t_ref=0.0))
        net.input("drive", b, snn.SpikeArray(post * DT - DELAY + 3.0, ids), weight=1e9)
        net.connect(
            a, b, snn.one_to_one(), weight=begin, delay=DELAY + 3.0, axonal_delay=3.0, plasticity=rule(), name="p"
        )
        net.record(b)
        sim = snn.Simulation(net, dt=DT, engine=engine, backend="reference")
        assert len(sim.run((STEPS + 100) * DT).spikes["b"]) == post.size
        source, _, w, _ = sim.connections("p")
        found[engine] = w[np.argsort(source)]

    b2.prefs.codegen.target = "numpy"
    b2.start_scope()
    clock = DT * b2.ms
    met = [(steps * DT + 3.0) * b2.ms for steps in (pre, post)]
    groups = [b2.SpikeGeneratorGroup(N, ids, times, dt=clock) for times in met]
    model = "w : 1\n" + "\n".join(f"d{x}/dt = {SLOPES[x]} : 1 (event-driven)" for x in variables if SLOPES[x] != "0")
    model += "".join(f"\n{x} : 1" for x in variables if SLOPES[x] == "0")
    values = {x: value * b2.ms if "tau" in x else value for x, value in NUMBERS.items()}
    lines = {key: value.replace("; ", "\n") for key, value in (("on_pre", on_pre), ("on_post", on_post))}
    synapses = b2.Synapses(*groups, model, **lines, namespace=values, dt=clock)
    synapses.connect(j="i")
    synapses.w = begin
    b2.Network(*groups, synapses).run((STEPS + 100) * DT * b2.ms)
    expected = np.asarray(synapses.w)
    assert np.abs(expected - begin).max() > 0.02 and np.unique(expected).size > N // 2
    for engine, w in found.items():
        np.testing.assert_allclose(w, expected, rtol=1e-9, atol=1e-12, err_msg=engine)
