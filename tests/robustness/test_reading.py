"""What becomes of odd videos: their times, colours, streams and pictures."""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.clips import CORNERS, corners, cut, make_clip, picture
from tests.robustness.videos import (
    CASES,
    changing,
    hevc_fields,
    joined,
    pictures,
    two_streams,
    with_cover,
    without_stamps,
)
from vidpose.errors import UsageError, VideoError
from vidpose.video import VideoReader, VideoWriter, content_hash
from vidpose.video.colours import (
    PEAK_NITS,
    SCREEN_GAMMA,
    WHITE_NITS,
    ToRGB,
    _curve,
    compressed,
    hlg_to_nits,
    pq_to_nits,
)
from vidpose.video.deinterlace import Combing, deinterlaced
from vidpose.video.orientation import place
from vidpose.video.streams import OLD_PYAV, of_fields


def times_of(path: Path, fps: float | None = None) -> tuple[list[float], list[str]]:
    with VideoReader(path, fps=fps) as video:
        times = [frame.time_s for frame in video]
    return times, video.warnings


def first_image(path: Path) -> NDArray[np.uint8]:
    with VideoReader(path) as video:
        return next(iter(video)).image


# --- times -------------------------------------------------------------------------------------


def test_frames_of_avi_with_b_frames_are_evenly_spaced(tmp_path: Path) -> None:
    times, warnings = times_of(without_stamps(tmp_path))
    assert times == pytest.approx(np.arange(24) / 30)
    assert warnings == []


def test_time_goes_on_where_videos_were_put_together(tmp_path: Path) -> None:
    times, warnings = times_of(joined(tmp_path))
    assert np.diff(times) == pytest.approx(np.full(35, 1001 / 30000), abs=1e-4)
    assert "its clock restarts 2 times" in warnings[0]


def test_frames_a_microsecond_apart_share_the_videos_length(tmp_path: Path) -> None:
    times, warnings = times_of(CASES["a microsecond apart"](tmp_path))
    assert min(np.diff(times)) > 1e-4
    assert "11 frames without a usable time stamp" in warnings[0]


def test_skipped_frames_are_told(tmp_path: Path) -> None:
    ticks = [n for n in range(40) if n not in (20, 21)]
    path = make_clip(tmp_path / "a.mkv", ticks=ticks, time_base=Fraction(1, 30), rate=Fraction(30))
    _, warnings = times_of(path)
    assert len(warnings) == 1
    assert "has irregular steps in one place: frames are up to 0.10 s apart" in warnings[0]


def test_slow_motion_whose_last_coded_frame_states_a_short_duration_skips_nothing(
    tmp_path: Path,
) -> None:
    """The last packet has the encoder's duration; with B-frames, it is not the last to be shown."""
    path = make_clip(
        tmp_path / "a.mp4",
        ticks=[4 * n for n in range(49)],
        time_base=Fraction(1, 30),
        rate=Fraction(30),
        codec_options={"x264-params": "b-adapt=0:scenecut=0"},
    )
    times, warnings = times_of(path)
    assert np.diff(times) == pytest.approx(np.full(48, 4 / 30))
    assert warnings == []


def test_a_frame_that_does_not_come_out_of_the_decoder_is_told(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=20, noise=True, codec_options={"bf": "0"})
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    data = bytearray(path.read_bytes())
    assert places[-1] is not None
    data[places[-1] + 4] |= 31  # a kind of unit that decoders pass over
    path.write_bytes(data)
    times, warnings = times_of(path)
    assert len(times) == 19
    assert "19 of 20 frames could be read" in warnings[0]


def without_presentation_times(path: Path, which: Container[int]) -> Path:
    """A transport stream in which some frames, in the order of decoding, have no stamps."""
    data, frame = bytearray(path.read_bytes()), 0
    for at in range(0, len(data), 188):
        start = at + 4 + (data[at + 4] + 1 if data[at + 3] & 0x20 else 0)
        if (
            data[at + 1] & 0x40
            and data[start : start + 3] == b"\0\0\1"
            and data[start + 3] >> 4 == 14
        ):
            if frame in which:
                data[start + 7] &= 0x3F
            frame += 1
    path.write_bytes(data)
    return path


LATE = range(582 * 30, 582 * 30 + 24)


@pytest.mark.parametrize("which", [range(1), range(3), range(1, 24, 2), range(23, 24)])
@pytest.mark.parametrize("b_frames", ["0", "2"])
def test_frames_without_a_stamp_are_put_where_they_belong(
    tmp_path: Path, which: range, b_frames: str
) -> None:
    path = make_clip(
        tmp_path / "a.ts",
        ticks=LATE,
        time_base=Fraction(1, 30),
        rate=Fraction(30),
        codec_options={"bf": b_frames},
    )
    times, warnings = times_of(without_presentation_times(path, which))
    np.testing.assert_allclose(times, np.array(LATE) / 30, atol=0.08)
    assert np.ptp(np.diff(times)) < 0.04
    (warning,) = warnings
    assert "without a usable time stamp" in warning
    if len(which) == 1:
        assert "has 1 frame without a usable time stamp; its time is" in warning


@pytest.mark.parametrize("name", ["a.mkv", "a.webm", "a.flv", "a.mp4"])
def test_a_video_that_begins_late_is_not_cut_off(tmp_path: Path, name: str) -> None:
    codec = "libvpx" if name == "a.webm" else "libx264"
    options = {"movflags": "dash"} if name == "a.mp4" else {}
    path = make_clip(
        tmp_path / name,
        ticks=LATE,
        time_base=Fraction(1, 30),
        rate=Fraction(30),
        codec=codec,
        noise=True,
        options=options,
    )
    with VideoReader(path) as video:
        assert len(list(video)) == 24
    assert video.warnings == []
    with VideoReader(cut(path, 0.7)) as video:
        assert len(list(video)) < 24
    assert "cut off" in video.warnings[0]


def test_a_video_trimmed_by_an_edit_list_is_not_cut_off(tmp_path: Path) -> None:
    path = make_clip(
        tmp_path / "a.mp4", frames=30, rate=Fraction(30), codec_options={"bf": "0", "g": "5"}
    )
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 12
    ticks = struct.unpack_from(">I", data, data.index(b"mdhd") + 16)[0]
    struct.pack_into(">Ii", data, at, 500, ticks // 2)  # milliseconds of the movie, ticks
    path.write_bytes(data)
    with VideoReader(path) as video:
        assert video.expected_frames == 15
        assert len(list(video)) == 15
    assert video.warnings == []


@pytest.mark.parametrize("frames", [1, 2, 90])
@pytest.mark.parametrize(
    ("name", "codec"), [("a.wmv", "wmv2"), ("a.flv", "flv"), ("a.ivf", "libvpx")]
)
def test_a_last_packet_that_does_not_say_how_long_it_lasts(
    tmp_path: Path, name: str, codec: str, frames: int
) -> None:
    path = make_clip(tmp_path / name, codec=codec, frames=frames, rate=Fraction(30))
    with VideoReader(path) as video:
        assert len(list(video)) == frames
    assert not any("cut off" in warning for warning in video.warnings)
    # WMV of a frame or two tells a thousandth of a second as its rate.
    assert video.fps == pytest.approx(25 if name == "a.wmv" and frames < 3 else 30, abs=0.1)


def test_a_jump_of_the_clock_is_no_lost_frame(tmp_path: Path) -> None:
    parts = [
        make_clip(tmp_path / f"{n}.ts", ticks=range(at, at + 12), time_base=Fraction(1, 30))
        for n, at in enumerate((300, 300_000))
    ]
    path = tmp_path / "a.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    times, warnings = times_of(path)
    assert len(times) == 24
    assert warnings == []


def test_skipped_frames_are_told_beside_a_doubled_stamp(tmp_path: Path) -> None:
    ticks = [n for n in range(40) if n not in (20, 21, 22)]
    path = make_clip(
        tmp_path / "a.mkv",
        ticks=ticks,
        time_base=Fraction(1, 30),
        rate=Fraction(30),
        codec_options={"bf": "0"},
    )
    data = path.read_bytes()
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux(video=0) if packet.size]
    at = data.index(struct.pack(">H", 333), places[10])
    path.write_bytes(data[:at] + struct.pack(">H", 300) + data[at + 2 :])
    _, warnings = times_of(path)
    assert "has 1 frame without a usable time stamp" in warnings[0]
    assert "has irregular steps in one place" in warnings[1]


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("a.h264", "libx264", "yuv420p"),
        ("a.m2v", "mpeg2video", "yuv420p"),
        ("a.mjpeg", "mjpeg", "yuvj420p"),
        ("a.obu", "libsvtav1", "yuv420p"),
    ],
)
def test_the_rate_of_coded_video_without_a_container(
    tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    path = make_clip(
        tmp_path / name, size=(128, 96), codec=codec, pix_fmt=pixels, rate=Fraction(60)
    )
    with VideoReader(path) as video:
        times = [frame.time_s for frame in video]
    told = name in ("a.h264", "a.m2v")
    assert video.fps == (60 if told else 25)
    assert np.diff(times) == pytest.approx(np.full(11, 1 / video.fps))
    assumed = "does not say its frame rate; 25 frames/s are assumed; give another with --fps"
    assert any(assumed in warning for warning in video.warnings) is not told
    with VideoReader(path, fps=60) as video:
        frames = list(video)
    assert (video.fps, video.takes_fps) == (60, not told)
    assert np.diff([frame.time_s for frame in frames]) == pytest.approx(np.full(11, 1 / 60))
    assert frames[-1].duration_s == pytest.approx(1 / 60)
    assert not any("assumed" in warning for warning in video.warnings)


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.mp4", "libx264", "yuv420p"), ("a.flv", "flv", "yuv420p"), ("a.apng", "apng", "rgb24")],
)
def test_videos_that_were_put_together_and_are_not_read_are_told(
    tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    path = make_clip(tmp_path / name, codec=codec, pix_fmt=pixels)
    _, warnings = times_of(path)
    assert warnings == []
    path.write_bytes(2 * path.read_bytes())
    times, warnings = times_of(path)
    assert len(times) == 12
    assert "only the first" in warnings[0]


# --- pictures in the file that are no frames ---------------------------------------------------


def test_a_preview_is_not_the_video(tmp_path: Path) -> None:
    with VideoReader(two_streams(tmp_path)) as video:
        assert video.size == (128, 96)
        assert len(list(video)) == 8
    assert video.warnings == [
        f"{tmp_path / 'two.mkv'} has 2 video streams; number 1, 128x96 pixels, is read."
    ]


def test_a_cover_is_not_the_video(tmp_path: Path) -> None:
    with VideoReader(with_cover(tmp_path)) as video:
        assert video.size == (64, 48)
    with pytest.raises(VideoError, match="holds only sound"):
        VideoReader(with_cover(tmp_path, "song.mp4", video=False))


def _with_orientation(path: Path, orientation: int) -> Path:
    """A JPEG with an Exif tag, which is side data that PyAV has no name for."""
    coded = cv2.imencode(".jpg", picture((64, 48))[..., ::-1])[1].tobytes()
    tag = struct.pack("<HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0" + tag + bytes(4)
    path.write_bytes(coded[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + coded[2:])
    return path


AS_SHOWN = {
    # Of each Exif orientation: where the corners of the picture in the file are seen, those at the
    # top and at the bottom from left to right.
    1: ("top left", "top right", "bottom left", "bottom right"),
    2: ("top right", "top left", "bottom right", "bottom left"),
    3: ("bottom right", "bottom left", "top right", "top left"),
    4: ("bottom left", "bottom right", "top left", "top right"),
    5: ("top left", "bottom left", "top right", "bottom right"),
    6: ("bottom left", "top left", "bottom right", "top right"),
    7: ("bottom right", "top right", "bottom left", "top left"),
    8: ("top right", "bottom right", "top left", "bottom left"),
}


@pytest.mark.parametrize("kind", ["a picture", "a folder", "MJPEG"])
@pytest.mark.parametrize("orientation", AS_SHOWN)
def test_side_data_of_an_unknown_kind(tmp_path: Path, orientation: int, kind: str) -> None:
    """The picture is turned and mirrored as its Exif data say."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    path = _with_orientation(folder / "1.jpg", orientation)
    if kind == "a folder":
        path = folder
    elif kind == "MJPEG":
        path = _as_mjpeg(path, tmp_path / "a.mov")
    with VideoReader(path, fps=30 if kind == "a folder" else None) as video:
        image = next(iter(video)).image
    assert image.shape == ((48, 64, 3) if orientation < 5 else (64, 48, 3))
    seen = corners(image)
    assert tuple(seen[place] for place in AS_SHOWN[1]) == AS_SHOWN[orientation]


def _as_mjpeg(picture: Path, path: Path) -> Path:
    """A video whose only frame is this JPEG as it is."""
    with av.open(str(picture)) as source, av.open(str(path), "w") as video:
        stream = video.add_stream_from_template(source.streams.video[0])
        packet = next(source.demux())
        packet.stream = stream
        video.mux(packet)
    return path


def test_pictures_that_are_too_large_are_refused(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mkv", codec="ffv1", size=(32_016, 16), frames=1)
    with pytest.raises(VideoError, match=r"32016x16 pixels, which is too large .*; scale it down"):
        VideoReader(path)


# --- frames of another shape -------------------------------------------------------------------


H264 = "h264_mp4toannexb"
TURNED = f"{H264},h264_metadata=display_orientation=insert:rotate=90"


@pytest.mark.parametrize(
    ("how", "other", "shape", "box"),
    [
        ({}, "96x128", corners, (28, 0, 72, 96)),
        ({"sizes": ((128, 96), (256, 192))}, "256x192", corners, (0, 0, 128, 96)),
        ({"sizes": ((128, 96),) * 2, "aspects": (1, 2)}, "256x96", corners, (0, 24, 128, 48)),
        ({"sizes": ((128, 96),) * 2, "filters": (H264, TURNED)}, "96x128", None, (28, 0, 72, 96)),
    ],
)
def test_frames_of_another_shape_are_fitted_in(
    tmp_path: Path, how: dict[str, Any], other: str, shape: Any, box: tuple[int, int, int, int]
) -> None:
    path = changing(tmp_path, **how)
    with VideoReader(path) as video:
        images = [frame.image for frame in video]
    assert video.size == (128, 96)
    x, y, width, height = box
    inside = np.zeros((96, 128), bool)
    inside[y : y + height, x : x + width] = True
    for image in images[:6]:
        assert corners(image) == {name: name for name in CORNERS}
    for image in images[6:]:
        seen = corners(image[y : y + height, x : x + width])
        assert seen == ({name: name for name in CORNERS} if shape else TURNED_CORNERS)
        assert (image[~inside] == 0).all()
        assert (image[inside].max(axis=1) > 20).all()
    (warning,) = (warning for warning in video.warnings if "changes in size" in warning)
    assert f"it is 128x96 pixels, but {other} in 6 of its 12 frames" in warning
    with VideoReader(path, picture_size=(64, 48)) as video:  # as it is drawn
        for small, image in zip(video, images, strict=True):
            half = cv2.resize(image, (64, 48), interpolation=cv2.INTER_AREA)
            assert np.abs(small.image.astype(int) - half).mean() < 5


TURNED_CORNERS = {
    "top left": "top right",
    "top right": "bottom right",
    "bottom left": "top left",
    "bottom right": "bottom left",
}


def test_a_shape_that_is_nearly_the_same_gets_no_bars() -> None:
    assert place((1920, 1088), (1920, 1080), (960, 540)) == (0, 0, 960, 540)
    assert place((1080, 1920), (1920, 1080), (960, 540)) == (328, 0, 304, 540)


@pytest.mark.parametrize(("kind", "how"), [(1, "side by side"), (2, "one above the other")])
def test_a_3d_film_is_told(tmp_path: Path, kind: int, how: str) -> None:
    sides = {1: "left_right", 2: "top_bottom"}
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.metadata["stereo_mode"] = sides[kind]
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture((64, 48)), "rgb24")))
        container.mux(stream.encode(None))
    with VideoReader(path) as video:
        list(video)
    (warning,) = video.warnings
    assert f"is a 3D film with an image for each eye, {how}," in warning


@pytest.mark.parametrize("codec", ["libwebp_anim", "libsvtav1"])
def test_moving_webp_and_avif(tmp_path: Path, codec: str) -> None:
    """FFmpeg reads the first from PyAV 19 on; the second begins with a picture that is no frame."""
    path = make_clip(tmp_path / f"a.{'webp' if 'webp' in codec else 'avif'}", codec=codec)
    if codec == "libwebp_anim" and OLD_PYAV:
        with pytest.raises(VideoError, match=r"is an animated WebP, .*; convert it to a video\."):
            VideoReader(path)
    else:
        with VideoReader(path) as video:
            assert len(list(video)) == 12


# --- colours -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "name"), [(8, "YCgCo"), (10, "BT.2020"), (14, "ICtCp")])
def test_a_matrix_that_is_not_known(tmp_path: Path, code: int, name: str) -> None:
    path = make_clip(tmp_path / "a.mkv", codec="ffv1", tags={"colorspace": code})
    with VideoReader(path) as video:
        image = next(iter(video)).image
        list(video)
    assert len(video.warnings) == 1
    assert name in video.warnings[0]
    assert corners(image)["top left"] == "top left"


@pytest.mark.parametrize(("size", "matrix"), [((64, 48), 5), ((64, 720), 1), ((1280, 48), 1)])
def test_what_is_not_tagged_is_taken_as_players_do(
    tmp_path: Path, size: tuple[int, int], matrix: int
) -> None:
    # The colours in the files are the same; only what they are taken for may differ.
    plain, told = (
        make_clip(
            tmp_path / f"{code}.mkv",
            size=size,
            frames=1,
            codec="ffv1",
            tags={"colorspace": code},
        )
        for code in (2, matrix)
    )
    np.testing.assert_array_equal(first_image(plain), first_image(told))


@pytest.mark.parametrize(("transfer", "nits"), [(16, pq_to_nits), (18, hlg_to_nits)])
def test_hdr_keeps_the_brightness_of_ordinary_scenes(transfer: int, nits: object) -> None:
    assert callable(nits)
    curve = _curve(transfer)
    assert curve is not None
    shown = curve[:, 0] if curve.ndim > 1 else curve
    assert (np.diff(shown.astype(int)) >= 0).all()
    light = nits(np.arange(256) / 255) / WHITE_NITS
    ordinary = (light > 0.01) & (light < 0.5)
    wanted = 255 * light[ordinary] ** (1 / SCREEN_GAMMA)
    np.testing.assert_allclose(shown[ordinary], wanted, atol=0.5)
    assert shown[light >= PEAK_NITS / WHITE_NITS * 0.999].min() == 255


def test_white_of_hdr_is_bright() -> None:
    white, peak = compressed(np.array([1.0, 5.0]), 5.0)
    assert white ** (1 / SCREEN_GAMMA) > 0.85
    assert peak == pytest.approx(1.0)


def test_an_hdr_video_is_tone_mapped(tmp_path: Path) -> None:
    tags = {"colorspace": 9, "color_trc": 16, "color_primaries": 9}
    image = first_image(make_clip(tmp_path / "a.mp4", pix_fmt="yuv420p10le", tags=tags))
    plain = first_image(make_clip(tmp_path / "b.mp4", pix_fmt="yuv420p10le"))
    middle = (slice(20, 28), slice(28, 36))
    curve = _curve(16)
    assert curve is not None
    assert abs(int(image[middle].mean()) - int(curve[round(plain[middle].mean())])) <= 2
    assert corners(image)["bottom right"] == "bottom right"


# --- interlaced --------------------------------------------------------------------------------


def _interlaced(path: Path, frames: int = 12, *, marked: bool = True) -> Path:
    """A bar that moves 4 pixels from field to field."""
    with av.open(str(path), "w") as container:
        options = {"crf": "5"} | ({"x264-params": "tff=1"} if marked else {})
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for n in range(frames):
            image = np.full((96, 128, 3), 40, np.uint8)
            for field in (0, 1):
                left = 8 + 4 * (2 * n + field) % 80
                image[field::2, left : left + 16] = 220
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    return path


def _combing(image: NDArray[np.uint8]) -> float:
    grey = image.mean(axis=2)
    return float(np.abs(2 * grey[1:-1] - grey[:-2] - grey[2:]).mean())


def test_interlaced_frames_are_deinterlaced(tmp_path: Path) -> None:
    path = _interlaced(tmp_path / "a.mp4")
    with av.open(str(path)) as container:
        combed = [_combing(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    with VideoReader(path) as video:
        frames = list(video)
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(12) / 25)
    assert video.warnings == []
    for before, frame in zip(combed[1:-1], frames[1:-1], strict=True):
        assert _combing(frame.image) < before / 4


@pytest.mark.parametrize("code", [1, 2])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "nv12", "uyvy422", "p010le", "yuva444p12le"])
def test_deinterlacing_changes_no_colours(pix_fmt: str, code: int) -> None:
    """Not even in formats that FFmpeg has to convert for its filter."""
    image = av.VideoFrame.from_ndarray(picture((1280, 720)), "rgb24")
    tags = {"dst_colorspace": 1, "dst_color_range": 2}
    plain, combed = (image.reformat(format=pix_fmt, **tags) for _ in range(2))
    for frame in (plain, combed):
        frame.colorspace, frame.color_range = code, 2
        frame.pts, frame.time_base = 0, Fraction(1, 25)
    combing = Combing()
    combing.found = True
    (whole,) = deinterlaced(iter([combed]), combing)
    assert whole.image is not combed
    before, after = (ToRGB()(frame, (1280, 720)) for frame in (plain, whole.image))
    assert np.abs(before.astype(int) - after).mean() < 0.5


def test_fields_of_hevc_are_as_high_as_frames(tmp_path: Path) -> None:
    path = hevc_fields(tmp_path)
    with VideoReader(path) as video:
        frames = list(video)
        assert video.size == (128, 96)
    assert len(frames) == 24
    assert {frame.image.shape for frame in frames} == {(96, 128, 3)}
    with av.open(str(path)) as container:
        fields = list(deinterlaced(container.decode(video=0), Combing(), marks_fields=True))
    assert all(field.image is field.source for field in fields)
    (warning,) = video.warnings
    assert "stores each field separately; each field becomes a frame of full height" in warning
    assert (of_fields(None), of_fields(Fraction(4, 3))) == (Fraction(1, 2), Fraction(2, 3))
    assert of_fields(Fraction(1, 2)) == Fraction(1, 2)  # it is a field's already


@pytest.mark.parametrize("matrix", [3, 8, 15])
def test_interlaced_frames_of_unknown_colours_come_as_they_are(matrix: int) -> None:
    """FFmpeg cannot convert YCgCo for the filter, which does not take all formats; nor does it take
    the reserved number 3.
    """

    def frames() -> Iterator[av.VideoFrame]:
        for pts in range(5):
            frame = av.VideoFrame(64, 48, "nv12" if pts < 3 else "yuv420p")
            frame.pts, frame.time_base, frame.colorspace = pts, Fraction(1, 25), matrix
            yield frame

    assert len(list(deinterlaced(frames(), Combing()))) == 5

    found = Combing()
    found.found = True
    assert [one.source.pts for one in deinterlaced(frames(), found)] == [0, 1, 2, 3, 4]


def test_interlaced_frames_that_are_not_marked_are_noticed(tmp_path: Path) -> None:
    path = _interlaced(tmp_path / "a.mp4", 48, marked=False)
    with VideoReader(path) as video:
        frames = list(video)
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(48) / 25)
    combed = np.array([_combing(frame.image) for frame in frames])
    assert (combed[36:] < combed[0] / 4).all()
    (warning,) = video.warnings
    assert "is interlaced but not marked as such" in warning


def test_stripes_that_pan_are_not_interlaced() -> None:
    """As blinds look to a slow camera: combed now one way, now the other."""
    combing = Combing()
    rows = np.arange(360)[:, None]
    for n in range(120):
        image = np.full((360, 640, 3), 110, np.uint8)
        image[:, :64] = (128 + 100 * np.sin((rows + 0.3 * n) * np.pi / 2))[..., None]
        frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p")
        frame.pts, frame.time_base = n, Fraction(1, 30)
        combing.look(frame)
    assert not combing.found


@pytest.mark.parametrize("still", [0, 12])
def test_whole_frames_are_not_taken_for_interlaced(tmp_path: Path, still: int) -> None:
    path = tmp_path / "a.mp4"
    stripes = np.full((96, 128, 3), 40, np.uint8)
    stripes[::2, :, 1] = 90  # a picture with lines as fine as combing
    with VideoWriter(path, (128, 96), crf=5) as out:
        for n in range(24):
            image = stripes.copy()
            left = 8 + 6 * max(0, n - still) % 80
            image[:, left : left + 16] = 220
            out.write(image, n / 25)
    with VideoReader(path) as video:
        frames = list(video)
    assert video.warnings == []
    assert len(frames) == 24


# --- folders of pictures -----------------------------------------------------------------------


def test_a_folder_of_pictures_is_a_video(tmp_path: Path) -> None:
    folder = pictures(tmp_path)
    with VideoReader(folder, 0.2, fps=25) as video:
        frames = list(video)
    assert (video.size, video.fps, video.expected_frames) == ((64, 48), 25.0, 7)
    assert [frame.index for frame in frames] == list(range(5, 12))
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(5, 12) / 25)
    np.testing.assert_array_equal(frames[-1].image, picture((64, 48), 12))  # 10 comes after 9
    assert video.warnings == []


def test_what_is_wrong_with_pictures_is_told(tmp_path: Path) -> None:
    folder = pictures(tmp_path, ((64, 48), (64, 48), (128, 96), (64, 48)))
    (folder / "image2.png").write_bytes(b"no picture")
    (folder / "image4.png").rename(folder / "image6.png")
    with VideoReader(folder, fps=10) as video:
        frames = list(video)
    assert [frame.time_s for frame in frames] == pytest.approx([0.0, 0.2, 0.3])
    assert {frame.image.shape for frame in frames} == {(48, 64, 3)}
    sizes, unreadable, hole = video.warnings
    assert "1 of 4 images" in unreadable
    assert "image2.png" in unreadable
    assert "it is 64x48 pixels, but 128x96 in 1 of its 3 frames" in sizes
    assert "the first after image3.png" in hole


def _read_folder(folder: Path, *names: str) -> VideoReader:
    """A folder with a picture under each name, read to its end."""
    folder.mkdir(exist_ok=True)
    for n, name in enumerate(names):
        coded = cv2.imencode(Path(name).suffix, picture((64, 48), n)[..., ::-1])[1]
        (folder / name).write_bytes(coded.tobytes())
    with VideoReader(folder, fps=30) as video:
        list(video)
    return video


def test_the_most_frequent_size_is_the_videos(tmp_path: Path) -> None:
    folder = pictures(tmp_path, ((16, 12), *((128, 96),) * 40))
    with VideoReader(folder, fps=30) as video:
        assert {frame.image.shape for frame in video} == {(96, 128, 3)}
    (warning,) = video.warnings
    assert "it is 128x96 pixels, but 16x12 in 1 of its 41 frames" in warning


def test_a_turned_picture_of_another_shape_is_fitted_in(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n, orientation in enumerate((1, 1, 6)):
        _with_orientation(folder / f"{n}.jpg", orientation)
    with VideoReader(folder, fps=30) as video:
        image = list(video)[-1].image
    assert corners(image[:, 14:50])["top left"] == AS_SHOWN[6][0]
    assert (image[:, :13] == 0).all()
    (warning,) = video.warnings
    assert "it is 64x48 pixels, but 48x64 in 1 of its 3 frames" in warning


@pytest.mark.parametrize("thumbnail", [False, True])
def test_a_jpeg_that_is_cut_off_is_told(tmp_path: Path, thumbnail: bool) -> None:
    names = [f"{n}.jpg" for n in range(3)]
    assert _read_folder(tmp_path / "a", *names).warnings == []
    path = tmp_path / "a" / "1.jpg"
    data = path.read_bytes()
    if thumbnail:  # in a segment that ends as a JPEG does
        data = data[:2] + b"\xff\xe1\0\x0a\xff\xd8\xff\xda\0\0\xff\xd9" + data[2:]
    path.write_bytes(data[:2] + b"\xff\xff" + data[2:] + b"what phones append: \xff\xda")
    with VideoReader(tmp_path / "a", fps=30) as video:
        list(video)
    assert video.warnings == []
    path.write_bytes(data[: len(data) * 3 // 4])
    with VideoReader(tmp_path / "a", fps=30) as video:
        assert len(list(video)) == 3
    (warning,) = video.warnings
    assert "1 of 3 images" in warning
    assert "lack their end, the first of them 1.jpg" in warning


@pytest.mark.parametrize(
    ("names", "places", "first"),
    [
        (("l_1", "l_2", "r_1", "r_2"), "one place", "from l_2.png to r_1.png"),
        (("1_l", "1_r", "2_l", "2_r"), "2 places", "from 1_l.png to 1_r.png"),
        (("c1_1", "c1_2", "c1_3", "c2_1", "c2_2"), "one place", "from c1_3.png to c2_1.png"),
        (("cover", "frame1", "frame2"), "one place", "from cover.png to frame1.png"),
        (("1", "01", "001"), "2 places", "from 001.png to 01.png"),
        (("f-1", "f-2", "f0", "f1", "f2"), "one place", "from f2.png to f-1.png"),
        (("cat", "dog"), "one place", "from cat.png to dog.png"),
    ],
)
def test_names_that_do_not_count_on_are_told(
    tmp_path: Path, names: tuple[str, ...], places: str, first: str
) -> None:
    (warning,) = _read_folder(tmp_path / "a", *(f"{name}.png" for name in names)).warnings
    assert f"breaks in {places}, first {first};" in warning


@pytest.mark.parametrize(
    "names",
    [
        ("clip2_0007_png.rf.4e73a", "clip2_0008_png.rf.1c22b", "clip2_0009_png.rf.99f"),
        ("20240131_235959", "20240201_235960", "20240201_235961"),
        ("1700000000.12", "1700000000.62", "1700000001.12"),
        ("2024-05-01_12-00-58", "2024-05-01_12-00-59", "2024-05-01_12-01-00"),
        ("2024-05-01_23-00-00", "2024-05-02_00-00-00", "2024-05-03_00-00-00"),
        ("12h00m40s", "12h00m50s", "12h01m00s"),
        ("9", "10", "11"),
    ],
)
def test_names_that_count_on(tmp_path: Path, names: tuple[str, ...]) -> None:
    warnings = _read_folder(tmp_path / "a", *(f"{name}.png" for name in names)).warnings
    assert not [warning for warning in warnings if "numbering" in warning]


def test_pictures_of_other_kinds_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    for n in (2, 3):
        (folder / f"{n}.heic").write_bytes(b"x")
    with pytest.raises(VideoError, match=r"cannot be read here, such as 2\.heic; convert them"):
        VideoReader(folder, fps=30)
    (folder / "0.cr2").write_bytes(b"x")  # the camera's raw picture of 0.jpg
    (warning,) = _read_folder(folder, "0.jpg", "1.jpg").warnings
    assert "of kinds that are not read (2, the first is 2.heic); they are left out" in warning


def test_a_name_with_a_pattern_is_a_name(tmp_path: Path) -> None:
    """FFmpeg would read `a0.png` in place of `a%d.png`."""
    video = _read_folder(tmp_path / "a", "a0.png", "a1.png", "a%d.png")
    with VideoReader(video.path / "a%d.png") as alone, VideoReader(video.path, fps=30) as folder:
        images = [next(iter(alone)).image, list(folder)[-1].image]
    for image in images:
        np.testing.assert_array_equal(image, picture((64, 48), 2))


def test_a_folder_of_pictures_needs_a_rate(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="give their frame rate with --fps"):
        VideoReader(pictures(tmp_path))


@pytest.mark.parametrize("fps", [1 / 2500, 1 / 1003.7, 30000 / 1001, 23.976024, 9999.5, 1e-5])
def test_the_rate_of_pictures_is_as_given(tmp_path: Path, fps: float) -> None:
    with VideoReader(pictures(tmp_path), fps=fps) as video:
        times = [frame.time_s for frame in video]
    assert video.fps == pytest.approx(fps, rel=1e-5)
    assert np.diff(times) == pytest.approx(np.full(11, 1 / fps), rel=1e-5)
    if fps == 30000 / 1001:
        assert video.time_base == Fraction(1001, 30000)


@pytest.mark.parametrize("fps", [0.0, -1.0, 1e-6, 20_000.0, float("nan")])
def test_no_rate_for_pictures(tmp_path: Path, fps: float) -> None:
    with pytest.raises(UsageError, match="a folder of images cannot have such a rate"):
        VideoReader(pictures(tmp_path), fps=fps)


def test_further_pages_of_a_picture_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    pages = [picture((64, 48), n)[..., ::-1] for n in range(2)]
    assert cv2.imwritemulti(str(folder / "1.tif"), pages)
    assert cv2.imwrite(str(folder / "2.tif"), pages[1])
    _, warnings = times_of(folder, fps=30)
    assert len(warnings) == 1
    assert "1 of 2 images in" in warnings[0]
    assert "have several pages, the first of them 1.tif; only the first page" in warnings[0]


def test_the_hash_of_pictures_is_of_their_names_and_contents(tmp_path: Path) -> None:
    folder = pictures(tmp_path)
    hashes = [content_hash(folder)]
    (folder / "notes.txt").write_text("no picture")
    assert content_hash(folder) == hashes[0]
    (folder / "image3.png").rename(folder / "image33.png")
    hashes.append(content_hash(folder))
    (folder / "image4.png").write_bytes((folder / "image5.png").read_bytes())
    hashes.append(content_hash(folder))
    assert all(before != after for before, after in pairwise(hashes))


def test_colours_of_pictures(tmp_path: Path) -> None:
    with VideoReader(pictures(tmp_path), fps=30) as video:
        assert tuple(next(iter(video)).image[2, 2]) == CORNERS["top left"]
