"""Joint acceleration, mostly jitter, after each smoothing method.

    python benchmarks/smoothing.py RESULT.npz

RESULT.npz must be unsmoothed. For every person and method: the median acceleration of the joints in
the image (px/s2) and in the scene (m/s2), and the displacement of the joints in the image by
smoothing (median and maximum, px).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from common import argument_parser, markdown_table, run_script
from numpy.typing import NDArray

import vidpose
from vidpose.poses import Pose3D
from vidpose.postprocess.smoothing import METHODS, smooth_pictures


def acceleration(track: NDArray[np.floating], timestamps: NDArray[np.float64]) -> float:
    """Median over frames and joints of (T, J, D), per square second."""
    step = np.diff(timestamps)[:, None, None]
    change = np.diff(np.diff(track, axis=0) / step, axis=0) / step[1:]
    return float(np.nanmedian(np.linalg.norm(change, axis=2)))


def rows(result: Pose3D) -> Iterator[tuple[str, ...]]:
    """A row of the table for each person and method."""
    for person, name in enumerate(result.person_ids.tolist()):
        for method in ("none", *METHODS):
            drawn = smooth_pictures(result, method)
            moved = drawn.keypoints_2d[person] - result.keypoints_2d[person]
            distance = np.linalg.norm(moved, axis=2)
            in_picture, in_scene = (
                acceleration(track[person], result.timestamps)
                for track in (drawn.keypoints_2d, drawn.joints_camera())
            )
            yield (
                *(str(name), method, f"{in_picture:.0f}", f"{in_scene:.1f}"),
                *(f"{np.nanmedian(distance):.1f}", f"{np.nanmax(distance):.1f}"),
            )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("result", type=Path, metavar="RESULT.npz")
    result = vidpose.load(parser.parse_args().result)
    header = ("person", "smooth", "image, px/s2", "scene, m/s2", "moved, px: median", "most")
    print(markdown_table(header, list(rows(result))), end="")


if __name__ == "__main__":
    run_script(main)
