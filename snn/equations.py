"""Neuron models from the text of their equations."""

import ast
import inspect
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from kernels.equation_lines import Line, Lines, function_of, usable
from kernels.equation_text import factor_of, is_condition, is_linear, names_in, noises, renamed, with_draws
from kernels.equation_units import known_unit
from kernels.errors import ModelError, nearest
from kernels.spec import UNIFORMS, Check, Derived, NeuronSpec, Param, Receptor, StateVar
from snn.neurons.base import NeuronModel, define

_TAKEN = {"i_stim", "w", *UNIFORMS, "dt", "fired", "free", "refractory", "pi", "abs", "min", "max", "math", "scalar"}
METHODS = ("rk4", "exponential_euler")


def from_equations(
    name: str, equations: str, *, threshold: str, reset: str = "", refractory: str | None = None,
    receptors: Mapping[str, str] | None = None, init: Mapping[str, float | str] | None = None, doc: str = "",
    references: tuple[str, ...] = ("own model",), current_unit: str = "pA", method: str = "rk4",
) -> type[NeuronModel]:  # fmt: skip
    """A neuron model from equations, for the clock engine: a class, as :func:`define` returns.

    Parameters
    ----------
    name : of the model
    equations : a line each, ``# ...`` at its end says what it is:
        ``dv/dt = expression : unit``, a state variable, with ``(unless refractory)`` held in the refractory period;
        ``x = expression : unit``, an abbreviation;
        ``tau = 20 : ms``, a parameter and its default.
        Expressions hold the names of all these, ``i_stim`` (injected current), ``dt``, ``pi``, ``v if v > 0 else 0``
        and the functions abs, fabs, min, max, clip(x, low, high), exp, expm1, exprel (expm1(x) / x), log, log1p, log2,
        log10, sqrt, floor, ceil, copysign, erf, erfc, trigonometric and hyperbolic ones (sin, asin, sinh, asinh, ...;
        atan2), ``int(v > 1)`` (1 or 0), linoid and relax of ``kernels.scalar``. Those of dx/dt may hold white noise of
        unit 1/sqrt(ms), ``xi`` and independent ``xi_a``, ``xi_b``, ... (four in all); one name in several equations is
        the same noise.
        Time is in ms and rates are in 1/ms: other units of time are refused. All other units are names; nothing is
        converted, so they must fit each other, as mV, ms, pF, nS, pA do. Known are V, A, S, F, ohm, C, m, g, M, mol, K,
        J, W with prefixes, rad, deg, and 1
    threshold : condition of a spike, tested at the end of each step, not in the refractory period. Here and in
        ``reset`` ``rand()`` is a uniform number between 0 and 1 (a multiple of 2**-32), ``randn()`` a standard normal
        one; each is drawn anew for each neuron and step: ``"rand() < rate * exp(v / delta) * dt"``
    reset : statements at a spike, in turn: ``"v = v_reset; w += b"``
    refractory : parameter that holds the refractory period in ms, rounded to steps; or a condition, "v > -40": after a
        spike, the neuron is refractory for as long as it holds at the beginning of steps
    receptors : what a weight w that arrives adds, by receptor: ``{"ex": "g_ex += w", "in": "g_in -= w"}``; several
        statements as in ``reset``. With ``-=`` weights are <= 0; beside such a receptor those of others are >= 0.
        Variables that are held take nothing
    init : initial values of state variables, numbers or names of parameters [0]
    doc, references : first sentence of the documentation; source of the model
    current_unit : of i_stim
    method : "rk4" or, where each dx/dt is linear in x itself, as it is in models of Hodgkin and Huxley's kind,
        "exponential_euler", which is of first order, takes half the time a step, and stays stable where equations are
        stiff

    Numerics
    --------
    Variables of dx/dt = -x / tau decay exactly. "exponential_euler": dx/dt = a + b x, a and b as at the step's begin:
    x + dt (a + b x) (exp(b dt) - 1) / (b dt). "rk4": Runge-Kutta of order 4. The upstroke of a spike may be too fast
    for that: where the condition holds at a stage and slopes do not converge, abs(k3 - k2) > abs(k2 - k1) + abs(k1),
    the step is Euler's for all variables and the neuron fires; where the step overflows, it is Euler's. Noise is held
    over a step, as a standard normal number over sqrt(dt): the variance of linear equations is right to second order in
    dt, and noise times a variable is Stratonovich's. In a step: integration, arriving weights, threshold, reset. A
    spike is at the end of its step. The event engine needs a step function of one's own (``docs/adding_a_model.md``).

    Raises
    ------
    ModelError
        With the equation that is wrong.

    Examples
    --------
    >>> import snn
    >>> Leak = snn.from_equations(
    ...     "Leak",
    ...     '''
    ...     dv/dt = (g - v) / tau_m : mV (unless refractory)  # membrane potential
    ...     dg/dt = -g / tau_syn    : mV                      # synaptic input
    ...     tau_m = 20 : ms
    ...     tau_syn = 5 : ms
    ...     t_ref = 2 : ms
    ...     ''',
    ...     threshold="v > 10", reset="v = 0", refractory="t_ref", receptors={"syn": "g += w"},
    ... )
    >>> Leak(tau_m=10.0)
    Leak(tau_m=10.0)
    """
    if not isinstance(name, str) or not usable(name):
        raise ModelError(f"from_equations.name: must be a Python name; got {name!r}.")
    for key, given in (("threshold", threshold), ("reset", reset)):
        if not isinstance(given, str):
            raise ModelError(
                f"{name}.{key}: must be a text such as 'v {'>' if key == 'threshold' else '='} 1'; got {given!r}."
            )
    for key, table, example in (("receptors", receptors, "'ex': 'g += w'"), ("init", init, "'v': -70.0")):
        if table is not None and not isinstance(table, Mapping):
            raise ModelError(f"{name}.{key}: must be a dictionary such as {{{example}}}; got {table!r}.")
    if method not in METHODS:
        raise ModelError(f"{name}.method: must be {' or '.join(map(repr, METHODS))}; got {method!r}.")
    text = _Text(name, equations, refractory, dict(receptors or {}))
    module = sys._getframe(1).f_globals.get("__name__", "__main__")
    step = function_of(f"{name}_step", text.source(threshold, reset, method), module)
    used = inspect.signature(step).parameters
    start = dict(init or {})
    for key in start:
        if key not in text.states:
            raise ModelError(f"{name}.init: {key!r} is no state variable.{nearest(str(key), text.states)}")
        if isinstance(start[key], bool) or not isinstance(start[key], (int, float, str)):
            raise ModelError(f"{name}.init: {key} must be a number or the name of a parameter; got {start[key]!r}.")
    state = [
        StateVar(x.name, x.unit, x.doc or f"d{x.name}/dt = {ast.unparse(x.right)}", start.get(x.name, 0.0))
        for x in text.states.values()
    ]
    if refractory:
        said = "steps left of the refractory period" if text.lasts is None else f"1 after a spike, while {refractory}"
        state.append(StateVar("refractory", "step", said, dtype="int"))
    shown = [inspect.cleandoc(equations), f"threshold: {threshold}", f"reset: {reset}" if reset else ""]
    shown += [f"receptor {key}: {value}" for key, value in text.receptors.items()]
    about = doc or f"{name}, given by its equations."
    spec = NeuronSpec(
        name=name,
        doc=f"{about}\n\nEquations\n---------\n" + "\n".join(x for x in shown if x),
        state=tuple(state),
        params=text.params(),
        derived=tuple(d for d in text.derived() if d.name in used),
        receptors=text.signed(),
        step=step,
        references=references,
        checks=text.checks(),
        current_unit=known_unit(f"{name}.current_unit", current_unit),
        refractory="refractory" if refractory else None,
    )
    return define(spec)


class _Text(Lines):
    """The equations of a model, checked, and the step function made of them."""

    always = ("pi", "dt")
    noisy = True

    def __init__(self, name: str, equations: str, refractory: str | None, receptors: dict[str, str]) -> None:
        super().__init__(name, equations, _TAKEN)
        self.refractory, self.receptors = refractory, receptors
        if not self.states:
            raise ModelError(f"{name}.equations: there is no 'dx/dt = ... : unit'. Give one.")
        self.lasts: ast.expr | None = None  # the condition, where that takes the place of a period
        if isinstance(refractory, str) and not refractory.isidentifier():
            self.lasts = self._condition("refractory", refractory, "name a parameter in ms, or be a condition")
        elif refractory is not None and refractory not in self.numbers:
            hint = nearest(refractory, self.numbers) if isinstance(refractory, str) else " Write 't_ref = 2 : ms'."
            raise ModelError(f"{name}.refractory: must name a parameter in ms; got {refractory!r}.{hint}")
        elif refractory is not None and self.lines[refractory].unit != "ms":
            raise ModelError(f"{name}.refractory: {refractory} must be in ms; got {self.lines[refractory].unit!r}.")
        held = next((x.name for x in self.lines.values() if x.held), None)
        if held and refractory is None:
            raise ModelError(f"{name}.refractory: {held} is held '(unless refractory)'; give a period or condition.")
        for x in self.lines.values():
            self.known(f"d{x.name}/dt" if x.derivative else x.name, x.right, ("i_stim",))
        for x in self.states.values():
            right = ast.unparse(x.right)
            decays = (t for t in self.numbers if right in (f"-{x.name} / {t}", f"-({x.name} / {t})"))
            x.decay = None if x.held else next(decays, None)
        self.short = self._ordered()
        slopes = {x.name: x.right for x in self.states.values()}
        self.noises = noises(name, slopes, [(x.name, x.right) for x in self.short])
        self.drawn = list(self.noises)
        self.arrivals = {key: self._arrival(key, value) for key, value in receptors.items()}

    def _condition(self, what: str, text: str, rule: str) -> ast.expr:
        test = self.parsed(what, text)
        self.known(what, test, ("i_stim",), what == "threshold")
        if not is_condition(test):
            raise ModelError(f"{self.name}.{what}: must {rule} such as 'v > 1'; got {text!r}.")
        return test

    def _ordered(self) -> list[Line]:
        """Abbreviations, each after those that it holds."""
        left = {x.name: x for x in self.lines.values() if not x.derivative and x.number is None}
        found: list[Line] = []
        while left:
            ready = [x for x in left.values() if not set(left) & names_in(x.right)]
            if not ready:
                raise ModelError(f"{self.name}.equations: {', '.join(left)} refer to each other in a circle.")
            found += ready
            for x in ready:
                del left[x.name]
        return found

    def _arrival(self, key: str, text: str) -> tuple[list[tuple[str, ast.expr]], bool]:
        """(state variable, what is added for w) of each statement, and whether it is subtracted."""
        what = f"receptor {key!r}"
        if not isinstance(key, str) or not key.isidentifier():
            raise ModelError(f"{self.name}.receptors: a receptor's name must be a Python name; got {key!r}.")
        try:
            nodes: list[ast.stmt] = ast.parse(inspect.cleandoc(text)).body if isinstance(text, str) else []
        except SyntaxError:
            nodes = []
        found = []
        for node in nodes or [ast.Pass()]:
            if not (
                isinstance(node, ast.AugAssign) and isinstance(node.op, (ast.Add, ast.Sub))
                and isinstance(node.target, ast.Name) and node.target.id in self.states and is_linear(node.value)
            ):  # fmt: skip
                raise ModelError(
                    f"{self.name}, {what}: must add a multiple of the weight w to a state variable, as in "
                    f"'{next(iter(self.states))} += w'; got {text!r}."
                )
            self.known(what, node.value, ("w",))
            other = sorted(names_in(node.value) & {*self.states, *(x.name for x in self.short)})
            if other:
                raise ModelError(
                    f"{self.name}, {what}: w may be multiplied by numbers and parameters alone; got {text!r}, where "
                    f"{other[0]!r} is a{' state variable' if other[0] in self.states else 'n abbreviation'}."
                )
            found.append((node.target.id, node.value, isinstance(node.op, ast.Sub)))
        if len({subtract for _, _, subtract in found}) > 1:
            raise ModelError(
                f"{self.name}, {what}: must add in all statements, or subtract in all, as the sign says which weights "
                f"the receptor takes; got {text!r}. Write 'x += -w' for one of them."
            )
        return [(target, value) for target, value, _ in found], found[0][2]

    def params(self) -> tuple[Param, ...]:
        """Parameters; what variables decay by is > 0, a refractory period >= 0."""
        decays = {x.decay for x in self.states.values()}
        return tuple(
            Param(name, self.lines[name].unit, default, self.lines[name].doc or name, gt=0 if name in decays else None,
                  ge=0 if name == self.refractory and name not in decays else None)
            for name, default in self.numbers.items()
        )  # fmt: skip

    def derived(self) -> tuple[Derived, ...]:
        """Constants of the step."""
        found = [
            Derived("half__", "ms", lambda p, dt: 0.5 * dt),
            Derived("whole__", "ms", lambda p, dt: dt),
            Derived("sixth__", "ms", lambda p, dt: dt / 6.0),
            Derived("noise__", "1/sqrt(ms)", lambda p, dt: 1.0 / np.sqrt(dt)),
        ]
        for x in self.states.values():
            if x.decay:
                for part, share in (("half", 0.5), ("whole", 1.0)):
                    found.append(Derived(f"{x.name}__{part}", "1", _factor(x.decay, share)))
        found += [Derived(f"{name}__inverse", f"1/({self.lines[name].unit})", _inverse(name)) for name in self.numbers]
        if self.refractory and self.lasts is None:
            t_ref = self.refractory
            found.append(Derived("n_ref__", "step", lambda p, dt: np.rint(getattr(p, t_ref) / dt), dtype="int"))
        return tuple(found)

    def signed(self) -> tuple[Receptor, ...]:
        """Receptors; where one takes weights <= 0, others take weights >= 0."""
        minus = any(subtract for _, subtract in self.arrivals.values())
        return tuple(
            Receptor(key, self.states[added[0][0]].unit, self.receptors[key], -1 if subtract else int(minus))
            for key, (added, subtract) in self.arrivals.items()
        )

    def checks(self) -> tuple[Check, ...]:
        """What does nothing but divide is not 0. After :meth:`source`, which reads all expressions."""
        divides = {
            id(n.right)
            for tree in self.seen
            for n in ast.walk(tree)
            if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div)
        }
        named = [n for tree in self.seen for n in ast.walk(tree) if isinstance(n, ast.Name)]
        other = {n.id for n in named if id(n) not in divides}
        once = {n.id: None for n in named if n.id in self.numbers and n.id not in other}
        return tuple(Check((name,), _not_zero(name), "must not be 0, as it divides") for name in once)

    def source(self, threshold: str, reset: str, method: str) -> str:
        """Text of the step function."""
        body: list[str] = []
        put = body.append
        slopes = [x for x in self.states.values() if not x.decay]
        test = with_draws(self.name, self._condition("threshold", threshold, "be a condition"), self.drawn)
        tested = self._needed(names_in(test))
        watched = [x for x in slopes if x.name in tested and method == "rk4"]
        if self.lasts is not None:
            names: dict[str, str] = {}
            self._abbreviations(put, names, 0, names_in(self.lasts))
            put(f"free = (refractory == 0) | (not ({renamed(self.lasts, names)}))")
        elif self.refractory:
            put("free = refractory == 0")
        for name, uniform in zip(self.noises, UNIFORMS, strict=False):
            put(f"{name} = noise__ * scalar.normal({uniform})")
        if method == "exponential_euler":
            self._exponential_euler(put, slopes)
        for stage, step in enumerate(("", "half__", "half__", "whole__"), 1):
            if not slopes or method != "rk4":
                break
            names = {}
            for x in self.states.values():
                if stage > 1 and x.decay:
                    put(f"{x.name}__{stage} = {x.name} * {x.name}__{'whole' if stage == 4 else 'half'}")
                elif stage > 1:
                    put(f"{x.name}__{stage} = {x.name} + {step} * {x.name}__k{stage - 1}")
                names[x.name] = f"{x.name}__{stage}" if stage > 1 else x.name
            self._abbreviations(put, names, stage, set().union(*(names_in(x.right) for x in slopes)))
            if stage > 1 and watched:
                self._abbreviations(put, names, stage, names_in(test))
                put(f"over__{stage} = {renamed(test, names)}")
            for x in slopes:
                slope = renamed(x.right, names, self.numbers)
                put(f"{x.name}__k{stage} = " + (f"({slope}) if free else 0.0" if x.held else slope))
        if slopes and method == "rk4":
            self._ends(put, slopes, watched)
        for x in self.states.values():
            if x.decay:
                put(f"{x.name} = {x.name} * {x.name}__whole")
            elif method == "rk4":
                put(f"{x.name} = {x.name} + whole__ * {x.name}__k1 if euler__ else {x.name}__5")
            else:
                put(f"{x.name} = {x.name}__5")
        for key, (added, subtract) in self.arrivals.items():
            for target, value in added:
                more = f"{target} {'-' if subtract else '+'} ({renamed(value, {'w': f'arrive_{key}'})})"
                put(f"{target} = " + (f"{more} if free else {target}" if self.states[target].held else more))
        names = {}
        self._abbreviations(put, names, 6, names_in(test))
        crossed = f"({renamed(test, names)})" + (" | (euler__ & over__)" if watched else "")
        put(f"fired = free & ({crossed})" if self.refractory else f"fired = {crossed}")
        rule = "statements such as 'v = v_reset; w += b', of state variables"
        statements = self.statements("reset", reset, self.states, rule, more=("i_stim",), draws=True)
        for stage, (target, value) in enumerate(statements, 7):
            value = with_draws(self.name, value, self.drawn)
            names = {}
            self._abbreviations(put, names, stage, names_in(value))  # anew, as statements before change variables
            put(f"{target} = ({renamed(value, names)}) if fired else {target}")
        if self.refractory:
            left = "refractory if free else refractory - 1" if self.lasts is None else "0 if free else 1"
            put(f"refractory = {'n_ref__' if self.lasts is None else 1} if fired else ({left})")
        results = [*self.states, *(["refractory"] if self.refractory else []), "fired"]
        put(f"return {', '.join(results)}")
        text = "\n".join(f"    {line}" for line in body)
        taken = {n.id for n in ast.walk(ast.parse("\n".join(body).replace("return ", ""))) if isinstance(n, ast.Name)}
        known = [*self.states, "refractory", *(f"arrive_{key}" for key in self.receptors), "i_stim", *UNIFORMS]
        arguments = [x for x in (*known, *self.numbers, *(d.name for d in self.derived())) if x in taken]
        return f"def {self.name}_step({', '.join(arguments)}):\n{text}\n"

    def _exponential_euler(self, put: Callable[[str], None], slopes: list[Line]) -> None:
        """A step of each of ``slopes`` with everything else as at its begin."""
        factors = {}
        for x in slopes:
            try:
                factors[x.name] = factor_of(x.name, x.right, [(s.name, s.right) for s in self.short])
            except ValueError as error:
                raise ModelError(
                    f"{self.name}, d{x.name}/dt: must be linear in {x.name} for method='exponential_euler'; got "
                    f"{str(error)!r}. Use method='rk4'."
                ) from None
        names: dict[str, str] = {}
        used = [*(x.right for x in slopes), *(f for f in factors.values() if f)]
        self._abbreviations(put, names, 1, set().union(*map(names_in, used)))
        for x in slopes:
            slope, factor = renamed(x.right, names, self.numbers), factors[x.name]
            put(f"{x.name}__k1 = " + (f"({slope}) if free else 0.0" if x.held else slope))
            grown = f" * scalar.exprel(whole__ * ({renamed(factor, names, self.numbers)}))" if factor else ""
            put(f"{x.name}__5 = {x.name} + whole__ * {x.name}__k1{grown}")

    def _ends(self, put: Callable[[str], None], slopes: list[Line], watched: list[Line]) -> None:
        """Results of Runge-Kutta's step, and ``euler__``, whether Euler's step is to be taken for all variables.

        The upstroke of a spike may be too fast for the step: v at a stage lies far beyond the threshold, or overflows,
        and its slopes of all variables are wrong. There the condition holds at a stage, ``over__``, and slopes do
        not converge: k3 - k2 is not below k2 - k1. The neuron fires.
        """
        for x in slopes:
            k1, k2, k3, k4 = (f"{x.name}__k{stage}" for stage in range(1, 5))
            put(f"{x.name}__5 = {x.name} + sixth__ * ({k1} + 2.0 * ({k2} + {k3}) + {k4})")
        euler = [f"({' + '.join(f'({x.name}__5 - {x.name}__5)' for x in slopes)} != 0.0)"]  # not finite
        if watched:
            put("over__ = over__2 | over__3 | over__4")
            wild = []
            for x in watched:
                k1, k2, k3 = (f"{x.name}__k{stage}" for stage in range(1, 4))
                wild.append(f"(abs({k3} - {k2}) > abs({k2} - {k1}) + abs({k1}))")
            euler.append(f"(over__ & ({' | '.join(wild)}))")
        put(f"euler__ = {' | '.join(euler)}")

    def _needed(self, used: set[str]) -> set[str]:
        """``used``, and the names in the abbreviations that it needs."""
        needed = set(used)
        for x in reversed(self.short):
            needed |= names_in(x.right) if x.name in needed else set()
        return needed

    def _abbreviations(self, put: Callable[[str], None], names: dict[str, str], stage: int, used: set[str]) -> None:
        """The abbreviations that ``used`` needs, under names of their own, which go to ``names``."""
        needed = self._needed(used)
        for x in self.short:
            if x.name in needed and names.get(x.name) != f"{x.name}__{stage}":
                put(f"{x.name}__{stage} = {renamed(x.right, names, self.numbers)}")
                names[x.name] = f"{x.name}__{stage}"


def _factor(tau: str, share: float) -> Callable[[Any, float], Any]:
    """What is left after ``share`` of a step of what decays with the parameter ``tau``."""
    return lambda p, dt: np.exp(-share * dt / getattr(p, tau))


def _inverse(name: str) -> Callable[[Any, float], Any]:
    """One over the parameter ``name``: divisions take four times as long."""
    return lambda p, dt: np.divide(1.0, getattr(p, name))


def _not_zero(name: str) -> Callable[[Any], Any]:
    return lambda p: np.not_equal(getattr(p, name), 0.0)
