"""What snn.torch refuses, and in which words."""

import re

import numpy as np
import pytest

import plasticity
import snn

torch = pytest.importorskip("torch", reason="needs the extra torch")
snntorch = pytest.importorskip("snntorch", reason="needs the extra torch")

from snn.torch import QCFS, QFFS, Neurons, Unrolled, from_snntorch, from_torch, to_snntorch, train  # noqa: E402

nn = torch.nn


def refused(kind, text, function, *args, **kwargs):
    with pytest.raises(kind, match=re.escape(text)) as caught:
        function(*args, **kwargs)
    return str(caught.value)


class Skip(nn.Module):
    def __init__(self, join):
        super().__init__()
        self.join, self.body = join, nn.Linear(3, 3)

    def forward(self, x):
        return self.join(x, self.body(x))


class Residual(nn.Sequential):
    def forward(self, x):
        return x + super().forward(x)


class Doubled(nn.Linear):
    def forward(self, x):
        return 2.0 * super().forward(x)


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)


def leaky(**options):
    return snntorch.Leaky(beta=0.9, init_hidden=True, **options)


LINEAR = nn.Linear(4, 3)
LEAKY, NEURONS = leaky(), Neurons(snn.Leaky())
HOOKED, HOOKED_BEFORE, HOOKED_ALL = nn.Linear(4, 3), nn.Linear(4, 3), nn.Sequential(nn.Linear(4, 3))


def observe(*_):
    """A hook."""


HOOKED.register_forward_hook(observe)
HOOKED_BEFORE.register_forward_pre_hook(observe)
HOOKED_ALL.register_forward_hook(observe)
CONVERSIONS = {
    "max pool": (from_torch, [nn.Conv2d(1, 2, 3), QCFS(), nn.MaxPool2d(2)], (1, 8, 8),
                 "[2]: MaxPool2d cannot be converted; use nn.AvgPool2d."),
    "max pool of currents": (from_snntorch, [nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), leaky()], (1, 8, 8),
                             "[1]: MaxPool2d takes the largest of several currents, which is no sum; put it after"),
    "max pool of samples": (from_snntorch, [nn.MaxPool2d(2), leaky()], (1, 8, 8), "[0]: MaxPool2d takes the larg"),
    "max pool, ceil": (from_snntorch, [nn.Conv2d(1, 2, 3), leaky(), nn.MaxPool2d(2, ceil_mode=True), leaky()],
                       (1, 8, 8), "[2]: MaxPool2d must take images, with ceil_mode=False"),
    "max pool of graded spikes": (
        from_snntorch, [nn.Conv2d(1, 2, 3), leaky(graded_spikes_factor=-1.0), nn.MaxPool2d(2), leaky()], (1, 8, 8),
        "[2]: MaxPool2d compares spikes of different worth",
    ),
    "path": (from_snntorch, nn.Sequential(nn.Sequential(LINEAR, nn.LayerNorm(3)), leaky()), 4,
             "0.1: LayerNorm cannot be converted; use nn.BatchNorm1d."),
    "activation": (from_torch, [LINEAR, nn.Sigmoid()], 4, "[1]: Sigmoid cannot be converted; use QCFS or QFFS"),
    "activation in a spiking model": (from_snntorch, [LINEAR, QCFS()], 4, "[1]: QCFS cannot be converted; use Leaky"),
    "transposed": (from_snntorch, [nn.ConvTranspose2d(1, 1, 2)], (1, 4, 4),
                   "[0]: ConvTranspose2d cannot be converted; use nn.Conv2d or nn.Linear."),
    "adaptive": (from_snntorch, [nn.AdaptiveAvgPool2d(2)], (1, 4, 4),
                 "[0]: AdaptiveAvgPool2d cannot be converted; use nn.AvgPool2d with a kernel_size."),
    "relu in a spiking model": (from_snntorch, [LINEAR, nn.ReLU()], 4,
             "[1]: ReLU cannot be converted; use a layer of spiking neurons in its place, or snn.from_torch."),
    "forward of its own": (from_snntorch, Own(), 4, "model: Own cannot be converted; give its layers in order"),
    "no module": (from_torch, [LINEAR, "relu"], 4, "[1]: must be a torch module or a list of them; got str."),
    "no neurons": (from_torch, [LINEAR], 4, "model: has no layer of neurons or activations"),
    "linear on images": (from_torch, [LINEAR, QCFS()], (1, 2, 2), "[0]: Linear takes a sample of shape (4,)"),
    "linear of another size": (from_torch, [nn.Flatten(), LINEAR, QCFS()], 5, "[1]: Linear takes a sample"),
    "channels": (from_torch, [nn.Conv2d(3, 2, 3), QCFS()], (1, 8, 8), "[0]: Conv2d takes 3 channels of images"),
    "uneven padding": (
        from_torch, [nn.Conv2d(1, 2, 2, padding="same", dilation=3), QCFS()], (1, 8, 8), "a kernel of odd size"
    ),
    "padding": (from_torch, [nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"), QCFS()], (1, 8, 8), 'zeros"'),
    "ceil": (from_torch, [nn.AvgPool2d(2, ceil_mode=True), QCFS()], (1, 7, 7), "[0]: AvgPool2d must have ceil_mode"),
    "skip connection": (
        from_torch, [LINEAR, QCFS(), Skip(lambda x, y: x + y), QCFS()], 4,
        "[2]: Skip cannot be converted: its forward joins two paths (add), a skip connection, which layers in order",
    ),
    "concatenation": (
        from_snntorch, nn.Sequential(LINEAR, leaky(), Skip(lambda x, y: torch.cat((x, y), 1)), leaky()), 4,
        "2: Skip cannot be converted: its forward joins two paths (cat)",
    ),
    "skip connection of an nn.Sequential": (
        from_torch, nn.Sequential(LINEAR, QCFS(), Residual(nn.Linear(3, 3)), QCFS()), 4,
        "2: Residual cannot be converted: its forward joins two paths (add), a skip connection",
    ),
    "forward of a layer": (
        from_torch, [Doubled(4, 3), QCFS()], 4,
        "[0]: Doubled cannot be converted; it has a forward of its own: use Linear as it is.",
    ),
    "one state for two layers": (
        from_snntorch, nn.Sequential(LINEAR, LEAKY, nn.Linear(3, 3), LEAKY), 4,
        "3: Leaky must keep a state of its own; got the layer of 1 again, which goes on from the state left there.",
    ),
    "one state for two modules": (
        from_snntorch, [LINEAR, NEURONS, nn.Linear(3, 3), NEURONS], 4,
        "[3]: Neurons must keep a state of its own; got the layer of [1] again",
    ),
    "flatten": (from_torch, [nn.Flatten(2), QCFS()], (1, 7, 7), "[0]: Flatten must flatten the whole sample"),
    "statistics": (from_torch, [LINEAR, nn.BatchNorm1d(3, track_running_stats=False), QCFS()], 4, "[1]: BatchNorm1d"),
    "features": (from_torch, [LINEAR, nn.BatchNorm1d(4), QCFS()], 4, "[1]: BatchNorm1d takes 4 channels, but gets"),
    "relu": (from_torch, [LINEAR, nn.ReLU()], 4, "[1]: ReLU has no threshold of its own; give calibrate=<samples>"),
    "hook": (
        from_snntorch, [HOOKED, leaky()], 4,
        "[0]: Linear cannot be converted: it has a hook, observe, which may change what it computes. Remove it: handle",
    ),
    "hook before a forward": (
        from_torch, nn.Sequential(HOOKED_BEFORE, QCFS()), 4, "0: Linear cannot be converted: it has a hook, observe,",
    ),
    "hook of a container": (
        from_torch, [HOOKED_ALL, QCFS()], 4, "[0]: Sequential cannot be converted: it has a hook, observe,",
    ),
    "unrolled": (
        from_torch, Unrolled(nn.Sequential(LINEAR, NEURONS), 3), 4,
        "model: Unrolled cannot be converted here; give its layers, model.layers, to from_snntorch.",
    ),
    "inhibition": (from_snntorch, [LINEAR, leaky(inhibition=True)], 4, "[1]: Leaky has inhibition=True"),
    "quantised": (from_snntorch, [LINEAR, leaky(state_quant=lambda x: x)], 4, "[1]: Leaky has state_quant"),
    "reset of RSynaptic": (
        from_snntorch, [LINEAR, snntorch.RSynaptic(0.5, 0.5, linear_features=3, reset_delay=False)], 4,
        "[1]: RSynaptic has reset_delay=False, with which snnTorch fails, too",
    ),
    "recurrent kernel": (
        from_snntorch, [snntorch.RLeaky(0.5, conv2d_channels=1, kernel_size=2)], (1, 4, 4),
        "[0]: RLeaky has a recurrent layer that changes the shape",
    ),
    "threshold": (from_snntorch, [LINEAR, leaky(threshold=-1.0)], 4, "Leaky.threshold: must be >= 0; got -1.0."),
    "bias of another model": (
        from_snntorch, [LINEAR, leaky(), nn.Linear(3, 3), Neurons(snn.LIFDelta())], 4,
        "[3]: a bias or input current is no arriving weight for LIFDelta. Use bias=False",
    ),
    "receptors": (from_snntorch, [LINEAR, Neurons(snn.LIFExp())], 4, "[1]: Neurons of LIFExp has several receptors"),
    "restless": (
        from_snntorch, [LINEAR, leaky(), nn.Linear(3, 3), Neurons(snn.Leaky(), init={"v": 0.5})], 4,
        "does not stay as it is until the first input reaches it, 1 steps after the start",
    ),
    "dt": (
        from_snntorch, [LINEAR, Neurons(snn.Leaky()), nn.Linear(3, 3), Neurons(snn.Leaky(), dt=0.5)], 4,
        "Neurons.dt: must be the same in all layers; got [0.5, 1.0].",
    ),
    "shape": (from_torch, [LINEAR, QCFS()], (4, 0), "input_shape: must be integers > 0"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Inhibition is an unstable feature")
@pytest.mark.parametrize("case", CONVERSIONS)
def test_conversions(case):
    function, model, shape, text = CONVERSIONS[case]
    refused(snn.SimError, text, function, model, shape)


def test_every_layer_that_cannot_be_converted_is_named():
    text = refused(snn.ModelError, "[0]: Tanh", from_torch, [nn.Tanh(), LINEAR, nn.Softmax(1), QCFS()], 4)
    assert "\n[2]: Softmax cannot be converted; leave it out: the largest output is the answer." in text


def test_other_arguments():
    text, rate = "Classifier.encoder: no population 'inputs'", snn.encode.Rate("inputs")
    refused(snn.ModelError, text, from_torch, [LINEAR, QCFS()], 4, encoder=rate)
    relu = [LINEAR, nn.ReLU()]
    refused(snn.ModelError, "percentile: must be > 0 and <= 100; got 0.", from_torch, relu, 4, np.ones((2, 4)), 0.0)
    text = "percentile: must be a finite number; got '99'."
    refused(snn.ModelError, text, from_torch, relu, 4, np.ones((2, 4)), "99")
    for wrong in (np.ones((2, 3)), np.ones((0, 4)), np.ones(4), np.full((2, 4), np.nan)):
        text = f"calibrate: must be finite samples, one at least, shape (n, 4); got {wrong.shape}."
        refused(snn.ShapeError, text, from_torch, relu, 4, wrong)
    refused(snn.ModelError, "calibrate: must be real numbers; got str of dtype <U3.", from_torch, relu, 4, "all")
    dead = "[1]: ReLU has a threshold of 0, which must be > 0"
    with torch.no_grad():
        LINEAR.bias.fill_(-9.0)
    refused(snn.ModelError, dead, from_torch, relu, 4, np.ones((2, 4)))
    learned = QCFS()
    with torch.no_grad():
        learned.threshold.fill_(-1.0)
    refused(snn.ModelError, "[1]: QCFS has a threshold of -1, which must be > 0", from_torch, [LINEAR, learned], 4)


def test_modules():
    refused(snn.ModelError, "QCFS.levels: must be an integer >= 1; got 0.", QCFS, 0)
    refused(snn.ModelError, "QCFS.threshold: must be > 0; got nan.", QCFS, 4, float("nan"))
    refused(snn.ModelError, "QFFS.bits: must be an integer >= 1; got 1.5.", QFFS, 1.5)
    refused(snn.ModelError, "QFFS.step: must be > 0; got 0.", QFFS, 2, 0.0)
    refused(snn.ModelError, "Neurons.model: must be a neuron model such as snn.Leaky(); got 3.", Neurons, 3)
    drawn = snn.Leaky(beta=snn.uniform(0.0, 1.0))
    refused(snn.ModelError, "Neurons(Leaky).beta: must be a number or an array; got", Neurons, drawn)
    refused(snn.ModelError, "Neurons(Leaky).learn: no parameter 'betta'.", Neurons, snn.Leaky(), learn=["betta"])
    text = "Neurons(Alpha).learn: 'alpha' enters derived constants, so it cannot be trained."
    refused(snn.ModelError, text, Neurons, snn.Alpha(), learn=["alpha"])
    refused(snn.ModelError, "Neurons(Leaky).init: no state variable 'u'", Neurons, snn.Leaky(), init={"u": 0.0})
    for dt in (-1, 0):
        refused(snn.ModelError, f"Neurons(Leaky).dt: must be > 0 ms; got {dt}.", Neurons, snn.Leaky(), dt=dt)
    refused(snn.ModelError, "Neurons.dt: must be a finite number; got nan.", Neurons, snn.Leaky(), dt=float("nan"))
    for value, text in (
        (float("nan"), "must be finite; got nan."), (snn.uniform(0.0, 1.0), "must be a number or an array; got"),
        ("bogus", "must be a number or an array; got 'bogus'."),
    ):  # fmt: skip
        refused(snn.ModelError, f"Neurons(Leaky).init['v']: {text}", Neurons, snn.Leaky(), init={"v": value})
    refused(snn.ModelError, "Neurons(Leaky).init: must be a dictionary", Neurons, snn.Leaky(), init="v")
    whole = next(s.name for s in snn.LIFDelta.spec.state if s.dtype == "int")
    text = f"Neurons(LIFDelta).init[{whole!r}]: must be integers >= 0 and < 2**31; got 0.5."
    refused(snn.ModelError, text, Neurons, snn.LIFDelta(), init={whole: 0.5})
    text = "Neurons(Leaky).surrogate: must be a function x -> (x > 0), or None; got 'atan'."
    refused(snn.ModelError, text, Neurons, snn.Leaky(), "atan")
    text = "Neurons(Leaky).learn: must be a list of names; got 'beta'. Write ['beta']."
    refused(snn.ModelError, text, Neurons, snn.Leaky(), learn="beta")
    for given in (None, 1.5, [1.0], b"a"):
        text = f"Neurons(Leaky).learn: must be a list of names of parameters; got {given!r}."
        refused(snn.ModelError, text, Neurons, snn.Leaky(), learn=given)
    refused(snn.ModelError, "QCFS.threshold: must be > 0; got 'x'.", QCFS, 4, "x")
    refused(snn.ModelError, "QFFS.step: must be > 0; got None.", QFFS, 2, None)
    text = "Classifier.encoder: must be one of snn.encode, such as Direct(..); got 'Rate'."
    refused(snn.ModelError, text, from_torch, [LINEAR, QCFS()], 4, encoder="Rate")
    text = "Neurons(LIFExp): needs one input for each receptor: ex, in; got one tensor."
    refused(snn.ShapeError, text, Neurons(snn.LIFExp()), torch.zeros(1, 3))
    text = "Neurons(Leaky): needs tensors of floating dtype; got Tensor."
    refused(snn.ShapeError, text, Neurons(snn.Leaky()), torch.zeros(1, 3, dtype=torch.int64))


def test_calls():
    layer = Neurons(snn.Leaky(threshold=np.ones(3)))
    layer(torch.zeros(4, 3))
    text = "Neurons(Leaky): inputs must have the shape of the last call, (4, 3); got (2, 3). Call reset() before other"
    refused(snn.ShapeError, text, layer, torch.zeros(2, 3))
    layer.reset()
    assert layer(torch.zeros(2, 3)).shape == (2, 3)
    text = "Neurons(Leaky): inputs and arrays must broadcast; got arrive_syn (2, 4), threshold (3,)."
    refused(snn.ShapeError, text, layer, torch.zeros(2, 4))
    for model in (snn.LIFDelta(), snn.NIRCubaLIF(), snn.CubaLIF()):
        layer = Neurons(model, learn=["v_th"])
        with torch.no_grad():
            layer.v_th.fill_(model.params["v_reset"] - 1.0)
        name = type(model).__name__
        text = f"Neurons({name}).learn: training has broken a rule. {name}.v_reset: must"
        refused(snn.ModelError, text, layer, torch.zeros(1, 1))


def test_training():
    text = "Unrolled: input over time must be of shape (batch, 5, *sample); got (2, 4, 3)."
    refused(snn.ShapeError, text, Unrolled(LINEAR, 5, static=False), torch.zeros(2, 4, 3))
    refused(snn.ModelError, "Unrolled.static: must be True or False; got 'no'.", Unrolled, LINEAR, 5, "no")
    text = "train.batch: the model fails on one of 1: Expected more than 1 value per channel when training"
    refused(snn.ModelError, text, train, nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), np.ones((4, 4)),
            [0, 1, 2, 0], epochs=1, batch=1)  # fmt: skip
    refused(snn.ModelError, "Unrolled.steps: must be an integer >= 1; got 0.", Unrolled, LINEAR, 0)
    refused(snn.ModelError, "train.model: has no parameters.", train, nn.ReLU(), np.ones((2, 4)), [0, 1], epochs=1)
    text = "train.y: must be of shape (2,), one class a sample; got (3,)."
    refused(snn.ShapeError, text, train, LINEAR, np.ones((2, 4)), [0, 1, 1], epochs=1)
    x, y = np.ones((2, 4)), [0, 1]
    for wrong in (np.full((2, 4), np.nan), np.ones((0, 4)), np.ones(2)):
        text = f"train.x: must be finite samples, one at least, shape (n, *sample); got {wrong.shape}."
        refused(snn.ShapeError, text, train, LINEAR, wrong, y[: len(wrong)], epochs=1)
    text = "train.x: must fit the model; it fails on a sample of shape (3,): mat1 and mat2"
    refused(snn.ShapeError, text, train, LINEAR, np.ones((2, 3)), y, epochs=1)
    refused(snn.ModelError, "train.x: must be real numbers; got ndarray of dtype complex128.", train, LINEAR, 1j * x, y,
            epochs=1)  # fmt: skip
    refused(snn.ModelError, "train.y: must be integers, the classes; got float64.", train, LINEAR, x, [0.7, 1.2],
            epochs=1)  # fmt: skip
    for wrong, text in (([-100, -100], "-100 to -100"), ([0, 3], "0 to 3")):
        refused(snn.ModelError, f"train.y: must be 0 to 2, the model's outputs; got {text}.", train, LINEAR, x, wrong,
                epochs=1)  # fmt: skip
    text = "train.model: must give outputs of shape (n, classes); got (1, 3, 1)."
    refused(snn.ShapeError, text, train, nn.Sequential(LINEAR, nn.Unflatten(1, (3, 1))), x, y, epochs=1)
    for name, wrong, text in (
        ("epochs", -1, "an integer >= 1"), ("batch", 0, "an integer >= 1"), ("batch", 2.5, "an integer >= 1"),
        ("seed", 1.5, "an integer >= 0"), ("lr", float("nan"), "a finite number"),
    ):  # fmt: skip
        options = {"epochs": 1} | {name: wrong}
        refused(snn.ModelError, f"train.{name}: must be {text}; got {wrong!r}.", train, LINEAR, x, y, **options)
    refused(snn.ModelError, "train.lr, weight_decay: must be >= 0; got -1 and", train, LINEAR, x, y, epochs=1, lr=-1)


def test_samples_that_have_a_gradient():
    x, y = torch.rand(6, 4, requires_grad=True), [0, 1, 2, 0, 1, 2]
    assert np.isfinite(train(nn.Linear(4, 3), x, y, epochs=1)).all()
    layers = [nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 3)]
    nn.init.ones_(layers[0].weight)
    made = from_torch(layers, 4, calibrate=x)
    np.testing.assert_array_equal(made.predict(x, 4), made.predict(x.detach(), 4))


def test_a_look_at_the_model_before_training_draws_no_numbers():
    class Noisy(nn.Module):
        def forward(self, z):
            return z + torch.rand_like(z)

    model = nn.Sequential(Noisy(), nn.Linear(4, 3))
    x, y = torch.ones(6, 4), torch.zeros(6, dtype=torch.int64)
    torch.manual_seed(1)
    with torch.no_grad():
        first = nn.functional.cross_entropy(model(x), y).item()
    torch.manual_seed(1)
    assert train(model, x, y, epochs=1)[0] == pytest.approx(first, rel=1e-6)


def exported(**changes):
    """A chain that can be exported, but for ``changes``."""
    net = snn.Network()
    a = net.population("a", 3, changes.get("first", snn.Leaky()), init=changes.get("init"))
    b = net.population("b", 2, snn.Leaky())
    net.connect(
        a, b, snn.all_to_all(), weight=0.5, delay=changes.get("delay", 1.0), short_term=changes.get("short_term")
    )
    if "bias" in changes:
        net.input("bias", changes.get("into", b), changes["bias"])
    if "more" in changes:
        net.connect(*changes["more"], snn.all_to_all(), name="more")
    return net


EXPORTS = {
    "model": ({"first": snn.CubaLIF()}, "Population 'a'.model: snnTorch has no counterpart; got CubaLIF()"),
    "random": ({"first": snn.Leaky(beta=snn.uniform(0.1, 0.5))}, "Population 'a'.beta: must be a number or an array"),
    "mixed": ({"first": snn.Leaky(reset_mechanism=np.array([0, 1, 0]))}, "Population 'a'.reset_mechanism: must be"),
    "reset": ({"first": snn.Leaky(reset_mechanism=3)}, "Population 'a'.reset_mechanism: snnTorch's Leaky has 1"),
    "init": ({"init": {"v": 0.5}}, "Population 'a'.init: snnTorch starts from 0; got {'v': 0.5}."),
    "delay": ({"delay": 2.0}, "Projection 'a->b'.delay: must be one step, 1.0 ms; got up to 2.0."),
    "plastic": ({"short_term": plasticity.TsodyksMarkram()}, "Projection 'a->b': is plastic; snnTorch"),
    "pair": ({"more": ("a", "b")}, "Projection 'more': is the second one of its pair"),
    "loop": ({"more": ("b", "a")}, "Network: populations must form a chain; got a->b, b->a."),
    "bias": ({"bias": snn.StepCurrent(0.1)}, "Input 'bias': must be one StepCurrent from 1.0 ms on"),
    "steps": ({"bias": snn.StepCurrent([0.1, 0.2], [1.0, 5.0])}, "Input 'bias': must be one StepCurrent from 1.0 ms"),
    "first layer's steps": (
        {"bias": snn.StepCurrent([0.1, 0.2], [0.0, 5.0]), "into": "a"}, "Input 'bias': must be one StepCurrent from 0",
    ),
    "first layer's noise": (
        {"bias": snn.NoiseCurrent(0.1), "into": "a"}, "Input 'bias': must be one StepCurrent from 0.0 ms on",
    ),
    "noise": ({"bias": snn.NoiseCurrent(0.1)}, "Input 'bias': must be one StepCurrent from 1.0 ms on"),
}  # fmt: skip


@pytest.mark.parametrize("case", EXPORTS)
def test_exports(case):
    changes, text = EXPORTS[case]
    refused(snn.ExportError, text, to_snntorch, exported(**changes))
    assert len(to_snntorch(exported())) == 3


def test_samples_of_a_later_population():
    net = exported()
    net.input("x", "b", snn.StepCurrent(np.zeros((1, 2))))
    classifier = snn.Classifier(net, snn.encode.Direct("x", np.eye(2)), "b", "spikes", threads=1)
    refused(snn.ExportError, "Classifier.encoder: must drive the first population, 'a'; got", to_snntorch, classifier)


WRONG = ["x", None, np.nan, True, 1.5, [1.0], 1.0j, np.array([1, 2]), b"a", {}]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
def test_arguments_of_the_wrong_type_are_named(wrong):
    chain = [LINEAR, QCFS()]
    if not isinstance(wrong, float) or wrong != 1.5:
        refused(snn.ModelError, "QCFS.threshold: must be > 0; got", QCFS, 4, wrong)
        refused(snn.ModelError, "QFFS.step: must be > 0; got", QFFS, 2, wrong)
    if not isinstance(wrong, dict):
        refused(snn.ModelError, "learn: ", Neurons, snn.Leaky(beta=0.5), learn=wrong)
    refused(
        snn.ModelError, "Unrolled.layers: must be a torch module such as nn.Sequential(..); got", Unrolled, wrong, 3
    )
    if wrong is not None:
        refused(snn.ModelError, "Classifier.encoder: must be one of snn.encode", from_torch, chain, 4, encoder=wrong)
    refused(snn.ModelError, "to_snntorch.network: must be an snn.Network or snn.Classifier; got", to_snntorch, wrong)
    refused(
        snn.ModelError, "run.agent: must be an EarlyExit", from_torch(chain, 4).run, np.ones((2, 4)), wrong, t_max=3
    )


@pytest.mark.parametrize("value", [np.inf, -np.inf, 0.0, -1.0])
def test_thresholds_and_steps_are_finite(value):
    refused(snn.ModelError, "QCFS.threshold: must be > 0; got", QCFS, 4, value)
    refused(snn.ModelError, "QFFS.step: must be > 0; got", QFFS, 2, value)
