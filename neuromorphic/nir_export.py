"""Networks as NIR graphs, which other simulators and chips read.

Models are brought to the form of :mod:`neuromorphic.discrete`, so that Euler's method with step dt gives back, to
rounding, what the clock engine computes with that step: a leaky neuron is a CubaLIF node with tau_syn = dt / (1 - k_u),
w_in = 1 / (1 - k_u), tau_mem = dt / (1 - k_v), r = 1 / (1 - k_v), v_leak = b / (1 - k_v), potentials counted from
v_reset, so that v_reset = 0, and weights in units of the potential. In this form snnTorch 1.0 and Norse 1.1, whose
readers each leave out parts of NIR, both read the same neuron. Without a leak it is IF; units that never fire are LI,
CubaLI and I. Times are in seconds.

NIR has neither a step nor a delay between layers. A connection that takes as many steps as its layer is later than the
one before is a Linear or Affine node alone; what it takes longer is a Delay node behind. See :func:`latency`.
"""

import copy
import json
import re
import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kernels.errors import ExportError, ModelError
from neuromorphic.discrete import Discrete, discrete, lateness, step_length
from neuromorphic.levels import levels
from neuromorphic.nir_import import bias_neuron, from_nir, nir_package
from snn import drawn
from snn.compile import delay_steps
from snn.distributions import Distribution
from snn.elements import SPIKES, Input, Population
from snn.inputs import Poisson, SpikeArray, StepCurrent
from snn.network import Network
from snn.simulation import Simulation
from snn.units import whole

DISCRETISATION = "forward Euler with step dt; spikes are 1 in a step; v > v_threshold; reset in the same step"
EARLY = "fire without input within the first"
CHECK_RATE = 0.2  # probability of a spike of an input in a step of the check
CHECK_ERROR = 1e-4  # of the largest potential: others compute in float32


def latency(net: Network, dt: float) -> dict[str, int]:
    """Steps by which each population runs behind its node in NIR, whose spikes pass all layers in one step.

    A layer is behind the one before by the smallest delay between them, one step (two for ``LIFExp``) where that is
    longer; populations on a cycle are behind by as much. What a node does in step t, the population does in step t +
    latency. Further delays are Delay nodes. Projections that draw no synapse do not count.

    Parameters
    ----------
    net : Network
    dt : [ms]
    """
    dt = step_length("latency.dt", dt)
    return _latency(net, dt, _drawn(net, dt))[0]


def to_nir(net: Network, dt: float, check: int = 0) -> Any:
    """The network as a NIR graph.

    Each population becomes a node of its name, spike sources Input nodes, projections Linear or Affine nodes, and
    recorded populations (where none is recorded, those that lead nowhere) lead to Output nodes. The graph's metadata
    hold dt in seconds, the discretisation, and what NIR has no place for. A node begins as many steps after its
    population as :func:`latency` says, from where its neurons are then, which is kept in its metadata; a warning names
    populations that fire before.

    Parameters
    ----------
    net : of Accumulator, CubaLIF (reset 0), LIFDelta and LIFExp (t_ref = 0), Leaky and Synaptic (reset to zero at
        once), driven by spikes; constant currents and biases become offsets
    dt : [ms], the length of a step
    check : steps of random input and the output expected, to be kept in the metadata for :func:`check_nir`; warns where
        the network itself does otherwise: in a tie, which rounding decides, or where a spike lies before step 0

    Returns
    -------
    nir.NIRGraph

    Raises
    ------
    ExportError
        With everything that NIR cannot hold.

    References
    ----------
    Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9

    Examples
    --------
    >>> import numpy as np, snn
    >>> from neuromorphic import to_nir
    >>> net = snn.Network()
    >>> src = net.population("in", 2, snn.SpikeArray([1.0], [0]))
    >>> out = net.population("out", 3, snn.CubaLIF(alpha=0.5, beta=0.9))
    >>> _ = net.connect(src, out, snn.all_to_all(), weight=0.6)
    >>> sorted(to_nir(net, dt=1.0).nodes)
    ['in', 'in_to_out', 'out', 'output']
    """
    nir = nir_package()
    check = whole("to_nir.check", check, 0)
    build = _Build(net, step_length("to_nir.dt", dt))
    graph = build.graph(nir)
    if check:
        given, wanted = _check(graph, check)
        found = _own(net, build, given, wanted, check)
        graph.metadata["check"] = json.dumps({"steps": check, "inputs": given, "outputs": wanted})
        if wrong := {name: n for name, n in check_nir(graph, lambda _: found).items() if n}:
            counts = ", ".join(f"{n:,} entries of {name!r}" for name, n in wrong.items())
            begins = [name for name, note in json.loads(graph.metadata["notes"]).items() if EARLY in note]
            why = f"{', '.join(begins)} fires before its node begins" if begins else "a tie, or a fault"
            warnings.warn(f"to_nir.check: {counts} differ from what the network itself does: {why}.", stacklevel=2)
    return graph


def check_nir(graph: Any, run: Any) -> dict[str, int]:
    """How far another simulator's reading of a graph is from what was expected when it was written.

    Parameters
    ----------
    graph : written by :func:`to_nir` with ``check``, before or after it went through a file
    run : function of a dictionary with an array of 0 and 1, shape (steps, n), for each Input node; it runs the
        graph elsewhere and gives back such a dictionary of the Output nodes' spikes, or potentials of units that do
        not fire, latest layers included in the step of the input

    Returns
    -------
    dict
        by Output node, the number of entries that differ; 0 where the graph was read as it was meant. Potentials may
        differ by 1e-4 of the largest
    """
    text = (graph.metadata or {}).get("check")
    if text is None:
        raise ModelError("check_nir.graph: has no check in its metadata. Write it by to_nir(net, dt, check=100).")
    kept = json.loads(text)
    given, wanted = ({k: _dense(x, kept["steps"]) for k, x in kept[side].items()} for side in ("inputs", "outputs"))
    found = run(given)
    for name, x in wanted.items():
        if np.shape(found.get(name)) != x.shape:
            raise ModelError(f"check_nir.run: must give {name!r}, shape {x.shape}; got {np.shape(found.get(name))}.")
    errors = {
        name: CHECK_ERROR * np.abs(x).max() if "v" in kept["outputs"][name] else 0.0 for name, x in wanted.items()
    }
    return {n: int(np.sum(~np.isclose(found[n], x, rtol=0.0, atol=errors[n]))) for n, x in wanted.items()}


def _dense(kept: dict[str, Any], steps: int) -> np.ndarray:
    if "v" in kept:
        return np.array(kept["v"])
    x = np.zeros((steps, kept["n"]))
    x[kept["steps"], kept["ids"]] = 1.0
    return x


def _check(graph: Any, steps: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Random input and the spikes, or potentials, of the graph as it is read back here, by step and neuron."""
    rng = np.random.default_rng(0)
    dt, nodes = graph.metadata["dt"] * 1e3, graph.nodes
    inputs, kept, outputs = {}, {}, {}
    for name in graph.inputs:
        n = int(np.prod(nodes[name].output_type["output"]))
        when, ids = np.nonzero(rng.random((steps, n)) < CHECK_RATE)
        inputs[name] = SpikeArray((when + 1) * dt, ids)
        kept[name] = {"n": n, "steps": when.tolist(), "ids": ids.tolist()}
    try:
        net = from_nir(graph, inputs=inputs)
    except ModelError as error:
        raise ExportError(f"to_nir.check: must be 0 for a graph that is not read back here; {error}") from error
    behind = latency(net, dt)
    result = Simulation(net, dt=dt, quiet=True).run((steps + max(behind.values())) * dt)
    for source, name in graph.edges:
        if name in graph.outputs and source in result.states:
            outputs[name] = {"v": np.asarray(result.states[source]["v"])[behind[source] :][:steps].tolist()}
        elif name in graph.outputs:
            spikes = result.spikes[source]
            when = np.rint(np.asarray(spikes.times) / dt).astype(int) - 1 - behind[source]
            keep = (when >= 0) & (when < steps)
            outputs[name] = {"n": net.populations[source].n, "steps": when[keep].tolist(),
                             "ids": np.asarray(spikes.ids)[keep].tolist()}  # fmt: skip
    return kept, outputs


def _own(net: Network, build: "_Build", given: dict[str, Any], wanted: dict[str, Any], steps: int) -> dict[str, Any]:
    """What the network itself does with the input of a check, as the Output nodes have it."""
    net = copy.deepcopy(net)  # whose sources and probes are replaced
    spikes = {n: SpikeArray((np.array(x["steps"]) + 1) * build.dt, np.array(x["ids"], int)) for n, x in given.items()}
    for name, p in net.populations.items():
        if p.spec is None:
            p.model = spikes[build.names[name]]  # type: ignore[misc]
    for name, i in net.inputs.items():
        if i.receptor >= 0:
            i.source = spikes[build.names[name]]  # type: ignore[misc]
    net.probes = []
    shown = {name: out for name, out in build.shown.items() if out in wanted}
    for name, out in shown.items():
        net.record(name, "v" if "v" in wanted[out] else SPIKES)
    result = Simulation(net, dt=build.dt, quiet=True).run((steps + max(build.level.values())) * build.dt)
    found = {}
    for name, out in shown.items():
        first, n = build.level[name], net.populations[name].n
        if "v" in wanted[out]:
            found[out] = np.asarray(result.states[name]["v"])[first:][:steps] - build.forms[name].reset
        else:
            when = np.rint(np.asarray(result.spikes[name].times) / build.dt).astype(int) - 1 - first
            keep = (when >= 0) & (when < steps)
            found[out] = np.zeros((steps, n))
            found[out][when[keep], np.asarray(result.spikes[name].ids)[keep]] = 1.0
    return found


def _drawn(net: Network, dt: float) -> dict[str, drawn.Synapses]:
    """Synapses by projection, of those that have any: the others are no part of a graph, nor of its cycles."""
    found = {}
    for q in net.projections.values():
        delay_steps(q, dt)  # refuses delays of less than a step
        found[q.name] = drawn.synapses(net, q, dt)
    return {name: synapses for name, synapses in found.items() if synapses.sources.size}


def _latency(net: Network, dt: float, synapses: dict[str, Any]) -> tuple[dict[str, int], dict[str, int]]:
    edges = []
    least = {p.name: lateness(p) for p in net.populations.values()}
    for q in (net.projections[name] for name in synapses):
        if _is_bias(net, q.source):  # an offset comes a step later, as spikes would
            least[q.target.name] = 1 + lateness(q.target)
        else:
            edges.append((q.source.name, q.target.name, delay_steps(q, dt)[0] + lateness(q.target)))
    arrival: dict[str, int] = {}
    for i in net.inputs.values():
        if i.receptor < 0:
            continue
        first = lateness(i.target)
        if getattr(i.source, "weights", None) is None:
            arrival[i.target.name] = first
        else:  # values of an Input node: from_nir has moved them to their layer, which is a step behind or more
            first += 1
        least[i.target.name] = max(first, least[i.target.name])
    hops = [(a, b, 1 + lateness(net.populations[b])) for a, b, _ in edges]
    level, cycle = levels(net.populations, hops, least)
    moved = True
    while moved:  # levels only fall
        moved = False
        for name in net.populations:
            members = {n for n in level if cycle[n] == cycle[name]}
            soonest = [level[a] + s for a, b, s in edges if b in members and a not in members]
            soonest += [arrival[n] for n in members if n in arrival]
            if soonest and min(soonest) < level[name]:
                moved = True
                level.update(dict.fromkeys(members, min(soonest)))
    return level, cycle


def _is_bias(net: Network, p: Population) -> bool:
    """Whether a population is what :func:`from_nir` makes of offsets."""
    if p.spec is None or p.spec.name != "CubaLIF" or p.n != 1 or p.init:
        return False
    given, wanted = p.model.params, bias_neuron().params  # type: ignore[union-attr]
    same = all(not isinstance(given[k], Distribution) and np.array_equal(given[k], wanted[k]) for k in wanted)
    driven = [q.target for q in net.projections.values()] + [i.target for i in net.inputs.values()]
    return same and not any(target is p for target in driven)


@dataclass
class _Link:
    """Synapses of one delay: a matrix (targets, sources) in units of the target's potential, and a Delay in steps."""

    name: str
    source: str
    target: str
    weight: np.ndarray
    extra: int
    inside: bool


@dataclass
class _Build:
    net: Network
    dt: float
    problems: list[str] = field(default_factory=list)

    def attempt(self, call: Any, *args: Any) -> Any:
        try:
            return call(*args)
        except (ExportError, ModelError) as error:
            self.problems.append(str(error))
            return None

    def graph(self, nir: Any) -> Any:
        net, seconds = self.net, self.dt / 1e3
        self.synapses = self.attempt(_drawn, net, self.dt)
        if self.synapses is None:
            raise ExportError("to_nir:\n  " + "\n  ".join(self.problems))
        self.level, self.cycle = _latency(net, self.dt, self.synapses)
        constants = {p.name for p in net.populations.values() if _is_bias(net, p)}
        self.names = _identifiers(n for n in [*net.populations, *net.inputs] if n not in constants)
        nodes: dict[str, Any] = {}
        notes: dict[str, str] = {}
        forms: dict[str, Discrete] = {}
        for name, p in net.populations.items():
            if name in constants:
                continue
            if isinstance(p.model, (Poisson, SpikeArray)):
                nodes[self.names[name]] = nir.Input(np.array([p.n]))
                notes[self.names[name]] = f"was {p.model!r}"
                continue
            form = self.attempt(discrete, net, p, self.dt)
            node = None if form is None else self.attempt(self.node, nir, p, form, seconds)
            if node is not None:
                nodes[self.names[name]], forms[name] = node, form
        offsets = {name: np.zeros(form.loss_u.size) for name, form in forms.items()}
        for name, form in forms.items():
            if np.all(form.loss_v == 0):
                offsets[name] += form.bias
        links: list[_Link] = []
        for q in (net.projections[name] for name in self.synapses):
            if q.target.name not in forms:
                continue
            if q.source.name in constants:
                self.attempt(self.offset, q, offsets[q.target.name], forms[q.target.name])
            else:
                links += self.attempt(self.links, q, forms[q.target.name]) or []
        for i in net.inputs.values():
            if i.target.name not in forms:
                continue
            form = forms[i.target.name]
            if isinstance(i.source, StepCurrent):
                self.attempt(self.current, i, offsets[i.target.name], form)
            elif (link := self.attempt(self.direct, i, form)) is not None:
                nodes[self.names[i.name]] = nir.Input(np.array([i.target.n]))
                notes[self.names[i.name]] = f"was {i.source!r}"
                links.append(link)
        edges = self.connect(nir, nodes, links, offsets, seconds)
        self.shown, self.forms = self.outputs(nir, nodes, forms), forms
        edges += [(self.names[name], out) for name, out in self.shown.items()]
        if not self.problems and not forms:
            self.problems.append("Network: must have a population of neurons; got none. Add one.")
        if not self.problems and not any(isinstance(node, nir.Input) for node in nodes.values()):
            self.problems.append("Network: must have spike sources, at which a graph begins; got none. Add one.")
        elif not self.problems and not any(isinstance(nodes[a], nir.Input) for a, _ in edges):
            self.problems.append(
                "Network: its spike sources, at which a graph begins, must lead to neurons; none has a synapse. "
                "Connect one."
            )
        if self.problems:
            raise ExportError("to_nir:\n  " + "\n  ".join(dict.fromkeys(self.problems)))
        for name, form in forms.items():
            self.start(name, nodes[self.names[name]], form, notes)
        metadata = {
            "writer": "volley-snn", "dt": seconds, "time_unit": "s", "discretisation": DISCRETISATION,
            "delays": "0 between layers, 1 step within a cycle; Delay nodes add to it", "notes": json.dumps(notes),
        }  # fmt: skip
        # all types are given; the package's check of them would add Inputs and Outputs at nodes without any
        return nir.NIRGraph(nodes, edges, metadata=metadata, type_check=False)

    def node(self, nir: Any, p: Population, form: Discrete, dt: float) -> Any:
        owner = f"Population {p.name!r}"
        if np.any(form.refractory):
            raise ExportError(
                f"Population {p.name!r}.t_ref: must be 0 ms (NIR has no refractory period); got "
                f"{form.refractory.max() * self.dt:g}. Use t_ref=0."
            )
        if form.subtract:
            raise ExportError(f"{owner}.model: must reset to a value, as NIR does; {p.model!r} subtracts. Use CubaLIF.")
        if np.any(form.loss_u == 0):
            raise ExportError(f"{owner}: its current never decays, for which NIR has no node. Let it lose something.")
        leaks, direct = form.loss_v > 0, bool(np.all(form.loss_u == 1))
        if np.any(leaks) != np.all(leaks) or (not np.any(leaks) and not direct):
            raise ExportError(
                f"{owner}: a potential without a leak is NIR's IF, for all neurons and without a synaptic current. "
                "Let all leak, or take alpha=0."
            )
        if not form.spiking and np.any(form.theta < np.inf) and np.any(form.theta < 1e300):
            raise ExportError(f"{owner}.v_th: must be within reach of all neurons or of none. Split the population.")
        one, zero, loss = np.ones(p.n), np.zeros(p.n), form.loss_v
        if not np.any(leaks):
            return nir.IF(one / dt, form.theta, zero) if form.spiking else nir.I(one / dt)
        leak = {"r": 1.0 / loss, "v_leak": form.bias / loss}
        if not form.spiking and direct:
            return nir.LI(tau=dt / loss, **leak)
        common = {"tau_syn": dt / form.loss_u, "tau_mem": dt / loss, "w_in": 1.0 / form.loss_u, **leak}
        return nir.CubaLIF(v_threshold=form.theta, v_reset=zero, **common) if form.spiking else nir.CubaLI(**common)

    def start(self, name: str, node: Any, form: Discrete, notes: dict[str, str]) -> None:
        """Keep initial values other than NIR's readers take: those of the population when its node begins.

        A model's own bias acts until then, too. Offsets of other origin begin with that step. What fires before has
        been reset and goes on from there, so that its phase is kept: an error would refuse all drawn phases.
        """
        u, v, steps = form.u, form.v, self.level[name]
        fired = np.zeros(v.size, bool)
        rest = getattr(node, "v_leak", np.zeros_like(v))
        for _ in range(steps):
            u = (1.0 - form.loss_u) * u
            v = (1.0 - form.loss_v) * v + u + form.bias
            fired |= v > form.theta
            v = np.where(v > form.theta, 0.0, v)
        told = []
        if np.any(np.abs(v - rest) > 1e-12 * (1.0 + np.abs(rest))) or np.any(u):
            node.metadata = {"v0": v, "i0": u}
            told.append("starts from v0, i0 in the node's metadata, not from v_leak")
        if np.any(fired):
            lost = (
                f"{np.count_nonzero(fired):,} of {fired.size:,} neurons {EARLY} {steps * self.dt:g} ms, which lie "
                "before step 0 of the node: these spikes are not in the graph, later ones are"
            )
            told.append(lost)
            warnings.warn(
                f"to_nir: Population {name!r}: {lost}. Begin these neurons lower (init) where they matter.",
                stacklevel=4,
            )
        if told:
            notes[self.names[name]] = "; ".join(told)

    def links(self, q: Any, form: Discrete) -> list[_Link]:
        owner = f"Projection {q.name!r}"
        if q.learns or q.short_term:
            raise ExportError(f"{owner}: changes as it runs; NIR is static. Run it first, and give the weights.")
        sources, targets, weights, steps = self.synapses[q.name]
        weights = weights * form.factor[targets]
        inside = self.cycle[q.source.name] == self.cycle[q.target.name]
        natural = 1 if inside else self.level[q.target.name] - self.level[q.source.name]
        extra = steps + form.late - natural
        name = f"{self.names[q.source.name]}_to_{self.names[q.target.name]}"
        found = []
        for e in np.unique(extra):
            weight, mine = np.zeros((q.target.n, q.source.n)), extra == e
            np.add.at(weight, (targets[mine], sources[mine]), weights[mine])
            found.append(_Link(name, self.names[q.source.name], self.names[q.target.name], weight, int(e), inside))
        return found

    def offset(self, q: Any, total: np.ndarray, form: Discrete) -> None:
        """Add the weights of a neuron that fires in every step."""
        _, targets, weights, steps = self.synapses[q.name]
        first = self.level[q.target.name] - form.late
        if q.learns or q.short_term or np.any(steps != first):
            raise ExportError(
                f"Projection {q.name!r}: an offset must be static, with a delay of {first * self.dt:g} ms."
            )
        np.add.at(total, targets, weights * form.factor[targets])

    def current(self, i: Input, total: np.ndarray, form: Discrete) -> None:
        owner, first = f"Input {i.name!r}", self.level[i.target.name] * self.dt
        assert isinstance(i.source, StepCurrent)
        if form.current is None:
            raise ExportError(f"{owner}: a current has no counterpart beside a synaptic one. Use v_leak, bias or i_e.")
        if len(i.source.times) != 1 or abs(i.source.times[0] - first) > 1e-6 * self.dt:
            raise ExportError(
                f"{owner}: must be constant from {first:g} ms, the layer's first step; got {i.source!r}. Give it as "
                "input to the graph instead."
            )
        total += np.broadcast_to(i.source.amplitudes[0], total.shape) * form.current

    def direct(self, i: Input, form: Discrete) -> _Link:
        owner = f"Input {i.name!r}"
        if not isinstance(i.source, (Poisson, SpikeArray)) or getattr(i.source, "weights", None) is not None:
            raise ExportError(
                f"{owner}: must be Poisson or SpikeArray with one weight, or one a neuron; got {i.source!r}. Give it "
                "as input to the graph instead."
            )
        if isinstance(i.source, Poisson) and i.source.shared:
            raise ExportError(f"{owner}.shared: must be False. Connect a population of one source instead.")
        matrix = np.diag(np.broadcast_to(drawn.input_weight(self.net, i) * form.factor, (i.target.n,)))
        source, target = self.names[i.name], self.names[i.target.name]
        return _Link(f"{source}_to_{target}", source, target, matrix, form.late - self.level[i.target.name], False)

    def connect(
        self, nir: Any, nodes: dict[str, Any], links: list[_Link], offsets: dict[str, np.ndarray], seconds: float
    ) -> list[tuple[str, str]]:
        """Add nodes for the links; their edges, recurrent ones first: Norse 1.1 goes wrong otherwise."""
        edges: list[tuple[str, str]] = []
        waiting = {self.names[name]: b for name, b in offsets.items() if np.any(b)}
        for link in sorted(links, key=lambda x: (not x.inside, x.extra)):
            name = _free(link.name, nodes)
            # a layer's offset goes with its first connection from outside, which is there from the layer's first step
            bias = waiting.pop(link.target, None) if not link.inside and link.extra == 0 else None
            nodes[name] = nir.Linear(link.weight) if bias is None else nir.Affine(link.weight, bias)
            edges += [(link.source, name)]
            if link.extra:
                delay = _free(f"{name}_delay", nodes)
                nodes[delay] = nir.Delay(np.full(len(link.weight), link.extra * seconds))
                edges += [(name, delay), (delay, link.target)]
            else:
                edges += [(name, link.target)]
        for name in waiting:
            self.problems.append(
                f"Population {name!r}: its offset needs a connection without a further delay, from outside its cycle. "
                "Add one, or use v_leak."
            )
        return edges

    def outputs(self, nir: Any, nodes: dict[str, Any], forms: dict[str, Discrete]) -> dict[str, str]:
        """Add Output nodes; their names by population."""
        chosen = [n for n in forms if any(p.population.name == n for p in self.net.probes)]
        projections = [self.net.projections[name] for name in self.synapses]
        leading = {q.source.name for q in projections if q.source is not q.target}
        chosen = chosen or [n for n in forms if n not in leading] or list(forms)
        shown = {}
        for name in chosen:
            out = _free("output" if len(chosen) == 1 else f"{self.names[name]}_output", nodes)
            nodes[out] = nir.Output(np.array([forms[name].loss_u.size]))
            shown[name] = out
        return shown


def _identifiers(names: Any) -> dict[str, str]:
    """Names that torch modules can have, too."""
    found: dict[str, str] = {}
    for name in names:
        found[name] = _free(re.sub(r"\W", "_", name), found.values())
    return found


def _free(name: str, taken: Any) -> str:
    k, free = 1, name
    while free in taken:
        k, free = k + 1, f"{name}_{k + 1}"
    return free
