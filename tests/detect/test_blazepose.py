from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vidpose.detect import Detections, open_detector
from vidpose.detect.base import FrameDetections
from vidpose.detect.blazepose import (
    ARMS,
    DISPUTED_SCORE,
    LEGS,
    SEARCH_PERIOD_S,
    SMALL_TILES_IN,
    TRUNK,
    BlazePoseDetector,
    merge_flipped,
)
from vidpose.detect.blazepose_network import CIRCLE, FOLDER, HIP, LANDMARK_FILES, Landmarks
from vidpose.detect.blazepose_regions import MARGIN, Region, small_tiles, tiles
from vidpose.errors import UsageError
from vidpose.options import DetectorOptions
from vidpose.skeleton import BLAZEPOSE33, H36M17
from vidpose.tracking.collector import PoseCollector
from vidpose.utils.files import sha256
from vidpose.video import Frame, VideoReader

START_S = 2.0


@pytest.fixture
def detector() -> Iterator[BlazePoseDetector]:
    with BlazePoseDetector() as detector:
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
    detector: BlazePoseDetector, frames: list[Frame]
) -> None:
    """The man stands on the box on the left, the woman walks on the grass on the right."""
    for found in detector.detect(frames):
        assert len(found) == 2
        man, woman = sorted(hips(found.keypoints).tolist())
        assert man == pytest.approx((640, 250), abs=50)
        assert woman == pytest.approx((1365, 740), abs=60)
        assert found.scores.mean() > 0.7


def test_a_person_faces_the_camera_with_the_left_hand_on_the_right(
    detector: BlazePoseDetector, demo_video: Path
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
        with BlazePoseDetector() as detector:
            runs.append(list(detector.detect(frames[:3])))
    assert_equal_detections(*runs)


def test_no_more_people_than_asked_for(frames: list[Frame]) -> None:
    with BlazePoseDetector(num_people=1) as detector:
        assert [len(found) for found in detector.detect(frames[:3])] == [1, 1, 1]


def test_people_far_away_are_found(frames: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of the demo's people, at less than half of their size."""
    picture = np.zeros_like(frames[0].image)
    small = cv2.resize(frames[0].image, None, fx=0.42, fy=0.42, interpolation=cv2.INTER_AREA)
    picture[400 : 400 + len(small), 600 : 600 + small.shape[1]] = small
    with BlazePoseDetector() as detector:
        assert len(detector.detect_image(picture, 0.0)) == 2
    monkeypatch.setattr("vidpose.detect.blazepose.small_tiles", lambda *_: [])
    with BlazePoseDetector() as detector:
        assert len(detector.detect_image(picture, 0.0)) < 2


def test_small_tiles_take_turns_while_somebody_is_known(
    detector: BlazePoseDetector, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    searched: list[list[Region]] = []

    def search(image: NDArray[np.uint8], windows: list[Region]) -> list[list[Region]]:
        if windows:
            searched.append(windows)
        return [[] for _ in windows]

    image = frames[0].image
    height, width = image.shape[:2]
    large, small = len(tiles(width, height)), small_tiles(width, height)
    assert len(detector.detect_image(image, 0.0)) == 2
    monkeypatch.setattr(detector, "_find", search)
    for n in range(1, SMALL_TILES_IN + 1):
        assert len(detector.detect_image(image, n * SEARCH_PERIOD_S)) == 2
    turns = [tile for windows in searched for tile in windows[large:]]
    assert sorted(turns) == sorted(small)
    assert max(map(len, searched)) <= large + len(small) // SMALL_TILES_IN + 1

    searched.clear()
    detector.reset()
    detector.detect_image(image, 0.0)
    assert searched == [tiles(width, height) + small]  # nobody is known


def test_a_person_lost_is_found_again(detector: BlazePoseDetector, frames: list[Frame]) -> None:
    """Black frames for less than `LOST_AFTER_S`, and no new search due afterwards."""
    first, black, last = frames[0], np.zeros_like(frames[0].image), frames[1]
    assert len(detector.detect_image(first.image, 0.0)) == 2
    assert len(detector.detect_image(black, 0.03)) == 0
    assert len(detector.detect_image(last.image, 0.06)) == 2


def test_a_person_lost_after_a_pause_is_found_again(
    detector: BlazePoseDetector, frames: list[Frame], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time between two frames does not count towards `LOST_AFTER_S`."""
    black = np.zeros_like(frames[0].image)
    assert len(detector.detect_image(frames[0].image, 0.0)) == 2
    assert len(detector.detect_image(black, 1.0)) == 0
    monkeypatch.setattr(detector, "_search", lambda *_: [])
    assert len(detector.detect_image(frames[1].image, 1.4)) == 2


def test_the_mirrored_picture_gives_the_mirrored_pose(frames: list[Frame]) -> None:
    """More closely with the flip test, although the search does not use it."""

    def asymmetry(flip_test: bool) -> float:
        image = frames[0].image
        poses = []
        for seen in (image, np.ascontiguousarray(image[:, ::-1])):
            with BlazePoseDetector(flip_test=flip_test) as detector:
                found = [detector.detect_image(seen, time_s).keypoints for time_s in (0.0, 0.1)]
            poses.append(found[-1][np.argsort(hips(found[-1])[:, 1])])
        back = poses[1][:, BLAZEPOSE33.mirrored] * (-1, 1) + (image.shape[1] - 1, 0)
        return float(np.linalg.norm(poses[0] - back, axis=2).mean())

    plain, both = asymmetry(False), asymmetry(True)
    assert both < 0.7 * plain
    assert plain > 1


def test_a_portrait_video(detector: BlazePoseDetector, frames: list[Frame]) -> None:
    """A tall strip of the picture with the man at its upper end."""
    strip = np.ascontiguousarray(frames[0].image[:, 360:920])
    found = detector.detect_image(strip, 0.0)
    assert hips(found.keypoints).tolist()[0] == pytest.approx((280, 250), abs=50)


@pytest.mark.parametrize("shape", [(16, 16), (1, 1), (2, 300)])
def test_nobody_in_a_tiny_picture(detector: BlazePoseDetector, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    for step in range(3):
        assert len(detector.detect_image(image, step * 0.3)) == 0


@pytest.mark.parametrize(
    ("size", "networks", "name"),
    [
        (None, ("full", "heavy"), "mixed"),
        ("mixed", ("full", "heavy"), "mixed"),
        *((size, (size,), size) for size in ("lite", "full", "heavy")),
    ],
)
def test_the_description_names_the_networks(
    size: str | None, networks: tuple[str, ...], name: str
) -> None:
    detector, sentence = open_detector(
        DetectorOptions(detector="mediapipe", detector_size=size), torch.device("cpu")
    )
    with detector:
        about = json.loads(json.dumps(detector.description))
    files = [FOLDER / "person_detector.onnx", *(FOLDER / LANDMARK_FILES[n] for n in networks)]
    assert about["name"] == "mediapipe"
    assert about["weights"] == {path.name: sha256(path) for path in files}
    assert about["runtime"].startswith("onnxruntime ")
    assert about["options"]["flip_test"] is False
    assert about["options"]["size"] == (size or "mixed")
    assert sentence.startswith(f"MediaPipe's BlazePose {name}, on onnxruntime ")


@pytest.mark.parametrize("given", [None, False, True])
def test_the_flip_test_is_used_if_asked_for(given: bool | None) -> None:
    detector, _ = open_detector(DetectorOptions(flip_test=given), torch.device("cpu"))
    with detector:
        assert detector.description["options"]["flip_test"] is bool(given)


def test_auto_with_a_size_is_the_embedded_detector() -> None:
    detector, sentence = open_detector(DetectorOptions(detector_size="lite"), torch.device("cpu"))
    with detector:
        assert detector.name == "mediapipe"
    assert sentence.endswith("(chosen by its size)")


@pytest.mark.parametrize(
    "options", [{"detector": "hrnet"}, {"detector": "cpn"}, {"pose_weights": "hrnet-w48"}]
)
def test_a_size_does_not_go_with_other_detectors(options: dict[str, str]) -> None:
    chosen = DetectorOptions(detector_size="full", **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"--detector-size full .* goes with --detector mediapipe"):
        open_detector(chosen, torch.device("cpu"))


@pytest.mark.parametrize("options", [{"detect_every": 3}, {"half": True}])
@pytest.mark.parametrize("detector", ["auto", "mediapipe"])
def test_options_of_other_detectors_are_refused(detector: str, options: dict[str, Any]) -> None:
    chosen = DetectorOptions(detector=detector, **options)
    with pytest.raises(UsageError, match=r"--detect-every and --half go with --detector hrnet"):
        open_detector(chosen, torch.device("cpu"))


def test_stderr_stays_clean(capfd: pytest.CaptureFixture[str], frames: list[Frame]) -> None:
    with BlazePoseDetector() as detector:
        list(detector.detect(frames[:2]))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("flip_test", [True, False])
def test_one_detector_serves_many_videos(
    flip_test: bool, demo_video: Path, frames: list[Frame]
) -> None:
    """Bit for bit; without `reset` the detector would keep its state."""
    with VideoReader(demo_video, 2.5, 2.8) as reader:
        video = list(reader)
    with BlazePoseDetector(flip_test=flip_test) as fresh:
        expected = list(fresh.detect(video))
    with BlazePoseDetector(flip_test=flip_test) as detector:
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
    """Bit for bit; the second detector does not find the people with a search of its own."""
    with VideoReader(demo_video, 2.0, 2.4) as reader:
        video = list(reader)
    with BlazePoseDetector() as first:
        whole = list(first.detect(video))
    with BlazePoseDetector() as first, BlazePoseDetector() as second:
        found = list(first.detect(video[:5]))
        second.remember(json.loads(json.dumps(first.memory())))
        found += second.detect(video[5:])
    assert len(whole[6]) > 0
    assert_equal_detections(found, whole)


def test_both_people_keep_their_ids_through_the_demo_video(
    detector: BlazePoseDetector, demo_video: Path
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
    side = np.sign(hers - his)[both, 0]
    assert side[0] == 1
    assert np.flatnonzero(np.diff(side)).size == 1
    assert (hers[both, 1] > 650).all()
    across = np.diff(hers[both, 0])
    assert across.min() > -50
    assert across.max() < 5
    steps = np.linalg.norm(np.diff(poses.keypoints_2d[:, :, 0], axis=1), axis=2)
    assert np.nanmax(steps) < 200  # half a body height, in the somersault


def test_legs_that_pass_are_not_taken_for_each_other(demo_video: Path) -> None:
    """The man sets his left foot forward; judged by a single frame it would be his right one."""
    collector = PoseCollector()
    with VideoReader(demo_video, end_s=4.0) as video, BlazePoseDetector() as detector:
        for frame in video:
            found = detector.detect_image(frame.image, frame.time_s)
            collector.add(FrameDetections(frame.index, frame.time_s, found))
        poses = collector.finish(30.0, video.size)
    his = poses.keypoints_2d[np.nanargmin(poses.keypoints_2d[:, 0, 0, 1])]
    stepping = (poses.timestamps > 3.56) & (poses.timestamps < 3.9)
    forward = his[stepping, H36M17.index("LFoot"), 0] - his[stepping, H36M17.index("RFoot"), 0]
    assert stepping.sum() == 10
    assert forward.min() > 10


# Test-time flip augmentation


class FakeNetworks:
    """Networks that return the given landmarks for every region."""

    def __init__(self, seen: Landmarks, regions: list[Region]) -> None:
        self.description: dict[str, Any] = {}
        self.seen, self.regions = seen, regions
        self.mixed = False
        self.asked: list[int] = []
        self.accurate: list[bool] = []

    def find(self, image: Any, windows: list[Region], min_confidence: float) -> list[list[Region]]:
        return [self.regions for _ in windows]

    def landmarks(
        self, image: Any, regions: list[Region], *, mirrored: bool, accurate: bool
    ) -> Landmarks:
        self.asked.append(len(regions))
        self.accurate.append(accurate)
        squares = len(regions) * (2 if mirrored else 1)
        seen = self.seen
        return Landmarks(seen.points[:squares], seen.visibility[:squares], seen.presence[:squares])


def fake_networks(presence: list[float]) -> FakeNetworks:
    """One person, seen the same in the mirror image."""
    points = np.random.default_rng(0).uniform(-0.3, 0.3, (35, 2))
    points[HIP], points[CIRCLE] = (0, 0), (0, -0.5 / MARGIN)
    mirror = points * (-1, 1)
    mirror[:33] = mirror[BLAZEPOSE33.mirrored]
    seen = Landmarks(
        np.stack([points, mirror]),
        np.full((2, 33), 0.7, np.float32),
        np.array(presence, np.float32),
    )
    return FakeNetworks(seen, [Region(50, 50, 80, 0)])


BLACK = np.zeros((100, 100, 3), np.uint8)


def test_a_person_is_where_both_passes_find_them() -> None:
    networks = fake_networks([0.9, 0.9])
    detector = BlazePoseDetector(networks=networks, flip_test=True)
    for time_s in (0.0, 0.03, 0.06):  # the region stays where it is
        found = detector.detect_image(BLACK, time_s)
        np.testing.assert_allclose(
            found.keypoints[0], 50 + 80 * networks.seen.points[0, :33], rtol=1e-5
        )
        np.testing.assert_allclose(found.scores, 0.7)
    assert networks.asked == [1, 1, 1]
    *region, correction, lost_s = detector.memory()["people"][0]
    assert [*region, lost_s] == pytest.approx([50, 50, 80, 0, np.inf])
    assert not np.any(correction)


@pytest.mark.parametrize(("fps", "every"), [(30, 3), (29.97, 3), (60, 6), (25, 3), (10, 1)])
def test_the_most_accurate_network_runs_in_keyframes(fps: float, every: int) -> None:
    """The first frame of each video is one; a restored detector keeps the rhythm."""
    networks = fake_networks([0.9, 0.9])
    detector = BlazePoseDetector(networks=networks)
    for n in range(4):
        detector.detect_image(BLACK, n / fps)
    other = BlazePoseDetector(networks=networks)
    other.remember(json.loads(json.dumps(detector.memory())))
    for n in range(4, 12):
        other.detect_image(BLACK, n / fps)
    assert networks.accurate == [n % every == 0 for n in range(12)]
    other.reset()
    other.detect_image(BLACK, 0.0)
    assert networks.accurate[-1]


class FakeMixed(FakeNetworks):
    """Two networks; the fast one sees each joint slightly elsewhere, and one joint far away."""

    differ = np.random.default_rng(1).uniform(-0.01, 0.01, (2, 35, 2))
    differ[:, [HIP, CIRCLE]] = 0
    differ[:, 7] = 0.1

    def landmarks(
        self, image: Any, regions: list[Region], *, mirrored: bool, accurate: bool
    ) -> Landmarks:
        seen = super().landmarks(image, regions, mirrored=mirrored, accurate=accurate)
        fast = seen.points + self.differ[: len(seen.points)]
        return seen if accurate else seen._replace(points=fast)


@pytest.mark.parametrize("flip_test", [False, True])
def test_the_fast_network_is_corrected_where_it_sees_the_same(flip_test: bool) -> None:
    """Also in another detector that continues from its memory."""
    seen = fake_networks([0.9, 0.9])
    networks = FakeMixed(seen.seen, seen.regions)
    networks.mixed = True
    detector = BlazePoseDetector(networks=networks, flip_test=flip_test)
    keyframe = detector.detect_image(BLACK, 0.0).keypoints[0]
    other = BlazePoseDetector(networks=networks, flip_test=flip_test)
    other.remember(json.loads(json.dumps(detector.memory())))
    for time_s in (0.03, 0.06):
        between = other.detect_image(BLACK, time_s).keypoints[0]
        away = np.linalg.norm(between - keyframe, axis=1)
        others = [7, BLAZEPOSE33.mirrored[7]] if flip_test else [7]
        assert away[7] > 4
        assert np.delete(away, others).max() < 1e-4
    assert networks.accurate == [True, False, False, False]


def test_a_keyframe_has_the_shift_of_each_joint() -> None:
    """From where the fast network, corrected as before, saw it; in-between frames have NaN."""
    seen = fake_networks([0.9, 0.9])
    networks = FakeMixed(seen.seen, seen.regions)
    networks.mixed = True
    detector = BlazePoseDetector(networks=networks)
    first, between, _, second = (detector.detect_image(BLACK, n / 30).shift[0] for n in range(4))
    np.testing.assert_allclose(first, -80 * networks.differ[0, :33], atol=1e-4)
    assert np.isnan(between).all()
    np.testing.assert_allclose(np.delete(second, 7, axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(second[7], -8, atol=1e-4)
    only = BlazePoseDetector(networks=fake_networks([0.9, 0.9]))
    assert not any(only.detect_image(BLACK, n / 30).shift.any() for n in range(4))


def test_with_the_flip_test_the_shift_is_the_mean_of_both_passes() -> None:
    seen = fake_networks([0.9, 0.9])
    networks = FakeMixed(seen.seen, seen.regions)
    networks.mixed = True
    detector = BlazePoseDetector(networks=networks, flip_test=True)
    first, between, _, second = (detector.detect_image(BLACK, n / 30).shift[0] for n in range(4))
    others = np.delete(np.arange(33), [7, BLAZEPOSE33.mirrored[7]])
    mirror = networks.differ[1, :33][BLAZEPOSE33.mirrored] * (-1, 1)
    mean = -80 * (networks.differ[0, :33] + mirror) / 2
    np.testing.assert_allclose(first[others], mean[others], atol=1e-4)
    assert np.isnan(between).all()
    np.testing.assert_allclose(second[others], 0, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        lambda c: c[:, :3],
        lambda c: np.concatenate([c, c]),
        lambda c: c + 1e37,
        lambda c: c * np.nan,
    ],
)
def test_a_memory_with_a_forged_correction_is_refused(change: Any) -> None:
    detector = BlazePoseDetector(networks=fake_networks([0.9, 0.9]))
    detector.detect_image(BLACK, 0.0)
    memory = json.loads(json.dumps(detector.memory()))
    BlazePoseDetector(networks=fake_networks([0.9, 0.9])).remember(memory)
    memory["people"][0][4] = change(np.array(memory["people"][0][4])).tolist()
    with pytest.raises(ValueError, match="correction: "):
        detector.remember(memory)


def test_a_person_missing_in_the_mirrored_image_gets_half_the_scores() -> None:

    def find(presence: list[float]) -> Detections:
        return BlazePoseDetector(networks=fake_networks(presence), flip_test=True).detect_image(
            BLACK, 0.0
        )

    np.testing.assert_allclose(find([0.9, 0.4]).scores, 0.35)
    assert len(find([0.4, 0.9])) == 0


def test_joints_outside_the_region_are_guesses() -> None:
    networks = fake_networks([0.9, 0.9])
    networks.seen.points[0, 5] = 0.6, 0.0
    networks.seen.points[1, BLAZEPOSE33.mirrored[5]] = -0.6, 0.0
    found = BlazePoseDetector(networks=networks, flip_test=True).detect_image(BLACK, 0.0)
    assert found.scores[0, 5] == 0
    assert found.keypoints[0, 5].tolist() == pytest.approx([98, 50])


def test_disputed_joints_have_a_score_of_their_own() -> None:
    networks = fake_networks([0.9, 0.9])
    mirror = networks.seen.points[1]
    mirror[LEGS] = mirror[BLAZEPOSE33.mirrored[LEGS]]
    found = BlazePoseDetector(networks=networks, flip_test=True).detect_image(BLACK, 0.0)
    expected = np.where(np.isin(np.arange(33), LEGS), DISPUTED_SCORE, np.float32(0.7))
    np.testing.assert_allclose(found.scores[0], expected)
    assert found.disputed[0].tolist() == np.isin(np.arange(33), LEGS).tolist()


def pose_and_scores() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Somebody 100 pixels tall and wide, and scores of 0.7."""
    keypoints = np.random.default_rng(0).uniform(0, 100, (33, 2)).astype(np.float32)
    return keypoints, np.full(33, 0.7, np.float32)


def test_two_passes_that_agree_are_averaged() -> None:
    keypoints, scores = pose_and_scores()
    both, merged, disputed = merge_flipped(
        keypoints, scores, keypoints + np.array([2, 0], np.float32), scores * np.float32(0.5)
    )
    np.testing.assert_allclose(both, keypoints + np.array([1, 0], np.float32), rtol=1e-5)
    np.testing.assert_allclose(merged, 0.525, rtol=1e-6)
    assert not disputed.any()


@pytest.mark.parametrize("joints", [LEGS, ARMS, TRUNK])
def test_joints_that_two_passes_dispute_get_a_low_score(joints: list[int]) -> None:
    keypoints, scores = pose_and_scores()
    other = keypoints + np.array([2, 0], np.float32)
    other[joints] = other[BLAZEPOSE33.mirrored[joints]]
    both, merged, disputed = merge_flipped(keypoints, scores, other, scores)
    np.testing.assert_allclose(both, keypoints + np.array([1, 0], np.float32), rtol=1e-5)
    expected = np.isin(np.arange(33), joints) & (BLAZEPOSE33.mirrored != np.arange(33))
    assert disputed.tolist() == expected.tolist()
    np.testing.assert_allclose(merged, np.where(disputed, DISPUTED_SCORE, 0.7), rtol=1e-6)


def test_two_passes_that_found_different_things() -> None:
    keypoints, scores = pose_and_scores()
    both, merged, disputed = merge_flipped(keypoints, scores, keypoints + np.float32(30), scores)
    np.testing.assert_array_equal(both, keypoints)
    np.testing.assert_allclose(merged, 0.35)
    assert not disputed.any()
