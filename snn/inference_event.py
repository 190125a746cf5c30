"""Classification on the event engine: the agent is asked when output spikes arrive, and at no other time."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from snn.confidence import Decisions, EarlyExit, Trace, sample_ids
from snn.confidence.agent import as_agent
from snn.confidence.stream import REASONS
from snn.confidence.trace import different
from snn.elements import SPIKES, Population
from snn.inference import refuse
from snn.inputs import SpikeArray
from snn.network import Network
from snn.simulation import Simulation
from snn.units import exact, whole


class EventClassifier:
    """A network in continuous time that answers with one of C classes: the output neuron with most spikes.

    What is a step elsewhere is an output spike here, or several at the same time: S_k are the numbers of spikes of each
    output neuron after the k-th time at which any spikes. Agents, traces and certificates are those of
    :class:`Classifier`; between output spikes nothing that an agent looks at changes, and it is not asked. After the
    last spike of a sample S stays as it is.

    Parameters
    ----------
    network : Network
        Static projections, no random input; models that the event engine has. Its one population of spike sources is
        ``SpikeArray([])``, and the output's spikes are recorded.
    output : Population or str
        Its neurons are the classes.
    duration : float
        [ms] of a sample.
    t_max : int
        Times of output spikes of a sample that count at most.
    window : float
        [ms] The engine runs this far at a time, so at most this far beyond a stop; results do not depend on it.
    backend : "cpu" or "reference"

    Raises
    ------
    ModelError
        Where the network is not of that kind.

    Notes
    -----
    A sample is a simulation of its own, on one thread, built anew: for networks that take long beside that.

    Examples
    --------
    >>> import snn
    >>> from snn.confidence import EarlyExit
    >>> net = snn.Network()
    >>> eyes = net.population("eyes", 2, snn.SpikeArray([]))
    >>> out = net.population("out", 2, snn.LIFDelta(e_l=0.0, v_reset=0.0, v_th=1.5, tau_m=50.0, t_ref=0.0))
    >>> _ = net.connect(eyes, out, snn.one_to_one(), weight=1.0, delay=1.0), net.record(out)
    >>> classifier = snn.EventClassifier(net, out, duration=60.0, t_max=20, backend="reference")
    >>> sample = [1.0, 3.1, 7.5, 8.2, 9.0, 20.3], [1, 1, 0, 1, 1, 1]
    >>> done = classifier.run([sample], EarlyExit("margin", bar=1.0))
    >>> done.labels[0], done.steps[0], done.times[0]
    (np.int64(1), np.int64(2), np.float64(10.0))
    """

    def __init__(
        self, network: Network, output: Population | str, duration: float, t_max: int, window: float = 1.0,
        backend: str = "cpu",
    ) -> None:  # fmt: skip
        self.network, self.backend = network, backend
        name = output if isinstance(output, str) else output.name
        if name not in network.populations:
            raise ModelError(
                f"EventClassifier.output: no population {name!r}; there are {', '.join(network.populations)}."
            )
        self.output = network.populations[name]
        if self.output.n < 2:
            raise ModelError(f"EventClassifier.output: must have a neuron a class, two at least; got {self.output.n}.")
        if not any(p.population is self.output and p.variable == SPIKES and p.whole for p in network.probes):
            raise ModelError(
                f"EventClassifier.output: spikes of all of population {name!r} must be recorded. Call "
                f"net.record({name!r})."
            )
        for what, value in (("duration", duration), ("window", window)):
            if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < np.inf:
                raise ModelError(f"EventClassifier.{what}: must be > 0 ms; got {value!r}.")
        self.duration, self.window, self.t_max = float(duration), float(window), whole("EventClassifier.t_max", t_max)
        refuse(network)
        sources = [p for p in network.populations.values() if p.spec is None]
        if len(sources) != 1 or not isinstance(sources[0].model, SpikeArray) or sources[0].model.times.size:
            found = ", ".join(f"{p.name!r} {p.model!r}" for p in sources) or "none"
            raise ModelError(
                f"EventClassifier.network: must have one population of sources, SpikeArray([]); got {found}."
            )
        self.source, self._described = sources[0], network.members()
        self.network_hash = self._simulation(SpikeArray([])).network_hash

    def fingerprint(self) -> dict[str, Any]:
        """What a certificate of an agent on this classifier binds."""
        return {
            "t_max": self.t_max, "encoder": f"events of {exact(self.duration)} ms", "precision": "float64",
            "seed": "no random numbers", "network": self.network_hash, "latency": "synchronous", "depth": 1,
            "engine": "event",
        }  # fmt: skip

    def record(self, x: Sequence[Any], labels: Any = None, ids: Any = None) -> Trace:
        """Run every sample for the whole duration and keep S after each time of output spikes.

        Parameters
        ----------
        x : N samples, each a pair (times in ms, up to the duration; sources)
        labels : (N,) integers, the true classes
        ids : (N,) integers that name the samples; None: from their content
        """
        samples = self._samples(x)
        if ids is None:
            ids = sample_ids(np.stack((s.times, s.ids.astype(float))) for s in samples)
        outputs = np.zeros((self.t_max, len(samples), self.output.n))
        for n, sample in enumerate(samples):
            for k, (_, spikes) in enumerate(self._output_spikes(sample)):
                if k == self.t_max:
                    break
                outputs[k, n] = spikes
        np.cumsum(outputs, axis=0, out=outputs)
        return Trace(outputs, np.asarray(ids), self.fingerprint(), None if labels is None else np.asarray(labels))

    def run(self, x: Sequence[Any], agent: EarlyExit) -> Decisions:
        """Run every sample until ``agent`` stops it; decisions are those of the agent on a recorded trace.

        ``times`` of the result: that of the spike at which a sample stopped, ms; the duration where it ran to its end.

        Raises
        ------
        ModelError
            Where the agent was fitted on another network or setting.
        """
        as_agent("EventClassifier.run.agent", agent)
        mine = self.fingerprint()
        if agent.fingerprint is not None and (what := different(agent.fingerprint, mine)):
            raise ModelError(
                f"EventClassifier.run: the agent was fitted on another network or setting: {what}. Fit it on this."
            )
        samples = self._samples(x)
        stream, silence = agent.stream(self.output.n, self.t_max), np.zeros(self.output.n)
        steps, labels, reasons = np.zeros((3, len(samples)), np.int64)
        times = np.full(len(samples), self.duration)
        for n, sample in enumerate(samples):
            stream.reset()
            stopped = False
            for at, spikes in self._output_spikes(sample):
                stopped = stream.update(spikes)
                if stopped:
                    times[n] = at
                    break
            while not stopped:  # the sample is over: S stays as it is
                stopped = stream.update(silence)
            steps[n], labels[n], reasons[n] = stream.t, stream.label, REASONS.index(stream.reason)
        return Decisions(steps, labels, reasons, times=times)

    def _output_spikes(self, sample: SpikeArray) -> Iterator[tuple[float, np.ndarray]]:
        """(time, spikes of each output neuron) in order, simulated as they are asked for."""
        sim = self._simulation(sample)
        while sim.t < self.duration:
            found = sim.run(min(self.window, self.duration - sim.t)).spikes[self.output.name]
            for at, together in groupby(zip(found.times.tolist(), found.ids.tolist(), strict=True), lambda x: x[0]):
                yield at, np.bincount([neuron for _, neuron in together], minlength=self.output.n).astype(float)

    def _simulation(self, sample: SpikeArray) -> Simulation:
        empty, self.source.model = self.source.model, sample  # type: ignore[misc]
        try:
            sim = Simulation(self.network, engine="event", backend=self.backend, threads=1)
        finally:
            self.source.model = empty  # type: ignore[misc]
        sim._described = self._described  # the sample's place is empty again, and that is meant
        return sim

    def _samples(self, x: Sequence[Any]) -> list[SpikeArray]:
        self.network.refuse_changes(self._described, "EventClassifier.run")
        samples = []
        if not isinstance(x, Iterable):
            raise ShapeError(f"EventClassifier: samples must be pairs (times in ms, sources), one a sample; got {x!r}.")
        for n, pair in enumerate(x):
            try:
                times, sources = pair
            except (TypeError, ValueError):
                raise ShapeError(
                    f"EventClassifier: sample {n} must be a pair (times in ms, sources); got {pair!r:.80}."
                ) from None
            spikes = SpikeArray(times, np.asarray(sources, np.int64) if not np.size(sources) else sources)
            if spikes.times.size and spikes.times.max() > self.duration:
                raise ModelError(
                    f"EventClassifier: sample {n}: events must end with the duration, {self.duration:g} ms; got one at "
                    f"{spikes.times.max():g} ms, which would be lost. Cut the sample, or raise duration."
                )
            if spikes.ids.size and spikes.ids.max() >= self.source.n:
                raise ModelError(
                    f"EventClassifier: sample {n}: sources must be 0 to {self.source.n - 1}; got {spikes.ids.max()}."
                )
            samples.append(spikes)
        if not samples:
            raise ShapeError("EventClassifier: there must be a sample; got none.")
        return samples
