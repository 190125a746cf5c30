"""Networks that the tests of backend="cuda" run, and that scripts/verify_cuda.py compiles for a device."""

from types import SimpleNamespace

import numpy as np

import plasticity
import snn
from plasticity.base import RULES, SHORT_TERM


def mixed_network():
    """Every kind of edge storage and every input."""
    net = snn.Network(seed=4)
    a = net.population("a", 13, snn.LIFExp(i_e=300.0, tau_m=snn.uniform(8.0, 12.0)), init={"v": snn.uniform(-70, -56)})
    b = net.population("b", 9, snn.LIFAlpha(i_e=250.0), init={"v": snn.uniform(-70, -56)})
    src = net.population("src", 5, snn.Poisson(rate=2500.0))
    given = net.population("given", 4, snn.SpikeArray([1.0, 1.0, 2.35, 2.35, 7.0, 7.0], [0, 3, 1, 1, 2, 2]))
    rng = np.random.default_rng(1)
    net.connect(a, b, snn.fixed_indegree(3), weight=90.0, delay=0.9, name="bc")
    net.connect(a, b, snn.fixed_total_number(7), weight=-80.0, delay=1.5, name="cc")
    net.connect(b, a, snn.fixed_total_number(20), weight=snn.uniform(-50.0, 90.0), delay=0.7, name="vc")
    net.connect(a, a, snn.pairwise_bernoulli(0.3), weight=70.0, delay=snn.normal(1.5, 0.7, low=0.4), name="cv")
    net.connect(src, b, snn.all_to_all(), weight=90.0 * rng.random((5, 9)), delay=snn.uniform(0.4, 4.0), name="vv")
    net.connect(src, a, snn.all_to_all(), weight=90.0 * rng.random((5, 13)), delay=0.9, name="mc")
    net.connect(given, a, snn.fixed_outdegree(6), weight=300.0, delay=0.4, name="given")
    net.input("each", b, snn.Poisson(rate=np.linspace(0.0, 1800.0, 9)), weight=snn.uniform(50.0, 90.0))
    changing = snn.Poisson(np.outer([0.0, 900.0, 90.0], np.linspace(0.0, 2.0, 9)), times=[0.0, 3.1, 7.0])
    net.input("each changes", b, changing, weight=60.0)
    net.input("shared", a, snn.Poisson(800.0, shared=True, start=2.0, stop=8.0), weight=60.0)
    net.input("segments", a, snn.Poisson([0.0, 4000.0, 90.0], times=[0.0, 3.0, 7.0]), weight=40.0)
    net.input("spikes", a, snn.SpikeArray([0.1, 0.5, 6.05, 6.1, 9.9], [0, 12, 3, 3, 7]), weight=400.0)
    net.input("ac", a, snn.ACCurrent(amplitude=50.0, frequency=40.0, offset=20.0))
    net.input("ou", a, snn.OrnsteinUhlenbeck(mean=10.0, std=30.0, tau=3.0))
    net.input("noise", b, snn.NoiseCurrent(mean=5.0, std=20.0, dt=0.2))
    net.input("step", b, snn.StepCurrent([[float(k) for k in range(9)], [90.0] * 9], times=[3.0, 9.0]))
    for p in (a, b, src, given):
        net.record(p)
    net.record(a, "v", every=0.3)
    net.record(b, "v", ids=[1, 7])
    net.record(b, "refractory", every=0.2)
    return net


def drawn_network():
    """Every rule that a device draws: with and without autapses and multapses, lists over 32, weights of both signs."""
    net = snn.Network(seed=6)
    a = net.population("a", 300, snn.LIFExp())
    b = net.population("b", 5, snn.LIFExp())
    small = net.population("small", 6, snn.LIFExp())
    values = {"weight": snn.normal(1.0, 5.0), "delay": snn.uniform(0.4, 3.0)}
    for k, (source, target, rule, given) in enumerate((
        (a, b, snn.fixed_indegree(40), values),
        (a, b, snn.fixed_indegree(7, multapses=False), {"weight": -2.0, "delay": snn.lognormal(0.0, 1.0, low=0.2)}),
        (small, b, snn.fixed_indegree(5, multapses=False), {"weight": snn.exponential(2.0), "delay": 1.0}),
        (small, small, snn.fixed_indegree(5, autapses=False, multapses=False), {"weight": -2.0, "delay": 0.7}),
        (small, small, snn.fixed_indegree(6, autapses=False), values),
        (a, small, snn.fixed_total_number(211), values),
        (a, b, snn.pairwise_bernoulli(0.15), {"weight": 1.5, "delay": 0.7}),
        (small, small, snn.pairwise_bernoulli(0.5, autapses=False), values),
        (small, small, snn.pairwise_bernoulli(0.0), values),
        (small, b, snn.pairwise_bernoulli(1.0), {"weight": 1.5, "delay": 0.7}),
        (small, small, snn.one_to_one(), {"weight": snn.uniform(-1.0, 1.0), "delay": 30.0}),
        (small, small, snn.all_to_all(autapses=False), {"weight": 3.0, "delay": snn.uniform(0.4, 30.0)}),
        (small, b, snn.all_to_all(), {"weight": snn.normal(5.0, 1.0), "delay": 0.4}),
    )):  # fmt: skip
        net.connect(source, target, rule, **given, name=f"p{k}")
    return net


# with these parameters weights move far in 70 ms; other rules have their defaults
STRONG = {
    "BCM": {"eta": 0.05, "tau_theta": 100.0, "rho0": 50.0, "w_max": 1.0},
    "BraderSennFusi": {"theta_up_low": 0.2, "theta_down_low": 0.1, "theta_x": 0.3, "alpha": 0.01, "w_max": 1.0},
    "Clopath": {"a_ltd": 0.03, "a_ltp": 0.02, "theta_plus": -58.0, "delay": 0.8, "u_ref_squared": 99.0, "w_max": 3.0},
    "Covariance": {"eta": 0.05, "tau_mean": 50.0, "w_max": 5.0},
    "DopamineSTDP": {"a_plus": 0.05, "a_minus": 0.05, "tau_n": 20.0, "b": 0.5, "w_max": 1.0},
    "GraupnerBrunel": {"tau_ca": 4.0, "c_pre": 0.7, "c_post": 0.9, "tau": 3e3, "delay": 3.0, "w_max": 1.0},
    "Jonke": {"lambda_": 0.1, "alpha": 0.8, "w_max": 2.0},
    "Oja": {"eta": 0.2, "w_max": 2.0},
    "RMax": {"eta": 100.0, "tau_e": 50.0, "delta_v": 5.0, "w_max": 2.0},
    "RewardSTDP": {"gamma": 3.0, "w_max": 1.0},
    "STDPPair": {"lambda_": 0.2, "alpha": 1.1, "mu_plus": 0.4, "mu_minus": 0.4, "w_max": 1.0},
    "STDPTargetTrace": {"eta": 0.1, "pre_target": 2.0},
    "STDPTriplet": {"a_plus": 0.02, "a_plus_triplet": 0.01, "a_minus": 0.1, "a_minus_triplet": 0.005, "w_max": 1.0},
    "VogelsSprekeler": {"eta": 0.1, "alpha": 3.8, "w_max": -1.0},
} | {name: {"lambda_": 0.2, "w_max": 1.0} for name in RULES if name.startswith("STDPNearest")}  # fmt: skip
RANDOM = {"Bernoulli": {"p_transmit": 0.6}, "QuantalSTP": {"n": 4.0, "tau_fac": 30.0}}


def learning_network(names):
    """A projection with each of the rules ``names``, each to its own targets, and such with short-term plasticity alone
    and with a rule that draws random numbers.

    The source emits several spikes in some steps.
    """
    net = snn.Network(seed=8)
    model = snn.LIFDelta(tau_m=20.0)
    a = net.population("a", 6, model, init={"v": snn.uniform(-70.0, -55.0)})
    net.input("noise a", a, snn.Poisson(rate=3000.0), weight=1.4)
    src = net.population("src", 3, snn.Poisson(rate=400.0))
    net.record(a)
    for k, name in enumerate(names):
        rule = RULES[name](**STRONG.get(name, {}))
        escape = snn.GIF(v_t_star=-60.0, delta_v=5.0, lambda_0=40.0, i_e=30.0)
        b = net.population(name, 3, escape if name == "RMax" else model)
        net.input(f"noise {name}", b, snn.Poisson(rate=3000.0), weight=1.2)
        sign = 1.0 if rule.spec.bounds(SimpleNamespace(**rule.params))[1] > 0.0 else -1.0
        delay = 1.5 if k % 3 == 0 else snn.uniform(0.5, 4.0)
        axonal = 0.0 if k % 2 else 1.0 if k % 3 == 0 else 0.25
        net.connect(
            src if k % 4 == 0 else a, b, snn.fixed_indegree(4), weight=snn.uniform(*sorted((0.2 * sign, 0.8 * sign))),
            delay=delay, axonal_delay=axonal, name=f"to {name}", plasticity=rule,
            short_term=plasticity.TsodyksMarkram(tau_fac=50.0) if k == 3 else None,
        )  # fmt: skip
        if rule.spec.modulator:
            jumps = rule.spec.modulator.jump is not None
            net.modulate(f"to {name}", a if jumps else None, delay=1.5, value=0.0 if jumps else 0.1)
        net.record(b)
    b = net.population("short", 3, model)
    net.input("noise short", b, snn.Poisson(rate=3000.0), weight=1.2)
    for name in sorted(SHORT_TERM):
        short = SHORT_TERM[name](**RANDOM.get(name, {}))
        net.connect(src, b, snn.all_to_all(), weight=1.0, delay=0.5, axonal_delay=0.25, short_term=short,
                    name=f"by {name}")  # fmt: skip
    chance = plasticity.from_equations(
        "Chance", "dx/dt = -x / tau : 1\ndy/dt = -y / tau : 1\ntau = 20 : ms", bounds=(0, 1),
        on_pre="x += 1; w -= 0.1 * rand() * y", on_post="y += 1; w += 0.1 * randn() * x * (rand() < 0.6)",
    )  # fmt: skip
    delay, release = snn.uniform(0.5, 4.0), plasticity.Bernoulli(p_transmit=0.6)
    net.connect(a, b, snn.all_to_all(), weight=0.5, delay=delay, axonal_delay=0.25, plasticity=chance(),
                short_term=release, name="to chance")  # fmt: skip
    net.connect(src, b, snn.all_to_all(), weight=0.5, delay=0.5, plasticity=chance(), name="to more chance")
    net.record(b, "v")
    return net


def coupled_network():
    """Gap junctions within a population and between two of different models."""
    net = snn.Network(seed=6)
    a = net.population("a", 13, snn.LIFExp(i_e=snn.uniform(300.0, 500.0)), init={"v": snn.uniform(-70.0, -55.0)})
    b = net.population("b", 9, snn.AdExCondExp(i_e=1200.0), init={"v": snn.uniform(-70.0, -55.0)})
    net.input("noise", a, snn.Poisson(rate=3000.0), weight=60.0)
    net.input("current", b[2:7], snn.ACCurrent(100.0, 40.0))
    net.connect(a, b, snn.fixed_indegree(5), weight=2.0, delay=1.5)
    net.gap_junctions(a, a, snn.pairwise_bernoulli(0.3), snn.uniform(0.1, 2.0))
    net.gap_junctions(a[:8], b, snn.fixed_indegree(3), 2.0)
    for p in (a, b):
        net.record(p, ["spikes", "v"])
    return net
