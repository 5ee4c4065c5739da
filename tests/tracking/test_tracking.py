from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.detect.people import detections, stick
from vidpose.detect import Detections
from vidpose.detect.base import DISPUTED_SCORE
from vidpose.poses import Pose2D
from vidpose.skeleton import BLAZEPOSE33, H36M17
from vidpose.tracking.collector import MAX_GAP_S, PoseCollector, Tracker

Pose = NDArray[np.float32]
People = Sequence[Pose | None]
Scene = Callable[[float], People]
"""The people at a time in seconds, None where one is hidden."""


def times_at(fps: float, seconds: float = 2.0) -> NDArray[np.float64]:
    return np.arange(round(seconds * fps)) / fps


def identities(
    scene: Scene, times: NDArray[np.float64], noise_px: float = 2.0, shuffle: bool = True
) -> list[list[int | None]]:
    """One row a frame: the id of every person of the scene, None where hidden."""
    rng = np.random.default_rng(5)
    tracker = Tracker()
    rows = []
    for time in times:
        people = scene(time)
        seen = [n for n, pose in enumerate(people) if pose is not None]
        if shuffle:
            rng.shuffle(seen)
        poses = [people[n] + rng.normal(0, noise_px, (17, 2)) for n in seen]  # type: ignore[operator]
        ids = tracker.update(detections([pose.astype(np.float32) for pose in poses]), time)
        row: list[int | None] = [None] * len(people)
        for n, person in zip(seen, ids, strict=True):
            row[n] = person
        rows.append(row)
    return rows


def ids_of(person: int, rows: list[list[int | None]]) -> set[int]:
    return {number for row in rows if (number := row[person]) is not None}


def collect(scene: Scene, times: NDArray[np.float64], longest: int | None = None) -> Pose2D:
    collector = PoseCollector()
    for index, time in enumerate(times):
        poses = [pose for pose in scene(time) if pose is not None]
        collector.add(index, time, detections(poses))
    return collector.finish(30.0, (640, 480), longest)


def crossing(time: float) -> People:
    """Two people pass each other at 1 s, at walking pace: a body height a second."""
    return stick(320 + 170 * (time - 1)), stick(320 - 170 * (time - 1), 310)


def hidden_crossing(time: float) -> People:
    """As `crossing`, the one behind hidden for 0.3 s."""
    front, behind = crossing(time)
    return front, None if 0.85 < time < 1.15 else behind


@pytest.mark.parametrize("fps", [10, 25, 29.97, 60, 120])
@pytest.mark.parametrize("scene", [crossing, hidden_crossing])
def test_people_who_cross_keep_their_ids(scene: Scene, fps: float) -> None:
    rows = identities(scene, times_at(fps))
    assert ids_of(0, rows) == {rows[0][0]}
    assert ids_of(1, rows) == {rows[0][1]}
    assert rows[0][0] != rows[0][1]


def test_people_who_cross_keep_their_ids_at_a_variable_rate() -> None:
    steps = np.random.default_rng(1).uniform(1 / 60, 1 / 10, 60)
    rows = identities(hidden_crossing, np.cumsum(steps)[np.cumsum(steps) < 2])
    assert (len(ids_of(0, rows)), len(ids_of(1, rows))) == (1, 1)


def test_the_order_of_detections_does_not_matter() -> None:
    times = times_at(30)
    in_order = identities(crossing, times, noise_px=0, shuffle=False)
    shuffled = identities(crossing, times, noise_px=0, shuffle=True)
    for a, b in zip(*(np.array(rows) for rows in (in_order, shuffled)), strict=True):
        assert (a[0] == in_order[0][0]) == (b[0] == shuffled[0][0])


@pytest.mark.parametrize(("absent_s", "people"), [(0.4, 1), (0.6, 2), (2.0, 2)])
def test_a_long_absence_ends_a_track(absent_s: float, people: int) -> None:
    def scene(time: float) -> People:
        return (None if 1 < time < 1 + absent_s else stick(300),)

    assert len(ids_of(0, identities(scene, times_at(30, 4)))) == people


@pytest.mark.parametrize("fps", [10, 30, 120])
def test_an_impossible_jump_starts_another_track(fps: float) -> None:
    def scene(time: float) -> People:
        return (stick(100 if time < 1 else 450),)

    rows = identities(scene, times_at(fps))
    assert len(ids_of(0, rows)) == 2
    assert rows[round(fps) - 1] != rows[round(fps)]


@pytest.mark.parametrize("fps", [10, 30, 120])
def test_a_runner_is_followed(fps: float) -> None:
    def scene(time: float) -> People:
        return (stick(50 + 4 * 170 * time),)  # four body heights a second

    assert len(ids_of(0, identities(scene, times_at(fps)))) == 1


def test_a_person_does_not_take_over_a_neighbour() -> None:
    """One vanishes as another appears a body height away: these are two people."""

    def scene(time: float) -> People:
        return stick(200) if time < 1 else None, stick(370) if time >= 1 else None

    rows = identities(scene, times_at(30))
    assert ids_of(0, rows).isdisjoint(ids_of(1, rows))


def test_left_taken_for_right_is_the_same_person_and_put_back() -> None:
    def scene(time: float) -> People:
        turned = 1 <= time < 1.2
        return ((stick(300)[H36M17.mirrored] if turned else stick(300)),)

    found = collect(scene, times_at(30))
    assert found.people == 1
    assert np.allclose(found.keypoints_2d, stick(300))


def test_who_stays_turned_round_is_left_as_detected() -> None:
    def scene(time: float) -> People:
        return ((stick(300)[H36M17.mirrored] if time >= 1 else stick(300)),)

    found = collect(scene, times_at(30, 4))
    assert np.allclose(found.keypoints_2d[0, -1], stick(300)[H36M17.mirrored])


def test_a_short_gap_is_interpolated_and_marked() -> None:
    def scene(time: float) -> People:
        return (None if 0.99 < time < 1.29 else stick(100 + 100 * time),)

    found = collect(scene, times_at(30))
    gap = np.arange(30, 39)
    assert np.flatnonzero(~found.observed[0]).tolist() == gap.tolist()
    assert found.present.all()
    np.testing.assert_allclose(found.keypoints_2d[0, gap, 0, 0], 100 + 100 * gap / 30, rtol=1e-5)
    np.testing.assert_allclose(found.scores_2d[0, gap], 0.45, rtol=1e-5)


def test_gaps_are_measured_in_seconds_and_not_in_frames() -> None:
    """The same three frames without a person: 0.1 s at 30 frames/s, 0.8 s at 5."""

    def people(fps: float) -> int:
        times = times_at(fps, 12 / fps)
        return collect(
            lambda time: (None if 4 < time * fps + 0.5 < 8 else stick(300),), times
        ).people

    assert (people(30), people(5)) == (1, 2)


@pytest.mark.parametrize("step_s", [0.7, 1.0, 5.0])
def test_nobody_is_absent_between_two_slow_pictures(step_s: float) -> None:
    found = collect(lambda time: (stick(300),), np.arange(20) * step_s)
    assert found.people == 1
    assert found.observed.all()


def test_nobody_is_absent_while_the_video_pauses() -> None:
    times = times_at(30)
    times[30:] += 0.7
    assert collect(lambda time: (stick(300),), times).people == 1


def test_a_joint_missing_for_one_picture_before_a_pause_is_interpolated() -> None:
    times = times_at(30)
    times[30:] += 0.7

    def scene(time: float) -> People:
        pose = stick(300)
        pose[3] = np.nan if time == times[29] else pose[3]
        return (pose,)

    assert np.allclose(collect(scene, times).keypoints_2d, stick(300))


def test_an_absent_person_has_no_joints() -> None:
    def scene(time: float) -> People:
        return stick(100), stick(400) if 0.5 <= time < 1.5 else None

    found = collect(scene, times_at(30))
    assert found.person_ids.tolist() == [1, 2]
    assert np.flatnonzero(found.present[1]).tolist() == list(range(15, 45))
    assert np.isnan(found.keypoints_2d[1, ~found.present[1]]).all()
    assert not found.scores_2d[1, ~found.present[1]].any()


def test_a_missing_joint_is_interpolated_where_that_is_short() -> None:
    def scene(time: float) -> People:
        pose = stick(300)
        if 0.49 < time < 0.7:
            pose[3] = np.nan
        if time > 1:
            pose[16] = np.nan
        return (pose,)

    found = collect(scene, times_at(30))
    assert found.observed.all()
    assert np.allclose(found.keypoints_2d[0, :, 3], stick(300)[3])
    assert found.scores_2d[0, 15:21, 3] == pytest.approx(0.45)
    assert np.isnan(found.keypoints_2d[0, 31:, 16]).all()
    assert not found.scores_2d[0, 31:, 16].any()


@pytest.mark.parametrize("fps", [10, 30, 120])
def test_a_flickering_ghost_is_dropped(fps: float) -> None:
    def scene(time: float) -> People:
        return stick(100), stick(400) if 0.99 < time < 1.15 else None

    found = collect(scene, times_at(fps))
    assert found.person_ids.tolist() == [1]
    assert np.nanmax(found.keypoints_2d[..., 0]) < 200


def test_a_lone_flicker_is_a_ghost_too_but_not_in_a_short_video() -> None:
    def scene(time: float) -> People:
        return (stick(100) if 0.99 < time < 1.15 else None,)

    assert collect(scene, times_at(30)).people == 0
    assert collect(scene, times_at(30)[28:36]).people == 1


@pytest.mark.parametrize(("longest", "kept"), [(1, [300]), (2, [300, 500]), (9, [100, 300, 500])])
def test_those_who_are_seen_longest_are_kept_in_their_order(longest: int, kept: list[int]) -> None:
    def scene(time: float) -> People:
        return stick(100) if time < 0.5 else None, stick(300), stick(500) if time > 1 else None

    found = collect(scene, times_at(30), longest)
    assert found.person_ids.tolist() == list(range(1, len(kept) + 1))
    hips = np.nanmedian(found.keypoints_2d[:, :, 0, 0], axis=1)
    np.testing.assert_allclose(hips, kept, atol=20)


def test_a_single_frame() -> None:
    found = collect(lambda time: (stick(100), stick(400)), np.array([0.0]))
    assert found.person_ids.tolist() == [1, 2]
    assert found.observed.all()


def test_nobody_at_all() -> None:
    found = collect(lambda time: (), times_at(30))
    assert found.keypoints_2d.shape == (0, 60, 17, 2)


def test_other_skeletons_arrive_as_h36m17() -> None:
    collector = PoseCollector()
    pose = np.random.default_rng(0).uniform(0, 100, (1, 33, 2)).astype(np.float32)
    collector.add(7, 0.25, Detections(pose, np.full((1, 33), 0.5, np.float32), BLAZEPOSE33))
    found = collector.finish(30.0, (640, 480))
    knee = BLAZEPOSE33.index("left_knee")
    assert found.keypoints_2d[0, 0, H36M17.index("LKnee")].tolist() == pose[0, knee].tolist()
    assert found.frame_indices.tolist() == [7]
    assert found.timestamps.tolist() == [0.25]


def test_the_tracker_forgets_who_is_gone() -> None:
    tracker = Tracker()
    for time in np.arange(100) * (MAX_GAP_S + 0.1):
        tracker.update(detections([stick(300)]), time)
        tracker.update(detections([]), time + MAX_GAP_S + 0.05)
    assert len(tracker._tracks) == 1


LEGS, ARMS = ("Hip", "Knee", "Foot"), ("Shoulder", "Elbow", "Wrist")
FPS = [10, 30, 120]


def exchanged(pose: Pose, joints: Sequence[str]) -> Pose:
    pose = pose.copy()
    for joint in joints:
        sides = [H36M17.index(f"{side}{joint}") for side in "LR"]
        pose[sides] = pose[sides[::-1]]
    return pose


def running(time: float, strides_hz: float = 1.5) -> Pose:
    """From the side, knees and elbows bent, a body height in 0.3 s."""
    pose, phase = stick(100 + 600 * time), 2 * np.pi * strides_hz * time
    swing = {"L": 0.8 * np.sin(phase), "R": -0.8 * np.sin(phase)}
    fold = {"L": 0.6 + 0.6 * np.cos(phase), "R": 0.6 - 0.6 * np.cos(phase)}
    for side, thigh in swing.items():
        hip, knee, foot, shoulder, elbow, wrist = (H36M17.index(side + j) for j in LEGS + ARMS)
        pose[hip, 0], pose[shoulder, 0] = pose[0, 0], pose[8, 0]
        for start, end, length, angle in (
            (hip, knee, 45, thigh),
            (knee, foot, 45, thigh - fold[side]),
            (shoulder, elbow, 30, -thigh),
            (elbow, wrist, 28, 1.4 - thigh),
        ):
            pose[end] = pose[start] + length * np.array([np.sin(angle), np.cos(angle)])
    return pose


def striding(time: float) -> Pose:
    """From the side, both feet on the ground and far apart, arms likewise."""
    return np.asarray(running(1 / 6) + np.array([100 * time, 0]), np.float32)


def kicking(time: float) -> Pose:
    """Up to the height of the head and back in half a second, the foot at 10 m/s."""
    pose = stick(300)
    angle = 2.2 * np.sin(np.pi * np.clip((time - 0.7) / 0.5, 0, 1)) ** 2
    for joint, radius in ((H36M17.index("RKnee"), 45), (H36M17.index("RFoot"), 90)):
        pose[joint] = pose[1] + radius * np.array([-np.sin(angle), np.cos(angle)])
    return pose


def somersault(time: float) -> Pose:
    """Once round in 0.6 s."""
    angle = 2 * np.pi * np.clip((time - 0.7) / 0.6, 0, 1)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return ((stick(0, 0) @ turn) + (300, 300)).astype(np.float32)


def waving(time: float) -> Pose:
    """Both hands, against each other, three times a second."""
    pose = stick(300)
    for side, sign in (("L", 1), ("R", -1)):
        pose[H36M17.index(f"{side}Wrist"), 1] += sign * 25 * np.sin(6 * np.pi * time)
    return pose


def truth(motion: Callable[[float], Pose], times: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.array([motion(time) for time in times])


@pytest.mark.parametrize("fps", FPS)
@pytest.mark.parametrize("joints", [LEGS, LEGS[1:], ARMS, ARMS[1:], LEGS + ARMS])
def test_limbs_taken_for_each_other_are_put_back(joints: Sequence[str], fps: float) -> None:
    times = times_at(fps)

    def scene(time: float) -> People:
        wrong = 0.95 < time < 1.08
        return (exchanged(striding(time), joints) if wrong else striding(time),)

    found = collect(scene, times)
    np.testing.assert_allclose(found.keypoints_2d[0], truth(striding, times), atol=1e-3)
    np.testing.assert_allclose(found.scores_2d, 0.9)


def test_what_the_detector_disputes_may_be_wrong_for_long() -> None:
    """A second of exchanged legs is put back if the detector disputed three quarters of its frames;
    of joints that are simply unsure it is believed.
    """
    times = times_at(60)
    found = {}
    for score in (DISPUTED_SCORE, 0.3, 0.0):
        collector = PoseCollector()
        for index, time in enumerate(times):
            wrong = 0.45 < time < 1.45
            scores = np.full(17, 0.9, np.float32)
            if wrong and index % 4:
                scores[[H36M17.index(side + joint) for side in "LR" for joint in LEGS[1:]]] = score
            pose = exchanged(striding(time), LEGS[1:]) if wrong else striding(time)
            collector.add(index, time, Detections(pose[None], scores[None], H36M17))
        found[score] = collector.finish(60.0, (640, 480)).keypoints_2d[0]
    np.testing.assert_allclose(found[DISPUTED_SCORE], truth(striding, times), atol=1e-3)
    for score in (0.3, 0.0):
        assert np.abs(found[score] - truth(striding, times)).max() > 10


def test_a_body_is_turned_whole_while_its_limbs_are_disputed() -> None:
    """A back taken for a front; only of the limbs, and in every other frame, there was a doubt."""
    times = times_at(60)
    collector = PoseCollector()
    limbs = [H36M17.index(side + joint) for side in "LR" for joint in LEGS[1:] + ARMS[1:]]
    for index, time in enumerate(times):
        wrong = 0.45 < time < 0.75
        scores = np.full(17, 0.9, np.float32)
        if wrong and index % 2:
            scores[limbs] = DISPUTED_SCORE
        pose = exchanged(facing(time), LEGS + ARMS) if wrong else facing(time)
        collector.add(index, time, Detections(pose[None], scores[None], H36M17))
    found = collector.finish(60.0, (640, 480)).keypoints_2d[0]
    np.testing.assert_allclose(found, truth(facing, times), atol=1e-3)


def facing(time: float) -> Pose:
    """From the front: left and right 20 to 60 pixels apart."""
    pose = stick(300)
    for joint, apart in zip(LEGS + ARMS, (20, 25, 30, 40, 50, 60), strict=True):
        for side, sign in (("L", 1), ("R", -1)):
            pose[H36M17.index(side + joint), 0] += sign * apart / 2
    return pose + np.array([20 * time, 0], np.float32)


@pytest.mark.parametrize("fps", FPS)
@pytest.mark.parametrize("score", [DISPUTED_SCORE, 0.4, 0.3, 0.0])
def test_arms_that_pass_are_left_alone_while_legs_are_disputed(score: float, fps: float) -> None:
    times = times_at(fps)
    collector = PoseCollector()
    legs = [H36M17.index(side + joint) for side in "LR" for joint in LEGS]
    scores = np.full(17, 0.9, np.float32)
    scores[legs] = score
    for index, pose in enumerate(truth(running, times)):
        collector.add(index, times[index], Detections(pose[None], scores[None], H36M17))
    found = collector.finish(fps, (640, 480)).keypoints_2d[0]
    upper = np.delete(np.arange(17), legs)
    np.testing.assert_allclose(found[:, upper], truth(running, times)[:, upper], atol=1e-3)


def test_scores_go_where_their_joints_go() -> None:
    collector = PoseCollector()
    for index, time in enumerate(times_at(30)):
        wrong = index in (20, 21)
        scores = np.full(17, 0.9, np.float32)
        scores[H36M17.index("RFoot" if wrong else "LFoot")] = 0.4
        pose = exchanged(striding(time), LEGS) if wrong else striding(time)
        collector.add(index, time, Detections(pose[None], scores[None], H36M17))
    found = collector.finish(30.0, (640, 480))
    assert found.scores_2d[0, :, H36M17.index("LFoot")] == pytest.approx(0.4)
    assert found.scores_2d[0, :, H36M17.index("RFoot")] == pytest.approx(0.9)


@pytest.mark.parametrize("fps", [*FPS, 15])
@pytest.mark.parametrize("motion", [running, kicking, somersault, waving, striding])
def test_fast_motion_is_left_as_detected(motion: Callable[[float], Pose], fps: float) -> None:
    times = times_at(fps)
    noise = np.random.default_rng(2).normal(0, 1.5, (len(times), 17, 2))
    poses = dict(zip(times, (truth(motion, times) + noise).astype(np.float32), strict=True))
    found = collect(lambda time: (poses[time],), times)
    assert found.people == 1
    np.testing.assert_array_equal(found.scores_2d, np.float32(0.9))
    np.testing.assert_allclose(found.keypoints_2d[0], truth(motion, times), atol=10)


@pytest.mark.parametrize("fps", FPS)
def test_a_joint_that_jumps_away_and_back_is_interpolated(fps: float) -> None:
    times, foot = times_at(fps), H36M17.index("LFoot")

    def scene(time: float) -> People:
        pose = striding(time)
        if 0.95 < time < 1.04:
            pose[foot] += (90, -60)
        return (pose,)

    found = collect(scene, times)
    wrong = (times > 0.95) & (times < 1.04)
    assert wrong.any()
    np.testing.assert_allclose(found.keypoints_2d[0], truth(striding, times), atol=1e-3)
    np.testing.assert_allclose(found.scores_2d[0, wrong, foot], 0.45)
    np.testing.assert_allclose(found.scores_2d[0, ~wrong, foot], 0.9)
    assert found.observed.all()


def test_a_limb_that_is_imagined_elsewhere_for_a_while_is_interpolated() -> None:
    """In reach of a fast limb, but not in one step; and what comes in between differs."""
    times, foot, knee = times_at(30), H36M17.index("LFoot"), H36M17.index("LKnee")
    imagined = [(80, -70), (84, -72), (86, -75), (60, -40), (62, -44), (58, -46)]

    def scene(time: float) -> People:
        pose = striding(time)
        if 0.95 < time < 1.15:
            step = np.array(imagined[round((time - 0.95) * 30 - 0.5)])
            pose[foot] += step
            pose[knee] += 0.4 * step
        return (pose,)

    found = collect(scene, times)
    np.testing.assert_allclose(found.keypoints_2d[0], truth(striding, times), atol=1e-3)


@pytest.mark.parametrize("fps", [30, 120])
def test_legs_that_fall_on_one_spot_are_interpolated(fps: float) -> None:
    times = times_at(fps)

    def scene(time: float) -> People:
        pose = striding(time)
        if 0.98 < time < 1.02:
            for joint in ("LKnee", "RKnee"), ("LFoot", "RFoot"):
                sides = [H36M17.index(name) for name in joint]
                pose[sides] = pose[sides].mean(axis=0)
        return (pose,)

    found = collect(scene, times)
    np.testing.assert_allclose(found.keypoints_2d[0], truth(striding, times), atol=12)


def test_a_whole_pose_that_jumps_is_left_as_detected() -> None:
    """Nobody can tell which of the poses is the mistaken one."""
    times = times_at(30)

    def scene(time: float) -> People:
        pose = stick(300)
        return (600 - pose if 0.95 < time < 1.02 else pose,)

    found = collect(scene, times)
    np.testing.assert_array_equal(found.scores_2d, np.float32(0.9))


@pytest.mark.parametrize("motion", [striding, running])
def test_a_mirrored_video_gives_mirrored_poses(motion: Callable[[float], Pose]) -> None:
    times = times_at(30)
    rng = np.random.default_rng(3)
    poses = truth(motion, times) + rng.normal(0, 3, (len(times), 17, 2)).astype(np.float32)
    for frame in (10, 11, 40):
        poses[frame] = exchanged(poses[frame], LEGS)
    poses[25, 6] += 100
    mirrored = (poses * (-1, 1) + (639, 0)).astype(np.float32)[:, H36M17.mirrored]
    found = collect(lambda time: (poses[np.searchsorted(times, time)],), times)
    turned = collect(lambda time: (mirrored[np.searchsorted(times, time)],), times)
    back = (turned.keypoints_2d * (-1, 1) + (639, 0))[:, :, H36M17.mirrored]
    np.testing.assert_allclose(found.keypoints_2d, back, atol=0.01)
    np.testing.assert_allclose(found.scores_2d, turned.scores_2d[:, :, H36M17.mirrored])
