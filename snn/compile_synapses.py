"""What synapses have of their own beside weight and delay: constants of their rules, and state variables."""

from typing import Any

import numpy as np

from kernels import connectivity
from kernels.cpu.learn import STATIC
from kernels.errors import ModelError
from kernels.spec import NUMBER, RuleSpec, ShortTermSpec, synapse_rows
from plasticity.base import PlasticityRule
from snn.compile_edges import edge_values, given_values
from snn.connect import EdgeList
from snn.elements import Projection
from snn.network import Network
from snn.rule_checks import check_each

Constants = dict[str, Any]


def rule_of(projection: Projection) -> RuleSpec:
    """The rule of a plastic projection; one that changes nothing where it has short-term plasticity alone."""
    return projection.plasticity.lowered if projection.plasticity else STATIC


def short_term_of(projection: Projection) -> ShortTermSpec | None:
    """The short-term rule, if there is one."""
    return projection.short_term.lowered if projection.short_term else None


def has_own(projection: Projection) -> bool:
    """Whether synapses have constants of their own, or numbers."""
    rules, short = (projection.plasticity, projection.short_term), short_term_of(projection)
    return any(rule and rule.of_synapse for rule in rules) or bool(rule_of(projection).draws or (short and short.draws))


def constants_of(net: Network, projection: Projection, edges: EdgeList, dt: float) -> tuple[Constants, Constants]:
    """Constants of the rule and of the short-term rule: numbers, or one for each of ``edges``; {} where there is none.

    Raises
    ------
    ModelError
        A value that is drawn is out of its bounds, or a weight out of those of its synapse; or synapses cannot be
        numbered.
    """
    found = []
    for what in ("plasticity", "short_term"):
        rule = getattr(projection, what)
        given = {}
        for name in rule.of_synapse if rule else ():
            n, key = int(edges.indptr[-1]), net.stream("synapse", projection.name, what, name)
            _, values, order, _ = given_values(rule.params[name], edges, 0, n, 1, key)
            given[name] = values[order] if order.size else values[:n]
        owner = f"Projection {projection.name!r}.{what}: "
        found.append(rule.constants(dt, given, owner) if rule else {})
        if given and isinstance(rule, PlasticityRule):
            weights = edge_values(net, projection, edges, 0, "float64")
            check_each(f"Projection {projection.name!r}", rule, weights, given)
    for spec, constants in zip((rule_of(projection), short_term_of(projection)), found, strict=True):
        if spec and spec.draws:
            constants[NUMBER] = numbers_of(projection, edges)
    return found[0], found[1]


def numbers_of(projection: Projection, edges: EdgeList) -> np.ndarray:
    """A number for each of ``edges``, which keys its random numbers: of source, target and repetition of the pair."""
    numbers = np.empty(int(edges.indptr[-1]))
    connectivity.number_synapses(edges.indptr, edges.sources, projection.source.n, numbers)
    check_numbers(projection, numbers)
    return numbers


def check_numbers(projection: Projection, numbers: np.ndarray) -> None:
    """Refuse numbers that float64 does not hold."""
    if numbers.max(initial=0.0) >= 2.0**53:
        drawing = next(x for x in (projection.plasticity, projection.short_term) if x and x.spec.draws)
        raise ModelError(
            f"Projection {projection.name!r}: {drawing!r} numbers synapses by source, target and repetition of a pair, "
            f"below 2^53; got {projection.source.n} by {projection.target.n} neurons with "
            f"{int(numbers.max()) // (projection.source.n * projection.target.n)} repetitions. Split the projection."
        )


def number_new(projection: Projection, before: np.ndarray, source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Numbers of new synapses that join these pairs: each repeats its pair once more than those ``before`` it did."""
    n = projection.source.n, projection.target.n
    pairs, repeats = source * n[1] + target, dict[int, int]()
    taken = before.astype(np.int64)
    for number in taken[np.isin(taken % (n[0] * n[1]), pairs)].tolist():
        repeat, pair = divmod(number, n[0] * n[1])
        repeats[pair] = max(repeats.get(pair, 0), repeat + 1)
    numbers = np.empty(pairs.size)
    for k, pair in enumerate(pairs.tolist()):
        repeat = repeats.get(pair, 0)
        numbers[k], repeats[pair] = repeat * n[0] * n[1] + pair, repeat + 1
    check_numbers(projection, numbers)
    return numbers


def short_constants(net: Network, projection: Projection, values: Constants) -> np.ndarray:
    """Shared constants of the short-term rule, then the key of its random numbers."""
    short = short_term_of(projection)
    if short is None:
        return np.empty(0)
    key = [float(word) for word in net.stream("release", projection.name)] if short.draws else []
    return np.array([*(values[name] for name in short.shared), *key], float)


def draw_key(net: Network, projection: Projection) -> np.ndarray:
    """The key of the random numbers of the rule, uint64."""
    return np.array(net.stream("plasticity", projection.name), np.uint64)


def short_rows(projection: Projection, values: Constants, n: int) -> np.ndarray:
    """What ``n`` sources keep for the short-term rule: its state if synapses share it, else how often they fired."""
    short = short_term_of(projection)
    state = [0.0] if short and short.draws else []
    if short and not short.own:
        state = list(initial(short, values).values())
    return np.tile(np.array(state, float), (n, 1))


def part_of(constants: tuple[Constants, Constants], first: int, last: int) -> tuple[Constants, Constants]:
    """Of ``constants`` those of edges ``first`` to ``last`` - 1."""
    rule, short = ({k: x[first:last] if np.ndim(x) else x for k, x in some.items()} for some in constants)
    return rule, short


def variables_of(
    rule: RuleSpec, short_term: ShortTermSpec | None, constants: tuple[Constants, Constants], n: int, places: Any
) -> np.ndarray:
    """The ``variables`` of ``n`` synapses at the start, see :func:`kernels.spec.synapse_rows`.

    ``places``: where those lie that ``constants`` have values for, in their order.
    """
    rows = synapse_rows(rule, short_term)
    variables = np.empty((len(rows[0]) + len(rows[1]), n))
    for spec, names, values in zip((rule, short_term), rows, constants, strict=True):
        start = initial(spec, values) | values
        for name, row in names.items():
            variables[row, places if np.ndim(start[name]) else slice(None)] = start[name]
    return variables


def initial(spec: RuleSpec | ShortTermSpec | None, constants: Constants) -> Constants:
    """State variables of a rule at the start, by name."""
    state = spec.state if spec else ()
    return {v.name: constants[v.init] if isinstance(v.init, str) else v.init for v in state}


def renewed(projection: Projection, before: np.ndarray) -> np.ndarray:
    """The ``variables`` of new synapses: constants as they were ``before``, state variables as at the start."""
    rules, specs = (projection.plasticity, projection.short_term), (rule_of(projection), short_term_of(projection))
    found = before.copy()
    for rule, spec, names in zip(rules, specs, synapse_rows(*specs), strict=True):
        for var in spec.state if spec and names else ():
            named = names.get(var.init) if isinstance(var.init, str) else None
            value = rule.params[var.init] if rule and isinstance(var.init, str) and named is None else var.init
            found[names[var.name]] = before[named] if named is not None else value
    return found
