"""Normalisation of 2D joints for the network, and rotation of its output to the camera frame.

Training, evaluation and inference share these functions. A checkpoint names the normalisation it
was trained with. A ray is the direction through a pixel, as its x and y at depth 1:
`(pixel - principal point) / focal length`. The principal point is the image centre.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from vidpose.utils.constants import constant
from vidpose.utils.gaps import interpolate

MIN_DEPTH = 0.1
"""Lower bound of a ray's depth in the rotated camera; below lie outliers far outside the image."""


def fill_gaps(
    joints: Tensor, timestamps: Tensor, *, knows_missing: bool, root: int = 0
) -> tuple[Tensor, Tensor]:
    """Interpolate missing joints in time, and say which the network should see as missing.

    A network with `knows_missing` gets NaN for missing joints, except for the root, which
    centres and scales the person. A joint that is missing in all frames stays NaN.

    Args:
        joints: (..., T, J, D) tracks, NaN where a joint is missing.
        timestamps: (T,) seconds.
        knows_missing: the network's, see `vidpose.models.LiftingModel`.
        root: the root joint.

    Returns:
        The interpolated tracks, and (..., T, J) bool, where to put NaN.
    """
    missing = ~joints.isfinite().all(dim=-1)
    if joints.ndim == 3:  # one track, perhaps an hour long: joint by joint saves memory
        filled = joints.clone()
        for j in missing.any(dim=0).nonzero()[:, 0].tolist():
            filled[:, j : j + 1] = interpolate(joints[:, j : j + 1], timestamps)
    else:
        filled = interpolate(joints, timestamps)
    return filled, missing_inputs(missing, knows_missing=knows_missing, root=root)


def missing_inputs(missing: Tensor, *, knows_missing: bool, root: int = 0) -> Tensor:
    """Select the missing joints, (..., J) bool, that a network gets as NaN; see `fill_gaps`."""
    shown = missing & (torch.arange(missing.shape[-1], device=missing.device) != root)
    return shown if knows_missing else torch.zeros_like(missing)


def look_at(rays: Tensor) -> Tensor:
    """Compute the smallest rotation that brings each ray onto the optical axis.

    Args:
        rays: (..., 2).

    Returns:
        (..., 3, 3), from the camera frame to the rotated camera's frame.
    """
    direction = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)
    a, b, c = (direction / direction.norm(dim=-1, keepdim=True)).unbind(-1)
    k = 1 / (1 + c)
    rows = [1 - a * a * k, -a * b * k, -a, -a * b * k, 1 - b * b * k, -b, a, b, c]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def person_from_rays(
    rays: Tensor, root: int = 0, *, root_always_counts: bool = False
) -> tuple[Tensor, Tensor]:
    """Rotate the camera towards the person and scale them to a size of about one.

    Each frame on its own: the camera is rotated about its centre until the root lies on the
    optical axis, and the image is divided by the mean distance of the other joints from the root.
    The input then does not depend on the person's position and size in the image, but keeps the
    perspective. Joints that are not finite become NaN; without a finite root, the mean of the
    other joints replaces it.

    Args:
        rays: (..., J, 2).
        root: the root joint.
        root_always_counts: compute the mean distance as if the root were always visible.

    Returns:
        inputs (..., J, 2), and the rotations (..., 3, 3) from the camera frame to the rotated
        camera's, in which the network predicts.
    """
    on_axis = rays[..., root, :]
    middle = rays.nanmean(dim=-2).nan_to_num()
    rotation = look_at(torch.where(on_axis.isfinite(), on_axis, middle))
    points = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1) @ rotation.mT
    inputs = points[..., :2] / points[..., 2:].clamp_min(MIN_DEPTH)
    seen = inputs.isfinite().all(dim=-1, keepdim=True)
    inputs = torch.where(seen, inputs, 0)
    distance = inputs.norm(dim=-1).sum(dim=-1)
    roots = 1 if root_always_counts else seen[..., root, 0].long()
    size = distance / (seen[..., 0].sum(dim=-1) - roots).clamp_min(1)
    inputs = inputs / size.clamp_min(1e-6)[..., None, None]
    return inputs.where(seen, math.nan), rotation


Size = tuple[int, int] | Tensor
"""Width and height in pixels; a tensor (2,) in ONNX export."""


def _as_tensor(size: Size, keypoints_px: Tensor) -> Tensor:
    if not isinstance(size, Tensor):
        return constant(tuple(size), keypoints_px.device, keypoints_px.dtype)
    return size.to(keypoints_px)


class Normalisation(Protocol):
    """Takes keypoints (..., J, 2) in pixels, NaN where missing; returns the network's inputs
    (..., J, 2), NaN where missing, and the rotations (..., 3, 3) from the camera frame to the
    frame in which the network predicts.
    """

    def __call__(
        self, keypoints_px: Tensor, frame_size: Size, focal_px: float | Tensor, root: int = 0
    ) -> tuple[Tensor, Tensor]: ...


def person(
    keypoints_px: Tensor,
    frame_size: Size,
    focal_px: float | Tensor,
    root: int = 0,
    *,
    root_always_counts: bool = False,
) -> tuple[Tensor, Tensor]:
    """See `person_from_rays`."""
    size = _as_tensor(frame_size, keypoints_px)
    middle = (size - 1) / 2
    rays = (keypoints_px - middle) / focal_px
    return person_from_rays(rays, root, root_always_counts=root_always_counts)


def screen(
    keypoints_px: Tensor, frame_size: Size, focal_px: float | Tensor, root: int = 0
) -> tuple[Tensor, Tensor]:
    """Scale the image's width to [-1, 1]: x / w * 2 - 1 and y / w * 2 - h / w.

    The paper and the field's benchmarks use it (Pavllo et al., CVPR 2019). The network predicts in
    the camera frame.
    """
    size = _as_tensor(frame_size, keypoints_px)
    inputs = (2 * keypoints_px - size) / size[0]
    seen = inputs.isfinite().all(dim=-1, keepdim=True)
    inputs = inputs.where(seen, math.nan)
    turn = torch.eye(3, dtype=inputs.dtype, device=inputs.device)
    return inputs, turn.expand(*inputs.shape[:-2], 3, 3)


FIRST_PERSON = "person"
"""The first version, for older checkpoints: where the root was missing, the mean distance was over
one joint too few, and missing roots of virtual cameras were not interpolated."""
NORMALISATIONS: dict[str, Normalisation] = {
    "screen": screen,
    "person-2": person,
    FIRST_PERSON: partial(person, root_always_counts=True),
}
"""By their names in checkpoints and recipes."""
