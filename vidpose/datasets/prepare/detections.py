"""2D detections in a dataset's videos with vidpose's detectors, in VideoPose3D's file format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.marks import mark
from vidpose.datasets.prepare import h36m, humaneva, mpi_inf_3dhp, raw
from vidpose.datasets.videopose import KEY_2D, METADATA, metadata
from vidpose.detect import open_detector
from vidpose.detect.base import Detector, detect_frames
from vidpose.errors import DataError, KeypointsError, NoPersonError, VideoError
from vidpose.events import Report, Setup, Warn, ignore
from vidpose.keypoints import npz as keypoints_npz
from vidpose.options import DetectorOptions
from vidpose.poses import Pose2D
from vidpose.skeleton import H36M17, HUMANEVA15, MPI_INF_3DHP, Skeleton, conversion
from vidpose.tracking.collector import PoseCollector
from vidpose.utils.devices import choose_device
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import fill_missing
from vidpose.utils.npz import write_pickled_npz
from vidpose.utils.progress import Progress, silent
from vidpose.video import VideoReader


@dataclass(frozen=True)
class _Dataset:
    layout_name: str
    """Its name in the file name and metadata."""
    skeleton: Skeleton
    module: ModuleType
    """Has `find_videos` and `place`."""


_DATASETS = {
    "h36m": _Dataset("h36m", H36M17, h36m),
    "mpi_inf_3dhp": _Dataset("mpi_inf_3dhp", MPI_INF_3DHP, mpi_inf_3dhp),
    "humaneva": _Dataset("humaneva15", HUMANEVA15, humaneva),
}


@dataclass(frozen=True)
class _Video:
    path: Path
    subject: str
    action: str
    camera: str

    @property
    def name(self) -> str:
        return f"{self.subject}/{self.action}.{self.camera}"


def detect_videos(
    dataset: str,
    source: Path,
    out: Path,
    options: DetectorOptions,
    device: str = "auto",
    *,
    report: Report = ignore,
    progress: Progress = silent,
) -> Path:
    """Write data_2d_<dataset>_<detector>.npz with the detections in the dataset's videos.

    They are of the person who is observed most in each video; frames without detections are
    interpolated. The joints are converted from h36m17 to the dataset's. Each video's joints are
    stored in a folder next to the file, so that an interrupted run can be continued.

    Args:
        dataset: h36m, mpi_inf_3dhp or humaneva.
        source: folder with the videos anywhere below it; for HumanEva also with the exported
            poses, which determine the frames to use.
        out: folder for the file.
        options: options of the detector, which tracks one person.
        device: auto, cpu or cuda.
        report: receives events for the user.
        progress: wraps the frames of each video.

    Raises:
        DataError: a video is missing, cannot be read, or has no people in it.
        VidposeError: the detector cannot be used.
    """
    kind = _DATASETS[dataset]
    name = f"{kind.layout_name}_{options.detector}"
    target = out / f"data_2d_{name}.npz"
    check_writable(target)
    raw.check_source(source)
    videos = [
        _Video(path, subject, action, camera)
        for (subject, action), seen in kind.module.find_videos(source, report).items()
        for camera, path in seen.items()
    ]
    detector, sentence = open_detector(replace(options, people=1), choose_device(device)[0])
    with detector:
        report(Setup(f"Detector: {sentence}. {len(videos)} videos."))
        work = _Work(detector, out / f"detections_{name}", report, progress)
        tracks = _tracks(work, videos, kind.skeleton)
    positions = kind.module.place(source, tracks)
    return write_pickled_npz(
        target,
        {KEY_2D: positions, METADATA: metadata(kind.skeleton, kind.layout_name)}
        | mark(f"{dataset} --detector {options.detector}"),
    )


@dataclass(frozen=True)
class _Work:
    """The detector, and where to store its results."""

    detector: Detector
    kept: Path
    """Folder for the joints of each video."""
    report: Report
    progress: Progress

    def poses(self, video: _Video, label: str) -> Pose2D:
        """Detect the joints in a video, or read them if an earlier run stored them.

        Raises:
            VideoError: the video cannot be read.
        """
        file = self.kept / video.subject / f"{video.action}.{video.camera}.2d.npz"
        source = {"name": video.path.name, "bytes": video.path.stat().st_size}
        identity = json.loads(json.dumps({"detector": self.detector.description, "source": source}))
        if (kept := _kept(file, identity)) is not None:
            return kept
        self.detector.reset()
        collector = PoseCollector()
        with VideoReader(video.path) as reader:
            frames = self.progress(reader, reader.expected_frames, label)
            for found in detect_frames(self.detector, frames):
                collector.add(found)
            for warning in reader.warnings:
                self.report(Warn(warning))
            poses = collector.finish(reader.fps, reader.size)
        keypoints_npz.write(poses, file, identity)
        return poses


def _kept(file: Path, identity: Mapping[str, Any]) -> Pose2D | None:
    try:
        poses, meta = keypoints_npz.read(file)
    except KeypointsError:
        return None
    return poses if meta == identity else None


def _tracks(work: _Work, videos: list[_Video], skeleton: Skeleton) -> raw.Tracks:
    """Detect the person in every video.

    Raises:
        DataError: after all videos, if some of them failed.
    """
    tracks: raw.Tracks = {}
    failed: list[str] = []
    for number, video in enumerate(videos, 1):
        try:
            poses = work.poses(video, f"{video.name} ({number}/{len(videos)})")
            track = on_every_frame(one_person(poses, video.path), poses)
        except VideoError as error:
            work.report(Warn(str(error)))
            failed.append(video.name)
            continue
        if skeleton != H36M17:
            track = np.asarray(conversion(H36M17.name, skeleton.name)(track)[0], np.float32)
        tracks.setdefault((video.subject, video.action), []).append(track.astype(np.float32))
    if failed:
        raise DataError(
            f"{len(failed)} of {len(videos)} videos gave no joints ({raw.listed(failed)}); fix "
            f"them and run this again: what was found in the others is kept in {work.kept}."
        )
    return tracks


def one_person(poses: Pose2D, video: Path) -> NDArray[np.float32]:
    """Return the track of the person who is observed most.

    Tracks that overlap with it in time are other people. Tracks that do not are the same person,
    lost and found again.

    Args:
        poses: all people in the video.
        video: path for the error message.

    Returns:
        (T, J, 2) pixels, NaN where unknown.

    Raises:
        NoPersonError: there are no people.
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
    """Interpolate a track over its gaps, and over frames that could not be decoded.

    The dataset's annotations count every frame of the video, so a damaged frame that was skipped
    also needs a row.

    Args:
        track: (T, J, 2), NaN where unknown.
        poses: the poses that the track is from, for the timestamps.

    Returns:
        (frames of the video, J, 2).
    """
    steps = np.maximum(np.rint(np.diff(poses.timestamps) * poses.fps), 1).astype(int)
    rows = np.concatenate([[0], np.cumsum(steps)])
    full = np.full((rows[-1] + 1, *track.shape[1:]), np.nan)
    full[rows] = track
    return fill_missing(full, np.arange(len(full), dtype=np.float64))
