from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.render.people import walk
from vidpose.render import colours
from vidpose.render.overlay import draw_people
from vidpose.skeleton import H36M17

GREY = 128


def canvas(width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    return np.full((height, width, 3), GREY, np.uint8)


def person(size: tuple[int, int] = (320, 240)) -> NDArray[np.float32]:
    """(1, 17, 2) a person seen from the front."""
    return walk(frames=1, size=size, starts=((0, 4),), speeds=((0, 0),)).keypoints_2d[:, 0]


def drawn(
    keypoints: NDArray[np.float32], *, score: float = 1.0, observed: bool = True, person_id: int = 0
) -> NDArray[np.uint8]:
    image = canvas()
    people = len(keypoints)
    draw_people(
        image,
        keypoints,
        np.full((people, 17), score),
        np.full(people, observed),
        np.arange(person_id, person_id + people),
    )
    return image


def middle(keypoints: NDArray[np.float32], a: str, b: str) -> tuple[int, int]:
    """Row and column of the middle of a bone."""
    ends = keypoints[0, [H36M17.index(a), H36M17.index(b)]]
    x, y = np.round(ends.mean(axis=0)).astype(int)
    return y, x


@pytest.mark.parametrize(
    ("bone", "side"),
    [
        (("LHip", "LKnee"), colours.LEFT),
        (("RHip", "RKnee"), colours.RIGHT),
        (("LElbow", "LWrist"), colours.LEFT),
        (("Spine", "Thorax"), colours.CENTRE),
    ],
)
@pytest.mark.parametrize("person_id", [0, 1, 9])
def test_bones_have_the_colour_of_person_and_side(
    bone: tuple[str, str], side: int, person_id: int
) -> None:
    keypoints = person()
    image = drawn(keypoints, person_id=person_id)
    expected = colours.person_colours(person_id)[side]
    assert np.abs(image[middle(keypoints, *bone)].astype(int) - expected).max() < 25


def test_left_is_light_and_right_is_dark() -> None:
    for person_id in range(len(colours.PALETTE)):
        left, centre, right = (sum(c) for c in colours.person_colours(person_id))
        assert left > centre + 60 > right + 120


def test_people_differ_in_colour() -> None:
    centre = np.array(
        [colours.person_colours(i)[colours.CENTRE] for i in range(len(colours.PALETTE))]
    )
    distances = np.abs(centre[:, None] - centre[None]).sum(axis=-1)
    assert distances[~np.eye(len(centre), dtype=bool)].min() > 60


def test_the_order_of_people_changes_no_colour() -> None:
    aside = np.array([60, 0], np.float32)
    two = np.concatenate([person() - aside, person() + aside])
    images = [canvas(), canvas()]
    for image, order in zip(images, ([0, 1], [1, 0]), strict=True):
        draw_people(image, two[order], np.ones((2, 17)), np.ones(2, bool), np.array([4, 7])[order])
    assert (images[0] == images[1]).all()


def test_missing_joints_are_left_out() -> None:
    keypoints = person()
    whole = drawn(keypoints)
    spot = middle(keypoints, "RKnee", "RFoot")
    keypoints[0, H36M17.index("RFoot")] = np.nan
    part = drawn(keypoints)
    assert (whole[spot] != GREY).any()
    assert (part[spot] == GREY).all()
    assert (part != GREY).any()


def test_nobody_leaves_the_picture_as_it_is() -> None:
    assert (drawn(np.full((1, 17, 2), np.nan, np.float32)) == GREY).all()
    assert (drawn(np.zeros((0, 17, 2), np.float32)) == GREY).all()
    assert (drawn(person() + np.float32(1e6)) == GREY).all()


def inked(image: NDArray[np.uint8]) -> float:
    return float(np.abs(image.astype(int) - GREY).sum())


def test_unsure_and_interpolated_people_are_fainter() -> None:
    keypoints = person()
    sure = inked(drawn(keypoints))
    assert inked(drawn(keypoints, score=0.1)) < 0.6 * sure
    assert inked(drawn(keypoints, observed=False)) < 0.6 * sure


def test_only_bones_of_an_unsure_joint_are_faint() -> None:
    keypoints = person()
    scores = np.ones((1, 17))
    scores[0, H36M17.index("LWrist")] = 0.1
    image, sure = canvas(), drawn(keypoints)
    draw_people(image, keypoints, scores, np.ones(1, bool), np.zeros(1, int))
    forearm, thigh = middle(keypoints, "LElbow", "LWrist"), middle(keypoints, "LHip", "LKnee")
    assert inked(image[forearm]) < 0.7 * inked(sure[forearm])
    assert (image[thigh] == sure[thigh]).all()
    x, y = np.round(keypoints[0, H36M17.index("LWrist")]).astype(int)
    assert inked(image[y, x]) < 0.7 * inked(sure[y, x])  # no dot is left in the air


def test_half_outside_the_picture() -> None:
    keypoints = person()
    keypoints[..., 0] -= 155
    for score in (1.0, 0.1):
        assert inked(drawn(keypoints, score=score)) > 0


def test_lines_grow_with_the_picture() -> None:
    widths = []
    for size in ((320, 240), (1280, 960)):
        image = canvas(*size)
        keypoints = person(size)
        draw_people(image, keypoints, np.ones((1, 17)), np.ones(1, bool), np.zeros(1, int))
        row, _ = middle(keypoints, "LHip", "LKnee")
        widths.append(int((image[row] != GREY).any(axis=1).sum()))
    assert widths[1] > 2 * widths[0]


def test_the_neck_goes_to_the_head_top_and_the_nose_stands_out() -> None:
    """In profile: a line through the nose would run down the face."""
    keypoints = person()
    thorax, nose, head = (H36M17.index(name) for name in ("Thorax", "Neck/Nose", "Head"))
    keypoints[0, [thorax, nose, head]] = (160, 80), (185, 60), (165, 30)
    image = drawn(keypoints)
    face, neck, spur = (np.mean(spot, axis=0).round().astype(int)[::-1] for spot in (
        keypoints[0, [nose, head]], keypoints[0, [thorax, head]], [(162.5, 55), (185, 60)],
    ))  # fmt: skip
    assert (image[tuple(face)] == GREY).all()
    assert (image[tuple(neck)] != GREY).any()
    assert (image[tuple(spur)] != GREY).any()
    keypoints[0, head] = np.nan  # then the nose is all there is of the head
    y, x = np.mean([(160, 80), (185, 60)], axis=0).round().astype(int)[::-1]
    assert (drawn(keypoints)[y, x] != GREY).any()


def test_draws_into_a_part_of_a_larger_picture() -> None:
    large = canvas(640, 240)
    keypoints = person()
    draw_people(large[:, :320], keypoints, np.ones((1, 17)), np.ones(1, bool), np.zeros(1, int))
    assert (large[:, :320] == drawn(keypoints)).all()
    assert (large[:, 320:] == GREY).all()


@pytest.mark.parametrize("down", [0, 130])
def test_the_number_of_a_handstand_is_in_the_picture(down: int) -> None:
    """Also where the head is below the picture."""
    keypoints = person()
    keypoints[..., 1] = 240 - keypoints[..., 1] + down
    assert (np.abs(drawn(keypoints).astype(int) - colours.WHITE).max(axis=2) < 20).any()
