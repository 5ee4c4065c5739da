"""What a step makes smaller: the paper's loss, and what a recipe adds to it."""

from __future__ import annotations

import torch
from torch import Tensor

from vidpose.training.recipe import Recipe


def losses(predicted: Tensor, target: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """The paper's loss, MPJPE of the root-relative pose (Eq. 8), and the recipe's.

    Args:
        predicted, target: (B, F, J, 3) poses, metres.
        recipe: says how much the same error counts of the velocities, and of the poses after
            Procrustes alignment.

    Returns:
        The two, means over frames and joints, summed over the windows.
    """
    error = predicted - target
    mpjpe_m = loss = _mean_distance(error)
    if recipe.procrustes:
        loss = loss + recipe.procrustes * _mean_distance(procrustes_error(predicted, target))
    if recipe.velocity and error.shape[1] > 1:
        loss = loss + recipe.velocity * _mean_distance(error.diff(dim=1))
    return mpjpe_m, loss


def _mean_distance(error: Tensor) -> Tensor:
    return error.norm(dim=-1).mean(dim=(1, 2)).sum()


def procrustes_error(predicted: Tensor, target: Tensor) -> Tensor:
    """(..., J, 3) twice -> what is left once each pose is moved, turned and scaled to fit.

    As `vidpose.metrics.procrustes`, where the source is, on any device and with a gradient. The
    similarity that was found counts as given for the gradient, which is exact for the sum of
    squares that it makes least, and nearly so for the mean distance.
    """
    predicted = predicted - predicted.mean(dim=-2, keepdim=True)
    target = target - target.mean(dim=-2, keepdim=True)
    with torch.no_grad():
        # A pose that is no number shows in the loss.
        u, singular, vt = torch.linalg.svd(target.mT @ predicted.nan_to_num(0, 0, 0))
        handed = torch.ones_like(singular)
        handed[..., -1] = torch.det(u @ vt).sign()  # mirror images are not allowed
        rotation = (u * handed[..., None, :]) @ vt
        spread = predicted.square().sum(dim=(-2, -1)).clamp_min(1e-9)
        scale = (singular * handed).sum(dim=-1) / spread
    return scale[..., None, None] * predicted @ rotation.mT - target
