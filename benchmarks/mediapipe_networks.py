"""BlazePose as run by the package mediapipe 0.10.21, for comparison; see benchmarks/blazepose.py.

Its `PoseLandmarker` task accepts only whole images, so this runs its two stages separately.
MediaPipe's coordinates are fractions of the image from its edge; vidpose's origin is the middle of
the first pixel. So x pixels are (x + 0.5) / width.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from math import ceil, cos, sin
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

from vidpose.detect.blazepose_network import CIRCLE, HIP, JOINTS, Landmarks
from vidpose.detect.blazepose_regions import MARGIN, Region
from vidpose.utils.files import sha256

FOLDER = Path(mp.__file__).parent / "modules"
DETECTOR_FILE = FOLDER / "pose_detection" / "pose_detection.tflite"
LANDMARKS_FILE = FOLDER / "pose_landmark" / "pose_landmark_full.tflite"
PIXEL_TO_INPUT = {DETECTOR_FILE: (127.5, 127.5), LANDMARKS_FILE: (0.0, 255.0)}
"""Mean and standard deviation for each network's input range: -1 to 1 and 0 to 1."""

_Found = tuple[NDArray[np.float64], NDArray[np.float32], float]
"""Points and visibility as in `Landmarks`, and 1 or 0 for presence."""


class MediaPipeNetworks:
    """See `vidpose.detect.blazepose_network.Networks`; the mirrored image has its own thread."""

    def __init__(self, num_people: int = 8, min_confidence: float = 0.5) -> None:
        self.mixed = False
        self.description: dict[str, Any] = {
            "runtime": f"mediapipe {mp.__version__}",
            "weights": {path.name: sha256(path) for path in PIXEL_TO_INPUT},
        }
        self._min_confidence = min_confidence
        self._finder = _runner(
            "pose_detector.PoseDetectorGraph",
            ["IMAGE:image"],
            ["EXPANDED_POSE_RECTS:regions"],
            PoseDetectorGraphOptions(
                base_options=_model(DETECTOR_FILE),
                min_detection_confidence=min_confidence,
                min_suppression_threshold=0.5,
                num_poses=num_people,
            ),
        )
        self._landmarkers = [
            _runner(
                "pose_landmarker.SinglePoseLandmarksDetectorGraph",
                ["IMAGE:image", "NORM_RECT:region"],
                ["LANDMARKS:landmarks", "POSE_RECT_NEXT_FRAME:next", "PRESENCE:presence"],
                PoseLandmarksDetectorGraphOptions(
                    base_options=_model(LANDMARKS_FILE), min_detection_confidence=min_confidence
                ),
            )
            for _ in range(2)
        ]
        self._thread = ThreadPoolExecutor(1)

    def find(
        self, image: NDArray[np.uint8], windows: list[Region], min_confidence: float
    ) -> list[list[Region]]:
        """See `Networks.find`."""
        if min_confidence != self._min_confidence:
            raise ValueError("MediaPipe needs the minimum confidence when it is created")
        return [self._find(image, window) for window in windows]

    def _find(self, image: NDArray[np.uint8], window: Region) -> list[Region]:
        left, top, width, height = _cut(window, image.shape[1], image.shape[0])
        part = np.zeros((height, width, 3), np.uint8)
        x0, x1 = np.clip((left, left + width), 0, image.shape[1])
        y0, y1 = np.clip((top, top + height), 0, image.shape[0])
        part[y0 - top : y1 - top, x0 - left : x1 - left] = image[y0:y1, x0:x1]
        packet = self._finder.process({"image": _packet(part)})["regions"]
        if packet.is_empty():
            return []
        return [
            Region(
                left + rect.x_center * width - 0.5,
                top + rect.y_center * height - 0.5,
                rect.width * width,
                rect.rotation,
            )
            for rect in packet_getter.get_proto_list(packet)
        ]

    def landmarks(
        self, image: NDArray[np.uint8], regions: list[Region], *, mirrored: bool, accurate: bool
    ) -> Landmarks:
        """See `Networks.landmarks`."""
        height, width = image.shape[:2]
        second: list[Any] = []
        if mirrored:
            mirror = _packet(image[:, ::-1])
            other = [Region(width - 1 - x, y, side, -turn) for x, y, side, turn in regions]
            second = [
                self._thread.submit(_landmarks, self._landmarkers[1], mirror, width, height, region)
                for region in other
            ]
        packet = _packet(image)
        found = [
            _landmarks(self._landmarkers[0], packet, width, height, region) for region in regions
        ]
        points, visibility, presence = zip(
            *found, *(later.result() for later in second), strict=True
        )
        return Landmarks(np.array(points), np.array(visibility), np.array(presence, np.float32))


def _cut(window: Region, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, width and height in whole pixels.

    A window around the whole image is cut to the image; MediaPipe pads it to a square itself.
    """
    if window.side == max(width, height) and window[:2] == ((width - 1) / 2, (height - 1) / 2):
        return 0, 0, width, height
    side = ceil(window.side)
    return round(window.x + 0.5 - side / 2), round(window.y + 0.5 - side / 2), side, side


def _landmarks(runner: Any, packet: Any, width: int, height: int, region: Region) -> _Found:
    rect = NormalizedRect(
        x_center=(region.x + 0.5) / width,
        y_center=(region.y + 0.5) / height,
        width=region.side / width,
        height=region.side / height,
        rotation=region.turn,
    )
    out = runner.process({"image": packet, "region": packet_creator.create_proto(rect)})
    if out["landmarks"].is_empty() or not packet_getter.get_bool(out["presence"]):
        return np.zeros((CIRCLE + 1, 2)), np.zeros(JOINTS, np.float32), 0.0
    marks = packet_getter.get_proto(out["landmarks"]).landmark
    after = packet_getter.get_proto(out["next"])
    points = np.empty((CIRCLE + 1, 2))
    points[:JOINTS] = [(mark.x * width - 0.5, mark.y * height - 0.5) for mark in marks]
    points[HIP] = after.x_center * width - 0.5, after.y_center * height - 0.5
    radius = after.width * width / 2 / MARGIN
    points[CIRCLE] = points[HIP] + radius * np.array([sin(after.rotation), -cos(after.rotation)])
    visibility = np.array([mark.visibility for mark in marks], np.float32)
    return region.to_square(points), visibility, 1.0


def _packet(image: NDArray[np.uint8]) -> Any:
    return packet_creator.create_image(
        mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image))
    )


def _model(file: Path) -> Any:
    """Add the metadata that MediaPipe's task needs to one of the package's networks."""
    mean, deviation = PIXEL_TO_INPUT[file]
    with warnings.catch_warnings():
        # MediaPipe's writer leaves its temporary files to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        writer = MetadataWriter.create(bytearray(file.read_bytes()))
        writer.add_general_info(file.stem, "")
        writer.add_image_input([mean], [deviation])
        model, _ = writer.populate()
        del writer
    return BaseOptions(model_asset_buffer=bytes(model)).to_pb2()


class _Options(NamedTuple):
    """A wrapper of options as `TaskInfo` expects it."""

    options: Any

    def to_pb2(self) -> Any:
        return self.options


def _runner(graph: str, inputs: list[str], outputs: list[str], options: Any) -> Any:
    task = TaskInfo(f"mediapipe.tasks.vision.{graph}", inputs, outputs, _Options(options))
    return TaskRunner.create(task.generate_graph_config(), None)
