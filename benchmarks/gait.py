"""Error of gait parameters from one camera: step times and lengths, cadence, speed.

    python benchmarks/gait.py MOCAP [--weights default] [--cameras 4] [-o outputs/gait.md]

MOCAP is a folder of motion capture (<subject>/<clip>.bvh). Random cameras view each clip of the
held-out subjects, as in benchmarks/ground_plane.py. The clips are lifted as by `vidpose infer
--world` with a known focal length. Where somebody walks, the gait is compared with that of the true
joints.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from common import argument_parser, machine, markdown_table, publish, run_script
from ground_plane import FPS, SIZE_PX, View, views
from lifting import load_weights, read_people

from vidpose.lifting.lifter import Lifter, lift_poses
from vidpose.options import PostprocessOptions
from vidpose.poses import Pose2D, Pose3D
from vidpose.postprocess import postprocess
from vidpose.postprocess.gait import Gait, gait
from vidpose.postprocess.ground_plane import estimate_ground

NAMES_2D = [field.name for field in fields(Pose2D)]
WORLD = PostprocessOptions(world=True)
SHOWN = {
    "cadence_per_min": "cadence, steps per minute",
    "step_time_s": "step time, s",
    "step_length_m": "step length, m",
    "stride_time_s": "stride time, s",
    "stride_length_m": "stride length, m",
    "speed_m_s": "speed, m/s",
}


def true_result(view: View) -> Pose3D:
    """A view's true joints on the true floor."""
    joints = view.joints[None]
    result = Pose3D(
        **{name: getattr(view.poses, name) for name in NAMES_2D},
        joints_3d=(joints - joints[:, :, :1]).astype(np.float32),
        root_3d=joints[:, :, 0].astype(np.float32),
    )
    return replace(result, camera_to_world=estimate_ground(result, view.up).camera_to_world)


def measure(folder: Path, weights: str, cameras: int) -> str:
    (checkpoint,) = load_weights([weights], trained=False).values()
    clips = read_people(folder)
    lifter = Lifter(checkpoint)
    both: list[tuple[Gait, Gait]] = []
    for view in views(clips, cameras, 1.0):
        lifted = postprocess(lift_poses(view.poses, lifter, float(SIZE_PX)), WORLD)
        both.append((gait(lifted)[0], gait(true_result(view))[0]))
    walked = [bool(true.measures) for _, true in both]
    found = [bool(ours.measures) for ours, _ in both]
    agreed = [pair for pair, *walks in zip(both, walked, found, strict=True) if all(walks)]
    rows = []
    for name, about in SHOWN.items() if agreed else ():
        target = np.array([true.measures[name].mean for _, true in agreed])
        off = np.array([ours.measures[name].mean for ours, _ in agreed]) - target
        sd = np.array([ours.measures[name].sd for ours, _ in agreed])
        values = target.mean(), off.mean(), np.abs(off).mean(), np.nanmean(sd)
        rows.append((about, *(f"{value:.2f}" for value in values)))
    header = ("", "true mean", "mean error", "mean absolute error", "mean sd over steps")
    return (
        f"# Gait from one camera\n\n{machine()}\n\n{len(both)} views of 3 to 8 s at {FPS:g} "
        f"frames/s. Gait was found in the true joints of {sum(walked)} views, in the lifted "
        f"ones of {len(agreed)} of these and of {sum(found) - len(agreed)} others.\n\n"
        f"{markdown_table(header, rows)}"
    )


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("mocap", type=Path, help="folder of <subject>/<clip>.bvh")
    parser.add_argument("--weights", default="default")
    parser.add_argument("--cameras", type=int, default=4, help="for each part of a clip")
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/gait.md"))
    given = parser.parse_args()
    publish(measure(given.mocap, given.weights, given.cameras), given.out)


if __name__ == "__main__":
    run_script(main)
