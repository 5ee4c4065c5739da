"""Beginning with the weights of another network, as far as they fit."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from vidpose.models.base import LiftingModel
from vidpose.models.checkpoint import Checkpoint
from vidpose.skeleton import SKELETONS, Skeleton

SAME_JOINTS = {
    ("h36m17", "Hip"): "pelvis",
    ("h36m17", "Head"): "head_top",
    ("h36m17", "Neck/Nose"): "head",
    ("humaneva15", "head"): "head_top",
    ("mpi_inf_3dhp", "neck"): "thorax",
}
"""Joints that skeletons call by different names; others are recognised by side and part."""


@torch.no_grad()
def transfer(source: Checkpoint, target: LiftingModel, skeleton: Skeleton) -> list[str]:
    """Copy a checkpoint's weights into a network, in place.

    Tensors of the same shape are copied. Where the number of frames differs, what there is one of
    per frame (position embeddings, the weights of the mean) is interpolated. Where the skeletons
    differ, a joint's channels go to the same joint of the other one; joints that only the target
    has keep their initial weights.

    Args:
        source: the checkpoint.
        target: the network, freshly made.
        skeleton: whose joints `target` is for.

    Returns:
        Sentences for the user: what was taken over, what was adapted, what begins anew.
    """
    theirs, ours = source.model.state_dict(), target.state_dict()
    frames = source.model.config.frames, target.config.frames
    joints = _same_joints(SKELETONS[source.skeleton], skeleton)
    sizes = len(SKELETONS[source.skeleton]), len(skeleton)
    adapted, anew = [], []
    for name, own in ours.items():
        tensor = theirs.get(name)
        if tensor is None or tensor.ndim != own.ndim:
            anew.append(name)
            continue
        resized = _to_frames(tensor, own, frames)
        places = [
            _places(have, want, joints, sizes, _channels(target))
            for have, want in zip(resized.shape, own.shape, strict=True)
        ]
        if any(place is None for place in places):
            anew.append(name)
            continue
        into = torch.meshgrid(*(place[1] for place in places if place), indexing="ij")
        out_of = torch.meshgrid(*(place[0] for place in places if place), indexing="ij")
        own[into] = resized[out_of] if own.ndim else resized
        if tensor.shape != own.shape or source.skeleton != skeleton.name:
            adapted.append(name)
    sentences = [
        f"The start are the weights of {source.path or 'a network'} ({source.skeleton}, "
        f"{frames[0]} frames; this run: {skeleton.name}, {frames[1]} frames): "
        f"{len(ours) - len(anew)} of {len(ours)} tensors."
    ]
    for what, names in (("Adapted to the other size", adapted), ("Begin anew", anew)):
        if names:
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            sentences.append(f"{what}: {', '.join(names[:4])}{more}.")
    return sentences


def _same_joints(source: Skeleton, target: Skeleton) -> list[int]:
    """For every joint of the target the source's, -1 where it has none."""
    theirs = [_plain(source, name) for name in source.joint_names]
    return [
        theirs.index(name) if name in theirs else -1
        for name in (_plain(target, name) for name in target.joint_names)
    ]


def _plain(skeleton: Skeleton, joint: str) -> str:
    """One spelling for the joints of all skeletons: LFoot and left_ankle are one."""
    joint = SAME_JOINTS.get((skeleton.name, joint), joint)
    joint = re.sub("^L(?=[A-Z])", "left_", re.sub("^R(?=[A-Z])", "right_", joint)).lower()
    return joint.replace("foot", "ankle")


def _channels(model: LiftingModel) -> int:
    return int(getattr(model.config, "embed_dim", 1))


def _to_frames(tensor: Tensor, own: Tensor, frames: tuple[int, int]) -> Tensor:
    """Interpolate the axis that counts frames, if there is one and it differs; the frame of a
    window of one is the centre's.
    """
    for dim, sizes in enumerate(zip(tensor.shape, own.shape, strict=True)):
        if frames[0] != frames[1] and sizes == frames:
            last = tensor.movedim(dim, -1)
            flat = last.reshape(1, -1, frames[0])
            flat = (
                flat[..., [frames[0] // 2]]
                if frames[1] == 1
                else torch.nn.functional.interpolate(
                    flat, frames[1], mode="linear", align_corners=True
                )
            )
            tensor = flat.reshape(*last.shape[:-1], frames[1]).movedim(-1, dim)
    return tensor


def _places(
    have: int, want: int, joints: list[int], sizes: tuple[int, int], channels: int
) -> tuple[Tensor, Tensor] | None:
    """Which entries of an axis to take, and where to put them; None if it does not fit.

    Axes that hold joints are groups x joints x channels: features are ordered by joint, and an
    attention's queries, keys and values are three groups. A joint has one entry in a position
    embedding, three in the output, `channels` elsewhere.
    """
    for each in (1, 3, channels):
        groups = have // (sizes[0] * each)
        alone = each == channels or groups == 1
        if groups and have == groups * sizes[0] * each and alone:
            if want != groups * sizes[1] * each:
                return None
            there = [j for j, joint in enumerate(joints) if joint >= 0]
            source = torch.tensor([joints[j] for j in there])
            return (
                _entries(source, groups, sizes[0], each),
                _entries(torch.tensor(there), groups, sizes[1], each),
            )
    return (torch.arange(want), torch.arange(want)) if have == want else None


def _entries(joints: Tensor, groups: int, count: int, each: int) -> Tensor:
    group, channel = torch.arange(groups), torch.arange(each)
    places = group[:, None, None] * count + joints[None, :, None]
    return (places * each + channel).flatten()
