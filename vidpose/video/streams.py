"""Open and check video files, and choose the video stream."""

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
"""`a%03d.png` is one file of this name, not a pattern for several."""
LENIENT: dict[str, Any] = {"metadata_errors": "ignore"} if OLD_PYAV else {}
"""Accept metadata that is not UTF-8; PyAV 19 and later do so by default."""
TRANSPORT_PACKETS = (188, 192, 204)
"""Packet sizes of MPEG-TS, bytes."""
MOST_BOXES = 1000
"""Maximum number of boxes to read; an MP4 that is not fragmented has few."""
FLAT = 0.8
"""Pixel aspect ratio between television's frames (8:9 or more) and fields (32:45 or less)."""
PREVIEW_SHARE = 0.25
"""A stream with a smaller share of the largest stream's pixels is a preview."""


def check_file(path: Path) -> None:
    """Check a video file or folder of pictures without opening it.

    Raises:
        VideoError: it is missing, or cannot be one.
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
    """Choose the video stream; add a sentence to `warnings` if there are several.

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
            f"{path} has a video codec that cannot be decoded here; convert it to H.264 first."
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
    """Return the frame size with square pixels, never smaller than the stored one."""
    width, height = frame.width, frame.height
    if not aspect or not Fraction(1, 8) <= aspect <= 8:  # missing or invalid
        return width, height
    return round(width * max(aspect, Fraction(1))), round(height * max(1 / aspect, Fraction(1)))


class PixelAspect:
    """The aspect ratio of a stream's pixels, width by height.

    The container's ratio holds for all frames. The codec's may change with a key frame, as in a
    transport stream from one programme to the next.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._codec = stream.codec_context
        self._aspect = stream.sample_aspect_ratio
        self._is_codecs = self._aspect == self._codec.sample_aspect_ratio

    def of(self, frame: VideoFrame) -> Fraction | None:
        """Return that of the last decoded frame; None if unknown."""
        # The codec context is ahead of the frames that the decoder holds back, so its ratio is only
        # read with the key frame itself.
        if self._is_codecs and frame.key_frame:
            self._aspect = self._codec.sample_aspect_ratio
        return self._aspect


def of_fields(aspect: Fraction | None) -> Fraction:
    """Return the pixel aspect ratio of a single field, which is displayed as high as a frame.

    Most files state the ratio of a frame's pixels; a ratio below `FLAT` is a field's already.
    """
    return aspect if aspect and aspect < FLAT else (aspect or Fraction(1)) / 2


def no_frame(path: Path) -> str:
    """Say in one sentence why a video has no readable frame."""
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
    """Whether another MP4 follows in the file, which FFmpeg does not read.

    A fragmented MP4, such as DASH, may repeat its header.
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
