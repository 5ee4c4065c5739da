"""A live session: detect, track, lift and show frames as they arrive; a normal result at the end.

    source -> newest few frames -> (video file) -> detector -> tracker -> lifter -> window
    [thread]                       [thread]        [thread]                         [main thread]

If detection cannot keep up, the oldest waiting frames are dropped, so the window never lags far
behind. The detections are kept and become a result at the end, as in `infer`.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import cv2

from vidpose.detect.base import detect_frames
from vidpose.errors import NoPersonError, UsageError, VideoError, VidposeError
from vidpose.events import FileWritten, Info, Report, Setup, Warn, ignore
from vidpose.lifting.lifter import Lifter, lift_poses
from vidpose.live.picture import LivePicture
from vidpose.live.window import TkWindow, Window
from vidpose.options import InferOptions, LiveOptions
from vidpose.outputs import check_memory
from vidpose.pipeline import Predictor, average_fps
from vidpose.poses import Pose2D, Pose3D, extent, save
from vidpose.postprocess import postprocess
from vidpose.provenance import describe_file, detection_metadata, with_lifting_metadata
from vidpose.render import parse_view
from vidpose.streaming import FramePeople, PeopleStream
from vidpose.tracking.collector import PoseCollector
from vidpose.utils.files import check_writable
from vidpose.utils.progress import Progress, announce_if_long, silent
from vidpose.utils.threads import Newest, ahead
from vidpose.video import Frame, Image, Shot, Source, VideoWriter, open_source

WAITING = 2
"""Frames that wait for the detector; a new one replaces the oldest."""
WINDOW_S = 0.01
"""Interval between updates of the window."""
HEADLESS_S = 0.2
"""The same without a window."""
RECORDED = "recorded by vidpose"
"""The comment in camera recordings, which are never overwritten, see `vidpose.video.is_ours`."""


def live(
    source: str,
    out: str | Path | None = None,
    *,
    options: InferOptions | None = None,
    live_options: LiveOptions | None = None,
    open_window: Callable[[str], Window] | None = None,
    report: Report = ignore,
    progress: Progress = silent,
) -> Pose3D | None:
    """Estimate 3D poses live, until the source or the user ends it.

    Q, Escape and closing the window end it, and so do Ctrl-C and SIGTERM if this runs in the main
    thread. All of them leave a complete result.

    Args:
        source: a camera's number, a stream's address, or a video file's path.
        out: where to write the result: an .npz, or a folder; None writes none.
        options: of detector, lifter and postprocessing, and the 3D panel's view.
        live_options: of the session.
        open_window: opens the window, unless headless; by default a Tk window.
        report: takes messages; also from another thread.
        progress: wraps the frames.

    Returns:
        The result, with true times and without the dropped frames; None if nothing is recorded.

    Raises:
        NoPersonError: nobody was found.
        VidposeError: the source, the window, the weights or an option cannot be used.
    """
    options, chosen = options or InferOptions(), live_options or LiveOptions()
    view = parse_view(options.render.view)
    files = _Files.check(out, chosen)
    with ExitStack() as opened:
        title = f"vidpose live: {source if '://' not in source else 'stream'}"
        window = None if chosen.headless else opened.enter_context((open_window or TkWindow)(title))
        predictor = opened.enter_context(Predictor(options))
        about = predictor.about()  # opens the detector, before frames arrive
        camera = open_source(source, chosen.size)
        report(Setup(about))  # not if the source cannot be opened
        picture = None
        if window is not None:
            picture = LivePicture(camera.size, view, window.width)
        session = _Session(camera, predictor, chosen, picture, files.video, progress)
        report(Info(_how_to_end(camera, chosen)))
        with _stopping_on_signals(session.stop):
            session.run(window)
    report(Info(session.summary()))
    for warning in camera.warnings:
        report(Warn(warning))
    try:
        return _finished(session, files, options, report, progress)
    finally:
        if session.error is not None:
            raise session.error


@dataclass(frozen=True)
class _Files:
    """The output files."""

    result: Path | None
    video: Path | None

    @classmethod
    def check(cls, out: str | Path | None, chosen: LiveOptions) -> _Files:
        """Check before recording that the files can be written.

        Raises:
            UsageError: a file exists; a recording cannot be repeated, so none is overwritten.
            VidposeError: the place is not writable.
        """
        if out is None or not chosen.record:
            return cls(None, None)
        out = Path(out)
        name = datetime.now().strftime("live-%Y%m%d-%H%M%S.npz")
        if out.suffix and out.suffix != ".npz" and not out.is_dir():
            raise UsageError(f"-o {out}: give a folder, or the name of an .npz.")
        result = out if out.suffix == ".npz" else out / name
        video = result.with_suffix(".source.mp4") if chosen.save_video else None
        for path in filter(None, (result, video)):
            check_writable(path)
            if path.exists():
                raise UsageError(f"{path} is there already; choose another -o.")
        return cls(result, video)


class _Session:
    """Processes one source from its first frame to its end."""

    def __init__(
        self,
        source: Source,
        predictor: Predictor,
        options: LiveOptions,
        picture: LivePicture | None,
        video: Path | None,
        progress: Progress,
    ) -> None:
        self.source, self.predictor, self.options = source, predictor, options
        self.error: BaseException | None = None
        self.collector = PoseCollector() if options.record else None
        self.began = datetime.now(timezone.utc)
        self.frames = self.dropped = 0
        self.first_frame_s = 0.0
        """The time of the first frame, on the time line of `timestamps`."""
        self._picture, self._video, self._progress = picture, video, progress
        self._people = None  # without a window everything is lifted at the end
        if picture is not None:
            focal_px = predictor.options.lift.focal_px
            self._people = PeopleStream(
                _without_flip(predictor.lifter),
                source.size,
                focal_px=focal_px,
                delay_s=options.delay,
            )
        self._came_s: dict[int, float] = {}
        self._waiting: deque[tuple[float, Image | None]] = deque()
        """Arrival times of frames, and their images, until they are shown."""
        self._newest: tuple[Image, FramePeople] | None = None
        self._queue: Newest[tuple[float, Shot]] | None = None
        self._ended = threading.Event()
        self._end_now = threading.Event()
        self._lasted_s = self._behind_s = 0.0
        self._done = 0

    def stop(self) -> None:
        """End soon, from any thread; the recording so far is kept."""
        self._end_now.set()
        if self._queue is not None:
            self._queue.stop()

    def run(self, window: Window | None) -> None:
        """Process frames until the source ends or `stop` is called, with or without a window."""
        worker = threading.Thread(target=self._work, name="vidpose live", daemon=True)
        worker.start()
        try:
            while not self._ended.wait(HEADLESS_S if window is None else WINDOW_S):
                if window is not None:
                    self._show(window)
        finally:
            self.stop()
            worker.join()

    def _show(self, window: Window) -> None:
        newest, self._newest = self._newest, None
        if newest is None or self._picture is None:
            window.update()
        else:
            window.show(self._picture.draw(*newest), f"{self.summary()} Press Q to stop.")
        if window.closed:
            self.stop()

    def summary(self) -> str:
        """Say in one sentence how fast it is."""
        rate = self.frames / max(self._lasted_s, 1e-3)
        frames = "1 frame" if self.frames == 1 else f"{self.frames} frames"
        return (
            f"{self.source.name}: {frames}, {rate:.1f} frames/s, {self.dropped} dropped, "
            f"{self.behind_s:.2f} s behind."
        )

    @property
    def behind_s(self) -> float:
        """Average time from a frame's arrival to its result."""
        return self._behind_s / max(self._done, 1)

    def _work(self) -> None:
        self.predictor.detector.reset()
        self._began_s = time.monotonic()
        try:
            with ExitStack() as stages:
                try:
                    self._detect(self._frames(stages))
                except Exception as error:  # raised after the recording is saved
                    self.error = error
        except BaseException as error:  # from a stage on exit
            self.error = self.error or error
        finally:
            self._ended.set()

    def _detect(self, frames: Iterator[Frame]) -> None:
        found = detect_frames(self.predictor.detector, frames)
        for number, frame in enumerate(self._progress(found, None, "live")):
            self.frames = number + 1
            if self.collector is not None:
                # The position in the recorded video, or in the source.
                index = frame.frame_index if self._video is None else number
                self.collector.add(frame._replace(frame_index=index))
            if self._people is None:
                self._note_delay()
            else:
                self._lifted(self._people.add(frame))
        if self._people is not None:
            self._lifted(self._people.rest())

    def _lifted(self, frames: Iterator[FramePeople]) -> None:
        for frame in frames:
            image = self._note_delay()
            if image is not None:
                self._newest = image, frame

    def _note_delay(self) -> Image | None:
        """Note that the next frame is done; return its image if there is a window."""
        came_s, image = self._waiting.popleft()
        now_s = time.monotonic()
        self._lasted_s = now_s - self._began_s
        self._behind_s += now_s - came_s
        self._done += 1
        return image

    def _frames(self, stages: ExitStack) -> Iterator[Frame]:
        """Yield the frames to process; the stages before run as long as `stages` is open."""
        if self.options.realtime or not self.source.recorded:
            self._queue = stages.enter_context(Newest(self._shots(), WAITING, "source"))
            frames = self._taken(self._queue)
        else:
            frames = self._taken(stages.enter_context(ahead(self._shots(), WAITING, "source")))
        if self._video is not None:
            writer = VideoWriter(self._video, self.source.size, mark=RECORDED)
            written = _written(frames, stages.enter_context(writer))
            frames = stages.enter_context(ahead(written, 1, "record"))
        return self._noted(frames)

    def _shots(self) -> Iterator[tuple[float, Shot]]:
        """Yield the frames up to --end and their arrival times; a file at its own pace."""
        lasts_s = self.predictor.options.detector.end
        began_s: float | None = None
        first_s = 0.0
        try:
            for shot in self.source.shots():
                now_s = time.monotonic()
                if began_s is None:
                    first_s, began_s = shot.time_s, now_s - shot.time_s
                    # The recorded video begins at 0.
                    self.first_frame_s = first_s if self._video is None else 0.0
                if lasts_s and shot.time_s - first_s >= lasts_s:
                    return
                if self.source.recorded and self.options.realtime:
                    self._end_now.wait(max(0.0, began_s + shot.time_s - now_s))
                if self._end_now.is_set():
                    return
                yield time.monotonic(), shot
        finally:
            self.source.close()  # in the thread that reads it

    def _taken(self, shots: Iterator[tuple[float, Shot]]) -> Iterator[Frame]:
        """Yield the frames that were not dropped."""
        for came_s, shot in shots:
            self.dropped = 0 if self._queue is None else self._queue.dropped
            if self._end_now.is_set():
                return
            self._came_s[shot.index] = came_s
            yield Frame(shot.index, shot.time_s, shot.picture(), 1 / self.source.fps)

    def _noted(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """Yield the frames; queue their arrival times and images for display."""
        for frame in frames:
            image: Any = None
            if self._picture is not None:
                size = self._picture.layout.picture
                image = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
            self._waiting.append((self._came_s.pop(frame.index), image))
            yield frame


def _without_flip(lifter: Lifter) -> Lifter:
    """Copy a lifter without flip augmentation, which would be half of its work; for the window."""
    return Lifter(lifter.checkpoint, lifter.device, flip=False, precision=lifter.precision)


def _written(frames: Iterator[Frame], writer: VideoWriter) -> Iterator[Frame]:
    """Write the frames to the video, then yield them."""
    first_s: float | None = None
    for frame in frames:
        first_s = frame.time_s if first_s is None else first_s
        writer.write(frame.image, frame.time_s - first_s, frame.duration_s)
        yield replace(frame, time_s=frame.time_s - first_s)


@contextmanager
def _stopping_on_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` on Ctrl-C or SIGTERM, in the main thread; a second signal acts as usual."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {kind: signal.getsignal(kind) for kind in (signal.SIGINT, signal.SIGTERM)}

    def asked(*_: object) -> None:
        restore()
        stop()

    def restore() -> None:
        for kind, handler in before.items():
            signal.signal(kind, handler)

    for kind in before:
        signal.signal(kind, asked)
    try:
        yield
    finally:
        restore()


def _how_to_end(source: Source, options: LiveOptions) -> str:
    width, height = source.size
    keys = "Ctrl-C" if options.headless else "Q in the window or Ctrl-C"
    return f"{source.name}: {width}x{height}, {source.fps:.0f} frames/s; press {keys} to stop."


def _finished(
    session: _Session,
    files: _Files,
    options: InferOptions,
    report: Report,
    progress: Progress,
) -> Pose3D | None:
    """Make a result from the detections, as `infer` does."""
    if session.collector is None:
        return None
    if not session.frames:
        raise VideoError(f"{session.source.name} ended before its first frame.")
    poses = _poses(session, session.collector, options, report)
    if not poses.people:
        raise NoPersonError.nobody_in(f"the {poses.frames} frames of {session.source.name}")
    predictor, lift, after = session.predictor, options.lift, options.postprocess
    meta = _metadata(session, files, options)
    lifted = lift_poses(poses, predictor.lifter, lift.focal_px, progress)
    lifted = with_lifting_metadata(lifted, meta, predictor.lifter, lift, after)
    result = postprocess(lifted, after, report)
    if files.result is not None:
        with announce_if_long(report, f"Writing {files.result}"):
            save(result, files.result)
        report(FileWritten(extent(result.people, result.frames), files.result))
    if files.video is not None and files.video.is_file():
        report(FileWritten("Recorded video", files.video))
    return result


def _poses(
    session: _Session, collector: PoseCollector, options: InferOptions, report: Report
) -> Pose2D:
    """Collect all people, or as many as fit into memory: a recording cannot be repeated."""
    source, longest = session.source, options.detector.longest
    kept = 0

    def before_arrays(people: int, dropped: int, frames: int) -> None:
        nonlocal kept
        kept = people
        check_memory(people, frames, options, None)

    while True:
        try:
            poses = collector.finish(source.fps, source.size, longest, before_arrays)
            break
        except VidposeError:
            if kept <= 1:
                raise
            longest = kept // 2
            report(Warn(f"Memory is short: only the {longest} people visible longest are kept."))
    return replace(poses, fps=average_fps(poses.timestamps, source.fps))


def _metadata(session: _Session, files: _Files, options: InferOptions) -> dict[str, Any]:
    """Return the `meta` of the 2D joints, with the entries that only live results have."""
    source, chosen = session.source, session.options
    seen = files.video or getattr(source, "path", None)
    about = describe_file(seen) if seen is not None and seen.is_file() else None
    meta = detection_metadata(
        session.predictor.detector.description,
        options.input.to_dict() | options.detector.to_dict(),
        about,
        list(source.warnings),
        session.first_frame_s,
    )
    meta["live"] = {
        "source": source.name,
        "began": session.began.isoformat(timespec="milliseconds"),
        "dropped_frames": session.dropped,
        "delay_s": chosen.delay,
        "behind_s": round(session.behind_s, 3),
        "realtime": chosen.realtime,
    }
    return meta
