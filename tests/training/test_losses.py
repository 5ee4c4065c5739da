from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.runs import TINY
from vidpose.metrics import procrustes
from vidpose.training.losses import best_rotation, losses, procrustes_error


def test_the_velocity_loss_has_the_recipes_weight() -> None:
    off = torch.tensor(0.1, requires_grad=True)
    predicted, targets = torch.zeros(3, 4, 17, 3), torch.zeros(3, 4, 17, 3)
    # Every other frame is off by 0.1 m: 0.05 m on average, the velocity by 0.1 m.
    predicted[:, ::2, :, 0] += off
    for velocity in (0.0, 2.0):
        mpjpe_m, loss = losses(predicted, targets, replace(TINY, velocity=velocity))
        assert mpjpe_m.item() == pytest.approx(3 * 0.05)
        (slope,) = torch.autograd.grad(loss, off, retain_graph=True)
        assert slope.item() == pytest.approx(3 * (0.5 + velocity))
    single, _ = losses(predicted[:, :1], targets[:, :1], replace(TINY, velocity=2.0))
    assert single.item() == pytest.approx(0.3)


def test_the_procrustes_loss_equals_the_metric() -> None:
    rng = np.random.default_rng(0)
    target = rng.normal(size=(6, 17, 3))
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    predicted = 0.5 * (target + 0.3 * rng.normal(size=target.shape)) @ turn + 2.0
    predicted[3:, :, 0] *= -1  # one half as in a mirror
    left = procrustes_error(torch.from_numpy(predicted), torch.from_numpy(target))
    wanted = procrustes(predicted, target) - target
    np.testing.assert_allclose(left - left.mean(1, keepdim=True), wanted, atol=1e-9)
    sizes = np.linalg.norm(wanted, axis=-1).mean(1)
    assert abs(sizes[:3].mean() - sizes[3:].mean()) > 0.2

    nothing = torch.full((1, 17, 3), torch.nan)
    assert procrustes_error(nothing, torch.zeros(1, 17, 3)).isnan().all()

    poses = torch.from_numpy(predicted).requires_grad_()
    procrustes_error(poses, torch.from_numpy(target)).square().sum().backward()
    step = 1e-6 * torch.from_numpy(rng.normal(size=predicted.shape))
    ends = [
        procrustes_error(poses.detach() + way * step, torch.from_numpy(target)) for way in (1, -1)
    ]
    assert poses.grad is not None
    slope = (ends[0].square().sum() - ends[1].square().sum()) / 2
    assert (poses.grad * step).sum().item() == pytest.approx(slope.item(), rel=1e-4)


def test_the_best_rotation_is_found_for_degenerate_poses() -> None:
    """Coplanar, collinear, coincident, mirrored: as good as a singular value decomposition."""
    torch.manual_seed(0)
    ours = torch.randn(40, 17, 3)
    ours[10:20, :, 2] = 0
    ours[20:25, :, 1:] = 0
    ours[25:28] = 0
    theirs = torch.randn(40, 17, 3)
    theirs[28:] = -ours[28:]
    for size in (1e-6, 1.0, 1e6):
        between = theirs.mT @ ours * size
        rotation = best_rotation(between)
        same = torch.eye(3).expand_as(rotation)
        torch.testing.assert_close(rotation @ rotation.mT, same, atol=1e-5, rtol=0)
        assert (torch.linalg.det(rotation) > 0).all()
        singular = torch.linalg.svdvals(between)
        u, _, vt = torch.linalg.svd(between)
        singular[:, 2] *= torch.linalg.det(u @ vt).sign()
        found = (between * rotation).sum(dim=(1, 2))
        torch.testing.assert_close(found, singular.sum(1), atol=1e-5 * size, rtol=1e-4)


def test_the_procrustes_loss_has_the_recipes_weight() -> None:
    torch.manual_seed(0)
    predicted, wanted = torch.randn(2, 4, 3, 17, 3)
    plain, loss = losses(predicted, wanted, replace(TINY, procrustes=2.0))
    left = procrustes_error(predicted, wanted).norm(dim=-1)
    assert plain.item() == pytest.approx(4 * (predicted - wanted).norm(dim=-1).mean().item())
    assert loss.item() == pytest.approx(plain.item() + 2 * 4 * left.mean().item())
