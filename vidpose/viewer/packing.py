"""The binary format of a page's arrays: compact, and fast to parse in a browser.

Each person has a byte string for the frames from the first to the last in which they are present:
one block after another (`blocks`), each frame by frame, little-endian. Integers count steps whose
size is in the page's header; `UNKNOWN` is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import UsageError
from vidpose.poses import Pose3D
from vidpose.postprocess.gravity import CAMERA_UP
from vidpose.postprocess.ground_plane import Ground, estimate_ground
from vidpose.postprocess.joint_angles import joint_angles
from vidpose.render.scene import placed_joints
from vidpose.skeleton import H36M17
from vidpose.utils.gaps import average_rate, known_joints, shown_times
from vidpose.viewer.options import ViewOptions

UNKNOWN = -32768
LARGEST = 32767
STEP_M, STEP_PX, STEP_DEG = 1e-4, 1 / 16, 0.01
"""Quantisation steps of root-relative joints, keypoints and angles; larger if a value would not fit
into 16 bits."""
PRESENT, OBSERVED, PLACED = 1, 2, 4
"""Bits of a person's flags in a frame; placed: their position is known."""
JOINTS = len(H36M17)
MOST_BODIES = 20_000
"""Maximum number of poses to fit the initial view to."""

Floats = NDArray[np.floating[Any]]


class Block(NamedTuple):
    """One part of a person's bytes, with `values` numbers of a type per frame."""

    name: str
    type: str
    values: int


def blocks(angles: int) -> tuple[Block, ...]:
    """The blocks in order: longer types first, so that each is aligned."""
    return (
        Block("root", "float32", 3),  # metres, scene axes
        Block("joints", "int16", JOINTS * 3),  # relative to the root, scene axes
        Block("keypoints", "int16", JOINTS * 2),  # pixels of the result's frame
        Block("angles", "int16", angles),
        Block("scores", "uint8", JOINTS),  # 255 is 1.0
        Block("flags", "uint8", 1),
    )


@dataclass(frozen=True, eq=False)
class PackedPerson:
    """The bytes of a person, and their range of frames."""

    id: int
    first: int
    frames: int
    data: bytes


@dataclass(frozen=True, eq=False)
class Packed:
    """The arrays of a page."""

    ground: Ground
    """The floor; its `camera_to_world` transforms to the scene's axes."""
    steps: dict[str, float]
    """The size of a step of `joints`, `keypoints` and `angles`."""
    angle_names: tuple[str, ...]
    people: tuple[PackedPerson, ...]
    bodies: NDArray[np.float64]
    """(N, 17, 3) metres, scene axes: a sample of poses, to fit the initial view to."""

    @property
    def bytes(self) -> int:
        return sum(len(person.data) for person in self.people)


def part_of(result: Pose3D, options: ViewOptions) -> NDArray[np.intp]:
    """Indices of the frames that the options select.

    Raises:
        UsageError: there is no such frame, or nobody is in any of them.
    """
    times = result.seconds
    chosen = np.ones(len(times), bool)
    if options.start is not None:
        chosen &= times >= options.start
    if options.end is not None:
        chosen &= times < options.end
    frames = np.flatnonzero(chosen)[:: options.every]
    if not len(frames):
        raise UsageError(
            f"no frame is in this range; the result goes from {times[0]:.2f} s to {times[-1]:.2f} "
            "s, so give another --start or --end."
        )
    if not result.present[:, frames].any():
        raise UsageError("nobody is in these frames; select frames with people.")
    return frames


def page_times(part: Pose3D) -> Floats:
    """(T,) times of the frames on the page, in seconds from the first frame; see `shown_times`."""
    return shown_times(part.seconds)


def take_frames(result: Pose3D, frames: NDArray[np.intp]) -> Pose3D:
    """Select frames of a result, and the people who are in them."""
    part = result.part(np.flatnonzero(result.present[:, frames].any(axis=1)), frames)
    rate = result.fps if part.frames == result.frames else average_rate(part.timestamps)
    return replace(part, fps=float(rate or result.fps))


def scene_ground(result: Pose3D) -> Ground:
    """The floor of the result's world frame; without one, an estimate with the camera's own up."""
    known = result.camera_to_world
    return estimate_ground(result, CAMERA_UP) if known is None else Ground.from_matrix(known)


def pack(result: Pose3D, frames: NDArray[np.intp]) -> Packed:
    """Pack selected frames of a result.

    The floor and the angles are computed from the whole result.
    """
    ground = scene_ground(result)
    angles = joint_angles(result)
    rows = np.flatnonzero(result.present[:, frames].any(axis=1))
    part = take_frames(result, frames)
    scene = [ground.to_world(joints) for joints in placed_joints(part)]
    degrees = angles.degrees[rows][:, frames]
    steps = {
        "joints_m": _step(max(_largest(one - one[:, :1]) for one in scene), STEP_M),
        "keypoints_px": _step(_largest(part.keypoints_2d), STEP_PX),
        "angles_deg": _step(_largest(degrees), STEP_DEG),
    }
    people = tuple(
        _pack_person(part, p, joints, degrees[p], steps) for p, joints in enumerate(scene)
    )
    bodies = np.concatenate([one[part.present[p]] for p, one in enumerate(scene)])
    some = bodies[:: max(1, len(bodies) // MOST_BODIES)]
    return Packed(ground, steps, angles.names, people, some)


def _pack_person(
    result: Pose3D, p: int, scene: Floats, degrees: Floats, steps: dict[str, float]
) -> PackedPerson:
    present = np.flatnonzero(result.present[p])
    span = slice(int(present[0]), int(present[-1]) + 1)
    root = scene[span, :1]
    flags = (
        PRESENT * result.present[p, span]
        + OBSERVED * result.observed[p, span]
        + PLACED * known_joints(result.root_3d[p, span])
    )
    parts = (
        root.astype("<f4"),
        _steps(scene[span] - root, steps["joints_m"]),
        _steps(result.keypoints_2d[p, span], steps["keypoints_px"]),
        _steps(degrees[span], steps["angles_deg"]),
        np.rint(np.clip(np.nan_to_num(result.scores_2d[p, span]), 0, 1) * 255).astype(np.uint8),
        flags.astype(np.uint8),
    )
    data = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    return PackedPerson(int(result.person_ids[p]), span.start, span.stop - span.start, data)


def _largest(values: Floats) -> float:
    known = np.abs(values[np.isfinite(values)])
    return float(known.max()) if known.size else 0.0


def _step(largest: float, usual: float) -> float:
    return max(usual, largest / LARGEST)


def _steps(values: Floats, step: float) -> NDArray[np.int16]:
    known = np.isfinite(values)
    whole = np.rint(np.where(known, values, 0) / step)
    return np.where(known, whole, UNKNOWN).astype("<i2")
