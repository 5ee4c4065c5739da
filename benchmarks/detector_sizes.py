"""Sizes and passes of the embedded detector compared on real video.

    python benchmarks/detector_sizes.py FOLDER [--demo demo_videos/demo.mp4]
        [--sizes mixed ...] [-o outputs/detector_sizes.md]

FOLDER contains the videos of `demo_videos/fetch_more.py`: an athlete filmed by four calibrated
cameras. Columns:

- *2D error*: distance of a limb joint from its triangulation by the four cameras, pixels, median
  (each row against its own triangulation); and the share over 40 pixels.
- *3D*: P-MPJPE of `default` for the athlete from one camera, mean of the four, mm; see
  `real_cameras.py`.
- *jitter*: of joints that stand still in these four videos and the demo, body sizes, median; see
  `detector_errors.py`.
- *swapped*: joints of these five videos that tracking moved to the other side.
- *CPU*: CPU time per frame of the demo, for detection and decoding.

If the package mediapipe 0.10.21 is installed, its row comes first: BlazePose full on its own
runtime, with two passes as in earlier versions of vidpose.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import DEMO, argument_parser, machine, markdown_table, publish, run_script
from detector_errors import corrected, jitter
from multiview import Calibrated, Detected, Truth, detect
from real_cameras import LIMBS, detect_all, errors, main_person

from vidpose.camera import assumed_focal_px
from vidpose.detect.blazepose_network import SIZES, Networks
from vidpose.lifting.lifter import Lifter, lift_poses, load_lifter_checkpoint
from vidpose.postprocess.refinement import refine
from vidpose.utils.files import check_writable

FAR_PX = 40.0
HEADER = (
    *("network", "passes", "2D error, px", f"over {FAR_PX:g} px", "3D, mm", "jitter", "swapped"),
    "CPU, ms",
)


def lifted_error_mm(
    views: list[Detected], cameras: list[Calibrated], truth: Truth, lifter: Lifter
) -> float:
    """P-MPJPE, mean over the cameras."""
    found = []
    for view, camera in zip(views, cameras, strict=True):
        focal_px = assumed_focal_px(view.poses.frame_size)
        result = refine(lift_poses(view.poses, lifter, focal_px).poses, focal_px)
        joints = result.joints_3d[main_person(view)].astype(np.float64)[: len(truth.joints)]
        found.append(errors(joints, truth.joints, camera)["P-MPJPE"].mean())
    return float(np.mean(found))


def row(
    folder: Path, demo: Path, lifter: Lifter, size: str, flip_test: bool, networks: Networks | None
) -> tuple[str, ...]:
    """The table row without its first two cells, the network and the number of passes."""
    how = {"size": size, "flip_test": flip_test, "networks": networks}
    views, cameras, truth = detect_all(folder, **how)
    start = time.process_time()
    walk = detect(demo, size=size, flip_test=flip_test, networks=networks)
    seconds = time.process_time() - start
    off = np.stack(
        [
            camera.focal_px * np.linalg.norm(away[:, LIMBS], axis=-1)
            for camera, away in zip(cameras, truth.off, strict=True)
        ]
    )
    off = off[np.isfinite(off)]
    still = np.concatenate([jitter(seen)[0] for seen in (*views, walk)])
    swapped = [corrected(seen)["left/right swapped"] for seen in (*views, walk)]
    return (
        f"{np.median(off):.2f}",
        f"{(off > FAR_PX).mean():.1%}",
        f"{lifted_error_mm(views, cameras, truth, lifter):.1f}",
        f"{np.median(still[:, 1]):.4f}",
        f"{np.mean(swapped):.1%}",
        f"{1000 * seconds / walk.poses.frames:.0f}",
    )


def measure(folder: Path, demo: Path, sizes: Sequence[str], out: Path) -> None:
    check_writable(out)
    lifter, rows = Lifter(load_lifter_checkpoint("default")), []
    if importlib.util.find_spec("mediapipe"):
        from mediapipe_networks import MediaPipeNetworks

        theirs = row(folder, demo, lifter, "full", True, MediaPipeNetworks())
        rows.append(("mediapipe 0.10.21", "2", *theirs))
    for flip_test in (True, False):
        for size in sizes:
            found = row(folder, demo, lifter, size, flip_test, None)
            rows.append((size, "2" if flip_test else "1", *found))
    publish(
        f"# Sizes of the embedded detector\n\n{machine()}\n\n{markdown_table(HEADER, rows)}", out
    )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--demo", type=Path, default=DEMO)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=SIZES)
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/detector_sizes.md"))
    given = parser.parse_args()
    measure(given.folder, given.demo, given.sizes, given.out)


if __name__ == "__main__":
    run_script(main)
