"""What rules that observe their targets cost, beside static synapses, pair STDP and NEST.

    python scripts/bench/observing_cost.py                  # all networks, three times in turn
    python scripts/bench/observing_cost.py --repeats 1 --duration 200

clopath: AdExClopath neurons, made to fire at 10 Hz each, joined at random (one synapse in ten pairs), with static
synapses, pair STDP, voltage-based STDP and bistable synapses, and voltage-based STDP in NEST (clopath_synapse). r_max:
GIF neurons joined likewise, static, with RewardSTDP and with RMax. One thread; processor seconds per second of model
time, without building and compiling: the median and the range.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import plasticity
import snn

N, P, DELAY, DT = 800, 0.1, 1.5, 0.1


def clopath(rule: Any) -> snn.Network:
    """AdExClopath neurons."""
    net = snn.Network(seed=1)
    drive = net.population("drive", N, snn.Poisson(rate=10.0))
    cells = net.population("cells", N, snn.AdExClopath(b=0.0805, v_reset=-49.6))
    net.connect(drive, cells, snn.one_to_one(), weight=80.0, delay=DT)
    net.connect(cells, cells, snn.pairwise_bernoulli(P), weight=0.01, delay=DELAY, plasticity=rule)
    net.record(cells)
    return net


def r_max(rule: Any) -> snn.Network:
    """GIF neurons."""
    net = snn.Network(seed=1)
    cells = net.population("cells", N, snn.GIF(v_t_star=-60.0, delta_v=2.0, lambda_0=10.0, i_e=35.0))
    net.connect(cells, cells, snn.pairwise_bernoulli(P), weight=0.1, delay=DELAY, axonal_delay=DELAY - DT,
                plasticity=rule, name="p")  # fmt: skip
    if rule:
        net.modulate("p", value=0.1)
    net.record(cells)
    return net


def volley(make: Callable[[Any], snn.Network], rule: Any, duration: float) -> tuple[float, float]:
    """Processor seconds per second of model time, and mean rate in Hz."""
    sim = snn.Simulation(make(rule), dt=DT, threads=1, quiet=True)
    sim.run(10.0)
    begin = time.process_time()
    spikes = sim.run(duration).spikes["cells"]
    return (time.process_time() - begin) * 1e3 / duration, len(spikes) * 1e3 / N / duration


def nest_clopath(duration: float) -> tuple[float, float]:
    """The same in NEST."""
    import nest

    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus({"resolution": DT})
    drive = nest.Create("poisson_generator", params={"rate": 10.0})
    neuron = {"b": 0.0805, "V_reset": -49.6, "V_clamp": 33.0, "delay_u_bars": 5.0}
    cells = nest.Create("aeif_psc_delta_clopath", N, neuron)
    recorder = nest.Create("spike_recorder")
    nest.Connect(drive, cells, syn_spec={"weight": 80.0, "delay": DT})
    nest.Connect(cells, cells, {"rule": "pairwise_bernoulli", "p": P},
                 {"synapse_model": "clopath_synapse", "weight": 0.01, "delay": DELAY})  # fmt: skip
    nest.Connect(cells, recorder)
    nest.Simulate(10.0)
    before, begin = recorder.n_events, time.process_time()
    nest.Simulate(duration)
    return (time.process_time() - begin) * 1e3 / duration, (recorder.n_events - before) * 1e3 / N / duration


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--duration", type=float, default=1000.0, help="model time, ms [1000]")
    given = parser.parse_args()
    cases: dict[str, Callable[[], tuple[float, float]]] = {
        "AdExClopath, static": lambda: volley(clopath, None, given.duration),
        "AdExClopath, STDPPair": lambda: volley(clopath, plasticity.STDPPair(w_max=1.0), given.duration),
        "AdExClopath, Clopath": lambda: volley(clopath, plasticity.Clopath(), given.duration),
        "AdExClopath, bistable": lambda: volley(clopath, plasticity.BraderSennFusi(w_max=0.02), given.duration),
        "NEST, clopath_synapse": lambda: nest_clopath(given.duration),
        "GIF, static": lambda: volley(r_max, None, given.duration),
        "GIF, RewardSTDP": lambda: volley(r_max, plasticity.RewardSTDP(gamma=1e-6), given.duration),
        "GIF, RMax": lambda: volley(r_max, plasticity.RMax(eta=1e-6, delta_v=2.0), given.duration),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
    for _ in range(given.repeats):  # in turn: what else runs then disturbs all alike
        for name, case in cases.items():
            found[name].append(case())
    for name, runs in found.items():
        seconds, rate = [s for s, _ in runs], statistics.mean(r for _, r in runs)
        text = f"{statistics.median(seconds):7.3f} s/s ({min(seconds):.3f} to {max(seconds):.3f})"
        print(f"{name:24} {text}  {rate:5.1f} Hz")


if __name__ == "__main__":
    main()
