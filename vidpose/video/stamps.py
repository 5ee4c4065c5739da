"""The presentation time stamps of frames, from the container."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from fractions import Fraction
from typing import NamedTuple

from av.video.frame import VideoFrame

from vidpose.utils.gaps import NEAREST_S
from vidpose.video.clock import is_usable
from vidpose.video.deinterlace import Decoded

WAITING_FRAMES = 8
"""Maximum number of frames without a stamp to hold until there is one."""
LONGEST_DURATION_S = 1e7
"""A longer duration (four months) is not used."""


class Stamped(NamedTuple):
    """A frame and its presentation time in the container, seconds; None if it has none."""

    frame: Decoded
    stamp_s: float | None


class Stamps:
    """Assigns time stamps to a video's frames.

    Args:
        time_base: the container's tick, seconds.
        fps: average frames a second.
    """

    def __init__(self, time_base: Fraction, fps: float) -> None:
        self._time_base, self._fps = time_base, fps
        self.filled = 0
        """Number of frames with a stamp interpolated from those around them."""

    def of(self, frames: Iterable[Decoded]) -> Generator[Stamped, None, None]:
        """Yield every frame with its stamp.

        Missing stamps at the start are extrapolated back from the first stamp, later ones
        interpolated between stamps; `Clock` handles the rest.
        """
        before: float | None = None
        first = True
        held: list[Stamped] = []
        for frame in frames:
            pts = frame.source.pts
            now = Stamped(frame, None if pts is None else float(pts * self._time_base))
            held.append(now)
            if is_usable(now.stamp_s):
                if first or before is not None:
                    self._fill(held, before, now.stamp_s)
                before = now.stamp_s
            elif len(held) == WAITING_FRAMES:
                before = None
            else:
                continue
            first = False
            yield from held
            held.clear()
        yield from held

    def by_decoding(self, frames: Iterable[Decoded]) -> Generator[Stamped, None, None]:
        """Yield every frame with its stamp for AVI, whose stamps are in decoding order.

        FFmpeg's presentation times are wrong where frames are reordered, but frames leave the
        decoder at the same intervals at which packets enter it.
        """
        first = last = None
        step = max(1, round(1 / self._fps / self._time_base))
        for frame in frames:
            dts = frame.source.dts
            if dts is None:  # after the last packet
                dts = 0 if last is None else last + step
            elif last is not None:
                step = dts - last
            first = dts if first is None else first
            last = dts
            yield Stamped(frame, float((dts - first) * self._time_base))

    def duration(self, frame: VideoFrame) -> float:
        """Return the frame's own duration, seconds, or one average frame if it has none."""
        stated = float((frame.duration or 0) * self._time_base)
        usable = NEAREST_S <= stated <= LONGEST_DURATION_S
        return stated if usable else max(1 / self._fps, NEAREST_S)

    def _fill(self, held: list[Stamped], before: float | None, stamp_s: float) -> None:
        """Set the stamps of all held frames except the last, which has one.

        Args:
            held: the frames.
            before: the stamp of the frame before them; None if they are the first ones.
            stamp_s: the stamp of the last of them.
        """
        step = self.duration(held[-1].frame.source)
        if before is not None:
            step = min(step, (stamp_s - before) / len(held))
        if len(held) == 1 or step < NEAREST_S:
            return
        start = stamp_s - step * len(held) if before is None else before
        for n, (frame, _) in enumerate(held[:-1], 1):
            held[n - 1] = Stamped(frame, start + n * step)
        self.filled += len(held) - 1
