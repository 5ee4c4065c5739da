"""Gait of people with known steps, and of people who do not walk."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.render.people import REST, camera_axes
from tests.results import make_result
from vidpose.poses import Pose3D
from vidpose.postprocess.gait import FEWEST_STEPS, NOTE, gait
from vidpose.skeleton import H36M17

FPS, HIP_Z = 30.0, 0.94
SWING_SHARE = 0.8
"""Of a step's time; then both feet are on the ground."""


def ankle(times: NDArray[np.float64], first: int, step_s: float, step_m: float) -> NDArray:
    """(T,) foot position: at rest, then two steps further; strikes at first, first + 2 ..."""
    stride = (times / step_s - first) / 2
    number, part = np.floor(stride), stride % 1
    begin = 1 - SWING_SHARE / 2
    swing = np.clip((part - begin) / (1 - begin), 0, 1)
    eased = swing**2 * (3 - 2 * swing)
    return (first + 2 * (number + eased)) * step_m


def walking(
    step_m: float = 0.65,
    step_s: float = 0.5,
    seconds: float = 6.0,
    heading_deg: float = 30.0,
    on_the_spot: bool = False,
    world: bool = True,
) -> Pose3D:
    """A person who walks straight; the right foot strikes at steps 0, 2, 4 ..., left between."""
    times = np.arange(round(seconds * FPS)) / FPS
    still = [REST.get(name, (0, 0, HIP_Z)) for name in H36M17.joint_names]
    joints = np.tile(np.array(still, np.float64), (len(times), 1, 1))
    way = times / step_s * step_m - step_m / 2  # half a step ahead at a strike, half behind
    for side, first in (("R", 0), ("L", 1)):
        foot = H36M17.index(f"{side}Foot")
        joints[:, foot] = (0.1 if side == "R" else -0.1, 0, 0.08)
        joints[:, foot, 1] = ankle(times, first, step_s, step_m) - step_m / 2 - way
    turn = np.radians(heading_deg)
    joints = joints @ np.array(
        [[np.cos(turn), np.sin(turn), 0], [-np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    if not on_the_spot:
        joints[..., 0] -= np.sin(turn) * way[:, None]
        joints[..., 1] += np.cos(turn) * way[:, None]
    axes = camera_axes(10, 0)
    camera = (joints + np.array([0, 6, -1.5])) @ axes.T
    camera_to_world = np.eye(4)
    camera_to_world[:3, :3] = axes.T
    camera_to_world[2, 3] = 1.5
    return make_result(
        people=1,
        frames=len(times),
        timestamps=times,
        fps=FPS,
        joints_3d=(camera - camera[:, :1])[None].astype(np.float32),
        root_3d=camera[None, :, 0].astype(np.float32),
        camera_to_world=camera_to_world if world else None,
    )


@pytest.mark.parametrize("heading_deg", [0, 90, 200])
@pytest.mark.parametrize(("step_m", "step_s"), [(0.65, 0.5), (0.45, 0.7), (0.9, 0.4)])
def test_steps_that_are_known(step_m: float, step_s: float, heading_deg: float) -> None:
    (found,) = gait(walking(step_m, step_s, heading_deg=heading_deg))
    assert found.person == 1
    assert found.reason == ""
    assert found.note == NOTE
    measures = found.measures
    assert measures["cadence_per_min"].mean == pytest.approx(60 / step_s, rel=0.03)
    assert measures["step_time_s"].mean == pytest.approx(step_s, rel=0.02)
    assert measures["step_length_m"].mean == pytest.approx(step_m, rel=0.03)
    assert measures["stride_time_s"].mean == pytest.approx(2 * step_s, rel=0.02)
    assert measures["stride_length_m"].mean == pytest.approx(2 * step_m, rel=0.03)
    assert measures["speed_m_s"].mean == pytest.approx(step_m / step_s, rel=0.03)
    assert measures["step_time_s"].sd < 0.04
    sides = [measures[f"{side}_step_time_s"].count for side in ("right", "left")]
    assert sum(sides) == measures["step_time_s"].count == len(found.strikes) - 1
    assert abs(sides[0] - sides[1]) <= 1


def test_strikes_are_when_the_foot_comes_down() -> None:
    (found,) = gait(walking(step_s=0.5))
    for strike in found.strikes:
        number = strike.time_s / 0.5
        assert number == pytest.approx(round(number), abs=0.2)
        assert strike.side == ("right", "left")[round(number) % 2]


def test_a_short_limping_step_shows_on_its_side() -> None:
    """The left foot strikes late: its step takes longer, and the right one is shorter."""
    even = walking(step_s=0.5, seconds=8)
    number = np.floor(even.timestamps)  # strides of a second, the left strikes in their middle
    part = even.timestamps - number
    late = np.where(part < 0.6, part / 0.6 * 0.5, 0.5 + (part - 0.6) / 0.4 * 0.5) + number
    joints = np.empty_like(even.joints_3d)
    root = np.empty_like(even.root_3d)
    for old, new in ((even.joints_3d, joints), (even.root_3d, root)):
        flat = old.reshape(even.frames, -1)
        warped = [np.interp(late, even.timestamps, column) for column in flat.T]
        new[:] = np.stack(warped, axis=1).reshape(old.shape)
    (found,) = gait(replace(even, joints_3d=joints, root_3d=root))
    assert found.measures["left_step_time_s"].mean == pytest.approx(0.6, abs=0.03)
    assert found.measures["right_step_time_s"].mean == pytest.approx(0.4, abs=0.03)
    assert found.measures["cadence_per_min"].mean == pytest.approx(120, rel=0.01)


def test_too_few_steps_give_no_figures_and_a_reason() -> None:
    (found,) = gait(walking(seconds=1.8))
    assert not found.measures
    assert 0 < len(found.strikes) <= FEWEST_STEPS
    steps = len(found.strikes) - 1
    assert found.reason == f"There are {steps} steps of a walk; it takes {FEWEST_STEPS} steps."


def test_nobody_walks_on_the_spot_or_standing() -> None:
    standing = walking(step_m=0.0)
    for result in (walking(on_the_spot=True), standing):
        (found,) = gait(result)
        assert not found.measures
        assert not found.strikes
        assert found.reason == f"There is no walk; it takes {FEWEST_STEPS} steps."


@pytest.mark.parametrize(("step_m", "step_s"), [(0.45, 0.7), (0.4, 1.0)])
def test_walking_backwards_has_no_strikes_where_feet_lift_off(step_m: float, step_s: float) -> None:
    forwards = walking(step_m, step_s)
    assert gait(forwards)[0].measures
    joints, root = forwards.joints_3d[:, ::-1], forwards.root_3d[:, ::-1]
    (found,) = gait(replace(forwards, joints_3d=joints, root_3d=root))
    assert not found.strikes
    assert found.reason == f"There is no walk; it takes {FEWEST_STEPS} steps."


@pytest.mark.parametrize("foot", ["RFoot", "LFoot"])
def test_feet_out_of_view_have_no_steps(foot: str) -> None:
    result = walking()
    scores = result.scores_2d.copy()
    scores[:, :, H36M17.index(foot)] = 0
    (found,) = gait(replace(result, scores_2d=scores))
    assert not found.strikes
    assert not found.measures
    assert found.reason == "The feet are not visible in most frames."


def test_feet_that_leave_the_view_have_steps_until_then() -> None:
    result = walking(seconds=10)
    scores = result.scores_2d.copy()
    scores[:, ::3, H36M17.index("RFoot")] = 0  # missed now and then
    assert gait(replace(result, scores_2d=scores)) == gait(result)
    scores[:, 180:, H36M17.index("RFoot")] = 0
    (found,) = gait(replace(result, scores_2d=scores))
    assert 5.4 <= found.strikes[-1].time_s <= 6.2
    assert found.measures["step_length_m"].mean == pytest.approx(0.65, rel=0.03)


def test_without_a_world_there_is_a_reason() -> None:
    (found,) = gait(walking(world=False))
    assert not found.measures
    assert found.reason == "The result has no world frame; run `vidpose infer --world`."


def test_an_absence_is_no_long_step() -> None:
    result = walking(seconds=10)
    present = np.ones((1, result.frames), bool)
    present[:, 140:170] = False
    joints = np.where(present[..., None, None], result.joints_3d, np.float32(np.nan))
    root = np.where(present[..., None], result.root_3d, np.float32(np.nan))
    (found,) = gait(
        replace(result, joints_3d=joints, root_3d=root, present=present, observed=present)
    )
    assert found.measures["step_time_s"].mean == pytest.approx(0.5, rel=0.02)
    assert found.measures["step_time_s"].count == len(found.strikes) - 2
