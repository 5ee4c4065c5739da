"""The main pipeline: detect, track, lift, postprocess, write."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vidpose.detect import check_detector, open_detector
from vidpose.detect.base import Detector
from vidpose.detect.cache import DetectionCache, UnusableCacheError, remove_leftovers
from vidpose.detect.video_detections import VideoDetections
from vidpose.errors import NoPersonError, UsageError
from vidpose.events import FileWritten, Info, Report, Setup, Warn, ignore
from vidpose.keypoints import mmpose, npz, write_2d, write_mmpose
from vidpose.lifting.lifter import LiftedPoses, lift_poses, load_lifter_checkpoint, open_lifter
from vidpose.options import ExportOptions, InferOptions, InputOptions
from vidpose.outputs import check_memory, files_next_to, result_path, warn_of_older_files
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
    metadata_2d,
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
from vidpose.video.cuts import cuts_sentence
from vidpose.viewer.page import check_page, write_page

RATE_TOLERANCE = 0.01


class Predictor:
    """A detector and a lifter, loaded once and used for many videos.

        with Predictor(weights="default") as predictor:
            for video in videos:
                result = predictor(video, "outputs")

    Not thread-safe.
    """

    def __init__(self, options: InferOptions | None = None, **fields: Any) -> None:
        """Load the lifter; the detector is loaded on first use.

        Args:
            options: all options; or instead
            fields: options by name: detector="hrnet", weights="default", device="cpu", world=True
                ...; see `vidpose.options`.

        Raises:
            UsageError: there is no such option, a value is invalid, or both arguments are given.
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
                "render, export, other extra files and relift need an output path; give it as out=."
            )
        job = _Job.check(Path(video), out, self.options, report, relift=relift)
        again = job.target if relift and job.target is not None and job.target.exists() else None
        cache = None if again is not None else self._cache(job, report)
        with cache or nullcontext(), _report_interruption(cache, report):
            if again is not None:
                poses, meta = self._detected_before(job, again, report)
            else:
                poses, meta = self._detected(job, cache, report, progress)
            lifted = self._lift(poses, meta, progress)
            if self.lifter.batches.note:
                report(Warn(self.lifter.batches.note))
            result = postprocess(lifted, self.options.postprocess, report)
            before = None if job.target is None else read_metadata(job.target)
            self._write(job, result, report, progress)
            if job.target is not None:
                warn_of_older_files(job.target, before, report, same_2d=again is not None)
            if cache is not None:
                cache.remove()
        if cache is not None and job.target is not None:
            remove_leftovers(job.target)  # of runs with other options
        return result

    def stream(
        self, frames: Iterable[tuple[NDArray[np.uint8], float]], *, delay_s: float = 1.0
    ) -> Iterator[FramePeople]:
        """Process a stream of frames with bounded memory.

        Args:
            frames: images, (H, W, 3) RGB uint8, all of one size, and their times in seconds,
                increasing.
            delay_s: look-ahead: a frame is lifted once the frames of the next `delay_s` seconds
                have arrived, or the stream has ended. A shorter delay is less accurate, see
                docs/live.md; 0 is causal.

        Yields:
            `FramePeople` for every frame, in order. Ids are those of the tracker. Steps that need
            the whole video are skipped: interpolation of gaps, correction of left/right swaps and
            of in-between frames, removal of outliers and short tracks, and all postprocessing
            except the root trajectory.

        Raises:
            UsageError: the frame size changes, or the times do not increase.
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
        """The detector; loading it takes a second or more.

        Raises:
            MissingDependencyError, WeightsError: it is not installed or its weights cannot be used.
        """
        return self._opened[0]

    def about(self) -> str:
        """Describe the detector, weights and device in use, and why; loads the detector."""
        return f"Detector: {self._opened[1]}. {self._lifter_text()}"

    def close(self) -> None:
        """Close the detector."""
        if "_opened" in self.__dict__:
            self.detector.close()
            del self._opened

    def __enter__(self) -> Predictor:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _cache(self, job: _Job, report: Report) -> DetectionCache | None:
        """The detection cache: holds what an interrupted run left, and takes this run's
        detections.
        """
        if job.target is None:
            return None
        chosen = self.options.detector
        fps = self.options.input.fps
        key = cache_key(job.source, self.detector.description, chosen, self.device, fps)
        return DetectionCache(job.target, key, self.detector.skeleton, report)

    def _detected(
        self, job: _Job, cache: DetectionCache | None, report: Report, progress: Progress
    ) -> tuple[Pose2D, dict[str, Any]]:
        """Steps 1 and 2. Cached detections of an interrupted run are used if they can be read;
        otherwise detection starts over.
        """
        try:
            with self._detect(job, cache, report, progress) as detections:
                tracked = self._track(job, detections, cache, report)
            for note in getattr(self.detector, "notes", ()):  # only of detectors that run on a GPU
                report(Warn(note))
            return tracked
        except UnusableCacheError as error:
            if cache is None or not cache.resumed.frames:
                raise
            report(Warn(f"{cache.folder} cannot be used ({error}); detection starts over."))
            cache.begin_again()
        return self._detected(job, cache, report, progress)

    def _detect(
        self, job: _Job, cache: DetectionCache | None, report: Report, progress: Progress
    ) -> VideoDetections:
        """Step 1: stream the detections of every frame."""
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
        """Step 2: track people; return their poses on one time axis, and `meta`."""
        collector, cuts_s = PoseCollector(), []
        for frame in detections:
            collector.add(frame)
            if frame.begins_shot:
                cuts_s.append(frame.time_s - job.first_frame_s)

        def before_arrays(people: int, dropped: int, frames: int) -> None:
            if dropped:
                report(
                    Info(f"Kept the {people} of {people + dropped} people who are visible longest.")
                )
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
        if cuts_s:
            warnings.append(f"{job.video}: {cuts_sentence(cuts_s)}")
        for warning in warnings:
            report(Warn(warning))
        options = self.options.input.to_dict() | self.options.detector.to_dict()
        meta = detection_metadata(
            self.detector.description, options, job.source, warnings, job.first_frame_s
        )
        if not poses.people:
            if cache is not None:
                cache.remove()
            raise NoPersonError.nobody_in(f"any frame of {job.video}", meta, poses.frames)
        return poses, meta

    def _detected_before(
        self, job: _Job, target: Path, report: Report
    ) -> tuple[Pose2D, dict[str, Any]]:
        """Steps 1 and 2, taken from an existing result."""
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

    def _lift(self, poses: Pose2D, meta: dict[str, Any], progress: Progress) -> LiftedPoses:
        """Step 3: lift to root-relative 3D poses."""
        lift, after = self.options.lift, self.options.postprocess
        lifted = lift_poses(poses, self.lifter, lift.focal_px, progress)
        return with_lifting_metadata(lifted, meta, self.lifter, lift, after)

    def _write(self, job: _Job, result: Pose3D, report: Report, progress: Progress) -> None:
        """Step 5: write the result file, the 2D joints, the overlay video, the player and the
        exports.
        """
        if job.target is None:
            return
        with announce_if_long(report, f"Writing {job.target}"):
            save(result, job.target)
        report(FileWritten(extent(result.people, result.frames), job.target))
        # After the result: a batch takes older files for those of an earlier result.
        video, target, options = job.video, job.target, self.options
        files = files_next_to(target, options)
        write_files(result, video, target, files, options, report=report, progress=progress)

    def _lifter_text(self) -> str:
        named = self.options.lift.weights != "default"
        return (
            f"Weights: {self.lifter.checkpoint.path} "
            f"({'as given' if named else 'the default'}). "
            f"Device: {self.device.type} ({self._why})."
        )


def check_setup(options: InferOptions, *, relift: bool = False) -> None:
    """Check early what concerns every video: the device, the weights, the detector, the exports.

    Args:
        options: of all videos.
        relift: the videos need no detector, unless they have no result.

    Raises:
        UsageError, MissingDependencyError, WeightsError: no video can be processed.
    """
    choose_device(options.lift.device)
    load_lifter_checkpoint(options.lift.weights)
    if not relift:
        check_detector(options.detector)
    if options.export != ExportOptions():
        from vidpose.export import check_options  # see `check_files`

        check_options(options.export, world=options.postprocess.world)


def check_files(target: Path, options: InferOptions) -> None:
    """Check early that the files next to a result can be written and replace no other file.

    Raises:
        UsageError: a file exists and vidpose did not write it, such as the result `clip.2d.npz` of
            a video `clip.2d.mp4`; or an option of a file is invalid.
        MissingDependencyError: a package that an export needs is not installed.
        VidposeError: a file cannot be written.
    """
    files = files_next_to(target, options)
    if path := files.get("save_2d"):
        npz.check_target(path)
    if path := files.get("save_mmpose"):
        mmpose.check_target(path)
    if options.export != ExportOptions():
        from vidpose.export import check_before  # takes a fifth of a second, with SciPy

        check_before(target.with_suffix(""), options.export, world=options.postprocess.world)
    if path := files.get("view_html"):
        check_page(path)
    if path := files.get("render"):
        parse_view(options.render.view)
        check_out(path)


def write_files(
    result: Pose3D,
    video: Path,
    target: Path,
    files: Mapping[str, Path],
    options: InferOptions,
    *,
    report: Report,
    progress: Progress,
) -> None:
    """Write files next to a result, and its exports.

    Args:
        result: the people.
        video: from which it was made.
        target: the result file.
        files: see `files_next_to`.
        options: of the files.
        report: called with each file.
        progress: wraps the frames.
    """
    if path := files.get("save_2d"):
        write_2d(result, path, metadata_2d(result.meta))
        report(FileWritten("2D joints", path))
    if path := files.get("save_mmpose"):
        write_mmpose(result, path)
        report(FileWritten("2D joints for MMPose", path))
    if path := files.get("render"):
        view, width = options.render.view, options.render.width
        render_video(result, video, path, view=view, width=width, report=report, progress=progress)
        report(FileWritten("Overlay video", path))
    if path := files.get("view_html"):
        write_page(result, path, video, report=report, progress=progress)
    # Last, so that an export that fails, such as for too many frames, loses no other file.
    if options.export.formats:
        from vidpose.export import export_files  # see `check_files`

        export_files(result, target.with_suffix(""), options.export, report=report)


@dataclass(frozen=True)
class _Job:
    """One video and its output files."""

    video: Path
    source: dict[str, Any]
    """See `describe_video`."""
    first_frame_s: float
    """Timestamp of the video's first frame, from the container."""
    takes_fps: bool
    """See `VideoReader.takes_fps`; the frame rate is then given or assumed."""
    target: Path | None
    """The result file."""

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
        """Check early that the video can be read and the files can be written.

        Raises:
            UsageError, VideoError, VidposeError: a check failed.
        """
        target = None if out is None else result_path(video, out)
        if target is not None:
            check_writable(target)
            check_files(target, options)
        chosen, fps = options.detector, options.input.fps
        if relift and fps is None and target is not None and video.is_dir():
            fps = _rate_of(target)
        with VideoReader(video, chosen.start, chosen.end, fps=fps) as reader:
            if fps is not None and not reader.takes_fps:
                raise UsageError(
                    f"{video} has its own frame rate; leave out --fps, which is for image folders "
                    "and raw video streams without a container."
                )
            first_s, takes_fps = reader.first_s, reader.takes_fps
        with announce_if_long(report, f"Reading {video} for its SHA-256"):
            source = describe_video(video)  # now; it may be gone at the end of a long run
        if target is not None:
            check_same_source(target, source)
        return cls(video, source, first_s, takes_fps, target)


@contextmanager
def _report_interruption(cache: DetectionCache | None, report: Report) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if cache is not None and cache.frames:
            report(
                Info(f"Stopped; {cache.frames} frames are kept; run the same command to continue.")
            )
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

    While a long video is processed, detections so far are kept next to the result, in the folder
    `.<name>.partial`. After an interruption, even by SIGKILL, the same call
    continues from there and gives the same result. The folder is removed once all files are
    written.

    Args:
        video: any file that FFmpeg reads; or a folder of images, with `fps`.
        out: where to write the result: an .npz, or a folder, where it takes the video's name.
        relift: take the 2D joints from the existing result of this video and only lift them
            again; detection options that are given must match those of that result.
        report: called with each message: first the setup, then warnings and files.
        progress: wraps the stream of frames.
        options: the fields of `vidpose.options.InputOptions`, `DetectorOptions`, `LiftOptions`,
            `PostprocessOptions`, `RenderOptions`, `OutputOptions` and `ExportOptions`.

    Returns:
        The poses of everybody in the video.

    Raises:
        NoPersonError: nobody was found.
        VidposeError: the video, the weights, the device or an option cannot be used.
    """
    with Predictor(**options) as predictor:
        return predictor(video, out, relift=relift, report=report, progress=progress)


def _rate_of(target: Path) -> float | None:
    """The --fps that the result of an image folder was made with, if it records one."""
    found = read_metadata(target)
    recorded = None if found is None else recorded_options(found.meta).get("fps")
    return InputOptions(fps=recorded).fps


def average_fps(timestamps: NDArray[np.float64], container_fps: float) -> float:
    """Frames per second: the container's rate if it agrees with the timestamps, else the average
    rate of the timestamps without pauses.
    """
    measured = average_rate(timestamps)
    if measured is None or abs(measured / container_fps - 1) < RATE_TOLERANCE:
        return container_fps
    return min(max(measured, SLOWEST_FPS), FASTEST_FPS)  # timestamps may be rounded
