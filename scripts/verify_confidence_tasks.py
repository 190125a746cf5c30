"""The check of verify.py on early termination of networks from torch, two tasks and two conversions, on the kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits
from verify_common import Line, Options, axes, save
from verify_confidence import paired, saved

import snn
from reservoir import tasks
from snn.confidence import DynamicConfidence, EarlyExit, JEIGate, Report, compare

# Steps: of QFFS as many as there are levels, for its neurons send no more spikes and the accuracy falls beyond. Of
# shapes so many that the accuracy no longer rises.
STEPS = {("digits", "QCFS"): 32, ("digits", "QFFS"): 8, ("shapes", "QCFS"): 128, ("shapes", "QFFS"): 128}


def trained(task: str, conversion: str, seed: int) -> tuple[snn.Classifier, Any, np.ndarray]:
    """A network trained in torch and converted, samples that it has not seen, and their classes."""
    import torch
    from torch import nn

    from snn.torch import QCFS, QFFS, from_torch, train

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    if task == "digits":
        from sklearn.datasets import load_digits

        data = load_digits()
        order = np.random.default_rng(seed).permutation(len(data.target))
        x, y = data.data[order] / 16.0, data.target[order]

        def unit() -> nn.Module:
            return QCFS(4, 2.0) if conversion == "QCFS" else QFFS(3, 0.3)

        ann = nn.Sequential(nn.Linear(64, 128), unit(), nn.Linear(128, 128), unit(), nn.Linear(128, 10))
        train(ann, x[:700], y[:700], epochs=80, seed=seed)
        return from_torch(ann, (64,)), x[700:], y[700:]
    steps, known = STEPS[task, conversion], 3000
    events, y = tasks.moving_shapes(known + 2500, steps=steps, seed=seed)
    frames = np.zeros((known, 512))
    for frame, (_, address) in zip(frames, events, strict=False):
        np.add.at(frame, address, 1.0 / steps)

    one, two = (QCFS(8, 1.0) if conversion == "QCFS" else QFFS(7, 0.05) for _ in range(2))
    ann = nn.Sequential(
        nn.Conv2d(2, 8, 5, padding=2), one, nn.AvgPool2d(2), nn.Conv2d(8, 16, 3, padding=1), two,
        nn.AvgPool2d(2), nn.Flatten(), nn.Linear(256, 4),
    )  # fmt: skip
    train(ann, frames.reshape(-1, 2, 16, 16), y[:known], epochs=25, lr=5e-3, seed=seed)
    return from_torch(ann, (2, 16, 16), encoder=snn.encode.Events("input")), events[known:], y[known:]


def report_of(task: str, conversion: str, seed: int) -> Report:
    """Agents fitted on three tenths of the samples, compared on the others."""
    classifier, x, y = trained(task, conversion, seed)
    fit, test = classifier.record(x, STEPS[task, conversion], labels=y).split([0.3, 0.7], seed=seed)
    return compare(test, [DynamicConfidence().fit(fit), EarlyExit("margin", name="top-2 gap").fit(fit)])


def confidence_tasks(options: Options) -> list[Line]:
    """Early termination of networks from torch, QCFS and QFFS, digits and moving shapes: steps saved, accuracy kept."""
    seeds = 2 if options.quick else 5
    lines = []
    figure, panels = axes(1, len(STEPS), 3.0, 2.8)
    for (task, conversion), ax in zip(STEPS, panels[0], strict=True):
        with threadpool_limits(1):
            found = [report_of(task, conversion, seed) for seed in range(seeds)]
        t_max = STEPS[task, conversion]
        fixed = np.mean([r.fixed for r in found], axis=0)
        cut = {name: saved(found, name) for name in found[0].curves}
        ax.plot(np.arange(1, t_max + 1), 100 * fixed, color="black", label="fixed T")
        steps = np.arange(1.0, t_max, 0.1)
        for name in cut:
            ax.plot(steps, 100 * np.mean([[r.curves[name].at(m) for m in steps] for r in found], axis=0), label=name)
        ax.set(xlabel="mean steps", ylabel="accuracy (%)", title=f"{task}, {conversion}", xscale="log")
        enough = cut["top-2 gap"][1]
        lines.append(
            Line(
                f"{task}, {conversion}, {t_max} steps: steps saved at equal accuracy", f"T = {enough} for all",
                f"accuracy {100 * fixed[-1]:.2f} %, at T = {enough} {100 * fixed[enough - 1]:.2f} %; "
                + ", ".join(f"{name} {100 * v:.0f} %" for name, (v, _) in cut.items()),
                "Dynamic Confidence >= 40 %", cut["Dynamic Confidence"][0] >= 0.4,
            )
        )  # fmt: skip
    panels[0, 0].legend(fontsize=6)
    save(figure, options, "confidence_tasks")
    return lines


def jointly(seed: int, cost: float) -> dict[str, Report]:
    """A spiking network of 8 steps on digits by three losses, 30 epochs each, on the kernels; agents compared."""
    import torch
    from torch import nn
    from verify_torch import digits

    from snn.torch import Neurons, Unrolled, from_snntorch, train, train_jointly

    torch.set_num_threads(1)
    x, y, x_test, y_test = digits(seed, 1248)
    found = {}
    for name, warm_up in (("last step", 0), ("all steps alike", 29), ("jointly with the gate", 10)):
        torch.manual_seed(seed)
        model = Unrolled(nn.Sequential(nn.Linear(64, 128), Neurons(snn.Leaky(beta=0.9)), nn.Linear(128, 10)), steps=8)
        if warm_up:
            gate = JEIGate(cost)
            train_jointly(model, x[:900], y[:900], gate, epochs=30, warm_up=warm_up, lr=4e-3, seed=seed)
        else:
            train(model, x[:900], y[:900], epochs=30, lr=4e-3, seed=seed)
        classifier = from_snntorch(model.layers, 64)
        fit, test = classifier.record(x[900:], 8, y[900:]), classifier.record(x_test, 8, y_test)
        agents = [JEIGate(cost).fit(fit), EarlyExit("margin", name="top-2 gap").fit(fit)]
        found[name] = compare(test, agents)
    return found


def confidence_joint(options: Options) -> list[Line]:
    """JEI-DNN over time steps: a network of 8 steps trained with its gate, and for its last step, digits."""
    seeds, lines, at = 2 if options.quick else 5, [], (1.2, 1.5, 2.0, 3.0)
    with threadpool_limits(1):
        found = [jointly(seed, 0.7) for seed in range(seeds)]
    table = {
        (loss, name): np.array([[f[loss].at(m)[name] for m in at] for f in found])
        for loss in found[0] for name in ("fixed T", "JEI gate", "top-2 gap")
    }  # fmt: skip
    for loss in found[0]:
        text = "; ".join(
            f"{name} {', '.join(f'{100 * v:.2f}' for v in table[loss, name].mean(axis=0))}"
            for name in ("fixed T", "JEI gate", "top-2 gap")
        )
        full = 100 * np.mean([f[loss].fixed[-1] for f in found])
        lines.append(
            Line(f"loss of {loss}: accuracy (%) at {', '.join(f'{m:g}' for m in at)} mean steps of 8", "-",
                 f"{text}; all steps {full:.2f}", "reported", True)
        )  # fmt: skip
    for other, bound in (("last step", True), ("all steps alike", False)):
        gain, error = paired(table["jointly with the gate", "JEI gate"][:, 1], table[other, "JEI gate"][:, 1])
        lines.append(
            Line("network trained jointly with its gate: that gate at 1.5 mean steps", f"loss of {other}",
                 f"{gain:+.2f} ({error:.2f}) points", "> 0 by 2 standard errors" if bound else "reported",
                 gain > 2 * error or not bound)
        )  # fmt: skip
    return lines


def event_network(seed: int, steps: int) -> snn.Network:
    """64-100-10 LIFDelta neurons trained in torch with Bernoulli spikes at steps of 1 ms, as a network of its own."""
    import torch
    from torch import nn
    from verify_torch import digits

    from snn.torch import Neurons, Unrolled, train

    class Spikes(nn.Module):
        def forward(self, x: Any) -> Any:
            return (torch.rand_like(x) < 0.3 * x).float()

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    cell = snn.LIFDelta(e_l=0.0, v_reset=0.0, v_th=1.0, tau_m=20.0, t_ref=0.0)
    one, two = nn.Linear(64, 100, bias=False), nn.Linear(100, 10, bias=False)
    x, y, *_ = digits(seed, 1000)
    train(Unrolled(nn.Sequential(Spikes(), one, Neurons(cell), two, Neurons(cell)), steps), x, y, epochs=15, lr=4e-3)
    net = snn.Network()
    eyes, hidden = net.population("eyes", 64, snn.SpikeArray([])), net.population("hidden", 100, cell)
    out = net.population("out", 10, cell)
    for source, target, layer in ((eyes, hidden, one), (hidden, out, two)):
        weight = layer.weight.detach().double().numpy().T
        net.connect(source, target, snn.all_to_all(), weight=weight, delay=1.0)
    net.record(out)
    return net


def confidence_events(options: Options) -> list[Line]:
    """The event engine under an agent: digits as Poisson events off the grid; asked at output spikes, as the trace."""
    from verify_torch import digits

    steps, eps = 25, 0.05
    with threadpool_limits(1):
        classifier = snn.EventClassifier(event_network(0, steps), "out", duration=steps + 2.0, t_max=60)
    *_, x, y = digits(0, 1000)
    rng = np.random.default_rng(5)
    counts = rng.poisson(0.3 * steps * x)
    samples = [(rng.uniform(0.0, steps, k.sum()), np.repeat(np.arange(64), k)) for k in counts]
    n = len(samples)
    parts = [slice(0, n // 4), slice(n // 4, 2 * n // 3), slice(2 * n // 3, n)]
    fit, calibrate, test = (classifier.record(samples[p], y[p], ids=np.arange(n)[p]) for p in parts)
    agent = EarlyExit("margin").fit(fit)
    agent.certify(calibrate, eps=eps, delta=0.1)
    done, expected = classifier.run(samples[parts[2]], agent), agent.decide(test)
    same = all(np.array_equal(getattr(done, k), getattr(expected, k)) for k in ("steps", "labels", "reasons"))
    full = test.outputs[-1].argmax(axis=1)
    times, differ = np.mean(done.times), np.mean(done.labels != full)  # type: ignore[arg-type]
    return [
        Line(f"event engine: digits, {test.n} samples, agent asked at output spikes", "the agent on the full record",
             "equal" if same else "DIFFERENT", "equal", same),
        Line(f"event engine: certificate (disagreement, {eps}, 0.1)", f"all {steps + 2} ms",
             f"stop at {times:.1f} ms on the mean, after {done.steps.mean():.1f} of "
             f"{test.outputs[-1].sum(axis=1).mean():.1f}"
             f" output spikes; right {100 * np.mean(done.labels == y[parts[2]]):.1f} %, in the end "
             f"{100 * np.mean(full == y[parts[2]]):.1f} %; {100 * differ:.1f} % of decisions differ",
             "reported", True),
    ]  # fmt: skip
