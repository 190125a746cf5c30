"""Short-term plasticity: transients and steady states of Tsodyks and Markram's model; NMDA receptors that saturate."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import plasticity
import snn


def factors(times, static=False, rule=None, short_term=None, **params):
    """What each spike delivers, over the weight."""
    net = snn.Network()
    a = net.population("a", 1, snn.SpikeArray.from_spiketrains([times]))
    b = net.population("b", 1, snn.LIFDelta(tau_m=10.0, e_l=0.0, v_th=1e6, v_reset=0.0, t_ref=0.0))
    net.connect(a, b, snn.all_to_all(), weight=2.0, delay=1.0, plasticity=rule,
                short_term=None if static else short_term or plasticity.TsodyksMarkram(**params))  # fmt: skip
    net.record(b, "v", every=0.1)
    v = snn.Simulation(net, dt=0.1, threads=1, quiet=True).run(times[-1] + 10.0).states["b"]["v"][:, 0]
    jumps = v[1:] - v[:-1] * np.exp(-0.01)
    found = jumps[np.abs(jumps) > 1e-9]
    assert len(found) == len(times)
    return found / 2.0


TRAIN = 20.0 + 50.0 * np.arange(10)  # 20 Hz


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ((0.5, 800.0, 0.0), [0.5, 0.2651, 0.1548, 0.1030, 0.0787, 0.0673, 0.0619, 0.0594, 0.0582, 0.0576]),
        ((0.05, 125.0, 1200.0), [0.05, 0.0924, 0.1255, 0.1503, 0.1685, 0.1821, 0.1925, 0.2008, 0.2077, 0.2136]),
    ],
    ids=["depression", "facilitation"],
)
def test_transient(params, expected):
    """Depressing and facilitating synapses at 20 Hz; numbers computed apart from this package."""
    got = factors(TRAIN, **dict(zip(("u_se", "tau_rec", "tau_fac"), params, strict=True)))
    np.testing.assert_allclose(got, expected, atol=6e-5)


@pytest.mark.parametrize("rate", [5.0, 20.0, 100.0])
@pytest.mark.parametrize("u_se, tau_rec, tau_fac", [(0.5, 400.0, 0.0), (0.1, 100.0, 500.0), (1.0, 50.0, 20.0)])
def test_steady_state(rate, u_se, tau_rec, tau_fac):
    """u = U / (1 - (1 - U) exp(-h / tau_fac)), x = (1 - exp(-h / tau_rec)) / (1 - (1 - u) exp(-h / tau_rec))."""
    h = 1000.0 / rate
    got = factors(20.0 + h * np.arange(int(8000.0 / h)), u_se=u_se, tau_rec=tau_rec, tau_fac=tau_fac)
    recover, relax = np.exp(-h / tau_rec), np.exp(-h / tau_fac) if tau_fac else 0.0
    u = u_se / (1.0 - (1.0 - u_se) * relax)
    x = (1.0 - recover) / (1.0 - (1.0 - u) * recover)
    assert got[0] == pytest.approx(u_se, rel=1e-12)
    assert got[-1] == pytest.approx(u * x, rel=1e-6)


def test_combines_with_a_rule_that_learns():
    """The factor scales what is delivered, the rule what is stored."""
    rule = plasticity.STDPPair(lambda_=0.0, w_max=10.0)
    params = {"u_se": 0.4, "tau_rec": 100.0, "tau_fac": 50.0}
    np.testing.assert_allclose(factors(TRAIN, rule=rule, **params), factors(TRAIN, **params), rtol=1e-12)
    assert np.ptp(factors(TRAIN, static=True)) < 1e-12


def test_two_spikes_at_once_without_facilitation():
    """exp(-0 / 0) is no number; nothing is left of facilitation, and half of the resources."""
    rule = plasticity.TsodyksMarkram(u_se=0.5, tau_rec=800.0, tau_fac=0.0)
    values = rule.constants(0.1)
    rates = {name: values[name] for name in ("u_se", "rate_fac", "rate_rec")}
    assert rule.spec.on_spike(0.5, 1.0, 0.0, **rates) == (0.5, 0.5, 0.25)


@pytest.mark.parametrize("alpha, tau_rise, tau_decay", [(0.5, 2.0, 100.0), (2.0, 5.0, 60.0), (0.05, 1.0, 20.0)])
def test_saturating_nmda_against_its_two_equations(alpha, tau_rise, tau_decay):
    """The jumps, decayed, add up to s as it is when x has decayed: spikes 60 tau_rise apart."""
    gap = 60.0 * tau_rise
    times = np.round(20.0 + gap * np.arange(6), 1)
    s, expected = 0.0, []
    for _ in times:
        t = np.array([0.0, gap])
        rise = solve_ivp(
            lambda t, y: [-y[0] / tau_decay + alpha * y[1] * (1.0 - y[0]), -y[1] / tau_rise], t, [s, 1.0], "DOP853",
            rtol=1e-12, atol=1e-14,
        )  # fmt: skip
        late = rise.y[0, -1] * np.exp(gap / tau_decay)  # as if it had jumped at the spike
        expected.append(late - s)
        s = rise.y[0, -1]
    rule = plasticity.SaturatingNMDA(alpha=alpha, tau_rise=tau_rise, tau_decay=tau_decay)
    np.testing.assert_allclose(factors(times, short_term=rule), expected, rtol=1e-8)


def test_saturating_nmda_stays_below_one():
    """At 500 Hz s goes to where as much opens as closes: s = k_0 + (1 + k_1) s exp(-h / tau_decay) after a spike."""
    jumps = factors(20.0 + 2.0 * np.arange(400), short_term=plasticity.SaturatingNMDA())
    fade = np.exp(-2.0 / 100.0)
    s = np.cumsum(jumps * fade ** -np.arange(400)) * fade ** np.arange(400)  # just after each spike
    opened, closed = jumps[0], 1.0 - np.exp(-1.0)
    assert s.max() < 1.02
    assert s[-1] == pytest.approx(opened / (1.0 - (1.0 - closed) * fade), rel=1e-9)
