from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from vidpose.detect import blazepose_network
from vidpose.detect.blazepose_network import (
    AT_ONCE,
    DETECTOR_FILE,
    FOLDER,
    LANDMARK_FILES,
    OnnxNetworks,
    anchors,
    decode,
    overlap,
    people,
    refine,
    weighted_suppression,
)
from vidpose.detect.blazepose_regions import (
    MARGIN,
    Region,
    around_person,
    crop,
    small_tiles,
    tiles,
)
from vidpose.errors import WeightsError
from vidpose.utils.files import sha256
from vidpose.video import Frame, VideoReader


@pytest.fixture(scope="module")
def frames(demo_video: Path) -> list[Frame]:
    """The first frames with both people in them."""
    with VideoReader(demo_video, start_s=2.0, end_s=2.01) as video:
        return list(video)


# Regions


def test_points_go_to_the_square_and_back() -> None:
    region = Region(100, 50, 40, 0.7)
    points = np.random.default_rng(0).uniform(-1, 1, (33, 2))
    np.testing.assert_allclose(region.to_square(region.to_picture(points)), points, atol=1e-12)


def test_a_region_is_upright_around_the_person() -> None:
    """The circle around the body touches the square's upper edge, except for the margin."""
    hip, circle = np.array([100.0, 200.0]), np.array([130.0, 160.0])
    region = around_person(hip, circle)
    assert region[:3] == pytest.approx((100, 200, 2 * MARGIN * 50))
    np.testing.assert_allclose(region.to_square(circle), (0, -0.5 / MARGIN), atol=1e-12)
    np.testing.assert_allclose(region.to_picture(np.array([0, -0.5 / MARGIN])), circle)


@pytest.mark.parametrize(
    ("circle", "turn"), [((0, -1), 0), ((1, 0), 90), ((-1, 0), -90), ((1, -1), 45), ((1, 1), 135)]
)
def test_turns_are_clockwise(circle: tuple[int, int], turn: float) -> None:
    region = around_person(np.zeros(2), np.array(circle))
    assert np.rad2deg(region.turn) == pytest.approx(turn)


def test_a_turned_region_contains_what_it_shows() -> None:
    """Rotated by 45 degrees, the square's corners point up, down and sideways."""
    region = Region(100, 100, 20, np.pi / 4)
    points = np.array([[100, 100], [113, 100], [100, 87], [109, 109], [91, 109]])
    assert region.contains(points).tolist() == [True, True, True, False, False]


@pytest.mark.parametrize("turn", [0.0, 0.5, -2.0])
def test_a_crop_shows_where_points_are(turn: float) -> None:
    """A bright spot in the picture is in the crop where `to_square` says, to a tenth of a pixel."""
    spot = np.array([83.0, 61.0])
    y, x = np.mgrid[:120, :160]
    glow = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 50)
    image = np.repeat(glow[..., None], 3, axis=2).astype(np.uint8)
    region = Region(80, 60, 64, turn)
    out = np.empty((128, 128, 3), np.uint8)
    crop(image, region, out)
    weights = out[..., 0].astype(float)
    rows, columns = np.mgrid[:128, :128]
    seen = np.array([(weights * columns).sum(), (weights * rows).sum()]) / weights.sum()
    expected = (region.to_square(spot) + 0.5) * 128 - 0.5
    np.testing.assert_allclose(seen, expected, atol=0.1)


def test_a_crop_at_the_size_of_the_region_is_the_picture() -> None:
    image = np.random.default_rng(0).integers(0, 255, (20, 30, 3)).astype(np.uint8)
    out = np.empty((8, 8, 3), np.uint8)
    crop(image, Region(13.5, 9.5, 8, 0), out)
    np.testing.assert_array_equal(out, image[6:14, 10:18])


def test_outside_the_picture_is_its_edge_or_black() -> None:
    image = np.full((10, 10, 3), 200, np.uint8)
    out = np.empty((4, 4, 3), np.uint8)
    crop(image, Region(100, 100, 4, 0), out)
    assert (out == 200).all()
    crop(image, Region(100, 100, 4, 0), out, border=cv2.BORDER_CONSTANT)
    assert not out.any()


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (500, 500), (16, 16), (3000, 20)])
def test_a_search_sees_the_whole_picture(size: tuple[int, int]) -> None:
    width, height = size
    whole, *squares = tiles(width, height)
    assert list(whole) == [(width - 1) / 2, (height - 1) / 2, max(size), 0]
    assert len(squares) <= 6
    seen = np.full((height, width), width == height)
    for x, y, side, turn in squares:
        left, top = x - (side - 1) / 2, y - (side - 1) / 2
        assert left == int(left) >= 0
        assert top == int(top) >= 0
        assert turn == 0
        seen[int(top) : int(top + side), int(left) : int(left + side)] = True
    assert seen.all()


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (500, 500), (2700, 960)])
def test_small_tiles_see_the_whole_picture(size: tuple[int, int]) -> None:
    width, height = size
    squares = small_tiles(width, height)
    assert len(squares) <= 40
    seen = np.zeros((height, width), bool)
    for x, y, side, turn in squares:
        left, top = int(x - (side - 1) / 2), int(y - (side - 1) / 2)
        assert min(left, top) >= 0
        assert turn == 0
        assert side >= 224
        seen[top : top + int(side), left : left + int(side)] = True
    assert seen.all()


def test_small_pictures_have_no_small_tiles() -> None:
    assert small_tiles(640, 272) == []
    assert len(small_tiles(640, 360)) > 0


# What the networks' outputs mean


def test_anchors() -> None:
    """Two for each cell of 28 x 28 and 14 x 14, six for each of 7 x 7; from the top left."""
    at = anchors()
    assert at.shape == (2 * 28**2 + 2 * 14**2 + 6 * 7**2, 2) == (2254, 2)
    np.testing.assert_allclose(at[:4] * 224, [(4, 4), (4, 4), (12, 4), (12, 4)], rtol=1e-6)
    np.testing.assert_allclose(at[2 * 28**2] * 224, (8, 8), rtol=1e-6)
    np.testing.assert_allclose(at[-6:] * 224, [(208, 208)] * 6, rtol=1e-6)


def encoded(box: tuple[float, ...], points: NDArray[np.float64], at: NDArray[Any]) -> Any:
    """The detector's output at an anchor; the inverse of `decode`."""
    x0, y0, x1, y1 = box
    middle = np.array([x0 + x1, y0 + y1]) / 2 + 0.5 - at
    parts = [middle, (x1 - x0, y1 - y0), (points + 0.5 - at).ravel()]
    return (224 * np.concatenate(parts)).astype(np.float32)


def test_boxes_are_relative_to_their_anchors() -> None:
    at = anchors()[[100, 1700, 2200]]
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (4, 2))
    box = (-0.2, -0.3, 0.1, 0.05)
    values = np.stack([encoded(box, points, anchor) for anchor in at])
    for found in decode(values, at):
        np.testing.assert_allclose(found, [*box, *points.ravel()], atol=1e-6)


def test_overlap() -> None:
    boxes = np.array([[0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6], [0, 0, 1, 2.0]])
    np.testing.assert_allclose(overlap(boxes[0], boxes), [1, 1 / 3, 0, 0.5])


def test_boxes_of_the_same_person_are_averaged() -> None:
    boxes = np.zeros((4, 12))
    boxes[:, :4] = [[0, 0, 10, 10], [50, 0, 60, 10], [1, 0, 11, 10], [0, 0, 0, 0]]
    kept = weighted_suppression(boxes, np.array([0.9, 0.8, 0.3, 0.2]))
    assert len(kept) == 3
    np.testing.assert_allclose(kept[0, :4], [0.25, 0, 10.25, 10])
    np.testing.assert_allclose(kept[1:, :4], boxes[[1, 3], :4])
    assert weighted_suppression(boxes[:0], np.empty(0)).shape == (0, 12)


def test_the_most_confident_person_comes_first() -> None:
    at = anchors()
    values, logits = np.zeros((2254, 12), np.float32), np.full(2254, -200, np.float32)
    points = np.zeros((4, 2))
    for anchor, x, logit in ((10, -0.3, 0.5), (900, 0.2, 3.0), (2000, 0.4, -0.1)):
        values[anchor] = encoded((x - 0.05, -0.05, x + 0.05, 0.05), points + x, at[anchor])
        logits[anchor] = logit
    found = people(values, logits, at, 0.5)
    np.testing.assert_allclose(found[:, 4], [0.2, -0.3], atol=1e-6)
    assert len(people(values, logits, at, 0.4)) == 3
    assert len(people(values, logits, at, 0.99)) == 0


def test_a_clear_heat_map_refines_the_point() -> None:
    """The centre of the first cell is at 0, so cell (20, 30) of 64 is at (20, 30) / 64."""
    heat = np.full((1, 3, 64, 64), -50, np.float32)
    heat[0, 0, 30, 20] = heat[0, 0, 30, 21] = 3
    heat[0, 1, 30, 20] = -1  # not clear
    heat[0, 2, 10, 10] = 3  # too far away
    points = np.full((1, 3, 2), (19.5 / 64, 31.2 / 64), np.float32)
    refined = refine(points, heat)
    np.testing.assert_allclose(refined[0, 0] * 64, (20.5, 30), rtol=1e-5)
    np.testing.assert_array_equal(refined[0, 1:], points[0, 1:])


def test_heat_maps_end_at_the_edge() -> None:
    heat = np.full((2, 2, 64, 64), -50, np.float32)
    heat[:, :, 0, 0] = heat[:, :, 63, 63] = 3
    points = np.array([[(0.01, 0.02), (-0.1, 0.5)], [(0.99, 0.98), (0.5, 1.1)]], np.float32)
    refined = refine(points, heat)
    np.testing.assert_allclose(refined[:, 0], [(0, 0), (63 / 64, 63 / 64)], atol=1e-6)
    np.testing.assert_array_equal(refined[:, 1], points[:, 1])


# The networks


def test_the_files_are_those_described() -> None:
    about = (FOLDER / "README.md").read_text()
    described = dict(re.findall(r"`([\w.]+\.onnx)` \| .* \| `([0-9a-f]{64})`", about))
    assert described == {path.name: sha256(path) for path in FOLDER.glob("*.onnx")}
    assert {DETECTOR_FILE, *LANDMARK_FILES.values()} <= set(described)
    assert "Apache-2.0" in about


def test_missing_files_are_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(blazepose_network, "FOLDER", tmp_path)
    with pytest.raises(WeightsError, match=r"person_detector.onnx is missing; install"):
        OnnxNetworks("full")


def test_a_damaged_file_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for path in FOLDER.glob("*.onnx"):
        (tmp_path / path.name).write_bytes(path.read_bytes()[:100_000])
    monkeypatch.setattr(blazepose_network, "FOLDER", tmp_path)
    with pytest.raises(WeightsError, match=r"person_detector.onnx cannot be read; install"):
        OnnxNetworks("full")


def test_people_in_one_batch_are_the_same_as_one_by_one(frames: list[Frame]) -> None:
    """More people than fit into one batch."""
    networks = OnnxNetworks("full")
    image = frames[0].image
    height, width = image.shape[:2]
    regions = [
        region for some in networks.find(image, tiles(width, height), 0.5) for region in some
    ]
    regions = 4 * regions[-3:]
    assert len(regions) > AT_ONCE
    together = networks.landmarks(image, regions, mirrored=False, accurate=True)
    for n in (0, 3, 11):
        alone = networks.landmarks(image, [regions[n]], mirrored=False, accurate=True)
        np.testing.assert_allclose(alone.points[0], together.points[n], atol=1e-4)
        np.testing.assert_allclose(alone.presence[0], together.presence[n], atol=1e-4)


def test_mirrored_crops_are_crops_of_the_mirrored_picture(frames: list[Frame]) -> None:
    image = frames[0].image
    region = Region(640, 250, 580, 0.2)
    mirror = Region(image.shape[1] - 1 - region.x, *region[1:3], -region.turn)
    networks = OnnxNetworks("full")
    _, second = networks.landmarks(image, [region], mirrored=True, accurate=True).points
    (expected,) = networks.landmarks(
        np.ascontiguousarray(image[:, ::-1]), [mirror], mirrored=False, accurate=True
    ).points
    np.testing.assert_allclose(second, expected, atol=0.002)


def test_joints_are_where_mediapipe_sees_them(frames: list[Frame]) -> None:
    """Against mediapipe 0.10.21 for these regions of the first frame, in pixels."""
    expected = json.loads((Path(__file__).parent / "blazepose_reference.json").read_text())
    regions = [Region(*region) for region in expected["regions"]]
    networks = OnnxNetworks("full", from_corner=True)
    seen = networks.landmarks(frames[0].image, regions, mirrored=False, accurate=True)
    for region, points, joints in zip(regions, seen.points, expected["joints"], strict=True):
        away = np.linalg.norm(region.to_picture(points[:33]) - joints, axis=1)
        assert away.mean() < 0.5
        np.testing.assert_array_less(away, 5)


@pytest.mark.parametrize(("accurate", "size"), [(False, "full"), (True, "heavy")])
def test_mixed_has_both_networks(accurate: bool, size: str, frames: list[Frame]) -> None:
    region = [Region(640, 260, 500, 0)]
    image = np.ascontiguousarray(frames[0].image)
    found = OnnxNetworks("mixed").landmarks(image, region, mirrored=True, accurate=accurate)
    expected = OnnxNetworks(size).landmarks(image, region, mirrored=True, accurate=not accurate)
    for values, others in zip(found, expected, strict=True):
        np.testing.assert_array_equal(values, others)
