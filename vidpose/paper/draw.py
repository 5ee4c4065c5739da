"""Drawing functions shared by the figures of `vidpose paper`."""

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
"""The viewpoint of 3D poses: from the camera's right, and from above."""


def save(figure: Figure, out: Path) -> Path:
    """Write a figure as PNG, with margins that fit rotated labels at its edge."""
    return plots.save(figure, out, bbox_inches="tight", pad_inches=0.08)


def side_view(joints: NDArray[np.floating]) -> NDArray[np.float64]:
    """Project (..., 3) joints, camera frame, to (..., 2) as seen from the camera's right.

    Orthographic, x to the right and y down.
    """
    azimuth, elevation = np.radians([AZIMUTH_DEG, ELEVATION_DEG])
    x, y, z = np.moveaxis(np.asarray(joints, np.float64), -1, 0)
    right = np.cos(azimuth) * x + np.sin(azimuth) * z
    away = np.cos(azimuth) * z - np.sin(azimuth) * x
    return np.stack([right, np.cos(elevation) * y - np.sin(elevation) * away], axis=-1)


def skeleton(
    axes: Axes, points: NDArray[np.floating], of: Skeleton, *, faint: bool = False
) -> None:
    """Draw the bones between (J, 2) points, y down, with different colours for left and right."""
    for parent, child in of.bones:
        colour = LEFT if child in of.left else RIGHT if child in of.right else MIDDLE
        line = points[[parent, child]]
        if faint:
            axes.plot(*line.T, color=GHOST, linewidth=1.2, zorder=1)
        else:
            axes.plot(*line.T, color=colour, linewidth=2.2, solid_capstyle="round", zorder=2)


def hide_axes(axes: Axes) -> None:
    """Hide axes and ticks around a pose, with y down and equal scales."""
    axes.set_aspect("equal", adjustable="datalim")
    if not axes.yaxis_inverted():
        axes.invert_yaxis()
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def sides_legend(figure: Figure) -> None:
    """Add a legend of the skeleton colours at the bottom of a figure."""
    from matplotlib.lines import Line2D

    sides = {"left": LEFT, "right": RIGHT, "middle": MIDDLE}
    lines = [Line2D([], [], color=colour, linewidth=2.2) for colour in sides.values()]
    figure.legend(
        lines, list(sides), loc="outside lower left", ncols=3, frameon=False, fontsize=TICK_PT,
        labelcolor=INK,
    )  # fmt: skip
