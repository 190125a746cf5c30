"""Integer networks as Lava 0.10 runs them for Loihi 2 (``Loihi2SimCfg(select_tag="fixed_pt")``), bit for bit.

Equations
---------
tz(x, k) = sign(x) (|x| >> k) rounds towards zero; other shifts floor. In step t = 1, 2, ... with a the summed input:

    bias <- bias_mant << bias_exp
    u <- tz(u (4096 - (du + 1)), 12) + (a << 6), wrapped once into (-2^23, 2^23]
    v <- tz(v (4096 - dv), 12) + u + bias, clipped to -(2^23 - 1) .. 2^23 - 1
    spike where v > vth << 6; there v <- 0, or v <- v - (vth << 6) where ``subtract`` is 1
    spike of value -1 where v < vth_lo << 6; there v <- 0
    for ``refractory`` steps after a spike v stays as it is; u goes on
    before all this, u <- 0 and v <- 0 where ``reset_interval`` > 0 and divides t - reset_offset

These are Lava's LIF, TernaryLIF and LIFReset. Lava has its refractory LIF in floating point alone, and no reset by
subtraction: for these the bundle brings a process of ours, Lava's LIF with what the lines above add.

A connection truncates its weights once, see :func:`neuromorphic.fixed_point_step.effective_weights`. A spike of step t
through a synapse with delay d acts in step t + 1 + d with weight times value; what arrives through one connection and
one delay is summed, then shifted by the exponent. Projections that learn on the chip change their weights after the
spikes of an epoch's last step: see :mod:`neuromorphic.learning`.

Sources: Davies et al. 2018, doi:10.1109/MM.2018.112130359; Lava 0.10.0 (``PyLifModelBitAcc``, ``Dense``, ``Sparse``,
``DelayDense`` and ``DelaySparse``; a value is the payload of ``num_message_bits`` > 0), against which the tests run it.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from kernels.errors import ModelError, ShapeError
from neuromorphic.fixed_point_step import EXCITATORY, INHIBITORY, MIXED, Program, advance, pack
from neuromorphic.learning import OnChipRule, Streams
from snn.units import whole

STATE_LIMIT = 2**23
MAX_DELAY = 62  # Lava takes 63, the hardware documentation says 62
NEVER = -(2**17)  # vth_lo << 6 then is below every v
NEURON_ARRAYS = (  # of an IntegerLIF
    "du", "dv", "bias_mant", "bias_exp", "vth", "u", "v", "subtract", "refractory", "vth_lo", "reset_interval",
    "reset_offset",
)  # fmt: skip
TOP = 2**31 - 1
CHUNK = 2**20  # most spikes between two visits of Python


def _whole(owner: str, value: Any, low: int, high: int, n: int) -> np.ndarray:
    """``value`` as int64 of shape (n,), each low..high."""
    array = np.asarray(value)
    if not array.size and array.shape == (n,):
        array = array.astype(np.int64)  # an empty list is float64
    if array.dtype.kind not in "iu" or array.shape not in ((), (n,)):
        raise ShapeError(f"{owner}: must be integers, one or {n}; got {array.dtype} of shape {array.shape}.")
    if array.size and (array.min() < low or array.max() > high):
        raise ModelError(f"{owner}: must be {low} to {high}; got {array.min()} to {array.max()}.")
    return np.broadcast_to(array.astype(np.int64), (n,)).copy()


@dataclass(eq=False)
class IntegerLIF:
    """``n`` neurons of Lava's ``LIF``. Every parameter is an integer or an array of shape (n,), without unit.

    Parameters
    ----------
    du, dv : decay of u and v, 0..4095 of 4096 a step (u decays by one more)
    bias_mant, bias_exp : bias = bias_mant << bias_exp; -4096..4095 and 0..7
    vth : threshold mantissa, 0..131071; the threshold is vth << 6
    u, v : state before the first step
    subtract : 1 where a spike takes the threshold from v, 0 where it sets v to 0
    refractory : steps after a spike for which v stands still, 0..63
    vth_lo : below vth_lo << 6 there is a spike of value -1; -131071..0, or NEVER
    reset_interval, reset_offset : u and v are set to 0 before step t where t - reset_offset is a multiple of
        reset_interval; interval 0: never. A refractory period goes on.
    """

    n: int
    du: Any = 4095
    dv: Any = 0
    bias_mant: Any = 0
    bias_exp: Any = 0
    vth: Any = 10
    u: Any = 0
    v: Any = 0
    subtract: Any = 0
    refractory: Any = 0
    vth_lo: Any = NEVER
    reset_interval: Any = 0
    reset_offset: Any = 0

    def __post_init__(self) -> None:
        whole("IntegerLIF.n", self.n)
        ranges = {
            "du": (0, 4095), "dv": (0, 4095), "bias_mant": (-4096, 4095), "bias_exp": (0, 7), "vth": (0, 2**17 - 1),
            "u": (1 - STATE_LIMIT, STATE_LIMIT), "v": (1 - STATE_LIMIT, STATE_LIMIT - 1), "subtract": (0, 1),
            "refractory": (0, 63), "vth_lo": (NEVER, 0), "reset_interval": (0, TOP), "reset_offset": (0, TOP),
        }  # fmt: skip
        for name, (low, high) in ranges.items():
            setattr(self, name, _whole(f"IntegerLIF.{name}", getattr(self, name), low, high, self.n))
        for name, other in (("refractory", self.refractory > 0), ("vth_lo", self.vth_lo > NEVER)):
            if np.any(other & (self.subtract == 1)):
                raise ModelError(
                    f"IntegerLIF.{name}: needs a reset to 0; got subtract = 1. Set subtract or {name} to its default."
                )

    @property
    def graded(self) -> bool:
        """Whether spikes may have a value other than 1."""
        return bool(np.any(self.vth_lo > NEVER))


@dataclass(eq=False)
class IntegerSource:
    """``n`` spike sources: source ``ids[k]`` spikes in step ``steps[k]`` >= 1 with value ``values[k]``, not 0."""

    n: int
    steps: Any
    ids: Any
    values: Any = 1

    def __post_init__(self) -> None:
        whole("IntegerSource.n", self.n)
        count = np.size(self.steps)
        self.steps = _whole("IntegerSource.steps", self.steps, 1, TOP, count)
        self.ids = _whole("IntegerSource.ids", self.ids, 0, self.n - 1, count)
        self.values = _whole("IntegerSource.values", self.values, 1 - STATE_LIMIT, STATE_LIMIT - 1, count)
        if not np.all(self.values):
            raise ModelError("IntegerSource.values: must not be 0, which is no spike; got 0. Leave the spike out.")
        order = np.lexsort((self.ids, self.steps))
        self.steps, self.ids, self.values = self.steps[order], self.ids[order], self.values[order]
        if np.any((np.diff(self.steps) == 0) & (np.diff(self.ids) == 0)):
            raise ModelError("IntegerSource.ids: a source spikes at most once a step; got the same (step, id) twice.")

    @property
    def graded(self) -> bool:
        """Whether spikes may have a value other than 1."""
        return bool(np.any(self.values != 1))


@dataclass(eq=False)
class IntegerProjection:
    """Synapses from ``source`` to ``target``, given by name.

    Parameters
    ----------
    source : a population or source, or several that follow each other, whose neurons are then counted through: parts
        of one population, whose weights are summed before the exponent shifts them
    sources, targets : arrays of shape (k,), the neurons joined; a pair at most once
    weights : mantissas, -256..255; truncated as :func:`neuromorphic.fixed_point_step.effective_weights` says
    delays : steps on top of the one that every connection takes, 0..62
    exponent : weights count 2^exponent times; -8..7
    bits : weight bits, 1..8
    sign_mode : MIXED (1), EXCITATORY (2) or INHIBITORY (3); 0 reads it from the weights, as Lava does
    learning : rule by which the weights change; then delays must be 0. Weights keep their sign unless MIXED
    third : what arrives is the third factor of the rules of projections to ``target``, and no input to its neurons
    """

    source: str | tuple[str, ...]
    target: str
    sources: Any
    targets: Any
    weights: Any
    delays: Any = 0
    exponent: int = 0
    bits: int = 8
    sign_mode: int = 0
    learning: OnChipRule | None = None
    third: bool = False

    def __post_init__(self) -> None:
        k, far = np.size(self.sources), TOP
        self.sources = _whole("IntegerProjection.sources", self.sources, 0, far, k)
        self.targets = _whole("IntegerProjection.targets", self.targets, 0, far, k)
        self.weights = _whole("IntegerProjection.weights", self.weights, -256, 255, k)
        self.delays = _whole("IntegerProjection.delays", self.delays, 0, MAX_DELAY, k)
        for name, low, high in (("exponent", -8, 7), ("bits", 1, 8), ("sign_mode", 0, 3)):
            _whole(f"IntegerProjection.{name}", getattr(self, name), low, high, 1)
        if not isinstance(self.third, (bool, np.bool_)):
            raise ModelError(f"IntegerProjection.third: must be True or False; got {self.third!r}.")
        if len(np.unique(self.sources << 31 | self.targets)) < k:
            raise ModelError("IntegerProjection.targets: a pair may be joined once; got a pair twice. Add the weights.")
        low, high = min(self.weights, default=0), max(self.weights, default=0)
        if self.sign_mode == 0:
            self.sign_mode = EXCITATORY if low >= 0 else INHIBITORY if high <= 0 else MIXED
        if self.learning is None:
            return
        if not isinstance(self.learning, OnChipRule) or self.third:
            raise ModelError(
                f"IntegerProjection.learning: must be an OnChipRule, with third=False; got {self.learning!r} "
                f"and {self.third}."
            )
        if np.any(self.delays):
            raise ModelError(f"IntegerProjection.delays: must be 0 where weights learn; got {self.delays.max()}.")
        if (low < 0 and self.sign_mode == EXCITATORY) or ((high > 0 or low < -255) and self.sign_mode == INHIBITORY):
            raise ModelError(
                f"IntegerProjection.weights: must be of the sign mode, {self.sign_mode}, where they learn; got {low} "
                f"to {high}."
            )

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the source, or of the several that it is made of."""
        return (self.source,) if isinstance(self.source, str) else tuple(self.source)


@dataclass
class IntegerResult:
    """What an integer network did.

    Attributes
    ----------
    steps, ids : by population, the spikes in order of step, then neuron; steps count from 1
    values : by population, what each spike carried: 1, or -1 below vth_lo
    u, v : by population, states after each step of the populations recorded, shape (steps, n); u, which wraps once a
        step and so has no bound, is int64, v int32
    wraps, clips : by population, how often u wrapped (hardware and Lava then differ) and v was clipped, shape (n,)
    learned : by learning projection, w, d and t of its synapses at the end, in their order, shape (3, synapses)
    updates : by learning projection, how often a synapse was computed anew at the end of an epoch
    total : steps run
    """

    steps: dict[str, np.ndarray]
    ids: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    u: dict[str, np.ndarray]
    v: dict[str, np.ndarray]
    wraps: dict[str, np.ndarray]
    clips: dict[str, np.ndarray]
    learned: dict[str, np.ndarray] = field(default_factory=dict)
    updates: dict[str, int] = field(default_factory=dict)
    total: int = 0


@dataclass(eq=False)
class IntegerNetwork:
    """Populations, sources and projections by name.

    Examples
    --------
    >>> from neuromorphic import IntegerLIF, IntegerNetwork, IntegerProjection, IntegerSource
    >>> net = IntegerNetwork(
    ...     {"out": IntegerLIF(1, vth=100)}, {"in": IntegerSource(1, [1, 5], [0, 0])},
    ...     {"in->out": IntegerProjection("in", "out", [0], [0], [60])})
    >>> net.run(8).steps["out"]
    array([6])
    """

    populations: dict[str, IntegerLIF]
    sources: dict[str, IntegerSource]
    projections: dict[str, IntegerProjection]

    def __post_init__(self) -> None:
        if not self.populations:
            raise ModelError("IntegerNetwork.populations: needs at least one; got none.")
        if both := set(self.populations) & set(self.sources):
            raise ModelError(
                f"IntegerNetwork.sources: must have names of their own; got {min(both)!r} twice. Rename it."
            )
        sizes, names = self.sizes, list(self.sizes)
        rules = [(p.target, p.learning.third_factor) for p in self.projections.values() if p.learning is not None]
        for name, p in self.projections.items():
            owner = f"IntegerNetwork.projections[{name!r}]"
            if not p.parts or not set(p.parts) <= set(names):
                raise ModelError(f"{owner}: source must be a population or source; got {p.source!r}.")
            at = names.index(p.parts[0])
            if p.parts != tuple(names[at : at + len(p.parts)]):
                raise ModelError(f"{owner}: its sources must follow each other in the network; got {p.source!r}.")
            if p.target not in self.populations:
                raise ModelError(f"{owner}: target must be a population; got {p.target!r}.")
            if p.third and (p.target, True) not in rules:
                raise ModelError(
                    f"{owner}.third: no projection to {p.target!r} has a three-factor rule. Give one such."
                )
            everyone: dict[str, Any] = {**self.populations, **self.sources}
            if p.learning is not None and any(everyone[part].graded for part in p.parts):
                raise ModelError(
                    f"{owner}.learning: needs sources whose spikes have the value 1; got {p.source!r}. "
                    "Leave learning out, or vth_lo and values."
                )
            n_source = sum(sizes[part] for part in p.parts)
            for which, ids, n in (("sources", p.sources, n_source), ("targets", p.targets, sizes[p.target])):
                if max(ids, default=0) >= n:
                    raise ModelError(f"{owner}.{which}: must be < {n}; got {ids.max()}.")

    @property
    def sizes(self) -> dict[str, int]:
        """Number of neurons of each population, then of each source."""
        return {**{k: p.n for k, p in self.populations.items()}, **{k: s.n for k, s in self.sources.items()}}

    @property
    def first(self) -> dict[str, int]:
        """Number of the first neuron of each population, then source, counted through."""
        return dict(zip(self.sizes, np.cumsum([0, *self.sizes.values()]).tolist(), strict=False))

    def run(self, steps: int, record: Iterable[str] = (), backend: str = "cpu") -> IntegerResult:
        """Run ``steps`` steps from the initial state.

        Parameters
        ----------
        steps : >= 1
        record : populations whose u and v are kept
        backend : "cpu", or "cuda": the same integers on an NVIDIA GPU (extra ``cuda``)

        Raises
        ------
        ModelError
            For wrong arguments.
        """
        steps = whole("IntegerNetwork.run.steps", steps)
        record = list(record)
        if unknown := set(record) - set(self.populations):
            raise ModelError(f"IntegerNetwork.run.record: must name populations; got {min(unknown)!r}.")
        if backend not in ("cpu", "cuda"):
            raise ModelError(f'IntegerNetwork.run.backend: must be "cpu" or "cuda"; got {backend!r}.')
        step: Callable[..., Any] = advance
        if backend == "cuda":
            from neuromorphic.fixed_point_cuda import advance as step
        arrays = pack(self)
        total = len(arrays.neurons.u)
        first = self.first
        us, vs = [np.empty((0, total), np.int64)], [np.empty((0, total), np.int32)]
        streams = [Streams(p.learning) for p in self.projections.values() if p.learning is not None]
        found: list[np.ndarray] = []
        at = 0
        chunk = max(1, CHUNK // total)
        for begin in range(1, steps + 1, chunk):
            count = min(chunk, steps + 1 - begin)
            spikes = np.empty((3, count * total), np.int64)
            u, v = (np.empty((count if record else 0, total), kind) for kind in (np.int64, np.int32))
            draws = np.array([s.next(count) for s in streams]).reshape(len(streams), count, 6)
            n, at = step(begin, count, at, *arrays, draws, spikes, u, v)
            found.append(spikes[:, :n].copy())
            us.append(u)
            vs.append(v)
        all_steps, all_ids, all_values = np.concatenate(found, axis=1)
        all_u, all_v = np.concatenate(us), np.concatenate(vs)

        def part(name: str) -> slice:
            return slice(first[name], first[name] + self.populations[name].n)

        mine = {k: (all_ids >= part(k).start) & (all_ids < part(k).stop) for k in self.populations}
        return IntegerResult(
            steps={k: all_steps[mine[k]] for k in mine},
            ids={k: all_ids[mine[k]] - first[k] for k in mine},
            values={k: all_values[mine[k]] for k in mine},
            u={k: all_u[:, part(k)] for k in record},
            v={k: all_v[:, part(k)] for k in record},
            wraps={k: arrays.neurons.wraps[part(k)] for k in mine},
            clips={k: arrays.neurons.clips[part(k)] for k in mine},
            learned=(learned := self._learned(arrays)),
            updates=dict(zip(learned, arrays.learners.updates.tolist(), strict=True)),
            total=steps,
        )

    def _learned(self, program: Program) -> dict[str, np.ndarray]:
        """w, d, t of learning projections; a program holds them by source, then target."""
        found, edge = {}, 0
        for name, p in self.projections.items():
            place, edge = np.lexsort((p.targets, p.sources)), edge + len(p.sources)
            if p.learning is not None:
                mine = slice(edge - len(place), edge)
                found[name] = np.empty((3, len(place)), np.int64)
                found[name][:, place] = program.links.weights[mine], program.learners.d[mine], program.learners.t[mine]
        return found
