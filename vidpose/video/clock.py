"""Convert a container's time stamps to increasing times."""

from __future__ import annotations

from typing import TypeGuard

from vidpose.utils.gaps import NEAREST_S

FARTHEST_S = 1e10
"""A stamp further from 0 than this (317 years) is invalid, and too coarse as a float."""
CLOCK_JUMP_S = 1.0
"""A stamp that goes back further than this means a restarted clock, not a repeated stamp ..."""
RESTART_FRAMES = 2.5
"""... and so does one that goes back by this many frames, if the next one does not catch up."""


class Clock:
    """Converts container stamps to increasing times.

    A frame without a usable stamp gets the time one frame duration after the frame before, or
    halfway to the next stamp if that is sooner; `corrected` counts these. A stamp far ahead is
    unusable if the next one continues from the one before it. After a stamp far back, as in
    concatenated files, time continues from where it was; `restarts` counts these.
    """

    def __init__(self) -> None:
        self.corrected = 0
        self.restarts = 0
        self._last: float | None = None
        self._last_stamp = 0.0
        self._end = 0.0
        self._offset = 0.0

    def __call__(
        self, stamp_s: float | None, duration_s: float, next_s: float | None = None
    ) -> float:
        """Return the time of the next frame, seconds.

        Args:
            stamp_s: the container's; None if it has none.
            duration_s: how long the frame is shown, `NEAREST_S` or more.
            next_s: the stamp of the frame after it.
        """
        time = self._time(stamp_s, next_s)
        if time is None:
            self.corrected += 1
            time = self._between(next_s)
        self._last, self._end = time, time + duration_s
        self._last_stamp = stamp_s if is_usable(stamp_s) else self._last_stamp
        return time

    def _time(self, stamp_s: float | None, next_s: float | None) -> float | None:
        """Return the time from the stamp; None if the stamp is unusable."""
        if not is_usable(stamp_s) or not is_usable(stamp_s + self._offset):
            return None
        time = stamp_s + self._offset
        if self._last is None:
            return time
        goes_on = is_usable(next_s) and next_s > self._last_stamp
        if time >= self._last + NEAREST_S:
            ahead = goes_on and next_s is not None and stamp_s - next_s > CLOCK_JUMP_S
            return None if ahead else time
        fall = self._last_stamp - stamp_s
        short = RESTART_FRAMES * (self._end - self._last) if is_usable(next_s) else CLOCK_JUMP_S
        if not goes_on and fall > min(short, CLOCK_JUMP_S):
            self.restarts += 1
            self._offset += self._end - time
            return self._end
        return None

    def _between(self, next_s: float | None) -> float:
        """Return a time after the frame before and before the next one."""
        if self._last is None or not is_usable(next_s):
            return self._end
        until_next = next_s + self._offset - self._last
        step = self._end - self._last
        return self._last + (min(step, until_next / 2) if until_next > 2 * NEAREST_S else step)


def is_usable(stamp_s: float | None) -> TypeGuard[float]:
    """Whether a stamp exists and is valid."""
    return stamp_s is not None and abs(stamp_s) < FARTHEST_S
