"""One video of a batch: the job, its outcome, and the worker.

They are the same in one process, in several and on a cluster.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vidpose.batch.nobody import read_record, remove_record, write_record
from vidpose.detect.cache import remove_leftovers
from vidpose.errors import NoPersonError, VidposeError
from vidpose.events import Event, Report, ignore
from vidpose.options import InferOptions
from vidpose.outputs import files_next_to
from vidpose.pipeline import Predictor, check_files, write_files
from vidpose.poses import load, read_metadata
from vidpose.provenance import finds_nobody_again, is_up_to_date
from vidpose.utils.progress import Progress, silent

State = Literal["done", "skipped", "failed"]
NOBODY = "an earlier run with these options found nobody"


@dataclass(frozen=True)
class Job:
    """One video and its result file."""

    video: Path
    target: Path
    options: InferOptions = InferOptions()
    redo: bool = False
    """Run even if an up-to-date result exists."""
    relift: bool = False
    """Only lift the 2D joints of an existing result again."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of one job."""

    video: Path
    target: Path
    """The result file. A video that failed, or was skipped with 0 people, has none; a file there is
    of an earlier run."""
    state: State
    reason: str = ""
    """Why it failed, one sentence; or why it was skipped, if it has no result."""
    people: int = 0
    frames: int = 0
    events: tuple[Event, ...] = ()
    """The job's messages: detector and weights, warnings, files."""


class Worker:
    """Runs one job after another; keeps the predictor as long as the options stay the same."""

    def __init__(self) -> None:
        self._predictor: Predictor | None = None

    def __call__(self, job: Job, report: Report = ignore, progress: Progress = silent) -> Outcome:
        """Run a job unless it is done. Errors are part of the outcome, not raised."""
        events: list[Event] = []

        def keep(event: Event) -> None:
            events.append(event)
            report(event)

        def outcome(state: State, **more: Any) -> Outcome:
            return Outcome(job.video, job.target, state, events=tuple(events), **more)

        try:
            if not job.redo and not job.relift:
                found = read_metadata(job.target)
                if found is not None and is_up_to_date(
                    found, job.video, job.options, self._detector_of(job.options)
                ):
                    write_what_is_missing(job, keep, progress)
                    remove_leftovers(job.target)
                    return outcome("skipped", people=found.people, frames=found.frames)
            if not job.redo and not (job.relift and job.target.exists()):
                nobody = read_record(job.target)
                if nobody is not None and finds_nobody_again(
                    nobody, job.video, job.options, self._detector_of(job.options)
                ):
                    return outcome("skipped", reason=NOBODY, frames=nobody.frames)
            predictor = self._for(job.options)
            result = predictor(
                job.video, job.target, relift=job.relift, report=keep, progress=progress
            )
            remove_record(job.target)
            return outcome("done", people=result.people, frames=result.frames)
        except NoPersonError as error:
            with suppress(VidposeError):  # without a record the next run searches again
                write_record(job.target, error)
            return outcome("failed", reason=str(error))
        except VidposeError as error:
            return outcome("failed", reason=str(error))
        except Exception as error:  # a bug must not stop the other videos
            traceback.print_exc()
            self.close()
            return outcome("failed", reason=f"{job.video}: {type(error).__name__}: {error} (a bug)")

    def close(self) -> None:
        """Free the networks."""
        if self._predictor is not None:
            self._predictor.close()
            self._predictor = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _for(self, options: InferOptions) -> Predictor:
        if self._predictor is None or self._predictor.options != options:
            self.close()
            self._predictor = Predictor(options)
        return self._predictor

    def _detector_of(self, options: InferOptions) -> dict[str, Any]:
        """Return the description of the detector for these options."""
        return self._for(options).detector.description


def write_what_is_missing(job: Job, report: Report, progress: Progress) -> None:
    """Write the missing files next to an existing result: they may not have been requested before,
    or the job may have been interrupted.

    Exports are always written again, since a file does not always tell its options; this takes a
    small part of the time that the video took.
    """
    target, options = job.target, job.options
    check_files(target, options)
    files = files_next_to(target, options)
    missing = {name: path for name, path in files.items() if _is_missing(path, target)}
    if missing or options.export.formats:
        result = load(target)
        write_files(result, job.video, target, missing, options, report=report, progress=progress)


def _is_missing(path: Path, target: Path) -> bool:
    """Whether a file next to a result is not there, or older, perhaps of an earlier result."""
    return not path.exists() or path.stat().st_mtime < target.stat().st_mtime
