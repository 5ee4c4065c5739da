"""VideoPose3D's file format, used for Human3.6M and HumanEva.

    data_3d_<layout>.npz              positions_3d: {subject: {action: (T, J, 3)}}
    data_2d_<layout>_<keypoints>.npz  positions_2d: {subject: {action: [(T', J, 2), ...]}}
                                      metadata: {num_joints, keypoints_symmetry, layout_name}

3D joints are in metres, world frame; 2D joints in pixels, one array per camera. J is the layout's
number of recorded joints in 3D, and the skeleton's in 2D. T' >= T, because a video may be longer
than the motion capture, but never shorter. The 2D file may have more subjects and actions than the
3D file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.cameras import Camera, fit_focal
from vidpose.datasets.choice import (
    Choice,
    action_group,
    branch,
    check_known,
    check_metres,
    joint_array,
    split,
)
from vidpose.datasets.dataset import Dataset, PoseSequence
from vidpose.datasets.marks import any_synthetic, mark
from vidpose.errors import DataError
from vidpose.skeleton import Skeleton
from vidpose.utils.npz import read_npz, write_pickled_npz

KEY_3D, KEY_2D, METADATA = "positions_3d", "positions_2d", "metadata"


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A dataset's parameters of the format."""

    dataset: str
    name: str
    """Its name in file names."""
    skeleton: Skeleton
    joints_3d: int
    """Number of joints in the 3D file."""
    kept: tuple[int, ...]
    """Indices of the skeleton's joints, in its order, among those of the 3D file."""
    fps: float
    cameras: Callable[[str], tuple[Camera, ...] | None]
    """A subject's cameras, in the files' order; None for an unknown subject."""
    corrupt: frozenset[tuple[str, str]] = frozenset()
    """(subject, action) to exclude, as the field does."""
    lens_known: bool = True
    """Whether intrinsics are published; if not, the focal length is fitted to exact 2D joints."""
    pieces: str = ""
    """Separator between a recording's name and the number of a piece, in names of takes."""

    def recording(self, action: str) -> str:
        """Return the recording that a take is a piece of, or the take itself."""
        return action.partition(self.pieces)[0] if self.pieces else action

    def path_3d(self, folder: Path) -> Path:
        return folder / f"data_3d_{self.name}.npz"

    def path_2d(self, folder: Path, keypoints: str) -> Path:
        return folder / f"data_2d_{self.name}_{keypoints}.npz"

    def project(self, world: dict[str, Any]) -> dict[str, Any]:
        """Project `positions_3d` to `positions_2d` in every camera, pixels, float32."""
        return {
            subject: {
                action: [
                    camera.project(camera.world_to_camera(joints[:, self.kept])).astype(np.float32)
                    for camera in self.cameras(subject) or ()
                ]
                for action, joints in takes.items()
            }
            for subject, takes in world.items()
        }

    def write(
        self,
        folder: Path,
        world: dict[str, Any],
        views: dict[str, Any],
        layout_name: str | None = None,
        *,
        source: str,
    ) -> tuple[Path, Path]:
        """Write `positions_3d`, and `views`, its projections, as the 2D joints `gt`.

        `source` is what the files were made from: the dataset's name, or `marks.SYNTHETIC`.
        """
        return (
            write_pickled_npz(self.path_3d(folder), {KEY_3D: world} | mark(source)),
            self.write_2d(folder, "gt", views, layout_name, source=source),
        )

    def write_2d(
        self,
        folder: Path,
        keypoints: str,
        views: dict[str, Any],
        layout_name: str | None = None,
        *,
        source: str,
    ) -> Path:
        """Write `positions_2d`; see `write`."""
        entries = {KEY_2D: views, METADATA: metadata(self.skeleton, layout_name)}
        return write_pickled_npz(self.path_2d(folder, keypoints), entries | mark(source))

    def open(self, folder: Path, choice: Choice) -> Dataset:
        """Read the chosen part, one sequence per take and camera.

        Raises:
            DataError: a file is missing or damaged, or the two do not match.
        """
        world = read_3d(self.path_3d(folder))
        views = read_2d(self.path_2d(folder, choice.keypoints), self.skeleton)
        pair = Pair(self, folder, choice, world, views)
        check_known(f"{pair.path_3d}: {KEY_3D}", "subject", choice.subjects, world)
        check_known(f"{pair.path_2d}: {KEY_2D}", "subject", choice.subjects, views)
        groups = [action_group(a) for subject in choice.subjects for a in pair.actions(subject)]
        check_known(f"{pair.path_3d}: {KEY_3D}", "action", choice.actions or (), groups)
        train, test = split(choice, pair.sequences)
        return Dataset(
            name=self.dataset,
            keypoints=choice.keypoints,
            skeleton=self.skeleton,
            train=train,
            test=test,
            synthetic=any_synthetic((pair.path_3d, pair.path_2d)),
        )


def metadata(skeleton: Skeleton, layout_name: str | None = None) -> dict[str, Any]:
    """Make the metadata of a 2D file."""
    name = {} if layout_name is None else {"layout_name": layout_name}
    symmetry = [list(skeleton.left), list(skeleton.right)]
    return {**name, "num_joints": len(skeleton), "keypoints_symmetry": symmetry}


def read_3d(path: Path) -> dict[str, Any]:
    """Read `positions_3d`, without checking its content.

    Raises:
        DataError: the file cannot be read.
    """
    return branch(path, KEY_3D, read_npz(path, KEY_3D)[KEY_3D])


def read_2d(path: Path, skeleton: Skeleton) -> dict[str, Any]:
    """Read `positions_2d`, checking its skeleton but not its content.

    Raises:
        DataError: the file cannot be read, or has another skeleton.
    """
    entries = read_npz(path)
    if KEY_2D not in entries:
        raise DataError(f"{path} has no {KEY_2D}, but {', '.join(entries)[:200] or 'nothing'}.")
    metadata = branch(path, METADATA, entries.get(METADATA, {}))
    count = metadata.get("num_joints", len(skeleton))
    if count != len(skeleton):
        raise DataError(
            f"{path}: {METADATA}: expected {len(skeleton)} joints, those of {skeleton.name}, "
            f"found {count!r:.20}."
        )
    # COCO also has 17 joints, but other left/right pairs.
    mirrored = [sorted(skeleton.left), sorted(skeleton.right)]
    symmetry = metadata.get("keypoints_symmetry", mirrored)
    if _as_lists(symmetry) != mirrored:
        raise DataError(
            f"{path}: {METADATA}: expected joints in the order of {skeleton.name} (left "
            f"{mirrored[0]}, right {mirrored[1]}), found {symmetry!r:.100}."
        )
    return branch(path, KEY_2D, entries[KEY_2D])


def _as_lists(symmetry: Any) -> Any:
    try:
        return [sorted(int(joint) for joint in side) for side in symmetry]
    except (TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Pair:
    """The content of both files; yields the sequences of a subject."""

    layout: Layout
    folder: Path
    choice: Choice
    world: dict[str, Any]
    views: dict[str, Any]

    @property
    def path_3d(self) -> Path:
        return self.layout.path_3d(self.folder)

    @property
    def path_2d(self) -> Path:
        return self.layout.path_2d(self.folder, self.choice.keypoints)

    def actions(self, subject: str) -> list[str]:
        takes = branch(self.path_3d, f"{KEY_3D}, {subject}", self.world[subject])
        return [action for action in takes if (subject, action) not in self.layout.corrupt]

    def sequences(self, subject: str) -> Iterator[PoseSequence]:
        """Yield the chosen takes in all cameras.

        Raises:
            DataError: the two files do not match, or hold something else.
        """
        for take in self.takes(subject):
            yield from take

    def takes(self, subject: str) -> Iterator[Iterator[PoseSequence]]:
        """Like `sequences`, grouped by take; each take raises its own errors."""
        cameras = self.layout.cameras(subject)
        if cameras is None:
            raise DataError(f"{self.path_3d}: the cameras of {subject} are not known.")
        seen = branch(self.path_2d, f"{KEY_2D}, {subject}", self.views[subject])
        for action in self.actions(subject):
            if self.choice.wants(action):
                yield self._take(subject, action, cameras, seen)

    def _take(
        self, subject: str, action: str, cameras: tuple[Camera, ...], seen: dict[str, Any]
    ) -> Iterator[PoseSequence]:
        key = f"{KEY_3D}, {subject}, {action}"
        found = self.world[subject][action]
        world = joint_array(self.path_3d, key, found, self.layout.joints_3d, (3,))
        check_metres(self.path_3d, key, world)
        key = f"{KEY_2D}, {subject}, {action}"
        if action not in seen:
            raise DataError(f"{self.path_2d}: {key} is missing, but {self.path_3d} has it.")
        views = branch(self.path_2d, key, seen[action], list)
        if len(views) != len(cameras):
            raise DataError(
                f"{self.path_2d}: {key}: expected {len(cameras)} cameras, found {len(views)}."
            )
        for camera, view in zip(cameras, views, strict=True):
            pixels = self._view(f"{key}, camera {camera.id}", view, len(world))
            joints = camera.world_to_camera(world[:, self.layout.kept]).astype(np.float32)
            known = sum(camera.focal_px) / 2 if self.layout.lens_known else None
            yield PoseSequence(
                subject=subject,
                action=action,
                camera=camera.id,
                keypoints_2d=pixels,
                joints_3d=joints,
                valid=np.ones(len(joints), bool),
                frame_size=camera.frame_size,
                fps=self.layout.fps,
                focal_px=known or fit_focal(joints, pixels),
                recording=self.layout.recording(action),
            ).downsampled(self.choice.downsample)

    def _view(self, key: str, view: Any, frames: int) -> NDArray[np.float32]:
        pixels = joint_array(self.path_2d, key, view, len(self.layout.skeleton), (2, 3))
        if len(pixels) < frames:
            raise DataError(
                f"{self.path_2d}: {key}: expected {frames} frames or more, as many as "
                f"{self.path_3d.name} has, found {len(pixels)}."
            )
        return pixels[:frames, :, :2]
