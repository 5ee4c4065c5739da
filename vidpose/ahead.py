"""Lifting that starts before the video ends.

Who is a ghost, which limbs were confused and which joint was never there is decided when the whole
video has been seen (`PoseCollector.finish`), though nearly all of it is plain a second later. So
blocks of poses are lifted from what is plain so far, and kept under the very joints they were
lifted from: `lift_joints` takes those whose joints have stayed what they were, and lifts the rest.
The result is the same as without.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np

from vidpose.lifting.lifter import PCHIP_REACH, Lifter, seen_joints, training_grid
from vidpose.tracking.collector import PREVIEW_S, PoseCollector

LOOK_EVERY = 16
"""Frames."""
WAITING = 4
"""Blocks that may wait for the thread; what comes on top of that is lifted in the end."""


class LiftAhead:
    """A thread that lifts blocks of the tracks that a collector is collecting.

        with LiftAhead(lifter, collector, reader.size, focal_px) as lifting:
            for sight in sights:
                collector.add(*sight)
                lifting.look()

    The lifter is the thread's alone until the block ends.
    """

    def __init__(
        self,
        lifter: Lifter,
        collector: PoseCollector,
        frame_size: tuple[int, int],
        focal_px: float,
    ) -> None:
        self._lifter = lifter
        self._collector = collector
        self._camera = frame_size, focal_px
        self._next: dict[int, int] = {}
        self._resampled: dict[int, bool] = {}
        self._waiting: list[Future[None]] = []
        self._thread = ThreadPoolExecutor(1, "vidpose lift")

    @property
    def busy(self) -> bool:
        """Whether a block is being lifted."""
        return any(not future.done() for future in self._waiting)

    def look(self) -> None:
        """See after every frame whether there is something to lift; quick.

        Raises:
            Exception: what went wrong in the thread.
        """
        if self._collector.frames % LOOK_EVERY:
            return
        for future in self._waiting:
            if future.done():
                future.result()
        self._waiting = [future for future in self._waiting if not future.done()]
        now = self._collector.time_of(self._collector.frames - 1)
        for person, start in self._collector.in_sight().items():
            block = self._next.get(person, 0)
            seconds = self._lifter.reach_of(block).stop / self._lifter.checkpoint.fps
            if now - self._collector.time_of(start) <= seconds + PREVIEW_S:
                continue
            self._next[person] = block + 1
            if len(self._waiting) < WAITING:
                self._submit(person, start, block)

    def _submit(self, person: int, start: int, block: int) -> None:
        # Nothing here grows with the track, not even for a moment: between what is kept such
        # arrays, each a little larger than the one before, would leave holes that nothing fits in.
        collector, fps = self._collector, self._lifter.checkpoint.fps
        if person not in self._resampled:
            grid = training_grid(collector.times(start, collector.frames), fps)
            self._resampled[person] = grid is not None
        around = self._lifter.reach_of(block)
        rows, at = slice(start + around.start, start + around.stop), None
        if self._resampled[person]:
            at = collector.time_of(start) + np.arange(around.start, around.stop) / fps
            rows = collector.rows_near(start, at[0], at[-1], PCHIP_REACH)
        elif rows.stop > collector.frames:  # the video has become slower
            return
        joints, scores = collector.preview(person, rows.start, rows.stop)
        times = collector.times(rows.start, rows.stop)
        seen = seen_joints(joints, scores)
        self._waiting.append(
            self._thread.submit(
                self._lifter.lift_ahead, person, block, seen, times, at, *self._camera
            )
        )

    def __enter__(self) -> LiftAhead:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)
        if error is None:
            for future in self._waiting:
                if not future.cancelled():
                    future.result()
