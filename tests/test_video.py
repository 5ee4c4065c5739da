from __future__ import annotations

import os
import stat
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from tests.clips import (
    CORNERS,
    NTSC,
    corners,
    cut,
    damage,
    make_clip,
    make_sound,
    picture,
)
from vidpose.errors import VideoError, VidposeError
from vidpose.video import Frame, Sound, VideoReader, VideoWriter
from vidpose.video.clock import Clock

TICKS_600 = [0, 20, 45, 70, 130, 150, 151]


def read(path: Path, start_s: float | None = None, end_s: float | None = None) -> list[Frame]:
    with VideoReader(path, start_s, end_s) as video:
        return list(video)


def copy(source: Path, target: Path) -> Path:
    with (
        VideoReader(source) as video,
        VideoWriter(target, video.size, time_base=video.time_base) as out,
    ):
        for frame in video:
            out.write(frame.image, frame.time_s, frame.duration_s)
    return target


# --- reading -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(1877, 497), (1001, 333), (17, 17)])
def test_any_size_can_be_written(tmp_path: Path, size: tuple[int, int]) -> None:
    """FFmpeg's converter reads past the end of rows, so its input must have padding there."""
    for _ in range(3):
        with VideoWriter(tmp_path / "out.mp4", size) as out:
            for step in range(6):
                out.write(np.zeros((size[1], size[0], 3), np.uint8), step / 30)


def test_times_and_indices_are_the_containers(tmp_path: Path) -> None:
    with VideoReader(make_clip(tmp_path / "a.mp4")) as video:
        frames = list(video)
    assert [f.index for f in frames] == list(range(12))
    assert [f.time_s for f in frames] == [float(i / NTSC) for i in range(12)]
    assert (video.size, video.fps, video.expected_frames) == ((64, 48), float(NTSC), 12)
    assert video.duration_s == pytest.approx(float(12 / NTSC))
    assert video.warnings == []


def test_variable_frame_rate(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", ticks=TICKS_600, time_base=Fraction(1, 600))
    assert [f.time_s for f in read(path)] == [float(Fraction(t, 600)) for t in TICKS_600]


# Counter-clockwise turn, then left-right mirroring: which stored corner ends in the top left.
@pytest.mark.parametrize(
    ("rotation", "mirror", "top_left", "top_right"),
    [
        (0, False, "top left", "top right"),
        (90, False, "top right", "bottom right"),
        (180, False, "bottom right", "bottom left"),
        (270, False, "bottom left", "top left"),
        (0, True, "top right", "top left"),
        (90, True, "bottom right", "top right"),
        (180, True, "bottom left", "bottom right"),
        (270, True, "top left", "bottom left"),
    ],
)
def test_frames_are_upright(
    tmp_path: Path, rotation: int, mirror: bool, top_left: str, top_right: str
) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=2, rotation=rotation, mirror=mirror)
    with VideoReader(path) as video:
        image = next(iter(video)).image
    assert video.size == ((48, 64) if rotation % 180 else (64, 48))
    assert image.shape == (video.size[1], video.size[0], 3)
    assert image.flags.c_contiguous
    found = corners(image)
    assert (found["top left"], found["top right"]) == (top_left, top_right)


def test_a_phones_portrait_matrix_turns_clockwise(tmp_path: Path) -> None:
    """The matrix that phones write for portrait; by the MP4 standard x' = -y, y' = x."""
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.set_display_matrix([0, 1 << 16, 0, -(1 << 16), 0, 0, 48 << 16, 0, 1 << 30])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture((64, 48)), "rgb24")))
        container.mux(stream.encode(None))
    assert corners(read(path)[0].image)["top right"] == "top left"


@pytest.mark.parametrize(
    ("aspect", "rotation", "size"),
    [
        (Fraction(4, 3), 0, (85, 48)),
        (Fraction(1, 2), 0, (64, 96)),
        (Fraction(4, 3), 90, (48, 85)),
    ],
)
def test_pixels_are_made_square(
    tmp_path: Path, aspect: Fraction, rotation: int, size: tuple[int, int]
) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=2, aspect=aspect, rotation=rotation)
    with VideoReader(path) as video:
        assert video.size == size
        assert next(iter(video)).image.shape == (size[1], size[0], 3)


@pytest.mark.parametrize(
    ("start_s", "end_s", "indices"),
    [
        (None, None, range(20)),
        (0.5, None, range(5, 20)),
        (None, 0.5, range(5)),  # the end itself is not in
        (0.3, 0.8, range(3, 8)),  # 0.3 is no binary fraction; the frame at 0.3 is in all the same
        (1.85, 9.0, range(19, 20)),
    ],
)
def test_a_part_keeps_indices_and_times(
    tmp_path: Path, start_s: float | None, end_s: float | None, indices: range
) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=20, rate=Fraction(10))
    with VideoReader(path, start_s, end_s) as video:
        frames = list(video)
    assert [f.index for f in frames] == list(indices)
    assert [f.time_s for f in frames] == [i / 10 for i in indices]
    assert video.expected_frames == len(indices)
    assert video.warnings == []


def test_a_part_is_counted_from_the_first_frame(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.ts", frames=10, rate=Fraction(10))
    whole = read(path)
    assert whole[0].time_s > 0
    assert [f.time_s for f in read(path, 0.2, 0.5)] == [f.time_s for f in whole[2:5]]


def test_a_part_beyond_the_end(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"no frame from 7 s on; the last one .* 0\.37 s"):
        read(make_clip(tmp_path / "a.mp4"), start_s=7)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_single_frame(tmp_path: Path, name: str) -> None:
    with VideoReader(make_clip(tmp_path / name, frames=1)) as video:
        frames = list(video)
    assert [(f.index, f.time_s) for f in frames] == [(0, 0.0)]
    assert (video.expected_frames, video.warnings) == (1, [])


def test_sixteen_pixels(tmp_path: Path) -> None:
    frames = read(make_clip(tmp_path / "a.mp4", size=(16, 16)))
    assert {f.image.shape for f in frames} == {(16, 16, 3)}


def test_sound_that_outlasts_the_picture_is_no_damage(tmp_path: Path) -> None:
    with VideoReader(make_clip(tmp_path / "a.mkv", sound_s=2)) as video:
        assert len(list(video)) == 12
    assert video.warnings == []


@pytest.mark.parametrize(("name", "count"), [("a.mp4", "40"), ("a.mkv", "40")])
def test_a_truncated_video_gives_its_readable_part(tmp_path: Path, name: str, count: str) -> None:
    options = {"movflags": "faststart"} if name.endswith("mp4") else {}
    path = make_clip(tmp_path / name, frames=40, noise=True, options=options)
    whole = read(path)
    with VideoReader(cut(path)) as video:
        part = list(video)
    assert 10 < len(part) < 30
    assert [f.time_s for f in part] == sorted({f.time_s for f in part})
    assert {f.time_s for f in part} < {f.time_s for f in whole}
    assert len(video.warnings) == 1
    assert "cut off" in video.warnings[0]
    assert f"{len(part)} of {count} frames could be read" in video.warnings[0]


def test_a_truncated_transport_stream(tmp_path: Path) -> None:
    """It does not state its length, but its packets have a fixed size."""
    path = make_clip(tmp_path / "a.ts", frames=40, noise=True)
    whole = read(path)
    with VideoReader(cut(path, 0.501)) as video:
        part = list(video)
    assert "cut off" in video.warnings[0]
    assert 10 < len(part) < 30
    assert {f.time_s for f in part} < {f.time_s for f in whole}


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_damage_in_the_middle_is_skipped(tmp_path: Path, name: str) -> None:
    path = make_clip(tmp_path / name, size=(128, 96), frames=40, noise=True)
    times = [f.time_s for f in read(path)]
    with VideoReader(damage(path)) as video:
        found = [f.time_s for f in video]
    assert found[-1] == times[-1]
    assert set(found) <= set(times)
    assert len(found) > 20
    assert len(video.warnings) == 1
    assert f"is damaged: {len(found)} of 40 frames could be read" in video.warnings[0]
    warnings = video.warnings
    for _ in range(5):  # the same frames and the same words every time
        with VideoReader(path) as video:
            assert [f.time_s for f in video] == found
        assert video.warnings == warnings


def test_stamps_that_do_not_rise_lose_no_frame(tmp_path: Path) -> None:
    """H.264 without a container has no stamps at all."""
    path = make_clip(tmp_path / "a.h264", frames=10)
    with VideoReader(path) as video:
        frames = list(video)
    assert [f.index for f in frames] == list(range(10))
    assert (np.diff([f.time_s for f in frames]) > 0).all()
    assert "10 frames without a usable time stamp" in video.warnings[0]


@pytest.mark.parametrize(
    ("stamps", "times", "corrected", "restarts"),
    [
        ([0.0, 0.1, 0.25], [0.0, 0.1, 0.25], 0, 0),
        ([0.0, 0.1, 0.1, 0.2], [0.0, 0.1, 0.15, 0.2], 1, 0),  # doubled: the next one stays true
        ([0.0, 0.1, 0.3, 0.2, 0.5], [0.0, 0.1, 0.3, 0.4, 0.5], 1, 0),
        ([0.0, None, 0.2], [0.0, 0.1, 0.2], 1, 0),  # missing
        ([0.0, None, 0.1, None, 0.2], [0.0, 0.05, 0.1, 0.15, 0.2], 2, 0),  # twice as many as told
        ([9.0, 9.1, 0.0, 9.3, 9.4], [9.0, 9.1, 9.2, 9.3, 9.4], 1, 0),  # one far back
        ([0.0, 0.1, 99.0, 0.3, 0.4], [0.0, 0.1, 0.2, 0.3, 0.4], 1, 0),  # one far ahead
        ([0.0, 9e9, 0.0, 9e9], [0.0, 9e9, 9e9 + 0.1, 9e9 + 0.2], 1, 1),  # beyond what is kept
        ([None, None], [0.0, 0.1], 2, 0),
        ([0.0, 2e11, 0.2], [0.0, 0.1, 0.2], 1, 0),  # absurd
        ([0.0, 1e-6, 2e-6, 3e-6], [0.0, 0.1, 0.2, 0.3], 3, 0),  # no camera is so fast
        ([5.0, 5.1, 0.0, 0.1], [5.0, 5.1, 5.2, 5.3], 0, 1),  # a restarted clock
        ([0.0, 0.1, 0.2, 0.3, 0.0, 0.1], [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], 0, 1),  # a short one
        ([0.0, 0.1, 1e8, 1e8 + 0.1], [0.0, 0.1, 1e8, 1e8 + 0.1], 0, 0),  # a gap is a gap
    ],
)
def test_clock(
    stamps: list[float | None], times: list[float], corrected: int, restarts: int
) -> None:
    clock = Clock()
    found = [
        clock(stamp, 0.1, after) for stamp, after in zip(stamps, [*stamps[1:], None], strict=True)
    ]
    assert found == pytest.approx(times, abs=1e-9)
    assert (clock.corrected, clock.restarts) == (corrected, restarts)


def _text(path: Path) -> Path:
    path.write_text("a line of text\n" * 50)
    return path


def _unknown_codec(path: Path) -> Path:
    make_clip(path).write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    return path


def _no_frame(path: Path) -> Path:
    make_clip(path, options={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4])
    return path


@pytest.mark.parametrize(
    ("path", "says"),
    [
        (lambda d: d / "missing.mp4", "does not exist; give the path"),
        (lambda d: d, "is a folder without images; give the path"),
        (lambda d: _text(d / "a.txt"), "is not a video"),
        (lambda d: _text(d / "a.mp4"), "is not a video"),
        (lambda d: cut(_text(d / "a.mp4"), 0), "is empty"),
        (lambda d: make_sound(d / "a.mp4"), "holds only sound"),
        (lambda d: cut(make_clip(d / "a.mp4", frames=40)), "cut off before the index"),
        (lambda d: _unknown_codec(d / "a.mp4"), "cannot be decoded here; convert"),
        (lambda d: _no_frame(d / "a.mp4"), "no frame that can be read"),
    ],
)
def test_what_is_no_video_gets_one_sentence(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], path: object, says: str
) -> None:
    assert callable(path)
    with pytest.raises(VideoError, match=says) as caught:
        VideoReader(path(tmp_path))
    message = str(caught.value)
    assert message.startswith(str(tmp_path))
    assert message.endswith(".")
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")


def test_nothing_is_printed_about_damage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = damage(make_clip(tmp_path / "a.mkv", frames=20, noise=True))
    copy(path, tmp_path / "b.mp4")
    assert capfd.readouterr() == ("", "")


# --- writing -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "clip"),
    [
        ("a.mp4", {"frames": 5, "size": (1920, 1080), "rotation": 270}),  # a phone held upright
        ("a.mp4", {"rate": NTSC, "frames": 40}),
        ("a.mp4", {"rate": Fraction(24000, 1001)}),
        ("a.mp4", {"ticks": TICKS_600, "time_base": Fraction(1, 600)}),
        ("a.mp4", {"ticks": [50, 70, 95], "time_base": Fraction(1, 600)}),  # starts late
        ("a.mkv", {"rate": NTSC}),
        ("a.mp4", {"frames": 1}),
        ("a.mp4", {"frames": 3, "size": (16, 16)}),
    ],
)
def test_copy_keeps_frames_times_and_duration(
    tmp_path: Path, name: str, clip: dict[str, Any]
) -> None:
    source = make_clip(tmp_path / name, codec_options={"bf": "0"}, **clip)
    target = copy(source, tmp_path / "copy.mp4")
    with VideoReader(source) as before, VideoReader(target) as after:
        frames, copies = list(before), list(after)
    assert after.size == before.size
    assert len(copies) == len(frames)
    assert [f.time_s for f in copies] == [f.time_s for f in frames]
    assert after.expected_frames == len(frames)
    assert copies[-1].time_s + copies[-1].duration_s == pytest.approx(
        frames[-1].time_s + frames[-1].duration_s, abs=1e-5
    )
    assert corners(copies[0].image) == corners(frames[0].image)
    assert after.warnings == []


def test_the_last_frame_lasts_to_the_end_of_the_track(tmp_path: Path) -> None:
    """With B-frames it precedes others in the file, and its stored duration is theirs."""
    source = make_clip(
        tmp_path / "a.mp4",
        ticks=[0, 20, 40, 60, 80, 100, 110, 130, 150, 170],
        time_base=Fraction(1, 600),
        codec_options={"bf": "2", "x264-params": "b-adapt=0:scenecut=0"},
    )
    target = copy(source, tmp_path / "copy.mp4")
    with VideoReader(source) as before, VideoReader(target) as after:
        assert list(before)[-1].duration_s == pytest.approx(20 / 600, abs=1e-3)
        assert after.duration_s == pytest.approx(before.duration_s, abs=1e-5)


def test_the_last_frame_of_a_cut_off_video_is_no_longer_than_before(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=40, noise=True, options={"movflags": "faststart"})
    frames = read(cut(path))
    assert len(frames) < 40
    assert frames[-1].duration_s == pytest.approx(float(1 / NTSC), abs=1e-4)


def test_a_browser_can_play_it(tmp_path: Path) -> None:
    target = copy(make_clip(tmp_path / "a.mkv"), tmp_path / "b.mp4")
    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        frame = next(container.decode(stream))
        assert stream.codec_context.name == "h264"
        assert stream.pix_fmt == "yuv420p"
        assert frame.colorspace == Colorspace.ITU709
    data = target.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # starts playing before it is all there


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
def test_colours_survive(tmp_path: Path, size: tuple[int, int]) -> None:
    image = picture(size)
    with VideoWriter(tmp_path / "a.mp4", size) as out:
        out.write(image, 0.0)
    found = read(tmp_path / "a.mp4")[0].image
    assert found.shape == (48, 64, 3)
    for x, y, name in ((4, 4, "top left"), (58, 4, "top right"), (4, 42, "bottom left")):
        assert np.abs(found[y, x].astype(int) - CORNERS[name]).max() < 16


def test_a_failure_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "a.mp4"
    target.write_text("before")

    def interrupted() -> None:
        with VideoWriter(target, (64, 48)) as out:
            out.write(picture((64, 48)), 0.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert target.read_text() == "before"
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_a_video_without_frames_is_not_written(tmp_path: Path) -> None:
    with (
        pytest.raises(VideoError, match="there is no frame"),
        VideoWriter(tmp_path / "a.mp4", (64, 48)),
    ):
        pass
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(VidposeError, match="cannot be written"),
        VideoWriter(tmp_path / "file" / "a.mp4", (64, 48)),
    ):
        pass


@pytest.mark.parametrize(
    ("shape", "time_s", "says"),
    [((48, 65, 3), 1.0, "expected shape"), ((48, 64, 3), 0.0, "does not increase")],
)
def test_write_checks_its_frame(
    tmp_path: Path, shape: tuple[int, ...], time_s: float, says: str
) -> None:
    with VideoWriter(tmp_path / "a.mp4", (64, 48)) as out:
        out.write(picture((64, 48)), 0.0)
        with pytest.raises(ValueError, match=says):
            out.write(np.zeros(shape, np.uint8), time_s)


def test_the_file_has_ordinary_permissions(tmp_path: Path) -> None:
    target = copy(make_clip(tmp_path / "a.mp4"), tmp_path / "b.mp4")
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE((tmp_path / "a.mp4").stat().st_mode)


@pytest.mark.parametrize("skip", [0, 1, 4, 9])
def test_skipped_frames_change_nothing_for_the_others(skip: int, tmp_path: Path) -> None:
    path = make_clip(tmp_path / "in.mp4", frames=12, rate=Fraction(30))
    with VideoReader(path, 0.1, 0.35) as whole, VideoReader(path, 0.1, 0.35, skip=skip) as part:
        expected, found = list(whole)[skip:], list(part)
    assert [frame.index for frame in found] == [frame.index for frame in expected]
    assert [frame.time_s for frame in found] == [frame.time_s for frame in expected]
    assert part.expected_frames == whole.expected_frames
    for some, same in zip(found, expected, strict=True):
        np.testing.assert_array_equal(some.image, same.image)


@pytest.mark.parametrize("rotation", [0, 90])
def test_pictures_of_another_size(tmp_path: Path, rotation: int) -> None:
    path = make_clip(tmp_path / "a.mp4", size=(128, 96), frames=2, rotation=rotation)
    small = (32, 24) if rotation == 0 else (24, 32)
    with VideoReader(path) as whole, VideoReader(path, picture_size=small) as video:
        full, image = next(iter(whole)).image, next(iter(video)).image
    assert video.size == whole.size
    assert image.shape == (small[1], small[0], 3)
    assert image.flags.c_contiguous
    assert corners(image) == corners(full)


def beeps(path: Path) -> list[float]:
    """Times, seconds, at which the sound gets loud after 0.3 s of quiet."""
    mono = av.AudioResampler("fltp", "mono")
    with av.open(str(path)) as container:
        pieces = [piece for frame in container.decode(audio=0) for piece in mono.resample(frame)]
    sound = np.concatenate([np.abs(piece.to_ndarray()[0]) for piece in pieces])
    times = np.concatenate(
        [float(p.time or 0) + np.arange(p.samples) / p.sample_rate for p in pieces]
    )
    loud = times[sound > 0.3 * sound.max()]
    return [float(t) for t in loud[np.diff(loud, prepend=-1.0) > 0.3]]


@pytest.mark.parametrize(
    ("name", "codec", "kept"),
    [
        ("a.mp4", "aac", "aac"),
        ("a.ts", "aac", "aac"),
        ("a.mkv", "flac", "flac"),
        ("a.mkv", "pcm_s16le", "aac"),  # re-encoded for browsers
        ("a.ts", "mp2", "aac"),
    ],
)
@pytest.mark.parametrize("start_s", [0.0, 0.5])
def test_sound_stays_with_its_picture(
    tmp_path: Path, name: str, codec: str, kept: str, start_s: float
) -> None:
    path = make_clip(tmp_path / name, frames=75, rate=Fraction(30), sound_s=2.6, sound=codec)
    frames = read(path, start_s, 2.2)
    first = frames[0].time_s
    with (
        Sound(path, first) as sound,
        VideoWriter(tmp_path / "out.mp4", (64, 48), sound=sound) as out,
    ):
        for frame in frames:
            out.write(frame.image, frame.time_s - first, frame.duration_s)
    expected = [time - first for time in beeps(path) if first <= time < first + 2.2 - start_s]
    assert len(expected) == (1 if start_s else 2)
    assert beeps(tmp_path / "out.mp4") == pytest.approx(expected, abs=0.015)
    with av.open(str(tmp_path / "out.mp4")) as container:
        track = container.streams.audio[0]
        assert track.codec_context.name == kept
        assert float(track.duration * track.time_base) == pytest.approx(2.2 - start_s, abs=0.15)
    assert sound.warning is None


def test_a_video_without_sound_has_none(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4")
    with Sound(path) as sound, VideoWriter(tmp_path / "b.mp4", (64, 48), sound=sound) as out:
        out.write(picture((64, 48)), 0.0)
    with av.open(str(tmp_path / "b.mp4")) as container:
        assert not container.streams.audio
    assert sound.warning is None


def test_sound_waits_for_any_number_of_frames(tmp_path: Path) -> None:
    """The recursion depth does not grow with the number of frames of a long video."""
    path = make_clip(tmp_path / "a.mp4", sound_s=0.4)
    with (
        Sound(path) as sound,
        VideoWriter(tmp_path / "b.mp4", (64, 48), sound=sound) as out,
    ):
        for _ in range(300_000):
            sound.mux_until(-1.0)
        out.write(np.zeros((48, 64, 3), np.uint8), 0.0)
    with av.open(str(tmp_path / "b.mp4")) as written:
        assert written.streams.audio
