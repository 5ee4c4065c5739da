"""Names of limb joints in the motion capture of other programs.

Names are compared in lower case, without characters other than letters and digits, and without a
prefix that ends in a colon.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vidpose.skeleton import H36M17

Aliases = tuple[str, ...]
"""Names of one point, in order of preference; `a+b` is the midpoint of two."""

# `{s}` is r or l, `{side}` right or left. Order: Pose2Sim, Sports2D, OpenPose and exports of
# OpenSim (RKnee, knee_r); joint centres of Vicon, Theia and OpenCap (RKJC); OpenCap's marker pairs,
# which Pose2Sim adds, too; BVH of the CMU database as converted by cgspeed for Daz (rShin), and
# with the names of MotionBuilder, Mixamo and Rokoko (RightLeg); of Rokoko's own skeleton and
# Unity's (RightShin, RightLowerLeg), of Biovision (RightLowLeg) and Unreal's (calf_r). RightArm and
# RightUpperArm come before RightShoulder, which in those files is the collar bone.
LIMBS: dict[str, Aliases] = {
    "hip": (
        *("{s}hip", "hip{s}", "{s}hjc", "{s}hjcstudy", "{s}thigh", "{side}upleg", "{side}hip"),
        *("{side}thigh", "{side}upperleg", "thigh{s}"),
    ),
    "knee": (
        *("{s}knee", "knee{s}", "{s}kjc", "{s}kneestudy+{s}mkneestudy"),
        *("{s}shin", "{side}leg", "{side}knee"),
        *("{side}shin", "{side}lowerleg", "{side}lowleg", "calf{s}"),
    ),
    "ankle": (
        *("{s}ankle", "ankle{s}", "{s}ajc", "{s}anklestudy+{s}manklestudy"),
        *("{side}ankle", "{s}foot", "{side}foot", "foot{s}"),
    ),
    "shoulder": (
        *("{side}arm", "{side}upperarm", "{side}uparm", "upperarm{s}"),
        *("{s}shoulder", "shoulder{s}", "{s}sjc", "{s}shldr", "{side}shoulder"),
    ),
    "elbow": (
        *("{s}elbow", "elbow{s}", "{s}ejc", "{s}lelbowstudy+{s}melbowstudy"),
        *("{side}elbow", "{s}forearm", "{side}forearm", "{side}lowerarm"),
        *("{side}lowarm", "lowerarm{s}"),
    ),
    "wrist": (
        *("{s}wrist", "wrist{s}", "{s}wjc", "{s}lwriststudy+{s}mwriststudy"),
        *("{side}wrist", "{s}hand", "{side}hand", "hand{s}"),
    ),
    "ear": ("{s}ear", "{side}ear"),
}


def normalised(name: str) -> str:
    """`Subject:R_Knee` -> `rknee`."""
    return re.sub("[^a-z0-9]", "", name.lower().rpartition(":")[2])


def limb_aliases() -> dict[str, Aliases]:
    """Return the known names of `left_hip`, `right_hip`, `left_knee` and so on, normalised."""
    return {
        f"{side}_{limb}": tuple(alias.format(s=side[0], side=side) for alias in aliases)
        for side in ("left", "right")
        for limb, aliases in LIMBS.items()
    }


def find_joint(names: Sequence[str], aliases: Aliases) -> list[int] | None:
    """Find a joint among a file's names: the indices whose mean it is; None if it is missing.

    Args:
        names: normalised; of equal names the first counts.
        aliases: in order of preference.
    """
    for alias in aliases:
        parts = alias.split("+")
        if all(part in names for part in parts):
            return [names.index(part) for part in parts]
    return None


def find_own(names: Sequence[str]) -> list[int] | None:
    """Find all of our joints under our own names, as in vidpose's exports.

    Args:
        names: normalised; of equal names the first counts.

    Returns:
        Their indices in the order of h36m17; None if a joint is missing.
    """
    for nose in ("Neck/Nose", "Nose"):  # exports shorten the name
        ours = [normalised(nose if n == "Neck/Nose" else n) for n in H36M17.joint_names]
        if set(ours) <= set(names):
            return [names.index(name) for name in ours]
    return None
