"""What joints and markers are called in other programs' files, and which joint of ours they are.

Joints are found by name, never by their number or order. Files in our own names are taken as they
are. In all others the joints below are looked for, and ours follow from them as from a detector's:
Hip is the middle of the hips, Thorax that of the shoulders, Spine the middle of those two, Head the
head top or beyond the ears (`vidpose.skeleton`).

Names are compared in lower case, without anything that is neither letter nor digit, and without a
prefix that ends in a colon. A single marker on the skin next to a joint (Plug-in Gait's RKNE) is
not the joint and is left out; a pair of them on both sides of it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidpose.skeleton import H36M17, HALPE26, conversion
from vidpose.utils.gaps import known_joints

Ways = tuple[str, ...]
"""Names of one point, best first; `a+b` is the middle of two."""

# `{s}` is r or l, `{side}` right or left. In the order: Pose2Sim, Sports2D, OpenPose and exports of
# OpenSim (RKnee, knee_r); joint centres of Vicon, Theia and OpenCap (RKJC); OpenCap's marker pairs,
# which Pose2Sim adds, too; BVH of CMU's database as cgspeed converts it for Daz (rShin), and as
# MotionBuilder, Mixamo and Rokoko name it (RightLeg). RightArm comes before RightShoulder, which
# in those files is the collar bone.
_LIMBS: dict[str, Ways] = {
    "hip": ("{s}hip", "hip{s}", "{s}hjc", "{s}hjcstudy", "{s}thigh", "{side}upleg", "{side}hip"),
    "knee": (
        *("{s}knee", "knee{s}", "{s}kjc", "{s}kneestudy+{s}mkneestudy"),
        *("{s}shin", "{side}leg", "{side}knee"),
    ),
    "ankle": (
        *("{s}ankle", "ankle{s}", "{s}ajc", "{s}anklestudy+{s}manklestudy"),
        *("{side}ankle", "{s}foot", "{side}foot"),
    ),
    "shoulder": ("{side}arm", "{s}shoulder", "shoulder{s}", "{s}sjc", "{s}shldr", "{side}shoulder"),
    "elbow": (
        *("{s}elbow", "elbow{s}", "{s}ejc", "{s}lelbowstudy+{s}melbowstudy"),
        *("{side}elbow", "{s}forearm", "{side}forearm"),
    ),
    "wrist": (
        *("{s}wrist", "wrist{s}", "{s}wjc", "{s}lwriststudy+{s}mwriststudy"),
        *("{side}wrist", "{s}hand", "{side}hand"),
    ),
    "ear": ("{s}ear", "{side}ear"),
}
_MIDDLE: dict[str, Ways] = {
    "hip": ("hip", "midhip", "pelvis"),
    "neck": ("neck",),
    "nose": ("nose",),
    "head": ("head", "headtop", "tophead"),
}
_NOT_IN_A_TREE = ("neck", "head")
"""In a BVH hierarchy `Neck` and `Head` are where these bones begin, not the points of `HALPE26`."""


def normalised(name: str) -> str:
    """`Subject:R_Knee` -> `rknee`."""
    return re.sub("[^a-z0-9]", "", name.lower().rpartition(":")[2])


def to_h36m17(
    points: NDArray[np.float64], names: Sequence[str], *, tree: bool = False
) -> NDArray[np.float64]:
    """Named points as h36m17 joints.

    Args:
        points: (T, N, 3), NaN where missing.
        names: (N,), what they are called in their file.
        tree: they are the joints of a BVH hierarchy.

    Returns:
        (T, 17, 3) in the same unit and frame; NaN where a joint does not follow from the points.
    """
    there = {normalised(name): n for n, name in reversed(list(enumerate(names)))}
    ours = [normalised(name) for name in H36M17.joint_names]
    if there.keys() >= set(ours):
        return points[:, [there[name] for name in ours]]
    found = np.full((len(points), len(HALPE26), 3), np.nan)
    for joint, ways in _ways(tree).items():
        for way in ways:
            parts = way.split("+")
            if there.keys() >= set(parts):
                found[:, HALPE26.index(joint)] = points[:, [there[p] for p in parts]].mean(axis=1)
                break
    joints = conversion(HALPE26.name, H36M17.name)(found)[0].astype(np.float64)
    # With a nose alone a detector's head top is guessed; a reference does not guess.
    known = {name: known_joints(found[:, HALPE26.index(name)]) for name in HALPE26.joint_names}
    guessed = ~(known["head"] | (known["left_ear"] & known["right_ear"]))
    joints[guessed, H36M17.index("Head")] = np.nan
    return joints


def _ways(tree: bool) -> dict[str, Ways]:
    """By the joints of `HALPE26`."""
    out = {name: ways for name, ways in _MIDDLE.items() if not (tree and name in _NOT_IN_A_TREE)}
    for side in ("left", "right"):
        for limb, ways in _LIMBS.items():
            out[f"{side}_{limb}"] = tuple(way.format(s=side[0], side=side) for way in ways)
    return out
