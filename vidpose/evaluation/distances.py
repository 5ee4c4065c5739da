"""Distances between a result's joints and a reference's, person by person, and their statistics."""

from __future__ import annotations

import csv
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from vidpose.errors import UsageError
from vidpose.evaluation.alignment import (
    ALIGNMENTS,
    NONE,
    PLACED,
    PROCRUSTES,
    ROOT,
    SEQUENCE,
    TURNS,
    distances,
)
from vidpose.evaluation.reference import Reference
from vidpose.poses import Pose3D
from vidpose.skeleton import H36M17
from vidpose.utils.files import replacing
from vidpose.utils.gaps import known_joints

CUTOFF_M = 0.5
"""Cutoff distance when people are matched: a pose with this error is as bad as none. In images,
where bodies have size 1, it is half a body."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Errors:
    """The errors of one person of a result against one of a reference; T frames of the result."""

    label: str
    person: int
    reference_person: str
    seconds: Floats
    """(T,)."""
    errors_mm: Floats
    """(T, 17), NaN where the joint is missing in either."""

    @property
    def frames(self) -> int:
        """Number of frames with at least one error."""
        return int(np.isfinite(self.errors_mm).any(axis=1).sum())

    @property
    def mean_mm(self) -> float:
        """Mean over all joints and frames."""
        return float(np.nanmean(self.errors_mm))

    def over_time(self) -> Floats:
        """(T,) mean over joints, mm."""
        return _ignoring_nan(np.nanmean, self.errors_mm, axis=1)

    def by_joint(self) -> Floats:
        """(17,) mean over frames, mm."""
        return _ignoring_nan(np.nanmean, self.errors_mm, axis=0)

    def quartiles(self) -> tuple[Floats, Floats]:
        """First and third quartile over the frames, (17,) each, mm."""
        low, high = _ignoring_nan(np.nanpercentile, self.errors_mm, q=(25, 75), axis=0)
        return low, high

    def cumulative(self, limits_mm: Floats) -> Floats:
        """Compute the percentage of joints, over all frames, with an error below each limit."""
        known = np.sort(self.errors_mm[np.isfinite(self.errors_mm)])
        return 100 * np.searchsorted(known, limits_mm, side="left") / len(known)


def _ignoring_nan(of: Any, values: Floats, **options: Any) -> Any:
    """Apply a nan-function without warnings about rows that are all NaN."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return of(values, **options)


def usual_alignment(reference: Reference) -> str:
    """Choose the default alignment: `root` in the camera frame; otherwise axes differ, too."""
    return ROOT if reference.in_camera else SEQUENCE


def measure(
    result: Pose3D,
    reference: Reference,
    how: str,
    *,
    label: str,
    person: int | None = None,
    offset_s: float = 0.0,
    same_video: Pose3D | None = None,
) -> list[Errors]:
    """Measure the errors of all people, or of one person, against a reference.

    People are matched so that the sum of their errors is smallest. An error counts `CUTOFF_M` at
    most, as does a frame in which only the reference has the person (the OSPA distance of
    Schuhmacher et al., "A consistent metric for performance evaluation of multi-object filters",
    IEEE TSP 56, 2008, per frame). For two results of one video, the errors for matching are those
    of the 2D joints, which do not depend on focal length and body height.

    Args:
        result: the result to measure, at its own times.
        reference: the reference; interpolated to these times, never extrapolated.
        how: one of `ALIGNMENTS`.
        label: label of the result.
        person: measure only this person, matched with the nearest one.
        offset_s: added to the reference's times.
        same_video: the result that `reference` was made from, if both are of one video.

    Raises:
        UsageError: there is no such person, the times do not overlap, the axes differ and the
            alignment does not rotate, the alignment needs people's positions and they are unknown,
            or no joint is known in both.
    """
    if not reference.in_camera and how not in TURNS:
        raise UsageError(
            f"--align {how} compares along the camera's axes, and {reference.name} has its own; "
            f"use {PROCRUSTES} or {SEQUENCE}."
        )
    rows = range(result.people) if person is None else [result.index_of(person)]
    placed = how in PLACED
    theirs = reference.at(result.timestamps, offset_s, placed=placed)
    ours = (result.joints_camera() if placed else result.joints_3d).astype(np.float64)
    if placed:
        _check_placed(label, ours, result.joints_3d)
        _check_placed(reference.name, reference.joints, reference.relative)
    _check_overlap(result, reference, theirs, offset_s)
    if same_video is None:
        cost = np.array([[_cost(ours[row], other, how) for other in theirs] for row in rows])
    else:
        mine, others = _in_image(result, same_video)
        cost = np.array([[_cost(mine[row], other, NONE) for other in others] for row in rows])
    out = []
    for i, column in zip(*linear_sum_assignment(cost), strict=True):
        row = rows[i]
        errors = 1000 * distances(ours[row], theirs[column], how)
        if np.isfinite(errors).any():
            one = int(result.person_ids[row])
            out.append(
                Errors(
                    label=label if result.people == 1 else f"{label}, person {one}",
                    person=one,
                    reference_person=reference.people[column],
                    seconds=result.timestamps,
                    errors_mm=errors,
                )
            )
    if not out:
        raise UsageError(f"{label} and {reference.name} have no joint in common at any time.")
    return out


def _in_image(result: Pose3D, other: Pose3D) -> tuple[Floats, Floats]:
    """Return 2D joints of two results of one video, (P, T, 17, 2) each, at the first one's times.

    The unit is the median longer side of the bounding boxes around the joints.
    """
    mine, others = (
        np.where(one.present[..., None, None], one.keypoints_2d, np.nan) for one in (result, other)
    )
    box = _ignoring_nan(np.nanmax, mine, axis=2) - _ignoring_nan(np.nanmin, mine, axis=2)
    size = float(np.nanmedian(box.max(axis=-1)))
    seen = Reference(
        name="",
        joints=others.astype(np.float64),
        seconds=other.timestamps,
        people=tuple(map(str, other.person_ids)),
        in_camera=False,
    )
    return mine / size, seen.at(result.timestamps) / size


def _check_placed(name: str, joints: Floats, relative: NDArray[np.floating] | None) -> None:
    """Raise UsageError if there are joints, but all positions in the scene are unknown."""
    if relative is not None and np.isfinite(relative).any() and not np.isfinite(joints).any():
        raise UsageError(
            f"{name} has no positions of people in the scene; use --align {ROOT} or {PROCRUSTES}."
        )


def _cost(ours: Floats, theirs: Floats, how: str) -> float:
    """Compute the cost of matching a pair, metres times frames, at most 0.

    It is the error in the frames in which the reference has the person, minus the cost of these
    frames if the person stays unmatched. So a person with few frames has no advantage.
    """
    there = known_joints(theirs).any(axis=1)
    error = _ignoring_nan(np.nanmean, distances(ours, theirs, how)[there], axis=1)
    error = np.minimum(np.nan_to_num(error, nan=CUTOFF_M), CUTOFF_M)
    return float((error - CUTOFF_M).sum())


def _check_overlap(result: Pose3D, reference: Reference, theirs: Floats, offset_s: float) -> None:
    if np.isfinite(theirs).any():
        return
    first, last = result.timestamps[[0, -1]]
    begin, end = reference.seconds[[0, -1]] + offset_s
    if end < first or begin > last:
        raise UsageError(
            f"the result covers {first:.2f} to {last:.2f} s and {reference.name} {begin:.2f} to "
            f"{end:.2f} s; shift it with --offset S."
        )
    raise UsageError(
        f"{reference.name} has too few samples per second, or too many gaps, to interpolate at the "
        "result's times; give one with at least 10 per second."
    )


FORMAT = "vidpose-distances/1"
CSV_COLUMNS = ("label", "person", "reference_person", "time_s", "joint", "error_mm")
CSV_MARK = ",".join(CSV_COLUMNS).encode()
"""Identifies a table that vidpose wrote, see `holds_mark`."""


def summary(errors: Sequence[Errors], reference: Reference, how: str) -> dict[str, Any]:
    """Make a summary, without single frames, as JSON values."""
    return {
        "format": FORMAT,
        "reference": reference.name,
        "alignment": how,
        "alignment_is": ALIGNMENTS[how],
        "missing_joints": list(reference.missing),
        "people": [_person_summary(one) for one in errors],
    }


def _person_summary(one: Errors) -> dict[str, Any]:
    low, high = one.quartiles()
    columns = zip(H36M17.joint_names, one.by_joint(), low, high, strict=True)
    return {
        "label": one.label,
        "person": one.person,
        "reference_person": one.reference_person,
        "frames": one.frames,
        "mean_mm": one.mean_mm,
        "median_mm": float(np.nanmedian(one.errors_mm)),
        "joints": {
            name: {"mean_mm": float(mean), "quartile_25_mm": float(a), "quartile_75_mm": float(b)}
            for name, mean, a, b in columns
            if np.isfinite(mean)
        },
    }


def write_json(path: Path, numbers: dict[str, Any]) -> Path:
    """Write a `summary`."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n")
    return path


def write_csv(path: Path, errors: Sequence[Errors]) -> Path:
    """Write one row for each person, frame and joint with an error."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(CSV_COLUMNS)
        for one in errors:
            for frame, joint in np.argwhere(np.isfinite(one.errors_mm)):
                who = [one.label, one.person, one.reference_person]
                time, error = one.seconds[frame], one.errors_mm[frame, joint]
                lines.writerow([*who, f"{time:.6f}", H36M17.joint_names[joint], f"{error:.3f}"])
    return path
