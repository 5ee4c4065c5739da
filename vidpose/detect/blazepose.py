"""BlazePose's two networks, which lie in MediaPipe's wheel, each by itself.

MediaPipe's `PoseLandmarker` task ties them together over the whole picture; here they run one by
one, as the task's own sub-graphs. Both treat every picture by itself.

MediaPipe counts from the edge of the picture, in parts of it. Pixels count from the middle of the
first one, here as everywhere: x pixels are (x + 0.5) / width, and back.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from math import cos, hypot, sin
from pathlib import Path
from typing import Any, NamedTuple

import mediapipe as mp
import numpy as np
from mediapipe.framework.formats.rect_pb2 import NormalizedRect
from mediapipe.python import packet_creator, packet_getter
from mediapipe.python._framework_bindings.task_runner import TaskRunner
from mediapipe.tasks.cc.vision.pose_detector.proto.pose_detector_graph_options_pb2 import (
    PoseDetectorGraphOptions,
)
from mediapipe.tasks.cc.vision.pose_landmarker.proto.pose_landmarks_detector_graph_options_pb2 import (  # noqa: E501
    PoseLandmarksDetectorGraphOptions,
)
from mediapipe.tasks.python.core.base_options import BaseOptions
from mediapipe.tasks.python.core.task_info import TaskInfo
from mediapipe.tasks.python.metadata.metadata_writers.metadata_writer import MetadataWriter
from numpy.typing import NDArray

from vidpose.utils.files import sha256

FOLDER = Path(mp.__file__).parent
VERSION: str = mp.__version__
DETECTOR_FILE = "modules/pose_detection/pose_detection.tflite"
LANDMARKS_FILE = "modules/pose_landmark/pose_landmark_full.tflite"
PIXEL_TO_INPUT = {DETECTOR_FILE: (127.5, 127.5), LANDMARKS_FILE: (0.0, 255.0)}
"""Mean and standard deviation that bring a pixel to what each network was trained on: -1 to 1
and 0 to 1. The wheel's files do not say; the task wants it from their metadata."""


class Window(NamedTuple):
    """A part of the picture, pixels; it may reach outside."""

    left: int
    top: int
    width: int
    height: int


class Region(NamedTuple):
    """A square in the picture, pixels; BlazePose's networks look at such squares."""

    x: float
    y: float
    """Its middle."""
    side: float
    turn: float
    """Radians, clockwise: the person's upright is the square's."""

    def distance(self, other: Region) -> float:
        """Between the middles, in sides of the larger."""
        return hypot(self.x - other.x, self.y - other.y) / max(self.side, other.side, 1e-9)

    def contains(self, points: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
        """(J,) which of the points (J, 2), pixels, lie in the square."""
        c, s = cos(self.turn), sin(self.turn)
        own = (points - (self.x, self.y)) @ np.array([[c, -s], [s, c]])
        return np.asarray((np.abs(own) <= self.side / 2).all(axis=1))


@dataclass(frozen=True, eq=False)
class Pose:
    """The landmarks of one person."""

    keypoints: NDArray[np.float32]
    """(33, 2), pixels."""
    scores: NDArray[np.float32]
    """(33,), visibility, 0 to 1; 0 outside the region of the network."""
    next_region: Region
    """Where to look for the landmarks in the next frame."""
    disputed: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(33, bool))
    """(33,), see `Detections.disputed`."""


class Picture:
    """A frame; MediaPipe's copy of it, and of the mirrored one, are made once."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.image = image
        self.height, self.width = image.shape[:2]

    @cached_property
    def packet(self) -> Any:
        return _packet(self.image)

    @cached_property
    def mirrored(self) -> Picture:
        return Picture(self.image[:, ::-1])


class _Graph:
    """One of MediaPipe's graphs, run on one picture at a time."""

    def __init__(self, name: str, inputs: list[str], outputs: list[str], options: Any) -> None:
        task = TaskInfo(f"mediapipe.tasks.vision.{name}", inputs, outputs, _Options(options))
        self._graph = TaskRunner.create(task.generate_graph_config(), None)

    def close(self) -> None:
        self._graph.close()


class PersonNetwork(_Graph):
    """BlazePose's first stage: where people are.

    Args:
        num_people: no more than this many are found in one window.
        confidence: 0 to 1, how sure it must be to take something for a person.
    """

    def __init__(self, num_people: int, confidence: float) -> None:
        super().__init__(
            "pose_detector.PoseDetectorGraph",
            ["IMAGE:image"],
            ["EXPANDED_POSE_RECTS:regions"],
            PoseDetectorGraphOptions(
                base_options=_model(DETECTOR_FILE),
                min_detection_confidence=confidence,
                min_suppression_threshold=0.5,
                num_poses=num_people,
            ),
        )

    def __call__(self, image: NDArray[np.uint8], window: Window) -> list[Region]:
        """The people in one window of an image (H, W, 3)."""
        packet = self._graph.process({"image": _packet(cut(image, window))})["regions"]
        rects = [] if packet.is_empty() else packet_getter.get_proto_list(packet)
        return [_region(rect, window) for rect in rects]


class LandmarkNetwork(_Graph):
    """BlazePose's second stage: the landmarks of one person.

    Args:
        confidence: 0 to 1, how sure it must be that a person is there.
    """

    def __init__(self, confidence: float) -> None:
        super().__init__(
            "pose_landmarker.SinglePoseLandmarksDetectorGraph",
            ["IMAGE:image", "NORM_RECT:region"],
            ["LANDMARKS:landmarks", "POSE_RECT_NEXT_FRAME:next", "PRESENCE:presence"],
            PoseLandmarksDetectorGraphOptions(
                base_options=_model(LANDMARKS_FILE), min_detection_confidence=confidence
            ),
        )

    def __call__(self, picture: Picture, region: Region) -> Pose | None:
        """The landmarks in one region of the picture, if somebody is there."""
        width, height = picture.width, picture.height
        rect = NormalizedRect(
            x_center=(region.x + 0.5) / width,
            y_center=(region.y + 0.5) / height,
            width=region.side / width,
            height=region.side / height,
            rotation=region.turn,
        )
        square = packet_creator.create_proto(rect)
        out = self._graph.process({"image": picture.packet, "region": square})
        if out["landmarks"].is_empty() or not packet_getter.get_bool(out["presence"]):
            return None
        marks = packet_getter.get_proto(out["landmarks"]).landmark
        after = packet_getter.get_proto(out["next"])
        keypoints = np.array(
            [(mark.x * width - 0.5, mark.y * height - 0.5) for mark in marks], np.float32
        )
        visibility = np.array([mark.visibility for mark in marks], np.float32)
        return Pose(
            keypoints,
            # The network cannot see beyond its square, though it likes to guess.
            np.where(region.contains(keypoints), visibility, np.float32(0)),
            _region(after, Window(0, 0, width, height)),
        )


def weights() -> dict[str, str]:
    """The SHA-256 of each network's file, by its name."""
    files = (FOLDER / DETECTOR_FILE, FOLDER / LANDMARKS_FILE)
    return {file.name: sha256(file) for file in files}


def cut(image: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """The window (height, width, 3) of an image (H, W, 3), black where it reaches outside."""
    left, top, width, height = window
    x0, x1 = np.clip((left, left + width), 0, image.shape[1])
    y0, y1 = np.clip((top, top + height), 0, image.shape[0])
    if (x1 - x0, y1 - y0) == (width, height):
        return image[y0:y1, x0:x1]
    out = np.zeros((height, width, 3), np.uint8)
    out[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
    return out


def _region(rect: Any, window: Window) -> Region:
    """From parts of a window to pixels of the picture."""
    return Region(
        window.left + rect.x_center * window.width - 0.5,
        window.top + rect.y_center * window.height - 0.5,
        rect.width * window.width,
        rect.rotation,
    )


def _packet(image: NDArray[np.uint8]) -> Any:
    return packet_creator.create_image(
        mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image))
    )


def _model(file: str) -> Any:
    """One of the wheel's networks, with the metadata that the task needs."""
    mean, deviation = PIXEL_TO_INPUT[file]
    with warnings.catch_warnings():
        # MediaPipe's writer leaves its temporary files to the garbage collector, which minds.
        warnings.simplefilter("ignore", ResourceWarning)
        writer = MetadataWriter.create(bytearray((FOLDER / file).read_bytes()))
        writer.add_general_info(Path(file).stem, "")
        writer.add_image_input([mean], [deviation])
        model, _ = writer.populate()
        del writer
    return BaseOptions(model_asset_buffer=bytes(model)).to_pb2()


class _Options(NamedTuple):
    """What `TaskInfo` wants its options wrapped in."""

    options: Any

    def to_pb2(self) -> Any:
        return self.options


NOISE = (
    b"WARNING: All log messages before absl::InitializeLog() is called",
    b"INFO: Created TensorFlow Lite XNNPACK delegate",
    b"I0000 ",
    b"W0000 ",
)
"""How the lines begin that MediaPipe writes to stderr while all is well."""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep MediaPipe's start-up chatter off stderr.

    It comes from C++, before any log level can be set. Only lines known as harmless are
    dropped; what else was written meanwhile comes out when the block ends.
    """
    sys.stderr.flush()
    try:
        stderr = os.dup(2)
    except OSError:  # there is no stderr to keep clean
        yield
        return
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            captured.seek(0)
            for line in captured:
                if not line.startswith(NOISE):
                    os.write(2, line)
