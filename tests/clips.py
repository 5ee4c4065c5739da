"""Tiny generated test videos."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

NTSC = Fraction(30000, 1001)
CORNERS = {
    "top left": (255, 0, 0),
    "top right": (0, 255, 0),
    "bottom left": (0, 0, 255),
    "bottom right": (255, 255, 255),
}


def picture(size: tuple[int, int], step: int = 0) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: grey that changes with `step`, a pure colour in each corner (`CORNERS`)."""
    width, height = size
    level = min(step % 32, -step % 32)  # up and down again, as a jump would be a cut
    image = np.full((height, width, 3), 40 + 8 * level, np.uint8)
    for name, colour in CORNERS.items():
        rows = slice(0, height // 4) if "top" in name else slice(height - height // 4, height)
        columns = slice(0, width // 4) if "left" in name else slice(width - width // 4, width)
        image[rows, columns] = colour
    return image


def corners(image: NDArray[np.uint8]) -> dict[str, str]:
    """The index into `CORNERS` of the colour in each corner of an image."""
    height, width = image.shape[:2]
    found = {}
    for name in CORNERS:
        y = height // 8 if "top" in name else height - 1 - height // 8
        x = width // 8 if "left" in name else width - 1 - width // 8
        distances = {
            colour: float(np.abs(image[y, x].astype(int) - rgb).sum())
            for colour, rgb in CORNERS.items()
        }
        found[name] = min(distances, key=lambda colour: distances[colour])
    return found


def make_clip(
    path: Path,
    *,
    size: tuple[int, int] = (64, 48),
    frames: int = 12,
    rate: Fraction = NTSC,
    ticks: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    rotation: int = 0,
    mirror: bool = False,
    aspect: Fraction | None = None,
    sound_s: float = 0,
    sound: str = "aac",
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    tags: dict[str, int] | None = None,
    noise: bool = False,
    cuts: Sequence[int] = (),
    codec_options: dict[str, str] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A video of `picture`s.

    Args:
        size: width and height as stored, before rotation.
        rate: frames per second, unless `ticks` gives the time of every frame in `time_base`s.
        rotation: counter-clockwise degrees a player has to turn the stored picture by.
        mirror: the player has to mirror it left to right after that.
        sound_s: how long it beeps, at every full second and a quarter.
        sound: its codec.
        tags: `colorspace`, `color_trc`, `color_primaries` and `color_range`, FFmpeg's codes.
        noise: fill the middle with noise, so that frames are of some thousand bytes.
        cuts: frames from which on the picture is upside down and negative, or no longer so.
    """
    ticks = list(range(frames)) if ticks is None else list(ticks)
    time_base = time_base or 1 / rate
    random = np.random.default_rng(0)
    with av.open(str(path), "w", options=options or {}) as container:
        stream = container.add_stream(codec, rate=rate, options=codec_options or {})
        stream.width, stream.height = size
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = time_base
        for name, code in (tags or {}).items():
            setattr(stream.codec_context, name, code)
        if aspect is not None:
            stream.sample_aspect_ratio = aspect
        if rotation or mirror:
            stream.set_display_rotation(rotation, hflip=mirror)
        track = container.add_stream(sound, rate=16000) if sound_s else None
        for step, tick in enumerate(ticks):
            image = picture(size, step)
            if noise:
                middle = image[size[1] // 4 : -(size[1] // 4), size[0] // 4 : -(size[0] // 4)]
                middle[:] = random.integers(0, 255, middle.shape)
            if sum(step >= cut for cut in cuts) % 2:
                image = 255 - image[::-1, ::-1]
            frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=pix_fmt)
            for name, code in (tags or {}).items():
                setattr(frame, name, code)
            frame.pts, frame.time_base = tick, time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None:
            _add_sound(container, track, sound_s)
    return path


def make_sound(path: Path, seconds: float = 0.5) -> Path:
    """An MP4 with a sound track and no picture."""
    with av.open(str(path), "w") as container:
        _add_sound(container, container.add_stream("aac", rate=16000), seconds)
    return path


def _add_sound(container: Any, stream: Any, seconds: float) -> None:
    times = np.arange(round(16000 * seconds)) / 16000
    beeps = np.sin(2 * np.pi * 440 * times) * ((times - 0.25) % 1 < 0.1) * (times >= 0.25)
    frame = av.AudioFrame.from_ndarray(beeps[None].astype(np.float32), "fltp", "mono")
    frame.sample_rate = 16000
    frame.pts = 0
    context = stream.codec_context
    size = 1152 if context.name in ("mp2", "mp2fixed") else 1024
    resampler = av.AudioResampler(context.format.name, context.layout, 16000, size)
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(piece))
    container.mux(stream.encode(None))


def sound_packets(path: Path) -> list[bytes]:
    """The coded sound of a video from 0 s on."""
    with av.open(str(path)) as container:
        packets = list(container.demux(container.streams.audio[0]))
    return [bytes(packet) for packet in packets if packet.pts is not None and packet.pts >= 0]


def cut(path: Path, fraction: float = 0.5) -> Path:
    """Keep only the first part of a file's bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * fraction)])
    return path


def damage(path: Path, at: float = 0.5, length: int = 600) -> Path:
    """Overwrite some bytes in the middle of a file with noise."""
    data = bytearray(path.read_bytes())
    start = int(len(data) * at)
    data[start : start + length] = np.random.default_rng(1).bytes(length)
    path.write_bytes(data)
    return path
