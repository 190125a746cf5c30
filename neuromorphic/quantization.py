"""Float networks as integer networks of Loihi's LIF, scaled so that no current can wrap, with a report of what it cost.

Models are brought to the form of :mod:`neuromorphic.discrete`. A population gets one scale S (integer units of u and v
for one float unit), the largest for which

- |u| < 2^23 whatever the spikes are: |u| <= 64 A / (1 - k_u^interval), A the larger sum of a neuron's stored weights of
  one sign (times 2^exponent); this holds for all spike trains with at least ``interval`` steps between two spikes;
- threshold, bias and weights fit their registers;
- the largest weight of a projection that learns is 255 (:mod:`neuromorphic.on_chip`); all its weights may grow so;
- a unit that only sums (``Accumulator``) does not reach its threshold, the largest there is, within ``steps`` steps.

A constant current is a bias. Loihi's bias has no beginning: where the current begins s steps late and there is no leak,
v starts lower by s biases, which is the same from then on. Where that is not so (a leak, a start above the threshold, a
current that decays), the current is the weight of a neuron that fires in every step from s on, in a population "bias".

Sources: Davies et al. 2018, doi:10.1109/MM.2018.112130359; Lava 0.10.0 (see :mod:`neuromorphic.fixed_point`).
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from kernels.errors import ExportError, ModelError
from neuromorphic.discrete import Discrete, discrete, step_length
from neuromorphic.fixed_point import (
    MAX_DELAY,
    STATE_LIMIT,
    IntegerLIF,
    IntegerNetwork,
    IntegerProjection,
    IntegerSource,
)
from neuromorphic.fixed_point_step import EXCITATORY, INHIBITORY, MIXED
from neuromorphic.on_chip import TOP, LearningReport, dopamine, on_chip, same_grid, scaled
from snn import drawn
from snn.elements import Input, Population
from snn.inputs import SpikeArray, StepCurrent
from snn.network import Network
from snn.units import whole

TOP_VTH = 2**17 - 1
TOP_BIAS = 4095 << 7
LATEST = 1000  # steps before a constant current begins


@dataclass
class PopulationReport:
    """What became of a population; arrays of shape (n,).

    Attributes
    ----------
    scale : integer units of u and v for one unit of the float model's potential
    tau_u, tau_v : time constants asked for, ms; 0: no memory, inf: no decay
    tau_u_realised, tau_v_realised : those of the integer decays, ms
    threshold_error, bias_error : largest error, relative to the threshold
    headroom : bits between the largest |u| possible and 2^23, > 0
    dead : neurons that no input can make spike
    always : neurons that spike in every step (that is not refractory), whatever the input
    may_clip : neurons whose v could be clipped at -(2^23 - 1), as on the chip
    """

    scale: float
    tau_u: np.ndarray
    tau_u_realised: np.ndarray
    tau_v: np.ndarray
    tau_v_realised: np.ndarray
    threshold_error: float
    bias_error: float
    headroom: float
    dead: np.ndarray
    always: np.ndarray
    may_clip: np.ndarray


@dataclass
class ProjectionReport:
    """What became of a projection.

    Attributes
    ----------
    exponent : weights count 2^exponent times
    snr : power of the weights over that of their errors, dB; inf where all are exact
    lost : synapses whose weight became 0
    learning : what became of its plasticity rule; None without
    """

    exponent: int
    snr: float
    lost: int
    learning: LearningReport | None = None


@dataclass
class Quantized:
    """An integer network, and by name what became of the populations and projections. ``print`` shows a table."""

    network: IntegerNetwork
    populations: dict[str, PopulationReport]
    projections: dict[str, ProjectionReport]

    def __str__(self) -> str:
        rows = ["population: scale; headroom of u; tau_u, tau_v realised (asked) in ms; threshold, bias error; neurons"]
        for name, p in self.populations.items():
            taus = (
                f"{_span(have)} ({_span(asked)})"
                for have, asked in ((p.tau_u_realised, p.tau_u), (p.tau_v_realised, p.tau_v))
            )
            rows.append(
                f"  {name}: {p.scale:.4g}; {p.headroom:.2f} bits; {', '.join(taus)}; {p.threshold_error:.2%}, "
                f"{p.bias_error:.2%}; {p.dead.sum()} dead, {p.always.sum()} always spike, {p.may_clip.sum()} may clip"
            )
        rows.append("projection: exponent; signal to noise of the weights; synapses lost")
        rows += [f"  {k}: {p.exponent}; {p.snr:.1f} dB; {p.lost}" for k, p in self.projections.items()]
        rows += [f"{k} learns: {p.learning}" for k, p in self.projections.items() if p.learning]
        return "\n".join(rows)


def _span(x: np.ndarray) -> str:
    low, high = f"{x.min():.4g}", f"{x.max():.4g}"
    return low if low == high else f"{low}..{high}"


@dataclass
class _Synapses:
    """Synapses of a projection or direct input, each pair once; ``x`` in units of the target's v."""

    source: str
    target: str
    sources: np.ndarray
    targets: np.ndarray
    x: np.ndarray
    delays: np.ndarray
    learning: LearningReport | None = None
    top: float = 0.0  # largest x that learning leads to
    third: IntegerProjection | None = None  # brings its third factor

    @property
    def most(self) -> np.ndarray:
        """Largest |x| that a synapse can have, with its sign."""
        return np.full(len(self.x), self.top) if self.learning else self.x


def quantize(net: Network, dt: float, interval: int = 1, steps: int | None = None) -> Quantized:
    """Integers for a network of the models of :mod:`neuromorphic.discrete`, driven by ``SpikeArray``.

    Step t of the integer network is the float network's step that ends at t dt. Weights are stored in 8 bits.

    Parameters
    ----------
    net : its connectivity, weights and parameters are drawn as for a simulation
    dt : step, ms
    interval : fewest steps between two spikes of any neuron or source. 1 holds for every input; more gives finer
        integers, but neurons may break it: watch ``IntegerResult.wraps`` (:func:`neuromorphic.lava.export_lava` does)
    steps : most steps from the initial state; needed where an ``Accumulator`` sums, whose scale follows from it

    Raises
    ------
    ExportError
        With everything that has no integer counterpart.

    Examples
    --------
    >>> import snn
    >>> from neuromorphic import quantize
    >>> net = snn.Network(seed=1)
    >>> src = net.population("in", 1, snn.SpikeArray([1.0, 2.0], [0, 0]))
    >>> out = net.population("out", 1, snn.CubaLIF(alpha=0.5, beta=0.9))
    >>> _ = net.connect(src, out, snn.all_to_all(), weight=0.6)
    >>> quantize(net, dt=1.0).network.run(10).steps["out"]
    array([3])
    """
    interval = whole("quantize.interval", interval)
    steps = None if steps is None else whole("quantize.steps", steps)
    dt = step_length("quantize.dt", dt)
    problems: list[str] = []
    forms: dict[str, Discrete] = {}
    sources: dict[str, IntegerSource] = {}
    steady: list[tuple[str, str, int, np.ndarray]] = []  # (synapses, target, first step, x) of neurons that always fire

    def attempt(call: Any, *args: Any) -> Any:
        try:
            return call(*args)
        except (ExportError, ModelError) as error:
            problems.append(str(error))
            return None

    for name, p in net.populations.items():
        if p.spec is None:
            sources[name] = attempt(_source, f"Population {name!r}", p.model, dt, p.n, 1, interval)
        else:
            forms[name] = attempt(_form, net, p, dt, steps)
    synapses: dict[str, Any] = {}
    for q in net.projections.values():
        if forms[q.target.name] is not None:
            synapses[q.name] = attempt(_synapses, net, q, dt, forms[q.target.name], interval)
    for i in net.inputs.values():
        form, owner = forms[i.target.name], f"Input {i.name!r}"
        if form is None:
            continue
        name = f"{i.name}->{i.target.name}"
        if isinstance(i.source, StepCurrent):
            first, rest = attempt(_current, i, form, dt, interval) or (0, np.zeros(0))
            if not np.any(rest):
                continue
            steady.append((name, i.target.name, max(first, 1), rest))
        else:
            sources[i.name] = attempt(_source, owner, i.source, dt, i.target.n, form.late, interval)
            synapses[name] = attempt(_direct, net, i, form)
        if i.name in net.populations or name in net.projections:
            problems.append(f"{owner}: its name, or {name!r}, is taken. Rename it.")
    samples = [i for i in net.inputs.values() if isinstance(i.source, StepCurrent) and not np.any(i.source.amplitudes)]
    if samples and not sources:  # of a classifier's Direct encoder
        problems.append(
            f"Input {samples[0].name!r}: must be spikes where samples come in; got a current of 0, and no source of "
            "spikes. Give from_torch or from_snntorch a spiking encoder, such as encoder=snn.encode.Rate('input')."
        )
    if problems:
        raise ExportError("quantize:\n  " + "\n  ".join(problems))
    if steady:
        bias = "bias"
        while bias in forms or bias in sources:
            bias += "_"
        starts = np.unique([first for _, _, first, _ in steady])
        forms[bias] = _always(starts)
        for name, target, first, x in steady:
            targets = np.flatnonzero(x)
            at, none = (np.full(targets.size, k) for k in (np.searchsorted(starts, first), 0))
            synapses[name] = _Synapses(bias, target, at, targets, x[targets], none)

    populations: dict[str, IntegerLIF] = {}
    projections: dict[str, IntegerProjection] = {}
    about: dict[str, PopulationReport] = {}
    about_projections: dict[str, ProjectionReport] = {}
    for name, form in forms.items():
        into = {k: s for k, s in synapses.items() if s.target == name}
        done = attempt(_population, name, form, into, dt, interval, steps)
        if done is not None:
            populations[name], mine, about[name], reports = done
            projections |= mine
            about_projections |= reports
    if problems:
        raise ExportError("quantize:\n  " + "\n  ".join(problems))
    order = list(synapses)
    joined = {k: projections[k] for k in order}
    for k, s in synapses.items():
        if s.third is not None:
            joined[f"{k}.modulator"] = s.third
    return Quantized(
        IntegerNetwork(populations, sources, joined),
        about,
        {k: about_projections[k] for k in order},
    )


def _form(net: Network, p: Population, dt: float, steps: int | None) -> Discrete:
    form, owner = discrete(net, p, dt), f"Population {p.name!r}"
    if not form.spiking and (steps is None or np.any(form.theta < np.inf) or np.any(form.loss_v) or np.any(form.u)):
        raise ExportError(
            f"{owner}.v_th: must be finite; {form.theta.max():g} is never reached. Let it spike, or take an "
            "Accumulator and give quantize steps, the most that it sums."
        )
    if np.any(form.refractory > 63):
        raise ExportError(
            f"{owner}.t_ref: must be at most 63 steps (6 bits), {63 * dt:g} ms; got {form.refractory.max() * dt:g}. "
            "Shorten it, or use a larger dt."
        )
    if np.any(form.loss_u * 4096 < 0.5) or np.any((form.loss_v > 0) & (form.loss_v * 4096 < 0.5)):
        slowest = "the current" if np.any(form.loss_u * 4096 < 0.5) else "the potential"
        raise ExportError(
            f"{owner}: {slowest} must lose at least 1/8192 in a step, the smallest that 12 bits can stand for. "
            "Shorten the time constant, or use a larger dt."
        )
    return form


def _source(owner: str, model: Any, dt: float, n: int, shift: int, interval: int) -> IntegerSource:
    if not isinstance(model, SpikeArray):
        raise ExportError(
            f"{owner}: must be a SpikeArray; got {type(model).__name__}. Record its spikes, and give them."
        )
    if model.weights is not None:
        raise ExportError(f"{owner}.weights: one weight a spike has no counterpart. Give the input a weight.")
    code = model.encode(dt, n, owner)
    steps, ids = code.event_step + shift, code.event_id.astype(np.int64)
    if steps.size and steps.min() < 1:
        raise ExportError(f"{owner}.times: must be later than the first step, {dt:g} ms. Move all by a step.")
    order = np.lexsort((steps, ids))
    gaps = np.diff(steps[order])[np.diff(ids[order]) == 0]
    if gaps.size and gaps.min() < interval:
        raise ExportError(
            f"{owner}.times: a source must spike at most once in {interval} steps; got two {gaps.min()} apart."
        )
    return IntegerSource(n, steps, ids)


def _synapses(net: Network, q: Any, dt: float, form: Discrete, interval: int) -> _Synapses:
    owner = f"Projection {q.name!r}"
    if q.short_term is not None or q.axonal_delay:
        raise ExportError(f"{owner}: short-term plasticity and axonal delays have no counterpart. Leave them out.")
    learning, top, third = None, 0.0, None
    if q.learns:
        seed = net.stream("on-chip learning", q.name)[0] % (2**31 - 4)
        if q.modulation is None:
            learning = on_chip(owner, q.plasticity, dt, interval, int(seed))
        else:
            learning, third = _modulated(owner, q, dt, interval, int(seed))
        top = float(q.plasticity.params["w_max"] * form.factor[0])
        if np.any(form.factor != form.factor[0]) or top <= 0:
            raise ExportError(
                f"{owner}.plasticity: all target neurons must have one unit of weight, > 0; got {form.factor.min():g} "
                f"to {form.factor.max():g}. Give the population one parameter for all."
            )
    sources, targets, weights, steps = drawn.synapses(net, q, dt)
    x = weights * form.factor[targets]
    delays = steps - 1 + form.late
    if delays.size and delays.max() > MAX_DELAY:
        raise ExportError(
            f"{owner}.delay: must be at most {(MAX_DELAY + 1 - form.late) * dt:g} ms (6 bits of steps); got "
            f"{steps.max() * dt:g}. Shorten it, or use a larger dt."
        )
    if learning and np.any(delays):
        raise ExportError(
            f"{owner}.delay: must be one step, {dt:g} ms, where weights learn, and the model not LIFExp (on chip no "
            f"such connection has delays); got {delays.max()} steps more. Shorten it."
        )
    _, first, pair = np.unique(sources * q.target.n + targets, return_index=True, return_inverse=True)
    if np.any(delays != delays[first][pair]):
        raise ExportError(f"{owner}.delay: a pair joined twice must have one delay. Give the rule multapses=False.")
    if learning and len(first) < len(pair):
        raise ExportError(f"{owner}.plasticity: a pair joined twice cannot learn. Give the rule multapses=False.")
    total = np.bincount(pair, x, len(first))
    return _Synapses(
        q.source.name, q.target.name, sources[first], targets[first], total, delays[first], learning, top, third
    )


def _modulated(owner: str, q: Any, dt: float, interval: int, seed: int) -> tuple[LearningReport, IntegerProjection]:
    """A rule with a third factor, and the projection that brings it."""
    source, model = q.modulation.source, q.plasticity.spec.name
    if model != "DopamineSTDP" or source is None or np.any(q.modulation.value):
        raise ExportError(
            f"{owner}.modulator: must be dopamine of DopamineSTDP, released by a population and 0 at first; got "
            f"{q.modulation!r} for {model}."
        )
    tau = q.plasticity.params["tau_n"] / dt
    if isinstance(source.model, SpikeArray):
        steps = np.sort(source.model.encode(dt, source.n, owner).event_step)
        level, most = 0.0, 1.0
        for gap in np.diff(steps):
            level = (level + 1.0) * math.exp(-gap / tau)
            most = max(most, level + 1.0)
    else:
        most = source.n / -math.expm1(-interval / tau)
    report = dopamine(owner, q.plasticity, dt, interval, seed, most)
    delay = max(1, round(q.modulation.delay / dt)) - 1
    if delay > MAX_DELAY:
        raise ExportError(f"{owner}.modulator: its delay must be at most {(MAX_DELAY + 1) * dt:g} ms. Shorten it.")
    sources, targets = (x.ravel() for x in np.indices((source.n, q.target.n)))
    weights = np.full(len(sources), report.dopamine)
    return report, IntegerProjection(source.name, q.target.name, sources, targets, weights, delay, third=True)


def _current(i: Input, form: Discrete, dt: float, interval: int) -> tuple[int, np.ndarray]:
    """Make a constant current part of the bias; (steps before it begins, what has to come as weights of a neuron)."""
    owner = f"Input {i.name!r}"
    assert isinstance(i.source, StepCurrent)
    first = int(np.ceil(i.source.times[0] / dt - 1e-6))
    if form.current is None:
        raise ExportError(f"{owner}: a current has no counterpart in this model. Use its bias or i_e.")
    if len(i.source.times) != 1 or first > LATEST:
        raise ExportError(
            f"{owner}: must be one value from a step on, at most {LATEST} steps late; got {i.source!r}. Give it as "
            "spikes."
        )
    bias = np.broadcast_to(i.source.amplitudes[0], form.bias.shape) * form.current
    start = form.v - first * bias
    mine = (form.loss_u == 1) & ((first == 0) | ((form.loss_v == 0) & (start <= form.theta)))
    form.bias, form.v = form.bias + np.where(mine, bias, 0), np.where(mine, start, form.v)
    rest = np.where(mine, 0, bias)
    decays = (rest != 0) & (form.loss_u < 1)
    if first == 0:  # what comes in the first step; a neuron's spikes come from the second on
        form.u = form.u + np.divide(rest, 1.0 - form.loss_u, out=np.zeros(rest.size), where=decays)
    if interval > 1 and np.any(decays):
        raise ExportError(
            f"{owner}: is a neuron that fires in every step, as the model's synaptic current decays; quantize.interval "
            f"must be 1 then; got {interval}."
        )
    return first, rest


def _always(starts: np.ndarray) -> Discrete:
    """Neurons that fire in every step from ``starts`` on, >= 1: until then they sum towards their threshold."""
    one, none = np.ones(starts.size), np.zeros(starts.size)
    return Discrete(
        loss_u=one, loss_v=none, factor=one, bias=one, theta=0.5 * one, u=none, v=1.0 - starts, late=0, current=None,
        subtract=False, refractory=np.zeros(starts.size, np.int64), reset=none,
    )  # fmt: skip


def _direct(net: Network, i: Input, form: Discrete) -> _Synapses:
    weight = drawn.input_weight(net, i)
    if weight is None or np.shape(weight) not in ((), (i.target.n,)):
        raise ExportError(f"Input {i.name!r}: must be spikes with one weight, or one a neuron.")
    ids = np.arange(i.target.n)
    return _Synapses(i.name, i.target.name, ids, ids, weight * form.factor, np.zeros(i.target.n, np.int64))


def _population(
    name: str, form: Discrete, into: dict[str, _Synapses], dt: float, interval: int, steps: int | None
) -> tuple[IntegerLIF, dict[str, IntegerProjection], PopulationReport, dict[str, ProjectionReport]]:
    n = len(form.theta)
    du = np.clip(np.rint(4096 * form.loss_u) - 1, 0, 4095).astype(np.int64)
    dv = np.minimum(np.rint(4096 * form.loss_v), 4095).astype(np.int64)
    keep = 1.0 - ((4095 - du) / 4096.0) ** interval  # a train of unit jumps stays below 1 / keep
    up, down = (
        sum((np.bincount(s.targets, np.maximum(sign * s.most, 0), n) for s in into.values()), np.zeros(n))
        for sign in (1, -1)
    )
    largest = max((float(np.max(np.abs(s.most), initial=0)) for s in into.values()), default=0.0)
    tops = [s.top for s in into.values() if s.learning]
    if tops and not same_grid(tops):
        raise ExportError(
            f"Population {name!r}: w_max of the projections that learn must differ by powers of 2 alone (each is 255 "
            "on the chip, times a power of 2). Choose them so."
        )
    limits = (  # (what must fit at scale 1, into what)
        (np.max(np.maximum(up, down) / keep + np.abs(form.u)), STATE_LIMIT - 1),
        (np.max(np.abs(form.bias)), TOP_BIAS),
        (np.max(form.theta) if form.spiking else np.max(_sum(form, up, down, steps)), TOP_VTH << 6),
        (np.max(np.abs(form.v)), STATE_LIMIT - 1), (largest, 254 << 13),
    )  # fmt: skip
    scale = 0.999 * min(most / need for need, most in limits if need > 0)
    while True:
        scale = scaled(scale, tops)
        stored = {k: _store(s, scale) for k, s in into.items()}
        high, low = (_largest_input(into, stored, n, sign) * 64.0 / keep for sign in (1, -1))
        u = np.rint(form.u * scale).astype(np.int64)
        high, low = high + np.maximum(u, 0), low + np.maximum(-u, 0) + 4096 * 64 / (du + 1) * _floored(into, stored, n)
        most = float(max(np.max(high), np.max(low)))
        sums = 0.0 if form.spiking else float(np.max(_sum(form, high / scale, low / scale, steps))) * scale
        if most < STATE_LIMIT and sums < (TOP_VTH << 6) - 64 * (steps or 0):  # a rounded bias is at most 64 off
            break
        scale *= 0.98  # rounded weights may add up to a little more
    vth = np.rint(np.minimum(form.theta * scale / 64, TOP_VTH)).astype(np.int64)
    if np.any(vth < 1):
        raise ExportError(
            f"Population {name!r}: a threshold of {form.theta.min():g} is less than half a unit beside the largest "
            f"current possible. Give quantize a larger interval than {interval}, or weaken the weights."
        )
    bias_exp = np.zeros(n, np.int64)
    exact = form.bias * scale
    for _ in range(7):
        bias_exp += np.abs(np.rint(exact / 2.0**bias_exp)) > 4095
    bias_mant = np.rint(exact / 2.0**bias_exp).astype(np.int64)
    bias = bias_mant << bias_exp
    v = np.rint(form.v * scale).astype(np.int64)
    neurons = IntegerLIF(n, du, dv, bias_mant, bias_exp, vth, u, v, int(form.subtract), form.refractory)
    size = np.where(np.isfinite(form.theta), form.theta, TOP_VTH * 64 / scale)
    with np.errstate(divide="ignore", invalid="ignore"):
        leak = 4096.0 / dv
        highest = np.maximum(v, np.where(high + bias > 0, np.maximum((high + bias) * leak, 0), 0))
        lowest = np.minimum(v, np.where(bias - low < 0, (bias - low) * leak, 0))
        report = PopulationReport(
            scale=scale,
            tau_u=_tau(form.loss_u, dt), tau_u_realised=_tau((du + 1) / 4096.0, dt),
            tau_v=_tau(form.loss_v, dt), tau_v_realised=_tau(dv / 4096.0, dt),
            threshold_error=float(np.max(np.abs(vth * 64 / scale / size - 1))),
            bias_error=float(np.max(np.abs(bias / scale - form.bias) / size)),
            headroom=math.inf if most == 0 else math.log2(STATE_LIMIT / most),
            dead=(highest <= vth << 6) & form.spiking, always=bias - low > vth << 6,
            may_clip=(lowest < 1 - STATE_LIMIT) & form.spiking,
        )  # fmt: skip
    projections, reports = {}, {}
    for k, s in into.items():
        weights, exponent, mode = stored[k]
        projections[k] = IntegerProjection(
            s.source, s.target, s.sources, s.targets, weights, s.delays, exponent, sign_mode=mode,
            learning=None if s.learning is None else s.learning.rule,
        )  # fmt: skip
        error = np.sum((weights * (2.0**exponent * 64 / scale) - s.x) ** 2)
        snr = math.inf if error == 0 else 10 * math.log10(np.sum(s.x**2) / error)
        reports[k] = ProjectionReport(exponent, snr, int(np.sum((weights == 0) & (s.x != 0))), s.learning)
    return neurons, projections, report, reports


def _sum(form: Discrete, up: np.ndarray, down: np.ndarray, steps: int | None) -> np.ndarray:
    """Largest |v| after ``steps`` steps of a unit that only sums."""
    return np.asarray(np.abs(form.v) + float(steps or 0) * (np.maximum(up, down) + np.abs(form.bias)))


def _tau(loss: np.ndarray, dt: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.where(loss >= 1, 0.0, -dt / np.log1p(-np.minimum(loss, 1.0)))


def _store(s: _Synapses, scale: float) -> tuple[np.ndarray, int, int]:
    """(weights, exponent, sign mode): the finest exponent with which the largest weight fits."""
    exact = s.x * scale / 64
    if s.learning:
        exponent = round(math.log2(s.top * scale / 64 / TOP))
        if exponent < -8:
            raise ExportError(f"Projection to {s.target!r}: w_max is too small beside the other weights to learn.")
        return np.rint(exact / 2.0**exponent).astype(np.int64), exponent, EXCITATORY
    low, high = np.min(exact, initial=0.0), np.max(exact, initial=0.0)
    mode = EXCITATORY if low >= 0 else INHIBITORY if high <= 0 else MIXED
    grid, top = (2, 254) if mode == MIXED else (1, 255)
    largest = max(high, -low)
    exponent = -8 if largest == 0 else min(max(math.ceil(math.log2(largest / top)), -8), 7)
    weights = np.rint(exact / (grid * 2.0**exponent)).astype(np.int64) * grid
    return np.clip(weights, -top, top), (0 if largest == 0 else exponent), mode


def _largest_input(into: dict[str, _Synapses], stored: dict[str, Any], n: int, sign: int) -> np.ndarray:
    """Largest input of one sign that a neuron can get in a step, in units of a; shape (n,)."""
    total = np.zeros(n)
    for k, s in into.items():
        weights, exponent, _ = stored[k]
        weights = np.full(len(weights), TOP) if s.learning else weights
        total += np.bincount(s.targets, np.maximum(sign * weights, 0), n) * 2.0**exponent
    return total


def _floored(into: dict[str, _Synapses], stored: dict[str, Any], n: int) -> np.ndarray:
    """How many sums a neuron gets in a step whose floor may take 1 from it; shape (n,)."""
    total = np.zeros(n)
    for k, s in into.items():
        if stored[k][1] < 0:
            total += np.bincount(s.targets, minlength=n).astype(bool) * len(np.unique(s.delays))
    return total
