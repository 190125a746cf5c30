"""FORCE learning in spiking networks: a chaotic network is tamed by the feedback of what it learns to put out."""

import os
import warnings
from typing import Any

import numpy as np
import scipy.sparse

import snn
from kernels import codegen
from kernels.cpu import force as loops
from kernels.cpu.record import GROUP
from kernels.errors import FormatError, ModelError, ShapeError
from kernels.layout import padded, zeros
from reservoir import saved
from reservoir.base import series
from reservoir.checks import flag, generator
from reservoir.spiking import SATURATED, SILENT
from snn.compile import compile_network
from snn.neurons.base import MODELS, NeuronModel
from snn.neurons.lif_exp import exp_to_v
from snn.units import bounded, number, whole

CHUNK = 10_000  # steps of one call of compiled code, which cannot be interrupted
JUDGED = 100.0  # ms: from shorter calls no rate can be told


class FORCE:
    """A spiking network that learns to generate a signal by itself, or to answer an input with it.

    Equations
    ---------
    r(t): each neuron's spikes, filtered by 1000 (exp(-t/tau_decay) - exp(-t/tau_rise)) / (tau_decay - tau_rise) [Hz];
    z = decoders r; current into the neurons: weights r + encoders z + w_in u, u the inputs.
    weights: gain N(0, 1) / (density sqrt(n)) for a share ``density`` of all pairs, else 0; encoders: uniform in
    (-feedback, feedback); w_in: uniform in (-input_scale, input_scale).
    Every ``learn_every`` ms while it learns, at the end of steps 0, learn_every / dt, .. since ``reset`` (recursive
    least squares): e = z - target, q = P r, decoders -= e q / (1 + r q), P -= q q^T / (1 + r q); at first
    decoders = 0, P = I / alpha.

    Numerics
    --------
    In a step of dt the current is that of the step's begin; neurons advance as in :class:`snn.Simulation`, then filters
    (exactly) and z. One thread, float64, one order of sums: results depend on the seed alone. P is updated for eight
    learning steps at once, which is the same in exact arithmetic. Chaos soon makes a difference in the last digit a
    difference in the spikes.

    Parameters
    ----------
    model : of the neurons, with a current (``i_stim``) and without random numbers of its own; see :meth:`lif`,
        :meth:`theta` and :meth:`izhikevich` for those of the paper
    n, n_outputs, n_inputs : numbers of neurons, outputs and inputs
    gain : of the recurrent weights, [pA/Hz];  density : share of pairs that are connected, in (0, 1]
    balanced : the weights into each neuron have mean 0
    feedback : of the output, [pA] for an output of 1;  input_scale : [pA] for an input of 1
    alpha : penalty of the weights at the begin of learning, [Hz^2], > 0; smaller is faster
    learn_every : time between learning steps, [ms], a multiple of dt
    tau_rise, tau_decay : of the filter, [ms], > 0
    dt : step, [ms]
    init : state variables at the begin, as in :meth:`snn.Network.population`
    seed : fixes weights and initial state

    Attributes
    ----------
    decoders : (n_outputs, n);  outputs : z after each step of the last call, (T, n_outputs);  rate : [Hz], of that call

    Raises
    ------
    ModelError, ShapeError
        Where a number is out of bounds, a series has the wrong shape or is not finite, the model does not fit.

    Warns
    -----
    RuntimeWarning
        Where neurons fire at less than 0.1 Hz or more than 200 Hz in a call of at least 100 ms, with the rate and what
        to change.

    References
    ----------
    Nicola & Clopath 2017, doi:10.1038/s41467-017-01827-3; Sussillo & Abbott 2009, doi:10.1016/j.neuron.2009.07.018

    Examples
    --------
    >>> import numpy as np, reservoir
    >>> net = reservoir.FORCE.lif(200, seed=1)
    >>> sine = np.sin(2 * np.pi * 5e-3 * net.dt * np.arange(20_000))  # 5 Hz for 1 s
    >>> net.fit(sine, washout=200.0).generate(100.0).shape
    (2000, 1)
    """

    def __init__(
        self, model: NeuronModel, n: int = 1000, n_outputs: int = 1, n_inputs: int = 0, gain: float = 1.0,
        density: float = 0.1, balanced: bool = True, feedback: float = 1.0, input_scale: float = 1.0,
        alpha: float = 1e5, learn_every: float = 2.0, tau_rise: float = 2.0, tau_decay: float = 20.0, dt: float = 0.05,
        init: dict[str, Any] | None = None, seed: int = 0,
    ) -> None:  # fmt: skip
        if not isinstance(model, NeuronModel):
            raise ModelError(f"FORCE.model: must be a neuron model; got {model!r}. Give snn.LIFDelta() or another.")
        spec = model.spec
        if "i_stim" not in spec.arguments or spec.uniforms:
            raise ModelError(f"FORCE.model: must take a current and draw no random numbers; got {spec.name}.")
        for name, count, least in (("n", n, 2), ("n_outputs", n_outputs, 1), ("n_inputs", n_inputs, 0)):
            whole(f"FORCE.{name}", count, least)
        for name, value in (("gain", gain), ("feedback", feedback), ("input_scale", input_scale)):
            bounded(f"FORCE.{name}", value, 0.0)
        for name, value in (
            ("density", density), ("alpha", alpha), ("learn_every", learn_every), ("tau_rise", tau_rise),
            ("tau_decay", tau_decay), ("dt", dt),
        ):  # fmt: skip
            bounded(f"FORCE.{name}", value, 0.0, 1.0 if name == "density" else np.inf, open_low=True)
        balanced = flag("FORCE.balanced", balanced)
        self.n, self.n_outputs, self.n_inputs = int(n), int(n_outputs), int(n_inputs)
        self.dt, self.alpha = float(dt), float(alpha)
        self._every = self._steps("learn_every", learn_every)

        net = snn.Network(seed=seed)
        neurons = net.population("neurons", self.n, model, init=init)
        net.input("current", neurons, snn.StepCurrent([0.0], [0.0]))  # so that the compiled neurons take one
        compiled = compile_network(net, self.dt, "float64", threads=1)
        self._variant, self._constants = compiled.variants[0], compiled.constants
        self._initial = (compiled.state.f, compiled.state.i)
        mix = exp_to_v(self.dt, tau_decay, tau_rise, 1.0)
        self._filter = loops.Filter(
            float(np.exp(-dt / tau_rise)), float(np.exp(-dt / tau_decay)), float(mix), 1000.0 / (tau_rise * tau_decay)
        )
        rng = generator("FORCE", seed)
        columns = [np.flatnonzero(rng.random(self.n) < density) for _ in range(self.n)]
        values = [rng.normal(size=c.size) for c in columns]
        if balanced:
            values = [v - v.mean() if v.size else v for v in values]
        rows = np.repeat(np.arange(self.n), [c.size for c in columns])
        w = scipy.sparse.csc_array(
            (gain / (density * np.sqrt(self.n)) * np.concatenate(values), (rows, np.concatenate(columns))),
            shape=(self.n, self.n),
        )
        self._fixed: dict[str, np.ndarray] = {
            "encoders": rng.uniform(-feedback, feedback, (self.n_outputs, self.n)),
            "w_in": rng.uniform(-input_scale, input_scale, (self.n_inputs, self.n)),
            "first": w.indptr.astype(np.int64),
            "targets": w.indices.astype(np.int32),
            "weights": w.data,
        }
        self.reset()

    @classmethod
    def lif(cls, n: int = 2000, **changes: Any) -> "FORCE":
        """LIF neurons with the parameters of the paper; ``changes``: other parameters of the class."""
        model = snn.LIFDelta(tau_m=10.0, c_m=10.0, e_l=-40.0, v_th=-40.0, v_reset=-65.0, t_ref=2.0)
        own = {"gain": 0.04, "feedback": 10.0, "alpha": 2e5, "learn_every": 2.5}
        return cls(model, n, **_PAPER | own | {"init": {"v": snn.uniform(-65.0, 30.0)}} | changes)

    @classmethod
    def theta(cls, n: int = 2000, **changes: Any) -> "FORCE":
        """Theta neurons, v = tan(theta/2), dtheta/dt = 1 - cos theta + pi^2 (1 + cos theta) I per second, of the paper.

        The current I [pA] alone makes a neuron fire at sqrt(I) Hz.
        """
        c_m = 1000.0 / np.pi**2
        model = snn.QIF(c_m=c_m, k=1e-3 * c_m, e_l=0.0, v_t=0.0, v_peak=1e9, v_reset=-1e9)
        own = {"gain": 10.0, "feedback": 1e4, "alpha": 1e5, "learn_every": 0.5}
        return cls(model, n, **_PAPER | own | {"init": {"v": snn.uniform(-30.0, 30.0)}} | changes)

    @classmethod
    def izhikevich(cls, n: int = 2000, b: float = -2.0, **changes: Any) -> "FORCE":
        """Izhikevich neurons of the paper; ``b`` [nS] is -2 for its sine, 0 elsewhere."""
        k, v_r = 2.5, -60.0
        model = snn.Izhikevich2007(c_m=250.0, k=k, v_r=v_r, v_t=v_r + 40.0 - b / k, v_peak=30.0, a=0.01, b=b, c=-65.0,
                                   d=200.0, i_e=1000.0)  # fmt: skip
        own = {"gain": 5.0, "feedback": 5e3, "alpha": 5e5, "learn_every": 0.8, "dt": 0.04, "balanced": False}
        return cls(model, n, **_PAPER | own | {"init": {"v": snn.uniform(-60.0, 30.0)}} | changes)

    def reset(self) -> None:
        """Forget what was learned, and return to the initial state."""
        n, k = self.n, self.n_outputs
        changing = {name: np.zeros(shape) for name, shape in self._shapes((0, 0)).items()}
        changing |= {"waiting": np.zeros(1, np.int64), "spikes": np.zeros(n, np.int64)}
        self._loop = loops.Loop(**self._fixed, **changing)
        self._state = tuple(a.copy() for a in self._initial)
        self.outputs, self.rate, self._at = np.empty((0, k)), 0.0, 0

    def _shapes(self, p: tuple[int, int]) -> dict[str, tuple[int, ...]]:
        """Of what changes in the loop and is float64."""
        n, k = self.n, self.n_outputs
        own = {"decoders": (k, n), "z": (k,), "p": p, "put_off": (loops.RANK, n), "scale": (loops.RANK,)}
        return dict.fromkeys("shrg", (n,)) | own

    @property
    def decoders(self) -> np.ndarray:
        """Weights of the readout, [1/Hz], shape (n_outputs, n)."""
        return self._loop.decoders

    def fit(self, target: Any, inputs: Any = None, washout: float = 0.0) -> "FORCE":
        """Learn from the beginning.

        Parameters
        ----------
        target : wanted output after each step, shape (T, n_outputs)
        inputs : in each step, shape (T, n_inputs)
        washout : time at the begin of the series without learning, [ms]
        """
        before = self._steps("fit.washout", washout, 0)
        target, inputs = self._series("fit", target, inputs)
        if before >= len(target):
            raise ShapeError(f"FORCE.fit.target: must be longer than washout = {before} steps; got {len(target)}.")
        self.reset()
        self._loop = self._loop._replace(p=np.eye(self.n) / self.alpha)
        return self._advance("fit", inputs, target, before)

    def partial_fit(self, target: Any, inputs: Any = None) -> "FORCE":
        """Go on learning, from the present state; see :meth:`fit`."""
        target, inputs = self._series("partial_fit", target, inputs)
        if not self._loop.p.size:
            self._loop = self._loop._replace(p=np.eye(self.n) / self.alpha)
        return self._advance("partial_fit", inputs, target, 0)

    def generate(self, duration: float, inputs: Any = None) -> np.ndarray:
        """Output without learning for ``duration`` ms, from the present state: shape (duration / dt, n_outputs).

        ``inputs`` : shape (duration / dt, n_inputs)
        """
        steps = self._steps("generate.duration", duration)
        self._advance("generate", self._inputs("generate", inputs, steps), np.empty((0, self.n_outputs)), steps)
        return self.outputs

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the network, what it has learned and its state to an HDF5 file; :meth:`load` goes on from there."""
        about = {"model": self._variant.spec.name, "filter": self._filter, "dt": self.dt, "alpha": self.alpha,
                 "every": self._every}  # fmt: skip
        saved.write(path, "FORCE", about, self)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "FORCE":
        """The network in a file of :meth:`save`.

        Raises
        ------
        FormatError
            Where the file is missing or holds something else, or a model that no imported module defines.
        """
        file, self = saved.Saved(path, "FORCE"), cls.__new__(cls)
        model = MODELS.get(str(file.about.get("model")))
        if model is None:
            raise FormatError(
                f"{path}: no model {file.about.get('model')!r} is defined. Import the module that defines it."
            )
        self.n_outputs, self.n = k, n = file.sizes("loop/encoders")
        file.neurons(self, model.spec, n)
        self._filter = loops.Filter(*file.numbers("filter", len(loops.Filter._fields)))
        self.dt, self.alpha = file.number("dt", 1e-9), file.number("alpha", 1e-300)
        self._every = file.whole("every", 1)
        self.n_inputs = len(file.arrays.get("loop/w_in", ()))
        self._fixed = file.synapses(n) | {
            "encoders": file.array("loop/encoders", (k, n)), "w_in": file.array("loop/w_in", (self.n_inputs, n))
        }  # fmt: skip
        p = (n, n) if np.size(file.arrays.get("loop/p", ())) else (0, 0)
        changing = {name: file.array(f"loop/{name}", shape) for name, shape in self._shapes(p).items()}
        changing |= {"waiting": file.array("loop/waiting", (1,), np.int64)}
        file.check("/arrays/loop/waiting", 0 <= changing["waiting"][0] < loops.RANK, f"from 0 to {loops.RANK - 1}")
        changing |= {"spikes": file.array("loop/spikes", (n,), np.int64)}
        self._loop = loops.Loop(**self._fixed, **changing)
        self.outputs, self.rate = np.empty((0, k)), 0.0
        return self

    def _advance(self, owner: str, u: np.ndarray, target: np.ndarray, before: int) -> "FORCE":
        """All steps of ``u``; learns from ``target`` from step ``before`` on."""
        update = codegen.load(codegen.update_source(self._variant, "float64"))
        advance = codegen.load(loops.source(update.__name__)).advance
        pad = padded(self.n)
        wide = -(-self.n // GROUP) * GROUP
        flags = zeros(wide, np.uint8)
        ring = zeros(self.n * max(len(self._variant.spec.receptors), 1), np.float64)
        scratch = (ring, zeros(pad, np.float64), zeros(1, np.uint32), flags, flags.view(np.uint64))
        fired, out = np.empty(wide, np.uint32), np.empty((len(u), self.n_outputs))
        self._loop.spikes[:] = 0
        begin = 0
        while begin < len(u):
            learns = begin >= before
            end = min(begin + CHUNK, len(u) if learns else before)
            y = target[begin:end] if learns else np.empty((0, self.n_outputs))
            advance(self._loop, self._filter, self.n, pad, *self._state, self._constants, *scratch, fired, u[begin:end],
                    y, out[begin:end], self._every if learns else 0, self._at)  # fmt: skip
            self._at += end - begin
            if not np.all(np.isfinite(out[begin:end])):
                k = begin + int(np.argmin(np.isfinite(out[begin:end]).all(axis=1)))
                raise ModelError(
                    f"FORCE.{owner}: the output is not finite {k * self.dt:g} ms after the begin. "
                    "Lower dt, gain or feedback."
                )
            begin = end
        self.outputs = out
        self.rate = float(self._loop.spikes.mean() / (len(u) * self.dt) * 1000.0)
        if len(u) * self.dt >= JUDGED and not SILENT <= self.rate <= SATURATED:
            what = "raise gain, feedback or the model's i_e" if self.rate < SILENT else "lower gain, feedback or i_e"
            warnings.warn(f"FORCE.{owner}: neurons fire at {self.rate:.3g} Hz; {what}.", RuntimeWarning, stacklevel=3)
        return self

    def _series(self, owner: str, target: Any, inputs: Any) -> tuple[np.ndarray, np.ndarray]:
        target = np.ascontiguousarray(series(f"FORCE.{owner}.target", target, self.n_outputs))
        return target, self._inputs(owner, inputs, len(target))

    def _inputs(self, owner: str, inputs: Any, steps: int) -> np.ndarray:
        if inputs is None and self.n_inputs == 0:
            return np.empty((steps, 0))
        if inputs is None or self.n_inputs == 0:
            raise ShapeError(
                f"FORCE.{owner}.inputs: there are n_inputs = {self.n_inputs}; got {type(inputs).__name__}."
            )
        given = np.ascontiguousarray(series(f"FORCE.{owner}.inputs", inputs, self.n_inputs))
        if len(given) != steps:
            raise ShapeError(f"FORCE.{owner}.inputs: must have {steps} steps; got {len(given)}.")
        return given

    def _steps(self, name: str, value: float, least: int = 1) -> int:
        steps = round(number(f"FORCE.{name}", value) / self.dt)
        if steps < least or abs(value / self.dt - steps) > 1e-6:
            raise ModelError(f"FORCE.{name}: must be a multiple of dt = {self.dt:g} ms, >= {least} dt; got {value!r}.")
        return steps


_PAPER: dict[str, Any] = {"density": 0.1, "tau_rise": 2.0, "tau_decay": 20.0, "dt": 0.05}
