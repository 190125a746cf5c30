"""Neuron models against analytic results and other integrators; their bounds and rules."""

import itertools
import math
import re

import numpy as np
import pytest
from scipy.integrate import quad, solve_ivp
from scipy.stats import binom, norm

import snn.neurons as neurons
from kernels.errors import ModelError
from snn.neurons.base import MODELS, Values

BUILT_IN = [MODELS[name] for name in neurons.__all__]


# --- rates ---


@pytest.mark.parametrize("model", [m for m in BUILT_IN if m.spec.rate], ids=lambda m: m.__name__)
@pytest.mark.parametrize("fraction", [0.5, 1.02, 1.5, 4.0])
def test_rate_is_the_f_i_curve(model, fraction, simulate):
    dt, steps = 0.05, 20_000
    params = model().params
    rheobases = {neurons.IF: 0.03, neurons.NIRCubaLIF: 1.0, neurons.QIF: 0.7 * 10.0**2}
    if model in rheobases:
        current = rheobases[model] * fraction
    else:
        rheobase = params.get("g_l", params["c_m"] / params.get("tau_m", 1.0)) * (params["v_th"] - params["e_l"])
        current = fraction * rheobase
    _, fired = simulate(model, dt, steps, {"i_stim": current})
    rate = float(model.spec.rate(current, **params))
    intervals = np.diff(np.flatnonzero(fired)) * dt
    if model is neurons.IF:  # what is above threshold is kept, so the mean is exact and only the count is whole
        assert abs(fired.sum() - rate * steps * dt / 1000.0) <= 1.0
        assert rate > 0
    elif fraction < 1.0:
        assert rate == 0.0
        assert not fired.any()
    else:  # each interval is rounded up to the grid, from the same reset
        assert len(intervals) > (1 if model is neurons.QIF else 5)  # slow near its saddle-node
        assert np.ptp(intervals) < 1e-9
        assert -1e-6 < intervals[0] - 1000.0 / rate < dt


def test_rate_takes_arrays_and_is_zero_at_the_rheobase():
    p = neurons.LIFExp().params
    rates = neurons.LIFExp.spec.rate(np.array([-1e4, 375.0, 375.1, 750.0]), **p)
    assert rates[0] == rates[1] == 0.0
    assert 0.0 < rates[2] < rates[3] == pytest.approx(1000.0 / (2.0 + 10.0 * math.log(2.0)))


# --- postsynaptic potentials ---

TAUS = [(10.0, 2.0), (10.0, 10.0), (10.0, 10.0 + 1e-9), (10.0, 30.0), (0.5, 20.0), (20.0, 0.05), (1e-3, 5.0)]


def psp(shape, times, tau_m, c_m):
    """v(t) - e_l after a current ``shape`` of 1 pA from t = 0, by quadrature of its convolution with the membrane."""

    def integral(t):
        edges = t - np.minimum(t, tau_m * np.array([45.0, 10.0, 3.0, 1.0, 0.0]))
        kernel = [
            quad(lambda s: shape(s) * math.exp(-(t - s) / tau_m), *e, epsabs=0) for e in itertools.pairwise(edges)
        ]
        return sum(k[0] for k in kernel)

    return np.array([integral(t) for t in times]) / c_m


@pytest.mark.parametrize(("tau_m", "tau_syn"), TAUS)
@pytest.mark.parametrize("sign", ["ex", "in"])
@pytest.mark.parametrize("model", [neurons.LIFExp, neurons.LIFAlpha])
def test_psp_is_exact_for_every_ratio_of_time_constants(model, sign, tau_m, tau_syn, simulate):
    dt, weight = 0.1, 1.0 if sign == "ex" else -1.0
    pulse = np.zeros(400)
    pulse[9] = weight  # arrives at t = 10 dt
    params = {"tau_m": tau_m, f"tau_syn_{sign}": tau_syn}
    trace, _ = simulate(model, dt, 400, {f"arrive_{sign}": pulse}, **params)
    at = np.array([10, 11, 15, 30, 100, 399])
    if model is neurons.LIFExp:
        expected = psp(lambda s: math.exp(-s / tau_syn), (at - 9) * dt, tau_m, 250.0)
    else:
        expected = psp(lambda s: math.e * s / tau_syn * math.exp(-s / tau_syn), (at - 9) * dt, tau_m, 250.0)
    np.testing.assert_allclose(trace["v"][at] + 70.0, weight * expected, rtol=1e-7, atol=3e-13)


def test_alpha_peaks_with_the_weight_after_tau_syn(simulate):
    pulse = np.zeros(100)
    pulse[0] = 3.0
    current, _ = simulate(neurons.LIFAlpha, 0.1, 100, {"arrive_ex": pulse})
    conductance, _ = simulate(neurons.LIFCondAlpha, 0.1, 100, {"arrive_in": -pulse})
    for trace in (current["i_ex"], conductance["g_in"]):
        assert trace.argmax() == 20  # 2 ms after the end of step 0
        assert trace.max() == pytest.approx(3.0, rel=1e-12)


# --- order of convergence between spikes, against DOP853 with rtol = 1e-12 ---

RK4 = {
    "LIFCondExp": (
        {"tau_syn_ex": 2.0, "tau_syn_in": 5.0},
        {"g_ex": 15.0, "g_in": 30.0, "v": -68.0},
        100.0,
        lambda v, g, h, i: [
            (-16.6667 * (v + 70) - g * v - h * (v + 85) + i) / 250,
            -g / 2,
            -h / 5,
        ],
        ("v", "g_ex", "g_in"),
    ),
    "LIFCondAlpha": (
        {"tau_syn_ex": 2.0, "tau_syn_in": 5.0},
        {"dg_ex": 15.0, "dg_in": 30.0, "v": -68.0},
        100.0,
        lambda v, g, dg, h, dh, i: [
            (-16.6667 * (v + 70) - g * v - h * (v + 85) + i) / 250,
            dg - g / 2,
            -dg / 2,
            dh - h / 5,
            -dh / 5,
        ],
        ("v", "g_ex", "dg_ex", "g_in", "dg_in"),
    ),
    "LIFCondNMDA": (
        {"tau_syn_nmda": 20.0, "conc_mg2": 1.5},
        {"g_ex": 15.0, "g_in": 30.0, "g_nmda": 100.0, "v": -68.0},
        100.0,
        lambda v, g, h, m, i: [
            (-25 * (v + 70) - (g + m / (1 + 1.5 * np.exp(-0.062 * v) / 3.57)) * v - h * (v + 70) + i) / 500,
            -g / 2,
            -h / 5,
            -m / 20,
        ],
        ("v", "g_ex", "g_in", "g_nmda"),
    ),
    "AdExCondExp": (
        {"tau_syn_ex": 2.0, "tau_syn_in": 5.0, "tau_w": 10.0},
        {"g_ex": 50.0, "g_in": 30.0, "v": -60.0, "w": 20.0},
        300.0,
        lambda v, w, g, h, i: [
            (-30 * (v + 70.6) + 60 * np.exp((v + 50.4) / 2) - g * v - h * (v + 85) - w + i) / 281,
            (4 * (v + 70.6) - w) / 10,
            -g / 2,
            -h / 5,
        ],
        ("v", "w", "g_ex", "g_in"),
    ),
    "AdExPscExp": (
        {"tau_syn_ex": 2.0, "tau_syn_in": 5.0, "tau_w": 10.0},
        {"i_ex": 1500.0, "i_in": -700.0, "v": -60.0, "w": 20.0},
        300.0,
        lambda v, w, e, h, i: [
            (-30 * (v + 70.6) + 60 * np.exp((v + 50.4) / 2) + e + h - w + i) / 281,
            (4 * (v + 70.6) - w) / 10,
            -e / 2,
            -h / 5,
        ],
        ("v", "w", "i_ex", "i_in"),
    ),
    "AdExClopath": (
        {"tau_w": 10.0, "tau_v_th": 5.0, "tau_z": 3.0},
        {"z": 600.0, "v": -60.0, "w": 20.0, "v_t": -45.0},
        300.0,
        lambda v, w, z, s, i: [
            (-30 * (v + 70.6) + 60 * np.exp((v - s) / 2) + z - w + i) / 281,
            (4 * (v + 70.6) - w) / 10,
            -z / 3,
            (-50.4 - s) / 5,
        ],
        ("v", "w", "z", "v_t"),
    ),
    "Izhikevich2007": (
        {"tau_syn_ex": 2.0, "tau_syn_in": 5.0},
        {"i_ex": 300.0, "i_in": -100.0, "v": -55.0, "u_m": 10.0},
        50.0,
        lambda v, u, e, h, i: [
            (0.7 * (v + 60) * (v + 40) - u + e + h + i) / 100,
            0.03 * (-2 * (v + 60) - u),
            -e / 2,
            -h / 5,
        ],
        ("v", "u_m", "i_ex", "i_in"),
    ),
}


def errors(simulate, constants, model, steps_per_ms, duration, params, init, current, slope, names):
    """Largest error of v at every millisecond, for each number of steps per ms."""
    start = constants(model, 1.0, **params)
    y0 = [init.get(s.name, start[s.init] if isinstance(s.init, str) else s.init) for s in model.spec.state]
    y0 = [y for s, y in zip(model.spec.state, y0, strict=True) if s.name in names]
    at = np.arange(1, duration + 1)
    truth = solve_ivp(
        lambda t, y: slope(*y, current), (0, duration), y0, "DOP853", t_eval=at, rtol=1e-12, atol=1e-12
    ).y[0]
    result = []
    for n in steps_per_ms:
        trace, fired = simulate(model, 1.0 / n, n * duration, {"i_stim": current}, init, **params)
        result.append(np.abs(trace["v"][n - 1 :: n] - truth).max())
    return np.array(result), fired, truth


@pytest.mark.parametrize("name", RK4)
def test_runge_kutta_has_order_4_between_spikes(name, simulate, constants):
    params, init, current, slope, names = RK4[name]
    error, fired, truth = errors(
        simulate, constants, MODELS[name], (5, 10, 20), 10, params, init, current, slope, names
    )
    assert not fired.any()
    assert np.ptp(truth) > 1.0
    orders = np.log2(error[:-1] / error[1:])
    assert orders.min() > 3.5
    assert error[1] < 1e-5  # mV at dt = 0.1 ms


def traub(v, m, h, n, i):
    x = v + 63.0
    a_m, b_m = 0.32 * (13 - x) / np.expm1((13 - x) / 4), 0.28 * (x - 40) / np.expm1((x - 40) / 5)
    a_h, b_h = 0.128 * np.exp((17 - x) / 18), 4 / (1 + np.exp((40 - x) / 5))
    a_n, b_n = 0.032 * (15 - x) / np.expm1((15 - x) / 5), 0.5 * np.exp((10 - x) / 40)
    dv = (-20000 * m**3 * h * (v - 50) - 6000 * n**4 * (v + 90) - 10 * (v + 60) + i) / 200
    return [dv, a_m - (a_m + b_m) * m, a_h - (a_h + b_h) * h, a_n - (a_n + b_n) * n]


def test_hodgkin_huxley_has_order_2_through_spikes(simulate, constants):
    # from 40 steps per ms on there is one substep a step; two spikes in 20 ms
    error, fired, truth = errors(
        simulate, constants, neurons.HodgkinHuxley, (40, 80, 160), 20, {}, {}, 500.0, traub, ("v", "m", "h", "n")
    )
    assert truth.max() > 0.0
    assert fired.sum() == 2
    orders = np.log2(error[:-1] / error[1:])
    assert orders.min() > 1.8


def test_hodgkin_huxley_interval_at_large_steps(simulate):
    # the substep bounds the error of the interval, whatever dt
    truth = solve_ivp(
        lambda t, y: traub(*y, 500.0), (0, 200), [-60.0, *(s.init for s in neurons.HodgkinHuxley.spec.state[1:4])],
        "DOP853", rtol=1e-10, atol=1e-10, events=lambda t, y: y[0] - 0.0,
    )  # fmt: skip
    ups = truth.t_events[0][::2]
    for dt in (0.1, 0.5):
        _, fired = simulate(neurons.HodgkinHuxley, dt, round(200 / dt), {"i_stim": 500.0})
        times = np.flatnonzero(fired) * dt
        assert len(times) == len(ups)
        mean, expected = np.diff(times).mean(), np.diff(ups).mean()
        assert mean == pytest.approx(expected, abs=0.002 * expected + dt / (len(ups) - 1))


def test_hodgkin_huxley_gates_start_at_their_steady_state():
    start = [s.init for s in neurons.HodgkinHuxley.spec.state[1:4]]
    np.testing.assert_allclose(traub(-60.0, *start, 0.0)[1:], 0.0, atol=1e-5)


def test_hodgkin_huxley_survives_absurd_input(simulate):
    trace, _ = simulate(neurons.HodgkinHuxley, 0.1, 200, {"i_stim": np.repeat([1e7, -1e7], 100)})
    assert all(np.isfinite(x).all() for x in trace.values())
    assert trace["v"].max() > 1000.0 > -1000.0 > trace["v"].min()  # far beyond where the rates are bounded


@pytest.mark.parametrize("name", ["AdExCondExp", "AdExPscExp", "Izhikevich2007"])
def test_upstroke_stays_finite(name, simulate):
    model = MODELS[name]
    v_peak, v_reset = model().params["v_peak"], model().params["c" if name == "Izhikevich2007" else "v_reset"]
    trace, fired = simulate(model, 0.1, 3000, {"i_stim": 3000.0})
    assert fired.sum() > 10
    assert all(np.isfinite(x).all() for x in trace.values())
    assert (trace["v"][fired] == v_reset).all()
    assert trace["v"].max() < v_peak


@pytest.mark.parametrize("name", ["AdExCondExp", "AdExPscExp"])
def test_adex_refractory_holds_v_while_w_decays(name, simulate):
    trace, fired = simulate(MODELS[name], 0.1, 1000, {"i_stim": 1500.0}, t_ref=3.0)
    spike = np.flatnonzero(fired)[0]
    held = slice(spike, spike + 31)
    assert (trace["v"][held] == -60.0).all()
    assert trace["v"][spike + 31] != -60.0
    # tau_w dw/dt = a (v_reset - e_l) - w has a closed form while v is held
    w, w_inf = trace["w"][held], 4.0 * (-60.0 + 70.6)
    np.testing.assert_allclose(w, w_inf + (w[0] - w_inf) * np.exp(-0.1 * np.arange(31) / 144.0), rtol=1e-12)


def test_adex_clopath_after_a_spike(simulate):
    """v is clamped and w held for t_clamp, then v is reset; z and the threshold jump and decay exactly."""
    trace, fired = simulate(neurons.AdExClopath, 0.1, 400, {"i_stim": 900.0}, b=7.0)
    spike = np.flatnonzero(fired)[0]
    after = np.arange(spike, spike + 20)
    assert (trace["v"][after] == 33.0).all() and trace["v"][spike + 20] == -60.0
    assert np.ptp(trace["w"][spike : spike + 21]) == 0.0
    without, _ = simulate(neurons.AdExClopath, 0.1, 400, {"i_stim": 900.0}, b=0.0)
    assert trace["w"][spike] - without["w"][spike] == pytest.approx(7.0, rel=1e-12)
    s = np.arange(100) * 0.1
    np.testing.assert_allclose(trace["z"][spike : spike + 100], 400.0 * np.exp(-s / 40.0), rtol=1e-12)
    np.testing.assert_allclose(trace["v_t"][spike : spike + 100], -50.4 + 80.8 * np.exp(-s / 50.0), rtol=1e-12)
    pulse = np.zeros(400)
    pulse[spike + 5] = 10.0  # lost
    again, _ = simulate(neurons.AdExClopath, 0.1, 400, {"i_stim": 900.0, "arrive_syn": pulse}, b=7.0)
    np.testing.assert_array_equal(again["v"], trace["v"])


# --- Izhikevich 2003 ---


def test_izhikevich_network_repeats_the_published_script():
    # the script's update, vectorised: reset, add S(:,fired) to I, two half steps of v, then u
    rng = np.random.default_rng(7)
    n_e, n_i, steps = 80, 20, 150
    r_e, r_i = rng.random(n_e), rng.random(n_i)
    a = np.r_[np.full(n_e, 0.02), 0.02 + 0.08 * r_i]
    b = np.r_[np.full(n_e, 0.2), 0.25 - 0.05 * r_i]
    c = np.r_[-65 + 15 * r_e**2, np.full(n_i, -65.0)]
    d = np.r_[8 - 6 * r_e**2, np.full(n_i, 2.0)]
    weights = np.c_[5.0 * rng.random((n_e + n_i, n_e)), -10.0 * rng.random((n_e + n_i, n_i))]
    noise = rng.standard_normal((steps, n_e + n_i)) * np.r_[np.full(n_e, 5.0), np.full(n_i, 2.0)]

    v, u = np.full(n_e + n_i, -65.0), b * -65.0
    script_v, script_fired = [], []
    for t in range(steps):
        fired = v >= 30
        script_fired.append(fired)
        v = np.where(fired, c, v)
        u = np.where(fired, u + d, u)
        script_v.append(v)
        current = noise[t] + weights[:, fired].sum(axis=1)
        v = v + 0.5 * (0.04 * v**2 + 5 * v + 140 - u + current)
        v = v + 0.5 * (0.04 * v**2 + 5 * v + 140 - u + current)
        u = u + a * (b * v - u)

    step = neurons.Izhikevich.spec.step
    ours = [(-65.0, x * -65.0) for x in b]
    fired = np.zeros(n_e + n_i, dtype=bool)
    for t in range(steps):
        # a spike at the end of the last step, with a delay of one step, arrives in this one
        np.testing.assert_array_equal(fired, script_fired[t])
        np.testing.assert_allclose([x[0] for x in ours], script_v[t], rtol=0, atol=1e-6)
        arrive = weights[:, fired].sum(axis=1)
        out = [
            step(*ours[i], 0.0, arrive[i], noise[t, i], 0.0, a[i], b[i], c[i], d[i], 30.0, 0.0, 1.0, 0.5)
            for i in range(n_e + n_i)
        ]
        ours = [x[:2] for x in out]
        fired = np.array([x[2] for x in out])
    assert np.sum(script_fired) > 50


def test_izhikevich_receptor_syn_moves_v(simulate):
    pulse = np.zeros(5)
    pulse[2] = 7.0
    for scheme in (0.0, 1.0):
        with_pulse, _ = simulate(neurons.Izhikevich, 0.1, 5, {"arrive_syn": pulse}, consistent_integration=scheme)
        without, _ = simulate(neurons.Izhikevich, 0.1, 5, consistent_integration=scheme)
        difference = with_pulse["v"] - without["v"]
        assert (difference[:2] == 0).all()
        assert difference[2] == pytest.approx(7.0, rel=1e-12)
        assert with_pulse["u_m"][2] == without["u_m"][2]


@pytest.mark.parametrize(
    ("a", "c", "d", "until"),  # [1/ms], [mV], [mV/ms], [ms]; bursts end in one that never does where dt is so small
    [(-0.02, -60.0, 8.0, 350.0), (-0.026, -45.0, -2.0, 110.0)],
    ids=["inhibition-induced spiking", "inhibition-induced bursting"],
)
def test_izhikevich_patterns_with_negative_a(a, c, d, until, simulate):
    """Two of the twenty of Izhikevich 2004, beside Euler's scheme by itself: silent unless inhibited."""
    dt, b, v, u, expected = 0.1, -1.0, -63.8, 63.8, []
    times = np.arange(round(until / dt)) * dt
    current = np.where((times < 50.0) | (times > 250.0), 80.0, 75.0)
    for i in current:
        v, u = v + dt * (0.04 * v * v + 5 * v + 140 - u + i), u + dt * a * (b * v - u)
        expected.append(v >= 30.0)
        v, u = (c, u + d) if expected[-1] else (v, u)
    start, params = {"v": -63.8, "u_m": 63.8}, {"a": a, "b": b, "c": c, "d": d}
    _, fired = simulate(neurons.Izhikevich, dt, len(times), {"i_stim": current}, start, **params)
    np.testing.assert_array_equal(fired, expected)
    assert fired.sum() > 3 and times[fired].min() > 50.0 and times[fired].max() < 260.0


def test_izhikevich_2007_with_negative_a(simulate):
    params = {"a": -0.01, "b": -2.0, "i_e": -20.0}
    trace, fired = simulate(neurons.Izhikevich2007, 0.05, 1000, init={"u_m": 5.0}, **params)
    truth = solve_ivp(
        lambda t, y: [(0.7 * (y[0] + 60) * (y[0] + 40) - y[1] - 20) / 100, -0.01 * (-2 * (y[0] + 60) - y[1])],
        (0, 50), [-60.0, 5.0], "DOP853", rtol=1e-11, atol=1e-11, t_eval=0.05 * np.arange(1, 1001),
    )  # fmt: skip
    assert not fired.any()
    np.testing.assert_allclose([trace["v"], trace["u_m"]], truth.y, rtol=0, atol=1e-6)


def test_izhikevich_2007_regular_spiking_cell(simulate):
    # the fixed points meet where 0.7 x^2 - 12 x + I has a double root: the rheobase is 144 / 2.8 = 51.4 pA
    assert not simulate(neurons.Izhikevich2007, 0.1, 10_000, {"i_stim": 51.0})[1].any()
    assert simulate(neurons.Izhikevich2007, 0.1, 10_000, {"i_stim": 54.0})[1].any()
    # well above it the cell adapts
    intervals = np.diff(np.flatnonzero(simulate(neurons.Izhikevich2007, 0.1, 3000, {"i_stim": 300.0})[1]))
    assert len(intervals) > 8
    assert intervals[-1] > 1.3 * intervals[0]


# --- escape noise ---

ALPHA = 1e-4  # family-wise, over the tests of this section; each of the 5 comparisons gets a fifth of it (Bonferroni)


@pytest.mark.parametrize("over", [-2.0, 0.0, 2.0, 4.0])
def test_gif_fires_with_its_escape_rate(over, simulate):
    # v is held at e_l = v_reset, so each step is a Bernoulli trial with p = 1 - exp(-rho dt)
    steps, dt = 20_000, 0.5
    u = np.random.default_rng(int(over) + 10).random(steps)
    _, fired = simulate(
        neurons.GIF, dt, steps, {"u": u}, t_ref=0.0, v_reset=-70.0, v_t_star=-70.0 - over, delta_v=2.0, lambda_0=100.0
    )
    p = 1.0 - math.exp(-0.1 * math.exp(over / 2.0) * dt)
    count = fired.sum()
    p_value = 2.0 * min(binom.cdf(count, steps, p), binom.sf(count - 1, steps, p))
    assert p_value > ALPHA / 5


def test_gif_intervals_follow_the_hazard_along_the_trajectory(simulate):
    # renewal process: P(interval > k) = prod (1 - p_j) along v(t) from the reset; the mean of many is normal
    dt, steps, current = 0.1, 60_000, 150.0
    u = np.random.default_rng(11).random(steps)
    p = {"v_reset": -60.0, "t_ref": 2.0, "delta_v": 3.0, "lambda_0": 20.0, "v_t_star": -45.0}
    _, fired = simulate(neurons.GIF, dt, steps, {"u": u, "i_stim": current}, **p)
    intervals = np.diff(np.flatnonzero(fired))
    t = dt * np.arange(1, 20_000)
    v = -70.0 + current / 4.0 + (-60.0 + 70.0 - current / 4.0) * np.exp(-t * 4.0 / 80.0)
    chance = -np.expm1(-0.02 * dt * np.exp((v + 45.0) / 3.0))
    law = chance * np.r_[1.0, np.cumprod(1.0 - chance)[:-1]]
    k = np.arange(1, len(t) + 1)
    mean = (law * k).sum()
    deviation = math.sqrt((law * (k - mean) ** 2).sum())
    assert law.sum() == pytest.approx(1.0)
    z = (intervals.mean() - 20 - mean) / (deviation / math.sqrt(len(intervals)))  # 20 refractory steps
    assert len(intervals) > 200
    assert abs(z) < norm.isf(ALPHA / 5 / 2)


def test_gif_adaptation_is_the_papers_update(simulate):
    # current and threshold jump at a spike and decay; v by an independent solver between the grid points
    dt, steps = 0.5, 800
    rng = np.random.default_rng(6)
    u, pulse = rng.random(steps), np.where(rng.random(steps) < 0.1, 60.0, 0.0)
    p = {"q_stc": 20.0, "tau_stc": 30.0, "q_sfa": 5.0, "tau_sfa": 60.0, "lambda_0": 50.0, "delta_v": 2.0, "t_ref": 1.0}
    trace, fired = simulate(neurons.GIF, dt, steps, {"u": u, "arrive_ex": pulse, "i_stim": 300.0}, **p)
    v, i, stc, sfa, wait = -70.0, 0.0, 0.0, 0.0, 0
    nodes, gauss = np.polynomial.legendre.leggauss(12)
    s = 0.5 * dt * (nodes + 1.0)
    for k in range(steps):
        if wait == 0:
            drive = 300.0 + i * np.exp(-s / 2.0) - stc * np.exp(-s / 30.0)
            v = (
                -70.0
                + (v + 70.0) * np.exp(-dt / 20.0)
                + 0.5 * dt * (gauss * drive * np.exp(-(dt - s) / 20.0)).sum() / 80.0
            )
        i, stc, sfa = i * np.exp(-dt / 2.0) + pulse[k], stc * np.exp(-dt / 30.0), sfa * np.exp(-dt / 60.0)
        rho = 0.05 * np.exp((v + 35.0 - sfa) / 2.0)
        spike = wait == 0 and u[k] < 1.0 - np.exp(-rho * dt)
        assert fired[k] == spike
        wait = 2 if spike else max(wait - 1, 0)
        if spike:
            v, stc, sfa = -55.0, stc + 20.0, sfa + 5.0
        np.testing.assert_allclose(
            [trace[x][k] for x in ("v", "i_ex", "i_stc", "e_sfa")], [v, i, stc, sfa], rtol=0, atol=1e-9
        )
    assert fired.sum() > 10


# --- constants of arrays, refractory period, bounds and rules ---


@pytest.mark.parametrize("model", [m for m in BUILT_IN if m.spec.derived], ids=lambda m: m.__name__)
def test_constants_of_arrays_are_those_of_their_entries(model, constants):
    factors = (1.0, 1.1, 0.95)
    choices = ("consistent_integration", "reset", "reset_mechanism")
    varied = [p.name for p in model.spec.params if p.name not in choices]
    entries = [constants(model, 0.1, **{k: x * model().params[k] for k in varied}) for x in factors]
    values = {k: np.array([e[k] for e in entries]) for k in model().params}
    for constant in model.spec.derived:
        values[constant.name] = constant.compute(Values(values), 0.1)
        expected = [e[constant.name] for e in entries]
        np.testing.assert_allclose(np.broadcast_to(values[constant.name], 3), expected, rtol=1e-13)


@pytest.mark.parametrize("model", [m for m in BUILT_IN if m.spec.refractory], ids=lambda m: m.__name__)
def test_no_spike_within_the_refractory_period(model, simulate):
    huge = 1e5 if model.spec.current_unit == "pA" else 100.0
    inputs = {"i_stim": huge} if "i_stim" in model.spec.arguments else {}
    if "u" in model.spec.arguments:
        inputs["u"] = 1e-9
    _, fired = simulate(model, 0.1, 2000, inputs, t_ref=1.5)
    intervals = np.diff(np.flatnonzero(fired))
    if model is neurons.HodgkinHuxley:  # a depolarisation block; its spikes come of themselves later than t_ref
        assert (intervals > 15).all()
    else:  # held or silent for 15 steps, fires in the 16th
        assert len(intervals) > 50
        assert (intervals == 16).all()


BOUNDS = [
    pytest.param(model, param, value, id=f"{model.__name__}-{param.name}-{value:g}")
    for model in BUILT_IN
    for param in model.spec.params
    for value in (
        *([param.gt, param.gt - 1.0] if param.gt is not None else []),
        *([param.ge - 1e-9] if param.ge is not None else []),
        *([param.lt, param.lt + 1.0] if param.lt is not None else []),
        *([param.le + 1e-9] if param.le is not None else []),
        math.nan,
        math.inf,
    )
]


@pytest.mark.parametrize(("model", "param", "value"), BOUNDS)
def test_every_bound_is_enforced(model, param, value):
    name = f"{model.__name__}.{param.name}: "
    with pytest.raises(ModelError, match=re.escape(name)):
        model(**{param.name: value})
    with pytest.raises(ModelError, match=re.escape(name)):
        model(**{param.name: np.array([param.default, value])})


BROKEN = [
    (neurons.LIFDelta, {"v_reset": -55.0}, "v_reset"),
    (neurons.LIFExp, {"v_reset": -55.0}, "v_reset"),
    (neurons.LIFAlpha, {"v_reset": -55.0}, "v_reset"),
    (neurons.LIFCondExp, {"v_reset": -55.0}, "v_reset"),
    (neurons.ALIFCondExp, {"v_reset": -55.0}, "v_reset"),
    (neurons.LIFCondAlpha, {"v_th": np.array([-55.0, -60.0])}, "v_reset"),
    (neurons.LIFCondNMDA, {"v_reset": -50.0}, "v_reset"),
    (neurons.Izhikevich, {"c": 30.0}, "c"),
    (neurons.Izhikevich, {"consistent_integration": 0.5}, "consistent_integration"),
    (neurons.Izhikevich2007, {"c": 35.0}, "c"),
    (neurons.Izhikevich2007, {"v_t": 35.0}, "v_t"),
    *[
        case
        for model in (neurons.AdExCondExp, neurons.AdExPscExp)
        for case in (
            (model, {"v_reset": 0.0}, "v_reset"),
            (model, {"delta_t": 0.0, "v_reset": -50.0}, "v_reset"),
            (model, {"v_th": 1.0}, "v_th"),
            (model, {"delta_t": 0.05}, "delta_t"),
        )
    ],
    (neurons.AdExClopath, {"v_reset": 33.0}, "v_reset"),
    (neurons.AdExClopath, {"delta_t": 0.1}, "delta_t"),
    (neurons.AdExClopath, {"v_th_max": -51.0}, "v_th_max"),
    (neurons.HodgkinHuxley, {"e_k": 50.0}, "e_k"),
    (neurons.CubaLIF, {"reset": 0.5}, "reset"),
    (neurons.CubaLIF, {"v_reset": 1.5}, "v_reset"),
    (neurons.CubaLIF, {"reset": 1.0, "v_th": 0.0}, "v_th"),
    (neurons.Leaky, {"reset_mechanism": 2.5}, "reset_mechanism"),
    (neurons.Leaky, {"reset_delay": 0.5}, "reset_delay"),
    (neurons.Synaptic, {"reset_mechanism": 1.5}, "reset_mechanism"),
    (neurons.Synaptic, {"reset_delay": np.array([1.0, 0.5])}, "reset_delay"),
    (neurons.Alpha, {"alpha": 0.8}, "alpha"),
    (neurons.Alpha, {"reset_mechanism": 0.5}, "reset_mechanism"),
    (neurons.SignedIF, {"sign": 0.0}, "sign"),
    (neurons.ResonateAndFire, {"v_reset": 1.5}, "v_reset"),
    (neurons.NIRCubaLIF, {"v_reset": 1.0}, "v_reset"),
    (neurons.QIF, {"e_l": -39.0}, "e_l"),
    (neurons.QIF, {"v_t": 35.0}, "v_t"),
    (neurons.QIF, {"v_reset": 35.0}, "v_reset"),
]


@pytest.mark.parametrize(("model", "params", "name"), BROKEN)
def test_every_rule_is_enforced(model, params, name):
    with pytest.raises(ModelError, match=re.escape(f"{model.__name__}.{name}: must ")):
        model(**params)


def test_every_rule_has_a_case():
    for model in BUILT_IN:
        assert sum(case[0] is model for case in BROKEN) == len(model.spec.checks), model.__name__
