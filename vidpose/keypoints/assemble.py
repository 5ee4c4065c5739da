"""Turn people in frames into tracks on the video's time line: a `Pose2D` in h36m17.

Frames missing in the file are kept as frames without people.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vidpose.detect.base import Detections, FrameDetections, pose_sizes
from vidpose.errors import KeypointsError, UsageError
from vidpose.keypoints.base import KeypointFile, PersonKeypoints
from vidpose.poses import Pose2D
from vidpose.skeleton import H36M17, conversion, conversion_to_h36m17
from vidpose.tracking.collector import PoseCollector
from vidpose.tracking.gaps import interpolate_gaps
from vidpose.tracking.tracker import MAX_GAP_S
from vidpose.utils.gaps import known_joints, runs

MOST_FRAMES = 2_000_000
"""18 hours at 30 frames/s: larger numbers are not frame numbers."""
MOST_PERSON_FRAMES = 10_000_000
"""People times frames: a result of this size fills several gigabytes."""
FURTHEST_MIDDLE = 0.1
"""Maximum distance of a detected `hip` joint from the midpoint of both hips, as a share of the
body's diagonal."""
CROWD = 6
"""From this many people in a frame on, check whether they are frames taken for people."""
SAME_PLACE = 0.1
"""Poses whose joints are this close on average, in body sizes, are of the same person."""
FEWEST_SWITCHES, SWITCH_SHARE = 4, 0.02
"""IDs are not used if there are at least this many ID switches (the first number), in at least this
share of the frames (the second); a few are normal tracking errors."""
MOST_COMPARED = 200
SMALLEST_PX = 2.0
"""All joints of a video span more than this; otherwise they are in another unit."""


def to_poses(found: KeypointFile, fps: float, frame_size: tuple[int, int]) -> Pose2D:
    """Put all people of a file on one time line, h36m17.

    People keep their IDs if the file has one for each of them; otherwise they are tracked here.

    Args:
        found: content of the file.
        fps: frames a second.
        frame_size: width and height, pixels.

    Raises:
        KeypointsError: there is nobody, or the values cannot be a video's.
        UsageError: the joints lie outside a frame of this size.
    """
    _check_middle(found)
    frames = _in_h36m17(found)
    if found.normalised:
        scale = np.array(frame_size, np.float32)
        frames = {
            index: [replace(one, keypoints=one.keypoints * scale) for one in people]
            for index, people in frames.items()
        }
    everybody = [person for people in frames.values() for person in people]
    if not everybody:
        unseen = " with a joint whose score is above 0" if any(found.frames.values()) else ""
        raise KeypointsError(f"{found.path}: there is no person in it{unseen}.")
    _check_pixels(found.path, everybody, frame_size)
    _check_apart(found.path, frames)
    first, last = min(frames), max(frames)
    if last - first >= MOST_FRAMES:
        raise KeypointsError(
            f"{found.path}: frames {first} to {last} are more than {MOST_FRAMES}, so these are not "
            "the frame numbers of a video."
        )
    if any(person.person is None for person in everybody):
        poses = _tracked_here(frames, fps, frame_size)
    else:
        poses = _tracked_there(found.path, frames, fps, frame_size)
    if not poses.people:
        raise KeypointsError(f"{found.path}: no person is in it for long enough to be tracked.")
    return poses


def with_usable_ids(found: KeypointFile) -> KeypointFile:
    """Remove the IDs of a file if they do not identify people.

    Without tracking, some programs give all people the same ID, or each person their position in
    the frame, which leads to many ID switches.
    """
    ids = [[one.person for one in people] for people in found.frames.values() if len(people) > 1]
    several = [people for people in ids if None not in people]
    doubled = [people for people in several if len(set(people)) < len(people)]
    if 2 * len(doubled) > len(ids):
        what = (
            f"one ID stands for several people in {len(doubled)} of {len(ids)} frames with several"
        )
    elif (switches := _id_switches(found)) >= max(
        FEWEST_SWITCHES, SWITCH_SHARE * len(found.frames)
    ):
        what = f"there are {switches} ID switches"
    else:
        return found
    return replace(
        found,
        frames={
            index: [replace(one, person=None) for one in people]
            for index, people in found.frames.items()
        },
        warnings=(*found.warnings, f"{found.path}: {what}, so people are tracked here."),
    )


def _id_switches(found: KeypointFile) -> int:
    """Count the ID switches: frames in which two people swap places."""
    count = 0
    frames = sorted(found.frames.items())
    for (index, people), (following, others) in pairwise(frames):
        before = {one.person: one for one in people}
        after = {one.person: one for one in others}
        both = [id for id in before if id is not None and id in after]
        if following != index + 1 or not 2 <= len(both) <= CROWD:
            continue
        then, now = (np.array([of[id].keypoints for id in both]) for of in (before, after))
        apart = _mean_distances(then, now) / np.maximum(pose_sizes(then), 1e-9)[:, None]
        there = apart < SAME_PLACE
        count += bool((there & there.T & (apart.diagonal() > 2 * SAME_PLACE)[:, None]).any())
    return count


def in_h36m17(poses: Pose2D, path: Path) -> Pose2D:
    """Convert people to h36m17.

    Raises:
        KeypointsError: a person is present for a while without any detected joint.
    """
    if poses.skeleton != H36M17:
        convert = conversion(poses.skeleton.name, H36M17.name)
        joints, scores = convert(poses.keypoints_2d, poses.scores_2d)
        poses = replace(
            poses,
            keypoints_2d=joints.astype(np.float32),
            scores_2d=scores.astype(np.float32),
            skeleton=H36M17,
        )
    seen = _seen(poses.keypoints_2d, poses.scores_2d)
    for person, present in enumerate(poses.present):
        if not all(seen[person, run].any() for run in runs(present)):
            raise KeypointsError(
                f"{path}: person {poses.person_ids[person]} is present without a single joint "
                "whose score is above 0; write present = False there."
            )
    return poses


def _in_h36m17(found: KeypointFile) -> dict[int, list[PersonKeypoints]]:
    """Convert the frames of a file; drop people without any detected joint of h36m17."""
    everybody = [(index, one) for index, people in found.frames.items() for one in people]
    if not everybody:
        return found.frames
    joints = np.array([one.keypoints for _, one in everybody])
    scores = np.array([one.scores for _, one in everybody])
    if found.skeleton != H36M17:
        joints, scores = conversion_to_h36m17(found.skeleton)(joints, scores)
        joints, scores = joints.astype(np.float32), scores.astype(np.float32)
    frames: dict[int, list[PersonKeypoints]] = {index: [] for index in found.frames}
    for n in np.flatnonzero(_seen(joints, scores)):
        index, one = everybody[n]
        frames[index].append(PersonKeypoints(joints[n], scores[n], one.person))
    return frames


def _seen(joints: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.bool_]:
    """(...), which people of (..., J, 2) have a detected joint.

    Trackers that extrapolate unseen people write pixels with a score of 0.
    """
    return np.asarray((known_joints(joints) & (scores > 0)).any(axis=-1))


def _check_middle(found: KeypointFile) -> None:
    """Raise UsageError if the joints are not in the order of the skeleton: in most people its `hip`
    joint is not between the hips.
    """
    names = found.skeleton.joint_names
    everybody = [one.keypoints for people in found.frames.values() for one in people]
    if not {"hip", "left_hip", "right_hip"} <= set(names) or not everybody:
        return
    joints = np.array(everybody)
    hip, left, right = (joints[:, names.index(n)] for n in ("hip", "left_hip", "right_hip"))
    apart = np.linalg.norm(hip - (left + right) / 2, axis=1)
    part = apart / np.maximum(pose_sizes(joints), 1e-9)
    part = part[np.isfinite(part)]
    if len(part) and np.median(part) > FURTHEST_MIDDLE:
        raise UsageError(
            f"{found.path}: its joints are not {found.skeleton.name}'s, since the 'hip' joint is "
            "not between the hips; give the right --skeleton (openpose25b has 25 joints, too)."
        )


def _check_pixels(
    path: Path, everybody: list[PersonKeypoints], frame_size: tuple[int, int]
) -> None:
    joints = np.concatenate([person.keypoints for person in everybody])
    joints = joints[np.isfinite(joints).all(axis=1)]
    if np.ptp(joints, axis=0).max() <= SMALLEST_PX:
        raise KeypointsError(
            f"{path}: all joints lie within {SMALLEST_PX:g} pixels; write them in pixels, not "
            "normalised."
        )
    inside = ((joints >= 0) & (joints < frame_size)).all(axis=1)
    if inside.mean() < 0.5:
        width, height = frame_size
        raise UsageError(
            f"{path}: most joints lie outside an image of {width}x{height} pixels; give the "
            "size of the video they come from (--size)."
        )


def _mean_distances(
    some: NDArray[np.floating], others: NDArray[np.floating]
) -> NDArray[np.float64]:
    """(N, M), mean distances of people (N, J, 2) and (M, J, 2) over the joints that both have."""
    apart = np.linalg.norm(some[:, None] - others[None], axis=3)
    known = np.isfinite(apart)
    total = np.where(known, apart, 0).sum(axis=2)
    return np.where(known.any(axis=2), total / np.maximum(known.sum(axis=2), 1), np.inf)


def _check_apart(path: Path, frames: dict[int, list[PersonKeypoints]]) -> None:
    """Raise KeypointsError if most frames have crowds whose people are all in the same place.

    Then frames were taken for people.
    """
    crowds = [people for people in frames.values() if len(people) >= CROWD]
    if not crowds or 2 * len(crowds) < len(frames):
        return
    joints = np.array([one.keypoints for one in max(crowds, key=len)][:MOST_COMPARED])
    apart = _mean_distances(joints, joints)
    np.fill_diagonal(apart, np.inf)
    if np.mean(apart.min(axis=1) < SAME_PLACE * pose_sizes(joints)) > 0.8:
        raise KeypointsError(
            f"{path}: {len(joints)} people or more are in one frame, nearly all in the same place; "
            "they are frames without numbers, so number them (docs/keypoints.md)."
        )


def _tracked_here(
    frames: dict[int, list[PersonKeypoints]], fps: float, frame_size: tuple[int, int]
) -> Pose2D:
    collector = PoseCollector()
    for index in range(min(frames), max(frames) + 1):
        people = frames.get(index, [])
        joints = np.array([person.keypoints for person in people], np.float32)
        scores = np.array([person.scores for person in people], np.float32)
        shape = (len(people), len(H36M17))
        found = Detections(joints.reshape(*shape, 2), scores.reshape(shape), H36M17)
        collector.add(FrameDetections(index, index / fps, found))
    return collector.finish(fps, frame_size)


def _tracked_there(
    path: Path, frames: dict[int, list[PersonKeypoints]], fps: float, frame_size: tuple[int, int]
) -> Pose2D:
    """Make tracks from the file's IDs. A person unseen for longer than `MAX_GAP_S` is absent."""
    first, last = min(frames), max(frames)
    rows: dict[int, dict[int, PersonKeypoints]] = {}
    for index in sorted(frames):
        # A tracker may give two people of a frame the same ID; take the more confident one.
        for one in sorted(frames[index], key=lambda one: float(one.scores.mean())):
            assert one.person is not None
            rows.setdefault(one.person, {})[index - first] = one
    shape = (len(rows), last - first + 1)
    if shape[0] * shape[1] > MOST_PERSON_FRAMES:
        raise KeypointsError(f"{path}: {shape[0]} people in {shape[1]} frames are too many.")
    indices = np.arange(first, last + 1, dtype=np.int64)
    times = indices / fps
    joints = np.full((*shape, len(H36M17), 2), np.nan, np.float32)
    scores = np.zeros((*shape, len(H36M17)), np.float32)
    present, observed = np.zeros(shape, bool), np.zeros(shape, bool)
    for p, seen in enumerate(rows.values()):
        at = np.array(list(seen))
        joints[p, at] = [one.keypoints for one in seen.values()]
        scores[p, at] = [one.scores for one in seen.values()]
        observed[p, at] = True
        for stretch in _stretches(at, times):
            present[p, stretch] = True
            interpolate_gaps(joints[p, stretch], scores[p, stretch], times[stretch])
    return Pose2D(
        keypoints_2d=joints,
        scores_2d=scores,
        present=present,
        observed=observed,
        person_ids=np.array(list(rows), np.int32),
        frame_indices=indices,
        timestamps=times,
        fps=fps,
        frame_size=frame_size,
    )


def _stretches(rows: NDArray[np.intp], times: NDArray[np.float64]) -> list[slice]:
    """Split a track's rows at gaps longer than `MAX_GAP_S`, counted up to the last frame without
    the person, as the tracker does.
    """
    cuts = np.flatnonzero(times[rows[1:] - 1] - times[rows[:-1]] > MAX_GAP_S + 1e-9) + 1
    return [slice(int(part[0]), int(part[-1]) + 1) for part in np.split(rows, cuts)]
