from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.detect.people import detections, stick
from vidpose import detect
from vidpose.detect import Detections, Detector, open_detector
from vidpose.detect.base import FrameDetections
from vidpose.detect.topdown import (
    FOLLOW_MARGIN,
    FRAMES_AT_ONCE,
    PersonDetector,
    TopDownDetector,
    boxes_around,
    find_poses,
    merge_boxes,
    overlaps,
)
from vidpose.errors import MissingDependencyError, UsageError, WeightsError
from vidpose.options import DetectorOptions
from vidpose.skeleton import COCO17
from vidpose.tracking.collector import PoseCollector
from vidpose.video import Frame

Image = NDArray[np.uint8]
BODY = np.stack(np.meshgrid([-8, -3, 2, 7], [-20, -10, 0, 10]), axis=2).reshape(-1, 2)
"""(16, 2) where a dot person's joints are, pixels around the dot; the 17th is the dot."""


def picture(*dots: tuple[int, int], size: tuple[int, int] = (320, 240)) -> Image:
    """A black picture with bright dots: people as the networks here see them."""
    image = np.zeros((size[1], size[0], 3), np.uint8)
    for x, y in dots:
        image[y - 1 : y + 2, x - 1 : x + 2] = 200
        image[y, x] = 255
    return image


def frames(images: Sequence[Image]) -> list[Frame]:
    return [Frame(i, i / 30, image, 1 / 30) for i, image in enumerate(images)]


class DotNetwork:
    """Finds a person of fixed size at the brightest spot of a crop."""

    name = "dots"
    skeleton = COCO17
    input_size = (48, 64)
    border_rgb = (0, 0, 0)

    def __init__(self) -> None:
        self.description: dict[str, Any] = {"name": self.name, "weights": {}, "options": {}}
        self.batches: list[int] = []

    def affines(self, boxes: NDArray[np.floating]) -> NDArray[np.float64]:
        out = np.zeros((len(boxes), 2, 3))
        out[:, 0, 0] = out[:, 1, 1] = 1
        out[:, :, 2] = np.array(self.input_size) / 2 - (boxes[:, :2] + boxes[:, 2:]) / 2
        return out

    def joints(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self.batches.append(len(crops))
        light = crops.astype(np.float64).sum(axis=3)
        total = light.sum(axis=(1, 2))
        y, x = np.mgrid[: light.shape[1], : light.shape[2]]
        dot = np.stack([(light * x).sum(axis=(1, 2)), (light * y).sum(axis=(1, 2))], axis=1)
        dot /= np.maximum(total, 1)[:, None]
        body = np.concatenate([BODY, np.zeros((1, 2))])
        scores = np.where(total > 255, 0.9, 0.05)[:, None] * np.ones((1, 17))
        return (dot[:, None] + body).astype(np.float32), scores.astype(np.float32)


class DotDetector:
    """Finds boxes around bright dots, left to right."""

    def __init__(self, shift: float = 0) -> None:
        self.description: dict[str, Any] = {"name": "dots"}
        self.batches: list[int] = []
        self.shift = shift

    def people(
        self, images: Sequence[Image]
    ) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        self.batches.append(len(images))
        return [self._find(image) for image in images]

    def _find(self, image: Image) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        y, x = np.nonzero(image[..., 0] == 255)
        order = np.argsort(x)
        boxes = np.column_stack([x - 10, y - 22, x + 10, y + 12])[order]
        found = np.array(boxes, np.float32).reshape(-1, 4) + self.shift
        return found, np.linspace(0.9, 0.5, len(found)).astype(np.float32)


def dots_of(found: Detections) -> list[list[int]]:
    return sorted(found.keypoints[:, 16].round().astype(int).tolist())


def walk(steps: int, size: tuple[int, int] = (320, 240)) -> list[Image]:
    """Two people who go in opposite directions, 3 pixels a frame."""
    return [picture((60 + 3 * t, 60), (270 - 3 * t, 180), size=size) for t in range(steps)]


@pytest.mark.parametrize("detect_every", [1, 3, 8, 100])
def test_everybody_is_found_in_every_frame(detect_every: int) -> None:
    people = DotDetector()
    with TopDownDetector(DotNetwork(), people, detect_every=detect_every) as detector:
        found = list(detector.detect(frames(walk(10))))
    assert [dots_of(some) for some in found] == [
        sorted([[60 + 3 * t, 60], [270 - 3 * t, 180]]) for t in range(10)
    ]
    assert sum(people.batches) == -(-10 // detect_every)


def test_frames_are_processed_in_batches() -> None:
    network, people = DotNetwork(), DotDetector()
    list(TopDownDetector(network, people, detect_every=1).detect(frames(walk(6))))
    assert people.batches == [FRAMES_AT_ONCE, 6 - FRAMES_AT_ONCE]
    assert network.batches == [2 * FRAMES_AT_ONCE, 2 * (6 - FRAMES_AT_ONCE)]


def test_people_of_a_frame_are_one_batch() -> None:
    network = DotNetwork()
    list(TopDownDetector(network, DotDetector(), detect_every=8).detect(frames(walk(6))))
    assert network.batches == [2] * 6


def test_no_more_frames_are_read_ahead_than_one_batch() -> None:
    read = []

    def reading() -> Any:
        for frame in frames(walk(20)):
            read.append(frame.index)
            yield frame

    detector = TopDownDetector(DotNetwork(), DotDetector(), detect_every=1)
    next(detector.detect(reading()))
    assert len(read) == FRAMES_AT_ONCE
    read.clear()
    detector = TopDownDetector(DotNetwork(), DotDetector(), detect_every=8)
    next(detector.detect(reading()))
    assert len(read) == 1


def test_people_who_come_and_go() -> None:
    """A newcomer is found by the next person detection; a person who leaves is dropped at once."""
    here, both = picture((60, 60)), picture((60, 60), (200, 180))
    video = [here, both, both, both, both, here, picture(), both]
    found = TopDownDetector(DotNetwork(), DotDetector(), detect_every=3).detect(frames(video))
    assert [len(some) for some in found] == [1, 1, 1, 2, 2, 1, 0, 0]


@pytest.mark.parametrize("detect_every", [1, 3])
@pytest.mark.parametrize("stop", [1, 3, 4])
def test_its_memory_lets_another_one_go_on(detect_every: int, stop: int) -> None:
    here, both = picture((60, 60)), picture((60, 60), (200, 180))
    video = [here, both, both, both, both, here, picture(), both]

    def fresh() -> TopDownDetector:
        return TopDownDetector(DotNetwork(), DotDetector(), detect_every=detect_every)

    whole = list(fresh().detect(frames(video)))
    first, second = fresh(), fresh()
    found = list(first.detect(frames(video[:stop])))
    second.remember(json.loads(json.dumps(first.memory())))
    found += second.detect(frames(video[stop:]))
    assert len(found) == len(whole)
    for some, same in zip(found, whole, strict=True):
        np.testing.assert_array_equal(some.keypoints, same.keypoints)


def test_one_detector_serves_many_videos() -> None:
    """After `reset`, person detection runs on the first frame and no earlier person is followed."""
    detector = TopDownDetector(DotNetwork(), DotDetector(), detect_every=4)
    there, elsewhere = picture((60, 60)), picture((200, 180))
    assert [len(some) for some in detector.detect(frames([there] * 2))] == [1, 1]
    detector.reset()
    assert [len(some) for some in detector.detect(frames([elsewhere] * 2))] == [1, 1]


def test_a_person_missed_by_person_detection_is_still_followed() -> None:
    class Forgetful(DotDetector):
        def people(self, images: Sequence[Image]) -> Any:
            first = not self.batches
            found = super().people(images)
            return found if first else [(boxes[:1], scores[:1]) for boxes, scores in found]

    detector = TopDownDetector(DotNetwork(), Forgetful(), detect_every=2)
    assert [len(some) for some in detector.detect(frames(walk(7)))] == [2] * 7


def test_a_person_in_the_box_of_someone_who_left_is_another_person() -> None:
    """Between two person detections the box follows one person; another one who steps into it must
    not continue the first track.
    """
    gone_at, x = 15, 60 + 3 * 14
    video = [picture((60 + 3 * t, 60)) for t in range(gone_at)]
    video += [picture((x + 20, 60))] * gone_at
    detector = TopDownDetector(DotNetwork(), DotDetector(), detect_every=100)
    collector = PoseCollector()
    found = list(detector.detect(frames(video)))
    assert [len(some) for some in found] == [1] * len(video)  # the box did find the other one
    for frame, some in zip(frames(video), found, strict=True):
        collector.add(FrameDetections(frame.index, frame.time_s, some))
    people = collector.finish(30.0, (320, 240))
    assert people.people == 2
    assert people.present.tolist() == [
        [t < gone_at for t in range(len(video))],
        [t >= gone_at for t in range(len(video))],
    ]
    steps = np.linalg.norm(np.diff(people.keypoints_2d, axis=1), axis=3)
    assert np.nanmax(steps) < 5


@pytest.mark.parametrize("detect_every", [1, 4])
def test_a_person_found_twice_is_returned_once(detect_every: int) -> None:
    class Twice(DotDetector):
        def people(self, images: Sequence[Image]) -> Any:
            return [
                (np.concatenate([b, b + 4]), np.concatenate([s, s]))
                for b, s in super().people(images)
            ]

    detector = TopDownDetector(DotNetwork(), Twice(), detect_every=detect_every)
    assert [len(some) for some in detector.detect(frames(walk(5)))] == [2] * 5


@pytest.mark.parametrize("detect_every", [1, 2])
def test_no_more_people_than_asked_for(detect_every: int) -> None:
    """People already followed stay, however confident the box of a newcomer."""
    video = [picture((160, 60)), *[picture((160, 60), (60, 60))] * 4]
    detector = TopDownDetector(DotNetwork(), DotDetector(), num_people=1, detect_every=detect_every)
    found = list(detector.detect(frames(video)))
    assert [len(some) for some in found] == [1] * 5
    if detect_every == 2:
        assert [dots_of(some) for some in found] == [[[160, 60]]] * 5


def test_nobody() -> None:
    for every in (1, 8):
        detector = TopDownDetector(DotNetwork(), DotDetector(), detect_every=every)
        assert [len(some) for some in detector.detect(frames([picture()] * 5))] == [0] * 5


def test_a_portrait_video_and_a_tiny_one() -> None:
    detector = TopDownDetector(DotNetwork(), DotDetector())
    tall = list(detector.detect(frames(walk(4, size=(280, 600)))))
    assert [len(some) for some in tall] == [2] * 4
    detector = TopDownDetector(DotNetwork(), DotDetector())
    (found,) = detector.detect(frames([picture((8, 8), size=(16, 16))]))
    assert len(found) == 1


def test_large_batches_are_cut() -> None:
    network = DotNetwork()
    image = picture((60, 60))
    boxes = np.array([[50, 40, 70, 70]] * 20, np.float32)
    nobody = boxes[:0]
    found = find_poses(network, [image, image, image], [boxes, nobody, boxes])
    assert network.batches == [16, 16, 8]
    assert [len(some) for some in found] == [20, 0, 20]
    for n in (0, 2):
        np.testing.assert_allclose(found[n].keypoints[:, 16], np.full((20, 2), 60.0), atol=1e-3)
    assert find_poses(network, [], []) == []


def test_the_next_box_holds_the_confident_joints_and_a_margin() -> None:
    pose = detections([stick(100, 100)])
    pose.keypoints[0, 3], pose.scores[0, 3] = (1000, 1000), 0.1
    pose.keypoints[0, 6], pose.scores[0, 6] = (np.nan, np.nan), 0
    (box,) = boxes_around(pose)
    # Knees at 145, head at 20, wrists at 70 and 130; 125 is the longer side.
    margin = 125 * FOLLOW_MARGIN
    assert box == pytest.approx((70 - margin, 20 - margin, 130 + margin, 145 + margin))
    assert boxes_around(pose[:0]).shape == (0, 4)


def test_boxes_found_replace_those_followed() -> None:
    followed = np.array([[0, 0, 10, 10], [50, 0, 60, 10]], np.float32)
    found = np.array([[100, 0, 110, 10], [1, 1, 11, 11]], np.float32)
    assert merge_boxes(followed, found).tolist() == [
        [1, 1, 11, 11],  # known and found
        [50, 0, 60, 10],  # known and missed
        [100, 0, 110, 10],  # new
    ]
    nobody = np.zeros((0, 4), np.float32)
    assert merge_boxes(nobody, found).tolist() == found.tolist()
    assert merge_boxes(followed, nobody).tolist() == followed.tolist()


def test_overlaps() -> None:
    a = np.array([[0, 0, 10, 10], [0, 0, 0, 0]])
    b = np.array([[5, 0, 15, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(overlaps(a, b), [[1 / 3, 0.0], [0.0, 0.0]])


def test_detect_every_is_checked() -> None:
    with pytest.raises(ValueError, match="1 or more"):
        TopDownDetector(DotNetwork(), DotDetector(), detect_every=0)


# open_detector


def opened(**options: Any) -> tuple[Detector, str]:
    return open_detector(DetectorOptions(**options), torch.device("cpu"))


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The fetched weights, by name; none at first."""
    files: dict[str, Path] = {}
    monkeypatch.setattr(detect, "cached", files.get)
    return files


def test_auto_without_weights_takes_the_embedded_detector(cache: dict[str, Path]) -> None:
    found, sentence = opened()
    with found:
        assert found.name == "mediapipe"
    assert "run `vidpose weights fetch hrnet-w32 rtmdet-m`" in sentence


def test_auto_names_only_what_is_missing(cache: dict[str, Path], hrnet_file: Path) -> None:
    cache["hrnet-w48"] = hrnet_file
    found, sentence = opened()
    with found:
        assert found.name == "mediapipe"
    assert "`vidpose weights fetch rtmdet-m`" in sentence


def test_auto_without_mmpose_takes_the_embedded_detector(
    monkeypatch: pytest.MonkeyPatch, cache: dict[str, Path]
) -> None:
    monkeypatch.setattr(detect, "missing_packages", lambda: ["mmpose"])
    found, sentence = opened()
    with found:
        assert found.name == "mediapipe"
    assert "pip install --no-deps mmcv-lite==2.1.0 mmdet==3.3.0" in sentence


def test_auto_takes_hrnet_where_it_can(
    cache: dict[str, Path], hrnet_file: Path, rtmdet_file: Path, demo_frames: list[Frame]
) -> None:
    cache |= {"hrnet-w32": hrnet_file, "rtmdet-tiny": rtmdet_file}
    found, sentence = opened(people=3, half=False)
    with found:
        assert found.name == "hrnet"
        assert [len(some) <= 3 for some in found.detect(demo_frames)] == [True] * len(demo_frames)
    assert sentence.startswith("HRNet-W32 256x192, hrnet.pth, with people by RTMDet-tiny, ")
    assert "--detector mediapipe" in sentence
    about = json.loads(json.dumps(found.description))
    assert about["options"]["detect_every"] > 1
    assert set(about["person_detector"]["weights"]) == {"rtmdet.pth"}


@pytest.fixture(scope="module")
def demo_frames(pictures: list[Image]) -> list[Frame]:
    return frames(pictures[:2])


@pytest.mark.parametrize("name", ["auto", "hrnet"])
def test_files_on_disk(
    name: str, cache: dict[str, Path], hrnet_file: Path, rtmdet_file: Path
) -> None:
    found, sentence = opened(
        detector=name,
        pose_weights=hrnet_file,
        person_weights=rtmdet_file,
        detect_every=1,
        half=False,
    )
    assert found.name == "hrnet"
    assert "every frame, in float32 (chosen by" in sentence


def test_weights_by_name(cache: dict[str, Path], hrnet_file: Path, rtmdet_file: Path) -> None:
    cache |= {"hrnet-w48": Path("other"), "hrnet-w32": hrnet_file, "rtmdet-m": rtmdet_file}
    found, _ = opened(detector="hrnet", pose_weights="hrnet-w32")
    assert set(found.description["weights"]) == {"hrnet.pth"}


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        (
            "hrnet",
            {},
            "HRNet and RTMDet .* run `vidpose weights fetch hrnet-w32 rtmdet-m`, or .*--po.*--pe",
        ),
        ("hrnet", {"pose_weights": "hrnet-w48"}, "fetch hrnet-w48 rtmdet-m`"),
        ("cpn", {}, "CPN and RTMDet .* run `vidpose weights fetch cpn-r50-256x192 rtmdet-m`"),
        ("cpn", {"pose_weights": "x.pth"}, "of RTMDet .* fetch rtmdet-m`, .*--person-weights"),
    ],
)
def test_missing_weights(
    name: str, given: dict[str, str], message: str, cache: dict[str, Path]
) -> None:
    with pytest.raises(WeightsError, match=message):
        opened(detector=name, **given)


def test_missing_mmpose(monkeypatch: pytest.MonkeyPatch, cache: dict[str, Path]) -> None:
    monkeypatch.setattr("vidpose.detect.mmcv_ops.missing_packages", lambda: ["mmdet"])
    for name in ("hrnet", "cpn"):
        with pytest.raises(MissingDependencyError, match="pip install"):
            opened(detector=name)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"detector": "mediapipe", "detect_every": 2}, "go with --detector hrnet or cpn"),
        ({"detector": "mediapipe", "pose_weights": "x.pth"}, "go with --detector hrnet or cpn"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        opened(**options)


def test_cpn_takes_crops_of_the_size_in_its_name(
    monkeypatch: pytest.MonkeyPatch,
    cache: dict[str, Path],
    rtmdet_file: Path,
) -> None:
    asked: dict[Path, Any] = {}

    def open_cpn(path: Path, **options: Any) -> DotNetwork:
        asked[path] = options
        network = DotNetwork()
        network.description["options"]["precision"] = "float32"
        return network

    monkeypatch.setattr("vidpose.detect.cpn.open_cpn", open_cpn)
    for name in ("CPN50_384x288.pth.tar", "mine.pth"):
        found, _ = opened(detector="cpn", pose_weights=name, person_weights=rtmdet_file)
        assert found.name == "dots"
    assert [options["input_size"] for options in asked.values()] == [(288, 384), (192, 256)]


def test_importing_detection_is_light() -> None:
    code = (
        "import sys, vidpose.detect; print([m for m in ('torch', 'mmpose', 'mmdet', 'mmcv', "
        "'onnxruntime', 'cv2') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_fakes_keep_the_protocol() -> None:
    detector: PersonDetector = DotDetector()
    TopDownDetector(DotNetwork(), detector)


@pytest.mark.parametrize("detect_every", [1, 2])
def test_a_gpu_that_is_too_small_gets_less_at_once(detect_every: int) -> None:
    class SmallNetwork(DotNetwork):
        def joints(self, crops: NDArray[np.uint8]) -> Any:
            if len(crops) > 2:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return super().joints(crops)

    class SmallDetector(DotDetector):
        def people(self, images: Sequence[Image]) -> Any:
            if len(images) > 1:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            return super().people(images)

    images = [picture((60 + 4 * n, 90), (160, 120 + n), (250, 150)) for n in range(6)]
    found = []
    for network, people in ((DotNetwork(), DotDetector()), (SmallNetwork(), SmallDetector())):
        with TopDownDetector(network, people, detect_every=detect_every) as detector:
            found.append(list(detector.detect(frames(images))))
    for whole, parts in zip(*found, strict=True):
        np.testing.assert_array_equal(parts.keypoints, whole.keypoints)
    notes = " ".join(detector.notes)
    assert "person crops were then computed " in notes
    assert ("frames for person detection were then computed 1 at" in notes) == (detect_every == 1)
