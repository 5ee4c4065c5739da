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
        between = target.mT @ predicted.nan_to_num(0, 0, 0)
        rotation = best_rotation(between)
        spread = predicted.square().sum(dim=(-2, -1)).clamp_min(1e-9)
        scale = (between * rotation).sum(dim=(-2, -1)) / spread
    return scale[..., None, None] * predicted @ rotation.mT - target


SQUARINGS = 20
"""Of `best_rotation`: eigenvalues that are 2e-5 apart are told apart; of closer ones it makes no
difference which is taken."""


def best_rotation(between: Tensor) -> Tensor:
    """(..., 3, 3) A -> the rotations R, never mirror images, that make the trace of R^T A greatest.

    B. Horn, "Closed-form solution of absolute orientation using unit quaternions", 1987: the
    quaternion is the eigenvector of the greatest eigenvalue of a 4 by 4 matrix. It is what all
    columns of a high power of the matrix point along. (A singular value decomposition gives the
    same, but a GPU is waited for to hear whether it converged; and on a CPU takes longer.)
    """
    xx, xy, xz, yx, yy, yz, zx, zy, zz = between.double().flatten(-2).unbind(-1)
    rows = [
        *(xx + yy + zz, zy - yz, xz - zx, yx - xy),
        *(zy - yz, xx - yy - zz, xy + yx, xz + zx),
        *(xz - zx, xy + yx, yy - xx - zz, yz + zy),
        *(yx - xy, xz + zx, yz + zy, zz - xx - yy),
    ]
    power = torch.stack(rows, dim=-1).unflatten(-1, (4, 4))
    # Shifted, so that no eigenvalue is below 0; and of nothing at all a rotation, too.
    size = power.norm(dim=(-2, -1), keepdim=True).clamp_min(1e-30)
    power = power / size + torch.eye(4, dtype=power.dtype, device=power.device)
    for _ in range(SQUARINGS):
        power = power @ power
        power = power / power.norm(dim=(-2, -1), keepdim=True)
    longest = power.norm(dim=-2).argmax(dim=-1)[..., None, None]
    quaternion = power.take_along_dim(longest, dim=-1)[..., 0]
    w, x, y, z = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3)).to(between.dtype)
