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


@dataclass(frozen=True)
class LearningReport:
    """What became of a plasticity rule.

    Attributes
    ----------
    rule : what Loihi computes
    potentiation, depression : change of a weight by a pair of spikes at distance 0+, as a part of w_max (mu 0) or of
        what is left to the bound (mu 1): asked for, realised
    lost : by product, as often as which it would have been halved had its factor not been raised
    """

    rule: OnChipRule
    potentiation: tuple[float, float]
    depression: tuple[float, float]
    lost: tuple[int, ...]

    def __str__(self) -> str:
        rates = (f"{real:.4g} ({asked:.4g})" for asked, real in (self.potentiation, self.depression))
        return (
            f"dw = {self.rule.dw}; impulses {self.rule.x1[0]:.4g}, {self.rule.y1[0]:.4g}; potentiation, depression of "
            f"a pair realised (asked) {', '.join(rates)}; shifts made up for: {', '.join(map(str, self.lost))} bits"
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
    p = rule.params
    if rule.spec.name != "STDPPair":
        raise ExportError(f"{owner}.plasticity: must be STDPPair; got {rule.spec.name}. Learn first, give the weights.")
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
        fits = [(TOP * asked / (m * 2.0**e), m, e) for e in range(least, 9) for m in range(1, 8)]
        mean, m, e = max([f for f in fits if f[0] <= largest], default=(0.0, 0, 0))
        if mean < 1:
            raise ExportError(
                f"{owner}.plasticity.{name}: a pair must change a weight by at least {2.0**least / TOP:.2g} w_max "
                f"(and at most {1792 * largest / TOP:.2g}); got {asked:.2g}. Use another learning rate."
            )
        fraction = round(mean % 1 * 128)
        impulse = math.floor(mean) + fraction / 256 if fraction < 128 else math.ceil(mean)
        real = m * 2.0**e * (math.floor(mean) + fraction / 128) / TOP
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


def _number(value: float) -> list[tuple[int, int]]:
    """``value`` as m 2^e, or as two of these where one is more than 1 % off; m -7..7, e -7..8."""
    pairs = [(m, e) for e in range(-7, 9) for m in range(1, 8)]

    def nearest(x: float) -> tuple[int, int]:
        m, e = min(pairs, key=lambda p: abs(p[0] * 2.0 ** p[1] - abs(x)))
        return (m if x > 0 else -m), e

    m, e = nearest(value)
    rest = value - m * 2.0**e
    return [(m, e), nearest(rest)] if abs(rest) > max(0.01 * value, 2.0**-8) else [(m, e)]


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
