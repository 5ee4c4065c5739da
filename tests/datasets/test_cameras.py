import numpy as np
import pytest

from vidpose.datasets.cameras import Camera, fit_focal, h36m_cameras, rotation

IDS = ("54138969", "55011271", "58860488", "60457274")
POINTS = np.random.default_rng(0).normal(size=(2, 5, 17, 3))


def test_every_public_subject_has_the_four_cameras_in_the_official_order() -> None:
    cameras = h36m_cameras()
    assert list(cameras) == ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
    for four in cameras.values():
        assert tuple(camera.id for camera in four) == IDS
        assert [camera.frame_size for camera in four] == [
            *((1000, 1002), (1000, 1000)),
            *((1000, 1000), (1000, 1002)),
        ]
    first = cameras["S1"][0]
    assert first.translation == pytest.approx((1.84110706, 4.95528466, 1.56344543))
    assert first.radial == pytest.approx((-0.207098916, 0.247775182, -0.00307515))
    assert first.tangential == pytest.approx((-0.0009756988, -0.0014244716))


@pytest.mark.parametrize("subject", ["S1", "S11"])
def test_round_trip_between_world_and_camera(subject: str) -> None:
    for camera in h36m_cameras()[subject]:
        there = camera.world_to_camera(POINTS)
        assert there.shape == POINTS.shape
        np.testing.assert_allclose(camera.camera_to_world(there), POINTS, atol=1e-12)
        # Turned and moved, not stretched or mirrored.
        np.testing.assert_allclose(
            np.linalg.norm(there[0, 0, 0] - there[1, 1, 1]),
            np.linalg.norm(POINTS[0, 0, 0] - POINTS[1, 1, 1]),
        )
        turn = rotation(camera.orientation)
        np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(turn) == pytest.approx(1)


def test_the_cameras_stand_on_the_floor_around_the_people_and_look_at_them() -> None:
    middle = np.array([0.0, 0.0, 1.0])  # of the capture volume; z is up
    for camera in h36m_cameras()["S9"]:
        seen = camera.world_to_camera(middle)
        assert 3.5 < seen[2] < 6.5
        x, y = camera.project(seen)
        assert 300 < x < 700
        assert 300 < y < 700
        above = camera.project(camera.world_to_camera(middle + np.array([0, 0, 0.5])))
        assert above[1] < y - 80


def test_a_quarter_turn() -> None:
    half = 0.5**0.5
    turn = rotation((half, 0, 0, half))  # about z
    np.testing.assert_allclose(turn @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    camera = Camera(
        id="c",
        frame_size=(10, 10),
        focal_px=(5, 5),
        centre_px=(5, 5),
        orientation=(half, 0, 0, half),
        translation=(1, 2, 3),
    )
    np.testing.assert_allclose(camera.camera_to_world(np.array([1.0, 0, 0])), [1, 3, 3], atol=1e-12)


def test_projection_by_hand() -> None:
    camera = Camera(
        id="c",
        frame_size=(1000, 1000),
        focal_px=(1000, 500),
        centre_px=(500, 400),
        radial=(0.1, 0.01, 0.001),
        tangential=(0.02, 0.03),
    )
    # x = 0.4, y = -0.2, r2 = 0.2; radial 1.020408; tangential 0.002; so the ray is bent to
    # 0.4 * 1.022408 + 0.02 * 0.2 = 0.4129632 and -0.2 * 1.022408 + 0.03 * 0.2 = -0.1984816.
    np.testing.assert_allclose(
        camera.project(np.array([0.8, -0.4, 2.0])), [912.9632, 300.7592], rtol=1e-9
    )
    np.testing.assert_allclose(camera.project(np.array([0.0, 0.0, 2.0])), [500, 400])


def test_the_focal_length_is_found_from_what_was_seen() -> None:
    joints = POINTS[0] * 0.4 + [0.3, 0.1, 5.0]
    camera = h36m_cameras()["S1"][0]
    focal = fit_focal(joints, camera.project(joints))
    assert focal == pytest.approx(1145, rel=0.02)
    noise = np.random.default_rng(0).uniform(0, 1000, (5, 17, 2))
    assert fit_focal(joints, noise) is None
    assert fit_focal(-joints, camera.project(joints)) is None
