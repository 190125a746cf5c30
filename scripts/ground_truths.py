"""What others recorded on Loihi 2 and with lava-dl, beside our integers: layers, input and output from their files.

    python scripts/ground_truths.py NIR LAVA_DL        writes tests/data/loihi.npz, a part that is small enough to keep

NIR and LAVA_DL are checkouts of github.com/neuromorphs/NIR (commit 7232ada) and github.com/lava-nc/lava-dl (commit
d825ac5). ``verify.py ground_truth`` compares with the latter's files as a whole, and with all layers of PilotNet.

Sources: Pedersen et al. 2024, doi:10.1038/s41467-024-52259-9
(the trace of one LIF neuron on Loihi 2, paper/01_lif); lava-dl, tests/lava/lib/dl/netx, whose test files give
the layers' parameters.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np

from neuromorphic.fixed_point import IntegerLIF, IntegerNetwork, IntegerProjection, IntegerSource
from neuromorphic.fixed_point_neurons import IntegerRF, IntegerSigmaDelta
from neuromorphic.fixed_point_step import MIXED
from neuromorphic.fixed_point_step import effective_weights as stored

REFRACTORY_CODE = 128  # what the chip's v register reads in the step of a spike
KEPT = 64  # neurons of the large layers that tests/data keeps
Edges = tuple[np.ndarray, np.ndarray, np.ndarray]
Data = dict[str, np.ndarray]
Wrong = dict[str, tuple[int, int]]  # (wrong, of how many) by what was compared


def dense(weights: np.ndarray) -> Edges:
    """(sources, targets, weights) of a matrix of shape (targets, sources)."""
    targets, sources = np.nonzero(weights)
    return sources, targets, weights[targets, sources]


def convolution(kernel: np.ndarray, shape: tuple[int, ...], stride: int | tuple[int, int] = 2, pad: int = 0) -> Edges:
    """(sources, targets, weights) of a convolution over (x, y, channels); ``kernel`` is (out, kx, ky, in), not flipped.

    ``pad`` rows are added on both sides of y.
    """
    step_x, step_y = (stride, stride) if isinstance(stride, int) else stride
    (out, kx, ky, channels), (wide, high, _) = kernel.shape, shape
    nx, ny = (wide - kx) // step_x + 1, (high + 2 * pad - ky) // step_y + 1
    x, y, f, i, j, c = np.indices((nx, ny, out, kx, ky, channels)).reshape(6, -1)
    at_x, at_y = x * step_x + i, y * step_y + j - pad
    weights = kernel[f, kx - 1 - i, ky - 1 - j, c]
    there = (at_y >= 0) & (at_y < high) & (weights != 0)
    return ((at_x * high + at_y) * channels + c)[there], ((x * ny + y) * out + f)[there], weights[there]


def layer(spikes: np.ndarray, edges: Edges, n: int, **lif: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spikes, u and v of ``n`` neurons, shape (n, steps), for input spikes of shape (sources, steps)."""
    when, which = np.nonzero(spikes.T)
    steps = spikes.shape[1]
    net = IntegerNetwork(
        {"out": IntegerLIF(n, du=4095, **lif)}, {"in": IntegerSource(len(spikes), when + 1, which)},
        {"": IntegerProjection("in", "out", *edges[:2], edges[2].astype(np.int64), sign_mode=MIXED)},
    )  # fmt: skip
    result = net.run(steps, ["out"])
    s = np.zeros((n, steps), bool)
    s[result.ids["out"], result.steps["out"] - 1] = True
    return s, result.u["out"].T, result.v["out"].T


def _wrong(mine: np.ndarray, theirs: np.ndarray) -> tuple[int, int]:
    if mine.shape != theirs.shape:
        raise ValueError(f"shapes {mine.shape} and {theirs.shape}")
    return int(np.sum(mine != theirs)), mine.size


def compare(data: Data) -> Wrong:
    """All that :func:`small` gives, computed and compared."""
    found: Wrong = {}
    # NIR's script: dv = int(4095 dt / tau), vth = int(131071 * 0.1) >> 9, weight int(256 dt / tau), dt / tau = 1 / 25
    s, _, v = layer(data["nir/input"][None], dense(np.array([[10]])), 1, dv=163, vth=25)
    found["NIR, spikes on Loihi 2"] = _wrong(s[0], data["nir/loihi_s"])
    v_chip = np.where(s[0], REFRACTORY_CODE, v[0])
    found["NIR, v on Loihi 2"] = _wrong(v_chip, data["nir/loihi_v"])
    found["NIR, spikes in Lava"] = _wrong(s[0], data["nir/cpu_s"])
    found["NIR, v in Lava"] = _wrong(v[0], data["nir/cpu_v"])

    weights = data["dense/weight"]
    s, u, _ = layer(data["dense/in"], dense(weights), len(weights), dv=415, vth=6)
    found["dense, spikes"] = _wrong(s, data["dense/out"])
    if "dense/current" in data:
        found["dense, u"] = _wrong(u, data["dense/current"].astype(np.int64) * 64)

    given = data["complex/in"].astype(np.int64)
    kick = given.T * 64  # the threshold of 1.1 is int(1.1 * 64), so no state_exp here
    found["RF_IZ, spikes"] = _wrong(IntegerRF(7, 0.05, 70, 0, 12, True).run(kick, kick)[0].T, data["complex/rf_iz"])
    arriving = (np.roll(stored(w.astype(np.int64), 8, MIXED) @ given, 1, 1).T for w in (data["complex/re"],
                                                                                       data["complex/im"]))  # fmt: skip
    a_re, a_im = (np.where(np.arange(len(a))[:, None] > 0, a, 0) for a in arriving)  # a step late
    found["RF, spikes"] = _wrong(IntegerRF(11, 0.05, 25, 6, 12).run(a_re, a_im)[0].T, data["complex/rf"])

    lif: dict[str, Any] = {"dv": 1024, "vth": 25, "bias_exp": 6, "reset_interval": 16}
    bias = data["tiny/input_bias"].astype(np.int64).ravel()
    s, *_ = layer(np.zeros((1, 15), bool), dense(np.zeros((1, 1), int)), 768, bias_mant=bias, **lif)
    found["tinynet, input spikes"] = _wrong(s, data["tiny/input"][:, 1:])
    edges = convolution(data["tiny/kernel1"], (16, 16, 3))
    late = data["tiny/input"][:, np.minimum(np.arange(16) + 1, 15)]  # step t hears what was sent in theirs
    bias = np.tile(data["tiny/bias1"].astype(np.int64), 36)
    s, u, _ = layer(late, edges, 864, bias_mant=bias, reset_offset=2, **lif)  # their first column is before the reset
    found["tinynet, layer 1, spikes"] = _wrong(s[:, 1:], data["tiny/layer1"][:, 1:])
    found["tinynet, layer 1, u"] = _wrong(u[:, 1:], data["tiny/current1"][:, 1:].astype(np.int64) * 64)
    late, bias = data["tiny/layer1"][:, np.minimum(np.arange(16) + 1, 15)], data["tiny/bias2"].astype(np.int64)
    s, *_ = layer(late, convolution(data["tiny/kernel2"], (6, 6, 24)), 36, bias_mant=bias, reset_offset=2, **lif)
    found["tinynet, layer 2, spikes"] = _wrong(s[:, 1:], data["tiny/output"][:, 1:])

    wave = np.sin(2 * np.pi * np.arange(15) / 15)
    a = (data["tiny/input_bias"].astype(np.int64).ravel()[:, None] * wave).astype(np.int64)
    sent = IntegerSigmaDelta(20, sigma=False, spike_exp=6, state_exp=6).run(a.T).T
    found["sigma-delta tinynet, input"] = _wrong(sent, data["sdnn/input"])
    spikes = np.pad(data["sdnn/input"] != 0, ((0, 0), (0, 1)))  # no message bits there: every message counts 1
    u = layer(spikes, edges, 864, vth=2**17 - 1)[1] >> 6
    sent = np.stack([IntegerSigmaDelta(20, int(b), True, True, 6, 6).run(u[k::24].T).T
                     for k, b in enumerate(data["tiny/bias1"])], axis=1).reshape(864, 16)  # fmt: skip
    found["sigma-delta tinynet, layer 1"] = _wrong(sent, data["sdnn/layer1"])

    for k in (1, 2):
        found |= _pilot(f"fc-{k}", data[f"pilot/fc{k - 1}_s"], dense(data[f"pilot/fc{k}_w"]), data[f"pilot/fc{k}_b"],
                        8 + k - 1, *(data[f"pilot/fc{k}_{x}"] for x in "suv"))  # fmt: skip
    return found


def _pilot(
    name: str, spikes: np.ndarray, edges: Edges, bias: np.ndarray, reset: int, s: np.ndarray, u: Any, v: Any
) -> Wrong:
    """A layer of PilotNet. The record shows a reset every 17 steps, later by one in each layer."""
    n = len(s)
    lif = {"bias_mant": np.tile(bias.astype(np.int64), n // len(bias)), "bias_exp": 6, "dv": 1024, "vth": 25}
    mine = layer(spikes, edges, n, reset_interval=17, reset_offset=reset, **lif)
    found = {f"PilotNet {name}, spikes": _wrong(mine[0], s)}
    if u is not None:
        found[f"PilotNet {name}, u"] = _wrong(mine[1], u)
        found[f"PilotNet {name}, v"] = _wrong(np.where(mine[0], REFRACTORY_CODE, mine[2]), v)
    return found


def pilotnet(lava_dl: Path) -> Wrong:
    """All layers of PilotNet but the last, which only sums: each from the recorded spikes of the one before."""
    import h5py

    folder = lava_dl / "tests/lava/lib/dl/netx/gts/pilotnet_lif"

    def load(name: str) -> np.ndarray:
        array = np.load(folder / f"{name}.npy")
        return array.reshape(-1, array.shape[-1])

    image = np.load(folder / "image.npy").astype(np.int64).ravel()
    s = load("input")
    none = (np.zeros((1, s.shape[1]), bool), dense(np.zeros((1, 1), int)))
    found = _pilot("input", *none, image, 1, s, None, None)
    shapes = ((200, 66, 3), (99, 32, 24), (49, 15, 36), (24, 7, 48), (22, 4, 64))
    with h5py.File(folder / "network.net") as file:
        for k in range(8):
            number, name = (k + 1, f"conv-{k}") if k < 5 else (k + 2, f"fc-{k - 5}")
            weights = np.rint(file[f"layer/{number}/weight"][()]).astype(np.int64)
            bias = np.rint(file[f"layer/{number}/bias"][()])
            if k < 5:
                stride, pad = ((2, 2), 0) if k < 3 else ((1, 2), 1) if k == 3 else ((1, 1), 0)
                edges = convolution(weights.transpose(0, 3, 2, 1)[:, ::-1, ::-1], shapes[k], stride, pad)
            else:
                if k == 5:  # flattened as (channels, y, x)
                    weights = weights.reshape(-1, 64, 2, 20).transpose(0, 3, 2, 1).reshape(100, -1)
                edges = dense(weights)
            before, s = s, load(name)
            there = (folder / f"{name}-u.npy").exists()
            states = (load(f"{name}-u"), load(f"{name}-v")) if there else (None, None)
            found |= _pilot(name, before, edges, bias, k + 2, s, *states)
    return found


def read(nir: Path | None, lava_dl: Path) -> Data:
    """The arrays of :func:`compare` from the two checkouts (without the trace of NIR where there is none)."""
    import h5py

    root = lava_dl / "tests/lava/lib/dl/netx"

    def load(name: str) -> np.ndarray:
        return np.load(root / "gts" / f"{name}.npy")

    def flat(name: str) -> np.ndarray:  # (1, channels, y, x, steps) to (x, y, channels) in a row
        array = load(name)[0].transpose(2, 1, 0, 3)
        return array.reshape(-1, array.shape[-1])

    data = {
        "dense/in": load("dense/in") > 0, "dense/weight": load("dense/weight").astype(np.int16),
        "dense/out": load("dense/out") > 0, "dense/current": load("dense/current").astype(np.int16),
        "complex/in": load("complex_dense/in") > 0, "complex/rf_iz": load("complex_dense/current") > 0,
        "complex/rf": load("complex_dense/out") > 0, "complex/re": load("complex_dense/weight_r").astype(np.int8),
        "complex/im": load("complex_dense/weight_img").astype(np.int8),
        "tiny/input_bias": load("tinynet/input_bias").astype(np.int8), "tiny/input": flat("tinynet/input") > 0,
        "tiny/kernel1": load("tinynet/layer1_kernel").astype(np.int8),
        "tiny/bias1": load("tinynet/layer1_bias").astype(np.int8), "tiny/layer1": flat("tinynet/layer1") > 0,
        "tiny/current1": flat("tinynet/current").astype(np.int8), "tiny/output": flat("tinynet/output") > 0,
        "sdnn/input": load("tinynet_sdnn/input").astype(np.int16).reshape(768, 15),
        "sdnn/layer1": load("tinynet_sdnn/layer1").astype(np.int16).reshape(864, 16),
    }  # fmt: skip
    with h5py.File(root / "tiny.net") as file:
        kernel = np.rint(file["layer/2/weight"][..., 0]).astype(np.int8)
        data |= {
            "tiny/kernel2": kernel.transpose(0, 3, 2, 1)[:, ::-1, ::-1],
            "tiny/bias2": file["layer/2/bias"][:].astype(np.int8),
        }
    with h5py.File(root / "gts/pilotnet_lif/network.net") as file:
        data["pilot/fc0_s"] = load("pilotnet_lif/fc-0")
        for k in (1, 2):
            data |= {f"pilot/fc{k}_{x}": np.rint(file[f"layer/{7 + k}/{y}"][()]).astype(np.int8)
                     for x, y in (("w", "weight"), ("b", "bias"))}  # fmt: skip
            data |= {f"pilot/fc{k}_{x}": load(f"pilotnet_lif/fc-{k}{y}") for x, y in
                     (("s", ""), ("u", "-u"), ("v", "-v"))}  # fmt: skip
    if nir is not None:
        for name, file_name in (("loihi", "lif_lava_loihi_fixed"), ("cpu", "lif_lava_cpu_fixed")):
            table = np.loadtxt(nir / "paper/01_lif" / f"{file_name}.csv", delimiter=",").T
            data |= {
                "nir/input": table[0] > 0,
                f"nir/{name}_v": table[1].astype(np.int16),
                f"nir/{name}_s": table[2] > 0,
            }
    return data


def write(path: Path, data: Data) -> None:
    """Keep ``data``, of the large layers KEPT neurons, without their u; bits are packed."""
    kept = {"dense/weight", "dense/out", "complex/re", "complex/im", "complex/rf"}
    out: dict[str, Any] = {}
    for name, array in data.items():
        if name == "dense/current":
            continue
        array = array[:KEPT] if name in kept else array
        out[name] = np.packbits(array) if array.dtype == bool else array
        out[f"{name} shape"] = np.array(array.shape if array.dtype == bool else ())
    np.savez_compressed(path, **out)


def load(path: Path) -> Data:
    """What :func:`write` kept."""
    with np.load(path) as file:
        data = {k: file[k] for k in file.files}
    for name in [k for k in data if not k.endswith(" shape")]:
        shape = tuple(data.pop(f"{name} shape"))
        if shape:
            data[name] = np.unpackbits(data[name])[: np.prod(shape)].reshape(shape).astype(bool)
    return data


if __name__ == "__main__":
    write(Path(__file__).resolve().parents[1] / "tests/data/loihi.npz", read(Path(sys.argv[1]), Path(sys.argv[2])))
