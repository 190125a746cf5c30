"""Networks exported to PyNN: the script written runs on NEST and its spikes are ours; what is refused."""

import subprocess
import sys

import numpy as np
import pytest

import snn
from kernels.errors import ExportError
from neuromorphic import export_pynn
from neuromorphic.pynn_export import MODELS
from snn.io.sonata import read_spikes

pytestmark = pytest.mark.cross
DT, DURATION = 0.1, 300.0


def network():
    """Recurrent, with drawn thresholds and initial values; conductance-based neurons that nobody hears."""
    net = snn.Network(seed=3)
    src = net.population("in", 40, snn.Poisson(rate=300.0, start=0.2))
    th, init = snn.normal(-55.0, 1.0), {"v": snn.uniform(-70.0, -58.0)}
    exc = net.population("exc", 60, snn.LIFExp(v_th=th, t_ref=snn.uniform(0.4, 3.0)), init=init)
    inh = net.population("inh", 20, snn.LIFAlpha(i_e=50.0), init=init)
    delta = net.population("delta", 20, snn.LIFDelta(), init=init)
    cond = net.population("cond", 20, snn.LIFCondExp(tau_syn_ex=2.0), init=init)
    for target, weight in ((exc, 60.0), (inh, 40.0), (delta, 1.1), (cond, 1.5)):
        net.connect(src, target, snn.fixed_indegree(10), weight=snn.normal(weight, weight / 10), delay=1.0)
    net.connect(exc, inh, snn.pairwise_bernoulli(0.1), weight=15.0, delay=snn.uniform(0.5, 3.0))
    net.connect(inh, exc, snn.pairwise_bernoulli(0.2), weight=-50.0, delay=1.5)
    net.connect(inh, cond, snn.pairwise_bernoulli(0.2), weight=-1.0, delay=0.7)
    net.connect(delta, delta, snn.pairwise_bernoulli(0.2), weight=snn.normal(0.0, 0.5), delay=2.0)
    given = snn.SpikeArray(np.arange(20) * 11.0 + 3.0, np.arange(20))
    net.input("kick", delta, given, weight=8.0)
    for name in ("exc", "inh", "delta", "cond"):
        net.record(name, "spikes")
    return net


def test_nest_runs_the_script_with_our_spikes(tmp_path):
    """Models that both integrate exactly: all spikes. NEST's adaptive integrator (1e-3 mV): each within a step."""
    pytest.importorskip("pyNN")
    pytest.importorskip("nest")
    folder = export_pynn(network(), tmp_path / "net", DT, DURATION)
    subprocess.run([sys.executable, folder / "run_pynn.py", "nest"], check=True, capture_output=True, timeout=300)
    theirs, ours = read_spikes(folder / "spikes.h5"), snn.Simulation(network(), dt=DT).run(DURATION).spikes
    for name in ("exc", "inh", "delta", "cond"):
        a, b = (
            list(zip(np.rint(s[name].times / DT).astype(int).tolist(), s[name].ids.tolist(), strict=True))
            for s in (theirs, ours)
        )
        assert len(b) > 60, name
        if name == "cond":
            near = {(t + late, i) for t, i in b for late in (-1, 0, 1)}
            assert len(a) == len(b) and set(a) <= near and len(set(a) & set(b)) > 0.9 * len(b)
        else:
            assert sorted(a) == sorted(b), (name, len(a), len(b), len(set(a) & set(b)))


def one(model=None, times=(1.0,)):
    net = snn.Network()
    src = net.population("in", 2, snn.SpikeArray(list(times), [0] * len(times)))
    net.connect(src, net.population("p", 2, model or snn.LIFExp()), snn.all_to_all())
    return net


def test_parameters_come_in_pynns_units(tmp_path):
    """nF, nA, uS; values of every model are read by name, so a wrong name would fail here."""
    import h5py

    for name in MODELS:
        folder = export_pynn(one(getattr(snn, name)()), tmp_path / name, DT, 10.0)
        with h5py.File(folder / "network.h5") as file:
            values = {k: x[()] for k, x in file["cells/p/parameters"].items()}
            weight = file["synapses/in->p/weights"][0]
        default = getattr(snn, name)().params
        assert values["cm"] == pytest.approx(default["c_m"] / 1000) and values["v_thresh"] == default["v_th"]
        assert weight == (1.0 if name == "LIFDelta" else pytest.approx(1e-3))
        if "g_l" in default:
            assert values["tau_m"] == pytest.approx(default["c_m"] / default["g_l"])
        if name == "AdExCondExp":
            assert values["b"] == pytest.approx(80.5e-3) and values["v_spike"] == default["v_peak"]


def test_what_has_no_counterpart_is_named(tmp_path):
    with pytest.raises(ExportError, match="Population 'p'.model: must be one of LIFDelta, .*; got Izhikevich"):
        export_pynn(one(snn.Izhikevich()), tmp_path / "a", DT, 10.0)
    with pytest.raises(ExportError, match="must not spike in the first step, 0.1 ms, .* got in. Move .* start=0.2"):
        export_pynn(one(times=(0.1,)), tmp_path / "b", DT, 10.0)
    export_pynn(one(times=(0.2,)), tmp_path / "c", DT, 10.0)
    with pytest.raises(ExportError, match="folder: must be new or empty"):
        export_pynn(one(), tmp_path / "c", DT, 10.0)
