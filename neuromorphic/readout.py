"""Classifiers of integers that stop as soon as they may, sample after sample, as a chip would run them.

Protocol
--------
A sample begins in the initial state; its own steps count from 1. After each step the readout looks at v of the output
population. Where it is asked (steps >= t_min that are multiples of ``every``) and the largest v leads the second by
more than ``bar``, and in step ``steps`` in any case, it stops: the largest (the first among equals) is the answer. It
says so to all others in the next step, the clearing step: sources and neurons send nothing, and neurons return to
their initial state. Nothing is then under way, since connections without delay hold one step, and the next sample
begins in the step after. So N samples take the sum of their steps and N more, and steps saved are time saved.

The decision is that of :class:`snn.confidence.EarlyExit` of score "margin" on the outputs that :func:`record` gives, at
its ``integer_bar()``: an agent may be fitted and certified on them, and what runs is what was certified.
"""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from kernels.errors import ExportError, ModelError
from neuromorphic.fixed_point import NEURON_ARRAYS, IntegerNetwork, IntegerResult, IntegerSource
from snn.confidence import EarlyExit, Trace, sample_ids
from snn.encode import Encoder
from snn.units import whole


@dataclass(frozen=True)
class IntegerReadout:
    """When to stop.

    Parameters
    ----------
    population : output, a neuron a class, which never spikes
    steps : at the latest
    bar : integer; stop where the largest v leads by more. None: never
    t_min, every : asked in steps >= t_min that are multiples of ``every``
    """

    population: str
    steps: int
    bar: int | None = None
    t_min: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        for name, low in (("steps", 1), ("bar", -(2**31)), ("t_min", 1), ("every", 1)):
            value = getattr(self, name)
            if name == "bar" and value is None:
                continue
            whole(f"IntegerReadout.{name}", value, low)

    @classmethod
    def of(cls, agent: EarlyExit, population: str, trace: Trace) -> "IntegerReadout":
        """The readout that stops as ``agent`` does on traces of ``population`` by :func:`record`, such as ``trace``."""
        if agent.give_up is not None:
            raise ModelError("IntegerReadout.of: an agent that gives up asks a learned gate. Make it without give_up.")
        steps = trace.t_max if agent.max_steps is None else min(agent.max_steps, trace.t_max)
        return cls(population, steps, agent.integer_bar(), max(agent.t_min, trace.first_step), agent.check_every)

    def agent(self) -> EarlyExit:
        """The same as an agent."""
        bar = np.inf if self.bar is None else float(self.bar)
        return EarlyExit("margin", bar=bar, t_min=self.t_min, check_every=self.every)


@dataclass
class Classified:
    """Samples through a network, each stopped.

    Attributes
    ----------
    network, result : of all samples one after the other, with the clearing steps: for :func:`neuromorphic.cost`
    readout : IntegerReadout
    steps, labels : by sample, the step in which it stopped and the answer, shape (N,)
    sources : by sample, (steps, ids) of its whole input, steps from 1
    """

    network: IntegerNetwork
    result: IntegerResult
    readout: IntegerReadout
    steps: np.ndarray
    labels: np.ndarray
    sources: list[tuple[np.ndarray, np.ndarray]]

    @property
    def total(self) -> int:
        """Steps of the whole run."""
        return int(self.steps.sum() + len(self.steps))


def record(
    net: IntegerNetwork, encoder: Encoder, x: Any, output: str, steps: int, labels: Any = None, ids: Any = None
) -> Trace:
    """Run every sample for ``steps`` steps and keep v of the population ``output``, integers, of each.

    Parameters
    ----------
    net : with one source, the encoder's target, and no delays
    encoder : to spikes, from :mod:`snn.encode`
    x : samples, as the encoder takes them
    labels, ids : see :meth:`snn.Classifier.record`

    Raises
    ------
    ExportError
        Where the network has delays, several sources or neurons that are reset at intervals, or the output population
        spikes: it must only sum.
    """
    inputs, names = _inputs(net, encoder, x, steps, ids)
    _check(net, output)
    first = _depth(net, output)
    outputs = np.empty((steps, len(inputs), net.populations[output].n), np.int32)
    spikes = np.empty((steps, len(inputs)), np.int64)
    for k, sample in enumerate(inputs):
        result = _run(net, sample, steps, output)
        if result.steps[output].size:
            raise ExportError(
                f"readout.population: {output!r} must only sum; sample {k} made it spike in step "
                f"{result.steps[output][0]}. Give quantize as many steps as a sample may take."
            )
        outputs[:, k] = result.v[output]
        count = sum(np.bincount(s, minlength=steps + 1)[1 : steps + 1] for s in (*result.steps.values(), sample[0]))
        spikes[:, k] = np.cumsum(count)
    digest = hashlib.sha256()
    for p in net.populations.values():
        digest.update(b"".join(getattr(p, a).tobytes() for a in NEURON_ARRAYS))
    for q in net.projections.values():
        digest.update(b"".join(a.tobytes() for a in (q.sources, q.targets, q.weights, q.delays)))
        digest.update(repr((q.source, q.target, q.exponent, q.bits, q.sign_mode)).encode())
    seed = "no random numbers" if encoder.seed is None else f"({encoder.seed}, sample, source, step)"
    fingerprint = {
        "t_max": steps, "encoder": repr(encoder), "seed": seed, "precision": "loihi",
        "network": digest.hexdigest()[:32], "latency": "pipelined", "depth": first,
    }  # fmt: skip
    return Trace(outputs, names, fingerprint, None if labels is None else np.asarray(labels), spikes)


def classify(net: IntegerNetwork, encoder: Encoder, x: Any, readout: IntegerReadout, ids: Any = None) -> Classified:
    """Run samples one after the other, each until the readout stops it; parameters and errors as of :func:`record`."""
    inputs, names = _inputs(net, encoder, x, readout.steps, ids)
    trace = record(net, encoder, x, readout.population, readout.steps, ids=names)
    done = readout.agent().decide(replace(trace, fingerprint=trace.fingerprint | {"latency": "synchronous"}))
    begin = np.concatenate(([0], np.cumsum(done.steps + 1)))
    (name, source), parts = next(iter(net.sources.items())), []
    for sample, stop, at in zip(inputs, done.steps, begin, strict=False):
        part = _run(net, sample, int(stop), *net.populations)
        parts.append((at, part))
    shown = [(s[s <= stop] + at, i[s <= stop]) for (s, i), stop, at in zip(inputs, done.steps, begin, strict=False)]
    when, which = (np.concatenate([pair[k] for pair in shown]) for k in (0, 1))
    network = replace(net, sources={name: IntegerSource(source.n, when, which)})
    return Classified(network, _joined(net, parts), readout, done.steps, done.labels, inputs)


def _joined(net: IntegerNetwork, parts: list[tuple[int, IntegerResult]]) -> IntegerResult:
    """Results one after the other, each followed by a clearing step, after which the state is the initial one."""

    def states(name: str, what: str) -> np.ndarray:
        start = getattr(net.populations[name], what)[None].astype(np.int32)
        return np.concatenate([x for _, r in parts for x in (getattr(r, what)[name], start)])

    names = list(net.populations)
    return IntegerResult(
        steps={k: np.concatenate([r.steps[k] + at for at, r in parts]) for k in names},
        ids={k: np.concatenate([r.ids[k] for _, r in parts]) for k in names},
        values={k: np.concatenate([r.values[k] for _, r in parts]) for k in names},
        u={k: states(k, "u") for k in names}, v={k: states(k, "v") for k in names},
        wraps={k: np.sum([r.wraps[k] for _, r in parts], axis=0) for k in names},
        clips={k: np.sum([r.clips[k] for _, r in parts], axis=0) for k in names},
        total=sum(r.total + 1 for _, r in parts),
    )  # fmt: skip


def _run(net: IntegerNetwork, sample: tuple[np.ndarray, np.ndarray], steps: int, *keep: str) -> IntegerResult:
    ((name, source),) = net.sources.items()
    return replace(net, sources={name: IntegerSource(source.n, *sample)}).run(steps, keep)


def _inputs(
    net: IntegerNetwork, encoder: Encoder, x: Any, steps: int, ids: Any
) -> tuple[list[tuple[np.ndarray, np.ndarray]], np.ndarray]:
    """(spikes of each sample, names of the samples)."""
    if list(net.sources) != [encoder.target]:
        raise ExportError(
            f"{encoder!r}: must drive the one source of the network; there are {', '.join(net.sources) or 'none'}."
        )
    samples = encoder.check(x, net.sources[encoder.target].n)
    names = np.asarray(sample_ids(x) if ids is None else ids).astype(np.int64)
    batch = encoder.encode(samples, names, steps)
    found = []
    for k in range(len(samples)):
        mine = slice(batch.first[k], batch.first[k + 1])
        when, which = np.asarray(batch.step[mine], np.int64) + 1, np.asarray(batch.id[mine], np.int64)
        found.append((when[when <= steps], which[when <= steps]))
    return found, names


def _check(net: IntegerNetwork, output: str) -> None:
    if output not in net.populations:
        raise ExportError(f"readout.population: must be one of {', '.join(net.populations)}; got {output!r}.")
    for name, p in net.populations.items():
        if np.any(p.reset_interval):
            raise ExportError(
                f"Population {name!r}.reset_interval: must be 0, because a sample may begin in any step; got "
                f"{p.reset_interval.max()}. The readout clears all neurons after each sample."
            )
    for name, q in net.projections.items():
        if q.learning is not None:
            raise ExportError(f"Projection {name!r}: must not learn, so that each sample meets the same network.")
        if np.any(q.delays):
            raise ExportError(
                f"Projection {name!r}: delays must be 0, so that nothing is under way when the next sample begins; "
                f"got {q.delays.max()}."
            )


def _depth(net: IntegerNetwork, output: str) -> int:
    """First step in which the output population can have heard of the input."""
    reached, steps = set(net.sources), 1
    while output not in reached:
        more = {q.target for q in net.projections.values() if set(q.parts) & reached} | reached
        if more == reached:
            raise ExportError(f"readout.population: {output!r} is not reached by the input. Connect it.")
        reached, steps = more, steps + 1
    return steps
