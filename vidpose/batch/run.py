"""Process many videos: one after another, in several processes, or on many machines with Ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from vidpose.batch.find import find_videos, shared_results
from vidpose.batch.job import Job, Outcome, Worker
from vidpose.errors import UsageError
from vidpose.events import Event, Failure, Info, Report, Setup, Warn, ignore
from vidpose.options import InferOptions
from vidpose.pipeline import check_setup
from vidpose.render import parse_view
from vidpose.utils.progress import Progress, silent
from vidpose.utils.tables import aligned


def infer_many(
    videos: str | Path | Iterable[str | Path],
    out: str | Path,
    *,
    jobs: int = 1,
    ray: str | None = None,
    redo: bool = False,
    relift: bool = False,
    report: Report = ignore,
    progress: Progress = silent,
    videos_progress: Progress = silent,
    **options: Any,
) -> list[Outcome]:
    """Estimate 3D joints in many videos; a video that fails does not stop the others.

    Videos that are done are skipped: those with a result of the same video (by its SHA-256), made
    with the same detector, weights, options and version of vidpose. So are videos in which an
    earlier batch found nobody; the first time that is a failure. Videos that would be written to
    the same result file fail before any work, such as `a.mov` and `a.mp4` of one folder.

    Args:
        videos: videos, folders, patterns or lists, or one of them; see
            `vidpose.batch.find.find_videos`.
        out: folder for the results.
        jobs: number of videos at a time, each in its own process.
        ray: address of a Ray cluster that processes the videos, or "local" to start one here; it
            needs `pip install vidpose[ray]`, the same vidpose on all machines, and paths that are
            valid on all of them. Each video takes a GPU, if there are any.
        redo: also process videos that are done.
        relift: see `vidpose.infer`.
        options: see `vidpose.infer`.
        report: takes messages.
        progress: wraps the frames of a video, if the videos are processed one by one.
        videos_progress: wraps the videos.

    Returns:
        The outcome of every video, in their order.

    Raises:
        UsageError: there is no video, `out` is a single result file for several videos, or an
            option is invalid.
        MissingDependencyError: Ray, or what the detector or an export needs, is not installed.
        WeightsError: weights are missing or cannot be used. On a Ray cluster, packages, weights
            and devices are those of its machines; what is missing there is a video's failure.
    """
    if jobs < 1:
        raise UsageError(f"--jobs {jobs}: give 1 or more.")
    if ray == "":
        raise UsageError("--ray: give the address of a cluster, or local.")
    chosen = InferOptions.of(**options)
    # A string is iterable, too: as folders, `/` or `.` among its characters would be searched.
    found, _ = find_videos([videos] if isinstance(videos, str | Path) else list(videos), out)
    if chosen.render.render:
        parse_view(chosen.render.view)
    if ray is None:  # the machines of a cluster may have other devices, packages and weights
        check_setup(chosen, relift=relift)
    shared = shared_results(found)
    tasks = [
        Job(video, target, chosen, redo, relift) for video, target in found if video not in shared
    ]
    report = _once(report)
    outcomes: Iterator[Outcome]
    if not tasks:
        outcomes = iter(())
    elif ray is not None:
        from vidpose.batch.on_ray import run_on_ray

        outcomes = run_on_ray(tasks, ray)
    elif jobs > 1:
        from vidpose.batch.processes import run_in_processes

        outcomes = run_in_processes(tasks, min(jobs, len(tasks)))
    else:
        outcomes = _one_by_one(tasks, report, progress)
    refused = (
        Outcome(video, target, "failed", reason=shared[video])
        for video, target in found
        if video in shared
    )
    ended: dict[Path, Outcome] = {}
    for outcome in videos_progress(chain(refused, outcomes), len(found), "videos"):
        ended[outcome.video] = outcome
        if ray is not None or jobs > 1:
            for event in outcome.events:
                report(_with_video(event, outcome.video))
        if outcome.state == "failed":
            report(Failure(outcome.reason))
        elif outcome.state == "skipped" and outcome.reason:
            report(Info(f"{outcome.video}: skipped; {outcome.reason}. --redo searches it again."))
        elif outcome.state == "skipped":
            made = f"it was already made from {outcome.video} with these options"
            report(Info(f"{outcome.target}: skipped; {made}."))
    return [ended[video] for video, _ in found]


def _one_by_one(tasks: list[Job], report: Report, progress: Progress) -> Iterator[Outcome]:
    with Worker() as work:
        for task in tasks:
            yield work(task, report, progress)


def _once(report: Report) -> Report:
    """Report which detector and weights are used once, not for every video."""
    last_setup: Event | None = None

    def report_once(event: Event) -> None:
        nonlocal last_setup
        if event == last_setup:
            return
        if isinstance(event, Setup):
            last_setup = event
        report(event)

    return report_once


def _with_video(event: Event, video: Path) -> Event:
    """Add the video to a warning that does not name it, where several jobs run at a time."""
    if not isinstance(event, Warn) or str(video) in event.message:
        return event
    return Warn(f"{event.message} ({video})")


def table(outcomes: list[Outcome]) -> str:
    """Format the outcomes as a table, with the number of each kind."""
    rows = [
        [outcome.video, *_found(outcome), outcome.state + (why and f": {why}")]
        for outcome in outcomes
        for why in [outcome.reason]
    ]
    lines = aligned(rows, ("video", "people", "frames", "outcome"), left=(0, 3))
    counts = Counter(outcome.state for outcome in outcomes)
    sums = ", ".join(f"{counts[state]} {state}" for state in ("done", "skipped", "failed"))
    return f"{lines}\n{sums}"


def _found(outcome: Outcome) -> tuple[object, object]:
    return ("", "") if outcome.state == "failed" else (outcome.people, outcome.frames)
