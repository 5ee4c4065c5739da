"""2D detections for the videos of a dataset, by our own detectors, in VideoPose3D's layout."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.prepare import h36m, humaneva, mpi_inf_3dhp, raw
from vidpose.detect import open_detector
from vidpose.detect.base import Detector, sights
from vidpose.errors import DataError, KeypointsError, NoPersonError, VideoError
from vidpose.keypoints import npz as keypoints_npz
from vidpose.poses import Pose2D
from vidpose.skeleton import H36M17, HUMANEVA15, MPI_INF_3DHP, Skeleton, conversion
from vidpose.tracking.collector import PoseCollector
from vidpose.utils.devices import choose_device
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import fill_missing
from vidpose.utils.npz import write_npz
from vidpose.utils.progress import Progress, silent
from vidpose.video import VideoReader

DETECTORS = ("hrnet", "cpn", "mediapipe")


@dataclass(frozen=True)
class _Dataset:
    name: str
    """As its files are called: data_2d_<name>_<detector>.npz."""
    skeleton: Skeleton
    module: ModuleType
    """Has `find_videos` and `place`."""


_DATASETS = {
    "h36m": _Dataset("h36m", H36M17, h36m),
    "mpi_inf_3dhp": _Dataset("mpi_inf_3dhp", MPI_INF_3DHP, mpi_inf_3dhp),
    "humaneva": _Dataset("humaneva15", HUMANEVA15, humaneva),
}
LAYOUTS = {"h36m17": "h36m"}
"""What the field's files call a skeleton, where it is not our name."""


@dataclass(frozen=True)
class _Video:
    path: Path
    subject: str
    action: str
    camera: str

    @property
    def name(self) -> str:
        return f"{self.subject}/{self.action}.{self.camera}"


@dataclass(frozen=True)
class _Observer:
    """What looks at the videos."""

    open: Callable[[], tuple[Detector, str]]
    """A new one for every video, since it remembers where people were."""
    description: dict[str, Any]
    """JSON values."""
    kept: Path
    """Folder for what was seen in each video."""


def detect_videos(
    dataset: str,
    source: Path,
    out: Path,
    detector: str,
    *,
    pose_weights: str | Path | None = None,
    person_weights: str | Path | None = None,
    detect_every: int | None = None,
    device: str = "auto",
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
) -> Path:
    """Write data_2d_<dataset>_<detector>.npz: what a detector sees in the dataset's videos.

    In each video it is the person who is there most; frames in which they were not found are
    interpolated. The joints are the dataset's, converted from h36m17.
    Each video's joints are kept in a folder beside the file, so that a run which was stopped goes
    on where it was.

    Args:
        dataset: h36m, mpi_inf_3dhp or humaneva.
        source: folder with the videos anywhere below it; for HumanEva also with its exported
            poses, which tell the frames that are used.
        out: folder for the file.
        detector: one of `DETECTORS`.
        pose_weights, person_weights, detect_every: see `vidpose.detect.open_detector`.
        device: auto, cpu or cuda.
        report: takes lines for the user.
        progress: wraps the frames of each video.

    Raises:
        DataError: a video is missing, cannot be read, or shows nobody.
        VidposeError: the detector cannot be used.
    """
    kind = _DATASETS[dataset]
    target = out / f"data_2d_{kind.name}_{detector}.npz"
    check_writable(target)
    raw.check_source(source)
    videos = [
        _Video(path, subject, action, camera)
        for (subject, action), seen in kind.module.find_videos(source, report).items()
        for camera, path in seen.items()
    ]
    torch_device = choose_device(device)[0]

    def open_one() -> tuple[Detector, str]:
        return open_detector(
            detector,
            num_people=1,
            pose_weights=pose_weights,
            person_weights=person_weights,
            detect_every=detect_every,
            device=torch_device,
        )

    found, sentence = open_one()
    with found:
        report(f"Detector: {sentence}. {len(videos)} videos.")
        description = json.loads(json.dumps(found.description))
    observer = _Observer(open_one, description, out / f"detections_{kind.name}_{detector}")
    skeleton = kind.skeleton

    def convert(track: NDArray[np.floating]) -> NDArray[np.float32]:
        if skeleton != H36M17:
            track, _ = conversion(H36M17.name, skeleton.name)(track)
        return track.astype(np.float32)

    tracks = _look(observer, videos, convert, report, progress)
    metadata = {
        "layout_name": LAYOUTS.get(skeleton.name, skeleton.name),
        "num_joints": len(skeleton),
        "keypoints_symmetry": [list(skeleton.left), list(skeleton.right)],
    }
    positions = kind.module.place(source, tracks)
    return write_npz(target, {"positions_2d": positions, "metadata": metadata})


Convert = Callable[[NDArray[np.floating]], NDArray[np.float32]]


def _look(
    observer: _Observer,
    videos: list[_Video],
    convert: Convert,
    report: Callable[[str], None],
    progress: Progress,
) -> raw.Tracks:
    """What is seen in all videos.

    Raises:
        DataError: one of them gave nothing; the others are looked at all the same.
    """
    tracks: raw.Tracks = {}
    failed: list[str] = []
    for number, video in enumerate(videos, 1):
        label = f"{video.name} ({number}/{len(videos)})"
        try:
            poses = _kept(observer, video) or _detect(observer, video, label, report, progress)
            track = convert(on_every_frame(one_person(poses, video.path), poses))
        except VideoError as error:
            report(f"Warning: {error}")
            failed.append(video.name)
            continue
        tracks.setdefault((video.subject, video.action), []).append(track)
    if failed:
        raise DataError(
            f"{len(failed)} of {len(videos)} videos gave no joints ({raw.listed(failed)}); mend "
            f"them and run this again: what was seen in the others is kept in {observer.kept}."
        )
    return tracks


def _identity(observer: _Observer, video: _Video) -> dict[str, Any]:
    """What has to be the same for a video's joints to be still good."""
    size = video.path.stat().st_size
    return {"detector": observer.description, "source": {"name": video.path.name, "bytes": size}}


def _kept_file(observer: _Observer, video: _Video) -> Path:
    return observer.kept / video.subject / f"{video.action}.{video.camera}.2d.npz"


def _kept(observer: _Observer, video: _Video) -> Pose2D | None:
    """What an earlier run saw in the video; None if it did not, or with another detector."""
    try:
        poses, meta = keypoints_npz.read(_kept_file(observer, video))
    except KeypointsError:
        return None
    return poses if meta == _identity(observer, video) else None


def _detect(
    observer: _Observer,
    video: _Video,
    label: str,
    report: Callable[[str], None],
    progress: Progress,
) -> Pose2D:
    """Look at a video and keep what is seen.

    Raises:
        VideoError: it cannot be read.
    """
    collector = PoseCollector()
    with VideoReader(video.path) as reader, observer.open()[0] as detector:
        for sight in sights(detector, progress(reader, reader.expected_frames, label)):
            collector.add(*sight)
        for warning in reader.warnings:
            report(f"Warning: {warning}")
        poses = collector.finish(reader.fps, reader.size)
    keypoints_npz.write(poses, _kept_file(observer, video), _identity(observer, video))
    return poses


def one_person(poses: Pose2D, video: Path) -> NDArray[np.float32]:
    """The track of the one person that a video is about: of who is observed most.

    Tracks that overlap in time with it are other people. Those that do not are the same person,
    who was lost from sight and found again.

    Args:
        poses: everybody in the video.
        video: for the error.

    Returns:
        (T, J, 2) pixels, NaN where unknown.

    Raises:
        NoPersonError: nobody is there.
    """
    if not poses.people:
        raise NoPersonError(f"Nobody was found in any frame of {video}.")
    most, *others = np.argsort(-poses.observed.sum(axis=1), kind="stable")
    track, taken = poses.keypoints_2d[most].copy(), poses.present[most].copy()
    for person in others:
        present = poses.present[person]
        if not (present & taken).any():
            track[present] = poses.keypoints_2d[person, present]
            taken |= present
    return track


def on_every_frame(track: NDArray[np.float32], poses: Pose2D) -> NDArray[np.float64]:
    """Interpolate a track over its gaps, and over frames that the reader could not read.

    The dataset's annotations count every frame of the video, so a frame that was skipped as
    damaged gets its row, too.

    Args:
        track: (T, J, 2), NaN where unknown.
        poses: whose time line it is on.

    Returns:
        (frames of the video, J, 2).
    """
    steps = np.maximum(np.rint(np.diff(poses.timestamps) * poses.fps), 1).astype(int)
    rows = np.concatenate([[0], np.cumsum(steps)])
    full = np.full((rows[-1] + 1, *track.shape[1:]), np.nan)
    full[rows] = track
    return fill_missing(full, np.arange(len(full), dtype=np.float64))
