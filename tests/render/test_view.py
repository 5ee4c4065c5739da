from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vidpose.errors import UsageError
from vidpose.render.view import VIEWS, View, Viewpoint, parse_view

SIZE = (400, 300)
CUBE = np.array([[x, y, z] for x in (-1, 1) for y in (3, 5) for z in (0, 2)], float)


def test_named_views() -> None:
    assert set(VIEWS) == {"three-quarter", "front", "side", "top"}
    for name, view in VIEWS.items():
        assert parse_view(name) == view


@pytest.mark.parametrize(
    ("text", "view"), [("38,17", View(38, 17)), ("-90, 0", View(-90, 0)), ("1.5,90", View(1.5, 90))]
)
def test_view_in_degrees(text: str, view: View) -> None:
    assert parse_view(text) == view


@pytest.mark.parametrize(
    "text", ["", "back", "38", "1,2,3", "a,b", "0,-5", "0,91", "nan,3", "inf,1"]
)
def test_no_view(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a view; give one of three-quarter, .*\.$"):
        parse_view(text)


@pytest.mark.parametrize("view", [*VIEWS.values(), View(200, 45), View(-70, 0)])
@pytest.mark.parametrize("size", [SIZE, (200, 600)])
def test_the_points_to_show_fill_the_panel(view: View, size: tuple[int, int]) -> None:
    pixels, depth = Viewpoint.fit(view, CUBE, size).project(CUBE)
    low, high = pixels.min(axis=0), pixels.max(axis=0)
    assert (low > 0).all()
    assert (high < size).all()
    assert ((high - low) / size).max() > 0.7
    assert (low + high) / 2 == pytest.approx(np.array(size) / 2)
    assert (depth > 1).all()


def seen(name: str, *points: tuple[float, float, float]) -> NDArray[np.float64]:
    return Viewpoint.fit(VIEWS[name], CUBE, SIZE).project(np.array(points))[0]


def test_front_shows_what_the_camera_sees() -> None:
    left, right = seen("front", (-1, 4, 1), (1, 4, 1))
    low, high = seen("front", (0, 4, 0), (0, 4, 2))
    assert left[0] < right[0]
    assert high[1] < low[1]


def test_side_is_from_the_cameras_right() -> None:
    near_camera, far_from_camera = seen("side", (0, 3, 1), (0, 5, 1))
    assert near_camera[0] < far_from_camera[0]


def test_top_is_a_map_with_the_camera_below() -> None:
    near_camera, far_from_camera, right = seen("top", (0, 3, 1), (0, 5, 1), (1, 3, 1))
    assert far_from_camera[1] < near_camera[1]
    assert near_camera[0] < right[0]


def test_near_things_are_larger() -> None:
    for name in ("front", "three-quarter"):
        a, b, c, d = seen(name, (0, 3, 0), (0, 3, 2), (0, 5, 0), (0, 5, 2))
        assert np.linalg.norm(a - b) > 1.15 * np.linalg.norm(c - d)


def test_floor_at_is_the_inverse_of_project() -> None:
    viewpoint = Viewpoint.fit(VIEWS["three-quarter"], CUBE, SIZE)
    places = np.array([[0.0, 4.0, 0.0], [0.7, 3.2, 0.0]])
    floor, shown = viewpoint.floor_at(*viewpoint.project(places)[0].T)
    assert shown.all()
    assert floor == pytest.approx(places[:, :2])


def test_above_the_horizon_is_no_floor() -> None:
    viewpoint = Viewpoint.fit(View(30, 0), CUBE, SIZE)
    _, shown = viewpoint.floor_at(np.array([200.0, 200.0]), np.array([0.0, 299.0]))
    assert shown.tolist() == [False, True]
