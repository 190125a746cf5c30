"""Classification on the kernels: many samples through one network, each stopped as soon as an agent says so."""

import hashlib
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.csgraph import shortest_path

from kernels.compiled import CompiledNetwork
from kernels.cpu.infer import Batch, Found, Inference, Layout
from kernels.decide import Rule
from kernels.errors import ModelError, ShapeError
from snn.compile import compile_network, delay_steps
from snn.compile_edges import draw_edges
from snn.encode import Direct, Encoder
from snn.inputs import Poisson, SpikeArray, StepCurrent
from snn.network import Network, Population
from snn.neurons.base import NeuronModel


@dataclass(frozen=True)
class Outcome:
    """What became of N samples.

    Parameters
    ----------
    labels : (N,) int64, the class of the largest output, the first of equals
    steps : (N,) int64, steps until then
    reasons : (N,) int64, why each ended: see :data:`snn.confidence.REASONS`
    outputs : (N, C) float64, accumulated outputs at the end
    spikes, synops : (N,) int64, spikes sent, and synapses that they reached
    """

    labels: np.ndarray
    steps: np.ndarray
    reasons: np.ndarray
    outputs: np.ndarray
    spikes: np.ndarray
    synops: np.ndarray


class Classifier:
    """A network that answers with one of C classes, with the encoder of its samples.

    Samples run one after another on each thread, in float64 or float32 on the clock engine's kernels, from the network's
    initial state; so a sample's result does not depend on the batch, its order or the threads. Every delay counts: a
    layer that a projection of one step feeds is a step behind.

    Parameters
    ----------
    network : Network
        Static projections, no random input, no model that draws numbers.
    encoder : from :mod:`snn.encode`
    output : Population or str
        Its neurons are the classes.
    readout : "v" or "spikes"
        Accumulated output S_t: the neurons' ``v``, as of an ``Accumulator``, or their numbers of spikes.
    dt : ms a step
    precision : "float64" or "float32"
    threads : number of threads; None takes the cores at hand

    Raises
    ------
    ModelError
        Where the network is not of that kind.

    Examples
    --------
    >>> import numpy as np, snn
    >>> net = snn.Network()
    >>> hidden = net.population("hidden", 2, snn.CubaLIF(alpha=0.0, beta=1.0, v_th=1.0, reset=1))
    >>> out = net.population("out", 2, snn.CubaLIF(alpha=0.0, beta=1.0, v_th=1e9))
    >>> _ = net.input("x", hidden, snn.StepCurrent([[0.0, 0.0]]))
    >>> _ = net.connect(hidden, out, snn.all_to_all(), weight=np.eye(2), delay=1.0)
    >>> classifier = snn.Classifier(net, snn.encode.Direct("x", np.eye(2)), out, threads=1)
    >>> classifier.predict([[0.9, 0.1], [0.2, 0.7]], t_max=8)
    array([0, 1])
    """

    def __init__(
        self, network: Network, encoder: Encoder, output: Population | str, readout: str = "v", dt: float = 1.0,
        precision: str = "float64", threads: int | None = None,
    ) -> None:  # fmt: skip
        self.network, self.encoder, self.readout, self.dt, self.precision = network, encoder, readout, dt, precision
        self.output = self._population(output if isinstance(output, str) else output.name, "output")
        if readout not in ("v", "spikes"):
            raise ModelError(f'Classifier.readout: must be "v" or "spikes"; got {readout!r}.')
        spec = self.output.spec
        if readout == "v" and not (spec and any(s.name == "v" and s.dtype == "float" for s in spec.state)):
            raise ModelError(f'Classifier.output: population {self.output.name!r} has no v. Use readout="spikes".')
        if self.output.n < 2:
            raise ModelError(f"Classifier.output: must have a neuron a class, two at least; got {self.output.n}.")
        self._refuse()
        entry = self._entry()
        compiled = compile_network(network, dt, precision, 1)
        self.network_hash = compiled.digest(1)
        self.depth = 1 + self._distance(entry.name)
        index = {name: k for k, name in enumerate(network.populations)}
        self._layout = Layout(
            input=self._number(compiled, index[entry.name]), output=index[self.output.name],
            place=self._place(compiled, index[self.output.name]), classes=self.output.n, skip=0, t_max=0,
            fan=self._fan(), f=compiled.state.f.copy(), i=compiled.state.i.copy(),
        )  # fmt: skip
        self._size = entry.n
        self._inference = Inference(compiled, threads or len(os.sched_getaffinity(0)))

    def record(
        self, x: Any, t_max: int, labels: Any = None, ids: Any = None, latency: str = "synchronous"
    ) -> Any:
        """Run every sample for ``t_max`` steps and keep the accumulated outputs, spikes and synaptic operations of each.

        Parameters
        ----------
        x : (N, ...) samples, as the encoder takes them
        labels : (N,) integers
        ids : (N,) integers that name the samples; None takes them from their content
        latency : "synchronous": steps are counted from where the output hears of the input; "pipelined": from the first
        """
        found, ids = self._run(x, t_max, ids, latency, Rule(np.full(t_max, np.inf)), True)
        return found

    def predict(self, x: Any, t_max: int, latency: str = "synchronous") -> np.ndarray:
        """Class of each sample after ``t_max`` steps, (N,) int64."""
        return self._run(x, t_max, None, latency, Rule(np.full(t_max, np.inf)), False)[0].labels

    def _run(
        self, x: Any, t_max: int, ids: Any, latency: str, rule: Rule, each_step: bool
    ) -> tuple[Found, np.ndarray]:
        if isinstance(t_max, bool) or not isinstance(t_max, (int, np.integer)) or t_max < 1:
            raise ModelError(f"Classifier.t_max: must be an integer >= 1; got {t_max!r}.")
        if latency not in ("synchronous", "pipelined"):
            raise ModelError(f'Classifier.latency: must be "synchronous" or "pipelined"; got {latency!r}.')
        skip = self.depth - 1 if latency == "synchronous" else 0
        if latency == "pipelined" and t_max < self.depth:
            raise ModelError(f"Classifier.t_max: the output hears of the input in step {self.depth}; got {t_max}. Raise it.")
        samples = self.encoder.check(x, self._size)
        ids = _ids(x) if ids is None else np.asarray(ids)
        if ids.shape != (len(samples),) or ids.dtype.kind not in "iu":
            raise ShapeError(f"Classifier.ids: must be {len(samples)} integers; got {ids.dtype} of {ids.shape}.")
        ids = ids.astype(np.int64)

        def encode(piece: slice) -> Batch:
            return self.encoder.encode(samples[piece], ids[piece], t_max + skip)

        layout = self._layout._replace(skip=skip, t_max=int(t_max))
        return self._inference.run(encode, len(samples), layout, rule, each_step), ids

    def _population(self, name: str, what: str) -> Population:
        if name not in self.network.populations:
            known = ", ".join(self.network.populations)
            raise ModelError(f"Classifier.{what}: no population {name!r}; there are {known}.")
        return self.network.populations[name]

    def _refuse(self) -> None:
        """ModelError where samples could not be told apart from what came before them, or share random numbers."""
        for p in self.network.projections.values():
            if p.plastic:
                raise ModelError(
                    f"Projection {p.name!r}: changes as it runs; a classifier's are static. Read the learned weights with "
                    "Simulation.connections and join the populations by from_arrays."
                )
        for entry in self.network.inputs.values():
            if not isinstance(entry.source, StepCurrent):
                raise ModelError(f"Input {entry.name!r}: must be a StepCurrent; got {entry.source!r}. Use an encoder.")
        for p in self.network.populations.values():
            if isinstance(p.model, Poisson) or (p.spec and "u" in p.spec.arguments):
                raise ModelError(f"Population {p.name!r}: draws random numbers, the same for every sample. Use an encoder.")

    def _entry(self) -> Population:
        """The population that samples reach first."""
        target = self.encoder.target
        if isinstance(self.encoder, Direct):
            if target not in self.network.inputs:
                raise ModelError(f"{self.encoder!r}: no input {target!r}; there are {', '.join(self.network.inputs)}.")
            entry = self.network.inputs[target]
            if np.shape(entry.source.amplitudes) != (1, entry.target.n) or entry.source.times[0] != 0:
                raise ModelError(f"Input {target!r}: must be StepCurrent(zeros((1, {entry.target.n}))); got {entry.source!r}.")
            return entry.target
        entry = self._population(target, "encoder")
        sources = [p.name for p in self.network.populations.values() if not isinstance(p.model, NeuronModel)]
        if sources != [target] or not isinstance(entry.model, SpikeArray):
            raise ModelError(
                f"{self.encoder!r}: population {target!r} must be the one of spike sources, SpikeArray([]); there are "
                f"{', '.join(sources) or 'none'}."
            )
        return entry

    def _number(self, compiled: CompiledNetwork, population: int) -> int:
        """Number of the input that samples replace."""
        if not isinstance(self.encoder, Direct):
            return int(compiled.inputs.source[population])
        mine = [e.name for e in self.network.inputs.values() if e.target is self.network.inputs[self.encoder.target].target]
        return int(compiled.inputs.first[population]) + mine.index(self.encoder.target)

    def _place(self, compiled: CompiledNetwork, population: int) -> int:
        if self.readout == "spikes" or self.output.spec is None:
            return -1
        names = [s.name for s in self.output.spec.state if s.dtype == "float"]
        return int(compiled.tables.state_f[population] + names.index("v") * compiled.tables.pad[population])

    def _fan(self) -> np.ndarray:
        """Synapses of each neuron, by global id."""
        fan = {name: np.zeros(p.n, np.int64) for name, p in self.network.populations.items()}
        for p in self.network.projections.values():
            fan[p.source.name] += np.bincount(draw_edges(self.network, p, 1).sources, minlength=p.source.n)
        return np.concatenate(list(fan.values()))

    def _distance(self, start: str) -> int:
        """Steps of delay from a population to the output, the shortest way."""
        index = {name: k for k, name in enumerate(self.network.populations)}
        steps = np.zeros((len(index), len(index)))  # 0: not joined
        for p in self.network.projections.values():
            at = index[p.source.name], index[p.target.name]
            delay = delay_steps(p, self.dt)[0]
            steps[at] = min(delay, steps[at] or delay)
        found = shortest_path(steps, indices=index[start])[index[self.output.name]]
        if not np.isfinite(found):
            raise ModelError(f"Classifier.output: nothing leads from {start!r} to {self.output.name!r}. Connect them.")
        return int(found)


def _ids(x: Any) -> np.ndarray:
    """Ids of samples from their content."""
    rows = [b"".join(np.ascontiguousarray(part).tobytes() for part in row) if isinstance(row, (tuple, list)) else
            np.ascontiguousarray(row).tobytes() for row in x]
    digests = (hashlib.blake2b(row, digest_size=8).digest() for row in rows)
    return np.array([int.from_bytes(digest, "little", signed=True) for digest in digests], np.int64)
