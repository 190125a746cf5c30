"""The early-termination agent: accumulate outputs, map them to a score, stop where the score passes a bar."""

from __future__ import annotations

import math
import warnings
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from operator import is_
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels import decide as online
from kernels.decide import Rule
from kernels.errors import FormatError, ModelError, ShapeError
from snn.confidence import calibrate
from snn.confidence.certify import RISKS, Certificate
from snn.confidence.checks import as_bar, as_floor, as_trace, count, from_jsonable, jsonable, logit, number, one_of
from snn.confidence.evaluate import Loss, exits, labels_of, memory, readouts, surprise
from snn.confidence.learn import fit_gate, fit_scale, oct_bars, step_costs
from snn.confidence.stream import REASONS, Stream
from snn.confidence.trace import Trace, different

READOUTS = {"sum": online.SUM, "mean": online.MEAN, "ema": online.EMA, "window": online.WINDOW}
SCORES = {
    "margin": online.MARGIN, "maxprob": online.MAXPROB, "entropy": online.ENTROPY, "patience": online.PATIENCE,
    "llr": online.LLR, "gate": online.GATE, "setsize": online.SETSIZE, "lossless": online.LOSSLESS,
}  # fmt: skip
TARGETS = ("stability", "correct", "cost", "oct")
METHODS = ("ltt", "crc", "ucb", "conditional-ltt")
MOST_STEPS = 10**8  # of a run: agents have numbers for each
N_BARS = 200  # of the walk of a certificate
_STATE = ("bar", "low", "scales", "gate", "hope", "levels")  # what fit, certify and for_budget set


@dataclass(eq=False, slots=True)
class Decisions:
    """Where each sample stopped: ``steps`` (1 .. T), ``labels``, ``reasons`` (numbers of `REASONS`), each (N,).

    ``times``: ms, of :class:`snn.EventClassifier`.
    """

    steps: NDArray[np.int64]
    labels: NDArray[np.int64]
    reasons: NDArray[np.int64]
    spikes: NDArray[np.int64] | None = None
    synops: NDArray[np.int64] | None = None
    times: NDArray[np.float64] | None = None

    def count(self, reason: str) -> int:
        """Samples stopped for "confident", "hopeless", "budget" or "cap"."""
        return int(np.sum(self.reasons == REASONS.index(reason)))


class EarlyExit:
    """When to stop an inference, as a pure function of the outputs so far. Every published agent is a preset of it.

    Equations
    ---------
    S_t = sum of outputs of steps 1 .. t; r_t the readout; p = softmax(r_t / scale); k the largest of r_t, its label.

    ========= =============================================== ==========================================
    readout   r_t
    ========= =============================================== ==========================================
    sum       S_t
    mean      S_t / t                                          worse than no agent at all: see the docs
    ema       e_t = exp(-1 / span) e_(t-1) + o_t
    window    S_t - S_(t - span)
    ========= =============================================== ==========================================

    ========= ======================================================================================
    score     value; the sample stops where it is > bar
    ========= ======================================================================================
    margin    (r_k - largest other) / scale
    maxprob   p_k
    entropy   1 + sum p log p / log C
    patience  steps for which k has not changed
    llr       log p_k / (1 - p_k); for two classes the log likelihood ratio, where r / scale are log likelihoods
    gate      log odds, learned, of ``target``; with target "cost" the hazard of leaving now (bar 0.5)
    setsize   -(number of classes with -log p <= q_t), q_t from `certify`
    lossless  least lead of k that can be left at step T: min_j r_k - r_j + (T - t) floor[k, j]
    ========= ======================================================================================

    Parameters
    ----------
    score, readout : str
    bar : float, (T,) array or None
        None: set by :meth:`certify` or :meth:`for_budget`. Infinite: never.
    scale : None, float > 0, "auto" or "per-step"
        "auto": least negative log-likelihood of the labels at step T, "per-step": at every step, both by :meth:`fit`.
        None: 1; for a gate, least negative log-likelihood of the decision at T over all steps, which needs no labels.
    t_min, check_every : int
        Asked at steps t >= t_min that are multiples of check_every.
    max_steps : int, optional
        Stop here at the latest, with reason "budget".
    give_up : (t, p), optional
        At steps >= t stop, with reason "hopeless", where P(right at T) as learned by :meth:`fit` is below p;
        :meth:`certify` chooses another bound for it, at most p.
    span : float, optional
        Of "ema" and "window", steps.
    target : str
        What :meth:`fit` learns: of a gate "stability" (the decision is that of step T; no labels), "correct" (it is
        right) or "cost" (cross-entropy + ``cost`` t / T is least now or before); of other scores "oct" sets one bar a
        step: the least above which a share >= 1 - ``tolerance`` of the samples stays right from there on.
    floor : (C, C) array
        Of "lossless": least change of r_k - r_j a step; see `Lossless`.
    name : str, optional
        For tables.

    Examples
    --------
    >>> from snn.confidence import EarlyExit
    >>> stream = EarlyExit("margin", bar=2.0).stream(n_classes=3, t_max=10)
    >>> [stream.update(o) for o in ([1.0, 0.0, 0.0], [0.0, 0.5, 0.0], [2.0, 0.0, 0.0])], stream.label
    ([False, False, True], 0)
    """

    def __init__(
        self,
        score: str = "margin",
        *,
        bar: float | ArrayLike | None = None,
        readout: str = "sum",
        scale: float | str | None = None,
        t_min: int = 1,
        check_every: int = 1,
        max_steps: int | None = None,
        give_up: tuple[int, float] | None = None,
        span: float | None = None,
        target: str = "stability",
        cost: float = 0.7,
        tolerance: float = 0.0,
        floor: ArrayLike | None = None,
        name: str | None = None,
    ) -> None:
        self._arguments = {
            "score": score, "bar": bar, "readout": readout, "scale": scale, "t_min": t_min, "check_every": check_every,
            "max_steps": max_steps, "give_up": give_up, "span": span, "target": target, "cost": cost,
            "tolerance": tolerance, "floor": floor, "name": name,
        }  # fmt: skip
        self.score, self.readout = one_of("score", score, SCORES), one_of("readout", readout, READOUTS)
        self.target = one_of("target", target, TARGETS)
        if isinstance(scale, str):
            one_of("scale", scale, ("auto", "per-step"))
        elif scale is not None:
            number("scale", scale, 0.0, math.inf, strict=True)
        self.scale = scale
        self.t_min, self.check_every = count("t_min", t_min), count("check_every", check_every)
        self.max_steps = None if max_steps is None else count("max_steps", max_steps)
        self.cost, self.tolerance = number("cost", cost, 0.0), number("tolerance", tolerance, 0.0, 1.0)
        if (readout in ("ema", "window")) != (span is not None):
            raise ModelError(
                f'EarlyExit.span: belongs to the readouts "ema" and "window"; got {span!r} with "{readout}".'
            )
        if readout == "window" and span != int(number("span", span, 1.0)):
            raise ModelError(f"EarlyExit.span: of a window must be whole steps; got {span!r}.")
        self.span = None if span is None else number("span", span, 0.0, strict=True)
        self.give_up: tuple[int, float] | None = None
        if give_up is not None:
            if not isinstance(give_up, (tuple, list)) or len(give_up) != 2:
                raise ModelError(f"EarlyExit.give_up: must be (step, probability); got {give_up!r}.")
            self.give_up = count("give_up[0]", give_up[0]), number("give_up[1]", give_up[1], 0.0, 1.0, strict=True)
        if (score == "lossless") != (floor is not None):
            raise ModelError('EarlyExit.floor: belongs to the score "lossless", and is needed there. See Lossless.')
        self.floor = None if floor is None else as_floor(floor)
        self.given_bar = as_bar(bar)
        self.bar = self.given_bar  # in use
        self.low = self.given_low  # in use; certify may switch it off, which hides nothing from follow
        self.name = name or score
        self.certificate: Certificate | None = None
        self.fingerprint: dict[str, Any] | None = None  # of the traces that it was fitted on
        self.n_classes: int | None = None  # of these traces
        self.scales: NDArray[np.float64] | None = None  # (T,) fitted
        self.gate: NDArray[np.float64] | None = None
        self.hope: NDArray[np.float64] | None = None
        self.levels: NDArray[np.float64] | None = None  # (T,) of sets
        self._grid: NDArray[np.float64] | None = None  # bars of the walk, falling
        self._made: tuple[tuple[int, int, int], tuple[Any, ...], Rule] | None = None  # see rule
        self._sealed = False  # whether it came from a file, without the names of the samples that it has seen
        self._fit: Trace | None = None  # kept for the walk over pairs of bars
        self._used = {"fit": np.empty(0, np.int64), "certify": np.empty(0, np.int64)}

    def __repr__(self) -> str:
        return f"EarlyExit({self.name}, bar={self.bar if self.bar is None else np.round(self.bar, 4)})"

    @property
    def given_low(self) -> float | None:
        """Log odds of ``give_up``."""
        return None if self.give_up is None else logit(self.give_up[1])

    # ------------------------------------------------------------------------------------------------ the rule

    def rule(self, t_max: int, n_classes: int, first_step: int = 1) -> Rule:
        """Numbers that the compiled `kernels.decide.decide` needs, for runs of ``t_max`` steps, ``n_classes`` outputs.

        Parameters
        ----------
        first_step : int
            No earlier step is asked (the depth of a pipelined network).

        Raises
        ------
        ModelError, ShapeError
            Where bar or what `fit` learns is not set, or belongs to other numbers of steps or classes.
        """
        # kept, because making it anew would take a large part of a single short inference
        made_of = (self.bar, self.low, self.scales, self.gate, self.hope, self.levels, self.fingerprint)
        size = (t_max, n_classes, first_step)
        if self._made is None or size != self._made[0] or not all(map(is_, made_of, self._made[1])):
            self._ready()
            if self.bar is None:
                raise ModelError("EarlyExit.bar: is not set. Call certify or for_budget, or give a bar.")
            self._made = size, made_of, self._rule(t_max, n_classes, first_step, self.bar, self.low)
        return self._made[2]

    def _rule(
        self, t_max: int, n_classes: int, first_step: int, bar: float | NDArray[np.float64], least: float | None
    ) -> Rule:
        """``least``: the log odds below which to give up, None: never."""
        self._ready()
        if self.fingerprint is not None and self.fingerprint["t_max"] != t_max:
            raise ModelError(
                f"EarlyExit: was fitted on runs of {self.fingerprint['t_max']} steps; got {t_max}. Fit it anew."
            )
        if self.n_classes not in (None, n_classes):
            raise ShapeError(f"EarlyExit: was fitted on {self.n_classes} classes; got {n_classes}. Fit it anew.")
        if t_max > MOST_STEPS:
            raise ModelError(f"EarlyExit: runs have at most {MOST_STEPS:,} steps; got {t_max}.")
        bar = np.asarray(bar, np.float64)
        if bar.ndim and bar.shape != (t_max,):
            raise ShapeError(f"EarlyExit.bar: must be a number or one a step, ({t_max},); got {bar.shape}.")
        scales = self.scales
        if scales is None:
            scales = np.full(t_max, 1.0 if self.scale is None else float(self.scale))
        if self.floor is not None and len(self.floor) != n_classes:
            raise ShapeError(f"EarlyExit.floor: must be ({n_classes}, {n_classes}); got {self.floor.shape}.")
        t = np.arange(1, t_max + 1)
        asked = (t >= max(self.t_min, first_step)) & (t % self.check_every == 0)
        low = np.full(t_max, -np.inf)
        if self.give_up is not None and least is not None:
            low[t >= max(self.give_up[0], first_step)] = least
        none = np.zeros(online.N_FEATURES + 1)
        weights = self.floor if self.floor is not None else np.atleast_2d(none if self.gate is None else self.gate)
        kind = SCORES[self.score]
        if self.score == "gate" and self.target == "cost":
            kind = online.HAZARD
        span = self.span or 0.0
        span = math.exp(-1.0 / span) if self.readout == "ema" else span
        return Rule(
            READOUTS[self.readout], span, kind, np.where(asked, bar, np.inf), scales,
            np.full(t_max, np.inf) if self.levels is None else self.levels, np.ascontiguousarray(weights), low,
            none if self.hope is None else self.hope, t_max if self.max_steps is None else min(self.max_steps, t_max),
        )  # fmt: skip

    def _ready(self) -> None:
        missing = isinstance(self.scale, str) and self.scales is None
        missing |= self.score == "gate" and self.gate is None
        missing |= self.give_up is not None and self.hope is None
        missing |= self.target == "oct" and self.bar is None
        if missing:
            raise ModelError(f"EarlyExit: {self.name!r} learns from data and has seen none. Call fit.")
        if self.score == "setsize" and self.levels is None:
            raise ModelError('EarlyExit: sets need levels. Call certify(trace, risk="miscoverage").')

    def _known(self, trace: Trace) -> None:
        as_trace("EarlyExit.trace", trace)
        if self.fingerprint is not None and (what := different(self.fingerprint, trace.fingerprint)):
            raise ModelError(
                f"EarlyExit: the trace is not of the network or setting that the agent was fitted on: {what}. "
                "Record it with the same, or fit and certify anew."
            )

    def decide(self, trace: Trace) -> Decisions:
        """Stop every sample of a trace where a running network would."""
        self._known(trace)
        rule = self.rule(trace.t_max, trace.n_classes, trace.first_step)
        steps, labels, reasons = (np.zeros(trace.n, np.int64) for _ in range(3))
        online.decide_all(rule, memory(rule, trace), trace.outputs, steps, labels, reasons)
        spent = (None if c is None else c[steps - 1, np.arange(trace.n)] for c in (trace.spikes, trace.synops))
        return Decisions(steps, labels, reasons, *spent)

    def follow(self, trace: Trace) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
        """Scores, labels and log odds of the second gate at every step, each (T, N); no sample stops. Needs no bar.

        Scores are -infinite and log odds infinite where the agent is not asked.
        """
        self._known(trace)
        rule = self._rule(trace.t_max, trace.n_classes, trace.first_step, -math.inf, self.given_low)
        shape = trace.outputs.shape[:2]
        scores, labels, hopes = np.empty(shape), np.empty(shape, np.int64), np.empty(shape)
        online.look_all(rule, memory(rule, trace), trace.outputs, scores, labels, hopes)
        return scores, labels, hopes

    def integer_bar(self) -> int:
        """The bar for outputs that are integers: stop where the gap is > it, at the same steps as with the float.

        Raises
        ------
        ModelError
            Where the score is not the gap of sums, undivided, or the bar is infinite or one a step.
        """
        plain = self.score == "margin" and self.readout == "sum" and self.scale is None and self.scales is None
        if not plain or not isinstance(self.bar, float) or not math.isfinite(self.bar):
            raise ModelError(
                'EarlyExit.integer_bar: needs the score "margin" of the readout "sum" without scale, one finite bar; '
                f"got {self!r}."
            )
        return math.floor(self.bar)

    @property
    def movable(self) -> bool:
        """Whether moving one bar trades accuracy for steps."""
        fixed = isinstance(self.given_bar, np.ndarray) or self.score in ("setsize", "lossless")
        return not fixed and not (self.max_steps is not None and self.given_bar == math.inf)

    def saw(self, trace: Trace) -> bool:
        """Whether samples of the trace served :meth:`fit` or :meth:`certify`."""
        as_trace("EarlyExit.trace", trace)
        return any(np.isin(trace.ids, ids).any() for ids in self._used.values())

    def confidence(self, trace: Trace) -> NDArray[np.float64] | None:
        """Largest softmax of readout / scale at every step, (T, N); None where the agent has no scale."""
        self._known(trace)
        if self.scales is None and self.scale is None:
            return None
        rule = self._rule(trace.t_max, trace.n_classes, trace.first_step, -math.inf, None)
        z = readouts(rule, trace)[0] / rule.scales[:, None, None]
        return np.asarray(np.exp(-surprise(z).min(axis=2)))

    def stream(self, n_classes: int, t_max: int, first_step: int = 1) -> Stream:
        """A running inference whose outputs come step by step; arguments as of :meth:`rule`."""
        return Stream(self, n_classes, t_max, first_step)

    def sets(self, trace: Trace) -> NDArray[np.bool_]:
        """Sets of classes at the stop, (N, C), True where a class is in the set.

        Raises
        ------
        ModelError
            Where the score is not "setsize".
        """
        if self.score != "setsize":
            raise ModelError(f'EarlyExit.sets: belongs to the score "setsize"; got "{self.score}".')
        done = self.decide(trace)
        rule = self.rule(trace.t_max, trace.n_classes, trace.first_step)
        z = readouts(rule, trace)[0][done.steps - 1, np.arange(trace.n)] / rule.scales[done.steps - 1, None]
        return np.asarray(surprise(z) <= rule.levels[done.steps - 1, None])

    def to_dict(self) -> dict[str, Any]:
        """Everything that :meth:`decide` and :meth:`stream` need, for JSON; see :meth:`from_dict`."""
        out: dict[str, Any] = {"arguments": dict(self._arguments), "fingerprint": self.fingerprint}
        out["n_classes"] = self.n_classes
        for name in _STATE:
            out[name] = getattr(self, name)
        return dict(jsonable(out))

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> EarlyExit:
        """The agent that :meth:`to_dict` described; it decides as that one, and cannot be fitted or certified again.

        Raises
        ------
        FormatError
            Where the document is none of :meth:`to_dict`.
        """
        try:
            given = from_jsonable(dict(document))
            agent = cls(**given["arguments"])
            for name in _STATE:
                value = given[name]
                setattr(agent, name, np.array(value, np.float64) if isinstance(value, list) else value)
            agent.fingerprint, agent.n_classes = given["fingerprint"], given.get("n_classes")
        except (KeyError, TypeError, ValueError) as error:
            raise FormatError(f"EarlyExit.from_dict: is no agent as to_dict describes it: {error!r}.") from None
        agent._sealed = True
        return agent

    # ------------------------------------------------------------------------------------------------ fitting

    def fit(self, trace: Trace) -> EarlyExit:
        """Learn scale, gates and the order of bars that `certify` walks, from data of their own.

        Raises
        ------
        ModelError
            Where labels are needed and missing, all outputs are zero, or the data served a certificate.
        """
        as_trace("EarlyExit.fit.trace", trace)
        if self._sealed:
            raise ModelError("EarlyExit.fit: the agent came from a document. Make a new agent.")
        if self._used["certify"].size:
            raise ModelError(
                "EarlyExit.fit: the agent has a certificate, which new numbers would void. Make a new agent."
            )
        self.fingerprint = self.n_classes = None
        if not trace.outputs.any():
            raise ModelError("EarlyExit.fit: all outputs of the trace are zero: the network is silent. Drive it.")
        base = EarlyExit(readout=self.readout, span=self.span, bar=math.inf)
        rule = base.rule(trace.t_max, trace.n_classes)
        r, _ = readouts(rule, trace)
        final = r[-1].argmax(axis=1)
        if self.scale == "auto":
            y = self._labels(trace)
            self.scales = np.full(trace.t_max, fit_scale(r[-1], y))
        elif self.scale == "per-step":
            y = self._labels(trace)
            self.scales = np.array([fit_scale(z, y) for z in r])
        elif self.scale is None and (self.score == "gate" or self.give_up is not None):
            scale = fit_scale(r.reshape(-1, trace.n_classes), np.tile(final, trace.t_max))
            self.scales = np.full(trace.t_max, scale)
        if self.score == "gate" or self.give_up is not None:
            scales = self.scales if self.scales is not None else np.full(trace.t_max, float(self.scale or 1.0))
            _, x = readouts(rule._replace(scales=scales), trace)
            begin = trace.first_step - 1
            if self.score == "gate":
                self.gate = fit_gate(
                    x[begin:], self._goal(trace, r, final, scales)[begin:], balanced=self.target == "cost"
                )
            if self.give_up is not None:
                right = np.broadcast_to(final == self._labels(trace), r.shape[:2])
                begin = min(max(begin, self.give_up[0] - 1), trace.t_max - 1)
                self.hope = fit_gate(x[begin:], right[begin:])
        if self.target == "oct" and self.score != "gate":
            self.bar = math.inf
            scores, labels, _ = self.follow(trace)
            self.bar = self.given_bar = oct_bars(scores, labels == self._labels(trace), self.tolerance)
        if self.given_bar is None:
            self.bar = None
        if self.score != "setsize":
            self._grid = self._quantiles(self.follow(trace)[0])
        self.fingerprint, self.n_classes = trace.fingerprint, trace.n_classes
        self._used["fit"] = trace.ids
        self._fit = trace if self.give_up is not None else None
        return self

    def _goal(
        self, trace: Trace, r: NDArray[np.float64], final: NDArray[np.int64], scales: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """What a gate shall say at every step, (T, N)."""
        if self.target == "stability":
            return np.asarray(r.argmax(axis=2) == final)
        if self.target == "correct":
            return np.asarray(r.argmax(axis=2) == self._labels(trace))
        if self.target == "cost":
            costs = step_costs(r / scales[:, None, None], self._labels(trace), self.cost)
            return np.asarray(np.arange(trace.t_max)[:, None] >= costs.argmin(axis=0))
        raise ModelError('EarlyExit.target: of a gate must be "stability", "correct" or "cost"; got "oct".')

    def _labels(self, trace: Trace) -> NDArray[np.int64]:
        return labels_of(trace, f"EarlyExit.fit of {self.name!r}")

    def _quantiles(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        values = scores[np.isfinite(scores)]
        if not values.size:
            return np.array([np.inf])
        return np.concatenate(
            [[np.inf], np.unique(np.quantile(values, np.linspace(0.0, 1.0, N_BARS), method="lower"))[::-1]]
        )

    # ---------------------------------------------------------------------------------------------- certifying

    def certify(
        self,
        trace: Trace,
        risk: str | Loss = "disagreement",
        eps: float = 0.02,
        delta: float = 0.1,
        method: str = "ltt",
    ) -> Certificate:
        """Set the bar so that a risk is bounded with finite samples, and say so; too few samples mean never early.

        Parameters
        ----------
        trace : Trace
            Samples drawn as those that will come, independently, each once (no id twice), none of them seen by
            :meth:`fit` or by an earlier certificate.
        risk : str or function
            "disagreement": the decision is not that of step T (no labels); "accuracy_gap": step T is right and the
            decision is not; "error": the decision is wrong; "miscoverage": the set misses the class (of "setsize"). A
            function (trace, labels (T, N) of every step) -> losses (T, N) in [0, 1] of stopping there. Giving up is no
            decision: it loses always, of "accuracy_gap" where step T is right.
        eps : bound of the risk, > 0 and < 1
        delta : chance that the calibration samples mislead, > 0 and < 1; no part of "crc" and of sets
        method : "ltt", "crc", "ucb" or "conditional-ltt"; see `snn.confidence.certify`

        Raises
        ------
        ModelError
            For data used before, samples that repeat, other networks or settings than in `fit`, missing labels.
        """
        eps, delta = (number(f"certify.{k}", v, 0.0, 1.0, strict=True) for k, v in (("eps", eps), ("delta", delta)))
        one_of("certify.method", method, METHODS)
        if not callable(risk):
            one_of("certify.risk", risk, [k for k in RISKS if k != "custom"])
        if (self.score == "setsize") != (risk == "miscoverage"):
            raise ModelError('EarlyExit.certify.risk: "miscoverage" belongs to the score "setsize", and that to it.')
        if self._sealed:
            raise ModelError(
                "EarlyExit.certify: the agent came from a document, which does not say what data it has seen."
            )
        self._known(trace)
        if repeated := trace.n - np.unique(trace.ids).size:
            raise ModelError(
                f"EarlyExit.certify.trace: {repeated} of {trace.n} samples repeat others (equal ids), and a "
                "guarantee counts samples as independent. Take each once, trace.take(np.unique(trace.ids, "
                "return_index=True)[1]); samples that were drawn independently and happen to be equal need ids of "
                "their own."
            )
        for use, ids in self._used.items():
            again = np.intersect1d(trace.ids, ids).size
            if again:
                why = "fit" if use == "fit" else "an earlier certificate"
                raise ModelError(
                    f"EarlyExit.certify.trace: {again} of {trace.n} samples were used by {why}; a guarantee needs "
                    "samples that nothing was chosen by. Split the trace first."
                )
        if self.score == "setsize":
            out = calibrate.sets(self, trace, eps)
        else:
            out = calibrate.bars(self, self._grid, self._fit, trace, risk, eps, delta, method)
        self._used["certify"] = np.concatenate([self._used["certify"], trace.ids])
        self.fingerprint, self.n_classes, self.certificate = trace.fingerprint, trace.n_classes, out
        if not out.ok:
            warnings.warn(f"EarlyExit.certify: {out.statement()}", stacklevel=2)
        return out

    def for_budget(
        self, trace: Trace, *, mean_steps: float | None = None, spikes: float | None = None, synops: float | None = None
    ) -> EarlyExit:
        """Set the highest bar whose mean cost on the trace is within the budget. For a guarantee: :meth:`certify`.

        Parameters
        ----------
        mean_steps, spikes, synops : float
            One of them: mean steps, spikes or synaptic operations of a sample.

        Raises
        ------
        ModelError
            Where the budget cannot be met by any bar.
        """
        given = {k: v for k, v in (("mean_steps", mean_steps), ("spikes", spikes), ("synops", synops)) if v is not None}
        if len(given) != 1:
            raise ModelError(
                f"EarlyExit.for_budget: give one of mean_steps, spikes, synops; got {', '.join(given) or 'none'}."
            )
        (unit, budget) = next(iter(given.items()))
        budget = number(f"for_budget.{unit}", budget, 0.0, strict=True)
        if self.given_bar is not None or self.score == "setsize":
            raise ModelError(f"EarlyExit.for_budget: {self.name!r} has a bar of its own, and nothing to move.")
        self._known(trace)
        counts = np.arange(1, trace.t_max + 1)[:, None] * np.ones((1, trace.n))
        if unit != "mean_steps":
            known = trace.spikes if unit == "spikes" else trace.synops
            if known is None:
                raise ModelError(
                    f"EarlyExit.for_budget.{unit}: the trace has no {unit}. Record them, or give mean_steps."
                )
            counts = known.astype(np.float64)
        scores, _, hopes = self.follow(trace)
        low = self.given_low

        def cost(bar: np.float64) -> float:
            steps, _ = exits(scores, hopes, [bar], [low], self.max_steps)
            return float(counts[steps[0] - 1, np.arange(trace.n)].mean())

        # all bars that differ in what they stop: the scores, infinity, and one that stops at the first step asked
        bars = np.append(np.unique(scores[scores > -np.inf]), np.inf)
        bars = np.append(np.nextafter(bars[0], -np.inf), bars)
        if (least := cost(bars[0])) > budget:
            raise ModelError(f"EarlyExit.for_budget.{unit}: no bar gets below {least:g}; got {budget:g}.")
        # a higher bar never costs less
        self.bar = float(bars[bisect_right(bars, budget, key=cost) - 1])
        self.low, self.certificate = low, None
        return self


def as_agent(owner: str, value: Any) -> EarlyExit:
    """An agent, and nothing else."""
    if not isinstance(value, EarlyExit):
        raise ModelError(f"{owner}: must be an EarlyExit or a preset; got {type(value).__name__} {value!r:.80}.")
    return value
