"""When the container says that a video's frames are shown."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from fractions import Fraction
from typing import NamedTuple

from av.video.frame import VideoFrame

from vidpose.utils.gaps import NEAREST_S
from vidpose.video.clock import is_usable
from vidpose.video.deinterlace import Decoded

WAITING_FRAMES = 8
"""So many frames without a stamp are held until there is one."""
LONGEST_DURATION_S = 1e7
"""A frame that lasts longer (four months) has no usable duration."""


class Stamped(NamedTuple):
    """A frame, and when the container says it is shown, seconds; None if it does not."""

    frame: Decoded
    stamp_s: float | None


class Stamps:
    """The stamps of a video's frames.

    Args:
        time_base: the container's tick, seconds.
        fps: average frames a second.
    """

    def __init__(self, time_base: Fraction, fps: float) -> None:
        self._time_base, self._fps = time_base, fps
        self.filled = 0
        """Frames that got a stamp from those around them."""

    def of(self, frames: Iterable[Decoded]) -> Generator[Stamped, None, None]:
        """Every frame with its stamp. The first ones are counted back from a later one if they have
        none, others are put between those that have one; what is left is for the clock.
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
        """The stamps of AVI, which are of the order of decoding. What FFmpeg makes of them is wrong
        where frames are reordered; but frames leave the decoder as evenly as packets enter it.
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
        """How long a frame is shown, as far as it says, seconds."""
        stated = float((frame.duration or 0) * self._time_base)
        usable = NEAREST_S <= stated <= LONGEST_DURATION_S
        return stated if usable else max(1 / self._fps, NEAREST_S)

    def _fill(self, held: list[Stamped], before: float | None, stamp_s: float) -> None:
        """Give stamps to all but the last of some frames.

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
