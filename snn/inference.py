"""Classification on the kernels: many samples through one network, each stopped as soon as an agent says so."""

import math
from typing import Any

import numpy as np

from kernels.compiled import CompiledNetwork
from kernels.cpu.infer import Batch, Found, Inference, Layout
from kernels.errors import BackendUnavailable, ModelError, ShapeError
from snn.compile import compile_network, delay_steps
from snn.compile_edges import draw_edges
from snn.confidence import Decisions, EarlyExit, Trace, sample_ids
from snn.confidence.agent import as_agent
from snn.confidence.trace import LATENCIES, different
from snn.drive_clock import require_cuda
from snn.elements import Population
from snn.encode import Direct, Encoder
from snn.fingerprint import digest
from snn.host import cores, to_stderr
from snn.inputs import Poisson, SpikeArray, StepCurrent
from snn.network import Network
from snn.neurons.base import NeuronModel
from snn.sliding import conv2d
from snn.units import whole


def refuse(network: Network) -> None:
    """ModelError where samples could not be told apart from what came before them, or share random numbers."""
    for p in network.projections.values():
        if p.plastic:
            raise ModelError(
                f"Projection {p.name!r}: changes as it runs; a classifier's are static. Read the learned weights "
                "with Simulation.connections and join the populations by from_arrays."
            )
    for entry in network.inputs.values():
        if not isinstance(entry.source, StepCurrent):
            raise ModelError(f"Input {entry.name!r}: must be a StepCurrent; got {entry.source!r}. Use an encoder.")
    for pop in network.populations.values():
        if isinstance(pop.model, Poisson) or (pop.spec and pop.spec.uniforms):
            raise ModelError(
                f"Population {pop.name!r}: draws random numbers, the same for every sample. Use an encoder."
            )


class Classifier:
    """A network that answers with one of C classes, with the encoder of its samples.

    Samples run one after another on each thread, on the clock engine's kernels, from the network's initial state; so a
    sample's result does not depend on the batch, its order or the threads. Every delay counts: a layer that a
    projection of one step feeds is a step behind.

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
    latency : "synchronous" or "pipelined"
        Whether steps are counted from where the output first hears of the input, as if a step passed all layers, or
        from the first.
    precision : "float64" or "float32"
    threads : number of threads; None takes the cores at hand
    backend : "cpu", or "cuda" (an NVIDIA GPU, device number ``device``): as many samples at a time as the device has
        room for, each by a block of threads. Sums are in fixed point there, so that a sample's result depends on no
        other; it may differ from the cpu's where rounding decides. Threads then do nothing

    Raises
    ------
    ModelError
        Where the network is not of that kind.
    BackendUnavailable
        Where the backend cannot be had.

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
        latency: str = "synchronous", precision: str = "float64", threads: int | None = None, backend: str = "cpu",
        device: int = 0,
    ) -> None:  # fmt: skip
        if not isinstance(network, Network):
            raise ModelError(f"Classifier.network: must be an snn.Network; got {network!r}.")
        if not isinstance(encoder, Encoder):
            raise ModelError(f"Classifier.encoder: must be one of snn.encode, such as Direct(..); got {encoder!r}.")
        self.network, self.encoder, self.readout, self.dt, self.precision = network, encoder, readout, dt, precision
        self.latency = latency
        if threads is not None and (isinstance(threads, bool) or not isinstance(threads, int) or threads < 1):
            raise ModelError(f"Classifier.threads: must be an integer >= 1, or None; got {threads!r}.")
        if backend not in ("cpu", "cuda"):
            raise BackendUnavailable(f'Classifier.backend: must be "cpu" or "cuda"; got {backend!r}.')
        if isinstance(device, bool) or not isinstance(device, int) or device < 0 or (device and backend == "cpu"):
            raise ModelError(f'Classifier.device: must be an integer >= 0, with backend="cuda"; got {device!r}.')
        self.backend = backend
        if backend == "cuda":
            require_cuda(device)
        if latency not in LATENCIES:
            raise ModelError(f'Classifier.latency: must be "synchronous" or "pipelined"; got {latency!r}.')
        self.output = self._population(output if isinstance(output, str) else output.name, "output")
        if readout not in ("v", "spikes"):
            raise ModelError(f'Classifier.readout: must be "v" or "spikes"; got {readout!r}.')
        spec = self.output.spec
        if readout == "v" and not (spec and any(s.name == "v" and s.dtype == "float" for s in spec.state)):
            raise ModelError(f'Classifier.output: population {self.output.name!r} has no v. Use readout="spikes".')
        if self.output.n < 2:
            raise ModelError(f"Classifier.output: must have a neuron a class, two at least; got {self.output.n}.")
        refuse(network)
        self._described = network.members()
        entry = self._entry()
        compiled = compile_network(network, dt, precision, 1)
        self.network_hash = digest(compiled.parts, encoder.digest())
        self.depth = 1 + self._distance(entry.name)
        index = {name: k for k, name in enumerate(network.populations)}
        self._layout = Layout(
            input=self._number(compiled, index[entry.name]), output=index[self.output.name],
            place=self._place(compiled, index[self.output.name]), classes=self.output.n,
            skip=0 if latency == "pipelined" else self.depth - 1, t_max=0,
            fan=self._fan(), f=compiled.state.f.copy(), i=compiled.state.i.copy(),
        )  # fmt: skip
        self._size = entry.n
        self._never = EarlyExit(bar=math.inf)
        self._inference: Any
        if backend == "cuda":
            from kernels.cuda.infer import Inference as Cuda

            self._inference = Cuda(compiled, device)
        else:
            self._inference = Inference(compiled, cores() if threads is None else threads)

    def record(self, x: Any, t_max: int, labels: Any = None, ids: Any = None) -> Trace:
        """Run every sample for ``t_max`` steps and keep accumulated outputs, spikes and synaptic operations of each.

        Spikes and operations of a step are all that any population has sent when the step's output is there. With
        ``latency="synchronous"`` populations before the output have run on by then: ``depth - 1`` steps more count.

        Parameters
        ----------
        x : (N, ...) samples, as the encoder takes them
        labels : (N,) integers, the true classes
        ids : (N,) integers that name the samples; None: :func:`snn.confidence.sample_ids`, from their content
        """
        steps = self._steps(t_max)
        found, ids = self._run(x, steps, ids, self._never, each_step=True)
        return Trace(
            np.ascontiguousarray(found.outputs.transpose(1, 0, 2)), ids, self.fingerprint(steps),
            None if labels is None else np.asarray(labels), found.spikes.T, found.synops.T,
        )  # fmt: skip

    def run(self, x: Any, agent: EarlyExit, t_max: int | None = None, ids: Any = None) -> Decisions:
        """Run every sample until ``agent`` stops it; the decisions are those of the agent on a recorded trace.

        Parameters
        ----------
        x, ids : as for :meth:`record`
        t_max : int
            Most steps; None: as the agent was fitted for.

        Raises
        ------
        ModelError
            Where the agent was fitted on another network or setting.
        """
        known = as_agent("Classifier.run.agent", agent).fingerprint
        if t_max is None and known is None:
            raise ModelError("Classifier.run.t_max: is needed with an agent that was not fitted; got None.")
        t_max = self._steps(known["t_max"] if t_max is None and known else t_max)
        if known and known != (mine := self.fingerprint(t_max)):
            what = different(known, mine)
            raise ModelError(
                f"Classifier.run: the agent was fitted on another network or setting: {what}. Fit it on this."
            )
        found, _ = self._run(x, t_max, ids, agent, each_step=False)
        return Decisions(found.steps, found.labels, found.reasons, found.spikes[:, 0], found.synops[:, 0])

    def predict(self, x: Any, t_max: int) -> np.ndarray:
        """Class of each sample after ``t_max`` steps, (N,) int64."""
        return self.run(x, self._never, t_max).labels

    def fingerprint(self, t_max: int) -> dict[str, Any]:
        """What a certificate of an agent on this classifier binds."""
        seed = self.encoder.seed
        return {
            "t_max": t_max, "encoder": repr(self.encoder), "precision": self.precision,
            "seed": "no random numbers" if seed is None else f"({seed}, sample, source, step)",
            "network": self.network_hash, "latency": self.latency, "depth": self.depth, "dt": self.dt,
        } | ({} if self.backend == "cpu" else {"backend": self.backend})  # fmt: skip

    def _steps(self, t_max: Any) -> int:
        steps = whole("Classifier.t_max", t_max)
        if self.latency == "pipelined" and steps < self.depth:
            raise ModelError(
                f"Classifier.t_max: the output hears of the input in step {self.depth}; got {steps}. Raise it."
            )
        return steps

    def _run(self, x: Any, t_max: int, ids: Any, agent: EarlyExit, each_step: bool) -> tuple[Found, np.ndarray]:
        self.network.refuse_changes(self._described, "Classifier.run")
        rule = agent.rule(t_max, self.output.n, self.depth if self.latency == "pipelined" else 1)
        samples = self.encoder.check(x, self._size)
        if ids is None and not each_step and self.encoder.seed is None:
            ids = np.zeros(len(samples), np.int64)  # a name matters to a trace and to random numbers alone
        else:
            ids = np.asarray(sample_ids(x) if ids is None else ids)
            if ids.shape != (len(samples),) or ids.dtype.kind not in "iu":
                raise ShapeError(f"Classifier.ids: must be {len(samples)} integers; got {ids.dtype} of {ids.shape}.")
            ids = ids.astype(np.int64)

        if self._layout.t_max != t_max:
            self._layout = self._layout._replace(t_max=t_max)
        layout = self._layout

        def encode(piece: slice) -> Batch:
            return self.encoder.encode(samples[piece], ids[piece], t_max + layout.skip)

        if not self._inference.cached:
            models = ", ".join(sorted({p.spec.name for p in self.network.populations.values() if p.spec}))
            to_stderr(f"compiling kernels for inference with {models}; kept for later runs")
            self._inference.cached = True
        found: Found = self._inference.run(encode, len(samples), layout, rule, each_step)
        return found, ids

    def _population(self, name: str, what: str) -> Population:
        if name not in self.network.populations:
            known = ", ".join(self.network.populations)
            raise ModelError(f"Classifier.{what}: no population {name!r}; there are {known}.")
        return self.network.populations[name]

    def _entry(self) -> Population:
        """The population that samples reach first."""
        target = self.encoder.target
        if isinstance(self.encoder, Direct):
            if target not in self.network.inputs:
                raise ModelError(f"{self.encoder!r}: no input {target!r}; there are {', '.join(self.network.inputs)}.")
            given, driven = self.network.inputs[target].source, self.network.inputs[target].target
            if not isinstance(given, StepCurrent) or np.shape(given.amplitudes) != (1, driven.n) or given.times[0] != 0:
                raise ModelError(f"Input {target!r}: must be StepCurrent(zeros((1, {driven.n}))); got {given!r}.")
            return driven
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
        mine = [
            e.name for e in self.network.inputs.values() if e.target is self.network.inputs[self.encoder.target].target
        ]
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
            fan[p.source.name] += (
                p.rule.fan()
                if isinstance(p.rule, conv2d)
                else np.bincount(draw_edges(self.network, p, 1).sources, minlength=p.source.n)
            )
        return np.concatenate(list(fan.values()))

    def _distance(self, start: str) -> int:
        """Steps of delay from a population to the output, the shortest way."""
        from scipy.sparse.csgraph import shortest_path  # here, so that `import snn` stays light

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
