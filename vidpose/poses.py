"""The two types that travel between stages, and the result file they end in.

`Pose2D` is what detection and tracking give, `Pose3D` what lifting adds to it. Both hold all
people of a video on one time line; P is people, T frames, J joints. The fields carry the names
of the result file's keys.
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

FORMAT = "vidpose/1"
SURE_OUTSIDE = 0.5
"""A joint a little outside of the picture may be seen in part; then its score is higher."""
# What a file may hold; numbers beyond are damage, and would become overflows and huge arrays.
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


@dataclass(frozen=True, kw_only=True, repr=False)
class Pose2D:
    """Where the joints of every person are in the picture.

    Raises:
        ValueError: a field has the wrong shape or type, or the fields contradict each other.
    """

    keypoints_2d: NDArray[np.float32]
    """(P, T, J, 2), pixels of the upright frame, origin top left; NaN where unknown."""
    scores_2d: NDArray[np.float32]
    """(P, T, J), the detector's confidence, 0 to 1; 0 where unknown."""
    present: NDArray[np.bool_]
    """(P, T), the person is in the scene."""
    observed: NDArray[np.bool_]
    """(P, T), the person was detected in this very frame; single joints may be interpolated, with
    half the score. False where all joints are."""
    person_ids: NDArray[np.int32]
    """(P,), stable over the video."""
    frame_indices: NDArray[np.int64]
    """(T,), position of each frame in the source video, rising."""
    timestamps: NDArray[np.float64]
    """(T,), seconds, as the container says; rising."""
    fps: float
    """Average frames a second."""
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
            raise ValueError("person_ids: an id stands twice")
        if (self.observed & ~self.present).any():
            raise ValueError("observed: a person is observed where they are not present")
        if not np.isfinite(self.timestamps).all() or (np.diff(self.timestamps) <= 0).any():
            raise ValueError("timestamps: not finite and rising")
        if (np.diff(self.frame_indices) <= 0).any():
            raise ValueError("frame_indices: not rising")
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
        """(J,) the joint at the other end of the bone; -1 for the root."""
        return self.skeleton.parents

    def __repr__(self) -> str:
        """One line; a notebook would else print all numbers."""
        ids = ", ".join(map(str, self.person_ids[:8].tolist())) + ", ..." * (self.people > 8)
        width, height = self.frame_size
        return (
            f"{type(self).__name__}({extent(self.people, self.frames)} (ids: {ids or 'none'}), "
            f"{self.timestamps[0]:.2f} to {self.timestamps[-1]:.2f} s, {self.fps:.2f} frames/s, "
            f"{width}x{height} px)"
        )

    def __iter__(self) -> Iterator[Self]:
        """The people, one by one, each like `person` gives them."""
        return (self.part(slice(p, p + 1), slice(None)) for p in range(self.people))

    def index_of(self, person_id: int) -> int:
        """The row of the person with this id.

        Raises:
            UsageError: nobody has this id.
        """
        ids = self.person_ids.tolist()
        if person_id not in ids:
            raise UsageError(f"there is no person {person_id}; {who_is_there(ids)}.")
        return int(ids.index(person_id))

    def person(self, person_id: int) -> Self:
        """The same poses of one person only: arrays (1, T, ...). `meta` still is about everybody.

        Raises:
            UsageError: nobody has this id.
        """
        row = self.index_of(person_id)
        return self.part(slice(row, row + 1), slice(None))

    def between(self, start_s: float = -np.inf, end_s: float = np.inf) -> Self:
        """The same poses from one time to another, both included; everybody is kept.

        Args:
            start_s: seconds, as `timestamps` counts them.
            end_s: the same.

        Raises:
            UsageError: there is no frame between them.
        """
        chosen = np.flatnonzero((self.timestamps >= start_s) & (self.timestamps <= end_s))
        if not len(chosen):
            first, last = self.timestamps[[0, -1]].tolist()
            raise UsageError(
                f"there is no frame from {start_s:g} to {end_s:g} s; "
                f"there are some from {first:.3f} to {last:.3f} s."
            )
        return self.part(slice(None), slice(chosen[0], chosen[-1] + 1))

    def part(self, people: slice | list[int], frames: slice) -> Self:
        """Some people, by their rows, in some frames; slices give views, no copies."""
        changes: dict[str, Any] = {"person_ids": self.person_ids[people]}
        for name in ("frame_indices", "timestamps"):
            changes[name] = getattr(self, name)[frames]
        for name in self._by_person_and_frame:
            changes[name] = getattr(self, name)[people, frames]
        return replace(self, **changes)

    @property
    def _by_person_and_frame(self) -> tuple[str, ...]:
        return ("keypoints_2d", "scores_2d", "present", "observed")


@dataclass(frozen=True, kw_only=True, repr=False)
class Pose3D(Pose2D):
    """Pose2D and the third dimension: what `vidpose.infer` gives and the result file holds.

    Camera frame: x right, y down, z away from the camera, metres.
    """

    joints_3d: NDArray[np.float32]
    """(P, T, 17, 3), metres, camera frame, relative to the root joint; NaN where not present."""
    root_3d: NDArray[np.float32]
    """(P, T, 3), metres, camera frame: where the root joint is; NaN where unknown."""
    camera_to_world: NDArray[np.float64] | None = None
    """(4, 4) rigid motion from the camera frame to the world's (x right, y away from the camera,
    z up, the floor at z = 0; metres), if it is known: see `vidpose.postprocess.ground_plane`."""
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
            raise ValueError("joints_3d: finite must mean present, and NaN absent")
        if self.camera_to_world is not None:
            _check("camera_to_world", self.camera_to_world, (4, 4), np.float64)
            if not _is_rigid(self.camera_to_world):
                raise ValueError("camera_to_world: not a rotation and a translation")

    @property
    def first_frame_s(self) -> float:
        """The time of the video's first frame, as `timestamps` counts them."""
        known = self.meta.get("first_frame_s")
        return float(known) if isinstance(known, float) and np.isfinite(known) else 0.0

    @property
    def seconds(self) -> NDArray[np.float64]:
        """(T,) seconds from the video's first frame: how `--start` counts, and how moments are
        told. Containers may begin at any time.
        """
        return self.timestamps - self.first_frame_s

    def joints_camera(self) -> NDArray[np.float32]:
        """(P, T, 17, 3), metres, camera frame, at the person's place in the scene."""
        return self.joints_3d + self.root_3d[:, :, None]

    def joints_world(self) -> NDArray[np.float32]:
        """(P, T, 17, 3), metres, world frame: x right, y away from the camera, z up; the floor at
        z = 0, the origin below the camera. NaN where the person's place is unknown.

        Raises:
            UsageError: the result has no world.
        """
        if self.camera_to_world is None:
            raise UsageError(
                "this result has no world; make it with `vidpose infer --world`, or pass it "
                "through vidpose.postprocess.ground_plane.place_in_world."
            )
        rotation, translation = self.camera_to_world[:3, :3], self.camera_to_world[:3, 3]
        world: NDArray[np.float32] = self.joints_camera() @ rotation.T.astype(np.float32)
        world += translation.astype(np.float32)
        return world

    @property
    def _by_person_and_frame(self) -> tuple[str, ...]:
        return (*super()._by_person_and_frame, "joints_3d", "root_3d")

    # Shorthands for functions of rooms above, imported when they are called.

    def angles(self) -> JointAngles:
        """Angles of joints and segments: see `vidpose.postprocess.joint_angles`."""
        from vidpose.postprocess.joint_angles import joint_angles

        return joint_angles(self)

    def to_dataframe(self) -> pandas.DataFrame:
        """A row for each joint of each person in each frame: see `vidpose.export.joint_table`.

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
        """A figure of trajectories, angles, speeds or quality: see `vidpose.render.result_plots`.

        Raises:
            UsageError: there is no such plot, person or joint.
        """
        from vidpose.render.result_plots import plot

        return plot(self, what, person=person, joints=joints)

    def _repr_html_(self) -> str:
        """The player, which a notebook shows in place of `repr`."""
        from vidpose.viewer.page import inline

        return inline(self)


def extent(people: int, frames: int) -> str:
    """In words."""
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
    """Write a result file; it appears whole or not at all.

    A result with a world has `joints_world` in its file, for programs that only read arrays.

    Raises:
        ResultFileError: a value is one that `load` would refuse.
    """
    world = {} if result.camera_to_world is None else {"joints_world": result.joints_world()}
    return write_poses(path, result, Pose3D, FORMAT, result.meta, **world)


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
        ResultFileError: a value is one that readers would refuse.
    """
    apart = ("skeleton", "meta", "fps", "frame_size")
    arrays = {f.name: getattr(poses, f.name) for f in fields(kind) if f.name not in apart} | more
    arrays = {name: array for name, array in arrays.items() if array is not None}
    path = Path(path)
    try:
        check_rate(poses.fps)
        check_values(poses)
    except ValueError as error:
        raise ResultFileError(
            f"{path} is not written, for no video has such values: {error}."
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
    """Read a result file written by `save`. Nothing in it is ever executed.

    Raises:
        ResultFileError: the file is missing, is no result file, is damaged or contradicts itself.
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
    if found != FORMAT:
        raise ResultFileError(
            f"{path} is not a {FORMAT} result file ({found[:60]}); "
            "run `vidpose infer` on its video again."
        )
    with reading(path, ResultFileError, "is damaged", "run `vidpose infer` on its video again"):
        if tuple(entries["joint_names"].tolist()) != H36M17.joint_names:
            raise ValueError("joint_names: not h36m17")
        arrays: dict[str, Any] = {
            f.name: entries[f.name]
            for f in fields(Pose3D)
            if f.name not in ("skeleton", "meta", "fps", "frame_size", "camera_to_world")
        }
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
    """`meta` of a file's entries. Parts of another form than ours count as missing.

    Raises:
        ValueError: it is no JSON object.
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
    """`fps` and `frame_size` of a file's entries.

    Raises:
        ValueError: they are no video's.
        KeyError: one is missing.
    """
    width, height = np.atleast_1d(entries["frame_size"]).tolist()
    size = whole("frame_size", width, 1, LARGEST_PX), whole("frame_size", height, 1, LARGEST_PX)
    return check_rate(entries["fps"]), size


def check_rate(fps: Any) -> float:
    """See that a file's frames a second can be a video's.

    Raises:
        ValueError: they cannot.
    """
    return number("fps", fps, SLOWEST_FPS, FASTEST_FPS)


def check_values(poses: Pose2D) -> None:
    """See that the values of a file can be a video's.

    Raises:
        ValueError: they cannot; names the field.
    """
    bounds = {"keypoints_2d": FURTHEST_PX, "joints_3d": FURTHEST_M, "root_3d": FURTHEST_M}
    for name, most in bounds.items():
        array = getattr(poses, name, None)
        # NaN is a joint or a place that is not known.
        if array is not None and (np.abs(array) > most).any():
            raise ValueError(f"{name}: a value beyond {most:,.0f}")
    if not ((poses.scores_2d >= 0) & (poses.scores_2d <= 1)).all():
        raise ValueError("scores_2d: not between 0 and 1")
    if (np.abs(poses.timestamps) > LONGEST_S).any():
        raise ValueError(f"timestamps: a value beyond {LONGEST_S:,.0f}")


class ResultMetadata(NamedTuple):
    """What a result file says about itself."""

    meta: dict[str, Any]
    people: int
    frames: int


def read_metadata(path: Path) -> ResultMetadata | None:
    """`meta` and the size of a result file, without reading its joints; None if it is none."""
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
    """A part of `meta` that should be an object; empty if it is missing or something else."""
    value = meta.get(name)
    return value if isinstance(value, dict) else {}


def who_is_there(ids: list[int]) -> str:
    """`there is only person 1`, `there are 1, 2`: the end of a sentence about somebody else."""
    if not ids:
        return "there is nobody"
    if len(ids) == 1:
        return f"there is only person {ids[0]}"
    return f"there are {', '.join(map(str, ids))}"


def unseen_joints(poses: Pose2D) -> NDArray[np.bool_]:
    """(P, T, J), joints that nobody can have seen: without a 2D place, or with one outside of the
    picture of which the detector is not sure. In 3D they are made up.
    """
    out = poses.scores_2d == 0
    for person, places in enumerate(poses.keypoints_2d):  # one by one: videos may be long
        with np.errstate(invalid="ignore"):
            outside = (places < 0) | (places > np.array(poses.frame_size, np.float32) - 1)
        out[person] |= outside.any(axis=2) & (poses.scores_2d[person] < SURE_OUTSIDE)
    return out


def seen_joints(
    keypoints_px: NDArray[np.floating], scores: NDArray[np.floating]
) -> NDArray[np.floating]:
    """(..., J, 2) pixels; a joint with score 0 is missing, NaN."""
    return np.where(scores[..., None] > 0, keypoints_px, np.nan)
