"""Initialising a network with the weights of another one, as far as they fit."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

import torch
from torch import Tensor

from vidpose.errors import UsageError
from vidpose.models.base import LiftingModel
from vidpose.models.checkpoint import Checkpoint
from vidpose.models.widening import can_widen, widened
from vidpose.skeleton import SKELETONS, Skeleton

SAME_JOINTS = {
    ("h36m17", "Hip"): "pelvis",
    ("h36m17", "Head"): "head_top",
    ("h36m17", "Neck/Nose"): "head",
    ("humaneva15", "head"): "head_top",
    ("mpi_inf_3dhp", "neck"): "thorax",
}
"""Common names for joints that skeletons name differently; others match by side and body part."""

SIZES = ("joints", "frames")
"""Axis words whose size is a field of the network's config."""


@torch.no_grad()
def transfer(source: Checkpoint, target: LiftingModel, skeleton: Skeleton) -> list[str]:
    """Copy a checkpoint's weights into a network, in place.

    `LiftingModel.axes` gives the meaning of each tensor axis: one word, or several separated by *,
    of which the first varies slowest. A bias has the first axis of its weight. The words mean:

    - joints: entries are copied to the same joint of the other skeleton; joints that only the
      target has keep their initial weights.
    - frames: entries are interpolated if the number of frames differs.
    - inner: channels inside a block, whose number is proportional to the number of joints. They
      belong to attention heads and not to joints, so with equal numbers of joints they are copied
      as they are. Otherwise they are moved like the joints' channels, which gave a smaller error
      than shrinking every head.
    - a number: the axis has this size. Any other word: the size is the same in both networks.

    If the target is a multiple as wide, the source is widened first, see `widening.py`.

    Args:
        source: the checkpoint to copy from.
        target: the newly initialised network.
        skeleton: skeleton of `target`.

    Returns:
        Sentences for the user: how many tensors were copied, which were adapted, and which keep
        their initial weights.

    Raises:
        UsageError: none was copied.
    """
    model, wider = source.model, can_widen(source.model.config, target.config)
    if wider:
        model = widened(model, target.config.embed_dim)
    theirs, ours = model.state_dict(), target.state_dict()
    frames = source.model.config.frames, target.config.frames
    joints = _same_joints(SKELETONS[source.skeleton], skeleton)
    adapted, anew = [], []
    for name, own in ours.items():
        tensor, axes = theirs.get(name), _axes(target, name, own.ndim)
        if tensor is None or axes != _axes(model, name, tensor.ndim):
            anew.append(name)
            continue
        words = [word for axis in axes for word in axis]
        have, want = _unfolded(tensor, axes, model), _unfolded(own, axes, target)
        if "frames" in words:
            have = _to_frames(have, words.index("frames"), frames[1])
        places = [
            _places(word, sizes, joints, (source.model.config.joints, len(skeleton)))
            for word, sizes in zip(words, zip(have.shape, want.shape, strict=True), strict=True)
        ]
        if any(place is None for place in places):
            anew.append(name)
            continue
        into, out_of = ([place[way] for place in places if place] for way in (1, 0))
        want[_grid(into)] = have[_grid(out_of)]
        moved = source.skeleton != skeleton.name and "joints" in words
        if moved or tensor.shape != own.shape:
            adapted.append(name)
    if len(anew) == len(ours):
        raise UsageError(
            f"{source.path or 'the network'} has no weights that fit this network, so --init-from "
            "has no effect; leave it out, or choose another --model."
        )
    sentences = [
        f"Initialised {len(ours) - len(anew)} of {len(ours)} tensors from "
        f"{source.path or 'a network'} ({source.skeleton}, {frames[0]} frames; this run: "
        f"{skeleton.name}, {frames[1]} frames)."
    ]
    if wider:
        sentences.append(
            f"Widened from {source.model.config.embed_dim} to {target.config.embed_dim} channels; "
            "the poses stay the same at first."
        )
    for what, names in (("Adapted", adapted), ("Newly initialised", anew)):
        if names:
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            sentences.append(f"{what}: {', '.join(names[:4])}{more}.")
    return sentences


def _same_joints(source: Skeleton, target: Skeleton) -> list[int]:
    """For each joint of the target, its index in the source; -1 if the source has none."""
    theirs = [_plain(source, name) for name in source.joint_names]
    return [
        theirs.index(name) if name in theirs else -1
        for name in (_plain(target, name) for name in target.joint_names)
    ]


def _plain(skeleton: Skeleton, joint: str) -> str:
    """Bring a joint's name to one spelling for all skeletons: LFoot becomes left_ankle."""
    joint = SAME_JOINTS.get((skeleton.name, joint), joint)
    joint = re.sub("^L(?=[A-Z])", "left_", re.sub("^R(?=[A-Z])", "right_", joint)).lower()
    return joint.replace("foot", "ankle")


def _axes(model: LiftingModel, name: str, count: int) -> list[list[str]]:
    """Look up the words of each of a tensor's `count` axes."""
    for pattern, axes in model.axes.items():
        if fnmatchcase(name, pattern):
            return [axis.split("*") for axis in axes.split()[:count]]
    return [["plain"]] * count


def _unfolded(tensor: Tensor, axes: list[list[str]], model: LiftingModel) -> Tensor:
    """Reshape a tensor to one axis per word."""
    for dim in reversed(range(tensor.ndim)):
        sizes = [
            int(word) if word.isdigit() else getattr(model.config, word) if word in SIZES else -1
            for word in axes[dim]
        ]
        tensor = tensor.unflatten(dim, sizes)
    return tensor


def _to_frames(tensor: Tensor, dim: int, frames: int) -> Tensor:
    """Interpolate an axis of frames; a window of one frame takes the centre frame."""
    last = tensor.movedim(dim, -1)
    if last.shape[-1] == frames:
        return tensor
    flat = last.reshape(1, -1, last.shape[-1])
    flat = (
        flat[..., [last.shape[-1] // 2]]
        if frames == 1
        else torch.nn.functional.interpolate(flat, frames, mode="linear", align_corners=True)
    )
    return flat.reshape(*last.shape[:-1], frames).movedim(-1, dim)


def _places(
    word: str, sizes: tuple[int, int], joints: list[int], counts: tuple[int, int]
) -> tuple[Tensor, Tensor] | None:
    """Source and target indices of the entries to copy along an axis; None if it does not fit.

    Args:
        word: the axis's word, see `transfer`.
        sizes: sizes of the axis in source and target.
        joints: see `_same_joints`.
        counts: numbers of joints in source and target.
    """
    there = [j for j, joint in enumerate(joints) if joint >= 0]
    known = torch.tensor([joints[j] for j in there]), torch.tensor(there)
    if word == "joints":
        return known
    if sizes[0] == sizes[1]:
        return torch.arange(sizes[0]), torch.arange(sizes[1])
    each = sizes[0] // counts[0]
    if word == "inner" and sizes == (counts[0] * each, counts[1] * each):
        theirs, ours = ((j[:, None] * each + torch.arange(each)).flatten() for j in known)
        return theirs, ours
    return None


def _grid(places: list[Tensor]) -> tuple[Tensor, ...]:
    """Broadcast indices along each axis, as `numpy.ix_` does."""
    return tuple(p.reshape(-1, *[1] * (len(places) - 1 - i)) for i, p in enumerate(places))
