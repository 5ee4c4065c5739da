"""A video's frames as a stream, each at its exact time.

Memory does not grow with the length of a video. Times are the container's own; no frame is
dropped, doubled or reordered unseen, and `warnings` says what could not be read.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vidpose.errors import VideoError
from vidpose.utils.files import obstacle

Image = NDArray[np.uint8]

NUDGE_S = 1e-4
"""A frame whose stamp does not rise is placed this long after the one before it."""
CLOCK_JUMP_S = 1.0
"""A stamp that falls back further than this is a restarted clock, not a doubled stamp."""
OLD_PYAV = int(av.__version__.partition(".")[0]) < 19
LENIENT: dict[str, Any] = {"metadata_errors": "ignore"} if OLD_PYAV else {}
"""Titles that are not UTF-8 do no harm: from PyAV 19 on by itself."""
USUAL_TICKS = 90_000
"""Ticks a second where the container does not say, as in MPEG-TS."""


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a video."""

    index: int
    """Position in the source video, counted from its first readable frame."""
    time_s: float
    """When it is shown, seconds, as the container says."""
    image: Image
    """(H, W, 3) RGB, upright, square pixels; of the size that the reader was asked for."""
    duration_s: float
    """How long it is shown, seconds; one average frame where the container does not say."""


@dataclass(frozen=True)
class _Orientation:
    """The display matrix's part that matters: transpose first, then mirror x, then y."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> _Orientation:
        side_data: Any = frame.side_data.get("DISPLAYMATRIX")
        if side_data is None:
            return cls()
        # Row vectors: x' = a x + c y, y' = b x + d y, in 16.16 fixed point.
        a, b, _, c, d = np.frombuffer(side_data, np.int32)[:5].tolist()
        # An angle that is no quarter turn goes to the nearest one.
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height as stored to those as displayed, or back."""
        return (size[1], size[0]) if self.transpose else size

    def __call__(self, image: Image) -> Image:
        upright: Any = cv2.transpose(image) if self.transpose else image
        for mirrored, axis in ((self.mirror_x, 1), (self.mirror_y, 0)):
            upright = cv2.flip(upright, axis) if mirrored else upright
        return cast(Image, upright)


class _Clock:
    """Container stamps to times that rise.

    A frame without a stamp comes one frame duration after the one before it; a stamp that does not
    rise is put just after it; and after a stamp far back (a recorder restarted its clock) time goes
    on from where it was. Every such frame is counted in `corrected`.
    """

    def __init__(self) -> None:
        self.corrected = 0
        self._end = 0.0
        self._last: float | None = None
        self._offset = 0.0

    def __call__(self, stamp_s: float | None, duration_s: float) -> float:
        time = self._end if stamp_s is None else stamp_s + self._offset
        falls = self._last is not None and time <= self._last
        self.corrected += stamp_s is None or falls
        if self._last is not None and falls:
            if time < self._last - CLOCK_JUMP_S:
                self._offset += self._end - time
                time = self._end
            else:
                time = self._last + NUDGE_S
        self._last, self._end = time, time + duration_s
        return time


class VideoReader:
    """The frames of a video, upright, in the order they are shown, once.

        with VideoReader("walk.mp4") as video:
            for frame in video:
                ...

    Stored rotation and mirroring are applied, pixels are made square, and a size that changes
    on the way is brought to that of the first frame. A damaged part is skipped and reading goes
    on after it with true times; a video that is cut off ends where it is cut. Both leave a
    sentence in `warnings`, complete when the iteration has ended. A container with neither
    its length nor its number of frames (MPEG-TS) cannot show that its end is missing.

    Args:
        path: the video.
        start_s, end_s: keep the frames with start_s <= time since the first frame < end_s.
            Frames before are decoded all the same, so that `Frame.index` is exact.
        skip: leave out as many of these frames; they are decoded, too, so that times, indices
            and warnings are what they are without it.
        picture_size: width and height of the images, in place of `size`. Scaling while colours
            are converted takes less than half the time of scaling afterwards.

    Raises:
        VideoError: the path is missing, a directory, no video or without a readable frame; or
            (while iterating) no frame lies between start_s and end_s.
    """

    size: tuple[int, int]
    """Width and height in pixels as displayed."""
    fps: float
    """Average frames a second."""
    duration_s: float | None
    """Length of all of the video, seconds; None where the container does not say."""
    expected_frames: int | None
    """How many frames there are between start and end, as far as the container says."""
    time_base: Fraction
    """The container's tick, seconds."""
    warnings: list[str]
    """What was wrong with the video, one sentence each."""

    def __init__(
        self,
        path: str | Path,
        start_s: float | None = None,
        end_s: float | None = None,
        *,
        skip: int = 0,
        picture_size: tuple[int, int] | None = None,
    ) -> None:
        self.path = Path(path)
        self._skip = skip
        self._picture_size = picture_size
        self.warnings = []
        self._start_s = start_s or 0.0
        self._end_s = float("inf") if end_s is None else end_s
        self._decoded = self._damaged_packets = self._damaged_frames = 0
        self._reached_s = 0.0  # of all streams: audio may outlast the picture
        self._clock = _Clock()
        self._reformatter = VideoReformatter()
        with ExitStack() as on_error:
            self._container = on_error.enter_context(_open(self.path))
            self._stream = _video_stream(self._container, self.path)
            # Threads over frames lose the damage flag of some frames, another one each time.
            self._stream.thread_type = "SLICE"
            self._frames = self._decode()
            first = next(self._frames, None)
            if first is None:
                raise VideoError(
                    f"{self.path} has no frame that can be read; the file is damaged or cut off: "
                    "copy it again."
                )
            self._describe(first)
            self._selected = self._select(first)
            on_error.pop_all()

    def __enter__(self) -> VideoReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        # Ended, the generators free the decoder's frames now, not when garbage is collected.
        self._selected.close()
        self._frames.close()
        self._container.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._selected

    def _describe(self, first: VideoFrame) -> None:
        stream, container = self._stream, self._container
        self._orientation = _Orientation.of(first)
        square = _square_pixels(first.width, first.height, stream.sample_aspect_ratio)
        self.size = self._orientation.size(square)
        self._stored_size = self._orientation.size(self._picture_size or self.size)
        shrinks = self._stored_size[0] < square[0]
        self._interpolation = Interpolation.AREA if shrinks else Interpolation.BILINEAR
        self.time_base = stream.time_base or Fraction(1, USUAL_TICKS)

        self.duration_s = None
        self._end_of_stream_s = float("inf")
        if stream.duration:
            end = (stream.duration + (stream.start_time or 0)) * self.time_base
            self._end_of_stream_s = float(end)
            self.duration_s = float(stream.duration * self.time_base)
        elif container.duration:
            self.duration_s = container.duration / av.time_base

        rate = stream.average_rate or stream.guessed_rate
        if rate is None or rate <= 0:
            rate = Fraction(25)
            self.warnings.append(
                f"{self.path} does not say its frame rate; {rate} frames/s are assumed."
            )
        self.fps = float(rate)

        self._all_frames = stream.frames or None
        if self._all_frames is None and self.duration_s is not None:
            self._all_frames = max(1, round(self.duration_s * self.fps))
        self.expected_frames = self._all_frames
        if self._all_frames is not None:
            until = min(self._all_frames, np.ceil(self._end_s * self.fps - 1e-6))
            self.expected_frames = max(0, int(until - np.ceil(self._start_s * self.fps - 1e-6)))

    def _decode(self) -> Generator[VideoFrame, None, None]:
        """Every readable frame; what cannot be read is counted and skipped."""
        try:
            for packet in self._container.demux():
                self._note(packet)
                if packet.stream is self._stream:
                    yield from self._decoded_from(packet)
        except av.FFmpegError:
            self._damaged_packets += 1
            yield from self._decoded_from(None)

    def _decoded_from(self, packet: Any) -> Iterator[VideoFrame]:
        try:
            frames = self._stream.decode(packet)
        except av.FFmpegError:
            self._damaged_packets += 1
            return
        for frame in frames:
            self._decoded += 1
            self._damaged_frames += frame.is_corrupt
            yield frame

    def _note(self, packet: Any) -> None:
        self._damaged_packets += packet.is_corrupt
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and packet.time_base:
            end = float((stamp + (packet.duration or 0)) * packet.time_base)
            self._reached_s = max(self._reached_s, end)

    def _select(self, first: VideoFrame) -> Generator[Frame, None, None]:
        zero = since = 0.0
        selected = 0
        frame: VideoFrame | None = first
        for index in count():
            if frame is None:
                break
            duration = float((frame.duration or 0) * self.time_base) or 1 / self.fps
            stamp = None if frame.pts is None else float(frame.pts * self.time_base)
            time = self._clock(stamp, duration)
            zero = zero if index else time
            since = round(time - zero, 6)  # 0.7 - 0.2 is 0.5
            if since >= self._end_s:
                break
            following = next(self._frames, None)
            if time < self._end_of_stream_s < float("inf"):
                # With B-frames the last frame carries another one's duration.
                left = self._end_of_stream_s - time
                complete = following is None and self._decoded == self._all_frames
                duration = left if complete else min(duration, left)
            if since >= self._start_s:
                selected += 1
                if selected > self._skip:
                    yield Frame(index, time, self._image(frame), duration)
            frame = following
        if not selected:
            until = "" if np.isinf(self._end_s) else f" and before {self._end_s:g} s"
            raise VideoError(
                f"{self.path} has no frame from {self._start_s:g} s on{until}; the last one "
                f"read is at {since:.2f} s: choose another start or end."
            )
        self._conclude(ended=frame is None)

    def _image(self, frame: VideoFrame) -> Image:
        source = frame.colorspace
        if source == Colorspace.DEFAULT and self._orientation.size(self.size)[1] >= 720:
            source = Colorspace.ITU709  # what players take untagged HD for
        rgb = self._reformatter.reformat(
            frame,
            *self._stored_size,
            "rgb24",
            src_colorspace=source,
            dst_color_range=ColorRange.JPEG,
            interpolation=self._interpolation,
        )
        return self._orientation(cast(Image, rgb.to_ndarray()))

    def _conclude(self, ended: bool) -> None:
        if self._clock.corrected:
            self.warnings.append(
                f"{self.path} has {self._clock.corrected} frames without a usable time stamp; "
                "their times are estimated from their neighbours."
            )
        damaged = self._damaged_packets + self._damaged_frames > 0
        if damaged or (ended and self._ended_early()):
            what = "damaged" if damaged and not self._ended_early() else "damaged or cut off"
            of_all = f" of {self._all_frames}" if ended and self._all_frames else ""
            self.warnings.append(
                f"{self.path} is {what}: {self._decoded}{of_all} frames could be read"
                + (", some of them with errors in the picture." if self._damaged_frames else ".")
            )

    def _ended_early(self) -> bool:
        if not self._container.duration:
            return False
        start = self._container.start_time or 0
        promised = (start + self._container.duration) / av.time_base
        return bool(self._reached_s < promised - max(0.2, 1.5 / self.fps))


def check_file(path: Path) -> None:
    """What can be said of a video before it is opened.

    Raises:
        VideoError: it is not there, or cannot be one.
    """
    if why := obstacle(path, "give the path of a video file"):
        raise VideoError(f"{path} {why}.")
    if path.stat().st_size == 0:
        raise VideoError(f"{path} is empty; copy the video again.")


def _open(path: Path) -> InputContainer:
    check_file(path)
    try:
        # Absolute, so that FFmpeg does not take `10:30.mp4` for a protocol.
        container = av.open(str(path.absolute()), **LENIENT)
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


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    streams = [s for s in container.streams.video if not s.disposition & s.disposition.attached_pic]
    if not streams:
        what = "only sound" if container.streams.audio else "no picture"
        raise VideoError(f"{path} holds {what}; give a file with a video track.")
    stream = streams[0]
    if stream.codec_context is None:
        raise VideoError(
            f"{path} is coded in a way that cannot be decoded here; convert it to H.264 first."
        )
    return stream


def _square_pixels(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """The size at which pixels are square; never smaller than what is stored."""
    if not aspect or not Fraction(1, 8) <= aspect <= 8:  # absent or nonsense
        return width, height
    return round(width * max(aspect, Fraction(1))), round(height * max(1 / aspect, Fraction(1)))
