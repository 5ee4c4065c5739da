"""Clean poses with one simulated error each, which must raise its own proxy at the right time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.render.people import walk
from vidpose.poses import Pose3D
from vidpose.postprocess.quality import (
    MOST_MOMENTS,
    MOST_PEOPLE,
    PROXIES,
    quality_report,
    quality_text,
)
from vidpose.skeleton import H36M17

FRAMES, FPS = 120, 30.0
BAD = slice(60, 72)
"""The frames that are spoilt, at 2.0 to 2.4 s."""
TWO: dict[str, Any] = {"starts": ((-1.0, 4.0), (1.0, 5.0)), "speeds": ((0.5, 0.0), (-0.4, 0.0))}
FLIP_M = 0.01
Spoilt = tuple[Pose3D, NDArray[np.float32]]


def people(frames: int = FRAMES, fps: float = FPS, **options: Any) -> Spoilt:
    """Two walking people without errors, and the disagreement of the two passes."""
    result = walk(frames=frames, fps=fps, **TWO | options)
    scores = np.full_like(result.scores_2d, 0.9)
    return replace(result, scores_2d=scores), np.full((result.people, frames), FLIP_M, np.float32)


def bump() -> NDArray[np.float64]:
    """(T,) 0, rising smoothly to 1 in the middle of `BAD`."""
    t = np.arange(FRAMES) - (BAD.start + BAD.stop) / 2
    return np.asarray(np.exp(-((t / 5) ** 2)))


def stretched(joints: NDArray[np.float32], side: str, factor: NDArray[np.float64]) -> None:
    """Make the second person's shin longer."""
    knee, foot = H36M17.index(f"{side}Knee"), H36M17.index(f"{side}Foot")
    shin = joints[1, :, foot] - joints[1, :, knee]
    joints[1, :, foot] = joints[1, :, knee] + shin * factor[:, None]


def growing(result: Pose3D, flip: NDArray[np.float32]) -> Spoilt:
    joints = result.joints_3d.copy()
    for side in "LR":
        stretched(joints, side, 1 + 0.5 * bump())
    return replace(result, joints_3d=joints), flip


def lopsided(result: Pose3D, flip: NDArray[np.float32]) -> Spoilt:
    joints = result.joints_3d.copy()
    stretched(joints, "L", 1 + 0.3 * bump())
    stretched(joints, "R", 1 - 0.3 * bump())
    return replace(result, joints_3d=joints), flip


def interpolated(result: Pose3D, flip: NDArray[np.float32]) -> Spoilt:
    observed = result.observed.copy()
    observed[1, BAD] = False
    return replace(result, observed=observed), flip


def unsure(result: Pose3D, flip: NDArray[np.float32]) -> Spoilt:
    scores = result.scores_2d.copy()
    scores[1, BAD] = 0.2
    return replace(result, scores_2d=scores), flip


def torn(result: Pose3D, flip: NDArray[np.float32]) -> Spoilt:
    flip = flip.copy()
    flip[1, BAD] = 0.2
    return result, flip


def merging(result: Pose3D, flip: NDArray[np.float32]) -> Spoilt:
    """The second person stands with legs apart, and the left leg is detected on the right one."""
    keypoints = result.keypoints_2d.copy()
    keypoints[1] = keypoints[1, 0]
    for side, away in (("L", 20), ("R", -20)):
        for joint in ("Knee", "Foot"):
            keypoints[1, :, H36M17.index(side + joint), 0] += away
    for joint in ("Knee", "Foot"):
        right = keypoints[1, BAD, H36M17.index("R" + joint)]
        keypoints[1, BAD, H36M17.index("L" + joint)] = right
    return replace(result, keypoints_2d=keypoints), flip


def jittering(result: Pose3D, flip: NDArray[np.float32]) -> Spoilt:
    joints = result.joints_3d.copy()
    joints[1, BAD, H36M17.index("Head"), 2] += 0.06 * (-1) ** np.arange(BAD.stop - BAD.start)
    return replace(result, joints_3d=joints), flip


def test_clean_poses_raise_no_proxy() -> None:
    trust = quality_report(*people())
    assert trust["note"] == "proxies, not accuracy"
    assert trust["worst_moments"] == []
    assert [one["person"] for one in trust["people"]] == [0, 1]
    for one in trust["people"]:
        assert one["frames"] == FRAMES
        assert one["bone_drift_percent"] == one["asymmetry_percent"] == 0
        assert one["interpolated_percent"] == 0
        assert one["confidence_2d"] == 0.9
        assert one["flip_disagreement_mm"] == 10
        assert one["jitter_mm"] < 2
        assert one["throughout"] == []
    assert "Worst" not in quality_text(trust)


@pytest.mark.parametrize(
    ("spoil", "figure", "what", "where", "value", "said"),
    [
        (
            growing,
            "bone_drift_percent",
            None,
            "shin",
            (45, 50),
            "shins deviate from their length by 50 %",
        ),
        (lopsided, "asymmetry_percent", None, "shin", (55, 60), "left and right shin differ by 60"),
        (
            *(interpolated, "interpolated_percent", "interpolated_s", None),
            *((0.43, 0.43), "not detected for 0.43 s, interpolated"),
        ),
        (
            *(merging, "merged_legs_percent", "merged_legs_s", None),
            *((0.37, 0.37), "both legs detected on the same leg for 0.37 s"),
        ),
        (unsure, "confidence_2d", None, None, (0.2, 0.2), "2D confidence is 0.20 (usually 0.90)"),
        (
            *(torn, "flip_disagreement_mm", None, None),
            *((200, 200), "lifting the mirrored pose differs by 200 mm (usually 10)"),
        ),
        (jittering, "jitter_mm", None, "Head", (80, 161), "head jumps by"),
    ],
)
def test_each_error_raises_its_own_proxy_at_its_time(
    spoil: Callable[..., Spoilt],
    figure: str,
    what: str | None,
    where: str | None,
    value: tuple[float, float],
    said: str,
) -> None:
    fine, trust = quality_report(*people()), quality_report(*spoil(*people()))
    assert trust["people"][0] == fine["people"][0]
    before, after = fine["people"][1], trust["people"][1]
    slack = {"jitter_mm": 0.5}
    differ = [key for key in PROXIES if abs(after[key] - before[key]) > slack.get(key, 0)]
    assert differ == [figure]
    (moment,) = trust["worst_moments"]
    assert moment["what"] == (what or figure)
    assert moment["where"] == where
    assert moment["also"] == []
    assert moment["person"] == 1
    assert value[0] <= moment["value"] <= value[1]
    assert BAD.start / FPS - 0.1 <= moment["from_s"] <= moment["time_s"] <= moment["to_s"]
    assert moment["to_s"] <= BAD.stop / FPS + 0.1
    text = quality_text(trust)
    assert f", person 1: {said}" in text
    assert text.splitlines()[-1].startswith("    0:02.")


def test_merged_legs_are_reported_next_to_worse_errors() -> None:
    result, flip = merging(*people())
    flip[1, BAD.start - 10 : BAD.stop + 10] = 1.0
    trust = quality_report(result, flip)
    assert [one["merged_legs_times_s"] for one in trust["people"]] == [[], [[2.0, 2.367]]]
    (moment,) = trust["worst_moments"]
    assert moment["also"] == ["merged_legs_percent"]
    assert "  Person 1: both legs detected on the same leg from 0:02.0 to 0:02.4." in quality_text(
        trust
    )


def test_a_growing_bone_is_one_moment_with_asymmetry() -> None:
    result, flip = people()
    joints = result.joints_3d.copy()
    stretched(joints, "L", 1 + 0.8 * bump())
    (moment,) = quality_report(replace(result, joints_3d=joints), flip)["worst_moments"]
    assert moment["what"] == "asymmetry_percent"
    assert moment["also"] == ["bone_drift_percent"]


def test_moments_near_in_time_are_one_and_there_are_few() -> None:
    result, flip = people(frames=600)
    flip[0, [100, 105, 110]] = 0.1, 0.3, 0.2
    (moment,) = quality_report(result, flip)["worst_moments"]
    assert moment["time_s"] == 3.5
    assert (moment["from_s"], moment["to_s"]) == (3.333, 3.667)
    flip[1, 20::60] = np.linspace(0.1, 0.2, 10)
    moments = quality_report(result, flip)["worst_moments"]
    assert len(moments) == MOST_MOMENTS
    times = [moment["time_s"] for moment in moments]
    assert times == sorted(times)
    assert [m["value"] for m in moments if m["person"] == 0] == [300]  # the worst stays
    assert min(m["value"] for m in moments) > 160


def test_errors_throughout_are_reported_but_are_no_moment() -> None:
    result, flip = people()
    flip[1] = 0.1
    trust = quality_report(result, flip)
    assert trust["worst_moments"] == []
    assert trust["people"][1]["throughout"] == ["flip_disagreement_mm"]
    assert "Person 1 is unreliable throughout: mirror image." in quality_text(trust)


def test_everybody_is_the_mean_over_all_frames() -> None:
    result, flip = people()
    present = result.present.copy()
    present[1, 30:] = False
    joints, keypoints = result.joints_3d.copy(), result.keypoints_2d.copy()
    joints[~present], keypoints[~present] = np.nan, np.nan
    flip[1] = 0.05
    trust = quality_report(
        replace(
            result, present=present, observed=present, joints_3d=joints, keypoints_2d=keypoints
        ),
        flip,
    )
    assert [one["frames"] for one in trust["people"]] == [FRAMES, 30]
    assert trust["everybody"]["frames"] == FRAMES + 30
    assert trust["everybody"]["flip_disagreement_mm"] == 18  # (120 * 10 + 30 * 50) / 150
    assert trust["people"][1]["bone_drift_percent"] == 0


def test_the_confidence_of_everybody_is_the_mean_over_detected_frames() -> None:
    result, flip = people()
    scores, observed = result.scores_2d.copy(), result.observed.copy()
    scores[1] = 0.3
    observed[1, 30:] = False
    trust = quality_report(replace(result, scores_2d=scores, observed=observed), flip)
    assert [one["confidence_2d"] for one in trust["people"]] == [0.9, 0.3]
    assert trust["everybody"]["confidence_2d"] == 0.78  # (120 * 0.9 + 30 * 0.3) / 150


@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0, 50.0, 60.0, 120.0])
def test_jitter_hardly_depends_on_the_frame_rate(fps: float) -> None:
    result, _ = people(frames=round(4 * fps), fps=fps)
    joints = result.joints_3d.copy()
    joints[:, :, 1:] += np.random.default_rng(0).normal(0, 0.01, joints[:, :, 1:].shape)
    (first, second) = quality_report(replace(result, joints_3d=joints))["people"]
    # Noise of 10 mm an axis is 16 mm off on average, and the four frames around add theirs.
    expected = 16 * np.sqrt(1 + 34 / 36)
    assert first["jitter_mm"] == pytest.approx(expected, rel=0.1)
    assert second["jitter_mm"] == pytest.approx(expected, rel=0.1)


def test_uneven_frames_are_no_jitter() -> None:
    times = np.arange(90) / 30 + np.tile([0, 0.015, -0.004], 30)
    result, _ = people(frames=90)
    swing = np.sin(2 * np.pi * times)[:, None, None] * np.ones((17, 3))
    joints = np.broadcast_to(swing * np.arange(17)[:, None] * 0.02, (2, 90, 17, 3))
    smooth = replace(result, joints_3d=joints.astype(np.float32), timestamps=times)
    assert quality_report(smooth)["people"][0]["jitter_mm"] < 0.5
    stamped_evenly = replace(smooth, timestamps=np.arange(90) / 30)
    assert quality_report(stamped_evenly)["people"][0]["jitter_mm"] > 2


def test_jitter_is_unknown_for_frames_far_apart() -> None:
    result, _ = people(frames=20, fps=5.0)
    assert quality_report(result)["people"][0]["jitter_mm"] is None


@pytest.mark.parametrize("frames", [1, 2, 4, 5])
def test_few_frames(frames: int) -> None:
    trust = quality_report(*people(frames=frames))
    first = trust["people"][0]
    assert (first["jitter_mm"] is None) == (frames < 5)
    assert first["bone_drift_percent"] == 0
    assert trust["worst_moments"] == []
    assert quality_text(trust).splitlines()[2].split()[:4] == ["0", str(frames), "0", "%"]


def test_somebody_who_was_never_there_or_never_observed() -> None:
    result, flip = people()
    present, joints = result.present.copy(), result.joints_3d.copy()
    present[0], joints[0] = False, np.nan
    nowhere = replace(result, present=present, observed=np.zeros_like(present), joints_3d=joints)
    trust = quality_report(nowhere, flip)
    absent, guessed = trust["people"]
    assert absent == {
        **{"person": 0, "frames": 0, "throughout": [], "merged_legs_times_s": []},
        **dict.fromkeys(PROXIES),
    }
    assert guessed["interpolated_percent"] == 100
    assert guessed["confidence_2d"] is None
    assert guessed["throughout"] == ["interpolated_percent"]
    assert trust["everybody"]["flip_disagreement_mm"] == 10
    json.dumps(trust, allow_nan=False)
    assert quality_text(trust)


def test_without_flip_and_without_confidence() -> None:
    result, flip = people()
    scores = np.ones_like(result.scores_2d)
    scores[0, 3, 5] = 0  # a joint that is not in the file
    for given in (None, np.full_like(flip, np.nan)):
        trust = quality_report(replace(result, scores_2d=scores), given)
        for one in (*trust["people"], trust["everybody"]):
            assert one["flip_disagreement_mm"] is None
            assert one["confidence_2d"] is None
        assert trust["worst_moments"] == []
        assert "-" in quality_text(trust).splitlines()[2].split()


def test_a_pose_of_no_size_is_no_error() -> None:
    result, flip = people()
    trust = quality_report(replace(result, joints_3d=np.zeros_like(result.joints_3d)), flip)
    json.dumps(trust, allow_nan=False)


def test_a_crowd_has_few_lines() -> None:
    many = MOST_PEOPLE + 3
    starts = [(n - 5.0, 8.0) for n in range(many)]
    result, flip = people(frames=6, starts=starts, speeds=[(0.5, 0.0)] * many)
    trust = quality_report(result, flip)
    assert len(trust["people"]) == many
    lines = quality_text(trust).splitlines()
    assert len(lines) == 2 + MOST_PEOPLE + 1
    assert lines[-1] == "  3 more people are in the result's meta."


def test_times_are_as_on_the_overlay() -> None:
    result, flip = people()
    late = replace(result, timestamps=result.timestamps + 117.98)  # 1:57.98
    flip[0, [0, 60]] = 0.3
    first, second = quality_text(quality_report(late, flip)).splitlines()[-2:]
    assert first.startswith("    1:58.0, person 0")
    assert second.startswith("    2:00.0, person 0")
