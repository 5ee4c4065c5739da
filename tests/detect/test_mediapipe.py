from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mediapipe.framework.formats.landmark_pb2 import NormalizedLandmark, NormalizedLandmarkList
from mediapipe.python import packet_creator, packet_getter
from numpy.typing import NDArray

from vidpose.detect import Detections, open_detector
from vidpose.detect.base import FrameDetections
from vidpose.detect.blazepose import Picture, Pose, Region, Window, cut, quiet
from vidpose.detect.mediapipe import (
    ARMS,
    DISPUTED_SCORE,
    LEGS,
    TRUNK,
    MediaPipeDetector,
    merge_flipped,
    windows,
)
from vidpose.options import DetectorOptions
from vidpose.skeleton import BLAZEPOSE33, H36M17
from vidpose.tracking.collector import PoseCollector
from vidpose.video import Frame, VideoReader

START_S = 2.0


@pytest.fixture
def detector() -> Iterator[MediaPipeDetector]:
    with MediaPipeDetector() as detector:
        yield detector


@pytest.fixture(scope="module")
def frames(demo_video: Path) -> list[Frame]:
    """A quarter of a second with both people in it."""
    with VideoReader(demo_video, start_s=START_S, end_s=START_S + 0.25) as video:
        return list(video)


def hips(keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N, 2) the middle of the hips."""
    sides = [BLAZEPOSE33.index("left_hip"), BLAZEPOSE33.index("right_hip")]
    return np.asarray(keypoints[:, sides].mean(axis=1))


def test_both_people_are_found_in_every_frame(
    detector: MediaPipeDetector, frames: list[Frame]
) -> None:
    """The man stands on the box on the left, the woman walks on the grass on the right."""
    for found in detector.detect(frames):
        assert len(found) == 2
        man, woman = sorted(hips(found.keypoints).tolist())
        assert man == pytest.approx((640, 250), abs=50)
        assert woman == pytest.approx((1365, 740), abs=60)
        assert found.scores.mean() > 0.7


def test_a_person_faces_the_camera_with_the_left_hand_on_the_right(
    detector: MediaPipeDetector, demo_video: Path
) -> None:
    with VideoReader(demo_video, end_s=0.01) as video:
        (found,) = detector.detect(video)
    (man,) = found.keypoints
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee"):
        left, right = (BLAZEPOSE33.index(f"{side}_{joint}") for side in ("left", "right"))
        assert man[left, 0] > man[right, 0]
    nose, ankle = (BLAZEPOSE33.index(name) for name in ("nose", "left_ankle"))
    assert 250 < man[ankle, 1] - man[nose, 1] < 400


def test_the_same_frames_give_the_same_detections(frames: list[Frame]) -> None:
    runs = []
    for _ in range(2):
        with MediaPipeDetector() as detector:
            runs.append([found.keypoints for found in detector.detect(frames[:3])])
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_more_people_than_asked_for(frames: list[Frame]) -> None:
    with MediaPipeDetector(num_people=1) as detector:
        assert [len(found) for found in detector.detect(frames[:3])] == [1, 1, 1]


def test_a_person_lost_is_found_again(detector: MediaPipeDetector, frames: list[Frame]) -> None:
    """Black frames, shorter than anybody is waited for, and no new search due afterwards."""
    first, black, last = frames[0], np.zeros_like(frames[0].image), frames[1]
    assert len(detector.detect_image(first.image, 0.0)) == 2
    assert len(detector.detect_image(black, 0.03)) == 0
    assert len(detector.detect_image(last.image, 0.06)) == 2


def test_a_person_lost_after_a_pause_is_found_again(
    detector: MediaPipeDetector, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody was looked for in vain while there was no picture, however long that was."""
    black = np.zeros_like(frames[0].image)
    assert len(detector.detect_image(frames[0].image, 0.0)) == 2
    assert len(detector.detect_image(black, 1.0)) == 0
    monkeypatch.setattr(detector, "_search", lambda *_: [])
    assert len(detector.detect_image(frames[1].image, 1.4)) == 2


class Middle:
    """Landmarks that all lie in the middle of the region that was looked at."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, float, float]] = []

    def process(self, inputs: dict[str, Any]) -> dict[str, Any]:
        rect = packet_getter.get_proto(inputs["region"])
        self.asked.append((rect.x_center, rect.y_center, rect.rotation))
        mark = NormalizedLandmark(x=rect.x_center, y=rect.y_center)
        return {
            "landmarks": packet_creator.create_proto(NormalizedLandmarkList(landmark=[mark] * 33)),
            "next": packet_creator.create_proto(rect),
            "presence": packet_creator.create_bool(True),
        }


def test_pixels_count_from_the_middle_of_the_first_one(
    detector: MediaPipeDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MediaPipe's middle of the picture, (0.5, 0.5), is between the first and the last pixel; what
    is a tenth of the width from the left is as far from the mirrored picture's right.
    """
    plain, mirrored = Middle(), Middle()
    for network, graph in zip(detector._landmarks, (plain, mirrored), strict=True):
        monkeypatch.setattr(network, "_graph", graph)
    picture = Picture(np.zeros((60, 100, 3), np.uint8))
    for x in (49.5, 9.5):
        region = Region(x, 29.5, 16, 0.25)
        pose = detector._landmarks_in(picture, region)
        assert pose is not None
        assert pose.next_region == pytest.approx(region)
        np.testing.assert_allclose(pose.keypoints, [(x, 29.5)] * 33, rtol=1e-5)
    monkeypatch.undo()
    np.testing.assert_allclose(plain.asked, [(0.5, 0.5, 0.25), (0.1, 0.5, 0.25)])
    np.testing.assert_allclose(mirrored.asked, [(0.5, 0.5, -0.25), (0.9, 0.5, -0.25)])


def test_the_mirrored_picture_gives_the_mirrored_pose(frames: list[Frame]) -> None:
    """Better with the flip test, though the search does not know of it."""

    def asymmetry(flip_test: bool) -> float:
        image = frames[0].image
        poses = []
        for seen in (image, np.ascontiguousarray(image[:, ::-1])):
            with MediaPipeDetector(flip_test=flip_test) as detector:
                found = [detector.detect_image(seen, time_s).keypoints for time_s in (0.0, 0.1)]
            poses.append(found[-1][np.argsort(hips(found[-1])[:, 1])])
        back = poses[1][:, BLAZEPOSE33.mirrored] * (-1, 1) + (image.shape[1] - 1, 0)
        return float(np.linalg.norm(poses[0] - back, axis=2).mean())

    plain, both = asymmetry(False), asymmetry(True)
    assert both < 0.7 * plain
    assert plain > 1


def test_legs_that_pass_are_not_taken_for_each_other(demo_video: Path) -> None:
    """The man sets his left foot forward; in the picture alone it would be his right one."""
    collector = PoseCollector()
    with VideoReader(demo_video, 3.2, 4.0) as video, MediaPipeDetector() as detector:
        for frame in video:
            found = detector.detect_image(frame.image, frame.time_s)
            collector.add(FrameDetections(frame.index, frame.time_s, found))
        poses = collector.finish(30.0, video.size)
    his = poses.keypoints_2d[np.nanargmin(poses.keypoints_2d[:, 0, 0, 1])]
    stepping = (poses.timestamps > 3.56) & (poses.timestamps < 3.9)
    forward = his[stepping, H36M17.index("LFoot"), 0] - his[stepping, H36M17.index("RFoot"), 0]
    assert stepping.sum() == 10
    assert forward.min() > 10


def test_what_the_mirrored_picture_does_not_show_is_half_as_sure(
    detector: MediaPipeDetector, monkeypatch: pytest.MonkeyPatch
) -> None:
    pose = Pose(*pose_and_scores(), Region(50, 50, 100, 0))
    answers = {False: pose, True: None}
    passes = [lambda *_: answers[False], lambda *_: answers[True]]
    monkeypatch.setattr(detector, "_landmarks", passes)
    picture = Picture(np.zeros((100, 100, 3), np.uint8))
    seen = detector._landmarks_in(picture, pose.next_region)
    assert seen is not None
    np.testing.assert_array_equal(seen.keypoints, pose.keypoints)
    np.testing.assert_allclose(seen.scores, 0.35)
    answers = {False: None, True: pose}
    assert detector._landmarks_in(picture, pose.next_region) is None
    monkeypatch.undo()  # so that the networks are closed


def pose_and_scores() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Somebody 100 pixels tall and wide, and scores of 0.7."""
    keypoints = np.random.default_rng(0).uniform(0, 100, (33, 2)).astype(np.float32)
    return keypoints, np.full(33, 0.7, np.float32)


def test_two_passes_that_agree_are_averaged() -> None:
    keypoints, scores = pose_and_scores()
    both, sure, disputed = merge_flipped(
        keypoints, scores, keypoints + np.array([2, 0], np.float32), scores / 2
    )
    np.testing.assert_allclose(both, keypoints + np.array([1, 0], np.float32), rtol=1e-5)
    np.testing.assert_allclose(sure, 0.525, rtol=1e-6)
    assert not disputed.any()


@pytest.mark.parametrize("joints", [LEGS, ARMS, TRUNK])
def test_what_two_passes_dispute_is_unsure(joints: list[int]) -> None:
    keypoints, scores = pose_and_scores()
    other = keypoints + np.array([2, 0], np.float32)
    other[joints] = other[BLAZEPOSE33.mirrored[joints]]
    both, sure, disputed = merge_flipped(keypoints, scores, other, scores)
    np.testing.assert_allclose(both, keypoints + np.array([1, 0], np.float32), rtol=1e-5)
    expected = np.isin(np.arange(33), joints) & (BLAZEPOSE33.mirrored != np.arange(33))
    assert disputed.tolist() == expected.tolist()
    np.testing.assert_allclose(sure, np.where(disputed, DISPUTED_SCORE, 0.7), rtol=1e-6)


def test_two_passes_that_found_different_things() -> None:
    keypoints, scores = pose_and_scores()
    both, sure, disputed = merge_flipped(keypoints, scores, keypoints + np.float32(30), scores)
    np.testing.assert_array_equal(both, keypoints)
    np.testing.assert_allclose(sure, 0.35)
    assert not disputed.any()


def test_a_portrait_video(detector: MediaPipeDetector, frames: list[Frame]) -> None:
    """A tall strip of the picture with the man at its upper end."""
    strip = np.ascontiguousarray(frames[0].image[:, 360:920])
    found = detector.detect_image(strip, 0.0)
    assert hips(found.keypoints).tolist()[0] == pytest.approx((280, 250), abs=50)


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (2, 300)])
def test_nobody_in_a_tiny_picture(detector: MediaPipeDetector, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    for step in range(3):
        assert len(detector.detect_image(image, step * 0.3)) == 0


def test_the_description_names_the_weights() -> None:
    detector, sentence = open_detector(DetectorOptions(), torch.device("cpu"))
    with detector:
        about = json.loads(json.dumps(detector.description))
    assert about["name"] == "mediapipe"
    assert set(about["weights"]) == {"pose_detection.tflite", "pose_landmark_full.tflite"}
    assert all(len(digest) == 64 for digest in about["weights"].values())
    assert "MediaPipe" in sentence
    assert about["options"]["flip_test"] is True
    detector, _ = open_detector(
        DetectorOptions(detector="mediapipe", flip_test=False), torch.device("cpu")
    )
    with detector:
        assert detector.description["options"]["flip_test"] is False


def test_stderr_stays_clean(capfd: pytest.CaptureFixture[str], frames: list[Frame]) -> None:
    with MediaPipeDetector() as detector:
        list(detector.detect(frames[:2]))
    assert capfd.readouterr().err == ""


def test_real_errors_still_reach_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    with quiet():
        os.write(2, b"I0000 00:00 chatter\nE0000 00:00 trouble\n")
    assert capfd.readouterr().err == "E0000 00:00 trouble\n"


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (500, 500), (16, 16), (3000, 20)])
def test_a_search_sees_the_whole_picture(size: tuple[int, int]) -> None:
    width, height = size
    whole, *squares = windows(width, height)
    assert whole == (0, 0, width, height)
    assert len(squares) <= 6
    seen = np.full((height, width), width == height)
    for left, top, side, also_side in squares:
        assert side == also_side
        assert left >= 0
        assert top >= 0
        seen[top : top + side, left : left + side] = True
    assert seen.all()


def test_a_window_beyond_the_picture_is_black_there() -> None:
    image = np.arange(1, 13, dtype=np.uint8).reshape(2, 2, 3)
    assert cut(image, Window(1, -1, 2, 2)).tolist() == [
        [[0, 0, 0], [0, 0, 0]],
        [[4, 5, 6], [0, 0, 0]],
    ]
    assert not cut(image, Window(50, 50, 3, 3)).any()


def test_a_turned_region_contains_what_it_shows() -> None:
    """Turned by an eighth, the square's corners point up, down and sideways."""
    region = Region(100, 100, 20, np.pi / 4)
    points = np.array([[100, 100], [113, 100], [100, 87], [109, 109], [91, 109]])
    assert region.contains(points).tolist() == [True, True, True, False, False]


def test_a_region_turns_clockwise() -> None:
    """A square is too alike itself; a rectangle's edge is not, so look just beyond a corner."""
    region = Region(0, 0, 2, np.deg2rad(20))
    corner = np.array([[np.cos(np.deg2rad(65)), np.sin(np.deg2rad(65))]]) * 1.4
    assert region.contains(corner).tolist() == [True]
    assert region.contains(corner * (-1, 1)).tolist() == [False]


def test_both_people_keep_their_ids_through_the_demo_video(
    detector: MediaPipeDetector, demo_video: Path
) -> None:
    """At 10 frames/s: the woman comes and goes, the man turns a somersault against the sun."""
    collector = PoseCollector()
    with VideoReader(demo_video) as video:
        for frame in (frame for frame in video if frame.index % 3 == 0):
            found = detector.detect_image(frame.image, frame.time_s)
            collector.add(FrameDetections(frame.index, frame.time_s, found))
        poses = collector.finish(10.0, video.size)
    assert poses.frames == 77
    assert poses.people == 2
    man, woman = poses.observed.sum(axis=1)
    assert man >= 70
    assert woman >= 50
    # She walks through below him, from right to left, and neither ever takes the other's place.
    his, hers = poses.keypoints_2d[:, :, 0]
    both = poses.present.all(axis=0)
    beside = np.sign(hers - his)[both, 0]
    assert beside[0] == 1
    assert np.flatnonzero(np.diff(beside)).size == 1
    assert (hers[both, 1] > 650).all()
    across = np.diff(hers[both, 0])
    assert across.min() > -50
    assert across.max() < 5
    steps = np.linalg.norm(np.diff(poses.keypoints_2d[:, :, 0], axis=1), axis=2)
    assert np.nanmax(steps) < 200  # half a body height, in the somersault


@pytest.mark.parametrize("flip_test", [True, False])
def test_one_detector_serves_many_videos(
    flip_test: bool, demo_video: Path, frames: list[Frame]
) -> None:
    """To the bit; and without `reset` it would remember."""
    with VideoReader(demo_video, 2.5, 2.8) as reader:
        video = list(reader)
    with MediaPipeDetector(flip_test=flip_test) as fresh:
        expected = list(fresh.detect(video))
    with MediaPipeDetector(flip_test=flip_test) as detector:
        list(detector.detect(frames))
        assert detector.memory()["people"]
        detector.reset()
        found = list(detector.detect(video))
    assert len(expected[-1]) > 0
    assert_equal_detections(found, expected)


def assert_equal_detections(found: list[Detections], expected: list[Detections]) -> None:
    for some, same in zip(found, expected, strict=True):
        for name in ("keypoints", "scores", "disputed"):
            np.testing.assert_array_equal(getattr(some, name), getattr(same, name))


def test_its_memory_lets_another_one_go_on(demo_video: Path) -> None:
    """To the bit; the second look at the people in between does not come from a new search."""
    with VideoReader(demo_video, 2.0, 2.4) as reader:
        video = list(reader)
    with MediaPipeDetector() as first:
        whole = list(first.detect(video))
    with MediaPipeDetector() as first, MediaPipeDetector() as second:
        found = list(first.detect(video[:5]))
        second.remember(json.loads(json.dumps(first.memory())))
        found += second.detect(video[5:])
    assert len(whole[6]) > 0
    assert_equal_detections(found, whole)
