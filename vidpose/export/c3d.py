"""C3D: the binary format of motion-capture laboratories, written with ezc3d.

One person per file, one point per joint, evenly spaced frames. While the person is absent, points
have a residual of -1, the format's mark of invalid points.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import vidpose
from vidpose.errors import MissingDependencyError
from vidpose.export.motion import JOINT_NAMES, PER_METRE, at_constant_rate, motion_of
from vidpose.options import ExportOptions
from vidpose.poses import Pose3D

MARK = b"vidpose"
MOST_FRAMES = 65535
"""The header has 16 bits for the count, and ezc3d reads no more."""


def check_installed() -> None:
    """Raise a MissingDependencyError if ezc3d is not installed."""
    try:
        import ezc3d  # noqa: F401
    except ImportError:
        raise MissingDependencyError(
            "C3D files need ezc3d, which is not installed: pip install 'vidpose[c3d]'"
        ) from None


def write(result: Pose3D, path: Path, name: str, options: ExportOptions) -> None:
    """Write one person's joints.

    Args:
        result: with one person.
        path: path to write to.
        name: final name of the file.
        options: axes, up (z unless given) and unit (mm unless given).
    """
    import ezc3d

    unit, up = options.unit or "mm", options.up or "z"
    motion = at_constant_rate(motion_of(result, 0, axes=options.axes, up=up))
    frames = len(motion.times)
    points = np.zeros((4, len(JOINT_NAMES), frames))
    points[:3] = motion.joints.transpose(2, 1, 0) * PER_METRE[unit]
    points[3] = 1
    residuals = np.zeros((1, len(JOINT_NAMES), frames))
    residuals[:, :, ~motion.known] = -1

    c3d: Any = ezc3d.c3d()
    c3d["data"]["points"] = points
    c3d["data"]["meta_points"]["residuals"] = residuals
    c3d["parameters"]["POINT"]["RATE"]["value"] = [motion.fps]
    c3d["parameters"]["POINT"]["UNITS"]["value"] = [unit]
    c3d["parameters"]["POINT"]["LABELS"]["value"] = list(JOINT_NAMES)
    c3d["parameters"]["POINT"]["DESCRIPTIONS"]["value"] = list(result.skeleton.joint_names)
    # Orientation of the axes on a screen, as seen from the camera.
    c3d.add_parameter("POINT", "X_SCREEN", ["+X"])
    c3d.add_parameter("POINT", "Y_SCREEN", [f"+{up.upper()}"])
    c3d.add_parameter("MANUFACTURER", "SOFTWARE", [f"vidpose {vidpose.__version__}"])
    c3d.write(str(path))
