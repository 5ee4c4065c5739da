"""Time stamps of a container to times that rise."""

from __future__ import annotations

from typing import TypeGuard

NEAREST_S = 5e-5
"""Frames that a container puts nearer together than this have no usable stamps: no camera takes
20,000 frames a second."""
FARTHEST_S = 1e10
"""A stamp further from 0 than this (317 years) is nonsense, and too coarse as a float."""
CLOCK_JUMP_S = 1.0
"""A stamp that falls back further than this is a restarted clock, not a doubled stamp ..."""
RESTART_FRAMES = 2.5
"""... and so is one that falls back by so many frames, if the next one does not catch up."""


class Clock:
    """Container stamps to times that rise.

    A frame without a usable stamp comes one frame duration after the one before it, or halfway to
    the next stamp if that is sooner; these are counted in `corrected`. After a stamp far back, as
    in files that were put together, time goes on from where it was: `restarts`.
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
        """The time of the next frame, seconds.

        Args:
            stamp_s: as the container says; None where it does not.
            duration_s: how long the frame is shown, `NEAREST_S` or more.
            next_s: the stamp of the frame after it.
        """
        time = self._time(stamp_s, next_s)
        self._last, self._end = time, time + duration_s
        self._last_stamp = stamp_s if is_usable(stamp_s) else self._last_stamp
        return time

    def _time(self, stamp_s: float | None, next_s: float | None) -> float:
        if not is_usable(stamp_s):
            self.corrected += 1
            return self._end
        time = stamp_s + self._offset
        if self._last is None or time >= self._last + NEAREST_S:
            return time
        step = self._end - self._last
        fall = self._last_stamp - stamp_s
        catches_up = not is_usable(next_s) or next_s > self._last_stamp
        if fall > CLOCK_JUMP_S or (fall > RESTART_FRAMES * step and not catches_up):
            self.restarts += 1
            self._offset += self._end - time
            return self._end
        self.corrected += 1
        until_next = next_s + self._offset - self._last if is_usable(next_s) else 0.0
        return self._last + (min(step, until_next / 2) if until_next > 2 * NEAREST_S else step)


def is_usable(stamp_s: float | None) -> TypeGuard[float]:
    """Whether a stamp is there, and not absurd."""
    return stamp_s is not None and abs(stamp_s) < FARTHEST_S
