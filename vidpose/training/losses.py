"""Training losses: the paper's MPJPE, and the terms that a recipe adds."""

from __future__ import annotations

import torch
from torch import Tensor

from vidpose.training.recipe import Recipe


def losses(predicted: Tensor, target: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Compute the paper's loss, MPJPE of the root-relative pose (Eq. 8), and the recipe's loss.

    Args:
        predicted, target: (B, F, J, 3) poses, metres.
        recipe: its `velocity` and `procrustes` weight the error of joint velocities, and the error
            after Procrustes alignment.

    Returns:
        Both losses, averaged over frames and joints and summed over windows.
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
    """Compute the residual (..., J, 3) after Procrustes alignment of each pose.

    Like `vidpose.metrics.procrustes` (see there for the source), on any device and differentiable.
    The alignment is treated as constant in the gradient, which is exact for the sum of squares
    that it minimises, and a close approximation for the mean distance.
    """
    predicted = predicted - predicted.mean(dim=-2, keepdim=True)
    target = target - target.mean(dim=-2, keepdim=True)
    with torch.no_grad():
        # A non-finite pose still makes the loss non-finite.
        between = target.mT @ predicted.nan_to_num(0, 0, 0)
        rotation = best_rotation(between)
        spread = predicted.square().sum(dim=(-2, -1)).clamp_min(1e-9)
        scale = (between * rotation).sum(dim=(-2, -1)) / spread
    return scale[..., None, None] * predicted @ rotation.mT - target


SQUARINGS = 20
"""Number of squarings in `best_rotation`. It separates eigenvalues that differ by 2e-5; between
closer ones the choice does not matter."""


def best_rotation(between: Tensor) -> Tensor:
    """(..., 3, 3) A -> the proper rotations R that maximise the trace of R^T A.

    B. Horn, "Closed-form solution of absolute orientation using unit quaternions", 1987: the
    quaternion is the eigenvector of the largest eigenvalue of a 4x4 matrix, found here by repeated
    squaring. (A singular value decomposition gives the same result, but synchronises with the GPU
    to check convergence, and is slower on a CPU.)
    """
    xx, xy, xz, yx, yy, yz, zx, zy, zz = between.double().flatten(-2).unbind(-1)
    rows = [
        *(xx + yy + zz, zy - yz, xz - zx, yx - xy),
        *(zy - yz, xx - yy - zz, xy + yx, xz + zx),
        *(xz - zx, xy + yx, yy - xx - zz, yz + zy),
        *(yx - xy, xz + zx, yz + zy, zz - xx - yy),
    ]
    power = torch.stack(rows, dim=-1).unflatten(-1, (4, 4))
    # Shift the eigenvalues to 0 and above; a zero matrix then also gives a rotation.
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
