"""NIR graphs as networks of this package.

A step dt turns NIR's differential equations into Euler's method, as snnTorch and Norse do:

=============  ==============================================================================================
NIR            here, a ``CubaLIF`` with X the sum of the weights that arrive in the step
=============  ==============================================================================================
LIF            alpha = 0, beta = 1 - dt / tau, gain = r dt / tau
CubaLIF        alpha = 1 - dt / tau_syn, w_in = w_in dt / tau_syn, beta = 1 - dt / tau_mem, gain = r dt / tau_mem
IF             alpha = 0, beta = 1, gain = r dt
Threshold      alpha = 0, beta = 0
LI, CubaLI, I  as LIF, CubaLIF, IF, with a threshold that is never reached
=============  ==============================================================================================

NIR counts time in seconds; spikes are 1 in a step. Potentials start at v_leak (I, IF: 0); a neuron of a later layer
with v_leak above v_threshold, which cannot lie there without a spike, starts so that it fires first in step 0.

A spike takes steps where such tools let it pass all layers in one: a population's ``level`` is the largest number of
connections from an input to it, those within a cycle not counted, and what NIR does in step t, it does in step t +
level. Connections between levels take their difference, connections within a cycle one step; NIR's Delay is added.
"""

import dataclasses
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse

from kernels.errors import BackendUnavailable, FormatError, ModelError, ShapeError
from neuromorphic.discrete import step_length
from neuromorphic.levels import levels
from neuromorphic.nir_maps import FLATTEN, Affine, linear_map
from snn.connect import all_to_all, from_arrays
from snn.elements import Population
from snn.inputs import SpikeArray
from snn.io.damage import check_bytes, check_content, check_sizes
from snn.io.sonata_file import open_to_read
from snn.network import Network
from snn.neurons import CubaLIF
from snn.neurons.base import NeuronModel
from snn.units import real

NEURONS = ("CubaLI", "CubaLIF", "I", "IF", "LI", "LIF", "Threshold")
READ_BY_V = ("CubaLI", "I", "LI")  # what they send is their potential
MOST = 1 << 28  # values of an Input
NO_THRESHOLD = float(np.finfo(np.float64).max)


def bias_neuron() -> NeuronModel:
    """A neuron that fires in every step: its weights are the offsets of the layers."""
    return CubaLIF(alpha=0.0, beta=0.0, v_leak=1.0, v_th=0.5)


def nir_package() -> Any:
    """The package ``nir``."""
    try:
        import nir
    except ImportError as error:
        raise BackendUnavailable(f'NIR: {error}. Install the extra: pip install "volley-snn[nir]".') from error
    return nir


def from_nir(graph: Any, dt: float | None = None, inputs: dict[str, Any] | None = None) -> Network:
    """The network of a NIR graph.

    Populations have the names of the graph's nodes ("." in place of "/" for nodes of subgraphs). What leads to an
    Output node is recorded: spikes, or v of units that do not fire. Where linear nodes lie before an Output, a
    population with the Output's name holds their result as v.

    Parameters
    ----------
    graph : nir.NIRGraph, or the path of a file
    dt : [ms], the length of a step; None: as the graph's metadata say, which :func:`neuromorphic.to_nir` writes
    inputs : by name of Input nodes, a ``SpikeArray``, or an array of shape (steps, \\*shape) of values, such as
        currents. Input nodes that are not named become populations of ``SpikeArray([])``, whose model can be replaced.
        What comes in step t has the time (t + 1) dt

    Raises
    ------
    ModelError
        With everything that cannot be expressed: names node, parameter and the nearest option.
    FormatError
        Where the file cannot be read.

    References
    ----------
    Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9

    Examples
    --------
    >>> import nir, numpy as np, snn
    >>> from neuromorphic import from_nir
    >>> one = np.ones(1)
    >>> lif = nir.LIF(tau=0.01 * one, r=one, v_leak=0 * one, v_threshold=0.5 * one)
    >>> nodes = {"in": nir.Input([1]), "w": nir.Linear(8.0 * np.eye(1)), "lif": lif, "out": nir.Output([1])}
    >>> graph = nir.NIRGraph(nodes, [("in", "w"), ("w", "lif"), ("lif", "out")])
    >>> net = from_nir(graph, dt=1.0, inputs={"in": snn.SpikeArray([1.0, 6.0], [0, 0])})
    >>> snn.Simulation(net, dt=1.0, backend="reference").run(10.0).spikes["lif"].times
    array([2., 7.])
    """
    graph = _read(graph) if isinstance(graph, (str, os.PathLike)) else graph
    nir = nir_package()
    if not isinstance(graph, nir.NIRGraph):
        raise ModelError(f"from_nir.graph: must be a nir.NIRGraph or a path; got {type(graph).__name__}.")
    if dt is None:
        seconds = (graph.metadata or {}).get("dt")
        if seconds is None:
            raise ModelError("from_nir.dt: is needed, in ms: NIR has no step, and this graph's metadata name none.")
        dt = float(seconds) * 1e3
    return _Build(graph, step_length("from_nir.dt", dt), inputs or {}).network()


def _read(path: str | os.PathLike[str]) -> Any:
    nir = nir_package()
    try:
        check_bytes(Path(path))
        with open_to_read(path) as file:
            check_content(file, Path(path))
            check_sizes(file)
        return nir.read(path, type_check=False)  # shapes are inferred here
    except FormatError:
        raise
    except Exception as error:  # HDF5 and nir have many kinds
        raise FormatError(f"{path}: cannot be read as a NIR file ({error}).") from error


@dataclass
class _Term:
    """What reaches a node from one neuron node or Input: ``matrix`` times its output, ``steps`` later.

    ``source`` None: an offset, of the neuron that fires in every step.
    """

    source: str | None
    matrix: Any  # scipy.sparse.csr_array
    steps: int


@dataclass
class _Signal:
    """What a node puts out: the sum of ``terms``, on flattened samples of ``size`` values."""

    terms: list[_Term]
    size: int


class _Build:
    def __init__(self, graph: Any, dt: float, inputs: dict[str, Any]) -> None:
        self.dt, self.seconds, self.inputs = dt, dt / 1e3, inputs
        self.values: dict[str, np.ndarray] = {}  # of inputs that are no spikes, (steps, n)
        self.problems: list[str] = []
        self.nodes, self.edges = _inlined(graph)
        _check_numbers(self.nodes)
        self.kind = {name: type(node).__name__ for name, node in self.nodes.items()}
        self.before: dict[str, list[str]] = {name: [] for name in self.nodes}
        for a, b in self.edges:
            if a not in self.nodes or b not in self.nodes:
                self.problems.append(f"Edge ({a!r}, {b!r}): names a node that is not there.")
            else:
                self.before[b].append(a)
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.maps: dict[str, Affine | None] = {}
        self.signals: dict[str, _Signal | None] = {}

    def network(self) -> Network:
        self._propagate()
        heads = [n for n, k in self.kind.items() if k in (*NEURONS, "Input")]
        targets = {n: self._signal(n, ()) for n, k in self.kind.items() if k in NEURONS and n in self.shapes}
        outputs = {n: self._signal(n, ()) for n, k in self.kind.items() if k == "Output" and n in self.shapes}
        readouts = {n: s for n, s in outputs.items() if s is not None and not self._direct(n)}
        joined = {n: s for n, s in (targets | readouts).items() if s is not None}
        for name in self.inputs:
            if self.kind.get(name) != "Input":
                known = ", ".join(n for n, k in self.kind.items() if k == "Input")
                self.problems.append(f"from_nir.inputs: no Input node {name!r}; there are {known}.")
        for name, signal in joined.items():
            for term in signal.terms:
                if term.source is not None and self.kind[term.source] in READ_BY_V:
                    self.problems.append(
                        f"Node {term.source!r} ({self.kind[term.source]}): sends its potential to {name!r}; here "
                        "neurons send spikes. Use LIF, or let it lead straight to an Output."
                    )
        if self.problems:
            raise ModelError("from_nir:\n  " + "\n  ".join(dict.fromkeys(self.problems)))

        net = Network()
        order = [*heads, *readouts]
        edges = [(t.source, name, 1) for name, s in joined.items() for t in s.terms if t.source is not None]
        least = {n: int(n in joined and any(t.source is None and t.matrix.nnz for t in joined[n].terms)) for n in order}
        _, cycle = levels(order, edges, least)  # a connection of no weight at all may close a cycle, but is no layer
        edges = [
            (t.source, name, 1) for name, s in joined.items() for t in s.terms
            if t.source is not None and (t.matrix.nnz or cycle[t.source] == cycle[name])
        ]  # fmt: skip
        level, cycle = levels(order, edges, least)
        populations: dict[str, Population] = {}
        for name in heads:
            populations.update(self._population(net, name, level[name]))
        for name in readouts:
            n = int(np.prod(self.shapes[name]))
            populations[name] = net.population(name, n, CubaLIF(alpha=0.0, beta=0.0, v_th=NO_THRESHOLD))
        if self.problems:
            raise ModelError("from_nir:\n  " + "\n  ".join(self.problems))
        self._connect(net, populations, joined, level, cycle)
        for name in outputs:
            for source in [name] if name in readouts else dict.fromkeys(self.before[name]):
                if self.kind[source] != "Input":
                    fires = self.kind[source] in NEURONS and self.kind[source] not in READ_BY_V
                    net.record(populations[source], "spikes" if fires else "v")
        return net

    def _direct(self, output: str) -> bool:
        """Whether an Output is fed by neurons or Inputs alone."""
        return all(self.kind[b] in (*NEURONS, "Input") for b in self.before[output])

    # shapes ----------------------------------------------------------------------------------------------------------

    def _propagate(self) -> None:
        """Shapes and matrices of all nodes, from the Inputs and from neurons with parameters of more than one entry."""
        for name, node in self.nodes.items():
            if self.kind[name] == "Input":
                self.shapes[name] = _shape(name, node.output_type["output"])
            elif self.kind[name] in NEURONS and _parameters(node)[0].size > 1:
                self.shapes[name] = _parameters(node)[0].shape
        waiting = [n for n in self.nodes if n not in self.shapes]
        while waiting:
            ready = [n for n in waiting if any(b in self.shapes for b in self.before[n])]
            alone = [n for n in waiting if self.kind[n] in NEURONS]
            if not ready and alone:  # driven by nothing, or by its own cycle: as many as it has parameters
                self.shapes[alone[0]] = _parameters(self.nodes[alone[0]])[0].shape or (1,)
                waiting.remove(alone[0])
                continue
            if not ready:
                break
            for name in ready:
                given = next(self.shapes[b] for b in self.before[name] if b in self.shapes)
                if self.kind[name] in (*NEURONS, "Output"):
                    self.shapes[name] = given
                    continue
                made = linear_map(self.nodes[name], given)
                self.maps[name] = None if isinstance(made, str) else made
                if isinstance(made, str):
                    self.problems.append(f"Node {name!r} ({self.kind[name]}): {made}.")
                    self.shapes[name] = ()
                else:
                    self.shapes[name] = made.shape
            waiting = [n for n in waiting if n not in self.shapes]
        for name in waiting:
            self.problems.append(f"Node {name!r} ({self.kind[name]}): nothing leads to it from an Input. Remove it.")

    # what reaches a node ---------------------------------------------------------------------------------------------

    def _signal(self, name: str, path: tuple[str, ...]) -> _Signal | None:
        """The sum of what the nodes before ``name`` put out."""
        found = [self._output(b, (*path, name)) for b in self.before[name]]
        outs = [out for out in found if out is not None]
        if len(outs) < len(found):
            return None
        sizes = {out.size for out in outs} or {int(np.prod(self.shapes[name]))}
        if self.kind[name] in (*NEURONS, "Output"):
            sizes.add(int(np.prod(self.shapes[name])))
        if len(sizes) > 1:
            counts = " and ".join(map(str, sorted(sizes)))
            self.problems.append(f"Node {name!r} ({self.kind[name]}): {counts} values meet; they must be as many.")
            return None
        return _Signal([t for out in outs for t in out.terms], sizes.pop())

    def _output(self, name: str, path: tuple[str, ...]) -> _Signal | None:
        if name not in self.shapes:
            return None
        if self.kind[name] in (*NEURONS, "Input"):
            n = int(np.prod(self.shapes[name]))
            return _Signal([_Term(name, scipy.sparse.eye_array(n, format="csr"), 0)], n)
        if name in path:
            self.problems.append(f"Node {name!r} ({self.kind[name]}): lies on a cycle without a neuron. Break it.")
            return None
        if name not in self.signals:
            before = self._signal(name, path)
            self.signals[name] = None if before is None else self._apply(name, before)
        return self.signals[name]

    def _apply(self, name: str, before: _Signal) -> _Signal | None:
        if self.kind[name] == "Delay":
            return self._delayed(name, before)
        made = self.maps.get(name)
        if made is None:
            return None
        if before.size != made.matrix.shape[1]:
            self.problems.append(
                f"Node {name!r} ({self.kind[name]}): takes {made.matrix.shape[1]} values; gets {before.size}."
            )
            return None
        if self.kind[name] == FLATTEN:
            return before
        terms = [_Term(t.source, scipy.sparse.csr_array(made.matrix @ t.matrix), t.steps) for t in before.terms]
        if np.any(made.offset):
            terms.append(_Term(None, scipy.sparse.csr_array(np.reshape(made.offset, (-1, 1))), 0))
        return _Signal(terms, made.matrix.shape[0])

    def _delayed(self, name: str, before: _Signal) -> _Signal | None:
        n = before.size
        given = np.asarray(self.nodes[name].delay, float).ravel()
        delay = np.broadcast_to(given, n) if given.size == 1 else given
        steps = np.rint(delay / self.seconds)
        if delay.size != n or np.any(delay < 0) or np.any(np.abs(steps * self.seconds - delay) > 1e-6 * self.seconds):
            self.problems.append(
                f"Node {name!r} (Delay).delay: must be >= 0, whole steps of {self.dt:g} ms, one or {n} values; got "
                f"{given.size} from {given.min() * 1e3:g} to {given.max() * 1e3:g} ms. Use a dt that divides them."
            )
            return None
        terms = []
        for s in np.unique(steps):
            keep = scipy.sparse.diags_array((steps == s).astype(float))
            terms += [_Term(t.source, scipy.sparse.csr_array(keep @ t.matrix), t.steps + int(s)) for t in before.terms]
        return _Signal(terms, n)

    # populations and projections -------------------------------------------------------------------------------------

    def _population(self, net: Network, name: str, level: int) -> dict[str, Population]:
        n = int(np.prod(self.shapes[name]))
        if self.kind[name] == "Input":
            given, owner = self.inputs.get(name), f"from_nir.inputs[{name!r}]"
            if given is None or isinstance(given, SpikeArray):
                if given is not None:
                    given.encode(self.dt, n, owner)  # refuses sources that are not there
                return {name: net.population(name, n, given or SpikeArray([]))}
            values = real(owner, given).astype(float)
            if (
                not len(np.atleast_1d(values))
                or values.shape[1:] != self.shapes[name]
                or not np.all(np.isfinite(values))
            ):
                sizes = ", ".join(map(str, self.shapes[name]))
                raise ShapeError(
                    f"{owner}: must be finite, of shape (steps, {sizes}), or a SpikeArray; got {values.shape}."
                )
            self.values[name] = values.reshape(len(values), -1)
            return {}
        node = self.nodes[name]
        model, start = _model(node, self.seconds, n)
        if isinstance(model, str):
            self.problems.append(f"Node {name!r} ({self.kind[name]}){model}")
            return {}
        if "v0" in (node.metadata or {}):
            v, i = (np.asarray(node.metadata.get(k, np.nan), float).ravel() for k in ("v0", "i0"))
            if v.size != n or i.size != n or not np.all(np.isfinite(v + i)):
                self.problems.append(
                    f"Node {name!r} ({self.kind[name]}): v0 and i0 in its metadata must be finite, {n} values each; "
                    f"got {v.size} and {i.size}. Give both, or neither."
                )
                return {}
            earlier = _earlier(model, v, i, level)
            if earlier is None:
                self.problems.append(
                    f"Node {name!r} ({self.kind[name]}): the initial values in its metadata must be of a neuron that "
                    f"does not fire in the {level} steps before, by which its layer is late here; got v0 to "
                    f"{v.max():g}, for which it would begin above its threshold, or fire before. Begin at v_leak "
                    "below the threshold, or take layers out."
                )
                return {}
            start = earlier
        elif level and model["v_th"] is not NO_THRESHOLD:
            below = _below(model, n, level)
            if below is None:
                self.problems.append(
                    f"Node {name!r} ({self.kind[name]}): its threshold must be above v_leak (IF, Threshold: 0) where "
                    f"a neuron could not stay below it for {level} steps: its layer is {level} steps late here, and "
                    "would fire in these. Raise the threshold or, if it has one, the time constant."
                )
                return {}
            start = below or start
        try:
            return {name: net.population(name, n, CubaLIF(**model), init=start)}
        except (ModelError, ShapeError) as error:
            self.problems.append(f"Node {name!r} ({self.kind[name]}): {error}")
            return {}

    def _connect(
        self, net: Network, populations: dict[str, Population], joined: dict[str, _Signal], level: dict[str, int],
        cycle: dict[str, int],
    ) -> None:  # fmt: skip
        if any(term.source is None for signal in joined.values() for term in signal.terms):
            ones = net.population(_free("bias", populations), 1, bias_neuron())
        for name, signal in joined.items():
            by_source: dict[str, list[tuple[Any, int]]] = {}
            offsets: dict[int, Any] = {}
            for term in signal.terms:
                if term.source is None:
                    steps = term.steps + level[name]
                    offsets[steps] = offsets.get(steps, 0.0) + term.matrix.toarray()
                    continue
                inside = cycle[term.source] == cycle[name]
                steps = term.steps + (1 if inside else level[name] - level[term.source])
                by_source.setdefault(term.source, []).append((term.matrix, steps))
            for source, terms in by_source.items():
                if source in populations:
                    self._project(net, populations[source], populations[name], terms)
                else:
                    self._inject(net, source, populations[name], terms)
            offsets = {steps: x for steps, x in offsets.items() if np.any(x)}
            if offsets:
                parts = [(scipy.sparse.csr_array(x), steps) for steps, x in offsets.items()]
                self._project(net, ones, populations[name], parts)

    def _project(self, net: Network, source: Population, target: Population, terms: list[tuple[Any, int]]) -> None:
        matrix, steps = terms[0]
        if len(terms) == 1 and matrix.nnz > 0.5 * matrix.shape[0] * matrix.shape[1]:
            net.connect(source, target, all_to_all(), weight=matrix.toarray().T, delay=steps * self.dt)
            return
        parts = [(m.tocoo(), s) for m, s in terms]
        sources, targets = (np.concatenate([getattr(m, k) for m, _ in parts]).astype(np.int64) for k in ("col", "row"))
        weights = np.concatenate([m.data for m, _ in parts])
        delays = np.concatenate([np.full(m.nnz, s * self.dt) for m, s in parts])
        if weights.size:
            same = delays.min() == delays.max()
            delay = float(delays[0]) if same else delays
            net.connect(source, target, from_arrays(sources, targets), weight=weights, delay=delay)

    def _inject(self, net: Network, source: str, target: Population, terms: list[tuple[Any, int]]) -> None:
        """Values of an Input: spikes with weights of their own, straight to ``target``."""
        for k, (matrix, steps) in enumerate(terms):
            arriving = (matrix @ self.values[source].T).T
            when, ids = np.nonzero(arriving)
            spikes = SpikeArray((when + steps + 1) * self.dt, ids, arriving[when, ids])
            net.input(f"{source}->{target.name}" + (f" {k + 1}" if k else ""), target, spikes)


def _inlined(graph: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes and edges with those of subgraphs, whose Input and Output nodes are passed over."""
    nodes, edges, passed = _spread(graph, "")
    for name in passed:
        before, after = [a for a, b in edges if b == name], [b for a, b in edges if a == name]
        if name in before:
            raise ModelError(f"from_nir:\n  Node {name!r}: lies on a cycle without a neuron. Break it.")
        edges = [edge for edge in edges if name not in edge] + [(a, b) for a in before for b in after]
    return {name: node for name, node in nodes.items() if name not in passed}, edges


def _spread(graph: Any, prefix: str) -> tuple[dict[str, Any], list[tuple[str, str]], list[str]]:
    """Nodes and edges with those of subgraphs, and the names of subgraphs' Input and Output nodes."""
    nodes: dict[str, Any] = {}
    edges: list[tuple[str, str]] = []
    passed: list[str] = []
    ends: dict[str, dict[str, list[str]]] = {}
    for name, node in graph.nodes.items():
        full = f"{prefix}{name}".replace("/", ".")
        inner: dict[str, Any] = {full: node}
        if type(node).__name__ == "NIRGraph":
            inner, joined, deeper = _spread(node, f"{full}.")
            kinds = {f"{full}.{n}".replace("/", "."): type(x).__name__ for n, x in node.nodes.items()}
            ends[name] = {side: [n for n, k in kinds.items() if k == side] for side in ("Input", "Output")}
            passed += [*deeper, *ends[name]["Input"], *ends[name]["Output"]]
            edges += joined
        for twice in inner.keys() & nodes.keys():
            raise ModelError(
                f"from_nir:\n  Node {twice!r}: must be one; two nodes have this name where '/' becomes '.'. Rename one."
            )
        nodes |= inner
    for a, b in dict.fromkeys(graph.edges):
        pair = []
        for name, side in ((a, "Output"), (b, "Input")):
            found = ends[name][side] if name in ends else [f"{prefix}{name}".replace("/", ".")]
            if len(found) != 1:
                raise ModelError(
                    f"from_nir:\n  Node {name!r} (NIRGraph): must have one {side}, as edges do not tell several apart; "
                    f"got {len(found)}, joined by ({a!r}, {b!r}). Inline it."
                )
            pair += found
        edges.append((pair[0], pair[1]))
    return nodes, edges, passed


def _earlier(model: dict[str, Any], v0: np.ndarray, i0: np.ndarray, steps: int) -> dict[str, Any] | None:
    """The state that becomes (v0, i0) within ``steps`` without input; None where there is none without a spike.

    What has no effect on it is 0.
    """
    alpha, beta, leak = (np.broadcast_to(model.get(k, 0.0), v0.shape) for k in ("alpha", "beta", "v_leak"))
    v, i, gain = v0, i0, model.get("gain", 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            moved = v - (1.0 - beta) * leak - gain * i
            v = np.divide(moved, beta, out=np.zeros_like(v), where=beta > 0)
            i = np.divide(i, alpha, out=np.zeros_like(i), where=alpha > 0)
        start = {"v": v, "i": i}
        for _ in range(steps):
            i = alpha * i
            v = beta * v + (1.0 - beta) * leak + gain * i
            if not np.all(v <= model["v_th"]):
                return None
    lost = ~np.isclose(v, v0, rtol=1e-9, atol=1e-9 * np.abs(v0).max())  # in rounding, where the decay is strong
    return None if np.any(lost & (beta > 0)) else start


def _below(model: dict[str, Any], n: int, steps: int) -> dict[str, Any] | None:
    """The state from which neurons that rest above their threshold fire first after ``steps`` steps, the others at
    rest; empty where all rest below, None where one fires before or not at all.
    """
    beta, leak, theta = (np.broadcast_to(model.get(k, 0.0), n) for k in ("beta", "v_leak", "v_th"))
    above = leak > theta
    if not np.any(above):
        return {}
    last = np.where(above, theta - 1e-9 * (leak - theta), leak)  # at most the threshold, in spite of rounding
    if np.any(above & (beta * last + (1.0 - beta) * leak <= theta)):
        return None
    return _earlier(model, last, np.zeros(n), steps)


def _free(name: str, taken: Any) -> str:
    while name in taken:
        name += "_"
    return name


def _check_numbers(nodes: dict[str, Any]) -> None:
    """Refuse nodes with a parameter of another kind, as files may hold it."""
    for name, node in nodes.items():
        for key in {f.name for f in dataclasses.fields(node)} - {"metadata", "input_type", "output_type"}:
            value = getattr(node, key)
            numbers = value is None or isinstance(value, (str, bytes, bool))
            with suppress(ValueError, TypeError):
                numbers = numbers or np.asarray(value).dtype.kind in "iufb"
            if not numbers:
                kind = type(value).__name__
                raise ModelError(f"Node {name!r} ({type(node).__name__}): {key}: must be numbers; got {kind}.")


def _shape(name: str, value: Any) -> tuple[int, ...]:
    sizes = np.atleast_1d(np.asarray(value))
    whole = sizes.ndim == 1 and sizes.dtype.kind in "iu" and sizes.min(initial=1) >= 1
    if not whole or np.prod(sizes, dtype=float) > MOST:
        raise ModelError(f"Node {name!r} (Input): must have integers >= 1 as shape, {MOST:,} values; got {value!r}.")
    return tuple(int(x) for x in sizes)


def _parameters(node: Any) -> list[np.ndarray]:
    """Parameters of a neuron node as arrays."""
    names = ("tau_syn", "tau_mem", "tau", "r", "v_leak", "v_threshold", "threshold", "v_reset", "w_in")
    arrays = [np.asarray(getattr(node, x), float) for x in names if getattr(node, x, None) is not None]
    return sorted(arrays, key=lambda a: -a.size)


def _model(node: Any, dt: float, n: int) -> tuple[Any, dict[str, Any]]:
    """(parameters of CubaLIF, initial values); in place of the parameters a text that says why there are none."""

    def of(name: str) -> np.ndarray:
        value = np.asarray(getattr(node, name), float).ravel()
        return np.broadcast_to(value, n).copy() if value.size == 1 else value

    kind = type(node).__name__
    for array in _parameters(node):
        if array.size not in (1, n):
            return f": parameters must be one or {n}, as what it gets; got {array.size}.", {}
        if not np.all(np.isfinite(array)):
            return ": parameters must be finite.", {}
    if kind == "Threshold":
        return {"alpha": 0.0, "beta": 0.0, "v_th": of("threshold")}, {}
    for name in ("tau", "tau_mem", "tau_syn"):
        if hasattr(node, name) and np.any(of(name) < dt * (1 - 1e-9)):
            return (
                f".{name}: must be at least a step, {dt * 1e3:g} ms, for Euler's method; got {of(name).min() * 1e3:g} "
                "ms. Use a smaller dt."
            ), {}
    params: dict[str, Any] = {"alpha": 0.0}
    if kind in ("CubaLI", "CubaLIF"):
        loss = np.minimum(dt / of("tau_syn"), 1.0)
        params |= {"alpha": 1.0 - loss, "w_in": of("w_in") * loss}
    if kind in ("I", "IF"):
        params |= {"beta": 1.0, "gain": of("r") * dt}
    else:
        loss = np.minimum(dt / of("tau_mem" if kind.startswith("Cuba") else "tau"), 1.0)
        params |= {"beta": 1.0 - loss, "gain": of("r") * loss, "v_leak": of("v_leak")}
    fires = kind in ("CubaLIF", "IF", "LIF")
    params["v_th"] = of("v_threshold") if fires else NO_THRESHOLD
    if fires and getattr(node, "v_reset", None) is not None:
        params["v_reset"] = of("v_reset")
    start = {"v": params["v_leak"]} if "v_leak" in params and np.any(params["v_leak"]) else {}
    return params, start


__all__ = ["bias_neuron", "from_nir", "nir_package"]
