"""Bodies and poses beyond those that were captured: other bone lengths, mixed limbs, mirror images.

B is windows, F frames, J joints (h36m17); metres, world frame.
"""

from __future__ import annotations

import torch
from torch import Tensor

from vidpose.datasets.random_tensors import RandomTensors
from vidpose.skeleton import H36M17

HEIGHT = 1.72
SEGMENTS = {
    # Mean length as a fraction of the body height, and the bones (children) that have it.
    # Fractions: R. Drillis, R. Contini, "Body segment parameters", 1966, as printed in
    # D. Winter, "Biomechanics and Motor Control of Human Movement". The shoulder joint lies
    # about 0.025 of the height inside the acromion, which is what they measured; hips are
    # given as the joint centres that 2D detectors mark.
    "thigh": (0.245, ("RKnee", "LKnee")),
    "shank": (0.246, ("RFoot", "LFoot")),
    "upper arm": (0.186, ("RElbow", "LElbow")),
    "forearm": (0.146, ("RWrist", "LWrist")),
    "shoulder": (0.105, ("RShoulder", "LShoulder")),
    "hip": (0.065, ("RHip", "LHip")),
    "half trunk": (0.144, ("Spine", "Thorax")),
    "neck": (0.135, ("Neck/Nose",)),
    "head": (0.075, ("Head",)),
}


PARTS: tuple[tuple[tuple[str, str], tuple[str, str], tuple[str, ...]], ...] = (
    (
        ("RHip", "LHip"),
        ("Hip", "Spine"),
        (
            *("Spine", "Thorax", "Neck/Nose", "Head"),
            *("LShoulder", "LElbow", "LWrist", "RShoulder", "RElbow", "RWrist"),
        ),
    ),
    (("RHip", "LHip"), ("Hip", "Spine"), ("RKnee", "RFoot")),
    (("RHip", "LHip"), ("Hip", "Spine"), ("LKnee", "LFoot")),
    (("RShoulder", "LShoulder"), ("Spine", "Thorax"), ("RElbow", "RWrist")),
    (("RShoulder", "LShoulder"), ("Spine", "Thorax"), ("LElbow", "LWrist")),
    (("RShoulder", "LShoulder"), ("Spine", "Thorax"), ("Neck/Nose", "Head")),
)
"""What `mix_limbs` takes from other people: the axes across and up the trunk that it is fixed to,
each from one joint to another, and the bones, by the joint at their end."""


def vary_bone_lengths(joints: Tensor, sd: float, random: RandomTensors) -> Tensor:
    """Give every window's person bone lengths of their own, both sides alike."""
    count = len(joints)
    bones = _bones(joints)
    for fraction, names in SEGMENTS.values():
        length = HEIGHT * fraction * random.normal(count).mul(sd).exp()
        for name in names:
            child = H36M17.index(name)
            actual = bones[child].norm(dim=-1).mean(dim=1).clamp_min(1e-3)
            bones[child] = bones[child] * (length / actual)[:, None, None]
    return _joined(joints[..., 0, :], bones)


def mix_limbs(joints: Tensor, share: float, random: RandomTensors) -> Tensor:
    """Give people, part by part, the bones of others, turned with the trunk; (B, F, J, 3)."""
    mixed = random.flag(share, len(joints))
    for across, up, names in PARTS:
        order = random.permutation(len(joints))
        donors = mirror(joints[order], random.flag(0.5, len(joints)))
        turn = _trunk(joints, across, up) @ _trunk(donors, across, up).mT
        bones, theirs = _bones(joints), _bones(donors)
        for child in map(H36M17.index, names):
            bones[child] = (turn @ theirs[child][..., None])[..., 0]
        chosen = mixed & random.flag(0.5, len(joints))
        mixed_joints = _joined(joints[..., 0, :], bones)
        joints = torch.where(chosen[:, None, None, None], mixed_joints, joints)
    return joints


def mirror(joints: Tensor, which: Tensor) -> Tensor:
    """The mirror images of some windows; (B, F, J, 3) and (B,) flags."""
    flipped = joints[..., torch.from_numpy(H36M17.mirrored).to(joints.device), :]
    flipped = flipped * flipped.new_tensor([-1.0, 1.0, 1.0])
    return torch.where(which[:, None, None, None], flipped, joints)


def _bones(joints: Tensor) -> dict[int, Tensor]:
    """(..., J, 3) -> every bone, (..., 3), by the joint at its end."""
    return {child: joints[..., child, :] - joints[..., parent, :] for parent, child in H36M17.bones}


def _joined(root: Tensor, bones: dict[int, Tensor]) -> Tensor:
    """The inverse of `_bones`: the root, (..., 3), and the bones -> (..., J, 3)."""
    out = [root]
    for parent, child in H36M17.bones:  # parents come before their children
        out.append(out[parent] + bones[child])
    return torch.stack(out, dim=-2)


def _trunk(joints: Tensor, across: tuple[str, str], up: tuple[str, str]) -> Tensor:
    """(..., 3, 3), whose columns are the axes of a part of the trunk."""

    def direction(ends: tuple[str, str]) -> Tensor:
        first, last = map(H36M17.index, ends)
        return joints[..., last, :] - joints[..., first, :]

    x = torch.nn.functional.normalize(direction(across), dim=-1)
    z = torch.nn.functional.normalize(torch.linalg.cross(x, direction(up)), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=-1)
