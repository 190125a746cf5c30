"""What one asks of a simulation and sets in it between runs: states, weights, parameters, sources, modulators."""

import functools
import math
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np

from kernels.errors import BackendUnavailable, ModelError, ShapeError
from kernels.spec import NUMBER, synapse_rows
from plasticity.structural import Structural, checked_rewiring
from snn import changes
from snn.among import among, places
from snn.compile_synapses import rule_of, short_term_of
from snn.elements import Input, Part, Population, Projection, of_rule
from snn.inputs import spread
from snn.network import Network
from snn.ranks import Ranks
from snn.rule_checks import check_each, check_modulator, check_plastic
from snn.units import brief, plain

P = ParamSpec("P")
T = TypeVar("T")


def alone(method: Callable[P, T]) -> Callable[P, T]:
    """Refuse a call while another thread is in such a method of the same simulation: they share arrays."""

    @functools.wraps(method)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> T:
        lock = args[0]._lock  # type: ignore[attr-defined]
        if not lock.acquire(blocking=False):
            raise ModelError(
                f"Simulation.{method.__name__}: another thread is running this simulation. Give each thread its own."
            )
        try:
            return method(*args, **kwargs)
        finally:
            lock.release()

    return guarded


class Steering:
    """The part of :class:`snn.Simulation` that reads and sets what a network has between two runs."""

    net: Network
    dt: float
    engine: str
    backend: str
    _drive: Any
    _ranks: Ranks
    _lock: Any  # threading.RLock: held while a method runs that needs the arrays for itself
    _described: list[Any]  # members of ``net`` when it was compiled
    _changes: changes.Changes  # by set_parameters, set_source and set_current
    _log: list[changes.Row]  # of what was changed, for provenance

    @property
    def t(self) -> float:
        """Time reached, ms."""
        return float(self._drive.at * self._drive.unit)

    def _note(self, call: str, name: str, **values: Any) -> None:
        self._log = changes.noted(self._log, self.t, call, name, values)

    @alone
    def state(self, of: Population | Part | Projection | str, variable: str) -> np.ndarray:
        """Present values of a state variable, float64; a copy.

        Of a population: shape (n,); of a part such as ``exc[:10]``, those of its neurons, in its order. Of a
        projection, a state variable of its rule (such as an eligibility): one a synapse, in the order of
        :meth:`connections`, as of now (of the synapse's last event, where the rule has no ``flow``); one of its
        short-term rule: one a source neuron, shape (n,), just after that neuron's last spike that has met the synapses
        (the axonal part of the delay after it); before its first, as it starts or as :meth:`set_state` set it. Where
        parameters have values for each synapse, these can be read by their names, too, and a short-term rule has its
        state for each synapse. A name that both rules have is given as "plasticity.x" or "short_term.x".
        """
        of, ids = (of.population, of.ids) if isinstance(of, Part) else (of, slice(None))
        found, which = self._variable(of, variable)
        if isinstance(found, Population):
            return np.asarray(self._drive.state(found.name, variable))[ids]
        if which > 0:
            return np.asarray(self._drive.synapses(found, which))
        return np.asarray(self._drive.short(found, -1 - which))

    @alone
    def set_state(self, of: Population | Part | Projection | str, variable: str, values: Any) -> None:
        """Set a state variable to a number or an array of the shape that :meth:`state` gives.

        Of a part of a population, other neurons keep theirs. Values of a short-term rule are, as those of
        :meth:`state`, just after the source's last spike, and go on from then: giving back what was read changes
        nothing. Of a source that has not fired they are as of now, and so is what is not set; later calls before its
        first spike are as of the first.

        Raises
        ------
        ModelError, ShapeError
            For a variable that is not there, another shape, and values that are not finite.
        """
        of, ids = (of.population, of.ids) if isinstance(of, Part) else (of, None)
        found, which = self._variable(of, variable)
        spec: Any
        short = which < 0
        if isinstance(found, Population):
            shape: tuple[int, ...] = (found.n,) if ids is None else ids.shape
            spec = found.spec
        elif which > 0:
            rows, _ = synapse_rows(rule_of(found), None)
            short = which > len(rows)
            spec = short_term_of(found) if short else rule_of(found)
            shape = self.connections(found)[0].shape
            if variable.rpartition(".")[2] in spec.of_synapse:
                raise ModelError(f"set_state({variable!r}): is a constant of {spec.name}; it stays as it is.")
        else:
            shape, spec = (found.source.n,), found.short_term.spec  # type: ignore[union-attr]
        bare = variable if isinstance(found, Population) else variable.rpartition(".")[2]
        unit = next((v.unit for v in (spec.state if spec else ()) if v.name == bare), "1")
        array = np.asarray(plain(values, unit, f"set_state({variable!r})"))
        if array.shape not in ((), shape) or not np.all(np.isfinite(array)):
            raise ShapeError(
                f"set_state({variable!r}): must be finite, a number or of shape {shape}; got {brief(array)}."
            )
        if ids is not None:
            whole = np.asarray(self._drive.state(found.name, variable))
            whole[ids] = array
            array = whole
        self._ranks.agree("set_state", found.name, variable, array)
        if short:
            self._drive.begin_short(found)
        if isinstance(found, Population):
            self._drive.set_state(found.name, variable, array)
        elif which > 0:
            self._drive.set_synapses(found, array, which)
        else:
            self._drive.set_short(found, array, -1 - which)
        self._note("set_state", found.name, **{variable: array})

    def _variable(self, of: Any, variable: Any) -> tuple[Population | Projection, int]:
        """What has the state variable; of a rule its number from 1 on, of a short-term rule from -1 down."""
        name = getattr(of, "name", of)
        projection = self.net.projections.get(name) if isinstance(name, str) else None
        known = projection is not None and (isinstance(of, Projection) or name not in self.net.populations)
        if not known or projection is None:
            return self.net.populations[self._name(of)], 0
        rows, short_rows = synapse_rows(rule_of(projection), short_term_of(projection))
        shared = projection.short_term.spec.state if projection.short_term and not short_rows else ()
        found = {f"plasticity.{name}": 1 + row for name, row in rows.items() if name != NUMBER}
        found |= {f"short_term.{name}": 1 + row for name, row in short_rows.items() if name != NUMBER}
        found |= {f"short_term.{v.name}": -1 - k for k, v in enumerate(shared)}
        return projection, found[of_rule(f"Projection {name!r}", variable, found)]

    @alone
    def device_state(self, population: Population | str, variable: str) -> Any:
        """Present values of a state variable where they lie on the GPU, shape (n,): nothing is copied.

        A view with ``__dlpack__`` and ``__cuda_array_interface__``, for ``torch.from_dlpack`` and ``cupy.from_dlpack``,
        valid as long as this simulation. To be read: what is written there is lost with the next step (use
        :meth:`set_state`). ``copy_to_host()`` gives a NumPy array.
        """
        self._on_device("device_state")
        return self._drive.device_state(self._name(population), variable)

    @alone
    def device_spikes(self) -> tuple[int, Any, Any]:
        """Spikes that the last launch recorded, where they lie on the GPU, in no order: (step at which it began, steps
        since then, ids over all populations, in their order). As for :meth:`device_state`; valid until the next run.

        A run is cut into launches; one of a single step is one launch.
        """
        self._on_device("device_spikes")
        found: tuple[int, Any, Any] = self._drive.device_spikes()
        return found

    def _on_device(self, what: str) -> None:
        if self.backend != "cuda":
            raise BackendUnavailable(f'Simulation.{what}: needs backend="cuda"; got backend="{self.backend}".')

    @alone
    def connections(self, projection: Projection | str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """(sources, targets, weights, delays in ms) of a projection by target, drawn again from the seed.

        Weights of a plastic projection are as of now: every spike that its synapses have seen is applied.
        """
        self.net.refuse_changes(self._described, "Simulation.connections")
        name = getattr(projection, "name", projection)
        if not isinstance(name, str) or name not in self.net.projections:
            raise ModelError(
                f"Simulation.connections: no projection {name!r}; there are {', '.join(self.net.projections)}."
            )
        sources, targets, weights, delays = self._drive.connections(self.net.projections[name])
        return sources, targets, weights, delays

    @alone
    def set_weights(self, projection: Projection | str, weights: Any) -> None:
        """Set the weights of a projection with plasticity from now on.

        ``weights``: a number, or an array in the order of :meth:`connections`, within the bounds of the rule. Spikes
        that have passed the synapse (the axonal part of the delay) are delivered as they were; traces and eligibilities
        stay. Weights that do not learn can be set with the rule :class:`plasticity.Static`.
        """
        found = self._plastic(projection)
        sources, *_ = self.connections(found)
        owner, spec = f"Projection {found.name!r}", found.target.spec
        unit = spec.receptors[found.receptors[0]].unit if spec else "1"
        array = np.asarray(plain(weights, unit, f"{owner}.weight"))
        if array.shape not in ((), sources.shape):
            raise ShapeError(f"{owner}.weight: must be a number or of shape {sources.shape}; got {array.shape}.")
        if not np.all(np.isfinite(array)):
            raise ModelError(f"{owner}.weight: must be finite; got {float(array[~np.isfinite(array)].flat[0])}.")
        check_plastic(owner, found.plasticity, array)
        if own := self._own_parameters(found):
            check_each(owner, found.plasticity, array, own)  # type: ignore[arg-type]
        self._ranks.agree("set_weights", found.name, array)
        self._drive.set_synapses(found, array)
        self._note("set_weights", found.name, weights=array)

    @alone
    def rewire(self, projection: Projection | str, rule: Any) -> int:
        """Prune synapses of a projection with plasticity and join as many other pairs; returns how many.

        ``rule``: :class:`plasticity.SET`, :class:`plasticity.DeepR`, or a function of (sources, targets, weights,
        (n_source, n_target), same, rng) that gives (numbers of the synapses to prune, sources, targets, weights of what
        takes their places); ``same`` where source and target are one population, ``rng`` a NumPy generator that
        depends on seed, projection and time alone (all ranks call ``rule``, with the same). A new synapse has the delay
        of the one whose place it takes, and state variables as at the start; traces of its source and target go on.
        :meth:`connections` gives them by target, then source, from then on. Where parts of populations are connected,
        synapses stay among these neurons: the rule sees their numbers in the part, from 0 on, and the parts' sizes.

        Raises
        ------
        ModelError
            What the rule gives is not of one length, names no synapse or neuron, or breaks the bounds of the weights.
        """
        found = self._plastic(projection)
        owner = f"Projection {found.name!r}"
        if self.engine == "event":
            raise ModelError(f"{owner}: rewire: the event engine has fixed connections. Use engine='clock'.")
        if not callable(rule):
            raise ModelError(f"{owner}: rewire: the rule must be a function, such as plasticity.SET(); got {rule!r}.")
        sources, targets, weights, _ = self.connections(found)
        key = self.net.stream("rewire", found.name, round(self.t / self.dt))
        rng = np.random.Generator(np.random.Philox(key=np.array(key)))
        n, same = (found.source.n, found.target.n), found.source is found.target
        ends = found.rule.ends(*n) if isinstance(found.rule, among) else None
        if ends is not None:
            shared = np.intersect1d(*ends).size if same else 0
            same = same and np.array_equal(*ends)
            if shared and not same:
                raise ModelError(
                    f"{owner}: rewire: its sources and targets must be the same neurons in one order, or others, so "
                    f"that none is joined to itself; {shared} are in both parts. Connect those apart."
                )
            rule = rule.among(*ends, n) if isinstance(rule, Structural) else rule
            sources, targets = (places(ids, x) for ids, x in zip(ends, (sources, targets), strict=True))
            n = ends[0].size, ends[1].size
        given = rule(sources, targets, weights, n, same, rng)
        removed, new_sources, new_targets, new_weights = checked_rewiring(owner, rule, given, sources.size, n)
        check_plastic(owner, found.plasticity, new_weights)
        if own := {name: values[removed] for name, values in self._own_parameters(found).items()}:
            check_each(owner, found.plasticity, new_weights, own)  # type: ignore[arg-type]
        if ends is not None:
            new_sources, new_targets = ends[0][new_sources], ends[1][new_targets]
        self._ranks.agree("rewire", found.name, removed, new_sources, new_targets, new_weights)
        self._drive.rewire(found, removed, new_sources, new_targets, new_weights)
        if removed.size:
            self._note("rewire", found.name, synapses=removed.size)
        return int(removed.size)

    @alone
    def learning(self, projection: Projection | str, on: bool) -> None:
        """Switch the learning of ``projection`` on or off from now on.

        While it is off only the weights stay as they are: traces, and the state variables of its rule (such as
        eligibilities), go on with each spike as if it were on, so what it learns later depends on nothing older than
        their time constants. To what it is already, switching does nothing.
        """
        found = self._plastic(projection)
        if not isinstance(on, (bool, np.bool_)):
            raise ModelError(f"Simulation.learning: must be True or False; got {on!r}.")
        self._ranks.agree("learning", found.name, bool(on))
        self._drive.learning(found, bool(on))
        self._note("learning", found.name, on=bool(on))

    @alone
    def set_modulator(self, projection: Projection | str, value: Any) -> None:
        """Set the modulator of the rule of ``projection`` to ``value``, from the next step on.

        ``value``: a number, or an array of the target population's size: each neuron's own value, for the synapses that
        end there. With engine="event": a number, from just after :attr:`t` on. With engine="clock" it is the value at
        the end of the next step: a rule that integrates the modulator counts it from there. A spike of its source that
        arrives in that step (with engine="event": after now) adds its jump to it.
        """
        found = self._plastic(projection)
        owner = f"Projection {found.name!r}.modulator"
        if found.modulation is None or found.plasticity is None:
            raise ModelError(f"{owner}: there is none; got {value!r}. Use net.modulate with a three-factor rule.")
        value = plain(value, found.plasticity.spec.modulator.unit, owner)  # type: ignore[union-attr]
        value = check_modulator(owner, found, found.modulation.source, value)
        self._ranks.agree("set_modulator", found.name, value)
        self._drive.set_modulator(found, value)
        self._note("set_modulator", found.name, value=value)

    @alone
    def set_parameters(self, population: Population | Part | str, **values: Any) -> None:
        """Set parameters of the neurons of ``population`` from now on, such as ``v_th=-52.0``.

        ``population``: also a part such as ``exc[:10]``; n is then its size, and other neurons keep what they have.
        ``values``: numbers, arrays of shape (n,) or distributions. Other parameters, state variables and spikes under
        way stay; a neuron that is refractory is so for as long as it was to be. The network's description stays as it
        is: another simulation of it begins with its parameters. Checkpoints hold the change. Where a number becomes an
        array for the first time, the model is compiled once more (with backend="cuda" all kernels are).

        Raises
        ------
        ModelError, ShapeError
            What the model would refuse; nothing is changed then.
        """
        population, ids = (
            (population.population, population.ids) if isinstance(population, Part) else (population, None)
        )
        name = self._name(population)
        known = self._drive.net.populations[name]
        given = changes.drawn(self.net, known, values, ids)
        with self._ranks.together():
            self._ranks.agree("set_parameters", name, given)
            self._drive.set_model(name, type(known.model)(**{**known.model.params, **given}))
        self._changes.setdefault((changes.PARAMETERS, name), {}).update(given)
        self._note("set_parameters", name, **given)

    @alone
    def set_source(self, of: Any, source: Any) -> None:
        """Let another source drive an input, or be a population of spike sources, from now on.

        Parameters
        ----------
        of : input or population of sources, or its name
        source : of the same class: ``snn.Poisson(rate=50.0)`` for a :class:`snn.Poisson`. Times in it are times of the
            simulation; what lies before now is past. Random numbers go on: no train is repeated

        The network's description stays as it is. Checkpoints hold the change.

        Raises
        ------
        ModelError, ShapeError
            Where the source is of another kind, or does not fit; nothing is changed then.
        """
        found, before = changes.find_source(self._drive.net, of)
        changes.check_source(found, before, source)
        whole = source
        if isinstance(found, Input) and found.ids is not None:
            whole = source.among(f"Input {found.name!r}", found.ids, found.target.n)
        own = isinstance(found, Population)
        with self._ranks.together():
            self._ranks.agree("set_source", found.name, own, vars(source))
            self._drive.set_source(found.name, whole, own)
        kind = changes.POPULATION if own else changes.INPUT
        self._changes.pop((changes.CURRENT, found.name), None)
        self._changes[kind, found.name] = vars(source)
        self._note("set_source", found.name, source=type(source).__name__, **vars(source))

    @alone
    def set_current(self, name: str, values: Any) -> None:
        """Set what the input ``name``, a :class:`snn.StepCurrent` of one amplitude, injects from now on.

        ``values``: a number, or an array of one a neuron, [pA]; of an input to a part of a population, one a neuron of
        the part, in its order. For closed loops: on the clock engine quicker than :meth:`set_source`, which see.
        """
        self._set_current(name, values, self.t + 0.5 * self.dt)

    def _set_current(self, name: str, values: Any, latest: float) -> None:
        amplitude = changes.check_current(self._drive.net, name, values, latest)
        self._ranks.agree("set_current", name, amplitude)
        entry = self.net.inputs[name]
        whole = amplitude
        if entry.ids is not None:
            whole = spread(np.broadcast_to(amplitude, entry.ids.shape), entry.ids, entry.target.n)
        self._drive.set_current(name, whole)
        self._changes[changes.CURRENT, name] = {"values": amplitude}
        self._note("set_current", name, values=amplitude)

    def _change(self, given: changes.Changes) -> None:
        """Make the changes that a checkpoint holds."""
        for (kind, name), values in given.items():
            if kind == changes.PARAMETERS:
                self.set_parameters(name, **values)
            elif kind == changes.CURRENT:
                self._set_current(name, **values, latest=math.inf)
            else:
                known: dict[str, Any] = dict(self.net.inputs if kind == changes.INPUT else self.net.populations)
                found, before = changes.find_source(self.net, known.get(name, name))
                self.set_source(found, type(before)(**values))

    def _plastic(self, projection: Projection | str) -> Projection:
        name = getattr(projection, "name", projection)
        found = self.net.projections.get(str(name))
        if found is None or found.plasticity is None:
            plastic = [p.name for p in self.net.projections.values() if p.plasticity]
            raise ModelError(
                f"Simulation: {name!r} is no projection with plasticity; there are {', '.join(plastic) or 'none'}. "
                "Connect it with plasticity=plasticity.Static() to set its weights or rewire it."
            )
        return found

    def _own_parameters(self, projection: Projection) -> dict[str, np.ndarray]:
        """Parameters of its rule that synapses have of their own, in the order of :meth:`connections`."""
        each = projection.plasticity.of_synapse if projection.plasticity else ()
        return {
            name: self._drive.synapses(projection, self._variable(projection, f"plasticity.{name}")[1]) for name in each
        }

    def _name(self, population: Population | str) -> str:
        name = getattr(population, "name", population)
        known = [x.name for x in self._described if isinstance(x, Population)]  # not those that came later
        if not isinstance(name, str) or name not in known:
            raise ModelError(f"Simulation: no population {name!r}; there are {', '.join(known)}.")
        return name
