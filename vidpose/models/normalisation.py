"""How 2D joints become the network's input, and its output the camera frame again.

Training, evaluation and inference share the functions here, so that they cannot differ. A
checkpoint names the normalisation that it was trained with. Rays are x and y of the direction
through a pixel at depth 1, `(pixel - principal point) / focal length`; the principal point is the
middle of the picture.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from vidpose.utils.constants import constant
from vidpose.utils.gaps import interpolate

NEAREST_DEPTH = 0.1
"""A ray this flat against the turned camera, an outlier far outside the picture, is cut off."""


def fill_gaps(
    joints: Tensor, timestamps: Tensor, *, knows_missing: bool, root: int = 0
) -> tuple[Tensor, Tensor]:
    """What a network is fed with where joints are missing: all are interpolated in time.

    A network that knows of missing joints sees NaN there; except for the root, around which the
    person is turned and sized. A joint that is never there stays NaN.

    Args:
        joints: (..., T, J, D) tracks, NaN where a joint is missing.
        timestamps: (T,) seconds.
        knows_missing: the network's, see `vidpose.models.LiftingModel`.
        root: the root joint.

    Returns:
        The tracks without gaps, and (..., T, J) bool, where to put NaN.
    """
    missing = ~joints.isfinite().all(dim=-1)
    if joints.ndim == 3:  # one track, perhaps an hour long: joint by joint takes little memory
        filled = joints.clone()
        for j in missing.any(dim=0).nonzero()[:, 0].tolist():
            filled[:, j : j + 1] = interpolate(joints[:, j : j + 1], timestamps)
    else:
        filled = interpolate(joints, timestamps)
    return filled, shown_missing(missing, knows_missing=knows_missing, root=root)


def shown_missing(missing: Tensor, *, knows_missing: bool, root: int = 0) -> Tensor:
    """Which of the missing joints, (..., J) bool, a network sees as such; see `fill_gaps`."""
    shown = missing & (torch.arange(missing.shape[-1], device=missing.device) != root)
    return shown if knows_missing else torch.zeros_like(missing)


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


def person_from_rays(
    rays: Tensor, root: int = 0, *, root_always_counts: bool = False
) -> tuple[Tensor, Tensor]:
    """The person as a camera turned towards them would see them, at a size of about one.

    Every frame stands for itself: a camera of the same place is turned so that the root joint
    is on its axis, and the picture is divided by the mean distance of the other joints from the
    root. Where the person is in the picture and how large thus does not matter, while perspective
    is kept. Joints that are not finite become NaN; where the root itself is not finite, the
    middle of the others stands in for it.

    Args:
        rays: (..., J, 2).
        root: the root joint.
        root_always_counts: divide as if the root were among the joints that are there.

    Returns:
        inputs (..., J, 2) and the rotations (..., 3, 3) from the camera frame to the turned
        camera's, in which the network then gives its answer.
    """
    on_axis = rays[..., root, :]
    middle = rays.nanmean(dim=-2).nan_to_num()
    rotation = look_at(torch.where(on_axis.isfinite(), on_axis, middle))
    points = torch.cat([rays, torch.ones_like(rays[..., :1])], dim=-1) @ rotation.mT
    inputs = points[..., :2] / points[..., 2:].clamp_min(NEAREST_DEPTH)
    seen = inputs.isfinite().all(dim=-1, keepdim=True)
    inputs = torch.where(seen, inputs, 0)
    distance = inputs.norm(dim=-1).sum(dim=-1)
    roots = 1 if root_always_counts else seen[..., root, 0].long()
    size = distance / (seen[..., 0].sum(dim=-1) - roots).clamp_min(1)
    inputs = inputs / size.clamp_min(1e-6)[..., None, None]
    return inputs.where(seen, math.nan), rotation


Size = tuple[int, int] | Tensor
"""Width and height in pixels; a tensor (2,) in networks for other runtimes."""


def _as_tensor(size: Size, keypoints_px: Tensor) -> Tensor:
    if not isinstance(size, Tensor):
        return constant(tuple(size), keypoints_px.device, keypoints_px.dtype)
    return size.to(keypoints_px)


class Normalisation(Protocol):
    """(..., J, 2) pixels, NaN where a joint is missing, to the network's inputs (..., J, 2), NaN
    there, too; and the rotations (..., 3, 3) from the camera frame to the one in which it then
    gives its answer.
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
    """The picture as it is, its width from -1 to 1: x / w * 2 - 1 and y / w * 2 - h / w.

    What the paper and the field's benchmarks use (Pavllo et al., CVPR 2019). The answer is in the
    camera frame.
    """
    size = _as_tensor(frame_size, keypoints_px)
    inputs = (2 * keypoints_px - size) / size[0]
    seen = inputs.isfinite().all(dim=-1, keepdim=True)
    inputs = inputs.where(seen, math.nan)
    turn = torch.eye(3, dtype=inputs.dtype, device=inputs.device)
    return inputs, turn.expand(*inputs.shape[:-2], 3, 3)


FIRST_PERSON = "person"
"""As the first checkpoints were trained: without a root, the size was that of one joint too many,
and the virtual cameras' missing roots were not interpolated."""
NORMALISATIONS: dict[str, Normalisation] = {
    "screen": screen,
    "person-2": person,
    FIRST_PERSON: partial(person, root_always_counts=True),
}
"""By the names in checkpoints and recipes."""
