"""The device of backend="cuda": missing, too old, full or failing; what a program sees of it; inference on it.

Without a device, test_cuda.py runs this file in Numba's simulator of one.
"""

import os
import sys

import numpy as np
import pytest
from numba import cuda
from numba.core.errors import TypingError

import plasticity
import snn
from kernels.cpu.infer import currents
from kernels.errors import BackendUnavailable, ModelError

DT = 0.1
SIMULATED = os.environ.get("NUMBA_ENABLE_CUDASIM") == "1"


@pytest.mark.skipif(cuda.is_available(), reason="there is a device")
def test_absent():
    net = snn.Network()
    net.population("a", 1, snn.LIFExp())
    with pytest.raises(BackendUnavailable, match='backend="cuda": .* Install the extra "cuda"'):
        snn.Simulation(net, backend="cuda")


@pytest.mark.skipif(SIMULATED or cuda.is_available(), reason="there is a device")
@pytest.mark.parametrize("error", [RuntimeError("The CUDA driver is too old:\n needs 525 or newer"), None])
def test_old_driver(monkeypatch, error):
    from kernels.cuda import jit

    def why():
        if error:
            raise error

    monkeypatch.setattr(jit.cuda, "cuda_error", why)
    reason = "The CUDA driver is too old: needs 525 or newer" if error else "no CUDA device found"
    net = snn.Network()
    net.population("a", 1, snn.LIFExp())
    with pytest.raises(BackendUnavailable, match=f'backend="cuda": {reason}. Install the extra "cuda"'):
        snn.Simulation(net, backend="cuda")
    for wrong in ({"backend": "cuda"}, {"backend": "tpu"}, {"device": 1}):
        with pytest.raises((BackendUnavailable, ModelError), match="backend|device"):
            snn.Classifier(*classifying(False, "v"), "out", **wrong)
    snn.Simulation(net, backend="reference").run(0.2)


def test_options():
    net = snn.Network()
    net.population("a", 1, snn.LIFExp())
    for options in ({"device": 1}, {"deterministic": True}, {"device": -1}, {"deterministic": 1}, {"device": True}):
        with pytest.raises(ModelError, match=f"Simulation.{next(iter(options))}: "):
            snn.Simulation(net, **options)
    with pytest.raises(BackendUnavailable, match='engine="clock" only'):
        snn.Simulation(net, backend="cuda", engine="event")


@pytest.mark.gpu
def test_memory_plan_of_a_billion_synapses():
    """Nothing is drawn or allocated: at most 8 bytes a synapse, all of it in what one GPU has."""
    from kernels.cuda.arrays import arrays, memory_plan
    from snn.compile import compile_network
    from snn.memory import estimate

    values = {"weight": snn.normal(1.0, 0.1), "delay": snn.normal(1.5, 0.7, low=0.1, high=20.0)}
    for given, most in (({"weight": 0.1, "delay": 1.5}, 2.2), (values, 7.2)):
        net = snn.Network(seed=1)
        a = net.population("a", 1_000_000, snn.LIFDelta())
        net.connect(a, a, snn.fixed_indegree(1000), **given)
        compiled = compile_network(net, DT, "float32", 1, on_device=True)
        plan = memory_plan(compiled, arrays(compiled, 32, False))
        assert compiled.n_edges == 10**9 and "edges built on the host" not in plan
        assert 1.0 < plan["edges drawn on the device"] / 1e9 < most < 8.0
        assert sum(plan.values()) < 12e9
        assert estimate(net, "clock", "float32", on_device=True) < (1e9, 1), "the host holds no edge"


@pytest.mark.gpu
def test_memory_plan_is_told_and_refused(monkeypatch, capsys):
    from kernels.cuda import engine

    net = snn.Network(seed=1)
    a = net.population("a", 4, snn.LIFExp())
    net.connect(a, a, snn.fixed_indegree(2), weight=1.0, delay=1.0)
    monkeypatch.setattr(engine, "free_bytes", lambda: 1000)
    needed = "needs [0-9,]+ bytes of device memory; 1,000 are free .*edges drawn on the device"
    with pytest.raises(BackendUnavailable, match=needed):
        snn.Simulation(net, backend="cuda")
    assert "device memory: " in capsys.readouterr().err
    monkeypatch.setattr(engine, "free_bytes", lambda: 10**10)
    snn.Simulation(net, backend="cuda").run(1.0)  # the process goes on
    assert " MiB of 9,537 free: neurons and inputs " in capsys.readouterr().err


@pytest.mark.skipif(not SIMULATED, reason="needs two devices")
def test_simulations_on_several_devices(monkeypatch):
    """Each works on its own, whatever was worked on last."""
    from contextlib import nullcontext
    from types import SimpleNamespace

    from kernels.cuda import engine, jit

    used = []
    monkeypatch.setattr(engine, "on", lambda number: nullcontext(used.append(number)))
    net = snn.Network(seed=1)
    a = net.population("a", 4, snn.LIFExp())
    net.connect(a, a, snn.fixed_indegree(2), weight=1.0, delay=1.0, plasticity=plasticity.STDPPair(), name="p")
    sims = [snn.Simulation(net, dt=DT, backend="cuda", device=number, quiet=True) for number in (0, 1)]
    for number in (0, 1, 0):
        used.clear()
        sims[number].run(1.0)
        sims[number].connections("p")
        sims[number].set_weights("p", 0.5)
        assert used and set(used) == {number}

    devices = SimpleNamespace(get_current_device=lambda: SimpleNamespace(id=0), gpus=["device 0", "device 1"])
    monkeypatch.setattr(jit, "SIMULATED", False)
    monkeypatch.setattr(jit, "cuda", devices)
    assert jit.on(1) == "device 1" and isinstance(jit.on(0), nullcontext)


@pytest.mark.gpu
def test_views_of_what_lies_on_the_device():
    net = snn.Network(seed=1)
    net.population("none", 3, snn.Poisson(1.0))
    a = net.population("a", 6, snn.LIFExp(i_e=2000.0), init={"v": snn.uniform(-70.0, -55.0)})
    net.record(a)
    sim = snn.Simulation(net, dt=DT, backend="cuda", quiet=True)
    sim.run(2.0)
    for variable in ("v", "refractory"):
        view = sim.device_state("a", variable)
        assert SIMULATED or view.__cuda_array_interface__["shape"] == (6,)
        np.testing.assert_array_equal(view.copy_to_host(), sim.state("a", variable))
        if SIMULATED:  # its device is the CPU
            np.testing.assert_array_equal(np.from_dlpack(view), sim.state("a", variable))
    expected, found = sim.run(0.1).spikes["a"], sim.device_spikes()
    while not len(expected):
        expected, found = sim.run(0.1).spikes["a"], sim.device_spikes()
    start, steps, ids = found[0], found[1].copy_to_host(), found[2].copy_to_host()
    np.testing.assert_allclose((start + steps + 1) * DT, expected.times)
    np.testing.assert_array_equal(np.sort(ids) - 3, expected.ids)
    with pytest.raises(BackendUnavailable, match='device_spikes: needs backend="cuda"; got backend="reference"'):
        snn.Simulation(net, backend="reference").device_spikes()


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", ["f8", "f4", "i8", "i4", "u4"])
def test_capsules_of_dlpack(dtype):
    """Nothing is copied; the array lives as long as somebody has taken it, or the capsule of it."""
    torch = pytest.importorskip("torch")
    from kernels.cuda.dlpack import View
    from kernels.cuda.jit import send

    array = send(np.arange(6, dtype=dtype))
    view, before = View(array), sys.getrefcount(array)
    tensor, capsule = torch.from_dlpack(view), view.__dlpack__()
    assert tensor.dtype == getattr(torch, {"f": "float", "i": "int", "u": "uint"}[dtype[0]] + str(8 * int(dtype[1])))
    if SIMULATED:
        array[2] = 7
        assert np.shares_memory(np.from_dlpack(view), array)
        assert tensor.tolist() == [0, 1, 7, 3, 4, 5]
    assert sys.getrefcount(array) == before + 2
    del tensor, capsule
    assert sys.getrefcount(array) == before
    for options in ({"copy": True}, {"dl_device": (9, 0)}):
        with pytest.raises(BufferError, match="View.__dlpack__: "):
            view.__dlpack__(**options)


class CudaAPIError(Exception):
    """As numba's driver raises it."""


@pytest.mark.gpu
@pytest.mark.parametrize("error, text", [
    (CudaAPIError("[2] cuMemAlloc results in CUDA_ERROR_OUT_OF_MEMORY"), "the device ran out of memory .*cuMemAlloc"),
    (MemoryError(), "the device ran out of memory"),
    (TypingError("Unknown attribute 'lgamma_of'"), "the kernels .* do not compile .* 'lgamma_of'.*CUDA lacks"),
])  # fmt: skip
def test_errors_of_the_device_are_named_and_pass(monkeypatch, error, text):
    from kernels.cuda import engine

    def failing(value):
        raise error

    net = snn.Network()
    net.population("a", 2, snn.LIFExp())
    with monkeypatch.context() as patch:
        patch.setattr(engine, "send", failing)
        with pytest.raises(BackendUnavailable, match=f'backend="cuda": {text}'):
            snn.Simulation(net, backend="cuda", quiet=True)
    snn.Simulation(net, backend="cuda", quiet=True).run(0.2)


@pytest.mark.gpu
def test_errors_of_our_own_stay_what_they_are(monkeypatch):
    from kernels.cuda import engine

    monkeypatch.setattr(engine, "send", lambda value: 1 / 0)
    net = snn.Network()
    net.population("a", 2, snn.LIFExp())
    with pytest.raises(ZeroDivisionError):
        snn.Simulation(net, backend="cuda", quiet=True)


def classifying(spiking, readout):
    """A network and its encoder. Weights are multiples of 1/64: sums are exact, and nothing depends on their order."""
    rng, fire = np.random.default_rng(3), dict(alpha=0.0, beta=1.0, v_th=1.0, reset=1)
    net = snn.Network()
    hidden = net.population("hidden", 7, snn.CubaLIF(**fire), init={"v": 0.5})
    out = net.population("out", 3, snn.CubaLIF(**fire if readout == "spikes" else fire | {"v_th": 1e300}))
    net.connect(hidden, out, snn.all_to_all(), weight=rng.integers(-32, 64, (7, 3)) / 64, delay=1.0)
    net.connect(hidden, hidden, snn.fixed_indegree(2), weight=-0.25, delay=snn.uniform(1.0, 3.0))
    weight = rng.integers(-16, 64, (5, 7)) / 64
    for p in (hidden, out):
        net.record(p)
    net.record(out, "v")
    if not spiking:
        net.input("x", hidden, snn.StepCurrent(np.zeros((1, 7))))
        return net, snn.encode.Direct("x", weight.T)
    sources = net.population("sources", 5, snn.SpikeArray([]))
    net.connect(sources, hidden, snn.all_to_all(), weight=weight, delay=2.0)
    net.record(sources)
    return net, snn.encode.Rate("sources", seed=5)


def simulated(batch, spiking, readout, steps):
    """Accumulated outputs, spikes and synaptic operations of encoded samples, by step, from the reference engine."""
    nets = []
    for n in range(len(batch.currents)):
        nets.append(classifying(spiking, readout)[0])
        if spiking:
            mine = slice(batch.first[n], batch.first[n + 1])
            nets[-1].populations["sources"].model = snn.SpikeArray(batch.step[mine] + 1.0, batch.id[mine])
        else:
            nets[-1].inputs["x"].source = snn.StepCurrent(currents(batch)[n][None])
    joined, found = snn.join(nets), []
    sim = snn.Simulation(joined, dt=1.0, backend="reference", quiet=True)
    fan = {name: sum(np.bincount(sim.connections(f"0:{q.name}")[0], minlength=p.n)
                     for q in nets[0].projections.values() if q.source.name == name) + np.zeros(p.n, int)
           for name, p in nets[0].populations.items()}  # fmt: skip
    for result in joined.split(sim.run(float(steps))):
        spikes, synops, classes = np.zeros(steps, int), np.zeros(steps, int), np.zeros((steps, 3))
        for name, record in result.spikes.items():
            at = np.rint(record.times).astype(int) - 1
            np.add.at(spikes, at, 1)
            np.add.at(synops, at, fan[name][record.ids])
            if name == "out":
                np.add.at(classes, (at, record.ids), 1.0)
        found.append((classes if readout == "spikes" else result.states["out"]["v"], spikes, synops))
    return [np.stack(x, axis=1) for x in zip(*found, strict=True)]


@pytest.mark.gpu
@pytest.mark.parametrize("spiking, readout, latency", [(False, "v", "synchronous"), (True, "spikes", "pipelined")])
def test_classifier_with_early_exit(spiking, readout, latency):
    from snn.confidence import EarlyExit

    x, t_max = np.random.default_rng(4).integers(0, 64, (5, 5)) / 64, 10
    net, encoder = classifying(spiking, readout)
    classifier = snn.Classifier(net, encoder, "out", readout=readout, latency=latency, backend="cuda")
    trace, skip = classifier.record(x, t_max), 0 if latency == "pipelined" else classifier.depth - 1
    batch = encoder.encode(encoder.check(x, 5 if spiking else 7), trace.ids, t_max + skip)
    outputs, spikes, synops = simulated(batch, spiking, readout, t_max + skip)
    if readout == "spikes":
        outputs = np.cumsum(outputs[skip:], axis=0)
    np.testing.assert_array_equal(trace.outputs, outputs[-t_max:])
    np.testing.assert_array_equal(trace.spikes, np.cumsum(spikes, axis=0)[skip:])
    np.testing.assert_array_equal(trace.synops, np.cumsum(synops, axis=0)[skip:])
    assert spikes.sum() > 100 and classifier.fingerprint(t_max)["backend"] == "cuda"
    found = set()
    for agent in (EarlyExit("margin", bar=0.7), EarlyExit("maxprob", scale=1.0, bar=0.5, max_steps=7)):
        expected, decided = agent.decide(trace), classifier.run(x, agent, t_max, ids=trace.ids)
        for name in ("steps", "labels", "reasons"):
            np.testing.assert_array_equal(getattr(decided, name), getattr(expected, name), err_msg=name)
        np.testing.assert_array_equal(decided.synops, trace.synops[expected.steps - 1, range(5)])
        found |= set(expected.steps.tolist())
    assert len(found) > 2, "samples must stop at different steps"
