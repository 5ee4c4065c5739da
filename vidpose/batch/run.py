"""Many videos: here one after the other or in several processes, or on many machines with Ray.

What a video's job does is the same everywhere (`run_job`), and so are its results and failures.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from glob import glob, has_magic
from pathlib import Path
from typing import Any, Literal

from vidpose.detect.cache import remove_what_is_left
from vidpose.errors import UsageError, VidposeError
from vidpose.pipeline import files_2d, infer, result_path, would_tell, write_files_2d
from vidpose.poses import told_by
from vidpose.postprocess.steps import Finish
from vidpose.render import check_out, parse_view, render_video
from vidpose.utils.progress import Progress, silent
from vidpose.video import is_ours

VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".mxf", ".ogv", ".ts", ".webm", ".wmv"),
)
"""What counts as a video in a folder; a file that is named may be called anything."""

State = Literal["done", "was there", "failed"]


@dataclass(frozen=True)
class Job:
    """One video and where its result goes."""

    video: Path
    target: Path
    options: dict[str, Any] = field(default_factory=dict)
    """Of `vidpose.infer`."""
    redo: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one video."""

    video: Path
    target: Path
    """The result file."""
    state: State
    reason: str = ""
    """Why it failed, one sentence."""
    people: int = 0
    frames: int = 0
    lines: tuple[str, ...] = ()
    """What the job reported: what is used and why, warnings, files."""


def find_videos(sources: list[str | Path], out: str | Path) -> tuple[list[tuple[Path, Path]], bool]:
    """The videos that are meant, and where the result of each goes.

    Args:
        sources: videos; folders, with all that is in them, deep down; patterns such as
            `clips/*.mp4` (`**` for any folders between); or .txt files with a path a line,
            relative to the list, where empty lines and those with a # in front count for nothing.
        out: folder for the results; those of folders and patterns keep their sub-folders.

    Returns:
        (video, result file) pairs, those of folders and patterns in the order of their names; and
        whether they were looked for, rather than named one by one.

    Raises:
        UsageError: nothing is there, or two results would have one name.
    """
    out = Path(out)
    found: dict[Path, Path] = {}
    looked = False
    for source in map(Path, sources):
        pattern = not source.exists() and has_magic(str(source))
        if source.is_dir() or pattern:
            looked = True
            root = _root(source) if pattern else source
            paths = map(Path, glob(str(source), recursive=True)) if pattern else source.rglob("*")
            videos = [path for path in sorted(paths) if _is_source(path, root, pattern)]
            if not videos:
                raise UsageError(f"{source} {'matches' if pattern else 'holds'} no video.")
            for video in videos:
                found[video] = result_path(video, out, video.parent.relative_to(root))
        elif source.suffix.lower() == ".txt" and source.is_file():
            looked = True
            for video in _listed(source):
                found[video] = result_path(video, out)
        else:
            found[source] = result_path(source, out)
    targets = list(found.values())
    if len(set(targets)) < len(targets):
        twice = next(target for target in targets if targets.count(target) > 1)
        raise UsageError(
            f"two of the videos would be written to {twice}; run them apart, each with another -o."
        )
    return list(found.items()), looked


def _root(pattern: Path) -> Path:
    """The folder in which a pattern looks: what stands before its first wildcard."""
    plain = []
    for part in pattern.parts[:-1]:
        if has_magic(part):
            break
        plain.append(part)
    return Path(*plain)


def _is_source(path: Path, root: Path, pattern: bool) -> bool:
    """Whether a path that was come across is a video to work on, and no overlay of ours."""
    inner = path.relative_to(root)
    hidden = any(part.startswith(".") for part in inner.parts)
    video = pattern or path.suffix.lower() in VIDEO_SUFFIXES
    return video and not hidden and path.is_file() and not is_ours(path)


def _listed(source: Path) -> list[Path]:
    try:
        lines = source.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UsageError(f"{source} cannot be read as a list of videos, a path a line.") from None
    paths = [line.strip() for line in lines]
    videos = [source.parent / path for path in paths if path and not path.startswith("#")]
    if not videos:
        raise UsageError(f"{source} lists no video.")
    return videos


def infer_many(
    videos: list[str | Path],
    out: str | Path,
    *,
    jobs: int = 1,
    ray: str | None = None,
    redo: bool = False,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
    videos_progress: Progress = silent,
    **options: Any,
) -> list[Outcome]:
    """Turn many videos into 3D joints; a video that fails does not stop the others.

    What is done already is left alone: a result of this very video (by its SHA-256), with the
    same detector, weights and options, by the same version of vidpose.

    Args:
        videos: videos, folders, patterns or lists; see `find_videos`.
        out: folder for the results.
        jobs: so many videos at a time, each in a process of its own.
        ray: address of a Ray cluster on which the videos are worked on, or "local" for one that
            is started here; it needs `pip install vidpose[ray]`, the same vidpose on all machines,
            and paths that mean the same to all of them. A GPU is taken for each video, if there
            are any.
        redo: work on what is done, too.
        report: takes lines for the user.
        progress: wraps the frames of a video, where they are worked on one by one here.
        videos_progress: wraps the videos.
        options: of `vidpose.infer`.

    Returns:
        For every video what became of it, in their order.

    Raises:
        UsageError: there is no video, two results would have one name, or an option is none.
        MissingDependencyError: Ray is not installed.
    """
    if jobs < 1:
        raise UsageError(f"--jobs {jobs}: give 1 or more.")
    found, _ = find_videos(videos, out)
    if options.get("render"):
        parse_view(options.get("view", "three-quarter"))
    Finish.of(options)
    tasks = [Job(video, target, options, redo) for video, target in found]
    with_ray = ray is not None
    if with_ray:
        from vidpose.batch.on_ray import run_on_ray

        outcomes = run_on_ray(tasks, ray or "local")
    elif jobs > 1:
        from vidpose.batch.processes import run_in_processes

        outcomes = run_in_processes(tasks, min(jobs, len(tasks)))
    else:
        outcomes = _one_by_one(tasks, report, progress)
    ended: dict[Path, Outcome] = {}
    told = ""
    for outcome in videos_progress(outcomes, len(tasks), "videos"):
        ended[outcome.target] = outcome
        if with_ray or jobs > 1:
            for line in outcome.lines:
                # What is used is said once, not for every video.
                if not line.startswith("Detector: "):
                    report(f"{line} ({outcome.video})" if line.startswith("Warning") else line)
                elif line != told:
                    report(line)
                    told = line
        if outcome.state == "failed":
            report(f"Error: {outcome.reason}")
        elif outcome.state == "was there":
            report(f"{outcome.target}: was there, made from {outcome.video} with these options")
    return [ended[task.target] for task in tasks]


def _one_by_one(
    tasks: list[Job], report: Callable[[str], None], progress: Progress
) -> Iterator[Outcome]:
    told = ""

    def tell(line: str) -> None:
        nonlocal told
        if line != told:
            report(line)
        if line.startswith("Detector: "):
            told = line

    for task in tasks:
        yield run_job(task, tell, progress)


def run_job(
    job: Job,
    report: Callable[[str], None] = lambda line: None,
    progress: Progress = silent,
) -> Outcome:
    """Work on one video, unless it is done. Whatever goes wrong is the outcome, never raised."""
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        report(line)

    def outcome(state: State, **more: Any) -> Outcome:
        return Outcome(job.video, job.target, state, lines=tuple(lines), **more)

    try:
        if not job.redo and not job.options.get("relift"):
            there = _is_done(job)
            if there is not None:
                _write_what_is_missing(job, tell, progress)
                remove_what_is_left(job.target)
                return outcome("was there", people=there[0], frames=there[1])
        result = infer(job.video, job.target, **job.options, report=tell, progress=progress)
        return outcome("done", people=result.people, frames=result.frames)
    except VidposeError as error:
        return outcome("failed", reason=str(error))
    except Exception as error:  # a bug for this video is none for the next
        traceback.print_exc()
        return outcome("failed", reason=f"{job.video}: {type(error).__name__}: {error} (a bug)")


def _is_done(job: Job) -> tuple[int, int] | None:
    """Number of people and frames of the result, if it is what the job would give again."""
    before = told_by(job.target)
    if before is None:
        return None
    meta, people, frames = before
    options = job.options
    if people <= (options.get("longest") or 0) and _agrees(meta, {"options": {"longest": None}}):
        options = options | {"longest": None}  # all of them are among the N
    wanted = would_tell(job.video, _detector(**_of_detection(options)), options)
    return (people, frames) if _agrees(meta, wanted) else None


def _agrees(told: Any, wanted: Any) -> bool:
    """Whether all that is wanted is told."""
    if isinstance(wanted, dict):
        return isinstance(told, dict) and all(
            _agrees(told.get(key), value) for key, value in wanted.items()
        )
    return bool(told == wanted)


def _of_detection(options: dict[str, Any]) -> dict[str, Any]:
    names = ("detector", "people", "pose_weights", "person_weights", "detect_every", "device")
    return {name: options[name] for name in (*names, "half", "flip_test") if name in options}


@lru_cache(maxsize=8)
def _detector(**options: Any) -> dict[str, Any]:
    """What a detector would tell of itself; opening one takes a second or more."""
    from vidpose.pipeline import open_detector_for

    detector, _ = open_detector_for(**options)
    with detector:
        return detector.description


def _write_what_is_missing(job: Job, report: Callable[[str], None], progress: Progress) -> None:
    """What goes beside a result: it may not have been asked for before, or an interrupted job may
    not have come to it.
    """
    target, options = job.target, job.options
    picture = target.with_suffix(".mp4")
    draw = bool(options.get("render"))
    if draw:
        check_out(picture)
        draw = not picture.exists() or picture.stat().st_mtime < target.stat().st_mtime
    missing = {
        name: path
        for name, path in files_2d(target).items()
        if options.get(name) and not path.exists()
    }
    if not (draw or missing):
        return
    from vidpose.poses import load

    result = load(target)
    write_files_2d(result, missing, result.meta)
    if draw:
        view = options.get("view", "three-quarter")
        render_video(result, job.video, picture, view=view, progress=progress)
        report(f"Video with skeletons: {picture}")


def table(outcomes: list[Outcome]) -> str:
    """The outcomes, a line each, and how many there are of each kind."""
    names = [os.fspath(outcome.video) for outcome in outcomes]
    width = max(map(len, names))
    lines = [f"{'video':{width}}  people  frames  outcome"]
    for name, outcome in zip(names, outcomes, strict=True):
        found = f"{outcome.people:6}  {outcome.frames:6}"
        if outcome.state == "failed":
            found = f"{'':6}  {'':6}"
        why = f": {outcome.reason}" if outcome.reason else ""
        lines.append(f"{name:{width}}  {found}  {outcome.state}{why}")
    counts = {
        state: sum(outcome.state == state for outcome in outcomes)
        for state in ("done", "was there", "failed")
    }
    lines.append(", ".join(f"{count} {state}" for state, count in counts.items()))
    return "\n".join(lines)
