from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.clips import NTSC, cut, make_clip, sound_packets
from tests.render.people import walk
from vidpose.errors import UsageError, VideoError
from vidpose.events import Event, Warn
from vidpose.poses import Pose3D
from vidpose.render import draw, render_video, source_video
from vidpose.render.compose import Layout, compose_frame
from vidpose.video import Frame, VideoReader


def read(path: Path) -> tuple[VideoReader, list[Frame]]:
    with VideoReader(path) as video:
        return video, list(video)


def result_of(path: Path, frames: slice = slice(None)) -> Pose3D:
    """A walking person and a matching video."""
    video, seen = read(path)
    seen = seen[frames]
    return dataclasses.replace(
        walk(frames=len(seen), size=video.size),
        frame_indices=np.array([f.index for f in seen], np.int64),
        timestamps=np.array([f.time_s for f in seen]),
        fps=video.fps,
    )


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("a.mp4", {"size": (1920, 1080), "rotation": 270, "frames": 2}),
        ("a.mp4", {"rate": NTSC, "frames": 20}),
        ("a.mp4", {"ticks": [0, 20, 45, 70, 130, 150], "time_base": Fraction(1, 600)}),
        ("a.mkv", {"ticks": [0, 33, 70, 95, 200], "time_base": Fraction(1, 1000)}),
        ("a.mp4", {"frames": 1}),
        ("a.mp4", {"frames": 4, "size": (16, 16)}),
    ],
)
def test_frames_times_and_duration_are_the_sources(
    tmp_path: Path, name: str, clip: dict[str, Any]
) -> None:
    path = make_clip(tmp_path / name, codec_options={"bf": "0"}, **clip)
    result = result_of(path)
    assert render_video(result, path, tmp_path / "out.mp4") == []
    (_, before), (video, after) = read(path), read(tmp_path / "out.mp4")
    assert [f.time_s for f in after] == [f.time_s for f in before]
    end = before[-1].time_s + before[-1].duration_s
    assert after[-1].time_s + after[-1].duration_s == pytest.approx(end, abs=2e-5)
    assert video.duration_s == pytest.approx(end, abs=2e-5)
    width, height = Layout.of(result.frame_size).size
    assert video.size == (width + width % 2, height + height % 2)


def test_the_video_is_on_the_left_as_it_was(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", size=(480, 360), frames=2)
    result = result_of(path)
    render_video(result, path, tmp_path / "out.mp4")
    (_, before), (_, after) = read(path), read(tmp_path / "out.mp4")
    left = after[0].image[:, :480].astype(int)
    difference = np.abs(left - before[0].image).max(axis=2)
    assert np.median(difference) < 4  # all but the skeleton
    assert (difference > 60).sum() > 200  # the skeleton


def test_drawings_are_smoothed_by_default(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", size=(320, 240), frames=12, rate=Fraction(30))
    result = result_of(path)
    shaken = result.keypoints_2d.copy()
    shaken[:, 6] += 12  # one frame jumps
    result = dataclasses.replace(result, keypoints_2d=shaken)
    drawn = {}
    for smooth in (None, "savgol", "none"):
        render_video(result, path, tmp_path / "out.mp4", smooth=smooth)
        drawn[smooth] = read(tmp_path / "out.mp4")[1][6].image[:, :320].astype(int)
    assert (drawn[None] == drawn["savgol"]).all()
    assert (np.abs(drawn[None] - drawn["none"]).max(axis=2) > 60).sum() > 50
    with pytest.raises(UsageError, match="--smooth much"):
        render_video(result, path, tmp_path / "out.mp4", smooth="much")


def test_a_part_starts_at_zero(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=20, rate=Fraction(10))
    render_video(result_of(path, slice(8, 14)), path, tmp_path / "out.mp4")
    video, frames = read(tmp_path / "out.mp4")
    assert [f.time_s for f in frames] == pytest.approx([i / 10 for i in range(6)], abs=1e-5)
    assert video.duration_s == pytest.approx(0.6, abs=1e-3)


def test_progress_sees_every_frame(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=5)
    seen: list[tuple[int, int | None]] = []

    def progress(frames: Iterable[Any], total: int | None, label: str) -> Iterable[Any]:
        for frame in frames:
            seen.append((frame.index, total))
            yield frame

    render_video(result_of(path), path, tmp_path / "out.mp4", progress=progress)
    assert seen == [(i, 5) for i in range(5)]


@pytest.mark.parametrize(
    ("frame_size", "picture", "panel"),
    [
        ((1280, 720), (1229, 691), (691, 691)),  # no wider than 1920 in all
        ((3840, 2160), (1229, 691), (691, 691)),
        ((2160, 3840), (929, 1652), (991, 1652)),
        ((640, 360), (640, 360), (360, 360)),
        ((720, 1280), (720, 1280), (768, 1280)),  # portrait: the panel is about as narrow
        ((320, 240), (480, 360), (360, 360)),  # small: enlarged
        ((16, 16), (360, 360), (360, 360)),
        ((1500, 100), (1500, 100), (360, 360)),  # too wide to enlarge: framed
    ],
)
def test_layout(
    frame_size: tuple[int, int], picture: tuple[int, int], panel: tuple[int, int]
) -> None:
    layout = Layout.of(frame_size)
    assert (layout.picture, layout.panel) == (picture, panel)
    assert layout.size == (picture[0] + panel[0], panel[1])


def test_the_width_is_that_of_both_panels_and_never_grows() -> None:
    for width in (320, 800, 1002, 1920):
        layout = Layout.of((1768, 994), width)
        assert layout.size[0] == width
        assert layout.picture[0] / layout.picture[1] == pytest.approx(1768 / 994, rel=0.01)
        assert layout.picture[1] == layout.panel[1]
    assert Layout.of((1768, 994), 9999).picture == (1768, 994)


def test_a_smaller_overlay_shows_the_same(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", size=(960, 720), frames=2)
    result = result_of(path)
    for name, width in (("large.mp4", 1680), ("small.mp4", 840)):
        render_video(result, path, tmp_path / name, width=width)
    (large, (first, _)), (small, (same, _)) = (
        read(tmp_path / f"{name}.mp4") for name in ("large", "small")
    )
    assert large.size == (1680, 720)
    assert small.size == (840, 360)
    shrunk: Any = cv2.resize(first.image, small.size, interpolation=cv2.INTER_AREA)
    assert np.median(np.abs(shrunk.astype(int) - same.image)) < 4
    at = np.abs(same.image[:, :480].astype(int) - 40).max(axis=2) > 60  # corners and the skeleton
    there = np.abs(shrunk[:, :480].astype(int) - 40).max(axis=2) > 60
    assert (at & there).sum() > 0.8 * there.sum()


class NoScene:
    def draw(self, t: int, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        image[:] = 255
        return image


def captions(
    monkeypatch: pytest.MonkeyPatch, result: Pose3D, layout: Layout
) -> list[tuple[str, float, float, float]]:
    """Text, baseline, left and right end of what is written into the panel, for one frame."""
    written = []

    def write(
        image: Any, text: str, left: float, baseline: float, height: float, colour: Any
    ) -> None:
        written.append((text, baseline, left, left + draw.text_size(text, height)[0]))

    monkeypatch.setattr(draw, "write", write)
    compose_frame(result, 0, np.zeros((0, 0, 3), np.uint8), NoScene(), layout)
    return written


@pytest.mark.parametrize("panel", [(1080, 1080), (165, 275), (137, 137), (115, 115)])
def test_captions_of_a_narrow_panel_do_not_overlap(
    monkeypatch: pytest.MonkeyPatch, panel: tuple[int, int]
) -> None:
    result = dataclasses.replace(walk(frames=1), frame_indices=np.array([123_456]))
    written = captions(monkeypatch, result, Layout((0, 0), panel))
    assert {"left", "right"} <= {text for text, *_ in written}
    for one, two in itertools.combinations(written, 2):
        assert one[1] != two[1] or one[3] < two[2] or two[3] < one[2]
    assert ("grid 1 m" in {text for text, *_ in written}) == (panel[0] == 1080)


def test_the_time_of_a_panel_is_rounded_to_the_next_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    result = dataclasses.replace(walk(frames=1), timestamps=np.array([14_399 / 240]))
    assert captions(monkeypatch, result, Layout.scene_alone(1280))[0][0] == "1:00.00"


def test_the_scene_alone(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=20, rate=Fraction(10))
    result = result_of(path, slice(8, 14))
    assert render_video(result, None, tmp_path / "out.mp4") == []
    video, frames = read(tmp_path / "out.mp4")
    assert video.size == (1280, 720)
    assert [f.time_s for f in frames] == pytest.approx([i / 10 for i in range(6)], abs=1e-5)
    assert video.duration_s == pytest.approx(0.6, abs=1e-3)
    assert (np.abs(frames[0].image.astype(int) - frames[5].image) > 60).sum() > 100  # they walk
    render_video(result, None, tmp_path / "small.mp4", width=640)
    assert read(tmp_path / "small.mp4")[0].size == (640, 360)


def test_the_sound_is_kept(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=60, rate=Fraction(30), sound_s=2)
    render_video(result_of(path), path, tmp_path / "out.mp4")
    assert sound_packets(tmp_path / "out.mp4") == sound_packets(path)
    render_video(result_of(path, slice(15, 45)), path, tmp_path / "part.mp4")
    assert len(sound_packets(tmp_path / "part.mp4")) == pytest.approx(16000 / 1024, abs=1)


def test_sound_that_cannot_be_kept_gives_a_warning(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", frames=4, sound_s=1)
    path.write_bytes(path.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    events: list[Event] = []
    render_video(result_of(path), path, tmp_path / "out.mp4", report=events.append)
    (event,) = events
    assert isinstance(event, Warn)
    assert "The sound of" in str(event)
    assert len(read(tmp_path / "out.mp4")[1]) == 4


def test_a_wide_video_is_framed(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", size=(1000, 64), frames=2)
    render_video(result_of(path), path, tmp_path / "out.mp4")
    image = read(tmp_path / "out.mp4")[1][0].image
    assert image[:140, :1000].max() < 20
    assert image[150:210, :1000].mean() > 40


def test_the_readable_part_of_a_truncated_video(tmp_path: Path) -> None:
    options = {"movflags": "faststart"}
    path = cut(make_clip(tmp_path / "a.mp4", frames=40, noise=True, options=options))
    result = result_of(path)
    (warning,) = render_video(result, path, tmp_path / "out.mp4")
    assert f"{result.frames} of 40 frames could be read" in warning
    assert len(read(tmp_path / "out.mp4")[1]) == result.frames


def test_source_video(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=2)
    result = dataclasses.replace(result_of(path), meta={"source": {"path": str(path)}})
    assert source_video(result) == path
    path.unlink()
    with pytest.raises(UsageError, match=r"a\.mp4, from .* no longer exists; .* or .* --no-video"):
        source_video(result)
    metas: list[dict[str, Any]] = [{}, {"source": None}, {"source": {}}]
    for meta in metas:
        assert source_video(dataclasses.replace(result, meta=meta)) is None


def test_another_video_is_refused(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=10)
    result = result_of(path)
    out = tmp_path / "out.mp4"
    others = {
        "its frames are 64x64 pixels, not 64x48": make_clip(tmp_path / "b.mp4", size=(64, 64)),
        "frame 1 has another time": make_clip(tmp_path / "c.mp4", rate=Fraction(25)),
        "it ends before frame 6": make_clip(tmp_path / "d.mp4", frames=6),
    }
    for why, other in others.items():
        with pytest.raises(VideoError, match=rf"is not the video of this result \({why}\); give"):
            render_video(result, other, out)
    with pytest.raises(VideoError, match=r"gone\.mp4 does not exist"):
        render_video(result, tmp_path / "gone.mp4", out)
    assert sorted(os.listdir(tmp_path)) == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]


def test_the_video_itself_is_no_output(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="was not written by vidpose"):
        render_video(result_of(path), path, path)
    assert path.read_bytes() == before


def test_no_such_view(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4")
    with pytest.raises(UsageError, match="'back' is not a view"):
        render_video(result_of(path), path, tmp_path / "out.mp4", view="back")
