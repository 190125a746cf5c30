"""Plasticity rules from the text of their equations."""

import ast
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from kernels.equation_lines import Line, Lines, function_of, usable
from kernels.equation_text import constant_of, expanded, factor_of, names_in, renamed, with_draws
from kernels.errors import ModelError, nearest
from kernels.spec import UNIFORM, Check, Integral, Modulator, Observer, Param, RuleSpec, StateVar, Trace
from plasticity.base import PlasticityRule, define

_TAKEN = {"h", "dt", "pi", "abs", "min", "max", "math", "scalar", *UNIFORM}
_POST = "_post"  # ends the names of variables of targets
_STATEMENTS = "statements such as 'x += a; w = clip(w + y, 0, w_max)', of w and of variables (w is delivered by itself)"


def from_equations(
    name: str, equations: str, *, bounds: tuple[float | str, float | str], on_pre: str = "", on_post: str = "",
    modulator: str | None = None, on_modulator: str = "", init: Mapping[str, float | str] | None = None, doc: str = "",
    references: tuple[str, ...] = ("own rule",),
) -> type[PlasticityRule]:  # fmt: skip
    """A plasticity rule from equations, for both engines and all backends: a class, as :func:`define` returns.

    Parameters
    ----------
    name : of the rule
    equations : a line each, ``# ...`` at its end says what it is:
        ``dx/dt = -x / tau : unit``, a variable of each synapse that decays, or ``(a - x) / tau``, that goes to the
        parameter or number a, or ``0``, that stays; ``dz/dt = (x - z) / tau_z``, one that such others drive;
        ``dw/dt = k * x * reward : weight``, the weight between spikes: a product of at most one such variable, the
        modulator and parameters; or, where it decays, ``k * x * max(v_post - theta, 0)``;
        ``dreward/dt = -reward / tau : unit``, the modulator, which stays where there is no such line;
        ``tau = 20 : ms``, a parameter and its default.
        Time is in ms. Other units are names, as for ``snn.from_equations``, and ``weight``
    bounds : smallest and largest weight: numbers or names of parameters. w is kept within them
    on_pre, on_post : what a spike changes when it meets the synapse, statements in turn, with the names of all these,
        ``w``, ``pi`` and the functions of ``snn.from_equations``: ``"apre += a; w = clip(w + apost, 0, w_max)"``. Then
        the presynaptic spike delivers w. ``v_post`` is the variable v of the target (clock engine), and so on.
        ``rand()`` is a uniform number between 0 and 1, ``randn()`` a standard normal one; each is drawn anew for each
        synapse and spike, two of them at most at a spike of either side
    modulator : name of a third factor, which ``net.modulate`` or ``sim.set_modulator`` drive
    on_modulator : ``"reward += a"``, a parameter: what a spike of the population that carries it adds
    init : initial values of variables, numbers or names of parameters [0]
    doc, references : first sentence of the documentation; source of the rule

    Numerics
    --------
    Between spikes all is solved exactly. A variable that begins at 0, decays to 0 and is changed by one statement of
    one side alone, ``x += a`` or ``x = a``, a of parameters, is a trace of the neuron: computed once for all its
    synapses, and then without a table of 8 bytes a synapse. Of spikes of both sides in one step the postsynaptic one
    comes first; traces are those of earlier events. Variables of targets are as at the end of a step, after a spike
    that has been reset, and a synapse sees them the dendritic part of its delay late; dw/dt takes them as held within
    the step before.

    Raises
    ------
    ModelError
        With the equation that is wrong.

    Examples
    --------
    >>> import plasticity
    >>> Pair = plasticity.from_equations(
    ...     "Pair",
    ...     '''
    ...     dapre/dt = -apre / tau_pre    : weight  # trace of presynaptic spikes
    ...     dapost/dt = -apost / tau_post : weight
    ...     tau_pre = 20 : ms
    ...     tau_post = 20 : ms
    ...     a_pre = 0.01 : weight
    ...     a_post = -0.0105 : weight
    ...     w_max = 1 : weight
    ...     ''',
    ...     on_pre="apre += a_pre; w += apost", on_post="apost += a_post; w += apre", bounds=(0, "w_max"),
    ... )
    >>> Pair(tau_pre=15.0)
    Pair(tau_pre=15, tau_post=20, a_pre=0.01, a_post=-0.0105, w_max=1)
    """
    if not isinstance(name, str) or not usable(name):
        raise ModelError(f"from_equations.name: must be a Python name; got {name!r}.")
    changes = (("on_pre", on_pre), ("on_post", on_post), ("on_modulator", on_modulator))
    for key, given in changes:
        if not isinstance(given, str):
            raise ModelError(f"{name}.{key}: must be a text such as 'x += a'; got {given!r}.")
    if init is not None and not isinstance(init, Mapping):
        raise ModelError(f"{name}.init: must be a dictionary such as {{'x': 1.0}}; got {init!r}.")
    if modulator is not None and not (isinstance(modulator, str) and usable(modulator)):
        raise ModelError(f"{name}.modulator: must be a Python name; got {modulator!r}.")
    text = _Text(name, equations, modulator, dict(init or {}), [on_pre, on_post])
    low, high = text.ends(bounds)
    statements = {"pre": text.changes("on_pre", on_pre), "post": text.changes("on_post", on_post)}
    text.find_traces(statements)
    module = sys._getframe(1).f_globals.get("__name__", "__main__")

    def function(kind: str, body: list[str]) -> Callable[..., Any]:
        return function_of(f"{name}_{kind}", text.function(kind, body), module)

    body = {side: text.at_spikes(statements[side], low, high) for side in statements}
    between = text.between(low, high)
    shown = [inspect.cleandoc(equations), *(f"{key}: {x}" for key, x in changes if x), f"{low} <= w <= {high}"]
    about = doc or f"{name}, given by its equations."
    spec = RuleSpec(
        name=name,
        doc=f"{about}\n\nEquations\n---------\n" + "\n".join(shown),
        params=text.params(),
        derived=(),
        traces=text.all_traces(),
        state=text.state(),
        modulator=text.third(on_modulator),
        on_pre=function("on_pre", body["pre"]),
        on_post=function("on_post", body["post"]) if body["post"] else None,
        flow=function("flow", between) if between else None,
        observer=text.observer(module),
        bounds=_pair(low, high),
        references=references,
        checks=(Check(_named(low, high), _ordered(low, high), f"must have {low} <= {high}, the bounds"),)
        if _named(low, high) else (),
    )  # fmt: skip
    rule: type[PlasticityRule] = define(spec)
    return rule


class _Text(Lines):
    """The equations of a rule, checked, and the functions made of them."""

    units = ("weight",)

    def __init__(
        self, name: str, equations: str, modulator: str | None, init: dict[str, Any], statements: list[str]
    ) -> None:
        super().__init__(name, equations, _TAKEN)
        self.modulator, self.init = modulator, init
        self.read = self._of_targets(statements)
        if "w" in self.lines and not self.lines["w"].derivative:
            raise ModelError(f"{name}.equations: the name 'w' is taken by the weight. Rename it.")
        if modulator is not None and modulator in (*self.numbers, "w"):
            raise ModelError(f"{name}.modulator: {modulator!r} has another meaning in the equations. Rename one.")
        other = [x.name for x in self.lines.values() if not x.derivative and x.number is None]
        if other:
            raise ModelError(f"{name}.equations: {other[0]!r} must be a derivative or a number. Write it out instead.")
        held = next((x.name for x in self.states.values() if x.held), None)
        if held:
            raise ModelError(f"{name}.equations: '(unless refractory)' is for neurons; got it for {held!r}.")
        for x in self.states.values():
            seen = self._of_targets([ast.unparse(x.right)]) if x.name == "w" else []
            self.known(f"d{x.name}/dt", x.right, (*seen, *((modulator,) if modulator else ())))
        self.goal: dict[str, str | None] = {}  # of variables: what they go to, None where they stay
        self.tau: dict[str, str] = {}
        self.driven: dict[str, dict[str, str]] = {}  # those that others drive: the factors of these in dx/dt
        for x in sorted(self.states.values(), key=lambda x: bool(self._others(x))):  # the others first
            if x.name != "w":
                self.goal[x.name], tau = self._relaxation(x)
                self.tau |= {x.name: tau} if tau else {}
        if modulator is not None and self.goal.get(modulator) not in (None, "0.0"):
            raise ModelError(f"{name}, d{modulator}/dt: a modulator decays, '-{modulator} / tau', or stays.")
        self.own = {x: goal for x, goal in self.goal.items() if x != modulator}
        for key, value in init.items():
            if key not in self.own:
                raise ModelError(f"{name}.init: {key!r} is no variable of a synapse.{nearest(str(key), self.own)}")
            if isinstance(value, bool) or not isinstance(value, (int, float, str)):
                raise ModelError(f"{name}.init: {key} must be a number or the name of a parameter; got {value!r}.")
        # what of dw/dt is of targets, what it reads, and the trace it goes with
        self.integrand, self.integrated, self.fade = "", list[str](), ""
        self.grows = self._growth()
        self.traces: dict[str, tuple[str, str, bool]] = {}  # side, what a spike adds, whether it sets to that

    def _relaxation(self, x: Line) -> tuple[str | None, str | None]:
        """What variable ``x`` goes to, and the time constant."""
        right = x.right
        if isinstance(right, ast.Constant) and right.value == 0:
            return None, None
        if self._others(x):
            return self._drive(x)
        minus = isinstance(right, ast.UnaryOp) and isinstance(right.op, ast.USub)
        whole = right.operand if isinstance(right, ast.UnaryOp) and minus else right
        if isinstance(whole, ast.BinOp) and isinstance(whole.op, ast.Div) and isinstance(whole.right, ast.Name):
            tau, top = whole.right.id, whole.left
            if isinstance(top, ast.UnaryOp) and isinstance(top.op, ast.USub) and not minus:
                minus, top = True, top.operand
            goal = None
            if minus and ast.unparse(top) == x.name:
                goal = "0.0"
            elif not minus and isinstance(top, ast.BinOp) and isinstance(top.op, ast.Sub):
                names = names_in(top.left)
                goal = renamed(top.left, {}) if ast.unparse(top.right) == x.name and names <= {*self.numbers} else None
            if goal is not None and tau in self.numbers:
                if self.lines[tau].unit != "ms":
                    raise ModelError(f"{self.name}.equations: {tau} must be in ms; got {self.lines[tau].unit!r}.")
                return goal, tau
        raise ModelError(
            f"{self.name}, d{x.name}/dt: must be -{x.name} / tau, (a - {x.name}) / tau or 0, tau a parameter in ms, a "
            f"of parameters; got {ast.unparse(right)!r}. Other solutions need functions: plasticity.define."
        )

    def _others(self, x: Line) -> list[str]:
        """Variables beside x itself in dx/dt."""
        return sorted(names_in(x.right) & {*self.states} - {x.name, "w"}) if x.name != "w" else []

    def _drive(self, x: Line) -> tuple[str, str]:
        """What variable ``x`` would go to without those that drive it, and the time constant; notes their factors."""
        others, name = self._others(x), f"{self.name}, d{x.name}/dt"
        for y in others:
            if y == self.modulator or y in self.driven or self._others(self.states[y]):
                what = "the modulator" if y == self.modulator else "driven by others itself"
                raise ModelError(f"{name}: {y!r} is {what}; what drives a variable decays, goes to a value or stays.")
        try:
            own, *factors = (factor_of(y, x.right, ()) for y in (x.name, *others))
        except ValueError as error:
            raise ModelError(f"{name}: must be linear in {x.name}, {', '.join(others)}; got {error}.") from None
        taus = [tau for tau in self.numbers if own and ast.unparse(own) in (f"-1.0 / {tau}", f"-(1.0 / {tau})")]
        rest = constant_of({x.name, *others}, x.right)
        used = set().union(*(names_in(y) for y in (*factors, rest) if y))
        if not taus or used & {"w", self.modulator, *self.states}:
            raise ModelError(
                f"{name}: must hold -{x.name} / tau, tau a parameter, and products of parameters with one of "
                f"{', '.join(others)}; got {ast.unparse(x.right)!r}."
            )
        if self.lines[taus[0]].unit != "ms":
            raise ModelError(f"{self.name}.equations: {taus[0]} must be in ms; got {self.lines[taus[0]].unit!r}.")
        self.driven[x.name] = {y: renamed(f, {}) for y, f in zip(others, factors, strict=True) if f}
        return f"({renamed(rest, {})}) * {taus[0]}" if rest else "0.0", taus[0]

    def _growth(self) -> tuple[str, str | None, str | None] | None:
        """dw/dt: the factor of parameters, the variable, and the integral in it: of the modulator or of targets."""
        if "w" not in self.states:
            return None
        line = self.states["w"]
        over, under = _factors(line.right)
        variables = [x for x in over if isinstance(x, ast.Name) and (x.id in self.own or x.id == self.modulator)]
        (rest, seen), (under, seen_under) = (self._parted([x for x in y if x not in variables]) for y in (over, under))
        found = [x.id for x in variables if isinstance(x, ast.Name)]
        used = set().union(*(names_in(x) for x in (*rest, *under, *seen, *seen_under)), set())
        mine = [x for x in found if x != self.modulator]
        if len(set(found)) < len(found) or len(mine) > 1 or used & {"w", *self.goal, self.modulator}:
            raise ModelError(
                f"{self.name}, dw/dt: must be a product of at most one variable, the modulator and parameters; got "
                f"{ast.unparse(line.right)!r}. Other solutions need functions: plasticity.define."
            )
        if mine and (mine[0] in self.driven or self.own[mine[0]] not in (None, "0.0")):
            by = ", ".join(self.driven.get(mine[0], ()))
            goes = f"it is driven by {by}" if by else f"it goes to {self.own[mine[0]]}"
            raise ModelError(f"{self.name}, dw/dt: {mine[0]} must decay to 0 or stay; {goes}.")
        integral = self.modulator if self.modulator in found else None
        if seen or seen_under:
            if integral or not mine or self.own[mine[0]] is None:
                part = ast.unparse((seen + seen_under)[0])
                raise ModelError(
                    f"{self.name}, dw/dt: what is of targets, {part!r}, needs a factor that decays, and no modulator "
                    f"beside it; got {ast.unparse(line.right)!r}."
                )
            self.fade = f"fade__{self.tau[mine[0]]}"
            self.integrated, integral = self._of_targets(map(ast.unparse, seen + seen_under)), "growth__w"
            self.integrand = _product(seen, seen_under, {x: x.removesuffix(_POST) for x in self.integrated})
        return _product(rest, under, {}), mine[0] if mine else None, integral

    def _of_targets(self, texts: Iterable[str]) -> list[str]:
        """Variables of targets, such as v_post, in these texts."""
        found = (name for text in texts for name in re.findall(rf"\b[^\W\d]\w*{_POST}\b", text))
        return [name for name in dict.fromkeys(found) if name not in self.lines and name != self.modulator]

    def _parted(self, factors: list[ast.expr]) -> tuple[list[ast.expr], list[ast.expr]]:
        """Those of parameters alone, and those that hold variables of targets."""
        held = [x for x in factors if self._of_targets([ast.unparse(x)])]
        return [x for x in factors if x not in held], held

    def ends(self, bounds: Any) -> tuple[str, str]:
        """The bounds as text."""
        try:
            low, high = bounds
        except (TypeError, ValueError):
            raise ModelError(f"{self.name}.bounds: must be two, such as (0, 'w_max'); got {bounds!r}.") from None
        for x in (low, high):
            number = isinstance(x, (int, float)) and not isinstance(x, bool) and math.isfinite(x)
            if not number and (not isinstance(x, str) or x not in self.numbers):
                hint = nearest(x, self.numbers) if isinstance(x, str) else ""
                raise ModelError(f"{self.name}.bounds: must be numbers or names of parameters; got {x!r}.{hint}")
        low, high = (x if isinstance(x, str) else repr(float(x)) for x in (low, high))
        if not _named(low, high) and float(low) > float(high):
            raise ModelError(f"{self.name}.bounds: the smallest weight must be <= the largest; got {bounds!r}.")
        return low, high

    def changes(self, what: str, text: str) -> list[tuple[str, ast.expr]]:
        """Statements of ``on_pre`` or ``on_post``."""
        more = ("w", *self.read, *((self.modulator,) if self.modulator else ()))
        found = self.statements(what, text, ("w", *self.own), _STATEMENTS, more=more, draws=True)
        drawn: list[str] = []
        each = "synapse and spike"
        return [(x, with_draws(f"{self.name}.{what}", value, drawn, UNIFORM, each)) for x, value in found]

    def find_traces(self, statements: Mapping[str, list[tuple[str, ast.expr]]]) -> None:
        """Note variables that are traces of one side's spikes."""
        drive = {y for others in self.driven.values() for y in others}
        for x, goal in self.own.items():
            found = [(side, value) for side, changed in statements.items() for target, value in changed if target == x]
            used = x in drive or x in self.driven or (self.grows and self.grows[1] == x)
            if goal != "0.0" or len(found) != 1 or self.init.get(x, 0.0) != 0.0 or used:
                continue
            side, value = found[0]
            added, sign = value, ""
            sums = isinstance(value, ast.BinOp) and isinstance(value.op, (ast.Add, ast.Sub))
            if isinstance(value, ast.BinOp) and sums and ast.unparse(value.left) == x:
                added, sign = value.right, "-" if isinstance(value.op, ast.Sub) else "+"
            if names_in(added) <= {*self.numbers, "pi"}:
                text = renamed(added, {})
                self.traces[x] = side, f"-({text})" if sign == "-" else text, not sign

    def at_spikes(self, statements: list[tuple[str, ast.expr]], low: str, high: str) -> list[str]:
        """What on_pre or on_post does."""
        names = {x: _expression(f"({added}) * {x}") for x, (_, added, _) in self.traces.items()}
        body = []
        for target, value in statements:
            if target in self.traces:
                _, added, nearest_only = self.traces[target]
                names[target] = _expression(added if nearest_only else f"({added}) * ({target} + 1.0)")
            else:
                body.append(f"{target} = {ast.unparse(expanded(_expression(renamed(value, {})), names))}")
        if any(target == "w" for target, _ in statements):
            body.append(f"w = min(max(w, {low}), {high})")
        return body

    def between(self, low: str, high: str) -> list[str]:
        """What flow does."""
        body = []
        if self.grows is not None:
            factor, x, integral = self.grows
            tau = self.tau.get(x) if x else None
            span = integral or (f"{tau} * (1.0 - fade__{tau})" if tau else "h")
            body.append(f"w = w + {factor}{f' * {x}' if x else ''} * {span}")
            body.append(f"w = min(max(w, {low}), {high})")
        for x, others in self.driven.items():  # before these move
            tau, goals, moved = self.tau[x], [str(self.own[x])], [f"goal__ + ({x} - goal__) * fade__{self.tau[x]}"]
            for y, factor in others.items():
                to = self.own[y]
                if to != "0.0":
                    goals.append(f"({factor}) * {tau} * ({to or y})")
                if to is not None:
                    gap = f"abs(1.0 / {tau} - 1.0 / {self.tau[y]})"
                    away = y if to == "0.0" else f"({y} - ({to}))"
                    moved.append(f"({factor}) * {away} * scalar.overlap(h, fade__{tau}, fade__{self.tau[y]}, {gap})")
            body += [f"goal__ = {' + '.join(goals)}", f"{x} = {' + '.join(moved)}"]
        for x, goal in self.own.items():
            if x not in self.traces and x not in self.driven and goal is not None:
                fade = f"fade__{self.tau[x]}"
                body.append(f"{x} = {x} * {fade}" if goal == "0.0" else f"{x} = {goal} + ({x} - ({goal})) * {fade}")
        return body

    def function(self, kind: str, body: list[str]) -> str:
        """Text of a function."""
        state = [x for x in self.own if x not in self.traces]
        taken = {n.id for n in ast.walk(ast.parse("\n".join(body))) if isinstance(n, ast.Name)}
        fades = [f"fade__{tau}" for tau in dict.fromkeys(self.tau.values())]
        more = [*self.traces, *((self.modulator,) if self.modulator else ()), *fades, *self.numbers, "h"]
        more += [*self.read, "growth__w", *UNIFORM]
        arguments = ["w", *state, *(x for x in more if x in taken)]
        lines = "\n".join(f"    {line}" for line in [*body, f"return {', '.join(['w', *state])}"])
        return f"def {self.name}_{kind}({', '.join(arguments)}):\n{lines}\n"

    def params(self) -> tuple[Param, ...]:
        """Parameters; time constants are > 0."""
        taus = set(self.tau.values())
        return tuple(
            Param(name, self.lines[name].unit, default, self.lines[name].doc or name, gt=0 if name in taus else None)
            for name, default in self.numbers.items()
        )

    def state(self) -> tuple[StateVar, ...]:
        """Variables of a synapse."""
        lines = [self.lines[x] for x in self.own if x not in self.traces]
        return tuple(
            StateVar(x.name, x.unit, x.doc or f"d{x.name}/dt = {ast.unparse(x.right)}", self.init.get(x.name, 0.0))
            for x in lines
        )

    def all_traces(self) -> tuple[Trace, ...]:
        """Traces of spikes, then what decays between events."""
        found = [Trace(x, side, self.tau[x], only) for x, (side, _, only) in self.traces.items()]
        taus = [self.tau[x] for x in self.own if x not in self.traces and x in self.tau]
        return (*found, *(Trace(f"fade__{tau}", "between", tau) for tau in dict.fromkeys(taus)))

    def observer(self, module: str) -> Observer | None:
        """What is read of targets."""
        given = {x: x.removesuffix(_POST) for x in self.read}
        if self.integrand:
            given["observed__w"] = self.integrand
        if not given:
            return None
        reads = dict.fromkeys(x.removesuffix(_POST) for x in (*self.read, *self.integrated))
        used = names_in(_expression(self.integrand)) if self.integrand else set()
        arguments = [*reads, *(x for x in self.numbers if x in used)]
        name = f"{self.name}_observe"
        text = f"def {name}({', '.join(arguments)}):\n    return {', '.join(given.values())}\n"
        grows = (Integral("growth__w", "observed__w", self.fade),) if self.integrand else ()
        return Observer(tuple(reads), (), function_of(name, text, module), tuple(given), grows)

    def third(self, on_modulator: str) -> Modulator | None:
        """The modulator."""
        name = self.modulator
        if name is None:
            if on_modulator:
                raise ModelError(f"{self.name}.on_modulator: there is no modulator. Give its name: modulator='reward'.")
            return None
        jump = None
        if on_modulator:
            found = self.statements("on_modulator", on_modulator, (name,), f"'{name} += a'", more=(name,))
            jump = on_modulator.replace(" ", "").removeprefix(f"{name}+=").rstrip(";")
            if len(found) != 1 or jump not in self.numbers:
                raise ModelError(
                    f"{self.name}.on_modulator: must be '{name} += a', where a is a parameter; got {on_modulator!r}."
                )
        line = self.lines.get(name)
        x = self.grows[1] if self.grows and self.grows[2] == name else None
        discount = f"fade__{self.tau[x]}" if x in self.tau else None
        unit, about = (line.unit, line.doc) if line else ("1", "")
        return Modulator(name, unit, about or "set by the user", self.tau.get(name), jump, discount)


def _product(over: list[ast.expr], under: list[ast.expr], names: Mapping[str, str]) -> str:
    """Their product as text, with other names."""
    return " / ".join(
        [" * ".join(f"({renamed(x, names)})" for x in over) or "1.0", *(f"({renamed(x, names)})" for x in under)]
    )


def _factors(node: ast.expr) -> tuple[list[ast.expr], list[ast.expr]]:
    """Factors over and under the line of a product."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        (over, under), (more, less) = _factors(node.left), _factors(node.right)
        return (over + more, under + less) if isinstance(node.op, ast.Mult) else (over + less, under + more)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        over, under = _factors(node.operand)
        return [ast.Constant(-1.0), *over], under
    return [node], []


def _expression(text: str) -> ast.expr:
    return ast.parse(text, mode="eval").body


def _named(low: str, high: str) -> tuple[str, ...]:
    """Parameters among the bounds."""
    return tuple(x for x in (low, high) if x.isidentifier())


def _end(p: Any, x: str) -> Any:
    return getattr(p, x) if x.isidentifier() else float(x)


def _pair(low: str, high: str) -> Callable[[Any], tuple[Any, Any]]:
    return lambda p: (_end(p, low), _end(p, high))


def _ordered(low: str, high: str) -> Callable[[Any], Any]:
    return lambda p: np.less_equal(_end(p, low), _end(p, high))
