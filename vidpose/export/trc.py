"""TRC: Motion Analysis' text format for marker positions, which OpenSim reads.

One person per file, one marker per joint, evenly spaced frames. While the person is absent, fields
are empty, which OpenSim and other readers treat as a gap.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vidpose.export.motion import DECIMALS, JOINT_NAMES, PER_METRE, at_constant_rate, motion_of
from vidpose.options import ExportOptions
from vidpose.poses import Pose3D

MARK = "\t".join(["Frame#", "Time", "\t\t\t".join(JOINT_NAMES)]).encode()
"""All markers in our order, since other programs also have a Hip."""


def write(result: Pose3D, path: Path, name: str, options: ExportOptions) -> None:
    """Write one person's joints.

    Args:
        result: with one person.
        path: path to write to.
        name: final name of the file.
        options: axes, up (y unless given) and unit (mm unless given).
    """
    unit = options.unit or "mm"
    motion = at_constant_rate(motion_of(result, 0, axes=options.axes, up=options.up or "y"))
    decimals = 6 if motion.fps > 0.1 else 15  # for a time-lapse
    rate = f"{motion.fps:.{decimals}f}"
    frames, markers = len(motion.times), len(JOINT_NAMES)
    columns = [f"{axis}{n}" for n in range(1, markers + 1) for axis in "XYZ"]
    head = (
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame"
        "\tOrigNumFrames",
        f"{rate}\t{rate}\t{frames}\t{markers}\t{unit}\t{rate}\t1\t{frames}",
        "Frame#\tTime\t" + "\t\t\t".join(JOINT_NAMES) + "\t\t",
        "\t\t" + "\t".join(columns),
        "",
    )
    number = "\t".join([f"%.{DECIMALS[unit]}f"] * len(columns))
    values = motion.joints.reshape(frames, -1) * PER_METRE[unit]
    gap = "\t" * (len(columns) - 1)
    with open(path, "w", encoding="utf-8", newline="\n") as stream:
        stream.write("\n".join(head) + "\n")
        rows = zip(motion.times.tolist(), values, motion.known.tolist(), strict=True)
        for frame, (time, row, known) in enumerate(rows, start=1):
            # Adding 0.0 avoids -0.0000.
            place = number % tuple((np.round(row, DECIMALS[unit]) + 0.0).tolist()) if known else gap
            # OpenSim does not count an empty field at the end of a line, hence the last tab.
            stream.write(f"{frame}\t{time:.6f}\t{place}\t\n")
