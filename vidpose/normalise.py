"""How 2D joints become the network's input, and its output the camera frame again.

A checkpoint names the way it was trained with; training and inference share the functions here,
so that they cannot drift apart. Image coordinates are rays: x and y of the direction through a
pixel at depth 1, `(pixel - principal point) / focal length`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

ROOT = 0
NEAREST_DEPTH = 0.1
"""A ray this flat against the turned camera, an outlier far outside the picture, is cut off."""


def look_at(rays: Tensor) -> Tensor:
    """The smallest rotation that brings each ray onto the optical axis.

    Args:
        rays: (..., 2).

    Returns:
        (..., 3, 3), camera frame to the turned camera's frame.
    """
    direction = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1)
    a, b, c = (direction / direction.norm(dim=-1, keepdim=True)).unbind(-1)
    k = 1 / (1 + c)
    rows = [1 - a * a * k, -a * b * k, -a, -a * b * k, 1 - b * b * k, -b, a, b, c]
    return torch.stack(rows, dim=-1).unflatten(-1, (3, 3))


def person(rays: Tensor) -> tuple[Tensor, Tensor]:
    """The person as a camera turned towards them would see them, at a size of about one.

    Every frame stands for itself: a camera of the same place is turned so that the root joint
    is on its axis, and the picture is divided by the mean distance of the joints from the root.
    Where the person is in the picture and how large thus does not matter, while perspective
    is kept. Joints that are not finite lie on the root; where the root itself is not, the
    middle of the others stands in for it.

    Args:
        rays: (..., J, 2).

    Returns:
        inputs (..., J, 2) and the rotations (..., 3, 3) from the camera frame to the turned
        camera's, in which the network then gives its answer.
    """
    root = rays[..., ROOT, :]
    middle = rays.nanmean(dim=-2).nan_to_num()
    rotation = look_at(torch.where(root.isfinite(), root, middle))
    points = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1) @ rotation.mT
    inputs = points[..., :2] / points[..., 2:].clamp_min(NEAREST_DEPTH)
    seen = inputs.isfinite().all(dim=-1, keepdim=True)
    inputs = torch.where(seen, inputs, 0)
    distance = inputs.norm(dim=-1).sum(dim=-1)
    size = distance / (seen[..., 0].sum(dim=-1) - 1).clamp_min(1)
    return inputs / size.clamp_min(1e-6)[..., None, None], rotation


NORMALISATIONS: dict[str, Callable[[Tensor], tuple[Tensor, Tensor]]] = {"person": person}
