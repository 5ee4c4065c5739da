"""The detections of one video as a stream, decoded and detected in threads and cached on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path

from vidpose.detect.base import Detector, FrameDetections, detect_frames
from vidpose.detect.cache import DetectionCache, UnusableCacheError
from vidpose.events import Info, Report, ignore
from vidpose.utils.progress import Progress, silent
from vidpose.utils.threads import ahead
from vidpose.video import VideoReader

FRAMES_AHEAD = 4
"""Decoded frames that wait for the detector; the batch of a detector is no larger."""
DETECTIONS_AHEAD = 32


class VideoDetections:
    """The detections of a video, frame by frame.

        with VideoDetections(detector, video) as detections:
            for frame in detections: ...

    Decoding and detection run in a thread each. With a cache, the frames of an interrupted run come
    first, and new detections are cached even if an exception ends the block.
    """

    def __init__(
        self,
        detector: Detector,
        video: Path,
        start: float | None = None,
        end: float | None = None,
        *,
        fps: float | None = None,
        cache: DetectionCache | None = None,
        report: Report = ignore,
        progress: Progress = silent,
    ) -> None:
        """Prepare to read a video.

        Args:
            detector: is reset before the first frame.
            video: any file that FFmpeg reads, or a folder of pictures.
            start, end: seconds from the first frame; only this part is read.
            fps: frames a second of a folder of pictures.
            cache: of this video and detector.
            report: takes messages.
            progress: wraps the frames.
        """
        self._detector, self._cache = detector, cache
        self._report, self._progress = report, progress
        self._done = 0 if cache is None else cache.resumed.frames
        # The last of the frames that are done shows whether there is a cut after it.
        self._reader = VideoReader(video, start, end, skip=max(self._done - 1, 0), fps=fps)
        self._stages = ExitStack()

    @property
    def fps(self) -> float:
        """Frames a second, from the container."""
        return self._reader.fps

    @property
    def frame_size(self) -> tuple[int, int]:
        """Width and height in pixels, as displayed."""
        return self._reader.size

    @property
    def warnings(self) -> list[str]:
        """Problems of the video; complete once all frames were read."""
        earlier = None if self._cache is None else self._cache.resumed.warnings
        return self._reader.warnings if earlier is None else list(earlier)

    def __enter__(self) -> VideoDetections:
        self._stages.enter_context(self._reader)
        return self

    def __exit__(self, *error: object) -> None:
        self._stages.close()

    def __iter__(self) -> Iterator[FrameDetections]:
        self._detector.reset()
        found: Iterable[FrameDetections] = ()
        resumed = None if self._cache is None else self._cache.resumed
        if self._cache is not None and resumed is not None and resumed.frames:
            self._report(
                Info(f"Going on after {resumed.frames} frames that an interrupted run has left.")
            )
            found = self._cache.detections()
            try:
                self._detector.remember(resumed.memory)
            except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
                raise UnusableCacheError("the detector's memory is invalid") from None
        if resumed is None or resumed.warnings is None:  # else the video was read to its end
            frames = self._stages.enter_context(ahead(self._reader, FRAMES_AHEAD, "decode"))
            before = next(frames, None) if self._done else None
            new = self._kept(detect_frames(self._detector, frames, before))
            found = chain(found, self._stages.enter_context(ahead(new, DETECTIONS_AHEAD, "detect")))
        if resumed is not None and resumed.frames:
            found = _in_order(found)
        yield from self._progress(found, self._reader.expected_frames, "detecting")

    def _kept(self, new: Iterable[FrameDetections]) -> Iterator[FrameDetections]:
        """Yield the new detections and cache them, even if an exception ends the iteration."""
        cache, detector = self._cache, self._detector
        if cache is None:
            yield from new
            return
        long = cache.resumed.frames > 0  # a short run is not worth a file
        ended = False
        try:
            for frame in new:
                cache.add(frame)
                if cache.due():
                    cache.write(detector.memory())
                    long = True
                yield frame
            ended = True
        finally:
            if long:
                cache.write(detector.memory(), self._reader.warnings if ended else None)


def _in_order(frames: Iterable[FrameDetections]) -> Iterator[FrameDetections]:
    """Yield the frames of an earlier and of this run, and check their order.

    Raises:
        UnusableCacheError: they cannot be of one video.
    """
    last: FrameDetections | None = None
    for frame in frames:
        if last and not (frame.frame_index > last.frame_index and frame.time_s > last.time_s):
            raise UnusableCacheError("the detections of an earlier run are of another video")
        yield frame
        last = frame
