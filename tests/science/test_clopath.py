"""Voltage-based STDP: the curve of the voltage clamp in closed form, the dependence on frequency, homeostasis."""

import numpy as np

import plasticity
import snn

DT = 0.1
A_LTD, A_LTP, THETA_MINUS, THETA_PLUS, TAU_X = 14e-5, 8e-5, -70.6, -45.3, 15.0


def clamped(potentials, pre, stop, **params):
    """Changes by presynaptic spikes at ``pre`` onto targets held at ``potentials``."""
    net = snn.Network()
    a = net.population("a", 1, snn.SpikeArray.from_spiketrains([pre]))
    model = snn.LIFDelta(e_l=potentials, v_th=1e6, v_reset=-100.0)
    b = net.population("b", len(potentials), model, init={"v": potentials})
    # amplitudes so small that the weights do not move the potential
    rule = plasticity.Clopath(**{"a_ltd": 1e-9 * A_LTD, "a_ltp": 1e-9 * A_LTP, "w_min": -1.0, "w_max": 1.0} | params)
    net.connect(a, b, snn.all_to_all(), weight=0.0, delay=1.0, plasticity=rule)
    sim = snn.Simulation(net, dt=DT, quiet=True, threads=1)
    sim.run(stop)
    return 1e9 * sim.connections("a->b")[2]


def test_voltage_clamp():
    """25 spikes at 50 Hz: nothing below theta_minus, depression up to theta_plus and beyond, then potentiation."""
    potentials = np.arange(-80.0, 5.0, 2.5)
    pre, stop = 10.0 + 20.0 * np.arange(25), 600.0
    change = clamped(potentials, pre, stop)
    depression = A_LTD * np.maximum(potentials - THETA_MINUS, 0.0) * len(pre)
    steps = np.rint((stop - pre) / DT)
    fade = np.exp(-DT / TAU_X)
    traces = np.sum(fade * (1.0 - fade**steps) / (1.0 - fade)) * DT / TAU_X
    product = np.maximum(potentials - THETA_PLUS, 0.0) * np.maximum(potentials - THETA_MINUS, 0.0)
    np.testing.assert_allclose(change, A_LTP * traces * product - depression, rtol=1e-6, atol=1e-9)
    assert np.all(change[potentials < THETA_MINUS] == 0.0)
    assert np.all(change[(potentials > THETA_MINUS) & (potentials < THETA_PLUS)] < 0.0)
    # beyond theta_plus + a_ltd / a_ltp, as x has integral 1 a spike
    assert np.all((change[potentials > THETA_PLUS] > 0.0) == (potentials[potentials > THETA_PLUS] > THETA_PLUS + 1.75))


def pairings(lags, rates, pairs):
    """Relative change by ``pairs`` pairs at each of ``rates``, for each of ``lags`` of the postsynaptic spike."""
    pre = [np.rint(10.0 * (20.0 + np.arange(pairs) * 1e3 / rate)) / 10.0 for _ in lags for rate in rates]
    post = [times + lag for times, lag in zip(pre, np.repeat(lags, len(rates)), strict=True)]
    stop = max(times[-1] for times in pre) + 100.0
    net = snn.Network()
    a = net.population("a", len(pre), snn.SpikeArray.from_spiketrains(pre))
    b = net.population("b", len(pre), snn.AdExClopath(b=0.0805, v_reset=-49.6))
    net.input("drive", b, snn.SpikeArray.from_spiketrains(post), weight=80.0)
    net.connect(a, b, snn.one_to_one(), weight=0.5, delay=DT, plasticity=plasticity.Clopath(delay=4.0))
    net.record(b)
    sim = snn.Simulation(net, dt=DT, quiet=True, threads=1)
    assert len(sim.run(stop).spikes["b"]) == pairs * len(pre), "the drive alone must cause the spikes"
    return (sim.connections("a->b")[2] / 0.5 - 1.0).reshape(len(lags), -1)


# Sjoestroem, Turrigiano & Nelson 2001, as in test_plasticity_stdp: 10 ms after and before, standard errors
DATA = np.array([[-0.04, 0.14, 0.29, 0.53, 0.56], [-0.29, -0.41, -0.34, 0.56, 0.75]])
ERROR = np.array([[0.05, 0.10, 0.14, 0.11, 0.26], [0.08, 0.11, 0.10, 0.32, 0.19]])


def test_frequency_dependence():
    """Five pairs, 15 times over (10 times at 0.1 Hz): within two standard errors of every point of the data."""
    curve = np.hstack([10.0 * pairings((10.0, -10.0), (0.1,), 5), 15.0 * pairings((10.0, -10.0), (10, 20, 40, 50), 5)])
    assert np.abs((curve - DATA) / ERROR).max() < 2.0
    # low rates depress whatever the order but for pre before post, high ones potentiate
    assert curve[1, 0] < -0.2 and abs(curve[0, 0]) < 0.05 and np.all(curve[:, -1] > 0.4)
    assert np.all(np.diff(curve[0]) > 0.0)


def test_values_of_the_authors_model():
    """Post before pre at 10, 30 and 50 Hz: the percentages that NEST's test of clopath_synapse holds."""
    curve = 100.0 + 1500.0 * pairings((-10.0,), (10.0, 30.0, 50.0), 5)[0]
    np.testing.assert_allclose(curve, [57.826, 72.167, 149.434], atol=0.4)


def test_homeostasis_scales_depression():
    """Targets held 10 and 5 mV above e_bar: depression is times the squares of that by u_ref_squared."""
    potentials, pre = np.array([-60.6, -65.6]), np.array([20.0, 90.0])
    plain = clamped(potentials, pre, 200.0, a_ltp=0.0)
    scaled = clamped(potentials, pre, 200.0, a_ltp=0.0, u_ref_squared=60.0)
    np.testing.assert_allclose(plain, -2.0 * A_LTD * (potentials - THETA_MINUS), rtol=1e-6)
    np.testing.assert_allclose(scaled / plain, [100.0 / 60.0, 25.0 / 60.0], rtol=1e-6)
