"""snn.torch: modules against the step functions, training on digits, conversion against what the papers promise."""

import copy
import io
import itertools
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
snntorch = pytest.importorskip("snntorch", reason="needs the extra torch")
pytest.importorskip("sklearn", reason="needs scikit-learn for its digits")

import snn  # noqa: E402
from kernels.errors import ModelError, ShapeError  # noqa: E402
from snn.confidence import JEIGate  # noqa: E402
from snn.neurons.base import MODELS, Values  # noqa: E402
from snn.torch import QCFS, QFFS, Neurons, Unrolled, from_snntorch, from_torch, train, train_jointly  # noqa: E402

nn = torch.nn


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


# the modules ------------------------------------------------------------------------------------------------------

STRENGTH = {"mV": 3.0, "pA": 300.0, "nS": 15.0, "1": 0.5, "ms": 4.0}
CURRENT = {"pA": 1500.0, "1": 0.1, "1/ms": 0.2}
# torch has its own exp, whose last bits differ
INEXACT = dict.fromkeys(("HodgkinHuxley", "ALIFCondExp", "AdExCondExp", "AdExPscExp", "AdExClopath"), 1e-9)
REFUSED = {"GIF": "draws random numbers", "QIF": "cannot work on tensors: If"}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_module_is_the_step_function(name):
    model, spec = MODELS[name](), MODELS[name].spec
    if name in REFUSED:
        with pytest.raises(ModelError, match=REFUSED[name]):
            Neurons(model)
        return
    dt, steps, n, rng = 1.0 if spec.current_unit == "1" else 0.1, 300, 2, np.random.default_rng(1)
    values = dict(model.params)
    for constant in spec.derived:
        value = constant.compute(Values(values), dt)
        values[constant.name] = int(value) if constant.dtype == "int" else float(value)
    state = [{s.name: values.get(s.init, s.init) for s in spec.state} for _ in range(n)]
    module, fired = Neurons(model, dt=dt), 0
    for _ in range(steps):
        arriving = {}
        for r in spec.receptors:
            x = (rng.random(n) < 0.4) * rng.standard_normal(n) * 2.0 * STRENGTH[r.unit]
            arriving[r.name] = np.abs(x) * (1.0 if r.sign > 0 else -0.1) if r.sign else x + 0.1 * STRENGTH[r.unit]
        current = CURRENT[spec.current_unit] * rng.uniform(0.5, 1.5, n)
        given = {k: torch.tensor(v[None]) for k, v in arriving.items()}
        spikes = module(given, torch.tensor(current[None]))[0].numpy()
        for k in range(n):
            here = values | state[k] | {f"arrive_{r}": v[k] for r, v in arriving.items()} | {"i_stim": current[k]}
            *new, spike = spec.step(*(here[a] for a in spec.arguments))
            state[k] = dict(zip(state[k], new, strict=True))
            fired += spike
            assert spikes[k] == spike
            for variable, value in state[k].items():
                assert module.state[variable][0, k].item() == pytest.approx(value, rel=INEXACT.get(name, 0), abs=0)
    assert fired > 0 or name in ("Accumulator", "SignedIF")


def test_learned_parameters_have_gradients_and_keep_their_bounds():
    layer = Neurons(snn.Leaky(beta=0.5, threshold=np.array([1.0, 0.5])), learn=["beta", "threshold"])
    out = sum(layer(torch.full((3, 2), 0.4)) for _ in range(5))
    out.sum().backward()
    assert layer.beta.grad.abs() > 0 and layer.threshold.grad.shape == (2,)
    with torch.no_grad():
        layer.beta += 2.0
    assert layer.params()["beta"] == 1.0 and layer.model.params["beta"] == 1.0
    np.testing.assert_array_equal(layer.params()["threshold"], [1.0, 0.5])


@pytest.mark.parametrize("wide", ["i_stim", "parameter", "receptor", "init"])
def test_state_has_the_shape_of_all_that_is_given(wide):
    """Sums over five steps, where the first input alone is smaller than the state."""
    shape, x, i_stim = (4, 1), torch.zeros(1, 1), torch.ones(4, 1)
    layer, given = Neurons(snn.Leaky(beta=1.0, threshold=100.0)), x
    if wide == "parameter":
        layer = Neurons(snn.Leaky(beta=np.ones((4, 1)), threshold=100.0))
        i_stim = 1.0
    elif wide == "receptor":
        layer = Neurons(snn.LIFExp(tau_m=1e9, c_m=1.0, e_l=0.0, v_th=100.0, v_reset=0.0))
        given, i_stim = {"ex": x, "in": torch.zeros(4, 1)}, 1.0
    elif wide == "init":
        shape, i_stim = (1, 3), 1.0
        layer = Neurons(snn.Leaky(beta=1.0, threshold=100.0), init={"v": np.arange(3.0)})
    spikes = [layer(given, i_stim) for _ in range(5)]
    assert {s.shape for s in spikes} == {shape}
    v = next(iter(layer.state.values()))
    wanted = np.full(shape, 5.0) + (np.arange(3.0) if wide == "init" else 0.0)
    np.testing.assert_allclose(v.numpy(), wanted, rtol=1e-6)


@pytest.mark.parametrize("model", [snn.SoftResetIF, snn.IF, snn.SignedIF, snn.ResonateAndFire, snn.ALIF])
def test_learned_parameters_keep_off_strict_bounds(model):
    """Below its bound a threshold would let neurons fire at rest."""
    layer = Neurons(model(v_th=[2.0, 4.0], **({"v_reset": 0.0} if "v_reset" in model().params else {})), learn=["v_th"])
    with torch.no_grad():
        layer.v_th.copy_(torch.tensor([-0.5, 3.0]))
    np.testing.assert_allclose(layer.model.params["v_th"], [0.002, 3.0], rtol=1e-6)
    assert not any(layer(torch.zeros(1, 2)).any() for _ in range(3))


def test_a_trained_network_can_be_copied_and_saved():
    model = Unrolled(nn.Sequential(nn.Linear(4, 5), Neurons(snn.Leaky(), learn=["beta"]), nn.Linear(5, 3)), 4)
    x, y = torch.rand(30, 4), np.arange(30) % 3
    train(model, x, y, epochs=2)
    assert model.layers[1].state == {}
    wanted = model(x)  # leaves a state with a graph
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(file, weights_only=False)):
        assert torch.equal(again.layers[1].state["v"], model.layers[1].state["v"])
        assert torch.equal(again(x), wanted) and str(again) == str(model)


# training ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [lambda: Neurons(snn.Leaky()), lambda: snntorch.Leaky(beta=0.9, init_hidden=True)],
    ids=["ours", "snnTorch's"],
)
def test_training_leaves_no_state_where_a_network_resets_itself(make):
    """A module of one's own, with a last batch that is smaller and one sample looked at before."""

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Linear(4, 3), make())

        def forward(self, x):
            out = sum(self.layers(x) for _ in range(3))
            getattr(self.layers[1], "reset_mem", getattr(self.layers[1], "reset", None))()
            return out

    for model in (Own(), Unrolled(nn.Sequential(nn.Linear(4, 3), make()), 3)):
        assert np.isfinite(train(model, torch.rand(50, 4), np.arange(50) % 3, epochs=1, batch=32)).all()
        copy.deepcopy(model)


def test_a_single_sample_left_over_joins_the_batch_before():
    x, y, losses = torch.rand(65, 4), np.arange(65) % 3, []
    for batch in (64, 65):
        torch.manual_seed(0)
        losses.append(train(nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)), x, y, epochs=3, batch=batch))
    assert losses[0] == losses[1]


def test_training_that_diverges_says_so():
    x, y = torch.rand(60, 4), np.arange(60) % 3
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(ModelError, match=r"train.lr: training diverged: in epoch \d of 9 .* got lr=1e\+20. Begin anew"):
        train(model, x, y, epochs=9, lr=1e20)
    spiking = Unrolled(nn.Sequential(nn.Linear(4, 3), Neurons(snn.Leaky()), nn.Linear(3, 3)), 3)
    with torch.no_grad():
        spiking.layers[2].weight.fill_(float("inf"))
    with pytest.raises(ModelError, match="train.lr: training diverged: in epoch 1 of 3 the mean loss is nan"):
        train_jointly(spiking, x, y, JEIGate(), epochs=3, warm_up=1)
    assert spiking.layers[1].state == {} and not spiking.training


def test_input_over_time_from_training_to_the_kernels():
    """Which half of the sources spikes first is the class, so that sums over time do not tell it."""
    rng, steps = np.random.default_rng(0), 10
    y = rng.integers(0, 2, 300)
    early = (np.arange(12) // 6 == y[:, None])[:, None] == (np.arange(steps) < steps // 2)[:, None]
    x = (rng.random((300, steps, 12)) < np.where(early, 0.5, 0.05)).astype(np.float32)
    layers = [
        nn.Linear(12, 30, bias=False),
        Neurons(snn.Leaky(beta=0.8)),
        nn.Linear(30, 2),
        Neurons(snn.Leaky(beta=0.8)),
    ]
    model = Unrolled(nn.Sequential(*layers), steps, static=False)
    train(model, x[:200], y[:200], epochs=15, lr=1e-2)
    with torch.no_grad():
        sums = model(torch.tensor(x[200:]))
        assert torch.equal(model.accumulated(torch.tensor(x[200:]))[-1], sums)
        by_hand = [layers[0](torch.tensor(x[200:, k])) for k in range(steps)]
        for k in (1, 2, 3):
            layers[k].reset() if k % 2 else None
            by_hand = [layers[k](step) for step in by_hand]
    assert torch.equal(sum(by_hand), sums)
    classifier = from_snntorch(model, 12, encoder=snn.encode.Events("input"))
    events = [np.nonzero(sample) for sample in x[200:]]
    np.testing.assert_array_equal(classifier.record(events, steps).outputs[-1], sums.numpy())
    assert np.mean(classifier.predict(events, steps) == y[200:]) > 0.9


def test_a_sample_over_time_that_never_changes_is_a_static_one():
    layers, x = nn.Sequential(nn.Linear(4, 3), Neurons(snn.Leaky(threshold=0.2))), torch.randn(7, 4)
    still, moving = Unrolled(layers, 6), Unrolled(layers, 6, static=False)
    assert torch.equal(still(x), moving(x[:, None].expand(7, 6, 4))) and still(x).sum() > 0


@pytest.fixture(scope="module")
def digits():
    """(x, y) for training and for testing, pixels in [0, 1]."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    x, y = load_digits(return_X_y=True)
    xa, xb, ya, yb = train_test_split(x / 16.0, y, train_size=1248, stratify=y, random_state=0)
    return xa, ya, xb, yb


def test_training_of_our_modules_and_snntorchs(digits):
    """The same losses, as forward and gradients are the same; 60 epochs reach more (scripts/verify.py)."""
    x, y, x_test, y_test = digits
    losses = []
    for make in (
        lambda: snntorch.Leaky(beta=0.9, init_hidden=True),
        lambda: Neurons(snn.Leaky(beta=0.9)),
    ):
        torch.manual_seed(0)
        model = Unrolled(nn.Sequential(nn.Linear(64, 100), make(), nn.Linear(100, 10), make()), steps=8)
        losses.append(train(model, x, y, epochs=7, lr=4e-3))
        with torch.no_grad():
            right = model(torch.tensor(x_test, dtype=torch.float32)).argmax(1).numpy() == y_test
        assert right.mean() >= 0.95
    np.testing.assert_allclose(*losses, rtol=1e-4)
    made = from_snntorch(model, 64)
    assert made.network_hash == from_snntorch(model.layers, 64).network_hash
    assert np.mean(made.predict(x_test, 8) == y_test) >= 0.95  # float32 in torch, so a spike may differ


# conversion -------------------------------------------------------------------------------------------------------


def rate_network(activation, sizes, seed=0):
    torch.manual_seed(seed)
    layers = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), activation()]
        nn.init.kaiming_normal_(layers[-2].weight)
    return nn.Sequential(*layers[:-1])


def shared(activation, form):
    """Layers of which two stand in three places each, and the same without any that comes again."""
    torch.manual_seed(1)
    first, tied, last = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)
    act = activation()
    once = [copy.deepcopy(x) for x in (first, act, tied, act, tied, act, last)]
    return form([first, act, tied, act, tied, act, last]), form(once)


@pytest.mark.parametrize("form", [list, lambda layers: nn.Sequential(*layers)], ids=["list", "Sequential"])
@pytest.mark.parametrize(
    "activation", [lambda: QCFS(4, 1.0), lambda: QFFS(2, 0.3), nn.ReLU], ids=["QCFS", "QFFS", "ReLU"]
)
def test_a_layer_that_comes_again_is_converted_again(activation, form):
    x = np.random.default_rng(0).random((20, 6))
    made, wanted = (from_torch(model, 6, calibrate=x) for model in shared(activation, form))
    assert list(made.network.populations) == ["layer1", "layer2", "layer3", "output"]
    assert made.network_hash == wanted.network_hash
    np.testing.assert_array_equal(made.record(x, 8).outputs, wanted.record(x, 8).outputs)
    if activation is nn.ReLU:
        assert len({p.model.params["v_th"] for p in list(made.network.populations.values())[:3]}) == 3


def test_a_pool_that_comes_again_is_converted_again():
    pool, act = nn.AvgPool2d(2), QCFS(4, 1.0)
    layers = [nn.Conv2d(1, 2, 3, padding=1), act, pool, nn.Conv2d(2, 2, 3, padding=1), act, pool, nn.Flatten()]
    made = from_torch(nn.Sequential(*layers), (1, 8, 8))
    assert list(made.network.populations) == ["layer1", "layer2", "output"] and made.output.n == 8


def test_a_neuron_without_a_state_of_its_own_is_converted_again():
    """The caller gives each call its state, so each place has one."""
    lif, layers = snntorch.Leaky(beta=0.5), [nn.Linear(6, 6), nn.Linear(6, 3)]
    made = from_snntorch([layers[0], lif, layers[1], lif], 6)
    assert list(made.network.populations) == ["layer1", "output"] and made.readout == "spikes"


def test_conversion_of_digits(digits):
    x, y, x_test, y_test = digits
    x, y, x_test, y_test = x[:700], y[:700], x_test[:300], y_test[:300]
    ann = rate_network(lambda: QCFS(levels=4, threshold=2.0), (64, 128, 128, 10))
    train(ann, x, y, epochs=40)
    with torch.no_grad():
        quantised = np.mean(ann(torch.tensor(x_test, dtype=torch.float32)).argmax(1).numpy() == y_test)
    made = from_torch(ann, 64)
    outputs = made.record(x_test, 32).outputs
    right = (outputs.argmax(2) == y_test).mean(1)
    print(f"quantised {quantised:.4f}, spiking after 1, 4, 32 steps: {right[0]:.4f} {right[3]:.4f} {right[31]:.4f}")
    assert right[31] >= 0.96
    assert right[31] >= quantised - 0.01
    assert right[0] < right[3]
    # tensors are samples, and results are tensors without a copy
    again = torch.from_dlpack(made.record(torch.tensor(x_test), 32).outputs)
    np.testing.assert_array_equal(again.numpy(), outputs)


def simulate(made, sample, steps):
    """v of the output after each step in which it hears of the input; a sample is one array, or one for each step."""
    made.network.record("layer1")
    made.network.record("output", "v")
    currents = np.atleast_2d(sample) @ made.encoder.weight.T + made.encoder.bias
    made.network.inputs["sample"].source = snn.StepCurrent(currents, np.arange(1.0 * len(currents)))
    run = snn.Simulation(made.network, dt=1.0, quiet=True, threads=1).run(steps + made.depth - 1.0)
    return np.asarray(run.states["output"]["v"])[made.depth - 1 :]


@pytest.mark.parametrize("levels", [1, 4, 7])
def test_spikes_of_constant_input_are_the_qcfs_activation(levels):
    """Bu et al. 2022, theorem 2 for one layer: with v(0) = threshold / 2 and T = L, exactly."""
    threshold = 1.5
    z = np.linspace(-1.0, 2.5, 97)  # no ties of the floor
    layer = nn.Sequential(nn.Linear(97, 97, bias=False), QCFS(levels, threshold), nn.Linear(97, 97, bias=False))
    with torch.no_grad():
        layer[0].weight.copy_(torch.eye(97)), layer[2].weight.copy_(torch.eye(97))
        expected = layer.double()(torch.tensor(z)).numpy()
    v = from_torch(layer, 97).record([z], levels).outputs[:, 0]
    np.testing.assert_allclose(v[-1] / levels, expected, rtol=0, atol=1e-12)
    assert len(np.unique(expected)) == levels + 1


def test_qffs_neurons_take_spikes_back():
    """One layer sends the quantised activation in 2^bits - 1 steps, and what follows is a network with signs."""
    activation = QFFS(bits=2, step=0.4)
    z = np.linspace(0.0, 2.0, 89)
    layer = nn.Sequential(nn.Identity(), activation, nn.Linear(89, 89, bias=False)).double()
    with torch.no_grad():
        layer[2].weight.copy_(torch.eye(89))
        expected = layer(torch.tensor(z)[None])[0].numpy()
    v = simulate(from_torch(layer, 89), z, 3)
    np.testing.assert_allclose(v[-1] / 3.0, expected, rtol=0, atol=1e-12)

    # z and then -z: everything is taken back, and no more
    net = from_torch(layer, 89).network
    net.record("layer1")
    net.record("output", "v")
    net.inputs["sample"].source = snn.StepCurrent([np.tile(z, 2), -np.tile(z, 2)], times=[0.0, 6.0])
    run = snn.Simulation(net, dt=1.0, quiet=True).run(31.0)
    ids = run.spikes["layer1"].ids
    assert np.sum(ids >= 89) == np.sum(ids < 89) > 100  # as many negative spikes as positive ones
    np.testing.assert_allclose(run.states["output"]["v"][-1], 0.0, atol=1e-12)


@pytest.mark.parametrize("activation", [QCFS(3, 0.7), QFFS(2, 0.4)], ids=["QCFS", "QFFS"])
def test_an_activation_at_the_end_gives_its_own_outputs(activation):
    """One output a unit, of what its spikes are worth; a unit of QFFS is two neurons."""
    ann = nn.Sequential(nn.Linear(6, 5), activation).double()
    x = np.random.default_rng(0).normal(size=(20, 6)) * 2.0
    expected = ann(torch.tensor(x)).detach().numpy()
    found = from_torch(ann, 6).record(x, 3).outputs[-1] / 3.0
    assert len(np.unique(expected.round(6))) == 4
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_qffs_network_equals_its_definition():
    """Three layers and input that changes, against the neuron written with signed spikes, one array a layer."""
    ann = rate_network(lambda: QFFS(bits=2, step=0.5), (12, 20, 15, 4), seed=3).double()
    samples = np.random.default_rng(2).normal(0.5, 0.7, (8, 12, 12))  # (samples, steps, inputs)
    for m in ann:
        if isinstance(m, nn.Linear):
            nn.init.normal_(m.bias, 0.1, 0.2)
    weights = [m.weight.detach().numpy() for m in ann if isinstance(m, nn.Linear)]
    biases = [m.bias.detach().numpy() for m in ann if isinstance(m, nn.Linear)]
    negative = 0
    for sample in samples:
        found = simulate(from_torch(ann, 12), sample, 12)
        v, sent, total = [np.full(n, 0.75) for n in (20, 15)], [np.zeros(n) for n in (20, 15)], np.zeros(4)
        for step in range(12):
            x = sample[step]
            for k in range(2):
                v[k] += weights[k] @ x + biases[k]
                spike = np.where((v[k] >= 1.5) & (sent[k] < 3), 1.0, np.where((v[k] < 0) & (sent[k] > 0), -1.0, 0.0))
                v[k] -= 1.5 * spike
                sent[k] += spike
                negative += np.sum(spike < 0)
                x = 1.5 * spike
            total += weights[2] @ x + biases[2]
            np.testing.assert_allclose(found[step], total, rtol=0, atol=1e-11)
    assert negative > 20


def test_thresholds_of_relus_are_percentiles():
    ann = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    x = torch.randn(200, 6)
    made = from_torch(ann, 6, calibrate=x, percentile=90.0)
    with torch.no_grad():
        first = torch.relu(ann[0](x))
        second = torch.relu(ann[3](first))
    thresholds = [made.network.populations[f"layer{k}"].model.params["v_th"] for k in (1, 2)]
    np.testing.assert_allclose(thresholds, [np.percentile(a.numpy(), 90.0) for a in (first, second)], rtol=1e-6)
    assert made.network.populations["layer1"].init["v"] == thresholds[0] / 2
    assert ann[2].training


def test_example_of_the_documentation(capsys):
    text = (Path(__file__).resolve().parents[2] / "docs" / "torch.md").read_text()
    names = {}
    first, over_time, integers = re.findall(r"```python\n(.*?)```", text, re.S)
    exec(first, names)
    network, early, late = (float(x) for x in re.findall(r"0\.\d+", capsys.readouterr().out))
    assert late >= network - 0.01 and late >= 0.95 and early > 0.9
    exec(over_time, names)
    assert float(capsys.readouterr().out.split()[0]) > 0.9
    exec(integers, names)
    assert "bias layer1->layer1: " in capsys.readouterr().out


def test_model_without_receptors():
    text = "dv/dt = (i_stim - v) / tau : mV\ntau = 10 : ms"
    one = snn.from_equations("Driven", text, threshold="v > 1", reset="v = 0", current_unit="mV")
    neurons, v = Neurons(one(), dt=0.5), np.zeros(3)
    current = np.array([0.9, 1.2, 2.0])
    for _ in range(100):
        fired = neurons({}, torch.tensor(current)).numpy()
        v = current + (v - current) * (1 - 0.05 + 0.05**2 / 2 - 0.05**3 / 6 + 0.05**4 / 24)  # Runge-Kutta's exp(-0.05)
        np.testing.assert_array_equal(fired, v > 1)
        v[v > 1] = 0.0
    np.testing.assert_allclose(neurons.state["v"].numpy(), v, rtol=1e-12)
    with pytest.raises(ShapeError, match="has no receptor that x could arrive at"):
        neurons(torch.tensor(current))


ADEX = """
dv/dt = (-g_l * (v - e_l) + g_l * slope * exp((v - v_t) / slope) - z + i_stim) / c_m : mV
dz/dt = (a * (v - e_l) - z) / tau : pA
c_m = 281 : pF
g_l = 30 : nS
e_l = -70.6 : mV
v_t = -50.4 : mV
slope = 2 : mV
tau = 144 : ms
a = 4 : nS
"""


def test_gradients_pass_upstrokes_that_overflow():
    """The branch that is not taken is infinite in the step of a spike; gradients were not numbers from there on."""
    model = snn.from_equations("AdExOfText", ADEX, threshold="v > 0", reset="v = -70.6; z += 80.5", init={"v": -70.6})()
    neurons = snn.torch.Neurons(model, dt=0.1)
    current = torch.full((3, 1), 900.0, dtype=torch.float64, requires_grad=True)
    spikes, late = 0.0, []
    for step in range(900):
        fired = neurons({}, current[step // 300].reshape(1, 1))
        spikes = spikes + fired.sum()
        late.append(int(fired.sum()))
    assert sum(late) >= 3
    (gradient,) = torch.autograd.grad(spikes, current)
    assert torch.isfinite(gradient).all() and (gradient != 0).all()


def test_gradients_below_threshold_are_differences():
    """Through exp, whose gradient is one of our own."""
    model = snn.from_equations("AdExBelow", ADEX, threshold="v > 0", reset="v = v", init={"v": -70.6})()

    def potential(amount):
        neurons = snn.torch.Neurons(model, dt=0.1)
        for _ in range(200):
            neurons({}, amount.reshape(1, 1))
        return neurons.state["v"].sum()

    current = torch.tensor(400.0, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(potential(current), current)
    with torch.no_grad():
        difference = (potential(current + 1e-4) - potential(current - 1e-4)) / 2e-4
    assert float(gradient) == pytest.approx(float(difference), rel=1e-6)


def test_gradients_of_elementary_functions():
    """torch's own functions in place of those of arithmetic, whose parts have no gradients; powers too."""
    functions = ("tanh(v)", "sinh(v)", "cosh(v)", "sin(v)", "cos(v)", "expm1(v)", "log(2 + v)", "(v + 2)**k", "2**v")
    text = "\n".join(f"dx{i}/dt = {f} : 1" for i, f in enumerate(functions)) + "\ndv/dt = i_stim : 1\nk = 1.3 : 1"
    model = snn.from_equations("OfAll", text, threshold="v > 9", current_unit="1")()

    def states(amount):
        neurons = snn.torch.Neurons(model, dt=0.1)
        for _ in range(5):
            neurons({}, amount.reshape(1, 1))
        return torch.stack([neurons.state[f"x{i}"].sum() for i in range(len(functions))])

    current = torch.tensor(0.7, dtype=torch.float64)
    gradient = torch.autograd.functional.jacobian(states, current)
    difference = (states(current + 1e-6) - states(current - 1e-6)) / 2e-6
    np.testing.assert_allclose(gradient.numpy(), difference.numpy(), rtol=1e-7)
    net = snn.Network()
    cell = net.population("cell", 1, model)
    net.input("drive", cell, snn.StepCurrent(0.7))
    sim = snn.Simulation(net, dt=0.1, quiet=True)
    sim.run(0.5)
    found = [sim.state("cell", f"x{i}")[0] for i in range(len(functions))]
    np.testing.assert_allclose(states(current).detach().numpy(), found, rtol=1e-13)
