"""Rules of :mod:`plasticity` as sums of products that Loihi learns by; :func:`neuromorphic.quantize` calls this.

Weights are counted so that w_max is 255, the largest of one sign. ``STDPPair`` with mu 0 or 1 becomes, in epochs of one
step, with A+ = 255 lambda exp(-dt / tau_plus) / I_x and A- = 255 alpha lambda / I_y,

    mu 0:  dw = A+ x1 y0 - A- y1 x0 + A- I_y x0 y0
    mu 1:  A+ (1 - w / 255) and A- w / 255 in their place

x1 and y1 jump by I at a spike and decay by tau. A synapse of the float network hears of its target's spikes a step
late, Loihi's at once. Potentiation is the same nevertheless, by the exponential. The last product takes back what a
pair in the same step would depress: in the float network it potentiates only. Depression is one step of distance ahead:
a pair one step apart, a coincidence there, depresses as one of two steps does there, and so on; the sum over all
distances, which is what counts for spikes that know nothing of each other, is the same.

``DopamineSTDP`` becomes a three-factor rule: t is the eligibility, 16 for what the larger of a_plus and a_minus leaves,
y2 the dopamine, J for a spike of its source; with P = 2^k steps

    dt = A+ x1 y0 - A- y1 x0 - (1 - exp(-P dt / tau_c)) uk t,   dw = 255 / w_max max(a) / 16 P dt / (tau_n J) uk t y2

A+ = 16 a_plus / max(a) exp(-dt / tau_plus) / I_x and A- alike: the postsynaptic neuron sends its trace a step late, so
depression is one step of distance behind, with the same sum. t ends at 255: more than 16 pairs at once are not seen.

A product's number is m 2^e with m of three bits. It is made exact by the impulse, the largest that keeps a trace below
128: a fraction f / 256 of an impulse is rounded up f times of 128, so the impulse is in the mean what it has to be.
Products lose bits without saying so (:attr:`Product.lost`): 2^lost is put into their numbers. Products with w are
floored by that shift, at 1/128 of a weight's unit: with mu 1 weights come out a little smaller.
"""

import math
from dataclasses import dataclass

import numpy as np

from kernels.errors import ExportError
from neuromorphic.learning import OnChipRule, parse
from plasticity.base import PlasticityRule

TOP = 255  # w_max in units of a stored weight
ELIGIBLE = 16  # t that a pair leaves


@dataclass(frozen=True)
class LearningReport:
    """What became of a plasticity rule.

    Attributes
    ----------
    rule : what Loihi computes
    potentiation, depression : change of a weight by a pair of spikes at distance 0+, as a part of w_max (mu 0) or of
        what is left to the bound (mu 1): asked for, realised. Of a third-factor rule the eligibility, in weight
    tau_c : time constant of eligibility, ms, and what a spike of dopamine makes of eligibility 1, ``gain``; or None
    dopamine : what its spike adds to y2; 0 without a third factor
    lost : by product, as often as which it would have been halved had its factor not been raised
    """

    rule: OnChipRule
    potentiation: tuple[float, float]
    depression: tuple[float, float]
    lost: tuple[int, ...]
    tau_c: tuple[float, float] | None = None
    gain: tuple[float, float] | None = None
    dopamine: int = 0

    def __str__(self) -> str:
        pairs = [x for x in (self.potentiation, self.depression, self.tau_c, self.gain) if x]
        rates = (f"{real:.4g} ({asked:.4g})" for asked, real in pairs)
        tags = f"dt = {self.rule.dt}; " if self.rule.dt else ""
        more = ", of tau_c and of the gain of dopamine" if self.tau_c else ""
        impulses = f"{self.rule.x1[0]:.4g}, {self.rule.y1[0]:.4g}"
        return (
            f"dw = {self.rule.dw}; {tags}impulses {impulses}; potentiation, depression of "
            f"a pair{more} realised (asked) {', '.join(rates)}; bits made up for: {', '.join(map(str, self.lost))}"
        )


def on_chip(owner: str, rule: PlasticityRule, dt: float, interval: int, seed: int) -> LearningReport:
    """The sum of products for a float rule.

    Parameters
    ----------
    owner : named in errors
    dt : step, ms
    interval : fewest steps between two spikes of a neuron; traces then stay below 128
    seed : of the rule's random numbers

    Raises
    ------
    ExportError
        Where the rule has no counterpart.
    """
    p = _numbers(owner, rule)
    if rule.spec.name != "STDPPair":
        raise ExportError(
            f"{owner}.plasticity: must be STDPPair, or DopamineSTDP with a modulator; got {rule.spec.name}."
        )
    for name in ("mu_plus", "mu_minus"):
        if p[name] not in (0.0, 1.0):
            raise ExportError(
                f"{owner}.plasticity.{name}: must be 0 or 1 (a rule on the chip has whole powers); got {p[name]:g}."
            )
    terms: list[str] = []
    found: list[tuple[float, float, float]] = []
    for name, tau, sign, trace, mu, rate in (
        ("lambda_", p["tau_plus"] / dt, "", "x1*y0", p["mu_plus"], p["lambda_"]),
        ("alpha", p["tau_minus"] / dt, "-", "y1*x0", p["mu_minus"], p["alpha"] * p["lambda_"]),
    ):
        asked = rate if sign else rate * math.exp(-1.0 / tau)
        if asked == 0:
            found.append((0.0, 0.0, tau))
            continue
        largest = 127 * -math.expm1(-interval / tau)
        if largest < 1:
            raise ExportError(
                f"{owner}.plasticity: a trace of {tau:g} steps leaves 7 bits where neurons spike every {interval} "
                "step(s). Give quantize a larger interval, or shorten the time constant."
            )
        least = -7 if mu == 0 else -4  # w in place of 255 is 2^-8 of it, and halved 5 times
        impulse, m, e, mean = _impulse(TOP * asked, largest, least)
        if mean < 1:
            raise ExportError(
                f"{owner}.plasticity.{name}: a pair must change a weight by at least {2.0**least / TOP:.2g} w_max "
                f"(and at most {1792 * largest / TOP:.2g}); got {asked:.2g}. Use another learning rate."
            )
        real = m * 2.0**e * mean / TOP
        found.append((real / asked * rate, impulse, tau))
        if mu == 0 or not sign:
            terms.append(f"{sign}{m}*2^{e}*{trace}")
        if mu == 1:
            terms.append(f"-{m}*2^{e - 3}*w*{trace}")
        if sign:  # what the presynaptic spike's own step adds to its target's trace
            back = _number(real * TOP / (1 if mu == 0 else 256))
            terms += [f"{m}*2^{e}*{'w*' if mu else ''}x0*y0" for m, e in back]
    text = " + ".join(terms).replace("--", "").replace("+ -", "- ")
    (up, x, tau_x), (down, y, tau_y) = found
    try:
        made = OnChipRule(dw=text, x1=(x, tau_x), y1=(y, tau_y), seed=seed)
    except ValueError as error:
        raise ExportError(f"{owner}.plasticity: {error}") from error
    rates = (p["lambda_"], up), (p["alpha"] * p["lambda_"], down)
    return LearningReport(made, *rates, tuple(q.lost for q in parse(text)))


def _numbers(owner: str, rule: PlasticityRule) -> dict[str, float]:
    """The rule's parameters, which a projection on the chip shares."""
    for name in rule.of_synapse:
        raise ExportError(
            f"{owner}.plasticity.{name}: must be one number, because synapses on the chip share their rule; got values "
            "for each. Give its mean."
        )
    return rule.params


def dopamine(owner: str, rule: PlasticityRule, dt: float, interval: int, seed: int, most: float) -> LearningReport:
    """``DopamineSTDP`` as a three-factor rule; parameters and errors as of :func:`on_chip`.

    ``most`` is the largest value that dopamine takes, counted in what a spike adds.
    """
    p = _numbers(owner, rule)
    for name in ("b", "w_min"):
        if p[name] != 0:
            raise ExportError(f"{owner}.plasticity.{name}: must be 0; got {p[name]:g}.")
    top = max(abs(p["a_plus"]), abs(p["a_minus"]))
    tau_x, tau_y, tau_c, tau_n = (p[name] / dt for name in ("tau_plus", "tau_minus", "tau_c", "tau_n"))
    largest = [127 * -math.expm1(-interval / tau) for tau in (tau_x, tau_y)]
    jump = math.floor(127 / most)
    if top == 0 or min(largest) < 1 or jump < 1:
        raise ExportError(
            f"{owner}.plasticity: a_plus or a_minus must not be 0, and traces and dopamine must fit 7 bits; they do "
            f"not where neurons spike every {interval} step(s). Give quantize a larger interval, or shorten them."
        )
    terms, impulses, pairs = [], [], []
    for name, tau, sign, trace, high in (
        ("a_plus", tau_x, 1, "x1*y0", largest[0]), ("a_minus", tau_y, -1, "y1*x0", largest[1])
    ):  # fmt: skip
        part = ELIGIBLE * abs(p[name]) / top * math.exp(-1.0 / tau)
        impulse, m, e, mean = _impulse(part, high, -7)
        if part and mean < 1:
            raise ExportError(
                f"{owner}.plasticity.{name}: must be 0, or at least {1 / 1024:.2g} of the other; got {p[name]:g}."
            )
        impulses.append(impulse if sign > 0 else mean)  # a neuron's own impulse needs no rounding
        pairs.append((p[name], p[name] * m * 2.0**e * mean / part if part else 0.0))
        terms += [f"{m * (1 if p[name] * sign > 0 else -1)}*2^{e}*{trace}"] if part else []
    at_once = [k for k in range(10) if k == 0 or 2**k <= min(tau_n / 2, tau_c / 8)]

    def left(k: int) -> float:
        return 1.0 - sum(m * 2.0**e for m, e in _number(-math.expm1(-(2**k) / tau_c)))

    k = min(at_once, key=lambda k: (abs(math.log(max(left(k), 1e-9)) + 2**k / tau_c) * tau_c / 2**k, k))
    loss = _number(-math.expm1(-(2**k) / tau_c))
    terms += [f"{-m}*2^{e}*u{k}*t" for m, e in loss]
    gain = TOP / p["w_max"] * top / ELIGIBLE * 2**k / tau_n  # of a spike, in weight for t = 1
    fits = [(*min((abs(m * 2.0**e * j / gain - 1), m, e) for e in range(-12, 4) for m in range(1, 8)), j)
            for j in range(jump, jump // 2, -1)]  # fmt: skip
    off, m, e, jump = min(fits)
    if off > 0.1 or not 0 < left(k) < 1:
        raise ExportError(
            f"{owner}.plasticity: w_max, tau_n and tau_c leave no gain or decay that m 2^e could be; got "
            f"w_max={p['w_max']:g}, tau_n={p['tau_n']:g}, tau_c={p['tau_c']:g}."
        )
    text = " + ".join(terms).replace("+ -", "- ")
    made = OnChipRule(
        dw=f"{m}*2^{e + 5}*u{k}*t*y2", dt=text, x1=(impulses[0], tau_x), y1=(impulses[1], tau_y), y2=(0, tau_n),
        seed=seed, third_factor=True, bits=12,
    )  # fmt: skip
    lost = tuple(q.lost for q in (*made.products("dw"), *made.products("dt")))
    realised = -dt * 2**k / math.log(left(k)), m * 2.0**e * jump / gain
    return LearningReport(made, pairs[0], pairs[1], lost, (p["tau_c"], realised[0]), (1.0, realised[1]), jump)


def _impulse(value: float, high: float, least: int) -> tuple[float, int, int, float]:
    """(impulse, m, e, what the impulse is in the mean): m 2^e times that mean is ``value``; all 0 where none is.

    The largest mean up to ``high``, e from ``least``.
    """
    fits = [(value / (m * 2.0**e), m, e) for e in range(least, 9) for m in range(1, 8)]
    mean, m, e = max([f for f in fits if f[0] <= high], default=(0.0, 0, 0))
    whole, part = divmod(round(mean * 128), 128)
    return whole + part / 256, m, e, whole + part / 128


def _number(value: float) -> list[tuple[int, int]]:
    """``value`` as m 2^e, or two of these where one is more than 1 % off, or none below 2^-8; m -7..7, e -7..8."""
    pairs = [(m, e) for e in range(-7, 9) for m in range(1, 8)]

    def nearest(x: float) -> tuple[int, int]:
        m, e = min(pairs, key=lambda p: abs(p[0] * 2.0 ** p[1] - abs(x)))
        return (m if x > 0 else -m), e

    number: list[tuple[int, int]] = []
    rest = value
    while len(number) < 2 and abs(rest) > max(0.01 * value, 2.0**-8):  # nearer to 2^-7 than to 0
        m, e = nearest(rest)
        number.append((m, e))
        rest -= m * 2.0**e
    return number


def scaled(scale: float, tops: list[float]) -> float:
    """The largest scale up to ``scale`` in which the largest weights, w_max, are 255 times a power of 2."""
    if not tops:
        return scale
    exponent = math.floor(math.log2(max(tops) * scale / (64 * TOP)))
    return 64 * TOP * 2.0 ** min(exponent, 7) / max(tops)


def same_grid(tops: list[float]) -> bool:
    """Whether w_max of all projections differ by powers of 2 alone."""
    steps = np.log2(np.array(tops) / tops[0])
    return bool(np.all(np.abs(steps - np.rint(steps)) < 1e-9))
