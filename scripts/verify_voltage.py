"""Rules that observe their targets: voltage-based STDP against NEST as dt falls, R-max against gradients of rates."""

import numpy as np
from verify_common import ROOT, Line, Options, axes, module, save


def clopath(options: Options) -> list[Line]:
    """Weights by voltage-based STDP against NEST's clopath_synapse as dt falls; the dependence on frequency."""
    cross = module(ROOT / "tests" / "cross" / "test_nest_clopath.py")
    rng = np.random.default_rng(3)
    stop, n = (1000.0 if options.quick else 10_000.0), 6
    pre = [np.append(t, stop + 60.0 + k) for k, t in enumerate(cross.trains(rng, n, 1.0, 30.0, stop))]
    post = [cross.trains(rng, 1, 15.0, rate, stop)[0] for rate in (10.0, 20.0, 25.0, 30.0)]
    source, target = (x.ravel() for x in np.meshgrid(np.arange(n), np.arange(4), indexing="ij"))
    synapses = (source, target, np.full(source.size, 0.3), rng.integers(1, 60, source.size) * 0.1)
    lines, errors, steps = [], [], (0.1, 0.05, 0.02)
    for dt in steps:
        ours, spikes = cross.our_weights(pre, post, synapses, stop + 100.0, dt)
        expected, others, _ = cross.nest_weights(pre, post, synapses, stop + 100.0, dt)
        same = [len(times) for times in spikes] == [len(times) for times in others]
        moved = np.abs(expected - 0.3).max()
        errors.append(np.abs(ours - expected).max() / moved)
        bound = 1e-3 + 0.05 * dt  # the first: some spikes come a step apart where the threshold is still high
        text = f"{'as many' if same else 'other'} spikes; largest difference {errors[-1]:.2%} of the largest change"
        what = f"Clopath, {len(ours)} synapses, {stop / 1e3:g} s, dt = {dt:g} ms"
        lines.append(Line(what, "NEST clopath_synapse", text, f"< {bound:.2%}", bool(same and errors[-1] < bound)))

    science = module(ROOT / "tests" / "science" / "test_clopath.py")
    rates = np.array([5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0])
    curve = 100.0 + 1500.0 * science.pairings((10.0, -10.0), rates, 5)
    figure, panels = axes(1, 2, 4.0, 3.0)
    for row, label in zip(curve, ("pre before post", "post before pre"), strict=True):
        panels[0, 0].plot(rates, row, label=label)
    at = np.array([0.1, 10.0, 20.0, 40.0, 50.0])
    for k in range(2):
        panels[0, 0].errorbar(at, 100.0 * (1.0 + science.DATA[k]), 100.0 * science.ERROR[k], fmt="o", color=f"C{k}")
    panels[0, 0].set(xlabel="rate of pairs (Hz)", ylabel="weight (%)")
    panels[0, 0].legend(fontsize="small", frameon=False)
    panels[0, 1].loglog(steps, errors, "o-")
    panels[0, 1].set(xlabel="dt (ms)", ylabel="difference to NEST, relative")
    save(figure, options, "clopath")
    return lines


def r_max(options: Options) -> list[Line]:
    """Mean of spike count times eligibility against the derivative of the expected spike count by the weight."""
    science = module(ROOT / "tests" / "science" / "test_r_max.py")
    rng = np.random.default_rng(2)
    duration, n, rounds = 200.0, 4000, 2 if options.quick else 8
    pre = [np.sort(rng.choice(1900, 12, replace=False) + 1) * science.DT for _ in range(4)]

    def trial(weight: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Eligibility, summed over synapses, and number of spikes of each target."""
        elig, _, (_, ids) = science.trained(pre, n, weight, [(duration, 0.0)], seed, tau_e=1e13, eta=0.0)
        return elig.sum(axis=0), np.bincount(ids, minlength=n)

    products, slopes = [], []
    for seed in range(rounds):
        elig, count = trial(100.0, seed)
        products.append((count - count.mean()) * elig)
        # the same random numbers whatever the weight, so that the noise of the difference is small; its error of
        # order half^2 is extrapolated away
        near, far = (
            (trial(100.0 + half, seed)[1] - trial(100.0 - half, seed)[1]) / (2.0 * half) for half in (3.0, 10.0)
        )
        slopes.append((100.0 * near - 9.0 * far) / 91.0)
    gradient, slope = np.concatenate(products), np.concatenate(slopes)
    error = float(np.hypot(gradient.std(), slope.std()) / np.sqrt(gradient.size))
    z = float((gradient.mean() - slope.mean()) / error)
    text = f"{gradient.mean():.5f} and {slope.mean():.5f} spikes/pA, standard error {error:.5f}, z = {z:.2f}"
    what = f"R-max: mean of count times eligibility, {gradient.size} trials of {duration:g} ms"
    # abs(z) >= 4 by chance: 6e-5
    passed = bool(abs(z) < 4.0 and slope.mean() > 20.0 * error)
    return [Line(what, "derivative of the mean count", text, "abs(z) < 4, error < 5 %", passed)]
