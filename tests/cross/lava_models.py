"""Runs inside the Lava environment: Lava's process models without its runtime, fed from a file (see test_lava.py)."""

import sys

import numpy as np
from lava.proc.dense import models as dense
from lava.proc.lif.models import PyLifModelBitAcc
from lava.proc.sparse import models as sparse
from lava.utils.weightutils import SignMode
from scipy.sparse import csr_matrix


class Port:
    def __init__(self):
        self.value = None

    def recv(self):
        return self.value

    def send(self, value):
        self.value = np.array(value)


def lif(given):
    model = PyLifModelBitAcc({})
    for name in ("du", "dv", "vth"):
        setattr(model, name, given[name])
    for name in ("bias_mant", "bias_exp", "u", "v"):
        setattr(model, name, given[name].astype(np.int32))
    model.a_in, model.s_out = Port(), Port()
    out = {name: [] for name in "uvs"}
    for a in given["a"].astype(np.int32):
        model.a_in.value = a
        model.run_spk()
        for name, value in (("u", model.u), ("v", model.v), ("s", model.s_out.value)):
            out[name].append(np.array(value, np.int64))
    return {name: np.array(value) for name, value in out.items()}


def connection(kind, given):
    module = sparse if kind.endswith("Sparse") else dense
    out = {}
    for k in range(int(given["cases"])):
        exponent, bits, mode = (int(x) for x in given[f"o{k}"])
        parameters = {"weight_exp": exponent, "num_weight_bits": bits, "sign_mode": SignMode(mode) if mode else None}
        model = getattr(module, f"Py{kind}ModelBitAcc")(parameters)
        wrap = csr_matrix if module is sparse else np.array
        model.weights, n = wrap(given[f"w{k}"].astype(np.int32)), len(given[f"w{k}"])
        if kind.startswith("Delay"):
            model.delays = wrap(given[f"d{k}"].astype(np.int32))
            model.a_buff = np.zeros((n, int(given[f"d{k}"].max()) + 1), np.int32)
        else:
            model.a_buff = np.zeros(n, np.int32)
        model.num_message_bits = np.zeros(1, int)
        model.s_in, model.a_out = Port(), Port()
        rows = []
        for s in given[f"s{k}"]:
            model.s_in.value = s
            model.run_spk()
            rows.append(model.a_out.value.ravel())
        out[f"a{k}"] = np.array(rows)
    return out


what, source, target = sys.argv[1:]
with np.load(source) as file:
    arrays = dict(file)
np.savez(target, **(lif(arrays) if what == "lif" else connection(what, arrays)))
