from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.render.people import walk
from vidpose.errors import UsageError
from vidpose.postprocess.body_height import body_heights, scale_to_height
from vidpose.postprocess.ground_plane import place_in_world

TWO: dict[str, Any] = {"starts": ((-1.0, 3.5), (1.0, 6.0)), "speeds": ((0.6, 0.2), (-0.3, -0.5))}


def test_the_height_of_somebody_who_walks() -> None:
    # The figure is 1.74 m tall where it stands straight.
    assert body_heights(walk(frames=30, pitch_deg=20, **TWO)) == pytest.approx(
        [1.74, 1.74], abs=0.02
    )


def test_everybody_gets_the_height() -> None:
    result = walk(frames=10, **TWO)
    scaled = scale_to_height(result, 190)
    assert body_heights(scaled) == pytest.approx([1.9, 1.9], abs=0.01)
    before, after = result.joints_camera(), scaled.joints_camera()
    # They fall on the same places in the picture.
    np.testing.assert_allclose(
        after[..., :2] / after[..., 2:], before[..., :2] / before[..., 2:], atol=1e-5
    )
    told = scaled.meta["scale"]
    assert told["height_cm"] == 190.0
    assert told["people"]["0"]["factor"] == pytest.approx(1.9 / 1.74, abs=0.01)
    assert told["not_there"] == []


def test_heights_by_person() -> None:
    result = walk(frames=10, **TWO)
    scaled = scale_to_height(result, {1: 120.0, 7: 180.0})
    assert body_heights(scaled) == pytest.approx([1.74, 1.2], abs=0.02)
    np.testing.assert_array_equal(scaled.root_3d[0], result.root_3d[0])
    told = scaled.meta["scale"]
    assert told["height_cm"] == {"1": 120.0, "7": 180.0}
    assert list(told["people"]) == ["1"]
    assert told["not_there"] == ["7"]


def test_somebody_who_is_never_there_stays_so() -> None:
    result = walk(frames=5, **TWO)
    present, joints = result.present.copy(), result.joints_3d.copy()
    present[1], joints[1] = False, np.nan
    gone = dataclasses.replace(result, present=present, observed=present, joints_3d=joints)
    scaled = scale_to_height(gone, 180)
    assert np.isnan(scaled.joints_3d[1]).all()
    assert body_heights(scaled)[0] == pytest.approx(1.8)


def test_people_in_a_world_are_not_scaled_off_its_floor() -> None:
    placed = place_in_world(walk(frames=10, **TWO))
    with pytest.raises(UsageError, match="scale people before"):
        scale_to_height(placed, 180)


@pytest.mark.parametrize("height", [1.75, 1750, 0, -170, float("nan"), {1: 1.8}, {}])
def test_what_is_nobodys_height(height: Any) -> None:
    with pytest.raises(UsageError, match="--height-cm"):
        scale_to_height(walk(frames=3), height)
