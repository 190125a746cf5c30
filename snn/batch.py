"""Several independent networks in one: for sweeps of parameters or seeds, all of them in one run."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from kernels.errors import ModelError
from kernels.philox import stream_key
from snn.elements import Population
from snn.gap import GapJunctions
from snn.network import Network
from snn.records import Result, StateRecord


class Joined(Network):
    """The networks ``parts`` side by side; made by :func:`join`.

    What is called ``name`` in network k is ``k:name`` here.
    """

    def __init__(self, parts: Sequence[Network]) -> None:
        a, b = stream_key(0, "joined", *(net.seed for net in parts))
        super().__init__(int(a) << 32 | int(b))  # names the seeds of all; nothing is drawn from it
        self.parts = list(parts)
        for k, net in enumerate(self.parts):
            self._add(k, net)

    def _add(self, k: int, net: Network) -> None:
        replace, populations = dataclasses.replace, self.populations

        def own(population: Population) -> Population:
            return populations[f"{k}:{population.name}"]

        for p in net.populations.values():
            populations[f"{k}:{p.name}"] = replace(p, name=f"{k}:{p.name}")
        for i in net.inputs.values():
            source = i.source.of(f"{k}:{i.source.other}") if isinstance(i.source, GapJunctions) else i.source
            self.inputs[f"{k}:{i.name}"] = replace(i, name=f"{k}:{i.name}", target=own(i.target), source=source)
        for q in net.projections.values():
            signal = q.modulation
            if signal and signal.source:
                signal = replace(signal, source=own(signal.source))
            self.projections[f"{k}:{q.name}"] = replace(
                q, name=f"{k}:{q.name}", source=own(q.source), target=own(q.target), modulation=signal
            )
        self.probes += [replace(x, population=own(x.population)) for x in net.probes]
        self.weight_probes += [
            replace(x, projection=self.projections[f"{k}:{x.projection.name}"]) for x in net.weight_probes
        ]

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise ModelError(
            "snn.join: nothing can be added to a joined network, nor its parts be connected: each draws what it would "
            "draw alone. Add it to a part before join."
        )

    population = input = connect = gap_junctions = modulate = _refuse

    def stream(self, kind: str, name: str, *more: object) -> tuple[Any, Any]:
        """See :class:`Network`: the stream of the network that the name belongs to."""
        k, own = name.split(":", 1)
        return self.parts[int(k)].stream(kind, own, *more)

    def split(self, result: Result) -> list[Result]:
        """The records of each network, by the names that it gave, from those of a run of all.

        Seed and ``changes`` of their provenance are the network's own; the rest is that of all.
        """
        return [_own(f"{k}:", net.seed, result) for k, net in enumerate(self.parts)]


def _own(first: str, seed: int, result: Result) -> Result:
    """What ``result`` holds of the network whose names begin with ``first``, by its own names."""

    def named(records: Mapping[str, Any]) -> dict[str, Any]:
        return {name.removeprefix(first): records[name] for name in records if name.startswith(first)}

    provenance = {**result.provenance, "seed": seed}
    rows = [row for row in provenance.get("changes", ()) if row["name"].startswith(first)]
    provenance["changes"] = [{**row, "name": row["name"].removeprefix(first)} for row in rows]
    return dataclasses.replace(
        result, weights=named(result.weights), provenance=provenance,
        spikes={name: dataclasses.replace(x, population=name) for name, x in named(result.spikes).items()},
        states={name: StateRecord(name, {v: x.trace(v) for v in x}) for name, x in named(result.states).items()},
    )  # fmt: skip


def join(networks: Sequence[Network]) -> Joined:
    """One network that holds ``networks`` side by side, each with its own seed: one run, one launch on a GPU.

    Every part draws what it would draw alone, and nothing connects it with the others. On the cpu its spikes are those
    of a run of its own, bit for bit, if all parts have projections of the same kinds in the same order and, on the
    event engine, the same smallest delay, which its windows follow; else sums and times of spikes may be rounded
    otherwise. With backend="cuda" and deterministic=True the unit of sums follows the largest weight.

    Parameters
    ----------
    networks : networks, or variants of one; what they record is recorded

    Raises
    ------
    ModelError
        Where there is none, or something else among them.

    Examples
    --------
    >>> import snn
    >>> def network(seed, current):
    ...     net = snn.Network(seed=seed)
    ...     net.record(net.population("a", 3, snn.LIFDelta(i_e=current)))
    ...     return net
    >>> both = snn.join([network(1, 400.0), network(2, 500.0)])
    >>> results = both.split(snn.Simulation(both, dt=0.1).run(100.0))
    >>> [len(r.spikes["a"]) for r in results]
    [9, 18]
    """
    parts = list(networks)
    if not parts or not all(isinstance(net, Network) for net in parts):
        raise ModelError(f"join: must be a list of networks, one at least; got {networks!r}.")
    return Joined(parts)
