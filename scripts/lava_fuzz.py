"""Integer neurons and connections beside Lava's own process models, in random runs: for the tests and verify.py.

Lava's models are run without Lava's runtime by lava_models.py, with an interpreter that has lava-nc 0.10.0.
"""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from neuromorphic.fixed_point import NEVER, IntegerLIF, IntegerNetwork, IntegerProjection, IntegerSource
from neuromorphic.fixed_point_neurons import IntegerGraded, IntegerRF, IntegerSigmaDelta
from neuromorphic.fixed_point_step import EXCITATORY

LIFS = ("LIF", "LIFReset", "TernaryLIF", "LIFRefractory", "LIFRefractory fixed")
FURTHER = ("RF", "RF_IZ", "SigmaDelta", "Delta", "GradedVec", "GradedReluVec")
CONNECTIONS = ("Dense", "Sparse", "DelayDense", "DelaySparse")


class Compared(NamedTuple):
    """Values compared (neuron-steps or outputs), how many of them differ, and the part of them that is not 0."""

    count: int
    differ: int
    active: float


def worker(python: str, what: str, folder: Path, arrays: dict[str, Any]) -> dict[str, np.ndarray]:
    """What Lava's models make of ``arrays``."""
    np.savez(folder / "in.npz", **arrays)
    script = Path(__file__).with_name("lava_models.py")
    subprocess.run([python, script, what, folder / "in.npz", folder / "out.npz"], check=True, timeout=1200)
    with np.load(folder / "out.npz") as file:
        return dict(file)


def lif(
    python: str, folder: Path, name: str, seed: int = 7, cases: int = 10, n: int = 1000, steps: int = 110
) -> Compared:
    """Neurons of :class:`IntegerNetwork`, with u up to several wraps; a step counts as different where s, u or v is."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Any] = {"cases": np.array(cases)}
    nets = []
    for k in range(cases):
        p = {
            "du": rng.choice([0, 1, 4094, 4095, *rng.integers(0, 4096, 8)], n), "dv": rng.choice([0, 4095, 100, 7], n),
            "bias_mant": rng.integers(-4096, 4096, n), "bias_exp": rng.integers(0, 8, n),
            "vth": rng.choice([0, 1, 100, 131071, *rng.integers(0, 131072, 8)], n),
            "u": rng.integers(-(2**23) + 1, 2**23, n), "v": rng.integers(-(2**23) + 1, 2**23, n),
        }  # fmt: skip
        size = 2.0 ** rng.uniform(0, 18, n)
        a = np.rint(rng.normal(0, size, (steps, n))).astype(np.int64)
        a[rng.random((steps, n)) < 0.001] = 2**17  # u at the wrap exactly
        constants: dict[str, int] = {}
        ours: dict[str, Any] = {}
        if name == "LIFReset":
            constants = {"reset_interval": int(rng.integers(1, 30)), "reset_offset": int(rng.integers(0, 40))}
            ours = dict(constants)
        elif name == "TernaryLIF":
            ours["vth_lo"] = rng.choice([0, -1, -100, 1 - 2**17, *rng.integers(NEVER, 0, 8)], n)
        elif name.startswith("LIFRefractory"):
            constants = {"refractory_period": int(rng.integers(1, 64 if k == 0 else 12))}
            ours["refractory"] = constants["refractory_period"]
        if name == "LIFRefractory":  # floats are exact where nothing decays, wraps or is clipped
            p |= {"du": np.full(n, 4095), "dv": np.zeros(n, int), "bias_exp": np.zeros(n, int), "u": np.zeros(n, int)}
            p["bias_mant"] = rng.integers(-400, 400, n)
            p["v"] = rng.integers(-(2**17), 2**17, n)
            a = np.clip(a, -(2**9), 2**9)
        theirs: dict[str, Any] = dict(p)
        if name == "TernaryLIF":
            theirs |= {"vth_hi": theirs.pop("vth"), "vth_lo": ours["vth_lo"]}
        if name == "LIFRefractory":
            theirs |= {"du": 1.0, "dv": 0.0, "vth": p["vth"] * 64.0}
        a[0] = 0  # a source can be heard in step 2
        arrays |= {f"model{k}": np.array(name), f"constants{k}": np.array(json.dumps(constants))}
        arrays |= {f"a{k}": a * (64 if name == "LIFRefractory" else 1)}
        arrays |= {f"p{k}/{key}": np.asarray(value) for key, value in theirs.items()}
        when, which = np.nonzero(a)
        ids = np.arange(n)
        nets.append(
            IntegerNetwork(
                {"out": IntegerLIF(n, **p, **ours)},
                {"in": IntegerSource(n, when, which, a[when, which])},
                {"": IntegerProjection("in", "out", ids, ids, np.ones(n, int), sign_mode=EXCITATORY)},
            )  # fmt: skip
        )
    theirs, differ, fired = worker(python, "lif", folder, arrays), 0, 0
    for k, net in enumerate(nets):
        result = net.run(steps, ["out"])
        s = np.zeros((steps, n), np.int64)
        s[result.steps["out"] - 1, result.ids["out"]] = result.values["out"]
        wrong = (s != theirs[f"s{k}"]) | (result.u["out"] != theirs[f"u{k}"]) | (result.v["out"] != theirs[f"v{k}"])
        differ, fired = differ + int(wrong.sum()), fired + int(np.count_nonzero(s))
    return Compared(cases * steps * n, differ, fired / (cases * steps * n))


def further(
    python: str, folder: Path, name: str, seed: int = 5, cases: int = 30, n: int = 50, steps: int = 60
) -> Compared:
    """The neurons of :mod:`neuromorphic.fixed_point_neurons`: what is sent, and for RF both states."""
    rng = np.random.default_rng(seed)
    made = [_further(name, rng, n, steps) for _ in range(cases)]
    arrays: dict[str, Any] = {"cases": np.array(cases)}
    for k, (_, constants, inputs) in enumerate(made):
        arrays |= {f"model{k}": np.array(f"Py{name}ModelFixed"), f"constants{k}": np.array(json.dumps(constants))}
        arrays |= {f"{letter}{k}": a for letter, a in zip("ab", inputs, strict=False)}
    theirs, differ, sent = worker(python, "neurons", folder, arrays), 0, 0
    for k, (model, _, inputs) in enumerate(made):
        found = model.run(*inputs)
        wrong = np.zeros((steps, n), bool)
        for mine, key in zip(found if isinstance(found, tuple) else (found,), ("s", "real", "imag"), strict=False):
            wrong |= mine != theirs[f"{key}{k}"]
        differ, sent = differ + int(wrong.sum()), sent + int(np.count_nonzero(theirs[f"s{k}"]))
    return Compared(cases * n * steps, differ, sent / (cases * n * steps))


def _further(name: str, rng: np.random.Generator, n: int, steps: int) -> tuple[Any, dict[str, Any], tuple[Any, ...]]:
    """(our model, constants of Lava's, inputs)."""
    if name.startswith("Graded"):
        model: Any = IntegerGraded(int(rng.integers(0, 300)), name == "GradedReluVec")
        return model, {"vth": model.vth}, (rng.integers(-400, 400, (steps, n)),)
    if name.startswith("RF"):
        given = {"period": float(rng.uniform(2, 60)), "alpha": float(rng.uniform(0, 0.3)),
                 "vth": int(rng.integers(1, 2000)), "state_exp": int(rng.integers(0, 7)),
                 "decay_bits": int(rng.integers(4, 13))}  # fmt: skip
        model = IntegerRF(**given, izhikevich=name == "RF_IZ")
        size = 2.0 ** rng.uniform(4, 17, n)  # up to the clip
        inputs = tuple(np.rint(rng.normal(0, size, (steps, n))).astype(np.int64) for _ in range(2))
        angle, bits = 2 * np.pi / model.period, model.decay_bits
        constants = {
            f"{f.__name__}_decay": int(np.int32((1 - model.alpha) * f(angle) * (1 << bits))) for f in (np.sin, np.cos)
        }
        constants |= {"vth": model.vth << model.state_exp, "state_exp": model.state_exp, "decay_bits": bits}
        return model, constants, inputs
    model = IntegerSigmaDelta(
        int(rng.integers(0, 200)), int(rng.integers(-100, 100)), bool(rng.integers(0, 2)), True,
        int(rng.integers(0, 4)), int(rng.integers(0, 4)), bool(rng.integers(0, 2)),
    )  # fmt: skip
    f = model.spike_exp + model.state_exp
    constants = {"vth": model.vth << f, "spike_exp": model.spike_exp, "state_exp": model.state_exp,
                 "cum_error": model.cum_error}  # fmt: skip
    if name == "Delta":
        model = dataclasses.replace(model, sigma=False, bias=0)
    else:
        constants |= {"bias": model.bias << f, "act_mode": "RELU" if model.relu else "UNIT"}
    return model, constants, (rng.integers(-3, 4, (steps, n)) * 2 ** rng.integers(0, 9, n),)


def connection(
    python: str, folder: Path, name: str, seed: int | None = None, cases: int = 60, steps: int = 40
) -> Compared:
    """Outputs of a connection, a third of the cases with graded spikes (values of either sign)."""
    rng = np.random.default_rng(len(name) if seed is None else seed)
    arrays: dict[str, Any] = {"cases": cases}
    nets = []
    for k in range(cases):
        exponent, bits, mode = int(rng.integers(-6, 8)), int(rng.integers(1, 9)), int(rng.integers(0, 4))
        n_in = int(rng.integers(2, 25)) if exponent <= 3 else int(rng.integers(2, 5))  # below u's wrap
        n_out = int(rng.integers(2, 25))
        dense = rng.integers(-256, 256, (n_out, n_in))
        if mode >= 2 or rng.random() < 0.3:
            dense = np.minimum(np.abs(dense), 255) * (-1 if mode == 3 else 1)
        dense[rng.random(dense.shape) < 0.3] = 0
        dense[0, 0], late = 1 if mode != 3 else -1, np.zeros_like(dense)
        if name.startswith("Delay"):
            late = np.where(dense != 0, rng.integers(0, 63 if k == 0 else 6, dense.shape), 0)
        spikes = (rng.random((steps, n_in)) < 0.3).astype(np.int64)
        graded = k % 3 == 2 and exponent <= 0
        if graded:
            spikes *= rng.integers(-20, 21, spikes.shape)
        arrays |= {f"w{k}": dense, f"d{k}": late, f"s{k}": spikes if graded else spikes.astype(bool)}
        arrays |= {f"o{k}": np.array([exponent, bits, mode]), f"g{k}": np.array(24 * graded)}
        at = targets, sources = np.nonzero(dense)
        when, which = np.nonzero(spikes)
        nets.append(
            IntegerNetwork(
                {"out": IntegerLIF(n_out, du=4095, vth=131071)},  # du = 4095 keeps nothing of the last step
                {"in": IntegerSource(n_in, when + 1, which, spikes[when, which])},
                {"": IntegerProjection("in", "out", sources, targets, dense[at], late[at], exponent, bits, mode)},
            )  # fmt: skip
        )
    theirs, count, differ, active = worker(python, name, folder, arrays), 0, 0, 0
    for k, net in enumerate(nets):
        result = net.run(steps, ["out"])
        if result.wraps["out"].any():
            raise RuntimeError(f"case {k} of {name}: u wraps, so that it does not show what arrived")
        mine = result.u["out"] >> 6
        count, active = count + mine.size, active + int(np.count_nonzero(mine))
        differ += int(np.sum(mine != theirs[f"a{k}"]))
    return Compared(count, differ, active / count)
