"""Error of joint angles from one camera; degrees.

    python benchmarks/joint_angles.py MOCAP [--videos FOLDER] [--weights default]
        [-o outputs/joint_angles.md]

MOCAP is the motion capture (<subject>/<clip>.bvh). As in the lifting benchmark, its held-out people
are seen by random cameras, with a detector's errors, and lifted as `vidpose infer` lifts. Their
angles are compared with those of the true joints; for the angles to the vertical both get the true
up. FOLDER is what `demo_videos/fetch_more.py` fetches:
an athlete in front of four cameras, whose angles from each camera alone are compared with those of
the joints that are triangulated from all four.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from common import argument_parser, machine, markdown_table, publish, run_script
from ground_plane import up_in_camera
from keypoint_noise import Floats
from lifting import SEED, Condition, conditions, lift, load_weights, read_people, see
from lifting import stretches as stretches_of
from real_cameras import CAMERAS, detect_all, main_person

from vidpose.camera import assumed_focal_px
from vidpose.datasets.virtual_cameras import VirtualCameras
from vidpose.lifting.lifter import Lifter, lift_poses
from vidpose.models import Checkpoint
from vidpose.poses import Pose3D
from vidpose.postprocess.bone_lengths import equal_bone_lengths
from vidpose.postprocess.ground_plane import Ground
from vidpose.postprocess.joint_angles import ANGLES, joint_angles
from vidpose.skeleton import H36M17
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import known_joints

USED = [j for j, name in enumerate(H36M17.joint_names) if name not in ("Neck/Nose", "Head")]
"""Joints that no angle needs may be missing in the truth."""
MEASURED = ("default", "embedded", "clean")
"""Conditions of the lifting benchmark."""


@dataclass
class Differences:
    """Of one angle of ANGLES; left and right together."""

    views: list[Floats] = field(default_factory=list)
    """Degrees, one array a view and side, of the frames in which both are defined."""

    def mean_absolute(self, constant_removed: bool = False) -> str:
        parts = [view - view.mean() * constant_removed for view in self.views if len(view)]
        return f"{np.abs(np.concatenate(parts)).mean():.1f}" if parts else "-"


Table = dict[str, Differences]


def as_poses(joints: Floats, up: Floats, fps: float) -> Pose3D:
    """(T, 17, 3) joints, camera frame, as a result of one person, with the true up."""
    frames = len(joints)
    there = known_joints(joints[:, USED], (1, 2))
    joints = np.where(there[:, None, None], np.nan_to_num(joints), np.nan)
    return Pose3D(
        keypoints_2d=np.full((1, frames, 17, 2), np.nan, np.float32),
        scores_2d=np.zeros((1, frames, 17), np.float32),
        present=there[None],
        observed=there[None],
        person_ids=np.ones(1, np.int32),
        frame_indices=np.arange(frames),
        timestamps=np.arange(frames) / fps,
        fps=fps,
        frame_size=(1000, 1000),
        joints_3d=joints[None].astype(np.float32),
        root_3d=np.zeros((1, frames, 3), np.float32),
        camera_to_world=Ground(up, np.zeros(3)).camera_to_world,
    )


def compare(table: Table, lifted: Floats, true: Floats, up: Floats, fps: float) -> None:
    """Add a view's differences to a table."""
    ours, theirs = (joint_angles(as_poses(joints, up, fps)) for joints in (lifted, true))
    for angle in ANGLES:
        for name in angle.names:
            off = (ours.of(name)[0] - theirs.of(name)[0] + 180) % 360 - 180
            found = table.setdefault(angle.name, Differences())
            found.views.append(off[np.isfinite(off)].astype(np.float64))


def on_motion_capture(folder: Path, checkpoint: Checkpoint) -> dict[str, Table]:
    """By condition."""
    clips = read_people(folder)
    cameras, lifter = VirtualCameras(clips), Lifter(checkpoint)
    tables: dict[str, Table] = {}
    for condition in _chosen(conditions(quick=False)):
        table = tables.setdefault(condition.name, {})
        for number, stretch in enumerate(stretches_of(clips)):
            view = see(cameras, stretch, number, condition)
            clip = clips[stretch.clip]
            up = up_in_camera(clip.joints[round(stretch.first * clip.fps)], view.joints[0])
            lifted = lift(lifter, view, condition.match_rate)
            compare(table, lifted, view.joints, up, view.fps)
    return tables


def _chosen(rows: Iterable[Condition]) -> Iterator[Condition]:
    return (row for row in rows if row.name in MEASURED)


def on_videos(folder: Path, checkpoint: Checkpoint) -> dict[str, Table]:
    """By camera, and all of them together."""
    seen, cameras, true = detect_all(folder)
    lifter, everything = Lifter(checkpoint), Table()
    tables: dict[str, Table] = {"all four": everything}
    for name, view, camera in zip(CAMERAS, seen, cameras, strict=True):
        focal_px = assumed_focal_px(view.poses.frame_size)
        result = equal_bone_lengths(lift_poses(view.poses, lifter, focal_px).poses, focal_px)
        lifted = result.joints_3d[main_person(view)].astype(np.float64)[: len(true.joints)]
        target, up = camera.camera(true.joints), camera.rotation[:, 2]
        for table in (tables.setdefault(name, Table()), everything):
            compare(table, lifted, target, up, view.poses.fps)
    return tables


def markdown(tables: dict[str, Table]) -> str:
    """Mean absolute errors; of the first column also without each view's constant part."""
    first = next(iter(tables))
    rows = [
        (
            angle.name.replace("_", " "),
            *(table[angle.name].mean_absolute() for table in tables.values()),
            tables[first][angle.name].mean_absolute(constant_removed=True),
        )
        for angle in ANGLES
    ]
    return markdown_table(("angle", *tables, f"{first}, constant part removed"), rows)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("mocap", type=Path, help="folder of <subject>/<clip>.bvh")
    parser.add_argument("--videos", type=Path, help="what demo_videos/fetch_more.py fetched")
    parser.add_argument("--weights", default="default")
    parser.add_argument("-o", "--out", type=Path, default=Path("outputs/joint_angles.md"))
    given = parser.parse_args()
    check_writable(given.out)
    torch.manual_seed(SEED)
    ((_, checkpoint),) = load_weights([given.weights], trained=False).items()
    text = f"# Joint angles from one camera\n\nMean absolute error, degrees. {machine()}\n\n"
    text += f"## Motion capture\n\n{markdown(on_motion_capture(given.mocap, checkpoint))}"
    if given.videos:
        tables = on_videos(given.videos, checkpoint)
        text += f"\n## Four cameras\n\n{markdown(tables)}"
    publish(text, given.out)


if __name__ == "__main__":
    run_script(main)
