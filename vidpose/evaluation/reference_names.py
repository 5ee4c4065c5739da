"""Match the joint and marker names of other programs' files with our joints.

Joints are matched by name, never by number or order. Files with our own names, such as our exports,
are taken as they are. In all others vidpose looks for the joints below and derives ours from them,
as from a detector's: Hip is the midpoint of the hips, Thorax that of the shoulders, Spine the
midpoint of those two, Head the head top or extrapolated from the ears (`vidpose.skeleton`).

Names are compared in lower case, without characters other than letters and digits, and without a
prefix that ends in a colon. A single skin marker next to a joint (Plug-in Gait's RKNE) is not the
joint and is ignored; the midpoint of a pair of markers on both sides of it is used.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidpose.export.motion import JOINT_NAMES
from vidpose.skeleton import H36M17, HALPE26, conversion
from vidpose.utils.gaps import known_joints

Aliases = tuple[str, ...]
"""Names of one point, in order of preference; `a+b` is the midpoint of two."""

# `{s}` is r or l, `{side}` right or left. Order: Pose2Sim, Sports2D, OpenPose and exports of
# OpenSim (RKnee, knee_r); joint centres of Vicon, Theia and OpenCap (RKJC); OpenCap's marker pairs,
# which Pose2Sim adds, too; BVH of the CMU database as converted by cgspeed for Daz (rShin), and
# with the names of MotionBuilder, Mixamo and Rokoko (RightLeg). RightArm comes before
# RightShoulder, which in those files is the collar bone.
_LIMBS: dict[str, Aliases] = {
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
_MIDDLE: dict[str, Aliases] = {
    "hip": ("hip", "midhip", "pelvis"),
    "neck": ("neck",),
    "nose": ("nose",),
    "head": ("head", "headtop", "tophead"),
}
_NOT_IN_BVH = ("neck", "head")
"""In a BVH hierarchy `Neck` and `Head` are where these bones begin, not the points of `HALPE26`."""


def normalised(name: str) -> str:
    """`Subject:R_Knee` -> `rknee`."""
    return re.sub("[^a-z0-9]", "", name.lower().rpartition(":")[2])


def to_h36m17(
    points: NDArray[np.float64], names: Sequence[str], *, bvh: bool = False
) -> NDArray[np.float64]:
    """Convert named points to h36m17 joints.

    Args:
        points: (T, N, 3), NaN where missing.
        names: (N,), the points' names in their file.
        bvh: the points are the joints of a BVH hierarchy.

    Returns:
        (T, 17, 3) in the same unit and frame; NaN where a joint cannot be derived from the points.
    """
    index = {normalised(name): n for n, name in reversed(list(enumerate(names)))}
    for ours in (H36M17.joint_names, JOINT_NAMES):
        if index.keys() >= {normalised(name) for name in ours}:
            return points[:, [index[normalised(name)] for name in ours]]
    found = np.full((len(points), len(HALPE26), 3), np.nan)
    for joint, aliases in _aliases(bvh).items():
        for alias in aliases:
            parts = alias.split("+")
            if index.keys() >= set(parts):
                found[:, HALPE26.index(joint)] = points[:, [index[p] for p in parts]].mean(axis=1)
                break
    joints = conversion(HALPE26.name, H36M17.name)(found)[0].astype(np.float64)
    # For detectors, the conversion guesses the head top from the nose; a reference must not guess.
    known = {name: known_joints(found[:, HALPE26.index(name)]) for name in HALPE26.joint_names}
    guessed = ~(known["head"] | (known["left_ear"] & known["right_ear"]))
    joints[guessed, H36M17.index("Head")] = np.nan
    return joints


def _aliases(bvh: bool) -> dict[str, Aliases]:
    """Return the known names of each joint of `HALPE26`."""
    out = {name: aliases for name, aliases in _MIDDLE.items() if not (bvh and name in _NOT_IN_BVH)}
    for side in ("left", "right"):
        for limb, aliases in _LIMBS.items():
            out[f"{side}_{limb}"] = tuple(alias.format(s=side[0], side=side) for alias in aliases)
    return out
