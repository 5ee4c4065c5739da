"""Common drawing code of the paper's figures, with the colours of all plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vidpose.render import plots
from vidpose.render.plots import GHOST, INK, LEFT, MIDDLE, RIGHT, TICK_PT
from vidpose.skeleton import Skeleton

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AZIMUTH_DEG, ELEVATION_DEG = 38.0, 15.0
"""Viewpoint of 3D poses: from the camera's right, and above."""


def save(figure: Figure, out: Path) -> Path:
    """Write a figure as PNG without cutting off rotated labels at its edge."""
    return plots.save(figure, out, bbox_inches="tight", pad_inches=0.08)


def from_aside(joints: NDArray[np.floating]) -> NDArray[np.float64]:
    """Project (..., 3), camera frame, to a view from the camera's right, (..., 2).

    Orthographic; x right and y down.
    """
    azimuth, elevation = np.radians([AZIMUTH_DEG, ELEVATION_DEG])
    x, y, z = np.moveaxis(np.asarray(joints, np.float64), -1, 0)
    right = np.cos(azimuth) * x + np.sin(azimuth) * z
    away = np.cos(azimuth) * z - np.sin(azimuth) * x
    return np.stack([right, np.cos(elevation) * y - np.sin(elevation) * away], axis=-1)


def skeleton(
    axes: Axes, points: NDArray[np.floating], of: Skeleton, *, faint: bool = False
) -> None:
    """Draw the bones between (J, 2) points, y down, with colours for left and right."""
    for parent, child in of.bones:
        colour = LEFT if child in of.left else RIGHT if child in of.right else MIDDLE
        line = points[[parent, child]]
        if faint:
            axes.plot(*line.T, color=GHOST, linewidth=1.2, zorder=1)
        else:
            axes.plot(*line.T, color=colour, linewidth=2.2, solid_capstyle="round", zorder=2)


def bare(axes: Axes) -> None:
    """Prepare axes for a pose: equal aspect, y down, no ticks or spines."""
    axes.set_aspect("equal", adjustable="datalim")
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def sides_legend(figure: Figure) -> None:
    """Add a legend of the skeleton colours below the figure."""
    from matplotlib.lines import Line2D

    sides = {"left": LEFT, "right": RIGHT, "middle": MIDDLE}
    lines = [Line2D([], [], color=colour, linewidth=2.2) for colour in sides.values()]
    figure.legend(
        lines, list(sides), loc="outside lower left", ncols=3, frameon=False, fontsize=TICK_PT,
        labelcolor=INK,
    )  # fmt: skip
