"""Cuts: how they are found, and that nobody is followed across one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import vidpose
from tests.clips import make_clip
from tests.detect.people import detections, stick
from tests.fakes import FakeDetector, tiny_weights, use_fake_detector
from vidpose import pipeline
from vidpose.detect import Detections, cache
from vidpose.detect.base import FrameDetections, detect_frames
from vidpose.tracking.collector import PoseCollector
from vidpose.tracking.tracker import Tracker
from vidpose.video import CutFinder, Frame, Image


def scene(seed: int, size: tuple[int, int] = (320, 180), blobs: int = 12) -> Image:
    """A picture of soft coloured blobs."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[: size[1], : size[0]] / size[1]
    image = np.zeros((size[1], size[0], 3)) + random.uniform(0, 255, 3)
    for _ in range(blobs):
        middle, radius = random.uniform((0, 0), (1, size[0] / size[1])), random.uniform(0.1, 0.4)
        inside = np.exp(-((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / radius**2)[..., None]
        image += inside * (random.uniform(0, 255, 3) - image)
    return image.clip(0, 255).astype(np.uint8)


def cuts_in(*images: Image) -> list[int]:
    finder = CutFinder()
    return [index for index, image in enumerate(images) if finder.is_cut(image)]


@pytest.mark.parametrize("size", [(320, 180), (90, 160), (20, 30), (1920, 1080)])
def test_another_scene_is_a_cut(size: tuple[int, int]) -> None:
    a, b = scene(1, size), scene(2, size)
    assert cuts_in(a, a, b, b, a) == [2, 4]


def test_what_moves_or_flashes_is_no_cut() -> None:
    wide = scene(3, (640, 180))
    assert cuts_in(*(wide[:, start : start + 320] for start in range(0, 320, 32))) == []
    image = scene(4).astype(int)
    flash = (image * 2 + 60).clip(0, 255).astype(np.uint8)
    assert cuts_in(image.astype(np.uint8), flash, image.astype(np.uint8)) == []
    darker = [(image * share).astype(np.uint8) for share in np.linspace(1, 0, 30)]
    assert cuts_in(*darker) == []


def test_noise_and_plain_colours_are_no_cut() -> None:
    random = np.random.default_rng(0)
    noise = [random.integers(0, 255, (180, 320, 3)).astype(np.uint8) for _ in range(5)]
    assert cuts_in(*noise) == []
    plain = [np.full((180, 320, 3), grey, np.uint8) for grey in (0, 255, 0, 128)]
    assert cuts_in(*plain) == []


def test_frames_that_show_nothing_are_no_shots() -> None:
    """A flash that is all white, black frames of a strobe, and black between two scenes."""
    a, b = scene(5), scene(6)
    black, white = np.zeros_like(a), np.full_like(a, 255)
    noisy = np.random.default_rng(0).integers(0, 6, a.shape).astype(np.uint8)
    assert cuts_in(black, a, white, a, black, noisy, a, black) == []
    assert cuts_in(a, black, black, b) == [3]


class ReadsAhead(FakeDetector):
    """Takes all frames before it gives the first detections; notes when it is reset."""

    def __init__(self) -> None:
        super().__init__(lambda index: True)
        self.resets = 0

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        yield from super().detect(list(frames))

    def reset(self) -> None:
        super().reset()
        self.resets += 1


def test_the_detector_begins_anew_at_a_cut() -> None:
    images = [scene(1)] * 3 + [scene(2)] * 2 + [scene(1)]
    frames = [Frame(n, n / 30, image, 1 / 30) for n, image in enumerate(images)]
    detector = ReadsAhead()
    found = list(detect_frames(detector, frames))
    assert [frame.frame_index for frame in found] == [0, 1, 2, 3, 4, 5]
    assert [frame.begins_shot for frame in found] == [False, False, False, True, False, True]
    assert detector.resets == 2
    assert detector.memory() == {"frames": 1}

    (last,) = detect_frames(ReadsAhead(), frames[5:], before=frames[4])
    assert last.begins_shot
    (last,) = detect_frames(ReadsAhead(), frames[4:5], before=frames[3])
    assert not last.begins_shot


def test_people_in_the_same_place_get_new_ids_after_a_cut() -> None:
    tracker, here = Tracker(), detections([stick(300)])
    assert [tracker.update(here, n / 30)[0] for n in range(3)] == [1, 1, 1]
    assert tracker.update(here, 3 / 30, begins_shot=True) == [2]
    assert tracker.update(here, 4 / 30) == [2]

    collector = PoseCollector()
    for n in range(60):
        collector.add(FrameDetections(n, n / 30, detections([stick(300 + n)]), n == 30))
    poses = collector.finish(30.0, (640, 480))
    assert poses.present.sum(axis=1).tolist() == [30, 30]
    assert poses.present[0, :30].all()
    assert poses.present[1, 30:].all()


def test_people_of_short_shots_are_kept() -> None:
    """Unrelated pictures, each a shot; a false detection is still dropped from a longer shot."""
    collector = PoseCollector()
    for n in range(5):
        collector.add(FrameDetections(n, n / 30, detections([stick(300)]), n > 0))
    for n in range(5, 45):
        people = [stick(300), stick(100)] if n == 25 else [stick(300)]
        collector.add(FrameDetections(n, n / 30, detections(people), n == 5))
    poses = collector.finish(30.0, (640, 480))
    assert poses.present.sum(axis=1).tolist() == [1, 1, 1, 1, 1, 40]


def test_a_video_with_cuts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_fake_detector(monkeypatch)
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    video = make_clip(tmp_path / "in.mp4", frames=60, rate=Fraction(30), cuts=(20, 45))
    result = vidpose.infer(video, weights=weights)
    assert [np.flatnonzero(there)[[0, -1]].tolist() for there in result.present] == [
        [0, 19],
        [20, 44],
        [45, 59],
    ]
    (warning,) = result.meta["warnings"]
    assert "in.mp4: There are 2 cuts, at 0.666 s, 1.5 s; people get new ids after each." in warning
    one = vidpose.infer(video, weights=weights, start=0.7, end=1.9)
    assert "There is a cut at 1.5 s; people" in one.meta["warnings"][0]


@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), Fraction(120)])
def test_the_times_of_a_warning_separate_the_shots(
    rate: Fraction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_fake_detector(monkeypatch)
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    video = make_clip(tmp_path / "in.mp4", frames=40, rate=rate, cuts=(17,))
    (warning,) = vidpose.infer(video, weights=weights).meta["warnings"]
    cut_s = float(warning.partition("a cut at ")[2].partition(" s;")[0])
    parts = (
        vidpose.infer(video, weights=weights, end=cut_s),
        vidpose.infer(video, weights=weights, start=cut_s),
    )
    assert [part.frame_indices[[0, -1]].tolist() for part in parts] == [[0, 16], [17, 39]]
    assert [part.meta["warnings"] for part in parts] == [[], []]


class Stops(FakeDetector):
    """Fails at some frame."""

    def detect(self, frames: Iterable[Frame]) -> Iterator[Detections]:
        for frame in frames:
            if not self.sees(frame.index):
                raise KeyboardInterrupt
            yield from super().detect([frame])


@pytest.mark.parametrize("stop", [19, 20, 21])
def test_a_run_that_was_interrupted_near_a_cut(
    stop: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cut is found where the next run begins with it, too."""
    monkeypatch.setattr(cache, "STRETCH_S", 0.0)
    weights = tiny_weights(tmp_path / "tiny.safetensors")
    video = make_clip(tmp_path / "in.mp4", frames=40, rate=Fraction(30), cuts=(20,))
    use_fake_detector(monkeypatch)
    vidpose.infer(video, tmp_path / "whole", weights=weights)
    stops = Stops(lambda index: index < stop)
    with monkeypatch.context() as first:
        first.setattr(pipeline, "open_detector", lambda *_, **__: (stops, "a stand-in"))
        with pytest.raises(KeyboardInterrupt):
            vidpose.infer(video, tmp_path / "out", weights=weights)
    result = vidpose.infer(video, tmp_path / "out", weights=weights)
    assert result.people == 2
    files = [(tmp_path / folder / "in.npz").read_bytes() for folder in ("whole", "out")]
    assert files[0] == files[1]
