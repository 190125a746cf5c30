"""Plots: what is drawn, not how it looks."""

import numpy as np
import pytest
from matplotlib.figure import Figure

import snn
from kernels.errors import ConfigError, ModelError
from snn import plot
from snn.records import Result, SpikeRecord, StateRecord, Trace


def spikes(name, n, rate, stop=500.0, seed=0):
    rng = np.random.default_rng(seed)
    k = rng.poisson(n * rate * stop / 1000)
    return SpikeRecord(name, np.sort(rng.uniform(0, stop, k)), rng.integers(0, n, k), n, 0.0, stop, 0.1)


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture(scope="module")
def result():
    records = {f"pop{k}": spikes(f"pop{k}", 100 * (k + 1), 8.0 + k, seed=k) for k in range(8)}
    trace = Trace(np.arange(500) * 1.0, np.array([3, 7]), np.random.default_rng(0).normal(size=(500, 2)), "mV")
    return Result(records, {"pop0": StateRecord("pop0", {"v": trace})}, {}, {}, 0.0, 500.0)


def dots(ax):
    return sum(len(line.get_xdata()) for line in ax.lines)


def labels(ax, axis):
    return [t.get_text() for t in getattr(ax, f"get_{axis}ticklabels")()]


def test_raster_stacks_eight_populations(result, ax):
    assert plot.raster(result, ax=ax, max_neurons=None) is ax
    assert dots(ax) == sum(len(r) for r in result.spikes.values())
    assert labels(ax, "y") == [f"pop{k} ({100 * (k + 1)})" for k in range(8)]
    spans = [(line.get_ydata().min(), line.get_ydata().max()) for line in ax.lines]
    assert all(below[1] < above[0] for below, above in zip(spans, spans[1:], strict=False))  # no overlap
    assert len({line.get_color() for line in ax.lines}) == 8
    assert ax.get_xlim() == (0.0, 500.0) and ax.get_ylim()[0] > ax.get_ylim()[1]
    assert not any(line.get_rasterized() for line in ax.lines)
    ax.figure.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
    assert not any(a.overlaps(b) for a, b in zip(boxes, boxes[1:], strict=False))


def test_raster_selects_neurons_and_time(result, ax):
    plot.raster(result, ["pop7", "pop1"], ax=ax, max_neurons=100, t=(100.0, 200.0))
    assert labels(ax, "y") == ["pop7\n80 of 800", "pop1\n20 of 200"]
    record = result.spikes["pop1"]
    kept = np.arange(20) * 10
    inside = (record.times >= 100) & (record.times <= 200)
    if ax.lines:
        drawn = len(ax.lines[1].get_xdata())
    else:
        drawn = len(ax.collections[1].get_segments())
    assert drawn == np.sum(np.isin(record.ids, kept) & inside) > 0
    assert ax.get_xlim() == (100.0, 200.0)


def test_few_neurons_are_drawn_as_strokes(ax):
    record = SpikeRecord("a", np.array([1.0, 2.0, 5.0]), np.array([0, 1, 0]), 2, 0.0, 10.0, 0.1)
    plot.raster(record, ax=ax)
    segments = ax.collections[0].get_segments()
    assert [tuple(np.round(s[:, 1], 3)) for s in segments] == [(0.1, 0.9), (1.1, 1.9), (0.1, 0.9)]


def test_many_dots_are_rasterised(ax):
    plot.raster(spikes("a", 2000, 120.0, 1000.0), ax=ax, max_neurons=None)
    assert dots(ax) > plot.RASTERISE and all(line.get_rasterized() for line in ax.lines)


def test_rates(result, ax):
    plot.rates(result, ax=ax, kind="bar")
    heights = [bar.get_height() for bar in ax.patches]
    np.testing.assert_allclose(heights, [r.rate() for r in result.spikes.values()])
    box = Figure().add_subplot()
    assert plot.rates(result, ax=box) is box and labels(box, "x") == list(result.spikes)
    with pytest.raises(ConfigError, match="kind"):
        plot.rates(result, ax=ax, kind="pie")


def test_rate_traces_add_up(result, ax):
    plot.rate_traces(result, "pop3", ax=ax, bin_size=7.0)
    record, counts = result.spikes["pop3"], result.spikes["pop3"].counts(7.0)
    rate = ax.lines[0].get_ydata()
    widths = np.append(np.full(counts.size - 1, 7.0), 500.0 - 7.0 * (counts.size - 1))  # the last bin is cut
    np.testing.assert_allclose(rate * widths * record.n_nodes / 1000, counts)


def test_isi_and_cv(result, ax):
    plot.isi(result, ax=ax)
    steps = [patch.get_data().values for patch in ax.patches]
    assert len(steps) == 8 and all(s.sum() == pytest.approx(1.0) for s in steps) and ax.get_xscale() == "log"
    other = Figure().add_subplot()
    assert plot.cv(result, ax=other) is other and labels(other, "x") == list(result.spikes)


def test_traces(result, ax):
    plot.traces(result, "pop0", "v", ids=[7], ax=ax)
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), result.states["pop0"]["v"][:, 1])
    assert ax.get_ylabel() == "v (mV)"
    both = plot.traces(result, "pop0", ax=Figure().add_subplot())
    assert [line.get_label() for line in both.lines] == ["pop0 3", "pop0 7"]
    for args, match in [(("pop1",), "no states"), (("pop0", "w"), "not recorded"), (("pop0", "v", [1]), r"\[1\]")]:
        with pytest.raises(ConfigError, match=match):
            plot.traces(result, *args, ax=ax)


@pytest.mark.parametrize("draw", [plot.raster, plot.rates, plot.rate_traces, plot.isi, plot.cv])
def test_silence_is_drawn_and_unknown_names_are_refused(draw):
    silent = Result({"a": SpikeRecord("a", np.empty(0), np.empty(0), 3, 0.0, 10.0, 0.1)}, t_stop=10.0)
    axes = draw(silent)
    axes.figure.canvas.draw()
    with pytest.raises(ConfigError, match=r"'b'.*recorded: a"):
        draw(silent, ["b"])
    with pytest.raises(ConfigError, match="any population"):
        draw(Result({}))


def test_wrong_windows(result, ax):
    with pytest.raises(ModelError, match=r"raster\.t"):
        plot.raster(result, ax=ax, t=(2.0, 1.0))
    with pytest.raises(ModelError, match="max_neurons"):
        plot.raster(result, ax=ax, max_neurons=0)


def test_a_run_of_no_duration_is_drawn_without_a_warning(recwarn):
    net = snn.Network()
    a = net.population("a", 2, snn.LIFDelta())
    net.record(a, ["spikes", "v"])
    result = snn.Simulation(net, backend="reference", quiet=True).run(0.0)
    assert plot.raster(result).get_xlim() == (0.0, 1.0) and plot.traces(result, "a").get_xlim() == (0.0, 1.0)
    assert not [w for w in recwarn if "identical" in str(w.message)]
