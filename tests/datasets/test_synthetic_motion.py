import numpy as np
import pytest

from vidpose.datasets.synthetic_motion import STYLES, body, move
from vidpose.skeleton import H36M17

FPS = 50.0


def moved(action: str, seed: int = 0, frames: int = 300) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return move(action, body(rng), frames, FPS, rng)


def joint(joints: np.ndarray, name: str) -> np.ndarray:
    return joints[:, H36M17.index(name)]


@pytest.mark.parametrize("action", STYLES)
def test_limbs_keep_their_length_and_nobody_jumps_or_sinks(action: str) -> None:
    joints = moved(action)
    assert joints.shape == (300, 17, 3)
    for parent, child in H36M17.bones:
        length = np.linalg.norm(joints[:, child] - joints[:, parent], axis=1)
        assert np.ptp(length) < 1e-9
        assert 0.05 < length[0] < 0.6
    speed = np.linalg.norm(np.diff(joints, axis=0), axis=2) * FPS
    assert speed.max() < 15  # a boxer's fist does 10 m/s
    acceleration = np.linalg.norm(np.diff(joints, n=2, axis=0), axis=2) * FPS**2
    assert np.median(acceleration) < (50 if action == "Jog" else 15)
    assert joints[..., 2].min() > -0.02
    feet = np.minimum(joint(joints, "RFoot")[:, 2], joint(joints, "LFoot")[:, 2])
    if action != "SittingDown":  # there the pelvis may rest on the floor
        assert feet.max() < 0.15
    assert np.abs(joints[..., :2]).max() < 3


def test_left_is_left() -> None:
    joints = moved("Waiting")
    left = joint(joints, "LShoulder") - joint(joints, "RShoulder")
    forward = joint(joints, "Neck/Nose") - joint(joints, "Head")
    up = joint(joints, "Thorax") - joint(joints, "Hip")
    assert (np.sum(np.cross(forward, left) * up, axis=1) > 0).mean() > 0.95


def test_walking_moves_forward_on_feet_that_do_not_slide() -> None:
    joints = moved("Walking", frames=600)
    hip = joint(joints, "Hip")
    way = np.linalg.norm(np.diff(hip[:, :2], axis=0), axis=1).sum()
    assert 0.6 < way / 12 < 1.8  # metres a second
    feet = joints[:, [H36M17.index("RFoot"), H36M17.index("LFoot")]]
    lower = feet[..., 2].argmin(axis=1)[1:]
    steps = np.linalg.norm(np.diff(feet[..., :2], axis=0), axis=2)
    standing = np.take_along_axis(steps, lower[:, None], 1)
    swinging = np.take_along_axis(steps, 1 - lower[:, None], 1)
    assert np.median(standing) < 0.25 * np.median(swinging)
    assert ((feet[1:, 0, 2] < feet[1:, 1, 2]).mean() - 0.5) < 0.2  # both take their turn


def test_sitting_people_are_lower() -> None:
    heights = {
        action: np.median([joint(moved(action, seed), "Hip")[:, 2] for seed in range(4)])
        for action in ("Waiting", "Sitting", "SittingDown")
    }
    assert 0.8 < heights["Waiting"] < 1.1
    assert 0.4 < heights["Sitting"] < 0.65
    assert 0.05 < heights["SittingDown"] < 0.4


def test_people_differ_in_size_but_not_from_left_to_right() -> None:
    sizes = [body(np.random.default_rng(seed)) for seed in range(20)]
    thighs = np.array([-one["LKnee"][2] for one in sizes])
    assert 0.35 < thighs.min() < thighs.max() < 0.5
    assert thighs.std() > 0.01
    for one in sizes:
        assert one["LWrist"][2] == one["RWrist"][2]
