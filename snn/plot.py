"""Plots of a result. Every function draws on ``ax``, a new one by default, and returns it.

Colours follow the order of the populations; matplotlib is imported when a function runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from kernels.errors import ConfigError, ModelError
from snn.records import Result, SpikeRecord

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Paul Tol's "muted" and "vibrant" hues: told apart by colour-blind readers and in grey.
COLOURS = ("#332288", "#CC3311", "#117733", "#DD8800", "#0077BB", "#AA4499", "#44AA99", "#775533", "#882255", "#666666")
RASTERISE = 100_000  # dots above which a vector figure holds a picture of them
GREY = "#555555"


def new_axes(ax: Axes | None, width: float = 7.0, height: float = 3.6) -> Axes:
    """``ax``, or that of a new figure of this size in inches, in the style of this module."""
    if ax is None:
        import matplotlib.pyplot as plt

        _, ax = plt.subplots(figsize=(width, height), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(GREY)
    ax.tick_params(color=GREY, labelcolor="#222222")
    return ax


def _records(result: Result | SpikeRecord, populations: Sequence[str] | str | None) -> list[SpikeRecord]:
    if isinstance(result, SpikeRecord):
        return [result]
    wanted = list(result.spikes) if populations is None else populations
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    missing = [name for name in wanted if name not in result.spikes]
    if missing or not wanted:
        raise ConfigError(
            f"plot: no spikes of {', '.join(map(repr, missing)) or 'any population'} in the result; "
            f"recorded: {', '.join(result.spikes) or 'nothing'}. Add net.record(population, 'spikes')."
        )
    return [result.spikes[name] for name in wanted]


def _colours(n: int) -> list[str]:
    return [COLOURS[k % len(COLOURS)] for k in range(n)]


def _name_axis(ax: Axes, axis: str, places: ArrayLike, names: Sequence[str], colours: Sequence[str]) -> None:
    """Population names instead of numbers, each in its colour."""
    getattr(ax, f"set_{axis}ticks")(places, names)
    for label, colour in zip(getattr(ax, f"get_{axis}ticklabels")(), colours, strict=True):
        label.set_color(colour)
    ax.tick_params(axis=axis, length=0)  # type: ignore[arg-type]


def _limits(start: float, stop: float) -> tuple[float, float]:
    """Limits of a time axis, which matplotlib wants apart; a run of no duration gets 1 ms."""
    return start, stop if stop > start else start + 1.0


def _legend(ax: Axes, n: int) -> None:
    """Above the axes, out of the way of the lines."""
    ax.legend(frameon=False, ncols=min(n, 5), fontsize="small", loc="lower left", bbox_to_anchor=(0.0, 1.0))


def raster(
    result: Result | SpikeRecord,
    populations: Sequence[str] | str | None = None,
    ax: Axes | None = None,
    max_neurons: int | None = 1000,
    t: tuple[float, float] | None = None,
) -> Axes:
    """Spikes as dots: time in ms to the right, neurons stacked by population, the first population on top.

    Parameters
    ----------
    populations : names, optional
        Which and in what order; all by default.
    max_neurons : int or None
        Neurons shown of all populations together, shared in proportion to their sizes, at least a few percent of
        the height each, evenly spaced ids. None shows all.
    t : (start, stop), optional
        Window in ms.
    """
    records = _records(result, populations)
    if t is not None and not t[0] < t[1]:
        raise ModelError(f"raster.t: must be (start, stop) with start < stop in ms; got {t!r}.")
    if max_neurons is not None and max_neurons < 1:
        raise ModelError(f"raster.max_neurons: must be >= 1 or None; got {max_neurons!r}.")
    start, stop = t or (min(r.t_start for r in records), max(r.t_stop for r in records))
    ax = new_axes(ax, 8.0, 2.2 + 0.45 * min(len(records), 10))
    total = max(1, sum(r.n_recorded for r in records))
    keep = min(1.0, (max_neurons or total) / total)
    least = max(1, int(0.04 * keep * total))
    shown = [min(r.n_recorded, max(least, round(keep * r.n_recorded))) for r in records]
    gap = 0.012 * sum(shown)
    colours = _colours(len(records))
    picked = [_window(r, n, start, stop) for r, n in zip(records, shown, strict=True)]
    dots = sum(times.size for times, _ in picked)
    size = float(np.clip(110 / np.sqrt(max(dots, 1)), 0.7, 3.2))
    ticks = sum(shown) <= 150 and dots <= 5000  # few neurons: a stroke each, as high as its row
    centres, bottom = [], 0.0
    for record, n, colour, (times, rows) in zip(records, shown, colours, picked, strict=True):
        rows = bottom + rows
        ax.axhspan(bottom, bottom + n, color=colour, alpha=0.05, linewidth=0, zorder=0)
        if ticks:
            ax.vlines(times, rows + 0.1, rows + 0.9, color=colour, linewidth=1.0, label=record.population)
        else:
            ax.plot(
                times, rows + 0.5, "o", color=colour, markersize=size, markeredgewidth=0.0,
                rasterized=dots > RASTERISE, label=record.population,
            )  # fmt: skip
        centres.append(bottom + n / 2)
        bottom += n + gap
    ax.set(xlim=_limits(start, stop), ylim=(bottom - gap, 0), xlabel="time (ms)")
    cut = any(n < r.n_nodes for r, n in zip(records, shown, strict=True))
    names = [
        f"{r.population}\n{n:,} of {r.n_nodes:,}" if cut and len(records) <= 4 else f"{r.population} ({n:,})"
        for r, n in zip(records, shown, strict=True)
    ]
    _name_axis(ax, "y", centres, names, colours)
    ax.spines["left"].set_visible(False)
    if dots == 0:
        ax.text(0.5, 0.5, "no spikes", transform=ax.transAxes, ha="center", va="center", color=GREY)
    return ax


def _window(record: SpikeRecord, n: int, start: float, stop: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Times and rows 0 to n - 1 of the spikes between start and stop of n evenly spaced neurons recorded."""
    low, high = np.searchsorted(record.times, start), np.searchsorted(record.times, stop, side="right")
    times, ids = record.times[low:high], record.ids[low:high]
    row = np.full(record.n_nodes, -1)
    row[record.nodes[np.arange(n) * record.n_recorded // max(n, 1)]] = np.arange(n)
    rows = row[ids]
    return times[rows >= 0], rows[rows >= 0]


def rates(
    result: Result | SpikeRecord,
    populations: Sequence[str] | str | None = None,
    ax: Axes | None = None,
    kind: str = "box",
) -> Axes:
    """Firing rates by population: the spread over neurons (``kind="box"``) or the mean (``"bar"``)."""
    records = _records(result, populations)
    values = [r.rates() for r in records]
    return _distribution(records, values, ax, kind, "rate (Hz)")


def isi(
    result: Result | SpikeRecord,
    populations: Sequence[str] | str | None = None,
    ax: Axes | None = None,
    bins: int = 60,
) -> Axes:
    """Densities of inter-spike intervals in ms, all neurons of a population pooled, on a logarithmic axis."""
    records = _records(result, populations)
    ax = new_axes(ax)
    gaps = [r._intervals()[0] for r in records]
    gaps = [g[g > 0] for g in gaps]
    some = np.concatenate(gaps)
    if some.size:
        low, high = np.quantile(some, 0.002), some.max()
        edges = np.geomspace(low * 0.95, high * 1.05, bins + 1)
        for record, gap, colour in zip(records, gaps, _colours(len(records)), strict=True):
            if gap.size:
                share = np.histogram(gap.clip(edges[0]), edges)[0] / gap.size
                ax.stairs(share, edges, color=colour, label=record.population, linewidth=1.6)
                if len(records) <= 3:
                    ax.stairs(share, edges, color=colour, fill=True, alpha=0.12)
        ax.set_xscale("log")
        ax.legend(frameon=False, ncols=1 + (len(records) > 5), fontsize="small")
    else:
        ax.text(0.5, 0.5, "no intervals", transform=ax.transAxes, ha="center", va="center", color=GREY)
    ax.set(xlabel="inter-spike interval (ms)", ylabel="share of intervals")
    ax.set_ylim(bottom=0)
    return ax


def cv(
    result: Result | SpikeRecord,
    populations: Sequence[str] | str | None = None,
    ax: Axes | None = None,
    kind: str = "box",
) -> Axes:
    """Coefficient of variation of the intervals by population; neurons with fewer than three spikes are left out."""
    records = _records(result, populations)
    values = [r.cv() for r in records]
    ax = _distribution(records, values, ax, kind, "CV of intervals")
    ax.set_ylim(0, max(1.1, ax.get_ylim()[1]))
    ax.axhline(1.0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    ax.annotate(
        " Poisson", (1, 1), xycoords=("axes fraction", "data"), ha="left", va="center", color=GREY, fontsize="small"
    )
    return ax


def _distribution(
    records: list[SpikeRecord], values: list[NDArray[Any]], ax: Axes | None, kind: str, label: str
) -> Axes:
    if kind not in ("box", "bar"):
        raise ConfigError(f'plot.kind: must be "box" or "bar"; got {kind!r}.')
    ax = new_axes(ax, 2.2 + 0.75 * len(records), 3.4)
    colours = _colours(len(records))
    values = [v[np.isfinite(v)] for v in values]
    places = np.arange(len(records))
    if kind == "bar":
        means = [float(v.mean()) if v.size else 0.0 for v in values]
        bars = ax.bar(places, means, width=0.62, color=colours, alpha=0.85)
        ax.bar_label(bars, fmt="%.3g", padding=2, fontsize="small", color="#222222")
        ax.margins(y=0.12)
    else:
        boxes = ax.boxplot(
            values, positions=places, widths=0.55, patch_artist=True, showfliers=False, whis=(5, 95),
            medianprops={"color": "white", "linewidth": 1.6}, manage_ticks=False,
        )  # fmt: skip
        for k, colour in enumerate(colours):
            boxes["boxes"][k].set(facecolor=colour, edgecolor=colour, alpha=0.85)
            for line in (*boxes["whiskers"][2 * k : 2 * k + 2], *boxes["caps"][2 * k : 2 * k + 2]):
                line.set(color=colour, linewidth=1.2)
            if values[k].size:
                ax.plot(places[k], values[k].mean(), "o", color="white", markeredgecolor=colour, markersize=5, zorder=4)
    ax.set(xlim=(-0.6, len(records) - 0.4), ylabel=label)
    ax.set_ylim(bottom=0)
    _name_axis(ax, "x", places, [r.population for r in records], colours)
    if len(records) > 6:
        ax.tick_params(axis="x", labelrotation=30)
    return ax


def rate_traces(
    result: Result | SpikeRecord,
    populations: Sequence[str] | str | None = None,
    ax: Axes | None = None,
    bin_size: float = 5.0,
    t: tuple[float, float] | None = None,
) -> Axes:
    """Population rate in Hz per neuron over time, in bins of ``bin_size`` ms."""
    records = _records(result, populations)
    ax = new_axes(ax, 8.0, 3.0)
    for record, colour in zip(records, _colours(len(records)), strict=True):
        counts = record.counts(bin_size)
        edges = record.t_start + bin_size * np.arange(counts.size + 1)
        end = max(record.t_stop, np.nextafter(edges[-2], np.inf))  # the last bin may be cut
        width = np.diff(np.minimum(edges, end))
        rate = 1000.0 * counts / (max(record.n_recorded, 1) * width)
        ax.plot(edges[:-1] + width / 2, rate, color=colour, linewidth=1.1, label=record.population)
    start, stop = t or (min(r.t_start for r in records), max(r.t_stop for r in records))
    ax.set(xlim=_limits(start, stop), xlabel="time (ms)", ylabel="rate (Hz)")
    ax.set_ylim(bottom=0)
    if len(records) > 1:
        _legend(ax, len(records))
    return ax


def traces(
    result: Result,
    population: str,
    variable: str = "v",
    ids: Sequence[int] | int | None = None,
    ax: Axes | None = None,
    t: tuple[float, float] | None = None,
) -> Axes:
    """A sampled variable over time, one line a neuron; at most ten of those recorded unless ``ids`` names them.

    ``t``: (start, stop), window in ms.

    Raises
    ------
    ConfigError
        Where the population, variable or neurons were not recorded.
    """
    if population not in result.states:
        raise ConfigError(
            f"traces: no states of {population!r} in the result; recorded: {', '.join(result.states) or 'nothing'}. "
            f"Add net.record({population!r}, {variable!r})."
        )
    record = result.states[population]
    times, recorded, unit = record.times(variable), record.ids(variable), record.unit(variable)
    wanted = recorded[:10] if ids is None else np.atleast_1d(np.asarray(ids, dtype=np.int64))
    missing = [int(k) for k in wanted if k not in recorded]
    if missing:
        raise ConfigError(f"traces.ids: neurons {missing} of {population!r} were not recorded; recorded: {recorded}.")
    ax = new_axes(ax, 8.0, 3.0)
    values = record[variable]
    for node, colour in zip(wanted, _colours(wanted.size), strict=True):
        column = int(np.flatnonzero(recorded == node)[0])
        ax.plot(times, values[:, column], color=colour, linewidth=1.0, label=f"{population} {node}")
    ax.set(xlabel="time (ms)", ylabel=f"{variable} ({unit})" if unit else variable)
    ax.set_xlim(t if t is not None else _limits(result.t_start, result.t_stop))
    if wanted.size > 1:
        _legend(ax, int(wanted.size))
    return ax
