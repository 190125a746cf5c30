"""Spiking networks as reservoirs: any :class:`snn.Network`, driven by a series of currents, read through filters."""

import copy
import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.signal
import scipy.sparse

import plasticity
import snn
from kernels.errors import ModelError, ShapeError
from reservoir.base import Reservoir, series
from reservoir.checks import each, finite, generator, learning_rates
from reservoir.encoders import Encoder
from snn.network import NOISE
from snn.units import bounded, brief, number, whole

SILENT, SATURATED = 0.1, 200.0  # Hz
STRONGEST = 20.0  # bound of an adapted weight, relative to the mean of those of its projection


class SpikingReservoir(Reservoir):
    """A spiking network whose filtered spikes are the states of a reservoir.

    Equations
    ---------
    Sample k of the input is a current w_in u(k) [pA] from k hold to (k+1) hold; with an encoder, each spike that it
    makes of channel c at time t arrives at neuron i with the weight w_in[i, c] in the step that begins at t, so that
    the spikes of a sample act in its own hold. The state of a neuron is the sum over its spikes
    of exp(-s/tau) - exp(-s/tau_rise), s the time since the spike; with tau_rise = 0 of exp(-s/tau) alone. It is sampled
    at the end of each hold.

    Numerics
    --------
    Filters are exact. Every sequence is simulated from the network's initial state by :class:`snn.Simulation`, with its
    inputs and plasticity; the description given is not changed. Noise of an encoder and of the network (Poisson, white
    and Ornstein-Uhlenbeck inputs, Poisson sources, escape noise) is as :class:`reservoir.Reservoir` says.
    :meth:`run`, :meth:`step` and :meth:`generate` (closed loop; currents only) go on from the present state, sample by
    sample: the same spikes as with draw = 0, states equal but for rounding.

    Parameters
    ----------
    net : the network
    w_in : weights of the input by name of population: array of shape (n_population, n_inputs), [pA]; with an encoder,
        (n_population, channels), in the unit of the model's receptor
    read : names of the populations whose states are read; None: all with neurons, in their order
    hold : time for which a sample lasts, [ms], a multiple of dt
    tau : time constant of the filter, [ms], > 0;  tau_rise : >= 0 and < tau
    state : "filter"; "counts": numbers of spikes in the sample; or a state variable of the models read, such as "v", at
        the sample's end
    dt : step of the simulation, [ms]
    readout : such as :class:`reservoir.Ridge`
    threads : of the simulation
    encoder : of :mod:`reservoir.encoders`: makes spikes of the input; None: currents

    Warns
    -----
    RuntimeWarning
        Where the populations read fire at less than 0.1 Hz or more than 200 Hz, with the rate and what to change.

    References
    ----------
    Maass, Natschlaeger & Markram 2002, doi:10.1162/089976602760407955

    Examples
    --------
    >>> import numpy as np, snn, reservoir
    >>> model = snn.LIFExp(tau_m=20.0, c_m=20.0, e_l=0.0, v_th=1.0, v_reset=0.0, t_ref=2.0, i_e=snn.normal(0.9, 0.2))
    >>> net = reservoir.random_network(100, model, snn.fixed_indegree(10), weight=0.1, delay=snn.uniform(1.0, 50.0))
    >>> w_in = np.random.default_rng(1).uniform(-1.0, 1.0, (100, 1))
    >>> liquid = reservoir.SpikingReservoir(net, {"exc": w_in[:80], "inh": w_in[80:]})
    >>> liquid.states(np.sin(np.arange(50.0))).shape
    (50, 100)
    """

    def __init__(
        self, net: snn.Network, w_in: dict[str, Any], read: Any = None, hold: float = 10.0, tau: float = 30.0,
        tau_rise: float = 0.0, dt: float = 1.0, readout: Any = None, threads: int | None = None,
        encoder: Encoder | None = None, state: str = "filter",
    ) -> None:  # fmt: skip
        owner = "SpikingReservoir"
        neurons = {name: p for name, p in net.populations.items() if p.spec is not None}
        if not isinstance(w_in, Mapping):
            raise ModelError(f"{owner}.w_in: must be a dictionary of arrays by name of population; got {w_in!r}.")
        if read is not None and not isinstance(read, (str, list, tuple)):
            raise ModelError(f"{owner}.read: must be names of populations, or None; got {read!r}.")
        names = list(neurons) if read is None else [read] if isinstance(read, str) else list(read)
        for name in [*w_in, *names]:
            if not isinstance(name, str) or name not in neurons:
                raise ModelError(
                    f"{owner}: no population of neurons {name!r}; there are {', '.join(neurons) or 'none'}."
                )
        if not w_in or not names:
            raise ModelError(f"{owner}.w_in, read: must name a population each; got {list(w_in)} and {names}.")
        self.w_in = {k: series(f"{owner}.w_in[{k!r}]", v) for k, v in w_in.items()}
        widths = {w.shape[1] for w in self.w_in.values()}
        for name, w in self.w_in.items():
            if len(w) != neurons[name].n or len(widths) > 1:
                raise ShapeError(
                    f"{owner}.w_in[{name!r}]: must have shape ({neurons[name].n}, n_inputs), n_inputs the same "
                    f"for all; got {w.shape}."
                )
        hold, dt = number(f"{owner}.hold", hold), number(f"{owner}.dt", dt)
        steps = hold / dt if dt > 0 else 0.0
        if not 0 < steps < np.inf or round(steps) < 1 or abs(steps - round(steps)) > 1e-6:
            raise ModelError(f"{owner}.hold: must be a multiple of dt > 0 ms; got {hold!r} and dt={dt!r}.")
        _check_filter(owner, hold, tau, tau_rise)
        self.net, self.read, self.hold, self.dt, self.threads = net, names, float(hold), float(dt), threads
        self.tau, self.tau_rise, self.readout, self.state = float(tau), float(tau_rise), readout, state
        if not isinstance(state, str):
            raise ModelError(f"{owner}.state: must be a text; got {state!r}.")
        if encoder is not None and not isinstance(encoder, Encoder):
            raise ModelError(
                f"{owner}.encoder: must be an encoder such as reservoir.encoders.Events(), or None; got {encoder!r}."
            )
        for name in names if state not in ("filter", "counts") else ():
            spec = neurons[name].spec
            known = ", ".join(v.name for v in (spec.state if spec else ()) if v.dtype == "float")
            if state not in known.split(", "):
                raise ModelError(
                    f'{owner}.state: must be "filter", "counts" or a variable of {name}: {known}; got {state!r}.'
                )
        self.n, self.n_inputs, self.encoder = sum(neurons[k].n for k in names), widths.pop(), encoder
        if encoder is not None:
            self.n_inputs = encoder.inputs(self.n_inputs)
        self.reset()

    def record(self, u: Any) -> dict[str, snn.SpikeRecord]:
        """Spikes of the populations read, by name, in response to the input ``u``, shape (T, n_inputs)."""
        return self._respond(u)[0]

    def _respond(
        self, u: Any, draw: tuple[int, int] = (0, 0)
    ) -> tuple[dict[str, snn.SpikeRecord], Mapping[str, snn.StateRecord]]:
        u = series("SpikingReservoir.u", u, self.n_inputs)
        result = self._simulation(self.net, u, draw).run(self.hold * len(u))
        spikes = result.spikes
        rate = sum(len(spikes[k]) for k in self.read) * 1000.0 / (self.n * self.hold * len(u))
        if not SILENT <= rate <= SATURATED:
            state, change = ("silent", "Raise") if rate < SILENT else ("saturated", "Lower")
            warnings.warn(
                f"SpikingReservoir: {', '.join(self.read)} fire at {rate:.3g} Hz: {state}. "
                f"{change} w_in, the neurons' i_e or the excitatory weights.",
                RuntimeWarning,
                stacklevel=4,  # who calls states or predict
            )
        return {name: spikes[name] for name in self.read}, result.states

    def _simulation(self, net: snn.Network, u: np.ndarray, draw: tuple[int, int] = (0, 0)) -> snn.Simulation:
        """Of ``net``, driven by ``u``, the spikes of what is read recorded; noise of ``draw``, (0, 0) being its own."""
        net = _Redrawn(net, draw) if any(draw) else copy.copy(net)
        encoder = self.encoder.redrawn(draw) if self.encoder is not None and any(draw) else self.encoder
        net.inputs, net.probes, net.weight_probes = dict(net.inputs), [], []
        if encoder is not None:
            self._send(net, *encoder.spikes(u, self.hold, self.dt))
        for name, w in self.w_in.items() if encoder is None else ():
            times = self.hold * np.arange(len(u))
            net.input(f"reservoir input of {name}", name, snn.StepCurrent(u @ w.T, times))
        for name in self.read:
            net.record(name, "spikes")
            if self.state not in ("filter", "counts"):
                net.record(name, self.state, every=self.hold)
        return snn.Simulation(net, dt=self.dt, threads=self.threads, quiet=True)

    def _send(self, net: snn.Network, times: np.ndarray, channels: np.ndarray) -> None:
        """Drive ``net`` by spikes of the channels; weights of either sign have an input of their own."""
        # a SpikeArray acts in the step that ends at its times: spikes at a sample's begin would be of the one before
        times = self.dt * (np.floor(times / self.dt + 1e-6) + 1.0)
        for name, w in self.w_in.items():
            for sign, side in (("+", w > 0), ("-", w < 0)):
                neuron, channel = np.nonzero(side)
                spike, edge = fan_out(channels, channel, w.shape[1])
                if channel.size:
                    sent = snn.SpikeArray(times[spike], neuron[edge], w[neuron[edge], channel[edge]])
                    net.input(f"reservoir input of {name} {sign}", name, sent)

    def scaled(self, factor: float) -> "SpikingReservoir":
        """The reservoir with the weights of all projections between neurons times ``factor``, > 0; without a readout.

        Plastic projections keep theirs, their weights being within the bounds of a rule.
        """
        factor = bounded("SpikingReservoir.scaled.factor", factor, 0.0, open_low=True)
        new, sim = copy.copy(self), None
        new.net, new.readout = copy.copy(self.net), None
        new.net.projections = dict(self.net.projections)
        for name, projection in self.net.projections.items():
            if projection.plasticity is not None or projection.source.spec is None:
                continue
            changes: dict[str, Any] = {"weight": projection.weight}
            if not isinstance(projection.weight, (float, np.ndarray)):  # a distribution: draw it, and the edges
                sim = sim or snn.Simulation(self.net, dt=self.dt, threads=self.threads, quiet=True)
                sources, targets, weights, delays = sim.connections(name)
                changes = {"rule": snn.from_arrays(sources, targets), "weight": weights, "delay": delays}
                if short := projection.short_term:  # values of synapses go with their edges
                    own = {key: sim.state(name, f"short_term.{key}") for key in short.of_synapse}
                    changes["short_term"] = short.with_values(own)
            changes["weight"] = np.asarray(changes["weight"] * factor, np.float32).astype(np.float64)
            new.net.projections[name] = dataclasses.replace(projection, **changes)
        return new

    def rates(self, u: Any) -> np.ndarray:
        """Mean rate under the input ``u`` of each neuron, in the order of the states: shape (n,), [Hz]."""
        spikes = self.record(u)
        return np.concatenate([spikes[k].rates() for k in self.read])

    def adapted(self, u: Any, target: Any, eta: Any = (0.05, 0.01)) -> "SpikingReservoir":
        """The reservoir after inhibitory plasticity to target rates, frozen then; without a readout.

        Every static projection of weights <= 0 onto populations that are read follows
        :class:`plasticity.VogelsSprekelerRates` while ``u`` goes by, from the weights it has, then keeps its weights.

        Parameters
        ----------
        u : input without labels, shape (T, n_inputs)
        target : rate of each neuron read, [Hz], > 0: a number, or an array of shape (n,) in the order of the states
        eta : learning rates relative to the mean of a projection's weights; ``u`` goes by once with each

        References
        ----------
        Vogels et al. 2011, doi:10.1126/science.1211095; Srinivasan, Plenz & Girvan 2025, arXiv:2504.12480
        """
        owner = "SpikingReservoir.adapted"
        u, goal = series(f"{owner}.u", u, self.n_inputs), each(f"{owner}.target", target, self.n)
        if goal.min() <= 0.0:
            raise ModelError(f"{owner}.target: must be > 0 Hz; got {brief(target)}.")
        etas = learning_rates(f"{owner}.eta", eta)
        sizes = [self.net.populations[k].n for k in self.read]
        goals = dict(zip(self.read, np.split(goal, np.cumsum(sizes)[:-1]), strict=True))
        new = copy.copy(self)
        new.net, new.readout = copy.copy(self.net), None
        new.net.projections = dict(self.net.projections)
        sim = snn.Simulation(self.net, dt=self.dt, threads=self.threads, quiet=True)
        inhibitory = {}  # mean strength, by name
        for name, projection in self.net.projections.items():
            if projection.plastic or projection.target.name not in goals:
                continue
            sources, targets, weights, delays = sim.connections(name)
            if weights.size and weights.max() <= 0.0 > weights.min():
                inhibitory[name] = -float(weights.mean())
                new.net.projections[name] = dataclasses.replace(
                    projection, rule=snn.from_arrays(sources, targets), weight=weights, delay=delays
                )
        if not inhibitory:
            raise ModelError(f"{owner}: no static projection of weights <= 0 onto {', '.join(self.read)}; add one.")
        for rate in etas:
            learning = copy.copy(new.net)
            learning.projections = dict(new.net.projections)
            for name, mean in inhibitory.items():
                static = learning.projections[name]
                rule = plasticity.VogelsSprekelerRates(eta=rate * mean, w_max=-STRONGEST * mean)
                receptor = static.receptors[1]  # of negative weights
                learning.projections[name] = dataclasses.replace(static, receptors=(receptor,) * 2, plasticity=rule)
                learning.modulate(name, value=1e-3 * goals[static.target.name])
            sim = self._simulation(learning, u)
            sim.run(self.hold * len(u))
            for name in inhibitory:
                new.net.projections[name] = dataclasses.replace(
                    new.net.projections[name], weight=sim.connections(name)[2]
                )
        return new

    def __copy__(self) -> Any:
        new = object.__new__(type(self))
        new.__dict__.update(self.__dict__)
        new.reset()  # a state of its own, at rest
        return new

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and deepcopy."""
        if self._live is not None:
            raise ModelError(
                f"{type(self).__name__}: is running, by run() or step(), and a simulation on its way cannot be "
                "pickled or copied. Call reset() before."
            )
        return self.__dict__

    def reset(self) -> None:
        """See :class:`Reservoir`."""
        self._live: tuple[snn.Simulation, np.ndarray] | None = None  # what runs, and the sums of its two filters

    def run(self, u: Any) -> np.ndarray:
        """See :class:`Reservoir`."""
        u = series("SpikingReservoir.run.u", u, self.n_inputs)
        if self.encoder is not None:
            raise ModelError("SpikingReservoir.run: an encoder takes whole series. Use states(), or currents.")
        if self._live is None:
            self._live = self._simulation(self.net, np.zeros((1, self.n_inputs))), np.zeros((2, self.n))
        sim, sums = self._live
        constants = [c for c in (self.tau, self.tau_rise) if c > 0.0] if self.state == "filter" else []
        keep = [np.exp(-self.hold / c) for c in constants]
        states = np.empty((len(u), self.n))
        for state, now in zip(states, u, strict=True):
            for name, w in self.w_in.items():
                sim.set_current(f"reservoir input of {name}", w @ now)
            result = sim.run(self.hold)
            for k, tau in enumerate(constants):
                new = [filtered(result.spikes[p], self.hold, tau)[0] for p in self.read]
                sums[k] = keep[k] * sums[k] + np.concatenate(new)
            state[:] = sums[0] - sums[1] if constants else self._states(result.spikes, result.states)[0]
        return states

    def _drawn(self, u: Any, draw: tuple[int, int]) -> np.ndarray:
        """See :class:`Reservoir`: of encoder and network the noise is drawn anew; connectivity stays."""
        return self._states(*self._respond(u, draw))

    def _states(
        self, spikes: Mapping[str, snn.SpikeRecord], recorded: Mapping[str, snn.StateRecord]
    ) -> np.ndarray:  # fmt: skip
        """States of a run that began at rest, as ``state`` says."""
        if self.state == "filter":
            return np.hstack([filtered(spikes[k], self.hold, self.tau, self.tau_rise) for k in self.read])
        if self.state == "counts":
            return np.hstack([counts(spikes[k], self.hold) for k in self.read])
        return np.hstack([recorded[k][self.state] for k in self.read])


class _Redrawn(snn.Network):
    """``net`` with other noise and the same of everything else."""

    def __init__(self, net: snn.Network, draw: tuple[int, int]) -> None:
        self.__dict__.update(net.__dict__)
        self._net, self._draw = net, draw

    def stream(self, kind: str, name: str, *more: object) -> tuple[Any, Any]:
        """See :class:`snn.Network`."""
        return self._net.stream(kind, name, *more, *(self._draw if kind in NOISE else ()))


def counts(record: snn.SpikeRecord, every: float) -> np.ndarray:
    """Numbers of spikes in each ``every`` ms: (samples, neurons). One on an edge belongs to the time before it."""
    samples, at, _ = _cells(record, every)
    keep = at < samples
    cell = at[keep] * record.n_nodes + record.ids[keep]
    found = np.bincount(cell, minlength=samples * record.n_nodes)
    return found.reshape(samples, record.n_nodes).astype(np.float64)


def _cells(record: snn.SpikeRecord, every: float) -> tuple[int, np.ndarray, np.ndarray]:
    """Number of samples, that of each spike, and the time from the begin to each spike."""
    since = record.times - record.t_start
    near = min(record.tolerance / every, 0.5)
    at = np.maximum(np.ceil(since / every - near).astype(np.int64) - 1, 0)
    return int(np.floor(record.duration / every + near)), at, since


def fan_out(ids: np.ndarray, sources: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """(spikes, edges) of every event that spikes of ``ids`` make on edges from ``sources``, both in 0 .. n - 1."""
    order = np.argsort(sources, kind="stable")
    begin = np.searchsorted(sources[order], np.arange(n + 1))
    size = np.diff(begin)[ids]
    at = np.arange(size.sum()) + np.repeat(begin[ids] - np.cumsum(size) + size, size)
    return np.repeat(np.arange(len(ids)), size), order[at]


def filtered(record: snn.SpikeRecord, every: float, tau: float, tau_rise: float = 0.0) -> np.ndarray:
    """Spikes through an exponential filter, sampled ``every`` ms from the start of the record on; exact.

    x(t) = sum over spikes at s <= t of exp(-(t-s)/tau) - exp(-(t-s)/tau_rise), the second term only where tau_rise > 0.

    Parameters
    ----------
    record : spikes of n neurons
    every, tau, tau_rise : [ms], 0 <= tau_rise < tau

    Returns
    -------
    Array of shape (T, n); row k at t_start + (k+1) every

    Examples
    --------
    >>> record = snn.SpikeRecord("a", [5.0], [0], 1, 0.0, 30.0, 1.0)
    >>> filtered(record, 10.0, 10.0).round(3).ravel().tolist()
    [0.607, 0.223, 0.082]
    """
    _check_filter("filtered", every, tau, tau_rise)
    samples, at, since = _cells(record, every)
    keep = at < samples
    cell, left = at[keep] * record.n_nodes + record.ids[keep], (at[keep] + 1) * every - since[keep]
    out = np.zeros((samples, record.n_nodes))
    for sign, constant in ((1.0, tau), (-1.0, tau_rise)):
        if constant > 0.0:
            kicks = np.bincount(cell, np.exp(-left / constant), samples * record.n_nodes)
            kicks = kicks.reshape(samples, record.n_nodes)
            out += sign * scipy.signal.lfilter([1.0], [1.0, -np.exp(-every / constant)], kicks, axis=0)
    return out


def random_network(
    n: int, model: snn.NeuronModel, rule: Any, weight: float, delay: Any = 1.0, weight_std: float = 0.3,
    excitatory: float = 0.8, balance: float = 4.0, positions: Any = None, init: dict[str, Any] | None = None,
    seed: int = 0, wrap: Any = None,
) -> snn.Network:  # fmt: skip
    """A recurrent network of populations "exc" and "inh" that obeys Dale's law.

    Parameters
    ----------
    n : number of neurons
    model : of all neurons, any registered one; distributions as its parameters make neurons differ
    rule : of all four projections, such as ``snn.pairwise_bernoulli(0.1)``, ``snn.distance_dependent(..)``. A rule that
        counts, such as ``snn.fixed_indegree(80)``, counts excitatory sources; inhibitory ones are (1 - excitatory) /
        excitatory times as many. Or a graph of all neurons, such as :func:`reservoir.graphs.small_world`; which of them
        are inhibitory is drawn
    weight : mean excitatory weight, > 0, in the unit of the model's receptor; inhibitory ones are -balance times it
    delay : number or distribution, [ms]
    weight_std : standard deviation relative to the mean, >= 0; normal, truncated at 0
    excitatory : share of the neurons, > 0 and < 1
    positions : shape (n, d) or (n,), the excitatory neurons first, or with a graph in its order; for rules of distance
    init : initial values of state variables, see :meth:`snn.Network.population`
    seed : fixes everything drawn
    wrap : period of the positions, see :meth:`snn.Network.population`

    Returns
    -------
    An ordinary network, to which inputs and more projections can be added.
    """
    owner = "random_network"
    n, excitatory = whole(f"{owner}.n", n, 2), bounded(f"{owner}.excitatory", excitatory, 0.0, 1.0)
    n_exc = round(excitatory * n)
    if not 0 < n_exc < n:
        raise ModelError(f"{owner}.excitatory: must leave neurons of both kinds; got {excitatory!r} of n={n!r}.")
    weight = bounded(f"{owner}.weight", weight, 0.0, open_low=True)
    balance, weight_std = bounded(f"{owner}.balance", balance, 0.0), bounded(f"{owner}.weight_std", weight_std, 0.0)
    where = None if positions is None else finite(f"{owner}.positions", positions)
    if where is not None and (where.ndim not in (1, 2) or len(where) != n):
        raise ShapeError(f"{owner}.positions: must have shape ({n}, d) or ({n},); got {where.shape}.")
    net = snn.Network(seed=seed)
    parts = {"exc": np.arange(n_exc), "inh": np.arange(n_exc, n)}  # by number in positions and graph
    graph: Any = rule.tocsr() if scipy.sparse.issparse(rule) else None  # type: ignore[attr-defined]
    if graph is not None:
        if graph.shape != (n, n):
            raise ShapeError(f"{owner}.rule: a graph must have shape ({n}, {n}); got {graph.shape}.")
        drawn = generator(owner, seed).permutation(n)
        parts = {"exc": np.sort(drawn[:n_exc]), "inh": np.sort(drawn[n_exc:])}
    for kind, part in parts.items():
        at = None if where is None else where[part]
        net.population(kind, len(part), model, init=init, positions=at, wrap=wrap)
    fewer = rule
    if isinstance(rule, snn.fixed_indegree):
        few = max(1, round(rule.indegree * (1.0 - excitatory) / excitatory))
        fewer = dataclasses.replace(rule, indegree=few)
    strengths = {"exc": weight} | ({"inh": -balance * weight} if balance > 0 else {})
    for source, mean in strengths.items():
        value: Any = mean
        if weight_std > 0:
            side = {"low": 0.0} if mean > 0 else {"high": 0.0}
            value = snn.normal(mean, weight_std * abs(mean), **side)
        for target in ("exc", "inh"):
            law = rule if source == "exc" else fewer
            if graph is not None:
                law, _ = snn.from_sparse(graph[parts[target]][:, parts[source]].T)
            net.connect(source, target, law, weight=value, delay=delay)
    return net


def _check_filter(owner: str, every: float, tau: float, tau_rise: float) -> None:
    bounded(f"{owner}.every", every, 0.0, open_low=True)
    if not 0 <= number(f"{owner}.tau_rise", tau_rise) < number(f"{owner}.tau", tau):
        raise ModelError(f"{owner}.tau: must be > tau_rise >= 0 ms; got {tau!r} and tau_rise={tau_rise!r}.")
