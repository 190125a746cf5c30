"""A spiking reservoir that learns which event follows a cue, how probable it is, and when it comes."""

import os
import warnings
from typing import Any, NamedTuple

import numpy as np

import snn
from kernels import codegen
from kernels.cpu import what_when as loops
from kernels.cpu.force import RANK
from kernels.cpu.record import GROUP
from kernels.errors import ModelError, ShapeError
from kernels.layout import padded, zeros
from reservoir import saved
from reservoir.checks import flag
from reservoir.meet import MEET
from reservoir.spiking import SATURATED, SILENT
from snn.compile import compile_network
from snn.units import bounded, real, whole

SEEN = 200  # ms from the begin of the cue, over which the "what" readout averages
WINDOW = 3.0  # sigma: half the window of the gate


class Prediction(NamedTuple):
    """What is expected after a cue."""

    what: np.ndarray  # (n_channels,) probability of each event
    when: np.ndarray  # (T, n_channels) when it comes, if it does: 1 at its peak
    joint: np.ndarray  # (T, n_channels) what * max(0, when)


class WhatWhen:
    """Reservoir of Izhikevich neurons with two readouts: which event follows a cue, and when.

    Equations
    ---------
    Traces r_i: +1 at each spike of neuron i, decay with tau_trace; m: their slow mean (tau_mean, while it learns);
    x = r - m. When: y_k = w_k x; while it learns, in each ms
        w_k += rate_when G_k(t) (y*_k(t) - y_k) x / (|x|^2 + 1),
    y* = :meth:`MEET.timing`: presynaptic activity, error of timing, and a gate of attention
        G_k = (event k comes in this trial) (gate_floor + (1 - gate_floor) (within 3 sigma of its latency)), 0 before
    the cue. What: s = mean of r over 200 ms from the begin of the cue, p_k = v_k s; at the end of a trial
        v_k += max(rate_what, 1 / trials) ((event k came) - p_k) s / |s|^2,
    a relative frequency at first, which then forgets.
    Prediction: p_k max(0, y_k). Current into the neurons: recurrent (decays with tau_syn) + cue + noise
    + sum_k encoders_k y_k, encoders uniform in (-feedback, feedback).

    ``rule="rls"``: recursive least squares for the "when" readout (as in FORCE), weighted by the gate:
    w_k += (y*_k - y_k) P_k x G_k / (forgetting + G_k x P_k x), P_k = I / alpha at first. ``merged``: one readout, which
    gets the events themselves (y*_k, or 0 where k did not come) in all channels of all trials; it predicts max(0, y_k).

    Numerics
    --------
    Steps of 1 ms: :class:`snn.Izhikevich` in the published scheme (two half steps of v, then u_m). One thread, float64,
    one order of sums; results depend on the seed alone. The closed loop is compiled.

    Parameters
    ----------
    n, n_channels : numbers of neurons (80 % excitatory) and of events
    gain : of the recurrent weights |N(1, 0.5)| gain / sqrt(density n), times -``inhibition`` where the source is
        inhibitory (Dale's law);  density : share of pairs that are connected
    delay : shortest and longest delay, [ms], whole, >= 1; uniform between them
    bias, bias_sd : constant current, N(bias, bias_sd);  cue_scale : SD of the cue's current, into a random half
    tau_syn, tau_trace, tau_mean : [ms];  feedback, gate_floor (0 to 1), rule, merged, forgetting (0 to 1), alpha: above
    rate_when, rate_what : step sizes, > 0 and < 2
    noise : SD of a current that is drawn in each ms for each neuron
    jitter : SD of the initial potentials from trial to trial, [mV]
    restart : each trial begins with the same state (but for ``jitter``); else with that in which the last one ended
    seed : fixes the network and the noise

    Attributes
    ----------
    when, what : weights, (n_channels, n);  trials : learned so far;  rate : of the neurons in the last call, [Hz]

    Raises
    ------
    ModelError, ShapeError
        Where a number is out of bounds, or block and events do not fit.

    Warns
    -----
    RuntimeWarning
        Where neurons fire at less than 0.1 Hz or more than 200 Hz, with the rate and what to change.

    References
    ----------
    Yamada & Chao 2026, doi:10.1038/s42003-026-10836-2; Izhikevich 2003, doi:10.1109/TNN.2003.820440. Constants are
    chosen here: docs/what_when.md.

    Examples
    --------
    >>> import reservoir
    >>> block = reservoir.MEET(latencies=(200, 400), duration=600)
    >>> net = reservoir.WhatWhen(200, seed=1).fit(block, block.events(20, seed=1))
    >>> net.predict(block).joint.shape
    (600, 2)
    """

    def __init__(
        self, n: int = 1000, n_channels: int = 2, gain: float = 5.0, density: float = 0.1, inhibition: float = 5.0,
        delay: tuple[int, int] = (1, 300), bias: float = 2.0, bias_sd: float = 1.0, cue_scale: float = 20.0,
        tau_syn: float = 10.0, tau_trace: float = 40.0, tau_mean: float = 5000.0, rate_when: float = 0.05,
        rate_what: float = 0.02, gate_floor: float = 1.0, feedback: float = 0.0, rule: str = "three_factor",
        merged: bool = False, forgetting: float = 1.0, alpha: float = 1.0, noise: float = 0.0, jitter: float = 0.0,
        restart: bool = True, seed: int = 0,
    ) -> None:  # fmt: skip
        for name, count, least in (("n", n, 10), ("n_channels", n_channels, 1), ("seed", seed, 0)):
            whole(f"WhatWhen.{name}", count, least)
        for name, value, high in (
            ("gain", gain, np.inf), ("inhibition", inhibition, np.inf), ("bias_sd", bias_sd, np.inf),
            ("cue_scale", cue_scale, np.inf), ("feedback", feedback, np.inf), ("noise", noise, np.inf),
            ("jitter", jitter, np.inf), ("gate_floor", gate_floor, 1.0),
        ):  # fmt: skip
            bounded(f"WhatWhen.{name}", value, 0.0, high)
        for name, value, high in (
            ("density", density, 1.0), ("tau_syn", tau_syn, np.inf), ("tau_trace", tau_trace, np.inf),
            ("tau_mean", tau_mean, np.inf), ("forgetting", forgetting, 1.0), ("alpha", alpha, np.inf),
        ):  # fmt: skip
            bounded(f"WhatWhen.{name}", value, 0.0, high, open_low=True)
        for name, value in (("rate_when", rate_when), ("rate_what", rate_what)):
            bounded(f"WhatWhen.{name}", value, 0.0, 2.0, open_low=True, open_high=True)
        bias, merged = bounded("WhatWhen.bias", bias, -np.inf), flag("WhatWhen.merged", merged)
        restart = flag("WhatWhen.restart", restart)
        if not isinstance(rule, str) or rule not in ("three_factor", "rls"):
            raise ModelError(f'WhatWhen.rule: must be "three_factor" or "rls"; got {rule!r}.')
        shortest, longest = _delays(delay)
        self.n, self.n_channels = int(n), int(n_channels)
        self.gate_floor, self.rate_what, self.merged = float(gate_floor), float(rate_what), merged
        self.noise, self.jitter, self.restart, self.seed = float(noise), float(jitter), restart, int(seed)
        self.rule, self.alpha = rule, float(alpha)
        self._step = loops.Step(
            float(np.exp(-1.0 / tau_syn)), float(np.exp(-1.0 / tau_trace)), float(-np.expm1(-1.0 / tau_mean)),
            float(rate_when), float(forgetting),
        )  # fmt: skip
        rng = np.random.default_rng(seed)
        model, init = _neurons(self.n, float(bias), float(bias_sd), rng)
        net = snn.Network(seed=seed)
        neurons = net.population("neurons", self.n, model, init=init)
        net.input("current", neurons, snn.StepCurrent([0.0], [0.0]))  # so that the compiled neurons take one
        compiled = compile_network(net, 1.0, "float64", threads=1)
        self._variant, self._constants = compiled.variants[0], compiled.constants
        self._initial = (compiled.state.f, compiled.state.i)

        columns = [np.flatnonzero(rng.random(self.n) < density) for _ in range(self.n)]
        columns = [c[c != k] for k, c in enumerate(columns)]
        first = np.cumsum([0, *(c.size for c in columns)])
        weights = np.abs(rng.normal(1.0, 0.5, first[-1])) * gain / np.sqrt(density * self.n)
        weights[first[_excitatory(self.n)] :] *= -inhibition
        self._fixed: dict[str, np.ndarray] = {
            "first": first.astype(np.int64),
            "targets": np.concatenate(columns).astype(np.int32),
            "weights": weights,
            "delays": rng.integers(shortest, longest + 1, first[-1]).astype(np.int32),
            "encoders": rng.uniform(-feedback, feedback, (self.n_channels, self.n)),
            "w_cue": rng.normal(0.0, cue_scale, self.n) * (rng.permutation(self.n) < self.n // 2),
        }
        self.reset()

    def reset(self) -> None:
        """Forget what was learned, and return to the initial state."""
        n, k = self.n, self.n_channels
        floats, integers = self._shapes()
        changing = {name: np.zeros(shape) for name, shape in floats.items()}
        changing |= {name: np.zeros(shape, np.int64) for name, shape in integers.items()}
        changing["factor"][:] = 1.0
        if self.rule == "rls":
            changing["p"][:] = np.eye(n) / self.alpha
        self._loop = loops.Loop(**self._fixed, **changing)
        self.what = np.zeros((k, n))
        self.trials, self.rate, self._at = 0, 0.0, 0
        self._state = tuple(a.copy() for a in self._initial)

    def _shapes(self) -> tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]:
        """Of what changes in the loop: float64, int64."""
        n, k = self.n, self.n_channels
        slots = 1 << int(self._fixed["delays"].max(initial=1)).bit_length()
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("s", "r", "x", "total", "mean"), (n,))
        shapes |= {"ring": (slots, n), "y": (k,), "when": (k, n), "put_off": (k, RANK, n), "scale": (k, RANK)}
        shapes |= {"factor": (k,), "p": (k, n, n) if self.rule == "rls" else (0, 0, 0)}
        return shapes, {"spikes": (n,), "waiting": (k,)}

    @property
    def when(self) -> np.ndarray:
        """Weights of the "when" readout, shape (n_channels, n)."""
        return self._loop.when

    def fit(self, block: MEET, events: Any) -> "WhatWhen":
        """As :meth:`partial_fit` after :meth:`reset`."""
        events = self._events("fit", block, events)
        self.reset()
        return self.partial_fit(block, events)

    def partial_fit(self, block: MEET, events: Any) -> "WhatWhen":
        """Learn from trials, after those that were.

        Parameters
        ----------
        block : what the trials are
        events : which event comes in each trial, integers of shape (trials,), as from :meth:`MEET.events`
        """
        timing = block.timing() if isinstance(block, MEET) else None
        for event in self._events("partial_fit", block, events):
            came = np.arange(self.n_channels) == event
            if self.merged:
                target, gate = timing * came, np.ones((block.duration, self.n_channels))
            else:
                t = np.arange(block.duration)[:, None] - block.cue[0] - np.array(block.latencies)
                near = np.abs(t) < WINDOW * block.sigma
                target, gate = timing, came * (self.gate_floor + (1.0 - self.gate_floor) * near)
            gate[: block.cue[0]] = 0.0
            seen = self._trial(block, np.random.default_rng([self.seed, 0, self.trials]), target, gate)[1]
            self.trials += 1
            rate = max(self.rate_what, 1.0 / self.trials) / max(float(seen @ seen), 1e-12)
            self.what += rate * np.outer(came - self.what @ seen, seen)
        return self._judge("partial_fit", block.duration * len(events))

    def predict(self, block: MEET, draw: int = 0) -> Prediction:
        """What is expected after the cue alone. Nothing is learned and nothing changes: noise depends on ``draw`` and
        the trials learned so far, so that a prediction can be repeated."""
        self._block("predict", block)
        before = (self._loop, self._state, self._at)
        kept = {name: getattr(self._loop, name).copy() for name in ("ring", "s", "r", "x", "y", "total", "spikes")}
        self._loop, self._state = self._loop._replace(**kept), tuple(a.copy() for a in self._state)
        rng = np.random.default_rng([self.seed, 1, self.trials, draw])
        self._loop.spikes[:] = 0
        nothing = np.empty((0, self.n_channels))
        try:
            when, seen = self._trial(block, rng, nothing, nothing)
            self._judge("predict", block.duration)
        finally:
            self._loop, self._state, self._at = before
        what = np.ones(self.n_channels) if self.merged else self.what @ seen
        return Prediction(what, when, what * np.maximum(when, 0.0))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network, what it has learned and its state to an HDF5 file; :meth:`load` goes on from there."""
        about = {"step": self._step} | {name: getattr(self, name) for name in _ABOUT}
        saved.write(path, "WhatWhen", about, self, what=self.what)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "WhatWhen":
        """The network in a file of :meth:`save`.

        Raises
        ------
        FormatError
            Where the file is missing or holds something else.
        """
        file, self = saved.Saved(path, "WhatWhen"), cls.__new__(cls)
        self.n_channels, self.n = k, n = file.sizes("loop/encoders")
        file.neurons(self, snn.Izhikevich.spec, n)
        self._step = loops.Step(*file.numbers("step", len(loops.Step._fields)))
        for name in ("gate_floor", "rate_what", "noise", "jitter", "alpha", "rate"):
            setattr(self, name, file.number(name, 0.0))
        for name in ("seed", "trials"):
            setattr(self, name, file.whole(name, 0))
        for name in ("merged", "restart"):
            file.check(name, isinstance(file.about.get(name), bool), "true or false")
            setattr(self, name, file.about[name])
        self.rule = str(file.about.get("rule"))
        file.check("rule", self.rule in ("three_factor", "rls"), '"three_factor" or "rls"')
        self._fixed = file.synapses(n)
        delays = file.array("loop/delays", self._fixed["weights"].shape, np.int32)
        file.check("/arrays/loop/delays", not delays.size or delays.min() >= 1, ">= 1")
        self._fixed |= {"delays": delays, "encoders": file.array("loop/encoders", (k, n))}
        self._fixed |= {"w_cue": file.array("loop/w_cue", (n,))}
        floats, integers = self._shapes()
        changing = {name: file.array(f"loop/{name}", shape) for name, shape in floats.items()}
        changing |= {name: file.array(f"loop/{name}", shape, np.int64) for name, shape in integers.items()}
        waiting = changing["waiting"]
        file.check("/arrays/loop/waiting", 0 <= waiting.min() <= waiting.max() < RANK, f"from 0 to {RANK - 1}")
        self._loop = loops.Loop(**self._fixed, **changing)
        self.what = file.array("what", (k, n))
        return self

    def _trial(
        self, block: MEET, rng: np.random.Generator, target: np.ndarray, gate: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """One trial: output of the "when" readout, (T, n_channels), and the mean traces that "what" is read from."""
        loop, n, steps = self._loop, self.n, block.duration
        if self.restart:
            for array in (loop.ring, loop.s, loop.r, loop.y):
                array[:] = 0.0
            self._state = tuple(a.copy() for a in self._initial)
            self._at = 0
            if self.jitter > 0.0:
                self._state[0][:n] += rng.normal(0.0, self.jitter, n)  # v is the first state variable
        noise = rng.normal(0.0, self.noise, (steps, n)) if self.noise > 0.0 else np.empty((steps, 0))
        update = codegen.load(codegen.update_source(self._variant, "float64"))
        advance = codegen.load(loops.source(update.__name__)).advance
        wide, pad = -(-n // GROUP) * GROUP, padded(n)
        flags = zeros(wide, np.uint8)
        arriving = zeros(n * len(self._variant.spec.receptors), np.float64)
        scratch = (arriving, zeros(pad, np.float64), zeros(1, np.uint32), flags, flags.view(np.uint64))
        cue = np.zeros(steps)
        cue[slice(*block.cue)] = 1.0
        end = min(block.cue[0] + SEEN, steps)
        out = np.empty((steps, self.n_channels))
        loop.total[:] = 0.0
        advance(loop, self._step, n, pad, *self._state, self._constants, *scratch, np.empty(wide, np.uint32), cue,
                noise, target, gate, block.cue[0], end, out, self._at)  # fmt: skip
        self._at += steps
        if not np.all(np.isfinite(out)):
            raise ModelError("WhatWhen: the output is not finite. Lower feedback, gain or rate_when.")
        return out, loop.total / (end - block.cue[0])

    def _judge(self, owner: str, steps: int) -> "WhatWhen":
        self.rate = float(self._loop.spikes.mean() / steps * 1000.0)
        self._loop.spikes[:] = 0
        if not SILENT <= self.rate <= SATURATED:
            what = "raise bias or cue_scale" if self.rate < SILENT else "lower bias, gain or feedback"
            warnings.warn(
                f"WhatWhen.{owner}: neurons fire at {self.rate:.3g} Hz; {what}.", RuntimeWarning, stacklevel=3
            )
        return self

    def _block(self, owner: str, block: Any) -> None:
        if not isinstance(block, MEET):
            raise ModelError(f"WhatWhen.{owner}.block: must be a reservoir.MEET; got {type(block).__name__}.")
        if len(block.latencies) != self.n_channels:
            raise ShapeError(
                f"WhatWhen.{owner}.block: must have n_channels = {self.n_channels} latencies; "
                f"got {len(block.latencies)}."
            )

    def _events(self, owner: str, block: Any, events: Any) -> np.ndarray:
        self._block(owner, block)
        given = real(f"WhatWhen.{owner}.events", events)
        if given.ndim != 1 or given.size == 0 or given.dtype.kind not in "iu":
            raise ShapeError(
                f"WhatWhen.{owner}.events: must be integers of shape (trials,); got {given.dtype}, {given.shape}."
            )
        if given.min() < 0 or given.max() >= self.n_channels:
            raise ModelError(
                f"WhatWhen.{owner}.events: must be 0 to {self.n_channels - 1}; got {given.min()} to {given.max()}."
            )
        return given


_ABOUT = ("gate_floor", "rate_what", "merged", "noise", "jitter", "restart", "seed", "rule", "alpha", "trials", "rate")


def _excitatory(n: int) -> int:
    """How many of ``n`` neurons, the first, are excitatory."""
    return round(0.8 * n)


def _neurons(n: int, bias: float, bias_sd: float, rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    """Regular-spiking to chattering excitatory and various inhibitory neurons, as in Izhikevich's network of 2003."""
    exc = np.arange(n) < _excitatory(n)
    q = rng.random(n)
    b = np.where(exc, 0.2, 0.25 - 0.05 * q)
    model = snn.Izhikevich(
        a=np.where(exc, 0.02, 0.02 + 0.08 * q), b=b, c=np.where(exc, -65.0 + 15.0 * q**2, -65.0),
        d=np.where(exc, 8.0 - 6.0 * q**2, 2.0), i_e=rng.normal(bias, bias_sd, n), consistent_integration=0.0,
    )  # fmt: skip
    v = rng.uniform(-70.0, -50.0, n)
    return model, {"v": v, "u_m": b * v}


def _delays(delay: Any) -> tuple[int, int]:
    good = isinstance(delay, (tuple, list)) and len(delay) == 2
    if not good or any(isinstance(d, bool) or not isinstance(d, (int, np.integer)) for d in delay):
        raise ModelError(f"WhatWhen.delay: must be two whole numbers of ms, shortest and longest; got {delay!r}.")
    if not 1 <= delay[0] <= delay[1] <= 1000:
        raise ModelError(f"WhatWhen.delay: must be 1 to 1000 ms, the shortest first; got {delay!r}.")
    return int(delay[0]), int(delay[1])
