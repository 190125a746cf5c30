"""The benchmark models in NEST 3.10, with the parameters of scripts/examples."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nest
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "examples"))

import brunel_2000
import izhikevich_2003
import potjans_diesmann_2014 as pd
import vogels_abbott_2005
from common import Run, rss


def brunel(n: int, j: float, precise: str = "") -> list[Any]:
    """Brunel (2000) at g = 5, eta = 2 with ``n`` neurons and weights ``j``; ``precise`` is "_ps" in continuous time."""
    b = brunel_2000
    c_exc, c_inh = round(b.EPSILON * 0.8 * n), round(b.EPSILON * 0.2 * n)
    params = {
        "tau_m": b.TAU_M, "C_m": 1.0, "E_L": 0.0, "V_m": 0.0, "V_th": b.THETA, "V_reset": b.V_RESET, "t_ref": b.T_REF,
    }  # fmt: skip
    exc = nest.Create("iaf_psc_delta" + precise, n - n // 5, params)
    inh = nest.Create("iaf_psc_delta" + precise, n // 5, params)
    noise = nest.Create("poisson_generator" + precise, params={"rate": 1000.0 * 2.0 * b.THETA / (j * b.TAU_M)})
    nest.Connect(noise, exc + inh, syn_spec={"weight": j, "delay": b.DELAY})
    for source, degree, weight in ((exc, c_exc, j), (inh, c_inh, -5.0 * j)):
        nest.Connect(
            source, exc + inh, {"rule": "fixed_indegree", "indegree": degree}, {"weight": weight, "delay": b.DELAY}
        )
    return [exc, inh]


def microcircuit(seed: int) -> list[Any]:
    """Potjans & Diesmann (2014) at scale 0.1."""
    scale = 0.1
    current, numbers, means = pd.constant_current(scale), pd.synapse_numbers(scale), pd.weights(scale)
    params = {k: pd.NEURON[k] for k in ("tau_m", "t_ref", "tau_syn_ex", "tau_syn_in")}
    params |= {k: pd.NEURON[k.lower()] for k in ("C_m", "E_L", "V_th", "V_reset")}
    populations = []
    for k, n in enumerate(pd.sizes(scale)):
        p = nest.Create("iaf_psc_exp", int(n), params | {"I_e": current[k]})
        p.V_m = nest.random.normal(pd.V0_MEAN[k], pd.V0_STD[k])
        noise = nest.Create("poisson_generator", params={"rate": pd.RATE_EXTERNAL * round(pd.K_EXTERNAL[k] * scale)})
        nest.Connect(noise, p, syn_spec={"weight": pd.psc(pd.PSP) / np.sqrt(scale), "delay": 1.5})
        populations.append(p)
    for t, s in zip(*np.nonzero(numbers), strict=True):
        w, delay = float(means[t, s]), pd.DELAYS[s % 2]
        bounds = {"min": 0.0} if w > 0 else {"max": 0.0}
        nest.Connect(
            populations[s], populations[t], {"rule": "fixed_total_number", "N": int(numbers[t, s])},
            {
                "weight": nest.math.redraw(nest.random.normal(w, 0.1 * abs(w)), **({"min": -1e9, "max": 1e9} | bounds)),
                "delay": nest.math.redraw(nest.random.normal(delay, 0.5 * delay), min=pd.DT, max=6.4),
            },
        )  # fmt: skip
    return populations


def _vogels_abbott(
    model: str, params: dict[str, float], w_ex: float, w_in: float, init: Callable[[Any], None], precise: str = ""
) -> list[Any]:
    v = vogels_abbott_2005
    exc, inh = (nest.Create(model + precise, n, params) for n in (3200, 800))
    for p in (exc, inh):
        init(p)
    kick = nest.Create("poisson_generator" + precise, params={"rate": v.KICK_RATE, "stop": v.KICK_STOP})
    nest.Connect(kick, exc + inh, syn_spec={"weight": w_ex, "delay": v.DELAY})
    for source, weight in ((exc, w_ex), (inh, w_in)):
        nest.Connect(source, exc + inh, {"rule": "pairwise_bernoulli", "p": v.P}, {"weight": weight, "delay": v.DELAY})
    return [exc, inh]


def cuba(precise: str = "") -> list[Any]:
    """Benchmark 2 of Brette et al. (2007); ``precise`` is "_ps" in continuous time."""
    params = {
        "tau_m": 20.0, "C_m": 200.0, "E_L": -49.0, "V_th": -50.0, "V_reset": -60.0, "t_ref": 5.0, "tau_syn_ex": 5.0,
        "tau_syn_in": 10.0,
    }  # fmt: skip

    def init(p: Any) -> None:
        p.V_m = nest.random.uniform(-60.0, -50.0)

    return _vogels_abbott("iaf_psc_exp", params, 16.2, -90.0, init, precise)


def coba(seed: int) -> list[Any]:
    """Benchmark 1 of Brette et al. (2007)."""
    params = {
        "C_m": 200.0, "g_L": 10.0, "E_L": -60.0, "V_th": -50.0, "V_reset": -60.0, "t_ref": 5.0, "E_ex": 0.0,
        "E_in": -80.0, "tau_syn_ex": 5.0, "tau_syn_in": 10.0,
    }  # fmt: skip

    def init(p: Any) -> None:
        p.V_m = nest.random.normal(-65.0, 5.0)
        p.g_ex = nest.math.redraw(nest.random.normal(40.0, 15.0), min=0.0, max=1e9)
        p.g_in = nest.math.redraw(nest.random.normal(200.0, 120.0), min=0.0, max=1e9)

    return _vogels_abbott("iaf_cond_exp", params, 6.0, -67.0, init)


def _izhikevich(n: int, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    n_exc = n * 4 // 5
    populations = []
    for size, model in zip((n_exc, n - n_exc), izhikevich_2003.models(n_exc, n - n_exc, rng), strict=True):
        p = nest.Create("izhikevich", size, {"consistent_integration": False, "V_th": 30.0, "V_m": -65.0})
        for name in "abcd":
            setattr(p, name, np.broadcast_to(model.params[name], (size,)).tolist())
        p.U_m = (-65.0 * np.broadcast_to(model.params["b"], (size,))).tolist()
        populations.append(p)
    for p, std in zip(populations, (5.0, 2.0), strict=True):
        noise = nest.Create("noise_generator", params={"std": std, "dt": 1.0})
        nest.Connect(noise, p, syn_spec={"delay": 1.0})
    everyone = populations[0] + populations[1]
    for source, degree, low, high in ((populations[0], 800, 0.0, 0.5), (populations[1], 200, -1.0, 0.0)):
        rule = {"rule": "all_to_all"} if n == 1000 else {"rule": "fixed_indegree", "indegree": degree}
        nest.Connect(source, everyone, rule, {"weight": nest.random.uniform(low, high), "delay": 1.0})
    return populations


NETWORKS: dict[str, Callable[[int], list[Any]]] = {
    "brunel": lambda seed: brunel(12500, brunel_2000.J),
    "microcircuit": microcircuit,
    "cuba": lambda seed: cuba(),
    "coba": coba,
    "izhikevich": lambda seed: _izhikevich(1000, seed),
    "izhikevich10k": lambda seed: _izhikevich(10000, seed),
    "cuba_ps": lambda seed: cuba("_ps"),
    "brunel_ps": lambda seed: brunel(1250, 1.0, "_ps"),
}


def run(model: str, threads: int, seed: int, duration: float) -> Run:
    """Build, prepare and run ``model``; spikes recorded in memory."""
    nest.ResetKernel()
    nest.set_verbosity("M_ERROR")
    nest.SetKernelStatus(
        {"local_num_threads": threads, "resolution": 1.0 if model.startswith("izh") else 0.1, "rng_seed": seed + 1}
    )
    before, begin = rss(), time.perf_counter()
    populations = NETWORKS[model](seed)
    recorder = nest.Create("spike_recorder")
    for p in populations:
        nest.Connect(p, recorder)
    nest.Prepare()
    build, grown = time.perf_counter() - begin, rss() - before
    begin, cpu = time.perf_counter(), time.process_time()
    nest.Run(duration)
    wall, cpu = time.perf_counter() - begin, time.process_time() - cpu
    nest.Cleanup()
    events = recorder.get("events")
    neurons = sum(len(p) for p in populations)
    synapses = nest.GetKernelStatus("num_connections") - 2 * neurons
    return Run(
        neurons=neurons, synapses=synapses, build=build, compile=0.0, wall=wall, cpu=cpu, grown=grown,
        times=np.asarray(events["times"]), ids=np.asarray(events["senders"]) - min(p[0].global_id for p in populations),
    )  # fmt: skip


VERSION = f"NEST {nest.__version__}"
