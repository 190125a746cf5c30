"""R-max: the eligibility is the gradient of the log-likelihood, has mean 0, and reward makes it climb."""

import numpy as np
import pytest

import plasticity
import snn

DT, TAU_M, TAU_S, C, DELTA_V, DELAY = 0.1, 20.0, 5.0, 80.0, 2.0, 1.5
GIF = {"c_m": C, "g_l": C / TAU_M, "tau_syn_ex": TAU_S, "delta_v": DELTA_V, "v_t_star": -60.0, "lambda_0": 20.0,
       "v_reset": -66.0, "t_ref": 3.0, "i_e": 20.0}  # fmt: skip
RULE = {"tau_m": TAU_M, "tau_syn": TAU_S, "c_m": C, "delta_v": DELTA_V, "t_ref": 3.0}


def trained(pre, n, weight, runs, seed=5, **rule):
    """(eligibilities, weights), shapes (n_pre, n), and spikes of ``n`` targets of all sources after ``runs``: (ms,
    reward) one after the other."""
    net = snn.Network(seed=seed)
    a = net.population("a", len(pre), snn.SpikeArray.from_spiketrains(pre))
    b = net.population("b", n, snn.GIF(**GIF))
    # all of the delay but a step is axonal
    net.connect(a, b, snn.all_to_all(), weight=weight, delay=DELAY, axonal_delay=DELAY - DT,
                plasticity=plasticity.RMax(**RULE | rule))  # fmt: skip
    net.modulate("a->b")
    net.record(b)
    sim = snn.Simulation(net, dt=DT, quiet=True, threads=1)
    found = []
    for duration, reward in runs:
        sim.set_modulator("a->b", reward)
        found.append(sim.run(duration).spikes["b"])
    weights = sim.connections("a->b")[2]
    drive = sim._drive
    drive.engine.sweep(0, drive.at - 1, settle=True)
    source, target, places = drive._wiring(net.projections["a->b"])
    elig, w = np.empty((len(pre), n)), np.empty((len(pre), n))
    elig[source, target], w[source, target] = drive.compiled.plastic[0].variables[0, places], weights
    return elig, w, (np.concatenate([f.times for f in found]), np.concatenate([f.ids for f in found]))


def likelihood(pre, weights, spikes, steps):
    """Log-likelihood of a target's spike train, its gradient by the weights, and that gradient's part of each step."""
    fired = np.zeros(steps, bool)
    fired[np.rint(spikes / DT).astype(int) - 1] = True
    arrive = np.zeros((steps, len(pre)))
    for k, times in enumerate(pre):
        at = np.rint((times + DELAY) / DT).astype(int) - 1
        np.add.at(arrive[:, k], at[at < steps], 1.0)
    p_v, p_i = np.exp(-DT / TAU_M), np.exp(-DT / TAU_S)
    p_vi = TAU_M * TAU_S / (C * (TAU_M - TAU_S)) * (p_v - p_i)
    v_inf = -70.0 + GIF["i_e"] / GIF["g_l"]
    v, i, held, total = -70.0, 0.0, 0, 0.0
    dv, di, parts = np.zeros(len(pre)), np.zeros(len(pre)), np.zeros((steps, len(pre)))
    for s in range(steps):
        if held == 0:
            v, dv = v_inf + (v - v_inf) * p_v + i * p_vi, dv * p_v + di * p_vi
            x = 1e-3 * GIF["lambda_0"] * DT * np.exp((v - GIF["v_t_star"]) / DELTA_V)
            total += np.log(-np.expm1(-x)) if fired[s] else -x
            parts[s] = (x / np.expm1(x) if fired[s] else -x) / DELTA_V * dv
        i, di = i * p_i + weights @ arrive[s], di * p_i + arrive[s]
        held = 30 if fired[s] else max(held - 1, 0)
        if fired[s]:
            v, dv = GIF["v_reset"], np.zeros(len(pre))
    return total, parts.sum(axis=0), parts


@pytest.fixture(scope="module")
def trains():
    rng = np.random.default_rng(2)
    return [np.sort(rng.choice(3900, 25, replace=False) + 1) * DT for _ in range(4)]


def test_eligibility_is_the_gradient_of_the_log_likelihood(trains):
    """Spikes arrive in refractory periods, too, and in one step with others; tau_e is as good as infinite."""
    weight = np.array([40.0, 80.0, 120.0, 160.0])
    elig, _, (times, ids) = trained(trains, 3, np.tile(weight[:, None], 3), [(400.0, 0.0)], tau_e=1e13, eta=0.0)
    for j in range(3):
        spikes = times[ids == j]
        assert len(spikes) > 10
        _, gradient, _ = likelihood(trains, weight, spikes, 4000)
        np.testing.assert_allclose(elig[:, j], gradient, rtol=1e-9, atol=1e-12)
        for k in range(4):
            step = 1e-3 * np.eye(4)[k]
            up, down = (likelihood(trains, w, spikes, 4000)[0] for w in (weight + step, weight - step))
            assert elig[k, j] == pytest.approx((up - down) / 2e-3, rel=1e-6, abs=1e-8)


def test_weights_integrate_reward_times_eligibility(trains):
    """Rewards of three stretches; the weight stays so near its first value that the spikes do not tell."""
    runs = [(100.0, 0.5), (130.0, np.array([-1.0, 2.0, 0.3])), (150.0, 1.5)]
    tau_e, eta = 60.0, 1e-8
    elig, w, (times, ids) = trained(trains, 3, 100.0, runs, tau_e=tau_e, eta=eta)
    # events of step s bear the time (s + 1) dt; a setting acts from the next step on
    switches = np.rint(np.cumsum([0.0] + [d for d, _ in runs]) / DT).astype(int)
    fade = np.exp(-DT / tau_e)
    for j in range(3):
        _, _, parts = likelihood(trains, np.full(4, 100.0), times[ids == j], switches[-1])
        reward = np.zeros(switches[-1])
        for first, last, (_, value) in zip(switches[:-1], switches[1:], runs, strict=True):
            reward[first:last] = np.broadcast_to(value, 3)[j]
        e, change = np.zeros(4), np.zeros(4)
        for s in range(switches[-1] - 1):
            e = e + parts[s]
            change += eta * reward[s] * e * tau_e * (1.0 - fade)
            e = e * fade
        e = e + parts[-1]
        np.testing.assert_allclose(elig[:, j], e, rtol=1e-6)
        np.testing.assert_allclose(w[:, j] - 100.0, change, rtol=1e-4, atol=1e-12)
        assert np.abs(change).max() > 1e-8


def test_mean_eligibility_is_zero(trains):
    """Over 2000 targets with noise of their own. |z| < 4.5 in all of 4 means: false alarm in 3e-5."""
    elig, _, (times, _) = trained(trains, 2000, 100.0, [(300.0, 0.0)], tau_e=100.0)
    assert len(times) > 10_000
    z = elig.mean(axis=1) / elig.std(axis=1) * np.sqrt(2000)
    assert np.abs(z).max() < 4.5
    assert elig.std() > 1e-3


def test_targets_learn_from_rewards_of_their_own():
    """Half of the targets are rewarded for spikes above the mean of all, the others punished: their rates part."""
    n, trials, length = 40, 30, 200.0
    net = snn.Network(seed=4)
    a = net.population("a", 20, snn.Poisson(rate=20.0))
    b = net.population("b", n, snn.GIF(**GIF))
    rule = plasticity.RMax(**RULE, eta=80.0, tau_e=200.0, w_max=300.0)
    net.connect(a, b, snn.all_to_all(), weight=60.0, delay=DELAY, axonal_delay=DELAY - DT, plasticity=rule)
    net.modulate("a->b")
    net.record(b)
    sim = snn.Simulation(net, dt=DT, quiet=True, threads=1)
    sign = np.where(np.arange(n) < n // 2, 1.0, -1.0)
    counts = []
    for _ in range(trials):
        sim.set_modulator("a->b", 0.0)
        spikes = np.bincount(sim.run(length).spikes["b"].ids, minlength=n)
        counts.append(spikes)
        sim.set_modulator("a->b", sign * (spikes - spikes.mean()))
        sim.run(1.0)
    early, late = np.mean(counts[:5], axis=0), np.mean(counts[-5:], axis=0)
    w = sim.connections("a->b")[2].reshape(n, 20).mean(axis=1)
    assert early[sign > 0].mean() == pytest.approx(early[sign < 0].mean(), rel=0.2)
    assert w[sign > 0].min() > w[sign < 0].max()
    assert late[sign > 0].mean() > 1.2 * late[sign < 0].mean()
