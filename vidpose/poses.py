"""The two types that stages exchange, and the result file.

Detection and tracking produce a `Pose2D`; lifting produces a `Pose3D`. Both hold all people of a
video on one time axis: P people, T frames, J joints. Fields have the same names as the keys of the
result file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from vidpose.errors import MissingDependencyError, ResultFileError, UsageError, VidposeError
from vidpose.skeleton import H36M17, Skeleton
from vidpose.utils.files import obstacle, replacing
from vidpose.utils.gaps import NEAREST_S
from vidpose.utils.npz import read_arrays
from vidpose.utils.outside import number, parse_object, reading, whole

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure
    from typing_extensions import Self

    from vidpose.postprocess.joint_angles import JointAngles

Rows = slice | list[int] | NDArray[np.intp]

FORMAT = "vidpose/1"
FORMAT_2D = "vidpose-2d/1"
SURE_OUTSIDE = 0.5
"""A joint slightly outside the frame may be partly visible; its score is then at least this."""
# Limits for values in a file. Larger ones mean damage, and would cause overflows and huge arrays.
LARGEST_PX = 100_000
FURTHEST_PX, FURTHEST_M, LONGEST_S = 1e6, 1e5, 1e10
SLOWEST_FPS, FASTEST_FPS = 0.5 / LONGEST_S, 1 / NEAREST_S


def _check(name: str, array: NDArray[Any], shape: tuple[int | None, ...], dtype: Any) -> None:
    fits = array.ndim == len(shape) and all(
        want is None or want == got for want, got in zip(shape, array.shape, strict=True)
    )
    if not fits:
        want = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise ValueError(f"{name}: expected shape {want}, got {array.shape}")
    if array.dtype != dtype:
        raise ValueError(f"{name}: expected {np.dtype(dtype)}, got {array.dtype}")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Pose2D:
    """2D joints of every person in a video.

    Raises:
        ValueError: a field has the wrong shape or type, or the fields contradict each other.
    """

    keypoints_2d: NDArray[np.float32]
    """(P, T, J, 2), pixels of the upright frame, origin top left; NaN where unknown."""
    scores_2d: NDArray[np.float32]
    """(P, T, J), the detector's confidence, 0 to 1; 0 where unknown."""
    present: NDArray[np.bool_]
    """(P, T), whether the person is in the scene."""
    observed: NDArray[np.bool_]
    """(P, T), whether the person was detected in this frame; single joints may still be
    interpolated, with half the score. False where all joints are interpolated."""
    person_ids: NDArray[np.int32]
    """(P,), stable over the video."""
    frame_indices: NDArray[np.int64]
    """(T,), index of each frame in the source video, increasing."""
    timestamps: NDArray[np.float64]
    """(T,), seconds, from the container; increasing."""
    fps: float
    """Average frames per second."""
    frame_size: tuple[int, int]
    """Width and height in pixels as displayed, after rotation."""
    skeleton: Skeleton = H36M17

    def __post_init__(self) -> None:
        people, frames, joints = len(self.person_ids), len(self.timestamps), len(self.skeleton)
        _check("keypoints_2d", self.keypoints_2d, (people, frames, joints, 2), np.float32)
        _check("scores_2d", self.scores_2d, (people, frames, joints), np.float32)
        _check("present", self.present, (people, frames), np.bool_)
        _check("observed", self.observed, (people, frames), np.bool_)
        _check("person_ids", self.person_ids, (people,), np.int32)
        _check("frame_indices", self.frame_indices, (frames,), np.int64)
        _check("timestamps", self.timestamps, (frames,), np.float64)
        if frames == 0:
            raise ValueError("timestamps: there is no frame")
        if len(set(self.person_ids.tolist())) != people:
            raise ValueError("person_ids: duplicate id")
        if (self.observed & ~self.present).any():
            raise ValueError("observed: a person is observed where they are not present")
        if not np.isfinite(self.timestamps).all() or (np.diff(self.timestamps) <= 0).any():
            raise ValueError("timestamps: not finite and increasing")
        if (np.diff(self.frame_indices) <= 0).any():
            raise ValueError("frame_indices: not increasing")
        if not (np.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"fps: expected a positive number, got {self.fps}")
        if len(self.frame_size) != 2 or min(self.frame_size) <= 0:
            raise ValueError(f"frame_size: expected width and height, got {self.frame_size}")

    @property
    def people(self) -> int:
        return len(self.person_ids)

    @property
    def frames(self) -> int:
        return len(self.timestamps)

    @property
    def joint_names(self) -> tuple[str, ...]:
        """(J,)"""
        return self.skeleton.joint_names

    @property
    def parents(self) -> tuple[int, ...]:
        """(J,) parent of each joint; -1 for the root."""
        return self.skeleton.parents

    def __repr__(self) -> str:
        """One line, instead of all array values."""
        ids = ", ".join(map(str, self.person_ids[:8].tolist())) + ", ..." * (self.people > 8)
        width, height = self.frame_size
        return (
            f"{type(self).__name__}({extent(self.people, self.frames)} (ids: {ids or 'none'}), "
            f"{self.timestamps[0]:.2f} to {self.timestamps[-1]:.2f} s, {self.fps:.2f} frames/s, "
            f"{width}x{height} px)"
        )

    def __iter__(self) -> Iterator[Self]:
        """Iterate over the people, each as returned by `person`."""
        return (self.part(slice(p, p + 1), slice(None)) for p in range(self.people))

    def index_of(self, person_id: int) -> int:
        """Return the row of the person with this id.

        Raises:
            UsageError: nobody has this id.
        """
        ids = self.person_ids.tolist()
        if person_id not in ids:
            raise UsageError(f"there is no person {person_id}; {who_is_there(ids)}.")
        return int(ids.index(person_id))

    def person(self, person_id: int) -> Self:
        """Select one person: arrays (1, T, ...). `meta` still describes everybody.

        Raises:
            UsageError: nobody has this id.
        """
        row = self.index_of(person_id)
        return self.part(slice(row, row + 1), slice(None))

    def between(self, start_s: float = -np.inf, end_s: float = np.inf) -> Self:
        """Select a time range, both ends included; everybody is kept.

        Args:
            start_s: first time, seconds, on the scale of `timestamps`.
            end_s: last time, likewise.

        Raises:
            UsageError: there is no frame in this range.
        """
        chosen = np.flatnonzero((self.timestamps >= start_s) & (self.timestamps <= end_s))
        if not len(chosen):
            first, last = self.timestamps[[0, -1]].tolist()
            raise UsageError(
                f"there is no frame from {start_s:g} to {end_s:g} s; "
                f"frames go from {first:.3f} to {last:.3f} s."
            )
        return self.part(slice(None), slice(chosen[0], chosen[-1] + 1))

    def part(self, people: Rows, frames: Rows) -> Self:
        """Select people by row, and frames; slices give views, not copies."""
        changes: dict[str, Any] = {"person_ids": self.person_ids[people]}
        for name in ("frame_indices", "timestamps"):
            changes[name] = getattr(self, name)[frames]
        for name in self._by_person_and_frame:
            changes[name] = getattr(self, name)[people][:, frames]
        return replace(self, **changes)

    @property
    def _by_person_and_frame(self) -> tuple[str, ...]:
        return ("keypoints_2d", "scores_2d", "present", "observed")


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Pose3D(Pose2D):
    """2D and 3D joints: what `vidpose.infer` returns and the result file holds.

    Camera frame: x right, y down, z away from the camera, metres.
    """

    joints_3d: NDArray[np.float32]
    """(P, T, 17, 3), metres, camera frame, relative to the root joint; NaN where not present."""
    root_3d: NDArray[np.float32]
    """(P, T, 3), metres, camera frame: position of the root joint; NaN where unknown."""
    camera_to_world: NDArray[np.float64] | None = None
    """(4, 4) rigid transform from the camera frame to the world frame (x right, y away from the
    camera, z up, the floor at z = 0; metres), if known: see `vidpose.postprocess.ground_plane`."""
    meta: dict[str, Any] = field(default_factory=dict)
    """Versions, models, options and source; JSON values only."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.skeleton != H36M17:
            raise ValueError(f"skeleton: expected h36m17, got {self.skeleton.name}")
        people, frames, joints = self.people, self.frames, len(self.skeleton)
        _check("joints_3d", self.joints_3d, (people, frames, joints, 3), np.float32)
        _check("root_3d", self.root_3d, (people, frames, 3), np.float32)
        finite = np.isfinite(self.joints_3d).all(axis=(2, 3))
        if (finite != self.present).any():
            raise ValueError("joints_3d: must be finite where present, and NaN elsewhere")
        if self.camera_to_world is not None:
            _check("camera_to_world", self.camera_to_world, (4, 4), np.float64)
            if not _is_rigid(self.camera_to_world):
                raise ValueError("camera_to_world: not a rotation and a translation")

    @property
    def first_frame_s(self) -> float:
        """Timestamp of the video's first frame, seconds."""
        known = self.meta.get("first_frame_s")
        return float(known) if isinstance(known, float) and np.isfinite(known) else 0.0

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(T,) seconds from the video's first frame, as `--start` and the quality report use them.
        Container timestamps may start at any value.
        """
        return self.timestamps - self.first_frame_s

    def joints_camera(self) -> NDArray[np.float32]:
        """(P, T, 17, 3), metres, camera frame, at the person's position in the scene."""
        return self.joints_3d + self.root_3d[:, :, None]

    def joints_world(self) -> NDArray[np.float32]:
        """(P, T, 17, 3), metres, world frame: x right, y away from the camera, z up; the floor at
        z = 0, the origin below the camera. NaN where the person's position is unknown.

        Raises:
            UsageError: the result has no world frame.
        """
        if self.camera_to_world is None:
            raise UsageError(
                "this result has no world frame; run `vidpose infer --world`, or call "
                "vidpose.postprocess.ground_plane.place_in_world."
            )
        rotation, translation = self.camera_to_world[:3, :3], self.camera_to_world[:3, 3]
        world: NDArray[np.float32] = self.joints_camera() @ rotation.T.astype(np.float32)
        world += translation.astype(np.float32)
        return world

    @property
    def _by_person_and_frame(self) -> tuple[str, ...]:
        return (*super()._by_person_and_frame, "joints_3d", "root_3d")

    # Shorthands for functions of higher layers, imported when called.

    def angles(self) -> JointAngles:
        """Compute joint and segment angles: see `vidpose.postprocess.joint_angles`."""
        from vidpose.postprocess.joint_angles import joint_angles

        return joint_angles(self)

    def to_dataframe(self) -> pandas.DataFrame:
        """Make a table with a row per joint, person and frame: see `vidpose.export.joint_table`.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise MissingDependencyError(
                "to_dataframe needs pandas; run `pip install 'vidpose[tables]'`."
            ) from None
        from vidpose.export.joint_table import COLUMNS, WORLD, joint_table

        parts = [pandas.DataFrame(part) for part in joint_table(self)]
        table = pandas.concat(parts, ignore_index=True) if parts else pandas.DataFrame()
        without = () if self.camera_to_world is not None else WORLD
        return table.reindex(columns=[name for name in COLUMNS if name not in without])

    def plot(
        self, what: str = "trajectories", *, person: int | None = None, joints: Sequence[str] = ()
    ) -> Figure:
        """Draw trajectories, angles, speeds or quality: see `vidpose.render.result_plots`.

        Raises:
            UsageError: there is no such plot, person or joint.
        """
        from vidpose.render.result_plots import plot

        return plot(self, what, person=person, joints=joints)

    def _repr_html_(self) -> str:
        """The player, which notebooks show instead of `repr`."""
        from vidpose.viewer.page import inline

        return inline(self)


def extent(people: int, frames: int) -> str:
    """The size of a result in words."""
    who = "1 person" if people == 1 else f"{people} people"
    return f"{who} in {frames} frame{'s' if frames != 1 else ''}"


def _is_rigid(matrix: NDArray[np.float64]) -> bool:
    rotation = matrix[:3, :3]
    return bool(
        np.isfinite(matrix).all()
        and np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
        and np.linalg.det(rotation) > 0
        and (matrix[3] == (0, 0, 0, 1)).all()
    )


def save(result: Pose3D, path: str | Path) -> Path:
    """Write a result file atomically.

    A result with a world frame also gets `joints_world`, for programs that only read arrays.

    Raises:
        ResultFileError: a value is out of the range that `load` accepts.
    """
    world = {} if result.camera_to_world is None else {"joints_world": result.joints_world()}
    return write_poses(path, result, Pose3D, FORMAT, result.meta, **world)


def array_names(kind: type[Pose2D]) -> tuple[str, ...]:
    """The fields that a file holds as arrays of the same name."""
    others = ("skeleton", "meta", "fps", "frame_size")
    return tuple(f.name for f in fields(kind) if f.name not in others)


def write_poses(
    path: str | Path,
    poses: Pose2D,
    kind: type[Pose2D],
    format: str,
    meta: dict[str, Any],
    **more: NDArray[Any],
) -> Path:
    """Write the fields that `kind` has, and `more`, as a self-describing .npz.

    Raises:
        ResultFileError: a value is out of the range that readers accept.
    """
    arrays = {name: getattr(poses, name) for name in array_names(kind)} | more
    arrays = {name: array for name, array in arrays.items() if array is not None}
    path = Path(path)
    try:
        check_rate(poses.fps)
        check_values(poses)
    except ValueError as error:
        raise ResultFileError(
            f"{path} was not written, because a value is out of range: {error}."
        ) from None
    with replacing(path) as temporary, open(temporary, "wb") as stream:
        np.savez_compressed(
            stream,
            **arrays,
            format=np.array(format),
            fps=np.float64(poses.fps),
            frame_size=np.array(poses.frame_size, np.int32),
            joint_names=np.array(poses.skeleton.joint_names),
            parents=np.array(poses.skeleton.parents, np.int32),
            meta=np.array(json.dumps(meta)),
        )
    return path


def load(path: str | Path) -> Pose3D:
    """Read a result file written by `save`. No code in it is ever executed.

    Raises:
        ResultFileError: the file is missing, not a result file, damaged or inconsistent.
    """
    path = Path(path)
    if why := obstacle(path, "give a .npz written by `vidpose infer`"):
        raise ResultFileError(f"{path} {why}.")
    entries = read_arrays(
        path,
        error=ResultFileError,
        problem="is not a vidpose result file",
        advice="give a .npz written by `vidpose infer`",
    )
    found = str(entries.get("format", "without a format"))
    if found == FORMAT_2D:
        raise ResultFileError(
            f"{path} holds 2D joints only; run `vidpose lift {path}` to make a result."
        )
    if found != FORMAT:
        raise ResultFileError(
            f"{path} is not a {FORMAT} result file ({found[:60]}); "
            "run `vidpose infer` on its video again."
        )
    with reading(path, ResultFileError, "is damaged", "run `vidpose infer` on its video again"):
        if tuple(entries["joint_names"].tolist()) != H36M17.joint_names:
            raise ValueError("joint_names: not h36m17")
        names = (name for name in array_names(Pose3D) if name != "camera_to_world")
        arrays: dict[str, Any] = {name: entries[name] for name in names}
        fps, size = rate_and_size(entries)
        poses = Pose3D(
            **arrays,
            camera_to_world=entries.get("camera_to_world"),
            fps=fps,
            frame_size=size,
            meta=read_meta(entries),
        )
        check_values(poses)
        return poses


def read_meta(entries: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Read `meta` from a file's entries. Parts of the wrong type count as missing.

    Raises:
        ValueError: it is not a JSON object.
        KeyError: it is missing.
    """
    meta = parse_object("meta", str(entries["meta"]))
    for name, form in {"source": dict, "detector": dict, "warnings": list}.items():
        if not isinstance(meta.get(name), form | None):
            meta.pop(name)
    source, camera = section(meta, "source"), section(meta, "camera")
    for name in ("path", "sha256"):
        if not isinstance(source.get(name), str):
            source.pop(name, None)
    try:
        camera["focal_px"] = number("focal_px", camera.get("focal_px"), 1e-3, 1e7)
    except ValueError:
        camera.clear()
    return meta


def rate_and_size(entries: Mapping[str, NDArray[Any]]) -> tuple[float, tuple[int, int]]:
    """Read `fps` and `frame_size` from a file's entries.

    Raises:
        ValueError: one is out of range.
        KeyError: one is missing.
    """
    width, height = np.atleast_1d(entries["frame_size"]).tolist()
    size = whole("frame_size", width, 1, LARGEST_PX), whole("frame_size", height, 1, LARGEST_PX)
    return check_rate(entries["fps"]), size


def check_rate(fps: Any) -> float:
    """Check the frame rate of a file.

    Raises:
        ValueError: it is out of range.
    """
    return number("fps", fps, SLOWEST_FPS, FASTEST_FPS)


def check_values(poses: Pose2D) -> None:
    """Check the values of a file.

    Raises:
        ValueError: a value is out of range; the message names the field.
    """
    bounds = {"keypoints_2d": FURTHEST_PX, "joints_3d": FURTHEST_M, "root_3d": FURTHEST_M}
    for name, most in bounds.items():
        array = getattr(poses, name, None)
        # NaN is an unknown joint or position.
        if array is not None and (np.abs(array) > most).any():
            raise ValueError(f"{name}: a value beyond {most:,.0f}")
    if not ((poses.scores_2d >= 0) & (poses.scores_2d <= 1)).all():
        raise ValueError("scores_2d: not between 0 and 1")
    if (np.abs(poses.timestamps) > LONGEST_S).any():
        raise ValueError(f"timestamps: a value beyond {LONGEST_S:,.0f}")


class ResultMetadata(NamedTuple):
    """The metadata and size of a result file."""

    meta: dict[str, Any]
    people: int
    frames: int


def read_metadata(path: Path) -> ResultMetadata | None:
    """Read the metadata of a result file without its joints; None if it is not a result file."""
    if obstacle(path, ""):
        return None
    try:
        found = read_arrays(path, "meta", "format", "person_ids", "timestamps")
        with reading(path, ResultFileError, "is no result"):
            if str(found["format"]) != FORMAT:
                return None
            meta = read_meta(found)
            return ResultMetadata(meta, len(found["person_ids"]), len(found["timestamps"]))
    except VidposeError:
        return None


def section(meta: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A section of `meta`; empty if it is missing or not an object."""
    value = meta.get(name)
    return value if isinstance(value, dict) else {}


def who_is_there(ids: list[int]) -> str:
    """`there is only person 1`, `there are 1, 2`: to end an error message about an unknown id."""
    if not ids:
        return "there is nobody"
    if len(ids) == 1:
        return f"there is only person {ids[0]}"
    return f"there are {', '.join(map(str, ids))}"


def unseen_joints(poses: Pose2D) -> NDArray[np.bool_]:
    """(P, T, J), joints that are not visible: without a 2D position, or with a low-confidence one
    outside the frame. Their 3D positions are guesses of the network.
    """
    out = poses.scores_2d == 0
    for person, places in enumerate(poses.keypoints_2d):  # one by one, to bound memory
        with np.errstate(invalid="ignore"):
            outside = (places < 0) | (places > np.array(poses.frame_size, np.float32) - 1)
        out[person] |= outside.any(axis=2) & (poses.scores_2d[person] < SURE_OUTSIDE)
    return out


def seen_joints(
    keypoints_px: NDArray[np.floating], scores: NDArray[np.floating]
) -> NDArray[np.floating]:
    """(..., J, 2) pixels; a joint with score 0 is missing, NaN."""
    return np.where(scores[..., None] > 0, keypoints_px, np.nan)
