# /// script
# requires-python = "==3.10.*"
# dependencies = ["lava-nc==0.10.0", "numpy<2"]
# ///
# ruff: noqa: D101, D102, E402
# mypy: ignore-errors
"""Run the network in this folder in Lava (fixed point, simulated on the CPU); write what it did to result.npz.

    python run_lava.py [--dense]          in a Python 3.10 environment with lava-nc 0.10.0

Needs nothing else: network.json and arrays.npz beside this file hold everything. ``--dense`` stores connections as
matrices (Lava's Dense and DelayDense) in place of Sparse and DelaySparse. The last line printed is one JSON object.
"""

# Lava finds models only in the module of their process, so classes and imports are not inside functions.

import argparse
import importlib.metadata
import json
import sys
import time
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
LIF_ARRAYS = ("du", "dv", "bias_mant", "bias_exp", "vth", "u", "v")
OUR_ARRAYS = ("subtract", "refractory", "vth_lo", "reset_interval", "reset_offset")
LAVA = "0.10.0"

try:
    found = importlib.metadata.version("lava-nc")
except importlib.metadata.PackageNotFoundError:
    found = "none"
if found != LAVA:
    sys.exit(f"run_lava: needs lava-nc {LAVA}; {sys.executable} has {found}.")

import numpy as np
from lava.magma.core.decorator import implements, requires, tag
from lava.magma.core.learning.learning_rule import Loihi2FLearningRule, Loihi3FLearningRule
from lava.magma.core.model.py.model import PyLoihiProcessModel
from lava.magma.core.model.py.ports import PyInPort, PyOutPort
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.resources import CPU
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol
from lava.proc.dense.models import PyLearningDenseModelBitApproximate
from lava.proc.dense.process import DelayDense, Dense, LearningDense
from lava.proc.io.source import RingBuffer
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.lif.process import LIF
from lava.proc.sparse.process import DelaySparse, Sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix


class WatchedLIF(LIF):
    """Lava's LIF, whose state can be seen from outside and set back, with what Lava's others add, neuron by neuron.

    Spikes subtract the threshold; v stands still for ``refractory`` steps (Lava's LIFRefractory has no fixed-point
    model); spikes of value -1 below vth_lo (TernaryLIF); u and v set to 0 at intervals (LIFReset).
    """

    def __init__(self, ours, **parameters):
        start = {"u_start": parameters["u"], "v_start": parameters["v"]}
        super().__init__(**ours, **start, **parameters)
        self.clear_in = InPort(shape=(1,))
        self.u_out = OutPort(shape=parameters["shape"])
        self.v_out = OutPort(shape=parameters["shape"])


@implements(proc=WatchedLIF, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyWatchedLIF(PyLifModelBitAcc):
    implements_process = None  # @implements refuses a class that has one, and PyLifModelBitAcc has
    clear_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    u_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    v_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.subtract = proc_params["subtract"].astype(bool)
        for name in ("refractory", "vth_lo", "reset_interval", "reset_offset", "u_start", "v_start"):
            setattr(self, name, proc_params[name])
        self.wait = np.zeros_like(self.refractory)  # refractory steps to come

    def subthr_dynamics(self, activation_in):
        before, waits = self.v.copy(), self.wait > 0
        super().subthr_dynamics(activation_in)
        self.v[waits] = before[waits]
        self.wait[waits] -= 1

    def spiking_activation(self):
        below = self.v < np.left_shift(self.vth_lo, self.vth_shift)
        return super().spiking_activation().astype(np.int32) - below

    def reset_voltage(self, spike_vector):
        fired = spike_vector != 0
        soft = fired & self.subtract
        self.v[soft] -= np.broadcast_to(self.effective_vth, self.v.shape)[soft]
        super().reset_voltage(fired & ~self.subtract)
        self.wait[fired] = self.refractory[fired]

    def run_spk(self):
        if self.clear_in.recv()[0]:
            self.a_in.recv()
            self.u[:], self.v[:], self.wait[:] = self.u_start, self.v_start, 0
            self.s_out.send(np.zeros(self.v.shape, np.int32))
        else:
            since, every = self.time_step - self.reset_offset, self.reset_interval
            due = (every > 0) & (since % np.maximum(every, 1) == 0)
            self.u[due], self.v[due] = 0, 0
            super().run_spk()
        self.u_out.send(self.u)
        self.v_out.send(self.v)


class Samples(AbstractProcess):
    """Sends the spikes of one sample after another, and goes to the next where told to clear."""

    def __init__(self, shape, first, when, ids):
        super().__init__(first=first, when=when, ids=ids, width=shape[0])
        self.clear_in = InPort(shape=(1,))
        self.s_out = OutPort(shape=shape)


@implements(proc=Samples, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PySamples(PyLoihiProcessModel):
    clear_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.first, self.when, self.ids = (proc_params[k] for k in ("first", "when", "ids"))
        self.sample, self.step, self.data = 0, 0, np.zeros(proc_params["width"], np.int32)

    def run_spk(self):
        self.data[:] = 0
        if self.clear_in.recv()[0]:
            self.sample, self.step = self.sample + 1, 0
        elif self.sample + 1 < len(self.first):
            self.step += 1
            mine = slice(self.first[self.sample], self.first[self.sample + 1])
            self.data[self.ids[mine][self.when[mine] == self.step]] = 1
        self.s_out.send(self.data)


class Readout(AbstractProcess):
    """Stops a sample as soon as the largest v leads by more than the bar; a step later it tells all to clear."""

    def __init__(self, shape, bar, last, t_min, every, path, steps):
        super().__init__(bar=bar, last=last, t_min=t_min, every=every, path=path, steps=steps)
        self.v_in = InPort(shape=shape)
        self.clear_out = OutPort(shape=(1,))


@implements(proc=Readout, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyReadout(PyLoihiProcessModel):
    v_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    clear_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        for name in ("bar", "last", "t_min", "every", "path", "steps"):
            setattr(self, name, proc_params[name])
        self.stopped, self.step, self.decisions = False, 0, []

    def run_spk(self):
        self.clear_out.send(np.array([self.stopped], np.int32))  # before it waits for v, which waits for this
        v = self.v_in.recv()
        if self.stopped:
            self.stopped, self.step = False, 0
        else:
            self.step += 1
            lead = np.diff(np.sort(v)[-2:])[0]
            asked = self.bar is not None and self.step >= self.t_min and self.step % self.every == 0
            self.stopped = bool(asked and lead > self.bar) or self.step == self.last
            if self.stopped:
                self.decisions.append((self.step, int(np.argmax(v))))
        if self.time_step == self.steps:
            np.save(self.path, np.array(self.decisions, np.int64).reshape(-1, 2))


class Place(AbstractProcess):
    """Passes on what it receives as entries ``first`` .. of a longer vector, in the same step: Lava joins no ports."""

    def __init__(self, shape, first, total):
        super().__init__(first=first, total=total)
        self.a_in = InPort(shape=shape)
        self.s_out = OutPort(shape=(total,))


@implements(proc=Place, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyPlace(PyLoihiProcessModel):
    a_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    s_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.first, self.data = proc_params["first"], np.zeros(proc_params["total"], np.int32)

    def run_spk(self):
        received = self.a_in.recv()
        self.data[self.first : self.first + len(received)] = received
        self.s_out.send(self.data)


class Learning(LearningDense):
    """Lava's ``LearningDense`` with pairs that no synapse joins; writes w, d and t of the others at the end."""


@implements(proc=Learning, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyLearning(PyLearningDenseModelBitApproximate):
    implements_process = None

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.at, self.path, self.steps = (proc_params[k] for k in ("at", "path", "steps"))
        self.joined = np.zeros(proc_params["shape"], bool)
        self.joined[self.at] = True

    def keep(self):
        if self.time_step == self.steps:
            np.save(self.path, np.array([x[self.at] for x in (self.weights, self.tag_2, self.tag_1)], np.int64))

    def run_spk(self):
        super().run_spk()
        self.keep()

    def run_lrn(self):
        super().run_lrn()
        self.weights = np.where(self.joined, self.weights, 0)
        self.keep()


class PostTraces(AbstractProcess):
    """What neurons send to a three-factor rule: y1 of their spikes up to the last step, y2 of what arrives, y3 = 0."""

    def __init__(self, shape, impulse, taus, bits):
        keep = [float(np.exp(-1 / tau)) if tau else 0.0 for tau in taus]
        super().__init__(impulse=impulse * 2**bits, keep=keep, bits=bits, width=shape[0])
        self.s_in, self.third_in = InPort(shape=shape), InPort(shape=shape)
        self.y1_out, self.y2_out, self.y3_out = (OutPort(shape=shape) for _ in range(3))


@implements(proc=PostTraces, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyPostTraces(PyLoihiProcessModel):
    s_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    third_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)
    y1_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    y2_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)
    y3_out = LavaPyType(PyOutPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.impulse, self.kept, self.bits = (proc_params[k] for k in ("impulse", "keep", "bits"))
        self.y1, self.y2, self.spikes = (np.zeros(proc_params["width"], np.int64) for _ in range(3))

    def run_spk(self):
        self.y1 = np.floor(self.y1 * self.kept[0] + self.impulse * self.spikes).astype(np.int64)
        self.spikes = self.s_in.recv()
        self.y2 = np.floor(self.y2 * self.kept[1] + (self.third_in.recv().astype(np.int64) << self.bits))
        self.y2, half = self.y2.astype(np.int64), 2**self.bits // 2
        self.y1_out.send(((self.y1 + half) >> self.bits).astype(np.int32))
        self.y2_out.send(((self.y2 + half) >> self.bits).astype(np.int32))
        self.y3_out.send(np.zeros(self.y1.shape, np.int32))


class FileSink(AbstractProcess):
    """Writes what it receives in ``steps`` steps to ``path``: reading it through Var.get takes far longer."""

    def __init__(self, shape, path, steps):
        super().__init__(path=path, steps=steps, width=shape[0])
        self.a_in = InPort(shape=shape)


@implements(proc=FileSink, protocol=LoihiProtocol)
@requires(CPU)
@tag("fixed_pt")
class PyFileSink(PyLoihiProcessModel):
    a_in = LavaPyType(PyInPort.VEC_DENSE, np.int32)

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.path, self.steps = proc_params["path"], proc_params["steps"]
        self.data = np.empty((self.steps, proc_params["width"]), np.int32)

    def run_spk(self):
        self.data[self.time_step - 1] = self.a_in.recv()
        if self.time_step == self.steps:
            np.save(self.path, self.data)


def main():
    """Run as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dense", action="store_true", help="matrices in place of sparse connections")
    options = parser.parse_args()
    begin = time.perf_counter()
    steps = run(options.dense)
    done = {"lava": LAVA, "dense": options.dense, "steps": steps, "seconds": time.perf_counter() - begin}
    print(json.dumps(done), flush=True)


def run(dense):
    """Build and run the network; return the number of steps."""
    graph = json.loads((FOLDER / "network.json").read_text(encoding="utf-8"))
    with np.load(FOLDER / "arrays.npz", allow_pickle=False) as file:
        arrays = dict(file)
    steps = graph["steps"]

    models = {
        WatchedLIF: PyWatchedLIF, FileSink: PyFileSink, Place: PyPlace, Samples: PySamples, Readout: PyReadout,
        Learning: PyLearning, PostTraces: PyPostTraces,
    }  # fmt: skip
    nodes, width, sinks, learned, third_inputs = {}, {}, [], [], {}
    readout = graph.get("readout")
    for number, (name, n) in enumerate(graph["sources"].items()):
        if readout:
            nodes[name], width[name] = Samples((n,), *(arrays[f"samples/{k}"] for k in ("first", "steps", "ids"))), n
            continue
        data = np.zeros((n, steps), np.int32)
        when, ids = arrays[f"source{number}/steps"], arrays[f"source{number}/ids"]
        data[ids[when <= steps], when[when <= steps] - 1] = arrays[f"source{number}/values"][when <= steps]
        nodes[name], width[name] = RingBuffer(data=data), n
    for number, (name, n) in enumerate(graph["populations"].items()):
        given, ours = ({k: arrays[f"population{number}/{k}"] for k in keys} for keys in (LIF_ARRAYS, OUR_ARRAYS))
        nodes[name], width[name] = WatchedLIF(ours, shape=(n,), **given), n
        for variable, port in (("s", "s_out"), ("u", "u_out"), ("v", "v_out")):
            sinks.append((f"{variable}{number}", FileSink((n,), str(FOLDER / f"{variable}{number}.npy"), steps)))
            getattr(nodes[name], port).connect(sinks[-1][1].a_in)
    connections = []
    for number, p in enumerate(graph["projections"].values()):
        at = (arrays[f"projection{number}/targets"], arrays[f"projection{number}/sources"])
        delays = arrays[f"projection{number}/delays"]
        total = sum(width[source] for source in p["sources"])
        shape = (width[p["target"]], total)
        weights = csr_matrix((arrays[f"projection{number}/weights"].astype(np.int32), at), shape=shape)
        late = csr_matrix((delays.astype(int), at), shape=shape)
        late.eliminate_zeros()
        options = {
            "weight_exp": p["exponent"], "num_weight_bits": p["bits"], "sign_mode": SignMode(p["sign_mode"]),
            "num_message_bits": 24 if p["graded"] else 0,
        }  # fmt: skip
        if p["learning"]:
            learned.append(f"learned{number}")
            connection = learning(p["learning"], weights, at, FOLDER / f"{learned[-1]}.npy", steps, options)
            watch(p["learning"], connection, nodes[p["target"]], third_inputs.setdefault(p["target"], []))
        elif delays.size and delays.max() > 0:
            options["max_delay"] = int(delays.max())
            given = (weights.toarray(), late.toarray()) if dense else (weights, late)
            connection = (DelayDense if dense else DelaySparse)(weights=given[0], delays=given[1], **options)
        else:
            connection = Dense(weights=weights.toarray(), **options) if dense else Sparse(weights=weights, **options)
        if len(p["sources"]) == 1:
            nodes[p["sources"][0]].s_out.connect(connection.s_in)
        else:
            first = 0
            for source in p["sources"]:
                place = Place((width[source],), first, total)
                nodes[source].s_out.connect(place.a_in)
                place.s_out.connect(connection.s_in)
                first += width[source]
        connections.append(connection)
    for connection, p in zip(connections, graph["projections"].values(), strict=True):
        connection.a_out.connect(third_inputs[p["target"]] if p["third"] else nodes[p["target"]].a_in)

    names = [name for name, _ in sinks] + learned
    if readout:
        n, names = width[readout["population"]], [*names, "decisions"]
        given = (readout[k] for k in ("bar", "steps", "t_min", "every"))
        decide = Readout((n,), *given, str(FOLDER / "decisions.npy"), steps)
        nodes[readout["population"]].v_out.connect(decide.v_in)
        for name in [*graph["sources"], *graph["populations"]]:
            decide.clear_out.connect(nodes[name].clear_in)

    for name in graph["populations"]:
        if nodes[name].runtime is not None:
            continue  # Lava runs what is joined to a process, and only that
        try:
            nodes[name].run(
                condition=RunSteps(num_steps=steps),
                run_cfg=Loihi2SimCfg(select_tag="fixed_pt", exception_proc_model_map=models),
            )
        finally:
            nodes[name].stop()  # a script that ends without it hangs for ever
    results = {name: np.load(FOLDER / f"{name}.npy") for name in names}
    np.savez(FOLDER / "result.npz", **results)
    for name in results:
        (FOLDER / f"{name}.npy").unlink()
    return steps


def learning(rule, weights, at, path, steps, options):
    """A connection that learns."""
    given = {name: rule[name] or None for name in ("dw", "dd", "dt")}
    for name in ("x1", "x2") if rule["third_factor"] else ("x1", "x2", "y1", "y2", "y3"):
        given[f"{name}_impulse"], given[f"{name}_tau"] = rule[name]
    kind = Loihi3FLearningRule if rule["third_factor"] else Loihi2FLearningRule
    rule = kind(t_epoch=rule["epoch"], rng_seed=rule["seed"], **given)
    return Learning(weights=weights.toarray(), learning_rule=rule, at=at, path=str(path), steps=steps, **options)


def watch(rule, connection, neurons, third_inputs):
    """Let a learning connection know its target's spikes and, of a three-factor rule, what else comes from there."""
    neurons.s_out.connect(connection.s_in_bap)
    if rule["third_factor"]:
        traces = PostTraces(neurons.s_out.shape, rule["y1"][0], (rule["y1"][1], rule["y2"][1]), rule["bits"])
        neurons.s_out.connect(traces.s_in)
        for k in ("1", "2", "3"):
            getattr(traces, f"y{k}_out").connect(getattr(connection, f"s_in_y{k}"))
        third_inputs.append(traces.third_in)


if __name__ == "__main__":
    main()
