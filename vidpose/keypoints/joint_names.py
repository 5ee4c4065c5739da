"""Recognise skeletons by the names of their joints, in various spellings."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vidpose.skeleton import SKELETONS, Skeleton

NAMED = "named"
"""The name of a skeleton that is defined by its joint names only."""

_PARTS = {
    **{part: part for part in ("ankle", "knee", "hip", "wrist", "elbow", "shoulder", "eye", "ear")},
    **{part: part for part in ("eye_inner", "eye_outer", "heel", "big_toe", "small_toe")},
    **{"pinky": "pinky", "index": "index", "thumb": "thumb", "foot_index": "foot_index"},
    **{"mouth": "mouth", "bigtoe": "big_toe", "smalltoe": "small_toe"},
}
_MIDDLES = {
    **{"nose": "nose", "neck": "neck", "pelvis": "hip", "mid_hip": "hip", "midhip": "hip"},
    **{"hip": "hip", "root": "hip", "head_top": "head", "headtop": "head", "top_head": "head"},
}
_SIDES = {"l": "left", "left": "left", "r": "right", "right": "right"}

NEEDED = (
    "nose",
    *(
        f"{side}_{part}"
        for part in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
        for side in ("left", "right")
    ),
)
"""The joints required for lifting."""


def skeleton_of_names(names: Sequence[str]) -> Skeleton | None:
    """Return the skeleton with joints of these names, in this order.

    It is a known one, or a new one that has at least `NEEDED`, in any spelling (`left_knee`,
    `LKnee`, `knee.l`, `Left Knee`). None if joints are missing.
    """
    names = tuple(names)
    exact = [known for known in SKELETONS.values() if known.joint_names == names]
    if exact:
        return exact[0]
    found = [canonical(name) for name in names]
    same = [known for known in SKELETONS.values() if known.joint_names == tuple(found)]
    if same:
        return same[0]
    there = [name for name in found if name is not None]
    if len(set(there)) < len(there) or not set(NEEDED) <= set(there):
        return None
    joints = tuple(name or f"joint_{n}" for n, name in enumerate(found))
    return Skeleton(NAMED, joints, (-1,) * len(joints))


def missing_joints(names: Sequence[str]) -> list[str]:
    """Return those of `NEEDED` that are not among the names."""
    found = {canonical(name) for name in names}
    return [joint for joint in NEEDED if joint not in found]


def canonical(name: str) -> str | None:
    """`LShoulder`, `shoulder.l`, `Left Shoulder` -> `left_shoulder`; None if it is unknown.

    A plain `head` is unknown: it may be the top or the centre of the head.
    """
    words = _words(name)
    sides = [word for word in words if word in _SIDES]
    rest = "_".join(word for word in words if word not in _SIDES)
    if len(sides) == 1 and rest in _PARTS:
        side = _SIDES[sides[0]]
        part = _PARTS[rest]
        return f"mouth_{side}" if part == "mouth" else f"{side}_{part}"
    return _MIDDLES.get("_".join(words)) if not sides else None


def _words(name: str) -> list[str]:
    """Split into lower-case words at signs and capitals; a leading L or R is a word: `LKnee`."""
    spaced = re.sub("([a-z0-9])([A-Z])", r"\1 \2", name)
    spaced = re.sub(r"\b([LR])([A-Z][a-z])", r"\1 \2", spaced)
    words = [word for word in re.split("[^a-z0-9]+", spaced.lower()) if word]
    if len(words) == 1 and words[0] not in _MIDDLES and words[0][1:] in _PARTS:
        side, part = words[0][0], words[0][1:]
        return [side, part] if side in _SIDES else words
    return words
