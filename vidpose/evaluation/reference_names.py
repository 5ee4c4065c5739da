"""Match the joint and marker names of other programs' files with our joints.

Joints are matched by name, never by number or order. Files with our own names, such as our exports,
are taken as they are. In all others vidpose looks for the joints below and derives ours from them,
as from a detector's: Hip is the midpoint of the hips, Thorax that of the shoulders, Spine the
midpoint of those two, Head the head top or extrapolated from the ears (`vidpose.skeleton`).

A single skin marker next to a joint (Plug-in Gait's RKNE) is not the
joint and is ignored; the midpoint of a pair of markers on both sides of it is used.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vidpose.datasets.joint_names import Aliases, find_joint, find_own, limb_aliases, normalised
from vidpose.skeleton import H36M17, HALPE26, conversion
from vidpose.utils.gaps import known_joints

_MIDDLE: dict[str, Aliases] = {
    "hip": ("hip", "midhip", "pelvis"),
    "neck": ("neck",),
    "nose": ("nose",),
    "head": ("head", "headtop", "tophead"),
}
_NOT_IN_BVH = ("neck", "head")
"""In a BVH hierarchy `Neck` and `Head` are where these bones begin, not the points of `HALPE26`."""


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
    names = [normalised(name) for name in names]
    if (ours := find_own(names)) is not None:
        return points[:, ours]
    found = np.full((len(points), len(HALPE26), 3), np.nan)
    for joint, aliases in _aliases(bvh).items():
        if (indices := find_joint(names, aliases)) is not None:
            found[:, HALPE26.index(joint)] = points[:, indices].mean(axis=1)
    joints = conversion(HALPE26.name, H36M17.name)(found)[0].astype(np.float64)
    # For detectors, the conversion guesses the head top from the nose; a reference must not guess.
    known = {name: known_joints(found[:, HALPE26.index(name)]) for name in HALPE26.joint_names}
    guessed = ~(known["head"] | (known["left_ear"] & known["right_ear"]))
    joints[guessed, H36M17.index("Head")] = np.nan
    return joints


def _aliases(bvh: bool) -> dict[str, Aliases]:
    """Return the known names of each joint of `HALPE26`."""
    middle = {n: aliases for n, aliases in _MIDDLE.items() if not (bvh and n in _NOT_IN_BVH)}
    return middle | limb_aliases()
