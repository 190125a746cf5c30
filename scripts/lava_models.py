# ruff: noqa: D101, D102, D103
# mypy: ignore-errors
"""Runs inside the Lava environment: Lava's process models without its runtime, fed from a file (see lava_fuzz.py)."""

import json
import sys
import time

import numpy as np
from lava.magma.core.learning.constants import GradedSpikeCfg
from lava.magma.core.learning.learning_rule import Loihi2FLearningRule, Loihi3FLearningRule
from lava.proc.dense import models as dense
from lava.proc.graded import models as graded
from lava.proc.lif import models as lif
from lava.proc.rf import models as rf
from lava.proc.rf_iz import models as rf_iz
from lava.proc.sdn import models as sdn
from lava.proc.sdn.process import ActivationMode
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


class RefractoryBitAcc(lif.PyLifModelBitAcc):
    """Lava's fixed-point LIF with the rule of its LIFRefractory, of which there is no fixed-point model."""

    implements_process = None

    def __init__(self, proc_params):
        super().__init__(proc_params)
        self.refractory_period = proc_params["refractory_period"]

    def subthr_dynamics(self, activation_in):
        before, still = self.v.copy(), self.refractory_period_end >= self.time_step
        super().subthr_dynamics(activation_in)
        self.v[still] = before[still]

    def reset_voltage(self, spike_vector):
        self.refractory_period_end[spike_vector] = self.time_step + self.refractory_period
        super().reset_voltage(spike_vector)


LIFS = {
    "LIF": lif.PyLifModelBitAcc, "LIFReset": lif.PyLifResetModelBitAcc, "TernaryLIF": lif.PyTernLifModelFixed,
    "LIFRefractory": lif.PyLifRefractoryModelFloat, "LIFRefractory fixed": RefractoryBitAcc,
}  # fmt: skip


def lifs(given):
    """Each case: a model's name, constants of its process, arrays by name, input a of shape (steps, n)."""
    out = {}
    for k in range(int(given["cases"])):
        name, constants = str(given[f"model{k}"]), json.loads(str(given[f"constants{k}"]))
        model = LIFS[name](constants)
        mine = {key.partition("/")[2]: value for key, value in given.items() if key.startswith(f"p{k}/")}
        dtype = float if name == "LIFRefractory" else np.int32
        for key, value in mine.items():
            setattr(model, key, value if key in ("du", "dv", "vth") else value.astype(dtype))
        model.refractory_period_end = np.zeros(len(mine["u"]), int)
        model.a_in, model.s_out = Port(), Port()
        rows = {key: [] for key in "uvs"}
        for t, a in enumerate(given[f"a{k}"].astype(dtype)):
            model.time_step = t + 1
            model.a_in.value = a
            model.run_spk()
            for key, value in (("u", model.u), ("v", model.v), ("s", model.s_out.value)):
                rows[key].append(np.array(value, np.int64))
        out |= {f"{key}{k}": np.array(value) for key, value in rows.items()}
    return out


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
        model.num_message_bits = np.array([int(given[f"g{k}"])])
        model.s_in, model.a_out = Port(), Port()
        rows = []
        for s in given[f"s{k}"]:
            model.s_in.value = s
            model.run_spk()
            rows.append(model.a_out.value.ravel())
        out[f"a{k}"] = np.array(rows)
    return out


def neurons(given):
    """Each case: a model's name, its constants, inputs of shape (steps, n)."""
    out = {}
    for k in range(int(given["cases"])):
        name, constants = str(given[f"model{k}"]), json.loads(str(given[f"constants{k}"]))
        module = {"PyRFModelFixed": rf, "PyRF_IZModelFixed": rf_iz}.get(name, graded if "Graded" in name else sdn)
        model = getattr(module, name)({"act_mode": ActivationMode[constants.pop("act_mode", "UNIT")]})
        a = given[f"a{k}"].astype(np.int32)
        for key, value in constants.items():
            setattr(model, key, value if "decay" in key or isinstance(value, bool) else np.array([value], np.int32))
        for state in ("real", "imag", "sigma", "act", "residue", "error", "v"):
            setattr(model, state, np.zeros(a.shape[1], np.int32))
        ports = ["a_real_in", "a_imag_in"] if "RF" in name else ["a_in"]
        for port in [*ports, "s_out"]:
            setattr(model, port, Port())
        rows = {"s": [], "real": [], "imag": []}
        for t in range(len(a)):
            for port, values in zip(ports, (a, given.get(f"b{k}", a).astype(np.int32)), strict=False):
                getattr(model, port).value = values[t].copy()
            model.run_spk()
            for key, value in (("s", model.s_out.value), ("real", model.real), ("imag", model.imag)):
                rows[key].append(np.array(value, np.int64))
        out |= {f"{key}{k}": np.array(value) for key, value in rows.items()}
    return out


def speed(given):
    """Wall time of a recurrent network in Lava's runtime, and how often each neuron spiked."""
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer
    from lava.proc.lif.process import LIF
    from lava.proc.sparse.process import Sparse

    n, steps = len(given["dv"]), given["spikes"].shape[1]
    neurons = LIF(shape=(n,), **{k: given[k] for k in ("du", "dv", "bias_mant", "bias_exp", "vth")})
    source, sink = RingBuffer(data=given["spikes"]), Sink(shape=(n,), buffer=steps)
    for sender, name in ((source, "in"), (neurons, "rec")):
        link = Sparse(
            weights=csr_matrix(given[name].astype(np.int32)), weight_exp=int(given[f"{name}_exponent"]),
            sign_mode=SignMode.MIXED,
        )  # fmt: skip
        sender.s_out.connect(link.s_in)
        link.a_out.connect(neurons.a_in)
    neurons.s_out.connect(sink.a_in)
    configuration = Loihi2SimCfg(select_tag="fixed_pt")
    try:
        neurons.run(condition=RunSteps(num_steps=1), run_cfg=configuration)  # builds
        begin = time.perf_counter()
        neurons.run(condition=RunSteps(num_steps=steps - 1), run_cfg=configuration)
        seconds = time.perf_counter() - begin
        counts = sink.data.get().sum(axis=1)
    finally:
        neurons.stop()
    return {"seconds": seconds, "counts": counts}


def learning(given):
    """Each case: a rule and its sign mode, spikes, weights, tags, and for three factors y of each step."""
    out = {}
    for k in range(int(given["cases"])):
        about = json.loads(str(given[f"rule{k}"]))
        pre, post = given[f"pre{k}"], given[f"post{k}"]
        n, m = pre.shape[1], post.shape[1]
        third = about["third_factor"]
        options = {"t_epoch": about["epoch"], "rng_seed": about["seed"]}
        options |= {name: about[name] or None for name in ("dw", "dd", "dt")}
        for name in ("x1", "x2") if third else ("x1", "x2", "y1", "y2", "y3"):
            options[f"{name}_impulse"], options[f"{name}_tau"] = about[name]
        rule = (Loihi3FLearningRule if third else Loihi2FLearningRule)(**options)
        model = dense.PyLearningDenseModelBitApproximate(
            {"learning_rule": rule, "shape": (m, n), "graded_spike_cfg": GradedSpikeCfg.USE_REGULAR_IMPULSE,
             "sign_mode": SignMode(about["sign_mode"])}
        )  # fmt: skip
        model.weights, model.a_buff = given[f"weights{k}"].T.astype(np.int32), np.zeros(m, np.int32)
        model.tag_1, model.tag_2 = given[f"t{k}"].T.astype(int), given[f"d{k}"].T.astype(int)
        model.num_message_bits = np.zeros(1, int)
        for name, size in (("x", n), ("y", m)):
            setattr(model, f"{name}0", np.zeros(size, bool))
            for var in (f"t{name}", f"{name}1", f"{name}2", "y3"):
                setattr(model, var, np.zeros(size if var[0] != "y" else m, int))
        for port in ("s_in", "a_out", "s_in_bap", "s_in_y1", "s_in_y2", "s_in_y3"):
            setattr(model, port, Port())
        rows = {name: [] for name in "wdtxy"}
        for step in range(len(pre)):
            model.time_step = step + 1
            model.s_in.value, model.s_in_bap.value = pre[step], post[step]
            if third:
                for j in range(3):
                    getattr(model, f"s_in_y{j + 1}").value = given[f"y{k}"][step, j].astype(np.int32)
            model.run_spk()
            if model.lrn_guard():
                model.run_lrn()
            rows["w"].append(model.weights.T)
            rows["d"].append(model.tag_2.T)
            rows["t"].append(model.tag_1.T)
            rows["x"].append(np.array([model.x1, model.x2]))
            rows["y"].append(np.array([model.y1, model.y2, model.y3]))
        out |= {f"{name}{k}": np.array(value, np.int64) for name, value in rows.items()}
    return out


what, source, target = sys.argv[1:]
with np.load(source) as file:
    arrays = dict(file)
runs = {"lif": lifs, "neurons": neurons, "speed": speed, "learning": learning}
np.savez(target, **(runs[what](arrays) if what in runs else connection(what, arrays)))
