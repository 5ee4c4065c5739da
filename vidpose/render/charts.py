"""Chart types shared by several plots: per-joint bars, lines over time, cumulative curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidpose.render.plots import (
    COLOURS,
    HEAT,
    INK,
    NOTE_PT,
    colour_bar,
    grid_lines,
    heat_map,
    legend,
    line_style,
    names_below,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_SERIES = len(COLOURS)
"""Maximum number of series in one chart."""
MOST_COLUMNS = 600
"""Maximum number of columns of a heat map over time."""
BROKEN_FROM = 1.5
"""A step between frames that exceeds the median step by this factor is a gap."""
PCK_MM = 150.0


class Bars(NamedTuple):
    """One series of `joint_bars`, by joint; NaN where a joint is not measured."""

    label: str
    mean: NDArray[np.floating]
    low: NDArray[np.floating]
    """Whiskers go from `low` to `high`."""
    high: NDArray[np.floating]


def joint_bars(axes: Axes, joints: Sequence[str], series: Sequence[Bars]) -> None:
    """Draw a bar for each joint and series, in the order of the legend."""
    width = 0.8 / len(series)
    places = np.arange(len(joints))
    for i, one in enumerate(series):
        x = places + (i - (len(series) - 1) / 2) * width
        axes.bar(x, one.mean, 0.92 * width, color=COLOURS[i % len(COLOURS)], label=one.label)
        axes.vlines(x, one.low, one.high, color=INK, linewidth=1, alpha=0.7)
    names_below(axes, places, joints)
    axes.set_xlim(-0.6, len(joints) - 0.4)
    axes.set_ylim(bottom=0)
    grid_lines(axes)


def joint_map(
    axes: Axes, joints: Sequence[str], values: NDArray[np.floating], label: str, **options: Any
) -> None:
    """Draw a heat map of (J, columns) that starts at 0, with a row per joint and a colour bar.

    `options` are those of `Axes.imshow`.
    """
    shown = heat_map(axes, values, aspect="auto", vmin=0, **options)
    axes.set_yticks(range(len(joints)), joints)
    colour_bar(shown, axes, label, pad=0.02)


def joint_time_map(
    axes: Axes,
    joints: Sequence[str],
    seconds: NDArray[np.floating],
    values: NDArray[np.floating],
    label: str,
    highest: float,
) -> None:
    """Draw a heat map of (T, J) over time, with a row per joint; blank where NaN.

    More frames than `MOST_COLUMNS` are averaged in groups.
    """
    together = -(-len(values) // MOST_COLUMNS)
    starts = np.arange(0, len(values), together)
    known = np.isfinite(values)
    count = np.add.reduceat(known, starts, axis=0, dtype=np.float64)
    total = np.add.reduceat(np.where(known, values, 0), starts, axis=0)
    with np.errstate(invalid="ignore"):
        means = total / count
    step = np.median(np.diff(seconds)) if len(seconds) > 1 else 1.0
    edges = np.append(seconds[starts], seconds[-1] + step)
    shown = axes.pcolormesh(
        edges, np.arange(len(joints) + 1) - 0.5, means.T, cmap=HEAT, vmin=0, vmax=highest,
        rasterized=True,
    )  # fmt: skip
    axes.set_yticks(range(len(joints)), joints)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    colour_bar(shown, axes, label, pad=0.02)


def over_time(
    axes: Axes, seconds: NDArray[np.floating], values: NDArray[np.floating], **style: Any
) -> None:
    """Draw a line (T,) that breaks where values or frames are missing.

    `style` is passed to `Axes.plot`.
    """
    times, values = broken(seconds, values)
    known = np.isfinite(values)
    # A marker makes a frame without neighbours visible.
    alone = known & ~np.append(known[1:], False) & ~np.insert(known[:-1], 0, False)
    axes.plot(times, values, **style)
    if alone.any():
        axes.plot(times[alone], values[alone], ".", color=style.get("color", COLOURS[0]))


def broken(
    seconds: NDArray[np.floating], values: NDArray[np.floating]
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Insert NaN at gaps between frames, so that no line is drawn across."""
    if len(seconds) < 2:
        return seconds, values
    steps = np.diff(seconds)
    gaps = np.flatnonzero(steps > BROKEN_FROM * np.median(steps)) + 1
    return np.insert(seconds, gaps, np.nan), np.insert(values, gaps, np.nan)


def cumulative_curves(
    axes: Axes, shares: Sequence[tuple[str, NDArray[np.floating]]], limits_mm: NDArray[np.floating]
) -> None:
    """Draw the percentage of joints with an error below each distance."""
    for number, (name, share) in enumerate(shares):
        label = f"{name}: half within {np.interp(50, share, limits_mm):.0f} mm"
        if share[-1] < 50:
            label = f"{name}: less than half within {limits_mm[-1]:.0f} mm"
        axes.plot(limits_mm, share, label=label, **line_style(number))
    axes.axvline(PCK_MM, color=INK, linewidth=1, linestyle=":")
    axes.text(
        PCK_MM - 1, 50, f"{PCK_MM:.0f} mm, PCK", color=INK, fontsize=NOTE_PT, rotation=90,
        ha="right", va="center",
    )  # fmt: skip
    axes.set_xlim(0, limits_mm[-1])
    axes.set_ylim(0, 100)
    axes.set_xlabel("error less than, mm")
    axes.set_ylabel("joints of all frames, %")
    grid_lines(axes, "both")
    legend(axes, "best")
