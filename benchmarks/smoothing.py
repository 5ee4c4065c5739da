"""What smoothing leaves of the joints' acceleration, most of which is jitter.

    python benchmarks/smoothing.py RESULT.npz

RESULT.npz must hold data as it was lifted. For every person and method: the median acceleration of
the joints in the picture and in the scene, and how far the joints are moved at most and in the
middle, in the picture.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vidpose
from vidpose.postprocess.smoothing import METHODS, smooth_pictures


def acceleration(track: NDArray[np.floating], timestamps: NDArray[np.float64]) -> float:
    """Median over frames and joints of (T, J, D), per square second."""
    step = np.diff(timestamps)[:, None, None]
    change = np.diff(np.diff(track, axis=0) / step, axis=0) / step[1:]
    return float(np.nanmedian(np.linalg.norm(change, axis=2)))


def main(path: Path) -> None:
    result = vidpose.load(path)
    print("| person | smooth | picture, px/s2 | scene, m/s2 | moved, px: median | most |")
    print("|---|---|---|---|---|---|")
    for person, name in enumerate(result.person_ids.tolist()):
        for method in ("none", *METHODS):
            drawn = smooth_pictures(result, method)
            moved = drawn.keypoints_2d[person] - result.keypoints_2d[person]
            distance = np.linalg.norm(moved, axis=2)
            in_picture, in_scene = (
                acceleration(track[person], result.timestamps)
                for track in (drawn.keypoints_2d, drawn.joints_camera())
            )
            print(
                f"| {name} | {method} | {in_picture:.0f} | {in_scene:.1f} | "
                f"{np.nanmedian(distance):.1f} | {np.nanmax(distance):.1f} |"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
