"""Write frames as H.264 in MP4, each at its exact time, with the sound of the source."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from av.video.frame import VideoFrame
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc, VideoReformatter
from av.video.stream import VideoStream

from vidpose.errors import VideoError
from vidpose.utils.files import replacing
from vidpose.video.colours import Image
from vidpose.video.sound import Sound
from vidpose.video.streams import LENIENT

MARK = "written by vidpose"
"""The comment in videos that vidpose drew and may overwrite."""
FINEST_TICKS = 90_000
"""Minimum number of ticks a second of `VideoWriter`; a frame is a whole number of them at 24, 25,
29.97, 30, 50, 59.94 and 60 frames/s."""
PRESET, CRF = "superfast", 23
"""The same image quality as x264's `veryfast` at 20, with a quarter more frames/s and files a fifth
larger (`benchmarks/encoding_speed.py`)."""


class VideoWriter:
    """Writes H.264 in MP4 that plays in a browser, frame by frame, each at its own time.

        with VideoWriter("out.mp4", (1280, 720), time_base=video.time_base) as out:
            out.write(image, time_s)

    Variable frame rates are kept: times that are multiples of `time_base`, or of 1/90000 s, are
    exact, others are rounded by at most half a tick, 1/180000 s. A first time above zero is kept,
    too; players then show the first frame later. A frame lasts until the next one, the last one for
    the duration given to `write`. The file appears when the block ends without an error; otherwise
    nothing is left behind. Odd sizes grow by one row or column.

    Args:
        path: an .mp4; an existing one is replaced.
        size: width and height in pixels of the images.
        time_base: the tick of the times, seconds, usually the source video's. By default
            1/90000 s.
        sound: copied up to the end of the last frame.
        crf: x264's quality, 0 (lossless) to 51.
        key_frames: maximum distance of key frames, in frames: a smaller one makes seeking faster
            and the file larger.
        mark: the comment in the file; by default the one that `is_ours` checks.

    Raises:
        VideoError: not a single frame was written.
        VidposeError: the disk is full, the folder is read-only or the like.
    """

    def __init__(
        self,
        path: str | Path,
        size: tuple[int, int],
        *,
        time_base: Fraction | None = None,
        sound: Sound | None = None,
        crf: int = CRF,
        key_frames: int = 250,
        mark: str = MARK,
    ) -> None:
        self.path = Path(path)
        self.size = size
        self._time_base = _fine(time_base or Fraction(1, FINEST_TICKS))
        self._sound = sound
        self._mark = mark
        self._options = {"crf": str(crf), "preset": PRESET, "g": str(key_frames)}
        self._end_s = 0.0
        self._last_pts: int | None = None
        self._reformatter = VideoReformatter()

    def __enter__(self) -> VideoWriter:
        with ExitStack() as stack:
            temporary = stack.enter_context(replacing(self.path))
            # A late start is counted in the movie's own ticks; milliseconds by default.
            ticks = str(self._time_base.denominator)
            options = {"movflags": "+faststart", "movie_timescale": ticks}
            name = str(temporary.absolute())
            self._container = av.open(name, "w", format="mp4", options=options)
            stack.callback(self._container.close)
            self._container.metadata["comment"] = self._mark
            self._stream = self._add_stream()
            if self._sound is not None:
                self._sound.add_to(self._container)
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        if error != (None, None, None):
            self._cleanup.__exit__(*error)
            return
        with self._cleanup:
            if self._last_pts is None:
                raise VideoError(f"{self.path} was not written: there is no frame.")
            self._container.mux(self._stream.encode(None))
            self._mux_sound(self._end_s)
            self._container.close()

    def _add_stream(self) -> VideoStream:
        stream = self._container.add_stream("libx264", options=self._options)
        width, height = self.size
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = self._time_base
        # Without B-frames packets are in display order; the last duration is the last frame's.
        context.max_b_frames = 0
        context.flags |= Flags.frame_duration
        context.colorspace = Colorspace.ITU709
        context.color_primaries = ColorPrimaries.BT709
        context.color_trc = ColorTrc.BT709
        context.color_range = ColorRange.MPEG
        return stream

    def write(self, image: Image, time_s: float, duration_s: float | None = None) -> None:
        """Append a frame.

        Args:
            image: (H, W, 3) uint8 RGB, of the writer's `size`.
            time_s: when it is shown, seconds, later than the frame before.
            duration_s: how long it is shown if it is the last one; 1/30 s by default.

        Raises:
            ValueError: the image has another size, or the time does not increase.
        """
        width, height = self.size
        if image.shape != (height, width, 3):
            raise ValueError(f"image: expected shape {(height, width, 3)}, got {image.shape}")
        pts = round(time_s / self._time_base)
        if self._last_pts is not None and pts <= self._last_pts:
            raise ValueError(f"time_s: {time_s} does not increase")
        self._last_pts = pts
        if width % 2 or height % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        # A copy into FFmpeg's own, padded memory: its converter reads past the end of a row.
        frame = self._reformatter.reformat(
            VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24"),
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
        )
        frame.pts = pts
        frame.time_base = self._time_base
        frame.duration = max(1, round((duration_s or 1 / 30) / self._time_base))
        self._end_s = float((pts + frame.duration) * self._time_base)
        self._container.mux(self._stream.encode(frame))
        self._mux_sound(time_s)

    def _mux_sound(self, until_s: float) -> None:
        if self._sound is not None:
            self._sound.mux_until(until_s)


def is_ours(path: Path) -> bool:
    """Whether vidpose drew this video and may overwrite it; see `MARK`."""
    try:
        with av.open(str(path.absolute()), **LENIENT) as container:
            return bool(container.metadata.get("comment") == MARK)
    except (av.FFmpegError, OSError):
        return False


def _fine(time_base: Fraction) -> Fraction:
    """A tick that divides `time_base` and is 1/90000 s or shorter."""
    ticks = time_base.denominator
    if ticks > 1_000_000:  # too fine for an MP4 clock
        return Fraction(1, FINEST_TICKS)
    return Fraction(1, ticks * -(-FINEST_TICKS // ticks))
