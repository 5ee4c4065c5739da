from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vidpose
from tests.clips import make_clip
from tests.fakes import FakeDetector, tiny_weights, use_fake_detector
from vidpose import pipeline
from vidpose.errors import UsageError
from vidpose.options import InferOptions
from vidpose.video import VideoReader


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tiny_weights(tmp_path / "tiny.safetensors")


def test_networks_are_opened_once_for_many_videos(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    def open_fake(options: Any, device: Any) -> tuple[FakeDetector, str]:
        opened.append(options)
        return FakeDetector(lambda index: True), "a stand-in"

    monkeypatch.setattr(pipeline, "open_detector", open_fake)
    videos = [make_clip(tmp_path / f"{n}.mp4", frames=12 + n) for n in range(3)]
    with vidpose.Predictor(weights=weights) as predictor:
        assert not opened  # not before it is needed
        one_after_another = [predictor(video, tmp_path / "one") for video in videos]
    assert len(opened) == 1
    for video, found in zip(videos, one_after_another, strict=True):
        alone = vidpose.infer(video, tmp_path / "alone", weights=weights)
        np.testing.assert_array_equal(found.joints_3d, alone.joints_3d)
        files = [(tmp_path / d / f"{video.stem}.npz").read_bytes() for d in ("one", "alone")]
        assert files[0] == files[1]
    assert len(opened) == 4


def test_options_and_fields_are_not_mixed(weights: Path) -> None:
    with pytest.raises(UsageError, match=r"fields by name \(device, world\), not both"):
        vidpose.Predictor(InferOptions.of(weights=weights), device="cpu", world=True)


def test_a_video_that_fails_does_not_spoil_the_next(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    good, bad = make_clip(tmp_path / "good.mp4"), tmp_path / "bad.mp4"
    bad.write_text("no video")
    with vidpose.Predictor(weights=weights) as predictor:
        first = predictor(good)
        with pytest.raises(vidpose.VidposeError):
            predictor(bad)
        np.testing.assert_array_equal(predictor(good).joints_3d, first.joints_3d)


def pictures(video: Path) -> Iterator[tuple[NDArray[np.uint8], float]]:
    with VideoReader(video) as reader:
        for frame in reader:
            yield frame.image, frame.time_s


@pytest.mark.parametrize("rate", [30, 50])
def test_stream_gives_every_frame_and_what_infer_gives(
    rate: int, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch, lambda index: index >= 20)
    video = make_clip(tmp_path / "a.mp4", frames=90, rate=Fraction(rate))
    options: dict[str, Any] = {"weights": weights, "rigid": False, "precision": "fp32"}
    whole = vidpose.infer(video, **options)
    with vidpose.Predictor(**options) as predictor:
        frames = list(predictor.stream(pictures(video), delay_s=1.0))
    assert [frame.index for frame in frames] == list(range(90))
    np.testing.assert_allclose([frame.time_s for frame in frames], whole.timestamps)
    assert [len(frame.people) for frame in frames] == [0] * 20 + [1] * 70
    people = [frame.people[0] for frame in frames[20:]]
    assert {person.id for person in people} == {1}
    for name in ("keypoints_2d", "scores_2d"):
        found = np.stack([getattr(person, name) for person in people])
        np.testing.assert_array_equal(found, getattr(whole, name)[0, 20:])
    joints = np.stack([person.joints_3d for person in people])
    # At the checkpoint's rate the windows are the same ones; at another the times of the frames
    # that are made in between depend on where a stretch begins.
    tolerance = 1e-5 if rate == 30 else 0.05
    np.testing.assert_allclose(joints, whole.joints_3d[0, 20:], atol=tolerance)
    assert all(np.isfinite(person.root_3d).all() for person in people)


def test_stream_yields_people_after_the_delay_and_forgets_old_frames(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    read = 0

    def endless() -> Iterator[tuple[NDArray[np.uint8], float]]:
        nonlocal read
        while True:
            yield np.zeros((48, 64, 3), np.uint8), read / 30
            read += 1

    with vidpose.Predictor(weights=weights) as predictor:
        frames = predictor.stream(endless(), delay_s=0.5)
        behind = []
        for _ in range(300):
            frame = next(frames)
            behind.append(read / 30 - frame.time_s)
    assert max(behind) < 0.5 + 0.25 + 0.1
    assert min(behind[:-1]) >= 0.5 - 0.05


def test_a_causal_stream_ignores_later_frames(
    tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    images = [(np.zeros((48, 64, 3), np.uint8), t / 30) for t in range(40)]
    given = 0

    def frames() -> Iterator[tuple[NDArray[np.uint8], float]]:
        nonlocal given
        for frame in images:
            given += 1
            yield frame

    with vidpose.Predictor(weights=weights) as predictor:
        causal = []
        for frame in predictor.stream(frames(), delay_s=0):
            assert frame.index == given - 1
            causal.append(frame.people[0])
        half = [frame.people[0] for frame in predictor.stream(images[:20], delay_s=0)]
        later = [frame.people[0] for frame in predictor.stream(images, delay_s=0.1)]
    for one, other in zip(causal[:20], half, strict=True):
        np.testing.assert_array_equal(one.joints_3d, other.joints_3d)
        np.testing.assert_array_equal(one.root_3d, other.root_3d)
    assert any((a.joints_3d != b.joints_3d).any() for a, b in zip(causal, later, strict=True))


def test_stream_again_starts_afresh(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_detector(monkeypatch)
    images = [(np.zeros((48, 64, 3), np.uint8), t / 30) for t in range(20)]
    with vidpose.Predictor(weights=weights) as predictor:
        twice = [list(predictor.stream(images)) for _ in range(2)]
    for one, other in zip(*twice, strict=True):
        np.testing.assert_array_equal(one.people[0].joints_3d, other.people[0].joints_3d)


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([(np.zeros((4, 4), np.uint8), 0.0)], r"frame 0: give \(H, W, 3\) RGB uint8"),
        ([(np.zeros((4, 4, 3), np.float32), 0.0)], "frame 0: give"),
        ([(np.zeros((0, 4, 3), np.uint8), 0.0)], r"frame 0: give .* not uint8 \(0, 4, 3\)"),
        ([([[[0, 0, 0]]], 0.0)], "frame 0: give an array .* not a list"),
        (
            [(np.zeros((4, 4, 3), np.uint8), 0.0), (np.zeros((4, 6, 3), np.uint8), 1.0)],
            "frame 1 is 6x4, not 4x4",
        ),
        ([(np.zeros((4, 4, 3), np.uint8), t) for t in (0.0, 0.0)], "frame 1: times must be"),
        ([(np.zeros((4, 4, 3), np.uint8), float("nan"))], "frame 0: times must be"),
    ],
)
def test_frames_that_make_no_sense(
    frames: Any, message: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    with (
        vidpose.Predictor(weights=weights) as predictor,
        pytest.raises(UsageError, match=message),
    ):
        list(predictor.stream(frames))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(UsageError, match="There is no option 'wieghts'"):
        vidpose.Predictor(wieghts="default")
