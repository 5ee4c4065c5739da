"""The main job: detect, track, lift, postprocess, write. `Predictor` does it for many videos."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.detect import open_detector
from vidpose.detect.base import Detector
from vidpose.detect.cache import DetectionCache, UnusableCacheError, remove_leftovers
from vidpose.detect.video_detections import VideoDetections
from vidpose.errors import NoPersonError, UsageError
from vidpose.events import FileWritten, Info, Report, Setup, Warn, ignore
from vidpose.export import check_before, export_files
from vidpose.lifting.lifter import LiftedPoses, lift_poses, open_lifter
from vidpose.options import InferOptions, InputOptions
from vidpose.outputs import check_memory, files_2d, result_path, write_files_2d
from vidpose.poses import (
    FASTEST_FPS,
    SLOWEST_FPS,
    Pose2D,
    Pose3D,
    extent,
    load,
    read_metadata,
    save,
)
from vidpose.postprocess import postprocess
from vidpose.provenance import (
    cache_key,
    check_same_detection,
    check_same_source,
    describe_video,
    detection_metadata,
    recorded_options,
    with_lifting_metadata,
)
from vidpose.render import check_out, parse_view, render_video
from vidpose.streaming import FramePeople, stream
from vidpose.tracking.collector import PoseCollector
from vidpose.utils.devices import choose_device
from vidpose.utils.files import check_writable
from vidpose.utils.gaps import average_rate, gaps_sentence
from vidpose.utils.progress import Progress, announce_if_long, silent
from vidpose.video import VideoReader
from vidpose.viewer.page import check_page, write_page

RATE_TOLERANCE = 0.01


class Predictor:
    """A detector and a lifter, opened once and used for one video after another.

        with Predictor(weights="default") as predictor:
            for video in videos:
                result = predictor(video, "outputs")

    Not for several threads at once.
    """

    def __init__(self, options: InferOptions | None = None, **fields: Any) -> None:
        """Open what lifts; the detector is opened when it is first needed.

        Args:
            options: everything that can be chosen; or its
            fields: by name: detector="hrnet", weights="default", device="cpu", world=True ...;
                see `vidpose.options`.

        Raises:
            UsageError: there is no such option, a value makes no sense, or both are given.
            WeightsError: the lifter's weights cannot be used.
        """
        if options is not None and fields:
            raise UsageError(f"Give options, or fields by name ({', '.join(fields)}), not both.")
        self.options = InferOptions.of(**fields) if options is None else options
        self.device, self._why = choose_device(self.options.lift.device)
        self.lifter = open_lifter(self.options.lift)

    def __call__(
        self,
        video: str | Path,
        out: str | Path | None = None,
        *,
        relift: bool = False,
        report: Report = ignore,
        progress: Progress = silent,
    ) -> Pose3D:
        """Turn a video of people into 3D joints; see `infer`."""
        output = self.options.output
        further = (*output.to_dict().values(), self.options.render.render, relift)
        if out is None and (any(further) or self.options.export.formats):
            raise UsageError(
                "2D joints, pictures, exports and results to lift again need a place: give out."
            )
        job = _Job.check(Path(video), out, self.options, report, relift=relift)
        again = job.target if relift and job.target is not None and job.target.exists() else None
        cache = None if again is not None else self._cache(job, report)
        with cache or nullcontext(), _stop_is_said(cache, report):
            if again is not None:
                poses, meta = self._detected_before(job, again, report)
            else:
                poses, meta = self._detected(job, cache, report, progress)
            self._write_2d(job, poses, meta)
            lifted = self._lift(poses, meta, progress)
            if self.lifter.batches.note:
                report(Warn(self.lifter.batches.note))
            result = postprocess(lifted, self.options.postprocess, report)
            self._write(job, result, report, progress)
            if cache is not None:
                cache.remove()
        if cache is not None and job.target is not None:
            remove_leftovers(job.target)  # of other options; a short run keeps nothing itself
        return result

    def stream(
        self, frames: Iterable[tuple[NDArray[np.uint8], float]], *, delay_s: float = 1.0
    ) -> Iterator[FramePeople]:
        """People in frames that the caller has, frame after frame; memory stays bounded.

        Args:
            frames: pictures, (H, W, 3) RGB uint8, all of one size, and their times in seconds,
                rising.
            delay_s: a frame's people come once the frames of so many seconds after it are there
                (or the frames end): the network looks into the future, too. Less is less exact,
                see docs/live.md; 0 is causal.

        Yields:
            `FramePeople` for every frame, in order. Ids are those of the tracker. What needs the
            whole video is left out: equal bone lengths, interpolated gaps, left and right put
            back, people seen too shortly, and all that comes after lifting.

        Raises:
            UsageError: the pictures change their size, or the times do not rise.
        """
        return stream(
            frames,
            self.detector,
            self.lifter,
            focal_px=self.options.lift.focal_px,
            delay_s=delay_s,
        )

    @cached_property
    def _opened(self) -> tuple[Detector, str]:
        return open_detector(self.options.detector, self.device)

    @property
    def detector(self) -> Detector:
        """The detector; it takes a second or more to open.

        Raises:
            MissingDependencyError, WeightsError: it cannot be used here.
        """
        return self._opened[0]

    def about(self) -> str:
        """Which detector, weights and device are used, and why; opens the detector."""
        return f"Detector: {self._opened[1]}. {self._lifter_text()}"

    def close(self) -> None:
        """Let go of the detector."""
        if "_opened" in self.__dict__:
            self.detector.close()
            del self._opened

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _cache(self, job: _Job, report: Report) -> DetectionCache | None:
        """What an interrupted run has left, and where this one keeps what it finds."""
        if job.target is None:
            return None
        chosen = self.options.detector
        fps = self.options.input.fps
        key = cache_key(job.source, self.detector.description, chosen, self.device, fps)
        return DetectionCache(job.target, key, self.detector.skeleton, report)

    def _detected(
        self, job: _Job, cache: DetectionCache | None, report: Report, progress: Progress
    ) -> tuple[Pose2D, dict[str, Any]]:
        """Steps 1 and 2; what an earlier run has left of them is taken if it is of any use."""
        try:
            with self._detect(job, cache, report, progress) as detections:
                tracked = self._track(job, detections, cache, report)
            for note in getattr(self.detector, "notes", ()):  # of those that run on a GPU
                report(Warn(note))
            return tracked
        except UnusableCacheError as error:
            if cache is None or not cache.resumed.frames:
                raise
            report(Warn(f"{cache.folder} cannot be used ({error}); all is detected again."))
            cache.begin_again()
        return self._detected(job, cache, report, progress)

    def _detect(
        self, job: _Job, cache: DetectionCache | None, report: Report, progress: Progress
    ) -> VideoDetections:
        """Step 1: the detections of every frame, as a stream."""
        report(Setup(self.about()))
        chosen = self.options.detector
        return VideoDetections(
            self.detector,
            job.video,
            chosen.start,
            chosen.end,
            fps=self.options.input.fps,
            cache=cache,
            report=report,
            progress=progress,
        )

    def _track(
        self,
        job: _Job,
        detections: VideoDetections,
        cache: DetectionCache | None,
        report: Report,
    ) -> tuple[Pose2D, dict[str, Any]]:
        """Step 2: who is who; everybody on one time line, and the `meta` of that."""
        collector = PoseCollector()
        for frame in detections:
            collector.add(frame)

        def before_arrays(people: int, left_out: int, frames: int) -> None:
            if left_out:
                report(Info(f"Those {people} of {people + left_out} people who are seen longest."))
            check_memory(people, frames, self.options, cache)

        with announce_if_long(report, "Finishing the tracks"):
            poses = collector.finish(
                detections.fps, detections.frame_size, self.options.detector.longest, before_arrays
            )
        if not job.takes_fps:
            poses = replace(poses, fps=average_fps(poses.timestamps, detections.fps))
        warnings = list(detections.warnings)
        if gaps := gaps_sentence(poses.timestamps, job.first_frame_s):
            warnings.append(f"{job.video}: {gaps}")
        for warning in warnings:
            report(Warn(warning))
        if not poses.people:
            if cache is not None:
                cache.remove()
            raise NoPersonError.nobody_in(f"any frame of {job.video}")
        options = self.options.input.to_dict() | self.options.detector.to_dict()
        meta = detection_metadata(
            self.detector.description, options, job.source, warnings, job.first_frame_s
        )
        return poses, meta

    def _detected_before(
        self, job: _Job, target: Path, report: Report
    ) -> tuple[Pose2D, dict[str, Any]]:
        """Steps 1 and 2, taken from a result that is there."""
        before = load(target)
        check_same_detection(target, before.meta, self.options.input, self.options.detector)
        report(Setup(f"2D joints: {target} (lifted again). {self._lifter_text()}"))
        fields = {name: getattr(before, name) for name in Pose2D.__dataclass_fields__}
        recorded = recorded_options(before.meta)
        names = (*self.options.input.to_dict(), *self.options.detector.to_dict())
        options = {name: recorded.get(name) for name in names}
        detector, warnings = (before.meta.get(name) for name in ("detector", "warnings"))
        meta = detection_metadata(detector, options, job.source, warnings, job.first_frame_s)
        return Pose2D(**fields), meta

    def _write_2d(self, job: _Job, poses: Pose2D, meta: dict[str, Any]) -> None:
        if job.target is not None:
            asked = self.options.output.to_dict()
            files = {name: path for name, path in files_2d(job.target).items() if asked[name]}
            write_files_2d(poses, files, meta)

    def _lift(self, poses: Pose2D, meta: dict[str, Any], progress: Progress) -> LiftedPoses:
        """Step 3: everybody's poses, root-relative."""
        lift, after = self.options.lift, self.options.postprocess
        lifted = lift_poses(poses, self.lifter, lift.focal_px, progress)
        return with_lifting_metadata(lifted, meta, self.lifter, lift, after)

    def _write(self, job: _Job, result: Pose3D, report: Report, progress: Progress) -> None:
        """Step 5: the result file, files for other programs, the overlay video, the player."""
        if job.target is None:
            return
        with announce_if_long(report, f"Writing {job.target}"):
            save(result, job.target)
        report(FileWritten(extent(result.people, result.frames), job.target))
        if job.picture is not None:
            render_video(
                result,
                job.video,
                job.picture,
                view=self.options.render.view,
                width=self.options.render.width,
                report=report,
                progress=progress,
            )
            report(FileWritten("Video with skeletons", job.picture))
        if job.page is not None:
            write_page(result, job.page, job.video, report=report, progress=progress)
        # Last: what only the whole result shows, such as too many frames, costs no picture.
        if self.options.export.formats:
            export_files(result, job.target.with_suffix(""), self.options.export, report=report)

    def _lifter_text(self) -> str:
        named = self.options.lift.weights != "default"
        return (
            f"Weights: {self.lifter.checkpoint.path} "
            f"({'named by you' if named else 'the default'}). "
            f"Device: {self.device.type} ({self._why})."
        )


@dataclass(frozen=True)
class _Job:
    """One video, and the files it leads to."""

    video: Path
    source: dict[str, Any]
    """See `describe_video`."""
    first_frame_s: float
    """The time of the video's first frame, as the container says."""
    takes_fps: bool
    """See `VideoReader.takes_fps`; the rate is then the one that was given, or assumed."""
    target: Path | None
    """The result file."""
    picture: Path | None
    """The overlay video."""
    page: Path | None
    """The 3D player."""

    @classmethod
    def check(
        cls,
        video: Path,
        out: str | Path | None,
        options: InferOptions,
        report: Report,
        *,
        relift: bool,
    ) -> _Job:
        """Find out before long work whether the video can be read and the files written.

        Raises:
            UsageError, VideoError, VidposeError: they cannot.
        """
        target = None if out is None else result_path(video, out)
        picture = target.with_suffix(".mp4") if target and options.render.render else None
        page = target.with_suffix(".html") if target and options.output.view_html else None
        if target is not None:
            check_writable(target)
            check_before(target.with_suffix(""), options.export, world=options.postprocess.world)
        if page is not None:
            check_page(page)
        if picture is not None:
            parse_view(options.render.view)
            check_out(picture)
        chosen, fps = options.detector, options.input.fps
        if relift and fps is None and target is not None and video.is_dir():
            fps = _rate_of(target)
        with VideoReader(video, chosen.start, chosen.end, fps=fps) as reader:
            if fps is not None and not reader.takes_fps:
                raise UsageError(
                    f"{video} says its own frame rate; --fps is for folders of pictures, and for "
                    "coded video without a container."
                )
            first_s, takes_fps = reader.first_s, reader.takes_fps
        with announce_if_long(report, f"Reading {video} for its SHA-256"):
            source = describe_video(video)  # now, for it may be gone at the end of a long run
        if target is not None:
            check_same_source(target, source)
        return cls(video, source, first_s, takes_fps, target, picture, page)


@contextmanager
def _stop_is_said(cache: DetectionCache | None, report: Report) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if cache is not None and cache.frames:
            report(Info(f"Stopped; {cache.frames} frames are kept for the same command."))
        raise


def infer(
    video: str | Path,
    out: str | Path | None = None,
    *,
    relift: bool = False,
    report: Report = ignore,
    progress: Progress = silent,
    **options: Any,
) -> Pose3D:
    """Turn a video of people into 3D joints: a `Predictor` for one video.

    While a long video is worked on, what was found so far lies next to the result, in the folder
    `.<name>.partial`. If the work is interrupted, however hard, the same call goes on from there
    and ends with the same result. The folder is removed when all files are written.

    Args:
        video: any file that FFmpeg reads; or a folder of pictures, with `fps`.
        out: where to write the result, too: an .npz, or a folder in which it takes the video's
            name.
        relift: take the 2D joints from the result that is there, if it is this video's, and only
            lift them again; options of detection are the result's own and must not contradict it.
        report: takes messages: first what is used and why, then warnings and files.
        progress: wraps the stream of frames.
        options: the fields of `vidpose.options.InputOptions`, `DetectorOptions`, `LiftOptions`,
            `PostprocessOptions`, `RenderOptions`, `OutputOptions` and `ExportOptions`.

    Returns:
        Everybody in the video, frame by frame.

    Raises:
        NoPersonError: nobody was found.
        VidposeError: the video, the weights, the device or an option cannot be used.
    """
    with Predictor(**options) as predictor:
        return predictor(video, out, relift=relift, report=report, progress=progress)


def _rate_of(target: Path) -> float | None:
    """The --fps that a result of a folder of pictures was made with; None if it says none."""
    found = read_metadata(target)
    recorded = None if found is None else recorded_options(found.meta).get("fps")
    return InputOptions(fps=recorded).fps


def average_fps(timestamps: NDArray[np.float64], container_fps: float) -> float:
    """Frames a second: the container's if the time stamps agree, else the time stamps', without
    pauses.
    """
    measured = average_rate(timestamps)
    if measured is None or abs(measured / container_fps - 1) < RATE_TOLERANCE:
        return container_fps
    return min(max(measured, SLOWEST_FPS), FASTEST_FPS)  # stamps may be rounded
