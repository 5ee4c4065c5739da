"""Augmentation of motion capture: other bodies, combined limbs, mirror images, orientations.

B is windows, F frames, J joints (h36m17); metres, world frame.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from vidpose.datasets.random_tensors import RandomTensors
from vidpose.skeleton import H36M17
from vidpose.utils.constants import constant

HEIGHT = 1.72
SEGMENTS = {
    # Mean length as a fraction of the body height, and the bones (by child joint) that have it.
    # Fractions: R. Drillis, R. Contini, "Body segment parameters", 1966, as printed in
    # D. Winter, "Biomechanics and Motor Control of Human Movement". The shoulder joint lies
    # about 0.025 of the height inside the acromion, which they measured; hips are the joint
    # centres that 2D detectors mark.
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

PEOPLE = {
    # Of ten people of UI-PRMD (Vakanski et al., Data 3(1):2, 2018), by `benchmarks/body_shapes.py`:
    # mean length as a fraction of the body height, and the standard deviation of its logarithm.
    "thigh": (0.233, 0.048),
    "shank": (0.225, 0.028),
    "upper arm": (0.172, 0.026),
    "forearm": (0.133, 0.068),
    "shoulder": (0.084, 0.069),
    "hip": (0.060, 0.101),
    "half trunk": (0.156, 0.045),
    "neck": (0.146, 0.027),
    "head": (0.073, 0.070),
}
"""`SEGMENTS` measured on real people. Trunks are longer and limbs shorter than published, in part
because hip and shoulder joints are placed differently."""
CORRELATION = (
    (1.0, 0.4, -0.1, -0.1, 0.1, -0.8, -0.9, -0.3, 0.0),
    (0.4, 1.0, 0.2, 0.5, 0.6, 0.0, -0.5, -0.6, -0.3),
    (-0.1, 0.2, 1.0, 0.6, 0.2, -0.1, -0.1, 0.1, 0.1),
    (-0.1, 0.5, 0.6, 1.0, 0.6, 0.1, 0.0, 0.2, -0.5),
    (0.1, 0.6, 0.2, 0.6, 1.0, 0.2, -0.2, -0.2, -0.2),
    (-0.8, 0.0, -0.1, 0.1, 0.2, 1.0, 0.9, -0.1, -0.3),
    (-0.9, -0.5, -0.1, 0.0, -0.2, 0.9, 1.0, 0.2, -0.2),
    (-0.3, -0.6, 0.1, 0.2, -0.2, -0.1, 0.2, 1.0, -0.1),
    (0.0, -0.3, 0.1, -0.5, -0.2, -0.3, -0.2, -0.1, 1.0),
)
"""Correlation of the logarithms in `PEOPLE`, in its order. Higher hips: longer thighs, shorter
trunks."""
SHRINKAGE = 0.4
"""Shrinkage of the correlations towards 0, because they are estimated from ten people."""
HEIGHT_SD = 0.04
SIDE_SD = 0.02
"""Standard deviation of one side's length (logarithm): left and right differ."""

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
"""Body parts that `mix_limbs` takes from other people: the trunk's axes (across and up, each from
one joint to another) that the part is attached to, and its bones by child joint."""

GIRDLES: dict[tuple[tuple[str, str], tuple[str, str]], tuple[tuple[str, ...], ...]] = {
    (("RHip", "LHip"), ("Hip", "Spine")): (("RHip", "LHip"), ("Spine", "Thorax")),
    (("RShoulder", "LShoulder"), ("Spine", "Thorax")): (
        ("RShoulder", "LShoulder"),
        ("Neck/Nose",),
        ("Head",),
    ),
}
"""Groups of bones that `turn_girdles` tilts together, by the trunk's axes that define the tilt."""


def vary_bone_lengths(joints: Tensor, sd: float, random: RandomTensors) -> Tensor:
    """Give each window's person random bone lengths, equal on both sides."""
    count = len(joints)
    bones = _bones(joints)
    for fraction, names in SEGMENTS.values():
        length = HEIGHT * fraction * random.normal(count).mul(sd).exp()
        for name in names:
            child = H36M17.index(name)
            bones[child] = _of_length(bones[child], length)
    return _joined(joints[..., 0, :], bones)


def draw_bodies(joints: Tensor, spread: float, random: RandomTensors) -> Tensor:
    """Give each window's person a random realistic body; (B, F, J, 3).

    Bone lengths are drawn from a correlated distribution. Its mean lies between `PEOPLE` and the
    published `SEGMENTS`, to cover both conventions of joint placement.

    Args:
        joints: the motion, with any body.
        spread: scale of the standard deviations of `PEOPLE`.
        random: source of randomness.
    """
    count = len(joints)
    means, sds = zip(*PEOPLE.values(), strict=True)
    correlation = constant(CORRELATION, joints.device)
    correlation = correlation.lerp(torch.eye(len(PEOPLE), device=joints.device), SHRINKAGE)
    # Not `cholesky`, which synchronises with the GPU to check for errors.
    factor = torch.linalg.cholesky_ex(correlation).L
    factor = factor * (spread * constant(sds, joints.device))[:, None]
    people = constant(means, joints.device).log()
    published = constant(tuple(mean for mean, _ in SEGMENTS.values()), joints.device).log()
    mean = torch.lerp(people, published, random.uniform((0.0, 1.0), count, 1))
    height = math.log(HEIGHT) + HEIGHT_SD * random.normal(count, 1)
    lengths = (height + mean + random.normal(count, len(PEOPLE)) @ factor.mT).exp()
    bones = _bones(joints)
    for length, (_, names) in zip(lengths.unbind(1), SEGMENTS.values(), strict=True):
        for name in names:
            child = H36M17.index(name)
            side = length * random.normal(count).mul(SIDE_SD).exp() if name[0] in "RL" else length
            bones[child] = _of_length(bones[child], side)
    return _joined(joints[..., 0, :], bones)


def _of_length(bone: Tensor, length: Tensor) -> Tensor:
    """Scale bones (B, F, 3) to mean lengths (B,) over the frames."""
    actual = bone.norm(dim=-1).mean(dim=1).clamp_min(1e-3)
    return bone * (length / actual)[:, None, None]


def turn_girdles(joints: Tensor, sd: float, random: RandomTensors) -> Tensor:
    """Tilt hips, trunk, shoulders, neck and head by small constant angles; (B, F, J, 3).

    The angles between these parts depend on a dataset's marker placement and on the person's
    build.

    Args:
        joints: the motion.
        sd: standard deviation about each axis of the trunk, radians.
        random: source of randomness.
    """
    bones = _bones(joints)
    for (across, up), parts in GIRDLES.items():
        axes = _trunk(joints, across, up)
        for names in parts:
            small = _small_rotation(sd * random.normal(len(joints), 3))[:, None]
            turn = axes @ small @ axes.mT
            for child in map(H36M17.index, names):
                bones[child] = (turn @ bones[child][..., None])[..., 0]
    return _joined(joints[..., 0, :], bones)


def tumble(joints: Tensor, share: float, random: RandomTensors) -> Tensor:
    """Give a share of the windows a random orientation, as of people who lie, hang or tumble."""
    count = len(joints)
    quaternion = torch.nn.functional.normalize(random.normal(count, 4), dim=-1)
    w, x, y, z = quaternion.unbind(-1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    turn = torch.stack(rows, dim=-1).unflatten(-1, (3, 3))
    chosen = random.flag(share, count)[:, None, None, None]
    return torch.where(chosen, joints @ turn[:, None].mT, joints)


def _small_rotation(vector: Tensor) -> Tensor:
    """(B, 3) axis times angle, radians -> (B, 3, 3), by Rodrigues' formula."""
    x, y, z = vector.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    angle = vector.norm(dim=-1)[:, None, None]
    # torch.sinc(t) is sin(pi t) / (pi t), and 1 at 0; 1 - cos(a) = 2 sin(a / 2)^2.
    first, second = torch.sinc(angle / math.pi), torch.sinc(angle / 2 / math.pi).square() / 2
    same = torch.eye(3, dtype=vector.dtype, device=vector.device)
    return same + first * cross + second * cross @ cross


def mix_limbs(joints: Tensor, share: float, random: RandomTensors) -> Tensor:
    """Replace body parts in a share of the windows by those of other windows; (B, F, J, 3).

    A replaced part is rotated from the donor's trunk to the person's.
    """
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
    """Mirror the windows (B, F, J, 3) flagged in `which`, (B,)."""
    flipped = joints[..., constant(tuple(H36M17.mirrored.tolist()), joints.device, torch.long), :]
    flipped = flipped * constant((-1.0, 1.0, 1.0), joints.device)
    return torch.where(which[:, None, None, None], flipped, joints)


def _bones(joints: Tensor) -> dict[int, Tensor]:
    """(..., J, 3) -> bone vectors (..., 3) by child joint."""
    return {child: joints[..., child, :] - joints[..., parent, :] for parent, child in H36M17.bones}


def _joined(root: Tensor, bones: dict[int, Tensor]) -> Tensor:
    """Inverse of `_bones`: the root (..., 3) and bone vectors -> (..., J, 3)."""
    out = [root]
    for parent, child in H36M17.bones:  # parents come before their children
        out.append(out[parent] + bones[child])
    return torch.stack(out, dim=-2)


def _trunk(joints: Tensor, across: tuple[str, str], up: tuple[str, str]) -> Tensor:
    """Compute the axes of a part of the trunk, as the columns of (..., 3, 3)."""

    def direction(ends: tuple[str, str]) -> Tensor:
        first, last = map(H36M17.index, ends)
        return joints[..., last, :] - joints[..., first, :]

    x = torch.nn.functional.normalize(direction(across), dim=-1)
    z = torch.nn.functional.normalize(torch.linalg.cross(x, direction(up)), dim=-1)
    return torch.stack([x, torch.linalg.cross(z, x), z], dim=-1)
