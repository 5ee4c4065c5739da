"""Odd videos, made on the spot, and what must hold for whatever is read as a video.

`CASES` are odd but whole; `mutants` are damaged copies of them. `examine` takes a video through all
steps of `infer`, with a stand-in for the detector and a tiny network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition

from tests.clips import NTSC, cut, make_clip, make_sound, picture
from tests.dataset_files import make_checkpoint
from tests.fakes import FakeDetector
from vidpose.detect.base import detect_frames
from vidpose.errors import VidposeError
from vidpose.lifting.lifter import Lifter, lift_poses
from vidpose.models import Checkpoint, load_checkpoint, save_checkpoint
from vidpose.options import PostprocessOptions
from vidpose.pipeline import average_fps
from vidpose.poses import load, save
from vidpose.postprocess import postprocess
from vidpose.postprocess.smoothing import smooth_pictures
from vidpose.tracking.collector import PoseCollector
from vidpose.utils.gaps import gaps_in
from vidpose.video import VideoReader

Make = Callable[[Path], Path]
"""Takes a folder, gives the video that it has put there."""

MOST_CELLS = 20
"""Frames that the network lifts for each frame of a video: half a second at 30 frames/s, and the
ends of parts."""
MS = Fraction(1, 1000)


def _clip(name: str, **how: Any) -> Make:
    return lambda folder: make_clip(folder / name, **how)


def _stamps(name: str, *ticks: int, time_base: Fraction = MS, **how: Any) -> Make:
    return _clip(name, ticks=ticks, time_base=time_base, **how)


def _tagged(colorspace: int, color_trc: int = 2, color_primaries: int = 2) -> dict[str, int]:
    return {
        "colorspace": colorspace,
        "color_trc": color_trc,
        "color_primaries": color_primaries,
    }


def two_streams(folder: Path, name: str = "two.mkv") -> Path:
    """A preview of 32 x 24 pixels before the video of 128 x 96."""
    with av.open(str(folder / name), "w") as container:
        streams = []
        for size in ((32, 24), (128, 96)):
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height = size
            stream.pix_fmt = "yuv420p"
            streams.append((stream, size))
        for step in range(8):
            for stream, size in streams:
                frame = av.VideoFrame.from_ndarray(picture(size, step), "rgb24")
                container.mux(stream.encode(frame))
        for stream, _ in streams:
            container.mux(stream.encode(None))
    return folder / name


def with_cover(folder: Path, name: str = "cover.mp4", video: bool = True) -> Path:
    """A cover of 320 x 240 pixels, and after it a video of 64 x 48, or only sound."""
    with av.open(str(folder / name), "w") as container:
        cover = container.add_stream("mjpeg")
        cover.width, cover.height, cover.pix_fmt = 320, 240, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        stream: Any = container.add_stream(
            "libx264" if video else "aac", rate=30 if video else 16000
        )
        if video:
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(picture((320, 240)), "rgb24")
        container.mux(cover.encode(frame.reformat(format="yuvj420p")))
        container.mux(cover.encode(None))
        for step in range(6 if video else 0):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(picture((64, 48), step), "rgb24"))
            )
        if not video:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
            silence.sample_rate, silence.pts = 16000, 0
            container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    return folder / name


def no_frames(folder: Path) -> Path:
    """A container with a video track and nothing in it."""
    path = folder / "nothing.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    return path


def joined(folder: Path, name: str = "joined.ts", sizes: tuple[int, ...] = (64, 32, 128)) -> Path:
    """Transport streams of several sizes, one after the other: the clock starts anew in each."""
    parts = [make_clip(folder / f"part{n}.ts", size=(n, n)).read_bytes() for n in sizes]
    path = folder / name
    path.write_bytes(b"".join(parts))
    return path


def changing(
    folder: Path,
    name: str = "changing.ts",
    sizes: tuple[tuple[int, int], ...] = ((128, 96), (96, 128)),
    aspects: tuple[int, ...] = (1, 1),
    filters: tuple[str, ...] = ("h264_mp4toannexb",) * 2,
    frames: int = 6,
) -> Path:
    """Videos of several sizes, shapes of pixels and turns in one stream with one clock."""
    with av.open(str(folder / name), "w") as container:
        stream = None
        for part, (size, aspect, chain) in enumerate(zip(sizes, aspects, filters, strict=True)):
            clip = make_clip(
                folder / f"part{part}.mp4",
                size=size,
                frames=frames,
                rate=Fraction(30),
                aspect=Fraction(aspect),
                codec_options={"bf": "2", "x264-params": "b-adapt=0:scenecut=0"},
            )
            with av.open(str(clip)) as source:
                coded = source.streams.video[0]
                if stream is None:
                    stream = container.add_stream_from_template(coded)
                change = BitStreamFilterContext(chain, coded)
                for packet in source.demux(coded):
                    for changed in change.filter(packet if packet.size else None):
                        shift = round(part * frames / 30 / coded.time_base)
                        changed.pts, changed.dts = changed.pts + shift, changed.dts + shift
                        changed.time_base, changed.stream = coded.time_base, stream
                        container.mux(changed)
    return folder / name


def hevc_fields(folder: Path) -> Path:
    """HEVC whose pictures are the fields of interlaced frames of 128 x 96."""
    params = {"x265-params": "interlace=tff:log-level=none"}
    return make_clip(
        folder / "a.mp4", codec="libx265", size=(128, 48), frames=24, codec_options=params
    )


def without_stamps(folder: Path) -> Path:
    """H.264 with B-frames in AVI, which stores no times of showing."""
    how = {"bf": "2", "x264-params": "b-adapt=0:scenecut=0"}
    path = folder / "b_frames.avi"
    source = make_clip(folder / "b_frames.h264", rate=Fraction(30), frames=24, codec_options=how)
    with av.open(str(source)) as coded, av.open(str(path), "w") as container:
        stream = container.add_stream_from_template(coded.streams.video[0])
        packets = [packet for packet in coded.demux(video=0) if packet.size]
        for n, packet in enumerate(packets):
            packet.pts = packet.dts = n
            packet.time_base = Fraction(1, 30)
            packet.stream = stream
            container.mux(packet)
    return path


def pictures(folder: Path, sizes: tuple[tuple[int, int], ...] = ((64, 48),) * 12) -> Path:
    """A folder of numbered pictures, `image1.png` and so on."""
    path = folder / "pictures"
    path.mkdir()
    for n, size in enumerate(sizes, 1):
        assert cv2.imwrite(str(path / f"image{n}.png"), picture(size, n)[..., ::-1])
    return path


CASES: dict[str, Make] = {
    **{f"container {kind}": _clip(f"a.{kind}") for kind in ("mp4", "mkv", "avi", "ts", "mov")},
    "container webm": _clip("a.webm", codec="libvpx"),
    "codec hevc": _clip("a.mp4", codec="libx265", codec_options={"x265-params": "log-level=none"}),
    "codec vp9": _clip("a.webm", codec="libvpx-vp9"),
    "codec av1": _clip("a.mkv", codec="libsvtav1", size=(128, 96)),
    "codec mjpeg": _clip("a.mov", codec="mjpeg", pix_fmt="yuvj420p"),
    "codec mpeg2": _clip("a.ts", codec="mpeg2video", rate=Fraction(30)),
    "codec mpeg4": _clip("a.avi", codec="mpeg4", codec_options={"bf": "2"}, rate=Fraction(30)),
    "codec prores": _clip("a.mov", codec="prores_ks", pix_fmt="yuv422p10le"),
    "codec ffv1": _clip("a.mkv", codec="ffv1"),
    "raw h264": _clip("a.h264"),
    "10 bits": _clip("a.mp4", pix_fmt="yuv420p10le"),
    "12 bits": _clip("a.mkv", codec="ffv1", pix_fmt="yuv420p12le"),
    "grey": _clip("a.mkv", codec="ffv1", pix_fmt="gray"),
    "rgb": _clip("a.mov", codec="png", pix_fmt="rgb24"),
    "rgb 10 bits": _clip("a.mkv", codec="ffv1", pix_fmt="gbrp10le"),
    "alpha": _clip("a.mkv", codec="ffv1", pix_fmt="yuva420p"),
    "4:4:4": _clip("a.mp4", pix_fmt="yuv444p"),
    **{f"rotated by {turn}": _clip("a.mp4", rotation=turn) for turn in (90, 180, 270)},
    "mirrored": _clip("a.mp4", mirror=True),
    "oblong pixels": _clip("a.mp4", aspect=Fraction(64, 45)),
    "absurd pixels": _clip("a.mkv", aspect=Fraction(8, 1), size=(16_384, 16), frames=1),
    "odd size": _clip("a.mkv", codec="ffv1", size=(63, 47)),
    "one pixel": _clip("a.mkv", codec="ffv1", size=(1, 1), frames=2),
    "one row": _clip("a.mkv", codec="ffv1", size=(300, 1), frames=2),
    "16K wide": _clip("a.mkv", codec="ffv1", size=(16_384, 48), frames=2),
    "one frame": _clip("a.mp4", frames=1),
    "one frame in avi": _clip("a.avi", frames=1),
    "no frame": no_frames,
    "only sound": lambda folder: make_sound(folder / "a.mp4"),
    "only sound and a cover": lambda folder: with_cover(folder, video=False),
    "a cover": with_cover,
    "two streams": two_streams,
    "long sound": _clip("a.mkv", sound_s=3.0),
    "29.97 frames/s": _clip("a.mp4", rate=NTSC),
    "240 frames/s": _clip("a.mp4", rate=Fraction(240), frames=48),
    "variable rate": _stamps("a.mkv", 0, 33, 70, 200, 210, 700, 733, 1400),
    "2 frames/s": _stamps("a.mkv", *range(0, 6000, 500)),
    "1 frame/s": _stamps("a.mkv", *range(0, 12_000, 1000)),
    "a minute apart": _stamps("a.mkv", *range(0, 720_000, 60_000)),
    "five minutes apart": _stamps("a.mkv", 0, 300_000),
    "60 microseconds apart": _stamps("a.mp4", *range(0, 72, 6), time_base=Fraction(1, 100_000)),
    "an hour apart": _stamps("a.mkv", *range(0, 43_200_000, 3_600_000)),
    "a jump of a day": _stamps("a.mp4", *range(0, 200, 33), *range(86_400_000, 86_400_200, 33)),
    "a jump of three years": _stamps("a.mkv", 0, 33, 67, 10**11, 10**11 + 33, 10**11 + 67),
    "a microsecond apart": _stamps("a.mp4", *range(12), time_base=Fraction(1, 1_000_000)),
    "starts late": _stamps("a.ts", *range(582_000, 582_400, 33)),
    "starts before zero": _stamps("a.mkv", *range(-400, 0, 33)),
    "starts before zero in mp4": _stamps("a.mp4", *range(-400, 0, 33)),
    "no stamps": without_stamps,
    "several in one": joined,
    "changes in size": changing,
    "fields in hevc": hevc_fields,
    "a folder of pictures": pictures,
    "pictures of several sizes": lambda folder: pictures(folder, ((64, 48), (48, 64), (1, 1))),
    "interlaced": _clip("a.mp4", codec_options={"x264-params": "tff=1"}, size=(128, 96)),
    "interlaced mpeg2": _clip(
        "a.ts",
        codec="mpeg2video",
        rate=Fraction(25),
        codec_options={"flags": "+ildct+ilme", "field_order": "tt"},
    ),
    "PQ": _clip("a.mp4", pix_fmt="yuv420p10le", tags=_tagged(9, 16, 9)),
    "HLG": _clip("a.mp4", pix_fmt="yuv420p10le", tags=_tagged(9, 18, 9)),
    **{
        f"matrix {code}": _clip("a.mkv", codec="ffv1", tags=_tagged(code), frames=2)
        for code in (*range(3, 18), 255)
    },
    "half of a video": lambda folder: cut(
        make_clip(folder / "a.mp4", frames=40, noise=True, options={"movflags": "faststart"})
    ),
}
FPS = {"a folder of pictures", "pictures of several sizes"}
"""Those that do not say their rate."""
BASES = (
    *("container mp4", "container mkv", "container avi", "container ts", "container webm"),
    *("codec hevc", "codec vp9", "codec mjpeg", "codec mpeg2", "codec mpeg4", "codec av1"),
    *("long sound", "a cover", "two streams", "rotated by 90", "PQ", "variable rate", "no stamps"),
)
"""What mutants are made of."""


def mutants(folder: Path, count: int, seed: int = 0) -> Iterator[Path]:
    """Damaged copies of `BASES`, one after another in the same place: bits flipped, bytes
    overwritten, pieces cut out, doubled or exchanged, ends cut off.
    """
    sources = []
    for number, name in enumerate(BASES):
        place = folder / f"base{number}"
        place.mkdir()
        sources.append(CASES[name](place))
    for number in range(seed, seed + count):
        random = np.random.default_rng(number)
        source = sources[number % len(sources)]
        path = folder / f"mutant{number}{source.suffix}"
        path.write_bytes(_mutated(source.read_bytes(), random))
        yield path
        path.unlink()


def _mutated(data: bytes, random: np.random.Generator) -> bytes:
    out = bytearray(data)

    # Headers are small and matter most: half of the damage is near an end of the file.
    def place() -> int:
        reach = len(out) if random.random() < 0.5 else min(len(out), 2000)
        at = int(random.integers(reach))
        return at if random.random() < 0.7 else len(out) - 1 - at

    kind = random.integers(6)
    if kind == 0:
        for _ in range(int(random.integers(1, 30))):
            out[place()] ^= 1 << int(random.integers(8))
    elif kind == 1:
        at, length = place(), int(random.integers(1, 400))
        out[at : at + length] = random.bytes(min(length, len(out) - at))
    elif kind == 2:
        at, length = place(), int(random.integers(1, 2000))
        del out[at : at + length]
    elif kind == 3:
        at, length = place(), int(random.integers(1, 2000))
        out[at:at] = out[at : at + length]
    elif kind == 4:
        at = place() & ~3
        out[at : at + 4] = random.choice(
            [b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0"]
        )
    else:
        del out[int(random.integers(1, len(out))) :]
    return bytes(out)


@dataclass(frozen=True)
class Outcome:
    """What became of a video."""

    frames: int
    """That were read; 0 where there is an error."""
    error: str = ""
    warnings: tuple[str, ...] = ()


def tiny_lifter(folder: Path) -> Lifter:
    """A network that lifts in no time."""
    path = folder / "tiny.safetensors"
    save_checkpoint(path, make_checkpoint(frames=9, normalisation="person", fps=30.0))
    checkpoint: Checkpoint = load_checkpoint(path)
    return Lifter(checkpoint, "cpu")


def examine(path: Path, lifter: Lifter, fps: float | None = None) -> Outcome:
    """Take a video through all steps of `infer`.

    Raises:
        AssertionError: an error is more than a sentence, times make no sense, or the network lifts
            many more frames than there are.
        Exception: whatever is not a `VidposeError`.
    """
    try:
        with VideoReader(path, fps=fps) as reader:
            detector, collector = FakeDetector(lambda index: True), PoseCollector()
            frames = []
            for frame in reader:
                assert frame.image.shape == (reader.size[1], reader.size[0], 3)
                frames.append((frame.index, frame.time_s, frame.duration_s))
                for found in detect_frames(detector, [frame]):
                    collector.add(found)
            rate, size = reader.fps, reader.size
    except VidposeError as error:
        message = str(error)
        assert message.endswith("."), message
        assert "\n" not in message, message
        assert len(message) < 600, message
        return Outcome(0, message)
    for warning in reader.warnings:
        assert warning.endswith("."), warning
        assert "\n" not in warning, warning
    indices, times, durations = (np.array(values) for values in zip(*frames, strict=True))
    assert np.isfinite(times).all()
    assert (np.diff(times) > 0).all(), times
    assert (np.diff(indices) == 1).all()
    assert (durations > 0).all()
    poses = collector.finish(rate, size)
    _lift(replace(poses, fps=average_fps(poses.timestamps, rate)), lifter, path)
    return Outcome(len(frames), "", tuple(reader.warnings))


def _lift(poses: Any, lifter: Lifter, path: Path) -> None:
    cells = 0

    def counted(rows: Any, total: int | None, what: str) -> Any:
        nonlocal cells
        cells += total or 0
        return rows

    lifted = lift_poses(poses, lifter, None, counted)
    parts = 1 + int(gaps_in(poses.timestamps).sum())
    most = MOST_CELLS * poses.people * (poses.frames + parts)
    assert cells <= most, f"{cells} frames to lift for {poses.frames}"
    result = postprocess(lifted, PostprocessOptions(world=True))
    for method in ("savgol", "one-euro"):
        smooth_pictures(result, method)
    assert load(save(result, path.with_name("result.npz"))).fps == result.fps
