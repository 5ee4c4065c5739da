from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vidpose.detect import blazepose_network
from vidpose.detect.blazepose_cascade import LEGS, Cascade, in_doubt, open_networks
from vidpose.detect.blazepose_network import Landmarks, OnnxNetworks, unclear
from vidpose.detect.blazepose_regions import Region
from vidpose.errors import WeightsError
from vidpose.video import VideoReader

CLEAR, FAINT = 5.0, -5.0


def seen(points: np.ndarray, unclear_joints: list[int]) -> Landmarks:
    """One square in which some joints are unclear."""
    marks = np.zeros((1, 33), bool)
    marks[0, unclear_joints] = True
    visible = np.ones((1, 33), np.float32)
    return Landmarks(points[None], visible, np.ones(1, np.float32), marks)


@pytest.mark.parametrize(
    ("joints", "expected"), [([], False), ([LEGS[0]], True), ([LEGS[3]], True), ([0, 15], False)]
)
def test_only_legs_are_in_doubt(joints: list[int], expected: bool) -> None:
    found = seen(np.zeros((35, 2)), joints)
    assert in_doubt(found, [Region(50, 50, 80, 0)], 100, 100).tolist() == [expected]


def test_legs_outside_the_picture_are_not_in_doubt() -> None:
    points = np.zeros((35, 2))
    points[LEGS[0]] = 0, 0.45  # at 50 + 0.45 * 80 = 86 pixels
    for height, expected in ((100, True), (80, False)):
        found = seen(points, [LEGS[0]])
        assert in_doubt(found, [Region(50, 50, 80, 0)], 100, height).tolist() == [expected]


def test_a_point_is_unclear_where_its_heat_map_is_faint_or_highest_elsewhere() -> None:
    points = np.array([[[0.25, 0.25], [0.75, 0.75], [0.25, 0.75]]], np.float32)
    heat = np.full((1, 3, 64, 64), FAINT, np.float32)
    heat[0, 0, 16, 17] = CLEAR  # at the point, row and column
    heat[0, 1, 48, 40] = CLEAR  # an eighth of the square away; the person is 0.7 of it tall
    assert unclear(points, heat).tolist() == [[False, True, True]]


def test_where_in_doubt_the_larger_network_is_believed(demo_video: Path) -> None:
    """The rows in doubt are heavy's, the others full's; also of the mirror images."""
    regions = [Region(640, 260, 500, 0), Region(1300, 800, 400, 0), Region(900, 500, 300, 0.4)]
    with VideoReader(demo_video, 3.4, 3.6) as video:
        image = np.ascontiguousarray(next(iter(video)).image)
    quick, sure, cascade = OnnxNetworks("full"), OnnxNetworks("heavy"), Cascade()
    for mirrored in (False, True):
        full = quick.landmarks(image, regions, mirrored=mirrored)
        doubt = in_doubt(full, regions, image.shape[1], image.shape[0])
        assert doubt.any()
        assert not doubt.all()
        heavy = sure.landmarks(image, regions, mirrored=mirrored)
        found = cascade.landmarks(image, regions, mirrored=mirrored)
        rows = np.concatenate([doubt, doubt]) if mirrored else doubt
        for values, small, large in zip(found, full, heavy, strict=True):
            np.testing.assert_array_equal(values[~rows], small[~rows])
            np.testing.assert_allclose(values[rows], large[rows], atol=1e-4)


def test_the_larger_network_is_missed_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And not at the first doubt, in the middle of a video."""
    for name in (blazepose_network.DETECTOR_FILE, "landmarks_full.onnx"):
        (tmp_path / name).symlink_to(blazepose_network.FOLDER / name)
    monkeypatch.setattr(blazepose_network, "FOLDER", tmp_path)
    with pytest.raises(WeightsError, match=r"landmarks_heavy\.onnx is missing"):
        open_networks()
