"""Moving people, and the poses collected from them, for tests of tracking."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.detect.people import detections, stick
from vidpose.detect.base import Detections, FrameDetections
from vidpose.poses import Pose2D
from vidpose.skeleton import H36M17
from vidpose.tracking.collector import PoseCollector

Pose = NDArray[np.float32]
People = Sequence[Pose | None]
Scene = Callable[[float], People]
"""The people at a time in seconds, None where one is hidden."""

LEGS, ARMS = ("Hip", "Knee", "Foot"), ("Shoulder", "Elbow", "Wrist")
FPS = [10, 30, 120]


def times_at(fps: float, seconds: float = 2.0) -> NDArray[np.float64]:
    return np.arange(round(seconds * fps)) / fps


def collect(scene: Scene, times: NDArray[np.float64], longest: int | None = None) -> Pose2D:
    collector = PoseCollector()
    for index, time in enumerate(times):
        poses = [pose for pose in scene(time) if pose is not None]
        collector.add(FrameDetections(index, time, detections(poses)))
    return collector.finish(30.0, (640, 480), longest)


def joints_of(joints: Sequence[str]) -> list[int]:
    """Positions in h36m17, of both sides."""
    return [H36M17.index(side + joint) for side in "LR" for joint in joints]


def add(
    collector: PoseCollector,
    index: int,
    time: float,
    pose: Pose,
    scores: NDArray[np.float32] | None = None,
    disputed: Sequence[int] = (),
) -> None:
    """One frame with one person."""
    scores = np.full(17, 0.9, np.float32) if scores is None else scores
    mask = np.isin(np.arange(17), disputed)
    found = Detections(pose[None], scores[None], H36M17, mask[None])
    collector.add(FrameDetections(index, time, found))


def exchanged(pose: Pose, joints: Sequence[str]) -> Pose:
    pose = pose.copy()
    for joint in joints:
        sides = [H36M17.index(f"{side}{joint}") for side in "LR"]
        pose[sides] = pose[sides[::-1]]
    return pose


def running(time: float, strides_hz: float = 1.5) -> Pose:
    """From the side, knees and elbows bent, a body height in 0.3 s."""
    pose, phase = stick(100 + 600 * time), 2 * np.pi * strides_hz * time
    swing = {"L": 0.8 * np.sin(phase), "R": -0.8 * np.sin(phase)}
    fold = {"L": 0.6 + 0.6 * np.cos(phase), "R": 0.6 - 0.6 * np.cos(phase)}
    for side, thigh in swing.items():
        hip, knee, foot, shoulder, elbow, wrist = (H36M17.index(side + j) for j in LEGS + ARMS)
        pose[hip, 0], pose[shoulder, 0] = pose[0, 0], pose[8, 0]
        for start, end, length, angle in (
            (hip, knee, 45, thigh),
            (knee, foot, 45, thigh - fold[side]),
            (shoulder, elbow, 30, -thigh),
            (elbow, wrist, 28, 1.4 - thigh),
        ):
            pose[end] = pose[start] + length * np.array([np.sin(angle), np.cos(angle)])
    return pose


def striding(time: float) -> Pose:
    """From the side, both feet on the ground and far apart, arms likewise."""
    return np.asarray(running(1 / 6) + np.array([100 * time, 0]), np.float32)


def kicking(time: float) -> Pose:
    """Up to the height of the head and back in half a second, the foot at 10 m/s."""
    pose = stick(300)
    angle = 2.2 * np.sin(np.pi * np.clip((time - 0.7) / 0.5, 0, 1)) ** 2
    for joint, radius in ((H36M17.index("RKnee"), 45), (H36M17.index("RFoot"), 90)):
        pose[joint] = pose[1] + radius * np.array([-np.sin(angle), np.cos(angle)])
    return pose


def somersault(time: float) -> Pose:
    """Once round in 0.6 s."""
    angle = 2 * np.pi * np.clip((time - 0.7) / 0.6, 0, 1)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return ((stick(0, 0) @ turn) + (300, 300)).astype(np.float32)


def waving(time: float) -> Pose:
    """Both hands, against each other, three times a second."""
    pose = stick(300)
    for side, sign in (("L", 1), ("R", -1)):
        pose[H36M17.index(f"{side}Wrist"), 1] += sign * 25 * np.sin(6 * np.pi * time)
    return pose


def facing(time: float) -> Pose:
    """From the front: left and right 20 to 60 pixels apart."""
    pose = stick(300)
    for joint, apart in zip(LEGS + ARMS, (20, 25, 30, 40, 50, 60), strict=True):
        for side, sign in (("L", 1), ("R", -1)):
            pose[H36M17.index(side + joint), 0] += sign * apart / 2
    return pose + np.array([20 * time, 0], np.float32)


def truth(motion: Callable[[float], Pose], times: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.array([motion(time) for time in times])
