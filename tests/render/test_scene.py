from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.render.people import walk
from vidpose.poses import Pose3D
from vidpose.postprocess.ground_plane import ground_of
from vidpose.render import colours
from vidpose.render.scene import DEFAULT_PLACE, WIDEST_SCENE_M, ScenePanel, placed_joints, scene_box
from vidpose.render.view import VIEWS, View

SIZE = (240, 240)
TWO: dict[str, Any] = {
    "starts": ((-1.0, 3.5), (1.0, 6.0)),
    "speeds": ((0.6, 0.2), (-0.3, -0.5)),
}


def figure(scene: ScenePanel, t: int) -> NDArray[np.bool_]:
    """(H, W) where people are drawn, from colour saturation, which floor, shadows and sky lack."""
    image = scene.draw(t).astype(int)
    colourful: NDArray[np.bool_] = image.max(axis=2) - image.min(axis=2) > 45
    return colourful


def absent(result: Pose3D, person: int, frames: slice) -> Pose3D:
    present, observed = result.present.copy(), result.observed.copy()
    joints = result.joints_3d.copy()
    present[person, frames] = observed[person, frames] = False
    joints[person, frames] = np.nan
    return dataclasses.replace(result, present=present, observed=observed, joints_3d=joints)


@pytest.mark.parametrize("name", VIEWS)
def test_everybody_is_in_the_panel_all_the_time(name: str) -> None:
    scene = ScenePanel(walk(frames=30, pitch_deg=15, roll_deg=5, **TWO), SIZE, VIEWS[name])
    for t in range(0, 30, 6):
        there = figure(scene, t)
        assert there.sum() > 100
        rim = np.ones(there.shape, bool)
        rim[3:-3, 3:-3] = False
        assert not (there & rim).any()


def test_people_stand_upright_under_a_tilted_camera() -> None:
    result = walk(frames=20, pitch_deg=25, roll_deg=12, speeds=((0, 0),))
    rows, columns = np.nonzero(figure(ScenePanel(result, SIZE, VIEWS["front"]), 10))
    assert np.ptp(rows) > 2 * np.ptp(columns)
    top, bottom = columns[rows < np.quantile(rows, 0.1)], columns[rows > np.quantile(rows, 0.9)]
    assert abs(top.mean() - bottom.mean()) < 0.1 * np.ptp(rows)


def test_left_and_right_are_the_persons() -> None:
    """A person who faces the camera has the left hand on the right in the front view."""
    result = walk(frames=5, speeds=((0, 0),), starts=((0, 4),))
    image = ScenePanel(result, SIZE, VIEWS["front"]).draw(0).astype(int)
    left, _, right = colours.person_colours(0)
    where = [
        np.nonzero(np.abs(image - colour).max(axis=2) < 20)[1].mean() for colour in (left, right)
    ]
    assert where[0] > where[1]


def test_the_nearer_hides_the_farther() -> None:
    result = walk(frames=2, starts=((0, 3), (0, 5)), speeds=((0, 0), (0, 0)))
    swapped = dataclasses.replace(
        result,
        joints_3d=result.joints_3d[::-1].copy(),
        root_3d=result.root_3d[::-1].copy(),
        person_ids=result.person_ids[::-1].copy(),
    )
    images = [ScenePanel(r, SIZE, VIEWS["front"]).draw(0) for r in (result, swapped)]
    assert (images[0] != images[1]).any(axis=2).mean() < 0.002  # bones equally far
    image = images[0].astype(int)
    orange = np.abs(image - colours.person_colours(0)[colours.CENTRE]).max(axis=2) < 40
    blue = np.abs(image - colours.person_colours(1)[colours.CENTRE]).max(axis=2) < 40
    assert orange.sum() > 3 * blue.sum()


def test_absent_people_are_not_drawn() -> None:
    result = absent(walk(frames=10, speeds=((0, 0),)), 0, slice(5, 10))
    scene = ScenePanel(result, SIZE, VIEWS["three-quarter"])
    assert figure(scene, 2).any()
    assert not figure(scene, 7).any()
    assert (scene.draw(7) == scene.draw(8)).all()


def test_interpolated_people_are_thinner() -> None:
    result = walk(frames=2, speeds=((0, 0),))
    guessed = dataclasses.replace(result, observed=np.zeros_like(result.observed))
    areas = [
        np.abs(s.draw(0).astype(int) - s.draw(0)[0, 0]).sum()
        for s in (ScenePanel(r, SIZE, VIEWS["front"]) for r in (result, guessed))
    ]
    assert areas[1] < 0.9 * areas[0]


def test_one_outlier_makes_nobody_tiny() -> None:
    result = walk(frames=200, speeds=((0, 0),))
    roots = result.root_3d.copy()
    roots[0, 77] += (3, 0, 30)
    lost = dataclasses.replace(result, root_3d=roots)
    heights = [
        np.ptp(np.nonzero(figure(ScenePanel(r, SIZE, VIEWS["three-quarter"]), 10))[0])
        for r in (result, lost)
    ]
    assert heights[1] > 0.8 * heights[0]


def test_somebody_too_far_away_makes_nobody_tiny() -> None:
    """Such as a tripod that the detector takes for a person."""
    both = walk(frames=30, starts=((0, 4), (25, 14)), speeds=((0, 0), (0, 0)))
    heights = [
        np.ptp(np.nonzero(figure(ScenePanel(r, SIZE, VIEWS["three-quarter"]), 10))[0])
        for r in (both.person(int(both.person_ids[0])), both)
    ]
    assert heights[1] > 0.8 * heights[0]


def test_people_at_both_ends_of_a_scene_are_shown_if_seen_for_different_times() -> None:
    result = walk(frames=50, starts=((-4.5, 9), (4.5, 9)), speeds=((0, 0), (0, 0)))
    brief = absent(result, 1, slice(10, None))
    low, high = scene_box(brief.joints_camera()[brief.present][..., (0, 2, 1)].astype(float))
    assert low[0] < -4.5
    assert high[0] > 4.5


def test_somebody_who_runs_out_of_the_picture_is_in_the_panel_until_then() -> None:
    result = walk(frames=400, speeds=((0, 0),))
    roots = result.root_3d.copy()
    roots[0, -8:, 0] += 0.12 * np.arange(1, 9, dtype=np.float32)
    scene = ScenePanel(dataclasses.replace(result, root_3d=roots), (100, 240), VIEWS["front"])
    for t in (0, 399):
        there = figure(scene, t)
        assert there.sum() > 100
        rim = np.ones(there.shape, bool)
        rim[3:-3, 3:-3] = False
        assert not (there & rim).any()


def test_somebody_far_below_the_floor_has_a_faint_shadow() -> None:
    """The shadow is on the floor and so far from them, as if they were above it."""
    result = walk(frames=2, speeds=((0, 0),))
    ground = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
    ground[2, 3] = ground_of(result).camera_height - 4
    below = dataclasses.replace(result, camera_to_world=ground)
    scene = ScenePanel(below, SIZE, View(0, 40))
    floor = scene.draw_people(below.joints_camera()[:0, 0], below.person_ids[:0], np.zeros(0, bool))
    assert not figure(scene, 0).any()  # they are out of the panel
    assert 0 < (floor.astype(int) - scene.draw(0)).max() < 60


def test_a_long_walk_stays_readable() -> None:
    result = walk(frames=300, starts=((-20, 6),), speeds=((4.0, 0),))
    scene = ScenePanel(result, SIZE, VIEWS["three-quarter"])
    assert np.ptp(np.nonzero(figure(scene, 150))[0]) > 25
    scene.draw(0)  # who has left the panel does no harm


def test_scene_box() -> None:
    people = np.zeros((1, 601, 17, 3))
    people[..., 0] = np.linspace(-30, 30, 601)[:, None]
    people[..., 2] = np.linspace(0, 1.7, 17)
    low, high = scene_box(people[0])
    assert high[0] - low[0] == pytest.approx(WIDEST_SCENE_M)
    assert low[2] == 0
    assert 1.7 <= high[2] <= 2.5


def test_unknown_places_are_interpolated() -> None:
    result = walk(frames=9, speeds=((1, 0),))
    roots = result.root_3d.copy()
    roots[0, 3:6] = np.nan
    roots[0, 8:] = np.nan
    placed = placed_joints(dataclasses.replace(result, root_3d=roots))
    assert placed[:, :8] == pytest.approx(result.joints_camera()[:, :8], abs=0.01)
    assert placed[0, 8, 0] == pytest.approx(result.root_3d[0, 7])


def test_people_without_a_position_are_drawn_with_the_others() -> None:
    result = walk(frames=4, starts=((0, 4), (2, 4)), speeds=((0, 0), (0, 0)))
    roots = result.root_3d.copy()
    roots[1] = np.nan
    placed = placed_joints(dataclasses.replace(result, root_3d=roots))
    assert placed[1, 0, 0] == pytest.approx(roots[0, 0], abs=0.01)
    roots[0] = np.nan
    placed = placed_joints(dataclasses.replace(result, root_3d=roots))
    assert placed[1, 0, 0] == pytest.approx(DEFAULT_PLACE)


def test_a_result_without_people_or_positions_can_be_drawn() -> None:
    result = walk(frames=3)
    placeless = dataclasses.replace(result, root_3d=np.full_like(result.root_3d, np.nan))
    assert figure(ScenePanel(placeless, SIZE, VIEWS["front"]), 1).any()
    scene = ScenePanel(absent(result, 0, slice(None)), SIZE, VIEWS["three-quarter"])
    assert not figure(scene, 1).any()
    assert len(np.unique(scene.draw(1))) > 10  # the floor
