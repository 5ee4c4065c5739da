from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidpose
from tests.lifting.test_lifter import checkpoint, lift_with, track
from tests.results import make_result
from vidpose.errors import WeightsError
from vidpose.lifting.lifter import Lifter, lift_poses
from vidpose.models import Checkpoint, save_checkpoint
from vidpose.options import PostprocessOptions
from vidpose.poses import Pose2D
from vidpose.postprocess import postprocess

__all__ = ["checkpoint"]  # a fixture


def test_a_joint_with_score_0_is_missing_wherever_it_comes_from(
    checkpoint: Checkpoint, tmp_path: Path
) -> None:
    made = make_result(people=1, frames=30)
    made.scores_2d[:] = 0.9
    made.scores_2d[0, 10:, 2] = 0
    made.keypoints_2d[0, 10:, 2] = 1e5
    save_checkpoint(tmp_path / "w.safetensors", checkpoint)
    fields: dict[str, Any] = {name: getattr(made, name) for name in Pose2D.__dataclass_fields__}
    lifted = postprocess(lift_poses(Pose2D(**fields), Lifter(checkpoint)), PostprocessOptions())
    direct = vidpose.lift(
        made.keypoints_2d[0],
        made.frame_size,
        made.fps,
        scores=made.scores_2d[0],
        weights=tmp_path / "w.safetensors",
        device="cpu",
    )
    np.testing.assert_allclose(lifted.joints_3d[0], direct, atol=1e-5)
    assert np.abs(lifted.root_3d).max() < 50


def test_public_lift(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    save_checkpoint(path, checkpoint)
    pixels, time = track(12)
    options: Any = {"weights": path, "device": "cpu", "precision": "fp32", "rigid": False}
    joints = vidpose.lift(pixels, frame_size=(640, 480), fps=30, **options)
    assert joints.shape == (12, 17, 3)
    np.testing.assert_allclose(joints, lift_with(checkpoint, pixels, time), atol=1e-4)
    scores = np.ones((12, 17))
    scores[3, 4] = 0
    pixels[3, 4] = 1e6  # a wild guess with score 0 is a missing joint
    again = vidpose.lift(pixels, (640, 480), 30, scores=scores, **options)
    assert np.abs(again - joints).max() < 0.2
    with pytest.raises(ValueError, match=r"expected \(T, 17, 2\)"):
        vidpose.lift(np.zeros((12, 16, 2)), (640, 480), 30, weights=path)
    for fps in (0, 1e9, float("nan")):
        with pytest.raises(ValueError, match=r"fps: expected a number from 0\.1 to 10000"):
            vidpose.lift(pixels, (640, 480), fps, weights=path)
    with pytest.raises(WeightsError, match="nonsense does not exist"):
        vidpose.lift(pixels, (640, 480), 30, weights="nonsense")


@pytest.mark.parametrize("size", [(0, 480), (-640, 480), (640, 480, 3), 640, (float("inf"), 480)])
def test_public_lift_of_a_frame_that_has_no_size(size: Any) -> None:
    with pytest.raises(ValueError, match="frame_size: expected width and height in pixels"):
        vidpose.lift(track(12)[0], size, 30)


def test_public_lift_of_fractions_of_the_image() -> None:
    parts = track(12)[0] / [640, 480]
    parts[3, 4], scores = 1e6, np.ones((12, 17))
    scores[3, 4] = 0  # a missing joint says nothing of the others
    with pytest.raises(ValueError, match="keypoints_2d: expected pixels, got numbers up to 0"):
        vidpose.lift(parts, (640, 480), 30, scores=scores)


def test_rate_and_size_from_numpy(checkpoint: Checkpoint, tmp_path: Path) -> None:
    weights, path = tmp_path / "w.safetensors", tmp_path / "joints.npy"
    save_checkpoint(weights, checkpoint)
    np.save(path, track(12)[0])
    options: Any = {"weights": weights, "device": "cpu", "precision": "fp32"}
    fps: Any = np.float32(30)
    size: Any = np.array([640, 480])
    result = vidpose.lift_file(
        path, tmp_path / "out", skeleton="h36m17", fps=fps, size=size, **options
    )
    again = vidpose.load(tmp_path / "out" / "joints.npz")
    assert again.frame_size == result.frame_size == (640, 480)
    assert again.meta["options"]["fps"] == 30.0
    assert again.meta["options"]["size"] == [640, 480]
