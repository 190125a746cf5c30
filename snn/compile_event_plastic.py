"""Plastic projections -> flat arrays of the event engine."""

import math
from typing import Any

import numpy as np

from kernels import connectivity
from kernels.cpu.learn import STATIC
from kernels.errors import ModelError
from kernels.event.compiled import Rule
from kernels.event.layout import LONG_AGO, Block, Edges, Plastic
from kernels.layout import aligned
from kernels.rule_text import of_source
from snn.compile_synapses import Constants, draw_key, has_own, part_of, short_constants, short_rows, variables_of
from snn.connect import EdgeList
from snn.elements import Projection
from snn.network import Network

HISTORY = 64  # spikes of a target that are noted before all its synapses are brought up to date
SIGNALS = 512  # events of a modulator, likewise


def rule_of(projection: Projection) -> Rule:
    """The rule of a plastic projection; one that changes nothing where it has short-term plasticity alone.

    Raises
    ------
    ModelError
        Where its constants depend on a step, it observes its targets, or its modulator was never connected or has a
        value for each target.
    """
    p = projection
    if p.plasticity and p.plasticity.spec.observer:
        raise ModelError(
            f"Projection {p.name!r}.plasticity: {p.plasticity.spec.name} reads "
            f'{", ".join(p.plasticity.spec.observer.reads)} of its targets at every step, which engine="event" has '
            'not. Use engine="clock".'
        )
    for rule in (p.plasticity, p.short_term):
        if rule is not None and rule.depends_on_step():
            raise ModelError(
                f'Projection {p.name!r}.plasticity: engine="event" has no step, on which derived constants of {rule!r} '
                'depend. Derive them from parameters alone, or use engine="clock".'
            )
    signal = p.plasticity.spec.modulator if p.plasticity else None
    if p.plasticity and signal and p.modulation is None:
        raise ModelError(
            f"Projection {p.name!r}.modulator: {p.plasticity.spec.name} needs {signal.name!r}, which was never "
            f"connected. Use net.modulate({p.name!r}, population) or net.modulate({p.name!r})."
        )
    if p.modulation:
        one_modulator(p, p.modulation.value)
    spec = p.plasticity.lowered if p.plasticity else STATIC
    about = f"Projection {p.name!r}: {p.plasticity or p.short_term!r}"
    return Rule(p.name, spec, p.short_term.lowered if p.short_term else None, about)


def one_modulator(projection: Projection, value: float | np.ndarray) -> None:
    """Refuse a modulator with a value for each target."""
    if np.ndim(value):
        raise ModelError(
            f'Projection {projection.name!r}.modulator: must be one number with engine="event"; got {np.size(value)} '
            'of them. Use engine="clock".'
        )


def places_of(edges: Edges, group: int, n: int, drawn: EdgeList, lo: int, hi: int) -> np.ndarray:
    """Where the edges of ``drawn`` to targets ``lo`` to ``hi`` - 1 lie among the rows of a group of ``n`` sources."""
    at = int(edges.at[group])
    places = np.empty(drawn.sources.size, np.int64)
    position = edges.rows[at : at + n] - edges.rows[at]
    connectivity.find_places(drawn.indptr, drawn.sources, lo, hi, position, places)
    return places[int(drawn.indptr[lo]) : int(drawn.indptr[hi])]


def plastic_projection(
    net: Network, projection: Projection, about: Rule, constants: tuple[Constants, Constants], index: dict[str, int],
    group: int, block: Block, edges: Edges, drawn: EdgeList, delays: np.ndarray, weights: np.ndarray,
) -> Plastic:  # fmt: skip
    """State of a plastic projection in a block before the first event; ``group``: its number in ``edges``.

    ``constants``: as :func:`constants_of` gives them for all of ``drawn``.
    """
    rule, short, found = about.spec, about.short_term, projection.modulation
    source, target = index[projection.source.name], index[projection.target.name]
    n, m = projection.source.n, int(block.hi[target] - block.lo[target])
    first, last = (int(drawn.indptr[x[target]]) for x in (block.lo, block.hi))
    values, short_values = part_of(constants, first, last)
    taus = {side: np.array([values[t.tau] for t in rule.side(side)]) for side in ("pre", "post", "between")}
    places: Any = slice(None)
    if has_own(projection):
        places = places_of(edges, group, n, drawn, int(block.lo[target]), int(block.hi[target]))
    variables = variables_of(rule, short, (values, short_values), weights.size, places)
    signal, events = rule.modulator, SIGNALS if found else 1
    value = np.zeros(events)
    value[0] = found.value if found else 0.0  # the value at the start is the first event
    return Plastic(
        group=group, source=source, target=target, longest=float(delays.max(initial=0.0)),
        constants=np.array([values[name] for name in rule.shared]), tau_pre=taus["pre"], tau_post=taus["post"],
        tau_between=taus["between"], learning=np.ones(1, np.int64), weights=aligned(weights), variables=variables,
        at=np.zeros(weights.size), key=draw_key(net, projection), pre=np.zeros((n, len(of_source(rule)))),
        last=np.full(n, LONG_AGO),
        seen=np.zeros(m, np.int64), oldest=np.zeros(m, np.int64), new=np.zeros(m, np.int64),
        history=np.zeros((m, HISTORY)), post=np.zeros((m, HISTORY, len(taus["post"]))),
        signal=index[found.source.name] if found and found.source else -1,
        signal_delay=found.delay if found else 0.0,
        signal_tau=values[signal.tau] if signal and signal.tau else math.inf,
        signal_jump=values[signal.jump] if signal and signal.jump else 0.0,
        signal_discount=next((values[t.tau] for t in rule.traces if signal and t.name == signal.discount), math.inf),
        total=np.zeros(weights.size if signal else 0), reached=np.zeros(weights.size if signal else 0),
        signal_seen=np.full(1, 1 if found else 0, np.int64), signal_oldest=np.zeros(1, np.int64),
        signal_time=np.zeros(events), signal_value=value,
        short_constants=short_constants(net, projection, short_values),
        short=short_rows(projection, short_values, n), fault=np.array([math.inf, 0.0]),
    )  # fmt: skip
