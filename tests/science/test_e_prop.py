"""e-prop: NEST's published losses, back-propagation by autograd, the package's own neurons, and tasks."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import snn
from kernels.errors import ModelError, ShapeError
from plasticity import EProp

NEST = [101.964356999041, 103.466731126205, 103.340607074771, 103.680244037686, 104.412775748752]


def regression():
    """The set-up of NEST's test of ``eprop_iaf_bsshslm_2020``: weights, input and target from the legacy generator."""
    random = np.random.RandomState(1)
    n, steps = 100, 1000
    w_in, w_rec = ((random.randn(n, n).T / np.sqrt(n)).astype(np.float32).astype(float) for _ in range(2))
    np.fill_diagonal(w_rec, 0.0)
    w_out = (random.randn(n, 1).T / np.sqrt(n)).astype(np.float32).astype(float)
    feedback = (random.randn(n, 1) / np.sqrt(n)).astype(np.float32).astype(float)
    x = (random.rand(steps, n) < 0.05).astype(float)
    x[0] = 0.0
    amplitude, phase = random.uniform(0.5, 2.0, 4), random.uniform(0.0, 2.0 * np.pi, 4)
    t = np.linspace(0.0, 2.0 * np.pi, steps)
    target = sum(a * np.sin(f * t + p) for a, f, p in zip(amplitude, (1, 2, 3, 5), phase, strict=True))
    target -= target[0]
    net = EProp(n, n, 1, tau_m=30.0, tau_out=30.0, v_th=0.03, c_reg=300.0, f_target=10.0, feedback="random")
    net.w_in, net.w_rec, net.w_out, net.feedback_weights = w_in, w_rec, w_out, feedback
    return net, x, (target / np.abs(target).max())[:, None]


def test_losses_of_nest():
    """Five iterations of plain gradient descent: the losses that NEST 3.10's test suite states, to 13 digits."""
    net, x, target = regression()
    losses = []
    for _ in NEST:
        loss, gradients = net.gradients(x, target)
        losses.append(loss)
        for name in ("w_in", "w_rec", "w_out"):
            setattr(net, name, getattr(net, name) - 1e-4 * gradients[name])
    np.testing.assert_allclose(losses, NEST, rtol=1e-11)


def autograd(net, x, target, mask, recurrent):
    """Gradients by torch: the same network step by step, without the reset's path; that of spikes if ``recurrent``."""
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'volley-snn[torch]'")

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(context, v, threshold, free):
            context.save_for_backward(v - threshold, free)
            return ((v > threshold) & free).double()

        @staticmethod
        def backward(context, gradient):
            distance, free = context.saved_tensors
            psi = net.gamma / net.v_th * torch.clamp(1 - distance.abs() / net.v_th, min=0) * free
            return gradient * psi, -gradient * psi, None

    names = ("w_in", "w_rec", "w_out", "bias")
    w = {name: torch.tensor(getattr(net, name), requires_grad=True) for name in names}
    beta, n = torch.tensor(net.beta), net.beta.size
    v, b, z, y = torch.zeros(n).double(), torch.zeros(n).double(), torch.zeros(n).double(), torch.zeros(1).double()
    refractory, loss, count = torch.zeros(n), 0.0, 0.0
    for t in range(len(x)):
        sent = z if recurrent else z.detach()
        reset = (net.v_th * z).detach()
        v = net.alpha * v + (1 - net.alpha) * (w["w_in"] @ torch.tensor(x[t]) + w["w_rec"] @ sent) - reset
        b = net.rho * b + (1 - net.rho) / net.dt * z
        free = refractory == 0
        z = Spike.apply(v, net.v_th + beta * b, free)
        refractory = torch.where(z > 0, net.n_ref, torch.clamp(refractory - 1, min=0))
        y = net.kappa * y + (1 - net.kappa) * (w["w_out"] @ z)
        count = count + z
        goal = torch.tensor(target[t])
        if net.loss == "mse":
            loss = loss + mask[t] * 0.5 * ((y + w["bias"] - goal) ** 2).sum()
        else:
            loss = loss - mask[t] * (goal * torch.log_softmax(y + w["bias"], 0)).sum()
    regular = 0.5 * net.c_reg * ((count / len(x) - 1e-3 * net.f_target * net.dt) ** 2).sum()
    (loss + regular).backward()
    return loss.item(), {name: w[name].grad.numpy() for name in names}


def small(loss, beta, seed=3):
    rng = np.random.default_rng(seed)
    net = EProp(8, 12, 3, v_th=0.1, beta=beta, tau_a=60.0, t_ref=2.0, loss=loss, c_reg=5.0, f_target=20.0, seed=seed)
    net.w_in *= 3.0
    x = (rng.random((120, 8)) < 0.2).astype(float)
    if loss == "mse":
        target = rng.normal(size=(120, 3))
    else:
        target = np.eye(3)[rng.integers(0, 3, 120)]
    return net, x, target, (rng.random(120) < 0.5).astype(float)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("beta", [0.0, 0.4, np.repeat([0.0, 0.7], 6)])
def test_gradient_of_autograd(loss, beta):
    """Feed-forward, e-prop's gradient is that of back-propagation through time; recurrent, without the spikes' path."""
    net, x, target, mask = small(loss, beta)
    fed = np.zeros_like(net.w_rec)
    for w_rec in (fed, net.w_rec):
        net.w_rec = w_rec
        value, gradients = net.gradients(x, target, mask)
        expected, by_torch = autograd(net, x, target, mask, recurrent=w_rec is fed)
        assert value == pytest.approx(expected, rel=1e-12)
        np.fill_diagonal(by_torch["w_rec"], 0.0)
        assert net.run(x)[1].sum() > 50
        for name in gradients:
            scale = np.abs(by_torch[name]).max()
            if w_rec is fed and name == "w_rec":
                continue
            assert scale > 1e-4
            np.testing.assert_allclose(gradients[name], by_torch[name], rtol=0.0, atol=1e-10 * scale, err_msg=name)
    _, full = autograd(net, x, target, mask, recurrent=True)
    assert np.abs(full["w_in"] - gradients["w_in"]).max() > 1e-3 * np.abs(full["w_in"]).max()


def test_neurons_are_those_of_the_package():
    net, x, _, _ = small("mse", np.linspace(0.0, 0.6, 12))
    n = 12
    model = snn.Network()
    t, i = np.nonzero(x)
    source = model.population("in", 8, snn.SpikeArray(t + 1.0, i))
    cells = model.population(
        "cells", n, snn.ALIF(tau_m=20.0, tau_a=60.0, v_th=0.1, beta=net.beta, t_ref=2.0, reset_share=0.0)
    )
    model.connect(source, cells, snn.all_to_all(), weight=net.w_in.T, delay=1.0)
    model.connect(cells, cells, snn.all_to_all(), weight=net.w_rec.T, delay=1.0)
    model.record(cells)
    spikes = snn.Simulation(model, dt=1.0, quiet=True).run(124.0).spikes["cells"]
    _, z = net.run(x)
    steps, ids = np.nonzero(z)
    late = round(spikes.times[0]) - steps[0]
    kept = spikes.times < 120 + late
    np.testing.assert_array_equal(np.rint(spikes.times[kept]).astype(int) - late, steps)
    np.testing.assert_array_equal(spikes.ids[kept], ids)
    assert len(ids) > 50


@pytest.mark.parametrize("feedback", ["symmetric", "random", "adaptive"])
def test_a_pattern_is_learned(feedback):
    _, x, target = regression()
    net = EProp(100, 100, 1, tau_m=30.0, tau_out=30.0, c_reg=30.0, feedback=feedback, learning_rate=1e-3, seed=2)
    losses = [net.update(x, target) for _ in range(200)]
    assert min(losses[-5:]) < 0.2 * losses[0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n_rec": 0}, "EProp.n_rec: must be an integer >= 1; got 0."),
        ({"tau_m": -1.0}, "EProp.tau_m: must be a number > 0; got -1.0."),
        ({"tau_m": [20.0, 10.0]}, r"EProp.tau_m: must be a number > 0; got \[20.0, 10.0\]."),
        ({"dt": "1"}, "EProp.dt: must be a number or an array in ms; got '1'."),
        ({"t_ref": np.nan}, "EProp.t_ref: must be a number >= 0; got nan."),
        ({"decay": 1.5}, "EProp.decay: must be <= 1; got 1.5."),
        ({"seed": -1}, "EProp.seed: must be an integer >= 0; got -1."),
        ({"beta": np.inf}, "EProp.beta: must be a number >= 0 or 4 of them; got inf."),
        ({"beta": [1.0, 2.0]}, r"EProp.beta: must be a number >= 0 or 4 of them; got \[1.0, 2.0\]."),
        ({"feedback": "none"}, "EProp.feedback: must be one of symmetric, random, adaptive; got 'none'."),
        ({"loss": "l1"}, "EProp.loss: must be one of mse, cross_entropy; got 'l1'."),
    ],
)
def test_bad_parameters(given, message):
    with pytest.raises(ModelError, match=message):
        EProp(**({"n_in": 3, "n_rec": 4, "n_out": 2} | given))


def test_bad_data():
    net = EProp(3, 4, 2)
    with pytest.raises(ShapeError, match=r"EProp.x: must be of shape \(T, 3\); got \(5, 2\)."):
        net.run(np.zeros((5, 2)))
    with pytest.raises(ModelError, match="EProp.x: must be finite."):
        net.run(np.full((5, 3), np.nan))
    with pytest.raises(ShapeError, match=r"EProp.target: must be of shape \(5, 2\); got \(5, 1\)."):
        net.gradients(np.zeros((5, 3)), np.zeros((5, 1)))
    with pytest.raises(ShapeError, match=r"EProp.mask: must be of shape \(5,\); got \(4,\)."):
        net.gradients(np.zeros((5, 3)), np.zeros((5, 2)), np.zeros(4))
    with pytest.raises(ModelError, match="EProp.mask: must be >= 0; got -1."):
        net.gradients(np.zeros((5, 3)), np.zeros((5, 2)), -np.ones(5))
    with pytest.raises(ShapeError, match="EProp.x: must be numbers, as many in each trial and step"):
        net.update([np.zeros((5, 3)), np.zeros((4, 3))], [np.zeros((5, 2)), np.zeros((4, 2))])
    before = net.w_in.copy()
    with pytest.raises(ModelError, match="EProp.target: must be finite; got NaN or infinity."):
        net.update(np.ones((5, 3)), np.full((5, 2), np.nan))
    np.testing.assert_array_equal(net.w_in, before)
    with pytest.raises(ShapeError, match="EProp.update: must get as many targets and masks as trials; got 2 trials."):
        net.update(np.zeros((2, 5, 3)), np.zeros((3, 5, 2)))


@pytest.mark.parametrize("name", ["w_in", "w_rec", "w_out", "bias", "feedback_weights"])
def test_weights_that_are_set(name):
    """Of any numbers, but of their shape, which compiled code takes for granted."""
    x, target = np.ones((5, 3)), np.zeros((5, 2))
    net, other = EProp(3, 4, 2, seed=1, feedback="adaptive"), EProp(3, 4, 2, seed=1, feedback="adaptive")
    whole = np.rint(3.0 * getattr(net, name))
    setattr(net, name, whole)
    setattr(other, name, whole.astype(int).tolist())
    assert net.update(x, target) == other.update(x, target)
    np.testing.assert_array_equal(getattr(net, name), getattr(other, name))
    setattr(net, name, whole[:-1])
    with pytest.raises(ShapeError, match=f"EProp.{name}: must be of shape"):
        net.run(x)


@pytest.mark.slow
def test_evidence_is_accumulated():
    """A hundred updates of 16 trials: the side of most cues is said after a delay of a second (chance: 0.5)."""
    path = Path(__file__).resolve().parents[2] / "scripts" / "examples" / "bellec_2020.py"
    spec = importlib.util.spec_from_file_location("bellec_2020", path)
    bellec = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bellec)
    errors, _ = bellec.accumulate("symmetric", trials=16, updates=100, seed=1)
    assert np.mean(errors[:10]) > 0.35
    assert np.mean(errors[-20:]) < 0.3
