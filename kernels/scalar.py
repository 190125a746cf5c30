"""Pure scalar functions that step functions may call: compiled unchanged by every backend, run as they are by the
reference engine. Only arithmetic and ``math``."""

import math


def exprel(x):  # type: ignore[no-untyped-def]
    """(exp(x) - 1) / x, and 1 at x = 0."""
    return 1.0 + 0.5 * x if abs(x) < 1e-9 else math.expm1(x) / x


def linoid(x, scale):  # type: ignore[no-untyped-def]
    """x / (exp(x / scale) - 1), and its limit ``scale`` at x = 0 (Hodgkin-Huxley rate functions)."""
    return scale - 0.5 * x if abs(x / scale) < 1e-9 else x / math.expm1(x / scale)


def relax(x, a, b, dt):  # type: ignore[no-untyped-def]
    """x after dt where dx/dt = a - b x, with constant a and b > 0."""
    x_inf = a / b
    return x_inf + (x - x_inf) * math.exp(-b * dt)


def exponential_leak(v, g_l, e_l, v_th, g_delta, inv_delta):  # type: ignore[no-untyped-def]
    """Leak and spike-initiating current of the exponential integrate-and-fire neuron."""
    return g_l * (e_l - v) + g_delta * math.exp((v - v_th) * inv_delta)


def exp_response(h, tau_syn, tau_m, c_m):  # type: ignore[no-untyped-def]
    """What 1 pA of current decaying with ``tau_syn`` adds to v in h ms; the slower decay in front: nothing cancels."""
    x = -abs(h / tau_m - h / tau_syn)
    return h / c_m * math.exp(-h / max(tau_m, tau_syn)) * exprel(x)
