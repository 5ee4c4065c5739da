"""The embedded detector: MediaPipe's BlazePose, with the models that lie in its wheel.

BlazePose works in two stages, and MediaPipe's `PoseLandmarker` task ties them together over the
whole picture. Its first stage sees that picture at 224 x 224 pixels and misses whoever is far
away, so here the two stages are run one by one, as the task's own sub-graphs:

1. A *search* with the pose detector, several times a second, over square tiles of the picture.
2. The *landmarks* of each person in every frame, in the region where the last frame's landmarks
   say the person is. Where they are not, the pose detector takes a second look around. With the
   *flip test* they are found in the mirrored picture, too.

MediaPipe counts from the edge of the picture, in parts of it. Pixels count from the middle of the
first one, here as everywhere: x pixels are (x + 0.5) / width, and back.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from math import ceil, cos, hypot, sin
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple

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

from vidpose.detect.base import (
    DISPUTED_SCORE,
    Detections,
    is_distinct,
    is_plausible,
    pose_sizes,
)
from vidpose.skeleton import BLAZEPOSE33
from vidpose.utils.files import sha256

if TYPE_CHECKING:
    from vidpose.video import Frame

SEARCH_PERIOD_S = 0.2
"""How often newcomers are looked for; nobody is found later than this after coming into view."""
TILE_OVERLAP = 1 / 3
"""Neighbouring tiles share at least this part of their side, so that a person of that width is
whole in one of them."""
MAX_TILES_SIDE_BY_SIDE = 4
"""A picture longer than this many times its width gets larger tiles, to bound the cost."""
SECOND_LOOK = 2.0
"""The second look sees a square this many times as wide as the region a person was lost in."""
LOST_AFTER_S = 0.5
"""For how long a person lost from sight is looked for, from the first frame without them."""
SAME_REGION = 0.25
"""Regions whose middles are closer than this, in sides of the larger, hold the same person."""
DISPUTED = 0.03
"""The looks at the picture and at the mirrored one dispute which side is which if their joints lie
nearer to each other the other way round by this much on average, in body sizes."""
APART = 0.15
"""They have not found the same if their joints lie this far apart on average, body sizes: there is
nobody, or two people, or hardly anything to be seen of one."""
BELOW_THE_HIP = ("knee", "ankle", "heel", "foot_index")
BELOW_THE_SHOULDER = ("elbow", "wrist", "pinky", "index", "thumb")
LEGS, ARMS = (
    [n for n, name in enumerate(BLAZEPOSE33.joint_names) if name.partition("_")[2] in ends]
    for ends in (BELOW_THE_HIP, BELOW_THE_SHOULDER)
)
TRUNK = [n for n in range(len(BLAZEPOSE33)) if n not in LEGS + ARMS]
"""A look takes all of a pair of limbs, or of the body, for the other side's."""

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
    """One look at one person."""

    keypoints: NDArray[np.float32]
    """(33, 2), pixels."""
    scores: NDArray[np.float32]
    """(33,), visibility, 0 to 1; 0 outside the region that was looked at."""
    next_region: Region
    """Where to look for the landmarks in the next frame."""


class _Picture:
    """A frame, for both of MediaPipe's stages."""

    def __init__(self, image: NDArray[np.uint8]) -> None:
        self.image = image
        self.height, self.width = image.shape[:2]

    @cached_property
    def packet(self) -> Any:
        return _packet(self.image)

    @cached_property
    def mirrored(self) -> _Picture:
        return _Picture(self.image[:, ::-1])


class _Person(NamedTuple):
    region: Region
    lost_s: float = np.inf
    """Since when they are looked for in vain."""


class MediaPipeDetector:
    """33 BlazePose joints of up to `num_people` people a frame, on the CPU.

    Joints outside the picture are guessed by the network, with a low score, and left where
    they are. The same frames with the same times give the same detections.

    Args:
        num_people: no more than this many people are followed at a time.
        detection_confidence: 0 to 1, how sure the search must be to take something for a person.
        presence_confidence: 0 to 1, how sure the landmarks must be that a person is there.
        flip_test: find the landmarks in the mirrored picture, too, and take the mean; see
            `both_looks`. Nearly twice the work; the second look has a thread of its own.
    """

    name = "mediapipe"
    skeleton = BLAZEPOSE33

    def __init__(
        self,
        num_people: int = 8,
        detection_confidence: float = 0.5,
        presence_confidence: float = 0.5,
        flip_test: bool = True,
    ) -> None:
        self._num_people = num_people
        self._flip_test = flip_test
        self._people: list[_Person] = []
        self._next_search_s = -np.inf
        folder = Path(mp.__file__).parent
        self.description: dict[str, Any] = {
            "name": self.name,
            "version": mp.__version__,
            "weights": {
                Path(file).name: sha256(folder / file) for file in (DETECTOR_FILE, LANDMARKS_FILE)
            },
            "options": {
                "num_people": num_people,
                "detection_confidence": detection_confidence,
                "presence_confidence": presence_confidence,
                "flip_test": flip_test,
            },
        }
        with _quiet():
            self._finder = _runner(
                "pose_detector.PoseDetectorGraph",
                ["IMAGE:image"],
                ["EXPANDED_POSE_RECTS:regions"],
                PoseDetectorGraphOptions(
                    base_options=_model(folder, DETECTOR_FILE),
                    min_detection_confidence=detection_confidence,
                    min_suppression_threshold=0.5,
                    num_poses=num_people,
                ),
            )
            looks = 2 if flip_test else 1
            self._landmarks = [_landmarks_runner(folder, presence_confidence) for _ in range(looks)]
            # The networks are loaded, and the log lines about it written, at the first use.
            blank = np.zeros((16, 16, 3), np.uint8)
            self._find(blank, Window(0, 0, 16, 16))
            for landmarks in self._landmarks:
                _look_once(landmarks, _Picture(blank), Region(7.5, 7.5, 16, 0))
        self._thread = ThreadPoolExecutor(1, "vidpose-flip-test")

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        """See `Detector.detect`."""
        for frame in frames:
            yield self.detect_image(frame.image, frame.time_s)

    def memory(self) -> Any:
        """See `Detector.memory`."""
        return {
            "people": [[*person.region, person.lost_s] for person in self._people],
            "next_search_s": self._next_search_s,
        }

    def remember(self, memory: Any) -> None:
        """See `Detector.remember`."""
        self._people = [_Person(Region(*region), lost_s) for *region, lost_s in memory["people"]]
        self._next_search_s = memory["next_search_s"]

    def detect_image(self, image: NDArray[np.uint8], time_s: float) -> Detections:
        """The people in the next frame of the video.

        Args:
            image: (H, W, 3) RGB, upright.
            time_s: seconds, rising from call to call.
        """
        picture = _Picture(image)
        looks = [self._follow(picture, person) for person in self._people]
        poses = [pose for pose in looks if pose]
        if time_s >= self._next_search_s:
            self._next_search_s = time_s + SEARCH_PERIOD_S
            poses += self._search(picture, poses)
        found = Detections(
            np.array([pose.keypoints for pose in poses], np.float32).reshape(-1, 33, 2),
            np.array([pose.scores for pose in poses], np.float32).reshape(-1, 33),
            self.skeleton,
        )
        keep = np.flatnonzero(is_plausible(found, picture.width, picture.height))
        keep = keep[is_distinct(found[keep])][: self._num_people]
        self._remember([poses[i] for i in keep], time_s)
        return found[keep]

    def _follow(self, picture: _Picture, person: _Person) -> Pose | None:
        """The known person: where they were, or else near there."""
        if pose := self._look(picture, person.region):
            return pose
        x, y, side, _ = person.region
        longer = max(picture.width, picture.height)
        wide = min(max(ceil(SECOND_LOOK * side), 16), longer)  # never nothing, nor vast
        around = Window(round(x + 0.5 - wide / 2), round(y + 0.5 - wide / 2), wide, wide)
        regions = self._find(picture.image, around)
        if not regions:
            return None
        nearest = min(regions, key=person.region.distance)
        return self._look(picture, nearest)

    def _search(self, picture: _Picture, known: list[Pose]) -> list[Pose]:
        """People in the whole picture that are not among the known ones."""
        taken = [pose.next_region for pose in known]
        poses = []
        for window in windows(picture.width, picture.height):
            for region in self._find(picture.image, window):
                if any(region.distance(other) < SAME_REGION for other in taken):
                    continue
                taken.append(region)
                if pose := self._look(picture, region):
                    poses.append(pose)
        return poses

    def _remember(self, poses: list[Pose], time_s: float) -> None:
        """Where to look in the next frame: at everybody found, and at those just lost."""
        regions = [pose.next_region for pose in poses]
        lost = [
            _Person(person.region, min(person.lost_s, time_s))
            for person in self._people
            if not any(person.region.distance(region) < SAME_REGION for region in regions)
        ]
        self._people = [_Person(region) for region in regions]
        self._people += [person for person in lost if time_s - person.lost_s < LOST_AFTER_S]

    def _find(self, image: NDArray[np.uint8], window: Window) -> list[Region]:
        """Where the pose detector sees people in one window of the picture."""
        packet = self._finder.process({"image": _packet(cut(image, window))})["regions"]
        if packet.is_empty():
            return []
        return [
            Region(
                window.left + rect.x_center * window.width - 0.5,
                window.top + rect.y_center * window.height - 0.5,
                rect.width * window.width,
                rect.rotation,
            )
            for rect in packet_getter.get_proto_list(packet)
        ]

    def _look(self, picture: _Picture, region: Region) -> Pose | None:
        """The landmarks in one region of the picture, if somebody is there."""
        if not self._flip_test:
            return _look_once(self._landmarks[0], picture, region)
        x, y, side, turn = region
        mirrored = Region(picture.width - 1 - x, y, side, -turn)
        # MediaPipe computes in one thread and lets others run meanwhile.
        second = self._thread.submit(_look_once, self._landmarks[1], picture.mirrored, mirrored)
        pose, other = _look_once(self._landmarks[0], picture, region), second.result()
        if pose is None:
            return None
        if other is None:
            return Pose(pose.keypoints, pose.scores / 2, pose.next_region)
        order = BLAZEPOSE33.mirrored
        back = other.keypoints[order]
        back[:, 0] = picture.width - 1 - back[:, 0]
        keypoints, scores = both_looks(pose.keypoints, pose.scores, back, other.scores[order])
        return Pose(keypoints, scores, pose.next_region)

    def close(self) -> None:
        self._thread.shutdown()
        for runner in (self._finder, *self._landmarks):
            runner.close()

    def __enter__(self) -> MediaPipeDetector:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _look_once(landmarks: Any, picture: _Picture, region: Region) -> Pose | None:
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
    out = landmarks.process({"image": picture.packet, "region": square})
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
        Region(
            after.x_center * width - 0.5,
            after.y_center * height - 0.5,
            after.width * width,
            after.rotation,
        ),
    )


def both_looks(
    keypoints: NDArray[np.float32],
    scores: NDArray[np.float32],
    mirrored_keypoints: NDArray[np.float32],
    mirrored_scores: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One pose from the looks at the picture and at the mirrored one: their mean.

    Where they dispute which leg, arm or side of the body is which, a joint is the mean of what
    lies in the same place, named as in the picture, with `DISPUTED_SCORE`. Where they have not
    found the same it is what is in the picture, half as sure.

    Args:
        keypoints, scores: (33, 2) pixels and (33,), from the picture.
        mirrored_keypoints, mirrored_scores: likewise, brought back from the mirrored picture,
            left and right as the person's again.
    """
    size = max(pose_sizes(keypoints[None])[0], 1e-9)
    order = np.arange(len(keypoints))
    for joints in (LEGS, ARMS, TRUNK):
        crossed = BLAZEPOSE33.mirrored[joints]
        same, other = (
            np.linalg.norm(keypoints[joints] - mirrored_keypoints[names], axis=1).mean() / size
            for names in (joints, crossed)
        )
        if same - other > DISPUTED:
            order[joints] = crossed
    there = mirrored_keypoints[order]
    if np.linalg.norm(keypoints - there, axis=1).mean() / size > APART:
        return keypoints, scores / 2
    disputed = order != np.arange(len(order))
    scores = np.where(disputed, DISPUTED_SCORE, (scores + mirrored_scores[order]) / 2)
    return (keypoints + there) / 2, scores


def windows(width: int, height: int) -> list[Window]:
    """What a search looks at: the whole picture, for people close to the camera, and
    overlapping squares that cover it, for those further away.
    """
    whole = Window(0, 0, width, height)
    short, length = sorted((width, height))
    if short == length:
        return [whole]
    side = max(short, ceil(length / MAX_TILES_SIDE_BY_SIDE))
    count = ceil((length - side) / ((1 - TILE_OVERLAP) * side)) + 1
    starts = np.linspace(0, length - side, count).round().astype(int).tolist()
    if width > height:
        return [whole, *(Window(start, 0, side, side) for start in starts)]
    return [whole, *(Window(0, start, side, side) for start in starts)]


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


def _packet(image: NDArray[np.uint8]) -> Any:
    return packet_creator.create_image(
        mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(image))
    )


def _model(folder: Path, file: str) -> Any:
    """One of the wheel's networks, with the metadata that the task needs."""
    mean, deviation = PIXEL_TO_INPUT[file]
    with warnings.catch_warnings():
        # MediaPipe's writer leaves its temporary files to the garbage collector, which minds.
        warnings.simplefilter("ignore", ResourceWarning)
        writer = MetadataWriter.create(bytearray((folder / file).read_bytes()))
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


def _landmarks_runner(folder: Path, presence_confidence: float) -> Any:
    return _runner(
        "pose_landmarker.SinglePoseLandmarksDetectorGraph",
        ["IMAGE:image", "NORM_RECT:region"],
        ["LANDMARKS:landmarks", "POSE_RECT_NEXT_FRAME:next", "PRESENCE:presence"],
        PoseLandmarksDetectorGraphOptions(
            base_options=_model(folder, LANDMARKS_FILE),
            min_detection_confidence=presence_confidence,
        ),
    )


def _runner(graph: str, inputs: list[str], outputs: list[str], options: Any) -> Any:
    task = TaskInfo(f"mediapipe.tasks.vision.{graph}", inputs, outputs, _Options(options))
    return TaskRunner.create(task.generate_graph_config(), None)


NOISE = (
    b"WARNING: All log messages before absl::InitializeLog() is called",
    b"INFO: Created TensorFlow Lite XNNPACK delegate",
    b"I0000 ",
    b"W0000 ",
)
"""How the lines begin that MediaPipe writes to stderr while all is well."""


@contextmanager
def _quiet() -> Iterator[None]:
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
