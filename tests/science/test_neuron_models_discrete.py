"""Neuron models that are discrete in time, or linear between spikes, against their papers' own update formulas."""

import numpy as np

import snn.neurons as neurons


def test_alif_is_the_papers_update(simulate):
    # Bellec et al. 2018: V(t+dt) = alpha V + (1-alpha) R I - B z dt,  b(t+dt) = rho b + (1-rho) z,  z in {0, 1/dt}
    n, steps, rng = 4, 600, np.random.default_rng(2)
    for dt, n_ref in ((1.0, 5), (0.5, 10)):
        i_stim, spikes = 0.03 * rng.random((steps, n)), rng.random((steps, n)) < 0.1
        weights = np.array([0.05, 0.1, -0.05, 0.0])
        alpha, rho = np.exp(-dt / 20.0), np.exp(-dt / 700.0)
        v, b, z, since = np.zeros(n), np.zeros(n), np.zeros(n), np.full(n, 10**6)
        traces = [
            simulate(neurons.ALIF, dt, steps, {"i_stim": i_stim[:, k], "arrive_syn": weights[k] * spikes[:, k]})
            for k in range(n)
        ]
        total = 0
        for t in range(steps):
            threshold = 0.01 + 1.8 * b
            v = alpha * v + (1 - alpha) * (i_stim[t] + weights * spikes[t] / dt) - threshold * z * dt
            b = rho * b + (1 - rho) * z
            fires = (v > 0.01 + 1.8 * b) & (since >= n_ref)
            since = np.where(fires, 0, since + 1)
            z = fires / dt
            np.testing.assert_array_equal([x[1][t] for x in traces], fires)
            np.testing.assert_allclose([x[0]["v"][t] for x in traces], v, rtol=0, atol=1e-14)
            np.testing.assert_allclose([x[0]["b"][t] for x in traces], b, rtol=1e-12)
            total += fires.sum()
        assert total > 20


def cuba_drive(seed):
    rng = np.random.default_rng(seed)
    return rng.choice([0.0, 0.6, -0.3], size=500, p=[0.7, 0.2, 0.1]), 0.05 * rng.standard_normal(500)


def test_cuba_lif_is_lavas_lif(simulate):
    # Lava's floating-point LIF: u = u (1 - du) + a_in; v = v (1 - dv) + u + bias; s = v > vth; v[s] = 0
    du, dv, bias, vth = 0.3, 0.15, 0.02, 0.9
    a_in, _ = cuba_drive(1)
    trace, fired = simulate(
        neurons.CubaLIF, 1.0, 500, {"arrive_syn": a_in}, alpha=1 - du, beta=1 - dv, bias=bias, v_th=vth
    )
    u, v, expected = 0.0, 0.0, []
    for x in a_in:
        u = u * (1 - du) + x
        v = v * (1 - dv) + u + bias
        spike = v > vth
        v = 0.0 if spike else v
        expected.append((u, v, spike))
    u, v, spikes = np.array(expected).T
    assert spikes.sum() > 20
    np.testing.assert_array_equal(fired, spikes)
    np.testing.assert_allclose(trace["i"], u, rtol=0, atol=1e-14)
    np.testing.assert_allclose(trace["v"], v, rtol=0, atol=1e-14)


def test_cuba_lif_is_snntorchs_synaptic(simulate):
    # snnTorch's Synaptic: reset from the last mem; syn = alpha syn + x; mem = beta mem + syn - reset threshold
    alpha, beta, threshold = 0.8, 0.9, 1.1
    x, _ = cuba_drive(2)
    trace, fired = simulate(
        neurons.CubaLIF, 1.0, 500, {"arrive_syn": x}, alpha=alpha, beta=beta, v_th=threshold, reset=2.0
    )
    syn, mem = np.zeros(501), np.zeros(501)
    for t in range(500):
        reset = float(mem[t] - threshold > 0)
        syn[t + 1] = alpha * syn[t] + x[t]
        mem[t + 1] = beta * mem[t] + syn[t + 1] - reset * threshold
    assert (mem > threshold).sum() > 20
    np.testing.assert_array_equal(fired, mem[1:] > threshold)
    np.testing.assert_allclose(trace["v"], mem[1:], rtol=0, atol=1e-13)


def test_cuba_lif_is_nirs_euler_step(simulate):
    # NIR: tau_syn dI/dt = -I + w_in S, tau_mem dv/dt = (v_leak - v) + R I, z = v > v_threshold, then v = v_reset;
    # explicit Euler with the new I in v's step
    dt, tau_syn, tau_mem, r, v_leak, v_th, v_reset, w_in = 0.5, 4.0, 10.0, 3.0, 0.2, 0.8, -0.1, 1.5
    s, _ = cuba_drive(3)
    trace, fired = simulate(
        neurons.CubaLIF, dt, 500, {"arrive_syn": s}, init={"v": v_leak}, alpha=1 - dt / tau_syn, beta=1 - dt / tau_mem,
        w_in=w_in * dt / tau_syn, gain=r * dt / tau_mem, v_leak=v_leak, v_th=v_th, v_reset=v_reset,
    )  # fmt: skip
    i, v, expected = 0.0, v_leak, []
    for x in s:
        i = i + dt / tau_syn * (-i + w_in * x)
        v = v + dt / tau_mem * ((v_leak - v) + r * i)
        spike = v > v_th
        v = v_reset if spike else v
        expected.append((v, spike))
    v, spikes = np.array(expected).T
    np.testing.assert_array_equal(fired, spikes)
    np.testing.assert_allclose(trace["v"], v, rtol=0, atol=1e-13)


def test_cuba_lif_subtracts_at_once(simulate):
    trace, fired = simulate(neurons.CubaLIF, 1.0, 3, alpha=0.0, beta=1.0, bias=0.7, reset=1.0)
    np.testing.assert_array_equal(fired, [False, True, True])
    np.testing.assert_allclose(trace["v"], [0.7, 0.4, 0.1], atol=1e-15)


def test_thresholds_of_the_discrete_models_are_strict(simulate, constants):
    w = constants(neurons.ALIF, 1.0)["p_v_syn"]  # v after a pulse of area 1
    for v_th, fires in ((w, False), (0.999 * w, True)):
        trace, fired = simulate(neurons.ALIF, 1.0, 1, {"arrive_syn": 1.0}, v_th=v_th)
        assert trace["v"][0] == w
        assert fired[0] == fires
    for reset in (0.0, 1.0, 2.0):
        trace, fired = simulate(neurons.CubaLIF, 1.0, 2, init={"v": 1.0}, beta=1.0, reset=reset)
        np.testing.assert_array_equal(trace["v"], [1.0, 1.0])
        assert not fired.any()


def test_if_loses_nothing(simulate):
    # what came in is in v or left as spikes: the sum holds at every step; the threshold is strict
    rng = np.random.default_rng(4)
    x, current = rng.random(1000) * 1.5 - 0.2, rng.random(1000)
    trace, fired = simulate(neurons.IF, 0.5, 1000, {"arrive_syn": x, "i_stim": current}, r=0.7, v_th=1.3)
    total = 0.7 * np.cumsum(x + 0.5 * current)
    np.testing.assert_allclose(trace["v"] + 1.3 * np.cumsum(fired), total, rtol=0, atol=1e-10)
    before = trace["v"] + 1.3 * fired
    np.testing.assert_array_equal(fired, before > 1.3)
    assert 100 < fired.sum() < 900
    _, fired = simulate(neurons.IF, 1.0, 2, {"arrive_syn": np.array([1.0, 1e-9])})
    np.testing.assert_array_equal(fired, [False, True])


def test_resonate_and_fire_is_a_complex_exponential(simulate):
    # Izhikevich 2001: dz/dt = (b + i omega) z + I, fires where Im z >= 1, z = i after it; here with complex numbers
    b, omega, dt, steps = -0.02, 0.3, 0.25, 3000
    rng = np.random.default_rng(5)
    pulses = np.where(rng.random(steps) < 0.05, 0.5, 0.0)
    current = np.repeat(rng.normal(0.0, 0.02, 30), steps // 30)
    trace, fired = simulate(
        neurons.ResonateAndFire, dt, steps, {"arrive_syn": pulses, "i_stim": current}, b=b, omega=omega
    )
    z, lam, expected, spikes = 0j, complex(b, omega), [], []
    for x, i in zip(pulses, current, strict=True):
        fixed = -i / lam
        z = fixed + (z - fixed) * np.exp(lam * dt) + x
        spikes.append(z.imag >= 1.0)
        z = 1j if spikes[-1] else z
        expected.append(z)
    assert sum(spikes) > 10
    np.testing.assert_array_equal(fired, spikes)
    np.testing.assert_allclose(trace["x"] + 1j * trace["v"], expected, rtol=0, atol=1e-10)


def test_resonate_and_fire_prefers_its_own_period(simulate):
    # the paper's figure 4: two pulses half a period apart cancel, a whole period apart add up
    period = 2 * np.pi / 0.25
    counts = []
    for gap in (0.5 * period, period):
        pulses = np.zeros(1000)
        pulses[[10, 10 + round(gap / 0.1)]] = 0.9
        counts.append(simulate(neurons.ResonateAndFire, 0.1, 1000, {"arrive_syn": pulses}, b=-0.01)[1].sum())
    assert counts == [0, 1]
