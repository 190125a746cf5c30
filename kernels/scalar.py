"""Pure scalar functions that step functions may call: compiled unchanged by every backend, run as they are by the
reference engine. Only arithmetic and ``math``. Elementary functions, ``exp`` and others, are in another file."""

import math

from kernels.elementary import cos as cos
from kernels.elementary import cosh as cosh
from kernels.elementary import decay as decay
from kernels.elementary import exp as exp
from kernels.elementary import expm1 as expm1
from kernels.elementary import exprel as exprel
from kernels.elementary import log as log
from kernels.elementary import power as power
from kernels.elementary import sin as sin
from kernels.elementary import sinh as sinh
from kernels.elementary import tanh as tanh


def linoid(x, scale):  # type: ignore[no-untyped-def]
    """x / (exp(x / scale) - 1), and its limit ``scale`` at x = 0 (Hodgkin-Huxley rate functions)."""
    return scale / exprel(x / scale)


def relax(x, a, b, dt):  # type: ignore[no-untyped-def]
    """x after dt where dx/dt = a - b x, with constant a and b > 0."""
    x_inf = a / b
    return x_inf + (x - x_inf) * exp(-b * dt)


def exponential_leak(v, g_l, e_l, v_th, g_delta, inv_delta):  # type: ignore[no-untyped-def]
    """Leak and spike-initiating current of the exponential integrate-and-fire neuron."""
    return g_l * (e_l - v) + g_delta * exp((v - v_th) * inv_delta)


def normal(u):  # type: ignore[no-untyped-def]
    """The standard normal number at the uniform number u, which is 2**-33 or more away from 0 and 1: its quantile."""
    q = u - 0.5
    p = max(min(u, 1.0 - u), 1.1641532182693481e-10)  # in float32 u may round to 1
    tail = _near_tail(math.sqrt(-log(p)) - 1.6)
    tail = -tail if q < 0.0 else tail
    middle = _central(q)
    return middle if abs(q) <= 0.425 else tail


def binomial(n, p, u):  # type: ignore[no-untyped-def]
    """How many of ``n`` <= 1000 trials with probability ``p`` succeed, at the uniform number ``u``: the quantile."""
    rare = min(p, 1.0 - p)
    at = u if p <= 0.5 else 1.0 - u
    term = 1.0
    for _ in range(int(n)):
        term = term * (1.0 - rare)
    total, k = term, 0.0
    for _ in range(int(n)):
        if at <= total:
            break
        term = term * ((n - k) * rare) / ((k + 1.0) * (1.0 - rare))
        total = total + term
        k = k + 1.0
    return k if p <= 0.5 else n - k


def _central(q):  # type: ignore[no-untyped-def]
    """Quantile of the standard normal at 0.5 + q, |q| <= 0.425 (Wichura 1988, AS 241, doi:10.2307/2347330)."""
    r = 0.180625 - q * q
    top = ((((((2509.0809287301226727 * r + 33430.575583588128105) * r + 67265.770927008700853) * r
              + 45921.953931549871457) * r + 13731.693765509461125) * r + 1971.5909503065514427) * r
           + 133.14166789178437745) * r + 3.387132872796366608  # fmt: skip
    low = ((((((5226.495278852545925 * r + 28729.085735721942674) * r + 39307.89580009271061) * r
              + 21213.794301586595867) * r + 5394.1960214247511077) * r + 687.1870074920579083) * r
           + 42.313330701600911252) * r + 1.0  # fmt: skip
    return q * top / low


def _near_tail(r):  # type: ignore[no-untyped-def]
    """Size of that quantile at distance p from 0 or 1, 0.075 to exp(-25), by r = sqrt(-log(p)) - 1.6."""
    top = ((((((7.7454501427834140764e-4 * r + 0.0227238449892691845833) * r + 0.24178072517745061177) * r
              + 1.27045825245236838258) * r + 3.64784832476320460504) * r + 5.7694972214606914055) * r
           + 4.6303378461565452959) * r + 1.42343711074968357734  # fmt: skip
    low = ((((((1.05075007164441684324e-9 * r + 5.475938084995344946e-4) * r + 0.0151986665636164571966) * r
              + 0.14810397642748007459) * r + 0.68976733498510000455) * r + 1.6763848301838038494) * r
           + 2.05319162663775882187) * r + 1.0  # fmt: skip
    return top / low


def _far_tail(r):  # type: ignore[no-untyped-def]
    """The same by r = sqrt(-log(p)) - 5, further out."""
    top = ((((((2.01033439929228813265e-7 * r + 2.71155556874348757815e-5) * r + 0.0012426609473880784386) * r
              + 0.026532189526576123093) * r + 0.29656057182850489123) * r + 1.7848265399172913358) * r
           + 5.4637849111641143699) * r + 6.6579046435011037772  # fmt: skip
    low = ((((((2.04426310338993978564e-15 * r + 1.4215117583164458887e-7) * r + 1.8463183175100546818e-5) * r
              + 7.868691311456132591e-4) * r + 0.0148753612908506148525) * r + 0.13692988092273580531) * r
           + 0.59983220655588793769) * r + 1.0  # fmt: skip
    return top / low


# --- closed forms: exponential decays and what a leaky membrane makes of them; rates in 1/ms, times in ms ---


def chi(y):  # type: ignore[no-untyped-def]
    """(y - 1 + exp(-y)) / y^2 for 0 <= y <= 1: Chebyshev interpolation, relative error 3e-18 before rounding."""
    p = 1.952715306431462e-09 - y * 1.0509453754979482e-10
    p = 2.753900275371731e-07 - y * (2.4856214837612005e-08 - y * p)
    p = 2.4801539739718985e-05 - y * (2.7556179049708925e-06 - y * p)
    p = 0.0013888888865978557 - y * (0.0001984126853148021 - y * p)
    p = 0.04166666666665401 - y * (0.008333333333096557 - y * p)
    return 0.5 - y * (0.1666666666666664 - y * p)


def overlap(h, e_a, e_b, gap):  # type: ignore[no-untyped-def]
    """The integral of exp(-a (h - s)) exp(-b s) over s in [0, h], for e_a = exp(-a h), e_b = exp(-b h), gap = |a - b|.

    Nothing cancels: a difference of exponentials where they differ, the slower one times a series where they do not.
    """
    y = gap * h
    return abs(e_a - e_b) / gap if y > 1.0 else max(e_a, e_b) * h * (1.0 - y * chi(y))


def ramp_overlap(h, e_a, e_b, lead):  # type: ignore[no-untyped-def]
    """The integral of exp(-a (h - s)) s exp(-b s) over s in [0, h]; lead = b - a, the rest as in ``overlap``."""
    y = abs(lead) * h
    c = chi(min(y, 1.0))
    near = max(e_a, e_b) * h * h * (c if lead < 0.0 else 1.0 - (1.0 + y) * c)
    return (abs(e_a - e_b) / abs(lead) - h * e_b) / lead if y > 1.0 else near


def safe_step(t, new, low, high, step):  # type: ignore[no-untyped-def]
    """Newton's ``new`` where it lies in the bracket and is at most half a ``step`` from t, else the bracket's middle.

    So every second iteration at least halves the step or the bracket, and the iteration ends.
    """
    return new if (low <= new) & (new <= high) & (abs(new - t) <= 0.5 * step) else 0.5 * (low + high)


def sign_change(f, x, p, y, q, a, b, low, high):  # type: ignore[no-untyped-def]
    """The only zero of f + (x + p t) exp(-a t) + (y + q t) exp(-b t) in [low, high]; high if there is none."""
    # without f only the slower of the terms that are there gives the sign: it must not underflow
    other = a if (y == 0.0) & (q == 0.0) else (b if (x == 0.0) & (p == 0.0) else min(a, b))
    shift = other if f == 0.0 else 0.0
    a = max(a - shift, 0.0)
    b = max(b - shift, 0.0)
    part_a = (x + p * low) * math.exp(-a * low)
    part_b = (y + q * low) * math.exp(-b * low)
    first = f + (part_a + part_b)
    part_a = (x + p * high) * math.exp(-a * high)
    part_b = (y + q * high) * math.exp(-b * high)
    last = f + (part_a + part_b)
    t = high
    if ((first > 0.0) & (last < 0.0)) | ((first < 0.0) & (last > 0.0)):
        left = low
        right = high
        step = high - low
        t = low + step * (first / (first - last))
        for _ in range(200):
            e_a = math.exp(-a * t)
            e_b = math.exp(-b * t)
            part_a = (x + p * t) * e_a
            part_b = (y + q * t) * e_b
            value = f + (part_a + part_b)
            if abs(value) <= 2.3e-16 * (abs(f) + abs(part_a) + abs(part_b)):
                break
            left = t if (value > 0.0) == (first > 0.0) else left
            right = right if (value > 0.0) == (first > 0.0) else t
            slope = (p * e_a - a * part_a) + (q * e_b - b * part_b)
            new = safe_step(t, t - value / slope if slope != 0.0 else math.inf, left, right, step)
            step = abs(new - t)
            if step == 0.0:
                break
            t = new
    return t


def turning(x, y, a, b):  # type: ignore[no-untyped-def]
    """Where x exp(-a t) + y exp(-b t) turns: the zero of its slope at t > 0, inf if there is none."""
    p = a * x
    q = b * y
    turns = (((p > 0.0) & (q < 0.0)) | ((p < 0.0) & (q > 0.0))) & (a != b)
    t = math.log(-p / q) / (a - b) if turns else 0.0
    return t if t > 0.0 else math.inf


def leaky_exp(h, v, top, x, y, gain, leak, a, b, gap_a, gap_b):  # type: ignore[no-untyped-def]
    """dv/dt = leak (top - v) + gain (x + y), dx/dt = -a x, dy/dt = -b y: v, x, y after h; gap_a = |a - leak|, ..."""
    e_m = decay(leak * h)
    e_a = decay(a * h)
    e_b = decay(b * h)
    driven = x * overlap(h, e_m, e_a, gap_a) + y * overlap(h, e_m, e_b, gap_b)
    v = v + ((top - v) * (1.0 - e_m) + gain * driven)
    return v, x * e_a, y * e_b


def leaky_exp_earliest(v, v_th, top, x, y, tau, peak_a, peak_b, cancel):  # type: ignore[no-untyped-def]
    """A lower bound of the time until v of ``leaky_exp`` reaches v_th, inf where it never will; tau = 1 / leak.

    An inhibitory y takes at least its part ``cancel`` from x, for all times: v stays below the response u to what is
    left. u is bounded by its peak (``peak_a`` is the largest ``overlap``); and u' exp(t / tau) falls, so that u is at
    most v + tau u'(0) (1 - exp(-t / tau)), where 1 - exp(-z) <= 2 z / (2 + z).
    """
    rounding = 1e-12 * (abs(v) + abs(v_th) + abs(top) + (abs(x) + abs(y)) * tau)
    x = max(x + cancel * min(y, 0.0), 0.0)
    y = max(y, 0.0)
    gap = v_th - v
    near = max(gap - rounding, 1e-3 * gap)
    reach = top - v + (x + y) * tau + rounding
    never = (reach < gap) | (max(v, top) + x * peak_a + y * peak_b + rounding < v_th)
    return 0.0 if gap <= 0.0 else (math.inf if never else 2.0 * near * tau / max(2.0 * reach - near, 1e-300))


def leaky_exp_crossing(h, v, v_th, top, x, y, gain, leak, a, b, gap_a, gap_b):  # type: ignore[no-untyped-def]
    """The first time in [0, h] at which v of ``leaky_exp`` reaches v_th; inf if there is none.

    (v - v_th) exp(leak t) rises where the slope that v has at threshold, f + gain (x + y) of time t, is positive:
    in intervals between its turning point and its zeros. In each of them v crosses once or not at all.
    """
    f = leak * (top - v_th)
    noise = 2.3e-16 * (abs(v) + abs(v_th) + abs(top))
    turn = turning(x, y, a, b)
    low = 0.0
    below = v
    if v >= v_th:
        return 0.0
    for piece in range(4):
        high = min(max(turn, low), h) if piece < 2 else h
        if (piece & 1) == 0:
            high = sign_change(f, gain * x, 0.0, gain * y, 0.0, a, b, low, high)
        if high > low:
            w, x_end, y_end = leaky_exp(high, v, top, x, y, gain, leak, a, b, gap_a, gap_b)
            if w >= v_th:
                step = high - low
                t = low + step * ((v_th - below) / (w - below))
                for _ in range(200):
                    w, x_end, y_end = leaky_exp(t, v, top, x, y, gain, leak, a, b, gap_a, gap_b)
                    low = low if w >= v_th else t
                    high = t if w >= v_th else high
                    slope = leak * (top - w) + gain * (x_end + y_end)
                    new = safe_step(t, t + (v_th - w) / slope if slope != 0.0 else math.inf, low, high, step)
                    step = abs(new - t)
                    if (abs(w - v_th) <= noise) | (step == 0.0):
                        break
                    t = new
                return t
            low = high
            below = w
    return math.inf


def leaky_alpha(h, v, top, x, p, y, q, gain, leak, a, b):  # type: ignore[no-untyped-def]
    """dv/dt = leak (top - v) + gain (x + y), dx/dt = p - a x, dp/dt = -a p, dy/dt = q - b y, dq/dt = -b q, after h."""
    e_m = decay(leak * h)
    e_a = decay(a * h)
    e_b = decay(b * h)
    from_a = x * overlap(h, e_m, e_a, abs(a - leak)) + p * ramp_overlap(h, e_m, e_a, a - leak)
    from_b = y * overlap(h, e_m, e_b, abs(b - leak)) + q * ramp_overlap(h, e_m, e_b, b - leak)
    v = v + ((top - v) * (1.0 - e_m) + gain * (from_a + from_b))
    return v, (x + p * h) * e_a, p * e_a, (y + q * h) * e_b, q * e_b


def leaky_alpha_earliest(  # type: ignore[no-untyped-def]
    v, v_th, top, x, p, y, q, tau, tau_a, tau_b, peak_a, peak_b, ramp_a, ramp_b, cancel
):
    """As ``leaky_exp_earliest``; ``cancel`` is 1 where b <= a, else 0; ramp_a bounds ``ramp_overlap``."""
    rounding = 1e-12 * (abs(v) + abs(v_th) + abs(top) + (abs(x) + abs(y) + abs(p) * tau_a + abs(q) * tau_b) * tau)
    x = max(x + cancel * min(y, 0.0), 0.0)
    p = max(p + cancel * min(q, 0.0), 0.0)
    y = max(y, 0.0)
    q = max(q, 0.0)
    gap = v_th - v
    near = max(gap - rounding, 1e-3 * gap)
    # t exp(-a t) is at most tau_a / e
    reach = top - v + (x + y + 0.3678794411714424 * (p * tau_a + q * tau_b)) * tau + rounding
    peak = max(v, top) + x * peak_a + p * ramp_a + y * peak_b + q * ramp_b + rounding
    never = (reach < gap) | (peak < v_th)
    # the ramps start from zero: v <= v(0) + slope t + (p + q) t^2 / 2
    slope = max(top - v + (x + y) * tau + rounding, 0.0) / tau
    ramp = 2.0 * near / (slope + math.sqrt(slope * slope + 2.0 * (p + q) * abs(near)) + 1e-300)
    t = (1.0 - 1e-12) * max(2.0 * near * tau / max(2.0 * reach - near, 1e-300), ramp)
    return 0.0 if gap <= 0.0 else (math.inf if never else t)


def leaky_alpha_crossing(h, v, v_th, top, x, p, y, q, gain, leak, a, b):  # type: ignore[no-untyped-def]
    """As ``leaky_exp_crossing``. The slope at threshold turns up to three times: at the zeros of its derivative, which,
    times exp(a t), is split where its own derivative and second derivative vanish.
    """
    f = leak * (top - v_th) / gain
    m = b - a
    turn_x = p - a * x
    turn_y = q - b * y
    bend = m * b * q
    flat = 2.0 / m + turn_y / (b * q) if bend != 0.0 else -1.0
    noise = 2.3e-16 * (abs(v) + abs(v_th) + abs(top))
    low = 0.0
    below = v
    if v >= v_th:
        return 0.0
    for i in range(2):
        end_2 = min(max(flat, low), h) if i == 0 else h
        for j in range(2 if end_2 > low else 0):
            end_1 = end_2
            if j == 0:
                end_1 = sign_change(0.0, -a * p, 0.0, -b * q - m * turn_y, bend, a, b, low, end_2)
            for k in range(2 if end_1 > low else 0):
                end_0 = sign_change(0.0, turn_x, -a * p, turn_y, -b * q, a, b, low, end_1) if k == 0 else end_1
                for n in range(2 if end_0 > low else 0):
                    high = sign_change(f, x, p, y, q, a, b, low, end_0) if n == 0 else end_0
                    w, x_end, p_end, y_end, q_end = leaky_alpha(high, v, top, x, p, y, q, gain, leak, a, b)
                    if (high > low) & (w >= v_th):
                        step = high - low
                        t = low + step * ((v_th - below) / (w - below))
                        for _ in range(200):
                            w, x_end, p_end, y_end, q_end = leaky_alpha(t, v, top, x, p, y, q, gain, leak, a, b)
                            low = low if w >= v_th else t
                            high = t if w >= v_th else high
                            slope = leak * (top - w) + gain * (x_end + y_end)
                            new = t + (v_th - w) / slope if slope != 0.0 else math.inf
                            new = safe_step(t, new, low, high, step)
                            step = abs(new - t)
                            if (abs(w - v_th) <= noise) | (step == 0.0):
                                break
                            t = new
                        return t
                    low = high
                    below = w
    return math.inf


def leaky_cond(h, v, top, x, y, ex, inh, leak, a, b):  # type: ignore[no-untyped-def]
    """dv/dt = leak (top - v) + x (ex - v) + y (inh - v), dx/dt = -a x, dy/dt = -b y: v, x, y after h.

    v - top is exp(-A) times (its start plus the integral of exp(A) x (ex - top) + ...), where A is the integral of
    leak + x + y; the integral by Gauss-Legendre quadrature with 12 nodes in panels of 6 of the fastest time constants.
    A conductance too small to matter is left out, and so is what the membrane has forgotten 50 time constants ago.
    """
    ex = ex - top
    inh = inh - top
    v = v - top
    rest = h
    for _ in range(20000):
        rate_a = a if x > 1e-18 * a else 0.0
        rate_b = b if y > 1e-18 * b else 0.0
        rate = leak + x + y
        if rate_a + rate_b == 0.0:
            v = v * decay(leak * rest)
            x = x * decay(a * rest)
            y = y * decay(b * rest)
            rest = 0.0
        if rest <= 0.0:
            break
        span = min(rest, 1.0 / (rate_a + rate_b))  # here the conductances lose at most a factor of e
        skip = max(span - 136.0 / rate, 0.0)
        if skip > 0.0:
            panel = skip
        else:
            panel = min(rest, 6.0 / (rate + rate_a + rate_b))
        half = 0.5 * panel
        e_a = decay(a * panel)
        e_b = decay(b * panel)
        if skip == 0.0:
            all_a = x / a
            all_b = y / b
            c_a = x * ex
            c_b = y * inh
            total = 0.24914704581340277 * _pair(0.1252334085114689, half, all_a, all_b, c_a, c_b, leak, a, b, e_a, e_b)
            total += 0.2334925365383548 * _pair(0.3678314989981802, half, all_a, all_b, c_a, c_b, leak, a, b, e_a, e_b)
            total += 0.20316742672306592 * _pair(0.5873179542866175, half, all_a, all_b, c_a, c_b, leak, a, b, e_a, e_b)
            total += 0.16007832854334622 * _pair(0.7699026741943047, half, all_a, all_b, c_a, c_b, leak, a, b, e_a, e_b)
            total += 0.10693932599531843 * _pair(0.9041172563704749, half, all_a, all_b, c_a, c_b, leak, a, b, e_a, e_b)
            total += 0.04717533638651183 * _pair(0.9815606342467192, half, all_a, all_b, c_a, c_b, leak, a, b, e_a, e_b)
            lost = leak * panel + (all_a * (1.0 - e_a) + all_b * (1.0 - e_b))
            v = v * decay(lost) + half * total
        x = x * e_a
        y = y * e_b
        rest = rest - panel
    return v + top, x, y


def _pair(node, half, all_a, all_b, c_a, c_b, leak, a, b, e_a, e_b):  # type: ignore[no-untyped-def]
    """What currents c_a exp(-a s) + c_b exp(-b s) at two nodes s, symmetric in a panel, contribute to v at its end."""
    s = half + node * half
    at_a = decay(a * s)
    at_b = decay(b * s)
    late = decay(leak * (2.0 * half - s) + (all_a * (at_a - e_a) + all_b * (at_b - e_b))) * (c_a * at_a + c_b * at_b)
    s = half - node * half
    at_a = decay(a * s)
    at_b = decay(b * s)
    early = decay(leak * (2.0 * half - s) + (all_a * (at_a - e_a) + all_b * (at_b - e_b))) * (c_a * at_a + c_b * at_b)
    return early + late


def leaky_cond_earliest(v, v_th, top, x, y, ex, inh, tau, peak_a, peak_b, cancel):  # type: ignore[no-untyped-def]
    """As ``leaky_exp_earliest`` for ``leaky_cond``; ``cancel`` is 1 where b <= a, else 0.

    The synaptic currents are taken at v_th (there the slope must be positive), at v (while v rises from there, they are
    smaller), and, for the peak, at the lowest potential that v may reach.
    """
    rounding = 1e-12 * (abs(v) + abs(v_th) + abs(top) + (x * abs(ex - v) + y * abs(inh - v)) * tau)
    low = min(min(v, top), min(ex, inh))
    gap = v_th - v
    near = max(gap - rounding, 1e-3 * gap)
    at_th = max(x * max(ex - v_th, 0.0) + cancel * y * min(inh - v_th, 0.0), 0.0) + y * max(inh - v_th, 0.0)
    at_v = max(x * max(ex - v, 0.0) + cancel * y * min(inh - v, 0.0), 0.0) + y * max(inh - v, 0.0)
    reach = top - v + at_v * tau + rounding
    peak = max(v, top) + x * (ex - low) * peak_a + y * (inh - low) * peak_b + rounding
    never = (reach < gap) | (peak < v_th) | (top + at_th * tau + rounding < v_th)
    return 0.0 if gap <= 0.0 else (math.inf if never else 2.0 * near * tau / max(2.0 * reach - near, 1e-300))


def leaky_cond_crossing(h, v, v_th, top, x, y, ex, inh, leak, a, b):  # type: ignore[no-untyped-def]
    """As ``leaky_exp_crossing`` for ``leaky_cond``: (v - v_th) exp(A) rises where the slope at threshold is > 0."""
    f = leak * (top - v_th)
    at_x = x * (ex - v_th)
    at_y = y * (inh - v_th)
    noise = 4.5e-16 * (abs(v) + abs(v_th) + abs(top))
    turn = turning(at_x, at_y, a, b)
    low = 0.0
    if v >= v_th:
        return 0.0
    for piece in range(4):
        high = min(max(turn, low), h) if piece < 2 else h
        if (piece & 1) == 0:
            high = sign_change(f, at_x, 0.0, at_y, 0.0, a, b, low, high)
        if high > low:
            # v, x and y are those of time low
            w, x_end, y_end = leaky_cond(high - low, v, top, x, y, ex, inh, leak, a, b)
            if w >= v_th:
                step = high - low
                t = low + step * ((v_th - v) / (w - v))
                for _ in range(200):
                    w, x_end, y_end = leaky_cond(t - low, v, top, x, y, ex, inh, leak, a, b)
                    slope = leak * (top - w) + x_end * (ex - w) + y_end * (inh - w)
                    if w >= v_th:
                        high = t
                    else:
                        low = t
                        v = w
                        x = x_end
                        y = y_end
                    new = safe_step(t, t + (v_th - w) / slope if slope != 0.0 else math.inf, low, high, step)
                    step = abs(new - t)
                    if (abs(w - v_th) <= noise) | (step == 0.0):
                        break
                    t = new
                return t
            low = high
            v = w
            x = x_end
            y = y_end
    return math.inf


def quadratic(h, v, middle, bend, rate):  # type: ignore[no-untyped-def]
    """dv/dt = rate + bend (v - middle)^2: v after h, before it reaches infinity."""
    x = v - middle
    w = math.sqrt(abs(rate * bend))
    c = math.cos(w * h) if rate > 0.0 else 1.0
    s = math.sin(w * h) / w if (rate > 0.0) & (w > 0.0) else (math.tanh(w * h) / w if w > 0.0 else h)
    return v + s * (rate + bend * x * x) / (c - bend * x * s)


def quadratic_time(v, goal, middle, bend, rate):  # type: ignore[no-untyped-def]
    """The time in which v of ``quadratic`` reaches ``goal``; inf if it never does, 0 at or above it.

    A difference of arc tangents, or of inverse hyperbolic tangents above the unstable fixed point, as one function of
    one argument, so that nothing cancels.
    """
    x = v - middle
    z = goal - middle
    w = math.sqrt(abs(rate * bend))
    t = math.inf
    if v >= goal:
        t = 0.0
    elif (rate > 0.0) & (w > 0.0):
        t = math.atan2(w * (goal - v), rate + bend * x * z) / w
    else:
        fixed = w / bend
        if x > fixed:
            # 2 w (goal - v) / u - the second is the limit of the logarithm at w = 0
            u = bend * (x - fixed) * (z + fixed)
            t = math.log1p(2.0 * w * (goal - v) / u) / (2.0 * w) if w > 0.0 else (goal - v) / u
    return t
