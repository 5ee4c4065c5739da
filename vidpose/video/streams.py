"""Video files, what can be said of them before they are decoded, and which stream is the video."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidpose.errors import VideoError
from vidpose.utils.files import obstacle

OLD_PYAV = int(av.__version__.partition(".")[0]) < 19
AS_NAMED = {"pattern_type": "none"}
"""`a%03d.png` is one picture of this name, not a row of others."""
LENIENT: dict[str, Any] = {"metadata_errors": "ignore"} if OLD_PYAV else {}
"""Titles that are not UTF-8 do no harm: from PyAV 19 on by itself."""
TRANSPORT_PACKETS = (188, 192, 204)
"""Bytes of the kinds of packets of MPEG-TS."""
MOST_BOXES = 1000
"""An MP4 that is not in pieces has few; further ones are not looked at."""
FLAT = 0.8
"""Pixels of frames are no flatter than 8:9 in television, those of fields no higher than 32:45."""
PREVIEW_SHARE = 0.25
"""A stream with a smaller part of the largest one's pixels is a preview."""


def check_file(path: Path) -> None:
    """What can be said of a video, or a folder of pictures, before it is opened.

    Raises:
        VideoError: it is not there, or cannot be one.
    """
    if why := obstacle(path, "give the path of a video file", folder_will_do=True):
        raise VideoError(f"{path} {why}.")
    if path.is_file() and path.stat().st_size == 0:
        raise VideoError(f"{path} is empty; copy the video again.")


def open_container(path: Path) -> InputContainer:
    """Open a video file.

    Raises:
        VideoError: it is missing, or no video.
    """
    check_file(path)
    try:
        # Absolute, so that FFmpeg does not take `10:30.mp4` for a protocol.
        container = av.open(str(path.absolute()), options=AS_NAMED, **LENIENT)
    except (av.FFmpegError, OSError):
        raise VideoError(_why_not_a_video(path)) from None
    if container.format.name == "tty":  # FFmpeg plays any .txt as a film of a terminal
        container.close()
        raise VideoError(_why_not_a_video(path))
    return container


def _why_not_a_video(path: Path) -> str:
    with open(path, "rb") as stream:
        is_mp4 = stream.read(12)[4:8] == b"ftyp"
    if is_mp4:
        return f"{path} is cut off before the index that an MP4 needs; copy the video again."
    return f"{path} is not a video that can be read; give a video file such as MP4, MOV or MKV."


def video_stream(container: InputContainer, path: Path, warnings: list[str]) -> VideoStream:
    """The video among the streams; `warnings` gets a sentence if there are others.

    Raises:
        VideoError: there is none, or its codec is unknown.
    """
    pictures = Disposition.attached_pic | Disposition.timed_thumbnails
    streams = [s for s in container.streams.video if not s.disposition & pictures]
    if not streams:
        what = "only sound" if container.streams.audio else "no picture"
        raise VideoError(f"{path} holds {what}; give a file with a video track.")
    known = [s for s in streams if s.codec_context is not None]
    if not known:
        raise VideoError(
            f"{path} is coded in a way that cannot be decoded here; convert it to H.264 first."
        )
    largest = max(map(_pixels, known))
    full = [s for s in known if _pixels(s) >= PREVIEW_SHARE * largest]

    def likely(stream: VideoStream) -> tuple[bool, int, int]:
        return bool(stream.disposition & Disposition.default), _pixels(stream), stream.frames

    stream = max(full, key=likely)
    if len(streams) > 1:
        warnings.append(
            f"{path} has {len(streams)} video streams; number {stream.index}, "
            f"{stream.codec_context.width}x{stream.codec_context.height} pixels, is read."
        )
    return stream


def _pixels(stream: VideoStream) -> int:
    return stream.codec_context.width * stream.codec_context.height


def square_pixels(frame: VideoFrame, aspect: Fraction | None) -> tuple[int, int]:
    """The size at which pixels are square; never smaller than what is stored."""
    width, height = frame.width, frame.height
    if not aspect or not Fraction(1, 8) <= aspect <= 8:  # absent or nonsense
        return width, height
    return round(width * max(aspect, Fraction(1))), round(height * max(1 / aspect, Fraction(1)))


class PixelAspect:
    """The shape of a stream's pixels, width by height.

    What the container says holds for all frames. What the codec says may change with a key frame,
    as in a transport stream from one programme to the next.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._codec = stream.codec_context
        self._aspect = stream.sample_aspect_ratio
        self._is_codecs = self._aspect == self._codec.sample_aspect_ratio

    def of(self, frame: VideoFrame) -> Fraction | None:
        """That of the frame that was decoded last; None if it is unknown."""
        # The codec is ahead of the frames that the decoder holds back; all of them come before the
        # key frame.
        if self._is_codecs and frame.key_frame:
            self._aspect = self._codec.sample_aspect_ratio
        return self._aspect


def of_fields(aspect: Fraction | None) -> Fraction:
    """The shape of pixels of a single field, which is shown as high as a frame.

    Files mostly say that of a frame's pixels; what is flat already is a field's.
    """
    return aspect if aspect and aspect < FLAT else (aspect or Fraction(1)) / 2


def no_frame(path: Path) -> str:
    """Why a video has no frame that can be read, one sentence."""
    head = b""
    if path.is_file():
        with open(path, "rb") as stream:
            head = stream.read(21)
    if head[:4] == b"RIFF" and head[8:16] == b"WEBPVP8X" and head[20] & 2:
        return f"{path} is an animated WebP, which cannot be read here; convert it to a video."
    return f"{path} has no frame that can be read; the file is damaged or cut off: copy it again."


def is_cut_off_transport_stream(path: Path) -> bool:
    """Whether an MPEG-TS file ends inside a packet."""
    size = path.stat().st_size if path.is_file() else 0
    return all(size % packet for packet in TRANSPORT_PACKETS)


def has_another_mp4(path: Path) -> bool:
    """Whether an MP4 goes on with another one, which FFmpeg does not read. One in pieces, such as
    DASH, may say again what it is.
    """
    movies = 0
    with open(path, "rb") as stream:
        for _ in range(MOST_BOXES):
            head = stream.read(8)
            size, length = int.from_bytes(head[:4], "big"), 8
            if size == 1:
                size, length = int.from_bytes(stream.read(8), "big"), 16
            movies += head[4:] == b"moov"
            if movies > 1 or head[4:] == b"moof" or size < length:
                break
            stream.seek(size - length, os.SEEK_CUR)
    return movies > 1
