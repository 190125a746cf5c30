"""What the user describes, piece by piece. Objects only, no arrays, nothing compiled."""

import copy
import dataclasses
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError, SimError, UnitError, nearest
from kernels.philox import stream_key
from kernels.spec import NeuronSpec
from kernels.units import in_short
from plasticity.base import PlasticityRule, ShortTerm
from plasticity.settled import Settled, settled
from snn import gap
from snn.among import among
from snn.connect import Pair, Rule
from snn.distributions import Distribution
from snn.elements import SPIKES, Input, Modulation, Part, Population, Probe, Projection, WeightProbe, of_rule
from snn.inputs import CurrentInput, Poisson, SpikeArray, SpikeInput, spread
from snn.neurons.base import NeuronModel
from snn.of_edges import drawn_for, of_edges
from snn.rule_checks import check_modulator, check_plastic, value_range
from snn.space import given_wrap
from snn.units import brief, plain

MOST_NEURONS = 2**31 - 1  # of a population
INIT = "Give init= to net.population, or use sim.set_state."
NOISE = ("escape", "input", "noise", "source")  # kinds of streams that are drawn from while a network runs


class Network:
    """A description of a network; nothing is computed until :class:`snn.Simulation` compiles it.

    Parameters
    ----------
    seed : int
        Fixes connectivity, initial values, parameters drawn and all noise. Streams are named: adding a population or a
        projection changes no other's.

    Examples
    --------
    >>> import snn
    >>> net = snn.Network(seed=1)
    >>> exc = net.population("exc", 80, snn.LIFDelta(tau_m=20.0))
    >>> _ = net.input("noise", exc, snn.Poisson(rate=8000.0), weight=0.3)
    >>> net.connect(exc, exc, snn.fixed_indegree(8), weight=0.2, delay=1.5)
    Projection('exc->exc', fixed_indegree(indegree=8, autapses=True, multapses=True, p=None), weight=0.2, delay=1.5)
    """

    def __init__(self, seed: int = 0) -> None:
        if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
            raise ModelError(f"Network.seed: must be an integer >= 0; got {seed!r}.")
        self._seed = int(seed)
        self.populations: dict[str, Population] = {}
        self.projections: dict[str, Projection] = {}
        self.inputs: dict[str, Input] = {}
        self.probes: list[Probe] = []
        self.weight_probes: list[WeightProbe] = []
        self.configuration: dict[str, Any] | None = None  # the file this network was made from, for provenance

    @property
    def seed(self) -> int:
        """The seed. It cannot be assigned: some of what depends on it may be drawn already."""
        return self._seed

    @seed.setter
    def seed(self, seed: int) -> None:
        raise ModelError(f"Network.seed: cannot be assigned; got {seed!r}. Make a network with Network(seed={seed!r}).")

    def stream(self, kind: str, name: str, *more: object) -> tuple[Any, Any]:
        """Key of the random numbers of this kind ("edges", "init", ...) of what is called ``name``."""
        return stream_key(self.seed, kind, name, *more)

    def population(
        self, name: str, n: int, model: Any, init: dict[str, Any] | None = None, positions: Any = None,
        wrap: Any = None,
    ) -> Population:  # fmt: skip
        """Add ``n`` neurons of ``model`` (or spike sources: :class:`snn.Poisson`, :class:`snn.SpikeArray`).

        ``init`` maps state variables to a number, an array of shape (n,) or a distribution. ``positions``, shape
        (n, d) or, on a line, (n,), serve rules, weights and delays that depend on distance. ``wrap``: the period of a
        periodic space, a number or one a dimension (``np.inf`` where it is open; None: open in all). Distance is then
        that of the shortest way, whatever the rule; populations that are joined by distance have the same.
        """
        _check_name("Network.population", name)
        if "/" in name:
            raise ModelError(f"Network.population: the name must be a text without '/'; got {name!r}.")
        if name in self.populations:
            raise ModelError(f"Network.population: {name!r} exists already. Choose another name.")
        owner = f"Population {name!r}"
        if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
            raise ModelError(f"{owner}.n: must be an integer >= 1; got {n!r}.")
        if n > MOST_NEURONS:
            raise ModelError(f"{owner}.n: must be at most {MOST_NEURONS:,}: numbers of neurons have 32 bits; got {n}.")
        if isinstance(model, type) and issubclass(model, NeuronModel):
            model = model()
        if not isinstance(model, (NeuronModel, Poisson, SpikeArray)):
            raise ModelError(f"{owner}.model: must be a neuron model, Poisson or SpikeArray; got {model!r}.")
        if isinstance(model, SpikeArray) and model.weights is not None:
            raise ModelError(
                f"{owner}.model: spikes have weights of their own as a direct input only, here those of the "
                f"projections act; got {model!r}."
            )
        if positions is not None:
            positions = np.asarray(plain(positions, "1", f"{owner}.positions"), float)
            if positions.ndim not in (1, 2) or len(positions) != n or not np.all(np.isfinite(positions)):
                raise ShapeError(
                    f"{owner}.positions: must be finite, of shape ({n}, d) or ({n},); got {positions.shape}."
                )
            positions = positions.reshape(n, -1)
        if wrap is not None:
            if positions is None:
                raise ModelError(f"{owner}.wrap: is the period of positions; give positions=, too. Got {wrap!r}.")
            wrap = given_wrap(f"{owner}.wrap", wrap, positions.shape[1])
        spec: NeuronSpec | None = getattr(model, "spec", None)
        states = {s.name: s for s in spec.state} if spec else {}
        if not isinstance(init, (dict, type(None))):
            raise ModelError(f"{owner}.init: must be a dictionary of state variables; got {init!r}.")
        start: dict[str, Any] = {}
        for variable, value in (init or {}).items():
            if variable not in states:
                raise ModelError(f"{owner}.init: no state variable {variable!r}.{nearest(variable, states)}")
            start[variable] = self.values(f"{owner}.init[{variable!r}]", value, states[variable].unit, (n,))
        for parameter in spec.params if spec else ():
            value = model.params[parameter.name]  # type: ignore[union-attr]
            if np.ndim(value) and np.shape(value) != (n,) and not isinstance(value, Distribution):
                raise ShapeError(
                    f"{type(model).__name__}.{parameter.name}: must be a number or of shape ({n},), the size of "
                    f"population {name!r}; got {np.shape(value)}."
                )
        self.populations[name] = Population(
            name, int(n), model, Settled(start, "Population.init", INIT), settled(positions), wrap
        )
        return self.populations[name]

    def input(self, name: str, target: Any, source: Any, weight: Any = None, receptor: str | None = None) -> Input:
        """Drive every neuron of ``target`` by ``source``: a spike input with a ``weight``, or a current.

        ``target``: a population, its name, or a part such as ``exc[:100]``; n is then the part's size, in ``source``
        too. ``weight``: a number, an array of shape (n,) or a distribution (one value a neuron), in the receptor's
        unit.
        """
        ids = target.ids if isinstance(target, Part) else None
        population = self._population(target.population if isinstance(target, Part) else target)
        owner, n = f"Input {name!r}", population.n if ids is None else ids.size
        _check_name("Network.input", name)
        if name in self.inputs:
            raise ModelError(f"Network.input: {name!r} exists already. Choose another name.")
        if population.spec is None:
            raise ModelError(
                f"{owner}.target: {population.name!r} is a population of spike sources; it takes no input."
            )
        if isinstance(source, CurrentInput):
            if weight is not None or receptor is not None:
                raise ModelError(f"{owner}.weight: a current takes no weight and no receptor; got {weight!r}.")
            if "i_stim" not in population.spec.arguments:
                raise ModelError(f"{owner}: {population.spec.name} takes no injected current.")
            whole: Any = source if ids is None else source.among(owner, ids, population.n)
            self.inputs[name] = Input(name, population, whole, None, -1, ids)
            return self.inputs[name]
        if not isinstance(source, SpikeInput):
            raise ModelError(
                f"{owner}.source: must be an input such as snn.Poisson or snn.StepCurrent; got {source!r}."
            )
        own = source.weights if isinstance(source, SpikeArray) else None
        if own is not None and weight is not None:
            raise ModelError(f"{owner}.weight: the spikes have weights of their own; leave it out. Got {weight!r}.")
        if own is not None:
            weight = own if len(own) else 1.0
            shape: tuple[int, ...] = np.shape(weight)
        elif weight is None:
            raise ModelError(f"{owner}.weight: spikes need a weight; got none.")
        else:
            shape = (n,)
        weight = self._weight(owner, weight, population.spec, receptor, shape)
        positive, negative = self._receptors(owner, population.spec, receptor, weight)
        low, high = value_range(weight)
        if positive != negative and low < 0 < high:
            raise ModelError(f"{owner}.weight: must be of one sign, or name a receptor; got {low:g} to {high:g}.")
        whole = source
        if ids is not None:
            whole = source.among(owner, ids, population.n)
            if isinstance(weight, Distribution):
                weight = weight.draw(n, self.stream("input weight", name))
            if own is None and (np.ndim(weight) or getattr(source, "shared", False)):
                weight = spread(np.broadcast_to(weight, (n,)), ids, population.n)
        self.inputs[name] = Input(name, population, whole, weight, negative if low < 0 else positive, ids)
        return self.inputs[name]

    def connect(
        self, source: Any, target: Any, rule: Rule, weight: Any = 1.0, delay: Any = 1.0,
        receptor: str | None = None, name: str | None = None, plasticity: PlasticityRule | None = None,
        short_term: ShortTerm | None = None, axonal_delay: Any = 0.0,
    ) -> Projection:  # fmt: skip
        """Connect two populations by ``rule``.

        Parameters
        ----------
        source, target : Population, its name, or a part such as ``exc[:100]``
        rule : such as :class:`snn.fixed_indegree`
        weight : number, distribution, array of the rule's shape, values of neurons (:class:`snn.per_source`,
            :class:`snn.per_target`), or function of the distance between the neurons' ``positions``, periodic where
            they have ``wrap``, such as ``lambda d: np.exp(-d)`` (with these the edges are drawn at once) or of
            their :class:`snn.displacement`, in the unit of the target's receptor. Without ``receptor``
            the sign chooses it, edge by edge: negative weights go to the inhibitory one, as in NEST.
        delay : as ``weight``, [ms], at least one step of the simulation; rounded to the grid: what lies halfway between
            two steps, to the even one, or as delay / dt happens to round
        receptor : name of the target's receptor
        name : default "source->target"; needed to connect a pair twice
        plasticity : rule by which the weights change, such as :class:`plasticity.STDPPair`; None: static. Parameters
            may be given as ``weight`` is, for a value of each synapse
        short_term : rule that scales what a spike delivers, by the source's recent spikes; goes with any ``plasticity``
        axonal_delay : axonal part of ``delay``, a number [ms]: a presynaptic spike meets the synapse this long after
            it, a postsynaptic one the rest of the delay after it, at least one step of the simulation; rounded to the
            grid, as ``delay``
        """
        pre, post = (self._population(x.population if isinstance(x, Part) else x) for x in (source, target))
        name = f"{pre.name}->{post.name}" if name is None else name
        owner = f"Projection {name!r}"
        _check_name("Network.connect", name)
        if name in self.projections:
            raise ModelError(f"Network.connect: {name!r} exists already. Give this projection a name of its own.")
        if not isinstance(rule, Rule):
            raise ModelError(f"{owner}.rule: must be a rule such as snn.fixed_indegree(10); got {rule!r}.")
        if isinstance(source, Part) or isinstance(target, Part):
            rule = among(rule, *(x.ids if isinstance(x, Part) else None for x in (source, target)))
        if post.spec is None:
            raise ModelError(f"{owner}.target: {post.name!r} is a population of spike sources; it takes no input.")
        rule.check(owner, pre.n, post.n)
        changing: dict[str, Any] = {"plasticity": plasticity, "short_term": short_term}
        given = {"weight": weight, "delay": delay} | {
            f"{what}.{key}": value
            for what, x in changing.items() if isinstance(x, (PlasticityRule, ShortTerm))
            for key, value in x.params.items() if not isinstance(value, float)
        }  # fmt: skip
        if any(of_edges(value) for value in given.values()):
            key, same = self.stream("edges", name), pre is post
            ends = Pair(owner, pre.n, post.n, same, key, 1, pre.positions, post.positions, pre.wrap, post.wrap)
            rule, given = drawn_for(ends, rule, **given)
            weight, delay = given["weight"], given["delay"]
            plasticity, short_term = (
                x and x.with_values({k.removeprefix(f"{what}."): v for k, v in given.items() if k.startswith(what)})
                for what, x in changing.items()
            )
        shape = rule.shape(pre.n, post.n)
        weight = self._weight(owner, weight, post.spec, receptor, shape, rule)
        delay = self.values(f"{owner}.delay", delay, "ms", shape, rule)
        low, _ = value_range(delay)
        if low <= 0 and not isinstance(delay, Distribution):
            raise ModelError(f"{owner}.delay: must be > 0 ms; got {low}.")
        if low <= 0:
            raise ModelError(f"{owner}.delay: must be > 0 ms, but {delay!r} reaches {low}. Give low=, e.g. low=0.1.")
        receptors = self._receptors(owner, post.spec, receptor, weight)
        for what, changed in (("plasticity", plasticity), ("short_term", short_term)):
            params = changed.params if isinstance(changed, (PlasticityRule, ShortTerm)) else {}
            for parameter in (name for name, value in params.items() if not isinstance(value, float)):
                self.values(f"{owner}.{what}.{parameter}", params[parameter], "1", shape, rule)  # in its unit by now
        if plasticity is not None:
            bounds = check_plastic(owner, plasticity, weight)
            known = [v.name for v in post.spec.state if v.dtype == "float"]
            reads = plasticity.spec.observer.reads if plasticity.spec.observer else ()
            for variable in (v for v in reads if v not in known):
                raise ModelError(
                    f"{owner}.plasticity: {plasticity.spec.name} reads {variable!r} of its target; {post.spec.name} "
                    f"has {', '.join(known)}. Use a model that has it."
                )
            # a weight may become 0, so the rule's bounds choose the receptor, not the sign of the first weight
            receptors = self._receptors(owner, post.spec, receptor, np.array(bounds))
            if bounds[0] < 0.0 < bounds[1] and receptors[0] != receptors[1]:
                raise ModelError(
                    f"{owner}.plasticity: a plastic weight has one receptor, {post.spec.name} has one for each sign; "
                    f"got {plasticity.spec.name}, whose weights are in [{bounds[0]:g}, {bounds[1]:g}]. Choose other "
                    "bounds."
                )
            receptors = (receptors[bounds[1] <= 0.0],) * 2
        if short_term is not None and not isinstance(short_term, ShortTerm):
            raise ModelError(f"{owner}.short_term: must be a short-term rule; got {short_term!r}.")
        if short_term is not None and receptors[0] != receptors[1]:
            low, high = value_range(weight)
            if low < 0.0 < high:
                raise ModelError(
                    f"{owner}.weight: must be of one sign with short-term plasticity; got {low:g} to {high:g}. Give "
                    "excitatory and inhibitory synapses a projection each, or name a receptor."
                )
            receptors = (receptors[low < 0.0],) * 2
        drawn = isinstance(axonal_delay, Distribution) or of_edges(axonal_delay)
        given = axonal_delay if drawn else plain(axonal_delay, "ms", f"{owner}.axonal_delay")
        if drawn or np.ndim(given):
            raise ModelError(
                f"{owner}.axonal_delay: must be one number in ms; got {axonal_delay!r}. Give the synapses of each "
                "axonal delay a projection of their own."
            )
        axonal_delay = given
        if not 0 <= axonal_delay < np.inf:
            raise ModelError(f"{owner}.axonal_delay: must be a number >= 0 ms; got {axonal_delay!r}.")
        self.projections[name] = Projection(
            name, pre, post, rule, weight, delay, receptors, plasticity, short_term, float(axonal_delay)
        )
        return self.projections[name]

    def gap_junctions(
        self, a: Any, b: Any, rule: Rule, conductance: Any = 1.0, name: str | None = None
    ) -> list[Input]:  # fmt: skip
        """Join neurons of two populations, or of one, by gap junctions (electrical synapses).

        Each pair (i of ``a``, j of ``b``) that ``rule`` draws is a junction, which conducts both ways: neuron i gets
        the current g (v_j - v_i), neuron j the opposite. A pair drawn twice, also as (j, i), has two; no neuron has one
        with itself. Potentials are those at the begin of each step (first order in dt). Clock engine, backends "cpu"
        and "reference", one process.

        Parameters
        ----------
        a, b : Population, its name, or a part such as ``exc[:100]``
        rule : such as :class:`snn.pairwise_bernoulli`
        conductance : as ``weight`` of :meth:`connect`, [nS] where v is in mV and injected current in pA; >= 0
        name : default "a~b"

        Returns the currents into ``b`` and, where it is another population, into ``a``: inputs of these populations
        called ``name`` and ``name (back)``.

        Raises
        ------
        ModelError
            Where a population has no potential ``v`` or takes no injected current, or a conductance is negative.
            :class:`snn.Simulation` raises it where dt is too large for the conductances.
        """
        first, second = (self._population(x.population if isinstance(x, Part) else x) for x in (a, b))
        name = f"{first.name}~{second.name}" if name is None else name
        _check_name("Network.gap_junctions", name)
        owner = f"Gap junctions {name!r}"
        if not isinstance(rule, Rule):
            raise ModelError(f"{owner}.rule: must be a rule such as snn.pairwise_bernoulli(0.1); got {rule!r}.")
        if isinstance(a, Part) or isinstance(b, Part):
            rule = among(rule, *(x.ids if isinstance(x, Part) else None for x in (a, b)))
        rule.check(owner, first.n, second.n)
        if not of_edges(conductance):
            shape = rule.shape(first.n, second.n)
            conductance = self.values(f"{owner}.conductance", conductance, "nS", shape, rule)
        keys = self.stream("junctions", name), self.stream("conductances", name)
        made = gap.between(owner, name, first, second, rule, conductance, *keys)
        for taken in (x.name for x in made if x.name in self.inputs):
            raise ModelError(f"Network.gap_junctions: an input {taken!r} exists already. Choose another name.")
        self.inputs.update({x.name: x for x in made})
        return made

    def modulate(self, projection: Any, source: Any = None, delay: Any = 1.0, value: Any = 0.0) -> None:
        """Give the rule of ``projection`` its modulator.

        Parameters
        ----------
        projection : Projection or its name
        source : Population or its name; each of its spikes makes the modulator jump, ``delay`` ms after it. None: only
            :meth:`snn.Simulation.set_modulator` changes it, which can be used with a source, too
        delay : [ms], at least one step of the simulation
        value : of the modulator at the start, from which it decays if its rule lets it; an array of the target
            population's size gives each target neuron its own, where there is no source
        """
        name = getattr(projection, "name", projection)
        if name not in self.projections:
            raise ModelError(f"Network.modulate: no projection {name!r}.{nearest(str(name), self.projections)}")
        found = self.projections[name]
        owner = f"Projection {name!r}.modulator"
        signal = found.plasticity.spec.modulator if found.plasticity else None
        if found.plasticity is None or signal is None:
            rule = "a projection without plasticity" if found.plasticity is None else found.plasticity.spec.name
            raise ModelError(f"{owner}: {rule} takes none. Use a three-factor rule.")
        population = None if source is None else self._population(source)
        if population is not None and signal.jump is None:
            raise ModelError(
                f"{owner}: {signal.name} of {found.plasticity.spec.name} is set by the user; got {source!r}."
            )
        delay = plain(delay, "ms", f"{owner}.delay")
        value = check_modulator(f"{owner}.value", found, population, plain(value, signal.unit, f"{owner}.value"))
        if np.ndim(delay) or not 0 < delay < np.inf:
            raise ModelError(f"{owner}.delay: must be a number > 0 ms; got {delay!r}.")
        object.__setattr__(found, "modulation", Modulation(population, float(delay), value))

    def record(self, population: Any, variable: Any = SPIKES, ids: Any = None, every: float | None = None) -> Any:
        """Record ``"spikes"`` or a state variable, or several: ``["spikes", "v", "w"]``.

        Returns a :class:`Probe`, or one for each of several. ``population``: also its name, or a part such as
        ``exc[:10]``, whose neurons are then the ``ids``.
        ``ids``: neurons, default all; what is recorded has them in ascending order, whatever the order given:
        ``result.states["exc"].ids("v")`` are the columns, ``result.spikes["exc"].recorded`` those whose spikes are
        kept. ``every``: interval of states in ms, default each step; samples are taken at multiples of it, the first
        after one interval. Of several variables it is for the states.
        """
        if isinstance(population, Projection):
            raise ModelError(f"record({population.name!r}): use record_weights for a projection.")
        if isinstance(population, Part) and ids is None:
            population, ids = population.population, population.ids
        target = self._population(population)
        if isinstance(variable, (list, tuple)):
            before = list(self.probes)
            try:
                several = len(variable) > 1
                return [self.record(target, x, ids, None if several and x == SPIKES else every) for x in variable]
            except SimError:
                self.probes[:] = before
                raise
        owner = f"record({target.name!r}, {variable!r})"
        if any(p.population is target and p.variable == variable for p in self.probes):
            raise ModelError(f"{owner}: is recorded already. Name all neurons to record in one call.")
        if variable == SPIKES:
            if every is not None:
                raise ModelError(f"{owner}.every: is for states; spikes have their times; got {every!r}. Leave it out.")
        else:
            known = [s.name for s in target.spec.state] if target.spec else []
            if variable not in known:
                raise ModelError(f"{owner}: no such variable.{nearest(str(variable), [SPIKES, *known])}")
        chosen = np.arange(target.n) if ids is None else np.unique(plain(ids, "1", f"{owner}.ids"))
        if (
            np.ndim(ids) > 1 or chosen.size == 0 or np.any(chosen != np.rint(chosen))
            or chosen[0] < 0 or chosen[-1] >= target.n
        ):  # fmt: skip
            raise ModelError(f"{owner}.ids: must be integers >= 0 and < {target.n}; got {brief(ids)}.")
        if every is not None:
            every = plain(every, "ms", f"{owner}.every")
            if np.ndim(every) or not 0 < every < np.inf:
                raise ModelError(f"{owner}.every: must be > 0 ms; got {every!r}.")
        probe = Probe(target, variable, chosen.astype(np.int64), every)
        self.probes.append(probe)
        return probe

    def record_weights(self, projection: Any, every: Any = None, variable: str = "weights") -> None:
        """Record the weights of ``projection`` (or its name) at the end of every run.

        ``every``: and at multiples of this interval in ms. ``variable``: instead, a state variable of the projection's
        rules, such as an eligibility ("short_term.x" where both rules have an x), as :meth:`snn.Simulation.state` gives
        it; ``weights["name.variable"]`` of the result. Columns are the synapses of
        :meth:`snn.Simulation.connections`: after ``rewire`` they are others, and :meth:`snn.Result.concatenate` refuses
        to join records from before and after.
        """
        name = getattr(projection, "name", projection)
        if name not in self.projections or projection not in (name, self.projections[name]):
            hint = nearest(str(name), self.projections)
            raise ModelError(f"record_weights: {projection!r} is no projection of this network.{hint}")
        found = self.projections[name]
        owner = f"record_weights({name!r})" if variable == "weights" else f"record_weights({name!r}, {variable!r})"
        if variable != "weights":
            rules = (("plasticity", found.plasticity), ("short_term", found.short_term))
            of_rule(owner, variable, [f"{what}.{v.name}" for what, rule in rules if rule for v in rule.spec.state])
        probe = WeightProbe(found, every, variable)
        if any(p.name == probe.name for p in self.weight_probes):
            raise ModelError(f"{owner}: {probe.name!r} is recorded already.")
        if every is not None:
            every = plain(every, "ms", f"{owner}.every")
            if np.ndim(every) or not 0 < every < np.inf:
                raise ModelError(f"{owner}.every: must be > 0 ms; got {every!r}.")
        self.weight_probes.append(dataclasses.replace(probe, every=every))

    def copied(self) -> "Network":
        """Another network of the same parts; replacing one there changes nothing here."""
        other = copy.copy(self)
        other.populations, other.inputs = dict(self.populations), dict(self.inputs)
        return other

    def members(self) -> list[Any]:
        """All that it consists of now."""
        rows = [*self.populations.values(), *self.projections.values(), *self.inputs.values()]
        rows += [p.model for p in self.populations.values()] + [i.source for i in self.inputs.values()]
        signals = [p.modulation for p in self.projections.values() if p.modulation]
        return [*rows, *signals, *self.probes, *self.weight_probes]

    def refuse_changes(self, described: list[Any], owner: str) -> None:
        """Raise where its members are no more those ``described``, of which the ``owner`` made what it runs."""
        now = self.members()
        if now != described:
            new = next((x for x in now if x not in described), None)
            said = "something was taken away" if new is None else f"{type(new).__name__} {getattr(new, 'name', '')!r}"
            kind = owner.partition(".")[0]
            raise ModelError(
                f"{owner}: the network was changed after this {kind} was made: {said}. Make a {kind} of what it is now."
            )

    def __repr__(self) -> str:
        rows = [*self.populations.values(), *self.projections.values()]
        return f"Network(seed={self.seed})" + "".join(f"\n  {row!r}" for row in rows)

    def _population(self, population: Any) -> Population:
        if isinstance(population, Part):
            raise ModelError(
                f"Network: must be a whole population here; got {population!r}. Parts are for connect, input, record."
            )
        if isinstance(population, Population):
            if self.populations.get(population.name) is not population:
                raise ModelError(f"Population {population.name!r} belongs to another network.")
            return population
        if not isinstance(population, str) or population not in self.populations:
            raise ModelError(f"Network: no population {population!r}.{nearest(str(population), self.populations)}")
        return self.populations[population]

    @staticmethod
    def values(owner: str, value: Any, unit: str, shape: tuple[int, ...] | None, rule: Any = None) -> Any:
        """``value`` as a distribution, number or array of ``shape``, finite; an error names ``owner``."""
        if isinstance(value, Distribution):
            return value
        value = plain(value, unit, owner)
        if not np.all(np.isfinite(value)):
            raise ModelError(f"{owner}: must be finite; got {brief(value)}.")
        if np.ndim(value) and np.shape(value) != shape:
            if shape is None:
                raise ShapeError(f"{owner}: {type(rule).__name__} takes a number or a distribution; got an array.")
            hint = " Transpose it?" if np.shape(value) == shape[::-1] else ""
            kind = " = (source, target)" if len(shape) == 2 else ""
            raise ShapeError(f"{owner}: must have shape {shape}{kind}; got {np.shape(value)}.{hint}")
        return settled(value)

    @classmethod
    def _weight(
        cls, owner: str, given: Any, spec: NeuronSpec, receptor: str | None, shape: tuple[int, ...] | None,
        rule: Any = None,
    ) -> Any:  # fmt: skip
        """``given`` as :meth:`values` in the unit of the receptor named, or of those among which the sign chooses."""
        named = None if receptor is None else _receptor(owner, spec, receptor)
        ends = _by_sign(spec) if named is None else (named,)
        units = list(dict.fromkeys(spec.receptors[k].unit for k in ends if k is not None)) or ["1"]
        if len(units) == 1 or isinstance(given, Distribution):
            return cls.values(f"{owner}.weight", given, units[0], shape, rule)
        try:  # plain numbers are the same in all units
            found = [plain(given, unit, f"{owner}.weight") for unit in units]
        except UnitError:
            found = []
        if not found or any(not np.array_equal(x, found[0], equal_nan=True) for x in found):
            names = " or ".join(repr(spec.receptors[k].name) for k in ends if k is not None)
            raise UnitError(
                f"{owner}.weight: the sign chooses among receptors of {spec.name} in {' and '.join(units)}; got "
                f"{in_short(given)}. Name one, receptor={names}, or give plain numbers."
            )
        return cls.values(f"{owner}.weight", found[0], units[0], shape, rule)

    @staticmethod
    def _receptors(owner: str, spec: NeuronSpec, receptor: str | None, weight: Any) -> tuple[int, int]:
        """Numbers of the receptors of weights >= 0 and of negative weights."""
        low, high = value_range(weight)
        if receptor is not None:
            number = _receptor(owner, spec, receptor)
            sign = spec.receptors[number].sign
            if (sign > 0 and low < 0) or (sign < 0 and high > 0):
                wanted = ">= 0" if sign > 0 else "<= 0"
                raise ModelError(
                    f"{owner}.weight: receptor {receptor!r} of {spec.name} takes weights {wanted}; "
                    f"got {low if sign > 0 else high:g}. Leave out receptor to let the sign choose."
                )
            return number, number
        positive, negative = _by_sign(spec)
        if (positive is None and high > 0) or (negative is None and low < 0):
            value = high if positive is None else low
            raise ModelError(f"{owner}.weight: {spec.name} has no receptor for weights of this sign; got {value:g}.")
        first = positive if positive is not None else negative
        second = negative if negative is not None else positive
        return int(first or 0), int(second or 0)


def _receptor(owner: str, spec: NeuronSpec, name: Any) -> int:
    """The number of the receptor called ``name``."""
    names = [r.name for r in spec.receptors]
    if name not in names:
        raise ModelError(f"{owner}.receptor: {spec.name} has no receptor {name!r}.{nearest(str(name), names)}")
    return names.index(name)


def _by_sign(spec: NeuronSpec) -> tuple[int | None, int | None]:
    """Numbers of the receptors that weights >= 0 and negative weights choose, None where there is none."""
    positive = next((k for k, r in enumerate(spec.receptors) if r.sign >= 0), None)
    negative = next((k for k, r in enumerate(spec.receptors) if r.sign < 0), None)
    if negative is None and positive is not None and spec.receptors[positive].sign == 0:
        negative = positive
    return positive, negative


def _check_name(owner: str, name: Any) -> None:
    """Names give streams of random numbers and fields of files: texts, each its own."""
    if not isinstance(name, str) or not name or "\0" in name or name != name.strip():
        raise ModelError(f"{owner}: the name must be a non-empty text without outer spaces; got {name!r}.")
