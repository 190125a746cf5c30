"""The benchmark models in Brian2 2.9, C++ standalone, with the parameters of scripts/examples."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import brian2 as b2
import numpy as np
from brian2 import Hz, ms, mV, nS, pA, pF

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import brunel_2000
import izhikevich_2003
import potjans_diesmann_2014 as pd
import vogels_abbott_2005
from common import LEARNING_RATE, Run

# ids run over all populations in one group; everything is returned as (group, other objects)
Built = tuple[Any, list[Any]]


def _connect_indegree(synapses: Any, n_source: int, n_target: int, degree: int, seed: int) -> None:
    """Fixed in-degree, stored by source: the order in which Brian2 delivers fastest."""
    sources = np.random.default_rng(seed).integers(0, n_source, n_target * degree, dtype=np.int32)
    order = np.argsort(sources, kind="stable")
    synapses.connect(i=sources[order], j=np.repeat(np.arange(n_target, dtype=np.int32), degree)[order])


def brunel(seed: int, plastic: bool = False) -> Built:
    """Brunel (2000), AI state, 12,500 neurons; ``plastic``: pair STDP between excitatory neurons."""
    b = brunel_2000
    group = b2.NeuronGroup(
        12500, "dv/dt = -v / tau : volt (unless refractory)", threshold="v >= theta", reset="v = v_reset",
        refractory=b.T_REF * ms, method="exact",
        namespace={"tau": b.TAU_M * ms, "theta": b.THETA * mV, "v_reset": b.V_RESET * mV},
    )  # fmt: skip
    exc, inh = group[:10000], group[10000:]
    noise = b2.PoissonInput(group, "v", N=1000, rate=2.0 * b.THETA / (b.J * b.TAU_M) * Hz, weight=b.J * mV)
    synapses = []
    for source, degree, weight in ((exc, 1000, b.J), (inh, 250, -5.0 * b.J)):
        learns = plastic and source is exc
        s = b2.Synapses(
            source, inh if learns else group, on_pre="v_post += weight", delay=b.DELAY * ms,
            namespace={"weight": weight * mV},
        )  # fmt: skip
        _connect_indegree(s, len(source), 2500 if learns else 12500, degree, seed + degree)
        synapses.append(s)
    if plastic:
        s = b2.Synapses(
            exc, exc,
            """w : volt
            dpre/dt = -pre / tau_stdp : 1 (event-driven)
            dpost/dt = -post / tau_stdp : 1 (event-driven)""",
            on_pre="w = clip(w - rate * w * post, 0 * mV, w_max); v_post += w; pre += 1",
            on_post="post += 1; w = clip(w + rate * (w_max - w) * pre, 0 * mV, w_max)", delay=b.DELAY * ms,
            namespace={"tau_stdp": 20 * ms, "rate": LEARNING_RATE, "w_max": 2.0 * b.J * mV},
        )  # fmt: skip
        _connect_indegree(s, 10000, 10000, 1000, seed)
        s.w = b.J * mV
        s.post.delay = b.DELAY * ms  # the whole delay is dendritic
        synapses.append(s)
    return group, [noise, *synapses]


def microcircuit(seed: int) -> Built:
    """Potjans & Diesmann (2014) at scale 0.1: one group, one set of synapses with weights of both signs."""
    scale = 0.1
    sizes, numbers, means = pd.sizes(scale), pd.synapse_numbers(scale), pd.weights(scale)
    first = np.concatenate(([0], np.cumsum(sizes)))
    p = pd.NEURON
    group = b2.NeuronGroup(
        int(first[-1]),
        """dv/dt = (e_l - v) / tau_m + (i_syn + i_e) / c_m : volt (unless refractory)
        di_syn/dt = -i_syn / tau_syn : amp
        i_e : amp (constant)""",
        threshold="v >= v_th", reset="v = v_reset", refractory=p["t_ref"] * ms, method="exact",
        namespace={
            "e_l": p["e_l"] * mV, "tau_m": p["tau_m"] * ms, "c_m": p["c_m"] * pF, "tau_syn": p["tau_syn_ex"] * ms,
            "v_th": p["v_th"] * mV, "v_reset": p["v_reset"] * mV,
        },
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    group.v = np.concatenate([rng.normal(pd.V0_MEAN[k], pd.V0_STD[k], n) for k, n in enumerate(sizes)]) * mV
    group.i_e = np.repeat(pd.constant_current(scale), sizes) * pA
    others: list[Any] = []
    for k in range(8):
        part = group[first[k] : first[k + 1]]
        inputs = round(pd.K_EXTERNAL[k] * scale)
        weight = pd.psc(pd.PSP) / np.sqrt(scale) * pA
        others.append(b2.PoissonInput(part, "i_syn", N=inputs, rate=pd.RATE_EXTERNAL * Hz, weight=weight))
    sources, targets, weights, delays = [], [], [], []
    for t, s in zip(*np.nonzero(numbers), strict=True):
        n, d = int(numbers[t, s]), pd.DELAYS[s % 2]
        sources.append(rng.integers(first[s], first[s + 1], n))
        targets.append(rng.integers(first[t], first[t + 1], n))
        weights.append(rng.normal(means[t, s], 0.1 * abs(means[t, s]), n))
        delay = rng.normal(d, 0.5 * d, n)
        while (low := delay < pd.DT).any():
            delay[low] = rng.normal(d, 0.5 * d, low.sum())
        delays.append(delay)
    synapses = b2.Synapses(group, group, "w : amp (constant)", on_pre="i_syn_post += w")
    synapses.connect(i=np.concatenate(sources), j=np.concatenate(targets))
    synapses.w = np.concatenate(weights) * pA
    synapses.delay = np.concatenate(delays) * ms
    return group, [*others, synapses]


def _kick(group: Any, variable: str, weight: Any, seed: int) -> list[Any]:
    v = vogels_abbott_2005
    rng = np.random.default_rng(seed)
    count = rng.poisson(v.KICK_RATE * v.KICK_STOP * 1e-3, 4000)
    ids = np.repeat(np.arange(4000), count)
    steps = np.unique(np.rint(rng.uniform(0.0, v.KICK_STOP, ids.size) / v.DT).astype(int) * 4000 + ids)  # one a step
    source = b2.SpikeGeneratorGroup(4000, steps % 4000, steps // 4000 * v.DT * ms)
    synapses = b2.Synapses(source, group, on_pre=f"{variable}_post += weight", namespace={"weight": weight})
    synapses.connect(j="i")
    return [source, synapses]


def _vogels_abbott(group: Any, weight_ex: Any, weight_in: Any, seed: int) -> Built:
    others = _kick(group, "g_ex", weight_ex, seed)
    for part, variable, weight in ((group[:3200], "g_ex", weight_ex), (group[3200:], "g_in", weight_in)):
        s = b2.Synapses(part, group, on_pre=f"{variable}_post += weight", namespace={"weight": weight})
        s.connect(p=vogels_abbott_2005.P)
        others.append(s)
    return group, others


def cuba(seed: int) -> Built:
    """Benchmark 2 of Brette et al. (2007), in mV; no delay: a spike acts from the next step on."""
    group = b2.NeuronGroup(
        4000,
        """dv/dt = (g_ex + g_in - (v - e_l)) / tau_m : volt (unless refractory)
        dg_ex/dt = -g_ex / tau_ex : volt
        dg_in/dt = -g_in / tau_in : volt""",
        threshold="v >= v_th", reset="v = v_reset", refractory=5 * ms, method="exact",
        namespace={
            "tau_m": 20 * ms, "tau_ex": 5 * ms, "tau_in": 10 * ms, "e_l": -49 * mV, "v_th": -50 * mV,
            "v_reset": -60 * mV,
        },
    )  # fmt: skip
    group.v = "-60 * mV + rand() * 10 * mV"
    return _vogels_abbott(group, 1.62 * mV, -9 * mV, seed)


def coba(seed: int) -> Built:
    """Benchmark 1 of Brette et al. (2007), exponential Euler."""
    group = b2.NeuronGroup(
        4000,
        """dv/dt = (g_l * (e_l - v) + g_ex * (e_ex - v) + g_in * (e_in - v)) / c_m : volt (unless refractory)
        dg_ex/dt = -g_ex / tau_ex : siemens
        dg_in/dt = -g_in / tau_in : siemens""",
        threshold="v >= v_th", reset="v = v_reset", refractory=5 * ms, method="exponential_euler",
        namespace={
            "g_l": 10 * nS, "c_m": 200 * pF, "e_l": -60 * mV, "e_ex": 0 * mV, "e_in": -80 * mV, "tau_ex": 5 * ms,
            "tau_in": 10 * ms, "v_th": -50 * mV, "v_reset": -60 * mV,
        },
    )  # fmt: skip
    group.v = "-65 * mV + randn() * 5 * mV"
    group.g_ex = "clip(40 + 15 * randn(), 0, 1000) * nS"
    group.g_in = "clip(200 + 120 * randn(), 0, 1000) * nS"
    return _vogels_abbott(group, 6 * nS, 67 * nS, seed)


def _izhikevich(n: int, seed: int) -> Built:
    rng = np.random.default_rng(seed)
    n_exc = n * 4 // 5
    exc, inh = izhikevich_2003.models(n_exc, n - n_exc, rng)
    group = b2.NeuronGroup(
        n,
        """v : 1
        u : 1
        i_syn : 1
        a : 1 (constant)
        b : 1 (constant)
        c : 1 (constant)
        d : 1 (constant)
        noise : 1 (constant)""",
        threshold="v >= 30", reset="v = c; u += d",
    )  # fmt: skip
    for name in "abcd":
        values = [np.broadcast_to(m.params[name], (k,)) for m, k in ((exc, n_exc), (inh, n - n_exc))]
        setattr(group, name, np.concatenate(values))
    group.v, group.u = -65.0, "-65 * b"
    group.noise = np.repeat([5.0, 2.0], [n_exc, n - n_exc])
    update = group.run_regularly(
        """x = i_syn + noise * randn()
        v += 0.5 * (0.04 * v * v + 5 * v + 140 - u + x)
        v += 0.5 * (0.04 * v * v + 5 * v + 140 - u + x)
        u += a * (b * v - u)
        i_syn = 0""",
        dt=1 * ms, when="groups",
    )  # fmt: skip
    synapses = []
    for part, degree, weight in ((group[:n_exc], 800, "0.5 * rand()"), (group[n_exc:], 200, "-rand()")):
        s = b2.Synapses(part, group, "w : 1 (constant)", on_pre="i_syn_post += w")
        if n == 1000:
            s.connect()
        else:
            _connect_indegree(s, len(part), n, degree, seed + degree)
        s.w = weight
        synapses.append(s)
    return group, [update, *synapses]


NETWORKS: dict[str, Callable[[int], Built]] = {
    "brunel": brunel,
    "microcircuit": microcircuit,
    "cuba": cuba,
    "coba": coba,
    "izhikevich": lambda seed: _izhikevich(1000, seed),
    "izhikevich10k": lambda seed: _izhikevich(10000, seed),
    "brunel_stdp": lambda seed: brunel(seed, plastic=True),
}
# wall clock of the simulation and peak memory, written by the binary itself
_CLOCK = 'std::ofstream("clock.txt", std::ios::app) << std::fixed << ({0}) << std::endl;'
_NOW = "([]{ struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + 1e-9 * t.tv_nsec; })()"
_CPU = "([]{ struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + 1e-9 * t.tv_nsec; })()"
_PEAK = """{ std::ifstream f("/proc/self/status"); std::string line; std::ofstream o("peak.txt");
while (std::getline(f, line)) if (line.rfind("VmHWM", 0) == 0) o << line << std::endl; }"""


def run(model: str, threads: int, seed: int, duration: float) -> Run:
    """Generate, compile and run ``model`` in a temporary folder."""
    b2.prefs.devices.cpp_standalone.openmp_threads = threads if threads > 1 else 0
    with tempfile.TemporaryDirectory() as folder:
        b2.set_device("cpp_standalone", directory=folder, build_on_run=False)
        b2.defaultclock.dt = (1.0 if model.startswith("izh") else 0.1) * ms
        b2.seed(seed)
        group, others = NETWORKS[model](seed)
        spikes = b2.SpikeMonitor(group)
        for slot in ("before_network_run", "after_network_run"):
            for clock in (_NOW, _CPU):
                b2.device.insert_code(slot, _CLOCK.format(clock))
        b2.device.insert_code("after_network_run", _PEAK)
        network = b2.Network(group, spikes, *others)
        network.run(duration * ms)
        begin = time.perf_counter()
        b2.device.build(directory=folder, compile=True, run=False, with_output=False)
        compiled = time.perf_counter() - begin
        begin = time.perf_counter()
        b2.device.run(directory=folder, with_output=False, run_args=[])
        total = time.perf_counter() - begin
        clock = np.loadtxt(f"{folder}/clock.txt" if Path(f"{folder}/clock.txt").exists() else "clock.txt")
        peak_file = Path(folder) / "peak.txt"
        peak = int(peak_file.read_text().split()[1]) * 1024
        wall, cpu = clock[2] - clock[0], clock[3] - clock[1]
        synapses = sum(len(s) for s in others if isinstance(s, b2.Synapses))
        if model in ("cuba", "coba"):
            synapses -= 4000
        return Run(
            neurons=len(group), synapses=synapses, build=total - wall, compile=compiled, wall=wall, cpu=cpu, grown=peak,
            times=np.asarray(spikes.t / ms), ids=np.asarray(spikes.i), peak=peak,
        )  # fmt: skip


VERSION = f"Brian2 {b2.__version__} (C++ standalone)"
