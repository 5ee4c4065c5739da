"""Errors of a result's joints against a reference, person by person, as numbers and files."""

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
    PROCRUSTES,
    ROOT,
    ROTATING,
    SEQUENCE,
    WITH_POSITIONS,
    distances,
)
from vidpose.evaluation.reference import Reference
from vidpose.poses import Pose3D
from vidpose.skeleton import H36M17
from vidpose.utils.files import replacing
from vidpose.utils.gaps import known_joints

MAX_MATCH_ERROR = 0.5
"""When people are matched, a larger error costs no more than a missing pose. In metres; for 2D
joints, in body sizes."""

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
    """(T, 17), NaN where the joint is missing in either of them."""

    @property
    def frames(self) -> int:
        """The number of frames with at least one error."""
        return int(np.isfinite(self.errors_mm).any(axis=1).sum())

    @property
    def mean_mm(self) -> float:
        """The mean over all joints of all frames."""
        return float(np.nanmean(self.errors_mm))

    def over_time(self) -> Floats:
        """(T,) mean over joints, mm."""
        return _ignoring_nan(np.nanmean, self.errors_mm, axis=1)

    def by_joint(self) -> Floats:
        """(17,) mean over frames, mm."""
        return _ignoring_nan(np.nanmean, self.errors_mm, axis=0)

    def quartiles(self) -> tuple[Floats, Floats]:
        """Lower and upper quartile over the frames, (17,) each, mm."""
        low, high = _ignoring_nan(np.nanpercentile, self.errors_mm, q=(25, 75), axis=0)
        return low, high

    def cumulative(self, limits_mm: Floats) -> Floats:
        """The percentage of joints, over all frames, with an error below each limit."""
        known = np.sort(self.errors_mm[np.isfinite(self.errors_mm)])
        return 100 * np.searchsorted(known, limits_mm, side="left") / len(known)


def _ignoring_nan(of: Any, values: Floats, **options: Any) -> Any:
    """Apply a NumPy nan-function; a slice of only NaN gives NaN without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return of(values, **options)


def default_alignment(reference: Reference) -> str:
    """`root` if the reference has the camera's axes; otherwise an alignment with a rotation."""
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
    """Match people between result and reference, and measure the errors of each pair.

    Pairs minimise the sum of errors per frame. An error counts as `MAX_MATCH_ERROR` at most, and
    so does a frame in which the reference has the person and the result does not (the OSPA distance
    of Schuhmacher et al., "A consistent metric for performance evaluation of multi-object filters",
    IEEE TSP 56, 2008, frame by frame). With `same_video`, matching uses the 2D joints, which do not
    depend on focal length or body height.

    Args:
        result: the result to measure, at its own times.
        reference: interpolated at the result's times, never extrapolated.
        how: one of `ALIGNMENTS`.
        label: the name of the result.
        person: only this person, matched with the nearest one of the reference.
        offset_s: added to the reference's times.
        same_video: the reference as a result, if both are of one video.

    Raises:
        UsageError: there is no such person; the two have no time in common; their axes differ and
            the alignment has no rotation; the alignment needs positions in the scene that are
            unknown; or no pair has a joint in common.
    """
    if not reference.in_camera and how not in ROTATING:
        raise UsageError(
            f"--align {how} needs the camera's axes, but {reference.name} has its own; "
            f"use {PROCRUSTES} or {SEQUENCE}."
        )
    rows = range(result.people) if person is None else [result.index_of(person)]
    positions = how in WITH_POSITIONS
    theirs = reference.at(result.timestamps, offset_s, positions=positions)
    ours = (result.joints_camera() if positions else result.joints_3d).astype(np.float64)
    if positions:
        _check_positions(label, ours, result.joints_3d)
        _check_positions(reference.name, reference.joints, reference.relative)
    _check_overlap(result, reference, theirs, offset_s)
    if same_video is None:
        cost = np.array([[_cost(ours[row], other, how) for other in theirs] for row in rows])
    else:
        mine, others = _joints_2d(result, same_video)
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
        raise UsageError(
            f"{label} and {reference.name} have no joint in common in any frame; choose another "
            "reference."
        )
    return out


def _joints_2d(result: Pose3D, other: Pose3D) -> tuple[Floats, Floats]:
    """2D joints of two results of one video, (P, T, 17, 2) each, at the first one's times.

    In body sizes: the median, over people and frames, of the longer side of the joints' bounding
    box.
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


def _check_positions(name: str, joints: Floats, relative: NDArray[np.floating] | None) -> None:
    """Raise UsageError if there are root-relative joints, but no position in the scene."""
    if relative is not None and np.isfinite(relative).any() and not np.isfinite(joints).any():
        raise UsageError(
            f"{name} has no positions of people in the scene; use --align {ROOT} or {PROCRUSTES}."
        )


def _cost(ours: Floats, theirs: Floats, how: str) -> float:
    """The assignment cost of a pair, metres (or body sizes) times frames: 0 or less.

    The sum of the errors over the frames that have the reference's person, minus the cost of
    leaving that person unmatched. Without the subtraction, people in few frames would be preferred.
    """
    present = known_joints(theirs).any(axis=1)
    error = _ignoring_nan(np.nanmean, distances(ours, theirs, how)[present], axis=1)
    error = np.minimum(np.nan_to_num(error, nan=MAX_MATCH_ERROR), MAX_MATCH_ERROR)
    return float((error - MAX_MATCH_ERROR).sum())


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
        f"{reference.name} has too few samples per second, or too many gaps, to be interpolated "
        "at the result's times; give one with 10 samples per second or more."
    )


FORMAT = "vidpose-distances/1"
CSV_COLUMNS = ("label", "person", "reference_person", "time_s", "joint", "error_mm")
CSV_MARK = ",".join(CSV_COLUMNS).encode()
"""The first line of our CSV files, by which `holds_mark` recognises them."""


def summary(errors: Sequence[Errors], reference: Reference, how: str) -> dict[str, Any]:
    """Means, medians and quartiles as JSON values."""
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
    """Write a `summary` as JSON."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(numbers, indent=1, allow_nan=False) + "\n")
    return path


def write_csv(path: Path, errors: Sequence[Errors]) -> Path:
    """Write one line for each person, frame and joint with an error."""
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(CSV_COLUMNS)
        for one in errors:
            for frame, joint in np.argwhere(np.isfinite(one.errors_mm)):
                pair = [one.label, one.person, one.reference_person]
                time, error = one.seconds[frame], one.errors_mm[frame, joint]
                lines.writerow([*pair, f"{time:.6f}", H36M17.joint_names[joint], f"{error:.3f}"])
    return path
