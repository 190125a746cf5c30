"""Rules that Loihi learns by on the chip: sums of products of traces, with Lava 0.10's integers and random numbers.

Equations
---------
Each synapse has w (weight, -256..255), d (0..255) and t (tags, -257..255; d delays nothing); each presynaptic neuron
traces x1, x2, each postsynaptic one y1, y2, y3, whole numbers 0..127. Every ``epoch`` steps, where z is w, d or t,

    z <- round(z + sum_p S_p D_p F_p1 F_p2 ..)        S = m 2^e, m = -8..7, e = -7..8

D_p is x0 (1 where the presynaptic neuron spiked in the epoch), y0 (the postsynaptic one) or uk (1 in every 2^k-th
epoch); F is a trace, w, d, t, each plus a constant if given, the sign of such a sum of w, d or t, or a second
x0 or y0. Traces are those at the spike that D stands for, for uk at the end of the epoch; they contain that step's
impulses. The sum is in 15 bits, of which 7 are lost again by stochastic rounding: one random number for all synapses.

**Hidden shift.** A product is worth less than it says, 2^-max(0, b - 11) of it: b is the sum of its factors' bits, 7 a
trace, 9 for w, d, t, 1 for x0, y0. One trace loses nothing, two lose 2^3, w and a trace 2^5, three traces 2^10
(:attr:`Product.lost`).

Traces decay by exp(-1 / tau) a step, rounded stochastically: up where a number shared by all neurons is below the
fraction. An impulse's fraction is 8 bits beside a random number of 7, so that 0.25 rounds up every other time, and 0.5
always. A neuron's spikes before its last of an epoch add their impulse at once, its last where the epoch is replayed.

Three-factor rules (``third_factor``) receive their y from the postsynaptic neuron: y1 <- floor(y1 exp(-1 / tau) +
impulse s), s its spike of the step before; y2 <- floor(y2 exp(-1 / tau) + a), a what arrives in this step over
projections with ``third=True``; y3 = 0. With ``bits`` of fraction, neurons floor there and send the nearest whole
number.

Sources: Davies et al. 2018, doi:10.1109/MM.2018.112130359; Fremaux & Gerstner 2016, doi:10.3389/fncir.2015.00085;
Lava 0.10.0 (``LearningDense``, ``Loihi2FLearningRule``, ``Loihi3FLearningRule``), which the tests run beside this.
"""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from kernels import onchip
from kernels.errors import ModelError, ShapeError
from kernels.jit import jit

VARIABLES = ("x0", "y0", "u", "x1", "x2", "y1", "y2", "y3", "w", "d", "t")  # places in kernels.onchip's table
BITS = dict(zip(VARIABLES, (1, 1, 1, 7, 7, 7, 7, 7, 9, 9, 9), strict=True))
TRACES = ("x1", "x2", "y1", "y2", "y3")
STILL = 65535.0  # time constant of the y that a three-factor rule has received, steps
TARGETS = ("dw", "dd", "dt")


class Factor(NamedTuple):
    """``variable + constant``, or its sign."""

    variable: str
    constant: int = 0
    sign: bool = False


class Product(NamedTuple):
    """``mantissa 2^exponent dependency factors``; ``period`` is 2^k of uk, else 0."""

    dependency: str
    mantissa: int
    exponent: int
    factors: tuple[Factor, ...]
    period: int = 0

    @property
    def bits(self) -> int:
        """Sum of the factors' bits."""
        return sum(BITS[f.variable] for f in self.factors)

    @property
    def lost(self) -> int:
        """How often the product is halved without saying so."""
        return max(0, self.bits - 11)


_TOKEN = re.compile(r"(sgn(?=\()|[xy]0|u\d+|x[12]|y[123]|[wdt](?!\w)|\d+(?:\^[+-]?\d+)?|[()*+-])")


def parse(text: str, owner: str = "parse") -> tuple[Product, ...]:
    """Products of a rule in Lava's notation, such as "2^-2*x1*y0 - 2^-2*y1*x0 + u1*sgn(w - 3)*t".

    Raises
    ------
    ModelError
        Where the text is no sum of products, or one does not fit Loihi's registers.

    Examples
    --------
    >>> from neuromorphic.learning import parse
    >>> parse("-3*2^-2*x0*(y1+4)")[0].factors
    (Factor(variable='y1', constant=4, sign=False),)
    """
    return _Parser(text, owner).sum()


class _Parser:
    def __init__(self, text: str, owner: str) -> None:
        if not isinstance(text, str):
            raise ModelError(f"{owner}: must be a string; got {text!r}.")
        self.text, self.owner = text, owner
        bare = text.replace(" ", "")
        self.tokens: list[str] = []
        at = 0
        while at < len(bare):
            found = _TOKEN.match(bare, at)
            if not found:
                raise self.wrong(f"{bare[at : at + 8]!r} is no x0, x1, x2, y0 .. y3, uk, w, d, t, sgn() or number")
            self.tokens.append(found.group())
            at = found.end()
        self.at = 0

    def wrong(self, what: str) -> ModelError:
        return ModelError(
            f"{self.owner}: must be a sum of products such as 2^-2*x1*y0 - x0*(y1+3); {what}; got {self.text!r}."
        )

    def take(self, *wanted: str) -> str:
        token = self.tokens[self.at] if self.at < len(self.tokens) else ""
        if wanted and token not in wanted:
            return ""
        self.at += bool(token)
        return token

    def sum(self) -> tuple[Product, ...]:
        products = [self.product(-1 if self.take("+", "-") == "-" else 1)]
        while self.at < len(self.tokens):
            sign = self.take("+", "-")
            if not sign:
                raise self.wrong(f"{self.tokens[self.at]!r} where + or - should be")
            products.append(self.product(-1 if sign == "-" else 1))
        return tuple(products)

    def product(self, mantissa: int) -> Product:
        exponent, dependency, period, factors = 0, "", 0, list[Factor]()
        while True:
            token = self.take()
            if token in ("", "+", "-", "*", ")"):
                raise self.wrong(f"{token or 'the end'!r} where a factor should be")
            if token[0].isdigit():
                m, e = self.number(token)
                mantissa, exponent = mantissa * m, exponent + e
            elif token[0] == "u":
                if dependency or len(token) > 2:
                    raise self.wrong(f"{token} must come first in its product, with one digit")
                dependency, period = "u", 1 << int(token[1])
            elif token in ("x0", "y0"):
                if dependency:
                    factors.append(Factor(token))
                dependency = dependency or token
            elif token in ("(", "sgn"):
                found = self.bracket(token)
                if isinstance(found, Factor):
                    factors.append(found)
                else:
                    mantissa, exponent = mantissa * found[0], exponent + found[1]
            else:
                factors.append(Factor(token))
            if not self.take("*"):
                break
        return self.fitting(dependency, mantissa, exponent, tuple(factors), period)

    def number(self, token: str) -> tuple[int, int]:
        """(m, e) of m 2^e."""
        base, power, exponent = token.partition("^")
        if power and base != "2":
            raise self.wrong(f"{token}: powers are of 2")
        return (1, int(exponent)) if power else (int(base), 0)

    def bracket(self, kind: str) -> Factor | tuple[int, int]:
        """(v + c), (c + v), (v), sgn() of these, or a number in brackets."""
        if kind == "sgn":
            self.take("(")
        variable, constant, count = "", 0, 0
        m, e = 1, 0
        while True:
            sign = -1 if self.take("+", "-") == "-" else 1
            token = self.take()
            if token and token[0].isdigit():
                m, e = self.number(token)
                while self.take("*"):
                    token = self.take()
                    if not token or not token[0].isdigit():
                        raise self.wrong("a bracket holds a variable and a constant")
                    more = self.number(token)
                    m, e = m * more[0], e + more[1]
                m, count = m * sign, count + 1
                constant = m << e if e >= 0 else 256
            elif token in (*TRACES, "w", "d", "t") and not variable and sign == 1:
                variable = token
            else:
                raise self.wrong(
                    f"{token or 'the end'!r} in a bracket, which holds a variable plus or minus a constant"
                )
            if self.take(")"):
                break
        if not variable and kind == "(" and count == 1:
            return m, e
        if not variable or count > 1 or (kind == "sgn" and variable not in ("w", "d", "t")):
            raise self.wrong("a bracket holds a variable plus or minus a constant, and sgn is of w, d or t")
        if not -128 <= constant <= 127:
            raise self.wrong("a constant in a bracket must be whole, -128 to 127")
        return Factor(variable, constant, kind == "sgn")

    def fitting(
        self, dependency: str, mantissa: int, exponent: int, factors: tuple[Factor, ...], period: int
    ) -> Product:
        """The product with its number as mantissa and exponent of Loihi's registers."""
        if not dependency:
            raise self.wrong("every product needs x0, y0 or uk")
        while abs(mantissa) > 7 and mantissa % 2 == 0 and exponent < 8:
            mantissa, exponent = mantissa // 2, exponent + 1
        if not (-8 <= mantissa <= 7 and -7 <= exponent <= 8):
            raise self.wrong(f"{mantissa}*2^{exponent} is no m*2^e with m -8 to 7 and e -7 to 8")
        product = Product(dependency, mantissa, exponent, factors, period)
        if product.bits > 28:
            raise self.wrong(f"a product of {product.bits} bits leaves the 32 there are (28 and 4 of its number)")
        return product


@dataclass(frozen=True)
class OnChipRule:
    """A learning rule of Loihi, as the module says.

    Parameters
    ----------
    dw, dd, dt : how w, d and t change at the end of an epoch; "" for not at all. See :func:`parse`
    x1, x2, y1, y2, y3 : (impulse, time constant in steps) of the traces; 0..127, and tau >= 0 (0: gone after a step).
        Of a three-factor rule y1 and y2 are the postsynaptic neuron's; y2 has no impulse, y3 none and no tau
    epoch : steps, 1..63
    seed : of the random numbers of traces; those that round w, d and t are always the same in Lava
    third_factor : y come from the postsynaptic neuron, y2 being the third factor
    bits : of fraction that the postsynaptic neuron keeps of y1 and y2, 0..12; 0 is as in Lava's own example

    Examples
    --------
    >>> from neuromorphic import OnChipRule
    >>> rule = OnChipRule(dw="2^-2*x1*y0 - 2^-2*y1*x0", x1=(16, 20), y1=(16, 20))
    >>> [p.lost for p in rule.products("dw")]
    [0, 0]
    """

    dw: str = ""
    dd: str = ""
    dt: str = ""
    x1: tuple[float, float] = (0, 0)
    x2: tuple[float, float] = (0, 0)
    y1: tuple[float, float] = (0, 0)
    y2: tuple[float, float] = (0, 0)
    y3: tuple[float, float] = (0, 0)
    epoch: int = 1
    seed: int = 0
    third_factor: bool = False
    bits: int = 0

    def __post_init__(self) -> None:
        for name in TRACES:
            value = np.asarray(getattr(self, name), float)
            if value.shape != (2,) or not (0 <= value[0] <= 127 and 0 <= value[1] < np.inf):
                raise ModelError(
                    f"OnChipRule.{name}: must be (impulse 0..127, tau >= 0 steps); got {getattr(self, name)!r}."
                )
            if self.third_factor and name in ("y2", "y3") and (value[0] or (value[1] and name == "y3")):
                wanted = "(0, 0)" if name == "y3" else "(0, tau)"
                raise ModelError(f"OnChipRule.{name}: must be {wanted} with third_factor; got {getattr(self, name)!r}.")
        for name, low, high in (("epoch", 1, 63), ("seed", 0, 2**31 - 4), ("bits", 0, 12 if self.third_factor else 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
                raise ModelError(f"OnChipRule.{name}: must be an integer, {low} to {high}; got {value!r}.")
        periods = {p.period for target in TARGETS for p in self.products(target)} - {0}
        if not any(self.products(target) for target in TARGETS):
            raise ModelError("OnChipRule.dw: one of dw, dd and dt must be given; got none.")
        if len(periods) > 1:
            raise ModelError(f"OnChipRule.dw: all uk of a rule must have the same k; got 2^k = {sorted(periods)}.")

    def products(self, target: str) -> tuple[Product, ...]:
        """Products of "dw", "dd" or "dt"."""
        return self._parsed[target]

    @cached_property
    def _parsed(self) -> dict[str, tuple[Product, ...]]:
        return {k: parse(getattr(self, k), f"OnChipRule.{k}") if getattr(self, k) else () for k in TARGETS}

    @property
    def tags(self) -> tuple[str, ...]:
        """Which of "d" and "t" a synapse has to keep: those that change or are read."""
        read = {f.variable for k in TARGETS for p in self.products(k) for f in p.factors}
        return tuple(v for v in "dt" if v in read or self.products(f"d{v}"))


class Streams:
    """The random numbers of a projection, as Lava draws them."""

    def __init__(self, rule: OnChipRule) -> None:
        self.epoch, self.step = rule.epoch, 0
        self.traces = [np.random.default_rng(rule.seed + k) for k in range(4)]
        self.weight = np.random.default_rng(2)
        self.draw(1), self.weight.random(1)  # one of each before the first step

    def draw(self, n: int) -> list[np.ndarray]:
        """The next n of each: decay and impulse of x, then of y."""
        return [g.integers(0, 128, n) if k % 2 else g.random(n) for k, g in enumerate(self.traces)]

    def next(self, count: int) -> np.ndarray:
        """Random numbers of the next ``count`` steps, shape (count, 6), columns as in :mod:`kernels.onchip`."""
        x_decay, x_impulse, y_decay, y_impulse = self.draw(2 * count)  # twice a step: after x's spikes, after y's
        out = np.zeros((count, 6))
        out[:, onchip.POST] = y_impulse[::2]
        for k, x in ((onchip.X_DECAY, x_decay), (onchip.X_IMPULSE, x_impulse),
                     (onchip.Y_DECAY, y_decay), (onchip.Y_IMPULSE, y_impulse)):  # fmt: skip
            out[:, k] = x[1::2]
        ends = np.arange(self.step + 1, self.step + count + 1) % self.epoch == 0
        out[ends, onchip.WEIGHT] = self.weight.random(int(ends.sum()))
        self.step += count
        return out


def pack_rules(
    rules: list[OnChipRule], links: list[int], modes: list[int], sizes: list[tuple[int, int]], t: Any, d: Any
) -> onchip.Learners:
    """Learning projections in their initial state.

    Parameters
    ----------
    links : which projections they are
    modes : sign modes
    sizes : number of pre- and postsynaptic neurons
    t, d : tags of all synapses
    """
    products: list[list[int]] = []
    factors: list[list[int]] = []
    series = np.zeros((len(rules), 4), np.int64)
    for k, rule in enumerate(rules):
        series[k, 0] = len(products)
        for n, target in enumerate(TARGETS):
            for p in rule.products(target):
                first = len(factors)
                factors += [[VARIABLES.index(f.variable), f.constant, f.sign, BITS[f.variable]] for f in p.factors]
                at = VARIABLES.index(p.dependency)
                products.append([at, p.mantissa, p.lost, p.exponent + 7, first, len(factors)])
            series[k, n + 1] = len(products)
    given = np.array([[getattr(r, name) for name in TRACES] for r in rules], float).reshape(len(rules), 5, 2)
    third = np.array([r.third_factor for r in rules], bool)
    impulse, tau = given[..., 0], given[..., 1]

    def keep(tau: np.ndarray) -> np.ndarray:
        with np.errstate(divide="ignore"):
            return np.where(tau > 0, np.exp(-1 / tau), 0.0)

    own = np.stack((keep(tau[:, 2]), keep(tau[:, 3]), impulse[:, 2]), axis=1)
    impulse[third, 2:], tau[third, 2:] = 0, STILL
    pre, post = (np.cumsum([0, *(s[k] for s in sizes)]) for k in (0, 1))

    def whole(values: Any) -> np.ndarray:
        return np.array(values, np.int64)

    period = [max((p.period for k in TARGETS for p in r.products(k)), default=0) for r in rules]
    return onchip.Learners(
        whole(links), whole([r.epoch for r in rules]), whole(period), third.astype(np.int64), whole(modes), own,
        whole([r.bits for r in rules]),
        keep(tau),
        np.floor(impulse).astype(np.int64), np.rint((impulse - np.floor(impulse)) * 256).astype(np.int64), series,
        whole(products).reshape(-1, 6), whole(factors).reshape(-1, 4), pre[:-1], post[:-1],
        np.zeros(pre[-1], np.int64), np.zeros(post[-1], np.int64), np.zeros((2, pre[-1]), np.int64),
        np.zeros((3, post[-1]), np.int64), np.zeros(len(rules), np.int64), np.zeros(post[-1], np.int64),
        np.zeros((2, post[-1]), np.int64), whole(t), whole(d),
    )  # fmt: skip


class Learned(NamedTuple):
    """State after each step: w, d, t of shape (steps, pre, post), x of (steps, 2, pre), y of (steps, 3, post)."""

    w: np.ndarray
    d: np.ndarray
    t: np.ndarray
    x: np.ndarray
    y: np.ndarray


def learn(
    rule: OnChipRule, pre: Any, post: Any, weights: Any, d: Any = 0, t: Any = 0, y: Any = None, sign_mode: int = 1
) -> Learned:
    """What a rule makes of given spikes.

    Parameters
    ----------
    pre, post : spikes, shape (steps, pre) and (steps, post)
    weights, d, t : at the start, shape (pre, post); weights as they are stored, see
        :func:`neuromorphic.fixed_point_step.effective_weights`
    y : what a three-factor rule receives in each step, shape (steps, 3, post)
    sign_mode : 1 MIXED, 2 EXCITATORY, 3 INHIBITORY

    Examples
    --------
    >>> import numpy as np
    >>> from neuromorphic import OnChipRule
    >>> from neuromorphic.learning import learn
    >>> rule = OnChipRule(dw="x1*y0 - y1*x0", x1=(16, 10), y1=(16, 10))
    >>> learn(rule, np.array([[1], [0], [0]]), np.array([[0], [0], [1]]), np.zeros((1, 1), int)).w[:, 0, 0]
    array([ 0,  0, 13])
    """
    pre, post = np.asarray(pre, bool), np.asarray(post, bool)
    weights = np.array(weights, np.int64)
    shape = (pre.shape[-1], post.shape[-1])
    if pre.ndim != 2 or post.ndim != 2 or len(pre) != len(post) or weights.shape != shape:
        raise ShapeError(
            f"learn.weights: must be (pre, post), with pre (steps, pre) and post (steps, post); got {weights.shape}, "
            f"{pre.shape} and {post.shape}."
        )
    steps = len(pre)
    given = np.zeros((steps, 3, shape[1]), np.int64) if y is None else np.asarray(y, np.int64)
    if given.shape != (steps, 3, shape[1]) or (y is None) == rule.third_factor:
        raise ShapeError(f"learn.y: a three-factor rule, and no other, needs (steps, 3, post); got {given.shape}.")
    tags = [np.broadcast_to(np.asarray(x, np.int64), shape).ravel() for x in (t, d)]
    learners = pack_rules([rule], [0], [sign_mode], [shape], *tags)
    rows, targets = np.arange(shape[0] + 1) * shape[1], np.tile(np.arange(shape[1]), shape[0])
    out = Learned(
        *(np.zeros((steps, shape[0], shape[1]), np.int64) for _ in range(3)),
        *(np.zeros((steps, n, m), np.int64) for n, m in ((2, shape[0]), (3, shape[1]))),
    )
    spiked = np.concatenate((pre, post), axis=1)
    _drive(learners, spiked, given, Streams(rule).next(steps), rows, targets, weights.ravel(), out)
    return out


@jit
def _drive(learners, spiked, given, draws, rows, targets, weights, out):  # type: ignore[no-untyped-def]
    n_pre, n_post = len(learners.tx), len(learners.ty)
    for k in range(len(spiked)):
        onchip.note_spikes(k + 1, 0, learners, n_pre, n_post, spiked[k], 0, n_pre, given[k], draws[k], 0, 1)
        if (k + 1) % learners.epoch[0] == 0:
            onchip.learn(k + 1, 0, learners, n_pre, n_post, 0, rows, targets, weights, draws[k])
        out.w[k] = weights.reshape((n_pre, n_post))
        out.d[k] = learners.d.reshape((n_pre, n_post))
        out.t[k] = learners.t.reshape((n_pre, n_post))
        out.x[k] = learners.x
        out.y[k] = learners.y
