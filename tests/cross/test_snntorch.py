"""Networks of snnTorch: its own modules, ours from the step functions, and the converted network on the kernels.

One step of the kernels is one call of the modules; layer l runs l steps behind. float64, so no spike may differ.
"""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra torch")
snntorch = pytest.importorskip("snntorch", reason="needs the extra torch")

import snn  # noqa: E402
from snn.torch import Neurons, Unrolled, from_snntorch, to_snntorch  # noqa: E402

nn = torch.nn
STEPS = 60
MECHANISMS = {"subtract": 0, "zero": 1, "none": 2}


@pytest.fixture(autouse=True)
def one_thread_and_float64():
    threads, dtype = torch.get_num_threads(), torch.get_default_dtype()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(dtype)


def spike(x):
    """snnTorch's own surrogates give float32, which float64 layers refuse."""
    return (x > 0).to(x.dtype)


def neuron(kind, n, seed, **options):
    rng = np.random.default_rng(seed)
    beta = torch.tensor(rng.uniform(0.5, 0.95, n))
    threshold = torch.tensor(rng.uniform(0.5, 1.0, n))
    common = {"beta": beta, "threshold": threshold, "init_hidden": True, "spike_grad": spike} | options
    if kind in ("Synaptic", "RSynaptic"):
        common["alpha"] = torch.tensor(rng.uniform(0.3, 0.8, n))
    if kind == "Alpha":
        common["alpha"] = common["beta"] + 0.04
    if kind in ("RLeaky", "RSynaptic") and "all_to_all" not in options:
        common["linear_features"] = n
    return getattr(snntorch, kind)(**common)


def linear_model(kind, seed, mechanism="subtract", **options):
    torch.manual_seed(seed)
    sizes = (20, 30, 25, 6)
    layers = []
    for k, (a, b) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        layer = nn.Linear(a, b)
        nn.init.normal_(layer.weight, 0.2 if kind == "Alpha" else 0.05, (4.0 if kind == "Alpha" else 1.5) / a**0.5)
        layers += [layer, neuron(kind, b, 10 * seed + k, reset_mechanism=mechanism, **options)]
    return nn.Sequential(*layers)


def reset(model):
    for layer in model:
        for name in ("reset_mem", "reset"):
            if callable(getattr(layer, name, None)):
                getattr(layer, name)()


def unroll(model, x):
    """Spikes of the last layer, shape (steps, n), and the number of all spikes of layers of neurons."""
    reset(model)
    counts = []
    hooks = [
        layer.register_forward_hook(lambda _, __, out: counts.append(float(out.sum())))
        for layer in model
        if isinstance(layer, (snntorch.SpikingNeuron, Neurons))
    ]
    with torch.no_grad():
        out = torch.stack([model(step[None])[0].flatten() for step in x]).numpy()
    for hook in hooks:
        hook.remove()
    return out, sum(counts)


def simulate(made, x=None, spikes=None, variable=None, **options):
    """Spikes (or ``variable``) of the converted network's output, shifted back, shape (steps, n)."""
    net = made.network
    net.record("output", *([variable] if variable else []))
    if x is None:
        step, ids = np.nonzero(spikes)
        net.populations["input"].model = snn.SpikeArray(step + 1.0, ids)  # a step's spikes have its end as their time
    else:
        currents = x @ made.encoder.weight.T + made.encoder.bias
        net.inputs["sample"].source = snn.StepCurrent(currents, np.arange(1.0 * len(x)))
    lag = made.depth - 1
    steps = len(spikes if x is None else x) + lag
    result = snn.Simulation(net, dt=1.0, quiet=True, **options).run(1.0 * steps)
    if variable:
        return np.asarray(result.states["output"][variable])[lag:]
    record = result.spikes["output"]
    out = np.zeros((steps, made.output.n))
    out[np.rint(record.times).astype(int) - 1, record.ids] = 1.0
    return out[lag:]


def own(model):
    """The same network of our modules; recurrent layers are not among them."""
    layers = []
    for layer in model:
        if isinstance(layer, snntorch.SpikingNeuron):
            names = ("alpha", "beta", "threshold")
            params = {n: getattr(layer, n).numpy() for n in names if hasattr(layer, n)}
            if hasattr(layer, "reset_delay"):
                params["reset_delay"] = float(layer.reset_delay)
            params["reset_mechanism"] = MECHANISMS[layer.reset_mechanism]
            layers.append(Neurons(getattr(snn, type(layer).__name__)(**params)))
        else:
            layers.append(layer)
    return nn.Sequential(*layers)


def samples(seed, *shape):
    return np.random.default_rng(seed + 100).normal(0.3, 0.8, (STEPS, *shape))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "Alpha"])
def test_same_spikes(kind, seed):
    mechanism = list(MECHANISMS)[(seed + (kind == "Alpha")) % 3]
    options = {} if kind == "Alpha" else {"reset_delay": seed != 1}
    model, x = linear_model(kind, seed, mechanism, **options), samples(seed, 20)
    theirs, total = unroll(model, torch.tensor(x))
    ours, our_total = unroll(own(model), torch.tensor(x))
    kernels = simulate(from_snntorch(model, 20), x)
    again = simulate(from_snntorch(own(model), 20), x)
    assert 0.05 < theirs.mean() < 0.95
    assert np.sum(ours != theirs) == 0 and our_total == total
    assert np.sum(kernels != theirs) == 0
    assert np.sum(again != theirs) == 0


@pytest.mark.parametrize("seed", range(3))
def test_same_spikes_of_lapicque(seed):
    given = [{"R": 3.0, "C": 2.5}, {"beta": 0.8}, {"beta": 0.6, "R": 1.7, "time_step": 0.7}]  # it takes no arrays
    options = {"init_hidden": True, "spike_grad": spike, "reset_mechanism": list(MECHANISMS)[seed]}
    torch.manual_seed(seed)
    layers = [nn.Linear(20, 25), nn.Linear(25, 6)]
    for layer in layers:
        nn.init.normal_(layer.weight, 0.2, 0.8)
    model = nn.Sequential(layers[0], snntorch.Lapicque(**given[seed], **options), layers[1],
                          snntorch.Lapicque(R=2.0, C=2.0, **options))  # fmt: skip
    x = samples(seed, 20)
    theirs, _ = unroll(model, torch.tensor(x))
    assert 0.05 < theirs.mean() < 0.95
    assert np.sum(simulate(from_snntorch(model, 20), x) != theirs) == 0
    fast = snntorch.Lapicque(R=0.5, C=1.0, **options)
    with pytest.raises(snn.ModelError, match=r"\[1\]: Lapicque has time_step > R C, 1 > 0.5; use a smaller"):
        from_snntorch([nn.Linear(20, 6), fast], 20)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", ["RLeaky", "RSynaptic"])
def test_same_spikes_of_recurrent_layers(kind, seed):
    options = [{}, {"all_to_all": False, "V": torch.tensor(-0.4)}, {}][seed]
    mechanism = ["subtract", "none", "zero"][seed]
    model, x = linear_model(kind, seed, mechanism, **options), samples(seed, 20)
    theirs, _ = unroll(model, torch.tensor(x))
    kernels = simulate(from_snntorch(model, 20), x)
    assert 0.05 < theirs.mean() < 0.95
    assert np.sum(kernels != theirs) == 0


def image_model(seed, kind="Leaky"):
    torch.manual_seed(seed)
    recurrent = {"conv2d_channels": 4, "kernel_size": 3, "all_to_all": True} if kind == "RLeaky" else {}
    first = neuron(kind, (4, 1, 1), seed, **recurrent) if recurrent else neuron(kind, (4, 1, 1), seed)
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), first, nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 2, stride=2, groups=2), neuron("Leaky", (6, 1, 1), seed + 1), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(24, 5), neuron("Leaky", 5, seed + 2),
    )  # fmt: skip
    for layer in model:
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.normal_(layer.weight, 0.1, 1.2 / layer.weight[0].numel() ** 0.5)
    model[1].train()
    model[1](torch.randn(64, 4, 8, 8) * 0.7 + 0.2)  # running statistics that are not trivial
    return model.eval()


@pytest.mark.parametrize(("seed", "kind"), [(0, "Leaky"), (1, "Leaky"), (2, "RLeaky")])
def test_same_spikes_of_convolutions(seed, kind):
    model, x = image_model(seed, kind), samples(seed, 2, 8, 8)
    theirs, _ = unroll(model, torch.tensor(x))
    made = from_snntorch([model[:5], list(model[5:])], (2, 8, 8))
    kernels = simulate(made, x.reshape(STEPS, -1))
    assert 0.03 < theirs.mean() < 0.95
    assert np.sum(kernels != theirs) == 0
    assert made.depth == 3 and [len(p) for p in made.network.populations.values()] == [256, 24, 5]


def test_same_spikes_of_max_pooling():
    """The largest of spikes is whether there is one: padded, overlapping, of input spikes, of graded ones."""
    torch.manual_seed(0)
    first = neuron("Leaky", (4, 1, 1), 0, graded_spikes_factor=1.5)
    layers = [
        nn.MaxPool2d(2, stride=1), nn.Conv2d(2, 4, 3, padding=1), first,
        nn.MaxPool2d(3, stride=2, padding=1), nn.Conv2d(4, 6, 2), neuron("Leaky", (6, 1, 1), 1),
    ]  # fmt: skip
    for layer in layers[1::3]:
        nn.init.normal_(layer.weight, 0.1, 1.2 / layer.weight[0].numel() ** 0.5)
    model, x = nn.Sequential(*layers), np.random.default_rng(2).random((STEPS, 2, 8, 8)) < 0.1
    theirs, _ = unroll(model, torch.tensor(x.astype(float)))
    made = from_snntorch(model, (2, 8, 8), encoder=snn.encode.Events("input"))
    kernels = simulate(made, spikes=x.reshape(STEPS, -1))
    assert 0.03 < theirs.mean() < 0.95
    assert made.depth == 5 and isinstance(made.network.projections["input->layer1"].rule, snn.conv2d)
    assert np.sum(kernels != theirs) == 0


@pytest.mark.parametrize("pooled", [False, True])
def test_outputs_are_what_the_last_spikes_are_worth(pooled):
    """One factor a class changes which class is the largest; a pool passes on what the spikes before it are worth."""
    torch.manual_seed(4)
    if pooled:
        layers = [nn.Conv2d(1, 3, 3), neuron("Leaky", (3, 1, 1), 0, graded_spikes_factor=2.5), nn.MaxPool2d(2)]
    else:
        factor = torch.tensor([0.1, 10.0, 1.0])
        layers = [nn.Flatten(), nn.Linear(36, 3), neuron("Leaky", 3, 1, graded_spikes_factor=factor)]
    nn.init.uniform_(layers[1 - pooled].weight, 0.0, 0.2 if pooled else 0.04)
    x = np.random.default_rng(0).random((6, 1, 6, 6))
    sums = Unrolled(nn.Sequential(*layers), 20)(torch.tensor(x)).detach().flatten(1).numpy()
    found = from_snntorch(layers, (1, 6, 6)).record(x, 20).outputs[-1]
    assert len(np.unique(sums)) > 6
    np.testing.assert_allclose(found, sums, rtol=1e-12)


@pytest.mark.parametrize("kind", ["pruned", "weight norm", "spectral norm"])
def test_weights_that_hooks_make_are_those_after_the_last_step_of_training(kind):
    """A forward makes them anew from the parameters; a recurrent layer's, too."""
    torch.manual_seed(1)
    model, x = linear_model("RLeaky", 1), samples(1, 20)
    for linear in (model[0], model[3].recurrent):
        if kind == "pruned":
            torch.nn.utils.prune.l1_unstructured(linear, "weight", 0.3)
            torch.nn.utils.prune.l1_unstructured(linear, "weight", 0.3)
        elif kind == "weight norm":
            with pytest.warns(FutureWarning):
                torch.nn.utils.weight_norm(linear)
        else:
            torch.nn.utils.spectral_norm(linear)
    unroll(model, torch.tensor(x))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    kernels = simulate(from_snntorch(model, 20), x)
    theirs, _ = unroll(model.eval(), torch.tensor(x))
    assert 0.05 < theirs.mean() < 0.95
    np.testing.assert_array_equal(kernels, theirs)


def test_same_spikes_from_spikes():
    model = linear_model("Leaky", 5)
    x = (np.random.default_rng(1).random((STEPS, 20)) < 0.3).astype(float)
    theirs, _ = unroll(model, torch.tensor(x))
    kernels = simulate(from_snntorch(model, 20, encoder=snn.encode.Events("input")), spikes=x)
    assert 0.05 < theirs.mean() < 0.95
    assert np.sum(kernels != theirs) == 0


def test_same_bits_where_sums_are_exact():
    """Weights and factors of few bits: sums in any order are exact, so sums of graded spikes are equal, too."""
    torch.manual_seed(7)
    first = neuron("Leaky", 12, 3, graded_spikes_factor=2.5)
    model = nn.Sequential(nn.Linear(20, 12), first, nn.Linear(12, 4))
    with torch.no_grad():
        for p in [*model.parameters(), first.threshold]:
            p.copy_(torch.round(p * 64) / 64)
        first.beta.fill_(0.5)
        x = np.round(samples(7, 20)[:20] * 16) / 16
        kernels = simulate(from_snntorch(model, 20), x, variable="v")
        reset(model)
        theirs = torch.cumsum(torch.stack([model(torch.tensor(step[None]))[0] for step in x]), 0).numpy()
    assert len(np.unique(theirs)) > 40
    np.testing.assert_array_equal(kernels, theirs)


def test_same_spikes_of_models_in_continuous_time():
    torch.manual_seed(1)
    lif = snn.LIFDelta(tau_m=np.linspace(8.0, 20.0, 9), e_l=0.0, v_reset=0.0, v_th=2.0)
    alif = snn.ALIF(tau_m=10.0, tau_a=50.0, v_th=0.5, t_ref=2.0)
    layers = [nn.Linear(20, 30, bias=False), Neurons(alif), nn.Linear(30, 9, bias=False), Neurons(lif)]
    for layer in layers[::2]:
        nn.init.normal_(layer.weight, 0.2, 0.7)
    x = (np.random.default_rng(1).random((STEPS, 20)) < 0.3).astype(float)
    theirs, _ = unroll(nn.Sequential(*layers), torch.tensor(x))
    ours = simulate(from_snntorch(layers, 20, snn.encode.Events("input")), spikes=x, backend="reference")
    assert 0.05 < theirs.mean() < 0.95
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_same_spikes_with_reset_at_once(kind, mechanism):
    model, x = linear_model(kind, 4, mechanism, reset_delay=False), torch.tensor(samples(4, 20))
    theirs, total = unroll(model, x)
    ours, our_total = unroll(own(model), x)
    assert 0.05 < theirs.mean() < 0.95 and our_total == total
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "Alpha"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_same_gradients(kind, mechanism):
    """With the reset in the next step; without delay, snnTorch sends gradients through the reset, and we do not."""
    surrogate = snntorch.surrogate.atan()
    model = nn.Sequential(neuron(kind, 7, 3, reset_mechanism=mechanism, spike_grad=lambda x: surrogate(x).to(x.dtype)))
    same, x, factor = own(model), torch.randn(40, 4, 7) * 0.5 + 0.1, torch.randn(40, 4, 7)
    gradients, outs = [], []
    for layers in (model, same):
        given = x.clone().requires_grad_()
        out = torch.stack([layers(step) for step in given])
        (out * factor).sum().backward()
        gradients.append(given.grad.numpy())
        outs.append(out.detach().numpy())
    np.testing.assert_array_equal(*outs)
    assert outs[0].sum() > 20 and np.abs(gradients[0]).max() > 0.5
    np.testing.assert_allclose(*gradients, rtol=0, atol=1e-13)


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "Alpha", "RLeaky", "RSynaptic"])
def test_to_snntorch_and_back(kind):
    model, x = linear_model(kind, 2, "subtract"), samples(2, 20)
    theirs, total = unroll(model, torch.tensor(x))
    again, again_total = unroll(to_snntorch(from_snntorch(model, 20), spike_grad=spike), torch.tensor(x))
    assert theirs.sum() > 20 and total == again_total
    np.testing.assert_array_equal(again, theirs)


@pytest.mark.parametrize("recurrent", [False, True])
def test_to_snntorch_keeps_the_first_layers_own_currents(recurrent):
    """Those of the encoder's population beside the samples', and those of a network without an encoder."""
    net, rng = snn.Network(), np.random.default_rng(0)
    h = net.population("h", 3, snn.Leaky(beta=0.8, reset_mechanism=3 * recurrent))
    o = net.population("o", 2, snn.Leaky(beta=0.8))
    net.input("x", h, snn.StepCurrent(np.zeros((1, 3))))
    net.input("bias", h, snn.StepCurrent([[0.5, 0.2, 0.9]]))
    net.input("more", h, snn.StepCurrent(0.0625))
    net.connect(h, o, snn.all_to_all(), weight=np.array([[0.7, 0.1], [0.3, 0.9], [0.5, 0.5]]))
    if recurrent:
        net.connect(h, h, snn.all_to_all(), weight=np.full((3, 3), -0.125))
    x, weight = rng.uniform(0, 0.5, (5, 3)), rng.uniform(0, 1, (3, 3))
    classifier = snn.Classifier(net, snn.encode.Direct("x", weight, [0.1, 0.0, -0.1]), o, "spikes", threads=1)
    ours = classifier.record(x, 15).outputs[-1]
    assert np.all(ours > 1)
    for given, drive in ((classifier, x), (net, x @ weight.T + [0.1, 0.0, -0.1])):
        module = Unrolled(to_snntorch(given, spike_grad=spike), 15)
        np.testing.assert_array_equal(module(torch.tensor(drive)).detach().numpy(), ours)


def test_to_snntorch_of_a_drawn_network():
    net = snn.Network(seed=3)
    source = net.population("input", 12, snn.SpikeArray([]))
    a = net.population("a", 15, snn.Leaky(beta=np.linspace(0.5, 0.9, 15), reset_mechanism=3))
    b = net.population("output", 5, snn.Leaky(reset_delay=0))
    net.connect(source, a, snn.fixed_indegree(6), weight=snn.normal(0.4, 0.3))
    net.connect(a, a, snn.fixed_indegree(3), weight=-0.2)
    net.connect(a, b, snn.fixed_indegree(8), weight=snn.uniform(0.0, 0.5))
    net.input("bias", b, snn.StepCurrent(0.1, times=2.0))
    x = (np.random.default_rng(1).random((STEPS, 12)) < 0.4).astype(float)
    theirs, _ = unroll(to_snntorch(net, spike_grad=spike), torch.tensor(x))
    ours = simulate(snn.Classifier(net, snn.encode.Events("input"), b, "spikes"), spikes=x, backend="reference")
    assert 0.05 < theirs.mean() < 0.95
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", ["Leaky", "Synaptic", "RLeaky"])
def test_biases_become_the_same_integers_straight_and_through_nir(kind):
    """Three layers with the settings for integers: parameters, spikes, u, v of every step; near torch's spikes."""
    pytest.importorskip("nir", reason="needs the extra nir")
    from neuromorphic import IntegerSource, from_nir, quantize, to_nir
    from neuromorphic.fixed_point import NEURON_ARRAYS

    options = {"reset_mechanism": "zero", "reset_delay": False}
    torch.manual_seed(3)
    layers = []
    for k, (a, b) in enumerate([(20, 30), (30, 25), (25, 6)]):
        layers += [nn.Linear(a, b), neuron(kind, b, k, **options)]
        nn.init.normal_(layers[-2].weight, 0.05, 1.0 / a**0.5)
        nn.init.normal_(layers[-2].bias, 0.0, 0.1)
        for p in layers[-1].recurrent.parameters() if kind == "RLeaky" else ():
            nn.init.normal_(p, 0.0, 0.05)
    x = (np.random.default_rng(2).random((STEPS, 20)) < 0.3).astype(float)
    net = from_snntorch(nn.Sequential(*layers), 20, encoder=snn.encode.Events("input")).network
    steps, ids = np.nonzero(x)
    back = from_nir(to_nir(net, 1.0), inputs={"input": snn.SpikeArray(steps + 1.0, ids)})
    straight, through = quantize(net, 1.0).network, quantize(back, 1.0).network
    straight.sources["input"] = IntegerSource(20, steps + 1, ids)
    names = ["layer1", "layer2", "output"]
    runs = [q.run(STEPS + 3, names) for q in (straight, through)]
    for name in names:
        for array in NEURON_ARRAYS:
            ours, theirs = (getattr(q.populations[name], array) for q in (straight, through))
            np.testing.assert_array_equal(ours, theirs)
        for what in ("steps", "ids", "u", "v"):
            np.testing.assert_array_equal(*(getattr(run, what)[name] for run in runs))
    wanted, _ = unroll(nn.Sequential(*layers), torch.tensor(x))
    late = runs[0].steps["output"] - 3
    ours = np.zeros((STEPS, 6))
    ours[late[late <= STEPS] - 1, runs[0].ids["output"][late <= STEPS]] = 1
    assert 0.05 < wanted.mean() < 0.95
    theirs = wanted.reshape(STEPS, 6)
    assert np.mean(ours[:8] != theirs[:8]) < 0.05 and abs(ours.sum() - theirs.sum()) < 0.1 * theirs.sum()
    assert np.corrcoef(ours.sum(0), theirs.sum(0))[0, 1] > 0.95
