"""The embedded detector's joints in real videos, and their triangulation by calibrated cameras.

World frame: the calibration's, metres. The origin of pixel coordinates is the middle of the first
pixel.
"""

from __future__ import annotations

import argparse
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from vidpose.detect.base import FrameDetections
from vidpose.detect.blazepose import BlazePoseDetector
from vidpose.detect.blazepose_network import DEFAULT_SIZE, Networks
from vidpose.options import DetectorOptions, options_of
from vidpose.poses import Pose2D
from vidpose.skeleton import H36M17
from vidpose.tracking.collector import PoseCollector
from vidpose.tracking.tracker import Tracker
from vidpose.video import VideoReader

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Track:
    """One person as detected, before any correction."""

    joints: Floats
    """(N, 17, 2), h36m17, pixels."""
    scores: Floats
    """(N, 17)"""
    rows: NDArray[np.intp]
    """(N,) frames of the video."""
    times: Floats
    """(N,) seconds."""


@dataclass(frozen=True, kw_only=True)
class Detected:
    """The people of a video as detected, and as given to the lifter."""

    raw: list[Track]
    poses: Pose2D


def detect(
    video: Path,
    end_s: float | None = None,
    *,
    size: str = DEFAULT_SIZE,
    flip_test: bool = False,
    networks: Networks | None = None,
) -> Detected:
    """Detect and track the people in a video up to `end_s` as `vidpose infer` does."""
    tracker, collector = Tracker(), PoseCollector()
    found: dict[int, list[tuple[int, float, NDArray[np.floating], NDArray[np.floating]]]] = {}
    opened = BlazePoseDetector(size=size, flip_test=flip_test, networks=networks)
    with VideoReader(video, end_s=end_s) as reader, opened as detector:
        for row, frame in enumerate(reader):
            people = detector.detect_image(frame.image, frame.time_s)
            joints = people.converted(H36M17)
            for n, person in enumerate(tracker.update(people, frame.time_s)):
                one = (row, frame.time_s, joints.keypoints[n], joints.scores[n])
                found.setdefault(person, []).append(one)
            collector.add(FrameDetections(frame.index, frame.time_s, people))
        poses = collector.finish(reader.fps, reader.size)
    raw = []
    for sequence in found.values():
        rows, times, xy, scores = (np.array(part) for part in zip(*sequence, strict=True))
        raw.append(Track(joints=xy.astype(np.float64), scores=scores, rows=rows, times=times))
    return Detected(raw=raw, poses=poses)


def add_options(parser: argparse.ArgumentParser, out: str) -> None:
    """Add the options of the benchmarks on real videos: output file and detector settings."""
    parser.add_argument("-o", "--out", type=Path, default=Path(out))
    about = options_of(DetectorOptions)["detector_size"]
    parser.add_argument(
        "--size", choices=about.choices, default=DEFAULT_SIZE, help="of the landmark network"
    )
    parser.add_argument(
        "--flip-test",
        action="store_true",
        help="average the detector's joints with those of the mirrored image",
    )


def sizes(joints: Floats) -> Floats:
    """(..., J, 2) -> (...): the mean distance of the joints from the hip."""
    away = np.linalg.norm(joints - joints[..., :1, :], axis=-1)
    return np.asarray(np.nansum(away, axis=-1) / np.isfinite(away).sum(axis=-1).clip(1))


@dataclass(frozen=True, kw_only=True)
class Calibrated:
    """A still camera with OpenCV's lens model; x right, y down, z away from it."""

    matrix: Floats
    """(3, 3) focal lengths and principal point, pixels."""
    lens: Floats
    """(4,) k1, k2, p1, p2."""
    rotation: Floats
    """(3, 3) world to camera."""
    position: Floats
    """(3,) metres, world."""

    def rays(self, pixels: Floats) -> Floats:
        """(..., 2) pixels -> undistorted rays at depth 1."""
        flat = np.ascontiguousarray(pixels.reshape(-1, 1, 2), np.float64)
        rays = cv2.undistortPoints(flat, self.matrix, self.lens)
        return np.asarray(rays, np.float64).reshape(pixels.shape)

    def camera(self, points: Floats) -> Floats:
        """(..., 3) world -> camera frame."""
        return np.asarray((points - self.position) @ self.rotation.T)

    @property
    def focal_px(self) -> float:
        return float(self.matrix[0, 0])


def read_qualisys(path: Path) -> list[Calibrated]:
    """Read the cameras of a Qualisys calibration (units 1/64 pixel and millimetres)."""
    cameras = []
    for element in ElementTree.parse(path).iter("camera"):
        transform, intrinsic = element.find("transform"), element.find("intrinsic")
        assert transform is not None
        assert intrinsic is not None
        inside = {key: float(value) for key, value in intrinsic.attrib.items()}
        outside = {key: float(value) for key, value in transform.attrib.items()}
        turn = np.array([[outside[f"r{i}{j}"] for j in (1, 2, 3)] for i in (1, 2, 3)])
        matrix = np.eye(3)
        matrix[0, 0], matrix[1, 1] = inside["focalLengthU"] / 64, inside["focalLengthV"] / 64
        matrix[0, 2], matrix[1, 2] = inside["centerPointU"] / 64, inside["centerPointV"] / 64
        lens = [inside[f"radialDistortion{i}"] for i in (1, 2)]
        lens += [inside[f"tangentalDistortion{i}"] for i in (1, 2)]
        cameras.append(
            Calibrated(
                matrix=matrix,
                lens=np.array(lens),
                rotation=np.diag([1.0, -1.0, -1.0]) @ turn,  # its axes: right, up, backwards
                position=np.array([outside[axis] for axis in "xyz"]) / 1000,
            )
        )
    return cameras


ROUNDS = 4
AGREES = 0.02
"""A camera agrees with a point this close to its ray, at depth 1; about 33 pixels here."""


@dataclass(frozen=True, kw_only=True)
class Truth:
    """One person, triangulated from several cameras."""

    joints: Floats
    """(T, 17, 3) metres, world; NaN where fewer than three cameras agree."""
    off: Floats
    """(C, T, 17, 2) error of each camera's detection, at depth 1."""
    agree: NDArray[np.bool_]
    """(C, T, 17) whether a camera agrees with the triangulated joint."""
    shifts: Floats
    """(C, 2), subtracted from each camera's rays."""


def triangulate_person(cameras: Sequence[Calibrated], rays: Floats) -> Truth:
    """Triangulate a person, and estimate each camera's constant shift.

    The videos of the four cameras were cropped to another width than in the calibration. An error
    shared by all joints and frames of a camera does not come from the detector, so the median
    residual of each camera is subtracted from its rays, in a few iterations.

    Args:
        cameras: C of them.
        rays: (C, T, 17, 2), NaN where a joint is missing.
    """
    shifts = np.zeros((len(cameras), 1, 1, 2))
    for _ in range(ROUNDS):
        joints, agree = triangulate(cameras, rays - shifts)
        seen = np.stack([camera.camera(joints) for camera in cameras])
        off = rays - shifts - seen[..., :2] / seen[..., 2:]
        found = Truth(joints=joints, off=off, agree=agree, shifts=shifts[:, 0, 0])
        shifts = shifts + np.nanmedian(off, axis=(1, 2))[:, None, None]
    return found


def triangulate(cameras: Sequence[Calibrated], rays: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Triangulate the points that most cameras agree on; ignore the other cameras.

    Args:
        cameras: C of them.
        rays: (C, ..., 2), NaN where a camera does not see the point.

    Returns:
        (..., 3) metres, world, NaN where fewer than three cameras agree; and (C, ...), whether a
        camera agrees. Each pair of cameras gives a candidate; the one with the most, then closest,
        agreeing cameras selects the cameras for the final point.
    """
    count, shape = len(cameras), rays.shape[1:-1]
    flat = rays.reshape(count, -1, 2)
    best = np.full(flat.shape[1], np.inf)
    agree = np.zeros(flat.shape[:2], bool)
    for pair in combinations(range(count), 2):
        chosen = np.zeros_like(agree)
        chosen[list(pair)] = True
        off = _off(cameras, _solve(cameras, flat, chosen), flat)
        near = off < AGREES
        cost = np.where(near, off / AGREES, 1).sum(axis=0)
        better = cost < best
        best[better], agree[:, better] = cost[better], near[:, better]
    points = _solve(cameras, flat, agree)
    points[agree.sum(axis=0) < 3] = np.nan
    return points.reshape(*shape, 3), agree.reshape(count, *shape)


def _solve(cameras: Sequence[Calibrated], rays: Floats, chosen: NDArray[np.bool_]) -> Floats:
    """(N, 3) least-squares points for the chosen rays, all with the same weight."""
    rows = []
    for camera, seen, use in zip(cameras, rays, chosen, strict=True):
        projection = np.column_stack([camera.rotation, -camera.rotation @ camera.position])
        for axis in (0, 1):
            row = seen[:, axis, None] * projection[2] - projection[axis]
            rows.append(np.where(use[:, None], np.nan_to_num(row), 0))
    vt = np.linalg.svd(np.stack(rows, axis=1))[2]
    return np.asarray(vt[:, -1, :3] / vt[:, -1, 3:])


def _off(cameras: Sequence[Calibrated], points: Floats, rays: Floats) -> Floats:
    """(C, N) distance of each camera's ray from a point, at depth 1; infinite without one."""
    off = []
    for camera, seen in zip(cameras, rays, strict=True):
        at = camera.camera(points)
        away = np.linalg.norm(at[:, :2] / at[:, 2:] - seen, axis=-1)
        off.append(np.where(np.isfinite(away) & (at[:, 2] > 0), away, np.inf))
    return np.stack(off)
