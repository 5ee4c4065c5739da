import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vidpose.metrics import mpjpe, mpjpe_per_joint, p_mpjpe, p_mpjpe_per_joint, procrustes


def poses(seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(8, 17, 3))


def test_mpjpe_by_hand() -> None:
    target = np.zeros((2, 2, 3))
    predicted = np.array([[[3, 4, 0], [0, 0, 0]], [[0, 0, 1], [0, 2, 0]]], float)
    np.testing.assert_allclose(mpjpe_per_joint(predicted, target), [[5, 0], [1, 2]])
    assert mpjpe(predicted, target) == 2.0


def test_p_mpjpe_is_blind_to_similarities() -> None:
    target = poses()
    turn = Rotation.random(8, random_state=1).as_matrix()
    moved = 1.7 * target @ turn + np.arange(24).reshape(8, 1, 3)
    assert p_mpjpe(moved, target) < 1e-12
    assert mpjpe(moved, target) > 1


def test_p_mpjpe_does_not_mirror() -> None:
    target = poses()
    mirrored = target * [-1, 1, 1]
    assert p_mpjpe(mirrored, target) > 0.3
    aligned = procrustes(mirrored, target)
    # Aligned by a proper rotation: the handedness of three bones is still the mirrored one's.
    assert (
        np.sign(np.linalg.det(aligned[:, 1:4] - aligned[:, :1]))
        == np.sign(np.linalg.det(mirrored[:, 1:4] - mirrored[:, :1]))
    ).all()


def test_p_mpjpe_agrees_with_scipy() -> None:
    """An independent computation: SciPy's rotation, the scale by least squares."""
    predicted, target = poses(1), poses(2)
    expected = []
    for p, t in zip(predicted, target, strict=True):
        p, t = p - p.mean(0), t - t.mean(0)
        turn, _ = Rotation.align_vectors(t, p)
        turned = turn.apply(p)
        scale = (turned * t).sum() / (turned * turned).sum()
        expected.append(np.linalg.norm(scale * turned - t, axis=1))
    np.testing.assert_allclose(p_mpjpe_per_joint(predicted, target), expected, atol=1e-9)


def test_a_pose_in_one_point_is_no_division_by_zero() -> None:
    assert np.isfinite(p_mpjpe(np.zeros((1, 17, 3)), poses()[:1]))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected two arrays \(N, J, 3\)"):
        mpjpe(np.zeros((2, 17, 3)), np.zeros((2, 16, 3)))
    with pytest.raises(ValueError, match="no pose"):
        mpjpe(np.zeros((0, 17, 3)), np.zeros((0, 17, 3)))
