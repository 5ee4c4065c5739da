"""What a container states before decoding: frame rate, length, number of frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.video.stream import VideoStream

from vidpose.utils.gaps import NEAREST_S
from vidpose.video.pictures import PictureSequence, rate_of
from vidpose.video.streams import has_another_mp4

USUAL_TICKS = 90_000
"""Ticks a second if the container does not state them, as in MPEG-TS."""
ASSUMED_RATE = Fraction(25)
"""FFmpeg's default for raw streams without a container; `BARE` are the names of their formats."""
BARE = {
    *("av1", "avs2", "avs3", "cavsvideo", "dirac", "dnxhd", "evc", "h261", "h263", "h264", "hevc"),
    *("ingenient", "m4v", "mjpeg", "mjpeg_2000", "mpegvideo", "obu", "vc1", "vvc"),
}
STAMPS_ALONE = {"mpegts", "mpeg"}
"""FFmpeg estimates the length of these from their stamps, so it does not tell what is missing."""


@dataclass(frozen=True, kw_only=True)
class Stated:
    """The trustworthy part of what a container states."""

    time_base: Fraction
    """The container's tick, seconds."""
    fps: float
    """Average frames a second, or an assumed rate."""
    without_rate: bool = False
    """It is a raw stream without a frame rate."""
    duration_s: float | None = None
    """Of the video; None if not stated."""
    end_s: float = float("inf")
    """The time at which the video's stream ends."""
    length_s: float | None = None
    """Of all streams; None if not stated."""
    all_frames: int | None = None
    """Number of frames, counted by the container or computed; None if unknown."""
    counts_frames: bool = False
    """`all_frames` is the container's own count."""
    by_decoding: bool = False
    """Its stamps are in decoding order, see `vidpose.video.stamps`."""
    in_pieces: bool = False
    """It is a fragmented MP4, as of DASH."""

    @classmethod
    def of_pictures(cls, pictures: PictureSequence) -> Stated:
        """Make it for a folder of pictures."""
        frames = len(pictures.paths)
        return cls(
            time_base=1 / pictures.rate,
            fps=float(pictures.rate),
            duration_s=float(frames / pictures.rate),
            all_frames=frames,
        )

    @classmethod
    def of_stream(
        cls,
        container: InputContainer,
        stream: VideoStream,
        path: Path,
        fps: float | None,
        warnings: list[str],
    ) -> Stated:
        """Make it for a video file.

        Args:
            container: the open file.
            stream: its video stream.
            path: the file.
            fps: frames a second, for a video without a container.
            warnings: a sentence is added about what is assumed, or not read.
        """
        time_base = stream.time_base or Fraction(1, USUAL_TICKS)
        end_s = float("inf")
        duration_s = length_s = None
        if stream.duration:
            end_s = float((stream.duration + (stream.start_time or 0)) * time_base)
            duration_s = float(stream.duration * time_base)
        elif container.duration:
            duration_s = container.duration / av.time_base
        if container.duration and container.format.name not in STAMPS_ALONE:
            start, length = container.start_time or 0, container.duration
            if "matroska" in container.format.name and 0 < start < length:
                length -= start  # Matroska states the end, not the length
                if not stream.duration:
                    duration_s = length / av.time_base
            length_s = length / av.time_base

        rate = _rate(container, stream, time_base)
        without_rate = rate is None and container.format.name in BARE
        if without_rate and fps is not None:
            rate = rate_of(fps)
            time_base *= ASSUMED_RATE / rate
        if rate is None:
            rate = ASSUMED_RATE
            advice = "; give another with --fps" if without_rate else ""
            warnings.append(
                f"{path} does not say its frame rate; {rate} frames/s are assumed{advice}."
            )

        mp4, avi = "mp4" in container.format.name, container.format.name == "avi"
        if mp4 and has_another_mp4(path):
            warnings.append(
                f"{path} is several videos, one after another, and only the first of them is "
                "read; give them one by one, or join them with a video editor."
            )
        # Only these containers count the frames, including those that an edit list hides.
        edited = duration_s is not None and duration_s * float(rate) < stream.frames - 1.5
        counts_frames = mp4 and stream.frames > 0 and not edited
        all_frames = (stream.frames or None) if counts_frames or not (avi or mp4) else None
        if all_frames is None and duration_s is not None:
            all_frames = max(1, round(duration_s * float(rate)))
        return cls(
            time_base=time_base,
            fps=float(rate),
            without_rate=without_rate,
            duration_s=duration_s,
            end_s=end_s,
            length_s=length_s,
            all_frames=all_frames,
            counts_frames=counts_frames,
            by_decoding=avi,
            in_pieces=mp4 and not stream.frames,
        )


def _rate(container: InputContainer, stream: VideoStream, time_base: Fraction) -> Fraction | None:
    """Return the file's frames a second; None if it does not state them."""
    rates = [stream.average_rate, stream.guessed_rate]
    if container.format.name == "avi":  # the average counts empty chunks, too
        rates.reverse()
    elif container.format.name in BARE:
        rates = [stream.codec_context.framerate]
    elif not stream.average_rate and stream.guessed_rate == 1 / time_base >= 1000:
        rates = []  # this is the clock's tick, not a frame rate
    return next((rate for rate in rates if rate and 0 < rate < 1 / NEAREST_S), None)
