from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from vidpose.metrics import (
    auc,
    auc_per_joint,
    mpjpe,
    mpjpe_per_joint,
    mpjve,
    mpjve_per_joint,
    n_mpjpe,
    n_mpjpe_per_joint,
    p_mpjpe,
    p_mpjpe_per_joint,
    pck,
    pck_per_joint,
    procrustes,
)


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


@pytest.mark.parametrize(
    "predicted",
    [poses(1), poses(2) * [-1, 1, 1], poses(1) * [1, 1, 0], 1e-3 * poses(1), 0.1 * poses(3) + 40],
    ids=["unlike", "mirrored", "flat", "small", "far away"],
)
def test_p_mpjpe_agrees_with_scipy(predicted: NDArray[np.float64]) -> None:
    """Independent computation: rotation from SciPy, scale by least squares."""
    target = poses(2)
    expected = []
    for p, t in zip(predicted, target, strict=True):
        p, t = p - p.mean(0), t - t.mean(0)
        turn, _ = Rotation.align_vectors(t, p)
        turned = turn.apply(p)
        scale = (turned * t).sum() / (turned * turned).sum()
        expected.append(np.linalg.norm(scale * turned - t, axis=1))
    found = p_mpjpe_per_joint(predicted, target)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    assert p_mpjpe(predicted, target) == pytest.approx(np.mean(expected), abs=1e-9)


def test_a_pose_in_one_point_does_not_divide_by_zero() -> None:
    assert np.isfinite(p_mpjpe(np.zeros((1, 17, 3)), poses()[:1]))


def test_n_mpjpe_by_hand() -> None:
    """<t, p> / <p, p> is (2 + 4) / (1 + 4) = 1.2, then 2: the second pose is half as large."""
    target = np.array([[[2, 0, 0], [0, 2, 0]], [[6, 0, 0], [0, 8, 0]]], float)
    predicted = np.array([[[1, 0, 0], [0, 2, 0]], [[3, 0, 0], [0, 4, 0]]], float)
    np.testing.assert_allclose(n_mpjpe_per_joint(predicted, target), [[0.8, 0.4], [0.0, 0.0]])
    assert n_mpjpe(predicted, target) == pytest.approx(0.3)
    assert np.isfinite(n_mpjpe(np.zeros((1, 2, 3)), target[:1]))


def test_n_mpjpe_has_the_best_scale() -> None:
    predicted, target = poses(1), poses(2)
    best = np.square(n_mpjpe_per_joint(predicted, target)).sum(axis=1)
    for factor in np.linspace(-2, 2, 41):
        assert (best <= np.square(mpjpe_per_joint(factor * predicted, target)).sum(axis=1)).all()


def test_mpjve_by_hand() -> None:
    """Displacements are compared, not positions, so a constant offset has no error."""
    target = np.zeros((3, 2, 3))
    target[:, 0, 0] = [0, 1, 2]
    predicted = target + 5
    assert mpjve(predicted, target) == 0
    predicted[1, 1] += [3, 4, 0]
    np.testing.assert_allclose(mpjve_per_joint(predicted, target), [[0, 5], [0, 5]])
    assert mpjve(predicted, target) == 2.5
    with pytest.raises(ValueError, match="two frames"):
        mpjve(predicted[:1], target[:1])


def off_by_m(*distances_m: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """One frame with a joint for each distance: predicted and target, metres."""
    predicted = np.zeros((1, len(distances_m), 3))
    predicted[0, :, 1] = distances_m
    return predicted, np.zeros_like(predicted)


def test_pck_by_hand() -> None:
    predicted, target = off_by_m(0, 0.149, 0.15, 0.3)
    np.testing.assert_array_equal(pck_per_joint(predicted, target), [[100, 100, 0, 0]])
    assert pck(predicted, target) == 50
    assert pck(predicted, target, threshold=0.2) == 75
    assert pck(1000 * predicted, 1000 * target, threshold=150) == 50


def test_auc_by_hand() -> None:
    """Of 0, 5 ... 150 mm, a joint with an error of 12 mm passes the 28 from 15 mm on."""
    predicted, target = off_by_m(0, 0.012, 0.1499, 0.15, 0.3)
    expected = np.array([[30, 28, 1, 0, 0]]) * 100 / 31
    np.testing.assert_allclose(auc_per_joint(predicted, target), expected)
    assert auc(predicted, target) == pytest.approx(100 * 59 / 31 / 5)
    assert auc(1000 * predicted, 1000 * target, threshold=150) == auc(predicted, target)
    thresholds = 0.005 * np.arange(31)
    noisy = poses(1) * 0.1
    mean_pck = np.mean([pck(noisy, 0 * noisy, threshold) for threshold in thresholds])
    assert auc(noisy, 0 * noisy) == pytest.approx(mean_pck)


@pytest.mark.parametrize("metric", [pck, auc])
def test_millimetres_without_a_threshold_are_an_error(metric: Callable[..., float]) -> None:
    target_mm = 300 * poses()
    with pytest.raises(ValueError, match="too large for metres; give the threshold"):
        metric(target_mm, target_mm)
    assert metric(target_mm, target_mm, threshold=150) > 96


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected two arrays \(N, J, 3\)"):
        mpjpe(np.zeros((2, 17, 3)), np.zeros((2, 16, 3)))
    with pytest.raises(ValueError, match="no pose"):
        mpjpe(np.zeros((0, 17, 3)), np.zeros((0, 17, 3)))
