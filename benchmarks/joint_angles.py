"""Error of joint angles from one camera; degrees.

    python benchmarks/joint_angles.py MOCAP [--videos FOLDER] [--weights default]
        [-o outputs/joint_angles.md]

MOCAP is a folder of motion capture (<subject>/<clip>.bvh). As in the lifting benchmark, random
cameras view its held-out subjects, with a noise model of the detector, and the clips are lifted as
by `vidpose infer`. The angles are compared with those of the true joints; for angles to the
vertical both get the true up direction. FOLDER contains the videos of `demo_videos/fetch_more.py`:
an athlete filmed by four cameras. The angles from each camera alone are compared with those of the
joints that Pose2Sim triangulated from all four, with OpenPose as its detector (balancing.trc). The
column "four" has the embedded detector's triangulated joints: no lifter, but another detector than
Pose2Sim's.
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
from vidpose.errors import DataError
from vidpose.lifting.lifter import Lifter, lift_poses
from vidpose.models import Checkpoint
from vidpose.poses import Pose3D
from vidpose.postprocess.ground_plane import Ground
from vidpose.postprocess.joint_angles import ANGLES, joint_angles
from vidpose.postprocess.refinement import refine
from vidpose.skeleton import H36M17
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import known_joints

UNUSED = ("Spine", "Neck/Nose", "Head")
USED = [j for j, name in enumerate(H36M17.joint_names) if name not in UNUSED]
"""The other joints are in no angle, so they may be missing in the ground truth."""
MEASURED = ("default", "embedded", "clean")
"""Conditions of the lifting benchmark."""


@dataclass
class Differences:
    """Errors of one angle of ANGLES, left and right together."""

    views: list[Floats] = field(default_factory=list)
    """Degrees, one array per view and side, of the frames where both angles are defined."""

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


def compare(
    table: Table, lifted: tuple[Floats, Floats], true: tuple[Floats, Floats], fps: float
) -> None:
    """Add a view's differences to a table.

    Args:
        lifted, true: (T, 17, 3) joints and up (3,), each in a frame of its own.
    """
    frames = min(len(lifted[0]), len(true[0]))
    ours, theirs = (
        joint_angles(as_poses(joints[:frames], up, fps)) for joints, up in (lifted, true)
    )
    for angle in ANGLES:
        for name in angle.names:
            off = (ours.of(name)[0] - theirs.of(name)[0] + 180) % 360 - 180
            found = table.setdefault(angle.name, Differences())
            found.views.append(off[np.isfinite(off)].astype(np.float64))


def on_motion_capture(folder: Path, checkpoint: Checkpoint) -> dict[str, Table]:
    """The tables by condition."""
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
            compare(table, (lifted, up), (view.joints, up), view.fps)
    return tables


def _chosen(rows: Iterable[Condition]) -> Iterator[Condition]:
    return (row for row in rows if row.name in MEASURED)


def read_trc(path: Path) -> Floats:
    """(T, 17, 3) metres, y up, from Pose2Sim's TRC; NaN for joints without a marker."""
    if not path.is_file():
        raise DataError(f"{path} is missing; run `python demo_videos/fetch_more.py FOLDER`.")
    lines = path.read_text().splitlines()
    markers = lines[3].split()[2:]  # after Frame# and Time
    rows = np.array([line.split() for line in lines[5:] if line.strip()], np.float64)
    places = dict(zip(markers, rows[:, 2:].reshape(len(rows), -1, 3).swapaxes(0, 1), strict=True))
    joints = np.full((len(rows), len(H36M17), 3), np.nan)
    for j, name in enumerate(H36M17.joint_names):
        joints[:, j] = places.get(name.replace("Foot", "Ankle"), np.nan)
    for middle, side in (("Hip", "Hip"), ("Thorax", "Shoulder")):
        joints[:, H36M17.index(middle)] = (places[f"R{side}"] + places[f"L{side}"]) / 2
    return joints


def on_videos(folder: Path, checkpoint: Checkpoint) -> dict[str, Table]:
    """The tables of each camera, of all cameras, and of the triangulated joints."""
    true = read_trc(folder / "balancing.trc")
    up = np.array([0.0, 1.0, 0.0])
    seen, cameras, triangulated = detect_all(folder)
    lifter, everything, four = Lifter(checkpoint), Table(), Table()
    tables = {"each camera": everything, "four": four}
    for name, view, camera in zip(CAMERAS, seen, cameras, strict=True):
        focal_px = assumed_focal_px(view.poses.frame_size)
        result = refine(lift_poses(view.poses, lifter, focal_px).poses, focal_px)
        lifted = result.joints_3d[main_person(view)].astype(np.float64)
        for table in (tables.setdefault(name, Table()), everything):
            compare(table, (lifted, camera.rotation[:, 2]), (true, up), view.poses.fps)
    world = np.array([0.0, 0.0, 1.0])
    compare(four, (triangulated.joints, world), (true, up), seen[0].poses.fps)
    return tables


def markdown(tables: dict[str, Table]) -> str:
    """Mean absolute errors; for the first column also without each view's constant error."""
    first = next(iter(tables))
    rows = [
        (
            angle.name.replace("_", " "),
            *(table[angle.name].mean_absolute() for table in tables.values()),
            tables[first][angle.name].mean_absolute(constant_removed=True),
        )
        for angle in ANGLES
    ]
    return markdown_table(("angle", *tables, f"{first}, constant error removed"), rows)


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
        text += f"\n## Real people\n\n{markdown(tables)}"
    publish(text, given.out)


if __name__ == "__main__":
    run_script(main)
